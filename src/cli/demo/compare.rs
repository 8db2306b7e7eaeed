//! The comparison that decides the demo: what the client was promised, what the API shows, what the carriers
//! took. Pure, and independent of the daemon: it knows nothing but the three lists.
//!
//! | the API says | each segment was taken by the carriers together |
//! |---|---|
//! | `sent`, `delivered`, `undelivered` | exactly once |
//! | `scheduled`, `canceled`, `blocked` | never |
//! | `queued`, `sending`, `failed`, `expired`, `unknown` | by the state the API shows for the segment, see [`claim`] |
//!
//! Nothing is ever taken twice, nothing on a wire is foreign, every accepted message is shown exactly once,
//! and a message that claims a receipt has one in the carrier's log. Every answer of a phone is shown exactly
//! once, and after a stop was shown nothing is handed to a network for that number but one confirmation.

use std::collections::HashMap;

use serde::Deserialize;

use super::phones::Answer;
use crate::clock::Timestamp;

/// A message the API answered 202 for. Texts are unique, so that each can be told on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    pub id: String,
    pub to: String,
    pub text: String,
    pub segment_count: usize,
}

/// A message as `GET /v1/messages` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Row {
    pub id: String,
    pub to: String,
    pub text: String,
    pub status: String,
    pub class: String,
    pub segments: Vec<RowSegment>,
}

/// A reply as `GET /v1/inbound` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Reply {
    pub id: String,
    pub from: String,
    /// `None`: it has no text.
    pub text: Option<String>,
    pub complete: bool,
}

/// Class of a message that answers a person; here nothing but the confirmation of a stop is one.
pub const CONFIRMATION: &str = "reply";

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct RowSegment {
    pub state: String,
}

/// What one carrier wrote down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CarrierLog {
    pub name: String,
    pub submits: Vec<Submit>,
    pub receipts: Vec<Receipt>,
}

/// A `submit_sm` line of a wire log: with a `message_id` it was taken, without one it was refused.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Submit {
    pub at: String,
    pub to: String,
    pub text: String,
    pub segment: Option<Place>,
    pub message_id: Option<String>,
    /// `None`: it was left unanswered.
    pub status: Option<u32>,
}

/// Which segment of a long message it is; `number` counts from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Place {
    pub total: usize,
    pub number: usize,
}

/// A `deliver_sm` line of a wire log that is a receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    pub message_id: String,
    pub stat: String,
}

/// What is wrong, a sentence each; all empty when nothing is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Accepted and not shown, or shown as sent and never taken.
    pub lost: Vec<String>,
    /// Taken, shown or accepted more than once.
    pub doubled: Vec<String>,
    /// Anything else that the three lists do not agree on.
    pub unaccounted: Vec<String>,
}

impl Findings {
    pub fn is_clean(&self) -> bool {
        self.lost.is_empty() && self.doubled.is_empty() && self.unaccounted.is_empty()
    }
}

/// The words of the contract, in the order of a message's life.
pub const STATUSES: [&str; 11] = [
    "scheduled",
    "queued",
    "sending",
    "sent",
    "delivered",
    "undelivered",
    "failed",
    "expired",
    "canceled",
    "blocked",
    "unknown",
];

/// What the phones said, and what the API shows of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    pub said: Vec<Answer>,
    pub shown: Vec<Reply>,
}

/// Compares the lists.
pub fn compare(posted: &[Posted], rows: &[Row], carriers: &[CarrierLog], answers: &Answers) -> Findings {
    let mut findings = Findings::default();
    check_answers(answers, &mut findings);
    for answer in &answers.said {
        if let Some(at) = answer.stopped_at {
            check_stop(&answer.from, at, posted, rows, carriers, &mut findings);
        }
    }
    check_promises(posted, &mut findings);
    let shown = match_rows(posted, rows, &mut findings);
    let taken = match_wires(posted, carriers, &mut findings);
    for (place, message) in posted.iter().enumerate() {
        if let Some(row) = shown.get(&place) {
            judge(message, row, &taken[place], carriers, &mut findings);
        }
    }
    findings
}

/// How often the carriers may have taken a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claim {
    Never,
    AtMostOnce,
    Once,
}

