//! Links and the state of the whole: look, pause, resume, restart, accept the clock.
//!
//! All looks are at the published snapshot, at most a second old; only what changes something asks the core.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::auth::Scope;
use super::problem::Problem;
use super::{App, BODY_WITHIN, NO_BODY, Segment, no_query, read_body, show};
use crate::engine::doubt::Doubt;
use crate::engine::reminders::view::DueReminders;
use crate::engine::{LinkSnapshot, Pause, QuotaUse, Refusal, Snapshot};
use crate::link::{Connection, ModemStatus, Registration};
use crate::message::{LinkName, TokenName};
use crate::quota::Quota;
use crate::reminder::obligation::ObligationStatus;

/// The word of the API for a link's state; a pause by a person goes before what the link says.
pub fn state_of(link: &LinkSnapshot) -> &'static str {
    match (&link.paused, link.status.connection) {
        (_, Connection::Parked) => "parked",
        (Some(_), _) => "paused",
        (None, Connection::Up) => "up",
        (None, Connection::Connecting) => "connecting",
        (None, Connection::Down) => "down",
    }
}

#[derive(Serialize)]
pub struct LinkJson<'a> {
    name: &'a str,
    kind: &'static str,
    account: &'a str,
    state: &'static str,
    since: String,
    reason: Option<String>,
    window: u16,
    window_in_use: u16,
    in_flight: u16,
    /// Segments a second; `null` = unlimited.
    pace: Option<f64>,
    submitted_total: u64,
    throttled_total: u64,
    sessions_total: u64,
    quotas: Vec<QuotaJson>,
    /// Of different numbers; `null` = any.
    recipients: Option<QuotaJson>,
    #[serde(flatten)]
    modem: Option<ModemJson<'a>>,
}

/// Segments, or numbers, of the period that runs; at `until` there is room again.
#[derive(Serialize)]
struct QuotaJson {
    per: &'static str,
    limit: u32,
    used: u32,
    until: String,
}

impl QuotaJson {
    fn of(quota: &QuotaUse) -> QuotaJson {
        let QuotaUse { quota: Quota { count, per }, used, until } = quota;
        QuotaJson { per: per.as_str(), limit: *count, used: *used, until: until.to_rfc3339() }
    }
}

/// What a modem said of itself; `null` what it has not said yet. A bind has none of these fields.
#[derive(Serialize)]
struct ModemJson<'a> {
    manufacturer: Option<&'a str>,
    model: Option<&'a str>,
    imei: Option<&'a str>,
    sim: SimJson<'a>,
    operator: Option<&'a str>,
    registration: Option<&'static str>,
    signal: Option<SignalJson>,
    /// Slots, over all memories that are read.
    storage: Option<StorageJson>,
    last_error: Option<&'a str>,
}

#[derive(Serialize)]
struct SimJson<'a> {
    imsi: Option<&'a str>,
    iccid: Option<&'a str>,
}

#[derive(Serialize)]
struct SignalJson {
    dbm: i16,
}

#[derive(Serialize)]
struct StorageJson {
    used: u32,
    total: u32,
}

