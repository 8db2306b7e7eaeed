//! The core and what feeds it. Floor 3.
//!
//! [`core`] is one deterministic state machine; [`run`] is the thread that owns it, the store and the
//! core's ends of the links. Everybody else holds an [`Engine`]: commands go through a bounded channel and
//! are answered once their step is on the disk; reads go to the applied state beside it ([`view`]).

pub mod assembly;
pub mod core;
pub mod correspondence;
pub mod dispatch;
pub mod doubt;
pub mod feed;
pub mod imports;
pub mod inbound;
pub mod intake;
pub mod lanes;
pub mod memory;
pub mod notice;
pub mod optout;
pub mod order;
pub mod outbox;
pub mod outcomes;
pub mod quota;
pub mod receipts;
pub mod recover;
pub mod reminders;
pub mod run;
pub mod suppressions;
pub mod sweep;
pub mod txn;
pub mod unknown;
pub mod view;
pub mod visits;
pub mod webhook;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};

use crate::clock::Timestamp;
use crate::id::{BatchId, MessageId};
use crate::link::{LinkFacts, LinkStatus};
use crate::message::{Class, Encoding, LinkName, Msisdn, OnUnknown, Priority, Sender, Status, TokenName};
use crate::quota::Quota;
use crate::reminder::suppression::{Intent, Party};
use crate::store::StoreError;

pub use crate::message::Resolution;
pub use correspondence::{
    Conversation, Entry, HoldPage, HoldView, OptOutPage, OptOutView, ReplyFilter, ReplyPage, ReplyView,
};
pub use reminders::change::CHANGE_GROUP;
pub use reminders::{Change, ChangeAnswer, ChangeRefusal, Changed, Subject};
pub use view::{Filter, MessageView, Page, View};

/// A message as the outside asks for it, checked but not yet accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    pub to: Msisdn,
    pub text: String,
    pub sender: Option<Sender>,
    pub link: Option<LinkName>,
    pub class: Class,
    pub priority: Priority,
    pub send_at: Option<Timestamp>,
    pub valid_until: Option<Timestamp>,
    pub encoding: Encoding,
    pub segment_count: u8,
    /// `None`: as `[queue]` says.
    pub on_unknown: Option<OnUnknown>,
    pub flash: bool,
    pub receipt: bool,
    pub client_ref: Option<String>,
    /// A repeat of this token's `client_ref` is the same message.
    pub unique_ref: bool,
    pub allow_duplicate: bool,
    /// The caller's JSON object as text.
    pub metadata: Option<String>,
    pub token: TokenName,
    pub idempotency: Option<Idempotency>,
}

/// Digests of an `Idempotency-Key` and of the request body it came with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Idempotency {
    pub key: [u8; 16],
    pub body: [u8; 16],
}

/// The message is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    pub id: MessageId,
    pub status: Status,
    /// It was accepted before, under the same key or reference.
    pub repeated: bool,
}

/// Why a draft, or any command, was not taken. Nothing of it is stored, with one exception:
/// [`Refusal::Unanswered`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the queue is full")]
    QueueFull,
    #[error("the disk has too little free space")]
    DiskLow,
    #[error("the daemon is stopping")]
    Stopping,
    /// The core ended over it, a failed sync for instance: the next start shows whether it was taken.
    #[error("no answer: whether it was taken is not known")]
    Unanswered,
    #[error("the daemon is in quarantine: {0}")]
    Quarantined(String),
    #[error("the same text went to this number within the duplicate window")]
    Duplicate { of: MessageId },
    #[error("the Idempotency-Key was used with another body")]
    KeyReused,
    #[error("the message accepted under this Idempotency-Key is not kept any more")]
    Forgotten,
    #[error("no such link")]
    NoSuchLink,
    #[error("not valid any more when it would be due")]
    NeverValid,
    #[error("is more than a year ahead")]
    TooFar { field: &'static str },
    #[error("no such message")]
    NotFound,
    #[error("the state forbids it")]
    State(Status),
    #[error("the list of opt-outs is full")]
    OptOutsFull,
}

/// Which unknowns a person resolves at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnknownFilter {
    pub link: Option<LinkName>,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
}

/// One opt-out as the outside adds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptOutEntry {
    pub party: Party,
    /// `None`: now.
    pub at: Option<Timestamp>,
    /// Where it is known from, in the caller's words.
    pub note: String,
}

