//! The status page and the conversations. Whoever comes by sees the verdict and the counts: no number, no
//! text, no name of a link. Whoever has signed in sees the rest, and with the scope `admin` may change it.
//!
//! It works without JavaScript; with it, it updates in place. All that it needs is served from here. Texts
//! of strangers are escaped by the templates and made harmless to read by [`say`].

mod board;
mod conversation;
mod forms;
mod list;
mod problems;
mod reminders;
mod say;
pub mod traffic;
mod verdict;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};

use super::App;
use super::problem::Problem;
use super::session::{Doing, Signed};
use crate::clock::Timestamp;
use crate::engine::Snapshot;
use crate::message::Status;
use board::Board;
use say::{Since, grouped, spoken};

pub use verdict::Verdict;

const STYLE_PATH: &str = "/page/style.css";
const SCRIPT_PATH: &str = "/page/update.js";
/// The script says so of itself; other sites' scripts may not send it.
const UPDATE: &str = "x-nudged-update";

pub fn routes() -> Router<App> {
    Router::new()
        .route("/", get(show))
        .route("/login", post(forms::login))
        .route("/logout", post(forms::logout))
        .route("/page/pause", post(forms::pause))
        .route("/page/resume", post(forms::resume))
        .route("/page/restart", post(forms::restart))
        .route("/page/accept-clock", post(forms::accept_clock))
        .route("/page/resolve", post(forms::resolve))
        .route("/page/release", post(forms::release))
        .route("/page/opt-out", post(forms::opt_out))
        .route("/page/lift", post(forms::lift))
        .route("/messages", get(list::messages))
        .route("/replies", get(list::replies))
        .route("/conversations", get(conversation::search))
        .route("/conversations/{number}", get(conversation::show))
        .route(STYLE_PATH, get(style))
        .route(SCRIPT_PATH, get(script))
        .merge(reminders::routes())
}

async fn show(State(app): State<App>, parts: Parts) -> Response {
    let signed = app.signed(&parts.headers, doing(&parts.headers));
    status_page(&app, StatusCode::OK, signed.as_ref(), None)
}

fn doing(headers: &HeaderMap) -> Doing {
    if headers.contains_key(UPDATE) { Doing::Update } else { Doing::Person }
}

/// The page again, saying why nobody was let in.
fn refused_login(app: &App, problem: Problem) -> Response {
    let why = problem.detail().to_owned();
    as_page(problem, |status| status_page(app, status, None, Some(why)))
}

/// What was not done, and why, for people.
fn refused(problem: Problem) -> Response {
    let (title, detail) = (problem.title(), problem.detail().to_owned());
    let errors = problem.errors().iter().map(|error| format!("{} {}", error.field, error.why)).collect();
    as_page(problem, |status| html(status, &Refused { title, detail, errors }))
}

/// The problem's status, headers and code with a page as its body.
fn as_page(problem: Problem, page: impl FnOnce(StatusCode) -> Response) -> Response {
    let (mut head, _) = problem.into_response().into_parts();
    let (page, body) = page(head.status).into_parts();
    head.status = page.status;
    head.headers.extend(page.headers);
    Response::from_parts(head, body)
}

fn status_page(app: &App, status: StatusCode, signed: Option<&Signed>, refused: Option<String>) -> Response {
    let (snapshot, now) = (app.engine().snapshot(), app.now());
    let board = match signed.map(|signed| Board::of(app, &snapshot, signed, now)).transpose() {
        Ok(board) => board,
        Err(error) => return self::refused(error.into()),
    };
    html(status, &Page::of(&snapshot, board, refused, now.wall))
}

fn html(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => super::typed(status, "text/html; charset=utf-8", text),
        Err(error) => {
            tracing::error!(event = "page_not_rendered", %error);
            Problem::internal().into_response()
        }
    }
}

async fn style() -> Response {
    kept(super::typed(StatusCode::OK, "text/css; charset=utf-8", include_str!("style.css")))
}

async fn script() -> Response {
    kept(super::typed(StatusCode::OK, "text/javascript; charset=utf-8", include_str!("update.js")))
}

/// A browser may keep it for a while; another version of the program may bring another.
fn kept(mut response: Response) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("max-age=300"));
    response
}

#[derive(Template)]
#[template(path = "refused.html", config = "src/http/page/askama.toml")]
struct Refused {
    title: &'static str,
    detail: String,
    errors: Vec<String>,
}

#[derive(Template)]
#[template(path = "status.html", config = "src/http/page/askama.toml")]
struct Page {
    level: &'static str,
    word: &'static str,
    sentence: String,
    since: Option<Since>,
    /// `None` in quarantine: not known.
    counts: Option<Counts>,
    /// `None` when nobody is signed in.
    board: Option<Board>,
    /// Why nobody was let in.
    refused: Option<String>,
    at: Since,
}

struct Counts {
    by_status: Vec<(&'static str, String)>,
    oldest: Option<String>,
}

impl Page {
    fn of(snapshot: &Snapshot, board: Option<Board>, refused: Option<String>, now: Timestamp) -> Page {
        let verdict = match board {
            Some(_) => Verdict::of(snapshot),
            None => Verdict::without_names(snapshot),
        };
        Page {
            level: verdict.level.as_str(),
            word: verdict.level.word(),
            sentence: verdict.sentence,
            since: verdict.since.map(|at| Since::of(at, now)),
            counts: snapshot.known().map(|known| Counts::of(known, now)),
            board,
            refused,
            at: Since::of(snapshot.at, now),
        }
    }
}

impl Counts {
    fn of(snapshot: &Snapshot, now: Timestamp) -> Counts {
        let counts = Status::ALL.iter().zip(snapshot.by_status);
        Counts {
            by_status: counts.map(|(status, count)| (status.as_str(), grouped(count))).collect(),
            oldest: snapshot.oldest_due.map(|at| spoken(now.since(at))),
        }
    }
}
