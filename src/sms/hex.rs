//! Octets as hexadecimal digits, as modems and `nudged debug` write them.

/// Why a line is not octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HexError {
    #[error("an odd number of hexadecimal digits ({0})")]
    Odd(usize),
    /// 0-based, in octets of the line.
    #[error("character {} is no hexadecimal digit", .0 + 1)]
    Digit(usize),
}

const DIGITS: &[u8; 16] = b"0123456789ABCDEF";

/// Upper case, two digits an octet.
pub fn encode(octets: &[u8]) -> String {
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble & 0x0F)]);
    octets.iter().flat_map(|octet| [digit(octet >> 4), digit(*octet)]).collect()
}

/// Reads digits of either case, and nothing else: no blank, no prefix.
///
/// # Errors
/// The first character that is no digit; otherwise an odd number of digits.
pub fn decode(digits: impl AsRef<[u8]>) -> Result<Vec<u8>, HexError> {
    let digits = digits.as_ref();
    let value = |(at, digit): (usize, &u8)| {
        let value = char::from(*digit).to_digit(16).ok_or(HexError::Digit(at))?;
        Ok(value as u8)
    };
    let nibbles = digits.iter().enumerate().map(value).collect::<Result<Vec<u8>, HexError>>()?;
    if nibbles.len() % 2 == 1 {
        return Err(HexError::Odd(nibbles.len()));
    }
    Ok(nibbles.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_go_out_in_upper_case_and_come_in_in_either() {
        assert_eq!(encode(&[0x00, 0x1A, 0xFF]), "001AFF");
        assert_eq!(decode("001aFf"), Ok(vec![0x00, 0x1A, 0xFF]));
        assert_eq!(decode(b""), Ok(vec![]));
    }

    #[test]
    fn what_is_no_octet_is_refused_by_place() {
        assert_eq!(decode("ABC"), Err(HexError::Odd(3)));
        for (digits, at) in [("0 11", 1), ("0x11", 1), ("+1", 0), ("1\u{FF11}", 1)] {
            assert_eq!(decode(digits), Err(HexError::Digit(at)), "{digits}");
        }
    }
}
