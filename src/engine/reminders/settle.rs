//! What became of a reminder's message, brought to its obligation and phone.
//!
//! The network took it: the client moves on by one reminder. It never went: its step may go again, and its place
//! under the caps is free. Whether it went is not known: it counts as gone, and never goes again by itself.

use super::debts::Debt;
use super::happened::Happened;
use super::records::{PhoneStatus, Records};
use super::reference::Reference;
use crate::engine::core::{Core, Work};
use crate::id::MessageId;
use crate::message::{Body, Cause, Final, Head, Msisdn, Reason, State, Status};
use crate::reminder::enrolment::{EnrolmentState, ExitReason, StepOutcome};
use crate::reminder::task::kind;
use crate::store::{StoreError, keys};

/// Failed deliveries in a row after which a person looks at a number.
const SUSPECT_FAILURES: u8 = 3;

/// A reminder's message that changed its status in this step.
#[derive(Clone, Debug)]
pub struct Settled {
    pub id: MessageId,
    pub to: Msisdn,
    pub reference: Reference,
    pub status: Status,
    pub cause: Option<Cause>,
    /// A byte of it may have left.
    pub went: bool,
}

impl Settled {
    /// Of a message that is a reminder.
    pub fn of(id: MessageId, body: &Body, head: &Head, status: Status) -> Option<Settled> {
        let reference = Reference::of(body)?;
        let cause = match &head.state {
            State::Closed { how: Final::Failed(cause) | Final::Blocked(cause) | Final::Undelivered(cause), .. } => {
                Some(cause.clone())
            }
            _ => None,
        };
        Some(Settled { id, to: body.to, reference, status, cause, went: head.may_have_gone() })
    }
}

impl Core {
    /// After everything else in a step: obligations learn what became of their messages.
    pub(in crate::engine) fn settle_reminders(&mut self, work: &mut Work) -> Result<(), StoreError> {
        while let Some(settled) = work.reminded.pop_front() {
            self.settle_reminder(settled, work)?;
        }
        Ok(())
    }

    fn settle_reminder(&mut self, settled: Settled, work: &mut Work) -> Result<(), StoreError> {
        let id = settled.reference.obligation;
        let Some(obligation) = work.txn.obligation(id)? else { return Ok(()) };
        let mut debt = Debt { id, obligation };
        let note = debt.obligation.steps.iter().position(|note| match note.how {
            StepOutcome::Gone { message, .. } => message == settled.id,
            _ => false,
        });
        let Some(at) = note else { return Ok(()) };
        match settled.status {
            Status::Sent | Status::Delivered => self.accepted(&mut debt, at, &settled, work)?,
            Status::Unknown => self.accepted_unknown(&mut debt, at),
            Status::Undelivered => {
                self.accepted(&mut debt, at, &settled, work)?;
                self.delivery_failed(&mut debt, &settled, work)?;
            }
            Status::Failed if settled.went => self.delivery_failed(&mut debt, &settled, work)?,
            Status::Failed | Status::Expired | Status::Canceled | Status::Blocked => {
                self.never_went(&mut debt, at, &settled, work)?;
            }
            Status::Scheduled | Status::Queued | Status::Sending => return Ok(()),
        }
        self.keep(debt, work)
    }

    fn accepted(
        &mut self,
        debt: &mut Debt,
        at: usize,
        settled: &Settled,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        let Some(note) = debt.obligation.steps.get_mut(at) else { return Ok(()) };
        let (cycle, step) = (note.cycle, note.step.clone());
        let StepOutcome::Gone { accepted, .. } = &mut note.how else { return Ok(()) };
        if std::mem::replace(accepted, true) {
            return self.delivered(settled, work);
        }
        let current = cycle == debt.obligation.cycle;
        let Some(enrolment) = debt.obligation.enrolment.as_mut().filter(|_| current) else { return Ok(()) };
        enrolment.reminders_accepted += 1;
        if enrolment.state == EnrolmentState::Scheduled {
            enrolment.state = EnrolmentState::Active;
        }
        let reminders = enrolment.reminders_accepted;
        let what = Happened::Accepted { step: step.clone(), message: settled.id, reminders };
        self.happen(debt.id, what, "", work);
        self.escalate(debt, &step, reminders, work)
    }

    /// A number that takes texts is one.
    fn delivered(&mut self, settled: &Settled, work: &mut Work) -> Result<(), StoreError> {
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

    /// It counts as gone; a receipt may still say more.
    fn accepted_unknown(&mut self, debt: &mut Debt, at: usize) {
        if let Some(note) = debt.obligation.steps.get_mut(at)
            && let StepOutcome::Gone { accepted, .. } = &mut note.how
        {
            // Not accepted, and never taken back: whatever waits of it is a person's.
            *accepted = false;
        }
    }

    fn never_went(
        &mut self,
        debt: &mut Debt,
        at: usize,
        settled: &Settled,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        let note = debt.obligation.steps.remove(at);
        let mut phone = work.txn.phone(settled.to)?;
        if let StepOutcome::Gone { at, .. } = note.how {
            phone.ledger.take_back(at);
            work.txn.put(keys::phone(settled.to), &phone);
        }
        let what = Happened::TakenBack { step: note.step, message: settled.id };
        self.happen(debt.id, what, "", work);
        let opted_out = settled.cause.as_ref().is_some_and(|cause| cause.reason == Reason::PolicyOptedOut);
        if opted_out {
            self.exit(debt, ExitReason::OptedOut, "", work);
        } else if settled.status == Status::Failed {
            self.delivery_failed(debt, settled, work)?;
        }
        Ok(())
    }

    /// A number that takes no texts gets no more of them; a person is asked for another.
    fn delivery_failed(
        &mut self,
        debt: &mut Debt,
        settled: &Settled,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        let mut phone = work.txn.phone(settled.to)?;
        let reason = settled.cause.as_ref().map(|cause| cause.reason);
        let dead = matches!(reason, Some(Reason::NetworkUnknownSubscriber | Reason::NetworkBarred));
        phone.status = match phone.status {
            _ if dead => PhoneStatus::Dead,
            PhoneStatus::Suspect { failures } => PhoneStatus::Suspect { failures: failures.saturating_add(1) },
            PhoneStatus::Dead | PhoneStatus::Wrong => phone.status,
            PhoneStatus::Unverified | PhoneStatus::Active => PhoneStatus::Suspect { failures: 1 },
        };
        let status = phone.status;
        work.txn.put(keys::phone(settled.to), &phone);
        let about = Some((debt.id, &debt.obligation));
        match status {
            PhoneStatus::Dead => {
                self.open_task(kind::DELIVERY, about, None, "nobody has this number, or it takes no texts", work)?;
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
}
