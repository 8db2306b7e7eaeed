//! The driver over real ptys: a device that goes, comes back, stops reading, and a session that goes down
//! and up while it lives. The session is a small script, so that only the driver is tried.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use nudged::clock::{Clock, Timestamp};
use nudged::config::Port;
use nudged::id::MessageId;
use nudged::link::modem::port::{Opener, PortStream};
use nudged::link::run::{Connect, run};
use nudged::link::session::{Close, Session, SessionEvent};
use nudged::link::{
    Connection, Control, InboundToken, LinkEvent, LinkFacts, LinkPort, LinkStatus, ModemStatus, Outcome,
    Submission, channel,
};
use nudged::message::{Reference, UnknownWhy};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::pty::{Pty, Socket};
use crate::support::{World, link, nobody, submission, until};

const LOOK: Duration = Duration::from_millis(250);
/// How long the machine is given between two steps of a clock that only the test moves.
const PAUSE: Duration = Duration::from_millis(10);
/// The script says something of itself this often.
const TICK: Duration = Duration::from_secs(1);

/// Says AT, and does what single letters of the peer tell it: U up, D down, P parked, E end, A accept.
struct Script {
    output: VecDeque<Bytes>,
    events: VecDeque<SessionEvent>,
    written: Option<MessageId>,
    next_tick: Instant,
}

impl Script {
    fn new(now: Instant) -> Script {
        Script {
            output: VecDeque::from([Bytes::from_static(b"AT\r")]),
            events: VecDeque::new(),
            written: None,
            next_tick: now + TICK,
        }
    }

    fn link(&mut self, event: LinkEvent) {
        self.events.push_back(SessionEvent::Link(event));
    }

    fn settle(&mut self, outcome: Outcome) {
        if let Some(id) = self.written.take() {
            self.link(LinkEvent::Outcome { id, index: 0, outcome });
        }
    }
}

impl Session for Script {
    fn handle_input(&mut self, bytes: &[u8], _now: Instant) {
        for byte in bytes {
            match byte {
                b'U' => self.link(LinkEvent::Up),
                b'D' => self.link(LinkEvent::Down { reason: String::from("no network") }),
                b'P' => self.link(LinkEvent::Parked { reason: String::from("PIN") }),
                b'E' => self.events.push_back(SessionEvent::Finished { reason: String::from("no answer") }),
                b'A' => self.settle(Outcome::Accepted { reference: Reference(String::from("1")) }),
                _ => {}
            }
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        while now >= self.next_tick {
            self.next_tick += TICK;
            let signal_dbm = Some(-51);
            self.events.push_back(SessionEvent::Modem(Box::new(ModemStatus {
                signal_dbm,
                ..ModemStatus::default()
            })));
        }
    }

    fn handle_close(&mut self, _why: Close, _now: Instant) {
        self.settle(Outcome::Unknown { why: UnknownWhy::LinkLost });
    }

    fn stop(&mut self, _now: Instant) {
        self.events.push_back(SessionEvent::Finished { reason: String::from("stopped") });
    }

    fn submit(&mut self, submission: Submission, _now: Instant) {
        self.written = Some(submission.id);
        self.output.push_back(Bytes::from(submission.text));
    }

    fn recall(&mut self, _id: MessageId, _now: Instant) {}
    fn recall_all(&mut self, _now: Instant) {}
    fn confirm(&mut self, _token: InboundToken, _now: Instant) {}
    fn refuse(&mut self, _token: InboundToken, _now: Instant) {}

    fn poll_output(&mut self, _now: Instant) -> Option<Bytes> {
        self.output.pop_front()
    }

    fn poll_event(&mut self) -> Option<SessionEvent> {
        self.events.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        Some(self.next_tick)
    }

    fn in_flight(&self) -> u16 {
        u16::from(self.written.is_some())
    }

    fn pace(&self) -> Option<f64> {
        None
    }
}

/// The real port with the script on it; counts tries.
struct Scripted {
    opener: Opener,
    clock: Clock,
    tries: Arc<AtomicUsize>,
}

impl Connect for Scripted {
    type Stream = PortStream;
    type Session = Script;

    async fn connect(&mut self) -> io::Result<(PortStream, Script)> {
        self.tries.fetch_add(1, Ordering::SeqCst);
        Ok((self.opener.open().await?, Script::new(self.clock.now().mono)))
    }

