//! The core: one deterministic state machine that decides everything, and nothing else does.
//!
//! [`Core::step`] takes commands, link events and both clocks, reads the applied state, and returns what to
//! write and what may be done once it is on the disk: submissions, controls, answers. No I/O beyond reads,
//! no await, no clock, no randomness: the same inputs give the same step. The modules beside this file are
//! parts of the same machine, one room each, all with `fn (&mut Core, .., &mut Work)`.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::assembly::Assembly;
use super::doubt::ClockDoubt;
use super::inbound::Heard;
use super::lanes::Lanes;
use super::notice::{Notice, NoticeKind};
use super::optout::{Parties, Walk};
use super::order::Order;
use super::quota::Quotas;
use super::receipts::Orphans;
use super::reminders::errands::{self, Wanted};
use super::reminders::settle::Settled;
use super::reminders::{ChangeAnswer, ReminderCounters, ReminderSettings, Reminders};
use super::sweep::Sweep;
use super::txn::Txn;
use super::unknown::UnknownNote;
use super::{AcceptAnswer, Command, IntakeClosed, Pause, Refusal};
use crate::clock::{Now, Timestamp};
use crate::config::{Inbound as InboundSettings, Queue, Route};
use crate::id::{Allotter, MessageId, ObligationId};
use crate::link::{Control, Inbound, InboundToken, LinkEvent, LinkFacts, Submission};
use crate::message::{Body, Head, LinkName, State, Status};
use crate::reminder::suppression::{Intent, Source};
use crate::reminder::trigger::On;
use crate::route::{LaneClash, Router};
use crate::store::{Batch, Read, StoreError, keys, record};

/// Links by position in [`Settings::links`].
pub type LinkIndex = usize;

/// What the core needs of the configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    pub queue: Queue,
    pub inbound: InboundSettings,
    pub routes: Vec<Route>,
    pub links: Vec<LinkFacts>,
    /// A wall clock before this has lost the date.
    pub clock_floor: Timestamp,
    pub reminders: ReminderSettings,
}

/// One thing that happened.
#[derive(Debug)]
pub enum Input {
    Command(Command),
    Link {
        link: LinkIndex,
        event: LinkEvent,
    },
    Inbound {
        link: LinkIndex,
        token: InboundToken,
        inbound: Inbound,
    },
    /// Why nothing may be accepted now (disk low, stopping), or that it may again.
    Intake(Option<Refusal>),
    /// No more leases: the daemon stops.
    Stop,
}

/// What a step decided. Nothing of it may happen before `batch` is on the disk.
#[derive(Debug, Default)]
pub struct Step {
    pub batch: Batch,
    pub submissions: Vec<(LinkIndex, Submission)>,
    pub controls: Vec<(LinkIndex, Control)>,
    pub answers: Vec<Answer>,
    /// When the core wants to be asked again if nothing happens before; `None`: at the next chance.
    pub wake_at: Option<Instant>,
    /// The same without the tick of its slow sweeps, for whoever skips idle time: `None`: nothing is awaited.
    pub awaits: Option<Instant>,
    /// Messages whose lease began or ended, `true`: leased now.
    pub leased: Vec<(MessageId, bool)>,
    /// A doubt about the clock began or ended: to be shown at once.
    pub clock_changed: bool,
}

/// An answer to a command, sent once its step is on the disk.
#[derive(Debug)]
pub enum Answer {
    Accept(oneshot::Sender<AcceptAnswer>, AcceptAnswer),
    Status(oneshot::Sender<Result<Status, Refusal>>, Result<Status, Refusal>),
    Count(oneshot::Sender<Result<u64, Refusal>>, Result<u64, Refusal>),
    Done(oneshot::Sender<Result<(), Refusal>>, Result<(), Refusal>),
    Changes(oneshot::Sender<ChangeAnswer>, ChangeAnswer),
}

