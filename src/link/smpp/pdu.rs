//! PDUs that we write, by rusmpp's types, and the few fields that we read of what comes.
//!
//! Writing goes through rusmpp, so that a field's limits are held by its types. Reading a deliver_sm does
//! not: carriers send addresses that are not ASCII, TLVs of the wrong length and stray bytes, rusmpp
//! refuses such a PDU whole, and an SMSC sends a refused reply again and again. [`read_deliver`] takes from
//! a frame what can be read without leaving it; a test holds it to rusmpp's own encoding. Layouts: SMPP 3.4
//! sections 4.6.1 (deliver_sm), 4.7.1 (data_sm), 5.3 (TLVs). What the fields mean is `deliver.rs`.

use bytes::{BufMut, Bytes, BytesMut};
use rusmpp::encode::{Length, owned::Encode};
use rusmpp::pdus::{BindTransceiver, DataSmResp, DeliverSmResp};
use rusmpp::types::COctetString;
use rusmpp::values::InterfaceVersion;
use rusmpp::{Command, CommandStatus, Pdu};

use super::frame::{Frame, HEADER};
use crate::config::Smpp;

/// command_id values (SMPP 3.4 section 5.1.2.1); a response has [`RESPONSE`] set.
pub mod id {
    pub const GENERIC_NACK: u32 = 0x8000_0000;
    pub const SUBMIT_SM: u32 = 0x04;
    pub const DELIVER_SM: u32 = 0x05;
    pub const UNBIND: u32 = 0x06;
    pub const BIND_TRANSCEIVER: u32 = 0x09;
    pub const OUTBIND: u32 = 0x0B;
    pub const ENQUIRE_LINK: u32 = 0x15;
    pub const ALERT_NOTIFICATION: u32 = 0x102;
    pub const DATA_SM: u32 = 0x103;
    /// The bit that makes a request's id its response's.
    pub const RESPONSE: u32 = 0x8000_0000;
    /// Requests that exist but are not for an ESME to answer: the binds, query_sm, submit_sm, replace_sm,
    /// cancel_sm, submit_multi and the broadcasts of 5.0.
    pub const NOT_FOR_US: [u32; 11] =
        [0x01, 0x02, 0x03, SUBMIT_SM, 0x07, 0x08, BIND_TRANSCEIVER, 0x21, 0x111, 0x112, 0x113];
}

/// command_status values that we send or compare with (SMPP 3.4 section 5.1.3).
pub mod status {
    pub const OK: u32 = 0;
    pub const INVALID_MESSAGE_LENGTH: u32 = 0x01;
    pub const INVALID_COMMAND_LENGTH: u32 = 0x02;
    pub const INVALID_COMMAND_ID: u32 = 0x03;
    pub const WRONG_STATE: u32 = 0x04;
    pub const BIND_FAILED: u32 = 0x0D;
    pub const INVALID_PASSWORD: u32 = 0x0E;
    pub const INVALID_SYSTEM_ID: u32 = 0x0F;
    pub const QUEUE_FULL: u32 = 0x14;
    pub const THROTTLED: u32 = 0x58;
}

/// Appends a PDU to `out`.
pub fn encode(command_status: u32, sequence: u32, pdu: impl Into<Pdu>, out: &mut BytesMut) {
    let command = Command::new(CommandStatus::from(command_status), sequence, pdu);
    let length = 4 + command.length();
    out.reserve(length);
    out.put_u32(length as u32);
    command.encode(out);
}

/// Appends a PDU that is a header alone: enquire_link, unbind, generic_nack, a response that failed.
pub fn encode_header(command_id: u32, command_status: u32, sequence: u32, out: &mut BytesMut) {
    out.reserve(HEADER);
    out.put_u32(HEADER as u32);
    out.put_u32(command_id);
    out.put_u32(command_status);
    out.put_u32(sequence);
}

/// Answers a deliver_sm or data_sm; its message_id is unused in the first, empty in both (4.6.2, 4.7.2).
pub fn encode_delivered(request: u32, command_status: u32, sequence: u32, out: &mut BytesMut) {
    match (command_status, request) {
        (status::OK, id::DATA_SM) => encode(status::OK, sequence, DataSmResp::default(), out),
        (status::OK, _) => encode(status::OK, sequence, DeliverSmResp::default(), out),
        (refused, _) => encode_header(request | id::RESPONSE, refused, sequence, out),
    }
}

