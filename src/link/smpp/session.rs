//! One bound life of a link: the SMPP state machine, without I/O or clock (SMPP 3.4 section 2.2).
//!
//! ```text
//! Binding -- bind_transceiver_resp --> Bound -- stop, unbind, parked --> Draining --> Unbinding --> Finished
//!    `-- refused, silent ----------------`-- absurd length, silence, clogged window ------------------^
//! ```
//! Invariants:
//! * Every submission gets exactly one outcome: at its answer, its deadline, a recall or the close.
//! * A segment is written once, unless the SMSC itself refused it for coming too fast.
//! * Segments are written in the order submitted; a throttled one goes back to its place.
//! * Never more unanswered submit_sm than the window, those given up as unknown included.
//! * A deliver_sm is answered only when the core says that it is stored, or that it is not; that its OK is
//!   written is told when the driver asks for more, and never of one that may not have left.
//! * enquire_link is answered whatever the window holds.
//!
//! Tables are in `window.rs`, statuses in `status.rs`; what a response or a request does is in `traffic.rs`.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::frame::{HEADER, Splitter};
use super::oddities::Oddities;
use super::pdu::{self, id, status};
use super::submit::encode_submit;
use super::window::{Segment, Window};
use crate::config::Smpp;
use crate::id::MessageId;
use crate::link::session::{Close, Session, SessionEvent};
use crate::link::{InboundToken, LinkEvent, Outcome, Submission};
use crate::message::{Cause, Reason, UnknownWhy};
use crate::pace::Pace;
use crate::retry::RetryClass;

/// A PDU that has begun must be complete after this: nobody needs longer for 64 KiB.
const PDU_LIMIT: Duration = Duration::from_secs(10);
/// How long an orderly end waits for answers; then they are unknown. The core's stop waits for this and the
/// goodbye after it.
const DRAIN_LIMIT: Duration = Duration::from_secs(20);
/// How long our unbind waits for its answer.
const UNBIND_LIMIT: Duration = Duration::from_secs(5);
/// An enquire_link waits at most this long for its answer.
const ENQUIRE_LIMIT: Duration = Duration::from_secs(10);
/// Responses not yet written: a peer that asks and does not read gets no more.
const MAX_RESPONSES: usize = 256 * 1024;

/// The session of one bind.
pub struct SmppSession {
    pub(super) config: Arc<Smpp>,
    pub(super) state: State,
    splitter: Splitter,
    /// When the PDU that is not complete yet began.
    partial_since: Option<Instant>,
    /// Everything but submit_sm that waits to be written.
    pub(super) responses: BytesMut,
    pub(super) queue: VecDeque<Segment>,
    next_place: u64,
    pub(super) window: Window,
    pub(super) pace: Pace,
    /// When the pace will have a token for what waits; `None` where nothing was kept waiting by it.
    paced_until: Option<Instant>,
    /// Requests of the SMSC that wait for the core: sequence number and command_id.
    pub(super) inbound: HashMap<InboundToken, (u32, u32)>,
    pub(super) next_token: u64,
    /// Deliveries whose OK is among the responses, and those whose OK the driver is writing.
    pub(super) answering: Vec<InboundToken>,
    writing: Vec<InboundToken>,
    pub(super) enquiry: Enquiry,
    pub(super) oddities: Oddities,
    events: VecDeque<SessionEvent>,
    /// Room where submit_sm are encoded, so that one allocation serves many.
    arena: BytesMut,
}

#[derive(Debug)]
pub(super) enum State {
    Binding {
        sequence: u32,
        until: Instant,
    },
    Bound,
    /// No new submit_sm; answers awaited, then `then`.
    Draining {
        until: Instant,
        then: Farewell,
        reason: String,
    },
    /// Our unbind is out.
    Unbinding {
        until: Instant,
        reason: String,
    },
    Finished,
}

/// How a drained session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Farewell {
    /// We say unbind and await the answer.
    Unbind,
    /// The peer said it; nothing is left to say.
    Close,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Enquiry {
    /// The peer was last heard then.
    Idle {
        heard_at: Instant,
    },
    Awaited {
        sequence: u32,
        until: Instant,
    },
}

