//! How many reminders one phone may get: the packs' caps, and the times of those it had.
//!
//! A phone's ledger counts over all creditors, which is stricter than the laws that count by debt. `1d` is the
//! calendar day of the contact, in every zone that they may be in; longer ones are rolling days of 24 hours, a week
//! too. A time that lies ahead, since the clock went back, counts as a reminder of now: no jump of the clock frees a
//! place before its window has passed on the clock that shows now.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::zone::{Zone, ZoneSet, from_jiff, to_jiff};
use crate::clock::Timestamp;

/// Times kept of one phone. No cap allows so many, so what is forgotten could not have mattered.
const TIMES_MAX: usize = 64;
/// A cap beyond this is a typing error: nobody wants two reminders a day for a month.
const CAP_MAX: u8 = 60;
/// A cap over a longer time would outlast the times kept.
const DAYS_MAX: u8 = 31;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// At most `max` reminders in a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawCap", into = "RawCap")]
pub struct Cap {
    max: u8,
    per: Per,
}

/// The time of a cap: `1d`, `2d` to `31d`, or `week`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Per {
    /// A calendar day of the contact.
    Day,
    /// Rolling days of 24 hours.
    Days(u8),
}

/// A cap as written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCap {
    max: u8,
    per: Per,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCap {
    #[error("max must be 0 to 60")]
    Max,
    #[error("per must be 1d to 31d, or week")]
    Per,
}

impl Cap {
    /// # Errors
    /// [`BadCap`]
    pub fn new(max: u8, per: Per) -> Result<Cap, BadCap> {
        let fits = !matches!(per, Per::Days(days) if !(2..=DAYS_MAX).contains(&days));
        match (max <= CAP_MAX, fits) {
            (false, _) => Err(BadCap::Max),
            (true, false) => Err(BadCap::Per),
            (true, true) => Ok(Cap { max, per }),
        }
    }

    pub const fn max(self) -> u8 {
        self.max
    }

    pub const fn per(self) -> Per {
        self.per
    }
}

impl TryFrom<RawCap> for Cap {
    type Error = BadCap;

    fn try_from(raw: RawCap) -> Result<Cap, BadCap> {
        Cap::new(raw.max, raw.per)
    }
}

impl From<Cap> for RawCap {
    fn from(cap: Cap) -> RawCap {
        RawCap { max: cap.max, per: cap.per }
    }
}

impl fmt::Display for Cap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.max, String::from(self.per))
    }
}

impl TryFrom<String> for Per {
    type Error = BadCap;

    fn try_from(text: String) -> Result<Per, BadCap> {
        if text == "week" {
            return Ok(Per::Days(7));
        }
        let days = text.strip_suffix('d').filter(|n| n.bytes().all(|b| b.is_ascii_digit()));
        match days.and_then(|n| n.parse().ok()) {
            Some(1) => Ok(Per::Day),
            Some(days) if (2..=DAYS_MAX).contains(&days) => Ok(Per::Days(days)),
            _ => Err(BadCap::Per),
        }
    }
}

impl From<Per> for String {
    fn from(per: Per) -> String {
        match per {
            Per::Day => String::from("1d"),
            Per::Days(days) => format!("{days}d"),
        }
    }
}

/// When one phone got its last reminders, from all creditors; the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    times: Vec<Timestamp>,
}

impl Ledger {
    pub fn add(&mut self, at: Timestamp) {
        let place = self.times.partition_point(|&time| time <= at);
        self.times.insert(place, at);
        if self.times.len() > TIMES_MAX {
            self.times.remove(0);
        }
    }

    /// A reminder of this instant was taken back before any byte of it went; `false` where none is known.
    pub fn take_back(&mut self, at: Timestamp) -> bool {
        let place = self.times.binary_search(&at);
        if let Ok(place) = place {
            self.times.remove(place);
        }
        place.is_ok()
    }

    /// Reminders that count against a cap now.
    pub fn count(&self, per: Per, now: Timestamp, zones: &ZoneSet) -> usize {
        self.times.iter().rev().take_while(|&&time| frees_at(time, per, zones) > now).count()
    }

