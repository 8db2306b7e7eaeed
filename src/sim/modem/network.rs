//! The other side of the radio: what the SMSC keeps for the modem, and how it is written.
//!
//! A reply of a phone becomes one SMS-DELIVER a segment, a message's outcome an SMS-STATUS-REPORT (3GPP TS 23.040
//! section 9.2.2). Both are written by [`crate::sms::tpdu`], which the vectors hold.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::message::Encoding;
use crate::sms::address::{Address, NPI_ISDN, TON_INTERNATIONAL, TON_UNKNOWN};
use crate::sms::dcs;
use crate::sms::segment::{self, Concat, SegmentError};
use crate::sms::tpdu::{Deliver, Kind, ServiceTime, StatusReport, TpduError, UserData, coding, encode_sca};

/// The SMSC of the simulated operator.
pub const SERVICE_CENTRE: &str = "+491710760000";
/// From the answer of a message to its report, and to the reply of the phone.
pub const REPORT_AFTER: Duration = Duration::from_millis(500);
pub const REPLY_AFTER: Duration = Duration::from_millis(300);
/// An acknowledged delivery is awaited this long (27.005 section 3.4.4 leaves it to the network's timer).
pub const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(15);
/// What was not acknowledged is sent again after this.
pub const AGAIN_AFTER: Duration = Duration::from_secs(30);
/// What may wait for the modem; more is refused.
pub const MOST_WAITING: usize = 100_000;
/// TP-ST of `mixed`, message by message (section 9.2.3.15): delivered; at first only tried; expired; refused.
pub const MIXED: [&[u8]; 4] = [&[0x00], &[0x20, 0x00], &[0x46], &[0x41]];
/// TP-ST of a failure: the validity ended.
pub const FAILED: u8 = 0x46;

/// What the SMSC has for the modem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inbound {
    pub id: u64,
    /// SCA and TPDU.
    pub pdu: Vec<u8>,
    /// Octets of the TPDU alone.
    pub octets: usize,
    pub subject: Subject,
    /// Announced by +CDSI in a storage where it is not.
    pub trap: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    Deliver { from: String, text: String, class: Option<u8> },
    Report { to: String, reference: u8, status: u8 },
}

/// A reply that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum Unwritable {
    #[error("{0}")]
    Split(#[from] SegmentError),
    #[error("{0}")]
    Tpdu(#[from] TpduError),
    #[error("no TPDU has more than 255 octets, or none")]
    Length,
    #[error("no message sent has this reference")]
    UnknownReference,
    #[error("{MOST_WAITING} messages wait already")]
    TooMany,
}

/// TON 1 for a number with a +, else unknown.
pub fn address(text: &str) -> Address {
    let (ton, digits) = match text.strip_prefix('+') {
        Some(digits) => (TON_INTERNATIONAL, digits),
        None => (TON_UNKNOWN, text),
    };
    Address { ton, npi: NPI_ISDN, text: digits.to_owned() }
}

/// With the + of an international number.
pub fn number(address: &Address) -> String {
    let plus = if address.ton == TON_INTERNATIONAL { "+" } else { "" };
    format!("{plus}{}", address.text)
}

/// The SMS-DELIVERs of a text, one a segment, each with the SCA before it.
pub fn delivers(from: &str, text: &str, reference: u8, at: Timestamp) -> Result<Vec<Inbound>, Unwritable> {
    let encoding = segment::choose(text);
    let segments = segment::split(text, encoding)?;
    // The segmenter gives at most 255.
    let total = segments.len() as u8;
    let written = segments.iter().zip(1..).map(|(segment, number)| {
        let concat = (total > 1).then_some(Concat { reference: u16::from(reference), total, number });
        deliver(from, &segment.text, encoding, concat, at, number < total)
    });
    written.collect()
}

fn deliver(
    from: &str,
    text: &str,
    encoding: Encoding,
    concat: Option<Concat>,
    at: Timestamp,
    more: bool,
) -> Result<Inbound, Unwritable> {
    let deliver = Deliver {
        more,
        loop_prevention: false,
        status_report: false,
        reply_path: false,
        from: address(from),
        pid: 0,
        dcs: coding(encoding, false),
        sent_at: ServiceTime::from_timestamp(at, 0),
        data: UserData::segment(text, encoding, concat),
    };
    let subject = Subject::Deliver { from: from.to_owned(), text: text.to_owned(), class: None };
    inbound(&deliver.encode()?, subject)
}

/// A TPDU as it comes, decodable or not.
pub fn raw(tpdu: &[u8]) -> Result<Inbound, Unwritable> {
    if tpdu.is_empty() || tpdu.len() > 255 {
        return Err(Unwritable::Length);
    }
    let subject = match Kind::received(tpdu) {
        Some(Kind::StatusReport) => match StatusReport::decode(tpdu) {
            Ok(report) => Subject::Report {
                to: number(&report.recipient),
                reference: report.reference,
                status: report.status,
            },
            Err(_) => Subject::Report { to: String::new(), reference: 0, status: 0xFF },
        },
        _ => match Deliver::decode(tpdu) {
            Ok(deliver) => Subject::Deliver {
                from: number(&deliver.from),
                text: deliver.data.text().unwrap_or_default().to_owned(),
                class: dcs::read(deliver.dcs).class,
            },
            Err(_) => Subject::Deliver { from: String::new(), text: String::new(), class: None },
        },
    };
    inbound(tpdu, subject)
}

/// The outcome of a message that was sent `sent_at`.
pub fn report(
    to: &Address,
    reference: u8,
    status: u8,
    sent_at: Timestamp,
    now: Timestamp,
) -> Result<Inbound, Unwritable> {
    let report = StatusReport {
        more: false,
        loop_prevention: false,
        qualifier: false,
        reference,
        recipient: to.clone(),
        sent_at: ServiceTime::from_timestamp(sent_at, 0),
        discharged_at: ServiceTime::from_timestamp(now, 0),
        status,
        pid: None,
        dcs: None,
        data: None,
    };
    inbound(&report.encode()?, Subject::Report { to: number(to), reference, status })
}

fn inbound(tpdu: &[u8], subject: Subject) -> Result<Inbound, Unwritable> {
    let mut pdu = encode_sca(Some(&address(SERVICE_CENTRE)))?;
    pdu.extend_from_slice(tpdu);
    Ok(Inbound { id: 0, pdu, octets: tpdu.len(), subject, trap: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reply_is_concatenated_and_says_that_more_comes() {
        let at = Timestamp::from_millis(1_795_269_900_000);
        let inbound = delivers("+4915112345678", &"ab".repeat(100), 7, at).unwrap();
        let first = &inbound[0].pdu[inbound[0].pdu.len() - inbound[0].octets..];
        let first = Deliver::decode(first).unwrap();
        assert_eq!((inbound.len(), first.more), (2, true));
        assert_eq!(first.data.concat(), Some(Concat { reference: 7, total: 2, number: 1 }));
        assert_eq!(first.data.text().map(str::len), Some(153));
        let greek = delivers("1234", "Καλημέρα", 1, at).unwrap();
        assert_eq!(greek.len(), 1);
    }

    #[test]
    fn octets_that_are_no_tpdu_still_come() {
        assert!(raw(&[0x04, 0xFF, 0x91]).is_ok());
        assert!(matches!(raw(&[]), Err(Unwritable::Length)));
        assert!(matches!(raw(&[0; 256]), Err(Unwritable::Length)));
    }
}
