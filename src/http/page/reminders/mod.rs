//! The pages of the reminder side: what is owed and what comes next, what a person must do, what was set up, and
//! forms for all that the API takes.
//!
//! Whoever has signed in with the scope `read` sees them; the scope `reminders` changes things, as it does over the
//! API. They are plain pages: no script, so that nothing is taken from under the hands of somebody who fills in a
//! form. Nothing is decided here: reads are [`View`]'s, changes are the engine's.

mod case;
mod confirm;
mod contact;
mod creditors;
mod entries;
mod forms;
mod imports;
mod lists;
mod multipart;
mod obligation;
mod obligations;
mod plan;
mod sequences;
mod subscriptions;
mod tasks;
mod templates;
mod words;
mod written;

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::{get, post};

use super::say::{Since, visible};
use super::{as_page, doing, forms as page_forms, html, refused, refused_login};
use crate::clock::{Now, Timestamp};
use crate::engine::View;
use crate::engine::reminders::Catalog;
use crate::engine::reminders::records::StoredContact;
use crate::http::auth::Scope;
use crate::http::problem::Problem;
use crate::http::session::Signed;
use crate::http::{App, query};
use entries::Entries;

/// Rows of one stretch.
const ROWS: usize = 50;
/// Characters of a name, a description or a note in a list.
const SHOWN: usize = 200;

pub fn routes() -> Router<App> {
    Router::new()
        .route("/obligations", get(obligations::list))
        .route("/obligations/new", get(case::show))
        .route("/obligations/{id}", get(obligation::show))
        .route("/obligations/{id}/plan", get(plan::show))
        .route("/tasks", get(tasks::list))
        .route("/tasks/{id}", get(tasks::show))
        .route("/templates", get(templates::list))
        .route("/templates/new", get(templates::new))
        .route("/templates/{key}/{language}", get(templates::show))
        .route("/sequences", get(sequences::list))
        .route("/sequences/new", get(written::new_sequence))
        .route("/sequences/{key}", get(sequences::show))
        .route("/sequences/{key}/change", get(written::sequence))
        .route("/menus/new", get(written::new_menu))
        .route("/menus/{key}", get(written::menu))
        .route("/imports", get(imports::list))
        .route("/imports/{id}", get(imports::show))
        .route("/subscriptions", get(lists::subscriptions))
        .route("/subscriptions/new", get(subscriptions::new))
        .route("/subscriptions/{id}", get(subscriptions::show))
        .route("/contacts", get(lists::contacts))
        .route("/contacts/{id}", get(contact::show))
        .route("/creditors", get(creditors::list))
        .route("/creditors/new", get(creditors::new))
        .route("/creditors/{key}", get(creditors::show))
        .route("/page/obligations", post(case::make))
        .route("/page/obligations/{id}/plan", post(plan::make))
        .route("/page/obligations/{id}/{what}", post(forms::change))
        .route("/page/tasks/{id}/{what}", post(tasks::change))
        .route("/page/templates", post(templates::save))
        .route("/page/imports", post(imports::upload))
        .route("/page/imports/{id}/commit", post(imports::commit))
        .route("/page/creditors", post(creditors::save))
        .route("/page/contacts/{id}", post(contact::save))
        .route("/page/subscriptions", post(subscriptions::make))
        .route("/page/subscriptions/{id}/end", post(subscriptions::end))
        .route("/page/sequences", post(written::save_sequence))
        .route("/page/menus", post(written::save_menu))
}

/// What stands around every page.
pub struct Frame {
    pub name: String,
    pub form_key: String,
    /// Whether forms are shown.
    pub changes: bool,
    pub at: Since,
}

impl Frame {
    fn of(signed: &Signed, now: Timestamp) -> Frame {
        Frame {
            name: signed.name.to_string(),
            form_key: signed.form_key.clone(),
            changes: signed.need(Scope::Reminders).is_ok(),
            at: Since::of(now, now),
        }
    }
}

/// What a page is made of.
struct Look {
    view: View,
    catalog: Arc<Catalog>,
    frame: Frame,
    now: Timestamp,
    clock: Now,
    /// The same text to the same number is refused for so long.
    duplicate_window: Duration,
    asked: Asked,
}

/// What the address asks for besides the page itself.
struct Asked(Vec<(String, String)>);

impl Asked {
    fn none() -> Asked {
        Asked(Vec::new())
    }

    /// A field that was left empty is one that was not given.
    fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.trim());
        found.filter(|value| !value.is_empty())
    }

    fn parse<T, E: std::fmt::Display>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, Problem> {
        let parsed = self.get(name).map(parse).transpose();
        parsed.map_err(|why| Problem::field(name, why.to_string()))
    }
}

/// A page for somebody who may read. `names` are the parameters that its address takes.
async fn page<P: Template + Send + 'static>(
    app: App,
    parts: Parts,
    names: &'static [&'static str],
    make: impl FnOnce(Look) -> Result<P, Problem> + Send + 'static,
) -> Response {
    let Some(signed) = app.signed(&parts.headers, doing(&parts.headers)) else {
        return refused_login(&app, page_forms::signed_out());
    };
    let made = match asked(&parts, names) {
        Ok(asked) => look(&app, &signed, asked, make).await,
        Err(problem) => Err(problem),
    };
    match made {
        Ok(page) => html(StatusCode::OK, &page),
        Err(problem) => told(&app, &signed, problem),
    }
}

