//! What a PDU says, for people and the vectors: `nudged debug smpp`.
//!
//! Strict where the session is lenient: a PDU that breaks the specification is shown as such. A password
//! in a bind is shown too, because the line came from whoever asks.

use bytes::BytesMut;
use rusmpp::decode::DecodeWithLength;
use rusmpp::tlvs::{Tlv, TlvValue};
use rusmpp::{Command, Pdu};
use serde_json::{Map, Value, json};

use super::frame::{Frame, HEADER, Splitter};
use super::pdu::{id, status};

/// Names of command_id without the response bit (SMPP 3.4 section 5.1.2.1).
const COMMANDS: [(u32, &str); 15] = [
    (0x00, "generic_nack"),
    (0x01, "bind_receiver"),
    (0x02, "bind_transmitter"),
    (0x03, "query_sm"),
    (id::SUBMIT_SM, "submit_sm"),
    (id::DELIVER_SM, "deliver_sm"),
    (id::UNBIND, "unbind"),
    (0x07, "replace_sm"),
    (0x08, "cancel_sm"),
    (id::BIND_TRANSCEIVER, "bind_transceiver"),
    (id::OUTBIND, "outbind"),
    (id::ENQUIRE_LINK, "enquire_link"),
    (0x21, "submit_multi"),
    (id::ALERT_NOTIFICATION, "alert_notification"),
    (id::DATA_SM, "data_sm"),
];

/// One PDU in hexadecimal as a JSON object: its fields and `"valid": true`, or `"valid": false` with
/// `error` and, where the protocol asks for a certain reaction, `expect`.
pub fn describe(hex: &str) -> Value {
    let fields = octets(hex.trim()).and_then(|octets| whole_frame(&octets)).and_then(|frame| fields(&frame));
    match fields {
        Ok(fields) => Value::Object(fields),
        Err(invalid) => invalid.into_json(),
    }
}

struct Invalid {
    error: String,
    expect: Option<String>,
}

impl Invalid {
    fn new(error: impl Into<String>, expect: Option<String>) -> Invalid {
        Invalid { error: error.into(), expect }
    }

    fn into_json(self) -> Value {
        let mut object =
            Map::from_iter([("valid".into(), json!(false)), ("error".into(), json!(self.error))]);
        if let Some(expect) = self.expect {
            object.insert("expect".into(), json!(expect));
        }
        Value::Object(object)
    }
}

fn octets(hex: &str) -> Result<Vec<u8>, Invalid> {
    let odd = || Invalid::new("not pairs of hexadecimal digits", None);
    let pair = |pair: &[u8]| match pair {
        [high, low] => {
            let digit = |c: u8| char::from(c).to_digit(16);
            Some((digit(*high)? * 16 + digit(*low)?) as u8)
        }
        _ => None,
    };
    hex.as_bytes().chunks(2).map(pair).collect::<Option<Vec<u8>>>().ok_or_else(odd)
}

fn whole_frame(octets: &[u8]) -> Result<Frame, Invalid> {
    let mut splitter = Splitter::default();
    splitter.push(octets);
    let frame = match splitter.next_frame() {
        Ok(Some(frame)) => frame,
        Ok(None) => {
            let expect = "wait for the missing octets until a read timeout, then close";
            return Err(Invalid::new("the PDU is shorter than its command_length", Some(expect.into())));
        }
        Err(absurd) => {
            let expect = "generic_nack status 0x02, close the connection";
            return Err(Invalid::new(absurd.to_string(), Some(expect.into())));
        }
    };
    if splitter.is_partial() {
        return Err(Invalid::new("octets follow the PDU", None));
    }
    Ok(frame)
}

fn fields(frame: &Frame) -> Result<Map<String, Value>, Invalid> {
    let header = frame.header;
    let name = COMMANDS.iter().find(|(known, _)| *known == header.id & !id::RESPONSE).map(|(_, name)| *name);
    let Some(name) = name.filter(|_| header.id != 0) else {
        let expect = format!("generic_nack status 0x03 with sequence {}, stay bound", header.sequence);
        return Err(Invalid::new("unknown command_id", Some(expect)));
    };
    let is_response = header.id & id::RESPONSE != 0 && header.id != id::GENERIC_NACK;
    let mut fields = Map::from_iter([
        ("valid".into(), json!(true)),
        ("command".into(), json!(if is_response { format!("{name}_resp") } else { name.into() })),
        ("command_id".into(), json!(format!("0x{:08X}", header.id))),
        ("status".into(), json!(header.status)),
        ("seq".into(), json!(header.sequence)),
    ]);
    let bare_error = is_response && header.status != status::OK && frame.body().is_empty();
    if !bare_error {
        body(&decode(frame)?, &mut fields);
    }
    Ok(fields)
}

/// Decodes this frame alone, so that rusmpp cannot read past it.
fn decode(frame: &Frame) -> Result<Command, Invalid> {
    let refused = |error: String| {
        let expect = format!("error status, sequence {}", frame.header.sequence);
        Invalid::new(error, Some(expect))
    };
    let mut rest = BytesMut::from(&frame.bytes()[4..]);
    let length = rest.len();
    let (command, _) = Command::decode(&mut rest, length).map_err(|error| refused(format!("{error:?}")))?;
    if rest.is_empty() || frame.bytes().len() == HEADER {
        Ok(command)
    } else {
        Err(refused("surplus octets".into()))
    }
}

