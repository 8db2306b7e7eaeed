//! SMPP 3.4 as the SMSC reads and writes it: frames, the bodies it takes, the PDUs it sends.
//!
//! ```text
//! command_length u32 | command_id u32 | command_status u32 | sequence_number u32 | body   (big endian)
//! ```
//! Invariants: no read past the frame, no allocation by a stated length; a body that cannot be read gives a
//! command_status and leaves the next frame in step. Own decoding on purpose: see [`crate::sim`].

use bytes::{Buf, Bytes, BytesMut};

use crate::sim::wire::Segment;

pub const HEADER: usize = 16;
/// Longest PDU taken: a message_payload TLV of 64 KiB is what 3.4 can write (5.3.2.32).
pub const LONGEST: usize = 65_536 + 1_024;

/// command_id (SMPP 3.4 section 5.1.2.1).
pub mod command {
    pub const GENERIC_NACK: u32 = 0x8000_0000;
    pub const BIND_RECEIVER: u32 = 0x01;
    pub const BIND_TRANSMITTER: u32 = 0x02;
    pub const QUERY_SM: u32 = 0x03;
    pub const SUBMIT_SM: u32 = 0x04;
    pub const DELIVER_SM: u32 = 0x05;
    pub const DELIVER_SM_RESP: u32 = 0x8000_0005;
    pub const UNBIND: u32 = 0x06;
    pub const REPLACE_SM: u32 = 0x07;
    pub const CANCEL_SM: u32 = 0x08;
    pub const BIND_TRANSCEIVER: u32 = 0x09;
    pub const ENQUIRE_LINK: u32 = 0x15;
    pub const SUBMIT_MULTI: u32 = 0x21;
    pub const DATA_SM: u32 = 0x103;
    /// Set in every response.
    pub const RESPONSE: u32 = 0x8000_0000;
}

/// command_status (SMPP 3.4 section 5.1.3).
pub mod status {
    pub const OK: u32 = 0;
    pub const INVALID_MESSAGE_LENGTH: u32 = 0x01;
    pub const INVALID_COMMAND_LENGTH: u32 = 0x02;
    pub const INVALID_COMMAND_ID: u32 = 0x03;
    pub const WRONG_STATE: u32 = 0x04;
    pub const ALREADY_BOUND: u32 = 0x05;
    pub const INVALID_SOURCE: u32 = 0x0A;
    pub const INVALID_DESTINATION: u32 = 0x0B;
    pub const INVALID_MESSAGE_ID: u32 = 0x0C;
    pub const INVALID_PASSWORD: u32 = 0x0E;
    pub const INVALID_SYSTEM_ID: u32 = 0x0F;
    pub const CANCEL_FAILED: u32 = 0x11;
    pub const REPLACE_FAILED: u32 = 0x13;
    pub const QUEUE_FULL: u32 = 0x14;
    pub const INVALID_SERVICE_TYPE: u32 = 0x15;
    pub const INVALID_SYSTEM_TYPE: u32 = 0x53;
    pub const THROTTLED: u32 = 0x58;
    pub const INVALID_SCHEDULE: u32 = 0x61;
    pub const INVALID_EXPIRY: u32 = 0x62;
    /// The client will never take this deliver_sm.
    pub const PERMANENT_AT_ESME: u32 = 0x65;
    pub const REJECTED_BY_ESME: u32 = 0x66;
    pub const QUERY_FAILED: u32 = 0x67;
    pub const INVALID_TLV_STREAM: u32 = 0xC0;
    pub const INVALID_TLV_LENGTH: u32 = 0xC2;
}

mod tag {
    pub const RECEIPTED_MESSAGE_ID: u16 = 0x001E;
    pub const USER_MESSAGE_REFERENCE: u16 = 0x0204;
    pub const SAR_REFERENCE: u16 = 0x020C;
    pub const SAR_TOTAL: u16 = 0x020E;
    pub const SAR_NUMBER: u16 = 0x020F;
    pub const SC_INTERFACE_VERSION: u16 = 0x0210;
    pub const MESSAGE_PAYLOAD: u16 = 0x0424;
    pub const MESSAGE_STATE: u16 = 0x0427;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub command: u32,
    pub status: u32,
    pub seq: u32,
}

/// What the octets received so far begin with.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    Whole(Header, Bytes),
    /// More octets are needed.
    Short,
    /// command_length below 16 or beyond [`LONGEST`]: nobody knows where the next PDU begins. `seq` is 0 where
    /// it ends before its sequence_number (4.3.1).
    Lost {
        seq: u32,
    },
}

