//! Quotas: how many segments a link may send in a minute, hour, day or month, and to how many numbers. Pure.
//!
//! A [`Meter`] counts against one [`Quota`] in its running period; the [`Ledger`] in it is what is stored. Days and
//! months are the firm's, minutes and hours the clock's. Invariants, whatever the clock does:
//! * No period begins while the wall clock is in doubt. What goes meanwhile under a date that is ahead counts for
//!   that date too, should it turn out to be right.
//! * A clock that was set back opens nothing anew: what counted in the period it came from and in the one it is in
//!   now counts together. In a period older than the ledger remembers nothing may go at all.
//!
//! When the clock is in doubt is the engine's to say, and so is what is counted.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::reminder::zone::Zone;

/// So many in each period, `"500/day"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    pub count: u32,
    pub per: Period,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Period {
    Minute,
    Hour,
    Day,
    Month,
}

/// What one link may send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Of segments, each of which must be kept.
    pub segments: Vec<Quota>,
    /// Of different numbers.
    pub recipients: Option<Quota>,
    /// How long a number waits for the link it knows; zero: not at all.
    pub sticky: Duration,
}

/// From an instant to just before another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    pub from: Timestamp,
    pub until: Timestamp,
}

impl Period {
    /// The word of the configuration, the API and the metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Period::Minute => "min",
            Period::Hour => "hour",
            Period::Day => "day",
            Period::Month => "month",
        }
    }

    /// The period of an instant.
    pub fn span(self, at: Timestamp, zone: &Zone) -> Span {
        let date = zone.local(at).date();
        match self {
            Period::Minute => even(at, Duration::from_secs(60)),
            Period::Hour => even(at, Duration::from_secs(3_600)),
            Period::Day => {
                Span { from: zone.begin_of(date), until: zone.begin_of(date.saturating_add(day())) }
            }
            Period::Month => Span {
                from: zone.begin_of(date.first_of_month()),
                until: zone.begin_of(date.last_of_month().saturating_add(day())),
            },
        }
    }
}

fn day() -> jiff::Span {
    jiff::Span::new().days(1)
}

fn even(at: Timestamp, length: Duration) -> Span {
    let millis = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
    let from = Timestamp::from_millis(at.as_millis() / millis * millis);
    Span { from, until: from.saturating_add(length) }
}

/// What is kept of one quota over a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Where the period began that is believed to run.
    pub from: Timestamp,
    used: u32,
    /// Of these, what went under a later date that was in doubt.
    ahead: u32,
    /// The period before, and what was used in it.
    before: (Timestamp, u32),
    /// The first lease counted in this period; [`u64::MAX`]: none.
    first_lease: u64,
}

impl Default for Ledger {
    fn default() -> Ledger {
        let never = Timestamp::MIN;
        Ledger { from: never, used: 0, ahead: 0, before: (never, 0), first_lease: u64::MAX }
    }
}

/// One quota with what counts against it.
#[derive(Clone, Debug)]
pub struct Meter {
    pub quota: Quota,
    ledger: Ledger,
    /// The period of the last look.
    span: Span,
}

impl Meter {
    /// To be looked at ([`Meter::see`]) before anything else.
    pub fn new(quota: Quota, ledger: Ledger) -> Meter {
        Meter { quota, ledger, span: Span::default() }
    }

    pub fn ledger(&self) -> Ledger {
        self.ledger
    }

    /// Takes note of the time; a new period begins if the clock is believed.
    pub fn see(&mut self, now: Timestamp, zone: &Zone, in_doubt: bool) {
        if now < self.span.from || now >= self.span.until {
            self.span = self.quota.per.span(now, zone);
        }
        let Ledger { from, used, ahead, .. } = self.ledger;
        if self.span.from > from && !in_doubt {
            let before = (from, used);
            self.ledger =
                Ledger { from: self.span.from, used: ahead, ahead: 0, before, first_lease: u64::MAX };
        }
    }

