//! Reminders.md 3.3: what follows from each event.

use nudged::cli::rehearse::{Fate, Said, What};
use nudged::engine::Change;
use nudged::message::Msisdn;
use nudged::reminder::enrolment::PauseReason;
use nudged::reminder::link::Token;
use nudged::reminder::task::TaskOutcome;

use super::{Story, at, cases, which};

const ONE: &str = "+4915112345671";
const ALL_FOUR: [&str; 4] =
    ["A before 2026-03-09", "A due 2026-03-12", "A after 2026-03-17", "A last 2026-03-21"];

/// A modem that takes three minutes for a segment: much is leased and waits for its bytes.
const SLOW: &str = r#"
    timezone = "Europe/Berlin"
    [[smpp]]
    name = "carrier"
    address = "127.0.0.1:1"
    system_id = "nudged"
    password_file = "pw"
    window = 10
    rate = "20/h"
"#;

/// Ten cases whose first step falls into the same twenty minutes of Monday 9 March.
fn ten() -> Story {
    let story = Story::new("2026-03-02T00:00Z", "2026-03-11T00:00Z").links(SLOW);
    (0..10).fold(story, |story, n| story.case(&format!("T{n}"), &number(n), "2026-03-12"))
}

fn number(n: usize) -> String {
    format!("+4915112345{n:03}")
}

/// A case that is due on Thursday 12 March 2026.
fn march() -> Story {
    Story::new("2026-03-02T00:00Z", "2026-04-01T00:00Z").case("A", ONE, "2026-03-12")
}

#[test]
fn a_case_that_is_never_paid_gets_each_step_once_and_then_a_person() {
    let told = march().tell();
    let reminders = told.reminders();
    assert_eq!(
        reminders,
        ["A before 2026-03-09", "A due 2026-03-12", "A after 2026-03-17", "A last 2026-03-21"]
    );
    assert_eq!(told.tasks(), ["final_review", "escalation"]);
    assert_eq!(told.fates("A"), ["exited completed"]);
    assert!(told.sent().iter().all(|(_, sent)| sent.status == "delivered"), "{:?}", told.sent());
}

#[test]
fn paid_in_full_before_the_next_step_ends_it() {
    let told = march().paid("2026-03-10T12:00Z", "A", "120.50").tell();
    assert_eq!(told.reminders(), ["A before 2026-03-09"]);
    assert_eq!(told.fates("A"), ["exited paid"]);
    assert!(told.tasks().is_empty());
}

const THANKS: &str = r#"
    [[template]]
    key = "thanks"
    language = "en"
    class = "confirmation"
    body = "{{ creditor }}: {{ paid }} for {{ reference }} came, thank you."
    [[rule]]
    key = "thanks"
    on = "payment.received"
    when = "reminders > 0"
    do = "send:thanks"
"#;

/// `rule day` of every text that no step sent, by the day in Berlin.
fn thanks(told: &super::Told) -> Vec<String> {
    let sent = told.sent().into_iter().filter_map(|(at, sent)| {
        Some(format!("{} {}", sent.rule.as_ref()?, super::referee::local(at, "Europe/Berlin").date()))
    });
    sent.collect()
}

#[test]
fn a_payment_of_somebody_who_was_reminded_is_confirmed_once() {
    let told = march().set(THANKS).paid("2026-03-10T12:00Z", "A", "120.50").tell();
    assert_eq!(told.reminders(), ["A before 2026-03-09"]);
    assert_eq!(thanks(&told), ["thanks 2026-03-10"]);
    let again = march().set(THANKS).paid("2026-03-10T12:00Z", "A", "120.50");
    let again = again.paid("2026-03-11T12:00Z", "A", "120.50").tell();
    assert_eq!(thanks(&again), ["thanks 2026-03-10"], "the same payment told twice");
}

