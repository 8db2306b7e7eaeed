//! A cell of a list that goes to and comes from a spreadsheet, as RFC 4180 writes it.
//!
//! A spreadsheet takes a cell for a formula that begins with `=`, `+`, `-`, `@`, a tab or a carriage return:
//! what a person or a stranger wrote gets an apostrophe before it, which reading takes off again.

use std::borrow::Cow;

/// Begins what a spreadsheet would run.
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// A cell of free text as it is written: no formula, and quoted where it must be.
pub fn free(text: &str) -> Cow<'_, str> {
    if text.starts_with(FORMULA) {
        return Cow::Owned(exact(&format!("'{text}")).into_owned());
    }
    exact(text)
}

/// A cell that is no formula by its nature: an id, a time, a number with its plus.
pub fn exact(text: &str) -> Cow<'_, str> {
    if text.contains(['"', ',', ';', '\n', '\r', '\t', '\'']) {
        return Cow::Owned(format!("\"{}\"", text.replace('"', "\"\"")));
    }
    Cow::Borrowed(text)
}

/// What a cell says without the apostrophe that kept it from being a formula.
pub fn unguarded(cell: &str) -> &str {
    cell.strip_prefix('\'').filter(|rest| rest.starts_with(FORMULA)).unwrap_or(cell)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_spreadsheet_would_run_is_guarded_and_what_it_would_not_is_left() {
        for text in ["=1+1", "+49", "-2", "@x"] {
            assert_eq!(unguarded(free(text).trim_matches('"')), text);
            assert!(!free(text).trim_matches('"').starts_with(FORMULA), "{text}");
        }
        assert_eq!(free("plain"), "plain");
        assert_eq!(exact("+4915112345678"), "+4915112345678");
        assert_eq!(unguarded("'s-Gravenhage"), "'s-Gravenhage");
    }
}
