//! The SMPP session, byte by byte and second by second, without a socket: every rule of its header, and
//! the hostile inputs an SMSC can think of.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nudged::clock::{Clock, Timestamp};
use nudged::config::{Secret, Smpp};
use nudged::id::MessageId;
use nudged::link::session::{Close, Session, SessionEvent};
use nudged::link::smpp::frame::{Frame, Splitter};
use nudged::link::smpp::session::SmppSession;
use nudged::link::{Inbound, InboundToken, LinkEvent, Outcome, Submission};
use nudged::message::{Reason, Reference, UnknownWhy};
use nudged::pace::{Pace, Rate, Shared};
use nudged::retry::RetryClass;

use crate::support::{Log, pdu, second_subscriber, smpp, submission};

const SUBMIT: u32 = 0x04;
const SUBMIT_RESP: u32 = 0x8000_0004;
const NACK: u32 = 0x8000_0000;
const UNBIND: u32 = 0x06;
const UNBIND_RESP: u32 = 0x8000_0006;
const ENQUIRE: u32 = 0x15;
const ENQUIRE_RESP: u32 = 0x8000_0015;
const BIND_RESP: u32 = 0x8000_0009;
const DELIVER: u32 = 0x05;
const DELIVER_RESP: u32 = 0x8000_0005;

fn deliver_body(text: &[u8]) -> Vec<u8> {
    let mut body = b"\0\x01\x01447700900123\0\x03\x0012345\0\0\0\0\0\0\0\0\0\0".to_vec();
    body.push(text.len() as u8);
    body.extend(text);
    body
}

/// A session with its time and what came out of it.
struct Rig {
    session: SmppSession,
    now: Instant,
    written: Splitter,
}

impl Rig {
    fn connected(config: Smpp) -> Rig {
        let now = Clock::manual(Timestamp::MIN).now().mono;
        let pace = Shared::new(now).link(config.rate, now);
        Rig::connected_at(config, pace, now)
    }

    fn connected_at(config: Smpp, pace: Pace, now: Instant) -> Rig {
        let session = SmppSession::new(Arc::new(config), pace, 100, now);
        Rig { session, now, written: Splitter::default() }
    }

    fn bound(config: Smpp) -> Rig {
        Rig::connected(config).bind()
    }

    /// A session with a pace that others may use too.
    fn bound_at(config: Smpp, pace: &Pace, now: Instant) -> Rig {
        Rig::connected_at(config, pace.clone(), now).bind()
    }

    fn bind(self) -> Rig {
        let mut rig = self;
        let bind = rig.frames();
        assert_eq!((bind.len(), bind[0].header.id), (1, 0x09));
        rig.feed(&pdu(BIND_RESP, 0, bind[0].header.sequence, b"SMSC\0"));
        assert_eq!(rig.links(), [LinkEvent::Up]);
        rig
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.session.handle_input(bytes, self.now);
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.session.handle_timeout(self.now);
    }

    /// All that is written now.
    fn frames(&mut self) -> Vec<Frame> {
        if let Some(bytes) = self.session.poll_output(self.now) {
            self.written.push(&bytes);
        }
        let mut frames = Vec::new();
        while let Some(frame) = self.written.next_frame().unwrap() {
            frames.push(frame);
        }
        assert!(!self.written.is_partial());
        frames
    }

    fn headers(&mut self) -> Vec<(u32, u32, u32)> {
        let frames = self.frames();
        frames.iter().map(|f| (f.header.id, f.header.status, f.header.sequence)).collect()
    }

    fn events(&mut self) -> Vec<SessionEvent> {
        std::iter::from_fn(|| self.session.poll_event()).collect()
    }

    fn links(&mut self) -> Vec<LinkEvent> {
        let link = |event| match event {
            SessionEvent::Link(event) => Some(event),
            _ => None,
        };
        self.events().into_iter().filter_map(link).collect()
    }

    fn finished(&mut self) -> Option<String> {
        self.events().into_iter().find_map(|event| match event {
            SessionEvent::Finished { reason } => Some(reason),
            _ => None,
        })
    }

    fn submit(&mut self, ids: impl IntoIterator<Item = u64>) {
        for id in ids {
            self.session.submit(submission(id), self.now);
        }
    }

    /// Writes all that may be written; the sequence numbers of the submits.
    fn sequences(&mut self) -> Vec<u32> {
        self.frames().iter().filter(|f| f.header.id == SUBMIT).map(|f| f.header.sequence).collect()
    }

    fn texts(&mut self) -> Vec<(u32, u64)> {
        let submits = self.frames().into_iter().filter(|f| f.header.id == SUBMIT);
        submits.map(|f| (f.header.sequence, text_id(f.body()))).collect()
    }
}

/// The test's texts are `<id>.`, followed by the TLV.
fn text_id(body: &[u8]) -> u64 {
    let end = body.iter().rposition(|&b| b == b'.').unwrap();
    let start = body[..end].iter().rposition(|b| !b.is_ascii_digit()).unwrap();
    std::str::from_utf8(&body[start + 1..end]).unwrap().parse().unwrap()
}

