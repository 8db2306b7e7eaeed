//! Files of cases into a running daemon: dry run, commit, the same again, what is refused.

use nudged::clock::Clock;
use nudged::http::auth::Scope;
use reqwest::Method;
use serde_json::{Value, json};

use crate::seeds::{load, upload};
use crate::support::{START, World, until};

const HEADER: &str = "external_id,creditor,phone,amount,currency,due_date,first_name,language,country,consent,consent_source,consent_at\n";

/// `count` cases of acme, each with its own number, due soon after [`crate::support::START`].
pub fn cases(count: usize) -> String {
    let row = |n: usize| {
        format!("INV-{n},acme,+4915112{n:06},120.50,EUR,2026-12-20,Ann,de,DE,given,form 7,2026-11-01\n")
    };
    format!("{HEADER}{}", (0..count).map(row).collect::<String>())
}

struct Desk {
    world: World,
    token: String,
}

impl Desk {
    async fn open() -> Desk {
        let scopes = [Scope::Reminders, Scope::Read, Scope::Send];
        let world = World::start_as(Clock::manual(START), "", &scopes).await;
        let token = world.token().to_owned();
        load(&world, &token).await;
        Desk { world, token }
    }

    async fn dry(&self, path: &str, csv: impl Into<Vec<u8>>) -> (u16, Value) {
        upload(&self.world, &self.token, path, "text/csv", csv.into()).await
    }

