//! Identifiers: 64 bits, ordered by time, written with a prefix that says what they name.
//!
//! The upper 44 bits are milliseconds since 1970, the lower 20 a running number, so a key made of an id
//! sorts by acceptance. Whoever allots ids ([`Allotter`]) never goes back, whatever the wall clock does.
//! Outside they are opaque: a prefix and 13 characters of Crockford's base 32.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const DIGITS: usize = 13;
const SEQUENCE_BITS: u32 = 20;

/// The text is no id of the kind asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id of this kind")]
pub struct BadId;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(u64);

        impl $name {
            pub const PREFIX: &'static str = $prefix;

            pub const fn from_u64(raw: u64) -> Self {
                Self(raw)
            }

            pub const fn as_u64(self) -> u64 {
                self.0
            }

            /// The least id that could be allotted at `at`.
            pub const fn earliest(at: Timestamp) -> Self {
                Self(at.as_millis() << SEQUENCE_BITS)
            }

            /// When it was allotted, to the millisecond: later where the clock had gone back, never earlier.
            pub const fn allotted_at(self) -> Timestamp {
                Timestamp::from_millis(self.0 >> SEQUENCE_BITS)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($prefix)?;
                write_base32(self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                parse_base32(text.strip_prefix($prefix).ok_or(BadId)?).map(Self)
            }
        }
    };
}

id!(/// A message on its way out.
    MessageId, "msg_");
id!(/// A reply that came in.
    InboundId, "inb_");
id!(/// A person who owes, as kept.
    ContactId, "con_");
id!(/// A debt.
    ObligationId, "obl_");
id!(/// Something a person must do.
    TaskId, "tsk_");
id!(/// A file of cases.
    ImportId, "imp_");
id!(/// Messages accepted by one request.
    BatchId, "bat_");
id!(/// A published event: its number in the journal and no time.
    EventId, "evt_");

fn write_base32(raw: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for digit in (0..DIGITS as u32).rev() {
        let value = (raw >> (digit * 5)) & 31;
        fmt::Write::write_char(f, char::from(ALPHABET[value as usize]))?;
    }
    Ok(())
}

fn parse_base32(text: &str) -> Result<u64, BadId> {
    if text.len() != DIGITS {
        return Err(BadId);
    }
    text.bytes().try_fold(0u64, |raw, byte| {
        let value = ALPHABET.iter().position(|&c| c == byte).ok_or(BadId)?;
        let shifted = raw.checked_mul(32).ok_or(BadId)?;
        Ok(shifted | value as u64)
    })
}

/// Hands out ids of all kinds, each greater than every one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Allotter {
    last: u64,
}

impl Allotter {
    pub fn next(&mut self, now: Timestamp) -> u64 {
        self.last = (self.last + 1).max(now.as_millis() << SEQUENCE_BITS);
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_as_itself_and_only_with_its_own_prefix() {
        for raw in [0, 1, 31, 32, u64::MAX, 1 << 44] {
            let id = MessageId::from_u64(raw);
            assert_eq!(id.to_string().parse::<MessageId>(), Ok(id));
            assert_eq!(id.to_string().parse::<BatchId>(), Err(BadId));
        }
        assert_eq!("msg_zzzzzzzzzzzzz".parse::<MessageId>(), Err(BadId), "more than 64 bits");
        assert_eq!("msg_".parse::<MessageId>(), Err(BadId));
    }

    #[test]
    fn ids_never_go_back_when_the_clock_does() {
        let mut ids = Allotter::default();
        let late = ids.next(Timestamp::from_millis(5_000));
        let early = ids.next(Timestamp::from_millis(1_000));
        assert!(early > late);
        assert_eq!(MessageId::from_u64(late).allotted_at(), Timestamp::from_millis(5_000));
    }
}
