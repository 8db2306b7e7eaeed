//! `nudged import`: a file or directory to the daemon. What it means, the daemon decides.
//!
//! Files of cases go in two phases: the dry run is shown, and only a person's word, or `--yes`, commits it.

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use super::client::{Body, Call, Failure, Server, field, table};
use super::{answer, plain, seed_files};

/// The API takes no larger file.
const FILE_MAX: u64 = 64 << 20;
/// A hundred thousand rows on a slow machine.
const PATIENCE: Duration = Duration::from_secs(600);
/// Between two looks at an import that is committed.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Errors shown of a file; `--json` has them all.
const ERRORS_SHOWN: usize = 20;
/// Characters of the progress bar.
const BAR: usize = 40;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// A CSV file of cases; or seed files: a directory or a file *.toml
    path: PathBuf,
    /// Name of the mapping that reads the file
    #[arg(long, value_name = "NAME")]
    mapping: Option<String>,
    /// Creditor of rows that name none
    #[arg(long, value_name = "KEY")]
    creditor: Option<String>,
    /// Commit it without asking
    #[arg(long)]
    yes: bool,
    /// It is a CSV file of payments
    #[arg(long, conflicts_with_all = ["bank", "creditor", "yes"])]
    payments: bool,
    /// It is a bank statement, camt.053 or MT940
    #[arg(long, conflicts_with_all = ["mapping", "creditor", "yes"])]
    bank: bool,
    #[command(flatten)]
    server: Server,
}

