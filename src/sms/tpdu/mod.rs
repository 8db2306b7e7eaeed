//! TPDUs of short messages: SMS-SUBMIT, SMS-DELIVER and SMS-STATUS-REPORT, octets to values and back
//! (3GPP TS 23.040 section 9.2). Pure; what a modem writes, what it reads and what `nudged debug tpdu` shows go
//! through here.
//!
//! Decoding takes whatever the air brings: it never panics, never reads past the end, never allocates by a
//! stated length, and says which field is wrong. Encoding refuses what does not fit.

use super::address::Address;

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