impl<'a> ModemJson<'a> {
    fn of(modem: &'a ModemStatus) -> ModemJson<'a> {
        ModemJson {
            manufacturer: modem.manufacturer.as_deref(),
            model: modem.model.as_deref(),
            imei: modem.imei.as_deref(),
            sim: SimJson { imsi: modem.imsi.as_deref(), iccid: modem.iccid.as_deref() },
            operator: modem.operator.as_deref(),
            registration: modem.registration.map(Registration::as_str),
            signal: modem.signal_dbm.map(|dbm| SignalJson { dbm }),
            storage: modem.storage.map(|(used, total)| StorageJson { used, total }),
            last_error: modem.last_error.as_deref(),
        }
    }
}

impl<'a> LinkJson<'a> {
    pub fn of(link: &'a LinkSnapshot) -> LinkJson<'a> {
        let (facts, status) = (&link.facts, &link.status);
        let state = state_of(link);
        let paused = link.paused.as_ref().filter(|_| state == "paused");
        LinkJson {
            name: facts.name.as_str(),
            kind: facts.kind,
            account: facts.account.as_str(),
            state,
            since: paused.map_or(status.since, |pause| pause.since).to_rfc3339(),
            reason: paused.map(|pause| format!("paused by {}", pause.by)).or_else(|| status.reason.clone()),
            window: facts.window,
            window_in_use: link.leased,
            in_flight: status.in_flight,
            pace: status.pace,
            submitted_total: status.submitted_total,
            throttled_total: status.throttled_total,
            sessions_total: status.sessions_total,
            quotas: link.quotas.iter().map(QuotaJson::of).collect(),
            recipients: link.recipients.as_ref().map(QuotaJson::of),
            modem: status.modem.as_ref().map(ModemJson::of),
        }
    }
}

pub async fn list(State(app): State<App>, parts: Parts) -> Result<Response, Problem> {
    app.allow(&parts, Scope::Read).await?;
    no_query(&parts.uri)?;
    let snapshot = app.engine().snapshot();
    let links: Vec<LinkJson> = links_of(&snapshot)?.iter().map(LinkJson::of).collect();
    Ok(super::json(StatusCode::OK, &json!({"data": links, "next_cursor": null})))
}

pub async fn look(State(app): State<App>, name: Segment, parts: Parts) -> Result<Response, Problem> {
    app.allow(&parts, Scope::Read).await?;
    no_query(&parts.uri)?;
    answer_link(&app, &name.0)
}

fn answer_link(app: &App, name: &str) -> Result<Response, Problem> {
    let snapshot = app.engine().snapshot();
    let link = links_of(&snapshot)?.iter().find(|link| link.facts.name.as_str() == name);
    Ok(super::json(StatusCode::OK, &LinkJson::of(link.ok_or_else(Problem::not_found)?)))
}

/// None is started in quarantine, which is not the same as that there is none.
fn links_of(snapshot: &Snapshot) -> Result<&[LinkSnapshot], Problem> {
    match &snapshot.quarantine {
        None => Ok(&snapshot.links),
        Some(why) => Err(Refusal::Quarantined(why.clone()).into()),
    }
}

pub async fn pause(State(app): State<App>, name: Segment, request: Request) -> Result<Response, Problem> {
    set_pause(&app, Some(&name), request, true).await?;
    answer_link(&app, &name.0)
}

pub async fn resume(State(app): State<App>, name: Segment, request: Request) -> Result<Response, Problem> {
    set_pause(&app, Some(&name), request, false).await?;
    answer_link(&app, &name.0)
}

pub async fn pause_all(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    set_pause(&app, None, request, true).await?;
    Ok(answer_status(&app))
}

pub async fn resume_all(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    set_pause(&app, None, request, false).await?;
    Ok(answer_status(&app))
}

/// A person's word that the wall clock is right; harmless where nobody doubts it.
pub async fn accept_clock(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let by = ordered(&app, request).await?;
    app.engine().accept_clock(by).await?;
    Ok(answer_status(&app))
}

/// The link as it was when it was told; what becomes of it is seen by looking again.
pub async fn restart(State(app): State<App>, name: Segment, request: Request) -> Result<Response, Problem> {
    ordered(&app, request).await?;
    app.engine().restart_link(LinkName::from(name.0.as_str())).await.map_err(refused)?;
    answer_link(&app, &name.0)
}

async fn set_pause(app: &App, name: Option<&Segment>, request: Request, on: bool) -> Result<(), Problem> {
    let by = ordered(app, request).await?;
    let link = name.map(|name| LinkName::from(name.0.as_str()));
    let done = match on {
        true => app.engine().pause(link, by).await,
        false => app.engine().resume(link, by).await,
    };
    done.map_err(refused)
}

/// Whose order without a body this is.
pub(super) async fn ordered(app: &App, request: Request) -> Result<TokenName, Problem> {
    let (parts, body) = request.into_parts();
    let by = app.allow(&parts, Scope::Admin).await?;
    no_query(&parts.uri)?;
    read_body(app.clock(), &parts.headers, body, NO_BODY, BODY_WITHIN).await?;
    Ok(by)
}

fn refused(refusal: Refusal) -> Problem {
    match refusal {
        // Here the link is the address and no field.
        Refusal::NoSuchLink => Problem::not_found(),
        other => Problem::from(other),
    }
}

pub async fn status(State(app): State<App>, parts: Parts) -> Result<Response, Problem> {
    app.allow(&parts, Scope::Read).await?;
    no_query(&parts.uri)?;
    Ok(answer_status(&app))
}

fn answer_status(app: &App) -> Response {
    let snapshot = app.engine().snapshot();
    let mut shown = status_json(&snapshot);
    if let (Value::Object(members), true) = (&mut shown, snapshot.known().is_some()) {
        let due = app.engine().view().due_reminders(app.now().wall).ok();
        members.insert(String::from("reminders"), reminders_json(&snapshot, due));
    }
    super::json(StatusCode::OK, &shown)
}

/// `due`: those whose time has come, counted up to a bound; `null` where the state cannot be read.
fn reminders_json(snapshot: &Snapshot, due: Option<DueReminders>) -> Value {
    let counts = &snapshot.reminders;
    let by_status = ObligationStatus::ALL.iter().zip(counts.obligations);
    let obligations: Map<String, Value> =
        by_status.map(|(status, count)| (status.as_str().to_owned(), count.into())).collect();
    json!({
        "contacts": counts.contacts,
        "obligations": obligations,
        "open_tasks": counts.open_tasks,
        "due": due.map(|due| due.now),
        "next_due_at": due.and_then(|due| due.next_at),
    })
}

/// What is not known is `null`.
fn status_json(snapshot: &Snapshot) -> Value {
    let verdict = super::page::Verdict::of(snapshot);
    let known = snapshot.known();
    json!({
        "at": snapshot.at.to_rfc3339(),
        "started_at": snapshot.started.to_rfc3339(),
        "verdict": verdict.level.as_str(),
        "verdict_sentence": verdict.sentence,
        "verdict_since": verdict.since.map(|t| t.to_rfc3339()),
        "messages": known.map(|known| show::by_status(|status| known.by_status[status as usize])),
        "oldest_due_at": snapshot.oldest_due.map(|t| t.to_rfc3339()),
        "paused": snapshot.paused.as_ref().map(pause_json),
        "clock_doubt": snapshot.clock_doubt.as_ref().map(doubt_json),
        "intake_closed": snapshot.intake_closed.as_ref().map(|closed| closed.why.to_string()),
        "quarantine": snapshot.quarantine,
        "links": known.map(|known| known.links.iter().map(LinkJson::of).collect::<Vec<_>>()),
        "inbound_total": known.map(|known| known.inbound_total),
        "receipts_unmatched_total": known.map(|known| known.receipts_unmatched),
        "journal_seq": known.map(|known| known.journal_seq),
        "free_bytes": known.map(|known| known.free_bytes),
    })
}

/// `until`: when it ends by itself, if the clock is left alone.
fn doubt_json(doubt: &Doubt) -> Value {
    json!({
        "why": doubt.why.as_str(),
        "by_seconds": doubt.why.by().as_secs(),
        "since": doubt.since.to_rfc3339(),
        "until": doubt.until.to_rfc3339(),
    })
}

fn pause_json(pause: &Pause) -> Value {
    json!({"since": pause.since.to_rfc3339(), "by": pause.by.as_str()})
}
