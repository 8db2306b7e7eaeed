//! `/obligations`: what is owed, a stretch at a time: by status, creditor or contact, or found by the firm's id or
//! a number.

use askama::Template;
use axum::extract::State;
use axum::http::request::Parts;
use axum::response::Response;

use super::words::{in_short, plain, sums};
use super::{Frame, Look, ROWS, SHOWN, name_of, page};
use crate::clock::Timestamp;
use crate::engine::ReadError;
use crate::engine::reminders::change::Who;
use crate::engine::reminders::view::{ContactFilter, ObligationFilter, Place, Stretch};
use crate::engine::{View, reminders::Catalog};
use crate::http::App;
use crate::http::page::say::visible;
use crate::http::problem::Problem;
use crate::id::{ContactId, ObligationId};
use crate::message::Msisdn;
use crate::reminder::name::{ExternalId, Key};
use crate::reminder::obligation::{Obligation, ObligationStatus};
use crate::reminder::zone::ZoneSet;

#[derive(Template)]
#[template(path = "reminders/obligations.html", config = "src/http/page/askama.toml")]
struct List {
    frame: Frame,
    here: &'static str,
    /// What was looked for.
    sought: String,
    /// Whose they are, where it is about one contact.
    of: Option<String>,
    contact: Option<String>,
    statuses: Vec<Choice>,
    creditors: Vec<Choice>,
    rows: Vec<Row>,
    /// What is left to pay of those shown, by currency.
    sums: Vec<String>,
    older: Option<String>,
    is_narrowed: bool,
}

/// One of a few to choose from.
pub struct Choice {
    pub value: String,
    pub word: String,
    pub chosen: bool,
}

/// One obligation in a list.
pub struct Row {
    pub id: String,
    pub external_id: String,
    pub creditor: String,
    pub who: String,
    pub amount: String,
    pub balance: String,
    pub due: String,
    pub status: &'static str,
    pub status_word: String,
    pub next: String,
}

impl Row {
    pub fn read(
        view: &View,
        catalog: &Catalog,
        id: ObligationId,
        obligation: &Obligation,
        now: Timestamp,
    ) -> Result<Row, ReadError> {
        let contact = view.contact(obligation.contact)?;
        let who = contact.as_ref().map(|stored| (name_of(stored), stored.contact.best_number()));
        let who = match who {
            None => String::from("contact not known"),
            Some((name, number)) if name.is_empty() => number.map(Msisdn::to_e164).unwrap_or_default(),
            Some((name, _)) => name,
        };
        let creditor = catalog.creditor(&obligation.creditor);
        let creditor = creditor.map_or(obligation.creditor.as_str(), |creditor| creditor.short());
        Ok(Row {
            id: id.to_string(),
            external_id: visible(obligation.external_id.as_str(), SHOWN),
            creditor: visible(creditor, SHOWN),
            who,
            amount: obligation.amount.to_string(),
            balance: obligation.balance().to_string(),
            due: obligation.due_date.to_string(),
            status: obligation.status.as_str(),
            status_word: plain(obligation.status.as_str()),
            next: in_short(obligation, &ZoneSet::one(catalog.home.clone()), now),
        })
    }
}

pub async fn list(State(app): State<App>, parts: Parts) -> Response {
    page(app, parts, &["q", "status", "creditor", "contact", "before"], made).await
}

type Found = Vec<(ObligationId, Obligation)>;

