//! When a step goes: once, at its time, the latest that still applies, and never while something stands against it.

use std::time::Duration;

use nudged::engine::core::Input;
use nudged::engine::reminders::change::{How, ObligationDraft, Owner, Which};
use nudged::engine::reminders::{Change, Happened};
use nudged::engine::{Command, Draft};
use nudged::message::{OnUnknown, Resolution, Status};
use nudged::reminder::enrolment::{EnrolmentState, ExitReason, PauseReason, StepOutcome};
use nudged::store::keys::family;
use tokio::sync::oneshot;

use super::firm::*;
use crate::support::draft as message;

#[test]
fn a_due_step_goes_once_at_its_time_with_its_text() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    let at = firm.next_at(id).unwrap();
    assert_eq!(at.to_rfc3339()[..13], *"2026-11-23T09", "10:00 in Berlin, and some minutes");
    firm.pass_until(at.saturating_sub(Duration::from_secs(1)));
    assert!(firm.sent.is_empty());
    firm.pass_until(at);
    assert_eq!((firm.sent.len(), firm.sent[0].at, firm.sent[0].to), (1, at, number(1)));
    let text = &firm.sent[0].text;
    assert!(text.contains("120.00 EUR for inv-1 of Acme GmbH on 25 Nov 2026."), "{text}");
    firm.accept();
    firm.live(DAY * 4);
    assert_eq!(firm.sent.len(), 1);
    firm.live(DAY * 20);
    assert_eq!(firm.steps_sent(), ["before", "after", "last"]);
    assert!(matches!(firm.state_of(id), EnrolmentState::Completed { .. }));
}

#[test]
fn nothing_is_rendered_or_queued_while_no_link_has_credit() {
    let mut firm = Firm::without_link(SET_UP);
    let id = firm.owe("inv-1", 1, november(25));
    firm.reach_next(id);
    firm.pass(HOUR);
    let bodies = |firm: &Firm| firm.state.map.keys().filter(|key| key[0] == family::BODY).count();
    assert_eq!((bodies(&firm), firm.gone(id).len()), (0, 0));
    firm.up();
    assert_eq!((bodies(&firm), firm.sent.len()), (1, 1));
}

#[test]
fn no_more_is_rendered_than_links_have_credit_for() {
    let mut firm = Firm::make(SET_UP, 2, MONDAY);
    for n in 1..=6 {
        firm.owe(&format!("inv-{n}"), n, november(25));
    }
    firm.up();
    firm.pass(HOUR * 3);
    assert_eq!(firm.sent.len(), 2, "two are on their way, and none waits behind them");
    assert_eq!(firm.state.map.keys().filter(|key| key[0] == family::BODY).count(), 2);
    firm.live(HOUR);
    assert_eq!(firm.sent.len(), 6);
}

#[test]
fn after_an_outage_only_the_latest_step_that_applies_goes() {
    let mut firm =
        Firm::without_link(&SET_UP.replace("template = \"due\"\n", "template = \"due\"\ngrace = \"6d\"\n"));
    let id = firm.owe("inv-1", 1, november(25));
    // "before" is of the 23rd with six days' grace, "after" of Saturday, the 28th.
    firm.pass(DAY * 5 + HOUR * 6);
    firm.up();
    assert_eq!(firm.steps_sent(), ["after"]);
    firm.live(DAY * 2);
    assert_eq!(firm.steps_sent(), ["after"]);
    assert!(firm.happened(id).contains(&Happened::Stale { step: key("before") }));
}

#[test]
fn a_step_whose_grace_passed_does_not_go() {
    let mut firm = Firm::without_link(SET_UP);
    let id = firm.owe("inv-1", 1, november(25));
    firm.pass(DAY * 4);
    firm.up();
    firm.live(HOUR * 2);
    assert!(firm.sent.is_empty());
    assert!(firm.happened(id).contains(&Happened::Stale { step: key("before") }));
    firm.live(DAY * 2);
    assert_eq!(firm.steps_sent(), ["after"]);
}

#[test]
fn an_outcome_that_is_not_known_counts_as_gone() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.reach_next(id);
    firm.lose();
    firm.live(DAY);
    assert_eq!((firm.sent.len(), firm.gone(id)), (1, vec![String::from("before")]));
    assert!(!firm.phone(1).ledger.times().is_empty(), "it counts under the caps");
}