/// What the core is asked to do, with the way back for the answer.
#[derive(Debug)]
pub enum Command {
    Accept {
        drafts: Vec<Draft>,
        batch: BatchWish,
        reply: oneshot::Sender<AcceptAnswer>,
    },
    Cancel {
        id: MessageId,
        reply: oneshot::Sender<Result<Status, Refusal>>,
    },
    Resolve {
        id: MessageId,
        how: Resolution,
        reply: oneshot::Sender<Result<Status, Refusal>>,
    },
    ResolveMany {
        which: UnknownFilter,
        how: Resolution,
        reply: oneshot::Sender<Result<u64, Refusal>>,
    },
    /// `None`: all sending.
    Pause {
        link: Option<LinkName>,
        by: TokenName,
        reply: oneshot::Sender<Result<(), Refusal>>,
    },
    Resume {
        link: Option<LinkName>,
        by: TokenName,
        reply: oneshot::Sender<Result<(), Refusal>>,
    },
    /// A person's word that the wall clock is right.
    AcceptClock {
        by: TokenName,
        reply: oneshot::Sender<Result<(), Refusal>>,
    },
    /// A person's word that what kept the link down is mended, or should be tried; not kept over a new start.
    RestartLink {
        link: LinkName,
        reply: oneshot::Sender<Result<(), Refusal>>,
    },
    /// Answers how many were not there before. An opt-out ends a hold of the same party.
    OptOut {
        entries: Vec<OptOutEntry>,
        by: TokenName,
        reply: oneshot::Sender<Result<u64, Refusal>>,
    },
    /// Changes of the reminder side, in order; each has an answer of its own.
    Change {
        changes: Vec<Change>,
        by: TokenName,
        reply: oneshot::Sender<ChangeAnswer>,
    },
    LiftOptOut {
        party: Party,
        by: TokenName,
        reply: oneshot::Sender<Result<(), Refusal>>,
    },
    ReleaseHold {
        party: Party,
        by: TokenName,
        reply: oneshot::Sender<Result<(), Refusal>>,
    },
    /// From a webhook's worker. Answers how many dead letters are kept then.
    Webhook {
        progress: webhook::Progress,
        reply: oneshot::Sender<Result<u64, Refusal>>,
    },
}

/// Which batch a group of drafts belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchWish {
    None,
    /// Allot a batch for these drafts.
    New,
    /// They go on with this one; `n` counts the groups.
    Continue {
        batch: BatchId,
        n: u32,
    },
}

/// What became of a group of drafts, once it is on the disk.
#[derive(Debug)]
pub struct AcceptAnswer {
    pub batch: Option<BatchId>,
    /// One a draft, in order.
    pub results: Vec<Result<Accepted, Refusal>>,
}

/// Drafts handed to the core in one command; a batch request is cut into groups of this size.
pub const ACCEPT_GROUP: usize = 500;

/// Opt-outs handed to the core in one command.
pub const OPT_OUT_GROUP: usize = 500;

/// The handle everybody but the core holds. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Engine {
    commands: mpsc::Sender<Command>,
    snapshot: watch::Receiver<Arc<Snapshot>>,
    view: View,
    feed: Option<feed::Feed>,
    webhooks: webhook::Webhooks,
}

impl Engine {
    pub fn new(
        commands: mpsc::Sender<Command>,
        snapshot: watch::Receiver<Arc<Snapshot>>,
        view: View,
    ) -> Engine {
        Engine { commands, snapshot, view, feed: None, webhooks: webhook::Webhooks::default() }
    }

    /// The same with events to follow.
    pub fn with_feed(self, feed: feed::Feed) -> Engine {
        Engine { feed: Some(feed), ..self }
    }

    /// The same with webhooks to look at.
    pub fn with_webhooks(self, webhooks: webhook::Webhooks) -> Engine {
        Engine { webhooks, ..self }
    }

    /// The journal's events; `None` in quarantine.
    pub fn feed(&self) -> Option<&feed::Feed> {
        self.feed.as_ref()
    }

    /// The configured webhooks; none in quarantine.
    pub fn webhooks(&self) -> &webhook::Webhooks {
        &self.webhooks
    }

    async fn note_webhook(&self, progress: webhook::Progress) -> Result<u64, Refusal> {
        self.ask(|reply| Command::Webhook { progress, reply }).await?
    }

    /// Accepts one message; `Ok` only once it is durable.
    pub async fn accept(&self, draft: Draft) -> Result<Accepted, Refusal> {
        let mut answer = self.accept_group(vec![draft], BatchWish::None).await?;
        answer.results.pop().unwrap_or(Err(Refusal::Stopping))
    }

