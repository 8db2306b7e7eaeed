//! The journal's bytes: how a record is written and read back. Pure; the simulation runs it over memory.
//!
//! ```text
//! | len 4 | crc32c 4 | seq 8 | time ms 8 | hash of the record before 16 | first event 8 | writes 4 | events 4 |
//! | writes: key len 4, value len 4 (0xFFFFFFFF: delete), key, value | events: len 4, bytes | zeros to a multiple of 8 |
//! ```
//! Little endian. `len` counts from itself to the last event, without the zeros; the checksum covers
//! `len` and all behind the checksum. Sequence and hash chain the records, so a record lost, doubled or
//! taken from another journal is seen. What a damaged chain means for the state is for [`super::open`].

use super::Batch;
use crate::clock::Timestamp;

/// First 16 bytes of a record's BLAKE3.
pub type Hash = [u8; 16];

/// Bytes before the first write.
pub const HEAD_BYTES: usize = 56;
/// Records begin at multiples of this.
pub const ALIGN: usize = 8;
const DELETE: u32 = u32::MAX;
/// Zeros are looked for in blocks of this size, because comparing memory beats looking at bytes.
const BLOCK: usize = 4096;

/// Where in the chain a record stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Of the record to come; the first is 1.
    pub seq: u64,
    /// Of the record before; zeros before the first.
    pub prev: Hash,
    /// Number of the next event; the first is 1.
    pub event: u64,
}

impl Position {
    pub const START: Position = Position { seq: 1, prev: [0; 16], event: 1 };
}

/// A record whose checksum and form are good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    pub at: Position,
    pub time: Timestamp,
    pub hash: Hash,
    writes: u32,
    events: u32,
    body: &'a [u8],
}

impl<'a> Record<'a> {
    /// Keys with their new value; `None` deletes.
    pub fn writes(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a> {
        let mut cursor = Cursor(self.body);
        (0..self.writes).map_while(move |_| cursor.write())
    }

    /// Events with their numbers.
    pub fn events(&self) -> impl Iterator<Item = (u64, &'a [u8])> + use<'a> {
        let mut cursor = Cursor(self.body);
        for _ in 0..self.writes {
            if cursor.write().is_none() {
                break;
            }
        }
        let first = self.at.event;
        (0..u64::from(self.events)).map_while(move |n| Some((first + n, cursor.event()?)))
    }

    /// The place of the record that follows.
    pub fn next(&self) -> Position {
        Position {
            seq: self.at.seq + 1,
            prev: self.hash,
            event: self.at.event.saturating_add(u64::from(self.events)),
        }
    }
}

/// Bytes the batch takes as a record, with the zeros that align it.
pub fn encoded_len(batch: &Batch) -> usize {
    let value = |v: &Option<Vec<u8>>| v.as_ref().map_or(0, Vec::len);
    let writes: usize = batch.writes.iter().map(|(k, v)| 8 + k.len() + value(v)).sum();
    let events: usize = batch.events.iter().map(|e| 4 + e.len()).sum();
    (HEAD_BYTES + writes + events).next_multiple_of(ALIGN)
}

/// Appends the record of a batch to `out` and gives the place of the next one. The caller sees to it that
/// [`encoded_len`] fits 32 bits.
pub fn encode_record(out: &mut Vec<u8>, at: Position, time: Timestamp, batch: &Batch) -> Position {
    let start = out.len();
    out.reserve(encoded_len(batch));
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&at.seq.to_le_bytes());
    out.extend_from_slice(&time.as_millis().to_le_bytes());
    out.extend_from_slice(&at.prev);
    out.extend_from_slice(&at.event.to_le_bytes());
    out.extend_from_slice(&(batch.writes.len() as u32).to_le_bytes());
    out.extend_from_slice(&(batch.events.len() as u32).to_le_bytes());
    for (key, value) in &batch.writes {
        let value_len = value.as_ref().map_or(DELETE, |v| v.len() as u32);
        out.extend_from_slice(&(key.len() as u32).to_le_bytes());
        out.extend_from_slice(&value_len.to_le_bytes());
        out.extend_from_slice(key);
        out.extend_from_slice(value.as_deref().unwrap_or(&[]));
    }
    for event in &batch.events {
        out.extend_from_slice(&(event.len() as u32).to_le_bytes());
        out.extend_from_slice(event);
    }
    let record = &mut out[start..];
    let len = (record.len() as u32).to_le_bytes();
    record[..4].copy_from_slice(&len);
    let crc = checksum(record).to_le_bytes();
    record[4..8].copy_from_slice(&crc);
    let prev = hash(record);
    let padded = record.len().next_multiple_of(ALIGN);
    out.resize(start + padded, 0);
    Position { seq: at.seq + 1, prev, event: at.event + batch.events.len() as u64 }
}

fn checksum(record: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&record[..4]), &record[8..])
}

