//! Payment plans: instalments that are obligations of their own, and one debt still.
//!
//! Money for an instalment is money for the whole, and money for the whole pays the earliest instalments: each is
//! written once on either side, under an id made of the payment's own.

use super::change::{ChangeRefusal, How, ObligationDraft, Owner, Which};
use super::debts::{Debt, Made, changed, refused};
use super::records::Records;
use crate::clock::Timestamp;
use crate::engine::core::{Core, Work};
use crate::reminder::enrolment::PauseReason;
use crate::reminder::money::Money;
use crate::reminder::name::ExternalId;
use crate::reminder::obligation::{ObligationStatus, Origin, PAYMENTS_MAX, Payment};
use crate::reminder::plan::{INSTALMENTS_MAX, PlanPart};
use crate::store::{StoreError, keys};

/// Money that came for one side of a plan.
pub(super) struct Instalment {
    pub external_id: ExternalId,
    pub amount: Money,
    pub at: Timestamp,
}

impl Core {
    /// Instalments become obligations with their own reminders; the whole waits while they are kept.
    pub(super) fn make_plan(
        &mut self,
        mut debt: Debt,
        parts: Vec<PlanPart>,
        by: &str,
        work: &mut Work,
    ) -> Made {
        // In a plan without parts: a person agreed to one, and these are they.
        let agreed = debt.obligation.status == ObligationStatus::InPlan && debt.obligation.plan.is_empty();
        let disputed = debt.obligation.status == ObligationStatus::Disputed;
        if !agreed && !disputed && !debt.obligation.status.is_open() {
            return Ok(Err(ChangeRefusal::State(format!("it is {}", debt.obligation.status.as_str()))));
        }
        if parts.is_empty() || parts.len() > INSTALMENTS_MAX {
            return refused("instalments", format!("must be 1 to {INSTALMENTS_MAX}"));
        }
        let balance = debt.obligation.balance();
        let sum = parts.iter().try_fold(Money::zero(balance.currency()), |sum, part| {
            part.amount.is_positive().then(|| sum.plus(part.amount)).flatten()
        });
        if sum != Some(balance) {
            return refused("instalments", format!("must come to what is owed, {balance}"));
        }
        let account = work.txn.account(&debt.obligation.account, &debt.obligation.creditor)?;
        let Some(account) = account else { return Ok(Err(ChangeRefusal::NotFound { what: "account" })) };
        for (at, part) in parts.iter().enumerate() {
            let n = at as u16 + 1;
            let external_id = ExternalId::parse(&format!("{}/{n}", debt.obligation.external_id));
            let Ok(external_id) = external_id else {
                return refused("obligation", "its external_id is too long for instalments");
            };
            let draft = ObligationDraft {
                external_id,
                owner: Owner::Account { external_id: account.external_id.clone(), creditor: None },
                amount: part.amount,
                min_due: None,
                due_date: part.due_date,
                description: debt.obligation.description.clone(),
                link: debt.obligation.link.clone(),
                sequence: debt.obligation.sequence.clone(),
                restart: false,
            };
            let place = keys::obligation_id(&draft.external_id, &account.creditor);
            if work.txn.contains(&place)? {
                return refused("instalments", "there is a plan for this obligation already");
            }
            let origin = Origin::Plan { obligation: debt.id, n };
            if let Err(refusal) = self.make_obligation(draft, &account, origin, None, by, work)? {
                return Ok(Err(refusal));
            }
        }
        debt.obligation.plan = parts;
        self.set_status(&mut debt, ObligationStatus::InPlan, "", by, work);
        self.pause_debt(&mut debt, PauseReason::Plan, None, by, work);
        debt.obligation.version += 1;
        let (id, version) = (debt.id, debt.obligation.version);
        self.keep(debt, work)?;
        changed(id, How::Changed, version)
    }

    /// Instalments of what is paid, or is in a plan no more, are nobody's debt.
    pub(super) fn close_instalments(
        &mut self,
        debt: &Debt,
        by: &str,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        for part in self.instalments(debt, work)? {
            if part.obligation.status.may_become(ObligationStatus::Canceled) {
                // It may, as was just asked, so that nothing refuses it.
                self.state_status(part, ObligationStatus::Canceled, "its whole is settled", by, work)?.ok();
            }
        }
        Ok(())
    }

