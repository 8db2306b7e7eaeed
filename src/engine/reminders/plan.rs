//! Which step of an obligation goes next, and when: one planner for the core, `simulate` and rehearsals.

use super::debts::Debt;
use super::happened::Happened;
use super::situation::{Lack, Situation, Window};
use crate::clock::Timestamp;
use crate::engine::core::{Core, Work};
use crate::message::{Head, State};
use crate::reminder::calendar::business_days_from;
use crate::reminder::enrolment::{
    EnrolmentState, ExitReason, LEFT_OUT, NextStep, PauseReason, StepOutcome, Timer, TimerKind,
};
use crate::reminder::name::Key;
use crate::reminder::obligation::Obligation;
use crate::reminder::schedule::NoWindow;
use crate::reminder::sequence::{BROKEN_PROMISE, Step};
use crate::reminder::task::kind;
use crate::store::StoreError;

/// What comes next of a sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next<'a> {
    Step {
        step: &'a Step,
        window: Window,
    },
    /// Every step went or is over.
    Done,
}

/// The plan of an obligation at an instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan<'a> {
    pub next: Next<'a>,
    /// Steps whose time is over: it passed, or a later one went.
    pub stale: Vec<&'a Key>,
}

/// Looks at every step of the sequence that has no note in this cycle. Of those that are due only the latest goes;
/// where none is due, the first to come. What opened before a step of the sequence went is over with it: where the
/// due date moves, what comes by the new one is not.
///
/// # Errors
/// No hour of any day is lawful where the contact may live.
pub fn plan<'a>(
    situation: &'a Situation,
    obligation: &Obligation,
    now: Timestamp,
) -> Result<Plan<'a>, NoWindow> {
    let (mut open, mut last_gone) = (Vec::new(), None);
    for step in &situation.sequence.steps {
        let window = situation.window(obligation, step)?;
        match obligation.note_of(&step.id).map(|note| &note.how) {
            None if obligation.is_left(&step.id) => open.push((window, step)),
            Some(StepOutcome::Gone { at, .. }) => last_gone = last_gone.max(Some(*at)),
            None | Some(_) => {}
        }
    }
    // By time, and what the sequence names first where two fall together.
    open.sort_by_key(|(window, _)| window.opens);
    let is_over = |window: &Window| now >= window.stale_after || Some(window.opens) <= last_gone;
    let stale = open.iter().filter(|(window, _)| is_over(window)).map(|(_, step)| &step.id).collect();
    open.retain(|(window, _)| !is_over(window));
    let due = open.iter().rposition(|(window, _)| window.opens <= now);
    let next = match open.get(due.unwrap_or(0)) {
        Some(&(window, step)) => Next::Step { step, window },
        None => Next::Done,
    };
    Ok(Plan { next, stale })
}

impl Core {
    /// Plans the next step, notes what is stale, and says when the core must look at the obligation again.
    pub(super) fn plan(&mut self, debt: &mut Debt, work: &mut Work) -> Result<Option<Timer>, StoreError> {
        if let Some(enrolment) = &mut debt.obligation.enrolment {
            enrolment.next = None;
        }
        match debt.state().cloned() {
            None | Some(EnrolmentState::Completed { .. } | EnrolmentState::Exited { .. }) => return Ok(None),
            Some(EnrolmentState::Paused { until, .. }) => {
                return Ok(until.map(|at| Timer { kind: TimerKind::Look, at }));
            }
            Some(EnrolmentState::Scheduled | EnrolmentState::Active) => {}
        }
        let read =
            Situation::read(&work.txn, &self.reminders.catalog, &self.reminders.rules, &debt.obligation)?;
        let situation = match read {
            Ok(situation) => situation,
            Err(lack) => {
                self.lacking(debt, lack, work)?;
                return Ok(None);
            }
        };
        self.plan_in(debt, &situation, work)
    }

    fn plan_in(
        &mut self,
        debt: &mut Debt,
        situation: &Situation,
        work: &mut Work,
    ) -> Result<Option<Timer>, StoreError> {
        let now = work.wall();
        let Ok(plan) = plan(situation, &debt.obligation, now) else {
            let about = Some((debt.id, &debt.obligation));
            self.open_task(
                kind::NEEDS_ZONE,
                about,
                None,
                "no hour is lawful in all zones it may be in",
                work,
            )?;
            self.pause_debt(debt, PauseReason::Review, None, "", work);
            return Ok(None);
        };
        if self.clock_in_doubt() && (!plan.stale.is_empty() || plan.next == Next::Done) {
            // What is over by a clock in doubt may not be over: looked at again as soon as a clock is believed.
            return Ok(Some(Timer { kind: TimerKind::Step, at: Timestamp::MIN }));
        }
        for step in plan.stale {
            self.happen(debt.id, Happened::Stale { step: step.clone() }, "", work);
            debt.obligation.note(step.clone(), StepOutcome::Stale { at: now });
        }
        let Next::Step { step, window } = plan.next else {
            // What is on its way may come back and go again.
            if !self.has_pending(debt, work)? {
                self.complete(debt, work)?;
            }
            return Ok(None);
        };
        let Some(enrolment) = &mut debt.obligation.enrolment else { return Ok(None) };
        enrolment.next = Some(NextStep { step: step.id.clone(), at: window.opens });
        Ok(Some(Timer { kind: TimerKind::Step, at: window.opens }))
    }

