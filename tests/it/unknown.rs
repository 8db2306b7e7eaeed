//! Messages that went out and were never answered: seen, explained, resolved, and never sent twice by themselves.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::{Carrier, World, faulty, holding, number, one, one_still, silent};
use nudged::sim::smsc::{Receipts, SmscOptions};
use serde_json::json;

const SOON: &str = "response_timeout = '100ms'";

/// A message that the carrier has and never answered.
async fn lost(more: &str) -> (World, Carrier, String) {
    let (world, carrier) = one(faulty("no-answer@1"), &format!("{SOON}\n{more}")).await;
    let id = world.send(&number(1), "x").await;
    world.await_status(&id, "unknown").await;
    (world, carrier, id)
}

/// Every text on the wire just once.
fn none_twice(carrier: &Carrier) {
    let texts = carrier.texts();
    assert_eq!(texts.iter().collect::<BTreeSet<_>>().len(), texts.len(), "{texts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_without_an_answer_is_unknown_and_says_why_since_when_and_by_which_link() {
    let (world, _carrier, id) = lost("").await;
    let message = world.message(&id).await;
    assert_eq!(message["reason"]["code"], "smsc.no_answer");
    assert_eq!((&message["link"], &message["segments"][0]["state"]), (&json!("carrier"), &json!("unknown")));
    assert_eq!(message["timeline"][2]["event"], "unknown");
    world.await_snapshot("an unknown", |status| status["messages"]["unknown"] == 1).await;
    let metrics = world.get("/metrics").await;
    assert!(metrics.as_str().unwrap().contains("nudged_queue_messages{status=\"unknown\"} 1"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_that_came_before_its_message_was_given_up_proves_it() {
    let options = SmscOptions { receipts: Receipts::Delivered, ..faulty("no-answer@1") };
    let (world, carrier) = one(options, "response_timeout = '1s'").await;
    let id = world.send(&number(1), "x").await;
    carrier.await_delivery("DELIVRD", &world.clock).await;
    assert_eq!(world.status(&id).await, "sending", "the answer is still awaited");
    world.await_status(&id, "delivered").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_answer_resolves_an_unknown() {
    let (world, carrier) = one(holding(), SOON).await;
    let id = world.send(&number(1), "x").await;
    world.await_status(&id, "unknown").await;
    carrier.release().await;
    let sent = world.await_status(&id, "sent").await;
    assert_eq!(sent["segments"][0]["reference"], carrier.submits()[0]["message_id"]);
    assert_eq!(carrier.submits().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_lost_mid_window_leaves_exactly_the_written_ones_unknown_and_sends_the_rest_once() {
    let (world, carrier) = one(holding(), "window = 4").await;
    let ids = world.send_many(10).await;
    carrier.await_submits(4, &world.clock).await;
    let written: BTreeSet<String> = carrier.texts().into_iter().collect();
    carrier.control("hangup", json!({})).await;
    carrier.release().await;
    for (n, id) in ids.iter().enumerate() {
        let status = if written.contains(&n.to_string()) { "unknown" } else { "sent" };
        let message = world.await_status(id, status).await;
        if status == "unknown" {
            assert_eq!(message["reason"]["code"], "network.link_lost");
        }
    }
    assert_eq!((written.len(), carrier.submits().len()), (4, 10));
    none_twice(&carrier);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_lost_after_every_third_message_doubles_and_loses_nothing() {
    let carrier = Carrier::start(faulty("drop-after-submit@3")).await;
    let world = World::start(&crate::support::link("carrier", carrier.addr(), "window = 2")).await;
    let ids = world.send_many(12).await;
    for id in &ids {
        let done = async || Some(world.status(id).await).filter(|s| s == "sent" || s == "unknown");
        crate::support::until(&world.clock, "sent or unknown", done).await;
    }
    assert!((1..=2).contains(&world.count("unknown").await));
    none_twice(&carrier);
    assert!(carrier.submits().len() >= 11, "the one not taken by the carrier may be missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_sends_an_unknown_once_more() {
    let (world, carrier, id) = lost("").await;
    let (status, answer) = world.resolve(&id, "resend").await;
    assert_eq!((status, &answer["status"]), (200, &json!("queued")));
    world.await_status(&id, "sent").await;
    assert_eq!(carrier.submits().len(), 2);
    assert_eq!(world.resolve(&id, "resend").await.0, 409, "it is no unknown any more");
}

/// The first sending may have arrived, whatever the second was told.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_whose_resend_is_refused_for_good_shows_both_and_its_text_is_not_taken_anew() {
    let faults = ["no-answer@1", "reject@2"].map(|fault| fault.parse().unwrap()).to_vec();
    let (world, carrier) = one(SmscOptions { faults, ..silent() }, "response_timeout = '1s'").await;
    let message = json!({"to": number(1), "text": "x"});
    let id = world.accept(message.clone()).await;
    world.await_status(&id, "unknown").await;
    assert_eq!(world.resolve(&id, "resend").await.0, 200);
    let again = world.await_status(&id, "unknown").await;
    assert_eq!(again["reason"]["code"], "internal.not_resent");
    let states = [0, 1].map(|n: usize| &again["attempts"][n]["segments"][0]["state"]);
    assert_eq!((states, carrier.submits().len()), ([&json!("unknown"), &json!("refused")], 2));
    let (status, problem) = world.post("/v1/messages", message).await;
    assert_eq!((status, &problem["code"]), (409, &json!("duplicate")));
    assert_eq!(world.resolve(&id, "failed").await.0, 200, "a person may know");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_declares_an_unknown_sent_or_failed_and_it_stays_so() {
    for how in ["sent", "failed"] {
        let (mut world, carrier, id) = lost("").await;
        assert_eq!(world.resolve(&id, how).await.0, 200);
        assert_eq!(world.status(&id).await, how);
        world.restart().await;
        assert_eq!(world.status(&id).await, how);
        assert_eq!(carrier.submits().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_unknowns_can_be_resolved() {
    let (world, _carrier) = one(silent(), "").await;
    let id = world.send(&number(1), "x").await;
    world.await_status(&id, "sent").await;
    let (status, problem) = world.resolve(&id, "failed").await;
    assert_eq!((status, &problem["code"]), (409, &json!("state_forbids")));
    assert_eq!(world.resolve("msg_0000000000000", "failed").await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_unknowns_are_resolved_at_once_and_only_those_of_the_link_that_is_named() {
    let (world, _carrier) = one(faulty("no-answer@1+"), SOON).await;
    let ids = world.send_many(5).await;
    for id in &ids {
        world.await_status(id, "unknown").await;
    }
    let resolve =
        async |link: &str| world.post("/v1/unknowns/resolve", json!({"as": "failed", "link": link})).await;
    assert_eq!(resolve("another").await, (200, json!({"resolved": 0})));
    assert_eq!(resolve("carrier").await, (200, json!({"resolved": 5})));
    assert_eq!(world.count("failed").await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_that_may_be_resent_goes_once_more_after_its_time_and_never_again() {
    let (world, carrier) = one_still(faulty("no-answer@1+"), "", "").await;
    let message = json!({"to": number(1), "text": "x", "receipt": false, "on_unknown": "resend"});
    let id = world.accept(message).await;
    for tries in [1, 2] {
        carrier.await_submits(tries, &world.clock).await;
        world.clock.advance(Duration::from_secs(61));
        world.await_status(&id, "unknown").await;
        assert_eq!(carrier.submits().len(), tries);
        world.clock.advance(Duration::from_secs(61));
    }
    for _ in 0..3 {
        world.clock.advance(Duration::from_secs(3600));
        world.await_link("carrier", "up").await;
    }
    assert_eq!((world.status(&id).await.as_str(), carrier.submits().len()), ("unknown", 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_that_waits_for_a_person_is_never_sent_again_by_itself() {
    let (mut world, carrier) = one_still(faulty("no-answer@1+"), "", "").await;
    let id = world.send(&number(1), "x").await;
    carrier.await_submits(1, &world.clock).await;
    world.clock.advance(Duration::from_secs(61));
    world.await_status(&id, "unknown").await;
    world.clock.advance(Duration::from_secs(7200));
    world.await_link("carrier", "up").await;
    world.restart().await;
    world.await_link("carrier", "up").await;
    assert_eq!((world.status(&id).await.as_str(), carrier.submits().len()), ("unknown", 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_carrier_that_answers_garbage_leaves_an_unknown_and_goes_on() {
    let options = SmscOptions { faults: vec!["garbage@1".parse().unwrap()], ..silent() };
    let (world, carrier) = one(options, "").await;
    let first = world.send(&number(1), "a").await;
    world.await_status(&first, "unknown").await;
    let second = world.send(&number(2), "b").await;
    world.await_status(&second, "sent").await;
    none_twice(&carrier);
}
