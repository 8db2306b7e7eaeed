//! Where a message stands: its state, its attempts, and the words the outside uses for both.
//!
//! A head that was never written means "as accepted": waiting for its due time with no attempt. Every
//! reason here is a variant; text is made of it for people only.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Body, LinkName};
use crate::clock::Timestamp;
use crate::retry::RetryClass;

/// Attempts kept in a head; the oldest goes when one more begins.
pub const MAX_ATTEMPTS_KEPT: usize = 16;

/// What changes of a message: its state and its attempts. Absent in the store while nothing has happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    pub state: State,
    pub attempts: Vec<Attempt>,
    /// Attempts that count against the retry plan; a throttled or recalled one does not.
    pub tries: u8,
    /// It was sent again after an unknown once; it will not be a second time.
    pub resent: bool,
}

impl Head {
    /// The head of a message that nothing has happened to yet.
    pub fn accepted(body: &Body) -> Head {
        Head {
            state: State::Waiting { due: body.due, why: Deferral::Scheduled },
            attempts: Vec::new(),
            tries: 0,
            resent: false,
        }
    }
}

/// What went out, over all attempts: once any of them was accepted, the network has the segment.
impl Head {
    /// The network's word on a segment it has: delivered in any attempt, else the newest.
    pub fn taken(&self, index: u8) -> Option<&SegmentState> {
        let states =
            self.attempts.iter().rev().filter_map(|attempt| attempt.segments.get(usize::from(index)));
        let mut taken = states.filter(|s| s.is_out());
        let newest = taken.clone().next();
        taken.find(|s| matches!(s, SegmentState::Delivered { .. })).or(newest)
    }

    /// The network has every segment.
    pub fn is_all_taken(&self, body: &Body) -> bool {
        (0..body.segment_count.max(1)).all(|at| self.taken(at).is_some())
    }

    /// Attempts that were never answered for some segments which no attempt was accepted for, with those
    /// segments' positions; oldest first.
    pub fn doubts(&self) -> impl DoubleEndedIterator<Item = (&Attempt, Vec<u8>)> {
        let doubted = |attempt| {
            let positions =
                positions(attempt, |at, s| *s == SegmentState::Unknown && self.taken(at).is_none());
            (attempt, positions)
        };
        self.attempts.iter().map(doubted).filter(|(_, positions)| !positions.is_empty())
    }

    /// Some of it may be with the network although nobody said so.
    pub fn in_doubt(&self) -> bool {
        self.doubts().next().is_some()
    }

    /// Positions of the segments that are to go next, in order; none while it must not go on.
    pub fn unleased(&self, body: &Body) -> Vec<u8> {
        match (&self.state, self.attempts.last()) {
            (State::Waiting { .. }, _) => {
                (0..body.segment_count.max(1)).filter(|&at| self.taken(at).is_none()).collect()
            }
            (State::Leased { .. }, Some(attempt)) => {
                let missing = positions(attempt, |at, _| self.taken(at).is_none());
                let state = |&at: &u8| attempt.segments.get(usize::from(at));
                if missing.iter().filter_map(state).any(SegmentState::is_trouble) {
                    return Vec::new();
                }
                missing.into_iter().filter(|at| state(at) == Some(&SegmentState::Unwritten)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The link that has some segments of it already: only this one may send the rest.
    pub fn bound_to(&self) -> Option<&LinkName> {
        let bound = |attempt: &&Attempt| attempt.segments.iter().any(SegmentState::is_out);
        self.attempts.iter().rev().find(bound).map(|attempt| &attempt.link)
    }

    /// As the last attempt has it.
    pub fn segment(&self, index: u8) -> Option<&SegmentState> {
        self.attempts.last()?.segments.get(usize::from(index))
    }

    /// The attempt that this lease was a part of.
    pub fn attempt_of(&self, lease: u64) -> Option<&Attempt> {
        self.attempts.iter().find(|attempt| attempt.lease >= lease)
    }

    /// The newest lease this head knows of; 0 before the first.
    pub fn lease(&self) -> u64 {
        self.attempts.last().map_or(0, |attempt| attempt.lease)
    }
}

fn positions(attempt: &Attempt, wanted: impl Fn(u8, &SegmentState) -> bool) -> Vec<u8> {
    (0u8..).zip(&attempt.segments).filter(|&(at, s)| wanted(at, s)).map(|(at, _)| at).collect()
}

/// Where a message stands. [`Status`] is what the outside is told of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    Waiting {
        due: Timestamp,
        why: Deferral,
    },
    /// Handed to the link; from here until its outcome any byte may be on the wire.
    Leased {
        link: LinkName,
    },
    /// Accepted by the network, the last word unless a receipt comes.
    Sent {
        at: Timestamp,
        receipt: ReceiptWait,
    },
    /// It went out and no answer came. Not closed: a late answer, a receipt or a person resolves it.
    Unknown {
        since: Timestamp,
        why: UnknownWhy,
    },
    Closed {
        how: Final,
        at: Timestamp,
    },
}

/// Why a waiting message waits, where that is the message's own affair. Pace, quota, link and order are
/// derived when somebody asks, never stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Deferral {
    /// For its due time, which may have passed.
    Scheduled,
    /// A temporary refusal; tried again at the due time.
    Retry(Cause),
    /// A person or `on_unknown = "resend"` decided that an unknown goes out once more.
    Resend,
}

/// Whether an accepted message still waits to hear what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReceiptWait {
    NotAsked,
    Until(Timestamp),
    NeverCame,
}

