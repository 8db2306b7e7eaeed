//! Reading and writing the reminder side's records within a step, and from outside.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::change::{ChangeRefusal, Which, Who};
use super::happened::Happened;
use crate::clock::Timestamp;
use crate::engine::core::{Core, Work};
use crate::engine::notice::{Notice, NoticeKind};
use crate::engine::txn::Txn;
use crate::id::{ContactId, InboundId, ObligationId};
use crate::message::Msisdn;
use crate::reminder::caps::Ledger;
use crate::reminder::consent::Standing;
use crate::reminder::contact::Contact;
use crate::reminder::enrolment::Timer;
use crate::reminder::name::{ExternalId, Key};
use crate::reminder::obligation::Obligation;
use crate::store::{Entries, Read, StoreError, keys, record};

/// Obligations of one contact looked at for anything; beyond it a person has other worries.
pub const OF_CONTACT_MAX: usize = 1_000;

/// Records by key, through a step's own writes or from the applied state alone.
pub trait Records {
    fn fetch<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, StoreError>;
    fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Entries, StoreError>;

    fn obligation(&self, id: ObligationId) -> Result<Option<Obligation>, StoreError> {
        self.fetch(&keys::obligation(id))
    }

    fn contact(&self, id: ContactId) -> Result<Option<StoredContact>, StoreError> {
        self.fetch(&keys::contact(id))
    }

    fn contact_id(&self, external: &ExternalId) -> Result<Option<ContactId>, StoreError> {
        self.fetch(&keys::contact_id(external))
    }

    fn account(&self, external: &ExternalId, creditor: &Key) -> Result<Option<Account>, StoreError> {
        self.fetch(&keys::account(external, creditor))
    }

    fn obligation_of(
        &self,
        external: &ExternalId,
        creditor: &Key,
    ) -> Result<Option<ObligationId>, StoreError> {
        self.fetch(&keys::obligation_id(external, creditor))
    }

    /// A number nobody knows has the record of one that nothing went to.
    fn phone(&self, number: Msisdn) -> Result<Phone, StoreError> {
        Ok(self.fetch(&keys::phone(number))?.unwrap_or_default())
    }

    fn obligations_of(&self, contact: ContactId) -> Result<Vec<ObligationId>, StoreError> {
        let (from, to) = keys::under(keys::obligations_of(contact));
        let entries = self.range(&from, &to, OF_CONTACT_MAX)?;
        Ok(entries
            .iter()
            .filter_map(|(key, _)| keys::decode_second(key))
            .map(ObligationId::from_u64)
            .collect())
    }

    /// `Err` inside: there is none, or it is not clear which.
    fn which(&self, which: &Which) -> Result<Result<ObligationId, ChangeRefusal>, StoreError> {
        let (id, creditor) = match which {
            Which::Id(id) => {
                let there = self.obligation(*id)?.is_some();
                return Ok(there.then_some(*id).ok_or(ChangeRefusal::NotFound { what: "obligation" }));
            }
            Which::External { id, creditor } => (id, creditor),
        };
        let prefix = match creditor {
            Some(creditor) => keys::obligation_id(id, creditor),
            None => keys::obligation_ids(id),
        };
        let (from, to) = keys::under(prefix);
        let found = self.range(&from, &to, 2)?;
        Ok(match found.as_slice() {
            [] => Err(ChangeRefusal::NotFound { what: "obligation" }),
            [(_, value)] => Ok(record::decode(value)?),
            _ => {
                let why = String::from("several creditors have one of this id: name the creditor too");
                Err(ChangeRefusal::Field { field: "obligation", why })
            }
        })
    }

    fn who(&self, who: &Who) -> Result<Result<ContactId, ChangeRefusal>, StoreError> {
        let found = match who {
            Who::Id(id) => self.contact(*id)?.map(|_| *id),
            Who::External(external) => self.contact_id(external)?,
        };
        Ok(found.ok_or(ChangeRefusal::NotFound { what: "contact" }))
    }
}

impl Records for Txn<'_> {
    fn fetch<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, StoreError> {
        self.get(key)
    }

    fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Entries, StoreError> {
        self.scan(from, to, limit)
    }
}

/// The applied state, read from outside the core.
pub struct Applied<'a>(pub &'a dyn Read);

impl Records for Applied<'_> {
    fn fetch<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, StoreError> {
        self.0.get(key)?.map(|bytes| record::decode(&bytes)).transpose()
    }

    fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Entries, StoreError> {
        self.0.scan(from, to, limit)
    }
}

/// A contact as kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredContact {
    pub contact: Contact,
    pub created_at: Timestamp,
    pub version: u64,
}

