//! Whom reminders go to: contacts, accounts, phones, and what their owners agreed to.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::{Caller, answer, change, external, key, only, page, short, stretch, tagged, who, written};
use super::shown;
use crate::clock::Timestamp;
use crate::engine::reminders::change::{AccountDraft, How, Who};
use crate::engine::reminders::view::{AccountFilter, ContactFilter};
use crate::engine::{Change, Subject, View};
use crate::http::auth::Scope;
use crate::http::listing::{Wish, number};
use crate::http::problem::Problem;
use crate::http::{App, Segment, no_query, query};
use crate::message::Msisdn;
use crate::reminder::consent::{Actor, ConsentEvent, ConsentKind};
use crate::reminder::contact::{CUSTOM_MAX, Contact, e164};
use crate::reminder::name::{ExternalId, Key};

/// Characters of a tag.
const TAG_MAX: usize = 64;

pub fn routes() -> Router<App> {
    Router::new()
        .route("/v1/contacts", get(contacts).post(make_contact))
        .route("/v1/contacts/{id}", get(contact).put(put_contact))
        .route("/v1/accounts", get(accounts).post(make_account))
        .route("/v1/accounts/{id}", get(account).put(put_account))
        .route("/v1/phones/{number}", get(phone))
        .route("/v1/consents", get(consents).post(consent))
}

