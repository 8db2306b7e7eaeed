//! Seed tables as changes: what files set up goes the way of everything else.

use super::change::Change;
use crate::reminder::seed::Table;

/// One change a table.
pub fn change(table: Table) -> Change {
    match table {
        Table::Calendar(calendar) => Change::Calendar(calendar),
        Table::Pack(pack) => Change::Pack(pack),
        Table::Creditor(creditor) => Change::Creditor(creditor),
        Table::Menu(menu) => Change::Menu(*menu),
        Table::Template(template) => Change::Template { template, expect: None },
        Table::Sequence(sequence) => Change::Sequence(sequence),
        Table::Rule(rule) => Change::Rule { key: rule.key.clone(), rule: Some(rule) },
    }
}