#[test]
fn a_confirmation_waits_for_the_morning_and_for_its_turn() {
    let night = march().set(THANKS).paid("2026-03-10T22:00Z", "A", "120.50").tell();
    assert_eq!(thanks(&night), ["thanks 2026-03-11"]);
    let same_day = march().set(THANKS).paid("2026-03-09T14:00Z", "A", "120.50").tell();
    assert_eq!(thanks(&same_day), ["thanks 2026-03-10"]);
    let unasked = march().set(THANKS).paid("2026-03-05T14:00Z", "A", "120.50").tell();
    assert_eq!(thanks(&unasked), [""; 0], "nobody had reminded him");
    let stopped = march().set(THANKS).paid("2026-03-10T22:00Z", "A", "120.50");
    let stopped = stopped.replies("2026-03-10T23:00Z", ONE, "STOP").tell();
    assert_eq!(thanks(&stopped), [""; 0]);
    let refused = stopped.lines.iter().any(|line| {
        matches!(&line.said, Said::Rule(rule) if rule.refused.as_deref() == Some("suppression opted_out"))
    });
    assert!(refused, "{:?}", stopped.lines);
}

#[test]
fn a_confirmation_survives_a_crash_and_an_outage() {
    let told = march()
        .set(THANKS)
        .outage("2026-03-10T06:00Z", "2026-03-11T09:00Z")
        .paid("2026-03-10T12:00Z", "A", "120.50")
        .when("2026-03-10T18:00Z", What::Crash)
        .tell();
    assert_eq!(thanks(&told), ["thanks 2026-03-11"]);
}

#[test]
fn paid_between_lease_and_bytes_is_not_reminded() {
    let undisturbed = ten().tell().reminders();
    assert_eq!(undisturbed.len(), 10);
    // By then all are leased, and seven or so are written.
    let story = (0..10).fold(ten(), |story, n| story.paid("2026-03-09T09:21Z", &format!("T{n}"), "120.50"));
    let told = story.tell();
    let went = told.reminders();
    assert!((1..9).contains(&went.len()), "some had left, and some had not: {went:?}");
    assert_eq!(went, undisturbed[..went.len()]);
    assert!((0..10).all(|n| told.fates(&format!("T{n}")) == ["exited paid"]));
}

#[test]
fn paid_while_all_links_are_down_is_not_reminded_when_they_are_back() {
    let told = march()
        .outage("2026-03-09T06:00Z", "2026-03-09T15:00Z")
        .paid("2026-03-09T10:00Z", "A", "120.50")
        .tell();
    assert_eq!(told.reminders(), [""; 0]);
}

#[test]
fn a_payment_that_comes_twice_is_one_payment() {
    let told = march().paid("2026-03-10T12:00Z", "A", "60.25").paid("2026-03-11T12:00Z", "A", "60.25").tell();
    assert_eq!(told.reminders(), ALL_FOUR, "half of it is open");
}

#[test]
fn a_partial_payment_shows_in_the_next_text() {
    let told = march().paid("2026-03-10T12:00Z", "A", "100.00").tell();
    assert_eq!(told.reminders(), ALL_FOUR);
    let shown: Vec<bool> = told.sent().iter().map(|(_, sent)| sent.text.contains("20.50")).collect();
    assert_eq!(shown, [true; 4], "120.50 and 20.50");
    let old: Vec<bool> = told.sent().iter().map(|(_, sent)| sent.text.contains("120.50")).collect();
    assert_eq!(old, [true, false, false, false]);
}

#[test]
fn a_partial_payment_between_lease_and_bytes_is_in_the_text_that_goes() {
    let story = (0..10).fold(ten(), |story, n| story.paid("2026-03-09T09:21Z", &format!("T{n}"), "100.00"));
    let told = story.tell();
    assert_eq!(told.reminders().len(), 10, "each once");
    let cut = at("2026-03-09T09:21Z");
    for (when, sent) in told.sent() {
        assert_eq!(sent.text.contains("120.50"), when <= cut, "{when} {}", sent.text);
    }
}

