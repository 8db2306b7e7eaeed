//! Links: what carries segments to a network and brings answers back. Floor 2.
//!
//! This is the seam between the core and the wire. Above it nobody knows whether a link is a modem or a
//! bind; below it nobody knows what a reminder is. A protocol is a [`session::Session`]: bytes, time and
//! submissions go in, bytes and events come out, no I/O. [`run`] drives any of them over any stream.
//!
//! One link is one set of bounded channels ([`LinkPort`] is the core's end). Credits, not queues: the core
//! never has more segments leased and unanswered than `window`, so `submissions` and `outcomes` of that
//! capacity can never block either side. Inbound has its own channel, so a flood of replies delays no outcome.

pub mod modem;
pub mod run;
pub mod session;
pub mod smpp;
mod tcp;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc, watch};

use crate::clock::Timestamp;
use crate::id::MessageId;
use crate::message::{Encoding, LinkName, Msisdn, RawCode, ReceiptState, Reference, Sender};

pub use crate::message::Outcome;
pub use crate::retry::RetryClass;
pub use crate::sms::segment::Concat;

/// Replies and receipts that a link may have handed up without an answer from the core, over all its
/// sessions: what a session that is gone left unanswered still takes its place. [`LinkPort::tell`] says what
/// rests on it.
pub const INBOUND_CAPACITY: usize = 128;
/// Late answers, state changes and the like that may ride beside a full window of outcomes.
pub const OUTCOME_SLACK: usize = 64;

/// One segment, leased to a link. The link encodes it for its wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    pub id: MessageId,
    /// 0-based position of the segment in its message.
    pub index: u8,
    /// Which lease: names one sending of several of a segment. Comes back with a late answer.
    pub lease: u64,
    pub to: Msisdn,
    pub sender: Option<Sender>,
    /// The text of this segment alone.
    pub text: String,
    pub encoding: Encoding,
    /// Present when the message has more than one segment.
    pub concat: Option<Concat>,
    pub flash: bool,
    pub receipt: bool,
    /// What is left of the message's validity at lease time.
    pub validity: Duration,
}

/// The SMPP user_message_reference of one segment (SMPP 3.4 section 5.3.2.17): 16 bits mixed from the
/// message's id, the same on both sides of the seam. Some SMSCs echo it in the receipt; 16 bits can only
/// choose among few candidates, never name a message alone.
pub fn user_message_reference(id: MessageId, index: u8) -> u16 {
    let mut mixed = id.as_u64() ^ (u64::from(index) << 56);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (mixed ^ (mixed >> 31)) as u16
}

/// A session's handle for one inbound PDU that waits for its confirmation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InboundToken(pub u64);

/// What a peer handed us and wants confirmed once it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inbound {
    Receipt(Receipt),
    Reply(RawReply),
    /// It could not be decoded; kept as it came, for people.
    Poison(Poison),
}

/// How a message that was handed up before is known when the network hands it up again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Repeat {
    /// Read from a memory of the modem until it is deleted there: SIM, sender, SCTS and octets name it for
    /// good, so what has the same key is the same message.
    Stored([u8; 16]),
    /// A deliver_sm: what has the same key is the same message only until the answer to the first is
    /// written, which [`LinkEvent::Answered`] says; after that it is a second message of the same words.
    UntilAnswered([u8; 16]),
}

/// An inbound PDU nobody could read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poison {
    /// The octets, or the characters of the line where they are no hex.
    pub raw: Vec<u8>,
    /// For people.
    pub why: String,
    pub repeat: Repeat,
}

/// A delivery receipt or status report, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The reference it names; `None` when it named none that could be read.
    pub reference: Option<Reference>,
    /// References that mean the same under the link's `receipt_id` setting, tried after `reference`.
    pub alternatives: Vec<Reference>,
    pub state: ReceiptState,
    /// The recipient it speaks of, as digits, where the wire names one.
    pub recipient: Option<Msisdn>,
    /// SMPP user_message_reference, echoed by some SMSCs.
    pub user_message_reference: Option<u16>,
    /// `stat`/`err` or TP-Status as it came, for people.
    pub raw: Option<RawCode>,
}