    /// Accepts many under one batch id, in order; each draft has a result of its own.
    pub async fn accept_batch(&self, mut drafts: Vec<Draft>) -> Result<AcceptAnswer, Refusal> {
        let mut rest = drafts.split_off(drafts.len().min(ACCEPT_GROUP));
        let mut answer = self.accept_group(drafts, BatchWish::New).await?;
        let mut n = 0;
        while let (false, Some(batch)) = (rest.is_empty(), answer.batch) {
            n += 1;
            let group: Vec<Draft> = rest.drain(..rest.len().min(ACCEPT_GROUP)).collect();
            let size = group.len();
            match self.accept_group(group, BatchWish::Continue { batch, n }).await {
                Ok(more) => answer.results.extend(more.results),
                // What came before is accepted and stays so.
                Err(refusal) => answer.results.extend(std::iter::repeat_n(Err(refusal), size)),
            }
        }
        Ok(answer)
    }

    async fn accept_group(&self, drafts: Vec<Draft>, batch: BatchWish) -> Result<AcceptAnswer, Refusal> {
        self.ask(|reply| Command::Accept { drafts, batch, reply }).await
    }

    /// Takes a message back if no byte of it is on the wire: the status it then has.
    pub async fn cancel(&self, id: MessageId) -> Result<Status, Refusal> {
        self.ask(|reply| Command::Cancel { id, reply }).await?
    }

    pub async fn resolve(&self, id: MessageId, how: Resolution) -> Result<Status, Refusal> {
        self.ask(|reply| Command::Resolve { id, how, reply }).await?
    }

    /// How many were resolved.
    pub async fn resolve_many(&self, which: UnknownFilter, how: Resolution) -> Result<u64, Refusal> {
        self.ask(|reply| Command::ResolveMany { which, how, reply }).await?
    }

    /// Makes changes of the reminder side; each has a result of its own, given once all are durable.
    pub async fn change(&self, changes: Vec<Change>, by: TokenName) -> Result<ChangeAnswer, Refusal> {
        let mut answers = Vec::with_capacity(changes.len());
        let mut changes = changes.into_iter().peekable();
        while changes.peek().is_some() {
            let group: Vec<Change> = changes.by_ref().take(CHANGE_GROUP).collect();
            let by = by.clone();
            answers.extend(self.ask(|reply| Command::Change { changes: group, by, reply }).await?);
        }
        Ok(answers)
    }

    pub async fn pause(&self, link: Option<LinkName>, by: TokenName) -> Result<(), Refusal> {
        self.ask(|reply| Command::Pause { link, by, reply }).await?
    }

    pub async fn resume(&self, link: Option<LinkName>, by: TokenName) -> Result<(), Refusal> {
        self.ask(|reply| Command::Resume { link, by, reply }).await?
    }

    /// Ends a doubt about the wall clock, if there is one: what is due by it goes.
    pub async fn accept_clock(&self, by: TokenName) -> Result<(), Refusal> {
        self.ask(|reply| Command::AcceptClock { by, reply }).await?
    }

    /// Has the link forget back-off and parking and connect now; one that is up finishes what is on the wire
    /// and begins a new session. `Ok` says that it was told.
    pub async fn restart_link(&self, link: LinkName) -> Result<(), Refusal> {
        self.ask(|reply| Command::RestartLink { link, reply }).await?
    }

    /// How many were not there before. What comes before a group that is refused is done and stays so: to say
    /// it again is harmless.
    pub async fn opt_out(&self, entries: Vec<OptOutEntry>, by: TokenName) -> Result<u64, Refusal> {
        let mut added = 0;
        for group in entries.chunks(OPT_OUT_GROUP) {
            let (entries, by) = (group.to_vec(), by.clone());
            added += self.ask(|reply| Command::OptOut { entries, by, reply }).await??;
        }
        Ok(added)
    }

    /// [`Refusal::NotFound`]: there is none.
    pub async fn lift_opt_out(&self, party: Party, by: TokenName) -> Result<(), Refusal> {
        self.ask(|reply| Command::LiftOptOut { party, by, reply }).await?
    }

    /// [`Refusal::NotFound`]: there is none.
    pub async fn release_hold(&self, party: Party, by: TokenName) -> Result<(), Refusal> {
        self.ask(|reply| Command::ReleaseHold { party, by, reply }).await?
    }

    /// Whether the core still takes commands and answers them: it is asked about a message there cannot be.
    pub async fn ping(&self) -> bool {
        let answer = self.cancel(MessageId::from_u64(0)).await;
        !matches!(answer, Err(Refusal::Stopping | Refusal::Unanswered))
    }

    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.borrow().clone()
    }

    /// Waits until there is a newer snapshot (at most one a second while something happens).
    pub async fn changed(&mut self) -> Arc<Snapshot> {
        if self.snapshot.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        self.snapshot()
    }

    pub fn view(&self) -> &View {
        &self.view
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| Refusal::Stopping)?;
        answer.await.map_err(|_| Refusal::Unanswered)
    }
}

