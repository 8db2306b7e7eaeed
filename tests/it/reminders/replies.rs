//! Replies: STOP at any moment, answers to a menu, and all the rest, which waits for a person.

use nudged::engine::Command;
use nudged::engine::core::Input;
use nudged::engine::reminders::change::{ObligationDraft, Which};
use nudged::engine::reminders::terms::Terms;
use nudged::engine::reminders::{Change, ChangeRefusal, Happened};
use nudged::id::ObligationId;
use nudged::reminder::consent::{Actor, ConsentEvent, ConsentKind};
use nudged::reminder::enrolment::{EnrolmentState, ExitReason, PauseReason};
use nudged::reminder::name::Key;
use nudged::reminder::suppression::Party;
use nudged::reminder::task::TaskOutcome;
use nudged::store::{keys, record};
use tokio::sync::oneshot;

use super::firm::*;

fn opted_out(firm: &Firm, id: ObligationId) -> bool {
    matches!(firm.state_of(id), EnrolmentState::Exited { reason: ExitReason::OptedOut, .. })
}

/// A firm whose text with a menu went out.
fn asked() -> (Firm, ObligationId) {
    asked_by(Firm::new())
}

fn asked_by(mut firm: Firm) -> (Firm, ObligationId) {
    let id = firm.owe("inv-1", 1, november(20));
    firm.live(HOUR * 4);
    assert_eq!(firm.steps_sent(), ["after"]);
    (firm, id)
}

#[test]
fn stop_between_plan_and_lease_ends_it() {
    let mut firm = Firm::new();
    let (id, sibling) = (firm.owe("inv-1", 1, november(25)), firm.owe("inv-2", 1, november(27)));
    firm.reply(1, "STOP");
    assert!(opted_out(&firm, id) && opted_out(&firm, sibling));
    firm.live(DAY * 20);
    assert!(firm.steps_sent().is_empty());
}

#[test]
fn stop_between_lease_and_bytes_recalls_the_text() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.reach_next(id);
    firm.reply(1, "STOP");
    assert!(firm.recalled.contains(&firm.sent[0].id));
    firm.hand_back();
    firm.live(DAY * 20);
    assert_eq!(firm.steps_sent(), ["before"], "the lease that was handed back");
    assert!(opted_out(&firm, id) && firm.gone(id).is_empty());
}

#[test]
fn stop_while_it_waits_in_its_lane_ends_the_text() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.reach_next(id);
    firm.down();
    firm.hand_back();
    firm.reply(1, "STOP");
    firm.up();
    firm.live(DAY * 20);
    assert_eq!(firm.steps_sent(), ["before"]);
    assert!(opted_out(&firm, id));
}

#[test]
fn what_is_new_for_a_number_that_opted_out_never_goes() {
    let mut firm = Firm::new();
    firm.owe("inv-1", 1, november(25));
    firm.reply(1, "STOP");
    let id = firm.owe("inv-2", 1, november(25));
    firm.live(DAY * 20);
    assert!(firm.steps_sent().is_empty() && opted_out(&firm, id));
}

#[test]
fn a_reply_nobody_can_read_stops_the_number_until_a_person_says_so() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.reach_next(id);
    firm.reply(1, "what is this about?");
    assert!(firm.recalled.contains(&firm.sent[0].id));
    assert_eq!(firm.open_kinds(), ["review"]);
    firm.hand_back();
    firm.live(DAY);
    assert_eq!(firm.steps_sent(), ["before"]);
    firm.done("review", TaskOutcome::Resume).unwrap();
    firm.live(DAY * 6);
    assert_eq!(firm.steps_sent(), ["before", "before", "after"], "it may go within its grace");
}

#[test]
fn a_reply_that_may_be_a_stop_holds_and_a_person_may_let_go() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.reply(1, "please do not stop by");
    firm.live(DAY);
    assert!(firm.sent.is_empty(), "{:?}", firm.state_of(id));
    firm.done("review", TaskOutcome::Resume).unwrap();
    firm.live(DAY * 6);
    assert!(firm.steps_sent().contains(&String::from("after")), "{:?}", firm.steps_sent());
}

#[test]
fn a_reply_is_one_task_however_often_it_comes() {
    let mut firm = Firm::new();
    firm.owe("inv-1", 1, november(25));
    for _ in 0..5 {
        firm.reply(1, "hello?");
    }
    assert_eq!(firm.open_kinds(), ["review"]);
}

