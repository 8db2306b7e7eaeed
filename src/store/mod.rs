//! What survives: a redo journal that is the truth, and sled as the queue and its indexes. Floor 1.
//!
//! Every step of the core becomes one [`Batch`]. [`Store::commit`] appends it to the journal, syncs, and
//! applies it to sled between two marks that carry its sequence. Only then may anybody be answered;
//! what needs no more than that the batch is durable may be done a little earlier ([`Store::commit_then`]).
//! sled's own `flush` is no sync and rot in it is silent, so nothing rests on it: it can always be
//! rebuilt from the last snapshot and the journal. This is the only floor that names sled or the journal's files.
//!
//! ```text
//! <dir>/lock         held while anybody uses the directory     <dir>/ballast     space to open with on a full disk
//! <dir>/journal/     segments (journal.rs, frame.rs)           <dir>/checkpoint  how far the state is durable (mark.rs)
//! <dir>/state/       sled (state.rs)                           <dir>/snapshot    the state to rebuild from (snapshot.rs)
//! <dir>/state.aside-<n>  states that did not fit the journal   <dir>/suspect     the state must be rebuilt, and why
//! ```

mod files;
pub mod frame;
mod journal;
pub mod keys;
pub mod lines;
mod maintain;
mod mark;
pub mod migrate;
mod open;
pub mod record;
pub mod snapshot;
mod state;
mod tail;

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::clock::Timestamp;
use journal::Journal;
use maintain::Upkeep;
use mark::{Mark, Stop};
use state::{Applied, State};

pub use journal::Follower;
pub use open::{Opened, Recovery, open};
pub use state::Reader;
pub use tail::{Event, Events, Hold, Tail};

/// Puts and deletes of one step, and the events it made. Later writes to a key replace earlier ones.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Batch {
    /// `None` deletes.
    pub writes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// Published events in order, opaque here; each gets a sequence number of its own.
    pub events: Vec<Vec<u8>>,
}

impl Batch {
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.events.is_empty()
    }
}

/// Key and value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// A page of entries in key order (or reverse).
pub type Entries = Vec<Entry>;

/// Reading the applied state. sled implements it ([`Reader`]), and so does a map in the simulation.
pub trait Read {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;
    /// At most `limit` entries with `from <= key < to`, ascending.
    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Entries, StoreError>;
    /// The same range, descending.
    fn scan_back(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Entries, StoreError>;
}

/// Why the store cannot do what was asked. Each but `Gone` ends the daemon or starts it in quarantine; none is
/// retried.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{doing}: {source}")]
    Io { doing: String, source: std::io::Error },
    #[error("the state is damaged: {0}")]
    Damaged(String),
    /// Of the events alone: none is lost that the state needs.
    #[error("the journal begins with event {oldest}")]
    Gone { oldest: u64 },
    #[error("another nudged uses {0}")]
    Locked(String),
    #[error(
        "the {what} has version {found} and this program knows {known}: a newer nudged wrote it, run that one"
    )]
    Newer { what: &'static str, found: u32, known: u32 },
}

/// Sizes, all in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Length of a journal segment; on a disk with little free space a sixty-fourth of that.
    pub segment_bytes: u64,
    /// Journal after which a new snapshot is taken.
    pub snapshot_after: u64,
    /// Journal after which the state is made durable; bounds the replay after a crash.
    pub checkpoint_after: u64,
    /// File given up when the disk is too full to open.
    pub ballast_bytes: u64,
    /// sled's page cache, as sled counts: by length on the disk, a third of what the pages take in memory.
    pub cache_bytes: u64,
    /// A state larger than this and 20 times its snapshot is written anew at the start.
    pub compact_above: u64,
    /// Journal kept for readers of events who hold nothing, in whole segments.
    pub history_bytes: u64,
    /// Journal kept at most for those who do; never more than is still free on the disk.
    pub hold_bytes: u64,
    /// Each commit is synced before it counts. Without it what was committed survives the process and not the
    /// machine: for rehearsals alone, whose store is gone with them.
    pub durable: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            segment_bytes: 64 << 20,
            snapshot_after: 256 << 20,
            checkpoint_after: 16 << 20,
            ballast_bytes: 32 << 20,
            cache_bytes: 8 << 20,
            compact_above: 256 << 20,
            history_bytes: 128 << 20,
            hold_bytes: 1 << 30,
            durable: true,
        }
    }
}

