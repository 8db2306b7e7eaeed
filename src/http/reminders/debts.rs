//! What is owed: obligations with their payments, promises and disputes, and what became of them.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::{get, post};
use jiff::civil::Date;
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::{
    Caller, answer, change, external, key, page, refused, short, stretch, tagged, which, who, written,
};
use super::{shown, timeline};
use crate::engine::reminders::change::{How, ObligationDraft, Owner, Which};
use crate::engine::reminders::view::ObligationFilter;
use crate::engine::{Change, Changed, Subject, View};
use crate::http::auth::Scope;
use crate::http::listing::Wish;
use crate::http::problem::Problem;
use crate::http::{App, Segment, no_query, query};
use crate::id::ObligationId;
use crate::reminder::contact::Contact;
use crate::reminder::money::Money;
use crate::reminder::name::{ExternalId, Key};
use crate::reminder::obligation::{Obligation, ObligationStatus, Payment};

/// What the address of these calls names.
const OF: &str = "obligation";

pub fn routes() -> Router<App> {
    Router::new()
        .route("/v1/obligations", get(list).post(make))
        .route("/v1/obligations/{id}", get(look).put(put).patch(patch))
        .route("/v1/obligations/{id}/payments", get(payments).post(pay))
        .route("/v1/obligations/{id}/promise", post(promise))
        .route("/v1/obligations/{id}/dispute", post(dispute))
        .route("/v1/obligations/{id}/timeline", get(became))
}

async fn list(State(app): State<App>, parts: Parts) -> Result<Response, Problem> {
    app.allow(&parts, Scope::Read).await?;
    let mut filter = ObligationFilter::default();
    let wish = Wish::parse(query(&parts.uri)?, true, |name, value| filter_by(&mut filter, name, value))?;
    let stretch = stretch(&wish)?;
    let found = app.read(move |view| view.obligations(&filter, &stretch)).await?;
    let rows = found.rows.iter().map(|(id, obligation)| shown::obligation(*id, obligation)).collect();
    Ok(page(rows, found.next.map(|place| place.to_string())))
}

/// Takes a filter of obligations; `false`: it is none.
pub fn filter_by(filter: &mut ObligationFilter, name: &str, value: &str) -> Result<bool, String> {
    match name {
        "external_id" => filter.external_id = Some(external(value)?),
        "contact" => filter.contact = Some(who(value)?),
        "account" => filter.account = Some(external(value)?),
        "creditor" => filter.creditor = Some(key(value)?),
        "sequence" => filter.sequence = Some(key(value)?),
        "status" => filter.status = Some(status(value)?),
        _ => return Ok(false),
    }
    Ok(true)
}

fn status(text: &str) -> Result<ObligationStatus, String> {
    let known = ObligationStatus::ALL.into_iter().find(|status| status.as_str() == text);
    let all: Vec<&str> = ObligationStatus::ALL.iter().map(|status| status.as_str()).collect();
    known.ok_or_else(|| format!("must be one of {}", all.join(", ")))
}

async fn look(State(app): State<App>, id: Segment, parts: Parts) -> Result<Response, Problem> {
    app.allow(&parts, Scope::Read).await?;
    let (id, obligation) = find(&app, which(&parts, &id)?).await?;
    Ok(tagged(crate::http::json(StatusCode::OK, &shown::obligation(id, &obligation)), obligation.version))
}