    /// What counts now; [`u32::MAX`] where nothing is known of this period and so nothing may go.
    pub fn used(&self) -> u32 {
        let Ledger { from, used, before, .. } = self.ledger;
        if self.span.from >= from || before.0 < self.span.from {
            used
        } else if before.0 == self.span.from {
            used.saturating_add(before.1)
        } else {
            u32::MAX
        }
    }

    pub fn left(&self) -> u32 {
        self.quota.count.saturating_sub(self.used())
    }

    /// When there is room again at the latest, if the clock goes on as it does.
    pub fn until(&self, zone: &Zone) -> Timestamp {
        let Ledger { from, used, .. } = self.ledger;
        match self.span.from < from {
            false => self.span.until,
            true if used < self.quota.count => from,
            true => self.quota.per.span(from, zone).until,
        }
    }

    /// Counts what a lease takes.
    pub fn count(&mut self, count: u32, lease: u64) {
        let ledger = &mut self.ledger;
        ledger.used = ledger.used.saturating_add(count);
        if self.span.from > ledger.from {
            ledger.ahead = ledger.ahead.saturating_add(count);
        }
        ledger.first_lease = ledger.first_lease.min(lease);
    }

    /// Takes back what a lease did not use, if it was counted in this period.
    pub fn give_back(&mut self, count: u32, lease: u64) {
        if lease >= self.ledger.first_lease {
            self.ledger.used = self.ledger.used.saturating_sub(count);
            self.ledger.ahead = self.ledger.ahead.min(self.ledger.used);
        }
    }

    /// The firm moved: the period of `now` begins by another zone, with what was used in it.
    pub fn move_to(&mut self, now: Timestamp, old: &Zone, new: &Zone) {
        if self.quota.per.span(now, old).from == self.ledger.from {
            self.ledger.from = self.quota.per.span(now, new).from;
            self.ledger.before = (Timestamp::MIN, 0);
        }
    }

