//! The journal's files: segments preallocated at full length, one being written at a time.
//!
//! ```text
//! journal/00000000000000000001   first sequence as name; header, then records (frame.rs), then zeros
//! journal/spare                  the next segment, reserved ahead of need, without a header yet
//! header: | magic 8 | version 4 | 0 4 | first seq 8 | hash of the record before 16 | first event 8 | length 8 | 0 4 | crc32c 4 |
//! ```
//! A segment gets its header, and that is synced, before it gets its name, and its name is synced before
//! a record is written; so the header of a segment proves the last record of the one before it. One
//! thread appends. An error while writing leaves unknown bytes behind: the caller must not append again.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use super::files::{self, Doing};
use super::frame::{self, Hash, Position, Scan, Scanner};
use super::tail::{Holds, Tail};
use super::{Batch, StoreError};
use crate::clock::Timestamp;

const MAGIC: &[u8; 8] = b"nudgedJ\n";
const VERSION: u32 = 1;
pub(super) const HEADER_BYTES: usize = 64;
/// No batch comes near it: 512 commands of 500 drafts with 2 KiB each would be half of it.
const MAX_RECORD_BYTES: usize = 1 << 30;
const SPARE: &str = "spare";
/// Of a segment, in memory at once while it is checked; tests have small segments and see many windows too.
const WALK_WINDOW: u64 = if cfg!(test) { 1 << 10 } else { 4 << 20 };

/// The journal, open for appending.
#[derive(Debug)]
pub struct Journal {
    dir: PathBuf,
    segment_bytes: u64,
    /// First sequence of each segment, ascending; the last one is being written. Never empty.
    segments: Vec<u64>,
    /// Place of the first record the journal still holds.
    oldest: Position,
    file: File,
    /// Length of the file being written.
    len: u64,
    /// Where the next record goes.
    offset: u64,
    next: Position,
    /// Last sequence on the disk, for followers.
    synced: Arc<AtomicU64>,
    /// Number of the oldest event, for readers of events.
    oldest_event: Arc<AtomicU64>,
    /// What they need.
    holds: Holds,
    appended: u64,
    spare: Spare,
    buffer: Vec<u8>,
    torn: bool,
    durable: bool,
}

#[derive(Debug)]
enum Spare {
    None,
    Making(JoinHandle<Result<File, StoreError>>),
}

/// What lies in a segment's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    first: Position,
    len: u64,
}

impl Header {
    fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first.seq.to_le_bytes());
        bytes[24..40].copy_from_slice(&self.first.prev);
        bytes[40..48].copy_from_slice(&self.first.event.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.len.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..60]);
        bytes[60..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Header, StoreError> {
        let damaged = || StoreError::Damaged(String::from("a journal segment has a damaged header"));
        let bytes: &[u8; HEADER_BYTES] = bytes.first_chunk().ok_or_else(damaged)?;
        let u64_at = |at: usize| bytes[at..].first_chunk().map_or(0, |b| u64::from_le_bytes(*b));
        let u32_at = |at: usize| bytes[at..].first_chunk().map_or(0, |b| u32::from_le_bytes(*b));
        if bytes[..8] != *MAGIC || u32_at(60) != crc32c::crc32c(&bytes[..60]) {
            return Err(damaged());
        }
        if u32_at(8) != VERSION {
            return Err(StoreError::Newer { what: "journal", found: u32_at(8), known: VERSION });
        }
        let mut prev: Hash = [0; 16];
        prev.copy_from_slice(&bytes[24..40]);
        Ok(Header { first: Position { seq: u64_at(16), prev, event: u64_at(40) }, len: u64_at(48) })
    }
}

impl Journal {
    /// Makes the first segment. The directory may exist, without segments.
    pub(super) fn create(dir: &Path, segment_bytes: u64) -> Result<Journal, StoreError> {
        fs::create_dir_all(dir).doing(|| format!("create {}", dir.display()))?;
        dir.parent().map_or(Ok(()), files::sync_dir)?;
        let header = Header { first: Position::START, len: aligned(segment_bytes) };
        let file = files::preallocate(&dir.join(SPARE), header.len)?;
        let file = install(dir, file, header)?;
        Ok(Journal::at(dir, segment_bytes, vec![1], Position::START, file, header))
    }

