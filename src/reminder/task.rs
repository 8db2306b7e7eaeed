//! What a person must decide or do: calls, doubts, promises broken, the end of a sequence.

use serde::{Deserialize, Serialize};

use super::name::Key;
use super::suppression::Party;
use crate::clock::Timestamp;
use crate::id::{ContactId, InboundId, ObligationId};

/// A task as kept. `open -> assigned -> done`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// What it is about: one of [`kind`], or what a menu or a sequence of the firm names.
    pub kind: Key,
    pub obligation: Option<ObligationId>,
    pub contact: Option<ContactId>,
    /// The reply that opened it.
    pub reply: Option<InboundId>,
    /// Who wrote that reply, which may be deleted before the task is done.
    pub from: Option<Party>,
    pub opened_at: Timestamp,
    /// To be done by then.
    pub due: Timestamp,
    pub assignee: Option<String>,
    pub state: TaskState,
    /// Why it was opened, in words, without texts or numbers.
    pub note: String,
    /// Grows with each change; its ETag.
    pub version: u64,
    /// It was overdue once and said so.
    pub escalated: bool,
}

/// Stored by position: append only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskState {
    Open,
    Assigned,
    Done { outcome: TaskOutcome, at: Timestamp, by: String },
}

impl TaskState {
    pub const fn as_str(&self) -> &'static str {
        match self {
            TaskState::Open => "open",
            TaskState::Assigned => "assigned",
            TaskState::Done { .. } => "done",
        }
    }
}

/// What a person made of it, and what follows. Stored by position: append only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskOutcome {
    /// The reminders go on.
    Resume,
    /// The due date moves.
    Extend { due_date: jiff::civil::Date },
    /// Instalments were agreed; the plan itself is made by itself.
    Plan,
    /// The last step goes next.
    Final,
    /// To collection or court: nothing more from here.
    HandOver,
    /// Nothing more to this number.
    Suppress,
    /// It is paid, whatever the books say yet.
    Paid,
    /// The number was wrong; the right one.
    CorrectNumber { number: crate::message::Msisdn },
}

impl TaskOutcome {
    pub const fn as_str(&self) -> &'static str {
        match self {
            TaskOutcome::Resume => "resume",
            TaskOutcome::Extend { .. } => "extend",
            TaskOutcome::Plan => "plan",
            TaskOutcome::Final => "final",
            TaskOutcome::HandOver => "hand_over",
            TaskOutcome::Suppress => "suppress",
            TaskOutcome::Paid => "paid",
            TaskOutcome::CorrectNumber { .. } => "correct_number",
        }
    }
}

/// Kinds that the engine opens by itself.
pub mod kind {
    /// A reply that nobody but a person can answer.
    pub const REVIEW: &str = "review";
    /// Every number of a contact has no common hour of day, or no zone is known.
    pub const NEEDS_ZONE: &str = "needs_zone";
    /// The text could not be made of what is known.
    pub const RENDER: &str = "render";
    /// Nobody may be texted without the consent or notice that a pack asks for.
    pub const CONSENT: &str = "consent";
    /// The creditor's route is one that refuses such texts.
    pub const ROUTE: &str = "route";
    pub const DISPUTE: &str = "dispute";
    pub const BROKEN_PROMISE: &str = "broken_promise";
    pub const PROMISE: &str = "promise";
    pub const CALLBACK: &str = "callback";
    /// The sequence ended or reached its number of reminders, and it is not paid.
    pub const ESCALATION: &str = "escalation";
    pub const WRONG_NUMBER: &str = "wrong_number";
    /// The number is none any more, or none that can be texted.
    pub const DELIVERY: &str = "delivery";
    /// Money came that fits no obligation for sure.
    pub const PAYMENT: &str = "payment";
    /// Somebody says that it is paid, and the books do not.
    pub const PAID_CLAIM: &str = "paid_claim";
    /// A text with another amount went shortly before this changed.
    pub const CORRECTION: &str = "correction";
    /// What happened here before a backup was restored is not known.
    pub const RESTORED: &str = "restored";
    /// Somebody asked to pay, and nobody takes payments here.
    pub const PAY: &str = "pay";
}
