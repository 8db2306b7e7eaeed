//! Stop and start: nothing is lost, nothing becomes unknown that need not.

use std::collections::BTreeSet;
use std::sync::Arc;

use nudged::clock::{Clock, Timestamp};
use nudged::engine::core::{Core, Lease, Settings};
use nudged::engine::reminders::ReminderSettings;
use nudged::engine::run::{self, Parts};
use nudged::engine::suppressions::Suppressions;
use nudged::link::{LinkEvent, LinkFacts, channel};
use nudged::message::{Head, Msisdn, State, UnknownWhy};
use nudged::store::keys::family;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::support::{
    Carrier, START, World, checked, draft, faulty, holding, link, nobody, number, one, one_still, opened,
    silent, stored, until,
};

fn texts(submits: Vec<Value>) -> BTreeSet<String> {
    submits.iter().map(|line| line["text"].as_str().unwrap().to_owned()).collect()
}

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
async fn a_stop_with_a_silent_carrier_marks_what_it_never_answered_unknown_before_it_ends() {
    let more = "window = 4\nresponse_timeout = '60s'\nenquire_link = '50s'";
    let (mut world, carrier) = one_still(holding(), "", more).await;
    let ids = world.send_many(10).await;
    let written: BTreeSet<String> = texts(carrier.await_submits(4, &world.clock).await);
    world.stop_while_time_passes().await;

    let (leases, heads) = (world.stored::<Lease>(family::LEASE), world.stored::<Head>(family::HEAD));
    assert_eq!(leases, [], "nothing is left for the next start to find");
    let unknown: Vec<&Head> = heads
        .iter()
        .filter(|head| matches!(head.state, State::Unknown { why: UnknownWhy::NoAnswer, .. }))
        .collect();
    assert_eq!(unknown.len(), 4);
    world.start_again().await;
    for (n, id) in ids.iter().enumerate() {
        let status = world.status(id).await;
        assert_eq!(status == "unknown", written.contains(&n.to_string()), "{n} is {status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_link_that_hangs_never_settles_is_unknown_when_the_stop_ends() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Clock::manual(START));
    let facts = LinkFacts { name: "a".into(), account: "a".into(), kind: "smpp", window: 4 };
    let settings = Settings {
        queue: checked("").queue,
        inbound: checked("").inbound,
        routes: Vec::new(),
        links: vec![facts.clone()],
        clock_floor: Timestamp::MIN,
        reminders: ReminderSettings::for_tests(),
    };
    let store = opened(dir.path());
    let (core, _) = Core::recover(settings, &store.reader(), clock.now()).unwrap();
    let suppressions = Suppressions::open(dir.path(), &core).unwrap().0;
    let (bell, stop) = (Arc::new(Notify::new()), CancellationToken::new());
    let (port, mut end) = channel(facts, bell.clone(), START);
    let (ports, min_free) = (vec![port], 0);
    let (its_clock, its_stop) = (clock.clone(), stop.clone());
    let parts = Parts { store, core, suppressions, ports, bell, clock: its_clock, min_free, stop: its_stop };
    let (engine, runner) = run::engine(parts);
    let core = std::thread::spawn(move || runner.run());

    end.outcomes.send(LinkEvent::Up).await.unwrap();
    end.bell.notify_one();
    let to = Msisdn::parse_e164(&number(0)).unwrap();
    engine.accept(draft(to, "x")).await.unwrap();
    assert_eq!(end.submissions.recv().await.unwrap().len(), 1);
    stop.cancel();
    let ended = async || core.is_finished().then_some(());
    until(&clock, "the core ends", ended).await;
    core.join().unwrap().unwrap();
    drop(engine);

    let store = opened(dir.path());
    assert_eq!(stored::<Lease>(&store, family::LEASE), []);
    let heads = stored::<Head>(&store, family::HEAD);
    assert!(
        matches!(heads[..], [Head { state: State::Unknown { why: UnknownWhy::Crash, .. }, .. }]),
        "{heads:?}"
    );
    drop(end);
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
