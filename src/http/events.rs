//! What happened: pages that wait for news, and server-sent events, both from the journal.
//!
//! Who may read hears numbers and texts. An event's id is its place in the journal; `next` and `Last-Event-ID`
//! are such ids, so a reader that comes back misses nothing, or is told that it did.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{ACCEPT, CACHE_CONTROL};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use futures_util::stream;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;

use super::auth::Scope;
use super::problem::{FieldError, Problem};
use super::{App, listing, query};
use crate::config::value;
use crate::engine::Refusal;
use crate::engine::feed::{Feed, FeedError};
use crate::engine::outbox::{self, Published, Texts};
use crate::id::EventId;

/// Longer waits are cut by proxies on the way.
pub const WAIT_MOST: Duration = Duration::from_secs(60);
/// Streams open at once, each a connection and a task.
pub const STREAMS: usize = 64;
/// So often a silent stream says that it lives.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Events of one piece of a stream.
const PIECE: usize = 100;
const LAST_EVENT_ID: &str = "last-event-id";
/// What a stream begins with: a client whose connection ends comes back after two seconds.
const OPENING: &str = ": nudged\nretry: 2000\n\n";
const BEAT: &str = ":\n\n";

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    /// Number of the last event that the caller has.
    after: Option<u64>,
    wait: Duration,
    limit: usize,
}

pub async fn list(State(app): State<App>, parts: Parts) -> Result<Response, Problem> {
    app.allow(&parts, Scope::Read).await?;
    let Some(feed) = app.engine().feed().cloned() else {
        let why = app.engine().snapshot().quarantine.clone().unwrap_or_default();
        return Err(Refusal::Quarantined(why).into());
    };
    let mut wish = Wish::parse(query(&parts.uri)?)?;
    if !wants_stream(&parts.headers) {
        return page(&app, &feed, wish).await;
    }
    if let Some(id) = parts.headers.get(LAST_EVENT_ID) {
        let after = id.to_str().ok().and_then(number);
        wish.after = Some(after.ok_or_else(|| Problem::field("Last-Event-ID", NO_EVENT))?);
    }
    follow(app, feed, wish.after).await
}

const NO_EVENT: &str = "is not the id of an event";

impl Wish {
    fn parse(pairs: Vec<(String, String)>) -> Result<Wish, Problem> {
        let mut wish = Wish { after: None, wait: Duration::ZERO, limit: listing::DEFAULT_LIMIT };
        let mut errors = Vec::new();
        for (name, value) in &pairs {
            if let Err(why) = wish.set(name, value) {
                errors.push(FieldError::new(listing::shown(name), why));
            }
        }
        if errors.is_empty() { Ok(wish) } else { Err(Problem::fields(errors)) }
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "after" => self.after = Some(number(value).ok_or(NO_EVENT)?),
            "limit" => self.limit = listing::limit(value)?,
            "wait" => self.wait = wait(value)?,
            _ => return Err(String::from("is not a parameter of this call")),
        }
        Ok(())
    }
}

/// An id, or the number alone: 0 is before the first.
fn number(text: &str) -> Option<u64> {
    let plain = || text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    text.parse::<EventId>().ok().map(EventId::as_u64).or_else(plain)
}

fn wait(text: &str) -> Result<Duration, String> {
    let wait = value::duration(text).ok().filter(|wait| *wait <= WAIT_MOST);
    wait.ok_or_else(|| format!("must be a duration such as 30s, at most {} s", WAIT_MOST.as_secs()))
}

fn wants_stream(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut media = accepted.flat_map(|value| value.split(',')).filter_map(|media| media.split(';').next());
    media.any(|media| media.trim().eq_ignore_ascii_case("text/event-stream"))
}

/// The next events that are published, and the number of the last event looked at.
struct Found {
    events: Vec<Published>,
    last: u64,
}

async fn look(app: &App, feed: &Feed, after: u64, limit: usize) -> Result<Found, Problem> {
    let (feed, view) = (feed.clone(), app.engine().view().clone());
    let read = tokio::task::spawn_blocking(move || {
        let mut found = Found { events: Vec::new(), last: after };
        for event in feed.look(after, limit)? {
            found.last = event.number;
            if let Some(name) = outbox::name(&event.notice) {
                let published = outbox::publish(event.number, name, &event.notice, &view, Texts::Told)?;
                found.events.push(published);
            }
        }
        Ok(found)
    });
    read.await.map_err(|_| Problem::internal())?.map_err(refused)
}

