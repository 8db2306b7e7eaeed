//! `GET /v1/exports/{resource}`: all rows of a resource, as CSV or as one JSON object a line, read page by page
//! while it goes out. A row is as it was when its page was read.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_DISPOSITION};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use axum::routing::get;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};

use super::body::only;
use super::setup::{SetUp, sequence_json};
use super::{shown, templates};
use crate::engine::reminders::view::{ObligationFilter, Rows, Stretch, TaskFilter};
use crate::engine::{ReadError, View};
use crate::http::auth::Scope;
use crate::http::optouts::{self, OptOutJson};
use crate::http::problem::Problem;
use crate::http::{App, Segment, typed};
use crate::id::ObligationId;
use crate::reminder::calendar::Calendar;
use crate::reminder::cell;
use crate::reminder::creditor::Creditor;
use crate::reminder::menu::Menu;
use crate::reminder::obligation::Obligation;
use crate::reminder::pack::Pack;
use crate::reminder::trigger::Trigger;

/// Rows read at once.
const AT_ONCE: usize = 500;

pub fn routes() -> Router<App> {
    Router::new().route("/v1/exports/{resource}", get(export))
}

/// A page of rows, and where the next begins.
type Page = (Vec<Value>, Option<String>);
type Read = fn(&View, Option<&str>) -> Result<Page, ReadError>;

/// What can be exported: its columns in CSV, each a place in its JSON, with a name where that is another.
struct Resource {
    name: &'static str,
    columns: &'static [&'static str],
    read: Read,
}

const RESOURCES: [Resource; 18] = [
    Resource {
        name: "creditors",
        columns: &[
            "key",
            "name",
            "short_name",
            "sender_role",
            "packs",
            "language",
            "timezone",
            "calendar",
            "phone",
            "help_text",
            "link_hosts",
            "sender",
            "route_class",
        ],
        read: set_up::<Creditor>,
    },
    Resource {
        name: "contacts",
        columns: &[
            "id",
            "external_id",
            "first_name",
            "last_name",
            "company",
            "kind",
            "language",
            "country",
            "region",
            "postcode",
            "timezone",
            "phone=phones.0.number",
            "phones",
            "not_before",
            "not_after",
            "days",
            "custom",
            "version",
            "created_at",
        ],
        read: |view, after| {
            rows(
                after,
                |stretch| view.contacts(&Default::default(), stretch),
                |(id, c)| shown::contact(*id, c),
            )
        },
    },
    Resource {
        name: "phones",
        columns: &["number", "status", "failures", "contacts", "last_inbound_at", "review", "reminded_at"],
        read: |view, after| {
            rows(after, |stretch| view.phones(stretch), |(number, p)| shown::phone(*number, p))
        },
    },
    Resource {
        name: "accounts",
        columns: &[
            "external_id",
            "creditor",
            "contact",
            "case_manager",
            "tags",
            "custom",
            "version",
            "created_at",
        ],
        read: |view, after| {
            rows(after, |stretch| view.accounts(&Default::default(), stretch), shown::account)
        },
    },
    Resource {
        name: "obligations",
        columns: &[
            "id",
            "external_id",
            "creditor",
            "account",
            "contact",
            "amount=amount.value",
            "currency=amount.currency",
            "balance=balance.value",
            "min_due=min_due.value",
            "due_date",
            "description",
            "link",
            "sequence",
            "status",
            "version",
            "created_at",
            "promise_date=promise.date",
            "promise_state=promise.state",
            "state=enrolment.state",
            "reason=enrolment.reason",
            "next_step=enrolment.next.step",
            "next_at=enrolment.next.at",
            "reminders_accepted=enrolment.reminders_accepted",
            "origin",
        ],
        read: |view, after| obligations(view, after, |id, o| vec![shown::obligation(id, o)]),
    },
    Resource {
        name: "payments",
        columns: &[
            "obligation",
            "obligation_external_id",
            "creditor",
            "external_id",
            "amount=amount.value",
            "currency=amount.currency",
            "at",
            "reversed",
        ],
        read: |view, after| obligations(view, after, payments),
    },
    Resource {
        name: "subscriptions",
        columns: &[
            "external_id",
            "account",
            "creditor",
            "amount=amount.value",
            "currency=amount.currency",
            "every",
            "day",
            "from",
            "until",
            "skip",
            "on_holiday",
            "description",
            "link",
            "sequence",
            "version",
            "made_until",
        ],
        read: |view, after| rows(after, |stretch| view.subscriptions(None, stretch), shown::subscription),
    },
    Resource {
        name: "plans",
        columns: &[
            "obligation",
            "external_id",
            "creditor",
            "status",
            "balance=balance.value",
            "currency=balance.currency",
            "instalments",
        ],
        read: |view, after| {
            let planned = |id, o: &Obligation| (!o.plan.is_empty()).then(|| shown::plan(id, o));
            obligations(view, after, |id, o| planned(id, o).into_iter().collect())
        },
    },
    Resource {
        name: "templates",
        columns: &[
            "key",
            "language",
            "class",
            "body",
            "body_short",
            "menu",
            "transliterate",
            "max_segments",
            "version",
        ],
        read: |view, _| {
            let catalog = view.catalog()?;
            Ok((catalog.templates.values().flat_map(|l| l.values()).map(templates::shown).collect(), None))
        },
    },
    Resource { name: "menus", columns: &["key", "options", "ttl"], read: set_up::<Menu> },
    Resource {
        name: "rules",
        columns: &["key", "on", "when", "after", "creditor", "do"],
        read: set_up::<Trigger>,
    },
    Resource {
        name: "sequences",
        columns: &["key", "version", "steps", "exits", "escalate"],
        read: |view, _| {
            let catalog = view.catalog()?;
            let versions = catalog.sequences.values().flatten();
            Ok((versions.map(|(version, sequence)| sequence_json(*version, sequence)).collect(), None))
        },
    },
    Resource {
        name: "enrolments",
        columns: &[
            "obligation",
            "external_id",
            "creditor",
            "sequence",
            "version",
            "since",
            "state",
            "reason",
            "until",
            "ended_at",
            "next_step=next.step",
            "next_at=next.at",
            "reminders_accepted",
            "gate=refused.gate",
            "pack=refused.pack",
            "rule=refused.rule",
        ],
        read: |view, after| obligations(view, after, |id, o| shown::enrolment(id, o).into_iter().collect()),
    },
    Resource {
        name: "consents",
        columns: &["phone", "creditor", "kind", "at", "channel", "wording", "evidence", "actor"],
        read: |view, after| {
            let show = |(phone, creditor, event): &_| shown::consent(*phone, Option::as_ref(creditor), event);
            rows(after, |stretch| view.consents(None, stretch), show)
        },
    },
    Resource {
        name: "suppressions",
        columns: &["number", "reason", "source", "by", "reply", "at"],
        read: |view, after| {
            let page = view.opt_outs(after.and_then(optouts::place), AT_ONCE)?;
            let rows = page.opt_outs.iter().map(|opt_out| json!(OptOutJson::of(opt_out))).collect();
            Ok((rows, page.next.map(optouts::cursor)))
        },
    },
    Resource {
        name: "tasks",
        columns: &[
            "id",
            "kind",
            "obligation",
            "contact",
            "reply",
            "assignee",
            "opened_at",
            "due",
            "overdue",
            "state",
            "outcome",
            "due_date",
            "number",
            "done_at",
            "done_by",
            "note",
            "version",
        ],
        read: |view, after| {
            rows(after, |stretch| view.tasks(&TaskFilter::default(), stretch), |(id, t)| shown::task(*id, t))
        },
    },
    Resource {
        name: "packs",
        columns: &[
            "key",
            "title",
            "source",
            "applies",
            "hours",
            "validity_ends",
            "caps",
            "footer",
            "disclosure",
            "consent",
            "basis_max_age",
            "duties",
            "forbidden_routes",
            "retention",
        ],
        read: set_up::<Pack>,
    },
    Resource {
        name: "calendars",
        columns: &["key", "weekend", "sends", "holidays"],
        read: set_up::<Calendar>,
    },
];

