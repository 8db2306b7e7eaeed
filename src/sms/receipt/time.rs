//! The dates of a receipt: `YYMMDDhhmm` (SMPP 3.4 appendix B), and what SMSCs write instead.
//!
//! A date without a zone is in the SMSC's own, which nobody tells us, so it stays a local time and is
//! only for people; nothing is decided by it.

use std::fmt;

use jiff::civil::DateTime;
use jiff::tz::Offset;

/// A date as far as it was written. `Display` is ISO 8601 with neither seconds nor zone where none came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiptTime {
    local: DateTime,
    seconds: bool,
    zone: Option<Offset>,
}

impl ReceiptTime {
    /// Reads `YYMMDDhhmm`, `YYMMDDhhmmss`, either with the year in four digits, or the absolute time of
    /// SMPP 3.4 7.1.1 (`YYMMDDhhmmsstnnp`: tenths, quarter hours, sign). Anything else is `None`.
    pub fn parse(text: &str) -> Option<ReceiptTime> {
        let text = text.trim_matches([' ', ',', ';', '\0', '\t', '\r', '\n']);
        let text = text.split_ascii_whitespace().next()?;
        if !text.is_ascii() {
            return None;
        }
        match text.len() {
            10 => local(2, text, 0),
            12 => local(2, text, 0).or_else(|| local(4, text, 0)),
            14 => local(4, text, 0),
            16 => absolute(text),
            _ => None,
        }
    }
}

fn absolute(text: &str) -> Option<ReceiptTime> {
    let (moment, rest) = text.split_at(12);
    let (tenth, zone) = rest.split_at(1);
    let quarters = digits(&zone[..2])?;
    let sign = match &zone[2..] {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let zone = Offset::from_seconds(sign * i32::from(quarters) * 15 * 60).ok()?;
    Some(ReceiptTime { zone: Some(zone), ..local(2, moment, digits(tenth)?)? })
}

/// A year of this many digits, then two digits each of month, day, hour, minute and perhaps second.
fn local(year_digits: usize, text: &str, tenth: i16) -> Option<ReceiptTime> {
    let (year, rest) = text.split_at(year_digits);
    let year = if year_digits == 2 { 2000 + digits(year)? } else { digits(year)? };
    let mut fields = [0_i8; 5];
    for (field, at) in fields.iter_mut().zip((0..rest.len()).step_by(2)) {
        *field = i8::try_from(digits(&rest[at..at + 2])?).ok()?;
    }
    let [month, day, hour, minute, second] = fields;
    let nanoseconds = i32::from(tenth) * 100_000_000;
    let local = DateTime::new(year, month, day, hour, minute, second, nanoseconds).ok()?;
    Some(ReceiptTime { local, seconds: rest.len() == 10, zone: None })
}

fn digits(text: &str) -> Option<i16> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

impl fmt::Display for ReceiptTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let date = self.local.date();
        write!(f, "{date}T{:02}:{:02}", self.local.hour(), self.local.minute())?;
        if self.seconds {
            write!(f, ":{:02}", self.local.second())?;
        }
        if self.local.subsec_nanosecond() != 0 {
            write!(f, ".{:06}", self.local.subsec_nanosecond() / 1000)?;
        }
        let Some(zone) = self.zone else { return Ok(()) };
        let minutes = zone.seconds() / 60;
        let sign = if minutes < 0 { '-' } else { '+' };
        write!(f, "{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_shown_as_far_as_it_was_written() {
        for (text, shown) in [
            ("2611211405", "2026-11-21T14:05"),
            (" 2611211405 ", "2026-11-21T14:05"),
            ("261121140509", "2026-11-21T14:05:09"),
            ("202611211405", "2026-11-21T14:05"),
            ("20261121140509", "2026-11-21T14:05:09"),
            ("261121140509012+", "2026-11-21T14:05:09+03:00"),
            ("261121140509914-", "2026-11-21T14:05:09.900000-03:30"),
            ("261121140509000+", "2026-11-21T14:05:09+00:00"),
        ] {
            assert_eq!(ReceiptTime::parse(text).map(|t| t.to_string()).as_deref(), Some(shown), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            " ",
            "0000000000",
            "2613211405",
            "2602301405",
            "2611212505",
            "26112114",
            "2611211405x",
            "261121140509012R",
            "+611211405",
            "26112114050901é",
            "é611211405",
            "261121140509999+x",
        ] {
            assert_eq!(ReceiptTime::parse(text), None, "{text}");
        }
    }
}
