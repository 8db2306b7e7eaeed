//! Taking back what is not on the wire yet, and what its validity ends.

use std::time::Duration;

use crate::support::{World, faulty, holding, link, nobody, number, one, one_still, silent, until};
use reqwest::Method;
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

/// A batch of texts `0`, `1`, ... to as many numbers; its id and the messages'.
async fn batch(world: &World, count: usize) -> (String, Vec<String>) {
    let rows: Vec<_> = (0..count).map(|n| json!({"to": number(n), "text": n.to_string()})).collect();
    let (status, body) = world.post("/v1/messages/batch", json!(rows)).await;
    assert_eq!(status, 202, "{body}");
    let ids = body["results"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned());
    (body["batch"].as_str().unwrap().to_owned(), ids.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_shows_how_many_of_its_messages_stand_where_and_nothing_of_others() {
    let (world, _carrier) = one(silent(), "").await;
    world.order("/v1/pause").await;
    world.send(&number(900), "of no batch").await;
    let (batch, ids) = batch(&world, 600).await;
    world.cancel(&ids[0]).await;
    let shown = world.get(&format!("/v1/batches/{batch}")).await;
    assert_eq!((&shown["id"], &shown["total"]), (&json!(batch), &json!(600)));
    assert_eq!((&shown["messages"]["queued"], &shown["messages"]["canceled"]), (&json!(599), &json!(1)));
    assert_eq!(shown["messages"]["unknown"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_a_batch_takes_back_what_is_not_on_the_wire_and_leaves_the_rest() {
    let (world, carrier) = one(holding(), "window = 5").await;
    let (batch, _) = batch(&world, 200).await;
    carrier.await_submits(5, &world.clock).await;
    let answer = world.order(&format!("/v1/batches/{batch}/cancel")).await;
    assert_eq!((&answer["canceled"], &answer["messages"]["canceled"]), (&json!(195), &json!(195)));
    assert_eq!(answer["messages"]["sending"], 5);
    carrier.release().await;
    let path = format!("/v1/batches/{batch}");
    let sent = async || (world.get(&path).await["messages"]["sent"] == 5).then_some(());
    until(&world.clock, "the five that were out to be sent", sent).await;
    let again = world.order(&format!("/v1/batches/{batch}/cancel")).await;
    assert_eq!((&again["canceled"], carrier.texts().len()), (&json!(0), 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_which_the_carrier_has_a_part_is_canceled_neither_alone_nor_by_its_batch() {
    let busy = "status = { '0x0B' = 'temporary' }";
    let (world, carrier) = one_still(faulty("reject@2"), "[queue]\nretry = ['30s']", busy).await;
    let long = json!([{"to": number(1), "text": "0123456789".repeat(20)}]);
    let (_, body) = world.post("/v1/messages/batch", long).await;
    let (batch, id) = (body["batch"].as_str().unwrap(), body["results"][0]["id"].as_str().unwrap());
    let refused =
        async || (world.message(id).await["reason"]["code"] == "smsc.bad_destination").then_some(());
    until(&world.clock, "the second segment to be refused for now", refused).await;
    let (status, problem) = world.cancel(id).await;
    assert_eq!((status, &problem["detail"]), (409, &json!("The message is queued.")));
    let answer = world.order(&format!("/v1/batches/{batch}/cancel")).await;
    assert_eq!((&answer["canceled"], &answer["messages"]["queued"]), (&json!(0), &json!(1)));
    world.clock.advance(Duration::from_secs(30));
    world.await_status(id, "sent").await;
    assert_eq!(carrier.submits().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_does_not_exist_is_neither_shown_nor_canceled() {
    let (world, _carrier) = one(silent(), "").await;
    for id in ["bat_0000000000000", "msg_0000000000000", "x"] {
        assert_eq!(world.call(Method::GET, &format!("/v1/batches/{id}"), None).await.0, 404, "{id}");
        assert_eq!(world.call(Method::POST, &format!("/v1/batches/{id}/cancel"), None).await.0, 404, "{id}");
    }
}
