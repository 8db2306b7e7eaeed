//! Which texts would go when, if nothing happened but time: the planner and the gates of the wire, walked forward
//! over imagined days.
//!
//! Obligations are walked together in the order of their timers, as the core takes them, because they share phones
//! and every text counts for the caps of all. The ledgers, notes and pauses that come of it live here and nowhere
//! else. Not imagined: links that are slow or down, people who answer, money that comes.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::catalog::Catalog;
use super::decide::{Decision, Proposal, decide};
use super::feed::{LOOK_AGAIN, SAME_TEXT};
use super::plan::{Next, plan};
use super::records::{Applied, OF_CONTACT_MAX, Phone, Records};
use super::situation::{Circumstances, RulesCache, Situation};
use crate::clock::Timestamp;
use crate::engine::ReadError;
use crate::engine::view::View;
use crate::id::{ContactId, MessageId, ObligationId};
use crate::message::Msisdn;
use crate::reminder::enrolment::{EnrolmentState, PauseReason, StepOutcome, TimerKind};
use crate::reminder::gate::{Refusal, Then};
use crate::reminder::link::{Target, Token};
use crate::reminder::name::Key;
use crate::reminder::obligation::Obligation;
use crate::reminder::suppression::Party;
use crate::reminder::template::{Field, Rendered};
use crate::store::{Entries, StoreError, keys};

/// Obligations walked at once, those on the same phones among them.
pub const OBLIGATIONS_MAX: usize = 20_000;
/// Looks at one obligation at most: a sequence has 32 steps, and each may be refused for weeks.
const LOOKS_MAX: u32 = 512;

/// What would become of one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forecast {
    pub obligation: ObligationId,
    pub external_id: String,
    pub step: Key,
    pub at: Timestamp,
    /// Where the contact may be, by name.
    pub zones: Vec<String>,
    pub outcome: Foreseen,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Foreseen {
    /// It goes; the token in its payment link is nobody's.
    Goes { to: Msisdn, template: String, rendered: Rendered, until: Timestamp },
    /// A gate holds it back; `next`: when it is tried again, `None` where a person must act first.
    Refused { gate: String, pack: Option<Key>, rule: String, next: Option<Timestamp> },
    /// It is left out.
    Skipped { gate: String, rule: String },
    /// Its time passes before it can go, or a later step takes its place.
    Stale,
    /// Its text cannot be made.
    NoText { why: String },
}

/// What was foreseen, in order of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Simulation {
    pub forecasts: Vec<Forecast>,
    /// There is more than was asked for, or more than can be walked at once.
    pub cut: bool,
}

/// From when to when, and how much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    pub from: Timestamp,
    pub to: Timestamp,
    /// Forecasts at most.
    pub limit: usize,
    /// As `[queue]` has it: the same text does not go twice to a number within it.
    pub duplicate_window: Duration,
}

/// Records, but phones with what was imagined of them.
struct Imagined<'a, R> {
    records: &'a R,
    phones: &'a RefCell<HashMap<Msisdn, Phone>>,
}

impl<R: Records> Records for Imagined<'_, R> {
    fn fetch<T: serde::de::DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, StoreError> {
        self.records.fetch(key)
    }

    fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Entries, StoreError> {
        self.records.range(from, to, limit)
    }

    fn phone(&self, number: Msisdn) -> Result<Phone, StoreError> {
        match self.phones.borrow().get(&number) {
            Some(phone) => Ok(phone.clone()),
            None => self.records.phone(number),
        }
    }
}

/// One obligation on its way.
struct Walker {
    id: ObligationId,
    obligation: Obligation,
    asked: bool,
    looks: u32,
    /// What was told of the step that waits, so that it is told once.
    told: Option<(Key, String, String)>,
}

struct Walk<'a, R> {
    records: &'a R,
    catalog: &'a Catalog,
    cache: &'a RulesCache,
    phones: RefCell<HashMap<Msisdn, Phone>>,
    /// Numbers that get nothing, and those that wait for a person.
    quiet: HashMap<Msisdn, (bool, bool)>,
    walkers: HashMap<ObligationId, Walker>,
    timers: BTreeSet<(Timestamp, ObligationId)>,
    /// When which text went last to whom.
    texts: HashMap<(Msisdn, String), Timestamp>,
    duplicate_window: Duration,
    foreseen: Simulation,
}

