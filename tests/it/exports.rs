//! Everything a firm has, as CSV and as JSON: every resource with rows in it, what a spreadsheet would run, more rows
//! than are read at once.

use nudged::clock::Clock;
use nudged::http::auth::Scope;
use reqwest::Method;
use serde_json::{Value, json};

use crate::http_reminders::{Api, eur, template};
use crate::imports::cases;
use crate::seeds::{load, upload};
use crate::support::{START, World, until};

/// With the path of the list that shows the same rows, where there is one.
const RESOURCES: [(&str, Option<&str>); 17] = [
    ("creditors", Some("/v1/creditors")),
    ("contacts", Some("/v1/contacts")),
    ("phones", None),
    ("accounts", Some("/v1/accounts")),
    ("obligations", Some("/v1/obligations")),
    ("payments", None),
    ("subscriptions", Some("/v1/subscriptions")),
    ("plans", Some("/v1/plans")),
    ("templates", Some("/v1/templates")),
    ("menus", Some("/v1/menus")),
    ("sequences", Some("/v1/sequences")),
    ("enrolments", Some("/v1/enrolments")),
    ("consents", Some("/v1/consents")),
    ("suppressions", Some("/v1/optouts")),
    ("tasks", Some("/v1/tasks")),
    ("packs", Some("/v1/packs")),
    ("calendars", Some("/v1/calendars")),
];

/// What spreadsheets run, in every text that a firm or a stranger may write.
const FORMULAS: [&str; 4] = ["=HYPERLINK(\"http://evil.example\",\"x\")", "+1+1", "-2+3", "@SUM(1,2)"];

/// A row of every resource; whatever may be any text is a formula.
async fn hostile() -> Api {
    let api = Api::start().await;
    api.set_up().await;
    let [hyperlink, plus, minus, at] = FORMULAS;
    let mut greedy = template();
    greedy["key"] = json!("greedy");
    greedy["body"] = json!(format!("={}", greedy["body"].as_str().unwrap()));
    let contact = json!({"external_id": hyperlink, "first_name": plus, "last_name": minus, "company": at,
        "region": hyperlink, "postcode": plus, "phones": [{"number": "+4915112345678"}], "custom": {"a": at}});
    let part = |date: &str, value: &str| json!({"due_date": date, "amount": eur(value)});
    let debt = |id: &str| {
        json!({"external_id": id, "account": plus, "amount": eur("120.50"),
        "due_date": "2026-12-10", "description": minus})
    };
    for (path, body) in [
        ("/v1/calendars", json!({"key": "bank", "holidays": [{"date": "2026-12-25", "name": hyperlink}]})),
        ("/v1/packs", json!({"key": "own", "title": hyperlink, "source": at})),
        ("/v1/menus", json!({"key": "ask", "options": [{"digit": 1, "label": plus, "do": "pay"}]})),
        (
            "/v1/creditors",
            json!({"key": "firm", "name": at, "short_name": plus, "sender_role": "first_party",
            "phone": minus, "help_text": hyperlink}),
        ),
        ("/v1/templates", greedy),
        ("/v1/contacts", contact),
        (
            "/v1/accounts",
            json!({"external_id": plus, "creditor": "firm", "contact": hyperlink,
            "case_manager": hyperlink, "tags": [at], "custom": {"a": minus}}),
        ),
        ("/v1/obligations", debt("=1+1")),
        ("/v1/obligations", debt("R-2")),
        (
            "/v1/obligations/R-2/payments",
            json!({"external_id": minus, "amount": eur("20.50"),
            "at": "2026-11-21T10:00:00Z"}),
        ),
        (
            "/v1/subscriptions",
            json!({"external_id": at, "account": plus, "amount": eur("5"), "every": "weekly",
            "from": "2026-12-01", "description": hyperlink}),
        ),
        (
            "/v1/plans",
            json!({"obligation": "=1+1", "instalments":
            [part("2026-12-15", "60.00"), part("2027-01-15", "60.50")]}),
        ),
        (
            "/v1/consents",
            json!({"phone": "+4915112345678", "kind": "given", "at": "2026-11-20T09:00:00Z",
            "channel": plus, "wording": hyperlink, "evidence": minus}),
        ),
        ("/v1/tasks", json!({"kind": "callback", "obligation": "R-2", "note": at})),
    ] {
        api.make(path, body).await;
    }
    let (status, told) =
        api.world.post("/v1/optouts", json!({"number": "+4915199999999", "reason": hyperlink})).await;
    assert_eq!(status, 201, "{told}");
    let tasks = api.get("/v1/tasks").await;
    let path = format!("/v1/tasks/{}/assign", tasks["data"][0]["id"].as_str().unwrap());
    api.make(&path, json!({"assignee": plus})).await;
    api
}

async fn text(api: &Api, path: &str) -> String {
    let answer = api.request(Method::GET, path).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 200, "{path}");
    answer.text().await.unwrap()
}

