//! The one harness for tests of the whole daemon: a daemon on a directory of its own, carriers to talk to,
//! and one way to wait; and the settings, segments and PDUs that tests of a session share.
//!
//! Nothing here asserts on time. [`until`] looks again and again, a bounded number of times; on a clock of the
//! test's own a look is also a little time that passes, as it does everywhere, so that what the daemon
//! publishes at intervals is published.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nudged::clock::{Clock, Timestamp};
use nudged::config::{Alphabet, Config, Long, Numbering, Readers, ReceiptId, Secret, Smpp, check_with};
use nudged::daemon::{Daemon, Ended};
use nudged::engine::Draft;
use nudged::http::auth::{Scope, TokenFile};
use nudged::id::MessageId;
use nudged::link::Submission;
use nudged::message::{Class, Encoding, Msisdn, Priority};
use nudged::sim::modem::{Modem, ModemOptions};
use nudged::sim::smsc::{Receipts, Smsc, SmscOptions};
use nudged::store::{Opened, Options, Read, Store, keys, open, record};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Looks at a condition before it counts as never true.
const LOOKS: usize = 3_000;
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(5);
/// What a look moves a manual clock by.
const NUDGE: Duration = Duration::from_millis(20);
/// Where manual clocks begin.
pub const START: Timestamp = Timestamp::from_millis(1_795_269_900_000);

/// The first thing that `look` finds.
pub async fn until<T>(clock: &Clock, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..LOOKS {
        if let Some(found) = look().await {
            return found;
        }
        clock.advance(NUDGE);
        Clock::system().sleep(PAUSE).await;
    }
    panic!("never: {what}");
}

fn client() -> Client {
    Client::builder().no_proxy().build().unwrap()
}

/// A simulated SMSC with its wire log.
pub struct Carrier {
    smsc: Smsc,
    wire: PathBuf,
    client: Client,
    _dir: TempDir,
}

/// An SMSC that sends no receipts by itself.
pub fn silent() -> SmscOptions {
    SmscOptions { receipts: Receipts::None, ..SmscOptions::default() }
}

/// One that answers nothing before it is released.
pub fn holding() -> SmscOptions {
    SmscOptions { hold: true, ..silent() }
}

/// One with a fault; written as on the command line.
pub fn faulty(fault: &str) -> SmscOptions {
    SmscOptions { faults: vec![fault.parse().unwrap()], ..silent() }
}

impl Carrier {
    pub async fn start(options: SmscOptions) -> Carrier {
        let dir = tempfile::tempdir().unwrap();
        let wire = dir.path().join("wire");
        let control = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        let options = SmscOptions { control, wire: Some(wire.clone()), ..options };
        let smsc = Smsc::start(options, Clock::system()).await.unwrap();
        Carrier { smsc, wire, client: client(), _dir: dir }
    }

    pub fn addr(&self) -> SocketAddr {
        self.smsc.addr()
    }

    /// The whole lines of the wire log, of one kind.
    pub fn lines(&self, kind: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.wire).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let lines = whole.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["kind"] == kind).collect()
    }

    pub fn submits(&self) -> Vec<Value> {
        self.lines("submit_sm")
    }

    /// Texts on the wire in order.
    pub fn texts(&self) -> Vec<String> {
        self.submits().iter().map(|line| line["text"].as_str().unwrap().to_owned()).collect()
    }

    /// Returns once at least `count` messages are on the wire.
    pub async fn await_submits(&self, count: usize, clock: &Clock) -> Vec<Value> {
        let look = async || Some(self.submits()).filter(|submits| submits.len() >= count);
        until(clock, &format!("{count} messages on the wire"), look).await
    }

    /// Returns once the daemon has answered a deliver_sm of this text or `stat`.
    pub async fn await_delivery(&self, of: &str, clock: &Clock) -> Value {
        let fits = |line: &Value| line["text"] == of || line["stat"] == of;
        until(clock, of, async || self.lines("deliver_sm").into_iter().find(fits)).await
    }

    pub async fn control(&self, call: &str, body: Value) {
        let url = format!("http://{}/{call}", self.smsc.control_addr().unwrap());
        let answer = self.client.post(url).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{call}: {}", answer.text().await.unwrap());
    }

    pub async fn stats(&self) -> Value {
        let url = format!("http://{}/stats", self.smsc.control_addr().unwrap());
        self.client.get(url).send().await.unwrap().json().await.unwrap()
    }

    pub async fn release(&self) {
        self.control("release", json!({})).await;
    }

    pub async fn receipt(&self, message_id: &Value, stat: &str) {
        self.control("receipt", json!({"message_id": message_id, "stat": stat})).await;
    }

    pub async fn reply(&self, from: &str, text: &str) {
        self.control("reply", json!({"from": from, "to": "12345", "text": text})).await;
    }
}

