//! Runs the cells in turn, each against its peer in the same run, and says what held.
//!
//! The figures of one machine mean little; the ratios to a peer, and what was refused, lost or doubled, do.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::Fallible;
use crate::cells::{self, CONNECTIONS, Figures, Load, Peer};
use crate::reminders::Took;
use crate::{reminders, stop, synced};

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    pub repetitions: usize,
    /// Messages at an SMSC that answers at once.
    pub fast: u32,
    /// Messages at 20 ms, window 10 and window 100.
    pub narrow: u32,
    pub wide: u32,
    pub probes: u32,
    /// Messages queued when a phone says stop.
    pub queued: u32,
    /// Rows of the file that is imported.
    pub rows: u32,
    /// Obligations that a start finds, at least the imported ones.
    pub obligations: u32,
    /// Steps that are due at once.
    pub due: u32,
    /// Obligations of the rehearsal.
    pub rehearsed: u32,
    pub idle: Duration,
}

pub const FULL: Scale = Scale {
    repetitions: 3,
    fast: 20_000,
    narrow: 3_000,
    wide: 20_000,
    probes: 200,
    queued: 100_000,
    rows: 100_000,
    obligations: 100_000,
    due: 20_000,
    rehearsed: 10_000,
    idle: Duration::from_secs(600),
};
pub const QUICK: Scale = Scale {
    repetitions: 1,
    fast: 5_000,
    narrow: 1_000,
    wide: 5_000,
    probes: 50,
    queued: 10_000,
    rows: 10_000,
    obligations: 10_000,
    due: 2_000,
    rehearsed: 1_000,
    idle: Duration::from_secs(20),
};

const CPU_US: f64 = 200.0;
const OF_BARE: f64 = 0.95;
const ACCEPTED_MS: f64 = 3.0;
const WIRE_MS: f64 = 5.0;
const IDLE_PERCENT: f64 = 0.5;
const IDLE_MIB: f64 = 40.0;
const STOP: Duration = Duration::from_secs(1);
/// The reminder side has these limits of its whole figures; a smaller load has its share of the limit.
const IMPORT: (u32, Duration) = (FULL.rows, Duration::from_secs(20));
const FEED: (u32, Duration) = (FULL.due, Duration::from_secs(60));
const REHEARSAL: (u32, Duration) = (FULL.rehearsed, Duration::from_secs(60));
/// Of a start, whatever it finds.
const START: Duration = Duration::from_secs(5);
const START_MIB: f64 = 150.0;
const SMSC_DELAY: Duration = Duration::from_millis(20);

/// Verdicts on the targets, in the order they were reached.
#[derive(Debug, Default)]
pub struct Verdicts(Vec<(String, bool)>);

impl Verdicts {
    fn add(&mut self, what: String, held: bool) {
        println!("{} {what}\n", if held { "PASS" } else { "FAIL" });
        self.0.push((what, held));
    }

    /// Prints them all once more; whether all held.
    pub fn print(&self) -> bool {
        println!("## Targets\n");
        for (what, held) in &self.0 {
            println!("- {} {what}", if *held { "PASS" } else { "FAIL" });
        }
        self.0.iter().all(|(_, held)| *held)
    }
}

/// How the figures came about.
pub fn print_machine() -> Fallible<()> {
    let cpu = fs::read_to_string("/proc/cpuinfo")?;
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let kannel = Command::new("bearerbox").arg("--version").output();
    let kannel = kannel.map(|out| String::from_utf8_lossy(&out.stdout).lines().next().map(String::from));
    println!(
        "- {} processors, {}",
        std::thread::available_parallelism()?,
        model.trim_start_matches([' ', '\t', ':'])
    );
    println!("- Linux {}", fs::read_to_string("/proc/sys/kernel/osrelease")?.trim());
    println!("- load {}", fs::read_to_string("/proc/loadavg")?.trim());
    println!(
        "- nudged {}, release build; {}",
        env!("CARGO_PKG_VERSION"),
        kannel.ok().flatten().unwrap_or_else(|| "no Kannel".into())
    );
    println!(
        "- {CONNECTIONS} keep-alive connections, {}-character texts, one recipient a message, 200 messages of warm-up; median (least to most)\n",
        crate::client::TEXT_CHARS
    );
    Ok(())
}

