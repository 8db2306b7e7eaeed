//! Which text would go when, and which gate would refuse it: for one obligation, or for all that is due in a
//! stretch of time. Made by the core's own planner and gates; nothing is sent and nothing kept.

use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::{asked, key, meant};
use super::debts;
use crate::clock::Timestamp;
use crate::engine::reminders::simulate::{Forecast, Foreseen, Simulation, Stretch};
use crate::http::auth::Scope;
use crate::http::listing::moment;
use crate::http::problem::Problem;
use crate::http::{App, Segment, no_query, query};
use crate::reminder::name::Key;

/// One obligation is looked at so far ahead where the query does not say: the longest shipped sequence and more.
const AHEAD: Duration = Duration::from_secs(90 * 86_400);
/// Nobody plans further, and what it takes is bounded.
const AHEAD_MAX: Duration = Duration::from_secs(730 * 86_400);
/// Forecasts of one obligation, and of one call.
const OF_ONE: usize = 500;
const OF_ALL: usize = 20_000;

pub fn routes() -> Router<App> {
    Router::new().route("/v1/simulate", post(all)).route("/v1/obligations/{id}/simulate", get(one))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SimulateBody {
    from: Timestamp,
    to: Timestamp,
    #[serde(default)]
    creditor: Option<Key>,
}

async fn all(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let (parts, SimulateBody { from, to, creditor }) = asked(&app, request).await?;
    no_query(&parts.uri)?;
    let stretch = stretch(&app, from, to, OF_ALL)?;
    let simulation = app.read(move |view| view.simulate_due(creditor.as_ref(), stretch)).await?;
    Ok(answer(stretch, &simulation))
}

fn stretch(app: &App, from: Timestamp, to: Timestamp, limit: usize) -> Result<Stretch, Problem> {
    if to <= from {
        return Err(Problem::field("to", "must be after from"));
    }
    if to.since(from) > AHEAD_MAX {
        return Err(Problem::field("to", "must be within two years of from"));
    }
    let duplicate_window = app.engine().snapshot().duplicate_window;
    Ok(Stretch { from, to, limit, duplicate_window })
}

/// `from` is now and `to` 90 days later, where the query does not say.
async fn one(State(app): State<App>, id: Segment, parts: Parts) -> Result<Response, Problem> {
    app.allow(&parts, Scope::Read).await?;
    let (mut from, mut to, mut creditor) = (app.now().wall, None, None);
    for (name, value) in query(&parts.uri)? {
        let set = match name.as_str() {
            "from" => moment(&value).map(|at| from = at),
            "to" => moment(&value).map(|at| to = Some(at)),
            "creditor" => key(&value).map(|key| creditor = Some(key)),
            _ => Err(String::from("is not a parameter of this call")),
        };
        set.map_err(|why| Problem::field(&name, why))?;
    }
    let which = meant(&id.0, creditor).ok_or_else(Problem::not_found)?;
    let (id, _) = debts::find(&app, which).await?;
    let stretch = stretch(&app, from, to.unwrap_or(from.saturating_add(AHEAD)), OF_ONE)?;
    let simulation = app.read(move |view| view.simulate(&[id], stretch)).await?;
    Ok(answer(stretch, &simulation))
}

fn answer(stretch: Stretch, simulation: &Simulation) -> Response {
    let rows: Vec<Value> = simulation.forecasts.iter().map(forecast).collect();
    let shown = json!({"from": stretch.from, "to": stretch.to, "data": rows, "cut": simulation.cut});
    crate::http::json(StatusCode::OK, &shown)
}

fn forecast(forecast: &Forecast) -> Value {
    let mut shown = json!({
        "at": forecast.at,
        "obligation": forecast.obligation.to_string(),
        "external_id": forecast.external_id,
        "step": forecast.step,
        "zones": forecast.zones,
    });
    let more = match &forecast.outcome {
        Foreseen::Goes { to, template, rendered, until } => json!({
            "outcome": "goes", "to": to.to_e164(), "template": template, "text": rendered.text,
            "encoding": rendered.encoding.as_str(), "segment_count": rendered.segment_count, "until": until,
        }),
        Foreseen::Refused { gate, pack, rule, next } => {
            json!({"outcome": "refused", "gate": gate, "pack": pack, "rule": rule, "next": next})
        }
        Foreseen::Skipped { gate, rule } => json!({"outcome": "skipped", "gate": gate, "rule": rule}),
        Foreseen::Stale => json!({"outcome": "stale"}),
        Foreseen::NoText { why } => json!({"outcome": "no_text", "why": why}),
    };
    if let (Value::Object(shown), Value::Object(more)) = (&mut shown, more) {
        shown.extend(more);
    }
    shown
}
