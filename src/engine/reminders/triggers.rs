//! The firm's rules at work: what happens to an obligation is put to the rules that wait for it.
//!
//! An event is judged in the step in which it happened, after everything else of that step, with the obligation as it
//! is then. Where no rule waits for it nothing is read or written. What a rule does wakes no rule, it begins a sequence
//! for one obligation once and for ever, and it revives nothing that a person, a gate or the contact ended. The texts
//! of rules are [`super::speak`]'s.

use serde::{Deserialize, Serialize};

use super::debts::{Debt, takes_sequence};
use super::happened::Happened;
use super::people::TAGS_MAX;
use super::records::Records;
use super::situation::Asked;
use crate::clock::Timestamp;
use crate::engine::core::{Core, Work};
use crate::id::{MessageId, ObligationId};
use crate::message::Msisdn;
use crate::reminder::enrolment::{ExitReason, PauseReason, Timer, TimerKind};
use crate::reminder::name::Key;
use crate::reminder::obligation::ObligationStatus;
use crate::reminder::trigger::{Act, On, Trigger};
use crate::store::{StoreError, keys};

/// A rule at work on one event beyond the step of that event; its id stands for the two of them, and a text of it
/// goes under it at most once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Firing {
    pub rule: Key,
    pub obligation: ObligationId,
    pub since: Timestamp,
    pub state: FiringState,
}

/// Stored by position: append only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FiringState {
    /// Its condition is judged then.
    Looks { at: Timestamp },
    /// Its text goes to the gates then; `told`: what they said last.
    Waits { at: Timestamp, told: String },
    /// It became a message, of version `version` of the obligation.
    Gone { message: MessageId, to: Msisdn, at: Timestamp, version: u64, accepted: bool },
}

impl Firing {
    pub(super) fn timer(&self) -> Option<Timer> {
        match self.state {
            FiringState::Looks { at } => Some(Timer { kind: TimerKind::Look, at }),
            FiringState::Waits { at, .. } => Some(Timer { kind: TimerKind::Step, at }),
            FiringState::Gone { .. } => None,
        }
    }
}

/// What a rule remembers of an obligation; there is none where it is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleNote {
    /// The firing that looks or waits: one at a time, because it judges and says what holds when its time comes.
    pub waiting: Option<u64>,
    /// It began its sequence once.
    pub enrolled: bool,
}

/// What rules call it; nothing where none can wait for it.
pub(super) fn events_of(what: &Happened) -> &'static [On] {
    match what {
        Happened::Created => &[On::ObligationCreated],
        Happened::Changed | Happened::Moved { .. } => &[On::ObligationChanged],
        Happened::Status { to: ObligationStatus::Paid, .. } => &[On::StatusChanged, On::ObligationPaid],
        Happened::Status { .. } => &[On::StatusChanged],
        Happened::Paid { .. } => &[On::PaymentReceived],
        Happened::Reversed { .. } => &[On::PaymentReversed],
        Happened::Promised { .. } => &[On::PromiseMade],
        Happened::PromiseKept => &[On::PromiseKept],
        Happened::PromiseBroken => &[On::PromiseBroken],
        Happened::Accepted { .. } => &[On::ReminderAccepted],
        Happened::Clicked { human: true } => &[On::LinkClicked],
        Happened::Replied { option: Some(_), .. } => &[On::MenuChosen],
        Happened::Exited { reason: ExitReason::OptedOut } => &[On::ReplyOptOut],
        Happened::Completed => &[On::EnrolmentCompleted],
        _ => &[],
    }
}

impl Core {
    /// Something happened that rules may wait for.
    pub(super) fn raise(&self, id: ObligationId, on: On, work: &mut Work) {
        if work.ruling || self.reminders.catalog.rules_on(on).next().is_none() {
            return;
        }
        // One change of an obligation may be told in two lines.
        let told = on == On::ObligationChanged && work.raised.back() == Some(&(id, on));
        if !told {
            work.raised.push_back((id, on));
        }
    }

    /// Puts one event to the rules that wait for it.
    pub(super) fn judge_raised(
        &mut self,
        id: ObligationId,
        on: On,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        let catalog = self.reminders.catalog.clone();
        for rule in catalog.rules_on(on) {
            // As the rule before left it.
            let Some(obligation) = work.txn.obligation(id)? else { return Ok(()) };
            let debt = Debt { id, obligation };
            if !rule.is_for(&debt.obligation.creditor) {
                continue;
            }
            match rule.after {
                Some(after) => {
                    let at = work.wall().saturating_add(after.span());
                    self.begin_firing(rule, id, FiringState::Looks { at }, work)?;
                }
                None if self.holds(rule, &debt, work)? => self.fire(rule, debt, work)?,
                None => {}
            }
        }
        Ok(())
    }

