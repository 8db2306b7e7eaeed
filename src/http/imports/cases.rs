//! `/v1/imports`: files of cases. An upload is a dry run; its commit is a call of its own, done once.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State as Shared};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use super::super::auth::Scope;
use super::super::listing::Wish as Listing;
use super::super::messages::no_idempotency_key;
use super::super::problem::Problem;
use super::super::reminders::body::page;
use super::super::{
    App, BODY_WITHIN, NO_BODY, Segment, announced, json as answer, media_of, no_query, query, read_body,
    wrong_type,
};
use crate::engine::imports::dry::Errors;
use crate::engine::imports::spool::{SpoolError, UPLOAD_MAX, Upload};
use crate::engine::imports::{Committed, ImportError, Standing, State, Wish};
use crate::id::ImportId;
use crate::message::TokenName;
use crate::reminder::import::Mapping;
use crate::reminder::name::Key;

/// How long 64 MiB may take to come.
const UPLOAD_WITHIN: Duration = Duration::from_secs(300);

/// `?mapping=NAME&creditor=KEY`, the second for rows that name none.
pub async fn create(Shared(app): Shared<App>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let by = app.allow(&parts, Scope::Reminders).await?;
    let wish = wish(&app, &parts, by)?;
    if media_of(&parts.headers, &["text/csv"]).is_none() {
        return Err(wrong_type("text/csv"));
    }
    let id = spool(&app, &parts, body).await?;
    let checked = app.imports().check(id, wish).await?;
    Ok(answer(StatusCode::CREATED, &shown(&checked)))
}

/// How the query wants the file read.
pub fn wish(app: &App, parts: &Parts, by: TokenName) -> Result<Wish, Problem> {
    no_idempotency_key(&parts.headers)?;
    let (mut mapping_name, mut creditor) = (None, None);
    for (name, value) in query(&parts.uri)? {
        let key = Key::parse(&value).map_err(|why| Problem::field(&name, why.to_string()));
        match name.as_str() {
            "mapping" => mapping_name = Some(key?),
            "creditor" => creditor = Some(key?),
            _ => return Err(Problem::field(&name, "is not a parameter of this call")),
        }
    }
    let mut mapping = match &mapping_name {
        None => Mapping::default(),
        Some(name) => {
            let catalog = app.engine().view().catalog()?;
            let kept = catalog.mappings.get(name);
            kept.map(|kept| (**kept).clone())
                .ok_or_else(|| Problem::field("mapping", "there is no mapping of this name"))?
        }
    };
    if let Some(creditor) = creditor {
        mapping.defaults.insert(String::from("creditor"), creditor.to_string());
    }
    Ok(Wish { by, mapping_name: mapping_name.map(|name| name.to_string()), mapping })
}

/// The body as it comes into a file; what breaks off leaves none, and what is too large does not begin.
pub async fn spool(app: &App, parts: &Parts, body: Body) -> Result<ImportId, Problem> {
    if announced(&parts.headers).is_some_and(|octets| octets > UPLOAD_MAX) {
        return Err(ImportError::Spool(SpoolError::TooLarge).into());
    }
    let (id, mut upload) = app.imports().begin()?;
    let came = app.clock().within(UPLOAD_WITHIN, pour(body, &mut upload)).await;
    let came = came.unwrap_or_else(|| {
        let detail = "The body did not come in time.";
        Err(Problem::closing(StatusCode::REQUEST_TIMEOUT, "body_timeout", detail))
    });
    match came {
        Ok(()) => {
            upload.finish().map_err(ImportError::Spool)?;
            Ok(id)
        }
        Err(problem) => {
            upload.discard().map_err(ImportError::Spool)?;
            Err(problem)
        }
    }
}

async fn pour(mut body: Body, upload: &mut Upload) -> Result<(), Problem> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| {
            let detail = "The body broke off or is not framed as HTTP/1.1 says.";
            Problem::closing(StatusCode::BAD_REQUEST, "body_broken", detail)
        })?;
        if let Some(octets) = frame.data_ref() {
            // A write into the page cache: what a sync takes is waited for elsewhere.
            upload.write(octets).map_err(ImportError::Spool)?;
        }
    }
    Ok(())
}

