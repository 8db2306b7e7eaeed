//! Every field of the contract's resources: what is written is read back, alone and in its list; what is required is
//! asked for by name; what is not known is refused by name, however deep it stands.

use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::http_reminders::{Api, creditor, eur, sequence, template};

/// One resource with all of its fields filled.
struct Resource {
    path: &'static str,
    /// Where it is read; `None`: in its list only.
    read: Option<&'static str>,
    /// Of the address, where it can be put.
    put: bool,
    body: Value,
    required: &'static [&'static str],
    /// Fields that are shown otherwise than they are written, with what is shown.
    shown: Value,
    /// An unknown field's place.
    strange: &'static [&'static str],
}

#[expect(clippy::too_many_lines, reason = "one table")]
fn resources() -> Vec<Resource> {
    let phones = json!([
        {"number": "+4915112345001", "primary": true, "verified": true},
        {"number": "+4915112345002", "primary": false, "verified": false},
    ]);
    vec![
        Resource {
            path: "/v1/calendars",
            read: Some("/v1/calendars/bank"),
            put: true,
            body: json!({"key": "bank", "weekend": ["fri", "sat"], "sends": "business_days",
                "holidays": [{"date": "2026-12-25", "name": "Christmas"}]}),
            required: &["key"],
            shown: json!({}),
            strange: &["x", "holidays[0].x"],
        },
        Resource {
            path: "/v1/packs",
            read: Some("/v1/packs/own"),
            put: true,
            body: json!({"key": "own", "title": "Ours", "source": "a contract",
                "applies": {"sender_role": "third_party", "countries": ["DE"], "regions": ["BY"]},
                "hours": [{"from": "09:00", "to": "18:00", "days": ["mon", "tue"]}], "caps": [{"max": 1, "per": "7d"}],
                "footer": "always", "basis_max_age": "60d", "forbidden_routes": ["us_a2p"], "retention": "365d"}),
            required: &["key", "title", "source"],
            shown: json!({}),
            strange: &["x", "applies.x"],
        },
        Resource {
            path: "/v1/menus",
            read: Some("/v1/menus/ask"),
            put: true,
            body: json!({"key": "ask", "ttl": "4d", "options": [
                {"digit": 1, "label": "Call me", "do": "task:callback"}, {"digit": 2, "label": "", "do": "pay"},
                {"digit": 3, "label": "a", "do": "plan"}, {"digit": 4, "label": "b", "do": "reply:due"},
                {"digit": 5, "label": "c", "do": "webhook:moved"}, {"digit": 6, "label": "d", "do": "pause:3d"}]}),
            required: &["key", "options"],
            shown: json!({}),
            strange: &["x", "options[1].x"],
        },
        Resource {
            path: "/v1/creditors",
            read: Some("/v1/creditors/firm"),
            put: true,
            body: json!({"key": "firm", "name": "Firm & Söhne GmbH", "short_name": "Firm",
                "sender_role": "third_party", "packs": ["de-inkasso"], "language": "de",
                "timezone": "Europe/Berlin", "calendar": "bank", "phone": "+49 30 1234567",
                "help_text": "Firm: 030 1234567", "link_hosts": ["pay.firm.example", "*.shop.example"],
                "sender": "Firm", "route_class": "de_a2p"}),
            required: &["key", "name", "sender_role"],
            shown: json!({}),
            strange: &["x"],
        },
        Resource {
            path: "/v1/templates",
            read: Some("/v1/templates/asking/de"),
            put: true,
            body: json!({"key": "asking", "language": "de", "class": "dunning",
                "body": "{{ creditor }}: {{ amount | money }} zu {{ reference }}, Tel. {{ phone }}. {{ menu }}",
                "body_short": "{{ creditor }}: {{ amount | money }}, Tel. {{ phone }}. {{ menu }}", "menu": "ask",
                "transliterate": "full", "max_segments": 2}),
            required: &["key", "language", "class", "body"],
            shown: json!({}),
            strange: &["x"],
        },
        Resource {
            path: "/v1/sequences",
            read: Some("/v1/sequences/whole"),
            put: true,
            body: json!({"key": "whole", "steps": [
                    {"id": "before", "offset": "-7d", "at": "10:00", "template": "asking",
                        "when": "balance > 0 and reminders < 3", "grace": "1d", "menu": "ask", "task_after": "call"},
                    {"id": "after", "offset": "+3bd", "at": "evening", "template": "asking", "when": null,
                        "grace": "2d", "menu": null, "task_after": null}],
                "exits": ["partial_payment", "promise", "dispute", "reply", "click"],
                "escalate": {"after": 2, "task": "final_review", "pause": true}}),
            required: &["key", "steps"],
            shown: json!({"version": 1}),
            strange: &["x", "steps[1].x", "escalate.x"],
        },
        Resource {
            path: "/v1/contacts",
            read: Some("/v1/contacts/k-1"),
            put: true,
            body: json!({"external_id": "k-1", "first_name": "Zoë", "last_name": "=Doe", "company": "D; Sons",
                "kind": "b2b", "language": "de", "country": "DE", "region": "BY", "postcode": "80331",
                "timezone": "Europe/Berlin", "phones": phones, "not_before": "09:30", "not_after": "17:00",
                "days": ["mon", "fri"], "custom": {"plate": "M-X 1", "vip": ""}}),
            required: &["external_id", "phones"],
            shown: json!({"version": 1}),
            strange: &["x", "phones[1].x"],
        },
        Resource {
            path: "/v1/accounts",
            read: Some("/v1/accounts/a-1"),
            put: true,
            body: json!({"external_id": "a-1", "creditor": "firm", "contact": "k-1", "case_manager": "Mia",
                "tags": ["vip", "süd"], "custom": {"branch": "7"}}),
            required: &["external_id", "creditor", "contact"],
            shown: json!({"contact": "con_", "version": 1}),
            strange: &["x"],
        },
        Resource {
            path: "/v1/obligations",
            read: Some("/v1/obligations/R-1"),
            put: true,
            body: json!({"external_id": "R-1", "account": "a-1", "amount": eur("120.50"), "min_due": eur("20.00"),
                "due_date": "2026-12-10", "description": "Invoice \"1\"", "link": "https://pay.firm.example/1",
                "sequence": "whole"}),
            required: &["external_id", "amount", "due_date"],
            shown: json!({"status": "open", "balance": eur("120.50"), "version": 1}),
            strange: &["x", "amount.x"],
        },
        Resource {
            path: "/v1/subscriptions",
            read: Some("/v1/subscriptions/gym"),
            put: true,
            body: json!({"external_id": "gym", "account": "a-1", "creditor": "firm", "amount": eur("29.90"),
                "every": "monthly", "day": "last", "from": "2026-12-31", "until": "2027-12-31",
                "skip": ["2027-01-31"], "on_holiday": "after", "description": "Gym",
                "link": "https://pay.firm.example/gym", "sequence": "whole"}),
            required: &["external_id", "account", "amount", "every", "from"],
            shown: json!({"version": 1}),
            strange: &["x", "amount.x"],
        },
        Resource {
            path: "/v1/consents",
            read: None,
            put: false,
            body: json!({"phone": "+4915112345001", "creditor": "firm", "kind": "given",
                "at": "2026-11-20T09:00:00.000Z", "channel": "web form", "wording": "v3", "evidence": "form 17"}),
            required: &["phone", "kind", "at"],
            shown: json!({}),
            strange: &["x"],
        },
        Resource {
            path: "/v1/obligations/R-1/payments",
            read: None,
            put: false,
            body: json!({"external_id": "p-1", "amount": eur("20.50"), "at": "2026-11-21T10:00:00.000Z",
                "reversed": false}),
            required: &["external_id", "amount", "at"],
            shown: json!({}),
            strange: &["x", "amount.x"],
        },
        Resource {
            path: "/v1/tasks",
            read: None,
            put: false,
            body: json!({"kind": "callback", "obligation": "R-1", "note": "after six", "due": "2026-11-25T09:00:00.000Z"}),
            required: &["kind"],
            shown: json!({"obligation": "obl_", "state": "open", "version": 1}),
            strange: &["x"],
        },
        Resource {
            path: "/v1/plans",
            read: Some("/v1/plans/R-1"),
            put: false,
            body: json!({"obligation": "R-1", "instalments": [
                {"due_date": "2026-12-15", "amount": eur("60.00")}, {"due_date": "2027-01-15", "amount": eur("40.00")}]}),
            required: &["obligation", "instalments"],
            shown: json!({"obligation": "obl_", "instalments": [
                {"due_date": "2026-12-15", "amount": eur("60.00"), "external_id": "R-1/1"},
                {"due_date": "2027-01-15", "amount": eur("40.00"), "external_id": "R-1/2"}]}),
            strange: &["x", "instalments[0].x"],
        },
    ]
}

