//! Webhooks: endpoints that are told of events, each by a worker of its own.
//!
//! Invariants: an event an endpoint wants is posted at least once, with the same id at every try, in order, one at
//! a time; what it does not take within a day becomes a dead letter that a person can replay; what is lost is
//! counted. No worker waits for another's endpoint, and the core waits for none. An endpoint that says 410 is
//! disabled, as Standard Webhooks wants it: its events are neither posted nor dead letters, they stay in the journal,
//! in order, until a person has it go on. [`worker`] decides and waits, [`wait`] reckons how long, [`post`] speaks
//! HTTP over [`tls`] where the address says so, [`ledger`] is what the core keeps, and the published form is [`super::outbox`]'s.

mod ledger;
mod post;
mod tls;
mod wait;
mod worker;

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::feed::Feed;
use super::outbox::Published;
use super::{Engine, ReadError};
use crate::clock::{Clock, Timestamp};
use crate::config::{EventName, Webhook};
use crate::message::HookName;

pub use ledger::{Cursor, DeadLetter, Progress};
pub use post::Posted;
use post::Poster;
pub use wait::{RETRY_AFTER_MOST, wait};
use worker::Worker;

/// Deliveries of one webhook that are remembered for people.
const RECENT: usize = 100;
/// Wishes that wait for a worker.
const ASKS: usize = 16;

/// How it stands with an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    Up,
    /// The last post was not taken; the next is made at `next_at`.
    Failing {
        since: Timestamp,
        tries: u32,
        next: Instant,
        next_at: Timestamp,
    },
    /// It answered that it wants no more: a restart, a test that it takes, or a replay goes on.
    Parked {
        since: Timestamp,
    },
}

/// One post, as people want to see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Of the event.
    pub id: String,
    pub name: EventName,
    pub at: Timestamp,
    pub took: Duration,
    pub posted: Posted,
}

/// A webhook as it stands.
#[derive(Clone, Debug)]
pub struct Status {
    pub standing: Standing,
    /// Number of the last event that is done with.
    pub after: u64,
    /// When the event happened that is next.
    pub oldest: Option<Timestamp>,
    pub taken_at: Option<Timestamp>,
    pub last_error: Option<(Timestamp, String)>,
    pub dead: u64,
    pub dropped: u64,
    pub lost: u64,
    pub taken_total: u64,
    pub refused_total: u64,
    pub dead_total: u64,
    /// The newest last.
    pub recent: VecDeque<Delivery>,
}

/// What a person wants of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ask {
    /// It is said to be well again.
    Wake,
    Replay(Replay),
}

/// Which dead letters are posted again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replay {
    All,
    /// The event of this number.
    One(u64),
}

/// More wishes wait already than are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more is waiting for this webhook already")]
pub struct Busy;

/// One configured webhook, for those who look at it.
#[derive(Debug)]
pub struct Hook {
    pub config: Webhook,
    poster: Poster,
    clock: Clock,
    feed: Feed,
    status: Mutex<Status>,
    asks: mpsc::Sender<Ask>,
}

impl Hook {
    pub fn name(&self) -> &HookName {
        &self.config.name
    }

    pub fn status(&self) -> Status {
        self.peek(Status::clone)
    }

    fn peek<T>(&self, look: impl FnOnce(&Status) -> T) -> T {
        look(&self.status.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Events behind the last one that is done with; not all of them may be wanted.
    pub fn backlog(&self, status: &Status) -> u64 {
        self.feed.last().saturating_sub(status.after)
    }

    /// Posts a test event now, beside whatever the worker does. What takes it is said to be well.
    pub async fn test(&self) -> Delivery {
        let at = self.clock.now();
        let id = format!("test_{}", at.wall.as_millis());
        let name = EventName::WebhookTest;
        let data = json!({"webhook": self.name().as_str()});
        let event = Published { id: id.clone(), r#type: name.as_str(), at: at.wall.to_rfc3339(), data };
        let posted = self.poster.post(&id, encoded(&event)).await;
        if let Posted::Taken { .. } = &posted
            && self.asks.try_send(Ask::Wake).is_err()
        {
            tracing::debug!(event = "webhook_wake_not_taken", webhook = %self.name());
        }
        let took = self.clock.now().mono.saturating_duration_since(at.mono);
        let delivery = Delivery { id, name, at: at.wall, took, posted };
        self.update(|status| status.note(delivery.clone()));
        delivery
    }

    /// Has dead letters posted again, in order, before anything else.
    ///
    /// # Errors
    /// [`Busy`]
    pub fn replay(&self, which: Replay) -> Result<(), Busy> {
        self.asks.try_send(Ask::Replay(which)).map_err(|_| Busy)
    }

    fn update(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Status {
    /// As the cursor says; nothing was posted yet.
    pub fn new(cursor: &Cursor) -> Status {
        Status {
            standing: Standing::Up,
            after: cursor.after,
            oldest: None,
            taken_at: None,
            last_error: None,
            dead: cursor.dead,
            dropped: cursor.dropped,
            lost: cursor.lost,
            taken_total: 0,
            refused_total: 0,
            dead_total: 0,
            recent: VecDeque::new(),
        }
    }

    /// Counts and remembers a post.
    fn note(&mut self, delivery: Delivery) {
        match delivery.posted.error() {
            None => {
                self.taken_total += 1;
                self.taken_at = Some(delivery.at);
            }
            Some(error) => {
                self.refused_total += 1;
                self.last_error = Some((delivery.at, error));
            }
        }
        if self.recent.len() >= RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(delivery);
    }
}

/// The bytes that are posted and signed.
fn encoded(event: &Published) -> Bytes {
    // Names and values are text and numbers: JSON has a form for each.
    serde_json::to_vec(event).map(Bytes::from).unwrap_or_default()
}

/// All configured webhooks. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Webhooks(Arc<Vec<Arc<Hook>>>);

impl Webhooks {
    pub fn iter(&self) -> impl Iterator<Item = &Hook> {
        self.0.iter().map(Arc::as_ref)
    }

    pub fn find(&self, name: &str) -> Option<Arc<Hook>> {
        self.0.iter().find(|hook| hook.name().as_str() == name).cloned()
    }
}

/// Why webhooks cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Store(#[from] ReadError),
    #[error("the client of a webhook: {0}")]
    Client(io::Error),
}

/// Starts a worker for each webhook. The journal is held for them from here on.
pub fn start(
    configs: &[Webhook],
    engine: &Engine,
    clock: &Clock,
    tasks: &mut JoinSet<&'static str>,
) -> Result<Webhooks, StartError> {
    let Some(feed) = engine.feed() else { return Ok(Webhooks::default()) };
    let mut hooks = Vec::new();
    for config in configs {
        let cursor = engine.view().webhook(&config.name)?;
        // One that is new begins now.
        let now = Cursor { after: feed.last(), seq: feed.seq(), ..Cursor::default() };
        let is_new = cursor.is_none();
        let cursor = cursor.unwrap_or(now);
        let (asks, asked) = mpsc::channel(ASKS);
        let hook = Arc::new(Hook {
            poster: Poster::new(config, clock.clone()).map_err(StartError::Client)?,
            clock: clock.clone(),
            feed: feed.clone(),
            status: Mutex::new(Status::new(&cursor)),
            config: config.clone(),
            asks,
        });
        let worker = Worker::new(hook.clone(), asked, engine.clone(), cursor, is_new);
        hooks.push(hook);
        tasks.spawn(async move {
            worker.run().await;
            "a webhook"
        });
    }
    Ok(Webhooks(Arc::new(hooks)))
}
