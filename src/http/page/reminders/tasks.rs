//! `/tasks` and `/tasks/{id}`: what a person must do, who does it, and what came of it.

use askama::Template;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;

use super::confirm::{self, Confirm, SURE};
use super::entries::{Entries, Tried};
use super::forms::{FORM_MAX, Two, day, make, number};
use super::obligations::{Choice, Row as Owed};
use super::words::{When, plain};
use super::{Frame, Look, ROWS, SHOWN, again, filled, name_of, page, told};
use crate::clock::Timestamp;
use crate::engine::reminders::terms::Terms;
use crate::engine::reminders::view::{Place, Stretch, TaskFilter, TaskStage};
use crate::engine::{Change, ReadError, View};
use crate::http::page::board::ReplyRow;
use crate::http::page::forms::see;
use crate::http::page::html;
use crate::http::page::say::visible;
use crate::http::problem::Problem;
use crate::http::session::Signed;
use crate::http::{App, Segment};
use crate::id::TaskId;
use crate::reminder::task::{Task, TaskOutcome, TaskState};
use crate::reminder::zone::ZoneSet;

/// Characters of whoever a task is given to.
const ASSIGNEE_MAX: usize = 100;
const STAGES: [(&str, TaskStage); 3] =
    [("open", TaskStage::Open), ("assigned", TaskStage::Assigned), ("done", TaskStage::Done)];

#[derive(Template)]
#[template(path = "reminders/tasks.html", config = "src/http/page/askama.toml")]
struct List {
    frame: Frame,
    here: &'static str,
    stages: Vec<Choice>,
    assignee: Option<String>,
    rows: Vec<Row>,
    older: Option<String>,
}

/// One task in a list.
pub struct Row {
    pub id: String,
    pub kind: String,
    pub state: &'static str,
    pub assignee: Option<String>,
    pub due: When,
    pub is_late: bool,
    pub note: String,
    /// What it is about: the firm's id and where it is.
    pub about: Option<(String, String)>,
    pub outcome: Option<String>,
}

impl Row {
    pub fn read(view: &View, id: TaskId, task: &Task, now: Timestamp) -> Result<Row, ReadError> {
        let utc = ZoneSet::one(view.catalog()?.home.clone());
        let about = match task.obligation {
            None => None,
            Some(id) => {
                view.obligation(id)?.map(|o| (id.to_string(), visible(o.external_id.as_str(), SHOWN)))
            }
        };
        Ok(Row {
            id: id.to_string(),
            kind: plain(task.kind.as_str()),
            state: task.state.as_str(),
            assignee: task.assignee.as_deref().map(|who| visible(who, SHOWN)),
            due: When::of(task.due, &utc, now),
            is_late: task.due < now && !matches!(task.state, TaskState::Done { .. }),
            note: visible(&task.note, SHOWN),
            about,
            outcome: match &task.state {
                TaskState::Done { outcome, by, .. } => {
                    Some(format!("{} by {}", plain(outcome.as_str()), visible(by, SHOWN)))
                }
                _ => None,
            },
        })
    }
}

#[derive(Template)]
#[template(path = "reminders/task.html", config = "src/http/page/askama.toml")]
struct One {
    frame: Frame,
    here: &'static str,
    task: Row,
    version: u64,
    opened: When,
    is_done: bool,
    contact: Option<(String, String)>,
    reply: Option<ReplyRow>,
    reply_gone: bool,
    owed: Vec<Owed>,
    /// Word, words, and whether it was chosen in the form that was not taken.
    outcomes: Vec<(&'static str, &'static str, bool)>,
    tried: Tried,
}

pub async fn list(State(app): State<App>, parts: Parts) -> Response {
    page(app, parts, &["state", "assignee", "before"], listed).await
}

