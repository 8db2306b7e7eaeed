//! Opening: what lies on the disk is checked, and what may be done with it decided, before anything is changed.
//!
//! | found | done |
//! |---|---|
//! | nothing at all | a new store |
//! | state at the journal's head, or behind it but not behind its own mark | used, the rest replayed |
//! | state missing, unreadable, suspect, behind its mark or of another journal | set aside, rebuilt from snapshot and journal |
//! | journal missing, damaged, behind the mark or behind the state | quarantine: what was promised may be lost |
//! | rebuilding impossible | quarantine |
//!
//! A journal that has lost acknowledged records must not be continued: a sent message would be sent again.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::{self, Doing};
use super::journal::Journal;
use super::maintain::Upkeep;
use super::mark::{self, Mark, Stop};
use super::snapshot::{self, Digest};
use super::state::{Applied, Reader, State};
use super::{Options, Store, StoreError, migrate};
use crate::clock::Timestamp;

/// States up to this size on disk are read whole at every start and stop: well below a second.
const READ_WHOLE_BYTES: u64 = 64 << 20;
/// sled reuses space but gives none back; this much more than its content is worth a rewrite.
const COMPACT_RATIO: u64 = 20;
/// Damaged states kept for whoever wants to look; each may be large.
const ASIDE_KEPT: usize = 2;
/// Segments and ballast take at most this fraction of what is free.
const FREE_FRACTION: u64 = 64;
const LEAST_SEGMENT_BYTES: u64 = 1 << 20;

/// A store, or what can still be read of one that must not be written.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one of it")]
pub enum Opened {
    Ready {
        store: Store,
        recovery: Recovery,
    },
    /// Acknowledged records may be lost. Nothing may be sent or accepted.
    Quarantined {
        reader: Option<Reader>,
        why: String,
    },
}

/// What opening had to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Journal records applied to the state.
    pub replayed: u64,
    /// Why the state was built anew.
    pub rebuilt: Option<String>,
    /// A write that a crash cut short was removed; it was never acknowledged.
    pub torn_tail: bool,
    /// The last stop was clean.
    pub clean: bool,
    /// There was no store here before.
    pub fresh: bool,
    /// The state was written anew to free space.
    pub compacted: bool,
}

/// Opens the store in `dir`, or makes one.
///
/// # Errors
/// `Locked` when another process has it, `Newer` when a later version wrote it, `Io` when a file cannot be
/// used. Damage is no error: see [`Opened`].
pub fn open(dir: &Path, options: Options, now: Timestamp) -> Result<Opened, StoreError> {
    fs::create_dir_all(dir).doing(|| format!("create {}", dir.display()))?;
    let lock = Arc::new(files::lock(&dir.join("lock"))?);
    let place = Place { dir: dir.to_path_buf(), options: fit(options, files::free_bytes(dir)?), lock };
    match place.open(now) {
        Err(StoreError::Io { doing, source }) if source.kind() == std::io::ErrorKind::StorageFull => {
            tracing::warn!(event = "ballast_given_up", doing);
            files::remove(&place.ballast())?;
            place.open(now)
        }
        other => other,
    }
}

/// Less of everything on a small disk: segments go only after a checkpoint and a snapshot, so these come sooner.
fn fit(options: Options, free: u64) -> Options {
    let share = free / FREE_FRACTION;
    let segment = share.max(LEAST_SEGMENT_BYTES);
    Options {
        segment_bytes: options.segment_bytes.min(segment),
        checkpoint_after: options.checkpoint_after.min(segment / 4),
        snapshot_after: options.snapshot_after.min(segment.saturating_mul(4)),
        ballast_bytes: options.ballast_bytes.min(share),
        ..options
    }
}

/// The digest of a state that is small enough to be read whole.
pub(super) fn digest_if_small(state: &State) -> Result<Option<Digest>, StoreError> {
    if state.size_on_disk()? > READ_WHOLE_BYTES {
        return Ok(None);
    }
    snapshot::digest(state).map(Some)
}

struct Place {
    dir: PathBuf,
    options: Options,
    lock: Arc<File>,
}

/// What may be done with the state.
enum Verdict {
    Use(State, Applied),
    Rebuild(String),
    Quarantine(String),
}

/// How a rebuild ended.
enum Rebuilt {
    Done(State),
    Impossible(String),
}

impl Place {
    fn journal_dir(&self) -> PathBuf {
        self.dir.join("journal")
    }

    fn state_dir(&self) -> PathBuf {
        self.dir.join("state")
    }

    fn ballast(&self) -> PathBuf {
        self.dir.join("ballast")
    }

