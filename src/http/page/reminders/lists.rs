//! `/contacts` and `/subscriptions`: lists that lead to the contact, the subscription and the obligations.

use askama::Template;
use axum::extract::State;
use axum::http::request::Parts;
use axum::response::Response;

use super::subscriptions::often;
use super::words::When;
use super::{Frame, Look, ROWS, SHOWN, in_path, name_of, page};
use crate::engine::reminders::view::{ContactFilter, Place, Stretch};
use crate::http::App;
use crate::http::page::say::visible;
use crate::http::problem::Problem;
use crate::message::Msisdn;
use crate::reminder::name::ExternalId;
use crate::reminder::zone::ZoneSet;

#[derive(Template)]
#[template(path = "reminders/contacts.html", config = "src/http/page/askama.toml")]
struct Contacts {
    frame: Frame,
    here: &'static str,
    sought: String,
    rows: Vec<Person>,
    older: Option<String>,
}

struct Person {
    id: String,
    external_id: String,
    name: String,
    numbers: Vec<String>,
    place: String,
}

pub async fn contacts(State(app): State<App>, parts: Parts) -> Response {
    page(app, parts, &["q", "before"], people).await
}

fn people(look: Look) -> Result<Contacts, Problem> {
    let before = look.asked.parse("before", |text| text.parse::<Place>())?;
    let sought = look.asked.get("q").unwrap_or_default().to_owned();
    let digits: String = sought.chars().filter(|c| !" -/().\u{a0}".contains(*c)).collect();
    let phone = Msisdn::parse_e164(&digits).ok();
    let external_id = match (sought.is_empty(), phone) {
        (false, None) => Some(look.asked.parse("q", ExternalId::parse)?).flatten(),
        _ => None,
    };
    let filter = ContactFilter { external_id, phone };
    let found = look.view.contacts(&filter, &Stretch { after: before, back: true, limit: ROWS })?;
    let rows = found.rows.iter().map(|(id, stored)| {
        let person = &stored.contact;
        let place = [
            person.country.as_ref().map(ToString::to_string),
            person.region.clone(),
            person.postcode.clone(),
        ];
        Person {
            id: id.to_string(),
            external_id: visible(person.external_id.as_str(), SHOWN),
            name: name_of(stored),
            numbers: person.numbers().map(Msisdn::to_e164).collect(),
            place: visible(&place.into_iter().flatten().collect::<Vec<_>>().join(" "), SHOWN),
        }
    });
    Ok(Contacts {
        here: "/contacts",
        rows: rows.collect(),
        older: found.next.map(|next| format!("/contacts?before={next}")),
        sought,
        frame: look.frame,
    })
}

#[derive(Template)]
#[template(path = "reminders/subscriptions.html", config = "src/http/page/askama.toml")]
struct Subscriptions {
    frame: Frame,
    here: &'static str,
    /// Whose they are, where it is about one account.
    of: Option<String>,
    rows: Vec<Again>,
    older: Option<String>,
}

struct Again {
    external_id: String,
    path: String,
    account: String,
    creditor: Option<String>,
    amount: String,
    /// How often.
    every: String,
    from: String,
    until: Option<String>,
    next: Option<When>,
}

pub async fn subscriptions(State(app): State<App>, parts: Parts) -> Response {
    page(app, parts, &["account", "before"], again).await
}

fn again(look: Look) -> Result<Subscriptions, Problem> {
    let before = look.asked.parse("before", |text| text.parse::<Place>())?;
    let account = look.asked.parse("account", ExternalId::parse)?;
    let stretch = Stretch { after: before, back: false, limit: ROWS };
    let found = look.view.subscriptions(account.as_ref(), &stretch)?;
    let home = ZoneSet::one(look.catalog.home.clone());
    let rows = found.rows.iter().map(|stored| {
        let s = &stored.subscription;
        Again {
            external_id: visible(s.external_id.as_str(), SHOWN),
            path: in_path(s.external_id.as_str()),
            account: visible(s.account.as_str(), SHOWN),
            creditor: s.creditor.as_ref().map(|key| match look.catalog.creditor(key) {
                Some(creditor) => visible(creditor.short(), SHOWN),
                None => key.to_string(),
            }),
            amount: s.amount.to_string(),
            every: often(s),
            from: s.from.to_string(),
            until: s.until.map(|date| date.to_string()),
            next: stored.timer.map(|at| When::of(at, &home, look.now)),
        }
    });
    let narrowed = account.as_ref().map(|account| {
        form_urlencoded::Serializer::new(String::from("&")).append_pair("account", account.as_str()).finish()
    });
    Ok(Subscriptions {
        here: "/subscriptions",
        of: account.as_ref().map(|account| visible(account.as_str(), SHOWN)),
        rows: rows.collect(),
        older: found.next.map(|next| format!("/subscriptions?before={next}{}", narrowed.unwrap_or_default())),
        frame: look.frame,
    })
}
