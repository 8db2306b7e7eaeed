//! Bringing what older programs wrote to the form of this one, and refusing what newer ones did.
//!
//! A value is brought forward when it is read, one version at a time, and written in the new form when
//! it next changes: the journal and snapshots hold old values too, so there is no point at which all are new.
//! [`SCHEMA`] counts changes of the keys themselves; a state of a newer one is refused.

use super::StoreError;
use super::record::VERSION;

/// The form of the keys this program reads and writes.
pub const SCHEMA: u32 = 1;

/// Turns the encoding of one version into that of the next; what it gets has passed its checksum.
pub type Step = fn(&[u8]) -> Result<Vec<u8>, StoreError>;

/// The step out of version `n` at place `n`. Version 0 was never released.
pub const STEPS: [Step; VERSION as usize] = [unreleased];

fn unreleased(_: &[u8]) -> Result<Vec<u8>, StoreError> {
    Err(StoreError::Damaged(String::from("a record has version 0, which no release wrote")))
}

/// The encoding of version `steps.len()` from that of `version`.
///
/// # Errors
/// `Newer` for a version this program does not know yet; what the steps say.
pub fn forward(steps: &[Step], version: u8, encoded: &[u8]) -> Result<Vec<u8>, StoreError> {
    let newer = StoreError::Newer { what: "record", found: u32::from(version), known: steps.len() as u32 };
    let due = steps.get(usize::from(version)..).ok_or(newer)?;
    due.iter().try_fold(encoded.to_vec(), |encoded, step| step(&encoded))
}

/// Refuses a state whose keys this program does not know.
pub(super) fn check_schema(found: u32) -> Result<(), StoreError> {
    if found > SCHEMA {
        return Err(StoreError::Newer { what: "state", found, known: SCHEMA });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::record;

    /// What an imaginary version 0 wrote: the counter as text. Version 1 holds it as a number.
    fn counter_from_text(encoded: &[u8]) -> Result<Vec<u8>, StoreError> {
        let damaged = || StoreError::Damaged(String::from("not a counter"));
        let text: String = postcard::from_bytes(encoded).map_err(|_| damaged())?;
        let count: u64 = text.parse().map_err(|_| damaged())?;
        postcard::to_stdvec(&count).map_err(|_| damaged())
    }

    /// Version 0, "1234567" in postcard, CRC-32C.
    const V0: &[u8] = include_bytes!("../../tests/golden/record-v0");

    #[test]
    fn a_value_of_an_older_version_is_brought_forward_when_read() {
        let steps: [Step; 1] = [counter_from_text];
        assert_eq!(record::decode_with::<u64>(&steps, V0).unwrap(), 1_234_567);
    }

    #[test]
    fn a_damaged_old_value_is_not_brought_forward() {
        let steps: [Step; 1] = [counter_from_text];
        for bit in 0..V0.len() * 8 {
            let mut flipped = V0.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(record::decode_with::<u64>(&steps, &flipped).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn newer_values_and_states_are_refused_in_clear_words() {
        let newer = forward(&STEPS, VERSION + 1, &[]).unwrap_err();
        assert!(newer.to_string().starts_with("the record has version 2 and this program knows 1: a newer"));
        assert!(matches!(check_schema(SCHEMA + 1), Err(StoreError::Newer { what: "state", .. })));
        assert!(check_schema(SCHEMA).is_ok());
    }

    #[test]
    fn version_0_was_never_released() {
        assert!(matches!(record::decode::<String>(V0), Err(StoreError::Damaged(_))));
    }
}
