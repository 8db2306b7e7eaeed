//! From accepted to delivered, and every way in which a receipt may come.

use std::time::Duration;

use nudged::engine::Draft;
use nudged::id::MessageId;
use nudged::link::{Inbound, Outcome, Receipt};
use nudged::message::{Status, UnknownWhy};
use nudged::sim::smsc::{Receipts, SmscOptions};
use serde_json::{Value, json};

use crate::alone::{self, Alone, report};
use crate::support::{Carrier, World, draft, holding, link, number, one, silent, until};

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

const ANN: &str = "+447700900123";
const BEN: &str = "+447700900124";

/// TP-MR is one octet: what it says depends on the modem, the recipient and the time.
#[test]
fn a_report_is_credited_by_modem_reference_and_recipient_together() {
    let mut alone = Alone::with(&["gsm1", "gsm2"], "");
    let by = |link: &str, to: &str| Draft { link: Some(link.into()), ..draft(alone::number(to), "x") };
    let ids: Vec<_> = [("gsm1", ANN), ("gsm2", ANN), ("gsm1", BEN)]
        .map(|(link, to)| {
            let id = alone.try_accept(by(link, to)).unwrap().id;
            alone.taken(id, "17");
            id
        })
        .to_vec();
    alone.inbound(1, report("17", "447700900123"));
    let delivered: Vec<bool> = ids.iter().map(|&id| alone.status(id) == Status::Delivered).collect();
    assert_eq!(delivered, [false, true, false]);
    alone.inbound(0, report("17", "447700900125"));
    alone.inbound(0, report("18", "447700900123"));
    assert_eq!((alone.status(ids[0]), alone.status(ids[2])), (Status::Sent, Status::Sent));
}

#[test]
fn a_report_names_the_number_without_its_country_and_is_credited_if_only_one_ends_so() {
    let mut alone = Alone::new();
    let id = alone.send(ANN, "x", "17");
    alone.inbound(0, report("17", "7700900123"));
    assert_eq!(alone.status(id), Status::Delivered);
    let ids = [ANN, "+497700900123"].map(|to| alone.send(to, "y", "18"));
    alone.inbound(0, report("18", "7700900123"));
    assert_eq!(ids.map(|id| alone.status(id)), [Status::Sent; 2], "either may be meant");
    let id = alone.send("+447711234567", "z", "19");
    alone.inbound(0, report("19", "1234567"));
    assert_eq!(alone.status(id), Status::Sent, "too few digits");
}

#[test]
fn a_report_that_names_no_number_is_credited_to_nobody() {
    let mut alone = Alone::new();
    let id = alone.send(ANN, "x", "17");
    let Inbound::Receipt(receipt) = report("17", "447700900123") else { panic!() };
    alone.inbound(0, Inbound::Receipt(Receipt { recipient: None, ..receipt }));
    assert_eq!(alone.status(id), Status::Sent);
}

#[test]
fn when_the_reference_has_come_round_the_newest_open_message_is_meant() {
    let mut alone = Alone::new();
    let short = Draft {
        valid_until: Some(alone.clock.now().wall.saturating_add(Duration::from_secs(3600))),
        ..draft(alone::number(ANN), "old")
    };
    let over = alone.try_accept(short).unwrap().id;
    alone.taken(over, "17");
    let (old, new) = (alone.send(ANN, "x", "17"), alone.send(ANN, "y", "17"));
    alone.inbound(0, report("17", "447700900123"));
    assert_eq!([old, new].map(|id| alone.status(id)), [Status::Sent, Status::Delivered]);
    alone.inbound(0, report("17", "447700900123"));
    assert_eq!(alone.status(old), Status::Delivered);
    alone.pass(Duration::from_secs(26 * 3600));
    alone.inbound(0, report("17", "447700900123"));
    assert_eq!(alone.status(over), Status::Sent, "its window is over");
}

