//! Reminders.md 3.5: crashes, silences, clocks, imports that come again, backups.

use nudged::cli::rehearse::{Said, What};
use nudged::engine::Change;

use super::{Story, at, cases};

const ONE: &str = "+4915112345671";
const ALL_FOUR: [&str; 4] =
    ["A before 2026-03-09", "A due 2026-03-12", "A after 2026-03-17", "A last 2026-03-21"];

const MODEM: &str = r#"
    timezone = "Europe/Berlin"
    [[modem]]
    name = "carrier"
    port = "/dev/null"
    rate = "20/min"
"#;

fn march() -> Story {
    Story::new("2026-03-02T00:00Z", "2026-04-01T00:00Z").case("A", ONE, "2026-03-12")
}

fn number(n: usize) -> String {
    format!("+4915112345{n:03}")
}

fn many(links: &str) -> Story {
    let story = Story::new("2026-03-08T00:00Z", "2026-03-11T00:00Z").links(links);
    (0..30).fold(story, |story, n| story.case(&format!("T{n}"), &number(n), "2026-03-12"))
}

#[test]
fn however_often_it_dies_while_it_sends_no_step_goes_twice() {
    // The slot is 10:00 to 10:20; a modem takes three seconds for a text, and the daemon ten for a start.
    let story = (0..60).fold(many(MODEM), |story, n| {
        let second = 17 * n;
        story.when(&format!("2026-03-09T09:{:02}:{:02}Z", second / 60, second % 60), What::Crash)
    });
    let told = story.tell();
    assert_eq!(told.reminders().len(), 30, "the referee counts each once; none is forgotten");
    let statuses: Vec<&str> = told.sent().iter().map(|(_, sent)| sent.status).collect();
    assert!(
        statuses.iter().all(|status| *status == "delivered"),
        "receipts tell what became of them: {statuses:?}"
    );
}

#[test]
fn what_was_out_when_it_died_and_has_no_receipt_is_unknown_and_stays_so() {
    use nudged::cli::rehearse::Fate;
    let calm = march().links(MODEM).tell();
    let first = calm.sent()[0].0.saturating_add(std::time::Duration::from_secs(1));
    let story = march().links(MODEM).fate(ONE, Fate::Silent).when(&first.to_rfc3339(), What::Crash);
    let told = story.tell();
    let statuses: Vec<&str> = told.sent().iter().map(|(_, sent)| sent.status).collect();
    assert_eq!(statuses[0], "unknown");
    assert_eq!(told.reminders(), ALL_FOUR);
}

#[test]
fn after_two_days_of_silence_only_the_latest_step_goes() {
    let close = r#"
        [[sequence]]
        key = "standard"
        [[sequence.step]]
        id = "one"
        offset = "0d"
        at = "10:00"
        grace = "4d"
        template = "text"
        [[sequence.step]]
        id = "two"
        offset = "+1d"
        at = "10:00"
        grace = "4d"
        template = "text"
        [[sequence.step]]
        id = "three"
        offset = "+2d"
        at = "10:00"
        grace = "4d"
        template = "text"
    "#;
    let story =
        || Story::new("2026-03-02T00:00Z", "2026-03-20T00:00Z").set(close).case("A", ONE, "2026-03-10");
    let outage = story().outage("2026-03-10T06:00Z", "2026-03-12T11:00Z").tell();
    assert_eq!(outage.reminders(), ["A three 2026-03-12"]);
    let down = story().when("2026-03-10T06:00Z", What::Down { until: at("2026-03-12T11:00Z") }).tell();
    assert_eq!(down.reminders(), ["A three 2026-03-12"]);
    let long = story().when("2026-03-10T06:00Z", What::Down { until: at("2026-03-18T11:00Z") }).tell();
    assert_eq!(long.reminders(), [""; 0], "what is stale does not go");
    assert_eq!(long.tasks(), ["escalation"]);
}

