//! On what terms a change is asked for: of which version of its record, once under which key, and by whom no hold may
//! be ended. All of it is judged in the step that makes the change, so that nobody comes between.
//!
//! A key is kept as long as a message's ([`IDEMPOTENCY_KEPT`]) and beside it: one token has one set of keys. It leaves
//! to `http` what a client must say, and to `tasks.rs` what becomes of tasks and their own versions.

use serde::Serialize;

use super::change::{Change, ChangeRefusal, Changed, How, Subject, Which};
use super::debts::Made;
use super::records::Records;
use crate::engine::core::{Core, Work};
use crate::engine::intake::{IDEMPOTENCY_KEPT, KeyRecord, u64_digest};
use crate::engine::{Idempotency, Refusal};
use crate::id::{ContactId, MessageId, ObligationId, TaskId};
use crate::reminder::task::TaskOutcome;
use crate::store::{StoreError, keys, record};

/// The terms of one change; none of them is the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// The version that what it changes must have.
    pub expect: Option<u64>,
    /// The same key with the same body again is the same change.
    pub once: Option<Idempotency>,
    /// Who asks may not let anybody go on whose reply may be a STOP.
    pub keeps_holds: bool,
}

/// What stands for the version of what is set up and counts none: another text has another one.
pub fn tag<T: Serialize>(of: &T) -> u64 {
    let mut octets = [0; 8];
    octets.copy_from_slice(&blake3::hash(&record::encode(of)).as_bytes()[..8]);
    u64::from_be_bytes(octets)
}

/// What a change was about, of which the key's record has the id alone.
fn subject(change: &Change, id: u64) -> Subject {
    match change {
        Change::OpenTask { .. } | Change::AssignTask { .. } | Change::TaskDone { .. } => {
            Subject::Task(TaskId::from_u64(id))
        }
        Change::Contact(_) => Subject::Contact(ContactId::from_u64(id)),
        _ if id == 0 => Subject::Named,
        _ => Subject::Obligation(ObligationId::from_u64(id)),
    }
}

const fn id_of(subject: Subject) -> u64 {
    match subject {
        Subject::Named => 0,
        Subject::Contact(id) => id.as_u64(),
        Subject::Obligation(id) => id.as_u64(),
        Subject::Task(id) => id.as_u64(),
    }
}

impl Core {
    pub(super) fn make_on_terms(&mut self, change: Change, terms: Terms, by: &str, work: &mut Work) -> Made {
        let place = terms.once.map(|once| (keys::idempotency(u64_digest(by.as_bytes()), &once.key), once));
        if let Some((place, once)) = &place
            && let Some(before) = work.txn.get::<KeyRecord>(place)?
            && work.wall().since(before.at) < IDEMPOTENCY_KEPT
        {
            if before.body != once.body {
                return Ok(Err(ChangeRefusal::Closed(Refusal::KeyReused)));
            }
            let subject = subject(&change, before.id.as_u64());
            return Ok(Ok(Changed { subject, how: How::Unchanged, version: 0 }));
        }
        if let Some(expect) = terms.expect
            && let Some(refusal) = self.is_not_at(expect, &change, work)?
        {
            return Ok(Err(refusal));
        }
        if terms.keeps_holds && self.would_end_hold(&change, work)? {
            return Ok(Err(ChangeRefusal::Held));
        }
        let made = self.make(change, by, work)?;
        if let (Some((place, once)), Ok(changed)) = (place, &made) {
            let id = MessageId::from_u64(id_of(changed.subject));
            work.txn.put(place, &KeyRecord { id, body: once.body, at: work.wall() });
        }
        Ok(made)
    }

    /// Why a change is none of the version it was asked of.
    fn is_not_at(
        &self,
        expect: u64,
        change: &Change,
        work: &Work,
    ) -> Result<Option<ChangeRefusal>, StoreError> {
        let catalog = &self.reminders.catalog;
        let version = match change {
            Change::Contact(contact) => match work.txn.contact_id(&contact.external_id)? {
                Some(id) => work.txn.contact(id)?.map(|stored| stored.version),
                None => None,
            },
            Change::Account(draft) => {
                work.txn.account(&draft.external_id, &draft.creditor)?.map(|account| account.version)
            }
            Change::Obligation(draft) => {
                let creditor = draft.owner.creditor().cloned();
                let id = draft.external_id.clone();
                self.version_of(&Which::External { id, creditor }, work)?
            }
            Change::Creditor(it) => catalog.creditors.get(&it.key).map(|known| tag(&**known)),
            Change::Menu(it) => catalog.menus.get(it.key()).map(|known| tag(&**known)),
            Change::Pack(it) => catalog.packs.get(&it.key).map(|known| tag(&**known)),
            Change::Calendar(it) => catalog.calendars.get(it.key()).map(|known| tag(&**known)),
            Change::Rule { key, .. } => catalog.rules.get(key).map(|known| tag(&**known)),
            Change::Sequence(it) => catalog.sequence(&it.key).map(|known| u64::from(known.version)),
            other => match other.which() {
                Some(which) => self.version_of(which, work)?,
                None => {
                    let why = String::from("is not known here: what this call changes has no version");
                    return Ok(Some(ChangeRefusal::Field { field: "If-Match", why }));
                }
            },
        };
        let version = version.unwrap_or(0);
        Ok((version != expect).then_some(ChangeRefusal::Conflict { version }))
    }

    fn version_of(&self, which: &Which, work: &Work) -> Result<Option<u64>, StoreError> {
        let Ok(id) = work.txn.which(which)? else { return Ok(None) };
        Ok(work.txn.obligation(id)?.map(|obligation| obligation.version))
    }

    /// Whatever becomes of a task, its sender's reply was read, and nothing of them is held any more; but for an
    /// opt-out that is for whoever may end holds.
    fn would_end_hold(&self, change: &Change, work: &Work) -> Result<bool, StoreError> {
        let Change::TaskDone { id, outcome, .. } = change else { return Ok(false) };
        if *outcome == TaskOutcome::Suppress {
            return Ok(false);
        }
        let task = work.txn.get::<crate::reminder::task::Task>(&keys::task(*id))?;
        Ok(task.and_then(|task| task.from).is_some_and(|party| self.holds.contains(party)))
    }
}
