//! The thread that owns the core, the store and the core's ends of the links.
//!
//! One turn: take what has come, let the core decide, put the batch on the disk, and only then hand out
//! submissions, controls and answers: the first two as soon as the journal has it, because a window that
//! waits for its next segments is lost time; answers once it is applied, so that who was answered can read
//! what was accepted. While the disk syncs, the next commands gather: that is the group
//! commit. Outcomes are taken before commands and replies, so a flood of either delays no settlement.
//! An error of the store ends the thread at once, with nothing answered that is not on the disk.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::core::{Answer, Core, Input, LinkIndex, Step};
use super::feed::Feed;
use super::reminders::change::CHANGE_GROUP;
use super::suppressions::Suppressions;
use super::view::View;
use super::{ChangeRefusal, Command, CommitHistogram, Engine, LinkSnapshot, Refusal, Snapshot, StatusTotal};
use crate::clock::{Clock, Now, Timestamp};
use crate::engine::COMMIT_BUCKETS;
use crate::link::{Control, Inbound, InboundToken, LinkEvent, LinkPort, Submission};
use crate::message::{Outcome, Status, UnknownWhy};
use crate::reminder::suppression::Intent;
use crate::store::{Store, StoreError};

/// Commands that wait for the core at most; a sender beyond it waits in its own request.
const COMMANDS: usize = 1024;
/// Commands, or events of one link, taken into one step.
const PER_STEP: usize = 512;
/// Outcomes of one link taken into one step: at least these, and as many as take the time that a sync takes.
/// Answers that come all at once would otherwise all wait for the last of them before the window is filled
/// again, and come all at once the next time too.
const OUTCOMES_PER_STEP: usize = 16;
/// About what one outcome and the lease that follows it cost.
const PER_OUTCOME: Duration = Duration::from_micros(25);
/// The store's upkeep and the look at the free space.
const UPKEEP: Duration = Duration::from_secs(1);
/// Snapshots for people, at most this often.
const PUBLISH: Duration = Duration::from_millis(250);
/// How long a stop waits for the links: 20 s for answers, 5 s for the goodbye, 2 s for its last bytes, and
/// some for their scheduling. What a link has not settled by then the core does. systemd's limit is 45 s.
const STOP_WAIT: Duration = Duration::from_secs(30);

/// What the thread is made of.
pub struct Parts {
    pub store: Store,
    pub core: Core,
    /// The list of opt-outs beside the store.
    pub suppressions: Suppressions,
    pub ports: Vec<LinkPort>,
    /// Rung by the links.
    pub bell: Arc<Notify>,
    pub clock: Clock,
    /// Free bytes below which nothing is accepted.
    pub min_free: u64,
    /// Cancelled: finish and end.
    pub stop: CancellationToken,
}

/// The engine's handle and the loop to run on a thread of its own.
pub fn engine(parts: Parts) -> (Engine, Loop) {
    let (commands, commands_rx) = mpsc::channel(COMMANDS);
    let view = View::new(Arc::new(parts.store.reader()));
    view.publish_catalog(&parts.core.reminders.catalog);
    let now = parts.clock.now();
    let events = watch::Sender::new(parts.store.last_event());
    let feed = Feed::new(parts.store.tail(), events.subscribe(), parts.stop.clone());
    let mut runner = Loop {
        view: view.clone(),
        events,
        commands: commands_rx,
        snapshot: watch::Sender::new(Arc::new(Snapshot::empty(now.wall))),
        started: now.wall,
        wake_at: None,
        upkeep_at: now.mono,
        publish_at: now.mono,
        dirty: true,
        news: false,
        low: None,
        free_bytes: 0,
        commits: CommitHistogram::default(),
        sync_took: Duration::ZERO,
        parts,
    };
    runner.publish(now);
    (Engine::new(commands, runner.snapshot.subscribe(), view).with_feed(feed), runner)
}

pub struct Loop {
    parts: Parts,
    view: View,
    commands: mpsc::Receiver<Command>,
    snapshot: watch::Sender<Arc<Snapshot>>,
    /// Number of the last event that is applied.
    events: watch::Sender<u64>,
    started: Timestamp,
    /// `None`: at once.
    wake_at: Option<Instant>,
    upkeep_at: Instant,
    publish_at: Instant,
    /// Something changed since the last snapshot.
    dirty: bool,
    /// It is worth a snapshot at once.
    news: bool,
    /// The disk is low; `None` before the first look.
    low: Option<bool>,
    free_bytes: u64,
    commits: CommitHistogram,
    /// How long the last syncs took, the latest an eighth.
    sync_took: Duration,
}

