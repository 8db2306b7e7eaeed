//! Payment links by way of this machine, and the clicks that the firm's own site tells of.

use std::net::IpAddr;
use std::time::Duration;

use nudged::clock::{Clock, Timestamp};
use nudged::http::auth::Scope;
use nudged::reminder::link::Token;
use nudged::sim::smsc::SmscOptions;
use reqwest::Method;
use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use serde_json::{Value, json};

use crate::http_reminders::{creditor, eur};
use crate::support::{Carrier, START, World, holding, link, silent, until};

const SETTINGS: &str = "[redirect]\nlisten = ['127.0.0.1:0']\nbase = 'https://pay.firm.example'\n";
const SCOPES: [Scope; 2] = [Scope::Reminders, Scope::Read];
const BROWSER: &str =
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Safari/604.1";
/// Where the debtor of [`Sent`] pays.
const TARGET: &str = "https://pay.acme.example/i?case=17";

async fn world() -> World {
    World::start_as(Clock::manual(START), SETTINGS, &SCOPES).await
}

/// What one visitor sees.
struct Seen {
    status: u16,
    headers: HeaderMap,
    body: String,
}

/// What this takes while the clock goes on, for every answer takes its time.
pub async fn meanwhile<T>(world: &World, each: Duration, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    let machine = Clock::system();
    loop {
        tokio::select! {
            done = &mut work => return done,
            () = machine.sleep(Duration::from_millis(5)) => world.clock.advance(each),
        }
    }
}

async fn ask(world: &World, method: Method, path: &str, agent: &str) -> Seen {
    let client = reqwest::Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
    let url = format!("http://{}{path}", world.redirect());
    let asked = client.request(method, url).header("User-Agent", agent).header("Host", "pay.firm.example");
    let answer = meanwhile(world, Duration::from_millis(20), asked.send()).await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    Seen { status, headers, body: answer.text().await.unwrap() }
}

async fn visit(world: &World, path: &str) -> Seen {
    ask(world, Method::GET, path, BROWSER).await
}

/// A debtor who was sent the link of one obligation, `inv-1` of 120.50 EUR, and ten minutes to read it.
pub struct Sent {
    pub world: World,
    path: String,
    carrier: Carrier,
}

impl Sent {
    pub async fn new() -> Sent {
        let sent = Sent::just_now(SETTINGS).await;
        sent.world.clock.advance(Duration::from_secs(600));
        sent
    }

    /// The network took it this moment.
    async fn just_now(settings: &str) -> Sent {
        let sent = Sent::on_the_wire(settings, silent()).await;
        sent.await_taken().await;
        sent
    }

    /// The network has it; what it says is the carrier's to tell.
    async fn on_the_wire(settings: &str, options: SmscOptions) -> Sent {
        let carrier = Carrier::start(options).await;
        let config = format!("{settings}{}", link("carrier", carrier.addr(), ""));
        let world = World::start_as(Clock::manual(START), &config, &SCOPES).await;
        let body =
            "{{ creditor }}: {{ amount | money }} for {{ reference }}, due {{ due_date | date }}: {{ link }}";
        let template = json!({"key": "due", "language": "en", "class": "reminder", "body": body});
        let steps = json!([{"id": "due", "offset": "0d", "at": "15:10", "template": "due"}]);
        let contact = json!({"external_id": "c-1", "language": "en", "country": "DE",
            "phones": [{"number": "+4915112300001"}]});
        let owed = json!({"external_id": "inv-1", "creditor": "acme", "contact": contact, "amount": eur("120.50"),
            "due_date": "2026-11-21", "link": TARGET});
        for (path, body) in [
            ("/v1/creditors", creditor()),
            ("/v1/templates", template),
            ("/v1/sequences", json!({"key": "standard", "steps": steps})),
            ("/v1/obligations", owed),
        ] {
            let (status, made) = world.post(path, body).await;
            assert_eq!(status, 201, "{path}: {made}");
        }
        world.await_link("carrier", "up").await;
        let owed = world.get("/v1/obligations/inv-1").await;
        let next = Timestamp::parse_rfc3339(owed["enrolment"]["next"]["at"].as_str().unwrap()).unwrap();
        world.clock.advance(next.since(world.clock.now().wall));
        let text = carrier.await_submits(1, &world.clock).await[0]["text"].as_str().unwrap().to_owned();
        let (_, token) = text.split_once("https://pay.firm.example/p/").expect(&text);
        let path = format!("/p/{}", &token[..12]);
        Sent { world, path, carrier }
    }

