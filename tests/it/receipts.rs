//! From accepted to delivered, and every way in which a receipt may come.

use crate::support::{Carrier, World, holding, link, number, one, silent, until};
use nudged::sim::smsc::{Receipts, SmscOptions};
use serde_json::{Value, json};

fn events(message: &Value) -> Vec<&str> {
    message["timeline"].as_array().unwrap().iter().map(|moment| moment["event"].as_str().unwrap()).collect()
}

/// A message that was sent, and the id its carrier gave it.
async fn sent(world: &World, carrier: &Carrier) -> (String, Value) {
    let id = world.send(&number(1), "hello").await;
    world.await_status(&id, "sent").await;
    (id, carrier.submits()[0]["message_id"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_message_is_on_the_wire_once_as_written_and_sent() {
    let (world, carrier) = one(silent(), "").await;
    let id = world.send(&number(1), "Grüße {1}").await;
    let message = world.await_status(&id, "sent").await;
    let [submit] = &carrier.submits()[..] else { panic!("{:?}", carrier.submits()) };
    assert_eq!((&submit["to"], &submit["text"]), (&json!(number(1)), &json!("Grüße {1}")));
    assert_eq!(message["segments"][0]["reference"], submit["message_id"]);
    assert_eq!(events(&message), ["accepted", "sending", "segment_accepted", "sent"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_delivers_the_message_and_its_timeline_tells_the_whole_life() {
    let (world, _carrier) = one(SmscOptions::default(), "").await;
    let id = world.send(&number(1), "hello").await;
    let message = world.await_status(&id, "delivered").await;
    assert_eq!(events(&message), ["accepted", "sending", "segment_delivered", "delivered"]);
    assert_eq!((&message["receipt"]["state"], &message["link"]), (&json!("delivered"), &json!("carrier")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_message_is_delivered_when_all_its_segments_are() {
    let (world, carrier) = one(SmscOptions::default(), "").await;
    let text = "0123456789".repeat(40);
    let id = world.send(&number(1), &text).await;
    let message = world.await_status(&id, "delivered").await;
    assert_eq!((&message["segment_count"], carrier.texts().concat()), (&json!(3), text));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_of_receipt_ends_its_message_as_it_says() {
    let options = SmscOptions { receipts: Receipts::Mixed, ..SmscOptions::default() };
    let (world, carrier) = one(options, "").await;
    // DELIVRD, UNDELIV, EXPIRED, ACCEPTD then DELIVRD, a word nobody knows, text alone, text in hexadecimal, REJECTD.
    let ends = [
        "delivered",
        "undelivered",
        "undelivered",
        "delivered",
        "sent",
        "delivered",
        "delivered",
        "undelivered",
    ];
    let mut ids = Vec::new();
    for n in 0..ends.len() {
        ids.push(world.send(&number(n), &n.to_string()).await);
        carrier.await_submits(n + 1, &world.clock).await;
    }
    // The last is of a stat that changes nothing, so its receipt is awaited, not its end.
    carrier.await_delivery("LOSTSIG", &world.clock).await;
    for (id, end) in ids.iter().zip(ends) {
        world.await_status(id, end).await;
    }
    assert_eq!(world.message(&ids[2]).await["receipt"]["state"], "expired");
    assert_eq!(world.message(&ids[1]).await["receipt"]["state"], "failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_asked_for_no_receipt_stays_sent_whatever_comes() {
    let (world, carrier) = one(silent(), "").await;
    let id = world.accept(json!({"to": number(1), "text": "x", "receipt": false})).await;
    let message = world.await_status(&id, "sent").await;
    assert_eq!(
        (&message["receipt"]["state"], &carrier.submits()[0]["registered_delivery"]),
        (&json!("not_asked"), &json!(0))
    );
    carrier.receipt(&carrier.submits()[0]["message_id"], "UNDELIV").await;
    assert_eq!(carrier.await_delivery("UNDELIV", &world.clock).await["status"], 0);
    assert_eq!(world.status(&id).await, "sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stat_that_nobody_knows_changes_nothing_and_the_next_one_counts() {
    let (world, carrier) = one(silent(), "").await;
    let (id, reference) = sent(&world, &carrier).await;
    carrier.receipt(&reference, "WEIRD").await;
    carrier.await_delivery("WEIRD", &world.clock).await;
    assert_eq!(world.status(&id).await, "sent");
    carrier.receipt(&reference, "DELIVRD").await;
    world.await_status(&id, "delivered").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_that_comes_before_the_response_is_kept_for_it() {
    let (world, carrier) = one(SmscOptions { hold: true, ..SmscOptions::default() }, "").await;
    let id = world.send(&number(1), "x").await;
    carrier.await_delivery("DELIVRD", &world.clock).await;
    assert_eq!(world.status(&id).await, "sending");
    carrier.release().await;
    world.await_status(&id, "delivered").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivered_message_stays_so_through_a_second_receipt_and_a_late_enroute() {
    let (world, carrier) = one(silent(), "").await;
    let (id, reference) = sent(&world, &carrier).await;
    carrier.receipt(&reference, "DELIVRD").await;
    let delivered = world.await_status(&id, "delivered").await;
    for stat in ["UNDELIV", "ENROUTE"] {
        carrier.receipt(&reference, stat).await;
        assert_eq!(carrier.await_delivery(stat, &world.clock).await["status"], 0, "confirmed all the same");
    }
    assert_eq!(world.message(&id).await, delivered);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_after_a_restart_still_finds_its_message() {
    let (mut world, carrier) = one(silent(), "").await;
    let (id, reference) = sent(&world, &carrier).await;
    world.restart().await;
    world.await_link("carrier", "up").await;
    carrier.receipt(&reference, "DELIVRD").await;
    world.await_status(&id, "delivered").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_of_the_time_when_nobody_was_bound_is_kept_by_the_carrier_and_taken() {
    let (mut world, carrier) = one(silent(), "").await;
    let (id, reference) = sent(&world, &carrier).await;
    world.stop().await;
    carrier.receipt(&reference, "DELIVRD").await;
    assert_eq!(carrier.stats().await["mail_waiting"], 1);
    world.start_again().await;
    world.await_status(&id, "delivered").await;
    assert_eq!(carrier.await_delivery("DELIVRD", &world.clock).await["status"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_that_came_before_a_restart_meets_its_response_after_a_late_one() {
    let (mut world, carrier) = one(SmscOptions { hold: true, ..SmscOptions::default() }, "").await;
    let id = world.send(&number(1), "x").await;
    carrier.await_delivery("DELIVRD", &world.clock).await;
    let release = carrier.release();
    let restart = world.restart();
    tokio::join!(restart, release);
    world.await_status(&id, "delivered").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_for_a_message_of_nobody_is_confirmed_counted_and_harmless() {
    let carrier = Carrier::start(silent()).await;
    let first = World::start(&link("carrier", carrier.addr(), "")).await;
    sent(&first, &carrier).await;
    drop(first);
    let second = World::start(&link("carrier", carrier.addr(), "")).await;
    second.await_link("carrier", "up").await;
    carrier.receipt(&carrier.submits()[0]["message_id"], "DELIVRD").await;
    assert_eq!(carrier.await_delivery("DELIVRD", &second.clock).await["status"], 0);
    second.await_snapshot("an unmatched receipt", |s| s["receipts_unmatched_total"] == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_message_is_delivered_by_its_receipt_alone() {
    let options = SmscOptions { faults: vec!["no-answer@1".parse().unwrap()], ..SmscOptions::default() };
    let (world, carrier) = one(options, "response_timeout = '100ms'").await;
    let id = world.send(&number(1), "x").await;
    world.await_status(&id, "delivered").await;
    assert_eq!(carrier.submits().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_messages_held_at_the_carrier_get_their_own_receipts() {
    let (world, carrier) = one(holding(), "").await;
    let ids = world.send_many(2).await;
    carrier.await_submits(2, &world.clock).await;
    carrier.release().await;
    for id in &ids {
        world.await_status(id, "sent").await;
    }
    let second = carrier.submits().into_iter().find(|line| line["text"] == "1").unwrap();
    carrier.receipt(&second["message_id"], "DELIVRD").await;
    world.await_status(&ids[1], "delivered").await;
    let delivered = async || (world.count("delivered").await == 1).then_some(());
    until(&world.clock, "one delivered", delivered).await;
    assert_eq!(world.status(&ids[0]).await, "sent");
}