#[test]
fn a_person_may_say_that_an_unknown_one_went() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.reach_next(id);
    firm.lose();
    let (reply, mut answer) = oneshot::channel();
    let message = firm.sent[0].id;
    firm.step(vec![nudged::engine::core::Input::Command(Command::Resolve {
        id: message,
        how: Resolution::Sent,
        reply,
    })]);
    assert_eq!(answer.try_recv().unwrap().unwrap(), Status::Sent);
    assert_eq!(firm.obligation(id).enrolment.unwrap().reminders_accepted, 1);
}

#[test]
fn a_reminder_is_never_sent_again_by_itself_whatever_the_queue_does_with_others() {
    let mut firm = Firm::new();
    firm.settings.queue.on_unknown = OnUnknown::Resend;
    firm.crash();
    let id = firm.owe("inv-1", 1, november(25));
    firm.reach_next(id);
    firm.lose();
    firm.live(DAY * 2);
    assert_eq!(firm.sent.len(), 1);
}

#[test]
fn what_a_link_hands_back_goes_again_under_the_same_step() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.reach_next(id);
    firm.down();
    firm.hand_back();
    firm.pass(HOUR);
    assert_eq!(firm.sent.len(), 1);
    firm.up();
    firm.live(DAY);
    let went: Vec<&str> = firm.texts();
    assert_eq!((went.len(), firm.gone(id).len()), (2, 1), "{went:?}");
    assert_eq!(firm.obligation(id).enrolment.unwrap().reminders_accepted, 1);
}

#[test]
fn a_reminder_that_waits_in_the_queue_is_judged_again_at_its_lease() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.reach_next(id);
    // It comes back after the hours of the day are over.
    firm.down();
    firm.hand_back();
    firm.pass(HOUR * 12);
    firm.up();
    firm.accept();
    assert_eq!(firm.sent.len(), 1, "not at night");
    firm.live(DAY);
    assert_eq!(firm.steps_sent(), ["before", "before"]);
    assert_eq!(firm.sent[1].at.to_rfc3339()[..13], *"2026-11-24T07", "from eight o'clock in Berlin");
}

#[test]
fn two_creditors_share_the_caps_of_one_phone() {
    let mut firm = Firm::new();
    let first = firm.owe("inv-1", 1, november(25));
    let other = ObligationDraft {
        owner: Owner::Inline { creditor: key("other"), contact: Box::new(contact(&[1])) },
        ..draft("inv-2", 1, november(25))
    };
    let second = firm.try_owe(other).unwrap();
    firm.live(HOUR * 6);
    assert_eq!(firm.sent.len(), 1, "one a day");
    let waits = if firm.gone(first).is_empty() { first } else { second };
    let refused = firm.obligation(waits).enrolment.unwrap().refused.unwrap();
    assert_eq!((refused.gate.as_str(), refused.pack), ("caps", Some(key("base"))));
    firm.live(DAY);
    assert_eq!(firm.sent.len(), 2);
    assert!(firm.sent[1].at.since(firm.sent[0].at) > HOUR * 12, "the next day");
}

#[test]
fn a_due_date_moved_later_plans_what_did_not_go_anew() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.live(DAY);
    firm.move_due(id, november(30), false);
    assert_eq!(firm.next_at(id).unwrap().to_rfc3339()[..10], *"2026-12-03");
    firm.live(DAY * 30);
    assert_eq!(firm.steps_sent(), ["before", "after", "last"], "none again");
}

#[test]
fn a_due_date_moved_earlier_lets_only_the_latest_missed_step_go() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(30));
    firm.live(HOUR * 2);
    firm.move_due(id, november(20), false);
    firm.live(HOUR * 6);
    assert_eq!(firm.steps_sent(), ["after"], "of the 23rd");
}

#[test]
fn a_due_date_moved_with_restart_begins_a_new_cycle() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.live(DAY);
    firm.move_due(id, november(30), true);
    assert_eq!(firm.obligation(id).cycle, 2);
    firm.live(DAY * 20);
    assert_eq!(firm.steps_sent(), ["before", "before", "after", "last"]);
}

#[test]
fn what_waits_for_its_lease_goes_with_the_new_date_only() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.reach_next(id);
    firm.move_due(id, november(26), false);
    assert_eq!(firm.recalled, [firm.sent[0].id]);
    firm.hand_back();
    firm.live(DAY * 2);
    assert_eq!(firm.sent.len(), 2);
    assert!(firm.sent[1].text.contains("26 Nov 2026"), "{:?}", firm.texts());
    assert_eq!(firm.gone(id), ["before"]);
}

