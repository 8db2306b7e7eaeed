//! Signing in on the page: sessions, form keys, scopes, and what another site's page gets.

use std::net::SocketAddr;
use std::time::Duration;

use nudged::http::auth::{Scope, TokenFile};
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Client, Method, RequestBuilder, Response};

use crate::http::{Map, Rig, stored};

/// Every form of the page but that of signing in.
const FORMS: [&str; 8] = [
    "/logout",
    "/page/pause",
    "/page/resume",
    "/page/restart",
    "/page/resolve",
    "/page/release",
    "/page/opt-out",
    "/page/lift",
];

/// Somebody with a browser that follows no redirects and runs no scripts.
pub struct Visitor {
    at: SocketAddr,
    client: Client,
    cookie: Option<String>,
}

impl Visitor {
    fn new(rig: &Rig) -> Visitor {
        Visitor::of(rig.address)
    }

    async fn signed_in(rig: &Rig) -> Visitor {
        Visitor::signed_in_at(rig.address, &rig.token).await
    }

    fn of(at: SocketAddr) -> Visitor {
        let client = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        Visitor { at, client: client.build().unwrap(), cookie: None }
    }

    pub async fn signed_in_at(at: SocketAddr, token: &str) -> Visitor {
        let mut visitor = Visitor::of(at);
        let answer = visitor.post("/login", &[("token", token)]).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), &answer.headers()[LOCATION]), (303, &"/".parse().unwrap()));
        visitor.cookie = Some(pair(&answer));
        visitor
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("http://{}{path}", self.at));
        match &self.cookie {
            Some(cookie) => request.header(COOKIE, cookie),
            None => request,
        }
    }

    pub fn post(&self, path: &str, fields: &[(&str, &str)]) -> RequestBuilder {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = self.request(Method::POST, path).body(body);
        request.header("content-type", "application/x-www-form-urlencoded")
    }

    pub async fn page(&self, path: &str) -> String {
        self.request(Method::GET, path).send().await.unwrap().text().await.unwrap()
    }

    /// The key that stands in the forms.
    pub async fn key(&self) -> String {
        let page = self.page("/").await;
        let rest = page.split_once("name=\"key\" value=\"").expect("a form with a key").1;
        rest.split_once('"').unwrap().0.to_owned()
    }

    async fn is_signed_in(&self) -> bool {
        self.page("/").await.contains("Sign out")
    }
}

fn pair(answer: &Response) -> String {
    answer.headers()[SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned()
}

pub async fn status(request: RequestBuilder) -> u16 {
    request.send().await.unwrap().status().as_u16()
}

fn asked(rig: &Rig) -> Vec<String> {
    rig.core.lock().unwrap().other.clone()
}

#[tokio::test]
async fn a_cookie_of_a_session_is_out_of_reach_of_scripts_and_other_sites() {
    let rig = Rig::start().await;
    let visitor = Visitor::new(&rig);
    let plain = visitor.post("/login", &[("token", &rig.token)]).send().await.unwrap();
    let set = plain.headers()[SET_COOKIE].to_str().unwrap();
    let (value, flags) = set.split_once(';').unwrap();
    assert_eq!(value.strip_prefix("nudged_session=").unwrap().len(), 64);
    assert_eq!(flags, " Path=/; HttpOnly; SameSite=Strict");
    let request = visitor.post("/login", &[("token", &rig.token)]).header("x-forwarded-proto", "https");
    let secure = request.send().await.unwrap();
    let set = secure.headers()[SET_COOKIE].to_str().unwrap();
    assert!(set.starts_with("__Host-nudged_session=") && set.ends_with("; Secure"), "{set}");
}

#[tokio::test]
async fn a_wrong_token_is_401_with_the_form_again_and_no_cookie() {
    let rig = Rig::start().await;
    let visitor = Visitor::new(&rig);
    let answer = visitor.post("/login", &[("token", "ndg_\"><script>")]).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers().get(SET_COOKIE)), (401, None));
    let page = answer.text().await.unwrap();
    assert!(page.contains("No such token.") && page.contains("name=\"token\""), "{page}");
    assert!(!page.contains("<script>"));
    assert_eq!(status(visitor.post("/login", &[])).await, 422);
    assert_eq!(status(visitor.post("/login", &[("token", "a"), ("token", "b")])).await, 422);
}

#[tokio::test]
async fn wrong_tokens_in_the_form_and_in_the_api_wait_together() {
    let rig = Rig::start().await;
    for _ in 0..3 {
        let request = rig.client.get(rig.url("/v1/links")).bearer_auth("ndg_wrong");
        assert_eq!(status(request).await, 401);
    }
    let visitor = Visitor::new(&rig);
    let slow = tokio::spawn(visitor.post("/login", &[("token", "ndg_wrong")]).send());
    assert!(Visitor::signed_in(&rig).await.is_signed_in().await, "a right one never waits");
    assert!(!slow.is_finished(), "the clock stands still");
    while !slow.is_finished() {
        rig.clock.advance(Duration::from_millis(10));
        tokio::task::yield_now().await;
    }
    assert_eq!(slow.await.unwrap().unwrap().status(), 401);
}

