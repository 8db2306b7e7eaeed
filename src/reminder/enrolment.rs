//! Where an obligation stands in its sequence: what waits, what went, why it stopped.
//!
//! `scheduled -> active -> completed`; `active <-> paused`; anything `-> exited`. The ledger of steps is what
//! makes a step go once: a step of a sequence that has a note of having gone in a cycle never goes again in it,
//! whatever sequences stand between.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::name::Key;
use crate::clock::Timestamp;
use crate::id::MessageId;
use crate::message::Msisdn;

/// An obligation's way through one version of a sequence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolment {
    pub sequence: Key,
    pub version: u32,
    pub since: Timestamp,
    pub state: EnrolmentState,
    /// Reminders of this sequence that the network took, in this cycle.
    pub reminders_accepted: u32,
    /// The step that goes next, and not before when.
    pub next: Option<NextStep>,
    /// Why the next step did not go when it was tried, where it was.
    pub refused: Option<Refused>,
    /// The day its steps count from, where that is not the due date: the day a debit came back.
    pub anchor: Option<Date>,
    /// The sequence that begins when its pause ends, where another was named meanwhile.
    pub instead: Option<Key>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextStep {
    pub step: Key,
    pub at: Timestamp,
}

/// What a gate said of the next step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    pub step: Key,
    /// The gate's word, as [`super::gate::Gate`] writes it.
    pub gate: String,
    pub pack: Option<Key>,
    pub rule: String,
    pub at: Timestamp,
}

/// Stored by position: append only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EnrolmentState {
    /// No step was tried yet.
    Scheduled,
    Active,
    Paused {
        reason: PauseReason,
        until: Option<Timestamp>,
    },
    /// Every step went or is over.
    Completed {
        at: Timestamp,
    },
    Exited {
        reason: ExitReason,
        at: Timestamp,
    },
}

impl EnrolmentState {
    pub const fn as_str(&self) -> &'static str {
        match self {
            EnrolmentState::Scheduled => "scheduled",
            EnrolmentState::Active => "active",
            EnrolmentState::Paused { .. } => "paused",
            EnrolmentState::Completed { .. } => "completed",
            EnrolmentState::Exited { .. } => "exited",
        }
    }

    /// Nothing of this enrolment goes any more.
    pub const fn is_over(&self) -> bool {
        matches!(self, EnrolmentState::Completed { .. } | EnrolmentState::Exited { .. })
    }
}

/// Why reminders wait. Stored by position: append only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseReason {
    Promise,
    PaidClaim,
    Dispute,
    Hardship,
    /// A reply or a doubt waits for a person.
    Review,
    DeliveryProblem,
    Manual,
    Plan,
}

impl PauseReason {
    pub const fn as_str(self) -> &'static str {
        match self {
            PauseReason::Promise => "promise",
            PauseReason::PaidClaim => "paid_claim",
            PauseReason::Dispute => "dispute",
            PauseReason::Hardship => "hardship",
            PauseReason::Review => "review",
            PauseReason::DeliveryProblem => "delivery_problem",
            PauseReason::Manual => "manual",
            PauseReason::Plan => "plan",
        }
    }
}

/// Why an enrolment ended before its sequence did. Stored by position: append only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitReason {
    Paid,
    OptedOut,
    WrongNumber,
    Deceased,
    Attorney,
    HandedOver,
    Canceled,
    /// Another enrolment took its place.
    Superseded,
    InvalidNumber,
}

impl ExitReason {
    pub const fn as_str(self) -> &'static str {
        match self {
            ExitReason::Paid => "paid",
            ExitReason::OptedOut => "opted_out",
            ExitReason::WrongNumber => "wrong_number",
            ExitReason::Deceased => "deceased",
            ExitReason::Attorney => "attorney",
            ExitReason::HandedOver => "handed_over",
            ExitReason::Canceled => "canceled",
            ExitReason::Superseded => "superseded",
            ExitReason::InvalidNumber => "invalid_number",
        }
    }
}

/// What became of one step of a sequence in one cycle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepNote {
    pub cycle: u32,
    /// The sequence that it is of, where the obligation is in another by now: most are of the one that it is in.
    pub left: Option<Key>,
    pub step: Key,
    pub how: StepOutcome,
}

/// The menu of a text, as it was then: an answer means what the text said, whatever the menu says by now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedMenu {
    pub key: Key,
    /// Of all that its options said and did ([`super::menu::Menu::digest`]).
    pub digest: u32,
}

/// Stored by position: append only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StepOutcome {
    /// It became a message; that message's status tells the rest. `accepted`: the network took it, or it is not
    /// known that it did not.
    Gone {
        message: MessageId,
        to: Msisdn,
        at: Timestamp,
        /// Key, language and version.
        template: String,
        accepted: bool,
        /// Its menu, if it had one.
        menu: Option<AskedMenu>,
        /// The option of it that was chosen.
        answer: Option<u8>,
    },
    /// Its time passed before it could go.
    Stale { at: Timestamp },
    /// A gate said that it is over.
    Skipped { at: Timestamp, gate: String, rule: String },
    /// It fell into a gap of what is known (a restored backup): a person decides.
    Unknown { at: Timestamp },
}

/// Gate and rule of a step that a person left out.
pub const LEFT_OUT: (&str, &str) = ("sequence", "final");
/// Gate and rule of a step whose text a person canceled.
pub const CANCELED: (&str, &str) = ("person", "canceled");

impl StepOutcome {
    /// Whether it stays as it is by another date or in another enrolment: it went or may have, or a person said so.
    pub fn stays(&self) -> bool {
        match self {
            StepOutcome::Gone { .. } | StepOutcome::Unknown { .. } => true,
            StepOutcome::Skipped { gate, rule, .. } => {
                [LEFT_OUT, CANCELED].contains(&(gate.as_str(), rule.as_str()))
            }
            StepOutcome::Stale { .. } => false,
        }
    }
}

/// Which look at an obligation is due when; the kind tells which index it stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timer {
    pub kind: TimerKind,
    pub at: Timestamp,
}

/// Stored by position, and the byte in its key: append only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TimerKind {
    /// A step that needs a link.
    Step,
    /// The end of a pause; needs nothing.
    Look,
    /// A subscription's next period.
    Period,
    /// A task is overdue.
    Task,
}

impl TimerKind {
    pub const COUNT: usize = 4;
}
