//! A PDU of a modem as [`Inbound`]: a reply, a status report, or poison (3GPP TS 23.040 sections 9.2.2.1, 9.2.2.3).
//!
//! TP-MTI says what it is, never the memory it lay in nor the line that announced it. Nothing is thrown away: what
//! cannot be decoded goes up as it came.

use crate::link::{Inbound, Poison, RawReply, Receipt, Repeat};
use crate::message::{Cause, Msisdn, RawCode, Reason, ReceiptState, Reference};
use crate::sms::tpdu::{Deliver, Kind, StatusReport, split_sca};
use crate::sms::{address, hex};

/// A PDU, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// `None`: a message of our own side that the modem keeps; it is left where it is.
    pub inbound: Option<Inbound>,
    /// Names the message for good.
    pub key: [u8; 16],
}

/// Reads a line. `stated` is the length the modem gave, in octets of the TPDU; `sim` names the SIM.
pub fn read(line: &str, stated: Option<u16>, sim: &str) -> Read {
    let octets = match hex::decode(line) {
        Ok(octets) => octets,
        Err(why) => return poison(line.as_bytes().to_vec(), why.to_string(), sim),
    };
    match read_octets(&octets, stated, sim) {
        Ok(read) => read,
        Err(why) => poison(octets, why, sim),
    }
}

fn poison(raw: Vec<u8>, why: String, sim: &str) -> Read {
    let key = key_of(sim, &[b"poison", &raw]);
    Read { inbound: Some(Inbound::Poison(Poison { raw, why, repeat: Repeat::Stored(key) })), key }
}

fn read_octets(octets: &[u8], stated: Option<u16>, sim: &str) -> Result<Read, String> {
    let (_, tpdu) = split_sca(octets).map_err(|error| error.to_string())?;
    // Some count the service centre too.
    if let Some(stated) = stated.map(usize::from)
        && stated != tpdu.len()
        && stated != octets.len()
    {
        return Err(format!("{} octets where {stated} were announced", tpdu.len()));
    }
    match Kind::received(tpdu) {
        None | Some(Kind::Submit) if !tpdu.is_empty() => {
            Ok(Read { inbound: None, key: key_of(sim, &[b"own", tpdu]) })
        }
        None | Some(Kind::Submit) => Err(String::from("there is no TPDU")),
        Some(Kind::Deliver) => {
            let deliver = Deliver::decode(tpdu).map_err(|error| error.to_string())?;
            let key = deliver_key(tpdu, sim);
            Ok(Read { inbound: Some(Inbound::Reply(reply(deliver, octets, key))), key })
        }
        Some(Kind::StatusReport) => {
            let report = StatusReport::decode(tpdu).map_err(|error| error.to_string())?;
            let key = key_of(sim, &[b"report", tpdu]);
            Ok(Read { inbound: Some(Inbound::Receipt(receipt(&report))), key })
        }
    }
}

fn reply(deliver: Deliver, octets: &[u8], key: [u8; 16]) -> RawReply {
    let number = address::msisdn(deliver.from.ton, deliver.from.npi, deliver.from.text.as_bytes());
    let concat = deliver.data.concat();
    // What is for an application is no text that a person wrote.
    let for_person = deliver.data.ports().is_none();
    RawReply {
        number,
        text: deliver.data.text().filter(|_| for_person).map(str::to_owned),
        concat,
        sent_at: deliver.sent_at.to_timestamp(),
        from: deliver.from.text,
        to: String::new(),
        raw: octets.to_vec(),
        repeat: Repeat::Stored(key),
    }
}

fn receipt(report: &StatusReport) -> Receipt {
    let recipient = &report.recipient;
    let written = address::msisdn(recipient.ton, recipient.npi, recipient.text.as_bytes());
    // Digits without their country still tell recipients apart.
    let national = || Msisdn::parse_digits(recipient.text.trim_start_matches('0')).ok();
    Receipt {
        reference: Some(Reference(report.reference.to_string())),
        alternatives: Vec::new(),
        state: state(report.status),
        recipient: written.or_else(national),
        user_message_reference: None,
        raw: Some(RawCode::TpStatus(report.status)),
    }
}

/// TP-ST (section 9.2.3.15). What is reserved says nothing, and never "failed".
fn state(status: u8) -> ReceiptState {
    let failed = |reason| ReceiptState::Failed(Cause::new(reason, RawCode::TpStatus(status)));
    match status {
        0x00..=0x02 => ReceiptState::Delivered,
        0x20..=0x3F => ReceiptState::Pending,
        0x46 | 0x66 => failed(Reason::NetworkExpired),
        0x47 | 0x48 | 0x67 | 0x68 => failed(Reason::NetworkDeleted),
        0x42 | 0x62 => failed(Reason::NetworkRejected),
        0x40..=0x7F => failed(Reason::NetworkUndeliverable),
        _ => ReceiptState::Unknown,
    }
}

