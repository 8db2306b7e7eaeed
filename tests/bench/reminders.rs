//! The reminder side by the real program: cases imported, a start on them, steps that are due fed to two links, and
//! weeks rehearsed. What went is told by the simulators' wire logs, what was imported by the client's own answer.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use jiff::civil::Date;

use crate::Fallible;
use crate::bare;
use crate::cells::fresh_dir;
use crate::firm::{self, Cases};
use crate::peers::{self, Nudged, Sim, program};
use crate::process::Process;
use crate::wire;

/// Rows of one file: the API takes 64 MiB.
const ROWS_A_FILE: u32 = 100_000;
/// Rows that the daemon gives its core at once, each time with one sync.
const ROWS_A_COMMIT: u64 = 500;
const WINDOW: u16 = 100;
/// After a start, until its memory is looked at again.
const SETTLING: Duration = Duration::from_secs(5);
/// Nothing new on the wires for so long, and nothing is to come, or nothing comes any more.
const QUIET: Duration = Duration::from_secs(2);
const STUCK: Duration = Duration::from_secs(60);
/// Steps of the sequence that the cases of import and start are in.
pub const STEPS: u32 = 6;

/// How long something took, and the processor time of the program that did it, of all its threads: on a machine
/// that does other work besides, that says more.
#[derive(Clone, Copy, Debug)]
pub struct Took {
    pub wall: Duration,
    pub cpu: Duration,
}

/// What the client saw of one file.
#[derive(Clone, Copy, Debug)]
struct Imported {
    dry: Took,
    commit: Took,
    /// Of the first texts, foretold by the dry run.
    segments: u64,
}

#[derive(Debug)]
pub struct Start {
    pub obligations: u32,
    pub took: Took,
    pub rss_mib: f64,
    pub later_mib: f64,
    pub peak_mib: f64,
}

#[derive(Debug)]
pub struct Import {
    pub rows: u32,
    pub dry: Took,
    pub commit: Took,
    pub peak_mib: f64,
    pub journal_octets: u64,
    /// The file's records read by the csv crate and nothing more.
    pub bare_read: Duration,
    /// As many octets appended to a file in as many writes as there are groups, each with an fdatasync.
    pub bare_write: Duration,
    pub start: Start,
}

/// Imports `rows` and measures that, adds what is missing to `obligations`, and starts anew.
pub fn import(rows: u32, obligations: u32) -> Fallible<Import> {
    let dir = fresh_dir("import")?;
    let sim = Sim::start(&dir, Duration::ZERO)?;
    let mut nudged =
        Nudged::start_with(Command::new(program()), &dir, &peers::bind("a", sim.address, WINDOW))?;
    set_up(&nudged, &dir)?;
    let (file, journal) = (dir.join("cases.csv"), dir.join("state/store/journal"));
    to_come(0..rows)?.write(&file)?;
    let before = octets_of(&journal)?;
    let seen = import_file(&nudged, &file, rows)?;
    let journal_octets = octets_of(&journal)?.saturating_sub(before);
    let peak_mib = mib(nudged.process.memory_kib()?.1);
    let bare_read = read_bare(&file, rows)?;
    let bare_write = write_bare(&dir.join("bare"), journal_octets, rows)?;
    for from in (rows..obligations).step_by(ROWS_A_FILE as usize) {
        let more = from..obligations.min(from.saturating_add(ROWS_A_FILE));
        to_come(more.clone())?.write(&file)?;
        import_file(&nudged, &file, more.len() as u32)?;
    }
    let wall = nudged.start_again(&dir)?;
    let took = Took { wall, cpu: nudged.process.cpu()? };
    let rss_mib = mib(nudged.process.memory_kib()?.0);
    std::thread::sleep(SETTLING);
    let (later, peak) = nudged.process.memory_kib()?;
    let obligations = obligations.max(rows);
    let start = Start { obligations, took, rss_mib, later_mib: mib(later), peak_mib: mib(peak) };
    nudged.process.stop()?;
    let Imported { dry, commit, .. } = seen;
    Ok(Import { rows, dry, commit, peak_mib, journal_octets, bare_read, bare_write, start })
}

#[derive(Debug)]
pub struct Feed {
    pub steps: u32,
    /// From the call that resumes to the last segment at a simulator.
    pub took: Took,
    pub segments: u64,
    /// Taken by each of the two links.
    pub by_link: [u64; 2],
    /// As many segments by one bare client.
    pub bare: Duration,
}

