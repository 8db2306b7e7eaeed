//! Tasks: what opens them, and what each outcome does.

use nudged::engine::notice::NoticeKind;
use nudged::engine::reminders::change::Which;
use nudged::engine::reminders::{Change, ChangeRefusal};
use nudged::id::ObligationId;
use nudged::reminder::enrolment::{EnrolmentState, ExitReason};
use nudged::reminder::obligation::ObligationStatus;
use nudged::reminder::task::{TaskOutcome, TaskState};

use super::firm::*;

/// A firm with a reply that a person must read.
fn doubtful() -> (Firm, ObligationId) {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.reply(1, "what is this?");
    (firm, id)
}

#[test]
fn resume_lets_the_reminders_go_on() {
    let (mut firm, _) = doubtful();
    firm.done("review", TaskOutcome::Resume).unwrap();
    firm.live(DAY);
    assert_eq!(firm.steps_sent(), ["before"]);
}

#[test]
fn extend_moves_the_due_date_and_lets_go() {
    let (mut firm, id) = doubtful();
    firm.done("review", TaskOutcome::Extend { due_date: november(30) }).unwrap();
    assert_eq!(firm.obligation(id).due_date, november(30));
    firm.live(DAY * 7);
    assert_eq!(firm.steps_sent(), ["before"], "of the 28th");
}

#[test]
fn plan_waits_for_the_instalments() {
    let (mut firm, id) = doubtful();
    firm.done("review", TaskOutcome::Plan).unwrap();
    assert_eq!(firm.obligation(id).status, ObligationStatus::InPlan);
    firm.live(DAY * 20);
    assert!(firm.sent.is_empty());
    let parts = vec![nudged::reminder::plan::PlanPart { due_date: november(60), amount: eur(12_000) }];
    firm.change(Change::Plan { which: Which::Id(id), parts }).unwrap();
    assert!(firm.named("inv-1/1").is_some());
}

#[test]
fn final_leaves_only_the_last_step() {
    let (mut firm, _) = doubtful();
    firm.done("review", TaskOutcome::Final).unwrap();
    firm.live(DAY * 20);
    assert_eq!(firm.steps_sent(), ["last"]);
}

#[test]
fn hand_over_ends_it() {
    let (mut firm, id) = doubtful();
    firm.done("review", TaskOutcome::HandOver).unwrap();
    firm.live(DAY * 20);
    assert!(firm.sent.is_empty());
    assert_eq!(firm.obligation(id).status, ObligationStatus::HandedOver);
    assert!(matches!(firm.state_of(id), EnrolmentState::Exited { reason: ExitReason::HandedOver, .. }));
}

#[test]
fn suppress_stops_the_number_for_good() {
    let (mut firm, id) = doubtful();
    firm.done("review", TaskOutcome::Suppress).unwrap();
    assert!(matches!(firm.state_of(id), EnrolmentState::Exited { reason: ExitReason::OptedOut, .. }));
    firm.owe("inv-2", 1, november(26));
    firm.live(DAY * 20);
    assert!(firm.steps_sent().is_empty());
}

#[test]
fn paid_ends_the_reminders_and_leaves_the_books_alone() {
    let (mut firm, id) = doubtful();
    firm.done("review", TaskOutcome::Paid).unwrap();
    assert_eq!(firm.obligation(id).status, ObligationStatus::Open);
    firm.live(DAY * 20);
    assert!(firm.sent.is_empty());
}

#[test]
fn every_outcome_but_suppress_and_hand_over_frees_the_number_for_other_debts() {
    let outcomes = [
        TaskOutcome::Resume,
        TaskOutcome::Extend { due_date: november(40) },
        TaskOutcome::Plan,
        TaskOutcome::Final,
        TaskOutcome::Paid,
        TaskOutcome::CorrectNumber { number: number(9) },
    ];
    for outcome in outcomes {
        let (mut firm, _) = doubtful();
        let word = outcome.as_str();
        firm.done("review", outcome).unwrap();
        let other = firm.owe("inv-2", 1, november(26));
        firm.live(DAY * 2);
        let went = !firm.gone(other).is_empty();
        assert!(went || word == "correct_number", "{word}: {:?}", firm.obligation(other).enrolment);
    }
}

