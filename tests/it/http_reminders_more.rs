//! The reminder side over the real HTTP server: what runs over time, tasks, templates, exports, simulation.

use reqwest::Method;
use serde_json::{Value, json};

use crate::http_reminders::{Api, creditor, eur, template};

async fn up() -> Api {
    let api = Api::start().await;
    api.set_up().await;
    api
}

async fn text(api: &Api, path: &str) -> (String, String) {
    let answer = api.request(Method::GET, path).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 200, "{path}");
    let media = answer.headers()["content-type"].to_str().unwrap().to_owned();
    (media, answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enrolment_is_paused_resumed_ended_and_begun_anew() {
    let api = up().await;
    let owed = api.owe(1, "2026-12-10").await;
    let path = format!("/v1/enrolments/{}", owed["id"].as_str().unwrap());
    let (status, why) = api.post(&format!("{path}/pause"), json!({"until": "2020-01-01T00:00:00Z"})).await;
    assert_eq!((status, &why["errors"][0]["field"]), (422, &json!("until")));
    let paused = api
        .make(&format!("{path}/pause"), json!({"until": "2026-12-01T00:00:00Z", "reason": "hardship"}))
        .await;
    assert_eq!((&paused["state"], &paused["reason"]), (&json!("paused"), &json!("hardship")));
    assert_eq!((&paused["until"], &paused["next"]), (&json!("2026-12-01T00:00:00.000Z"), &Value::Null));
    assert_eq!(api.get("/v1/enrolments?state=paused").await["data"].as_array().unwrap().len(), 1);
    let resumed = api.make("/v1/enrolments/inv-1/resume", json!({})).await;
    assert_eq!((&resumed["state"], &resumed["next"]["step"]), (&json!("active"), &json!("before")));
    assert_eq!(api.make(&format!("{path}/resume"), json!({})).await["result"], "unchanged");
    let ended = api.make(&format!("{path}/exit"), json!({"reason": "deceased"})).await;
    assert_eq!((&ended["state"], &ended["reason"]), (&json!("exited"), &json!("deceased")));
    for call in ["pause", "resume"] {
        let (status, why) = api.post(&format!("{path}/{call}"), json!({})).await;
        assert_eq!((status, &why["code"]), (409, &json!("state_forbids")), "{call}: {why}");
    }
    assert_eq!(api.make(&format!("{path}/exit"), json!({})).await["result"], "unchanged");
    let order = async |call: &str, body: &'static str| {
        Api::answer(api.request(Method::POST, &format!("{path}/{call}")).body(body)).await.status
    };
    assert_eq!(order("exit", "").await, 200, "an order needs no body");
    assert_eq!(order("exit", "now").await, 415);
    let anew = api
        .make("/v1/enrolments", json!({"obligation": "inv-1", "creditor": "acme", "sequence": "standard"}))
        .await;
    assert_eq!(anew["state"], "scheduled");
    assert_eq!(api.post(&format!("{path}/exit"), json!({"reason": "bored"})).await.0, 422);
    assert_eq!(api.post("/v1/enrolments/none/exit", json!({})).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_of_an_obligation_changes_as_it_may() {
    let api = up().await;
    for (n, status, reason) in
        [(1, "canceled", "canceled"), (2, "written_off", "canceled"), (3, "handed_over", "handed_over")]
    {
        api.owe(n, "2026-12-10").await;
        let path = format!("/v1/obligations/inv-{n}");
        let (code, changed) =
            api.call(Method::PATCH, &path, json!({"status": status, "reason": "a letter"})).await;
        assert_eq!((code, &changed["status"]), (200, &json!(status)), "{changed}");
        assert_eq!(changed["enrolment"]["reason"], reason);
        let (code, why) = api.call(Method::PATCH, &path, json!({"status": "open"})).await;
        assert_eq!((code, &why["code"]), (409, &json!("state_forbids")));
    }
    api.owe(4, "2026-12-10").await;
    let disputed = api.make("/v1/obligations/inv-4/dispute", json!({"reason": "never ordered"})).await;
    assert_eq!(
        (&disputed["status"], &disputed["enrolment"]["reason"]),
        (&json!("disputed"), &json!("dispute"))
    );
    let tasks = api.get("/v1/tasks?obligation=inv-4&state=open").await;
    assert_eq!(
        (&tasks["data"][0]["kind"], &tasks["data"][0]["note"]),
        (&json!("dispute"), &json!("never ordered"))
    );
    let (_, open) = api.call(Method::PATCH, "/v1/obligations/inv-4", json!({"status": "open"})).await;
    assert_eq!((&open["status"], &open["enrolment"]["state"]), (&json!("open"), &json!("active")));
    let (_, moved) =
        api.call(Method::PATCH, "/v1/obligations/inv-4", json!({"due_date": "2026-12-20"})).await;
    assert!(moved["enrolment"]["next"]["at"].as_str().unwrap().starts_with("2026-12-"), "{moved}");
    assert_eq!(moved["due_date"], "2026-12-20");
    for body in [
        json!({}),
        json!({"status": "paid"}),
        json!({"status": "disputed"}),
        json!({"status": "open", "due_date": "2026-12-20"}),
        json!({"due_date": "2026-12-20", "reason": "x"}),
        json!({"status": "disputed", "restart": true}),
    ] {
        assert_eq!(api.call(Method::PATCH, "/v1/obligations/inv-4", body.clone()).await.0, 422, "{body}");
    }
    let same = json!({"external_id": "inv-4", "amount": eur("99"), "due_date": "2026-12-20"});
    let (code, put) = api.call(Method::PUT, "/v1/obligations/inv-4", same).await;
    assert_eq!((code, &put["amount"], &put["result"]), (200, &eur("99.00"), &json!("changed")), "{put}");
    let other = json!({"external_id": "inv-5", "amount": eur("99"), "due_date": "2026-12-20"});
    assert_eq!(api.call(Method::PUT, "/v1/obligations/inv-4", other).await.0, 422);
    let usd = json!({"external_id": "inv-4", "amount": {"value": "9", "currency": "USD"}, "due_date": "2026-12-20"});
    assert_eq!(api.call(Method::PUT, "/v1/obligations/inv-4", usd).await.0, 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_is_not_owed_of_what_is_paid() {
    let api = up().await;
    let owed = api.owe(1, "2026-12-20").await;
    let payment = json!({"external_id": "p-1", "amount": owed["amount"], "at": "2026-11-20T10:00:00Z"});
    api.make("/v1/obligations/inv-1/payments", payment).await;
    let with = |value| json!({"external_id": "inv-1", "amount": eur(value), "due_date": "2026-12-20"});
    let (status, refused) = api.call(Method::PUT, "/v1/obligations/inv-1", with("130.00")).await;
    assert_eq!((status, &refused["errors"][0]["field"]), (422, &json!("amount")), "{refused}");
    let kept = api.get("/v1/obligations/inv-1").await;
    assert_eq!((&kept["status"], &kept["amount"]), (&json!("paid"), &owed["amount"]));
    let (status, less) = api.call(Method::PUT, "/v1/obligations/inv-1", with("100.00")).await;
    assert_eq!((status, &less["status"]), (200, &json!("paid")), "{less}");
}

/// The holidays that a file put to a calendar's address leaves it, or the complaint.
async fn put_holidays(api: &Api, key: &str, media: &str, file: &str) -> Result<Value, String> {
    let request = api.request(Method::PUT, &format!("/v1/calendars/{key}"));
    let answer = Api::answer(request.header("content-type", media).body(file.to_owned())).await;
    match answer.status {
        200 | 201 => Ok(answer.body),
        status => Err(format!("{status} {}", answer.body["errors"][0])),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_holidays_takes_the_place_of_a_calendars_own() {
    let api = up().await;
    let own = json!({"key": "bank", "weekend": ["fri", "sat"], "sends": "any_day",
        "holidays": [{"date": "2026-01-01", "name": "New Year"}]});
    api.make("/v1/calendars", own).await;
    let ics = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20261225\r\n\
        SUMMARY:Christmas\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
    let put = put_holidays(&api, "bank", "text/calendar; charset=utf-8", ics).await.unwrap();
    assert_eq!(put["holidays"], json!([{"date": "2026-12-25", "name": "Christmas"}]));
    assert_eq!((&put["weekend"], &put["sends"]), (&json!(["fri", "sat"]), &json!("any_day")), "{put}");
    let same = put_holidays(&api, "bank", "text/calendar", ics).await.unwrap();
    assert_eq!(same["result"], "unchanged", "{same}");
    let list = "date,name\n2026-12-25,Christmas\n2026-12-26\n";
    let put = put_holidays(&api, "bank", "text/csv", list).await.unwrap();
    assert_eq!(put["holidays"][1], json!({"date": "2026-12-26", "name": "holiday"}));
    assert_eq!(api.get("/v1/calendars/bank").await["holidays"], put["holidays"]);
    let new = put_holidays(&api, "new", "text/csv", list).await.unwrap();
    assert_eq!((&new["result"], &new["weekend"]), (&json!("created"), &json!(["sat", "sun"])), "{new}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_holidays_that_would_lose_a_day_is_refused_with_its_line() {
    let api = up().await;
    let repeats =
        "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20260101\nRRULE:FREQ=YEARLY\nEND:VEVENT\nEND:VCALENDAR\n";
    for (media, file, why) in [
        ("text/calendar", repeats, "line 2: the event"),
        ("text/calendar", "BEGIN:VCALENDAR\n", "line 1: ends without END:VCALENDAR"),
        ("text/calendar", "<html>", "line 1: is no iCalendar file"),
        ("text/csv", "2026-12-25\nChristmas\n", "line 2: \\\"Christmas\\\""),
    ] {
        let error = put_holidays(&api, "bank", media, file).await.unwrap_err();
        assert!(error.starts_with("422") && error.contains("\"holidays\"") && error.contains(why), "{error}");
    }
    let error = put_holidays(&api, "no blanks", "text/csv", "2026-12-25\n").await.unwrap_err();
    assert!(error.contains("\"key\""), "{error}");
    let read = Api::answer(api.request(Method::GET, "/v1/calendars/bank")).await;
    assert_eq!(read.status, 404, "nothing was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_makes_instalments_and_a_subscription_periods() {
    let api = up().await;
    api.owe(1, "2026-12-10").await;
    let part = |date: &str, value: &str| json!({"due_date": date, "amount": eur(value)});
    let short = json!({"obligation": "inv-1", "instalments": [part("2026-12-15", "60.00")]});
    assert_eq!(api.refused("/v1/plans", short).await, "instalments");
    let whole = json!({"obligation": "inv-1", "instalments": [part("2026-12-15", "60.00"), part("2027-01-15", "60.50")]});
    let (status, made) = api.post("/v1/plans", whole.clone()).await;
    assert_eq!((status, &made["status"]), (201, &json!("in_plan")), "{made}");
    assert_eq!(made["instalments"][1]["external_id"], "inv-1/2");
    assert_eq!(api.get("/v1/obligations/inv-1%2F2").await["origin"]["kind"], "plan");
    let (status, again) = api.post("/v1/plans", whole).await;
    assert_eq!((status, &again["result"]), (200, &json!("unchanged")));
    assert_eq!(api.get("/v1/plans").await["data"].as_array().unwrap().len(), 1);

    let monthly = json!({"external_id": "gym/1", "account": "c-1", "amount": eur("29.90"), "every": "monthly", "day": 31, "from": "2026-12-31"});
    let (status, kept) = api.post("/v1/subscriptions", monthly.clone()).await;
    assert_eq!((status, &kept["every"], &kept["day"]), (201, &json!("monthly"), &json!(31)), "{kept}");
    let (status, again) = api.call(Method::PUT, "/v1/subscriptions/gym%2F1", monthly).await;
    assert_eq!((status, &again["result"]), (200, &json!("unchanged")));
    assert_eq!(api.get("/v1/subscriptions?account=c-1").await["data"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_of_an_id_that_two_creditors_have_is_asked_for_with_its_creditor() {
    let api = up().await;
    api.owe(1, "2026-12-10").await;
    let mut other = creditor();
    other["key"] = json!("other");
    api.make("/v1/creditors", other).await;
    api.make("/v1/accounts", json!({"external_id": "a-2", "creditor": "other", "contact": "c-1"})).await;
    for (account, creditor, day) in [("c-1", "acme", "2026-12-30"), ("a-2", "other", "2026-12-31")] {
        let monthly = json!({"external_id": "1001", "account": account, "amount": eur("29.90"),
            "every": "monthly", "from": day});
        let kept = api.make("/v1/subscriptions", monthly).await;
        assert_eq!((&kept["creditor"], &kept["result"]), (&json!(creditor), &json!("created")));
    }
    let path = "/v1/subscriptions/1001";
    let unclear = Api::answer(api.request(Method::GET, path)).await;
    assert_eq!((unclear.status, &unclear.body["errors"][0]["field"]), (422, &json!("creditor")));
    assert_eq!(api.get(&format!("{path}?creditor=other")).await["from"], "2026-12-31");
    assert_eq!(api.get(&format!("{path}?creditor=acme")).await["from"], "2026-12-30");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_changes_only_under_the_version_its_caller_saw() {
    let api = up().await;
    api.owe(1, "2026-12-10").await;
    let (status, task) = api
        .post("/v1/tasks", json!({"kind": "callback", "obligation": "inv-1", "note": "=HYPERLINK()"}))
        .await;
    assert_eq!((status, &task["state"], &task["version"]), (201, &json!("open"), &json!(1)), "{task}");
    let path = format!("/v1/tasks/{}", task["id"].as_str().unwrap());
    let seen = Api::answer(api.request(Method::GET, &path)).await;
    assert_eq!(seen.etag.as_deref(), Some("\"1\""));
    let assign = async |tag: &str, to: Value| {
        let request = api.request(Method::POST, &format!("{path}/assign")).header("If-Match", tag);
        Api::answer(request.json(&json!({"assignee": to}))).await
    };
    let eve = assign("\"1\"", json!("Eve")).await;
    assert_eq!(
        (eve.status, eve.etag.as_deref(), &eve.body["state"]),
        (200, Some("\"2\""), &json!("assigned"))
    );
    let late = assign("\"1\"", json!("Bob")).await;
    assert_eq!((late.status, &late.body["code"]), (412, &json!("version_conflict")));
    assert_eq!(assign("1", json!("Bob")).await.status, 422);
    assert_eq!(assign("*", json!("")).await.status, 422);
    assert_eq!(
        api.get("/v1/tasks?assignee=Eve&kind=callback&state=assigned").await["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    for (body, field) in [
        (json!({"outcome": "lost"}), "outcome"),
        (json!({"outcome": "extend"}), "due_date"),
        (json!({"outcome": "paid", "due_date": "2026-12-01"}), "due_date"),
        (json!({"outcome": "correct_number", "number": "0151"}), "number"),
    ] {
        assert_eq!(api.refused(&format!("{path}/done"), body).await, field);
    }
    let done =
        api.make(&format!("{path}/done"), json!({"outcome": "extend", "due_date": "2026-12-24"})).await;
    assert_eq!(
        (&done["state"], &done["outcome"], &done["done_by"]),
        (&json!("done"), &json!("extend"), &json!("api"))
    );
    assert_eq!(api.get("/v1/obligations/inv-1").await["due_date"], "2026-12-24");
    let (status, why) = api.post(&format!("{path}/done"), json!({"outcome": "paid"})).await;
    assert_eq!((status, &why["code"]), (409, &json!("state_forbids")));
    assert_eq!(api.post("/v1/tasks/tsk_0000000000000/done", json!({"outcome": "paid"})).await.0, 404);
    let (_, csv) = text(&api, "/v1/exports/tasks.csv").await;
    assert!(csv.contains("'=HYPERLINK()"), "{csv}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_grows_by_versions_warns_and_is_previewed() {
    let api = up().await;
    let seen = Api::answer(api.request(Method::GET, "/v1/templates/due/en")).await;
    assert_eq!((seen.status, seen.etag.as_deref()), (200, Some("\"1\"")));
    let mut other = template();
    other["body"] = json!(
        "{{ creditor }}: PLEASE PAY {{ amount | money }} for {{ reference }} by {{ due_date | date }}, {{ phone }} \u{2014} thanks"
    );
    let put = async |tag: (&str, &str)| {
        let request = api.request(Method::PUT, "/v1/templates/due/en").header(tag.0, tag.1);
        Api::answer(request.json(&other)).await
    };
    assert_eq!(put(("If-Match", "\"7\"")).await.status, 412);
    assert_eq!(put(("If-None-Match", "*")).await.status, 412);
    let kept = put(("If-Match", "\"1\"")).await;
    assert_eq!((kept.status, kept.etag.as_deref(), &kept.body["version"]), (200, Some("\"2\""), &json!(2)));
    assert!(!kept.body["warnings"].as_array().unwrap().is_empty(), "{}", kept.body);
    let silent = json!({"key": "x", "language": "en", "class": "reminder", "body": "{{ creditor }}: pay {{ amount | money }} by {{ due_date | date }}"});
    let told = api.make("/v1/templates/lint", silent.clone()).await;
    assert_eq!(told["may_save"], false, "no way to pay: {told}");
    assert_eq!(api.refused("/v1/templates", silent).await, "body");

    for n in 0..3 {
        api.owe(n, "2026-12-10").await;
    }
    let shown = api.make("/v1/templates/due/en/preview", json!({})).await;
    assert_eq!((&shown["recipient_count"], &shown["rendered_count"]), (&json!(3), &json!(3)), "{shown}");
    assert!(shown["samples"][0]["text"].as_str().unwrap().contains("inv-"), "{shown}");
    assert_eq!(shown["offending"][0]["character"], "\u{2014}");
    let sample = api.make("/v1/templates/due/en/preview", json!({"limit": 1, "creditor": "acme"})).await;
    assert_eq!((&sample["recipient_count"], sample["next_cursor"].is_string()), (&json!(1), true));
    let unsaved = api.make("/v1/templates/preview", json!({"template": template(), "audience": {}})).await;
    assert_eq!(unsaved["offending"], json!([]));
    let mut odd = template();
    odd["language"] = json!("pl");
    let nobody = api.make("/v1/templates/preview", json!({"template": odd})).await;
    assert_eq!(nobody["recipient_count"], 0, "they are written to in English");
    assert_eq!(api.refused("/v1/templates/due/en/preview", json!({"limit": 0})).await, "audience.limit");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_is_kept_once_and_shown_with_what_it_rests_on() {
    let api = up().await;
    let given = json!({"phone": "+4915112345678", "creditor": "acme", "kind": "given", "at": "2026-11-20T10:00:00+01:00",
        "channel": "web form", "wording": "v3", "evidence": "form 17"});
    assert_eq!(api.post("/v1/consents", given.clone()).await.0, 201);
    let (status, again) = api.post("/v1/consents", given).await;
    assert_eq!((status, &again["result"]), (200, &json!("unchanged")));
    let ledger = api.get("/v1/consents?phone=%2B4915112345678").await;
    assert_eq!(ledger["data"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&ledger["data"][0]["evidence"], &ledger["data"][0]["actor"]["name"]),
        (&json!("form 17"), &json!("api"))
    );
    assert_eq!(
        (&ledger["standing"][0]["basis"], &ledger["standing"][0]["since"]),
        (&json!("proof"), &json!("2026-11-20T09:00:00.000Z"))
    );
    api.make("/v1/consents", json!({"phone": "+4915112345678", "creditor": "acme", "kind": "revoked", "at": "2026-11-21T09:00:00Z"})).await;
    assert_eq!(api.get("/v1/consents?phone=%2B4915112345678").await["standing"][0]["basis"], "none");
    assert_eq!(api.get("/v1/consents").await["standing"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_exported_as_csv_and_as_json_over_more_than_a_page() {
    let api = up().await;
    for n in 0..3 {
        api.owe(n, "2026-12-10").await;
    }
    let payment = json!({"external_id": "=1+1", "amount": eur("20.50"), "at": "2026-11-21T10:00:00Z"});
    api.make("/v1/obligations/inv-0/payments", payment).await;
    for name in [
        "creditors",
        "contacts",
        "phones",
        "accounts",
        "obligations",
        "payments",
        "subscriptions",
        "plans",
        "templates",
        "menus",
        "rules",
        "sequences",
        "enrolments",
        "consents",
        "suppressions",
        "tasks",
        "packs",
        "calendars",
    ] {
        let (media, csv) = text(&api, &format!("/v1/exports/{name}.csv")).await;
        assert!(media.starts_with("text/csv"), "{media}");
        let (media, lines) = text(&api, &format!("/v1/exports/{name}")).await;
        assert_eq!(media, "application/x-ndjson");
        let rows: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(csv.lines().count(), rows.len() + 1, "{name}: {csv}");
        for row in &rows {
            assert!(row.is_object(), "{name}: {row}");
        }
        let has_rows = !matches!(
            name,
            "subscriptions" | "plans" | "menus" | "rules" | "consents" | "suppressions" | "tasks"
        );
        assert_eq!(!rows.is_empty(), has_rows, "{name}");
    }
    let (_, csv) = text(&api, "/v1/exports/payments?format=csv").await;
    assert!(csv.contains(",\"'=1+1\",20.50,EUR,2026-11-21T10:00:00.000Z,false\r\n"), "{csv}");
    let (_, csv) = text(&api, "/v1/exports/contacts.csv").await;
    assert!(csv.contains(",+4915112300000,"), "{csv}");
    for path in ["/v1/exports/secrets", "/v1/exports/contacts.xls"] {
        assert_eq!(Api::answer(api.request(Method::GET, path)).await.status, 404, "{path}");
    }
    assert_eq!(Api::answer(api.request(Method::GET, "/v1/exports/contacts?format=xml")).await.status, 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_go_is_told_before_it_goes() {
    let api = up().await;
    let owed = api.owe(1, "2026-12-10").await;
    let id = owed["id"].as_str().unwrap();
    let one = api.get(&format!("/v1/obligations/{id}/simulate")).await;
    let first = &one["data"][0];
    assert_eq!((&first["step"], &first["outcome"]), (&json!("before"), &json!("goes")), "{one}");
    assert_eq!(first["at"], owed["enrolment"]["next"]["at"]);
    assert!(first["text"].as_str().unwrap().contains("inv-1"), "{one}");
    let all = api
        .make(
            "/v1/simulate",
            json!({"from": "2026-11-21T15:00:00Z", "to": "2026-12-31T00:00:00Z", "creditor": "acme"}),
        )
        .await;
    assert_eq!(all["data"], one["data"]);
    let none = api
        .make(
            "/v1/simulate",
            json!({"from": "2026-11-21T15:00:00Z", "to": "2026-12-31T00:00:00Z", "creditor": "other"}),
        )
        .await;
    assert_eq!(none["data"], json!([]));
    assert_eq!(
        api.refused("/v1/simulate", json!({"from": "2026-12-01T00:00:00Z", "to": "2026-11-01T00:00:00Z"}))
            .await,
        "to"
    );
    assert_eq!(
        api.refused("/v1/simulate", json!({"from": "now", "to": "2026-11-01T00:00:00Z"})).await,
        "from"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_and_the_metrics_count_the_reminder_side() {
    let api = up().await;
    let owed = api.owe(1, "2026-12-10").await;
    api.make("/v1/tasks", json!({"kind": "callback"})).await;
    let counted = |status: &Value| status["reminders"]["open_tasks"] == 1;
    let status = api.world.await_snapshot("the counts are published", counted).await;
    let reminders = &status["reminders"];
    assert_eq!((&reminders["contacts"], &reminders["obligations"]["open"]), (&json!(1), &json!(1)));
    assert_eq!((&reminders["due"], &reminders["next_due_at"]), (&json!(0), &owed["enrolment"]["next"]["at"]));
    let (_, metrics) = text(&api, "/metrics").await;
    for line in [
        "nudged_obligations{status=\"open\"} 1",
        "nudged_open_tasks 1",
        "nudged_contacts 1",
        "nudged_reminders_due 0",
    ] {
        assert!(metrics.contains(line), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_meanwhile_is_not_written_over() {
    let api = up().await;
    api.owe(1, "2026-12-10").await;
    let contact = |name: &str| json!({"external_id": "c-1", "first_name": name, "phones": [{"number": "+4915112345678"}]});
    let account =
        |tag: &str| json!({"external_id": "c-1", "creditor": "acme", "contact": "c-1", "tags": [tag]});
    let owed = |value: &str| json!({"external_id": "inv-1", "amount": eur(value), "due_date": "2026-12-10"});
    let firm = |name: &str| {
        let mut firm = crate::http_reminders::creditor();
        firm["name"] = json!(name);
        firm
    };
    let steps = |at: &str| {
        let mut sequence = crate::http_reminders::sequence();
        sequence["steps"][0]["at"] = json!(at);
        sequence
    };
    for (path, first, second) in [
        ("/v1/contacts/c-1", contact("Ada"), contact("Eve")),
        ("/v1/accounts/c-1", account("a"), account("b")),
        ("/v1/obligations/inv-1", owed("110"), owed("100")),
        ("/v1/creditors/acme", firm("Acme AG"), firm("Acme SE")),
        ("/v1/sequences/standard", steps("11:00"), steps("12:00")),
    ] {
        let seen = Api::answer(api.request(Method::GET, path)).await.etag.unwrap();
        let put = async |tag: &str, body: &Value| {
            Api::answer(api.request(Method::PUT, path).header("If-Match", tag).json(body)).await
        };
        let kept = put(&seen, &first).await;
        assert_eq!((kept.status, &kept.body["result"]), (200, &json!("changed")), "{path}: {}", kept.body);
        let late = put(&seen, &second).await;
        assert_eq!(
            (late.status, &late.body["code"]),
            (412, &json!("version_conflict")),
            "{path}: {}",
            late.body
        );
        let now = Api::answer(api.request(Method::GET, path)).await.etag.unwrap();
        assert_eq!(kept.etag.as_ref(), Some(&now), "{path}");
        assert_eq!(put(&now, &second).await.body["result"], "changed", "{path}");
        assert_eq!(put("\"x\"", &second).await.status, 422, "{path}");
    }
    let pay = api.request(Method::POST, "/v1/obligations/inv-1/promise").header("If-Match", "\"77\"");
    assert_eq!(Api::answer(pay.json(&json!({"date": "2026-12-05"}))).await.status, 412);
    let new = api.request(Method::POST, "/v1/contacts").header("If-Match", "\"1\"");
    let nobody = json!({"external_id": "c-9", "phones": [{"number": "+4915112345679"}]});
    assert_eq!(Api::answer(new.json(&nobody)).await.status, 412, "there is none that could have a version");
    let task = api.request(Method::POST, "/v1/tasks").header("If-Match", "\"1\"");
    let answer = Api::answer(task.json(&json!({"kind": "callback"}))).await;
    assert_eq!(
        (answer.status, &answer.body["errors"][0]["field"]),
        (422, &json!("If-Match")),
        "no version to compare"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_twice_under_one_key_is_one() {
    let api = up().await;
    api.owe(1, "2026-12-10").await;
    let ask = async |path: &str, key: &str, body: Value| {
        Api::answer(api.request(Method::POST, path).header("Idempotency-Key", key).json(&body)).await
    };
    let call = |note: &str| json!({"kind": "callback", "note": note});
    let first = ask("/v1/tasks", "k-1", call("call")).await;
    let second = ask("/v1/tasks", "k-1", call("call")).await;
    assert_eq!((first.status, second.status), (201, 200), "{}", second.body);
    assert!(first.body["id"].is_string());
    assert_eq!((&first.body["id"], &second.body["result"]), (&second.body["id"], &json!("unchanged")));
    let other = ask("/v1/tasks", "k-1", call("write")).await;
    assert_eq!((other.status, &other.body["code"]), (422, &json!("key_reused")));
    assert_ne!(ask("/v1/tasks", "k-2", call("call")).await.body["id"], first.body["id"]);
    assert_eq!(api.get("/v1/tasks").await["data"].as_array().unwrap().len(), 2);
    // The same body to another address is another call.
    for (path, status) in [("pause", 200), ("resume", 422)] {
        assert_eq!(
            ask(&format!("/v1/enrolments/inv-1/{path}"), "k-3", json!({})).await.status,
            status,
            "{path}"
        );
    }
    let refused = ask("/v1/tasks", "k-4", json!({"kind": "callback", "obligation": "none"})).await;
    assert_eq!(refused.status, 422);
    assert_eq!(ask("/v1/tasks", "k-4", call("call")).await.status, 201, "what was refused keeps no key");
    assert_eq!(ask("/v1/tasks", "", call("call")).await.status, 422);
    let seeds = api.request(Method::POST, "/v1/imports/seeds").header("Content-Type", "application/toml");
    let seeds = Api::answer(seeds.header("Idempotency-Key", "k").body("")).await;
    assert_eq!((seeds.status, &seeds.body["errors"][0]["field"]), (422, &json!("Idempotency-Key")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_is_made_asked_obeyed_and_deleted() {
    let api = up().await;
    let rule = json!({"key": "news", "on": "obligation.changed", "do": "webhook:crm.sync"});
    let (status, made) = api.call(Method::PUT, "/v1/rules/news", rule).await;
    assert_eq!((status, &made["result"]), (201, &json!("created")), "{made}");
    for (body, field) in [
        (json!({"key": "x", "on": "news", "do": "exit"}), "on"),
        (json!({"key": "x", "on": "promise.broken", "do": "shout"}), "do"),
        (json!({"key": "x", "on": "promise.broken", "do": "send:nothing"}), "do"),
        (json!({"key": "x", "on": "promise.broken", "do": "enrol:nothing"}), "do"),
        (json!({"key": "x", "on": "promise.broken", "do": "exit", "after": "1s"}), "after"),
        (json!({"key": "x", "on": "promise.broken", "do": "exit", "when": "mood = 1"}), "when"),
        (json!({"key": "x", "on": "promise.broken", "do": "exit", "creditor": "nobody"}), "creditor"),
    ] {
        let (status, why) = api.post("/v1/rules", body.clone()).await;
        assert_eq!((status, &why["errors"][0]["field"]), (422, &json!(field)), "{body}: {why}");
    }
    api.owe(1, "2026-12-10").await;
    let id = api.owe(1, "2026-12-11").await["id"].as_str().unwrap().to_owned();
    let line = api.get(&format!("/v1/obligations/{id}/timeline")).await;
    let asked = line["data"].as_array().unwrap().iter().find(|line| line["what"] == "rule_asked");
    let asked = asked.unwrap_or_else(|| panic!("{line}"));
    assert_eq!((&asked["rule"], &asked["event"]), (&json!("news"), &json!("crm.sync")));
    let events = api.get("/v1/events?after=0&limit=500").await;
    let told = events["data"].as_array().unwrap().iter().any(|event| event["type"] == "rule.asked");
    assert!(told, "{events}");
    let gone = Api::answer(api.request(Method::DELETE, "/v1/rules/news")).await;
    assert_eq!(gone.status, 200);
    assert_eq!(Api::answer(api.request(Method::DELETE, "/v1/rules/news")).await.status, 404);
    assert_eq!(Api::answer(api.request(Method::GET, "/v1/rules/news")).await.status, 404);
}
