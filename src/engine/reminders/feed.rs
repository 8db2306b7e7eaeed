//! Steps that are due: judged by the gates, made into texts, and queued, as many as links can take just now.
//!
//! A due step stays on the disk until there is credit for its route; then gates, text and message are one step of
//! the core. What was queued and is not leased yet is judged again at its lease. Nothing goes while the wall clock is
//! in doubt, because every rule here rests on it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use super::debts::Debt;
use super::decide::{Decision, Proposal, decide};
use super::happened::Happened;
use super::records::Records;
use super::reference::{OURS, Reference};
use super::situation::{Circumstances, Situation};
use crate::clock::{Now, Timestamp};
use crate::engine::Draft;
use crate::engine::core::{Core, LinkIndex, Work};
use crate::id::{MessageId, ObligationId};
use crate::message::{Body, Class, Msisdn, OnUnknown, Priority};
use crate::reminder::enrolment::{EnrolmentState, Refused, StepOutcome, Timer, TimerKind};
use crate::reminder::gate::{Refusal, Then};
use crate::reminder::task::kind;
use crate::route::LaneId;
use crate::store::{StoreError, keys};

/// Due steps looked at in one step of the core, so that it stays short.
const LOOKED_AT: usize = 64;
/// Reminders of one lane that are queued and not leased at most: what is rendered does not wait long.
const AHEAD: usize = 64;
/// When what found no link is looked at again, where nothing else happens.
const REST: Duration = Duration::from_secs(15);
/// Due steps remembered for lanes that have enough; the others are found again by a later round. A few megabytes.
const ASIDE_MOST: usize = 65_536;
/// When links that had enough are looked at again, where no answer of theirs comes before.
const STALL: Duration = Duration::from_secs(1);
/// When all is gone through again where more waited than is remembered, and none of that went before.
const LONG_REST: Duration = Duration::from_secs(300);
/// When a step that waits for a person is looked at again by itself.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(24 * 3600);
/// When a step whose text went to the number of late is tried again.
pub(super) const SAME_TEXT: Duration = Duration::from_secs(6 * 3600);
/// Before plain messages, which may be many; those with a higher priority still overtake.
pub const PRIORITY: u8 = 5;

/// Where the feed stands in the due index.
#[derive(Debug, Default)]
pub struct Feed {
    /// Reminders queued and not leased, by lane; those that wait behind another message of their number are not here.
    pub waiting: HashMap<MessageId, LaneId>,
    /// Timers of due steps whose lane had enough when the round came to them, in the order in which they are due:
    /// so that a slow link keeps no other lane waiting, and none of its own is looked for again.
    aside: BTreeMap<LaneId, BTreeSet<Vec<u8>>>,
    /// The key after which the round goes on; at its end that of what becomes due meanwhile.
    cursor: Option<Vec<u8>>,
    /// This round left something that no link could take.
    left: bool,
    /// This round came to more for lanes that have enough than is remembered.
    overflowed: bool,
    /// When all that is due is gone through from its beginning again; until then only what became due since.
    anew_at: Option<Instant>,
    /// The queue takes nothing before this.
    full_until: Option<Instant>,
    /// It was cut short, and goes on at once.
    cut: bool,
}

impl Feed {
    /// When the feed wants to be asked again; `Some(now)`: at once.
    pub fn wakes(&self, due: Option<Timestamp>, now: Now) -> Option<Instant> {
        let at = due.map(|at| now.mono + at.since(now.wall))?;
        let anew = self.anew_at.map_or(at, |anew| at.max(anew));
        let at = match (self.cut, self.aside.is_empty()) {
            (true, _) => now.mono,
            (false, true) => anew,
            (false, false) => anew.min(now.mono + STALL),
        };
        Some(self.full_until.map_or(at, |until| at.max(until)))
    }

    fn is_aside(&self, key: &[u8]) -> bool {
        self.aside.values().any(|lane| lane.contains(key))
    }

    /// Something of this lane that was due before waits for it.
    fn is_behind(&self, lane: LaneId, key: &[u8]) -> bool {
        let first = self.aside.get(&lane).and_then(BTreeSet::first);
        first.is_some_and(|first| first.as_slice() < key)
    }

    fn set_aside(&mut self, lane: LaneId, key: Vec<u8>) {
        if self.aside.values().map(BTreeSet::len).sum::<usize>() < ASIDE_MOST {
            self.aside.entry(lane).or_default().insert(key);
        } else {
            self.overflowed = true;
        }
    }

    /// The next round begins where the due index does.
    fn begin_anew(&mut self) {
        (self.cursor, self.anew_at, self.left, self.overflowed) = (None, None, false, false);
    }

