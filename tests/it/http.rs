//! The HTTP side over a real socket, with a fake core behind it: hostile and broken clients one by one, and
//! what the API promises the others.

#![allow(clippy::unwrap_used, reason = "these are tests, their common parts too")]

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nudged::clock::{Clock, Now, Timestamp};
use nudged::config::{Http, Listen};
use nudged::engine::{
    AcceptAnswer, Accepted, BatchWish, Command, Draft, Engine, IntakeClosed, LinkSnapshot, Refusal, Snapshot,
    View,
};
use nudged::http::App;
use nudged::http::auth::{Scope, TokenFile};
use nudged::http::serve::{bind, serve};
use nudged::id::{BatchId, MessageId};
use nudged::link::{Connection, LinkFacts, LinkStatus};
use nudged::message::{Body, Class, Encoding, Msisdn, OnUnknown, Priority, Status};
use nudged::store::{Entries, Read, StoreError, keys, record};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::support::{Log, second_subscriber};

const START: Timestamp = Timestamp::from_millis(1_795_269_900_000);
const NUMBER: &str = "+4915112345678";

/// The applied state, filled before the daemon starts.
#[derive(Default)]
pub struct Map(pub BTreeMap<Vec<u8>, Vec<u8>>);

impl Read for Map {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0.get(key).cloned())
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Entries, StoreError> {
        let range = self.0.range(from.to_vec()..to.to_vec());
        Ok(range.take(limit).map(|(k, v)| (k.clone(), v.clone())).collect())
    }

    fn scan_back(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Entries, StoreError> {
        let range = self.0.range(from.to_vec()..to.to_vec()).rev();
        Ok(range.take(limit).map(|(k, v)| (k.clone(), v.clone())).collect())
    }
}

/// What the fake core saw, and what it is told to answer.
#[derive(Default)]
pub struct Core {
    accepted: Vec<Draft>,
    keys: HashMap<[u8; 16], ([u8; 16], MessageId)>,
    refuse: Option<Refusal>,
    /// It dies over every command.
    dies: bool,
    pub other: Vec<String>,
}

impl Core {
    fn accept(&mut self, draft: Draft) -> Result<Accepted, Refusal> {
        if let Some(refusal) = &self.refuse {
            return Err(refusal.clone());
        }
        if let Some(with) = draft.idempotency
            && let Some((body, id)) = self.keys.get(&with.key)
        {
            let same = *body == with.body;
            let again = Accepted { id: *id, status: Status::Queued, repeated: true };
            return if same { Ok(again) } else { Err(Refusal::KeyReused) };
        }
        let id = MessageId::from_u64(self.accepted.len() as u64 + 1);
        if let Some(with) = draft.idempotency {
            self.keys.insert(with.key, (with.body, id));
        }
        self.accepted.push(draft);
        Ok(Accepted { id, status: Status::Queued, repeated: false })
    }

    fn command(&mut self, command: Command) {
        if self.dies {
            return drop(command);
        }
        match command {
            Command::Accept { drafts, batch, reply } => {
                let batch = match batch {
                    BatchWish::None => None,
                    BatchWish::New => Some(BatchId::from_u64(7)),
                    BatchWish::Continue { batch, .. } => Some(batch),
                };
                let results = drafts.into_iter().map(|draft| self.accept(draft)).collect();
                reply.send(AcceptAnswer { batch, results }).unwrap();
            }
            Command::Cancel { id, reply } => {
                let sent = id == MessageId::from_u64(1);
                self.other.push(format!("cancel {id}"));
                let answer = if sent { Err(Refusal::State(Status::Sent)) } else { Ok(Status::Canceled) };
                reply.send(answer).unwrap();
            }
            Command::Resolve { id, how, reply } => {
                self.other.push(format!("resolve {id} {how:?}"));
                reply.send(Ok(Status::Failed)).unwrap();
            }
            Command::ResolveMany { which, how, reply } => {
                self.other.push(format!("resolve {:?} {how:?}", which.link));
                reply.send(Ok(3)).unwrap();
            }
            Command::Pause { link, by, reply } => {
                self.other.push(format!("pause {link:?} by {by}"));
                reply.send(Ok(())).unwrap();
            }
            Command::Resume { link, by, reply } => {
                self.other.push(format!("resume {link:?} by {by}"));
                reply.send(Ok(())).unwrap();
            }
            Command::AcceptClock { by, reply } => {
                self.other.push(format!("accept the clock by {by}"));
                reply.send(Ok(())).unwrap();
            }
            Command::RestartLink { link, reply } => {
                self.other.push(format!("restart {link}"));
                reply.send(Ok(())).unwrap();
            }
            Command::OptOut { entries, by, reply } => {
                self.other.push(format!("opt out {} by {by}", entries.len()));
                reply.send(Ok(entries.len() as u64)).unwrap();
            }
            Command::LiftOptOut { party, by, reply } => {
                self.other.push(format!("lift {party} by {by}"));
                reply.send(Ok(())).unwrap();
            }
            Command::Change { changes, by, reply } => {
                self.other.push(format!("change {} by {by}", changes.len()));
                reply.send(Vec::new()).unwrap();
            }
            Command::ReleaseHold { party, by, reply } => {
                self.other.push(format!("release {party} by {by}"));
                reply.send(Ok(())).unwrap();
            }
            Command::Webhook { progress, reply } => {
                self.other.push(format!("webhook {}", progress.name));
                reply.send(Ok(0)).unwrap();
            }
        }
    }
}

