//! Login sessions of the status page: a cookie stands for a token that was shown once.
//!
//! A cookie is 256 random bits, kept here only as their digest, in memory, so a new start of the daemon ends
//! every session. What a session may do is asked of the token list each time: a revoked token ends it at
//! once. Each form of the page carries a key derived from the cookie, which another site's page cannot know.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::auth::{self, Holder, Scope, Tokens};
use super::problem::Problem;
use crate::clock::Clock;
use crate::message::TokenName;

/// Without a click for this long, somebody else may sit there.
const IDLE: Duration = Duration::from_secs(30 * 60);
/// A working day, whatever is clicked.
const LONGEST: Duration = Duration::from_secs(12 * 3600);
/// More people do not watch one gateway; beyond it the one idle longest goes.
const MAX_SESSIONS: usize = 256;
const COOKIE_BYTES: usize = 32;
const PLAIN: &str = "nudged_session";
/// Browsers take this name only with Secure and Path=/, and from no other host.
const SECURE: &str = "__Host-nudged_session";
/// What sets the form key apart from the digest a session is found by.
const FORM_KEY: &[u8] = b"nudged form key";

/// All sessions there are.
#[derive(Debug)]
pub struct Sessions {
    clock: Clock,
    live: Mutex<HashMap<[u8; 32], Session>>,
}

#[derive(Debug)]
struct Session {
    holder: Holder,
    began: Instant,
    used: Instant,
}

/// Somebody who is signed in, for one request.
#[derive(Clone, Debug)]
pub struct Signed {
    pub name: TokenName,
    scopes: Vec<Scope>,
    /// Stands in every form of the page.
    pub form_key: String,
}

/// Whether a request is a person's doing, which keeps a session alive, or the page's own update, which
/// does not: else a forgotten window would never be signed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    Person,
    Update,
}

impl Signed {
    /// Numbers and texts.
    pub fn reads(&self) -> bool {
        self.scopes.contains(&Scope::Read)
    }

    pub fn changes(&self) -> bool {
        self.scopes.contains(&Scope::Admin)
    }

    pub fn need(&self, scope: Scope) -> Result<(), Problem> {
        match self.scopes.contains(&scope) {
            true => Ok(()),
            false => Err(auth::scope_missing(&self.name, scope)),
        }
    }

    /// That a form came from a page of this session.
    pub fn check_form(&self, key: Option<&str>) -> Result<(), Problem> {
        let given = key.unwrap_or_default().as_bytes();
        if bool::from(self.form_key.as_bytes().ct_eq(given)) {
            return Ok(());
        }
        let detail = "This form is from another session: load the page anew.";
        Err(Problem::new(StatusCode::FORBIDDEN, "form_key_wrong", detail))
    }
}

impl Sessions {
    pub fn new(clock: Clock) -> Sessions {
        Sessions { clock, live: Mutex::default() }
    }

    /// Begins a session and gives the header that tells the browser of it.
    pub fn begin(&self, holder: Holder, headers: &HeaderMap) -> Result<HeaderValue, Problem> {
        let mut bits = [0u8; COOKIE_BYTES];
        getrandom::fill(&mut bits).map_err(|error| {
            tracing::error!(event = "no_randomness", %error);
            Problem::internal()
        })?;
        let cookie = auth::hex(&bits);
        let now = self.clock.now().mono;
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.retain(|_, session| session.is_alive(now));
        if live.len() >= MAX_SESSIONS {
            let idlest = live.iter().min_by_key(|(_, session)| session.used).map(|(digest, _)| *digest);
            idlest.and_then(|digest| live.remove(&digest));
        }
        live.insert(digest(&cookie), Session { holder, began: now, used: now });
        Ok(set_cookie(headers, &cookie, ""))
    }

