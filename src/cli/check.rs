//! `nudged check`: every problem of the configuration and of the seed files, or what counts, with secrets masked.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::{ConfigPath, EXIT_CONFIG, answer, config_file, refuse_config, seed_files};
use crate::config::effective;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    path: ConfigPath,
    /// Directory of seed files; without it `reminders` beside the configuration, where it is there
    #[arg(long, value_name = "DIR")]
    reminders: Option<PathBuf>,
}

pub fn run(args: Args) -> ExitCode {
    let seeds_fit = seeds_fit(&args);
    match config_file::load(&args.path.config) {
        Ok(config) if seeds_fit => answer(&effective(&config), ExitCode::SUCCESS),
        Ok(_) => ExitCode::from(EXIT_CONFIG),
        Err(problems) => refuse_config(&problems),
    }
}

/// Tells all that is wrong with the seed files.
fn seeds_fit(args: &Args) -> bool {
    let beside = args.path.config.parent().unwrap_or(Path::new("")).join("reminders");
    let directory = args.reminders.clone().or_else(|| beside.is_dir().then_some(beside));
    let Some(problems) = directory.and_then(|directory| seed_files::check(&directory).err()) else {
        return true;
    };
    for problem in problems {
        eprintln!("nudged: {problem}");
    }
    false
}