/// `steps` of this morning while all is paused, then resumed.
pub fn feed(steps: u32) -> Fallible<Feed> {
    let dir = fresh_dir("feed")?;
    let [a, b, other] = ["a", "b", "other"].map(|name| dir.join(name));
    for own in [&a, &b, &other] {
        fs::create_dir(own)?;
    }
    let sims = [Sim::start(&a, Duration::ZERO)?, Sim::start(&b, Duration::ZERO)?];
    let binds = peers::bind("a", sims[0].address, WINDOW) + &peers::bind("b", sims[1].address, WINDOW);
    let mut nudged = Nudged::start_with(Command::new(program()), &dir, &binds)?;
    set_up(&nudged, &dir)?;
    nudged.pause(true)?;
    let file = dir.join("cases.csv");
    let cases = Cases::due_now(0..steps)?;
    cases.write(&file)?;
    let foretold = import_file(&nudged, &file, steps)?.segments;
    if sims[0].stats()?.received + sims[1].stats()?.received > 0 {
        return Err("something went while all was paused".into());
    }
    let (began, cpu) = (SystemTime::now(), nudged.process.cpu()?);
    nudged.pause(false)?;
    until_quiet(&sims, foretold)?;
    let cpu = nudged.process.cpu()? - cpu;
    let reached = wire::reached(&[&sims[0].wire, &sims[1].wire], &cases.numbers)?;
    let last = SystemTime::UNIX_EPOCH + Duration::from_millis(reached.last_millis);
    nudged.process.stop()?;
    let bare_sim = Sim::start(&other, Duration::ZERO)?;
    let bare = Instant::now();
    bare::submit_all(bare_sim.address, 0..u32::try_from(reached.segments)?, WINDOW.into())?;
    Ok(Feed {
        steps,
        took: Took { wall: last.duration_since(began)?, cpu },
        segments: reached.segments,
        by_link: [sims[0].stats()?.received, sims[1].stats()?.received],
        bare: bare.elapsed(),
    })
}

#[derive(Debug)]
pub struct Rehearsal {
    pub obligations: u32,
    pub took: Took,
    pub texts: usize,
}

/// Three weeks of `obligations` that fall due from a week before to a week before their end.
pub fn rehearse(obligations: u32) -> Fallible<Rehearsal> {
    let dir = fresh_dir("rehearse")?;
    let firm = firm::settings(&dir)?;
    let nowhere = "127.0.0.1:9".parse()?;
    let binds = peers::bind("a", nowhere, WINDOW) + &peers::bind("b", nowhere, WINDOW);
    let config = peers::configuration(&dir, &binds)?;
    let (file, out) = (dir.join("cases.csv"), dir.join("rehearsal.ndjson"));
    cases_from(0..obligations, jiff::civil::date(2026, 11, 24), 21).write(&file)?;
    let mut command = Command::new(program());
    command.args(["rehearse", "--from", "2026-12-01T00:00Z", "--to", "2026-12-22T00:00Z", "--config"]);
    command.arg(config).arg("--reminders").arg(firm).arg("--import").arg(file).arg("--out").arg(&out);
    let began = Instant::now();
    let (is_well, cpu) = Process::start(command.stdout(Stdio::null()))?.ended()?;
    let took = Took { wall: began.elapsed(), cpu };
    if !is_well {
        return Err("the rehearsal failed".into());
    }
    Ok(Rehearsal { obligations, took, texts: texts(&out, obligations)? })
}

/// Texts of a rehearsal; an error where an obligation had none, or a step went twice.
fn texts(out: &Path, obligations: u32) -> Fallible<usize> {
    #[derive(serde::Deserialize)]
    struct Line {
        sent: Option<Sent>,
    }
    #[derive(serde::Deserialize)]
    struct Sent {
        obligation: String,
        step: String,
    }
    let (mut steps, mut reached) = (HashSet::new(), HashSet::new());
    for line in BufReader::new(File::open(out)?).lines() {
        let Some(Sent { obligation, step }) = serde_json::from_str::<Line>(&line?)?.sent else { continue };
        reached.insert(obligation.clone());
        if !steps.insert((obligation, step)) {
            return Err("a step went twice".into());
        }
    }
    if reached.len() == obligations as usize {
        Ok(steps.len())
    } else {
        Err(format!("{} of {obligations} obligations had a text", reached.len()).into())
    }
}

