//! The worker of one webhook: follows the journal, posts what is wanted, waits, gives up after a day.
//!
//! An event that is not taken is tried again after [`wait::wait`], at last every four hours or so; those behind it
//! wait. It is given up a day after it happened or, where that is later, after the endpoint began to fail: so an
//! endpoint that is down for days has a day of events before it and the rest as dead letters.
//! What is done is written down at most once a second; nothing that is not written down lets the journal go.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::ledger::{Cursor, DeadLetter, Progress};
use super::post::Posted;
use super::{Ask, Delivery, Hook, Replay, Standing, encoded, wait};
use crate::clock::{Now, Timestamp};
use crate::config::EventName;
use crate::engine::feed::{Feed, FeedError, Numbered};
use crate::engine::outbox::{self, Texts};
use crate::engine::view::View;
use crate::engine::{Engine, ReadError};
use crate::id::EventId;
use crate::store::{Hold, StoreError};

/// How long an event is tried.
const GIVE_UP_AFTER: Duration = Duration::from_secs(86_400);
/// Events read at once.
const STRETCH: usize = 256;
/// Deliveries, or the time since the first of them, after which they are written down.
const SAVE_AFTER: u32 = 100;
const SAVE_WITHIN: Duration = Duration::from_secs(1);
/// The same for events that were only passed by.
const PASSED_WITHIN: Duration = Duration::from_secs(60);

/// An event that is wanted, ready to be posted.
struct Waiting {
    number: u64,
    seq: u64,
    name: EventName,
    numbered: Numbered,
    body: Bytes,
}

/// What is not written down yet.
#[derive(Default)]
struct Unsaved {
    deliveries: u32,
    dead: Vec<DeadLetter>,
    replayed: Vec<u64>,
    /// By when; `None`: nothing is.
    by: Option<Instant>,
}

/// Why a worker ends.
enum Over {
    /// The core takes no more, because the daemon stops.
    Stopping,
    Store(StoreError),
}

pub struct Worker {
    hook: Arc<Hook>,
    asked: mpsc::Receiver<Ask>,
    engine: Engine,
    hold: Hold,
    queue: VecDeque<Waiting>,
    /// Number of the last event that was read, and its record.
    read: (u64, u64),
    /// The same of the last event that is done with.
    done: (u64, u64),
    failing_since: Option<Timestamp>,
    /// Posts of the event that is next.
    tries: u32,
    lost: u64,
    unsaved: Unsaved,
    replay: Option<Replay>,
}

impl Worker {
    pub fn new(
        hook: Arc<Hook>,
        asked: mpsc::Receiver<Ask>,
        engine: Engine,
        cursor: Cursor,
        is_new: bool,
    ) -> Worker {
        let place = (cursor.after, cursor.seq);
        let by = is_new.then(|| hook.clock.now().mono);
        Worker {
            hold: hook.feed.hold(cursor.seq),
            hook,
            asked,
            engine,
            queue: VecDeque::new(),
            read: place,
            done: place,
            failing_since: cursor.failing_since,
            tries: 0,
            lost: cursor.lost,
            unsaved: Unsaved { by, ..Unsaved::default() },
            replay: None,
        }
    }

    /// Until the daemon stops, or the journal cannot be read.
    pub async fn run(mut self) {
        let feed = self.hook.feed.clone();
        let over = tokio::select! {
            over = self.follow() => over,
            () = feed.stopping() => Over::Stopping,
        };
        if let Over::Store(error) = over {
            tracing::error!(event = "webhook_ended", webhook = %self.hook.name(), %error);
        }
        if self.unsaved.by.is_some() && self.save().await.is_err() {
            tracing::debug!(event = "webhook_not_saved", webhook = %self.hook.name());
        }
    }

    async fn follow(&mut self) -> Over {
        match self.steps().await {
            Ok(never) => match never {},
            Err(over) => over,
        }
    }

