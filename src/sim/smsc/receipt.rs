//! Receipts: which ones a message gets, and their deliver_sm (SMPP 3.4 section 5.2.12 and appendix B).
//!
//! A receipt is written only for a message that asked for one by registered_delivery (5.2.17): 1 = any
//! final outcome, 2 = failures only. `mixed` walks through [`MIXED`] message by message, so that eight
//! messages show every form; everything else is the same for all messages.

use std::time::Duration;

use crate::clock::Timestamp;

use super::mail::{Mail, Subject};
use super::pdu::{self, Address, ReceiptTlvs};

/// From the answer of a message to its receipt.
const AFTER: Duration = Duration::from_millis(100);
/// esm_class of a receipt.
const ESM_RECEIPT: u8 = 0x04;
/// Characters of the message that a receipt repeats (appendix B).
const REPEATED: usize = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Receipts {
    #[default]
    Delivered,
    Failed,
    Mixed,
    None,
}

/// How the text of a receipt names the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Id {
    /// As in the submit_sm_resp: decimal.
    Same,
    /// In hexadecimal, as SMSCs do whose two interfaces disagree.
    Hex,
}

/// One receipt to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notice {
    stat: &'static str,
    err: &'static str,
    id: Id,
    tlvs: bool,
}

const fn notice(stat: &'static str, err: &'static str) -> Notice {
    Notice { stat, err, id: Id::Same, tlvs: true }
}

const fn text_only(stat: &'static str, id: Id) -> Notice {
    Notice { stat, err: "000", id, tlvs: false }
}

const DELIVERED: &[Notice] = &[notice("DELIVRD", "000")];
const FAILED: &[Notice] = &[notice("UNDELIV", "001")];
/// The documented mix, in this order and again from the top.
pub const MIXED: [&[Notice]; 8] = [
    DELIVERED,
    FAILED,
    &[notice("EXPIRED", "000")],
    &[notice("ACCEPTD", "000"), notice("DELIVRD", "000")],
    // A word no specification has, as gateways invent them: its outcome is unknown.
    &[notice("LOSTSIG", "000")],
    &[text_only("DELIVRD", Id::Same)],
    &[text_only("DELIVRD", Id::Hex)],
    &[notice("REJECTD", "00B")],
];

impl Receipts {
    /// The receipts of the `count`-th message that asks for any; the last one is final.
    pub fn notices(self, count: u64) -> &'static [Notice] {
        match self {
            Receipts::Delivered => DELIVERED,
            Receipts::Failed => FAILED,
            Receipts::Mixed => MIXED[(count % MIXED.len() as u64) as usize],
            Receipts::None => &[],
        }
    }
}

/// From the answer of a message to the last of its receipts, sent or not.
pub fn last_after(notices: &[Notice]) -> Duration {
    AFTER * notices.len().max(1) as u32
}

/// message_state (5.2.28) of a `stat` word; none for a word that 3.4 does not have.
pub fn state_of(stat: &str) -> Option<u8> {
    const WORDS: [&str; 8] =
        ["ENROUTE", "DELIVRD", "EXPIRED", "DELETED", "UNDELIV", "ACCEPTD", "UNKNOWN", "REJECTD"];
    let place = WORDS.iter().position(|word| *word == stat)?;
    u8::try_from(place + 1).ok()
}

/// The message_state after the last of `notices`; without any the message is delivered and nobody is told.
pub fn final_state(notices: &[Notice]) -> u8 {
    const UNKNOWN: u8 = 7;
    const DELIVERED: u8 = 2;
    notices.last().map_or(DELIVERED, |last| state_of(last.stat).unwrap_or(UNKNOWN))
}

/// A message as the SMSC remembers it, for its receipts and for query_sm.
#[derive(Debug, Clone)]
pub struct Remembered {
    pub id: u64,
    pub account: String,
    pub source: Address,
    pub dest: Address,
    pub user_message_reference: Option<u16>,
    pub registered_delivery: u8,
    pub beginning: String,
    pub at: Timestamp,
    /// What it ends in at `done`.
    pub state: u8,
    pub done: Timestamp,
}

/// The first characters of `text` as a receipt repeats them, in letters that every alphabet has.
pub fn beginning(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == ' ' { c } else { '.' };
    text.chars().take(REPEATED).map(plain).collect()
}

impl Remembered {
    /// What query_sm_resp (4.8.2) says: message_state, and final_date once that is final.
    pub fn state_at(&self, now: Timestamp) -> (u8, String) {
        const ENROUTE: u8 = 1;
        match self.state {
            _ if now < self.done => (ENROUTE, String::new()),
            state @ (2..=5 | 8) => (state, format!("{}000+", digits(self.done, 19))),
            open => (open, String::new()),
        }
    }

