//! The status page: one verdict, the links and the counts. Nobody has signed in, so no number, no text
//! and nothing a peer has said stands on it.
//!
//! It works without JavaScript (it reloads itself); with it, it updates in place. All that it needs is
//! served from here.

use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;

use super::App;
use super::links::state_of;
use super::problem::Problem;
use crate::clock::Timestamp;
use crate::engine::{LinkSnapshot, Snapshot};
use crate::message::Status;

pub const STYLE_PATH: &str = "/page/style.css";
pub const SCRIPT_PATH: &str = "/page/update.js";
/// Characters of a name that are shown; config allows more.
const NAME_SHOWN: usize = 40;

pub async fn show(State(app): State<App>) -> Result<Response, Problem> {
    let page = Page::of(&app.engine().snapshot(), app.now().wall);
    let text = page.render().map_err(|error| {
        tracing::error!(event = "page_not_rendered", %error);
        Problem::internal()
    })?;
    Ok(super::typed(StatusCode::OK, "text/html; charset=utf-8", text))
}

pub async fn style() -> Response {
    kept(super::typed(StatusCode::OK, "text/css; charset=utf-8", include_str!("style.css")))
}

pub async fn script() -> Response {
    kept(super::typed(StatusCode::OK, "text/javascript; charset=utf-8", include_str!("update.js")))
}

/// A browser may keep it for a while; another version of the program may bring another.
fn kept(mut response: Response) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("max-age=300"));
    response
}

/// How bad it is, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Ok,
    Degraded,
    Down,
}

impl Level {
    pub const fn as_str(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Degraded => "degraded",
            Level::Down => "down",
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Level::Ok => "OK",
            Level::Degraded => "Degraded",
            Level::Down => "Down",
        }
    }
}

/// How it stands, in one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub level: Level,
    pub sentence: String,
    /// Where the cause has a beginning that is known.
    pub since: Option<Timestamp>,
}

impl Verdict {
    /// The worst that is true, because that is what a person must mend first.
    pub fn of(snapshot: &Snapshot) -> Verdict {
        let verdict = |level, sentence: String, since| Verdict { level, sentence, since };
        if snapshot.quarantine.is_some() {
            let sentence = "The stored state is damaged: nothing is accepted and nothing is sent.";
            return verdict(Level::Down, sentence.to_owned(), Some(snapshot.started));
        }
        if let Some(closed) = &snapshot.intake_closed {
            let sentence = format!("Nothing is accepted: {}.", closed.why);
            return verdict(Level::Down, sentence, Some(closed.since));
        }
        if snapshot.links.is_empty() {
            let sentence = "No link is configured: messages wait.";
            return verdict(Level::Down, sentence.to_owned(), Some(snapshot.started));
        }
        let links = links_verdict(snapshot);
        match &snapshot.paused {
            Some(pause) if links.level != Level::Down => {
                verdict(Level::Degraded, String::from("All sending is paused."), Some(pause.since))
            }
            _ => links,
        }
    }
}

fn links_verdict(snapshot: &Snapshot) -> Verdict {
    let (up, not_up): (Vec<&LinkSnapshot>, Vec<&LinkSnapshot>) =
        snapshot.links.iter().partition(|link| state_of(link) == "up");
    if up.is_empty() {
        let since = not_up.iter().map(|link| since(link)).max();
        return Verdict {
            level: Level::Down,
            sentence: String::from("No link is up: messages wait."),
            since,
        };
    }
    if !not_up.is_empty() {
        let names: Vec<String> =
            not_up.iter().map(|link| format!("{} is {}", shown(link), state_of(link))).collect();
        let since = not_up.iter().map(|link| since(link)).min();
        return Verdict { level: Level::Degraded, sentence: format!("{}.", names.join(", ")), since };
    }
    let unknown = count(snapshot, Status::Unknown);
    if unknown > 0 {
        let noun = if unknown == 1 { "message is" } else { "messages are" };
        let sentence = format!("{unknown} {noun} unknown: sent or not, a person has to say.");
        return Verdict { level: Level::Degraded, sentence, since: snapshot.oldest_unknown };
    }
    let since = up.iter().map(|link| link.status.since).max();
    Verdict { level: Level::Ok, sentence: String::from("All links are up."), since }
}

fn since(link: &LinkSnapshot) -> Timestamp {
    link.paused.as_ref().map_or(link.status.since, |pause| pause.since)
}

fn shown(link: &LinkSnapshot) -> String {
    link.facts.name.as_str().chars().take(NAME_SHOWN).collect()
}

fn count(snapshot: &Snapshot, status: Status) -> u64 {
    let counts = Status::ALL.iter().zip(snapshot.by_status);
    counts.filter(|(s, _)| **s == status).map(|(_, count)| count).sum()
}

#[derive(Template)]
#[template(path = "status.html", config = "src/http/page/askama.toml")]
struct Page {
    level: &'static str,
    word: &'static str,
    sentence: String,
    since: Option<Since>,
    /// `None` in quarantine: not known.
    known: Option<Known>,
    at: String,
    style: &'static str,
    script: &'static str,
}

