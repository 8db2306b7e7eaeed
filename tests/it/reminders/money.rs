//! Money, promises, disputes and what people say: what they do to reminders that are planned, queued, and on their way.

use nudged::engine::reminders::change::{How, ObligationDraft, Which};
use nudged::engine::reminders::{Change, ChangeRefusal, Happened};
use nudged::reminder::enrolment::{EnrolmentState, ExitReason, PauseReason};
use nudged::reminder::obligation::ObligationStatus;
use nudged::reminder::promise::PromiseState;
use nudged::reminder::task::TaskOutcome;
use nudged::store::keys::family;

use super::firm::*;

const RETURNED: &str = "[[sequence]]\nkey = \"returned_debit\"\n[[sequence.step]]\nid = \"returned\"\noffset = \"+1d\"\nat = \"10:00\"\ntemplate = \"late\"\ngrace = \"9d\"\n";

fn paid(firm: &Firm, id: nudged::id::ObligationId) -> bool {
    matches!(firm.state_of(id), EnrolmentState::Exited { reason: ExitReason::Paid, .. })
}

#[test]
fn a_payment_before_the_plan_is_due_ends_it() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.pay(id, "p1", 12_000);
    firm.live(DAY * 20);
    assert!(firm.sent.is_empty() && paid(&firm, id));
    assert_eq!(firm.obligation(id).status, ObligationStatus::Paid);
    assert_eq!(firm.obligation(id).timer, None);
}

#[test]
fn a_payment_between_plan_and_lease_stops_the_text() {
    let mut firm = Firm::without_link(SET_UP);
    let id = firm.owe("inv-1", 1, november(25));
    firm.reach_next(id);
    firm.pay(id, "p1", 12_000);
    firm.up();
    firm.live(DAY);
    assert!(firm.sent.is_empty());
}

/// Queued, leased, handed back, and paid while it waits for a link again.
#[test]
fn a_payment_stops_a_text_that_waits_in_its_lane() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.reach_next(id);
    firm.down();
    firm.hand_back();
    firm.pay(id, "p1", 12_000);
    firm.up();
    firm.live(DAY);
    assert_eq!(firm.sent.len(), 1, "no second lease");
    let lanes = firm.state.map.keys().filter(|key| key[0] == family::LANE).count();
    assert_eq!((lanes, firm.gone(id).len()), (0, 0));
}

#[test]
fn a_payment_between_lease_and_bytes_recalls_the_text() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.reach_next(id);
    firm.pay(id, "p1", 12_000);
    assert_eq!(firm.recalled, [firm.sent[0].id]);
    firm.hand_back();
    firm.live(DAY);
    assert_eq!((firm.sent.len(), firm.gone(id).len()), (1, 0));
    assert!(paid(&firm, id));
}

#[test]
fn a_payment_that_crosses_the_text_is_noted() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.reach_next(id);
    firm.pay(id, "p1", 12_000);
    firm.accept();
    let message = firm.sent[0].id;
    assert!(firm.happened(id).contains(&Happened::CrossedPayment { step: key("before"), message }));
    assert_eq!((firm.gone(id).len(), paid(&firm, id)), (1, true));
}

#[test]
fn what_waits_is_made_anew_with_what_is_still_owed() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.reach_next(id);
    firm.pay(id, "p1", 2_000);
    firm.hand_back();
    firm.live(DAY);
    assert_eq!(firm.sent.len(), 2);
    assert!(firm.sent[1].text.contains("100.00 EUR"), "{:?}", firm.texts());
    assert_eq!(firm.obligation(id).status, ObligationStatus::PartiallyPaid);
    let told: usize = firm.sent.iter().filter(|sent| sent.text.contains("120.00 EUR")).count();
    assert_eq!(told, 1, "the one that was handed back");
}

#[test]
fn a_partial_payment_ends_it_where_the_sequence_says_so() {
    let set_up =
        SET_UP.replace("key = \"standard\"\n", "key = \"standard\"\nexits = [\"partial_payment\"]\n");
    let mut firm = Firm::with(&set_up);
    let id = firm.owe("inv-1", 1, november(25));
    firm.pay(id, "p1", 2_000);
    firm.live(DAY * 20);
    assert!(firm.sent.is_empty());
}

