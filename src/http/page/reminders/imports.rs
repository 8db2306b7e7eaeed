//! `/imports`: a file of cases is uploaded, its dry run shown with figures and row errors, and committed by a button.

use askama::Template;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::response::Response;
use http_body_util::BodyExt as _;
use std::time::Duration;

use super::forms::FORM_MAX;
use super::multipart::{BadForm, Parts as Pieces, Piece};
use super::obligations::{Choice, creditors};
use super::words::When;
use super::{Frame, ROWS, SHOWN, page};
use crate::engine::imports::dry::Fault;
use crate::engine::imports::spool::Upload;
use crate::engine::imports::{Committed, ImportError, Standing, State as Stage, Wish};
use crate::http::auth::Scope;
use crate::http::page::forms::{admitted_with, answer, signed_out};
use crate::http::page::say::{grouped, visible};
use crate::http::problem::Problem;
use crate::http::session::{Doing, Signed};
use crate::http::{App, Segment};
use crate::id::ImportId;
use crate::message::TokenName;
use crate::reminder::import::Mapping;
use crate::reminder::name::Key;
use crate::reminder::zone::ZoneSet;

/// As over the API.
const UPLOAD_WITHIN: Duration = Duration::from_secs(300);
/// Row errors that one page shows; the API has more.
const FAULTS: usize = 200;

#[derive(Template)]
#[template(path = "reminders/imports.html", config = "src/http/page/askama.toml")]
struct List {
    frame: Frame,
    here: &'static str,
    creditors: Vec<Choice>,
    mappings: Vec<String>,
    rows: Vec<Row>,
    older: Option<String>,
}

struct Row {
    id: String,
    at: When,
    by: String,
    state: &'static str,
    rows: String,
    errors: String,
}

#[derive(Template)]
#[template(path = "reminders/import.html", config = "src/http/page/askama.toml")]
struct One {
    frame: Frame,
    here: &'static str,
    id: String,
    at: When,
    by: String,
    mapping: Option<String>,
    state: &'static str,
    done: Option<String>,
    /// Why it broke off.
    why: Option<String>,
    figures: Vec<(&'static str, String)>,
    finish: Option<When>,
    warnings: Vec<String>,
    result: Vec<(&'static str, String)>,
    faults: Vec<Wrong>,
    more_faults: Option<String>,
    may_commit: bool,
    valid: String,
}

struct Wrong {
    row: u64,
    column: String,
    why: String,
}

pub async fn list(State(app): State<App>, parts: Parts) -> Response {
    let imports = app.imports().clone();
    page(app, parts, &["before"], move |look| {
        let before = look.asked.parse("before", |text| text.parse::<ImportId>())?;
        let mut found = imports.list(before, true, ROWS + 1)?;
        let more = found.len() > ROWS;
        found.truncate(ROWS);
        let home = ZoneSet::one(look.catalog.home.clone());
        let row = |standing: &Standing| Row {
            id: standing.note.id.to_string(),
            at: When::of(standing.note.at, &home, look.now),
            by: visible(&standing.note.by, SHOWN),
            state: standing.state(),
            rows: rows(standing.note.dry.rows),
            errors: grouped(standing.note.dry.errors.count),
        };
        Ok(List {
            here: "/imports",
            creditors: creditors(&look.catalog, None),
            mappings: look.catalog.mappings.keys().map(ToString::to_string).collect(),
            older: found.last().filter(|_| more).map(|last| format!("/imports?before={}", last.note.id)),
            rows: found.iter().map(row).collect(),
            frame: look.frame,
        })
    })
    .await
}

pub async fn show(State(app): State<App>, id: Segment, parts: Parts) -> Response {
    let imports = app.imports().clone();
    page(app, parts, &[], move |look| {
        let standing = imports.look(id.0.parse().map_err(|_| Problem::not_found())?)?;
        let home = ZoneSet::one(look.catalog.home.clone());
        let Standing { note, done } = &standing;
        let dry = &note.dry;
        let (result, errors) = match &note.state {
            Stage::Committed { result, .. } => (committed(result), &result.errors),
            _ => (Vec::new(), &dry.errors),
        };
        Ok(One {
            here: "/imports",
            id: note.id.to_string(),
            at: When::of(note.at, &home, look.now),
            by: visible(&note.by, SHOWN),
            mapping: note.mapping_name.clone(),
            state: standing.state(),
            done: done.map(grouped),
            why: match &note.state {
                Stage::Failed { why } => Some(visible(why, SHOWN)),
                _ => None,
            },
            figures: figures(&standing),
            finish: dry.finish_estimate.map(|at| When::of(at, &home, look.now)),
            warnings: dry.warnings.iter().map(|warning| visible(warning, SHOWN)).collect(),
            result,
            faults: errors.first.iter().take(FAULTS).map(wrong).collect(),
            more_faults: errors.count.checked_sub(FAULTS as u64).filter(|more| *more > 0).map(grouped),
            may_commit: dry.valid > 0 && matches!(standing.state(), "checked" | "interrupted" | "failed"),
            valid: rows(dry.valid),
            frame: look.frame,
        })
    })
    .await
}

fn rows(count: u64) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} row{plural}", grouped(count))
}

fn figures(standing: &Standing) -> Vec<(&'static str, String)> {
    let dry = &standing.note.dry;
    let all = [
        ("Rows", dry.rows),
        ("Valid", dry.valid),
        ("New", dry.delta.new),
        ("Changed", dry.delta.changed),
        ("Unchanged", dry.delta.unchanged),
        ("Rejected", dry.delta.rejected),
        ("Texts", dry.texts),
        ("Segments", dry.segments),
    ];
    all.into_iter().map(|(name, count)| (name, grouped(count))).collect()
}

