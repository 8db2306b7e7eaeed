//! Taking back what is not on the wire yet, and what its validity ends.

use std::time::Duration;

use crate::support::{World, holding, link, nobody, number, one, one_still, silent, until};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_message_is_canceled_and_never_on_the_wire() {
    let (world, carrier) = one(silent(), "").await;
    world.order("/v1/pause").await;
    let id = world.send(&number(1), "taken back").await;
    assert_eq!(world.cancel(&id).await, (200, json!({"id": id, "status": "canceled"})));
    world.order("/v1/resume").await;
    let other = world.send(&number(1), "goes").await;
    world.await_status(&other, "sent").await;
    assert_eq!(carrier.texts(), ["goes"]);
    assert_eq!(world.message(&id).await["reason"]["code"], "policy.canceled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_cancel_says_canceled_again() {
    let (world, _carrier) = one(silent(), "").await;
    world.order("/v1/pause").await;
    let id = world.send(&number(1), "x").await;
    world.cancel(&id).await;
    assert_eq!(world.cancel(&id).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leased_message_that_waits_for_the_pace_is_recalled() {
    let (world, carrier) = one_still(silent(), "", "rate = '6/min'").await;
    let ids = world.send_many(20).await;
    carrier.await_submits(1, &world.clock).await;
    let last = &ids[19];
    world.await_status(last, "sending").await;
    assert_eq!(world.cancel(last).await, (200, json!({"id": last, "status": "canceled"})));
    // A little at a time: the link must not take the carrier for dead.
    let rest = async || {
        world.clock.advance(Duration::from_secs(5));
        (world.count("sent").await == 19).then_some(())
    };
    until(&world.clock, "all the others are sent", rest).await;
    assert!(!carrier.texts().contains(&String::from("19")), "{:?}", carrier.texts());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_on_the_wire_is_not_canceled_and_says_what_it_is() {
    let (world, carrier) = one(holding(), "").await;
    let id = world.send(&number(1), "x").await;
    carrier.await_submits(1, &world.clock).await;
    let (status, problem) = world.cancel(&id).await;
    assert_eq!((status, &problem["detail"]), (409, &json!("The message is sending.")));
    carrier.release().await;
    world.await_status(&id, "sent").await;
    let (status, problem) = world.cancel(&id).await;
    assert_eq!((status, &problem["detail"]), (409, &json!("The message is sent.")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_while_the_answer_comes_is_told_that_it_was_sent() {
    let (world, carrier) = one(holding(), "").await;
    let id = world.send(&number(1), "x").await;
    carrier.await_submits(1, &world.clock).await;
    let ((status, problem), ()) = tokio::join!(world.cancel(&id), carrier.release());
    assert_eq!(status, 409, "{problem}");
    world.await_status(&id, "sent").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_exist_cannot_be_canceled() {
    let (world, _carrier) = one(silent(), "").await;
    assert_eq!(world.cancel("msg_0000000000000").await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_past_its_validity_expires_with_its_link_down() {
    let world = World::start_still(&link("carrier", nobody(), "")).await;
    let until_then = world.clock.now().wall.saturating_add(Duration::from_secs(3600)).to_rfc3339();
    let short = world.accept(json!({"to": number(1), "text": "x", "valid_until": until_then})).await;
    let long = world.send(&number(2), "x").await;
    world.clock.advance(Duration::from_secs(3500));
    assert_eq!(world.status(&short).await, "queued");
    world.clock.advance(Duration::from_secs(200));
    world.await_status(&short, "expired").await;
    assert_eq!(world.status(&long).await, "queued");
    world.clock.advance(Duration::from_secs(48 * 3600));
    world.await_status(&long, "expired").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_expired_while_the_daemon_was_off_is_not_sent_by_the_next_start() {
    let (mut world, carrier) = one_still(silent(), "", "").await;
    world.order("/v1/pause").await;
    let id = world.send(&number(1), "x").await;
    world.stop().await;
    world.clock.advance(Duration::from_secs(49 * 3600));
    world.start_again().await;
    world.order("/v1/resume").await;
    world.await_status(&id, "expired").await;
    let fresh = world.send(&number(2), "fresh").await;
    world.await_status(&fresh, "sent").await;
    assert_eq!(carrier.texts(), ["fresh"]);
}
