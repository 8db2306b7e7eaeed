//! `nudged optout`: who gets no messages: list, add, remove, import, export.

use std::io::Read;
use std::process::ExitCode;

use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use super::client::{Body, Call, Server, field, outline};
use super::inbound::cut;
use super::listing::page;

const COLUMNS: [&str; 5] = ["number", "at", "source", "by", "reason"];
/// The API takes no larger file.
const FILE_MAX: u64 = 64 << 20;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Add a number
    Add {
        /// + and 7 to 15 digits
        number: String,
        /// Where it is known from
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        server: Server,
    },
    /// Remove a number, so that it may be written to again
    Remove {
        /// + and 7 to 15 digits
        number: String,
        #[command(flatten)]
        server: Server,
    },
    /// Show a page of the list
    List {
        /// Only what binds this number
        #[arg(long)]
        number: Option<String>,
        /// Numbers in the page, at most 500
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=500))]
        limit: Option<u16>,
        /// Where the page before ended
        #[arg(long)]
        cursor: Option<String>,
        #[command(flatten)]
        server: Server,
    },
    /// Add all numbers of a CSV file; its first row names the columns: number, and reason and at if there
    Import {
        /// The file; - reads standard input
        file: String,
        #[command(flatten)]
        server: Server,
    },
    /// Write the whole list to standard output as CSV
    Export {
        #[command(flatten)]
        server: Server,
    },
}

pub fn run(args: Args) -> ExitCode {
    match args.command {
        Command::Add { number, reason, server } => {
            let body = match reason {
                Some(reason) => json!({"number": number, "reason": reason}),
                None => json!({"number": number}),
            };
            let call = Call { body: Some(Body::Json(body)), ..Call::post(&["v1", "optouts"]) };
            server.run(call, outline)
        }
        Command::Remove { number, server } => {
            let path = ["v1", "optouts", &number];
            server.run(Call { method: Method::DELETE, ..Call::get(&path) }, outline)
        }
        Command::List { number, limit, cursor, server } => {
            let pairs = [("number", number), ("limit", limit.map(|n| n.to_string())), ("cursor", cursor)];
            let query = pairs.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
            server.run(Call { query, ..Call::get(&["v1", "optouts"]) }, |answer| page(answer, &COLUMNS, cut))
        }
        Command::Import { file, server } => import(&file, &server),
        Command::Export { server } => server.copy(Call::get(&["v1", "optouts.csv"])),
    }
}

/// Ends with 1 when a row was refused; the others are added all the same.
fn import(file: &str, server: &Server) -> ExitCode {
    let bytes = match read(file) {
        Ok(bytes) => bytes,
        Err(why) => {
            eprintln!("nudged: {file}: {why}");
            return ExitCode::FAILURE;
        }
    };
    let call = Call { body: Some(Body::Csv(bytes)), ..Call::post(&["v1", "optouts"]) };
    server.run_judged(call, show_import, |answer| {
        let refused = answer.get("refused").and_then(Value::as_u64).unwrap_or_default();
        if refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    })
}

fn read(file: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = match file {
        "-" => std::io::stdin().take(FILE_MAX + 1).read_to_end(&mut bytes),
        path => std::fs::File::open(path).and_then(|file| file.take(FILE_MAX + 1).read_to_end(&mut bytes)),
    };
    match read.map_err(|error| error.to_string())? as u64 {
        too_many if too_many > FILE_MAX => Err(format!("is larger than {FILE_MAX} octets")),
        _ => Ok(bytes),
    }
}

/// The counts, and a line for each row that was refused.
fn show_import(answer: &Value) -> String {
    let counts = ["added", "already", "refused"].map(|name| format!("{name} {}", field(answer, name)));
    let rows = answer.get("results").and_then(Value::as_array).into_iter().flatten();
    let refused = rows.filter_map(|row| {
        let error = row.get("error")?;
        let whys = error.get("errors").and_then(Value::as_array).into_iter().flatten();
        let why: Vec<String> =
            whys.map(|why| format!("{}: {}", field(why, "field"), field(why, "why"))).collect();
        Some(format!("line {}: {}: {}\n", field(row, "line"), field(row, "number"), why.join("; ")))
    });
    format!("{}\n{}", counts.join(", "), refused.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_is_told_in_counts_and_refused_rows() {
        let error = json!({"errors": [{"field": "number", "why": "must be +"}]});
        let answer = json!({"added": 1, "already": 0, "refused": 1, "results": [
            {"line": 2, "number": "+49", "status": "added"},
            {"line": 3, "number": "x", "error": error},
        ]});
        assert_eq!(show_import(&answer), "added 1, already 0, refused 1\nline 3: x: number: must be +\n");
    }
}
