//! `/v1/templates`: a firm's words, one language of one key each, with their version as an entity tag; what is
//! wrong or doubtful about them, and what they come to for those they may go to.

use axum::Router;
use axum::extract::{FromRequestParts, Path as PathParam, Request, State};
use axum::http::StatusCode;
use axum::http::header::IF_NONE_MATCH;
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::{Caller, answer, asked, change, page, tagged, written};
use super::setup::stretch_of;
use crate::engine::Change;
use crate::engine::reminders::catalog::{Catalog, Saved};
use crate::engine::reminders::view::{ObligationFilter, Place, Stretch};
use crate::http::auth::Scope;
use crate::http::listing::Wish;
use crate::http::problem::Problem;
use crate::http::{App, Segment, no_query, query};
use crate::reminder::name::{Key, Language};
use crate::reminder::template::lint::{self, Warning};
use crate::reminder::template::{BadTemplate, Compiled, Template};

/// Obligations that one preview looks at where it does not say, and at most: what it takes is bounded.
const AUDIENCE: usize = 5_000;

pub fn routes() -> Router<App> {
    Router::new()
        .route("/v1/templates", get(list).post(make))
        .route("/v1/templates/lint", post(lint_new))
        .route("/v1/templates/preview", post(preview_new))
        .route("/v1/templates/{key}", get(languages))
        .route("/v1/templates/{key}/{language}", get(look).put(put))
        .route("/v1/templates/{key}/{language}/lint", get(lint_saved))
        .route("/v1/templates/{key}/{language}/preview", post(preview_saved))
}

/// Key and language out of the path.
struct Named(String, String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Named, Problem> {
        let params = PathParam::<(String, String)>::from_request_parts(parts, state).await;
        params.map(|PathParam((key, language))| Named(key, language)).map_err(|_| Problem::not_found())
    }
}

impl Named {
    fn find<'a>(&self, catalog: &'a Catalog) -> Result<&'a Saved, Problem> {
        let languages = catalog.templates.get(self.0.as_str());
        languages.and_then(|languages| languages.get(self.1.as_str())).ok_or_else(Problem::not_found)
    }
}

pub fn shown(saved: &Saved) -> Value {
    let mut json = serde_json::to_value(saved.compiled.template()).unwrap_or_default();
    if let Value::Object(members) = &mut json {
        members.insert(String::from("version"), saved.version.into());
    }
    json
}

async fn list(State(app): State<App>, parts: Parts) -> Result<Response, Problem> {
    app.allow(&parts, Scope::Read).await?;
    let wish = Wish::parse(query(&parts.uri)?, false, |_, _| Ok(false))?;
    let after = wish.cursor(name_of)?;
    let catalog = app.engine().view().catalog()?;
    let names: Vec<(Key, Language)> = catalog
        .templates
        .iter()
        .flat_map(|(key, languages)| languages.keys().map(|language| (key.clone(), language.clone())))
        .collect();
    let (names, next) = stretch_of(names.iter().collect(), after.as_ref(), &wish);
    let saved = |(key, language): &&(Key, Language)| catalog.templates.get(key)?.get(language);
    let rows = names.iter().filter_map(saved).map(shown).collect();
    Ok(page(rows, next.map(|(key, language)| format!("{key}/{language}"))))
}

fn name_of(text: &str) -> Option<(Key, Language)> {
    let (key, language) = text.split_once('/')?;
    Some((Key::parse(key).ok()?, Language::parse(language).ok()?))
}

/// All languages of one key.
async fn languages(State(app): State<App>, key: Segment, parts: Parts) -> Result<Response, Problem> {
    app.allow(&parts, Scope::Read).await?;
    no_query(&parts.uri)?;
    let catalog = app.engine().view().catalog()?;
    let languages = catalog.templates.get(key.0.as_str()).ok_or_else(Problem::not_found)?;
    Ok(page(languages.values().map(shown).collect(), None))
}

async fn look(State(app): State<App>, named: Named, parts: Parts) -> Result<Response, Problem> {
    app.allow(&parts, Scope::Read).await?;
    no_query(&parts.uri)?;
    let catalog = app.engine().view().catalog()?;
    let saved = named.find(&catalog)?;
    Ok(tagged(crate::http::json(StatusCode::OK, &shown(saved)), saved.version.into()))
}

async fn make(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let (parts, by, template) = written::<Template>(&app, request).await?;
    no_query(&parts.uri)?;
    keep(&app, template, by, &parts).await
}

async fn put(State(app): State<App>, named: Named, request: Request) -> Result<Response, Problem> {
    let (parts, by, template) = written::<Template>(&app, request).await?;
    no_query(&parts.uri)?;
    if template.key.as_str() != named.0 {
        return Err(Problem::field("key", "is not the one in the address"));
    }
    if template.language.as_str() != named.1 {
        return Err(Problem::field("language", "is not the one in the address"));
    }
    keep(&app, template, by, &parts).await
}

