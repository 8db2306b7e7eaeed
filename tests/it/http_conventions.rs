//! What holds for every call of the reminder side alike: codes of refusals, lists, versions. Tables of calls, so that a
//! new one is added by a line.

use nudged::clock::Clock;
use nudged::http::auth::Scope;
use reqwest::Method;
use reqwest::header::{ALLOW, CONTENT_TYPE};
use serde_json::{Value, json};

use crate::http_reminders::{Api, eur};
use crate::support::{START, World, number};

/// Every call that takes a JSON body.
const WRITTEN: [(&str, &str); 33] = [
    ("POST", "/v1/creditors"),
    ("PUT", "/v1/creditors/acme"),
    ("POST", "/v1/menus"),
    ("PUT", "/v1/menus/ask"),
    ("POST", "/v1/packs"),
    ("PUT", "/v1/packs/own"),
    ("POST", "/v1/calendars"),
    ("PUT", "/v1/calendars/bank"),
    ("POST", "/v1/sequences"),
    ("PUT", "/v1/sequences/standard"),
    ("POST", "/v1/templates"),
    ("PUT", "/v1/templates/due/en"),
    ("POST", "/v1/templates/lint"),
    ("POST", "/v1/templates/preview"),
    ("POST", "/v1/templates/due/en/preview"),
    ("POST", "/v1/contacts"),
    ("PUT", "/v1/contacts/c-1"),
    ("POST", "/v1/accounts"),
    ("PUT", "/v1/accounts/c-1"),
    ("POST", "/v1/consents"),
    ("POST", "/v1/obligations"),
    ("PUT", "/v1/obligations/inv-1"),
    ("PATCH", "/v1/obligations/inv-1"),
    ("POST", "/v1/obligations/inv-1/payments"),
    ("POST", "/v1/obligations/inv-1/promise"),
    ("POST", "/v1/obligations/inv-1/dispute"),
    ("POST", "/v1/enrolments"),
    ("POST", "/v1/plans"),
    ("POST", "/v1/subscriptions"),
    ("POST", "/v1/tasks"),
    ("POST", "/v1/simulate"),
    ("PUT", "/v1/imports/mappings/erp"),
    ("POST", "/v1/clicks"),
];

/// Orders that may go without a body.
const ORDERED: [&str; 3] =
    ["/v1/enrolments/inv-1/pause", "/v1/enrolments/inv-1/resume", "/v1/enrolments/inv-1/exit"];

/// Calls that take a file, with the type they want.
const FILES: [(&str, &str); 4] = [
    ("/v1/imports", "text/csv"),
    ("/v1/imports/payments", "text/csv"),
    ("/v1/imports/bank", "application/xml"),
    ("/v1/imports/seeds", "application/toml"),
];

/// Every list, with whether it begins with the newest.
const LISTS: [(&str, bool); 15] = [
    ("/v1/creditors", false),
    ("/v1/menus", false),
    ("/v1/packs", false),
    ("/v1/calendars", false),
    ("/v1/sequences", false),
    ("/v1/templates", false),
    ("/v1/accounts", false),
    ("/v1/subscriptions", false),
    ("/v1/consents", false),
    ("/v1/imports/mappings", false),
    ("/v1/contacts", true),
    ("/v1/obligations", true),
    ("/v1/enrolments", true),
    ("/v1/plans", true),
    ("/v1/tasks", true),
];

/// What is read by a name that nobody has.
const READ: [&str; 19] = [
    "/v1/creditors/none",
    "/v1/menus/none",
    "/v1/packs/none",
    "/v1/calendars/none",
    "/v1/sequences/none",
    "/v1/sequences/none/simulate?date=2026-12-01",
    "/v1/templates/none",
    "/v1/templates/due/pl",
    "/v1/contacts/none",
    "/v1/accounts/none",
    "/v1/phones/+4915199999999",
    "/v1/obligations/none",
    "/v1/obligations/none/payments",
    "/v1/obligations/none/timeline",
    "/v1/obligations/none/simulate",
    "/v1/enrolments/none",
    "/v1/plans/inv-1",
    "/v1/subscriptions/none",
    "/v1/imports/imp_0000000000000",
];

fn method(name: &str) -> Method {
    Method::from_bytes(name.as_bytes()).unwrap()
}