fn hash(record: &[u8]) -> Hash {
    let mut short = [0; 16];
    short.copy_from_slice(&blake3::hash(record).as_bytes()[..16]);
    short
}

/// The length a record states, if a record of that length can lie at the start of `bytes`.
pub fn stated_len(bytes: &[u8]) -> Option<usize> {
    let len = u32::from_le_bytes(*bytes.first_chunk::<4>()?) as usize;
    (len >= HEAD_BYTES).then_some(len)
}

/// The record at the start of `bytes` and the bytes it takes, if one of good form lies there.
pub fn parse_record(bytes: &[u8]) -> Option<(Record<'_>, usize)> {
    let len = stated_len(bytes)?;
    let record = bytes.get(..len)?;
    let mut cursor = Cursor(&record[4..HEAD_BYTES]);
    if cursor.u32()? != checksum(record) {
        return None;
    }
    let (seq, time) = (cursor.u64()?, Timestamp::from_millis(cursor.u64()?));
    let prev: Hash = *cursor.take(16)?.first_chunk()?;
    let (event, writes, events) = (cursor.u64()?, cursor.u32()?, cursor.u32()?);
    let body = &record[HEAD_BYTES..];
    let mut rest = Cursor(body);
    for _ in 0..writes {
        rest.write()?;
    }
    for _ in 0..events {
        rest.event()?;
    }
    let at = Position { seq, prev, event };
    let found = Record { at, time, hash: hash(record), writes, events, body };
    rest.0.is_empty().then_some((found, len.next_multiple_of(ALIGN)))
}

/// Reads fields off the front; `None` when too little is left.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(*self.take(4)?.first_chunk()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(*self.take(8)?.first_chunk()?))
    }

    fn write(&mut self) -> Option<(&'a [u8], Option<&'a [u8]>)> {
        let (key_len, value_len) = (self.u32()?, self.u32()?);
        let key = self.take(key_len as usize)?;
        let value = if value_len == DELETE { None } else { Some(self.take(value_len as usize)?) };
        Some((key, value))
    }

    fn event(&mut self) -> Option<&'a [u8]> {
        let len = self.u32()?;
        self.take(len as usize)
    }
}

/// What lies at the scanner's place.
#[derive(Debug, PartialEq, Eq)]
pub enum Scan<'a> {
    Record(Record<'a>),
    /// Only zeros follow.
    End,
    /// What follows is no record and no record comes after it: a write that a crash cut short.
    Torn,
    /// Damage: why. A record that should be here is not, though later ones exist, or it is another one's.
    Broken(&'static str),
}

/// Walks records, each checked against the one before.
#[derive(Debug)]
pub struct Scanner<'a> {
    bytes: &'a [u8],
    offset: usize,
    expected: Position,
}

impl<'a> Scanner<'a> {
    /// Over records only, without a segment's header.
    pub fn new(bytes: &'a [u8], expected: Position) -> Scanner<'a> {
        Scanner { bytes, offset: 0, expected }
    }

    /// Bytes walked so far.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// What the next record must continue.
    pub fn expected(&self) -> Position {
        self.expected
    }

    /// The record here, after which the scanner stands behind it; at anything else it stays.
    pub fn step(&mut self) -> Scan<'a> {
        let rest = self.bytes.get(self.offset..).unwrap_or(&[]);
        match parse_record(rest) {
            Some((record, len)) if record.at == self.expected => {
                self.offset += len;
                self.expected = record.next();
                Scan::Record(record)
            }
            Some(_) => Scan::Broken("a record does not continue the one before"),
            None if is_zero(rest) => Scan::End,
            None if has_record(rest) => Scan::Broken("a record is damaged and later ones are not"),
            None => Scan::Torn,
        }
    }
}

