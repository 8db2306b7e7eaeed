//! What goes out when: order per recipient, priorities, times, windows.

use std::time::Duration;

use crate::support::{holding, number, one, one_still, silent, until};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn the_second_message_to_a_number_waits_for_the_answer_to_the_first_and_others_go_on() {
    let (world, carrier) = one(holding(), "").await;
    let mut ids = Vec::new();
    for (to, text) in [(1, "first"), (1, "second"), (1, "third"), (2, "other"), (3, "another")] {
        ids.push(world.send(&number(to), text).await);
    }
    carrier.await_submits(3, &world.clock).await;
    assert_eq!(carrier.texts(), ["first", "other", "another"]);
    assert_eq!(world.status(&ids[1]).await, "queued");
    carrier.release().await;
    for id in &ids {
        world.await_status(id, "sent").await;
    }
    assert_eq!(carrier.texts()[3..], ["second", "third"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_messages_to_a_few_numbers_keep_their_order_for_each() {
    let (world, carrier) = one(silent(), "window = 8").await;
    let mut last = String::new();
    for n in 0..40 {
        last = world.send(&number(n % 3), &format!("{n}")).await;
    }
    world.await_status(&last, "sent").await;
    carrier.await_submits(40, &world.clock).await;
    for to in 0..3 {
        let own = carrier.submits().into_iter().filter(|line| line["to"] == number(to));
        let texts: Vec<usize> = own.map(|line| line["text"].as_str().unwrap().parse().unwrap()).collect();
        assert!(texts.is_sorted() && texts.len() >= 13, "{texts:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_holds_nobody_back() {
    let options = crate::support::faulty("no-answer@1");
    let (world, carrier) = one(options, "response_timeout = '100ms'").await;
    let first = world.send(&number(1), "first").await;
    let second = world.send(&number(1), "second").await;
    world.await_status(&second, "sent").await;
    assert_eq!((world.status(&first).await.as_str(), carrier.texts().len()), ("unknown", 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_highest_priority_goes_first_and_equals_in_their_order() {
    let (world, carrier) = one(silent(), "window = 1").await;
    world.order("/v1/pause").await;
    for (n, priority) in [4, 0, 9, 9, 4].into_iter().enumerate() {
        let text = format!("{priority}{n}");
        world.accept(json!({"to": number(n), "text": text, "priority": priority})).await;
    }
    world.order("/v1/resume").await;
    carrier.await_submits(5, &world.clock).await;
    assert_eq!(carrier.texts(), ["92", "93", "40", "44", "01"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_message_goes_at_its_time_and_not_before() {
    let (world, carrier) = one_still(silent(), "", "").await;
    let at = world.clock.now().wall.saturating_add(Duration::from_secs(3600)).to_rfc3339();
    let id = world.accept(json!({"to": number(1), "text": "later", "send_at": at})).await;
    assert_eq!(world.status(&id).await, "scheduled");
    world.clock.advance(Duration::from_secs(3500));
    let now = world.send(&number(2), "now").await;
    world.await_status(&now, "sent").await;
    assert_eq!(carrier.texts(), ["now"]);
    world.clock.advance(Duration::from_secs(100));
    world.await_status(&id, "sent").await;
    assert_eq!(carrier.texts(), ["now", "later"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_message_waits_through_a_restart() {
    let (mut world, carrier) = one_still(silent(), "", "").await;
    let at = world.clock.now().wall.saturating_add(Duration::from_secs(3600)).to_rfc3339();
    let id = world.accept(json!({"to": number(1), "text": "later", "send_at": at})).await;
    world.restart().await;
    world.await_link("carrier", "up").await;
    assert_eq!((world.status(&id).await.as_str(), carrier.texts().len()), ("scheduled", 0));
    world.clock.advance(Duration::from_secs(3600));
    world.await_status(&id, "sent").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_message_does_not_wait_for_one_to_the_same_number_that_is_scheduled() {
    let (world, carrier) = one_still(silent(), "", "").await;
    let at = world.clock.now().wall.saturating_add(Duration::from_secs(3600)).to_rfc3339();
    world.accept(json!({"to": number(1), "text": "later", "send_at": at})).await;
    let id = world.send(&number(1), "now").await;
    world.await_status(&id, "sent").await;
    assert_eq!(carrier.texts(), ["now"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_than_the_window_is_ever_unanswered() {
    let (world, carrier) = one(holding(), "window = 4").await;
    let ids = world.send_many(12).await;
    carrier.await_submits(4, &world.clock).await;
    carrier.release().await;
    for id in &ids {
        world.await_status(id, "sent").await;
    }
    assert_eq!(carrier.stats().await["most_in_flight"], 4);
    let idle = async || (world.get("/v1/links/carrier").await["window_in_use"] == 0).then_some(());
    until(&world.clock, "the window is empty again", idle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_segments_of_a_long_message_keep_their_order_between_others() {
    let (world, carrier) = one(silent(), "window = 2").await;
    let text: String = (0..100).map(|n| format!("{n:05} ")).collect();
    let long = world.send(&number(1), &text).await;
    let short = world.send(&number(2), "short").await;
    world.await_status(&long, "sent").await;
    world.await_status(&short, "sent").await;
    let own = carrier.submits().into_iter().filter(|line| line["to"] == number(1));
    let numbers: Vec<u64> = own.map(|line| line["segment"]["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
}
