//! Time stamps of TPDUs (3GPP TS 23.040 section 9.2.3.11): year, month, day, hour, minute, second and zone,
//! each two swapped decimal digits; the zone in quarters of an hour, with its sign in bit 3.

use std::fmt;

use super::ServiceTime;
use crate::clock::Timestamp;

/// Quarters of an hour: no place on earth is further from UTC than 14 hours.
const MAX_ZONE: i8 = 56;
const QUARTER_SECONDS: i32 = 15 * 60;
const ZONE_SIGN: u8 = 0x08;
/// Two digits of the year; the section knows no other century.
const CENTURY: i16 = 2000;

impl ServiceTime {
    /// The instant; `None` where the digits are no date, no time of day, or the zone is none on earth.
    pub fn to_timestamp(self) -> Option<Timestamp> {
        let (local, zone) = self.read()?;
        let offset = jiff::tz::Offset::from_seconds(i32::from(zone) * QUARTER_SECONDS).ok()?;
        let millis = offset.to_timestamp(local).ok()?.as_millisecond();
        u64::try_from(millis).ok().map(Timestamp::from_millis)
    }

    /// An instant as the clock shows it `quarter_hours` east of UTC, 56 at most either way; whole seconds.
    /// Of the year only two digits are written.
    pub fn from_timestamp(at: Timestamp, quarter_hours: i8) -> ServiceTime {
        let zone = quarter_hours.clamp(-MAX_ZONE, MAX_ZONE);
        let offset = jiff::tz::Offset::from_seconds(i32::from(zone) * QUARTER_SECONDS);
        let instant = i64::try_from(at.as_millis()).map(jiff::Timestamp::from_millisecond);
        // The calendar ends a day before the clock does; both are far beyond two digits of a year.
        let instant = instant.ok().and_then(Result::ok).unwrap_or(jiff::Timestamp::MAX);
        let local = offset.unwrap_or(jiff::tz::Offset::UTC).to_datetime(instant);
        let sign = if zone < 0 { ZONE_SIGN } else { 0 };
        ServiceTime([
            swapped(local.year().rem_euclid(100) as u8),
            swapped(local.month() as u8),
            swapped(local.day() as u8),
            swapped(local.hour() as u8),
            swapped(local.minute() as u8),
            swapped(local.second() as u8),
            swapped(zone.unsigned_abs()) | sign,
        ])
    }

    /// The time as written there, and its zone in quarters of an hour.
    fn read(self) -> Option<(jiff::civil::DateTime, i8)> {
        let [year, month, day, hour, minute, second, zone] = self.0;
        let digits = |octet: u8| digits(octet).map(|value| value as i8);
        let local = jiff::civil::DateTime::new(
            CENTURY + i16::from(digits(year)?),
            digits(month)?,
            digits(day)?,
            digits(hour)?,
            digits(minute)?,
            digits(second)?,
            0,
        );
        let distance = digits(zone & !ZONE_SIGN).filter(|quarters| *quarters <= MAX_ZONE)?;
        Some((local.ok()?, if zone & ZONE_SIGN == 0 { distance } else { -distance }))
    }
}

/// RFC 3339 with the zone that was written, `2026-11-21T14:05:09+01:00`; the digits as they came where
/// they are no time.
impl fmt::Display for ServiceTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((local, zone)) = self.read() else {
            return f.write_str(&crate::sms::hex::encode(&self.0));
        };
        let (sign, quarters) = (if zone < 0 { '-' } else { '+' }, zone.unsigned_abs());
        write!(f, "{}{sign}{:02}:{:02}", local.strftime("%Y-%m-%dT%H:%M:%S"), quarters / 4, quarters % 4 * 15)
    }
}

/// 0 to 99; `None` where a semi-octet is no decimal digit.
pub fn digits(octet: u8) -> Option<u8> {
    let (tens, ones) = (octet & 0x0F, octet >> 4);
    (tens <= 9 && ones <= 9).then_some(tens * 10 + ones)
}

fn swapped(value: u8) -> u8 {
    (value / 10) | ((value % 10) << 4)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn time(hex: &str) -> ServiceTime {
        ServiceTime(crate::sms::hex::decode(hex).unwrap().try_into().unwrap())
    }

    #[test]
    fn the_zone_is_quarters_of_an_hour_with_its_sign_in_bit_3() {
        for (hex, shown, instant) in [
            ("62111241509040", "2026-11-21T14:05:09+01:00", "2026-11-21T13:05:09.000Z"),
            ("62111290530049", "2026-11-21T09:35:00-03:30", "2026-11-21T13:05:00.000Z"),
            ("62211332959515", "2026-12-31T23:59:59+12:45", "2026-12-31T11:14:59.000Z"),
        ] {
            assert_eq!(time(hex).to_string(), shown);
            assert_eq!(time(hex).to_timestamp().unwrap().to_rfc3339(), instant);
        }
    }

    #[test]
    fn what_cannot_be_a_time_is_none_and_shown_as_it_came() {
        for hex in [
            "62001241509040",
            "62311241509040",
            "62209241509040",
            "62111242509040",
            "621112415090FF",
            "62111241509075",
            "FFFFFFFFFFFFFF",
            "00000000000000",
        ] {
            assert_eq!(time(hex).to_timestamp(), None, "{hex}");
            assert_eq!(time(hex).to_string(), hex);
        }
    }

    #[test]
    fn the_end_of_time_is_written_without_a_panic() {
        for quarters in [i8::MIN, 0, i8::MAX] {
            assert!(ServiceTime::from_timestamp(Timestamp::MAX, quarters).to_timestamp().is_some());
        }
    }

    proptest! {
        #[test]
        fn an_instant_of_this_century_comes_back(
            seconds in 946_771_200_u64..4_102_358_400, quarters in -MAX_ZONE..=MAX_ZONE,
        ) {
            let at = Timestamp::from_millis(seconds * 1000);
            prop_assert_eq!(ServiceTime::from_timestamp(at, quarters).to_timestamp(), Some(at));
        }

        #[test]
        fn no_seven_octets_make_it_panic(octets in any::<[u8; 7]>()) {
            let time = ServiceTime(octets);
            prop_assert_eq!(time.to_timestamp().is_some(), time.to_string().contains('T'));
        }
    }
}