#[test]
fn what_a_machine_says_changes_nothing() {
    let (mut firm, id) = asked();
    firm.reply(1, "Out of office: I am away until Monday.");
    assert!(firm.open_kinds().is_empty(), "{:?}", firm.open_kinds());
    assert!(!firm.state_of(id).is_over());
}

#[test]
fn a_menu_answer_does_what_it_stands_for() {
    let (mut firm, id) = asked();
    firm.reply(1, "1");
    assert_eq!(firm.open_kinds(), ["callback"]);
    assert!(matches!(firm.state_of(id), EnrolmentState::Paused { reason: PauseReason::Review, .. }));
    assert!(firm.happened(id).iter().any(|what| matches!(what, Happened::Replied { option: Some(1), .. })));
    firm.live(DAY * 20);
    assert_eq!(firm.steps_sent(), ["after"]);
}

#[test]
fn the_same_answer_again_is_the_same_answer() {
    let (mut firm, id) = asked();
    firm.reply(1, "1");
    let before = firm.obligation(id);
    firm.reply(1, "One.");
    assert_eq!((firm.open_kinds(), firm.obligation(id)), (vec![String::from("callback")], before));
}

#[test]
fn another_answer_after_the_first_is_for_a_person() {
    let (mut firm, _) = asked();
    firm.reply(1, "1");
    firm.reply(1, "2");
    assert_eq!(firm.open_kinds(), ["callback", "review"]);
}

#[test]
fn an_answer_after_its_time_is_for_a_person() {
    let (mut firm, id) = asked();
    firm.live(DAY * 4);
    firm.reply(1, "2");
    assert_eq!(firm.open_kinds(), ["review"]);
    assert!(!firm.happened(id).iter().any(|what| matches!(what, Happened::PaymentRequested { .. })));
}

#[test]
fn a_digit_that_is_no_option_and_one_without_a_menu_are_for_a_person() {
    let (mut firm, _) = asked();
    firm.reply(1, "9");
    assert_eq!(firm.open_kinds(), ["review"]);
    let mut firm = Firm::new();
    firm.owe("inv-1", 1, november(25));
    firm.live(HOUR * 4);
    firm.reply(1, "1");
    assert_eq!(firm.open_kinds(), ["review"]);
}

#[test]
fn pay_asks_the_firms_system_under_a_key_that_stays_the_same() {
    let mut firm = Firm::new();
    firm.settings.reminders.takes_payments = true;
    firm.crash();
    let draft = ObligationDraft { min_due: Some(eur(3_500)), ..draft("inv-1", 1, november(20)) };
    let id = firm.try_owe(draft).unwrap();
    firm.live(HOUR * 4);
    firm.reply(1, "2");
    firm.reply(1, "2");
    let asked: Vec<Happened> = firm.happened(id);
    let asked = asked.iter().filter_map(|what| match what {
        Happened::PaymentRequested { amount, key, .. } => Some((*amount, key.clone())),
        _ => None,
    });
    let key = format!("{id}.{}", firm.sent[0].id);
    assert_eq!(asked.collect::<Vec<_>>(), [(eur(3_500), key)]);
}

#[test]
fn pay_is_a_link_and_a_task_where_nobody_takes_payments() {
    let mut firm = Firm::new();
    let link = Some(String::from("https://pay.acme.example/i/{{token}}"));
    firm.try_owe(ObligationDraft { link, ..draft("inv-1", 1, november(20)) }).unwrap();
    firm.live(HOUR * 4);
    firm.reply(1, "2");
    firm.accept();
    assert_eq!(firm.open_kinds(), ["pay"]);
    let answer = &firm.sent.last().unwrap().text;
    assert!(answer.starts_with("Acme GmbH: https://pay.acme.example/i/"), "{answer}");
}

#[test]
fn the_other_options_pause_ask_and_answer() {
    for (digit, check) in [("3", "plan"), ("4", "pause"), ("5", "webhook"), ("6", "reply")] {
        let (mut firm, id) = asked();
        firm.reply(1, digit);
        firm.accept();
        let held = match check {
            "plan" => {
                firm.open_kinds() == ["plan"]
                    && matches!(
                        firm.state_of(id),
                        EnrolmentState::Paused { reason: PauseReason::Hardship, .. }
                    )
            }
            "pause" => matches!(firm.state_of(id), EnrolmentState::Paused { until: Some(_), .. }),
            "webhook" => firm
                .happened(id)
                .iter()
                .any(|what| matches!(what, Happened::Asked { event, .. } if event.as_str() == "more")),
            _ => firm.sent.last().unwrap().text == "Help: Acme GmbH.",
        };
        assert!(held, "{digit}: {:?} {:?} {:?}", firm.state_of(id), firm.open_kinds(), firm.texts());
    }
}