fn outcome(id: u64, outcome: Outcome) -> LinkEvent {
    LinkEvent::Outcome { id: MessageId::from_u64(id), index: 0, outcome }
}

fn accepted(reference: &str) -> Outcome {
    Outcome::Accepted { reference: Reference(reference.into()) }
}

fn unknown(why: UnknownWhy) -> Outcome {
    Outcome::Unknown { why }
}

fn refusal(event: &LinkEvent) -> (Reason, RetryClass) {
    match event {
        LinkEvent::Outcome { outcome: Outcome::Refused { cause, retry }, .. } => (cause.reason, *retry),
        other => panic!("{other:?} is no refusal"),
    }
}

// --- bind ---

#[test]
fn a_bind_says_transceiver_and_3_4_and_no_debug_shows_the_password() {
    let mut rig = Rig::connected(smpp());
    assert!(!format!("{:?}", rig.session).contains("hunter2"), "while the bind waits to be written");
    let frames = rig.frames();
    assert_eq!(frames[0].body(), b"acme\0hunter2\0\0\x34\0\0\0");
    assert!(!format!("{:?} {:?}", rig.session, frames[0]).contains("hunter2"));
}

#[test]
fn a_refused_bind_parks_where_a_person_must_act_and_backs_off_elsewhere() {
    for (status, parks) in [(0x0D, true), (0x0E, true), (0x0F, true), (0x05, false), (0x08, false)] {
        let mut rig = Rig::connected(smpp());
        let sequence = rig.frames()[0].header.sequence;
        rig.feed(&pdu(BIND_RESP, status, sequence, b""));
        let events = rig.events();
        let parked = events.iter().any(|e| matches!(e, SessionEvent::Link(LinkEvent::Parked { .. })));
        assert_eq!(parked, parks, "{status:#x}");
        assert!(matches!(events.last(), Some(SessionEvent::Finished { .. })), "{status:#x}");
    }
}

#[test]
fn an_unanswered_bind_ends_at_its_deadline() {
    let mut rig = Rig::connected(smpp());
    rig.frames();
    rig.pass(Duration::from_secs(59));
    assert_eq!(rig.finished(), None);
    rig.pass(Duration::from_secs(1));
    assert!(rig.finished().is_some());
}

#[test]
fn a_password_that_fits_no_bind_parks_at_once() {
    let mut rig = Rig::connected(Smpp { password: Secret::new("nine chars".into()), ..smpp() });
    assert!(matches!(rig.links()[..], [LinkEvent::Parked { .. }]));
    assert_eq!(rig.frames(), []);
}

#[test]
fn what_is_submitted_before_the_bind_is_answered_comes_back() {
    let mut rig = Rig::connected(smpp());
    rig.submit([1]);
    assert_eq!(rig.links(), [outcome(1, Outcome::Unwritten)]);
}

// --- window, order, answers ---

#[test]
fn a_full_window_goes_out_in_one_write_in_order_and_no_more() {
    let mut rig = Rig::bound(smpp());
    rig.submit(1..=6);
    let texts: Vec<u64> = rig.texts().into_iter().map(|(_, id)| id).collect();
    assert_eq!(texts, [1, 2, 3, 4]);
    assert_eq!(rig.session.in_flight(), 4);
    assert_eq!(rig.frames(), []);
}

#[test]
fn answers_settle_in_any_order_and_the_first_wins() {
    let mut rig = Rig::bound(smpp());
    rig.submit(1..=3);
    let sequences = rig.sequences();
    let mut bytes = pdu(SUBMIT_RESP, 0, sequences[2], b"c\0");
    bytes.extend(pdu(SUBMIT_RESP, 0, sequences[0], b"no-nul"));
    bytes.extend(pdu(SUBMIT_RESP, 0x08, sequences[2], b""));
    bytes.extend(pdu(SUBMIT_RESP, 0, 0x1234_5678, b"stray\0"));
    bytes.extend(pdu(SUBMIT_RESP, 0x0B, sequences[1], b""));
    rig.feed(&bytes);
    let links = rig.links();
    assert_eq!(links[..2], [outcome(3, accepted("c")), outcome(1, accepted("no-nul"))]);
    assert_eq!(refusal(&links[2]), (Reason::SmscBadDestination, RetryClass::Permanent));
    assert_eq!(links.len(), 3);
}

#[test]
fn the_same_bytes_mean_the_same_however_they_are_cut() {
    let whole = |cut: usize| {
        let mut rig = Rig::bound(smpp());
        rig.submit(1..=2);
        let sequences = rig.sequences();
        let mut bytes = pdu(SUBMIT_RESP, 0, sequences[1], b"b\0");
        bytes.extend(pdu(ENQUIRE, 0, 9, b""));
        bytes.extend(pdu(DELIVER, 0, 10, &deliver_body(b"STOP")));
        bytes.extend(pdu(SUBMIT_RESP, 0x45, sequences[0], b"\0"));
        let cut = cut.min(bytes.len());
        rig.feed(&bytes[..cut]);
        rig.feed(&bytes[cut..]);
        (rig.events(), rig.headers(), bytes.len())
    };
    let expected = whole(0);
    assert_eq!(expected.1, [(ENQUIRE_RESP, 0, 9)]);
    for cut in 1..expected.2 {
        assert_eq!(whole(cut), expected, "cut at {cut}");
    }
}

