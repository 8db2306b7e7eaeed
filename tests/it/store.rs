//! The store against crashes, damage and loss of its files: what was committed is there exactly, or the
//! store says that it is not.
#![allow(clippy::unwrap_used, reason = "these are tests, their common parts too")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nudged::clock::Timestamp;
use nudged::store::{Batch, Opened, Options, Read, Reader, Recovery, Store, StoreError, open};
use tempfile::TempDir;

const NOW: Timestamp = Timestamp::from_millis(1_795_269_900_000);

type Content = BTreeMap<Vec<u8>, Vec<u8>>;

/// A store together with what must be in it.
struct Bench {
    dir: TempDir,
    store: Store,
    model: Content,
    random: u64,
}

impl Bench {
    fn new() -> Bench {
        let dir = TempDir::new().unwrap();
        let store = ready(dir.path()).0;
        Bench { dir, store, model: Content::new(), random: 0x9E37_79B9_7F4A_7C15 }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn roll(&mut self, below: u64) -> u64 {
        roll(&mut self.random, below)
    }

    /// Commits `n` batches that put and delete among 300 keys.
    fn commit(&mut self, n: usize) {
        for _ in 0..n {
            let mut batch = Batch::default();
            for _ in 0..4 {
                let key = [&b"h"[..], &self.roll(300).to_be_bytes()].concat();
                let value = (self.roll(4) > 0).then(|| vec![self.random as u8; self.random as usize % 90]);
                batch.writes.insert(key, value);
            }
            batch.events.push(self.random.to_be_bytes().to_vec());
            self.store.commit(&batch, NOW).unwrap();
            for (key, value) in batch.writes {
                match value {
                    Some(value) => self.model.insert(key, value),
                    None => self.model.remove(&key),
                };
            }
        }
    }

    /// Calls `maintain` until the snapshot is there and old segments are gone.
    fn until_segments_are_dropped(&mut self) {
        let first = self.path().join("journal/00000000000000000001");
        let mut now = NOW;
        while first.exists() {
            now = now.saturating_add(Duration::from_secs(61));
            self.store.maintain(now).unwrap();
            self.commit(1);
        }
    }

    fn assert_exact(&self, reader: &Reader) {
        assert!(content(reader) == self.model, "the content is not what was committed");
    }

    /// Stops in one of three ways; the directory, what is in it, and the last sequence.
    fn stop(self, clean: bool) -> Golden {
        let seq = self.store.seq();
        if clean {
            self.store.close(NOW).unwrap();
        } else {
            drop(self.store);
        }
        Golden { dir: self.dir, model: self.model, seq }
    }
}

struct Golden {
    dir: TempDir,
    model: Content,
    seq: u64,
}

impl Golden {
    fn copy(&self) -> TempDir {
        let copy = TempDir::new().unwrap();
        copy_all(self.dir.path(), copy.path());
        copy
    }

