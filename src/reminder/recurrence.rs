//! Subscriptions: the periods of a recurrence, each with a key that names it once for ever and a due date.
//!
//! The k-th period is computed, never counted up to: day 31 is the last day of a short month and 31 again after it.
//! The key comes from the calendar (`2026-03`, `2026-W10`, `2026-03-14`) and not from `from`, so that a changed
//! begin or day never makes a second obligation for the same month or week. A skipped or moved due date keeps its
//! key. What an obligation of a period looks like is left to the engine.

use std::fmt;

use jiff::civil::{Date, ISOWeekDate};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::calendar::{Calendar, Toward, walk};

/// A year and a day; what comes more seldom is no subscription.
const DAYS_MAX: u16 = 366;
/// Seven years of skipped weeks.
const SKIPS_MAX: usize = 366;
/// 9999 years of days: beyond it is no date.
const PERIODS_MAX: u32 = 4_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRecurrence {
    #[error("must be monthly, weekly or a number of days from 1 to 366, as \"14 days\"")]
    Every,
    #[error("must be a day from 1 to 31, or \"last\"")]
    Day,
    #[error("day is for monthly only: weekly and days count from the first due date")]
    DayWithoutMonth,
    #[error("until must not lie before from")]
    Until,
    #[error("must skip at most 366 dates")]
    Skips,
}

/// How often, outside and in the store `monthly`, `weekly` or `14 days`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Every {
    Monthly,
    Weekly,
    /// 1 to 366.
    Days(u16),
}

/// The day of a month, outside `31` or `"last"`; a month without it has its last day instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MonthDay {
    /// 1 to 31.
    Day(u8),
    Last,
}

/// What a due date does that its calendar closes. The rule is to keep it (reminders.md 3.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnHoliday {
    #[default]
    Keep,
    Before,
    After,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Raw", into = "Raw")]
pub struct Recurrence {
    rhythm: Rhythm,
    from: Date,
    /// Included.
    until: Option<Date>,
    /// Sorted.
    skip: Vec<Date>,
    on_holiday: OnHoliday,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rhythm {
    Monthly(MonthDay),
    /// On the weekday of `from`.
    Weekly,
    Days(u16),
}

/// One period: at most one obligation has its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Period {
    pub key: String,
    pub due: Date,
}

/// The one form of files, API and store.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    every: Every,
    #[serde(default)]
    day: Option<MonthDay>,
    from: Date,
    #[serde(default)]
    until: Option<Date>,
    #[serde(default)]
    skip: Vec<Date>,
    #[serde(default)]
    on_holiday: OnHoliday,
}

impl Recurrence {
    /// `day` is for `monthly`, and is that of `from` when not given; `skip` are due dates that are left out.
    ///
    /// # Errors
    /// [`BadRecurrence`], as it says.
    pub fn new(
        every: Every,
        day: Option<MonthDay>,
        from: Date,
        until: Option<Date>,
        mut skip: Vec<Date>,
        on_holiday: OnHoliday,
    ) -> Result<Recurrence, BadRecurrence> {
        let rhythm = match (every, day) {
            (Every::Monthly, Some(day)) => Rhythm::Monthly(day),
            (Every::Monthly, None) => Rhythm::Monthly(MonthDay::Day(from.day().unsigned_abs())),
            (Every::Weekly, None) => Rhythm::Weekly,
            (Every::Days(days), None) => Rhythm::Days(days),
            (Every::Weekly | Every::Days(_), Some(_)) => return Err(BadRecurrence::DayWithoutMonth),
        };
        if until.is_some_and(|until| until < from) {
            return Err(BadRecurrence::Until);
        }
        if skip.len() > SKIPS_MAX {
            return Err(BadRecurrence::Skips);
        }
        skip.sort_unstable();
        skip.dedup();
        Ok(Recurrence { rhythm, from, until, skip, on_holiday })
    }

    /// The period with that number, from 0, skipped or not; `None` after `until`.
    pub fn period(&self, number: u32) -> Option<Period> {
        let due = self.due(number).filter(|due| self.until.is_none_or(|until| *due <= until))?;
        Some(Period { key: self.key(due), due })
    }

    /// The first period that is due after `date` and not skipped.
    pub fn next_after(&self, date: Date) -> Option<Period> {
        let first = self.number_from(date);
        let periods = (first..=PERIODS_MAX).map_while(|number| self.period(number));
        let mut open =
            periods.filter(|period| date < period.due && self.skip.binary_search(&period.due).is_err());
        open.next()
    }

    /// When a period's obligation is due: its date, or beside a holiday of the calendar as the firm wishes.
    pub fn due_date(&self, period: &Period, calendar: Option<&Calendar>) -> Date {
        let toward = match self.on_holiday {
            OnHoliday::Keep => return period.due,
            OnHoliday::Before => Toward::Before,
            OnHoliday::After => Toward::After,
        };
        let open = |date: &Date| calendar.is_none_or(|calendar| calendar.is_business_day(*date));
        walk(period.due, toward).find(open).unwrap_or(period.due)
    }

    fn due(&self, number: u32) -> Option<Date> {
        match self.rhythm {
            Rhythm::Monthly(day) => {
                let months = i64::from(number) + i64::from(self.first_month_passed(day));
                let month =
                    self.from.first_of_month().checked_add(jiff::Span::new().try_months(months).ok()?);
                month.ok().map(|month| day.of(month))
            }
            Rhythm::Weekly => self.from.checked_add(days(number, 7)?).ok(),
            Rhythm::Days(step) => self.from.checked_add(days(number, step)?).ok(),
        }
    }

