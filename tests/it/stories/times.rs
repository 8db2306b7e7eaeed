//! Reminders.md 3.4: days, hours, zones, holidays, jitter, validity.

use nudged::cli::rehearse::What;
use nudged::engine::Change;
use nudged::reminder::subscription::Subscription;

use super::Story;
use super::referee::local;

/// A case somewhere, by its columns `timezone,country,region,postcode`.
fn somewhere(from: &str, to: &str, phone: &str, due: &str, place: &str) -> Story {
    Story::new(from, to).rows(&format!(
        "external_id,creditor,phone,amount,currency,due_date,timezone,country,region,postcode,consent,consent_at,consent_source
         A,acme,{phone},120.50,USD,{due},{place},given,2026-01-02,form"
    ))
}

/// Sends at one local time, a day before and a day after.
const AROUND: &str = r#"
    [[sequence]]
    key = "standard"
    [[sequence.step]]
    id = "eve"
    offset = "-2d"
    at = "10:00"
    template = "text"
    [[sequence.step]]
    id = "late"
    offset = "+2d"
    at = "10:00"
    template = "text"
"#;

fn hours(told: &super::Told, zone: &str) -> Vec<String> {
    let sent = told.sent();
    sent.iter().map(|(at, _)| local(*at, zone)).map(|t| format!("{} {:02}h", t.date(), t.hour())).collect()
}

#[test]
fn ten_o_clock_stays_ten_o_clock_over_the_change_of_summer_time_in_new_york() {
    // Sunday 8 March 2026, 2:00.
    let place = "America/New_York,US,NY,10001";
    let told = somewhere("2026-03-01T00:00Z", "2026-03-20T00:00Z", "+12125550101", "2026-03-08", place)
        .set(AROUND)
        .tell();
    assert_eq!(hours(&told, "America/New_York"), ["2026-03-06 10h", "2026-03-10 10h"]);
    let utc: Vec<String> = hours(&told, "UTC");
    assert_eq!(utc, ["2026-03-06 15h", "2026-03-10 14h"], "an hour less behind");
}

#[test]
fn ten_o_clock_stays_ten_o_clock_over_both_changes_in_berlin() {
    for (due, from, to, days, utc) in [
        ("2026-03-29", "2026-03-20T00:00Z", "2026-04-05T00:00Z", ["27", "31"], ["09h", "08h"]),
        ("2026-10-25", "2026-10-18T00:00Z", "2026-11-01T00:00Z", ["23", "27"], ["08h", "09h"]),
    ] {
        let told = somewhere(from, to, "+4915112345671", due, "Europe/Berlin,DE,,").set(AROUND).tell();
        let month = &due[..8];
        let expected: Vec<String> = days.iter().map(|day| format!("{month}{day} 10h")).collect();
        assert_eq!(hours(&told, "Europe/Berlin"), expected);
        let expected: Vec<String> =
            days.iter().zip(utc).map(|(day, utc)| format!("{month}{day} {utc}")).collect();
        assert_eq!(hours(&told, "UTC"), expected);
    }
}

/// A slot that the clock jumps over, in a pack of a firm that may write at night.
const NIGHT: &str = r#"
    [[pack]]
    key = "base"
    title = "Nights too"
    source = "A test"
    applies = {}
    hours = { from = "00:00", to = "24:00" }
    caps = [{ max = 1, per = "1d" }]

    [[sequence]]
    key = "standard"
    [[sequence.step]]
    id = "night"
    offset = "0d"
    at = "02:30"
    template = "text"
"#;

#[test]
fn an_hour_that_there_is_not_is_the_next_one_and_one_that_there_is_twice_is_the_first() {
    let any_hour = |law: &mut super::referee::Law| {
        law.hours = (0, 24);
        law.closed.clear();
    };
    let place = "Europe/Zurich,CH,,";
    let number = "+41791234567";
    let gap = somewhere("2026-03-25T00:00Z", "2026-04-01T00:00Z", number, "2026-03-29", place).set(NIGHT);
    let gap = gap.law(any_hour).tell();
    assert_eq!(hours(&gap, "Europe/Zurich"), ["2026-03-29 03h"]);
    let twice = somewhere("2026-10-20T00:00Z", "2026-10-28T00:00Z", number, "2026-10-25", place).set(NIGHT);
    let twice = twice.law(any_hour).tell();
    assert_eq!(hours(&twice, "UTC"), ["2026-10-25 00h"], "2:30 of summer time, and once");
}

