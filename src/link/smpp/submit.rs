//! A [`Submission`] as submit_sm (SMPP 3.4 section 4.4.1), by the link's configuration. Pure.
//!
//! A character that the link's alphabet does not hold is an error, never a substitute.

use std::time::Duration;

use bytes::BytesMut;
use rusmpp::pdus::SubmitSm;
use rusmpp::tlvs::MessageSubmissionRequestTlvValue as Tlv;
use rusmpp::types::{EmptyOrFullCOctetString, OctetString};
use rusmpp::values::{DataCoding, EsmClass, Npi, RegisteredDelivery, Ton, UserMessageReference};

use super::pdu::{self, c_string, status};
use crate::config::{Alphabet, Long, Smpp};
use crate::link::{Submission, user_message_reference};
use crate::message::Encoding;
use crate::sms::tpdu::Element;
use crate::sms::{address, alphabet};

/// data_coding (5.2.19): the SMSC's default alphabet.
const DEFAULT_ALPHABET: u8 = 0x00;
const UCS2: u8 = 0x08;
/// TP-DCS general group, message class 0 (3GPP TS 23.038 section 4): the phone shows it at once.
const DEFAULT_ALPHABET_FLASH: u8 = 0x10;
const UCS2_FLASH: u8 = 0x18;
/// esm_class bit 6: short_message begins with a UDH (5.2.12).
const UDH_INDICATOR: u8 = 0x40;
/// registered_delivery: a receipt for success and failure (5.2.17).
const FINAL_RECEIPT: u8 = 0x01;
/// Longest validity asked for: what two digits of days can say without months; no SMSC keeps one longer.
const LONGEST_VALIDITY: Duration = Duration::from_secs(30 * 86_400);
/// short_message holds at most this (5.2.22).
const MAX_TEXT: usize = 254;

/// The segment cannot be written on this link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unwritable {
    #[error("the text cannot be written in the link's alphabet")]
    Alphabet,
    #[error("the text does not fit into one short_message")]
    TooLong,
    #[error("an address does not fit into its field")]
    Address,
}

/// Appends the submit_sm with sequence number 0; nothing is appended on error.
pub fn encode_submit(submission: &Submission, config: &Smpp, out: &mut BytesMut) -> Result<(), Unwritable> {
    let source = address::source(submission.sender.as_ref().or(config.sender.as_ref()), config.source);
    let dest = address::destination(submission.to, config.dest);
    // A header that names tables is there anyhow, and SMSCs do not join it with one they make of TLVs.
    let in_header = config.long == Long::Udh || matches!(submission.encoding, Encoding::National(_));
    let elements = Element::of_segment(submission.encoding, submission.concat.filter(|_| in_header));
    let mut text = Element::write_all(&elements).map_err(|_| Unwritable::TooLong)?;
    text.extend(encode_text(&submission.text, submission.encoding, config.alphabet)?);
    if text.len() > MAX_TEXT {
        return Err(Unwritable::TooLong);
    }
    let mut builder = SubmitSm::builder()
        .source_addr_ton(Ton::from(source.ton))
        .source_addr_npi(Npi::from(source.npi))
        .source_addr(c_string(&source.text).ok_or(Unwritable::Address)?)
        .dest_addr_ton(Ton::from(dest.ton))
        .dest_addr_npi(Npi::from(dest.npi))
        .destination_addr(c_string(&dest.text).ok_or(Unwritable::Address)?)
        .esm_class(EsmClass::from(if elements.is_empty() { 0 } else { UDH_INDICATOR }))
        .validity_period(relative(submission.validity))
        .registered_delivery(RegisteredDelivery::from(if submission.receipt { FINAL_RECEIPT } else { 0 }))
        .data_coding(DataCoding::from(data_coding(submission.encoding, submission.flash)))
        .short_message(OctetString::from_vec(text).map_err(|_| Unwritable::TooLong)?)
        .push_tlv(Tlv::UserMessageReference(UserMessageReference::new(user_message_reference(
            submission.id,
            submission.index,
        ))));
    if let Some(concat) = submission.concat.filter(|_| !in_header) {
        builder = builder
            .push_tlv(Tlv::SarMsgRefNum(concat.reference))
            .push_tlv(Tlv::SarTotalSegments(concat.total))
            .push_tlv(Tlv::SarSegmentSeqnum(concat.number));
    }
    pdu::encode(status::OK, 0, builder.build(), out);
    Ok(())
}