#[test]
fn a_payment_or_a_stop_that_came_while_it_was_down_counts_before_anything_goes() {
    let down = || march().when("2026-03-09T06:00Z", What::Down { until: at("2026-03-09T12:00Z") });
    assert_eq!(down().paid("2026-03-09T10:00Z", "A", "120.50").tell().reminders(), [""; 0]);
    assert_eq!(down().replies("2026-03-09T10:00Z", ONE, "STOP").tell().reminders(), [""; 0]);
}

#[test]
fn a_clock_that_is_set_back_sends_nothing_twice_and_nothing_until_it_is_past_what_it_said() {
    // An hour back in the midst of the slot, and put right in the afternoon.
    let story = many(super::LINKS).clock("2026-03-09T09:10Z", "-1h").clock("2026-03-09T14:00Z", "+1h");
    let told = story.tell();
    assert_eq!(told.reminders().len(), 30);
    let quiet = (at("2026-03-09T09:10Z"), at("2026-03-09T10:10Z"));
    assert!(
        told.sent().iter().all(|(when, _)| *when <= quiet.0 || *when >= quiet.1),
        "held until past the mark"
    );
}

#[test]
fn a_clock_that_is_set_forward_holds_what_is_due_by_it_and_still_hears_a_stop() {
    let story = march().clock("2026-03-08T12:00Z", "+20h").clock("2026-03-08T12:05Z", "-20h");
    let told = story.replies("2026-03-08T12:02Z", ONE, "STOP").tell();
    assert_eq!(told.reminders(), [""; 0], "ten in the morning it seemed to be, for five minutes");
    let heard = told.lines.iter().find(|line| matches!(line.said, Said::Optout(_))).unwrap();
    assert!(heard.at < at("2026-03-08T12:03Z"));
}

#[test]
fn a_file_that_comes_again_changes_nothing() {
    let csv = format!(
        "external_id,creditor,phone,amount,currency,due_date,timezone,country
         A,acme,{ONE},120.50,EUR,2026-03-12,Europe/Berlin,DE"
    );
    let row = |case: nudged::reminder::import::Case| Change::Case { row: case.hash(), case: Box::new(case) };
    let again = || What::Changes(cases(&csv).into_iter().map(row).collect());
    let story = march().when("2026-03-10T10:00Z", again()).when("2026-03-12T09:05Z", again());
    let told = story.when("2026-03-25T10:00Z", again()).tell();
    assert_eq!(told.reminders(), ALL_FOUR);
}

#[test]
fn a_file_with_moved_due_dates_moves_what_is_left_and_repeats_nothing() {
    let csv = format!(
        "external_id,creditor,phone,amount,currency,due_date,timezone,country
         A,acme,{ONE},120.50,EUR,2026-03-19,Europe/Berlin,DE"
    );
    let row = |case: nudged::reminder::import::Case| Change::Case { row: case.hash(), case: Box::new(case) };
    let moved = What::Changes(cases(&csv).into_iter().map(row).collect());
    let told = march().when("2026-03-13T10:00Z", moved).tell();
    let reminders = told.reminders();
    assert_eq!(
        reminders,
        ["A before 2026-03-09", "A due 2026-03-12", "A after 2026-03-24", "A last 2026-03-28"]
    );
}

#[test]
fn the_same_words_do_not_go_twice_to_a_number_within_a_day() {
    let told = Story::new("2026-03-02T00:00Z", "2026-03-20T00:00Z")
        .set(
            r#"
            [[template]]
            key = "text"
            language = "en"
            class = "reminder"
            body = "{{ creditor }}: {{ amount }} is due on {{ due_date }}. Call {{ phone }}"

            [[sequence]]
            key = "standard"
            [[sequence.step]]
            id = "due"
            offset = "0d"
            at = "10:00"
            template = "text"
        "#,
        )
        .case("A", ONE, "2026-03-12")
        .case("B", ONE, "2026-03-12")
        .tell();
    let times: Vec<_> = told.sent().iter().map(|(at, _)| *at).collect();
    assert_eq!(times.len(), 2);
    assert!(times[1].since(times[0]).as_secs() >= 24 * 3600, "{times:?}");
}

