//! After a backup was restored: what happened since it was taken is not known, so nothing of it is done again.
//!
//! All sending is paused until a person says that payments of the gap are in again; opt-outs of the gap come by
//! themselves from the list beside the store (`engine/suppressions.rs`). Every step whose time came in the gap counts
//! as gone, of whichever obligation: one that was paused may have been resumed, and subscriptions made theirs. So do
//! texts that waited: noted as unknown, reminders under the caps and each obligation with a task, other messages as
//! unknown until a person settles them. Texts of rules that waited, or were to be decided on in the gap, do not go.

use std::collections::BTreeSet;

use super::debts::Debt;
use super::records::Records;
use super::reference::Reference;
use super::situation::Situation;
use super::speak::firing_of;
use crate::clock::{Now, Timestamp};
use crate::engine::Pause;
use crate::engine::core::{Core, PAUSES, Work};
use crate::id::{MessageId, ObligationId};
use crate::message::{Body, Event, Head, LinkName, State, UnknownWhy};
use crate::reminder::enrolment::{EnrolmentState, StepOutcome, TimerKind};
use crate::reminder::name::Key;
use crate::reminder::sequence::BROKEN_PROMISE;
use crate::reminder::task::kind;
use crate::store::keys::{self, LaneKey, family};
use crate::store::{Batch, Read, StoreError, record};

/// Who paused all sending, and what stands for the link of what may have gone; no link has a blank in its name.
const RESTORED: &str = "restored backup";
/// Obligations read at once.
const PAGE: usize = 1_000;
/// Periods made up for at most; the rest is made in the steps that follow.
const PERIODS_MAX: usize = 1_000_000;

impl Core {
    /// To be called after [`Core::recover`] and before the first step, once a restore; the batch must be on the
    /// disk before that.
    pub fn restored(&mut self, state: &dyn Read, now: Now) -> Result<Batch, StoreError> {
        let since = self.clock.mark();
        let mut work = Work::new(state, now);
        tracing::warn!(event = "backup_restored", %since);
        self.pauses.all.get_or_insert(Pause { since: now.wall, by: RESTORED.into() });
        work.txn.put(keys::core(PAUSES), &self.pauses);
        let waited = self.forget_waiting(&mut work)?;
        self.make_periods(&mut work)?;
        let (mut from, to) = keys::all(family::OBLIGATION);
        loop {
            let page = work.txn.scan(&from, &to, PAGE)?;
            for (key, value) in &page {
                let Some(id) = keys::decode_id(key).map(ObligationId::from_u64) else { continue };
                let debt = Debt { id, obligation: record::decode(value)? };
                self.doubt_gap(debt, since, waited.contains(&id), &mut work)?;
            }
            let Some((last, _)) = page.last().filter(|_| page.len() == PAGE) else { break };
            from = [last.as_slice(), &[0]].concat();
        }
        for kind in [TimerKind::Step, TimerKind::Look] {
            let to = keys::timer(kind, now.wall, u64::MAX);
            for (key, _) in state.scan(&keys::timers(kind), &to, usize::MAX)? {
                if let Some((_, id)) = keys::decode_timer(&key) {
                    self.doubt_firing(id, &mut work)?;
                }
            }
        }
        self.settle_reminders(&mut work)?;
        self.seal(&mut work);
        Ok(work.txn.batch)
    }

    /// Obligations of periods that began in the gap: they were made then too, and their steps may have gone.
    fn make_periods(&mut self, work: &mut Work) -> Result<(), StoreError> {
        if self.clock_in_doubt() {
            return Ok(());
        }
        for _ in 0..PERIODS_MAX.div_ceil(PAGE) {
            let due = self.due_timers(TimerKind::Period, PAGE, work)?;
            if due.is_empty() {
                break;
            }
            due.into_iter().try_for_each(|(at, id)| self.next_period(id, at, work))?;
        }
        self.forecast(TimerKind::Period, work)
    }

    /// What waited for a link may have gone since: none goes now.
    fn forget_waiting(&mut self, work: &mut Work) -> Result<BTreeSet<ObligationId>, StoreError> {
        let (from, to) = keys::all(family::LANE);
        let mut touched = BTreeSet::new();
        for (key, _) in work.txn.scan(&from, &to, usize::MAX)? {
            let Some(LaneKey { id, .. }) = LaneKey::decode(&key) else { continue };
            let Some((body, head)) = self.load(id, work)? else { continue };
            if let Some(firing) = firing_of(&body) {
                self.forget_speech(firing, work)?;
                self.close_waiting(id, &body, &head, Event::Cancel, work)?;
                continue;
            }
            let Some(reference) = Reference::of(&body) else {
                self.doubt_waiting(id, &body, &head, work)?;
                continue;
            };
            if let Some(mut obligation) = work.txn.obligation(reference.obligation)? {
                for note in &mut obligation.steps {
                    if let StepOutcome::Gone { message, at, .. } = note.how
                        && message == id
                    {
                        note.how = StepOutcome::Unknown { at };
                    }
                }
                work.txn.put(keys::obligation(reference.obligation), &obligation);
                touched.insert(reference.obligation);
            }
            self.close_waiting(id, &body, &head, Event::Cancel, work)?;
        }
        Ok(touched)
    }

    /// A message of a program that was due: by which link it went, if it did, nobody knows.
    fn doubt_waiting(
        &mut self,
        id: MessageId,
        body: &Body,
        head: &Head,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        if !matches!(head.state, State::Waiting { due, .. } if due <= work.wall()) {
            return Ok(());
        }
        self.counters.lease += 1;
        let leases = vec![(self.counters.lease, (0..body.segment_count.max(1)).collect())];
        let (link, account) = (LinkName::from(RESTORED), LinkName::from(RESTORED));
        let lost = Event::Lost { leases, link, account, why: UnknownWhy::Restored };
        self.close_waiting(id, body, head, lost, work).map(drop)
    }

    /// Steps whose time came in the gap count as gone.
    fn doubt_gap(
        &mut self,
        mut debt: Debt,
        since: Timestamp,
        waited: bool,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        if debt.state().is_none_or(EnrolmentState::is_over) {
            return Ok(());
        }
        let read =
            Situation::read(&work.txn, &self.reminders.catalog, &self.reminders.rules, &debt.obligation)?;
        let Ok(mut situation) = read else { return Ok(()) };
        let mut doubtful: Vec<(Key, Timestamp)> = Vec::new();
        for step in &situation.sequence.steps {
            // A promise that was open then may have been broken since.
            let never = step.id.as_str() == BROKEN_PROMISE && debt.obligation.promise.is_none();
            let noted = never || debt.obligation.note_of(&step.id).is_some();
            let Ok(window) = situation.window(&debt.obligation, step) else { continue };
            let in_gap = window.opens <= work.wall() && window.stale_after > since;
            if in_gap && !noted {
                doubtful.push((step.id.clone(), window.opens));
            }
        }
        if doubtful.is_empty() && !waited {
            return Ok(());
        }
        for (step, at) in doubtful {
            situation.phone.ledger.add(at);
            debt.obligation.note(step, StepOutcome::Unknown { at });
        }
        work.txn.put(keys::phone(situation.number), &situation.phone);
        let about = Some((debt.id, &debt.obligation));
        self.open_task(kind::RESTORED, about, None, "what went since the backup is not known", work)?;
        self.keep(debt, work)
    }
}