#[test]
fn a_partial_payment_between_lease_and_bytes_of_the_last_step_leaves_it_its_text() {
    let story = Story::new("2026-03-10T00:00Z", "2026-04-01T00:00Z").links(SLOW).set(
        r#"
        [[sequence]]
        key = "standard"
        [[sequence.step]]
        id = "only"
        offset = "0d"
        at = "10:00"
        template = "text"
    "#,
    );
    let story = (0..10).fold(story, |story, n| story.case(&format!("T{n}"), &number(n), "2026-03-12"));
    let told =
        (0..10).fold(story, |story, n| story.paid("2026-03-12T09:21Z", &format!("T{n}"), "100.00")).tell();
    assert_eq!(told.reminders().len(), 10);
    assert!(told.sent().iter().any(|(_, sent)| !sent.text.contains("120.50")));
}

#[test]
fn a_payment_that_goes_back_begins_a_new_cycle() {
    let told =
        march().paid("2026-03-10T12:00Z", "A", "120.50").reversed("2026-03-15T12:00Z", "A", "120.50").tell();
    let reminders = told.reminders();
    assert_eq!(
        reminders,
        ["A before 2026-03-09", "A after 2026-03-17", "A last 2026-03-21"],
        "what passed is stale"
    );
}

#[test]
fn a_payment_that_goes_back_begins_the_sequence_for_it_where_there_is_one() {
    let told = march()
        .set(
            r#"
            [[sequence]]
            key = "returned_debit"
            [[sequence.step]]
            id = "returned"
            offset = "+6d"
            at = "10:00"
            template = "asking"
        "#,
        )
        .paid("2026-03-10T12:00Z", "A", "120.50")
        .reversed("2026-03-15T12:00Z", "A", "120.50")
        .tell();
    assert_eq!(
        told.reminders(),
        ["A before 2026-03-09", "A returned 2026-03-21"],
        "six days after it came back"
    );
}

#[test]
fn a_due_date_that_moves_away_moves_what_is_left_and_repeats_nothing() {
    let told = march().moved("2026-03-10T12:00Z", "A", "2026-03-20").tell();
    let reminders = told.reminders();
    assert_eq!(
        reminders,
        ["A before 2026-03-09", "A due 2026-03-20", "A after 2026-03-25", "A last 2026-03-30"]
    );
}

#[test]
fn a_due_date_that_moves_near_leaves_out_what_it_passed() {
    // From the 30th to the 6th: `before` would have been on the 3rd, `due` was yesterday and may still go.
    let told = Story::new("2026-03-02T00:00Z", "2026-04-01T00:00Z")
        .case("A", ONE, "2026-03-30")
        .moved("2026-03-07T07:00Z", "A", "2026-03-06")
        .tell();
    let reminders = told.reminders();
    assert_eq!(reminders, ["A due 2026-03-07", "A after 2026-03-11", "A last 2026-03-16"]);
    assert_eq!(
        told.refusals("A").iter().filter(|r| r.contains("stale")).count(),
        1,
        "{:?}",
        told.refusals("A")
    );
}

#[test]
fn an_amount_that_changes_is_in_the_next_text_and_a_fresh_text_with_the_old_one_is_a_task() {
    let again = cases(&format!(
        "external_id,creditor,phone,amount,currency,due_date,timezone,country
         A,acme,{ONE},99.00,EUR,2026-03-12,Europe/Berlin,DE"
    ));
    let row = |case: nudged::reminder::import::Case| Change::Case { row: case.hash(), case: Box::new(case) };
    let changes: Vec<Change> = again.into_iter().map(row).collect();
    let told = march().when("2026-03-09T12:00Z", What::Changes(changes)).tell();
    assert_eq!(told.reminders(), ALL_FOUR);
    assert_eq!(told.tasks()[0], "correction");
    assert!(told.sent().iter().skip(1).all(|(_, sent)| sent.text.contains("99.00")));
}

#[test]
fn stop_ends_it_with_one_confirmation() {
    let told = march().replies("2026-03-10T12:00Z", ONE, "STOP").tell();
    assert_eq!(told.reminders(), ["A before 2026-03-09"]);
    assert_eq!(told.fates("A"), ["exited opted_out"]);
    assert_eq!(told.sent().len(), 2, "the reminder and the confirmation");
}