#[test]
fn a_generic_nack_settles_the_submit_it_names() {
    let mut rig = Rig::bound(smpp());
    rig.submit([1, 2]);
    let sequences = rig.sequences();
    rig.feed(&pdu(NACK, 0x03, sequences[0], b""));
    rig.feed(&pdu(NACK, 0, sequences[1], b""));
    let links = rig.links();
    assert_eq!(refusal(&links[0]), (Reason::SmscMalformed, RetryClass::Permanent));
    assert_eq!(refusal(&links[1]), (Reason::SmscUnknownCode, RetryClass::Temporary));
}

#[test]
fn a_text_that_cannot_be_written_is_refused_for_good_and_the_next_goes_out() {
    let mut rig = Rig::bound(smpp());
    rig.session.submit(Submission { text: "Ж".into(), ..submission(1) }, rig.now);
    rig.submit([2]);
    assert_eq!(refusal(&rig.links()[0]), (Reason::InternalEncoding, RetryClass::Permanent));
    assert_eq!(rig.texts().len(), 1);
}

#[test]
fn a_submit_that_parks_is_refused_and_ends_the_session_after_the_others_are_answered() {
    let mut rig = Rig::bound(smpp());
    rig.submit(1..=5);
    let sequences = rig.sequences();
    rig.feed(&pdu(SUBMIT_RESP, 0x15, sequences[0], b""));
    let links = rig.links();
    assert_eq!(refusal(&links[0]), (Reason::SmscAccount, RetryClass::Park));
    assert!(matches!(links[1], LinkEvent::Parked { .. }));
    assert_eq!(links[2], outcome(5, Outcome::Unwritten));
    assert_eq!(rig.headers(), [], "three are awaited");
    for sequence in &sequences[1..] {
        rig.feed(&pdu(SUBMIT_RESP, 0, *sequence, b"x\0"));
    }
    assert_eq!(rig.headers()[0].0, UNBIND);
}

// --- throttling ---

#[test]
fn a_throttled_segment_goes_back_to_its_place_and_costs_nothing() {
    let mut rig = Rig::bound(Smpp { window: 3, ..smpp() });
    rig.submit(1..=5);
    let sequences = rig.sequences();
    // In another order than they were written.
    for (place, status) in [(1, 0x58), (2, 0x14), (0, 0x58)] {
        rig.feed(&pdu(SUBMIT_RESP, status, sequences[place], b""));
    }
    assert_eq!(rig.links(), []);
    let mut order = Vec::new();
    while order.len() < 5 {
        let at = rig.session.poll_timeout().unwrap();
        rig.pass(at - rig.now);
        for (sequence, id) in rig.texts() {
            order.push(id);
            rig.feed(&pdu(SUBMIT_RESP, 0, sequence, b"x\0"));
        }
    }
    assert_eq!(order, [1, 2, 3, 4, 5]);
    assert!(rig.session.pace().is_some());
}

#[test]
fn a_segment_throttled_too_often_is_handed_back_and_costs_no_try() {
    let mut rig = Rig::bound(smpp());
    rig.submit([1]);
    let mut tries = 0;
    loop {
        for sequence in rig.sequences() {
            tries += 1;
            rig.feed(&pdu(SUBMIT_RESP, 0x58, sequence, b""));
        }
        if let [event] = &rig.links()[..] {
            assert!(matches!(event, LinkEvent::Outcome { outcome: Outcome::Unwritten, .. }), "{event:?}");
            break;
        }
        assert!(rig.sequences().is_empty(), "not at once");
        let at = rig.session.poll_timeout().unwrap();
        rig.pass(at - rig.now);
        // Alive all the while, so that no enquire_link of ours ends the session first.
        rig.feed(&pdu(ENQUIRE, 0, 1, b""));
        assert!(tries <= 20);
    }
    assert_eq!(tries, 20);
}

#[test]
fn a_configured_rate_holds_segments_back_and_says_when_it_goes_on() {
    let rate = Some(Rate { segments: 10, per: Duration::from_secs(1) });
    let mut rig = Rig::bound(Smpp { rate, ..smpp() });
    rig.submit(1..=2);
    for written in [0, 1] {
        assert_eq!(rig.sequences().len(), written);
        let wait = rig.session.poll_timeout().unwrap() - rig.now;
        assert!(wait <= Duration::from_millis(101), "{wait:?}");
        rig.pass(wait);
    }
    assert_eq!(rig.sequences().len(), 1);
}

