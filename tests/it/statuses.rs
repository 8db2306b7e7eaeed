//! What a carrier's command_status does to a message, from the simulated SMSC to what the API shows.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Carrier, World, number, one, one_still, silent, until};

const PLAN: &str = "[queue]\nretry = ['30s', '2m']\n";

/// The carrier answers with this status, at a place as a fault has it.
async fn refuse(carrier: &Carrier, status: u32, at: &str) {
    carrier.control("fault", json!({"kind": "reject", "at": at, "status": status})).await;
}

/// A message that the carrier refused once with `status`, once it is in `state`.
async fn refused(world: &World, carrier: &Carrier, status: u32, state: &str) -> (String, Value) {
    let before = carrier.submits().len();
    refuse(carrier, status, "1").await;
    let id = world.send(&number(before), "x").await;
    let submits = carrier.await_submits(before + 1, &world.clock).await;
    assert_eq!(submits[before]["status"], status);
    let message =
        if state == "queued" { waiting(world, &id, 1).await } else { world.await_status(&id, state).await };
    (id, message)
}

/// The message once it waits for a try after so many that were refused. On the wire it may still look queued.
async fn waiting(world: &World, id: &str, tries: usize) -> Value {
    let waits = |message: &Value| {
        let tried = message["attempts"].as_array().is_some_and(|attempts| attempts.len() == tries);
        tried && message["status"] == "queued" && !message["reason"].is_null()
    };
    let look = async || Some(world.message(id).await).filter(waits);
    until(&world.clock, &format!("{id} refused {tries} times"), look).await
}

/// Code and raw of a reason, and how many attempts there were.
fn shown(message: &Value) -> (&str, &str, usize) {
    let reason = &message["reason"];
    let attempts = message["attempts"].as_array().unwrap();
    assert_eq!(&attempts.last().unwrap()["segments"][0]["reason"], reason);
    (reason["code"].as_str().unwrap(), reason["raw"].as_str().unwrap(), attempts.len())
}

fn raw(status: u32) -> String {
    format!("command_status 0x{status:08X}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passing_error_and_a_code_nobody_knows_are_tried_again_by_the_plan() {
    let (world, carrier) = one_still(silent(), PLAN, "").await;
    for (status, code) in [
        (0x08, "smsc.temporary"),
        (0x64, "smsc.temporary"),
        (0x400, "smsc.unknown_code"),
        (0x4FF, "smsc.unknown_code"),
        (0xFF, "smsc.unknown_code"),
    ] {
        let (id, waiting) = refused(&world, &carrier, status, "queued").await;
        assert_eq!(shown(&waiting), (code, &*raw(status), 1));
        world.clock.advance(Duration::from_secs(30));
        let sent = world.await_status(&id, "sent").await;
        assert_eq!((sent["attempts"].as_array().unwrap().len(), &sent["reason"]), (2, &Value::Null));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_nobody_knows_is_not_tried_for_ever() {
    let (world, carrier) = one_still(silent(), PLAN, "").await;
    refuse(&carrier, 0x411, "1+").await;
    let id = world.send(&number(1), "x").await;
    for (tries, wait) in [(1, 30), (2, 120)] {
        waiting(&world, &id, tries).await;
        world.clock.advance(Duration::from_secs(wait));
    }
    let failed = world.await_status(&id, "failed").await;
    assert_eq!(shown(&failed), ("smsc.unknown_code", &*raw(0x411), 3));
    assert_eq!(carrier.submits().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_final_code_fails_the_message_at_once_and_is_shown() {
    let (world, carrier) = one(silent(), "").await;
    for (status, code) in [
        (0x45, "smsc.rejected"),
        (0x0B, "smsc.bad_destination"),
        (0x0A, "smsc.bad_sender"),
        (0x01, "smsc.malformed"),
        (0x62, "smsc.expired"),
    ] {
        let (_, failed) = refused(&world, &carrier, status, "failed").await;
        assert_eq!(shown(&failed), (code, &*raw(status), 1));
    }
    assert_eq!(carrier.submits().len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_says_slower_is_sent_again_by_the_link_and_costs_no_try() {
    let (world, carrier) = one(silent(), "").await;
    for status in [0x58, 0x14] {
        let (_, sent) = refused(&world, &carrier, status, "sent").await;
        assert_eq!((sent["attempts"].as_array().unwrap().len(), &sent["reason"]), (1, &Value::Null));
    }
    let statuses: Vec<Value> = carrier.submits().iter().map(|line| line["status"].clone()).collect();
    assert_eq!(statuses, [0x58, 0, 0x14, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_says_what_a_code_means_and_the_raw_code_is_still_shown() {
    let meanings = "status = { '0x411' = 'permanent', '1042' = 'opted-out', '0x08' = 'permanent', '0x58' = 'permanent' }";
    let (world, carrier) = one(silent(), meanings).await;
    for (status, state, code) in [
        (0x411, "failed", "smsc.unknown_code"),
        (1042, "blocked", "policy.opted_out"),
        (0x08, "failed", "smsc.temporary"),
        (0x58, "failed", "smsc.throttled"),
    ] {
        let (_, message) = refused(&world, &carrier, status, state).await;
        let reason = &message["reason"];
        assert_eq!((&reason["code"], &reason["raw"]), (&code.into(), &raw(status).into()));
        assert_eq!(message["attempts"].as_array().unwrap().len(), 1);
    }
    assert_eq!(carrier.submits().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_final_code_that_the_configuration_calls_passing_is_tried_again() {
    let (world, carrier) = one_still(silent(), PLAN, "status = { '0x45' = 'temporary' }").await;
    let (id, _) = refused(&world, &carrier, 0x45, "queued").await;
    world.clock.advance(Duration::from_secs(30));
    let sent = world.await_status(&id, "sent").await;
    assert_eq!((sent["attempts"].as_array().unwrap().len(), carrier.submits().len()), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_against_the_account_parks_the_link_and_the_message_waits_for_its_mending() {
    for (status, more) in [(0x0F, ""), (0x420, "status = { '0x420' = 'park' }")] {
        let (mut world, carrier) = one(silent(), more).await;
        refuse(&carrier, status, "1").await;
        let id = world.send(&number(1), "x").await;
        world.await_link("carrier", "parked").await;
        world.await_status(&id, "queued").await;
        world.restart().await;
        world.await_status(&id, "sent").await;
        assert_eq!(carrier.submits().len(), 2);
    }
}
