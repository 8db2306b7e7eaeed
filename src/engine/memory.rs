//! The applied state as a map in memory: what tests run the core on, and what a quarantined daemon without
//! a readable state shows. It keeps nothing over its own life.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::store::{Batch, Entries, Read, StoreError};

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Memory {
    pub map: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Memory {
    pub fn apply(&mut self, batch: &Batch) {
        for (key, value) in &batch.writes {
            match value {
                Some(value) => self.map.insert(key.clone(), value.clone()),
                None => self.map.remove(key),
            };
        }
    }

    fn range<'a>(
        &'a self,
        from: &[u8],
        to: &[u8],
    ) -> impl DoubleEndedIterator<Item = (Vec<u8>, Vec<u8>)> + 'a {
        let bounds = if from < to {
            (Bound::Included(from.to_vec()), Bound::Excluded(to.to_vec()))
        } else {
            (Bound::Included(Vec::new()), Bound::Excluded(Vec::new()))
        };
        self.map.range::<Vec<u8>, _>(bounds).map(|(k, v)| (k.clone(), v.clone()))
    }
}

impl Read for Memory {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.map.get(key).cloned())
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Entries, StoreError> {
        Ok(self.range(from, to).take(limit).collect())
    }

    fn scan_back(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Entries, StoreError> {
        Ok(self.range(from, to).rev().take(limit).collect())
    }
}
