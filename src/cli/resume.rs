//! `nudged resume`: all sending, or one link.

use std::process::ExitCode;

use super::client::{Call, Server, outline};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this link
    link: Option<String>,
    #[command(flatten)]
    server: Server,
}

pub fn run(args: Args) -> ExitCode {
    match &args.link {
        Some(link) => args.server.run(Call::post(&["v1", "links", link, "resume"]), outline),
        None => args.server.run(Call::post(&["v1", "resume"]), outline),
    }
}
