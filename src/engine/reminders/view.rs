//! Reading the reminder side beside the core: one record, or a page of a list.
//!
//! As in [`crate::engine::view`], what is read is durable and a page looks at a bounded number of rows: one with a
//! sparse filter may be short and still go on. Nothing here knows who asks.

mod audience;
mod timeline;

use std::fmt;
use std::str::FromStr;

use serde::de::DeserializeOwned;

use super::change::{ChangeRefusal, Which, Who};
use super::records::{Account, Applied, Phone, Records, StoredContact};
use super::subscriptions::StoredSubscription;
use crate::clock::Timestamp;
use crate::engine::ReadError;
use crate::engine::view::{ROWS_PER_PAGE, View};
use crate::id::{ContactId, ObligationId, TaskId};
use crate::message::Msisdn;
use crate::reminder::consent::ConsentEvent;
use crate::reminder::enrolment::TimerKind;
use crate::reminder::name::{ExternalId, Key};
use crate::reminder::obligation::{Obligation, ObligationStatus};
use crate::reminder::task::{Task, TaskState};
use crate::store::keys::{self, family};
use crate::store::{StoreError, record};

pub use audience::Previewed;
pub use timeline::{Line, LineKind, Timeline};

/// Rows read at once, where the page is smaller.
const STRETCH: usize = 256;
/// Accounts of one external id: one a creditor.
const OF_ONE_ID: usize = 1_000;
/// Due reminders that are counted; more are told as so many.
const DUE_COUNTED: usize = 10_000;

/// Where a page ended, opaque outside: the key of its last row in hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place(Vec<u8>);

/// The text is no [`Place`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no cursor")]
pub struct BadPlace;

/// No key of a list is longer.
const PLACE_MAX: usize = 64;

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Place {
    type Err = BadPlace;

    fn from_str(text: &str) -> Result<Place, BadPlace> {
        let hex = text.bytes().all(|b| b.is_ascii_hexdigit());
        if text.is_empty() || text.len() > 2 * PLACE_MAX || !text.len().is_multiple_of(2) || !hex {
            return Err(BadPlace);
        }
        let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| BadPlace);
        (0..text.len()).step_by(2).map(byte).collect::<Result<_, _>>().map(Place)
    }
}

/// Which stretch of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    pub after: Option<Place>,
    /// From the last key to the first.
    pub back: bool,
    pub limit: usize,
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows<T> {
    pub rows: Vec<T>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<Place>,
}

