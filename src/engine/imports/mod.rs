//! Files of cases in two phases: an upload is read and held against what is there, and only its commit changes
//! anything. Beside the core, which alone decides and writes: this feeds it.
//!
//! ```text
//! spool.rs   the files            dry.rs     the dry run        estimate.rs  when it would have gone
//! commit.rs  rows into the core    payments.rs  payments and statements    drop.rs  the folder for them
//! ```
//! Invariants: a dry run writes nothing but its note; a commit is done once, and one that broke off may be made again,
//! for a row that is the same again changes nothing; one dry run and one commit at a time.

mod commit;
pub mod drop;
pub mod dry;
pub mod estimate;
pub mod payments;
pub mod spool;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tokio_util::task::TaskTracker;

use self::dry::{Against, Dry, DryError, Errors};
use self::estimate::{Pace, Sending};
use self::spool::{Spool, SpoolError, Upload};
use super::{Engine, ReadError, Refusal};
use crate::clock::{Clock, Timestamp};
use crate::id::{Allotter, ImportId};
use crate::message::TokenName;
use crate::reminder::hours::WeekHours;
use crate::reminder::import::{FileError, Mapping};
use crate::reminder::name::Key;

/// All imports of a daemon. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Imports(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    spool: Spool,
    engine: Engine,
    clock: Clock,
    ids: Mutex<Allotter>,
    /// The dry run that runs.
    reading: tokio::sync::Mutex<()>,
    /// The commit that runs.
    committing: Arc<tokio::sync::Mutex<()>>,
    /// The statement that is booked.
    booking: tokio::sync::Mutex<()>,
    /// Commits, so that a stop can wait for the one that runs.
    commits: TaskTracker,
    /// Which import is being committed, and the rows done of it.
    running: Mutex<Option<(ImportId, Arc<AtomicU64>)>>,
}

/// What is kept of an import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    pub id: ImportId,
    pub at: Timestamp,
    pub by: String,
    /// The name of the mapping, where one was named.
    pub mapping_name: Option<String>,
    /// As it was: a commit reads the file as its dry run did.
    pub mapping: Mapping,
    pub state: State,
    pub dry: Dry,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// The dry run is done.
    Checked,
    /// A commit has begun; where none runs it broke off.
    Committing,
    Committed {
        result: Committed,
        at: Timestamp,
    },
    /// It broke off; what was done stays, and it may be committed again.
    Failed {
        why: String,
    },
}

/// What a commit did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committed {
    pub created: u64,
    pub changed: u64,
    pub unchanged: u64,
    pub rejected: u64,
    pub errors: Errors,
}

/// An import as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    pub note: Note,
    /// Rows done of the commit that runs; `None` where none does.
    pub done: Option<u64>,
}

impl Standing {
    /// `checked`, `committing`, `interrupted`, `committed` or `failed`.
    pub const fn state(&self) -> &'static str {
        match (&self.note.state, self.done) {
            (State::Checked, _) => "checked",
            (State::Committing, Some(_)) => "committing",
            (State::Committing, None) => "interrupted",
            (State::Committed { .. }, _) => "committed",
            (State::Failed { .. }, _) => "failed",
        }
    }
}

/// How a file is to be read.
#[derive(Clone, Debug)]
pub struct Wish {
    pub by: TokenName,
    pub mapping_name: Option<String>,
    pub mapping: Mapping,
}

#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("there is no such import")]
    NotFound,
    /// Only what is there can be committed.
    #[error("its file is not kept any more: upload it again")]
    Expired,
    /// Another is being committed.
    #[error("another import is being committed")]
    Busy,
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Spool(#[from] SpoolError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("a thread ended before its work")]
    Broken,
}

impl From<DryError> for ImportError {
    fn from(error: DryError) -> ImportError {
        match error {
            DryError::File(error) => ImportError::File(error),
            DryError::Store(error) => ImportError::Read(error),
        }
    }
}

impl Imports {
    pub fn new(engine: Engine, clock: Clock, state_dir: &Path) -> Imports {
        Imports(Arc::new(Shared {
            spool: Spool::new(state_dir),
            engine,
            clock,
            ids: Mutex::new(Allotter::default()),
            reading: tokio::sync::Mutex::default(),
            committing: Arc::default(),
            booking: tokio::sync::Mutex::default(),
            commits: TaskTracker::new(),
            running: Mutex::default(),
        }))
    }

