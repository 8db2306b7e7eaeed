//! A message as JSON: the one object that every call shows, made of body and head.
//!
//! Names here are the API's and stay. A field that does not apply is left out or null, never a guess.

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::messages::MessageIdText;
use crate::clock::Timestamp;
use crate::engine::MessageView;
use crate::message::body::AT_ONCE;
use crate::message::{
    Attempt, Body, Cause, Class, Deferral, Final, Head, OnUnknown, Reason, ReceiptWait, Reference,
    SegmentState, State, Status, UnknownWhy,
};

#[derive(Serialize)]
pub struct ListJson<'a> {
    pub data: Vec<MessageJson<'a>>,
    pub next_cursor: Option<MessageIdText>,
}

#[derive(Serialize)]
pub struct MessageJson<'a> {
    id: MessageIdText,
    status: Status,
    reason: Option<ReasonJson>,
    to: String,
    text: &'a str,
    sender: Option<String>,
    /// The link of the last attempt, or the one it is bound to.
    link: Option<&'a str>,
    encoding: &'static str,
    segment_count: u8,
    segments: Vec<SegmentJson>,
    attempts: Vec<AttemptJson<'a>>,
    receipt: ReceiptJson,
    timeline: Vec<MomentJson<'a>>,
    class: Class,
    priority: u8,
    flash: bool,
    on_unknown: OnUnknown,
    accepted_at: String,
    /// When it is tried next; `null` unless it waits.
    due_at: Option<String>,
    send_at: String,
    valid_until: String,
    client_ref: Option<&'a str>,
    metadata: Option<Box<RawValue>>,
    batch: Option<String>,
    token: &'a str,
}

#[derive(Serialize)]
struct ReasonJson {
    code: &'static str,
    raw: Option<String>,
    sentence: &'static str,
}

#[derive(Serialize)]
struct SegmentJson {
    state: &'static str,
    reference: Option<String>,
    at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<ReasonJson>,
}

#[derive(Serialize)]
struct AttemptJson<'a> {
    link: &'a str,
    begun_at: String,
    segments: Vec<SegmentJson>,
}

#[derive(Serialize)]
struct ReceiptJson {
    /// `not_asked`, `asked` (not sent yet), `awaited`, `never_came`, `delivered`, `failed` or `expired`.
    state: &'static str,
    /// Until when it is awaited.
    until: Option<String>,
}

#[derive(Serialize)]
struct MomentJson<'a> {
    at: String,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<&'a str>,
}

impl<'a> MessageJson<'a> {
    pub fn of(message: &'a MessageView) -> MessageJson<'a> {
        let MessageView { id, body, head, status } = message;
        let last = head.attempts.last();
        let link = last.map(|attempt| attempt.link.as_str()).or(body.link.as_ref().map(|l| l.as_str()));
        let due_at = match &head.state {
            State::Waiting { due, .. } => Some(date(*due, body)),
            _ => None,
        };
        MessageJson {
            id: MessageIdText(*id),
            status: *status,
            reason: reason(&head.state),
            to: body.to.to_e164(),
            text: &body.text,
            sender: body.sender.as_ref().map(ToString::to_string),
            link,
            encoding: body.encoding.as_str(),
            segment_count: body.segment_count,
            segments: segments(body, head),
            attempts: head.attempts.iter().map(attempt).collect(),
            receipt: receipt(body, &head.state),
            timeline: timeline(body, head, *status),
            class: body.class,
            priority: body.priority.get(),
            flash: body.flash,
            on_unknown: body.on_unknown,
            accepted_at: body.accepted_at.to_rfc3339(),
            due_at,
            send_at: date(body.due, body),
            valid_until: body.valid_until.to_rfc3339(),
            client_ref: body.client_ref.as_deref(),
            metadata: body.metadata.clone().and_then(|text| RawValue::from_string(text).ok()),
            batch: body.batch.map(|batch| batch.to_string()),
            token: body.token.as_str(),
        }
    }
}

/// Counts by status, every status named.
pub fn by_status(count: impl Fn(Status) -> u64) -> Map<String, Value> {
    let named = |&status: &Status| (status.as_str().to_owned(), Value::from(count(status)));
    Status::ALL.iter().map(named).collect()
}

/// What is due at once has been since its acceptance.
fn date(due: Timestamp, body: &Body) -> String {
    if due == AT_ONCE { body.accepted_at.to_rfc3339() } else { due.to_rfc3339() }
}

fn reason(state: &State) -> Option<ReasonJson> {
    match state {
        State::Waiting { why: Deferral::Retry(cause), .. } => Some(cause_json(cause)),
        State::Unknown { why, .. } => Some(unknown_json(*why)),
        State::Closed { how: Final::Canceled, .. } => Some(cause_json(&Cause::plain(Reason::PolicyCanceled))),
        State::Closed { how, .. } => how.cause().map(cause_json),
        State::Waiting { .. } | State::Leased { .. } | State::Sent { .. } => None,
    }
}

fn cause_json(cause: &Cause) -> ReasonJson {
    ReasonJson {
        code: cause.reason.code(),
        raw: cause.raw.as_ref().map(ToString::to_string),
        sentence: cause.reason.sentence(),
    }
}

fn unknown_json(why: UnknownWhy) -> ReasonJson {
    ReasonJson { code: why.code(), raw: None, sentence: why.sentence() }
}

/// Each segment once: as accepted in whichever attempt, else as in the last attempt that had it.
fn segments<'a>(body: &Body, head: &'a Head) -> Vec<SegmentJson> {
    let of_attempts = |index: usize| -> Option<&'a SegmentState> {
        let mut states = head.attempts.iter().rev().filter_map(|attempt| attempt.segments.get(index));
        let last = states.clone().next();
        states.find(|state| is_accepted(state)).or(last)
    };
    let waiting = || SegmentJson { state: "waiting", reference: None, at: None, reason: None };
    (0..usize::from(body.segment_count)).map(|n| of_attempts(n).map_or_else(waiting, segment)).collect()
}

