//! A debtor's word to pay on a day, and what became of it.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::money::Money;
use crate::clock::Timestamp;

/// `made -> kept | broken | withdrawn`; the reminders wait until the day after it and one business day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promise {
    pub date: Date,
    /// `None`: all of it.
    pub amount: Option<Money>,
    pub made_at: Timestamp,
    pub state: PromiseState,
}

/// Stored by position: append only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromiseState {
    Made,
    Kept,
    Broken,
    Withdrawn,
}

/// Business days after its date until which the money may come: a transfer takes one.
pub const PROMISE_GRACE_DAYS: i16 = 1;

/// Days ahead beyond which a promise is for a person to judge.
pub const PROMISE_DAYS_MAX: i32 = 30;
