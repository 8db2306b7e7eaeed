//! What the octets of a short message mean, and how a reply is written: GSM 7-bit unpacked, Latin-1, UCS-2.
//!
//! The table is the SMSC's own (3GPP TS 23.038 6.2.1), held to the vectors, so that a wrong table in the
//! driver cannot agree with itself here. Whatever means no character is shown as U+FFFD.

use super::pdu::Submit;

const DEFAULT: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\u{1b}ÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?\
                       ¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
const ESCAPE: u8 = 0x1B;
const EXTENSION: [(u8, char); 10] = [
    (0x0A, '\u{c}'),
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
/// data_coding of UCS-2 (SMPP 3.4 section 5.2.19).
pub const UCS2: u8 = 0x08;

pub fn decode(submit: &Submit) -> String {
    let octets = submit.text_octets();
    match submit.data_coding {
        0x00 => decode_gsm(octets),
        0x01 => octets
            .iter()
            .map(|&o| if o < 0x80 { char::from(o) } else { char::REPLACEMENT_CHARACTER })
            .collect(),
        0x03 => octets.iter().map(|&o| char::from(o)).collect(),
        UCS2 => decode_ucs2(octets),
        // GSM message class groups (5.2.19, 3GPP TS 23.038 section 4): class in bits 0-1, alphabet in 2-3.
        0xF0..=0xF3 => decode_gsm(octets),
        coding @ 0x10..=0x1F => match coding & 0x0C {
            0x00 => decode_gsm(octets),
            0x08 => decode_ucs2(octets),
            _ => unreadable(octets),
        },
        _ => unreadable(octets),
    }
}

fn unreadable(octets: &[u8]) -> String {
    octets.iter().map(|_| char::REPLACEMENT_CHARACTER).collect()
}

fn decode_ucs2(octets: &[u8]) -> String {
    let units = octets.chunks(2).map(|pair| match *pair {
        [high, low] => u16::from_be_bytes([high, low]),
        _ => 0xFFFD,
    });
    char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

fn decode_gsm(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len());
    let mut escaped = false;
    for &octet in octets {
        if octet == ESCAPE {
            if escaped {
                text.push(' ');
            }
            escaped = !escaped;
            continue;
        }
        text.push(decode_septet(octet, escaped));
        escaped = false;
    }
    if escaped {
        text.push(' ');
    }
    text
}

fn decode_septet(octet: u8, escaped: bool) -> char {
    let extension = EXTENSION.iter().find(|(septet, _)| escaped && *septet == octet).map(|(_, c)| *c);
    extension
        .unwrap_or_else(|| table().get(usize::from(octet)).copied().unwrap_or(char::REPLACEMENT_CHARACTER))
}

fn table() -> &'static [char] {
    static TABLE: std::sync::LazyLock<Vec<char>> = std::sync::LazyLock::new(|| DEFAULT.chars().collect());
    &TABLE
}

/// A reply on its way to the client: data_coding and the octets of each segment without a header.
#[derive(Debug, PartialEq, Eq)]
pub struct Written {
    pub data_coding: u8,
    pub segments: Vec<Vec<u8>>,
}

/// In GSM 7-bit when every character has a septet, else in UCS-2, split where it does not fit one message.
pub fn encode(text: &str) -> Written {
    let septets: Option<Vec<Vec<u8>>> = text.chars().map(encode_gsm).collect();
    let (data_coding, characters, alone, joined) = match septets {
        Some(septets) => (0, septets, 160, 153),
        None => (UCS2, text.chars().map(encode_ucs2).collect(), 140, 134),
    };
    let total: usize = characters.iter().map(Vec::len).sum();
    let most = if total <= alone { alone } else { joined };
    let mut segments = vec![Vec::new()];
    for character in characters {
        match segments.last_mut() {
            Some(last) if last.len() + character.len() <= most => last.extend(character),
            _ => segments.push(character),
        }
    }
    Written { data_coding, segments }
}

fn encode_gsm(c: char) -> Option<Vec<u8>> {
    if let Some((septet, _)) = EXTENSION.iter().find(|(_, known)| *known == c) {
        return Some(vec![ESCAPE, *septet]);
    }
    let septet = table().iter().position(|&known| known == c && c != '\u{1b}')?;
    u8::try_from(septet).ok().map(|septet| vec![septet])
}

fn encode_ucs2(c: char) -> Vec<u8> {
    let mut units = [0; 2];
    c.encode_utf16(&mut units).iter().flat_map(|unit| unit.to_be_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_is_that_of_the_vectors() {
        let rows = include_str!("../../../tests/vectors/gsm0338.tsv");
        let mut seen = 0;
        for row in rows.lines().skip(1) {
            let columns: Vec<&str> = row.split('\t').collect();
            let Some(code) = columns[2].strip_prefix("U+") else { continue };
            let Some(expected) = u32::from_str_radix(code, 16).ok().and_then(char::from_u32) else {
                continue;
            };
            let septets: Vec<u8> = (0..columns[1].len() / 2)
                .map(|i| u8::from_str_radix(&columns[1][i * 2..i * 2 + 2], 16).unwrap())
                .collect();
            let wanted = matches!(columns[0], "default" | "ext");
            if !wanted || septets.last() == Some(&ESCAPE) {
                continue;
            }
            assert_eq!(decode_gsm(&septets), expected.to_string(), "{row}");
            assert_eq!(encode_gsm(expected), Some(septets), "{row}");
            seen += 1;
        }
        assert!(seen >= 137, "only {seen} rows");
    }

    #[test]
    fn a_lone_escape_is_a_blank_and_half_a_pair_is_shown_as_unreadable() {
        assert_eq!(decode_gsm(&[0x41, ESCAPE]), "A ");
        assert_eq!(decode_gsm(&[ESCAPE, 0x41]), "A");
        assert_eq!(decode_gsm(&[0x80]), "\u{fffd}");
        assert_eq!(decode_ucs2(&[0xD8, 0x3D, 0xDE, 0x00, 0x41]), "😀\u{fffd}");
    }

    #[test]
    fn a_long_reply_is_split_without_cutting_a_character() {
        let lengths = |text: &str| encode(text).segments.iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(lengths(&"a".repeat(160)), [160]);
        assert_eq!(lengths(&"a".repeat(161)), [153, 8]);
        assert_eq!(lengths(&"€".repeat(81)), [152, 10]);
        assert_eq!(lengths(&"😀".repeat(36)), [132, 12]);
        assert_eq!(lengths(""), [0]);
    }
}
