//! What the page changes: sign in and out, pause, resume and restart, accept the clock, decide an unknown or a hold,
//! opt-outs.
//!
//! Each form is read, its key is checked against the session, then its scope; only then the engine is asked.
//! What was done shows on the page one is sent back to; what was refused says why on a page of its own.

use std::net::IpAddr;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, LOCATION, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;

use crate::engine::OptOutEntry;
use crate::http::auth::Scope;
use crate::http::problem::Problem;
use crate::http::session::{Doing, Signed};
use crate::http::{App, BODY_WITHIN, Peer, read_body, wrong_type};
use crate::id::MessageId;
use crate::message::{LinkName, Msisdn, Resolution};
use crate::reminder::suppression::Party;

/// A form of this page is a few hundred bytes.
const MAX_FORM: usize = 4 * 1024;
/// Parts of the status page one is sent back to.
const SECTIONS: [&str; 4] = ["links", "unknowns", "held", "optouts"];
/// Where an opt-out of a person is known from.
const NOTE: &str = "status page";
const MEDIA: &str = "application/x-www-form-urlencoded";

/// The fields of a form, by name.
pub struct Form(pub Vec<(String, String)>);

impl Form {
    async fn read(app: &App, parts: &Parts, body: Body, most: usize) -> Result<Form, Problem> {
        let media = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media = media.and_then(|text| text.split(';').next()).unwrap_or_default();
        if !media.trim().eq_ignore_ascii_case(MEDIA) {
            return Err(wrong_type(MEDIA));
        }
        let bytes = read_body(app.clock(), &parts.headers, body, most, BODY_WITHIN).await?;
        Ok(Form(form_urlencoded::parse(&bytes).into_owned().collect()))
    }

    /// A field that stands there once.
    fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.0.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str());
        let first = values.next();
        first.filter(|_| values.next().is_none())
    }

    /// Where the form stands: the page of a number, or a section of the status page.
    fn back(&self) -> String {
        if let Some(Ok(number)) = self.get("conversation").map(Msisdn::parse_e164) {
            return format!("/conversations/{}", number.to_e164());
        }
        let section = self.get("section").and_then(|wanted| SECTIONS.into_iter().find(|s| *s == wanted));
        section.map_or_else(|| String::from("/"), |section| format!("/#{section}"))
    }

    fn need(&self, name: &str) -> Result<&str, Problem> {
        self.get(name).ok_or_else(|| Problem::field(name, "is required, once"))
    }
}

/// The form of somebody who is signed in and may change things.
async fn admitted(app: &App, request: Request) -> Result<(Signed, Form), Problem> {
    admitted_with(app, request, Scope::Admin, MAX_FORM).await
}

/// The form, of at most `most` bytes, of somebody who is signed in with a scope.
pub async fn admitted_with(
    app: &App,
    request: Request,
    scope: Scope,
    most: usize,
) -> Result<(Signed, Form), Problem> {
    let (parts, body) = request.into_parts();
    let signed = app.signed(&parts.headers, Doing::Person).ok_or_else(signed_out)?;
    let form = Form::read(app, &parts, body, most).await?;
    signed.check_form(form.get("key"))?;
    signed.need(scope)?;
    Ok((signed, form))
}

pub fn signed_out() -> Problem {
    Problem::unauthorized("signed_out", "Nobody is signed in, or not any more.")
}

pub async fn login(State(app): State<App>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    match sign_in(&app, &parts, body).await {
        Ok(cookie) => with_cookie(see("/"), cookie),
        Err(problem) => super::refused_login(&app, problem),
    }
}

async fn sign_in(app: &App, parts: &Parts, body: Body) -> Result<HeaderValue, Problem> {
    let form = Form::read(app, parts, body, MAX_FORM).await?;
    let token = form.need("token")?.trim();
    let from: Option<IpAddr> = parts.extensions.get::<Peer>().and_then(|peer| peer.address);
    let (holder, scopes) = app.tokens().look_up(token, from).await?;
    if !scopes.contains(&Scope::Read) && !scopes.contains(&Scope::Admin) {
        let detail = format!("The token {} has neither the scope read nor admin.", holder.name);
        return Err(Problem::new(StatusCode::FORBIDDEN, "scope_missing", detail));
    }
    // The session of whoever sat here before ends with it.
    app.sessions().end(&parts.headers);
    tracing::info!(event = "signed_in", token = %holder.name);
    app.sessions().begin(holder, &parts.headers)
}