#[test]
fn stop_between_lease_and_bytes_stops() {
    let story = (0..10).fold(ten(), |story, n| story.replies("2026-03-09T09:21Z", &number(n), "STOP"));
    let told = story.tell();
    let went = told.reminders().len();
    assert!((1..9).contains(&went), "some had left, and some had not: {went}");
}

#[test]
fn stop_while_the_link_is_down_is_heard_before_anything_goes() {
    let told = march()
        .outage("2026-03-09T06:00Z", "2026-03-09T15:00Z")
        .replies("2026-03-09T10:00Z", ONE, "STOP")
        .tell();
    assert_eq!(told.reminders(), [""; 0]);
}

#[test]
fn stop_counts_for_every_creditor_of_the_number() {
    let told = march()
        .rows(&format!(
            "external_id,creditor,phone,amount,currency,due_date,timezone,country
             B,other,{ONE},10.00,EUR,2026-03-18,Europe/Berlin,DE"
        ))
        .replies("2026-03-10T12:00Z", ONE, "STOP")
        .tell();
    assert_eq!(told.reminders(), ["A before 2026-03-09"]);
    assert_eq!(told.fates("B"), ["exited opted_out"]);
}

#[test]
fn start_lifts_a_stop_and_begins_nothing_by_itself() {
    let told =
        march().replies("2026-03-10T12:00Z", ONE, "STOP").replies("2026-03-11T12:00Z", ONE, "START").tell();
    assert_eq!(told.reminders(), ["A before 2026-03-09"]);
    assert!(told.lines.iter().any(|line| matches!(line.said, Said::Consent(_))));
}

#[test]
fn a_number_that_nobody_has_gets_nothing_more_and_a_person_looks() {
    let told = march().fate(ONE, Fate::Refused).tell();
    assert_eq!(told.reminders(), ["A before 2026-03-09"]);
    assert_eq!(told.tasks(), ["delivery"]);
    assert_eq!(told.fates("A"), ["exited invalid_number"]);
}

#[test]
fn another_number_of_the_contact_takes_the_place_of_a_dead_one() {
    let second = "+4915112345672";
    let told = Story::new("2026-03-02T00:00Z", "2026-04-01T00:00Z")
        .rows(&format!(
            "external_id,creditor,phone,phone2,amount,currency,due_date,timezone,country
             A,acme,{ONE},{second},120.50,EUR,2026-03-12,Europe/Berlin,DE"
        ))
        .fate(ONE, Fate::Refused)
        .tell();
    let to: Vec<&str> = told.sent().iter().map(|(_, sent)| sent.to.as_str()).collect();
    assert_eq!(to, [ONE, second, second, second, second], "what was refused for certain goes there");
    assert_eq!(told.tasks()[0], "delivery");
}

#[test]
fn deliveries_that_fail_again_and_again_are_a_task() {
    let told = march().fate(ONE, Fate::Undelivered).tell();
    assert_eq!(told.reminders(), ALL_FOUR, "none is sent again");
    assert!(told.tasks().contains(&String::from("delivery")), "{:?}", told.tasks());
}

#[test]
fn no_receipt_counts_as_sent_and_sends_nothing_again() {
    let told = march().fate(ONE, Fate::Silent).tell();
    assert_eq!(told.reminders(), ALL_FOUR);
    assert!(told.sent().iter().all(|(_, sent)| sent.status == "sent"));
}

#[test]
fn what_is_unknown_is_not_sent_again_and_counts_for_the_caps() {
    let told = march().fate(ONE, Fate::Unanswered).tell();
    assert_eq!(told.reminders(), ALL_FOUR);
    assert!(told.sent().iter().all(|(_, sent)| sent.status == "unknown"));
}

#[test]
fn whatever_a_person_writes_waits_for_a_person() {
    for text in [
        "wrong number",
        "I will pay on Friday",
        "already paid",
        "I do not owe this",
        "I lost my job",
        "who is this?",
    ] {
        let told = march().replies("2026-03-10T12:00Z", ONE, text).tell();
        assert_eq!(told.reminders(), ["A before 2026-03-09"], "{text}");
        assert_eq!(told.tasks()[0], "review", "{text}");
    }
}