fn set_up<T: SetUp>(view: &View, _: Option<&str>) -> Result<Page, ReadError> {
    let catalog = view.catalog()?;
    let keys = T::keys(&catalog);
    Ok((keys.iter().filter_map(|key| T::find(&catalog, key.as_str())).collect(), None))
}

fn rows<T>(
    after: Option<&str>,
    read: impl Fn(&Stretch) -> Result<Rows<T>, ReadError>,
    show: impl Fn(&T) -> Value,
) -> Result<Page, ReadError> {
    // The places are our own, one page's last row.
    let after = after.and_then(|place| place.parse().ok());
    let page = read(&Stretch { after, back: false, limit: AT_ONCE })?;
    Ok((page.rows.iter().map(show).collect(), page.next.map(|place| place.to_string())))
}

fn obligations(
    view: &View,
    after: Option<&str>,
    show: impl Fn(ObligationId, &Obligation) -> Vec<Value>,
) -> Result<Page, ReadError> {
    let read = |stretch: &Stretch| view.obligations(&ObligationFilter::default(), stretch);
    let (shown, next) = rows(after, read, |(id, o)| Value::Array(show(*id, o)))?;
    let one_by_one = |rows: Value| match rows {
        Value::Array(rows) => rows,
        other => vec![other],
    };
    Ok((shown.into_iter().flat_map(one_by_one).collect(), next))
}

fn payments(id: ObligationId, obligation: &Obligation) -> Vec<Value> {
    let row = |payment| {
        let mut row = shown::payment(payment);
        if let Value::Object(members) = &mut row {
            members.insert(String::from("obligation"), id.to_string().into());
            members.insert(String::from("obligation_external_id"), json!(obligation.external_id));
            members.insert(String::from("creditor"), json!(obligation.creditor));
        }
        row
    };
    obligation.payments.iter().map(row).collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Csv,
    Json,
}