#[test]
fn where_the_place_is_not_known_the_hour_is_lawful_everywhere_it_may_be() {
    // A toll-free number has no place: any zone of the United States, or of its neighbours.
    let zones = vec![
        "America/New_York",
        "America/Chicago",
        "America/Denver",
        "America/Los_Angeles",
        "America/Anchorage",
        "Pacific/Honolulu",
    ];
    let told = somewhere("2026-03-01T00:00Z", "2026-03-20T00:00Z", "+18005550101", "2026-03-10", ",US,,")
        .law(|law| {
            law.zones.insert(String::from("+18005550101"), zones);
        })
        .tell();
    assert_eq!(told.sent().len(), 4, "{:?}", hours(&told, "America/New_York"));
}

#[test]
fn an_eastern_number_with_a_western_address_waits_for_the_west() {
    // Regulation F, comment 6(b)(1)(i).
    let both = vec!["America/New_York", "America/Los_Angeles"];
    let told =
        somewhere("2026-03-01T00:00Z", "2026-03-12T00:00Z", "+12125550101", "2026-03-10", ",US,CA,90001")
            .law(|law| {
                law.zones.insert(String::from("+12125550101"), both);
            })
            .tell();
    let hours = hours(&told, "America/New_York");
    assert!(hours.iter().all(|hour| &hour[11..13] >= "11"), "{hours:?}");
}

#[test]
fn where_no_hour_is_lawful_everywhere_a_person_is_asked() {
    let story =
        Story::new("2026-03-01T00:00Z", "2026-03-20T00:00Z").case("A", "+4915112345671", "2026-03-10");
    let told = story.when("2026-03-02T00:00Z", What::Changes(vec![wishes("21:00", "23:00")])).tell();
    assert_eq!(told.reminders(), [""; 0]);
    assert_eq!(told.tasks(), ["needs_zone"]);
}

fn wishes(from: &str, to: &str) -> Change {
    let contact = format!(
        r#"{{"external_id": "+4915112345671", "kind": "consumer", "country": "DE", "timezone": "Europe/Berlin",
            "phones": [{{"number": "+4915112345671", "primary": true}}], "not_before": "{from}", "not_after": "{to}"}}"#
    );
    Change::Contact(Box::new(serde_json::from_str(&contact).unwrap()))
}

#[test]
fn what_a_person_wished_is_kept() {
    let story =
        Story::new("2026-03-01T00:00Z", "2026-03-31T00:00Z").case("A", "+4915112345671", "2026-03-12");
    let told = story.when("2026-03-02T00:00Z", What::Changes(vec![wishes("14:00", "16:00")])).tell();
    assert_eq!(told.reminders().len(), 4);
    let hours = hours(&told, "Europe/Berlin");
    assert!(hours.iter().all(|hour| ("14h".."16h").contains(&&hour[11..])), "{hours:?}");
}

#[test]
fn holidays_push_back_before_the_due_date_and_on_after_it() {
    let told = Story::new("2026-03-20T00:00Z", "2026-04-25T00:00Z")
        .set(
            r#"
            [[calendar]]
            key = "closed"
            weekend = ["sat", "sun"]
            holidays = [{ date = "2026-04-03", name = "Good Friday" }, { date = "2026-04-06", name = "Easter Monday" }]

            [[creditor]]
            key = "acme"
            name = "Acme GmbH"
            sender_role = "first_party"
            language = "en"
            phone = "+49 30 1234567"
            calendar = "closed"
        "#,
        )
        .case("A", "+4915112345671", "2026-04-06")
        .tell();
    let days = told.reminders();
    assert_eq!(days[0], "A before 2026-04-02", "Friday the 3rd is none, and the 3rd was wanted");
    assert!(days[1].starts_with("A due 2026-04-07"), "{days:?}");
}

#[test]
fn sends_of_one_slot_are_spread_and_a_restart_does_not_shuffle_them() {
    let story = |crash: bool| {
        let story = Story::new("2026-03-08T00:00Z", "2026-03-10T00:00Z");
        let story = (0..20).fold(story, |story, n| {
            story.case(&format!("T{n}"), &format!("+4915112345{n:03}"), "2026-03-12")
        });
        if crash { story.when("2026-03-09T08:00Z", What::Crash) } else { story }
    };
    let (calm, crashed) = (story(false).tell(), story(true).tell());
    let times =
        |told: &super::Told| told.sent().iter().map(|(at, sent)| (*at, sent.to.clone())).collect::<Vec<_>>();
    let mut minutes: Vec<i8> = calm.sent().iter().map(|(at, _)| local(*at, "UTC").minute()).collect();
    minutes.dedup();
    assert!(minutes.len() >= 8, "spread over twenty minutes: {minutes:?}");
    assert_eq!(times(&calm), times(&crashed));
}

