//! Holidays out of an iCalendar file (RFC 5545), as public holiday calendars are handed out. Pure.
//!
//! Only all-day events count, each day of one that lasts several. What cannot be a holiday (an event with a time,
//! a canceled one) is counted and left out; a rule of repetition is refused, because a day that is silently missing
//! would be a day on which texts go. Of two events on one day the first names it.

use std::collections::BTreeMap;

use jiff::civil::Date;

use super::calendar::Holiday;

/// The longest holiday; longer events are school terms and the like.
const EVENT_DAYS_MAX: usize = 14;
/// As long as a calendar takes names; the rest is cut.
const NAME_MAX_CHARS: usize = 100;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadIcs {
    #[error("is no iCalendar file: it must begin with BEGIN:VCALENDAR")]
    NotIcs,
    #[error("ends within an event")]
    Unfinished,
    #[error("an event on {0:?} must have a date as 20260101")]
    Date(String),
    #[error("the event {0:?} repeats by a rule: export its single days")]
    Repeats(String),
    #[error("the event {0:?} lasts more than 14 days or ends before it begins")]
    Length(String),
}

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holidays {
    /// By date, each once.
    pub holidays: Vec<Holiday>,
    /// Events that are no holidays: those with a time and canceled ones.
    pub left_out: usize,
}

/// # Errors
/// [`BadIcs`], as it says.
pub fn parse(text: &str) -> Result<Holidays, BadIcs> {
    let lines = unfold(text);
    let mut lines = lines.iter().filter_map(|line| line.split_once(':'));
    if !lines.next().is_some_and(|(name, value)| is(name, "BEGIN") && is(value, "VCALENDAR")) {
        return Err(BadIcs::NotIcs);
    }
    let mut days = BTreeMap::new();
    let mut left_out = 0;
    while lines.any(|(name, value)| is(name, "BEGIN") && is(value, "VEVENT")) {
        let event = Event::read(&mut lines)?;
        match event.days()? {
            None => left_out += 1,
            Some(dates) => dates.into_iter().for_each(|date| {
                days.entry(date).or_insert_with(|| event.name.clone());
            }),
        }
    }
    let holidays = days.into_iter().map(|(date, name)| Holiday { date, name }).collect();
    Ok(Holidays { holidays, left_out })
}

#[derive(Default)]
struct Event {
    name: String,
    start: String,
    end: Option<String>,
    repeats: bool,
    canceled: bool,
}

impl Event {
    /// Up to the event's end; alarms within it have an end of their own.
    fn read<'a>(lines: &mut impl Iterator<Item = (&'a str, &'a str)>) -> Result<Event, BadIcs> {
        let mut event = Event { name: "holiday".to_owned(), ..Event::default() };
        let mut depth = 0usize;
        for (key, value) in lines {
            let name = key.split(';').next().unwrap_or(key).to_ascii_uppercase();
            match (name.as_str(), depth) {
                ("END", 0) => return Ok(event),
                ("BEGIN", _) => depth += 1,
                ("END", _) => depth -= 1,
                ("SUMMARY", 0) if !value.trim().is_empty() => event.name = unescape(value),
                ("DTSTART", 0) => event.start = value.trim().to_owned(),
                ("DTEND", 0) => event.end = Some(value.trim().to_owned()),
                ("RRULE" | "RDATE", 0) => event.repeats = true,
                ("STATUS", 0) => event.canceled = is(value, "CANCELLED"),
                _ => {}
            }
        }
        Err(BadIcs::Unfinished)
    }

    /// `None` for what is no holiday. The end is excluded (RFC 5545 3.6.1).
    fn days(&self) -> Result<Option<Vec<Date>>, BadIcs> {
        if self.canceled || self.start.contains('T') {
            return Ok(None);
        }
        if self.repeats {
            return Err(BadIcs::Repeats(self.name.clone()));
        }
        let first = date(&self.start)?;
        let end = self.end.as_deref().map(date).transpose()?.filter(|end| *end != first);
        let Some(end) = end else { return Ok(Some(vec![first])) };
        let days = first.series(jiff::Span::new().days(1)).take_while(|day| *day < end);
        let days: Vec<Date> = days.take(EVENT_DAYS_MAX + 1).collect();
        let fits = (1..=EVENT_DAYS_MAX).contains(&days.len());
        if fits { Ok(Some(days)) } else { Err(BadIcs::Length(self.name.clone())) }
    }
}

fn is(text: &str, word: &str) -> bool {
    text.trim().eq_ignore_ascii_case(word)
}

fn date(text: &str) -> Result<Date, BadIcs> {
    let plain = text.len() == 8 && text.bytes().all(|b| b.is_ascii_digit());
    let parsed = plain.then(|| Date::strptime("%Y%m%d", text).ok()).flatten();
    parsed.ok_or_else(|| BadIcs::Date(text.chars().take(NAME_MAX_CHARS).collect()))
}