    /// Opens a copy and demands all that was committed, or an open admission.
    fn verdict(&self, dir: &Path) -> Verdict {
        match open(dir, Options::for_tests(), NOW) {
            Ok(Opened::Ready { store, recovery }) => {
                if store.seq() == self.seq && content(&store.reader()) == self.model {
                    Verdict::Exact(recovery)
                } else {
                    Verdict::Silent
                }
            }
            Ok(Opened::Quarantined { .. }) | Err(_) => Verdict::Admitted,
        }
    }
}

#[derive(Debug)]
enum Verdict {
    Exact(Recovery),
    Admitted,
    Silent,
}

fn roll(random: &mut u64, below: u64) -> u64 {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    *random % below
}

fn ready(dir: &Path) -> (Store, Recovery) {
    match open(dir, Options::for_tests(), NOW).unwrap() {
        Opened::Ready { store, recovery } => (store, recovery),
        Opened::Quarantined { why, .. } => panic!("{why}"),
    }
}

fn quarantined(dir: &Path) -> (Option<Reader>, String) {
    match open(dir, Options::for_tests(), NOW).unwrap() {
        Opened::Quarantined { reader, why } => (reader, why),
        Opened::Ready { recovery, .. } => panic!("not quarantined: {recovery:?}"),
    }
}

fn content(reader: &Reader) -> Content {
    reader.scan(&[], &[255; 4], usize::MAX).unwrap().into_iter().collect()
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_all(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn last_segment(dir: &Path) -> PathBuf {
    let mut segments = files(&dir.join("journal"));
    segments.retain(|s| s.file_name().unwrap() != "spare");
    segments.pop().unwrap()
}

/// Where in a segment the last record begins and ends.
fn last_record(segment: &[u8]) -> (usize, usize) {
    let (mut at, mut last) = (64, (64, 64));
    while let Some((_, len)) = nudged::store::frame::parse_record(&segment[at..]) {
        last = (at, at + len);
        at += len;
    }
    last
}

#[test]
fn everything_committed_survives_a_reopen() {
    let mut bench = Bench::new();
    bench.commit(300);
    bench.assert_exact(&bench.store.reader());
    for clean in [true, false] {
        let golden = bench.stop(clean);
        let Verdict::Exact(recovery) = golden.verdict(golden.dir.path()) else { panic!() };
        assert_eq!((recovery.clean, recovery.rebuilt), (clean, None));
        let store = ready(golden.dir.path()).0;
        bench = Bench { dir: golden.dir, store, model: golden.model, random: 7 };
        bench.commit(10);
    }
}

#[test]
fn a_torn_last_record_costs_itself_alone_and_is_cut() {
    let mut bench = Bench::new();
    bench.commit(3);
    let (before, seq) = (bench.model.clone(), bench.store.seq());
    // The state must not know the record that is torn: as if the crash came before its sync.
    let state = TempDir::new().unwrap();
    let golden = bench.stop(false);
    copy_all(golden.dir.path(), state.path());
    let store = ready(golden.dir.path()).0;
    let mut bench = Bench { dir: golden.dir, store, model: golden.model, random: 3 };
    bench.commit(1);
    let whole = fs::read(last_segment(bench.path())).unwrap();
    let (start, end) = last_record(&whole);
    for cut in start + 1..end {
        let dir = TempDir::new().unwrap();
        copy_all(state.path(), dir.path());
        let mut torn = whole.clone();
        torn[cut..].fill(0);
        if last_record(&torn).1 == end {
            continue;
        }
        fs::write(last_segment(dir.path()), &torn).unwrap();
        let (mut store, recovery) = ready(dir.path());
        assert!(recovery.torn_tail, "cut at {cut}");
        assert!(store.seq() == seq && content(&store.reader()) == before, "cut at {cut}");
        let mut next = Batch::default();
        next.writes.insert(b"h".to_vec(), Some(Vec::new()));
        store.commit(&next, NOW).unwrap();
        drop(store);
        let (store, recovery) = ready(dir.path());
        assert_eq!((store.seq(), recovery.torn_tail), (seq + 1, false), "cut at {cut}");
    }
}

#[test]
fn records_the_state_does_not_know_are_replayed() {
    let mut bench = Bench::new();
    bench.commit(5);
    let golden = bench.stop(false);
    let old = golden.copy();
    let store = ready(golden.dir.path()).0;
    let mut bench = Bench { dir: golden.dir, store, model: golden.model, random: 3 };
    bench.commit(40);
    let golden = bench.stop(false);
    // The mark goes back with the state: a crash before the next checkpoint.
    fs::remove_dir_all(golden.dir.path().join("state")).unwrap();
    copy_all(&old.path().join("state"), &golden.dir.path().join("state"));
    fs::copy(old.path().join("checkpoint"), golden.dir.path().join("checkpoint")).unwrap();
    match golden.verdict(golden.dir.path()) {
        Verdict::Exact(recovery) => assert_eq!((recovery.replayed, recovery.rebuilt), (40, None)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_deleted_state_is_rebuilt_from_the_journal() {
    let mut bench = Bench::new();
    bench.commit(200);
    let golden = bench.stop(true);
    fs::remove_dir_all(golden.dir.path().join("state")).unwrap();
    match golden.verdict(golden.dir.path()) {
        Verdict::Exact(recovery) => {
            assert_eq!(recovery.replayed, 200);
            assert_eq!(recovery.rebuilt.as_deref(), Some("the state is missing"));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_deleted_state_is_rebuilt_from_the_snapshot_when_old_segments_are_gone() {
    let mut bench = Bench::new();
    bench.commit(800);
    bench.until_segments_are_dropped();
    bench.commit(50);
    let golden = bench.stop(false);
    fs::remove_dir_all(golden.dir.path().join("state")).unwrap();
    match golden.verdict(golden.dir.path()) {
        Verdict::Exact(recovery) => assert!(recovery.replayed < 800, "{recovery:?}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_state_put_back_from_an_old_copy_is_set_aside_and_rebuilt() {
    let mut bench = Bench::new();
    bench.commit(100);
    let golden = bench.stop(true);
    let old = golden.copy();
    let store = ready(golden.dir.path()).0;
    let mut bench = Bench { dir: golden.dir, store, model: golden.model, random: 3 };
    bench.commit(100);
    let golden = bench.stop(true);
    fs::remove_dir_all(golden.dir.path().join("state")).unwrap();
    copy_all(&old.path().join("state"), &golden.dir.path().join("state"));
    match golden.verdict(golden.dir.path()) {
        Verdict::Exact(recovery) => {
            assert_eq!(recovery.rebuilt.as_deref(), Some("the state is older than its checkpoint"));
        }
        other => panic!("{other:?}"),
    }
    assert!(golden.dir.path().join("state.aside-1/db").exists());
}

#[test]
fn a_missing_journal_is_quarantine_with_a_reader_and_stays_so() {
    let mut bench = Bench::new();
    bench.commit(30);
    let golden = bench.stop(true);
    fs::remove_dir_all(golden.dir.path().join("journal")).unwrap();
    for _ in 0..2 {
        let (reader, why) = quarantined(golden.dir.path());
        assert_eq!(why, "the journal is gone");
        assert!(content(&reader.unwrap()) == golden.model);
    }
}

#[test]
fn a_journal_that_lost_its_end_is_quarantine() {
    for clean in [true, false] {
        let mut bench = Bench::new();
        bench.commit(20);
        let golden = bench.stop(clean);
        let segment = last_segment(golden.dir.path());
        let mut bytes = fs::read(&segment).unwrap();
        let (start, end) = last_record(&bytes);
        bytes[start..end].fill(0);
        fs::write(&segment, bytes).unwrap();
        let (reader, _) = quarantined(golden.dir.path());
        assert!(content(&reader.unwrap()) == golden.model);
    }
}

#[test]
fn without_state_and_without_old_segments_or_snapshot_there_is_no_store_and_it_says_so() {
    let mut bench = Bench::new();
    bench.commit(800);
    bench.until_segments_are_dropped();
    let golden = bench.stop(true);
    fs::remove_dir_all(golden.dir.path().join("state")).unwrap();
    fs::remove_file(golden.dir.path().join("snapshot")).unwrap();
    let (reader, why) = quarantined(golden.dir.path());
    assert!(reader.is_none() && why.contains("there is no snapshot"), "{why}");
}

#[test]
fn a_snapshot_taken_while_writing_goes_on_rebuilds_exactly() {
    let mut bench = Bench::new();
    bench.commit(600);
    let snapshot = bench.path().join("snapshot");
    while !snapshot.exists() {
        bench.store.maintain(NOW).unwrap();
        bench.commit(5);
    }
    let golden = bench.stop(true);
    fs::remove_dir_all(golden.dir.path().join("state")).unwrap();
    match golden.verdict(golden.dir.path()) {
        Verdict::Exact(recovery) => assert!(recovery.replayed < golden.seq, "the snapshot was used"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_suspect_state_is_rebuilt_at_the_next_start_and_only_then() {
    let mut bench = Bench::new();
    bench.commit(30);
    let golden = bench.stop(true);
    fs::write(golden.dir.path().join("suspect"), "a scrub said so").unwrap();
    for expected in [Some("a scrub said so"), None] {
        match golden.verdict(golden.dir.path()) {
            Verdict::Exact(recovery) => assert_eq!(recovery.rebuilt.as_deref(), expected),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_half_written_snapshot_of_sled_does_not_hinder() {
    let mut bench = Bench::new();
    bench.commit(30);
    let golden = bench.stop(true);
    fs::write(golden.dir.path().join("state/snap.00000000000FFFFF.generating"), "").unwrap();
    match golden.verdict(golden.dir.path()) {
        Verdict::Exact(recovery) => assert_eq!(recovery.rebuilt, None),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_state_far_larger_than_its_content_is_written_anew() {
    let mut bench = Bench::new();
    bench.commit(800);
    bench.until_segments_are_dropped();
    let golden = bench.stop(true);
    let options = Options { compact_above: 0, ..Options::for_tests() };
    // Written full of space that is not used: sled never gives any back.
    let live = fs::metadata(golden.dir.path().join("snapshot")).unwrap().len();
    let mut padded = 0;
    let mut store = ready(golden.dir.path()).0;
    while padded < 25 * live {
        let value = vec![7; 100_000];
        padded += value.len() as u64;
        for value in [Some(value), None] {
            let writes = BTreeMap::from([(b"x".to_vec(), value)]);
            store.commit(&Batch { writes, events: Vec::new() }, NOW).unwrap();
        }
    }
    let seq = store.seq();
    store.close(NOW).unwrap();
    let Opened::Ready { store, recovery } = open(golden.dir.path(), options, NOW).unwrap() else { panic!() };
    assert!(recovery.compacted);
    assert!(store.seq() == seq && content(&store.reader()) == golden.model);
}

#[test]
fn events_are_read_from_any_record_on_and_go_on_while_it_writes() {
    let mut bench = Bench::new();
    bench.commit(150);
    let mut follower = bench.store.read_from(100).unwrap();
    let mut seen = Vec::new();
    for _ in 0..2 {
        while let Some(record) = follower.read().unwrap() {
            seen.extend(record.events().map(|(number, _)| number));
        }
        bench.commit(5);
    }
    assert_eq!(seen, (100..=155).collect::<Vec<u64>>());
}

#[test]
fn a_newer_journal_is_refused_in_clear_words() {
    let golden = Bench::new().stop(true);
    let segment = last_segment(golden.dir.path());
    let mut bytes = fs::read(&segment).unwrap();
    bytes[8] = 2;
    let crc = crc32c_of(&bytes[..60]);
    bytes[60..64].copy_from_slice(&crc);
    fs::write(&segment, bytes).unwrap();
    match open(golden.dir.path(), Options::for_tests(), NOW) {
        Err(e @ StoreError::Newer { what: "journal", found: 2, known: 1 }) => {
            assert!(e.to_string().contains("a newer nudged wrote it"), "{e}");
        }
        other => panic!("{other:?}"),
    }
}

fn crc32c_of(bytes: &[u8]) -> [u8; 4] {
    crc32c::crc32c(bytes).to_le_bytes()
}

/// Faults per kind of store; `NUDGED_ROT` sets another number.
const FAULTS: usize = 60;

#[test]
fn no_flip_and_no_cut_of_any_file_is_silent() {
    let faults = std::env::var("NUDGED_ROT").map_or(FAULTS, |n| n.parse().unwrap());
    let mut tally = BTreeMap::<(String, &str), usize>::new();
    for (kind, golden) in goldens() {
        let mut random = 0xD1B5_4A32_D192_ED03 ^ kind.len() as u64;
        for n in 0..faults.div_ceil(4) {
            let dir = golden.copy();
            let fault = damage(dir.path(), n, &mut random);
            let verdict = golden.verdict(dir.path());
            let name = match &verdict {
                Verdict::Exact(recovery) if recovery.rebuilt.is_some() => "rebuilt",
                Verdict::Exact(_) => "exact",
                Verdict::Admitted => "admitted",
                Verdict::Silent => panic!("{kind}, fault {n}: {fault} is silent"),
            };
            let file = fault.split(' ').next().unwrap_or_default().to_string();
            *tally.entry((file, name)).or_default() += 1;
        }
    }
    eprintln!("{tally:#?}");
}

/// Stores that stopped in different ways, in all of which every record had reached the state.
fn goldens() -> [(&'static str, Golden); 4] {
    let filled = |n, drop_segments| {
        let mut bench = Bench::new();
        bench.commit(n);
        if drop_segments {
            bench.until_segments_are_dropped();
            bench.commit(20);
        }
        bench
    };
    let running = filled(400, false).stop(false);
    let open = ready(running.dir.path()).0;
    let killed = Golden { dir: running.copy(), model: running.model, seq: running.seq };
    drop(open);
    [
        ("clean", filled(250, false).stop(true)),
        ("clean, snapshot", filled(800, true).stop(true)),
        ("not clean, snapshot", filled(800, true).stop(false)),
        ("killed right after a start", killed),
    ]
}

/// One fault in one file, in turn; what it was, beginning with the kind of file.
fn damage(dir: &Path, n: usize, random: &mut u64) -> String {
    let targets: Vec<PathBuf> =
        files(dir).into_iter().filter(|p| fs::metadata(p).unwrap().len() > 0).collect();
    // sled's file is where most of the content is, and gets as many faults as all others.
    let path = match n % 2 {
        0 => dir.join("state/db"),
        _ => targets[n / 2 % targets.len()].clone(),
    };
    let mut bytes = fs::read(&path).unwrap();
    let used = bytes.iter().rposition(|&b| b != 0).map_or(bytes.len(), |at| at + 1);
    let within = if roll(random, 4) > 0 { used } else { bytes.len() };
    let at = roll(random, within as u64) as usize;
    let what = if roll(random, 3) > 0 {
        let bit = roll(random, 8);
        bytes[at] ^= 1 << bit;
        format!("flip of bit {bit} at {at}")
    } else {
        bytes.truncate(at);
        format!("cut at {at}")
    };
    fs::write(&path, &bytes).unwrap();
    let name = path.strip_prefix(dir).unwrap().display().to_string();
    let family = name.split_once('0').map_or(name.as_str(), |(family, _)| family);
    format!("{family} {what} of {} in {name}", bytes.len())
}
