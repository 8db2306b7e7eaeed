//! What waits for the client: receipts and replies of one account, by the time they are due.
//!
//! A piece of mail leaves when a receiver or transceiver session takes it, and is done with when that
//! session answers with status 0. Refused or left unanswered it comes back and is tried again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::pdu::Address;

/// Mail that may wait in one account; what comes on top is counted as lost in the stats.
const MOST_WAITING: usize = 1_000_000;
/// From a refusal to the next try.
pub const RETRY_AFTER: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    Receipt { message_id: String, stat: String },
    Reply,
}

/// One deliver_sm.
#[derive(Debug, Clone)]
pub struct Mail {
    pub from: String,
    pub to: String,
    pub text: String,
    pub body: Vec<u8>,
    pub subject: Subject,
}

impl Mail {
    pub fn new(from: &Address, to: &Address, text: String, body: Vec<u8>, subject: Subject) -> Mail {
        Mail { from: from.to_text(), to: to.to_text(), text, body, subject }
    }
}

#[derive(Debug, Default)]
pub struct Mailbox {
    waiting: BTreeMap<(Instant, u64), Mail>,
    count: u64,
    pub lost: u64,
}

impl Mailbox {
    pub fn put(&mut self, due: Instant, mail: Mail) {
        if self.waiting.len() >= MOST_WAITING {
            self.lost += 1;
            return;
        }
        self.count += 1;
        self.waiting.insert((due, self.count), mail);
    }

    /// The mail longest due, if any is.
    pub fn take(&mut self, now: Instant) -> Option<Mail> {
        let first = self.waiting.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    pub fn next_due(&self) -> Option<Instant> {
        self.waiting.first_key_value().map(|((due, _), _)| *due)
    }

    pub fn len(&self) -> usize {
        self.waiting.len()
    }
}
