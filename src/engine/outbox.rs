//! The published form of an event: the one place where a [`Notice`] becomes name and JSON.
//!
//! A new kind of notice takes a line in [`name`] and one in [`data`]. What an event tells beyond its notice is
//! read when it is published and does not change afterwards, but for `reason`, which is left out once the message
//! has gone on. Numbers, texts and the caller's `metadata` are told only to who may read them.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::ReadError;
use super::notice::{Notice, NoticeKind};
use super::view::View;
use crate::clock::Timestamp;
use crate::config::EventName;
use crate::engine::reminders::{Happened, told};
use crate::id::{EventId, InboundId, MessageId, ObligationId};
use crate::message::{LinkName, State, Status};
use crate::reminder::suppression::{Intent, Party, Source};

/// Whether numbers, texts and metadata are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Texts {
    Told,
    Kept,
}

/// An event as the outside sees it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Published {
    pub id: String,
    pub r#type: &'static str,
    pub at: String,
    pub data: Value,
}

/// What the notice is called outside; `None`: it is not published.
pub fn name(notice: &Notice) -> Option<EventName> {
    match &notice.kind {
        NoticeKind::Message { id, status, link } => message_name(*id, *status, link.as_ref(), notice.at),
        NoticeKind::InboundReceived { .. } | NoticeKind::ReplyReceived { .. } => {
            Some(EventName::InboundReceived)
        }
        NoticeKind::LinkUp { .. } => Some(EventName::LinkUp),
        NoticeKind::LinkDown { .. } => Some(EventName::LinkDown),
        NoticeKind::LinkParked { .. } => Some(EventName::LinkParked),
        NoticeKind::Paused { .. } => Some(EventName::LinkPaused),
        NoticeKind::Resumed { .. } => Some(EventName::LinkResumed),
        NoticeKind::OptOutAdded { .. } => Some(EventName::OptOutAdded),
        NoticeKind::OptOutRemoved { .. } => Some(EventName::OptOutRemoved),
        NoticeKind::HoldAdded { .. } => Some(EventName::HoldAdded),
        NoticeKind::HoldRemoved { .. } => Some(EventName::HoldRemoved),
        NoticeKind::Obligation { what, .. } => told::event(what),
        NoticeKind::TaskOpened { .. } => Some(EventName::TaskOpened),
        NoticeKind::TaskOverdue { .. } => Some(EventName::TaskOverdue),
        NoticeKind::TaskDone { .. } => Some(EventName::TaskDone),
    }
}

/// The name is given by the caller's [`name`] of the same notice.
pub fn publish(
    number: u64,
    name: EventName,
    notice: &Notice,
    view: &View,
    texts: Texts,
) -> Result<Published, ReadError> {
    Ok(Published {
        id: EventId::from_u64(number).to_string(),
        r#type: name.as_str(),
        at: notice.at.to_rfc3339(),
        data: Value::Object(data(notice, view, texts)?),
    })
}

fn data(notice: &Notice, view: &View, texts: Texts) -> Result<Map<String, Value>, ReadError> {
    let told = match &notice.kind {
        NoticeKind::Message { id, status, link } => {
            return message(*id, *status, link.as_ref(), notice.at, view, texts);
        }
        NoticeKind::ReplyReceived { id, link, intent } => {
            return reply(*id, link, Some(*intent), view, texts);
        }
        NoticeKind::InboundReceived { id, link } => return reply(*id, link, None, view, texts),
        NoticeKind::LinkUp { link } => json!({"link": link.as_str()}),
        NoticeKind::LinkDown { link, reason } | NoticeKind::LinkParked { link, reason } => {
            json!({"link": link.as_str(), "reason": reason})
        }
        NoticeKind::Paused { link, pause } => {
            json!({"link": named(link), "by": pause.by.as_str(), "since": pause.since.to_rfc3339()})
        }
        NoticeKind::Resumed { link } => json!({"link": named(link)}),
        NoticeKind::OptOutAdded { party, source }
        | NoticeKind::OptOutRemoved { party, source }
        | NoticeKind::HoldRemoved { party, source } => of_party(*party, source_json(source, texts), texts),
        NoticeKind::Obligation { id, what } => return of_obligation(*id, what, view),
        NoticeKind::TaskOpened { id, kind } | NoticeKind::TaskOverdue { id, kind } => {
            json!({"id": id.to_string(), "kind": kind.as_str()})
        }
        NoticeKind::TaskDone { id, kind, outcome } => {
            json!({"id": id.to_string(), "kind": kind.as_str(), "outcome": outcome})
        }
        NoticeKind::HoldAdded { party, reply } => {
            of_party(*party, json!({"kind": "reply", "reply": reply.to_string()}), texts)
        }
    };
    Ok(object(told))
}

