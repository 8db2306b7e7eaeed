//! How things are said to people: durations, dates, and texts of strangers.
//!
//! Escaping for HTML is the templates' affair. Here what a text does beside being read is taken from it:
//! control characters and those that turn the direction of what follows are shown by their number.

use std::fmt::Write as _;
use std::time::Duration;

use crate::clock::Timestamp;

/// When something began, and how long it has lasted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Since {
    pub time: String,
    /// As people read it: date and time to the minute, UTC.
    pub read: String,
    pub lasted: String,
}

impl Since {
    pub fn of(at: Timestamp, now: Timestamp) -> Since {
        let time = at.to_rfc3339();
        let read = time.get(..16).map(|minute| minute.replace('T', " ") + " UTC").unwrap_or_default();
        Since { time, read, lasted: spoken(now.since(at)) }
    }
}

/// A duration as people say it, in its largest unit.
pub fn spoken(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (count, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3_600 => (seconds / 60, "minute"),
        3_600..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    counted(count, unit)
}

/// `1 minute`, `2 minutes`.
pub fn counted(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// A number in groups of three digits.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut shown = String::with_capacity(digits.len() * 2);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push('\u{202f}');
        }
        shown.push(digit);
    }
    shown
}

/// A text with nothing in it that acts, at most `most` characters of it.
pub fn visible(text: &str, most: usize) -> String {
    let mut shown = String::with_capacity(text.len().min(4 * most));
    for (at, c) in text.chars().enumerate() {
        if at == most {
            shown.push('…');
            break;
        }
        if !acts(c) {
            shown.push(c);
        } else if write!(shown, "⟨U+{:04X}⟩", u32::from(c)).is_err() {
            // Writing to a String cannot fail.
            break;
        }
    }
    shown
}

/// Controls but the line feed, marks and embeddings of direction, and what is not seen at all; the joiners
/// stay, because writing and emoji need them.
const fn acts(c: char) -> bool {
    matches!(c,
        '\u{0}'..='\u{9}' | '\u{b}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{61c}' | '\u{180e}'
        | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_spoken_in_their_largest_unit() {
        for (seconds, said) in [(1, "1 second"), (59, "59 seconds"), (60, "1 minute"), (7_200, "2 hours")] {
            assert_eq!(spoken(Duration::from_secs(seconds)), said);
        }
        assert_eq!(spoken(Duration::from_secs(3 * 86_400)), "3 days");
    }

    #[test]
    fn large_numbers_are_read_in_groups() {
        let said = [0, 999, 1_000, 1_290_412].map(grouped);
        assert_eq!(said, ["0", "999", "1\u{202f}000", "1\u{202f}290\u{202f}412"]);
    }

    #[test]
    fn what_acts_is_shown_by_its_number_and_what_is_writing_stays() {
        let shown = visible("a\u{1b}[31m\u{202e}b\r\nc\u{2066}", 100);
        assert_eq!(shown, "a⟨U+001B⟩[31m⟨U+202E⟩b⟨U+000D⟩\nc⟨U+2066⟩");
        for writing in ["שלום", "می\u{200c}خواهم", "👩\u{200d}👧", "e\u{301}", "<b>&"] {
            assert_eq!(visible(writing, 100), writing);
        }
    }

    #[test]
    fn a_text_is_cut_at_its_limit_and_not_before() {
        assert_eq!((visible("abc", 3), visible("abcd", 3)), (String::from("abc"), String::from("abc…")));
    }
}