/// An account as kept: one creditor's file on one contact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub external_id: ExternalId,
    pub creditor: Key,
    pub contact: ContactId,
    pub case_manager: Option<String>,
    pub tags: Vec<String>,
    pub custom: std::collections::BTreeMap<String, String>,
    pub created_at: Timestamp,
    pub version: u64,
}

/// A phone: caps and doubts live here, because several contacts and creditors may share one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phone {
    /// Whose it is; at most [`CONTACTS_MAX`].
    pub contacts: Vec<ContactId>,
    pub status: PhoneStatus,
    pub last_inbound_at: Option<Timestamp>,
    /// Reminders that went to it of late, of all creditors.
    pub ledger: Ledger,
    /// How many ever went to it, by creditor: what texts must say first or again goes by them.
    pub reminders: Vec<(Key, u32)>,
    /// A reply that a person must read before reminders go on.
    pub review: Option<InboundId>,
    /// What its owner agreed to, with each creditor; folded from the consent events.
    pub consents: Vec<(Option<Key>, Standing)>,
    /// Automatic answers of late: at most a few a day.
    pub answered: Vec<Timestamp>,
}

impl Phone {
    /// A reminder goes to it.
    pub fn take(&mut self, creditor: &Key, at: Timestamp) {
        self.ledger.add(at);
        match self.reminders.iter_mut().find(|(of, _)| of == creditor) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => self.reminders.push((creditor.clone(), 1)),
        }
    }

    /// It never went: its place under the caps is free.
    pub fn give_back(&mut self, creditor: &Key, at: Timestamp) {
        self.ledger.take_back(at);
        if let Some((_, count)) = self.reminders.iter_mut().find(|(of, _)| of == creditor) {
            *count = count.saturating_sub(1);
        }
    }

    /// Reminders of a creditor that went to it.
    pub fn reminders_of(&self, creditor: &Key) -> u32 {
        self.reminders.iter().find(|(of, _)| of == creditor).map_or(0, |(_, count)| *count)
    }

    /// It wrote to us, so that it lives, whatever the network said of it; whose it is, is another matter. Whether
    /// that is news that may let reminders go.
    pub fn is_heard(&mut self) -> bool {
        let before = self.status;
        if before != PhoneStatus::Wrong {
            self.status = PhoneStatus::Active;
        }
        before == PhoneStatus::Dead
    }
}

/// Contacts on one phone at most.
pub const CONTACTS_MAX: usize = 64;

/// Stored by position: append only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PhoneStatus {
    #[default]
    Unverified,
    Active,
    /// Deliveries failed for now, so many times in a row.
    Suspect {
        failures: u8,
    },
    /// Nobody has this number, or it takes no texts.
    Dead,
    /// It belongs to somebody else.
    Wrong,
}

impl PhoneStatus {
    pub const fn as_str(self) -> &'static str {
        match self {
            PhoneStatus::Unverified => "unverified",
            PhoneStatus::Active => "active",
            PhoneStatus::Suspect { .. } => "suspect",
            PhoneStatus::Dead => "dead",
            PhoneStatus::Wrong => "wrong",
        }
    }
}

/// One line of an obligation's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryLine {
    pub at: Timestamp,
    pub what: Happened,
    /// Who asked for it; empty where it followed by itself.
    pub by: String,
}

impl Core {
    /// Writes an obligation and keeps its timer where `timer` says.
    pub(in crate::engine) fn put_obligation(
        &mut self,
        id: ObligationId,
        obligation: &mut Obligation,
        timer: Option<Timer>,
        work: &mut Work,
    ) {
        if obligation.timer != timer {
            if let Some(old) = obligation.timer {
                work.txn.delete(keys::timer(old.kind, old.at, id.as_u64()));
            }
            if let Some(new) = timer {
                work.txn.put(keys::timer(new.kind, new.at, id.as_u64()), &());
                self.reminders.expect(new);
            }
            obligation.timer = timer;
        }
        work.txn.put(keys::obligation(id), obligation);
    }

    /// Tells the world, and keeps it in the obligation's history where the record itself does not show it.
    pub(in crate::engine) fn happen(&mut self, id: ObligationId, what: Happened, by: &str, work: &mut Work) {
        let at = work.wall();
        if !matches!(what, Happened::Gone { .. } | Happened::Accepted { .. }) {
            let line = HistoryLine { at, what: what.clone(), by: by.to_owned() };
            work.txn.put_new(keys::history(id, self.counters.ids.next(at)), &line);
        }
        super::triggers::events_of(&what).iter().for_each(|on| self.raise(id, *on, work));
        let notice = Notice { at, kind: NoticeKind::Obligation { id, what } };
        work.txn.batch.events.push(record::encode(&notice));
    }
}
