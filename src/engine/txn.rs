//! One step's view of the state: what is applied, with the step's own writes over it.
//!
//! Commands of one step see each other's writes, so two of them can never overwrite each other unseen.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::store::{Batch, Entries, Read, StoreError, record};

/// Reads through the step's own writes; `batch` is what the step will commit.
pub struct Txn<'a> {
    state: &'a dyn Read,
    pub batch: Batch,
    /// Keys made in this step that the state cannot have: deleting one again costs nothing.
    fresh: BTreeSet<Vec<u8>>,
    /// What the writes since the last [`Txn::begin`] replaced, oldest first.
    undo: Option<Vec<Undo>>,
}

/// One write, to be taken back.
struct Undo {
    key: Vec<u8>,
    /// What the batch held before; `None`: nothing.
    before: Option<Option<Vec<u8>>>,
    was_fresh: bool,
}

impl<'a> Txn<'a> {
    pub fn new(state: &'a dyn Read) -> Txn<'a> {
        Txn { state, batch: Batch::default(), fresh: BTreeSet::new(), undo: None }
    }

    pub fn get<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, StoreError> {
        let bytes = match self.batch.writes.get(key) {
            Some(written) => written.clone(),
            None => self.state.get(key)?,
        };
        bytes.map(|bytes| record::decode(&bytes)).transpose()
    }

    pub fn contains(&self, key: &[u8]) -> Result<bool, StoreError> {
        match self.batch.writes.get(key) {
            Some(written) => Ok(written.is_some()),
            None => Ok(self.state.get(key)?.is_some()),
        }
    }

    pub fn put<T: Serialize>(&mut self, key: Vec<u8>, value: &T) {
        self.remember(&key);
        self.batch.writes.insert(key, Some(record::encode(value)));
    }

    /// A put of a key that cannot exist yet.
    pub fn put_new<T: Serialize>(&mut self, key: Vec<u8>, value: &T) {
        self.put(key.clone(), value);
        self.fresh.insert(key);
    }

    pub fn delete(&mut self, key: Vec<u8>) {
        self.remember(&key);
        if self.fresh.remove(&key) {
            self.batch.writes.remove(&key);
        } else {
            self.batch.writes.insert(key, None);
        }
    }

    /// From here on writes can be taken back, until the next call.
    pub fn begin(&mut self) {
        self.undo = Some(Vec::new());
    }

    /// Takes back every write since [`Txn::begin`].
    pub fn roll_back(&mut self) {
        for Undo { key, before, was_fresh } in self.undo.take().unwrap_or_default().into_iter().rev() {
            if was_fresh {
                self.fresh.insert(key.clone());
            } else {
                self.fresh.remove(&key);
            }
            match before {
                Some(before) => self.batch.writes.insert(key, before),
                None => self.batch.writes.remove(&key),
            };
        }
    }

    /// Nothing more is to be taken back.
    pub fn end(&mut self) {
        self.undo = None;
    }

    fn remember(&mut self, key: &[u8]) {
        if let Some(undo) = &mut self.undo {
            let before = self.batch.writes.get(key).cloned();
            undo.push(Undo { key: key.to_vec(), before, was_fresh: self.fresh.contains(key) });
        }
    }

    /// Deletes a key that is often absent: only where the state or the step has it.
    pub fn delete_if_present(&mut self, key: Vec<u8>) -> Result<(), StoreError> {
        if self.contains(&key)? {
            self.delete(key);
        }
        Ok(())
    }

    /// At most `limit` entries with `from <= key < to`, ascending, the step's own writes included.
    pub fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Entries, StoreError> {
        let over = self.over(from, to);
        // Every deleted entry may hide one of the state's, so that many more are read.
        let mut merged: BTreeMap<_, _> = self.state.scan(from, to, limit + over.len())?.into_iter().collect();
        lay(&mut merged, over);
        Ok(merged.into_iter().take(limit).collect())
    }

    /// The same range, descending.
    pub fn scan_back(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Entries, StoreError> {
        let over = self.over(from, to);
        let mut merged: BTreeMap<_, _> =
            self.state.scan_back(from, to, limit + over.len())?.into_iter().collect();
        lay(&mut merged, over);
        Ok(merged.into_iter().rev().take(limit).collect())
    }

    fn over(&self, from: &[u8], to: &[u8]) -> Vec<(&Vec<u8>, &Option<Vec<u8>>)> {
        if from >= to {
            return Vec::new();
        }
        self.batch.writes.range(from.to_vec()..to.to_vec()).collect()
    }
}

fn lay(merged: &mut BTreeMap<Vec<u8>, Vec<u8>>, over: Vec<(&Vec<u8>, &Option<Vec<u8>>)>) {
    for (key, written) in over {
        match written {
            Some(value) => merged.insert(key.clone(), value.clone()),
            None => merged.remove(key),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::memory::Memory;

    #[test]
    fn scans_see_the_steps_own_puts_and_deletes() {
        let mut memory = Memory::default();
        for n in 0..5u8 {
            memory.map.insert(vec![b'a', n], record::encode(&n));
        }
        let mut txn = Txn::new(&memory);
        txn.delete(vec![b'a', 0]);
        txn.delete(vec![b'a', 1]);
        txn.put(vec![b'a', 9], &9u8);
        let keys = |entries: Entries| entries.into_iter().map(|(k, _)| k[1]).collect::<Vec<_>>();
        assert_eq!(keys(txn.scan(b"a", b"b", 2).unwrap()), [2, 3]);
        assert_eq!(keys(txn.scan_back(b"a", b"b", 2).unwrap()), [9, 4]);
    }

    #[test]
    fn what_is_rolled_back_leaves_the_batch_as_it_was() {
        let memory = Memory::default();
        let mut txn = Txn::new(&memory);
        txn.put(b"xa".to_vec(), &1u8);
        txn.put_new(b"xb".to_vec(), &1u8);
        let before = txn.batch.clone();
        txn.begin();
        txn.put(b"xa".to_vec(), &2u8);
        txn.delete(b"xb".to_vec());
        txn.put_new(b"xc".to_vec(), &3u8);
        txn.delete(b"xd".to_vec());
        txn.roll_back();
        assert_eq!(txn.batch, before);
        txn.delete(b"xb".to_vec());
        assert!(!txn.batch.writes.contains_key(b"xb".as_slice()), "it is fresh as before");
    }

    #[test]
    fn a_key_made_and_deleted_in_one_step_leaves_no_trace() {
        let memory = Memory::default();
        let mut txn = Txn::new(&memory);
        txn.put_new(b"lx".to_vec(), &1u8);
        txn.delete(b"lx".to_vec());
        assert!(txn.batch.is_empty());
    }
}