/// A bind's settings with a small window, as a session test wants them.
pub fn smpp() -> Smpp {
    Smpp {
        name: "carrier".into(),
        account: "carrier".into(),
        address: "127.0.0.1:2775".into(),
        system_id: "acme".into(),
        password: Secret::new("hunter2".into()),
        system_type: String::new(),
        window: 4,
        rate: None,
        quota: Vec::new(),
        sender: None,
        source: Numbering::default(),
        dest: Numbering::default(),
        alphabet: Alphabet::Gsm,
        long: Long::Udh,
        receipt_id: ReceiptId::Auto,
        enquire_link: Duration::from_secs(30),
        response_timeout: Duration::from_secs(60),
        status: BTreeMap::new(),
        route_class: None,
    }
}

/// A plain message of one segment; the same text may go twice.
pub fn draft(to: Msisdn, text: &str) -> Draft {
    Draft {
        to,
        text: String::from(text),
        sender: None,
        link: None,
        class: Class::default(),
        priority: Priority::default(),
        send_at: None,
        valid_until: None,
        encoding: Encoding::Gsm7,
        segment_count: 1,
        on_unknown: None,
        flash: false,
        receipt: true,
        client_ref: None,
        unique_ref: false,
        allow_duplicate: true,
        metadata: None,
        token: "crm".into(),
        idempotency: None,
    }
}

/// One segment; its text is `<id>.`, so that it is found again on the wire.
pub fn submission(id: u64) -> Submission {
    Submission {
        id: MessageId::from_u64(id),
        index: 0,
        lease: id,
        to: Msisdn::parse_e164("+447700900123").unwrap(),
        sender: None,
        text: format!("{id}."),
        encoding: Encoding::Gsm7,
        concat: None,
        flash: false,
        receipt: false,
        validity: Duration::from_secs(3600),
    }
}

/// A PDU as an SMSC writes it.
pub fn pdu(id: u32, status: u32, sequence: u32, body: &[u8]) -> Vec<u8> {
    let mut pdu = Vec::new();
    for field in [16 + body.len() as u32, id, status, sequence] {
        pdu.extend(field.to_be_bytes());
    }
    pdu.extend(body);
    pdu
}

/// An address of loopback where nobody listens.
pub fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// One `[[smpp]]` table; `more` are further lines of it.
pub fn link(name: &str, at: SocketAddr, more: &str) -> String {
    format!(
        "[[smpp]]\nname = '{name}'\naddress = '{at}'\nsystem_id = '{name}'\npassword_file = 'pw'\n{more}\n"
    )
}

/// What the file `pin` holds.
pub const PIN: &str = "1234";

/// What the file `whsec` holds.
pub const HOOK_KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// What the file `whsec-changed` holds: a newer key and that one.
pub const HOOK_KEYS: [&str; 2] = ["whsec_bmV3ZXIgdGhhbiB0aGUgb3RoZXIgb25l", HOOK_KEY];

/// A world with one simulated modem behind a link named `gsm1`.
pub async fn one_modem(options: ModemOptions, more: &str) -> (World, Modem) {
    let modem = Modem::start(options, Clock::system()).await.unwrap();
    let port = modem.path();
    let config = format!("[[modem]]\nname = 'gsm1'\nport = '{port}'\nrate = 'unlimited'\n{more}\n");
    (World::start(&config).await, modem)
}

/// A number of its own for each `n`.
pub fn number(n: usize) -> String {
    format!("+4915110{n:06}")
}

pub fn checked(text: &str) -> Config {
    let secret = |file: &str| {
        Ok(Secret::new(String::from(match file {
            "pin" => PIN,
            "whsec" => HOOK_KEY,
            "whsec-changed" => return Ok(Secret::new(HOOK_KEYS.join("\n"))),
            _ => "pw",
        })))
    };
    let certificates = |file: &str| std::fs::read(file).map(Some).map_err(|error| error.to_string());
    check_with(text, Readers { secret: &secret, certificates: &certificates })
        .unwrap_or_else(|problems| panic!("{problems:?}\n{text}"))
}