#[test]
fn two_machines_that_answer_each_other_come_to_an_end() {
    let mut firm = Firm::with(&SET_UP.replace("offset = \"+10d\"", "offset = \"+4d\""));
    firm.owe("inv-1", 1, november(20));
    firm.live(HOUR * 4);
    let before = firm.sent.len();
    for _ in 0..20 {
        firm.reply(1, "6");
        firm.accept();
    }
    assert!(firm.sent.len() - before <= 3, "{:?}", firm.texts());
}

#[test]
fn a_reply_ends_it_where_the_sequence_says_so() {
    let mut firm =
        Firm::with(&SET_UP.replace("key = \"standard\"\n", "key = \"standard\"\nexits = [\"reply\"]\n"));
    let id = firm.owe("inv-1", 1, november(25));
    firm.reply(1, "I will call you");
    assert!(matches!(firm.state_of(id), EnrolmentState::Exited { .. }));
}

#[test]
fn a_menus_pause_ends_no_hardship_and_a_person_may() {
    let (mut firm, id) = asked();
    let hardship = EnrolmentState::Paused { reason: PauseReason::Hardship, until: None };
    let pause = |reason, until| Change::PauseEnrolment { which: Which::Id(id), reason, until };
    firm.change(pause(PauseReason::Hardship, None)).unwrap();
    firm.reply(1, "4");
    assert_eq!(firm.state_of(id), hardship);
    let until = Some(firm.clock.now().wall.saturating_add(DAY));
    firm.change(pause(PauseReason::Manual, until)).unwrap();
    assert_eq!(firm.state_of(id), EnrolmentState::Paused { reason: PauseReason::Manual, until });
}

#[test]
fn a_menus_pause_makes_no_longer_one_shorter() {
    let (mut firm, id) = asked();
    let until = Some(firm.clock.now().wall.saturating_add(DAY * 9));
    let change = Change::PauseEnrolment { which: Which::Id(id), reason: PauseReason::Manual, until };
    firm.change(change).unwrap();
    firm.reply(1, "4");
    assert_eq!(firm.state_of(id), EnrolmentState::Paused { reason: PauseReason::Manual, until });
}

#[test]
fn an_answer_to_a_menu_that_says_something_else_by_now_is_for_a_person() {
    let (mut firm, id) = asked();
    let other =
        r#"{ digit = 1, label = "pay", do = "pay" }, { digit = 2, label = "call", do = "task:callback" }"#;
    firm.set_up(&format!("[[menu]]\nkey = \"answers\"\noptions = [ {other} ]\n"));
    firm.reply(1, "1");
    assert_eq!(firm.open_kinds(), ["review"]);
    assert!(!firm.happened(id).iter().any(|what| matches!(what, Happened::Replied { .. })));
}

const LINK: &str = "https://pay.acme.example/i/{{token}}";

fn asked_with_link() -> (Firm, ObligationId) {
    let mut firm = Firm::new();
    let draft = ObligationDraft { link: Some(String::from(LINK)), ..draft("inv-1", 1, november(20)) };
    let id = firm.try_owe(draft).unwrap();
    firm.live(HOUR * 4);
    firm.sent.clear();
    (firm, id)
}

#[test]
fn a_link_does_not_go_after_payment() {
    let (mut firm, id) = asked_with_link();
    firm.down();
    firm.reply(1, "2");
    firm.pay(id, "p1", 12_000);
    firm.up();
    firm.live(DAY);
    assert!(firm.sent.is_empty(), "{:?}", firm.texts());
}

#[test]
fn an_answer_that_waited_too_long_is_none() {
    let (mut firm, _) = asked_with_link();
    firm.down();
    firm.reply(1, "2");
    firm.pass(HOUR + HOUR / 4);
    firm.up();
    firm.live(HOUR);
    assert!(firm.sent.is_empty(), "{:?}", firm.texts());
}

#[test]
fn nobody_is_answered_at_night_but_a_person_learns_of_it() {
    for (digit, kind) in [("2", "pay"), ("6", "callback")] {
        let (mut firm, _) = asked_with_link();
        firm.pass(HOUR * 11);
        firm.reply(1, digit);
        firm.live(HOUR * 15);
        assert!(firm.sent.is_empty(), "{:?}", firm.texts());
        assert_eq!(firm.open_kinds(), [kind]);
    }
}

