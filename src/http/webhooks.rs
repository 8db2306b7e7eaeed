//! Webhooks: how they stand, what they did not take, a test, and replay.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::auth::Scope;
use super::links::ordered;
use super::listing::Wish;
use super::problem::Problem;
use super::{App, Segment, no_query, query, read_json};
use crate::config::Pattern;
use crate::engine::outbox::{self, Texts};
use crate::engine::webhook::{DeadLetter, Delivery, Hook, Replay, Standing};
use crate::engine::{ReadError, Refusal, View};
use crate::id::EventId;

/// Characters of an endpoint's answer that are shown.
const SAID: usize = 1_000;

pub async fn list(State(app): State<App>, parts: Parts) -> Result<Response, Problem> {
    app.allow(&parts, Scope::Read).await?;
    no_query(&parts.uri)?;
    known(&app)?;
    let hooks: Vec<Value> = app.engine().webhooks().iter().map(shown).collect();
    Ok(super::json(StatusCode::OK, &json!({"data": hooks, "next_cursor": null})))
}

pub async fn look(State(app): State<App>, name: Segment, parts: Parts) -> Result<Response, Problem> {
    app.allow(&parts, Scope::Read).await?;
    no_query(&parts.uri)?;
    Ok(super::json(StatusCode::OK, &shown(&*find(&app, &name)?)))
}

/// None is started in quarantine, which is not the same as that there is none.
fn known(app: &App) -> Result<(), Problem> {
    match &app.engine().snapshot().quarantine {
        None => Ok(()),
        Some(why) => Err(Refusal::Quarantined(why.clone()).into()),
    }
}

fn find(app: &App, name: &Segment) -> Result<std::sync::Arc<Hook>, Problem> {
    known(app)?;
    app.engine().webhooks().find(&name.0).ok_or_else(Problem::not_found)
}

pub const fn state_of(standing: &Standing) -> &'static str {
    match standing {
        Standing::Up => "up",
        Standing::Failing { .. } => "failing",
        Standing::Parked { .. } => "parked",
    }
}

fn shown(hook: &Hook) -> Value {
    let (config, status) = (&hook.config, hook.status());
    let (since, tries, next_at) = match &status.standing {
        Standing::Up => (None, 0, None),
        Standing::Failing { since, tries, next_at, .. } => (Some(since), *tries, Some(next_at)),
        Standing::Parked { since } => (Some(since), 0, None),
    };
    let error =
        |(at, error): &(crate::clock::Timestamp, String)| json!({"at": at.to_rfc3339(), "error": error});
    json!({
        "name": config.name.as_str(),
        "url": without_query(&config.url),
        "events": config.events.iter().map(Pattern::as_str).collect::<Vec<_>>(),
        "include_text": config.include_text,
        "state": state_of(&status.standing),
        "since": since.map(|at| at.to_rfc3339()),
        "tries": tries,
        "next_try_at": next_at.map(|at| at.to_rfc3339()),
        "backlog": hook.backlog(&status),
        "oldest_at": status.oldest.map(|at| at.to_rfc3339()),
        "last_event": EventId::from_u64(status.after).to_string(),
        "last_taken_at": status.taken_at.map(|at| at.to_rfc3339()),
        "last_error": status.last_error.as_ref().map(error),
        "dead_letters": status.dead,
        "dead_letters_dropped": status.dropped,
        "events_lost": status.lost,
    })
}

/// A query may hold the receiver's own secret.
fn without_query(url: &str) -> String {
    match url.split_once('?') {
        Some((before, _)) => format!("{before}?…"),
        None => url.to_owned(),
    }
}

/// Dead letters as a list, oldest first, and beside them the latest posts since the start.
pub async fn deliveries(State(app): State<App>, name: Segment, parts: Parts) -> Result<Response, Problem> {
    app.allow(&parts, Scope::Read).await?;
    let wish = Wish::parse(query(&parts.uri)?, false, |_, _| Ok(false))?;
    if wish.newest_first {
        return Err(Problem::field("order", "dead letters are shown in the order of their events"));
    }
    let after = wish.cursor(|text| text.parse::<EventId>().ok())?;
    let hook = find(&app, &name)?;
    let (of, first, limit) = (hook.name().clone(), after.map_or(0, EventId::as_u64), wish.limit);
    let (letters, next) = app
        .read(move |view| {
            let mut letters = view.dead_letters(&of, first, limit + 1)?;
            let more = letters.len() > limit;
            letters.truncate(limit);
            let next = letters.last().filter(|_| more).map(|last| EventId::from_u64(last.number).to_string());
            let shown: Result<Vec<Value>, _> =
                letters.iter().map(|letter| letter_json(letter, view)).collect();
            Ok((shown?, next))
        })
        .await?;
    let recent: Vec<Value> = hook.status().recent.iter().rev().map(delivery_json).collect();
    Ok(super::json(StatusCode::OK, &json!({"data": letters, "next_cursor": next, "recent": recent})))
}