impl SmppSession {
    /// Begins with a bind_transceiver. `pace` is the link's, not the session's. `first_token` begins a range
    /// of tokens that no other session of this link uses, so that a confirmation that comes too late
    /// confirms nothing else.
    pub fn new(config: Arc<Smpp>, pace: Pace, first_token: u64, now: Instant) -> SmppSession {
        let mut window = Window::new(config.window);
        let mut responses = BytesMut::new();
        let sequence = window.next_sequence();
        let bind = pdu::encode_bind(&config, sequence, &mut responses);
        let mut session = SmppSession {
            state: State::Binding { sequence, until: now + config.response_timeout },
            splitter: Splitter::default(),
            partial_since: None,
            responses,
            queue: VecDeque::new(),
            next_place: 0,
            window,
            pace,
            paced_until: None,
            inbound: HashMap::new(),
            next_token: first_token,
            answering: Vec::new(),
            writing: Vec::new(),
            enquiry: Enquiry::Idle { heard_at: now },
            oddities: Oddities::default(),
            events: VecDeque::new(),
            arena: BytesMut::new(),
            config,
        };
        if let Err(bad) = bind {
            session.emit(LinkEvent::Parked { reason: bad.to_string() });
            session.finish(bad.to_string());
        }
        session
    }

    pub(super) fn emit(&mut self, event: LinkEvent) {
        self.events.push_back(SessionEvent::Link(event));
    }

    pub(super) fn push_event(&mut self, event: SessionEvent) {
        self.events.push_back(event);
    }

    pub(super) fn outcome(&mut self, segment: &Segment, outcome: Outcome) {
        self.emit(LinkEvent::Outcome { id: segment.id, index: segment.index, outcome });
    }

    /// Puts a throttled segment back to its place among those that wait.
    pub(super) fn put_back(&mut self, segment: Segment) {
        let at = self.queue.partition_point(|waiting| waiting.place < segment.place);
        self.queue.insert(at, segment);
    }

    fn unwrite(&mut self, which: impl Fn(&Segment) -> bool) {
        let (gone, kept) = std::mem::take(&mut self.queue).into_iter().partition(which);
        self.queue = kept;
        let gone: VecDeque<Segment> = gone;
        for segment in &gone {
            self.outcome(segment, Outcome::Unwritten);
        }
    }

    /// A header-only PDU of ours.
    pub(super) fn say(&mut self, command_id: u32, command_status: u32, sequence: u32) {
        pdu::encode_header(command_id, command_status, sequence, &mut self.responses);
    }

    /// Ends at once; what is still awaited becomes unknown when the driver closes.
    pub(super) fn finish(&mut self, reason: String) {
        if !matches!(self.state, State::Finished) {
            self.state = State::Finished;
            self.events.push_back(SessionEvent::Finished { reason });
        }
    }

    /// Ends in order: nothing new is written, answers are awaited.
    pub(super) fn leave(&mut self, reason: String, then: Farewell, now: Instant) {
        self.unwrite(|_| true);
        match self.state {
            State::Binding { .. } => self.finish(reason),
            State::Bound => {
                self.state = State::Draining { until: now + DRAIN_LIMIT, then, reason };
                self.drained(now);
            }
            State::Draining { .. } | State::Unbinding { .. } | State::Finished => {}
        }
    }

    /// Goes on with the end once nothing is awaited.
    pub(super) fn drained(&mut self, now: Instant) {
        if self.window.in_flight() == 0 {
            self.say_farewell(now);
        }
    }

    fn say_farewell(&mut self, now: Instant) {
        let State::Draining { then, reason, .. } = &mut self.state else { return };
        let reason = std::mem::take(reason);
        match then {
            Farewell::Close => self.finish(reason),
            Farewell::Unbind => {
                let sequence = self.window.next_sequence();
                self.say(id::UNBIND, status::OK, sequence);
                self.state = State::Unbinding { until: now + UNBIND_LIMIT, reason };
            }
        }
    }