async fn contacts(State(app): State<App>, parts: Parts) -> Result<Response, Problem> {
    app.allow(&parts, Scope::Read).await?;
    let mut filter = ContactFilter::default();
    let wish = Wish::parse(query(&parts.uri)?, true, |name, value| {
        match name {
            "external_id" => filter.external_id = Some(external(value)?),
            "phone" => filter.phone = Some(number(value)?),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    let stretch = stretch(&wish)?;
    let found = app.read(move |view| view.contacts(&filter, &stretch)).await?;
    let rows = found.rows.iter().map(|(id, stored)| shown::contact(*id, stored)).collect();
    Ok(page(rows, found.next.map(|place| place.to_string())))
}

async fn contact(State(app): State<App>, id: Segment, parts: Parts) -> Result<Response, Problem> {
    app.allow(&parts, Scope::Read).await?;
    no_query(&parts.uri)?;
    let who = who(&id.0).map_err(|_| Problem::not_found())?;
    let found = app.read(move |view| contact_json(view, &who)).await?.ok_or_else(Problem::not_found)?;
    Ok(tagged(crate::http::json(StatusCode::OK, &found.0), found.1))
}

/// With its version.
fn contact_json(view: &View, who: &Who) -> Result<Option<(Value, u64)>, crate::engine::ReadError> {
    let Some(id) = view.contact_id(who)? else { return Ok(None) };
    Ok(view.contact(id)?.map(|stored| (shown::contact(id, &stored), stored.version)))
}

async fn make_contact(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let (parts, by, wanted) = written::<Contact>(&app, request).await?;
    no_query(&parts.uri)?;
    keep_contact(&app, wanted, by).await
}

/// By our id or the firm's; the body's external id must be that of the contact.
async fn put_contact(State(app): State<App>, id: Segment, request: Request) -> Result<Response, Problem> {
    let (parts, by, wanted) = written::<Contact>(&app, request).await?;
    no_query(&parts.uri)?;
    let same = match who(&id.0).map_err(|_| Problem::not_found())? {
        Who::External(external) => external == wanted.external_id,
        Who::Id(id) => {
            let stored = app.read(move |view| view.contact(id)).await?.ok_or_else(Problem::not_found)?;
            stored.contact.external_id == wanted.external_id
        }
    };
    if !same {
        return Err(Problem::field("external_id", "is not the one in the address"));
    }
    keep_contact(&app, wanted, by).await
}

async fn keep_contact(app: &App, wanted: Contact, by: Caller) -> Result<Response, Problem> {
    let who = Who::External(wanted.external_id.clone());
    let changed = change(app, Change::Contact(Box::new(wanted)), by, "").await?;
    let who = match changed.subject {
        Subject::Contact(id) => Who::Id(id),
        _ => who,
    };
    let (shown, version) = app.read(move |view| contact_json(view, &who)).await?.unwrap_or_default();
    Ok(tagged(answer(changed.how, shown), version))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountBody {
    external_id: ExternalId,
    creditor: Key,
    /// `con_...`, or the firm's own id.
    contact: String,
    #[serde(default)]
    case_manager: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    custom: BTreeMap<String, String>,
}

impl AccountBody {
    fn draft(self) -> Result<AccountDraft, Problem> {
        short("case_manager", &self.case_manager)?;
        if self.tags.iter().any(|tag| tag.is_empty() || tag.chars().count() > TAG_MAX) {
            return Err(Problem::field("tags", format!("must be of 1 to {TAG_MAX} characters each")));
        }
        if self.custom.len() > CUSTOM_MAX {
            return Err(Problem::field("custom", format!("must hold at most {CUSTOM_MAX} fields")));
        }
        for value in self.custom.values() {
            short("custom", &Some(value.clone()))?;
        }
        Ok(AccountDraft {
            external_id: self.external_id,
            creditor: self.creditor,
            contact: who(&self.contact).map_err(|why| Problem::field("contact", why))?,
            case_manager: self.case_manager,
            tags: self.tags,
            custom: self.custom,
        })
    }
}

async fn accounts(State(app): State<App>, parts: Parts) -> Result<Response, Problem> {
    app.allow(&parts, Scope::Read).await?;
    let mut filter = AccountFilter::default();
    let wish = Wish::parse(query(&parts.uri)?, false, |name, value| {
        match name {
            "external_id" => filter.external_id = Some(external(value)?),
            "creditor" => filter.creditor = Some(key(value)?),
            "contact" => filter.contact = Some(who(value)?),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    let stretch = stretch(&wish)?;
    let found = app.read(move |view| view.accounts(&filter, &stretch)).await?;
    Ok(page(found.rows.iter().map(shown::account).collect(), found.next.map(|place| place.to_string())))
}

async fn account(State(app): State<App>, id: Segment, parts: Parts) -> Result<Response, Problem> {
    app.allow(&parts, Scope::Read).await?;
    let creditor = only(&parts, "creditor", key)?;
    let external = external(&id.0).map_err(|_| Problem::not_found())?;
    let found = app.read(move |view| view.account(&external, creditor.as_ref())).await?;
    let account = found.map_err(|refusal| super::body::refused(refusal, "account"))?;
    Ok(tagged(crate::http::json(StatusCode::OK, &shown::account(&account)), account.version))
}

async fn make_account(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let (parts, by, wanted) = written::<AccountBody>(&app, request).await?;
    no_query(&parts.uri)?;
    keep_account(&app, wanted.draft()?, by).await
}

async fn put_account(State(app): State<App>, id: Segment, request: Request) -> Result<Response, Problem> {
    let (parts, by, wanted) = written::<AccountBody>(&app, request).await?;
    let creditor = only(&parts, "creditor", key)?;
    let draft = wanted.draft()?;
    if draft.external_id.as_str() != id.0 {
        return Err(Problem::field("external_id", "is not the one in the address"));
    }
    if creditor.is_some_and(|creditor| creditor != draft.creditor) {
        return Err(Problem::field("creditor", "is not the one in the address"));
    }
    keep_account(&app, draft, by).await
}

async fn keep_account(app: &App, draft: AccountDraft, by: Caller) -> Result<Response, Problem> {
    let (external, creditor) = (draft.external_id.clone(), draft.creditor.clone());
    let changed = change(app, Change::Account(draft), by, "").await?;
    let found = app.read(move |view| view.account(&external, Some(&creditor))).await?;
    let version = found.as_ref().map_or(0, |account| account.version);
    let shown = found.map(|account| shown::account(&account)).unwrap_or_default();
    Ok(tagged(answer(changed.how, shown), version))
}

async fn phone(State(app): State<App>, id: Segment, parts: Parts) -> Result<Response, Problem> {
    app.allow(&parts, Scope::Read).await?;
    no_query(&parts.uri)?;
    let number = number(&id.0).map_err(|why| Problem::field("number", why))?;
    let phone = app.read(move |view| view.phone(number)).await?.ok_or_else(Problem::not_found)?;
    Ok(crate::http::json(StatusCode::OK, &shown::phone(number, &phone)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConsentBody {
    #[serde(with = "e164")]
    phone: Msisdn,
    /// Left out: it was said to all of them.
    #[serde(default)]
    creditor: Option<Key>,
    kind: ConsentKind,
    at: Timestamp,
    #[serde(default)]
    channel: Option<String>,
    #[serde(default)]
    wording: Option<String>,
    #[serde(default)]
    evidence: Option<String>,
}

/// The ledger of one phone with what it comes to, or of all phones.
async fn consents(State(app): State<App>, parts: Parts) -> Result<Response, Problem> {
    app.allow(&parts, Scope::Read).await?;
    let (mut phone, mut creditor) = (None, None);
    let wish = Wish::parse(query(&parts.uri)?, false, |name, value| {
        match name {
            "phone" => phone = Some(number(value)?),
            "creditor" => creditor = Some(key(value)?),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    let (stretch, now) = (stretch(&wish)?, app.now().wall);
    let look = move |view: &View| {
        let known = phone.map(|number| view.phone(number)).transpose()?.flatten();
        Ok((view.consents(phone, &stretch)?, known))
    };
    let (found, known) = app.read(look).await?;
    let binds = |of: Option<&Key>| creditor.as_ref().is_none_or(|wanted| of.is_none_or(|of| of == wanted));
    let events = found.rows.iter().filter(|(_, of, _)| binds(of.as_ref()));
    let events: Vec<Value> =
        events.map(|(number, of, event)| shown::consent(*number, of.as_ref(), event)).collect();
    let standings = known.as_ref().map(|phone| {
        let own = phone.consents.iter().filter(|(of, _)| binds(of.as_ref()));
        own.map(|(of, standing)| shown::standing(of.as_ref(), standing, now)).collect::<Vec<_>>()
    });
    let next = found.next.map(|place| place.to_string());
    let answer = json!({"data": events, "next_cursor": next, "standing": standings});
    Ok(crate::http::json(StatusCode::OK, &answer))
}

/// Adds an event to the ledger; the same event again changes nothing.
async fn consent(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let (parts, by, wanted) = written::<ConsentBody>(&app, request).await?;
    no_query(&parts.uri)?;
    let catalog = app.engine().view().catalog()?;
    if wanted.creditor.as_ref().is_some_and(|creditor| catalog.creditor(creditor).is_none()) {
        return Err(Problem::field("creditor", "is not set up"));
    }
    let ConsentBody { phone, creditor, kind, at, channel, wording, evidence } = wanted;
    let event = ConsentEvent { kind, at, channel, wording, evidence, actor: Actor::Token(by.name.clone()) };
    let shown = shown::consent(phone, creditor.as_ref(), &event);
    let changed = change(&app, Change::Consent { phone, creditor, event }, by, "").await?;
    let how = if changed.how == How::Changed { How::Created } else { changed.how };
    Ok(answer(how, shown))
}
