//! Published events: what webhooks and event readers are told. Stored in the journal record of the step
//! that made them; the journal numbers them.

use serde::{Deserialize, Serialize};

use super::Pause;
use super::reminders::Happened;
use crate::clock::Timestamp;
use crate::id::{InboundId, MessageId, ObligationId, TaskId};
use crate::message::{LinkName, Status};
use crate::reminder::name::Key;
use crate::reminder::suppression::{Intent, Party, Source};

/// One published event; its number is its place in the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    pub at: Timestamp,
    pub kind: NoticeKind,
}

/// Append only: stored by position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoticeKind {
    /// A message was accepted or changed its status.
    Message {
        id: MessageId,
        status: Status,
        link: Option<LinkName>,
    },
    InboundReceived {
        id: InboundId,
        link: LinkName,
    },
    LinkUp {
        link: LinkName,
    },
    LinkDown {
        link: LinkName,
        reason: String,
    },
    LinkParked {
        link: LinkName,
        reason: String,
    },
    /// `None`: all sending.
    Paused {
        link: Option<LinkName>,
        pause: Pause,
    },
    Resumed {
        link: Option<LinkName>,
    },
    /// A reply, whole or as much of it as came.
    ReplyReceived {
        id: InboundId,
        link: LinkName,
        intent: Intent,
    },
    OptOutAdded {
        party: Party,
        source: Source,
    },
    /// By a reply or by a person.
    OptOutRemoved {
        party: Party,
        source: Source,
    },
    HoldAdded {
        party: Party,
        reply: InboundId,
    },
    /// By a reply or by a person; not where an opt-out took its place.
    HoldRemoved {
        party: Party,
        source: Source,
    },
    /// Something became of an obligation.
    Obligation {
        id: ObligationId,
        what: Happened,
    },
    TaskOpened {
        id: TaskId,
        kind: Key,
    },
    /// It was not done in time.
    TaskOverdue {
        id: TaskId,
        kind: Key,
    },
    TaskDone {
        id: TaskId,
        kind: Key,
        outcome: String,
    },
}