/// A mobile-originated message as it came, one segment; decoding and reassembly are the core's affair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawReply {
    /// Sender and recipient addresses as written on the wire, without a plus. A modem knows no recipient.
    pub from: String,
    pub to: String,
    /// The sender where the wire says that it is an international number.
    pub number: Option<Msisdn>,
    /// The whole PDU.
    pub raw: Vec<u8>,
    /// Text of this segment; `None` where it is binary, for an application port, or in no known alphabet.
    pub text: Option<String>,
    pub concat: Option<Concat>,
    /// When the SMSC got it (TP-SCTS), where the wire says so and it can be believed.
    pub sent_at: Option<Timestamp>,
    pub repeat: Repeat,
}

/// What a session reports to the core, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// A session is up; submissions may be leased.
    Up,
    /// The session ended and all its outcomes came before this; or it lives and can send nothing for now, and
    /// outcomes of what is on its way may follow.
    Down { reason: String },
    /// A person must act before it can come up (password, account, PIN). All outcomes came before this.
    Parked { reason: String },
    /// The one outcome of a lease: gives its credit back.
    Outcome { id: MessageId, index: u8, outcome: Outcome },
    /// An answer to a segment that was already reported `Unknown`, by the lease it was sent in: gives no credit back.
    Late { id: MessageId, index: u8, lease: u64, outcome: Outcome },
    /// The network has the confirmation of this inbound PDU: what comes again is not the same message.
    Answered { token: InboundToken },
}

/// What the core says to a link beside submissions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// Hand back what is not yet written of this message.
    Recall(MessageId),
    /// Hand back everything not yet written (pause).
    RecallAll,
    /// The inbound PDU is durable (`stored`), or could not be stored and must be sent again.
    Confirm { token: InboundToken, stored: bool },
    /// Forget back-off and parking and connect now.
    Restart,
    /// Finish what is on the wire, say goodbye, end.
    Stop,
}

/// State of a link as the link itself sees it; `paused` is the core's addition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    Connecting,
    Up,
    Down,
    Parked,
}

/// What a link publishes for people: state, why, and numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkStatus {
    pub connection: Connection,
    pub since: Timestamp,
    /// Why it is not up, or the last thing that went wrong.
    pub reason: Option<String>,
    pub in_flight: u16,
    /// Segments a second allowed when the link last did something: the lower of its own rate and of what the
    /// links of its account have learnt, together; `None` = unlimited.
    pub pace: Option<f64>,
    pub submitted_total: u64,
    pub throttled_total: u64,
    pub sessions_total: u64,
    /// Time from a submit's bytes to its answer, cumulative counts per bucket of [`SUBMIT_BUCKETS`].
    pub submit_buckets: [u64; SUBMIT_BUCKETS.len()],
    pub submit_sum: Duration,
    /// What a modem says of itself; `None` for a bind.
    pub modem: Option<ModemStatus>,
}

/// A modem as it described itself last. Everything is `None` until it was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModemStatus {
    pub manufacturer: Option<String>,
    pub model: Option<String>,
    pub imei: Option<String>,
    pub imsi: Option<String>,
    pub iccid: Option<String>,
    pub operator: Option<String>,
    pub registration: Option<Registration>,
    pub signal_dbm: Option<i16>,
    /// Slots used and there, over all memories that are read.
    pub storage: Option<(u32, u32)>,
    /// The last error answer or trouble, with its code, for people.
    pub last_error: Option<String>,
}

impl ModemStatus {
    /// Forgets what may have changed once nobody asks it any more; what it is and what went wrong stay.
    pub fn leave(&mut self) {
        (self.operator, self.registration, self.signal_dbm, self.storage) = (None, None, None, None);
    }
}

/// `<stat>` of +CREG and +CEREG (3GPP TS 27.007 section 7.2), as far as SMS is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registration {
    Idle,
    Home,
    Searching,
    Denied,
    Unknown,
    Roaming,
    EmergencyOnly,
}

impl Registration {
    pub const ALL: [Registration; 7] = [
        Registration::Idle,
        Registration::Home,
        Registration::Searching,
        Registration::Denied,
        Registration::Unknown,
        Registration::Roaming,
        Registration::EmergencyOnly,
    ];

    /// As the API and the metrics write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Registration::Idle => "idle",
            Registration::Home => "home",
            Registration::Searching => "searching",
            Registration::Denied => "denied",
            Registration::Unknown => "unknown",
            Registration::Roaming => "roaming",
            Registration::EmergencyOnly => "emergency_only",
        }
    }
}

