//! The applied state in sled, and the only file that names sled.
//!
//! One tree. Each batch is applied as a whole together with `applied`, the place of the journal record it
//! came from; so after a crash the state is that of some record, and replay goes on from there. Every value
//! carries a checksum over key and value, because sled does not tell rot: nothing is read unchecked. Keys
//! under [`RESERVED`] are ours and no reader sees them.
//!
//! ```text
//! value: | value ... | crc32c of key and value 4 |
//! 0 a: applied seq 8, hash of that record 16        0 s: schema 4
//! ```
//! sled can panic on a damaged file, so it is opened on a thread of its own; after its first error an
//! iterator of it yields errors for ever, so ours ends there.

use std::fmt;
use std::fs::{self, File};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use super::files::{self, Doing};
use super::frame::Hash;
use super::{Entries, Entry, Read, StoreError};

/// First byte of the keys the store keeps for itself.
pub const RESERVED: u8 = 0;
const APPLIED: &[u8] = &[RESERVED, b'a'];
const SCHEMA_KEY: &[u8] = &[RESERVED, b's'];
const CRC_BYTES: usize = 4;
/// sled's background roll, collection of space and its only regular sync.
const FLUSH_EVERY_MS: u64 = 500;
/// A damaged file has been seen to make sled spin; a good one of gigabytes opens in seconds.
const OPEN_PATIENCE: Duration = Duration::from_secs(300);
const LOCK_TRIES: usize = 500;
const LOCK_PAUSE: Duration = Duration::from_millis(10);
/// Entries per batch while a state is built.
const IMPORT_BATCH: usize = 500;

/// How far the journal is applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    pub seq: u64,
    pub hash: Hash,
}

impl Applied {
    fn encode(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.seq.to_be_bytes());
        bytes[8..].copy_from_slice(&self.hash);
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Applied> {
        let bytes: &[u8; 24] = bytes.try_into().ok()?;
        let (seq, hash) = (bytes.first_chunk()?, bytes.last_chunk()?);
        Some(Applied { seq: u64::from_be_bytes(*seq), hash: *hash })
    }
}

/// The open state. Clones share it; the directory stays locked until the last is gone.
#[derive(Clone)]
pub struct State {
    db: sled::Db,
    dir: PathBuf,
    /// sled's own file: its `flush` is no sync, ours on this is.
    file: Arc<File>,
    _lock: Arc<File>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "State({})", self.dir.display())
    }
}

impl State {
    /// Opens or makes the state in `dir`. `Damaged` also when sled panicked or did not come back.
    pub(super) fn open(dir: &Path, cache_bytes: u64, lock: Arc<File>) -> Result<State, StoreError> {
        remove_leftovers(dir)?;
        let db = open_sled(dir, cache_bytes)?;
        let path = dir.join("db");
        let file = File::options().read(true).write(true).open(&path);
        let file = Arc::new(file.doing(|| format!("open {}", path.display()))?);
        Ok(State { db, dir: dir.to_path_buf(), file, _lock: lock })
    }

    /// How far the journal is applied; `None` in a state that was never finished.
    pub(super) fn applied(&self) -> Result<Option<Applied>, StoreError> {
        let Some(bytes) = self.load(APPLIED)? else { return Ok(None) };
        Applied::decode(&bytes).map(Some).ok_or_else(|| damaged("its mark has a wrong length"))
    }

    pub(super) fn schema(&self) -> Result<Option<u32>, StoreError> {
        let Some(bytes) = self.load(SCHEMA_KEY)? else { return Ok(None) };
        let bytes = bytes.first_chunk().ok_or_else(|| damaged("its schema has a wrong length"))?;
        Ok(Some(u32::from_be_bytes(*bytes)))
    }

