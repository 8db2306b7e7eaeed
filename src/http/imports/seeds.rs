//! `POST /v1/imports/seeds`: what a firm sets up, as the tables of seed files.
//!
//! One text as `application/toml`, or several files with their names as JSON: `{"files": [{name, text}]}`. Nothing
//! is made unless everything can be read; then each table is made by itself, in the order in which one may name the
//! other, and the answer says what became of each. A pack that is set up so already is left alone; one that is not
//! takes the scope that packs take.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::super::auth::Scope;
use super::super::messages::no_idempotency_key;
use super::super::problem::{FieldError, Problem};
use super::super::reminders::body::parse;
use super::super::reminders::setup::SetUp;
use super::super::{App, json, media_of, no_query, read_body, wrong_type};
use crate::engine::reminders::change::How;
use crate::engine::reminders::seeds::change;
use crate::engine::{Changed, Refusal, Subject};
use crate::reminder::pack::Pack;
use crate::reminder::seed::{self, SeedFile, SeedProblem, Table};

/// A library of templates in eight languages is a twentieth of it.
const SEEDS_MAX: usize = 4 << 20;
const SEEDS_WITHIN: Duration = Duration::from_secs(30);
/// Files of one request.
const FILES_MAX: usize = 200;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Files {
    files: Vec<SeedFile>,
}

#[derive(Serialize)]
struct Answer {
    created: usize,
    changed: usize,
    unchanged: usize,
    refused: usize,
    results: Vec<ResultJson>,
}

#[derive(Serialize)]
struct ResultJson {
    file: String,
    line: usize,
    kind: &'static str,
    /// A template's with its language: `due/de`.
    key: String,
    /// `created`, `changed`, `unchanged` or `refused`.
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

pub async fn create(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let by = app.allow(&parts, Scope::Reminders).await?;
    no_query(&parts.uri)?;
    no_idempotency_key(&parts.headers)?;
    let Some(media) = media_of(&parts.headers, &["application/toml", "application/json"]) else {
        return Err(wrong_type("application/toml or application/json"));
    };
    let body = read_body(app.clock(), &parts.headers, body, SEEDS_MAX, SEEDS_WITHIN).await?;
    let files = if media == "application/toml" { one_file(&body)? } else { many_files(&body)? };
    let read = tokio::task::spawn_blocking(move || seed::read(&files));
    let seeds = read.await.map_err(|_| Problem::internal())?.map_err(unreadable)?;
    let catalog = app.engine().view().catalog()?;
    let stands = |table: &Table| {
        let Table::Pack(pack) = table else { return false };
        catalog.packs.get(&pack.key).is_some_and(|known| **known == **pack)
    };
    if seeds.iter().any(|seed| matches!(seed.table, Table::Pack(_)) && !stands(&seed.table)) {
        app.allow(&parts, <Pack as SetUp>::SCOPE).await?;
    }
    let news = seeds.iter().filter(|seed| !stands(&seed.table));
    let mut answers =
        app.engine().change(news.map(|seed| change(seed.table.clone())).collect(), by).await?.into_iter();
    let mut answer = Answer { created: 0, changed: 0, unchanged: 0, refused: 0, results: Vec::new() };
    for seed in seeds {
        let unchanged = Changed { subject: Subject::Named, how: How::Unchanged, version: 1 };
        let made = if stands(&seed.table) { Some(Ok(unchanged)) } else { answers.next() };
        let made = made.ok_or(Refusal::Unanswered)?;
        let (status, count) = match &made {
            Ok(made) => match made.how {
                How::Created => ("created", &mut answer.created),
                How::Changed => ("changed", &mut answer.changed),
                How::Unchanged => ("unchanged", &mut answer.unchanged),
            },
            Err(_) => ("refused", &mut answer.refused),
        };
        *count += 1;
        let (kind, key) = (seed.table.kind(), seed.table.name());
        let why = made.err().map(|refusal| refusal.to_string());
        answer.results.push(ResultJson { file: seed.file, line: seed.line, kind, key, status, why });
    }
    Ok(json(StatusCode::OK, &answer))
}

fn one_file(body: &[u8]) -> Result<Vec<SeedFile>, Problem> {
    let text = std::str::from_utf8(body).map_err(|e| {
        Problem::bad_request("not_utf8", format!("The body is not UTF-8 at byte {}.", e.valid_up_to()))
    })?;
    Ok(vec![SeedFile { name: String::from("body"), text: text.to_owned() }])
}

fn many_files(body: &[u8]) -> Result<Vec<SeedFile>, Problem> {
    let files: Files = parse(body)?;
    if files.files.len() > FILES_MAX {
        return Err(Problem::field("files", format!("must be at most {FILES_MAX}")));
    }
    Ok(files.files)
}

/// All that is wrong, each fault under its file, line and key.
fn unreadable(problems: Vec<SeedProblem>) -> Problem {
    let error = |problem: SeedProblem| {
        let SeedProblem { file, problem } = problem;
        let line = problem.line.map(|line| format!(":{line}")).unwrap_or_default();
        let key = if problem.key.is_empty() { String::new() } else { format!(" {}", problem.key) };
        FieldError::new(format!("{file}{line}{key}"), format!("{}; {}", problem.why, problem.remedy))
    };
    let detail = format!("{} faults; nothing was made.", problems.len());
    let errors = problems.into_iter().map(error).collect();
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "seeds_refused", detail).with_errors(errors)
}