    fn instalments(&self, debt: &Debt, work: &Work) -> Result<Vec<Debt>, StoreError> {
        let mut parts = Vec::new();
        for n in 1..=debt.obligation.plan.len() {
            let external_id = ExternalId::parse(&format!("{}/{n}", debt.obligation.external_id));
            let Ok(id) = external_id else { continue };
            let which = Which::External { id, creditor: Some(debt.obligation.creditor.clone()) };
            parts.extend(self.debt(&which, work)?);
        }
        Ok(parts)
    }

    /// Brings a payment to the other side of its plan.
    pub(super) fn tell_plan(
        &mut self,
        debt: &Debt,
        paid: &Instalment,
        by: &str,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        if let Origin::Plan { obligation, n } = debt.obligation.origin {
            let Ok(mut whole) = self.debt(&Which::Id(obligation), work)? else { return Ok(()) };
            if self.credit_once(&mut whole, paid, n, paid.amount, by, work)? {
                self.keep(whole, work)?;
            }
            return Ok(());
        }
        if debt.obligation.status != ObligationStatus::InPlan {
            return Ok(());
        }
        let mut left = paid.amount;
        for (n, mut part) in (1..).zip(self.instalments(debt, work)?) {
            let owed = part.obligation.balance();
            let share = if owed.minor() < left.minor() { owed } else { left };
            if !share.is_positive() {
                continue;
            }
            if self.credit_once(&mut part, paid, n, share, by, work)? {
                self.keep(part, work)?;
            }
            left = left.minus(share).unwrap_or(Money::zero(left.currency()));
        }
        Ok(())
    }

    /// Brings money that went back to the other side of its plan, where a share of it was credited.
    pub(super) fn tell_plan_back(
        &mut self,
        debt: &Debt,
        paid: &ExternalId,
        by: &str,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        if let Origin::Plan { obligation, n } = debt.obligation.origin {
            let Ok(mut whole) = self.debt(&Which::Id(obligation), work)? else { return Ok(()) };
            let was_paid = whole.obligation.status == ObligationStatus::Paid;
            if self.debit_once(&mut whole, paid, n, by, work)? {
                if was_paid {
                    // The instalment is what is owed now: the whole waits for it as before.
                    self.set_status(&mut whole, ObligationStatus::InPlan, "", by, work);
                    self.pause_debt(&mut whole, PauseReason::Plan, None, by, work);
                }
                self.keep(whole, work)?;
            }
            return Ok(());
        }
        if debt.obligation.status != ObligationStatus::InPlan {
            // The whole itself is owed again, and not both.
            return Ok(());
        }
        for (n, mut part) in (1..).zip(self.instalments(debt, work)?) {
            if self.debit_once(&mut part, paid, n, by, work)? {
                self.keep(part, work)?;
            }
        }
        Ok(())
    }

    /// Takes back the share of a payment that was credited, unless it was.
    fn debit_once(
        &mut self,
        debt: &mut Debt,
        paid: &ExternalId,
        n: u16,
        by: &str,
        work: &mut Work,
    ) -> Result<bool, StoreError> {
        let Some(external_id) = share_id(paid, n) else { return Ok(false) };
        let mut payments = debt.obligation.payments.iter_mut();
        let Some(share) = payments.find(|payment| payment.external_id == external_id && !payment.reversed)
        else {
            return Ok(false);
        };
        share.reversed = true;
        let amount = share.amount;
        self.give_back(debt, &external_id, amount, by, work)?;
        Ok(true)
    }

    /// Credits a share of a payment under an id of its own, unless it was.
    fn credit_once(
        &mut self,
        debt: &mut Debt,
        paid: &Instalment,
        n: u16,
        share: Money,
        by: &str,
        work: &mut Work,
    ) -> Result<bool, StoreError> {
        let Some(external_id) = share_id(&paid.external_id, n) else { return Ok(false) };
        let known = debt.obligation.payments.iter().any(|payment| payment.external_id == external_id);
        if known || debt.obligation.payments.len() >= PAYMENTS_MAX {
            return Ok(false);
        }
        let payment = Payment { external_id, amount: share, at: paid.at, reversed: false };
        self.take_money(debt, payment, by, work)?;
        Ok(true)
    }
}

/// The id of a payment's share on the other side. Ids may be as long as one may be: what is added would not fit.
fn share_id(paid: &ExternalId, n: u16) -> Option<ExternalId> {
    let own = blake3::hash(paid.as_str().as_bytes()).to_hex();
    ExternalId::parse(&format!("plan/{n}/{}", own.get(..32).unwrap_or_default())).ok()
}
