//! The command line: one file per command, each with its `Args` and a `run` that gives the exit code.
//! Floor 5.
//!
//! Exit codes are a contract with systemd and scripts. Results go to standard output, everything that is
//! said to a person about them to standard error. What a daemon does is not here but in `daemon`.

pub mod check;
pub mod client;
pub mod completions;
pub mod config_file;
pub mod debug;
pub mod demo;
pub mod export;
pub mod import;
pub mod import_clicks;
pub mod inbound;
pub mod links;
pub mod listing;
pub mod log;
pub mod man;
pub mod messages;
pub mod optout;
pub mod pause;
pub mod rehearse;
pub mod run;
pub mod seed_files;
pub mod send;
pub mod sim;
pub mod status;
pub mod tasks;
pub mod token;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::Problem;

/// The arguments make no sense (`EX_USAGE` of sysexits.h).
pub const EXIT_USAGE: u8 = 64;
/// The daemon cannot be reached (`EX_UNAVAILABLE`).
pub const EXIT_UNREACHABLE: u8 = 69;
/// A write or a sync failed (`EX_IOERR`).
pub const EXIT_IO: u8 = 74;
/// Another daemon holds the state directory (`EX_TEMPFAIL`).
pub const EXIT_LOCKED: u8 = 75;
/// The configuration is refused (`EX_CONFIG`).
pub const EXIT_CONFIG: u8 = 78;

/// SMS gateway appliance: a durable queue, a local HTTP API, and a bind to a carrier.
#[derive(Debug, Parser)]
#[command(name = "nudged", version, subcommand_required = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon
    Run(run::Args),
    /// Check the configuration: every problem, or what counts
    Check(check::Args),
    /// Make, list and revoke API tokens
    Token(token::Args),
    /// Send a message
    Send(send::Args),
    /// Show the daemon's state
    Status(status::Args),
    /// Show links, or connect one anew
    Links(links::Args),
    /// Show messages
    Messages(messages::Args),
    /// Show replies
    Inbound(inbound::Args),
    /// Import cases, payments and what is set up
    Import(import::Args),
    /// Show tasks, and say what became of one
    Tasks(tasks::Args),
    /// Write all of a resource as CSV or JSON
    Export(export::Args),
    /// Count visits to payment links out of an access log
    ImportClicks(import_clicks::Args),
    /// List and change who gets no messages
    Optout(optout::Args),
    /// Pause all sending, or one link
    Pause(pause::Args),
    /// Resume all sending, or one link, or accept the clock
    Resume(pause::ResumeArgs),
    /// Run the daemon against two simulated carriers
    Demo(demo::Args),
    /// Show what sequences would do with a file of cases, without sending
    Rehearse(rehearse::Args),
    /// Run a simulator alone
    Sim(sim::Args),
    /// Say what texts and receipts on standard input mean
    Debug(debug::Args),
    /// Print shell completions
    Completions(completions::Args),
    /// Print the manual page
    Man(man::Args),
}

/// Where the configuration is.
#[derive(Clone, Debug, clap::Args)]
pub struct ConfigPath {
    /// Configuration file
    #[arg(long, value_name = "FILE", default_value = "/etc/nudged/nudged.toml")]
    pub config: PathBuf,
}

/// Runs the command that the process's arguments name.
pub fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => dispatch(cli.command),
        Err(error) => usage(&error),
    }
}

fn dispatch(command: Command) -> ExitCode {
    match command {
        Command::Run(args) => run::run(args),
        Command::Check(args) => check::run(args),
        Command::Token(args) => token::run(args),
        Command::Send(args) => send::run(args),
        Command::Status(args) => status::run(args),
        Command::Links(args) => links::run(args),
        Command::Messages(args) => messages::run(args),
        Command::Inbound(args) => inbound::run(args),
        Command::Import(args) => import::run(args),
        Command::Tasks(args) => tasks::run(args),
        Command::Export(args) => export::run(args),
        Command::ImportClicks(args) => import_clicks::run(args),
        Command::Optout(args) => optout::run(args),
        Command::Pause(args) => pause::run(args, "pause"),
        Command::Resume(args) => pause::resume(args),
        Command::Demo(args) => demo::run(args),
        Command::Rehearse(args) => rehearse::run(args),
        Command::Sim(args) => sim::run(args),
        Command::Debug(args) => debug::run(args),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => man::run(args),
    }
}

/// `--help` and `--version` arrive here too; they go to standard output and are no fault.
fn usage(error: &clap::Error) -> ExitCode {
    let printed = error.print();
    match (error.use_stderr(), printed) {
        (true, _) => ExitCode::from(EXIT_USAGE),
        (false, Ok(())) => ExitCode::SUCCESS,
        (false, Err(_)) => ExitCode::FAILURE,
    }
}

/// Until Ctrl-C or SIGTERM, heard from the call on and not from the first poll. Where that cannot be
/// set up, a signal ends the process at once.
pub fn signal() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (terminate, interrupt) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    let one = async |heard: io::Result<tokio::signal::unix::Signal>| match heard {
        Ok(mut heard) => {
            heard.recv().await;
        }
        Err(error) => {
            tracing::warn!(event = "signals_unheard", %error);
            std::future::pending::<()>().await;
        }
    };
    async move {
        tokio::select! {
            () = one(terminate) => {}
            () = one(interrupt) => {}
        }
    }
}

/// Prints a result and ends with `code`, or with 1 when it cannot be printed. A reader that has seen
/// enough and closed the pipe is no fault.
pub fn answer(text: &str, code: ExitCode) -> ExitCode {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => code,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => code,
        Err(error) => {
            eprintln!("nudged: standard output: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Tells all that is wrong with the configuration, a line each.
pub fn refuse_config(problems: &[Problem]) -> ExitCode {
    for problem in problems {
        eprintln!("nudged: {problem}");
    }
    ExitCode::from(EXIT_CONFIG)
}

/// The text with what a terminal would obey, or what would reorder a line, made visible.
pub fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            // The marks, embeddings, overrides and isolates of the bidirectional algorithm (UAX 9).
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                shown.extend(c.escape_unicode());
            }
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => shown.extend(c.escape_default()),
            c => shown.push(c),
        }
    }
    shown
}

/// The command line as clap knows it, for completions and the manual page.
pub fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn what_a_terminal_would_obey_is_made_visible() {
        assert_eq!(plain("a\u{1b}[2Jb\r\n"), "a\\u{1b}[2Jb\\r\\n");
        assert_eq!(plain("\u{202e}evil"), "\\u{202e}evil");
        assert_eq!(plain("Grüße €"), "Grüße €");
    }

    #[test]
    fn usage_errors_are_told_from_help() {
        assert!(Cli::try_parse_from(["nudged", "send"]).unwrap_err().use_stderr());
        assert!(!Cli::try_parse_from(["nudged", "--help"]).unwrap_err().use_stderr());
    }
}