    /// A rule's later look is due.
    pub(super) fn look_at_firing(
        &mut self,
        id: u64,
        at: Timestamp,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        let firing = work.txn.get::<Firing>(&keys::firing(id))?;
        let Some(firing) = firing.filter(|firing| firing.state == FiringState::Looks { at }) else {
            work.txn.delete(keys::timer(TimerKind::Look, at, id));
            return Ok(());
        };
        self.end_firing(id, &firing, work)?;
        let Some(rule) = self.reminders.catalog.rules.get(&firing.rule).cloned() else { return Ok(()) };
        let Some(obligation) = work.txn.obligation(firing.obligation)? else { return Ok(()) };
        let debt = Debt { id: firing.obligation, obligation };
        if rule.is_for(&debt.obligation.creditor) && self.holds(&rule, &debt, work)? {
            self.fire(&rule, debt, work)?;
        }
        Ok(())
    }

    /// Whether a rule's condition holds for an obligation now.
    pub(super) fn holds(&self, rule: &Trigger, debt: &Debt, work: &Work) -> Result<bool, StoreError> {
        let Some(when) = &rule.when else { return Ok(true) };
        let obligation = &debt.obligation;
        let contact = work.txn.contact(obligation.contact)?;
        let account = work.txn.account(&obligation.account, &obligation.creditor)?;
        let (Some(contact), Some(account)) = (contact, account) else { return Ok(false) };
        let today = self.today_of(obligation, work)?;
        let asked = Asked { obligation, contact: &contact, account: &account, today };
        Ok(when.holds(|name| asked.value(name)))
    }

    /// Does what a rule says, as far as it can be done; what it does wakes no rule.
    fn fire(&mut self, rule: &Trigger, debt: Debt, work: &mut Work) -> Result<(), StoreError> {
        work.ruling = true;
        let done = self.act_by(rule, debt, work);
        work.ruling = false;
        done
    }

    fn act_by(&mut self, rule: &Trigger, mut debt: Debt, work: &mut Work) -> Result<(), StoreError> {
        let runs = debt.state().is_some_and(|state| !state.is_over());
        match &rule.act {
            Act::Enrol(sequence) => self.enrol_by(rule, sequence, debt, work),
            Act::Exit if runs => {
                self.acted(rule, debt.id, work);
                self.exit(&mut debt, ExitReason::Canceled, "", work);
                self.keep_anew(debt, work)
            }
            Act::Pause(span) if runs => {
                self.acted(rule, debt.id, work);
                let until = Some(work.wall().saturating_add(*span));
                self.pause_debt(&mut debt, PauseReason::Manual, until, "", work);
                self.keep_anew(debt, work)
            }
            Act::Exit | Act::Pause(_) => Ok(()),
            Act::Send(_) => {
                let at = work.wall();
                let told = String::new();
                if self.begin_firing(rule, debt.id, FiringState::Waits { at, told }, work)? {
                    self.acted(rule, debt.id, work);
                }
                Ok(())
            }
            Act::Task(kind) => {
                self.acted(rule, debt.id, work);
                let about = Some((debt.id, &debt.obligation));
                let note = format!("asked for by the rule {}", rule.key);
                self.open_task(kind.as_str(), about, None, &note, work).map(|_| ())
            }
            Act::Webhook(event) => {
                let what = Happened::Called { rule: rule.key.clone(), event: event.clone() };
                self.happen(debt.id, what, "", work);
                Ok(())
            }
            Act::Tag(name) => self.tag_by(rule, name, &debt, work),
        }
    }

    fn acted(&mut self, rule: &Trigger, id: ObligationId, work: &mut Work) {
        let what = Happened::Acted { rule: rule.key.clone(), act: rule.act.to_string() };
        self.happen(id, what, "", work);
    }

    /// Tells that what a rule wanted is not done, or not yet.
    pub(super) fn withhold(
        &mut self,
        rule: &Key,
        id: ObligationId,
        (gate, why): (&str, &str),
        work: &mut Work,
    ) {
        let (gate, why) = (gate.to_owned(), why.to_owned());
        let what = Happened::Withheld { rule: rule.clone(), gate, pack: None, why, next: None };
        self.happen(id, what, "", work);
    }

    fn keep_anew(&mut self, mut debt: Debt, work: &mut Work) -> Result<(), StoreError> {
        debt.obligation.version += 1;
        self.keep(debt, work)
    }