/// Small files, and no rotation within a test.
fn small() -> Options {
    Options { segment_bytes: 4 << 20, ballast_bytes: 4 << 10, cache_bytes: 4 << 20, ..Options::default() }
}

/// The store of a directory that nobody uses.
pub fn opened(dir: &std::path::Path) -> Store {
    match open(dir, small(), START).unwrap() {
        Opened::Ready { store, .. } => store,
        Opened::Quarantined { why, .. } => panic!("{why}"),
    }
}

/// All records of a family.
pub fn stored<T: serde::de::DeserializeOwned>(store: &Store, family: u8) -> Vec<T> {
    let (from, to) = keys::all(family);
    let entries = store.reader().scan(&from, &to, 1_000).unwrap();
    entries.iter().map(|(_, value)| record::decode(value).unwrap()).collect()
}

/// A daemon and what is needed to talk to it. It outlives its restarts.
pub struct World {
    pub clock: Clock,
    dir: TempDir,
    token: String,
    client: Client,
    daemon: Option<Daemon>,
    config: String,
}

impl World {
    /// On the machine's clock. `config` is everything but the state directory and the address.
    pub async fn start(config: &str) -> World {
        World::start_by(Clock::system(), config).await
    }

    /// On a clock that only the test moves, [`until`] included.
    pub async fn start_still(config: &str) -> World {
        World::start_by(Clock::manual(START), config).await
    }

    /// On any clock.
    pub async fn start_by(clock: Clock, config: &str) -> World {
        World::start_as(clock, config, &[Scope::Send, Scope::Read, Scope::Admin]).await
    }

    /// The same, with a token of these scopes.
    pub async fn start_as(clock: Clock, config: &str, scopes: &[Scope]) -> World {
        let dir = tempfile::tempdir().unwrap();
        let token = TokenFile::new(dir.path()).add("test", scopes, clock.now().wall).unwrap();
        let mut world =
            World { clock, dir, token, client: client(), daemon: None, config: config.to_owned() };
        world.begin().await;
        world
    }

    async fn begin(&mut self) {
        let head = format!("state_dir = '{}'\n[http]\nlisten = ['127.0.0.1:0']\n", self.dir.path().display());
        let config = checked(&format!("{head}{}", self.config));
        self.daemon = Some(Daemon::start_with(config, self.clock.clone(), small()).await.unwrap());
    }

    /// Stops in order; panics if it went wrong.
    pub async fn stop(&mut self) {
        let ended = self.daemon.take().unwrap().stop().await;
        assert!(matches!(ended, Ended::Stopped), "{ended:?}");
    }

    /// Stops in order on a clock of the test's own, which goes on meanwhile.
    pub async fn stop_while_time_passes(&mut self) {
        let (clock, machine) = (self.clock.clone(), Clock::system());
        let mut stop = std::pin::pin!(self.stop());
        loop {
            tokio::select! {
                () = &mut stop => return,
                () = machine.sleep(PAUSE) => clock.advance(Duration::from_millis(250)),
            }
        }
    }

    /// All records of a family as a stop left them.
    pub fn stored<T: serde::de::DeserializeOwned>(&self, family: u8) -> Vec<T> {
        stored(&opened(&self.store_dir()), family)
    }

    pub async fn restart(&mut self) {
        self.stop().await;
        self.begin().await;
    }

    pub async fn restart_with(&mut self, config: &str) {
        self.config = config.to_owned();
        self.restart().await;
    }

    /// Where journal and state lie.
    pub fn store_dir(&self) -> std::path::PathBuf {
        self.dir.path().join("store")
    }

    /// Starts again after [`World::stop`].
    pub async fn start_again(&mut self) {
        self.begin().await;
    }

    /// A further token, once the daemon knows it.
    pub async fn token_with(&self, scopes: &[Scope]) -> String {
        let name =
            format!("extra-{}", scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join("-"));
        let token = TokenFile::new(self.dir.path()).add(&name, scopes, self.clock.now().wall).unwrap();
        let url = format!("http://{}/v1/status", self.address());
        let known = async || {
            let answer = self.client.get(&url).bearer_auth(&token).send().await.unwrap();
            (answer.status() != 401).then_some(())
        };
        until(&self.clock, "the new token is known", known).await;
        token
    }