/// What a message's status and its segment's state say about the carriers. A long message may be partly
/// out while the rest waits, and only the segment's state tells.
fn claim(status: &str, state: &str) -> Claim {
    match (status, state) {
        ("sent" | "delivered" | "undelivered", _) => Claim::Once,
        ("scheduled" | "canceled" | "blocked", _) => Claim::Never,
        (_, "accepted" | "delivered" | "undelivered") => Claim::Once,
        ("sending", _) | (_, "written" | "unknown") => Claim::AtMostOnce,
        _ => Claim::Never,
    }
}

/// One text is one message: a repeated request may not make two of it.
fn check_promises(posted: &[Posted], findings: &mut Findings) {
    let (mut ids, mut texts) = (HashMap::new(), HashMap::new());
    for message in posted {
        if let Some(first) = texts.insert((&message.to, &message.text), &message.id) {
            findings.doubled.push(format!("{first} and {} were accepted for one message", message.id));
        } else if ids.insert(&message.id, ()).is_some() {
            findings.lost.push(format!("{} was answered for two different messages", message.id));
        }
    }
}

/// Each answer is shown once and whole, and none that nobody gave.
fn check_answers(answers: &Answers, findings: &mut Findings) {
    for answer in &answers.said {
        let shows = |reply: &&Reply| reply.from == answer.from && reply.text.as_ref() == Some(&answer.text);
        let shown: Vec<&Reply> = answers.shown.iter().filter(shows).collect();
        match shown.as_slice() {
            [] => findings.lost.push(format!("the answer of {} is not shown", answer.from)),
            [reply] if reply.complete => {}
            [reply] => findings.unaccounted.push(format!("{} is shown as incomplete", reply.id)),
            _ => {
                findings.doubled.push(format!("the answer of {} is shown {} times", answer.from, shown.len()))
            }
        }
    }
    if answers.shown.len() > answers.said.len() {
        findings.unaccounted.push(String::from("answers are shown that no phone gave"));
    }
}

/// After a stop: one confirmation, and no other byte to the number.
fn check_stop(
    number: &str,
    at: Timestamp,
    posted: &[Posted],
    rows: &[Row],
    carriers: &[CarrierLog],
    findings: &mut Findings,
) {
    let confirmations: Vec<&Row> =
        rows.iter().filter(|row| row.to == number && row.class == CONFIRMATION).collect();
    match confirmations.len() {
        0 => findings.lost.push(format!("the stop of {number} was not confirmed")),
        1 => {}
        times => findings.doubled.push(format!("the stop of {number} was confirmed {times} times")),
    }
    let is_confirmation = |submit: &Submit| confirmations.iter().any(|row| row.text == submit.text);
    let submits = carriers.iter().flat_map(|log| &log.submits).filter(|submit| submit.to == number);
    let after = submits.filter(|submit| {
        let taken_at = Timestamp::parse_rfc3339(&submit.at);
        !is_confirmation(submit) && taken_at.is_none_or(|taken_at| taken_at > at)
    });
    let times = after.count();
    if times > 0 {
        findings.unaccounted.push(format!("{number} said stop, and {times} segments went to it after that"));
    }
    let open = |id: &str| {
        rows.iter().any(|row| row.id == id && ["queued", "scheduled"].contains(&row.status.as_str()))
    };
    for message in posted.iter().filter(|message| message.to == number && open(&message.id)) {
        findings.unaccounted.push(format!("{number} said stop, and {} still waits for it", message.id));
    }
}

/// The row of each posted message, by its place in `posted`.
fn match_rows<'a>(posted: &[Posted], rows: &'a [Row], findings: &mut Findings) -> HashMap<usize, &'a Row> {
    let places: HashMap<&str, usize> =
        posted.iter().enumerate().map(|(place, message)| (message.id.as_str(), place)).collect();
    let mut shown = HashMap::new();
    for row in rows {
        let Some(&place) = places.get(row.id.as_str()) else {
            findings.unaccounted.push(format!("{} is shown and was never accepted", row.id));
            continue;
        };
        if shown.insert(place, row).is_some() {
            findings.doubled.push(format!("{} is shown twice", row.id));
        }
        let message = &posted[place];
        if (&row.to, &row.text, row.segments.len()) != (&message.to, &message.text, message.segment_count) {
            findings.unaccounted.push(format!("{} is shown with another text, number or length", row.id));
        }
        if !STATUSES.contains(&row.status.as_str()) {
            findings.unaccounted.push(format!("{} has the status {:?}", row.id, row.status));
        }
    }
    for (place, message) in posted.iter().enumerate() {
        // An id that was answered for two messages is told of already.
        if !shown.contains_key(&place) && places.get(message.id.as_str()) == Some(&place) {
            findings.lost.push(format!("{} was accepted and is not shown", message.id));
        }
    }
    shown
}