impl View {
    /// What would go of these obligations; those on the same phones are walked with them, and not told.
    ///
    /// # Errors
    /// The state cannot be read.
    pub fn simulate(&self, ids: &[ObligationId], stretch: Stretch) -> Result<Simulation, ReadError> {
        let catalog = self.catalog()?;
        let records = Applied(&*self.state);
        simulate(&records, (&catalog, &RulesCache::default()), ids, stretch)
    }

    /// The same of everything that is due in a stretch, of one creditor or of all.
    ///
    /// # Errors
    /// The state cannot be read.
    pub fn simulate_due(&self, creditor: Option<&Key>, stretch: Stretch) -> Result<Simulation, ReadError> {
        let catalog = self.catalog()?;
        let records = Applied(&*self.state);
        let (ids, cut) = due(&records, creditor, stretch.to)?;
        let mut simulation = simulate(&records, (&catalog, &RulesCache::default()), &ids, stretch)?;
        simulation.cut |= cut;
        Ok(simulation)
    }
}

/// Obligations whose timers end before `to`, and whether there are more.
fn due<R: Records>(
    records: &R,
    creditor: Option<&Key>,
    to: Timestamp,
) -> Result<(Vec<ObligationId>, bool), StoreError> {
    let (mut ids, mut cut) = (Vec::new(), false);
    for kind in [TimerKind::Step, TimerKind::Look] {
        let room = OBLIGATIONS_MAX - ids.len();
        let entries = records.range(&keys::timers(kind), &keys::timer(kind, to, 0), room)?;
        cut |= entries.len() == room;
        for id in entries.iter().filter_map(|(key, _)| keys::decode_timer(key)).map(|(_, id)| id) {
            let id = ObligationId::from_u64(id);
            let of = |obligation: Obligation| creditor.is_none_or(|key| *key == obligation.creditor);
            if creditor.is_none() || records.obligation(id)?.is_some_and(of) {
                ids.push(id);
            }
        }
    }
    Ok((ids, cut))
}

/// Walks these obligations, and all that share a phone with them, from `from` to `to`.
///
/// # Errors
/// The state cannot be read.
pub fn simulate<R: Records>(
    records: &R,
    (catalog, cache): (&Catalog, &RulesCache),
    ids: &[ObligationId],
    stretch: Stretch,
) -> Result<Simulation, StoreError> {
    let mut walk = Walk {
        records,
        catalog,
        cache,
        phones: RefCell::default(),
        quiet: HashMap::new(),
        walkers: HashMap::new(),
        timers: BTreeSet::new(),
        texts: HashMap::new(),
        duplicate_window: stretch.duplicate_window,
        foreseen: Simulation::default(),
    };
    for &id in ids {
        walk.enter(id, true)?;
    }
    walk.bring_companions(ids)?;
    while let Some((at, id)) = walk.timers.pop_first() {
        if at >= stretch.to {
            break;
        }
        if walk.foreseen.forecasts.len() >= stretch.limit {
            walk.foreseen.cut = true;
            break;
        }
        walk.look(id, at.max(stretch.from))?;
    }
    Ok(walk.foreseen)
}