/// The network took it, whatever became of it then.
fn is_accepted(state: &SegmentState) -> bool {
    match state {
        SegmentState::Accepted { .. } | SegmentState::Delivered { .. } | SegmentState::Undelivered { .. } => {
            true
        }
        SegmentState::Unwritten
        | SegmentState::Written
        | SegmentState::Refused { .. }
        | SegmentState::Unknown => false,
    }
}

fn segment(state: &SegmentState) -> SegmentJson {
    let plain = |state| SegmentJson { state, reference: None, at: None, reason: None };
    let taken = |state, reference: &Reference, at: &Timestamp| SegmentJson {
        state,
        reference: Some(reference.0.clone()),
        at: Some(at.to_rfc3339()),
        reason: None,
    };
    match state {
        SegmentState::Unwritten => plain("unwritten"),
        SegmentState::Written => plain("written"),
        SegmentState::Unknown => plain("unknown"),
        SegmentState::Accepted { reference, at } => taken("accepted", reference, at),
        SegmentState::Delivered { reference, at } => taken("delivered", reference, at),
        SegmentState::Undelivered { reference, cause, at } => {
            SegmentJson { reason: Some(cause_json(cause)), ..taken("undelivered", reference, at) }
        }
        SegmentState::Refused { cause, .. } => {
            SegmentJson { reason: Some(cause_json(cause)), ..plain("refused") }
        }
    }
}

fn attempt(attempt: &Attempt) -> AttemptJson<'_> {
    AttemptJson {
        link: attempt.link.as_str(),
        begun_at: attempt.begun.to_rfc3339(),
        segments: attempt.segments.iter().map(segment).collect(),
    }
}

fn receipt(body: &Body, state: &State) -> ReceiptJson {
    let plain = |state| ReceiptJson { state, until: None };
    match state {
        State::Closed { how: Final::Delivered, .. } => plain("delivered"),
        State::Closed { how: Final::Undelivered(cause), .. } => match cause.reason {
            Reason::NetworkExpired => plain("expired"),
            _ => plain("failed"),
        },
        State::Sent { receipt: ReceiptWait::NotAsked, .. } => plain("not_asked"),
        State::Sent { receipt: ReceiptWait::NeverCame, .. } => plain("never_came"),
        State::Sent { receipt: ReceiptWait::Until(until), .. } => {
            ReceiptJson { state: "awaited", until: Some(until.to_rfc3339()) }
        }
        _ if body.receipt => plain("asked"),
        _ => plain("not_asked"),
    }
}

