//! `/obligations/new`: a new case in one form: who owes, to whom, what, by when.
//!
//! A contact that is known already is used as it is; what the form says of its name or number then must be left
//! empty, so that nobody's record is changed by the way.

use askama::Template;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::response::Response;

use super::entries::Entries;
use super::forms::{FORM_MAX, SAID_MAX, amount, day, make as change, number};
use super::obligations::{Choice, creditors};
use super::{Frame, Look, again, filled, page};
use crate::clock::Timestamp;
use crate::engine::reminders::change::{ObligationDraft, Owner, Subject, Which};
use crate::engine::{Change, ReadError, View};
use crate::http::App;
use crate::http::page::forms::see;
use crate::http::problem::Problem;
use crate::message::{Msisdn, TokenName};
use crate::reminder::consent::{Actor, ConsentEvent, ConsentKind};
use crate::reminder::contact::{Contact, ContactKind, ContactPhone};
use crate::reminder::money::Currency;
use crate::reminder::name::{Country, ExternalId, Key, Language};
use crate::reminder::zone::Zone;

#[derive(Template)]
#[template(path = "reminders/case.html", config = "src/http/page/askama.toml")]
struct New {
    frame: Frame,
    here: &'static str,
    entries: Entries,
    creditors: Vec<Choice>,
    sequences: Vec<String>,
}

/// What the form comes to.
struct Entered {
    draft: ObligationDraft,
    consent: Option<(Msisdn, ConsentEvent)>,
}

pub async fn show(State(app): State<App>, parts: Parts) -> Response {
    page(app, parts, &[], |look| Ok(form(look, Entries::with(&[("currency", "EUR")])))).await
}

fn form(look: Look, entries: Entries) -> New {
    let chosen = entries.text("creditor").map(str::to_owned);
    New {
        frame: look.frame,
        here: "/obligations",
        creditors: creditors(&look.catalog, chosen.as_deref()),
        sequences: look.catalog.sequences.keys().map(ToString::to_string).collect(),
        entries,
    }
}

/// `POST /page/obligations`
pub async fn make(State(app): State<App>, request: Request) -> Response {
    let (signed, mut entries) = match filled(&app, request, FORM_MAX).await {
        Ok(filled) => filled,
        Err(answer) => return answer,
    };
    match enter(&app, &mut entries, signed.name.clone()).await {
        Ok(back) => see(&back),
        Err(problem) => again(&app, &signed, problem, entries, |look, entries| Ok(form(look, entries))).await,
    }
}

/// Where the new obligation is.
async fn enter(app: &App, entries: &mut Entries, by: TokenName) -> Result<String, Problem> {
    let view = app.engine().view();
    let entered = read(view, entries, &by, app.now().wall)?;
    entries.check()?;
    let entered = entered.ok_or_else(Problem::internal)?;
    let creditor = match &entered.draft.owner {
        Owner::Inline { creditor, .. } => creditor.clone(),
        Owner::Account { .. } => return Err(Problem::internal()),
    };
    let made = change(app, Change::Obligation(Box::new(entered.draft)), by.clone()).await?;
    if let Some((phone, event)) = entered.consent {
        change(app, Change::Consent { phone, creditor: Some(creditor), event }, by).await?;
    }
    match made.subject {
        Subject::Obligation(id) => Ok(format!("/obligations/{id}")),
        _ => Err(Problem::internal()),
    }
}

fn read(
    view: &View,
    entries: &mut Entries,
    by: &TokenName,
    now: Timestamp,
) -> Result<Option<Entered>, ReadError> {
    let catalog = view.catalog()?;
    let external_id = entries.required("external_id", ExternalId::parse);
    let creditor = entries.required("creditor", |text| {
        let key = Key::parse(text).map_err(|bad| bad.to_string())?;
        catalog.creditor(&key).map(|_| key).ok_or_else(|| String::from("is not set up"))
    });
    let currency = entries.required("currency", |text| Currency::parse(&text.to_ascii_uppercase()));
    let amount = currency.and_then(|currency| entries.required("amount", |text| amount(text, currency)));
    let min_due =
        currency.and_then(|currency| entries.optional("min_due", |text| self::amount(text, currency)));
    let due_date = entries.required("due_date", day);
    let sequence = entries.optional("sequence", Key::parse);
    let (description, link) = (entries.short("description", SAID_MAX), entries.short("link", SAID_MAX));
    let contact = contact(view, entries)?;
    let consent = entries.is("consent", "yes").then(|| consent(entries, by, now));
    if let (Some(id), Some(creditor)) = (&external_id, &creditor) {
        let which = Which::External { id: id.clone(), creditor: Some(creditor.clone()) };
        if view.which(&which)?.is_ok() {
            entries.refuse("external_id", "is there already: look for it in the list");
        }
    }
    let parts = (external_id, creditor, amount, due_date, contact);
    let (Some(external_id), Some(creditor), Some(amount), Some(due_date), Some(contact)) = parts else {
        return Ok(None);
    };
    if entries.check().is_err() {
        return Ok(None);
    }
    let number = contact.best_number();
    let owner = Owner::Inline { creditor, contact: Box::new(contact) };
    let draft = ObligationDraft {
        external_id,
        owner,
        amount,
        min_due,
        due_date,
        description,
        link,
        sequence,
        restart: false,
    };
    Ok(Some(Entered { draft, consent: number.zip(consent) }))
}

/// The one that is known, or a new one.
fn contact(view: &View, entries: &mut Entries) -> Result<Option<Contact>, ReadError> {
    let Some(external_id) = entries.required("contact", ExternalId::parse) else { return Ok(None) };
    let who = crate::engine::reminders::change::Who::External(external_id.clone());
    let known = view.contact_id(&who)?.map(|id| view.contact(id)).transpose()?.flatten();
    if let Some(known) = known {
        let own = ["first_name", "last_name", "company", "phone", "language", "country", "timezone"];
        for name in own {
            if entries.text(name).is_some() {
                entries.refuse(name, "leave it empty: this contact is known already and used as it is");
            }
        }
        return Ok(Some(known.contact));
    }
    let phone = entries.required("phone", number);
    let contact = Contact {
        external_id,
        first_name: entries.short("first_name", SAID_MAX),
        last_name: entries.short("last_name", SAID_MAX),
        company: entries.short("company", SAID_MAX),
        kind: if entries.is("kind", "b2b") { ContactKind::B2b } else { ContactKind::Consumer },
        language: entries.optional("language", Language::parse),
        country: entries.optional("country", |text| Country::parse(&text.to_ascii_uppercase())),
        region: entries.short("region", SAID_MAX),
        postcode: entries.short("postcode", SAID_MAX),
        timezone: entries.optional("timezone", Zone::parse),
        phones: phone
            .map(|number| ContactPhone { number, primary: true, verified: false })
            .into_iter()
            .collect(),
        not_before: None,
        not_after: None,
        days: Vec::new(),
        custom: std::collections::BTreeMap::new(),
    };
    if phone.is_some()
        && let Err((field, bad)) = contact.check()
    {
        entries.refuse(field, bad);
    }
    Ok(phone.map(|_| contact))
}

fn consent(entries: &mut Entries, by: &TokenName, now: Timestamp) -> ConsentEvent {
    ConsentEvent {
        kind: ConsentKind::Given,
        at: now,
        channel: Some(String::from("page")),
        wording: None,
        evidence: entries.short("consent_source", SAID_MAX),
        actor: Actor::Token(by.clone()),
    }
}