#[test]
fn an_answer_does_not_outlast_the_hours() {
    let (mut firm, _) = asked_with_link();
    // 19:30 in Berlin.
    firm.pass(HOUR * 15 / 2);
    firm.reply(1, "2");
    let (_, answer) = firm.open.last().unwrap();
    assert_eq!(answer.validity, HOUR / 2, "until 20:00");
}

#[test]
fn who_opts_in_after_a_suppression_is_not_held_for_ever() {
    let (mut firm, _) = asked();
    firm.reply(1, "My dog ate the letter");
    firm.done("review", TaskOutcome::Suppress).unwrap();
    assert!(firm.phone(1).review.is_none());
    firm.live(HOUR);
    firm.reply(1, "START");
    firm.owe("inv-2", 1, november(35));
    firm.live(DAY * 20);
    assert!(firm.texts().iter().any(|text| text.contains("inv-2")), "{:?}", firm.open_kinds());
}

#[test]
fn who_opts_in_is_held_up_by_no_earlier_reply() {
    let (mut firm, _) = asked();
    firm.reply(1, "My dog ate the letter");
    firm.reply(1, "START");
    assert!(firm.phone(1).review.is_none());
    firm.live(DAY * 10);
    assert_eq!(firm.steps_sent(), ["after", "last"]);
}

#[test]
fn a_task_whose_reply_is_deleted_lets_the_number_go_on() {
    let mut firm = Firm::new();
    firm.owe("inv-1", 1, november(30));
    firm.owe("inv-2", 1, november(30));
    firm.reply(1, "hello?");
    let task = firm.tasks().into_values().next().unwrap();
    assert_eq!(task.obligation, None);
    firm.state.map.remove(&keys::inbound(task.reply.unwrap()));
    firm.done("review", TaskOutcome::Resume).unwrap();
    assert!(firm.phone(1).review.is_none());
}

#[test]
fn whoever_writes_again_and_again_is_one_task_until_it_is_done() {
    let mut firm = Firm::new();
    for _ in 0..3 {
        firm.hear("015112345678", None, "hello?");
        firm.reply(7, "hello?");
    }
    assert_eq!(firm.open_kinds(), ["review", "review"]);
    for id in firm.tasks().into_keys() {
        firm.change(Change::TaskDone { id, outcome: TaskOutcome::Resume, expect: None }).unwrap();
    }
    firm.hear("015112345678", None, "hello again");
    assert_eq!(firm.open_kinds(), ["review"]);
}

#[test]
fn a_machine_that_looks_again_and_again_is_one_visit() {
    let (mut firm, id) = asked_with_link();
    firm.reply(1, "2");
    let prefix = nudged::store::keys::family::TOKEN;
    let token = firm.state.map.keys().find(|key| key[0] == prefix).map(|key| key[1..9].try_into().unwrap());
    let token = u64::from_be_bytes(token.unwrap());
    let visits = |firm: &Firm, human| {
        firm.happened(id).iter().filter(|what| **what == Happened::Clicked { human }).count()
    };
    for human in [false, false, true, false, true] {
        firm.change(Change::Click { token, human }).unwrap();
    }
    assert_eq!((visits(&firm, false), visits(&firm, true)), (1, 2));
    firm.pass(HOUR);
    firm.change(Change::Click { token, human: false }).unwrap();
    assert_eq!(visits(&firm, false), 2);
}

#[test]
fn the_same_menu_answer_again_is_the_same_answer_where_the_first_was_answered() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(20));
    firm.live(HOUR * 4);
    assert_eq!(firm.steps_sent(), ["after"]);
    firm.reply(1, "6");
    firm.accept();
    assert!(firm.texts().last().unwrap().starts_with("Help"), "{:?}", firm.texts());
    firm.reply(1, "6");
    assert!(firm.open_kinds().is_empty() && firm.phone(1).review.is_none(), "{:?}", firm.open_kinds());
    firm.live(DAY * 20);
    assert!(firm.gone(id).contains(&String::from("last")), "nobody need read a 6 twice");
}

/// Set up with a pack of such a duty for everybody.
fn with_duty(duty: &str) -> Firm {
    let calendar = "[[calendar]]\nkey = \"days\"\nholidays = [{ date = \"2026-11-24\", name = \"H\" }]\n";
    let pack = format!(
        "[[pack]]\nkey = \"law\"\ntitle = \"Law\"\nsource = \"law\"\napplies = {{}}\nduties = [\"{duty}\"]\n"
    );
    let zone = "timezone = \"Europe/Berlin\"\n";
    Firm::with(&format!("{calendar}{pack}{}", SET_UP.replace(zone, &format!("{zone}calendar = \"days\"\n"))))
}

