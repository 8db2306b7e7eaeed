//! One run of one thing each: a fresh directory, fresh processes, a warm-up, the load, the check of what went
//! over the wire. [`crate::report`] compares them.

use std::fs;
use std::net::TcpListener;
use std::ops::Range;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime};

use crate::Fallible;
use crate::bare;
use crate::client::{self, Connection, Door, Sent};
use crate::peers::{self, Gsm, Kannel, Nudged, Sim, Stats};
use crate::process::{PATIENCE, Process, until};
use crate::wire::Wire;

/// Messages before the measured ones; their numbers come first.
const WARM_UP: u32 = 200;
/// Keep-alive connections of the load.
pub const CONNECTIONS: usize = 16;

/// Who carries the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Without receipts: the same work as Kannel's.
    Nudged,
    /// A receipt asked for, delivered and stored for every message.
    NudgedReceipts,
    Kannel,
    /// The bare client: no HTTP, no store.
    Bare,
}

impl Peer {
    pub fn name(self) -> &'static str {
        match self {
            Peer::Nudged => "nudged",
            Peer::NudgedReceipts => "nudged, receipts",
            Peer::Kannel => "Kannel",
            Peer::Bare => "bare client",
        }
    }
}

/// What a run is asked to do.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub count: u32,
    pub window: u16,
    pub delay: Duration,
    /// The messages are queued before the link may send.
    pub backlog: bool,
}

impl Load {
    fn numbers(self) -> Range<u32> {
        WARM_UP..WARM_UP + self.count
    }
}

/// What a run gave; microseconds of processor time and octets are a message's share.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    pub per_second: f64,
    pub accept_p50_ms: f64,
    pub accept_p99_ms: f64,
    pub cpu_us: f64,
    pub written_octets: f64,
    pub rss_mib: f64,
    pub most_in_flight: u64,
    /// Messages accepted by one commit, on average; 0 where it is not known.
    pub per_commit: f64,
}

/// A directory of its own: below `target`, or below `NUDGED_BENCH_DIR` to measure another disk.
pub fn fresh_dir(name: &str) -> Fallible<PathBuf> {
    let below = std::env::var_os("NUDGED_BENCH_DIR");
    let below = below.map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    let dir = below.join("bench").join(name);
    match fs::remove_dir_all(&dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e.into()),
        _ => fs::create_dir_all(&dir)?,
    }
    Ok(dir)
}

/// One run; an error when a message was refused, lost or doubled.
pub fn run(peer: Peer, load: Load) -> Fallible<Figures> {
    let dir = fresh_dir("run")?;
    let sim = Sim::start(&dir, load.delay)?;
    match peer {
        Peer::Bare => {
            bare::submit_all(sim.address, load.numbers(), load.window.into())?;
            let stats = sim.settled(load.count.into())?;
            let wire = Wire::read(&sim.wire, &load.numbers())?;
            wire.check(load.numbers())?;
            let per_second = wire_rate(&wire, load.count);
            Ok(Figures { per_second, most_in_flight: stats.most_in_flight, ..Figures::default() })
        }
        Peer::Kannel => {
            let kannel = Kannel::start(&dir, sim.address, load.window)?;
            measure(&kannel, &[&kannel.bearerbox, &kannel.smsbox], &sim, load)
        }
        Peer::Nudged | Peer::NudgedReceipts => {
            let mut nudged = Nudged::start(&dir, sim.address, load.window)?;
            nudged.receipt = peer == Peer::NudgedReceipts;
            let figures = if load.backlog {
                drain(&nudged, &sim, load)?
            } else {
                let before = nudged.commits()?;
                let figures = measure(&nudged, &[&nudged.process], &sim, load)?;
                let commits = nudged.commits()? - before;
                Figures { per_commit: f64::from(load.count + WARM_UP) / commits as f64, ..figures }
            };
            nudged.process.stop()?;
            Ok(figures)
        }
    }
}

