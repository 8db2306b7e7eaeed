//! Enrolments: pausing, resuming and ending them, taking back what waits, and the one way an obligation is written.

use std::time::Duration;

use super::debts::Debt;
use super::happened::Happened;
use super::records::HistoryLine;
use crate::clock::Timestamp;
use crate::engine::core::{Core, Work};
use crate::id::MessageId;
use crate::link::Control;
use crate::message::Event;
use crate::reminder::enrolment::{
    EnrolmentState, ExitReason, PauseReason, StepNote, StepOutcome, Timer, TimerKind,
};
use crate::reminder::obligation::{Obligation, ObligationStatus};
use crate::reminder::promise::{PROMISE_GRACE_DAYS, PromiseState};
use crate::store::{StoreError, keys};

impl Debt {
    pub(super) fn state(&self) -> Option<&EnrolmentState> {
        self.obligation.enrolment.as_ref().map(|enrolment| &enrolment.state)
    }

    fn set_state(&mut self, state: EnrolmentState) {
        if let Some(enrolment) = &mut self.obligation.enrolment {
            enrolment.state = state;
        }
    }
}

/// Notes of steps in an obligation's record: more than a debt of some years has.
const NOTES_KEPT: usize = 200;
/// After this neither a receipt nor an answer to a menu comes.
const SETTLED_AFTER: Duration = Duration::from_secs(32 * 24 * 3600);

/// Nothing more comes to what became of this step.
fn is_settled(how: &StepOutcome, now: Timestamp) -> bool {
    match how {
        StepOutcome::Gone { at, .. } => now.since(*at) > SETTLED_AFTER,
        StepOutcome::Stale { .. } | StepOutcome::Skipped { .. } | StepOutcome::Unknown { .. } => true,
    }
}

/// Business days that books need to find money that somebody says is paid.
const CLAIM_DAYS: i16 = 5;

/// Whether a pause stands against another that follows from something: one that goes on for longer does; and a
/// hardship, or a person's own word, against a dispute and a promise, whose end would else be its own. A promise takes
/// the place of the one before, and answers what waited for a word.
fn stands_against(
    (now, end): (PauseReason, Option<Timestamp>),
    (reason, until): (PauseReason, Option<Timestamp>),
) -> bool {
    let is_word = matches!(now, PauseReason::Hardship | PauseReason::Manual);
    match (end, until) {
        _ if is_word && reason == PauseReason::Dispute => true,
        _ if reason == PauseReason::Promise && matches!(now, PauseReason::Promise | PauseReason::Review) => {
            false
        }
        (None, None) => is_word && reason == PauseReason::Promise,
        (None, Some(_)) => true,
        (Some(_), None) => false,
        (Some(end), Some(until)) => end > until,
    }
}

/// The pause that a status brings.
fn own_pause(status: ObligationStatus) -> Option<PauseReason> {
    match status {
        ObligationStatus::Disputed => Some(PauseReason::Dispute),
        ObligationStatus::InPlan => Some(PauseReason::Plan),
        _ => None,
    }
}

impl Core {
    /// Plans the next step anew and writes the obligation: the end of every change of one.
    pub(super) fn keep(&mut self, mut debt: Debt, work: &mut Work) -> Result<(), StoreError> {
        let timer = self.plan(&mut debt, work)?;
        self.shed_notes(&mut debt, work);
        self.write(&mut debt, timer, work)
    }

    /// Writes an obligation, to be looked at then, or before where a promise is to be judged: whatever became of its
    /// enrolment.
    pub(super) fn write(
        &mut self,
        debt: &mut Debt,
        timer: Option<Timer>,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        let judged = self.promise_ends(&debt.obligation, work)?;
        let judged = judged.map(|at| Timer { kind: TimerKind::Look, at });
        // A look that falls together with the next step is the look: it plans the step anew.
        let first = [judged, timer].into_iter().flatten().min_by_key(|timer| timer.at);
        self.put_obligation(debt.id, &mut debt.obligation, first, work);
        Ok(())
    }

    /// Until when the money of a promise may come, while somebody waits for it.
    pub(super) fn promise_ends(
        &self,
        obligation: &Obligation,
        work: &Work,
    ) -> Result<Option<Timestamp>, StoreError> {
        let made = obligation.promise.as_ref().filter(|promise| promise.state == PromiseState::Made);
        let Some(promise) = made.filter(|_| obligation.status.is_open()) else { return Ok(None) };
        self.business_day_ends(obligation, (promise.date, PROMISE_GRACE_DAYS), work).map(Some)
    }

    /// Until when the money may be found that somebody says is paid.
    pub(super) fn claim_ends(&self, obligation: &Obligation, work: &Work) -> Result<Timestamp, StoreError> {
        let today = self.today_of(obligation, work)?;
        self.business_day_ends(obligation, (today, CLAIM_DAYS), work)
    }

