//! What holds a reminder between its step and the wire: refusals, recalls, a full queue, a clock in doubt.

use super::firm::*;
use nudged::engine::Command;
use nudged::engine::core::Input;
use nudged::engine::reminders::change::{ObligationDraft, Owner, Which};
use nudged::engine::reminders::{Change, Happened};
use nudged::link::Outcome;
use nudged::message::{Cause, Reason};
use nudged::reminder::consent::{Actor, ConsentEvent, ConsentKind};
use nudged::reminder::enrolment::{EnrolmentState, PauseReason};
use nudged::reminder::import::case::{self, Case};
use nudged::reminder::task::TaskOutcome;
use nudged::retry::RetryClass;
use std::time::Duration;
use tokio::sync::oneshot;

const ONE: &str = r#"
[[creditor]]
key = "acme"
name = "Acme GmbH"
sender_role = "first_party"
language = "en"
timezone = "Europe/Berlin"
[[template]]
key = "due"
language = "en"
class = "reminder"
body = "Due: {{ amount }} for {{ reference }} of {{ creditor }} on {{ due_date }}."
[[sequence]]
key = "standard"
[[sequence.step]]
id = "only"
offset = "-2d"
at = "10:00"
template = "due"
"#;

fn throttled(firm: &mut Firm) {
    firm.answer(&Outcome::Refused {
        cause: Cause::plain(Reason::SmscThrottled),
        retry: RetryClass::Temporary,
    });
}

#[test]
fn the_last_step_is_tried_again_after_a_temporary_refusal() {
    let mut firm = Firm::with(ONE);
    let id = firm.owe("inv-1", 1, november(25));
    firm.to_next(id);
    assert_eq!(firm.sent.len(), 1);
    throttled(&mut firm);
    firm.live(HOUR * 8);
    assert_eq!(firm.sent.len(), 2, "the retry");
    assert_eq!(firm.sent[0].id, firm.sent[1].id, "the same message, by the retry plan");
}

#[test]
fn the_last_step_handed_back_goes() {
    let mut firm = Firm::with(ONE);
    let id = firm.owe("inv-1", 1, november(25));
    firm.to_next(id);
    firm.hand_back();
    firm.live(HOUR * 8);
    assert_eq!(firm.sent.len(), 2);
}

#[test]
fn a_refusal_for_good_is_no_storm() {
    let mut firm = Firm::with(SET_UP);
    let id = firm.owe("inv-1", 1, november(25));
    firm.to_next(id);
    for _ in 0..200 {
        firm.refuse(Reason::SmscBadSender);
    }
    assert!(firm.sent.len() < 5, "{} sendings", firm.sent.len());
}

#[test]
fn a_clock_set_forward_breaks_no_promise() {
    let mut firm = Firm::with(SET_UP);
    let id = firm.owe("inv-1", 1, november(25));
    firm.change(Change::Promise { which: Which::Id(id), date: november(27), amount: None }).unwrap();
    firm.clock.jump(MONDAY.saturating_add(DAY * 30));
    firm.step(Vec::new());
    assert!(!firm.happened(id).contains(&Happened::PromiseBroken), "{:?}", firm.state_of(id));
}

#[test]
fn a_review_that_ends_with_another_date_ends() {
    let mut firm = Firm::with(SET_UP);
    let id = firm.owe("inv-1", 1, november(25));
    firm.to_next(id);
    firm.accept();
    firm.reply(1, "My dog ate the letter, can I have until December");
    assert!(firm.phone(1).review.is_some());
    firm.done("review", TaskOutcome::Extend { due_date: november(35) }).unwrap();
    firm.live(DAY * 30);
    assert!(firm.phone(1).review.is_none(), "sent {:?}", firm.steps_sent());
}

#[test]
fn a_canceled_reminder_does_not_go() {
    let mut firm = Firm::make(SET_UP, 10, MONDAY);
    firm.up();
    let id = firm.owe("inv-1", 1, november(25));
    firm.to_next(id);
    let message = firm.sent[0].id;
    let (reply, mut answer) = oneshot::channel();
    firm.step(vec![Input::Command(Command::Cancel { id: message, reply })]);
    firm.hand_back();
    firm.live(HOUR * 4);
    assert_eq!(firm.sent.len(), 1);
}

#[test]
fn a_number_that_was_called_bad_by_mistake_can_be_put_right() {
    let mut firm = Firm::with(SET_UP);
    let id = firm.owe("inv-1", 1, november(25));
    firm.to_next(id);
    firm.refuse(Reason::SmscBadDestination);
    firm.done("delivery", TaskOutcome::CorrectNumber { number: number(1) }).unwrap();
    firm.change(Change::Enrol { which: Which::Id(id), sequence: key("standard") }).unwrap();
    firm.live(DAY * 10);
    assert!(firm.sent.len() > 1);
}

