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
