//! A subscription: what an account owes again every period.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::money::Money;
use super::name::{ExternalId, Key};
use super::recurrence::{Day, Every};

/// A subscription as a firm writes it; each period becomes an obligation of its own, once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subscription {
    pub external_id: ExternalId,
    pub account: ExternalId,
    /// Where several creditors have an account of that id.
    #[serde(default)]
    pub creditor: Option<Key>,
    pub amount: Money,
    pub every: Every,
    /// Of the month; the day of `from` where it is not given.
    #[serde(default)]
    pub day: Option<Day>,
    pub from: Date,
    /// No period after this date.
    #[serde(default)]
    pub until: Option<Date>,
    /// Due dates that are left out.
    #[serde(default)]
    pub skip: Vec<Date>,
    #[serde(default)]
    pub description: Option<String>,
    #[serde(default)]
    pub link: Option<String>,
    #[serde(default)]
    pub sequence: Option<Key>,
}
