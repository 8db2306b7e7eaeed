//! Which room of the reminder side does what is asked of it.

use super::ChangeAnswer;
use super::change::{Change, ChangeRefusal, Changed, How, Subject, Which};
use super::debts::{Debt, Made, changed};
use crate::clock::Timestamp;
use crate::engine::Refusal;
use crate::engine::core::{Core, Work};
use crate::id::ObligationId;
use crate::reminder::enrolment::{Enrolment, EnrolmentState, ExitReason, PauseReason};
use crate::reminder::name::Key;
use crate::reminder::obligation::Obligation;
use crate::reminder::sequence::Exit;
use crate::store::{StoreError, keys};

/// Why an enrolment cannot be paused or resumed: there is none, or it is over.
fn is_over(debt: &Debt) -> Option<ChangeRefusal> {
    match debt.state() {
        None => Some(ChangeRefusal::State(String::from("it is in no sequence"))),
        Some(state) if state.is_over() => Some(ChangeRefusal::State(format!("it is {}", state.as_str()))),
        Some(_) => None,
    }
}

impl Core {
    /// Makes changes in order; one that is refused leaves nothing, and the others are made.
    pub(in crate::engine) fn change_all(
        &mut self,
        changes: Vec<Change>,
        by: &str,
        work: &mut Work,
    ) -> Result<ChangeAnswer, StoreError> {
        let make = |change: Change| match self.closed_to(&change) {
            Some(why) => Ok(Err(ChangeRefusal::Closed(why))),
            None => self.make_whole(change, by, work),
        };
        changes.into_iter().map(make).collect()
    }

    /// Makes a change, or leaves no trace of it.
    fn make_whole(&mut self, change: Change, by: &str, work: &mut Work) -> Made {
        let counters = self.counters.reminders.clone();
        let (events, reminded) = (work.txn.batch.events.len(), work.reminded.len());
        let (withdraw, errands, controls) = (work.withdraw.len(), work.errands.len(), work.controls.len());
        let raised = work.raised.len();
        work.txn.begin();
        let made = self.make(change, by, work)?;
        if made.is_err() {
            work.txn.roll_back();
            self.counters.reminders = counters;
            work.txn.batch.events.truncate(events);
            work.reminded.truncate(reminded);
            work.withdraw.truncate(withdraw);
            work.errands.truncate(errands);
            work.controls.truncate(controls);
            work.raised.truncate(raised);
        }
        work.txn.end();
        Ok(made)
    }

    /// What speaks of a debt that is known is taken while the disk still takes anything: a payment that is refused
    /// is a reminder too many. Only the end of all refuses it; what is new waits until intake opens again.
    fn closed_to(&self, change: &Change) -> Option<Refusal> {
        let why = self.intake.as_ref().map(|closed| closed.why.clone())?;
        let may_wait = matches!(why, Refusal::DiskLow | Refusal::QueueFull);
        (!may_wait || !change.is_of_known()).then_some(why)
    }

    pub(super) fn make(&mut self, change: Change, by: &str, work: &mut Work) -> Made {
        match change {
            Change::Creditor(creditor) => self.set_creditor(*creditor, work),
            Change::Template { template, expect } => self.set_template(*template, expect, work),
            Change::Menu(menu) => self.set_menu(menu, work),
            Change::Sequence(sequence) => self.set_sequence(*sequence, work),
            Change::Pack(pack) => self.set_pack(*pack, work),
            Change::Calendar(calendar) => self.set_calendar(*calendar, work),
            Change::Rule { key, rule } => self.set_rule(key, rule.map(|own| *own), work),
            Change::Mapping { name, mapping } => self.set_mapping(name, mapping.map(|own| *own), work),
            Change::Contact(contact) => self.change_contact(*contact, by, work),
            Change::Account(account) => self.change_account(account, work),
            Change::Obligation(obligation) => self.change_obligation(*obligation, None, by, work),
            Change::Case { case, row } => self.change_case(*case, row, by, work),
            Change::Subscription(subscription) => self.change_subscription(*subscription, work),
            Change::Consent { phone, creditor, event } => self.consent_once(phone, creditor, event, work),
            Change::OpenTask { kind, which, note, due } => self.ask_task(kind, which, &note, due, work),
            Change::AssignTask { id, assignee, expect } => self.assign_task(id, assignee, expect, work),
            Change::TaskDone { id, outcome, expect } => self.task_done(id, outcome, expect, by, work),
            Change::Click { token, human } => self.click(token, human, work),
            Change::OnTerms { terms, change } => self.make_on_terms(*change, terms, by, work),
            Change::Pay { which, payment } => {
                self.with(&which, work, |core, debt, work| core.pay(debt, payment, by, work))
            }
            Change::Reverse { which, payment } => {
                self.with(&which, work, |core, debt, work| core.reverse(debt, payment, by, work))
            }
            Change::Status { which, to, reason } => {
                self.with(&which, work, |core, debt, work| core.state_status(debt, to, &reason, by, work))
            }
            Change::Promise { which, date, amount } => {
                self.with(&which, work, |core, debt, work| core.promise(debt, date, amount, by, work))
            }
            Change::Dispute { which, reason } => {
                self.with(&which, work, |core, debt, work| core.dispute(debt, &reason, by, work))
            }
            Change::DueDate { which, date, restart } => {
                self.with(&which, work, |core, debt, work| core.move_due_date(debt, date, restart, by, work))
            }
            Change::Plan { which, parts } => {
                self.with(&which, work, |core, debt, work| core.make_plan(debt, parts, by, work))
            }
            Change::Enrol { which, sequence } => {
                self.with(&which, work, |core, debt, work| core.enrol(debt, &sequence, by, work))
            }
            Change::PauseEnrolment { which, reason, until } => {
                self.with(&which, work, |core, debt, work| core.ask_pause(debt, reason, until, by, work))
            }
            Change::ResumeEnrolment { which } => self.with(&which, work, |core, mut debt, work| {
                if let Some(refusal) = is_over(&debt) {
                    return Ok(Err(refusal));
                }
                if !matches!(debt.state(), Some(EnrolmentState::Paused { .. })) {
                    return changed(debt.id, How::Unchanged, debt.obligation.version);
                }
                core.resume_debt(&mut debt, by, work);
                core.kept(debt, work)
            }),
            Change::ExitEnrolment { which, reason } => self.with(&which, work, |core, mut debt, work| {
                if matches!(debt.state(), Some(EnrolmentState::Exited { .. })) {
                    return changed(debt.id, How::Unchanged, debt.obligation.version);
                }
                core.exit(&mut debt, reason, by, work);
                core.kept(debt, work)
            }),
        }
    }

