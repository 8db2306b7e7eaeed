//! A case: one obligation with the person who owes it, as one row of a file tells them.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::super::consent::ConsentKind;
use super::super::contact::ContactKind;
use super::super::money::{Currency, Money};
use super::super::name::{Country, ExternalId, Key, Language};
use super::super::zone::Zone;
use super::value::{amount, date, instant, number, text};
use super::{Cells, Record};
use crate::clock::Timestamp;
use crate::message::Msisdn;

/// Begins what is hashed, so that a later form of a case has other hashes.
const FORM: &[u8] = b"nudged case 1";

/// One row of cases. Where the file has no `contact`, the account stands for it, or else the number; where it has
/// no `account`, the contact does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    pub external_id: ExternalId,
    pub creditor: Key,
    pub account: ExternalId,
    pub contact: ExternalId,
    pub phone: Msisdn,
    pub phone2: Option<Msisdn>,
    /// More than zero.
    pub amount: Money,
    /// More than zero and not above the amount.
    pub min_due: Option<Money>,
    pub due_date: Date,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub company: Option<String>,
    pub kind: Option<ContactKind>,
    pub language: Option<Language>,
    pub country: Option<Country>,
    pub region: Option<String>,
    pub postcode: Option<String>,
    pub timezone: Option<Zone>,
    pub description: Option<String>,
    /// `https://` or `http://`, without blanks; whether the creditor allows its host is not looked at here.
    pub link: Option<String>,
    pub sequence: Option<Key>,
    pub case_manager: Option<String>,
    pub consent: Option<Consent>,
    pub custom: BTreeMap<String, String>,
}

/// What the file says about consent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    pub kind: ConsentKind,
    /// Where it can be looked up; a bare yes has none.
    pub source: Option<String>,
    /// Always there but for [`ConsentKind::Imported`]. A date alone is its beginning in UTC.
    pub at: Option<Timestamp>,
}

impl Case {
    /// Sixteen octets that are the same for the same case, whatever the file looked like.
    pub fn hash(&self) -> [u8; 16] {
        // A vector takes whatever is written; a case that could not be written would be new each time.
        let form = postcard::to_stdvec(self).unwrap_or_default();
        let mut hasher = blake3::Hasher::new();
        hasher.update(FORM).update(&form);
        let mut hash = [0; 16];
        hash.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        hash
    }
}

impl Record for Case {
    const COLUMNS: &'static [(&'static str, bool)] = &[
        ("external_id", true),
        ("creditor", true),
        ("phone", true),
        ("amount", true),
        ("currency", true),
        ("due_date", true),
        ("account", false),
        ("contact", false),
        ("first_name", false),
        ("last_name", false),
        ("company", false),
        ("kind", false),
        ("language", false),
        ("country", false),
        ("region", false),
        ("postcode", false),
        ("timezone", false),
        ("phone2", false),
        ("min_due", false),
        ("description", false),
        ("link", false),
        ("sequence", false),
        ("case_manager", false),
        ("consent", false),
        ("consent_source", false),
        ("consent_at", false),
    ];
    const CUSTOM: bool = true;

    fn read(cells: &mut Cells<'_>) -> Option<Case> {
        let mapping = cells.mapping;
        let external_id = cells.required("external_id", ExternalId::parse);
        let creditor = cells.required("creditor", Key::parse);
        let phone = cells.required("phone", |cell| number(cell, mapping));
        let due_date = cells.required("due_date", |cell| date(cell, mapping.dates));
        let (amount, min_due) = amounts(cells);
        let account = cells.optional("account", ExternalId::parse);
        let contact = cells.optional("contact", ExternalId::parse);
        let by_number = phone.and_then(|phone| ExternalId::parse(&phone.to_e164()).ok());
        let contact = contact.or_else(|| account.clone()).or(by_number);
        let case = Case {
            phone2: cells.optional("phone2", |cell| number(cell, mapping)),
            first_name: cells.optional("first_name", text),
            last_name: cells.optional("last_name", text),
            company: cells.optional("company", text),
            kind: cells.optional("kind", kind),
            language: cells.optional("language", Language::parse),
            country: cells.optional("country", Country::parse),
            region: cells.optional("region", text),
            postcode: cells.optional("postcode", text),
            timezone: cells.optional("timezone", Zone::parse),
            description: cells.optional("description", text),
            link: cells.optional("link", link),
            sequence: cells.optional("sequence", Key::parse),
            case_manager: cells.optional("case_manager", text),
            consent: consent(cells),
            custom: cells.custom(text),
            // Without these the row is refused; that is told only once every column was looked at.
            external_id: external_id?,
            creditor: creditor?,
            phone: phone?,
            amount: amount?,
            due_date: due_date?,
            account: account.or_else(|| contact.clone())?,
            contact: contact?,
            min_due,
        };
        Some(case)
    }

    fn unique(&self) -> (&'static str, &str, &'static str) {
        ("external_id", self.external_id.as_str(), "")
    }
}

fn amounts(cells: &mut Cells<'_>) -> (Option<Money>, Option<Money>) {
    let amounts = cells.mapping.amounts;
    let Some(currency) = cells.required("currency", Currency::parse) else {
        return (None, None);
    };
    let all = cells.required("amount", |cell| amount(cell, amounts, currency));
    let min_due = cells.optional("min_due", |cell| amount(cell, amounts, currency));
    if all.zip(min_due).is_some_and(|(all, least)| least.minor() > all.minor()) {
        cells.refuse("min_due", "is more than the amount");
    }
    (all, min_due)
}

fn kind(cell: &str) -> Result<ContactKind, &'static str> {
    match cell.to_ascii_lowercase().as_str() {
        "consumer" => Ok(ContactKind::Consumer),
        "b2b" => Ok(ContactKind::B2b),
        _ => Err("must be consumer or b2b"),
    }
}

fn link(cell: &str) -> Result<String, &'static str> {
    let rest = cell.strip_prefix("https://").or_else(|| cell.strip_prefix("http://"));
    let rest = rest.ok_or("must begin with https://")?;
    let plain = cell.bytes().all(|b| b.is_ascii_graphic());
    let host = rest.starts_with(|c: char| c.is_ascii_alphanumeric());
    if plain && host && cell.len() <= super::value::TEXT_MAX {
        Ok(cell.to_owned())
    } else {
        Err("is no address")
    }
}

fn consent(cells: &mut Cells<'_>) -> Option<Consent> {
    let dates = cells.mapping.dates;
    let source = cells.optional("consent_source", text);
    let at = cells.optional("consent_at", |cell| instant(cell, dates));
    let kind = cells.optional("consent", consent_kind)?;
    if kind != ConsentKind::Imported && at.is_none() {
        cells.refuse("consent_at", "is missing: from when is the consent?");
    }
    Some(Consent { kind, source, at })
}

fn consent_kind(cell: &str) -> Result<ConsentKind, &'static str> {
    match cell.to_ascii_lowercase().as_str() {
        "given" => Ok(ConsentKind::Given),
        "renewed" => Ok(ConsentKind::Renewed),
        "revoked" => Ok(ConsentKind::Revoked),
        "checked" => Ok(ConsentKind::Checked),
        "imported" | "yes" | "y" | "true" | "1" => Ok(ConsentKind::Imported),
        // Whether a no is a revocation or only no proof, the file does not say; both are dear to guess.
        _ => Err("must be given, renewed, revoked, checked or yes; leave it empty where nothing is known"),
    }
}