    /// Notes of old cycles become history, where there are many: the record is read and written at every look. What is
    /// of this cycle stays, because it keeps steps from going twice, and what an answer or a receipt may still come to.
    fn shed_notes(&mut self, debt: &mut Debt, work: &mut Work) {
        let mut over = debt.obligation.steps.len().saturating_sub(NOTES_KEPT);
        if over == 0 {
            return;
        }
        let (cycle, now) = (debt.obligation.cycle, work.wall());
        let mut shed = Vec::new();
        debt.obligation.steps.retain(|note| {
            let goes = over > 0 && note.cycle != cycle && is_settled(&note.how, now);
            if goes {
                over -= 1;
                shed.push(note.clone());
            }
            !goes
        });
        for StepNote { step, how, .. } in shed {
            if let StepOutcome::Gone { message, to, at, template, .. } = how {
                let what = Happened::Gone { step, message, to, template };
                let line = HistoryLine { at, what, by: String::new() };
                work.txn.put_new(keys::history(debt.id, self.counters.ids.next(now)), &line);
            }
        }
    }

    /// Nothing of this enrolment goes any more.
    pub(super) fn exit(&mut self, debt: &mut Debt, reason: ExitReason, by: &str, work: &mut Work) {
        self.take_back(debt, work);
        if debt.state().is_none_or(|state| matches!(state, EnrolmentState::Exited { .. })) {
            return;
        }
        debt.set_state(EnrolmentState::Exited { reason, at: work.wall() });
        self.happen(debt.id, Happened::Exited { reason }, by, work);
    }

    /// The reminders wait for what happened; `until`: `None` for a person's word. Only a pause that goes on for longer
    /// takes another's place: a promise, a menu's two days or a dispute that is settled are no end of a hardship.
    pub(super) fn pause_debt(
        &mut self,
        debt: &mut Debt,
        reason: PauseReason,
        until: Option<Timestamp>,
        by: &str,
        work: &mut Work,
    ) {
        if let Some(EnrolmentState::Paused { reason: now, until: end }) = debt.state()
            && stands_against((*now, *end), (reason, until))
        {
            self.take_back(debt, work);
            return;
        }
        self.set_pause(debt, reason, until, by, work);
    }

    /// The reminders wait as somebody asks, whatever pause there was.
    pub(super) fn set_pause(
        &mut self,
        debt: &mut Debt,
        reason: PauseReason,
        until: Option<Timestamp>,
        by: &str,
        work: &mut Work,
    ) {
        self.take_back(debt, work);
        let state = EnrolmentState::Paused { reason, until };
        if debt.state().is_none_or(|now| now.is_over() || *now == state) {
            return;
        }
        debt.set_state(state);
        self.happen(debt.id, Happened::Paused { reason, until }, by, work);
    }

    /// A dispute or a plan is over, and with it its own pause alone.
    pub(super) fn end_pause_of(&mut self, was: ObligationStatus, debt: &mut Debt, by: &str, work: &mut Work) {
        if let Some(EnrolmentState::Paused { reason, .. }) = debt.state()
            && own_pause(was) == Some(*reason)
        {
            self.resume_debt(debt, by, work);
        }
    }

    /// The end of a pause that had one: what its status holds up waits on.
    pub(super) fn pause_over(&mut self, debt: &mut Debt, work: &mut Work) {
        match own_pause(debt.obligation.status) {
            Some(reason) => {
                let until = None;
                debt.set_state(EnrolmentState::Paused { reason, until });
                self.happen(debt.id, Happened::Paused { reason, until }, "", work);
            }
            None => self.resume_debt(debt, "", work),
        }
    }

    pub(super) fn resume_debt(&mut self, debt: &mut Debt, by: &str, work: &mut Work) {
        if !matches!(debt.state(), Some(EnrolmentState::Paused { .. })) {
            return;
        }
        debt.set_state(EnrolmentState::Active);
        if let Some(enrolment) = &mut debt.obligation.enrolment {
            enrolment.refused = None;
        }
        self.happen(debt.id, Happened::Resumed, by, work);
        // What was named while it waited begins now.
        let instead = debt.obligation.enrolment.as_mut().and_then(|enrolment| enrolment.instead.take());
        if let Some(sequence) = instead {
            self.begin(debt, &sequence, by, work);
        }
    }

    /// Reminders of this obligation of which no byte is out do not go as they are. What waits ends here; what a link
    /// has is recalled, and judged again when it comes back. Whether there was any.
    pub(super) fn take_back(&mut self, debt: &mut Debt, work: &mut Work) -> bool {
        let cycle = debt.obligation.cycle;
        let gone = debt.obligation.steps.iter().filter_map(|note| match note.how {
            StepOutcome::Gone { message, accepted: false, .. } if note.cycle == cycle => Some(message),
            _ => None,
        });
        let gone: Vec<MessageId> = gone.collect();
        for &message in &gone {
            if let Some(active) = self.active.get(&message) {
                work.controls.push((active.link, Control::Recall(message)));
            } else {
                work.withdraw.push(message);
            }
        }
        !gone.is_empty()
    }

    /// Ends what was taken back and waits; what was leased meanwhile is recalled instead.
    pub(in crate::engine) fn withdraw(&mut self, work: &mut Work) -> Result<(), StoreError> {
        for id in std::mem::take(&mut work.withdraw) {
            if let Some(active) = self.active.get(&id) {
                work.controls.push((active.link, Control::Recall(id)));
                continue;
            }
            let Some((body, head)) = self.load(id, work)? else { continue };
            work.ours.insert(id);
            self.close_waiting(id, &body, &head, Event::Cancel, work)?;
        }
        Ok(())
    }
}