#[test]
fn a_deadline_of_the_pace_that_passes_while_nothing_can_be_written_wakes_nobody_again() {
    let rate = Some(Rate { segments: 10, per: Duration::from_secs(1) });
    let mut rig = Rig::bound(Smpp { rate, ..smpp() });
    rig.submit([1]);
    assert_eq!(rig.sequences().len(), 0);
    let at = rig.session.poll_timeout().unwrap();
    // The driver asks for no output while the last is not written.
    rig.pass(at - rig.now);
    assert!(rig.session.poll_timeout().unwrap() > rig.now);
    assert_eq!(rig.sequences().len(), 1);
}

// --- one pace for an account ---

fn manual() -> (Shared, Instant) {
    let now = Clock::manual(Timestamp::MIN).now().mono;
    (Shared::new(now), now)
}

/// Answers the next submit with 0x58.
fn throttle(rig: &mut Rig) {
    rig.submit([1]);
    let sequence = rig.sequences()[0];
    rig.feed(&pdu(SUBMIT_RESP, 0x58, sequence, b""));
}

#[test]
fn a_new_session_goes_on_with_the_pace_of_the_last() {
    let (account, now) = manual();
    let pace = account.link(None, now);
    let mut first = Rig::bound_at(smpp(), &pace, now);
    throttle(&mut first);
    let learnt = first.session.pace();
    assert!(learnt.is_some());
    first.session.handle_close(Close::Eof, now);
    let mut second = Rig::bound_at(smpp(), &pace, now);
    assert_eq!(second.session.pace(), learnt);
    second.submit(1..=3);
    assert_eq!(second.sequences().len(), 0, "a reconnect brings no token");
}

#[test]
fn a_reconnect_gives_no_more_than_the_configured_rate() {
    let (account, now) = manual();
    let config = Smpp { rate: Some(Rate { segments: 1, per: Duration::from_secs(60) }), ..smpp() };
    let pace = account.link(config.rate, now);
    for written in [1, 0] {
        let mut rig = Rig::bound_at(config.clone(), &pace, now + Duration::from_secs(61));
        rig.submit([1]);
        assert_eq!(rig.sequences().len(), written);
    }
}

#[test]
fn each_link_shows_the_lower_of_its_own_rate_and_what_the_account_learnt() {
    let (account, now) = manual();
    let rate = Some(Rate { segments: 10, per: Duration::from_secs(1) });
    let (free, slow) = (account.link(None, now), account.link(rate, now));
    let mut free = Rig::bound_at(smpp(), &free, now);
    let slow = Rig::bound_at(Smpp { rate, ..smpp() }, &slow, now);
    assert_eq!((free.session.pace(), slow.session.pace()), (None, Some(10.0)));
    throttle(&mut free);
    assert_eq!((free.session.pace(), slow.session.pace()), (Some(20.0), Some(10.0)));
}

#[test]
fn what_one_account_learns_leaves_another_alone() {
    let ((one, now), (other, _)) = (manual(), manual());
    let mut throttled = Rig::bound_at(smpp(), &one.link(None, now), now);
    let mut free = Rig::bound_at(smpp(), &other.link(None, now), now);
    throttle(&mut throttled);
    assert_eq!(free.session.pace(), None);
    free.submit(1..=4);
    assert_eq!(free.sequences().len(), 4);
}

/// A carrier's bucket, and the answers that are on their way to each of two binds.
struct Carrier {
    per_second: f64,
    tokens: f64,
    at: Instant,
    answers: VecDeque<(Instant, usize, Vec<u8>)>,
    accepted: [u32; 2],
    refused: u32,
}

impl Carrier {
    fn take(&mut self, bind: usize, sequence: u32, now: Instant) {
        let gained = (now - self.at).as_secs_f64() * self.per_second;
        (self.tokens, self.at) = ((self.tokens + gained).min(10.0), now);
        let fits = self.tokens >= 1.0;
        if fits {
            self.tokens -= 1.0;
            self.accepted[bind] += 1;
        } else {
            self.refused += 1;
        }
        let status = if fits { 0 } else { 0x58 };
        let answer = pdu(SUBMIT_RESP, status, sequence, b"x\0");
        self.answers.push_back((now + Duration::from_millis(20), bind, answer));
    }
}

#[test]
fn two_binds_of_an_account_stay_at_its_limit_together_and_share_it() {
    let (account, start) = manual();
    // The greedy one is always asked first, and has room for more.
    let windows = [50, 5];
    let mut binds =
        windows.map(|window| Rig::bound_at(Smpp { window, ..smpp() }, &account.link(None, start), start));
    let mut carrier = Carrier {
        per_second: 100.0,
        tokens: 10.0,
        at: start,
        answers: VecDeque::new(),
        accepted: [0; 2],
        refused: 0,
    };
    let seconds = 30;
    for ms in 0..seconds * 1_000 {
        let now = start + Duration::from_millis(ms);
        while carrier.answers.front().is_some_and(|(at, ..)| *at <= now) {
            let (_, bind, answer) = carrier.answers.pop_front().unwrap();
            binds[bind].session.handle_input(&answer, now);
        }
        for (at, bind) in binds.iter_mut().enumerate() {
            bind.now = now;
            if bind.session.poll_timeout().is_some_and(|at| at <= now) {
                bind.session.handle_timeout(now);
            }
            bind.submit([ms]);
            let sequences = bind.sequences();
            sequences.into_iter().for_each(|sequence| carrier.take(at, sequence, now));
        }
    }
    let [greedy, modest] = carrier.accepted;
    let (total, most) = (greedy + modest, 100 * seconds as u32 + 10);
    assert!(total > most * 9 / 10, "{total} of {most}");
    assert!(greedy.min(modest) > total * 4 / 10, "{greedy} and {modest}");
    assert!(carrier.refused < total / 10, "{} refused of {total}", carrier.refused);
}