/// HTTP to an SMSC that answers at once, against Kannel with its file store.
pub fn http(scale: Scale, verdicts: &mut Verdicts) -> Fallible<()> {
    let load = Load { count: scale.fast, window: 100, delay: Duration::ZERO, backlog: false };
    println!(
        "## HTTP to the wire, answers at once, window 100, {} messages x {}\n",
        load.count, scale.repetitions
    );
    let peers = [Peer::Nudged, Peer::NudgedReceipts, Peer::Kannel];
    let runs = alternate(&peers, load, scale.repetitions)?;
    print_table(&peers, &runs);
    let of = |at: usize, value: Value| median(&runs[at], value);
    let ratio = of(0, |f| f.per_second) / of(2, |f| f.per_second);
    verdicts.add(format!("throughput at least Kannel's: {ratio:.2} of it"), ratio >= 1.0);
    let cpu = of(0, |f| f.cpu_us);
    verdicts.add(format!("at most {CPU_US} us of processor a message: {cpu:.0}"), cpu <= CPU_US);
    let cpu = of(1, |f| f.cpu_us);
    println!(
        "With a receipt for every message: {cpu:.0} us, {:.2} of Kannel's rate without.\n",
        of(1, |f| f.per_second) / of(2, |f| f.per_second)
    );
    Ok(())
}

/// An SMSC that takes 20 ms, against the bare client; Kannel beside it.
pub fn window(scale: Scale, verdicts: &mut Verdicts) -> Fallible<()> {
    for (window, count) in [(10, scale.narrow), (100, scale.wide)] {
        let load = Load { count, window, delay: SMSC_DELAY, backlog: true };
        println!(
            "## From the queue, answers after 20 ms, window {window}, {count} messages x {}\n",
            scale.repetitions
        );
        let peers = [Peer::Bare, Peer::Nudged, Peer::Kannel];
        let runs = alternate(&peers, load, scale.repetitions)?;
        print_table(&peers, &runs);
        println!("Kannel is measured from HTTP on: it has no queue that a person may pause.\n");
        let share = median(&runs[1], |f| f.per_second) / median(&runs[0], |f| f.per_second);
        verdicts.add(
            format!(
                "window {window} at 20 ms, {:.0} % of the bare client: {:.1} %",
                OF_BARE * 100.0,
                share * 100.0
            ),
            share >= OF_BARE,
        );
        let most = runs[1].iter().map(|f| f.most_in_flight).max().unwrap_or(0);
        verdicts.add(format!("never more than {window} in flight: {most}"), most <= u64::from(window));
    }
    Ok(())
}

pub fn latency(scale: Scale, verdicts: &mut Verdicts) -> Fallible<()> {
    println!("## One message at a time, one every 50 ms, {} of them\n", scale.probes);
    let seen = cells::latency(scale.probes, Duration::from_millis(50))?;
    println!("| | median ms | p99 ms |\n|---|---|---|");
    println!("| accepted (202) | {:.2} | {:.2} |", seen.accepted_p50_ms, seen.accepted_p99_ms);
    println!("| then on the wire | {:.2} | {:.2} |\n", seen.wire_p50_ms, seen.wire_p99_ms);
    let accepted = seen.accepted_p50_ms;
    verdicts.add(format!("accepted in under {ACCEPTED_MS} ms: {accepted:.2}"), accepted < ACCEPTED_MS);
    verdicts.add(
        format!("on the wire within {WIRE_MS} ms more: {:.2}", seen.wire_p50_ms),
        seen.wire_p50_ms <= WIRE_MS,
    );
    Ok(())
}