fn letter_json(letter: &DeadLetter, view: &View) -> Result<Value, ReadError> {
    let name = outbox::name(&letter.notice);
    let event = name.map(|name| outbox::publish(letter.number, name, &letter.notice, view, Texts::Told));
    let event = event.transpose()?;
    Ok(json!({
        "id": EventId::from_u64(letter.number).to_string(),
        "type": event.as_ref().map(|event| event.r#type),
        "at": letter.notice.at.to_rfc3339(),
        "data": event.map(|event| event.data),
        "given_up_at": letter.given_up_at.to_rfc3339(),
        "tries": letter.tries,
        "error": letter.error,
    }))
}

fn delivery_json(delivery: &Delivery) -> Value {
    let error = delivery.posted.error();
    json!({
        "id": delivery.id,
        "type": delivery.name.as_str(),
        "at": delivery.at.to_rfc3339(),
        "result": if error.is_none() { "taken" } else { "refused" },
        "status": delivery.posted.status(),
        "said": delivery.posted.said().chars().take(SAID).collect::<String>(),
        "error": error,
        "took_ms": u64::try_from(delivery.took.as_millis()).unwrap_or(u64::MAX),
    })
}

/// Posts a test event and says what the endpoint answered. One that takes it goes on at once.
pub async fn test(State(app): State<App>, name: Segment, request: Request) -> Result<Response, Problem> {
    ordered(&app, request).await?;
    let delivery = find(&app, &name)?.test().await;
    Ok(super::json(StatusCode::OK, &delivery_json(&delivery)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplayBody {
    id: String,
}

/// One dead letter by its id, or all where there is no body. What becomes of them is seen by looking again.
pub async fn replay(State(app): State<App>, name: Segment, request: Request) -> Result<Response, Problem> {
    let which = match request.headers().contains_key(CONTENT_TYPE) {
        false => {
            ordered(&app, request).await?;
            None
        }
        true => {
            let (parts, body) = request.into_parts();
            app.allow(&parts, Scope::Admin).await?;
            no_query(&parts.uri)?;
            Some(event_id(&read_json(&app, &parts, body).await?)?)
        }
    };
    let hook = find(&app, &name)?;
    let (of, number) = (hook.name().clone(), which.map(EventId::as_u64));
    let first =
        app.read(move |view| view.dead_letters(&of, number.map_or(0, |n| n.saturating_sub(1)), 1)).await?;
    let there = first.first().is_some_and(|first| number.is_none_or(|number| first.number == number));
    if !there {
        let detail = "There is no such dead letter.";
        return Err(Problem::new(StatusCode::NOT_FOUND, "no_dead_letter", detail));
    }
    hook.replay(number.map_or(Replay::All, Replay::One))
        .map_err(|busy| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "webhook_busy", format!("{busy}.")))?;
    Ok(super::json(StatusCode::ACCEPTED, &shown(&hook)))
}

fn event_id(body: &[u8]) -> Result<EventId, Problem> {
    let asked: ReplayBody = serde_json::from_slice(body).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => Problem::field("id", "is the one field of this call, a text"),
        _ => Problem::bad_request("not_json", "The body is not JSON."),
    })?;
    asked.id.parse().map_err(|_| Problem::field("id", "is not the id of an event"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_of_the_address_is_not_shown() {
        assert_eq!(without_query("http://crm/x?key=geheim"), "http://crm/x?…");
        assert_eq!(without_query("http://crm/x"), "http://crm/x");
    }

    #[test]
    fn a_replay_names_an_event() {
        assert_eq!(event_id(br#"{"id":"evt_0000000000007"}"#).unwrap().as_u64(), 7);
        for bad in [&br#"{"id":7}"#[..], br#"{"id":"msg_0000000000007"}"#, br#"{"all":true}"#, b"{", b"\xff"]
        {
            assert!(event_id(bad).is_err());
        }
    }
}
