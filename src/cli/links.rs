//! `nudged links`: all links, one with everything that is known of it, or one connected anew.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::Value;

use super::client::{Call, Server, outline, table};

const COLUMNS: [&str; 6] = ["name", "kind", "account", "state", "since", "reason"];

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Only this link, in full
    name: Option<String>,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Connect a link anew and now, whatever it waits for
    Restart {
        name: String,
        #[command(flatten)]
        server: Server,
    },
}

pub fn run(args: Args) -> ExitCode {
    match (args.command, &args.name) {
        (Some(Command::Restart { name, server }), _) => {
            server.run(Call::post(&["v1", "links", &name, "restart"]), outline)
        }
        (None, Some(name)) => args.server.run(Call::get(&["v1", "links", name]), outline),
        (None, None) => args.server.run(Call::get(&["v1", "links"]), show),
    }
}

fn show(answer: &Value) -> String {
    match answer.get("data").and_then(Value::as_array) {
        Some(links) => table(links, &COLUMNS),
        None => outline(answer),
    }
}
