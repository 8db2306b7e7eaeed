//! The reminder side over the real HTTP server: every resource made, changed, read and refused.

use std::time::Duration;

use nudged::http::auth::{Scope, TokenFile};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::World;

/// A daemon and a token that may write reminders and packs, and read.
pub struct Api {
    pub world: World,
    token: String,
}

/// A further token, noticed at once: on a still clock nobody may wait for an answer to a wrong one.
fn token(world: &World, name: &str, scopes: &[Scope]) -> String {
    let dir = world.store_dir();
    let token = TokenFile::new(dir.parent().unwrap()).add(name, scopes, world.clock.now().wall).unwrap();
    world.clock.advance(Duration::from_secs(2));
    token
}

/// Status, body and headers of an answer.
pub struct Answer {
    pub status: u16,
    pub body: Value,
    pub etag: Option<String>,
}

impl Api {
    pub async fn start() -> Api {
        Api::with("").await
    }

    pub async fn with(config: &str) -> Api {
        let world = World::start_still(config).await;
        let token = token(&world, "api", &[Scope::Read, Scope::Reminders, Scope::Admin]);
        Api { world, token }
    }

    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = format!("http://{}{path}", self.world.address());
        reqwest::Client::new().request(method, url).bearer_auth(&self.token)
    }

    pub async fn answer(request: reqwest::RequestBuilder) -> Answer {
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let etag = answer.headers().get("etag").map(|tag| tag.to_str().unwrap().to_owned());
        let text = answer.text().await.unwrap();
        Answer { status, body: serde_json::from_str(&text).unwrap_or(Value::String(text)), etag }
    }

    pub async fn call(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let answer = Api::answer(self.request(method, path).json(&body)).await;
        (answer.status, answer.body)
    }

    pub async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.call(Method::POST, path, body).await
    }

    /// A call that must be taken.
    pub async fn make(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.post(path, body).await;
        assert!(matches!(status, 200 | 201), "{path}: {status} {answer}");
        answer
    }

    pub async fn get(&self, path: &str) -> Value {
        let answer = Api::answer(self.request(Method::GET, path)).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.body
    }

    /// The field that a refused body names.
    pub async fn refused(&self, path: &str, body: Value) -> String {
        let (status, answer) = self.post(path, body.clone()).await;
        assert_eq!(status, 422, "{path} {body}: {answer}");
        answer["errors"][0]["field"].as_str().unwrap().to_owned()
    }

    /// A creditor, a template and a sequence, as small as they can be.
    pub async fn set_up(&self) {
        self.make("/v1/creditors", creditor()).await;
        self.make("/v1/templates", template()).await;
        self.make("/v1/sequences", sequence()).await;
    }

    /// One obligation with its contact; `due` as 2026-12-01.
    pub async fn owe(&self, n: usize, due: &str) -> Value {
        let (contact, external) = (format!("c-{n}"), format!("inv-{n}"));
        let number = format!("+49151123{n:05}");
        let contact = json!({"external_id": contact, "first_name": "Ada", "language": "en", "country": "DE",
            "phones": [{"number": number}]});
        let body = json!({"external_id": external, "creditor": "acme", "contact": contact,
            "amount": eur("120.50"), "due_date": due});
        self.make("/v1/obligations", body).await
    }
}

pub fn eur(value: &str) -> Value {
    json!({"value": value, "currency": "EUR"})
}

pub fn creditor() -> Value {
    json!({"key": "acme", "name": "Acme GmbH", "sender_role": "first_party", "phone": "+49301234567",
        "language": "en", "timezone": "Europe/Berlin", "link_hosts": ["pay.acme.example"]})
}

pub fn template() -> Value {
    json!({"key": "due", "language": "en", "class": "reminder",
        "body": "{{ creditor }}: {{ amount | money }} for {{ reference }} is due on {{ due_date | date }}. Questions: {{ phone }}"})
}

