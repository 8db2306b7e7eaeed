//! Proofs of what an audit of the reminder side found: each test says what should be, and fails today.

use jiff::civil::date;
use nudged::engine::core::{Core, Input};
use nudged::engine::reminders::change::{AccountDraft, How, Which, Who};
use nudged::engine::reminders::Change;
use nudged::engine::Command;
use nudged::id::ObligationId;
use nudged::reminder::enrolment::{EnrolmentState, PauseReason};
use nudged::reminder::import::case::Case;
use nudged::reminder::obligation::ObligationStatus;
use nudged::reminder::plan::PlanPart;
use nudged::reminder::promise::PromiseState;
use nudged::reminder::subscription::Subscription;
use serde_json::json;
use tokio::sync::oneshot;

use crate::http_reminders::Api;
use crate::reminders::firm::*;

fn case() -> Case {
    let contact = external("con-1");
    Case {
        external_id: external("inv-1"),
        creditor: key("acme"),
        account: contact.clone(),
        contact,
        phone: number(1),
        phone2: None,
        amount: eur(12_000),
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
        consent: None,
        custom: std::collections::BTreeMap::new(),
    }
}

const HALT: &str = r#"
[[pack]]
key = "halt"
title = "Halt"
source = "12 CFR 1006.6(b)(2)"
applies = {}
duties = ["attorney_halt"]
"#;

#[test]
fn an_attorney_that_a_file_names_stops_the_reminders() {
    let mut firm = Firm::with(&format!("{SET_UP}{HALT}"));
    let mut row = case();
    row.custom.insert("attorney".into(), "Dr. Recht".into());
    let hash = row.hash();
    firm.change(Change::Case { case: Box::new(row), row: hash }).unwrap();
    firm.live(DAY * 2);
    assert!(firm.sent.is_empty(), "{:?}", firm.texts());
}

#[test]
fn a_promise_after_the_last_step_is_judged_too() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.live(DAY * 14);
    assert!(matches!(firm.state_of(id), EnrolmentState::Completed { .. }), "{:?}", firm.steps_sent());
    let promised = Change::Promise { which: Which::Id(id), date: date(2026, 12, 10), amount: None };
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
    let named = |name: &str| {
        let row = Case { sequence: Some(key(name)), ..case() };
        let hash = row.hash();
        Change::Case { case: Box::new(row), row: hash }
    };
    firm.change(named("standard")).unwrap();
    firm.live(HOUR * 4);
    assert_eq!(firm.steps_sent(), ["before"]);
    firm.change(named("other")).unwrap();
    firm.change(named("standard")).unwrap();
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
fn a_later_due_date_is_reminded_of_even_where_a_late_step_went() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(20));
    firm.live(HOUR * 4);
    assert_eq!(firm.steps_sent(), ["after"], "of the 23rd; the one before was over");
    firm.move_due(id, date(2026, 12, 21), false);
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
    firm.step(vec![Input::Command(Command::Cancel { id: message, reply })]);
    firm.hand_back();
    firm.move_due(id, november(26), false);
    firm.live(DAY * 2);
    assert_eq!(firm.sent.len(), 1, "{:?}", firm.texts());
}

fn part(month: i8, minor: i64) -> PlanPart {
    PlanPart { due_date: date(2027, month, 1), amount: eur(minor) }
}

#[test]
fn after_a_plan_that_failed_there_may_be_another() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    let plan = |parts| Change::Plan { which: Which::Id(id), parts };
    firm.change(plan(vec![part(1, 6_000), part(2, 6_000)])).unwrap();
    let open = Change::Status { which: Which::Id(id), to: ObligationStatus::Open, reason: "broken".into() };
    firm.change(open).unwrap();
    let second = firm.change(plan(vec![part(3, 4_000), part(4, 4_000), part(5, 4_000)]));
    assert!(second.is_ok(), "{second:?}");
}

#[test]
fn two_creditors_subscriptions_of_one_id_are_two() {
    let mut firm = Firm::new();
    for (creditor, n) in [("acme", 1), ("other", 2)] {
        firm.change(Change::Contact(Box::new(contact(&[n])))).unwrap();
        let account = AccountDraft {
            external_id: external(&format!("acc-{n}")),
            creditor: key(creditor),
            contact: Who::External(external(&format!("con-{n}"))),
            case_manager: None,
            tags: Vec::new(),
            custom: std::collections::BTreeMap::new(),
        };
        firm.change(Change::Account(account)).unwrap();
        let subscription: Subscription = serde_json::from_value(json!({
            "external_id": "1001", "account": format!("acc-{n}"), "every": "monthly", "from": "2026-12-31",
            "amount": {"value": "30.00", "currency": "EUR"}
        }))
        .unwrap();
        firm.change(Change::Subscription(Box::new(subscription))).unwrap();
    }
    firm.live(DAY * 40);
    let mut creditors: Vec<String> =
        firm.obligations().into_values().map(|o| o.creditor.to_string()).collect();
    creditors.sort();
    creditors.dedup();
    assert_eq!(creditors, ["acme", "other"], "neither silences the other");
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
fn jitter_leaves_every_recipient_time_for_a_step_of_two_hours_grace() {
    let evening = SET_UP.replacen("at = \"10:00\"", "at = \"evening\"\ngrace = \"2h\"", 1);
    let mut firm = Firm::make(&evening, 200, MONDAY);
    firm.up();
    for n in 1..=120 {
        firm.owe(&format!("inv-{n}"), n, november(25));
    }
    firm.live(HOUR * 14);
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
    firm.live(HOUR * 14);
    assert_eq!(firm.sent.len(), 120, "the others would go on another day");
}

/// The obligation's reminder that went in the gap goes no second time after the backup came back.
fn restored_after(mut firm: Firm, id: ObligationId, image: nudged::engine::memory::Memory) {
    firm.live(DAY * 3);
    let before = firm.steps_sent();
    assert!(before.contains(&String::from("after")), "it went in the gap: {before:?}");
    firm.state = image;
    let now = firm.clock.now();
    let (mut core, batch) = Core::recover(firm.settings.clone(), &firm.state, now).unwrap();
    firm.state.apply(&batch);
    let batch = core.restored(&firm.state, now).unwrap();
    firm.state.apply(&batch);
    firm.core = core;
    firm.open.clear();
    firm.up();
    firm.live(HOUR);
    let (reply, _answer) = oneshot::channel();
    firm.step(vec![Input::Command(Command::Resume { link: None, by: "boss".into(), reply })]);
    firm.live(DAY);
    assert_eq!(firm.steps_sent(), before, "{:?}", firm.state_of(id));
}

#[test]
fn a_pause_that_ended_between_backup_and_restore_sends_nothing_again() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.live(DAY);
    let until = firm.clock.now().wall.saturating_add(DAY * 3);
    let reason = PauseReason::Manual;
    firm.change(Change::PauseEnrolment { which: Which::Id(id), reason, until: Some(until) }).unwrap();
    firm.live(DAY * 2 + HOUR * 12);
    let image = firm.state.clone();
    restored_after(firm, id, image);
}

#[tokio::test]
async fn a_token_of_the_crm_may_not_loosen_the_law() {
    let api = Api::start().await;
    let (status, answer) = api
        .call(
            reqwest::Method::PUT,
            "/v1/packs/base",
            json!({"key": "base", "title": "Anything goes", "source": "me", "applies": {},
                   "hours": {"from": "00:00", "to": "24:00"}, "caps": []}),
        )
        .await;
    assert!(status == 403 || status == 422, "{status} {answer}");
}
