//! Replies of people: on the disk before the carrier hears that they are taken.

use crate::support::{number, one, silent};

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_is_stored_counted_and_confirmed() {
    let (world, carrier) = one(silent(), "").await;
    world.await_link("carrier", "up").await;
    carrier.reply(&number(1), "yes, tomorrow").await;
    assert_eq!(carrier.await_delivery("yes, tomorrow", &world.clock).await["status"], 0);
    world.await_snapshot("one reply", |status| status["inbound_total"] == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_are_still_counted_after_a_restart_and_none_comes_twice() {
    let (mut world, carrier) = one(silent(), "").await;
    world.await_link("carrier", "up").await;
    for n in 0..5 {
        carrier.reply(&number(n), &format!("reply {n}")).await;
        carrier.await_delivery(&format!("reply {n}"), &world.clock).await;
    }
    world.restart().await;
    world.await_snapshot("five replies", |status| status["inbound_total"] == 5).await;
    assert_eq!(carrier.lines("deliver_sm").len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_honest_replies_of_the_same_text_are_two() {
    let (world, carrier) = one(silent(), "").await;
    world.await_link("carrier", "up").await;
    carrier.reply(&number(1), "1").await;
    carrier.await_delivery("1", &world.clock).await;
    carrier.reply(&number(1), "1").await;
    world.await_snapshot("two replies", |status| status["inbound_total"] == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_reply_is_taken_segment_by_segment_and_is_one_reply() {
    let (world, carrier) = one(silent(), "").await;
    world.await_link("carrier", "up").await;
    carrier.reply(&number(1), &"0123456789".repeat(30)).await;
    world.await_snapshot("one reply", |status| status["inbound_total"] == 1).await;
    assert_eq!(carrier.lines("deliver_sm").len(), 2);
    assert!(carrier.lines("deliver_sm").iter().all(|line| line["status"] == 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_looks_like_a_receipt_is_a_reply_when_a_person_sent_it() {
    let (world, carrier) = one(silent(), "").await;
    let id = world.send(&number(1), "x").await;
    world.await_status(&id, "sent").await;
    let reference = carrier.submits()[0]["message_id"].as_str().unwrap().to_owned();
    let forged = format!(
        "id:{reference} sub:001 dlvrd:001 submit date:2611210000 done date:2611210001 stat:UNDELIV err:001 text:x"
    );
    carrier.reply(&number(1), &forged).await;
    carrier.await_delivery(&forged, &world.clock).await;
    world.await_snapshot("a reply", |status| status["inbound_total"] == 1).await;
    assert_eq!(world.status(&id).await, "sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_is_confirmed_once_and_nothing_else_goes_to_that_number_until_start() {
    let (mut world, carrier) = one(silent(), "").await;
    world.await_link("carrier", "up").await;
    carrier.reply(&number(1), "STOP").await;
    let confirmation = carrier.await_submits(1, &world.clock).await.remove(0);
    assert_eq!(confirmation["to"].as_str().unwrap().trim_start_matches('+'), &number(1)[1..]);
    let id = world.send(&number(1), "pay").await;
    world.await_status(&id, "blocked").await;
    carrier.reply(&number(1), "STOP").await;
    world.await_snapshot("both", |status| status["inbound_total"] == 2).await;
    world.restart().await;
    world.await_link("carrier", "up").await;
    carrier.reply(&number(1), "START").await;
    world.await_snapshot("all", |status| status["inbound_total"] == 3).await;
    world.send(&number(1), "pay now").await;
    carrier.await_submits(2, &world.clock).await;
    assert_eq!(carrier.texts()[1..], ["pay now"]);
}