    fn at(
        dir: &Path,
        segment_bytes: u64,
        segments: Vec<u64>,
        oldest: Position,
        file: File,
        header: Header,
    ) -> Journal {
        Journal {
            dir: dir.to_path_buf(),
            segment_bytes: aligned(segment_bytes),
            segments,
            oldest,
            file,
            len: header.len,
            offset: HEADER_BYTES as u64,
            next: header.first,
            synced: Arc::new(AtomicU64::new(header.first.seq - 1)),
            oldest_event: Arc::new(AtomicU64::new(oldest.event)),
            holds: Holds::default(),
            appended: 0,
            spare: Spare::None,
            buffer: Vec::new(),
            torn: false,
            durable: true,
        }
    }

    /// Reads and checks every record; `None` when there is no segment at all. Nothing is changed.
    pub(super) fn open(dir: &Path, segment_bytes: u64) -> Result<Option<Journal>, StoreError> {
        let segments = list(dir)?;
        let (Some(&first), Some(&last)) = (segments.first(), segments.last()) else { return Ok(None) };
        let mut place: Option<Position> = None;
        let mut oldest = Position::START;
        for &seq in &segments {
            let walked = walk(dir, seq, place)?;
            if seq == first {
                oldest = walked.header.first;
            }
            if seq == last {
                let path = segment_path(dir, seq);
                let file = OpenOptions::new().read(true).write(true).open(&path);
                let file = file.doing(|| format!("open {}", path.display()))?;
                let mut journal = Journal::at(dir, segment_bytes, segments, oldest, file, walked.header);
                journal.offset = walked.offset;
                journal.next = walked.next;
                journal.synced.store(walked.next.seq - 1, Ordering::Release);
                journal.torn = walked.torn;
                return Ok(Some(journal));
            }
            place = Some(walked.next);
        }
        Ok(None)
    }

    /// Whether a write cut short by a crash lies behind the last record.
    pub(super) fn is_torn(&self) -> bool {
        self.torn
    }

    /// Clears what a crash left behind the last record, and a segment without a header; only then may one append.
    pub(super) fn settle(&mut self) -> Result<(), StoreError> {
        if self.torn {
            let cleared = files::zero(&self.file, self.offset, self.len);
            cleared
                .and_then(|()| self.file.sync_all())
                .doing(|| String::from("cut the journal's torn tail"))?;
            self.torn = false;
        }
        files::remove(&self.dir.join(SPARE))
    }

    /// Last sequence in the journal; 0 when it is empty.
    pub(super) fn head(&self) -> u64 {
        self.next.seq - 1
    }

    /// Where the next record will stand; its `prev` is the hash of the last one.
    pub(super) fn next(&self) -> Position {
        self.next
    }

    /// First sequence the journal still holds, or will hold.
    pub(super) fn oldest(&self) -> u64 {
        self.oldest.seq
    }

    /// Bytes appended since it was opened.
    pub(super) fn appended(&self) -> u64 {
        self.appended
    }

    /// Whether records are synced.
    pub(super) fn set_durable(&mut self, durable: bool) {
        self.durable = durable;
    }

    /// Bytes of records in segments that begin after `seq`; what a start would have to read again.
    pub(super) fn bytes_since(&self, seq: u64) -> u64 {
        let later = self.segments.iter().filter(|&&first| first > seq).count() as u64;
        later.saturating_sub(1) * self.segment_bytes + self.offset
    }

    /// Appends and syncs. After an error nothing may be appended any more.
    pub(super) fn append(&mut self, batch: &Batch, now: Timestamp) -> Result<Position, StoreError> {
        let len = frame::encoded_len(batch);
        if len > MAX_RECORD_BYTES {
            let source = std::io::Error::from(std::io::ErrorKind::InvalidInput);
            return Err(StoreError::Io { doing: format!("a step of {len} bytes"), source });
        }
        if self.offset + len as u64 > self.len {
            self.rotate(len as u64)?;
        }
        let at = self.next;
        self.buffer.clear();
        let next = frame::encode_record(&mut self.buffer, at, now, batch);
        let written = self.file.write_all_at(&self.buffer, self.offset);
        let synced = |()| if self.durable { self.file.sync_data() } else { Ok(()) };
        written.and_then(synced).doing(|| format!("write journal record {}", at.seq))?;
        self.offset += len as u64;
        self.appended += len as u64;
        self.next = next;
        self.synced.store(at.seq, Ordering::Release);
        Ok(at)
    }