/// A line that begins with a blank goes on the one before (RFC 5545 3.1).
fn unfold(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.trim_start_matches('\u{feff}').lines() {
        match (line.strip_prefix([' ', '\t']), lines.last_mut()) {
            (Some(rest), Some(last)) => last.push_str(rest),
            _ => lines.push(line.to_owned()),
        }
    }
    lines
}

/// RFC 5545 3.3.11; breaks and other control characters become blanks.
fn unescape(value: &str) -> String {
    let mut name = String::new();
    let mut chars = value.trim().chars();
    while let Some(c) = chars.next() {
        let plain = match c {
            '\\' => {
                chars.next().map_or(' ', |escaped| if matches!(escaped, 'n' | 'N') { ' ' } else { escaped })
            }
            _ => c,
        };
        name.push(if plain.is_control() { ' ' } else { plain });
    }
    name.trim().chars().take(NAME_MAX_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date as day;
    use proptest::prelude::*;

    use super::*;

    fn file(events: &str) -> String {
        format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{events}END:VCALENDAR\r\n")
    }

    fn event(lines: &str) -> String {
        format!("BEGIN:VEVENT\r\nUID:1\r\n{}\r\nEND:VEVENT\r\n", lines.replace(" / ", "\r\n"))
    }

    #[test]
    fn all_day_events_are_holidays() {
        let events = [
            event(
                r"DTSTART;VALUE=DATE:20260501 / DTEND;VALUE=DATE:20260502 / SUMMARY;LANGUAGE=de:Tag der\, Arbeit",
            ),
            event("SUMMARY:Neu\r\n jahr / DTSTART:20260101"),
            event("DTSTART;VALUE=DATE:20261224 / DTEND;VALUE=DATE:20261227 / SUMMARY:Weihnachten"),
            event("DTSTART;VALUE=DATE:20261225 / SUMMARY:second name of one day"),
        ];
        let found = parse(&file(&events.concat())).unwrap();
        let names: Vec<(Date, &str)> = found.holidays.iter().map(|h| (h.date, h.name.as_str())).collect();
        assert_eq!(
            names,
            [
                (day(2026, 1, 1), "Neujahr"),
                (day(2026, 5, 1), "Tag der, Arbeit"),
                (day(2026, 12, 24), "Weihnachten"),
                (day(2026, 12, 25), "Weihnachten"),
                (day(2026, 12, 26), "Weihnachten"),
            ]
        );
        assert_eq!(found.left_out, 0);
    }

    #[test]
    fn what_is_no_holiday_is_counted() {
        let events = [
            event("DTSTART:20260501T100000Z / SUMMARY:meeting"),
            event("DTSTART:20260501 / STATUS:CANCELLED / SUMMARY:gone"),
            event("DTSTART:20260502 / BEGIN:VALARM / SUMMARY:alarm / END:VALARM"),
        ];
        let found = parse(&file(&events.concat())).unwrap();
        assert_eq!((found.holidays.len(), found.left_out), (1, 2));
        assert_eq!(found.holidays[0].name, "holiday");
    }

    #[test]
    fn what_would_lose_a_day_is_refused() {
        for (text, why) in [
            ("BEGIN:VEVENT\n".to_owned(), BadIcs::NotIcs),
            (String::new(), BadIcs::NotIcs),
            ("BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20260101\n".to_owned(), BadIcs::Unfinished),
            (file(&event("SUMMARY:x")), BadIcs::Date(String::new())),
            (file(&event("DTSTART:20260230 / SUMMARY:x")), BadIcs::Date("20260230".into())),
            (file(&event("DTSTART:20260101 / RRULE:FREQ=YEARLY / SUMMARY:x")), BadIcs::Repeats("x".into())),
            (file(&event("DTSTART:20260101 / DTEND:20260117 / SUMMARY:x")), BadIcs::Length("x".into())),
            (file(&event("DTSTART:20260102 / DTEND:20260101 / SUMMARY:x")), BadIcs::Length("x".into())),
        ] {
            assert_eq!(parse(&text), Err(why), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(lines in prop::collection::vec(
            prop_oneof![
                Just("BEGIN:VEVENT".to_owned()), Just("END:VEVENT".to_owned()), Just("BEGIN:VALARM".to_owned()),
                Just("SUMMARY:\\".to_owned()), "DTSTART:[0-9]{8}", "DTEND:99991231", "[ -~äß\t]{0,20}",
            ],
            0..30,
        )) {
            if let Ok(found) = parse(&format!("BEGIN:VCALENDAR\n{}", lines.join("\n"))) {
                prop_assert!(found.holidays.is_sorted_by(|a, b| a.date < b.date));
            }
        }
    }
}