    /// Begins a sequence, once for this rule and obligation: rules that begin each other's would never end.
    fn enrol_by(
        &mut self,
        rule: &Trigger,
        sequence: &Key,
        mut debt: Debt,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        let mut note = self.rule_note(debt.id, &rule.key, work)?;
        let current = debt.obligation.enrolment.as_ref().filter(|enrolment| !enrolment.state.is_over());
        let against = match &debt.obligation {
            obligation if !obligation.status.is_open() => Some(("obligation", obligation.status.as_str())),
            _ if note.enrolled => Some(("rule", "once")),
            _ if current.is_some_and(|enrolment| enrolment.sequence == *sequence) => return Ok(()),
            obligation if !takes_sequence(obligation) => {
                Some(("sequence", debt.state().map_or("none", |state| state.as_str())))
            }
            _ => None,
        };
        if let Some(why) = against {
            self.withhold(&rule.key, debt.id, why, work);
            return Ok(());
        }
        note.enrolled = true;
        self.put_rule_note(debt.id, &rule.key, &note, work)?;
        self.acted(rule, debt.id, work);
        debt.obligation.sequence = Some(sequence.clone());
        self.begin(&mut debt, sequence, "", work);
        self.keep_anew(debt, work)
    }

    fn tag_by(&mut self, rule: &Trigger, name: &Key, debt: &Debt, work: &mut Work) -> Result<(), StoreError> {
        let of = &debt.obligation;
        let Some(mut account) = work.txn.account(&of.account, &of.creditor)? else { return Ok(()) };
        if account.tags.iter().any(|tag| tag == name.as_str()) {
            return Ok(());
        }
        if account.tags.len() >= TAGS_MAX {
            self.withhold(&rule.key, debt.id, ("account", "it has as many tags as it may"), work);
            return Ok(());
        }
        account.tags.push(name.to_string());
        account.version += 1;
        work.txn.put(keys::account(&of.account, &of.creditor), &account);
        self.acted(rule, debt.id, work);
        Ok(())
    }

    /// `false`: one of this rule is under way for the obligation already, and will do.
    fn begin_firing(
        &mut self,
        rule: &Trigger,
        obligation: ObligationId,
        state: FiringState,
        work: &mut Work,
    ) -> Result<bool, StoreError> {
        let mut note = self.rule_note(obligation, &rule.key, work)?;
        if note.waiting.is_some() {
            return Ok(false);
        }
        let since = work.wall();
        let id = self.counters.ids.next(since);
        note.waiting = Some(id);
        self.put_rule_note(obligation, &rule.key, &note, work)?;
        let firing = Firing { rule: rule.key.clone(), obligation, since, state };
        self.put_firing(id, None, &firing, work);
        Ok(true)
    }

    /// Writes a firing and keeps its timer; `before`: the timer it had.
    pub(super) fn put_firing(&mut self, id: u64, before: Option<Timer>, firing: &Firing, work: &mut Work) {
        if let Some(old) = before {
            work.txn.delete(keys::timer(old.kind, old.at, id));
        }
        if let Some(new) = firing.timer() {
            work.txn.put(keys::timer(new.kind, new.at, id), &());
            self.reminders.expect(new);
        }
        work.txn.put(keys::firing(id), firing);
    }

    /// It has nothing more to do, and became no message.
    pub(super) fn end_firing(&mut self, id: u64, firing: &Firing, work: &mut Work) -> Result<(), StoreError> {
        if let Some(timer) = firing.timer() {
            work.txn.delete(keys::timer(timer.kind, timer.at, id));
        }
        work.txn.delete(keys::firing(id));
        self.wait_no_more(id, firing, work)
    }

    /// The rule may be put to the obligation's next event.
    pub(super) fn wait_no_more(
        &mut self,
        id: u64,
        firing: &Firing,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        let mut note = self.rule_note(firing.obligation, &firing.rule, work)?;
        if note.waiting == Some(id) {
            note.waiting = None;
            self.put_rule_note(firing.obligation, &firing.rule, &note, work)?;
        }
        Ok(())
    }

    pub(super) fn rule_note(
        &self,
        id: ObligationId,
        rule: &Key,
        work: &Work,
    ) -> Result<RuleNote, StoreError> {
        Ok(work.txn.get(&keys::rule_note(id, rule))?.unwrap_or_default())
    }

    pub(super) fn put_rule_note(
        &mut self,
        id: ObligationId,
        rule: &Key,
        note: &RuleNote,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        let place = keys::rule_note(id, rule);
        if *note == RuleNote::default() {
            return work.txn.delete_if_present(place).map(|_| ());
        }
        work.txn.put(place, note);
        Ok(())
    }
}