/// What the core publishes of itself, at most once a second and after every pause, resume or restart.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub at: Timestamp,
    pub started: Timestamp,
    /// Messages by status now: open ones are in the queue, closed ones those still kept.
    pub by_status: [u64; Status::ALL.len()],
    /// Changes of status since the store was made, by link where one was involved.
    pub totals: Vec<StatusTotal>,
    /// Acceptance time of the longest waiting message that is due.
    pub oldest_due: Option<Timestamp>,
    pub links: Vec<LinkSnapshot>,
    pub paused: Option<Pause>,
    /// Why what is due by the wall clock is held.
    pub clock_doubt: Option<doubt::Doubt>,
    /// When the first of the messages that are unknown now became it.
    pub oldest_unknown: Option<Timestamp>,
    /// Messages that are unknown now, by the link of their last attempt; links without one are not there.
    pub unknown_by_link: BTreeMap<LinkName, u64>,
    pub intake_closed: Option<IntakeClosed>,
    /// Why nothing may be sent or written: the state did not fit the journal.
    pub quarantine: Option<String>,
    /// Replies, a long one once.
    pub inbound_total: u64,
    /// The same by what they mean.
    pub inbound_by_intent: [u64; Intent::ALL.len()],
    /// Inbound PDUs that came again and were known.
    pub inbound_repeated: u64,
    pub opt_outs: u64,
    pub holds: u64,
    pub receipts_unmatched: u64,
    /// The same text to the same number is refused for so long.
    pub duplicate_window: Duration,
    pub reminders: reminders::ReminderCounters,
    pub commits: CommitHistogram,
    pub journal_seq: u64,
    pub free_bytes: u64,
}

/// Why nothing is accepted, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntakeClosed {
    pub why: Refusal,
    pub since: Timestamp,
}

/// How often a status was reached, on one link or, without one, on none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusTotal {
    pub status: Status,
    pub link: Option<LinkName>,
    pub count: u64,
}

/// A pause of one link or of all sending.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    pub since: Timestamp,
    pub by: TokenName,
}

/// One link as it stood when the snapshot was taken.
#[derive(Clone, Debug)]
pub struct LinkSnapshot {
    pub facts: LinkFacts,
    pub status: LinkStatus,
    pub paused: Option<Pause>,
    /// Segments leased and unanswered.
    pub leased: u16,
    pub quotas: Vec<QuotaUse>,
    /// Of different numbers.
    pub recipients: Option<QuotaUse>,
}

/// How much of a quota is used in the period that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaUse {
    pub quota: Quota,
    pub used: u32,
    /// When there is room again, were there none.
    pub until: Timestamp,
}

impl QuotaUse {
    pub fn is_used_up(&self) -> bool {
        self.used >= self.quota.count
    }
}

/// Time from a step's first command to its answer being allowed, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CommitHistogram {
    /// Cumulative, one a bound.
    pub buckets: [u64; COMMIT_BUCKETS.len()],
    pub count: u64,
    pub sum: Duration,
}

/// Upper bounds, in seconds.
pub const COMMIT_BUCKETS: [f64; 8] = [0.001, 0.002, 0.005, 0.01, 0.05, 0.25, 1.0, f64::INFINITY];

/// A read of the state failed; the daemon is about to end for it.
pub type ReadError = StoreError;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::memory::Memory;

    fn engine() -> (Engine, mpsc::Receiver<Command>) {
        let (commands, received) = mpsc::channel(1);
        let (_, snapshot) = watch::channel(Arc::new(Snapshot::empty(Timestamp::MIN)));
        (Engine::new(commands, snapshot, View::new(Arc::new(Memory::default()))), received)
    }

    #[tokio::test]
    async fn a_command_that_nobody_took_is_refused_and_one_that_was_taken_and_dropped_is_not_known() {
        let (engine, mut received) = engine();
        let dying = async { drop(received.recv().await) };
        let (answer, ()) = tokio::join!(engine.resume(None, "crm".into()), dying);
        assert_eq!(answer, Err(Refusal::Unanswered));
        let dying = async { drop(received.recv().await) };
        assert!(!tokio::join!(engine.ping(), dying).0, "a core that answers nothing is not alive");
        drop(received);
        assert_eq!(engine.resume(None, "crm".into()).await, Err(Refusal::Stopping));
    }
}
