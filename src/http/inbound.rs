//! `/v1/inbound` and `/v1/conversations`: what people wrote, alone and among what they were sent.
//!
//! Texts and addresses are strangers' words: shown as they came, escaped by whoever puts them on a page.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use serde::Serialize;
use serde_json::json;

use super::auth::Scope;
use super::listing::{Wish, link, moment, number};
use super::problem::Problem;
use super::show::MessageJson;
use super::{App, Segment, no_query, query};
use crate::engine::{Entry, ReplyFilter, ReplyView};
use crate::id::InboundId;
use crate::message::Msisdn;
use crate::reminder::suppression::{Intent, Party};

/// A reply as every call shows it.
#[derive(Serialize)]
pub struct ReplyJson<'a> {
    id: String,
    /// With a plus where the network says that it is an international number, else as it came.
    from: String,
    to: &'a str,
    /// `null`: it has none, or nobody could read it.
    text: Option<&'a str>,
    link: &'a str,
    received_at: String,
    sent_at: Option<String>,
    intent: Intent,
    /// The message it answers.
    answers: Option<String>,
    complete: bool,
    /// It is why its sender is held.
    held: bool,
    /// Why it could not be read.
    problem: Option<&'a str>,
    segment_count: usize,
    /// PDUs in hexadecimal digits, one blank between two.
    raw: String,
}

impl<'a> ReplyJson<'a> {
    pub fn of(reply: &'a ReplyView) -> ReplyJson<'a> {
        let raw: Vec<String> = reply.raw.iter().map(|pdu| hex(pdu)).collect();
        ReplyJson {
            id: reply.id.to_string(),
            from: reply.number.map_or_else(|| reply.from.clone(), Msisdn::to_e164),
            to: &reply.to,
            text: reply.text.as_deref(),
            link: reply.link.as_str(),
            received_at: reply.received_at.to_rfc3339(),
            sent_at: reply.sent_at.map(|at| at.to_rfc3339()),
            intent: reply.intent,
            answers: reply.answers.map(|id| id.to_string()),
            complete: reply.complete,
            held: reply.held,
            problem: reply.problem.as_deref(),
            segment_count: reply.raw.len(),
            raw: raw.join(" "),
        }
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

pub async fn list(State(app): State<App>, parts: Parts) -> Result<Response, Problem> {
    app.allow(&parts, Scope::Read).await?;
    let mut filter = ReplyFilter::default();
    let wish = Wish::parse(query(&parts.uri)?, true, |name, value| {
        match name {
            "from" | "number" if filter.number.is_some() => {
                return Err(String::from("says from a second time"));
            }
            "from" | "number" => filter.number = Some(number(value)?),
            "link" => filter.link = Some(link(value)?),
            "intent" => filter.intent = Some(intent(value)?),
            "since" => filter.since = Some(moment(value)?),
            "until" => filter.until = Some(moment(value)?),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    let after = wish.cursor(|text| text.parse::<InboundId>().ok())?;
    let page = app.read(move |view| view.replies(&filter, after, wish.newest_first, wish.limit)).await?;
    let replies: Vec<ReplyJson> = page.replies.iter().map(ReplyJson::of).collect();
    let next = page.next.map(|id| id.to_string());
    Ok(super::json(StatusCode::OK, &json!({"data": replies, "next_cursor": next})))
}

fn intent(text: &str) -> Result<Intent, String> {
    let known = Intent::ALL.into_iter().find(|intent| intent.as_str() == text);
    let all: Vec<&str> = Intent::ALL.iter().map(|intent| intent.as_str()).collect();
    known.ok_or_else(|| format!("must be one of {}", all.join(", ")))
}

pub async fn look(State(app): State<App>, id: Segment, parts: Parts) -> Result<Response, Problem> {
    app.allow(&parts, Scope::Read).await?;
    no_query(&parts.uri)?;
    let id: InboundId = id.0.parse().map_err(|_| Problem::not_found())?;
    let reply = app.read(move |view| view.reply(id)).await?.ok_or_else(Problem::not_found)?;
    Ok(super::json(StatusCode::OK, &ReplyJson::of(&reply)))
}

#[derive(Serialize)]
struct EntryJson<'a> {
    direction: &'static str,
    at: String,
    #[serde(flatten)]
    entry: OneOf<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum OneOf<'a> {
    Message(Box<MessageJson<'a>>),
    Reply(Box<ReplyJson<'a>>),
}

impl<'a> EntryJson<'a> {
    fn of(entry: &'a Entry) -> EntryJson<'a> {
        match entry {
            Entry::Message(message) => EntryJson {
                direction: "out",
                at: message.body.accepted_at.to_rfc3339(),
                entry: OneOf::Message(Box::new(MessageJson::of(message))),
            },
            Entry::Reply(reply) => EntryJson {
                direction: "in",
                at: reply.received_at.to_rfc3339(),
                entry: OneOf::Reply(Box::new(ReplyJson::of(reply))),
            },
        }
    }
}

/// Everything to and from a number, oldest first unless asked otherwise, and whether it may be written to.
pub async fn conversation(State(app): State<App>, with: Segment, parts: Parts) -> Result<Response, Problem> {
    app.allow(&parts, Scope::Read).await?;
    let with = number(&with.0).map_err(|why| Problem::field("number", why))?;
    let wish = Wish::parse(query(&parts.uri)?, false, |_, _| Ok(false))?;
    let after = wish.cursor(|text| u64::from_str_radix(text, 16).ok())?;
    let now = app.now().wall;
    let (page, opted_out, held) = app
        .read(move |view| {
            let page = view.conversation(with, after, wish.newest_first, wish.limit, now)?;
            Ok((page, !view.opt_outs_of(with)?.is_empty(), !view.holds_of(with)?.is_empty()))
        })
        .await?;
    let entries: Vec<EntryJson> = page.entries.iter().map(EntryJson::of).collect();
    let answer = json!({
        "number": Party::Number(with).as_written(),
        "opted_out": opted_out,
        "held": held,
        "data": entries,
        "next_cursor": page.next.map(|place| format!("{place:016x}")),
    });
    Ok(super::json(StatusCode::OK, &answer))
}
