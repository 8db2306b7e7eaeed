//! When the first texts of a file would all have gone: by the pace of the links that are up and by the hours in
//! which reminders go at home. A forecast for people, to the hour; nothing rests on it.

use std::collections::BTreeMap;
use std::time::Duration;

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
    last: Option<Timestamp>,
}

impl Load {
    pub fn add(&mut self, at: Timestamp, segment_count: u8) {
        let hour = at.as_millis() / HOUR.as_millis() as u64;
        *self.hours.entry(hour).or_default() += u64::from(segment_count);
        self.last = self.last.max(Some(at));
    }

    /// `None`: nothing goes, or no link is up, or it would take more than a year.
    pub fn finish(&self, pace: Pace, hours: &WeekHours, home: &Zone, now: Timestamp) -> Option<Timestamp> {
        let last = self.last?.max(now);
        let per_hour = match pace {
            Pace::Down => return None,
            Pace::Unlimited => return Some(last),
            Pace::PerSecond(segments) => segments * HOUR.as_secs_f64(),
        };
        let zones = ZoneSet::one(home.clone());
        let mut left = self.hours.clone();
        let (mut waiting, mut at) = (0.0, now);
        for _ in 0..HOURS_MAX {
            let hour = at.as_millis() / HOUR.as_millis() as u64;
            let later = left.split_off(&(hour + 1));
            waiting += left.values().sum::<u64>() as f64;
            left = later;
            let open = open_at(&zones, hours, at).is_some();
            if open && waiting <= per_hour && left.is_empty() {
                let needs = Duration::from_secs_f64(waiting / per_hour * HOUR.as_secs_f64());
                return Some(at.saturating_add(needs).max(last));
            }
            if open {
                waiting = (waiting - per_hour).max(0.0);
            }
            at = at.saturating_add(HOUR);
        }
        None
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
        load.finish(pace, &hours(), &Zone::utc(), NOW).map(Timestamp::to_rfc3339)
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
    fn nothing_is_said_where_nothing_is_known() {
        assert_eq!(finish(&at_nine(1), Pace::Down), None);
        assert_eq!(finish(&Load::default(), Pace::Unlimited), None);
        assert_eq!(finish(&at_nine(1_000), Pace::PerSecond(1e-9)), None);
    }
}
