//! The three TPDUs field by field, in the order of 3GPP TS 23.040 section 9.2.2.

use super::read::Reader;
use super::{
    Deliver, MTI_DELIVER, MTI_MASK, MTI_STATUS_REPORT, MTI_SUBMIT, ServiceTime, StatusReport, Submit,
    TpduError, UserData, Validity, address, validity,
};
use crate::sms::dcs;

/// Bits of the first octet (section 9.2.3.2 and following); what bit 5 means is the kind's affair.
const REJECT_DUPLICATES: u8 = 0x04;
/// TP-MMS: set where no more messages wait.
const NO_MORE: u8 = 0x04;
const LOOP_PREVENTION: u8 = 0x08;
/// TP-SRR, TP-SRI or TP-SRQ.
const STATUS_REPORT: u8 = 0x20;
/// TP-UDHI.
pub const HEADED: u8 = 0x40;
const REPLY_PATH: u8 = 0x80;

/// TP-PI (section 9.2.3.27): which fields follow; with the highest bit another octet of the like does.
const PI: &str = "TP-PI";
const PI_PID: u8 = 0x01;
const PI_DCS: u8 = 0x02;
const PI_UDL: u8 = 0x04;
const PI_MORE: u8 = 0x80;

const MTI: &str = "TP-MTI";
const MR: &str = "TP-MR";
const DA: &str = "TP-DA";
const OA: &str = "TP-OA";
const RA: &str = "TP-RA";
const PID: &str = "TP-PID";
const DCS: &str = "TP-DCS";
const SCTS: &str = "TP-SCTS";
const DT: &str = "TP-DT";
const ST: &str = "TP-ST";

fn flag(set: bool, bit: u8) -> u8 {
    if set { bit } else { 0 }
}

/// The first octet, where its TP-MTI is one of these.
fn first_octet(reader: &mut Reader<'_>, kinds: &[u8]) -> Result<u8, TpduError> {
    let first = reader.octet(MTI)?;
    if kinds.contains(&(first & MTI_MASK)) { Ok(first) } else { Err(TpduError::Kind(first & MTI_MASK)) }
}

fn is_headed(data: &UserData) -> u8 {
    flag(!data.header.is_empty(), HEADED)
}

impl Submit {
    /// Reads a TPDU without SCA.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn decode(tpdu: &[u8]) -> Result<Submit, TpduError> {
        Submit::decode_counted(tpdu).map(|(submit, _)| submit)
    }

    /// The TPDU, and TP-UDL as it was written.
    pub(super) fn decode_counted(tpdu: &[u8]) -> Result<(Submit, u8), TpduError> {
        let reader = &mut Reader::new(tpdu);
        let first = first_octet(reader, &[MTI_SUBMIT])?;
        let reference = reader.octet(MR)?;
        let to = address::decode(reader, DA)?;
        let pid = reader.octet(PID)?;
        let dcs = reader.octet(DCS)?;
        let validity = validity::decode(first, reader)?;
        let (data, length) = UserData::decode(reader, dcs, first & HEADED != 0)?;
        let submit = Submit {
            reject_duplicates: first & REJECT_DUPLICATES != 0,
            reply_path: first & REPLY_PATH != 0,
            status_report: first & STATUS_REPORT != 0,
            reference,
            to,
            pid,
            dcs,
            validity,
            data,
        };
        Ok((submit, length))
    }

    /// Writes a TPDU without SCA.
    ///
    /// # Errors
    /// An address, a text or user data that does not fit, or goes by another TP-DCS.
    pub fn encode(&self) -> Result<Vec<u8>, TpduError> {
        let first = MTI_SUBMIT
            | flag(self.reject_duplicates, REJECT_DUPLICATES)
            | Validity::format(self.validity)
            | flag(self.status_report, STATUS_REPORT)
            | is_headed(&self.data)
            | flag(self.reply_path, REPLY_PATH);
        let mut out = vec![first, self.reference];
        address::encode(&self.to, DA, &mut out)?;
        out.extend([self.pid, self.dcs]);
        validity::encode(self.validity, &mut out);
        self.data.encode(self.dcs, &mut out)?;
        Ok(out)
    }
}

