//! What the store does beside commits: checkpoints, snapshots, scrubs, dropping old segments, ballast.
//!
//! The writer calls [`Store::maintain`] every second or so. Work that takes longer than a commit runs on a
//! thread of its own, one of each kind at most; its result is collected by a later call. A segment is dropped
//! once neither a restart (checkpoint) nor a rebuild (snapshot) needs it, and no reader of events holds it.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use super::files::{self, Doing};
use super::journal::Journal;
use super::mark::{self, Mark, Stop};
use super::snapshot::{self, Extent};
use super::state::Applied;
use super::{Reader, Store, StoreError};
use crate::clock::Timestamp;

/// Also a quiet store makes its state durable this often, so that its mark is fresh.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(60);
/// Rot comes slowly, and a scrub reads everything.
const SCRUB_EVERY: Duration = Duration::from_secs(24 * 3600);
/// The ballast comes back when this many times its size is free.
const BALLAST_ROOM: u64 = 4;

/// Work under way and when what was last done.
#[derive(Debug)]
pub(super) struct Upkeep {
    ballast: PathBuf,
    checkpoint: Chore<Applied>,
    snapshot: Chore<Extent>,
    scrub: Chore<()>,
    /// The state is durable up to here.
    durable: Applied,
    checkpoint_at: Timestamp,
    /// Journal bytes appended when the last checkpoint or snapshot began.
    checkpoint_bytes: u64,
    snapshot_bytes: u64,
    /// Bytes since the last snapshot that were in the journal already when it was opened.
    unsnapped_bytes: u64,
    /// First record a rebuild needs is behind this; `None`: it needs all.
    snapshot_start: Option<u64>,
    scrub_at: Option<Timestamp>,
}

impl Upkeep {
    pub fn new(
        dir: &Path,
        ballast: PathBuf,
        durable: Applied,
        journal: &Journal,
        now: Timestamp,
    ) -> Result<Upkeep, StoreError> {
        let snapshot_start = match snapshot::extent(dir) {
            Ok(found) => found.map(|extent| extent.start),
            Err(StoreError::Damaged(why)) => {
                tracing::warn!(event = "snapshot_unusable", why);
                None
            }
            Err(e) => return Err(e),
        };
        Ok(Upkeep {
            ballast,
            checkpoint: Chore::Idle,
            snapshot: Chore::Idle,
            scrub: Chore::Idle,
            durable,
            checkpoint_at: now,
            checkpoint_bytes: 0,
            snapshot_bytes: 0,
            unsnapped_bytes: journal.bytes_since(snapshot_start.unwrap_or(0)),
            snapshot_start,
            scrub_at: None,
        })
    }

    /// Waits for what is under way.
    pub fn finish(&mut self) -> Result<(), StoreError> {
        self.checkpoint.wait()?;
        self.snapshot.wait()?;
        self.scrub.wait()?;
        Ok(())
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        // A thread that outlived the store would hold its lock.
        if let Err(e) = self.finish() {
            tracing::warn!(event = "upkeep_failed", error = %e);
        }
    }
}

/// One kind of work on a thread of its own.
#[derive(Debug)]
enum Chore<T> {
    Idle,
    Running(JoinHandle<Result<T, StoreError>>),
}

impl<T: Send + 'static> Chore<T> {
    fn start(
        &mut self,
        name: &str,
        work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<(), StoreError> {
        let thread = std::thread::Builder::new().name(String::from(name));
        *self = Chore::Running(thread.spawn(work).doing(|| String::from("start a thread"))?);
        Ok(())
    }

    fn is_idle(&self) -> bool {
        matches!(self, Chore::Idle)
    }

    /// The result, once it is there.
    fn collect(&mut self) -> Result<Option<T>, StoreError> {
        match self {
            Chore::Running(thread) if thread.is_finished() => self.wait(),
            Chore::Running(_) | Chore::Idle => Ok(None),
        }
    }

    fn wait(&mut self) -> Result<Option<T>, StoreError> {
        let Chore::Running(thread) = std::mem::replace(self, Chore::Idle) else { return Ok(None) };
        match thread.join() {
            Ok(result) => result.map(Some),
            Err(_) => Err(StoreError::Damaged(String::from("reading or writing the state panicked"))),
        }
    }
}

impl Store {
    /// Starts what is due and takes up what is done. Returns soon.
    ///
    /// # Errors
    /// As [`Store::commit`]; `Damaged` also when a scrub found rot, after the next start was told to rebuild.
    pub fn maintain(&mut self, now: Timestamp) -> Result<(), StoreError> {
        self.check()?;
        let result = self.upkeep(now);
        self.remember(result)
    }