    /// The first instant from `now` on at which one more is within this cap; `None` if it is now.
    pub fn wait(&self, cap: Cap, now: Timestamp, zones: &ZoneSet) -> Option<Timestamp> {
        let Some(kept) = usize::from(cap.max).checked_sub(1) else { return Some(Timestamp::MAX) };
        let oldest = self.times.iter().rev().nth(kept)?;
        Some(frees_at(*oldest, cap.per, zones)).filter(|&free| free > now)
    }

    /// The first instant from `now` on at which one more is within all caps.
    pub fn next_allowed(
        &self,
        caps: impl IntoIterator<Item = Cap>,
        now: Timestamp,
        zones: &ZoneSet,
    ) -> Timestamp {
        caps.into_iter().filter_map(|cap| self.wait(cap, now, zones)).max().unwrap_or(now)
    }

    /// The oldest first.
    pub fn times(&self) -> &[Timestamp] {
        &self.times
    }
}

/// When a reminder of `time` no longer counts.
fn frees_at(time: Timestamp, per: Per, zones: &ZoneSet) -> Timestamp {
    match per {
        Per::Days(days) => time.saturating_add(DAY * u32::from(days)),
        Per::Day => zones.zones().iter().map(|zone| next_day(time, zone)).max().unwrap_or(Timestamp::MAX),
    }
}