#[test]
fn a_pause_with_an_end_goes_on_by_itself_and_one_without_waits_for_a_word() {
    let mut firm = Firm::new();
    let (id, other) = (firm.owe("inv-1", 1, november(25)), firm.owe("inv-2", 2, november(25)));
    let until = Some(firm.clock.now().wall.saturating_add(DAY));
    let pause =
        |id, until| Change::PauseEnrolment { which: Which::Id(id), reason: PauseReason::Manual, until };
    firm.change(pause(id, until)).unwrap();
    firm.change(pause(other, None)).unwrap();
    firm.live(HOUR * 20);
    assert!(firm.sent.is_empty());
    firm.live(HOUR * 12);
    assert_eq!(firm.sent.iter().map(|sent| sent.to).collect::<Vec<_>>(), [number(1)]);
    firm.change(Change::ResumeEnrolment { which: Which::Id(other) }).unwrap();
    firm.live(HOUR * 4);
    assert_eq!(firm.sent.len(), 2);
}

#[test]
fn a_pause_takes_back_what_waits() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.reach_next(id);
    firm.change(Change::PauseEnrolment { which: Which::Id(id), reason: PauseReason::Manual, until: None })
        .unwrap();
    assert_eq!(firm.recalled.len(), 1);
    firm.hand_back();
    firm.live(DAY * 3);
    assert_eq!((firm.sent.len(), firm.gone(id).len()), (1, 0));
    assert!(firm.phone(1).ledger.times().is_empty(), "its place under the caps is free");
}

#[test]
fn an_exit_ends_it_for_good() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.change(Change::ExitEnrolment { which: Which::Id(id), reason: ExitReason::Canceled }).unwrap();
    firm.live(DAY * 20);
    assert!(firm.sent.is_empty());
}

#[test]
fn another_sequence_begins_and_ends_the_old_one() {
    let other = "[[sequence]]\nkey = \"other\"\n[[sequence.step]]\nid = \"only\"\noffset = \"0d\"\nat = \"10:00\"\ntemplate = \"due\"\n";
    let mut firm = Firm::with(&format!("{SET_UP}{other}"));
    let id = firm.owe("inv-1", 1, november(25));
    firm.live(DAY);
    firm.change(Change::Enrol { which: Which::Id(id), sequence: key("other") }).unwrap();
    firm.live(DAY * 20);
    assert_eq!(firm.steps_sent(), ["before", "only"]);
    assert!(firm.happened(id).contains(&Happened::Exited { reason: ExitReason::Superseded }));
}

#[test]
fn what_runs_stays_with_the_version_of_the_sequence_it_began_with() {
    let mut firm = Firm::new();
    let old = firm.owe("inv-1", 1, november(25));
    let (_, sequence) = SET_UP.split_once("[[sequence]]").unwrap();
    firm.set_up(&format!("[[sequence]]{}", sequence.replace("10:00", "12:00")));
    let new = firm.owe("inv-2", 2, november(25));
    let hour = |firm: &Firm, id| firm.next_at(id).unwrap().to_rfc3339()[11..13].to_owned();
    assert_eq!((hour(&firm, old), hour(&firm, new)), (String::from("09"), String::from("11")));
}

#[test]
fn a_changed_template_counts_until_the_text_is_made() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.set_up("[[template]]\nkey = \"due\"\nlanguage = \"en\"\nclass = \"reminder\"\nbody = \"New: {{ amount }} to {{ creditor }}.\"\n");
    firm.reach_next(id);
    assert!(firm.sent[0].text.starts_with("New: "), "{:?}", firm.texts());
    let note = &firm.obligation(id).steps[0];
    assert!(matches!(&note.how, StepOutcome::Gone { template, .. } if template == "due@en@2"), "{note:?}");
}

#[test]
fn a_step_goes_only_where_its_condition_holds() {
    let set_up = SET_UP.replace("template = \"due\"\n[[", "template = \"due\"\nwhen = \"balance > 500\"\n[[");
    let mut firm = Firm::with(&set_up);
    let id = firm.owe("inv-1", 1, november(25));
    firm.live(DAY);
    assert!(firm.sent.is_empty());
    let skipped = Happened::Skipped { step: key("before"), gate: "when".into(), rule: "condition".into() };
    assert!(firm.happened(id).contains(&skipped));
    firm.live(DAY * 6);
    assert_eq!(firm.steps_sent(), ["after"]);
}

