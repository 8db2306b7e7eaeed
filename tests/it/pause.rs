//! Pausing, and what the outside is told of the whole.

use crate::support::{Carrier, World, faulty, holding, link, nobody, number, one, silent, until};
use nudged::message::Status;
use reqwest::Method;
use serde_json::{Value, json};

async fn ready(world: &World, is: bool) -> Value {
    let look = async || {
        let (status, body) = world.call(Method::GET, "/readyz", None).await;
        ((status == 200) == is && body["ready"] == is).then_some(body)
    };
    until(&world.clock, &format!("ready: {is}"), look).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_submitted_while_all_is_paused_and_everything_after() {
    let (mut world, carrier) = one(silent(), "").await;
    let status = world.order("/v1/pause").await;
    assert_eq!(status["paused"]["by"], "test");
    let ids = world.send_many(3).await;
    world.restart().await;
    world
        .await_snapshot("up and paused", |s| {
            s["links"][0]["sessions_total"] == 1 && s["paused"] != Value::Null
        })
        .await;
    let (status, _) = world.post("/v1/messages", json!({"to": number(9), "text": "taken"})).await;
    assert_eq!((status, carrier.submits().len()), (202, 0));
    world.order("/v1/resume").await;
    for id in &ids {
        world.await_status(id, "sent").await;
    }
    carrier.await_submits(4, &world.clock).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_link_stays_paused_through_a_restart_while_the_other_sends() {
    let (one, two) = (Carrier::start(silent()).await, Carrier::start(silent()).await);
    let mut world = World::start(&[link("one", one.addr(), ""), link("two", two.addr(), "")].concat()).await;
    let paused = world.order("/v1/links/one/pause").await;
    assert_eq!((&paused["state"], &paused["reason"]), (&json!("paused"), &json!("paused by test")));
    world.restart().await;
    world.await_link("one", "paused").await;
    world.await_link("two", "up").await;
    for id in world.send_many(6).await {
        assert_eq!(world.await_status(&id, "sent").await["link"], "two");
    }
    assert_eq!(one.submits().len(), 0);
    world.order("/v1/links/one/resume").await;
    let id = world.accept(json!({"to": number(9), "text": "x", "link": "one"})).await;
    world.await_status(&id, "sent").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_takes_back_what_is_leased_and_unwritten() {
    let (world, carrier) = one(silent(), "rate = '6/min'").await;
    let ids = world.send_many(20).await;
    carrier.await_submits(1, &world.clock).await;
    world.order("/v1/pause").await;
    let back = async || (world.count("sending").await == 0).then_some(());
    until(&world.clock, "nothing is leased", back).await;
    let waiting = world.count("queued").await;
    assert_eq!((waiting + carrier.submits().len(), world.count("unknown").await), (ids.len(), 0));
    assert!(waiting > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_on_the_wire_at_a_pause_is_still_answered() {
    let (world, carrier) = one(holding(), "").await;
    let id = world.send(&number(1), "x").await;
    carrier.await_submits(1, &world.clock).await;
    world.order("/v1/pause").await;
    carrier.release().await;
    world.await_status(&id, "sent").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pausing_a_link_that_does_not_exist_is_not_found() {
    let (world, _carrier) = one(silent(), "").await;
    assert_eq!(world.call(Method::POST, "/v1/links/none/pause", None).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_is_ready_with_a_link_up_and_alive_without() {
    let (world, carrier) = one(silent(), "").await;
    ready(&world, true).await;
    drop(carrier);
    let body = ready(&world, false).await;
    assert_eq!(body["reasons"][0]["code"], "no_link_up");
    assert_eq!(world.get("/healthz").await["status"], "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_say_what_a_link_does() {
    let (world, _carrier) = one(silent(), "").await;
    let id = world.send(&number(1), "x").await;
    world.await_status(&id, "sent").await;
    let expected = [
        "nudged_link_up{link=\"carrier\"} 1",
        "nudged_messages_total{status=\"sent\",link=\"carrier\"} 1",
        "nudged_link_submitted_total{link=\"carrier\"} 1",
        "nudged_submit_seconds_count{link=\"carrier\"} 1",
        "nudged_queue_messages{status=\"queued\"} 0",
    ];
    let look = async || {
        let metrics = world.get("/metrics").await;
        let text = metrics.as_str().unwrap_or_default().to_owned();
        expected.iter().all(|line| text.lines().any(|other| other == *line)).then_some(text)
    };
    let text = until(&world.clock, "all the metrics", look).await;
    assert!(!text.contains(&number(1)[1..]), "no number in the metrics");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_accepted_message_is_in_exactly_one_status() {
    let (failing, quiet) =
        (Carrier::start(faulty("reject@2+")).await, Carrier::start(faulty("no-answer@2+")).await);
    let config = [
        link("failing", failing.addr(), ""),
        link("quiet", quiet.addr(), "response_timeout = '100ms'"),
        link("dead", nobody(), ""),
    ];
    let mut world = World::start(&config.concat()).await;
    let mut ids = Vec::new();
    for n in 0..30 {
        let by = ["failing", "quiet", "dead"][n % 3];
        ids.push(world.accept(json!({"to": number(n), "text": "x", "link": by})).await);
    }
    assert_eq!(world.cancel(&ids[29]).await.0, 200);
    let at = world.clock.now().wall.saturating_add(std::time::Duration::from_secs(3600)).to_rfc3339();
    world.accept(json!({"to": number(30), "text": "x", "send_at": at})).await;
    let expected = json!({"scheduled": 1, "queued": 9, "sending": 0, "sent": 10, "delivered": 0, "undelivered": 0,
        "failed": 5, "expired": 0, "canceled": 1, "blocked": 0, "unknown": 5});
    for _ in 0..2 {
        world.await_snapshot("each in its status", |s| s["messages"] == expected).await;
        let mut listed = 0;
        for status in Status::ALL {
            listed += world.count(status.as_str()).await;
        }
        assert_eq!(listed, 31, "the list says the same as the counts");
        world.restart().await;
    }
}