    async fn checked(&self, csv: &str) -> Value {
        let (status, dry) = self.dry("/v1/imports", csv).await;
        assert_eq!(status, 201, "{dry}");
        dry
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = self.world.request(method, path, body).build().unwrap();
        request.headers_mut().insert("authorization", format!("Bearer {}", self.token).parse().unwrap());
        let answer = reqwest::Client::builder().no_proxy().build().unwrap().execute(request).await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or(Value::Null))
    }

    /// Commits and waits for the end.
    async fn commit(&self, id: &Value) -> Value {
        let path = format!("/v1/imports/{}", id.as_str().unwrap());
        let (status, begun) = self.call(Method::POST, &format!("{path}/commit"), None).await;
        assert!(status == 200 || status == 202, "{status}: {begun}");
        let look = async || {
            let (_, standing) = self.call(Method::GET, &path, None).await;
            (standing["state"] != "committing").then_some(standing)
        };
        until(&self.world.clock, "the commit ends", look).await
    }

    async fn stop(mut self) {
        self.world.stop_while_time_passes().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_counts_and_changes_nothing_and_its_commit_does_it_once() {
    let desk = Desk::open().await;
    let dry = desk.checked(&cases(700)).await;
    assert_eq!((&dry["rows"], &dry["valid"], &dry["state"]), (&json!(700), &json!(700), &json!("checked")));
    assert_eq!(dry["delta"], json!({"new": 700, "changed": 0, "unchanged": 0, "rejected": 0}), "{dry}");
    assert_eq!(dry["texts"], 700, "{dry}");
    assert!(dry["segments"].as_u64().unwrap() >= 700, "{dry}");
    let again = desk.checked(&cases(700)).await;
    assert_eq!(again["delta"]["new"], 700, "a dry run changes nothing");

    let done = desk.commit(&dry["id"]).await;
    assert_eq!(done["state"], "committed", "{done}");
    assert_eq!(done["result"]["created"], 700, "{done}");
    let same = desk.commit(&dry["id"]).await;
    assert_eq!(same, done, "a second commit is the first one's result");
    let (_, list) = desk.call(Method::GET, "/v1/imports", None).await;
    assert_eq!(list["data"].as_array().unwrap().len(), 2);
    desk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_file_again_changes_nothing_and_a_moved_due_date_changes_one() {
    let desk = Desk::open().await;
    let dry = desk.checked(&cases(20)).await;
    desk.commit(&dry["id"]).await;
    let again = desk.checked(&cases(20)).await;
    assert_eq!(again["delta"], json!({"new": 0, "changed": 0, "unchanged": 20, "rejected": 0}));
    let done = desk.commit(&again["id"]).await;
    assert_eq!((&done["result"]["unchanged"], &done["result"]["created"]), (&json!(20), &json!(0)), "{done}");
    let moved = cases(20).replacen("2026-12-20", "2026-12-24", 1);
    let dry = desk.checked(&moved).await;
    assert_eq!(dry["delta"], json!({"new": 0, "changed": 1, "unchanged": 19, "rejected": 0}));
    let done = desk.commit(&dry["id"]).await;
    assert_eq!((&done["result"]["changed"], &done["result"]["unchanged"]), (&json!(1), &json!(19)), "{done}");
    desk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_cannot_be_taken_are_told_and_the_others_committed() {
    let desk = Desk::open().await;
    let rows = "A,acme,4.4E+11,10,EUR,2026-12-20,,de,DE,,,\n\
        B,nobody,+4915112000001,10,EUR,2026-12-20,,de,DE,,,\n\
        C,acme,+4915112000002,10,EUR,2026-12-20,,de,DE,,,\n";
    let dry = desk.checked(&format!("{HEADER}{rows}")).await;
    assert_eq!(dry["delta"], json!({"new": 1, "changed": 0, "unchanged": 0, "rejected": 2}), "{dry}");
    let errors = dry["errors"].as_array().unwrap();
    assert_eq!((&errors[0]["row"], &errors[0]["column"]), (&json!(2), &json!("phone")), "{dry}");
    assert_eq!(errors[1], json!({"row": 3, "column": "creditor", "why": "is not set up"}), "{dry}");
    let done = desk.commit(&dry["id"]).await;
    assert_eq!((&done["result"]["created"], &done["result"]["rejected"]), (&json!(1), &json!(2)), "{done}");
    assert_eq!(done["result"]["errors"], dry["errors"], "the core refuses what the dry run did");
    desk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_refused_leaves_no_contact_behind() {
    let desk = Desk::open().await;
    let row = "A,acme,+4915112000001,10,EUR,2026-12-20,,de,DE,,,\n";
    let dry = desk.checked(&format!("{HEADER}{row}")).await;
    desk.commit(&dry["id"]).await;
    // Another currency is refused; the contact it names is another one.
    let other = "A,acme,+4915112000002,10,USD,2026-12-20,,de,DE,,,\n";
    let dry = desk.checked(&format!("{HEADER}{other}")).await;
    let done = desk.commit(&dry["id"]).await;
    assert_eq!(done["result"]["rejected"], 1, "{done}");
    assert_eq!(done["result"]["errors"][0]["column"], "currency", "{done}");
    let Desk { mut world, .. } = desk;
    world.stop_while_time_passes().await;
    let contacts: Vec<nudged::engine::reminders::records::StoredContact> =
        world.stored(nudged::store::keys::family::CONTACT);
    assert_eq!(contacts.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_asks_more_of_what_is_paid_is_refused() {
    let desk = Desk::open().await;
    let dry = desk.checked(&cases(2)).await;
    desk.commit(&dry["id"]).await;
    let (_, list) = desk.call(Method::GET, "/v1/obligations?external_id=INV-0", None).await;
    let path = format!("/v1/obligations/{}/payments", list["data"][0]["id"].as_str().unwrap());
    let amount = json!({"value": "120.50", "currency": "EUR"});
    let payment = json!({"external_id": "p-1", "amount": amount, "at": "2026-11-20T10:00:00Z"});
    let (status, paid) = desk.call(Method::POST, &path, Some(payment)).await;
    assert_eq!(status, 201, "{paid}");
    let dry = desk.checked(&cases(2).replace("120.50", "130.50")).await;
    assert_eq!(dry["delta"], json!({"new": 0, "changed": 1, "unchanged": 0, "rejected": 1}), "{dry}");
    let error = &dry["errors"][0];
    assert_eq!((&error["row"], &error["column"]), (&json!(2), &json!("amount")), "{dry}");
    let done = desk.commit(&dry["id"]).await;
    assert_eq!((&done["result"]["changed"], &done["result"]["rejected"]), (&json!(1), &json!(1)), "{done}");
    assert_eq!(done["result"]["errors"], dry["errors"], "the core refuses what the dry run did");
    desk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mapping_is_kept_and_reads_the_firms_own_file() {
    let mut desk = Desk::open().await;
    let mapping = json!({
        "columns": {"Nr": "external_id", "Mobil": "phone", "Betrag": "amount", "Fällig": "due_date"},
        "ignore": ["Notiz"], "dates": "DD.MM.YYYY", "amounts": "1.234,50", "delimiter": ";",
        "defaults": {"currency": "EUR"}, "country": "DE",
    });
    let path = "/v1/imports/mappings/erp";
    let (status, kept) = desk.call(Method::PUT, path, Some(mapping)).await;
    assert_eq!(status, 200, "{kept}");
    desk.world.stop_while_time_passes().await;
    desk.world.start_again().await;
    assert_eq!(desk.call(Method::GET, path, None).await, (200, kept.clone()), "it outlives a restart");
    assert_eq!(desk.call(Method::PUT, path, Some(kept)).await.0, 200, "what is shown can be put back");
    let csv = "Nr;Mobil;Betrag;Fällig;Notiz\n1;0151 12000001;1.120,50;20.12.2026;x\n";
    let (status, dry) = desk.dry("/v1/imports?mapping=erp&creditor=acme", csv).await;
    assert_eq!((status, &dry["valid"], &dry["mapping"]), (201, &json!(1), &json!("erp")), "{dry}");
    let done = desk.commit(&dry["id"]).await;
    assert_eq!(done["result"]["created"], 1, "{done}");
    assert_eq!(desk.call(Method::DELETE, path, None).await.0, 200);
    assert_eq!(desk.call(Method::GET, path, None).await.0, 404);
    let (status, _) = desk.dry("/v1/imports?mapping=erp", csv).await;
    assert_eq!(status, 422);
    desk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_such_csv_is_refused_and_not_kept() {
    let desk = Desk::open().await;
    for (csv, wanted) in [
        (&b""[..], "empty"),
        (b"\xff\xfee\0x\0", "UTF-16"),
        (b"external_id,external_id\n", "comes twice"),
        (b"external_id,secret\n", "is not known"),
        (b"external_id\n1\n", "is missing"),
        (b"external_id,creditor,phone,amount,currency,due_date\n\xff,a,b,c,d,e\n", "not UTF-8"),
    ] {
        let (status, problem) = desk.dry("/v1/imports", csv).await;
        assert_eq!(status, 422, "{problem}");
        let why = problem["errors"][0]["why"].as_str().unwrap();
        assert!(why.contains(wanted), "{wanted}: {why}");
    }
    let (_, list) = desk.call(Method::GET, "/v1/imports", None).await;
    assert_eq!(list["data"], json!([]));
    assert_eq!(desk.call(Method::POST, "/v1/imports/imp_0000000000000/commit", None).await.0, 404);
    assert_eq!(desk.call(Method::GET, "/v1/imports/..%2Fetc", None).await.0, 404);
    desk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_broke_off_is_made_again_and_nothing_is_there_twice() {
    let mut desk = Desk::open().await;
    let dry = desk.checked(&cases(3_000)).await;
    let path = format!("/v1/imports/{}", dry["id"].as_str().unwrap());
    let (status, _) = desk.call(Method::POST, &format!("{path}/commit"), None).await;
    assert_eq!(status, 202);
    desk.world.stop_while_time_passes().await;
    desk.world.start_again().await;
    let done = desk.commit(&dry["id"]).await;
    assert_eq!(done["state"], "committed", "{done}");
    let result = &done["result"];
    let sum = |names: [&str; 2]| names.map(|name| result[name].as_u64().unwrap()).iter().sum::<u64>();
    assert_eq!(sum(["created", "unchanged"]), 3_000, "{done}");
    let again = desk.checked(&cases(3_000)).await;
    assert_eq!(again["delta"]["unchanged"], 3_000, "{again}");
    desk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_gates_and_templates_would_say_is_warned_of() {
    let desk = Desk::open().await;
    // No consent, and a language without a template falls back; the acme creditor is the shipped one.
    let row = "A,acme,+12125550100,10,USD,2026-12-20,,en,US,,,\n";
    let dry = desk.checked(&format!("{HEADER}{row}")).await;
    let warnings = dry["warnings"].as_array().unwrap();
    assert!(warnings.iter().any(|w| w.as_str().unwrap().contains("consent")), "{dry}");
    desk.stop().await;
}