/// Takes one PDU off the front of `input`.
pub fn split(input: &mut BytesMut) -> Frame {
    let field = |at: usize| {
        let octets = input.get(at..at + 4)?;
        octets.try_into().ok().map(u32::from_be_bytes)
    };
    let Some(length) = field(0) else { return Frame::Short };
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length < HEADER && input.len() >= length {
        return Frame::Lost { seq: field(12).unwrap_or(0) };
    }
    let (Some(command), Some(status), Some(seq)) = (field(4), field(8), field(12)) else {
        return Frame::Short;
    };
    let header = Header { command, status, seq };
    if !(HEADER..=LONGEST).contains(&length) {
        return Frame::Lost { seq };
    }
    if input.len() < length {
        return Frame::Short;
    }
    let mut body = input.split_to(length).freeze();
    body.advance(HEADER);
    Frame::Whole(header, body)
}

/// An address with its TON and NPI (SMPP 3.4 section 5.2.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    pub ton: u8,
    pub npi: u8,
    pub digits: String,
}

const TON_INTERNATIONAL: u8 = 1;
const TON_ALPHANUMERIC: u8 = 5;
const NPI_E164: u8 = 1;

impl Address {
    /// From what a person writes: a number with +, a short code, or a name.
    pub fn from_text(text: &str) -> Address {
        if let Some(digits) = text.strip_prefix('+') {
            return Address { ton: TON_INTERNATIONAL, npi: NPI_E164, digits: digits.to_owned() };
        }
        let numeric = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let ton = if numeric { 0 } else { TON_ALPHANUMERIC };
        Address { ton, npi: u8::from(numeric), digits: text.to_owned() }
    }

    /// With its + when it is international.
    pub fn to_text(&self) -> String {
        if self.ton == TON_INTERNATIONAL && !self.digits.starts_with('+') {
            format!("+{}", self.digits)
        } else {
            self.digits.clone()
        }
    }
}

/// A submit_sm (4.4.1) or data_sm (4.7.1): what both have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submit {
    pub source: Address,
    pub dest: Address,
    pub esm_class: u8,
    pub validity_period: String,
    pub registered_delivery: u8,
    pub data_coding: u8,
    /// short_message, or message_payload where that is empty.
    pub message: Bytes,
    pub user_message_reference: Option<u16>,
    sar: Option<Segment>,
}

/// Octets of short_message at most (5.2.22).
const LONGEST_SHORT_MESSAGE: usize = 254;
/// UDHI bit of esm_class (5.2.12).
const UDHI: u8 = 0x40;

impl Submit {
    pub fn parse_submit_sm(body: Bytes) -> Result<Submit, u32> {
        let mut r = Reader(body);
        r.c_string(6, status::INVALID_SERVICE_TYPE)?;
        let source = r.address(21, status::INVALID_SOURCE)?;
        let dest = r.address(21, status::INVALID_DESTINATION)?;
        let esm_class = r.u8()?;
        r.u8()?; // protocol_id
        r.u8()?; // priority_flag
        r.time(status::INVALID_SCHEDULE)?;
        let validity_period = r.time(status::INVALID_EXPIRY)?;
        let registered_delivery = r.u8()?;
        r.u8()?; // replace_if_present_flag
        let data_coding = r.u8()?;
        r.u8()?; // sm_default_msg_id
        let sm_length = Some(usize::from(r.u8()?)).filter(|length| *length <= LONGEST_SHORT_MESSAGE);
        let message = sm_length.and_then(|length| r.octets(length));
        let message = message.ok_or(status::INVALID_MESSAGE_LENGTH)?;
        let submit = Submit {
            source,
            dest,
            esm_class,
            validity_period,
            registered_delivery,
            data_coding,
            message,
            user_message_reference: None,
            sar: None,
        };
        submit.with_tlvs(r)?.checked()
    }

    pub fn parse_data_sm(body: Bytes) -> Result<Submit, u32> {
        let mut r = Reader(body);
        r.c_string(6, status::INVALID_SERVICE_TYPE)?;
        let submit = Submit {
            source: r.address(65, status::INVALID_SOURCE)?,
            dest: r.address(65, status::INVALID_DESTINATION)?,
            esm_class: r.u8()?,
            registered_delivery: r.u8()?,
            data_coding: r.u8()?,
            validity_period: String::new(),
            message: Bytes::new(),
            user_message_reference: None,
            sar: None,
        };
        submit.with_tlvs(r)?.checked()
    }

