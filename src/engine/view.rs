//! Reading the applied state beside the core: one message, or a page of a list.
//!
//! What is read here is durable, because sled is written only after the journal's sync. The core is
//! not asked, so a list of any length delays no commit.

use std::fmt;
use std::sync::Arc;

use super::ReadError;
use crate::clock::Timestamp;
use crate::id::{BatchId, MessageId};
use crate::message::{Body, Head, LinkName, Msisdn, Status};
use crate::store::Read;

/// Rows looked at for one page at most; a page with a sparse filter may be short and still go on.
pub const ROWS_PER_PAGE: usize = 5_000;

#[derive(Clone)]
pub struct View {
    state: Arc<dyn Read + Send + Sync>,
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

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    pub messages: Vec<MessageView>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<MessageId>,
}

impl View {
    pub fn new(state: Arc<dyn Read + Send + Sync>) -> View {
        View { state }
    }

    pub fn message(&self, id: MessageId, now: Timestamp) -> Result<Option<MessageView>, ReadError> {
        let _ = (&self.state, id, now);
        Ok(None)
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
        let _ = (filter, after, newest_first, limit, now);
        Ok(Page::default())
    }
}