/// Which obligation, by both ids, and what became of it.
fn of_obligation(id: ObligationId, what: &Happened, view: &View) -> Result<Map<String, Value>, ReadError> {
    let (_, mut told) = told::fields(what);
    told.insert(String::from("obligation"), json!(id.to_string()));
    if let Some(obligation) = view.obligation(id)? {
        told.insert(String::from("external_id"), json!(obligation.external_id.as_str()));
        told.insert(String::from("creditor"), json!(obligation.creditor.as_str()));
    }
    Ok(told)
}

/// `null`: all sending.
fn named(link: &Option<LinkName>) -> Option<&str> {
    link.as_ref().map(LinkName::as_str)
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => Map::from_iter([(String::from("value"), other)]),
    }
}

/// A message that waits again after an attempt is no news; one that waits before any is when it is accepted.
fn message_name(id: MessageId, status: Status, link: Option<&LinkName>, at: Timestamp) -> Option<EventName> {
    Some(match status {
        Status::Scheduled | Status::Queued if link.is_none() && at <= id.allotted_at() => {
            EventName::MessageAccepted
        }
        Status::Scheduled | Status::Queued => return None,
        Status::Sending => EventName::MessageSending,
        Status::Sent => EventName::MessageSent,
        Status::Delivered => EventName::MessageDelivered,
        Status::Undelivered => EventName::MessageUndelivered,
        Status::Failed => EventName::MessageFailed,
        Status::Expired => EventName::MessageExpired,
        Status::Canceled => EventName::MessageCanceled,
        Status::Blocked => EventName::MessageBlocked,
        Status::Unknown => EventName::MessageUnknown,
    })
}

fn message(
    id: MessageId,
    status: Status,
    link: Option<&LinkName>,
    now: Timestamp,
    view: &View,
    texts: Texts,
) -> Result<Map<String, Value>, ReadError> {
    let mut told = object(json!({
        "id": id.to_string(),
        "status": status.as_str(),
        "link": link.map(LinkName::as_str),
    }));
    // One that is not kept any more has no more to tell.
    let Some(message) = view.message(id, now)? else { return Ok(told) };
    let body = message.body;
    told.insert(String::from("class"), json!(body.class.as_str()));
    told.insert(String::from("client_ref"), json!(body.client_ref));
    told.insert(String::from("batch"), json!(body.batch.map(|batch| batch.to_string())));
    if message.status == status {
        told.insert(String::from("reason"), reason(&message.head.state));
    }
    if texts == Texts::Told {
        told.insert(String::from("to"), json!(body.to.to_e164()));
        told.insert(String::from("text"), json!(body.text));
        told.insert(String::from("sender"), json!(body.sender.as_ref().map(ToString::to_string)));
        let metadata = body.metadata.and_then(|text| serde_json::from_str::<Value>(&text).ok());
        told.insert(String::from("metadata"), json!(metadata));
    }
    Ok(told)
}

fn reason(state: &State) -> Value {
    match state {
        State::Unknown { why, .. } => json!({"code": why.code(), "raw": null, "sentence": why.sentence()}),
        State::Closed { how, .. } => how.cause().map_or(Value::Null, |cause| {
            let raw = cause.raw.as_ref().map(ToString::to_string);
            json!({"code": cause.reason.code(), "raw": raw, "sentence": cause.reason.sentence()})
        }),
        State::Waiting { .. } | State::Leased { .. } | State::Sent { .. } => Value::Null,
    }
}

/// `None`: an event of an older version, which did not say it.
fn reply(
    id: InboundId,
    link: &LinkName,
    intent: Option<Intent>,
    view: &View,
    texts: Texts,
) -> Result<Map<String, Value>, ReadError> {
    let mut told = object(json!({
        "id": id.to_string(),
        "link": link.as_str(),
        "intent": intent.map(Intent::as_str),
    }));
    let Some(reply) = view.reply(id)? else { return Ok(told) };
    told.insert(String::from("answers"), json!(reply.answers.map(|id| id.to_string())));
    told.insert(String::from("complete"), json!(reply.complete));
    told.insert(String::from("received_at"), json!(reply.received_at.to_rfc3339()));
    if texts == Texts::Told {
        told.insert(String::from("from"), json!(reply.from));
        told.insert(String::from("to"), json!(reply.to));
        told.insert(String::from("text"), json!(reply.text));
    }
    Ok(told)
}