// --- silence ---

#[test]
fn an_answer_that_never_comes_is_unknown_once_and_a_late_one_is_told() {
    let mut rig = Rig::bound(smpp());
    rig.submit([1]);
    let sequence = rig.sequences()[0];
    rig.pass(Duration::from_secs(30));
    let enquiry = rig.headers()[0].2;
    rig.feed(&pdu(ENQUIRE_RESP, 0, enquiry, b""));
    rig.pass(Duration::from_secs(30));
    assert_eq!(rig.links(), [outcome(1, unknown(UnknownWhy::NoAnswer))]);
    rig.feed(&pdu(SUBMIT_RESP, 0, sequence, b"late\0"));
    let late = LinkEvent::Late { id: MessageId::from_u64(1), index: 0, lease: 1, outcome: accepted("late") };
    assert_eq!(rig.links(), [late]);
    rig.feed(&pdu(SUBMIT_RESP, 0, sequence, b"again\0"));
    assert_eq!(rig.links(), []);
    rig.session.handle_close(Close::Eof, rig.now);
    assert_eq!(rig.links(), [], "its one outcome was given");
}

#[test]
fn half_a_window_of_silence_ends_the_session() {
    let mut rig = Rig::bound(Smpp { enquire_link: Duration::from_secs(600), ..smpp() });
    rig.submit(1..=3);
    assert_eq!(rig.sequences().len(), 3);
    rig.pass(Duration::from_secs(60));
    assert!(rig.finished().is_some());
    assert_eq!(rig.headers().last().unwrap().0, UNBIND);
}

#[test]
fn enquire_link_goes_both_ways_while_the_window_is_full() {
    let mut rig = Rig::bound(smpp());
    rig.submit(1..=4);
    assert_eq!(rig.sequences().len(), 4);
    rig.feed(&pdu(ENQUIRE, 0, 77, b""));
    assert_eq!(rig.headers(), [(ENQUIRE_RESP, 0, 77)]);
    rig.pass(Duration::from_secs(30));
    let [(ENQUIRE, 0, sequence)] = rig.headers()[..] else { panic!("no enquire_link") };
    rig.feed(&pdu(ENQUIRE_RESP, 0, sequence, b""));
    rig.pass(Duration::from_secs(10));
    assert_eq!(rig.finished(), None);
}

#[test]
fn an_unanswered_enquire_link_ends_the_session_and_a_nack_answers_it() {
    for answered in [true, false] {
        let mut rig = Rig::bound(smpp());
        rig.pass(Duration::from_secs(30));
        let sequence = rig.headers()[0].2;
        if answered {
            rig.feed(&pdu(NACK, 0x03, sequence, b""));
        }
        rig.pass(Duration::from_secs(10));
        assert_eq!(rig.finished().is_none(), answered);
    }
}

#[test]
fn a_pdu_that_is_dripped_too_slowly_ends_the_session() {
    let mut rig = Rig::bound(smpp());
    let bytes = pdu(DELIVER, 0, 10, &deliver_body(b"STOP"));
    for (second, byte) in bytes.iter().take(10).enumerate() {
        assert_eq!(rig.finished(), None, "after {second} s");
        rig.feed(std::slice::from_ref(byte));
        rig.pass(Duration::from_secs(1));
    }
    assert!(rig.finished().is_some());
}

// --- ends ---

#[test]
fn a_close_gives_every_submission_its_one_outcome() {
    let mut rig = Rig::bound(smpp());
    rig.submit(1..=6);
    let sequences = rig.sequences();
    rig.feed(&pdu(SUBMIT_RESP, 0, sequences[0], b"a\0"));
    assert_eq!(rig.links(), [outcome(1, accepted("a"))]);
    rig.session.handle_close(Close::Eof, rig.now);
    let lost = || unknown(UnknownWhy::LinkLost);
    let expected = [
        outcome(2, lost()),
        outcome(3, lost()),
        outcome(4, lost()),
        outcome(5, Outcome::Unwritten),
        outcome(6, Outcome::Unwritten),
    ];
    assert_eq!(rig.links(), expected);
    rig.session.handle_close(Close::Eof, rig.now);
    assert_eq!(rig.links(), []);
}

#[test]
fn a_recall_gives_back_what_is_not_written_and_nothing_else() {
    let mut rig = Rig::bound(Smpp { window: 1, ..smpp() });
    rig.submit(1..=4);
    assert_eq!(rig.sequences().len(), 1);
    for id in [1, 3] {
        rig.session.recall(MessageId::from_u64(id), rig.now);
    }
    assert_eq!(rig.links(), [outcome(3, Outcome::Unwritten)]);
    rig.session.recall_all(rig.now);
    assert_eq!(rig.links(), [outcome(2, Outcome::Unwritten), outcome(4, Outcome::Unwritten)]);
}

