//! The modem's counts, as `GET /stats` shows them.

use std::collections::BTreeMap;

use serde::Serialize;

/// Commands counted by name; others together as `other`.
const MOST_NAMES: usize = 256;

#[derive(Debug, Clone, Default, Serialize)]
pub struct Stats {
    /// Messages whose Ctrl-Z came with a TPDU that could be read.
    pub received: u64,
    pub answered: u64,
    pub in_flight: u64,
    pub most_in_flight: u64,
    /// By the CMS error of the answer, `0` for +CMGS, `none` for no answer.
    pub per_status: BTreeMap<String, u64>,
    /// PDUs that were refused before anything was sent.
    pub refused: u64,
    /// Clients that opened the port and the times none was left, as far as can be told.
    pub clients: u64,
    pub clients_gone: u64,
    pub commands: BTreeMap<String, u64>,
    /// Of the network: what was stored or handed on, and what the client deleted or acknowledged.
    pub delivered: u64,
    pub taken: u64,
    /// Status reports with no way to the client (+CNMI ds=0).
    pub reports_discarded: u64,
    /// Acknowledgements that did not come in time.
    pub unacknowledged: u64,
}

impl Stats {
    pub fn command(&mut self, name: &str) {
        if let Some(count) = self.commands.get_mut(name) {
            *count += 1;
            return;
        }
        let name = if self.commands.len() < MOST_NAMES { name } else { "other" };
        *self.commands.entry(name.to_owned()).or_default() += 1;
    }

    pub fn message(&mut self, status: Option<u32>) {
        self.received += 1;
        let status = status.map_or_else(|| "none".to_owned(), |status| status.to_string());
        *self.per_status.entry(status).or_default() += 1;
    }
}
