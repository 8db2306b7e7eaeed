//! Proofs of what an audit of the reminder side found: each test says what should be, and fails today.

use jiff::civil::date;
use nudged::engine::Command;
use nudged::engine::core::{Core, Input};
use nudged::engine::reminders::Change;
use nudged::engine::reminders::change::{AccountDraft, Which, Who};
use nudged::id::ObligationId;
use nudged::reminder::enrolment::PauseReason;
use nudged::reminder::import::case::Case;
use nudged::reminder::obligation::ObligationStatus;
use nudged::reminder::plan::PlanPart;
use nudged::reminder::subscription::Subscription;
use serde_json::json;
use tokio::sync::oneshot;

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

#[test]
fn a_period_made_between_backup_and_restore_sends_nothing_again() {
    let early = SET_UP.replacen("offset = \"-2d\"", "offset = \"-30d\"", 1);
    let mut firm = Firm::with(&early);
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
    let subscription: Subscription = serde_json::from_value(json!({
        "external_id": "sub-1", "account": "acc-1", "every": "monthly", "from": "2026-12-31",
        "amount": {"value": "30.00", "currency": "EUR"}
    }))
    .unwrap();
    firm.change(Change::Subscription(Box::new(subscription))).unwrap();
    firm.live(DAY * 7);
    assert!(firm.obligations().is_empty(), "30 November");
    let image = firm.state.clone();
    firm.live(DAY + HOUR * 12);
    assert_eq!(firm.steps_sent(), ["before"], "1 December");
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
    firm.live(DAY * 2);
    assert_eq!(firm.steps_sent(), ["before"], "{:?}", firm.texts());
}

#[test]
fn what_is_foreseen_is_the_text_that_goes_where_links_are_redirected() {
    use nudged::engine::reminders::catalog::Catalog;
    use nudged::engine::reminders::records::Applied;
    use nudged::engine::reminders::simulate::{Foreseen, Stretch, simulate};
    let set_up = SET_UP.replace("on {{ due_date }}.", "on {{ due_date }}. {{ link }}");
    let mut firm = Firm::with(&set_up);
    firm.settings.reminders.redirect = Some("https://p.acme.example".into());
    firm.crash();
    let mut owed = draft("inv-1", 1, november(25));
    owed.link = Some(format!("https://pay.acme.example/{}/{{token}}", "invoice-of-november/".repeat(6)));
    let id = firm.try_owe(owed).unwrap();
    let catalog = Catalog::load(firm.settings.reminders.home.clone(), &firm.state).unwrap();
    let from = firm.clock.now().wall;
    let stretch = Stretch {
        from,
        to: from.saturating_add(DAY),
        limit: 10,
        duplicate_window: std::time::Duration::ZERO,
    };
    let cache = nudged::engine::reminders::situation::RulesCache::default();
    let foreseen = simulate(&Applied(&firm.state), (&catalog, &cache), &[id], stretch).unwrap();
    let texts: Vec<String> = foreseen
        .forecasts
        .into_iter()
        .filter_map(|forecast| match forecast.outcome {
            Foreseen::Goes { rendered, .. } => Some(rendered.text),
            _ => None,
        })
        .collect();
    firm.live(DAY);
    assert_eq!(texts[0].len(), firm.texts()[0].len(), "{} / {}", texts[0], firm.texts()[0]);
}

#[test]
fn instalments_ask_for_no_more_than_the_whole_still_owes() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    let parts = vec![PlanPart { due_date: november(26), amount: eur(6_000) }, part(2, 6_000)];
    firm.change(Change::Plan { which: Which::Id(id), parts }).unwrap();
    // The firm gives credit: 30.00 of the 120.00 are owed still.
    let mut less = draft("inv-1", 1, november(25));
    less.amount = eur(3_000);
    firm.try_owe(less).unwrap();
    firm.live(DAY * 3);
    assert!(firm.texts().iter().all(|text| !text.contains("60.00")), "{:?}", firm.texts());
}

#[test]
fn part_of_a_payment_that_went_back_is_not_all_of_it() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.pay(id, "p1", 12_000);
    let payment = firm.payment("p1", 2_000);
    let refund = firm.change(Change::Reverse { which: Which::Id(id), payment });
    let owed = firm.obligation(id).balance().minor();
    assert!(refund.is_err() || owed == 2_000, "20.00 of 120.00 went back, and {owed} are asked for");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_banks_reference_that_comes_again_with_other_money_is_not_dropped() {
    use crate::bank::{send, world};
    let camt = |account: &str, day: &str, case: &str| {
        format!(
            "<Document><BkToCstmrStmt><Stmt><Acct><Id><IBAN>{account}</IBAN></Id></Acct><Ntry>\
             <Amt Ccy=\"EUR\">120.50</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>BOOK</Sts>\
             <BookgDt><Dt>{day}</Dt></BookgDt><AcctSvcrRef>2026-0000001</AcctSvcrRef><NtryDtls><TxDtls>\
             <RmtInf><Ustrd>{case}</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry></Stmt></BkToCstmrStmt></Document>"
        )
    };
    let world = world("").await;
    let first = camt("DE02120300000000202051", "2026-11-18", "INV-0");
    let (_, told) = send(&world, "/v1/imports/bank", "application/octet-stream", &first).await;
    assert_eq!(told["booked"], 1, "{told}");
    // The firm's other bank counts its entries from 1 as well.
    let second = camt("DE89370400440532013000", "2026-11-20", "INV-1");
    let (_, told) = send(&world, "/v1/imports/bank", "application/octet-stream", &second).await;
    assert!(told["booked"] == 1 || told["doubtful"] == 1, "INV-1 is paid and would be reminded: {told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn money_in_the_drop_folder_that_cannot_be_booked_is_told_to_somebody() {
    use crate::bank::world;
    let folder = tempfile::tempdir().unwrap();
    let world = world(&format!("[payments]\ndrop = '{}'\n", folder.path().display())).await;
    let csv = "external_id,obligation,amount,currency,at\nP3,INV-99,120.50,EUR,2026-11-20\n";
    std::fs::write(folder.path().join("day.csv"), csv).unwrap();
    let done = folder.path().join("done/day.csv");
    crate::support::until(&world.clock, "the file is taken", async || done.exists().then_some(())).await;
    let tasks = world.get("/v1/tasks").await;
    let why =
        folder.path().join("failed/day.csv.txt").exists() || folder.path().join("done/day.csv.txt").exists();
    assert!(why || !tasks["data"].as_array().unwrap().is_empty(), "120.50 vanished without a word: {tasks}");
}