#[test]
fn what_was_recalled_on_its_way_is_not_written_again_when_the_smsc_throttles_it() {
    for all in [false, true] {
        let mut rig = Rig::bound(Smpp { window: 2, ..smpp() });
        rig.submit([1]);
        let sequences = rig.sequences();
        match all {
            true => rig.session.recall_all(rig.now),
            false => rig.session.recall(MessageId::from_u64(1), rig.now),
        }
        assert_eq!(rig.links(), [], "it is on its way");
        rig.feed(&pdu(SUBMIT_RESP, 0x58, sequences[0], b""));
        assert_eq!(rig.links(), [outcome(1, Outcome::Unwritten)]);
        rig.submit([2]);
        rig.pass(Duration::from_secs(20));
        assert_eq!(rig.texts().into_iter().map(|(_, id)| id).collect::<Vec<_>>(), [2]);
    }
}

#[test]
fn a_stop_writes_nothing_new_awaits_the_rest_and_says_unbind() {
    let mut rig = Rig::bound(Smpp { window: 2, ..smpp() });
    rig.submit(1..=3);
    let sequences = rig.sequences();
    rig.session.stop(rig.now);
    assert_eq!(rig.links(), [outcome(3, Outcome::Unwritten)]);
    rig.submit([4]);
    assert_eq!(rig.links(), [outcome(4, Outcome::Unwritten)]);
    rig.feed(&pdu(SUBMIT_RESP, 0, sequences[1], b"b\0"));
    // Throttled: it may not be written again, and it was not sent.
    rig.feed(&pdu(SUBMIT_RESP, 0x58, sequences[0], b""));
    assert_eq!(rig.links(), [outcome(2, accepted("b")), outcome(1, Outcome::Unwritten)]);
    let [(UNBIND, 0, sequence)] = rig.headers()[..] else { panic!("no unbind") };
    assert_eq!(rig.finished(), None);
    rig.feed(&pdu(UNBIND_RESP, 0, sequence, b""));
    assert!(rig.finished().is_some());
}

#[test]
fn a_stop_waits_20_seconds_for_answers_and_5_for_the_unbind() {
    let mut rig = Rig::bound(smpp());
    rig.submit([1]);
    rig.sequences();
    rig.session.stop(rig.now);
    rig.pass(Duration::from_secs(19));
    assert_eq!((rig.headers(), rig.links()), (vec![], vec![]));
    rig.pass(Duration::from_secs(1));
    assert_eq!(rig.headers()[0].0, UNBIND);
    assert_eq!(rig.links(), [outcome(1, unknown(UnknownWhy::NoAnswer))], "before the wait for the unbind");
    rig.pass(Duration::from_secs(5));
    assert!(rig.finished().is_some());
    rig.session.handle_close(Close::Stopping, rig.now);
    assert_eq!(rig.links(), []);
}

#[test]
fn an_answer_during_the_wait_for_the_unbind_still_counts() {
    let mut rig = Rig::bound(smpp());
    rig.submit([1]);
    let sequences = rig.sequences();
    rig.session.stop(rig.now);
    rig.pass(Duration::from_secs(20));
    assert_eq!(rig.links(), [outcome(1, unknown(UnknownWhy::NoAnswer))]);
    rig.feed(&pdu(SUBMIT_RESP, 0, sequences[0], b"a\0"));
    let late = LinkEvent::Late { id: MessageId::from_u64(1), index: 0, lease: 1, outcome: accepted("a") };
    assert_eq!(rig.links(), [late]);
}

#[test]
fn an_unbind_of_the_smsc_is_answered_and_what_is_outstanding_awaited() {
    let mut rig = Rig::bound(Smpp { window: 1, ..smpp() });
    rig.submit(1..=2);
    let sequences = rig.sequences();
    rig.feed(&pdu(UNBIND, 0, 5, b""));
    assert_eq!(rig.headers(), [(UNBIND_RESP, 0, 5)]);
    assert_eq!(rig.events(), [SessionEvent::Link(outcome(2, Outcome::Unwritten))]);
    rig.feed(&pdu(SUBMIT_RESP, 0, sequences[0], b"a\0"));
    let events = rig.events();
    assert!(events.contains(&SessionEvent::Link(outcome(1, accepted("a")))));
    assert!(matches!(events.last(), Some(SessionEvent::Finished { .. })));
    assert_eq!(rig.headers(), [], "no unbind after an unbind");
}

// --- what the SMSC asks ---