impl Answer {
    /// A caller that went away needs no answer; what it asked for is done all the same.
    pub fn send(self) {
        let heard = match self {
            Answer::Accept(to, answer) => to.send(answer).is_ok(),
            Answer::Status(to, answer) => to.send(answer).is_ok(),
            Answer::Count(to, answer) => to.send(answer).is_ok(),
            Answer::Done(to, answer) => to.send(answer).is_ok(),
            Answer::Changes(to, answer) => to.send(answer).is_ok(),
        };
        if !heard {
            tracing::debug!(event = "answer_unheard");
        }
    }
}

/// The work of one step in the making.
pub struct Work<'a> {
    pub txn: Txn<'a>,
    pub now: Now,
    pub submissions: Vec<(LinkIndex, Submission)>,
    pub controls: Vec<(LinkIndex, Control)>,
    pub answers: Vec<Answer>,
    /// Leases begun in this step, one a link.
    pub leasing: BTreeMap<LinkIndex, (u64, Lease)>,
    pub leased: Vec<(MessageId, bool)>,
    /// Reminders whose message changed its status in this step.
    pub reminded: VecDeque<Settled>,
    /// Messages that were taken back and wait.
    pub withdraw: Vec<MessageId>,
    /// Reminders that this step ends by itself, and nobody else: their steps may go again.
    pub ours: BTreeSet<MessageId>,
    /// What was asked for along all obligations of a number or contact.
    pub errands: Vec<Wanted>,
    /// Obligations that this step may still look at for errands.
    pub errands_left: usize,
    /// What happened to obligations that some rule waits for.
    pub raised: VecDeque<(ObligationId, On)>,
    /// A rule is at work: what it does wakes no rule.
    pub ruling: bool,
    /// Messages that became unknown in this step.
    pub new_unknowns: Vec<MessageId>,
}

impl<'a> Work<'a> {
    pub fn new(state: &'a dyn Read, now: Now) -> Work<'a> {
        Work {
            txn: Txn::new(state),
            now,
            submissions: Vec::new(),
            controls: Vec::new(),
            answers: Vec::new(),
            leasing: BTreeMap::new(),
            leased: Vec::new(),
            reminded: VecDeque::new(),
            withdraw: Vec::new(),
            ours: BTreeSet::new(),
            errands: Vec::new(),
            errands_left: errands::PER_STEP,
            raised: VecDeque::new(),
            ruling: false,
            new_unknowns: Vec::new(),
        }
    }

    pub fn wall(&self) -> Timestamp {
        self.now.wall
    }
}

/// The record of one lease: written before any of its bytes may go, deleted once all of it is settled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    pub link: LinkName,
    pub account: LinkName,
    pub at: Timestamp,
    pub entries: Vec<LeasedSegments>,
}

/// One message's part in a lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeasedSegments {
    pub id: MessageId,
    pub segments: Vec<u8>,
    /// It left its lane with this lease; earlier leases of it have ended.
    pub begins: bool,
}

/// Numbers that go with every step that writes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    pub ids: Allotter,
    /// The last lease.
    pub lease: u64,
    /// The last concatenation reference.
    pub concat: u16,
    /// Messages kept, by status; a message is `scheduled` until it is first begun.
    pub by_status: [u64; Status::ALL.len()],
    /// Changes of status ever, by link.
    pub totals: BTreeMap<(Status, Option<LinkName>), u64>,
    pub inbound_by_intent: [u64; Intent::ALL.len()],
    /// Inbound PDUs that came again and were known.
    pub inbound_repeated: u64,
    pub receipts_unmatched: u64,
    pub orphans: u32,
    /// A record of its own.
    #[serde(skip)]
    pub reminders: ReminderCounters,
}

/// Who paused what, kept across restarts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pauses {
    pub all: Option<Pause>,
    pub links: BTreeMap<LinkName, Pause>,
}

/// A leased message.
#[derive(Clone, Debug)]
pub struct Active {
    pub body: Arc<Body>,
    pub head: Head,
    pub link: LinkIndex,
    pub rank: u8,
    /// Leases whose segments are settled while the message goes on; their records stay until it is done,
    /// so that a crash finds it.
    pub held: Vec<u64>,
}

