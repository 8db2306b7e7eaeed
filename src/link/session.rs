//! The seam every protocol implements: a session is one connected life of a link, without I/O or clock.
//!
//! Bytes that came, time that passed and submissions go in through `handle_*`, `submit`, `recall` and
//! `confirm`; bytes to write, events and the next deadline come out through `poll_*`. After any call the
//! driver polls all three until they are dry. A submission counts as written once `poll_output` has
//! returned its bytes; until then a recall or a close gives it back as [`Outcome::Unwritten`].
//!
//! The driver asks for output again only when it has written all of the last, so a session knows by being
//! asked that those bytes have left; what it says of that is heard at once.
//!
//! [`Outcome::Unwritten`]: super::Outcome::Unwritten

use std::time::Instant;

use bytes::Bytes;

use super::{Inbound, InboundToken, LinkEvent, ModemStatus, Submission};
use crate::id::MessageId;

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Close {
    /// The peer closed, or the device went away.
    Eof,
    /// Reading or writing failed.
    Io(String),
    /// A write did not finish within its deadline.
    WriteStalled,
    /// We stop; what is on the wire had its time.
    Stopping,
}

/// What comes out of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionEvent {
    /// For the core: outcomes, up, parked.
    Link(LinkEvent),
    /// For the core, by the inbound channel; answered by `confirm` or `refuse`.
    Inbound { token: InboundToken, inbound: Inbound },
    /// The session is over and the connection is to be closed once output is written.
    Finished { reason: String },
    /// The carrier asked to slow down; for the counters.
    Throttled,
    /// An answer to a submit came after this long; for the counters.
    Answered { after: std::time::Duration },
    /// What a modem says of itself, whenever that changed.
    Modem(Box<ModemStatus>),
}

/// One connected life of a link as a pure machine: bytes, submissions and time in, bytes and events out.
pub trait Session {
    fn handle_input(&mut self, bytes: &[u8], now: Instant);
    fn handle_timeout(&mut self, now: Instant);
    /// The connection is gone: every submission gets its outcome, unwritten or unknown.
    fn handle_close(&mut self, why: Close, now: Instant);
    /// Orderly end: no new submissions are written, outstanding ones awaited, then goodbye and `Finished`.
    fn stop(&mut self, now: Instant);

    fn submit(&mut self, submission: Submission, now: Instant);
    /// Gives back what is not yet written of this message.
    fn recall(&mut self, id: MessageId, now: Instant);
    /// Gives back everything not yet written.
    fn recall_all(&mut self, now: Instant);
    /// The inbound PDU is durable.
    fn confirm(&mut self, token: InboundToken, now: Instant);
    /// It is not, and the peer should send it again later.
    fn refuse(&mut self, token: InboundToken, now: Instant);

    /// All bytes that may go now, many PDUs in one.
    fn poll_output(&mut self, now: Instant) -> Option<Bytes>;
    fn poll_event(&mut self) -> Option<SessionEvent>;
    fn poll_timeout(&self) -> Option<Instant>;

    /// Segments written and unanswered.
    fn in_flight(&self) -> u16;
    /// Segments a second allowed now; `None` = unlimited.
    fn pace(&self) -> Option<f64>;
}