#[test]
fn a_deliver_sm_is_answered_only_when_the_core_says_so() {
    let mut rig = Rig::bound(smpp());
    for sequence in [10, 11] {
        rig.feed(&pdu(DELIVER, 0, sequence, &deliver_body(b"STOP")));
    }
    assert_eq!(rig.headers(), []);
    let tokens: Vec<InboundToken> = rig
        .events()
        .into_iter()
        .map(|event| match event {
            SessionEvent::Inbound { token, inbound: Inbound::Reply(reply) } => {
                assert_eq!(reply.text.as_deref(), Some("STOP"));
                token
            }
            other => panic!("{other:?}"),
        })
        .collect();
    rig.session.confirm(tokens[1], rig.now);
    rig.session.refuse(tokens[0], rig.now);
    assert_eq!(rig.headers(), [(DELIVER_RESP, 0, 11), (DELIVER_RESP, 0x14, 10)]);
    rig.session.confirm(tokens[1], rig.now);
    rig.session.confirm(InboundToken(1), rig.now);
    assert_eq!(rig.headers(), [], "answered once, and another session's token is nobody's");
}

/// A session with one reply handed up, and its token.
fn asked() -> (Rig, InboundToken) {
    let mut rig = Rig::bound(smpp());
    rig.feed(&pdu(DELIVER, 0, 10, &deliver_body(b"1")));
    let [SessionEvent::Inbound { token, .. }] = rig.events()[..] else { panic!("no reply") };
    (rig, token)
}

#[test]
fn a_delivery_is_answered_once_its_ok_is_written_and_not_before() {
    let (mut rig, token) = asked();
    rig.session.confirm(token, rig.now);
    assert_eq!(rig.links(), [], "in nobody's hands yet");
    assert!(rig.session.poll_output(rig.now).is_some());
    assert_eq!(rig.links(), [], "the driver has it");
    assert_eq!(rig.session.poll_output(rig.now), None, "it asks for more, so that was written");
    assert_eq!(rig.links(), [LinkEvent::Answered { token }]);
    assert_eq!(rig.session.poll_output(rig.now), None);
    assert_eq!(rig.links(), [], "told once");
}

#[test]
fn a_delivery_that_was_refused_is_never_answered() {
    let (mut rig, token) = asked();
    rig.session.refuse(token, rig.now);
    assert_eq!(rig.headers(), [(DELIVER_RESP, 0x14, 10)]);
    assert_eq!(rig.session.poll_output(rig.now), None);
    assert_eq!(rig.links(), []);
}

#[test]
fn a_delivery_whose_ok_may_not_have_left_when_the_link_was_lost_is_never_answered() {
    for polled in [false, true] {
        let (mut rig, token) = asked();
        rig.session.confirm(token, rig.now);
        if polled {
            assert!(rig.session.poll_output(rig.now).is_some());
        }
        rig.session.handle_close(Close::Eof, rig.now);
        assert_eq!(rig.session.poll_output(rig.now), None);
        assert_eq!(rig.links(), [], "polled: {polled}");
    }
}

#[test]
fn a_data_sm_is_taken_like_a_deliver_sm() {
    let mut rig = Rig::bound(smpp());
    let body = b"\0\x01\x01447700900123\0\x03\x0012345\0\0\0\0\x04\x24\x00\x02hi";
    rig.feed(&pdu(0x103, 0, 10, body));
    let [SessionEvent::Inbound { token, inbound: Inbound::Reply(reply) }] = &rig.events()[..] else {
        panic!("no reply")
    };
    assert_eq!(reply.text.as_deref(), Some("hi"));
    rig.session.confirm(*token, rig.now);
    assert_eq!(rig.headers(), [(0x8000_0103, 0, 10)]);
}

#[test]
fn replies_beyond_what_the_core_can_hold_are_left_with_the_smsc() {
    let mut rig = Rig::bound(smpp());
    for sequence in 1..=600 {
        rig.feed(&pdu(DELIVER, 0, sequence, &deliver_body(b"x")));
    }
    let inbound = rig.events().len();
    let refused = rig.headers();
    assert_eq!(inbound + refused.len(), 600);
    assert!(
        refused.len() >= 88 && refused.iter().all(|(id, status, _)| (*id, *status) == (DELIVER_RESP, 0x14))
    );
}

#[test]
fn a_pdu_that_is_not_for_us_costs_an_answer_and_not_the_bind() {
    let mut rig = Rig::bound(smpp());
    let long_address = [&b"\0\x01\x01"[..], &[b'4'; 70], b"\0"].concat();
    for (bytes, answer) in [
        (pdu(0x7777, 0, 5, b""), Some((NACK, 0x03, 5))),
        (pdu(SUBMIT, 0, 6, b"whatever"), Some((SUBMIT_RESP, 0x04, 6))),
        (pdu(0x8000_7777, 0, 7, b""), None),
        (pdu(NACK, 0x03, 8, b""), None),
        (pdu(BIND_RESP, 0, 8, b"SMSC\0"), None),
        (pdu(0x0B, 0, 9, b"SMSC\0pw\0"), None),
        (pdu(0x102, 0, 9, b"\x01\x01447\0\x05\0ACME\0"), None),
        (pdu(DELIVER, 0, 10, b"\0\x01\x014477"), Some((DELIVER_RESP, 0x01, 10))),
        (pdu(DELIVER, 0, 11, &long_address), Some((DELIVER_RESP, 0x01, 11))),
        (pdu(DELIVER, 0, 12, b""), Some((DELIVER_RESP, 0x01, 12))),
        (pdu(ENQUIRE, 0, 13, b"surplus"), Some((ENQUIRE_RESP, 0, 13))),
    ] {
        let mut in_step = bytes.clone();
        in_step.extend(pdu(ENQUIRE, 0, 99, b""));
        rig.feed(&in_step);
        let mut expected: Vec<_> = answer.into_iter().collect();
        expected.push((ENQUIRE_RESP, 0, 99));
        assert_eq!(rig.headers(), expected, "{bytes:02x?}");
        assert_eq!(rig.events(), [], "{bytes:02x?}");
    }
}