    fn open(&self, now: Timestamp) -> Result<Opened, StoreError> {
        let mark = match Mark::read(&self.dir) {
            Err(StoreError::Damaged(why)) => Err(why),
            other => Ok(other?),
        };
        let journal = match Journal::open(&self.journal_dir(), self.options.segment_bytes) {
            Err(StoreError::Damaged(why)) => return Ok(self.quarantine(why)),
            other => other?,
        };
        match journal {
            Some(journal) => self.open_with(journal, mark, now),
            None if self.is_untouched()? => self.create(now),
            None => Ok(self.quarantine(String::from("the journal is gone"))),
        }
    }

    /// Whether no store was ever made here: the journal comes first.
    fn is_untouched(&self) -> Result<bool, StoreError> {
        let has = |path: &Path| path.try_exists().doing(|| format!("look for {}", path.display()));
        Ok(!has(&self.state_dir())? && !has(&snapshot::path(&self.dir))? && !has(&mark::path(&self.dir))?)
    }

    fn create(&self, now: Timestamp) -> Result<Opened, StoreError> {
        let journal = Journal::create(&self.journal_dir(), self.options.segment_bytes)?;
        let Rebuilt::Done(state) = self.rebuild(&journal, &mut 0)? else {
            return Ok(self.quarantine(String::from("a new state could not be made")));
        };
        let recovery = Recovery { fresh: true, clean: true, ..Recovery::default() };
        self.start(journal, state, recovery, now)
    }

    fn open_with(
        &self,
        journal: Journal,
        mark: Result<Option<Mark>, String>,
        now: Timestamp,
    ) -> Result<Opened, StoreError> {
        if let Ok(Some(mark)) = &mark
            && let Some(why) = lost(&journal, mark)?
        {
            return Ok(self.quarantine(why));
        }
        let clean = matches!(mark, Ok(Some(Mark { stop: Stop::Clean { .. }, .. })));
        let mut recovery = Recovery { torn_tail: journal.is_torn(), clean, ..Recovery::default() };
        let state = match self.judge(&journal, mark)? {
            Verdict::Quarantine(why) => return Ok(self.quarantine(why)),
            Verdict::Use(state, applied) => {
                recovery.replayed = replay(&journal, &state, applied)?;
                state
            }
            Verdict::Rebuild(why) => {
                tracing::warn!(event = "state_rebuilt", why);
                match self.rebuild(&journal, &mut recovery.replayed)? {
                    Rebuilt::Done(state) => {
                        recovery.rebuilt = Some(why);
                        state
                    }
                    Rebuilt::Impossible(but) => {
                        return Ok(self.quarantine(format!("{why}; it cannot be rebuilt: {but}")));
                    }
                }
            }
        };
        let state = self.compact(&journal, state, &mut recovery)?;
        self.start(journal, state, recovery, now)
    }

    /// From here on there is a store; it is written to for the first time.
    fn start(
        &self,
        mut journal: Journal,
        state: State,
        recovery: Recovery,
        now: Timestamp,
    ) -> Result<Opened, StoreError> {
        journal.settle()?;
        journal.set_durable(self.options.durable);
        state.sync_all()?;
        let applied = Applied { seq: journal.head(), hash: journal.next().prev };
        Mark::new(applied, Stop::Running).write(&self.dir)?;
        mark::clear_suspicion(&self.dir)?;
        let upkeep = Upkeep::new(&self.dir, self.ballast(), applied, &journal, now)?;
        let (dir, options) = (self.dir.clone(), self.options);
        let store = Store { dir, options, journal, state, failed: None, upkeep };
        Ok(Opened::Ready { store, recovery })
    }

    fn quarantine(&self, why: String) -> Opened {
        let has_state = self.state_dir().join("db").exists();
        let state = has_state.then(|| self.open_state(&self.state_dir()));
        // What cannot be opened has no reader, and the reason that counts is `why`.
        let reader = match state {
            Some(Ok(state)) => Some(Reader { state }),
            Some(Err(_)) | None => None,
        };
        Opened::Quarantined { reader, why }
    }

    fn open_state(&self, dir: &Path) -> Result<State, StoreError> {
        State::open(dir, self.options.cache_bytes, self.lock.clone())
    }

