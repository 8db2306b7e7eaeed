//! What waits for the clients: receipts and replies of each account, by the time they are due.
//!
//! A piece of mail leaves when a receiver or transceiver session of its account takes it, whichever it is, and
//! is done with when that session answers with status 0. Refused, unanswered or cut off it comes back and is
//! tried again, in steps that grow, up to [`MOST_TRIES`]; refused for good (0x65, 0x66) it does not.
//! Mail of all accounts is counted together, so that no number of accounts makes it endless.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use super::pdu::{Address, status};

/// Mail that may wait; what comes on top is counted as lost in the stats.
const MOST_WAITING: usize = 1_000_000;
/// How often one piece of mail is sent at most; beyond, it is lost. Refused each time that is two hours.
const MOST_TRIES: u32 = 1_000;
/// From the first failure to the next try; doubled by each further one.
const RETRY_FIRST: Duration = Duration::from_secs(1);
/// How often the wait is doubled at most.
const MOST_DOUBLINGS: u32 = 3;
/// From a deliver_sm to the time its answer is not awaited any more.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(60);

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
    tries: u32,
}

impl Mail {
    pub fn new(from: &Address, to: &Address, text: String, body: Vec<u8>, subject: Subject) -> Mail {
        Mail { from: from.to_text(), to: to.to_text(), text, body, subject, tries: 0 }
    }

    fn wait(&self) -> Duration {
        RETRY_FIRST * (1 << self.tries.saturating_sub(1).min(MOST_DOUBLINGS))
    }
}

/// Why mail comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Back {
    /// Its session ended: the next one may have it at once.
    CutOff,
    Unanswered,
    Refused(u32),
}

/// The mail of all accounts.
#[derive(Debug, Default)]
pub struct Mailroom {
    accounts: HashMap<String, BTreeMap<(Instant, u64), Mail>>,
    count: u64,
    waiting: usize,
    lost: u64,
}

impl Mailroom {
    pub fn post(&mut self, account: &str, due: Instant, mail: Mail) {
        if self.waiting >= MOST_WAITING {
            self.lost += 1;
            return;
        }
        self.count += 1;
        self.waiting += 1;
        let place = (due, self.count);
        match self.accounts.get_mut(account) {
            Some(mails) => {
                mails.insert(place, mail);
            }
            None => {
                self.accounts.insert(account.to_owned(), BTreeMap::from([(place, mail)]));
            }
        }
    }

    /// Takes back what was sent and not confirmed, for another try or for none.
    pub fn post_again(&mut self, account: &str, now: Instant, mail: Mail, why: Back) {
        let wait = match why {
            Back::CutOff => Duration::ZERO,
            Back::Unanswered | Back::Refused(_) => mail.wait(),
        };
        let for_good = matches!(why, Back::Refused(status::PERMANENT_AT_ESME | status::REJECTED_BY_ESME));
        if for_good || mail.tries >= MOST_TRIES {
            self.lost += 1;
        } else {
            self.post(account, now + wait, mail);
        }
    }

    /// The mail of `account` longest due, if any is.
    pub fn take(&mut self, account: &str, now: Instant) -> Option<Mail> {
        let mails = self.accounts.get_mut(account)?;
        let first = mails.first_entry().filter(|first| first.key().0 <= now)?;
        let mut mail = first.remove();
        if mails.is_empty() {
            self.accounts.remove(account);
        }
        self.waiting -= 1;
        mail.tries += 1;
        Some(mail)
    }

    pub fn next_due(&self, account: &str) -> Option<Instant> {
        let ((due, _), _) = self.accounts.get(account)?.first_key_value()?;
        Some(*due)
    }

    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// What nobody will get: too much at a time, tried too often, or refused for good.
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    fn room() -> (Mailroom, Instant) {
        let (mut room, now) = (Mailroom::default(), Clock::system().now().mono);
        let address = Address::from_text("+4915112345678");
        room.post("acme", now, Mail::new(&address, &address, String::new(), Vec::new(), Subject::Reply));
        (room, now)
    }

    #[test]
    fn what_is_refused_waits_twice_as_long_each_time_up_to_a_limit() {
        let (mut room, mut now) = room();
        let mut waits = Vec::new();
        for _ in 0..6 {
            let mail = room.take("acme", now).unwrap();
            room.post_again("acme", now, mail, Back::Refused(0x64));
            let due = room.next_due("acme").unwrap();
            waits.push((due - now).as_secs());
            now = due;
        }
        assert_eq!(waits, [1, 2, 4, 8, 8, 8]);
    }

    #[test]
    fn what_is_cut_off_too_often_is_lost_and_counted() {
        let (mut room, now) = room();
        let mut tries = 0;
        while let Some(mail) = room.take("acme", now) {
            tries += 1;
            assert_eq!(room.waiting(), 0);
            room.post_again("acme", now, mail, Back::CutOff);
        }
        assert_eq!((tries, room.lost(), room.waiting()), (MOST_TRIES, 1, 0));
    }

    #[test]
    fn mail_beyond_the_limit_of_all_accounts_is_lost_and_counted() {
        let (mut room, now) = room();
        let mail = room.take("acme", now).unwrap();
        room.waiting = MOST_WAITING - 1;
        room.post("acme", now, mail.clone());
        room.post("other", now, mail);
        assert_eq!((room.lost(), room.waiting(), room.next_due("other")), (1, MOST_WAITING, None));
    }

    #[test]
    fn an_account_without_mail_leaves_nothing_behind() {
        let (mut room, now) = room();
        assert!(room.take("other", now).is_none());
        assert!(room.take("acme", now).is_some());
        assert!(room.accounts.is_empty());
    }
}
