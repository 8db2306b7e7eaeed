//! `/conversations/{number}`: what went to a number and came from it, in order, and whether it wants messages.

use askama::Template;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{StatusCode, Uri};
use axum::response::Response;

use super::board::{MessageRow, OptOutRow, ReplyRow};
use super::say::Since;
use super::{doing, forms, html, refused, refused_login};
use crate::clock::Now;
use crate::engine::Entry;
use crate::http::auth::Scope;
use crate::http::problem::Problem;
use crate::http::session::Signed;
use crate::http::{App, Segment, query};
use crate::message::Msisdn;
use crate::reminder::suppression::Party;

/// Bubbles of one page.
const BUBBLES: usize = 50;
/// Characters of one: a message of ten segments has fewer.
const WHOLE: usize = 4_000;

#[derive(Template)]
#[template(path = "conversation.html", config = "src/http/page/askama.toml")]
struct Page {
    name: String,
    form_key: String,
    changes: bool,
    number: String,
    /// Not the newest stretch.
    is_older: bool,
    /// Where the stretch before begins.
    older: Option<u64>,
    bubbles: Vec<Bubble>,
    held: Vec<(String, Since)>,
    opt_outs: Vec<OptOutRow>,
    at: Since,
}

enum Bubble {
    Message(MessageRow),
    Reply(ReplyRow),
}

pub async fn show(State(app): State<App>, number: Segment, parts: Parts) -> Response {
    let Some(signed) = app.signed(&parts.headers, doing(&parts.headers)) else {
        return refused_login(&app, forms::signed_out());
    };
    match page(&app, &signed, &number.0, &parts.uri) {
        Ok(page) => html(StatusCode::OK, &page),
        Err(problem) => refused(problem),
    }
}

/// `/conversations?number=`: goes there, whichever way the number is written.
pub async fn search(State(app): State<App>, parts: Parts) -> Response {
    let Some(signed) = app.signed(&parts.headers, doing(&parts.headers)) else {
        return refused_login(&app, forms::signed_out());
    };
    let number = signed.need(Scope::Read).and_then(|()| {
        let fields = query(&parts.uri)?;
        let text = fields.iter().find(|(name, _)| name == "number").map_or("", |(_, value)| value);
        parse(text)
    });
    match number {
        Ok(number) => forms::see(&format!("/conversations/{}", number.to_e164())),
        Err(problem) => refused(problem),
    }
}

/// As people write numbers: blanks and strokes mean nothing, 00 is a plus. A plus in an address may have
/// become a blank.
fn parse(text: &str) -> Result<Msisdn, Problem> {
    let plus = text.starts_with([' ', '+']);
    let digits: String = text.chars().filter(|c| !" +-/().\u{a0}".contains(*c)).collect();
    let international = if plus { Some(digits.as_str()) } else { digits.strip_prefix("00") };
    let number = international.and_then(|digits| Msisdn::parse_e164(&format!("+{digits}")).ok());
    number.ok_or_else(|| Problem::field("number", "must be + and the whole number"))
}

fn page(app: &App, signed: &Signed, number: &str, uri: &Uri) -> Result<Page, Problem> {
    signed.need(Scope::Read)?;
    let number = Msisdn::parse_e164(number).map_err(|_| Problem::not_found())?;
    let before = match query(uri)?.first() {
        None => None,
        Some((name, value)) if name == "before" => {
            Some(value.parse::<u64>().map_err(|_| Problem::field("before", "is no cursor"))?)
        }
        Some((name, _)) => return Err(Problem::field(name, "is not a parameter of this page")),
    };
    let (now, view) = (app.now(), app.engine().view());
    let stretch = view.conversation(number, before, true, BUBBLES, now.wall)?;
    let held = view.holds_of(number)?.into_iter();
    let opt_outs = view.opt_outs_of(number)?.into_iter();
    Ok(Page {
        name: signed.name.to_string(),
        form_key: signed.form_key.clone(),
        changes: signed.changes(),
        number: number.to_e164(),
        is_older: before.is_some(),
        older: stretch.next,
        bubbles: stretch.entries.into_iter().rev().map(|entry| bubble(entry, now)).collect(),
        held: held.map(|held| (held.party.as_written(), Since::of(held.hold.since, now.wall))).collect(),
        opt_outs: opt_outs.map(|opt_out| OptOutRow::of(&opt_out, now)).collect(),
        at: Since::of(now.wall, now.wall),
    })
}

fn bubble(entry: Entry, now: Now) -> Bubble {
    match entry {
        Entry::Message(message) => Bubble::Message(MessageRow::of(&message, now, WHOLE)),
        Entry::Reply(reply) => {
            Bubble::Reply(ReplyRow::of(&reply, reply.party.and_then(Party::number), now, WHOLE))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_found_as_people_write_it() {
        let right = Msisdn::parse_e164("+4915112345678").unwrap();
        for text in ["+4915112345678", "+49 151 / 123-456-78", "0049 (151) 12345678", " 4915112345678"] {
            assert_eq!(parse(text).unwrap(), right, "{text}");
        }
        for text in ["", "0151 12345678", "+49", "four", "+4915112345678x"] {
            assert_eq!(parse(text).unwrap_err().status(), 422, "{text}");
        }
    }
}
