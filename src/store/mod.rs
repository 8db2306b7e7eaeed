//! What survives: a redo journal that is the truth, and sled as the queue and its indexes. Floor 1.
//!
//! Every step of the core becomes one [`Batch`]. [`Store::commit`] appends it to the journal, syncs, and
//! applies it to sled as one atomic batch that carries `applied_seq`. Only then may anybody be answered.
//! sled's own `flush` is no sync and rot in it is silent, so nothing rests on it: it can always be
//! rebuilt from the last snapshot and the journal. This is the only floor that names sled or the journal's files.

pub mod keys;
pub mod record;

use std::collections::BTreeMap;

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

/// A page of entries, key and value, in key order (or reverse).
pub type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// Reading the applied state. sled implements it ([`state`]), and so does a map in the simulation.
pub trait Read {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;
    /// At most `limit` entries with `from <= key < to`, ascending.
    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Entries, StoreError>;
    /// The same range, descending.
    fn scan_back(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Entries, StoreError>;
}

/// Why the store cannot do what was asked. Each ends the daemon or starts it in quarantine; none is retried.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{doing}: {source}")]
    Io { doing: String, source: std::io::Error },
    #[error("the state is damaged: {0}")]
    Damaged(String),
    #[error("another nudged uses {0}")]
    Locked(String),
}
