//! Reading the journal's events beside the writer: from which one on, and what must not be dropped meanwhile.
//!
//! Any thread may read. A segment goes when neither the state nor a [`Hold`] needs it; what a reader without a
//! hold still wanted is [`StoreError::Gone`] then, never silently skipped. What events mean is not known here.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::StoreError;
use super::journal::{self, Follower};

/// The journal as its readers see it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tail {
    dir: PathBuf,
    synced: Arc<AtomicU64>,
    oldest: Arc<AtomicU64>,
    holds: Holds,
}

/// One event as it was committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The first is 1; none is left out.
    pub number: u64,
    /// The record it stands in.
    pub seq: u64,
    pub bytes: Vec<u8>,
}

impl Tail {
    pub(super) fn new(dir: PathBuf, synced: Arc<AtomicU64>, oldest: Arc<AtomicU64>, holds: Holds) -> Tail {
        Tail { dir, synced, oldest, holds }
    }

    /// Events behind number `after`, and later ones as they come.
    ///
    /// # Errors
    /// [`StoreError::Gone`] when the journal does not go back that far.
    pub fn after(&self, after: u64) -> Result<Events, StoreError> {
        let first = journal::segment_of_event(&self.dir, after.saturating_add(1))?;
        let mut follower = Follower::start(&self.dir, first, self.synced.clone());
        // The writer may have dropped it since it was found.
        if matches!(follower, Err(StoreError::Damaged(_))) {
            let first = journal::segment_of_event(&self.dir, after.saturating_add(1))?;
            follower = Follower::start(&self.dir, first, self.synced.clone());
        }
        let mut follower = follower?;
        follower.pass_events_before(after.saturating_add(1))?;
        Ok(Events { tail: self.clone(), follower, after, read: VecDeque::new() })
    }

    /// Number of the oldest event that is there, or would be.
    pub fn oldest(&self) -> u64 {
        self.oldest.load(Ordering::Acquire)
    }

    /// Sequence of the last record on the disk.
    pub fn seq(&self) -> u64 {
        self.synced.load(Ordering::Acquire)
    }

    /// Keeps records from `seq` on, within the bound of the store's options, while the hold lives.
    pub fn hold(&self, seq: u64) -> Hold {
        let mut held = self.holds.lock();
        held.last += 1;
        let number = held.last;
        held.from.insert(number, seq);
        drop(held);
        Hold { holds: self.holds.clone(), number }
    }
}

/// A reader of events, in order.
#[derive(Debug)]
pub struct Events {
    tail: Tail,
    follower: Follower,
    after: u64,
    /// Of the record that was read last.
    read: VecDeque<Event>,
}

impl Events {
    /// Number of the last event that was given.
    pub fn after(&self) -> u64 {
        self.after
    }

    /// The next event up to number `until`; `None` when there is none yet.
    ///
    /// # Errors
    /// [`StoreError::Gone`] when it was dropped before it was read.
    pub fn next(&mut self, until: u64) -> Result<Option<Event>, StoreError> {
        while self.after < until {
            if let Some(event) = self.read.pop_front() {
                self.after = event.number;
                return Ok(Some(event));
            }
            if !self.read_record()? {
                break;
            }
        }
        Ok(None)
    }

    /// Whether there was a record.
    fn read_record(&mut self) -> Result<bool, StoreError> {
        let after = self.after;
        let events = match self.follower.read() {
            Ok(None) => return Ok(false),
            Ok(Some(record)) => {
                let seq = record.at.seq;
                let event = |(number, bytes): (u64, &[u8])| Event { number, seq, bytes: bytes.to_vec() };
                record.events().map(event).filter(|event| event.number > after).collect()
            }
            Err(error) => {
                let oldest = self.tail.oldest();
                return Err(if oldest > after + 1 { StoreError::Gone { oldest } } else { error });
            }
        };
        self.read = events;
        Ok(true)
    }
}

/// Who needs which records.
#[derive(Clone, Debug, Default)]
pub(super) struct Holds(Arc<Mutex<Held>>);

