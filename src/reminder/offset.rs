//! When a step lies: an offset in days from the due date, a slot of the day, and how long it may still go late.
//!
//! All three are words outside and in the store (`-7d`, `morning`, `2d`), read once. What date and instant they
//! give is in `schedule`.

use std::fmt;
use std::time::Duration;

use jiff::civil::{Date, Time};
use serde::{Deserialize, Serialize};

use super::calendar::{Calendar, business_days_from};
use super::hours::{parse_time, show_time};
use crate::config::value;

/// Two years: no sequence is longer, and a slip of a digit is.
const DAYS_MAX: i16 = 730;
/// Shorter terms would run out while a message waits for its turn.
const TERM_MIN: Duration = Duration::from_secs(60);
/// As [`DAYS_MAX`].
const TERM_MAX: Duration = Duration::from_secs(730 * 86_400);
/// How far sends of one clock time are spread.
const CLOCK_SPAN: Duration = Duration::from_secs(20 * 60);
/// Length of a morning and of an evening.
const PART_SPAN: Duration = Duration::from_secs(2 * 3_600);
const MORNING: Time = Time::constant(9, 0, 0, 0);
const EVENING: Time = Time::constant(17, 30, 0, 0);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTiming {
    #[error("must be days from the due date, as -7d, 0d or +3d, or business days, as +3bd, at most 730")]
    Offset,
    #[error("must be a time of day, as 10:00, or morning or evening")]
    Slot,
    #[error("must be a whole number and m, h or d, from 1m to 730d, as 72h")]
    Term,
}

/// Days from the due date: negative before, positive after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Offset {
    Days(i16),
    BusinessDays(i16),
}

/// Where in the local day a step lies. Its sends are spread over [`Slot::span`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Slot {
    /// That minute and 20 more.
    At(Time),
    /// 09:00-11:00.
    Morning,
    /// 17:30-19:30.
    Evening,
}

/// How long something holds: the grace of a step, the life of a menu, a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Term(Duration);

impl Offset {
    /// # Errors
    /// [`BadTiming::Offset`]
    pub fn parse(text: &str) -> Result<Offset, BadTiming> {
        let (count, unit) = text
            .strip_suffix("bd")
            .map(|count| (count, Offset::BusinessDays as fn(i16) -> Offset))
            .or_else(|| Some((text.strip_suffix('d')?, Offset::Days as fn(i16) -> Offset)))
            .ok_or(BadTiming::Offset)?;
        // Without a sign only nothing is clear.
        let signed = count == "0" || count.starts_with(['+', '-']);
        let digits = count.trim_start_matches(['+', '-']);
        let plain = digits.len() + 1 >= count.len() && digits.bytes().all(|b| b.is_ascii_digit());
        let count: i16 = count.parse().map_err(|_| BadTiming::Offset)?;
        let fits = signed && plain && (-DAYS_MAX..=DAYS_MAX).contains(&count);
        if fits { Ok(unit(count)) } else { Err(BadTiming::Offset) }
    }

    /// Before the due date: such a step moves backwards off a closed day.
    pub const fn is_before(self) -> bool {
        let (Offset::Days(count) | Offset::BusinessDays(count)) = self;
        count < 0
    }

    /// `None` beyond the years a date can have.
    pub fn from(self, due: Date, calendar: Option<&Calendar>) -> Option<Date> {
        match self {
            Offset::Days(count) => due.checked_add(jiff::Span::new().days(count)).ok(),
            Offset::BusinessDays(count) => business_days_from(calendar, due, count),
        }
    }
}

impl Slot {
    /// # Errors
    /// [`BadTiming::Slot`]
    pub fn parse(text: &str) -> Result<Slot, BadTiming> {
        match text {
            "morning" => Ok(Slot::Morning),
            "evening" => Ok(Slot::Evening),
            _ => parse_time(text).map(Slot::At).map_err(|_| BadTiming::Slot),
        }
    }

    pub const fn start(self) -> Time {
        match self {
            Slot::At(time) => time,
            Slot::Morning => MORNING,
            Slot::Evening => EVENING,
        }
    }

