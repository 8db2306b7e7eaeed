//! A text's encoding and its segments (3GPP TS 23.040 9.2.3.24.1).
//!
//! Invariants: the segments joined are the text; none is over its limit; no escape pair and no surrogate
//! pair is cut. A long message leaves room for the UDH with an 8-bit reference (6 octets), also where
//! the link says concatenation by other means, so that the count told to the caller holds on every link;
//! one in national language tables leaves room for the elements that name them (3 octets each).

use std::collections::HashSet;

use super::national::{Language, Tables};
use super::{alphabet, septets};
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

/// [`choose`]; but where that is UCS-2 and tables of one of these languages take fewer segments, those: of
/// several the ones that take the fewest, of the same count the first.
pub fn choose_among(text: &str, languages: &[Language]) -> Encoding {
    let plain = choose(text);
    // No tables make room for more characters than this, and each of them costs a look at all of the text.
    let hopeless = text.chars().nth(MAX_SEGMENTS * usize::from(limit(Encoding::Gsm7, true))).is_some();
    if plain == Encoding::Gsm7 || hopeless {
        return plain;
    }
    let count = |encoding| measure(text, encoding).map(|measure| usize::from(measure.segment_count));
    let ways = languages.iter().flat_map(|language| Tables::of(*language)).map(Encoding::National);
    let counted = ways.filter_map(|way| Some((way, count(way).ok()?)));
    let fewest = counted.min_by_key(|(_, count)| *count);
    fewest.filter(|(_, fewest)| *fewest < count(plain).unwrap_or(usize::MAX)).map_or(plain, |(way, _)| way)
}

/// The encoding a text goes out in: `forced` where the caller asked for one, else [`choose`].
///
/// # Errors
/// [`SegmentError::NotGsm7`] when septets are forced on a text that they do not hold.
pub fn encoding_for(text: &str, forced: Option<Encoding>) -> Result<Encoding, SegmentError> {
    let Some(encoding) = forced else { return Ok(choose(text)) };
    let offending = encoding.tables().map(|tables| outside(text, tables)).unwrap_or_default();
    if offending.is_empty() { Ok(encoding) } else { Err(SegmentError::NotGsm7(offending)) }
}

/// The characters that keep a text out of GSM 7-bit, each once, in order of appearance.
pub fn forcing_ucs2(text: &str) -> Vec<char> {
    outside(text, Tables::default())
}

fn outside(text: &str, tables: Tables) -> Vec<char> {
    let mut seen = HashSet::new();
    text.chars().filter(|c| tables.septets(*c).is_none() && seen.insert(*c)).collect()
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

/// Octets of a segment, its UDH included (9.2.3.24).
const OCTETS: usize = 140;
/// UDHL.
const HEADER_LENGTH: usize = 1;
/// Concatenation with an 8-bit reference, with its two octets of identifier and length.
const CONCAT_ELEMENT: usize = 5;
/// A national language identifier with the same.
const TABLE_ELEMENT: usize = 3;

/// Units of a segment; a `long` message has several.
const fn limit(encoding: Encoding, long: bool) -> u16 {
    let tables = match encoding.tables() {
        Some(tables) => tables.count(),
        None => 0,
    };
    let elements = TABLE_ELEMENT * tables + if long { CONCAT_ELEMENT } else { 0 };
    let header = if elements == 0 { 0 } else { HEADER_LENGTH + elements };
    match encoding {
        Encoding::Ucs2 => ((OCTETS - header) / 2) as u16,
        Encoding::Gsm7 | Encoding::National(_) => (OCTETS * 8 / 7 - septets::header_septets(header)) as u16,
    }
}

/// Units of one character, which is never cut.
fn units_of(character: char, encoding: Encoding) -> u16 {
    match encoding.tables() {
        // `check` refused what has no septets, so the other arm is never taken.
        Some(tables) => tables.septets(character).map_or(1, alphabet::Septets::count),
        None => character.len_utf16() as u16,
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
        let whole = take(text, encoding, limit(encoding, false));
        let long = whole.text.len() < text.len();
        Cuts { rest: Some(text), encoding, limit: limit(encoding, long) }
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
    fn a_segment_leaves_room_for_the_elements_that_name_its_tables() {
        let one = Encoding::National(Tables { locking: None, single: Some(Language::Turkish) });
        assert_eq!((limit(one, false), limit(one, true)), (155, 149));
        let both = Tables { locking: Some(Language::Turkish), single: Some(Language::Turkish) };
        let both = Encoding::National(both);
        assert_eq!((limit(both, false), limit(both, true)), (152, 146));
        assert_eq!(units(&"ş".repeat(77), one), [154]);
        assert_eq!(units(&"ş".repeat(78), one), [148, 8]);
        assert_eq!(units(&"ş".repeat(153), both), [146, 7]);
    }

    #[test]
    fn a_table_is_chosen_only_among_those_configured_and_where_it_saves_a_segment() {
        let turkish = [Language::Turkish];
        let long = "Sayın müşterimiz, faturanız ödenmemiştir. ".repeat(3);
        let Encoding::National(tables) = choose_among(&long, &turkish) else { panic!("no table was chosen") };
        assert_eq!(measure(&long, Encoding::National(tables)).unwrap().segment_count, 1);
        assert_eq!(choose_among(&long, &[]), Encoding::Ucs2);
        assert_eq!(choose_among(&long, &[Language::Spanish]), Encoding::Ucs2);
        assert_eq!(choose_among("müşteri", &turkish), Encoding::Ucs2, "one segment either way");
        assert_eq!(choose_among(&"x".repeat(200), &turkish), Encoding::Gsm7);
    }

    #[test]
    fn the_table_that_takes_the_fewest_segments_is_chosen_and_of_the_same_the_first() {
        let dense = "ş".repeat(152);
        let locking = Tables { locking: Some(Language::Turkish), single: None };
        assert_eq!(choose_among(&dense, &[Language::Turkish]), Encoding::National(locking));
        let sparse = format!("{}ç", "x".repeat(100));
        let first = |languages: &[Language]| choose_among(&sparse, languages);
        let single = |language| Encoding::National(Tables { locking: None, single: Some(language) });
        assert_eq!(first(&[Language::Spanish, Language::Turkish]), single(Language::Spanish));
        assert_eq!(first(&[Language::Turkish, Language::Spanish]), single(Language::Turkish));
    }

    #[test]
    fn a_long_list_of_offending_characters_is_shortened_for_people() {
        let text: String = ('а'..='я').collect();
        let error = encoding_for(&text, Some(Encoding::Gsm7)).unwrap_err();
        assert!(error.to_string().ends_with("'у' (U+0443) and 12 more"), "{error}");
    }
}