impl Loop {
    /// Runs until it is told to stop, then closes the store. Blocks: give it a thread.
    ///
    /// # Errors
    /// Any error of the store; nothing is written after it.
    pub fn run(mut self) -> Result<(), StoreError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime =
            runtime.map_err(|source| StoreError::Io { doing: String::from("starting the core"), source })?;
        let ended = runtime.block_on(async {
            while !self.parts.stop.is_cancelled() {
                self.turn().await?;
            }
            self.finish().await
        });
        if let Err(StoreError::Damaged(why)) = &ended {
            self.parts.store.suspect(why)?;
        }
        ended?;
        let now = self.parts.clock.now();
        self.parts.store.close(now.wall)
    }

    async fn turn(&mut self) -> Result<(), StoreError> {
        let mut inputs = Vec::new();
        // Before anything that has come: a disk found low takes none of it.
        let now = self.parts.clock.now();
        if now.mono >= self.upkeep_at {
            self.upkeep(now, &mut inputs)?;
        }
        inputs.extend(self.gather(None));
        let now = self.parts.clock.now();
        let due = self.wake_at.is_none_or(|at| at <= now.mono);
        if inputs.is_empty() && !due {
            if self.parts.core.look_ahead(&self.parts.store.reader())? {
                return Ok(());
            }
            self.publish_if_due(now);
            return self.wait().await;
        }
        self.step(inputs, now)
    }

    fn step(&mut self, inputs: Vec<Input>, now: Now) -> Result<(), StoreError> {
        let step = self.parts.core.step(&self.parts.store.reader(), inputs, now)?;
        self.wake_at = step.wake_at;
        let Step { batch, submissions, controls, answers, leased, clock_changed, .. } = step;
        self.news |= clock_changed;
        let Parts { store, suppressions, ports, clock, .. } = &mut self.parts;
        // Before the journal: whoever hears that he is heard must be on both.
        suppressions.note(&batch, &store.reader(), now.wall)?;
        let decided = clock.now().mono;
        let mut durable = decided;
        let committed = store.commit_then(&batch, now.wall, || {
            durable = clock.now().mono;
            // Before any of it is out: what is on the wire never shows as queued.
            self.view.update_leased(leased.iter().filter(|(_, begun)| *begun));
            hand_out(ports, submissions, controls);
        })?;
        if !batch.events.is_empty() {
            self.events.send_replace(committed.first_event + batch.events.len() as u64 - 1);
        }
        if !batch.is_empty() {
            self.sync_took = (self.sync_took * 7 + durable.saturating_duration_since(decided)) / 8;
            self.count_commit(now);
            self.dirty = true;
        }
        if answers.iter().any(|answer| matches!(answer, Answer::Done(..))) {
            // Whoever paused or resumed looks at once, and must not see what was before.
            self.publish(now);
        }
        self.view.update_leased(leased.iter());
        self.view.publish_catalog(&self.parts.core.reminders.catalog);
        for answer in answers {
            answer.send();
        }
        self.publish_if_due(now);
        Ok(())
    }

    /// Commands that wait, in order; not many changes at once, each of which may touch many records.
    fn take_commands(&mut self, first: Option<Command>) -> Vec<Command> {
        let (mut commands, mut changes) = (Vec::new(), 0);
        let mut next = first.or_else(|| self.commands.try_recv().ok());
        while let Some(command) = next {
            if let Command::Change { changes: more, .. } = &command {
                changes += more.len();
            }
            commands.push(command);
            let more = commands.len() < PER_STEP && changes < CHANGE_GROUP;
            next = if more { self.commands.try_recv().ok() } else { None };
        }
        commands
    }

    /// What has come: outcomes of all links first, then commands, `first` before those that wait, then what the links
    /// received.
    fn gather(&mut self, first: Option<Command>) -> Vec<Input> {
        let mut inputs = Vec::new();
        let received: Vec<Vec<_>> = self.parts.ports.iter_mut().map(take_received).collect();
        let outcomes = (self.sync_took.as_micros() / PER_OUTCOME.as_micros()) as usize;
        let outcomes = outcomes.clamp(OUTCOMES_PER_STEP, PER_STEP);
        for (link, port) in self.parts.ports.iter_mut().enumerate() {
            // What was answered before these came must be known before them: all of it, then.
            let none = received.get(link).is_none_or(Vec::is_empty);
            let most = if none { outcomes } else { port.outcomes.len() };
            let events = std::iter::from_fn(|| port.outcomes.try_recv().ok()).take(most);
            inputs.extend(events.map(|event| {
                // A link that came or went is news that nobody should wait for.
                self.news |= !matches!(event, LinkEvent::Outcome { .. } | LinkEvent::Answered { .. });
                Input::Link { link, event }
            }));
        }
        inputs.extend(self.take_commands(first).into_iter().map(Input::Command));
        for (link, received) in received.into_iter().enumerate() {
            let one = |(token, inbound)| Input::Inbound { link, token, inbound };
            inputs.extend(received.into_iter().map(one));
        }
        inputs
    }

    async fn wait(&mut self) -> Result<(), StoreError> {
        let publish = self.dirty.then_some(self.publish_at);
        let deadline =
            self.wake_at.into_iter().chain(publish).chain([self.upkeep_at]).min().unwrap_or(self.upkeep_at);
        let Parts { bell, clock, stop, .. } = &self.parts;
        let command = tokio::select! {
            command = self.commands.recv() => command,
            () = bell.notified() => None,
            () = clock.sleep_until(deadline) => None,
            () = stop.cancelled() => None,
        };
        match command {
            None => Ok(()),
            Some(command) => {
                let inputs = self.gather(Some(command));
                let now = self.parts.clock.now();
                self.step(inputs, now)
            }
        }
    }

    /// The store's slow work, and the floor under the free space.
    fn upkeep(&mut self, now: Now, inputs: &mut Vec<Input>) -> Result<(), StoreError> {
        self.upkeep_at = now.mono + UPKEEP;
        self.parts.store.maintain(now.wall)?;
        self.free_bytes = self.parts.store.free_bytes()?;
        // What a link says of itself between two events: a failed connect, its pace.
        self.dirty |= self.parts.ports.iter().any(|port| port.status.has_changed().unwrap_or(false));
        let low = self.free_bytes < self.parts.min_free;
        if self.low != Some(low) {
            if low {
                tracing::error!(
                    event = "disk_low",
                    free_bytes = self.free_bytes,
                    min_free = self.parts.min_free
                );
            }
            self.low = Some(low);
            inputs.push(Input::Intake(low.then_some(Refusal::DiskLow)));
        }
        Ok(())
    }

    /// No new leases; the links finish what is on the wire; their last outcomes are written.
    async fn finish(&mut self) -> Result<(), StoreError> {
        let now = self.parts.clock.now();
        let inputs: Vec<Input> = [Input::Stop].into_iter().chain(self.gather(None)).collect();
        self.step(inputs, now)?;
        for port in &self.parts.ports {
            if port.tell(Control::Stop).is_err() {
                tracing::warn!(event = "link_stop_not_taken", link = %port.facts.name);
            }
        }
        let deadline = now.mono + STOP_WAIT;
        while !self.links_ended() && self.parts.clock.now().mono < deadline {
            let inputs = self.gather(None);
            let now = self.parts.clock.now();
            if !inputs.is_empty() {
                self.step(inputs, now)?;
                continue;
            }
            tokio::select! {
                () = self.parts.bell.notified() => {}
                () = self.parts.clock.sleep_until((now.mono + PUBLISH).min(deadline)) => {}
            }
        }
        self.commands.close();
        let inputs = self.gather(None);
        self.step(inputs, self.parts.clock.now())?;
        self.step(self.parts.core.give_up_leased(), self.parts.clock.now())?;
        // More than one step takes: whoever waits hears that it was not done.
        while let Ok(command) = self.commands.try_recv() {
            command.refuse(&Refusal::Stopping);
        }
        Ok(())
    }

    /// All links have gone and everything they said is taken.
    fn links_ended(&self) -> bool {
        self.parts.ports.iter().all(|port| port.outcomes.is_closed() && port.outcomes.is_empty())
    }

    fn count_commit(&mut self, began: Now) {
        let took = self.parts.clock.now().mono.saturating_duration_since(began.mono);
        let seconds = took.as_secs_f64();
        for (count, bound) in self.commits.buckets.iter_mut().zip(COMMIT_BUCKETS) {
            *count += u64::from(seconds <= bound);
        }
        self.commits.count += 1;
        self.commits.sum += took;
    }

    fn publish_if_due(&mut self, now: Now) {
        if self.news || (now.mono >= self.publish_at && self.dirty) {
            self.publish(now);
        }
    }

    fn publish(&mut self, now: Now) {
        self.publish_at = now.mono + PUBLISH;
        (self.dirty, self.news) = (false, false);
        self.parts.ports.iter_mut().for_each(|port| port.status.mark_unchanged());
        let snapshot = Snapshot {
            at: now.wall,
            started: self.started,
            links: self
                .parts
                .ports
                .iter()
                .enumerate()
                .map(|(at, port)| self.link_snapshot(at, port))
                .collect(),
            commits: self.commits,
            journal_seq: self.parts.store.seq(),
            free_bytes: self.free_bytes,
            ..self.parts.core.snapshot(now)
        };
        self.snapshot.send_replace(Arc::new(snapshot));
    }

    fn link_snapshot(&self, at: usize, port: &LinkPort) -> LinkSnapshot {
        LinkSnapshot {
            facts: port.facts.clone(),
            status: port.status.borrow().clone(),
            paused: self.parts.core.pause_of(&port.facts.name),
            leased: self.parts.core.leased_by(at),
            quotas: self.parts.core.quotas_of(at),
            recipients: self.parts.core.recipients_of(at),
        }
    }
}

