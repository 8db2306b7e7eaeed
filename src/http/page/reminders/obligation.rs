//! `/obligations/{id}`: one obligation: what is owed and by whom, what waits, why and when next, what happened, and
//! forms for what people say of it.

use askama::Template;
use axum::extract::State;
use axum::http::request::Parts;
use axum::response::Response;

use super::entries::Tried;
use super::words::{self, Waits, When, plain};
use super::{Frame, Look, SHOWN, in_path, name_of, page, tasks};
use crate::clock::Timestamp;
use crate::engine::reminders::Happened;
use crate::engine::reminders::change::Which;
use crate::engine::reminders::records::StoredContact;
use crate::engine::reminders::view::{Line, LineKind, Stretch, TaskFilter};
use crate::engine::{MessageView, ReadError, ReplyView, View};
use crate::http::page::say::visible;
use crate::http::problem::Problem;
use crate::http::{App, Segment};
use crate::id::ObligationId;
use crate::message::Msisdn;
use crate::reminder::name::ExternalId;
use crate::reminder::obligation::{Obligation, ObligationStatus, Payment};
use crate::reminder::plan::PlanPart;
use crate::reminder::promise::PromiseState;
use crate::reminder::task::TaskState;
use crate::reminder::zone::ZoneSet;

/// Characters of a text: a message of ten segments has fewer.
const WHOLE: usize = 4_000;
/// Why a person may pause reminders, and end them.
const PAUSES: [(&str, &str); 5] = [
    ("manual", "by hand"),
    ("paid_claim", "says it is paid"),
    ("hardship", "hardship"),
    ("review", "review"),
    ("delivery_problem", "delivery problem"),
];
const EXITS: [(&str, &str); 4] = [
    ("canceled", "not wanted any more"),
    ("wrong_number", "wrong number"),
    ("deceased", "deceased"),
    ("attorney", "attorney"),
];
/// Open tasks of one obligation that are shown.
const TASKS: usize = 20;

