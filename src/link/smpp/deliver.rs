//! A deliver_sm or data_sm of the SMSC as [`Inbound`]: a receipt, where its esm_class says so, or a reply.
//!
//! A text that looks like a receipt under esm_class 0 is a person's message: anybody can write one.
//! Reassembly, and what a reply means, are the core's affair; the whole PDU goes up with it.

use crate::config::{Alphabet, Smpp};
use crate::link::{Concat, Inbound, RawReply, Receipt, Repeat};
use crate::message::Reference;
use crate::sms::national::Tables;
use crate::sms::tpdu::Element;
use crate::sms::{address, alphabet, receipt};

use super::frame::Frame;
use super::pdu::{self, Deliver, Malformed};

/// esm_class bit 6: the text begins with a UDH (SMPP 3.4 section 5.2.12).
const UDH_INDICATOR: u8 = 0x40;

/// Reads what the SMSC delivers; an error is answered to the SMSC and ends nothing.
pub fn read(frame: &Frame, config: &Smpp) -> Result<Inbound, Malformed> {
    let deliver = pdu::read_deliver(frame)?;
    let inbound = match read_receipt(&deliver, config) {
        Some(receipt) => Inbound::Receipt(receipt),
        None => Inbound::Reply(reply(deliver, frame, config)),
    };
    Ok(inbound)
}

fn read_receipt(deliver: &Deliver, config: &Smpp) -> Option<Receipt> {
    let tlvs = receipt::Tlvs {
        receipted_message_id: deliver.receipted_message_id.clone(),
        message_state: deliver.message_state,
        network_error_code: deliver.network_error_code,
    };
    let text = match deliver.data_coding {
        0x08 => alphabet::decode_ucs2(&deliver.text),
        // SMSCs write receipts in ASCII whatever the default alphabet: `_` would be `§` in GSM 7-bit.
        _ => alphabet::decode_latin1(&deliver.text),
    };
    let read = receipt::parse(deliver.esm_class, &text, &tlvs)?;
    let alternatives = read.id.as_deref().map(|id| receipt::alternatives(id, config.receipt_id));
    Some(Receipt {
        state: read.state(),
        raw: read.raw(),
        reference: read.id.map(Reference),
        alternatives: alternatives.unwrap_or_default().into_iter().map(Reference).collect(),
        recipient: address::msisdn(deliver.source_ton, deliver.source_npi, deliver.source.as_bytes()),
        user_message_reference: deliver.user_message_reference,
    })
}

fn reply(deliver: Deliver, frame: &Frame, config: &Smpp) -> RawReply {
    let with_udh = deliver.esm_class & UDH_INDICATOR != 0;
    let (udh, text) = if with_udh { split_udh(&deliver.text) } else { (None, Some(&deliver.text[..])) };
    let elements = udh.and_then(Element::read_all).unwrap_or_default();
    let concat = Element::concat_in(&elements).map(|(concat, _)| concat).or_else(|| sar_concat(&deliver));
    let tables = Element::tables_in(&elements);
    let text = text.and_then(|octets| decode_text(octets, deliver.data_coding, config.alphabet, tables));
    let number = address::msisdn(deliver.source_ton, deliver.source_npi, deliver.source.as_bytes());
    RawReply {
        number,
        repeat: Repeat::UntilAnswered(repeat_key(frame, config)),
        sent_at: None,
        from: without_plus(deliver.source),
        to: without_plus(deliver.destination),
        raw: frame.bytes().to_vec(),
        text,
        concat,
    }
}

/// A redelivery has another sequence number and is the same octets behind the header.
fn repeat_key(frame: &Frame, config: &Smpp) -> [u8; 16] {
    let mut hash = blake3::Hasher::new();
    hash.update(config.account.as_str().as_bytes()).update(&[0]);
    hash.update(frame.body());
    let mut key = [0; 16];
    hash.finalize_xof().fill(&mut key);
    key
}

fn without_plus(address: String) -> String {
    match address.strip_prefix('+') {
        Some(digits) => digits.to_owned(),
        None => address,
    }
}

/// Header and text; a header that runs past the end leaves neither (3GPP TS 23.040 section 9.2.3.24).
fn split_udh(octets: &[u8]) -> (Option<&[u8]>, Option<&[u8]>) {
    match octets.split_first().and_then(|(length, rest)| rest.split_at_checked(usize::from(*length))) {
        Some((header, text)) => (Some(header), Some(text)),
        None => (None, None),
    }
}

