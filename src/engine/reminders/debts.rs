//! Changes of obligations: what is owed, what is paid, what is promised, and what follows for the reminders.
//!
//! Every change ends in [`Core::keep`]: what waits for a link and no longer applies is taken back, the next step is
//! planned anew, and record and timer are written together.

use jiff::civil::Date;

use super::catalog::Catalog;
use super::change::{ChangeRefusal, Changed, How, ObligationDraft, Subject, Which};
use super::happened::Happened;
use super::records::{Account, Records};

use crate::engine::core::{Core, Work};
use crate::id::ObligationId;
use crate::reminder::enrolment::{EnrolmentState, ExitReason, PauseReason, StepOutcome};
use crate::reminder::link::Target;
use crate::reminder::money::Money;
use crate::reminder::name::Key;
use crate::reminder::obligation::{Obligation, ObligationStatus, Origin};
use crate::reminder::promise::{PROMISE_DAYS_MAX, PROMISE_GRACE_DAYS, Promise, PromiseState};
use crate::reminder::sequence::Exit;
use crate::reminder::task::kind;
use crate::store::{StoreError, keys};

/// The sequence of obligations that name none, where it is set up.
const STANDARD: &str = "standard";
/// A text with the old amount younger than this is worth a person's look.
pub(super) const CORRECTION_WITHIN: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// What a change of one record comes to.
pub(super) type Made = Result<Result<Changed, ChangeRefusal>, StoreError>;

/// An obligation in the making or under change, with the id it has.
#[derive(Clone)]
pub(super) struct Debt {
    pub id: ObligationId,
    pub obligation: Obligation,
}

pub(super) fn refused(field: &'static str, why: impl Into<String>) -> Made {
    Ok(Err(ChangeRefusal::Field { field, why: why.into() }))
}

pub(super) fn changed(id: ObligationId, how: How, version: u64) -> Made {
    Ok(Ok(Changed { subject: Subject::Obligation(id), how, version }))
}

/// The sequence of obligations that name none.
pub(super) fn standard(catalog: &Catalog) -> Option<Key> {
    let standard = Key::parse(STANDARD).ok()?;
    catalog.sequence(&standard).map(|_| standard)
}

/// Why what is wanted cannot be, whatever there is.
pub(super) fn unfit(catalog: &Catalog, draft: &ObligationDraft, creditor: &Key) -> Option<ChangeRefusal> {
    let bad = |field, why: &str| Some(ChangeRefusal::Field { field, why: why.to_owned() });
    if !draft.amount.is_positive() {
        return bad("amount", "must be more than nothing");
    }
    if let Some(least) = draft.min_due
        && (least.currency() != draft.amount.currency() || least.minor() > draft.amount.minor())
    {
        return bad("min_due", "must be of the amount's currency, and not more than it");
    }
    if let Some(sequence) = &draft.sequence
        && catalog.sequence(sequence).is_none()
    {
        return bad("sequence", "is not set up");
    }
    if let (Some(link), Some(creditor)) = (&draft.link, catalog.creditor(creditor))
        && let Err(why) = Target::parse(link, &creditor.link_hosts)
    {
        return bad("link", &why.to_string());
    }
    None
}

/// Why what is paid cannot be owed again by another amount: only money that goes back opens it again.
pub(super) fn owed_again(known: &Obligation, amount: Money) -> Option<ChangeRefusal> {
    let is_more = known.status == ObligationStatus::Paid && amount.minor() > known.paid_minor();
    let why = "is more than was paid, and it is paid: ask for more by an obligation of its own";
    is_more.then(|| ChangeRefusal::Field { field: "amount", why: why.to_owned() })
}

/// Whether a sequence that a file names begins at once: it waits for the end of a pause, and what ended stays so
/// until somebody enrols it.
pub(super) fn takes_sequence(obligation: &Obligation) -> bool {
    let state = obligation.enrolment.as_ref().map(|enrolment| &enrolment.state);
    let waits = matches!(state, Some(EnrolmentState::Paused { .. } | EnrolmentState::Exited { .. }));
    obligation.status.is_open() && !waits
}

