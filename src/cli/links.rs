//! `nudged links`: all links, or one with everything that is known of it.

use std::process::ExitCode;

use serde_json::Value;

use super::client::{Call, Server, outline, table};

const COLUMNS: [&str; 6] = ["name", "kind", "account", "state", "since", "reason"];

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this link, in full
    name: Option<String>,
    #[command(flatten)]
    server: Server,
}

pub fn run(args: Args) -> ExitCode {
    match &args.name {
        Some(name) => args.server.run(Call::get(&["v1", "links", name]), outline),
        None => args.server.run(Call::get(&["v1", "links"]), show),
    }
}

fn show(answer: &Value) -> String {
    match answer.get("data").and_then(Value::as_array) {
        Some(links) => table(links, &COLUMNS),
        None => outline(answer),
    }
}
