//! Reading the applied state beside the core: one message, or a page of a list.
//!
//! What is read here is durable, because sled is written only after the journal's sync. The core is
//! not asked, so a list of any length delays no commit. Only which messages are leased right now comes
//! from the core, as a set it keeps up to date after every commit.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use super::ReadError;
use super::intake::LEAD;
use super::reminders::Catalog;
use crate::clock::Timestamp;
use crate::id::{BatchId, MessageId};
use crate::message::{Body, Head, LinkName, Msisdn, State, Status};
use crate::reminder::zone::Zone;
use crate::store::keys::{self, family};
use crate::store::{Read, record};

/// Rows looked at for one page at most; a page with a sparse filter may be short and still go on.
pub const ROWS_PER_PAGE: usize = 5_000;
/// Rows read at once.
pub(super) const STRETCH: usize = 512;

/// A reader of the applied state, cheap to clone.
#[derive(Clone)]
pub struct View {
    pub(super) state: Arc<dyn Read + Send + Sync>,
    leased: Arc<RwLock<HashSet<MessageId>>>,
    /// What the firm set up, as the core last had it; before that, and where no core runs, what is stored.
    catalog: Arc<RwLock<Option<Arc<Catalog>>>>,
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("View")
    }
}

/// A message as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageView {
    pub id: MessageId,
    pub body: Body,
    pub head: Head,
    pub status: Status,
}

/// One of the first four, with the others beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub to: Option<Msisdn>,
    pub client_ref: Option<String>,
    pub batch: Option<BatchId>,
    pub status: Option<Status>,
    pub link: Option<LinkName>,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
}

/// A stretch of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    pub messages: Vec<MessageView>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<MessageId>,
}

impl View {
    pub fn new(state: Arc<dyn Read + Send + Sync>) -> View {
        View { state, leased: Arc::default(), catalog: Arc::default() }
    }

    /// Where no core runs that would publish it.
    pub fn with_catalog(state: Arc<dyn Read + Send + Sync>, catalog: Catalog) -> View {
        let view = View::new(state);
        view.publish_catalog(&Arc::new(catalog));
        view
    }

