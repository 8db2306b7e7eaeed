//! Hours at which a text may go: of a day, of a week, and of a week in several time zones at once.
//!
//! Hours are local and half open: `08:00`-`20:00` holds 08:00:00.000 and not 20:00:00.000; `24:00` is the end of
//! the day. Over a set of zones only what is open in all of them is open, instant by instant, so an Eastern area
//! code with a Pacific address and 08:00-21:00 gives 11:00-21:00 Eastern. A change of clocks never widens: an
//! opening that does not exist is the first instant after the gap, one that exists twice is the second, a closing
//! that exists twice is the first.
//! Days on which nothing goes (holidays of a pack, a firm's closed days) come as a closure over the local date, so
//! that hours know no calendar. Whose hours apply is left to packs and contacts; [`WeekHours::narrow`] joins them.

use std::fmt;
use std::time::Duration;

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::AmbiguousOffset;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::zone::{Zone, ZoneSet, from_jiff};
use crate::clock::Timestamp;

/// How far ahead [`next_opening`] looks: a week's hours come again within seven days, a closed fortnight too.
const SEARCH_DAYS: u64 = 15;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHours {
    #[error("must be a time of day, as 08:00")]
    Time,
    #[error("must end after they begin")]
    Order,
    #[error("must be days as mon, tue, wed, thu, fri, sat or sun")]
    Weekday,
    #[error("must name each day once")]
    Twice,
}

/// Local hours of one day, from included, to excluded; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DayHours {
    from: Time,
    to: Time,
}

/// Hours of each day of the week; a day without hours is closed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct WeekHours([Option<DayHours>; 7]);

/// A stretch that is open in all zones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    pub opens: Timestamp,
    /// Excluded.
    pub closes: Timestamp,
}

/// `Some(closes)` when `at` is open in all zones.
pub fn open_at(zones: &ZoneSet, hours: &WeekHours, at: Timestamp) -> Option<Timestamp> {
    open_at_except(zones, hours, &|_| false, at)
}

/// [`open_at`], with local dates on which nothing is open.
pub fn open_at_except(
    zones: &ZoneSet,
    hours: &WeekHours,
    closed: &dyn Fn(Date) -> bool,
    at: Timestamp,
) -> Option<Timestamp> {
    let opening = next_opening_except(zones, hours, closed, at)?;
    (opening.opens == at).then_some(opening.closes)
}

/// The first stretch open in all zones at or after `from`; when it is open already, `opens` is `from`.
///
/// `None`: no common hour within 15 days. The caller makes a `needs_zone` task, never sends anyway.
pub fn next_opening(zones: &ZoneSet, hours: &WeekHours, from: Timestamp) -> Option<Opening> {
    next_opening_except(zones, hours, &|_| false, from)
}

/// [`next_opening`], with local dates on which nothing is open.
pub fn next_opening_except(
    zones: &ZoneSet,
    hours: &WeekHours,
    closed: &dyn Fn(Date) -> bool,
    from: Timestamp,
) -> Option<Opening> {
    let until = from.saturating_add(Duration::from_secs(SEARCH_DAYS * 86_400));
    let mut at = from;
    while at < until {
        let open = common(zones, hours, closed, at)?;
        if open.opens == at {
            return Some(open);
        }
        at = open.opens;
    }
    None
}

/// The latest opening and the earliest closing of the zones' stretches at or after `at`.
fn common(
    zones: &ZoneSet,
    hours: &WeekHours,
    closed: &dyn Fn(Date) -> bool,
    at: Timestamp,
) -> Option<Opening> {
    let mut all = Opening { opens: at, closes: Timestamp::MAX };
    for zone in zones.zones() {
        let one = stretch(zone, hours, closed, at)?;
        all.opens = all.opens.max(one.opens);
        all.closes = all.closes.min(one.closes);
    }
    Some(all)
}

/// The first stretch of one zone that ends after `at`.
fn stretch(zone: &Zone, hours: &WeekHours, closed: &dyn Fn(Date) -> bool, at: Timestamp) -> Option<Opening> {
    let days = zone.local(at).date().series(jiff::Span::new().days(1)).take(SEARCH_DAYS as usize + 1);
    days.filter(|date| !closed(*date)).find_map(|date| {
        let open = hours.on(date.weekday())?.on(zone, date);
        (at < open.closes && open.opens < open.closes).then_some(open)
    })
}

impl DayHours {
    pub const ALL_DAY: DayHours = DayHours { from: Time::MIN, to: Time::MAX };

    /// `Time::MAX` as `to` is the end of the day.
    ///
    /// # Errors
    /// [`BadHours::Order`]
    pub fn new(from: Time, to: Time) -> Result<DayHours, BadHours> {
        if from < to { Ok(DayHours { from, to }) } else { Err(BadHours::Order) }
    }