    /// A round is over.
    fn rest(&mut self, now: Instant) {
        if !self.left && !self.overflowed && self.aside.is_empty() {
            self.begin_anew();
        } else if self.anew_at.is_none() {
            // To go through all that waits costs more than a moment for what has no room anyway.
            self.anew_at = Some(now + if self.overflowed { LONG_REST } else { REST });
        }
    }
}

/// What became of one due obligation.
pub(super) enum Fed {
    /// It left the due index, or moved in it.
    Done,
    /// No link that serves its lane can take anything.
    NoRoom,
    /// The links that serve its lane have enough just now.
    Later(LaneId),
    /// Nothing can be taken now.
    Full,
}

/// Whether there is room on a reminder's lane.
enum Room {
    Lane(LaneId),
    /// Its links have enough, and will ask for more.
    Full(LaneId),
    /// No link of it can take anything.
    Dead(LaneId),
    None,
}

impl Core {
    /// Queues what is due and may go, as far as there is room.
    pub(in crate::engine) fn feed(&mut self, work: &mut Work) -> Result<(), StoreError> {
        let now = work.now.mono;
        let feed = &mut self.reminders.feed;
        feed.cut = false;
        feed.full_until = feed.full_until.filter(|&until| now < until);
        if feed.full_until.is_some()
            || !self.reminders.is_due(TimerKind::Step, work.wall())
            || !self.may_feed()
        {
            return Ok(());
        }
        self.feed_aside(work)?;
        let feed = &mut self.reminders.feed;
        if feed.full_until.is_some() {
            return Ok(());
        }
        if feed.anew_at.is_some_and(|at| at <= now) || (feed.overflowed && feed.aside.is_empty()) {
            feed.begin_anew();
        }
        self.feed_round(work)
    }

    /// What waited for lanes that have room again.
    fn feed_aside(&mut self, work: &mut Work) -> Result<(), StoreError> {
        let lanes: Vec<LaneId> = self.reminders.feed.aside.keys().copied().collect();
        let share = (LOOKED_AT / lanes.len().max(1)).max(1);
        for lane in lanes {
            for looked_at in 0..=share {
                match self.room_of(lane) {
                    Room::Lane(_) => {}
                    Room::Full(_) => break,
                    // Nobody knows when it has room: the round finds what waits for it, and tells of its quota.
                    Room::Dead(_) | Room::None => {
                        self.reminders.feed.aside.remove(&lane);
                        self.reminders.feed.anew_at = Some(work.now.mono);
                        break;
                    }
                }
                if looked_at == share {
                    self.reminders.feed.cut = true;
                    break;
                }
                let waiting = self.reminders.feed.aside.get_mut(&lane);
                let Some(key) = waiting.and_then(BTreeSet::pop_first) else { break };
                if !self.feed_next(key, work)? {
                    return Ok(());
                }
            }
        }
        self.reminders.feed.aside.retain(|_, waiting| !waiting.is_empty());
        Ok(())
    }

    /// Goes on through all that is due.
    fn feed_round(&mut self, work: &mut Work) -> Result<(), StoreError> {
        let from = self.reminders.feed.cursor.take().unwrap_or_else(|| keys::timers(TimerKind::Step));
        let to = keys::timer(TimerKind::Step, work.wall(), u64::MAX);
        let due = work.txn.scan(&from, &to, LOOKED_AT)?;
        let more = due.len() == LOOKED_AT;
        self.reminders.feed.cut |= more;
        self.reminders.feed.cursor = Some(from);
        for (key, _) in due {
            self.reminders.feed.cursor = Some([key.as_slice(), &[0]].concat());
            if !self.reminders.feed.is_aside(&key) && !self.feed_next(key, work)? {
                return Ok(());
            }
        }
        if more {
            return Ok(());
        }
        self.reminders.feed.rest(work.now.mono);
        self.forecast(TimerKind::Step, work)
    }

