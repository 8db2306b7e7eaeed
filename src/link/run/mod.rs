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
//! * Nothing is handed up before the core can read every [`LinkEvent::Answered`] that came before it, or a
//!   second message of the same words would be taken for the first again.
//! * At its end a session that the core believes up says `Down` or `Parked`, after all its outcomes; a connect
//!   that failed is in the status alone.
//! * A closed channel means that the core is gone: stop in order, as on [`Control::Stop`](super::Control::Stop).
//!
//! What the bytes mean is the session's affair.
//!
//! `live.rs` is the time with a session, `idle.rs` the time without one, `backoff.rs` how long that lasts.

mod backoff;
mod idle;
mod live;

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc::error::{SendError, TrySendError};
use tokio::sync::{Notify, mpsc};

use self::backoff::{Backoff, LONGEST_WAIT};
use self::idle::{Idle, Pause};
use self::live::Live;
use super::session::Session;
use super::{Connection, INBOUND_CAPACITY, Inbound, InboundToken, LinkEnd, LinkEvent, Outcome, Submission};
use crate::clock::Clock;

/// A parked link tries by itself after this, in case the carrier mended it and nobody told us.
const PARKED_WAIT: Duration = Duration::from_secs(15 * 60);
/// How long the last outcomes may wait for a core that stops as well.
const LAST_OUTCOMES_LIMIT: Duration = Duration::from_secs(10);

/// Opens the stream of a link and begins a session on it.
pub trait Connect: Send {
    type Stream: AsyncRead + AsyncWrite + Send;
    type Session: Session + Send;

    /// Ends within a deadline of its own; an error is a reason for people.
    fn connect(&mut self) -> impl Future<Output = io::Result<(Self::Stream, Self::Session)>> + Send;

    /// Ends when another try may fare better than the last did, and so ends the back-off; for a peer that
    /// cannot be seen from here it never does. It does not end at once, because a device that comes and goes
    /// would be opened as fast as it can be.
    fn changed(&mut self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }

    /// What the back-off grows to.
    fn longest_wait(&self) -> Duration {
        LONGEST_WAIT
    }
}

/// Runs a link until it is stopped. `seed` is all the randomness its back-off has.
pub async fn run<C: Connect>(mut connect: C, end: LinkEnd, clock: Clock, seed: u64) {
    let mut driver = Driver { end, clock, pending: VecDeque::new(), unconfirmed: 0 };
    let mut backoff = Backoff::new(seed, connect.longest_wait());
    loop {
        match driver.live(&mut connect).await {
            Life::Stop => break,
            Life::Restart => backoff.reset(),
            Life::Ended { was_stable, parked } => {
                if was_stable {
                    backoff.reset();
                }
                let wait = if parked { PARKED_WAIT } else { backoff.next() };
                match driver.pause(wait, &mut connect).await {
                    Idle::Done(Pause::Over) => {}
                    Idle::Done(Pause::Changed) | Idle::Restart => backoff.reset(),
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
        Live::new(self, session, reader, writer).drive().await
    }

    fn unwritten(&mut self, submission: &Submission) {
        let (id, index) = (submission.id, submission.index);
        self.pending.push_back(LinkEvent::Outcome { id, index, outcome: Outcome::Unwritten });
    }

    /// Whether the core has room for it.
    fn hand_up(&mut self, token: InboundToken, inbound: Inbound) -> bool {
        self.flush();
        let answered_waits = self.pending.iter().any(|event| matches!(event, LinkEvent::Answered { .. }));
        if answered_waits
            || self.unconfirmed >= INBOUND_CAPACITY
            || self.end.inbound.try_send((token, inbound)).is_err()
        {
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
        // Once the channels are closed: who waits for that would otherwise look too early and hear no more.
        let bell = Arc::clone(&self.end.bell);
        drop(self);
        bell.notify_one();
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
