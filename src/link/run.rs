//! The driver of a link: connects, drives a [`Session`] over a stream, backs off, and again, until it is stopped.
//!
//! Invariants:
//! * Exactly one outcome for every submission taken from the channel, whatever state the link is in.
//! * Reading, timers and control go on while a write waits: a peer that stops reading freezes nothing, and
//!   a write that does not move within its deadline ends the session.
//! * Control is drained before each [`Session::poll_output`], so a recall still reaches unwritten bytes.
//! * Outcomes wait in a queue of our own while the core is busy; it is bounded by the window, because each
//!   one answers a lease. Inbound never waits: when the core is full the peer is told to keep it.
//! * Never more than [`INBOUND_CAPACITY`] handed up whose confirmation is not read, over all sessions.
//! * `Down` and `Parked` follow all outcomes of their session; a connect that failed is in the status alone.
//! * A closed channel means that the core is gone: stop in order, as on [`Control::Stop`].
//!
//! What the bytes mean is the session's affair.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc::error::{SendError, TrySendError};
use tokio::sync::{Notify, mpsc};

use super::session::{Close, Session, SessionEvent};
use super::{
    Connection, Control, INBOUND_CAPACITY, Inbound, InboundToken, LinkEnd, LinkEvent, LinkStatus, Outcome,
    SUBMIT_BUCKETS, Submission,
};
use crate::clock::Clock;

/// Back-off after a failed or short session; doubles to the ceiling.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// A session that was up this long was a good one: back-off begins anew.
const STABLE: Duration = Duration::from_secs(60);
/// A parked link tries by itself after this, in case the carrier mended it and nobody told us.
const PARKED_WAIT: Duration = Duration::from_secs(15 * 60);
/// A write that moves no byte for this long has lost its peer.
const WRITE_LIMIT: Duration = Duration::from_secs(10);
/// How long last bytes (an unbind) may take once a session is over.
const LAST_WRITE_LIMIT: Duration = Duration::from_secs(2);
/// How long a connection that takes no more bytes is still read.
const LAST_READ_LIMIT: Duration = Duration::from_secs(1);
/// How long the last outcomes may wait for a core that stops as well.
const LAST_OUTCOMES_LIMIT: Duration = Duration::from_secs(10);
/// Room for one read: several hundred responses.
const READ_BUFFER: usize = 32 * 1024;

/// Opens the stream of a link and begins a session on it.
pub trait Connect: Send {
    type Stream: AsyncRead + AsyncWrite + Send;
    type Session: Session + Send;

    /// Ends within a deadline of its own; an error is a reason for people.
    fn connect(&mut self) -> impl Future<Output = io::Result<(Self::Stream, Self::Session)>> + Send;
}

/// Runs a link until it is stopped. `seed` is all the randomness its back-off has.
pub async fn run<C: Connect>(mut connect: C, end: LinkEnd, clock: Clock, seed: u64) {
    let mut driver = Driver { end, clock, pending: VecDeque::new(), unconfirmed: 0 };
    let mut backoff = Backoff::new(seed);
    loop {
        match driver.live(&mut connect).await {
            Life::Stop => break,
            Life::Restart => backoff.reset(),
            Life::Ended { was_stable, parked } => {
                if was_stable {
                    backoff.reset();
                }
                let wait = if parked { PARKED_WAIT } else { backoff.next() };
                match driver.pause(wait).await {
                    Idle::Done(()) => {}
                    Idle::Restart => backoff.reset(),
                    Idle::Stop => break,
                }
            }
        }
    }
    driver.end().await;
}

/// How one life of the link ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Stop,
    Restart,
    Ended { was_stable: bool, parked: bool },
}

/// What ended a time without a session.
enum Idle<T> {
    Done(T),
    Restart,
    Stop,
}

struct Driver {
    end: LinkEnd,
    clock: Clock,
    /// Events that the core has not taken yet.
    pending: VecDeque<LinkEvent>,
    /// Inbound handed up whose confirmation is not read yet, those of sessions that are gone included.
    unconfirmed: usize,
}