    fn with_tlvs(mut self, mut r: Reader) -> Result<Submit, u32> {
        let (mut reference, mut total, mut number) = (None, None, None);
        while !r.0.is_empty() {
            let (tag, value) = r.tlv()?;
            match tag {
                tag::USER_MESSAGE_REFERENCE => self.user_message_reference = Some(tlv_u16(&value)?),
                tag::SAR_REFERENCE => reference = Some(tlv_u16(&value)?),
                tag::SAR_TOTAL => total = Some(tlv_u8(&value)?),
                tag::SAR_NUMBER => number = Some(tlv_u8(&value)?),
                tag::MESSAGE_PAYLOAD if self.message.is_empty() => self.message = value,
                _ => {}
            }
        }
        if let (Some(reference), Some(total), Some(number)) = (reference, total, number) {
            self.sar = Some(Segment { reference, total, number });
        }
        Ok(self)
    }

    fn checked(self) -> Result<Submit, u32> {
        if self.dest.digits.is_empty() {
            return Err(status::INVALID_DESTINATION);
        }
        let whole = self.esm_class & UDHI == 0 || self.udh().is_some();
        if whole { Ok(self) } else { Err(status::INVALID_MESSAGE_LENGTH) }
    }

    /// The user data header with its length octet, where esm_class announces one.
    pub fn udh(&self) -> Option<&[u8]> {
        if self.esm_class & UDHI == 0 {
            return None;
        }
        let length = usize::from(*self.message.first()?);
        self.message.get(..=length)
    }

    /// The octets of the text alone.
    pub fn text_octets(&self) -> &[u8] {
        &self.message[self.udh().map_or(0, <[u8]>::len)..]
    }

    /// From the user data header (3GPP TS 23.040 9.2.3.24.1 and .8) or the `sar_*` TLVs.
    pub fn segment(&self) -> Option<Segment> {
        self.udh().and_then(|udh| concatenation(&udh[1..])).or(self.sar)
    }
}

fn concatenation(mut elements: &[u8]) -> Option<Segment> {
    while let [identifier, length, rest @ ..] = elements {
        let value = rest.get(..usize::from(*length))?;
        match (*identifier, value) {
            (0x00, &[reference, total, number]) => {
                return Some(Segment { reference: u16::from(reference), total, number });
            }
            (0x08, &[high, low, total, number]) => {
                return Some(Segment { reference: u16::from_be_bytes([high, low]), total, number });
            }
            _ => elements = &rest[value.len()..],
        }
    }
    None
}

/// A bind of any of the three kinds (4.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    pub system_id: String,
    pub password: String,
    pub interface_version: u8,
}

impl Bind {
    pub fn parse(body: Bytes) -> Result<Bind, u32> {
        let mut r = Reader(body);
        let system_id = r.c_string(16, status::INVALID_SYSTEM_ID)?;
        let password = r.c_string(9, status::INVALID_PASSWORD)?;
        r.c_string(13, status::INVALID_SYSTEM_TYPE)?;
        let interface_version = r.u8()?;
        r.u8()?; // addr_ton
        r.u8()?; // addr_npi
        r.c_string(41, status::INVALID_COMMAND_LENGTH)?; // address_range
        Ok(Bind { system_id, password, interface_version })
    }
}

/// A query_sm (4.8.1): the message, and the sender that it must be of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    pub message_id: String,
    pub source: Address,
}

impl Query {
    pub fn parse(body: Bytes) -> Result<Query, u32> {
        let mut r = Reader(body);
        let message_id = r.c_string(65, status::INVALID_MESSAGE_ID)?;
        Ok(Query { message_id, source: r.address(21, status::INVALID_SOURCE)? })
    }
}

/// Takes a body apart; each miss is a command_status.
struct Reader(Bytes);

impl Reader {
    fn u8(&mut self) -> Result<u8, u32> {
        if self.0.is_empty() { Err(status::INVALID_COMMAND_LENGTH) } else { Ok(self.0.get_u8()) }
    }

    fn octets(&mut self, length: usize) -> Option<Bytes> {
        (self.0.len() >= length).then(|| self.0.split_to(length))
    }

    /// A C-octet string of at most `most` octets, its NUL included.
    fn c_string(&mut self, most: usize, too_long: u32) -> Result<String, u32> {
        let window = &self.0[..self.0.len().min(most)];
        let Some(end) = window.iter().position(|&octet| octet == 0) else {
            return Err(if window.len() < most { status::INVALID_COMMAND_LENGTH } else { too_long });
        };
        let text = window[..end].iter().map(|&octet| char::from(octet)).collect();
        self.0.advance(end + 1);
        Ok(text)
    }