/// A configured text does not fit its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} does not fit into a bind: too long or not ASCII")]
pub struct BadBind(&'static str);

/// Appends bind_transceiver (4.1.5).
pub fn encode_bind(config: &Smpp, sequence: u32, out: &mut BytesMut) -> Result<(), BadBind> {
    let bind = BindTransceiver::builder()
        .system_id(c_string(&config.system_id).ok_or(BadBind("system_id"))?)
        .password(c_string(config.password.expose()).ok_or(BadBind("password"))?)
        .system_type(c_string(&config.system_type).ok_or(BadBind("system_type"))?)
        .interface_version(InterfaceVersion::Smpp3_4)
        .build();
    encode(status::OK, sequence, bind, out);
    Ok(())
}

/// `None` when the text is too long for the field or holds what it may not.
pub fn c_string<const MIN: usize, const MAX: usize>(text: &str) -> Option<COctetString<MIN, MAX>> {
    COctetString::from_string(text.to_owned()).ok()
}

/// The message_id of a submit_sm_resp: up to its NUL or, where a carrier forgot that, the end of the PDU.
pub fn message_id(frame: &Frame) -> String {
    let body = frame.body();
    let end = body.iter().position(|&b| b == 0).unwrap_or(body.len());
    latin1(&body[..end])
}

/// What is read of a deliver_sm or data_sm. Addresses are Latin-1 where they are not ASCII.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deliver {
    pub source_ton: u8,
    pub source_npi: u8,
    pub source: String,
    pub destination: String,
    pub esm_class: u8,
    pub data_coding: u8,
    /// short_message, or message_payload where that is empty.
    pub text: Bytes,
    pub receipted_message_id: Option<String>,
    pub message_state: Option<u8>,
    /// The error number alone: the first octet names the kind of network (5.3.2.31).
    pub network_error_code: Option<u16>,
    pub user_message_reference: Option<u16>,
    pub sar_reference: Option<u16>,
    pub sar_total: Option<u8>,
    pub sar_number: Option<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("the PDU ends within its mandatory fields")]
    Short,
    #[error("sm_length runs past the end of the PDU")]
    TextLength,
    #[error("an address is longer than 64 octets")]
    Address,
}

/// Longest address taken: data_sm's limit (5.2.9); deliver_sm's own is 20.
const MAX_ADDRESS: usize = 64;

/// Reads a deliver_sm or data_sm frame. TLVs that are unknown, of another length than theirs or cut off
/// by the end of the PDU are passed over; of two equal ones the first counts.
pub fn read_deliver(frame: &Frame) -> Result<Deliver, Malformed> {
    let mut reader = Reader(frame.body());
    reader.c_string()?;
    let [source_ton, source_npi] = reader.octets()?;
    let source = reader.address()?;
    let [_ton, _npi] = reader.octets()?;
    let destination = reader.address()?;
    let [esm_class] = reader.octets()?;
    let mut deliver =
        Deliver { source_ton, source_npi, source, destination, esm_class, ..Deliver::default() };
    if frame.header.id == id::DATA_SM {
        let [_registered, data_coding] = reader.octets()?;
        deliver.data_coding = data_coding;
    } else {
        let [_protocol, _priority] = reader.octets()?;
        reader.c_string()?;
        reader.c_string()?;
        let [_registered, _replace, data_coding, _default_id, length] = reader.octets()?;
        deliver.data_coding = data_coding;
        deliver.text = frame.bytes().slice_ref(reader.take(length.into()).ok_or(Malformed::TextLength)?);
    }
    while let Some((tag, value)) = reader.tlv() {
        deliver.take_tlv(tag, value, frame.bytes());
    }
    Ok(deliver)
}

impl Deliver {
    fn take_tlv(&mut self, tag: u16, value: &[u8], frame: &Bytes) {
        match tag {
            0x001E => {
                let id = value.split(|&b| b == 0).next().unwrap_or_default();
                self.receipted_message_id.get_or_insert_with(|| latin1(id));
            }
            0x0427 => keep(&mut self.message_state, value.try_into().ok().map(|[state]: [u8; 1]| state)),
            0x0423 => {
                let code =
                    value.try_into().ok().map(|[_, high, low]: [u8; 3]| u16::from_be_bytes([high, low]));
                keep(&mut self.network_error_code, code);
            }
            0x0204 => keep(&mut self.user_message_reference, value.try_into().ok().map(u16::from_be_bytes)),
            0x0424 if self.text.is_empty() => self.text = frame.slice_ref(value),
            0x020C => keep(&mut self.sar_reference, value.try_into().ok().map(u16::from_be_bytes)),
            0x020E => keep(&mut self.sar_total, value.try_into().ok().map(|[total]: [u8; 1]| total)),
            0x020F => keep(&mut self.sar_number, value.try_into().ok().map(|[number]: [u8; 1]| number)),
            _ => {}
        }
    }
}

fn keep<T>(field: &mut Option<T>, value: Option<T>) {
    if field.is_none() {
        *field = value;
    }
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn octets<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N).and_then(|taken| taken.try_into().ok()).ok_or(Malformed::Short)
    }

    fn c_string(&mut self) -> Result<&'a [u8], Malformed> {
        let end = self.0.iter().position(|&b| b == 0).ok_or(Malformed::Short)?;
        let text = self.take(end).ok_or(Malformed::Short)?;
        self.take(1).ok_or(Malformed::Short)?;
        Ok(text)
    }

    fn address(&mut self) -> Result<String, Malformed> {
        let text = self.c_string()?;
        if text.len() > MAX_ADDRESS { Err(Malformed::Address) } else { Ok(latin1(text)) }
    }

    fn tlv(&mut self) -> Option<(u16, &'a [u8])> {
        let tag: [u8; 2] = self.take(2)?.try_into().ok()?;
        let length: [u8; 2] = self.take(2)?.try_into().ok()?;
        let value = self.take(u16::from_be_bytes(length).into())?;
        Some((u16::from_be_bytes(tag), value))
    }
}