macro_rules! message {
    ($fields:ident, $sm:ident) => {{
        set($fields, "service_type", $sm.service_type.value().as_str());
        set($fields, "source_addr_ton", u8::from($sm.source_addr_ton));
        set($fields, "source_addr_npi", u8::from($sm.source_addr_npi));
        set($fields, "source_addr", $sm.source_addr.as_str());
        set($fields, "dest_addr_ton", u8::from($sm.dest_addr_ton));
        set($fields, "dest_addr_npi", u8::from($sm.dest_addr_npi));
        set($fields, "destination_addr", $sm.destination_addr.as_str());
        set($fields, "esm_class", u8::from($sm.esm_class));
        set($fields, "protocol_id", $sm.protocol_id);
        set($fields, "priority_flag", u8::from($sm.priority_flag));
        set($fields, "schedule_delivery_time", $sm.schedule_delivery_time.as_str());
        set($fields, "validity_period", $sm.validity_period.as_str());
        set($fields, "registered_delivery", u8::from($sm.registered_delivery));
        set($fields, "replace_if_present_flag", u8::from($sm.replace_if_present_flag));
        set($fields, "data_coding", u8::from($sm.data_coding));
        set($fields, "sm_default_msg_id", $sm.sm_default_msg_id);
        set($fields, "sm_length", $sm.sm_length());
        set($fields, "short_message_hex", to_hex($sm.short_message().as_ref()));
        tlvs($sm.tlvs(), $fields);
    }};
}

macro_rules! bind {
    ($fields:ident, $bind:ident) => {{
        set($fields, "system_id", $bind.system_id.as_str());
        set($fields, "password", $bind.password.as_str());
        set($fields, "system_type", $bind.system_type.as_str());
        set($fields, "interface_version", u8::from($bind.interface_version));
        set($fields, "addr_ton", u8::from($bind.addr_ton));
        set($fields, "addr_npi", u8::from($bind.addr_npi));
        set($fields, "address_range", $bind.address_range.as_str());
    }};
}

fn body(command: &Command, fields: &mut Map<String, Value>) {
    match command.pdu() {
        Some(Pdu::SubmitSm(sm)) => message!(fields, sm),
        Some(Pdu::DeliverSm(sm)) => message!(fields, sm),
        Some(Pdu::BindTransmitter(bind)) => bind!(fields, bind),
        Some(Pdu::BindReceiver(bind)) => bind!(fields, bind),
        Some(Pdu::BindTransceiver(bind)) => bind!(fields, bind),
        Some(Pdu::BindTransmitterResp(resp)) => set(fields, "system_id", resp.system_id.as_str()),
        Some(Pdu::BindReceiverResp(resp)) => set(fields, "system_id", resp.system_id.as_str()),
        Some(Pdu::BindTransceiverResp(resp)) => set(fields, "system_id", resp.system_id.as_str()),
        Some(Pdu::SubmitSmResp(resp)) => set(fields, "message_id", resp.message_id().as_str()),
        Some(Pdu::DeliverSmResp(resp)) => set(fields, "message_id", resp.message_id().as_str()),
        Some(Pdu::DataSmResp(resp)) => set(fields, "message_id", resp.message_id().as_str()),
        Some(Pdu::QuerySmResp(resp)) => {
            set(fields, "message_id", resp.message_id.as_str());
            set(fields, "final_date", resp.final_date.as_str());
            set(fields, "message_state", u8::from(resp.message_state));
            set(fields, "error_code", resp.error_code);
        }
        Some(Pdu::Outbind(outbind)) => {
            set(fields, "system_id", outbind.system_id.as_str());
            set(fields, "password", outbind.password.as_str());
        }
        Some(Pdu::AlertNotification(alert)) => {
            set(fields, "source_addr_ton", u8::from(alert.source_addr_ton));
            set(fields, "source_addr_npi", u8::from(alert.source_addr_npi));
            set(fields, "source_addr", alert.source_addr.as_str());
            set(fields, "esme_addr_ton", u8::from(alert.esme_addr_ton));
            set(fields, "esme_addr_npi", u8::from(alert.esme_addr_npi));
            set(fields, "esme_addr", alert.esme_addr.as_str());
        }
        _ => {}
    }
}

fn set(fields: &mut Map<String, Value>, name: &str, value: impl Into<Value>) {
    fields.insert(name.into(), value.into());
}

/// TLVs that mean something here; vendors' own are ignored, as the specification asks.
fn tlvs(tlvs: &[Tlv], fields: &mut Map<String, Value>) {
    let known: Map<String, Value> = tlvs.iter().filter_map(|tlv| tlv.value()).filter_map(known_tlv).collect();
    if !known.is_empty() {
        set(fields, "tlvs", known);
    }
}

fn known_tlv(value: &TlvValue) -> Option<(String, Value)> {
    let (name, value) = match value {
        TlvValue::ReceiptedMessageId(id) => ("receipted_message_id", json!(id.as_str())),
        TlvValue::MessageState(state) => ("message_state", json!(u8::from(*state))),
        TlvValue::UserMessageReference(reference) => ("user_message_reference", json!(reference.value)),
        TlvValue::MessagePayload(payload) => ("message_payload", json!(to_hex(payload.value.as_ref()))),
        TlvValue::NetworkErrorCode(code) => (
            "network_error_code",
            json!(format!("{:02x}{:04x}", u8::from(code.network_type), code.error_code)),
        ),
        TlvValue::SarMsgRefNum(reference) => ("sar_msg_ref_num", json!(reference)),
        TlvValue::SarTotalSegments(total) => ("sar_total_segments", json!(total)),
        TlvValue::SarSegmentSeqnum(number) => ("sar_segment_seqnum", json!(number)),
        _ => return None,
    };
    Some((name.to_owned(), value))
}

fn to_hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