/// What somebody who may change the reminder side filled in, in at most `most` bytes; `Err`: the answer to others.
async fn filled(app: &App, request: Request, most: usize) -> Result<(Signed, Entries), Response> {
    match page_forms::admitted_with(app, request, Scope::Reminders, most).await {
        Ok((signed, form)) => Ok((signed, Entries::of(form))),
        Err(problem) if problem.status() == StatusCode::UNAUTHORIZED => Err(refused_login(app, problem)),
        Err(problem) => Err(refused(problem)),
    }
}

/// The form that was not taken, as it was filled in, with what is wrong.
async fn again<P: Template + Send + 'static>(
    app: &App,
    signed: &Signed,
    problem: Problem,
    mut entries: Entries,
    make: impl FnOnce(Look, Entries) -> Result<P, Problem> + Send + 'static,
) -> Response {
    entries.take(&problem);
    match look(app, signed, Asked::none(), |look| make(look, entries)).await {
        Ok(page) => as_page(problem, |status| html(status, &page)),
        Err(problem) => told(app, signed, problem),
    }
}

#[derive(Template)]
#[template(path = "reminders/refused.html", config = "src/http/page/askama.toml")]
struct Refused {
    frame: Frame,
    here: &'static str,
    heading: &'static str,
    detail: String,
    errors: Vec<String>,
}

/// What was not done or is not there, with the way to the other pages.
fn told(app: &App, signed: &Signed, problem: Problem) -> Response {
    let errors = problem.errors().iter();
    let page = Refused {
        frame: Frame::of(signed, app.now().wall),
        here: "",
        heading: heading(problem.status()),
        detail: if problem.errors().is_empty() { problem.detail().to_owned() } else { String::new() },
        errors: errors.map(|error| format!("{} {}", words::plain(&error.field), error.why)).collect(),
    };
    as_page(problem, |status| html(status, &page))
}

fn heading(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => "There is no such page",
        StatusCode::FORBIDDEN => "This token may not do that",
        StatusCode::CONFLICT => "It was not done",
        StatusCode::UNPROCESSABLE_ENTITY | StatusCode::BAD_REQUEST => "That was not understood",
        StatusCode::SERVICE_UNAVAILABLE => "Not now",
        _ => "It did not work",
    }
}

fn asked(parts: &Parts, names: &[&str]) -> Result<Asked, Problem> {
    let pairs = query(&parts.uri)?;
    match pairs.iter().find(|(name, _)| !names.contains(&name.as_str())) {
        Some((name, _)) => Err(Problem::field(name, "is not a parameter of this page")),
        None => Ok(Asked(pairs)),
    }
}

/// For somebody who may read. It may be many reads: not on a thread that answers others.
async fn look<P: Send + 'static>(
    app: &App,
    signed: &Signed,
    asked: Asked,
    make: impl FnOnce(Look) -> Result<P, Problem> + Send + 'static,
) -> Result<P, Problem> {
    signed.need(Scope::Read)?;
    let (view, clock) = (app.engine().view().clone(), app.now());
    let now = clock.wall;
    let frame = Frame::of(signed, now);
    let duplicate_window = app.engine().snapshot().duplicate_window;
    let looked = tokio::task::spawn_blocking(move || {
        let catalog = view.catalog()?;
        make(Look { view, catalog, frame, now, clock, duplicate_window, asked })
    });
    looked.await.map_err(|_| Problem::internal())?
}

/// A person's name as far as one is known.
fn name_of(stored: &StoredContact) -> String {
    let person = &stored.contact;
    let names = [person.first_name.as_deref(), person.last_name.as_deref()];
    let name = names.into_iter().flatten().collect::<Vec<_>>().join(" ");
    let said = match (name.trim().is_empty(), &person.company) {
        (true, Some(company)) => company.clone(),
        (true, None) => String::new(),
        (false, Some(company)) => format!("{name}, {company}"),
        (false, None) => name,
    };
    visible(&said, SHOWN)
}

/// A part of an address, with what it does not allow written by number.
fn in_path(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b':' => {
                shown.push(char::from(byte))
            }
            _ => shown.push_str(&format!("%{byte:02X}")),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_an_id_holds_it_is_one_part_of_an_address() {
        assert_eq!(in_path("inv-1:a_b.c"), "inv-1:a_b.c");
        assert_eq!(in_path("a/b?c=\"<é"), "a%2Fb%3Fc%3D%22%3C%C3%A9");
    }

    #[test]
    fn a_field_left_empty_is_none() {
        let asked = Asked(vec![("q".into(), "  ".into()), ("status".into(), " open ".into())]);
        assert_eq!((asked.get("q"), asked.get("status")), (None, Some("open")));
    }
}