pub struct Rig {
    pub address: SocketAddr,
    pub core: Arc<Mutex<Core>>,
    /// A permit a command: tests that hold the core take them away.
    gate: Arc<Semaphore>,
    /// Commands that have come to the core.
    arrived: watch::Receiver<usize>,
    snapshot: watch::Sender<Arc<Snapshot>>,
    pub clock: Clock,
    pub token: String,
    pub dir: tempfile::TempDir,
    stop: CancellationToken,
    served: tokio::task::JoinHandle<std::io::Result<()>>,
    pub client: reqwest::Client,
}

fn snapshot(now: Now) -> Snapshot {
    let facts = LinkFacts { name: "carrier".into(), account: "carrier".into(), kind: "smpp", window: 64 };
    let status = LinkStatus { connection: Connection::Up, ..LinkStatus::new(now.wall) };
    let links =
        vec![LinkSnapshot { facts, status, paused: None, leased: 3, quotas: Vec::new(), recipients: None }];
    Snapshot { links, ..Snapshot::empty(now.wall) }
}

impl Rig {
    pub async fn start() -> Rig {
        Rig::with(&Scope::ALL, Map::default()).await
    }

    pub async fn with(scopes: &[Scope], state: Map) -> Rig {
        let clock = Clock::manual(START);
        let dir = tempfile::tempdir().unwrap();
        let token = TokenFile::new(dir.path()).add("crm", scopes, START).unwrap();
        let (commands, mut received) = mpsc::channel(64);
        let (publish, snapshots) = watch::channel(Arc::new(snapshot(clock.now())));
        let view = View::new(Arc::new(state));
        let app = App::new(Engine::new(commands, snapshots, view), clock.clone(), dir.path());
        let listen = vec![Listen::Tcp(([127, 0, 0, 1], 0).into())];
        let bound = bind(&Http { listen, trusted_proxy: false }).unwrap();
        let address = bound[0].address().unwrap();
        let (core, gate) = (Arc::new(Mutex::new(Core::default())), Arc::new(Semaphore::new(1_000)));
        let (fake, permits) = (core.clone(), gate.clone());
        let (arrivals, arrived) = watch::channel(0);
        tokio::spawn(async move {
            while let Some(command) = received.recv().await {
                arrivals.send_modify(|count| *count += 1);
                permits.acquire().await.unwrap().forget();
                fake.lock().unwrap().command(command);
            }
        });
        let stop = CancellationToken::new();
        let served = tokio::spawn(serve(bound, app, stop.clone(), Duration::from_secs(20)));
        let client = reqwest::Client::new();
        Rig { address, core, gate, arrived, snapshot: publish, clock, token, dir, stop, served, client }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, self.url(path)).bearer_auth(&self.token)
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        answer(self.request(reqwest::Method::GET, path)).await
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        answer(self.request(reqwest::Method::POST, path).json(&body)).await
    }

    /// A body as bytes to `POST /v1/messages`.
    async fn post_bytes(&self, body: impl Into<reqwest::Body>) -> (u16, Value) {
        let request = self.request(reqwest::Method::POST, "/v1/messages").body(body);
        answer(request.header("content-type", "application/json")).await
    }

    /// Bytes as they are, and all that is answered until the connection ends.
    pub async fn raw(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // The daemon may answer and close before it has read all.
        let written = stream.write_all(bytes.as_ref()).await;
        read_rest(&mut stream, written).await
    }

    /// The head of a request that is let in and ends its connection, without the empty line.
    fn head(&self, line: &str) -> String {
        format!(
            "{line} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nConnection: close\r\nContent-Type: application/json\r\n",
            self.token
        )
    }

    fn accepted(&self) -> usize {
        self.core.lock().unwrap().accepted.len()
    }

    pub fn publish(&self, change: impl FnOnce(&mut Snapshot)) {
        self.snapshot.send_modify(|snapshot| change(Arc::make_mut(snapshot)));
    }
}

async fn read_rest(stream: &mut TcpStream, written: std::io::Result<()>) -> String {
    let mut text = Vec::new();
    let read = stream.read_to_end(&mut text).await;
    assert!(written.is_ok() || read.is_err() || !text.is_empty(), "closed without an answer");
    String::from_utf8_lossy(&text).into_owned()
}

async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    assert!(response.headers().contains_key("x-request-id"));
    let status = response.status().as_u16();
    if status >= 400 {
        assert_eq!(response.headers()["content-type"], "application/problem+json");
    }
    (status, response.json().await.unwrap())
}

fn message() -> Value {
    json!({"to": NUMBER, "text": "hello"})
}