pub async fn logout(State(app): State<App>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Some(signed) = app.signed(&parts.headers, Doing::Person) else {
        return with_cookie(see("/"), app.sessions().end(&parts.headers));
    };
    let form = Form::read(&app, &parts, body, MAX_FORM).await;
    match form.and_then(|form| signed.check_form(form.get("key"))) {
        Ok(()) => with_cookie(see("/"), app.sessions().end(&parts.headers)),
        Err(problem) => super::refused(problem),
    }
}

pub async fn pause(State(app): State<App>, request: Request) -> Response {
    answer(set_pause(&app, request, true).await)
}

pub async fn resume(State(app): State<App>, request: Request) -> Response {
    answer(set_pause(&app, request, false).await)
}

/// Without a `link`: all sending.
async fn set_pause(app: &App, request: Request, on: bool) -> Result<String, Problem> {
    let (signed, form) = admitted(app, request).await?;
    let link = form.get("link").map(LinkName::from);
    match on {
        true => app.engine().pause(link, signed.name).await?,
        false => app.engine().resume(link, signed.name).await?,
    }
    Ok(form.back())
}

pub async fn accept_clock(State(app): State<App>, request: Request) -> Response {
    let done = async {
        let (signed, form) = admitted(&app, request).await?;
        app.engine().accept_clock(signed.name).await?;
        Ok(form.back())
    };
    answer(done.await)
}

pub async fn restart(State(app): State<App>, request: Request) -> Response {
    let done = async {
        let (_, form) = admitted(&app, request).await?;
        app.engine().restart_link(form.need("link")?.into()).await?;
        Ok(form.back())
    };
    answer(done.await)
}

pub async fn resolve(State(app): State<App>, request: Request) -> Response {
    answer(set_resolution(&app, request).await)
}

async fn set_resolution(app: &App, request: Request) -> Result<String, Problem> {
    let (_, form) = admitted(app, request).await?;
    let id: MessageId = form.need("id")?.parse().map_err(|_| Problem::not_found())?;
    let how = match form.need("as")? {
        "resend" => Resolution::Resend,
        "sent" => Resolution::Sent,
        "failed" => Resolution::Failed,
        _ => return Err(Problem::field("as", "must be resend, sent or failed")),
    };
    app.engine().resolve(id, how).await?;
    Ok(form.back())
}

pub async fn release(State(app): State<App>, request: Request) -> Response {
    let done = async {
        let (signed, form) = admitted(&app, request).await?;
        let party = party(&form)?;
        app.engine().release_hold(party, signed.name).await?;
        Ok(form.back())
    };
    answer(done.await)
}

pub async fn opt_out(State(app): State<App>, request: Request) -> Response {
    let done = async {
        let (signed, form) = admitted(&app, request).await?;
        let entry = OptOutEntry { party: party(&form)?, at: None, note: String::from(NOTE) };
        app.engine().opt_out(vec![entry], signed.name).await?;
        Ok(form.back())
    };
    answer(done.await)
}

pub async fn lift(State(app): State<App>, request: Request) -> Response {
    let done = async {
        let (signed, form) = admitted(&app, request).await?;
        let party = party(&form)?;
        app.engine().lift_opt_out(party, signed.name).await?;
        Ok(form.back())
    };
    answer(done.await)
}

fn party(form: &Form) -> Result<Party, Problem> {
    let text: String = form.need("party")?.chars().filter(|c| !" -/().\u{a0}".contains(*c)).collect();
    Party::parse(&text).map_err(|error| Problem::field("party", error.to_string()))
}

pub fn answer(done: Result<String, Problem>) -> Response {
    match done {
        Ok(back) => see(&back),
        Err(problem) => super::refused(problem),
    }
}

/// 303: the browser goes there with GET, so that a reload repeats nothing.
pub fn see(path: &str) -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::SEE_OTHER;
    if let Ok(path) = HeaderValue::from_str(path) {
        response.headers_mut().insert(LOCATION, path);
    }
    response
}

fn with_cookie(mut response: Response, cookie: HeaderValue) -> Response {
    response.headers_mut().insert(SET_COOKIE, cookie);
    response
}
