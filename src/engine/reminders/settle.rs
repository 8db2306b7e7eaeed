//! What became of a reminder's message, brought to its obligation and phone.
//!
//! The network took it: the client moves on by one reminder. It never went: its step may go again, and its place
//! under the caps is free. Whether it went is not known: it counts as gone, and never goes again by itself.

use super::debts::Debt;
use super::happened::Happened;
use super::records::{PhoneStatus, Records};
use super::reference::Reference;
use super::situation::{Lack, Situation};
use crate::engine::core::{Core, Work};
use crate::id::MessageId;
use crate::message::{Body, Cause, Final, Head, Msisdn, Reason, State, Status};
use crate::reminder::enrolment::{CANCELED, EnrolmentState, ExitReason, PauseReason, StepOutcome};
use crate::reminder::name::Key;
use crate::reminder::obligation::Obligation;
use crate::reminder::task::kind;
use crate::reminder::trigger::On;
use crate::store::{StoreError, keys};

/// Failed deliveries in a row after which a person looks at a number.
const SUSPECT_FAILURES: u8 = 3;

/// A reminder's message that changed its status in this step.
#[derive(Clone, Debug)]
pub struct Settled {
    pub id: MessageId,
    pub to: Msisdn,
    pub of: Whose,
    pub status: Status,
    pub cause: Option<Cause>,
    /// A byte of it may have left.
    pub went: bool,
}

/// Whose text a message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    Step(Reference),
    /// Of the rule at work under this id.
    Rule(u64),
}

impl Settled {
    /// Of a message that is a reminder, or a rule's text.
    pub fn of(id: MessageId, body: &Body, head: &Head, status: Status) -> Option<Settled> {
        let step = Reference::of(body).map(Whose::Step);
        let of = step.or_else(|| super::speak::firing_of(body).map(Whose::Rule))?;
        let cause = match &head.state {
            State::Closed {
                how: Final::Failed(cause) | Final::Blocked(cause) | Final::Undelivered(cause),
                ..
            } => Some(cause.clone()),
            _ => None,
        };
        Some(Settled { id, to: body.to, of, status, cause, went: may_have_gone(head) })
    }
}

fn may_have_gone(head: &Head) -> bool {
    let mut segments = head.attempts.iter().flat_map(|attempt| &attempt.segments);
    head.in_doubt() || segments.any(|segment| segment.is_out())
}

/// Nobody has the number, or it takes no texts: another one of the contact may.
pub(super) fn is_numbers_fault(settled: &Settled) -> bool {
    let reason = settled.cause.as_ref().map(|cause| cause.reason);
    // That a network does not carry to a number may be a fault of the account.
    matches!(reason, Some(Reason::NetworkBadNumber | Reason::SmscBadDestination))
}

impl Core {
    /// After everything else in a step: obligations learn what became of their messages.
    pub(in crate::engine) fn settle_reminders(&mut self, work: &mut Work) -> Result<(), StoreError> {
        loop {
            self.withdraw(work)?;
            if let Some(settled) = work.reminded.pop_front() {
                self.settle_reminder(settled, work)?;
            } else if let Some((id, on)) = work.raised.pop_front() {
                self.judge_raised(id, on, work)?;
            } else if !self.run_errands(work)? && work.withdraw.is_empty() {
                self.keep_errands(work);
                return Ok(());
            }
        }
    }

