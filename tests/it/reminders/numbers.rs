//! Numbers: which one gets the text, and what happens to one that takes none.

use nudged::engine::reminders::change::{ObligationDraft, Owner, Which};
use nudged::engine::reminders::records::PhoneStatus;
use nudged::engine::reminders::{Change, ChangeRefusal};
use nudged::id::ObligationId;
use nudged::link::{Inbound, InboundToken};
use nudged::message::{Cause, Reason, ReceiptState};
use nudged::reminder::consent::{Actor, ConsentEvent, ConsentKind};
use nudged::reminder::enrolment::{EnrolmentState, ExitReason, StepNote, StepOutcome};
use nudged::reminder::task::TaskOutcome;
use nudged::store::{keys, record};

use super::firm::*;

fn owe_on(firm: &mut Firm, numbers: &[u64]) -> ObligationId {
    let owner = Owner::Inline { creditor: key("acme"), contact: Box::new(contact(numbers)) };
    firm.try_owe(ObligationDraft { owner, ..draft("inv-1", numbers[0], november(25)) }).unwrap()
}

#[test]
fn a_dead_number_is_a_task_and_the_other_one_is_next() {
    let mut firm = Firm::new();
    let id = owe_on(&mut firm, &[1, 2]);
    firm.reach_next(id);
    firm.refuse(Reason::SmscBadDestination);
    assert_eq!(firm.phone(1).status, PhoneStatus::Dead);
    assert_eq!(firm.open_kinds(), ["delivery"]);
    firm.live(DAY);
    assert_eq!(firm.sent.iter().map(|sent| sent.to).collect::<Vec<_>>(), [number(1), number(2)]);
    assert_eq!(firm.gone(id), ["before"]);
}

/// What was said of one number is said of no other one.
#[test]
fn the_other_number_is_texted_only_where_it_has_a_basis_of_its_own() {
    const PACK: &str =
        "[[pack]]\nkey = \"asks\"\ntitle = \"x\"\nsource = \"x\"\napplies = {}\nconsent = \"any\"\n";
    for own in [false, true] {
        let mut firm = Firm::with(&format!("{PACK}{SET_UP}"));
        let agree = |firm: &mut Firm, n| {
            let (at, actor) = (firm.clock.now().wall, Actor::Contact);
            let kind = ConsentKind::Given;
            let event = ConsentEvent { kind, at, channel: None, wording: None, evidence: None, actor };
            let creditor = Some(key("acme"));
            firm.change(Change::Consent { phone: number(n), creditor, event }).unwrap();
        };
        let id = owe_on(&mut firm, &[1, 2]);
        agree(&mut firm, 1);
        if own {
            agree(&mut firm, 2);
        }
        firm.reach_next(id);
        firm.refuse(Reason::NetworkBadNumber);
        firm.live(DAY);
        let to: Vec<_> = firm.sent.iter().map(|sent| sent.to).collect();
        let kinds = firm.open_kinds();
        match own {
            true => assert_eq!((to, kinds.len()), (vec![number(1), number(2)], 1), "{kinds:?}"),
            false => assert_eq!((to, kinds), (vec![number(1)], vec!["delivery".into(), "consent".into()])),
        }
    }
}

/// That a network does not carry to it, or its owner's phone was off for days, may pass.
#[test]
fn a_number_is_dead_or_suspect_by_what_was_said_of_it() {
    for (reason, status) in [
        (Reason::NetworkBadNumber, PhoneStatus::Dead),
        (Reason::SmscBadDestination, PhoneStatus::Dead),
        (Reason::NetworkRefused, PhoneStatus::Suspect { failures: 1 }),
        (Reason::NetworkRejected, PhoneStatus::Suspect { failures: 1 }),
    ] {
        let mut firm = Firm::new();
        let id = owe_on(&mut firm, &[1, 2]);
        firm.reach_next(id);
        firm.refuse(reason);
        assert_eq!(firm.phone(1).status, status, "{reason:?}");
        assert_eq!(firm.phone(2).status, PhoneStatus::Unverified);
    }
}

#[test]
fn without_another_number_it_ends() {
    let mut firm = Firm::new();
    let id = owe_on(&mut firm, &[1]);
    firm.reach_next(id);
    firm.refuse(Reason::SmscBadDestination);
    assert!(matches!(firm.state_of(id), EnrolmentState::Exited { reason: ExitReason::InvalidNumber, .. }));
    firm.live(DAY * 20);
    assert_eq!(firm.sent.len(), 1);
    assert_eq!(firm.open_kinds(), ["delivery"]);
}

