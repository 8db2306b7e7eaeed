//! What becomes due without a link: the end of a pause, a promise, a subscription's next period, an overdue task,
//! a rule's later look.

use super::debts::Debt;
use super::happened::Happened;
use super::records::Records;
use crate::clock::Timestamp;
use crate::engine::core::{Core, Work};
use crate::id::{ObligationId, TaskId};
use crate::reminder::enrolment::{EnrolmentState, PauseReason, TimerKind};
use crate::reminder::promise::PromiseState;
use crate::reminder::task::kind;
use crate::store::{StoreError, keys};

/// Timers looked at in one step, of each kind, so that a step stays short after a long silence.
const PER_STEP: usize = 64;

impl Core {
    /// Some of what is due; more of it in the next step.
    ///
    /// Nothing while the wall clock is in doubt: what ends by a wrong date stays ended.
    pub(in crate::engine) fn look(&mut self, work: &mut Work) -> Result<(), StoreError> {
        if self.clock_in_doubt() {
            return Ok(());
        }
        for kind in [TimerKind::Look, TimerKind::Period, TimerKind::Task] {
            if !self.reminders.is_due(kind, work.wall()) {
                continue;
            }
            let due = self.due_timers(kind, PER_STEP, work)?;
            for (at, id) in due {
                match kind {
                    TimerKind::Look => self.look_at(ObligationId::from_u64(id), at, work)?,
                    TimerKind::Period => self.next_period(id, at, work)?,
                    TimerKind::Task => {
                        work.txn.delete(keys::timer(kind, at, id));
                        self.escalate_task(TaskId::from_u64(id), work)?;
                    }
                    TimerKind::Step => {}
                }
            }
            self.forecast(kind, work)?;
        }
        Ok(())
    }

    /// The first timers of a kind that are due.
    pub(super) fn due_timers(
        &self,
        kind: TimerKind,
        limit: usize,
        work: &Work,
    ) -> Result<Vec<(Timestamp, u64)>, StoreError> {
        let from = keys::timers(kind);
        let to = keys::timer(kind, work.wall(), u64::MAX);
        let entries = work.txn.scan(&from, &to, limit)?;
        Ok(entries.iter().filter_map(|(key, _)| keys::decode_timer(key)).collect())
    }

    /// When the next timer of a kind is due.
    pub(super) fn forecast(&mut self, kind: TimerKind, work: &Work) -> Result<(), StoreError> {
        let (from, to) = keys::under(keys::timers(kind));
        let first = work.txn.scan(&from, &to, 1)?;
        let at = first.first().and_then(|(key, _)| keys::decode_timer(key)).map(|(at, _)| at);
        self.reminders.set_next(kind, at);
        Ok(())
    }

    fn look_at(&mut self, id: ObligationId, at: Timestamp, work: &mut Work) -> Result<(), StoreError> {
        let Some(obligation) = work.txn.obligation(id)? else {
            return self.look_at_firing(id.as_u64(), at, work);
        };
        if obligation.timer.is_none_or(|timer| timer.at != at) {
            work.txn.delete(keys::timer(TimerKind::Look, at, id.as_u64()));
            return Ok(());
        }
        let mut debt = Debt { id, obligation };
        if self.promise_ends(&debt.obligation, work)?.is_some_and(|ends| ends <= work.wall()) {
            self.break_promise(&mut debt, work)?;
        }
        if let Some(EnrolmentState::Paused { reason, until: Some(until) }) = debt.state().cloned()
            && until <= work.wall()
        {
            if reason == PauseReason::PaidClaim && debt.obligation.status.is_open() {
                let about = Some((debt.id, &debt.obligation));
                self.open_task(kind::PAID_CLAIM, about, None, "it was said to be paid, and is not", work)?;
            }
            self.pause_over(&mut debt, work);
        }
        self.keep(debt, work)
    }

    /// The day passed and the money did not come.
    fn break_promise(&mut self, debt: &mut Debt, work: &mut Work) -> Result<(), StoreError> {
        let Some(promise) = &mut debt.obligation.promise else { return Ok(()) };
        promise.state = PromiseState::Broken;
        // Its sequence may have a step for it.
        self.revive(debt);
        self.happen(debt.id, Happened::PromiseBroken, "", work);
        let about = Some((debt.id, &debt.obligation));
        self.open_task(kind::BROKEN_PROMISE, about, None, "the promised day passed without the money", work)?;
        Ok(())
    }
}