    async fn steps(&mut self) -> Result<Infallible, Over> {
        loop {
            let now = self.now();
            if self.unsaved.by.is_some_and(|by| by <= now.mono) {
                self.save().await?;
            }
            if let Some(which) = self.replay.take() {
                self.replay(which).await?;
            }
            if self.queue.is_empty() {
                self.fill().await?;
            }
            self.give_up(self.now().wall);
            match self.hook.peek(|status| status.standing.clone()) {
                _ if self.queue.is_empty() => self.wait(None).await?,
                Standing::Parked { .. } => self.wait(None).await?,
                Standing::Failing { next, .. } if next > self.now().mono => self.wait(Some(next)).await?,
                Standing::Failing { .. } | Standing::Up => self.deliver().await,
            }
        }
    }

    fn now(&self) -> Now {
        self.hook.clock.now()
    }

    /// Reads on, once all that was read is done with.
    async fn fill(&mut self) -> Result<(), Over> {
        let (hook, view, after) = (self.hook.clone(), self.engine.view().clone(), self.read.0);
        let found = tokio::task::spawn_blocking(move || look(&hook, &view, after)).await;
        let (waiting, last) = match found {
            Ok(Ok(found)) => found,
            Ok(Err(FeedError::Gone { oldest })) => {
                self.lose(oldest - 1);
                return Ok(());
            }
            Ok(Err(FeedError::Ahead { newest })) => {
                // An older state was put in the place of a newer one: what was told is not known any more.
                tracing::error!(event = "webhook_ahead", webhook = %self.hook.name(), after, newest);
                self.pass((newest, self.hook.feed.seq()));
                return Ok(());
            }
            Ok(Err(FeedError::Store(error))) => return Err(Over::Store(error)),
            Err(_) => return Err(Over::Store(StoreError::Damaged(String::from("reading events panicked")))),
        };
        self.queue.extend(waiting);
        if let Some(last) = last {
            self.read = last;
            self.advance();
        }
        Ok(())
    }

    fn lose(&mut self, up_to: u64) {
        let count = up_to.saturating_sub(self.read.0);
        self.lost += count;
        tracing::error!(event = "webhook_events_lost", webhook = %self.hook.name(), count);
        let lost = self.lost;
        self.hook.update(|status| status.lost = lost);
        self.pass((up_to, self.read.1));
        self.save_within(SAVE_WITHIN);
    }

    fn pass(&mut self, to: (u64, u64)) {
        self.read = to;
        self.advance();
    }

    /// Everything before the queue is done with.
    fn advance(&mut self) {
        let done = match self.queue.front() {
            Some(front) => (front.number - 1, front.seq),
            None => self.read,
        };
        if done != self.done {
            self.done = done;
            self.save_within(PASSED_WITHIN);
        }
        let oldest = self.queue.front().map(|front| front.numbered.notice.at);
        self.hook.update(|status| (status.after, status.oldest) = (done.0, oldest));
    }

    fn save_within(&mut self, within: Duration) {
        let by = self.now().mono + within;
        self.unsaved.by = Some(self.unsaved.by.map_or(by, |earlier| earlier.min(by)));
    }

    /// Has the core write down where this is; only then the journal may go on.
    async fn save(&mut self) -> Result<(), Over> {
        let progress = Progress {
            name: self.hook.name().clone(),
            after: self.done.0,
            seq: self.done.1,
            failing_since: self.failing_since,
            lost: self.lost,
            dead: self.unsaved.dead.clone(),
            replayed: self.unsaved.replayed.clone(),
        };
        let seq = progress.seq;
        let Ok(dead) = self.engine.note_webhook(progress).await else { return Err(Over::Stopping) };
        self.unsaved = Unsaved::default();
        self.hold.advance(seq);
        let dropped = self.engine.view().webhook(self.hook.name()).map_err(Over::Store)?;
        let dropped = dropped.map_or(0, |cursor| cursor.dropped);
        self.hook.update(|status| (status.dead, status.dropped) = (dead, dropped));
        Ok(())
    }