/// What the core knows of a link.
#[derive(Debug)]
pub struct Seat {
    pub facts: LinkFacts,
    pub up: bool,
    /// It was said that it needs a person, and it was not up since.
    pub parked: bool,
    /// When it last came up; `None` before the first time.
    pub came_up: Option<Instant>,
    /// Segments leased and unanswered.
    pub leased: u16,
    /// It handed something back unasked and gets nothing new before this.
    pub rests_until: Option<Instant>,
    /// Long messages with segments still to be leased here, in order.
    pub unfinished: Vec<MessageId>,
}

/// A cancel that waits for the link to hand the message back.
#[derive(Debug)]
pub struct PendingCancel {
    pub reply: oneshot::Sender<Result<Status, Refusal>>,
    pub deadline: Instant,
}

/// The machine's whole memory: what it needs of the state to decide without a search, and nothing that
/// is not in the state or recomputed from it at start.
pub struct Core {
    pub(super) settings: Settings,
    pub(super) router: Router,
    pub(super) counters: Counters,
    pub(super) pauses: Pauses,
    pub(super) clock: ClockDoubt,
    /// The clock's mark as the store has it.
    pub(super) mark_kept: Timestamp,
    pub(super) lanes: Lanes,
    pub(super) order: Order,
    pub(super) links: Vec<Seat>,
    pub(super) active: HashMap<MessageId, Active>,
    /// Segments of each lease that have no outcome yet.
    pub(super) leases: HashMap<u64, u32>,
    /// The lease each leased segment belongs to.
    pub(super) lease_of: HashMap<(MessageId, u8), u64>,
    pub(super) unknowns: BTreeMap<MessageId, UnknownNote>,
    pub(super) orphans: Orphans,
    pub(super) cancels: BTreeMap<MessageId, Vec<PendingCancel>>,
    /// With the one message that may still go.
    pub(super) opt_outs: Parties<Option<MessageId>>,
    pub(super) holds: Parties<()>,
    /// Recipients who opted out of late, to be walked for what waits for them.
    pub(super) walks: VecDeque<Walk>,
    /// Inbound PDUs whose answer the network may not have yet, with their digests and when they came.
    pub(super) unanswered: HashMap<(LinkIndex, InboundToken), ([u8; 16], Instant)>,
    pub(super) assembly: Assembly,
    pub(super) heard: Heard,
    pub(super) intake: Option<IntakeClosed>,
    pub(super) stopping: bool,
    pub(super) sweep: Sweep,
    /// Lanes in the order in which they were served last, for fairness among equals.
    pub(super) served: BTreeMap<crate::route::LaneId, u64>,
    pub(super) turn: u64,
    /// The last dispatch ended before it had looked at all that is due.
    pub(super) cut_short: bool,
    /// When the lanes went back to what was skipped.
    pub(super) rewound_at: Option<Instant>,
    /// From here on messages may wait in lanes that are not theirs any more; only before the first step.
    pub(super) misplaced: Option<Vec<u8>>,
    pub(super) reminders: Reminders,
    pub(super) quotas: Quotas,
}

/// How often messages that were skipped are looked at again, where no room became free before.
const REWIND: Duration = Duration::from_secs(60);

/// Names under [`keys::core`].
pub const COUNTERS: &str = "counters";
pub const PAUSES: &str = "pauses";
pub const REMINDERS: &str = "reminders";

