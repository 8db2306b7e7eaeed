//! Names that firms give: keys of what they set up once, ids of their own records, languages, countries.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    #[error("must be 1-64 letters, digits and . _ - : , beginning with a letter or digit")]
    Key,
    #[error("must be 1-128 printable characters without blanks at the ends")]
    ExternalId,
    #[error("must be a language as de or pt-BR")]
    Language,
    #[error("must be a country of two capital letters, as DE")]
    Country,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $bad:ident, $fits:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// # Errors
            #[doc = concat!("[`BadName::", stringify!($bad), "`]")]
            pub fn parse(text: &str) -> Result<$name, BadName> {
                if $fits(text) { Ok($name(text.into())) } else { Err(BadName::$bad) }
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadName;

            fn try_from(text: String) -> Result<$name, BadName> {
                $name::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.as_ref().to_owned()
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
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

name!(/// What a firm sets up by name: a creditor, template, menu, sequence, step, pack or calendar.
    Key, Key, is_key);
name!(/// The firm's own id of a record, given back as it came.
    ExternalId, ExternalId, is_external_id);
name!(/// A language of BCP 47: two or three small letters, and a region where it matters.
    Language, Language, is_language);
name!(/// A country of ISO 3166-1, alpha-2.
    Country, Country, is_country);

impl Language {
    /// The language without its region: `pt` of `pt-BR`.
    pub fn base(&self) -> &str {
        self.0.split('-').next().unwrap_or(&self.0)
    }
}

fn is_key(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b':');
    (1..=64).contains(&text.len())
        && text.bytes().all(fits)
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
}

fn is_external_id(text: &str) -> bool {
    (1..=128).contains(&text.chars().count()) && text.trim() == text && !text.chars().any(char::is_control)
}

fn is_language(text: &str) -> bool {
    let (base, region) = text.split_once('-').unwrap_or((text, "XX"));
    (2..=3).contains(&base.len())
        && base.bytes().all(|b| b.is_ascii_lowercase())
        && region.len() == 2
        && region.bytes().all(|b| b.is_ascii_uppercase())
}

fn is_country(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_where_they_are_made() {
        for good in ["standard", "us-fdcpa", "a.b_c:d", "7"] {
            assert!(Key::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a b", "ä", &"a".repeat(65)] {
            assert_eq!(Key::parse(bad), Err(BadName::Key), "{bad}");
        }
        assert!(ExternalId::parse("R-2026/4711 ä").is_ok());
        for bad in ["", " a", "a\u{7}b", &"a".repeat(129)] {
            assert_eq!(ExternalId::parse(bad), Err(BadName::ExternalId), "{bad:?}");
        }
        assert_eq!(Language::parse("pt-BR").unwrap().base(), "pt");
        for bad in ["DE", "d", "de-de", "de_DE"] {
            assert_eq!(Language::parse(bad), Err(BadName::Language), "{bad}");
        }
        assert!(Country::parse("DE").is_ok() && Country::parse("de").is_err());
    }
}
