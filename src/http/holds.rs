//! `/v1/holds`: numbers that may have asked us to stop, until a person has read what they wrote.
//!
//! To release one lets what waits go on; to end it the other way is an opt-out (`POST /v1/optouts`).

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use serde::Serialize;
use serde_json::json;

use super::auth::Scope;
use super::listing::{Wish, number};
use super::optouts::{cursor, party, place};
use super::problem::Problem;
use super::{App, BODY_WITHIN, NO_BODY, Segment, no_query, query, read_body};
use crate::engine::{HoldPage, HoldView, ReadError, Refusal, View};
use crate::reminder::suppression::Party;

#[derive(Serialize)]
struct HoldJson {
    number: String,
    since: String,
    /// The reply that a person must read.
    reply: String,
    text: Option<String>,
}

impl HoldJson {
    fn of(view: &View, held: &HoldView) -> Result<HoldJson, ReadError> {
        Ok(HoldJson {
            number: held.party.as_written(),
            since: held.hold.since.to_rfc3339(),
            reply: held.hold.reply.to_string(),
            text: view.reply(held.hold.reply)?.and_then(|reply| reply.text),
        })
    }
}

pub async fn list(State(app): State<App>, parts: Parts) -> Result<Response, Problem> {
    app.allow(&parts, Scope::Read).await?;
    let mut only = None;
    let wish = Wish::parse(query(&parts.uri)?, false, |name, value| {
        if name == "number" {
            only = Some(number(value)?);
        }
        Ok(name == "number")
    })?;
    if wish.newest_first {
        return Err(Problem::field("order", "holds come in order of their numbers: asc"));
    }
    let after = wish.cursor(place)?;
    let read = move |view: &View| {
        let page = match only {
            Some(number) => HoldPage { holds: view.holds_of(number)?, next: None },
            None => view.holds(after, wish.limit)?,
        };
        let rows: Result<Vec<HoldJson>, ReadError> =
            page.holds.iter().map(|held| HoldJson::of(view, held)).collect();
        Ok((rows?, page.next))
    };
    let (rows, next) = app.read(read).await?;
    Ok(super::json(StatusCode::OK, &json!({"data": rows, "next_cursor": next.map(cursor)})))
}

pub async fn look(State(app): State<App>, of: Segment, parts: Parts) -> Result<Response, Problem> {
    app.allow(&parts, Scope::Read).await?;
    no_query(&parts.uri)?;
    let party = party(&of.0)?;
    let read = move |view: &View| {
        let found = binding(view, party)?;
        found.first().map(|held| HoldJson::of(view, held)).transpose()
    };
    let found = app.read(read).await?.ok_or_else(Problem::not_found)?;
    Ok(super::json(StatusCode::OK, &found))
}

/// Holds that bind a number, or the one of bare digits.
fn binding(view: &View, party: Party) -> Result<Vec<HoldView>, ReadError> {
    match party {
        Party::Number(number) => view.holds_of(number),
        Party::Tail(_) => Ok(view.hold(party)?.map(|hold| HoldView { party, hold }).into_iter().collect()),
    }
}

/// Ends every hold that binds the number: what waits for it goes on.
pub async fn release(State(app): State<App>, of: Segment, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let by = app.allow(&parts, Scope::Admin).await?;
    no_query(&parts.uri)?;
    read_body(app.clock(), &parts.headers, body, NO_BODY, BODY_WITHIN).await?;
    let party = party(&of.0)?;
    let found = app.read(move |view| binding(view, party)).await?;
    let mut released = Vec::new();
    for HoldView { party, .. } in found {
        match app.engine().release_hold(party, by.clone()).await {
            Ok(()) => released.push(party.as_written()),
            // Somebody else was first.
            Err(Refusal::NotFound) => {}
            Err(refusal) => return Err(refusal.into()),
        }
    }
    if released.is_empty() {
        return Err(Problem::not_found());
    }
    Ok(super::json(StatusCode::OK, &json!({"number": party.as_written(), "released": released})))
}
