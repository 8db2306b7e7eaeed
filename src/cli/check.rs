//! `nudged check`: every problem of the configuration, or what counts, with secrets masked.

use std::process::ExitCode;

use super::{ConfigPath, answer, config_file, refuse_config};
use crate::config::effective;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    path: ConfigPath,
}

pub fn run(args: Args) -> ExitCode {
    match config_file::load(&args.path.config) {
        Ok(config) => answer(&effective(&config), ExitCode::SUCCESS),
        Err(problems) => refuse_config(&problems),
    }
}
