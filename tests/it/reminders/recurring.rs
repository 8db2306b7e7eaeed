//! Subscriptions: one obligation a period, whatever the calendar and the daemon do.

use nudged::engine::reminders::Change;
use nudged::engine::reminders::change::{AccountDraft, Who};
use nudged::reminder::subscription::Subscription;
use serde_json::{Value, json};

use super::firm::*;

fn subscriber() -> Firm {
    let mut firm = Firm::new();
    firm.change(Change::Contact(Box::new(contact(&[1])))).unwrap();
    let account = AccountDraft {
        external_id: external("acc-1"),
        creditor: key("acme"),
        contact: Who::External(external("con-1")),
        case_manager: None,
        tags: Vec::new(),
        custom: std::collections::BTreeMap::new(),
    };
    firm.change(Change::Account(account)).unwrap();
    firm
}

fn subscribe(firm: &mut Firm, extra: Value) {
    let mut fields = json!({
        "external_id": "sub-1", "account": "acc-1",
        "amount": {"value": "30.00", "currency": "EUR"}, "every": "monthly", "from": "2026-12-31"
    });
    fields.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    let subscription: Subscription = serde_json::from_value(fields).unwrap();
    firm.change(Change::Subscription(Box::new(subscription))).unwrap();
}

fn due_dates(firm: &Firm) -> Vec<String> {
    let mut dates: Vec<String> = firm.obligations().values().map(|o| o.due_date.to_string()).collect();
    dates.sort();
    dates
}

#[test]
fn every_period_is_one_obligation_and_the_31st_is_the_last_of_short_months() {
    let mut firm = subscriber();
    subscribe(&mut firm, json!({}));
    firm.live(DAY * 100);
    assert_eq!(due_dates(&firm), ["2026-12-31", "2027-01-31", "2027-02-28", "2027-03-31"]);
}

#[test]
fn a_period_that_is_left_out_is_left_out() {
    let mut firm = subscriber();
    subscribe(&mut firm, json!({"skip": ["2027-01-31"]}));
    firm.live(DAY * 100);
    assert_eq!(due_dates(&firm), ["2026-12-31", "2027-02-28", "2027-03-31"]);
}

#[test]
fn a_crash_and_a_long_rest_make_each_period_once() {
    let mut firm = subscriber();
    subscribe(&mut firm, json!({"every": "weekly", "from": "2026-12-01"}));
    firm.live(DAY);
    firm.clock.advance(DAY * 45);
    firm.crash();
    firm.live(DAY);
    let dates = due_dates(&firm);
    let mut once = dates.clone();
    once.dedup();
    assert_eq!(dates, once);
    assert_eq!(dates.len(), 10, "{dates:?}");
}

#[test]
fn it_ends_when_it_is_said_to() {
    let mut firm = subscriber();
    subscribe(&mut firm, json!({"until": "2027-01-31"}));
    firm.live(DAY * 150);
    assert_eq!(due_dates(&firm), ["2026-12-31", "2027-01-31"]);
}

#[test]
fn a_changed_amount_counts_from_the_next_period_that_is_made() {
    let mut firm = subscriber();
    subscribe(&mut firm, json!({}));
    firm.live(DAY * 10);
    assert_eq!(due_dates(&firm), ["2026-12-31"]);
    subscribe(&mut firm, json!({"amount": {"value": "35.00", "currency": "EUR"}}));
    firm.live(DAY * 60);
    let amounts: Vec<String> = firm.obligations().values().map(|o| o.amount.value()).collect();
    assert_eq!(amounts[..2], ["30.00", "35.00"]);
}

#[test]
fn the_same_again_is_unchanged() {
    let mut firm = subscriber();
    subscribe(&mut firm, json!({}));
    let before = firm.state.clone();
    subscribe(&mut firm, json!({}));
    assert_eq!(firm.state.map, before.map);
}

#[test]
fn what_was_owed_before_it_was_told_of_is_not_made_up() {
    let mut firm = subscriber();
    subscribe(&mut firm, json!({"from": "2026-01-30"}));
    firm.live(DAY * 10);
    assert_eq!(due_dates(&firm), ["2026-11-30", "2026-12-30"]);
}

#[test]
fn a_second_creditors_account_of_the_same_id_silences_nothing() {
    let mut firm = subscriber();
    subscribe(&mut firm, json!({}));
    firm.set_up("[[creditor]]\nkey = \"other\"\nname = \"Other\"\nsender_role = \"first_party\"\n");
    let account = AccountDraft {
        external_id: external("acc-1"),
        creditor: key("other"),
        contact: Who::External(external("con-1")),
        case_manager: None,
        tags: Vec::new(),
        custom: std::collections::BTreeMap::new(),
    };
    firm.change(Change::Account(account)).unwrap();
    subscribe(&mut firm, json!({"amount": {"value": "35.00", "currency": "EUR"}}));
    firm.live(DAY * 40);
    assert_eq!(due_dates(&firm), ["2026-12-31", "2027-01-31"]);
}

/// Creditor `other` has an account `acc-2` of contact `con-2`; `acme` its own.
fn two_creditors() -> Firm {
    let mut firm = subscriber();
    firm.change(Change::Contact(Box::new(contact(&[2])))).unwrap();
    let account = AccountDraft {
        external_id: external("acc-2"),
        creditor: key("other"),
        contact: Who::External(external("con-2")),
        case_manager: None,
        tags: Vec::new(),
        custom: std::collections::BTreeMap::new(),
    };
    firm.change(Change::Account(account)).unwrap();
    subscribe(&mut firm, json!({}));
    subscribe(&mut firm, json!({"account": "acc-2"}));
    firm
}

fn dates_of(firm: &Firm, creditor: &str) -> Vec<String> {
    let all = firm.obligations().into_values().filter(|o| o.creditor == key(creditor));
    all.map(|o| o.due_date.to_string()).collect()
}

#[test]
fn two_creditors_subscriptions_of_one_id_are_two() {
    let mut firm = two_creditors();
    firm.live(DAY * 40);
    for creditor in ["acme", "other"] {
        assert_eq!(dates_of(&firm, creditor), ["2026-12-31", "2027-01-31"], "{creditor}");
    }
}

/// Both wait for the same instant.
#[test]
fn what_one_creditor_changes_of_its_subscription_silences_no_other() {
    let mut firm = two_creditors();
    subscribe(&mut firm, json!({"account": "acc-2", "from": "2027-03-31"}));
    firm.live(DAY * 40);
    assert_eq!(dates_of(&firm, "acme"), ["2026-12-31", "2027-01-31"]);
    assert_eq!(dates_of(&firm, "other"), Vec::<String>::new());
}