impl Driver {
    async fn live<C: Connect>(&mut self, connect: &mut C) -> Life {
        self.connection(Connection::Connecting, None);
        let (stream, session) = match self.idle(connect.connect()).await {
            Idle::Stop => return Life::Stop,
            Idle::Restart => return Life::Restart,
            Idle::Done(Ok(connected)) => connected,
            Idle::Done(Err(error)) => {
                tracing::warn!(event = "connect_failed", link = %self.end.facts.name, %error);
                self.connection(Connection::Down, Some(format!("cannot connect: {error}")));
                return Life::Ended { was_stable: false, parked: false };
            }
        };
        let (reader, writer) = tokio::io::split(stream);
        let live = Live {
            driver: self,
            session,
            reader,
            writer,
            input: BytesMut::with_capacity(READ_BUFFER),
            output: Bytes::new(),
            write_until: None,
            up_since: None,
            parked: None,
            finished: None,
            leaving: None,
            core_gone: false,
        };
        live.drive().await
    }

    /// Waits without a connection.
    async fn pause(&mut self, wait: Duration) -> Idle<()> {
        let clock = self.clock.clone();
        self.idle(async move { clock.sleep(wait).await }).await
    }

    /// Does `work` while no session is up: submissions come back unwritten at once.
    async fn idle<T>(&mut self, work: impl Future<Output = T>) -> Idle<T> {
        let mut work = std::pin::pin!(work);
        loop {
            self.flush();
            let woken = tokio::select! {
                biased;
                control = self.end.control.recv() => Woken::Control(control),
                submissions = self.end.submissions.recv() => Woken::Submitted(submissions),
                done = &mut work => return Idle::Done(done),
                permit = self.end.outcomes.reserve(), if !self.pending.is_empty() => {
                    send_first(permit, &mut self.pending, &self.end.bell);
                    Woken::Room
                }
            };
            match woken {
                Woken::Control(None | Some(Control::Stop)) | Woken::Submitted(None) => return Idle::Stop,
                Woken::Control(Some(Control::Restart)) => return Idle::Restart,
                Woken::Submitted(Some(submissions)) => submissions.iter().for_each(|s| self.unwritten(s)),
                // The session that wanted it is gone.
                Woken::Control(Some(Control::Confirm { .. })) => self.confirmed(),
                // A recall finds nothing unwritten.
                Woken::Control(Some(_)) | Woken::Room | Woken::Read(_) | Woken::Written(_) | Woken::Timer => {
                }
            }
        }
    }

    fn unwritten(&mut self, submission: &Submission) {
        let (id, index) = (submission.id, submission.index);
        self.pending.push_back(LinkEvent::Outcome { id, index, outcome: Outcome::Unwritten });
    }

    /// Whether the core has room for it.
    fn hand_up(&mut self, token: InboundToken, inbound: Inbound) -> bool {
        if self.unconfirmed >= INBOUND_CAPACITY || self.end.inbound.try_send((token, inbound)).is_err() {
            return false;
        }
        self.unconfirmed += 1;
        self.end.bell.notify_one();
        true
    }

    fn confirmed(&mut self) {
        self.unconfirmed = self.unconfirmed.saturating_sub(1);
    }

    /// Hands the core what it has room for.
    fn flush(&mut self) {
        let mut rang = false;
        while let Some(event) = self.pending.pop_front() {
            match self.end.outcomes.try_send(event) {
                Ok(()) => rang = true,
                Err(TrySendError::Full(event)) => {
                    self.pending.push_front(event);
                    break;
                }
                Err(TrySendError::Closed(_)) => {
                    // Nobody is left to hear; at the next start the lease says that it is unknown.
                    self.pending.clear();
                }
            }
        }
        if rang {
            self.end.bell.notify_one();
        }
    }

    /// Answers what is still in the channels, then ends.
    async fn end(mut self) {
        self.end.submissions.close();
        while let Some(submissions) = self.end.submissions.recv().await {
            submissions.iter().for_each(|s| self.unwritten(s));
        }
        self.connection(Connection::Down, Some("stopped".into()));
        let clock = self.clock.clone();
        let delivered = clock.within(LAST_OUTCOMES_LIMIT, async {
            while let Some(event) = self.pending.pop_front() {
                if self.end.outcomes.send(event).await.is_err() {
                    return;
                }
                self.end.bell.notify_one();
            }
        });
        if delivered.await.is_none() {
            tracing::error!(event = "outcomes_not_taken", link = %self.end.facts.name);
        }
        self.end.bell.notify_one();
    }