/// Why nobody knows whether it went out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UnknownWhy {
    /// The daemon stopped or crashed between lease and outcome.
    Crash,
    /// The connection or the device went away before the answer.
    LinkLost,
    /// The answer did not come within its deadline.
    NoAnswer,
    /// Restored from a backup: whether it went out since is not known.
    Restored,
    /// An earlier attempt was never answered, and what was to send it again was refused or given up.
    Earlier,
}

impl UnknownWhy {
    /// The stable code, as [`Reason::code`].
    pub const fn code(self) -> &'static str {
        match self {
            UnknownWhy::Crash => "internal.stopped",
            UnknownWhy::LinkLost => "network.link_lost",
            UnknownWhy::NoAnswer => "smsc.no_answer",
            UnknownWhy::Restored => "internal.restored",
            UnknownWhy::Earlier => "internal.not_resent",
        }
    }

    /// One sentence for people.
    pub const fn sentence(self) -> &'static str {
        match self {
            UnknownWhy::Crash => "The daemon ended before the answer came.",
            UnknownWhy::LinkLost => "The link was lost before the answer came.",
            UnknownWhy::NoAnswer => "No answer came in time.",
            UnknownWhy::Restored => "It stood so in a backup; what came after is not known.",
            UnknownWhy::Earlier => "An earlier attempt was never answered, and no later one was accepted.",
        }
    }
}

/// How a message ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Final {
    Delivered,
    /// The network gave up: its receipt says failed or expired.
    Undelivered(Cause),
    /// Refused for good at submission, or tries used up.
    Failed(Cause),
    /// Not sent by `valid_until`.
    Expired,
    Canceled,
    /// Refused by policy before it went out.
    Blocked(Cause),
}

/// One lease of a message to a link, with what became of each segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    pub link: LinkName,
    /// The link's account: receipts are looked up in it.
    pub account: LinkName,
    pub begun: Timestamp,
    /// The last lease it was made in: at start, a lease without a newer head means unknown.
    pub lease: u64,
    /// One a segment, in order.
    pub segments: Vec<SegmentState>,
}

/// What became of one segment in one attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SegmentState {
    Unwritten,
    /// Leased: it may be on the wire.
    Written,
    Accepted {
        reference: Reference,
        at: Timestamp,
    },
    Refused {
        cause: Cause,
        retry: RetryClass,
    },
    Unknown,
    Delivered {
        reference: Reference,
        at: Timestamp,
    },
    /// Its receipt says that it will never arrive.
    Undelivered {
        reference: Reference,
        cause: Cause,
        at: Timestamp,
    },
}

impl SegmentState {
    /// Refused or unknown: the rest of the message must not go on by itself.
    fn is_trouble(&self) -> bool {
        matches!(self, SegmentState::Refused { .. } | SegmentState::Unknown)
    }

