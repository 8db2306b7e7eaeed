//! `/v1/tasks`: what a person must do. Each carries its version as an entity tag, so that two people who take one
//! hear of each other.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::{get, post};
use jiff::civil::Date;
use serde::Deserialize;

use super::body::{answer, change, key, meant, page, short, stretch, tagged, written};
use super::{debts, enrolments, shown};
use crate::clock::Timestamp;
use crate::engine::reminders::view::{TaskFilter, TaskStage};
use crate::engine::{Change, Changed, Subject};
use crate::http::auth::Scope;
use crate::http::listing::Wish;
use crate::http::problem::Problem;
use crate::http::{App, Segment, no_query, query};
use crate::id::TaskId;
use crate::message::Msisdn;
use crate::reminder::name::Key;
use crate::reminder::task::TaskOutcome;

/// Characters of an assignee's name.
const ASSIGNEE_MAX: usize = 100;
const OUTCOMES: &str =
    "must be one of resume, extend, plan, final, hand_over, suppress, paid, correct_number";

pub fn routes() -> Router<App> {
    Router::new()
        .route("/v1/tasks", get(list).post(open))
        .route("/v1/tasks/{id}", get(look))
        .route("/v1/tasks/{id}/assign", post(assign))
        .route("/v1/tasks/{id}/done", post(done))
}

async fn list(State(app): State<App>, parts: Parts) -> Result<Response, Problem> {
    app.allow(&parts, Scope::Read).await?;
    let (mut filter, mut obligation) = (TaskFilter::default(), None);
    let wish = Wish::parse(query(&parts.uri)?, true, |name, value| {
        match name {
            "state" => filter.stage = Some(stage(value)?),
            "assignee" => filter.assignee = Some(value.to_owned()),
            "kind" => filter.kind = Some(key(value)?),
            "obligation" => {
                obligation = Some(meant(value, None).ok_or("is no id of an obligation")?);
            }
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    if let Some(which) = obligation {
        filter.obligation = Some(debts::find(&app, which).await?.0);
    }
    let stretch = stretch(&wish)?;
    let found = app.read(move |view| view.tasks(&filter, &stretch)).await?;
    let rows = found.rows.iter().map(|(id, task)| shown::task(*id, task)).collect();
    Ok(page(rows, found.next.map(|place| place.to_string())))
}

fn stage(text: &str) -> Result<TaskStage, String> {
    match text {
        "open" => Ok(TaskStage::Open),
        "assigned" => Ok(TaskStage::Assigned),
        "done" => Ok(TaskStage::Done),
        _ => Err(String::from("must be open, assigned or done")),
    }
}

fn id_of(id: &Segment) -> Result<TaskId, Problem> {
    id.0.parse().map_err(|_| Problem::not_found())
}

async fn look(State(app): State<App>, id: Segment, parts: Parts) -> Result<Response, Problem> {
    app.allow(&parts, Scope::Read).await?;
    no_query(&parts.uri)?;
    let id = id_of(&id)?;
    let task = app.read(move |view| view.task(id)).await?.ok_or_else(Problem::not_found)?;
    Ok(tagged(crate::http::json(StatusCode::OK, &shown::task(id, &task)), task.version))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OpenBody {
    kind: Key,
    #[serde(default)]
    obligation: Option<String>,
    #[serde(default)]
    creditor: Option<Key>,
    #[serde(default)]
    note: Option<String>,
    #[serde(default)]
    due: Option<Timestamp>,
}

/// One of the kind that is open for the obligation already is that one.
async fn open(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let (parts, by, body) = written::<OpenBody>(&app, request).await?;
    no_query(&parts.uri)?;
    short("note", &body.note)?;
    let which = body.obligation.as_deref().map(|text| enrolments::named(text, body.creditor.clone()));
    let (which, note) = (which.transpose()?, body.note.unwrap_or_default());
    let wanted = Change::OpenTask { kind: body.kind, which, note, due: body.due };
    let changed = change(&app, wanted, by, "").await?;
    after(&app, changed).await
}

async fn after(app: &App, changed: Changed) -> Result<Response, Problem> {
    let Subject::Task(id) = changed.subject else { return Err(Problem::internal()) };
    let task = app.read(move |view| view.task(id)).await?.ok_or_else(Problem::not_found)?;
    Ok(tagged(answer(changed.how, shown::task(id, &task)), task.version))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AssignBody {
    /// `null` gives it back.
    assignee: Option<String>,
}

async fn assign(State(app): State<App>, id: Segment, request: Request) -> Result<Response, Problem> {
    let (parts, mut by, AssignBody { assignee }) = written(&app, request).await?;
    no_query(&parts.uri)?;
    let fits = |name: &String| !name.trim().is_empty() && name.chars().count() <= ASSIGNEE_MAX;
    if !assignee.as_ref().is_none_or(fits) {
        return Err(Problem::field("assignee", format!("must be 1 to {ASSIGNEE_MAX} characters")));
    }
    let (id, expect) = (id_of(&id)?, by.terms.expect.take());
    let changed = change(&app, Change::AssignTask { id, assignee, expect }, by, "task").await?;
    after(&app, changed).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DoneBody {
    outcome: String,
    /// With `extend`.
    #[serde(default)]
    due_date: Option<Date>,
    /// With `correct_number`.
    #[serde(default)]
    number: Option<String>,
}

impl DoneBody {
    fn outcome(self) -> Result<TaskOutcome, Problem> {
        let outcome = match self.outcome.as_str() {
            "resume" => TaskOutcome::Resume,
            "extend" => TaskOutcome::Extend {
                due_date: self
                    .due_date
                    .ok_or_else(|| Problem::field("due_date", "is required with extend"))?,
            },
            "plan" => TaskOutcome::Plan,
            "final" => TaskOutcome::Final,
            "hand_over" => TaskOutcome::HandOver,
            "suppress" => TaskOutcome::Suppress,
            "paid" => TaskOutcome::Paid,
            "correct_number" => {
                let text = self.number.as_deref();
                let text = text.ok_or_else(|| Problem::field("number", "is required with correct_number"))?;
                let number = Msisdn::parse_e164(text).map_err(|e| Problem::field("number", e.to_string()))?;
                TaskOutcome::CorrectNumber { number }
            }
            _ => return Err(Problem::field("outcome", OUTCOMES)),
        };
        if self.due_date.is_some() && !matches!(outcome, TaskOutcome::Extend { .. }) {
            return Err(Problem::field("due_date", "goes with extend only"));
        }
        if self.number.is_some() && !matches!(outcome, TaskOutcome::CorrectNumber { .. }) {
            return Err(Problem::field("number", "goes with correct_number only"));
        }
        Ok(outcome)
    }
}

async fn done(State(app): State<App>, id: Segment, request: Request) -> Result<Response, Problem> {
    let (parts, mut by, body) = written::<DoneBody>(&app, request).await?;
    no_query(&parts.uri)?;
    let (id, expect, outcome) = (id_of(&id)?, by.terms.expect.take(), body.outcome()?);
    by.terms.keeps_holds = app.allow(&parts, Scope::Admin).await.is_err();
    let changed = change(&app, Change::TaskDone { id, outcome, expect }, by, "task").await?;
    after(&app, changed).await
}