fn encode_text(text: &str, encoding: Encoding, default: Alphabet) -> Result<Vec<u8>, Unwritable> {
    let octets = match (encoding, default) {
        (Encoding::Ucs2, _) => return Ok(alphabet::encode_ucs2(text)),
        (Encoding::Gsm7, Alphabet::Gsm) => alphabet::encode_gsm7(text),
        (Encoding::Gsm7, Alphabet::Latin1) => alphabet::encode_latin1(text),
        (Encoding::Gsm7, Alphabet::Ascii) => alphabet::encode_ascii(text),
        (Encoding::National(tables), Alphabet::Gsm) => tables.encode(text),
        // The configuration refuses such a link; this message was accepted under another.
        (Encoding::National(_), Alphabet::Latin1 | Alphabet::Ascii) => return Err(Unwritable::Alphabet),
    };
    octets.map_err(|_| Unwritable::Alphabet)
}

const fn data_coding(encoding: Encoding, flash: bool) -> u8 {
    match (encoding, flash) {
        (Encoding::Gsm7 | Encoding::National(_), false) => DEFAULT_ALPHABET,
        (Encoding::Gsm7 | Encoding::National(_), true) => DEFAULT_ALPHABET_FLASH,
        (Encoding::Ucs2, false) => UCS2,
        (Encoding::Ucs2, true) => UCS2_FLASH,
    }
}

/// `YYMMDDhhmmss000R`, relative (7.1.1.2), whole seconds rounded down so that it never outlives the
/// message, but at least one: zero means the SMSC's own default.
fn relative(validity: Duration) -> EmptyOrFullCOctetString<17> {
    let seconds = validity.min(LONGEST_VALIDITY).as_secs().max(1);
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let (minutes, seconds) = (seconds / 60 % 60, seconds % 60);
    let text = format!("0000{days:02}{hours:02}{minutes:02}{seconds:02}000R");
    EmptyOrFullCOctetString::from_string(text).unwrap_or_default()
}