#[test]
fn a_text_that_cannot_be_made_is_a_task_and_goes_once_it_can() {
    let mut firm = Firm::with(&SET_UP.replace("Due: {{ amount }}", "Due: {{ description }} {{ amount }}"));
    let id = firm.owe("inv-1", 1, november(25));
    firm.live(HOUR * 6);
    assert_eq!((firm.sent.len(), firm.open_kinds()), (0, vec![String::from("render")]));
    firm.try_owe(ObligationDraft { description: Some("rent".into()), ..draft("inv-1", 1, november(25)) })
        .unwrap();
    firm.live(HOUR * 2);
    assert!(firm.texts()[0].contains("Due: rent 120.00 EUR"), "{:?} {:?}", firm.texts(), firm.obligation(id));
}

#[test]
fn the_same_text_to_the_same_number_of_late_is_not_sent_twice() {
    let same = SET_UP.replace(" for {{ reference }} of", " of");
    let mut firm = Firm::with(&same.replace("max = 1", "max = 9"));
    firm.settings.queue.duplicate_window = DAY;
    firm.crash();
    let id = firm.owe("inv-1", 1, november(25));
    firm.reach_next(id);
    let text = firm.sent[0].text.clone();
    firm.accept();
    firm.send(Draft { allow_duplicate: false, ..message(number(1), &text) });
    assert_eq!(firm.sent.len(), 1);
}

#[test]
fn what_somebody_sent_by_hand_an_hour_before_is_not_said_again_by_a_step() {
    let words = |firm: &mut Firm| {
        let id = firm.owe("inv-1", 1, november(25));
        firm.reach_next(id);
        firm.sent.last().unwrap().text.clone()
    };
    let text = words(&mut Firm::new());
    let mut firm = Firm::new();
    firm.pass(HOUR);
    firm.send(message(number(1), &text));
    firm.accept();
    let by_hand = words(&mut firm);
    assert_eq!((by_hand, firm.sent.len()), (text, 1));
    let id = *firm.obligations().keys().next().unwrap();
    let refused = firm.obligation(id).enrolment.unwrap().refused.unwrap();
    assert_eq!((refused.step.as_str(), refused.gate.as_str()), ("before", "duplicate"));
    firm.live(DAY * 2);
    assert_eq!(firm.sent.len(), 2, "a day later it goes: {:?}", firm.texts());
}

#[test]
fn a_restart_reads_as_little_of_many_future_steps_as_of_few() {
    let reads = |count: u64| {
        let mut firm = Firm::without_link(SET_UP);
        for n in 1..=count {
            firm.owe(&format!("inv-{n}"), n, november(25 + i8::try_from(n % 60).unwrap()));
        }
        super::cost::reads_at_start(&firm)
    };
    let few = reads(5);
    assert_eq!(reads(300), few);
}

#[test]
fn a_wall_clock_in_doubt_stops_reminders_and_not_what_is_asked() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.reach_next(id);
    let other = firm.owe("inv-2", 2, november(26));
    firm.clock.jump(firm.next_at(other).unwrap().saturating_add(HOUR));
    firm.step(Vec::new());
    assert_eq!(firm.sent.len(), 1, "the clock moved a day in no time");
    firm.pay(other, "p1", 12_000);
    firm.live(DAY);
    assert_eq!(firm.sent.len(), 1);
    assert!(matches!(firm.state_of(other), EnrolmentState::Exited { reason: ExitReason::Paid, .. }));
}

#[test]
fn a_stop_of_the_daemon_lets_nothing_more_go() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.step(vec![nudged::engine::core::Input::Stop]);
    firm.pass_until(firm.next_at(id).unwrap().saturating_add(HOUR));
    assert!(firm.sent.is_empty());
}

#[test]
fn enrolling_twice_is_enrolling_once() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.reach_next(id);
    firm.accept();
    firm.change(Change::Enrol { which: Which::Id(id), sequence: key("standard") }).unwrap();
    firm.live(DAY * 3);
    assert_eq!(firm.steps_sent(), ["before"]);
}

#[test]
fn a_due_date_that_was_wrong_and_is_put_right_is_reminded_of() {
    let mut firm = Firm::new();
    firm.owe("inv-1", 1, november(1));
    firm.owe("inv-1", 1, november(30));
    firm.live(DAY * 30);
    assert_eq!(firm.steps_sent(), ["before", "after", "last"]);
}