    /// Begins the next segment, with room for a record of `record` bytes.
    fn rotate(&mut self, record: u64) -> Result<(), StoreError> {
        let needed = aligned(self.segment_bytes.max(record + HEADER_BYTES as u64));
        let spare = match std::mem::replace(&mut self.spare, Spare::None) {
            Spare::Making(thread) => Some(join(thread)?),
            Spare::None => None,
        };
        let file = match spare {
            Some(file) if needed == self.segment_bytes => file,
            _ => files::preallocate(&self.dir.join(SPARE), needed)?,
        };
        let header = Header { first: self.next, len: needed };
        self.file = install(&self.dir, file, header)?;
        self.segments.push(self.next.seq);
        (self.len, self.offset) = (needed, HEADER_BYTES as u64);
        Ok(())
    }

    /// Begins to reserve the next segment once this one is half full.
    pub(super) fn prepare(&mut self) -> Result<(), StoreError> {
        if !matches!(self.spare, Spare::None) || self.offset < self.len / 2 {
            return Ok(());
        }
        let (path, bytes) = (self.dir.join(SPARE), self.segment_bytes);
        let thread = std::thread::Builder::new().name(String::from("journal-spare"));
        let making = thread.spawn(move || files::preallocate(&path, bytes));
        self.spare = Spare::Making(making.doing(|| String::from("start a thread"))?);
        Ok(())
    }

    /// First sequence of the segments that make up the last `bytes`, beside the one being written.
    pub(super) fn within(&self, bytes: u64) -> u64 {
        let count = usize::try_from(bytes / self.segment_bytes).unwrap_or(usize::MAX);
        let at = (self.segments.len() - 1).saturating_sub(count);
        self.segments[at]
    }

    /// First sequence that a reader of events holds.
    pub(super) fn held_from(&self) -> Option<u64> {
        self.holds.first()
    }

    /// For readers of events, on any thread.
    pub(super) fn tail(&self) -> Tail {
        let (synced, oldest) = (self.synced.clone(), self.oldest_event.clone());
        Tail::new(self.dir.clone(), synced, oldest, self.holds.clone())
    }

    /// Removes the segments that hold only records up to `seq`.
    pub(super) fn drop_through(&mut self, seq: u64) -> Result<(), StoreError> {
        let unneeded = self.segments.windows(2).take_while(|pair| pair[1] <= seq + 1).count();
        if unneeded == 0 {
            return Ok(());
        }
        // Oldest first and each synced by the one at the end: a crash between leaves a shorter beginning, not a gap.
        for first in self.segments.drain(..unneeded) {
            files::remove(&segment_path(&self.dir, first))?;
        }
        self.oldest = open_segment(&self.dir, self.segments[0])?.1.first;
        self.oldest_event.store(self.oldest.event, Ordering::Release);
        files::sync_dir(&self.dir)
    }

    /// The hash of a record, as long as the journal holds it or its successor's place.
    pub(super) fn hash_of(&self, seq: u64) -> Result<Option<Hash>, StoreError> {
        if seq == self.head() {
            return Ok(Some(self.next.prev));
        }
        if seq + 1 < self.oldest.seq || seq > self.head() {
            return Ok(None);
        }
        let mut follower = self.follow(seq + 1)?;
        Ok(follower.read()?.map(|record| record.at.prev))
    }

    /// Reads records from `seq` on, and those appended later as they come.
    pub(super) fn follow(&self, seq: u64) -> Result<Follower, StoreError> {
        let holding = self.segments.iter().rev().find(|&&first| first <= seq);
        let &first = holding.ok_or_else(|| gone(seq))?;
        let mut follower = Follower::start(&self.dir, first, self.synced.clone())?;
        while follower.expected.seq < seq && follower.read()?.is_some() {}
        Ok(follower)
    }
}

#[cfg(test)]
impl Journal {
    /// Every write fails from now on, as on a disk that went away: the file is open for reading only.
    pub(super) fn break_writing(&mut self) {
        self.file = File::open(segment_path(&self.dir, self.segments[self.segments.len() - 1])).unwrap();
    }

    pub(super) fn segments(&self) -> Vec<u64> {
        self.segments.clone()
    }

