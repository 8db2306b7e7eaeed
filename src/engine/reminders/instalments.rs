//! Payment plans: instalments that are obligations of their own, and one debt still.
//!
//! Money for an instalment is money for the whole, and money for the whole pays the earliest instalments: each is
//! written once on either side, under an id made of the payment's own. What instalments ask for is never more than
//! the whole owes. A plan that failed may be followed by another, with instalments of other ids; money for one of the
//! old ones is money for the whole.

use super::change::{ChangeRefusal, How, ObligationDraft, Owner, Which};
use super::debts::{Debt, Made, changed, refused};
use super::happened::Happened;
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
        let in_plan = debt.obligation.status == ObligationStatus::InPlan;
        // In a plan of which nothing is asked: a person agreed to one, and these are its instalments.
        let agreed = in_plan && !self.instalments(&debt, work)?.iter().any(asks);
        if in_plan && !agreed && debt.obligation.plan == parts {
            return changed(debt.id, How::Unchanged, debt.obligation.version);
        }
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
        debt.obligation.plans = debt.obligation.plans.saturating_add(1);
        for (n, part) in (1..).zip(&parts) {
            let Some(external_id) = debt.obligation.instalment_id(n) else {
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
                let why = format!("there is an obligation {} already", draft.external_id);
                return refused("instalments", why);
            }
            let origin = Origin::Plan { obligation: debt.id, n: n as u16 };
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

    /// What instalments ask for becomes no more than the whole owes: the last ones shrink first.
    pub(super) fn shrink_instalments(
        &mut self,
        whole: &mut Debt,
        by: &str,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        if whole.obligation.status != ObligationStatus::InPlan {
            return Ok(());
        }
        let parts: Vec<Debt> = self.instalments(whole, work)?.into_iter().filter(asks).collect();
        let asked: i64 = parts.iter().map(|part| part.obligation.balance().minor()).sum();
        let mut over = asked - whole.obligation.balance().minor();
        for part in parts.into_iter().rev() {
            let less = part.obligation.balance().minor().min(over);
            if less <= 0 {
                continue;
            }
            over -= less;
            let amount = part.obligation.amount;
            let amount = Money::new(amount.minor() - less, amount.currency()).unwrap_or(amount);
            if let Origin::Plan { n, .. } = part.obligation.origin
                && let Some(planned) = whole.obligation.plan.get_mut(usize::from(n).saturating_sub(1))
            {
                planned.amount = amount;
            }
            self.lower_instalment(part, amount, by, work)?;
        }
        Ok(())
    }

    /// An instalment of which nothing is left, and nothing was paid, is nobody's debt.
    fn lower_instalment(
        &mut self,
        mut part: Debt,
        amount: Money,
        by: &str,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        part.obligation.amount = amount;
        self.happen(part.id, Happened::Changed, by, work);
        self.maybe_correct(&part, true, work)?;
        if !amount.is_positive() && part.obligation.status.may_become(ObligationStatus::Canceled) {
            // It may, as was just asked, so that nothing refuses it.
            let why = "its whole owes no more than the others";
            self.state_status(part, ObligationStatus::Canceled, why, by, work)?.ok();
            return Ok(());
        }
        self.balance_changed(&mut part, by, work)?;
        part.obligation.version += 1;
        self.keep(part, work)
    }

    /// Those of the last plan, in their order.
    fn instalments(&self, debt: &Debt, work: &Work) -> Result<Vec<Debt>, StoreError> {
        let mut parts = Vec::new();
        for n in 1..=debt.obligation.plan.len() {
            let Some(id) = debt.obligation.instalment_id(n) else { continue };
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
            let of = debt.obligation.external_id.clone();
            let Some(share) = self.credit_once(&mut whole, paid, (&of, paid.amount), by, work)? else {
                return Ok(());
            };
            self.keep(whole.clone(), work)?;
            return match is_of_an_older_plan(&whole, debt, n) {
                true => self.tell_plan(&whole, &share, by, work),
                false => Ok(()),
            };
        }
        if debt.obligation.status != ObligationStatus::InPlan {
            return Ok(());
        }
        let mut left = paid.amount;
        for mut part in self.instalments(debt, work)?.into_iter().filter(asks) {
            let owed = part.obligation.balance();
            let share = if owed.minor() < left.minor() { owed } else { left };
            if !share.is_positive() {
                continue;
            }
            let of = part.obligation.external_id.clone();
            if self.credit_once(&mut part, paid, (&of, share), by, work)?.is_some() {
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
            let of = &debt.obligation.external_id;
            let Some(share) = self.debit_once(&mut whole, paid, of, by, work)? else { return Ok(()) };
            let is_old = is_of_an_older_plan(&whole, debt, n);
            if was_paid && !is_old {
                // The instalment is what is owed now: the whole waits for it as before.
                self.set_status(&mut whole, ObligationStatus::InPlan, "", by, work);
                self.pause_debt(&mut whole, PauseReason::Plan, None, by, work);
            }
            self.keep(whole.clone(), work)?;
            return if is_old { self.tell_plan_back(&whole, &share, by, work) } else { Ok(()) };
        }
        if debt.obligation.status != ObligationStatus::InPlan {
            // The whole itself is owed again, and not both.
            return Ok(());
        }
        for mut part in self.instalments(debt, work)? {
            let of = part.obligation.external_id.clone();
            if self.debit_once(&mut part, paid, &of, by, work)?.is_some() {
                self.keep(part, work)?;
            }
        }
        Ok(())
    }

    /// Takes back the share of a payment that was credited for the instalment `of`, and gives its id; `None`: there
    /// is none, or it was taken back.
    fn debit_once(
        &mut self,
        debt: &mut Debt,
        paid: &ExternalId,
        of: &ExternalId,
        by: &str,
        work: &mut Work,
    ) -> Result<Option<ExternalId>, StoreError> {
        let Some(external_id) = share_id(paid, of) else { return Ok(None) };
        let mut payments = debt.obligation.payments.iter_mut();
        let Some(share) = payments.find(|payment| payment.external_id == external_id && !payment.reversed)
        else {
            return Ok(None);
        };
        share.reversed = true;
        let amount = share.amount;
        self.give_back(debt, &external_id, amount, by, work)?;
        Ok(Some(external_id))
    }

    /// Credits a share of a payment for the instalment `of` under an id of its own, and gives it; `None`: it was.
    fn credit_once(
        &mut self,
        debt: &mut Debt,
        paid: &Instalment,
        (of, amount): (&ExternalId, Money),
        by: &str,
        work: &mut Work,
    ) -> Result<Option<Instalment>, StoreError> {
        let Some(external_id) = share_id(&paid.external_id, of) else { return Ok(None) };
        let known = debt.obligation.payments.iter().any(|payment| payment.external_id == external_id);
        if known || debt.obligation.payments.len() >= PAYMENTS_MAX {
            return Ok(None);
        }
        let share = Instalment { external_id: external_id.clone(), amount, at: paid.at };
        let payment = Payment { external_id, amount, at: paid.at, reversed: false };
        self.take_money(debt, payment, by, work)?;
        Ok(Some(share))
    }
}

/// Whether somebody still asks for this instalment.
fn asks(part: &Debt) -> bool {
    !matches!(part.obligation.status, ObligationStatus::Canceled | ObligationStatus::WrittenOff)
}

fn is_of_an_older_plan(whole: &Debt, part: &Debt, n: u16) -> bool {
    whole.obligation.instalment_id(usize::from(n)).as_ref() != Some(&part.obligation.external_id)
}

/// The id of a payment's share on the other side, for the instalment `of`. Ids may be as long as one may be: what is
/// added would not fit.
fn share_id(paid: &ExternalId, of: &ExternalId) -> Option<ExternalId> {
    // No id holds the end of a line.
    let own = blake3::hash(format!("{paid}\n{of}").as_bytes()).to_hex();
    ExternalId::parse(&format!("plan/{}", own.get(..32).unwrap_or_default())).ok()
}
