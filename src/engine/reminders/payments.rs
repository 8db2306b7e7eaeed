//! Money that comes and goes back: what is owed then, which promise it keeps, and which reminders end or begin.
//!
//! A payment is known by its id, and counts once. What a plan makes of it is [`super::instalments`]'s.

use super::change::{ChangeRefusal, How};
use super::debts::{CORRECTION_WITHIN, Debt, Made, changed, refused};
use super::happened::Happened;
use super::instalments::Instalment;
use super::situation::Situation;
use crate::clock::Timestamp;
use crate::engine::core::{Core, Work};
use crate::reminder::enrolment::{EnrolmentState, ExitReason, PauseReason, StepOutcome};
use crate::reminder::money::Money;
use crate::reminder::name::{ExternalId, Key};
use crate::reminder::obligation::{Obligation, ObligationStatus, PAYMENTS_MAX, Payment};
use crate::reminder::promise::PromiseState;
use crate::reminder::sequence::Exit;
use crate::reminder::zone::Zone;
use crate::store::StoreError;

/// The sequence that a returned debit begins, where it is set up.
const RETURNED_DEBIT: &str = "returned_debit";

impl Core {
    pub(super) fn pay(&mut self, mut debt: Debt, payment: Payment, by: &str, work: &mut Work) -> Made {
        let obligation = &mut debt.obligation;
        if payment.amount.currency() != obligation.amount.currency() || !payment.amount.is_positive() {
            return refused("amount", "must be more than nothing, and of the obligation's currency");
        }
        let known = obligation.payments.iter().position(|p| p.external_id == payment.external_id);
        if let Some(at) = known {
            let same = obligation.payments.get(at).is_some_and(|p| p.amount == payment.amount);
            if same {
                return changed(debt.id, How::Unchanged, debt.obligation.version);
            }
            return refused("external_id", "names another payment of this obligation");
        }
        if obligation.payments.len() >= PAYMENTS_MAX {
            return Ok(Err(ChangeRefusal::Full(PAYMENTS_MAX)));
        }
        let (external_id, amount) = (payment.external_id.clone(), payment.amount);
        self.take_money(&mut debt, payment.clone(), by, work)?;
        let (id, version) = (debt.id, debt.obligation.version);
        let paid = Instalment { external_id, amount, at: payment.at };
        // Written first: what the plan does reads it.
        self.keep(debt.clone(), work)?;
        self.tell_plan(&debt, &paid, by, work)?;
        changed(id, How::Changed, version)
    }

    /// Takes money that is new, as far as there is room for it, with all that follows but the plan it belongs to.
    pub(super) fn take_money(
        &mut self,
        debt: &mut Debt,
        payment: Payment,
        by: &str,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        let (external_id, amount) = (payment.external_id.clone(), payment.amount);
        debt.obligation.payments.push(Payment { reversed: false, ..payment });
        debt.obligation.version += 1;
        let balance = debt.obligation.balance();
        self.happen(debt.id, Happened::Paid { external_id, amount, balance }, by, work);
        self.balance_changed(debt, by, work)
    }

    /// The money went back: what is owed is owed again, and the reminders begin anew.
    pub(super) fn reverse(&mut self, mut debt: Debt, payment: Payment, by: &str, work: &mut Work) -> Made {
        let obligation = &mut debt.obligation;
        let known = obligation.payments.iter_mut().find(|p| p.external_id == payment.external_id);
        let amount = match known {
            Some(known) if known.reversed => {
                return changed(debt.id, How::Unchanged, debt.obligation.version);
            }
            Some(known) => {
                known.reversed = true;
                known.amount
            }
            None => return refused("external_id", "names no payment of this obligation"),
        };
        self.give_back(&mut debt, &payment.external_id, amount, by, work)?;
        let (id, version) = (debt.id, debt.obligation.version);
        // Written first: what the plan does reads it.
        self.keep(debt.clone(), work)?;
        self.tell_plan_back(&debt, &payment.external_id, by, work)?;
        changed(id, How::Changed, version)
    }

