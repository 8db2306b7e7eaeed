//! Calendars: which days are business days, and on which days reminders are sent.
//!
//! A calendar changes no due date. Business-day offsets count its business days; and what it says in `sends` moves a
//! step's date off a closed day: backwards when the step lies before the due date, else forwards (`schedule`).
//! A calendar knows the years that its list covers and no others: [`Calendar::known_until`] says how far.

use std::collections::BTreeMap;

use jiff::civil::{Date, Weekday};
use serde::{Deserialize, Serialize};

use super::hours::{BadHours, parse_weekdays, weekday_name};
use super::name::Key;

/// A firm that names more has pasted something else.
const HOLIDAYS_MAX: usize = 2_000;
/// As long as a line of a page takes.
const NAME_MAX_CHARS: usize = 100;
/// The longest walk for a business day: a year's worth of them with every holiday a list may hold.
const WALK_DAYS: usize = 5_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCalendar {
    #[error("weekend {0}")]
    Weekend(BadHours),
    #[error("weekend must leave a business day")]
    NoBusinessDay,
    #[error("must hold at most 2000 holidays")]
    TooMany,
    #[error("must hold each holiday once: {0} is there twice")]
    Twice(Date),
    #[error("a holiday's name must be 1-100 printable characters")]
    Name,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Raw", into = "Raw")]
pub struct Calendar {
    key: Key,
    /// Monday first.
    weekend: [bool; 7],
    holidays: BTreeMap<Date, String>,
    sends: Sends,
}

/// On which days a calendar lets reminders go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sends {
    AnyDay,
    #[default]
    NoHolidays,
    BusinessDays,
}

/// Which way a date moves off a closed day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Toward {
    Before,
    After,
}

/// One row of `holidays`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holiday {
    pub date: Date,
    pub name: String,
}

/// The one form of files, API and store.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    key: Key,
    #[serde(default = "saturday_and_sunday")]
    weekend: Vec<String>,
    #[serde(default)]
    holidays: Vec<Holiday>,
    #[serde(default)]
    sends: Sends,
}

fn saturday_and_sunday() -> Vec<String> {
    vec!["sat".to_owned(), "sun".to_owned()]
}

/// The calendars as shipped.
const SHIPPED: &str = include_str!("../../config/reminders/calendars.toml");

impl Calendar {
    /// The calendars that come with the program.
    ///
    /// # Errors
    /// What is wrong with the file; a test holds that nothing is.
    pub fn shipped() -> Result<Vec<Calendar>, toml::de::Error> {
        #[derive(Deserialize)]
        struct File {
            calendar: Vec<Calendar>,
        }
        toml::from_str(SHIPPED).map(|file: File| file.calendar)
    }

    /// # Errors
    /// [`BadCalendar`], as it says.
    pub fn new(
        key: Key,
        weekend: &[Weekday],
        holidays: Vec<Holiday>,
        sends: Sends,
    ) -> Result<Calendar, BadCalendar> {
        if holidays.len() > HOLIDAYS_MAX {
            return Err(BadCalendar::TooMany);
        }
        let mut days = [false; 7];
        for day in weekend {
            days[index(*day)] = true;
        }
        if days.iter().all(|closed| *closed) {
            return Err(BadCalendar::NoBusinessDay);
        }
        let mut kept = BTreeMap::new();
        for Holiday { date, name } in holidays {
            if !(1..=NAME_MAX_CHARS).contains(&name.chars().count()) || name.chars().any(char::is_control) {
                return Err(BadCalendar::Name);
            }
            if kept.insert(date, name).is_some() {
                return Err(BadCalendar::Twice(date));
            }
        }
        Ok(Calendar { key, weekend: days, holidays: kept, sends })
    }

    /// Monday to Friday are business days, and there is no holiday yet.
    pub fn blank(key: Key) -> Calendar {
        let weekend = [false, false, false, false, false, true, true];
        Calendar { key, weekend, holidays: BTreeMap::new(), sends: Sends::default() }
    }

    /// The same with other holidays.
    ///
    /// # Errors
    /// [`BadCalendar`], as it says.
    pub fn with_holidays(&self, holidays: Vec<Holiday>) -> Result<Calendar, BadCalendar> {
        let other = Calendar::new(self.key.clone(), &[], holidays, self.sends)?;
        Ok(Calendar { weekend: self.weekend, ..other })
    }

    pub const fn key(&self) -> &Key {
        &self.key
    }