    fn settle_reminder(&mut self, settled: Settled, work: &mut Work) -> Result<(), StoreError> {
        if settled.status.is_closed() {
            self.reminders.feed.waiting.remove(&settled.id);
        }
        let id = match &settled.of {
            Whose::Step(reference) => reference.obligation,
            Whose::Rule(firing) => return self.settle_speech(*firing, &settled, work),
        };
        let Some(obligation) = work.txn.obligation(id)? else { return Ok(()) };
        let mut debt = Debt { id, obligation };
        let note = debt.obligation.steps.iter().position(|note| match note.how {
            StepOutcome::Gone { message, .. } => message == settled.id,
            _ => false,
        });
        let Some(at) = note else { return Ok(()) };
        match settled.status {
            Status::Sent | Status::Delivered => {
                self.delivered(&settled, work)?;
                if !self.accepted(&mut debt, at, &settled, work)? {
                    return Ok(());
                }
            }
            Status::Undelivered => {
                self.accepted(&mut debt, at, &settled, work)?;
                self.delivery_failed(&mut debt, &settled, work)?;
            }
            Status::Failed if settled.went || !is_numbers_fault(&settled) => {
                self.refused(&mut debt, at, &settled, work)?;
            }
            // A part of it is at the network: it counts as gone, and the rest never goes.
            Status::Failed | Status::Expired | Status::Canceled | Status::Blocked if settled.went => {}
            Status::Canceled if !work.ours.contains(&settled.id) => {
                self.canceled_by_person(&mut debt, at, &settled, work)?;
            }
            Status::Failed | Status::Expired | Status::Canceled | Status::Blocked => {
                self.never_went(&mut debt, at, &settled, work)?;
            }
            // It counts as gone: what is not known is not sent again.
            Status::Unknown => {}
            Status::Scheduled | Status::Queued | Status::Sending => return Ok(()),
        }
        self.keep(debt, work)
    }

    /// The network took it; `false`: it was known.
    fn accepted(
        &mut self,
        debt: &mut Debt,
        at: usize,
        settled: &Settled,
        work: &mut Work,
    ) -> Result<bool, StoreError> {
        let current = debt.obligation.steps.get(at).is_some_and(|note| debt.obligation.is_current(note));
        let Some(note) = debt.obligation.steps.get_mut(at) else { return Ok(false) };
        let step = note.step.clone();
        let StepOutcome::Gone { accepted, .. } = &mut note.how else { return Ok(false) };
        if std::mem::replace(accepted, true) {
            return Ok(false);
        }
        let Some(enrolment) = debt.obligation.enrolment.as_mut().filter(|_| current) else { return Ok(true) };
        enrolment.reminders_accepted += 1;
        if enrolment.state == EnrolmentState::Scheduled {
            enrolment.state = EnrolmentState::Active;
        }
        let reminders = enrolment.reminders_accepted;
        let what = Happened::Accepted { step: step.clone(), message: settled.id, reminders };
        self.happen(debt.id, what, "", work);
        self.escalate(debt, &step, reminders, work)?;
        Ok(true)
    }

    /// A number that takes texts is one.
    pub(super) fn delivered(&mut self, settled: &Settled, work: &mut Work) -> Result<(), StoreError> {
        if settled.status != Status::Delivered {
            return Ok(());
        }
        let mut phone = work.txn.phone(settled.to)?;
        if matches!(phone.status, PhoneStatus::Unverified | PhoneStatus::Suspect { .. }) {
            phone.status = PhoneStatus::Active;
            work.txn.put(keys::phone(settled.to), &phone);
        }
        Ok(())
    }

    /// Refused for good, and not for its number: the same text would be refused again, so that its step is over. Its
    /// place under the caps is free where no byte of it left.
    fn refused(
        &mut self,
        debt: &mut Debt,
        at: usize,
        settled: &Settled,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        if !settled.went
            && let Some(StepOutcome::Gone { at, .. }) = debt.obligation.steps.get(at).map(|note| &note.how)
        {
            let mut phone = work.txn.phone(settled.to)?;
            phone.give_back(&debt.obligation.creditor, *at);
            work.txn.put(keys::phone(settled.to), &phone);
        }
        self.delivery_failed(debt, settled, work)
    }

    /// A person took the message back: its step is over.
    fn canceled_by_person(
        &mut self,
        debt: &mut Debt,
        at: usize,
        settled: &Settled,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        let now = work.wall();
        let Some(note) = debt.obligation.steps.get_mut(at) else { return Ok(()) };
        let (gate, rule) = (CANCELED.0.to_owned(), CANCELED.1.to_owned());
        let step = note.step.clone();
        let how = StepOutcome::Skipped { at: now, gate: gate.clone(), rule: rule.clone() };
        if let StepOutcome::Gone { at, .. } = std::mem::replace(&mut note.how, how) {
            let mut phone = work.txn.phone(settled.to)?;
            phone.give_back(&debt.obligation.creditor, at);
            work.txn.put(keys::phone(settled.to), &phone);
        }
        self.happen(debt.id, Happened::Skipped { step, gate, rule }, "", work);
        Ok(())
    }