#[test]
fn a_later_due_date_sends_nothing_again_that_went() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.reach_next(id);
    firm.accept();
    firm.move_due(id, november(30), false);
    firm.live(DAY * 30);
    assert_eq!(firm.steps_sent(), ["before", "after", "last"]);
}

const OTHER: &str = "[[sequence]]\nkey = \"other\"\n[[sequence.step]]\nid = \"another\"\noffset = \"+5d\"\nat = \"10:00\"\ntemplate = \"due\"\n";

#[test]
fn another_sequence_begins_when_the_pause_is_over_and_not_before() {
    let mut firm = Firm::with(&format!("{SET_UP}{OTHER}"));
    let id = firm.owe("inv-1", 1, november(25));
    let reason = PauseReason::Hardship;
    firm.change(Change::PauseEnrolment { which: Which::Id(id), reason, until: None }).unwrap();
    firm.try_owe(ObligationDraft { sequence: Some(key("other")), ..draft("inv-1", 1, november(25)) })
        .unwrap();
    assert!(matches!(firm.state_of(id), EnrolmentState::Paused { reason: PauseReason::Hardship, .. }));
    firm.live(DAY * 5);
    assert!(firm.sent.is_empty(), "{:?}", firm.steps_sent());
    firm.change(Change::ResumeEnrolment { which: Which::Id(id) }).unwrap();
    firm.live(DAY * 10);
    assert_eq!(firm.steps_sent(), ["another"]);
}

#[test]
fn another_sequence_revives_nothing_that_ended() {
    let mut firm = Firm::with(&format!("{SET_UP}{OTHER}"));
    let id = firm.owe("inv-1", 1, november(25));
    let reason = nudged::reminder::enrolment::ExitReason::Attorney;
    firm.change(Change::ExitEnrolment { which: Which::Id(id), reason }).unwrap();
    firm.try_owe(ObligationDraft { sequence: Some(key("other")), ..draft("inv-1", 1, november(25)) })
        .unwrap();
    firm.live(DAY * 20);
    assert!(firm.sent.is_empty(), "{:?}", firm.steps_sent());
    assert_eq!(firm.obligation(id).sequence, Some(key("other")), "by hand it may begin");
}

/// Numbers below 100 go by a link that takes one text at a time, the others by a fast one.
fn two_lanes() -> Firm {
    let noon = "[[sequence]]\nkey = \"noon\"\n[[sequence.step]]\nid = \"noon\"\noffset = \"-2d\"\nat = \"12:00\"\n\
                grace = \"2h\"\ntemplate = \"due\"\n";
    let mut firm = Firm::make(&format!("{SET_UP}{noon}"), 1, MONDAY);
    let route = |to: &str, via: &str| nudged::config::Route {
        to: vec![to.to_owned()],
        class: Vec::new(),
        sender: Vec::new(),
        token: Vec::new(),
        via: vec![via.into()],
        policy: nudged::config::Policy::Failover,
    };
    let fast = nudged::link::LinkFacts { name: "b".into(), account: "b".into(), kind: "smpp", window: 10 };
    firm.settings.links.push(fast);
    firm.settings.routes = vec![route("+49151123450", "a"), route("+49151123451", "b")];
    firm.crash();
    firm.step(vec![Input::Link { link: 1, event: nudged::link::LinkEvent::Up }]);
    firm
}

#[test]
fn a_lane_that_is_full_keeps_no_other_lane_waiting() {
    let mut firm = two_lanes();
    for n in 1..=60 {
        firm.owe(&format!("slow-{n}"), n, november(25));
    }
    for n in 101..=105 {
        let mut fast = draft(&format!("fast-{n}"), n, november(25));
        fast.sequence = Some(key("noon"));
        firm.try_owe(fast).unwrap();
    }
    // The slow link takes five minutes for a text: it has work until three o'clock.
    for _ in 0..72 {
        firm.pass(std::time::Duration::from_secs(300));
        let open = std::mem::take(&mut firm.open);
        let answers = open.into_iter().map(|(link, submission)| {
            let reference = nudged::message::Reference(submission.id.to_string());
            let (id, index) = (submission.id, submission.index);
            let outcome = nudged::link::Outcome::Accepted { reference };
            Input::Link { link, event: nudged::link::LinkEvent::Outcome { id, index, outcome } }
        });
        let answers: Vec<Input> = answers.collect();
        firm.step(answers);
    }
    let by_fast = firm.sent.iter().filter(|sent| sent.to >= number(100)).count();
    assert_eq!(by_fast, 5, "the fast link was idle all the time: {} by the slow one", firm.sent.len());
}