    fn with(
        &mut self,
        which: &Which,
        work: &mut Work,
        make: impl FnOnce(&mut Core, Debt, &mut Work) -> Made,
    ) -> Made {
        match self.debt(which, work)? {
            Ok(debt) => make(self, debt, work),
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    fn kept(&mut self, mut debt: Debt, work: &mut Work) -> Made {
        if debt.obligation.enrolment.is_none() {
            return Ok(Err(ChangeRefusal::State(String::from("it is in no sequence"))));
        }
        debt.obligation.version += 1;
        let (id, version) = (debt.id, debt.obligation.version);
        self.keep(debt, work)?;
        changed(id, How::Changed, version)
    }

    fn ask_pause(
        &mut self,
        mut debt: Debt,
        reason: PauseReason,
        until: Option<Timestamp>,
        by: &str,
        work: &mut Work,
    ) -> Made {
        if let Some(refusal) = is_over(&debt) {
            return Ok(Err(refusal));
        }
        let until = match until {
            None if reason == PauseReason::PaidClaim => Some(self.claim_ends(&debt.obligation, work)?),
            until => until,
        };
        let before = debt.state().cloned();
        self.set_pause(&mut debt, reason, until, by, work);
        if debt.state() == before.as_ref() {
            return changed(debt.id, How::Unchanged, debt.obligation.version);
        }
        self.kept(debt, work)
    }

    fn enrol(&mut self, mut debt: Debt, sequence: &Key, by: &str, work: &mut Work) -> Made {
        let Some(latest) = self.reminders.catalog.sequence(sequence).map(|found| found.version) else {
            return Ok(Err(ChangeRefusal::NotFound { what: "sequence" }));
        };
        if !debt.obligation.status.is_open() {
            return Ok(Err(ChangeRefusal::State(format!("it is {}", debt.obligation.status.as_str()))));
        }
        // Asked twice it is one enrolment; one that is completed has no step left.
        let exited = |e: &Enrolment| matches!(e.state, EnrolmentState::Exited { .. });
        let enrolment = debt.obligation.enrolment.as_ref().filter(|enrolment| !exited(enrolment));
        if enrolment.is_some_and(|e| e.sequence == *sequence && e.version == latest && e.instead.is_none()) {
            return changed(debt.id, How::Unchanged, debt.obligation.version);
        }
        debt.obligation.sequence = Some(sequence.clone());
        self.begin(&mut debt, sequence, by, work);
        self.kept(debt, work)
    }

    /// Somebody opened a payment link.
    fn click(&mut self, token: u64, human: bool, work: &mut Work) -> Made {
        let Some(id) = work.txn.get::<ObligationId>(&keys::token(token))? else {
            return Ok(Err(ChangeRefusal::NotFound { what: "token" }));
        };
        self.clicked(id, human, work)?;
        Ok(Ok(Changed { subject: Subject::Obligation(id), how: How::Changed, version: 0 }))
    }

    fn clicked(&mut self, id: ObligationId, human: bool, work: &mut Work) -> Result<(), StoreError> {
        if !human && self.was_scanned(id, work)? {
            return Ok(());
        }
        self.happen(id, super::Happened::Clicked { human }, "", work);
        if !human {
            return Ok(());
        }
        if let Ok(mut debt) = self.debt(&Which::Id(id), work)?
            && self.exits_on(&debt.obligation, Exit::Click)
        {
            self.exit(&mut debt, ExitReason::Superseded, "", work);
            self.keep(debt, work)?;
        }
        Ok(())
    }

    /// Whether this enrolment's sequence ends on such an event.
    pub(super) fn exits_on(&self, obligation: &Obligation, event: Exit) -> bool {
        let enrolment = obligation.enrolment.as_ref();
        let sequence = enrolment.and_then(|e| self.reminders.catalog.sequence_at(&e.sequence, e.version));
        sequence.is_some_and(|sequence| sequence.exits.contains(&event))
    }
}