pub async fn list(Shared(app): Shared<App>, parts: Parts) -> Result<Response, Problem> {
    app.allow(&parts, Scope::Read).await?;
    let wish = Listing::parse(query(&parts.uri)?, true, |_, _| Ok(false))?;
    let after = wish.cursor(|text| text.parse::<ImportId>().ok())?;
    let mut rows = app.imports().list(after, wish.newest_first, wish.limit + 1)?;
    let more = rows.len() > wish.limit;
    rows.truncate(wish.limit);
    let next = rows.last().filter(|_| more).map(|row| row.note.id.to_string());
    Ok(page(rows.iter().map(brief).collect(), next))
}

pub async fn look(Shared(app): Shared<App>, id: Segment, parts: Parts) -> Result<Response, Problem> {
    app.allow(&parts, Scope::Read).await?;
    no_query(&parts.uri)?;
    Ok(answer(StatusCode::OK, &shown(&app.imports().look(parse(&id)?)?)))
}

pub async fn commit(Shared(app): Shared<App>, id: Segment, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let by = app.allow(&parts, Scope::Reminders).await?;
    no_query(&parts.uri)?;
    no_idempotency_key(&parts.headers)?;
    read_body(app.clock(), &parts.headers, body, NO_BODY, BODY_WITHIN).await?;
    let standing = app.imports().commit(parse(&id)?, by)?;
    let is_over = matches!(standing.note.state, State::Committed { .. });
    let status = if is_over { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok(answer(status, &shown(&standing)))
}

fn parse(id: &Segment) -> Result<ImportId, Problem> {
    id.0.parse().map_err(|_| Problem::not_found())
}

/// Without the lists of a file's faults.
fn brief(standing: &Standing) -> Value {
    let mut value = shown(standing);
    if let Some(fields) = value.as_object_mut() {
        fields.remove("errors");
        fields.remove("warnings");
    }
    value
}

fn shown(standing: &Standing) -> Value {
    let Standing { note, done } = standing;
    let dry = &note.dry;
    let (result, why, done) = match &note.state {
        State::Committed { result, at } => (Some(committed(result, at.to_rfc3339())), None, Some(dry.rows)),
        State::Failed { why } => (None, Some(why), *done),
        State::Checked | State::Committing => (None, None, *done),
    };
    json!({
        "id": note.id.to_string(),
        "state": standing.state(),
        "at": note.at.to_rfc3339(),
        "by": note.by,
        "mapping": note.mapping_name,
        "rows": dry.rows,
        "valid": dry.valid,
        "done": done,
        "errors": dry.errors.first,
        "error_count": dry.errors.count,
        "delta": dry.delta,
        "texts": dry.texts,
        "segments": dry.segments,
        "finish_estimate": dry.finish_estimate.map(|at| at.to_rfc3339()),
        "warnings": dry.warnings,
        "result": result,
        "why": why,
    })
}

fn committed(result: &Committed, at: String) -> Value {
    let Committed { created, changed, unchanged, rejected, errors: Errors { first, count } } = result;
    json!({"at": at, "created": created, "changed": changed, "unchanged": unchanged, "rejected": rejected,
        "errors": first, "error_count": count})
}

impl From<ImportError> for Problem {
    fn from(error: ImportError) -> Problem {
        let said = error.to_string();
        match error {
            ImportError::NotFound => Problem::not_found(),
            ImportError::Expired => Problem::new(StatusCode::CONFLICT, "import_expired", said),
            ImportError::Busy => Problem::new(StatusCode::CONFLICT, "import_busy", said),
            ImportError::File(_) => Problem::field("file", said),
            ImportError::Spool(SpoolError::TooLarge) => {
                let detail = format!("The body is larger than {UPLOAD_MAX} bytes.");
                Problem::closing(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
            }
            ImportError::Read(error) => error.into(),
            ImportError::Refused(refusal) => refusal.into(),
            ImportError::Spool(SpoolError::Io(..)) => {
                tracing::error!(event = "import_not_kept", error = %said);
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "import_not_kept", "The file cannot be kept.")
            }
            ImportError::Broken => Problem::internal(),
        }
    }
}