#[test]
fn what_waits_for_a_full_lane_goes_in_its_order_each_once_whatever_its_link_does() {
    let mut firm = two_lanes();
    let owed: Vec<_> = (1..=20).map(|n| (n, firm.owe(&format!("slow-{n}"), n, november(25)))).collect();
    let mut due: Vec<_> = owed.iter().map(|(n, id)| (firm.next_at(*id), number(*n))).collect();
    due.sort_unstable();
    firm.pass(HOUR * 3);
    assert_eq!(firm.sent.len(), 1, "the others wait for its answer");
    firm.down();
    firm.hand_back();
    firm.pass(HOUR);
    firm.up();
    firm.live(HOUR);
    let to: Vec<_> = firm.sent.iter().skip(1).map(|sent| sent.to).collect();
    assert_eq!(to, due.into_iter().map(|(_, to)| to).collect::<Vec<_>>());
    assert!(owed.iter().all(|(_, id)| firm.gone(*id) == ["before"]));
}

const HOW_TO_STOP: &str = "Reply STOP";

fn says_how_to_stop(firm: &Firm) -> Vec<bool> {
    firm.texts().iter().map(|text| text.contains(HOW_TO_STOP)).collect()
}

/// `base` wants it in the first and every third text, which the person counts, whatever they are about.
#[test]
fn two_debts_of_one_creditor_say_how_to_stop_as_often_as_their_number_is_owed_it() {
    let mut firm = Firm::with(&SET_UP.replace("offset = \"+3d\"\n", "offset = \"+3d\"\ngrace = \"9d\"\n"));
    firm.owe("inv-1", 1, november(25));
    firm.owe("inv-2", 1, november(27));
    firm.live(DAY * 10);
    assert_eq!(firm.steps_sent(), ["before", "before", "after", "after"]);
    assert_eq!(says_how_to_stop(&firm), [true, true, true, false], "{:?}", firm.texts());
}

#[test]
fn another_number_of_a_debt_is_told_how_to_stop_in_its_first_text() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.reach_next(id);
    firm.accept();
    let moved = nudged::reminder::contact::Contact { external_id: external("con-1"), ..contact(&[5]) };
    firm.change(Change::Contact(Box::new(moved))).unwrap();
    firm.live(DAY * 6);
    assert_eq!(firm.sent.iter().map(|sent| sent.to).collect::<Vec<_>>(), [number(1), number(5)]);
    assert_eq!(says_how_to_stop(&firm), [true, true], "{:?}", firm.texts());
}

#[test]
fn what_never_went_counts_for_nothing() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.reach_next(id);
    firm.pay(id, "p1", 100);
    firm.hand_back();
    assert_eq!(firm.phone(1).reminders_of(&key("acme")), 1, "it goes anew: {:?}", firm.texts());
    firm.live(HOUR);
    assert_eq!(says_how_to_stop(&firm), [true, true], "{:?}", firm.texts());
}

#[test]
fn the_latest_step_that_applies_goes_where_a_later_ones_condition_does_not_hold() {
    let set_up = SET_UP.split("[[sequence]]").next().unwrap().to_owned()
        + "[[sequence]]\nkey = \"standard\"\n\
           [[sequence.step]]\nid = \"one\"\noffset = \"0d\"\nat = \"10:00\"\ngrace = \"6d\"\ntemplate = \"due\"\n\
           [[sequence.step]]\nid = \"two\"\noffset = \"+1d\"\nat = \"10:00\"\ngrace = \"6d\"\ntemplate = \"late\"\n\
           when = \"balance > 1000000\"\n";
    let mut firm = Firm::without_link(&set_up);
    firm.owe("inv-1", 1, november(23));
    firm.pass(DAY * 2);
    firm.up();
    firm.live(HOUR * 8);
    assert_eq!(firm.steps_sent(), ["one"], "it is of Monday, and may go until Saturday");
}