#[test]
fn a_text_length_past_the_end_is_refused_and_the_next_pdu_is_in_step() {
    let mut rig = Rig::bound(smpp());
    let mut body = deliver_body(b"");
    *body.last_mut().unwrap() = 255;
    body.push(b'A');
    rig.feed(&[pdu(DELIVER, 0, 8, &body), pdu(ENQUIRE, 0, 9, b"")].concat());
    assert_eq!(rig.headers(), [(DELIVER_RESP, 0x01, 8), (ENQUIRE_RESP, 0, 9)]);
}

#[test]
fn an_absurd_length_is_nacked_and_ends_the_session() {
    for length in [0u32, 15, 65_537, u32::MAX] {
        let mut rig = Rig::bound(smpp());
        rig.feed(&length.to_be_bytes());
        assert_eq!(rig.headers(), [(NACK, 0x02, 0)], "{length}");
        assert!(rig.finished().is_some(), "{length}");
        rig.feed(&pdu(ENQUIRE, 0, 1, b""));
        assert_eq!(rig.headers(), [], "nothing after the end");
    }
}

#[test]
fn a_peer_that_asks_without_reading_is_given_up() {
    let mut rig = Rig::bound(smpp());
    let questions = pdu(ENQUIRE, 0, 1, b"").repeat(20_000);
    rig.feed(&questions);
    assert!(rig.finished().is_some());
}

#[test]
fn random_bytes_after_the_bind_never_panic_and_leave_one_outcome_each() {
    let mut seed = 1u64;
    let mut random = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as u32
    };
    for _ in 0..2_000 {
        let mut rig = Rig::bound(smpp());
        rig.submit(1..=6);
        rig.sequences();
        let ids = [SUBMIT_RESP, NACK, DELIVER, 0x103, UNBIND, ENQUIRE, BIND_RESP, random()];
        for _ in 0..6 {
            let body: Vec<u8> = (0..random() % 60).map(|_| random() as u8).collect();
            let id = ids[random() as usize % ids.len()];
            rig.feed(&pdu(id, random() % 0x66, random() % 8, &body));
            rig.pass(Duration::from_millis(u64::from(random() % 5_000)));
            rig.session.poll_output(rig.now);
        }
        rig.session.handle_close(Close::Eof, rig.now);
        let mut ids: Vec<u64> = rig
            .links()
            .into_iter()
            .filter_map(|event| match event {
                LinkEvent::Outcome { id, .. } => Some(id.as_u64()),
                _ => None,
            })
            .collect();
        ids.sort_unstable();
        assert_eq!(ids, [1, 2, 3, 4, 5, 6]);
    }
}

#[test]
fn what_a_peer_does_wrong_fills_no_log() {
    let (log, _second) = (Log::default(), second_subscriber());
    let guard = log.listen();
    let mut rig = Rig::bound(smpp());
    let odd: Vec<u8> = [
        pdu(DELIVER, 0, 1, b"\0"),
        pdu(0x0000_0BAD, 0, 2, b""),
        pdu(0x8000_0103, 0, 3, b""),
        pdu(SUBMIT_RESP, 0, 4, b"a\0"),
        pdu(0x0B, 0, 5, b"a\0b\0"),
        pdu(0x0102, 0, 6, b"\0\0\0\0\0\0"),
    ]
    .concat();
    for _ in 0..1_000 {
        rig.feed(&odd);
        rig.frames();
    }
    let first = log.text();
    for event in
        ["pdu_refused", "command_unknown", "response_unexpected", "answer_unawaited", "outbind", "alert"]
    {
        assert!(first.contains(event), "{event} in {first}");
    }
    rig.pass(Duration::from_secs(59));
    rig.feed(&odd);
    assert_eq!(log.text().lines().count(), 10, "{first}");
    rig.now += Duration::from_secs(1);
    rig.feed(&odd);
    assert!(log.text().lines().nth(10).unwrap().contains("lines_left_out"), "{}", log.text());
    rig.session.handle_close(Close::Eof, rig.now);
    drop(guard);
    let text = log.text();
    let count = |line: &str| line.rsplit("count=").next().unwrap().parse::<u64>().unwrap();
    let left_out: u64 = text.lines().skip(10).map(count).sum();
    assert_eq!((text.lines().count(), left_out), (12, 6 * 1_002 - 10), "{text}");
}