/// Sender, TP-SCTS and TP-UD with its header (promises.md P8): what the memory or the network changes from one
/// reading to the next is not in it. Of a TPDU that was decoded, so the places are there.
fn deliver_key(tpdu: &[u8], sim: &str) -> [u8; 16] {
    let digits = tpdu.get(1).map_or(0, |length| usize::from(*length).div_ceil(2));
    let from = tpdu.get(1..3 + digits).unwrap_or_default();
    let rest = tpdu.get(3 + digits + 2..).unwrap_or_default();
    let (sent_at, data) = rest.split_at_checked(7).unwrap_or((rest, &[]));
    let data = data.get(..data_end(tpdu, digits, data)).unwrap_or(data);
    key_of(sim, &[b"reply", from, sent_at, data])
}

/// Memories pad what they keep: what lies behind TP-UD is not of the message.
fn data_end(tpdu: &[u8], digits: usize, data: &[u8]) -> usize {
    let dcs = tpdu.get(3 + digits + 1).copied().unwrap_or_default();
    let units = usize::from(data.first().copied().unwrap_or_default());
    let packed = crate::sms::dcs::read(dcs).alphabet == crate::sms::dcs::Alphabet::Gsm7;
    1 + if packed { (units * 7).div_ceil(8) } else { units }
}

fn key_of(sim: &str, parts: &[&[u8]]) -> [u8; 16] {
    let mut hash = blake3::Hasher::new();
    for part in std::iter::once(sim.as_bytes()).chain(parts.iter().copied()) {
        hash.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    let mut key = [0; 16];
    hash.finalize_xof().fill(&mut key);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "1" of +447700900123, with TP-MMS as the air has it for "nothing more".
    const ONE: &str = "00040C91447700900132000062112250000000013100";

    fn one() -> String {
        // Seven bits of "1" in one octet.
        ONE[..ONE.len() - 2].to_owned()
    }

    #[test]
    fn a_message_is_the_same_whatever_the_memory_does_to_it() {
        let read_one = read(&one(), None, "sim");
        assert!(
            matches!(&read_one.inbound, Some(Inbound::Reply(reply)) if reply.text.as_deref() == Some("1"))
        );
        let padded = format!("{}FFFF", one());
        assert_eq!(read(&padded, None, "sim").key, read_one.key);
        let more_wait = one().replacen("0004", "0000", 1);
        assert_eq!(read(&more_wait, None, "sim").key, read_one.key);
        let by_another_centre = format!("07919471000000F0{}", &one()[2..]);
        assert_eq!(read(&by_another_centre, None, "sim").key, read_one.key);
    }

    #[test]
    fn another_sim_sender_time_or_text_is_another_message() {
        let key = read(&one(), None, "sim").key;
        assert_ne!(read(&one(), None, "other").key, key);
        for (place, octet) in [(16, "33"), (26, "12"), (36, "80"), (40, "32")] {
            let mut other = one();
            other.replace_range(place..place + 2, octet);
            assert_ne!(read(&other, None, "sim").key, key, "{other}");
        }
    }

    #[test]
    fn both_ways_to_count_the_length_are_taken_and_others_are_not() {
        let octets = u16::try_from(one().len() / 2).unwrap();
        for (stated, good) in
            [(octets, true), (octets - 1, true), (octets - 2, false), (octets + 1, false), (0, false)]
        {
            let read = read(&one(), Some(stated), "sim");
            assert_eq!(matches!(read.inbound, Some(Inbound::Reply(_))), good, "{stated}");
        }
    }

    #[test]
    fn a_message_of_our_own_is_left_where_it_is() {
        assert_eq!(read("0001000C9144770090013200000131", None, "sim").inbound, None);
    }

    #[test]
    fn a_reserved_status_is_never_failed() {
        for status in 0..=u8::MAX {
            let failed = matches!(state(status), ReceiptState::Failed(_));
            assert_eq!(failed, (0x40..0x80).contains(&status), "{status:#x}");
            assert_eq!(state(status) == ReceiptState::Delivered, status < 3, "{status:#x}");
        }
    }

    #[test]
    fn a_time_that_is_none_is_no_reason_to_refuse_a_message() {
        let absurd = one().replacen("62112250000000", "99009999999FFF", 1);
        match read(&absurd, None, "sim").inbound {
            Some(Inbound::Reply(reply)) => {
                assert_eq!((reply.text.as_deref(), reply.sent_at), (Some("1"), None))
            }
            other => panic!("{other:?}"),
        }
    }
}