    pub fn holiday(&self, date: Date) -> Option<&str> {
        self.holidays.get(&date).map(String::as_str)
    }

    pub fn is_business_day(&self, date: Date) -> bool {
        !self.weekend[index(date.weekday())] && !self.holidays.contains_key(&date)
    }

    /// Whether reminders go on that date, as far as the calendar is asked.
    pub fn sends_on(&self, date: Date) -> bool {
        match self.sends {
            Sends::AnyDay => true,
            Sends::NoHolidays => !self.holidays.contains_key(&date),
            Sends::BusinessDays => self.is_business_day(date),
        }
    }

    /// 31 December of the last year with a holiday: later years are not known. `None` without holidays.
    pub fn known_until(&self) -> Option<Date> {
        let (last, _) = self.holidays.last_key_value()?;
        Date::new(last.year(), 12, 31).ok()
    }
}

/// The `count`-th business day after `date`, before it when negative; for 0 the date itself or, off a closed day,
/// the next one. Without a calendar Monday to Friday are business days. `None` at the end of the calendar.
pub fn business_days_from(calendar: Option<&Calendar>, date: Date, count: i16) -> Option<Date> {
    let business = |day: &Date| match calendar {
        Some(calendar) => calendar.is_business_day(*day),
        None => !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday),
    };
    let toward = if count < 0 { Toward::Before } else { Toward::After };
    let mut days = walk(date, toward).filter(business);
    if count == 0 {
        return days.next();
    }
    days.find(|day| *day != date)
        .and_then(|first| std::iter::once(first).chain(days).nth(usize::from(count.unsigned_abs()) - 1))
}

/// The date and the days that follow it in one direction, at most [`WALK_DAYS`].
pub(super) fn walk(date: Date, toward: Toward) -> impl Iterator<Item = Date> {
    let next = move |day: &Date| match toward {
        Toward::Before => day.yesterday().ok(),
        Toward::After => day.tomorrow().ok(),
    };
    std::iter::successors(Some(date), next).take(WALK_DAYS)
}

fn index(day: Weekday) -> usize {
    day.to_monday_zero_offset() as usize
}

impl TryFrom<Raw> for Calendar {
    type Error = BadCalendar;

    fn try_from(raw: Raw) -> Result<Calendar, BadCalendar> {
        let weekend = parse_weekdays(&raw.weekend).map_err(BadCalendar::Weekend)?;
        Calendar::new(raw.key, &weekend, raw.holidays, raw.sends)
    }
}

