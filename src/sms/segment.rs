//! A text's encoding and its segments (3GPP TS 23.040 9.2.3.24.1).
//!
//! Invariants: the segments joined are the text; none is over its limit; no escape pair and no surrogate
//! pair is cut. A long message leaves room for the UDH with an 8-bit reference (6 octets), also where
//! the link says concatenation by other means, so that the count told to the caller holds on every link.

use std::collections::HashSet;

use super::alphabet;
use crate::message::Encoding;

/// The number of a segment and the total are one octet each in the UDH.
pub const MAX_SEGMENTS: usize = 255;

/// One segment's text, ready to be encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    pub text: String,
    /// Septets in GSM 7-bit, 16-bit units in UCS-2.
    pub units: u16,
}

/// Concatenation (3GPP TS 23.040 9.2.3.24.1 and .8): `number` is 1-based.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concat {
    pub reference: u16,
    pub total: u8,
    pub number: u8,
}

/// What a text costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measure {
    /// 1 to [`MAX_SEGMENTS`].
    pub segment_count: u8,
    /// Of the whole text: septets in GSM 7-bit, 16-bit units in UCS-2.
    pub units: u32,
}

/// Why a text cannot be sent as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SegmentError {
    #[error("not in the GSM 7-bit alphabet: {}", list(.0))]
    NotGsm7(Vec<char>),
    #[error("is longer than {MAX_SEGMENTS} segments")]
    TooLong,
}

/// GSM 7-bit where it holds every character, else UCS-2.
pub fn choose(text: &str) -> Encoding {
    if text.chars().all(|c| alphabet::septets(c).is_some()) { Encoding::Gsm7 } else { Encoding::Ucs2 }
}

/// The encoding a text goes out in: `forced` where the caller asked for one, else [`choose`].
///
/// # Errors
/// [`SegmentError::NotGsm7`] when GSM 7-bit is forced on a text that it does not hold.
pub fn encoding_for(text: &str, forced: Option<Encoding>) -> Result<Encoding, SegmentError> {
    match forced {
        None => Ok(choose(text)),
        Some(Encoding::Ucs2) => Ok(Encoding::Ucs2),
        Some(Encoding::Gsm7) => match forcing_ucs2(text) {
            offending if offending.is_empty() => Ok(Encoding::Gsm7),
            offending => Err(SegmentError::NotGsm7(offending)),
        },
    }
}

/// The characters that keep a text out of GSM 7-bit, each once, in order of appearance.
pub fn forcing_ucs2(text: &str) -> Vec<char> {
    let mut seen = HashSet::new();
    text.chars().filter(|c| alphabet::septets(*c).is_none() && seen.insert(*c)).collect()
}

/// Splits a text. An empty text is one empty segment.
///
/// # Errors
/// [`SegmentError::NotGsm7`], or [`SegmentError::TooLong`] beyond [`MAX_SEGMENTS`].
pub fn split(text: &str, encoding: Encoding) -> Result<Vec<Segment>, SegmentError> {
    check(text, encoding)?;
    let mut segments = Vec::new();
    for segment in Cuts::new(text, encoding) {
        if segments.len() == MAX_SEGMENTS {
            return Err(SegmentError::TooLong);
        }
        segments.push(Segment { text: segment.text.to_owned(), units: segment.units });
    }
    Ok(segments)
}

/// What [`split`] would give, without building it.
///
/// # Errors
/// Those of [`split`].
pub fn measure(text: &str, encoding: Encoding) -> Result<Measure, SegmentError> {
    check(text, encoding)?;
    let mut measure = Measure { segment_count: 0, units: 0 };
    for segment in Cuts::new(text, encoding) {
        measure.segment_count = measure.segment_count.checked_add(1).ok_or(SegmentError::TooLong)?;
        measure.units += u32::from(segment.units);
    }
    Ok(measure)
}

fn check(text: &str, encoding: Encoding) -> Result<(), SegmentError> {
    encoding_for(text, Some(encoding)).map(drop)
}

/// Units of a message of one segment: 140 octets.
const fn single_limit(encoding: Encoding) -> u16 {
    match encoding {
        Encoding::Gsm7 => 160,
        Encoding::Ucs2 => 70,
    }
}

/// Units of each segment of a long message: 140 octets less 6 of UDH.
const fn long_limit(encoding: Encoding) -> u16 {
    match encoding {
        Encoding::Gsm7 => 153,
        Encoding::Ucs2 => 67,
    }
}