    /// Applies the writes of one record, all or none.
    pub(super) fn apply<'a>(
        &self,
        applied: Applied,
        writes: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>,
    ) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        let mut sealed = Vec::new();
        for (key, value) in writes {
            match value {
                Some(value) => batch.insert(key, seal(&mut sealed, key, value)),
                None => batch.remove(key),
            }
        }
        batch.insert(APPLIED, seal(&mut sealed, APPLIED, &applied.encode()));
        self.db.apply_batch(batch).map_err(|e| from_sled("apply to the state", e))
    }

    /// Fills a new state and only at the end marks it with how far it is applied.
    pub(super) fn fill(
        &self,
        schema: u32,
        applied: Applied,
        entries: impl Iterator<Item = Result<Entry, StoreError>>,
    ) -> Result<(), StoreError> {
        let filling = |e| from_sled("fill the state", e);
        let (mut batch, mut count, mut sealed) = (sled::Batch::default(), 0, Vec::new());
        for entry in entries {
            let (key, value) = entry?;
            batch.insert(&key[..], seal(&mut sealed, &key, &value));
            count += 1;
            if count % IMPORT_BATCH == 0 {
                self.db.apply_batch(std::mem::take(&mut batch)).map_err(filling)?;
            }
        }
        batch.insert(SCHEMA_KEY, seal(&mut sealed, SCHEMA_KEY, &schema.to_be_bytes()));
        batch.insert(APPLIED, seal(&mut sealed, APPLIED, &applied.encode()));
        self.db.apply_batch(batch).map_err(filling)
    }

    /// Makes everything applied before the call durable.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        self.db.flush().map_err(|e| from_sled("flush the state", e))?;
        self.file.sync_data().doing(|| String::from("sync the state"))
    }

    /// Makes the names and settings of a new state durable too.
    pub(super) fn sync_all(&self) -> Result<(), StoreError> {
        self.sync()?;
        let conf = self.dir.join("conf");
        let synced = File::open(&conf).and_then(|f| f.sync_all()).and_then(|()| self.file.sync_all());
        synced.doing(|| format!("sync {}", conf.display()))?;
        files::sync_dir(&self.dir)?;
        self.dir.parent().map_or(Ok(()), files::sync_dir)
    }

    pub(super) fn size_on_disk(&self) -> Result<u64, StoreError> {
        self.db.size_on_disk().map_err(|e| from_sled("measure the state", e))
    }

    /// All entries in key order, each checked; nothing comes after an error.
    pub(super) fn entries(&self) -> impl Iterator<Item = Result<Entry, StoreError>> + use<> {
        let mut range = Some(self.db.range(vec![RESERVED + 1]..));
        std::iter::from_fn(move || {
            let entry =
                range.as_mut()?.next()?.map_err(|e| from_sled("read the state", e)).and_then(open_entry);
            if entry.is_err() {
                range = None;
            }
            Some(entry)
        })
    }

    fn load(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let found = self.db.get(key).map_err(|e| from_sled("read the state", e))?;
        found.map(|sealed| unseal(key, &sealed).map(<[u8]>::to_vec)).transpose()
    }
}

/// Reads the applied state beside the writer. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reader {
    pub(super) state: State,
}

impl Reader {
    fn range(&self, from: &[u8], to: &[u8]) -> Option<sled::Iter> {
        let from = if from < &[RESERVED + 1][..] { vec![RESERVED + 1] } else { from.to_vec() };
        (from[..] < *to).then(|| self.state.db.range((Bound::Included(from), Bound::Excluded(to.to_vec()))))
    }
}

impl Read for Reader {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        if key.first().is_none_or(|&first| first == RESERVED) {
            return Ok(None);
        }
        self.state.load(key)
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Entries, StoreError> {
        self.range(from, to).map_or(Ok(Entries::new()), |range| collect(range, limit))
    }

