//! `nudged pause` and `nudged resume`: all sending, or one link.

use std::process::ExitCode;

use super::client::{Call, Server, outline};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this link
    link: Option<String>,
    #[command(flatten)]
    server: Server,
}

/// `call` is the API's word for what is asked, `pause` or `resume`.
pub fn run(args: Args, call: &str) -> ExitCode {
    match &args.link {
        Some(link) => args.server.run(Call::post(&["v1", "links", link, call]), outline),
        None => args.server.run(Call::post(&["v1", call]), outline),
    }
}
