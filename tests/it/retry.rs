//! What becomes of a refusal, on a clock that the test moves.

use std::time::Duration;

use crate::support::{Carrier, World, faulty, number, one, one_still, until};
use serde_json::json;

/// 0x0B, the refusal of the simulator's `reject`, as a refusal for now.
const FOR_NOW: &str = "status = { '0x0B' = 'temporary' }";
const PLAN: &str = "[queue]\nretry = ['30s', '2m']\n";

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Waits until everything the core owes at this time is done: a message by another link that is answered.
async fn quiet(world: &World, n: usize) {
    let id = world
        .accept(json!({"to": number(900 + n), "text": "quiet", "receipt": false, "link": "other"}))
        .await;
    world.await_status(&id, "sent").await;
}

/// A world with a carrier that refuses and another one that does not.
async fn refusing(fault: &str, queue: &str, more: &str) -> (World, Carrier, Carrier) {
    let (carrier, other) =
        (Carrier::start(faulty(fault)).await, Carrier::start(crate::support::silent()).await);
    let first = crate::support::link("carrier", carrier.addr(), more);
    let second = crate::support::link("other", other.addr(), "");
    let config = format!("{queue}{first}{second}[[route]]\nvia = ['carrier']\n");
    (World::start_still(&config).await, carrier, other)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_temporary_refusal_is_tried_again_by_the_plan_and_then_failed() {
    let (world, carrier, _other) = refusing("reject@1+", PLAN, FOR_NOW).await;
    let id = world.send(&number(1), "x").await;
    for (tries, wait) in [(1, 30), (2, 120)] {
        carrier.await_submits(tries, &world.clock).await;
        let waiting = world.await_status(&id, "queued").await;
        assert_eq!(waiting["reason"]["code"], "smsc.bad_destination");
        world.clock.advance(secs(wait - 15));
        quiet(&world, tries).await;
        assert_eq!(carrier.submits().len(), tries, "not before its time");
        world.clock.advance(secs(15));
    }
    let failed = world.await_status(&id, "failed").await;
    assert_eq!(failed["reason"]["raw"], "command_status 0x0000000B");
    assert_eq!((failed["attempts"].as_array().unwrap().len(), carrier.submits().len()), (3, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_temporary_refusal_that_ends_leaves_the_message_sent() {
    let (world, carrier) = one_still(faulty("reject@1"), PLAN, FOR_NOW).await;
    let id = world.send(&number(1), "x").await;
    carrier.await_submits(1, &world.clock).await;
    world.await_status(&id, "queued").await;
    world.clock.advance(secs(30));
    let sent = world.await_status(&id, "sent").await;
    assert_eq!((sent["attempts"].as_array().unwrap().len(), carrier.submits().len()), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_waits_through_a_restart() {
    let (mut world, carrier) = one_still(faulty("reject@1"), PLAN, FOR_NOW).await;
    let id = world.send(&number(1), "x").await;
    carrier.await_submits(1, &world.clock).await;
    let before = world.await_status(&id, "queued").await;
    world.restart().await;
    assert_eq!(world.message(&id).await["due_at"], before["due_at"]);
    world.clock.advance(secs(30));
    world.await_status(&id, "sent").await;
    assert_eq!(carrier.submits().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permanent_refusal_fails_at_once() {
    let (world, carrier) = one(faulty("reject@1"), "").await;
    let id = world.send(&number(1), "x").await;
    let failed = world.await_status(&id, "failed").await;
    assert_eq!(failed["reason"]["code"], "smsc.bad_destination");
    assert_eq!((failed["attempts"].as_array().unwrap().len(), carrier.submits().len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_means_opted_out_blocks_the_message() {
    let (world, carrier) = one(faulty("reject@1"), "status = { '0x0B' = 'opted-out' }").await;
    let id = world.send(&number(1), "x").await;
    let blocked = world.await_status(&id, "blocked").await;
    assert_eq!(blocked["reason"]["code"], "policy.opted_out");
    assert_eq!(carrier.submits().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_costs_no_try_and_keeps_the_order() {
    let (world, carrier) = one(faulty("throttle@1"), "window = 1").await;
    let ids = world.send_many(3).await;
    for id in &ids {
        let sent = world.await_status(id, "sent").await;
        assert_eq!(sent["attempts"].as_array().unwrap().len(), 1);
    }
    assert_eq!(carrier.texts(), ["0", "0", "1", "2"]);
    assert_eq!(carrier.submits()[0]["status"], 0x58);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_at_the_carrier_costs_no_try_either() {
    let (world, carrier) = one(faulty("queue-full@1"), "").await;
    let id = world.send(&number(1), "x").await;
    let sent = world.await_status(&id, "sent").await;
    assert_eq!((sent["attempts"].as_array().unwrap().len(), carrier.submits().len()), (1, 2));
    let throttled = async || (world.get("/v1/links/carrier").await["throttled_total"] == 1).then_some(());
    until(&world.clock, "the throttling is counted", throttled).await;
}
