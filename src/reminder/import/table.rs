//! A CSV file as records, whatever length it has: one record is held at a time.
//!
//! Line ends of every kind are read as line feeds, so that a row's number is the one a spreadsheet shows.

use std::io::{self, Read};

use csv::{ReaderBuilder, StringRecord};

use super::FileError;
use super::mapping::Delimiter;

/// Octets of one record: each of thirty columns may hold a long text.
pub const RECORD_MAX: usize = 64 * 1024;
/// Columns of one file, with custom ones.
pub const COLUMNS_MAX: usize = 256;
/// Octets read at a time.
const READ: usize = 64 * 1024;

/// A record with its row, or why it is none.
pub type Numbered<'a> = (u64, Result<&'a StringRecord, String>);

/// The records of a file.
pub struct Table<R> {
    reader: csv::Reader<Source<R>>,
    record: StringRecord,
    /// Line feeds within cells so far: lines of the file that are no rows.
    within: u64,
    /// The row of the last record.
    last: u64,
}

impl<R: Read> Table<R> {
    /// Reads the header, and finds the delimiter in it where none is given.
    pub fn open(input: R, delimiter: Option<Delimiter>) -> Result<(Table<R>, Vec<String>), FileError> {
        let mut source = Source::new(input);
        source.begin()?;
        let delimiter = delimiter.unwrap_or_else(|| source.delimiter());
        let reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(false)
            .buffer_capacity(READ)
            .delimiter(delimiter.octet())
            .from_reader(source);
        let mut table = Table { reader, record: StringRecord::new(), within: 0, last: 0 };
        let header: Vec<String> = match table.next()? {
            Some((_, Ok(record))) => record.iter().map(|name| name.trim().to_owned()).collect(),
            Some((_, Err(_))) | None => return Err(FileError::Empty),
        };
        if header.len() > COLUMNS_MAX {
            return Err(FileError::TooManyColumns);
        }
        Ok((table, header))
    }

    /// The next record that says anything.
    pub fn next(&mut self) -> Result<Option<Numbered<'_>>, FileError> {
        loop {
            self.reader.get_mut().allowance = RECORD_MAX + READ;
            let read = self.reader.read_record(&mut self.record);
            let lines = self.reader.position().line();
            if let Ok(false) = read {
                return Ok(None);
            }
            self.within += self.record.iter().map(|cell| cell.matches('\n').count() as u64).sum::<u64>();
            let row = lines.saturating_sub(1 + self.within).max(1);
            if let Err(error) = read {
                // What is too long has not ended, and the lines it holds are no rows.
                let row = if matches!(error.kind(), csv::ErrorKind::Io(_)) { self.last + 1 } else { row };
                self.last = row;
                return Ok(Some((row, Err(uneven(error, row)?))));
            }
            self.last = row;
            if self.record.as_slice().len() > RECORD_MAX {
                return Err(FileError::TooLong { row });
            }
            if self.record.iter().any(|cell| !cell.trim().is_empty()) {
                return Ok(Some((row, Ok(&self.record))));
            }
        }
    }
}

/// A record with other cells than the header is one row's fault; whatever else is wrong is the file's.
fn uneven(error: csv::Error, row: u64) -> Result<String, FileError> {
    match error.into_kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            Ok(format!("has {len} cells, the header has {expected_len}"))
        }
        csv::ErrorKind::Utf8 { .. } => Err(FileError::NotUtf8 { row }),
        csv::ErrorKind::Io(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            Err(FileError::TooLong { row })
        }
        csv::ErrorKind::Io(error) => Err(FileError::Read(error)),
        other => Err(FileError::Read(io::Error::other(format!("{other:?}")))),
    }
}

/// A file with line feeds only, without a byte order mark, and with no more than is allowed for one record.
struct Source<R> {
    input: R,
    /// What was read ahead to see the header.
    ahead: Vec<u8>,
    taken: usize,
    /// Octets that may still be read before the record must have ended.
    allowance: usize,
    /// Whether the last octet was a carriage return, which became a line feed.
    returned: bool,
    /// Whether the line feed that ends the last line was given.
    closed: bool,
}

impl<R: Read> Source<R> {
    fn new(input: R) -> Source<R> {
        Source { input, ahead: Vec::new(), taken: 0, allowance: usize::MAX, returned: false, closed: false }
    }

    /// Reads the beginning, and takes the byte order mark off.
    fn begin(&mut self) -> Result<(), FileError> {
        let limit = RECORD_MAX as u64;
        (&mut self.input).take(limit).read_to_end(&mut self.ahead).map_err(FileError::Read)?;
        if self.ahead.starts_with(&[0xFF, 0xFE]) || self.ahead.starts_with(&[0xFE, 0xFF]) {
            return Err(FileError::Utf16);
        }
        if self.ahead.starts_with(&[0xEF, 0xBB, 0xBF]) {
            self.taken = 3;
        }
        Ok(())
    }

    /// What parts the names of the header: of the two, the one that stands there more often outside quotes.
    fn delimiter(&self) -> Delimiter {
        let (mut commas, mut semicolons, mut quoted) = (0, 0, false);
        for octet in &self.ahead[self.taken..] {
            match octet {
                b'"' => quoted = !quoted,
                b',' if !quoted => commas += 1,
                b';' if !quoted => semicolons += 1,
                b'\n' | b'\r' if !quoted && commas + semicolons > 0 => break,
                _ => {}
            }
        }
        if semicolons > commas { Delimiter::Semicolon } else { Delimiter::Comma }
    }

    fn raw(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let left = &self.ahead[self.taken..];
        if left.is_empty() {
            self.ahead = Vec::new();
            self.taken = 0;
            return self.input.read(out);
        }
        let length = left.len().min(out.len());
        out[..length].copy_from_slice(&left[..length]);
        self.taken += length;
        Ok(length)
    }
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.allowance == 0 {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        loop {
            let length = out.len().min(self.allowance);
            let read = self.raw(&mut out[..length])?;
            if read == 0 {
                return Ok(self.close(out));
            }
            let kept = self.unify(&mut out[..read]);
            if kept > 0 {
                self.allowance -= kept;
                return Ok(kept);
            }
        }
    }
}

impl<R> Source<R> {
    /// The last line ends as the others do, whether it says so or not.
    fn close(&mut self, out: &mut [u8]) -> usize {
        match out.first_mut() {
            Some(first) if !self.closed => {
                *first = b'\n';
                self.closed = true;
                1
            }
            _ => 0,
        }
    }

    /// Makes a line feed of every line end; the count of octets that are left.
    fn unify(&mut self, octets: &mut [u8]) -> usize {
        if !self.returned && !octets.contains(&b'\r') {
            return octets.len();
        }
        let mut kept = 0;
        for at in 0..octets.len() {
            let octet = octets[at];
            let second = octet == b'\n' && self.returned;
            self.returned = octet == b'\r';
            if !second {
                octets[kept] = if self.returned { b'\n' } else { octet };
                kept += 1;
            }
        }
        kept
    }
}
