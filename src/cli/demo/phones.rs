//! The phones that answer in the demo: which numbers they have, what they say, and what must come of it. Pure;
//! [`super::compare`] judges it, [`super::perform`] lets them speak.

use serde_json::{Value, json};

use super::sample::{Course, Sample};
use crate::clock::Timestamp;

/// What one phone does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phone {
    /// Place of its link among the demo's: the carrier or modem that all of its messages go by.
    pub link: usize,
    pub number: &'static str,
    pub says: &'static str,
    pub means: Means,
}

/// What an answer is to the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// Nothing more may go to the number, one confirmation aside.
    Stop,
    Anything,
}

/// Messages that are queued for each phone before it answers the first.
pub const BEFORE: u32 = 3;

const fn phone(link: usize, number: &'static str, says: &'static str, means: Means) -> Phone {
    Phone { link, number, says, means }
}

/// Stops of several kinds by every sort of link, and answers that are none.
pub const PHONES: [Phone; 10] = [
    phone(0, "+4915177700001", "STOP", Means::Stop),
    phone(0, "+4915177700002", "1", Means::Anything),
    phone(0, "+4915177700003", "Überwiesen am Montag, \u{2713}", Means::Anything),
    phone(2, "+447700900101", "Stop please.", Means::Stop),
    phone(2, "+447700900102", "2", Means::Anything),
    phone(2, "+447700900103", "I'll pay Friday, promised", Means::Anything),
    phone(2, "+447700900104", "S T O P", Means::Stop),
    phone(3, "+353851000001", "unsubscribe", Means::Stop),
    phone(3, "+353851000002", "<b>paid</b> =1+1 already \u{202E}diap", Means::Anything),
    phone(3, "+353851000003", LONG, Means::Anything),
];

/// Longer than one segment, so that it has to be put together again.
const LONG: &str = "I have paid this invoice two weeks ago already, please look at your account again: the transfer \
    was made from the account of my wife, with the number of the invoice and the name of your firm in the text. Thank you.";

/// An answer that the network was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub from: String,
    pub text: String,
    /// When the API had shown that it is a stop; `None` for an answer that is none.
    pub stopped_at: Option<Timestamp>,
}

/// The `n`-th message to a phone.
pub fn message(phone: &Phone, n: u32) -> Sample {
    let to = phone.number.to_owned();
    let text = format!("Reminder {n} of invoice {}: 40.00 € are due. STOP ends these messages.", &to[7..]);
    let body: Value = json!({ "to": to, "text": text, "client_ref": format!("demo{to}-{n}") });
    Sample { to, text, course: Course::Plain, body }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reminder::reply::{Verdict, classify};

    #[test]
    fn what_is_meant_as_a_stop_is_read_as_one_and_nothing_else_is() {
        for phone in PHONES {
            let stops = matches!(classify(phone.says, None), Verdict::OptOut { .. });
            assert_eq!(stops, phone.means == Means::Stop, "{}", phone.says);
        }
    }

    #[test]
    fn every_link_with_phones_has_a_stop_and_an_answer_that_is_none() {
        for link in [0, 2, 3] {
            for means in [Means::Stop, Means::Anything] {
                assert!(
                    PHONES.iter().any(|phone| phone.link == link && phone.means == means),
                    "{link} {means:?}"
                );
            }
        }
    }
}