#[cfg(test)]
pub mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::{Numbering, ReceiptId, Secret};
    use crate::id::MessageId;
    use crate::link::Concat;
    use crate::message::{Msisdn, Sender};
    use crate::sms::national::{Language, Tables};

    pub fn config() -> Smpp {
        Smpp {
            name: "carrier".into(),
            account: "carrier".into(),
            address: "127.0.0.1:2775".into(),
            system_id: "acme".into(),
            password: Secret::new("hunter2".into()),
            system_type: String::new(),
            window: 10,
            rate: None,
            quota: Vec::new(),
            sender: None,
            source: Numbering::default(),
            dest: Numbering::default(),
            alphabet: Alphabet::Gsm,
            long: Long::Udh,
            receipt_id: ReceiptId::Auto,
            enquire_link: Duration::from_secs(30),
            response_timeout: Duration::from_secs(60),
            status: BTreeMap::new(),
            route_class: None,
        }
    }

    pub fn submission(id: u64) -> Submission {
        Submission {
            id: MessageId::from_u64(id),
            index: 0,
            lease: id,
            to: Msisdn::parse_e164("+447700900123").unwrap(),
            sender: Some(Sender::parse("ACME").unwrap()),
            text: "hello".into(),
            encoding: Encoding::Gsm7,
            concat: None,
            flash: false,
            receipt: true,
            validity: Duration::from_secs(2 * 86_400),
        }
    }

    fn fields(submission: &Submission, config: &Smpp) -> serde_json::Value {
        let mut out = BytesMut::new();
        encode_submit(submission, config, &mut out).unwrap();
        let hex: String = out.iter().map(|byte| format!("{byte:02x}")).collect();
        super::super::describe::describe(&hex)
    }

    #[test]
    fn a_plain_text_goes_out_in_unpacked_septets_with_receipt_and_validity() {
        let seen = fields(&Submission { text: "5€@".into(), ..submission(1) }, &config());
        assert_eq!(seen["valid"], true);
        assert_eq!(seen["short_message_hex"], "351b6500");
        for (field, value) in [
            ("data_coding", 0),
            ("esm_class", 0),
            ("registered_delivery", 1),
            ("source_addr_ton", 5),
            ("source_addr_npi", 0),
            ("dest_addr_ton", 1),
            ("dest_addr_npi", 1),
        ] {
            assert_eq!(seen[field], value, "{field}");
        }
        assert_eq!(seen["destination_addr"], "447700900123");
        assert_eq!(seen["validity_period"], "000002000000000R");
        let reference = user_message_reference(MessageId::from_u64(1), 0);
        assert_eq!(seen["tlvs"]["user_message_reference"], reference);
    }

    #[test]
    fn a_long_text_carries_a_udh_or_sar_tlvs() {
        let concat = Some(Concat { reference: 0x1234, total: 3, number: 2 });
        let segment = Submission { concat, ..submission(1) };
        let udh = fields(&segment, &config());
        assert_eq!(
            (&udh["esm_class"], &udh["short_message_hex"]),
            (&64.into(), &"05000334030268656c6c6f".into())
        );
        let sar = fields(&segment, &Smpp { long: Long::Sar, ..config() });
        assert_eq!((&sar["esm_class"], &sar["short_message_hex"]), (&0.into(), &"68656c6c6f".into()));
        assert_eq!(sar["tlvs"]["sar_msg_ref_num"], 0x1234);
        assert_eq!(
            (&sar["tlvs"]["sar_total_segments"], &sar["tlvs"]["sar_segment_seqnum"]),
            (&3.into(), &2.into())
        );
    }

    #[test]
    fn ucs2_and_flash_choose_the_data_coding() {
        for (encoding, flash, coding) in
            [(Encoding::Gsm7, true, 0x10), (Encoding::Ucs2, false, 0x08), (Encoding::Ucs2, true, 0x18)]
        {
            let seen = fields(&Submission { encoding, flash, ..submission(1) }, &config());
            assert_eq!(seen["data_coding"], coding);
        }
        let seen =
            fields(&Submission { encoding: Encoding::Ucs2, text: "Ж😀".into(), ..submission(1) }, &config());
        assert_eq!(seen["short_message_hex"], "0416d83dde00");
    }

    #[test]
    fn national_tables_are_named_in_the_header_of_every_segment() {
        let tables = Tables { locking: None, single: Some(Language::Turkish) };
        let segment = Submission { encoding: Encoding::National(tables), text: "ş".into(), ..submission(1) };
        let one = fields(&segment, &config());
        assert_eq!((&one["esm_class"], &one["data_coding"]), (&64.into(), &0.into()));
        assert_eq!(one["short_message_hex"], "032401011b73");
        let concat = Some(Concat { reference: 0x1234, total: 3, number: 2 });
        let long = fields(&Submission { concat, ..segment.clone() }, &Smpp { long: Long::Sar, ..config() });
        assert_eq!(long["short_message_hex"], "0800033403022401011b73");
        assert_eq!(long["tlvs"].get("sar_msg_ref_num"), None);
        let latin = Smpp { alphabet: Alphabet::Latin1, ..config() };
        assert_eq!(encode_submit(&segment, &latin, &mut BytesMut::new()), Err(Unwritable::Alphabet));
    }

    #[test]
    fn what_the_alphabet_does_not_hold_is_refused_and_leaves_nothing() {
        for (text, alphabet) in [("Ж", Alphabet::Gsm), ("€", Alphabet::Latin1), ("ü", Alphabet::Ascii)] {
            let mut out = BytesMut::new();
            let segment = Submission { text: text.into(), ..submission(1) };
            let config = Smpp { alphabet, ..config() };
            assert_eq!(encode_submit(&segment, &config, &mut out), Err(Unwritable::Alphabet));
            assert!(out.is_empty());
        }
        let latin = Smpp { alphabet: Alphabet::Latin1, ..config() };
        assert_eq!(
            fields(&Submission { text: "ü".into(), ..submission(1) }, &latin)["short_message_hex"],
            "fc"
        );
    }

    #[test]
    fn validity_is_rounded_down_and_bounded() {
        for (seconds, text) in
            [(0, "000000000001000R"), (90_061, "000001010101000R"), (86_400 * 365, "000030000000000R")]
        {
            assert_eq!(relative(Duration::from_secs(seconds)).as_str(), text);
        }
    }
}
