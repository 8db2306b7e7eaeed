//! When the first texts of a file would all have gone: by the pace of the links that are up and by the hours in
//! which reminders go at home. A forecast for people, to the hour; nothing rests on it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::civil::Date;

use crate::clock::Timestamp;
use crate::engine::Snapshot;
use crate::link::Connection;
use crate::reminder::hours::{WeekHours, open_at};
use crate::reminder::zone::{Zone, ZoneSet};

const HOUR: Duration = Duration::from_secs(3_600);
/// Further ahead a forecast by today's links means nothing.
const HOURS_MAX: u32 = 366 * 24;

/// Segments by the hour from which on they may go.
#[derive(Debug, Default)]
pub struct Load {
    hours: BTreeMap<u64, u64>,
    texts: u64,
    last: Option<Timestamp>,
}

/// Texts that one day's hours are too short for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missed {
    /// The first such day, at home.
    pub date: Date,
    pub texts: u64,
    /// All that were to go by then and had not gone by an earlier day.
    pub of: u64,
}

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Missed { date, texts, of } = self;
        write!(f, "about {texts} of {of} texts will miss the hours of {date} by the links that are up")
    }
}

/// One hour of a forecast.
struct Hour {
    at: Timestamp,
    is_open: bool,
    /// Segments that the hours before left.
    left_over: f64,
    /// The same with those that come in this hour.
    waiting: f64,
    /// None comes later.
    is_last: bool,
}

/// Where texts go from, and when.
#[derive(Clone, Copy, Debug)]
pub struct Sending<'a> {
    pub pace: Pace,
    pub hours: &'a WeekHours,
    pub home: &'a Zone,
}

impl Load {
    pub fn add(&mut self, at: Timestamp, segment_count: u8) {
        let hour = at.as_millis() / HOUR.as_millis() as u64;
        *self.hours.entry(hour).or_default() += u64::from(segment_count);
        self.texts += 1;
        self.last = self.last.max(Some(at));
    }

    /// `None`: nothing goes, or no link is up, or it would take more than a year.
    pub fn finish(&self, sending: Sending<'_>, now: Timestamp) -> Option<Timestamp> {
        let last = self.last?.max(now);
        let per_hour = match sending.pace {
            Pace::Down => return None,
            Pace::Unlimited => return Some(last),
            Pace::PerSecond(segments) => segments * HOUR.as_secs_f64(),
        };
        let mut hours = self.forecast(per_hour, sending, now);
        let end = hours.find(|hour| hour.is_open && hour.waiting <= per_hour && hour.is_last)?;
        let needs = Duration::from_secs_f64(end.waiting / per_hour * HOUR.as_secs_f64());
        Some(end.at.saturating_add(needs).max(last))
    }

    /// The first day whose hours end before all is gone that was to go by then.
    pub fn missed(&self, sending: Sending<'_>, now: Timestamp) -> Option<Missed> {
        let Pace::PerSecond(segments) = sending.pace else { return None };
        let per_hour = segments * HOUR.as_secs_f64();
        let (mut open_since, mut taken) = (None, 0.0);
        for hour in self.forecast(per_hour, sending, now) {
            match (hour.is_open, open_since) {
                (true, _) => {
                    open_since.get_or_insert(hour.at);
                    taken += hour.waiting.min(per_hour);
                }
                (false, Some(opened)) if hour.left_over >= 1.0 => {
                    let date = sending.home.local(opened).date();
                    let texts = self.texts_of(hour.left_over);
                    return Some(Missed { date, texts, of: texts + self.texts_of(taken) });
                }
                (false, _) => (open_since, taken) = (None, 0.0),
            }
            if hour.is_last && hour.waiting <= 0.0 {
                break;
            }
        }
        None
    }

    /// As many texts as have so many segments, all being alike.
    fn texts_of(&self, segments: f64) -> u64 {
        let all: u64 = self.hours.values().sum();
        (segments * self.texts as f64 / all.max(1) as f64).round() as u64
    }