#[test]
fn a_reply_while_texts_wait_for_their_bytes_holds_them_back() {
    let story =
        (0..10).fold(ten(), |story, n| story.replies("2026-03-09T09:21Z", &number(n), "who is this?"));
    let told = story.tell();
    let went = told.reminders().len();
    assert!((1..9).contains(&went), "some had left, and some had not: {went}");
    assert_eq!(told.tasks().len(), 10);
}

#[test]
fn a_person_who_has_read_it_lets_the_reminders_go_on() {
    let told = march()
        .replies("2026-03-10T12:00Z", ONE, "who is this?")
        .done("2026-03-16T12:00Z", "A", TaskOutcome::Resume)
        .tell();
    assert_eq!(told.reminders(), ["A before 2026-03-09", "A after 2026-03-17", "A last 2026-03-21"]);
}

#[test]
fn a_reply_that_may_mean_stop_holds_the_number_until_a_person_decides() {
    let story = || march().replies("2026-03-10T12:00Z", ONE, "please stop this nonsense");
    assert_eq!(story().tell().reminders(), ["A before 2026-03-09"]);
    let suppressed = story().done("2026-03-11T12:00Z", "A", TaskOutcome::Suppress).tell();
    assert_eq!(suppressed.reminders(), ["A before 2026-03-09"]);
    assert_eq!(suppressed.fates("A"), ["exited opted_out"]);
}

#[test]
fn a_machine_that_answers_changes_nothing() {
    for text in ["Liked \u{201c}Acme GmbH: 120.50\u{201d}", "\u{1F44D}"] {
        assert_eq!(march().replies("2026-03-10T12:00Z", ONE, text).tell().reminders(), ALL_FOUR, "{text}");
    }
}

#[test]
fn a_promise_makes_the_reminders_wait_and_the_money_keeps_it() {
    let promise = |date: &str, amount| {
        What::Changes(vec![Change::Promise { which: which("A"), date: date.parse().unwrap(), amount }])
    };
    let kept = march()
        .when("2026-03-10T12:00Z", promise("2026-03-13", None))
        .paid("2026-03-13T12:00Z", "A", "120.50")
        .tell();
    assert_eq!(kept.reminders(), ["A before 2026-03-09"]);
    assert_eq!(kept.fates("A"), ["paused promise", "promise made", "promise kept", "exited paid"]);

    let broken = march().when("2026-03-10T12:00Z", promise("2026-03-13", None)).tell();
    // Friday, and one business day after it: until the end of Monday.
    assert_eq!(broken.reminders(), ["A before 2026-03-09", "A after 2026-03-17", "A last 2026-03-21"]);
    assert_eq!(broken.tasks()[0], "broken_promise");

    let part = Some(super::eur("20.00"));
    let part = march()
        .when("2026-03-10T12:00Z", promise("2026-03-13", part))
        .paid("2026-03-11T10:00Z", "A", "20.00")
        .tell();
    assert_eq!(part.reminders(), ALL_FOUR, "what was promised came, and the rest is owed");
}

#[test]
fn a_promise_that_lies_far_ahead_is_for_a_person() {
    let change = Change::Promise { which: which("A"), date: "2026-05-13".parse().unwrap(), amount: None };
    let told = march().when("2026-03-10T12:00Z", What::Changes(vec![change])).tell();
    assert_eq!(told.reminders(), ["A before 2026-03-09"]);
    assert_eq!(told.tasks(), ["promise"]);
}

#[test]
fn a_dispute_waits_for_a_person_however_long() {
    let dispute = || Change::Dispute { which: which("A"), reason: String::from("never got the goods") };
    let told = march().when("2026-03-10T12:00Z", What::Changes(vec![dispute()])).tell();
    assert_eq!(told.reminders(), ["A before 2026-03-09"]);
    assert_eq!(told.tasks(), ["dispute"]);
    let settled = march()
        .when("2026-03-10T12:00Z", What::Changes(vec![dispute()]))
        .done("2026-03-16T12:00Z", "A", TaskOutcome::Resume)
        .tell();
    assert_eq!(settled.reminders(), ["A before 2026-03-09", "A after 2026-03-17", "A last 2026-03-21"]);
}