fn fields(problem: &Value) -> Vec<&str> {
    problem["errors"].as_array().unwrap().iter().map(|e| e["field"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn an_accepted_message_is_202_with_what_it_costs() {
    let rig = Rig::start().await;
    let (status, body) = rig.post("/v1/messages", message()).await;
    assert_eq!(status, 202);
    let id = MessageId::from_u64(1).to_string();
    let expected = json!({"id": id, "status": "queued", "to": NUMBER, "encoding": "gsm7",
        "segment_count": 1, "warnings": []});
    assert_eq!(body, expected);
    assert_eq!(rig.core.lock().unwrap().accepted[0].token.as_str(), "crm");
}

#[tokio::test]
async fn a_dry_run_is_measured_and_not_taken() {
    let rig = Rig::start().await;
    let body = json!({"to": NUMBER, "text": "я".repeat(71), "dry_run": true});
    let (status, body) = rig.post("/v1/messages", body).await;
    assert_eq!((status, &body["segment_count"], &body["encoding"]), (200, &json!(2), &json!("ucs2")));
    assert_eq!(rig.accepted(), 0);
}

#[tokio::test]
async fn a_body_of_100_mb_is_refused_by_its_announced_length() {
    let rig = Rig::start().await;
    let text = rig.raw(rig.head("POST /v1/messages") + "Content-Length: 104857600\r\n\r\n{").await;
    assert!(text.starts_with("HTTP/1.1 413"), "{text}");
    assert!(text.contains("body_too_large"));
}

#[tokio::test]
async fn expect_100_is_answered_by_the_refusal_alone() {
    let rig = Rig::start().await;
    let head = rig.head("POST /v1/messages") + "Expect: 100-continue\r\n";
    let text = rig.raw(head.clone() + "Content-Length: 104857600\r\n\r\n").await;
    assert!(text.starts_with("HTTP/1.1 413"), "{text}");
    let body = message().to_string();
    let text = rig.raw(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())).await;
    assert!(text.contains("HTTP/1.1 202"), "{text}");
}

#[tokio::test]
async fn an_endless_chunked_body_is_cut_at_the_limit() {
    let rig = Rig::start().await;
    let head = rig.head("POST /v1/messages") + "Transfer-Encoding: chunked\r\n\r\n";
    let text = rig.raw(head + &format!("10000\r\n{}\r\n", "x".repeat(0x10000)).repeat(5)).await;
    assert!(text.is_empty() || text.starts_with("HTTP/1.1 413"), "{text}");
    assert_eq!(rig.accepted(), 0);
}

#[tokio::test]
async fn a_plain_chunked_body_is_taken() {
    let rig = Rig::start().await;
    let body = message().to_string();
    let head = rig.head("POST /v1/messages") + "Transfer-Encoding: chunked\r\n\r\n";
    let text = rig.raw(format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len())).await;
    assert!(text.starts_with("HTTP/1.1 202"), "{text}");
}

#[tokio::test]
async fn deep_nesting_is_400() {
    let rig = Rig::start().await;
    let (status, body) = rig.post_bytes("[".repeat(100_000)).await;
    assert_eq!((status, &body["code"]), (400, &json!("not_json")));
    let deep = format!("{{\"to\":\"{NUMBER}\",\"text\":\"x\",\"metadata\":{}}}", "[".repeat(100_000));
    assert_eq!(rig.post_bytes(deep).await.0, 400);
    let nested = "{\"a\":".repeat(500) + "1" + &"}".repeat(500);
    let deep = format!("{{\"to\":\"{NUMBER}\",\"text\":\"x\",\"metadata\":{nested}}}");
    let (status, body) = rig.post_bytes(deep).await;
    assert_eq!((status, fields(&body)), (422, vec!["metadata"]));
}

#[tokio::test]
async fn a_content_length_that_lies_takes_nothing() {
    let rig = Rig::start().await;
    let mut stream = TcpStream::connect(rig.address).await.unwrap();
    let body = message().to_string();
    let head = rig.head("POST /v1/messages") + &format!("Content-Length: {}\r\n\r\n{body}", body.len() + 9);
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let text = read_rest(&mut stream, Ok(())).await;
    assert!(text.is_empty() || text.starts_with("HTTP/1.1 400"), "{text}");
    let short = rig.head("POST /v1/messages") + &format!("Content-Length: 5\r\n\r\n{body}");
    assert!(rig.raw(short).await.starts_with("HTTP/1.1 400"));
    assert_eq!(rig.accepted(), 0);
}

#[tokio::test]
async fn a_connection_that_says_nothing_and_one_that_dribbles_headers_are_closed() {
    let rig = Rig::start().await;
    let (silent, dribbling) =
        tokio::join!(rig.raw(""), rig.raw("GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "));
    for text in [silent, dribbling] {
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 408"), "{text}");
    }
}

#[tokio::test]
async fn a_slow_body_is_408() {
    let rig = Rig::start().await;
    let clock = rig.clock.clone();
    let hurry = tokio::spawn(async move {
        loop {
            clock.advance(Duration::from_secs(1));
            tokio::task::yield_now().await;
        }
    });
    let text = rig.raw(rig.head("POST /v1/messages") + "Content-Length: 50\r\n\r\n{").await;
    hurry.abort();
    assert!(text.starts_with("HTTP/1.1 408"), "{text}");
    assert!(text.to_lowercase().contains("connection: close"), "{text}");
}

#[tokio::test]
async fn a_request_the_core_does_not_answer_is_503_and_says_that_it_may_be_taken() {
    let rig = Rig::start().await;
    rig.gate.forget_permits(1_000);
    let clock = rig.clock.clone();
    let hurry = tokio::spawn(async move {
        loop {
            clock.advance(Duration::from_secs(1));
            tokio::task::yield_now().await;
        }
    });
    let (status, body) = rig.post("/v1/messages", message()).await;
    hurry.abort();
    assert_eq!((status, &body["code"]), (503, &json!("deadline")));
}

#[tokio::test]
async fn a_core_that_dies_over_a_call_refuses_nothing_it_is_not_known_whether_it_was_taken() {
    let rig = Rig::start().await;
    rig.core.lock().unwrap().dies = true;
    let resolve = json!({"as": "sent"});
    for (path, body) in [
        ("/v1/messages", message()),
        ("/v1/messages/batch", json!([message()])),
        ("/v1/messages/msg_0000000000001/resolve", resolve.clone()),
        ("/v1/unknowns/resolve", resolve),
    ] {
        let (status, body) = rig.post(path, body).await;
        assert_eq!((status, &body["code"]), (503, &json!("unanswered")), "{path}");
        let detail = body["detail"].as_str().unwrap();
        assert!(detail.contains("Whether it was taken is not known"), "{path}: {detail}");
    }
    let cancel = answer(rig.request(reqwest::Method::DELETE, "/v1/messages/msg_0000000000001")).await;
    assert_eq!((cancel.0, &cancel.1["code"]), (503, &json!("unanswered")));
}

#[tokio::test]
async fn too_many_and_too_long_headers_are_431() {
    let rig = Rig::start().await;
    let many: String = (0..70).map(|n| format!("X-{n}: a\r\n")).collect();
    let long = format!("X-Long: {}\r\n", "a".repeat(20_000));
    for headers in [many, long] {
        let text = rig.raw(rig.head("GET /v1/links") + &headers + "\r\n").await;
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 431"), "{text}");
    }
}

#[tokio::test]
async fn text_that_is_no_text_is_refused_with_the_field_named() {
    let rig = Rig::start().await;
    let with = |text: &[u8]| [b"{\"to\":\"+4915112345678\",\"text\":\"", text, b"\"}"].concat();
    for (text, expected) in [
        (b"\xff".as_slice(), 400),
        (b"\xed\xa0\xbd", 400),
        (br"\ud83d", 400),
        (br"a\u0000b", 422),
        (br"a\u001b[2Jb", 422),
    ] {
        let (status, body) = rig.post_bytes(with(text)).await;
        assert_eq!((status, fields(&body)), (expected, vec!["text"]), "{text:?}");
    }
    let (status, body) = rig.post_bytes(with(b"a\x00b")).await;
    assert_eq!((status, &body["code"]), (400, &json!("not_json")), "a bare NUL is no JSON");
    let (status, body) = rig.post_bytes(format!("\u{FEFF}{}", message())).await;
    assert_eq!((status, &body["code"]), (400, &json!("not_json")));
    let (status, body) = rig.post("/v1/messages", json!({"to": "+49151\u{0}123456", "text": "x"})).await;
    assert_eq!((status, fields(&body)), (422, vec!["to"]));
    let (status, body) =
        rig.post("/v1/messages", json!({"to": NUMBER, "text": "x", "sender": "A\r\nB"})).await;
    assert_eq!((status, fields(&body)), (422, vec!["sender"]));
    assert_eq!(rig.accepted(), 0);
}

#[tokio::test]
async fn numbers_are_refused_by_rule() {
    let rig = Rig::start().await;
    let long = format!("+{}", "4".repeat(40));
    for number in ["", "+", &long, "+49abc1234567", "+٤٩١٥١١٢٣٤٥", "tel:+4915112345678", "112", "0151123456"]
    {
        let (status, body) = rig.post("/v1/messages", json!({"to": number, "text": "x"})).await;
        assert_eq!((status, fields(&body)), (422, vec!["to"]), "{number}");
    }
    assert_eq!(rig.accepted(), 0);
}

#[tokio::test]
async fn texts_over_the_limit_empty_or_blank_are_refused() {
    let rig = Rig::start().await;
    for text in ["x".repeat(10_000), String::new(), String::from(" \n\t "), "[".repeat(800)] {
        let (status, body) = rig.post("/v1/messages", json!({"to": NUMBER, "text": text})).await;
        assert_eq!((status, fields(&body)), (422, vec!["text"]));
    }
    let (_, body) = rig.post("/v1/messages", json!({"to": NUMBER, "text": "x".repeat(10_000)})).await;
    assert!(body["errors"][0]["why"].as_str().unwrap().contains("66 segments"), "{body}");
}

#[tokio::test]
async fn the_same_key_twice_is_one_message_and_with_another_body_422() {
    let rig = Rig::start().await;
    let keyed = |body: &str| {
        let request = rig.request(reqwest::Method::POST, "/v1/messages").body(body.to_owned());
        answer(request.header("content-type", "application/json").header("idempotency-key", "k-1"))
    };
    let first = keyed(r#"{"to":"+4915112345678","text":"hello"}"#).await;
    let again = keyed("{ \"text\": \"hello\",\n \"to\": \"+4915112345678\" }").await;
    assert_eq!((first.0, &first), (202, &again));
    let other = keyed(r#"{"to":"+4915112345678","text":"other"}"#).await;
    assert_eq!((other.0, &other.1["code"]), (422, &json!("key_reused")));
    assert_eq!(rig.accepted(), 1);
}

#[tokio::test]
async fn the_same_key_concurrently_is_one_message() {
    let rig = Rig::start().await;
    let one = || {
        let request = rig.request(reqwest::Method::POST, "/v1/messages").json(&message());
        answer(request.header("idempotency-key", "k-2"))
    };
    let answers = futures_util::future::join_all((0..20).map(|_| one())).await;
    assert!(answers.iter().all(|a| a == &answers[0] && a.0 == 202), "{answers:?}");
    assert_eq!(rig.accepted(), 1);
}

#[tokio::test]
async fn a_batch_with_one_bad_row_in_10_000_takes_the_others_and_names_the_row() {
    let rig = Rig::start().await;
    let rows: Vec<String> = (1..=10_000)
        .map(|n| match n {
            5_000 => String::from("{\"to\":\"nobody\",\"text\":\"x\"}"),
            _ => format!("{{\"to\":\"{NUMBER}\",\"text\":\"{n}\"}}"),
        })
        .collect();
    let request = rig.request(reqwest::Method::POST, "/v1/messages/batch").body(rows.join("\n"));
    let (status, body) = answer(request.header("content-type", "application/x-ndjson")).await;
    assert_eq!(status, 202);
    assert_eq!(body["batch"], BatchId::from_u64(7).to_string());
    let results = body["results"].as_array().unwrap();
    assert_eq!((results.len(), rig.accepted()), (10_000, 9_999));
    for (at, result) in results.iter().enumerate() {
        assert_eq!(result["line"], at + 1);
        assert_eq!(result.get("error").is_some(), at == 4_999, "{result}");
    }
    assert_eq!(fields(&results[4_999]["error"]), ["to"]);
    assert_eq!(results[5_000]["id"], MessageId::from_u64(5_000).to_string(), "answers stay with their rows");
}

#[tokio::test]
async fn a_batch_is_also_an_array_and_of_bounded_length() {
    let rig = Rig::start().await;
    let (status, body) = rig.post("/v1/messages/batch", json!([message(), 5, message()])).await;
    assert_eq!((status, rig.accepted()), (202, 2));
    assert!(body["results"][1]["error"]["code"] == "not_json", "{body}");
    let (status, body) = rig.post("/v1/messages/batch", json!([5])).await;
    assert_eq!((status, &body["batch"]), (200, &Value::Null));
    let many = Value::Array(vec![json!(0); 10_001]);
    assert_eq!(rig.post("/v1/messages/batch", many).await.0, 413);
    assert_eq!(rig.post("/v1/messages/batch", json!([])).await.0, 400);
    assert_eq!(rig.accepted(), 2);
}

#[tokio::test]
async fn an_idempotency_key_on_a_batch_is_refused_and_not_ignored() {
    let rig = Rig::start().await;
    let request = rig.request(reqwest::Method::POST, "/v1/messages/batch").json(&json!([message()]));
    let (status, body) = answer(request.header("idempotency-key", "k")).await;
    assert_eq!((status, fields(&body), rig.accepted()), (422, vec!["Idempotency-Key"], 0));
}

#[tokio::test]
async fn every_page_forbids_inline_script_sniffing_and_framing() {
    let rig = Rig::start().await;
    for path in ["/", "/page/style.css", "/page/update.js", "/healthz", "/nothing"] {
        let response = rig.client.get(rig.url(path)).send().await.unwrap();
        let policy = response.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        assert!(response.headers().get("access-control-allow-origin").is_none());
    }
    let page = rig.client.get(rig.url("/")).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("All links are up.") && !page.contains("carrier"));
    assert!(!page.contains(" style=") && !page.contains("onclick") && !page.contains("<script>"));
    assert!(!page.contains("http://") && !page.contains("https://"), "no foreign asset");
}

#[tokio::test]
async fn a_foreign_host_is_421_and_none_or_two_are_400() {
    let rig = Rig::start().await;
    let with = |hosts: &str| format!("GET /healthz HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n");
    for (hosts, expected) in [
        ("Host: localhost:8025\r\n", 200),
        ("Host: 127.0.0.1\r\n", 200),
        ("Host: [::1]:8025\r\n", 200),
        ("Host: evil.example\r\n", 421),
        ("Host: localhost.evil.example\r\n", 421),
        ("Host: 192.168.0.1\r\n", 421),
        ("", 400),
        ("Host: \r\n", 400),
        ("Host: localhost\r\nHost: evil.example\r\n", 400),
        ("Host: evil@localhost\r\n", 400),
    ] {
        let text = rig.raw(with(hosts)).await;
        assert!(text.starts_with(&format!("HTTP/1.1 {expected}")), "{hosts:?}: {text}");
    }
    let absolute = "GET http://evil.example/healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert!(rig.raw(absolute).await.starts_with("HTTP/1.1 400"));
}

#[tokio::test]
async fn a_change_from_another_site_is_403_and_one_without_origin_is_taken() {
    let rig = Rig::start().await;
    for (name, value, expected) in [
        ("origin", "http://evil.example", 403),
        ("origin", "null", 403),
        ("sec-fetch-site", "cross-site", 403),
        ("sec-fetch-site", "same-site", 403),
        ("origin", &format!("http://{}", rig.address), 202),
        ("sec-fetch-site", "same-origin", 202),
        ("user-agent", "none of both", 202),
    ] {
        let request = rig.request(reqwest::Method::POST, "/v1/messages").header(name, value).json(&message());
        assert_eq!(answer(request).await.0, expected, "{name}: {value}");
    }
    assert_eq!(rig.accepted(), 3);
}

#[tokio::test]
async fn other_methods_are_405_with_allow_and_no_method_is_overridden() {
    let rig = Rig::start().await;
    for (method, path) in
        [("OPTIONS", "/v1/messages"), ("PUT", "/v1/messages"), ("POST", "/healthz"), ("TRACE", "/v1/links")]
    {
        let request = rig.request(method.parse().unwrap(), path);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 405, "{method} {path}");
        assert!(!response.headers()["allow"].is_empty());
        assert_eq!(response.headers()["content-type"], "application/problem+json");
    }
    let request = rig.request(reqwest::Method::GET, "/v1/pause").header("x-http-method-override", "POST");
    assert_eq!(answer(request).await.0, 405);
    assert_eq!(rig.core.lock().unwrap().other, [""; 0], "nothing was changed");
}

#[tokio::test]
async fn every_call_asks_for_a_scope_of_its_own() {
    use reqwest::Method;
    let scopes = [Scope::Send, Scope::Read, Scope::Admin, Scope::Reminders, Scope::Audit];
    let calls = [
        (Method::POST, "/v1/messages", Scope::Send),
        (Method::POST, "/v1/messages/batch", Scope::Send),
        (Method::DELETE, "/v1/messages/msg_0000000000001", Scope::Send),
        (Method::POST, "/v1/batches/bat_0000000000001/cancel", Scope::Send),
        (Method::GET, "/v1/batches/bat_0000000000001", Scope::Read),
        (Method::GET, "/v1/messages", Scope::Read),
        (Method::GET, "/v1/messages/msg_0000000000001", Scope::Read),
        (Method::GET, "/v1/links", Scope::Read),
        (Method::GET, "/v1/links/carrier", Scope::Read),
        (Method::GET, "/v1/status", Scope::Read),
        (Method::POST, "/v1/links/carrier/pause", Scope::Admin),
        (Method::POST, "/v1/links/carrier/resume", Scope::Admin),
        (Method::POST, "/v1/links/carrier/restart", Scope::Admin),
        (Method::POST, "/v1/pause", Scope::Admin),
        (Method::POST, "/v1/resume", Scope::Admin),
        (Method::POST, "/v1/clock/accept", Scope::Admin),
        (Method::POST, "/v1/messages/msg_0000000000001/resolve", Scope::Admin),
        (Method::POST, "/v1/unknowns/resolve", Scope::Admin),
    ];
    for scope in scopes {
        let rig = Rig::with(&[scope], Map::default()).await;
        for (method, path, needed) in &calls {
            let (status, body) = answer(rig.request(method.clone(), path)).await;
            assert_eq!(status == 403, scope != *needed, "{scope:?} {method} {path}: {status} {body}");
        }
    }
}

#[tokio::test]
async fn a_wrong_token_is_401_a_missing_scope_403_and_a_token_in_the_address_nothing() {
    let rig = Rig::with(&[Scope::Read], Map::default()).await;
    let (status, body) = rig.post("/v1/messages", message()).await;
    assert_eq!((status, &body["code"]), (403, &json!("scope_missing")));
    assert!(body["detail"].as_str().unwrap().contains("send"));
    assert_eq!(rig.post("/v1/pause", json!({})).await.0, 403);
    let in_address = rig.client.get(rig.url(&format!("/v1/links?token={}", rig.token)));
    assert_eq!(answer(in_address).await.0, 401);
    let both = rig.get(&format!("/v1/links?access_token={}", rig.token)).await;
    assert_eq!((both.0, fields(&both.1)), (422, vec!["access_token"]));
    let response = rig.client.get(rig.url("/v1/links")).bearer_auth("ndg_wrong").send().await.unwrap();
    assert_eq!(response.status(), 401);
    assert!(response.headers()["www-authenticate"].to_str().unwrap().starts_with("Bearer"));
    for value in ["Basic YTpi", "Bearer", "Bearer  ", &rig.token] {
        let request = rig.client.get(rig.url("/v1/links")).header("authorization", value);
        assert_eq!(answer(request).await.0, 401, "{value}");
    }
}

#[tokio::test]
async fn a_thousand_wrong_tokens_do_not_keep_the_right_one_out() {
    let rig = Rig::start().await;
    let clock = rig.clock.clone();
    let hurry = tokio::spawn(async move {
        loop {
            clock.advance(Duration::from_secs(1));
            tokio::task::yield_now().await;
        }
    });
    for n in 0..1_000 {
        let request = rig.client.get(rig.url("/v1/links")).bearer_auth(format!("ndg_{n:064}"));
        assert_eq!(answer(request).await.0, 401);
    }
    hurry.abort();
    assert_eq!(rig.get("/v1/links").await.0, 200);
}

#[tokio::test]
async fn a_revoked_token_ends_within_a_second() {
    let rig = Rig::start().await;
    assert_eq!(rig.get("/v1/links").await.0, 200);
    TokenFile::new(rig.dir.path()).revoke("crm").unwrap();
    rig.clock.advance(Duration::from_secs(1));
    assert_eq!(rig.get("/v1/links").await.0, 401);
}

#[tokio::test]
async fn no_path_reaches_a_file() {
    let rig = Rig::start().await;
    for path in [
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/page/../Cargo.toml",
        "/page/%2e%2e%2fCargo.toml",
        "/v1/messages/../links",
        "/v1/messages/%ff",
        "/v1/messages/%00",
        "/v1//links",
        "/V1/links",
    ] {
        let text = rig.raw(rig.head(&format!("GET {path}")) + "\r\n").await;
        assert!(text.starts_with("HTTP/1.1 404"), "{path}: {text}");
        assert!(text.contains("application/problem+json"), "{path}: {text}");
    }
}

#[tokio::test]
async fn http_1_0_without_a_host_is_400_and_pipelined_requests_are_answered_in_order() {
    let rig = Rig::start().await;
    assert!(rig.raw("GET /healthz HTTP/1.0\r\n\r\n").await.contains(" 400 "));
    let one = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let two = "GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let text = rig.raw(format!("{one}{two}")).await;
    let (ok, lost) = (text.find("200 OK").unwrap(), text.find("404 Not Found").unwrap());
    assert!(ok < lost, "{text}");
}

#[tokio::test]
async fn content_length_with_transfer_encoding_is_400_in_either_order_and_smuggles_nothing() {
    let rig = Rig::start().await;
    let smuggled = rig.head("POST /v1/pause") + "Content-Length: 0\r\n\r\n";
    let (length, chunked) = ("Content-Length: 6\r\n", "Transfer-Encoding: chunked\r\n");
    for headers in [format!("{length}{chunked}"), format!("{chunked}{length}")] {
        let head = rig.head("POST /v1/messages").replace("Connection: close\r\n", "");
        let text = rig.raw(format!("{head}{headers}\r\n0\r\n\r\n{smuggled}")).await;
        assert!(text.starts_with("HTTP/1.1 400"), "{text}");
        assert_eq!(text.matches("HTTP/1.1").count(), 1, "{text}");
    }
    let get = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let text = rig.raw(format!("{get}{}{length}{chunked}\r\n0\r\n\r\n", rig.head("POST /v1/messages"))).await;
    assert!(text.contains("HTTP/1.1 400"), "behind a pipelined request: {text}");
    assert_eq!(rig.core.lock().unwrap().other, [""; 0]);
}

#[tokio::test]
async fn only_json_is_json() {
    let rig = Rig::start().await;
    for media in ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1"] {
        let request = rig.request(reqwest::Method::POST, "/v1/messages").body(message().to_string());
        assert_eq!(answer(request.header("content-type", media)).await.0, 415, "{media}");
    }
    let request = rig.request(reqwest::Method::POST, "/v1/messages").body(message().to_string());
    assert_eq!(answer(request.header("content-type", "application/json; charset=UTF-8")).await.0, 202);
}