/// Only money that goes back opens it again: what is asked for besides is another obligation.
#[test]
fn what_is_paid_is_not_owed_again_by_another_amount() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.pay(id, "p1", 12_000);
    let with = |minor| ObligationDraft { amount: eur(minor), ..draft("inv-1", 1, november(25)) };
    let refused = firm.try_owe(with(15_000)).unwrap_err();
    assert!(matches!(refused, ChangeRefusal::Field { field: "amount", .. }), "{refused:?}");
    assert_eq!(
        (firm.obligation(id).amount, firm.obligation(id).status),
        (eur(12_000), ObligationStatus::Paid)
    );
    firm.try_owe(with(11_000)).unwrap();
    assert_eq!(firm.obligation(id).status, ObligationStatus::Paid, "less is no debt");
    firm.try_owe(with(12_000)).unwrap();
    firm.reverse(id, "p1", 12_000);
    firm.try_owe(with(15_000)).unwrap();
    assert_eq!(firm.obligation(id).balance(), eur(15_000));
}

#[test]
fn an_amount_that_is_lowered_to_what_was_paid_settles_it() {
    for lowered in [5_000, 4_000] {
        let mut firm = Firm::new();
        let id = firm.owe("inv-1", 1, november(25));
        firm.pay(id, "p1", 5_000);
        firm.try_owe(ObligationDraft { amount: eur(lowered), ..draft("inv-1", 1, november(25)) }).unwrap();
        assert_eq!(firm.obligation(id).status, ObligationStatus::Paid);
        assert_eq!((paid(&firm, id), firm.next_at(id), firm.obligation(id).timer), (true, None, None));
        firm.live(DAY * 20);
        assert!(firm.sent.is_empty(), "{:?}", firm.texts());
    }
}

#[test]
fn the_same_payment_twice_is_one() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.pay(id, "p1", 2_000);
    let events = firm.notices.len();
    firm.pay(id, "p1", 2_000);
    assert_eq!((firm.obligation(id).balance(), firm.notices.len()), (eur(10_000), events));
    assert!(firm.last.batch.is_empty());
    let other = firm.payment("p1", 500);
    let refused = firm.change(Change::Pay { which: Which::Id(id), payment: other });
    assert!(matches!(refused, Err(ChangeRefusal::Field { field: "external_id", .. })), "{refused:?}");
}

#[test]
fn a_reversed_payment_begins_the_sequence_of_returned_debits() {
    let mut firm = Firm::with(&format!("{SET_UP}{RETURNED}"));
    let id = firm.owe("inv-1", 1, november(25));
    firm.live(DAY);
    firm.pay(id, "p1", 12_000);
    firm.live(DAY);
    firm.reverse(id, "p1", 12_000);
    let obligation = firm.obligation(id);
    assert_eq!((obligation.status, obligation.cycle), (ObligationStatus::Open, 2));
    assert_eq!(obligation.enrolment.unwrap().sequence, key("returned_debit"));
    firm.live(DAY * 8);
    assert_eq!(firm.steps_sent(), ["before", "returned"]);
    assert!(firm.sent[1].text.contains("120.00 EUR"));
}

#[test]
fn a_reversal_without_such_a_sequence_begins_its_own_anew() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.live(DAY);
    firm.pay(id, "p1", 12_000);
    firm.live(DAY * 2);
    firm.reverse(id, "p1", 12_000);
    firm.live(DAY * 20);
    assert_eq!(firm.steps_sent(), ["before", "after", "last"], "the first step's grace is over");
    assert_eq!(firm.obligation(id).cycle, 2);
}

#[test]
fn a_changed_amount_after_a_text_is_a_task_for_a_person() {
    let mut firm = Firm::new();
    firm.owe("inv-1", 1, november(25));
    firm.live(HOUR * 5);
    firm.try_owe(ObligationDraft { amount: eur(9_000), ..draft("inv-1", 1, november(25)) }).unwrap();
    assert_eq!(firm.open_kinds(), ["correction"]);
    firm.live(DAY * 6);
    assert!(firm.sent[1].text.contains("90.00 EUR"), "{:?}", firm.texts());
}

#[test]
fn what_is_said_again_is_unchanged_and_writes_nothing() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    let before = firm.state.clone();
    firm.owe("inv-1", 1, november(25));
    assert!(firm.last.batch.is_empty());
    firm.set_up(SET_UP);
    assert_eq!(firm.state.map, before.map);
    firm.move_due(id, november(25), false);
    assert_eq!(firm.state.map, before.map);
}