    /// Appends all submit_sm that window and pace allow.
    fn write_segments(&mut self, now: Instant) {
        self.paced_until = None;
        while !self.queue.is_empty() && self.window.has_room() {
            self.paced_until = self.pace.take(now).err();
            if self.paced_until.is_some() {
                return;
            }
            let Some(segment) = self.queue.pop_front() else { return };
            let pdu = segment.pdu.clone();
            let sequence = self.window.write(segment, now);
            self.responses.extend_from_slice(&pdu[..HEADER - 4]);
            self.responses.extend_from_slice(&sequence.to_be_bytes());
            self.responses.extend_from_slice(&pdu[HEADER..]);
        }
    }

    /// Gives up what was not answered in time; when that is half the window the peer has lost it.
    fn expire(&mut self, now: Instant) {
        while self.window.oldest().is_some_and(|sent_at| now >= sent_at + self.config.response_timeout) {
            if !self.give_up_oldest() {
                break;
            }
        }
        if self.window.is_clogged() && matches!(self.state, State::Bound) {
            let sequence = self.window.next_sequence();
            self.say(id::UNBIND, status::OK, sequence);
            self.finish("too many submits were never answered".into());
        }
    }

    /// Whether there was one.
    fn give_up_oldest(&mut self) -> bool {
        let Some((id, index)) = self.window.give_up_oldest() else { return false };
        self.emit(LinkEvent::Outcome { id, index, outcome: Outcome::Unknown { why: UnknownWhy::NoAnswer } });
        true
    }

    fn enquire(&mut self, now: Instant) {
        match self.enquiry {
            Enquiry::Idle { heard_at } if now >= heard_at + self.config.enquire_link => {
                let sequence = self.window.next_sequence();
                self.say(id::ENQUIRE_LINK, status::OK, sequence);
                let limit = (self.config.response_timeout / 2).min(ENQUIRE_LIMIT);
                self.enquiry = Enquiry::Awaited { sequence, until: now + limit };
            }
            Enquiry::Awaited { until, .. } if now >= until => {
                self.finish("enquire_link was not answered".into())
            }
            Enquiry::Idle { .. } | Enquiry::Awaited { .. } => {}
        }
    }

    fn state_deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Binding { until, .. } | State::Draining { until, .. } | State::Unbinding { until, .. } => {
                Some(*until)
            }
            State::Bound | State::Finished => None,
        }
    }

    fn enquiry_deadline(&self) -> Option<Instant> {
        match (&self.state, self.enquiry) {
            (State::Binding { .. } | State::Finished, _) => None,
            (_, Enquiry::Idle { heard_at }) => Some(heard_at + self.config.enquire_link),
            (_, Enquiry::Awaited { until, .. }) => Some(until),
        }
    }

    fn pace_deadline(&self) -> Option<Instant> {
        self.paced_until.filter(|_| !self.queue.is_empty())
    }
}

/// Without what waits to be written: it may hold the password, texts and numbers.
impl fmt::Debug for SmppSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmppSession")
            .field("link", &self.config.name)
            .field("state", &self.state)
            .field("in_flight", &self.window.in_flight())
            .field("waiting", &self.queue.len())
            .finish_non_exhaustive()
    }
}

