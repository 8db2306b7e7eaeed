//! What is to be done along all obligations of a number or of a contact, a bounded number of them in one step.
//!
//! Invariants: an errand that its step cannot finish is in the batch of that step, with the place where it goes on,
//! so that a crash loses none; one that it finishes leaves nothing. Nothing that must hold at once rests on errands: a
//! suppression, a hold and a review are one key each, and the gates at the wire see those. Errands bring it to the
//! records, for people, for what waits, and for the timers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::change::CHANGE_GROUP;
use super::debts::Debt;
use super::records::Records;
use crate::clock::Timestamp;
use crate::engine::core::{Core, Work};
use crate::id::{ContactId, ObligationId};
use crate::message::Msisdn;
use crate::reminder::enrolment::{Enrolment, ExitReason};
use crate::reminder::sequence::Exit;
use crate::reminder::suppression::Party;
use crate::reminder::trigger::On;
use crate::store::{Read, StoreError, keys, record};

/// Obligations looked at in one step, over all errands: no more than two groups of changes write.
pub const PER_STEP: usize = 2 * CHANGE_GROUP;
/// Errands read at start: they end within seconds, so there are few.
const ERRANDS_MAX: usize = 1_000_000;

/// What is done to each obligation. In the order in which it is done, and in keys by position: append only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum What {
    /// Its number opted out: the enrolment ends.
    Exit,
    /// A reply of its number waits for a person: what waits comes back.
    TakeBack,
    /// The next step is planned anew.
    Replan,
    /// Its number opted in, and a rule waits for that.
    OptIn,
}

/// Whose obligations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Along {
    Number(Msisdn),
    Contact(ContactId),
}

/// An errand as it was asked for.
#[derive(Clone, Debug)]
pub struct Wanted {
    what: What,
    along: Along,
    by: String,
}

/// An errand as kept, by [`What`] and [`Along`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Errand {
    /// When it was asked for last: what began later is not ended by it.
    at: Timestamp,
    /// Who asked; empty where it followed by itself.
    by: String,
    /// Where it goes on; `None`: at the beginning.
    after: Option<(ContactId, ObligationId)>,
    /// Asked for again on its way: it begins anew at its end.
    again: bool,
}

/// All that are under way.
#[derive(Debug, Default)]
pub struct Errands {
    open: BTreeMap<(What, Along), Errand>,
    /// Those whose record on the disk is not as they are, and whether it has one.
    kept: BTreeMap<(What, Along), Kept>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    No,
    Older,
    Now,
}

impl Errands {
    /// # Errors
    /// The state cannot be read.
    pub fn load(state: &dyn Read) -> Result<Errands, StoreError> {
        let mut errands = Errands::default();
        let (from, to) = keys::all(keys::family::ERRAND);
        for (_, value) in state.scan(&from, &to, ERRANDS_MAX)? {
            let (what, along, errand): (What, Along, Errand) = record::decode(&value)?;
            errands.open.insert((what, along), errand);
            errands.kept.insert((what, along), Kept::Now);
        }
        Ok(errands)
    }

    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    fn add(&mut self, wanted: Wanted, at: Timestamp) {
        let place = (wanted.what, wanted.along);
        let Some(known) = self.open.get_mut(&place) else {
            self.open.insert(place, Errand { at, by: wanted.by, after: None, again: false });
            self.kept.insert(place, Kept::No);
            return;
        };
        known.at = at;
        known.again = known.after.is_some();
        if !wanted.by.is_empty() {
            known.by = wanted.by;
        }
        self.changed(place);
    }

    fn changed(&mut self, place: (What, Along)) {
        if let Some(kept) = self.kept.get_mut(&place)
            && *kept == Kept::Now
        {
            *kept = Kept::Older;
        }
    }

    /// It has come to its end, or goes on after an obligation.
    fn moved(&mut self, place: (What, Along), after: Option<(ContactId, ObligationId)>, work: &mut Work) {
        self.changed(place);
        let Some(errand) = self.open.get_mut(&place) else { return };
        if after.is_some() || std::mem::take(&mut errand.again) {
            errand.after = after;
            return;
        }
        self.open.remove(&place);
        if self.kept.remove(&place).is_some_and(|kept| kept != Kept::No) {
            work.txn.delete(key(place));
        }
    }

    /// What this step did not finish goes with it.
    fn keep(&mut self, work: &mut Work) {
        for (place, kept) in self.kept.iter_mut().filter(|(_, kept)| **kept != Kept::Now) {
            if let Some(errand) = self.open.get(place) {
                work.txn.put(key(*place), &(place.0, place.1, errand));
            }
            *kept = Kept::Now;
        }
    }
}

