//! Holidays out of a list: a date a line, and its name behind a comma or semicolon where it has one. Pure.
//!
//! ```text
//! date,name
//! 2026-05-01,"Tag der Arbeit"
//! 2026-12-25
//! ```

use std::collections::BTreeSet;

use jiff::civil::Date;

use super::calendar::Holiday;

/// Of days that have no name.
const UNNAMED: &str = "holiday";
/// Characters of a line shown.
const SHOWN_CHARS: usize = 40;

/// A line that cannot be taken; none is left out unsaid, because texts would go on that day.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadList {
    #[error("line {line}: {found:?} must be a date as 2026-12-25, and its name behind a comma")]
    Date { line: usize, found: String },
    #[error("line {line}: {date} stands there twice")]
    Twice { line: usize, date: Date },
}

/// # Errors
/// [`BadList`], as it says.
pub fn parse(text: &str) -> Result<Vec<Holiday>, BadList> {
    let (mut holidays, mut known) = (Vec::new(), BTreeSet::new());
    for (at, row) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = at + 1;
        let (first, name) = row.split_once([',', ';']).unwrap_or((row, ""));
        let first = first.trim();
        let is_header = line == 1 && first.eq_ignore_ascii_case("date");
        if row.trim().is_empty() || is_header {
            continue;
        }
        let bad = |_| BadList::Date { line, found: first.chars().take(SHOWN_CHARS).collect() };
        let date: Date = Date::strptime("%Y-%m-%d", unquoted(first)).map_err(bad)?;
        if !known.insert(date) {
            return Err(BadList::Twice { line, date });
        }
        let name = unquoted(name.trim()).replace("\"\"", "\"");
        let name = if name.is_empty() { UNNAMED.to_owned() } else { name };
        holidays.push(Holiday { date, name });
    }
    Ok(holidays)
}

fn unquoted(cell: &str) -> &str {
    cell.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(cell)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date as day;

    use super::*;

    #[test]
    fn a_line_is_a_date_and_may_have_a_name() {
        let text = "\u{feff}Date;Name\r\n2026-05-01;Tag der Arbeit\r\n\r\n2026-12-25\r\n\"2026-12-26\",\"2nd, \"\"quiet\"\"\"\n";
        let found: Vec<(Date, String)> =
            parse(text).unwrap().into_iter().map(|holiday| (holiday.date, holiday.name)).collect();
        let expected = [
            (day(2026, 5, 1), "Tag der Arbeit"),
            (day(2026, 12, 25), "holiday"),
            (day(2026, 12, 26), "2nd, \"quiet\""),
        ];
        assert_eq!(found, expected.map(|(date, name)| (date, name.to_owned())));
    }

    #[test]
    fn a_line_that_is_no_date_is_named() {
        for (text, why) in [
            ("2026-05-01\n01.05.2026,x\n", "line 2: \"01.05.2026\""),
            ("2026-02-30\n", "line 1: \"2026-02-30\""),
            ("date\ndate\n", "line 2: \"date\""),
            ("2026-05-01\n\n2026-05-01,again\n", "line 3: 2026-05-01 stands there twice"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.starts_with(why), "{error}");
        }
    }
}