#[test]
fn a_text_that_its_link_cannot_write_before_the_evening_does_not_go_in_the_night() {
    // Two segments an hour, ten texts from 17:00 on: six of them until 20:00.
    let slow = r#"
        timezone = "Europe/Berlin"
        [[smpp]]
        name = "carrier"
        address = "127.0.0.1:1"
        system_id = "nudged"
        password_file = "pw"
        window = 10
        rate = "2/h"
    "#;
    let story = Story::new("2026-03-16T00:00Z", "2026-03-20T00:00Z").links(slow);
    let story = (0..10)
        .fold(story, |story, n| story.case(&format!("T{n}"), &format!("+4915112345{n:03}"), "2026-03-12"));
    let told = story.tell();
    let first: Vec<String> = told.reminders().into_iter().filter(|r| r.ends_with("17")).collect();
    assert!((3..=7).contains(&first.len()), "{first:?}");
    assert_eq!(told.reminders().len(), 10, "the others on the next day");
}

#[test]
fn two_creditors_and_one_phone_share_massachusetts_cap() {
    let phone = "+16175550101";
    let row = |id: &str, creditor: &str, due: &str| {
        format!("{id},{creditor},{phone},100.00,USD,{due},America/New_York,US,MA,given,2026-01-02,form")
    };
    let header = "external_id,creditor,phone,amount,currency,due_date,timezone,country,region,consent,consent_at,consent_source";
    let told = Story::new("2026-03-01T00:00Z", "2026-04-01T00:00Z")
        .rows(&format!("{header}\n{}\n{}", row("A", "acme", "2026-03-10"), row("B", "other", "2026-03-11")))
        .tell();
    // The referee counts two in seven days to the phone, whoever asks.
    let reminders = told.reminders_in("America/New_York");
    assert!(reminders.len() >= 4, "{reminders:?}");
    let refused: Vec<String> = [told.refusals("A"), told.refusals("B")].concat();
    assert!(refused.iter().any(|refusal| refusal.contains("caps")), "{refused:?}");
}

#[test]
fn a_subscription_of_the_31st_comes_on_the_last_day_of_every_month_once() {
    let subscription: Subscription = serde_json::from_str(
        r#"{"external_id": "S", "account": "+4915112345671", "creditor": "acme", "amount": {"value": "9.90", "currency": "EUR"},
            "every": "monthly", "day": 31, "from": "2026-01-31"}"#,
    )
    .unwrap();
    let told = Story::new("2026-01-10T00:00Z", "2026-05-10T00:00Z")
        .set(
            r#"
            [[sequence]]
            key = "standard"
            [[sequence.step]]
            id = "due"
            offset = "0d"
            at = "10:00"
            template = "text"
        "#,
        )
        .case("A", "+4915112345671", "2026-01-20")
        .when("2026-01-11T00:00Z", What::Changes(vec![Change::Subscription(Box::new(subscription))]))
        .paid("2026-01-12T00:00Z", "A", "120.50")
        .tell();
    let days: Vec<String> =
        told.reminders().iter().filter_map(|r| r.rsplit(' ').next().map(str::to_owned)).collect();
    // 31 May has not come; no day of these is a Sunday.
    assert_eq!(days, ["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30"]);
}

#[test]
fn with_a_zone_that_moves_the_plan_moves() {
    let told = Story::new("2026-03-01T00:00Z", "2026-03-31T00:00Z")
        .case("A", "+4915112345671", "2026-03-12")
        .when("2026-03-10T00:00Z", What::Changes(vec![lisbon()]))
        .law(|law| {
            law.zones.insert(String::from("+4915112345671"), vec!["Europe/Lisbon"]);
        })
        .tell();
    assert_eq!(hours(&told, "Europe/Lisbon")[1], "2026-03-12 10h");
}

fn lisbon() -> Change {
    let contact = r#"{"external_id": "+4915112345671", "kind": "consumer", "country": "PT", "timezone": "Europe/Lisbon",
        "phones": [{"number": "+4915112345671", "primary": true}]}"#;
    Change::Contact(Box::new(serde_json::from_str(contact).unwrap()))
}