#[tokio::test]
async fn a_form_without_its_key_or_with_that_of_another_session_is_403_and_does_nothing() {
    let rig = Rig::start().await;
    let (one, two) = (Visitor::signed_in(&rig).await, Visitor::signed_in(&rig).await);
    let (own, other) = (one.key().await, two.key().await);
    for path in FORMS {
        for key in [None, Some(""), Some("x"), Some(other.as_str())] {
            let fields: Vec<(&str, &str)> = key.map(|key| ("key", key)).into_iter().collect();
            assert_eq!(status(one.post(path, &fields)).await, 403, "{path} {key:?}");
        }
        assert_eq!(status(one.post(path, &[("key", &own), ("key", &own)])).await, 403, "{path}");
    }
    assert_eq!(asked(&rig), [""; 0]);
    assert!(one.is_signed_in().await, "not signed out either");
    assert_eq!(status(one.post("/page/pause", &[("key", &own)])).await, 303);
    assert_eq!(asked(&rig), ["pause None by crm"]);
}

#[tokio::test]
async fn a_page_of_another_site_changes_nothing_even_with_cookie_and_key() {
    let rig = Rig::start().await;
    let visitor = Visitor::signed_in(&rig).await;
    let key = visitor.key().await;
    let own = format!("http://{}", rig.address);
    for path in FORMS.into_iter().chain(["/login"]) {
        for (name, value) in [
            ("origin", "http://evil.example"),
            ("origin", "null"),
            ("origin", "http://127.0.0.1:1"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            let request = visitor.post(path, &[("key", &key), ("token", &rig.token)]);
            assert_eq!(status(request.header(name, value)).await, 403, "{path} {name}: {value}");
        }
    }
    assert_eq!(asked(&rig), [""; 0]);
    let request = visitor.post("/page/pause", &[("key", &key)]);
    assert_eq!(status(request.header("origin", own).header("sec-fetch-site", "same-origin")).await, 303);
    let request = visitor.post("/page/resume", &[("key", &key)]);
    let request = request.header("origin", "null").header("sec-fetch-site", "same-origin");
    assert_eq!(status(request).await, 303, "a form of a page that sends no referrer");
}

#[tokio::test]
async fn a_page_under_a_foreign_name_is_421_for_whoever_has_signed_in_too() {
    let rig = Rig::start().await;
    let visitor = Visitor::signed_in(&rig).await;
    let key = visitor.key().await;
    let page = visitor.request(Method::GET, "/").header("host", "evil.example");
    assert_eq!(status(page).await, 421);
    let pause = visitor.post("/page/pause", &[("key", &key)]).header("host", "evil.example");
    assert_eq!(status(pause).await, 421);
    assert_eq!(asked(&rig), [""; 0]);
}

#[tokio::test]
async fn a_session_ends_after_half_an_hour_without_a_click_and_updates_are_no_clicks() {
    let rig = Rig::start().await;
    let visitor = Visitor::signed_in(&rig).await;
    let key = visitor.key().await;
    for _ in 0..2 {
        rig.clock.advance(Duration::from_secs(29 * 60));
        assert!(visitor.is_signed_in().await);
    }
    for _ in 0..3 {
        rig.clock.advance(Duration::from_secs(10 * 60));
        let update = visitor.request(Method::GET, "/").header("x-nudged-update", "1");
        assert_eq!(status(update).await, 200);
    }
    assert!(!visitor.is_signed_in().await);
    assert_eq!(status(visitor.post("/page/pause", &[("key", &key)])).await, 401);
    assert_eq!(asked(&rig), [""; 0]);
}

#[tokio::test]
async fn no_session_is_longer_than_twelve_hours() {
    let rig = Rig::start().await;
    let visitor = Visitor::signed_in(&rig).await;
    for _ in 0..(12 * 3 - 1) {
        rig.clock.advance(Duration::from_secs(20 * 60));
        assert!(visitor.is_signed_in().await);
    }
    rig.clock.advance(Duration::from_secs(20 * 60));
    assert!(!visitor.is_signed_in().await);
}

#[tokio::test]
async fn a_revoked_token_ends_its_sessions() {
    let rig = Rig::start().await;
    let visitor = Visitor::signed_in(&rig).await;
    let key = visitor.key().await;
    TokenFile::new(rig.dir.path()).revoke("crm").unwrap();
    rig.clock.advance(Duration::from_secs(1));
    assert_eq!(status(visitor.post("/page/pause", &[("key", &key)])).await, 401);
    assert!(!visitor.is_signed_in().await);
    assert_eq!(asked(&rig), [""; 0]);
}

#[tokio::test]
async fn signing_out_ends_the_session_and_not_only_the_cookie() {
    let rig = Rig::start().await;
    let visitor = Visitor::signed_in(&rig).await;
    let key = visitor.key().await;
    let answer = visitor.post("/logout", &[("key", &key)]).send().await.unwrap();
    assert_eq!(answer.status(), 303);
    assert_eq!(answer.headers()[SET_COOKIE], "nudged_session=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    assert!(!visitor.is_signed_in().await, "the old cookie is worth nothing");
}

#[tokio::test]
async fn signing_in_anew_gives_a_new_cookie_and_ends_the_old_session() {
    let rig = Rig::start().await;
    let mut visitor = Visitor::signed_in(&rig).await;
    let answer = visitor.post("/login", &[("token", &rig.token)]).send().await.unwrap();
    assert_ne!(visitor.cookie, Some(pair(&answer)));
    assert!(!visitor.is_signed_in().await);
    visitor.cookie = Some(pair(&answer));
    assert!(visitor.is_signed_in().await);
}

#[tokio::test]
async fn a_cookie_nobody_was_given_is_nobody() {
    let rig = Rig::start().await;
    let mut visitor = Visitor::new(&rig);
    for cookie in ["nudged_session=", "nudged_session=x", &format!("nudged_session={}", "0".repeat(64))] {
        visitor.cookie = Some(cookie.to_owned());
        assert!(!visitor.is_signed_in().await, "{cookie}");
    }
    let visitor = Visitor::signed_in(&rig).await;
    let bearer = visitor.client.get(rig.url("/v1/links")).header(COOKIE, visitor.cookie.clone().unwrap());
    assert_eq!(status(bearer).await, 401, "a session is no token of the API");
}

#[tokio::test]
async fn each_scope_sees_and_changes_what_it_may() {
    for (scopes, sees_texts, changes) in
        [(&[Scope::Read][..], true, false), (&[Scope::Admin], false, true), (&Scope::ALL, true, true)]
    {
        let rig = Rig::with(scopes, stored(3)).await;
        let visitor = Visitor::signed_in(&rig).await;
        let (page, key) = (visitor.page("/").await, visitor.key().await);
        assert!(page.contains("carrier"), "links are for all of them");
        assert_eq!(page.contains("+4915112345678"), sees_texts, "{scopes:?}");
        assert_eq!(page.contains("Pause all sending"), changes, "{scopes:?}");
        for path in &FORMS[1..] {
            let fields = [
                ("key", key.as_str()),
                ("party", "+4915112345678"),
                ("as", "sent"),
                ("id", ID),
                ("link", "carrier"),
            ];
            let expected = if changes { 303 } else { 403 };
            assert_eq!(status(visitor.post(path, &fields)).await, expected, "{scopes:?} {path}");
        }
        assert_eq!(asked(&rig).len(), if changes { 7 } else { 0 });
        let talk = visitor.request(Method::GET, "/conversations/+4915112345678");
        assert_eq!(status(talk).await, if sees_texts { 200 } else { 403 });
    }
    let rig = Rig::with(&[Scope::Send], Map::default()).await;
    let answer = Visitor::new(&rig).post("/login", &[("token", &rig.token)]).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers().get(SET_COOKIE)), (403, None));
}