/// Nothing of them is due for a week.
fn to_come(numbers: std::ops::Range<u32>) -> Fallible<Cases> {
    let due = jiff::Zoned::now().date().checked_add(jiff::Span::new().days(14))?;
    Ok(cases_from(numbers, due, 60))
}

fn cases_from(numbers: std::ops::Range<u32>, due: Date, days: u32) -> Cases {
    Cases { numbers, sequence: "standard", timezone: String::from("Europe/Berlin"), due, days }
}

fn set_up(nudged: &Nudged, dir: &Path) -> Fallible<()> {
    let made = client(nudged, &["import"]).arg(firm::settings(dir)?).output()?;
    if made.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&made.stdout).into()) }
}

fn client(nudged: &Nudged, arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.args(arguments).env("NUDGED_URL", format!("http://{}", nudged.address));
    command.env("NUDGED_TOKEN", &nudged.token);
    command
}

/// `nudged import FILE --yes`: it tells the dry run's result when it has it, and ends when all is committed.
fn import_file(nudged: &Nudged, file: &Path, rows: u32) -> Fallible<Imported> {
    let mut command = client(nudged, &["import", "--yes"]);
    command.arg(file).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let (began, before) = (Instant::now(), nudged.process.cpu()?);
    let so_far =
        || -> Fallible<Took> { Ok(Took { wall: began.elapsed(), cpu: nudged.process.cpu()? - before }) };
    let mut child = command.spawn()?;
    let (out, told) = (child.stdout.take(), child.stderr.take());
    let (mut dry, mut said) = (None, String::new());
    for line in BufReader::new(told.ok_or("no standard error")?).lines() {
        dry = dry.map_or_else(|| so_far().map(Some), |dry| Ok(Some(dry)))?;
        said.push_str(&line?);
        said.push('\n');
    }
    let ended = child.wait()?;
    let all = so_far()?;
    out.ok_or("no standard output")?.read_to_string(&mut said)?;
    if !ended.success() || !said.contains(&format!("created {rows},")) {
        return Err(format!("{rows} rows: {said}").into());
    }
    let segments = said.lines().find_map(|line| line.strip_prefix("segments")).ok_or("no segments told")?;
    let dry: Took = dry.ok_or("no dry run told")?;
    let commit = Took { wall: all.wall - dry.wall, cpu: all.cpu - dry.cpu };
    Ok(Imported { dry, commit, segments: segments.trim().parse()? })
}

/// Until they have `least` messages together and no more come.
fn until_quiet(sims: &[Sim], least: u64) -> Fallible<()> {
    let (mut last, mut since) = (0, Instant::now());
    loop {
        let mut received = 0;
        for sim in sims {
            received += sim.stats()?.received;
        }
        if received != last {
            (last, since) = (received, Instant::now());
        }
        match since.elapsed() {
            quiet if received >= least && quiet > QUIET => return Ok(()),
            quiet if quiet > STUCK => {
                return Err(format!("{received} of {least} segments, and no more come").into());
            }
            _ => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// What the journal's files hold before the zeros that they were made of.
fn octets_of(journal: &Path) -> Fallible<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(journal)? {
        let octets = fs::read(entry?.path())?;
        sum += octets.iter().rposition(|octet| *octet != 0).map_or(0, |last| last as u64 + 1);
    }
    Ok(sum)
}

fn read_bare(file: &Path, rows: u32) -> Fallible<Duration> {
    let began = Instant::now();
    let mut reader = csv::Reader::from_path(file)?;
    let mut record = csv::StringRecord::new();
    let mut count = 0;
    while reader.read_record(&mut record)? {
        count += 1;
    }
    if count == rows { Ok(began.elapsed()) } else { Err(format!("{count} of {rows} rows").into()) }
}

fn write_bare(path: &Path, octets: u64, rows: u32) -> Fallible<Duration> {
    let groups = u64::from(rows).div_ceil(ROWS_A_COMMIT);
    let group = vec![0xA5; usize::try_from(octets / groups)?];
    let mut file = File::create(path)?;
    let began = Instant::now();
    for _ in 0..groups {
        file.write_all(&group)?;
        file.sync_data()?;
    }
    Ok(began.elapsed())
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}