#[test]
fn hardship_and_a_paid_claim_wait_as_long_as_a_person_says() {
    let pause = |reason, until: Option<&str>| {
        let until = until.map(at);
        What::Changes(vec![Change::PauseEnrolment { which: which("A"), reason, until }])
    };
    let hardship = march().when("2026-03-10T12:00Z", pause(PauseReason::Hardship, None)).tell();
    assert_eq!(hardship.reminders(), ["A before 2026-03-09"]);
    let claim = pause(PauseReason::PaidClaim, Some("2026-03-15T12:00Z"));
    let claim = march().when("2026-03-10T12:00Z", claim).tell();
    assert_eq!(claim.reminders(), ["A before 2026-03-09", "A after 2026-03-17", "A last 2026-03-21"]);
}

#[test]
fn a_menu_answers_once_and_only_for_its_text() {
    // The menu came with `after`, on the 17th.
    let told = march().replies("2026-03-17T17:00Z", ONE, "1").tell();
    assert_eq!(told.reminders(), ALL_FOUR[..3]);
    assert_eq!(told.tasks(), ["callback"]);
    assert_eq!(told.fates("A"), ["paused review"]);

    let twice =
        march().replies("2026-03-17T17:00Z", ONE, "1").replies("2026-03-17T17:05Z", ONE, "one").tell();
    assert_eq!(twice.tasks(), ["callback"], "the same answer again is the same answer");

    let other = march().replies("2026-03-17T17:00Z", ONE, "3").replies("2026-03-17T17:05Z", ONE, "1").tell();
    assert_eq!(other.tasks()[0], "review", "another answer after it is for a person");

    let none = march().replies("2026-03-10T12:00Z", ONE, "1").tell();
    assert_eq!(none.tasks()[0], "review", "the text of the 9th had no menu");
}

#[test]
fn a_menu_that_is_too_old_is_for_a_person() {
    let told = march().replies("2026-03-20T18:00Z", ONE, "3").tell();
    assert_eq!(told.tasks()[0], "review");
    assert_eq!(told.reminders(), ALL_FOUR[..3]);
}

#[test]
fn a_menu_may_make_the_reminders_wait_for_a_while() {
    let told = march().replies("2026-03-17T17:00Z", ONE, "3").tell();
    assert_eq!(told.reminders(), ALL_FOUR);
    assert_eq!(told.fates("A"), ["paused manual", "exited completed"]);
}

#[test]
fn who_asks_to_pay_where_nobody_takes_payments_gets_the_link_and_a_person() {
    let story = Story::new("2026-03-02T00:00Z", "2026-04-01T00:00Z").rows(&format!(
        "external_id,creditor,phone,amount,currency,due_date,timezone,country,link
         A,acme,{ONE},120.50,EUR,2026-03-12,Europe/Berlin,DE,https://pay.acme.example/i/{{token}}"
    ));
    let told = story.replies("2026-03-17T17:00Z", ONE, "2").tell();
    assert_eq!(told.tasks()[0], "pay");
    let texts = told.sent();
    let answer = texts.iter().find(|(_, sent)| sent.obligation.is_none());
    assert!(answer.is_some_and(|(_, sent)| sent.text.contains("https://pay.acme.example/i/")), "{texts:?}");
}

/// The token in a text that was sent: the same plan makes the same one again.
fn token(told: &super::Told) -> u64 {
    let texts = told.sent();
    let text = &texts.first().expect("a text").1.text;
    let token = text.split("/i/").nth(1).expect("a link").split_whitespace().next().unwrap();
    Token::parse(token).unwrap().as_u64()
}

