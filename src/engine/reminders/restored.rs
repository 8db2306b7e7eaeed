//! After a backup was restored: what happened since it was taken is not known, so nothing of it is done again.
//!
//! All sending is paused until a person says that payments and opt-outs of the gap are in again. Steps that fell into
//! the gap, and texts that waited when the backup was taken, count as gone: noted as unknown, under the caps, and each
//! with a task.

use std::collections::BTreeSet;

use super::debts::Debt;
use super::records::Records;
use super::reference::Reference;
use super::situation::Situation;
use crate::clock::{Now, Timestamp};
use crate::engine::Pause;
use crate::engine::core::{Core, PAUSES, Work};
use crate::id::ObligationId;
use crate::message::{Body, Event};
use crate::reminder::enrolment::{StepOutcome, TimerKind};
use crate::reminder::name::Key;
use crate::reminder::task::kind;
use crate::store::keys::{self, LaneKey, family};
use crate::store::{Batch, Read, StoreError};

/// Who paused all sending.
const RESTORED: &str = "restored backup";

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
        let to = keys::timer(TimerKind::Step, now.wall, u64::MAX);
        let due = state.scan(&keys::timers(TimerKind::Step), &to, usize::MAX)?;
        let due = due.iter().filter_map(|(key, _)| keys::decode_timer(key)).map(|(_, id)| id);
        let touched: BTreeSet<ObligationId> = due.map(ObligationId::from_u64).chain(waited).collect();
        for id in touched {
            self.doubt_gap(id, since, &mut work)?;
        }
        self.settle_reminders(&mut work)?;
        self.seal(&mut work);
        Ok(work.txn.batch)
    }

    /// Reminders that waited for a link may have gone since: none goes now.
    fn forget_waiting(&mut self, work: &mut Work) -> Result<Vec<ObligationId>, StoreError> {
        let (from, to) = keys::all(family::LANE);
        let mut touched = Vec::new();
        for (key, _) in work.txn.scan(&from, &to, usize::MAX)? {
            let Some(id) = LaneKey::decode(&key).map(|key| key.id) else { continue };
            let Some((body, head)) = self.load(id, work)? else { continue };
            let Some(reference) = Reference::of(&body) else { continue };
            if let Some(mut obligation) = work.txn.obligation(reference.obligation)? {
                for note in &mut obligation.steps {
                    if let StepOutcome::Gone { message, at, .. } = note.how
                        && message == id
                    {
                        note.how = StepOutcome::Unknown { at };
                    }
                }
                work.txn.put(keys::obligation(reference.obligation), &obligation);
                touched.push(reference.obligation);
            }
            self.cancel_waiting(id, &body, &head, work)?;
        }
        Ok(touched)
    }

    fn cancel_waiting(
        &mut self,
        id: crate::id::MessageId,
        body: &Body,
        head: &crate::message::Head,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        self.close_waiting(id, body, head, Event::Cancel, work).map(drop)
    }

    /// Steps whose time came in the gap count as gone.
    fn doubt_gap(&mut self, id: ObligationId, since: Timestamp, work: &mut Work) -> Result<(), StoreError> {
        let Some(obligation) = work.txn.obligation(id)? else { return Ok(()) };
        let mut debt = Debt { id, obligation };
        let read =
            Situation::read(&work.txn, &self.reminders.catalog, &self.reminders.rules, &debt.obligation)?;
        let Ok(mut situation) = read else { return Ok(()) };
        let mut doubtful: Vec<(Key, Timestamp)> = Vec::new();
        for step in &situation.sequence.steps {
            let noted = debt.obligation.note_of(&step.id).is_some();
            let Ok(window) = situation.window(&debt.obligation, step) else { continue };
            let in_gap = window.opens <= work.wall() && window.stale_after > since;
            if in_gap && !noted {
                doubtful.push((step.id.clone(), window.opens));
            }
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
