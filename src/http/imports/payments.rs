//! `POST /v1/imports/payments` and `/v1/imports/bank`: money that came, booked at once; the same again is nothing.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::super::auth::Scope;
use super::super::messages::no_idempotency_key;
use super::super::problem::Problem;
use super::super::{App, json as answer, media_of, no_query, read_body, wrong_type};
use super::cases::{spool, wish};
use crate::engine::imports::payments::BookError;
use crate::reminder::bank::FILE_MAX;

const STATEMENT_WITHIN: Duration = Duration::from_secs(60);
const STATEMENTS: [&str; 4] = ["application/xml", "text/xml", "text/plain", "application/octet-stream"];

/// A CSV of payments: `?mapping=NAME&creditor=KEY` as for cases.
pub async fn payments(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let by = app.allow(&parts, Scope::Reminders).await?;
    let wish = wish(&app, &parts, by)?;
    if media_of(&parts.headers, &["text/csv"]).is_none() {
        return Err(wrong_type("text/csv"));
    }
    let id = spool(&app, &parts, body).await?;
    let booked = app.imports().book(id, wish).await?;
    let rows = booked.created + booked.changed + booked.unchanged + booked.rejected;
    let value = json!({
        "rows": rows,
        "booked": booked.created + booked.changed,
        "unchanged": booked.unchanged,
        "rejected": booked.rejected,
        "errors": booked.errors.first,
        "error_count": booked.errors.count,
    });
    Ok(answer(StatusCode::OK, &value))
}

/// A statement, camt.053 or MT940, told by how it begins.
pub async fn bank(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let by = app.allow(&parts, Scope::Reminders).await?;
    no_query(&parts.uri)?;
    no_idempotency_key(&parts.headers)?;
    if media_of(&parts.headers, &STATEMENTS).is_none() {
        return Err(wrong_type("application/xml, text/plain or application/octet-stream"));
    }
    let body = read_body(app.clock(), &parts.headers, body, FILE_MAX, STATEMENT_WITHIN).await?;
    let booked = app.imports().book_statement(body.to_vec(), by).await.map_err(|error| match error {
        BookError::Bank(error) => Problem::field("file", error.to_string()),
        BookError::Import(error) => error.into(),
    })?;
    let value = json!({
        "entries": booked.entries,
        "booked": booked.booked,
        "reversed": booked.reversed,
        "doubtful": booked.doubtful,
        "unchanged": booked.unchanged,
        "unmatched": booked.unmatched,
        "rejected": booked.rejected,
        "errors": booked.errors.first,
        "error_count": booked.errors.count,
    });
    Ok(answer(StatusCode::OK, &value))
}