impl Core {
    /// An empty core; [`Core::recover`] fills it from the state.
    pub(super) fn empty(settings: Settings) -> Result<Core, LaneClash> {
        let names: Vec<LinkName> = settings.links.iter().map(|link| link.name.clone()).collect();
        let router = Router::new(&settings.routes, &names)?;
        let reminders = Reminders::new(&settings.reminders, &router);
        let seat = |facts: &LinkFacts| Seat {
            facts: facts.clone(),
            up: false,
            parked: false,
            came_up: None,
            leased: 0,
            rests_until: None,
            unfinished: Vec::new(),
        };
        Ok(Core {
            lanes: Lanes::new(router.lanes().keys().copied()),
            links: settings.links.iter().map(seat).collect(),
            router,
            clock: ClockDoubt::new(settings.clock_floor, Timestamp::MIN),
            mark_kept: Timestamp::MIN,
            settings,
            counters: Counters::default(),
            pauses: Pauses::default(),
            order: Order::default(),
            active: HashMap::new(),
            leases: HashMap::new(),
            lease_of: HashMap::new(),
            unknowns: BTreeMap::new(),
            orphans: Orphans::default(),
            cancels: BTreeMap::new(),
            opt_outs: Parties::default(),
            holds: Parties::default(),
            walks: VecDeque::new(),
            unanswered: HashMap::new(),
            assembly: Assembly::default(),
            heard: Heard::default(),
            intake: None,
            stopping: false,
            sweep: Sweep::default(),
            served: BTreeMap::new(),
            turn: 0,
            cut_short: false,
            rewound_at: None,
            misplaced: None,
            reminders,
            quotas: Quotas::default(),
        })
    }

    /// Decides on everything that has come. The caller puts the batch on the disk before it acts.
    pub fn step(&mut self, state: &dyn Read, inputs: Vec<Input>, now: Now) -> Result<Step, StoreError> {
        let clock_changed = self.see_clock(now);
        self.see_quotas(now);
        self.rewind_lanes(now);
        self.lanes.refill(state)?;
        let mut work = Work::new(state, now);
        for seat in &mut self.links {
            seat.rests_until = seat.rests_until.filter(|&until| until > now.mono);
        }
        for input in inputs {
            self.take(input, &mut work)?;
        }
        self.sweep_due(&mut work)?;
        self.hear_orphans(&mut work)?;
        self.walk_chains(&mut work)?;
        self.settle_reminders(&mut work)?;
        self.look(&mut work)?;
        self.feed(&mut work)?;
        self.dispatch(&mut work)?;
        self.settle_reminders(&mut work)?;
        self.seal(&mut work);
        let awaits = self.awaits(now);
        let wake_at = self.wake_at(awaits, now);
        let Work { txn, submissions, controls, answers, leased, .. } = work;
        let batch = txn.batch;
        Ok(Step { batch, submissions, controls, answers, wake_at, awaits, leased, clock_changed })
    }

    /// Reads what the next step will want, a little of it; whether there was anything. Changes no decision:
    /// it may be called between any two steps, or never.
    pub fn look_ahead(&mut self, state: &dyn Read) -> Result<bool, StoreError> {
        let ahead = self.links.iter().map(|seat| usize::from(seat.facts.window)).sum();
        Ok(self.lanes.refill(state)? || self.lanes.warm(state, ahead)?)
    }

    /// Back to the messages that order held back while there was no room to park them.
    fn rewind_lanes(&mut self, now: Now) {
        let waited = self.rewound_at.is_none_or(|at| now.mono >= at + REWIND);
        if self.lanes.has_skipped() && (waited || self.order.has_room()) {
            self.rewound_at = Some(now.mono);
            self.order.forget_skipped();
            self.lanes.rewind();
        }
    }

    fn take(&mut self, input: Input, work: &mut Work) -> Result<(), StoreError> {
        match input {
            Input::Command(command) => self.obey(command, work),
            Input::Link { link, event } => self.hear(link, event, work),
            Input::Inbound { link, token, inbound } => self.receive(link, token, inbound, work),
            Input::Intake(refusal) => {
                self.intake = refusal.map(|why| IntakeClosed { why, since: work.wall() });
                Ok(())
            }
            Input::Stop => {
                self.stopping = true;
                self.intake = Some(IntakeClosed { why: Refusal::Stopping, since: work.wall() });
                Ok(())
            }
        }
    }