impl From<Calendar> for Raw {
    fn from(calendar: Calendar) -> Raw {
        let weekend = Weekday::Monday.cycle_forward().take(7).filter(|day| calendar.weekend[index(*day)]);
        Raw {
            key: calendar.key,
            weekend: weekend.map(|day| weekday_name(day).to_owned()).collect(),
            holidays: calendar.holidays.into_iter().map(|(date, name)| Holiday { date, name }).collect(),
            sends: calendar.sends,
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[derive(Deserialize)]
    struct File {
        calendar: Vec<Calendar>,
    }

    fn shipped() -> Vec<Calendar> {
        toml::from_str::<File>(include_str!("../../config/reminders/calendars.toml")).unwrap().calendar
    }

    fn of(key: &str) -> Calendar {
        shipped().into_iter().find(|calendar| calendar.key.as_str() == key).unwrap()
    }

    /// Gregorian computus, after Meeus, Jones and Butcher.
    fn easter(year: i16) -> Date {
        let (a, b, c) = (year % 19, year / 100, year % 100);
        let h = (19 * a + b - b / 4 - (b - (b + 8) / 25 + 1) / 3 + 15) % 30;
        let l = (32 + 2 * (b % 4) + 2 * (c / 4) - h - c % 4) % 7;
        let n = h + l - 7 * ((a + 11 * h + 22 * l) / 451) + 114;
        date(year, (n / 31) as i8, (n % 31 + 1) as i8)
    }

    #[test]
    fn the_shipped_calendars_cover_two_years() {
        let keys: Vec<String> = shipped().iter().map(|calendar| calendar.key.to_string()).collect();
        assert_eq!(keys, ["de", "uk", "us", "fr", "es", "it", "nl", "pt", "pl"]);
        for calendar in shipped() {
            assert_eq!(calendar.known_until(), Some(date(2027, 12, 31)), "{}", calendar.key);
            assert_eq!(calendar.holidays.keys().next(), Some(&date(2026, 1, 1)));
            assert_eq!(calendar.sends, Sends::NoHolidays);
        }
    }

    #[test]
    fn moving_feasts_lie_where_easter_puts_them() {
        for year in [2026, 2027] {
            for (key, days) in [
                ("de", &[-2, 1, 39, 50][..]),
                ("uk", &[-2, 1]),
                ("fr", &[1, 39, 50]),
                ("es", &[-2]),
                ("it", &[0, 1]),
                ("nl", &[0, 1, 39, 49, 50]),
                ("pt", &[-2, 0, 60]),
                ("pl", &[0, 1, 49, 60]),
            ] {
                for days in days {
                    let feast = easter(year) + jiff::Span::new().days(*days);
                    assert!(of(key).holiday(feast).is_some(), "{key} {feast}");
                }
            }
        }
        assert_eq!((easter(2026), easter(2027)), (date(2026, 4, 5), date(2027, 3, 28)));
    }

    #[test]
    fn american_and_british_days_lie_on_their_weekdays() {
        for (key, day, name) in [
            ("us", date(2026, 7, 3), "Independence Day (observed)"),
            ("us", date(2026, 11, 26), "Thanksgiving Day"),
            ("us", date(2027, 1, 18), "Martin Luther King Jr. Day"),
            ("us", date(2027, 7, 5), "Independence Day (observed)"),
            ("us", date(2027, 12, 31), "New Year's Day 2028 (observed)"),
            ("uk", date(2026, 12, 28), "Boxing Day (substitute)"),
            ("uk", date(2027, 8, 30), "Summer bank holiday"),
            ("uk", date(2027, 12, 27), "Christmas Day (substitute)"),
        ] {
            assert_eq!(of(key).holiday(day), Some(name), "{key} {day}");
        }
    }

    #[test]
    fn business_days_pass_over_weekends_and_holidays() {
        let de = of("de");
        let maundy_thursday = date(2026, 4, 2);
        for (count, there) in [
            (0, date(2026, 4, 2)),
            (1, date(2026, 4, 7)),
            (3, date(2026, 4, 9)),
            (-2, date(2026, 3, 31)),
            (-4, date(2026, 3, 27)),
        ] {
            assert_eq!(business_days_from(Some(&de), maundy_thursday, count), Some(there), "{count}");
        }
        let sunday = date(2026, 4, 5);
        assert_eq!(business_days_from(Some(&de), sunday, 0), Some(date(2026, 4, 7)));
        assert_eq!(business_days_from(Some(&de), sunday, -1), Some(date(2026, 4, 2)));
        assert_eq!(business_days_from(None, sunday, 1), Some(date(2026, 4, 6)), "no calendar, no holidays");
        assert_eq!(business_days_from(None, Date::MAX, 1), None);
    }

    #[test]
    fn a_calendar_says_on_which_days_reminders_go() {
        let (friday, saturday) = (date(2026, 4, 3), date(2026, 4, 4));
        for (sends, expected) in [
            (Sends::AnyDay, [true, true]),
            (Sends::NoHolidays, [false, true]),
            (Sends::BusinessDays, [false, false]),
        ] {
            let calendar = Calendar { sends, ..of("de") };
            assert_eq!([calendar.sends_on(friday), calendar.sends_on(saturday)], expected);
        }
    }

    #[test]
    fn a_calendar_reads_back_from_json_and_the_store() {
        let calendar = of("pl");
        let json = serde_json::to_string(&calendar).unwrap();
        assert_eq!(serde_json::from_str::<Calendar>(&json).unwrap(), calendar);
        let stored = postcard::to_stdvec(&calendar).unwrap();
        assert_eq!(postcard::from_bytes::<Calendar>(&stored).unwrap(), calendar);
    }

    #[test]
    fn what_is_no_calendar_says_why() {
        for (bad, why) in [
            (r#"weekend = ["sat", "sunday"]"#, "weekend must be days as"),
            (r#"weekend = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]"#, "must leave a business day"),
            (r#"holidays = [{ date = "2026-02-30", name = "x" }]"#, "not valid"),
            (r#"holidays = [{ date = "2026-02-03", name = "" }]"#, "printable"),
            (
                r#"holidays = [{ date = "2026-02-03", name = "a" }, { date = "2026-02-03", name = "b" }]"#,
                "2026-02-03 is there twice",
            ),
            (r#"sends = "sometimes""#, "any_day"),
            ("days = 3", "unknown field"),
        ] {
            let error = toml::from_str::<Calendar>(&format!("key = \"x\"\n{bad}")).unwrap_err().to_string();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }
}
