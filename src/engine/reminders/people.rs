//! Contacts, accounts, phones and consent: whose number it is, and what its owner agreed to.

use super::change::{AccountDraft, ChangeRefusal, Changed, How, Owner, Subject, Who};
use super::debts::Made;
use super::errands::{Along, What};
use super::records::{Account, CONTACTS_MAX, PhoneStatus, Records, StoredContact};
use super::situation::names_attorney;
use crate::engine::core::{Core, Work};
use crate::id::{ContactId, InboundId, ObligationId};
use crate::message::Msisdn;
use crate::reminder::consent::{Actor, ConsentEvent, ConsentKind, Standing};
use crate::reminder::contact::{Contact, ContactPhone, PHONES_MAX};
use crate::reminder::import::case::Case;
use crate::reminder::name::Key;
use crate::reminder::suppression::Party;
use crate::store::{StoreError, keys};

/// Tags of one account at most.
pub(super) const TAGS_MAX: usize = 32;

impl Core {
    /// Makes a contact, or changes the one of its external id.
    pub(super) fn change_contact(&mut self, contact: Contact, _by: &str, work: &mut Work) -> Made {
        if let Err((field, bad)) = contact.check() {
            return Ok(Err(ChangeRefusal::Field { field, why: bad.to_string() }));
        }
        let known = work.txn.contact_id(&contact.external_id)?;
        let Some(id) = known else {
            let id = ContactId::from_u64(self.counters.ids.next(work.wall()));
            work.txn.put_new(keys::contact_id(&contact.external_id), &id);
            self.link_phones(id, None, &contact, work)?;
            work.txn
                .put_new(keys::contact(id), &StoredContact { contact, created_at: work.wall(), version: 1 });
            self.counters.reminders.contacts += 1;
            return Ok(Ok(Changed { subject: Subject::Contact(id), how: How::Created, version: 1 }));
        };
        let stored = work.txn.contact(id)?;
        let mut stored = stored.ok_or_else(|| StoreError::Damaged(format!("{id} is named and not there")))?;
        if stored.contact == contact {
            let how = How::Unchanged;
            return Ok(Ok(Changed { subject: Subject::Contact(id), how, version: stored.version }));
        }
        self.link_phones(id, Some(&stored.contact), &contact, work)?;
        stored.contact = contact;
        stored.version += 1;
        let version = stored.version;
        work.txn.put(keys::contact(id), &stored);
        // Once a step, however many rows of it speak of this contact.
        work.along_contact(What::Replan, id);
        Ok(Ok(Changed { subject: Subject::Contact(id), how: How::Changed, version }))
    }

    /// A contact's phones know whose they are.
    fn link_phones(
        &mut self,
        id: ContactId,
        before: Option<&Contact>,
        contact: &Contact,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        let was = before.map_or(&[][..], |before| &before.phones);
        for number in was.iter().map(|phone| phone.number).filter(|n| !contact.numbers().any(|now| now == *n))
        {
            let mut phone = work.txn.phone(number)?;
            phone.contacts.retain(|other| *other != id);
            work.txn.put(keys::phone(number), &phone);
        }
        for ContactPhone { number, verified, .. } in &contact.phones {
            let mut phone = work.txn.phone(*number)?;
            let unknown = !phone.contacts.contains(&id) && phone.contacts.len() < CONTACTS_MAX;
            // Somebody said so just now: that is newer than what the network said.
            let is_news = !was.iter().any(|known| known.number == *number && known.verified);
            let verified = *verified && phone.status != PhoneStatus::Active && is_news;
            if unknown {
                phone.contacts.push(id);
            }
            if verified {
                phone.status = PhoneStatus::Active;
            }
            if unknown || verified {
                work.txn.put(keys::phone(*number), &phone);
            }
        }
        Ok(())
    }

    /// Plans an obligation's next step anew, whatever waits of it made anew too.
    pub(super) fn replan(&mut self, id: ObligationId, work: &mut Work) -> Result<(), StoreError> {
        let Some(obligation) = work.txn.obligation(id)? else { return Ok(()) };
        if obligation.enrolment.as_ref().is_none_or(|enrolment| enrolment.state.is_over()) {
            return Ok(());
        }
        let mut debt = super::debts::Debt { id, obligation };
        if self.take_back(&mut debt, work) {
            // What waits was made for another plan; where nothing does, the obligation is as whoever changed it knows it.
            debt.obligation.version += 1;
        }
        self.keep(debt, work)
    }