impl Format {
    fn parse(text: &str) -> Result<Format, String> {
        match text {
            "csv" => Ok(Format::Csv),
            "json" => Ok(Format::Json),
            _ => Err(String::from("must be csv or json")),
        }
    }

    /// By the name's ending, the query, or what the caller accepts.
    fn wanted(ending: Option<&str>, asked: Option<Format>, headers: &HeaderMap) -> Result<Format, Problem> {
        let named = ending.map(Format::parse).transpose().map_err(|_| Problem::not_found())?;
        let accepts = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        let csv = accepts.split([',', ';']).any(|one| one.trim().eq_ignore_ascii_case("text/csv"));
        Ok(named.or(asked).unwrap_or(if csv { Format::Csv } else { Format::Json }))
    }
}

async fn export(State(app): State<App>, name: Segment, parts: Parts) -> Result<Response, Problem> {
    app.allow(&parts, Scope::Read).await?;
    let (name, ending) = match name.0.split_once('.') {
        Some((name, ending)) => (name, Some(ending)),
        None => (name.0.as_str(), None),
    };
    let resource = RESOURCES.iter().find(|resource| resource.name == name).ok_or_else(Problem::not_found)?;
    let format = Format::wanted(ending, only(&parts, "format", Format::parse)?, &parts.headers)?;
    let (media, ending, head) = match format {
        Format::Csv => ("text/csv; charset=utf-8; header=present", "csv", header(resource.columns)),
        Format::Json => ("application/x-ndjson", "ndjson", String::new()),
    };
    let pages = stream::try_unfold((app, Some(None::<String>)), move |(app, after)| async move {
        let Some(after) = after else { return Ok::<_, Problem>(None) };
        let (shown, next) = app.read(move |view| (resource.read)(view, after.as_deref())).await?;
        let text: String = shown.iter().map(|row| line(resource, format, row)).collect();
        Ok(Some((Bytes::from(text), (app, next.map(Some)))))
    });
    let whole = stream::iter([Ok::<Bytes, Problem>(Bytes::from(head))]).chain(pages);
    let mut response = typed(StatusCode::OK, media, Body::from_stream(whole.map_err(|_| Unreadable)));
    let name = format!("attachment; filename=\"{name}.{ending}\"");
    if let Ok(name) = HeaderValue::from_str(&name) {
        response.headers_mut().insert(CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

/// Ends an answer that has begun; the state's fault is logged where it happened.
#[derive(Debug, thiserror::Error)]
#[error("the state cannot be read")]
struct Unreadable;

/// A column's name, and where it stands.
fn column(column: &str) -> (&str, &str) {
    column.split_once('=').unwrap_or((column, column))
}

fn header(columns: &[&str]) -> String {
    columns.iter().map(|one| column(one).0).collect::<Vec<_>>().join(",") + "\r\n"
}

fn line(resource: &Resource, format: Format, row: &Value) -> String {
    if format == Format::Json {
        return format!("{row}\n");
    }
    let cells = resource.columns.iter().map(|one| csv_cell(row.pointer(&pointer(column(one).1))));
    cells.collect::<Vec<_>>().join(",") + "\r\n"
}

fn pointer(place: &str) -> String {
    format!("/{}", place.replace('.', "/"))
}

/// What is a list or an object stays JSON in its cell.
fn csv_cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) if is_number(text) => cell::exact(text).into_owned(),
        Some(Value::String(text)) => cell::free(text).into_owned(),
        Some(Value::Array(list)) if list.is_empty() => String::new(),
        Some(other) => cell::exact(&other.to_string()).into_owned(),
    }
}

/// A telephone number is no formula that could do anything.
fn is_number(text: &str) -> bool {
    text.strip_prefix('+')
        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_that_a_spreadsheet_would_run_is_text_and_a_number_keeps_its_plus() {
        for (value, cell) in [
            (json!("=1+1"), "\"'=1+1\""),
            (json!("+4915112345678"), "+4915112345678"),
            (json!("+49 151"), "\"'+49 151\""),
            (json!("a,b"), "\"a,b\""),
            (json!(true), "true"),
            (json!(null), ""),
            (json!([]), ""),
            (json!({"a": 1}), "\"{\"\"a\"\":1}\""),
        ] {
            assert_eq!(csv_cell(Some(&value)), cell, "{value}");
        }
    }

    #[test]
    fn every_resource_has_a_name_of_its_own_and_columns() {
        let names: std::collections::BTreeSet<&str> = RESOURCES.iter().map(|r| r.name).collect();
        assert_eq!(names.len(), RESOURCES.len());
        assert!(RESOURCES.iter().all(|resource| !resource.columns.is_empty()));
    }
}
