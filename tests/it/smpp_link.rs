//! The driver with a real SMPP session over a real TCP connection, against a small scripted SMSC.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use nudged::clock::{Clock, Timestamp};
use nudged::config::Smpp;
use nudged::id::MessageId;
use nudged::link::run::{Connect, run};
use nudged::link::smpp::connect::SmppConnect;
use nudged::link::smpp::frame::{Frame, Splitter};
use nudged::link::smpp::session::SmppSession;
use nudged::link::{
    Connection, Control, INBOUND_CAPACITY, Inbound, InboundToken, LinkEvent, LinkFacts, LinkPort, Outcome,
    Submission, channel,
};
use nudged::message::{Reference, UnknownWhy};
use nudged::pace::Shared;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::support::{pdu, smpp, submission};

const BIND_RESP: u32 = 0x8000_0009;
const SUBMIT_SM: u32 = 0x04;
const SUBMIT_RESP: u32 = 0x8000_0004;
const UNBIND: u32 = 0x06;
const DELIVER_SM: u32 = 0x05;
const DELIVER_RESP: u32 = 0x8000_0005;
const QUEUE_FULL: u32 = 0x14;

struct Peer<S = TcpStream> {
    stream: S,
    splitter: Splitter,
}

impl Peer {
    /// Accepts a connection and its bind.
    async fn bound(listener: &TcpListener) -> Peer {
        let (stream, _) = listener.accept().await.unwrap();
        let mut peer = Peer { stream, splitter: Splitter::default() };
        let bind = peer.read().await.unwrap();
        assert_eq!(bind.header.id, 0x09);
        peer.answer(&bind, BIND_RESP, 0, b"SMSC\0").await;
        peer
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    async fn read(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.splitter.next_frame().unwrap() {
                return Some(frame);
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer).await.unwrap() {
                0 => return None,
                count => self.splitter.push(&buffer[..count]),
            }
        }
    }

    /// Delivers a reply for each sequence number, in one piece.
    async fn deliver(&mut self, sequences: std::ops::Range<u32>) {
        let body = b"\0\x01\x01447700900123\0\x03\x0012345\0\0\0\0\0\0\0\0\0\0\x04STOP";
        let pdus: Vec<u8> = sequences.flat_map(|sequence| pdu(DELIVER_SM, 0, sequence, body)).collect();
        self.stream.write_all(&pdus).await.unwrap();
    }

    /// The sequence numbers of the next `count` answers to deliveries: stored, and to be sent again.
    async fn deliveries(&mut self, count: usize) -> (BTreeSet<u32>, BTreeSet<u32>) {
        let (mut stored, mut refused) = (BTreeSet::new(), BTreeSet::new());
        for _ in 0..count {
            let header = self.read().await.unwrap().header;
            assert_eq!(header.id, DELIVER_RESP);
            let which = if header.status == 0 { &mut stored } else { &mut refused };
            assert!(header.status == 0 || header.status == QUEUE_FULL, "{header:?}");
            assert!(which.insert(header.sequence), "{} answered twice", header.sequence);
        }
        (stored, refused)
    }

    async fn answer(&mut self, request: &Frame, id: u32, status: u32, body: &[u8]) {
        let pdu = pdu(id, status, request.header.sequence, body);
        self.stream.write_all(&pdu).await.unwrap();
    }
}

/// A link to a listener of ours; the port's channel takes `capacity`, the session has `window`.
async fn link(window: u16, capacity: u16) -> (TcpListener, LinkPort, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = Smpp { address: listener.local_addr().unwrap().to_string(), window, ..smpp() };
    let facts =
        LinkFacts { name: "carrier".into(), account: "carrier".into(), kind: "smpp", window: capacity };
    let (port, end) = channel(facts, Arc::new(Notify::new()), Timestamp::MIN);
    let clock = Clock::system();
    let connect = SmppConnect::new(config, &Shared::new(clock.now().mono), clock.clone());
    let task = tokio::spawn(run(connect, end, clock, 1));
    (listener, port, task)
}

