//! Failing tests of the review.
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
fn f1_the_last_step_is_tried_again_after_a_temporary_refusal() {
    let mut firm = Firm::with(ONE);
    let id = firm.owe("inv-1", 1, november(25));
    firm.to_next(id);
    assert_eq!(firm.sent.len(), 1);
    throttled(&mut firm);
    firm.live(HOUR * 8);
    eprintln!("{:?} {:?}", firm.state_of(id), firm.happened(id));
    assert_eq!(firm.sent.len(), 2, "the retry");
    assert_eq!(firm.sent[0].id, firm.sent[1].id, "the same message, by the retry plan");
}

#[test]
fn f1b_the_last_step_handed_back_goes() {
    let mut firm = Firm::with(ONE);
    let id = firm.owe("inv-1", 1, november(25));
    firm.to_next(id);
    firm.hand_back();
    firm.live(HOUR * 8);
    assert_eq!(firm.sent.len(), 2);
}

#[test]
fn f2_a_refusal_for_good_is_no_storm() {
    let mut firm = Firm::with(SET_UP);
    let id = firm.owe("inv-1", 1, november(25));
    firm.to_next(id);
    for _ in 0..200 {
        firm.refuse(Reason::SmscBadSender);
    }
    assert!(firm.sent.len() < 5, "{} sendings", firm.sent.len());
}

#[test]
fn f3_a_clock_set_forward_breaks_no_promise() {
    let mut firm = Firm::with(SET_UP);
    let id = firm.owe("inv-1", 1, november(25));
    firm.change(Change::Promise { which: Which::Id(id), date: november(27), amount: None }).unwrap();
    firm.clock.jump(MONDAY.saturating_add(DAY * 30));
    firm.step(Vec::new());
    assert!(!firm.happened(id).contains(&Happened::PromiseBroken), "{:?}", firm.state_of(id));
}

#[test]
fn f4_a_review_that_ends_with_another_date_ends() {
    let mut firm = Firm::with(SET_UP);
    let id = firm.owe("inv-1", 1, november(25));
    firm.to_next(id);
    firm.accept();
    firm.reply(1, "My dog ate the letter, can I have until December");
    assert!(firm.phone(1).review.is_some());
    firm.done("review", TaskOutcome::Extend { due_date: november(35) }).unwrap();
    firm.live(DAY * 30);
    eprintln!("{:?}", firm.open_kinds());
    assert!(firm.phone(1).review.is_none(), "sent {:?}", firm.steps_sent());
}

#[test]
fn f5_extend_to_the_same_date_resumes() {
    let mut firm = Firm::with(SET_UP);
    let id = firm.owe("inv-1", 1, november(25));
    firm.change(Change::OpenTask {
        kind: key("look"),
        which: Some(Which::Id(id)),
        note: String::new(),
        due: None,
    })
    .unwrap();
    firm.change(Change::PauseEnrolment { which: Which::Id(id), reason: PauseReason::Review, until: None })
        .unwrap();
    firm.done("look", TaskOutcome::Extend { due_date: november(25) }).unwrap();
    assert!(matches!(firm.state_of(id), EnrolmentState::Active), "{:?}", firm.happened(id));
}

#[test]
fn f6_a_corrected_due_date_is_reminded_of() {
    let mut firm = Firm::with(SET_UP);
    let id = firm.owe("inv-1", 1, november(1));
    firm.owe("inv-1", 1, november(30));
    firm.live(DAY * 30);
    eprintln!("{:?}", firm.state_of(id));
    assert_eq!(firm.steps_sent(), ["before", "after", "last"]);
}

#[test]
fn f7_a_canceled_reminder_does_not_go() {
    let mut firm = Firm::make(SET_UP, 10, MONDAY);
    firm.up();
    let id = firm.owe("inv-1", 1, november(25));
    firm.to_next(id);
    let message = firm.sent[0].id;
    let (reply, mut answer) = oneshot::channel();
    firm.step(vec![Input::Command(Command::Cancel { id: message, reply })]);
    firm.hand_back();
    eprintln!("{:?}", answer.try_recv());
    firm.live(HOUR * 4);
    assert_eq!(firm.sent.len(), 1);
}

