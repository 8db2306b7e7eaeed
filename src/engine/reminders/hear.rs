//! Replies as far as reminders go: an answer to the menu of the message it answers, the wish to stop, and all the
//! rest, which waits for a person while the number gets no more reminders.

use super::debts::Debt;
use super::errands::What;
use super::happened::Happened;
use super::records::Records;
use super::reference::Reference;
use std::sync::Arc;

use crate::engine::core::{Core, Work};
use crate::engine::inbound::StoredReply;
use crate::id::{ContactId, InboundId, MessageId, TaskId};
use crate::message::{Body, Msisdn};
use crate::reminder::enrolment::{PauseReason, StepOutcome};
use crate::reminder::menu::{Do, Menu};
use crate::reminder::obligation::Obligation;
use crate::reminder::reply::menu::{self, Answer};
use crate::reminder::reply::{self, Verdict};
use crate::reminder::suppression::{Party, Source};
use crate::reminder::task::kind;
use crate::reminder::trigger::On;
use crate::store::{StoreError, keys};

/// Automatic answers to one number in a day: two machines must not talk to each other for ever.
const ANSWERS_A_DAY: usize = 3;
const DAY: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// The option of an open menu that a reply takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Chosen {
    pub reference: Reference,
    pub message: MessageId,
    pub digit: u8,
}

impl Core {
    /// What a reply chooses of the menu of the message it answers, if that had one.
    pub(in crate::engine) fn chosen(
        &self,
        answered: Option<MessageId>,
        text: Option<&str>,
        work: &Work,
    ) -> Result<Option<Chosen>, StoreError> {
        let (Some(message), Some(text)) = (answered, text) else { return Ok(None) };
        let Some(body) = work.txn.get::<Body>(&keys::body(message))? else { return Ok(None) };
        let Some(reference) = Reference::of(&body) else { return Ok(None) };
        let Some(obligation) = work.txn.obligation(reference.obligation)? else { return Ok(None) };
        let Some(menu) = self.menu_of(&obligation, message) else { return Ok(None) };
        match menu::answer(text, &menu.digits()) {
            Answer::Option(digit) => Ok(Some(Chosen { reference, message, digit })),
            Answer::Not => Ok(None),
        }
    }

    /// The menu of a text, where it still says and does what it did then: what it does now is no answer to what the
    /// text asked.
    fn menu_of(&self, obligation: &Obligation, message: MessageId) -> Option<Arc<Menu>> {
        let asked = obligation.steps.iter().find_map(|note| match &note.how {
            StepOutcome::Gone { message: gone, menu, .. } if *gone == message => menu.as_ref(),
            _ => None,
        })?;
        let menu = self.reminders.catalog.menus.get(&asked.key)?;
        (menu.digest() == asked.digest).then(|| menu.clone())
    }

    /// Does what a reply asks of the reminder side; suppression and holds are done already.
    pub(in crate::engine) fn hear_reply(
        &mut self,
        id: InboundId,
        stored: &StoredReply,
        (verdict, chosen): (Option<Verdict>, Option<Chosen>),
        last_sent: Option<&str>,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        let Some(party) = stored.party() else { return Ok(()) };
        if let Some(number) = party.number() {
            let mut phone = work.txn.phone(number)?;
            if !phone.contacts.is_empty() {
                phone.last_inbound_at = Some(work.wall());
                if phone.is_heard() {
                    // A number that was given up may be the one to text again.
                    work.along(What::Replan, party, "");
                }
                work.txn.put(keys::phone(number), &phone);
            }
        }
        if let Some(chosen) = chosen {
            return self.choose(id, party, chosen, work);
        }
        match verdict {
            Some(Verdict::OptOut { .. }) => {
                work.along(What::Exit, party, "");
                Ok(())
            }
            // Its owner wants to be written to: no earlier word holds that up.
            Some(Verdict::OptIn) => {
                self.let_go_on(party, "", work)?;
                if self.reminders.catalog.rules_on(On::ReplyOptIn).next().is_some() {
                    work.along(What::OptIn, party, "");
                }
                Ok(())
            }
            Some(Verdict::Other)
                if stored.text.as_deref().is_some_and(|t| reply::is_machine(t, last_sent)) =>
            {
                Ok(())
            }
            _ => self.review(id, party, stored.answers, work),
        }
    }

