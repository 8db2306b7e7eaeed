//! Money that came in a file and could not be booked, told to a person: each sum is a task of its own, many of one file
//! are one task.
//!
//! Invariant: what an open task says already is not said again, so that a file that comes every day asks once.

use std::collections::{BTreeMap, HashSet};

use super::dry::Errors;
use super::{ImportError, Imports};
use crate::engine::reminders::change::Which;
use crate::engine::reminders::tasks::NOTE_MAX;
use crate::engine::reminders::{Change, ChangeRefusal};
use crate::engine::{ReadError, View};
use crate::id::TaskId;
use crate::message::TokenName;
use crate::reminder::import::{Mapping, Payment, Rows};
use crate::reminder::name::Key;
use crate::reminder::task::kind;
use crate::store::keys::{self, family};

/// Tasks of one file: more are one mistake, and one task.
const OF_ONE_FILE: usize = 20;
/// Open tasks read at once.
const PAGE: usize = 1_000;

/// One sum.
#[derive(Debug)]
pub struct Unbooked {
    pub which: Option<Which>,
    /// What it is and why, without the payer.
    pub note: String,
}

impl Unbooked {
    /// The task that tells it.
    pub fn task(self) -> Option<Change> {
        let note = self.note.chars().take(NOTE_MAX).collect();
        Some(Change::OpenTask { kind: Key::parse(kind::PAYMENT).ok()?, which: self.which, note, due: None })
    }
}

impl Imports {
    /// Opens the tasks for what could not be booked of a file. `count`: of it there may be more than is named.
    pub(super) async fn tell(
        &self,
        (file, count): (&str, u64),
        mut unbooked: Vec<Unbooked>,
        by: TokenName,
    ) -> Result<(), ImportError> {
        if unbooked.is_empty() {
            return Ok(());
        }
        if unbooked.len() > OF_ONE_FILE {
            unbooked = vec![all_in_one((file, count), &unbooked)];
        }
        let view = self.0.engine.view().clone();
        let changes = tokio::task::spawn_blocking(move || changes(unbooked, &view)).await;
        let changes = changes.map_err(|_| ImportError::Broken)?.map_err(ImportError::Read)?;
        for made in self.0.engine.change(changes, by).await.map_err(ImportError::Refused)? {
            // Of a task that it has no room for the core tells itself.
            if let Err(ChangeRefusal::Closed(refusal)) = made {
                return Err(ImportError::Refused(refusal));
            }
        }
        Ok(())
    }
}

fn all_in_one((file, count): (&str, u64), unbooked: &[Unbooked]) -> Unbooked {
    let notes: Vec<&str> = unbooked.iter().map(|one| one.note.as_str()).collect();
    let note = format!("{count} payments of {file} could not be booked: {}", notes.join("; "));
    Unbooked { which: None, note }
}

fn changes(unbooked: Vec<Unbooked>, view: &View) -> Result<Vec<Change>, ReadError> {
    let Ok(kind) = Key::parse(kind::PAYMENT) else { return Ok(Vec::new()) };
    let mut told = told(&kind, view)?;
    let mut changes = Vec::new();
    for Unbooked { which, note } in unbooked {
        // What names no obligation is nobody's yet.
        let which = match which.map(|which| view.which(&which)).transpose()? {
            Some(Ok(id)) => Some(Which::Id(id)),
            Some(Err(_)) | None => None,
        };
        let task = Unbooked { which, note }.task();
        changes.extend(task.filter(|task| is_news(task, &mut told)));
    }
    Ok(changes)
}

/// Nobody was told so before.
fn is_news(task: &Change, told: &mut HashSet<String>) -> bool {
    matches!(task, Change::OpenTask { note, .. } if told.insert(note.clone()))
}

/// What open tasks of the kind say.
fn told(kind: &Key, view: &View) -> Result<HashSet<String>, ReadError> {
    let (mut from, to) = keys::all(family::OPEN_TASK);
    let mut notes = HashSet::new();
    loop {
        let page = view.state.scan(&from, &to, PAGE)?;
        for (key, _) in &page {
            let Some(id) = keys::decode_id(key).map(TaskId::from_u64) else { continue };
            notes.extend(view.task(id)?.filter(|task| task.kind == *kind).map(|task| task.note));
        }
        let Some((last, _)) = page.last().filter(|_| page.len() == PAGE) else { return Ok(notes) };
        from = [last.as_slice(), &[0]].concat();
    }
}

/// Of a file of payments, the rows that have errors; what they say is read again.
pub(super) fn rows(file: &str, octets: &[u8], errors: &Errors) -> Vec<Unbooked> {
    let mut why = BTreeMap::new();
    for fault in &errors.first {
        let column = if fault.column.is_empty() { String::new() } else { format!("{}: ", fault.column) };
        why.entry(fault.row).or_insert_with(|| format!("{column}{}", fault.why));
    }
    let Ok(rows) = Rows::<_, Payment>::open(octets, &Mapping::default()) else { return Vec::new() };
    let faulty = rows.flatten().filter_map(|row| Some((why.get(&row.row)?, row)));
    let told = faulty.map(|(why, row)| match row.read {
        Ok(Payment { external_id, obligation, creditor, amount, .. }) => Unbooked {
            note: format!("payment {external_id} of {obligation}, {amount}: {why}"),
            which: Some(Which::External { id: obligation, creditor }),
        },
        Err(_) => Unbooked { which: None, note: format!("{file}, row {}: {why}", row.row) },
    });
    told.collect()
}
