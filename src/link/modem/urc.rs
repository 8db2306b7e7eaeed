//! Lines that come unasked: which they are and what they say (3GPP TS 27.005 sections 3.4.1, 27.007 section 7.2).
//!
//! The table of prefixes is modem.md 3.6's: what is in it is never an answer, unless the command on the wire
//! has that very name. Most of it is of no use to SMS and is dropped.

use crate::link::Registration;

/// What a line says that nobody asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Urc {
    /// +CMTI and +CDSI: something is in a memory now. `None`: it could not be read where.
    Stored(Option<Place>),
    /// +CMT and +CDS: the PDU itself.
    Routed(RoutedPdu),
    /// +CREG and its kin.
    Registration { network: Network, stat: Registration },
    /// The modem has restarted, and its settings are gone.
    Boot(String),
    /// It says that it goes off.
    PowerDown(String),
    /// A memory is full, or freed.
    Storage,
    /// Of no use here.
    Other,
}

/// A PDU that came by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutedPdu {
    pub pdu: String,
    /// As announced, in octets of the TPDU.
    pub length: Option<u16>,
    /// It is of the service that AT+CNMA acknowledges.
    pub acknowledged: bool,
    /// A report that seems to lack its end, as a restart leaves it.
    pub short_report: bool,
}

/// Which of the networks a registration speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// +CREG: circuit switched.
    Circuit,
    /// +CEREG: LTE.
    Packet,
}

/// A place in a memory of the modem; index 0 is one like any other.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    pub memory: String,
    pub index: u32,
}

/// Lines that begin so belong to nobody who asked, and say nothing that is used here.
const NOISE: &[&str] = &[
    "+CBMI:",
    "+CGREG:",
    "+CTZ",
    "+NITZ",
    "*PSUTTZ",
    "DST:",
    "+CSQ:",
    "+CSQN",
    "+CNSMOD:",
    "^",
    "+ZDONR",
    "+ZPASR",
    "+ZPSTM",
    "+ZUSIMR",
    "+ZEND",
    "+QLWURC",
    "+QGPSURC",
    "+QIND:",
    "*",
    "#STN:",
    "#QSS:",
    "+PSBEARER:",
    "+SPNWNAME:",
    "_O",
    "%",
    "+CGEV:",
    "+CRING:",
    "+CLIP:",
    "+CCWA:",
    "+CLCC:",
    "VOICE CALL",
    "MISSED_CALL",
    "+CUSD:",
    "+CUSAT",
    "+SIM READY",
    "OVER-VOLTAGE",
    "+CMTE:",
    "+WIND:",
    "+SPERROR:",
    "+CIEV:",
    "+PBREADY",
    "+PACSP",
    "UNDER-VOLTAGE WARN",
    "+CSSI:",
    "+CSSU:",
    "+CDS",
    "+CMT",
    "+CREG:",
    "+CEREG:",
    "+CPIN:",
    "+CFUN:",
    "+AT:",
];
/// Whole lines of the same kind. NO CARRIER and BUSY are of calls; nobody dials here.
const NOISE_LINES: &[&str] =
    &["RING", "NO CARRIER", "BUSY", "NO ANSWER", "NO DIALTONE", "NO DIAL TONE", "PB DONE", "CONNECT"];
/// Lines that only a modem writes that has just started.
const BOOT_LINES: &[&str] = &["RDY", "SMS READY", "CALL READY", "+CFUN: 1", "+AT: READY", "SMS DONE"];
const POWER_DOWN: &[&str] = &["NORMAL POWER DOWN", "POWERED DOWN", "POWER DOWN", "UNDER-VOLTAGE POWER DOWN"];
const OWNERS: &[&str] = &["+CMT:", "+CDS:", "^HCMT:", "^HCDS:", "+CBM:"];

/// Whether the next line belongs to this one.
pub fn owns_body(line: &str) -> bool {
    OWNERS.iter().any(|owner| line.starts_with(owner))
}

/// Whether the line is of the table beyond doubt, so that it cannot be the body that another line announced.
pub fn is_announcement(line: &str) -> bool {
    owns_body(line) || read(line).is_some()
}

