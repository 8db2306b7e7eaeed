//! What the query of every list may say: how many, from where, in which order, and filters of its own.

use super::draft;
use super::problem::{FieldError, Problem};
use crate::clock::Timestamp;
use crate::message::{LinkName, Msisdn};

pub const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 500;
/// Characters of an unknown parameter's name that are shown back.
const NAME_SHOWN: usize = 40;

/// Which stretch of a list.
#[derive(Debug, PartialEq, Eq)]
pub struct Wish {
    pub limit: usize,
    pub newest_first: bool,
    cursor: Option<String>,
}

impl Wish {
    /// `filter` takes a parameter of the list's own and says whether it knows it.
    pub fn parse(
        pairs: Vec<(String, String)>,
        newest_first: bool,
        mut filter: impl FnMut(&str, &str) -> Result<bool, String>,
    ) -> Result<Wish, Problem> {
        let mut wish = Wish { limit: DEFAULT_LIMIT, newest_first, cursor: None };
        let mut errors = Vec::new();
        for (name, value) in &pairs {
            if let Err(why) = wish.set(name, value, &mut filter) {
                errors.push(FieldError::new(shown(name), why));
            }
        }
        if errors.is_empty() { Ok(wish) } else { Err(Problem::fields(errors)) }
    }

    fn set(
        &mut self,
        name: &str,
        value: &str,
        filter: &mut impl FnMut(&str, &str) -> Result<bool, String>,
    ) -> Result<(), String> {
        match name {
            "cursor" => self.cursor = Some(value.to_owned()),
            "limit" => self.limit = limit(value)?,
            "order" => self.newest_first = newest_first(value)?,
            _ if filter(name, value)? => {}
            _ => return Err(String::from("is not a parameter of this call")),
        }
        Ok(())
    }

    /// The cursor as the list writes its own.
    pub fn cursor<T>(&self, parse: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, Problem> {
        let Some(text) = &self.cursor else { return Ok(None) };
        parse(text).map(Some).ok_or_else(|| Problem::field("cursor", "is no cursor"))
    }
}

/// The name of a parameter that was refused.
pub fn shown(name: &str) -> String {
    name.chars().take(NAME_SHOWN).collect()
}

/// A + that was not escaped arrives as a blank.
pub fn number(text: &str) -> Result<Msisdn, String> {
    let text = text.strip_prefix(' ').map_or_else(|| text.to_owned(), |digits| format!("+{digits}"));
    Msisdn::parse_e164(&text).map_err(|e| e.to_string())
}

/// As in a query, where the + of an offset arrives as a blank as well.
pub fn moment(text: &str) -> Result<Timestamp, String> {
    let why = || String::from("must be a time as RFC 3339 writes it, with an offset");
    Timestamp::parse_rfc3339(&text.replace(' ', "+")).ok_or_else(why)
}

pub fn link(text: &str) -> Result<LinkName, String> {
    draft::link_name(text)
}

pub fn limit(text: &str) -> Result<usize, String> {
    let limit = text.parse().ok().filter(|n| (1..=MAX_LIMIT).contains(n));
    limit.ok_or_else(|| format!("must be a whole number from 1 to {MAX_LIMIT}"))
}

pub fn newest_first(text: &str) -> Result<bool, String> {
    match text {
        "desc" => Ok(true),
        "asc" => Ok(false),
        _ => Err(String::from("must be asc or desc")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(pairs: &[(&str, &str)]) -> Result<Wish, Problem> {
        let pairs = pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Wish::parse(pairs, true, |name, _| Ok(name == "own"))
    }

    #[test]
    fn what_a_list_does_not_know_is_named() {
        assert!(wish(&[("own", "x"), ("limit", "500"), ("order", "asc")]).is_ok());
        for bad in [("limit", "0"), ("limit", "501"), ("order", "up"), ("other", "x")] {
            let problem = wish(&[bad]).unwrap_err();
            assert_eq!(problem.to_json()["errors"][0]["field"], bad.0);
        }
        assert!(wish(&[("cursor", "x")]).unwrap().cursor(|_| None::<u8>).is_err());
    }

    #[test]
    fn a_plus_that_was_not_escaped_is_still_a_plus() {
        assert_eq!(number(" 4915112345678"), number("+4915112345678"));
        assert!(moment("2026-11-22T06:00:00 01:00").is_ok());
    }
}