    /// The token that the calls use.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Where payment links lead by.
    pub fn redirect(&self) -> SocketAddr {
        self.daemon.as_ref().unwrap().redirect.unwrap()
    }

    pub fn address(&self) -> SocketAddr {
        self.daemon.as_ref().unwrap().address.unwrap()
    }

    /// Any call; status and body.
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let answer = self.request(method, path, body).send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    pub fn request(&self, method: Method, path: &str, body: Option<Value>) -> reqwest::RequestBuilder {
        let url = format!("http://{}{path}", self.address());
        let request = self.client.request(method, url).bearer_auth(&self.token);
        match body {
            Some(body) => request.json(&body),
            None => request,
        }
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.call(Method::GET, path, None).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    pub async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.call(Method::POST, path, Some(body)).await
    }

    /// A call without a body that must be taken.
    pub async fn order(&self, path: &str) -> Value {
        let (status, body) = self.call(Method::POST, path, None).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// Accepts one message and gives its id.
    pub async fn accept(&self, message: Value) -> String {
        let (status, body) = self.post("/v1/messages", message).await;
        assert_eq!(status, 202, "{body}");
        body["id"].as_str().unwrap().to_owned()
    }

    pub async fn send(&self, to: &str, text: &str) -> String {
        self.accept(json!({"to": to, "text": text})).await
    }

    /// Texts `0`, `1`, ... to as many numbers.
    pub async fn send_many(&self, count: usize) -> Vec<String> {
        let mut ids = Vec::new();
        for n in 0..count {
            ids.push(self.send(&number(n), &n.to_string()).await);
        }
        ids
    }

    pub async fn message(&self, id: &str) -> Value {
        self.get(&format!("/v1/messages/{id}")).await
    }

    pub async fn status(&self, id: &str) -> String {
        self.message(id).await["status"].as_str().unwrap().to_owned()
    }

    /// The message once it has this status.
    pub async fn await_status(&self, id: &str, status: &str) -> Value {
        let look = async || Some(self.message(id).await).filter(|message| message["status"] == status);
        until(&self.clock, &format!("{id} {status}"), look).await
    }

    /// What `/v1/status` says once it fits.
    pub async fn await_snapshot(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        until(&self.clock, what, async || Some(self.get("/v1/status").await).filter(&fits)).await
    }

    pub async fn await_link(&self, name: &str, state: &str) {
        let path = format!("/v1/links/{name}");
        let look = async || (self.get(&path).await["state"] == state).then_some(());
        until(&self.clock, &format!("{name} {state}"), look).await;
    }

    pub async fn resolve(&self, id: &str, how: &str) -> (u16, Value) {
        self.post(&format!("/v1/messages/{id}/resolve"), json!({"as": how})).await
    }

    pub async fn cancel(&self, id: &str) -> (u16, Value) {
        self.call(Method::DELETE, &format!("/v1/messages/{id}"), None).await
    }

    /// How many messages are in each status, whatever the snapshot says.
    pub async fn count(&self, status: &str) -> usize {
        let list = self.get(&format!("/v1/messages?limit=500&status={status}")).await;
        list["data"].as_array().unwrap().len()
    }
}

/// A world with one carrier behind a link named `carrier`.
pub async fn one(options: SmscOptions, more: &str) -> (World, Carrier) {
    let carrier = Carrier::start(options).await;
    (World::start(&link("carrier", carrier.addr(), more)).await, carrier)
}

/// The same with a clock that stands still.
pub async fn one_still(options: SmscOptions, queue: &str, more: &str) -> (World, Carrier) {
    let carrier = Carrier::start(options).await;
    let config = format!("{queue}\n{}", link("carrier", carrier.addr(), more));
    (World::start_still(&config).await, carrier)
}

/// Collects what is logged on this thread.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Everything at info and above that this thread logs while the guard lives.
    pub fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let sink = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(tracing_subscriber::filter::LevelFilter::INFO)
            .with_writer(move || sink.clone())
            .finish();
        tracing::subscriber::set_default(subscriber)
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// While there is one subscriber, a log call met first on another test's thread, which has none, counts as
/// unwanted from then on. A second keeps the question open.
pub fn second_subscriber() -> tracing::Dispatch {
    tracing::Dispatch::new(tracing::subscriber::NoSubscriber::new())
}