pub fn idle(length: Duration, verdicts: &mut Verdicts) -> Fallible<()> {
    println!(
        "## Idle, {} modems and {} binds, {} s\n",
        cells::IDLE_MODEMS,
        cells::IDLE_BINDS,
        length.as_secs()
    );
    let seen = cells::idle(length)?;
    println!(
        "{:.2} % of a core, {:.1} MiB resident, {:.1} MiB at most\n",
        seen.core_percent, seen.rss_mib, seen.peak_mib
    );
    verdicts.add(
        format!("idle under {IDLE_PERCENT} % of a core: {:.2}", seen.core_percent),
        seen.core_percent < IDLE_PERCENT,
    );
    verdicts.add(format!("idle under {IDLE_MIB} MiB: {:.1}", seen.rss_mib), seen.rss_mib < IDLE_MIB);
    Ok(())
}

pub fn stop(scale: Scale, verdicts: &mut Verdicts) -> Fallible<()> {
    println!("## STOP with {} messages queued and all links busy\n", scale.queued);
    let seen = stop::run(scale.queued)?;
    println!("| by | stops | last byte after, ms | shown after, ms |\n|---|---|---|---|");
    for way in &seen {
        let [last, shown] = [way.last_byte, way.shown].map(|wait| wait.as_secs_f64() * 1e3);
        println!("| {} | {} | {last:.0} | {shown:.0} |", way.link, way.stops);
    }
    println!();
    let worst = seen.iter().map(|way| way.last_byte).max().unwrap_or(Duration::MAX);
    let what = format!(
        "no byte to the number later than {} ms after its STOP: {}",
        STOP.as_millis(),
        worst.as_millis()
    );
    verdicts.add(what, worst < STOP);
    Ok(())
}

pub fn sync(verdicts: &mut Verdicts) -> Fallible<()> {
    println!("## Every 202 behind a sync, seen by strace\n");
    let seen = synced::prove()?;
    println!("{} answers, {} fdatasync\n", seen.answers, seen.syncs);
    let held = seen.uncovered == 0 && seen.answers > 0;
    verdicts.add(
        format!("no 202 without an fdatasync since its request was read: {} such", seen.uncovered),
        held,
    );
    Ok(())
}

const COLUMNS: &str = "| | measured | limit | share of it | processor time | beside it in this run |\n|---|---|---|---|---|---|";

impl Verdicts {
    /// A line of a table, and its verdict.
    fn timed(&mut self, what: &str, took: Took, limit: Duration, beside: &str) {
        let [took, limit, cpu] = [took.wall, limit, took.cpu].map(|time| time.as_secs_f64());
        println!("| {what} | {took:.2} s | {limit:.1} s | {:.2} | {cpu:.2} s | {beside} |", took / limit);
        self.0.push((format!("{what} within {limit:.1} s: {took:.2}"), took < limit));
    }
}

fn share((whole, limit): (u32, Duration), count: u32) -> Duration {
    limit.mul_f64(f64::from(count) / f64::from(whole))
}

pub fn import(scale: Scale, verdicts: &mut Verdicts) -> Fallible<()> {
    println!("## Cases by `nudged import`, with consent, and a start on them\n");
    let seen = reminders::import(scale.rows, scale.obligations)?;
    let (rows, limit) = (seen.rows, share(IMPORT, seen.rows));
    let [read, write] = [seen.bare_read, seen.bare_write].map(|time| time.as_secs_f64());
    println!("{COLUMNS}");
    let beside = format!("records read and no more: {read:.2} s");
    verdicts.timed(&format!("dry run of {rows} rows"), seen.dry, limit, &beside);
    let beside = format!("as many octets written and synced and no more: {write:.2} s");
    verdicts.timed(&format!("commit of {rows} rows"), seen.commit, limit, &beside);
    let start = seen.start;
    let found =
        format!("{} obligations, {} steps to come", start.obligations, start.obligations * reminders::STEPS);
    verdicts.timed(&format!("ready on {found}"), start.took, START, "-");
    for (when, mib) in [("ready", start.rss_mib), ("5 s later", start.later_mib)] {
        println!("| resident, {when} | {mib:.1} MiB | {START_MIB} MiB | {:.2} | - | - |", mib / START_MIB);
        let what = format!("{when}, on {found}: under {START_MIB} MiB: {mib:.1}");
        verdicts.0.push((what, mib < START_MIB));
    }
    println!(
        "\nOf a row {} octets of journal. Resident at most {:.1} MiB in the import, {:.1} MiB after the start.\n",
        seen.journal_octets / u64::from(rows),
        seen.peak_mib,
        start.peak_mib
    );
    Ok(())
}