/// What the head still knows of its past, in order of time.
fn timeline<'a>(body: &Body, head: &'a Head, status: Status) -> Vec<MomentJson<'a>> {
    let mut moments: Vec<(Timestamp, &'static str, Option<&'a str>)> =
        vec![(body.accepted_at, "accepted", None)];
    for attempt in &head.attempts {
        let link = Some(attempt.link.as_str());
        moments.push((attempt.begun, "sending", link));
        let answered = attempt.segments.iter().filter_map(|segment| match segment {
            SegmentState::Accepted { at, .. } => Some((*at, "segment_accepted", link)),
            SegmentState::Delivered { at, .. } => Some((*at, "segment_delivered", link)),
            SegmentState::Undelivered { at, .. } => Some((*at, "segment_undelivered", link)),
            SegmentState::Unwritten
            | SegmentState::Written
            | SegmentState::Refused { .. }
            | SegmentState::Unknown => None,
        });
        moments.extend(answered);
    }
    match &head.state {
        State::Sent { at, .. } | State::Closed { at, .. } | State::Unknown { since: at, .. } => {
            moments.push((*at, status.as_str(), None));
        }
        State::Waiting { .. } | State::Leased { .. } => {}
    }
    moments.sort_by_key(|(at, ..)| *at);
    moments.into_iter().map(|(at, event, link)| MomentJson { at: at.to_rfc3339(), event, link }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::MessageId;
    use crate::message::{Msisdn, RawCode, body};
    use serde_json::json;

    const NOW: Timestamp = Timestamp::from_millis(5_000);

    fn shown(body: Body, head: Head) -> Value {
        let status = head.state.status(NOW);
        let view = MessageView { id: MessageId::from_u64(1), body, head, status };
        serde_json::to_value(MessageJson::of(&view)).unwrap()
    }

    fn sent_by(link: &str, segments: Vec<SegmentState>) -> Attempt {
        Attempt { link: link.into(), account: link.into(), begun: NOW, lease: 1, segments }
    }

    #[test]
    fn a_message_that_waits_shows_its_number_text_and_segments() {
        let body = Body { segment_count: 2, metadata: Some(String::from(r#"{ "a": 1 }"#)), ..body::sample() };
        let head = Head::accepted(&body);
        let json = shown(body, head);
        assert_eq!(json["to"], Msisdn::from_u64(4_915_112_345_678).to_e164());
        assert_eq!((&json["status"], &json["reason"]), (&json!("queued"), &Value::Null));
        assert_eq!(json["segments"][1], json!({"state": "waiting", "reference": null, "at": null}));
        assert_eq!((&json["metadata"], &json["receipt"]["state"]), (&json!({"a": 1}), &json!("asked")));
    }

    #[test]
    fn a_segment_accepted_once_stays_accepted_through_later_attempts() {
        let body = Body { segment_count: 2, ..body::sample() };
        let taken = SegmentState::Accepted { reference: Reference(String::from("ab")), at: NOW };
        let mut head = Head::accepted(&body);
        head.attempts.push(sent_by("one", vec![taken, SegmentState::Unknown]));
        head.attempts.push(sent_by("two", vec![SegmentState::Unwritten, SegmentState::Written]));
        let json = shown(body, head);
        assert_eq!((&json["segments"][0]["reference"], &json["link"]), (&json!("ab"), &json!("two")));
        assert_eq!(json["segments"][1]["state"], "written");
        assert_eq!(json["attempts"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn an_unknown_says_why_when_and_by_which_link() {
        let body = body::sample();
        let mut head = Head::accepted(&body);
        head.attempts.push(sent_by("carrier", vec![SegmentState::Unknown]));
        head.state = State::Unknown { since: NOW, why: UnknownWhy::NoAnswer };
        let json = shown(body, head);
        assert_eq!((&json["status"], &json["reason"]["code"]), (&json!("unknown"), &json!("smsc.no_answer")));
        assert_eq!((&json["link"], json["timeline"].as_array().unwrap().len()), (&json!("carrier"), 3));
        assert_eq!(json["timeline"][2], json!({"at": NOW.to_rfc3339(), "event": "unknown"}));
    }

    #[test]
    fn a_failure_shows_the_stable_code_and_the_raw_one() {
        let body = body::sample();
        let mut head = Head::accepted(&body);
        let cause = Cause::new(Reason::SmscBadDestination, RawCode::CommandStatus(0x0B));
        head.state = State::Closed { how: Final::Failed(cause), at: NOW };
        let reason = &shown(body, head)["reason"];
        assert_eq!(reason["code"], "smsc.bad_destination");
        assert_eq!(reason["raw"], "command_status 0x0000000B");
    }
}
