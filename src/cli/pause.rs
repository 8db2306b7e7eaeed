//! `nudged pause` and `nudged resume`: all sending, or one link; what a clock in doubt holds.

use std::process::ExitCode;

use super::client::{Call, Server, outline};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this link
    link: Option<String>,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, clap::Args)]
pub struct ResumeArgs {
    /// Say that the wall clock is right: what is due by it goes
    #[arg(long, conflicts_with = "link")]
    clock: bool,
    #[command(flatten)]
    which: Args,
}

pub fn resume(args: ResumeArgs) -> ExitCode {
    match args.clock {
        true => args.which.server.run(Call::post(&["v1", "clock", "accept"]), outline),
        false => run(args.which, "resume"),
    }
}

/// `call` is the API's word for what is asked, `pause` or `resume`.
pub fn run(args: Args, call: &str) -> ExitCode {
    match &args.link {
        Some(link) => args.server.run(Call::post(&["v1", "links", link, call]), outline),
        None => args.server.run(Call::post(&["v1", call]), outline),
    }
}