/// Where a segment was taken.
struct Taken<'a> {
    carrier: usize,
    message_id: &'a str,
    text: &'a str,
}

/// For each posted message, for each of its segments, every time a carrier took it.
fn match_wires<'a>(
    posted: &[Posted],
    carriers: &'a [CarrierLog],
    findings: &mut Findings,
) -> Vec<Vec<Vec<Taken<'a>>>> {
    let mut by_number: HashMap<&str, Vec<usize>> = HashMap::new();
    for (place, message) in posted.iter().enumerate() {
        by_number.entry(&message.to).or_default().push(place);
    }
    let mut taken: Vec<Vec<Vec<Taken<'_>>>> =
        posted.iter().map(|message| (0..message.segment_count).map(|_| Vec::new()).collect()).collect();
    for (carrier, log) in carriers.iter().enumerate() {
        for submit in &log.submits {
            let candidates = by_number.get(submit.to.as_str()).map(Vec::as_slice).unwrap_or_default();
            let found =
                candidates.iter().find_map(|&place| Some((place, segment_of(&posted[place], submit)?)));
            let Some((place, segment)) = found else {
                findings.unaccounted.push(format!("{} was handed a segment nobody posted", log.name));
                continue;
            };
            if let Some(message_id) = &submit.message_id {
                taken[place][segment].push(Taken { carrier, message_id, text: &submit.text });
            }
        }
    }
    taken
}

/// Which segment of `message` this is, counted from 0; `None` when it is none of it.
fn segment_of(message: &Posted, submit: &Submit) -> Option<usize> {
    match submit.segment {
        None => (message.segment_count == 1 && submit.text == message.text).then_some(0),
        Some(Place { total, number }) => {
            let fits = total == message.segment_count
                && (1..=total).contains(&number)
                && message.text.contains(&submit.text);
            fits.then(|| number - 1)
        }
    }
}

fn judge(
    message: &Posted,
    row: &Row,
    taken: &[Vec<Taken<'_>>],
    carriers: &[CarrierLog],
    findings: &mut Findings,
) {
    for (place, takes) in taken.iter().enumerate() {
        let state = row.segments.get(place).map_or("", |segment| segment.state.as_str());
        let what = || format!("{}, segment {} of {}", message.id, place + 1, message.segment_count);
        match (takes.len(), claim(&row.status, state)) {
            (0, Claim::Once) => {
                findings.lost.push(format!("{}: {}, and no carrier took it", what(), row.status));
            }
            (1, Claim::Never) => {
                findings.unaccounted.push(format!("{}: {}, and a carrier took it", what(), row.status));
            }
            (0 | 1, _) => {}
            (times, _) => {
                let names: Vec<&str> = takes.iter().map(|t| carriers[t.carrier].name.as_str()).collect();
                findings.doubled.push(format!("{}: taken {times} times, by {}", what(), names.join(", ")));
            }
        }
    }
    let whole: Option<String> =
        taken.iter().map(|takes| if let [one] = takes.as_slice() { Some(one.text) } else { None }).collect();
    if whole.is_some_and(|text| text != message.text) {
        findings.unaccounted.push(format!("{} went out with another text", message.id));
    }
    if !has_its_receipts(&row.status, taken, carriers) {
        let claimed = format!("{}: {}, and no carrier sent such a receipt", message.id, row.status);
        findings.unaccounted.push(claimed);
    }
}

/// `delivered` needs a receipt for every segment that was taken, `undelivered` one that says no.
fn has_its_receipts(status: &str, taken: &[Vec<Taken<'_>>], carriers: &[CarrierLog]) -> bool {
    const REFUSED: [&str; 4] = ["UNDELIV", "EXPIRED", "REJECTD", "DELETED"];
    let has = |one: &Taken<'_>, stats: &[&str]| {
        let receipts = &carriers[one.carrier].receipts;
        receipts.iter().any(|r| r.message_id == one.message_id && stats.contains(&r.stat.as_str()))
    };
    let mut all = taken.iter().flatten();
    match status {
        "delivered" => all.all(|one| has(one, &["DELIVRD"])),
        // Where nothing was taken, that is told as lost.
        "undelivered" => taken.iter().all(Vec::is_empty) || all.any(|one| has(one, &REFUSED)),
        _ => true,
    }
}