async fn outcome(port: &mut LinkPort) -> (u64, Outcome) {
    match port.outcomes.recv().await.unwrap() {
        LinkEvent::Outcome { id, outcome, .. } => (id.as_u64(), outcome),
        other => panic!("{other:?} instead of an outcome"),
    }
}

/// Takes what the link hands up until it has this many in all, as a core does that never steps.
async fn hoard(port: &mut LinkPort, count: usize) -> Vec<InboundToken> {
    let mut tokens = Vec::new();
    while tokens.len() < count {
        tokens.push(port.inbound.recv().await.unwrap().0);
    }
    tokens
}

/// Confirms them all before the link reads one, as a core does that has stored all in one step.
fn confirm_all(port: &LinkPort, tokens: Vec<InboundToken>) {
    for token in tokens {
        port.tell(Control::Confirm { token, stored: true }).unwrap();
    }
}

#[tokio::test]
async fn a_flood_against_a_slow_core_is_confirmed_once_each_and_what_comes_after_it_is_taken() {
    let (listener, mut port, task) = link(4, 4).await;
    let mut peer = Peer::bound(&listener).await;
    assert_eq!(port.outcomes.recv().await, Some(LinkEvent::Up));
    let (flood, part) = (600, 50);
    for round in 0..3 {
        let (mut tokens, mut refused) = (Vec::new(), BTreeSet::new());
        // In parts, so that the channel is never full and the bound alone decides.
        for begin in (round * flood..(round + 1) * flood).step_by(part) {
            peer.deliver(begin..begin + part as u32).await;
            let all = tokens.len() + refused.len() + part;
            while tokens.len() + refused.len() < all {
                tokio::select! {
                    inbound = port.inbound.recv() => tokens.push(inbound.unwrap().0),
                    frame = peer.read() => {
                        let header = frame.unwrap().header;
                        assert_eq!((header.id, header.status), (DELIVER_RESP, QUEUE_FULL));
                        assert!(refused.insert(header.sequence));
                    }
                }
            }
        }
        assert_eq!(tokens.len(), INBOUND_CAPACITY);
        // Whatever else waits to be read.
        while port.tell(Control::RecallAll).is_ok() {}
        confirm_all(&port, tokens);
        let (stored, _) = peer.deliveries(INBOUND_CAPACITY).await;
        assert_eq!(stored.len(), INBOUND_CAPACITY);
        assert!(stored.is_disjoint(&refused));
        for _ in 0..INBOUND_CAPACITY {
            assert!(matches!(port.outcomes.recv().await, Some(LinkEvent::Answered { .. })));
        }
    }
    drop(port);
    drop(peer);
    task.await.unwrap();
}

#[tokio::test]
async fn what_a_lost_session_left_unconfirmed_takes_its_place_until_it_is_confirmed() {
    let (listener, mut port, task) = link(4, 4).await;
    let mut peer = Peer::bound(&listener).await;
    assert_eq!(port.outcomes.recv().await, Some(LinkEvent::Up));
    peer.deliver(0..INBOUND_CAPACITY as u32).await;
    let tokens = hoard(&mut port, INBOUND_CAPACITY).await;
    drop(peer);
    assert!(matches!(port.outcomes.recv().await, Some(LinkEvent::Down { .. })));
    let mut again = Peer::bound(&listener).await;
    assert_eq!(port.outcomes.recv().await, Some(LinkEvent::Up));
    again.deliver(0..1).await;
    assert_eq!(again.deliveries(1).await.1.len(), 1, "kept by the peer");
    confirm_all(&port, tokens);
    again.deliver(1..2).await;
    let taken = hoard(&mut port, 1).await;
    confirm_all(&port, taken);
    assert_eq!(again.deliveries(1).await.0, BTreeSet::from([1]));
    drop(port);
    drop(again);
    task.await.unwrap();
}