/// What stands below the verdict.
struct Known {
    links: Vec<LinkRow>,
    counts: Vec<(&'static str, u64)>,
    oldest: Option<String>,
}

/// When something began, and how long it has lasted.
struct Since {
    time: String,
    /// As people read it: date and time to the minute, UTC.
    read: String,
    lasted: String,
}

impl Since {
    fn of(at: Timestamp, now: Timestamp) -> Since {
        let time = at.to_rfc3339();
        let read = time.get(..16).map(|minute| minute.replace('T', " ") + " UTC").unwrap_or_default();
        Since { time, read, lasted: spoken(now.since(at)) }
    }
}

struct LinkRow {
    name: String,
    kind: &'static str,
    state: &'static str,
    since: Since,
    in_use: u16,
    window: u16,
    submitted: u64,
}

impl Page {
    fn of(snapshot: &Snapshot, now: Timestamp) -> Page {
        let verdict = Verdict::of(snapshot);
        Page {
            level: verdict.level.as_str(),
            word: verdict.level.word(),
            sentence: verdict.sentence,
            since: verdict.since.map(|at| Since::of(at, now)),
            known: snapshot.known().map(|known| Known::of(known, now)),
            at: snapshot.at.to_rfc3339(),
            style: STYLE_PATH,
            script: SCRIPT_PATH,
        }
    }
}

impl Known {
    fn of(snapshot: &Snapshot, now: Timestamp) -> Known {
        let links = snapshot.links.iter().map(|link| LinkRow {
            name: shown(link),
            kind: link.facts.kind,
            state: state_of(link),
            since: Since::of(since(link), now),
            in_use: link.leased,
            window: link.facts.window,
            submitted: link.status.submitted_total,
        });
        let counts = Status::ALL.iter().zip(snapshot.by_status);
        Known {
            links: links.collect(),
            counts: counts.map(|(status, count)| (status.as_str(), count)).collect(),
            oldest: snapshot.oldest_due.map(|at| spoken(now.since(at))),
        }
    }
}

/// A duration as people say it, in its largest unit.
fn spoken(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (count, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3_600 => (seconds / 60, "minute"),
        3_600..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{IntakeClosed, Pause, Refusal};
    use crate::link::{Connection, LinkFacts, LinkStatus};

    const NOW: Timestamp = Timestamp::from_millis(1_795_269_900_000);

    fn link(name: &str, connection: Connection) -> LinkSnapshot {
        let facts = LinkFacts { name: name.into(), account: name.into(), kind: "smpp", window: 64 };
        let status =
            LinkStatus { connection, reason: Some(String::from("said by the peer")), ..LinkStatus::new(NOW) };
        LinkSnapshot { facts, status, paused: None, leased: 0 }
    }

    fn snapshot(links: Vec<LinkSnapshot>) -> Snapshot {
        Snapshot { links, ..Snapshot::empty(NOW) }
    }

    #[test]
    fn the_verdict_is_the_worst_that_is_true() {
        let up = || link("a", Connection::Up);
        let level = |snapshot: &Snapshot| Verdict::of(snapshot).level;
        assert_eq!(level(&snapshot(vec![up()])), Level::Ok);
        assert_eq!(level(&snapshot(vec![up(), link("b", Connection::Down)])), Level::Degraded);
        assert_eq!(level(&snapshot(vec![link("b", Connection::Parked)])), Level::Down);
        assert_eq!(level(&snapshot(Vec::new())), Level::Down);
        let mut unknown = snapshot(vec![up()]);
        unknown.by_status[Status::ALL.len() - 1] = 1;
        assert_eq!(level(&unknown), Level::Degraded);
        let mut paused = snapshot(vec![up()]);
        paused.paused = Some(Pause { since: NOW, by: "crm".into() });
        assert_eq!(level(&paused), Level::Degraded);
        paused.quarantine = Some(String::from("x"));
        assert_eq!(level(&paused), Level::Down);
    }

    #[test]
    fn whatever_the_verdict_it_says_since_when() {
        let earlier = Timestamp::from_millis(NOW.as_millis() - 60_000);
        let up = || snapshot(vec![link("a", Connection::Up)]);
        let mut unknown = up();
        unknown.by_status[Status::ALL.len() - 1] = 1;
        unknown.oldest_unknown = Some(earlier);
        let closed = IntakeClosed { why: Refusal::DiskLow, since: earlier };
        let quarantine = Some(String::from("x"));
        let pause = Pause { since: earlier, by: "crm".into() };
        for (snapshot, since) in [
            (up(), NOW),
            (unknown, earlier),
            (snapshot(Vec::new()), NOW),
            (snapshot(vec![link("a", Connection::Down)]), NOW),
            (Snapshot { intake_closed: Some(closed), ..up() }, earlier),
            (Snapshot { paused: Some(pause), ..up() }, earlier),
            (Snapshot { quarantine, ..up() }, NOW),
        ] {
            let verdict = Verdict::of(&snapshot);
            assert_eq!(verdict.since, Some(since), "{verdict:?}");
        }
    }

    #[test]
    fn names_are_escaped_and_nothing_a_peer_said_is_shown() {
        let page = Page::of(&snapshot(vec![link("<script>", Connection::Down)]), NOW).render().unwrap();
        assert!(!page.contains("<script>"), "{page}");
        assert!(!page.contains("said by the peer"));
    }

    #[test]
    fn durations_are_spoken_in_their_largest_unit() {
        for (seconds, said) in [(1, "1 second"), (59, "59 seconds"), (60, "1 minute"), (7_200, "2 hours")] {
            assert_eq!(spoken(Duration::from_secs(seconds)), said);
        }
        assert_eq!(spoken(Duration::from_secs(3 * 86_400)), "3 days");
    }
}
