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