    /// Whether the queue takes any more.
    fn feed_next(&mut self, key: Vec<u8>, work: &mut Work) -> Result<bool, StoreError> {
        match self.feed_key(&key, work)? {
            Fed::Done => {}
            Fed::NoRoom => self.reminders.feed.left = true,
            Fed::Later(lane) => self.reminders.feed.set_aside(lane, key),
            Fed::Full => {
                let feed = &mut self.reminders.feed;
                feed.begin_anew();
                feed.cut = false;
                feed.full_until = Some(work.now.mono + REST);
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether steps that are due may go at all.
    pub(in crate::engine) fn may_feed(&self) -> bool {
        let stops = self.stopping || self.intake.is_some() || self.clock_in_doubt();
        // A link without quota counts: its steps are told to wait.
        !stops && (0..self.links.len()).any(|link| self.window_left(link) > 0)
    }

    /// Until when no link that serves its lane has quota for this number.
    fn quota_until_of(&mut self, draft: &Draft, work: &Work) -> Result<Option<Timestamp>, StoreError> {
        if !self.quotas.are_set() {
            return Ok(None);
        }
        let body = self.body(draft.clone(), None, work.wall());
        match self.router.lane(&body, None) {
            Some(lane) => self.quota_until(lane, draft.to, work),
            None => Ok(None),
        }
    }

    fn feed_key(&mut self, key: &[u8], work: &mut Work) -> Result<Fed, StoreError> {
        let Some((at, id)) = keys::decode_timer(key) else { return Ok(Fed::Done) };
        let timer = Timer { kind: TimerKind::Step, at };
        let Some(obligation) = work.txn.obligation(ObligationId::from_u64(id))? else {
            return self.feed_firing(id, timer, key, work);
        };
        let id = ObligationId::from_u64(id);
        if obligation.timer != Some(timer) {
            work.txn.delete_if_present(key.to_vec())?;
            return Ok(Fed::Done);
        }
        let mut debt = Debt { id, obligation };
        let read =
            Situation::read(&work.txn, &self.reminders.catalog, &self.reminders.rules, &debt.obligation)?;
        let Ok(situation) = read else {
            self.keep(debt, work)?;
            return Ok(Fed::Done);
        };
        let draft = self.blank(&debt, &situation);
        let (lane, quota_until) = match self.place_for(&draft, key, work)? {
            Ok(place) => place,
            Err(fed) => return Ok(fed),
        };
        let around = Circumstances { quota_until, ..self.around(situation.number, work.wall()) };
        let catalog = self.reminders.catalog.clone();
        let (link, token) = self.link_of(&debt, &situation);
        let decision = decide(&situation, &debt.obligation, &catalog, around, link.as_deref());
        match decision {
            Decision::NotDue => self.keep(debt, work)?,
            Decision::Go(proposal) => {
                self.keep_token(token, id, work)?;
                return self.go(debt, situation, *proposal, (draft, lane), work);
            }
            Decision::Skip { step, gate, rule } => {
                debt.skip_by(step.clone(), work.wall(), &gate, &rule);
                self.happen(id, Happened::Skipped { step, gate, rule }, "", work);
                self.keep(debt, work)?;
            }
            Decision::Refused { step, refusal } => self.refuse(&mut debt, step, &refusal, work)?,
            Decision::NoText { step, why } => {
                let about = Some((debt.id, &debt.obligation));
                self.open_task(kind::RENDER, about, None, &why, work)?;
                let next = work.wall().saturating_add(LOOK_AGAIN);
                self.wait_step(&mut debt, (step, "text", None, why), Some(next), work)?;
            }
        }
        Ok(Fed::Done)
    }

    /// The lane with room for a text now, and until when its links have no quota; `Err`: nothing can be taken.
    pub(super) fn place_for(
        &mut self,
        draft: &Draft,
        key: &[u8],
        work: &mut Work,
    ) -> Result<Result<(LaneId, Option<Timestamp>), Fed>, StoreError> {
        let quota_until = self.quota_until_of(draft, work)?;
        Ok(match self.room(draft, work) {
            Room::Lane(lane) if self.reminders.feed.is_behind(lane, key) => Err(Fed::Later(lane)),
            Room::Lane(lane) => Ok((lane, quota_until)),
            // Its wait for quota is told.
            Room::Full(lane) | Room::Dead(lane) if quota_until.is_some() => Ok((lane, quota_until)),
            Room::Full(lane) => Err(Fed::Later(lane)),
            Room::Dead(_) | Room::None => Err(Fed::NoRoom),
        })
    }

    /// What the gates are told of the core's own memory.
    pub(super) fn around(&self, number: Msisdn, now: Timestamp) -> Circumstances {
        Circumstances {
            now,
            is_suppressed: self.opt_outs.of(number).next().is_some(),
            is_held: self.holds.of(number).next().is_some(),
            // Quotas hold back at the lease itself what was queued before they were used up.
            quota_until: None,
        }
    }

    /// A reminder without its text yet: enough to know its route.
    pub(super) fn blank(&self, debt: &Debt, situation: &Situation) -> Draft {
        Draft {
            to: situation.number,
            text: String::new(),
            sender: situation.sender(),
            link: None,
            class: Class::Reminder,
            priority: Priority::new(PRIORITY).unwrap_or_default(),
            send_at: None,
            valid_until: None,
            encoding: crate::message::Encoding::Gsm7,
            segment_count: 1,
            // Never twice, whatever the queue does with other messages.
            on_unknown: Some(OnUnknown::Hold),
            flash: false,
            receipt: true,
            client_ref: Some(debt.id.to_string()),
            unique_ref: false,
            allow_duplicate: false,
            metadata: None,
            token: OURS.into(),
            idempotency: None,
        }
    }

    /// Whether a link that serves its lane could take it now.
    fn room(&mut self, draft: &Draft, work: &Work) -> Room {
        let body = self.body(draft.clone(), None, work.wall());
        self.router.lane(&body, None).map_or(Room::None, |lane| self.room_of(lane))
    }

    fn room_of(&self, id: LaneId) -> Room {
        let Some(lane) = self.router.lanes().get(&id) else { return Room::None };
        let serving = (0..self.links.len()).filter(|&link: &LinkIndex| self.serves(link, lane));
        let (credits, busy) = serving.fold((0, false), |(credits, busy), link| {
            let leased = self.links.get(link).is_some_and(|seat| seat.leased > 0);
            (credits + usize::from(self.credits(link)), busy || leased)
        });
        let waiting = self.reminders.feed.waiting.values().filter(|&&lane| lane == id).count();
        match credits.min(AHEAD) {
            0 if busy => Room::Full(id),
            0 => Room::Dead(id),
            room if waiting >= room => Room::Full(id),
            _ => Room::Lane(id),
        }
    }

    fn go(
        &mut self,
        mut debt: Debt,
        mut situation: Situation,
        proposal: Proposal,
        (blank, lane): (Draft, LaneId),
        work: &mut Work,
    ) -> Result<Fed, StoreError> {
        let now = work.wall();
        let Proposal { step, rendered, template, menu, until } = proposal;
        let cycle = debt.obligation.cycle;
        let version = debt.obligation.version;
        let reference = Reference { obligation: debt.id, cycle, step: step.clone(), version };
        let draft = Draft {
            text: rendered.text,
            encoding: rendered.encoding,
            segment_count: rendered.segment_count,
            valid_until: Some(until),
            client_ref: Some(reference.to_string()),
            metadata: Some(metadata(&debt, &step, &template)),
            ..blank
        };
        let message = match self.queue_text(draft, work)? {
            Ok(message) => message,
            Err(crate::engine::Refusal::Duplicate { .. }) => {
                let next = now.saturating_add(SAME_TEXT);
                let why = String::from("the same text went to this number of late");
                self.wait_step(&mut debt, (step, "duplicate", None, why), Some(next), work)?;
                return Ok(Fed::Done);
            }
            Err(_) => return Ok(Fed::Full),
        };
        self.reminders.feed.waiting.insert(message, lane);
        situation.phone.take(&debt.obligation.creditor, now);
        work.txn.put(keys::phone(situation.number), &situation.phone);
        let how = StepOutcome::Gone {
            message,
            to: situation.number,
            at: now,
            template: template.clone(),
            accepted: false,
            menu,
            answer: None,
        };
        debt.obligation.note(step.clone(), how);
        if let Some(enrolment) = &mut debt.obligation.enrolment {
            enrolment.refused = None;
            enrolment.state = EnrolmentState::Active;
        }
        let to = situation.number;
        self.happen(debt.id, Happened::Gone { step, message, to, template }, "", work);
        self.keep(debt, work)?;
        Ok(Fed::Done)
    }

    /// Queues a text that passed the gates, unless the queue has something against it.
    pub(super) fn queue_text(
        &mut self,
        draft: Draft,
        work: &mut Work,
    ) -> Result<Result<MessageId, crate::engine::Refusal>, StoreError> {
        let digest = crate::engine::intake::text_digest(&draft.text);
        if let Some(refusal) = self.refusal(&draft, digest, work)? {
            return Ok(Err(refusal));
        }
        Ok(self.enqueue(draft, None, work)?.map(|accepted| accepted.id))
    }

    /// A gate said no: the step waits, is over, or ends it all.
    fn refuse(
        &mut self,
        debt: &mut Debt,
        step: crate::reminder::name::Key,
        refusal: &Refusal,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        let (gate, rule) = (refusal.gate.as_str(), refusal.rule.to_string());
        let said = (step.clone(), gate, refusal.pack.clone(), rule.clone());
        match refusal.then {
            Then::Wait(next) => self.wait_step(debt, said, Some(next), work)?,
            Then::Stay => self.wait_step(debt, said, None, work)?,
            Then::NeedsPerson(task) => {
                let about = Some((debt.id, &debt.obligation));
                if task != kind::REVIEW {
                    self.open_task(task, about, None, &format!("{gate}: {rule}"), work)?;
                }
                let next = work.wall().saturating_add(LOOK_AGAIN);
                self.wait_step(debt, said, Some(next), work)?;
            }
            Then::Skip => {
                debt.skip_by(step.clone(), work.wall(), gate, &rule);
                let gate = gate.to_owned();
                self.happen(debt.id, Happened::Skipped { step, gate, rule }, "", work);
                self.keep(debt.clone(), work)?;
            }
            Then::Exit(reason) => {
                self.exit(debt, reason, "", work);
                self.keep(debt.clone(), work)?;
            }
        }
        Ok(())
    }

    /// The step is tried again at `next`; why is told once, not at each try.
    fn wait_step(
        &mut self,
        debt: &mut Debt,
        (step, gate, pack, rule): (
            crate::reminder::name::Key,
            &str,
            Option<crate::reminder::name::Key>,
            String,
        ),
        next: Option<Timestamp>,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        let (at, gate) = (work.wall(), gate.to_owned());
        let Some(enrolment) = &mut debt.obligation.enrolment else { return Ok(()) };
        let told = enrolment.refused.as_ref();
        let told = told.is_some_and(|r| r.step == step && r.gate == gate && r.rule == rule);
        enrolment.refused = Some(Refused {
            step: step.clone(),
            gate: gate.clone(),
            pack: pack.clone(),
            rule: rule.clone(),
            at,
        });
        if !told {
            self.happen(debt.id, Happened::Refused { step, gate, pack, rule, next }, "", work);
        }
        let timer = next.map(|at| Timer { kind: TimerKind::Step, at });
        self.write(debt, timer, work)
    }

    /// Whether a queued reminder may still go now; it was judged when it was queued, and much may have come since.
    pub(in crate::engine) fn may_still_go(
        &mut self,
        id: MessageId,
        body: &Body,
        work: &Work,
    ) -> Result<bool, StoreError> {
        let Some(reference) = Reference::of(body) else {
            return match super::speak::firing_of(body) {
                Some(firing) => self.may_still_speak(id, firing, body, work),
                None => self.may_still_answer(body, work),
            };
        };
        let Some(obligation) = work
            .txn
            .get::<crate::reminder::obligation::Obligation>(&keys::obligation(reference.obligation))?
        else {
            return Ok(false);
        };
        if self.clock_in_doubt() {
            return Ok(false);
        }
        let gone = obligation.steps.iter().find_map(|note| match note.how {
            // One of another cycle or sequence than it is in now goes no more.
            StepOutcome::Gone { message, at, .. } if message == id && obligation.is_current(note) => Some(at),
            _ => None,
        });
        let Some(at) = gone else { return Ok(false) };
        if at == work.wall() && reference.version == obligation.version {
            return Ok(true);
        }
        let read = Situation::read(&work.txn, &self.reminders.catalog, &self.reminders.rules, &obligation)?;
        let Ok(mut situation) = read else { return Ok(false) };
        let sequence = situation.sequence.clone();
        let Some(step) = sequence.step(&reference.step) else { return Ok(false) };
        let Ok(window) = situation.window(&obligation, step) else { return Ok(false) };
        // Its own place under the caps is not against it.
        situation.phone.ledger.take_back(at);
        let around = self.around(situation.number, work.wall());
        let same = reference.version == obligation.version
            && reference.cycle == obligation.cycle
            && situation.number == body.to;
        let clearance = situation.judge(&obligation, window, around);
        // It must not arrive after hours that closed sooner than it was told.
        Ok(same && clearance.is_ok_and(|clearance| body.valid_until <= clearance.until))
    }
}

impl Debt {
    /// A step that is over by a gate's word.
    fn skip_by(&mut self, step: crate::reminder::name::Key, at: Timestamp, gate: &str, rule: &str) {
        let how = StepOutcome::Skipped { at, gate: gate.to_owned(), rule: rule.to_owned() };
        self.obligation.note(step, how);
    }
}

/// What programs read with the message: whose reminder it is.
fn metadata(debt: &Debt, step: &crate::reminder::name::Key, template: &str) -> String {
    let enrolment = debt.obligation.enrolment.as_ref();
    let sequence = enrolment.map(|e| format!("{}@{}", e.sequence, e.version));
    serde_json::json!({
        "obligation": debt.id.to_string(),
        "external_id": debt.obligation.external_id.as_str(),
        "step": step.as_str(),
        "sequence": sequence,
        "template": template,
    })
    .to_string()
}