#[test]
fn what_is_refused_leaves_nothing() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.pay(id, "p1", 2_000);
    let before = (firm.state.clone(), firm.counters());
    let which = || Which::Id(id);
    let wrong = [
        Change::Obligation(Box::new(ObligationDraft { amount: eur(0), ..draft("inv-2", 2, november(25)) })),
        Change::Obligation(Box::new(ObligationDraft {
            sequence: Some(key("none")),
            ..draft("inv-2", 2, november(25))
        })),
        Change::Obligation(Box::new(ObligationDraft {
            link: Some(String::from("https://elsewhere.example/x")),
            ..draft("inv-2", 2, november(25))
        })),
        Change::Obligation(Box::new(ObligationDraft {
            owner: nudged::engine::reminders::change::Owner::Inline {
                creditor: key("nobody"),
                contact: Box::new(contact(&[2])),
            },
            ..draft("inv-2", 2, november(25))
        })),
        Change::Pay { which: which(), payment: firm.payment("p1", 9) },
        Change::Pay {
            which: Which::External { id: external("none"), creditor: None },
            payment: firm.payment("p1", 9),
        },
        Change::Reverse { which: which(), payment: firm.payment("p9", 9) },
        Change::Promise { which: which(), date: november(1), amount: None },
        Change::Plan { which: which(), parts: Vec::new() },
        Change::Plan { which: which(), parts: parts(&[(1, 9_999)]) },
        Change::Status { which: which(), to: ObligationStatus::Paid, reason: String::new() },
        Change::Enrol { which: which(), sequence: key("none") },
        Change::TaskDone { id: nudged::id::TaskId::from_u64(1), outcome: TaskOutcome::Resume, expect: None },
        Change::Click { token: 7, human: true },
    ];
    for change in wrong {
        let shown = format!("{change:?}");
        let refused = firm.change(change);
        assert!(refused.is_err(), "{shown} {refused:?}");
        assert!(firm.last.batch.is_empty(), "{shown}");
        assert_eq!((&firm.state.map, &firm.counters()), (&before.0.map, &before.1), "{shown}");
    }
}

fn parts(of: &[(i8, i64)]) -> Vec<nudged::reminder::plan::PlanPart> {
    let part = |&(month, minor): &(i8, i64)| nudged::reminder::plan::PlanPart {
        due_date: jiff::civil::date(2027, month, 1),
        amount: eur(minor),
    };
    of.iter().map(part).collect()
}

#[test]
fn a_plan_that_is_refused_makes_none_of_its_instalments() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.owe("inv-1/2", 1, november(25));
    let before = firm.obligations().len();
    let plan = Change::Plan { which: Which::Id(id), parts: parts(&[(1, 6_000), (2, 6_000)]) };
    assert!(firm.change(plan).is_err());
    assert_eq!((firm.obligations().len(), firm.named("inv-1/1")), (before, None));
    assert_eq!(firm.counters().obligations[ObligationStatus::Open as usize], before as u64);
}

#[test]
fn a_plan_stops_the_reminders_of_the_whole_and_reminds_of_its_parts() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.change(Change::Plan { which: Which::Id(id), parts: parts(&[(1, 6_000), (2, 6_000)]) }).unwrap();
    assert_eq!(firm.obligation(id).status, ObligationStatus::InPlan);
    firm.live(DAY * 43);
    let named: Vec<&str> = firm.texts();
    assert_eq!(named.len(), 2, "{named:?}");
    assert!(named.iter().all(|text| text.contains("inv-1/1") && text.contains("60.00 EUR")), "{named:?}");
}

#[test]
fn the_whole_paid_ends_its_instalments() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.change(Change::Plan { which: Which::Id(id), parts: parts(&[(1, 6_000), (2, 6_000)]) }).unwrap();
    firm.pay(id, "p1", 12_000);
    assert_eq!(firm.obligation(id).status, ObligationStatus::Paid);
    assert_eq!(firm.named("inv-1/1").unwrap().status, ObligationStatus::Canceled);
    firm.live(DAY * 90);
    assert!(firm.sent.is_empty());
}

#[test]
fn instalments_paid_one_by_one_pay_the_whole() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.change(Change::Plan { which: Which::Id(id), parts: parts(&[(1, 6_000), (2, 6_000)]) }).unwrap();
    for (n, name) in ["inv-1/1", "inv-1/2"].into_iter().enumerate() {
        let which = Which::External { id: external(name), creditor: None };
        let payment = firm.payment(&format!("p{n}"), 6_000);
        firm.change(Change::Pay { which, payment }).unwrap();
    }
    let whole = firm.obligation(id);
    assert_eq!((whole.status, whole.balance()), (ObligationStatus::Paid, eur(0)));
}

