//! `nudged sim`: the simulators alone, for trying a config or a load test without a SIM or a carrier.
//!
//! Prints the bound addresses, one a line, and then runs until Ctrl-C or SIGTERM.

mod modem;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use clap::{Subcommand, ValueEnum};

use crate::clock::Clock;
use crate::sim::fault::{BadFault, Fault};
use crate::sim::modem::{Modem, ModemOptions};
use crate::sim::smsc::{Cheat, Delay, Login, Mo, Rate, Receipts, Smsc, SmscOptions};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// A carrier: an SMSC that speaks SMPP 3.4
    Smsc(SmscArgs),
    /// A GSM modem: AT commands on a pseudo terminal or a TCP port
    Modem(modem::ModemArgs),
}

#[derive(Debug, clap::Args)]
struct SmscArgs {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:2775")]
    listen: SocketAddr,
    /// The only system_id that may bind; absent: any
    #[arg(long, value_name = "U", requires = "password")]
    system_id: Option<String>,
    #[arg(long, value_name = "P", requires = "system_id", hide_env_values = true)]
    password: Option<String>,
    /// Time to each answer: 20ms, or 10ms-50ms by chance, out of order
    #[arg(long, value_name = "TIME", default_value = "0ms", value_parser = parse_delay)]
    delay: Delay,
    /// Messages taken, such as 100/s; more are throttled (0x58)
    #[arg(long, value_name = "N/UNIT", value_parser = parse_rate)]
    rate: Option<Rate>,
    /// Receipts for messages that ask for one
    #[arg(long, value_enum, default_value = "delivered")]
    receipts: ReceiptsArg,
    /// A reply that comes again and again: STOP@5s
    #[arg(long, value_name = "TEXT@INTERVAL", value_parser = parse_mo)]
    mo: Option<Mo>,
    /// no-answer, drop-after-submit, throttle, queue-full, reject, garbage, hangup or slow at the N-th message,
    /// N% of them or every N+
    #[arg(long, value_name = "KIND@N", value_parser = parse_fault)]
    fault: Vec<Fault>,
    /// One NDJSON line for every message taken, written before it is answered
    #[arg(long, value_name = "FILE")]
    wire: Option<PathBuf>,
    /// HTTP: GET /received /stats, POST /reply /receipt /fault /hangup /hold /release
    #[arg(long, value_name = "ADDR")]
    control: Option<SocketAddr>,
    /// Log warnings only
    #[arg(long)]
    quiet: bool,
    #[arg(long, hide = true)]
    hold: bool,
    #[arg(long, hide = true, value_enum)]
    cheat: Option<CheatArg>,
    #[arg(long, hide = true, default_value_t = 0)]
    seed: u64,
    /// For a parent that must not be outlived
    #[arg(long, hide = true)]
    until_stdin_ends: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ReceiptsArg {
    Delivered,
    Failed,
    Mixed,
    None,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum CheatArg {
    Lose,
    Double,
}

/// Exit 0 after Ctrl-C or SIGTERM, 1 when an address or a file cannot be opened.
pub fn run(args: Args) -> ExitCode {
    let (name, quiet) = match &args.what {
        What::Smsc(args) => ("smsc", args.quiet),
        What::Modem(args) => ("modem", args.quiet),
    };
    start_log(quiet);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return failed(name, &e),
    };
    let served = match args.what {
        What::Smsc(args) => {
            let until_stdin_ends = args.until_stdin_ends;
            runtime.block_on(serve_smsc(options(args), until_stdin_ends))
        }
        What::Modem(args) => {
            let until_stdin_ends = args.until_stdin_ends;
            runtime.block_on(serve_modem(modem::options(args), until_stdin_ends))
        }
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => failed(name, &e),
    }
}

fn failed(name: &str, why: &io::Error) -> ExitCode {
    eprintln!("nudged sim {name}: {why}");
    ExitCode::FAILURE
}

fn start_log(quiet: bool) {
    let level = if quiet { tracing::Level::WARN } else { tracing::Level::INFO };
    let log = tracing_subscriber::fmt().with_writer(io::stderr).with_ansi(false).with_max_level(level);
    if log.try_init().is_err() {
        tracing::debug!(event = "sim_log_started_before");
    }
}

fn options(args: SmscArgs) -> SmscOptions {
    let login = args.system_id.zip(args.password);
    SmscOptions {
        listen: args.listen,
        control: args.control,
        login: login.map(|(system_id, password)| Login { system_id, password }),
        delay: args.delay,
        rate: args.rate,
        receipts: match args.receipts {
            ReceiptsArg::Delivered => Receipts::Delivered,
            ReceiptsArg::Failed => Receipts::Failed,
            ReceiptsArg::Mixed => Receipts::Mixed,
            ReceiptsArg::None => Receipts::None,
        },
        mo: args.mo,
        faults: args.fault,
        wire: args.wire,
        hold: args.hold,
        cheat: args.cheat.map(|cheat| match cheat {
            CheatArg::Lose => Cheat::Lose,
            CheatArg::Double => Cheat::Double,
        }),
        seed: args.seed,
        ..SmscOptions::default()
    }
}

async fn serve_smsc(options: SmscOptions, until_stdin_ends: bool) -> io::Result<()> {
    let smsc = Smsc::start(options, Clock::system()).await?;
    print_addresses(&smsc.addr().to_string(), smsc.control_addr())?;
    until_ended(until_stdin_ends).await;
    smsc.stop().await;
    Ok(())
}

async fn serve_modem(options: ModemOptions, until_stdin_ends: bool) -> io::Result<()> {
    let modem = Modem::start(options, Clock::system()).await?;
    print_addresses(&modem.path(), modem.control_addr())?;
    until_ended(until_stdin_ends).await;
    modem.stop().await;
    Ok(())
}

async fn until_ended(until_stdin_ends: bool) {
    tokio::select! {
        () = super::signal() => {}
        () = stdin_ended(), if until_stdin_ends => {}
    }
}

/// On a thread of its own, which the end of the process does not wait for.
async fn stdin_ended() {
    let (ended, told) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        let copied = io::copy(&mut io::stdin().lock(), &mut io::sink());
        tracing::debug!(event = "sim_input_ended", ?copied);
        drop(ended);
    });
    // Nothing is ever sent: the end of the thread is what is told.
    drop(told.await);
}

