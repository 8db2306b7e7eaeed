//! Files of cases into a running daemon: dry run, commit, the same again, what is refused.

use nudged::clock::Clock;
use nudged::http::auth::Scope;
use reqwest::Method;
use serde_json::{Value, json};

use crate::redirect::meanwhile;
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
    assert_eq!((&done["result"]["created"], &done["done"]), (&json!(700), &json!(700)), "{done}");
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

/// An upload by hand; the status line. In chunks, or with its length announced and nothing behind that.
async fn poured(desk: &Desk, path: &str, octets: usize, announced: bool) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    const PIECE: usize = 1 << 20;
    let mut stream = tokio::net::TcpStream::connect(desk.world.address()).await.unwrap();
    let framing = match announced {
        true => format!("Content-Length: {octets}"),
        false => String::from("Transfer-Encoding: chunked"),
    };
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nContent-Type: text/csv\r\n{framing}\r\n\r\n",
        desk.token
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut left = if announced { 0 } else { octets };
    let piece = vec![b'x'; PIECE];
    while left > 0 {
        let now = left.min(PIECE);
        stream.write_all(format!("{now:x}\r\n").as_bytes()).await.unwrap();
        stream.write_all(&piece[..now]).await.unwrap();
        stream.write_all(b"\r\n").await.unwrap();
        left -= now;
    }
    if !announced {
        stream.write_all(b"0\r\n\r\n").await.unwrap();
    }
    let mut answer = vec![0; 4096];
    let read = stream.read(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[..read]).lines().next().unwrap_or_default().to_owned()
}

/// Whether anything of an upload lies in the daemon's directory.
async fn is_kept(desk: &Desk) -> bool {
    let dir = desk.world.store_dir().parent().unwrap().join("imports");
    let files = std::fs::read_dir(dir).map_or(0, Iterator::count);
    files > 0 || desk.world.get("/v1/imports").await["data"] != json!([])
}

