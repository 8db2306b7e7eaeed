//! What was accepted and never changes: recipient, text, sender and the wishes that came with them.
//!
//! The types here are parsed once, at the edge; below it a recipient is an [`Msisdn`] and no string.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::BatchId;
use crate::sms::national::Tables;

/// An international number, E.164 without the plus: 7 to 15 digits, the first not zero.
///
/// `Debug` and `Display` hide the middle, because both end up in logs; [`Msisdn::to_e164`] is the number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Msisdn(u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadMsisdn {
    #[error("must begin with + and the country code")]
    NoPlus,
    #[error("may hold only digits after the +")]
    NotDigits,
    #[error("must have 7 to 15 digits")]
    Length,
    #[error("no country code begins with 0")]
    LeadingZero,
}

impl Msisdn {
    /// Reads `+` and 7 to 15 digits.
    pub fn parse_e164(text: &str) -> Result<Msisdn, BadMsisdn> {
        Msisdn::parse_digits(text.strip_prefix('+').ok_or(BadMsisdn::NoPlus)?)
    }

    /// Reads the digits alone, as SMPP carries them.
    pub fn parse_digits(digits: &str) -> Result<Msisdn, BadMsisdn> {
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(BadMsisdn::NotDigits);
        }
        if !(7..=15).contains(&digits.len()) {
            return Err(BadMsisdn::Length);
        }
        if digits.starts_with('0') {
            return Err(BadMsisdn::LeadingZero);
        }
        digits.parse().map(Msisdn).map_err(|_| BadMsisdn::NotDigits)
    }

    pub fn to_e164(self) -> String {
        format!("+{}", self.0)
    }

    /// The digits without the plus.
    pub fn digits(self) -> String {
        self.0.to_string()
    }

    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The inverse of [`Msisdn::as_u64`], for keys that were written from one.
    pub const fn from_u64(raw: u64) -> Msisdn {
        Msisdn(raw)
    }
}

impl fmt::Display for Msisdn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.digits();
        let (head, tail) = (&digits[..2.min(digits.len())], &digits[digits.len().saturating_sub(4)..]);
        write!(f, "+{head}•••••{tail}")
    }
}

impl fmt::Debug for Msisdn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whom the recipient sees: up to 11 letters, digits, blanks and a few signs, or a number.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Sender {
    Alphanumeric(Box<str>),
    Number(Msisdn),
    /// A short code: 3 to 8 digits.
    ShortCode(Box<str>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be + and 7-15 digits, a short code of 3-8 digits, or 1-11 letters, digits, blanks and . _ - & with a letter among them"
)]
pub struct BadSender;

impl Sender {
    pub fn parse(text: &str) -> Result<Sender, BadSender> {
        if text.starts_with('+') {
            return Msisdn::parse_e164(text).map(Sender::Number).map_err(|_| BadSender);
        }
        if text.bytes().all(|b| b.is_ascii_digit()) {
            return match text.len() {
                3..=8 => Ok(Sender::ShortCode(text.into())),
                9..=15 => Msisdn::parse_digits(text).map(Sender::Number).map_err(|_| BadSender),
                _ => Err(BadSender),
            };
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '.' | '_' | '-' | '&');
        let shown = text.trim() == text && text.chars().any(|c| c.is_ascii_alphabetic());
        if text.len() <= 11 && shown && text.chars().all(allowed) {
            Ok(Sender::Alphanumeric(text.into()))
        } else {
            Err(BadSender)
        }
    }
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sender::Alphanumeric(text) | Sender::ShortCode(text) => f.write_str(text),
            Sender::Number(number) => f.write_str(&number.to_e164()),
        }
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sender::Number(number) => write!(f, "{number}"),
            other => write!(f, "{other}"),
        }
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(/// The configured name of one modem or one bind. Config has checked its form.
    LinkName);
name!(/// The name of an API token, never the token.
    TokenName);
name!(/// The configured name of one webhook. Config has checked its form.
    HookName);

/// What a message is for: routes may tell them apart, and later issues bind hours and caps to reminders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    #[default]
    Reminder,
    Otp,
    Alert,
    Reply,
}

impl Class {
    pub const ALL: [Class; 4] = [Class::Reminder, Class::Otp, Class::Alert, Class::Reply];

    pub const fn as_str(self) -> &'static str {
        match self {
            Class::Reminder => "reminder",
            Class::Otp => "otp",
            Class::Alert => "alert",
            Class::Reply => "reply",
        }
    }
}

/// 0 to 9, 9 first; 4 where nothing was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Priority(u8);

impl Priority {
    pub const LEVELS: u8 = 10;
    pub const HIGHEST: Priority = Priority(Priority::LEVELS - 1);

    pub const fn new(level: u8) -> Option<Priority> {
        if level < Priority::LEVELS { Some(Priority(level)) } else { None }
    }

    pub const fn get(self) -> u8 {
        self.0
    }
}

impl Default for Priority {
    fn default() -> Priority {
        Priority(4)
    }
}

/// How the text goes over the air: septets, or 16-bit units (UTF-16BE, surrogate pairs included). Stored, so
/// a new one comes last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    Gsm7,
    Ucs2,
    /// Septets of national language tables, which the header of each segment names.
    National(Tables),
}