    /// Begins an upload.
    pub fn begin(&self) -> Result<(ImportId, Upload), ImportError> {
        let now = self.0.clock.now().wall;
        let mut ids = self.0.ids.lock().unwrap_or_else(PoisonError::into_inner);
        let id = ImportId::from_u64(ids.next(now));
        Ok((id, self.0.spool.begin(id, now)?))
    }

    /// The dry run of an upload that is whole.
    ///
    /// # Errors
    /// [`ImportError::File`]: it is no such file, and is not kept.
    pub async fn check(&self, id: ImportId, wish: Wish) -> Result<Standing, ImportError> {
        let _turn = self.0.reading.lock().await;
        let shared = self.0.clone();
        let read = tokio::task::spawn_blocking(move || shared.check(id, wish));
        let checked = read.await.map_err(|_| ImportError::Broken)?;
        if checked.is_err() {
            self.0.spool.remove(id)?;
        }
        Ok(Standing { note: checked?, done: None })
    }

    /// Until the commit that runs has ended, as it does soon after the core takes nothing more.
    pub async fn finish(&self) {
        self.0.commits.close();
        self.0.commits.wait().await;
    }

    pub fn look(&self, id: ImportId) -> Result<Standing, ImportError> {
        // Asked first: what ends between the two shows its result.
        let done = self.0.done(id);
        let note = self.0.spool.get(id)?.ok_or(ImportError::NotFound)?;
        Ok(Standing { note, done })
    }

    /// At most so many beyond `after`, the newest or the oldest first.
    pub fn list(
        &self,
        after: Option<ImportId>,
        newest_first: bool,
        limit: usize,
    ) -> Result<Vec<Standing>, ImportError> {
        let mut ids = self.0.spool.ids()?;
        if !newest_first {
            ids.reverse();
        }
        let beyond = |id: &ImportId| after.is_none_or(|after| (*id < after) == newest_first && *id != after);
        ids.into_iter().filter(beyond).take(limit).map(|id| self.look(id)).collect()
    }

    /// Begins the commit and does not wait for its end; one that is done or runs is left as it is.
    pub fn commit(&self, id: ImportId, by: TokenName) -> Result<Standing, ImportError> {
        let known = self.look(id)?;
        if known.done.is_some() || matches!(known.note.state, State::Committed { .. }) {
            return Ok(known);
        }
        let shared = self.0.clone();
        let turn = shared.committing.clone().try_lock_owned().map_err(|_| ImportError::Busy)?;
        let file = shared.spool.open(id).map_err(|_| ImportError::Expired)?;
        let note = Note { state: State::Committing, ..known.note };
        shared.spool.put(&note)?;
        let done = Arc::new(AtomicU64::new(0));
        shared.run(Some((id, done.clone())));
        self.0.commits.spawn(async move {
            shared.carry_out(note, file, by, done).await;
            shared.run(None);
            drop(turn);
        });
        self.look(id)
    }
}

impl Shared {
    /// Rows done of the commit that runs, if it is this import's.
    fn done(&self, id: ImportId) -> Option<u64> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.as_ref().filter(|(other, _)| *other == id).map(|(_, done)| done.load(Ordering::Relaxed))
    }

    fn run(&self, what: Option<(ImportId, Arc<AtomicU64>)>) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = what;
    }

    fn check(&self, id: ImportId, wish: Wish) -> Result<Note, ImportError> {
        let now = self.clock.now().wall;
        let view = self.engine.view();
        let catalog = view.catalog()?;
        let against = Against { state: &*view.state, catalog: &catalog, now };
        let (mut dry, load) = dry::run(self.spool.open(id)?, &wish.mapping, &against)?;
        let base = Key::parse(crate::reminder::pack::BASE).ok().and_then(|base| catalog.packs.get(&base));
        let hours = base.and_then(|base| base.hours).unwrap_or(WeekHours::ALWAYS);
        let pace = Pace::of(&self.engine.snapshot());
        let sending = Sending { pace, hours: &hours, home: &catalog.home };
        dry.finish_estimate = load.finish(sending, now);
        dry.warnings.splice(0..0, load.missed(sending, now).map(|missed| missed.to_string()));
        let Wish { by, mapping_name, mapping } = wish;
        let by = by.to_string();
        let note = Note { id, at: now, by, mapping_name, mapping, state: State::Checked, dry };
        self.spool.put(&note)?;
        Ok(note)
    }
}