fn take_received(port: &mut LinkPort) -> Vec<(InboundToken, Inbound)> {
    std::iter::from_fn(|| port.inbound.try_recv().ok()).take(PER_STEP).collect()
}

/// What the links get once the step is on the disk.
fn hand_out(
    ports: &[LinkPort],
    submissions: Vec<(LinkIndex, Submission)>,
    controls: Vec<(LinkIndex, Control)>,
) {
    let mut by_link = BTreeMap::<LinkIndex, Vec<Submission>>::new();
    for (link, submission) in submissions {
        by_link.entry(link).or_default().push(submission);
    }
    let any = !by_link.is_empty();
    for (link, submissions) in by_link {
        let segments = submissions.len();
        if let Some(port) = ports.get(link)
            && let Err(error) = port.submissions.try_send(submissions)
        {
            // Their lease stays open and a restart shows them as unknown: nothing is lost, nothing doubled.
            tracing::error!(event = "submissions_not_taken", segments, link = %port.facts.name, %error);
        }
    }
    for (link, control) in controls {
        if let Some(port) = ports.get(link)
            && let Err(TrySendError::Full(control)) = port.tell(control)
        {
            tracing::error!(event = "control_not_taken", link = %port.facts.name, control = ?control);
        }
    }
    if any {
        // The link that was just woken may be queued behind this thread on its processor, and what comes
        // next is slow.
        std::thread::yield_now();
    }
}

