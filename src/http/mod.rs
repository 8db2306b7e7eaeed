//! The JSON API, the status page and the metrics. Floor 4, and the only floor that names axum.
//!
//! It parses, asks the engine, and shows. Nothing is decided here about a message beyond the form of its
//! fields, and no success is answered before the engine has answered. [`serve`] owns the sockets and what
//! holds for every request; a module a subject holds the calls; [`problem`] is how all of them say no.

pub mod auth;
mod batch;
mod clicks;
mod csv;
mod draft;
mod events;
mod fields;
mod guard;
mod health;
mod holds;
mod imports;
mod inbound;
mod links;
mod listing;
mod messages;
mod optouts;
mod page;
pub mod problem;
mod redirect;
mod reminders;
pub mod serve;
mod session;
mod show;
mod webhooks;
mod wire;

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Path as PathParam, Query};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::Response;
use axum::routing::{get, post};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::Serialize;
use tokio::sync::Semaphore;

use crate::clock::{Clock, Now};
use crate::engine::imports::Imports;
use crate::engine::{Engine, ReadError, View};
use crate::message::TokenName;
use crate::sms::national::Language;

use auth::{Scope, TokenFile, Tokens};
use page::traffic::Traffic;
use problem::Problem;
use session::{Doing, Sessions, Signed};

/// A body beyond this is refused, except for a batch.
pub const MAX_BODY: usize = 256 * 1024;
/// Some calls take no body; a few blank bytes that a client sends are no offence.
const NO_BODY: usize = 64;
/// How long the body of a request may take to come.
const BODY_WITHIN: Duration = Duration::from_secs(5);

/// What all calls share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct App(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    engine: Engine,
    tokens: Tokens,
    sessions: Sessions,
    traffic: Traffic,
    imports: Imports,
    clock: Clock,
    languages: Vec<Language>,
    /// Places for streams of events.
    streams: Arc<Semaphore>,
}

impl App {
    /// `state_dir` is where the token list is looked for.
    pub fn new(engine: Engine, clock: Clock, state_dir: &Path) -> App {
        App::with_tables(engine, clock, state_dir, Vec::new())
    }

    /// One whose texts may go by national tables of `languages`.
    pub fn with_tables(engine: Engine, clock: Clock, state_dir: &Path, languages: Vec<Language>) -> App {
        let tokens = Tokens::new(TokenFile::new(state_dir), clock.clone());
        let sessions = Sessions::new(clock.clone());
        let imports = Imports::new(engine.clone(), clock.clone(), state_dir);
        let (traffic, streams) = (Traffic::default(), Arc::new(Semaphore::new(events::STREAMS)));
        App(Arc::new(Shared { engine, tokens, sessions, traffic, imports, clock, languages, streams }))
    }

    fn streams(&self) -> Arc<Semaphore> {
        self.0.streams.clone()
    }

    fn languages(&self) -> &[Language] {
        &self.0.languages
    }

    fn engine(&self) -> &Engine {
        &self.0.engine
    }

    fn tokens(&self) -> &Tokens {
        &self.0.tokens
    }

    fn sessions(&self) -> &Sessions {
        &self.0.sessions
    }

    /// Imports, for workers that feed them too.
    pub fn imports(&self) -> &Imports {
        &self.0.imports
    }

    fn traffic(&self) -> &Traffic {
        &self.0.traffic
    }

    /// Who is signed in on the page.
    fn signed(&self, headers: &HeaderMap, doing: Doing) -> Option<Signed> {
        self.0.sessions.find(headers, &self.0.tokens, doing)
    }

    fn clock(&self) -> &Clock {
        &self.0.clock
    }

    fn now(&self) -> Now {
        self.0.clock.now()
    }

    /// Reads the applied state. It may be thousands of rows: not on a thread that answers others.
    async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&View) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, Problem> {
        let view = self.engine().view().clone();
        let read = tokio::task::spawn_blocking(move || look(&view));
        Ok(read.await.map_err(|_| Problem::internal())??)
    }

    /// Whoever asks must hold a token with `scope`.
    async fn allow(&self, parts: &Parts, scope: Scope) -> Result<TokenName, Problem> {
        let from = parts.extensions.get::<Peer>().and_then(|peer| peer.address);
        self.0.tokens.check(&parts.headers, scope, from).await
    }

    fn router(&self) -> Router {
        Router::new()
            .route("/v1/messages", post(messages::create).get(messages::list))
            .route("/v1/messages/batch", post(batch::create))
            .route("/v1/batches/{id}", get(batch::look))
            .route("/v1/batches/{id}/cancel", post(batch::cancel))
            .route("/v1/messages/{id}", get(messages::show).delete(messages::cancel))
            .route("/v1/messages/{id}/resolve", post(messages::resolve))
            .route("/v1/unknowns/resolve", post(messages::resolve_many))
            .route("/v1/inbound", get(inbound::list))
            .route("/v1/inbound/{id}", get(inbound::look))
            .route("/v1/conversations/{number}", get(inbound::conversation))
            .route("/v1/optouts", get(optouts::list).post(optouts::add).delete(optouts::remove_named))
            .route("/v1/optouts.csv", get(optouts::export))
            .route("/v1/optouts/{number}", get(optouts::look).delete(optouts::remove))
            .route("/v1/holds", get(holds::list))
            .route("/v1/holds/{number}", get(holds::look).delete(holds::release))
            .route("/v1/links", get(links::list))
            .route("/v1/links/{name}", get(links::look))
            .route("/v1/links/{name}/pause", post(links::pause))
            .route("/v1/links/{name}/resume", post(links::resume))
            .route("/v1/links/{name}/restart", post(links::restart))
            .route("/v1/events", get(events::list))
            .route("/v1/webhooks", get(webhooks::list))
            .route("/v1/webhooks/{name}", get(webhooks::look))
            .route("/v1/webhooks/{name}/deliveries", get(webhooks::deliveries))
            .route("/v1/webhooks/{name}/test", post(webhooks::test))
            .route("/v1/webhooks/{name}/replay", post(webhooks::replay))
            .route("/v1/status", get(links::status))
            .route("/v1/pause", post(links::pause_all))
            .route("/v1/resume", post(links::resume_all))
            .route("/v1/clicks", post(clicks::create))
            .route("/v1/clock/accept", post(links::accept_clock))
            .route("/healthz", get(health::live))
            .route("/readyz", get(health::ready))
            .route("/metrics", get(health::metrics))
            .merge(imports::routes())
            .merge(reminders::routes())
            .merge(page::routes())
            .fallback(|| async { Problem::not_found() })
            .with_state(self.clone())
    }
}

