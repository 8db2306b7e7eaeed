//! Who wants no messages, who may not want any, and what they are told.
//!
//! A [`Party`] is the sender of a reply as far as digits name it. Where the wire does not say that a number is
//! international, its digits without leading zeros stand for every number that ends in them: that errs to
//! silence, never to a message too many. Names and short codes are no party.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::{InboundId, MessageId};
use crate::message::{Msisdn, TokenName};

/// Fewer digits than this would silence strangers.
const TAIL_MIN: usize = 7;
/// E.164 has no more.
const DIGITS_MAX: usize = 15;

/// Whom a suppression or a hold speaks of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Party {
    Number(Msisdn),
    /// Every number that ends in these digits.
    Tail(Tail),
}

/// 7 to 15 digits, the first not zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Tail(u64);

/// The text names no party.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be + and 7-15 digits, or the last 7 or more digits of a number")]
pub struct BadParty;

impl Party {
    /// The sender of a reply: `number` where the wire says that it is international, else its digits as written.
    pub fn of(from: &str, number: Option<Msisdn>) -> Option<Party> {
        if let Some(number) = number {
            return Some(Party::Number(number));
        }
        let written = from.strip_prefix("00").map(Msisdn::parse_digits);
        if let Some(Ok(number)) = written {
            return Some(Party::Number(number));
        }
        Tail::parse(from).map(Party::Tail)
    }

    /// `+` and a number, or the last digits of one.
    ///
    /// # Errors
    /// [`BadParty`]
    pub fn parse(text: &str) -> Result<Party, BadParty> {
        if text.starts_with('+') {
            return Msisdn::parse_e164(text).map(Party::Number).map_err(|_| BadParty);
        }
        Party::of(text, None).ok_or(BadParty)
    }

    /// What [`Party::parse`] reads: the whole number with its plus, or the digits alone.
    pub fn as_written(self) -> String {
        match self {
            Party::Number(number) => number.to_e164(),
            Party::Tail(tail) => tail.0.to_string(),
        }
    }

    pub fn number(self) -> Option<Msisdn> {
        match self {
            Party::Number(number) => Some(number),
            Party::Tail(_) => None,
        }
    }

    pub fn speaks_of(self, number: Msisdn) -> bool {
        match self {
            Party::Number(own) => own == number,
            Party::Tail(tail) => Tail::of(number, tail.digit_count()) == Some(tail),
        }
    }

    /// Every party that speaks of this number.
    pub fn all_of(number: Msisdn) -> impl Iterator<Item = Party> {
        let tails = (TAIL_MIN..=DIGITS_MAX).filter_map(move |len| Tail::of(number, len));
        std::iter::once(Party::Number(number)).chain(tails.map(Party::Tail))
    }
}

impl Tail {
    fn parse(digits: &str) -> Option<Tail> {
        let digits = digits.trim_start_matches('0');
        let fits =
            (TAIL_MIN..=DIGITS_MAX).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        if fits { digits.parse().ok().map(Tail) } else { None }
    }

    /// The last `len` digits of a number; `None` where it has fewer or they begin with zero.
    pub fn of(number: Msisdn, len: usize) -> Option<Tail> {
        let digits = 10u64.checked_pow(len as u32)?;
        let tail = number.as_u64() % digits;
        (tail >= digits / 10).then_some(Tail(tail))
    }

    pub fn digit_count(self) -> usize {
        self.0.checked_ilog10().map_or(1, |log| log as usize + 1)
    }

    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The inverse of [`Tail::as_u64`], for keys that were written from one.
    pub const fn from_u64(raw: u64) -> Tail {
        Tail(raw)
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Party::Number(number) => number.fmt(f),
            Party::Tail(tail) => write!(f, "•••••{:04}", tail.0 % 10_000),
        }
    }
}

impl fmt::Debug for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Party::Tail(*self), f)
    }
}

/// That a party wants no messages, and how it is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suppression {
    /// Since when, as the reply's arrival or the import says.
    pub at: Timestamp,
    pub source: Source,
    /// The one message that may still go: it confirms.
    pub confirmation: Option<MessageId>,
}

/// How a suppression came about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// A reply; `None` while it is a lone segment of a longer one that is not complete.
    Reply(Option<InboundId>),
    /// A person or a program; `note` is theirs: a file, a letter.
    Token { by: TokenName, note: String },
}

/// That a party may want no messages: a person decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    pub since: Timestamp,
    /// The reply that may mean it.
    pub reply: InboundId,
}

/// What a reply means for sending, as stable words of the API. Append only: stored by position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Intent {
    OptOut,
    MayBeOptOut,
    OptIn,
    Other,
    /// It has no text: binary, in no known alphabet, or a PDU that nobody could read.
    Unreadable,
}

impl Intent {
    pub const ALL: [Intent; 5] =
        [Intent::OptOut, Intent::MayBeOptOut, Intent::OptIn, Intent::Other, Intent::Unreadable];

    pub const fn as_str(self) -> &'static str {
        match self {
            Intent::OptOut => "opt_out",
            Intent::MayBeOptOut => "may_be_opt_out",
            Intent::OptIn => "opt_in",
            Intent::Other => "other",
            Intent::Unreadable => "unreadable",
        }
    }
}
