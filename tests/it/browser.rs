//! The status page as people meet it: in Chromium, by chromedriver. Both are part of the check; where one is
//! missing these tests fail.
//!
//! Every [`Browser`] has a chromedriver and a profile of its own and both end with it, so that no test sees
//! another's cookies.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use nudged::clock::Clock;
use nudged::engine::{LinkSnapshot, StatusTotal};
use nudged::http::auth::Scope;
use nudged::link::{LinkFacts, LinkStatus, ModemStatus, Registration};
use nudged::message::Status;
use nudged::sim::modem::ModemOptions;
use reqwest::{Method, Url};
use serde_json::{Value, json};

use crate::http::{Rig, stored};
use crate::support::{World, faulty, one, one_modem, silent, until};

/// A reply of somebody who would like to run his script in the browser of whoever reads it.
const HOSTILE: &str = "<script>window.owned=1</script>\"><img src=x onerror=window.owned=1>\u{202e}txet";
const FORMULA: &str = "=cmd|' /C calc'!A0";
const NUMBER: &str = "+4915112345678";

pub struct Browser {
    pub page: Client,
    driver: Child,
    _profile: tempfile::TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser ends by itself when the pipe to its driver does.
        self.driver.kill().unwrap();
        self.driver.wait().unwrap();
    }
}

impl Browser {
    pub async fn start() -> Browser {
        Browser::with(json!({})).await
    }

    pub async fn without_scripts() -> Browser {
        Browser::with(json!({"profile.managed_default_content_settings.javascript": 2})).await
    }

    async fn with(prefs: Value) -> Browser {
        let started = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut driver = started.expect("chromedriver: install Debian's chromium-driver");
        let lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let mut ports = lines.map_while(Result::ok).filter_map(|line| {
            line.split("successfully on port ").nth(1)?.trim_end_matches('.').parse::<u16>().ok()
        });
        let port = ports.next().expect("chromedriver names its port");
        let profile = tempfile::tempdir().unwrap();
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--remote-debugging-pipe",
            "--no-proxy-server",
            &format!("--user-data-dir={}", profile.path().display()),
        ];
        let options = json!({"args": arguments, "prefs": prefs});
        let mut capabilities = Capabilities::new();
        capabilities.insert(String::from("goog:chromeOptions"), options);
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let page = builder.capabilities(capabilities).connect(&format!("http://127.0.0.1:{port}")).await;
        let page = page.expect("a browser: install Debian's chromium");
        Browser { page, driver, _profile: profile }
    }

    /// A command of Chromium's own protocol.
    async fn chromium(&self, command: &str, parameters: Value) {
        self.page.issue_cmd(Chromium(command.to_owned(), parameters)).await.unwrap();
    }

    pub async fn size(&self, width: u32, height: u32) {
        let of = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500});
        self.chromium("Emulation.setDeviceMetricsOverride", of).await;
    }

    pub async fn scheme(&self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.chromium("Emulation.setEmulatedMedia", json!({"features": features})).await;
    }

    pub async fn run(&self, script: &str) -> Value {
        self.page.execute(script, Vec::new()).await.unwrap()
    }

    /// The text of the page once it contains `what`.
    pub async fn shows(&self, what: &str) -> String {
        // While the page replaces itself, what was found may be gone when it is asked.
        let look = async || {
            let body = self.page.find(Locator::Css("body")).await.ok()?;
            body.text().await.ok().filter(|text| text.contains(what))
        };
        until(&Clock::system(), &format!("the page shows {what}"), look).await
    }

    pub async fn click(&self, css: &str) {
        self.page.find(Locator::Css(css)).await.unwrap().click().await.unwrap();
    }

    /// By the form, as a person does it.
    pub async fn sign_in(&self, world: &World) {
        self.sign_in_at(&format!("http://{}/", world.address()), world.token()).await;
    }

    pub async fn sign_in_at(&self, url: &str, token: &str) {
        self.page.goto(url).await.unwrap();
        self.page.find(Locator::Id("token")).await.unwrap().send_keys(token).await.unwrap();
        self.click(".login button").await;
        self.shows("Sign out").await;
    }
}