    fn address(&mut self, most: usize, too_long: u32) -> Result<Address, u32> {
        Ok(Address { ton: self.u8()?, npi: self.u8()?, digits: self.c_string(most, too_long)? })
    }

    /// A time (7.1.1): nothing or 16 characters.
    fn time(&mut self, wrong: u32) -> Result<String, u32> {
        let text = self.c_string(17, wrong)?;
        if text.is_empty() || is_time(text.as_bytes()) { Ok(text) } else { Err(wrong) }
    }

    fn tlv(&mut self) -> Result<(u16, Bytes), u32> {
        if self.0.len() < 4 {
            return Err(status::INVALID_TLV_STREAM);
        }
        let (tag, length) = (self.0.get_u16(), usize::from(self.0.get_u16()));
        let value = self.octets(length).ok_or(status::INVALID_TLV_STREAM)?;
        Ok((tag, value))
    }
}

fn is_time(text: &[u8]) -> bool {
    text.len() == 16 && text[..15].iter().all(u8::is_ascii_digit) && matches!(text[15], b'+' | b'-' | b'R')
}

fn tlv_u16(value: &[u8]) -> Result<u16, u32> {
    value.try_into().map(u16::from_be_bytes).map_err(|_| status::INVALID_TLV_LENGTH)
}

fn tlv_u8(value: &[u8]) -> Result<u8, u32> {
    if let [octet] = value { Ok(*octet) } else { Err(status::INVALID_TLV_LENGTH) }
}

/// A whole PDU of `body`.
pub fn encode(command: u32, status: u32, seq: u32, body: &[u8]) -> Vec<u8> {
    let mut pdu = Vec::with_capacity(HEADER + body.len());
    let length = u32::try_from(HEADER + body.len()).unwrap_or(u32::MAX);
    for field in [length, command, status, seq] {
        pdu.extend_from_slice(&field.to_be_bytes());
    }
    pdu.extend_from_slice(body);
    pdu
}

/// bind_*_resp, with sc_interface_version for whoever speaks 3.4 (4.1.2).
pub fn bind_body(system_id: &str, interface_version: u8) -> Vec<u8> {
    let mut body = c_string(system_id);
    if interface_version >= 0x34 {
        put_tlv(&mut body, tag::SC_INTERFACE_VERSION, &[0x34]);
    }
    body
}

/// query_sm_resp (4.8.2), without an error of the network.
pub fn query_body(message_id: &str, final_date: &str, state: u8) -> Vec<u8> {
    [c_string(message_id), c_string(final_date), vec![state, 0]].concat()
}

pub fn c_string(text: &str) -> Vec<u8> {
    let mut octets = text.as_bytes().to_vec();
    octets.push(0);
    octets
}

/// The TLVs of a receipt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReceiptTlvs {
    pub message_id: Option<String>,
    pub state: Option<u8>,
    pub user_message_reference: Option<u16>,
}

/// The body of a deliver_sm (4.6.1). `message` has at most 254 octets.
pub fn deliver_body(
    source: &Address,
    dest: &Address,
    esm_class: u8,
    data_coding: u8,
    message: &[u8],
    tlvs: &ReceiptTlvs,
) -> Vec<u8> {
    let message = &message[..message.len().min(LONGEST_SHORT_MESSAGE)];
    let mut body = vec![0]; // service_type
    for address in [source, dest] {
        body.extend_from_slice(&[address.ton, address.npi]);
        body.extend_from_slice(&c_string(&address.digits));
    }
    // protocol_id, priority_flag, schedule_delivery_time, validity_period, registered_delivery,
    // replace_if_present_flag
    body.extend_from_slice(&[esm_class, 0, 0, 0, 0, 0, 0]);
    body.extend_from_slice(&[data_coding, 0, message.len() as u8]);
    body.extend_from_slice(message);
    if let Some(id) = &tlvs.message_id {
        put_tlv(&mut body, tag::RECEIPTED_MESSAGE_ID, &c_string(id));
    }
    if let Some(state) = tlvs.state {
        put_tlv(&mut body, tag::MESSAGE_STATE, &[state]);
    }
    if let Some(reference) = tlvs.user_message_reference {
        put_tlv(&mut body, tag::USER_MESSAGE_REFERENCE, &reference.to_be_bytes());
    }
    body
}