#[test]
fn a_corrected_number_lets_it_go_on() {
    let mut firm = Firm::new();
    let id = owe_on(&mut firm, &[1, 2]);
    firm.reach_next(id);
    firm.refuse(Reason::SmscBadDestination);
    firm.hand_back();
    firm.done("delivery", TaskOutcome::CorrectNumber { number: number(3) }).unwrap();
    assert_eq!(firm.contact(id).contact.best_number(), Some(number(3)));
    firm.live(DAY * 8);
    assert_eq!(firm.sent.last().unwrap().to, number(3), "{:?}", firm.sent);
}

/// For the carrier the message is wrong and not the number: more of the same would be the same again.
#[test]
fn a_text_that_the_carrier_refuses_for_good_is_not_tried_again_and_again() {
    let mut firm = Firm::new();
    let id = owe_on(&mut firm, &[1]);
    firm.reach_next(id);
    for _ in 0..10 {
        firm.refuse(Reason::SmscRejected);
        firm.pass(HOUR);
    }
    assert_eq!(firm.sent.len(), 1, "{:?}", firm.sent);
    assert_eq!(firm.phone(1).status, PhoneStatus::Suspect { failures: 1 });
    firm.live(DAY * 6);
    assert_eq!(firm.steps_sent(), ["before", "after"], "the next step at its time");
}

#[test]
fn a_delivery_that_fails_again_and_again_is_a_task() {
    let mut firm = Firm::new();
    let id = owe_on(&mut firm, &[1]);
    for _ in 0..3 {
        firm.reach_next(id);
        let (link, submission) = firm.open[0].clone();
        let reference = nudged::message::Reference(submission.id.to_string());
        firm.answer(&nudged::link::Outcome::Accepted { reference: reference.clone() });
        let receipt = receipt(
            reference,
            submission.to,
            ReceiptState::Failed(Cause::plain(Reason::NetworkUndeliverable)),
        );
        firm.step(vec![nudged::engine::core::Input::Inbound {
            link,
            token: InboundToken(9),
            inbound: Inbound::Receipt(receipt),
        }]);
        if firm.next_at(id).is_none() {
            break;
        }
    }
    assert_eq!(firm.phone(1).status, PhoneStatus::Suspect { failures: 3 });
    assert!(firm.open_kinds().contains(&String::from("delivery")), "{:?}", firm.open_kinds());
}

#[test]
fn a_delivery_makes_a_number_known_as_one() {
    let mut firm = Firm::new();
    let id = owe_on(&mut firm, &[1]);
    assert_eq!(firm.phone(1).status, PhoneStatus::Unverified);
    firm.reach_next(id);
    firm.accept();
    assert_eq!(firm.phone(1).status, PhoneStatus::Active);
}

#[test]
fn a_contact_that_moves_to_another_number_is_texted_there() {
    let mut firm = Firm::new();
    let id = owe_on(&mut firm, &[1]);
    firm.reach_next(id);
    let moved = nudged::reminder::contact::Contact { external_id: external("con-1"), ..contact(&[5]) };
    firm.change(Change::Contact(Box::new(moved))).unwrap();
    assert_eq!(firm.recalled.len(), 1);
    firm.hand_back();
    firm.live(DAY);
    assert_eq!(firm.sent.last().unwrap().to, number(5));
    assert_eq!(firm.gone(id), ["before"]);
}

#[test]
fn wishes_and_zones_of_a_contact_move_its_steps() {
    let mut firm = Firm::new();
    let id = owe_on(&mut firm, &[1]);
    let wishes = serde_json::json!({
        "external_id": "con-1", "phones": [{"number": format!("+{}", number(1).digits())}],
        "timezone": "America/New_York", "not_before": "14:00"
    });
    firm.change(Change::Contact(Box::new(serde_json::from_value(wishes).unwrap()))).unwrap();
    let at = firm.next_at(id).unwrap();
    assert_eq!(at.to_rfc3339()[..13], *"2026-11-23T19", "14:00 in New York");
}

#[test]
fn a_number_that_was_called_bad_by_mistake_can_be_put_right() {
    let mut firm = Firm::new();
    let id = owe_on(&mut firm, &[1]);
    firm.reach_next(id);
    firm.refuse(Reason::SmscBadDestination);
    firm.done("delivery", TaskOutcome::CorrectNumber { number: number(1) }).unwrap();
    assert_eq!(firm.phone(1).status, PhoneStatus::Unverified);
    assert_eq!(firm.contact(id).contact.numbers().collect::<Vec<_>>(), [number(1)]);
    firm.change(Change::Enrol { which: Which::Id(id), sequence: key("standard") }).unwrap();
    firm.live(DAY * 10);
    assert!(firm.sent.len() > 1, "{:?}", firm.state_of(id));
}