pub fn feed(scale: Scale, verdicts: &mut Verdicts) -> Fallible<()> {
    println!("## Steps that are due at once, two binds with window 100 that answer at once\n");
    let seen = reminders::feed(scale.due)?;
    println!("{COLUMNS}");
    let beside = format!("a bare client, as many segments by one bind: {:.2} s", seen.bare.as_secs_f64());
    verdicts.timed(&format!("{} steps on the wire", seen.steps), seen.took, share(FEED, seen.steps), &beside);
    let [a, b] = seen.by_link;
    println!("\n{} segments, {a} by one bind and {b} by the other.\n", seen.segments);
    Ok(())
}

pub fn rehearse(scale: Scale, verdicts: &mut Verdicts) -> Fallible<()> {
    println!("## Three weeks rehearsed\n");
    let seen = reminders::rehearse(scale.rehearsed)?;
    println!("{COLUMNS}");
    let beside = format!("{} texts", seen.texts);
    let what = format!("rehearsal of {} obligations", seen.obligations);
    verdicts.timed(&what, seen.took, share(REHEARSAL, seen.obligations), &beside);
    println!();
    Ok(())
}

/// Each peer once, then each again: what disturbs the machine disturbs all of them.
fn alternate(peers: &[Peer], load: Load, repetitions: usize) -> Fallible<Vec<Vec<Figures>>> {
    let mut runs = vec![Vec::new(); peers.len()];
    for repetition in 0..repetitions {
        for (peer, runs) in peers.iter().zip(&mut runs) {
            // Only the daemon has a queue that can be filled first.
            let figures = cells::run(*peer, load).map_err(|e| format!("{}: {e}", peer.name()))?;
            eprintln!("{} {repetition}: {:.0}/s, {:.0} us", peer.name(), figures.per_second, figures.cpu_us);
            runs.push(figures);
        }
    }
    Ok(runs)
}

fn print_table(peers: &[Peer], runs: &[Vec<Figures>]) {
    println!(
        "| | msg/s | accepted p50 ms | p99 ms | CPU us/msg | written octets/msg | peak RSS MiB | most in flight | msg/commit |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for (peer, runs) in peers.iter().zip(runs) {
        let mut line = format!("| {} |", peer.name());
        let columns: [(Value, usize); 8] = [
            (|f| f.per_second, 0),
            (|f| f.accept_p50_ms, 2),
            (|f| f.accept_p99_ms, 1),
            (|f| f.cpu_us, 0),
            (|f| f.written_octets, 0),
            (|f| f.rss_mib, 1),
            (|f| f.most_in_flight as f64, 0),
            (|f| f.per_commit, 1),
        ];
        for (value, digits) in columns {
            let all: Vec<f64> = runs.iter().map(value).collect();
            let (least, most) =
                (all.iter().copied().fold(f64::MAX, f64::min), all.iter().copied().fold(0.0, f64::max));
            let cell = if most == 0.0 {
                String::from(" - |")
            } else {
                format!(" {:.digits$} ({least:.digits$} to {most:.digits$}) |", median(runs, value))
            };
            // Writing to a String cannot fail.
            line.write_str(&cell).unwrap_or_default();
        }
        println!("{line}");
    }
    println!();
}

/// One figure of a run.
type Value = fn(&Figures) -> f64;

fn median(runs: &[Figures], value: Value) -> f64 {
    let mut values: Vec<f64> = runs.iter().map(value).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