fn put_tlv(body: &mut Vec<u8>, tag: u16, value: &[u8]) {
    body.extend_from_slice(&tag.to_be_bytes());
    body.extend_from_slice(&(value.len() as u16).to_be_bytes());
    body.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unhex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
    }

    #[test]
    fn every_submit_sm_of_the_vectors_reads_as_its_fields() {
        let table = include_str!("../../../tests/vectors/smpp-dev.tsv");
        let mut seen = 0;
        for row in table.lines().skip(1) {
            let columns: Vec<&str> = row.split('\t').collect();
            let fields: serde_json::Value = serde_json::from_str(columns[2]).unwrap();
            if fields["command"] != "submit_sm" || fields["valid"] != true {
                continue;
            }
            let mut input = BytesMut::from(&unhex(columns[1])[..]);
            let Frame::Whole(header, body) = split(&mut input) else { panic!("{}", columns[0]) };
            let submit = Submit::parse_submit_sm(body).unwrap_or_else(|s| panic!("{}: {s:#x}", columns[0]));
            assert_eq!(u64::from(header.seq), fields["seq"].as_u64().unwrap(), "{}", columns[0]);
            assert_eq!(submit.dest.digits, fields["destination_addr"].as_str().unwrap());
            assert_eq!(submit.source.digits, fields["source_addr"].as_str().unwrap());
            assert_eq!(u64::from(submit.data_coding), fields["data_coding"].as_u64().unwrap());
            assert_eq!(submit.validity_period, fields["validity_period"].as_str().unwrap());
            let short_message = unhex(fields["short_message_hex"].as_str().unwrap());
            assert!(submit.message == short_message || short_message.is_empty(), "{}", columns[0]);
            seen += 1;
        }
        assert!(seen >= 10, "only {seen} vectors");
    }

    #[test]
    fn no_cut_and_no_flip_of_a_submit_sm_reads_past_its_end() {
        let whole = deliver_body(
            &Address::from_text("+4915112345678"),
            &Address::from_text("ACME"),
            0x40,
            0,
            b"\x05\x00\x03\x2a\x02\x01text",
            &ReceiptTlvs { message_id: Some("1".into()), state: Some(2), user_message_reference: Some(3) },
        );
        assert!(Submit::parse_submit_sm(Bytes::from(whole.clone())).is_ok());
        for at in 0..whole.len() {
            let cut = Submit::parse_submit_sm(Bytes::copy_from_slice(&whole[..at]));
            assert!(cut.is_err() || at > 40, "cut at {at}");
            for bit in 0..8 {
                let mut flipped = whole.clone();
                flipped[at] ^= 1 << bit;
                if let Ok(submit) = Submit::parse_submit_sm(Bytes::from(flipped)) {
                    assert!(submit.text_octets().len() <= submit.message.len());
                }
            }
        }
    }

    #[test]
    fn a_frame_of_absurd_length_is_lost_and_a_half_one_waits() {
        let lost = |length: u32| {
            let mut pdu = encode(command::ENQUIRE_LINK, 0, 9, &[]);
            pdu[..4].copy_from_slice(&length.to_be_bytes());
            split(&mut BytesMut::from(&pdu[..]))
        };
        for length in [0, 15, LONGEST as u32 + 1, u32::MAX] {
            assert_eq!(lost(length), Frame::Lost { seq: 9 });
        }
        assert_eq!(lost(17), Frame::Short);
        for (octets, seq) in [(&[0, 0, 0, 3][..], 0), (&[0, 0, 0, 8, 0, 0, 0, 21], 0)] {
            assert_eq!(split(&mut BytesMut::from(octets)), Frame::Lost { seq });
        }
        for octets in [&[0, 0, 0][..], &[0, 0, 0, 8, 0, 0, 0], &[0xFF; 15]] {
            assert_eq!(split(&mut BytesMut::from(octets)), Frame::Short);
        }
        assert!(matches!(lost(16), Frame::Whole(Header { seq: 9, .. }, _)));
    }

    #[test]
    fn both_forms_of_concatenation_are_found_behind_other_elements() {
        let expected = |reference| Some(Segment { reference, total: 2, number: 1 });
        assert_eq!(concatenation(&[0x24, 1, 3, 0x00, 3, 42, 2, 1]), expected(42));
        assert_eq!(concatenation(&[0x08, 4, 1, 2, 2, 1]), expected(0x0102));
        assert_eq!(concatenation(&[0x00, 3, 42]), None, "cut short");
    }
}