impl<T> Rows<T> {
    fn all(rows: Vec<T>) -> Rows<T> {
        Rows { rows, next: None }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContactFilter {
    pub external_id: Option<ExternalId>,
    pub phone: Option<Msisdn>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountFilter {
    pub external_id: Option<ExternalId>,
    pub creditor: Option<Key>,
    pub contact: Option<Who>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObligationFilter {
    pub external_id: Option<ExternalId>,
    pub contact: Option<Who>,
    pub account: Option<ExternalId>,
    pub creditor: Option<Key>,
    pub status: Option<ObligationStatus>,
    pub sequence: Option<Key>,
    /// A word of [`crate::reminder::enrolment::EnrolmentState`].
    pub state: Option<String>,
}

/// Which tasks by what became of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskStage {
    Open,
    Assigned,
    Done,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskFilter {
    pub stage: Option<TaskStage>,
    pub assignee: Option<String>,
    pub kind: Option<Key>,
    pub obligation: Option<ObligationId>,
}

/// Reminders whose time has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DueReminders {
    /// At most [`DUE_COUNTED`].
    pub now: usize,
    /// When the first of the others opens.
    pub next_at: Option<Timestamp>,
}

impl View {
    fn records(&self) -> Applied<'_> {
        Applied(&*self.state)
    }

    /// Rows under a prefix in order of their keys, those that `keep` makes something of.
    fn walk<T>(
        &self,
        prefix: Vec<u8>,
        stretch: &Stretch,
        mut keep: impl FnMut(&[u8], &[u8]) -> Result<Option<T>, ReadError>,
    ) -> Result<Rows<T>, ReadError> {
        let mut page = Rows::all(Vec::new());
        let (mut from, mut to) = keys::under(prefix);
        let mut last = stretch.after.clone();
        let (at_once, mut looked_at) = (stretch.limit.clamp(1, STRETCH), 0);
        loop {
            if let Some(Place(place)) = &last {
                if stretch.back {
                    to = to.min(place.clone());
                } else {
                    from = from.max([place.as_slice(), &[0]].concat());
                }
            }
            if from >= to {
                return Ok(page);
            }
            let entries = match stretch.back {
                true => self.state.scan_back(&from, &to, at_once)?,
                false => self.state.scan(&from, &to, at_once)?,
            };
            let ends = entries.len() < at_once;
            for (key, value) in entries {
                if looked_at >= ROWS_PER_PAGE || page.rows.len() >= stretch.limit {
                    page.next = last;
                    return Ok(page);
                }
                looked_at += 1;
                page.rows.extend(keep(&key, &value)?);
                last = Some(Place(key));
            }
            if ends {
                return Ok(page);
            }
        }
    }

    /// The id of a contact that is meant, if there is one.
    pub fn contact_id(&self, who: &Who) -> Result<Option<ContactId>, ReadError> {
        Ok(self.records().who(who)?.ok())
    }

    pub fn contact(&self, id: ContactId) -> Result<Option<StoredContact>, ReadError> {
        self.records().contact(id)
    }

    /// In order of their making.
    pub fn contacts(
        &self,
        filter: &ContactFilter,
        stretch: &Stretch,
    ) -> Result<Rows<(ContactId, StoredContact)>, ReadError> {
        let records = self.records();
        let narrowed = match (&filter.external_id, filter.phone) {
            (Some(external), _) => Some(records.contact_id(external)?.into_iter().collect()),
            (None, Some(number)) => Some(records.phone(number)?.contacts),
            (None, None) => None,
        };
        let fits = |stored: &StoredContact| {
            filter.phone.is_none_or(|number| stored.contact.numbers().any(|own| own == number))
        };
        let Some(ids) = narrowed else {
            return self.walk(vec![family::CONTACT], stretch, with_id);
        };
        let read = |id: ContactId| Ok(records.contact(id)?.map(|stored| (id, stored)));
        let found: Result<Vec<_>, ReadError> =
            ids.into_iter().filter_map(|id| read(id).transpose()).collect();
        Ok(Rows::all(found?.into_iter().filter(|(_, stored)| fits(stored)).collect()))
    }

    pub fn phone(&self, number: Msisdn) -> Result<Option<Phone>, ReadError> {
        self.records().fetch(&keys::phone(number))
    }

    /// In order of their numbers.
    pub fn phones(&self, stretch: &Stretch) -> Result<Rows<(Msisdn, Phone)>, ReadError> {
        self.walk(vec![family::PHONE], stretch, |key, value| {
            let Some(number) = first_id(key).map(Msisdn::from_u64) else { return Ok(None) };
            Ok(Some((number, record::decode(value)?)))
        })
    }

    /// One account; `Err` inside: there is none, or it is not clear which.
    pub fn account(
        &self,
        external: &ExternalId,
        creditor: Option<&Key>,
    ) -> Result<Result<Account, ChangeRefusal>, ReadError> {
        let prefix = match creditor {
            Some(creditor) => keys::account(external, creditor),
            None => keys::accounts_of(external),
        };
        let (from, to) = keys::under(prefix);
        Ok(match self.state.scan(&from, &to, 2)?.as_slice() {
            [] => Err(ChangeRefusal::NotFound { what: "account" }),
            [(_, value)] => Ok(record::decode(value)?),
            _ => Err(ChangeRefusal::Field {
                field: "creditor",
                why: String::from("several creditors have an account of this id: name the creditor too"),
            }),
        })
    }

    /// In order of their keys, which is no order for people.
    pub fn accounts(&self, filter: &AccountFilter, stretch: &Stretch) -> Result<Rows<Account>, ReadError> {
        let contact = match &filter.contact {
            None => None,
            Some(who) => match self.contact_id(who)? {
                Some(id) => Some(id),
                None => return Ok(Rows::all(Vec::new())),
            },
        };
        let prefix = filter.external_id.as_ref().map_or(vec![family::ACCOUNT], keys::accounts_of);
        self.walk(prefix, stretch, |_, value| {
            let account: Account = record::decode(value)?;
            let fits = filter.creditor.as_ref().is_none_or(|creditor| account.creditor == *creditor)
                && contact.is_none_or(|contact| account.contact == contact);
            Ok(fits.then_some(account))
        })
    }

    /// `Err` inside: there is none, or it is not clear which.
    pub fn which(&self, which: &Which) -> Result<Result<ObligationId, ChangeRefusal>, ReadError> {
        self.records().which(which)
    }

    pub fn obligation(&self, id: ObligationId) -> Result<Option<Obligation>, ReadError> {
        self.records().obligation(id)
    }

    /// In order of their making.
    pub fn obligations(
        &self,
        filter: &ObligationFilter,
        stretch: &Stretch,
    ) -> Result<Rows<(ObligationId, Obligation)>, ReadError> {
        let records = self.records();
        let fetch = |id: Option<u64>| {
            let Some(id) = id.map(ObligationId::from_u64) else { return Ok(None) };
            let found = records.obligation(id)?.filter(|obligation| filter.fits(obligation));
            Ok::<_, ReadError>(found.map(|obligation| (id, obligation)))
        };
        if let Some(external) = &filter.external_id {
            let (from, to) = keys::under(keys::obligation_ids(external));
            let mut found = Vec::new();
            for (_, value) in self.state.scan(&from, &to, OF_ONE_ID)? {
                found.extend(fetch(Some(record::decode::<ObligationId>(&value)?.as_u64()))?);
            }
            return Ok(Rows::all(found));
        }
        if let Some(who) = &filter.contact {
            let Some(contact) = self.contact_id(who)? else { return Ok(Rows::all(Vec::new())) };
            let prefix = keys::obligations_of(contact);
            return self.walk(prefix, stretch, |key, _| fetch(keys::decode_second(key)));
        }
        self.walk(vec![family::OBLIGATION], stretch, |key, value| {
            let row: Option<(ObligationId, Obligation)> = with_id(key, value)?;
            Ok(row.filter(|(_, obligation)| filter.fits(obligation)))
        })
    }

    /// All of one external id: one a creditor.
    pub fn subscriptions_of(&self, external: &ExternalId) -> Result<Vec<StoredSubscription>, ReadError> {
        let (from, to) = keys::under(keys::subscriptions_of(external));
        self.state.scan(&from, &to, OF_ONE_ID)?.iter().map(|(_, value)| record::decode(value)).collect()
    }

    /// In order of their keys, which is no order for people.
    pub fn subscriptions(
        &self,
        account: Option<&ExternalId>,
        stretch: &Stretch,
    ) -> Result<Rows<StoredSubscription>, ReadError> {
        self.walk(vec![family::SUBSCRIPTION], stretch, |_, value| {
            let stored: StoredSubscription = record::decode(value)?;
            Ok(Some(stored).filter(|s| account.is_none_or(|account| s.subscription.account == *account)))
        })
    }

    /// Of one phone in the order they came, or of all phones in order of their numbers.
    pub fn consents(
        &self,
        phone: Option<Msisdn>,
        stretch: &Stretch,
    ) -> Result<Rows<(Msisdn, Option<Key>, ConsentEvent)>, ReadError> {
        let prefix = phone.map_or(vec![family::CONSENT], keys::consents_of);
        self.walk(prefix, stretch, |key, value| {
            let Some(number) = first_id(key).map(Msisdn::from_u64) else { return Ok(None) };
            let (creditor, event) = record::decode(value)?;
            Ok(Some((number, creditor, event)))
        })
    }

    pub fn task(&self, id: TaskId) -> Result<Option<Task>, ReadError> {
        self.records().fetch(&keys::task(id))
    }

    /// In the order they were opened.
    pub fn tasks(&self, filter: &TaskFilter, stretch: &Stretch) -> Result<Rows<(TaskId, Task)>, ReadError> {
        if let Some(obligation) = filter.obligation {
            return self.tasks_of(obligation, filter, stretch);
        }
        if matches!(filter.stage, Some(TaskStage::Open | TaskStage::Assigned)) {
            return self.walk(vec![family::OPEN_TASK], stretch, |key, _| {
                let Some(id) = keys::decode_id(key).map(TaskId::from_u64) else { return Ok(None) };
                Ok(self.task(id)?.filter(|task| filter.fits(task)).map(|task| (id, task)))
            });
        }
        self.walk(vec![family::TASK], stretch, |key, value| {
            let row: Option<(TaskId, Task)> = with_id(key, value)?;
            Ok(row.filter(|(_, task)| filter.fits(task)))
        })
    }

    /// How many reminders are due and not gone yet, and when the next opens.
    pub fn due_reminders(&self, now: Timestamp) -> Result<DueReminders, ReadError> {
        let (from, to) = keys::under(keys::timers(TimerKind::Step));
        let mut due = DueReminders::default();
        let mut next = from;
        while due.now < DUE_COUNTED {
            let entries = self.state.scan(&next, &to, STRETCH)?;
            for (key, _) in &entries {
                match keys::decode_timer(key) {
                    Some((at, _)) if at > now => {
                        due.next_at = Some(at);
                        return Ok(due);
                    }
                    _ => due.now += 1,
                }
            }
            match entries.last().filter(|_| entries.len() == STRETCH) {
                Some((last, _)) => next = [last.as_slice(), &[0]].concat(),
                None => return Ok(due),
            }
        }
        Ok(due)
    }
}

impl ObligationFilter {
    fn fits(&self, obligation: &Obligation) -> bool {
        let enrolment = obligation.enrolment.as_ref();
        self.status.is_none_or(|status| obligation.status == status)
            && self.creditor.as_ref().is_none_or(|creditor| obligation.creditor == *creditor)
            && self.account.as_ref().is_none_or(|account| obligation.account == *account)
            && self
                .sequence
                .as_ref()
                .is_none_or(|sequence| enrolment.is_some_and(|e| e.sequence == *sequence))
            && self.state.as_ref().is_none_or(|state| enrolment.is_some_and(|e| e.state.as_str() == state))
    }
}

impl TaskStage {
    fn fits(self, state: &TaskState) -> bool {
        match self {
            TaskStage::Open => matches!(state, TaskState::Open),
            TaskStage::Assigned => matches!(state, TaskState::Assigned),
            TaskStage::Done => matches!(state, TaskState::Done { .. }),
        }
    }
}

impl TaskFilter {
    fn fits(&self, task: &Task) -> bool {
        self.stage.is_none_or(|stage| stage.fits(&task.state))
            && self.assignee.as_ref().is_none_or(|who| task.assignee.as_ref() == Some(who))
            && self.kind.as_ref().is_none_or(|kind| task.kind == *kind)
    }
}

fn with_id<I: Identified, T: DeserializeOwned>(
    key: &[u8],
    value: &[u8],
) -> Result<Option<(I, T)>, ReadError> {
    let damaged = || StoreError::Damaged(String::from("a record's key of the wrong length"));
    let id = keys::decode_id(key).ok_or_else(damaged)?;
    Ok(Some((I::of(id), record::decode(value)?)))
}

/// The first of two ids in a key.
fn first_id(key: &[u8]) -> Option<u64> {
    let bytes: [u8; 8] = key.get(1..9)?.try_into().ok()?;
    Some(u64::from_be_bytes(bytes))
}

/// Ids that are the whole of a key.
trait Identified {
    fn of(raw: u64) -> Self;
}

macro_rules! identified {
    ($($id:ty),*) => {
        $(impl Identified for $id {
            fn of(raw: u64) -> Self {
                Self::from_u64(raw)
            }
        })*
    };
}

identified!(ContactId, ObligationId, TaskId);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::engine::memory::Memory;
    use crate::reminder::obligation::sample;

    fn view(count: u64) -> View {
        let mut memory = Memory::default();
        for n in 1..=count {
            let mut obligation = sample();
            obligation.external_id = ExternalId::parse(&format!("inv-{n}")).unwrap();
            if n % 2 == 0 {
                obligation.status = ObligationStatus::Paid;
            }
            let id = ObligationId::from_u64(n);
            memory.map.insert(keys::obligation(id), record::encode(&obligation));
        }
        View::new(Arc::new(memory))
    }

    fn ids(view: &View, filter: &ObligationFilter, back: bool, limit: usize) -> Vec<Vec<u64>> {
        let (mut pages, mut after) = (Vec::new(), None);
        loop {
            let page = view.obligations(filter, &Stretch { after, back, limit }).unwrap();
            pages.push(page.rows.iter().map(|(id, _)| id.as_u64()).collect());
            match page.next {
                Some(next) => after = Some(next.to_string().parse().unwrap()),
                None => return pages,
            }
        }
    }

    #[test]
    fn pages_follow_each_other_without_a_gap_in_either_order() {
        let (view, all) = (view(7), ObligationFilter::default());
        assert_eq!(ids(&view, &all, false, 3), [vec![1, 2, 3], vec![4, 5, 6], vec![7]]);
        assert_eq!(ids(&view, &all, true, 3), [vec![7, 6, 5], vec![4, 3, 2], vec![1]]);
        let paid = ObligationFilter { status: Some(ObligationStatus::Paid), ..all };
        assert_eq!(ids(&view, &paid, false, 2).concat(), [2, 4, 6]);
    }

    #[test]
    fn a_page_looks_at_a_bounded_number_of_rows_and_says_where_it_goes_on() {
        let none = ObligationFilter { creditor: Some(Key::parse("nobody").unwrap()), ..Default::default() };
        let pages = ids(&view(ROWS_PER_PAGE as u64 + 1), &none, false, 10);
        assert_eq!(pages, [Vec::<u64>::new(), Vec::new()]);
    }

    #[test]
    fn a_cursor_of_another_list_leads_nowhere_and_no_cursor_is_told_from_one() {
        let view = view(2);
        for (place, back) in [("ff", false), ("00", true)] {
            let stretch = Stretch { after: Some(place.parse().unwrap()), back, limit: 5 };
            assert!(view.obligations(&ObligationFilter::default(), &stretch).unwrap().rows.is_empty());
        }
        for bad in ["", "f", "zz", "é", &"00".repeat(65)] {
            assert_eq!(bad.parse::<Place>(), Err(BadPlace), "{bad}");
        }
    }

    #[test]
    fn reminders_that_are_due_are_counted_and_the_next_one_named() {
        let mut memory = Memory::default();
        for n in 0..300 {
            let at = Timestamp::from_millis(if n < 299 { 1_000 } else { 9_000 });
            memory.map.insert(keys::timer(TimerKind::Step, at, n), record::encode(&()));
        }
        let view = View::new(Arc::new(memory));
        let due = view.due_reminders(Timestamp::from_millis(2_000)).unwrap();
        assert_eq!(due, DueReminders { now: 299, next_at: Some(Timestamp::from_millis(9_000)) });
    }
}
