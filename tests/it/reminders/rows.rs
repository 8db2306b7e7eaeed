//! Rows of files that come again: they say what their columns say, and undo nothing that is known besides.

use nudged::engine::reminders::Change;
use nudged::engine::reminders::change::{AccountDraft, Who};
use nudged::engine::reminders::records::PhoneStatus;
use nudged::id::ObligationId;
use nudged::message::Msisdn;
use nudged::reminder::consent::{Actor, ConsentEvent, ConsentKind, Standing};
use nudged::reminder::import::case::{self, Case};
use nudged::reminder::task::TaskOutcome;

use super::firm::*;

/// Of one contact with one number, and no more than is needed.
pub fn row(minor: i64) -> Case {
    let contact = external("con-1");
    Case {
        external_id: external("inv-1"),
        creditor: key("acme"),
        account: contact.clone(),
        contact,
        phone: number(1),
        phone2: None,
        amount: eur(minor),
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
        consent: Some(case::Consent { kind: ConsentKind::Imported, source: None, at: None }),
        custom: std::collections::BTreeMap::new(),
    }
}

fn import(firm: &mut Firm, case: Case) -> ObligationId {
    let row = case.hash();
    firm.change(Change::Case { case: Box::new(case), row }).unwrap();
    *firm.obligations().keys().next().unwrap()
}

fn revoked(firm: &Firm) -> bool {
    let phone = firm.phone(1);
    phone.consents.iter().fold(Standing::default(), |all, (_, own)| all.joined(*own)).is_revoked()
}

fn revoke(firm: &mut Firm) {
    let event = ConsentEvent {
        kind: ConsentKind::Revoked,
        at: firm.clock.now().wall,
        channel: None,
        wording: None,
        evidence: None,
        actor: Actor::Contact,
    };
    firm.change(Change::Consent { phone: number(1), creditor: None, event }).unwrap();
}

#[test]
fn a_row_again_keeps_wishes_and_attorney() {
    let mut firm = Firm::new();
    import(&mut firm, row(100));
    let mut own = contact(&[1]);
    own.custom.insert("attorney".into(), "Dr. Recht".into());
    own.days = serde_json::from_value(serde_json::json!(["mon"])).unwrap();
    firm.change(Change::Contact(Box::new(own))).unwrap();
    let named = Case { last_name: Some("Muster".into()), ..row(200) };
    let id = import(&mut firm, named);
    let kept = firm.contact(id).contact;
    assert_eq!(kept.last_name.as_deref(), Some("Muster"));
    assert!(kept.custom.contains_key("attorney") && !kept.days.is_empty(), "{kept:?}");
}

#[test]
fn a_row_again_keeps_the_accounts_own_fields() {
    let mut firm = Firm::new();
    import(&mut firm, row(100));
    let account = AccountDraft {
        external_id: external("con-1"),
        creditor: key("acme"),
        contact: Who::External(external("con-1")),
        case_manager: Some("Kim".into()),
        tags: vec!["vip".into()],
        custom: [("initial_notice_sent_at".into(), "2026-10-01".into())].into(),
    };
    firm.change(Change::Account(account)).unwrap();
    let mut again = row(200);
    again.custom.insert("shop".into(), "berlin".into());
    import(&mut firm, again);
    let place = nudged::store::keys::account(&external("con-1"), &key("acme"));
    let kept: nudged::engine::reminders::records::Account = firm.get(&place).unwrap();
    assert_eq!((kept.case_manager.as_deref(), kept.tags.len()), (Some("Kim"), 1));
    assert_eq!(kept.custom.len(), 2, "{:?}", kept.custom);
}

#[test]
fn a_row_brings_no_wrong_number_back() {
    let mut firm = Firm::new();
    let id = import(&mut firm, row(100));
    firm.reach_next(id);
    firm.reply(1, "what is this?");
    firm.done("review", TaskOutcome::CorrectNumber { number: number(2) }).unwrap();
    assert_eq!(firm.phone(1).status, PhoneStatus::Wrong);
    import(&mut firm, row(200));
    let numbers: Vec<Msisdn> = firm.contact(id).contact.numbers().collect();
    assert_eq!(numbers, [number(2)]);
}

#[test]
fn another_number_in_a_row_is_tried_first_and_the_old_one_stays() {
    let mut firm = Firm::new();
    import(&mut firm, row(100));
    let id = import(&mut firm, Case { phone: number(3), ..row(100) });
    let numbers: Vec<Msisdn> = firm.contact(id).contact.numbers().collect();
    assert_eq!(numbers, [number(3), number(1)]);
}

#[test]
fn a_yes_without_a_date_lifts_no_revocation() {
    let mut firm = Firm::new();
    import(&mut firm, row(100));
    firm.pass(HOUR / 4);
    revoke(&mut firm);
    firm.pass(HOUR / 4);
    import(&mut firm, row(200));
    assert!(revoked(&firm));
}

#[test]
fn a_yes_with_a_later_date_lifts_a_revocation() {
    let mut firm = Firm::new();
    import(&mut firm, row(100));
    revoke(&mut firm);
    firm.pass(HOUR);
    let at = Some(firm.clock.now().wall);
    let consent = Some(case::Consent { kind: ConsentKind::Given, source: None, at });
    import(&mut firm, Case { consent, ..row(200) });
    assert!(!revoked(&firm));
}
