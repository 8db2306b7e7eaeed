//! Addresses within a TPDU (3GPP TS 23.040 section 9.1.2.5), and the SCA that a modem puts before one
//! (3GPP TS 27.005 section 3.1, 3GPP TS 24.011 section 8.2.5).
//!
//! ```text
//! TP-OA, TP-DA, TP-RA   length in semi-octets | 1 TON TON TON NPI NPI NPI NPI | digits or packed septets
//! SCA                   length in octets, this one not counted | the same octet | digits
//! ```

use super::read::Reader;
use super::{Address, TpduError};
use crate::sms::address::TON_ALPHANUMERIC;
use crate::sms::{alphabet, septets};

/// Semi-octets of an address: ten octets behind the type.
const MAX_SEMI_OCTETS: usize = 20;
/// Bit 7 of the type of address: no extension follows.
const NO_EXTENSION: u8 = 0x80;
const FILLER: u8 = 0x0F;
/// By semi-octet (section 9.1.2.3); the last value is the filler.
const DIGITS: [u8; 15] = *b"0123456789*#abc";

const SCA: &str = "SCA";

/// What comes before a TPDU in the lines of a modem: the SMSC's address, `None` where it is left to the SIM,
/// and the TPDU behind it.
///
/// # Errors
/// An address that is longer than one can be, ends early, or holds what is no digit.
pub fn split_sca(octets: &[u8]) -> Result<(Option<Address>, &[u8]), TpduError> {
    let mut reader = Reader::new(octets);
    let length = usize::from(reader.octet(SCA)?);
    if length == 0 {
        return Ok((None, reader.rest()));
    }
    let most = 1 + MAX_SEMI_OCTETS / 2;
    if length > most {
        return Err(TpduError::Length { field: SCA, stated: length, most });
    }
    let (ton, npi) = type_of(reader.octet(SCA)?);
    let digits = reader.take(length - 1, SCA)?;
    let text = digits_of(digits, digits.len() * 2, SCA)?;
    Ok((Some(Address { ton, npi, text }), reader.rest()))
}

/// The SMSC's address as a modem wants it before a TPDU; `00` asks for the SIM's own.
///
/// # Errors
/// What is no digit, or too many of them.
pub fn encode_sca(address: Option<&Address>) -> Result<Vec<u8>, TpduError> {
    let Some(address) = address else { return Ok(vec![0]) };
    let (_, digits) = semi_octets(&address.text, SCA)?;
    let mut octets = vec![1 + digits.len() as u8, type_octet(address)];
    octets.extend(digits);
    Ok(octets)
}

pub fn decode(reader: &mut Reader<'_>, field: &'static str) -> Result<Address, TpduError> {
    let length = usize::from(reader.octet(field)?);
    if length > MAX_SEMI_OCTETS {
        return Err(TpduError::Length { field, stated: length, most: MAX_SEMI_OCTETS });
    }
    let (ton, npi) = type_of(reader.octet(field)?);
    let octets = reader.take(length.div_ceil(2), field)?;
    let text = if ton == TON_ALPHANUMERIC {
        alphabet::decode_gsm7(&septets::unpack(octets, 0, length * 4 / 7))
    } else {
        digits_of(octets, length, field)?
    };
    Ok(Address { ton, npi, text })
}

pub fn encode(address: &Address, field: &'static str, out: &mut Vec<u8>) -> Result<(), TpduError> {
    let (length, octets) = if address.ton == TON_ALPHANUMERIC {
        name(&address.text, field)?
    } else {
        semi_octets(&address.text, field)?
    };
    out.extend([length as u8, type_octet(address)]);
    out.extend(octets);
    Ok(())
}

fn type_of(octet: u8) -> (u8, u8) {
    (octet >> 4 & 0x07, octet & 0x0F)
}

fn type_octet(address: &Address) -> u8 {
    NO_EXTENSION | (address.ton & 0x07) << 4 | address.npi & 0x0F
}

/// The low semi-octet comes first; a filler may stand at the end only.
fn digits_of(octets: &[u8], count: usize, field: &'static str) -> Result<String, TpduError> {
    let nibbles = octets.iter().flat_map(|octet| [octet & 0x0F, octet >> 4]).take(count);
    let mut nibbles: Vec<u8> = nibbles.collect();
    if nibbles.last() == Some(&FILLER) {
        nibbles.pop();
    }
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().map(char::from);
    nibbles.into_iter().map(|nibble| digit(nibble).ok_or(TpduError::Digit { field })).collect()
}

/// The count of semi-octets, and the octets that hold them.
fn semi_octets(text: &str, field: &'static str) -> Result<(usize, Vec<u8>), TpduError> {
    let nibble = |digit: u8| DIGITS.iter().position(|known| *known == digit).map(|at| at as u8);
    let nibbles: Option<Vec<u8>> = text.bytes().map(nibble).collect();
    let nibbles = nibbles.ok_or(TpduError::Digit { field })?;
    fits(nibbles.len(), field)?;
    let pair = |pair: &[u8]| pair[0] | pair.get(1).copied().unwrap_or(FILLER) << 4;
    Ok((nibbles.len(), nibbles.chunks(2).map(pair).collect()))
}