    /// The day lies before `from` in the month of `from`.
    fn first_month_passed(&self, day: MonthDay) -> bool {
        day.of(self.from) < self.from
    }

    /// A number at or before that of the first period due after `date`, by at most two.
    fn number_from(&self, date: Date) -> u32 {
        let days = (date - self.from).get_days();
        let number = match self.rhythm {
            Rhythm::Monthly(_) => months_between(self.from, date) - 1,
            Rhythm::Weekly => days / 7,
            Rhythm::Days(step) => days / i32::from(step),
        };
        u32::try_from(number).unwrap_or(0)
    }

    fn key(&self, due: Date) -> String {
        match self.rhythm {
            Rhythm::Monthly(_) => due.strftime("%Y-%m").to_string(),
            Rhythm::Weekly => {
                let week = ISOWeekDate::from(due);
                format!("{:04}-W{:02}", week.year(), week.week())
            }
            Rhythm::Days(_) => due.to_string(),
        }
    }

    const fn every(&self) -> (Every, Option<MonthDay>) {
        match self.rhythm {
            Rhythm::Monthly(day) => (Every::Monthly, Some(day)),
            Rhythm::Weekly => (Every::Weekly, None),
            Rhythm::Days(days) => (Every::Days(days), None),
        }
    }
}

fn months_between(from: Date, to: Date) -> i32 {
    (i32::from(to.year()) - i32::from(from.year())) * 12 + i32::from(to.month()) - i32::from(from.month())
}

fn days(number: u32, step: u16) -> Option<jiff::Span> {
    jiff::Span::new().try_days(i64::from(number) * i64::from(step)).ok()
}

impl MonthDay {
    /// # Errors
    /// [`BadRecurrence::Day`]
    pub fn new(day: u8) -> Result<MonthDay, BadRecurrence> {
        if (1..=31).contains(&day) { Ok(MonthDay::Day(day)) } else { Err(BadRecurrence::Day) }
    }

    /// In the month of `date`.
    fn of(self, date: Date) -> Date {
        let last = date.last_of_month();
        match self {
            MonthDay::Last => last,
            MonthDay::Day(day) => {
                let day = i8::try_from(day).unwrap_or(i8::MAX).min(last.day());
                Date::new(date.year(), date.month(), day).unwrap_or(last)
            }
        }
    }
}

impl fmt::Display for Every {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Every::Monthly => f.write_str("monthly"),
            Every::Weekly => f.write_str("weekly"),
            Every::Days(days) => write!(f, "{days} days"),
        }
    }
}

impl TryFrom<String> for Every {
    type Error = BadRecurrence;

    fn try_from(text: String) -> Result<Every, BadRecurrence> {
        let number = |digits: &str| digits.parse().ok().filter(|days| (1..=DAYS_MAX).contains(days));
        match text.as_str() {
            "monthly" => Ok(Every::Monthly),
            "weekly" => Ok(Every::Weekly),
            _ => text.strip_suffix(" days").and_then(number).map(Every::Days).ok_or(BadRecurrence::Every),
        }
    }
}

impl From<Every> for String {
    fn from(every: Every) -> String {
        every.to_string()
    }
}

impl Serialize for MonthDay {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            MonthDay::Last if serializer.is_human_readable() => serializer.serialize_str("last"),
            MonthDay::Last => serializer.serialize_u8(0),
            MonthDay::Day(day) => serializer.serialize_u8(*day),
        }
    }
}

impl<'de> Deserialize<'de> for MonthDay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<MonthDay, D::Error> {
        if deserializer.is_human_readable() {
            return deserializer.deserialize_any(Words);
        }
        match u8::deserialize(deserializer)? {
            0 => Ok(MonthDay::Last),
            day => MonthDay::new(day).map_err(de::Error::custom),
        }
    }
}

/// `1`-`31` as a number or in quotes, or `"last"`.
struct Words;

impl de::Visitor<'_> for Words {
    type Value = MonthDay;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a day from 1 to 31, or \"last\"")
    }

    fn visit_u64<E: de::Error>(self, day: u64) -> Result<MonthDay, E> {
        u8::try_from(day).map_err(|_| BadRecurrence::Day).and_then(MonthDay::new).map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, day: i64) -> Result<MonthDay, E> {
        self.visit_u64(u64::try_from(day).unwrap_or(0))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<MonthDay, E> {
        if text == "last" {
            return Ok(MonthDay::Last);
        }
        self.visit_u64(text.parse().unwrap_or(0))
    }
}

impl TryFrom<Raw> for Recurrence {
    type Error = BadRecurrence;

    fn try_from(raw: Raw) -> Result<Recurrence, BadRecurrence> {
        Recurrence::new(raw.every, raw.day, raw.from, raw.until, raw.skip, raw.on_holiday)
    }
}

impl From<Recurrence> for Raw {
    fn from(recurrence: Recurrence) -> Raw {
        let (every, day) = recurrence.every();
        let Recurrence { from, until, skip, on_holiday, .. } = recurrence;
        Raw { every, day, from, until, skip, on_holiday }
    }
}

#[cfg(test)]
mod tests;