impl Session for SmppSession {
    fn handle_input(&mut self, bytes: &[u8], now: Instant) {
        if matches!(self.state, State::Finished) {
            return;
        }
        if let Enquiry::Idle { heard_at } = &mut self.enquiry {
            *heard_at = now;
        }
        self.splitter.push(bytes);
        loop {
            match self.splitter.next_frame() {
                Ok(Some(frame)) => {
                    self.partial_since = None;
                    self.handle_frame(&frame, now);
                }
                Ok(None) => break,
                Err(absurd) => {
                    self.say(id::GENERIC_NACK, status::INVALID_COMMAND_LENGTH, 0);
                    self.finish(absurd.to_string());
                }
            }
            if matches!(self.state, State::Finished) {
                return;
            }
        }
        if self.splitter.is_partial() {
            self.partial_since.get_or_insert(now);
        }
        if self.responses.len() > MAX_RESPONSES {
            self.finish("the peer asks and does not read".into());
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        match &self.state {
            State::Finished => return,
            State::Binding { until, .. } if now >= *until => self.finish("bind was not answered".into()),
            State::Draining { until, .. } if now >= *until => {
                // Before the goodbye, so that a stop knows of them however long the peer takes over it.
                while self.give_up_oldest() {}
                self.say_farewell(now);
            }
            State::Unbinding { until, reason } if now >= *until => {
                let reason = reason.clone();
                self.finish(reason);
            }
            State::Binding { .. } | State::Bound | State::Draining { .. } | State::Unbinding { .. } => {}
        }
        // Whoever calls asks for output next, or when the last is written: waking again would bring that no nearer.
        self.paced_until = self.paced_until.filter(|until| now < *until);
        if self.partial_since.is_some_and(|since| now >= since + PDU_LIMIT) {
            self.finish("a PDU was not completed in time".into());
        }
        if !matches!(self.state, State::Binding { .. } | State::Finished) {
            self.enquire(now);
        }
        self.expire(now);
        if matches!(self.state, State::Draining { .. }) {
            self.drained(now);
        }
    }

    fn handle_close(&mut self, _why: Close, _now: Instant) {
        for segment in self.window.drain() {
            self.outcome(&segment, Outcome::Unknown { why: UnknownWhy::LinkLost });
        }
        self.unwrite(|_| true);
        self.inbound.clear();
        // Whether these came through nobody can know, so the SMSC may send them again.
        self.answering.clear();
        self.writing.clear();
        self.responses.clear();
        self.oddities.sum_up(&self.config.name);
        self.state = State::Finished;
    }

    fn stop(&mut self, now: Instant) {
        self.leave("stopped".into(), Farewell::Unbind, now);
    }

    fn submit(&mut self, submission: Submission, _now: Instant) {
        let Submission { id, index, lease, .. } = submission;
        if !matches!(self.state, State::Bound) {
            return self.emit(LinkEvent::Outcome { id, index, outcome: Outcome::Unwritten });
        }
        match encode_submit(&submission, &self.config, &mut self.arena) {
            Ok(()) => {
                let pdu = self.arena.split().freeze();
                let place = self.next_place;
                self.queue.push_back(Segment { id, index, lease, place, throttles: 0, recalled: false, pdu });
                self.next_place += 1;
            }
            Err(why) => {
                tracing::warn!(event = "segment_not_encoded", link = %self.config.name, %id, error = %why);
                let cause = Cause::plain(Reason::InternalEncoding);
                let outcome = Outcome::Refused { cause, retry: RetryClass::Permanent };
                self.emit(LinkEvent::Outcome { id, index, outcome });
            }
        }
    }

    fn recall(&mut self, id: MessageId, _now: Instant) {
        self.unwrite(|segment| segment.id == id);
        self.window.recall(|segment| segment.id == id);
    }

    fn recall_all(&mut self, _now: Instant) {
        self.unwrite(|_| true);
        self.window.recall(|_| true);
    }

    fn confirm(&mut self, token: InboundToken, _now: Instant) {
        self.settle_inbound(token, status::OK);
    }

    fn refuse(&mut self, token: InboundToken, _now: Instant) {
        self.settle_inbound(token, status::QUEUE_FULL);
    }

    fn poll_output(&mut self, now: Instant) -> Option<Bytes> {
        for token in std::mem::take(&mut self.writing) {
            self.emit(LinkEvent::Answered { token });
        }
        if matches!(self.state, State::Bound) {
            self.write_segments(now);
        }
        self.writing = std::mem::take(&mut self.answering);
        (!self.responses.is_empty()).then(|| self.responses.split().freeze())
    }

    fn poll_event(&mut self) -> Option<SessionEvent> {
        self.events.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        if matches!(self.state, State::Finished) {
            return None;
        }
        let answer = self.window.oldest().map(|sent_at| sent_at + self.config.response_timeout);
        let pdu = self.partial_since.map(|since| since + PDU_LIMIT);
        [self.state_deadline(), self.enquiry_deadline(), self.pace_deadline(), answer, pdu]
            .into_iter()
            .flatten()
            .min()
    }

    fn in_flight(&self) -> u16 {
        u16::try_from(self.window.in_flight()).unwrap_or(u16::MAX)
    }

    fn pace(&self) -> Option<f64> {
        self.pace.per_second()
    }
}