impl Core {
    /// Makes an obligation, or changes the one of its external id.
    pub(super) fn change_obligation(
        &mut self,
        draft: ObligationDraft,
        row: Option<[u8; 16]>,
        by: &str,
        work: &mut Work,
    ) -> Made {
        let (creditor, account) = match self.owner(draft.owner.clone(), by, work)? {
            Ok(account) => (account.creditor.clone(), account),
            Err(refusal) => return Ok(Err(refusal)),
        };
        if let Some(refusal) = unfit(&self.reminders.catalog, &draft, &creditor) {
            return Ok(Err(refusal));
        }
        let place = keys::obligation_id(&draft.external_id, &creditor);
        match work.txn.get::<ObligationId>(&place)? {
            None => self.make_obligation(draft, &account, Origin::Firm, row, by, work),
            Some(id) => {
                let known = work.txn.obligation(id)?;
                let obligation =
                    known.ok_or_else(|| StoreError::Damaged(format!("{id} is named and not there")))?;
                self.rewrite(Debt { id, obligation }, draft, &account, row, by, work)
            }
        }
    }

    pub(super) fn make_obligation(
        &mut self,
        draft: ObligationDraft,
        account: &Account,
        origin: Origin,
        row: Option<[u8; 16]>,
        by: &str,
        work: &mut Work,
    ) -> Made {
        let id = ObligationId::from_u64(self.counters.ids.next(work.wall()));
        work.txn.put_new(keys::obligation_id(&draft.external_id, &account.creditor), &id);
        work.txn.put_new(keys::of_contact(account.contact, id), &());
        let named = draft.sequence.clone().or_else(|| standard(&self.reminders.catalog));
        let obligation = Obligation {
            external_id: draft.external_id,
            creditor: account.creditor.clone(),
            account: account.external_id.clone(),
            contact: account.contact,
            amount: draft.amount,
            min_due: draft.min_due,
            due_date: draft.due_date,
            description: draft.description,
            link: draft.link,
            sequence: named.clone(),
            status: ObligationStatus::Open,
            version: 1,
            created_at: work.wall(),
            payments: Vec::new(),
            promise: None,
            plan: Vec::new(),
            origin,
            enrolment: None,
            steps: Vec::new(),
            cycle: 1,
            timer: None,
            row,
        };
        let mut debt = Debt { id, obligation };
        self.counters.reminders.obligations[ObligationStatus::Open as usize] += 1;
        self.happen(id, Happened::Created, by, work);
        if let Some(sequence) = named {
            self.begin(&mut debt, &sequence, by, work);
        }
        self.keep(debt, work)?;
        changed(id, How::Created, 1)
    }