#[test]
fn a_report_that_came_before_its_reference_is_found_by_it_also_after_a_wrap() {
    let mut alone = Alone::new();
    let first = alone.send(ANN, "x", "17");
    alone.inbound(0, report("17", "447700900123"));
    assert_eq!(alone.status(first), Status::Delivered);
    let second = alone.accept(ANN, "y");
    alone.inbound(0, report("17", "447700900123"));
    alone.taken(second, "17");
    assert_eq!(alone.status(second), Status::Delivered);
}

#[test]
fn a_report_proves_the_one_unknown_message_to_its_number_and_no_other() {
    let mut alone = Alone::new();
    let lost = |alone: &mut Alone, to: &str| {
        let id = alone.accept(to, "x");
        alone.outcome(id, Outcome::Unknown { why: UnknownWhy::LinkLost });
        id
    };
    let sent = alone.send(ANN, "before", "3");
    let (ann, ben) = (lost(&mut alone, ANN), lost(&mut alone, BEN));
    alone.inbound(0, report("17", "447700900123"));
    assert_eq!(
        [sent, ann, ben].map(|id| alone.status(id)),
        [Status::Sent, Status::Delivered, Status::Unknown]
    );
    let again = lost(&mut alone, BEN);
    alone.inbound(0, report("18", "447700900124"));
    assert_eq!([ben, again].map(|id| alone.status(id)), [Status::Unknown; 2], "either may be meant");
}

fn lost(alone: &mut Alone, wanted: Draft) -> MessageId {
    let id = alone.try_accept(wanted).unwrap().id;
    alone.outcome(id, Outcome::Unknown { why: UnknownWhy::LinkLost });
    id
}

/// Networks repeat themselves; what they say again is still of the message it was of.
#[test]
fn a_report_that_comes_again_proves_no_unknown_message_to_its_number() {
    let mut alone = Alone::new();
    alone.send(ANN, "x", "17");
    alone.inbound(0, report("17", "447700900123"));
    let unknown = lost(&mut alone, draft(alone::number(ANN), "y"));
    alone.inbound(0, report("17", "447700900123"));
    assert_eq!(alone.status(unknown), Status::Unknown);
    alone.restart();
    alone.inbound(0, report("17", "7700900123"));
    assert_eq!(alone.status(unknown), Status::Unknown, "nor after a restart, nor without its country");
    alone.inbound(0, report("18", "447700900123"));
    assert_eq!(alone.status(unknown), Status::Delivered);
}

#[test]
fn a_report_that_comes_again_while_a_message_is_sent_proves_nothing_once_that_is_unknown() {
    let mut alone = Alone::new();
    alone.send(ANN, "x", "17");
    alone.inbound(0, report("17", "447700900123"));
    let id = alone.accept(ANN, "y");
    alone.inbound(0, report("17", "447700900123"));
    alone.outcome(id, Outcome::Unknown { why: UnknownWhy::LinkLost });
    assert_eq!(alone.status(id), Status::Unknown);
}

/// A modem that says OK alone names nothing, so a report to that number may be of either.
#[test]
fn a_report_proves_no_unknown_message_beside_one_to_its_number_that_was_given_no_reference() {
    let mut alone = Alone::new();
    alone.send(ANN, "x", "");
    let unknown = lost(&mut alone, draft(alone::number(ANN), "y"));
    alone.inbound(0, report("17", "447700900123"));
    assert_eq!(alone.status(unknown), Status::Unknown);
}

#[test]
fn a_report_proves_no_unknown_message_that_asked_for_none() {
    let mut alone = Alone::new();
    let unasked = Draft { receipt: false, ..draft(alone::number(ANN), "x") };
    let unknown = lost(&mut alone, unasked);
    alone.inbound(0, report("17", "447700900123"));
    assert_eq!(alone.status(unknown), Status::Unknown);
}

#[test]
fn a_report_that_names_no_number_is_not_kept_for_a_message_whose_answer_is_awaited() {
    let mut alone = Alone::new();
    let id = alone.accept(ANN, "x");
    let Inbound::Receipt(receipt) = report("17", "447700900123") else { panic!() };
    alone.inbound(0, Inbound::Receipt(Receipt { recipient: None, ..receipt }));
    alone.taken(id, "17");
    assert_eq!(alone.status(id), Status::Sent);
}