/// All of them made, in an order in which each finds what it names.
async fn made() -> Api {
    let api = Api::start().await;
    api.set_up().await;
    for resource in resources() {
        let (status, made) = api.post(resource.path, resource.body).await;
        assert_eq!(status, 201, "{}: {made}", resource.path);
    }
    api
}

/// The written fields as they must be shown; what is shown as `obl_` is an id of that kind.
fn assert_shown(resource: &Resource, got: &Value) {
    let mut wanted = resource.body.as_object().unwrap().clone();
    wanted.extend(resource.shown.as_object().unwrap().clone());
    for (name, value) in wanted {
        let prefix = value.as_str().filter(|text| text.ends_with('_'));
        let fits = match prefix {
            Some(prefix) => got[&name].as_str().is_some_and(|id| id.starts_with(prefix)),
            None => got[&name] == value,
        };
        assert!(fits, "{}.{name}: {value} is shown as {}", resource.path, got[&name]);
    }
}

/// Whether a row of a list is of this resource.
fn is_of(resource: &Resource, row: &Value) -> bool {
    let names = ["key", "language", "external_id", "phone", "kind"];
    let own = |name: &&&str| resource.body.get(**name).is_some();
    names.iter().filter(own).all(|name| row[*name] == resource.body[*name])
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_that_is_written_is_read_back() {
    let api = Api::start().await;
    api.set_up().await;
    for resource in resources() {
        let (status, made) = api.post(resource.path, resource.body.clone()).await;
        assert_eq!(status, 201, "{}: {made}", resource.path);
        let own = if resource.path.ends_with("/payments") { &made["payment"] } else { &made };
        assert_shown(&resource, own);
        if let Some(path) = resource.read {
            assert_shown(&resource, &api.get(path).await);
        }
        let list = api.get(resource.path).await;
        let rows = list["data"].as_array().unwrap().iter().filter(|row| is_of(&resource, row));
        let [row] = rows.collect::<Vec<_>>()[..] else { panic!("{}: {list}", resource.path) };
        assert_shown(&resource, row);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_may_be_put_again_and_changes_nothing() {
    let api = Api::start().await;
    api.set_up().await;
    for resource in resources().into_iter().filter(|resource| resource.put) {
        let path = resource.read.unwrap();
        let (status, first) = api.call(Method::PUT, path, resource.body.clone()).await;
        assert_eq!((status, &first["result"]), (201, &json!("created")), "{path}: {first}");
        let (status, again) = api.call(Method::PUT, path, resource.body).await;
        assert_eq!((status, &again["result"]), (200, &json!("unchanged")), "{path}: {again}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_is_left_out_or_null_is_what_it_is_by_itself() {
    let api = made().await;
    for resource in resources() {
        let Some(path) = resource.read.filter(|_| resource.put) else { continue };
        let whole = resource.body.as_object().unwrap();
        let required = |name: &str| resource.required.contains(&name) || name == "account";
        let bare: Map<String, Value> =
            whole.iter().filter(|(name, _)| required(name)).map(|(n, v)| (n.clone(), v.clone())).collect();
        let (status, kept) = api.call(Method::PUT, path, Value::Object(bare)).await;
        assert_eq!((status, &kept["result"]), (200, &json!("changed")), "{path}: {kept}");
        let read = api.get(path).await;
        // An obligation keeps its sequence until it is given another; the account tells a subscription's creditor.
        let stays = [("/v1/obligations", "sequence"), ("/v1/subscriptions", "creditor")];
        let kept = |name: &str| required(name) || stays.contains(&(resource.path, name));
        for (name, value) in whole.iter().filter(|(name, _)| !kept(name)) {
            assert_ne!(&read[name], value, "{path}: {name} is as it was");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_required_and_left_out_is_named() {
    let api = made().await;
    for resource in resources() {
        for name in resource.required {
            let mut body = resource.body.clone();
            body.as_object_mut().unwrap().remove(*name);
            assert_eq!(api.refused(resource.path, body).await, *name, "{}", resource.path);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_known_is_named_however_deep_it_stands() {
    let api = made().await;
    for resource in resources() {
        for place in resource.strange {
            let mut body = resource.body.clone();
            let pointer = format!("/{}", place.replace(['.', '['], "/").replace(']', ""));
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            body.pointer_mut(parent).unwrap()[name] = json!(1);
            let named = api.refused(resource.path, body).await;
            // What a type reads through a form of its own is named by the field that holds it.
            let holds = named == *place
                || place.starts_with(&format!("{named}."))
                || place.starts_with(&format!("{named}["));
            assert!(holds && !named.is_empty(), "{} {place}: {named:?}", resource.path);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_of_another_type_is_named() {
    let api = made().await;
    for resource in resources() {
        for name in resource.body.as_object().unwrap().keys() {
            let mut body = resource.body.clone();
            body[name] = json!([[]]);
            let named = api.refused(resource.path, body).await;
            assert!(
                named == *name || named.starts_with(&format!("{name}[")),
                "{} {name}: {named:?}",
                resource.path
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_the_daemon_says_cannot_be_written() {
    let api = made().await;
    for (path, names) in [
        ("/v1/obligations", &["status", "balance", "version", "id", "enrolment", "payments"][..]),
        ("/v1/contacts", &["id", "version", "created_at"]),
        ("/v1/sequences", &["version"]),
        ("/v1/templates", &["version"]),
        ("/v1/tasks", &["id", "state", "outcome", "version"]),
    ] {
        let body = resources().into_iter().find(|resource| resource.path == path).unwrap().body;
        for name in names {
            let mut more = body.clone();
            more[*name] = json!("open");
            assert_eq!(api.refused(path, more).await, *name, "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_names_in_its_body_what_it_names_in_its_address() {
    let api = made().await;
    for (path, body, field) in [
        ("/v1/creditors/other", creditor(), "key"),
        ("/v1/sequences/other", sequence(), "key"),
        ("/v1/templates/other/en", template(), "key"),
        ("/v1/templates/due/de", template(), "language"),
        ("/v1/menus/other", json!({"key": "ask", "options": [{"digit": 1, "do": "pay"}]}), "key"),
        ("/v1/packs/other", json!({"key": "own", "title": "a", "source": "b"}), "key"),
        ("/v1/calendars/other", json!({"key": "bank"}), "key"),
        (
            "/v1/contacts/other",
            json!({"external_id": "k-1", "phones": [{"number": "+4915112345001"}]}),
            "external_id",
        ),
        (
            "/v1/accounts/other",
            json!({"external_id": "a-1", "creditor": "firm", "contact": "k-1"}),
            "external_id",
        ),
        (
            "/v1/accounts/a-1?creditor=acme",
            json!({"external_id": "a-1", "creditor": "firm", "contact": "k-1"}),
            "creditor",
        ),
        (
            "/v1/obligations/R-1",
            json!({"external_id": "R-2", "amount": eur("1"), "due_date": "2026-12-10"}),
            "external_id",
        ),
        (
            "/v1/subscriptions/other",
            json!({"external_id": "gym", "account": "a-1", "amount": eur("1"),
            "every": "monthly", "from": "2026-12-31"}),
            "external_id",
        ),
    ] {
        let (status, told) = api.call(Method::PUT, path, body).await;
        assert_eq!((status, &told["errors"][0]["field"]), (422, &json!(field)), "{path}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_to_repeat_is_read_back() {
    let api = made().await;
    let weekly = [
        ("weekly", Value::Null),
        ("monthly", json!(31)),
        ("monthly", json!("last")),
        ("10 days", Value::Null),
    ];
    for (n, (every, day)) in weekly.into_iter().enumerate() {
        let mut body = json!({"external_id": format!("s-{n}"), "account": "a-1", "amount": eur("5"), "every": every,
            "from": "2026-12-31"});
        if !day.is_null() {
            body["day"] = day.clone();
        }
        api.make("/v1/subscriptions", body).await;
        let read = api.get(&format!("/v1/subscriptions/s-{n}")).await;
        assert_eq!((&read["every"], &read["day"]), (&json!(every), &day), "{read}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promise_keeps_its_day_and_its_amount() {
    let api = made().await;
    let promise = json!({"date": "2026-12-05", "amount": eur("50.00")});
    api.owe(7, "2026-12-10").await;
    api.make("/v1/obligations/inv-7/promise", promise).await;
    let read = api.get("/v1/obligations/inv-7").await;
    assert_eq!((&read["promise"]["date"], &read["promise"]["amount"]), (&json!("2026-12-05"), &eur("50.00")));
}