/// Upper bounds, in seconds, of the submit histogram.
pub const SUBMIT_BUCKETS: [f64; 8] = [0.005, 0.02, 0.1, 0.5, 1.0, 5.0, 20.0, f64::INFINITY];

impl LinkStatus {
    pub fn new(since: Timestamp) -> LinkStatus {
        LinkStatus {
            connection: Connection::Connecting,
            since,
            reason: None,
            in_flight: 0,
            pace: None,
            submitted_total: 0,
            throttled_total: 0,
            sessions_total: 0,
            submit_buckets: [0; SUBMIT_BUCKETS.len()],
            submit_sum: Duration::ZERO,
            modem: None,
        }
    }
}

/// What a link is, beside its traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkFacts {
    pub name: LinkName,
    /// Links with the same account share receipts and pace.
    pub account: LinkName,
    /// "smpp" or "modem", for people.
    pub kind: &'static str,
    /// Segments that may be leased and unanswered.
    pub window: u16,
}

/// The core's end of a link.
#[derive(Debug)]
pub struct LinkPort {
    pub facts: LinkFacts,
    /// What one step leased here goes in one piece, so that the link wakes once and writes once. Capacity
    /// `window`, which is enough: none is empty, and together they never hold more than that.
    pub submissions: mpsc::Sender<Vec<Submission>>,
    /// Capacity twice [`INBOUND_CAPACITY`] + `window` + slack; the core writes to it by [`LinkPort::tell`].
    pub control: mpsc::Sender<Control>,
    /// Capacity `window` + [`OUTCOME_SLACK`] + [`INBOUND_CAPACITY`], each of which may be answered once.
    pub outcomes: mpsc::Receiver<LinkEvent>,
    /// Capacity [`INBOUND_CAPACITY`].
    pub inbound: mpsc::Receiver<(InboundToken, Inbound)>,
    pub status: watch::Receiver<LinkStatus>,
}

impl LinkPort {
    /// Says something to the link without waiting.
    ///
    /// A confirmation always fits: the link hands up at most [`INBOUND_CAPACITY`] that it has not read the
    /// confirmations of, each is confirmed once, and nothing else is taken unless as many places stay free
    /// after it. Those others still have `window` and the slack, whatever waits of confirmations.
    ///
    /// # Errors
    /// What was to be said, where the link is gone (`Closed`) or reads nothing any more (`Full`).
    pub fn tell(&self, control: Control) -> Result<(), TrySendError<Control>> {
        let confirms = matches!(control, Control::Confirm { .. });
        if !confirms && !self.control.is_closed() && self.control.capacity() <= INBOUND_CAPACITY {
            return Err(TrySendError::Full(control));
        }
        self.control.try_send(control)
    }
}

/// The link's end, handed to [`run::run`].
#[derive(Debug)]
pub struct LinkEnd {
    pub facts: LinkFacts,
    pub submissions: mpsc::Receiver<Vec<Submission>>,
    pub control: mpsc::Receiver<Control>,
    pub outcomes: mpsc::Sender<LinkEvent>,
    pub inbound: mpsc::Sender<(InboundToken, Inbound)>,
    pub status: watch::Sender<LinkStatus>,
    /// Rung after every send, so that one waiter in the core hears all links.
    pub bell: Arc<Notify>,
}

/// Makes the two ends of a link.
pub fn channel(facts: LinkFacts, bell: Arc<Notify>, now: Timestamp) -> (LinkPort, LinkEnd) {
    let window = usize::from(facts.window.max(1));
    let (submissions, submissions_rx) = mpsc::channel(window);
    let (control, control_rx) = mpsc::channel(window + 2 * INBOUND_CAPACITY + OUTCOME_SLACK);
    let (outcomes_tx, outcomes) = mpsc::channel(window + OUTCOME_SLACK + INBOUND_CAPACITY);
    let (inbound_tx, inbound) = mpsc::channel(INBOUND_CAPACITY);
    let (status_tx, status) = watch::channel(LinkStatus::new(now));
    let port = LinkPort { facts: facts.clone(), submissions, control, outcomes, inbound, status };
    let end = LinkEnd {
        facts,
        submissions: submissions_rx,
        control: control_rx,
        outcomes: outcomes_tx,
        inbound: inbound_tx,
        status: status_tx,
        bell,
    };
    (port, end)
}
