//! `nudged export`: all rows of one resource, as CSV or as one JSON object a line.

use std::path::PathBuf;
use std::process::ExitCode;

use super::client::{Call, Server};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// contacts, accounts, obligations, payments, subscriptions, plans, enrolments, consents, suppressions, tasks,
    /// phones, creditors, templates, menus, sequences, rules, packs or calendars
    resource: String,
    /// csv or json
    #[arg(long, value_parser = ["csv", "json"], default_value = "csv")]
    format: String,
    /// Write to this file, whole or not at all, and not to standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    server: Server,
}

pub fn run(args: Args) -> ExitCode {
    let path = ["v1", "exports", args.resource.as_str()];
    let call = Call { query: vec![("format", args.format)], ..Call::get(&path) };
    match &args.out {
        None => args.server.copy(call),
        Some(file) => args.server.copy_to(call, file),
    }
}