#[test]
fn a_new_version_of_its_sequence_repeats_no_step_that_went() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.reach_next(id);
    firm.accept();
    assert_eq!(firm.steps_sent(), ["before"]);
    let enrol = || Change::Enrol { which: Which::Id(id), sequence: key("standard") };
    firm.change(enrol()).unwrap();
    // Somebody moves the last step by a day; the firm's program enrols as it does each night.
    firm.set_up(&SET_UP.replace("+10d", "+11d"));
    firm.change(enrol()).unwrap();
    firm.live(DAY * 2);
    assert_eq!(firm.steps_sent(), ["before"], "{:?}", firm.texts());
}

#[test]
fn a_sequence_named_to_and_fro_by_files_repeats_no_step_that_went() {
    let other = "[[sequence]]\nkey = \"other\"\n[[sequence.step]]\nid = \"another\"\noffset = \"+30d\"\nat = \"10:00\"\ntemplate = \"due\"\n";
    let mut firm = Firm::with(&format!("{SET_UP}{other}"));
    let named = |firm: &mut Firm, name: &str| {
        let draft = ObligationDraft { sequence: Some(key(name)), ..draft("inv-1", 1, november(25)) };
        firm.try_owe(draft).unwrap()
    };
    named(&mut firm, "standard");
    firm.live(HOUR * 4);
    assert_eq!(firm.steps_sent(), ["before"]);
    named(&mut firm, "other");
    named(&mut firm, "standard");
    firm.live(DAY * 2);
    assert_eq!(firm.steps_sent(), ["before"], "{:?}", firm.texts());
}

#[test]
fn the_same_restart_twice_is_one() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.reach_next(id);
    firm.accept();
    let again = || Change::DueDate { which: Which::Id(id), date: november(27), restart: true };
    firm.change(again()).unwrap();
    firm.live(DAY * 2);
    // The answer was lost, or a program puts the same body each night.
    let second = firm.change(again()).unwrap();
    assert_eq!(second.how, How::Unchanged);
}

#[test]
fn a_later_due_date_is_reminded_of_even_where_a_late_step_went() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(20));
    firm.live(HOUR * 4);
    assert_eq!(firm.steps_sent(), ["after"], "of the 23rd; the one before was over");
    firm.move_due(id, november(51), false);
    firm.live(DAY * 30);
    assert_eq!(firm.steps_sent(), ["after", "before"], "two days before the new date, the 19th");
}

#[test]
fn what_a_person_canceled_stays_so_when_a_file_moves_the_due_date() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.reach_next(id);
    let message = firm.sent[0].id;
    let (reply, _answer) = oneshot::channel();
    firm.step(vec![nudged::engine::core::Input::Command(Command::Cancel { id: message, reply })]);
    firm.hand_back();
    firm.move_due(id, november(26), false);
    firm.live(DAY * 2);
    assert_eq!(firm.sent.len(), 1, "{:?}", firm.texts());
}

/// Five seconds at a time, so that every instant of a slot is met.
fn through(firm: &mut Firm, from: &str, to: &str) {
    let at = |text: &str| nudged::clock::Timestamp::parse_rfc3339(text).unwrap();
    firm.pass_until(at(from));
    while firm.clock.now().wall < at(to) {
        firm.clock.advance(std::time::Duration::from_secs(5));
        firm.step(Vec::new());
        firm.accept();
    }
}

#[test]
fn jitter_leaves_every_recipient_time_for_a_step_of_two_hours_grace() {
    let evening = SET_UP.replacen("at = \"10:00\"", "at = \"evening\"\ngrace = \"2h\"", 1);
    let mut firm = Firm::make(&evening, 200, MONDAY);
    firm.up();
    for n in 1..=120 {
        firm.owe(&format!("inv-{n}"), n, november(25));
    }
    through(&mut firm, "2026-11-23T16:29:00Z", "2026-11-23T19:00:00Z");
    assert_eq!(firm.sent.len(), 120);
}

#[test]
fn jitter_near_the_closing_hour_moves_nobody_to_another_day() {
    let late = SET_UP.replacen("at = \"10:00\"", "at = \"19:40\"", 1);
    let mut firm = Firm::make(&late, 200, MONDAY);
    firm.up();
    for n in 1..=120 {
        firm.owe(&format!("inv-{n}"), n, november(25));
    }
    through(&mut firm, "2026-11-23T18:39:00Z", "2026-11-23T20:00:00Z");
    assert_eq!(firm.sent.len(), 120, "the others would go on another day");
}