#[test]
fn a_restored_backup_sends_nothing_again_and_nothing_at_all_before_a_person_says_so() {
    // Of the night before the second step; the payment and the STOP that came since are not in it.
    let two = "+4915112345672";
    let three = "+4915112345673";
    let restore = What::Restore { to: at("2026-03-11T22:00Z") };
    let told = march()
        .case("B", two, "2026-03-12")
        .case("C", three, "2026-03-16")
        .paid("2026-03-12T12:00Z", "A", "120.50")
        .replies("2026-03-12T12:00Z", two, "STOP")
        .when("2026-03-12T14:00Z", restore)
        .tell();
    let reminders = told.reminders();
    assert_eq!(reminders.len(), 4, "{reminders:?}");
    assert!(told.sent().iter().all(|(when, _)| *when < at("2026-03-12T14:00Z")));
    assert_eq!(
        told.tasks().iter().filter(|kind| *kind == "restored").count(),
        2,
        "A and B were due: {:?}",
        told.tasks()
    );
}

#[test]
fn a_stop_and_a_start_later_than_the_backup_hold_after_its_restore() {
    let (two, restored) = ("+4915112345672", at("2026-03-12T14:00Z"));
    let told = march()
        .case("B", two, "2026-03-12")
        .replies("2026-03-10T12:00Z", two, "STOP")
        .replies("2026-03-12T12:00Z", ONE, "STOP")
        .replies("2026-03-12T12:00Z", two, "START")
        .when("2026-03-12T14:00Z", What::Restore { to: at("2026-03-11T22:00Z") })
        .tell();
    let since: Vec<String> = told
        .lines
        .iter()
        .filter(|line| line.at >= restored)
        .filter_map(|line| match &line.said {
            Said::Optout(optout) => Some(format!("stopped {}", optout.number)),
            Said::Consent(consent) => Some(format!("lifted {}", consent.number)),
            _ => None,
        })
        .collect();
    assert_eq!(since, [format!("stopped {ONE}"), format!("lifted {two}")]);
}

#[test]
fn what_was_paused_in_the_backup_is_in_doubt_too() {
    // It waited for a person, who may have let it go on in the gap.
    let told = march()
        .replies("2026-03-10T12:00Z", ONE, "why do you ask me")
        .when("2026-03-12T14:00Z", What::Restore { to: at("2026-03-11T22:00Z") })
        .tell();
    assert_eq!(told.reminders(), ["A before 2026-03-09"]);
    assert!(told.tasks().iter().any(|kind| kind == "restored"), "{:?}", told.tasks());
}

#[test]
fn what_a_subscription_made_in_the_gap_is_in_doubt_too() {
    let subscription: nudged::reminder::subscription::Subscription = serde_json::from_str(
        r#"{"external_id": "S", "account": "+4915112345671", "creditor": "acme", "amount": {"value": "9.90", "currency": "EUR"},
            "every": "monthly", "day": 31, "from": "2026-01-31"}"#,
    )
    .unwrap();
    let told = Story::new("2026-01-10T00:00Z", "2026-02-10T00:00Z")
        .case("A", ONE, "2026-01-20")
        .when("2026-01-11T00:00Z", What::Changes(vec![Change::Subscription(Box::new(subscription))]))
        .paid("2026-01-11T06:00Z", "A", "120.50")
        .when("2026-01-31T14:00Z", What::Restore { to: at("2026-01-12T12:00Z") })
        .tell();
    let reminders = told.reminders();
    assert!(reminders.iter().any(|reminder| reminder.ends_with("2026-01-31")), "{reminders:?}");
    assert_eq!(told.tasks().iter().filter(|kind| *kind == "restored").count(), 1, "{:?}", told.tasks());
}
