//! The checkpoint file: up to which record the state is durable, and whether the last stop was clean.
//!
//! It is the witness that neither sled nor the journal may fall behind. It is replaced whole; one that does
//! not check is damage, and one that is missing beside a journal is too.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::files;
use super::record;
use super::snapshot::Digest;
use super::state::Applied;
use super::{StoreError, frame::Hash};

const NAME: &str = "checkpoint";
const SUSPECT: &str = "suspect";

/// What the checkpoint file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    seq: u64,
    hash: Hash,
    pub stop: Stop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Stop {
    /// Records may have come after the mark.
    Running,
    /// The mark is the journal's head. The digest is that of a state small enough to be read whole.
    Clean { digest: Option<Digest> },
}

impl Mark {
    pub fn new(applied: Applied, stop: Stop) -> Mark {
        Mark { seq: applied.seq, hash: applied.hash, stop }
    }

    pub fn applied(&self) -> Applied {
        Applied { seq: self.seq, hash: self.hash }
    }

    pub fn read(dir: &Path) -> Result<Option<Mark>, StoreError> {
        files::read(&path(dir))?.map(|bytes| record::decode(&bytes)).transpose()
    }

    /// The state must be durable up to the mark before.
    pub fn write(&self, dir: &Path) -> Result<(), StoreError> {
        files::replace(&path(dir), &record::encode(self))
    }
}

pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join(NAME)
}

/// Says to the next start that the state must not be trusted, and why.
pub(super) fn suspect(dir: &Path, why: &str) -> Result<(), StoreError> {
    files::replace(&dir.join(SUSPECT), why.as_bytes())
}

pub(super) fn suspicion(dir: &Path) -> Result<Option<String>, StoreError> {
    let found = files::read(&dir.join(SUSPECT))?;
    Ok(found.map(|why| String::from_utf8_lossy(&why).into_owned()))
}

pub(super) fn clear_suspicion(dir: &Path) -> Result<(), StoreError> {
    files::remove(&dir.join(SUSPECT))
}
