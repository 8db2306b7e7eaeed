//! Comma-separated values as RFC 4180 writes them, for lists that go to and come from spreadsheets.
//!
//! What a spreadsheet would run is guarded cell by cell ([`crate::reminder::cell`]).

pub use crate::reminder::cell::{exact, free, unguarded};

/// Cells of one row at most: more is no list of ours.
const MAX_CELLS: usize = 64;

/// One row and the line of the file it begins in, 1-based.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub line: usize,
    pub cells: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CsvError {
    #[error("line {line}: a quoted cell does not end")]
    Open { line: usize },
    #[error("line {line}: more stands behind the closing quote of a cell")]
    BehindQuote { line: usize },
    #[error("line {line}: more than {MAX_CELLS} cells")]
    Wide { line: usize },
}

/// The rows of a text, blank lines left out. A header that holds `;` and no comma says that `;` parts cells.
pub struct Rows<'a> {
    rest: &'a str,
    line: usize,
    separator: char,
}

impl<'a> Rows<'a> {
    pub fn new(text: &'a str) -> Rows<'a> {
        let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
        let header = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let separator = if header.contains(';') && !header.contains(',') { ';' } else { ',' };
        Rows { rest: text, line: 1, separator }
    }

    /// One cell, unquoted, with what ended it.
    fn cell(&mut self) -> Result<(String, End), CsvError> {
        if let Some(quoted) = self.rest.strip_prefix('"') {
            return self.quoted(quoted);
        }
        let separator = self.separator;
        let at = self.rest.find([separator, '\n']).unwrap_or(self.rest.len());
        let (cell, rest) = self.rest.split_at(at);
        self.rest = rest;
        let end = self.end().unwrap_or(End::Row);
        let cell = if end == End::Row { cell.strip_suffix('\r').unwrap_or(cell) } else { cell };
        Ok((cell.trim().to_owned(), end))
    }

    fn quoted(&mut self, inside: &'a str) -> Result<(String, End), CsvError> {
        let (begun, mut cell) = (self.line, String::new());
        self.rest = inside;
        loop {
            let at = self.rest.find('"').ok_or(CsvError::Open { line: begun })?;
            cell.push_str(&self.rest[..at]);
            self.rest = &self.rest[at + 1..];
            match self.rest.strip_prefix('"') {
                Some(rest) => {
                    cell.push('"');
                    self.rest = rest;
                }
                None => break,
            }
        }
        self.line += cell.matches('\n').count();
        self.rest = self.rest.strip_prefix('\r').unwrap_or(self.rest);
        let end = self.end().ok_or(CsvError::BehindQuote { line: self.line })?;
        Ok((cell, end))
    }

    /// Takes what ends a cell; `None` when it is none.
    fn end(&mut self) -> Option<End> {
        let mut rest = self.rest.chars();
        let end = match rest.next() {
            None => End::Row,
            Some('\n') => {
                self.line += 1;
                End::Row
            }
            Some(c) if c == self.separator => End::Cell,
            Some(_) => return None,
        };
        self.rest = rest.as_str();
        Some(end)
    }

    fn row(&mut self) -> Result<Row, CsvError> {
        let (line, mut cells) = (self.line, Vec::new());
        loop {
            let (cell, end) = self.cell()?;
            cells.push(cell);
            if cells.len() > MAX_CELLS {
                return Err(CsvError::Wide { line });
            }
            if end == End::Row {
                return Ok(Row { line, cells });
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Cell,
    Row,
}

impl Iterator for Rows<'_> {
    type Item = Result<Row, CsvError>;

    fn next(&mut self) -> Option<Result<Row, CsvError>> {
        while !self.rest.is_empty() {
            match self.row() {
                Ok(row) if row.cells.iter().all(String::is_empty) => {}
                Ok(row) => return Some(Ok(row)),
                Err(error) => {
                    // What follows a broken row is not known.
                    self.rest = "";
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cells(text: &str) -> Vec<Vec<String>> {
        Rows::new(text).map(|row| row.unwrap().cells).collect()
    }

    #[test]
    fn quotes_line_ends_and_separators_are_read_as_rfc_4180_has_them() {
        assert_eq!(
            cells("\u{FEFF}a,b\r\n1,\"x, \"\"y\"\"\nz\"\r\n\r\n2,\n"),
            [vec!["a", "b"], vec!["1", "x, \"y\"\nz"], vec!["2", ""]]
        );
        assert_eq!(cells("a;b\n1;2,5"), [["a", "b"], ["1", "2,5"]]);
    }

    #[test]
    fn a_row_knows_the_line_it_begins_in() {
        let lines: Vec<usize> = Rows::new("a\n\n\"x\ny\"\nz").map(|row| row.unwrap().line).collect();
        assert_eq!(lines, [1, 3, 5]);
    }

    #[test]
    fn a_broken_row_ends_the_reading_with_its_line() {
        let read: Vec<_> = Rows::new("a\n\"x\nb").collect();
        assert_eq!(read[1], Err(CsvError::Open { line: 2 }));
        assert_eq!(Rows::new("a\n\"x\"y,z").last(), Some(Err(CsvError::BehindQuote { line: 2 })));
        assert_eq!(Rows::new(&",".repeat(1_000)).last(), Some(Err(CsvError::Wide { line: 1 })));
    }

    #[test]
    fn what_a_spreadsheet_would_run_is_written_as_text_and_read_back() {
        for text in ["=1+1", "+49", "-2", "@x", "\tx", "\rx", "=HYPERLINK(\"x\",\"y\")"] {
            let written = free(text);
            assert!(
                !written.trim_start_matches('"').starts_with(['=', '+', '-', '@', '\t', '\r']),
                "{written}"
            );
            assert_eq!(unguarded(&cells(&format!("h\n{written}"))[1][0]), text);
        }
        assert_eq!(exact("+4915112345678"), "+4915112345678");
    }

    proptest! {
        #[test]
        fn any_cell_written_is_read_as_it_was(text in "[^\\x00]{1,40}") {
            let both = format!("h,i\n{},x\n", exact(&format!("a{text}b")));
            prop_assert_eq!(&cells(&both)[1][0], &format!("a{text}b"));
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in any::<String>()) {
            let rows: Vec<_> = Rows::new(&text).collect();
            prop_assert!(rows.len() <= text.len() + 1);
        }
    }
}