    /// A receipt of another `stat` goes out now.
    pub fn is_told(&mut self, stat: &str, now: Timestamp) {
        if let Some(state) = state_of(stat) {
            (self.state, self.done) = (state, now);
        }
    }

    /// The receipts of this message with the time each is due after `answered`.
    pub fn receipts(&self, notices: &[Notice], answered: Duration, now: Timestamp) -> Vec<(Duration, Mail)> {
        let wanted = |notice: &&Notice| match self.registered_delivery & 0x03 {
            1 => true,
            2 => !matches!(notice.stat, "DELIVRD" | "ACCEPTD"),
            _ => false,
        };
        let due = |place: usize| answered + AFTER * (place as u32 + 1);
        let made = notices.iter().filter(wanted).enumerate();
        made.map(|(place, notice)| (due(place), self.receipt(notice, now.saturating_add(due(place)))))
            .collect()
    }

    fn receipt(&self, notice: &Notice, done: Timestamp) -> Mail {
        let id = match notice.id {
            Id::Same => self.id.to_string(),
            Id::Hex => format!("{:X}", self.id),
        };
        let tlvs = if notice.tlvs { self.tlvs(notice.stat) } else { ReceiptTlvs::default() };
        self.mail(&id, notice.stat, notice.err, done, &tlvs)
    }

    /// A receipt with any `stat` and `err`, as a test asks for it.
    pub fn receipt_of(&self, stat: &str, err: &str, done: Timestamp) -> Mail {
        self.mail(&self.id.to_string(), stat, err, done, &self.tlvs(stat))
    }

    fn tlvs(&self, stat: &str) -> ReceiptTlvs {
        ReceiptTlvs {
            message_id: Some(self.id.to_string()),
            state: state_of(stat),
            user_message_reference: self.user_message_reference,
        }
    }

    fn mail(&self, id: &str, stat: &str, err: &str, done: Timestamp, tlvs: &ReceiptTlvs) -> Mail {
        let text = format!(
            "id:{id} sub:001 dlvrd:{:03} submit date:{} done date:{} stat:{stat} err:{err} text:{}",
            u8::from(stat == "DELIVRD"),
            date(self.at),
            date(done),
            self.beginning
        );
        let body = pdu::deliver_body(&self.dest, &self.source, ESM_RECEIPT, 0, text.as_bytes(), tlvs);
        let subject = Subject::Receipt { message_id: self.id.to_string(), stat: stat.to_owned() };
        Mail::new(&self.dest, &self.source, text, body, subject)
    }
}

/// YYMMDDhhmm in UTC.
fn date(at: Timestamp) -> String {
    digits(at, 16)
}

/// The digits of a time as RFC 3339 has it, without the century, up to its `end`-th character.
fn digits(at: Timestamp, end: usize) -> String {
    at.to_rfc3339().chars().take(end).skip(2).filter(char::is_ascii_digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(registered_delivery: u8) -> Remembered {
        Remembered {
            id: 4096,
            account: "acme".into(),
            source: Address::from_text("ACME"),
            dest: Address::from_text("+4915112345678"),
            user_message_reference: Some(7),
            registered_delivery,
            beginning: beginning("Zahlung fällig: 12,50 € bis morgen"),
            at: Timestamp::from_millis(1_795_269_900_000),
            state: 2,
            done: Timestamp::from_millis(1_795_269_900_200),
        }
    }

    fn texts(notices: &[Notice], registered_delivery: u8) -> Vec<String> {
        let now = Timestamp::from_millis(1_795_269_900_000);
        let mails = message(registered_delivery).receipts(notices, Duration::ZERO, now);
        mails.into_iter().map(|(_, mail)| mail.text).collect()
    }

    #[test]
    fn a_receipt_is_written_as_appendix_b_has_it() {
        let expected = "id:4096 sub:001 dlvrd:001 submit date:2611211405 done date:2611211405 stat:DELIVRD \
                        err:000 text:Zahlung f.llig. 12.5";
        assert_eq!(texts(DELIVERED, 1), [expected]);
    }

    #[test]
    fn only_what_was_asked_for_is_reported() {
        assert_eq!(texts(DELIVERED, 0).len(), 0);
        assert_eq!(texts(DELIVERED, 2).len(), 0);
        assert_eq!(texts(FAILED, 2).len(), 1);
        assert_eq!(texts(MIXED[3], 1).len(), 2);
    }

    #[test]
    fn the_mix_has_a_hexadecimal_id_and_a_word_without_a_state() {
        assert!(texts(MIXED[6], 1)[0].starts_with("id:1000 "));
        assert_eq!(state_of("LOSTSIG"), None);
        assert_eq!((state_of("ENROUTE"), state_of("REJECTD")), (Some(1), Some(8)));
    }
}
