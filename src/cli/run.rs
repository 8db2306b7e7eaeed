//! `nudged run`: configuration and log are made ready here, the rest is `daemon`'s.

use std::process::ExitCode;

use super::{ConfigPath, config_file, log, refuse_config};
use crate::config::Config;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    path: ConfigPath,
    #[command(flatten)]
    log: log::LogArgs,
}

pub fn run(args: Args) -> ExitCode {
    match prepare(&args) {
        Ok(_config) => ExitCode::FAILURE,
        Err(code) => code,
    }
}

/// The log speaks from here on, so that whatever goes wrong next is heard.
fn prepare(args: &Args) -> Result<Config, ExitCode> {
    let config = config_file::load(&args.path.config).map_err(|problems| refuse_config(&problems))?;
    log::start(&args.log);
    Ok(config)
}
