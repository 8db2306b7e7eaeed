//! `/v1/events`: complete, in order, waited for, streamed and resumed; and what is said when it is too late.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use nudged::clock::Clock;
use nudged::engine::notice::{Notice, NoticeKind};
use nudged::id::EventId;
use nudged::sim::smsc::{Login, Receipts, SmscOptions};
use nudged::store::{Batch, Opened, Options, open, record};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;

use crate::support::{Carrier, START, World, faulty, link, nobody, number, opened, silent, until};

async fn dead() -> World {
    World::start(&link("dead", nobody(), "")).await
}

fn types(page: &Value) -> Vec<&str> {
    page["data"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect()
}

/// Fills the journal of a daemon that has stopped with events, until the oldest are gone; the oldest that is
/// there and the last.
pub fn fill_journal(dir: &Path, options: Options) -> (u64, u64) {
    let Opened::Ready { mut store, .. } = open(dir, options, START).unwrap() else { panic!("quarantined") };
    let notice = Notice { at: START, kind: NoticeKind::LinkUp { link: "dead".into() } };
    let mut now = START;
    while store.tail().oldest() < 50 {
        for n in 0..10_u8 {
            // A key of no family that anybody reads.
            let writes = [(vec![b'Z', n], Some(vec![n; 2_000]))].into();
            let events = vec![record::encode(&notice); 5];
            store.commit(&Batch { writes, events }, now).unwrap();
        }
        now = now.saturating_add(Duration::from_secs(61));
        store.maintain(now).unwrap();
        std::thread::yield_now();
    }
    let found = (store.tail().oldest(), store.last_event());
    store.close(now).unwrap();
    found
}

/// What happens today.
const NAMES: [&str; 18] = [
    "message.accepted",
    "message.sending",
    "message.sent",
    "message.delivered",
    "message.undelivered",
    "message.failed",
    "message.expired",
    "message.canceled",
    "message.blocked",
    "message.unknown",
    "inbound.received",
    "optout.added",
    "optout.removed",
    "link.up",
    "link.down",
    "link.paused",
    "link.resumed",
    "link.parked",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_event_that_happens_has_its_name() {
    let carriers = [
        ("well", SmscOptions { receipts: Receipts::Delivered, ..SmscOptions::default() }),
        ("silent", silent()),
        ("lost", faulty("no-answer@1")),
        ("refusing", faulty("reject@1")),
    ];
    let mut config = link("dead", nobody(), "");
    let mut running = Vec::new();
    for (name, options) in carriers {
        let carrier = Carrier::start(options).await;
        config += &link(name, carrier.addr(), "response_timeout = '200ms'");
        running.push(carrier);
    }
    let login = Some(Login { system_id: String::from("other"), password: String::from("other") });
    let strict = Carrier::start(SmscOptions { login, ..silent() }).await;
    config += &link("strict", strict.addr(), "");
    let world = World::start(&config).await;
    world.await_link("strict", "parked").await;
    for (n, (link, status)) in
        [("well", "delivered"), ("lost", "unknown"), ("refusing", "failed"), ("silent", "sent")]
            .into_iter()
            .enumerate()
    {
        let id = world.accept(json!({"to": number(n), "text": "x", "link": link})).await;
        world.await_status(&id, status).await;
    }
    let silent = &running[1];
    silent.receipt(&silent.submits()[0]["message_id"], "UNDELIV").await;
    let canceled = world.accept(json!({"to": number(5), "text": "x", "link": "dead"})).await;
    assert_eq!(world.cancel(&canceled).await.0, 200);
    let soon = world.clock.now().wall.saturating_add(Duration::from_secs(2)).to_rfc3339();
    world.accept(json!({"to": number(6), "text": "x", "link": "dead", "valid_until": soon})).await;
    silent.reply(&number(7)[1..], "STOP").await;
    silent.reply(&number(8)[1..], "please leave me alone").await;
    assert_eq!(world.order("/v1/links/silent/pause").await["state"], "paused");
    world.order("/v1/links/silent/resume").await;
    let blocked = async || Some(world.get("/v1/optouts").await).filter(|list| list["data"][0].is_object());
    until(&world.clock, "the opt-out", blocked).await;
    world.accept(json!({"to": number(7), "text": "x"})).await;
    assert_eq!(world.call(Method::DELETE, &format!("/v1/optouts/{}", number(7)), None).await.0, 200);
    world.order("/v1/links/well/restart").await;

    let mut seen = BTreeSet::new();
    let look = async || {
        let page = world.get("/v1/events?limit=500").await;
        seen = types(&page).into_iter().map(str::to_owned).collect();
        NAMES.iter().all(|name| seen.contains(*name)).then_some(page)
    };
    let look = until(&world.clock, "every name", look).await;
    let unknown =
        look["data"].as_array().unwrap().iter().find(|event| event["type"] == "message.unknown").unwrap();
    assert_eq!(unknown["data"]["reason"]["code"], "smsc.no_answer", "{unknown}");
    assert_eq!(unknown["data"]["link"], "lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_go_on_where_the_one_before_ended_with_numbers_and_texts() {
    let mut world = dead().await;
    let sent = world.send_many(5).await;
    world.restart().await;
    let mut seen = Vec::new();
    let mut after = String::from("0");
    loop {
        let page = world.get(&format!("/v1/events?limit=2&after={after}")).await;
        let data = page["data"].as_array().unwrap();
        assert!(data.len() <= 2);
        seen.extend(data.iter().filter(|event| event["type"] == "message.accepted").cloned());
        let next = page["next"].as_str().unwrap().to_owned();
        if next == after {
            break;
        }
        after = next;
    }
    let ids: Vec<&str> = seen.iter().map(|event| event["data"]["id"].as_str().unwrap()).collect();
    assert_eq!(ids, sent);
    assert_eq!((&seen[3]["data"]["to"], &seen[3]["data"]["text"]), (&json!(number(3)), &json!("3")));
    let numbers: Vec<EventId> =
        seen.iter().map(|event| event["id"].as_str().unwrap().parse().unwrap()).collect();
    assert!(numbers.is_sorted());
    let last = world.get(&format!("/v1/events?after={}", numbers[3].as_u64())).await;
    assert_eq!(last["data"][0], seen[4], "a plain number is a place too");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_ends_with_the_first_news_or_with_its_time() {
    let world = World::start_still(&link("dead", nobody(), "")).await;
    let mut page = world.get("/v1/events").await;
    // Whichever of the two comes first, five times.
    for n in 0..5 {
        let path = format!("/v1/events?wait=60s&after={}", page["next"].as_str().unwrap());
        let to = number(n);
        (page, _) = tokio::join!(world.get(&path), world.send(&to, "x"));
        assert_eq!(types(&page), ["message.accepted"], "no time passed");
    }

    let path = format!("/v1/events?wait=60s&after={}", page["next"].as_str().unwrap());
    let (clock, machine) = (world.clock.clone(), Clock::system());
    let mut waiting = std::pin::pin!(world.get(&path));
    let empty = loop {
        tokio::select! {
            page = &mut waiting => break page,
            () = machine.sleep(Duration::from_millis(5)) => clock.advance(Duration::from_secs(1)),
        }
    };
    assert_eq!((types(&empty), &empty["next"]), (vec![], &page["next"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_asked_is_refused_with_its_name() {
    let world = dead().await;
    for (query, field) in [
        ("after=x", "after"),
        ("after=evt_0000000zzzzzz", "after"),
        ("wait=61s", "wait"),
        ("wait=1", "wait"),
        ("limit=0", "limit"),
        ("cursor=1", "cursor"),
    ] {
        let (status, problem) = world.call(Method::GET, &format!("/v1/events?{query}"), None).await;
        assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!(field)), "{query}: {problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_are_not_kept_any_more_are_410_with_the_place_to_go_on() {
    let mut world = dead().await;
    world.stop().await;
    let (oldest, last) = fill_journal(&world.store_dir(), Options::for_tests());
    world.start_again().await;
    let (status, problem) = world.call(Method::GET, "/v1/events?after=3", None).await;
    assert_eq!((status, &problem["code"]), (410, &json!("events_gone")), "{problem}");
    let detail = problem["detail"].as_str().unwrap();
    let after = detail.split_once("after=").unwrap().1.split(' ').next().unwrap();
    let page = world.get(&format!("/v1/events?limit=500&after={after}")).await;
    assert_eq!(page["data"][0]["id"], EventId::from_u64(oldest).to_string());
    let whole = world.get("/v1/events?limit=500").await;
    assert_eq!(whole["data"][0], page["data"][0], "without a place it begins with the oldest");
    let newest = world.get(&format!("/v1/events?after={}", last - 1)).await;
    assert_eq!(newest["data"][0]["id"], EventId::from_u64(last).to_string());
    let request = world.request(Method::GET, "/v1/events", None).header("accept", "text/event-stream");
    assert_eq!(request.header("last-event-id", "3").send().await.unwrap().status(), 410);
}

/// A stream of server-sent events.
struct Stream {
    response: Response,
    text: String,
}

impl Stream {
    async fn open(world: &World, last: Option<&str>) -> Stream {
        let request = world.request(Method::GET, "/v1/events", None).header("accept", "text/event-stream");
        let request = match last {
            Some(id) => request.header("last-event-id", id),
            None => request,
        };
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Stream { response, text: String::new() }
    }

    /// The next block; `None` at the end.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(block);
            }
            let more = self.response.chunk().await.ok()??;
            self.text += std::str::from_utf8(&more).unwrap();
        }
    }

    /// The next event: id, name, JSON.
    async fn event(&mut self) -> (String, String, Value) {
        loop {
            let block = self.block().await.unwrap();
            let field =
                |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
            if let (Some(id), Some(event), Some(data)) = (field("id: "), field("event: "), field("data: ")) {
                return (id, event, serde_json::from_str(&data).unwrap());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_begins_now_and_is_resumed_behind_the_last_event_that_was_heard() {
    let world = dead().await;
    world.send(&number(0), "before").await;
    let mut stream = Stream::open(&world, None).await;
    assert!(stream.block().await.unwrap().starts_with(": "), "it speaks at once");
    let sent = world.send_many(3).await;
    let (id, name, event) = stream.event().await;
    assert_eq!((name.as_str(), &event["id"]), ("message.accepted", &json!(id)));
    assert_eq!((&event["data"]["id"], &event["data"]["text"]), (&json!(sent[0]), &json!("0")));
    drop(stream);

    let mut resumed = Stream::open(&world, Some(&id)).await;
    for id in &sent[1..] {
        assert_eq!(resumed.event().await.2["data"]["id"], json!(id));
    }
    let late = world.send(&number(9), "late\n\nid: evt_1").await;
    let (_, _, event) = resumed.event().await;
    assert_eq!((&event["data"]["id"], &event["data"]["text"]), (&json!(late), &json!("late\n\nid: evt_1")));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_places_a_stream_goes_on_behind_the_one_it_heard_last() {
    let world = dead().await;
    world.send_many(3).await;
    let page = world.get("/v1/events?limit=500").await;
    let ids: Vec<&str> =
        page["data"].as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap()).collect();
    let streamed = async |query: &str, last: Option<&str>| {
        let request = world.request(Method::GET, &format!("/v1/events{query}"), None);
        let request = request.header("accept", "text/event-stream");
        last.map_or_else(
            || request.try_clone().unwrap(),
            |id| request.try_clone().unwrap().header("last-event-id", id),
        )
        .send()
        .await
        .unwrap()
    };
    let first = async |query: &str, last: Option<&str>| {
        let mut stream = Stream { response: streamed(query, last).await, text: String::new() };
        stream.event().await.0
    };
    assert_eq!(first("?after=0", None).await, ids[0]);
    // A browser that comes back asks for the address it began with.
    assert_eq!(first("?after=0", Some(ids[1])).await, ids[2]);
    for bad in ["", "x", "msg_0000000000001", "evt_0000000zzzzzz"] {
        assert_eq!(streamed("", Some(bad)).await.status(), 422, "{bad}");
    }
}

/// Large events in the journal of a daemon that has stopped; the first and the last.
fn fill_with_large_events(dir: &Path) -> (u64, u64) {
    let mut store = opened(dir);
    let first = store.last_event() + 1;
    let link = "long".repeat(2_000);
    let notice =
        record::encode(&Notice { at: START, kind: NoticeKind::LinkUp { link: link.as_str().into() } });
    for n in 0..100_u8 {
        let writes = [(vec![b'Z', n], Some(vec![n]))].into();
        store.commit(&Batch { writes, events: vec![notice.clone(); 10] }, START).unwrap();
    }
    let last = store.last_event();
    store.close(START).unwrap();
    (first, last)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_nothing_delays_no_other_and_finds_everything_when_it_reads_on() {
    let mut world = dead().await;
    world.stop().await;
    let (first, last) = fill_with_large_events(&world.store_dir());
    world.start_again().await;
    let socket = TcpSocket::new_v4().unwrap();
    // Little waits in the machine, most of it in the daemon or not yet read.
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut slow = socket.connect(world.address()).await.unwrap();
    let head = format!(
        "GET /v1/events?after={} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\
         accept: text/event-stream\r\n\r\n",
        first - 1,
        world.token()
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    let request = world.request(Method::GET, &format!("/v1/events?after={}", first - 1), None);
    let response = request.header("accept", "text/event-stream").send().await.unwrap();
    let mut quick = Stream { response, text: String::new() };
    let id = |number: u64| EventId::from_u64(number).to_string();
    for number in first..=last {
        assert_eq!(quick.event().await.0, id(number));
    }
    let (mut read, mut seen) = (Vec::new(), 0);
    for number in first..=last {
        let line = format!("id: {}\n", id(number)).into_bytes();
        let at = loop {
            let found = read[seen..].windows(line.len()).position(|octets: &[u8]| octets == line);
            match found {
                Some(at) => break at,
                None => assert!(slow.read_buf(&mut read).await.unwrap() > 0, "it ends before {number}"),
            }
        };
        seen += at + line.len();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_stream_says_that_it_lives_and_ends_when_the_daemon_stops() {
    let mut world = World::start_still(&link("dead", nobody(), "")).await;
    let mut stream = Stream::open(&world, None).await;
    stream.block().await.unwrap();
    let clock = world.clock.clone();
    let machine = Clock::system();
    let beat = loop {
        tokio::select! {
            block = stream.block() => break block.unwrap(),
            () = machine.sleep(Duration::from_millis(5)) => clock.advance(Duration::from_secs(1)),
        }
    };
    assert_eq!(beat, ":");
    world.stop_while_time_passes().await;
    while let Some(block) = stream.block().await {
        assert!(block.starts_with(':') || block.contains("event: "), "{block}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_bounded_and_a_place_comes_back_when_one_ends() {
    let world = dead().await;
    let mut streams = Vec::new();
    for _ in 0..64 {
        streams.push(Stream::open(&world, None).await);
    }
    let open = async || {
        let request = world.request(Method::GET, "/v1/events", None).header("accept", "text/event-stream");
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(open().await, 503);
    assert_eq!(world.call(Method::GET, "/v1/events", None).await.0, 200, "pages go on");
    drop(streams);
    // The daemon notices when it next has something to say.
    let free = async || {
        world.send(&number(1), "x").await;
        (open().await == 200).then_some(())
    };
    until(&world.clock, "a place is free", free).await;
}
