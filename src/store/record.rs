//! The form of every stored value: a version byte, the postcard encoding, and a CRC-32C over both.
//!
//! ```text
//! | version 1 | postcard ... | crc32c of all before, little endian 4 |
//! ```
//! Enums inside are append-only. A value of an older version is brought forward by [`super::migrate`];
//! a value that does not check is damage and is never guessed at.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;
use super::migrate::{self, Step};

/// Version written now.
pub const VERSION: u8 = 1;
const CRC_BYTES: usize = 4;

/// The stored form of a value, at [`VERSION`].
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let start = vec![VERSION];
    // Our records hold no maps with unknown length and no types postcard refuses.
    #[expect(clippy::expect_used, reason = "the types are ours and all encodable")]
    let mut bytes = postcard::to_extend(value, start).expect("record types are encodable");
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

/// The value of a stored form of any version up to [`VERSION`].
///
/// # Errors
/// [`StoreError::Damaged`]: the checksum, the version or the encoding does not fit.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreError> {
    decode_with(&migrate::STEPS, bytes)
}

/// [`decode`] with other steps from older versions; as many as there are versions before [`VERSION`].
pub(super) fn decode_with<T: DeserializeOwned>(steps: &[Step], bytes: &[u8]) -> Result<T, StoreError> {
    let damaged = |what: &str| StoreError::Damaged(format!("a record {what}"));
    let split =
        bytes.len().checked_sub(CRC_BYTES).filter(|&at| at > 0).ok_or_else(|| damaged("is too short"))?;
    let (checked, crc) = bytes.split_at(split);
    if crc32c::crc32c(checked).to_le_bytes() != crc {
        return Err(damaged("does not match its checksum"));
    }
    let undecodable = |e| damaged(&format!("cannot be decoded: {e}"));
    if checked[0] == VERSION {
        return postcard::from_bytes(&checked[1..]).map_err(undecodable);
    }
    let encoded = migrate::forward(steps, checked[0], &checked[1..])?;
    postcard::from_bytes(&encoded).map_err(undecodable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_and_any_flipped_bit_is_seen() {
        let bytes = encode(&(7u64, String::from("text")));
        assert_eq!(decode::<(u64, String)>(&bytes).unwrap(), (7, String::from("text")));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode::<(u64, String)>(&flipped).is_err(), "bit {bit}");
        }
        assert!(decode::<(u64, String)>(&[]).is_err());
    }
}
