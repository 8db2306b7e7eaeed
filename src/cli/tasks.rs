//! `nudged tasks`: what a person must do: a page of them, one in full, and what became of one.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};

use super::client::{Body, Call, Server, outline};
use super::listing::page;

const COLUMNS: [&str; 7] = ["id", "due", "state", "kind", "obligation", "assignee", "note"];

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: List,
}

#[derive(Debug, clap::Args)]
struct List {
    /// open, assigned or done
    #[arg(long, value_parser = ["open", "assigned", "done"])]
    state: Option<String>,
    /// Only this person's
    #[arg(long, value_name = "NAME")]
    assignee: Option<String>,
    /// Only of this kind
    #[arg(long)]
    kind: Option<String>,
    /// Only of this obligation: its id or external id
    #[arg(long, value_name = "ID")]
    obligation: Option<String>,
    /// Tasks in the page, at most 500
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=500))]
    limit: Option<u16>,
    /// Where the page before ended
    #[arg(long)]
    cursor: Option<String>,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show one task in full
    Show {
        id: String,
        #[command(flatten)]
        server: Server,
    },
    /// Give a task to a person; without a name it is given back
    Assign {
        id: String,
        name: Option<String>,
        #[command(flatten)]
        server: Server,
    },
    /// Say what became of a task
    Done {
        id: String,
        /// resume, extend, plan, final, hand_over, suppress, paid or correct_number
        #[arg(long)]
        outcome: String,
        /// With extend: the new due date, as 2026-03-10
        #[arg(long, value_name = "DATE")]
        due_date: Option<String>,
        /// With correct_number: the number that is right
        #[arg(long)]
        number: Option<String>,
        #[command(flatten)]
        server: Server,
    },
}

pub fn run(args: Args) -> ExitCode {
    match args.command {
        None => list(args.list),
        Some(Command::Show { id, server }) => server.run(Call::get(&["v1", "tasks", &id]), outline),
        Some(Command::Assign { id, name, server }) => {
            order(&server, &id, "assign", json!({"assignee": name}))
        }
        Some(Command::Done { id, outcome, due_date, number, server }) => {
            let mut body = json!({"outcome": outcome});
            for (name, value) in [("due_date", due_date), ("number", number)] {
                if let Some(value) = value {
                    body[name] = Value::from(value);
                }
            }
            order(&server, &id, "done", body)
        }
    }
}

fn order(server: &Server, id: &str, what: &str, body: Value) -> ExitCode {
    let path = ["v1", "tasks", id, what];
    server.run(Call { body: Some(Body::Json(body)), ..Call::post(&path) }, outline)
}

fn list(list: List) -> ExitCode {
    let pairs = [
        ("state", list.state),
        ("assignee", list.assignee),
        ("kind", list.kind),
        ("obligation", list.obligation),
        ("limit", list.limit.map(|n| n.to_string())),
        ("cursor", list.cursor),
    ];
    let query = pairs.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
    let call = Call { query, ..Call::get(&["v1", "tasks"]) };
    list.server.run(call, |answer| page(answer, &COLUMNS, Value::clone))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(Debug, clap::Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn a_filter_is_for_the_list_and_an_outcome_for_one_task() {
        let read = |words: &[&str]| Cli::try_parse_from(words);
        assert!(read(&["tasks", "--state", "open"]).is_ok());
        assert!(read(&["tasks", "done", "tsk_1", "--outcome", "paid"]).is_ok());
        assert!(read(&["tasks", "done", "tsk_1"]).is_err());
        assert!(read(&["tasks", "--state", "late"]).is_err());
    }
}