#[test]
fn a_promise_pauses_and_money_keeps_it() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.change(Change::Promise { which: Which::Id(id), date: november(27), amount: Some(eur(5_000)) })
        .unwrap();
    assert!(matches!(
        firm.state_of(id),
        EnrolmentState::Paused { reason: PauseReason::Promise, until: Some(_) }
    ));
    firm.live(DAY * 2 + HOUR * 4);
    assert!(firm.sent.is_empty());
    firm.pay(id, "p1", 5_000);
    assert_eq!(firm.obligation(id).promise.unwrap().state, PromiseState::Kept);
    firm.live(DAY * 6);
    assert_eq!(firm.steps_sent(), ["after"], "the rest is asked for again");
    assert!(firm.open_kinds().is_empty());
}

#[test]
fn a_promise_that_is_broken_is_a_task_and_the_reminders_go_on() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.change(Change::Promise { which: Which::Id(id), date: november(24), amount: None }).unwrap();
    firm.live(DAY * 2);
    assert_eq!(firm.obligation(id).promise.unwrap().state, PromiseState::Made, "one business day more");
    firm.live(DAY);
    assert_eq!(firm.obligation(id).promise.unwrap().state, PromiseState::Broken);
    assert_eq!(firm.open_kinds(), ["broken_promise"]);
    firm.live(DAY * 5);
    assert_eq!(firm.steps_sent(), ["after"]);
}

#[test]
fn a_promise_is_withdrawn_by_the_next_one_and_by_the_end_of_the_debt() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    let promise = |firm: &mut Firm, day| {
        firm.change(Change::Promise { which: Which::Id(id), date: november(day), amount: None }).unwrap();
    };
    let withdrawn = |firm: &Firm| {
        firm.happened(id).into_iter().filter(|what| *what == Happened::PromiseWithdrawn).count()
    };
    promise(&mut firm, 26);
    assert_eq!(withdrawn(&firm), 0);
    promise(&mut firm, 27);
    assert_eq!((withdrawn(&firm), firm.obligation(id).promise.unwrap().state), (1, PromiseState::Made));
    let (which, to) = (Which::Id(id), ObligationStatus::WrittenOff);
    firm.change(Change::Status { which, to, reason: String::from("a court said so") }).unwrap();
    assert_eq!((withdrawn(&firm), firm.obligation(id).promise.unwrap().state), (2, PromiseState::Withdrawn));
    let from = ObligationStatus::Open;
    let told = Happened::Status { from, to, why: String::from("a court said so") };
    assert!(firm.happened(id).contains(&told), "why is kept: {:?}", firm.happened(id));
}

#[test]
fn a_promise_for_far_ahead_waits_for_a_person() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.change(Change::Promise { which: Which::Id(id), date: november(70), amount: None }).unwrap();
    assert_eq!(firm.open_kinds(), ["promise"]);
    firm.live(DAY * 20);
    assert!(firm.sent.is_empty());
}

#[test]
fn a_dispute_pauses_opens_a_task_and_ends_by_a_person() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.change(Change::Dispute { which: Which::Id(id), reason: String::from("not mine") }).unwrap();
    assert_eq!(
        (firm.obligation(id).status, firm.open_kinds()),
        (ObligationStatus::Disputed, vec!["dispute".into()])
    );
    firm.live(DAY * 3);
    assert!(firm.sent.is_empty());
    firm.done("dispute", TaskOutcome::Resume).unwrap();
    assert_eq!(firm.obligation(id).status, ObligationStatus::Open);
    firm.live(DAY * 4);
    assert_eq!(firm.steps_sent(), ["after"]);
}

#[test]
fn a_disputed_debt_that_is_paid_is_paid() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.change(Change::Dispute { which: Which::Id(id), reason: String::from("not mine") }).unwrap();
    firm.pay(id, "p1", 12_000);
    assert_eq!(firm.obligation(id).status, ObligationStatus::Paid);
}