/// The obligation that is meant.
pub async fn find(app: &App, which: Which) -> Result<(ObligationId, Obligation), Problem> {
    let look = move |view: &View| {
        let id = match view.which(&which)? {
            Ok(id) => id,
            Err(refusal) => return Ok(Err(refusal)),
        };
        Ok(Ok(view.obligation(id)?.map(|obligation| (id, obligation))))
    };
    app.read(look).await?.map_err(|refusal| refused(refusal, OF))?.ok_or_else(Problem::not_found)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ObligationBody {
    external_id: ExternalId,
    #[serde(default)]
    account: Option<ExternalId>,
    #[serde(default)]
    creditor: Option<Key>,
    /// With `creditor` and without `account`: the account is made where there is none.
    #[serde(default)]
    contact: Option<Box<Contact>>,
    amount: Money,
    #[serde(default)]
    min_due: Option<Money>,
    due_date: Date,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    link: Option<String>,
    #[serde(default)]
    sequence: Option<Key>,
    #[serde(default)]
    restart: bool,
}

impl ObligationBody {
    /// `known`: the obligation that the address names, whose owner stands where none is given.
    fn draft(self, known: Option<&Obligation>) -> Result<ObligationDraft, Problem> {
        short("description", &self.description)?;
        let owner = match (self.account, self.creditor, self.contact, known) {
            (Some(_), _, Some(_), _) => {
                return Err(Problem::field("contact", "stands beside account: give one of them"));
            }
            (Some(external_id), creditor, None, _) => Owner::Account { external_id, creditor },
            (None, Some(creditor), Some(contact), _) => Owner::Inline { creditor, contact },
            (None, None, Some(_), _) => {
                return Err(Problem::field("creditor", "is required beside contact"));
            }
            (None, _, None, Some(known)) => {
                Owner::Account { external_id: known.account.clone(), creditor: Some(known.creditor.clone()) }
            }
            (None, _, None, None) => {
                return Err(Problem::field("account", "is required, or creditor and contact"));
            }
        };
        Ok(ObligationDraft {
            external_id: self.external_id,
            owner,
            amount: self.amount,
            min_due: self.min_due,
            due_date: self.due_date,
            description: self.description,
            link: self.link,
            sequence: self.sequence,
            restart: self.restart,
        })
    }
}

async fn make(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let (parts, by, wanted) = written::<ObligationBody>(&app, request).await?;
    no_query(&parts.uri)?;
    keep(&app, wanted.draft(None)?, by).await
}

/// Changes the obligation of the address, or makes it where the address is the firm's id of one.
async fn put(State(app): State<App>, id: Segment, request: Request) -> Result<Response, Problem> {
    let (parts, by, wanted) = written::<ObligationBody>(&app, request).await?;
    let which = which(&parts, &id)?;
    let may_make = matches!(&which, Which::External { id, .. } if *id == wanted.external_id);
    let known = match find(&app, which).await {
        Ok((_, obligation)) => Some(obligation),
        Err(problem) if problem.status() == StatusCode::NOT_FOUND && may_make => None,
        Err(problem) => return Err(problem),
    };
    if let Some(known) = &known {
        if known.external_id != wanted.external_id {
            return Err(Problem::field("external_id", "is not the one in the address"));
        }
        if wanted.creditor.as_ref().is_some_and(|creditor| *creditor != known.creditor) {
            return Err(Problem::field("creditor", "of an obligation cannot change"));
        }
    }
    keep(&app, wanted.draft(known.as_ref())?, by).await
}

async fn keep(app: &App, draft: ObligationDraft, by: Caller) -> Result<Response, Problem> {
    let changed = change(app, Change::Obligation(Box::new(draft)), by, "").await?;
    shown_after(app, changed).await
}

/// The obligation as it stands after a change.
pub async fn shown_after(app: &App, changed: Changed) -> Result<Response, Problem> {
    let (shown, version) = obligation_after(app, changed).await?;
    Ok(tagged(answer(changed.how, shown), version))
}

/// With its version.
async fn obligation_after(app: &App, changed: Changed) -> Result<(Value, u64), Problem> {
    let Subject::Obligation(id) = changed.subject else { return Err(Problem::internal()) };
    let (id, obligation) = find(app, Which::Id(id)).await?;
    Ok((shown::obligation(id, &obligation), obligation.version))
}

/// What may be said of an obligation besides its own fields; one at a time.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PatchBody {
    #[serde(default)]
    status: Option<ObligationStatus>,
    /// Why the status changes.
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    due_date: Option<Date>,
    /// With another `due_date`: what went goes again, in a new cycle.
    #[serde(default)]
    restart: bool,
    /// Begins this sequence; what went of it does not go again.
    #[serde(default)]
    sequence: Option<Key>,
}