    fn judge(&self, journal: &Journal, mark: Result<Option<Mark>, String>) -> Result<Verdict, StoreError> {
        let rebuild = |why: &str| Ok(Verdict::Rebuild(String::from(why)));
        if let Some(why) = mark::suspicion(&self.dir)? {
            return Ok(Verdict::Rebuild(why));
        }
        if !self.state_dir().join("db").exists() {
            return rebuild("the state is missing");
        }
        let state = match self.open_state(&self.state_dir()) {
            Err(StoreError::Damaged(why)) => return Ok(Verdict::Rebuild(why)),
            Err(StoreError::Io { source, .. }) if !is_environment(&source) => {
                return Ok(Verdict::Rebuild(format!("the state cannot be read: {source}")));
            }
            other => other?,
        };
        let (applied, reached) = match (state.applied(), state.reached(), state.schema()) {
            (Ok(Some(applied)), Ok(Some(reached)), Ok(Some(schema))) => {
                migrate::check_schema(schema)?;
                (applied, reached)
            }
            (Ok(_), Ok(_), Ok(_)) => return rebuild("the state was never finished"),
            (Err(e), _, _) | (_, Err(e), _) | (_, _, Err(e)) => return Ok(Verdict::Rebuild(e.to_string())),
        };
        if reached.seq.max(applied.seq) > journal.head() {
            let (state, head) = (reached.seq.max(applied.seq), journal.head());
            return Ok(Verdict::Quarantine(format!("the journal ends at {head}, the state knows {state}")));
        }
        let mark = match mark {
            Ok(Some(mark)) => mark,
            Ok(None) => return rebuild("the checkpoint is missing"),
            Err(why) => return Ok(Verdict::Rebuild(format!("the checkpoint: {why}"))),
        };
        if applied.seq < mark.applied().seq {
            return rebuild("the state is older than its checkpoint");
        }
        let fits = |place: Applied| Ok::<_, StoreError>(journal.hash_of(place.seq)? == Some(place.hash));
        if !fits(applied)? || !fits(reached)? {
            return rebuild("the state does not belong to the journal");
        }
        Ok(match unfit(&state, applied, &mark) {
            Some(why) => Verdict::Rebuild(why),
            None => Verdict::Use(state, applied),
        })
    }

    /// Builds a state beside the old one, and only when it is durable puts it in its place.
    fn rebuild(&self, journal: &Journal, replayed: &mut u64) -> Result<Rebuilt, StoreError> {
        let next = self.dir.join("state.new");
        let built = match self.build(&next, journal, replayed) {
            Err(StoreError::Damaged(why)) => return Ok(Rebuilt::Impossible(why)),
            other => other?,
        };
        built.sync_all()?;
        drop(built);
        self.set_aside()?;
        files::rename(&next, &self.state_dir())?;
        self.open_state(&self.state_dir()).map(Rebuilt::Done)
    }

    fn build(&self, next: &Path, journal: &Journal, replayed: &mut u64) -> Result<State, StoreError> {
        let imported = match self.begin_from_snapshot(next, journal) {
            Err(StoreError::Damaged(why)) => Err(why),
            other => Ok(other?),
        };
        let (state, applied) = match imported {
            Ok(Some(found)) => found,
            Ok(None) | Err(_) if journal.oldest() == 1 => self.begin_empty(next)?,
            Ok(None) => return Err(StoreError::Damaged(String::from("there is no snapshot"))),
            Err(why) => return Err(StoreError::Damaged(why)),
        };
        *replayed = replay(journal, &state, applied)?;
        Ok(state)
    }

    fn begin_empty(&self, next: &Path) -> Result<(State, Applied), StoreError> {
        files::remove(next)?;
        let state = self.open_state(next)?;
        state.fill(migrate::SCHEMA, Applied::default(), std::iter::empty())?;
        Ok((state, Applied::default()))
    }

    /// The snapshot in a new state; `None` when there is none.
    fn begin_from_snapshot(
        &self,
        next: &Path,
        journal: &Journal,
    ) -> Result<Option<(State, Applied)>, StoreError> {
        let Some(extent) = snapshot::extent(&self.dir)? else { return Ok(None) };
        let damaged = |why: &str| Err(StoreError::Damaged(format!("the snapshot: {why}")));
        if extent.end > journal.head() {
            return damaged("the journal does not reach its end");
        }
        if extent.start + 1 < journal.oldest() {
            return damaged("the journal begins after it");
        }
        if journal.hash_of(extent.start)? != Some(extent.start_hash) {
            return damaged("it belongs to another journal");
        }
        files::remove(next)?;
        let state = self.open_state(next)?;
        snapshot::import(snapshot::open(&self.dir)?, &state)?;
        Ok(Some((state, Applied { seq: extent.start, hash: extent.start_hash })))
    }

