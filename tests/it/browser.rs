//! The status page as people meet it: in Chromium, by chromedriver. Both are part of the check; where one is
//! missing these tests fail.
//!
//! Every [`Browser`] has a chromedriver and a profile of its own and both end with it, so that no test sees
//! another's cookies.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder, Locator, error::CmdError};
use hyper_util::client::legacy::connect::HttpConnector;
use nudged::clock::Clock;
use nudged::sim::smsc::SmscOptions;
use reqwest::{Method, Url};
use serde_json::{Value, json};

use crate::support::{Carrier, World, faulty, number, one, silent, until};

/// A reply of somebody who would like to run his script in the browser of whoever reads it.
const HOSTILE: &str = "<script>window.owned=1</script>\"><img src=x onerror=window.owned=1>\u{202e}txet";
const FORMULA: &str = "=cmd|' /C calc'!A0";
/// Seconds between two updates of the page, and then some.
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

    async fn text(&self) -> String {
        self.page.find(Locator::Css("body")).await.unwrap().text().await.unwrap()
    }

    /// The text of the page once it contains `what`.
    async fn shows(&self, what: &str) -> String {
        // While the page replaces itself, what was found may be gone when it is asked.
        let look = async || {
            let body = self.page.find(Locator::Css("body")).await.ok()?;
            body.text().await.ok().filter(|text| text.contains(what))
        };
        until(&Clock::system(), &format!("the page shows {what}"), look).await
    }

    async fn click(&self, css: &str) {
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