#[test]
fn a_click_is_told_and_changes_nothing_unless_the_sequence_ends_on_it() {
    let exits = r#"
        [[template]]
        key = "text"
        language = "en"
        class = "reminder"
        body = "{{ creditor }}: {{ amount }} for {{ reference }}: {{ link }}"
    "#;
    let story = || {
        Story::new("2026-03-02T00:00Z", "2026-04-01T00:00Z").set(exits).rows(&format!(
            "external_id,creditor,phone,amount,currency,due_date,timezone,country,link
             A,acme,{ONE},120.50,EUR,2026-03-12,Europe/Berlin,DE,https://pay.acme.example/i/{{token}}"
        ))
    };
    let token = token(&story().tell());
    let click = |human| What::Changes(vec![Change::Click { token, human }]);
    assert_eq!(story().when("2026-03-09T12:00Z", click(true)).tell().reminders(), ALL_FOUR);
    let ends = || {
        story().set(
            r#"
            [[sequence]]
            key = "standard"
            exits = ["click"]
            [[sequence.step]]
            id = "before"
            offset = "-3d"
            at = "10:00"
            template = "text"
            [[sequence.step]]
            id = "due"
            offset = "0d"
            at = "10:00"
            template = "text"
        "#,
        )
    };
    assert_eq!(ends().when("2026-03-09T12:00Z", click(true)).tell().reminders(), ALL_FOUR[..1]);
    assert_eq!(ends().when("2026-03-09T12:00Z", click(false)).tell().reminders(), ALL_FOUR[..2], "a scanner");
}

#[test]
fn what_a_person_made_of_a_task_is_done() {
    let story = || march().replies("2026-03-10T12:00Z", ONE, "please call me");
    let extend = TaskOutcome::Extend { due_date: "2026-03-20".parse().unwrap() };
    let extended = story().done("2026-03-11T12:00Z", "A", extend).tell();
    let reminders = extended.reminders();
    assert_eq!(
        reminders,
        ["A before 2026-03-09", "A due 2026-03-20", "A after 2026-03-25", "A last 2026-03-30"]
    );

    let last = story().done("2026-03-11T12:00Z", "A", TaskOutcome::Final).tell();
    assert_eq!(last.reminders(), ["A before 2026-03-09", "A last 2026-03-21"]);

    let plan = story().done("2026-03-11T12:00Z", "A", TaskOutcome::Plan).tell();
    assert_eq!(plan.reminders(), ["A before 2026-03-09"]);
    let handed = story().done("2026-03-11T12:00Z", "A", TaskOutcome::HandOver).tell();
    assert_eq!(handed.fates("A"), ["exited handed_over"]);
    let paid = story().done("2026-03-11T12:00Z", "A", TaskOutcome::Paid).tell();
    assert_eq!(paid.fates("A"), ["exited paid"]);

    let number = Msisdn::parse_e164("+4915112345679").unwrap();
    let corrected = story().done("2026-03-11T12:00Z", "A", TaskOutcome::CorrectNumber { number });
    let corrected = corrected.law(|law| {
        law.zones.insert(String::from("+4915112345679"), vec!["Europe/Berlin"]);
    });
    let corrected = corrected.tell();
    let to: Vec<&str> = corrected.sent().iter().map(|(_, sent)| sent.to.as_str()).collect();
    assert_eq!(to, [ONE, "+4915112345679", "+4915112345679", "+4915112345679"]);
}

#[test]
fn a_task_that_nobody_does_says_so() {
    let told = march().replies("2026-03-10T12:00Z", ONE, "please call me").tell();
    let overdue =
        told.lines.iter().any(|line| matches!(&line.said, Said::Task(task) if task.state == "overdue"));
    assert!(overdue);
}

#[test]
fn after_so_many_reminders_a_person_decides_and_nothing_more_goes() {
    let told = march()
        .set(
            r#"
            [[sequence]]
            key = "standard"
            escalate = { after = 2, task = "follow_up", pause = true }
            [[sequence.step]]
            id = "before"
            offset = "-3d"
            at = "10:00"
            template = "text"
            [[sequence.step]]
            id = "due"
            offset = "0d"
            at = "10:00"
            template = "text"
            [[sequence.step]]
            id = "after"
            offset = "+5d"
            at = "17:00"
            template = "asking"
        "#,
        )
        .tell();
    assert_eq!(told.reminders(), ALL_FOUR[..2]);
    assert_eq!(told.tasks(), ["follow_up"]);
}