pub fn run(args: Args) -> ExitCode {
    let is_toml = args.path.extension().is_some_and(|extension| extension == "toml");
    if args.path.is_dir() || is_toml {
        return seeds(&args.path, &args.server);
    }
    let octets = match read(&args.path) {
        Ok(octets) => octets,
        Err(why) => {
            eprintln!("nudged: {}: {why}", plain(&args.path.display().to_string()));
            return ExitCode::FAILURE;
        }
    };
    if args.bank {
        let body = Some(Body::File("application/octet-stream", octets));
        let call = Call { body, within: PATIENCE, ..Call::post(&["v1", "imports", "bank"]) };
        return args.server.run_judged(call, booked, all_taken);
    }
    let pairs = [("mapping", &args.mapping), ("creditor", &args.creditor)];
    let query = pairs.into_iter().filter_map(|(key, value)| Some((key, value.clone()?))).collect();
    let body = Some(Body::Csv(octets));
    if args.payments {
        let call = Call { body, query, within: PATIENCE, ..Call::post(&["v1", "imports", "payments"]) };
        return args.server.run_judged(call, booked, all_taken);
    }
    let call = Call { body, query, within: PATIENCE, ..Call::post(&["v1", "imports"]) };
    match cases(&args, call) {
        Ok(code) => code,
        Err(failure) => failure.tell(),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut octets = Vec::new();
    let read = match path.as_os_str().to_str() {
        Some("-") => std::io::stdin().take(FILE_MAX + 1).read_to_end(&mut octets),
        _ => std::fs::File::open(path).and_then(|file| file.take(FILE_MAX + 1).read_to_end(&mut octets)),
    };
    match read.map_err(|error| error.to_string())? as u64 {
        too_many if too_many > FILE_MAX => Err(format!("is larger than {FILE_MAX} octets")),
        _ => Ok(octets),
    }
}

/// Checks them here, so that every fault is told with its file, and sends them as one request.
fn seeds(path: &Path, server: &Server) -> ExitCode {
    let files = match seed_files::load(path) {
        Ok(files) => files,
        Err(problems) => {
            problems.iter().for_each(|problem| eprintln!("nudged: {problem}"));
            return ExitCode::FAILURE;
        }
    };
    let body = Some(Body::Json(json!({"files": files})));
    let call = Call { body, within: PATIENCE, ..Call::post(&["v1", "imports", "seeds"]) };
    server.run_judged(call, show_seeds, all_taken)
}

/// 1 when anything was refused; the rest is made all the same.
fn all_taken(answer: &Value) -> ExitCode {
    let refused = ["refused", "rejected"].iter().filter_map(|name| answer.get(name)?.as_u64()).sum::<u64>();
    if refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn show_seeds(answer: &Value) -> String {
    let counts = ["created", "changed", "unchanged", "refused"];
    let counts = counts.map(|name| format!("{name} {}", field(answer, name))).join(", ");
    let rows = answer.get("results").and_then(Value::as_array).into_iter().flatten();
    let told = rows.filter(|row| field(row, "status") != "unchanged").map(|row| {
        let why = field(row, "why");
        let why = if why.is_empty() { why } else { format!(": {why}") };
        format!("{} {} {}{why}\n", field(row, "status"), field(row, "kind"), field(row, "key"))
    });
    format!("{}{counts}\n", told.collect::<String>())
}

/// Counts of payments, and the rows that were refused.
fn booked(answer: &Value) -> String {
    let counts = answer.as_object().into_iter().flatten().filter(|(_, value)| value.is_u64());
    let counts: Vec<String> = counts.map(|(name, value)| format!("{} {value}", plain(name))).collect();
    format!("{}{}\n", errors(answer), counts.join(", "))
}

fn errors(answer: &Value) -> String {
    let rows = answer.get("errors").and_then(Value::as_array).cloned().unwrap_or_default();
    if rows.is_empty() {
        return String::new();
    }
    let shown = table(&rows[..rows.len().min(ERRORS_SHOWN)], &["row", "column", "why"]);
    match rows.len().saturating_sub(ERRORS_SHOWN) {
        0 => shown,
        more => format!("{shown}and {more} more: --json shows them\n"),
    }
}

/// The dry run, the question, the commit.
fn cases(args: &Args, upload: Call<'_>) -> Result<ExitCode, Failure> {
    let server = &args.server;
    let dry = server.ask(upload)?;
    let id = dry.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
    let is_json = server.is_json();
    if !is_json {
        eprint!("{}", show_dry(&dry));
    }
    let change = |name: &str| dry.pointer(&format!("/delta/{name}")).and_then(Value::as_u64).unwrap_or(0);
    let rejected = change("rejected");
    let ends = if rejected == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    if change("new") + change("changed") == 0 || !(args.yes || !is_json && asked()) {
        let text = if is_json { format!("{dry}\n") } else { String::from("nothing was changed\n") };
        return Ok(answer(&text, ends));
    }
    let path = ["v1", "imports", &id, "commit"];
    let mut state = server.ask(Call::post(&path))?;
    while field(&state, "state") == "committing" {
        show_progress(&state, is_json);
        std::thread::sleep(LOOK_EVERY);
        state = server.ask(Call::get(&["v1", "imports", &id]))?;
    }
    show_progress(&state, is_json);
    if std::io::stderr().is_terminal() && !is_json {
        eprintln!();
    }
    let is_done = field(&state, "state") == "committed";
    let text = if is_json { format!("{state}\n") } else { show_committed(&state) };
    Ok(answer(&text, if is_done { ends } else { ExitCode::FAILURE }))
}

/// Only a person at a terminal can be asked.
fn asked() -> bool {
    if !std::io::stdin().is_terminal() {
        eprintln!("nudged: standard input is no terminal: commit it with --yes");
        return false;
    }
    eprint!("commit it? [y/N] ");
    let mut line = String::new();
    let read = std::io::stderr().flush().and_then(|()| std::io::stdin().read_line(&mut line));
    read.is_ok() && matches!(line.trim(), "y" | "Y" | "yes")
}

fn show_dry(dry: &Value) -> String {
    let delta = dry.get("delta").cloned().unwrap_or_default();
    let figures = [
        ("rows", field(dry, "rows")),
        ("valid", field(dry, "valid")),
        ("new", field(&delta, "new")),
        ("changed", field(&delta, "changed")),
        ("unchanged", field(&delta, "unchanged")),
        ("rejected", field(&delta, "rejected")),
        ("first texts", field(dry, "texts")),
        ("segments", field(dry, "segments")),
        ("sent by", field(dry, "finish_estimate")),
    ];
    let lines = figures.into_iter().filter(|(_, value)| !value.is_empty());
    let lines: String = lines.map(|(name, value)| format!("{name:<12} {value}\n")).collect();
    let warnings = dry.get("warnings").and_then(Value::as_array).into_iter().flatten();
    let warnings = warnings.filter_map(|warning| Some(format!("warning: {}\n", plain(warning.as_str()?))));
    format!("{}{lines}{}", errors(dry), warnings.collect::<String>())
}

fn show_committed(state: &Value) -> String {
    let Some(result) = state.get("result").filter(|result| result.is_object()).cloned() else {
        let why = field(state, "why");
        let why = if why.is_empty() { why } else { format!(": {why}") };
        return format!("{}{why}; committed again, it does the rest\n", field(state, "state"));
    };
    let counts = ["created", "changed", "unchanged", "rejected"];
    let counts = counts.map(|name| format!("{name} {}", field(&result, name))).join(", ");
    format!("{}{} {counts}\n", errors(&result), field(state, "state"))
}

/// A bar on a terminal, nothing elsewhere.
fn show_progress(state: &Value, is_json: bool) {
    if is_json || !std::io::stderr().is_terminal() {
        return;
    }
    let number = |name: &str| state.get(name).and_then(Value::as_u64).unwrap_or(0);
    eprint!("\r{}", bar(number("done"), number("rows")));
}

fn bar(done: u64, rows: u64) -> String {
    let share = if rows == 0 { 1.0 } else { (done as f64 / rows as f64).min(1.0) };
    let full = (share * BAR as f64) as usize;
    format!("[{}{}] {done}/{rows}", "#".repeat(full), " ".repeat(BAR - full))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dry_run_is_told_in_figures_errors_and_warnings() {
        let errors = json!([{"row": 3, "column": "phone", "why": "must be +"}]);
        let dry = json!({"id": "imp_1", "rows": 2, "valid": 1, "errors": errors, "texts": 1, "segments": 2,
            "delta": {"new": 1, "changed": 0, "unchanged": 0, "rejected": 1}, "finish_estimate": null,
            "warnings": ["1 row: \u{1b}"]});
        let told = show_dry(&dry);
        assert!(told.starts_with("ROW  COLUMN  WHY\n3    phone   must be +\n"), "{told}");
        assert!(told.contains("new          1\n") && told.contains("warning: 1 row: \\u{1b}\n"), "{told}");
        assert!(!told.contains("sent by"), "what is not known is not told");
    }

    #[test]
    fn a_commit_that_broke_off_says_why_and_no_counts() {
        let failed = json!({"state": "failed", "result": null, "why": "the disk is \u{1b}full"});
        assert_eq!(
            show_committed(&failed),
            "failed: the disk is \\u{1b}full; committed again, it does the rest\n"
        );
        let interrupted = json!({"state": "interrupted", "result": null, "why": null});
        assert_eq!(show_committed(&interrupted), "interrupted; committed again, it does the rest\n");
    }

    #[test]
    fn the_bar_is_as_full_as_the_work_is_done() {
        assert_eq!(bar(0, 10).matches('#').count(), 0);
        assert_eq!(bar(5, 10).matches('#').count(), BAR / 2);
        assert_eq!(bar(0, 0).matches('#').count(), BAR);
        assert_eq!(bar(11, 10).len(), format!("[{}] 11/10", "#".repeat(BAR)).len());
    }

    #[test]
    fn anything_refused_ends_with_1() {
        assert_eq!(format!("{:?}", all_taken(&json!({"refused": 1}))), format!("{:?}", ExitCode::FAILURE));
        assert_eq!(format!("{:?}", all_taken(&json!({"rejected": 0}))), format!("{:?}", ExitCode::SUCCESS));
    }
}