    fn obey(&mut self, command: Command, work: &mut Work) -> Result<(), StoreError> {
        match command {
            Command::Accept { drafts, batch, reply } => self.accept(drafts, batch, reply, work),
            Command::Cancel { id, reply } => self.cancel(id, reply, work),
            Command::Resolve { id, how, reply } => {
                let answer = self.resolve(id, how, work)?;
                work.answers.push(Answer::Status(reply, answer));
                Ok(())
            }
            Command::ResolveMany { which, how, reply } => {
                let count = self.resolve_many(&which, how, work)?;
                work.answers.push(Answer::Count(reply, Ok(count)));
                Ok(())
            }
            Command::Pause { link, by, reply } => {
                let answer = self.pause(link, by, work);
                work.answers.push(Answer::Done(reply, answer));
                Ok(())
            }
            Command::Resume { link, reply, .. } => {
                let answer = self.resume(link, work);
                work.answers.push(Answer::Done(reply, answer));
                Ok(())
            }
            Command::AcceptClock { by, reply } => {
                let answer = self.accept_clock(&by, work);
                work.answers.push(Answer::Done(reply, answer));
                Ok(())
            }
            Command::RestartLink { link, reply } => {
                let answer = self.restart_link(&link, work);
                work.answers.push(Answer::Done(reply, answer));
                Ok(())
            }
            Command::OptOut { entries, by, reply } => {
                let added = self.opt_out_many(entries, by, work)?;
                work.answers.push(Answer::Count(reply, added));
                Ok(())
            }
            Command::Change { changes, by, reply } => {
                let answer = self.change_all(changes, by.as_str(), work)?;
                work.answers.push(Answer::Changes(reply, answer));
                Ok(())
            }
            Command::LiftOptOut { party, by, reply } => {
                tracing::info!(event = "opt_out_lifted", party = %party, by = %by);
                let source = Source::Token { by, note: String::new() };
                let lifted = self.lift_opt_out(party, source, work)?;
                work.answers.push(Answer::Done(reply, lifted.then_some(()).ok_or(Refusal::NotFound)));
                Ok(())
            }
            Command::ReleaseHold { party, by, reply } => {
                tracing::info!(event = "hold_released", party = %party, by = %by);
                let source = Source::Token { by, note: String::new() };
                let released = self.release_hold(party, source, work);
                work.answers.push(Answer::Done(reply, released.then_some(()).ok_or(Refusal::NotFound)));
                Ok(())
            }
            Command::Webhook { progress, reply } => {
                let dead = self.note_webhook(progress, work)?;
                work.answers.push(Answer::Count(reply, Ok(dead)));
                Ok(())
            }
        }
    }

    /// The counters ride with every step that writes anything, and at times the clock's mark.
    pub(super) fn seal(&mut self, work: &mut Work) {
        if !work.txn.batch.is_empty() {
            self.keep_mark(work);
            work.txn.put(keys::core(COUNTERS), &self.counters);
            if self.reminders.counted.as_ref() != Some(&self.counters.reminders) {
                work.txn.put(keys::core(REMINDERS), &self.counters.reminders);
                self.reminders.counted = Some(self.counters.reminders.clone());
            }
        }
    }

    /// Monotonic, so that a wall clock that is set back cannot put the core to sleep; the sweep's tick
    /// finds what a wall clock that is set forward makes due, and the end of a doubt about it.
    fn wake_at(&self, awaits: Option<Instant>, now: Now) -> Option<Instant> {
        if !self.walks.is_empty() || !self.reminders.errands.is_empty() {
            return None;
        }
        if (self.cut_short || self.lanes.wants_refill()) && self.any_credit() {
            return None;
        }
        awaits.into_iter().chain([now.mono + self.sweep.wait(now)]).min()
    }