impl PatchBody {
    fn change(self, which: Which) -> Result<Change, Problem> {
        short("reason", &self.reason)?;
        if self.reason.is_some() && self.status.is_none() {
            return Err(Problem::field("reason", "goes with status"));
        }
        if self.restart && self.due_date.is_none() {
            return Err(Problem::field("restart", "goes with due_date"));
        }
        match (self.status, self.due_date, self.sequence) {
            (Some(to), None, None) => {
                let reason = self.reason.unwrap_or_default();
                let why = match to {
                    ObligationStatus::Paid | ObligationStatus::PartiallyPaid => "follows from payments",
                    ObligationStatus::Disputed => "has a call of its own, /dispute",
                    ObligationStatus::InPlan => "has a resource of its own, /v1/plans",
                    _ => return Ok(Change::Status { which, to, reason }),
                };
                Err(Problem::field("status", why))
            }
            (None, Some(date), None) => Ok(Change::DueDate { which, date, restart: self.restart }),
            (None, None, Some(sequence)) => Ok(Change::Enrol { which, sequence }),
            (None, None, None) => Err(Problem::field("status", "is required, or due_date or sequence")),
            _ => Err(Problem::field("status", "give one of status, due_date and sequence at a time")),
        }
    }
}

async fn patch(State(app): State<App>, id: Segment, request: Request) -> Result<Response, Problem> {
    let (parts, by, wanted) = written::<PatchBody>(&app, request).await?;
    let changed = change(&app, wanted.change(which(&parts, &id)?)?, by, OF).await?;
    shown_after(&app, changed).await
}

async fn payments(State(app): State<App>, id: Segment, parts: Parts) -> Result<Response, Problem> {
    app.allow(&parts, Scope::Read).await?;
    let (_, obligation) = find(&app, which(&parts, &id)?).await?;
    Ok(page(obligation.payments.iter().map(shown::payment).collect(), None))
}

/// Books a payment, or that it went back; the same external id is one payment however often it comes.
async fn pay(State(app): State<App>, id: Segment, request: Request) -> Result<Response, Problem> {
    let (parts, by, payment) = written::<Payment>(&app, request).await?;
    let which = which(&parts, &id)?;
    let (shown, reversed) = (shown::payment(&payment), payment.reversed);
    let wanted = match reversed {
        true => Change::Reverse { which, payment },
        false => Change::Pay { which, payment },
    };
    let changed = change(&app, wanted, by, OF).await?;
    let (obligation, version) = obligation_after(&app, changed).await?;
    let how = if changed.how == How::Changed && !reversed { How::Created } else { changed.how };
    let both = json!({"payment": shown, "obligation": obligation});
    Ok(tagged(answer(how, both), version))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PromiseBody {
    date: Date,
    #[serde(default)]
    amount: Option<Money>,
}

async fn promise(State(app): State<App>, id: Segment, request: Request) -> Result<Response, Problem> {
    let (parts, by, PromiseBody { date, amount }) = written(&app, request).await?;
    let which = which(&parts, &id)?;
    let changed = change(&app, Change::Promise { which, date, amount }, by, OF).await?;
    shown_after(&app, changed).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DisputeBody {
    reason: String,
}

async fn dispute(State(app): State<App>, id: Segment, request: Request) -> Result<Response, Problem> {
    let (parts, by, DisputeBody { reason }) = written(&app, request).await?;
    let which = which(&parts, &id)?;
    short("reason", &Some(reason.clone()))?;
    let changed = change(&app, Change::Dispute { which, reason }, by, OF).await?;
    shown_after(&app, changed).await
}

async fn became(State(app): State<App>, id: Segment, parts: Parts) -> Result<Response, Problem> {
    app.allow(&parts, Scope::Read).await?;
    let (id, _) = find(&app, which(&parts, &id)?).await?;
    let now = app.now().wall;
    let timeline = app.read(move |view| view.timeline(id, now)).await?.ok_or_else(Problem::not_found)?;
    Ok(crate::http::json(StatusCode::OK, &timeline::shown(id, &timeline)))
}