#[derive(Debug, Default)]
struct Held {
    last: u64,
    /// First sequence needed, by the number of the hold.
    from: BTreeMap<u64, u64>,
}

impl Holds {
    fn lock(&self) -> std::sync::MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first sequence that anybody needs.
    pub fn first(&self) -> Option<u64> {
        self.lock().from.values().min().copied()
    }
}

/// Keeps the journal from a record on. Dropped, it keeps nothing.
#[derive(Debug)]
pub struct Hold {
    holds: Holds,
    number: u64,
}

impl Hold {
    /// Records before `seq` are not needed any more.
    pub fn advance(&self, seq: u64) {
        self.holds.lock().from.insert(self.number, seq);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.holds.lock().from.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::{NOW, batch, maintain_until, ready};
    use crate::store::{Batch, Store};
    use tempfile::TempDir;

    fn numbers(events: &mut Events, until: u64) -> Vec<u64> {
        std::iter::from_fn(|| events.next(until).unwrap()).map(|event| event.number).collect()
    }

    /// Commits of `each` events until the journal has several segments; the number of the last event.
    fn fill(store: &mut Store, commits: u64, each: u8) -> u64 {
        for n in 0..commits {
            let events = (0..each).map(|e| vec![n as u8, e]).collect();
            store.commit(&Batch { events, ..batch(n as u8) }, NOW).unwrap();
        }
        store.last_event()
    }

    #[test]
    fn events_are_read_from_any_number_on_over_records_and_segments() {
        let dir = TempDir::new().unwrap();
        let (mut store, _) = ready(&dir);
        let last = fill(&mut store, 400, 3);
        assert!(store.journal.segments().len() > 2);
        for after in [0, 1, 2, 3, 700, last - 1, last] {
            let mut events = store.tail().after(after).unwrap();
            assert_eq!(numbers(&mut events, last), (after + 1..=last).collect::<Vec<_>>(), "after {after}");
        }
        let mut events = store.tail().after(0).unwrap();
        assert_eq!(numbers(&mut events, 2), [1, 2], "not beyond what was asked for, within a record too");
        assert_eq!(numbers(&mut events, 4), [3, 4]);
    }

    #[test]
    fn a_reader_at_the_head_gets_what_comes() {
        let dir = TempDir::new().unwrap();
        let (mut store, _) = ready(&dir);
        let mut events = store.tail().after(0).unwrap();
        assert_eq!(events.next(9).unwrap(), None);
        store.commit(&batch(7), NOW).unwrap();
        assert_eq!(events.next(9).unwrap(), Some(Event { number: 1, seq: 1, bytes: vec![7] }));
        assert_eq!(events.next(9).unwrap(), None);
    }

    #[test]
    fn a_hold_keeps_the_journal_and_without_one_the_oldest_is_told() {
        let dir = TempDir::new().unwrap();
        let (mut store, _) = ready(&dir);
        let hold = store.tail().hold(1);
        let last = fill(&mut store, 900, 1);
        maintain_until(&mut store, |store| store.upkeep_is_ahead()).unwrap();
        assert_eq!(store.tail().oldest(), 1);
        let mut slow = store.tail().after(0).unwrap();
        drop(hold);
        maintain_until(&mut store, |store| store.journal.oldest() > 1).unwrap();
        let oldest = store.tail().oldest();
        assert!(matches!(store.tail().after(0), Err(StoreError::Gone { oldest: told }) if told == oldest));
        assert_eq!(
            numbers(&mut store.tail().after(oldest - 1).unwrap(), last).len() as u64,
            last - oldest + 1
        );
        let lost = std::iter::from_fn(|| slow.next(last).transpose()).find_map(Result::err);
        assert!(matches!(lost, Some(StoreError::Gone { oldest: told }) if told == oldest));
    }

    #[test]
    fn a_hold_that_goes_too_far_back_is_not_kept() {
        let dir = TempDir::new().unwrap();
        let (mut store, _) = ready(&dir);
        let _hold = store.tail().hold(1);
        fill(&mut store, 4_000, 1);
        maintain_until(&mut store, |store| store.journal.oldest() > 1).unwrap();
    }
}