impl Options {
    /// Small, so that tests rotate, check and snapshot soon.
    pub fn for_tests() -> Options {
        Options {
            segment_bytes: 16 << 10,
            snapshot_after: 64 << 10,
            checkpoint_after: 16 << 10,
            ballast_bytes: 4 << 10,
            cache_bytes: 4 << 20,
            compact_above: 256 << 20,
            history_bytes: 0,
            hold_bytes: 256 << 10,
            durable: true,
        }
    }
}

/// The place of a durable batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Sequence of the batch; for an empty one that of the last before it.
    pub seq: u64,
    /// Number of the batch's first event, or of the next event to come.
    pub first_event: u64,
}

/// The store, owned by the one thread that writes.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    options: Options,
    journal: Journal,
    state: State,
    /// What failed; nothing is written after it.
    failed: Option<String>,
    upkeep: Upkeep,
}

impl Store {
    /// Makes a batch durable and applies it. An empty batch writes nothing.
    ///
    /// # Errors
    /// Any error leaves open whether the batch survives, and every later commit fails too: end the daemon
    /// and open again.
    pub fn commit(&mut self, batch: &Batch, now: Timestamp) -> Result<Committed, StoreError> {
        self.commit_then(batch, now, || ())
    }

    /// The same, with `durable` called once the batch is durable and before it is applied: it survives
    /// whatever comes, but no reader sees it yet.
    ///
    /// # Errors
    /// As [`Store::commit`]; `durable` may have been called.
    pub fn commit_then(
        &mut self,
        batch: &Batch,
        now: Timestamp,
        durable: impl FnOnce(),
    ) -> Result<Committed, StoreError> {
        self.check()?;
        if batch.is_empty() {
            durable();
            return Ok(Committed { seq: self.seq(), first_event: self.journal.next().event });
        }
        let result = self.write(batch, now, durable);
        self.remember(result)
    }

    fn write(
        &mut self,
        batch: &Batch,
        now: Timestamp,
        durable: impl FnOnce(),
    ) -> Result<Committed, StoreError> {
        let reserved = |key: &Vec<u8>| key.first().is_none_or(|&first| first == state::RESERVED);
        if batch.writes.keys().any(reserved) {
            return Err(StoreError::Damaged(String::from("a batch writes a reserved key")));
        }
        let at = self.journal.append(batch, now)?;
        durable();
        let applied = Applied { seq: at.seq, hash: self.journal.next().prev };
        let writes = batch.writes.iter().map(|(key, value)| (&key[..], value.as_deref()));
        self.state.apply(applied, writes)?;
        Ok(Committed { seq: at.seq, first_event: at.event })
    }

    /// What was read is damaged: the next start rebuilds the state instead of using it.
    pub fn suspect(&self, why: &str) -> Result<(), StoreError> {
        mark::suspect(&self.dir, why)
    }

    /// Reads what is applied, from any thread, for as long as it is kept.
    pub fn reader(&self) -> Reader {
        Reader { state: self.state.clone() }
    }

    /// Reads journal records from `seq` on, and later ones as they come, from any thread.
    ///
    /// # Errors
    /// `Damaged` when the journal does not go back that far.
    pub fn read_from(&self, seq: u64) -> Result<Follower, StoreError> {
        self.journal.follow(seq)
    }

    /// Reads events beside the writer, from any thread.
    pub fn tail(&self) -> Tail {
        self.journal.tail()
    }

    /// Number of the last durable event; 0 before the first.
    pub fn last_event(&self) -> u64 {
        self.journal.next().event - 1
    }

    /// Sequence of the last durable batch; 0 before the first.
    pub fn seq(&self) -> u64 {
        self.journal.head()
    }

    /// Bytes that can still be written where the store lies.
    pub fn free_bytes(&self) -> Result<u64, StoreError> {
        files::free_bytes(&self.dir)
    }