#[test]
fn f8_a_number_that_was_called_bad_by_mistake_can_be_put_right() {
    let mut firm = Firm::with(SET_UP);
    let id = firm.owe("inv-1", 1, november(25));
    firm.to_next(id);
    firm.refuse(Reason::SmscBadDestination);
    eprintln!("{:?} {:?}", firm.state_of(id), firm.open_kinds());
    firm.done("delivery", TaskOutcome::CorrectNumber { number: number(1) }).unwrap();
    firm.change(Change::Enrol { which: Which::Id(id), sequence: key("standard") }).unwrap();
    firm.live(DAY * 10);
    eprintln!("{:?} {:?} {:?}", firm.state_of(id), firm.open_kinds(), firm.phone(1).status);
    assert!(firm.sent.len() > 1);
}

fn row(amount: i64) -> Case {
    let contact = external("con-1");
    Case {
        external_id: external("inv-1"),
        creditor: key("acme"),
        account: contact.clone(),
        contact,
        phone: number(1),
        phone2: None,
        amount: eur(amount),
        min_due: None,
        due_date: november(25),
        first_name: None,
        last_name: None,
        company: None,
        kind: None,
        language: None,
        country: None,
        region: None,
        postcode: None,
        timezone: None,
        description: None,
        link: None,
        sequence: None,
        case_manager: None,
        consent: Some(case::Consent { kind: case::ConsentKind::Imported, source: None, at: None }),
        custom: Default::default(),
    }
}

#[test]
fn f9_a_row_again_keeps_wishes_and_attorney() {
    let mut firm = Firm::with(SET_UP);
    firm.change(Change::Case { case: Box::new(row(100)), row: [1; 16] }).unwrap();
    let mut own = contact(&[1]);
    own.custom.insert("attorney".into(), "Dr. Recht".into());
    own.days = serde_json::from_value(serde_json::json!(["mon"])).unwrap();
    firm.change(Change::Contact(Box::new(own))).unwrap();
    firm.change(Change::Case { case: Box::new(row(200)), row: [2; 16] }).unwrap();
    let id = *firm.obligations().keys().next().unwrap();
    let kept = firm.contact(id).contact;
    assert!(kept.custom.contains_key("attorney") && !kept.days.is_empty(), "{kept:?}");
}

#[test]
fn f10_a_bare_yes_in_a_file_does_not_undo_a_revocation() {
    let mut firm = Firm::with(SET_UP);
    firm.change(Change::Case { case: Box::new(row(100)), row: [1; 16] }).unwrap();
    firm.pass(HOUR / 4);
    let event = ConsentEvent {
        kind: ConsentKind::Revoked,
        at: firm.clock.now().wall,
        channel: None,
        wording: None,
        evidence: None,
        actor: Actor::Contact,
    };
    firm.change(Change::Consent { phone: number(1), creditor: None, event }).unwrap();
    firm.pass(HOUR / 4);
    firm.change(Change::Case { case: Box::new(row(200)), row: [2; 16] }).unwrap();
    let id = *firm.obligations().keys().next().unwrap();
    eprintln!("{:?}", firm.state_of(id));
    assert!(
        firm.phone(1)
            .consents
            .iter()
            .fold(nudged::reminder::consent::Standing::default(), |a, (_, s)| a.joined(*s))
            .is_revoked()
    );
}

#[test]
fn f11_enrolling_twice_is_enrolling_once() {
    let mut firm = Firm::with(SET_UP);
    let id = firm.owe("inv-1", 1, november(25));
    firm.to_next(id);
    firm.accept();
    firm.change(Change::Enrol { which: Which::Id(id), sequence: key("standard") }).unwrap();
    firm.live(DAY * 3);
    assert_eq!(firm.steps_sent(), ["before"]);
}

#[test]
fn f12_a_returned_debit_is_spoken_of() {
    let more = format!(
        "{SET_UP}\n[[sequence]]\nkey = \"returned_debit\"\n[[sequence.step]]\nid = \"returned\"\noffset = \"+1d\"\nat = \"10:00\"\ntemplate = \"late\"\n"
    );
    let mut firm = Firm::with(&more);
    let id = firm.owe("inv-1", 1, november(25));
    firm.pay(id, "p1", 12_000);
    firm.live(DAY * 8);
    firm.reverse(id, "p1", 12_000);
    firm.live(DAY * 8);
    assert_eq!(firm.steps_sent(), ["returned"], "{:?}", firm.state_of(id));
}

