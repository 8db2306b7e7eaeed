//! `/v1/imports/mappings`: how a firm's own files are read, kept under a name.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use serde_json::{Value, json};

use super::super::auth::Scope;
use super::super::listing::Wish;
use super::super::problem::Problem;
use super::super::reminders::body::{self, page};
use super::super::reminders::setup::stretch_of;
use super::super::{App, Segment, json as answer, no_query, query, read_json};
use crate::engine::reminders::{Change, ChangeRefusal};
use crate::reminder::import::Mapping;
use crate::reminder::name::Key;

pub async fn list(State(app): State<App>, parts: Parts) -> Result<Response, Problem> {
    app.allow(&parts, Scope::Read).await?;
    let wish = Wish::parse(query(&parts.uri)?, false, |_, _| Ok(false))?;
    let after = wish.cursor(|text| Key::parse(text).ok())?;
    let catalog = app.engine().view().catalog()?;
    let (names, next) = stretch_of(catalog.mappings.keys().collect(), after.as_ref(), &wish);
    let row = |name: &&Key| Some(shown(name, catalog.mappings.get(*name)?));
    Ok(page(names.iter().filter_map(row).collect(), next.map(ToString::to_string)))
}

pub async fn look(State(app): State<App>, name: Segment, parts: Parts) -> Result<Response, Problem> {
    app.allow(&parts, Scope::Read).await?;
    no_query(&parts.uri)?;
    let name = parse(&name)?;
    let catalog = app.engine().view().catalog()?;
    let mapping = catalog.mappings.get(&name).ok_or_else(Problem::not_found)?;
    Ok(answer(StatusCode::OK, &**mapping))
}

pub async fn put(State(app): State<App>, name: Segment, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let by = app.allow(&parts, Scope::Reminders).await?;
    no_query(&parts.uri)?;
    body::no_if_match(&parts.headers)?;
    let name = parse(&name)?;
    let read = read_json(&app, &parts, body).await?;
    let mapping: Mapping = body::parse(&read)?;
    make(&app, Change::Mapping { name, mapping: Some(Box::new(mapping.clone())) }, by).await?;
    Ok(answer(StatusCode::OK, &mapping))
}

pub async fn remove(State(app): State<App>, name: Segment, parts: Parts) -> Result<Response, Problem> {
    let by = app.allow(&parts, Scope::Reminders).await?;
    no_query(&parts.uri)?;
    body::no_if_match(&parts.headers)?;
    make(&app, Change::Mapping { name: parse(&name)?, mapping: None }, by).await?;
    Ok(answer(StatusCode::OK, &json!({})))
}

async fn make(app: &App, change: Change, by: crate::message::TokenName) -> Result<(), Problem> {
    let answers = app.engine().change(vec![change], by).await?;
    match answers.into_iter().next() {
        Some(Ok(_)) => Ok(()),
        Some(Err(ChangeRefusal::NotFound { .. })) => Err(Problem::not_found()),
        Some(Err(ChangeRefusal::Field { field, why })) => Err(Problem::field(field, why)),
        Some(Err(ChangeRefusal::Closed(refusal))) => Err(refusal.into()),
        Some(Err(other)) => Err(Problem::new(StatusCode::CONFLICT, "mapping_refused", other.to_string())),
        None => Err(Problem::internal()),
    }
}

fn parse(name: &Segment) -> Result<Key, Problem> {
    Key::parse(&name.0).map_err(|why| Problem::field("name", why.to_string()))
}

/// A row of the list; alone it is shown as it is put.
fn shown(name: &Key, mapping: &Mapping) -> Value {
    let mut value = serde_json::to_value(mapping).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        fields.insert(String::from("name"), Value::String(name.to_string()));
    }
    value
}
