//! Stop and start: nothing is lost, nothing becomes unknown that need not.

use crate::support::{Carrier, World, faulty, holding, link, nobody, number, one, silent, until};
use serde_json::json;
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_what_waits_what_is_sent_what_is_unknown_and_every_text() {
    let (live, lost) = (Carrier::start(silent()).await, Carrier::start(faulty("no-answer@1")).await);
    let config = [
        link("live", live.addr(), ""),
        link("lost", lost.addr(), "response_timeout = '100ms'"),
        link("dead", nobody(), ""),
    ];
    let mut world = World::start(&config.concat()).await;
    let mut before = Vec::new();
    for (n, (by, status)) in
        [("live", "sent"), ("lost", "unknown"), ("dead", "queued")].into_iter().enumerate()
    {
        let message = json!({"to": number(n), "text": format!("text {n}"), "link": by, "metadata": {"n": n}});
        let id = world.accept(message).await;
        before.push(world.await_status(&id, status).await);
    }
    world.restart().await;
    for message in before {
        assert_eq!(world.message(message["id"].as_str().unwrap()).await, message);
    }
    assert_eq!((live.submits().len(), lost.submits().len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_during_a_window_waits_for_the_answers_and_leaves_none_unknown() {
    let (mut world, carrier) = one(holding(), "window = 4").await;
    let ids = world.send_many(10).await;
    carrier.await_submits(4, &world.clock).await;
    let (address, clock) = (world.address(), world.clock.clone());
    let answer = async {
        let closed = async || TcpStream::connect(address).await.err().map(drop);
        until(&clock, "the stop has begun", closed).await;
        carrier.release().await;
    };
    tokio::join!(world.stop(), answer);
    assert_eq!(carrier.submits().len(), 4, "no new leases once it stops");
    assert_eq!(carrier.lines("unbind").len(), 1, "it says goodbye");
    world.start_again().await;
    for id in &ids {
        world.await_status(id, "sent").await;
    }
    assert_eq!((carrier.submits().len(), world.count("unknown").await), (10, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_accepted_goes_out_once_however_often_the_daemon_is_restarted_meanwhile() {
    let delay = nudged::sim::smsc::Delay {
        least: std::time::Duration::from_millis(1),
        most: std::time::Duration::from_millis(20),
    };
    let (mut world, carrier) = one(nudged::sim::smsc::SmscOptions { delay, ..silent() }, "window = 3").await;
    let mut ids = Vec::new();
    for round in 0..5 {
        for n in 0..8 {
            ids.push(world.send(&number(n), &format!("{round}.{n}")).await);
        }
        world.restart().await;
    }
    for id in &ids {
        world.await_status(id, "sent").await;
    }
    let mut texts = carrier.texts();
    texts.sort();
    let expected: Vec<String> = (0..5).flat_map(|r| (0..8).map(move |n| format!("{r}.{n}"))).collect();
    assert_eq!(texts, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_goes_on_with_ids_that_are_new_and_rising() {
    let (mut world, _carrier) = one(silent(), "").await;
    let mut ids = Vec::new();
    for n in 0..3 {
        ids.push(world.send(&number(n), "x").await);
        world.restart().await;
    }
    assert!(ids.is_sorted() && ids[0] < ids[1] && ids[1] < ids[2], "{ids:?}");
}