/// Units of one character, which is never cut.
fn units_of(character: char, encoding: Encoding) -> u16 {
    match encoding {
        // `check` refused what has no septets, so the other arm is never taken.
        Encoding::Gsm7 => alphabet::septets(character).map_or(1, alphabet::Septets::count),
        Encoding::Ucs2 => character.len_utf16() as u16,
    }
}

struct Cut<'a> {
    text: &'a str,
    units: u16,
}

struct Cuts<'a> {
    /// `None` once the last segment is out.
    rest: Option<&'a str>,
    encoding: Encoding,
    limit: u16,
}

impl<'a> Cuts<'a> {
    fn new(text: &'a str, encoding: Encoding) -> Cuts<'a> {
        let whole = take(text, encoding, single_limit(encoding));
        let limit =
            if whole.text.len() == text.len() { single_limit(encoding) } else { long_limit(encoding) };
        Cuts { rest: Some(text), encoding, limit }
    }
}

impl<'a> Iterator for Cuts<'a> {
    type Item = Cut<'a>;

    fn next(&mut self) -> Option<Cut<'a>> {
        let rest = self.rest?;
        let cut = take(rest, self.encoding, self.limit);
        self.rest = Some(&rest[cut.text.len()..]).filter(|left| !left.is_empty());
        Some(cut)
    }
}

/// As many whole characters as fit.
fn take(text: &str, encoding: Encoding, limit: u16) -> Cut<'_> {
    let mut units = 0;
    for (at, character) in text.char_indices() {
        let more = units_of(character, encoding);
        if units + more > limit {
            return Cut { text: &text[..at], units };
        }
        units += more;
    }
    Cut { text, units }
}

/// Enough for a person to find them; a text in another script would list its whole alphabet.
const MAX_LISTED: usize = 20;

fn list(characters: &[char]) -> String {
    let shown: Vec<String> =
        characters.iter().take(MAX_LISTED).map(|c| format!("{c:?} (U+{:04X})", u32::from(*c))).collect();
    let more = characters.len().saturating_sub(MAX_LISTED);
    let tail = if more == 0 { String::new() } else { format!(" and {more} more") };
    shown.join(", ") + &tail
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(text: &str, encoding: Encoding) -> Vec<u16> {
        split(text, encoding).unwrap().iter().map(|s| s.units).collect()
    }

    #[test]
    fn an_escape_pair_is_never_cut() {
        let text = format!("{}€{}", "x".repeat(152), "y".repeat(20));
        assert_eq!(units(&text, Encoding::Gsm7), [152, 22]);
    }

    #[test]
    fn a_surrogate_pair_is_never_cut() {
        let text = format!("{}😀{}", "я".repeat(66), "я".repeat(20));
        assert_eq!(units(&text, Encoding::Ucs2), [66, 22]);
    }

    #[test]
    fn an_empty_text_is_one_segment() {
        assert_eq!(units("", Encoding::Gsm7), [0]);
        assert_eq!(measure("", Encoding::Ucs2), Ok(Measure { segment_count: 1, units: 0 }));
    }

    #[test]
    fn forced_gsm7_names_each_offending_character_once() {
        let error = encoding_for("źdźbło", Some(Encoding::Gsm7)).unwrap_err();
        assert_eq!(error, SegmentError::NotGsm7(vec!['ź', 'ł']));
        assert_eq!(error.to_string(), "not in the GSM 7-bit alphabet: 'ź' (U+017A), 'ł' (U+0142)");
        assert_eq!(split("źdźbło", Encoding::Gsm7), Err(error));
    }

    #[test]
    fn forced_ucs2_is_taken_at_its_word() {
        assert_eq!(encoding_for("abc", Some(Encoding::Ucs2)), Ok(Encoding::Ucs2));
        assert_eq!(units(&"x".repeat(71), Encoding::Ucs2), [67, 4]);
    }

    #[test]
    fn the_256th_segment_is_refused() {
        let most = "x".repeat(255 * 153);
        assert_eq!(split(&most, Encoding::Gsm7).unwrap().len(), 255);
        assert_eq!(measure(&most, Encoding::Gsm7).unwrap().segment_count, 255);
        let over = most + "x";
        assert_eq!(split(&over, Encoding::Gsm7), Err(SegmentError::TooLong));
        assert_eq!(measure(&over, Encoding::Gsm7), Err(SegmentError::TooLong));
    }

    #[test]
    fn a_long_list_of_offending_characters_is_shortened_for_people() {
        let text: String = ('а'..='я').collect();
        let error = encoding_for(&text, Some(Encoding::Gsm7)).unwrap_err();
        assert!(error.to_string().ends_with("'у' (U+0443) and 12 more"), "{error}");
    }
}
