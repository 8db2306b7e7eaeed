//! A payment plan: instalments that become obligations of their own while the plan is kept.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::money::Money;

/// Instalments of one plan at most.
pub const INSTALMENTS_MAX: usize = 120;

/// One instalment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanPart {
    pub due_date: Date,
    pub amount: Money,
}
