//! `POST /v1/clicks`: visits to payment links that the firm's own site saw, one or a list of them.

use std::collections::HashMap;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::auth::Scope;
use super::messages::no_idempotency_key;
use super::problem::Problem;
use super::reminders::body::{parse, parse_list};
use super::{App, json as answer, no_query, read_json};
use crate::clock::Timestamp;
use crate::engine::reminders::Change;
use crate::engine::visits::{Led, Told, lead};
use crate::engine::{ReadError, View};
use crate::reminder::link::{Click, Token};

/// Visits of one request.
const CLICKS_MAX: usize = 500;
/// What the firm's own site tells without an agent, it saw itself.
const BROWSER: &str = "Mozilla/5.0";
/// A visit that the firm tells of is one, however old the link is.
const NEVER: Duration = Duration::MAX;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Visit {
    token: Token,
    agent: Option<String>,
    method: Option<String>,
    at: Option<Timestamp>,
}

pub async fn create(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let by = app.allow(&parts, Scope::Reminders).await?;
    no_query(&parts.uri)?;
    no_idempotency_key(&parts.headers)?;
    let body = read_json(&app, &parts, body).await?;
    let is_one = !body.trim_ascii_start().starts_with(b"[");
    let visits: Vec<Visit> = if is_one { vec![parse(&body)?] } else { parse_list(&body)? };
    if visits.len() > CLICKS_MAX {
        return Err(Problem::field("", format!("must be at most {CLICKS_MAX} visits")));
    }
    let now = app.now().wall;
    let judged = app.read(move |view| judge(view, visits, now)).await?;
    let changes = judged.iter().filter_map(|(token, judged)| {
        let Judged::Counted(click) = judged else { return None };
        Some(Change::Click { token: token.as_u64(), human: *click == Click::Human })
    });
    app.engine().change(changes.collect(), by).await?;
    let mut results: Vec<Value> = judged.iter().map(|(_, judged)| judged.shown()).collect();
    match results.pop() {
        Some(only) if is_one && matches!(judged.first(), Some((_, Judged::Unknown))) => {
            drop(only);
            Err(Problem::not_found())
        }
        Some(only) if is_one => Ok(answer(StatusCode::OK, &only)),
        last => {
            results.extend(last);
            Ok(answer(StatusCode::OK, &json!({"results": results})))
        }
    }
}

enum Judged {
    Counted(Click),
    /// Nothing is owed any more, or it was counted often enough.
    NotCounted,
    Unknown,
}

impl Judged {
    fn shown(&self) -> Value {
        match self {
            Judged::Counted(Click::Human) => json!({"click": "human"}),
            Judged::Counted(Click::Fetch(why)) => json!({"click": "fetch", "why": why}),
            Judged::NotCounted => json!({"click": "not_counted"}),
            Judged::Unknown => json!({"click": "unknown_token"}),
        }
    }
}

fn judge(view: &View, visits: Vec<Visit>, now: Timestamp) -> Result<Vec<(Token, Judged)>, ReadError> {
    let mut humans: HashMap<Token, Timestamp> = HashMap::new();
    let mut judged = Vec::new();
    for visit in visits {
        let at = visit.at.unwrap_or(now).min(now);
        let told = Told {
            token: visit.token,
            agent: visit.agent.as_deref().unwrap_or(BROWSER),
            method: visit.method.as_deref().unwrap_or("GET"),
            at,
            last_human: humans.get(&visit.token).copied(),
        };
        let how = match lead(view, told, NEVER)? {
            Led::To { click: Some(click), .. } => Judged::Counted(click),
            Led::To { click: None, .. } | Led::Settled => Judged::NotCounted,
            Led::Nowhere => Judged::Unknown,
        };
        if matches!(how, Judged::Counted(Click::Human)) {
            humans.insert(visit.token, at);
        }
        judged.push((visit.token, how));
    }
    Ok(judged)
}