    /// The network has it.
    pub fn is_out(&self) -> bool {
        matches!(
            self,
            SegmentState::Accepted { .. } | SegmentState::Delivered { .. } | SegmentState::Undelivered { .. }
        )
    }

    pub fn reference(&self) -> Option<&Reference> {
        match self {
            SegmentState::Accepted { reference, .. }
            | SegmentState::Delivered { reference, .. }
            | SegmentState::Undelivered { reference, .. } => Some(reference),
            _ => None,
        }
    }
}

/// What the network calls a segment it accepted: TP-MR in decimal or SMPP `message_id`. May be empty or
/// repeated (some SMSCs), so never a key on its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Reference(pub String);

impl Reference {
    /// The network has the segment and did not say what it calls it.
    pub const ABSENT: Reference = Reference(String::new());
}

/// Why something was refused or given up, with the number the other side gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    pub reason: Reason,
    pub raw: Option<RawCode>,
}

impl Cause {
    pub const fn new(reason: Reason, raw: RawCode) -> Cause {
        Cause { reason, raw: Some(raw) }
    }

    pub const fn plain(reason: Reason) -> Cause {
        Cause { reason, raw: None }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason.code())?;
        match &self.raw {
            Some(raw) => write!(f, " ({raw})"),
            None => Ok(()),
        }
    }
}

macro_rules! reasons {
    ($($name:ident = $code:literal, $text:literal;)*) => {
        /// Why a message stands where it stands, as stable codes of the API. Append only: they are stored by position.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Reason { $($name,)* }

        impl Reason {
            pub const ALL: &[Reason] = &[$(Reason::$name,)*];

            /// The stable code, `smsc.throttled`.
            pub const fn code(self) -> &'static str {
                match self { $(Reason::$name => $code,)* }
            }

            /// One sentence for people.
            pub const fn sentence(self) -> &'static str {
                match self { $(Reason::$name => $text,)* }
            }
        }
    };
}

reasons! {
    SmscThrottled = "smsc.throttled", "The carrier asked to slow down for too long.";
    SmscQueueFull = "smsc.queue_full", "The carrier's queue is full.";
    SmscTemporary = "smsc.temporary", "The carrier reported a passing error.";
    SmscBadDestination = "smsc.bad_destination", "The carrier says that the number is not valid.";
    SmscBadSender = "smsc.bad_sender", "The carrier does not allow this sender.";
    SmscRejected = "smsc.rejected", "The carrier refused the message.";
    SmscMalformed = "smsc.malformed", "The carrier could not read the request.";
    SmscExpired = "smsc.expired", "The carrier says that the message's validity has passed.";
    SmscAccount = "smsc.account", "The carrier refuses the account or its settings.";
    SmscUnknownCode = "smsc.unknown_code", "The carrier answered with a code that is not known.";
    NetworkUndeliverable = "network.undeliverable", "The network could not deliver the message.";
    NetworkExpired = "network.expired", "The network gave up before the phone could be reached.";
    NetworkRejected = "network.rejected", "The network or the phone refused the message.";
    NetworkDeleted = "network.deleted", "The message was deleted in the network.";
    PolicyOptedOut = "policy.opted_out", "The recipient does not want messages.";
    PolicyCanceled = "policy.canceled", "Canceled.";
    InternalEncoding = "internal.encoding", "The text cannot be written in the link's alphabet.";
    InternalLinkGone = "internal.link_gone", "The link it was bound to is no longer configured.";
    OperatorFailed = "policy.resolved_failed", "A person declared it failed.";
    InternalDamage = "internal.damage", "Its record on the disk is damaged.";
    NetworkTemporary = "network.temporary", "The network reported a passing error.";
    NetworkUnreachable = "network.unreachable", "The recipient's phone cannot take the message now.";
    NetworkBadNumber = "network.bad_number", "The network does not know the number.";
    NetworkRefused = "network.refused", "The network does not carry messages to this number.";
    ModemBadRequest = "modem.bad_request", "The modem or the network could not read the request.";
    ModemFault = "modem.fault", "The modem reported a fault of its own.";
    ModemBusy = "modem.busy", "The modem or its SIM stayed busy.";
    ModemStorage = "modem.storage", "The memory of the modem or the SIM is full or broken.";
    ModemNoNetwork = "modem.no_network", "The modem has no network.";
    ModemNoServiceCentre = "modem.no_service_centre", "The SIM names no service centre; set smsc for the modem.";
    ModemUnknownCode = "modem.unknown_code", "The modem answered with a code that is not known.";
}