/// Who is at the other end of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Peer {
    /// `None` on a unix socket.
    address: Option<IpAddr>,
}

impl Peer {
    fn is_local(&self) -> bool {
        self.address.is_none_or(|address| address.to_canonical().is_loopback())
    }
}

/// One name or id out of the path. What cannot be decoded names nothing.
struct Segment(String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Segment, Problem> {
        let param = PathParam::<String>::from_request_parts(parts, state).await;
        param.map(|PathParam(text)| Segment(text)).map_err(|_| Problem::not_found())
    }
}

/// The query as pairs; each name once.
fn query(uri: &Uri) -> Result<Vec<(String, String)>, Problem> {
    let parsed = Query::<Vec<(String, String)>>::try_from_uri(uri);
    let Query(pairs) = parsed.map_err(|_| Problem::bad_request("bad_query", "The query cannot be read."))?;
    let twice = |(at, (name, _)): &(usize, &(String, String))| pairs[..*at].iter().any(|(n, _)| n == name);
    match pairs.iter().enumerate().find(twice) {
        Some((_, (name, _))) => Err(Problem::field(name, "stands more than once")),
        None => Ok(pairs),
    }
}

/// For calls that take no query: a filter that would be ignored, or a token in the address, is refused.
fn no_query(uri: &Uri) -> Result<(), Problem> {
    match query(uri)?.first() {
        Some((name, _)) => Err(Problem::field(name, "is not a parameter of this call")),
        None => Ok(()),
    }
}

/// The whole body, or why not: too large, too slow, broken off.
async fn read_body(
    clock: &Clock,
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    within: Duration,
) -> Result<Bytes, Problem> {
    let too_large = || {
        let detail = format!("The body is larger than {limit} bytes.");
        Problem::closing(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
    };
    if announced(headers).is_some_and(|length| length > limit as u64) {
        return Err(too_large());
    }
    match clock.within(within, Limited::new(body, limit).collect()).await {
        None => {
            let detail = "The body did not come in time.";
            Err(Problem::closing(StatusCode::REQUEST_TIMEOUT, "body_timeout", detail))
        }
        Some(Ok(collected)) => Ok(collected.to_bytes()),
        Some(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Some(Err(_)) => {
            let detail = "The body broke off or is not framed as HTTP/1.1 says.";
            Err(Problem::closing(StatusCode::BAD_REQUEST, "body_broken", detail))
        }
    }
}

/// How long the body will be, where its sender says.
fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The body of a call that takes one JSON object.
async fn read_json(app: &App, parts: &Parts, body: Body) -> Result<Bytes, Problem> {
    if media_type(&parts.headers) != Some("application/json") {
        return Err(wrong_type("application/json"));
    }
    read_body(app.clock(), &parts.headers, body, MAX_BODY, BODY_WITHIN).await
}

fn wrong_type(right: &str) -> Problem {
    let detail = format!("Content-Type must be {right}.");
    Problem::closing(StatusCode::UNSUPPORTED_MEDIA_TYPE, "wrong_content_type", detail)
}

/// Which type of JSON the body is.
fn media_type(headers: &HeaderMap) -> Option<&'static str> {
    media_of(headers, &["application/json", "application/x-ndjson", "application/ndjson"])
}

/// Which of these the body is, without parameters; a charset other than UTF-8 makes it another type.
fn media_of(headers: &HeaderMap, known: &[&'static str]) -> Option<&'static str> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let text = values.next()?.to_str().ok()?;
    let mut parameters = text.split(';').map(str::trim);
    let media = parameters.next()?;
    let utf8 = |parameter: &str| {
        parameter.is_empty()
            || parameter.eq_ignore_ascii_case("charset=utf-8")
            || parameter.eq_ignore_ascii_case("charset=\"utf-8\"")
    };
    let known = known.iter().find(|name| media.eq_ignore_ascii_case(name))?;
    (values.next().is_none() && parameters.all(utf8)).then_some(*known)
}

/// A JSON answer.
fn json<T: Serialize>(status: StatusCode, value: &T) -> Response {
    match serde_json::to_vec(value) {
        Ok(bytes) => typed(status, "application/json", bytes),
        Err(error) => {
            tracing::error!(event = "answer_not_encoded", %error);
            axum::response::IntoResponse::into_response(Problem::internal())
        }
    }
}

fn typed(status: StatusCode, media: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
    response
}
