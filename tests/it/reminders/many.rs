//! A number or contact with more obligations than one step may look at: what concerns all of them is done in steps
//! that stay short, and a crash between them loses nothing.

use nudged::engine::core::Input;
use nudged::engine::reminders::Change;
use nudged::engine::reminders::errands::PER_STEP;
use nudged::id::ObligationId;
use nudged::reminder::enrolment::{EnrolmentState, ExitReason};
use nudged::reminder::suppression::Party;
use nudged::store::keys::{self, family};

use super::firm::*;

/// Two steps do not reach to the end.
const MANY: usize = 2 * PER_STEP + 50;

fn firm_of_one_number() -> Firm {
    let mut firm = Firm::without_link(SET_UP);
    for at in 0..MANY / 50 {
        let owed = (0..50).map(|n| draft(&format!("inv-{}", at * 50 + n), 1, november(25)));
        let made = firm.change_all(owed.map(|draft| Change::Obligation(Box::new(draft))).collect());
        assert!(made.iter().all(Result::is_ok));
    }
    firm
}

/// Obligations that the last step wrote.
fn written(firm: &Firm) -> usize {
    firm.last.batch.writes.keys().filter(|key| key[0] == family::OBLIGATION).count()
}

fn opted_out(firm: &Firm) -> usize {
    let ended = |id: &ObligationId| {
        matches!(firm.state_of(*id), EnrolmentState::Exited { reason: ExitReason::OptedOut, .. })
    };
    firm.obligations().keys().filter(|id| ended(id)).count()
}

fn errands(firm: &Firm) -> usize {
    firm.state.map.keys().filter(|key| key[0] == family::ERRAND).count()
}

fn stop(firm: &mut Firm) -> Input {
    firm.heard(&number(1).digits(), Some(number(1)), "STOP")
}

#[test]
fn a_stop_is_brought_to_many_obligations_in_short_steps_and_over_a_crash() {
    let mut firm = firm_of_one_number();
    let heard = stop(&mut firm);
    assert!(firm.one_step(vec![heard]), "there is more to do");
    assert!(firm.state.map.contains_key(&keys::opt_out(Party::Number(number(1)))), "at once");
    assert_eq!((written(&firm), opted_out(&firm), errands(&firm)), (PER_STEP, PER_STEP, 1));
    assert!(firm.one_step(Vec::new()));
    assert_eq!((written(&firm), opted_out(&firm)), (PER_STEP, 2 * PER_STEP));
    firm.crash();
    assert_eq!((opted_out(&firm), errands(&firm)), (MANY, 0));
    firm.live(DAY * 20);
    let reminders = firm.sent.iter().filter(|sent| sent.reference.is_some());
    assert_eq!(reminders.count(), 0, "{:?}", firm.texts());
}

/// From the instant on at which the suppression is on the disk, whatever the records say yet.
#[test]
fn nothing_goes_while_a_stop_is_still_brought_around() {
    let mut firm = firm_of_one_number();
    let last = *firm.obligations().keys().next_back().unwrap();
    let at = firm.next_at(last).unwrap();
    firm.pass_until(at.saturating_add(HOUR));
    let heard = stop(&mut firm);
    firm.one_step(vec![heard, Input::Link { link: 0, event: nudged::link::LinkEvent::Up }]);
    assert!(opted_out(&firm) < MANY);
    while firm.one_step(Vec::new()) {
        assert!(firm.sent.iter().all(|sent| sent.reference.is_none()), "{:?}", firm.texts());
    }
    assert_eq!(opted_out(&firm), MANY);
}

#[test]
fn what_begins_after_a_start_is_not_ended_by_the_stop_before_it() {
    let mut firm = firm_of_one_number();
    let heard = stop(&mut firm);
    firm.one_step(vec![heard]);
    firm.clock.advance(HOUR / 3_600);
    let start = firm.heard(&number(1).digits(), Some(number(1)), "START");
    firm.one_step(vec![start]);
    let new = firm.owe("inv-new", 1, november(25));
    assert_eq!((opted_out(&firm), errands(&firm)), (MANY, 0));
    assert!(!firm.state_of(new).is_over());
}

#[test]
fn another_time_zone_of_a_contact_moves_its_many_steps_in_short_steps() {
    let mut firm = firm_of_one_number();
    let ids: Vec<ObligationId> = firm.obligations().into_keys().collect();
    let before = firm.next_at(ids[0]).unwrap();
    let mut moved = contact(&[1]);
    moved.timezone = Some(nudged::reminder::zone::Zone::parse("America/New_York").unwrap());
    let (reply, _answer) = tokio::sync::oneshot::channel();
    let changes = vec![Change::Contact(Box::new(moved))];
    let change = nudged::engine::Command::Change { changes, by: "crm".into(), reply };
    assert!(firm.one_step(vec![Input::Command(change)]));
    assert_eq!(written(&firm), PER_STEP);
    firm.step(Vec::new());
    assert!(ids.iter().all(|id| firm.next_at(*id) > Some(before)), "each of them");
    assert_eq!(errands(&firm), 0);
}
