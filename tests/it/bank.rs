//! Money that came: files of payments and bank statements, by the API and by the drop folder.

use std::time::Duration;

use nudged::clock::Clock;
use nudged::engine::reminders::records::Account;
use nudged::http::auth::Scope;
use nudged::reminder::obligation::{Obligation, ObligationStatus};
use nudged::reminder::task::Task;
use nudged::store::keys::family;
use serde_json::{Value, json};

use crate::imports::cases;
use crate::seeds::{load, upload};
use crate::support::{START, World, until};

/// A daemon with three cases of 120.50 EUR: INV-0, INV-1, INV-2.
pub async fn world(config: &str) -> World {
    let scopes = [Scope::Reminders, Scope::Read];
    let world = World::start_as(Clock::manual(START), config, &scopes).await;
    let token = world.token().to_owned();
    load(&world, &token).await;
    let csv = cases(3).into_bytes();
    let (status, dry) = upload(&world, &token, "/v1/imports", "text/csv", csv).await;
    assert_eq!(status, 201, "{dry}");
    let path = format!("/v1/imports/{}", dry["id"].as_str().unwrap());
    let request = world.call(reqwest::Method::POST, &format!("{path}/commit"), None).await;
    assert!(request.0 < 300, "{request:?}");
    let done = async || (world.get(&path).await["state"] == "committed").then_some(());
    until(&world.clock, "the cases are there", done).await;
    world
}

pub async fn send(world: &World, path: &str, media: &str, body: &str) -> (u16, Value) {
    upload(world, world.token(), path, media, body.into()).await
}

/// Stops, and gives obligations by external id.
pub async fn obligations(world: &mut World) -> Vec<Obligation> {
    world.stop_while_time_passes().await;
    let mut all: Vec<Obligation> = world.stored(family::OBLIGATION);
    all.sort_by(|a, b| a.external_id.cmp(&b.external_id));
    assert_eq!(all.len(), world.stored::<Account>(family::ACCOUNT).len());
    all
}