    fn upkeep(&mut self, now: Timestamp) -> Result<(), StoreError> {
        self.journal.prepare()?;
        self.take_up()?;
        self.begin_checkpoint(now)?;
        self.begin_snapshot()?;
        self.begin_scrub(now)?;
        self.keep_ballast()
    }

    fn take_up(&mut self) -> Result<(), StoreError> {
        let checkpoint = self.upkeep.checkpoint.collect();
        let snapshot = self.upkeep.snapshot.collect();
        let scrub = self.upkeep.scrub.collect();
        for failed in [checkpoint.as_ref().err(), snapshot.as_ref().err(), scrub.as_ref().err()] {
            if let Some(StoreError::Damaged(why)) = failed {
                mark::suspect(&self.dir, why)?;
            }
        }
        scrub?;
        if let Some(durable) = checkpoint? {
            self.upkeep.durable = durable;
        }
        if let Some(extent) = snapshot? {
            self.upkeep.snapshot_start = Some(extent.start);
        }
        let needed = self.upkeep.snapshot_start.map_or(0, |start| start.min(self.upkeep.durable.seq));
        let wanted = self.first_wanted()?;
        self.journal.drop_through(needed.min(wanted - 1))
    }

    /// First sequence that readers of events may still want, within their bounds.
    fn first_wanted(&self) -> Result<u64, StoreError> {
        let history = self.journal.within(self.options.history_bytes);
        let Some(held) = self.journal.held_from() else { return Ok(history) };
        let most = self.options.hold_bytes.min(self.free_bytes()?);
        Ok(held.max(self.journal.within(most)).min(history).max(1))
    }

    fn begin_checkpoint(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let upkeep = &mut self.upkeep;
        let appended = self.journal.appended();
        let grown = appended - upkeep.checkpoint_bytes;
        let due = grown >= self.options.checkpoint_after
            || (grown > 0 && now.since(upkeep.checkpoint_at) >= CHECKPOINT_EVERY);
        if !due || !upkeep.checkpoint.is_idle() {
            return Ok(());
        }
        (upkeep.checkpoint_at, upkeep.checkpoint_bytes) = (now, appended);
        let (dir, state) = (self.dir.clone(), self.state.clone());
        upkeep.checkpoint.start("checkpoint", move || {
            let unfinished = || StoreError::Damaged(String::from("the state has no mark"));
            let applied = state.applied()?.ok_or_else(unfinished)?;
            state.sync()?;
            Mark::new(applied, Stop::Running).write(&dir)?;
            Ok(applied)
        })
    }

    fn begin_snapshot(&mut self) -> Result<(), StoreError> {
        let upkeep = &mut self.upkeep;
        let appended = self.journal.appended();
        let grown = upkeep.unsnapped_bytes + appended - upkeep.snapshot_bytes;
        let rebuildable = upkeep.snapshot_start.is_some() || self.journal.oldest() == 1;
        if !upkeep.snapshot.is_idle() || (rebuildable && grown < self.options.snapshot_after) {
            return Ok(());
        }
        (upkeep.snapshot_bytes, upkeep.unsnapped_bytes) = (appended, 0);
        let (dir, reader) = (self.dir.clone(), Reader { state: self.state.clone() });
        upkeep.snapshot.start("snapshot", move || snapshot::take(&dir, &reader))
    }

    fn begin_scrub(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let recent = |at: Timestamp| now.since(at) < SCRUB_EVERY;
        if !self.upkeep.scrub.is_idle() || self.upkeep.scrub_at.is_some_and(recent) {
            return Ok(());
        }
        self.upkeep.scrub_at = Some(now);
        let state = self.state.clone();
        self.upkeep.scrub.start("scrub", move || state.entries().try_for_each(|entry| entry.map(drop)))
    }

    fn keep_ballast(&mut self) -> Result<(), StoreError> {
        let (path, bytes) = (&self.upkeep.ballast, self.options.ballast_bytes);
        let there = fs::exists(path).doing(|| format!("look for {}", path.display()))?;
        if there || bytes == 0 || self.free_bytes()? < bytes.saturating_mul(BALLAST_ROOM) {
            return Ok(());
        }
        files::reserve(path, bytes).map(drop)
    }
}

#[cfg(test)]
impl Store {
    /// Neither a restart nor a rebuild needs the first segment any more.
    pub(super) fn upkeep_is_ahead(&self) -> bool {
        let segments = self.journal.segments();
        let needed = self.upkeep.snapshot_start.map_or(0, |start| start.min(self.upkeep.durable.seq));
        segments.get(1).is_some_and(|&second| second <= needed + 1)
    }
}