#[tokio::test]
async fn a_drop_mid_window_leaves_exactly_one_true_outcome_for_each() {
    let (listener, mut port, task) = link(4, 10).await;
    let mut peer = Peer::bound(&listener).await;
    assert_eq!(port.outcomes.recv().await, Some(LinkEvent::Up));
    for id in 1..=6 {
        port.submissions.send(vec![submission(id)]).await.unwrap();
    }
    let mut submits = Vec::new();
    for _ in 0..4 {
        submits.push(peer.read().await.unwrap());
    }
    assert!(submits.iter().all(|frame| frame.header.id == SUBMIT_SM));
    peer.answer(&submits[1], SUBMIT_RESP, 0, b"two\0").await;
    assert_eq!(outcome(&mut port).await, (2, Outcome::Accepted { reference: Reference("two".into()) }));
    // The answer made room: the fifth comes, then nobody answers any more.
    assert_eq!(peer.read().await.unwrap().header.id, SUBMIT_SM);
    drop(peer);

    let mut outcomes = BTreeMap::new();
    for _ in 0..5 {
        let (id, outcome) = outcome(&mut port).await;
        assert!(outcomes.insert(id, outcome).is_none(), "two outcomes for {id}");
    }
    let unknown = Outcome::Unknown { why: UnknownWhy::LinkLost };
    for id in [1, 3, 4, 5] {
        assert_eq!(outcomes[&id], unknown, "{id}");
    }
    assert_eq!(outcomes[&6], Outcome::Unwritten);
    assert!(matches!(port.outcomes.recv().await, Some(LinkEvent::Down { .. })));

    let mut again = Peer::bound(&listener).await;
    assert_eq!(port.outcomes.recv().await, Some(LinkEvent::Up));
    port.control.send(Control::Stop).await.unwrap();
    let unbind = again.read().await.unwrap();
    assert_eq!(unbind.header.id, UNBIND);
    again.answer(&unbind, UNBIND | 0x8000_0000, 0, b"").await;
    task.await.unwrap();
}

#[tokio::test]
async fn a_stop_awaits_what_is_on_the_wire_and_takes_no_more() {
    let (listener, mut port, task) = link(2, 10).await;
    let mut peer = Peer::bound(&listener).await;
    assert_eq!(port.outcomes.recv().await, Some(LinkEvent::Up));
    for id in 1..=3 {
        port.submissions.send(vec![submission(id)]).await.unwrap();
    }
    let (first, second) = (peer.read().await.unwrap(), peer.read().await.unwrap());
    port.control.send(Control::Stop).await.unwrap();
    assert_eq!(outcome(&mut port).await, (3, Outcome::Unwritten));
    port.submissions.send(vec![submission(4)]).await.unwrap();
    assert_eq!(outcome(&mut port).await, (4, Outcome::Unwritten));
    peer.answer(&second, SUBMIT_RESP, 0, b"b\0").await;
    peer.answer(&first, SUBMIT_RESP, 0, b"a\0").await;
    assert!(matches!(outcome(&mut port).await, (2, Outcome::Accepted { .. })));
    assert!(matches!(outcome(&mut port).await, (1, Outcome::Accepted { .. })));
    let unbind = peer.read().await.unwrap();
    assert_eq!(unbind.header.id, UNBIND);
    peer.answer(&unbind, UNBIND | 0x8000_0000, 0, b"").await;
    assert!(matches!(port.outcomes.recv().await, Some(LinkEvent::Down { .. })));
    task.await.unwrap();
    assert_eq!(port.outcomes.recv().await, None);
}

#[tokio::test]
async fn submissions_while_the_link_is_not_up_come_back_unwritten() {
    let (listener, mut port, task) = link(2, 10).await;
    let (stream, _) = listener.accept().await.unwrap();
    port.submissions.send(vec![submission(1)]).await.unwrap();
    assert_eq!(outcome(&mut port).await, (1, Outcome::Unwritten), "while the bind is unanswered");
    drop(listener);
    drop(stream);
    assert!(matches!(port.outcomes.recv().await, Some(LinkEvent::Down { .. })));
    port.submissions.send(vec![submission(2)]).await.unwrap();
    assert_eq!(outcome(&mut port).await, (2, Outcome::Unwritten), "while it backs off");
    drop(port);
    task.await.unwrap();
}