    /// Until there is something to do: news, a wish, the next try, or something to write down.
    async fn wait(&mut self, next: Option<Instant>) -> Result<(), Over> {
        let (clock, feed) = (self.hook.clock.clone(), self.hook.feed.clone());
        let deadline = next.into_iter().chain(self.unsaved.by).min();
        let slept = async {
            match deadline {
                Some(deadline) => clock.sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        let (read, wants_news) = (self.read.0, self.queue.is_empty());
        tokio::select! {
            came = feed.news(read), if wants_news => {
                if !came {
                    return Err(Over::Stopping);
                }
            }
            ask = self.asked.recv() => {
                if let Some(ask) = ask {
                    self.obey(ask);
                }
            }
            () = slept => {}
        }
        Ok(())
    }

    /// A person says that it is worth a try now.
    fn obey(&mut self, ask: Ask) {
        self.hook.update(|status| status.standing = Standing::Up);
        if let Ask::Replay(which) = ask {
            self.replay = Some(which);
        }
    }

    async fn deliver(&mut self) {
        let Some(front) = self.queue.front() else { return };
        let (id, name, body) = (EventId::from_u64(front.number), front.name, front.body.clone());
        let posted = self.post(id, name, body).await;
        self.tries += 1;
        match posted {
            Posted::Taken { .. } => {
                self.queue.pop_front();
                self.tries = 0;
                self.count_delivery();
                self.advance();
            }
            Posted::Gone { .. } | Posted::Refused { .. } | Posted::NoAnswer { .. } => {}
        }
    }

    fn count_delivery(&mut self) {
        self.unsaved.deliveries += 1;
        self.save_within(SAVE_WITHIN);
        if self.unsaved.deliveries >= SAVE_AFTER {
            self.save_within(Duration::ZERO);
        }
    }

    /// One post, and how the endpoint stands after it.
    async fn post(&mut self, id: EventId, name: EventName, body: Bytes) -> Posted {
        let (id, began) = (id.to_string(), self.now());
        let posted = self.hook.poster.post(&id, body).await;
        let now = self.now();
        let took = now.mono.saturating_duration_since(began.mono);
        let delivery = Delivery { id: id.clone(), name, at: began.wall, took, posted: posted.clone() };
        self.hook.update(|status| status.note(delivery));
        match &posted {
            Posted::Taken { .. } => self.is_up(),
            Posted::Gone { .. } => self.park(now.wall),
            Posted::Refused { .. } | Posted::NoAnswer { .. } => self.fail(now, &id, &posted),
        }
        posted
    }

    fn is_up(&mut self) {
        if self.failing_since.take().is_some() {
            tracing::info!(event = "webhook_up", webhook = %self.hook.name());
            self.save_within(SAVE_WITHIN);
        }
        self.hook.update(|status| status.standing = Standing::Up);
    }

    fn park(&mut self, since: Timestamp) {
        tracing::warn!(event = "webhook_parked", webhook = %self.hook.name());
        self.hook.update(|status| status.standing = Standing::Parked { since });
    }

    fn fail(&mut self, now: Now, id: &str, posted: &Posted) {
        if self.failing_since.is_none() {
            let error = posted.error().unwrap_or_default();
            tracing::warn!(event = "webhook_failing", webhook = %self.hook.name(), error);
            self.save_within(SAVE_WITHIN);
        }
        let since = *self.failing_since.get_or_insert(now.wall);
        let name = self.hook.name();
        self.hook.update(|status| {
            let tries = match status.standing {
                Standing::Failing { tries, .. } => tries + 1,
                Standing::Up | Standing::Parked { .. } => 1,
            };
            let delay = wait(name, id, tries, posted.retry_after());
            let (next, next_at) = (now.mono + delay, now.wall.saturating_add(delay));
            status.standing = Standing::Failing { since, tries, next, next_at };
        });
    }

    /// Events that had their day, once the endpoint fails.
    fn give_up(&mut self, now: Timestamp) {
        let failing = self.hook.peek(|status| match (&status.standing, &status.last_error) {
            (Standing::Failing { since, .. }, Some((_, error))) => Some((*since, error.clone())),
            _ => None,
        });
        let Some((since, error)) = failing else { return };
        let mut count = 0_u64;
        let had_its_day =
            |front: &Waiting| now >= front.numbered.notice.at.max(since).saturating_add(GIVE_UP_AFTER);
        while self.queue.front().is_some_and(had_its_day)
            && let Some(front) = self.queue.pop_front()
        {
            let Numbered { number, notice, .. } = front.numbered;
            let tries = std::mem::take(&mut self.tries);
            let letter = DeadLetter { number, given_up_at: now, tries, error: error.clone(), notice };
            self.unsaved.dead.push(letter);
            count += 1;
        }
        if count > 0 {
            tracing::error!(event = "webhook_gave_up", webhook = %self.hook.name(), count);
            self.hook.update(|status| status.dead_total += count);
            self.save_within(Duration::ZERO);
            self.advance();
        }
    }

    /// Posts dead letters again in order; the first that is not taken ends it.
    async fn replay(&mut self, which: Replay) -> Result<(), Over> {
        // What was just given up belongs to it.
        self.save().await?;
        let (mut after, limit) = match which {
            Replay::All => (0, STRETCH),
            Replay::One(number) => (number.saturating_sub(1), 1),
        };
        loop {
            let letters = self.engine.view().dead_letters(self.hook.name(), after, limit);
            let letters = letters.map_err(Over::Store)?;
            if letters.is_empty() {
                return Ok(());
            }
            for letter in letters {
                after = letter.number;
                let wanted = !matches!(which, Replay::One(number) if number != letter.number);
                if !wanted || !self.replay_one(letter).await? {
                    return Ok(());
                }
            }
            self.save().await?;
            if matches!(which, Replay::One(_)) {
                return Ok(());
            }
        }
    }

    /// Whether it was taken.
    async fn replay_one(&mut self, letter: DeadLetter) -> Result<bool, Over> {
        let texts = texts(&self.hook);
        let Some(name) = outbox::name(&letter.notice) else { return Ok(true) };
        let event = outbox::publish(letter.number, name, &letter.notice, self.engine.view(), texts);
        let body = encoded(&event.map_err(Over::Store)?);
        let posted = self.post(EventId::from_u64(letter.number), name, body).await;
        let taken = matches!(posted, Posted::Taken { .. });
        if taken {
            self.unsaved.replayed.push(letter.number);
            self.count_delivery();
        }
        Ok(taken)
    }
}

fn texts(hook: &Hook) -> Texts {
    if hook.config.include_text { Texts::Told } else { Texts::Kept }
}

/// The wanted ones of the next events behind `after`, and number and record of the last one read.
type Found = (Vec<Waiting>, Option<(u64, u64)>);

fn look(hook: &Hook, view: &View, after: u64) -> Result<Found, FeedError> {
    let feed: &Feed = &hook.feed;
    let events = feed.look(after, STRETCH)?;
    let last = events.last().map(|event| (event.number, event.seq));
    let wanted = events.into_iter().filter_map(|event| wanted(hook, view, event).transpose());
    Ok((wanted.collect::<Result<Vec<Waiting>, ReadError>>()?, last))
}

fn wanted(hook: &Hook, view: &View, numbered: Numbered) -> Result<Option<Waiting>, ReadError> {
    let name = outbox::name(&numbered.notice);
    let name = name.filter(|name| hook.config.events.iter().any(|pattern| pattern.fits(*name)));
    let Some(name) = name else { return Ok(None) };
    let Numbered { number, seq, ref notice } = numbered;
    let event = outbox::publish(number, name, notice, view, texts(hook))?;
    Ok(Some(Waiting { number, seq, name, body: encoded(&event), numbered }))
}
