//! Which column of a file is which of ours, and the cells of one row by our names.

use std::collections::HashMap;

use csv::StringRecord;

use super::super::cell::unguarded;
use super::mapping::{BadMapping, Mapping};
use super::{FileError, Record, RowError};

/// Octets of the name behind `custom.`.
const CUSTOM_NAME_MAX: usize = 64;

/// Where the value of one of our columns comes from.
struct Place {
    /// The cell, and the column's name in the file.
    cell: Option<(usize, String)>,
    default: Option<String>,
}

/// The columns of a file.
pub struct Places {
    known: HashMap<&'static str, Place>,
    /// Name behind `custom.`, cell, name in the file.
    custom: Vec<(String, usize, String)>,
}

impl Places {
    pub fn find<T: Record>(header: &[String], mapping: &Mapping) -> Result<Places, FileError> {
        let ours = |name: &str| T::COLUMNS.iter().find(|(column, _)| *column == name).map(|c| c.0);
        let mut places = Places { known: HashMap::new(), custom: Vec::new() };
        for target in mapping.columns.values() {
            if ours(target).is_none() && !(T::CUSTOM && custom_name(target).is_some()) {
                return Err(BadMapping::Unknown(target.clone()).into());
            }
        }
        for (column, default) in &mapping.defaults {
            let column = ours(column).ok_or_else(|| BadMapping::Unknown(column.clone()))?;
            places.known.insert(column, Place { cell: None, default: Some(default.clone()) });
        }
        for (at, shown) in header.iter().enumerate().filter(|(_, name)| !mapping.ignore.contains(*name)) {
            let name = mapping.columns.get(shown).unwrap_or(shown);
            match (ours(name), custom_name(name)) {
                (Some(column), _) => places.put(column, at, shown)?,
                (None, Some(custom)) if T::CUSTOM => places.put_custom(custom, at, shown)?,
                _ => return Err(FileError::UnknownColumn(shown.clone())),
            }
        }
        let missing =
            T::COLUMNS.iter().find(|(column, needed)| *needed && !places.known.contains_key(column));
        missing.map_or(Ok(places), |(column, _)| Err(FileError::MissingColumn((*column).to_owned())))
    }

    fn put(&mut self, column: &'static str, at: usize, shown: &str) -> Result<(), FileError> {
        let place = self.known.entry(column).or_insert(Place { cell: None, default: None });
        match place.cell.replace((at, shown.to_owned())) {
            Some(_) => Err(FileError::DoubleColumn(shown.to_owned())),
            None => Ok(()),
        }
    }

    fn put_custom(&mut self, custom: &str, at: usize, shown: &str) -> Result<(), FileError> {
        if self.custom.iter().any(|(name, ..)| name == custom) {
            return Err(FileError::DoubleColumn(shown.to_owned()));
        }
        self.custom.push((custom.to_owned(), at, shown.to_owned()));
        Ok(())
    }
}

/// The name of a custom field: what a template may call `custom.NAME`.
fn custom_name(column: &str) -> Option<&str> {
    let name = column.strip_prefix("custom.")?;
    let fits = name.len() <= CUSTOM_NAME_MAX
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    fits.then_some(name)
}

/// One row by our names; what is wrong with it gathers here.
pub struct Cells<'a> {
    row: u64,
    record: &'a StringRecord,
    places: &'a Places,
    pub(super) mapping: &'a Mapping,
    errors: Vec<RowError>,
}

impl<'a> Cells<'a> {
    pub(super) fn new(
        row: u64,
        record: &'a StringRecord,
        places: &'a Places,
        mapping: &'a Mapping,
    ) -> Cells<'a> {
        Cells { row, record, places, mapping, errors: Vec::new() }
    }

    /// What the cell says, or the default; `None` when both are empty. Whether it came from the file stands with
    /// What the cell says, or the default; `None` when both are empty.
    fn said(&self, column: &str) -> Option<&'a str> {
        let place = self.places.known.get(column)?;
        let cell = place.cell.as_ref().and_then(|(at, _)| self.record.get(*at));
        let cell = cell.map(|cell| unguarded(cell.trim())).filter(|cell| !cell.is_empty());
        let default = place.default.as_deref().filter(|default| !default.is_empty());
        cell.or(default)
    }

    /// A value that may be missing; what is wrong with it is kept and gives `None`.
    pub(super) fn optional<V, E: ToString>(
        &mut self,
        column: &str,
        read: impl FnOnce(&str) -> Result<V, E>,
    ) -> Option<V> {
        let text = self.said(column)?;
        match read(text) {
            Ok(value) => Some(value),
            Err(why) => {
                self.refuse(column, &why.to_string());
                None
            }
        }
    }

    /// A value that must be there.
    pub(super) fn required<V, E: ToString>(
        &mut self,
        column: &str,
        read: impl FnOnce(&str) -> Result<V, E>,
    ) -> Option<V> {
        if self.said(column).is_none() {
            self.refuse(column, "is missing");
        }
        self.optional(column, read)
    }

    /// The custom fields that say something.
    pub(super) fn custom<E: ToString>(
        &mut self,
        read: impl Fn(&str) -> Result<String, E>,
    ) -> std::collections::BTreeMap<String, String> {
        let mut fields = std::collections::BTreeMap::new();
        for (name, at, shown) in &self.places.custom {
            let cell = self.record.get(*at).map(|cell| unguarded(cell.trim())).unwrap_or_default();
            match read(cell) {
                Ok(value) if value.is_empty() => {}
                Ok(value) => {
                    fields.insert(name.clone(), value);
                }
                Err(why) => {
                    self.errors.push(RowError { row: self.row, column: shown.clone(), why: why.to_string() });
                }
            }
        }
        fields
    }

    /// Notes that a column of this row is wrong, by its name in the file.
    pub fn refuse(&mut self, column: &str, why: &str) {
        let shown = self.places.known.get(column).and_then(|place| place.cell.as_ref());
        let column = shown.map_or(column, |(_, shown)| shown).to_owned();
        self.errors.push(RowError { row: self.row, column, why: why.to_owned() });
    }

    pub(super) fn into_errors(self) -> Vec<RowError> {
        self.errors
    }
}