#[tokio::test]
async fn a_recall_reaches_what_was_handed_over_just_before_it() {
    let (listener, mut port, task) = link(10, 10).await;
    let mut peer = Peer::bound(&listener).await;
    assert_eq!(port.outcomes.recv().await, Some(LinkEvent::Up));
    // The driver does not run until the next await, so it finds all of this at once.
    for id in 1..=4 {
        port.submissions.try_send(vec![submission(id)]).unwrap();
    }
    port.control.try_send(Control::RecallAll).unwrap();
    for id in 1..=4 {
        assert_eq!(outcome(&mut port).await, (id, Outcome::Unwritten));
    }
    port.control.try_send(Control::Stop).unwrap();
    assert_eq!(peer.read().await.unwrap().header.id, UNBIND, "nothing was written before");
    drop(peer);
    task.await.unwrap();
}

#[tokio::test]
async fn a_core_that_is_slow_to_listen_loses_no_outcome() {
    let (listener, mut port, task) = link(1, 1).await;
    let (_silent, _) = listener.accept().await.unwrap();
    // More than the channel of outcomes holds, while nobody takes any.
    let count = 200;
    for id in 1..=count {
        port.submissions.send(vec![submission(id)]).await.unwrap();
    }
    for id in 1..=count {
        assert_eq!(outcome(&mut port).await, (id, Outcome::Unwritten));
    }
    drop(port);
    task.await.unwrap();
}

#[tokio::test]
async fn a_wrong_password_parks_the_link_until_a_restart() {
    let (listener, mut port, task) = link(2, 10).await;
    let (stream, _) = listener.accept().await.unwrap();
    let mut peer = Peer { stream, splitter: Splitter::default() };
    let bind = peer.read().await.unwrap();
    peer.answer(&bind, BIND_RESP, 0x0E, b"").await;
    let Some(LinkEvent::Parked { reason }) = port.outcomes.recv().await else { panic!("not parked") };
    assert!(reason.contains("password") && !reason.contains("pw"), "{reason}");
    port.status.wait_for(|status| status.connection == Connection::Parked).await.unwrap();
    port.control.send(Control::Restart).await.unwrap();
    let again = Peer::bound(&listener).await;
    assert_eq!(port.outcomes.recv().await, Some(LinkEvent::Up));
    drop(port);
    drop(again);
    task.await.unwrap();
}

/// Gives out one prepared stream.
struct Once<S> {
    stream: Option<S>,
    config: Arc<Smpp>,
    clock: Clock,
}

impl<S: AsyncRead + AsyncWrite + Send> Connect for Once<S> {
    type Stream = S;
    type Session = SmppSession;

    async fn connect(&mut self) -> std::io::Result<(S, SmppSession)> {
        let stream = self.stream.take().ok_or(std::io::ErrorKind::ConnectionRefused)?;
        let now = self.clock.now().mono;
        let pace = Shared::new(now).link(self.config.rate, now);
        Ok((stream, SmppSession::new(Arc::clone(&self.config), pace, 0, now)))
    }
}

