//! The verdict: how it stands, in one sentence and since when. The page, the API and the demo say the same.

use crate::clock::Timestamp;
use crate::engine::{LinkSnapshot, Snapshot};
use crate::http::links::state_of;
use crate::message::Status;

/// Characters of a link's name that are shown; config allows more.
const NAME_SHOWN: usize = 40;

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

    pub const fn word(self) -> &'static str {
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
        Verdict::told(snapshot, Names::Said)
    }

    /// The same for whoever comes by: a link may be named after its number.
    pub fn without_names(snapshot: &Snapshot) -> Verdict {
        Verdict::told(snapshot, Names::Kept)
    }

    fn told(snapshot: &Snapshot, names: Names) -> Verdict {
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
        let links = links_verdict(snapshot, names);
        match &snapshot.paused {
            Some(pause) if links.level != Level::Down => {
                verdict(Level::Degraded, String::from("All sending is paused."), Some(pause.since))
            }
            _ => match &snapshot.clock_doubt {
                Some(doubt) if links.level == Level::Ok => {
                    let sentence = "The clock is in doubt: what has a date waits.";
                    verdict(Level::Degraded, sentence.to_owned(), Some(doubt.since))
                }
                _ => links,
            },
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Names {
    Said,
    Kept,
}

fn links_verdict(snapshot: &Snapshot, names: Names) -> Verdict {
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
        let since = not_up.iter().map(|link| since(link)).min();
        let sentence = match names {
            Names::Kept => format!("{} of {} links not up.", not_up.len(), snapshot.links.len()),
            Names::Said => {
                let each = |link: &&LinkSnapshot| format!("{} is {}", shown(link), state_of(link));
                format!("{}.", not_up.iter().map(each).collect::<Vec<_>>().join(", "))
            }
        };
        return Verdict { level: Level::Degraded, sentence, since };
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

pub(super) fn since(link: &LinkSnapshot) -> Timestamp {
    link.paused.as_ref().map_or(link.status.since, |pause| pause.since)
}

pub(super) fn shown(link: &LinkSnapshot) -> String {
    link.facts.name.as_str().chars().take(NAME_SHOWN).collect()
}

pub(super) fn count(snapshot: &Snapshot, status: Status) -> u64 {
    let counts = Status::ALL.iter().zip(snapshot.by_status);
    counts.filter(|(s, _)| **s == status).map(|(_, count)| count).sum()
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
        LinkSnapshot { facts, status, paused: None, leased: 0, quotas: Vec::new(), recipients: None }
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
    fn whoever_comes_by_hears_no_name() {
        let snapshot = snapshot(vec![link("+4915112345678", Connection::Up), link("b", Connection::Down)]);
        assert_eq!(Verdict::without_names(&snapshot).sentence, "1 of 2 links not up.");
        assert_eq!(Verdict::of(&snapshot).sentence, "b is down.");
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
}