    fn set_aside(&self) -> Result<(), StoreError> {
        if !self.state_dir().exists() {
            return Ok(());
        }
        let mut aside = self.aside()?;
        let last = aside.last().copied().unwrap_or(0);
        while aside.len() >= ASIDE_KEPT {
            files::remove(&self.aside_dir(aside.remove(0)))?;
        }
        files::rename(&self.state_dir(), &self.aside_dir(last + 1))
    }

    fn aside_dir(&self, n: u64) -> PathBuf {
        self.dir.join(format!("state.aside-{n}"))
    }

    /// Numbers of the states set aside, ascending.
    fn aside(&self) -> Result<Vec<u64>, StoreError> {
        let listing = || format!("list {}", self.dir.display());
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.dir).doing(listing)? {
            let name = entry.doing(listing)?.file_name();
            let number = name.to_str().and_then(|n| n.strip_prefix("state.aside-")).map(str::parse::<u64>);
            found.extend(number.into_iter().flatten());
        }
        found.sort_unstable();
        Ok(found)
    }

    /// Writes a state anew that takes far more of the disk than its content.
    fn compact(&self, journal: &Journal, state: State, recovery: &mut Recovery) -> Result<State, StoreError> {
        let size = state.size_on_disk()?;
        let live = match snapshot::extent(&self.dir) {
            Ok(Some(extent)) => extent.bytes,
            // Without a measure of what it holds, or with a damaged one, it is left as it is.
            Ok(None) | Err(StoreError::Damaged(_)) => return Ok(state),
            Err(e) => return Err(e),
        };
        if size <= self.options.compact_above.max(live.saturating_mul(COMPACT_RATIO)) {
            return Ok(state);
        }
        let reader = Reader { state };
        snapshot::take(&self.dir, &reader)?;
        drop(reader);
        let Rebuilt::Done(state) = self.rebuild(journal, &mut 0)? else {
            return Err(StoreError::Damaged(String::from("compacting the state failed")));
        };
        if let Some(n) = self.aside()?.pop() {
            files::remove(&self.aside_dir(n))?;
        }
        recovery.compacted = true;
        Ok(state)
    }
}

/// Errors that another start may not meet and that say nothing about the state.
fn is_environment(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem, StorageFull};
    matches!(error.kind(), StorageFull | PermissionDenied | ReadOnlyFilesystem)
}

/// Why the journal no longer holds what the mark says it held.
fn lost(journal: &Journal, mark: &Mark) -> Result<Option<String>, StoreError> {
    let (head, marked) = (journal.head(), mark.applied());
    if head < marked.seq {
        return Ok(Some(format!("the journal ends at {head}, the checkpoint is at {}", marked.seq)));
    }
    if matches!(mark.stop, Stop::Clean { .. }) && head > marked.seq {
        return Ok(Some(format!("the journal goes on to {head} after the clean stop at {}", marked.seq)));
    }
    let hash = journal.hash_of(marked.seq)?;
    let differs = hash.is_some_and(|hash| hash != marked.hash);
    Ok(differs.then(|| String::from("the journal is not the one the checkpoint was made with")))
}

/// Why the content of a small state cannot be trusted. A large one is scrubbed later.
fn unfit(state: &State, applied: Applied, mark: &Mark) -> Option<String> {
    let found = match digest_if_small(state) {
        Err(e) => return Some(e.to_string()),
        Ok(found) => found?,
    };
    match mark.stop {
        Stop::Clean { digest: Some(digest) } if applied == mark.applied() && digest != found => {
            Some(String::from("the state is not what it was at the clean stop"))
        }
        Stop::Clean { .. } | Stop::Running => None,
    }
}

/// Applies what the journal holds beyond `applied`.
fn replay(journal: &Journal, state: &State, applied: Applied) -> Result<u64, StoreError> {
    if applied.seq == journal.head() {
        return Ok(0);
    }
    let mut records = journal.follow(applied.seq + 1)?;
    let mut count = 0;
    while let Some(record) = records.read()? {
        let applied = Applied { seq: record.at.seq, hash: record.hash };
        state.apply(applied, record.writes())?;
        count += 1;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_disk_gets_smaller_segments_and_sooner_snapshots_and_a_large_one_the_defaults() {
        let (small, large) = (fit(Options::default(), 1 << 30), fit(Options::default(), 1 << 40));
        let sizes = |o: Options| (o.checkpoint_after >> 20, o.segment_bytes >> 20, o.snapshot_after >> 20);
        assert_eq!(sizes(small), (4, 16, 64));
        assert_eq!(sizes(large), (16, 64, 256));
    }
}
