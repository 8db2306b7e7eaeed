//! The daemon measured from outside, as ratios to a limit or a peer in the same run.
//!
//! `scripts/bench` builds and runs it. Arguments: `quick` for a short run; any of `http`, `window`, `latency`,
//! `stop`, `idle`, `sync`, `import`, `feed`, `rehearse` for these alone, `reminders` for the last three; `--idle SECONDS`,
//! `--repetitions N`, `--messages N`, and `--obligations N` that a start finds. Needs Debian's kannel and strace. `NUDGED` names another program to measure, `NUDGED_BENCH_DIR` a directory on another
//! disk than that of `target`. `client` is for `scripts/torture` alone (endless.rs). Exit 1 when a target is missed or a message was refused, lost or doubled.
//!
//! The peers: Kannel 1.4.5 (bearerbox and smsbox, file store, log-level 2, no access log) for HTTP, a bare
//! rusmpp client for the window. The client, the SMSC and what is measured share the machine, so only what
//! ran side by side may be compared.
#![allow(clippy::disallowed_methods, reason = "it measures from outside with clocks of its own")]

mod bare;
mod cells;
mod client;
mod endless;
mod firm;
mod peers;
mod process;
mod reminders;
mod report;
mod stop;
mod synced;
mod wire;

use std::process::ExitCode;
use std::time::Duration;

use report::{FULL, QUICK, Scale, Verdicts};

pub type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

const CELLS: [&str; 9] = ["http", "window", "latency", "stop", "sync", "import", "feed", "rehearse", "idle"];
const REMINDERS: [&str; 3] = ["import", "feed", "rehearse"];

fn main() -> ExitCode {
    // cargo itself adds --bench.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("bench: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Fallible<bool> {
    if let [client, port, list] = arguments
        && client == "client"
    {
        return endless::run(port.parse()?, list).map(|()| true);
    }
    let (scale, cells) = read(arguments)?;
    let mut verdicts = Verdicts::default();
    report::print_machine()?;
    for cell in cells {
        match cell {
            "http" => report::http(scale, &mut verdicts)?,
            "window" => report::window(scale, &mut verdicts)?,
            "latency" => report::latency(scale, &mut verdicts)?,
            "stop" => report::stop(scale, &mut verdicts)?,
            "sync" => report::sync(&mut verdicts)?,
            "import" => report::import(scale, &mut verdicts)?,
            "feed" => report::feed(scale, &mut verdicts)?,
            "rehearse" => report::rehearse(scale, &mut verdicts)?,
            _ => report::idle(scale.idle, &mut verdicts)?,
        }
    }
    Ok(verdicts.print())
}

/// How much of everything, and which cells.
fn read(arguments: &[String]) -> Fallible<(Scale, Vec<&'static str>)> {
    let (mut scale, mut cells, mut rest) = (FULL, Vec::new(), arguments.iter());
    while let Some(argument) = rest.next() {
        let mut number = || -> Fallible<u32> {
            let value = rest.next().ok_or_else(|| format!("{argument} needs a number"))?;
            value.parse().map_err(|_| format!("{value:?} is no number").into())
        };
        match argument.as_str() {
            "quick" => scale = QUICK,
            "--idle" => scale.idle = Duration::from_secs(number()?.into()),
            "--repetitions" => scale.repetitions = number()?.max(1) as usize,
            "--messages" => scale.fast = number()?.max(1),
            "--obligations" => scale.obligations = number()?.max(1),
            "reminders" => cells.extend(REMINDERS),
            name => {
                let cell = CELLS.iter().find(|cell| **cell == name);
                cells.push(*cell.ok_or_else(|| format!("{name:?} is none of {}", CELLS.join(", ")))?);
            }
        }
    }
    Ok((scale, if cells.is_empty() { CELLS.to_vec() } else { cells }))
}