#[test]
fn f13_a_promise_or_hardship_pause_outlives_another_sequence_in_a_file() {
    let more = format!(
        "{SET_UP}\n[[sequence]]\nkey = \"other\"\n[[sequence.step]]\nid = \"o\"\noffset = \"-1d\"\nat = \"10:00\"\ntemplate = \"due\"\n"
    );
    let mut firm = Firm::with(&more);
    let id = firm.owe("inv-1", 1, november(25));
    firm.change(Change::PauseEnrolment { which: Which::Id(id), reason: PauseReason::Hardship, until: None })
        .unwrap();
    let again = ObligationDraft { sequence: Some(key("other")), ..draft("inv-1", 1, november(25)) };
    firm.try_owe(again).unwrap();
    firm.live(DAY * 3);
    assert!(firm.sent.is_empty(), "{:?}", firm.steps_sent());
}

#[test]
fn f14_a_menu_answer_does_what_the_text_said() {
    let mut firm = Firm::with(SET_UP);
    let id = firm.owe("inv-1", 1, november(20));
    firm.live(HOUR * 30);
    assert_eq!(firm.steps_sent(), ["after"]);
    firm.set_up("[[menu]]\nkey = \"answers\"\noptions = [ { digit = 1, label = \"pay\", do = \"pay\" }, { digit = 2, label = \"call\", do = \"task:callback\" } ]\n");
    firm.reply(1, "1");
    assert!(firm.open_kinds().contains(&String::from("callback")), "{:?} {:?}", firm.open_kinds(), id);
}