#[test]
fn a_task_is_done_once_and_only_as_it_was_seen() {
    let (mut firm, _) = doubtful();
    let id = *firm.tasks().keys().next().unwrap();
    let assign = |expect| Change::AssignTask { id, assignee: Some(String::from("anna")), expect };
    assert_eq!(firm.change(assign(Some(7))), Err(ChangeRefusal::Conflict { version: 1 }));
    assert_eq!(firm.change(assign(Some(1))).unwrap().version, 2);
    firm.done("review", TaskOutcome::Resume).unwrap();
    let again = firm.change(Change::TaskDone { id, outcome: TaskOutcome::Resume, expect: None });
    assert!(matches!(again, Err(ChangeRefusal::State(_))), "{again:?}");
    assert!(matches!(firm.tasks()[&id].state, TaskState::Done { .. }));
}

#[test]
fn a_task_that_waits_too_long_says_so_once() {
    let (mut firm, _) = doubtful();
    firm.live(DAY * 5);
    let overdue =
        firm.notices.iter().filter(|notice| matches!(notice, NoticeKind::TaskOverdue { .. })).count();
    assert_eq!(overdue, 1);
}

#[test]
fn after_so_many_reminders_a_person_decides() {
    let escalate = "key = \"standard\"\nescalate = { after = 2, task = \"follow_up\", pause = true }\n";
    let mut firm = Firm::with(&SET_UP.replace("key = \"standard\"\n", escalate));
    firm.owe("inv-1", 1, november(25));
    firm.live(DAY * 20);
    assert_eq!(
        (firm.steps_sent(), firm.open_kinds()),
        (vec![String::from("before"), String::from("after")], vec![String::from("follow_up")])
    );
    firm.done("follow_up", TaskOutcome::Final).unwrap();
    firm.live(DAY * 2);
    assert_eq!(firm.steps_sent().len(), 2, "the time of the last step is over");
}

#[test]
fn a_step_may_open_a_task_once_it_went() {
    let mut firm = Firm::with(&format!("{SET_UP}task_after = \"final_review\"\n"));
    firm.owe("inv-1", 1, november(25));
    firm.live(DAY * 13);
    assert_eq!(firm.open_kinds(), ["final_review", "escalation"]);
}

#[test]
fn the_end_of_a_sequence_without_the_money_is_a_task() {
    let mut firm = Firm::new();
    firm.owe("inv-1", 1, november(25));
    firm.live(DAY * 20);
    assert_eq!(firm.open_kinds(), ["escalation"]);
}

#[test]
fn a_task_goes_to_the_case_manager() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    let draft = nudged::engine::reminders::change::AccountDraft {
        external_id: firm.obligation(id).account,
        creditor: key("acme"),
        contact: nudged::engine::reminders::change::Who::External(external("con-1")),
        case_manager: Some(String::from("anna")),
        tags: Vec::new(),
        custom: std::collections::BTreeMap::new(),
    };
    firm.change(Change::Account(draft)).unwrap();
    firm.reply(1, "who is this?");
    assert_eq!(firm.tasks().values().next().unwrap().assignee.as_deref(), Some("anna"));
}

#[test]
fn extend_to_the_same_day_lets_go_too() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    let which = Some(Which::Id(id));
    firm.change(Change::OpenTask { kind: key("look"), which, note: String::new(), due: None }).unwrap();
    let reason = nudged::reminder::enrolment::PauseReason::Review;
    firm.change(Change::PauseEnrolment { which: Which::Id(id), reason, until: None }).unwrap();
    firm.done("look", TaskOutcome::Extend { due_date: november(25) }).unwrap();
    assert!(matches!(firm.state_of(id), EnrolmentState::Active), "{:?}", firm.happened(id));
}

#[test]
fn an_outcome_that_is_refused_leaves_the_number_held() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(20));
    firm.live(HOUR * 30);
    firm.reply(1, "how do I stop these messages?");
    firm.pay(id, "p1", 12_000);
    let answer = firm.done("review", TaskOutcome::HandOver);
    assert!(matches!(answer, Err(ChangeRefusal::State(_))), "{answer:?}");
    firm.sent.clear();
    firm.send(crate::support::draft(number(1), "hello"));
    assert!(firm.sent.is_empty(), "a held number got a text");
}