impl Deliver {
    /// Reads a TPDU without SCA.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn decode(tpdu: &[u8]) -> Result<Deliver, TpduError> {
        Deliver::decode_counted(tpdu).map(|(deliver, _)| deliver)
    }

    /// The TPDU, and TP-UDL as it was written.
    pub(super) fn decode_counted(tpdu: &[u8]) -> Result<(Deliver, u8), TpduError> {
        let reader = &mut Reader::new(tpdu);
        // The reserved TP-MTI is read as this one (section 9.2.3.1).
        let first = first_octet(reader, &[MTI_DELIVER, MTI_MASK])?;
        let from = address::decode(reader, OA)?;
        let pid = reader.octet(PID)?;
        let dcs = reader.octet(DCS)?;
        let sent_at = ServiceTime(reader.array(SCTS)?);
        let (data, length) = UserData::decode(reader, dcs, first & HEADED != 0)?;
        let deliver = Deliver {
            more: first & NO_MORE == 0,
            loop_prevention: first & LOOP_PREVENTION != 0,
            status_report: first & STATUS_REPORT != 0,
            reply_path: first & REPLY_PATH != 0,
            from,
            pid,
            dcs,
            sent_at,
            data,
        };
        Ok((deliver, length))
    }

    /// Writes a TPDU without SCA.
    ///
    /// # Errors
    /// An address, a text or user data that does not fit, or goes by another TP-DCS.
    pub fn encode(&self) -> Result<Vec<u8>, TpduError> {
        let first = MTI_DELIVER
            | flag(!self.more, NO_MORE)
            | flag(self.loop_prevention, LOOP_PREVENTION)
            | flag(self.status_report, STATUS_REPORT)
            | is_headed(&self.data)
            | flag(self.reply_path, REPLY_PATH);
        let mut out = vec![first];
        address::encode(&self.from, OA, &mut out)?;
        out.extend([self.pid, self.dcs]);
        out.extend(self.sent_at.0);
        self.data.encode(self.dcs, &mut out)?;
        Ok(out)
    }
}

impl StatusReport {
    /// Reads a TPDU without SCA.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn decode(tpdu: &[u8]) -> Result<StatusReport, TpduError> {
        StatusReport::decode_counted(tpdu).map(|(report, _)| report)
    }

    /// The TPDU, and TP-UDL as it was written, if it was.
    pub(super) fn decode_counted(tpdu: &[u8]) -> Result<(StatusReport, Option<u8>), TpduError> {
        let reader = &mut Reader::new(tpdu);
        let first = first_octet(reader, &[MTI_STATUS_REPORT])?;
        let reference = reader.octet(MR)?;
        let recipient = address::decode(reader, RA)?;
        let sent_at = ServiceTime(reader.array(SCTS)?);
        let discharged_at = ServiceTime(reader.array(DT)?);
        let status = reader.octet(ST)?;
        let follows = parameters(reader)?;
        let pid = (follows & PI_PID != 0).then(|| reader.octet(PID)).transpose()?;
        let dcs = (follows & PI_DCS != 0).then(|| reader.octet(DCS)).transpose()?;
        let headed = first & HEADED != 0;
        let data = (follows & PI_UDL != 0)
            .then(|| UserData::decode(reader, dcs.unwrap_or(dcs::GSM7), headed))
            .transpose()?;
        let (data, length) = data.unzip();
        let report = StatusReport {
            more: first & NO_MORE == 0,
            loop_prevention: first & LOOP_PREVENTION != 0,
            qualifier: first & STATUS_REPORT != 0,
            reference,
            recipient,
            sent_at,
            discharged_at,
            status,
            pid,
            dcs,
            data,
        };
        Ok((report, length))
    }

    /// Writes a TPDU without SCA; TP-PI only where something follows it.
    ///
    /// # Errors
    /// An address, a text or user data that does not fit, or goes by another TP-DCS.
    pub fn encode(&self) -> Result<Vec<u8>, TpduError> {
        let first = MTI_STATUS_REPORT
            | flag(!self.more, NO_MORE)
            | flag(self.loop_prevention, LOOP_PREVENTION)
            | flag(self.qualifier, STATUS_REPORT)
            | self.data.as_ref().map_or(0, is_headed);
        let mut out = vec![first, self.reference];
        address::encode(&self.recipient, RA, &mut out)?;
        out.extend(self.sent_at.0);
        out.extend(self.discharged_at.0);
        out.push(self.status);
        let follows = flag(self.pid.is_some(), PI_PID)
            | flag(self.dcs.is_some(), PI_DCS)
            | flag(self.data.is_some(), PI_UDL);
        out.extend(Some(follows).filter(|follows| *follows != 0));
        out.extend(self.pid);
        out.extend(self.dcs);
        if let Some(data) = &self.data {
            data.encode(self.dcs.unwrap_or(dcs::GSM7), &mut out)?;
        }
        Ok(out)
    }
}

/// The first octet of TP-PI, its extensions passed over; nothing follows where the TPDU ends before it.
fn parameters(reader: &mut Reader<'_>) -> Result<u8, TpduError> {
    if reader.rest().is_empty() {
        return Ok(0);
    }
    let parameters = reader.octet(PI)?;
    let mut octet = parameters;
    while octet & PI_MORE != 0 {
        octet = reader.octet(PI)?;
    }
    Ok(parameters)
}