/// The beginning of the calendar day after `time`; the end of time where the calendar ends.
fn next_day(time: Timestamp, zone: &Zone) -> Timestamp {
    let tomorrow = to_jiff(time).to_zoned(zone.rules().clone()).tomorrow();
    let begins = tomorrow.and_then(|day| day.start_of_day());
    begins.map_or(Timestamp::MAX, |day| from_jiff(day.timestamp()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    fn zones(names: &[&str]) -> ZoneSet {
        ZoneSet::new(names.iter().map(|name| Zone::parse(name).unwrap())).unwrap()
    }

    fn cap(max: u8, per: &str) -> Cap {
        Cap::new(max, Per::try_from(per.to_owned()).unwrap()).unwrap()
    }

    fn ledger(times: &[&str]) -> Ledger {
        let mut ledger = Ledger::default();
        times.iter().for_each(|time| ledger.add(at(time)));
        ledger
    }

    #[test]
    fn a_day_is_the_calendar_day_of_the_contact() {
        let ledger = ledger(&["2026-03-02T18:30:00Z"]);
        let berlin = zones(&["Europe/Berlin"]);
        let one = cap(1, "1d");
        assert_eq!(ledger.count(Per::Day, at("2026-03-02T22:59:59Z"), &berlin), 1);
        assert_eq!(ledger.wait(one, at("2026-03-02T19:00:00Z"), &berlin), Some(at("2026-03-02T23:00:00Z")));
        assert_eq!(
            ledger.wait(one, at("2026-03-02T23:00:00Z"), &berlin),
            None,
            "13 hours later, but tomorrow"
        );
    }

    #[test]
    fn the_day_ends_when_it_ends_in_every_zone() {
        let ledger = ledger(&["2026-03-02T19:00:00Z"]);
        let coasts = zones(&["America/New_York", "America/Los_Angeles"]);
        let next = ledger.next_allowed([cap(1, "1d")], at("2026-03-02T20:00:00Z"), &coasts);
        assert_eq!(next, at("2026-03-03T08:00:00Z"), "midnight in Los Angeles");
    }

    #[test]
    fn a_day_of_23_hours_is_one_day() {
        let ledger = ledger(&["2026-03-29T08:00:00Z"]);
        let berlin = zones(&["Europe/Berlin"]);
        let next = ledger.next_allowed([cap(1, "1d")], at("2026-03-29T09:00:00Z"), &berlin);
        assert_eq!(next, at("2026-03-29T22:00:00Z"));
    }

    #[test]
    fn two_in_seven_days_are_rolling() {
        let ledger = ledger(&["2026-03-02T18:00:00Z", "2026-03-04T18:00:00Z"]);
        let boston = zones(&["America/New_York"]);
        for per in ["7d", "week"] {
            let now = at("2026-03-08T18:00:00Z");
            assert_eq!(ledger.wait(cap(2, per), now, &boston), Some(at("2026-03-09T18:00:00Z")), "{per}");
            assert_eq!(ledger.wait(cap(3, per), now, &boston), None, "{per}");
        }
    }

    #[test]
    fn the_strictest_cap_says_when() {
        let ledger = ledger(&["2026-03-02T18:00:00Z", "2026-03-03T18:00:00Z"]);
        let caps = [cap(1, "1d"), cap(2, "7d"), cap(6, "30d")];
        let next = ledger.next_allowed(caps, at("2026-03-03T19:00:00Z"), &zones(&["UTC"]));
        assert_eq!(next, at("2026-03-09T18:00:00Z"));
    }

    #[test]
    fn a_clock_that_goes_back_frees_nothing() {
        let ledger = ledger(&["2026-03-10T18:00:00Z"]);
        let utc = zones(&["UTC"]);
        for now in ["2026-03-10T17:00:00Z", "2026-03-01T12:00:00Z", "2020-01-01T00:00:00Z"] {
            assert_eq!(ledger.count(Per::Day, at(now), &utc), 1, "{now}");
            assert_eq!(ledger.wait(cap(1, "1d"), at(now), &utc), Some(at("2026-03-11T00:00:00Z")), "{now}");
        }
    }

    #[test]
    fn what_was_taken_back_counts_no_more() {
        let mut ledger = ledger(&["2026-03-02T18:00:00Z", "2026-03-02T18:00:00Z"]);
        assert!(ledger.take_back(at("2026-03-02T18:00:00Z")));
        assert_eq!(ledger.times().len(), 1);
        assert!(ledger.take_back(at("2026-03-02T18:00:00Z")));
        assert!(!ledger.take_back(at("2026-03-02T18:00:00Z")));
    }

    #[test]
    fn a_ledger_stays_small_and_forgets_the_oldest() {
        let mut ledger = Ledger::default();
        (0..200).for_each(|hour| ledger.add(Timestamp::from_millis(hour * 3_600_000)));
        assert_eq!(ledger.times().len(), TIMES_MAX);
        assert_eq!(ledger.times().first(), Some(&Timestamp::from_millis(136 * 3_600_000)));
        assert!(usize::from(CAP_MAX) < TIMES_MAX);
    }

    #[test]
    fn caps_read_back_what_they_show() {
        for (text, shown) in [("1d", "1d"), ("7d", "7d"), ("week", "7d"), ("31d", "31d")] {
            assert_eq!(String::from(Per::try_from(text.to_owned()).unwrap()), shown);
        }
        for bad in ["", "d", "0d", "32d", "+7d", "7", "month", "7 d", "999d"] {
            assert_eq!(Per::try_from(bad.to_owned()), Err(BadCap::Per), "{bad}");
        }
        assert_eq!(Cap::new(61, Per::Day), Err(BadCap::Max));
        assert_eq!(Cap::new(1, Per::Days(90)), Err(BadCap::Per));
        let cap: Cap = serde_json::from_str(r#"{"max": 2, "per": "7d"}"#).unwrap();
        assert_eq!(cap.to_string(), "2/7d");
        assert_eq!(postcard::from_bytes::<Cap>(&postcard::to_stdvec(&cap).unwrap()).unwrap(), cap);
        assert!(serde_json::from_str::<Cap>(r#"{"max": 2, "per": "7d", "scope": "debt"}"#).is_err());
    }

    proptest! {
        #[test]
        fn one_more_is_within_the_caps_when_they_say_so_and_not_before(
            hours in proptest::collection::vec(0..1_000_u64, 0..40),
            now in 0..1_200_u64,
            max in 1..7_u8,
            days in 1..31_u8,
        ) {
            let per = if days == 1 { Per::Day } else { Per::Days(days) };
            let (cap, zones) = (Cap::new(max, per).unwrap(), zones(&["America/New_York", "Pacific/Auckland"]));
            let mut ledger = Ledger::default();
            hours.iter().for_each(|hour| ledger.add(Timestamp::from_millis(hour * 3_600_000)));
            let now = Timestamp::from_millis(now * 3_600_000);
            let next = ledger.next_allowed([cap], now, &zones);
            prop_assert!(ledger.count(per, next, &zones) < usize::from(max));
            if next > now {
                let before = next.saturating_sub(Duration::from_millis(1));
                prop_assert!(ledger.count(per, before, &zones) >= usize::from(max));
            }
        }
    }
}