    pub(super) fn mend_writing(&mut self) {
        let path = segment_path(&self.dir, self.segments[self.segments.len() - 1]);
        self.file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    }
}

/// Reads records one by one behind the writer; holds one file open, so a segment dropped meanwhile is
/// read to its end.
#[derive(Debug)]
pub struct Follower {
    dir: PathBuf,
    synced: Arc<AtomicU64>,
    file: File,
    offset: u64,
    len: u64,
    expected: Position,
    buffer: Vec<u8>,
}

impl Follower {
    pub(super) fn start(dir: &Path, first: u64, synced: Arc<AtomicU64>) -> Result<Follower, StoreError> {
        let (file, header) = open_segment(dir, first)?;
        let (offset, expected) = (HEADER_BYTES as u64, header.first);
        Ok(Follower { dir: dir.into(), synced, file, offset, len: header.len, expected, buffer: Vec::new() })
    }

    /// The next record that is on the disk; `None` when there is none yet.
    pub fn read(&mut self) -> Result<Option<frame::Record<'_>>, StoreError> {
        if self.expected.seq > self.synced.load(Ordering::Acquire) {
            return Ok(None);
        }
        let mut len = self.load()?;
        if len.is_none() {
            self.next_segment()?;
            len = self.load()?;
        }
        let seq = self.expected.seq;
        let unreadable = || StoreError::Damaged(format!("journal record {seq} cannot be read"));
        let (record, taken) = len.and_then(|_| frame::parse_record(&self.buffer)).ok_or_else(unreadable)?;
        if record.at != self.expected {
            return Err(unreadable());
        }
        self.offset += taken as u64;
        self.expected = record.next();
        Ok(Some(record))
    }

    /// Passes over the records whose events all have numbers below `event`.
    pub(super) fn pass_events_before(&mut self, event: u64) -> Result<(), StoreError> {
        while let Some((at, next)) = self.read()?.map(|record| (record.at, record.next().event)) {
            if next > event {
                self.offset -= self.buffer.len().next_multiple_of(frame::ALIGN) as u64;
                self.expected = at;
                break;
            }
        }
        Ok(())
    }

    /// Brings the record at the place into the buffer; `None` when the segment ends here.
    fn load(&mut self) -> Result<Option<()>, StoreError> {
        let left = self.len.saturating_sub(self.offset);
        if left < frame::HEAD_BYTES as u64 {
            return Ok(None);
        }
        let reading = || String::from("read the journal");
        self.buffer.resize(frame::HEAD_BYTES, 0);
        self.file.read_exact_at(&mut self.buffer, self.offset).doing(reading)?;
        let Some(len) = frame::stated_len(&self.buffer).filter(|&len| len as u64 <= left) else {
            return Ok(None);
        };
        self.buffer.resize(len, 0);
        self.file.read_exact_at(&mut self.buffer, self.offset).doing(reading)?;
        Ok(Some(()))
    }

    fn next_segment(&mut self) -> Result<(), StoreError> {
        let (file, header) = open_segment(&self.dir, self.expected.seq)?;
        if header.first != self.expected {
            return Err(gone(self.expected.seq));
        }
        (self.file, self.len, self.offset) = (file, header.len, HEADER_BYTES as u64);
        Ok(())
    }
}

/// The segment in which the event of this number stands, or would stand.
pub(super) fn segment_of_event(dir: &Path, event: u64) -> Result<u64, StoreError> {
    let mut oldest = None;
    for first in list(dir)?.into_iter().rev() {
        let header = match open_segment(dir, first) {
            Ok((_, header)) => header,
            // Dropped since it was listed, and all before it.
            Err(StoreError::Damaged(_)) if oldest.is_some() => break,
            Err(error) => return Err(error),
        };
        if header.first.event <= event {
            return Ok(first);
        }
        oldest = Some(header.first.event);
    }
    Err(StoreError::Gone { oldest: oldest.unwrap_or(1) })
}

fn gone(seq: u64) -> StoreError {
    StoreError::Damaged(format!("the journal does not hold record {seq}"))
}

fn join(thread: JoinHandle<Result<File, StoreError>>) -> Result<File, StoreError> {
    thread.join().unwrap_or_else(|_| Err(StoreError::Damaged(String::from("reserving a segment panicked"))))
}

