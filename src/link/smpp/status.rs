//! What a command_status means for a submit_sm (SMPP 3.4 section 5.1.3), and what the configuration says instead.

use std::collections::BTreeMap;

use super::pdu::status;
use crate::message::{Cause, RawCode, Reason};
use crate::retry::RetryClass;

/// The meaning of an answer to a submit_sm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    Accepted,
    /// Slow down and send the same segment again; costs it nothing.
    SlowDown(Cause),
    Refused {
        cause: Cause,
        retry: RetryClass,
    },
}

/// Reads a status; `overrides` goes over the built-in table, the two slow-downs included.
pub fn meaning(command_status: u32, overrides: &BTreeMap<u32, RetryClass>) -> Meaning {
    if command_status == status::OK {
        return Meaning::Accepted;
    }
    let (reason, built_in) = built_in(command_status);
    let raw = RawCode::CommandStatus(command_status);
    match overrides.get(&command_status).copied().or(built_in) {
        None => Meaning::SlowDown(Cause::new(reason, raw)),
        Some(RetryClass::OptedOut) => {
            Meaning::Refused { cause: Cause::new(Reason::PolicyOptedOut, raw), retry: RetryClass::OptedOut }
        }
        Some(retry) => Meaning::Refused { cause: Cause::new(reason, raw), retry },
    }
}

/// The reason, and the class of a refusal; `None` for "slow down".
fn built_in(command_status: u32) -> (Reason, Option<RetryClass>) {
    use RetryClass::{Park, Permanent, Temporary};
    match command_status {
        status::THROTTLED => (Reason::SmscThrottled, None),
        status::QUEUE_FULL => (Reason::SmscQueueFull, None),
        0x08 | 0x34 | 0x61 | 0x64 | 0x65 => (Reason::SmscTemporary, Some(Temporary)),
        0x01..=0x03 | 0x33 => (Reason::SmscMalformed, Some(Permanent)),
        0x0A | 0x48..=0x4A => (Reason::SmscBadSender, Some(Permanent)),
        0x0B | 0x50 | 0x51 => (Reason::SmscBadDestination, Some(Permanent)),
        0x45 => (Reason::SmscRejected, Some(Permanent)),
        0x62 => (Reason::SmscExpired, Some(Permanent)),
        0x04 | 0x0C..=0x0F | 0x15 => (Reason::SmscAccount, Some(Park)),
        _ => (Reason::SmscUnknownCode, Some(Temporary)),
    }
}

/// A bind refused with this needs a person: trying again soon gets accounts locked.
pub fn parks_bind(command_status: u32) -> bool {
    matches!(command_status, status::BIND_FAILED | status::INVALID_PASSWORD | status::INVALID_SYSTEM_ID)
}

/// A refused bind in words.
pub fn bind_refusal(command_status: u32) -> String {
    let words = match command_status {
        0x05 => "already bound; the old session lingers at the carrier",
        status::BIND_FAILED => "bind failed",
        status::INVALID_PASSWORD => "wrong password",
        status::INVALID_SYSTEM_ID => "unknown system_id",
        _ => "refused",
    };
    format!("bind: {words} (command_status 0x{command_status:08X})")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(command_status: u32) -> Option<RetryClass> {
        match meaning(command_status, &BTreeMap::new()) {
            Meaning::Refused { retry, .. } => Some(retry),
            Meaning::Accepted | Meaning::SlowDown(_) => None,
        }
    }

    #[test]
    fn every_class_of_the_table_is_told_apart() {
        assert_eq!(meaning(0, &BTreeMap::new()), Meaning::Accepted);
        for slow in [0x58, 0x14] {
            assert!(matches!(meaning(slow, &BTreeMap::new()), Meaning::SlowDown(_)));
        }
        for temporary in [0x08, 0x64, 0x65, 0x61, 0x34, 0x400, 0x4FF, 0x9999_9999] {
            assert_eq!(class(temporary), Some(RetryClass::Temporary), "{temporary:#x}");
        }
        for permanent in [0x0A, 0x0B, 0x45, 1, 2, 3, 0x33, 0x48, 0x49, 0x4A, 0x50, 0x51, 0x62] {
            assert_eq!(class(permanent), Some(RetryClass::Permanent), "{permanent:#x}");
        }
        for park in [0x04, 0x0C, 0x0D, 0x0E, 0x0F, 0x15] {
            assert_eq!(class(park), Some(RetryClass::Park), "{park:#x}");
        }
    }

    #[test]
    fn the_configuration_goes_over_the_table_and_the_raw_code_stays() {
        let overrides = BTreeMap::from([(0x411, RetryClass::OptedOut), (0x45, RetryClass::Temporary)]);
        let Meaning::Refused { cause, retry } = meaning(0x411, &overrides) else { panic!("accepted") };
        assert_eq!((retry, cause.reason), (RetryClass::OptedOut, Reason::PolicyOptedOut));
        assert_eq!(cause.raw, Some(RawCode::CommandStatus(0x411)));
        let Meaning::Refused { cause, retry } = meaning(0x45, &overrides) else { panic!("accepted") };
        assert_eq!((retry, cause.reason), (RetryClass::Temporary, Reason::SmscRejected));
    }
}
