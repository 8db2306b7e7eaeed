//! TP-UDL and TP-UD: the header's elements and the text or octets behind them (3GPP TS 23.040 sections
//! 9.2.3.16 and 9.2.3.24).
//!
//! ```text
//! UDL | UDHL | id length value.. | id length value.. | fill bits | septets, octets or UTF-16 units
//! ```
//!
//! UDL counts septets in GSM 7-bit, header and fill bits included, otherwise octets. An element that is said
//! twice counts as it was said last; one whose content is reserved counts as not said; a header whose last
//! element does not end with it is no header (section 9.2.3.24), and what follows it is read all the same.

use super::read::Reader;
use super::{Content, Element, MAX_USER_DATA, TpduError, UserData};
use crate::message::Encoding;
use crate::sms::dcs::{self, Alphabet};
use crate::sms::national::{Language, Tables};
use crate::sms::segment::Concat;
use crate::sms::{alphabet, septets};

const UDL: &str = "TP-UDL";
const UDHL: &str = "TP-UDHL";
const UD: &str = "TP-UD";

/// Information element identifiers (section 9.2.3.24).
const CONCAT_8: u8 = 0x00;
const PORTS_8: u8 = 0x04;
const PORTS_16: u8 = 0x05;
const CONCAT_16: u8 = 0x08;
const SINGLE_SHIFT: u8 = 0x24;
const LOCKING_SHIFT: u8 = 0x25;

impl Element {
    /// Concatenation with an 8-bit reference: of the 16 bits the low ones.
    pub fn concat(concat: Concat) -> Element {
        Element { id: CONCAT_8, value: vec![concat.reference as u8, concat.total, concat.number] }
    }

    /// The header of a segment: which one it is, and the tables its text is written by.
    pub fn of_segment(encoding: Encoding, concat: Option<Concat>) -> Vec<Element> {
        let tables = encoding.tables().unwrap_or_default();
        let named = |id, language: Language| Element { id, value: vec![language.id()] };
        let single = tables.single.map(|language| named(SINGLE_SHIFT, language));
        let locking = tables.locking.map(|language| named(LOCKING_SHIFT, language));
        concat.map(Element::concat).into_iter().chain(single).chain(locking).collect()
    }

    /// Reads the elements of a header, UDHL not among the octets; `None` where the last one does not end
    /// with them.
    pub fn read_all(mut octets: &[u8]) -> Option<Vec<Element>> {
        let mut elements = Vec::new();
        while let Some((id, rest)) = octets.split_first() {
            let (length, rest) = rest.split_first()?;
            let (value, rest) = rest.split_at_checked(usize::from(*length))?;
            elements.push(Element { id: *id, value: value.to_vec() });
            octets = rest;
        }
        Some(elements)
    }

    /// Writes a header: UDHL and the elements; nothing where there are none.
    ///
    /// # Errors
    /// More than user data can hold.
    pub fn write_all(elements: &[Element]) -> Result<Vec<u8>, TpduError> {
        if elements.is_empty() {
            return Ok(Vec::new());
        }
        let length: usize = elements.iter().map(|element| 2 + element.value.len()).sum();
        if length >= MAX_USER_DATA {
            return Err(TpduError::Length { field: UDHL, stated: length, most: MAX_USER_DATA - 1 });
        }
        let mut octets = vec![length as u8];
        for element in elements {
            octets.extend([element.id, element.value.len() as u8]);
            octets.extend(&element.value);
        }
        Ok(octets)
    }

    /// The concatenation that elements say last, where it is a possible one, and the bits of its reference.
    pub fn concat_in(elements: &[Element]) -> Option<(Concat, u8)> {
        let read = |element: &Element| match (element.id, element.value.as_slice()) {
            (CONCAT_8, &[reference, total, number]) => Some((u16::from(reference), total, number, 8)),
            (CONCAT_16, &[high, low, total, number]) => {
                Some((u16::from_be_bytes([high, low]), total, number, 16))
            }
            _ => None,
        };
        let said = elements.iter().rev().filter_map(read);
        let mut possible = said.filter(|(_, total, number, _)| (1..=*total).contains(number));
        possible.next().map(|(reference, total, number, bits)| (Concat { reference, total, number }, bits))
    }

    /// The national tables that elements name (sections 9.2.3.24.15 and .16).
    pub fn tables_in(elements: &[Element]) -> Tables {
        let said = |id: u8| {
            let language = |element: &Element| match element.value.as_slice() {
                &[language] if element.id == id => Language::from_id(language),
                _ => None,
            };
            elements.iter().rev().find_map(language)
        };
        Tables { locking: said(LOCKING_SHIFT).filter(|l| l.has_locking()), single: said(SINGLE_SHIFT) }
    }
}