fn listed(look: Look) -> Result<List, Problem> {
    let stage = look.asked.parse("state", |text| {
        let found = STAGES.into_iter().find(|(word, _)| *word == text);
        found.ok_or("must be open, assigned or done")
    })?;
    let before = look.asked.parse("before", |text| text.parse::<Place>())?;
    let assignee = look.asked.get("assignee").map(str::to_owned);
    // Without a wish: what is to be done.
    let (word, stage) = stage.unwrap_or(("open", TaskStage::Open));
    let filter = TaskFilter { stage: Some(stage), assignee: assignee.clone(), ..TaskFilter::default() };
    let back = stage == TaskStage::Done;
    let found = look.view.tasks(&filter, &Stretch { after: before, back, limit: ROWS })?;
    let rows = found.rows.iter().map(|(id, task)| Row::read(&look.view, *id, task, look.now));
    let more = assignee
        .as_ref()
        .map(|who| form_urlencoded::Serializer::new(String::from("&")).append_pair("assignee", who).finish());
    Ok(List {
        here: "/tasks",
        stages: STAGES
            .map(|(value, _)| Choice { value: value.into(), word: value.into(), chosen: value == word })
            .into(),
        rows: rows.collect::<Result<_, _>>()?,
        older: found
            .next
            .map(|next| format!("/tasks?state={word}&before={next}{}", more.unwrap_or_default())),
        assignee,
        frame: look.frame,
    })
}

pub async fn show(State(app): State<App>, id: Segment, parts: Parts) -> Response {
    page(app, parts, &[], move |look| {
        let id: TaskId = id.0.parse().map_err(|_| Problem::not_found())?;
        one(id, look, Tried::default())
    })
    .await
}

fn one(id: TaskId, look: Look, tried: Tried) -> Result<One, Problem> {
    let Look { view, catalog, frame, now, clock, .. } = look;
    let task = view.task(id)?.ok_or_else(Problem::not_found)?;
    let contact = task.contact.map(|id| Ok::<_, ReadError>((id, view.contact(id)?))).transpose()?;
    let reply = task.reply.map(|id| view.reply(id)).transpose()?.flatten();
    let owed = match task.obligation {
        None => None,
        Some(id) => view.obligation(id)?.map(|o| Owed::read(&view, &catalog, id, &o, now)).transpose()?,
    };
    Ok(One {
        here: "/tasks",
        version: task.version,
        opened: When::of(task.opened_at, &ZoneSet::one(catalog.home.clone()), now),
        is_done: matches!(task.state, TaskState::Done { .. }),
        contact: contact.map(|(id, stored)| {
            let name = stored.as_ref().map(name_of).filter(|name| !name.is_empty());
            (id.to_string(), name.unwrap_or_else(|| id.to_string()))
        }),
        reply_gone: task.reply.is_some() && reply.is_none(),
        reply: reply.map(|reply| ReplyRow::read(&view, &reply, clock)).transpose()?,
        outcomes: outcomes(&task, tried.value("done", "outcome", "")),
        task: Row::read(&view, id, &task, now)?,
        owed: owed.into_iter().collect(),
        tried,
        frame,
    })
}

/// What may come of it, and what follows.
fn outcomes(task: &Task, chosen: &str) -> Vec<(&'static str, &'static str, bool)> {
    let all = [
        ("resume", "Go on: reminders go on as planned"),
        ("extend", "Extend: the due date moves to the date below"),
        ("plan", "Plan: instalments were agreed; enter them on the obligation's page then"),
        ("final", "Final: only the last step goes"),
        ("paid", "Paid: reminders end, whatever the books say yet"),
        ("hand_over", "Hand over: to collection or court"),
        ("suppress", "Suppress: nothing more to this number"),
        ("correct_number", "Wrong number: the right one is below"),
    ];
    let about_all = ["resume", "suppress", "correct_number"];
    let fit = all.into_iter().filter(|(word, _)| task.obligation.is_some() || about_all.contains(word));
    fit.map(|(word, words)| (word, words, word == chosen)).collect()
}

/// `POST /page/tasks/{id}/{what}`
pub async fn change(State(app): State<App>, path: Two, request: Request) -> Response {
    let (signed, mut entries) = match filled(&app, request, FORM_MAX).await {
        Ok(filled) => filled,
        Err(answer) => return answer,
    };
    let Two(id, what) = path;
    let Ok(id) = id.parse::<TaskId>() else { return told(&app, &signed, Problem::not_found()) };
    match keep(&app, id, &what, &mut entries, &signed).await {
        Ok(true) => see(&format!("/tasks/{id}")),
        Ok(false) => {
            let make = move |look| asked(look, id, entries);
            match super::look(&app, &signed, super::Asked::none(), make).await {
                Ok(page) => html(StatusCode::OK, &page),
                Err(problem) => told(&app, &signed, problem),
            }
        }
        Err(problem) if problem.status() == StatusCode::NOT_FOUND => told(&app, &signed, problem),
        Err(problem) => {
            let make = move |look, entries| one(id, look, Tried { what, entries });
            again(&app, &signed, problem, entries, make).await
        }
    }
}