#[tokio::test]
async fn a_peer_that_stops_reading_freezes_nothing_and_is_given_up() {
    // The pipe holds a bind and not much more, so the first submit_sm is written in part.
    let (ours, mut theirs) = tokio::io::duplex(64);
    let clock = Clock::manual(Timestamp::MIN);
    let config = Arc::new(Smpp { window: 1, ..smpp() });
    let facts = LinkFacts { name: "carrier".into(), account: "carrier".into(), kind: "smpp", window: 10 };
    let (mut port, end) = channel(facts, Arc::new(Notify::new()), Timestamp::MIN);
    let connect = Once { stream: Some(ours), config, clock: clock.clone() };
    let task = tokio::spawn(run(connect, end, clock.clone(), 1));
    let mut bind = [0; 16];
    theirs.read_exact(&mut bind).await.unwrap();
    let mut rest = vec![0; usize::from(bind[3]) - 16];
    theirs.read_exact(&mut rest).await.unwrap();
    theirs.write_all(&[0, 0, 0, 17, 0x80, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 1, 0]).await.unwrap();
    assert_eq!(port.outcomes.recv().await, Some(LinkEvent::Up));

    let text = "x".repeat(150);
    port.submissions.send(vec![Submission { text, ..submission(1) }]).await.unwrap();
    port.submissions.send(vec![submission(2)]).await.unwrap();
    port.status.wait_for(|status| status.in_flight == 1).await.unwrap();
    let reply = b"\0\x01\x01447700900123\0\x03\x0012345\0\0\0\0\0\0\0\0\0\0\x04STOP";
    let mut deliver = Vec::new();
    for field in [16 + reply.len() as u32, 5, 0, 77] {
        deliver.extend(field.to_be_bytes());
    }
    deliver.extend(reply);
    theirs.write_all(&deliver).await.unwrap();
    let (_, inbound) = port.inbound.recv().await.unwrap();
    assert!(matches!(inbound, Inbound::Reply(reply) if reply.text.as_deref() == Some("STOP")));
    port.control.send(Control::Recall(MessageId::from_u64(2))).await.unwrap();
    assert_eq!(outcome(&mut port).await, (2, Outcome::Unwritten));

    clock.advance(Duration::from_secs(10));
    assert_eq!(outcome(&mut port).await, (1, Outcome::Unknown { why: UnknownWhy::LinkLost }));
    assert!(
        matches!(port.outcomes.recv().await, Some(LinkEvent::Down { reason }) if reason.contains("reading"))
    );
    port.control.send(Control::Stop).await.unwrap();
    task.await.unwrap();
}

/// A link over a pipe that holds this much, bound, with one reply handed up that is not confirmed yet.
async fn piped(holds: usize) -> (Peer<DuplexStream>, LinkPort, JoinHandle<()>, InboundToken) {
    let (ours, theirs) = tokio::io::duplex(holds);
    let clock = Clock::system();
    let facts = LinkFacts { name: "carrier".into(), account: "carrier".into(), kind: "smpp", window: 10 };
    let (mut port, end) = channel(facts, Arc::new(Notify::new()), Timestamp::MIN);
    let connect = Once { stream: Some(ours), config: Arc::new(smpp()), clock: clock.clone() };
    let task = tokio::spawn(run(connect, end, clock, 1));
    let mut peer = Peer { stream: theirs, splitter: Splitter::default() };
    let bind = peer.read().await.unwrap();
    peer.answer(&bind, BIND_RESP, 0, b"\0").await;
    assert_eq!(port.outcomes.recv().await, Some(LinkEvent::Up));
    peer.deliver(7..8).await;
    let token = hoard(&mut port, 1).await[0];
    (peer, port, task, token)
}

#[tokio::test]
async fn an_answer_that_is_written_is_told_at_once_though_nothing_else_happens() {
    let (mut peer, mut port, task, token) = piped(4096).await;
    port.tell(Control::Confirm { token, stored: true }).unwrap();
    assert_eq!(port.outcomes.recv().await, Some(LinkEvent::Answered { token }));
    assert_eq!(peer.deliveries(1).await.0, BTreeSet::from([7]));
    drop((peer, port));
    task.await.unwrap();
}

#[tokio::test]
async fn an_answer_that_the_stop_takes_along_is_told_too() {
    let (peer, mut port, task, token) = piped(4096).await;
    // The driver finds both at once.
    port.tell(Control::Confirm { token, stored: true }).unwrap();
    port.tell(Control::Stop).unwrap();
    assert_eq!(port.outcomes.recv().await, Some(LinkEvent::Answered { token }));
    drop(peer);
    assert!(matches!(port.outcomes.recv().await, Some(LinkEvent::Down { .. })));
    task.await.unwrap();
}

