//! What the octets of a short message mean, and how a reply is written, by data_coding (SMPP 3.4 section
//! 5.2.19). The alphabets are [`crate::sms`]'s, held to the vectors; which of them a message is in is read
//! here. data_coding 0 is GSM 7-bit unpacked, by the national tables that the header names. Whatever means no
//! character is shown as U+FFFD.

use super::pdu::Submit;
use crate::message::Encoding;
use crate::sms::alphabet::{Unmappable, decode_ascii, decode_latin1, decode_ucs2, encode_gsm7, encode_ucs2};
use crate::sms::national::Tables;
use crate::sms::segment::{self, SegmentError};
use crate::sms::tpdu::Element;

/// data_coding of UCS-2.
const UCS2: u8 = 0x08;

pub fn decode(submit: &Submit) -> String {
    let octets = submit.text_octets();
    match submit.data_coding {
        0x00 => tables(submit).decode(octets),
        0x01 => decode_ascii(octets),
        0x03 => decode_latin1(octets),
        UCS2 => decode_ucs2(octets),
        // GSM message class groups (3GPP TS 23.038 section 4): class in bits 0-1, alphabet in 2-3.
        0xF0..=0xF3 => tables(submit).decode(octets),
        coding @ 0x10..=0x1F => match coding & 0x0C {
            0x00 => tables(submit).decode(octets),
            0x08 => decode_ucs2(octets),
            _ => unreadable(octets),
        },
        _ => unreadable(octets),
    }
}

fn tables(submit: &Submit) -> Tables {
    let elements = submit.udh().and_then(|udh| Element::read_all(udh.get(1..)?));
    Element::tables_in(&elements.unwrap_or_default())
}

fn unreadable(octets: &[u8]) -> String {
    octets.iter().map(|_| char::REPLACEMENT_CHARACTER).collect()
}

/// A reply on its way to the client: data_coding and the octets of each segment without a header.
#[derive(Debug, PartialEq, Eq)]
pub struct Written {
    pub data_coding: u8,
    pub segments: Vec<Vec<u8>>,
}

/// A reply that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum Unwritable {
    #[error("{0}")]
    Split(#[from] SegmentError),
    #[error("{0}")]
    Character(#[from] Unmappable),
}

/// In GSM 7-bit when every character has a septet, else in UCS-2, split where it does not fit one message.
pub fn encode(text: &str) -> Result<Written, Unwritable> {
    let encoding = segment::choose(text);
    let split = segment::split(text, encoding)?;
    let segments = split.iter().map(|segment| match encoding {
        Encoding::Ucs2 => Ok(encode_ucs2(&segment.text)),
        _ => encode_gsm7(&segment.text),
    });
    let data_coding = if encoding == Encoding::Ucs2 { UCS2 } else { 0 };
    Ok(Written { data_coding, segments: segments.collect::<Result<_, _>>()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wire_log_shows_a_text_by_the_tables_its_header_names() {
        let mut body = b"\0\0\0\0\x01\x01447700900123\0\x40\0\0\0\0\0\0\0\0".to_vec();
        body.extend(b"\x06\x03\x24\x01\x01\x1Bs");
        let submit = Submit::parse_submit_sm(body.into()).unwrap();
        assert_eq!(decode(&submit), "ş");
    }

    #[test]
    fn a_long_reply_is_split_without_cutting_a_character() {
        let lengths =
            |text: &str| -> Vec<usize> { encode(text).unwrap().segments.iter().map(Vec::len).collect() };
        assert_eq!(lengths(&"a".repeat(160)), [160]);
        assert_eq!(lengths(&"a".repeat(161)), [153, 8]);
        assert_eq!(lengths(&"€".repeat(81)), [152, 10]);
        assert_eq!(lengths(&"😀".repeat(36)), [132, 12]);
        assert_eq!(lengths(""), [0]);
    }
}