/// `inv-1` of `c-1` at Acme.
async fn desk() -> Api {
    let api = Api::start().await;
    api.set_up().await;
    api.owe(1, "2026-12-10").await;
    api
}

/// An answer that must be a refusal as interface.md has it; gives the first field it names.
async fn refusal(request: reqwest::RequestBuilder, status: u16, what: &str) -> Option<String> {
    let answer = request.send().await.unwrap();
    let got = answer.status().as_u16();
    let media = answer.headers().get(CONTENT_TYPE).map(|media| media.to_str().unwrap().to_owned());
    let request_id = answer.headers().contains_key("x-request-id");
    let body: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default();
    assert_eq!(got, status, "{what}: {body}");
    assert_eq!(media.as_deref(), Some("application/problem+json"), "{what}");
    assert!(request_id, "{what}");
    assert_eq!(body["status"], status, "{what}");
    for member in ["type", "title", "detail", "code"] {
        assert!(body[member].as_str().is_some_and(|text| !text.is_empty()), "{what}: {member}: {body}");
    }
    body["errors"][0]["field"].as_str().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_json_is_400_wherever_json_is_taken() {
    let api = desk().await;
    let paths = WRITTEN.into_iter().chain(ORDERED.map(|path| ("POST", path)));
    for (verb, path) in paths {
        for body in [&b""[..], b"{", b"{} x", b"7", b"{\"key\":\"\xff\"}", b"\xef\xbb\xbf{}"] {
            let request = api.request(method(verb), path).header(CONTENT_TYPE, "application/json");
            refusal(request.body(body.to_vec()), 400, &format!("{verb} {path} {body:?}")).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_type_of_body_is_415_wherever_a_body_is_taken() {
    let api = desk().await;
    let paths = WRITTEN.into_iter().chain(ORDERED.map(|path| ("POST", path)));
    for (verb, path) in paths.chain(FILES.map(|(path, _)| ("POST", path))) {
        for media in ["image/png", "application/json; charset=latin1", "text/csv; charset=utf-16"] {
            let request = api.request(method(verb), path).header(CONTENT_TYPE, media);
            refusal(request.body("{}"), 415, &format!("{verb} {path} {media}")).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_is_not_known_is_422_and_named() {
    let api = desk().await;
    for (verb, path) in WRITTEN.into_iter().chain(ORDERED.map(|path| ("POST", path))) {
        let request = api.request(method(verb), path).json(&json!({"colour": "red"}));
        let field = refusal(request, 422, &format!("{verb} {path}")).await;
        assert_eq!(field.as_deref(), Some("colour"), "{verb} {path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_stands_twice_is_422_and_named() {
    let api = desk().await;
    for (verb, path) in WRITTEN.into_iter().chain(ORDERED.map(|path| ("POST", path))) {
        let request = api.request(method(verb), path).header(CONTENT_TYPE, "application/json");
        let request = request.body(r#"{"reason":"a","reason":"b"}"#);
        let field = refusal(request, 422, &format!("{verb} {path}")).await;
        assert_eq!(field.as_deref(), Some("reason"), "{verb} {path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_beyond_a_quarter_mebibyte_is_413() {
    let api = desk().await;
    let body = format!("{{\"a\":\"{}\"}}", "x".repeat(256 << 10));
    for (verb, path) in WRITTEN.into_iter().chain(ORDERED.map(|path| ("POST", path))) {
        let request = api.request(method(verb), path).header(CONTENT_TYPE, "application/json");
        refusal(request.body(body.clone()), 413, &format!("{verb} {path}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_method_that_a_call_has_not_is_405_and_names_those_it_has() {
    let api = desk().await;
    let lists = LISTS.map(|(path, _)| path).into_iter();
    let files = FILES.map(|(path, _)| path).into_iter();
    let ones = ["/v1/exports/contacts", "/v1/contacts/c-1", "/v1/obligations/inv-1", "/v1/tasks/tsk_x/done"];
    for path in lists.chain(files).chain(ORDERED).chain(ones) {
        let answer = api.request(Method::DELETE, path).send().await.unwrap();
        let allow = answer.headers().get(ALLOW).map(|allow| allow.to_str().unwrap().to_owned());
        assert!(allow.is_some_and(|allow| allow.contains("GET") || allow.contains("POST")), "{path}");
        refusal(api.request(Method::DELETE, path), 405, path).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_there_is_not_is_404() {
    let api = desk().await;
    for path in READ {
        refusal(api.request(Method::GET, path), 404, path).await;
    }
    let date = json!({"date": "2026-12-01"});
    let payment = json!({"external_id": "p", "amount": eur("1"), "at": "2026-11-21T10:00:00Z"});
    for (path, body) in [
        ("/v1/obligations/none/promise", date.clone()),
        ("/v1/obligations/none/dispute", json!({"reason": "x"})),
        ("/v1/obligations/none/payments", payment),
        ("/v1/enrolments/none/pause", json!({})),
        ("/v1/enrolments/none/resume", json!({})),
        ("/v1/enrolments/none/exit", json!({})),
        ("/v1/tasks/tsk_0000000000000/assign", json!({"assignee": "Eve"})),
        ("/v1/tasks/tsk_0000000000000/done", json!({"outcome": "paid"})),
        ("/v1/templates/none/en/preview", json!({})),
        ("/v1/imports/imp_0000000000000/commit", json!({})),
    ] {
        refusal(api.request(Method::POST, path).json(&body), 404, path).await;
    }
    refusal(
        api.request(Method::PATCH, "/v1/obligations/none").json(&json!({"status": "open"})),
        404,
        "PATCH",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_has_passed_is_412_and_what_is_no_tag_422() {
    let api = desk().await;
    let task = api.make("/v1/tasks", json!({"kind": "callback"})).await;
    let task = format!("/v1/tasks/{}", task["id"].as_str().unwrap());
    let mut other = crate::http_reminders::template();
    other["max_segments"] = json!(2);
    let calls = [
        (Method::PUT, String::from("/v1/templates/due/en"), other),
        (Method::POST, format!("{task}/assign"), json!({"assignee": "Eve"})),
        (Method::POST, format!("{task}/done"), json!({"outcome": "resume"})),
    ];
    for (method, path, body) in calls {
        let call = |tag: &str| api.request(method.clone(), &path).header("If-Match", tag).json(&body);
        refusal(call("\"99\""), 412, &path).await;
        for bad in ["99", "W/\"1\"", "\"x\"", "\"1\", \"2\""] {
            let field = refusal(call(bad), 422, &format!("{path} {bad}")).await;
            assert_eq!(field.as_deref(), Some("If-Match"), "{path} {bad}");
        }
    }
    assert_eq!(api.get(&task).await["version"], 1, "nothing of it was done");
}

/// At least four rows in every list.
async fn full() -> Api {
    let api = desk().await;
    for n in 2..5 {
        let owed = api.owe(n, "2026-12-10").await;
        assert_eq!(owed["result"], "created");
        let mut creditor = crate::http_reminders::creditor();
        creditor["key"] = json!(format!("firm-{n}"));
        let mut template = crate::http_reminders::template();
        template["key"] = json!(format!("due-{n}"));
        let mut sequence = crate::http_reminders::sequence();
        sequence["key"] = json!(format!("seq-{n}"));
        for (path, body) in
            [("/v1/creditors", creditor), ("/v1/templates", template), ("/v1/sequences", sequence)]
        {
            api.make(path, body).await;
        }
    }
    for n in 1..5 {
        let menu = json!({"key": format!("m-{n}"), "options": [{"digit": 1, "do": "pay"}]});
        let pack = json!({"key": format!("p-{n}"), "title": "Ours", "source": "a contract"});
        let subscription = json!({"external_id": format!("s-{n}"), "account": format!("c-{n}"),
            "amount": eur("5"), "every": "monthly", "from": "2026-12-01"});
        let consent = json!({"phone": number(n), "kind": "given", "at": "2026-11-20T10:00:00Z"});
        let part = |date: &str| json!({"due_date": date, "amount": eur("60.25")});
        let plan = json!({"obligation": format!("inv-{n}"), "instalments": [part("2026-12-15"), part("2027-01-15")]});
        for (path, body) in [
            ("/v1/menus", menu),
            ("/v1/packs", pack),
            ("/v1/calendars", json!({"key": format!("cal-{n}")})),
            ("/v1/subscriptions", subscription),
            ("/v1/consents", consent),
            ("/v1/tasks", json!({"kind": format!("kind-{n}")})),
            ("/v1/plans", plan),
        ] {
            api.make(path, body).await;
        }
        let (status, made) = api.call(Method::PUT, &format!("/v1/imports/mappings/map-{n}"), json!({})).await;
        assert_eq!(status, 200, "{made}");
    }
    api
}

/// All rows of a list, page by page.
async fn walk(api: &Api, path: &str, limit: usize, order: &str) -> Vec<Value> {
    let (mut rows, mut cursor) = (Vec::new(), String::new());
    for _ in 0..100 {
        let page = api.get(&format!("{path}?limit={limit}{order}{cursor}")).await;
        let data = page["data"].as_array().unwrap();
        assert!(data.len() <= limit, "{path}");
        rows.extend(data.iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return rows,
        }
    }
    panic!("{path} has no end");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_list_goes_on_by_its_cursor_and_backwards_in_the_other_order() {
    let api = full().await;
    for (path, newest_first) in LISTS {
        let whole = walk(&api, path, 500, "&order=asc").await;
        assert!(whole.len() >= 4, "{path}: {}", whole.len());
        assert_eq!(walk(&api, path, 3, "&order=asc").await, whole, "{path}");
        let mut back = walk(&api, path, 3, "&order=desc").await;
        let usual = walk(&api, path, 3, "").await;
        assert_eq!(usual == back, newest_first, "{path}: where no order is asked for");
        back.reverse();
        assert_eq!(back, whole, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_list_refuses_what_is_no_page_of_it() {
    let api = desk().await;
    for path in LISTS.map(|(path, _)| path).into_iter().chain(["/v1/imports"]) {
        for (query, field) in [
            ("limit=0", "limit"),
            ("limit=501", "limit"),
            ("limit=-1", "limit"),
            ("limit=ten", "limit"),
            ("order=up", "order"),
            ("cursor=%20%2F", "cursor"),
            ("cursor=", "cursor"),
            ("colour=red", "colour"),
            ("limit=1&limit=2", "limit"),
        ] {
            let what = format!("{path}?{query}");
            let named = refusal(api.request(Method::GET, &what), 422, &what).await;
            assert_eq!(named.as_deref(), Some(field), "{what}");
        }
        for limit in [1, 500] {
            api.get(&format!("{path}?limit={limit}")).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_has_fifty_rows_where_nobody_says_how_many() {
    let api = desk().await;
    for n in 0..51 {
        api.make("/v1/tasks", json!({"kind": format!("kind-{n}")})).await;
        api.make("/v1/menus", json!({"key": format!("m-{n}"), "options": [{"digit": 1, "do": "pay"}]})).await;
    }
    for path in ["/v1/tasks", "/v1/menus"] {
        let page = api.get(path).await;
        assert_eq!((page["data"].as_array().unwrap().len(), page["next_cursor"].is_string()), (50, true));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_are_listed_page_by_page_in_both_orders() {
    let scopes = [Scope::Reminders, Scope::Read];
    let mut world = World::start_as(Clock::manual(START), "", &scopes).await;
    let token = world.token().to_owned();
    let mut ids = Vec::new();
    for n in 0..5 {
        let csv = format!(
            "external_id,creditor,phone,amount,currency,due_date\nA-{n},acme,+4915112000001,1,EUR,2026-12-20\n"
        );
        let (status, dry) =
            crate::seeds::upload(&world, &token, "/v1/imports", "text/csv", csv.into_bytes()).await;
        assert_eq!(status, 201, "{dry}");
        ids.push(dry["id"].clone());
        world.clock.advance(std::time::Duration::from_secs(1));
    }
    for (order, wanted) in [
        ("&order=asc", ids.clone()),
        ("&order=desc", ids.iter().rev().cloned().collect()),
        ("", ids.iter().rev().cloned().collect()),
    ] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = world.get(&format!("/v1/imports?limit=2{order}{cursor}")).await;
            seen.extend(page["data"].as_array().unwrap().iter().map(|row| row["id"].clone()));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(seen, wanted, "{order}");
    }
    world.stop_while_time_passes().await;
}