    /// Over how long its sends are spread.
    pub const fn span(self) -> Duration {
        match self {
            Slot::At(_) => CLOCK_SPAN,
            Slot::Morning | Slot::Evening => PART_SPAN,
        }
    }
}

impl Term {
    pub const TWO_DAYS: Term = Term(Duration::from_secs(48 * 3600));

    /// # Errors
    /// [`BadTiming::Term`]
    pub fn parse(text: &str) -> Result<Term, BadTiming> {
        value::duration(text).map_err(|_| BadTiming::Term).and_then(Term::new)
    }

    /// # Errors
    /// [`BadTiming::Term`]
    pub fn new(duration: Duration) -> Result<Term, BadTiming> {
        if (TERM_MIN..=TERM_MAX).contains(&duration) { Ok(Term(duration)) } else { Err(BadTiming::Term) }
    }

    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, unit) = match self {
            Offset::Days(count) => (*count, "d"),
            Offset::BusinessDays(count) => (*count, "bd"),
        };
        if count == 0 { write!(f, "0{unit}") } else { write!(f, "{count:+}{unit}") }
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Slot::At(time) => f.write_str(&show_time(*time)),
            Slot::Morning => f.write_str("morning"),
            Slot::Evening => f.write_str("evening"),
        }
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&value::show_duration(self.0))
    }
}

macro_rules! as_text {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = BadTiming;

            fn try_from(text: String) -> Result<$name, BadTiming> {
                $name::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(timing: $name) -> String {
                timing.to_string()
            }
        }
    };
}

as_text!(Offset);
as_text!(Slot);
as_text!(Term);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_read_back_as_they_are_shown() {
        for (text, offset) in [
            ("-7d", Offset::Days(-7)),
            ("0d", Offset::Days(0)),
            ("+3d", Offset::Days(3)),
            ("+3bd", Offset::BusinessDays(3)),
            ("-2bd", Offset::BusinessDays(-2)),
            ("0bd", Offset::BusinessDays(0)),
            ("+730d", Offset::Days(730)),
        ] {
            assert_eq!((Offset::parse(text), offset.to_string()), (Ok(offset), text.to_owned()));
        }
        for bad in
            ["", "d", "3d", "+d", "--3d", "+-3d", "+731d", "+3", "+3w", "+99999d", "+ 3d", "+3.5d", "bd"]
        {
            assert_eq!(Offset::parse(bad), Err(BadTiming::Offset), "{bad}");
        }
    }

    #[test]
    fn slots_read_back_as_they_are_shown() {
        for text in ["10:00", "morning", "evening", "00:00", "23:59"] {
            assert_eq!(Slot::parse(text).unwrap().to_string(), text);
        }
        for bad in ["", "noon", "24:00", "9:00", "Morning"] {
            assert_eq!(Slot::parse(bad), Err(BadTiming::Slot), "{bad}");
        }
        assert_eq!((Slot::Morning.start(), Slot::Morning.span()), (MORNING, PART_SPAN));
    }

    #[test]
    fn terms_have_a_least_and_a_longest() {
        for (text, shown) in [("2d", "2d"), ("72h", "3d"), ("30m", "30m"), ("90m", "90m")] {
            assert_eq!(Term::parse(text).unwrap().to_string(), shown);
        }
        for bad in ["", "0m", "59s", "731d", "2", "2w", "-2d", "99999999999999999999d"] {
            assert_eq!(Term::parse(bad), Err(BadTiming::Term), "{bad}");
        }
    }

    #[test]
    fn the_words_serve_programs_and_the_store() {
        let step = (Offset::Days(-7), Slot::Evening, Term::parse("2d").unwrap());
        let json = serde_json::to_string(&step).unwrap();
        assert_eq!(json, r#"["-7d","evening","2d"]"#);
        let stored = postcard::to_stdvec(&step).unwrap();
        assert_eq!(postcard::from_bytes::<(Offset, Slot, Term)>(&stored).unwrap(), step);
        let error = serde_json::from_str::<Offset>(r#""7 days""#).unwrap_err().to_string();
        assert!(error.contains("-7d, 0d or +3d"), "{error}");
    }
}