    /// The number's reminders wait until a person has read what it wrote.
    fn review(
        &mut self,
        id: InboundId,
        party: Party,
        answers: Option<MessageId>,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        // However much a party writes, it is one thing to read.
        let place = keys::review_of(party);
        let known = work.txn.get::<TaskId>(&place)?;
        let waits = match known {
            Some(task) => work.txn.contains(&keys::open_task(task))?,
            None => false,
        };
        let about = self.answered_debt(party, answers, work)?;
        if let Some(number) = party.number() {
            let mut phone = work.txn.phone(number)?;
            if phone.review.is_some() && waits {
                return Ok(());
            }
            phone.review = Some(id);
            work.txn.put(keys::phone(number), &phone);
            work.along(What::TakeBack, party, "");
        }
        if waits {
            return Ok(());
        }
        let about = about.as_ref().map(|debt| (debt.id, &debt.obligation));
        if let Some((id, _)) = about {
            self.raise(id, On::ReplyReview, work);
        }
        let note = "a reply that a person must read";
        if let Some(task) = self.open_task(kind::REVIEW, about, Some(id), note, work)? {
            work.txn.put(place, &task);
        }
        Ok(())
    }

    /// The obligation that the answered message was about, else the sender's only one.
    fn answered_debt(
        &self,
        party: Party,
        answers: Option<MessageId>,
        work: &Work,
    ) -> Result<Option<Debt>, StoreError> {
        if let Some(message) = answers
            && let Some(body) = work.txn.get::<Body>(&keys::body(message))?
            && let Some(reference) = Reference::of(&body)
        {
            let obligation = work.txn.obligation(reference.obligation)?;
            return Ok(obligation.map(|obligation| Debt { id: reference.obligation, obligation }));
        }
        let Some(id) = self.only_obligation_on(party, work)? else { return Ok(None) };
        Ok(work.txn.obligation(id)?.map(|obligation| Debt { id, obligation }))
    }

    /// A person has read it: the number's reminders go on. `from`: who wrote, where the task has it; the reply itself
    /// may be gone by now.
    pub(super) fn clear_review(
        &mut self,
        contact: Option<ContactId>,
        from: Option<Party>,
        by: &str,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        if let Some(party) = from {
            let source = Source::Token { by: by.into(), note: String::from("a task") };
            self.release_hold(party, source, work);
            return self.let_go_on(party, by, work);
        }
        let stored = contact.map(|contact| work.txn.contact(contact)).transpose()?.flatten();
        let numbers: Vec<Msisdn> = stored.map(|s| s.contact.numbers().collect()).unwrap_or_default();
        for number in numbers {
            self.let_go_on(Party::Number(number), by, work)?;
        }
        Ok(())
    }

    /// No reply of this party holds its reminders up any more.
    pub(super) fn let_go_on(&mut self, party: Party, by: &str, work: &mut Work) -> Result<(), StoreError> {
        work.txn.delete_if_present(keys::review_of(party))?;
        let Some(number) = party.number() else { return Ok(()) };
        let mut phone = work.txn.phone(number)?;
        if phone.review.take().is_some() {
            work.txn.put(keys::phone(number), &phone);
        }
        work.along(What::Replan, party, by);
        Ok(())
    }