/// `false`: what is wanted cannot be taken back, and first somebody must say that he means it.
async fn keep(
    app: &App,
    id: TaskId,
    what: &str,
    entries: &mut Entries,
    signed: &Signed,
) -> Result<bool, Problem> {
    let change = said(id, what, entries);
    entries.check()?;
    let change = change.ok_or_else(Problem::not_found)?;
    let is_final = matches!(change, Change::TaskDone { outcome: TaskOutcome::HandOver, .. });
    if is_final && !entries.is(SURE, "yes") {
        return Ok(false);
    }
    let terms = Terms { keeps_holds: !signed.changes(), ..Terms::default() };
    make(app, Change::OnTerms { terms, change: Box::new(change) }, signed.name.clone()).await?;
    Ok(true)
}

/// Whether the obligation of a task is to be handed over.
fn asked(look: Look, id: TaskId, entries: Entries) -> Result<Confirm, Problem> {
    let task = look.view.task(id)?.ok_or_else(Problem::not_found)?;
    let (question, button, follows) = confirm::closing("handed_over").ok_or_else(Problem::internal)?;
    let mut facts = vec![confirm::fact("Task", plain(task.kind.as_str()))];
    if let Some(o) = task.obligation.map(|id| look.view.obligation(id)).transpose()?.flatten() {
        facts.push(confirm::fact("Obligation", visible(o.external_id.as_str(), SHOWN)));
        facts.push(confirm::fact("Left to pay", o.balance().to_string()));
        facts.push(confirm::status(o.status.as_str()));
    }
    Ok(Confirm {
        here: "/tasks",
        question: question.to_owned(),
        follows,
        facts,
        action: format!("/page/tasks/{id}/done"),
        held: vec![("outcome", String::from("hand_over")), ("version", entries.value("version").to_owned())],
        button,
        back: format!("/tasks/{id}"),
        asks_why: false,
        entries,
        frame: look.frame,
    })
}

fn said(id: TaskId, what: &str, entries: &mut Entries) -> Option<Change> {
    let expect = entries.optional("version", |text| text.parse::<u64>());
    match what {
        "assign" => {
            let assignee = entries.short("assignee", ASSIGNEE_MAX);
            Some(Change::AssignTask { id, assignee, expect })
        }
        "done" => {
            let outcome = outcome(entries)?;
            Some(Change::TaskDone { id, outcome, expect })
        }
        _ => None,
    }
}

fn outcome(entries: &mut Entries) -> Option<TaskOutcome> {
    Some(match entries.text("outcome") {
        Some("resume") => TaskOutcome::Resume,
        Some("extend") => TaskOutcome::Extend { due_date: entries.required("due_date", day)? },
        Some("plan") => TaskOutcome::Plan,
        Some("final") => TaskOutcome::Final,
        Some("hand_over") => TaskOutcome::HandOver,
        Some("suppress") => TaskOutcome::Suppress,
        Some("paid") => TaskOutcome::Paid,
        Some("correct_number") => TaskOutcome::CorrectNumber { number: entries.required("number", number)? },
        _ => {
            entries.refuse("outcome", "must be chosen");
            return None;
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_that_needs_more_refuses_without_it() {
        for (word, field) in [("extend", "due_date"), ("correct_number", "number"), ("shrug", "outcome")] {
            let mut entries = Entries::with(&[("outcome", word)]);
            assert!(said(TaskId::from_u64(1), "done", &mut entries).is_none());
            assert!(entries.fault(field).is_some(), "{word}");
        }
        let mut entries =
            Entries::with(&[("outcome", "extend"), ("due_date", "2026-04-01"), ("version", "2")]);
        let due_date = jiff::civil::date(2026, 4, 1);
        let change = said(TaskId::from_u64(1), "done", &mut entries);
        let outcome = TaskOutcome::Extend { due_date };
        assert_eq!(change, Some(Change::TaskDone { id: TaskId::from_u64(1), outcome, expect: Some(2) }));
    }
}