/// The number or word the other side used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RawCode {
    /// SMPP command_status.
    CommandStatus(u32),
    /// `stat` and `err` of a receipt, as written.
    Receipt {
        stat: String,
        err: String,
    },
    Cms(u16),
    Cme(u16),
    /// TP-Status of a SMS-STATUS-REPORT.
    TpStatus(u8),
}

impl fmt::Display for RawCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RawCode::CommandStatus(code) => write!(f, "command_status 0x{code:08X}"),
            RawCode::Receipt { stat, err } if err.is_empty() => write!(f, "stat {}", stat.escape_default()),
            RawCode::Receipt { stat, err } => {
                write!(f, "stat {} err {}", stat.escape_default(), err.escape_default())
            }
            RawCode::Cms(code) => write!(f, "+CMS ERROR: {code}"),
            RawCode::Cme(code) => write!(f, "+CME ERROR: {code}"),
            RawCode::TpStatus(code) => write!(f, "TP-Status 0x{code:02X}"),
        }
    }
}

/// What a receipt says of its segment, whatever wire it came on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReceiptState {
    Delivered,
    /// Undelivered for good.
    Failed(Cause),
    /// On its way: ENROUTE, ACCEPTD, buffered. Changes nothing.
    Pending,
    /// A word or number we do not know. Changes nothing; never read as failed.
    Unknown,
}

/// The words of the API for a message's standing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Scheduled,
    Queued,
    Sending,
    Sent,
    Delivered,
    Undelivered,
    Failed,
    Expired,
    Canceled,
    Blocked,
    Unknown,
}

impl Status {
    pub const ALL: [Status; 11] = [
        Status::Scheduled,
        Status::Queued,
        Status::Sending,
        Status::Sent,
        Status::Delivered,
        Status::Undelivered,
        Status::Failed,
        Status::Expired,
        Status::Canceled,
        Status::Blocked,
        Status::Unknown,
    ];

    /// Nothing more becomes of it by itself but a receipt.
    pub const fn is_closed(self) -> bool {
        use Status::{Blocked, Canceled, Delivered, Expired, Failed, Undelivered};
        matches!(self, Delivered | Undelivered | Failed | Expired | Canceled | Blocked)
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Status::Scheduled => "scheduled",
            Status::Queued => "queued",
            Status::Sending => "sending",
            Status::Sent => "sent",
            Status::Delivered => "delivered",
            Status::Undelivered => "undelivered",
            Status::Failed => "failed",
            Status::Expired => "expired",
            Status::Canceled => "canceled",
            Status::Blocked => "blocked",
            Status::Unknown => "unknown",
        }
    }

    pub fn parse(text: &str) -> Option<Status> {
        Status::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

impl State {
    pub fn status(&self, now: Timestamp) -> Status {
        match self {
            State::Waiting { due, why: Deferral::Scheduled } if *due > now => Status::Scheduled,
            State::Waiting { .. } => Status::Queued,
            State::Leased { .. } => Status::Sending,
            State::Sent { .. } => Status::Sent,
            State::Unknown { .. } => Status::Unknown,
            State::Closed { how, .. } => how.status(),
        }
    }
}

impl Final {
    pub const fn status(&self) -> Status {
        match self {
            Final::Delivered => Status::Delivered,
            Final::Undelivered(_) => Status::Undelivered,
            Final::Failed(_) => Status::Failed,
            Final::Expired => Status::Expired,
            Final::Canceled => Status::Canceled,
            Final::Blocked(_) => Status::Blocked,
        }
    }

    pub const fn cause(&self) -> Option<&Cause> {
        match self {
            Final::Undelivered(cause) | Final::Failed(cause) | Final::Blocked(cause) => Some(cause),
            Final::Delivered | Final::Expired | Final::Canceled => None,
        }
    }
}