#[test]
fn a_number_is_one_again_when_somebody_says_so_and_not_by_the_same_row_again() {
    let mut firm = Firm::new();
    let id = owe_on(&mut firm, &[1]);
    firm.reach_next(id);
    firm.refuse(Reason::SmscBadDestination);
    let says = |firm: &mut Firm, name: &str| {
        let mut said = contact(&[1]);
        said.first_name = Some(name.to_owned());
        said.phones[0].verified = true;
        firm.change(Change::Contact(Box::new(said))).unwrap();
        firm.phone(1).status
    };
    assert_eq!(says(&mut firm, "Ann"), PhoneStatus::Active);
    let mut phone = firm.phone(1);
    phone.status = PhoneStatus::Dead;
    firm.state.map.insert(keys::phone(number(1)), record::encode(&phone));
    assert_eq!(says(&mut firm, "Anna"), PhoneStatus::Dead);
}

#[test]
fn a_number_that_writes_to_us_lives() {
    let mut firm = Firm::new();
    let id = owe_on(&mut firm, &[1, 2]);
    firm.reach_next(id);
    firm.refuse(Reason::SmscBadDestination);
    assert_eq!(firm.phone(1).status, PhoneStatus::Dead);
    firm.reply(1, "who is this?");
    assert_eq!(firm.phone(1).status, PhoneStatus::Active);
}

#[test]
fn a_contact_that_changes_twice_in_one_step_is_planned_once() {
    let mut firm = Firm::new();
    let id = owe_on(&mut firm, &[1]);
    firm.reach_next(id);
    let before = firm.obligation(id).version;
    let named = |name: &str| {
        let mut said = contact(&[1]);
        said.first_name = Some(name.to_owned());
        Change::Contact(Box::new(said))
    };
    firm.change_all(vec![named("Ann"), named("Anna"), named("Ann")]);
    assert_eq!(firm.obligation(id).version, before + 1);
    assert!(!firm.recalled.is_empty());
}

#[test]
fn consent_is_given_to_a_creditor_that_there_is() {
    let mut firm = Firm::new();
    let (at, actor) = (firm.clock.now().wall, Actor::Contact);
    let event =
        ConsentEvent { kind: ConsentKind::Given, at, channel: None, wording: None, evidence: None, actor };
    let consent = |creditor| Change::Consent { phone: number(1), creditor, event: event.clone() };
    let refused = firm.change(consent(Some(key("nobody"))));
    assert!(matches!(refused, Err(ChangeRefusal::Field { field: "creditor", .. })), "{refused:?}");
    assert!(firm.phone(1).consents.is_empty());
}

#[test]
fn notes_of_old_cycles_become_history_and_those_of_this_one_stay() {
    let mut firm = Firm::new();
    let id = owe_on(&mut firm, &[1]);
    let mut obligation = firm.obligation(id);
    let note = |cycle, n: u32| StepNote {
        cycle,
        left: None,
        step: key(&format!("s{n}")),
        // What another due date does not make open again.
        how: StepOutcome::Unknown { at: MONDAY },
    };
    let last = obligation.cycle + 1;
    obligation.steps =
        (0..300).map(|n| note(obligation.cycle, n)).chain((0..150).map(|n| note(last, n))).collect();
    obligation.cycle = last;
    firm.state.map.insert(keys::obligation(id), record::encode(&obligation));
    firm.pay(id, "p1", 100);
    let steps = firm.obligation(id).steps;
    assert_eq!(steps.iter().filter(|note| note.cycle == last).count(), 150);
    assert_eq!(steps.len(), 200);
}

#[test]
fn a_number_that_is_somebody_elses_gets_nothing_of_any_contact_on_it() {
    let mut firm = Firm::new();
    let first = firm.owe("inv-1", 1, november(25));
    let mut shared = draft("inv-2", 2, november(25));
    let mut both = contact(&[2]);
    both.phones = contact(&[1]).phones;
    shared.owner = Owner::Inline { creditor: key("acme"), contact: Box::new(both) };
    let second = firm.try_owe(shared).unwrap();
    while firm.sent.is_empty() {
        firm.pass(HOUR);
    }
    // Both contacts have the number; the one whose text is leased is not the one that is spoken of.
    let of = firm.sent[0].reference.as_ref().unwrap().obligation;
    let told = if of == first { second } else { first };
    let (kind, note) = (key("wrong_number"), String::new());
    firm.change(Change::OpenTask { kind, which: Some(Which::Id(told)), note, due: None }).unwrap();
    let message = firm.sent[0].id;
    // No byte of it is out when somebody says whose number it is not.
    let outcome = TaskOutcome::CorrectNumber { number: number(3) };
    firm.done("wrong_number", outcome).unwrap();
    assert_eq!(firm.phone(1).status, PhoneStatus::Wrong);
    assert!(firm.recalled.contains(&message), "the first contact's text goes to a stranger");
}
