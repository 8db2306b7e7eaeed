//! Pace in the whole daemon: whose it is, and how long it lasts.

use serde_json::{Value, json};

use crate::support::{Carrier, World, faulty, link, number, one, until};

/// Sends one message by `link` and returns once the carrier has it.
async fn send_by(world: &World, link: &str) {
    let message = json!({"to": number(1), "text": link, "link": link, "allow_duplicate": true});
    let id = world.accept(message).await;
    world.await_status(&id, "sent").await;
}

async fn seen(world: &World, link: &str) -> Value {
    world.get(&format!("/v1/links/{link}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_link_learnt_holds_for_its_account_and_for_no_other() {
    let carrier = Carrier::start(faulty("throttle@1")).await;
    let acme = "account = 'acme'";
    let links = [("one", acme), ("two", acme), ("three", "")];
    let world = World::start(&links.map(|(name, more)| link(name, carrier.addr(), more)).concat()).await;
    for name in ["one", "two", "three"] {
        world.await_link(name, "up").await;
        send_by(&world, name).await;
    }
    let knows = async || seen(&world, "two").await["pace"].as_f64();
    until(&world.clock, "the second link knows what the first learnt", knows).await;
    assert_eq!(seen(&world, "three").await["pace"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_link_learnt_survives_a_reconnect() {
    let (world, carrier) = one(faulty("throttle@1"), "").await;
    send_by(&world, "carrier").await;
    carrier.control("hangup", json!({})).await;
    let again = async || (seen(&world, "carrier").await["sessions_total"] == 2).then_some(());
    until(&world.clock, "the link is bound again", again).await;
    send_by(&world, "carrier").await;
    assert!(seen(&world, "carrier").await["pace"].is_f64());
}
