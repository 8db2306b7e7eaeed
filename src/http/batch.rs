//! Batches: up to 10,000 messages in one request, each with a result of its own, and what became of them.
//!
//! Valid lines are taken and the others say why; the results stand in the order of the lines. A repeat is
//! made harmless by each line's `client_ref` with `unique_ref`, not by an `Idempotency-Key`, which is
//! refused here rather than ignored.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use futures_util::StreamExt as _;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::auth::Scope;
use super::draft::{self, Parsed};
use super::fields::Fields;
use super::messages::{AcceptedJson, Echo};
use super::problem::Problem;
use super::{App, BODY_WITHIN, NO_BODY, Segment, media_type, no_query, read_body, show, wrong_type};
use crate::engine::{Accepted, Draft, Refusal};
use crate::id::{BatchId, MessageId};
use crate::message::{Status, TokenName};
use crate::sms::national::Language;

const MAX_BATCH_BODY: usize = 16 * 1024 * 1024;
const MAX_LINES: usize = 10_000;
const BATCH_BODY_WITHIN: Duration = Duration::from_secs(30);
/// Cancels of one request that wait for the core at a time: a step takes them together, and others their turn.
const CANCELS_AT_ONCE: usize = 64;

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
    Refused { error: Value },
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
    // Ten thousand lines are a tenth of a second: not on a thread that answers others.
    let reader = app.clone();
    let read = tokio::task::spawn_blocking(move || read_lines(&body, array, &token, reader.languages()));
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

pub async fn look(State(app): State<App>, id: Segment, parts: Parts) -> Result<Response, Problem> {
    app.allow(&parts, Scope::Read).await?;
    no_query(&parts.uri)?;
    let (id, messages) = look_up(&app, &id).await?;
    Ok(super::json(StatusCode::OK, &counts_json(id, &messages)))
}

/// Takes back all that is not yet on the wire; what is already there goes on.
pub async fn cancel(State(app): State<App>, id: Segment, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    app.allow(&parts, Scope::Send).await?;
    no_query(&parts.uri)?;
    read_body(app.clock(), &parts.headers, body, NO_BODY, BODY_WITHIN).await?;
    let (_, messages) = look_up(&app, &id).await?;
    let open = messages
        .into_iter()
        .filter(|(_, status)| matches!(status, Status::Scheduled | Status::Queued | Status::Sending));
    let engine = app.engine();
    let cancels = futures_util::stream::iter(open).map(|(message, _)| engine.cancel(message));
    let answers: Vec<Result<Status, Refusal>> = cancels.buffer_unordered(CANCELS_AT_ONCE).collect().await;
    let mut canceled = 0;
    for answer in answers {
        match answer {
            Ok(_) => canceled += 1,
            // It went out or ended meanwhile: the counts show as what.
            Err(Refusal::State(_) | Refusal::NotFound) => {}
            Err(refusal) => return Err(refusal.into()),
        }
    }
    let (id, messages) = look_up(&app, &id).await?;
    let mut answer = counts_json(id, &messages);
    answer["canceled"] = json!(canceled);
    Ok(super::json(StatusCode::OK, &answer))
}

async fn look_up(app: &App, id: &Segment) -> Result<(BatchId, Vec<(MessageId, Status)>), Problem> {
    let id: BatchId = id.0.parse().map_err(|_| Problem::not_found())?;
    let (view, now) = (app.engine().view().clone(), app.now().wall);
    let read = tokio::task::spawn_blocking(move || view.batch(id, now));
    let messages = read.await.map_err(|_| Problem::internal())??;
    if messages.is_empty() { Err(Problem::not_found()) } else { Ok((id, messages)) }
}

fn counts_json(id: BatchId, messages: &[(MessageId, Status)]) -> Value {
    let count = |status| messages.iter().filter(|(_, other)| *other == status).count() as u64;
    json!({"id": id.to_string(), "total": messages.len(), "messages": show::by_status(count)})
}

fn read_lines(
    body: &Bytes,
    array: bool,
    token: &TokenName,
    languages: &[Language],
) -> Result<Vec<Line>, Problem> {
    let lines = if array { split_array(body)? } else { split_ndjson(body)? };
    if lines.is_empty() {
        return Err(Problem::bad_request("empty_batch", "The batch has no message."));
    }
    Ok(lines.into_iter().map(|(line, bytes)| (line, read_line(bytes, token, languages))).collect())
}

fn read_line(bytes: &[u8], token: &TokenName, languages: &[Language]) -> Result<(Draft, Echo), Problem> {
    let Parsed { draft, dry_run, warnings } = draft::parse(Fields::parse(bytes)?, token, None, languages)?;
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
