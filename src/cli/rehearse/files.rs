//! The files of a rehearsal: configuration, settings, cases and events in, lines out.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::{Plan, Rehearsal, RehearseError, Summary, instant, parse, rehearse};
use crate::cli::{EXIT_CONFIG, EXIT_IO, EXIT_USAGE, config_file, refuse_config};
use crate::engine::Change;
use crate::engine::reminders::seeds;
use crate::reminder::bank::FILE_MAX;
use crate::reminder::import::{Case, Mapping, Rows};
use crate::reminder::seed::{self, SeedFile};

/// A settings file is some KiB; what is larger is another file.
const SEED_MAX: u64 = 8 << 20;
/// Rows with faults told in full.
const FAULTS_TOLD: usize = 20;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    path: crate::cli::ConfigPath,
    /// Directory of the creditors, templates, menus, sequences, rules, packs and calendars
    #[arg(long, value_name = "DIR")]
    reminders: PathBuf,
    /// Cases, as for `nudged import`
    #[arg(long, value_name = "FILE.csv")]
    import: PathBuf,
    /// What happens besides time, a JSON object a line
    #[arg(long, value_name = "FILE.ndjson")]
    events: Option<PathBuf>,
    /// First instant, as 2026-03-01T00:00Z
    #[arg(long)]
    from: String,
    /// Last instant
    #[arg(long)]
    to: String,
    /// What would happen, a JSON object a line, and a summary as the last
    #[arg(long, value_name = "FILE.ndjson")]
    out: PathBuf,
}

/// Why a rehearsal did not come about, with the exit code.
struct Failed(u8, Vec<String>);

impl Failed {
    fn usage(why: impl Into<String>) -> Failed {
        Failed(EXIT_USAGE, vec![why.into()])
    }

    fn file(path: &Path, why: impl std::fmt::Display) -> Failed {
        Failed::usage(format!("{}: {why}", path.display()))
    }
}

pub fn run(args: Args) -> ExitCode {
    match run_or(&args) {
        Ok(code) => code,
        Err(Failed(code, why)) => {
            why.iter().for_each(|why| eprintln!("nudged: {why}"));
            ExitCode::from(code)
        }
    }
}

fn run_or(args: &Args) -> Result<ExitCode, Failed> {
    let config = match config_file::load(&args.path.config) {
        Ok(config) => config,
        Err(problems) => return Ok(refuse_config(&problems)),
    };
    let (from, to) = (instant("--from", &args.from), instant("--to", &args.to));
    let (from, to) = (from.map_err(Failed::usage)?, to.map_err(Failed::usage)?);
    if to <= from {
        return Err(Failed::usage("--to must be after --from"));
    }
    let events = match &args.events {
        None => Vec::new(),
        Some(path) => {
            let text = fs::read_to_string(path).map_err(|error| Failed::file(path, error))?;
            let beside = path.parent().unwrap_or(Path::new("")).to_owned();
            let file = |name: &str| read_bounded(&beside.join(name), FILE_MAX as u64);
            parse(&text, &file).map_err(|bad| Failed::file(path, bad))?
        }
    };
    let cases = read_cases(&args.import)?;
    let setup = read_settings(&args.reminders)?;
    let fates = std::collections::BTreeMap::new();
    let plan = Plan { config, setup, cases, events, fates, from, to };
    let rehearsal = rehearse(plan).map_err(|error| match error {
        RehearseError::Setup { .. } | RehearseError::NoLink => Failed(EXIT_CONFIG, vec![error.to_string()]),
        RehearseError::Event { .. } => Failed::usage(error.to_string()),
        _ => Failed(EXIT_IO, vec![error.to_string()]),
    })?;
    write(&args.out, &rehearsal)
        .map_err(|error| Failed(EXIT_IO, vec![format!("{}: {error}", args.out.display())]))?;
    Ok(crate::cli::answer(&told(&rehearsal.summary), ExitCode::SUCCESS))
}

fn read_bounded(path: &Path, max: u64) -> Result<Vec<u8>, String> {
    let failed = |error: io::Error| format!("{}: {error}", path.display());
    let length = fs::metadata(path).map_err(failed)?.len();
    if length > max {
        return Err(format!("{}: has {length} octets, at most {max} are read", path.display()));
    }
    fs::read(path).map_err(failed)
}

fn read_cases(path: &Path) -> Result<Vec<Case>, Failed> {
    let file = File::open(path).map_err(|error| Failed::file(path, error))?;
    let rows = Rows::open(io::BufReader::new(file), &Mapping::default());
    let rows = rows.map_err(|error| Failed::file(path, error))?;
    let (mut cases, mut faults) = (Vec::new(), Vec::new());
    for row in rows {
        match row.map_err(|error| Failed::file(path, error))?.read {
            Ok(case) => cases.push(case),
            Err(errors) => faults.extend(errors),
        }
    }
    if faults.is_empty() {
        return Ok(cases);
    }
    let more = faults.len().saturating_sub(FAULTS_TOLD);
    let told = faults.iter().take(FAULTS_TOLD);
    let mut told: Vec<String> =
        told.map(|f| format!("{}: row {}, {}: {}", path.display(), f.row, f.column, f.why)).collect();
    if more > 0 {
        told.push(format!("{}: and {more} more faults", path.display()));
    }
    Err(Failed(EXIT_USAGE, told))
}

/// Every `*.toml` of the directory.
fn read_settings(dir: &Path) -> Result<Vec<Change>, Failed> {
    let entries = fs::read_dir(dir).map_err(|error| Failed::file(dir, error))?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| Failed::file(dir, error))?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    let mut files = Vec::new();
    for path in paths {
        let octets = read_bounded(&path, SEED_MAX).map_err(Failed::usage)?;
        let text = String::from_utf8(octets).map_err(|_| Failed::file(&path, "is not UTF-8"))?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        files.push(SeedFile { name, text });
    }
    let told = |problems: Vec<seed::SeedProblem>| {
        Failed(EXIT_CONFIG, problems.iter().map(ToString::to_string).collect())
    };
    let read = seed::read(&files).map_err(told)?;
    Ok(read.into_iter().map(|seed| seeds::change(seed.table)).collect())
}

fn write(path: &Path, rehearsal: &Rehearsal) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    for line in &rehearsal.lines {
        serde_json::to_writer(&mut out, line)?;
        out.write_all(b"\n")?;
    }
    serde_json::to_writer(&mut out, &serde_json::json!({ "summary": &rehearsal.summary }))?;
    out.write_all(b"\n")?;
    out.into_inner()?.sync_all()
}

fn told(summary: &Summary) -> String {
    let counted = |of: Vec<(String, usize)>| {
        let parts: Vec<String> = of.iter().map(|(what, count)| format!("{what} {count}")).collect();
        if parts.is_empty() { String::from("none") } else { parts.join(", ") }
    };
    let words = |of: &std::collections::BTreeMap<String, usize>| {
        counted(of.iter().map(|(what, count)| (what.clone(), *count)).collect())
    };
    let mut text = format!(
        "{} obligations, {} texts of {} segments, at most {} a number and day\nby template: {}\nrefused: {}\n\
         tasks: {}\nended: {}\nopt-outs: {}\n",
        summary.obligations,
        summary.texts,
        summary.segments,
        summary.most_a_day,
        words(&summary.by_template),
        words(&summary.refused),
        words(&summary.tasks),
        words(&summary.exited),
        summary.optouts,
    );
    for (row, why) in summary.rows_refused.iter().take(FAULTS_TOLD) {
        text.push_str(&format!("not taken: {}: {}\n", crate::cli::plain(row), crate::cli::plain(why)));
    }
    text
}