    fn forecast<'a>(
        &'a self,
        per_hour: f64,
        Sending { hours, home, .. }: Sending<'a>,
        now: Timestamp,
    ) -> impl Iterator<Item = Hour> + 'a {
        let zones = ZoneSet::one(home.clone());
        let (mut left, mut waiting, mut at) = (self.hours.clone(), 0.0, now);
        (0..HOURS_MAX).map(move |_| {
            let later = left.split_off(&(at.as_millis() / HOUR.as_millis() as u64 + 1));
            let come = left.values().sum::<u64>() as f64;
            left = later;
            let is_open = open_at(&zones, hours, at).is_some();
            let (left_over, is_last) = (waiting, left.is_empty());
            let hour = Hour { at, is_open, left_over, waiting: left_over + come, is_last };
            waiting = if is_open { (hour.waiting - per_hour).max(0.0) } else { hour.waiting };
            at = at.saturating_add(HOUR);
            hour
        })
    }
}

/// What all links that are up may send together, in segments.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    Down,
    PerSecond(f64),
    Unlimited,
}

impl Pace {
    /// Links of one account share its pace.
    pub fn of(snapshot: &Snapshot) -> Pace {
        let up = snapshot.links.iter().filter(|link| link.status.connection == Connection::Up);
        let accounts: BTreeMap<_, _> = up.map(|link| (&link.facts.account, link.status.pace)).collect();
        if accounts.is_empty() {
            return Pace::Down;
        }
        let sum = accounts.values().try_fold(0.0, |sum, pace| pace.map(|pace| sum + pace));
        sum.map_or(Pace::Unlimited, |sum| if sum > 0.0 { Pace::PerSecond(sum) } else { Pace::Down })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reminder::hours::DayHours;

    /// A Monday, 00:00 UTC.
    const NOW: Timestamp = Timestamp::from_millis(1_772_409_600_000);

    fn hours() -> WeekHours {
        WeekHours::daily(DayHours::parse("08:00", "20:00").unwrap())
    }

    fn finish(load: &Load, pace: Pace) -> Option<String> {
        let sending = Sending { pace, hours: &hours(), home: &Zone::utc() };
        load.finish(sending, NOW).map(Timestamp::to_rfc3339)
    }

    fn at_nine(segments: usize) -> Load {
        let mut load = Load::default();
        (0..segments).for_each(|_| load.add(NOW.saturating_add(HOUR * 9), 1));
        load
    }

    #[test]
    fn what_fits_an_hour_is_done_within_it() {
        assert_eq!(
            finish(&at_nine(1_800), Pace::PerSecond(1.0)).as_deref(),
            Some("2026-03-02T09:30:00.000Z")
        );
        assert_eq!(finish(&at_nine(1), Pace::Unlimited).as_deref(), Some("2026-03-02T09:00:00.000Z"));
    }

    #[test]
    fn what_does_not_fit_a_day_goes_on_the_next_morning() {
        // Eleven hours are left of the first day.
        let load = at_nine(12 * 3_600);
        assert_eq!(finish(&load, Pace::PerSecond(1.0)).as_deref(), Some("2026-03-03T09:00:00.000Z"));
    }

    #[test]
    fn what_a_days_hours_are_too_short_for_is_told() {
        let missed = |load: &Load, pace| {
            load.missed(Sending { pace, hours: &hours(), home: &Zone::utc() }, NOW)
                .map(|missed| missed.to_string())
        };
        let mut load = Load::default();
        (0..20_000).for_each(|_| load.add(NOW.saturating_add(HOUR * 9), 2));
        assert_eq!(
            missed(&load, Pace::PerSecond(1.0)).unwrap(),
            "about 200 of 20000 texts will miss the hours of 2026-03-02 by the links that are up"
        );
        assert_eq!(missed(&load, Pace::PerSecond(2.0)), None);
        assert_eq!((missed(&load, Pace::Unlimited), missed(&load, Pace::Down)), (None, None));
        let mut days = Load::default();
        (0..3_u32).for_each(|day| {
            (0..12 * 3_600).for_each(|_| days.add(NOW.saturating_add(HOUR * (8 + 24 * day)), 1))
        });
        assert_eq!(missed(&days, Pace::PerSecond(1.0)), None, "each day does its own");
    }

    #[test]
    fn nothing_is_said_where_nothing_is_known() {
        assert_eq!(finish(&at_nine(1), Pace::Down), None);
        assert_eq!(finish(&Load::default(), Pace::Unlimited), None);
        assert_eq!(finish(&at_nine(1_000), Pace::PerSecond(1e-9)), None);
    }
}