impl Core {
    /// The part of a snapshot that the core knows.
    fn snapshot(&self, now: Now) -> Snapshot {
        let total = |((status, link), count): (&(Status, _), &u64)| StatusTotal {
            status: *status,
            link: Option::clone(link),
            count: *count,
        };
        Snapshot {
            by_status: self.counters.by_status,
            totals: self.counters.totals.iter().map(total).collect(),
            oldest_due: self.lanes.oldest_due(now.wall),
            oldest_unknown: self.unknowns.values().map(|note| note.since).min(),
            unknown_by_link: self.unknown_by_link(),
            paused: self.pauses.all.clone(),
            clock_doubt: self.clock.in_doubt(now),
            intake_closed: self.intake.clone(),
            inbound_total: self.counters.inbound_by_intent.iter().sum(),
            inbound_by_intent: self.counters.inbound_by_intent,
            inbound_repeated: self.counters.inbound_repeated,
            opt_outs: self.opt_outs.len() as u64,
            holds: self.holds.len() as u64,
            receipts_unmatched: self.counters.receipts_unmatched,
            duplicate_window: self.settings.queue.duplicate_window,
            reminders: self.counters.reminders.clone(),
            ..Snapshot::empty(now.wall)
        }
    }

    fn pause_of(&self, link: &crate::message::LinkName) -> Option<super::Pause> {
        self.pauses.links.get(link).cloned()
    }