    /// Takes over what the firm says anew.
    fn rewrite(
        &mut self,
        mut debt: Debt,
        draft: ObligationDraft,
        account: &Account,
        row: Option<[u8; 16]>,
        by: &str,
        work: &mut Work,
    ) -> Made {
        let (id, old) = (debt.id, debt.obligation.clone());
        if row.is_some() && old.row == row {
            return changed(id, How::Unchanged, old.version);
        }
        let new = &mut debt.obligation;
        if draft.amount.currency() != old.amount.currency() {
            return refused("amount", "the currency of an obligation cannot change");
        }
        if let Some(refusal) = owed_again(&old, draft.amount) {
            return Ok(Err(refusal));
        }
        new.amount = draft.amount;
        new.min_due = draft.min_due;
        new.description = draft.description;
        new.link = draft.link;
        new.row = row.or(old.row);
        if new.account != account.external_id || new.contact != account.contact {
            work.txn.delete_if_present(keys::of_contact(old.contact, id))?;
            work.txn.put(keys::of_contact(account.contact, id), &());
            (new.account, new.contact) = (account.external_id.clone(), account.contact);
        }
        let words = |o: &Obligation| (o.amount, o.min_due, o.description.clone(), o.link.clone(), o.contact);
        let (reworded, moved) = (words(&old) != words(new), old.due_date != draft.due_date);
        let other_sequence = draft.sequence.clone().filter(|wanted| old.sequence.as_ref() != Some(wanted));
        if !reworded && !moved && other_sequence.is_none() {
            if new.row != old.row {
                self.keep(debt, work)?;
            }
            return changed(id, How::Unchanged, old.version);
        }
        if reworded {
            self.happen(id, Happened::Changed, by, work);
            self.maybe_correct(&debt, old.amount != draft.amount, work)?;
        }
        debt.obligation.due_date = draft.due_date;
        if moved {
            let what = Happened::Moved { from: old.due_date, to: draft.due_date };
            self.happen(id, what, by, work);
            self.plan_moved(&mut debt);
        }
        self.balance_changed(&mut debt, by, work)?;
        // A restart that is asked for again, by the date that it has by now, is one.
        if draft.restart && moved {
            debt.obligation.sequence = other_sequence.or(debt.obligation.sequence);
            self.begin_again(&mut debt, by, work);
        } else if let Some(sequence) = other_sequence {
            self.name_sequence(&mut debt, sequence, by, work);
        }
        debt.obligation.version += 1;
        let version = debt.obligation.version;
        self.keep(debt, work)?;
        changed(id, How::Changed, version)
    }

    /// Somebody wants the steps to go again, by the new date.
    fn begin_again(&mut self, debt: &mut Debt, by: &str, work: &mut Work) {
        let sequence = debt.obligation.sequence.clone().filter(|_| debt.obligation.status.is_open());
        if let Some(sequence) = sequence {
            self.begin_cycle(debt, &sequence, by, work);
        }
    }

    /// A file or a program names another sequence: it begins, but ends no pause and revives nothing.
    fn name_sequence(&mut self, debt: &mut Debt, sequence: Key, by: &str, work: &mut Work) {
        debt.obligation.sequence = Some(sequence.clone());
        if takes_sequence(&debt.obligation) {
            self.begin(debt, &sequence, by, work);
        } else if let Some(enrolment) = &mut debt.obligation.enrolment
            && matches!(enrolment.state, EnrolmentState::Paused { .. })
        {
            enrolment.instead = Some(sequence);
        }
    }

    /// Another due date: what its old one made stale, or a gate refused then, may go by the new one. What went does
    /// not go again, and what a person left out stays out.
    fn plan_moved(&self, debt: &mut Debt) {
        debt.obligation.reconsider();
        if let Some(enrolment) = &mut debt.obligation.enrolment {
            enrolment.anchor = None;
        }
        self.revive(debt);
    }

    /// What was completed goes on where a step of it may go after all.
    pub(super) fn revive(&self, debt: &mut Debt) {
        let obligation = &mut debt.obligation;
        let Some(enrolment) = &obligation.enrolment else { return };
        let sequence = self.reminders.catalog.sequence_at(&enrolment.sequence, enrolment.version);
        let mut steps = sequence.iter().flat_map(|sequence| &sequence.steps);
        let is_left = steps.any(|step| obligation.is_left(&step.id));
        if let Some(enrolment) = &mut obligation.enrolment
            && is_left
            && matches!(enrolment.state, EnrolmentState::Completed { .. })
        {
            enrolment.state = EnrolmentState::Active;
        }
    }

    /// A person looks where a text with the old amount went shortly before.
    fn maybe_correct(
        &mut self,
        debt: &Debt,
        amount_changed: bool,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        let late = |note: &StepOutcome| match note {
            StepOutcome::Gone { at, .. } => work.wall().since(*at) < CORRECTION_WITHIN,
            _ => false,
        };
        if amount_changed && debt.obligation.steps.iter().any(|note| late(&note.how)) {
            self.open_task(
                kind::CORRECTION,
                Some((debt.id, &debt.obligation)),
                None,
                "the amount changed",
                work,
            )?;
        }
        Ok(())
    }