    fn awaits(&self, now: Now) -> Option<Instant> {
        let next_due = if self.any_credit() { self.lanes.next_due(now.wall) } else { None };
        let next_due = next_due.map(|due| now.mono + due.since(now.wall));
        let cancel = self.cancels.values().flatten().map(|cancel| cancel.deadline).min();
        let rested = self.links.iter().filter_map(|seat| seat.rests_until).min();
        // What a clock in doubt makes due waits until it is believed; the sweep's tick finds that.
        let reminders = if self.clock_in_doubt() { None } else { self.reminders.wakes(self.may_feed(), now) };
        let quotas = self.quotas_wake(now);
        next_due.into_iter().chain(cancel).chain(rested).chain(reminders).chain(quotas).min()
    }

    pub(super) fn any_credit(&self) -> bool {
        (0..self.links.len()).any(|link| self.credits(link) > 0)
    }

    /// Segments that may be leased to a link now.
    pub(super) fn credits(&self, link: LinkIndex) -> u16 {
        self.window_left(link).min(u16::try_from(self.quotas.left(link)).unwrap_or(u16::MAX))
    }

    /// The same, whatever its quota says.
    pub(super) fn window_left(&self, link: LinkIndex) -> u16 {
        let Some(seat) = self.links.get(link) else { return 0 };
        let paused = self.pauses.all.is_some() || self.pauses.links.contains_key(&seat.facts.name);
        if !seat.up || paused || self.stopping || seat.rests_until.is_some() {
            0
        } else {
            seat.facts.window.saturating_sub(seat.leased)
        }
    }

    /// Body and head of a message that is not leased.
    pub(super) fn load(&self, id: MessageId, work: &Work) -> Result<Option<(Body, Head)>, StoreError> {
        let Some(body) = work.txn.get::<Body>(&keys::body(id))? else { return Ok(None) };
        let head = work.txn.get(&keys::head(id))?.unwrap_or_else(|| Head::accepted(&body));
        Ok(Some((body, head)))
    }

    /// Writes a head, keeps the counters and indexes that follow from its state, and tells the world.
    pub(super) fn store_head(
        &mut self,
        id: MessageId,
        body: &Body,
        before: &Head,
        after: &Head,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        let (was, is) = (counted(body, before), counted(body, after));
        if *after == Head::accepted(body) {
            work.txn.delete_if_present(keys::head(id))?;
        } else {
            work.txn.put(keys::head(id), after);
        }
        if was != is {
            self.recount(Some(was), Some(is));
            self.tell(id, is, after, work);
            work.reminded.extend(Settled::of(id, body, after, is));
        }
        let (was_unknown, is_unknown) = (was == Status::Unknown, is == Status::Unknown);
        if is_unknown && before != after {
            self.note_unknown(id, body, after, work);
        } else if was_unknown && !is_unknown {
            self.unknowns.remove(&id);
            work.txn.delete(keys::unknown(id));
        }
        Ok(())
    }

    pub(super) fn recount(&mut self, was: Option<Status>, is: Option<Status>) {
        if let Some(was) = was {
            let count = &mut self.counters.by_status[was as usize];
            *count = count.saturating_sub(1);
        }
        if let Some(is) = is {
            self.counters.by_status[is as usize] += 1;
        }
    }

    /// One event for the change, and its count by link.
    pub(super) fn tell(&mut self, id: MessageId, status: Status, head: &Head, work: &mut Work) {
        let link = head.attempts.last().map(|attempt| attempt.link.clone());
        *self.counters.totals.entry((status, link.clone())).or_default() += 1;
        let notice = Notice { at: work.wall(), kind: NoticeKind::Message { id, status, link } };
        work.txn.batch.events.push(record::encode(&notice));
    }
}

/// The status under which a message is counted; unlike the one that is shown it does not depend on now.
pub fn counted(body: &Body, head: &Head) -> Status {
    match &head.state {
        State::Waiting { .. } if head.attempts.is_empty() && body.due > body.accepted_at => Status::Scheduled,
        State::Waiting { .. } => Status::Queued,
        other => other.status(Timestamp::MAX),
    }
}
