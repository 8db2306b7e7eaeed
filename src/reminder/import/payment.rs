//! A payment as one row of a file tells it.

use super::super::money::{Currency, Money};
use super::super::name::{ExternalId, Key};
use super::value::{amount, instant};
use super::{Cells, Record};
use crate::clock::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// The payment's own id: the same twice is one payment.
    pub external_id: ExternalId,
    /// What was paid, by its external id.
    pub obligation: ExternalId,
    pub creditor: Option<Key>,
    /// More than zero, for a reversed one too.
    pub amount: Money,
    /// A date alone is its beginning in UTC.
    pub at: Timestamp,
    pub reversed: bool,
}

impl Record for Payment {
    const COLUMNS: &'static [(&'static str, bool)] = &[
        ("external_id", true),
        ("obligation", true),
        ("amount", true),
        ("currency", true),
        ("at", true),
        ("creditor", false),
        ("reversed", false),
    ];
    const CUSTOM: bool = false;

    fn read(cells: &mut Cells<'_>) -> Option<Payment> {
        let (dates, amounts) = (cells.mapping.dates, cells.mapping.amounts);
        let external_id = cells.required("external_id", ExternalId::parse);
        let obligation = cells.required("obligation", ExternalId::parse);
        let creditor = cells.optional("creditor", Key::parse);
        let currency = cells.required("currency", Currency::parse);
        let amount =
            currency.and_then(|currency| cells.required("amount", |cell| amount(cell, amounts, currency)));
        let at = cells.required("at", |cell| instant(cell, dates));
        let reversed = cells.optional("reversed", truth).unwrap_or(false);
        let (external_id, obligation) = (external_id?, obligation?);
        Some(Payment { external_id, obligation, creditor, amount: amount?, at: at?, reversed })
    }

    /// A file may tell of a payment and of its reversal.
    fn unique(&self) -> (&'static str, &str, &'static str) {
        ("external_id", self.external_id.as_str(), if self.reversed { "reversed" } else { "" })
    }
}

fn truth(cell: &str) -> Result<bool, &'static str> {
    match cell.to_ascii_lowercase().as_str() {
        "true" | "yes" | "y" | "1" => Ok(true),
        "false" | "no" | "n" | "0" => Ok(false),
        _ => Err("must be true or false"),
    }
}