/// The version it must have: what `If-Match` says, or none at all with `If-None-Match: *`.
fn expected(parts: &Parts, if_match: Option<u64>) -> Result<Option<u32>, Problem> {
    if let Some(none) = parts.headers.get(IF_NONE_MATCH) {
        let any = none == "*";
        return any.then_some(Some(0)).ok_or_else(|| Problem::field("If-None-Match", "must be *"));
    }
    // A version beyond what there can be is one it does not have.
    Ok(if_match.map(|version| u32::try_from(version).unwrap_or(u32::MAX)))
}

async fn keep(app: &App, template: Template, mut by: Caller, parts: &Parts) -> Result<Response, Problem> {
    let expect = expected(parts, by.terms.expect.take())?;
    let warnings = lint::lint(&compiled(template.clone())?);
    if let Some(refusing) = warnings.iter().find(|warning| warning.code.refuses()) {
        return Err(Problem::field("body", refusing.why.clone()));
    }
    let named = Named(template.key.to_string(), template.language.to_string());
    let wanted = Change::Template { template: Box::new(template), expect };
    let changed = change(app, wanted, by, "").await?;
    let catalog = app.engine().view().catalog()?;
    let saved = named.find(&catalog)?;
    let mut json = shown(saved);
    if let Value::Object(members) = &mut json {
        members.insert(String::from("warnings"), json!(warnings));
    }
    Ok(tagged(answer(changed.how, json), saved.version.into()))
}

fn compiled(template: Template) -> Result<Compiled, Problem> {
    Compiled::new(template).map_err(|bad| match &bad {
        BadTemplate::Body(fault) => Problem::field("body", fault.to_string()),
        BadTemplate::BodyShort(fault) => Problem::field("body_short", fault.to_string()),
        BadTemplate::Segments => Problem::field("max_segments", bad.to_string()),
    })
}

fn findings(warnings: &[Warning]) -> Response {
    let may_save = !warnings.iter().any(|warning| warning.code.refuses());
    crate::http::json(StatusCode::OK, &json!({"may_save": may_save, "warnings": warnings}))
}

/// What there is to say about a template that is not saved.
async fn lint_new(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let (parts, template) = asked::<Template>(&app, request).await?;
    no_query(&parts.uri)?;
    Ok(findings(&lint::lint(&compiled(template)?)))
}

async fn lint_saved(State(app): State<App>, named: Named, parts: Parts) -> Result<Response, Problem> {
    app.allow(&parts, Scope::Read).await?;
    no_query(&parts.uri)?;
    let catalog = app.engine().view().catalog()?;
    Ok(findings(&lint::lint(&named.find(&catalog)?.compiled)))
}

/// Whom a preview is for.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Audience {
    #[serde(default)]
    creditor: Option<Key>,
    #[serde(default)]
    sequence: Option<Key>,
    /// Obligations looked at; fewer are a sample.
    #[serde(default)]
    limit: Option<usize>,
    /// Where the page before ended.
    #[serde(default)]
    cursor: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PreviewBody {
    template: Template,
    #[serde(default)]
    audience: Audience,
}

async fn preview_new(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = asked::<PreviewBody>(&app, request).await?;
    no_query(&parts.uri)?;
    preview(&app, compiled(body.template)?, body.audience).await
}

async fn preview_saved(State(app): State<App>, named: Named, request: Request) -> Result<Response, Problem> {
    let (parts, audience) = asked::<Audience>(&app, request).await?;
    no_query(&parts.uri)?;
    let catalog = app.engine().view().catalog()?;
    let compiled = named.find(&catalog)?.compiled.clone();
    preview(&app, compiled, audience).await
}

async fn preview(app: &App, compiled: Compiled, audience: Audience) -> Result<Response, Problem> {
    let limit = audience.limit.unwrap_or(AUDIENCE);
    if !(1..=AUDIENCE).contains(&limit) {
        return Err(Problem::field("audience.limit", format!("must be 1 to {AUDIENCE}")));
    }
    let after = audience.cursor.as_deref().map(str::parse::<Place>).transpose();
    let after = after.map_err(|bad| Problem::field("audience.cursor", bad.to_string()))?;
    let filter = ObligationFilter {
        creditor: audience.creditor,
        sequence: audience.sequence,
        ..ObligationFilter::default()
    };
    let (stretch, now) = (Stretch { after, back: false, limit }, app.now().wall);
    let shown = app.read(move |view| view.preview(&compiled, &filter, &stretch, now)).await?;
    let mut json = serde_json::to_value(&shown.preview).unwrap_or_default();
    if let Value::Object(members) = &mut json {
        members.insert(String::from("without_situation"), shown.without_situation.into());
        members.insert(String::from("without_disclosure"), shown.without_disclosure.into());
        let next = shown.next.map(|place| place.to_string());
        members.insert(String::from("next_cursor"), json!(next));
    }
    Ok(crate::http::json(StatusCode::OK, &json))
}
