//! TPDUs of short messages: SMS-SUBMIT, SMS-DELIVER and SMS-STATUS-REPORT, octets to values and back
//! (3GPP TS 23.040 section 9.2). Pure; what a modem writes, what it reads and what `nudged debug tpdu` shows go
//! through here.
//!
//! Decoding takes whatever the air brings: it never panics, never reads past the end, never allocates by a
//! stated length, and says which field is wrong. Octets behind the last field are left alone: memories pad
//! what they keep. Encoding refuses what does not fit. What is decoded encodes to the same value again, and
//! to the same octets where they were written as the specification writes them.

mod address;
pub mod describe;
mod messages;
mod read;
mod time;
mod user_data;
mod validity;

use super::address::Address;
use super::alphabet::Unmappable;

pub use address::{encode_sca, split_sca};
pub use user_data::coding;

/// SMS-SUBMIT, from us to the SMSC (section 9.2.2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submit {
    /// TP-RD.
    pub reject_duplicates: bool,
    /// TP-RP.
    pub reply_path: bool,
    /// TP-SRR.
    pub status_report: bool,
    /// TP-MR; most modems put their own.
    pub reference: u8,
    /// TP-DA.
    pub to: Address,
    /// TP-PID.
    pub pid: u8,
    /// TP-DCS; says how `data` is written.
    pub dcs: u8,
    /// TP-VP.
    pub validity: Option<Validity>,
    pub data: UserData,
}

/// SMS-DELIVER, from the SMSC to us (section 9.2.2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deliver {
    /// More messages wait: TP-MMS, which on the air is 0 for yes.
    pub more: bool,
    /// TP-LP.
    pub loop_prevention: bool,
    /// TP-SRI.
    pub status_report: bool,
    /// TP-RP.
    pub reply_path: bool,
    /// TP-OA.
    pub from: Address,
    pub pid: u8,
    pub dcs: u8,
    /// TP-SCTS.
    pub sent_at: ServiceTime,
    pub data: UserData,
}

/// SMS-STATUS-REPORT (section 9.2.2.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusReport {
    pub more: bool,
    pub loop_prevention: bool,
    /// TP-SRQ: it answers an SMS-COMMAND.
    pub qualifier: bool,
    /// TP-MR of the SMS-SUBMIT.
    pub reference: u8,
    /// TP-RA.
    pub recipient: Address,
    pub sent_at: ServiceTime,
    /// TP-DT.
    pub discharged_at: ServiceTime,
    /// TP-ST (section 9.2.3.15).
    pub status: u8,
    pub pid: Option<u8>,
    pub dcs: Option<u8>,
    pub data: Option<UserData>,
}

/// TP-VP in its three formats (section 9.2.3.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// The octet.
    Relative(u8),
    Absolute(ServiceTime),
    /// Seven octets.
    Enhanced([u8; 7]),
}

/// A time stamp as its seven semi-octet pairs (section 9.2.3.11): what cannot be a time is kept as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ServiceTime(pub [u8; 7]);

/// TP-UD: header elements and what follows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserData {
    /// Information elements in order (section 9.2.3.24); empty without a header.
    pub header: Vec<Element>,
    pub content: Content,
}

/// One information element of the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    pub id: u8,
    pub value: Vec<u8>,
}

/// What TP-UD says behind its header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// GSM 7-bit (national tables of the header applied) or UCS-2, by the DCS.
    Text(String),
    /// 8-bit, or of an alphabet nobody knows.
    Octets(Vec<u8>),
}

/// Octets of TP-UD, its header included (section 9.2.3.24).
pub const MAX_USER_DATA: usize = 140;

/// Which of the three a TPDU is; from an SMSC only the last two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Submit,
    Deliver,
    StatusReport,
}

impl Kind {
    /// The kind of a TPDU that an SMSC sent, by TP-MTI (section 9.2.3.1); `None` for one that belongs to a
    /// message of ours, as memories also keep them. The reserved value is an SMS-DELIVER, as asked there.
    pub fn received(tpdu: &[u8]) -> Option<Kind> {
        match tpdu.first()? & MTI_MASK {
            MTI_SUBMIT => None,
            MTI_STATUS_REPORT => Some(Kind::StatusReport),
            _ => Some(Kind::Deliver),
        }
    }
}

const MTI_MASK: u8 = 0x03;
const MTI_DELIVER: u8 = 0x00;
const MTI_SUBMIT: u8 = 0x01;
const MTI_STATUS_REPORT: u8 = 0x02;

/// Why octets are no TPDU, or a value cannot be written as one. `field` is the name the specification has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TpduError {
    #[error("{field}: the TPDU ends before it does")]
    Truncated { field: &'static str },
    #[error("TP-MTI: {0} is not of this kind of TPDU")]
    Kind(u8),
    #[error("{field}: says {stated}, and there can be {most} at most")]
    Length { field: &'static str, stated: usize, most: usize },
    #[error("{field}: holds what is no digit")]
    Digit { field: &'static str },
    #[error("{field}: {source}")]
    Text { field: &'static str, source: Unmappable },
    #[error("TP-UD: text and octets do not go with the same TP-DCS")]
    Coding,
}
