//! What a bank says came in: statements as camt.053 ([`camt`]) or MT940 ([`mt940`]), read into one form, and
//! whose payment each entry is ([`matching`]).
//!
//! Invariants: a file gives all its booked entries or an error that names the line or the element; the same file
//! gives the same ids again; an entry is split only when its pieces add up. Amounts are never negative, the
//! direction says where they went.
//!
//! It leaves to others: what a payment does, and tasks for what is doubtful.

pub mod camt;
pub mod matching;
pub mod mt940;

use std::borrow::Cow;
use std::collections::HashMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::money::Money;
use super::name::ExternalId;

/// Octets of one file: a day of a large firm. Larger ones are split by the bank.
pub const FILE_MAX: usize = 16 * 1024 * 1024;
/// Characters kept of what an entry says.
const REMITTANCE_MAX: usize = 2_000;
/// Shorter references are a bank's counters, which begin anew with each statement.
const REFERENCE_MIN: usize = 8;
/// What stands where there is no reference.
const NO_REFERENCES: [&str; 5] = ["NONREF", "NOTPROVIDED", "NOTAVAILABLE", "NOREF", "UNKNOWN"];

/// One booked movement on the firm's account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The bank's own reference with a mark of the account, for another account may count its own; or a digest of all
    /// that is known. The same file gives the same.
    pub external_id: ExternalId,
    /// The firm's account, as the bank names it.
    pub account: String,
    pub booked: Date,
    /// More than zero.
    pub amount: Money,
    pub direction: Direction,
    /// Takes an earlier entry back: a debit that is one undoes a payment.
    pub reversal: bool,
    /// All that the payer wrote, with blanks where lines ended.
    pub remittance: String,
    pub end_to_end: Option<String>,
    pub debtor_name: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    Credit,
    Debit,
}

/// Why a file is no statement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BankError {
    #[error("larger than {FILE_MAX} octets")]
    TooLarge,
    #[error("neither camt.053 nor MT940")]
    Unknown,
    #[error("the XML cannot be read: {0}")]
    Xml(String),
    #[error("line {line}: {element}: {why}")]
    Element { line: u32, element: &'static str, why: String },
    #[error("line {line}: {why}")]
    Line { line: usize, why: String },
}

/// Reads a statement of either form, told by how it begins.
///
/// # Errors
/// [`BankError`]
pub fn read(octets: &[u8]) -> Result<Vec<Entry>, BankError> {
    if octets.len() > FILE_MAX {
        return Err(BankError::TooLarge);
    }
    let text = decoded(octets);
    let begin = text.trim_start();
    if begin.starts_with('<') {
        camt::read(&text)
    } else if begin.starts_with(":20:") || begin.starts_with("{1:") || begin.starts_with("\n:20:") {
        mt940::read(&text)
    } else {
        Err(BankError::Unknown)
    }
}

/// UTF-8 where it is, else Latin-1, which banks still write.
fn decoded(octets: &[u8]) -> String {
    let octets = octets.strip_prefix(&[0xEF, 0xBB, 0xBF]).unwrap_or(octets);
    match std::str::from_utf8(octets) {
        Ok(text) => text.to_owned(),
        Err(_) => octets.iter().map(|octet| char::from(*octet)).collect(),
    }
}

/// An entry that has no id yet.
struct Draft {
    /// The bank's own reference of this movement, if it has one of its own.
    reference: Option<String>,
    account: String,
    booked: Date,
    amount: Money,
    direction: Direction,
    reversal: bool,
    remittance: String,
    end_to_end: Option<String>,
    debtor_name: Option<String>,
}

impl Draft {
    /// The id without what tells equal ones apart.
    fn id(&self) -> String {
        let kept = self.reference.as_deref().filter(|reference| reference.len() >= REFERENCE_MIN);
        let side = match self.direction {
            Direction::Credit => "",
            // A bank may give what it takes back the reference of what it gave.
            Direction::Debit => DEBIT,
        };
        match kept {
            Some(reference) => format!("{reference}{}{side}", mark(&self.account)),
            None => self.digest(),
        }
    }

    fn digest(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for field in [
            self.reference.as_deref().unwrap_or_default(),
            &self.account,
            &self.booked.to_string(),
            &self.amount.to_string(),
            if self.direction == Direction::Credit { "C" } else { "D" },
            &self.remittance,
            self.end_to_end.as_deref().unwrap_or_default(),
            self.debtor_name.as_deref().unwrap_or_default(),
        ] {
            hasher.update(&(field.len() as u64).to_le_bytes()).update(field.as_bytes());
        }
        format!("bank-{}", &hasher.finalize().to_hex()[..32])
    }
}

/// Behind the reference of a debit.
const DEBIT: &str = "/debit";
/// What stands between the bank's reference and the account's mark.
const MARK: char = '@';
/// Hexadecimal digits of the mark: a firm has few accounts.
const MARK_DIGITS: usize = 8;

fn mark(account: &str) -> String {
    let digest = blake3::hash(account.as_bytes()).to_hex();
    format!("{MARK}{}", digest.get(..MARK_DIGITS).unwrap_or_default())
}

/// An id of an entry without the mark of its account: what the bank itself, or a program of the firm, calls it.
pub fn unmarked(id: &str) -> Cow<'_, str> {
    let marked = id.rfind(MARK).and_then(|at| {
        let (digits, rest) = id.get(at + 1..)?.split_at_checked(MARK_DIGITS)?;
        let is_mark = digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        is_mark.then(|| format!("{}{rest}", &id[..at]))
    });
    marked.map_or(Cow::Borrowed(id), Cow::Owned)
}

/// Gives each entry its id; what one file says twice are two, counted in the file's order.
fn entries(drafts: Vec<Draft>) -> Vec<Entry> {
    let mut counts: HashMap<String, u32> = HashMap::new();
    let entry = |draft: Draft| {
        let id = draft.id();
        let count = counts.entry(id.clone()).or_default();
        *count += 1;
        let id = if *count == 1 { id } else { format!("{id}#{count}") };
        let external_id = ExternalId::parse(&id).or_else(|_| ExternalId::parse(&draft.digest())).ok()?;
        Some(Entry {
            external_id,
            account: draft.account,
            booked: draft.booked,
            amount: draft.amount,
            direction: draft.direction,
            reversal: draft.reversal,
            remittance: draft.remittance,
            end_to_end: draft.end_to_end,
            debtor_name: draft.debtor_name,
        })
    };
    drafts.into_iter().filter_map(entry).collect()
}

/// A reference without blanks, unless it says that there is none.
fn reference(text: &str) -> Option<String> {
    let plain: String = text.chars().filter(|c| !c.is_whitespace() && !c.is_control()).take(100).collect();
    let none = plain.chars().all(|c| c == '0' || !c.is_alphanumeric())
        || NO_REFERENCES.contains(&plain.to_ascii_uppercase().as_str());
    (!none).then_some(plain)
}

/// Lines as one text of bounded length.
fn joined<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<&str> = lines.flat_map(str::split_whitespace).collect();
    words.join(" ").chars().filter(|c| !c.is_control()).take(REMITTANCE_MAX).collect()
}

#[cfg(test)]
mod tests;
