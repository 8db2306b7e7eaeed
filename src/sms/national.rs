//! National language tables: GSM 7-bit text by a locking and a single shift table (3GPP TS 23.038 sections
//! 6.2.1.2.2 to 6.2.1.2.4), which the header of a message names (3GPP TS 23.040 sections 9.2.3.24.15 and .16).
//!
//! The locking table takes the place of the default alphabet, the single shift table that of its extension;
//! either may be used alone. Decoding never fails: what the single shift table does not hold is the
//! character of the main table, as 23.038 asks, and a place of a locking table that holds nothing is U+FFFD.

mod tables;

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::alphabet::{self, ESC, Septets, Unmappable};
use tables::Runs;

/// The languages that have tables, by their identifier (23.038 section 6.2.1.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Language {
    Turkish = 1,
    Spanish = 2,
    Portuguese = 3,
    Bengali = 4,
    Gujarati = 5,
    Hindi = 6,
    Kannada = 7,
    Malayalam = 8,
    Oriya = 9,
    Punjabi = 10,
    Tamil = 11,
    Telugu = 12,
    Urdu = 13,
}

impl Language {
    pub const ALL: [Language; 13] = [
        Language::Turkish,
        Language::Spanish,
        Language::Portuguese,
        Language::Bengali,
        Language::Gujarati,
        Language::Hindi,
        Language::Kannada,
        Language::Malayalam,
        Language::Oriya,
        Language::Punjabi,
        Language::Tamil,
        Language::Telugu,
        Language::Urdu,
    ];

    /// `None` for a reserved identifier.
    pub fn from_id(id: u8) -> Option<Language> {
        Language::ALL.into_iter().find(|language| language.id() == id)
    }

    pub const fn id(self) -> u8 {
        self as u8
    }

    /// Spanish has none: its main table is the default alphabet.
    pub const fn has_locking(self) -> bool {
        !matches!(self, Language::Spanish)
    }

    /// The runs of the locking and of the single shift table.
    const fn runs(self) -> (Runs, Runs) {
        match self {
            Language::Turkish => (tables::TURKISH_LOCKING, tables::TURKISH_SINGLE),
            Language::Spanish => (&[], tables::SPANISH_SINGLE),
            Language::Portuguese => (tables::PORTUGUESE_LOCKING, tables::PORTUGUESE_SINGLE),
            Language::Bengali => (tables::BENGALI_LOCKING, tables::BENGALI_SINGLE),
            Language::Gujarati => (tables::GUJARATI_LOCKING, tables::GUJARATI_SINGLE),
            Language::Hindi => (tables::HINDI_LOCKING, tables::HINDI_SINGLE),
            Language::Kannada => (tables::KANNADA_LOCKING, tables::KANNADA_SINGLE),
            Language::Malayalam => (tables::MALAYALAM_LOCKING, tables::MALAYALAM_SINGLE),
            Language::Oriya => (tables::ORIYA_LOCKING, tables::ORIYA_SINGLE),
            Language::Punjabi => (tables::PUNJABI_LOCKING, tables::PUNJABI_SINGLE),
            Language::Tamil => (tables::TAMIL_LOCKING, tables::TAMIL_SINGLE),
            Language::Telugu => (tables::TELUGU_LOCKING, tables::TELUGU_SINGLE),
            Language::Urdu => (tables::URDU_LOCKING, tables::URDU_SINGLE),
        }
    }

    fn is_latin(self) -> bool {
        self <= Language::Portuguese
    }
}

/// Which tables a text is written by; none of both is the default alphabet with its extension.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Tables {
    pub locking: Option<Language>,
    pub single: Option<Language>,
}

/// A table by septet; `None` where it holds no character.
type Table = [Option<char>; 128];

/// The main table and what an escape leads to.
#[derive(Clone, Copy)]
struct Pair {
    main: &'static Table,
    shifted: &'static Table,
}

static DEFAULT: LazyLock<(Table, Table)> = LazyLock::new(|| {
    let main = |septet: u8| alphabet::plain(septet).filter(|_| septet != ESC);
    (by_septet(main), by_septet(alphabet::extension))
});

/// Locking and single shift tables in the order of [`Language::ALL`].
static NATIONAL: LazyLock<Vec<(Table, Table)>> =
    LazyLock::new(|| Language::ALL.into_iter().map(built).collect());

fn by_septet(character: impl Fn(u8) -> Option<char>) -> Table {
    std::array::from_fn(|septet| character(septet as u8))
}

fn built(language: Language) -> (Table, Table) {
    let (mut locking, mut single) = if language.is_latin() { *DEFAULT } else { ([None; 128], [None; 128]) };
    if !language.is_latin() {
        write(&mut locking, tables::INDIC_LOCKING);
        write(&mut single, tables::INDIC_SINGLE);
    }
    let (locking_runs, single_runs) = language.runs();
    write(&mut locking, locking_runs);
    write(&mut single, single_runs);
    (locking, single)
}

fn write(table: &mut Table, runs: Runs) {
    for (start, characters) in runs {
        for (place, character) in table.iter_mut().skip(usize::from(*start)).zip(characters.chars()) {
            *place = Some(character);
        }
    }
}

