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

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::sms::address::{Address, TON_ALPHANUMERIC};
    use crate::sms::dcs::Alphabet;
    use crate::sms::tpdu::{Content, Element, MAX_USER_DATA, encode_sca, split_sca};
    use crate::sms::{alphabet, septets};

    /// Every form an address may have: names of up to 11 septets, numbers of up to 20 digits.
    fn any_address() -> impl Strategy<Value = Address> {
        let name = vec(0..128_u8, 0..=11).prop_map(|septets| alphabet::decode_gsm7(&septets));
        let name = name.prop_filter("a pair may be longer than it was", |name| {
            alphabet::encode_gsm7(name).is_ok_and(|septets| septets.len() <= 11)
        });
        let name = (name, 0..16_u8).prop_map(|(text, npi)| Address { ton: TON_ALPHANUMERIC, npi, text });
        let ton = proptest::sample::select(vec![0, 1, 2, 3, 4, 6, 7]);
        let number = (ton, 0..16_u8, "[0-9*#abc]{0,20}");
        prop_oneof![name, number.prop_map(|(ton, npi, text)| Address { ton, npi, text })]
    }

    fn any_header() -> impl Strategy<Value = Vec<Element>> {
        let id = prop_oneof![proptest::sample::select(vec![0x00, 0x04, 0x05, 0x08]), any::<u8>()];
        let any_element = (id, vec(any::<u8>(), 0..8)).prop_map(|(id, value)| Element { id, value });
        let tables = (0x24..=0x25_u8, 0..16_u8).prop_map(|(id, table)| Element { id, value: vec![table] });
        let elements = prop_oneof![any_element, tables];
        prop_oneof![Just(Vec::new()), vec(elements, 0..5)]
    }

    /// A coding and user data that it can write: text of the header's tables, of any length that fits.
    fn any_data() -> impl Strategy<Value = (u8, UserData)> {
        let fill = vec(any::<u8>(), 0..=160);
        (any::<u8>(), any_header(), fill, ".{0,70}").prop_map(|(dcs, header, octets, text)| {
            let header_octets: usize = header.iter().map(|e| 2 + e.value.len()).sum();
            let header_octets = if header.is_empty() { 0 } else { 1 + header_octets };
            let room = MAX_USER_DATA - header_octets;
            let mut data = UserData { header, content: Content::Octets(Vec::new()) };
            data.content = match dcs::read(dcs).alphabet {
                Alphabet::Octets | Alphabet::Compressed => {
                    Content::Octets(octets.into_iter().take(room).collect())
                }
                Alphabet::Gsm7 => {
                    let room = 160 - septets::header_septets(header_octets);
                    let septets: Vec<u8> = octets.iter().map(|o| o & 0x7F).take(room).collect();
                    Content::Text(Element::tables_in(&data.header).decode(&septets).replace('\u{FFFD}', ""))
                }
                Alphabet::Ucs2 => {
                    let units = text.chars().scan(0, |units, character| {
                        *units += character.len_utf16();
                        (*units * 2 <= room).then_some(character)
                    });
                    Content::Text(units.collect())
                }
            };
            (dcs, data)
        })
    }

    fn any_time() -> impl Strategy<Value = ServiceTime> {
        any::<[u8; 7]>().prop_map(ServiceTime)
    }

    fn any_validity() -> impl Strategy<Value = Option<Validity>> {
        prop_oneof![
            Just(None),
            any::<u8>().prop_map(|octet| Some(Validity::Relative(octet))),
            any_time().prop_map(|at| Some(Validity::Absolute(at))),
            any::<[u8; 7]>().prop_map(|octets| Some(Validity::Enhanced(octets))),
        ]
    }

    fn any_submit() -> impl Strategy<Value = Submit> {
        (any::<[bool; 3]>(), any::<[u8; 2]>(), any_address(), any_validity(), any_data()).prop_map(
            |(flags, [reference, pid], to, validity, (dcs, data))| Submit {
                reject_duplicates: flags[0],
                reply_path: flags[1],
                status_report: flags[2],
                reference,
                to,
                pid,
                dcs,
                validity,
                data,
            },
        )
    }

    fn any_deliver() -> impl Strategy<Value = Deliver> {
        (any::<[bool; 4]>(), any::<u8>(), any_address(), any_time(), any_data()).prop_map(
            |(flags, pid, from, sent_at, (dcs, data))| Deliver {
                more: flags[0],
                loop_prevention: flags[1],
                status_report: flags[2],
                reply_path: flags[3],
                from,
                pid,
                dcs,
                sent_at,
                data,
            },
        )
    }

    fn any_report() -> impl Strategy<Value = StatusReport> {
        let times = (any_time(), any_time());
        let follows = (any::<Option<u8>>(), any::<bool>(), proptest::option::of(any_data()));
        (any::<[bool; 3]>(), any::<[u8; 2]>(), any_address(), times, follows).prop_map(
            |(flags, [reference, status], recipient, (sent_at, discharged_at), (pid, coded, data))| {
                let (dcs, data) = data.unzip();
                // Without TP-DCS the user data is of the default alphabet.
                let dcs = dcs.filter(|dcs| coded || dcs::read(*dcs).alphabet != Alphabet::Gsm7);
                StatusReport {
                    more: flags[0],
                    loop_prevention: flags[1],
                    qualifier: flags[2],
                    reference,
                    recipient,
                    sent_at,
                    discharged_at,
                    status,
                    pid,
                    dcs,
                    data,
                }
            },
        )
    }

    /// A TPDU of any kind, whole or with some octets changed, left out or added.
    fn nearly_a_tpdu() -> impl Strategy<Value = Vec<u8>> {
        let whole = prop_oneof![
            any_submit().prop_map(|submit| submit.encode().unwrap()),
            any_deliver().prop_map(|deliver| deliver.encode().unwrap()),
            any_report().prop_map(|report| report.encode().unwrap()),
        ];
        let changes = vec((any::<proptest::sample::Index>(), any::<u8>(), 0..3_u8), 0..4);
        (whole, changes).prop_map(|(mut octets, changes)| {
            for (at, octet, change) in changes {
                if octets.is_empty() {
                    break;
                }
                let at = at.index(octets.len());
                match change {
                    0 => octets[at] = octet,
                    1 => octets.truncate(at),
                    _ => octets.insert(at, octet),
                }
            }
            octets
        })
    }

    /// What is read is written to be read alike, or was unreadable in part.
    fn hold<T: PartialEq + std::fmt::Debug>(
        octets: &[u8],
        decode: fn(&[u8]) -> Result<T, TpduError>,
        encode: fn(&T) -> Result<Vec<u8>, TpduError>,
    ) {
        let Ok(read) = decode(octets) else { return };
        match encode(&read) {
            Ok(again) => assert_eq!(decode(&again), Ok(read)),
            Err(error) => assert!(format!("{read:?}").contains('\u{FFFD}'), "{read:?}: {error}"),
        }
    }

    fn hold_all(octets: &[u8]) {
        hold(octets, Submit::decode, Submit::encode);
        hold(octets, Deliver::decode, Deliver::encode);
        hold(octets, StatusReport::decode, StatusReport::encode);
        if let Ok((sca, rest)) = split_sca(octets) {
            let again = [encode_sca(sca.as_ref()).unwrap(), rest.to_vec()].concat();
            assert_eq!(split_sca(&again), Ok((sca, rest)));
        }
    }

    proptest! {
        #[test]
        fn every_submit_is_read_as_it_was_written(submit in any_submit()) {
            let octets = submit.encode().unwrap();
            prop_assert_eq!(Submit::decode(&octets), Ok(submit));
            prop_assert!(octets.len() <= 2 + 12 + 2 + 7 + 1 + MAX_USER_DATA);
        }

        #[test]
        fn every_deliver_is_read_as_it_was_written(deliver in any_deliver()) {
            prop_assert_eq!(Deliver::decode(&deliver.encode().unwrap()), Ok(deliver));
        }

        #[test]
        fn every_status_report_is_read_as_it_was_written(report in any_report()) {
            prop_assert_eq!(StatusReport::decode(&report.encode().unwrap()), Ok(report));
        }

        #[test]
        fn no_octets_make_any_of_them_panic(octets in vec(any::<u8>(), 0..200)) {
            hold_all(&octets);
        }

        #[test]
        fn no_spoilt_tpdu_makes_any_of_them_panic(octets in nearly_a_tpdu()) {
            hold_all(&octets);
        }

        #[test]
        fn octets_behind_the_user_data_are_left_alone(deliver in any_deliver(), padding in vec(any::<u8>(), 0..20)) {
            let octets = [deliver.encode().unwrap(), padding].concat();
            prop_assert_eq!(Deliver::decode(&octets), Ok(deliver));
        }
    }

    #[test]
    fn another_kind_is_refused_and_the_reserved_one_is_an_sms_deliver() {
        assert_eq!(Submit::decode(&[0x00]), Err(TpduError::Kind(0)));
        assert_eq!(Deliver::decode(&[0x01]), Err(TpduError::Kind(1)));
        assert_eq!(StatusReport::decode(&[0x03]), Err(TpduError::Kind(3)));
        assert_eq!(Deliver::decode(&[0x03]), Err(TpduError::Truncated { field: OA }));
    }
}