    /// `08:00` and `20:00`; `24:00` is the end of the day.
    ///
    /// # Errors
    /// [`BadHours::Time`], [`BadHours::Order`]
    pub fn parse(from: &str, to: &str) -> Result<DayHours, BadHours> {
        let to = if to == "24:00" { Time::MAX } else { parse_time(to)? };
        DayHours::new(parse_time(from)?, to)
    }

    pub const fn from(self) -> Time {
        self.from
    }

    /// Excluded; `Time::MAX` where the day ends.
    pub const fn to(self) -> Time {
        self.to
    }

    pub fn holds(self, time: Time) -> bool {
        self.from <= time && (time < self.to || self.to == Time::MAX)
    }

    /// What both allow; `None` where they share no instant.
    pub fn narrow(self, other: DayHours) -> Option<DayHours> {
        DayHours::new(self.from.max(other.from), self.to.min(other.to)).ok()
    }

    /// On one date; not after the opening where a change of clocks left nothing.
    fn on(self, zone: &Zone, date: Date) -> Opening {
        let opens = instant(zone, date.to_datetime(self.from), Twice::Second);
        let end = if self.to == Time::MAX {
            date.tomorrow().map(|day| day.to_datetime(Time::MIN))
        } else {
            Ok(date.to_datetime(self.to))
        };
        let closes = end.map_or(Timestamp::MAX, |end| instant(zone, end, Twice::First));
        Opening { opens, closes }
    }
}

/// Which of two instants with the same local time is meant, where clocks are set back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Twice {
    First,
    Second,
}

/// When the zone's clocks show `local`; the first instant after the gap when they never do.
pub(super) fn instant(zone: &Zone, local: DateTime, twice: Twice) -> Timestamp {
    let ambiguous = zone.rules().to_ambiguous_timestamp(local);
    let found = match (ambiguous.offset(), twice) {
        (AmbiguousOffset::Unambiguous { .. }, _) => ambiguous.compatible(),
        (AmbiguousOffset::Fold { .. }, Twice::First) => ambiguous.earlier(),
        (AmbiguousOffset::Fold { .. }, Twice::Second) => ambiguous.later(),
        (AmbiguousOffset::Gap { .. }, _) => return gap_end(zone, ambiguous),
    };
    found.map_or(Timestamp::MAX, from_jiff)
}

/// The transition that makes the gap: the last one not after the missing time read by the old offset.
fn gap_end(zone: &Zone, missing: jiff::tz::AmbiguousTimestamp) -> Timestamp {
    let Ok(after) = missing.later() else { return Timestamp::MAX };
    let behind = after.checked_add(jiff::SignedDuration::from_nanos(1)).unwrap_or(after);
    let transition = zone.rules().preceding(behind).next();
    from_jiff(transition.map_or(after, |transition| transition.timestamp()))
}

impl WeekHours {
    pub const CLOSED: WeekHours = WeekHours([None; 7]);
    pub const ALWAYS: WeekHours = WeekHours([Some(DayHours::ALL_DAY); 7]);

    pub const fn daily(hours: DayHours) -> WeekHours {
        WeekHours([Some(hours); 7])
    }

    /// The same hours on some days, the others closed.
    pub fn of(days: &[Weekday], hours: DayHours) -> WeekHours {
        days.iter().fold(WeekHours::CLOSED, |week, day| week.with(*day, Some(hours)))
    }

    /// A contact's own wishes: what is not named is not restricted.
    ///
    /// # Errors
    /// [`BadHours::Order`]
    pub fn wish(from: Option<Time>, to: Option<Time>, days: &[Weekday]) -> Result<WeekHours, BadHours> {
        let hours = DayHours::new(from.unwrap_or(Time::MIN), to.unwrap_or(Time::MAX))?;
        Ok(if days.is_empty() { WeekHours::daily(hours) } else { WeekHours::of(days, hours) })
    }

    pub fn with(mut self, day: Weekday, hours: Option<DayHours>) -> WeekHours {
        self.0[index(day)] = hours;
        self
    }

    pub fn on(&self, day: Weekday) -> Option<DayHours> {
        self.0[index(day)]
    }

    /// What both allow.
    pub fn narrow(self, other: WeekHours) -> WeekHours {
        WeekHours(std::array::from_fn(|i| self.0[i]?.narrow(other.0[i]?)))
    }

    /// No hour in the whole week.
    pub fn is_closed(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }
}

fn index(day: Weekday) -> usize {
    day.to_monday_zero_offset() as usize
}

/// Monday first.
const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

/// `mon` to `sun`.
///
/// # Errors
/// [`BadHours::Weekday`]
pub fn parse_weekday(text: &str) -> Result<Weekday, BadHours> {
    DAYS.iter().find(|(name, _)| *name == text).map(|(_, day)| *day).ok_or(BadHours::Weekday)
}

pub fn weekday_name(day: Weekday) -> &'static str {
    DAYS[index(day)].0
}