const UPLOAD_MAX: usize = 64 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_64_mib_is_read_and_one_octet_more_is_not() {
    let desk = Desk::open().await;
    for path in ["/v1/imports", "/v1/imports/payments"] {
        let whole = poured(&desk, path, UPLOAD_MAX, false).await;
        assert!(whole.starts_with("HTTP/1.1 422"), "it is no CSV: {path}: {whole}");
        let more = poured(&desk, path, UPLOAD_MAX + 1, false).await;
        assert!(more.starts_with("HTTP/1.1 413"), "{path}: {more}");
        assert!(!is_kept(&desk).await, "{path}");
    }
    desk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_announced_as_too_large_is_refused_before_it_comes() {
    let desk = Desk::open().await;
    // Who waits for the body gives up at last.
    let each = std::time::Duration::from_secs(1);
    for path in ["/v1/imports", "/v1/imports/payments"] {
        let answer = meanwhile(&desk.world, each, poured(&desk, path, UPLOAD_MAX + 1, true)).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{path}: {answer}");
        assert!(!is_kept(&desk).await, "{path}");
    }
    desk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_has_every_column_of_the_contract_in_the_records_it_makes() {
    let desk = Desk::open().await;
    let csv = "\u{FEFF}external_id;creditor;phone;amount;currency;due_date;account;contact;first_name;last_name;company;\
        kind;language;country;region;postcode;timezone;phone2;min_due;description;link;sequence;case_manager;consent;\
        consent_source;consent_at;custom.plate\n\
        R-1;acme;+49 151 12345678;120.50;EUR;2026-12-09;A-7;C-3;Jo;=Doe;\"D; Sons\";b2b;de;DE;BY;80331;Europe/Berlin;\
        +4915112345679;20;Invoice 1;https://pay.acme.example/1;standard;mia;given;form 3;2026-10-01;M-X 1\n";
    let dry = desk.checked(csv).await;
    assert_eq!((&dry["valid"], &dry["errors"]), (&json!(1), &json!([])), "{dry}");
    desk.commit(&dry["id"]).await;
    let contact = desk.world.get("/v1/contacts/C-3").await;
    for (name, value) in [
        ("first_name", json!("Jo")),
        ("last_name", json!("=Doe")),
        ("company", json!("D; Sons")),
        ("kind", json!("b2b")),
        ("language", json!("de")),
        ("country", json!("DE")),
        ("region", json!("BY")),
        ("postcode", json!("80331")),
        ("timezone", json!("Europe/Berlin")),
    ] {
        assert_eq!(contact[name], value, "{name}: {contact}");
    }
    let numbers = ["+4915112345678", "+4915112345679"].map(|number| json!(number));
    assert_eq!(
        [&contact["phones"][0]["number"], &contact["phones"][1]["number"]],
        [&numbers[0], &numbers[1]]
    );
    let account = desk.world.get("/v1/accounts/A-7").await;
    assert_eq!((&account["creditor"], &account["contact"]), (&json!("acme"), &contact["id"]));
    assert_eq!(account["case_manager"], "mia", "{account}");
    let owed = desk.world.get("/v1/obligations/R-1").await;
    for (name, value) in [
        ("account", json!("A-7")),
        ("amount", json!({"value": "120.50", "currency": "EUR"})),
        ("min_due", json!({"value": "20.00", "currency": "EUR"})),
        ("due_date", json!("2026-12-09")),
        ("description", json!("Invoice 1")),
        ("link", json!("https://pay.acme.example/1")),
        ("sequence", json!("standard")),
    ] {
        assert_eq!(owed[name], value, "{name}: {owed}");
    }
    let custom = [&contact["custom"]["plate"], &account["custom"]["plate"]];
    assert!(custom.contains(&&json!("M-X 1")), "{custom:?}");
    let ledger = desk.world.get("/v1/consents?phone=%2B4915112345678").await;
    let event = &ledger["data"][0];
    assert_eq!((&event["kind"], &event["creditor"]), (&json!("given"), &json!("acme")), "{event}");
    assert!(event.to_string().contains("form 3"), "{event}");
    assert!(event["at"].as_str().unwrap().starts_with("2026-"), "{event}");
    let again = desk.checked(csv).await;
    assert_eq!(again["delta"]["unchanged"], 1, "{again}");
    desk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cell_that_is_wrong_is_refused_by_row_and_column() {
    let desk = Desk::open().await;
    let head = "external_id,creditor,phone,amount,currency,due_date,kind,language,country,timezone,phone2,min_due,link,sequence,consent,consent_at";
    let good = "R-1,acme,+4915112345678,120.50,EUR,2026-12-09,b2b,de,DE,Europe/Berlin,+4915112345679,20,https://pay.acme.example/1,standard,given,2026-10-01";
    assert_eq!(desk.checked(&format!("{head}\n{good}\n")).await["valid"], 1);
    let cells: Vec<&str> = good.split(',').collect();
    for (column, bad) in [
        ("external_id", ""),
        ("creditor", ""),
        ("creditor", "nobody"),
        ("phone", "4.4E+11"),
        ("phone", "4,91512E+12"),
        ("phone", "015112345678"),
        ("phone", "=A1"),
        ("amount", "=1+1"),
        ("amount", "1,20"),
        ("amount", "-5"),
        ("amount", "0"),
        ("currency", "EURO"),
        ("due_date", "09.12.2026"),
        ("due_date", "2026-02-30"),
        ("kind", "person"),
        ("language", "german"),
        ("country", "Germany"),
        ("timezone", "Mars/One"),
        ("phone2", "4.4E+11"),
        ("min_due", "200"),
        ("link", "https://evil.example/1"),
        ("link", "javascript:alert(1)"),
        ("sequence", "nothing"),
        ("consent", "maybe"),
        ("consent_at", "yesterday"),
    ] {
        let place = head.split(',').position(|own| own == column).unwrap();
        let mut row: Vec<String> = cells.iter().map(|cell| (*cell).to_owned()).collect();
        row[place] = format!("\"{bad}\"");
        let dry = desk.checked(&format!("{head}\n{}\n", row.join(","))).await;
        assert_eq!(dry["delta"]["rejected"], 1, "{column} {bad}: {dry}");
        let errors = dry["errors"].as_array().unwrap();
        let told = errors.iter().find(|error| error["column"] == column && error["row"] == 2);
        assert!(
            told.is_some_and(|error| !error["why"].as_str().unwrap().is_empty()),
            "{column} {bad}: {dry}"
        );
    }
    desk.stop().await;
}