    fn connection(&self, connection: Connection, reason: Option<String>) {
        let since = self.clock.now().wall;
        self.end.status.send_modify(|status| {
            status.since = if status.connection == connection { status.since } else { since };
            status.connection = connection;
            status.in_flight = 0;
            if connection == Connection::Up || reason.is_some() {
                status.reason = reason;
            }
        });
        self.end.bell.notify_one();
    }
}

fn send_first(
    permit: Result<mpsc::Permit<'_, LinkEvent>, SendError<()>>,
    pending: &mut VecDeque<LinkEvent>,
    bell: &Notify,
) {
    match (permit, pending.pop_front()) {
        (Ok(permit), Some(event)) => {
            permit.send(event);
            bell.notify_one();
        }
        // The core is gone; see `Driver::flush`.
        _ => pending.clear(),
    }
}

/// A session on its stream.
struct Live<'a, S, R, W> {
    driver: &'a mut Driver,
    session: S,
    reader: R,
    writer: W,
    input: BytesMut,
    /// The batch being written; the next one is asked for when it is gone.
    output: Bytes,
    /// When the write must have moved; `None` while nothing is written.
    write_until: Option<Instant>,
    up_since: Option<Instant>,
    parked: Option<String>,
    finished: Option<String>,
    /// How this life ends when the session does, if it was told to.
    leaving: Option<Life>,
    /// A channel of the core is closed: nothing more comes from it.
    core_gone: bool,
}

/// What one wait brought.
enum Woken {
    Read(io::Result<usize>),
    Written(io::Result<usize>),
    Timer,
    Control(Option<Control>),
    Submitted(Option<Vec<Submission>>),
    Room,
}

