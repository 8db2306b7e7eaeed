//! TP-VP in its three formats (3GPP TS 23.040 section 9.2.3.12).

use std::time::Duration;

use super::read::Reader;
use super::time::digits;
use super::{ServiceTime, TpduError, Validity};

const VP: &str = "TP-VP";
/// TP-VPF, bits 3 and 4 of the first octet (section 9.2.3.3).
pub const VPF_MASK: u8 = 0x18;
const VPF_ENHANCED: u8 = 0x08;
const VPF_RELATIVE: u8 = 0x10;
const VPF_ABSOLUTE: u8 = 0x18;

/// Bit 6 of the enhanced form's first octet: the SMSC tries once only.
const SINGLE_SHOT: u8 = 0x40;

const MINUTES_OF_DAY: u32 = 24 * 60;

/// What the enhanced form says (section 9.2.3.12.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enhanced {
    /// None, or reserved.
    Nothing,
    /// Minutes, by the octet of the relative form.
    Minutes(u32),
    /// Seconds, as a number or as hours, minutes and seconds.
    Seconds(u32),
}

impl Validity {
    /// The relative form, rounded down so that nothing outlives what was asked for; 5 minutes is the
    /// shortest there is, 63 weeks the longest.
    pub fn relative(validity: Duration) -> Validity {
        let minutes = validity.as_secs() / 60;
        let days = minutes / u64::from(MINUTES_OF_DAY);
        let octet = match (days, minutes) {
            (_, ..720) => (minutes / 5).saturating_sub(1),
            (..1, _) => 143 + (minutes - 720) / 30,
            (1, _) => 167,
            (2..35, _) => 166 + days.min(30),
            _ => 192 + (days / 7).min(63),
        };
        Validity::Relative(octet as u8)
    }

    /// Whole minutes from the SMSC's receipt on; `None` for the absolute form, and where the enhanced form
    /// names none.
    pub fn minutes(self) -> Option<u32> {
        match self {
            Validity::Relative(octet) => Some(relative_minutes(octet)),
            Validity::Absolute(_) => None,
            Validity::Enhanced(octets) => match enhanced(octets) {
                Enhanced::Nothing => None,
                Enhanced::Minutes(minutes) => Some(minutes),
                Enhanced::Seconds(seconds) => Some(seconds / 60),
            },
        }
    }

    /// TP-VPF, in its place in the first octet.
    pub const fn format(this: Option<Validity>) -> u8 {
        match this {
            None => 0,
            Some(Validity::Relative(_)) => VPF_RELATIVE,
            Some(Validity::Absolute(_)) => VPF_ABSOLUTE,
            Some(Validity::Enhanced(_)) => VPF_ENHANCED,
        }
    }
}

pub fn decode(first: u8, reader: &mut Reader<'_>) -> Result<Option<Validity>, TpduError> {
    Ok(match first & VPF_MASK {
        VPF_RELATIVE => Some(Validity::Relative(reader.octet(VP)?)),
        VPF_ABSOLUTE => Some(Validity::Absolute(ServiceTime(reader.array(VP)?))),
        VPF_ENHANCED => Some(Validity::Enhanced(reader.array(VP)?)),
        _ => None,
    })
}

pub fn encode(validity: Option<Validity>, out: &mut Vec<u8>) {
    match validity {
        None => {}
        Some(Validity::Relative(octet)) => out.push(octet),
        Some(Validity::Absolute(ServiceTime(octets)) | Validity::Enhanced(octets)) => out.extend(octets),
    }
}

pub fn enhanced(octets: [u8; 7]) -> Enhanced {
    let [indicator, first, second, third, ..] = octets;
    match indicator & 0x07 {
        1 => Enhanced::Minutes(relative_minutes(first)),
        2 => Enhanced::Seconds(u32::from(first)),
        3 => {
            let clock = (digits(first), digits(second), digits(third));
            let (Some(hours), Some(minutes), Some(seconds)) = clock else { return Enhanced::Nothing };
            Enhanced::Seconds(u32::from(hours) * 3600 + u32::from(minutes) * 60 + u32::from(seconds))
        }
        _ => Enhanced::Nothing,
    }
}

pub fn single_shot(octets: [u8; 7]) -> bool {
    octets[0] & SINGLE_SHOT != 0
}

fn relative_minutes(octet: u8) -> u32 {
    let steps = u32::from(octet);
    match octet {
        0..=143 => (steps + 1) * 5,
        144..=167 => 720 + (steps - 143) * 30,
        168..=196 => (steps - 166) * MINUTES_OF_DAY,
        197..=255 => (steps - 192) * 7 * MINUTES_OF_DAY,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn octet(minutes: u64) -> u8 {
        match Validity::relative(Duration::from_secs(minutes * 60)) {
            Validity::Relative(octet) => octet,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_steps_are_those_of_the_specification() {
        let day = 24 * 60;
        for (minutes, expected) in [
            (0, 0),
            (5, 0),
            (9, 0),
            (10, 1),
            (719, 142),
            (720, 143),
            (749, 143),
            (750, 144),
            (day, 167),
            (2 * day - 1, 167),
            (2 * day, 168),
            (30 * day, 196),
            (35 * day - 1, 196),
            (35 * day, 197),
            (63 * 7 * day, 255),
            (1_000_000_000, 255),
        ] {
            assert_eq!(octet(minutes), expected, "{minutes}");
        }
    }

    #[test]
    fn the_enhanced_form_says_minutes_seconds_a_clock_or_nothing() {
        let of = |hex: &str| enhanced(crate::sms::hex::decode(hex).unwrap().try_into().unwrap());
        assert_eq!(of("01AA0000000000"), Enhanced::Minutes(5760));
        assert_eq!(of("422D0000000000"), Enhanced::Seconds(45));
        assert_eq!(of("03215443000000"), Enhanced::Seconds(12 * 3600 + 45 * 60 + 34));
        assert_eq!(of("03FF5443000000"), Enhanced::Nothing);
        assert_eq!(of("00000000000000"), Enhanced::Nothing);
        assert!(single_shot([0x42, 0, 0, 0, 0, 0, 0]));
    }

    proptest! {
        #[test]
        fn a_period_is_never_outlived_and_never_cut_by_more_than_a_step(minutes in 5..2_000_000_u64) {
            let written = octet(minutes);
            prop_assert!(u64::from(relative_minutes(written)) <= minutes);
            if let Some(longer) = written.checked_add(1) {
                prop_assert!(u64::from(relative_minutes(longer)) > minutes);
            }
        }
    }
}