#[test]
fn f15_one_parked_reminder_stops_nobody_else() {
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
    eprintln!("{first:?} {second:?}");
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
fn f16_a_link_answer_does_not_go_after_payment() {
    let mut firm = Firm::with(SET_UP);
    let draft = ObligationDraft {
        link: Some("https://pay.acme.example/i".into()),
        ..draft("inv-1", 1, november(20))
    };
    let id = firm.try_owe(draft).unwrap();
    firm.live(HOUR * 30);
    assert_eq!(firm.steps_sent(), ["after"]);
    firm.down();
    firm.reply(1, "2");
    firm.pay(id, "p1", 12_000);
    firm.pass(HOUR * 15);
    firm.sent.clear();
    firm.up();
    assert!(firm.sent.is_empty(), "{:?} at {:?}", firm.texts(), firm.clock.now().wall.to_rfc3339());
}
#[test]
fn f17_instalments_end_with_what_they_are_of() {
    let mut firm = Firm::with(SET_UP);
    let id = firm.owe("inv-1", 1, november(25));
    let parts = serde_json::from_value(serde_json::json!([{"due_date":"2026-11-27","amount":{"value":"60.00","currency":"EUR"}},{"due_date":"2026-12-27","amount":{"value":"60.00","currency":"EUR"}}])).unwrap();
    firm.change(Change::Plan { which: Which::Id(id), parts }).unwrap();
    firm.change(Change::Status {
        which: Which::Id(id),
        to: nudged::reminder::obligation::ObligationStatus::HandedOver,
        reason: String::new(),
    })
    .unwrap();
    firm.live(DAY * 10);
    assert!(firm.sent.is_empty(), "{:?}", firm.texts());
}

#[test]
fn f18_a_refused_outcome_leaves_the_hold() {
    let mut firm = Firm::with(SET_UP);
    let id = firm.owe("inv-1", 1, november(20));
    firm.live(HOUR * 30);
    firm.reply(1, "how do I stop these messages?");
    let holds =
        |firm: &Firm| firm.state.map.keys().filter(|k| k[0] == nudged::store::keys::family::HOLD).count();
    assert_eq!(holds(&firm), 1, "the reply is a hold");
    firm.pay(id, "p1", 12_000);
    let answer = firm.done("review", TaskOutcome::HandOver);
    assert!(answer.is_err(), "{answer:?}");
    assert_eq!(holds(&firm), 1);
    firm.sent.clear();
    firm.send(crate::support::draft(number(1), "hello"));
    assert!(firm.sent.is_empty(), "a held number got a text");
}

#[test]
fn f19_money_of_a_plan_that_goes_back_is_owed_again() {
    let mut firm = Firm::with(SET_UP);
    let id = firm.owe("inv-1", 1, november(25));
    let parts = serde_json::from_value(serde_json::json!([{"due_date":"2026-11-27","amount":{"value":"60.00","currency":"EUR"}},{"due_date":"2026-12-27","amount":{"value":"60.00","currency":"EUR"}}])).unwrap();
    firm.change(Change::Plan { which: Which::Id(id), parts }).unwrap();
    firm.pay(id, "p1", 6_000);
    assert!(!firm.named("inv-1/1").unwrap().balance().is_positive());
    firm.reverse(id, "p1", 6_000);
    assert!(firm.named("inv-1/1").unwrap().balance().is_positive(), "{:?}", firm.obligation(id).status);
}

#[test]
fn f20_a_reminder_of_a_part_at_the_network_counts_when_the_rest_expires() {
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
    eprintln!("{:?} gone {:?} ledger {:?}", firm.sent.len(), firm.gone(id), firm.phone(1).ledger);
    assert_eq!(firm.gone(id), ["before"]);
}

#[test]
fn f22_a_full_queue_does_not_keep_the_core_busy() {
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
fn f23_money_booked_on_the_day_of_the_promise_keeps_it() {
    let mut firm = Firm::with(SET_UP);
    let id = firm.owe("inv-1", 1, november(25));
    firm.change(Change::Promise { which: Which::Id(id), date: november(26), amount: Some(eur(5_000)) })
        .unwrap();
    let mut payment = firm.payment("p1", 5_000);
    payment.at = nudged::clock::Timestamp::parse_rfc3339("2026-11-23T00:00:00Z").unwrap();
    firm.change(Change::Pay { which: Which::Id(id), payment }).unwrap();
    firm.live(DAY * 6);
    assert!(firm.happened(id).contains(&Happened::PromiseKept), "{:?}", firm.open_kinds());
}
#[test]
fn f27_what_a_wrong_clock_says_ends_no_sequence() {
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
fn f29_who_opts_in_again_is_not_held_for_ever() {
    let mut firm = Firm::with(SET_UP);
    let _ = firm.owe("inv-1", 1, november(20));
    firm.live(HOUR * 30);
    firm.reply(1, "My dog ate the letter");
    firm.done("review", TaskOutcome::Suppress).unwrap();
    firm.live(HOUR);
    firm.reply(1, "START");
    firm.owe("inv-2", 1, november(35));
    firm.live(DAY * 20);
    assert!(
        firm.sent.iter().any(|s| s.text.contains("inv-2")),
        "{:?} review {:?}",
        firm.open_kinds(),
        firm.phone(1).review
    );
}
#[test]
fn f32_what_is_paid_asks_nobody_to_follow_up() {
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
fn f33_the_rest_of_a_text_does_not_follow_a_payment() {
    let long = SET_UP.replace("on {{ due_date }}.", "on {{ due_date }}. Please pay in time so that no further costs arise for you, and write to us if you cannot, we shall surely find a way that fits us both, in parts or later, whatever.");
    let mut firm = Firm::make(&long, 1, MONDAY);
    firm.up();
    let id = firm.owe("inv-1", 1, november(25));
    firm.to_next(id);
    firm.pay(id, "p1", 12_000);
    firm.answer(&Outcome::Accepted { reference: nudged::message::Reference("r1".into()) });
    assert_eq!(firm.sent.len(), 1, "{:?}", firm.texts());
}
#[test]
fn f34_a_menu_pause_does_not_end_a_hardship() {
    let mut firm = Firm::with(SET_UP);
    let id = firm.owe("inv-1", 1, november(20));
    firm.live(HOUR * 30);
    firm.change(Change::PauseEnrolment { which: Which::Id(id), reason: PauseReason::Hardship, until: None })
        .unwrap();
    firm.reply(1, "4");
    firm.live(DAY * 10);
    assert_eq!(firm.steps_sent(), ["after"], "{:?}", firm.state_of(id));
}
