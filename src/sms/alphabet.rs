//! Characters to octets and back: GSM 7-bit (3GPP TS 23.038 6.2.1), UCS-2, Latin-1 and ASCII.
//!
//! Encoding is exact: a character that the alphabet does not hold is an [`Unmappable`] error, never a
//! substitute, because the nearest substitute of septet 0 is `@`. Decoding never fails: a person's text
//! is shown as far as it can be read, and what cannot be read is U+FFFD, or a blank where 23.038 asks
//! for one. Septets are unpacked here, one an octet, as SMPP carries them.

/// Escape to the extension table (23.038 6.2.1.1).
pub const ESC: u8 = 0x1B;

/// 23.038 6.2.1, by septet. The place of [`ESC`] holds the blank that a lone escape is shown as.
const DEFAULT: [char; 128] = [
    '@', '£', '$', '¥', 'è', 'é', 'ù', 'ì', 'ò', 'Ç', '\n', 'Ø', 'ø', '\r', 'Å', 'å', // 0x00
    'Δ', '_', 'Φ', 'Γ', 'Λ', 'Ω', 'Π', 'Ψ', 'Σ', 'Θ', 'Ξ', ' ', 'Æ', 'æ', 'ß', 'É', // 0x10
    ' ', '!', '"', '#', '¤', '%', '&', '\'', '(', ')', '*', '+', ',', '-', '.', '/', // 0x20
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', ':', ';', '<', '=', '>', '?', // 0x30
    '¡', 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O', // 0x40
    'P', 'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z', 'Ä', 'Ö', 'Ñ', 'Ü', '§', // 0x50
    '¿', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', // 0x60
    'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z', 'ä', 'ö', 'ñ', 'ü', 'à', // 0x70
];

/// 23.038 6.2.1.1, by the septet after [`ESC`].
const EXTENSION: [(u8, char); 10] = [
    (0x0A, '\u{0C}'),
    (0x14, '^'),
    (0x28, '{'),
    (0x29, '}'),
    (0x2F, '\\'),
    (0x3C, '['),
    (0x3D, '~'),
    (0x3E, ']'),
    (0x40, '|'),
    (0x65, '€'),
];

/// How one character is written in GSM 7-bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Septets {
    One(u8),
    /// [`ESC`] and this.
    Escaped(u8),
}

impl Septets {
    /// Septets it takes: 1 or 2.
    pub const fn count(self) -> u16 {
        match self {
            Septets::One(_) => 1,
            Septets::Escaped(_) => 2,
        }
    }
}

/// A character that the alphabet does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("character {} of the text, {character:?} (U+{:04X}), is not in the alphabet", .position + 1, u32::from(*.character))]
pub struct Unmappable {
    pub character: char,
    /// 0-based, in characters.
    pub position: usize,
}

/// The septets of one character; `None` when GSM 7-bit does not hold it.
pub fn septets(character: char) -> Option<Septets> {
    match LATIN.get(character as usize) {
        Some(known) => *known,
        None => search(character),
    }
}

/// One septet an octet, escape pairs included.
pub fn encode_gsm7(text: &str) -> Result<Vec<u8>, Unmappable> {
    let mut octets = Vec::with_capacity(text.len());
    for (position, character) in text.chars().enumerate() {
        match septets(character) {
            Some(Septets::One(septet)) => octets.push(septet),
            Some(Septets::Escaped(septet)) => octets.extend([ESC, septet]),
            None => return Err(Unmappable { character, position }),
        }
    }
    Ok(octets)
}

/// Reads one septet an octet (23.038 6.2.1.1): an undefined escape shows the character of the default
/// table, `ESC ESC` and an escape at the end a blank. An octet above 0x7F is no septet: U+FFFD.
pub fn decode_gsm7(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len());
    let mut rest = octets.iter().copied();
    while let Some(octet) = rest.next() {
        let character = match octet {
            ESC => rest.next().map_or(' ', extended),
            other => shown(other),
        };
        text.push(character);
    }
    text
}

/// UTF-16BE, surrogate pairs included: what networks mean by UCS-2 today.
pub fn encode_ucs2(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

/// A lone surrogate or an odd octet at the end is U+FFFD.
pub fn decode_ucs2(octets: &[u8]) -> String {
    let pairs = octets.chunks_exact(2);
    let odd = (!pairs.remainder().is_empty()).then_some(char::REPLACEMENT_CHARACTER);
    let units = pairs.map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).chain(odd).collect()
}

/// ISO 8859-1, SMPP data_coding 3 (SMPP 3.4 5.2.19).
pub fn encode_latin1(text: &str) -> Result<Vec<u8>, Unmappable> {
    encode_below(text, 0x100)
}

pub fn decode_latin1(octets: &[u8]) -> String {
    octets.iter().map(|octet| char::from(*octet)).collect()
}