impl<S, R, W> Live<'_, S, R, W>
where
    S: Session,
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    async fn drive(mut self) -> Life {
        let why = loop {
            self.drain_channels();
            self.take_events();
            if self.finished.is_some() {
                break Close::Stopping;
            }
            self.fill_output();
            self.publish();
            let woken = self.wait().await;
            if let Some(close) = self.handle(woken) {
                break close;
            }
        };
        self.close(why).await
    }

    /// Control too, before more is written: a recall must find its segment unwritten.
    fn drain_channels(&mut self) {
        while let Ok(control) = self.driver.end.control.try_recv() {
            self.control(control);
        }
        self.take_submissions();
    }

    fn take_submissions(&mut self) {
        while let Ok(submissions) = self.driver.end.submissions.try_recv() {
            self.submit(submissions);
        }
    }

    fn submit(&mut self, submissions: Vec<Submission>) {
        let now = self.now();
        submissions.into_iter().for_each(|submission| self.session.submit(submission, now));
    }

    fn fill_output(&mut self) {
        if self.output.is_empty() {
            let now = self.now();
            self.output = self.session.poll_output(now).unwrap_or_default();
            self.write_until = (!self.output.is_empty()).then(|| now + WRITE_LIMIT);
        }
    }

    async fn wait(&mut self) -> Woken {
        let deadline = [self.session.poll_timeout(), self.write_until].into_iter().flatten().min();
        let clock = &self.driver.clock;
        let timer = async {
            match deadline {
                Some(deadline) => clock.sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        let listening = !self.core_gone;
        let end = &mut self.driver.end;
        let pending = &mut self.driver.pending;
        // A read of a quarter of the buffer at least: less would cost a system call for every few responses.
        self.input.reserve(READ_BUFFER / 4);
        tokio::select! {
            control = end.control.recv(), if listening => Woken::Control(control),
            read = self.reader.read_buf(&mut self.input) => Woken::Read(read),
            written = self.writer.write(&self.output), if !self.output.is_empty() => Woken::Written(written),
            submissions = end.submissions.recv(), if listening => Woken::Submitted(submissions),
            permit = end.outcomes.reserve(), if !pending.is_empty() => {
                send_first(permit, pending, &end.bell);
                Woken::Room
            }
            () = timer => Woken::Timer,
        }
    }

    /// `Some`: the connection is over.
    fn handle(&mut self, woken: Woken) -> Option<Close> {
        let now = self.now();
        match woken {
            Woken::Read(Ok(0)) => return Some(Close::Eof),
            Woken::Read(Ok(_)) => {
                self.session.handle_input(&self.input, now);
                self.input.clear();
            }
            Woken::Written(Ok(count)) if count > 0 => {
                self.output.advance(count);
                self.write_until = (!self.output.is_empty()).then(|| now + WRITE_LIMIT);
            }
            Woken::Written(Ok(_)) => return Some(Close::Io("the stream takes no more bytes".into())),
            Woken::Read(Err(error)) | Woken::Written(Err(error)) => {
                return Some(Close::Io(error.to_string()));
            }
            Woken::Timer => {
                if self.write_until.is_some_and(|until| now >= until) {
                    return Some(Close::WriteStalled);
                }
                self.session.handle_timeout(now);
            }
            Woken::Control(Some(control)) => self.control(control),
            Woken::Submitted(Some(submissions)) => self.submit(submissions),
            Woken::Control(None) | Woken::Submitted(None) => {
                self.core_gone = true;
                self.leave(Life::Stop);
            }
            Woken::Room => {}
        }
        None
    }

    /// What was handed over before it comes first, so that a recall reaches it.
    fn control(&mut self, control: Control) {
        self.take_submissions();
        let now = self.now();
        match control {
            Control::Recall(id) => self.session.recall(id, now),
            Control::RecallAll => self.session.recall_all(now),
            Control::Confirm { token, stored } => {
                self.driver.confirmed();
                match stored {
                    true => self.session.confirm(token, now),
                    false => self.session.refuse(token, now),
                }
            }
            Control::Restart => self.leave(Life::Restart),
            Control::Stop => self.leave(Life::Stop),
        }
    }

    fn leave(&mut self, how: Life) {
        if self.leaving != Some(Life::Stop) {
            self.leaving = Some(how);
        }
        let now = self.now();
        self.session.stop(now);
    }

    fn take_events(&mut self) {
        let mut status = self.driver.end.status.borrow().clone();
        while let Some(event) = self.session.poll_event() {
            self.take_event(event, &mut status);
        }
        publish(&self.driver.end, status);
        self.driver.flush();
    }

    fn publish(&self) {
        let mut status = self.driver.end.status.borrow().clone();
        status.in_flight = self.session.in_flight();
        status.pace = self.session.pace();
        publish(&self.driver.end, status);
    }

    fn take_event(&mut self, event: SessionEvent, status: &mut LinkStatus) {
        let now = self.driver.clock.now();
        match event {
            SessionEvent::Link(LinkEvent::Parked { reason }) => {
                self.parked.get_or_insert(reason);
            }
            SessionEvent::Link(event) => {
                match &event {
                    LinkEvent::Up => {
                        self.up_since = Some(now.mono);
                        (status.connection, status.since, status.reason) = (Connection::Up, now.wall, None);
                        status.sessions_total += 1;
                        tracing::info!(event = "link_up", link = %self.driver.end.facts.name);
                    }
                    LinkEvent::Outcome { outcome: Outcome::Accepted { .. }, .. } => {
                        status.submitted_total += 1
                    }
                    _ => {}
                }
                self.driver.pending.push_back(event);
            }
            SessionEvent::Inbound { token, inbound } => {
                if !self.driver.hand_up(token, inbound) {
                    self.session.refuse(token, now.mono);
                }
            }
            SessionEvent::Finished { reason } => {
                self.finished.get_or_insert(reason);
            }
            SessionEvent::Throttled => status.throttled_total += 1,
            SessionEvent::Answered { after } => observe(after, status),
            SessionEvent::Modem(modem) => status.modem = Some(*modem),
        }
    }

    /// Writes the last bytes, gives every submission its outcome, and says that the link is down.
    async fn close(mut self, why: Close) -> Life {
        match why {
            Close::Stopping => self.write_last().await,
            Close::Io(_) => self.read_rest().await,
            Close::Eof | Close::WriteStalled => {}
        }
        let reason = self.finished.take().unwrap_or_else(|| words(&why));
        let now = self.now();
        self.session.handle_close(why, now);
        self.take_events();
        let name = &self.driver.end.facts.name;
        let parked = self.parked.take();
        let (connection, reason, event) = match parked {
            Some(reason) => (Connection::Parked, reason.clone(), LinkEvent::Parked { reason }),
            None => (Connection::Down, reason.clone(), LinkEvent::Down { reason }),
        };
        let reason_shown = reason.escape_debug();
        match &self.leaving {
            Some(_) => tracing::info!(event = "session_over", link = %name, reason = %reason_shown),
            None => {
                tracing::warn!(event = "session_over", link = %name, state = ?connection, reason = %reason_shown)
            }
        }
        self.driver.pending.push_back(event);
        self.driver.connection(connection, Some(reason));
        self.driver.flush();
        let was_stable = self.up_since.is_some_and(|since| now >= since + STABLE);
        self.leaving.unwrap_or(Life::Ended { was_stable, parked: connection == Connection::Parked })
    }

    /// A write can fail before the last answers are read: each one read here is one unknown less.
    async fn read_rest(&mut self) {
        let clock = self.driver.clock.clone();
        let (session, reader, input) = (&mut self.session, &mut self.reader, &mut self.input);
        let rest = clock.within(LAST_READ_LIMIT, async {
            loop {
                input.clear();
                match reader.read_buf(input).await {
                    Ok(0) | Err(_) => return,
                    Ok(_) => session.handle_input(input, clock.now().mono),
                }
            }
        });
        if rest.await.is_none() {
            tracing::debug!(event = "peer_goes_on", link = %self.driver.end.facts.name);
        }
    }

    async fn write_last(&mut self) {
        let now = self.now();
        let last = self.session.poll_output(now).unwrap_or_default();
        let clock = self.driver.clock.clone();
        let (writer, output) = (&mut self.writer, &self.output);
        let written = clock.within(LAST_WRITE_LIMIT, async {
            writer.write_all(output).await?;
            writer.write_all(&last).await?;
            writer.shutdown().await
        });
        if let Some(Err(error)) = written.await {
            tracing::debug!(event = "last_bytes_not_written", link = %self.driver.end.facts.name, %error);
        }
    }

    fn now(&self) -> Instant {
        self.driver.clock.now().mono
    }
}

fn publish(end: &LinkEnd, status: LinkStatus) {
    end.status.send_if_modified(|published| {
        let changed = *published != status;
        *published = status;
        changed
    });
}

fn words(why: &Close) -> String {
    match why {
        Close::Eof => "the peer closed the connection".into(),
        Close::Io(error) => error.clone(),
        Close::WriteStalled => "the peer stopped reading".into(),
        Close::Stopping => "stopped".into(),
    }
}

fn observe(after: Duration, status: &mut LinkStatus) {
    let seconds = after.as_secs_f64();
    status.submit_sum += after;
    for (count, bound) in status.submit_buckets.iter_mut().zip(SUBMIT_BUCKETS) {
        if seconds <= bound {
            *count += 1;
        }
    }
}

/// Exponential with jitter between half and all of each step, so that many links do not come back at once.
struct Backoff {
    seed: u64,
    step: Duration,
}

impl Backoff {
    fn new(seed: u64) -> Backoff {
        Backoff { seed, step: FIRST_WAIT }
    }

    fn reset(&mut self) {
        self.step = FIRST_WAIT;
    }

    fn next(&mut self) -> Duration {
        // The step of splitmix64, enough to tell links apart.
        self.seed = self.seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.seed ^ (self.seed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let share = f64::from((mixed >> 40) as u32) / f64::from(1u32 << 24);
        let wait = self.step.mul_f64(0.5 + share / 2.0);
        self.step = (self.step * 2).min(LONGEST_WAIT);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_off_grows_to_its_ceiling_with_jitter_and_begins_anew() {
        let mut backoff = Backoff::new(7);
        let waits: Vec<Duration> = (0..12).map(|_| backoff.next()).collect();
        assert!(waits[0] >= FIRST_WAIT / 2 && waits[0] <= FIRST_WAIT);
        assert!(waits[8..].iter().all(|wait| *wait >= LONGEST_WAIT / 2 && *wait <= LONGEST_WAIT));
        assert_ne!(waits[10], waits[11]);
        assert_ne!(Backoff::new(8).next(), waits[0], "two links differ");
        backoff.reset();
        assert!(backoff.next() <= FIRST_WAIT);
    }

    #[test]
    fn the_histogram_is_cumulative() {
        let mut status = LinkStatus::new(crate::clock::Timestamp::MIN);
        observe(Duration::from_millis(10), &mut status);
        observe(Duration::from_secs(30), &mut status);
        assert_eq!(status.submit_buckets, [0, 1, 1, 1, 1, 1, 1, 2]);
        assert_eq!(status.submit_sum, Duration::from_millis(30_010));
    }
}