/// RFC 4180, strictly: rows of cells.
fn parse(csv: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell) = (Vec::new(), Vec::new(), String::new());
    let mut chars = csv.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if cell.is_empty() => loop {
                match chars.next().expect("a quote is closed") {
                    '"' if chars.peek() == Some(&'"') => cell.push(chars.next().unwrap()),
                    '"' => break,
                    other => cell.push(other),
                }
            },
            ',' => row.push(std::mem::take(&mut cell)),
            '\r' => {
                assert_eq!(chars.next(), Some('\n'), "lines end with CR LF");
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            other => cell.push(other),
        }
    }
    assert!(row.is_empty() && cell.is_empty(), "the last line ends");
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn every_resource_is_exported_as_its_list_shows_it() {
    let api = hostile().await;
    for (name, list) in RESOURCES {
        let lines = text(&api, &format!("/v1/exports/{name}")).await;
        let mut rows: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(!rows.is_empty(), "{name}");
        let Some(path) = list else { continue };
        let listed = match name {
            "suppressions" => api.world.get(&format!("{path}?limit=500")).await,
            _ => api.get(&format!("{path}?limit=500")).await,
        };
        let mut listed = listed["data"].as_array().unwrap().clone();
        let by_text = |row: &Value| row.to_string();
        rows.sort_by_key(by_text);
        listed.sort_by_key(by_text);
        assert_eq!(rows, listed, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_csv_has_a_cell_for_every_column_and_none_that_a_spreadsheet_runs() {
    let api = hostile().await;
    for (name, _) in RESOURCES {
        let rows = parse(&text(&api, &format!("/v1/exports/{name}.csv")).await);
        let header = &rows[0];
        assert!(rows.len() > 1, "{name}");
        for row in &rows[1..] {
            assert_eq!(row.len(), header.len(), "{name}: {row:?}");
            for (column, cell) in header.iter().zip(row) {
                let number =
                    cell.strip_prefix('+').is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
                let runs = cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && !number;
                assert!(!runs, "{name}.{column}: {cell}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_guarded_is_there_behind_an_apostrophe() {
    let api = hostile().await;
    for (name, column, text_of) in [
        ("contacts", "external_id", FORMULAS[0]),
        ("contacts", "first_name", FORMULAS[1]),
        ("accounts", "case_manager", FORMULAS[0]),
        ("obligations", "description", FORMULAS[2]),
        ("payments", "external_id", FORMULAS[2]),
        ("subscriptions", "external_id", FORMULAS[3]),
        ("consents", "wording", FORMULAS[0]),
        ("suppressions", "reason", FORMULAS[0]),
        ("tasks", "note", FORMULAS[3]),
        ("tasks", "assignee", FORMULAS[1]),
        ("creditors", "name", FORMULAS[3]),
        ("packs", "title", FORMULAS[0]),
    ] {
        let rows = parse(&text(&api, &format!("/v1/exports/{name}.csv")).await);
        let place = rows[0].iter().position(|own| own == column).unwrap();
        let wanted = format!("'{text_of}");
        assert!(rows[1..].iter().any(|row| row[place] == wanted), "{name}.{column}: {rows:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_decides_the_form() {
    let api = hostile().await;
    for (path, accept, media) in [
        ("/v1/exports/tasks", "*/*", "application/x-ndjson"),
        ("/v1/exports/tasks", "text/csv", "text/csv"),
        ("/v1/exports/tasks?format=csv", "*/*", "text/csv"),
        ("/v1/exports/tasks?format=json", "text/csv", "application/x-ndjson"),
        ("/v1/exports/tasks.csv", "*/*", "text/csv"),
        ("/v1/exports/tasks.json", "*/*", "application/x-ndjson"),
    ] {
        let answer = api.request(Method::GET, path).header("Accept", accept).send().await.unwrap();
        let got = answer.headers()["content-type"].to_str().unwrap();
        assert!(got.starts_with(media), "{path} {accept}: {got}");
        let name = answer.headers()["content-disposition"].to_str().unwrap();
        assert!(name.starts_with("attachment; filename=\"tasks."), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_beyond_those_read_at_once_are_exported_once_each() {
    let mut world = World::start_as(Clock::manual(START), "", &[Scope::Reminders, Scope::Read]).await;
    let token = world.token().to_owned();
    load(&world, &token).await;
    let (_, dry) = upload(&world, &token, "/v1/imports", "text/csv", cases(1_001).into_bytes()).await;
    let path = format!("/v1/imports/{}", dry["id"].as_str().unwrap());
    world.call(Method::POST, &format!("{path}/commit"), None).await;
    let done = async || (world.get(&path).await["state"] == "committed").then_some(());
    until(&world.clock, "the cases are there", done).await;
    for name in ["contacts", "phones", "accounts", "obligations", "enrolments", "consents"] {
        let (_, lines) = world.call(Method::GET, &format!("/v1/exports/{name}.csv"), None).await;
        let mut lines: Vec<&str> = lines.as_str().unwrap().lines().skip(1).collect();
        lines.sort_unstable();
        lines.dedup();
        assert_eq!(lines.len(), 1_001, "{name}");
    }
    world.stop_while_time_passes().await;
}
