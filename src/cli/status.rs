//! `nudged status`: one snapshot of the daemon.

use std::process::ExitCode;

use super::client::{Call, Server, outline};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    server: Server,
}

pub fn run(args: Args) -> ExitCode {
    args.server.run(Call::get(&["v1", "status"]), outline)
}
