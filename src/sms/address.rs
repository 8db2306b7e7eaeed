//! Addresses as SMPP and TPDUs write them: type of number, numbering plan and characters (SMPP 3.4 5.2.5 to
//! 5.2.9, 3GPP TS 23.040 9.1.2.5).
//!
//! A number that goes out is always E.164 digits without the plus. A number that comes in is an
//! [`Msisdn`] only where the wire says that it is international; a national number is left to those who
//! know the country, and a name or a short code is no number at all.

use crate::config::Numbering;
use crate::message::{Msisdn, Sender};

/// TON and NPI values (SMPP 3.4 sections 5.2.5 and 5.2.6).
pub const TON_UNKNOWN: u8 = 0;
pub const TON_INTERNATIONAL: u8 = 1;
/// "Network specific": what carriers take short codes under.
pub const TON_NETWORK: u8 = 3;
pub const TON_ALPHANUMERIC: u8 = 5;
pub const NPI_UNKNOWN: u8 = 0;
pub const NPI_ISDN: u8 = 1;
pub const NPI_LAND_MOBILE: u8 = 6;

/// The fewest digits that are read as international where the TON leaves it open: shorter ones may be a
/// national number without its trunk zero.
const MIN_OPEN_DIGITS: usize = 11;

/// One address of a PDU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub ton: u8,
    pub npi: u8,
    /// Digits without a plus, or the name; in a TPDU also `*`, `#`, `a`, `b`, `c`, and a name of GSM 7-bit.
    pub text: String,
}

impl Address {
    fn new(ton: u8, npi: u8, text: String, over: Numbering) -> Address {
        Address { ton: over.ton.unwrap_or(ton), npi: over.npi.unwrap_or(npi), text }
    }
}

/// The destination of a submit_sm: TON 1, NPI 1, unless the link overrides them.
pub fn destination(to: Msisdn, over: Numbering) -> Address {
    Address::new(TON_INTERNATIONAL, NPI_ISDN, to.digits(), over)
}

/// The source of a submit_sm. Without a sender it is empty, which asks the SMSC for its own.
pub fn source(sender: Option<&Sender>, over: Numbering) -> Address {
    match sender {
        None => Address::new(TON_UNKNOWN, NPI_UNKNOWN, String::new(), over),
        Some(Sender::Number(number)) => Address::new(TON_INTERNATIONAL, NPI_ISDN, number.digits(), over),
        Some(Sender::ShortCode(code)) => Address::new(TON_NETWORK, NPI_UNKNOWN, code.to_string(), over),
        Some(Sender::Alphanumeric(name)) => {
            Address::new(TON_ALPHANUMERIC, NPI_UNKNOWN, name.to_string(), over)
        }
    }
}

/// Reads an address of the wire where it is an international number: by its TON, by a leading `+`, by a
/// leading `00`, or, where the TON is unknown, by at least 11 digits that do not begin with 0.
pub fn msisdn(ton: u8, npi: u8, octets: &[u8]) -> Option<Msisdn> {
    if ton == TON_ALPHANUMERIC || !matches!(npi, NPI_UNKNOWN | NPI_ISDN | NPI_LAND_MOBILE) {
        return None;
    }
    let text = std::str::from_utf8(octets).ok()?.trim_matches([' ', '\0']);
    if let Some(digits) = text.strip_prefix('+') {
        return Msisdn::parse_digits(digits).ok();
    }
    let digits = match ton {
        TON_INTERNATIONAL => text.strip_prefix("00").unwrap_or(text),
        TON_UNKNOWN => text.strip_prefix("00").or((text.len() >= MIN_OPEN_DIGITS).then_some(text))?,
        _ => return None,
    };
    Msisdn::parse_digits(digits).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number() -> Msisdn {
        Msisdn::parse_e164("+447700900123").unwrap()
    }

    fn address(ton: u8, npi: u8, text: &str) -> Address {
        Address { ton, npi, text: text.to_owned() }
    }

    #[test]
    fn each_kind_of_sender_has_its_ton_and_npi() {
        let auto = Numbering::default();
        for (sender, expected) in [
            ("ACME", address(5, 0, "ACME")),
            ("12345", address(3, 0, "12345")),
            ("+447700900123", address(1, 1, "447700900123")),
        ] {
            assert_eq!(source(Some(&Sender::parse(sender).unwrap()), auto), expected);
        }
        assert_eq!(source(None, auto), address(0, 0, ""));
        assert_eq!(destination(number(), auto), address(1, 1, "447700900123"));
    }

    #[test]
    fn the_link_overrides_what_it_names_and_nothing_else() {
        let ton = Numbering { ton: Some(6), npi: None };
        assert_eq!(source(Some(&Sender::parse("12345").unwrap()), ton), address(6, 0, "12345"));
        let npi = Numbering { ton: None, npi: Some(8) };
        assert_eq!(destination(number(), npi), address(1, 8, "447700900123"));
    }

    #[test]
    fn an_international_number_is_read_however_it_is_marked() {
        for (ton, npi, text) in [
            (1, 1, "447700900123"),
            (1, 0, "+447700900123"),
            (1, 1, "00447700900123"),
            (0, 0, "00447700900123"),
            (0, 1, "447700900123"),
            (2, 1, "+447700900123"),
            (1, 1, " 447700900123\0"),
        ] {
            assert_eq!(msisdn(ton, npi, text.as_bytes()), Some(number()), "{ton} {npi} {text:?}");
        }
    }

    #[test]
    fn what_is_not_surely_an_international_number_is_none() {
        for (ton, npi, octets) in [
            (2, 1, &b"07700900123"[..]),
            (0, 1, b"7700900123"),
            (0, 1, b"07700900123"),
            (3, 0, b"12345"),
            (5, 0, b"+447700900123"),
            (1, 3, b"447700900123"),
            (1, 1, b""),
            (1, 1, b"+"),
            (1, 1, b"4477009001234567"),
            (1, 1, b"44770090012x"),
            (1, 1, b"\xFF\xFE"),
        ] {
            assert_eq!(msisdn(ton, npi, octets), None, "{ton} {npi} {octets:?}");
        }
    }
}
