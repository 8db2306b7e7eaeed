//! The pages of the reminder side: what is owed and what comes next, what a person must do, what was set up, and
//! forms for all that the API takes.
//!
//! Whoever has signed in with the scope `read` sees them; the scope `reminders` changes things, as it does over the
//! API. They are plain pages: no script, so that nothing is taken from under the hands of somebody who fills in a
//! form. Nothing is decided here: reads are [`View`]'s, changes are the engine's.

mod case;
mod entries;
mod forms;
mod imports;
mod lists;
mod multipart;
mod obligation;
mod obligations;
mod sequences;
mod tasks;
mod templates;
mod words;

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::Router;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::{get, post};

use super::say::{Since, visible};
use super::{doing, forms as page_forms, html, refused, refused_login};
use crate::clock::{Now, Timestamp};
use crate::engine::View;
use crate::engine::reminders::Catalog;
use crate::engine::reminders::records::StoredContact;
use crate::http::auth::Scope;
use crate::http::problem::Problem;
use crate::http::session::Signed;
use crate::http::{App, query};

/// Rows of one stretch.
const ROWS: usize = 50;
/// Characters of a name, a description or a note in a list.
const SHOWN: usize = 200;

pub fn routes() -> Router<App> {
    Router::new()
        .route("/obligations", get(obligations::list))
        .route("/obligations/new", get(case::show))
        .route("/obligations/{id}", get(obligation::show))
        .route("/tasks", get(tasks::list))
        .route("/tasks/{id}", get(tasks::show))
        .route("/templates", get(templates::list))
        .route("/templates/new", get(templates::new))
        .route("/templates/{key}/{language}", get(templates::show))
        .route("/sequences", get(sequences::list))
        .route("/sequences/{key}", get(sequences::show))
        .route("/imports", get(imports::list))
        .route("/imports/{id}", get(imports::show))
        .route("/subscriptions", get(lists::subscriptions))
        .route("/contacts", get(lists::contacts))
        .route("/creditors", get(lists::creditors))
        .route("/page/obligations", post(case::make))
        .route("/page/obligations/{id}/{what}", post(forms::change))
        .route("/page/tasks/{id}/{what}", post(tasks::change))
        .route("/page/templates", post(templates::save))
        .route("/page/imports", post(imports::upload))
        .route("/page/imports/{id}/commit", post(imports::commit))
        .route("/page/creditors", post(lists::make_creditor))
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
    let asked = signed.need(Scope::Read).and_then(|()| asked(&parts, names));
    let made = match asked {
        Ok(asked) => look(&app, &signed, asked, make).await,
        Err(problem) => Err(problem),
    };
    match made {
        Ok(page) => html(StatusCode::OK, &page),
        Err(problem) => refused(problem),
    }
}

fn asked(parts: &Parts, names: &[&str]) -> Result<Asked, Problem> {
    let pairs = query(&parts.uri)?;
    match pairs.iter().find(|(name, _)| !names.contains(&name.as_str())) {
        Some((name, _)) => Err(Problem::field(name, "is not a parameter of this page")),
        None => Ok(Asked(pairs)),
    }
}

/// It may be many reads: not on a thread that answers others.
async fn look<P: Send + 'static>(
    app: &App,
    signed: &Signed,
    asked: Asked,
    make: impl FnOnce(Look) -> Result<P, Problem> + Send + 'static,
) -> Result<P, Problem> {
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