impl Encoding {
    pub const fn as_str(self) -> &'static str {
        match self {
            Encoding::Gsm7 | Encoding::National(_) => "gsm7",
            Encoding::Ucs2 => "ucs2",
        }
    }

    /// The tables that septets are of; `None` for 16-bit units.
    pub const fn tables(self) -> Option<Tables> {
        match self {
            Encoding::Gsm7 => Some(Tables { locking: None, single: None }),
            Encoding::National(tables) => Some(tables),
            Encoding::Ucs2 => None,
        }
    }
}

/// What becomes of a message that went out and was never answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnUnknown {
    /// It stays unknown until a late answer, a receipt or a person says more.
    #[default]
    Hold,
    /// One more attempt, once, when nothing was heard for long enough.
    Resend,
}

/// [`Body::due`] without a `send_at` that was ahead: due whatever the wall clock says later, and in lanes
/// in order of acceptance.
pub const AT_ONCE: Timestamp = Timestamp::MIN;

/// An accepted message. Immutable; its life is in [`super::Head`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    pub to: Msisdn,
    pub text: String,
    pub sender: Option<Sender>,
    /// Only this link may send it.
    pub link: Option<LinkName>,
    pub class: Class,
    pub priority: Priority,
    pub accepted_at: Timestamp,
    /// Not before this; [`AT_ONCE`] where no date was asked for.
    pub due: Timestamp,
    /// Not after this.
    pub valid_until: Timestamp,
    pub encoding: Encoding,
    /// At least 1.
    pub segment_count: u8,
    /// The reference in the UDH of every segment of a long message; the low 8 bits go out.
    pub concat_reference: u16,
    pub on_unknown: OnUnknown,
    /// Class 0: shown at once, not stored by the phone.
    pub flash: bool,
    /// A receipt is asked for.
    pub receipt: bool,
    pub client_ref: Option<String>,
    /// The caller's JSON object, as text, given back as it came.
    pub metadata: Option<String>,
    pub token: TokenName,
    pub batch: Option<BatchId>,
}

/// A plain message for tests.
#[cfg(test)]
pub fn sample() -> Body {
    Body {
        to: Msisdn(4_915_112_345_678),
        text: String::from("Your invoice 4711 is due."),
        sender: None,
        link: None,
        class: Class::Reminder,
        priority: Priority::default(),
        accepted_at: Timestamp::from_millis(1_000),
        due: Timestamp::from_millis(1_000),
        valid_until: Timestamp::from_millis(1_000 + 48 * 3_600_000),
        encoding: Encoding::Gsm7,
        segment_count: 1,
        concat_reference: 0,
        on_unknown: OnUnknown::Hold,
        flash: false,
        receipt: true,
        client_ref: None,
        metadata: None,
        token: "test".into(),
        batch: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sms::national::Language;

    #[test]
    fn an_encoding_is_stored_as_ever_and_with_its_tables() {
        let stored = |encoding: &Encoding| postcard::to_stdvec(encoding).unwrap();
        assert_eq!([Encoding::Gsm7, Encoding::Ucs2].map(|e| stored(&e)), [vec![0], vec![1]]);
        let tables = Tables { locking: None, single: Some(Language::Turkish) };
        let national = Encoding::National(tables);
        assert_eq!(postcard::from_bytes::<Encoding>(&stored(&national)), Ok(national));
        assert_eq!(stored(&national), [2, 0, 1, 0]);
    }

    #[test]
    fn a_number_is_plus_and_7_to_15_digits() {
        assert_eq!(Msisdn::parse_e164("+4915112345678").unwrap().to_e164(), "+4915112345678");
        for (bad, why) in [
            ("4915112345678", BadMsisdn::NoPlus),
            ("+49151x", BadMsisdn::NotDigits),
            ("+491511234567٨", BadMsisdn::NotDigits),
            ("+123456", BadMsisdn::Length),
            ("+1234567890123456", BadMsisdn::Length),
            ("+0151123456", BadMsisdn::LeadingZero),
            ("+", BadMsisdn::Length),
        ] {
            assert_eq!(Msisdn::parse_e164(bad), Err(why), "{bad}");
        }
    }

    #[test]
    fn a_number_in_a_log_hides_its_middle() {
        let number = Msisdn::parse_e164("+4915112345678").unwrap();
        assert_eq!(format!("{number} {number:?}"), "+49•••••5678 +49•••••5678");
        assert!(!format!("{:?}", Sender::Number(number)).contains("15112"));
    }

    #[test]
    fn senders_are_names_short_codes_or_numbers() {
        assert_eq!(Sender::parse("ACME"), Ok(Sender::Alphanumeric("ACME".into())));
        assert_eq!(Sender::parse("12345"), Ok(Sender::ShortCode("12345".into())));
        assert!(matches!(Sender::parse("+447700900123"), Ok(Sender::Number(_))));
        for bad in ["", "twelve chars", "a\r\nb", " ACME", "Ünal", "12", "+1"] {
            assert_eq!(Sender::parse(bad), Err(BadSender), "{bad:?}");
        }
    }
}