/// A name's length counts the semi-octets that its septets touch: 13 for seven.
fn name(text: &str, field: &'static str) -> Result<(usize, Vec<u8>), TpduError> {
    let septets = alphabet::encode_gsm7(text).map_err(|source| TpduError::Text { field, source })?;
    let length = (septets.len() * 7).div_ceil(4);
    fits(length, field)?;
    Ok((length, septets::pack(&septets, 0)))
}

fn fits(length: usize, field: &'static str) -> Result<(), TpduError> {
    if length > MAX_SEMI_OCTETS {
        return Err(TpduError::Length { field, stated: length, most: MAX_SEMI_OCTETS });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sms::hex;

    fn address(ton: u8, npi: u8, text: &str) -> Address {
        Address { ton, npi, text: text.to_owned() }
    }

    fn decoded(digits: &str) -> Result<Address, TpduError> {
        decode(&mut Reader::new(&hex::decode(digits).unwrap()), "TP-OA")
    }

    fn encoded(address: &Address) -> Result<String, TpduError> {
        let mut out = Vec::new();
        encode(address, "TP-OA", &mut out).map(|()| hex::encode(&out))
    }

    #[test]
    fn every_form_is_read_and_written_alike() {
        for (digits, form) in [
            ("0C91447700091032", address(1, 1, "447700900123")),
            ("0D91945111325476F8", address(1, 1, "4915112345678")),
            ("05811A00FB", address(0, 1, "*100#")),
            ("03A1DCFE", address(2, 1, "abc")),
            ("149121436587092143658709", address(1, 1, "12345678901234567890")),
            ("0080", address(0, 0, "")),
            ("00D0", address(5, 0, "")),
            ("02D041", address(5, 0, "A")),
            ("0DD0CDBC30EC5EC700", address(5, 0, "MyBank1")),
        ] {
            assert_eq!(decoded(digits), Ok(form.clone()), "{digits}");
            assert_eq!(encoded(&form).unwrap(), digits);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let most = MAX_SEMI_OCTETS;
        let field = "TP-OA";
        for (digits, error) in [
            ("", TpduError::Truncated { field }),
            ("0C", TpduError::Truncated { field }),
            ("0C914477000910", TpduError::Truncated { field }),
            ("1591214365870921436587090F", TpduError::Length { field, stated: 21, most }),
            ("FF91", TpduError::Length { field, stated: 255, most }),
            ("0491F121", TpduError::Digit { field }),
        ] {
            assert_eq!(decoded(digits), Err(error), "{digits}");
        }
    }

    #[test]
    fn a_filler_at_the_end_is_no_digit_also_where_the_length_counts_it() {
        assert_eq!(decoded("06812143F5"), Ok(address(0, 1, "12345")));
    }

    #[test]
    fn what_no_address_holds_is_not_written() {
        let field = "TP-OA";
        let error = |form: Address| encoded(&form).unwrap_err();
        assert_eq!(error(address(1, 1, "+447700900123")), TpduError::Digit { field });
        let length = |stated| TpduError::Length { field, stated, most: MAX_SEMI_OCTETS };
        assert_eq!(error(address(1, 1, &"1".repeat(21))), length(21));
        assert_eq!(error(address(5, 0, "Twelve chars")), length(21));
        assert!(matches!(error(address(5, 0, "Ж")), TpduError::Text { .. }));
    }

    #[test]
    fn the_sca_is_the_sims_own_or_an_address_counted_in_octets() {
        assert_eq!(split_sca(&[0, 0x11, 0x22]), Ok((None, &[0x11, 0x22][..])));
        assert_eq!(encode_sca(None), Ok(vec![0]));
        let line = hex::decode("07915348500202F011").unwrap();
        let sca = address(1, 1, "35840520200");
        assert_eq!(split_sca(&line), Ok((Some(sca.clone()), &[0x11][..])));
        assert_eq!(encode_sca(Some(&sca)).unwrap(), line[..8]);
    }

    #[test]
    fn an_sca_that_cannot_be_is_refused() {
        let field = SCA;
        assert_eq!(split_sca(&[]), Err(TpduError::Truncated { field }));
        assert_eq!(split_sca(&[3, 0x91, 0x44]), Err(TpduError::Truncated { field }));
        assert_eq!(split_sca(&[12, 0x91]), Err(TpduError::Length { field, stated: 12, most: 11 }));
        assert_eq!(split_sca(&[3, 0x91, 0xF4, 0x21]), Err(TpduError::Digit { field }));
        assert_eq!(encode_sca(Some(&address(5, 0, "ACME"))), Err(TpduError::Digit { field }));
    }
}