impl Tables {
    /// The ways to write with one language: each table alone, then both.
    pub fn of(language: Language) -> impl Iterator<Item = Tables> {
        let locking = Some(language).filter(|language| language.has_locking());
        let single = Some(language);
        let choices = [(None, single), (locking, None), (locking, single)];
        let choices = choices.into_iter().take(if locking.is_some() { 3 } else { 1 });
        choices.map(|(locking, single)| Tables { locking, single })
    }

    /// Elements of the header that name these tables.
    pub const fn count(self) -> usize {
        self.locking.is_some() as usize + self.single.is_some() as usize
    }

    fn pair(self) -> Pair {
        let of = |language: Language| &NATIONAL[usize::from(language.id()) - 1];
        Pair {
            main: self.locking.map_or(&DEFAULT.0, |language| &of(language).0),
            shifted: self.single.map_or(&DEFAULT.1, |language| &of(language).1),
        }
    }

    /// The septets of one character; `None` when these tables do not hold it.
    pub fn septets(self, character: char) -> Option<Septets> {
        if self == Tables::default() { alphabet::septets(character) } else { self.pair().septets(character) }
    }

    /// One septet an octet, escape pairs included.
    ///
    /// # Errors
    /// The first character that these tables do not hold.
    pub fn encode(self, text: &str) -> Result<Vec<u8>, Unmappable> {
        if self == Tables::default() {
            return alphabet::encode_gsm7(text);
        }
        let pair = self.pair();
        let mut octets = Vec::with_capacity(text.len());
        for (position, character) in text.chars().enumerate() {
            match pair.septets(character) {
                Some(Septets::One(septet)) => octets.push(septet),
                Some(Septets::Escaped(septet)) => octets.extend([ESC, septet]),
                None => return Err(Unmappable { character, position }),
            }
        }
        Ok(octets)
    }

    /// Reads one septet an octet.
    pub fn decode(self, octets: &[u8]) -> String {
        let pair = self.pair();
        let mut text = String::with_capacity(octets.len());
        let mut rest = octets.iter().copied();
        while let Some(octet) = rest.next() {
            text.push(match octet {
                ESC => rest.next().map_or(' ', |septet| pair.extended(septet)),
                septet => pair.plain(septet),
            });
        }
        text
    }
}

impl Pair {
    fn plain(self, septet: u8) -> char {
        let known = self.main.get(usize::from(septet)).copied().flatten();
        known.unwrap_or(char::REPLACEMENT_CHARACTER)
    }

    /// 23.038 section 6.2.1.2.4: `ESC ESC` is a blank until there is a further extension.
    fn extended(self, septet: u8) -> char {
        let shifted = self.shifted.get(usize::from(septet)).copied().flatten();
        shifted.unwrap_or_else(|| if septet == ESC { ' ' } else { self.plain(septet) })
    }

    fn septets(self, character: char) -> Option<Septets> {
        let place = |table: &Table| table.iter().position(|known| *known == Some(character));
        let one = place(self.main).map(|septet| Septets::One(septet as u8));
        one.or_else(|| place(self.shifted).map(|septet| Septets::Escaped(septet as u8)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_names_its_language_and_a_reserved_one_none() {
        for language in Language::ALL {
            assert_eq!(Language::from_id(language.id()), Some(language));
        }
        assert_eq!([0, 14, 255].map(Language::from_id), [None; 3]);
    }

    #[test]
    fn either_table_may_be_used_alone() {
        let single = Tables { locking: None, single: Some(Language::Turkish) };
        assert_eq!(single.encode("ş€").unwrap(), [0x1B, 0x73, 0x1B, 0x65]);
        let locking = Tables { locking: Some(Language::Turkish), single: None };
        assert_eq!(locking.encode("ş€[").unwrap(), [0x1D, 0x04, 0x1B, 0x3C]);
        assert_eq!(locking.decode(&[0x1D, 0x04, 0x1B, 0x3C]), "ş€[");
    }

    #[test]
    fn what_the_single_shift_does_not_hold_is_the_character_of_the_main_table() {
        let turkish = Tables { locking: Some(Language::Turkish), single: Some(Language::Turkish) };
        assert_eq!(turkish.decode(&[0x1B, 0x04, 0x1B, 0x1B, 0x41, 0x1B]), "€ A ");
    }

    #[test]
    fn a_place_that_holds_nothing_is_shown_as_unreadable() {
        let bengali = Tables { locking: Some(Language::Bengali), single: None };
        assert_eq!(bengali.decode(&[0x0D, 0x0C, 0x80, 0x0F]), "\r\u{FFFD}\u{FFFD}\u{098F}");
    }

    #[test]
    fn a_character_of_another_language_is_named_with_its_place() {
        let turkish = Tables { locking: None, single: Some(Language::Turkish) };
        assert_eq!(turkish.encode("aşя"), Err(Unmappable { character: 'я', position: 2 }));
        assert_eq!((turkish.septets('ş'), turkish.septets('я')), (Some(Septets::Escaped(0x73)), None));
    }

    #[test]
    fn every_pair_of_tables_reads_what_it_writes() {
        let choices = || std::iter::once(None).chain(Language::ALL.map(Some));
        for (locking, single) in choices().flat_map(|l| choices().map(move |s| (l, s))) {
            let tables = Tables { locking, single };
            let pair = tables.pair();
            let text: String = pair.main.iter().chain(pair.shifted).flatten().collect();
            assert_eq!(tables.decode(&tables.encode(&text).unwrap()), text, "{tables:?}");
            assert!(text.contains(' '), "a lone escape can be written again");
        }
    }
}
