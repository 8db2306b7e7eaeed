//! What runs over time: enrolments in sequences, payment plans, subscriptions.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::{get, post};
use serde::Deserialize;

use super::body::{
    Caller, answer, change, external, key, meant, only, ordered, page, stretch, which, written,
};
use super::{debts, shown};
use crate::clock::Timestamp;
use crate::engine::reminders::change::{How, Which};
use crate::engine::reminders::view::{ObligationFilter, Stretch};
use crate::engine::{Change, Changed, Subject};
use crate::http::auth::Scope;
use crate::http::listing::Wish;
use crate::http::problem::Problem;
use crate::http::{App, Segment, no_query, query};
use crate::reminder::enrolment::{ExitReason, PauseReason};
use crate::reminder::name::Key;
use crate::reminder::plan::PlanPart;
use crate::reminder::subscription::Subscription;

const STATES: [&str; 5] = ["scheduled", "active", "paused", "completed", "exited"];
/// What the address of an enrolment names.
const OF: &str = "obligation";

pub fn routes() -> Router<App> {
    Router::new()
        .route("/v1/enrolments", get(list).post(enrol))
        .route("/v1/enrolments/{id}", get(look))
        .route("/v1/enrolments/{id}/pause", post(pause))
        .route("/v1/enrolments/{id}/resume", post(resume))
        .route("/v1/enrolments/{id}/exit", post(exit))
        .route("/v1/plans", get(plans).post(make_plan))
        .route("/v1/plans/{id}", get(plan))
        .route("/v1/subscriptions", get(subscriptions).post(make_subscription))
        .route("/v1/subscriptions/{id}", get(subscription).put(put_subscription))
}

async fn list(State(app): State<App>, parts: Parts) -> Result<Response, Problem> {
    app.allow(&parts, Scope::Read).await?;
    let mut filter = ObligationFilter::default();
    let wish = Wish::parse(query(&parts.uri)?, true, |name, value| {
        if name != "state" {
            return debts::filter_by(&mut filter, name, value);
        }
        let known = STATES.contains(&value).then(|| value.to_owned());
        filter.state = Some(known.ok_or_else(|| format!("must be one of {}", STATES.join(", ")))?);
        Ok(true)
    })?;
    let stretch = stretch(&wish)?;
    let found = app.read(move |view| view.obligations(&filter, &stretch)).await?;
    let rows = found.rows.iter().filter_map(|(id, obligation)| shown::enrolment(*id, obligation)).collect();
    Ok(page(rows, found.next.map(|place| place.to_string())))
}