fn refused(error: FeedError) -> Problem {
    match error {
        FeedError::Gone { oldest } => {
            let (oldest, before) = (EventId::from_u64(oldest), EventId::from_u64(oldest - 1));
            let detail =
                format!("The oldest event that is kept is {oldest}; ask again with after={before} to go on.");
            Problem::new(StatusCode::GONE, "events_gone", detail)
        }
        FeedError::Ahead { newest } => {
            let newest = EventId::from_u64(newest);
            Problem::field("after", format!("is ahead of the newest event, {newest}"))
        }
        FeedError::Store(error) => error.into(),
    }
}

/// Without `after` it begins with the oldest that is kept.
async fn page(app: &App, feed: &Feed, wish: Wish) -> Result<Response, Problem> {
    let deadline = app.now().mono + wish.wait;
    let mut after = wish.after.unwrap_or(feed.oldest() - 1);
    let events = loop {
        let found = look(app, feed, after, wish.limit).await?;
        let more = found.last > after;
        after = found.last;
        if !found.events.is_empty() {
            break found.events;
        }
        if more {
            continue;
        }
        let left = deadline.saturating_duration_since(app.now().mono);
        if left.is_zero() || app.clock().within(left, feed.news(after)).await != Some(true) {
            break Vec::new();
        }
    };
    Ok(super::json(StatusCode::OK, &json!({"data": events, "next": EventId::from_u64(after).to_string()})))
}

/// Without a place to go on from it begins now.
async fn follow(app: App, feed: Feed, after: Option<u64>) -> Result<Response, Problem> {
    let Ok(place) = app.streams().try_acquire_owned() else {
        let detail = format!("{STREAMS} streams of events are open already.");
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "streams_full", detail));
    };
    let mut follower = Follower {
        after: after.unwrap_or_else(|| feed.last()),
        app,
        feed,
        ready: VecDeque::from([OPENING.to_owned()]),
        _place: place,
    };
    // What cannot be had is an answer and no stream.
    follower.read().await?;
    let pieces = stream::unfold(follower, |mut follower| async move {
        let piece = follower.piece().await?;
        Some((Ok::<_, Infallible>(Bytes::from(piece)), follower))
    });
    let mut response = super::typed(StatusCode::OK, "text/event-stream", Body::from_stream(pieces));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// One stream and where it is.
struct Follower {
    app: App,
    feed: Feed,
    after: u64,
    ready: VecDeque<String>,
    _place: OwnedSemaphorePermit,
}

impl Follower {
    /// What goes out next; `None` ends the stream: the daemon stops, or the client was too slow and is told so
    /// when it comes back.
    async fn piece(&mut self) -> Option<String> {
        loop {
            if let Some(ready) = self.ready.pop_front() {
                return Some(ready);
            }
            match self.app.clock().within(HEARTBEAT, self.feed.news(self.after)).await {
                Some(true) => self.read().await.ok()?,
                Some(false) => return None,
                None => return Some(BEAT.to_owned()),
            }
        }
    }

    async fn read(&mut self) -> Result<(), Problem> {
        let found = look(&self.app, &self.feed, self.after, PIECE).await?;
        self.after = found.last;
        if !found.events.is_empty() {
            self.ready.push_back(found.events.iter().map(framed).collect());
        }
        Ok(())
    }
}

/// JSON has no line breaks outside of strings and none in them, so one `data:` line holds it.
fn framed(event: &Published) -> String {
    let mut text = format!("id: {}\nevent: {}\n", event.id, event.r#type);
    match serde_json::to_string(event) {
        Ok(json) if write!(text, "data: {json}\n\n").is_ok() => text,
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_an_id_or_a_number() {
        assert_eq!(number("evt_000000000000a"), Some(10));
        assert_eq!(number("10"), Some(10));
        for bad in ["", "evt_", "msg_000000000000a", "+1", "-1", "99999999999999999999"] {
            assert_eq!(number(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_wait_has_a_bound() {
        assert_eq!(wait("30s"), Ok(Duration::from_secs(30)));
        assert!(wait("61s").is_err() && wait("30").is_err() && wait("").is_err());
    }

    #[test]
    fn a_stream_is_asked_for_by_its_media_type() {
        let asks = |accept: &'static str| {
            wants_stream(&HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]))
        };
        assert!(asks("text/event-stream") && asks("application/json;q=0.5, Text/Event-Stream;q=1"));
        assert!(!asks("*/*") && !asks("text/html") && !wants_stream(&HeaderMap::new()));
    }
}