#[test]
fn what_is_handed_over_is_reminded_of_no_more() {
    for to in [ObligationStatus::HandedOver, ObligationStatus::Canceled, ObligationStatus::WrittenOff] {
        let mut firm = Firm::new();
        let id = firm.owe("inv-1", 1, november(25));
        firm.reach_next(id);
        firm.change(Change::Status { which: Which::Id(id), to, reason: String::new() }).unwrap();
        firm.hand_back();
        firm.live(DAY * 20);
        assert_eq!((firm.sent.len(), firm.gone(id).len()), (1, 0), "{to:?}");
    }
}

#[test]
fn a_debit_that_came_back_long_after_the_due_date_is_spoken_of() {
    let mut firm = Firm::with(&format!("{SET_UP}{}", RETURNED.replace("grace = \"9d\"\n", "")));
    let id = firm.owe("inv-1", 1, november(25));
    firm.pay(id, "p1", 12_000);
    firm.live(DAY * 8);
    firm.reverse(id, "p1", 12_000);
    firm.live(DAY * 8);
    assert_eq!(firm.steps_sent(), ["returned"], "{:?}", firm.state_of(id));
}

#[test]
fn part_of_the_money_that_goes_back_ends_no_promise() {
    let mut firm = Firm::with(&format!("{SET_UP}{RETURNED}"));
    let id = firm.owe("inv-1", 1, november(25));
    firm.pay(id, "p1", 1_000);
    firm.change(Change::Promise { which: Which::Id(id), date: november(30), amount: None }).unwrap();
    firm.reverse(id, "p1", 1_000);
    assert!(matches!(firm.state_of(id), EnrolmentState::Paused { reason: PauseReason::Promise, .. }));
}

#[test]
fn money_booked_on_the_day_of_the_promise_keeps_it() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    let amount = Some(eur(5_000));
    firm.change(Change::Promise { which: Which::Id(id), date: november(26), amount }).unwrap();
    let mut payment = firm.payment("p1", 5_000);
    payment.at = nudged::clock::Timestamp::parse_rfc3339("2026-11-23T00:00:00Z").unwrap();
    firm.change(Change::Pay { which: Which::Id(id), payment }).unwrap();
    assert!(firm.happened(id).contains(&Happened::PromiseKept));
}

#[test]
fn money_from_before_the_promise_does_not_keep_it() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    let amount = Some(eur(5_000));
    firm.change(Change::Promise { which: Which::Id(id), date: november(26), amount }).unwrap();
    let mut payment = firm.payment("p1", 5_000);
    payment.at = nudged::clock::Timestamp::parse_rfc3339("2026-11-22T12:00:00Z").unwrap();
    firm.change(Change::Pay { which: Which::Id(id), payment }).unwrap();
    assert!(!firm.happened(id).contains(&Happened::PromiseKept));
}

fn in_two_parts(firm: &mut Firm) -> nudged::id::ObligationId {
    let id = firm.owe("inv-1", 1, november(25));
    let part = |due_date| nudged::reminder::plan::PlanPart { due_date, amount: eur(6_000) };
    let parts = vec![part(november(27)), part(november(57))];
    firm.change(Change::Plan { which: Which::Id(id), parts }).unwrap();
    id
}

#[test]
fn instalments_end_with_what_they_are_of() {
    for to in [ObligationStatus::HandedOver, ObligationStatus::Canceled, ObligationStatus::WrittenOff] {
        let mut firm = Firm::new();
        let id = in_two_parts(&mut firm);
        firm.change(Change::Status { which: Which::Id(id), to, reason: String::new() }).unwrap();
        firm.live(DAY * 10);
        assert!(firm.sent.is_empty(), "{to:?}: {:?}", firm.texts());
    }
}

#[test]
fn money_of_the_whole_that_goes_back_is_owed_by_its_instalment_again() {
    let mut firm = Firm::new();
    let id = in_two_parts(&mut firm);
    firm.pay(id, "p1", 6_000);
    assert!(!firm.named("inv-1/1").unwrap().balance().is_positive());
    firm.reverse(id, "p1", 6_000);
    assert_eq!(firm.named("inv-1/1").unwrap().balance(), eur(6_000));
    assert_eq!(firm.obligation(id).status, ObligationStatus::InPlan);
}