#[derive(Debug)]
struct Chromium(String, Value);

impl WebDriverCompatibleCommand for Chromium {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, <Url as std::str::FromStr>::Err> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(json!({"cmd": self.0, "params": self.1}).to_string()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_without_scripts_signs_in_pauses_resumes_and_signs_out() {
    let (world, _carrier) = one(silent(), "").await;
    world.await_link("carrier", "up").await;
    let browser = Browser::without_scripts().await;
    browser.sign_in(&world).await;
    browser.shows("carrier").await;
    browser.click("#all").await;
    browser.shows("All sending is paused by test.").await;
    assert_eq!(world.get("/v1/status").await["paused"]["by"], "test");
    browser.click("#all").await;
    browser.shows("Pause all sending").await;
    browser.click("#pause-1").await;
    browser.shows("No link is up").await;
    world.await_link("carrier", "paused").await;
    browser.click("#pause-1").await;
    world.await_link("carrier", "up").await;
    browser.click(".who button").await;
    let text = browser.shows("Sign in").await;
    assert!(!text.contains("carrier"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_is_told_so_and_lets_nobody_in() {
    let (world, _carrier) = one(silent(), "").await;
    let browser = Browser::start().await;
    browser.page.goto(&format!("http://{}/", world.address())).await.unwrap();
    browser.page.find(Locator::Id("token")).await.unwrap().send_keys("ndg_wrong").await.unwrap();
    browser.click(".login button").await;
    browser.shows("No such token.").await;
    assert_eq!(browser.page.get_all_cookies().await.unwrap().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cookie_is_for_the_server_alone_and_for_no_other_site() {
    let (world, _carrier) = one(silent(), "").await;
    let browser = Browser::start().await;
    browser.sign_in(&world).await;
    let cookies = browser.page.get_all_cookies().await.unwrap();
    let [cookie] = cookies.as_slice() else { panic!("{cookies:?}") };
    assert_eq!((cookie.name(), cookie.path()), ("nudged_session", Some("/")));
    assert_eq!((cookie.http_only(), cookie.expires().is_none()), (Some(true), true));
    assert_eq!(cookie.same_site().map(|site| site.is_strict()), Some(true));
    assert_eq!(browser.run("return document.cookie").await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_updates_itself_and_leaves_alone_what_somebody_does() {
    let (world, _carrier) = one(silent(), "").await;
    let browser = Browser::start().await;
    browser.sign_in(&world).await;
    browser.run("window.kept = 1").await;
    browser.click("#hour-table summary").await;
    world.send(NUMBER, "the news").await;
    browser.shows("the news").await;
    let same =
        "return [window.kept, document.getElementById('hour-table').open, document.activeElement.tagName]";
    assert_eq!(browser.run(same).await, json!([1, true, "SUMMARY"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_is_decided_on_the_page() {
    let (world, _carrier) = one(faulty("no-answer@1"), "response_timeout = '1s'").await;
    let id = world.send(NUMBER, "did it?").await;
    world.await_status(&id, "unknown").await;
    world.await_snapshot("it is counted", |status| status["messages"]["unknown"] == 1).await;
    let browser = Browser::start().await;
    browser.sign_in(&world).await;
    browser.shows("These went out and no answer came.").await;
    browser.click("#unknowns ~ .rows summary").await;
    browser.shows("The person may get it twice.").await;
    browser.click("button[value=sent]").await;
    assert_eq!(world.await_status(&id, "sent").await["status"], "sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_comes_by_sees_no_digit_of_a_number() {
    let (world, _carrier) = one(silent(), "").await;
    let id = world.send(NUMBER, "a secret text").await;
    world.await_status(&id, "sent").await;
    world.await_snapshot("it is counted", |status| status["messages"]["sent"] == 1).await;
    let browser = Browser::start().await;
    browser.page.goto(&format!("http://{}/", world.address())).await.unwrap();
    browser.shows("Sign in").await;
    let source = browser.page.source().await.unwrap();
    assert!(!source.contains(&NUMBER[1..8]) && !source.contains("secret") && !source.contains("carrier"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_tries_script_direction_and_formula_is_only_text() {
    let (world, carrier) = one(silent(), "").await;
    world.await_link("carrier", "up").await;
    let browser = Browser::start().await;
    browser.sign_in(&world).await;
    carrier.reply(&NUMBER[1..], HOSTILE).await;
    carrier.reply(&NUMBER[1..], FORMULA).await;
    for path in ["/", "/conversations/+4915112345678"] {
        browser.page.goto(&format!("http://{}{path}", world.address())).await.unwrap();
        let text = browser.shows(FORMULA).await;
        assert!(
            text.contains("<script>window.owned=1</script>\"><img src=x onerror=window.owned=1>"),
            "{text}"
        );
        assert!(text.contains("⟨U+202E⟩txet"), "{text}");
        let made = "return [typeof window.owned, document.images.length, document.scripts.length]";
        assert_eq!(browser.run(made).await, json!(["undefined", 0, 1]), "{path}");
    }
    // The same through the update, which parses the page itself.
    browser.page.goto(&format!("http://{}/", world.address())).await.unwrap();
    browser.run("window.kept = 1").await;
    carrier.reply(&NUMBER[1..], &format!("{HOSTILE} again")).await;
    browser.shows("again").await;
    let made = "return [window.kept, typeof window.owned, document.images.length]";
    assert_eq!(browser.run(made).await, json!([1, "undefined", 0]));
    assert!(browser.page.get_alert_text().await.is_err(), "no alert is open");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_types_is_not_taken_away() {
    let (world, _carrier) = one(silent(), "").await;
    let browser = Browser::start().await;
    browser.sign_in(&world).await;
    let field = browser.page.find(Locator::Id("number")).await.unwrap();
    field.send_keys("+49 151").await.unwrap();
    let id = world.send(NUMBER, "the news").await;
    world.await_status(&id, "sent").await;
    let state = "return update().then(() => [document.getElementById('number').value, document.body.textContent.includes('the news')])";
    assert_eq!(browser.run(state).await, json!(["+49 151", false]));
    let left = format!("document.activeElement.blur(); {state}");
    assert_eq!(browser.run(&left).await, json!(["", true]), "once it is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_begins_to_type_while_the_answer_is_on_its_way_is_not_taken_away() {
    let (world, _carrier) = one(silent(), "").await;
    let browser = Browser::start().await;
    browser.sign_in(&world).await;
    let typed = "
        const ask = window.fetch;
        let typed = false;
        window.fetch = async (...asked) => {
            const answer = await ask(...asked);
            const field = document.getElementById('number');
            field.focus();
            field.value = '+49 151';
            typed = true;
            return answer;
        };
        const over = async () => {
            while (!typed || asking) {
                await update();
                await new Promise((look) => setTimeout(look, 5));
            }
            return document.getElementById('number').value;
        };
        return over();";
    assert_eq!(browser.run(typed).await, "+49 151");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_modem_shows_its_signal_operator_and_the_end_of_its_sim_and_its_replies_in_the_conversation() {
    let (world, modem) = one_modem(ModemOptions::default(), "").await;
    world.await_link("gsm1", "up").await;
    let id = world.send(NUMBER, "Invoice 4711 over 80 EUR is due on 1 December.").await;
    world.await_status(&id, "sent").await;
    modem.reply(NUMBER, "Paid yesterday, thank you").unwrap();
    let known = |status: &Value| status["links"][0]["signal"]["dbm"].is_i64() && status["inbound_total"] == 1;
    world.await_snapshot("the modem has spoken and the reply is counted", known).await;
    let browser = Browser::start().await;
    browser.sign_in(&world).await;
    let text = browser.shows("Paid yesterday, thank you").await;
    for shown in ["OK", "Simulated", "home network", "IMSI …7890, ICCID …0008", "dBm", " of 120"] {
        assert!(text.contains(shown), "{shown} in {text}");
    }
    let source = browser.page.source().await.unwrap();
    assert!(!source.contains("262991234567890") && !source.contains("8949000000000000008"), "{source}");
    let bars = "return [...document.querySelectorAll('.bars i')].map(e => e.clientHeight > 0)";
    assert_eq!(browser.run(bars).await, json!([true, true, true, true]));
    browser.page.goto(&format!("http://{}/conversations/{NUMBER}", world.address())).await.unwrap();
    let text = browser.shows("Paid yesterday, thank you").await;
    let (asked, answered) = (text.find("Invoice 4711").unwrap(), text.find("Paid yesterday").unwrap());
    assert!(asked < answered && text.contains("gsm1"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_modem_that_is_parked_for_its_pin_tells_which_file_to_remove_and_what_to_press() {
    let options = ModemOptions { pin: Some(String::from("9999")), ..ModemOptions::default() };
    let (world, _modem) = one_modem(options, "pin_file = 'pin'").await;
    world.await_link("gsm1", "parked").await;
    let browser = Browser::start().await;
    browser.sign_in(&world).await;
    let text = browser.shows("the SIM refused the PIN").await;
    assert_eq!(text.matches("/modem-gsm1.pin, then restart the link").count(), 2, "{text}");
    assert!(text.contains("press Restart at the link"), "{text}");
    browser.click("#restart-1").await;
    browser.shows("a PIN was entered before and did not unlock the SIM").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_connected_anew_from_the_page() {
    let (world, _carrier) = one(silent(), "").await;
    world.await_link("carrier", "up").await;
    let browser = Browser::without_scripts().await;
    browser.sign_in(&world).await;
    browser.shows("carrier").await;
    browser.click("#restart-1").await;
    world.await_snapshot("a second session", |status| status["links"][0]["sessions_total"] == 2).await;
    assert!(browser.page.current_url().await.unwrap().as_str().ends_with("/#links"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_does_not_answer_is_said_to() {
    let (mut world, _carrier) = one(silent(), "").await;
    let browser = Browser::start().await;
    browser.sign_in(&world).await;
    world.stop().await;
    browser.run("return update()").await;
    browser.shows("The daemon does not answer.").await;
    assert_eq!(browser.page.title().await.unwrap(), "No answer - nudged");
}

/// Texts and names that would push a page apart, and a modem with everything to say.
async fn crowded() -> Rig {
    let rig = Rig::with(&Scope::ALL, stored(7)).await;
    rig.publish(|snapshot| {
        let modem = ModemStatus {
            model: Some(String::from("E173")),
            imsi: Some(String::from("262011234567890")),
            operator: Some("Ö".repeat(60)),
            registration: Some(Registration::Home),
            signal_dbm: Some(-79),
            storage: Some((19, 20)),
            last_error: Some(format!("+CMS ERROR: {}", "x".repeat(120))),
            ..ModemStatus::default()
        };
        let name = "a-name-of-a-modem-that-is-as-long-as-it-may-be";
        let facts = LinkFacts { name: name.into(), account: name.into(), kind: "modem", window: 1 };
        let status = LinkStatus { modem: Some(modem), ..LinkStatus::new(snapshot.at) };
        snapshot.links.push(LinkSnapshot {
            facts,
            status,
            paused: None,
            leased: 0,
            quotas: Vec::new(),
            recipients: None,
        });
        snapshot.by_status = [1_234_567_890; Status::ALL.len()];
        let sent = StatusTotal { status: Status::Sent, link: None, count: 4_711 };
        snapshot.totals = vec![sent];
    });
    rig
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_phone_nothing_is_wider_than_the_screen() {
    let rig = crowded().await;
    let browser = Browser::start().await;
    browser.size(360, 740).await;
    browser.page.goto(&rig.url("/")).await.unwrap();
    let width = "return document.scrollingElement.scrollWidth";
    assert_eq!(browser.run(width).await, 360, "for whoever comes by");
    browser.sign_in_at(&rig.url("/"), &rig.token).await;
    for path in ["/", "/conversations/+4915112345678", "/messages", "/replies", "/conversations/no-number"] {
        browser.page.goto(&rig.url(path)).await.unwrap();
        assert_eq!(browser.run(width).await, 360, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_of_combining_marks_stays_in_its_box() {
    let (world, carrier) = one(silent(), "").await;
    world.await_link("carrier", "up").await;
    let browser = Browser::start().await;
    browser.sign_in(&world).await;
    let marks = format!("Z{}", "\u{30d}\u{316}".repeat(300));
    carrier.reply(&NUMBER[1..], &marks).await;
    browser.shows("carrier, ").await;
    let boxes = "return [...document.querySelectorAll('.text')].map(e => [e.clientHeight, getComputedStyle(e).overflowY, getComputedStyle(e).contain])";
    let boxes = browser.run(boxes).await;
    for found in boxes.as_array().unwrap() {
        assert!(found[0].as_u64().unwrap() <= 144, "{found}");
        assert_eq!((&found[1], &found[2]), (&json!("auto"), &json!("content")));
    }
    assert!(!boxes.as_array().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_dark_where_the_reader_likes_it_dark() {
    let rig = crowded().await;
    let browser = Browser::start().await;
    let mut grounds = Vec::new();
    for scheme in ["light", "dark"] {
        browser.scheme(scheme).await;
        browser.page.goto(&rig.url("/")).await.unwrap();
        let colours = "const s = getComputedStyle(document.body); return [s.backgroundColor, s.color]";
        let colours = browser.run(colours).await;
        let light = |colour: &Value| {
            let digits = colour.as_str().unwrap().split(|c: char| !c.is_ascii_digit());
            digits.filter_map(|part| part.parse::<u32>().ok()).sum::<u32>() > 3 * 128
        };
        grounds.push((light(&colours[0]), light(&colours[1])));
    }
    assert_eq!(grounds, [(true, false), (false, true)], "ground and ink");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_without_scripts_enters_a_case_sees_its_next_step_and_books_its_payment() {
    let world = World::start("").await;
    let token = crate::seeds::token(&world).await;
    crate::seeds::load(&world, &token).await;
    let browser = Browser::without_scripts().await;
    browser.sign_in_at(&format!("http://{}/", world.address()), &token).await;
    browser.page.goto(&format!("http://{}/obligations/new", world.address())).await.unwrap();
    let due = world.clock.now().wall.saturating_add(std::time::Duration::from_secs(30 * 86_400));
    let due = due.to_rfc3339()[..10].to_owned();
    let typed = [
        ("external_id", "INV-7"),
        ("amount", "80"),
        ("contact", "C-7"),
        ("phone", NUMBER),
        ("country", "DE"),
    ];
    for (id, text) in typed {
        browser.page.find(Locator::Id(id)).await.unwrap().send_keys(text).await.unwrap();
    }
    // A date field takes its parts in the order of the browser's language.
    let (year, month, day) = (&due[..4], &due[5..7], &due[8..]);
    let field = browser.page.find(Locator::Id("due_date")).await.unwrap();
    field.send_keys(&format!("{month}{day}{year}")).await.unwrap();
    browser.click("button.main").await;
    let text = browser.shows("goes next.").await;
    assert!(text.contains("80.00 EUR") && text.contains(&due) && text.contains(NUMBER), "{text}");
    browser.click("#pay summary").await;
    browser.click("#pay button").await;
    let text = browser.shows("Ended: paid. Nothing more goes.").await;
    assert!(text.contains("Paid 80.00 EUR"), "{text}");
}