pub fn sequence() -> Value {
    json!({"key": "standard", "steps": [
        {"id": "before", "offset": "-7d", "at": "10:00", "template": "due"},
        {"id": "after", "offset": "+3d", "at": "morning", "template": "due", "when": "balance > 0"},
    ]})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_story_by_the_api_alone() {
    let api = Api::start().await;
    api.set_up().await;
    let (status, owed) = api
        .post(
            "/v1/obligations",
            json!({"external_id": "R-2026/4711 ä", "creditor": "acme", "amount": eur("120.50"),
                "due_date": "2026-12-10",
                "contact": {"external_id": "c-1", "country": "DE", "phones": [{"number": "+4915112345678"}]}}),
        )
        .await;
    assert_eq!((status, owed["result"].as_str()), (201, Some("created")), "{owed}");
    let id = owed["id"].as_str().unwrap();
    assert!(id.starts_with("obl_"));
    assert_eq!((&owed["status"], &owed["balance"]), (&json!("open"), &eur("120.50")));
    assert_eq!(
        (&owed["enrolment"]["state"], &owed["enrolment"]["next"]["step"]),
        (&json!("scheduled"), &json!("before"))
    );
    let at = owed["enrolment"]["next"]["at"].as_str().unwrap();
    assert!(at.starts_with("2026-12-03T09:"), "10:00 in Berlin: {at}");
    // The firm's own id in the address, with what must be escaped in it.
    let by_firm = api.get("/v1/obligations/R-2026%2F4711%20%C3%A4").await;
    assert_eq!(by_firm["id"], owed["id"]);

    let promised = api.make(&format!("/v1/obligations/{id}/promise"), json!({"date": "2026-12-05"})).await;
    assert_eq!(promised["promise"]["date"], "2026-12-05");
    assert_eq!(
        (&promised["enrolment"]["state"], &promised["enrolment"]["reason"]),
        (&json!("paused"), &json!("promise"))
    );

    let payment = json!({"external_id": "p-1", "amount": eur("20.50"), "at": "2026-11-21T10:00:00Z"});
    let path = format!("/v1/obligations/{id}/payments");
    let (status, paid) = api.post(&path, payment.clone()).await;
    assert_eq!((status, &paid["obligation"]["balance"]), (201, &eur("100.00")), "{paid}");
    let (status, again) = api.post(&path, payment).await;
    assert_eq!((status, &again["result"]), (200, &json!("unchanged")));
    assert_eq!(again["obligation"]["payments"].as_array().unwrap().len(), 1);
    let rest = json!({"external_id": "p-2", "amount": eur("100"), "at": "2026-11-21T11:00:00Z"});
    let closed = api.make(&path, rest).await["obligation"].clone();
    assert_eq!((&closed["status"], &closed["balance"]), (&json!("paid"), &eur("0.00")));
    assert_eq!(
        (&closed["enrolment"]["state"], &closed["enrolment"]["reason"]),
        (&json!("exited"), &json!("paid"))
    );
    assert_eq!(closed["promise"]["state"], "kept");
    assert_eq!(api.get(&path).await["data"].as_array().unwrap().len(), 2);

    let line = api.get(&format!("/v1/obligations/{id}/timeline")).await;
    let words: Vec<&str> =
        line["data"].as_array().unwrap().iter().map(|l| l["what"].as_str().unwrap()).collect();
    for word in ["created", "enrolled", "promised", "paused", "paid", "promise_kept", "exited"] {
        assert!(words.contains(&word), "{word}: {words:?}");
    }
    let reversal =
        json!({"external_id": "p-2", "amount": eur("100"), "at": "2026-11-21T12:00:00Z", "reversed": true});
    let back = api.make(&path, reversal).await["obligation"].clone();
    assert_eq!((&back["status"], &back["balance"]), (&json!("partially_paid"), &eur("100.00")));
    assert_eq!(back["enrolment"]["state"], "scheduled", "the reminders begin anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_set_up_is_read_back_as_it_was_written_and_again_is_unchanged() {
    let api = Api::start().await;
    let menu = json!({"key": "help", "options": [{"digit": 1, "label": "Call me", "do": "task:callback"}], "ttl": "4d"});
    let calendar = json!({"key": "bank", "weekend": ["sat", "sun"], "sends": "no_holidays",
        "holidays": [{"date": "2026-12-25", "name": "Christmas"}]});
    let pack =
        json!({"key": "own", "title": "Ours", "source": "a contract", "caps": [{"max": 1, "per": "7d"}]});
    let rule = json!({"key": "moved", "on": "obligation.changed", "when": "balance > 0", "after": "1d",
        "creditor": "acme", "do": "task:moved"});
    let all = [
        ("creditors", creditor(), "acme"),
        ("menus", menu, "help"),
        ("calendars", calendar, "bank"),
        ("packs", pack, "own"),
        ("templates", template(), "due/en"),
        ("sequences", sequence(), "standard"),
        ("rules", rule, "moved"),
    ];
    for (kind, body, key) in all {
        let path = format!("/v1/{kind}");
        let (status, made) = api.post(&path, body.clone()).await;
        assert_eq!((status, &made["result"]), (201, &json!("created")), "{kind}: {made}");
        let read = api.get(&format!("{path}/{key}")).await;
        for (name, value) in body.as_object().unwrap() {
            if name != "steps" {
                assert_eq!(&read[name], value, "{kind}.{name}");
            }
        }
        let (status, again) = api.call(Method::PUT, &format!("{path}/{key}"), body.clone()).await;
        assert_eq!((status, &again["result"]), (200, &json!("unchanged")), "{kind}: {again}");
        let listed = api.get(&format!("{path}?limit=500")).await;
        let listed = listed["data"].as_array().unwrap();
        assert!(listed.iter().any(|one| one["key"] == body["key"]), "{kind}");
        assert_eq!(
            Api::answer(api.request(Method::GET, &format!("{path}/nothing/xx"))).await.status,
            404,
            "{kind}"
        );
        let mut odd = body;
        odd["colour"] = json!("red");
        let field = api.refused(&path, odd).await;
        assert!(field.is_empty() || field == "colour", "{kind}: {field}");
    }
    let steps = api.get("/v1/sequences/standard").await;
    assert_eq!((&steps["version"], &steps["steps"][0]["id"]), (&json!(1), &json!("before")));
    let mut other = sequence();
    other["steps"][0]["at"] = json!("evening");
    assert_eq!(api.make("/v1/sequences", other).await["version"], 2);
    assert_eq!(api.get("/v1/sequences/standard?version=1").await["steps"][0]["at"], "10:00");
    let gone = Api::answer(api.request(Method::GET, "/v1/sequences/standard?version=7")).await;
    assert_eq!(gone.status, 404);
    let (status, why) = api.call(Method::PUT, "/v1/creditors/other", creditor()).await;
    assert_eq!((status, &why["errors"][0]["field"]), (422, &json!("key")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sequence_says_when_its_steps_would_go_for_a_due_date() {
    let api = Api::start().await;
    api.set_up().await;
    let tried = api.get("/v1/sequences/standard/simulate?date=2026-03-10&timezone=America/New_York").await;
    assert_eq!(tried["steps"][0]["date"], "2026-03-03");
    let opens = tried["steps"][0]["opens_at"].as_str().unwrap();
    assert!(opens.starts_with("2026-03-03T15:"), "{opens}");
    // After the clocks changed on the 8th.
    let opens = tried["steps"][1]["opens_at"].as_str().unwrap();
    assert!(opens.starts_with("2026-03-13T1"), "{opens}");
    for (query, field) in [
        ("", "date"),
        ("?date=soon", "date"),
        ("?date=2026-03-10&timezone=Mars", "timezone"),
        ("?date=2026-03-10&x=1", "x"),
    ] {
        let answer =
            Api::answer(api.request(Method::GET, &format!("/v1/sequences/standard/simulate{query}"))).await;
        assert_eq!((answer.status, &answer.body["errors"][0]["field"]), (422, &json!(field)), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn contacts_and_accounts_are_made_changed_and_found() {
    let api = Api::start().await;
    api.set_up().await;
    let mut ada = json!({"external_id": "k/1 +ü", "first_name": "Ada", "phones": [{"number": "+4915112345678", "primary": true, "verified": false}],
        "not_before": "10:00", "days": ["mon", "fri"], "custom": {"vip": "yes"}});
    let made = api.make("/v1/contacts", ada.clone()).await;
    let id = made["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("con_"), "{made}");
    assert_eq!((&made["version"], &made["phones"]), (&json!(1), &ada["phones"]));
    assert_eq!(api.get("/v1/contacts/k%2F1%20%2B%C3%BC").await["id"], made["id"]);
    ada["last_name"] = json!("<script>alert(1)</script>\u{202e}");
    let (status, changed) = api.call(Method::PUT, &format!("/v1/contacts/{id}"), ada.clone()).await;
    assert_eq!((status, &changed["result"], &changed["version"]), (200, &json!("changed"), &json!(2)));
    assert_eq!(changed["last_name"], ada["last_name"], "shown as it came");
    let found = api.get("/v1/contacts?phone=%2B4915112345678").await;
    assert_eq!(found["data"][0]["id"], made["id"]);
    assert!(api.get("/v1/contacts?phone=%2B4915112345679").await["data"].as_array().unwrap().is_empty());
    assert_eq!(api.get("/v1/contacts?external_id=k/1%20%2B%C3%BC").await["data"][0]["id"], made["id"]);

    let account = json!({"external_id": "a-1", "creditor": "acme", "contact": "k/1 +ü", "tags": ["a"], "case_manager": "Eve"});
    let kept = api.make("/v1/accounts", account.clone()).await;
    assert_eq!((&kept["contact"], &kept["tags"]), (&made["id"], &json!(["a"])));
    let (status, again) = api.call(Method::PUT, "/v1/accounts/a-1?creditor=acme", account).await;
    assert_eq!((status, &again["result"]), (200, &json!("unchanged")));
    assert_eq!(api.get("/v1/accounts/a-1").await["case_manager"], "Eve");
    assert_eq!(api.get(&format!("/v1/accounts?contact={id}")).await["data"].as_array().unwrap().len(), 1);
    assert!(api.get("/v1/accounts?contact=nobody").await["data"].as_array().unwrap().is_empty());
    let phone = api.get("/v1/phones/+4915112345678").await;
    assert_eq!((&phone["status"], &phone["contacts"]), (&json!("unverified"), &json!([id])));
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "one row a field")]
async fn every_wrong_field_is_named() {
    let api = Api::start().await;
    api.set_up().await;
    let owed = api.owe(1, "2026-12-10").await;
    let id = owed["id"].as_str().unwrap();
    let phones = json!([{"number": "+4915112345678"}]);
    let base = json!({"external_id": "x", "account": "c-1", "amount": eur("1"), "due_date": "2026-12-10"});
    let with = |name: &str, value: Value| {
        let mut body = base.clone();
        body[name] = value;
        body
    };
    let cases = [
        ("/v1/contacts", json!({"external_id": "c", "phones": [{"number": "4.4E+11"}]}), "phones[0].number"),
        ("/v1/contacts", json!({"external_id": "c", "phones": []}), "phones"),
        ("/v1/contacts", json!({"external_id": " c", "phones": phones}), "external_id"),
        ("/v1/contacts", json!({"external_id": "c", "phones": phones, "timezone": "Mars/One"}), "timezone"),
        ("/v1/contacts", json!({"external_id": "c", "phones": phones, "country": "de"}), "country"),
        ("/v1/contacts", json!({"external_id": "c", "phones": phones, "not_before": "25:00"}), "not_before"),
        ("/v1/contacts", json!({"phones": phones}), "external_id"),
        ("/v1/accounts", json!({"external_id": "a", "creditor": "nobody", "contact": "c-1"}), "creditor"),
        ("/v1/accounts", json!({"external_id": "a", "creditor": "acme", "contact": "nobody"}), "contact"),
        ("/v1/obligations", with("amount", json!(12)), "amount"),
        ("/v1/obligations", with("amount", eur("1,20")), "amount"),
        ("/v1/obligations", with("amount", eur("1.234")), "amount"),
        ("/v1/obligations", with("amount", eur("0")), "amount"),
        ("/v1/obligations", with("amount", json!({"value": "1", "currency": "EURO"})), "amount"),
        ("/v1/obligations", with("amount", json!({"value": "1", "currency": "EUR", "x": 1})), "amount.x"),
        ("/v1/obligations", with("due_date", json!("2026-02-30")), "due_date"),
        ("/v1/obligations", with("due_date", json!("10.12.2026")), "due_date"),
        ("/v1/obligations", with("account", json!("nobody")), "account"),
        ("/v1/obligations", with("sequence", json!("nothing")), "sequence"),
        ("/v1/obligations", with("link", json!("https://evil.example/x")), "link"),
        ("/v1/obligations", with("status", json!("paid")), "status"),
        ("/v1/obligations", with("min_due", eur("2")), "min_due"),
        (
            "/v1/obligations",
            json!({"external_id": "x", "amount": eur("1"), "due_date": "2026-12-10"}),
            "account",
        ),
        ("/v1/plans", json!({"obligation": "inv-1", "instalments": []}), "instalments"),
        ("/v1/plans", json!({"obligation": "inv-9", "instalments": []}), "obligation"),
        ("/v1/consents", json!({"phone": "+4915112345678", "kind": "given", "at": "2026-11-20"}), "at"),
        ("/v1/consents", json!({"phone": "0151", "kind": "given", "at": "2026-11-20T00:00:00Z"}), "phone"),
        (
            "/v1/consents",
            json!({"phone": "+4915112345678", "kind": "maybe", "at": "2026-11-20T00:00:00Z"}),
            "kind",
        ),
        (
            "/v1/consents",
            json!({"phone": "+4915112345678", "kind": "given", "at": "2036-11-20T00:00:00Z"}),
            "consent",
        ),
        (
            "/v1/templates",
            json!({"key": "t", "language": "english", "class": "reminder", "body": "x"}),
            "language",
        ),
        (
            "/v1/templates",
            json!({"key": "t", "language": "en", "class": "reminder", "body": "{{ nothing_such }}"}),
            "body",
        ),
        (
            "/v1/sequences",
            json!({"key": "s", "steps": [{"id": "a", "offset": "7", "at": "10:00", "template": "due"}]}),
            "steps[0].offset",
        ),
        (
            "/v1/sequences",
            json!({"key": "s", "steps": [{"id": "a", "offset": "+7d", "at": "10:00", "template": "nope"}]}),
            "template",
        ),
        (
            "/v1/sequences",
            json!({"key": "s", "steps": [{"id": "a", "offset": "+7d", "at": "10:00", "template": "due", "when": "balence > 0"}]}),
            "when",
        ),
        (
            "/v1/subscriptions",
            json!({"external_id": "s", "account": "c-1", "amount": eur("5"), "every": "yearly", "from": "2026-12-01"}),
            "every",
        ),
        ("/v1/tasks", json!({"kind": "call back"}), "kind"),
        ("/v1/enrolments", json!({"obligation": "inv-1", "sequence": "nothing"}), "sequence"),
    ];
    for (path, body, field) in cases {
        let named = api.refused(path, body.clone()).await;
        // What is read through a form of its own names the field that holds it.
        let fits = named == field
            || field.starts_with(&format!("{named}["))
            || field.starts_with(&format!("{named}."));
        assert!(!named.is_empty() && fits, "{path} {body}: {named}");
    }
    for (path, body, field) in [
        (
            "payments",
            json!({"external_id": "p", "amount": {"value": "1", "currency": "USD"}, "at": "2026-11-21T10:00:00Z"}),
            "amount",
        ),
        ("payments", json!({"external_id": "p", "amount": eur("1"), "at": "today"}), "at"),
        (
            "payments",
            json!({"external_id": "p", "amount": eur("1"), "at": "2026-11-21T10:00:00Z", "reversed": true}),
            "external_id",
        ),
        ("promise", json!({"date": "2020-01-01"}), "date"),
        ("promise", json!({"date": "2026-12-01", "amount": eur("0")}), "amount"),
        ("dispute", json!({}), "reason"),
    ] {
        assert_eq!(api.refused(&format!("/v1/obligations/{id}/{path}"), body).await, field, "{path}");
    }
    assert!(
        api.get("/v1/contacts?external_id=c").await["data"].as_array().unwrap().is_empty(),
        "nothing of it is kept"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_of_an_inline_obligation_leaves_no_contact_behind() {
    let api = Api::start().await;
    api.set_up().await;
    let contact = json!({"external_id": "c-7", "phones": [{"number": "+4915112345678"}]});
    for (creditor, amount) in [("nobody", eur("1")), ("acme", eur("0"))] {
        let body = json!({"external_id": "x", "creditor": creditor, "contact": contact, "amount": amount,
            "due_date": "2026-12-10"});
        api.refused("/v1/obligations", body).await;
    }
    assert!(api.get("/v1/contacts").await["data"].as_array().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_go_on_by_their_cursor_in_both_orders() {
    let api = Api::start().await;
    api.set_up().await;
    for n in 0..7 {
        api.owe(n, "2026-12-10").await;
    }
    for (list, own) in [
        ("obligations", "external_id"),
        ("contacts", "external_id"),
        ("accounts", "external_id"),
        ("enrolments", "external_id"),
    ] {
        for order in ["asc", "desc"] {
            let (mut seen, mut cursor) = (Vec::new(), String::new());
            loop {
                let page = api.get(&format!("/v1/{list}?limit=3&order={order}{cursor}")).await;
                let rows = page["data"].as_array().unwrap();
                assert!(rows.len() <= 3);
                seen.extend(rows.iter().map(|row| row[own].as_str().unwrap().to_owned()));
                match page["next_cursor"].as_str() {
                    Some(next) => cursor = format!("&cursor={next}"),
                    None => break,
                }
            }
            let mut once = seen.clone();
            once.sort();
            once.dedup();
            assert_eq!((seen.len(), once.len()), (7, 7), "{list} {order}: {seen:?}");
        }
    }
    let asc = api.get("/v1/obligations?order=asc&limit=1").await;
    assert_eq!(asc["data"][0]["external_id"], "inv-0");
    assert_eq!(api.get("/v1/obligations?contact=c-3").await["data"][0]["external_id"], "inv-3");
    assert_eq!(api.get("/v1/obligations?external_id=inv-3").await["data"].as_array().unwrap().len(), 1);
    assert_eq!(api.get("/v1/obligations?status=paid").await["data"].as_array().unwrap().len(), 0);
    assert_eq!(
        api.get("/v1/obligations?creditor=acme&account=c-2").await["data"].as_array().unwrap().len(),
        1
    );
    assert_eq!(api.get("/v1/enrolments?state=scheduled").await["data"].as_array().unwrap().len(), 7);
    for (path, field) in [
        ("/v1/obligations?status=late", "status"),
        ("/v1/obligations?colour=red", "colour"),
        ("/v1/obligations?limit=501", "limit"),
        ("/v1/obligations?cursor=x", "cursor"),
        ("/v1/creditors?cursor=%20", "cursor"),
        ("/v1/enrolments?state=gone", "state"),
        ("/v1/tasks?state=late", "state"),
        ("/v1/contacts?phone=12", "phone"),
    ] {
        let answer = Api::answer(api.request(Method::GET, path)).await;
        assert_eq!((answer.status, &answer.body["errors"][0]["field"]), (422, &json!(field)), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scopes_are_held_and_methods_and_types_refused() {
    let api = Api::start().await;
    api.set_up().await;
    let sender = token(&api.world, "sender", &[Scope::Send]);
    let reader = token(&api.world, "reader", &[Scope::Read]);
    let as_who = |token: &str, method: Method, path: &str| {
        let url = format!("http://{}{path}", api.world.address());
        reqwest::Client::new().request(method, url).bearer_auth(token)
    };
    for path in [
        "/v1/obligations",
        "/v1/contacts",
        "/v1/tasks",
        "/v1/creditors",
        "/v1/exports/contacts",
        "/v1/obligations/x/timeline",
    ] {
        assert_eq!(Api::answer(as_who(&sender, Method::GET, path)).await.status, 403, "{path}");
    }
    for path in [
        "/v1/obligations",
        "/v1/contacts",
        "/v1/tasks",
        "/v1/creditors",
        "/v1/obligations/x/payments",
        "/v1/consents",
    ] {
        let answer = Api::answer(as_who(&reader, Method::POST, path).json(&json!({}))).await;
        assert_eq!((answer.status, &answer.body["code"]), (403, &json!("scope_missing")), "{path}");
    }
    assert_eq!(Api::answer(api.request(Method::DELETE, "/v1/obligations")).await.status, 405);
    let plain = api.request(Method::POST, "/v1/contacts").header("content-type", "text/plain").body("{}");
    assert_eq!(Api::answer(plain).await.status, 415);
    for body in ["", "{", "[]", "{\"external_id\":\"\u{0}\"}", "{\"a\":{\"a\":{\"a\":["] {
        let request = api.request(Method::POST, "/v1/contacts").header("content-type", "application/json");
        assert_eq!(Api::answer(request.body(body)).await.status, 400, "{body}");
    }
    let deep = format!("{{\"custom\":{}", "[".repeat(100_000));
    let request = api.request(Method::POST, "/v1/contacts").header("content-type", "application/json");
    assert_eq!(Api::answer(request.body(deep)).await.status, 400);
    for path in [
        "/v1/obligations/obl_0000000000000",
        "/v1/obligations/nothing",
        "/v1/contacts/con_0000000000000",
        "/v1/tasks/tsk_x",
        "/v1/accounts/none",
        "/v1/subscriptions/none",
        "/v1/plans/none",
        "/v1/enrolments/none",
    ] {
        assert_eq!(Api::answer(api.request(Method::GET, path)).await.status, 404, "{path}");
    }
    let (status, _) = api.post("/v1/obligations/nothing/promise", json!({"date": "2026-12-01"})).await;
    assert_eq!(status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_the_crm_may_not_loosen_the_law() {
    let api = Api::start().await;
    let crm = token(&api.world, "crm", &[Scope::Read, Scope::Reminders]);
    let as_crm = |method: Method, path: &str| {
        let url = format!("http://{}{path}", api.world.address());
        reqwest::Client::new().request(method, url).bearer_auth(&crm)
    };
    let loose = json!({"key": "base", "title": "Anything goes", "source": "me", "applies": {},
                   "hours": [{"from": "00:00", "to": "24:00"}], "caps": []});
    for (method, path) in [(Method::PUT, "/v1/packs/base"), (Method::POST, "/v1/packs")] {
        let answer = Api::answer(as_crm(method, path).json(&loose)).await;
        assert_eq!((answer.status, &answer.body["code"]), (403, &json!("scope_missing")), "{}", answer.body);
    }
    let toml = "[[pack]]\nkey = \"base\"\ntitle = \"Anything goes\"\nsource = \"me\"\napplies = {}\n\
                hours = { from = \"00:00\", to = \"24:00\" }\n";
    let seeds = |request: reqwest::RequestBuilder| {
        Api::answer(request.header("Content-Type", "application/toml").body(toml))
    };
    let answer = seeds(as_crm(Method::POST, "/v1/imports/seeds")).await;
    assert_eq!((answer.status, &answer.body["code"]), (403, &json!("scope_missing")), "{}", answer.body);
    assert_ne!(api.get("/v1/packs/base").await["title"], "Anything goes");
    // With `admin` it is changed, and what stands already is nobody's change.
    let changed = seeds(api.request(Method::POST, "/v1/imports/seeds")).await;
    assert_eq!((changed.status, &changed.body["changed"]), (200, &json!(1)), "{}", changed.body);
    let again = seeds(as_crm(Method::POST, "/v1/imports/seeds")).await;
    assert_eq!((again.status, &again.body["unchanged"]), (200, &json!(1)), "{}", again.body);
}