    fn scan_back(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Entries, StoreError> {
        self.range(from, to).map_or(Ok(Entries::new()), |range| collect(range.rev(), limit))
    }
}

type SledEntry = sled::Result<(sled::IVec, sled::IVec)>;

/// Ends at the first error: sled would repeat it for ever.
fn collect(range: impl Iterator<Item = SledEntry>, limit: usize) -> Result<Entries, StoreError> {
    let mut entries = Entries::new();
    for entry in range.take(limit) {
        entries.push(open_entry(entry.map_err(|e| from_sled("read the state", e))?)?);
    }
    Ok(entries)
}

fn open_entry((key, sealed): (sled::IVec, sled::IVec)) -> Result<Entry, StoreError> {
    let value = unseal(&key, &sealed)?.to_vec();
    Ok((key.to_vec(), value))
}

fn seal<'b>(buffer: &'b mut Vec<u8>, key: &[u8], value: &[u8]) -> &'b [u8] {
    buffer.clear();
    buffer.extend_from_slice(value);
    buffer.extend_from_slice(&checksum(key, value).to_le_bytes());
    buffer
}

fn unseal<'b>(key: &[u8], sealed: &'b [u8]) -> Result<&'b [u8], StoreError> {
    let split = sealed.len().checked_sub(CRC_BYTES).map(|at| sealed.split_at(at));
    match split {
        Some((value, crc)) if checksum(key, value).to_le_bytes() == *crc => Ok(value),
        _ => Err(damaged("a value does not match its checksum")),
    }
}

fn checksum(key: &[u8], value: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(key), value)
}

/// On a thread of its own, because on a damaged file sled panics or does not come back.
fn open_sled(dir: &Path, cache_bytes: u64) -> Result<sled::Db, StoreError> {
    let config =
        sled::Config::new().path(dir).cache_capacity(cache_bytes).flush_every_ms(Some(FLUSH_EVERY_MS));
    let (done, opened) = sync_channel(1);
    let open = move || {
        let mut db = config.open();
        for _ in 0..LOCK_TRIES {
            if !db.as_ref().is_err_and(is_locked) {
                break;
            }
            std::thread::sleep(LOCK_PAUSE);
            db = config.open();
        }
        // A receiver that gave up needs no answer.
        drop(done.send(db));
    };
    let thread = std::thread::Builder::new().name(String::from("state-open"));
    thread.spawn(open).doing(|| String::from("start a thread"))?;
    match opened.recv_timeout(OPEN_PATIENCE) {
        Ok(db) => db.map_err(|e| from_sled("open the state", e)),
        Err(RecvTimeoutError::Disconnected) => Err(damaged("opening it panicked")),
        Err(RecvTimeoutError::Timeout) => Err(damaged("opening it does not end")),
    }
}

/// Our own lock keeps other processes out; what holds sled's, which has no kind of its own, is
/// a thread of its that is just ending.
fn is_locked(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(e) if e.kind() == std::io::ErrorKind::Other)
}

/// A half-written snapshot of sled's would be taken as its newest and stop it from opening.
fn remove_leftovers(dir: &Path) -> Result<(), StoreError> {
    let listing = || format!("list {}", dir.display());
    let entries = match fs::read_dir(dir) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        other => other.doing(listing)?,
    };
    for entry in entries {
        let path = entry.doing(listing)?.path();
        if path.extension().is_some_and(|e| e == "generating") {
            files::remove(&path)?;
        }
    }
    Ok(())
}

fn damaged(why: &str) -> StoreError {
    StoreError::Damaged(format!("the state: {why}"))
}

fn from_sled(doing: &str, error: sled::Error) -> StoreError {
    match error {
        sled::Error::Io(source) => StoreError::Io { doing: String::from(doing), source },
        other => StoreError::Damaged(format!("{doing}: {other}")),
    }
}

#[cfg(test)]
impl State {
    /// Turns one bit of a value on its way past the checksum.
    pub(super) fn rot(&self, key: &[u8]) {
        let mut sealed = self.db.get(key).unwrap().unwrap().to_vec();
        sealed[0] ^= 1;
        self.db.insert(key, sealed).unwrap();
    }
}