/// One entry of a statement in MT940: amount, reference of the bank, what the payer wrote.
pub fn mt940(entries: &[(&str, &str, &str)]) -> String {
    let entry = |(amount, reference, text): &(&str, &str, &str)| {
        format!(":61:2611201120C{amount}NTRFNONREF//{reference}\n:86:166?20{text}\n")
    };
    let body: String = entries.iter().map(entry).collect();
    format!(
        ":20:STARTUMS\n:25:10020030/1234567\n:28C:1/1\n:60F:C261119EUR1000,00\n{body}:62F:C261120EUR1120,50\n-\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_payments_is_booked_once_and_says_what_it_could_not_book() {
    let mut world = world("").await;
    let csv = "external_id,obligation,amount,currency,at\n\
        P1,INV-0,120.50,EUR,2026-11-20\nP2,INV-1,20.00,EUR,2026-11-20\nP3,INV-9,1.00,EUR,2026-11-20\n";
    let (status, told) = send(&world, "/v1/imports/payments", "text/csv", csv).await;
    assert_eq!(status, 200, "{told}");
    assert_eq!((&told["booked"], &told["rejected"]), (&json!(2), &json!(1)), "{told}");
    assert_eq!(
        (&told["errors"][0]["row"], &told["errors"][0]["why"]),
        (&json!(4), &json!("no such obligation"))
    );
    let (_, again) = send(&world, "/v1/imports/payments", "text/csv", csv).await;
    assert_eq!((&again["booked"], &again["unchanged"]), (&json!(0), &json!(2)), "{again}");
    let all = obligations(&mut world).await;
    assert_eq!(all[0].status, ObligationStatus::Paid);
    assert_eq!((all[1].status, all[1].balance().minor()), (ObligationStatus::PartiallyPaid, 10_050));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_pays_what_it_names_opens_tasks_for_doubts_and_counts_once() {
    let mut world = world("").await;
    let statement = mt940(&[
        ("120,50", "BANKREF0001", "Rechnung INV-0"),
        ("120,50", "BANKREF0002", "no reference at all"),
        ("7,77", "BANKREF0003", "rent"),
    ]);
    let (status, told) = send(&world, "/v1/imports/bank", "text/plain", &statement).await;
    assert_eq!(status, 200, "{told}");
    let counts =
        ["entries", "booked", "doubtful", "unmatched", "rejected"].map(|name| told[name].as_u64().unwrap());
    assert_eq!(counts, [3, 1, 1, 1, 0], "{told}");
    let (_, again) = send(&world, "/v1/imports/bank", "text/plain", &statement).await;
    let counts = ["booked", "doubtful", "unchanged"].map(|name| again[name].as_u64().unwrap());
    assert_eq!(counts, [0, 0, 2], "{again}");
    let all = obligations(&mut world).await;
    assert_eq!(all.iter().filter(|o| o.status == ObligationStatus::Paid).count(), 1);
    let tasks: Vec<Task> = world.stored(family::TASK);
    let payments: Vec<&Task> = tasks.iter().filter(|task| task.kind.as_str() == "payment").collect();
    assert_eq!(payments.len(), 1, "{tasks:?}");
    assert!(payments[0].note.contains("only the amount fits"), "{}", payments[0].note);
}

/// A debit that takes an earlier entry back.
fn reversal(amount: &str, reference: &str, text: &str) -> String {
    mt940(&[(amount, reference, text)]).replace(":61:2611201120C", ":61:2611201120RC")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_bank_takes_back_is_owed_again_and_counts_once() {
    let mut world = world("").await;
    let pays = mt940(&[("120,50", "BANKREF0001", "INV-0"), ("120,50", "BANKREF0002", "INV-1")]);
    send(&world, "/v1/imports/bank", "text/plain", &pays).await;
    // By what the bank repeats of the payer's words and the amount: MT940 has no reference that both entries bear.
    for (reference, text) in [("BANKREF0001", "returned INV-0"), ("BANKREF0099", "Retoure INV-1")] {
        let back = reversal("120,50", reference, text);
        let (_, told) = send(&world, "/v1/imports/bank", "text/plain", &back).await;
        assert_eq!((&told["reversed"], &told["doubtful"]), (&json!(1), &json!(0)), "{told}");
        let (_, again) = send(&world, "/v1/imports/bank", "text/plain", &back).await;
        assert_eq!((&again["reversed"], &again["unchanged"]), (&json!(0), &json!(1)), "{again}");
    }
    let all = obligations(&mut world).await;
    for obligation in &all[..2] {
        assert_eq!((obligation.status.is_open(), obligation.balance().minor()), (true, 12_050));
        assert!(obligation.payments.iter().all(|payment| payment.reversed));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn money_that_went_back_for_no_known_payment_is_a_task() {
    let mut world = world("").await;
    let back = reversal("120,50", "BANKREF0099", "Retoure INV-0");
    let (_, told) = send(&world, "/v1/imports/bank", "text/plain", &back).await;
    assert_eq!((&told["reversed"], &told["doubtful"]), (&json!(0), &json!(1)), "{told}");
    let all = obligations(&mut world).await;
    assert_eq!(all[0].balance().minor(), 12_050);
    let tasks: Vec<Task> = world.stored(family::TASK);
    assert!(tasks.iter().any(|task| task.note.contains("which payment is not known")), "{tasks:?}");
}

/// A statement of one credit of 120.50 EUR in camt.053; `reversed`: of one that is taken back.
fn camt(account: &str, day: &str, case: &str, amount: &str, reversed: bool) -> String {
    let side = if reversed { "DBIT</CdtDbtInd><RvslInd>true</RvslInd>" } else { "CRDT</CdtDbtInd>" };
    format!(
        "<Document><BkToCstmrStmt><Stmt><Acct><Id><IBAN>{account}</IBAN></Id></Acct><Ntry>\
         <Amt Ccy=\"EUR\">{amount}</Amt><CdtDbtInd>{side}<Sts>BOOK</Sts>\
         <BookgDt><Dt>{day}</Dt></BookgDt><AcctSvcrRef>2026-0000001</AcctSvcrRef><NtryDtls><TxDtls>\
         <RmtInf><Ustrd>{case}</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry></Stmt></BkToCstmrStmt></Document>"
    )
}

const OURS: &str = "DE02120300000000202051";
const OTHER: &str = "DE89370400440532013000";

/// Booked, doubtful, unchanged, rejected and reversed of a statement.
async fn statement(world: &World, text: &str) -> [u64; 5] {
    let (status, told) = send(world, "/v1/imports/bank", "application/octet-stream", text).await;
    assert_eq!(status, 200, "{told}");
    ["booked", "doubtful", "unchanged", "rejected", "reversed"].map(|name| told[name].as_u64().unwrap())
}

/// Tasks that are about money, in the order they were opened.
async fn tasks(world: &World) -> Vec<Value> {
    let told = world.get("/v1/tasks?kind=payment").await;
    let mut tasks = told["data"].as_array().unwrap().clone();
    tasks.reverse();
    tasks
}

async fn notes(world: &World) -> Vec<String> {
    tasks(world).await.iter().map(|task| task["note"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_banks_reference_of_the_same_letters_is_another_payment() {
    let world = world("").await;
    assert_eq!(statement(&world, &camt(OURS, "2026-11-18", "INV-0", "120.50", false)).await, [1, 0, 0, 0, 0]);
    // The firm's other bank counts its entries from 1 as well.
    assert_eq!(
        statement(&world, &camt(OTHER, "2026-11-20", "INV-1", "120.50", false)).await,
        [1, 0, 0, 0, 0]
    );
    // The same bank begins anew.
    assert_eq!(statement(&world, &camt(OURS, "2026-11-21", "INV-2", "120.50", false)).await, [0, 1, 0, 0, 0]);
    let notes = notes(&world).await;
    assert!(notes[0].contains("perhaps INV-2, INV-0"), "{notes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_of_two_accounts_is_looked_at_and_one_of_the_firms_own_program_is_known() {
    let world = world("").await;
    let paid = json!({"external_id": "2026-0000001", "at": "2026-11-18T09:00:00Z",
        "amount": {"value": "120.50", "currency": "EUR"}});
    let (status, told) =
        world.call(reqwest::Method::POST, "/v1/obligations/INV-0/payments", Some(paid)).await;
    assert_eq!(status, 201, "{told}");
    assert_eq!(statement(&world, &camt(OURS, "2026-11-18", "INV-0", "120.50", false)).await, [0, 0, 1, 0, 0]);
    let again = |account, case| camt(account, "2026-11-19", case, "120.50", false).replace("0001<", "0002<");
    assert_eq!(statement(&world, &again(OURS, "INV-1")).await, [1, 0, 0, 0, 0]);
    assert_eq!(
        statement(&world, &again(OTHER, "INV-2")).await,
        [0, 1, 0, 0, 0],
        "the same money, or another's"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reversal_of_another_amount_is_a_task_and_of_the_same_is_booked_once() {
    let mut world = world("").await;
    assert_eq!(statement(&world, &camt(OURS, "2026-11-18", "INV-0", "120.50", false)).await, [1, 0, 0, 0, 0]);
    let back = |amount: &str| camt(OURS, "2026-11-20", "returned", amount, true);
    assert_eq!(statement(&world, &back("123.50")).await, [0, 1, 0, 0, 0], "with the bank's fee");
    assert_eq!(statement(&world, &back("120.50")).await, [0, 0, 0, 0, 1]);
    // As after a crash between the booking and its mark.
    std::fs::remove_file(world.store_dir().with_file_name("imports").join("bank.seen")).unwrap();
    assert_eq!(statement(&world, &back("120.50")).await, [0, 0, 1, 0, 0]);
    assert!(notes(&world).await[0].contains("not the amount that was paid"));
    let all = obligations(&mut world).await;
    assert_eq!(all[0].status, ObligationStatus::Open);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_sum_that_is_doubtful_is_a_task_of_its_own() {
    let world = world("").await;
    let text = mt940(&[("200,00", "BANKREF0001", "INV-0"), ("300,00", "BANKREF0002", "INV-0")]);
    assert_eq!(statement(&world, &text).await, [0, 2, 0, 0, 0]);
    let notes = notes(&world).await;
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(notes[0].contains("200.00 EUR") && notes[1].contains("300.00 EUR"), "{notes:?}");
}

/// Booked so often that no more goes into the record.
#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_is_refused_is_told_and_tried_again() {
    let world = world("").await;
    let rows: String = (0..512).map(|n| format!("P{n},INV-0,0.01,EUR,2026-11-20\n")).collect();
    let csv = format!("external_id,obligation,amount,currency,at\n{rows}");
    let (_, told) = send(&world, "/v1/imports/payments", "text/csv", &csv).await;
    assert_eq!(told["booked"], 512, "{told}");
    let text = mt940(&[("115,38", "BANKREF0001", "INV-0")]);
    for _ in 0..2 {
        assert_eq!(statement(&world, &text).await, [0, 0, 0, 1, 0], "it is not marked as dealt with");
        let notes = notes(&world).await;
        assert_eq!(notes.len(), 1, "{notes:?}");
        assert!(notes[0].contains(" of 2026-11-20, 115.38 EUR: "), "{notes:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_statement_is_refused_and_books_nothing() {
    let mut world = world("").await;
    for body in ["", "hello", "<a><!DOCTYPE x></a>", "<!DOCTYPE x [<!ENTITY e 'x'>]><Document>&e;</Document>"]
    {
        let (status, problem) = send(&world, "/v1/imports/bank", "application/xml", body).await;
        assert_eq!(status, 422, "{body}: {problem}");
    }
    let all = obligations(&mut world).await;
    assert!(all.iter().all(|obligation| obligation.status == ObligationStatus::Open));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_drop_folder_books_what_stands_still_and_says_why_it_did_not() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = world(&format!("[payments]\ndrop = '{}'\n", folder.path().display())).await;
    std::fs::write(folder.path().join("a.sta"), mt940(&[("120,50", "BANKREF0001", "INV-0")])).unwrap();
    std::fs::write(folder.path().join("b.xml"), "<nonsense/>").unwrap();
    std::fs::write(folder.path().join(".hidden"), "x").unwrap();
    let filed = async || {
        world.clock.advance(Duration::from_secs(1));
        let there = |name: &str| folder.path().join(name).exists();
        (there("done/a.sta") && there("failed/b.xml.txt")).then_some(())
    };
    until(&world.clock, "both files are filed away", filed).await;
    let why = std::fs::read_to_string(folder.path().join("failed/b.xml.txt")).unwrap();
    assert!(why.contains("camt.053"), "{why}");
    assert!(folder.path().join(".hidden").exists());
    let all = obligations(&mut world).await;
    assert_eq!(all[0].status, ObligationStatus::Paid);
}

/// A folder, and a file put into it that is booked.
async fn dropped(world: &World, folder: &std::path::Path, name: &str, csv: &str) {
    std::fs::write(folder.join(name), csv).unwrap();
    let done = folder.join("done").join(name);
    until(&world.clock, "the file is taken", async || {
        world.clock.advance(Duration::from_secs(1));
        done.exists().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn money_in_the_drop_folder_that_cannot_be_booked_is_told_to_somebody() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(&format!("[payments]\ndrop = '{}'\n", folder.path().display())).await;
    let csv = "external_id,obligation,amount,currency,at\nP1,INV-0,20.50,EUR,2026-11-20\n\
        P3,INV-99,120.50,EUR,2026-11-20\nP4,INV-1,9.00,USD,2026-11-20\nP5,INV-1,much,EUR,2026-11-20\n";
    dropped(&world, folder.path(), "day.csv", csv).await;
    let notes = notes(&world).await;
    assert_eq!(notes.len(), 3, "{notes:?}");
    assert_eq!(notes[0], "payment P3 of INV-99, 120.50 EUR: no such obligation");
    assert!(notes[1].starts_with("payment P4 of INV-1, 9.00 USD: amount: "), "{notes:?}");
    assert!(notes[2].starts_with("day.csv, row 5: amount: "), "{notes:?}");
    let about: Vec<bool> = tasks(&world).await.iter().map(|task| task["obligation"].is_string()).collect();
    assert_eq!(about, [false, true, false]);
    let beside = std::fs::read_to_string(folder.path().join("done/day.csv.txt")).unwrap();
    assert_eq!(beside.lines().count(), 3, "{beside}");
    assert!(beside.starts_with("3: no such obligation\n"), "{beside}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_comes_every_day_asks_once() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(&format!("[payments]\ndrop = '{}'\n", folder.path().display())).await;
    let csv = "external_id,obligation,amount,currency,at\nP3,INV-99,120.50,EUR,2026-11-20\n";
    dropped(&world, folder.path(), "monday.csv", csv).await;
    dropped(&world, folder.path(), "tuesday.csv", csv).await;
    assert_eq!(notes(&world).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_rows_that_cannot_be_booked_are_one_task() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(&format!("[payments]\ndrop = '{}'\n", folder.path().display())).await;
    let rows: String = (0..21).map(|n| format!("P{n},X-{n},1.00,EUR,2026-11-20\n")).collect();
    let csv = format!("external_id,obligation,amount,currency,at\n{rows}");
    dropped(&world, folder.path(), "day.csv", &csv).await;
    let notes = notes(&world).await;
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(
        notes[0].starts_with("21 payments of day.csv could not be booked: payment P0 of X-0"),
        "{notes:?}"
    );
}