/// No second text went to the number, and a person is asked.
fn unanswered(firm: &Firm) {
    assert_eq!(firm.sent.len(), 1, "{:?}", firm.texts());
    assert_eq!(firm.open_kinds(), ["callback"]);
}

#[test]
fn an_automatic_answer_keeps_the_holidays_that_reminders_keep() {
    let (mut firm, _) = asked_by(with_duty("closed_on_holidays"));
    firm.live(DAY);
    firm.reply(1, "6");
    unanswered(&firm);
}

#[test]
fn who_has_an_attorney_gets_no_automatic_answer() {
    let (mut firm, _) = asked_by(with_duty("attorney_halt"));
    let mut represented = contact(&[1]);
    represented.custom.insert("attorney".into(), "Dr. Recht".into());
    firm.change(Change::Contact(Box::new(represented))).unwrap();
    firm.reply(1, "6");
    unanswered(&firm);
}

#[test]
fn who_has_revoked_gets_no_automatic_answer() {
    let (mut firm, _) = asked();
    let event = ConsentEvent {
        kind: ConsentKind::Revoked,
        at: firm.clock.now().wall,
        channel: None,
        wording: None,
        evidence: None,
        actor: Actor::Token("crm".into()),
    };
    firm.change(Change::Consent { phone: number(1), creditor: None, event }).unwrap();
    firm.reply(1, "6");
    unanswered(&firm);
}

#[test]
fn an_answer_counts_under_no_cap_and_waits_for_no_sequence() {
    let (mut firm, id) = asked();
    firm.change(Change::ExitEnrolment { which: Which::Id(id), reason: ExitReason::Canceled }).unwrap();
    firm.reply(1, "6");
    assert_eq!(firm.texts().last(), Some(&"Help: Acme GmbH."));
}

/// What the number's owner said, with the replies that show it.
fn ledger(firm: &Firm) -> Vec<(ConsentKind, Option<String>)> {
    let (from, to) = keys::under(keys::consents_of(number(1)));
    let lines = firm.state.map.range(from..to);
    let line = |value: &Vec<u8>| record::decode::<(Option<Key>, ConsentEvent)>(value).unwrap().1;
    lines.map(|(_, value)| line(value)).map(|event| (event.kind, event.evidence)).collect()
}

#[test]
fn stop_and_start_stand_in_the_consent_ledger_and_in_no_standing() {
    let (mut firm, _) = asked();
    for text in ["STOP", "STOP", "START", "START"] {
        firm.reply(1, text);
        firm.accept();
    }
    let told = ledger(&firm);
    assert_eq!(
        told.iter().map(|line| line.0).collect::<Vec<_>>(),
        [ConsentKind::Revoked, ConsentKind::Given]
    );
    for (_, reply) in told {
        assert!(
            firm.state.map.contains_key(&keys::inbound(reply.unwrap().parse().unwrap())),
            "the reply is there"
        );
    }
    assert!(firm.phone(1).consents.is_empty(), "a START is no consent that a law asks for");
}

#[test]
fn whom_an_admin_takes_off_the_list_is_reminded_again_and_said_what_they_said() {
    let (mut firm, _) = asked();
    firm.reply(1, "STOP");
    firm.accept();
    let (reply, _answer) = oneshot::channel();
    let party = Party::Number(number(1));
    firm.step(vec![Input::Command(Command::LiftOptOut { party, by: "boss".into(), reply })]);
    firm.owe("inv-2", 1, november(25));
    firm.live(DAY * 2);
    assert!(firm.texts().iter().any(|text| text.contains("inv-2")), "{:?}", firm.texts());
    assert_eq!(ledger(&firm).len(), 1, "nobody gave a consent");
}

#[test]
fn whoever_may_end_no_hold_ends_none_by_a_task_but_may_suppress() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.reply(1, "please stop this nonsense");
    let task = *firm.tasks().first_key_value().unwrap().0;
    let mut done = |outcome| {
        let terms = Terms { keeps_holds: true, ..Terms::default() };
        let change = Box::new(Change::TaskDone { id: task, outcome, expect: None });
        firm.change(Change::OnTerms { terms, change })
    };
    for outcome in [TaskOutcome::Resume, TaskOutcome::Final, TaskOutcome::Paid] {
        assert_eq!(done(outcome), Err(ChangeRefusal::Held));
    }
    done(TaskOutcome::Suppress).unwrap();
    assert!(opted_out(&firm, id));
}
