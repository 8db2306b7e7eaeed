//! The dry run of a file of cases: every row read, held against what is there, its first text planned and rendered
//! once, and nothing written.

use std::collections::BTreeMap;
use std::io::Read as Input;

use serde::{Deserialize, Serialize};

use super::estimate::Load;
use crate::clock::Timestamp;
use crate::engine::reminders::imagine::{Fate, Imagining, Outlook};
use crate::engine::reminders::situation::RulesCache;
use crate::engine::reminders::{Catalog, ChangeRefusal};
use crate::reminder::import::{Case, FileError, Mapping, RowError, Rows};
use crate::store::{Read, StoreError};

/// Row errors told; the others are counted.
pub const ERRORS_MAX: usize = 1_000;
/// Kinds of warnings told.
const WARNINGS_MAX: usize = 50;

/// What a dry run found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dry {
    pub rows: u64,
    pub valid: u64,
    /// The first of them.
    pub errors: Errors,
    pub delta: Delta,
    /// Cases that have a next text, and its segments.
    pub texts: u64,
    pub segments: u64,
    pub finish_estimate: Option<Timestamp>,
    pub warnings: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delta {
    pub new: u64,
    pub changed: u64,
    pub unchanged: u64,
    pub rejected: u64,
}

/// Faults of rows: the first [`ERRORS_MAX`], and how many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Errors {
    pub first: Vec<Fault>,
    pub count: u64,
}

/// One cell that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    pub row: u64,
    pub column: String,
    pub why: String,
}

impl From<RowError> for Fault {
    fn from(error: RowError) -> Fault {
        let RowError { row, column, why } = error;
        Fault { row, column, why }
    }
}

impl Errors {
    pub fn add(&mut self, fault: impl Into<Fault>) {
        self.count += 1;
        if self.first.len() < ERRORS_MAX {
            self.first.push(fault.into());
        }
    }

    /// What the engine says of a row.
    pub fn refuse(&mut self, row: u64, refusal: &ChangeRefusal) {
        let (column, why) = match refusal {
            ChangeRefusal::Field { field, why } => (String::from(*field), why.clone()),
            other => (String::new(), other.to_string()),
        };
        self.add(Fault { row, column, why });
    }
}

/// Why a dry run came to no end.
#[derive(Debug, thiserror::Error)]
pub enum DryError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What rows are held against.
pub struct Against<'a> {
    pub state: &'a dyn Read,
    pub catalog: &'a Catalog,
    pub now: Timestamp,
}

/// Reads the file to its end. The load is what its first texts would put on the links.
pub fn run(input: impl Input, mapping: &Mapping, against: &Against<'_>) -> Result<(Dry, Load), DryError> {
    let Against { state, catalog, now } = *against;
    let rules = RulesCache::default();
    let imagining = Imagining { state, catalog, rules: &rules, now };
    let (mut dry, mut load, mut warnings) = (Dry::default(), Load::default(), BTreeMap::new());
    for row in Rows::<_, Case>::open(input, mapping)? {
        let row = row?;
        dry.rows += 1;
        let case = match row.read {
            Ok(case) => case,
            Err(errors) => {
                errors.into_iter().for_each(|error| dry.errors.add(error));
                dry.delta.rejected += 1;
                continue;
            }
        };
        let outlook = match imagining.fate(case)? {
            Fate::Refused(refusal) => {
                dry.errors.refuse(row.row, &refusal);
                dry.delta.rejected += 1;
                continue;
            }
            Fate::Unchanged => {
                dry.delta.unchanged += 1;
                Outlook::Nothing
            }
            Fate::New(outlook) => {
                dry.delta.new += 1;
                outlook
            }
            Fate::Changed(outlook) => {
                dry.delta.changed += 1;
                outlook
            }
        };
        dry.valid += 1;
        note(outlook, (row.row, &mut dry), &mut load, &mut warnings);
    }
    dry.warnings = told(warnings);
    Ok((dry, load))
}

/// Rows by warning: how many, and the first of them.
type Warnings = BTreeMap<String, (u64, u64)>;

fn note(outlook: Outlook, (row, dry): (u64, &mut Dry), load: &mut Load, warnings: &mut Warnings) {
    let warning = match outlook {
        Outlook::Nothing => None,
        Outlook::NoText(why) => Some(format!("the next text cannot be made: {why}")),
        Outlook::Text { at, segment_count, refused } => {
            dry.texts += 1;
            dry.segments += u64::from(segment_count);
            load.add(at, segment_count);
            refused.map(|why| format!("the next text would not go: {why}"))
        }
    };
    let Some(warning) = warning else { return };
    if warnings.len() < WARNINGS_MAX || warnings.contains_key(&warning) {
        warnings.entry(warning).or_insert((0, row)).0 += 1;
    }
}

fn told(warnings: Warnings) -> Vec<String> {
    let mut warnings: Vec<(String, (u64, u64))> = warnings.into_iter().collect();
    warnings.sort_by(|a, b| b.1.0.cmp(&a.1.0).then_with(|| a.0.cmp(&b.0)));
    let line = |(why, (count, first)): (String, (u64, u64))| match count {
        1 => format!("row {first}: {why}"),
        _ => format!("{count} rows, the first is {first}: {why}"),
    };
    warnings.into_iter().map(line).collect()
}