/// Gives the spare its header and then its name.
fn install(dir: &Path, file: File, header: Header) -> Result<File, StoreError> {
    let written = file.write_all_at(&header.encode(), 0).and_then(|()| file.sync_data());
    written.doing(|| format!("write the header of segment {}", header.first.seq))?;
    files::rename(&dir.join(SPARE), &segment_path(dir, header.first.seq))?;
    Ok(file)
}

fn aligned(bytes: u64) -> u64 {
    bytes.max(HEADER_BYTES as u64 * 2).next_multiple_of(frame::ALIGN as u64)
}

pub(super) fn segment_path(dir: &Path, first: u64) -> PathBuf {
    dir.join(format!("{first:020}"))
}

/// First sequences of the segments, ascending.
fn list(dir: &Path) -> Result<Vec<u64>, StoreError> {
    let listing = || format!("list {}", dir.display());
    let entries = match fs::read_dir(dir) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.doing(listing)?,
    };
    let mut segments = Vec::new();
    for entry in entries {
        let name = entry.doing(listing)?.file_name();
        segments.extend(name.to_str().filter(|n| n.len() == 20).and_then(|n| n.parse::<u64>().ok()));
    }
    segments.sort_unstable();
    Ok(segments)
}

fn open_segment(dir: &Path, first: u64) -> Result<(File, Header), StoreError> {
    let path = segment_path(dir, first);
    let file = match File::open(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(gone(first)),
        other => other.doing(|| format!("open {}", path.display()))?,
    };
    let mut header = [0; HEADER_BYTES];
    match file.read_exact_at(&mut header, 0) {
        // Cut so short is damage; as an error of the disk it would be tried again for ever.
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Header::decode(&[]),
        other => other.doing(|| format!("read {}", path.display())).and_then(|()| Header::decode(&header)),
    }
    .map(|header| (file, header))
}

struct Walked {
    header: Header,
    offset: u64,
    next: Position,
    torn: bool,
}

/// Checks one segment from end to end, a window at a time: read whole, each would show in the memory of a small
/// machine. Damage behind the last record of a segment that is not the last shows in the header of the next, which
/// must continue at `place`.
fn walk(dir: &Path, first: u64, place: Option<Position>) -> Result<Walked, StoreError> {
    let damaged = |why: &str| StoreError::Damaged(format!("journal segment {first}: {why}"));
    let (file, header) = open_segment(dir, first)?;
    let len = file.metadata().doing(|| format!("measure journal segment {first}"))?.len();
    if header.first.seq != first || header.len != len || header.first.seq == 0 {
        return Err(damaged("name, length and header do not agree"));
    }
    if place.is_some_and(|place| place != header.first) {
        return Err(damaged("it does not continue the segment before"));
    }
    let (mut offset, mut next) = (HEADER_BYTES as u64, header.first);
    let (mut window, mut bytes) = (WALK_WINDOW, Vec::new());
    let torn = loop {
        bytes.resize(window.min(len - offset) as usize, 0);
        file.read_exact_at(&mut bytes, offset).doing(|| format!("read journal segment {first}"))?;
        let whole = offset + bytes.len() as u64 == len;
        let mut scanner = Scanner::new(&bytes, next);
        let end = loop {
            match scanner.step() {
                Scan::Record(_) => {}
                other => break other,
            }
        };
        let walked = scanner.offset() as u64;
        (offset, next) = (offset + walked, scanner.expected());
        match end {
            Scan::End if whole || is_zero_behind(&file, offset, len)? => break false,
            Scan::Torn if whole => break true,
            Scan::Broken(why) if whole => return Err(damaged(why)),
            // The window's end may have cut a record; what is none at its beginning is judged with all behind it.
            _ => window = if walked > 0 { WALK_WINDOW } else { len },
        }
    };
    Ok(Walked { header, offset, next, torn })
}

fn is_zero_behind(file: &File, mut offset: u64, len: u64) -> Result<bool, StoreError> {
    let mut bytes = Vec::new();
    while offset < len {
        bytes.resize(WALK_WINDOW.min(len - offset) as usize, 0);
        file.read_exact_at(&mut bytes, offset).doing(|| String::from("read the journal"))?;
        if !frame::is_zero(&bytes) {
            return Ok(false);
        }
        offset += bytes.len() as u64;
    }
    Ok(true)
}
