//! How a firm's file differs from ours: names of columns, dates, amounts, what it does not say.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::super::name::Country;
use super::national;

/// Entries of each list of a mapping: a file has no more columns.
const ENTRIES_MAX: usize = super::table::COLUMNS_MAX;

/// The customer's own file format, kept under a name. Empty, it is our own format.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mapping {
    /// From the column's name in the file to ours.
    pub columns: BTreeMap<String, String>,
    /// Columns of the file that are passed over.
    pub ignore: BTreeSet<String>,
    pub dates: Dates,
    pub amounts: Amounts,
    /// Found in the header where it is not given.
    pub delimiter: Option<Delimiter>,
    /// Values of our columns that the file has not, or leaves empty.
    pub defaults: BTreeMap<String, String>,
    /// Where numbers without a plus are at home; without it a number needs its plus.
    pub country: Option<Country>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Dates {
    #[default]
    #[serde(rename = "YYYY-MM-DD")]
    Iso,
    #[serde(rename = "DD.MM.YYYY")]
    DayDotted,
    #[serde(rename = "DD/MM/YYYY")]
    DaySlashed,
    #[serde(rename = "MM/DD/YYYY")]
    MonthSlashed,
}

/// How amounts are written, named by the example.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Amounts {
    #[default]
    #[serde(rename = "1234.50")]
    Point,
    /// Thousands are parted by commas, blanks or apostrophes, if at all.
    #[serde(rename = "1,234.50")]
    PointGrouped,
    /// Thousands are parted by points, blanks or apostrophes, if at all.
    #[serde(rename = "1.234,50")]
    CommaGrouped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Delimiter {
    #[serde(rename = ",")]
    Comma,
    #[serde(rename = ";")]
    Semicolon,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadMapping {
    #[error("two columns of the file become {0:?}")]
    TwiceMapped(String),
    #[error("column {0:?} is both renamed and ignored")]
    MappedAndIgnored(String),
    #[error("{0:?} is no column that may have a default")]
    Default(String),
    #[error("{0:?} is no column of such a file")]
    Unknown(String),
    #[error("numbers of {0} need their plus: this country's own way of writing them is not known")]
    Country(Country),
    #[error("more than {ENTRIES_MAX} entries")]
    TooLarge,
}

/// What differs from row to row in any file.
const NO_DEFAULT: [&str; 4] = ["external_id", "phone", "phone2", "amount"];

impl Dates {
    pub fn shape(self) -> &'static str {
        match self {
            Dates::Iso => "YYYY-MM-DD",
            Dates::DayDotted => "DD.MM.YYYY",
            Dates::DaySlashed => "DD/MM/YYYY",
            Dates::MonthSlashed => "MM/DD/YYYY",
        }
    }
}

impl Amounts {
    pub fn shape(self) -> &'static str {
        match self {
            Amounts::Point => "1234.50",
            Amounts::PointGrouped => "1,234.50",
            Amounts::CommaGrouped => "1.234,50",
        }
    }
}

impl Delimiter {
    pub fn octet(self) -> u8 {
        match self {
            Delimiter::Comma => b',',
            Delimiter::Semicolon => b';',
        }
    }
}

impl Mapping {
    /// What can be said of a mapping without a file.
    ///
    /// # Errors
    /// [`BadMapping`], the first that is found.
    pub fn check(&self) -> Result<(), BadMapping> {
        if self.columns.len().max(self.ignore.len()).max(self.defaults.len()) > ENTRIES_MAX {
            return Err(BadMapping::TooLarge);
        }
        let mut taken = BTreeSet::new();
        for (from, to) in &self.columns {
            if self.ignore.contains(from) {
                return Err(BadMapping::MappedAndIgnored(from.clone()));
            }
            if !taken.insert(to) {
                return Err(BadMapping::TwiceMapped(to.clone()));
            }
        }
        if let Some(column) = self.defaults.keys().find(|column| NO_DEFAULT.contains(&column.as_str())) {
            return Err(BadMapping::Default(column.clone()));
        }
        match &self.country {
            Some(country) if !national::is_known(country) => Err(BadMapping::Country(country.clone())),
            _ => Ok(()),
        }
    }
}
