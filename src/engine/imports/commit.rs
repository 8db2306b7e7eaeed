//! A commit: the rows of a file to the core, in groups, a few of them on their way at a time. What is on the disk is
//! done; a row that is the same again changes nothing, so a commit that broke off is simply made again.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::{StreamExt as _, stream};
use tokio::sync::mpsc;

use super::{Committed, ImportError, Note, Shared, State};
use crate::engine::reminders::change::How;
use crate::engine::reminders::{Change, ChangeRefusal};
use crate::engine::{CHANGE_GROUP, Refusal};
use crate::message::TokenName;
use crate::reminder::import::{Case, FileError, Mapping, Record, Rows};

/// Groups on their way to the core at a time: while the disk syncs one, the next is decided.
const GROUPS_AHEAD: usize = 3;

fn case(case: Case) -> Change {
    let row = case.hash();
    Change::Case { case: Box::new(case), row }
}

/// Rows with their changes, and rows that say none.
struct Group {
    rows: Vec<u64>,
    changes: Vec<Change>,
    rejected: u64,
    errors: super::Errors,
}

impl Shared {
    /// Does it, and notes how it went.
    pub(super) async fn carry_out(&self, note: Note, file: File, by: TokenName, done: Arc<AtomicU64>) {
        let id = note.id;
        let ended = self.stream(note.mapping.clone(), file, by, &done, case).await;
        let state = match ended {
            Ok(result) => State::Committed { result, at: self.clock.now().wall },
            Err(error) => State::Failed { why: error.to_string() },
        };
        let is_done = matches!(state, State::Committed { .. });
        let noted = self.spool.put(&Note { state, ..note });
        // The note first: an upload without one could be committed again, one too many changes nothing.
        let noted = noted.and_then(|()| if is_done { self.spool.remove(id) } else { Ok(()) });
        if let Err(error) = noted {
            tracing::error!(event = "import_not_noted", import = %id, %error);
        }
    }

    /// Every row of a file as a change, in order.
    pub(super) async fn stream<T: Record + 'static>(
        &self,
        mapping: Mapping,
        file: File,
        by: TokenName,
        done: &AtomicU64,
        change: fn(T) -> Change,
    ) -> Result<Committed, ImportError> {
        let (groups, received) = mpsc::channel(GROUPS_AHEAD);
        let reading = tokio::task::spawn_blocking(move || read(file, &mapping, &groups, change));
        let groups = stream::unfold(received, async |mut received| Some((received.recv().await?, received)));
        let mut made = Box::pin(groups.map(|group| self.group(group, by.clone())).buffered(GROUPS_AHEAD));
        let mut result = Committed::default();
        while let Some(counted) = made.next().await {
            let counted = counted?;
            done.fetch_add(counted.rows(), Ordering::Relaxed);
            result.join(counted);
        }
        match reading.await {
            Ok(read) => read.map(|()| result).map_err(ImportError::File),
            Err(_) => Err(ImportError::Broken),
        }
    }

    async fn group(&self, group: Group, by: TokenName) -> Result<Committed, Refusal> {
        let Group { rows, changes, rejected, errors } = group;
        let mut counted = Committed { rejected, errors, ..Committed::default() };
        for (row, made) in rows.into_iter().zip(self.engine.change(changes, by).await?) {
            match made.map(|made| made.how) {
                Ok(How::Created) => counted.created += 1,
                Ok(How::Changed) => counted.changed += 1,
                Ok(How::Unchanged) => counted.unchanged += 1,
                Err(ChangeRefusal::Closed(refusal)) => return Err(refusal),
                Err(refusal) => {
                    counted.rejected += 1;
                    counted.errors.refuse(row, &refusal);
                }
            }
        }
        Ok(counted)
    }
}

impl Committed {
    const fn rows(&self) -> u64 {
        self.created + self.changed + self.unchanged + self.rejected
    }

    fn join(&mut self, other: Committed) {
        self.created += other.created;
        self.changed += other.changed;
        self.unchanged += other.unchanged;
        self.rejected += other.rejected;
        let told = other.errors.first.len() as u64;
        other.errors.first.into_iter().for_each(|fault| self.errors.add(fault));
        self.errors.count += other.errors.count - told;
    }
}

/// Reads the file to its end; the receiver that goes away ends it too.
fn read<T: Record>(
    file: File,
    mapping: &Mapping,
    groups: &mpsc::Sender<Group>,
    change: fn(T) -> Change,
) -> Result<(), FileError> {
    let mut group = Group::new();
    for row in Rows::<_, T>::open(file, mapping)? {
        let row = row?;
        match row.read {
            Ok(record) => {
                group.rows.push(row.row);
                group.changes.push(change(record));
            }
            Err(errors) => {
                group.rejected += 1;
                errors.into_iter().for_each(|error| group.errors.add(error));
            }
        }
        let is_full = group.changes.len() >= CHANGE_GROUP || group.rejected as usize >= CHANGE_GROUP;
        if is_full && groups.blocking_send(std::mem::replace(&mut group, Group::new())).is_err() {
            return Ok(());
        }
    }
    // Nobody waits for it any more where it cannot be sent.
    groups.blocking_send(group).map_or(Ok(()), Ok)
}

impl Group {
    fn new() -> Group {
        Group { rows: Vec::new(), changes: Vec::new(), rejected: 0, errors: super::Errors::default() }
    }
}