fn sar_concat(deliver: &Deliver) -> Option<Concat> {
    concat(deliver.sar_reference?, deliver.sar_total?, deliver.sar_number?)
}

/// Segment 0, or one beyond the total, belongs to no whole: the element is ignored, as 23.040 asks.
fn concat(reference: u16, total: u8, number: u8) -> Option<Concat> {
    (1..=total).contains(&number).then_some(Concat { reference, total, number })
}

/// By data_coding (SMPP 3.4 section 5.2.19, 3GPP TS 23.038 section 4); `None` where that names no alphabet we read.
fn decode_text(octets: &[u8], data_coding: u8, default: Alphabet, tables: Tables) -> Option<String> {
    match data_coding {
        0x00 | 0x10..=0x13 | 0xF0..=0xF3 => Some(match default {
            Alphabet::Gsm => tables.decode(octets),
            Alphabet::Latin1 => alphabet::decode_latin1(octets),
            Alphabet::Ascii => alphabet::decode_ascii(octets),
        }),
        0x01 => Some(alphabet::decode_ascii(octets)),
        0x03 => Some(alphabet::decode_latin1(octets)),
        0x08 | 0x18..=0x1B => Some(alphabet::decode_ucs2(octets)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use rusmpp::pdus::DeliverSm;
    use rusmpp::tlvs::MessageDeliveryRequestTlvValue as Tlv;
    use rusmpp::types::{COctetString, OctetString};
    use rusmpp::values::{DataCoding, EsmClass, MessageState, Npi, Ton};

    use super::super::frame::Splitter;
    use super::super::pdu::{c_string, encode};
    use super::super::submit::tests::config;
    use super::*;
    use crate::message::{Msisdn, ReceiptState};

    fn deliver(esm_class: u8, data_coding: u8, text: &[u8]) -> DeliverSm {
        DeliverSm::builder()
            .source_addr_ton(Ton::International)
            .source_addr_npi(Npi::from(1))
            .source_addr(c_string("447700900123").unwrap())
            .destination_addr(c_string("12345").unwrap())
            .esm_class(EsmClass::from(esm_class))
            .data_coding(DataCoding::from(data_coding))
            .short_message(OctetString::from_slice(text).unwrap())
            .build()
    }

    fn frame(bytes: &[u8]) -> Frame {
        let mut splitter = Splitter::default();
        splitter.push(bytes);
        splitter.next_frame().unwrap().unwrap()
    }

    fn read_pdu(pdu: DeliverSm) -> Inbound {
        let mut out = BytesMut::new();
        encode(0, 7, pdu, &mut out);
        read(&frame(&out), &config()).unwrap()
    }

    fn read_reply(pdu: DeliverSm) -> RawReply {
        match read_pdu(pdu) {
            Inbound::Poison(poison) => panic!("{poison:?}"),
            Inbound::Reply(reply) => reply,
            Inbound::Receipt(receipt) => panic!("{receipt:?}"),
        }
    }

    const RECEIPT: &[u8] = b"id:1001 sub:001 dlvrd:001 submit date:2611211405 done date:2611211406 stat:DELIVRD err:000 text:Hello";

    #[test]
    fn a_receipt_is_read_from_text_and_tlvs() {
        let mut pdu = deliver(0x04, 0, RECEIPT);
        pdu.push_tlv(Tlv::MessageState(MessageState::Undeliverable));
        pdu.push_tlv(Tlv::ReceiptedMessageId(COctetString::from_slice(b"1028\0").unwrap()));
        let Inbound::Receipt(receipt) = read_pdu(pdu) else { panic!("a reply") };
        assert_eq!(receipt.reference, Some(Reference("1028".into())));
        assert!(receipt.alternatives.contains(&Reference("404".into())));
        assert!(matches!(receipt.state, ReceiptState::Failed(_)), "the TLV wins");
        assert_eq!(receipt.recipient, Msisdn::parse_digits("447700900123").ok());
    }

    #[test]
    fn a_receipt_shaped_text_with_esm_class_0_is_a_reply() {
        let reply = read_reply(deliver(0, 0, RECEIPT));
        assert!(reply.text.unwrap().starts_with("id:1001"));
        assert_eq!((reply.from.as_str(), reply.to.as_str()), ("447700900123", "12345"));
    }

    #[test]
    fn a_reply_is_read_in_its_own_coding() {
        for (coding, octets, text) in [
            (0, &b"\x00a"[..], Some("@a")),
            (3, b"\xE4", Some("ä")),
            (8, b"\x04\x16", Some("Ж")),
            (4, b"\x01\x02", None),
        ] {
            assert_eq!(read_reply(deliver(0, coding, octets)).text.as_deref(), text, "data_coding {coding}");
        }
    }

    #[test]
    fn segments_are_told_by_udh_or_sar_tlvs() {
        let udh = read_reply(deliver(0x40, 0, b"\x06\x08\x04\x12\x34\x02\x01hi"));
        assert_eq!(udh.concat, Some(Concat { reference: 0x1234, total: 2, number: 1 }));
        assert_eq!(udh.text.as_deref(), Some("hi"));
        let mut pdu = deliver(0, 0, b"hi");
        pdu.push_tlv(Tlv::SarMsgRefNum(9));
        pdu.push_tlv(Tlv::SarTotalSegments(2));
        pdu.push_tlv(Tlv::SarSegmentSeqnum(2));
        assert_eq!(read_reply(pdu).concat, Some(Concat { reference: 9, total: 2, number: 2 }));
    }

    #[test]
    fn the_tables_that_a_udh_names_are_those_of_its_text() {
        let single = read_reply(deliver(0x40, 0, b"\x03\x24\x01\x01\x1Bs"));
        assert_eq!(single.text.as_deref(), Some("ş"));
        let locking = read_reply(deliver(0x40, 0, b"\x08\x00\x03\x07\x02\x01\x25\x01\x01\x1D"));
        assert_eq!(locking.text.as_deref(), Some("ş"));
        assert_eq!(locking.concat, Some(Concat { reference: 7, total: 2, number: 1 }));
    }

    #[test]
    fn a_udh_that_lies_keeps_the_raw_pdu_and_invents_no_text() {
        for text in [&b"\x50\x00\x03"[..], b""] {
            let reply = read_reply(deliver(0x40, 0, text));
            assert_eq!((reply.text, reply.concat), (None, None));
            assert!(reply.raw.len() > 16);
        }
        assert_eq!(read_reply(deliver(0x40, 0, b"\x05\x00\x03\x01\x02\x03hi")).concat, None, "3 of 2");
    }

    #[test]
    fn a_text_in_message_payload_is_the_text() {
        let mut out = BytesMut::new();
        encode(0, 7, deliver(0, 0, b""), &mut out);
        out.extend_from_slice(b"\x04\x24\x00\x04long");
        let length = out.len() as u32;
        out[..4].copy_from_slice(&length.to_be_bytes());
        let Ok(Inbound::Reply(reply)) = read(&frame(&out), &config()) else { panic!("no reply") };
        assert_eq!(reply.text.as_deref(), Some("long"));
    }

    #[test]
    fn what_rusmpp_refuses_is_still_read() {
        // A Latin-1 address, a message_state of two octets, a TLV cut off by the end.
        let mut out = BytesMut::new();
        out.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 7]);
        out.extend_from_slice(b"\0\x05\0M\xFCller\0\x01\x0112345\0\0\0\0\0\0\0\0\0\0\x02hi");
        out.extend_from_slice(b"\x04\x27\x00\x02\x01\x02\x00\x1E\x00\xFFx");
        let length = out.len() as u32;
        out[..4].copy_from_slice(&length.to_be_bytes());
        let Ok(Inbound::Reply(reply)) = read(&frame(&out), &config()) else { panic!("no reply") };
        assert_eq!((reply.from.as_str(), reply.text.as_deref()), ("Müller", Some("hi")));
    }

    #[test]
    fn a_pdu_cut_anywhere_in_its_mandatory_fields_is_an_error_and_never_over_read() {
        let mut out = BytesMut::new();
        encode(0, 7, deliver(0, 0, b"hello"), &mut out);
        for length in 16..out.len() {
            let mut cut = out[..length].to_vec();
            cut[..4].copy_from_slice(&(length as u32).to_be_bytes());
            assert!(read(&frame(&cut), &config()).is_err(), "{length} octets");
        }
    }
}
