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
use crate::reminder::enrolment::{EnrolmentState, ExitReason, PauseReason, StepNote, StepOutcome};
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

/// Whether a pause goes on after `until`, where that is an end at all.
fn outlasts(now: &EnrolmentState, until: Option<Timestamp>) -> bool {
    match (now, until) {
        (EnrolmentState::Paused { until: None, .. }, Some(_)) => true,
        (EnrolmentState::Paused { until: Some(end), .. }, Some(until)) => *end > until,
        _ => false,
    }
}

impl Core {
    /// Plans the next step anew and writes the obligation: the end of every change of one.
    pub(super) fn keep(&mut self, mut debt: Debt, work: &mut Work) -> Result<(), StoreError> {
        let timer = self.plan(&mut debt, work)?;
        self.shed_notes(&mut debt, work);
        self.put_obligation(debt.id, &mut debt.obligation, timer, work);
        Ok(())
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

    /// The reminders wait; `until`: `None` for a person's word. What follows by itself (`by` is empty) never brings the
    /// end of a pause nearer: a menu's two days are no end of a hardship.
    pub(super) fn pause_debt(
        &mut self,
        debt: &mut Debt,
        reason: PauseReason,
        until: Option<Timestamp>,
        by: &str,
        work: &mut Work,
    ) {
        self.take_back(debt, work);
        let state = EnrolmentState::Paused { reason, until };
        let stands = |now: &EnrolmentState| now.is_over() || *now == state;
        if debt.state().is_none_or(|now| stands(now) || (by.is_empty() && outlasts(now, until))) {
            return;
        }
        debt.set_state(state);
        self.happen(debt.id, Happened::Paused { reason, until }, by, work);
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