fn print_addresses(listening: &str, control: Option<SocketAddr>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "listening on {listening}")?;
    if let Some(control) = control {
        writeln!(out, "control on {control}")?;
    }
    out.flush()
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("{text:?} is no time: write 20ms, 3s, 5m or 1h");
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
    let (number, unit) = text.split_at(digits);
    let number = u64::from_str(number).map_err(|_| bad())?;
    let millis_each = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(bad()),
    };
    number
        .checked_mul(millis_each)
        .filter(|millis| *millis <= LONGEST_MILLIS)
        .map(Duration::from_millis)
        .ok_or_else(bad)
}

/// A day: nobody waits longer for a simulator, and sums of it overflow no clock.
const LONGEST_MILLIS: u64 = 86_400_000;

fn parse_delay(text: &str) -> Result<Delay, String> {
    let (least, most) = text.split_once('-').unwrap_or((text, text));
    let delay = Delay { least: parse_duration(least)?, most: parse_duration(most)? };
    if delay.least <= delay.most { Ok(delay) } else { Err(format!("{text:?} ends before it begins")) }
}

fn parse_rate(text: &str) -> Result<Rate, String> {
    let bad = || format!("{text:?} is no rate: write 100/s, 600/min or 1000/h");
    let (count, unit) = text.split_once('/').ok_or_else(bad)?;
    let count = u32::from_str(count).ok().filter(|count| *count > 0).ok_or_else(bad)?;
    let seconds = match unit {
        "s" => 1.0,
        "min" => 60.0,
        "h" => 3600.0,
        _ => return Err(bad()),
    };
    Ok(Rate { per_second: f64::from(count) / seconds })
}

fn parse_mo(text: &str) -> Result<Mo, String> {
    let (text, interval) = text.rsplit_once('@').ok_or_else(|| format!("{text:?} is not TEXT@INTERVAL"))?;
    let interval = parse_duration(interval)?;
    if interval.is_zero() {
        return Err("the interval is zero".into());
    }
    Ok(Mo { text: text.to_owned(), interval })
}

fn parse_fault(text: &str) -> Result<Fault, BadFault> {
    let fault: Fault = text.parse()?;
    if fault.kind.fits_smsc() { Ok(fault) } else { Err(BadFault::OfModems(fault.kind)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        args: Args,
    }

    fn parse(flags: &[&str]) -> Result<SmscOptions, String> {
        let all = ["sim", "smsc"].iter().chain(flags);
        let program = Program::try_parse_from(all).map_err(|e| e.to_string())?;
        match program.args.what {
            What::Smsc(args) => Ok(options(args)),
            What::Modem(_) => Err("a modem".into()),
        }
    }

    #[test]
    fn the_flags_of_the_contract_are_read() {
        let flags = "--listen 127.0.0.1:0 --system-id u --password p --delay 10ms-50ms --rate 100/s --receipts mixed \
                     --mo STOP@now@5s --fault reject@3 --fault slow@1% --wire w --control 127.0.0.1:0 --quiet";
        let options = parse(&flags.split_whitespace().collect::<Vec<_>>()).unwrap();
        let millis = Duration::from_millis;
        assert_eq!(options.delay, Delay { least: millis(10), most: millis(50) });
        assert_eq!(options.rate, Some(Rate { per_second: 100.0 }));
        assert_eq!(options.mo, Some(Mo { text: "STOP@now".into(), interval: millis(5_000) }));
        assert_eq!((options.faults.len(), options.receipts), (2, Receipts::Mixed));
        assert_eq!(options.login, Some(Login { system_id: "u".into(), password: "p".into() }));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_reason() {
        for (flag, value, why) in [
            ("--fault", "reboot@1", "belongs to a modem"),
            ("--fault", "explode@1", "no fault is called"),
            ("--delay", "50ms-10ms", "ends before it begins"),
            ("--delay", "20", "is no time"),
            ("--rate", "0/s", "is no rate"),
            ("--mo", "hello", "is not TEXT@INTERVAL"),
            ("--mo", "hello@0s", "interval is zero"),
            ("--system-id", "u", "--password"),
        ] {
            let error = parse(&[flag, value]).unwrap_err();
            assert!(error.contains(why), "{flag} {value}: {error}");
        }
    }
}