    /// What follows from money that went back, but for the plan it belongs to.
    pub(super) fn give_back(
        &mut self,
        debt: &mut Debt,
        external_id: &ExternalId,
        amount: Money,
        by: &str,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        debt.obligation.version += 1;
        let (external_id, balance) = (external_id.clone(), debt.obligation.balance());
        self.happen(debt.id, Happened::Reversed { external_id, amount, balance }, by, work);
        if !matches!(debt.obligation.status, ObligationStatus::Paid | ObligationStatus::PartiallyPaid) {
            return Ok(());
        }
        let today = self.today_of(&debt.obligation, work)?;
        let to = debt.obligation.status_by_payments();
        self.set_status(debt, to, "", by, work);
        // A promise or hardship is none the less one, and who may not be reminded may not be now.
        let begins = match debt.state() {
            None | Some(EnrolmentState::Scheduled | EnrolmentState::Active) => true,
            Some(EnrolmentState::Completed { .. }) => true,
            Some(EnrolmentState::Exited { reason: ExitReason::Paid, .. }) => true,
            Some(EnrolmentState::Exited { reason: ExitReason::Canceled, .. }) => {
                self.exits_on(&debt.obligation, Exit::PartialPayment)
            }
            Some(EnrolmentState::Paused { .. } | EnrolmentState::Exited { .. }) => false,
        };
        if !begins {
            self.take_back(debt, work);
            return Ok(());
        }
        let returned = Key::parse(RETURNED_DEBIT).ok();
        let returned = returned.filter(|key| self.reminders.catalog.sequence(key).is_some());
        let anchor = returned.as_ref().map(|_| today);
        if let Some(sequence) = returned.or_else(|| debt.obligation.sequence.clone()) {
            self.begin_cycle(debt, &sequence, by, work);
        }
        if let Some(enrolment) = &mut debt.obligation.enrolment {
            enrolment.anchor = anchor;
        }
        Ok(())
    }

    /// What follows from what is owed now.
    pub(super) fn balance_changed(
        &mut self,
        debt: &mut Debt,
        by: &str,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        let status = debt.obligation.status;
        let by_payments = debt.obligation.status_by_payments();
        let paid = by_payments == ObligationStatus::Paid;
        // Money moves what is open; a dispute or a plan ends only with all of it.
        if status.is_open()
            || (paid && !matches!(status, ObligationStatus::Canceled | ObligationStatus::WrittenOff))
        {
            self.set_status(debt, by_payments, "", by, work);
        }
        self.judge_promise(debt, by, work)?;
        if paid {
            self.exit(debt, ExitReason::Paid, by, work);
            self.note_crossed(debt, by, work);
            self.close_instalments(debt, by, work)?;
        } else if by_payments != status && self.exits_on(&debt.obligation, Exit::PartialPayment) {
            self.exit(debt, ExitReason::Canceled, by, work);
        } else {
            self.take_back(debt, work);
        }
        Ok(())
    }

    /// A promise is kept by the money, whenever it comes.
    fn judge_promise(&mut self, debt: &mut Debt, by: &str, work: &mut Work) -> Result<(), StoreError> {
        let obligation = &debt.obligation;
        let promise = obligation.promise.as_ref().filter(|promise| promise.state == PromiseState::Made);
        let Some(promise) = promise else { return Ok(()) };
        let enough = match promise.amount {
            _ if !obligation.balance().is_positive() => true,
            Some(amount) => {
                let since = self.promise_counts_from(obligation, promise.made_at, work)?;
                let since = obligation.payments.iter().filter(|p| !p.reversed && p.at >= since);
                since.map(|p| p.amount.minor()).sum::<i64>() >= amount.minor()
            }
            None => false,
        };
        if !enough {
            return Ok(());
        }
        let obligation = &mut debt.obligation;
        if let Some(promise) = &mut obligation.promise {
            promise.state = PromiseState::Kept;
        }
        self.happen(debt.id, Happened::PromiseKept, by, work);
        if matches!(debt.state(), Some(EnrolmentState::Paused { reason: PauseReason::Promise, .. })) {
            self.resume_debt(debt, by, work);
        }
        Ok(())
    }

    /// Money counts for a promise from the beginning of the day it was made on. Banks book days, written as their
    /// midnight in UTC or at home, so the earlier of the two is meant.
    fn promise_counts_from(
        &self,
        obligation: &Obligation,
        made_at: Timestamp,
        work: &Work,
    ) -> Result<Timestamp, StoreError> {
        let home = &self.reminders.catalog.home;
        let read = Situation::read(&work.txn, &self.reminders.catalog, &self.reminders.rules, obligation)?;
        let day = read.map_or_else(|_| home.local(made_at).date(), |situation| situation.today(made_at));
        Ok(Zone::utc().begin_of(day).min(home.begin_of(day)).min(made_at))
    }

    /// Reminders that had left when the payment came.
    fn note_crossed(&mut self, debt: &Debt, by: &str, work: &mut Work) {
        let cycle = debt.obligation.cycle;
        let last = debt.obligation.steps.iter().rev().find_map(|note| match note.how {
            StepOutcome::Gone { message, at, accepted, .. } if note.cycle == cycle => {
                Some((note.step.clone(), message, at, accepted))
            }
            _ => None,
        });
        let Some((step, message, at, accepted)) = last else { return };
        if self.active.contains_key(&message) || (accepted && work.wall().since(at) < CORRECTION_WITHIN) {
            self.happen(debt.id, Happened::CrossedPayment { step, message }, by, work);
        }
    }
}