fn committed(result: &Committed) -> Vec<(&'static str, String)> {
    let all = [
        ("Created", result.created),
        ("Changed", result.changed),
        ("Unchanged", result.unchanged),
        ("Rejected", result.rejected),
    ];
    all.into_iter().map(|(name, count)| (name, grouped(count))).collect()
}

fn wrong(fault: &Fault) -> Wrong {
    Wrong { row: fault.row, column: visible(&fault.column, SHOWN), why: visible(&fault.why, SHOWN) }
}

/// `POST /page/imports`: a form with the file as its last field. The file is kept only once its key is right.
pub async fn upload(State(app): State<App>, request: Request) -> Response {
    answer(uploaded(&app, request).await)
}

async fn uploaded(app: &App, request: Request) -> Result<String, Problem> {
    let (parts, body) = request.into_parts();
    let signed = app.signed(&parts.headers, Doing::Person).ok_or_else(signed_out)?;
    let media = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut coming = Coming { pieces: Pieces::new(media)?, fields: Vec::new(), upload: None };
    let came = app.clock().within(UPLOAD_WITHIN, coming.pour(app, &signed, body)).await;
    let came = came.unwrap_or_else(|| {
        let detail = "The body did not come in time.";
        Err(Problem::closing(StatusCode::REQUEST_TIMEOUT, "body_timeout", detail))
    });
    let kept = coming.upload.take();
    if let Err(problem) = came {
        if let Some((_, upload)) = kept {
            upload.discard().map_err(ImportError::Spool)?;
        }
        return Err(problem);
    }
    let (id, upload) = kept.ok_or_else(|| Problem::field("file", "is required"))?;
    upload.finish().map_err(ImportError::Spool)?;
    let checked = app.imports().check(id, coming.wish(app, signed.name)?).await?;
    Ok(format!("/imports/{}", checked.note.id))
}

/// A form as it comes.
struct Coming {
    pieces: Pieces,
    fields: Vec<(String, String)>,
    upload: Option<(ImportId, Upload)>,
}

impl Coming {
    async fn pour(&mut self, app: &App, signed: &Signed, mut body: Body) -> Result<(), Problem> {
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| broken())?;
            let Some(octets) = frame.data_ref() else { continue };
            for piece in self.pieces.feed(octets)? {
                self.take(app, signed, piece)?;
            }
        }
        // A form without a file has said nothing yet of who sends it.
        self.admit(signed)?;
        Ok(self.pieces.finish()?)
    }

    fn take(&mut self, app: &App, signed: &Signed, piece: Piece) -> Result<(), Problem> {
        match piece {
            Piece::Field { name, value } => self.fields.push((name, value)),
            Piece::File(octets) => {
                if self.upload.is_none() {
                    self.admit(signed)?;
                    self.wish(app, signed.name.clone())?;
                    self.upload = Some(app.imports().begin()?);
                }
                if let Some((_, upload)) = &mut self.upload {
                    upload.write(&octets).map_err(ImportError::Spool)?;
                }
            }
            Piece::End => {}
        }
        Ok(())
    }

    fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(n, _)| n == name).map(|(_, value)| value.trim());
        found.filter(|value| !value.is_empty())
    }

    fn admit(&self, signed: &Signed) -> Result<(), Problem> {
        signed.check_form(self.field("key"))?;
        signed.need(Scope::Reminders)
    }

    fn wish(&self, app: &App, by: TokenName) -> Result<Wish, Problem> {
        let key = |name: &str| {
            let parsed = self.field(name).map(Key::parse).transpose();
            parsed.map_err(|bad| Problem::field(name, bad.to_string()))
        };
        let (named, creditor) = (key("mapping")?, key("creditor")?);
        let catalog = app.engine().view().catalog()?;
        let mut mapping = match &named {
            None => Mapping::default(),
            Some(name) => {
                let kept = catalog.mappings.get(name);
                let kept =
                    kept.ok_or_else(|| Problem::field("mapping", "there is no mapping of this name"))?;
                (**kept).clone()
            }
        };
        if let Some(creditor) = creditor {
            mapping.defaults.insert(String::from("creditor"), creditor.to_string());
        }
        Ok(Wish { by, mapping_name: named.map(|name| name.to_string()), mapping })
    }
}

fn broken() -> Problem {
    let detail = "The body broke off or is not framed as HTTP/1.1 says.";
    Problem::closing(StatusCode::BAD_REQUEST, "body_broken", detail)
}

impl From<BadForm> for Problem {
    fn from(bad: BadForm) -> Problem {
        match bad {
            BadForm::Type => {
                let detail = "Content-Type must be multipart/form-data.";
                Problem::closing(StatusCode::UNSUPPORTED_MEDIA_TYPE, "wrong_content_type", detail)
            }
            bad => Problem::closing(StatusCode::BAD_REQUEST, "bad_form", format!("The form: {bad}.")),
        }
    }
}

/// `POST /page/imports/{id}/commit`
pub async fn commit(State(app): State<App>, id: Segment, request: Request) -> Response {
    let done = async {
        let (signed, _) = admitted_with(&app, request, Scope::Reminders, FORM_MAX).await?;
        let id: ImportId = id.0.parse().map_err(|_| Problem::not_found())?;
        app.imports().commit(id, signed.name)?;
        Ok(format!("/imports/{id}"))
    };
    answer(done.await)
}