async fn look(State(app): State<App>, id: Segment, parts: Parts) -> Result<Response, Problem> {
    app.allow(&parts, Scope::Read).await?;
    let (id, obligation) = debts::find(&app, which(&parts, &id)?).await?;
    let shown = shown::enrolment(id, &obligation).ok_or_else(Problem::not_found)?;
    Ok(crate::http::json(StatusCode::OK, &shown))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EnrolBody {
    obligation: String,
    /// Where several creditors have an obligation of that id.
    #[serde(default)]
    creditor: Option<Key>,
    sequence: Key,
}

/// Begins a sequence: what went of it in this cycle does not go again.
async fn enrol(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let (parts, by, body) = written::<EnrolBody>(&app, request).await?;
    no_query(&parts.uri)?;
    let which = named(&body.obligation, body.creditor)?;
    let changed = change(&app, Change::Enrol { which, sequence: body.sequence }, by, "").await?;
    after(&app, changed).await
}

/// The obligation that a body names.
pub fn named(text: &str, creditor: Option<Key>) -> Result<Which, Problem> {
    meant(text, creditor).ok_or_else(|| Problem::field("obligation", "is no id of an obligation"))
}

async fn after(app: &App, changed: Changed) -> Result<Response, Problem> {
    let Subject::Obligation(id) = changed.subject else { return Err(Problem::internal()) };
    let (id, obligation) = debts::find(app, Which::Id(id)).await?;
    Ok(answer(changed.how, shown::enrolment(id, &obligation).unwrap_or_default()))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct PauseBody {
    #[serde(default)]
    until: Option<Timestamp>,
    #[serde(default)]
    reason: Option<PauseReason>,
}

async fn pause(State(app): State<App>, id: Segment, request: Request) -> Result<Response, Problem> {
    let (parts, by, body) = ordered::<PauseBody>(&app, request).await?;
    let which = which(&parts, &id)?;
    if body.until.is_some_and(|until| until <= app.now().wall) {
        return Err(Problem::field("until", "has passed"));
    }
    let reason = body.reason.unwrap_or(PauseReason::Manual);
    let changed = change(&app, Change::PauseEnrolment { which, reason, until: body.until }, by, OF).await?;
    after(&app, changed).await
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

async fn resume(State(app): State<App>, id: Segment, request: Request) -> Result<Response, Problem> {
    let (parts, by, Nothing {}) = ordered(&app, request).await?;
    let which = which(&parts, &id)?;
    let changed = change(&app, Change::ResumeEnrolment { which }, by, OF).await?;
    after(&app, changed).await
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExitBody {
    #[serde(default)]
    reason: Option<ExitReason>,
}

async fn exit(State(app): State<App>, id: Segment, request: Request) -> Result<Response, Problem> {
    let (parts, by, body) = ordered::<ExitBody>(&app, request).await?;
    let which = which(&parts, &id)?;
    let reason = body.reason.unwrap_or(ExitReason::Canceled);
    let changed = change(&app, Change::ExitEnrolment { which, reason }, by, OF).await?;
    after(&app, changed).await
}

/// Obligations that are or were paid in instalments.
async fn plans(State(app): State<App>, parts: Parts) -> Result<Response, Problem> {
    app.allow(&parts, Scope::Read).await?;
    let mut filter = ObligationFilter::default();
    let wish =
        Wish::parse(query(&parts.uri)?, true, |name, value| debts::filter_by(&mut filter, name, value))?;
    let stretch = stretch(&wish)?;
    let found = app.read(move |view| view.obligations(&filter, &stretch)).await?;
    let planned = found.rows.iter().filter(|(_, obligation)| !obligation.plan.is_empty());
    let rows = planned.map(|(id, obligation)| shown::plan(*id, obligation)).collect();
    Ok(page(rows, found.next.map(|place| place.to_string())))
}

async fn plan(State(app): State<App>, id: Segment, parts: Parts) -> Result<Response, Problem> {
    app.allow(&parts, Scope::Read).await?;
    let (id, obligation) = debts::find(&app, which(&parts, &id)?).await?;
    if obligation.plan.is_empty() {
        return Err(Problem::not_found());
    }
    Ok(crate::http::json(StatusCode::OK, &shown::plan(id, &obligation)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanBody {
    obligation: String,
    #[serde(default)]
    creditor: Option<Key>,
    instalments: Vec<PlanPart>,
}

/// The same plan again changes nothing; another one is refused while the first stands.
async fn make_plan(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let (parts, by, body) = written::<PlanBody>(&app, request).await?;
    no_query(&parts.uri)?;
    let which = named(&body.obligation, body.creditor)?;
    let changed = change(&app, Change::Plan { which, parts: body.instalments }, by, "").await?;
    let Subject::Obligation(id) = changed.subject else { return Err(Problem::internal()) };
    let (id, obligation) = debts::find(&app, Which::Id(id)).await?;
    let how = if changed.how == How::Changed { How::Created } else { changed.how };
    Ok(answer(how, shown::plan(id, &obligation)))
}

async fn subscriptions(State(app): State<App>, parts: Parts) -> Result<Response, Problem> {
    app.allow(&parts, Scope::Read).await?;
    let mut account = None;
    let wish = Wish::parse(query(&parts.uri)?, false, |name, value| {
        if name == "account" {
            account = Some(external(value)?);
        }
        Ok(name == "account")
    })?;
    let stretch: Stretch = stretch(&wish)?;
    let found = app.read(move |view| view.subscriptions(account.as_ref(), &stretch)).await?;
    Ok(page(found.rows.iter().map(shown::subscription).collect(), found.next.map(|place| place.to_string())))
}

async fn subscription(State(app): State<App>, id: Segment, parts: Parts) -> Result<Response, Problem> {
    app.allow(&parts, Scope::Read).await?;
    let creditor = only(&parts, "creditor", key)?;
    let external = external(&id.0).map_err(|_| Problem::not_found())?;
    let mut found = app.read(move |view| view.subscriptions_of(&external)).await?;
    found.retain(|stored| creditor.is_none() || stored.subscription.creditor == creditor);
    match found.as_slice() {
        [] => Err(Problem::not_found()),
        [only] => Ok(crate::http::json(StatusCode::OK, &shown::subscription(only))),
        _ => {
            let why = "several creditors have a subscription of this id: name the creditor too";
            Err(Problem::field("creditor", why))
        }
    }
}

async fn make_subscription(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let (parts, by, wanted) = written::<Subscription>(&app, request).await?;
    no_query(&parts.uri)?;
    keep_subscription(&app, wanted, by).await
}

async fn put_subscription(
    State(app): State<App>,
    id: Segment,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, by, wanted) = written::<Subscription>(&app, request).await?;
    no_query(&parts.uri)?;
    if wanted.external_id.as_str() != id.0 {
        return Err(Problem::field("external_id", "is not the one in the address"));
    }
    keep_subscription(&app, wanted, by).await
}

async fn keep_subscription(app: &App, wanted: Subscription, by: Caller) -> Result<Response, Problem> {
    let Subscription { external_id: external, account, creditor, .. } = wanted.clone();
    let changed = change(app, Change::Subscription(Box::new(wanted)), by, "").await?;
    let kept = app.read(move |view| view.subscriptions_of(&external)).await?;
    // Where no creditor was named the account is one creditor's alone.
    let meant = |s: &Subscription| s.account == account && (creditor.is_none() || s.creditor == creditor);
    let kept = kept.iter().find(|stored| meant(&stored.subscription));
    Ok(answer(changed.how, kept.map(shown::subscription).unwrap_or_default()))
}