    /// A text of this cycle is on its way, or waits for it.
    fn has_pending(&self, debt: &Debt, work: &Work) -> Result<bool, StoreError> {
        let cycle = debt.obligation.cycle;
        for note in debt.obligation.steps.iter().filter(|note| note.cycle == cycle) {
            let StepOutcome::Gone { message, accepted: false, .. } = note.how else { continue };
            if self.active.contains_key(&message) {
                return Ok(true);
            }
            let waits = |head: &Head| matches!(head.state, State::Waiting { .. });
            if self.load(message, work)?.is_some_and(|(_, head)| waits(&head)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The last step is over; what is still owed is a person's now.
    fn complete(&mut self, debt: &mut Debt, work: &mut Work) -> Result<(), StoreError> {
        if let Some(enrolment) = &mut debt.obligation.enrolment {
            enrolment.state = EnrolmentState::Completed { at: work.wall() };
        }
        self.happen(debt.id, Happened::Completed, "", work);
        if debt.obligation.balance().is_positive() {
            let about = Some((debt.id, &debt.obligation));
            self.open_task(kind::ESCALATION, about, None, "the sequence is over and it is not paid", work)?;
        }
        Ok(())
    }

    fn lacking(&mut self, debt: &mut Debt, lack: Lack, work: &mut Work) -> Result<(), StoreError> {
        let about = Some((debt.id, &debt.obligation));
        if lack == Lack::Number {
            self.open_task(kind::DELIVERY, about, None, "no number of the contact can be texted", work)?;
            self.exit(debt, ExitReason::InvalidNumber, "", work);
            return Ok(());
        }
        let note = match lack {
            Lack::Contact => "its contact is not there",
            Lack::Account => "its account is not there",
            Lack::Creditor => "its creditor is not set up",
            Lack::Sequence => "its sequence is not set up",
            Lack::Rules | Lack::Number => "the packs of its creditor cannot be found",
        };
        self.open_task(kind::REVIEW, about, None, note, work)?;
        self.pause_debt(debt, PauseReason::Review, None, "", work);
        Ok(())
    }

    /// The date where the contact lives.
    pub(super) fn today_of(
        &self,
        obligation: &Obligation,
        work: &Work,
    ) -> Result<jiff::civil::Date, StoreError> {
        let read = Situation::read(&work.txn, &self.reminders.catalog, &self.reminders.rules, obligation)?;
        let now = work.wall();
        Ok(read.map_or_else(|_| self.reminders.catalog.home.local(now).date(), |s| s.today(now)))
    }

    /// The end of the `count`-th business day after a date, where the contact lives.
    pub(super) fn business_day_ends(
        &self,
        obligation: &Obligation,
        (date, count): (jiff::civil::Date, i16),
        work: &Work,
    ) -> Result<Timestamp, StoreError> {
        let read = Situation::read(&work.txn, &self.reminders.catalog, &self.reminders.rules, obligation)?;
        let calendar = read.as_ref().ok().and_then(|s| s.calendar.clone());
        let after = business_days_from(calendar.as_deref(), date, count).unwrap_or(date);
        let zones = match read {
            Ok(situation) => situation.zones.zones,
            Err(_) => crate::reminder::zone::ZoneSet::one(self.reminders.catalog.home.clone()),
        };
        Ok(crate::reminder::schedule::end_of(&zones, after))
    }

    /// The last step of the sequence.
    pub(super) fn last_step(&self, obligation: &Obligation) -> Option<Key> {
        let enrolment = obligation.enrolment.as_ref()?;
        let sequence = self.reminders.catalog.sequence_at(&enrolment.sequence, enrolment.version)?;
        let mut dated = sequence.steps.iter().filter(|step| step.id.as_str() != BROKEN_PROMISE);
        dated.next_back().map(|step| step.id.clone())
    }

    pub(super) fn steps_besides(&self, obligation: &Obligation, last: &Key) -> Vec<Key> {
        let Some(enrolment) = &obligation.enrolment else { return Vec::new() };
        let sequence = self.reminders.catalog.sequence_at(&enrolment.sequence, enrolment.version);
        let steps = sequence.iter().flat_map(|sequence| &sequence.steps).map(|step| step.id.clone());
        steps.filter(|id| id != last).collect()
    }
}

impl Debt {
    /// A step that a person left out.
    pub(super) fn skip(&mut self, step: Key, at: Timestamp) {
        if self.obligation.note_of(&step).is_none() {
            let (gate, rule) = (LEFT_OUT.0.to_owned(), LEFT_OUT.1.to_owned());
            self.obligation.note(step, StepOutcome::Skipped { at, gate, rule });
        }
    }
}