#[tokio::test]
async fn what_the_core_refuses_has_its_status_and_asks_to_come_again() {
    let rig = Rig::start().await;
    for (refusal, status, code) in [
        (Refusal::QueueFull, 503, "queue_full"),
        (Refusal::DiskLow, 503, "disk_low"),
        (Refusal::Quarantined(String::from("x")), 503, "quarantined"),
        (Refusal::Duplicate { of: MessageId::from_u64(9) }, 409, "duplicate"),
        (Refusal::NoSuchLink, 422, "fields_refused"),
    ] {
        rig.core.lock().unwrap().refuse = Some(refusal);
        let request = rig.request(reqwest::Method::POST, "/v1/messages").json(&message());
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(response.headers().contains_key("retry-after"), status == 503);
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["code"], code);
    }
}

#[tokio::test]
async fn ready_says_why_it_is_not() {
    let rig = Rig::start().await;
    let ready = || async {
        let response = rig.client.get(rig.url("/readyz")).send().await.unwrap();
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    assert_eq!(ready().await, (200, json!({"ready": true, "reasons": []})));
    rig.publish(|snapshot| snapshot.links[0].status.connection = Connection::Down);
    let (status, body) = ready().await;
    assert_eq!((status, &body["reasons"][0]["code"]), (503, &json!("no_link_up")));
    rig.publish(|snapshot| {
        snapshot.intake_closed = Some(IntakeClosed { why: Refusal::DiskLow, since: START })
    });
    assert_eq!(ready().await.1["reasons"].as_array().unwrap().len(), 2);
    rig.publish(|snapshot| snapshot.quarantine = Some(String::from("secret path")));
    let (status, body) = ready().await;
    assert_eq!(status, 503);
    assert!(!body.to_string().contains("secret path"));
}

#[tokio::test]
async fn metrics_need_no_token_here_and_one_through_a_proxy() {
    let rig = Rig::start().await;
    rig.publish(|snapshot| snapshot.by_status[1] = 5);
    let text = rig.client.get(rig.url("/metrics")).send().await.unwrap().text().await.unwrap();
    for line in [
        "nudged_queue_messages{status=\"queued\"} 5",
        "nudged_link_up{link=\"carrier\"} 1",
        "nudged_link_window_in_use{link=\"carrier\"} 3",
        "nudged_submit_seconds_bucket{link=\"carrier\",le=\"+Inf\"} 0",
        "nudged_store_commit_seconds_count 0",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
    }
    let forwarded = rig.client.get(rig.url("/metrics")).header("x-forwarded-for", "192.0.2.1");
    assert_eq!(answer(forwarded).await.0, 401);
}

#[tokio::test]
async fn cancel_resolve_pause_and_resume_reach_the_core() {
    let rig = Rig::start().await;
    let (one, two) = (MessageId::from_u64(1), MessageId::from_u64(2));
    let (status, body) = answer(rig.request(reqwest::Method::DELETE, &format!("/v1/messages/{one}"))).await;
    assert_eq!((status, &body["code"]), (409, &json!("state_forbids")));
    assert!(body["detail"].as_str().unwrap().contains("sent"));
    let (status, body) = answer(rig.request(reqwest::Method::DELETE, &format!("/v1/messages/{two}"))).await;
    assert_eq!((status, &body["status"]), (200, &json!("canceled")));
    let resolve = format!("/v1/messages/{two}/resolve");
    assert_eq!(rig.post(&resolve, json!({"as": "failed"})).await.1["status"], "failed");
    assert_eq!(fields(&rig.post(&resolve, json!({"as": "lost"})).await.1), ["as"]);
    assert_eq!(fields(&rig.post(&resolve, json!({})).await.1), ["as"]);
    let many = rig.post("/v1/unknowns/resolve", json!({"as": "sent", "link": "carrier"})).await;
    assert_eq!(many, (200, json!({"resolved": 3})));
    assert_eq!(rig.post("/v1/pause", json!({})).await.0, 200);
    let resume = rig.request(reqwest::Method::POST, "/v1/links/carrier/resume");
    assert_eq!(answer(resume).await.1["name"], "carrier");
    assert_eq!(rig.post("/v1/clock/accept", json!({})).await.0, 200);
    let expected = [
        format!("cancel {one}"),
        format!("cancel {two}"),
        format!("resolve {two} Failed"),
        String::from("resolve Some(carrier) Sent"),
        String::from("pause None by crm"),
        String::from("resume Some(carrier) by crm"),
        String::from("accept the clock by crm"),
    ];
    assert_eq!(rig.core.lock().unwrap().other, expected);
}

#[tokio::test]
async fn what_is_not_there_is_404_as_a_problem() {
    let rig = Rig::start().await;
    for path in
        ["/nothing", "/v1/messages/msg_0000000000001", "/v1/messages/bat_0000000000001", "/v1/links/x"]
    {
        assert_eq!(rig.get(path).await.0, 404, "{path}");
    }
    assert_eq!(rig.get("/v1/messages?status=queued").await, (200, json!({"data": [], "next_cursor": null})));
    assert_eq!(rig.get("/v1/status").await.1["links"][0]["state"], "up");
}

#[tokio::test]
async fn a_request_in_flight_is_answered_when_the_daemon_stops_and_no_new_one_is_taken() {
    let mut rig = Rig::start().await;
    rig.gate.forget_permits(1_000);
    let request = rig.request(reqwest::Method::POST, "/v1/messages").json(&message());
    let flying = tokio::spawn(answer(request));
    rig.arrived.wait_for(|count| *count == 1).await.unwrap();
    rig.stop.cancel();
    rig.gate.add_permits(1);
    assert_eq!(flying.await.unwrap().0, 202);
    rig.served.await.unwrap().unwrap();
    assert!(TcpStream::connect(rig.address).await.is_err());
}

/// `count` accepted messages with ids from 1.
pub fn stored(count: u64) -> Map {
    let body = Body {
        to: Msisdn::parse_e164(NUMBER).unwrap(),
        text: String::from("<script>alert(1)</script>"),
        sender: None,
        link: None,
        class: Class::default(),
        priority: Priority::default(),
        accepted_at: START,
        due: START,
        valid_until: Timestamp::MAX,
        encoding: Encoding::Gsm7,
        segment_count: 1,
        concat_reference: 0,
        on_unknown: OnUnknown::Hold,
        flash: false,
        receipt: true,
        client_ref: None,
        metadata: None,
        token: "crm".into(),
        batch: None,
    };
    let bytes = record::encode(&body);
    Map((1..=count).map(|n| (keys::body(MessageId::from_u64(n)), bytes.clone())).collect())
}

#[tokio::test]
async fn a_stored_message_is_shown_whole_and_a_list_goes_on_where_it_ended() {
    let rig = Rig::with(&Scope::ALL, stored(7)).await;
    let (status, body) = rig.get(&format!("/v1/messages/{}", MessageId::from_u64(3))).await;
    assert_eq!((status, &body["to"], &body["status"]), (200, &json!(NUMBER), &json!("queued")));
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let (status, page) = rig.get(&format!("/v1/messages?limit=3&order=asc{cursor}")).await;
        assert_eq!(status, 200);
        let ids = page["data"].as_array().unwrap().iter();
        seen.extend(ids.map(|m| m["id"].as_str().unwrap().parse::<MessageId>().unwrap().as_u64()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, [1, 2, 3, 4, 5, 6, 7]);
}

#[tokio::test]
async fn a_refusal_is_logged_with_the_pattern_of_its_address_and_no_digit_of_it() {
    let (log, _second) = (Log::default(), second_subscriber());
    let guard = log.listen();
    let rig = Rig::start().await;
    let path = format!("/v1/messages/{NUMBER}");
    assert_eq!(answer(rig.client.get(rig.url(&path))).await.0, 401);
    assert_eq!(answer(rig.request(reqwest::Method::PUT, &path)).await.0, 405);
    assert_eq!(rig.get(&path).await.0, 404);
    assert_eq!(rig.get(&format!("{path}/{NUMBER}")).await.0, 404);
    assert_eq!(rig.post(&format!("{path}/resolve"), json!({"as": "?"})).await.0, 404);
    assert_eq!(answer(rig.request(reqwest::Method::GET, &path).header("host", "evil.example")).await.0, 421);
    rig.core.lock().unwrap().dies = true;
    let cancel = rig.request(reqwest::Method::DELETE, "/v1/messages/msg_0000000000001");
    assert_eq!(answer(cancel).await.0, 503);
    drop(guard);
    let text = log.text();
    let of = |code: &str| text.lines().filter(|line| line.contains(code)).collect::<Vec<_>>().join("\n");
    for code in ["token_missing", "method_not_allowed", "unanswered"] {
        assert!(of(code).contains("path=\"/v1/messages/{id}\""), "{code} in\n{text}");
    }
    assert!(of("foreign_host").contains("path=\"\""), "{text}");
    assert!(!text.contains(&NUMBER[1..]) && !text.contains("msg_"), "{text}");
}

#[tokio::test]
async fn the_log_holds_no_number_no_text_no_token_and_no_line_of_the_callers_making() {
    let (log, _second) = (Log::default(), second_subscriber());
    let guard = log.listen();
    let rig = Rig::start().await;
    let body = json!({"to": NUMBER, "text": "canary-text", "canary-field": NUMBER, "sender": "far too long a sender"});
    assert_eq!(rig.post("/v1/messages", body).await.0, 422);
    assert_eq!(rig.get("/v1/messages?to=%2B4915112345678&status=queued").await.0, 422);
    assert_eq!(rig.get("/v1/conversations/%2B4915112345678").await.0, 200);
    assert_eq!(rig.get("/v1/nowhere/%2B4915112345678").await.0, 404);
    let wrong = rig.client.get(rig.url("/v1/links")).bearer_auth("ndg_canary-token");
    assert_eq!(answer(wrong.header("user-agent", "x\u{e9}\u{1}".replace('\u{1}', ""))).await.0, 401);
    assert_eq!(rig.get("/v1/links/a%0Afake%20log%20line%1b[31m").await.0, 404);
    drop(guard);
    let text = log.text();
    assert!(text.contains("fields_refused") && text.contains("token_unknown"), "{text}");
    for canary in ["4915112345678", "canary", "fake log line", "\u{1b}", &rig.token] {
        assert!(!text.contains(canary), "{canary:?} in\n{text}");
    }
}

#[tokio::test]
async fn a_unix_socket_serves_under_any_name_and_its_file_goes_with_the_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("http.sock");
    let clock = Clock::manual(START);
    let (commands, _received) = mpsc::channel(1);
    let (_publish, snapshots) = watch::channel(Arc::new(snapshot(clock.now())));
    let engine = Engine::new(commands, snapshots, View::new(Arc::new(Map::default())));
    let app = App::new(engine, clock, dir.path());
    let bound = bind(&Http { listen: vec![Listen::Unix(path.clone())], trusted_proxy: false }).unwrap();
    assert_eq!(bound[0].to_string(), format!("unix:{}", path.display()));
    let stop = CancellationToken::new();
    let served = tokio::spawn(serve(bound, app, stop.clone(), Duration::from_secs(20)));
    let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: nudged\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    stop.cancel();
    served.await.unwrap().unwrap();
    assert!(!path.exists());
}
