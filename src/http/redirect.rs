//! Payment links by way of this machine: `GET /p/TOKEN` and nothing else, on a listener of its own.
//!
//! Where it leads comes from the obligation's record alone, never from the request. A token that is none, one that
//! expired and one never given look the same and take the same time; no answer names a person, a debt or a firm.
//! What a visit counts as is [`crate::reminder::link::Click`]'s rule; counting delays and refuses no visitor.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION, REFERRER_POLICY, RETRY_AFTER, USER_AGENT};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use axum::routing::get;
use tokio::sync::Semaphore;

use super::{App, Peer};
use crate::clock::Timestamp;
use crate::config::Redirect;
use crate::engine::reminders::Change;
use crate::engine::visits::{Led, Told, is_repeat, lead};
use crate::message::TokenName;
use crate::reminder::link::{Click, Machine, Token};

/// Every answer comes this long after its request: longer than any look-up, shorter than anybody notices.
const ANSWER_AFTER: Duration = Duration::from_millis(25);
/// Visits of one address in a window. A proxy in front is one address: it may send what a big firm's reminders bring.
const VISITS_MAX: u32 = 600;
const WINDOW: Duration = Duration::from_secs(10);
/// Addresses remembered; where there are more, all are forgotten at once.
const ADDRESSES_MAX: usize = 10_000;
/// People remembered who just came; where there are more, all are forgotten at once, as they are in the books by then.
const PEOPLE_MAX: usize = 10_000;
/// Visits that are counted at a time; those beyond lead on and are not counted.
const COUNTED_AT_ONCE: usize = 64;
/// Who counts; no token has a blank in its name.
const BY: &str = "payment links";

const ROBOTS: HeaderName = HeaderName::from_static("x-robots-tag");
const MISS: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Not found</title>\
    <p>This link leads nowhere. Please use the newest message, or call.</p></html>";
const SETTLED: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Settled</title>\
    <p>This has been settled: nothing is to be paid here any more. Thank you.</p></html>";

#[derive(Clone)]
struct Desk(Arc<Shared>);

struct Shared {
    app: App,
    settings: Redirect,
    visits: Mutex<HashMap<IpAddr, (Instant, u32)>>,
    /// When a person last came by a token: the books hear of it a little later.
    people: Mutex<HashMap<Token, Timestamp>>,
    counting: Arc<Semaphore>,
}

pub fn router(app: &App, settings: &Redirect) -> Router {
    let desk = Desk(Arc::new(Shared {
        app: app.clone(),
        settings: settings.clone(),
        visits: Mutex::default(),
        people: Mutex::default(),
        counting: Arc::new(Semaphore::new(COUNTED_AT_ONCE)),
    }));
    Router::new()
        .route("/p/{token}", get(visit))
        .fallback(async || page(StatusCode::NOT_FOUND, MISS))
        .with_state(desk)
}

async fn visit(
    State(desk): State<Desk>,
    token: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    // What is not even text is no token either.
    let token = token.map(|Path(token)| token).unwrap_or_default();
    let clock = desk.0.app.clock().clone();
    let now = clock.now();
    let from = request.extensions().get::<Peer>().and_then(|peer| peer.address);
    if !desk.0.admits(from, now.mono) {
        let mut response = page(StatusCode::TOO_MANY_REQUESTS, MISS);
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("10"));
        return response;
    }
    let (agent, method) = (agent(request.headers()), request.method().to_string());
    let answer = desk.answer(&token, (agent, method), now.wall).await;
    clock.sleep_until(now.mono + ANSWER_AFTER).await;
    answer
}

impl Shared {
    fn admits(&self, from: Option<IpAddr>, now: Instant) -> bool {
        // A unix socket has one client: the proxy, which minds its own.
        let Some(from) = from else { return true };
        let mut visits = self.visits.lock().unwrap_or_else(PoisonError::into_inner);
        if visits.len() >= ADDRESSES_MAX && !visits.contains_key(&from) {
            visits.clear();
        }
        let (since, count) = visits.entry(from).or_insert((now, 0));
        if now.saturating_duration_since(*since) >= WINDOW {
            (*since, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
        *count <= VISITS_MAX
    }

    /// Of people who come by one token at once, the first.
    fn first(&self, token: Token, click: Click, now: Timestamp) -> Click {
        if click != Click::Human {
            return click;
        }
        let mut people = self.people.lock().unwrap_or_else(PoisonError::into_inner);
        if people.len() >= PEOPLE_MAX && !people.contains_key(&token) {
            people.clear();
        }
        match people.insert(token, now) {
            Some(before) if is_repeat(now, before) => {
                people.insert(token, before);
                Click::Fetch(Machine::Repeat)
            }
            _ => click,
        }
    }
}

impl Desk {
    async fn answer(&self, token: &str, (agent, method): (String, String), now: Timestamp) -> Response {
        // What is no token is looked up too, as one that nobody has.
        let asked = Token::parse(token).ok();
        let token = asked.unwrap_or(Token::from_random([0; 8]));
        let expires = self.0.settings.expires;
        let looked = self.0.app.read(move |view| {
            let told = Told { token, agent: &agent, method: &method, at: now, last_human: None };
            lead(view, told, expires)
        });
        match looked.await {
            Ok(Led::To { target, click }) if asked.is_some() => {
                self.count(token, click.map(|click| self.0.first(token, click, now)));
                let Ok(location) = HeaderValue::from_str(&target) else {
                    return page(StatusCode::NOT_FOUND, MISS);
                };
                let mut response = page(StatusCode::FOUND, "");
                response.headers_mut().insert(LOCATION, location);
                response
            }
            Ok(Led::Settled) if asked.is_some() => page(StatusCode::OK, SETTLED),
            Ok(_) => page(StatusCode::NOT_FOUND, MISS),
            Err(_) => page(StatusCode::SERVICE_UNAVAILABLE, MISS),
        }
    }

    /// Beside the answer: what cannot be counted now is not.
    fn count(&self, token: Token, click: Option<Click>) {
        let Some(click) = click.filter(|_| self.0.settings.clicks) else { return };
        let Ok(place) = self.0.counting.clone().try_acquire_owned() else { return };
        let engine = self.0.app.engine().clone();
        tokio::spawn(async move {
            let change = Change::Click { token: token.as_u64(), human: click == Click::Human };
            if let Err(error) = engine.change(vec![change], TokenName::from(BY)).await {
                tracing::debug!(event = "click_not_counted", %error);
            }
            drop(place);
        });
    }
}

/// As much of it as is looked at.
fn agent(headers: &HeaderMap) -> String {
    let agent = headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok());
    agent.unwrap_or_default().chars().take(512).collect()
}

fn page(status: StatusCode, text: &'static str) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(ROBOTS, HeaderValue::from_static("noindex, nofollow"));
    response
}