/// From the first request to the last message at the SMSC.
fn measure(door: &dyn Door, processes: &[&Process], sim: &Sim, load: Load) -> Fallible<Figures> {
    warm_up(door, sim)?;
    let (cpu, written) = totals(processes)?;
    let sent = client::load(door, load.numbers(), CONNECTIONS)?;
    let stats = sim.settled(u64::from(WARM_UP + load.count))?;
    let (cpu_after, written_after) = totals(processes)?;
    let wire = checked(sim, &sent, load)?;
    let began = sent.began.duration_since(SystemTime::UNIX_EPOCH)?.as_millis() as u64;
    let seconds = wire.last_millis.saturating_sub(began).max(1) as f64 / 1000.0;
    let mut peak_kib = 0;
    for process in processes {
        peak_kib += process.memory_kib()?.1;
    }
    let count = f64::from(load.count);
    Ok(Figures {
        per_second: count / seconds,
        cpu_us: (cpu_after - cpu).as_secs_f64() * 1e6 / count,
        written_octets: (written_after - written) as f64 / count,
        rss_mib: peak_kib as f64 / 1024.0,
        most_in_flight: stats.most_in_flight,
        ..accept_figures(&sent)
    })
}

/// From the first message at the SMSC to the last, all of them queued before.
fn drain(nudged: &Nudged, sim: &Sim, load: Load) -> Fallible<Figures> {
    warm_up(nudged, sim)?;
    nudged.pause(true)?;
    let sent = client::load(nudged, load.numbers(), CONNECTIONS)?;
    let cpu = nudged.process.cpu()?;
    nudged.pause(false)?;
    let stats = sim.settled(u64::from(WARM_UP + load.count))?;
    let cpu = nudged.process.cpu()? - cpu;
    let wire = checked(sim, &sent, load)?;
    Ok(Figures {
        per_second: wire_rate(&wire, load.count),
        cpu_us: cpu.as_secs_f64() * 1e6 / f64::from(load.count),
        rss_mib: nudged.process.memory_kib()?.1 as f64 / 1024.0,
        most_in_flight: stats.most_in_flight,
        ..accept_figures(&sent)
    })
}

fn warm_up(door: &dyn Door, sim: &Sim) -> Fallible<Stats> {
    let sent = client::load(door, 0..WARM_UP, CONNECTIONS)?;
    all_accepted(&sent)?;
    sim.settled(u64::from(WARM_UP))
}

fn all_accepted(sent: &Sent) -> Fallible<()> {
    match sent.refused.first() {
        None => Ok(()),
        Some((number, status, body)) => {
            Err(format!("{} refused, the first, {number}, with {status}: {body}", sent.refused.len()).into())
        }
    }
}

fn checked(sim: &Sim, sent: &Sent, load: Load) -> Fallible<Wire> {
    all_accepted(sent)?;
    let wire = Wire::read(&sim.wire, &load.numbers())?;
    wire.check(sent.accepted.iter().map(|(number, _)| *number))?;
    Ok(wire)
}

fn totals(processes: &[&Process]) -> Fallible<(Duration, u64)> {
    let mut total = (Duration::ZERO, 0);
    for process in processes {
        total = (total.0 + process.cpu()?, total.1 + process.written()?);
    }
    Ok(total)
}

fn wire_rate(wire: &Wire, count: u32) -> f64 {
    f64::from(count) * 1000.0 / wire.last_millis.saturating_sub(wire.first_millis).max(1) as f64
}

fn accept_figures(sent: &Sent) -> Figures {
    let mut waits: Vec<f64> = sent.waits.iter().map(|wait| wait.as_secs_f64() * 1e3).collect();
    Figures {
        accept_p50_ms: percentile(&mut waits, 50),
        accept_p99_ms: percentile(&mut waits, 99),
        ..Figures::default()
    }
}

fn percentile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (values.len() * percent / 100).min(values.len().saturating_sub(1));
    values.get(at).copied().unwrap_or(f64::NAN)
}

