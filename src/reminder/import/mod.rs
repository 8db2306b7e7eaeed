//! What comes in as a CSV file: cases and payments, read row by row into checked values.
//!
//! Invariants: a row is either wholly right or refused with everything that is wrong with it; nothing is rounded
//! or guessed; what is held at a time is one record ([`table::RECORD_MAX`]) and one mark a row for what may not
//! come twice. A file that is no such CSV at all ends the reading with one [`FileError`].
//!
//! It leaves to others: whether creditors, sequences and obligations exist, what changed, and keeping anything.

pub mod case;
mod column;
mod mapping;
mod national;
mod payment;
mod table;
mod value;

use std::io::Read;

use serde::Serialize;

pub use case::{Case, Consent};
pub use mapping::{Amounts, BadMapping, Dates, Delimiter, Mapping};
pub use payment::Payment;

use column::Places;
use table::Table;

/// Rows of one file. More are no import but a migration, and go in several files.
pub const ROWS_MAX: u64 = 1_000_000;

/// What is wrong in one cell; `row` counts as a spreadsheet does, with the header as row 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RowError {
    pub row: u64,
    /// The column's name in the file; empty where the row as a whole is wrong.
    pub column: String,
    pub why: String,
}

/// Why a file cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("the file is empty: it needs a header line and rows")]
    Empty,
    #[error("the file is UTF-16; save it as CSV UTF-8")]
    Utf16,
    #[error("row {row} is not UTF-8; save the file as CSV UTF-8")]
    NotUtf8 { row: u64 },
    #[error("row {row} is longer than {} octets: is a quote left open?", table::RECORD_MAX)]
    TooLong { row: u64 },
    #[error("more than {ROWS_MAX} rows; split the file")]
    TooManyRows,
    #[error("column {0:?} is not known; rename it or leave it out by a mapping")]
    UnknownColumn(String),
    #[error("column {0:?} comes twice")]
    DoubleColumn(String),
    #[error("column {0:?} is missing, and the mapping has no default for it")]
    MissingColumn(String),
    #[error("more than {} columns", table::COLUMNS_MAX)]
    TooManyColumns,
    #[error("the mapping is wrong: {0}")]
    Mapping(#[from] BadMapping),
    #[error("the file cannot be read")]
    Read(#[source] std::io::Error),
}

/// One row: what it says, or all that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row<T> {
    /// As a spreadsheet counts, with the header as row 1.
    pub row: u64,
    pub read: Result<T, Vec<RowError>>,
}

/// What a row of a kind of file is read into.
pub trait Record: Sized {
    /// Names of the columns, and whether a file must have each.
    const COLUMNS: &'static [(&'static str, bool)];
    /// Whether `custom.NAME` columns are taken.
    const CUSTOM: bool;

    /// `None` when something is wrong, which `cells` then holds.
    fn read(cells: &mut Cells<'_>) -> Option<Self>;

    /// What no two rows of a file may share: the column, its value, and of which kind the row is.
    fn unique(&self) -> (&'static str, &str, &'static str);
}

pub use column::Cells;

/// The rows of a file, read as they are asked for.
pub struct Rows<R, T> {
    table: Table<R>,
    places: Places,
    mapping: Mapping,
    seen: std::collections::HashMap<[u8; 16], u64>,
    ended: bool,
    kind: std::marker::PhantomData<fn() -> T>,
}

impl<R: Read, T: Record> Rows<R, T> {
    /// Reads the header.
    ///
    /// # Errors
    /// [`FileError`], when the header or the mapping does not fit.
    pub fn open(input: R, mapping: &Mapping) -> Result<Rows<R, T>, FileError> {
        mapping.check()?;
        let (table, header) = Table::open(input, mapping.delimiter)?;
        let places = Places::find::<T>(&header, mapping)?;
        let (mapping, seen) = (mapping.clone(), std::collections::HashMap::new());
        Ok(Rows { table, places, mapping, seen, ended: false, kind: std::marker::PhantomData })
    }

    fn row(&mut self) -> Result<Option<Row<T>>, FileError> {
        let Some((row, record)) = self.table.next()? else { return Ok(None) };
        if row > ROWS_MAX {
            return Err(FileError::TooManyRows);
        }
        let record = match record {
            Ok(record) => record,
            Err(why) => {
                let error = RowError { row, column: String::new(), why };
                return Ok(Some(Row { row, read: Err(vec![error]) }));
            }
        };
        let mut cells = Cells::new(row, record, &self.places, &self.mapping);
        let mut read = T::read(&mut cells);
        if let Some(value) = &read {
            let (column, id, kind) = value.unique();
            let first = *self.seen.entry(mark(kind, id)).or_insert(row);
            if first != row {
                cells.refuse(column, &format!("row {first} has {id:?} too"));
                read = None;
            }
        }
        let errors = cells.into_errors();
        let read = read.filter(|_| errors.is_empty()).ok_or(errors);
        Ok(Some(Row { row, read }))
    }
}

impl<R: Read, T: Record> Iterator for Rows<R, T> {
    type Item = Result<Row<T>, FileError>;

    fn next(&mut self) -> Option<Result<Row<T>, FileError>> {
        if self.ended {
            return None;
        }
        let next = self.row().transpose();
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }
}

/// Sixteen octets for what is compared within one file: no two texts share them but by a search for such two.
fn mark(kind: &str, text: &str) -> [u8; 16] {
    let mut mark = [0; 16];
    let mut hasher = blake3::Hasher::new();
    hasher.update(kind.as_bytes()).update(&[0]).update(text.as_bytes());
    mark.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    mark
}

#[cfg(test)]
mod tests;