impl UserData {
    /// The text of one segment as it goes out; [`coding`] is the TP-DCS to it.
    pub fn segment(text: &str, encoding: Encoding, concat: Option<Concat>) -> UserData {
        UserData { header: Element::of_segment(encoding, concat), content: Content::Text(text.to_owned()) }
    }

    /// `None` for octets.
    pub fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(text),
            Content::Octets(_) => None,
        }
    }

    /// Which segment this is (sections 9.2.3.24.1 and .8), where the header says something possible.
    pub fn concat(&self) -> Option<Concat> {
        Element::concat_in(&self.header).map(|(concat, _)| concat)
    }

    /// Bits of the reference of [`UserData::concat`], 8 or 16.
    pub fn concat_bits(&self) -> Option<u8> {
        Element::concat_in(&self.header).map(|(_, bits)| bits)
    }

    /// Destination and origin of an application (sections 9.2.3.24.3 and .4).
    pub fn ports(&self) -> Option<(u16, u16)> {
        let read = |element: &Element| match (element.id, element.value.as_slice()) {
            (PORTS_8, &[to, from]) => Some((u16::from(to), u16::from(from))),
            (PORTS_16, &[to_high, to_low, from_high, from_low]) => {
                Some((u16::from_be_bytes([to_high, to_low]), u16::from_be_bytes([from_high, from_low])))
            }
            _ => None,
        };
        self.header.iter().rev().find_map(read)
    }

    /// Reads TP-UDL and TP-UD, of which `headed` says whether it begins with a header (TP-UDHI).
    pub(super) fn decode(
        reader: &mut Reader<'_>,
        dcs: u8,
        headed: bool,
    ) -> Result<(UserData, u8), TpduError> {
        let length = reader.octet(UDL)?;
        let units = usize::from(length);
        let packed = dcs::read(dcs).alphabet == Alphabet::Gsm7;
        let octets = if packed { septets::octets(units) } else { units };
        if octets > MAX_USER_DATA {
            let most = if packed { MAX_USER_DATA * 8 / 7 } else { MAX_USER_DATA };
            return Err(TpduError::Length { field: UDL, stated: units, most });
        }
        let octets = reader.take(octets, UD)?;
        let (header, header_octets) = if headed { header(octets)? } else { (Vec::new(), 0) };
        let tables = Element::tables_in(&header);
        let content = content(&octets[header_octets..], units, header_octets, dcs, tables)?;
        Ok((UserData { header, content }, length))
    }

    /// Appends TP-UDL and TP-UD.
    pub(super) fn encode(&self, dcs: u8, out: &mut Vec<u8>) -> Result<(), TpduError> {
        let header = Element::write_all(&self.header)?;
        let (units, body) = match (dcs::read(dcs).alphabet, &self.content) {
            (Alphabet::Gsm7, Content::Text(text)) => {
                let written = Element::tables_in(&self.header).encode(text);
                let written = written.map_err(|source| TpduError::Text { field: UD, source })?;
                let units = septets::header_septets(header.len()) + written.len();
                (units, septets::pack(&written, septets::fill_bits(header.len())))
            }
            (Alphabet::Ucs2, Content::Text(text)) => counted(&header, alphabet::encode_ucs2(text)),
            (Alphabet::Octets | Alphabet::Compressed, Content::Octets(octets)) => {
                counted(&header, octets.clone())
            }
            _ => return Err(TpduError::Coding),
        };
        let octets = header.len() + body.len();
        if octets > MAX_USER_DATA {
            return Err(TpduError::Length { field: UD, stated: octets, most: MAX_USER_DATA });
        }
        out.push(units as u8);
        out.extend(header);
        out.extend(body);
        Ok(())
    }
}

/// TP-DCS of a segment's text (3GPP TS 23.038 section 4); with `flash` the phone shows it at once.
pub const fn coding(encoding: Encoding, flash: bool) -> u8 {
    let alphabet = match encoding {
        Encoding::Gsm7 | Encoding::National(_) => dcs::GSM7,
        Encoding::Ucs2 => dcs::UCS2,
    };
    if flash { alphabet | dcs::CLASS_0 } else { alphabet }
}

fn counted(header: &[u8], body: Vec<u8>) -> (usize, Vec<u8>) {
    (header.len() + body.len(), body)
}

/// The elements, and the octets they and UDHL take.
fn header(octets: &[u8]) -> Result<(Vec<Element>, usize), TpduError> {
    let (length, rest) = octets.split_first().ok_or(TpduError::Truncated { field: UDHL })?;
    let length = usize::from(*length);
    let elements = rest.get(..length);
    let elements = elements.ok_or(TpduError::Length { field: UDHL, stated: length, most: rest.len() })?;
    Ok((Element::read_all(elements).unwrap_or_default(), 1 + length))
}