#[test]
fn one_parked_reminder_stops_nobody_else() {
    let mut firm = Firm::make(SET_UP, 1, MONDAY);
    firm.up();
    // An urgent message to number 1 waits for its retry.
    let mut urgent = crate::support::draft(number(2), "code 1234");
    urgent.priority = nudged::message::Priority::new(9).unwrap();
    urgent.valid_until = Some(MONDAY.saturating_add(DAY));
    let a = firm.owe("inv-1", 1, november(25));
    let b = firm.owe("inv-2", 2, november(25));
    let first = firm.next_at(a).unwrap();
    let second = firm.next_at(b).unwrap();
    let (at, _) = (first.min(second), 0);
    firm.pass_until(at.saturating_sub(Duration::from_secs(60)));
    firm.send(urgent);
    throttled(&mut firm);
    firm.sent.clear();
    for _ in 0..24 {
        firm.pass(HOUR / 12);
        if firm.open.iter().any(|(_, s)| s.text.starts_with("code")) {
            throttled(&mut firm)
        } else {
            firm.accept()
        }
    }
    let last = firm.sent.iter().map(|s| (s.at.to_rfc3339(), s.text.clone())).collect::<Vec<_>>();
    assert!(
        firm.sent.iter().any(|s| s.to == number(1) && s.at < first.max(second).saturating_add(HOUR / 6)),
        "{last:?} gone {:?} {:?}",
        firm.gone(a),
        firm.gone(b)
    );
}

#[test]
fn a_reminder_of_a_part_at_the_network_counts_when_the_rest_expires() {
    let long = SET_UP.replace("on {{ due_date }}.", "on {{ due_date }}. Please pay in time so that no further costs arise for you, and write to us if you cannot, we shall surely find a way that fits us both, in parts or later, whatever.");
    let mut firm = Firm::make(&long, 1, MONDAY);
    firm.up();
    let id = firm.owe("inv-1", 1, november(25));
    firm.to_next(id);
    assert_eq!(firm.open.len(), 1);
    firm.answer(&Outcome::Accepted { reference: nudged::message::Reference("r1".into()) });
    assert_eq!(firm.sent.len(), 2, "{:?}", firm.texts());
    firm.hand_back();
    firm.down();
    firm.pass(HOUR * 14);
    assert_eq!(firm.gone(id), ["before"]);
}

#[test]
fn a_full_queue_does_not_keep_the_core_busy() {
    let mut firm = Firm::without_link(SET_UP);
    firm.settings.queue.max_queued = 1;
    firm.crash();
    let mut later = crate::support::draft(number(9), "later");
    later.send_at = Some(MONDAY.saturating_add(DAY * 2));
    firm.send(later);
    let id = firm.owe("inv-1", 1, november(25));
    firm.to_next(id);
}
#[test]
fn what_a_wrong_clock_says_ends_no_sequence() {
    let mut firm = Firm::with(SET_UP);
    let id = firm.owe("inv-1", 1, november(30));
    firm.clock.jump(MONDAY.saturating_add(DAY * 60));
    firm.step(Vec::new());
    firm.pay(id, "p1", 100);
    firm.clock.jump(MONDAY.saturating_add(Duration::from_secs(5)));
    firm.step(Vec::new());
    firm.live(DAY * 30);
    assert_eq!(firm.steps_sent(), ["before", "after", "last"], "{:?}", firm.state_of(id));
}
#[test]
fn what_is_paid_asks_nobody_to_follow_up() {
    let mut firm = Firm::with(&SET_UP.replacen(
        "template = \"due\"\n",
        "template = \"due\"\ntask_after = \"look\"\n",
        1,
    ));
    let id = firm.owe("inv-1", 1, november(25));
    firm.to_next(id);
    firm.pay(id, "p1", 12_000);
    firm.accept();
    assert!(firm.open_kinds().is_empty(), "{:?}", firm.open_kinds());
}
#[test]
fn the_rest_of_a_text_does_not_follow_a_payment() {
    let long = SET_UP.replace("on {{ due_date }}.", "on {{ due_date }}. Please pay in time so that no further costs arise for you, and write to us if you cannot, we shall surely find a way that fits us both, in parts or later, whatever.");
    let mut firm = Firm::make(&long, 1, MONDAY);
    firm.up();
    let id = firm.owe("inv-1", 1, november(25));
    firm.to_next(id);
    firm.pay(id, "p1", 12_000);
    firm.answer(&Outcome::Accepted { reference: nudged::message::Reference("r1".into()) });
    assert_eq!(firm.sent.len(), 1, "{:?}", firm.texts());
}