#[tokio::test]
async fn an_answer_lost_with_the_connection_amid_its_octets_is_never_told() {
    let (mut peer, mut port, task, token) = piped(8).await;
    port.tell(Control::Confirm { token, stored: true }).unwrap();
    let mut half = [0; 8];
    peer.stream.read_exact(&mut half).await.unwrap();
    assert_eq!(half[4..], DELIVER_RESP.to_be_bytes());
    drop(peer);
    assert!(matches!(port.outcomes.recv().await, Some(LinkEvent::Down { .. })));
    drop(port);
    task.await.unwrap();
}

#[tokio::test]
async fn an_answer_that_comes_after_the_connection_is_lost_is_never_told() {
    let (peer, mut port, task, token) = piped(4096).await;
    drop(peer);
    assert!(matches!(port.outcomes.recv().await, Some(LinkEvent::Down { .. })));
    port.tell(Control::Confirm { token, stored: true }).unwrap();
    port.tell(Control::Stop).unwrap();
    task.await.unwrap();
    assert_eq!(port.outcomes.recv().await, None);
}

#[tokio::test]
async fn no_reply_is_handed_up_before_the_core_can_read_that_the_one_before_was_answered() {
    let (mut peer, mut port, task, token) = piped(4096).await;
    // More outcomes than the channel holds, and a core that takes none.
    let many = port.outcomes.max_capacity() as u64 + 100;
    for id in 1..=many {
        port.submissions.send(vec![submission(id)]).await.unwrap();
    }
    for _ in 0..4 {
        assert_eq!(peer.read().await.unwrap().header.id, SUBMIT_SM);
    }
    port.tell(Control::RecallAll).unwrap();
    port.tell(Control::Confirm { token, stored: true }).unwrap();
    assert_eq!(peer.deliveries(1).await.0, BTreeSet::from([7]));
    peer.deliver(8..9).await;
    assert_eq!(peer.deliveries(1).await.1, BTreeSet::from([8]), "kept by the peer");
    for _ in 5..=many {
        assert_eq!(outcome(&mut port).await.1, Outcome::Unwritten);
    }
    assert_eq!(port.outcomes.recv().await, Some(LinkEvent::Answered { token }));
    peer.deliver(9..10).await;
    hoard(&mut port, 1).await;
    drop((peer, port));
    task.await.unwrap();
}

#[tokio::test]
async fn answers_that_came_before_a_failed_write_still_count() {
    // Whether the driver reads or writes first is left to chance, so several times.
    for _ in 0..20 {
        let (from_smsc, mut answers) = tokio::io::duplex(4096);
        let (to_smsc, mut submits) = tokio::io::duplex(4096);
        let clock = Clock::system();
        let facts = LinkFacts { name: "carrier".into(), account: "carrier".into(), kind: "smpp", window: 10 };
        let (mut port, end) = channel(facts, Arc::new(Notify::new()), Timestamp::MIN);
        let stream = Some(tokio::io::join(from_smsc, to_smsc));
        let connect = Once { stream, config: Arc::new(Smpp { window: 10, ..smpp() }), clock: clock.clone() };
        let task = tokio::spawn(run(connect, end, clock, 1));
        answers.write_all(&[0, 0, 0, 17, 0x80, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 1, 0]).await.unwrap();
        assert_eq!(port.outcomes.recv().await, Some(LinkEvent::Up));
        port.submissions.send(vec![submission(1)]).await.unwrap();
        port.status.wait_for(|status| status.in_flight == 1).await.unwrap();
        assert!(submits.read(&mut [0; 4096]).await.unwrap() > 16);
        // From here to the next await the driver does not run.
        port.submissions.try_send(vec![submission(2)]).unwrap();
        drop(submits);
        answers.write_all(&[0, 0, 0, 18, 0x80, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 2, b'a', 0]).await.unwrap();
        drop(answers);
        let accepted = Outcome::Accepted { reference: Reference("a".into()) };
        assert_eq!(outcome(&mut port).await, (1, accepted));
        let second = outcome(&mut port).await;
        assert_eq!(second, (2, Outcome::Unknown { why: UnknownWhy::LinkLost }));
        drop(port);
        task.await.unwrap();
    }
}