    /// Makes everything durable and notes that the stop was clean.
    pub fn close(mut self, now: Timestamp) -> Result<(), StoreError> {
        self.check()?;
        tracing::debug!(seq = self.seq(), at = %now, "closing the store");
        self.upkeep.finish()?;
        self.state.sync()?;
        let applied = Applied { seq: self.seq(), hash: self.journal.next().prev };
        let digest = open::digest_if_small(&self.state)?;
        Mark::new(applied, Stop::Clean { digest }).write(&self.dir)
    }

    fn check(&self) -> Result<(), StoreError> {
        let Some(why) = &self.failed else { return Ok(()) };
        let source = std::io::Error::other("the store has failed before");
        Err(StoreError::Io { doing: why.clone(), source })
    }

    fn remember<T>(&mut self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(e) = &result {
            self.failed = Some(e.to_string());
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    pub(super) const NOW: Timestamp = Timestamp::from_millis(1_795_269_900_000);

    pub(super) fn ready(dir: &TempDir) -> (Store, Recovery) {
        match open(dir.path(), Options::for_tests(), NOW).unwrap() {
            Opened::Ready { store, recovery } => (store, recovery),
            Opened::Quarantined { why, .. } => panic!("{why}"),
        }
    }

    pub(super) fn batch(n: u8) -> Batch {
        let mut batch = Batch::default();
        batch.writes.insert(vec![b'h', n], Some(vec![n; 40]));
        batch.events.push(vec![n]);
        batch
    }

    #[test]
    fn what_was_committed_is_there_after_a_reopen_and_counting_goes_on() {
        let dir = TempDir::new().unwrap();
        let (mut store, first) = ready(&dir);
        assert!(first.fresh);
        assert_eq!(store.commit(&batch(1), NOW).unwrap(), Committed { seq: 1, first_event: 1 });
        assert_eq!(store.commit(&Batch::default(), NOW).unwrap(), Committed { seq: 1, first_event: 2 });
        drop(store);
        let (mut store, second) = ready(&dir);
        assert_eq!((second.fresh, second.clean, second.rebuilt), (false, false, None));
        assert_eq!(store.reader().get(&[b'h', 1]).unwrap(), Some(vec![1; 40]));
        assert_eq!(store.commit(&batch(2), NOW).unwrap(), Committed { seq: 2, first_event: 2 });
        store.close(NOW).unwrap();
        assert!(ready(&dir).1.clean);
    }

    #[test]
    fn a_second_opening_is_refused_while_a_reader_lives() {
        let dir = TempDir::new().unwrap();
        let reader = ready(&dir).0.reader();
        let again = open(dir.path(), Options::for_tests(), NOW);
        assert!(matches!(again, Err(StoreError::Locked(_))));
        drop(reader);
        ready(&dir);
    }

    #[test]
    fn after_a_failed_write_nothing_is_committed_any_more() {
        let dir = TempDir::new().unwrap();
        let (mut store, _) = ready(&dir);
        store.commit(&batch(1), NOW).unwrap();
        store.journal.break_writing();
        assert!(matches!(store.commit(&batch(2), NOW), Err(StoreError::Io { .. })));
        store.journal.mend_writing();
        assert!(matches!(store.commit(&batch(3), NOW), Err(StoreError::Io { .. })));
        assert!(store.maintain(NOW).is_err());
        assert!(store.close(NOW).is_err());
        let (store, recovery) = ready(&dir);
        assert_eq!((store.seq(), recovery.clean), (1, false));
        assert_eq!(store.reader().get(&[b'h', 2]).unwrap(), None);
    }

    #[test]
    fn what_waits_for_durable_is_done_before_the_state_shows_it_and_never_after_a_failed_write() {
        let dir = TempDir::new().unwrap();
        let (mut store, _) = ready(&dir);
        let reader = store.reader();
        let mut seen = None;
        store.commit_then(&batch(1), NOW, || seen = Some(reader.get(&[b'h', 1]).unwrap())).unwrap();
        assert_eq!(seen, Some(None));
        assert_eq!(reader.get(&[b'h', 1]).unwrap(), Some(vec![1; 40]));
        store.journal.break_writing();
        let mut called = false;
        assert!(store.commit_then(&batch(2), NOW, || called = true).is_err());
        assert!(!called);
    }

    /// A store that crashed while it applied its second record; whether the journal kept that one.
    fn half_applied(dir: &TempDir, in_journal: bool) {
        let (mut store, _) = ready(dir);
        store.commit(&batch(1), NOW).unwrap();
        let mut second = batch(2);
        second.writes.insert(vec![b'h', 3], Some(vec![3; 40]));
        second.writes.insert(vec![b'h', 1], None);
        let applied = if in_journal {
            let at = store.journal.append(&second, NOW).unwrap();
            Applied { seq: at.seq, hash: store.journal.next().prev }
        } else {
            Applied { seq: 2, hash: [7; 16] }
        };
        store.state.apply_a_part(applied, &[b'h', 2], &[2; 40]);
    }

    #[test]
    fn a_record_that_a_crash_left_half_applied_is_applied_whole_at_the_next_start() {
        let dir = TempDir::new().unwrap();
        half_applied(&dir, true);
        let (store, recovery) = ready(&dir);
        assert_eq!((recovery.replayed, recovery.rebuilt), (1, None));
        let entries = store.reader().scan(b"h", b"i", 9).unwrap();
        assert_eq!(entries, [(vec![b'h', 2], vec![2; 40]), (vec![b'h', 3], vec![3; 40])]);
    }

    #[test]
    fn half_of_a_record_that_the_journal_has_lost_is_noticed() {
        let dir = TempDir::new().unwrap();
        half_applied(&dir, false);
        let opened = open(dir.path(), Options::for_tests(), NOW).unwrap();
        assert!(matches!(opened, Opened::Quarantined { .. }));
    }

    #[test]
    fn reserved_keys_are_refused_and_hidden() {
        let dir = TempDir::new().unwrap();
        let (mut store, _) = ready(&dir);
        store.commit(&batch(1), NOW).unwrap();
        let reader = store.reader();
        assert_eq!(reader.get(&[0, b'a']).unwrap(), None);
        assert_eq!(reader.scan(&[], &[255], 10).unwrap(), [(vec![b'h', 1], vec![1; 40])]);
        assert_eq!(reader.scan_back(&[], &[255], 10).unwrap().len(), 1);
        let mut reserved = Batch::default();
        reserved.writes.insert(vec![0, b'a'], Some(Vec::new()));
        assert!(store.commit(&reserved, NOW).is_err());
    }

    /// Calls `maintain` with time going on until `done` says so.
    pub(super) fn maintain_until(store: &mut Store, done: impl Fn(&Store) -> bool) -> Result<(), StoreError> {
        let mut now = NOW;
        for _ in 0..200_000 {
            if done(store) {
                return Ok(());
            }
            now = now.saturating_add(std::time::Duration::from_secs(61));
            store.maintain(now)?;
            std::thread::yield_now();
        }
        panic!("what was waited for did not come");
    }

    #[test]
    fn a_quiet_store_is_checkpointed_after_a_minute() {
        let dir = TempDir::new().unwrap();
        let (mut store, _) = ready(&dir);
        store.commit(&batch(1), NOW).unwrap();
        let marked = |dir: &TempDir| Mark::read(dir.path()).unwrap().map(|mark| mark.applied().seq);
        store.maintain(NOW).unwrap();
        assert_eq!(marked(&dir), Some(0));
        maintain_until(&mut store, |_| marked(&dir) == Some(1)).unwrap();
    }

    #[test]
    fn segments_are_kept_until_both_checkpoint_and_snapshot_are_past_them() {
        let dir = TempDir::new().unwrap();
        let (mut store, _) = ready(&dir);
        let first = dir.path().join("journal/00000000000000000001");
        for n in 0..800 {
            store.commit(&batch(n as u8), NOW).unwrap();
            assert!(first.exists());
        }
        maintain_until(&mut store, |_| !first.exists()).unwrap();
        let (mark, extent) = (Mark::read(dir.path()).unwrap(), snapshot::extent(dir.path()).unwrap());
        assert!(store.journal.oldest() <= mark.unwrap().applied().seq + 1);
        assert!(store.journal.oldest() <= extent.unwrap().start + 1);
        assert!(matches!(store.read_from(1), Err(StoreError::Damaged(_))));
    }

    #[test]
    fn a_scrub_that_finds_rot_ends_the_store_and_the_next_start_rebuilds_it() {
        let dir = TempDir::new().unwrap();
        let (mut store, _) = ready(&dir);
        store.commit(&batch(1), NOW).unwrap();
        store.state.rot(&[b'h', 1]);
        assert!(matches!(store.reader().get(&[b'h', 1]), Err(StoreError::Damaged(_))));
        assert!(store.reader().scan(b"h", b"i", 10).is_err());
        let found = maintain_until(&mut store, |_| false);
        assert!(matches!(found, Err(StoreError::Damaged(_))));
        assert!(store.commit(&batch(2), NOW).is_err());
        drop(store);
        let (store, recovery) = ready(&dir);
        assert!(recovery.rebuilt.is_some());
        assert_eq!(store.reader().get(&[b'h', 1]).unwrap(), Some(vec![1; 40]));
    }

    #[test]
    fn the_ballast_comes_back_when_there_is_room() {
        let dir = TempDir::new().unwrap();
        let (mut store, _) = ready(&dir);
        let ballast = dir.path().join("ballast");
        for _ in 0..2 {
            store.maintain(NOW).unwrap();
            assert_eq!(std::fs::metadata(&ballast).unwrap().len(), Options::for_tests().ballast_bytes);
            std::fs::remove_file(&ballast).unwrap();
        }
    }

    #[test]
    fn a_step_larger_than_a_segment_gets_a_segment_of_its_own() {
        let dir = TempDir::new().unwrap();
        let (mut store, _) = ready(&dir);
        let large = vec![3; 3 * Options::for_tests().segment_bytes as usize];
        for value in [vec![1], large.clone(), vec![2]] {
            let writes = BTreeMap::from([(b"h".to_vec(), Some(value))]);
            store.commit(&Batch { writes, events: Vec::new() }, NOW).unwrap();
        }
        drop(store);
        std::fs::remove_dir_all(dir.path().join("state")).unwrap();
        let (store, recovery) = ready(&dir);
        assert_eq!((store.seq(), recovery.replayed), (3, 3));
        assert_eq!(store.reader().get(b"h").unwrap(), Some(vec![2]));
    }

    #[test]
    fn a_segment_that_is_missing_shortened_or_foreign_is_damage() {
        type Fault = fn(&std::path::Path);
        let faults: [(&str, Fault); 3] = [
            ("missing", |segment| std::fs::remove_file(segment).unwrap()),
            ("shortened", |segment| {
                let file = std::fs::OpenOptions::new().write(true).open(segment).unwrap();
                file.set_len(Options::for_tests().segment_bytes - 8).unwrap();
            }),
            ("foreign", |segment| {
                let other = TempDir::new().unwrap();
                let mut store = ready(&other).0;
                for n in 0..400 {
                    store.commit(&batch(n as u8 ^ 1), NOW).unwrap();
                }
                std::fs::copy(other.path().join("journal").join(segment.file_name().unwrap()), segment)
                    .unwrap();
            }),
        ];
        for (name, fault) in faults {
            let dir = TempDir::new().unwrap();
            let mut store = ready(&dir).0;
            for n in 0..400 {
                store.commit(&batch(n as u8), NOW).unwrap();
            }
            let segments = store.journal.segments();
            drop(store);
            fault(&journal::segment_path(&dir.path().join("journal"), segments[1]));
            let opened = open(dir.path(), Options::for_tests(), NOW).unwrap();
            assert!(matches!(opened, Opened::Quarantined { reader: Some(_), .. }), "{name}");
        }
    }

    #[test]
    fn a_state_of_a_newer_schema_is_refused() {
        let dir = TempDir::new().unwrap();
        let (store, _) = ready(&dir);
        store.state.fill(migrate::SCHEMA + 1, Applied::default(), std::iter::empty()).unwrap();
        drop(store);
        let refused = open(dir.path(), Options::for_tests(), NOW);
        assert!(matches!(refused, Err(StoreError::Newer { what: "state", .. })));
    }
}