    async fn changed(&mut self) {
        self.opener.changed().await;
    }

    fn longest_wait(&self) -> Duration {
        self.opener.longest_wait()
    }
}

struct Rig {
    clock: Clock,
    port: LinkPort,
    tries: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Rig {
    fn start(at: Port) -> Rig {
        let clock = Clock::manual(Timestamp::MIN);
        let facts = LinkFacts { name: "gsm1".into(), account: "gsm1".into(), kind: "modem", window: 1 };
        let (port, end) = channel(facts, Arc::new(Notify::new()), Timestamp::MIN);
        let tries = Arc::new(AtomicUsize::new(0));
        let opener = Opener::new(at, 115_200, clock.clone());
        let connect = Scripted { opener, clock: clock.clone(), tries: Arc::clone(&tries) };
        let task = tokio::spawn(run(connect, end, clock.clone(), 1));
        Rig { clock, port, tries, task }
    }

    fn on(socket: &Socket) -> Rig {
        Rig::start(Port::Device(socket.path()))
    }

    async fn event(&mut self) -> LinkEvent {
        self.port.outcomes.recv().await.unwrap()
    }

    async fn status(&mut self, fits: impl FnMut(&LinkStatus) -> bool) -> LinkStatus {
        self.port.status.wait_for(fits).await.unwrap().clone()
    }

    fn tries(&self) -> usize {
        self.tries.load(Ordering::SeqCst)
    }

    /// Lets time pass in steps until as many tries were made.
    async fn pass_until_tried(&self, tries: usize, step: Duration) -> Duration {
        let mut passed = Duration::ZERO;
        while self.tries() < tries {
            self.clock.advance(step);
            passed += step;
            Clock::system().sleep(PAUSE).await;
        }
        passed
    }

    async fn stop(self) {
        self.port.tell(Control::Stop).unwrap();
        self.task.await.unwrap();
    }
}

/// The modem answers AT and is up.
async fn up(rig: &mut Rig, pty: &Pty) {
    pty.expect(b"AT\r").await;
    pty.write(b"U").await;
    assert_eq!(rig.event().await, LinkEvent::Up);
}

fn down(event: LinkEvent) -> String {
    match event {
        LinkEvent::Down { reason } => reason,
        other => panic!("{other:?} instead of down"),
    }
}

#[tokio::test]
async fn a_modem_plugged_in_again_under_its_name_is_up_in_less_than_2_seconds_however_long_it_was_gone() {
    let socket = Socket::new();
    let pty = socket.plug();
    let mut rig = Rig::on(&socket);
    up(&mut rig, &pty).await;
    socket.unplug(pty);
    assert_eq!(down(rig.event().await), "the device went away");
    // Until the back-off is at its longest.
    rig.pass_until_tried(12, Duration::from_secs(60)).await;
    let lost = rig.status(|status| status.connection == Connection::Down).await;
    assert!(lost.reason.as_ref().unwrap().contains("is not there"), "{lost:?}");

    let pty = socket.plug();
    let tries = rig.tries();
    let passed = rig.pass_until_tried(tries + 1, LOOK).await;
    assert!(passed < Duration::from_secs(2), "{passed:?}");
    up(&mut rig, &pty).await;
    rig.stop().await;
}

#[tokio::test]
async fn a_modem_lost_amid_a_message_leaves_it_unknown_and_comes_back() {
    let socket = Socket::new();
    let pty = socket.plug();
    let mut rig = Rig::on(&socket);
    up(&mut rig, &pty).await;
    // More than a pty holds, so the write stops in the middle.
    let text = "x".repeat(1 << 20);
    rig.port.submissions.send(vec![Submission { text, ..submission(1) }]).await.unwrap();
    pty.read().await;
    socket.unplug(pty);
    let outcome = Outcome::Unknown { why: UnknownWhy::LinkLost };
    assert_eq!(rig.event().await, LinkEvent::Outcome { id: MessageId::from_u64(1), index: 0, outcome });
    assert_eq!(down(rig.event().await), "the device went away");
    let pty = socket.plug();
    let tries = rig.tries();
    assert!(rig.pass_until_tried(tries + 1, LOOK).await < Duration::from_secs(2));
    up(&mut rig, &pty).await;
    rig.stop().await;
}

#[tokio::test]
async fn a_device_that_comes_and_goes_is_not_opened_before_it_was_waited_for() {
    let socket = Socket::new();
    let mut pty = socket.plug();
    let mut rig = Rig::on(&socket);
    for round in 1..=8 {
        up(&mut rig, &pty).await;
        let next = Pty::new();
        socket.unplug(pty);
        socket.name(&next);
        down(rig.event().await);
        // The clock stands still: whatever the driver does at once it does now.
        Clock::system().sleep(PAUSE).await;
        assert_eq!(rig.tries(), round);
        assert!(rig.pass_until_tried(round + 1, LOOK).await < Duration::from_secs(2));
        pty = next;
    }
    rig.stop().await;
}

#[tokio::test]
async fn a_device_that_is_there_and_ends_each_session_is_backed_off_from() {
    let socket = Socket::new();
    let pty = socket.plug();
    let mut rig = Rig::on(&socket);
    let mut waits = Vec::new();
    for round in 1..=8 {
        pty.expect(b"AT\r").await;
        pty.write(b"E").await;
        assert_eq!(down(rig.event().await), "no answer");
        waits.push(rig.pass_until_tried(round + 1, Duration::from_millis(500)).await);
    }
    assert!(waits[0] <= Duration::from_secs(1), "{waits:?}");
    assert!(waits[7] >= Duration::from_secs(20), "{waits:?}");
    rig.stop().await;
}

#[tokio::test]
async fn a_parked_modem_is_tried_again_when_it_is_plugged_in_again() {
    let socket = Socket::new();
    let pty = socket.plug();
    let mut rig = Rig::on(&socket);
    pty.expect(b"AT\r").await;
    pty.write(b"PE").await;
    assert_eq!(rig.event().await, LinkEvent::Parked { reason: String::from("PIN") });
    let next = Pty::new();
    socket.unplug(pty);
    socket.name(&next);
    assert!(rig.pass_until_tried(2, LOOK).await < Duration::from_secs(2));
    up(&mut rig, &next).await;
    rig.stop().await;
}

#[tokio::test]
async fn a_terminal_server_is_asked_again_within_2_seconds_for_ever() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut rig = Rig::start(Port::Tcp(address.to_string()));
    let (mut server, _) = listener.accept().await.unwrap();
    let mut said = [0; 3];
    server.read_exact(&mut said).await.unwrap();
    server.write_all(b"U").await.unwrap();
    assert_eq!(rig.event().await, LinkEvent::Up);
    drop((server, listener));
    assert_eq!(down(rig.event().await), "the peer closed the connection");
    for _ in 0..8 {
        let tries = rig.tries();
        let passed = rig.pass_until_tried(tries + 1, LOOK).await;
        // One step more for the time that passed while the last try was made.
        assert!(passed <= Duration::from_secs(2) + LOOK, "{passed:?}");
    }
    rig.stop().await;
}

#[tokio::test]
async fn a_modem_that_stops_reading_freezes_no_timer_and_is_given_up() {
    let socket = Socket::new();
    let pty = socket.plug();
    let mut rig = Rig::on(&socket);
    up(&mut rig, &pty).await;
    let text = "x".repeat(1 << 20);
    rig.port.submissions.send(vec![Submission { text, ..submission(1) }]).await.unwrap();
    rig.status(|status| status.in_flight == 1).await;
    rig.clock.advance(TICK);
    rig.status(|status| status.modem.is_some()).await;
    rig.clock.advance(Duration::from_secs(10));
    let outcome = Outcome::Unknown { why: UnknownWhy::LinkLost };
    assert_eq!(rig.event().await, LinkEvent::Outcome { id: MessageId::from_u64(1), index: 0, outcome });
    assert_eq!(down(rig.event().await), "the peer stopped reading");
    rig.stop().await;
}

#[tokio::test]
async fn a_session_that_loses_its_network_is_down_and_up_again_and_counts_once() {
    let socket = Socket::new();
    let pty = socket.plug();
    let mut rig = Rig::on(&socket);
    up(&mut rig, &pty).await;
    for _ in 0..2 {
        pty.write(b"D").await;
        assert_eq!(down(rig.event().await), "no network");
        let status = rig.status(|status| status.connection == Connection::Down).await;
        assert_eq!(status.reason.as_deref(), Some("no network"));
        pty.write(b"U").await;
        assert_eq!(rig.event().await, LinkEvent::Up);
        let status = rig.status(|status| status.connection == Connection::Up).await;
        assert_eq!((status.sessions_total, status.reason), (1, None));
    }
    assert_eq!(rig.tries(), 1);
    rig.stop().await;
}

#[tokio::test]
async fn the_end_of_a_session_that_is_down_already_is_in_the_status_alone() {
    let socket = Socket::new();
    let pty = socket.plug();
    let mut rig = Rig::on(&socket);
    up(&mut rig, &pty).await;
    pty.write(b"DD").await;
    assert_eq!(down(rig.event().await), "no network");
    socket.unplug(pty);
    rig.status(|status| status.reason.as_deref() == Some("the device went away")).await;
    let pty = socket.plug();
    assert!(rig.pass_until_tried(2, LOOK).await < Duration::from_secs(2));
    pty.expect(b"AT\r").await;
    pty.write(b"U").await;
    assert_eq!(rig.event().await, LinkEvent::Up, "and nothing before it");
    assert_eq!(rig.status(|status| status.connection == Connection::Up).await.sessions_total, 2);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configured_modem_is_a_link_that_says_what_it_lacks_until_it_is_there() {
    let socket = Socket::new();
    let world = World::start(&format!(
        "[[modem]]\nname = 'gsm1'\nport = '{}'\n{}[[route]]\nvia = ['gsm1', 'carrier']\n",
        socket.path().display(),
        link("carrier", nobody(), ""),
    ))
    .await;
    let lost = async || {
        let shown = world.get("/v1/links/gsm1").await;
        Some(shown).filter(|shown| shown["reason"].as_str().is_some_and(|why| why.contains("is not there")))
    };
    let shown = until(&world.clock, "a reason", lost).await;
    assert_eq!(
        (&shown["kind"], &shown["account"], &shown["window"]),
        (&json!("modem"), &json!("gsm1"), &json!(1))
    );
    assert_eq!(world.get("/v1/links").await["data"].as_array().unwrap().len(), 2);
    let pty = socket.plug();
    assert!(!pty.read().await.is_empty(), "it is spoken to as soon as it is there");
    let mut world = world;
    world.stop().await;
}

/// A modem that takes every command and every message, until it is unplugged.
async fn answer(pty: &Pty) -> ! {
    let mut said = Vec::new();
    loop {
        said.extend(pty.read().await);
        while let Some(end) = said.iter().position(|byte| matches!(byte, b'\r' | 0x1A)) {
            let line: Vec<u8> = said.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_matches(|c: char| c.is_control());
            let answer = match line {
                "" => continue,
                line if line.starts_with("AT+CMGS=") => "\r\n> ",
                "AT+CPIN?" => "\r\n+CPIN: READY\r\n\r\nOK\r\n",
                "AT+CREG?" => "\r\n+CREG: 0,1\r\n\r\nOK\r\n",
                "AT+CPMS=?" => "\r\n+CPMS: (\"SM\"),(\"SM\"),(\"SM\")\r\n\r\nOK\r\n",
                "AT+CNMI=?" => "\r\n+CNMI: (0-2),(0-3),(0-3),(0-2),(0,1)\r\n\r\nOK\r\n",
                line if line.starts_with("AT") => "\r\nOK\r\n",
                _pdu => "\r\n+CMGS: 5\r\n\r\nOK\r\n",
            };
            pty.write(answer.as_bytes()).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_goes_out_by_a_modem_and_another_after_it_was_plugged_in_again() {
    let socket = Socket::new();
    let mut pty = socket.plug();
    let config =
        format!("[[modem]]\nname = 'gsm1'\nport = '{}'\nrate = 'unlimited'\n", socket.path().display());
    let mut world = World::start(&config).await;
    for text in ["one", "two"] {
        let done = async {
            let id = world.send("+4915112345678", text).await;
            world.await_status(&id, "sent").await
        };
        let message = tokio::select! {
            message = done => message,
            never = answer(&pty) => never,
        };
        assert_eq!(message["link"], "gsm1");
        let next = Pty::new();
        socket.unplug(pty);
        socket.name(&next);
        pty = next;
    }
    world.stop().await;
}