    /// Outcomes for all that no link has answered for: the next start would find the same, and say the same.
    fn give_up_leased(&self) -> Vec<Input> {
        let mut left: Vec<_> = self.lease_of.keys().copied().collect();
        left.sort_unstable();
        let lost = |(id, index)| {
            // A message that is over already has no link; nobody wants the credit any more.
            let link = self.active.get(&id).map_or(self.links.len(), |active| active.link);
            let outcome = Outcome::Unknown { why: UnknownWhy::Crash };
            Input::Link { link, event: LinkEvent::Outcome { id, index, outcome } }
        };
        left.into_iter().map(lost).collect()
    }

    fn leased_by(&self, link: usize) -> u16 {
        self.links.get(link).map_or(0, |seat| seat.leased)
    }
}

impl Snapshot {
    /// The snapshot, where its counts and links say something: in quarantine no core has read the state and
    /// no link was started, so that every zero in it would be made up.
    pub fn known(&self) -> Option<&Snapshot> {
        self.quarantine.is_none().then_some(self)
    }

    /// A daemon that has done nothing yet.
    pub fn empty(now: Timestamp) -> Snapshot {
        Snapshot {
            at: now,
            started: now,
            by_status: [0; Status::ALL.len()],
            totals: Vec::new(),
            oldest_due: None,
            oldest_unknown: None,
            unknown_by_link: BTreeMap::new(),
            links: Vec::new(),
            paused: None,
            clock_doubt: None,
            intake_closed: None,
            quarantine: None,
            inbound_total: 0,
            inbound_by_intent: [0; Intent::ALL.len()],
            inbound_repeated: 0,
            opt_outs: 0,
            holds: 0,
            receipts_unmatched: 0,
            duplicate_window: Duration::ZERO,
            reminders: super::reminders::ReminderCounters::default(),
            commits: CommitHistogram::default(),
            journal_seq: 0,
            free_bytes: 0,
        }
    }
}

/// The engine of a daemon in quarantine: what can be read is shown, everything else refused with why.
pub fn quarantined(
    view: View,
    why: String,
    now: Timestamp,
    stop: CancellationToken,
) -> (Engine, impl Future<Output = ()>) {
    let (commands, mut received) = mpsc::channel::<Command>(COMMANDS);
    let snapshot = Snapshot {
        quarantine: Some(why.clone()),
        intake_closed: Some(super::IntakeClosed { why: Refusal::Quarantined(why.clone()), since: now }),
        ..Snapshot::empty(now)
    };
    let (publish, snapshot) = watch::channel(Arc::new(snapshot));
    let refuse = async move {
        loop {
            tokio::select! {
                Some(command) = received.recv() => command.refuse(&Refusal::Quarantined(why.clone())),
                () = stop.cancelled() => break,
            }
        }
        drop(publish);
    };
    (Engine::new(commands, snapshot, view), refuse)
}

impl Command {
    /// Answers without doing anything. A caller that went away needs no answer.
    fn refuse(self, why: &Refusal) {
        use super::AcceptAnswer;
        let answer = match self {
            Command::Accept { drafts, reply, .. } => {
                let results = drafts.iter().map(|_| Err(why.clone())).collect();
                Answer::Accept(reply, AcceptAnswer { batch: None, results })
            }
            Command::Cancel { reply, .. } | Command::Resolve { reply, .. } => {
                Answer::Status(reply, Err(why.clone()))
            }
            Command::Change { changes, reply, .. } => {
                let refusal = ChangeRefusal::Closed(why.clone());
                Answer::Changes(reply, changes.iter().map(|_| Err(refusal.clone())).collect())
            }
            Command::ResolveMany { reply, .. }
            | Command::OptOut { reply, .. }
            | Command::Webhook { reply, .. } => Answer::Count(reply, Err(why.clone())),
            Command::Pause { reply, .. }
            | Command::Resume { reply, .. }
            | Command::AcceptClock { reply, .. }
            | Command::RestartLink { reply, .. }
            | Command::LiftOptOut { reply, .. }
            | Command::ReleaseHold { reply, .. } => Answer::Done(reply, Err(why.clone())),
        };
        answer.send();
    }
}
