//! The journal's events for everybody who follows them: `/v1/events`, its streams, and webhooks.
//!
//! Invariants: nothing is shown before it is durable and applied, so that what an event speaks of can be read;
//! nothing is left out between two numbers, or the reader is told what the oldest is. Who follows nothing costs
//! nothing: the core only says the number of its last event.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::notice::Notice;
use crate::store::{Event, Events, Hold, StoreError, Tail, record};

/// Readers kept where they stopped, for whoever asks on from there: without one a question begins to read at
/// the start of a segment. Each holds a file open.
const PLACES: usize = 16;

/// Follows the journal's events. Cheap to clone.
#[derive(Clone)]
pub struct Feed(Arc<Shared>);

struct Shared {
    tail: Tail,
    /// Number of the last event that is applied.
    last: watch::Receiver<u64>,
    stop: CancellationToken,
    places: Mutex<Vec<Events>>,
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Feed({})", self.last())
    }
}

/// An event with its number and the record it stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbered {
    pub number: u64,
    pub seq: u64,
    pub notice: Notice,
}

/// Why there are no events to show.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    #[error("the oldest event that is kept is number {oldest}")]
    Gone { oldest: u64 },
    #[error("the newest event is number {newest}")]
    Ahead { newest: u64 },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Feed {
    pub fn new(tail: Tail, last: watch::Receiver<u64>, stop: CancellationToken) -> Feed {
        Feed(Arc::new(Shared { tail, last, stop, places: Mutex::default() }))
    }

    /// Number of the newest event; 0 before the first.
    pub fn last(&self) -> u64 {
        *self.0.last.borrow()
    }

    /// Number of the oldest event that is kept, or would be.
    pub fn oldest(&self) -> u64 {
        self.0.tail.oldest()
    }

    /// Sequence of the last record on the disk.
    pub fn seq(&self) -> u64 {
        self.0.tail.seq()
    }

    /// Keeps the journal from record `seq` on, as far as the store goes.
    pub fn hold(&self, seq: u64) -> Hold {
        self.0.tail.hold(seq)
    }

    /// The first events behind number `after`, at most `limit`. Reads files: not on a thread that answers others.
    pub fn look(&self, after: u64, limit: usize) -> Result<Vec<Numbered>, FeedError> {
        let newest = self.last();
        if after > newest {
            return Err(FeedError::Ahead { newest });
        }
        let mut events = self.place(after)?;
        let mut found = Vec::new();
        while found.len() < limit {
            let Some(Event { number, seq, bytes }) = self.next(&mut events, newest)? else { break };
            found.push(Numbered { number, seq, notice: record::decode(&bytes)? });
        }
        self.keep(events);
        Ok(found)
    }

    fn next(&self, events: &mut Events, newest: u64) -> Result<Option<Event>, FeedError> {
        events.next(newest).map_err(|error| match error {
            StoreError::Gone { oldest } => FeedError::Gone { oldest },
            other => FeedError::Store(other),
        })
    }

    fn place(&self, after: u64) -> Result<Events, FeedError> {
        let mut places = self.0.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = places.iter().position(|events| events.after() == after) {
            return Ok(places.remove(at));
        }
        drop(places);
        self.0.tail.after(after).map_err(|error| match error {
            StoreError::Gone { oldest } => FeedError::Gone { oldest },
            other => FeedError::Store(other),
        })
    }

    /// The one not used for longest makes room. One whose segment is gone would keep its space from the disk.
    fn keep(&self, events: Events) {
        let oldest = self.oldest();
        let mut places = self.0.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.retain(|place| place.after() + 1 >= oldest);
        if places.len() >= PLACES {
            places.remove(0);
        }
        places.push(events);
    }

    /// Returns once there is an event behind number `after`; `false`: the daemon stops.
    pub async fn news(&self, after: u64) -> bool {
        let mut last = self.0.last.clone();
        tokio::select! {
            // The core has gone: the stop goes on.
            came = last.wait_for(|last| *last > after) => came.is_ok(),
            () = self.0.stop.cancelled() => false,
        }
    }

    /// Returns once the daemon stops.
    pub async fn stopping(&self) {
        self.0.stop.cancelled().await;
    }
}