#[test]
fn money_of_an_instalment_that_goes_back_is_owed_by_the_whole_again() {
    let mut firm = Firm::new();
    let id = in_two_parts(&mut firm);
    let part = |firm: &Firm, name: &str| {
        let all = firm.obligations();
        *all.iter().find(|(_, o)| o.external_id == external(name)).unwrap().0
    };
    let (first, second) = (part(&firm, "inv-1/1"), part(&firm, "inv-1/2"));
    firm.pay(first, "p1", 6_000);
    firm.pay(second, "p2", 6_000);
    assert_eq!(firm.obligation(id).status, ObligationStatus::Paid);
    firm.reverse(second, "p2", 6_000);
    assert_eq!(firm.obligation(id).balance(), eur(6_000));
    assert_eq!(firm.obligation(id).status, ObligationStatus::InPlan, "one of them is reminded of, not both");
    assert!(matches!(firm.state_of(id), EnrolmentState::Paused { reason: PauseReason::Plan, .. }));
}

#[test]
fn money_and_stops_are_taken_while_the_disk_is_low() {
    use nudged::engine::Refusal;
    use nudged::engine::core::Input;
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    for why in [Refusal::DiskLow, Refusal::QueueFull] {
        firm.step(vec![Input::Intake(Some(why.clone()))]);
        let name = format!("{why:?}");
        let payment = firm.payment(&name, 1_000);
        firm.change(Change::Pay { which: Which::Id(id), payment }).unwrap();
        let new = firm.try_owe(draft(&name, 2, november(25)));
        assert!(matches!(new, Err(ChangeRefusal::Closed(_))), "{new:?}");
    }
    firm.step(vec![Input::Stop]);
    let payment = firm.payment("late", 1_000);
    let refused = firm.change(Change::Pay { which: Which::Id(id), payment });
    assert!(matches!(refused, Err(ChangeRefusal::Closed(_))), "{refused:?}");
}

#[test]
fn a_promise_after_the_last_step_is_judged_too() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.live(DAY * 14);
    assert!(matches!(firm.state_of(id), EnrolmentState::Completed { .. }), "{:?}", firm.steps_sent());
    let promised = Change::Promise { which: Which::Id(id), date: november(40), amount: None };
    firm.change(promised).unwrap();
    firm.live(DAY * 20);
    let promise = firm.obligation(id).promise.unwrap();
    assert_eq!(promise.state, PromiseState::Broken, "tasks: {:?}", firm.open_kinds());
    assert!(firm.open_kinds().contains(&String::from("broken_promise")));
}

#[test]
fn a_promise_whose_pause_a_person_ended_is_judged_too() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.change(Change::Promise { which: Which::Id(id), date: november(26), amount: None }).unwrap();
    firm.change(Change::ResumeEnrolment { which: Which::Id(id) }).unwrap();
    firm.live(DAY * 10);
    assert_ne!(firm.obligation(id).promise.unwrap().state, PromiseState::Made, "{:?}", firm.open_kinds());
}

#[test]
fn a_promise_after_an_exit_is_judged_too() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    let reason = ExitReason::Canceled;
    firm.change(Change::ExitEnrolment { which: Which::Id(id), reason }).unwrap();
    firm.change(Change::Promise { which: Which::Id(id), date: november(26), amount: None }).unwrap();
    firm.live(DAY * 10);
    assert_eq!(firm.obligation(id).promise.unwrap().state, PromiseState::Broken, "{:?}", firm.open_kinds());
}

#[test]
fn a_promise_of_more_than_is_owed_is_refused_and_all_of_it_keeps_any() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    let promise =
        |minor| Change::Promise { which: Which::Id(id), date: november(24), amount: Some(eur(minor)) };
    let refused = firm.change(promise(12_001));
    assert!(matches!(refused, Err(ChangeRefusal::Field { field: "amount", .. })), "{refused:?}");
    firm.change(promise(12_000)).unwrap();
    // Part of it is forgiven: less than was promised is all there is to pay.
    firm.try_owe(ObligationDraft { amount: eur(5_000), ..draft("inv-1", 1, november(25)) }).unwrap();
    firm.pay(id, "p1", 5_000);
    assert_eq!(firm.obligation(id).promise.unwrap().state, PromiseState::Kept);
}

#[test]
fn a_dispute_that_ends_does_not_end_a_hardship() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    let reason = PauseReason::Hardship;
    firm.change(Change::PauseEnrolment { which: Which::Id(id), reason, until: None }).unwrap();
    firm.change(Change::Dispute { which: Which::Id(id), reason: "amount".into() }).unwrap();
    let open = Change::Status { which: Which::Id(id), to: ObligationStatus::Open, reason: "right".into() };
    firm.change(open).unwrap();
    firm.live(DAY * 2);
    assert!(firm.sent.is_empty(), "{:?}", firm.texts());
}

