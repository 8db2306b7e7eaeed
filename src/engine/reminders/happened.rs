//! What becomes of obligations: one word list for the journal's events, webhooks, the timeline and rehearsals.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::{InboundId, MessageId, TaskId};
use crate::message::Msisdn;
use crate::reminder::enrolment::{ExitReason, PauseReason};
use crate::reminder::money::Money;
use crate::reminder::name::{ExternalId, Key};
use crate::reminder::obligation::ObligationStatus;

/// One thing that happened to an obligation. Append only: stored by position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Happened {
    Created,
    /// Amount, link or description; what waits is made anew.
    Changed,
    Moved {
        from: Date,
        to: Date,
    },
    /// `why`: in the words of whoever changed it; empty where it followed by itself.
    Status {
        from: ObligationStatus,
        to: ObligationStatus,
        why: String,
    },
    Paid {
        external_id: ExternalId,
        amount: Money,
        balance: Money,
    },
    Reversed {
        external_id: ExternalId,
        amount: Money,
        balance: Money,
    },
    Enrolled {
        sequence: Key,
        version: u32,
        cycle: u32,
    },
    /// A step became a message.
    Gone {
        step: Key,
        message: MessageId,
        to: Msisdn,
        template: String,
    },
    /// The network took it.
    Accepted {
        step: Key,
        message: MessageId,
        reminders: u32,
    },
    /// A gate said no; `next`: when it is asked again.
    Refused {
        step: Key,
        gate: String,
        pack: Option<Key>,
        rule: String,
        next: Option<Timestamp>,
    },
    /// A message was taken back before a byte of it went.
    TakenBack {
        step: Key,
        message: MessageId,
    },
    /// It had left when the payment came.
    CrossedPayment {
        step: Key,
        message: MessageId,
    },
    Stale {
        step: Key,
    },
    Skipped {
        step: Key,
        gate: String,
        rule: String,
    },
    Paused {
        reason: PauseReason,
        until: Option<Timestamp>,
    },
    Resumed,
    Exited {
        reason: ExitReason,
    },
    Completed,
    Promised {
        date: Date,
        amount: Option<Money>,
    },
    PromiseKept,
    PromiseBroken,
    PromiseWithdrawn,
    Replied {
        reply: InboundId,
        option: Option<u8>,
    },
    /// A menu asked for it; `key` makes it idempotent.
    PaymentRequested {
        amount: Money,
        reply: InboundId,
        key: String,
    },
    /// The firm's own event, asked for by a menu.
    Asked {
        event: Key,
        reply: InboundId,
    },
    Clicked {
        human: bool,
    },
    TaskOpened {
        task: TaskId,
        kind: Key,
    },
    TaskDone {
        task: TaskId,
        outcome: String,
    },
    /// A rule of the firm did this; what follows of it stands behind.
    Acted {
        rule: Key,
        act: String,
    },
    /// The firm's own event, asked for by a rule.
    Called {
        rule: Key,
        event: Key,
    },
    /// The text of a rule became a message.
    Spoke {
        rule: Key,
        message: MessageId,
        to: Msisdn,
        template: String,
    },
    /// What a rule wanted was not done, or waits; `next`: when it is asked again.
    Withheld {
        rule: Key,
        gate: String,
        pack: Option<Key>,
        why: String,
        next: Option<Timestamp>,
    },
}