    /// Begins a new cycle with a sequence: what went goes again, and no step key of an older cycle is used again.
    pub(super) fn begin_cycle(&mut self, debt: &mut Debt, sequence: &Key, by: &str, work: &mut Work) {
        if self.reminders.catalog.sequence(sequence).is_some() {
            self.take_back(debt, work);
            debt.obligation.cycle += 1;
            self.begin(debt, sequence, by, work);
        }
    }

    /// Begins a sequence within the cycle: a step of it that went in this cycle does not go again, however often
    /// sequences are named to and fro.
    pub(super) fn begin(&mut self, debt: &mut Debt, sequence: &Key, by: &str, work: &mut Work) {
        let Some(version) = self.reminders.catalog.sequence(sequence).map(|s| s.version) else { return };
        if debt.obligation.enrolment.as_ref().is_some_and(|e| !e.state.is_over()) {
            self.happen(debt.id, Happened::Exited { reason: ExitReason::Superseded }, by, work);
        }
        self.take_back(debt, work);
        debt.obligation.enter(sequence.clone(), version, work.wall());
        let cycle = debt.obligation.cycle;
        self.happen(debt.id, Happened::Enrolled { sequence: sequence.clone(), version, cycle }, by, work);
    }

    /// Loads the obligation that is meant.
    pub(super) fn debt(&self, which: &Which, work: &Work) -> Result<Result<Debt, ChangeRefusal>, StoreError> {
        let id = match work.txn.which(which)? {
            Ok(id) => id,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let obligation = work.txn.obligation(id)?;
        Ok(obligation
            .map(|obligation| Debt { id, obligation })
            .ok_or(ChangeRefusal::NotFound { what: "obligation" }))
    }

    /// `why`: in words; empty where it follows by itself.
    pub(super) fn set_status(
        &mut self,
        debt: &mut Debt,
        to: ObligationStatus,
        why: &str,
        by: &str,
        work: &mut Work,
    ) {
        let from = debt.obligation.status;
        if from == to {
            return;
        }
        let counts = &mut self.counters.reminders.obligations;
        counts[from as usize] = counts[from as usize].saturating_sub(1);
        counts[to as usize] += 1;
        debt.obligation.status = to;
        self.happen(debt.id, Happened::Status { from, to, why: why.to_owned() }, by, work);
    }

    /// A person or a program says where it stands.
    pub(super) fn state_status(
        &mut self,
        mut debt: Debt,
        to: ObligationStatus,
        why: &str,
        by: &str,
        work: &mut Work,
    ) -> Made {
        let from = debt.obligation.status;
        if from == to {
            return changed(debt.id, How::Unchanged, debt.obligation.version);
        }
        if !from.may_become(to) {
            return Ok(Err(ChangeRefusal::State(format!("it is {}", from.as_str()))));
        }
        let to = if to == ObligationStatus::Open { debt.obligation.status_by_payments() } else { to };
        self.set_status(&mut debt, to, why, by, work);
        if to != ObligationStatus::InPlan && !to.is_open() {
            self.withdraw_promise(&mut debt, by, work);
        }
        if from == ObligationStatus::InPlan {
            self.close_instalments(&debt, by, work)?;
        }
        match to {
            ObligationStatus::HandedOver => self.exit(&mut debt, ExitReason::HandedOver, by, work),
            ObligationStatus::Canceled | ObligationStatus::WrittenOff => {
                self.exit(&mut debt, ExitReason::Canceled, by, work);
            }
            ObligationStatus::Disputed if self.exits_on(&debt.obligation, Exit::Dispute) => {
                self.exit(&mut debt, ExitReason::Canceled, by, work);
            }
            ObligationStatus::Disputed => self.pause_debt(&mut debt, PauseReason::Dispute, None, by, work),
            ObligationStatus::InPlan => self.pause_debt(&mut debt, PauseReason::Plan, None, by, work),
            _ => self.end_pause_of(from, &mut debt, by, work),
        }
        debt.obligation.version += 1;
        let (id, version) = (debt.id, debt.obligation.version);
        self.keep(debt, work)?;
        changed(id, How::Changed, version)
    }

    /// A promise that nobody waits for any more.
    fn withdraw_promise(&mut self, debt: &mut Debt, by: &str, work: &mut Work) {
        let Some(promise) = debt.obligation.promise.as_mut().filter(|p| p.state == PromiseState::Made) else {
            return;
        };
        promise.state = PromiseState::Withdrawn;
        self.happen(debt.id, Happened::PromiseWithdrawn, by, work);
    }

    pub(super) fn dispute(&mut self, debt: Debt, reason: &str, by: &str, work: &mut Work) -> Made {
        let (id, was) = (debt.id, debt.obligation.status);
        let made = self.state_status(debt, ObligationStatus::Disputed, reason, by, work)?;
        if made.is_ok() && was != ObligationStatus::Disputed {
            let obligation = work.txn.obligation(id)?;
            let about = obligation.as_ref().map(|obligation| (id, obligation));
            self.open_task(kind::DISPUTE, about, None, reason, work)?;
        }
        Ok(made)
    }

    pub(super) fn promise(
        &mut self,
        mut debt: Debt,
        date: Date,
        amount: Option<Money>,
        by: &str,
        work: &mut Work,
    ) -> Made {
        if !debt.obligation.status.is_open() {
            return Ok(Err(ChangeRefusal::State(format!("it is {}", debt.obligation.status.as_str()))));
        }
        if amount.is_some_and(|a| a.currency() != debt.obligation.amount.currency() || !a.is_positive()) {
            return refused("amount", "must be more than nothing, and of the obligation's currency");
        }
        let balance = debt.obligation.balance();
        if amount.is_some_and(|amount| amount.minor() > balance.minor()) {
            return refused("amount", format!("is more than is owed, {balance}"));
        }
        let today = self.today_of(&debt.obligation, work)?;
        let Ok(ahead) = date.since(today).map(|span| span.get_days()) else {
            return refused("date", "is too far away");
        };
        if ahead < 0 {
            return refused("date", "has passed where the contact lives");
        }
        if ahead > PROMISE_DAYS_MAX {
            let about = Some((debt.id, &debt.obligation));
            self.open_task(kind::PROMISE, about, None, "a promise for more than 30 days ahead", work)?;
            self.pause_debt(&mut debt, PauseReason::Promise, None, by, work);
        } else if self.exits_on(&debt.obligation, Exit::Promise) {
            self.exit(&mut debt, ExitReason::Canceled, by, work);
        } else {
            let until = self.business_day_ends(&debt.obligation, (date, PROMISE_GRACE_DAYS), work)?;
            self.pause_debt(&mut debt, PauseReason::Promise, Some(until), by, work);
        }
        // The new word takes the place of the old one.
        self.withdraw_promise(&mut debt, by, work);
        let made_at = work.wall();
        debt.obligation.promise = Some(Promise { date, amount, made_at, state: PromiseState::Made });
        self.happen(debt.id, Happened::Promised { date, amount }, by, work);
        debt.obligation.version += 1;
        let (id, version) = (debt.id, debt.obligation.version);
        self.keep(debt, work)?;
        changed(id, How::Changed, version)
    }

    pub(super) fn move_due_date(
        &mut self,
        mut debt: Debt,
        date: Date,
        restart: bool,
        by: &str,
        work: &mut Work,
    ) -> Made {
        let from = debt.obligation.due_date;
        // So that a restart that is asked for again is one.
        if from == date {
            return changed(debt.id, How::Unchanged, debt.obligation.version);
        }
        self.happen(debt.id, Happened::Moved { from, to: date }, by, work);
        debt.obligation.due_date = date;
        self.plan_moved(&mut debt);
        self.take_back(&mut debt, work);
        if restart {
            self.begin_again(&mut debt, by, work);
        }
        debt.obligation.version += 1;
        let (id, version) = (debt.id, debt.obligation.version);
        self.keep(debt, work)?;
        changed(id, How::Changed, version)
    }
}