fn key((what, along): (What, Along)) -> Vec<u8> {
    let (kind, id) = match along {
        Along::Number(number) => (0, number.as_u64()),
        Along::Contact(contact) => (1, contact.as_u64()),
    };
    keys::errand(what as u8, kind, id)
}

impl Work<'_> {
    /// Asks for something along the obligations of a party's number; the tail of a number is no phone of ours.
    pub fn along(&mut self, what: What, party: Party, by: &str) {
        if let Some(number) = party.number() {
            self.errands.push(Wanted { what, along: Along::Number(number), by: by.to_owned() });
        }
    }

    pub fn along_contact(&mut self, what: What, contact: ContactId) {
        self.errands.push(Wanted { what, along: Along::Contact(contact), by: String::new() });
    }
}

impl Core {
    /// Takes up what was asked for, and does the next of it as far as this step may. Whether it did anything.
    pub(super) fn run_errands(&mut self, work: &mut Work) -> Result<bool, StoreError> {
        for wanted in std::mem::take(&mut work.errands) {
            self.reminders.errands.add(wanted, work.wall());
        }
        let next = self.reminders.errands.open.first_key_value();
        let Some((&place, errand)) = next.filter(|_| work.errands_left > 0) else { return Ok(false) };
        let errand = errand.clone();
        let found = Core::obligations_along(place.1, errand.after, work.errands_left, work)?;
        let is_over = found.len() < work.errands_left;
        // An errand along nothing is work too.
        work.errands_left -= found.len().max(1).min(work.errands_left);
        let last = found.last().copied().filter(|_| !is_over);
        for (_, id) in found {
            self.do_errand(place.0, id, &errand, work)?;
        }
        self.reminders.errands.moved(place, last, work);
        Ok(true)
    }

    /// The end of a step: what is left of errands goes with its batch.
    pub(super) fn keep_errands(&mut self, work: &mut Work) {
        self.reminders.errands.keep(work);
    }

    fn do_errand(
        &mut self,
        what: What,
        id: ObligationId,
        errand: &Errand,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        match what {
            What::Replan => return self.replan(id, work),
            What::OptIn => {
                self.raise(id, On::ReplyOptIn, work);
                return Ok(());
            }
            What::Exit | What::TakeBack => {}
        }
        let Some(obligation) = work.txn.obligation(id)? else { return Ok(()) };
        let mut debt = Debt { id, obligation };
        if what == What::Exit {
            let ends = |e: &Enrolment| !e.state.is_over() && e.since <= errand.at;
            if !debt.obligation.enrolment.as_ref().is_some_and(ends) {
                return Ok(());
            }
            self.exit(&mut debt, ExitReason::OptedOut, &errand.by, work);
            return self.keep(debt, work);
        }
        self.take_back(&mut debt, work);
        if self.exits_on(&debt.obligation, Exit::Reply) {
            self.exit(&mut debt, ExitReason::Canceled, &errand.by, work);
            return self.keep(debt, work);
        }
        Ok(())
    }

    /// The next obligations in the order of contacts, then of their own ids.
    pub(super) fn obligations_along(
        along: Along,
        after: Option<(ContactId, ObligationId)>,
        limit: usize,
        work: &Work,
    ) -> Result<Vec<(ContactId, ObligationId)>, StoreError> {
        let mut contacts = match along {
            Along::Contact(contact) => vec![contact],
            Along::Number(number) => work.txn.phone(number)?.contacts,
        };
        contacts.sort_unstable();
        let mut found = Vec::new();
        for contact in contacts.into_iter().filter(|contact| after.is_none_or(|(last, _)| *contact >= last)) {
            let (first, to) = keys::under(keys::obligations_of(contact));
            let from = match after.filter(|(last, _)| *last == contact) {
                Some((_, id)) => [keys::of_contact(contact, id), vec![0]].concat(),
                None => first,
            };
            let entries = work.txn.scan(&from, &to, limit - found.len())?;
            let ids = entries.iter().filter_map(|(key, _)| keys::decode_second(key));
            found.extend(ids.map(|id| (contact, ObligationId::from_u64(id))));
            if found.len() == limit {
                break;
            }
        }
        Ok(found)
    }

    /// The one obligation of a party's number; `None` where there is none, or more than one.
    pub(super) fn only_obligation_on(
        &self,
        party: Party,
        work: &Work,
    ) -> Result<Option<ObligationId>, StoreError> {
        let Some(number) = party.number() else { return Ok(None) };
        let found = Core::obligations_along(Along::Number(number), None, 2, work)?;
        Ok(match found.as_slice() {
            [(_, id)] => Some(*id),
            _ => None,
        })
    }
}