    /// Does what an option of a menu stands for: once, within its time.
    fn choose(
        &mut self,
        id: InboundId,
        party: Party,
        chosen: Chosen,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        let Some(obligation) = work.txn.obligation(chosen.reference.obligation)? else { return Ok(()) };
        let Some(menu) = self.menu_of(&obligation, chosen.message) else { return Ok(()) };
        let mut debt = Debt { id: chosen.reference.obligation, obligation };
        let note = debt.obligation.steps.iter_mut().find_map(|note| match &mut note.how {
            StepOutcome::Gone { message, at, answer, .. } if *message == chosen.message => {
                Some((*at, answer))
            }
            _ => None,
        });
        let Some((sent_at, answer)) = note else { return self.review(id, party, Some(chosen.message), work) };
        let late = work.wall().since(sent_at) > menu.ttl();
        match *answer {
            // The same again is the same answer.
            Some(before) if before == chosen.digit => return Ok(()),
            None if !late && debt.obligation.status.is_open() => *answer = Some(chosen.digit),
            _ => return self.review(id, party, Some(chosen.message), work),
        }
        let option = menu.choice(chosen.digit).cloned();
        self.happen(debt.id, Happened::Replied { reply: id, option: Some(chosen.digit) }, "", work);
        let Some(option) = option else { return Ok(()) };
        let number = party.number();
        self.act(&option.act, &mut debt, (id, &chosen, number), work)?;
        self.keep(debt, work)
    }

    fn act(
        &mut self,
        action: &Do,
        debt: &mut Debt,
        (reply, chosen, number): (InboundId, &Chosen, Option<Msisdn>),
        work: &mut Work,
    ) -> Result<(), StoreError> {
        match action {
            Do::Task(kind) => {
                self.pause_debt(debt, PauseReason::Review, None, "", work);
                let about = Some((debt.id, &debt.obligation));
                self.open_task(kind.as_str(), about, Some(reply), "chosen from a menu", work)?;
            }
            Do::Plan => {
                self.pause_debt(debt, PauseReason::Hardship, None, "", work);
                let about = Some((debt.id, &debt.obligation));
                self.open_task("plan", about, Some(reply), "asks for a plan, by a menu", work)?;
            }
            Do::Pay => self.request_payment(debt, reply, chosen, number, work)?,
            Do::Reply(template) => {
                if let Some(number) = number {
                    self.answer_by(template, debt, number, work)?;
                }
            }
            Do::Webhook(event) => {
                self.happen(debt.id, Happened::Asked { event: event.clone(), reply }, "", work);
            }
            Do::Pause(span) => {
                let until = Some(work.wall().saturating_add(*span));
                self.pause_debt(debt, PauseReason::Manual, until, "", work);
            }
        }
        Ok(())
    }

    /// Money is moved by the firm's own system: it is asked, under a key that makes the asking idempotent. Where
    /// nobody listens the answer is the payment link, and a task.
    fn request_payment(
        &mut self,
        debt: &mut Debt,
        reply: InboundId,
        chosen: &Chosen,
        number: Option<Msisdn>,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        let balance = debt.obligation.balance();
        let least = debt.obligation.min_due.filter(|least| least.minor() < balance.minor());
        if self.settings.reminders.takes_payments {
            let key = format!("{}.{}", debt.id, chosen.message);
            let amount = least.unwrap_or(balance);
            self.happen(debt.id, Happened::PaymentRequested { amount, reply, key }, "", work);
            return Ok(());
        }
        let about = Some((debt.id, &debt.obligation));
        self.open_task(kind::PAY, about, Some(reply), "asks to pay, by a menu", work)?;
        match number {
            Some(number) => self.answer_with_link(debt, number, work),
            None => Ok(()),
        }
    }

    /// Whether this number may get one more automatic answer today; counted.
    pub(super) fn may_answer(&mut self, number: Msisdn, work: &mut Work) -> Result<bool, StoreError> {
        let mut phone = work.txn.phone(number)?;
        phone.answered.retain(|at| work.now.wall.since(*at) < DAY);
        if phone.answered.len() >= ANSWERS_A_DAY {
            return Ok(false);
        }
        phone.answered.push(work.wall());
        work.txn.put(keys::phone(number), &phone);
        Ok(true)
    }
}
