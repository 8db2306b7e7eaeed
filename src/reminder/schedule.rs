//! The planner's arithmetic: from a due date to the instants between which a step's text may go.
//!
//! A step's date is the due date and its offset. It moves off days that its calendar closes and days without a
//! common opening, backwards before the due date, else forwards. With several zones a date begins when it has begun
//! in the last of them, so nobody has a step before its day; its slot is the latest of the zones' slots, moved into
//! the day's common opening. Inside the slot the dispatch key chooses the instant: the same after a restart.
//! An overlap counts once (the first), a slot in a gap is the first instant after it.
//! Whether a text may go at that instant is left to the gates, what happens to a stale step to the engine.

use std::time::Duration;

use jiff::civil::{Date, Time};

use super::calendar::{Calendar, Toward, walk};
use super::hours::{Opening, Twice, WeekHours, instant, next_opening};
use super::offset::{Offset, Slot, Term};
use super::zone::ZoneSet;
use crate::clock::Timestamp;

/// How far a step's date moves: over the longest holidays, and over a whole week of closed days.
const MOVE_DAYS: usize = 15;
/// Before the next step the last one must have been delivered or have expired (reminders.md 3.4).
const BEFORE_NEXT: Duration = Duration::from_secs(3_600);
/// The shortest relative validity a network can be told (3GPP TS 23.040 9.2.3.12.1).
const VALIDITY_MIN: Duration = Duration::from_secs(300);

/// What the jitter leaves of a step's time at least: the shortest validity, and as long again to find a link.
const JITTER_LEAVES: Duration = Duration::from_secs(600);

/// What decides a step's window besides the contact's zones and hours.
#[derive(Clone, Copy, Debug)]
pub struct StepTiming<'a> {
    pub due: Date,
    pub offset: Offset,
    pub slot: Slot,
    pub grace: Term,
    pub calendar: Option<&'a Calendar>,
}

/// When a step's text may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepWindow {
    /// The local date, after moving off closed days.
    pub date: Date,
    /// Not before; inside the slot, by the dispatch key.
    pub opens: Timestamp,
    /// The end of that day's common opening, excluded.
    pub closes: Timestamp,
    /// From here on the step is stale; the beginning of the slot and the grace. Not before `opens`.
    pub stale_after: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoWindow {
    /// The contact's zones and hours leave nothing: a task `needs_zone`, never "send anyway".
    #[error("the zones share no hour at which a text may go")]
    NoCommonHour,
    #[error("the date is beyond what a calendar holds")]
    NoDate,
}

/// The window of one step for one dispatch key.
///
/// # Errors
/// [`NoWindow`]
pub fn step_window(
    step: &StepTiming,
    zones: &ZoneSet,
    hours: &WeekHours,
    key: &[u8; 16],
) -> Result<StepWindow, NoWindow> {
    let wanted = step.offset.from(step.due, step.calendar).ok_or(NoWindow::NoDate)?;
    let toward = if step.offset.is_before() { Toward::Before } else { Toward::After };
    let fits = |date: &Date| step.calendar.is_none_or(|calendar| calendar.sends_on(*date));
    let mut dates = walk(wanted, toward).take(MOVE_DAYS).filter(fits);
    let found = dates.find_map(|date| Some((date, opening_for(date, step.slot, zones, hours)?)));
    let (date, (slot, opening)) = found.ok_or(NoWindow::NoCommonHour)?;

    let span = step.slot.span();
    let begins = slot.min(opening.closes.saturating_sub(span)).max(opening.opens);
    let stale_after = begins.saturating_add(step.grace.duration());
    let last = opening.closes.min(stale_after).saturating_sub(JITTER_LEAVES);
    let ends = begins.saturating_add(span).min(last);
    let opens = begins.saturating_add(jitter(key, ends.since(begins)));
    Ok(StepWindow { date, opens, closes: opening.closes, stale_after })
}

/// The slot on that date and the common opening it belongs to; the day's last one for a slot after all of them.
fn opening_for(date: Date, slot: Slot, zones: &ZoneSet, hours: &WeekHours) -> Option<(Timestamp, Opening)> {
    let ends = begin_of(zones, date.tomorrow().ok()?);
    let slot = latest(zones, date, slot.start());
    let mut found = None;
    let mut from = begin_of(zones, date);
    while let Some(opening) = next_opening(zones, hours, from).filter(|opening| opening.opens < ends) {
        found = Some((slot, opening));
        if slot < opening.closes {
            break;
        }
        from = opening.closes;
    }
    found
}

/// When `date` has begun in all zones.
fn begin_of(zones: &ZoneSet, date: Date) -> Timestamp {
    latest(zones, date, Time::MIN)
}

fn latest(zones: &ZoneSet, date: Date, time: Time) -> Timestamp {
    let local = date.to_datetime(time);
    let instants = zones.zones().iter().map(|zone| instant(zone, local, Twice::First));
    instants.max().unwrap_or(Timestamp::MAX)
}

/// Evenly spread by the key, which is a digest; always less than `span` (none for an empty one).
fn jitter(key: &[u8; 16], span: Duration) -> Duration {
    let millis = span.as_millis().min(u128::from(u32::MAX));
    // At most 2^32 x 2^64: no overflow, and the quotient is below `millis`.
    let share = ((u128::from_be_bytes(*key) >> 64) * millis) >> 64;
    Duration::from_millis(u64::try_from(share).unwrap_or(0))
}

/// Until when a text that goes `now` may be delivered: the end of its window, an hour before the next step, its
/// staleness, whichever is first. `None` when less than the network's shortest validity is left: it must not go.
pub fn validity(
    now: Timestamp,
    window_end: Timestamp,
    next_step: Option<Timestamp>,
    stale_after: Timestamp,
) -> Option<Timestamp> {
    let next = next_step.map_or(Timestamp::MAX, |next| next.saturating_sub(BEFORE_NEXT));
    let until = window_end.min(next).min(stale_after);
    (until.since(now) >= VALIDITY_MIN).then_some(until)
}

/// The earliest date that a clock of the zones shows: what is past by it is past everywhere.
pub fn today(zones: &ZoneSet, at: Timestamp) -> Date {
    zones.zones().iter().map(|zone| zone.local(at).date()).min().unwrap_or(Date::MAX)
}

/// Overdue is derived, never stored: the due date is over in all zones.
pub fn is_overdue(zones: &ZoneSet, due: Date, at: Timestamp) -> bool {
    due < today(zones, at)
}

/// Whether two instants lie on one local day in any of the zones; for caps a day.
pub fn is_same_day(zones: &ZoneSet, a: Timestamp, b: Timestamp) -> bool {
    zones.zones().iter().any(|zone| zone.local(a).date() == zone.local(b).date())
}

/// When a date is over in all zones.
pub fn end_of(zones: &ZoneSet, date: Date) -> Timestamp {
    date.tomorrow().map_or(Timestamp::MAX, |next| begin_of(zones, next))
}

/// The first instant that lies on a later local day than `at` in all zones.
pub fn next_day(zones: &ZoneSet, at: Timestamp) -> Timestamp {
    let begins = zones.zones().iter().map(|zone| {
        let tomorrow = zone.local(at).date().tomorrow();
        tomorrow.map_or(Timestamp::MAX, |date| instant(zone, date.to_datetime(Time::MIN), Twice::First))
    });
    begins.max().unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