const ID: &str = "msg_0000000000001";

#[tokio::test]
async fn no_get_and_no_form_of_another_kind_changes_anything() {
    let rig = Rig::start().await;
    let visitor = Visitor::signed_in(&rig).await;
    let key = visitor.key().await;
    for path in FORMS.into_iter().chain(["/login"]) {
        let path = format!("{path}?key={key}&party=%2B4915112345678&token={}", rig.token);
        assert_eq!(status(visitor.request(Method::GET, &path)).await, 405, "{path}");
    }
    for media in ["text/plain", "application/json", "multipart/form-data; boundary=x"] {
        let request = visitor.request(Method::POST, "/page/pause").body(format!("key={key}"));
        assert_eq!(status(request.header("content-type", media)).await, 415, "{media}");
    }
    let large = "x".repeat(5_000);
    assert_eq!(status(visitor.post("/page/pause", &[("key", &key), ("more", &large)])).await, 413);
    assert_eq!(asked(&rig), [""; 0]);
    assert!(visitor.is_signed_in().await);
}

#[tokio::test]
async fn nothing_of_a_token_or_a_cookie_is_logged() {
    let (log, _second) = (crate::support::Log::default(), crate::support::second_subscriber());
    let guard = log.listen();
    let rig = Rig::start().await;
    let visitor = Visitor::signed_in(&rig).await;
    let key = visitor.key().await;
    status(visitor.post("/login", &[("token", "ndg_canary")])).await;
    status(visitor.post("/page/pause", &[("key", "canary")])).await;
    drop(guard);
    let text = log.text();
    assert!(text.contains("signed_in") && text.contains("form_key_wrong"), "{text}");
    let cookie = visitor.cookie.as_deref().unwrap().split_once('=').unwrap().1;
    for secret in ["canary", &rig.token, cookie, &key] {
        assert!(!text.contains(secret), "{secret} in\n{text}");
    }
}