#[test]
fn a_promise_does_not_end_a_hardship() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    let reason = PauseReason::Hardship;
    firm.change(Change::PauseEnrolment { which: Which::Id(id), reason, until: None }).unwrap();
    firm.change(Change::Promise { which: Which::Id(id), date: november(24), amount: None }).unwrap();
    firm.live(DAY * 8);
    assert!(firm.sent.is_empty(), "{:?}", firm.texts());
}

#[test]
fn a_paid_claim_without_an_end_is_a_task_after_five_business_days_and_the_reminders_go_on() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(30));
    let reason = PauseReason::PaidClaim;
    firm.change(Change::PauseEnrolment { which: Which::Id(id), reason, until: None }).unwrap();
    // Monday the 23rd; the weekend does not count.
    firm.live(DAY * 7);
    assert!(matches!(firm.state_of(id), EnrolmentState::Paused { reason: PauseReason::PaidClaim, .. }));
    firm.live(DAY * 23);
    assert_eq!(firm.open_kinds(), ["paid_claim", "escalation"]);
    assert_eq!(firm.steps_sent(), ["after", "last"]);
}

#[test]
fn a_pause_may_end_sooner_where_somebody_asks_for_it_and_not_by_a_promise() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    let until = |firm: &Firm, days: u32| Some(firm.clock.now().wall.saturating_add(DAY * days));
    let pause = |reason, until| Change::PauseEnrolment { which: Which::Id(id), reason, until };
    let long = until(&firm, 9);
    firm.change(pause(PauseReason::Hardship, long)).unwrap();
    assert_eq!(firm.change(pause(PauseReason::Hardship, long)).unwrap().how, How::Unchanged);
    firm.change(Change::Promise { which: Which::Id(id), date: november(24), amount: None }).unwrap();
    assert_eq!(firm.state_of(id), EnrolmentState::Paused { reason: PauseReason::Hardship, until: long });
    let short = until(&firm, 2);
    firm.change(pause(PauseReason::Hardship, short)).unwrap();
    assert_eq!(firm.state_of(id), EnrolmentState::Paused { reason: PauseReason::Hardship, until: short });
}

#[test]
fn a_pause_that_ends_in_a_dispute_leaves_the_disputes_own() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    let until = Some(firm.clock.now().wall.saturating_add(DAY));
    let reason = PauseReason::Hardship;
    firm.change(Change::PauseEnrolment { which: Which::Id(id), reason, until }).unwrap();
    firm.change(Change::Dispute { which: Which::Id(id), reason: "amount".into() }).unwrap();
    firm.live(DAY * 2);
    let waits = EnrolmentState::Paused { reason: PauseReason::Dispute, until: None };
    assert_eq!((firm.state_of(id), firm.sent.len()), (waits, 0));
    firm.done("dispute", TaskOutcome::Resume).unwrap();
    assert_eq!(firm.state_of(id), EnrolmentState::Active);
}

#[test]
fn a_step_for_a_broken_promise_goes_once_after_one_and_never_without() {
    let step =
        "[[sequence.step]]\nid = \"broken_promise\"\noffset = \"+1d\"\nat = \"10:00\"\ntemplate = \"late\"\n";
    let mut firm = Firm::with(&format!("{SET_UP}{step}"));
    let (id, other) = (firm.owe("inv-1", 1, november(25)), firm.owe("inv-2", 2, november(25)));
    firm.live(DAY * 14);
    assert_eq!(firm.gone(other), ["before", "after", "last"]);
    assert!(matches!(firm.state_of(id), EnrolmentState::Completed { .. }));
    // Friday the 11th: the money may come until Monday, and the text goes on Tuesday.
    let date = november(41);
    firm.change(Change::Promise { which: Which::Id(id), date, amount: None }).unwrap();
    firm.live(DAY * 12);
    assert_eq!(firm.gone(id), ["before", "after", "last", "broken_promise"]);
    assert_eq!(firm.sent.last().unwrap().at.to_rfc3339()[..10], *"2026-12-15");
    firm.change(Change::Promise { which: Which::Id(id), date: november(51), amount: None }).unwrap();
    firm.live(DAY * 12);
    assert_eq!(firm.gone(id).len(), 4, "once");
}
