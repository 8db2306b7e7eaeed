//! The state as one file in our own format: for rebuilding, compaction and backup.
//!
//! ```text
//! header:  | magic 8 | version 4 | schema 4 | start seq 8 | hash of record start 16 | crc32c 4 |
//! entry:   | key len 4 | value len 4 | key | value | crc32c 4 |
//! end:     | 0xFFFFFFFF 4 | entries 8 | end seq 8 | blake3 of all before 16 | crc32c 4 |
//! ```
//! Little endian. It is taken while writing goes on: it holds everything up to `start seq`, and of what
//! came up to `end seq` some. Redo of the journal from behind `start seq` makes it exact, so it is worth
//! something only beside a journal that holds the records from `start` to `end`.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read as _, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::files::{self, Doing};
use super::frame::Hash;
use super::migrate::SCHEMA;
use super::state::{Applied, Reader, State};
use super::{Entry, StoreError};

const MAGIC: &[u8; 8] = b"nudgedS\n";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 44;
const END: u32 = u32::MAX;
const END_BYTES: usize = 40;
/// Far above any record of ours; a length above it is damage.
const MAX_ENTRY_BYTES: u32 = 1 << 30;
const NAME: &str = "snapshot";

/// First 16 bytes of the BLAKE3 over all entries in key order.
pub type Digest = [u8; 16];

/// What a snapshot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    pub start: u64,
    pub start_hash: Hash,
    pub end: u64,
    pub schema: u32,
    pub entries: u64,
    /// Of the whole file.
    pub bytes: u64,
}

/// Writes all entries to `out` while others may write to the state.
///
/// # Errors
/// `Io` when `out` fails, `Damaged` when an entry of the state cannot be read.
pub fn export(reader: &Reader, out: impl Write) -> Result<Extent, StoreError> {
    let writing = || String::from("write a snapshot");
    let unfinished = || StoreError::Damaged(String::from("the state has no mark"));
    let start = reader.state.applied()?.ok_or_else(unfinished)?;
    let mut out = Summing { out, hasher: blake3::Hasher::new(), bytes: 0 };
    out.write_all(&header(start)).doing(writing)?;
    let mut count = 0u64;
    let mut buffer = Vec::new();
    for entry in reader.state.entries() {
        let (key, value) = entry?;
        frame_entry(&mut buffer, &key, &value);
        out.write_all(&buffer).doing(writing)?;
        count += 1;
    }
    let end = reader.state.applied()?.ok_or_else(unfinished)?.seq;
    let trailer = trailer(count, end, short(&out.hasher));
    out.write_all(&trailer).and_then(|()| out.out.flush()).doing(writing)?;
    let (start, start_hash) = (start.seq, start.hash);
    Ok(Extent { start, start_hash, end, schema: SCHEMA, entries: count, bytes: out.bytes })
}

/// Fills a new state from what [`export`] wrote; afterwards it is applied up to the snapshot's start.
///
/// # Errors
/// `Damaged` when any byte does not check; the state is then unfinished and to be thrown away.
pub(super) fn import(from: impl std::io::Read, state: &State) -> Result<Extent, StoreError> {
    let mut entries = Importing::new(from)?;
    let applied = Applied { seq: entries.extent.start, hash: entries.extent.start_hash };
    let schema = entries.extent.schema;
    state.fill(schema, applied, &mut entries)?;
    Ok(entries.extent)
}

/// Takes the snapshot of `dir`; the old one stays until the new one is on the disk whole.
pub(super) fn take(dir: &Path, reader: &Reader) -> Result<Extent, StoreError> {
    let path = path(dir);
    let next = path.with_extension("tmp");
    let file = File::create(&next).doing(|| format!("create {}", next.display()))?;
    let extent = export(reader, BufWriter::with_capacity(1 << 20, &file))?;
    file.sync_all().doing(|| format!("sync {}", next.display()))?;
    files::rename(&next, &path)?;
    Ok(extent)
}

pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join(NAME)
}

/// Header and end of the snapshot of `dir`, without the entries; `None` when there is none.
pub(super) fn extent(dir: &Path) -> Result<Option<Extent>, StoreError> {
    let path = path(dir);
    let reading = || format!("read {}", path.display());
    let mut file = match File::open(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other.doing(reading)?,
    };
    let bytes = file.metadata().doing(reading)?.len();
    if bytes < (HEADER_BYTES + END_BYTES) as u64 {
        return Err(damaged("it is too short"));
    }
    let mut extent = read_header(&mut file)?;
    file.seek(SeekFrom::End(-(END_BYTES as i64))).doing(reading)?;
    let mut end = [0; END_BYTES];
    file.read_exact(&mut end).doing(reading)?;
    (extent.entries, extent.end, _) = read_end(&end)?;
    extent.bytes = bytes;
    Ok(Some(extent))
}

/// Opens the snapshot of `dir` for [`import`].
pub(super) fn open(dir: &Path) -> Result<BufReader<File>, StoreError> {
    let file = File::open(path(dir)).doing(|| String::from("open the snapshot"))?;
    Ok(BufReader::with_capacity(1 << 20, file))
}

/// Digest of a state's entries and the bytes they take; reads and checks them all.
pub(super) fn digest(state: &State) -> Result<Digest, StoreError> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = Vec::new();
    for entry in state.entries() {
        let (key, value) = entry?;
        frame_entry(&mut buffer, &key, &value);
        hasher.update(&buffer);
    }
    Ok(short(&hasher))
}