impl<R: Records> Walk<'_, R> {
    fn enter(&mut self, id: ObligationId, asked: bool) -> Result<(), StoreError> {
        if let Some(walker) = self.walkers.get_mut(&id) {
            walker.asked |= asked;
            return Ok(());
        }
        if self.walkers.len() >= OBLIGATIONS_MAX {
            self.foreseen.cut = true;
            return Ok(());
        }
        let Some(obligation) = self.records.obligation(id)? else { return Ok(()) };
        if let Some(timer) = obligation.timer {
            self.timers.insert((timer.at, id));
        }
        self.walkers.insert(id, Walker { id, obligation, asked, looks: 0, told: None });
        Ok(())
    }

    /// Whoever else is on the phones of these.
    fn bring_companions(&mut self, ids: &[ObligationId]) -> Result<(), StoreError> {
        let mut people = BTreeSet::<ContactId>::new();
        for id in ids {
            let Some(walker) = self.walkers.get(id) else { continue };
            let Some(stored) = self.records.contact(walker.obligation.contact)? else { continue };
            for number in stored.contact.numbers() {
                people.extend(self.records.phone(number)?.contacts);
            }
            people.insert(walker.obligation.contact);
        }
        for contact in people {
            for id in self.records.obligations_of(contact)?.into_iter().take(OF_CONTACT_MAX) {
                self.enter(id, false)?;
            }
        }
        Ok(())
    }

    /// Looks at one obligation at an instant, as the core would.
    fn look(&mut self, id: ObligationId, now: Timestamp) -> Result<(), StoreError> {
        let Some(mut walker) = self.walkers.remove(&id) else { return Ok(()) };
        walker.looks += 1;
        if let Some(next) = self.take(&mut walker, now)? {
            if walker.looks < LOOKS_MAX {
                self.timers.insert((next, id));
            } else {
                self.foreseen.cut = true;
            }
        }
        self.walkers.insert(id, walker);
        Ok(())
    }

    /// What comes of it now; when it is to be looked at again.
    fn take(&mut self, walker: &mut Walker, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let Some(enrolment) = &mut walker.obligation.enrolment else { return Ok(None) };
        match enrolment.state {
            EnrolmentState::Completed { .. } | EnrolmentState::Exited { .. } => return Ok(None),
            EnrolmentState::Paused { until: Some(until), .. } if until <= now => {
                enrolment.state = EnrolmentState::Active;
                return self.plan(walker, now);
            }
            EnrolmentState::Paused { until, .. } => return Ok(until),
            EnrolmentState::Scheduled | EnrolmentState::Active => {}
        }
        let Some(situation) = self.situation(&walker.obligation)? else { return Ok(None) };
        let (is_suppressed, is_held) = self.quiet(situation.number)?;
        let around = Circumstances { now, is_suppressed, is_held, quota_until: None };
        let link = link(&situation, &walker.obligation);
        match decide(&situation, &walker.obligation, self.catalog, around, link.as_deref()) {
            Decision::NotDue => self.plan(walker, now),
            Decision::Go(proposal) => self.go(walker, situation, *proposal, now),
            Decision::Skip { step, gate, rule } => {
                let how = StepOutcome::Skipped { at: now, gate: gate.clone(), rule: rule.clone() };
                self.tell(walker, &situation, (step.clone(), now), Foreseen::Skipped { gate, rule });
                note(walker, step, how);
                self.plan(walker, now)
            }
            Decision::Refused { step, refusal } => self.refuse(walker, &situation, step, &refusal, now),
            Decision::NoText { step, why } => {
                let said = (step.clone(), String::from("text"), why.clone());
                if walker.told.replace(said.clone()) != Some(said) {
                    self.tell(walker, &situation, (step, now), Foreseen::NoText { why });
                }
                Ok(Some(now.saturating_add(LOOK_AGAIN)))
            }
        }
    }

    fn situation(&self, obligation: &Obligation) -> Result<Option<Situation>, StoreError> {
        let records = Imagined { records: self.records, phones: &self.phones };
        Ok(Situation::read(&records, self.catalog, self.cache, obligation)?.ok())
    }

    /// Whether a number opted out, and whether a person must look at it first.
    fn quiet(&mut self, number: Msisdn) -> Result<(bool, bool), StoreError> {
        if let Some(&known) = self.quiet.get(&number) {
            return Ok(known);
        }
        let (mut out, mut held) = (false, false);
        for party in Party::all_of(number) {
            out |= !self.records.range(&keys::opt_out(party), &after(keys::opt_out(party)), 1)?.is_empty();
            held |= !self.records.range(&keys::hold(party), &after(keys::hold(party)), 1)?.is_empty();
        }
        self.quiet.insert(number, (out, held));
        Ok((out, held))
    }

    fn tell(
        &mut self,
        walker: &Walker,
        situation: &Situation,
        (step, at): (Key, Timestamp),
        outcome: Foreseen,
    ) {
        if !walker.asked {
            return;
        }
        let zones = situation.zones().zones().iter().map(|zone| zone.name().to_owned()).collect();
        let external_id = walker.obligation.external_id.to_string();
        let forecast = Forecast { obligation: walker.id, external_id, step, at, zones, outcome };
        self.foreseen.forecasts.push(forecast);
    }

    fn go(
        &mut self,
        walker: &mut Walker,
        mut situation: Situation,
        proposal: Proposal,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        let Proposal { step, rendered, template, menu, until } = proposal;
        let to = situation.number;
        let last = self.texts.get(&(to, rendered.text.clone()));
        if last.is_some_and(|last| now.since(*last) < self.duplicate_window) {
            return Ok(Some(self.wait_for_other_words(walker, &situation, step, now)));
        }
        self.texts.insert((to, rendered.text.clone()), now);
        let goes = Foreseen::Goes { to, template: template.clone(), rendered, until };
        self.tell(walker, &situation, (step.clone(), now), goes);
        situation.phone.take(&walker.obligation.creditor, now);
        self.phones.borrow_mut().insert(to, situation.phone.clone());
        let message = MessageId::from_u64(0);
        let how = StepOutcome::Gone { message, to, at: now, template, accepted: true, menu, answer: None };
        note(walker, step, how);
        walker.told = None;
        if let Some(enrolment) = &mut walker.obligation.enrolment {
            enrolment.state = EnrolmentState::Active;
            enrolment.reminders_accepted += 1;
            let escalate = situation.sequence.escalate.as_ref();
            if escalate.is_some_and(|e| e.after == enrolment.reminders_accepted && e.pause) {
                enrolment.state = EnrolmentState::Paused { reason: PauseReason::Review, until: None };
                return Ok(None);
            }
        }
        self.plan(walker, now)
    }

    /// The same text went to this number of late; when it is tried again.
    fn wait_for_other_words(
        &mut self,
        walker: &mut Walker,
        situation: &Situation,
        step: Key,
        now: Timestamp,
    ) -> Timestamp {
        let next = now.saturating_add(SAME_TEXT);
        let (gate, rule) =
            (String::from("duplicate"), String::from("the same text went to this number of late"));
        let said = (step.clone(), gate.clone(), rule.clone());
        if walker.told.replace(said.clone()) != Some(said) {
            let refused = Foreseen::Refused { gate, pack: None, rule, next: Some(next) };
            self.tell(walker, situation, (step, now), refused);
        }
        next
    }

    fn refuse(
        &mut self,
        walker: &mut Walker,
        situation: &Situation,
        step: Key,
        refusal: &Refusal,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        let (gate, rule) = (refusal.gate.as_str().to_owned(), refusal.rule.to_string());
        let next = match refusal.then {
            Then::Wait(next) => Some(next),
            Then::NeedsPerson(_) => Some(now.saturating_add(LOOK_AGAIN)),
            Then::Stay | Then::Exit(_) => None,
            Then::Skip => {
                self.tell(
                    walker,
                    situation,
                    (step.clone(), now),
                    Foreseen::Skipped { gate: gate.clone(), rule: rule.clone() },
                );
                note(walker, step, StepOutcome::Skipped { at: now, gate, rule });
                return self.plan(walker, now);
            }
        };
        let said = (step.clone(), gate.clone(), rule.clone());
        if walker.told.replace(said.clone()) != Some(said) {
            let (pack, shown) = (refusal.pack.clone(), next);
            self.tell(walker, situation, (step, now), Foreseen::Refused { gate, pack, rule, next: shown });
        }
        Ok(next)
    }

    /// When the next step opens; what is stale is told and noted.
    fn plan(&mut self, walker: &mut Walker, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let Some(situation) = self.situation(&walker.obligation)? else { return Ok(None) };
        let Ok(planned) = plan(&situation, &walker.obligation, now) else { return Ok(None) };
        let stale: Vec<Key> = planned.stale.into_iter().cloned().collect();
        let next = match planned.next {
            Next::Step { window, .. } => Some(window.opens),
            Next::Done => None,
        };
        for step in stale {
            self.tell(walker, &situation, (step.clone(), now), Foreseen::Stale);
            note(walker, step, StepOutcome::Stale { at: now });
        }
        Ok(next)
    }
}

fn note(walker: &mut Walker, step: Key, how: StepOutcome) {
    walker.obligation.note(step, how);
}

/// The payment link as long as the real one, with a token that nobody has.
fn link(situation: &Situation, obligation: &Obligation) -> Option<String> {
    let target = Target::parse(obligation.link.as_deref()?, &situation.creditor.link_hosts).ok()?;
    match target.for_recipient(Token::from_random([0; 8])) {
        Field::Link(link) => Some(link),
        _ => None,
    }
}

/// The first key after this one.
fn after(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}