    async fn await_taken(&self) {
        let taken = async || {
            let line = self.world.get("/v1/obligations/inv-1/timeline").await;
            let went = line["data"].as_array()?.iter().any(|line| line["accepted"] == true);
            went.then_some(())
        };
        until(&self.world.clock, "the network took it", taken).await;
    }

    pub fn token(&self) -> &str {
        &self.path[3..]
    }

    async fn visit(&self) -> Seen {
        visit(&self.world, &self.path).await
    }

    /// The visits so far in order: whether a person's.
    async fn counted(&self) -> Vec<bool> {
        let line = self.world.get("/v1/obligations/inv-1/timeline").await;
        let lines = line["data"].as_array().unwrap().iter().filter(|line| line["what"] == "clicked");
        lines.map(|line| line["human"].as_bool().unwrap()).collect()
    }

    /// Returns the visits once there are so many.
    async fn await_counted(&self, count: usize) -> Vec<bool> {
        let look = async || Some(self.counted().await).filter(|counted| counted.len() >= count);
        until(&self.world.clock, &format!("{count} visits"), look).await
    }

    pub async fn stop(mut self) {
        self.world.stop_while_time_passes().await;
    }
}

fn assert_private(seen: &Seen) {
    assert_eq!(seen.headers["referrer-policy"], "no-referrer", "{}", seen.status);
    assert_eq!(seen.headers["x-robots-tag"], "noindex, nofollow");
    assert_eq!(seen.headers["cache-control"], "no-store");
    for personal in ["Acme", "inv-1", "120", "49151", "c-1"] {
        assert!(!seen.body.contains(personal), "{personal}: {}", seen.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_leads_to_the_obligations_own_and_says_nothing_of_itself() {
    let sent = Sent::new().await;
    let seen = sent.visit().await;
    assert_eq!((seen.status, seen.headers["location"].to_str().unwrap()), (302, TARGET));
    assert_private(&seen);
    sent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_visitor_adds_to_the_address_leads_nowhere_else() {
    let sent = Sent::new().await;
    for more in ["?to=https://evil.example", "?url=%2F%2Fevil.example", "#//evil.example"] {
        let seen = visit(&sent.world, &format!("{}{more}", sent.path)).await;
        assert_eq!((seen.status, seen.headers["location"].to_str().unwrap()), (302, TARGET), "{more}");
    }
    sent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_typed_from_a_telephone_is_the_same_token() {
    let sent = Sent::new().await;
    let typed = sent.path.to_uppercase().replacen("/P/", "/p/", 1).replace('0', "O").replace('1', "l");
    assert_eq!(visit(&sent.world, &typed).await.status, 302, "{typed}");
    sent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_counts_once_in_half_an_hour() {
    let sent = Sent::new().await;
    sent.visit().await;
    assert_eq!(sent.await_counted(1).await, [true]);
    sent.visit().await;
    assert_eq!(sent.await_counted(2).await, [true, false], "again is a fetch");
    sent.world.clock.advance(Duration::from_secs(31 * 60));
    sent.visit().await;
    assert_eq!(sent.await_counted(3).await, [true, false, true]);
    sent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn visits_at_the_same_moment_are_one_persons() {
    let sent = Sent::new().await;
    futures_util::future::join_all((0..8).map(|_| sent.visit())).await;
    sent.await_counted(2).await;
    // What is told of after them is heard after them.
    let told = json!({"token": sent.token(), "agent": "curl/8"});
    assert_eq!(sent.world.post("/v1/clicks", told).await.0, 200);
    let counted = sent.counted().await;
    assert_eq!(counted.iter().filter(|human| **human).count(), 1, "{counted:?}");
    sent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_is_answered_as_a_get_and_is_no_persons() {
    let sent = Sent::new().await;
    let seen = ask(&sent.world, Method::HEAD, &sent.path, BROWSER).await;
    assert_eq!((seen.status, seen.headers["location"].to_str().unwrap()), (302, TARGET));
    assert_private(&seen);
    assert_eq!(sent.await_counted(1).await, [false]);
    sent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scanner_is_led_on_and_is_no_person() {
    let sent = Sent::new().await;
    let seen = ask(&sent.world, Method::GET, &sent.path, "Mozilla/5.0 (compatible; Googlebot/2.1)").await;
    assert_eq!(seen.status, 302);
    assert_eq!(sent.await_counted(1).await, [false]);
    sent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_with_the_text_is_no_person() {
    let sent = Sent::just_now(SETTINGS).await;
    assert_eq!(sent.visit().await.status, 302);
    assert_eq!(sent.await_counted(1).await, [false]);
    sent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_before_the_network_took_the_text_is_no_person() {
    let sent = Sent::on_the_wire(SETTINGS, holding()).await;
    sent.world.clock.advance(Duration::from_secs(20));
    assert_eq!(sent.visit().await.status, 302);
    assert_eq!(sent.await_counted(1).await, [false]);
    sent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_three_seconds_begin_when_the_network_took_it_and_not_when_it_was_asked() {
    let sent = Sent::on_the_wire(SETTINGS, holding()).await;
    sent.world.clock.advance(Duration::from_secs(20));
    sent.carrier.release().await;
    sent.await_taken().await;
    sent.visit().await;
    assert_eq!(sent.await_counted(1).await, [false]);
    sent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_after_three_seconds_may_be_a_person() {
    let sent = Sent::just_now(SETTINGS).await;
    sent.world.clock.advance(Duration::from_secs(4));
    sent.visit().await;
    assert_eq!(sent.await_counted(1).await, [true]);
    sent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_firm_that_does_not_count_has_its_links_all_the_same() {
    let sent = Sent::just_now(&format!("{SETTINGS}clicks = false\n")).await;
    sent.world.clock.advance(Duration::from_secs(600));
    assert_eq!(sent.visit().await.status, 302);
    // What is asked of the core after the visit is done after it.
    let (status, _) = sent.world.post("/v1/obligations/inv-1/promise", json!({"date": "2026-11-25"})).await;
    assert_eq!(status, 200);
    assert!(sent.counted().await.is_empty());
    sent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_paid_says_so_and_leads_nowhere() {
    let sent = Sent::new().await;
    let payment = json!({"external_id": "p-1", "amount": eur("120.50"), "at": "2026-11-21T14:00:00Z"});
    assert_eq!(sent.world.post("/v1/obligations/inv-1/payments", payment).await.0, 201);
    let seen = sent.visit().await;
    assert_eq!(seen.status, 200);
    assert!(seen.body.contains("This has been settled"), "{}", seen.body);
    assert!(!seen.headers.contains_key("location"));
    assert_private(&seen);
    sent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_longer_asked_for_says_so_too() {
    for status in ["canceled", "written_off"] {
        let sent = Sent::new().await;
        let (code, _) =
            sent.world.call(Method::PATCH, "/v1/obligations/inv-1", Some(json!({"status": status}))).await;
        assert_eq!(code, 200);
        let seen = sent.visit().await;
        assert_eq!((seen.status, seen.body.contains("This has been settled")), (200, true), "{status}");
        sent.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_link_is_one_that_nobody_has() {
    let sent = Sent::just_now(&format!("{SETTINGS}expires = '1d'\n")).await;
    sent.world.clock.advance(Duration::from_secs(23 * 3_600));
    assert_eq!(sent.visit().await.status, 302);
    sent.world.clock.advance(Duration::from_secs(2 * 3_600));
    let expired = sent.visit().await;
    let unknown = visit(&sent.world, &format!("/p/{}", Token::from_random([9; 8]))).await;
    assert_eq!((expired.status, unknown.status), (404, 404));
    assert_eq!(expired.body, unknown.body);
    let names = |seen: &Seen| seen.headers.keys().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(names(&expired), names(&unknown), "no header tells them apart");
    assert_private(&expired);
    sent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_get_and_head_are_led_on() {
    let sent = Sent::new().await;
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::PATCH] {
        let seen = ask(&sent.world, method.clone(), &sent.path, BROWSER).await;
        assert!(matches!(seen.status, 404 | 405), "{method}: {}", seen.status);
        assert!(!seen.headers.contains_key("location"), "{method}");
    }
    sent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visit_that_the_firms_site_tells_of_is_counted_as_it_says() {
    let sent = Sent::new().await;
    for (more, click) in [
        (json!({}), json!({"click": "human"})),
        (json!({}), json!({"click": "fetch", "why": "repeat"})),
        (json!({"agent": "curl/8"}), json!({"click": "fetch", "why": "scanner"})),
        (json!({"method": "HEAD"}), json!({"click": "fetch", "why": "method"})),
        (json!({"at": START.to_rfc3339()}), json!({"click": "fetch", "why": "too_soon"})),
    ] {
        let mut told = more.clone();
        told["token"] = json!(sent.token());
        assert_eq!(sent.world.post("/v1/clicks", told).await, (200, click), "{more}");
    }
    sent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_nobody_has_and_what_is_none_look_the_same() {
    let mut world = world().await;
    let miss = visit(&world, &format!("/p/{}", Token::from_random([9; 8]))).await;
    assert_eq!(miss.status, 404);
    for none in
        ["https%3A%2F%2Fevil.example", "%FF", "%00", "0123456789a", "0123456789abc", "0123456789a%C3%A4"]
    {
        let seen = visit(&world, &format!("/p/{none}")).await;
        assert_eq!((seen.status, &seen.body), (404, &miss.body), "{none}");
        assert!(!seen.headers.contains_key("location"));
        assert_private(&seen);
    }
    world.stop_while_time_passes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_else_is_served_there() {
    let mut world = world().await;
    for path in ["/", "/v1/status", "/healthz", "/metrics", "/p/", "/p/a/b", "/login"] {
        let seen = visit(&world, path).await;
        assert_eq!(seen.status, 404, "{path}");
        assert_private(&seen);
    }
    world.stop_while_time_passes().await;
}

/// Visits from an address of this machine, all at once.
async fn crowd(world: &World, from: [u8; 4], count: usize) -> Vec<u16> {
    let client = reqwest::Client::builder().no_proxy().local_address(IpAddr::from(from)).build().unwrap();
    let url = format!("http://{}/p/0123456789ab", world.redirect());
    let visits = (0..count).map(|_| async { client.get(&url).send().await.map(|a| a.status().as_u16()) });
    let answers = meanwhile(world, Duration::from_millis(1), futures_util::future::join_all(visits)).await;
    answers.into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_cannot_ask_without_end_and_others_still_can() {
    let mut world = world().await;
    assert!(crowd(&world, [127, 0, 0, 1], 700).await.contains(&429));
    assert_eq!(crowd(&world, [127, 0, 0, 2], 1).await, [404]);
    world.clock.advance(Duration::from_secs(10));
    assert_eq!(crowd(&world, [127, 0, 0, 1], 1).await, [404], "its time is over");
    world.stop_while_time_passes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clicks_of_the_firms_site_name_a_token_that_is_known() {
    let mut world = world().await;
    let token = Token::from_random([9; 8]).to_string();
    let (status, _) = world.post("/v1/clicks", json!({"token": token})).await;
    assert_eq!(status, 404);
    let (status, told) = world.post("/v1/clicks", json!([{"token": token, "agent": "curl/8"}])).await;
    assert_eq!((status, &told["results"][0]["click"]), (200, &Value::from("unknown_token")), "{told}");
    world.stop_while_time_passes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_that_cannot_be_read_names_its_field() {
    let mut world = world().await;
    let token = Token::from_random([9; 8]).to_string();
    for (bad, field) in [
        (json!({"token": "x"}), "token"),
        (json!({}), "token"),
        (json!({"token": token, "url": "https://evil.example"}), "url"),
        (json!({"token": token, "at": "yesterday"}), "at"),
        (json!([{"token": token}, {"token": token, "at": "2026-11-21"}]), "[1].at"),
        (json!(vec![json!({"token": token}); 501]), ""),
    ] {
        let (status, told) = world.post("/v1/clicks", bad.clone()).await;
        assert_eq!((status, &told["errors"][0]["field"]), (422, &json!(field)), "{told}");
    }
    for none in [json!(7), json!("x"), Value::Null] {
        assert_eq!(world.post("/v1/clicks", none.clone()).await.0, 400, "{none}");
    }
    world.stop_while_time_passes().await;
}