/// Hashes and counts what goes through it.
struct Summing<W> {
    out: W,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl<W: Write> Summing<W> {
    fn write_all(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        self.out.write_all(bytes)
    }
}

fn short(hasher: &blake3::Hasher) -> [u8; 16] {
    let mut short = [0; 16];
    short.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    short
}

fn header(start: Applied) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[12..16].copy_from_slice(&SCHEMA.to_le_bytes());
    bytes[16..24].copy_from_slice(&start.seq.to_le_bytes());
    bytes[24..40].copy_from_slice(&start.hash);
    let crc = crc32c::crc32c(&bytes[..40]);
    bytes[40..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn trailer(entries: u64, end: u64, total: Digest) -> [u8; END_BYTES] {
    let mut bytes = [0; END_BYTES];
    bytes[..4].copy_from_slice(&END.to_le_bytes());
    bytes[4..12].copy_from_slice(&entries.to_le_bytes());
    bytes[12..20].copy_from_slice(&end.to_le_bytes());
    bytes[20..36].copy_from_slice(&total);
    let crc = crc32c::crc32c(&bytes[..36]);
    bytes[36..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn frame_entry(buffer: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    buffer.clear();
    buffer.extend_from_slice(&(key.len() as u32).to_le_bytes());
    buffer.extend_from_slice(&(value.len() as u32).to_le_bytes());
    buffer.extend_from_slice(key);
    buffer.extend_from_slice(value);
    let crc = crc32c::crc32c(buffer).to_le_bytes();
    buffer.extend_from_slice(&crc);
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| u32::from_le_bytes(*b))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| u64::from_le_bytes(*b))
}

fn damaged(why: &str) -> StoreError {
    StoreError::Damaged(format!("the snapshot: {why}"))
}

fn read_header(from: &mut impl std::io::Read) -> Result<Extent, StoreError> {
    let mut bytes = [0; HEADER_BYTES];
    from.read_exact(&mut bytes).map_err(|_| damaged("its header cannot be read"))?;
    if bytes[..8] != *MAGIC || u32_at(&bytes, 40) != crc32c::crc32c(&bytes[..40]) {
        return Err(damaged("its header does not check"));
    }
    let (version, schema) = (u32_at(&bytes, 8), u32_at(&bytes, 12));
    if version != VERSION {
        return Err(StoreError::Newer { what: "snapshot", found: version, known: VERSION });
    }
    if schema > SCHEMA {
        return Err(StoreError::Newer { what: "snapshot's schema", found: schema, known: SCHEMA });
    }
    let mut start_hash = [0; 16];
    start_hash.copy_from_slice(&bytes[24..40]);
    Ok(Extent { start: u64_at(&bytes, 16), start_hash, end: 0, schema, entries: 0, bytes: 0 })
}

/// Entries, end sequence and digest.
fn read_end(bytes: &[u8]) -> Result<(u64, u64, Digest), StoreError> {
    if u32_at(bytes, 0) != END || u32_at(bytes, 36) != crc32c::crc32c(&bytes[..36]) {
        return Err(damaged("its end does not check"));
    }
    let mut total = [0; 16];
    total.copy_from_slice(&bytes[20..36]);
    Ok((u64_at(bytes, 4), u64_at(bytes, 12), total))
}

/// The entries of a snapshot, each checked; after the last the end is, and the extent then is whole.
struct Importing<R> {
    from: R,
    extent: Extent,
    hasher: blake3::Hasher,
    buffer: Vec<u8>,
    over: bool,
}

impl<R: std::io::Read> Importing<R> {
    fn new(from: R) -> Result<Importing<R>, StoreError> {
        let mut from = from;
        let extent = read_header(&mut from)?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&header(Applied { seq: extent.start, hash: extent.start_hash }));
        Ok(Importing { from, extent, hasher, buffer: Vec::new(), over: false })
    }

    /// `n` more bytes into the buffer; grows with what is there, not with what is stated.
    fn fill(&mut self, n: u64) -> Result<(), StoreError> {
        let got = (&mut self.from).take(n).read_to_end(&mut self.buffer);
        let got = got.doing(|| String::from("read the snapshot"))?;
        if got as u64 == n { Ok(()) } else { Err(damaged("it ends too early")) }
    }

    fn step(&mut self) -> Result<Option<Entry>, StoreError> {
        self.buffer.clear();
        self.fill(4)?;
        if u32_at(&self.buffer, 0) == END {
            return self.finish().map(|()| None);
        }
        self.fill(4)?;
        let (key_len, value_len) = (u32_at(&self.buffer, 0), u32_at(&self.buffer, 4));
        if key_len.saturating_add(value_len) > MAX_ENTRY_BYTES {
            return Err(damaged("an entry states an absurd length"));
        }
        self.fill(u64::from(key_len) + u64::from(value_len) + 4)?;
        let (framed, crc) = self.buffer.split_at(self.buffer.len() - 4);
        if crc32c::crc32c(framed).to_le_bytes() != *crc {
            return Err(damaged("an entry does not match its checksum"));
        }
        let (key, value) = framed[8..].split_at(key_len as usize);
        let entry = (key.to_vec(), value.to_vec());
        self.hasher.update(&self.buffer);
        self.extent.entries += 1;
        Ok(Some(entry))
    }

    fn finish(&mut self) -> Result<(), StoreError> {
        self.over = true;
        self.fill(END_BYTES as u64 - 4)?;
        let (entries, end, total) = read_end(&self.buffer)?;
        if entries != self.extent.entries || total != short(&self.hasher) {
            return Err(damaged("its entries are not those it was made with"));
        }
        self.extent.end = end;
        Ok(())
    }
}

impl<R: std::io::Read> Iterator for &mut Importing<R> {
    type Item = Result<Entry, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let step = self.step();
        self.over |= step.is_err();
        step.transpose()
    }
}