/// What an announcement and its body say.
pub fn routed(head: &str, body: &str) -> Urc {
    if head.starts_with("+CBM:") {
        return Urc::Other;
    }
    let length = head.rsplit([',', ':']).next().and_then(|length| length.trim().parse().ok());
    // Huawei's own variants are not of the acknowledged service (27.005 section 3.4.4).
    let acknowledged = head.starts_with('+');
    let short_report = is_short_report(head, body);
    Urc::Routed(RoutedPdu { pdu: body.to_owned(), length, acknowledged, short_report })
}

/// Or the head counts the service centre too.
fn is_short_report(head: &str, body: &str) -> bool {
    let stated = head.strip_prefix("+CDS:").and_then(|length| length.trim().parse::<usize>().ok());
    let centre = body.get(..2).and_then(|octet| usize::from_str_radix(octet, 16).ok());
    match (stated, centre) {
        (Some(stated), Some(centre)) => body.len() < 2 * (1 + centre + stated),
        (Some(_), None) => body.len() < 2,
        (None, _) => false,
    }
}

/// `None`: it is in no table.
pub fn read(line: &str) -> Option<Urc> {
    let capitals = line.to_ascii_uppercase();
    if let Some(rest) = line.strip_prefix("+CMTI:").or_else(|| line.strip_prefix("+CDSI:")) {
        return Some(Urc::Stored(place(rest)));
    }
    if let Some(urc) = registration_urc(line) {
        return Some(urc);
    }
    if POWER_DOWN.contains(&capitals.as_str()) {
        return Some(Urc::PowerDown(line.to_owned()));
    }
    if is_boot(&capitals) {
        return Some(Urc::Boot(line.to_owned()));
    }
    // Behind something damaged.
    if is_storage(&capitals) || capitals.contains("+CMTI:") {
        return Some(Urc::Storage);
    }
    let noise =
        NOISE.iter().any(|prefix| line.starts_with(prefix)) || NOISE_LINES.contains(&capitals.as_str());
    noise.then_some(Urc::Other)
}

fn is_boot(capitals: &str) -> bool {
    let sim_gone = ["+CPIN: NOT READY", "+CPIN: SIM PIN", "+CPIN: SIM REMOVED", "+CPIN: NOT INSERTED"];
    BOOT_LINES.contains(&capitals)
        || sim_gone.contains(&capitals)
        || capitals.starts_with("^SYSSTART")
        || (capitals.starts_with("+QIND:") && capitals.contains("\"SMS DONE\""))
}

fn is_storage(capitals: &str) -> bool {
    let by_word = capitals.starts_with("+CIEV:") || capitals.starts_with("+QIND:");
    capitals.starts_with("^SMMEMFULL")
        || (by_word && (capitals.contains("SMSFULL") || capitals.contains("\"MESSAGE\"")))
}

/// `"SM",0`.
fn place(text: &str) -> Option<Place> {
    let (memory, index) = text.split_once(',')?;
    let memory = memory.trim().trim_matches('"');
    let named = !memory.is_empty() && memory.len() <= 4 && memory.bytes().all(|b| b.is_ascii_alphanumeric());
    let index = index.split(',').next()?.trim().parse().ok()?;
    named.then(|| Place { memory: memory.to_owned(), index })
}

/// A line of +CREG or +CEREG that has no `<n>` before its `<stat>`, so nobody asked for it.
pub fn is_registration_urc(line: &str) -> bool {
    registration_urc(line).is_some()
}

fn registration_urc(line: &str) -> Option<Urc> {
    let (network, rest) = network_of(line)?;
    let mut fields = rest.split(',').map(str::trim);
    let stat = fields.next()?;
    // A second short number is the <stat> of an answer; a location is in quotes or has four digits and more.
    let answer = fields.next().is_some_and(|second| {
        !second.is_empty() && second.len() <= 3 && second.bytes().all(|b| b.is_ascii_digit())
    });
    (!answer).then_some(Urc::Registration { network, stat: stat_of(stat)? })
}

