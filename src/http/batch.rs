//! `POST /v1/messages/batch`: up to 10,000 messages in one request, each with a result of its own.
//!
//! Valid lines are taken and the others say why; the results stand in the order of the lines. A repeat is
//! made harmless by each line's `client_ref` with `unique_ref`, not by an `Idempotency-Key`, which is
//! refused here rather than ignored.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use serde_json::value::RawValue;

use super::auth::Scope;
use super::draft::{self, Parsed};
use super::fields::Fields;
use super::messages::{AcceptedJson, Echo};
use super::problem::Problem;
use super::{App, media_type, no_query, read_body, wrong_type};
use crate::clock::Timestamp;
use crate::engine::{Accepted, Draft, Refusal};
use crate::message::TokenName;

const MAX_BATCH_BODY: usize = 16 * 1024 * 1024;
const MAX_LINES: usize = 10_000;
const BATCH_BODY_WITHIN: Duration = Duration::from_secs(30);

#[derive(Serialize)]
struct BatchJson {
    /// `null` when no line was taken.
    batch: Option<String>,
    results: Vec<ResultJson>,
}

#[derive(Serialize)]
struct ResultJson {
    /// 1-based: the line of the body, or the place in the array.
    line: usize,
    #[serde(flatten)]
    outcome: OutcomeJson,
}

#[derive(Serialize)]
#[serde(untagged)]
enum OutcomeJson {
    Accepted(AcceptedJson),
    Refused { error: serde_json::Value },
}

/// A line that was read, or why not.
type Line = (usize, Result<(Draft, Echo), Problem>);

pub async fn create(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let token = app.allow(&parts, Scope::Send).await?;
    no_query(&parts.uri)?;
    if parts.headers.contains_key("idempotency-key") {
        let why = "does not hold for a batch; give each line a client_ref and unique_ref";
        return Err(Problem::field("Idempotency-Key", why));
    }
    let Some(media) = media_type(&parts.headers) else {
        return Err(wrong_type("application/x-ndjson or application/json"));
    };
    let array = media == "application/json";
    let body = read_body(app.clock(), &parts.headers, body, MAX_BATCH_BODY, BATCH_BODY_WITHIN).await?;
    let now = app.now().wall;
    // Ten thousand lines are a tenth of a second: not on a thread that answers others.
    let read = tokio::task::spawn_blocking(move || read_lines(&body, array, &token, now));
    let lines = read.await.map_err(|_| Problem::internal())??;
    submit(&app, lines).await
}

/// 202 when at least one line is durable, 200 when the batch was read and no line taken.
async fn submit(app: &App, lines: Vec<Line>) -> Result<Response, Problem> {
    let mut drafts = Vec::new();
    let waiting: Vec<(usize, Result<Echo, Problem>)> = lines
        .into_iter()
        .map(|(line, read)| {
            let echo = read.map(|(draft, echo)| {
                drafts.push(draft);
                echo
            });
            (line, echo)
        })
        .collect();
    let (batch, answers) = accept(app, drafts).await?;
    let mut answers = answers.into_iter();
    let mut taken = false;
    let results = waiting.into_iter().map(|(line, echo)| {
        let outcome = echo.and_then(|echo| {
            let accepted = answers.next().unwrap_or(Err(Refusal::Stopping))?;
            taken = true;
            echo.answer(app, accepted)
        });
        let outcome =
            outcome.map_or_else(|p| OutcomeJson::Refused { error: p.to_json() }, OutcomeJson::Accepted);
        ResultJson { line, outcome }
    });
    let results = results.collect();
    let status = if taken { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok(super::json(status, &BatchJson { batch, results }))
}

/// The batch's id and one answer a draft.
async fn accept(
    app: &App,
    drafts: Vec<Draft>,
) -> Result<(Option<String>, Vec<Result<Accepted, Refusal>>), Problem> {
    if drafts.is_empty() {
        return Ok((None, Vec::new()));
    }
    let answer = app.engine().accept_batch(drafts).await?;
    Ok((answer.batch.map(|batch| batch.to_string()), answer.results))
}

fn read_lines(body: &Bytes, array: bool, token: &TokenName, now: Timestamp) -> Result<Vec<Line>, Problem> {
    let lines = if array { split_array(body)? } else { split_ndjson(body)? };
    if lines.is_empty() {
        return Err(Problem::bad_request("empty_batch", "The batch has no message."));
    }
    Ok(lines.into_iter().map(|(line, bytes)| (line, read_line(bytes, token, now))).collect())
}

fn read_line(bytes: &[u8], token: &TokenName, now: Timestamp) -> Result<(Draft, Echo), Problem> {
    let Parsed { draft, dry_run, warnings } = draft::parse(Fields::parse(bytes)?, token, None, now)?;
    if dry_run {
        return Err(Problem::field("dry_run", "does not hold for a line of a batch"));
    }
    let echo = Echo::of(&draft, warnings);
    Ok((draft, echo))
}

fn split_ndjson(body: &[u8]) -> Result<Vec<(usize, &[u8])>, Problem> {
    let lines = body.split(|&b| b == b'\n').enumerate().map(|(at, line)| (at + 1, line.trim_ascii()));
    let lines: Vec<_> = lines.filter(|(_, line)| !line.is_empty()).take(MAX_LINES + 1).collect();
    check_count(lines.len())?;
    Ok(lines)
}

fn split_array(body: &[u8]) -> Result<Vec<(usize, &[u8])>, Problem> {
    let not_array = |why: String| Problem::bad_request("not_json", why);
    let text = std::str::from_utf8(body).map_err(|e| {
        let detail = format!("The body is not UTF-8 at byte {}.", e.valid_up_to());
        Problem::bad_request("not_utf8", detail)
    })?;
    let rows: Vec<&RawValue> = serde_json::from_str(text)
        .map_err(|e| not_array(format!("The body is not a JSON array of messages: {e}.")))?;
    check_count(rows.len())?;
    Ok(rows.into_iter().enumerate().map(|(at, row)| (at + 1, row.get().as_bytes())).collect())
}

fn check_count(lines: usize) -> Result<(), Problem> {
    if lines <= MAX_LINES {
        return Ok(());
    }
    let detail = format!("A batch has at most {MAX_LINES} messages.");
    Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_many_lines", detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_as_in_the_body_and_blank_ones_are_no_messages() {
        let lines = split_ndjson(b"{}\r\n\n  \n{\"a\":1}").unwrap();
        assert_eq!(lines, [(1, b"{}".as_slice()), (4, b"{\"a\":1}".as_slice())]);
    }

    #[test]
    fn more_lines_than_a_batch_has_are_refused_before_any_is_read() {
        assert_eq!(split_ndjson("x\n".repeat(MAX_LINES + 1).as_bytes()).unwrap_err().status(), 413);
        assert!(split_ndjson("x\n".repeat(MAX_LINES).as_bytes()).is_ok());
        let array = format!("[{}0]", "0,".repeat(MAX_LINES));
        assert_eq!(split_array(array.as_bytes()).unwrap_err().status(), 413);
    }

    #[test]
    fn an_array_nested_without_end_is_refused() {
        assert_eq!(split_array("[".repeat(100_000).as_bytes()).unwrap_err().status(), 400);
    }
}