/// Nothing was ever written here.
pub fn is_zero(bytes: &[u8]) -> bool {
    bytes.chunks(BLOCK).all(|block| block == &[0; BLOCK][..block.len()])
}

/// Whether a good record begins anywhere behind the first bytes.
fn has_record(bytes: &[u8]) -> bool {
    let aligned = bytes.chunks(BLOCK).enumerate().filter(|(_, block)| !is_zero(block));
    aligned
        .flat_map(|(n, block)| (n * BLOCK..n * BLOCK + block.len()).step_by(ALIGN))
        .any(|at| at > 0 && parse_record(&bytes[at..]).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(n: u8) -> Batch {
        let mut batch = Batch::default();
        batch.writes.insert(vec![b'h', n], Some(vec![n; 5 + n as usize]));
        batch.writes.insert(vec![b'l', n], None);
        batch.events.push(vec![n; 3]);
        batch
    }

    fn journal(records: u8) -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut at, mut ends) = (Vec::new(), Position::START, Vec::new());
        for n in 0..records {
            let before = bytes.len();
            at = encode_record(&mut bytes, at, Timestamp::from_millis(7), &batch(n));
            assert_eq!(bytes.len() - before, encoded_len(&batch(n)));
            ends.push(bytes.len());
        }
        bytes.resize(bytes.len() + 512, 0);
        (bytes, ends)
    }

    fn walk(bytes: &[u8]) -> (u64, Scan<'_>) {
        let mut scanner = Scanner::new(bytes, Position::START);
        loop {
            match scanner.step() {
                Scan::Record(_) => {}
                other => return (scanner.expected().seq - 1, other),
            }
        }
    }

    #[test]
    fn writes_and_numbered_events_come_back() {
        let (bytes, _) = journal(2);
        let mut scanner = Scanner::new(&bytes, Position::START);
        let Scan::Record(first) = scanner.step() else { panic!() };
        let writes: Vec<_> = first.writes().collect();
        assert_eq!(writes, [(&b"h\0"[..], Some(&[0u8; 5][..])), (&b"l\0"[..], None)]);
        let Scan::Record(second) = scanner.step() else { panic!() };
        assert_eq!(second.events().collect::<Vec<_>>(), [(2, &[1u8, 1, 1][..])]);
        assert_eq!(scanner.step(), Scan::End);
    }

    #[test]
    fn a_tail_cut_at_any_byte_is_torn_and_costs_only_itself() {
        let (bytes, ends) = journal(3);
        let last = ends[1]..ends[2];
        let unpadded = ends[1] + stated_len(&bytes[ends[1]..]).unwrap();
        for cut in last.start + 1..unpadded {
            let mut torn = bytes.clone();
            torn[cut..].fill(0);
            let (count, tail) = walk(&torn);
            if count == 3 {
                assert_eq!(torn, bytes, "only a cut that changes nothing leaves the record good");
            } else {
                assert_eq!((count, tail), (2, Scan::Torn), "cut at {cut}");
            }
        }
    }

    #[test]
    fn a_flip_before_the_last_record_is_broken_and_in_it_torn() {
        let (bytes, ends) = journal(3);
        for bit in 0..ends[2] * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let (count, tail) = walk(&flipped);
            match tail {
                Scan::Broken(_) => assert!(bit / 8 < ends[1]),
                Scan::Torn => assert!(bit / 8 >= ends[1] && count == 2),
                // A flip in the zeros between records hurts nothing.
                _ => assert_eq!(count, 3, "bit {bit}"),
            }
        }
    }

    #[test]
    fn a_record_of_another_chain_is_broken() {
        let (mut bytes, ends) = journal(2);
        let mut other = Vec::new();
        let at = Position { prev: [9; 16], seq: 2, event: 2 };
        encode_record(&mut other, at, Timestamp::from_millis(7), &batch(1));
        bytes[ends[0]..ends[1]].copy_from_slice(&other);
        assert_eq!(walk(&bytes), (1, Scan::Broken("a record does not continue the one before")));
    }
}