#[derive(Template)]
#[template(path = "reminders/obligation.html", config = "src/http/page/askama.toml")]
pub struct One {
    frame: Frame,
    here: &'static str,
    id: String,
    external_id: String,
    status: &'static str,
    status_word: String,
    balance: String,
    /// The same without its currency, to begin a form with.
    balance_value: String,
    amount_label: String,
    amount: String,
    due: String,
    overdue: Option<String>,
    facts: Vec<(&'static str, String)>,
    creditor: String,
    who: Whose,
    sequence: Option<(String, String)>,
    waits: Waits,
    reminders: Option<u32>,
    payments: Vec<Paid>,
    promise: Option<String>,
    /// Due date, amount, and the instalment's own obligation.
    plan: Vec<(String, String, Option<String>)>,
    tasks: Vec<tasks::Row>,
    lines: Vec<Told>,
    cut: bool,
    /// Sequences that it may begin.
    sequences: Vec<String>,
    may: May,
    pauses: Vec<(&'static str, &'static str, bool)>,
    exits: Vec<(&'static str, &'static str)>,
    /// Names a payment entered here: the same form sent twice is one payment.
    once: String,
    /// The form that was not taken, as it was filled in.
    tried: Tried,
}

struct Whose {
    id: String,
    name: String,
    numbers: Vec<String>,
    /// Where they may live, and how that is known.
    zones: String,
    basis: &'static str,
}

struct Paid {
    external_id: String,
    amount: String,
    at: When,
    reversed: bool,
}

/// One thing that happened.
struct Told {
    at: When,
    by: String,
    sentence: String,
    text: Option<String>,
    lacks: Option<&'static str>,
    status: Option<&'static str>,
    task: Option<String>,
    is_reply: bool,
}

/// What its state lets be done.
struct May {
    pay: bool,
    /// It is open: promises, disputes.
    is_open: bool,
    plan: bool,
    pause: bool,
    resume: bool,
    reopen: bool,
    close: bool,
}

pub async fn show(State(app): State<App>, id: Segment, parts: Parts) -> Response {
    page(app, parts, &[], move |look| {
        let id: ObligationId = id.0.parse().map_err(|_| Problem::not_found())?;
        with(id, look, Tried::default())
    })
    .await
}

/// The page with a form as it was filled in.
pub fn with(id: ObligationId, look: Look, tried: Tried) -> Result<One, Problem> {
    let Look { view, catalog, frame, now, .. } = look;
    let obligation = view.obligation(id)?.ok_or_else(Problem::not_found)?;
    let contact = view.contact(obligation.contact)?;
    let creditor = catalog.creditor(&obligation.creditor);
    let place = words::zones(contact.as_ref(), creditor.map(|creditor| &**creditor), &catalog.home);
    let zones = &place.zones;
    let timeline = view.timeline(id, now)?.unwrap_or_default();
    let told = |line: &Line| told(line, zones, now);
    let today = crate::reminder::schedule::today(zones, now);
    let overdue = obligation.is_overdue(today).then(|| today.since(obligation.due_date).ok()).flatten();
    let o = &obligation;
    Ok(One {
        here: "/obligations",
        id: id.to_string(),
        external_id: visible(o.external_id.as_str(), SHOWN),
        status: o.status.as_str(),
        status_word: plain(o.status.as_str()),
        balance: o.balance().to_string(),
        balance_value: o.balance().value(),
        amount_label: format!("Amount in {}", o.amount.currency().as_str()),
        amount: o.amount.to_string(),
        due: o.due_date.to_string(),
        overdue: overdue.map(|span| days(span.get_days())),
        facts: facts(o),
        creditor: creditor.map_or(o.creditor.to_string(), |creditor| visible(&creditor.name, SHOWN)),
        who: whose(o, contact.as_ref(), &place),
        sequence: o
            .enrolment
            .as_ref()
            .map(|e| (in_path(e.sequence.as_str()), format!("{}, version {}", e.sequence, e.version))),
        waits: words::waits(o, zones, now),
        reminders: o.enrolment.as_ref().map(|enrolment| enrolment.reminders_accepted),
        payments: o.payments.iter().map(|payment| paid(payment, zones, now)).collect(),
        promise: promise(o),
        plan: instalments(&view, o)?,
        tasks: open_tasks(&view, id, now)?,
        lines: timeline
            .lines
            .iter()
            .rev()
            .filter(|line| !is_said_twice(line, &timeline.lines))
            .map(told)
            .collect(),
        cut: timeline.cut,
        sequences: catalog.sequences.keys().map(ToString::to_string).collect(),
        may: may(o),
        pauses: PAUSES.map(|(word, label)| (word, label, tried.value("pause", "reason", "") == word)).into(),
        exits: EXITS.into(),
        once: format!("page-{id}-{}", o.version),
        tried,
        frame,
    })
}

fn days(count: i32) -> String {
    if count == 1 { String::from("1 day") } else { format!("{count} days") }
}

fn facts(o: &Obligation) -> Vec<(&'static str, String)> {
    let all = [
        ("Paid", o.amount.minus(o.balance()).filter(|paid| paid.is_positive()).map(|paid| paid.to_string())),
        ("At least due", o.min_due.map(|least| least.to_string())),
        ("Description", o.description.as_deref().map(|text| visible(text, SHOWN))),
        ("Payment link", o.link.as_deref().map(|text| visible(text, SHOWN))),
        ("Account", Some(visible(o.account.as_str(), SHOWN))),
        ("Made by", words::origin(&o.origin)),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

fn whose(o: &Obligation, contact: Option<&StoredContact>, place: &crate::reminder::zone::Derived) -> Whose {
    let named = contact.map(name_of).filter(|name| !name.is_empty());
    let by_id = || contact.map(|stored| visible(stored.contact.external_id.as_str(), SHOWN));
    let zones: Vec<&str> = place.zones.zones().iter().map(|zone| zone.name()).collect();
    Whose {
        id: o.contact.to_string(),
        name: named.or_else(by_id).unwrap_or_else(|| String::from("not known")),
        numbers: contact
            .map_or_else(Vec::new, |stored| stored.contact.numbers().map(Msisdn::to_e164).collect()),
        zones: zones.join(", "),
        basis: words::basis(place.basis),
    }
}

fn paid(payment: &Payment, zones: &ZoneSet, now: Timestamp) -> Paid {
    Paid {
        external_id: payment.external_id.to_string(),
        amount: payment.amount.to_string(),
        at: When::of(payment.at, zones, now),
        reversed: payment.reversed,
    }
}

fn promise(o: &Obligation) -> Option<String> {
    let promise = o.promise.as_ref()?;
    let what = promise.amount.map_or_else(|| String::from("all of it"), |amount| amount.to_string());
    let state = match promise.state {
        PromiseState::Made => "waited for",
        PromiseState::Kept => "kept",
        PromiseState::Broken => "broken",
        PromiseState::Withdrawn => "withdrawn",
    };
    Some(format!("{what} by {}: {state}", promise.date))
}

fn instalments(view: &View, o: &Obligation) -> Result<Vec<(String, String, Option<String>)>, ReadError> {
    let row = |(n, part): (usize, &PlanPart)| {
        let own = ExternalId::parse(&format!("{}/{}", o.external_id, n + 1)).ok();
        let which = own.map(|id| Which::External { id, creditor: Some(o.creditor.clone()) });
        let id = which.map(|which| view.which(&which)).transpose()?.and_then(Result::ok);
        Ok((part.due_date.to_string(), part.amount.to_string(), id.map(|id| id.to_string())))
    };
    o.plan.iter().enumerate().map(row).collect()
}

fn open_tasks(view: &View, id: ObligationId, now: Timestamp) -> Result<Vec<tasks::Row>, ReadError> {
    let filter = TaskFilter { obligation: Some(id), ..TaskFilter::default() };
    let found = view.tasks(&filter, &Stretch { after: None, back: true, limit: TASKS })?.rows;
    let open = found.iter().filter(|(_, task)| !matches!(task.state, TaskState::Done { .. }));
    open.map(|(id, task)| tasks::Row::read(view, *id, task, now)).collect()
}

fn may(o: &Obligation) -> May {
    let runs = o.enrolment.as_ref().filter(|enrolment| !enrolment.state.is_over());
    let is_paused =
        matches!(runs.map(|e| &e.state), Some(crate::reminder::enrolment::EnrolmentState::Paused { .. }));
    let may_plan = o.status.is_open()
        || o.status == ObligationStatus::Disputed
        || (o.status == ObligationStatus::InPlan && o.plan.is_empty());
    May {
        pay: o.balance().is_positive(),
        is_open: o.status.is_open(),
        plan: may_plan && o.balance().is_positive(),
        pause: runs.is_some() && !is_paused,
        resume: is_paused,
        reopen: o.status.may_become(ObligationStatus::Open),
        close: o.status.may_become(ObligationStatus::HandedOver),
    }
}

/// A step that was left out stands in the history and in the obligation's own list of steps.
fn is_said_twice(line: &Line, all: &[Line]) -> bool {
    let LineKind::Step { note, message: None } = &line.kind else { return false };
    all.iter().any(|other| {
        let said = match &other.kind {
            LineKind::Happened(Happened::Stale { step } | Happened::Skipped { step, .. }) => Some(step),
            _ => None,
        };
        other.at == line.at && said == Some(&note.step)
    })
}

fn told(line: &Line, zones: &ZoneSet, now: Timestamp) -> Told {
    let (sentence, text, status, lacks) = match &line.kind {
        LineKind::Happened(what) => (words::happened(what, zones, now), None, None, None),
        LineKind::Step { note, message } => {
            let gone = matches!(note.how, crate::reminder::enrolment::StepOutcome::Gone { .. });
            let lacks = (gone && message.is_none()).then_some("The message is not kept any more.");
            let text = message.as_deref().map(|m: &MessageView| visible(&m.body.text, WHOLE));
            (words::step(note), text, message.as_deref().map(|m| m.status.as_str()), lacks)
        }
        LineKind::Reply { reply, what, .. } => {
            let lacks = reply.is_none().then_some("The reply is not kept any more.");
            let text = reply.as_deref().and_then(|r: &ReplyView| Some(visible(r.text.as_deref()?, WHOLE)));
            (words::happened(what, zones, now), text, None, lacks)
        }
    };
    let task = match &line.kind {
        LineKind::Happened(Happened::TaskOpened { task, .. } | Happened::TaskDone { task, .. }) => {
            Some(task.to_string())
        }
        _ => None,
    };
    Told {
        at: When::of(line.at, zones, now),
        by: visible(&line.by, SHOWN),
        sentence,
        text,
        lacks,
        status,
        task,
        is_reply: matches!(line.kind, LineKind::Reply { .. }),
    }
}
