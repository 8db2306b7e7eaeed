//! `nudged completions SHELL`: the shell's completion script on standard output.

use std::process::ExitCode;

use clap_complete::Shell;

use super::{answer, command};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// bash, elvish, fish, powershell or zsh
    shell: Shell,
}

pub fn run(args: Args) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command(), "nudged", &mut script);
    answer(&String::from_utf8_lossy(&script), ExitCode::SUCCESS)
}