    /// Makes an account, or changes the one of its external id and creditor.
    pub(super) fn change_account(&mut self, draft: AccountDraft, work: &mut Work) -> Made {
        let contact = match work.txn.who(&draft.contact)? {
            Ok(contact) => contact,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if self.reminders.catalog.creditor(&draft.creditor).is_none() {
            return Ok(Err(ChangeRefusal::Field { field: "creditor", why: String::from("is not set up") }));
        }
        if draft.tags.len() > TAGS_MAX {
            let why = format!("must hold at most {TAGS_MAX}");
            return Ok(Err(ChangeRefusal::Field { field: "tags", why }));
        }
        let how = self.put_account(draft, contact, work)?;
        Ok(how.map(|(how, version)| Changed { subject: Subject::Named, how, version }))
    }

    fn put_account(
        &mut self,
        draft: AccountDraft,
        contact: ContactId,
        work: &mut Work,
    ) -> Result<Result<(How, u64), ChangeRefusal>, StoreError> {
        let place = keys::account(&draft.external_id, &draft.creditor);
        let known = work.txn.get::<Account>(&place)?;
        let account = Account {
            external_id: draft.external_id,
            creditor: draft.creditor,
            contact,
            case_manager: draft.case_manager,
            tags: draft.tags,
            custom: draft.custom,
            created_at: known.as_ref().map_or(work.wall(), |known| known.created_at),
            version: known.as_ref().map_or(1, |known| known.version),
        };
        let (how, account) = match known {
            Some(known) if known == account => return Ok(Ok((How::Unchanged, known.version))),
            // The obligations of an account are indexed by its contact.
            Some(known) if known.contact != contact => {
                let why = String::from("an account's contact cannot change: close it and open another");
                return Ok(Err(ChangeRefusal::Field { field: "contact", why }));
            }
            Some(known) => {
                if names_attorney(&known.custom) != names_attorney(&account.custom) {
                    work.along_contact(What::Replan, contact);
                }
                (How::Changed, Account { version: known.version + 1, ..account })
            }
            None => (How::Created, account),
        };
        work.txn.put(place, &account);
        Ok(Ok((how, account.version)))
    }

    /// The account of an obligation; made, with its contact, where that is what was given.
    pub(super) fn owner(
        &mut self,
        owner: Owner,
        by: &str,
        work: &mut Work,
    ) -> Result<Result<Account, ChangeRefusal>, StoreError> {
        match owner {
            Owner::Account { external_id, creditor: Some(creditor) } => {
                let account = work.txn.account(&external_id, &creditor)?;
                Ok(account.ok_or(ChangeRefusal::NotFound { what: "account" }))
            }
            Owner::Account { external_id, creditor: None } => {
                let (from, to) = keys::under(keys::accounts_of(&external_id));
                let found = work.txn.range(&from, &to, 2)?;
                Ok(match found.as_slice() {
                    [(_, value)] => Ok(crate::store::record::decode(value)?),
                    [] => Err(ChangeRefusal::NotFound { what: "account" }),
                    _ => {
                        let why =
                            String::from("several creditors have one of this id: name the creditor too");
                        Err(ChangeRefusal::Field { field: "account", why })
                    }
                })
            }
            Owner::Inline { creditor, contact } => {
                let external_id = contact.external_id.clone();
                if let Err(refusal) = self.change_contact(*contact, by, work)? {
                    return Ok(Err(refusal));
                }
                let who = Who::External(external_id.clone());
                let draft = AccountDraft {
                    external_id: external_id.clone(),
                    creditor: creditor.clone(),
                    contact: who,
                    case_manager: None,
                    tags: Vec::new(),
                    custom: std::collections::BTreeMap::new(),
                };
                if let Some(known) = work.txn.account(&external_id, &creditor)? {
                    return Ok(Ok(known));
                }
                if let Err(refusal) = self.change_account(draft, work)? {
                    return Ok(Err(refusal));
                }
                let account = work.txn.account(&external_id, &creditor)?;
                Ok(account.ok_or(ChangeRefusal::NotFound { what: "account" }))
            }
        }
    }

    /// An event that the ledger has is no second one.
    pub(super) fn consent_once(
        &mut self,
        number: Msisdn,
        creditor: Option<Key>,
        event: ConsentEvent,
        work: &mut Work,
    ) -> Made {
        if self.knows_consent(number, &(creditor.clone(), event.clone()), work)? {
            return Ok(Ok(Changed { subject: Subject::Named, how: How::Unchanged, version: 0 }));
        }
        self.consent(number, creditor, event, work)
    }

    /// Keeps a consent event and its fold.
    pub(super) fn consent(
        &mut self,
        number: Msisdn,
        creditor: Option<Key>,
        event: ConsentEvent,
        work: &mut Work,
    ) -> Made {
        if let Err(bad) = event.check(work.wall()) {
            return Ok(Err(ChangeRefusal::Field { field: "consent", why: bad.to_string() }));
        }
        // The phone's record has a line for each creditor that was ever named.
        if creditor.as_ref().is_some_and(|key| self.reminders.catalog.creditor(key).is_none()) {
            return Ok(Err(ChangeRefusal::Field { field: "creditor", why: String::from("is not set up") }));
        }
        let mut phone = work.txn.phone(number)?;
        let at = phone.consents.iter().position(|(of, _)| *of == creditor);
        let at = at.unwrap_or_else(|| {
            phone.consents.push((creditor.clone(), Standing::default()));
            phone.consents.len() - 1
        });
        if let Some((_, standing)) = phone.consents.get_mut(at) {
            standing.add(&event);
        }
        work.txn.put_new(keys::consent(number, self.counters.ids.next(work.wall())), &(creditor, event));
        work.txn.put(keys::phone(number), &phone);
        // What it was missing for may go now, and what rested on it may not; what this step makes later knows it.
        if !Core::obligations_along(Along::Number(number), None, 1, work)?.is_empty() {
            work.along(What::Replan, Party::Number(number), "");
        }
        Ok(Ok(Changed { subject: Subject::Named, how: How::Created, version: 0 }))
    }

    /// What a person said by STOP or START, in the ledger. It is no part of the standing: what binds is the suppression
    /// that it made or lifted. A START shows no consent to a law that asks for one, and whom a person takes off the
    /// list is not revoked for ever.
    pub(in crate::engine) fn note_word(
        &mut self,
        party: Party,
        kind: ConsentKind,
        reply: InboundId,
        work: &mut Work,
    ) {
        let Some(number) = party.number() else { return };
        let event = ConsentEvent {
            kind,
            at: work.wall(),
            channel: Some(String::from("inbound text")),
            wording: None,
            evidence: Some(reply.to_string()),
            actor: Actor::Contact,
        };
        let place = keys::consent(number, self.counters.ids.next(work.wall()));
        work.txn.put_new(place, &(None::<Key>, event));
    }

    /// A number of the contact takes the place of the wrong one. Where it is the same again, a person says that it was
    /// the right one all the time.
    pub(super) fn correct_number(
        &mut self,
        id: ContactId,
        number: Msisdn,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        let Some(stored) = work.txn.contact(id)? else { return Ok(()) };
        let mut contact = stored.contact;
        if let Some(wrong) = contact.best_number().filter(|wrong| *wrong != number) {
            let mut phone = work.txn.phone(wrong)?;
            phone.status = PhoneStatus::Wrong;
            work.txn.put(keys::phone(wrong), &phone);
            // Whoever else has it: what is on its way there would reach a stranger too.
            work.along(What::Replan, Party::Number(wrong), "");
            contact.phones.retain(|phone| phone.number != wrong);
        }
        let verified = contact.phones.iter().any(|phone| phone.number == number && phone.verified);
        contact.phones.retain(|phone| phone.number != number);
        let mut phone = work.txn.phone(number)?;
        if phone.status != PhoneStatus::Active {
            phone.status = PhoneStatus::Unverified;
            work.txn.put(keys::phone(number), &phone);
        }
        contact.phones.iter_mut().for_each(|phone| phone.primary = false);
        contact.phones.truncate(PHONES_MAX - 1);
        contact.phones.insert(0, ContactPhone { number, primary: true, verified });
        // The contact may be as it was, and its number is not.
        work.along_contact(What::Replan, id);
        // It was a contact before and is one now.
        self.change_contact(contact, "", work).map(|_| ())
    }

    /// One row of a file: everything it names, as one change.
    pub(super) fn change_case(&mut self, case: Case, row: [u8; 16], by: &str, work: &mut Work) -> Made {
        let place = keys::obligation_id(&case.external_id, &case.creditor);
        if let Some(id) = work.txn.get::<ObligationId>(&place)?
            && let Some(known) = work.txn.obligation(id)?
            && known.row == Some(row)
        {
            return super::debts::changed(id, How::Unchanged, known.version);
        }
        let creditor = case.creditor.clone();
        let parts = super::cases::parts(&work.txn, case, by, work.wall())?;
        // Before anything is written: a row is taken whole or not at all.
        if let Some(refusal) = super::cases::refusal(&work.txn, &self.reminders.catalog, &parts, work.wall())?
        {
            return Ok(Err(refusal));
        }
        if let Err(refusal) = self.change_contact(parts.contact, by, work)? {
            return Ok(Err(refusal));
        }
        if let Err(refusal) = self.change_account(parts.account, work)? {
            return Ok(Err(refusal));
        }
        if let Some((number, event)) = parts.consent
            && !self.knows_consent(number, &(Some(creditor.clone()), event.clone()), work)?
            && let Err(refusal) = self.consent(number, Some(creditor), event, work)?
        {
            return Ok(Err(refusal));
        }
        self.change_obligation(parts.obligation, Some(row), by, work)
    }

    /// The same row again is no second consent.
    fn knows_consent(
        &self,
        number: Msisdn,
        event: &(Option<Key>, ConsentEvent),
        work: &Work,
    ) -> Result<bool, StoreError> {
        let (from, to) = keys::under(keys::consents_of(number));
        let known = work.txn.range(&from, &to, CONSENTS_LOOKED_AT)?;
        for (_, value) in known {
            if crate::store::record::decode::<(Option<Key>, ConsentEvent)>(&value)? == *event {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Consent events of one phone looked at for one that is there already.
const CONSENTS_LOOKED_AT: usize = 64;