    /// Ends the session of this request, if it has one, and gives the header that makes the browser forget.
    pub fn end(&self, headers: &HeaderMap) -> HeaderValue {
        if let Some(cookie) = cookie(headers) {
            self.live.lock().unwrap_or_else(PoisonError::into_inner).remove(&digest(cookie));
        }
        set_cookie(headers, "", "; Max-Age=0")
    }

    /// Who is signed in, as the token list says now.
    pub fn find(&self, headers: &HeaderMap, tokens: &Tokens, doing: Doing) -> Option<Signed> {
        let cookie = cookie(headers)?;
        let key = digest(cookie);
        let holder = self.holder(&key, doing)?;
        let Some(scopes) = tokens.scopes_of(&holder) else {
            self.live.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
            return None;
        };
        Some(Signed { name: holder.name, scopes, form_key: form_key(cookie) })
    }

    fn holder(&self, key: &[u8; 32], doing: Doing) -> Option<Holder> {
        let now = self.clock.now().mono;
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let session = live.get_mut(key)?;
        if !session.is_alive(now) {
            live.remove(key);
            return None;
        }
        if doing == Doing::Person {
            session.used = now;
        }
        Some(session.holder.clone())
    }
}

impl Session {
    fn is_alive(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.used) < IDLE && now.saturating_duration_since(self.began) < LONGEST
    }
}

fn digest(cookie: &str) -> [u8; 32] {
    Sha256::digest(cookie.as_bytes()).into()
}

fn form_key(cookie: &str) -> String {
    let mut hash = Sha256::new_with_prefix(FORM_KEY);
    hash.update(cookie.as_bytes());
    auth::hex(&hash.finalize())
}

/// A proxy that speaks TLS says so. Who says it falsely spoils only a session of his own.
fn is_secure(headers: &HeaderMap) -> bool {
    headers.get("x-forwarded-proto").is_some_and(|proto| proto == "https")
}

fn set_cookie(headers: &HeaderMap, value: &str, more: &str) -> HeaderValue {
    let (name, secure) = if is_secure(headers) { (SECURE, "; Secure") } else { (PLAIN, "") };
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{more}");
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
}