/// `<stat>` of the answer to AT+CREG? or AT+CEREG?.
pub fn registration_answer(line: &str) -> Option<Registration> {
    let (_, rest) = network_of(line)?;
    let mut fields = rest.split(',').map(str::trim);
    let first = fields.next()?;
    stat_of(fields.next().unwrap_or(first))
}

fn network_of(line: &str) -> Option<(Network, &str)> {
    if let Some(rest) = line.strip_prefix("+CREG:") {
        return Some((Network::Circuit, rest));
    }
    line.strip_prefix("+CEREG:").map(|rest| (Network::Packet, rest))
}

/// 27.007 section 7.2: 6 and 7 are "SMS only", 9 and 10 "CSFB not preferred"; SMS goes in all four.
fn stat_of(text: &str) -> Option<Registration> {
    Some(match text.parse::<u8>().ok()? {
        0 => Registration::Idle,
        1 | 6 | 9 => Registration::Home,
        2 => Registration::Searching,
        3 => Registration::Denied,
        5 | 7 | 10 => Registration::Roaming,
        8 => Registration::EmergencyOnly,
        _ => Registration::Unknown,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slot_zero_is_a_place() {
        let zero = Place { memory: "ME".into(), index: 0 };
        assert_eq!(read("+CMTI: \"ME\",0"), Some(Urc::Stored(Some(zero.clone()))));
        assert_eq!(read("+CDSI:\"ME\",0"), Some(Urc::Stored(Some(zero))));
        for broken in ["+CMTI: ", "+CMTI: \"ME\"", "+CMTI: \"ME\",-1", "+CMTI: \"\",1", "+CMTI: \"A;B\",1"] {
            assert_eq!(read(broken), Some(Urc::Stored(None)), "{broken}");
        }
    }

    #[test]
    fn a_registration_with_a_leading_number_is_an_answer() {
        for urc in ["+CREG: 1", "+CREG: 5,\"00C3\",\"0A1B\"", "+CREG: 5,\"00C3\",\"0A1B\",7", "+CEREG: 1"] {
            assert!(is_registration_urc(urc), "{urc}");
        }
        for answer in ["+CREG: 0,1", "+CREG: 2,1,\"00C3\",\"0A\"", "+CREG: 000,001"] {
            assert!(!is_registration_urc(answer), "{answer}");
            assert_eq!(registration_answer(answer), Some(Registration::Home), "{answer}");
        }
        assert_eq!(registration_answer("+CEREG: 0,6"), Some(Registration::Home));
        assert_eq!(registration_answer("+CREG: 2,10"), Some(Registration::Roaming));
        assert_eq!(registration_answer("+CREG: 0,8"), Some(Registration::EmergencyOnly));
        assert_eq!(registration_answer("+CREG: x"), None);
    }

    #[test]
    fn boot_chatter_is_told_from_noise() {
        for boot in ["RDY", "SMS Ready", "Call Ready", "^SYSSTART", "+CPIN: SIM PIN", "+QIND: \"SMS DONE\""] {
            assert!(matches!(read(boot), Some(Urc::Boot(_))), "{boot}");
        }
        // Huawei writes ^BOOT every few seconds.
        for noise in ["^BOOT:1,0,0,0,75", "+CPIN: READY", "RING", "^RSSI: 12", "NO CARRIER"] {
            assert_eq!(read(noise), Some(Urc::Other), "{noise}");
        }
        assert!(matches!(read("UNDER-VOLTAGE POWER DOWN"), Some(Urc::PowerDown(_))));
    }

    #[test]
    fn a_full_memory_is_heard_in_every_dialect() {
        for full in [
            "^SMMEMFULL: \"SM\"",
            "+QIND: \"smsfull\",\"SM\"",
            "+CIEV: \"SMSFULL\",1",
            "+CIEV: \"MESSAGE\",1",
        ] {
            assert_eq!(read(full), Some(Urc::Storage), "{full}");
        }
    }

    #[test]
    fn a_pdu_is_no_announcement() {
        for body in ["07914477", "OK", "ERROR", "+49 170", "hello"] {
            assert!(!is_announcement(body), "{body}");
        }
    }
}