    /// The core's word on leases, in order: `true` for one that began, as soon as it is durable, `false` for
    /// one that ended, once that is applied.
    pub(super) fn update_leased<'a>(&self, changes: impl Iterator<Item = &'a (MessageId, bool)>) {
        let mut changes = changes.peekable();
        if changes.peek().is_none() {
            return;
        }
        let mut leased = self.leased.write().unwrap_or_else(PoisonError::into_inner);
        for &(id, is_leased) in changes {
            if is_leased {
                leased.insert(id)
            } else {
                leased.remove(&id)
            };
        }
    }

    /// The core's catalog once a step that changed it is applied.
    pub(super) fn publish_catalog(&self, catalog: &Arc<Catalog>) {
        let mut shown = self.catalog.write().unwrap_or_else(PoisonError::into_inner);
        if shown.as_ref().is_none_or(|shown| !Arc::ptr_eq(shown, catalog)) {
            *shown = Some(catalog.clone());
        }
    }

    /// What the firm set up.
    pub fn catalog(&self) -> Result<Arc<Catalog>, ReadError> {
        if let Some(catalog) = self.catalog.read().unwrap_or_else(PoisonError::into_inner).as_ref() {
            return Ok(catalog.clone());
        }
        Catalog::load(Zone::utc(), &*self.state).map(Arc::new)
    }

    pub fn message(&self, id: MessageId, now: Timestamp) -> Result<Option<MessageView>, ReadError> {
        // Asked first: what is settled between the two reads then shows its outcome.
        let leased = self.leased.read().unwrap_or_else(PoisonError::into_inner).contains(&id);
        let Some(bytes) = self.state.get(&keys::body(id))? else { return Ok(None) };
        let body: Body = record::decode(&bytes)?;
        let head = match self.state.get(&keys::head(id))? {
            Some(bytes) => record::decode(&bytes)?,
            None => Head::accepted(&body),
        };
        let status = match head.state {
            State::Waiting { .. } if leased => Status::Sending,
            ref state => state.status(now),
        };
        Ok(Some(MessageView { id, body, head, status }))
    }

    /// A page in order of acceptance; `after` is the last id of the page before.
    pub fn list(
        &self,
        filter: &Filter,
        after: Option<MessageId>,
        newest_first: bool,
        limit: usize,
        now: Timestamp,
    ) -> Result<Page, ReadError> {
        let mut page = Page::default();
        let mut last = after;
        let mut looked_at = 0;
        loop {
            let ids = self.ids(filter, last, newest_first)?;
            for &id in &ids {
                if looked_at >= ROWS_PER_PAGE || page.messages.len() >= limit {
                    page.next = last;
                    return Ok(page);
                }
                looked_at += 1;
                last = Some(id);
                if let Some(message) = self.message(id, now)?.filter(|message| fits(filter, message)) {
                    page.messages.push(message);
                }
            }
            if ids.len() < STRETCH {
                return Ok(page);
            }
        }
    }

    /// The next ids after `after` in the narrowest index the filter allows. An id is never from before its
    /// message's acceptance, so `since` bounds it; it may be ahead by as much as the clock ever went back, so
    /// `until` bounds it that much later. The exact time is for [`fits`] to see.
    fn ids(
        &self,
        filter: &Filter,
        after: Option<MessageId>,
        back: bool,
    ) -> Result<Vec<MessageId>, ReadError> {
        if let Some(batch) = filter.batch {
            return self.page_of_batch(batch, after, back);
        }
        let (prefix, id_at) = match (filter.to, filter.status) {
            (Some(to), _) => (keys::chain_of(to), 9),
            (None, Some(Status::Unknown)) => (vec![family::UNKNOWN], 1),
            _ => (vec![family::BODY], 1),
        };
        let place = |id: MessageId| [prefix.as_slice(), &id.as_u64().to_be_bytes()].concat();
        let (mut from, mut to) = keys::under(prefix.clone());
        if let Some(since) = filter.since {
            from = place(MessageId::earliest(since));
        }
        if let Some(until) = filter.until {
            to = place(MessageId::earliest(until.saturating_add(self.lead()?)));
        }
        let entries = match (after, back) {
            (None, false) => self.state.scan(&from, &to, STRETCH)?,
            (None, true) => self.state.scan_back(&from, &to, STRETCH)?,
            (Some(id), false) => {
                let next = [place(id), vec![0]].concat();
                self.state.scan(&next.max(from), &to, STRETCH)?
            }
            (Some(id), true) => self.state.scan_back(&from, &place(id).min(to), STRETCH)?,
        };
        let id = |key: &[u8]| {
            let bytes: [u8; 8] = key.get(id_at..)?.try_into().ok()?;
            Some(MessageId::from_u64(u64::from_be_bytes(bytes)))
        };
        Ok(entries.iter().filter_map(|(key, _)| id(key)).collect())
    }

    /// How far ids were ahead of the clock at most.
    pub(super) fn lead(&self) -> Result<std::time::Duration, ReadError> {
        let lead = self.state.get(&keys::core(LEAD))?.map(|bytes| record::decode(&bytes)).transpose()?;
        Ok(lead.unwrap_or_default())
    }

    /// The messages of a batch that are still kept, with their statuses, in order of acceptance; empty
    /// when there is no such batch.
    pub fn batch(&self, batch: BatchId, now: Timestamp) -> Result<Vec<(MessageId, Status)>, ReadError> {
        let kept = |id| Ok(self.message(id, now)?.map(|message| (id, message.status)));
        self.ids_of_batch(batch)?.into_iter().filter_map(|id| kept(id).transpose()).collect()
    }

    fn ids_of_batch(&self, batch: BatchId) -> Result<Vec<MessageId>, ReadError> {
        let (from, to) = keys::under(keys::batch_of(batch));
        let mut ids = Vec::new();
        for (_, value) in self.state.scan(&from, &to, STRETCH)? {
            ids.extend(record::decode::<Vec<MessageId>>(&value)?);
        }
        Ok(ids)
    }

    fn page_of_batch(
        &self,
        batch: BatchId,
        after: Option<MessageId>,
        back: bool,
    ) -> Result<Vec<MessageId>, ReadError> {
        let mut ids = self.ids_of_batch(batch)?;
        if back {
            ids.reverse();
        }
        let passed = |id: &MessageId| match after {
            None => false,
            Some(after) if back => *id >= after,
            Some(after) => *id <= after,
        };
        Ok(ids.into_iter().skip_while(passed).take(STRETCH).collect())
    }
}

fn fits(filter: &Filter, message: &MessageView) -> bool {
    let at = message.body.accepted_at;
    filter.client_ref.as_ref().is_none_or(|r| message.body.client_ref.as_ref() == Some(r))
        && filter.status.is_none_or(|status| message.status == status)
        && filter.since.is_none_or(|since| at >= since)
        && filter.until.is_none_or(|until| at < until)
        && filter
            .link
            .as_ref()
            .is_none_or(|link| message.head.attempts.last().is_some_and(|a| a.link == *link))
}