/// Days as a firm writes them: each once.
///
/// # Errors
/// [`BadHours::Weekday`], [`BadHours::Twice`]
pub fn parse_weekdays(names: &[String]) -> Result<Vec<Weekday>, BadHours> {
    let days: Vec<Weekday> = names.iter().map(|name| parse_weekday(name)).collect::<Result<_, _>>()?;
    let twice = days.iter().enumerate().any(|(i, day)| days[..i].contains(day));
    if twice { Err(BadHours::Twice) } else { Ok(days) }
}

/// `HH:MM`, two digits each.
///
/// # Errors
/// [`BadHours::Time`]
pub fn parse_time(text: &str) -> Result<Time, BadHours> {
    let (hour, minute) = text.split_once(':').ok_or(BadHours::Time)?;
    let two = |digits: &str| match digits.as_bytes() {
        [a @ b'0'..=b'9', b @ b'0'..=b'9'] => Ok(((a - b'0') * 10 + (b - b'0')) as i8),
        _ => Err(BadHours::Time),
    };
    Time::new(two(hour)?, two(minute)?, 0, 0).map_err(|_| BadHours::Time)
}

/// What [`parse_time`] reads; the end of the day is `24:00`.
pub fn show_time(time: Time) -> String {
    if time == Time::MAX { "24:00".to_owned() } else { format!("{:02}:{:02}", time.hour(), time.minute()) }
}

impl fmt::Debug for WeekHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (day, hours) in DAYS.iter().zip(&self.0).filter_map(|((day, _), hours)| Some((day, (*hours)?))) {
            write!(f, "{day} {}-{} ", show_time(hours.from), show_time(hours.to))?;
        }
        Ok(())
    }
}

/// The form for people and programs: `{"from": "08:00", "to": "20:00", "days": ["mon", ..]}`, several as a list.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Readable {
    from: String,
    to: String,
    /// All, where it is not given.
    #[serde(default)]
    days: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "hours must be {from, to, days} or a list of them")]
enum OneOrMany {
    One(Readable),
    Many(Vec<Readable>),
}

/// Rows of equal hours, in the order of their first days.
fn to_rows(week: &WeekHours) -> Vec<Readable> {
    let mut rows: Vec<(DayHours, Vec<String>)> = Vec::new();
    for (day, hours) in DAYS.iter().zip(week.0).filter_map(|((day, _), hours)| Some((day, hours?))) {
        match rows.iter_mut().find(|(known, _)| *known == hours) {
            Some((_, days)) => days.push((*day).to_owned()),
            None => rows.push((hours, vec![(*day).to_owned()])),
        }
    }
    let readable = |(hours, days): (DayHours, Vec<String>)| Readable {
        from: show_time(hours.from),
        to: show_time(hours.to),
        days: Some(days),
    };
    rows.into_iter().map(readable).collect()
}

fn from_rows(rows: Vec<Readable>) -> Result<WeekHours, BadHours> {
    let mut week = WeekHours::CLOSED;
    for row in rows {
        let hours = DayHours::parse(&row.from, &row.to)?;
        let all = || DAYS.iter().map(|(_, day)| *day).collect();
        for day in row.days.as_deref().map_or_else(|| Ok(all()), parse_weekdays)? {
            if week.on(day).is_some() {
                return Err(BadHours::Twice);
            }
            week = week.with(day, Some(hours));
        }
    }
    Ok(week)
}

/// Seconds of the day, 86,400 for its end.
type Stored = [Option<(u32, u32)>; 7];

fn to_seconds(time: Time) -> u32 {
    let seconds = [(time.hour(), 3_600), (time.minute(), 60), (time.second(), 1)];
    if time == Time::MAX {
        86_400
    } else {
        seconds.map(|(n, scale)| u32::from(n.unsigned_abs()) * scale).iter().sum()
    }
}

fn from_seconds(seconds: u32) -> Result<Time, BadHours> {
    if seconds == 86_400 {
        return Ok(Time::MAX);
    }
    let fits = |n: u32| i8::try_from(n).map_err(|_| BadHours::Time);
    Time::new(fits(seconds / 3_600)?, fits(seconds / 60 % 60)?, fits(seconds % 60)?, 0)
        .map_err(|_| BadHours::Time)
}

impl Serialize for WeekHours {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return to_rows(self).serialize(serializer);
        }
        let stored: Stored =
            self.0.map(|day| day.map(|hours| (to_seconds(hours.from), to_seconds(hours.to))));
        stored.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for WeekHours {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<WeekHours, D::Error> {
        if deserializer.is_human_readable() {
            let rows = match OneOrMany::deserialize(deserializer)? {
                OneOrMany::One(row) => vec![row],
                OneOrMany::Many(rows) => rows,
            };
            return from_rows(rows).map_err(de::Error::custom);
        }
        let mut week = WeekHours::CLOSED;
        for (day, hours) in week.0.iter_mut().zip(Stored::deserialize(deserializer)?) {
            let read = |(from, to)| DayHours::new(from_seconds(from)?, from_seconds(to)?);
            *day = hours.map(read).transpose().map_err(de::Error::custom)?;
        }
        Ok(week)
    }
}

#[cfg(test)]
mod tests;
