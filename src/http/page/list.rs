//! `/messages` and `/replies`: all of what the status page shows the latest of, a stretch at a time.

use std::str::FromStr;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;

use super::board::{EXCERPT, MessageRow, ReplyRow};
use super::say::Since;
use super::{doing, forms, html, refused, refused_login};
use crate::engine::{Filter, ReplyFilter};
use crate::http::auth::Scope;
use crate::http::problem::Problem;
use crate::http::session::Signed;
use crate::http::{App, query};
use crate::id::{InboundId, MessageId};
use crate::message::Status;

/// Rows of one stretch.
const ROWS: usize = 50;

#[derive(Template)]
#[template(path = "list.html", config = "src/http/page/askama.toml")]
struct Page {
    name: String,
    form_key: String,
    title: String,
    path: &'static str,
    /// The status it is about, and every other.
    statuses: Vec<(&'static str, bool)>,
    rows: Rows,
    /// Where the older ones are.
    older: Option<String>,
    at: Since,
}

enum Rows {
    Messages(Vec<MessageRow>),
    Replies(Vec<ReplyRow>),
}

/// What the address asks for. `before` is an id.
#[derive(Debug, PartialEq, Eq)]
struct Wish<Id> {
    status: Option<Status>,
    before: Option<Id>,
}

impl<Id: FromStr> Wish<Id> {
    fn parse(pairs: &[(String, String)], filtered: bool) -> Result<Wish<Id>, Problem> {
        let mut wish = Wish { status: None, before: None };
        for (name, value) in pairs {
            let refused = |why| Problem::field(name, why);
            match name.as_str() {
                "status" if filtered => {
                    wish.status =
                        Some(Status::parse(value).ok_or_else(|| refused("is no status of a message"))?);
                }
                "before" => wish.before = Some(value.parse().map_err(|_| refused("is no cursor"))?),
                _ => return Err(refused("is not a parameter of this page")),
            }
        }
        Ok(wish)
    }
}

pub async fn messages(State(app): State<App>, parts: Parts) -> Response {
    answer(&app, &parts, messages_page)
}

pub async fn replies(State(app): State<App>, parts: Parts) -> Response {
    answer(&app, &parts, replies_page)
}

type Pairs = Vec<(String, String)>;

fn answer(
    app: &App,
    parts: &Parts,
    page: impl FnOnce(&App, &Signed, &Pairs) -> Result<Page, Problem>,
) -> Response {
    let Some(signed) = app.signed(&parts.headers, doing(&parts.headers)) else {
        return refused_login(app, forms::signed_out());
    };
    let made = signed.need(Scope::Read).and_then(|()| page(app, &signed, &query(&parts.uri)?));
    match made {
        Ok(page) => html(StatusCode::OK, &page),
        Err(problem) => refused(problem),
    }
}

fn messages_page(app: &App, signed: &Signed, pairs: &Pairs) -> Result<Page, Problem> {
    let wish: Wish<MessageId> = Wish::parse(pairs, true)?;
    let now = app.now();
    let filter = Filter { status: wish.status, ..Filter::default() };
    let stretch = app.engine().view().list(&filter, wish.before, true, ROWS, now.wall)?;
    let rows = stretch.messages.iter().map(|message| MessageRow::of(message, now, EXCERPT)).collect();
    let narrowed = wish.status.map(|status| format!("status={}&", status.as_str())).unwrap_or_default();
    Ok(Page {
        name: signed.name.to_string(),
        form_key: signed.form_key.clone(),
        title: wish
            .status
            .map_or(String::from("Messages"), |status| format!("Messages: {}", status.as_str())),
        path: "/messages",
        statuses: Status::ALL.iter().map(|s| (s.as_str(), wish.status == Some(*s))).collect(),
        rows: Rows::Messages(rows),
        older: stretch.next.map(|next| format!("/messages?{narrowed}before={next}")),
        at: Since::of(now.wall, now.wall),
    })
}

fn replies_page(app: &App, signed: &Signed, pairs: &Pairs) -> Result<Page, Problem> {
    let wish: Wish<InboundId> = Wish::parse(pairs, false)?;
    let (now, view) = (app.now(), app.engine().view());
    let stretch = view.replies(&ReplyFilter::default(), wish.before, true, ROWS)?;
    let rows = stretch.replies.iter().map(|reply| ReplyRow::read(view, reply, now));
    Ok(Page {
        name: signed.name.to_string(),
        form_key: signed.form_key.clone(),
        title: String::from("Replies"),
        path: "/replies",
        statuses: Vec::new(),
        rows: Rows::Replies(rows.collect::<Result<_, _>>()?),
        older: stretch.next.map(|next| format!("/replies?before={next}")),
        at: Since::of(now.wall, now.wall),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_asks_for_what_there_is_or_is_refused() {
        let parse = |pairs: &[(&str, &str)], filtered| {
            let pairs: Pairs = pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            Wish::<MessageId>::parse(&pairs, filtered)
        };
        let id = MessageId::from_u64(7);
        let whole = parse(&[("status", "sent"), ("before", &id.to_string())], true).unwrap();
        assert_eq!(whole, Wish { status: Some(Status::Sent), before: Some(id) });
        for (pairs, filtered) in [
            (&[("status", "lost")], true),
            (&[("status", "sent")], false),
            (&[("before", "7")], true),
            (&[("token", "x")], true),
        ] {
            assert_eq!(parse(pairs, filtered).unwrap_err().status(), 422, "{pairs:?}");
        }
    }
}