/// What one message waits for when nothing else happens.
#[derive(Clone, Copy, Debug)]
pub struct Latency {
    pub accepted_p50_ms: f64,
    pub accepted_p99_ms: f64,
    /// From the 202 to its submit_sm at the SMSC; below zero where the wire was first.
    pub wire_p50_ms: f64,
    pub wire_p99_ms: f64,
}

/// Posts `count` messages, one every `pause`, to a daemon whose SMSC is in this process.
pub fn latency(count: u32, pause: Duration) -> Fallible<Latency> {
    let dir = fresh_dir("latency")?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let (taken, instants) = mpsc::channel();
    std::thread::spawn(move || {
        if let Err(error) = bare::smsc::serve(&listener, &taken) {
            eprintln!("SMSC: {error}");
        }
    });
    let mut nudged = Nudged::start(&dir, address, 10)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let mut connection = runtime.block_on(Connection::open(nudged.address()))?;
    let (mut accepted, mut wired) = (Vec::new(), Vec::new());
    for number in 0..count {
        std::thread::sleep(pause);
        let (status, body, wait) = runtime.block_on(connection.ask(|out| nudged.request(number, out)))?;
        let answered = Instant::now();
        if status != 202 {
            return Err(format!("{status}: {body}").into());
        }
        let (on_wire, at) = instants.recv_timeout(PATIENCE)?;
        if on_wire != number {
            return Err(format!("{on_wire} on the wire instead of {number}").into());
        }
        accepted.push(wait.as_secs_f64() * 1e3);
        wired.push(match at.checked_duration_since(answered) {
            Some(after) => after.as_secs_f64() * 1e3,
            None => answered.duration_since(at).as_secs_f64() * -1e3,
        });
    }
    nudged.process.stop()?;
    Ok(Latency {
        accepted_p50_ms: percentile(&mut accepted, 50),
        accepted_p99_ms: percentile(&mut accepted, 99),
        wire_p50_ms: percentile(&mut wired, 50),
        wire_p99_ms: percentile(&mut wired, 99),
    })
}

/// What a daemon with links takes that has nothing to do.
#[derive(Clone, Copy, Debug)]
pub struct Idle {
    pub core_percent: f64,
    pub rss_mib: f64,
    pub peak_mib: f64,
}

/// Links of the idle daemon.
pub const IDLE_BINDS: usize = 2;
pub const IDLE_MODEMS: usize = 4;

pub fn idle(length: Duration) -> Fallible<Idle> {
    let dir = fresh_dir("idle")?;
    let sim = Sim::start(&dir, Duration::ZERO)?;
    let mut links: String =
        (0..IDLE_BINDS).map(|n| peers::bind(&format!("carrier{n}"), sim.address, 10)).collect();
    let mut modems = Vec::new();
    for n in 0..IDLE_MODEMS {
        let gsm = Gsm::start(&dir, &format!("gsm{n}"), Duration::from_secs(1))?;
        links.push_str(&peers::modem(&format!("gsm{n}"), &gsm));
        modems.push(gsm);
    }
    let mut nudged = Nudged::start_with(Command::new(peers::program()), &dir, &links)?;
    until("all links", || {
        let (_, body) = nudged.call("GET", "/v1/links")?;
        Ok(body.matches("\"state\":\"up\"").count() == IDLE_BINDS + IDLE_MODEMS)
    })?;
    let (cpu, began) = (nudged.process.cpu()?, Instant::now());
    std::thread::sleep(length);
    let used = nudged.process.cpu()? - cpu;
    let (now_kib, peak_kib) = nudged.process.memory_kib()?;
    let idle = Idle {
        core_percent: used.as_secs_f64() * 100.0 / began.elapsed().as_secs_f64(),
        rss_mib: now_kib as f64 / 1024.0,
        peak_mib: peak_kib as f64 / 1024.0,
    };
    nudged.process.stop()?;
    Ok(idle)
}