/// IA5, SMPP data_coding 1 (SMPP 3.4 5.2.19).
pub fn encode_ascii(text: &str) -> Result<Vec<u8>, Unmappable> {
    encode_below(text, 0x80)
}

/// An octet above 0x7F is U+FFFD.
pub fn decode_ascii(octets: &[u8]) -> String {
    let read = |octet: &u8| if octet.is_ascii() { char::from(*octet) } else { char::REPLACEMENT_CHARACTER };
    octets.iter().map(read).collect()
}

fn encode_below(text: &str, limit: u32) -> Result<Vec<u8>, Unmappable> {
    let encode = |(position, character): (usize, char)| match u8::try_from(u32::from(character)) {
        Ok(octet) if u32::from(octet) < limit => Ok(octet),
        _ => Err(Unmappable { character, position }),
    };
    text.chars().enumerate().map(encode).collect()
}

/// The character of a septet of the default alphabet; `None` above 0x7F. The place of [`ESC`] is a blank.
pub fn plain(septet: u8) -> Option<char> {
    DEFAULT.get(usize::from(septet)).copied()
}

/// What the extension table holds behind [`ESC`].
pub fn extension(septet: u8) -> Option<char> {
    EXTENSION.iter().find(|(code, _)| *code == septet).map(|(_, character)| *character)
}

fn shown(septet: u8) -> char {
    plain(septet).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn extended(septet: u8) -> char {
    extension(septet).unwrap_or_else(|| shown(septet))
}

/// Every text is looked up character by character, and nearly all are below U+0100.
static LATIN: [Option<Septets>; 256] = latin();

const fn latin() -> [Option<Septets>; 256] {
    let mut table = [None; 256];
    let mut code = 0;
    while code < 256 {
        table[code] = search(code as u8 as char);
        code += 1;
    }
    table
}

const fn search(character: char) -> Option<Septets> {
    let mut septet = 0;
    while septet < DEFAULT.len() {
        if DEFAULT[septet] as u32 == character as u32 && septet != ESC as usize {
            return Some(Septets::One(septet as u8));
        }
        septet += 1;
    }
    let mut place = 0;
    while place < EXTENSION.len() {
        if EXTENSION[place].1 as u32 == character as u32 {
            return Some(Septets::Escaped(EXTENSION[place].0));
        }
        place += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unmappable_character_is_named_with_its_place_and_never_becomes_at() {
        let error = encode_gsm7("100 zł").unwrap_err();
        assert_eq!(error, Unmappable { character: 'ł', position: 5 });
        assert_eq!(error.to_string(), "character 6 of the text, 'ł' (U+0142), is not in the alphabet");
        assert_eq!(encode_latin1("5 €"), Err(Unmappable { character: '€', position: 2 }));
        assert_eq!(encode_ascii("fällig"), Err(Unmappable { character: 'ä', position: 1 }));
    }

    #[test]
    fn an_escape_is_never_written_for_the_control_character() {
        assert_eq!(septets('\u{1B}'), None);
        assert_eq!(septets(' '), Some(Septets::One(0x20)));
    }

    #[test]
    fn extension_characters_take_an_escape_pair() {
        assert_eq!(encode_gsm7("5€ [x]").unwrap(), b"\x35\x1B\x65\x20\x1B\x3Cx\x1B\x3E");
    }

    #[test]
    fn an_undefined_escape_shows_the_default_table() {
        assert_eq!(decode_gsm7(&[0x1B, 0x41, 0x42]), "AB");
    }

    #[test]
    fn a_double_or_lone_escape_is_a_blank() {
        assert_eq!(decode_gsm7(&[0x41, 0x1B, 0x1B, 0x65]), "A e");
        assert_eq!(decode_gsm7(&[0x41, 0x1B]), "A ");
    }

    #[test]
    fn septet_zero_is_at_even_at_the_end() {
        assert_eq!(decode_gsm7(&[0x61, 0x00, 0x00]), "a@@");
    }

    #[test]
    fn an_octet_that_is_no_septet_is_shown_as_unreadable() {
        assert_eq!(decode_gsm7(&[0xE4]), "\u{FFFD}");
        assert_eq!(decode_ascii(&[0x61, 0xE4]), "a\u{FFFD}");
        assert_eq!(decode_latin1(&[0x61, 0xE4]), "aä");
    }

    #[test]
    fn ucs2_writes_surrogate_pairs_and_survives_broken_ones() {
        assert_eq!(encode_ucs2("я😀"), [0x04, 0x4F, 0xD8, 0x3D, 0xDE, 0x00]);
        assert_eq!(decode_ucs2(&[0xD8, 0x3D, 0xDE, 0x00]), "😀");
        assert_eq!(decode_ucs2(&[0xD8, 0x3D, 0x00, 0x41, 0x42]), "\u{FFFD}A\u{FFFD}");
    }
}