fn made(look: Look) -> Result<List, Problem> {
    let Look { view, catalog, frame, now, asked, .. } = look;
    let status = asked.parse("status", |text| {
        let found = ObligationStatus::ALL.into_iter().find(|status| status.as_str() == text);
        found.ok_or("is no status of an obligation")
    })?;
    let creditor = asked.parse("creditor", Key::parse)?;
    let contact: Option<ContactId> = asked.parse("contact", |text| text.parse::<ContactId>())?;
    let before = asked.parse("before", |text| text.parse::<Place>())?;
    let sought = asked.get("q").unwrap_or_default().to_owned();
    let filter = ObligationFilter {
        status,
        creditor: creditor.clone(),
        contact: contact.map(Who::Id),
        ..ObligationFilter::default()
    };
    let (found, next) = match sought.is_empty() {
        true => {
            let stretch = Stretch { after: before, back: true, limit: ROWS };
            let found = view.obligations(&filter, &stretch)?;
            (found.rows, found.next)
        }
        false => (search(&view, &sought, &filter)?, None),
    };
    let rows = found.iter().map(|(id, obligation)| Row::read(&view, &catalog, *id, obligation, now));
    let whose = contact.map(|id| view.contact(id)).transpose()?.flatten();
    let narrowed = [
        ("status", status.map(|status| status.as_str().to_owned())),
        ("creditor", creditor.as_ref().map(|key| key.as_str().to_owned())),
        ("contact", contact.map(|id| id.to_string())),
    ];
    Ok(List {
        frame,
        here: "/obligations",
        of: whose.map(|stored| match name_of(&stored) {
            name if name.is_empty() => visible(stored.contact.external_id.as_str(), SHOWN),
            name => name,
        }),
        contact: contact.map(|id| id.to_string()),
        statuses: statuses(status),
        creditors: creditors(&catalog, creditor.as_ref().map(Key::as_str)),
        rows: rows.collect::<Result<_, _>>()?,
        sums: sums(found.iter().map(|(_, obligation)| obligation.balance())),
        older: next.map(|next| older(&narrowed, &next)),
        is_narrowed: !sought.is_empty() || narrowed.iter().any(|(_, value)| value.is_some()),
        sought,
    })
}

fn older(narrowed: &[(&str, Option<String>)], next: &Place) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in narrowed {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    query.append_pair("before", &next.to_string());
    format!("/obligations?{}", query.finish())
}

fn statuses(chosen: Option<ObligationStatus>) -> Vec<Choice> {
    let choice = |status: ObligationStatus| Choice {
        value: status.as_str().to_owned(),
        word: plain(status.as_str()),
        chosen: chosen == Some(status),
    };
    ObligationStatus::ALL.into_iter().map(choice).collect()
}

/// Everybody on whose behalf reminders go.
pub fn creditors(catalog: &Catalog, chosen: Option<&str>) -> Vec<Choice> {
    let choice = |(key, creditor): (&Key, &std::sync::Arc<crate::reminder::creditor::Creditor>)| Choice {
        value: key.as_str().to_owned(),
        word: visible(&creditor.name, SHOWN),
        chosen: chosen == Some(key.as_str()),
    };
    catalog.creditors.iter().map(choice).collect()
}

/// By the firm's id of the obligation, of its contact, or by a number: the first that finds some.
fn search(view: &View, sought: &str, filter: &ObligationFilter) -> Result<Found, ReadError> {
    let whole = Stretch { after: None, back: true, limit: ROWS };
    if let Ok(external) = ExternalId::parse(sought) {
        let by_id = ObligationFilter { external_id: Some(external.clone()), contact: None, ..filter.clone() };
        let found = view.obligations(&by_id, &whole)?.rows;
        if !found.is_empty() {
            return Ok(found);
        }
        let by_contact = ObligationFilter { contact: Some(Who::External(external)), ..filter.clone() };
        let found = view.obligations(&by_contact, &whole)?.rows;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    let Some(number) = number(sought) else { return Ok(Found::new()) };
    let whose = ContactFilter { phone: Some(number), ..ContactFilter::default() };
    let mut found = Found::new();
    for (id, _) in view.contacts(&whose, &whole)?.rows {
        let of_contact = ObligationFilter { contact: Some(Who::Id(id)), ..filter.clone() };
        found.extend(view.obligations(&of_contact, &whole)?.rows);
    }
    found.truncate(ROWS);
    Ok(found)
}

/// As people write numbers.
fn number(text: &str) -> Option<Msisdn> {
    let digits: String = text.chars().filter(|c| !" +-/().\u{a0}".contains(*c)).collect();
    let digits = digits.strip_prefix("00").unwrap_or(&digits);
    Msisdn::parse_e164(&format!("+{digits}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_stretch_is_narrowed_as_this_one() {
        let place: Place = "0a0b".parse().unwrap();
        let narrowed =
            [("status", Some("open".to_owned())), ("creditor", None), ("q", Some("a&b=".to_owned()))];
        assert_eq!(older(&narrowed, &place), "/obligations?status=open&q=a%26b%3D&before=0a0b");
    }

    #[test]
    fn a_number_is_looked_for_as_people_write_it() {
        let right = Msisdn::parse_e164("+4915112345678");
        for text in ["+49 151 / 123-456-78", "0049 151 12345678", "4915112345678"] {
            assert_eq!(number(text), right.ok(), "{text}");
        }
        assert_eq!(number("inv-1"), None);
    }
}