fn content(
    body: &[u8],
    units: usize,
    header_octets: usize,
    dcs: u8,
    tables: Tables,
) -> Result<Content, TpduError> {
    Ok(match dcs::read(dcs).alphabet {
        Alphabet::Gsm7 => {
            let header = septets::header_septets(header_octets);
            // The last septet that UDL counts may end within the header's fill bits.
            let count = units.checked_sub(header);
            let count = count.ok_or(TpduError::Length { field: UDHL, stated: header, most: units })?;
            Content::Text(tables.decode(&septets::unpack(body, septets::fill_bits(header_octets), count)))
        }
        Alphabet::Ucs2 => Content::Text(alphabet::decode_ucs2(body)),
        Alphabet::Octets | Alphabet::Compressed => Content::Octets(body.to_vec()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sms::hex;

    fn decoded(digits: &str, dcs: u8, headed: bool) -> Result<UserData, TpduError> {
        let octets = hex::decode(digits).unwrap();
        UserData::decode(&mut Reader::new(&octets), dcs, headed).map(|(data, _)| data)
    }

    fn encoded(data: &UserData, dcs: u8) -> Result<String, TpduError> {
        let mut out = Vec::new();
        data.encode(dcs, &mut out).map(|()| hex::encode(&out))
    }

    fn headed(elements: &[(u8, &[u8])]) -> UserData {
        let element = |(id, value): &(u8, &[u8])| Element { id: *id, value: value.to_vec() };
        UserData { header: elements.iter().map(element).collect(), content: Content::Text(String::new()) }
    }

    fn said(elements: &[(u8, &[u8])]) -> Option<(u16, u8, u8)> {
        headed(elements).concat().map(|c| (c.reference, c.total, c.number))
    }

    #[test]
    fn the_last_possible_concatenation_counts() {
        assert_eq!(said(&[(0, &[9, 2, 1])]), Some((9, 2, 1)));
        assert_eq!(said(&[(0, &[9, 2, 1]), (8, &[1, 2, 3, 3])]), Some((0x0102, 3, 3)));
        assert_eq!(said(&[(0, &[9, 2, 1]), (0, &[9, 2, 3])]), Some((9, 2, 1)));
    }

    #[test]
    fn an_impossible_concatenation_is_none() {
        for value in [[9, 0, 0], [9, 2, 0], [9, 2, 3], [9, 0, 1]] {
            assert_eq!(said(&[(0, &value)]), None, "{value:?}");
        }
        assert_eq!(said(&[(0, &[9, 2]), (8, &[9, 2, 1])]), None);
        assert_eq!(said(&[]), None);
    }

    #[test]
    fn ports_are_read_in_both_forms_and_the_last_counts() {
        assert_eq!(headed(&[(4, &[240, 1])]).ports(), Some((240, 1)));
        assert_eq!(headed(&[(4, &[240, 1]), (5, &[0x3E, 0x81, 0x3E, 0x80])]).ports(), Some((16001, 16000)));
        assert_eq!(headed(&[(5, &[240, 1])]).ports(), None);
    }

    #[test]
    fn a_header_names_the_tables_and_a_reserved_language_none() {
        let tables =
            Element::tables_in(&headed(&[(0x25, &[1]), (0x24, &[3]), (0x24, &[14]), (0x24, &[])]).header);
        assert_eq!(tables, Tables { locking: Some(Language::Turkish), single: Some(Language::Portuguese) });
        let spanish = headed(&[(0x25, &[2])]);
        assert_eq!(
            Element::tables_in(&spanish.header),
            Tables::default(),
            "its main table is the default alphabet"
        );
    }

    #[test]
    fn text_of_a_national_table_is_read_and_written_behind_its_element() {
        let mut data = headed(&[(0x24, &[1])]);
        data.content = Content::Text("ş1".to_owned());
        let digits = encoded(&data, 0).unwrap();
        // 4 octets of header, 3 fill bits, then the septets 1B 73 31.
        assert_eq!(digits, "0803240101D8CC63");
        assert_eq!(decoded(&digits, 0, true), Ok(data));
    }

    #[test]
    fn stated_lengths_past_the_end_are_refused() {
        let length = |field, stated, most| TpduError::Length { field, stated, most };
        for (digits, dcs, headed, error) in [
            ("", 0, false, TpduError::Truncated { field: UDL }),
            ("02", 0, false, TpduError::Truncated { field: UD }),
            ("0448656C", 0, false, TpduError::Truncated { field: UD }),
            ("03AABB", 4, false, TpduError::Truncated { field: UD }),
            ("A1", 0, false, length(UDL, 161, 160)),
            ("8D", 8, false, length(UDL, 141, 140)),
            ("00", 0, true, TpduError::Truncated { field: UDHL }),
            ("0405000301", 4, true, length(UDHL, 5, 3)),
            ("02FF00", 8, true, length(UDHL, 255, 1)),
            ("06050003010201", 0, true, length(UDHL, 7, 6)),
        ] {
            assert_eq!(decoded(digits, dcs, headed), Err(error), "{digits}");
        }
    }

    #[test]
    fn a_header_that_does_not_end_with_its_last_element_is_ignored_and_the_text_is_read() {
        let data = decoded("0803000401AABBCCDD", 4, true).unwrap();
        assert_eq!(data, UserData { header: vec![], content: Content::Octets(vec![0xAA, 0xBB, 0xCC, 0xDD]) });
        let one_octet_left = decoded("0401000041", 4, true).unwrap();
        assert_eq!(one_octet_left.header, vec![]);
    }

    #[test]
    fn an_odd_octet_of_ucs2_is_unreadable_and_no_panic() {
        assert_eq!(decoded("03004104", 8, false).unwrap().text(), Some("A\u{FFFD}"));
        assert_eq!(decoded("02D83D", 8, false).unwrap().text(), Some("\u{FFFD}"));
    }

    #[test]
    fn compressed_text_stays_octets() {
        let data = decoded("03AABBCC", 0x20, false).unwrap();
        assert_eq!(data.content, Content::Octets(vec![0xAA, 0xBB, 0xCC]));
        assert_eq!(encoded(&data, 0x20).unwrap(), "03AABBCC");
    }

    #[test]
    fn a_full_segment_fits_and_one_more_does_not() {
        let concat = Some(Concat { reference: 0x1234, total: 2, number: 1 });
        for (character, encoding, fits) in [("x", Encoding::Gsm7, 153), ("я", Encoding::Ucs2, 67)] {
            let dcs = coding(encoding, false);
            let full = encoded(&UserData::segment(&character.repeat(fits), encoding, concat), dcs).unwrap();
            assert!(full[2..].starts_with("050003340201"), "{full}");
            let over = UserData::segment(&character.repeat(fits + 1), encoding, concat);
            assert!(matches!(encoded(&over, dcs), Err(TpduError::Length { field: UD, .. })));
        }
    }

    #[test]
    fn every_segment_of_a_national_text_fills_its_user_data_and_no_more() {
        for tables in Tables::of(Language::Turkish) {
            let encoding = Encoding::National(tables);
            let segments = crate::sms::segment::split(&"ş".repeat(400), encoding).unwrap();
            let (last, full) = segments.split_last().unwrap();
            let data = |text: &str| {
                UserData::segment(text, encoding, Some(Concat { reference: 7, total: 9, number: 1 }))
            };
            for segment in full {
                let digits = encoded(&data(&segment.text), 0).unwrap();
                assert_eq!(decoded(&digits, 0, true), Ok(data(&segment.text)));
                assert!(encoded(&data(&format!("{}ş", segment.text)), 0).is_err(), "{tables:?}");
            }
            assert!(encoded(&data(&last.text), 0).is_ok());
        }
    }

    #[test]
    fn what_the_coding_does_not_hold_is_refused() {
        let text = UserData::segment("я", Encoding::Ucs2, None);
        assert!(matches!(encoded(&text, 0), Err(TpduError::Text { field: UD, .. })));
        assert_eq!(encoded(&text, 4), Err(TpduError::Coding));
        let octets = UserData { header: vec![], content: Content::Octets(vec![1]) };
        assert_eq!(encoded(&octets, 8), Err(TpduError::Coding));
    }

    #[test]
    fn a_header_that_no_octet_can_count_is_refused() {
        let value = [0; 138];
        let long = headed(&[(0x70, &value[..137])]);
        assert_eq!(encoded(&long, 4), Err(TpduError::Coding));
        assert!(encoded(&long, 8).is_ok());
        let longer = headed(&[(0x70, &value)]);
        assert!(matches!(encoded(&longer, 8), Err(TpduError::Length { field: UDHL, .. })));
    }

    #[test]
    fn the_coding_of_a_segment_says_its_alphabet_and_flash() {
        let all = [
            (Encoding::Gsm7, false),
            (Encoding::Gsm7, true),
            (Encoding::Ucs2, false),
            (Encoding::Ucs2, true),
        ];
        assert_eq!(all.map(|(encoding, flash)| coding(encoding, flash)), [0x00, 0x10, 0x08, 0x18]);
    }
}