/// The one cookie of ours. Two are no cookie: another program of this host may have planted one of them.
fn cookie(headers: &HeaderMap) -> Option<&str> {
    let name = if is_secure(headers) { SECURE } else { PLAIN };
    let all = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = all.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut ours = pairs.filter(|(n, _)| *n == name).map(|(_, value)| value);
    match (ours.next(), ours.next()) {
        (Some(value), None) => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::http::auth::TokenFile;

    struct Rig {
        clock: Clock,
        file: TokenFile,
        tokens: Tokens,
        sessions: Sessions,
        token: String,
        _dir: tempfile::TempDir,
    }

    impl Rig {
        fn new() -> Rig {
            let dir = tempfile::tempdir().unwrap();
            let (file, clock) = (TokenFile::new(dir.path()), Clock::manual(Timestamp::MIN));
            let token = file.add("crm", &[Scope::Read], Timestamp::MIN).unwrap();
            let tokens = Tokens::new(file.clone(), clock.clone());
            let sessions = Sessions::new(clock.clone());
            Rig { clock, file, tokens, sessions, token, _dir: dir }
        }

        /// The headers a browser sends after it has signed in.
        async fn sign_in(&self) -> HeaderMap {
            let (holder, _) = self.tokens.look_up(&self.token, None).await.unwrap();
            let set = self.sessions.begin(holder, &HeaderMap::new()).unwrap();
            let pair = set.to_str().unwrap().split(';').next().unwrap().to_owned();
            HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(&pair).unwrap())])
        }

        fn find(&self, headers: &HeaderMap, doing: Doing) -> Option<Signed> {
            self.sessions.find(headers, &self.tokens, doing)
        }
    }

    #[tokio::test]
    async fn what_a_person_does_keeps_a_session_alive_and_what_the_page_does_by_itself_does_not() {
        let rig = Rig::new();
        let headers = rig.sign_in().await;
        let almost = IDLE - Duration::from_secs(1);
        for _ in 0..3 {
            rig.clock.advance(almost);
            assert!(rig.find(&headers, Doing::Person).is_some());
        }
        rig.clock.advance(almost);
        assert!(rig.find(&headers, Doing::Update).is_some());
        rig.clock.advance(Duration::from_secs(1));
        assert!(rig.find(&headers, Doing::Update).is_none());
        assert!(rig.find(&headers, Doing::Person).is_none(), "over is over");
    }

    #[tokio::test]
    async fn no_session_outlives_half_a_day() {
        let rig = Rig::new();
        let headers = rig.sign_in().await;
        let step = IDLE / 2;
        for _ in 0..(LONGEST.as_secs() / step.as_secs() - 1) {
            rig.clock.advance(step);
            assert!(rig.find(&headers, Doing::Person).is_some());
        }
        rig.clock.advance(step);
        assert!(rig.find(&headers, Doing::Person).is_none());
    }

    #[tokio::test]
    async fn a_session_ends_with_its_token_even_if_another_takes_its_name() {
        let rig = Rig::new();
        let headers = rig.sign_in().await;
        rig.file.revoke("crm").unwrap();
        rig.file.add("crm", &Scope::ALL, Timestamp::MIN).unwrap();
        rig.clock.advance(Duration::from_secs(1));
        assert!(rig.find(&headers, Doing::Person).is_none());
    }

    #[tokio::test]
    async fn a_key_is_of_one_session_only() {
        let rig = Rig::new();
        let (one, two) = (rig.sign_in().await, rig.sign_in().await);
        let (one, two) = (rig.find(&one, Doing::Person).unwrap(), rig.find(&two, Doing::Person).unwrap());
        assert!(one.check_form(Some(&one.form_key)).is_ok());
        for wrong in [None, Some(""), Some(two.form_key.as_str())] {
            assert_eq!(one.check_form(wrong).unwrap_err().status(), 403, "{wrong:?}");
        }
    }

    #[tokio::test]
    async fn sessions_are_bounded_and_the_idlest_goes_first() {
        let rig = Rig::new();
        let mut all = Vec::new();
        for _ in 0..MAX_SESSIONS {
            all.push(rig.sign_in().await);
            rig.clock.advance(Duration::from_secs(1));
        }
        assert!(rig.find(&all[0], Doing::Person).is_some(), "used last");
        rig.sign_in().await;
        assert_eq!(rig.sessions.live.lock().unwrap().len(), MAX_SESSIONS);
        assert!(rig.find(&all[0], Doing::Person).is_some());
        assert!(rig.find(&all[1], Doing::Person).is_none());
    }

    #[test]
    fn a_planted_second_cookie_is_no_cookie_and_the_secure_name_goes_with_tls_alone() {
        let with = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(*name, HeaderValue::from_static(value));
            }
            cookie(&headers).map(ToOwned::to_owned)
        };
        assert_eq!(with(&[("cookie", "a=b; nudged_session=x; c=d")]).as_deref(), Some("x"));
        assert_eq!(with(&[("cookie", "nudged_session=x; nudged_session=y")]), None);
        assert_eq!(with(&[("cookie", "nudged_session=x"), ("cookie", "nudged_session=y")]), None);
        assert_eq!(with(&[("cookie", "__Host-nudged_session=x")]), None);
        let https = ("x-forwarded-proto", "https");
        assert_eq!(with(&[https, ("cookie", "__Host-nudged_session=x")]).as_deref(), Some("x"));
        assert_eq!(with(&[https, ("cookie", "nudged_session=x")]), None);
        let headers = HeaderMap::from_iter([(
            axum::http::HeaderName::from_static("x-forwarded-proto"),
            HeaderValue::from_static("https"),
        )]);
        let set = set_cookie(&headers, "x", "");
        assert_eq!(set, "__Host-nudged_session=x; Path=/; HttpOnly; SameSite=Strict; Secure");
    }
}