    fn never_went(
        &mut self,
        debt: &mut Debt,
        at: usize,
        settled: &Settled,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        let note = debt.obligation.steps.remove(at);
        let current = debt.obligation.is_current(&note);
        let mut phone = work.txn.phone(settled.to)?;
        if let StepOutcome::Gone { at, .. } = note.how {
            phone.give_back(&debt.obligation.creditor, at);
            work.txn.put(keys::phone(settled.to), &phone);
        }
        let what = Happened::TakenBack { step: note.step, message: settled.id };
        self.happen(debt.id, what, "", work);
        if let Some(enrolment) = debt.obligation.enrolment.as_mut().filter(|_| current)
            && matches!(enrolment.state, EnrolmentState::Completed { .. })
        {
            // It was the last step, and has still to go.
            enrolment.state = EnrolmentState::Active;
        }
        let opted_out = settled.cause.as_ref().is_some_and(|cause| cause.reason == Reason::PolicyOptedOut);
        if opted_out {
            self.exit(debt, ExitReason::OptedOut, "", work);
        } else if settled.status == Status::Failed {
            self.delivery_failed(debt, settled, work)?;
        }
        Ok(())
    }

    /// A number that takes no texts gets no more of them; a person is asked for another.
    pub(super) fn delivery_failed(
        &mut self,
        debt: &mut Debt,
        settled: &Settled,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        self.raise(debt.id, On::MessageUndelivered, work);
        let mut phone = work.txn.phone(settled.to)?;
        let dead = is_numbers_fault(settled);
        phone.status = match phone.status {
            _ if dead => PhoneStatus::Dead,
            PhoneStatus::Suspect { failures } => {
                PhoneStatus::Suspect { failures: failures.saturating_add(1) }
            }
            PhoneStatus::Dead | PhoneStatus::Wrong => phone.status,
            PhoneStatus::Unverified | PhoneStatus::Active => PhoneStatus::Suspect { failures: 1 },
        };
        let status = phone.status;
        work.txn.put(keys::phone(settled.to), &phone);
        let about = Some((debt.id, &debt.obligation));
        match status {
            PhoneStatus::Dead => {
                self.open_task(
                    kind::DELIVERY,
                    about,
                    None,
                    "nobody has this number, or it takes no texts",
                    work,
                )?;
                if self.no_number_left(&debt.obligation, work)? {
                    self.exit(debt, ExitReason::InvalidNumber, "", work);
                }
            }
            PhoneStatus::Suspect { failures } if failures >= SUSPECT_FAILURES => {
                self.open_task(kind::DELIVERY, about, None, "deliveries fail again and again", work)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn no_number_left(&self, obligation: &Obligation, work: &Work) -> Result<bool, StoreError> {
        let catalog = &self.reminders.catalog;
        let read = Situation::read(&work.txn, catalog, &self.reminders.rules, obligation)?;
        Ok(matches!(read, Err(Lack::Number)))
    }

    /// So many reminders and no money: a person decides what comes next.
    fn escalate(
        &mut self,
        debt: &mut Debt,
        step: &Key,
        reminders: u32,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        if !debt.obligation.status.is_open() {
            return Ok(());
        }
        let Some(enrolment) = &debt.obligation.enrolment else { return Ok(()) };
        let sequence = self.reminders.catalog.sequence_at(&enrolment.sequence, enrolment.version).cloned();
        let Some(sequence) = sequence else { return Ok(()) };
        if let Some(kind) = sequence.step(step).and_then(|step| step.task_after.as_ref()) {
            let about = Some((debt.id, &debt.obligation));
            self.open_task(kind.as_str(), about, None, "asked for by the step that went", work)?;
        }
        if let Some(escalate) = sequence.escalate.as_ref().filter(|escalate| escalate.after == reminders) {
            let about = Some((debt.id, &debt.obligation));
            let note = format!("{reminders} reminders, and it is not paid");
            self.open_task(escalate.task.as_str(), about, None, &note, work)?;
            if escalate.pause {
                self.pause_debt(debt, PauseReason::Review, None, "", work);
            }
        }
        Ok(())
    }
}
