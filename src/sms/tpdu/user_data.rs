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
}

impl UserData {
    /// The text of one segment, and what says which one it is.
    pub fn segment(text: &str, concat: Option<Concat>) -> UserData {
        UserData {
            header: concat.map(Element::concat).into_iter().collect(),
            content: Content::Text(text.to_owned()),
        }
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
        self.concat_element().map(|(concat, _)| concat)
    }

    /// Bits of the reference of [`UserData::concat`], 8 or 16.
    pub fn concat_bits(&self) -> Option<u8> {
        self.concat_element().map(|(_, bits)| bits)
    }

    fn concat_element(&self) -> Option<(Concat, u8)> {
        let read = |element: &Element| match (element.id, element.value.as_slice()) {
            (CONCAT_8, &[reference, total, number]) => Some((u16::from(reference), total, number, 8)),
            (CONCAT_16, &[high, low, total, number]) => {
                Some((u16::from_be_bytes([high, low]), total, number, 16))
            }
            _ => None,
        };
        let said = self.header.iter().rev().filter_map(read);
        let mut possible = said.filter(|(_, total, number, _)| (1..=*total).contains(number));
        possible.next().map(|(reference, total, number, bits)| (Concat { reference, total, number }, bits))
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

    /// The national tables that GSM 7-bit text is written by (sections 9.2.3.24.15 and .16).
    pub fn tables(&self) -> Tables {
        let said = |id: u8| {
            let language = |element: &Element| match element.value.as_slice() {
                &[language] if element.id == id => Language::from_id(language),
                _ => None,
            };
            self.header.iter().rev().find_map(language)
        };
        Tables { locking: said(LOCKING_SHIFT).filter(|l| l.has_locking()), single: said(SINGLE_SHIFT) }
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
        let mut data = UserData { header, content: Content::Octets(Vec::new()) };
        data.content = content(&octets[header_octets..], units, header_octets, dcs, data.tables())?;
        Ok((data, length))
    }

    /// Appends TP-UDL and TP-UD.
    pub(super) fn encode(&self, dcs: u8, out: &mut Vec<u8>) -> Result<(), TpduError> {
        let header = self.encode_header()?;
        let (units, body) = match (dcs::read(dcs).alphabet, &self.content) {
            (Alphabet::Gsm7, Content::Text(text)) => {
                let written = self.tables().encode(text);
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

    /// UDHL and the elements; empty where there are none.
    fn encode_header(&self) -> Result<Vec<u8>, TpduError> {
        if self.header.is_empty() {
            return Ok(Vec::new());
        }
        let length: usize = self.header.iter().map(|element| 2 + element.value.len()).sum();
        if length >= MAX_USER_DATA {
            return Err(TpduError::Length { field: UDHL, stated: length, most: MAX_USER_DATA - 1 });
        }
        let mut octets = vec![length as u8];
        for element in &self.header {
            octets.extend([element.id, element.value.len() as u8]);
            octets.extend(&element.value);
        }
        Ok(octets)
    }
}

/// TP-DCS of a segment's text (3GPP TS 23.038 section 4); with `flash` the phone shows it at once.
pub const fn coding(encoding: Encoding, flash: bool) -> u8 {
    let alphabet = match encoding {
        Encoding::Gsm7 => dcs::GSM7,
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
    Ok((self::elements(elements).unwrap_or_default(), 1 + length))
}

/// `None` where the last one does not end with the header.
fn elements(mut octets: &[u8]) -> Option<Vec<Element>> {
    let mut elements = Vec::new();
    while let Some((id, rest)) = octets.split_first() {
        let (length, rest) = rest.split_first()?;
        let (value, rest) = rest.split_at_checked(usize::from(*length))?;
        elements.push(Element { id: *id, value: value.to_vec() });
        octets = rest;
    }
    Some(elements)
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