    /// The period that runs now is the right one, whatever was believed: what counts in it stays.
    pub fn accept(&mut self, now: Timestamp, zone: &Zone) {
        self.see(now, zone, false);
        if self.span.from < self.ledger.from {
            let Ledger { used, before, .. } = self.ledger;
            let used = if before.0 < self.span.from { used } else { used.saturating_add(before.1) };
            self.ledger = Ledger { from: self.span.from, used, ..Ledger::default() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    fn berlin() -> Zone {
        Zone::parse("Europe/Berlin").unwrap()
    }

    /// Five a day, looked at on 10 March at noon.
    fn meter() -> Meter {
        let mut meter = Meter::new(Quota { count: 5, per: Period::Day }, Ledger::default());
        meter.see(at("2026-03-10T12:00:00Z"), &Zone::utc(), false);
        meter
    }

    fn see(meter: &mut Meter, day: u32, in_doubt: bool) {
        meter.see(at(&format!("2026-03-{day:02}T12:00:00Z")), &Zone::utc(), in_doubt);
    }

    #[test]
    fn days_and_months_are_local_and_as_long_as_they_are() {
        let hours = |per: Period, now: &str| {
            let span = per.span(at(now), &berlin());
            (span.from.to_rfc3339(), span.until.since(span.from).as_secs() / 3_600)
        };
        assert_eq!(hours(Period::Day, "2026-03-29T10:00:00Z"), ("2026-03-28T23:00:00.000Z".into(), 23));
        assert_eq!(hours(Period::Day, "2026-10-25T22:59:59Z"), ("2026-10-24T22:00:00.000Z".into(), 25));
        assert_eq!(
            hours(Period::Month, "2026-02-28T22:59:59Z"),
            ("2026-01-31T23:00:00.000Z".into(), 28 * 24)
        );
        assert_eq!(hours(Period::Hour, "2026-02-28T22:59:59Z"), ("2026-02-28T22:00:00.000Z".into(), 1));
        assert_eq!(
            Period::Minute.span(at("2026-02-28T22:59:59Z"), &berlin()).from,
            at("2026-02-28T22:59:00Z")
        );
        assert_eq!(Period::Day.span(Timestamp::MAX, &berlin()).until, Timestamp::MAX);
    }

    #[test]
    fn midnight_that_is_skipped_is_the_first_instant_after_it() {
        let zone = Zone::parse("America/Havana").unwrap();
        let span = Period::Day.span(at("2026-03-08T12:00:00Z"), &zone);
        assert_eq!((span.from, span.until), (at("2026-03-08T05:00:00Z"), at("2026-03-09T04:00:00Z")));
    }

    #[test]
    fn a_new_day_begins_with_nothing_used() {
        let mut meter = meter();
        meter.count(5, 1);
        assert_eq!((meter.left(), meter.until(&Zone::utc())), (0, at("2026-03-11T00:00:00Z")));
        see(&mut meter, 11, false);
        assert_eq!((meter.used(), meter.left()), (0, 5));
    }

    #[test]
    fn no_day_begins_in_doubt_and_what_went_meanwhile_counts_for_the_day_it_turns_out_to_be() {
        let mut meter = meter();
        meter.count(2, 1);
        see(&mut meter, 13, true);
        meter.count(3, 2);
        assert_eq!(meter.left(), 0);
        see(&mut meter, 13, false);
        assert_eq!(meter.used(), 3);
        let mut again = Meter::new(meter.quota, meter.ledger());
        see(&mut again, 13, false);
        assert_eq!(again.used(), 3, "a restart knows it");
    }

    #[test]
    fn a_clock_set_back_to_the_day_before_has_what_both_used() {
        let mut meter = meter();
        meter.count(2, 1);
        see(&mut meter, 11, false);
        meter.count(1, 2);
        see(&mut meter, 10, true);
        assert_eq!(meter.used(), 3);
        meter.count(2, 3);
        assert_eq!((meter.left(), meter.until(&Zone::utc())), (0, at("2026-03-11T00:00:00Z")));
        see(&mut meter, 11, false);
        assert_eq!(meter.used(), 3);
    }

    #[test]
    fn a_day_before_all_that_is_remembered_is_closed_until_a_person_accepts_it() {
        let mut meter = meter();
        meter.count(1, 1);
        see(&mut meter, 11, false);
        meter.count(1, 2);
        see(&mut meter, 5, true);
        assert_eq!(meter.left(), 0);
        meter.accept(at("2026-03-05T12:00:00Z"), &Zone::utc());
        assert_eq!(meter.used(), 2);
        see(&mut meter, 6, false);
        assert_eq!(meter.used(), 0, "the days go on from there");
    }

    #[test]
    fn a_firm_that_moves_has_no_second_day() {
        let mut meter = meter();
        meter.count(4, 1);
        let (now, tokyo) = (at("2026-03-10T16:00:00Z"), Zone::parse("Asia/Tokyo").unwrap());
        meter.move_to(now, &Zone::utc(), &tokyo);
        let mut moved = Meter::new(meter.quota, meter.ledger());
        moved.see(now, &tokyo, false);
        assert_eq!((moved.used(), moved.until(&tokyo)), (4, at("2026-03-11T15:00:00Z")));
        moved.see(at("2026-03-11T15:00:00Z"), &tokyo, false);
        assert_eq!(moved.used(), 0);
    }

    #[test]
    fn only_what_was_counted_in_this_period_is_given_back() {
        let mut meter = meter();
        meter.count(2, 7);
        meter.give_back(1, 7);
        assert_eq!(meter.used(), 1);
        see(&mut meter, 11, false);
        meter.give_back(1, 7);
        meter.count(2, 8);
        meter.give_back(1, 7);
        assert_eq!(meter.used(), 2);
        meter.give_back(1, 8);
        assert_eq!(meter.used(), 1);
    }
}