/// The number in its masked form is told to everybody: it names nobody.
fn of_party(party: Party, source: Value, texts: Texts) -> Value {
    let mut told = json!({"masked": party.to_string(), "source": source});
    if texts == Texts::Told {
        told["number"] = json!(party.as_written());
    }
    told
}

/// A note is a person's own words and may hold a number.
fn source_json(source: &Source, texts: Texts) -> Value {
    match source {
        Source::Reply(reply) => json!({"kind": "reply", "reply": reply.map(|id| id.to_string())}),
        Source::Token { by, note } => match texts {
            Texts::Told => json!({"kind": "token", "by": by.as_str(), "note": note}),
            Texts::Kept => json!({"kind": "token", "by": by.as_str()}),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use crate::engine::Pause;
    use crate::engine::memory::Memory;
    use crate::message::body::sample;
    use crate::store::{keys, record};

    const AT: Timestamp = Timestamp::from_millis(1_795_269_900_000);

    fn published(kind: NoticeKind, memory: Memory, texts: Texts) -> Option<Published> {
        let notice = Notice { at: AT, kind };
        let name = name(&notice)?;
        Some(publish(7, name, &notice, &View::new(Arc::new(memory)), texts).unwrap())
    }

    fn of_message(status: Status, link: Option<&str>, id: MessageId) -> Option<&'static str> {
        let kind = NoticeKind::Message { id, status, link: link.map(LinkName::from) };
        published(kind, Memory::default(), Texts::Kept).map(|published| published.r#type)
    }

    #[test]
    fn every_status_has_its_event_and_waiting_again_is_none() {
        let id = MessageId::earliest(AT);
        assert_eq!(of_message(Status::Queued, None, id), Some("message.accepted"));
        assert_eq!(of_message(Status::Scheduled, None, id), Some("message.accepted"));
        assert_eq!(of_message(Status::Queued, Some("a"), id), None);
        assert_eq!(of_message(Status::Queued, None, MessageId::from_u64(1)), None, "handed back later");
        for status in &Status::ALL[2..] {
            let expected = format!("message.{}", status.as_str());
            assert_eq!(of_message(*status, Some("a"), id), Some(expected.as_str()));
        }
    }

    #[test]
    fn number_text_and_metadata_are_told_only_where_they_may_be_read() {
        let id = MessageId::earliest(AT);
        let mut memory = Memory::default();
        memory.map.insert(keys::body(id), record::encode(&sample()));
        let kind = NoticeKind::Message { id, status: Status::Sending, link: Some("a".into()) };
        let told = published(kind.clone(), memory.clone(), Texts::Told).unwrap();
        assert_eq!((&told.id[..], told.r#type), ("evt_0000000000007", "message.sending"));
        assert_eq!(told.data["to"], "+4915112345678");
        assert_eq!(told.data["text"], sample().text);
        let kept = serde_json::to_string(&published(kind, memory, Texts::Kept).unwrap()).unwrap();
        assert!(!kept.contains("4915112345678") && !kept.contains("invoice") && kept.contains("\"class\""));
    }

    #[test]
    fn a_party_is_masked_where_numbers_are_kept() {
        let party = Party::parse("+4915112345678").unwrap();
        let source = Source::Token { by: "crm".into(), note: String::from("called from +4915112345678") };
        let kind = NoticeKind::OptOutAdded { party, source };
        let told = published(kind.clone(), Memory::default(), Texts::Told).unwrap();
        assert_eq!((told.r#type, &told.data["number"]), ("optout.added", &json!("+4915112345678")));
        let kept = serde_json::to_string(&published(kind, Memory::default(), Texts::Kept).unwrap()).unwrap();
        assert!(!kept.contains("4915112345678") && kept.contains("5678"), "{kept}");
    }

    #[test]
    fn a_pause_of_all_sending_names_no_link() {
        let pause = Pause { since: AT, by: "crm".into() };
        let told = published(NoticeKind::Paused { link: None, pause }, Memory::default(), Texts::Kept);
        let told = told.unwrap();
        assert_eq!((told.r#type, &told.data["link"]), ("link.paused", &Value::Null));
    }
}
