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

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct BadLine {
    /// From 1.
    pub line: usize,
    pub why: BadIcs,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadIcs {
    #[error("is no iCalendar file: it must begin with BEGIN:VCALENDAR")]
    NotIcs,
    #[error("ends without END:VCALENDAR: a part of the file is missing")]
    Cut,
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
/// [`BadIcs`], as it says, with its line.
pub fn parse(text: &str) -> Result<Holidays, BadLine> {
    let lines = unfold(text);
    let mut lines =
        lines.iter().filter_map(|(at, line)| line.split_once(':').map(|(key, is)| (*at, key, is)));
    if !lines.next().is_some_and(|(_, name, value)| is(name, "BEGIN") && is(value, "VCALENDAR")) {
        return Err(BadLine { line: 1, why: BadIcs::NotIcs });
    }
    let mut days = BTreeMap::new();
    let (mut left_out, mut last, mut is_whole) = (0, 1, false);
    while let Some((line, name, value)) = lines.next() {
        (last, is_whole) = (line, is(name, "END") && is(value, "VCALENDAR"));
        if !is(name, "BEGIN") || !is(value, "VEVENT") {
            continue;
        }
        let event = Event::read(line, &mut lines)?;
        match event.days()? {
            None => left_out += 1,
            Some(dates) => dates.into_iter().for_each(|date| {
                days.entry(date).or_insert_with(|| event.name.clone());
            }),
        }
    }
    if !is_whole {
        return Err(BadLine { line: last, why: BadIcs::Cut });
    }
    let holidays = days.into_iter().map(|(date, name)| Holiday { date, name }).collect();
    Ok(Holidays { holidays, left_out })
}

#[derive(Default)]
struct Event {
    /// Where it begins, and where its dates stand.
    line: usize,
    dates: usize,
    name: String,
    start: String,
    end: Option<String>,
    repeats: bool,
    canceled: bool,
}

impl Event {
    /// Up to the event's end; alarms within it have an end of their own.
    fn read<'a>(
        line: usize,
        lines: &mut impl Iterator<Item = (usize, &'a str, &'a str)>,
    ) -> Result<Event, BadLine> {
        let mut event = Event { line, dates: line, name: "holiday".to_owned(), ..Event::default() };
        let mut depth = 0usize;
        for (at, key, value) in lines {
            let name = key.split(';').next().unwrap_or(key).to_ascii_uppercase();
            match (name.as_str(), depth) {
                ("END", 0) => return Ok(event),
                ("BEGIN", _) => depth += 1,
                ("END", _) => depth -= 1,
                ("SUMMARY", 0) if !value.trim().is_empty() => event.name = unescape(value),
                ("DTSTART", 0) => (event.dates, event.start) = (at, value.trim().to_owned()),
                ("DTEND", 0) => event.end = Some(value.trim().to_owned()),
                ("RRULE" | "RDATE", 0) => event.repeats = true,
                ("STATUS", 0) => event.canceled = is(value, "CANCELLED"),
                _ => {}
            }
        }
        Err(BadLine { line, why: BadIcs::Unfinished })
    }

    /// `None` for what is no holiday. The end is excluded (RFC 5545 3.6.1).
    fn days(&self) -> Result<Option<Vec<Date>>, BadLine> {
        let bad = |why| BadLine { line: self.dates, why };
        if self.canceled || self.start.contains('T') {
            return Ok(None);
        }
        if self.repeats {
            return Err(BadLine { line: self.line, why: BadIcs::Repeats(self.name.clone()) });
        }
        let first = date(&self.start).map_err(bad)?;
        let end = self.end.as_deref().map(date).transpose().map_err(bad)?.filter(|end| *end != first);
        let Some(end) = end else { return Ok(Some(vec![first])) };
        let days = first.series(jiff::Span::new().days(1)).take_while(|day| *day < end);
        let days: Vec<Date> = days.take(EVENT_DAYS_MAX + 1).collect();
        let fits = (1..=EVENT_DAYS_MAX).contains(&days.len());
        if fits { Ok(Some(days)) } else { Err(bad(BadIcs::Length(self.name.clone()))) }
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

/// A line that begins with a blank goes on the one before (RFC 5545 3.1). With the number of its first.
fn unfold(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    for (at, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        match (line.strip_prefix([' ', '\t']), lines.last_mut()) {
            (Some(rest), Some((_, last))) => last.push_str(rest),
            _ => lines.push((at + 1, line.to_owned())),
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
        for (text, line, why) in [
            ("BEGIN:VEVENT\n".to_owned(), 1, BadIcs::NotIcs),
            (String::new(), 1, BadIcs::NotIcs),
            ("BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20260101\n".to_owned(), 2, BadIcs::Unfinished),
            (file(&event("DTSTART:20260101")).replace("END:VCALENDAR\r\n", ""), 3, BadIcs::Cut),
            (file(&event("SUMMARY:x")), 3, BadIcs::Date(String::new())),
            (file(&event("SUMMARY:a\r\n b / DTSTART:20260230")), 7, BadIcs::Date("20260230".into())),
            (
                file(&event("DTSTART:20260101 / RRULE:FREQ=YEARLY / SUMMARY:x")),
                3,
                BadIcs::Repeats("x".into()),
            ),
            (file(&event("DTSTART:20260101 / DTEND:20260117 / SUMMARY:x")), 5, BadIcs::Length("x".into())),
            (file(&event("DTSTART:20260102 / DTEND:20260101 / SUMMARY:x")), 5, BadIcs::Length("x".into())),
        ] {
            assert_eq!(parse(&text), Err(BadLine { line, why }), "{text}");
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
            if let Ok(found) = parse(&format!("BEGIN:VCALENDAR\n{}\nEND:VCALENDAR", lines.join("\n"))) {
                prop_assert!(found.holidays.is_sorted_by(|a, b| a.date < b.date));
            }
        }
    }
}
