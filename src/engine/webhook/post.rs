//! One post to an endpoint: signed as Standard Webhooks 1.0 says, and what came back.
//!
//! What an endpoint answers is hostile: a bounded piece of it is read, for people only. No redirect is followed
//! and no proxy of the environment is used, so that what is posted goes where the configuration says; [`tls`] sees
//! to it that it does.

use std::error::Error;
use std::io;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::RETRY_AFTER;
use hyper::{Request, Response, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{self, Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use sha2::Sha256;

use super::tls::{self, Trust};
use super::wait;
use crate::clock::{Clock, Timestamp};
use crate::config::{SigningKey, Webhook};

/// For the answer, its head at least. A receiver that needs longer should take first and work then.
const WITHIN: Duration = Duration::from_secs(10);
/// For the piece of the answer's body that is shown.
const BODY_WITHIN: Duration = Duration::from_secs(2);
/// Octets of an answer that are read.
const BODY_READ: usize = 1024;
/// Connections kept for the next event.
const IDLE: usize = 1;
/// Longer than most endpoints keep one.
const IDLE_FOR: Duration = Duration::from_secs(60);
const USER_AGENT: &str = concat!("nudged/", env!("CARGO_PKG_VERSION"));

/// What an endpoint answered, or that it did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Posted {
    /// 2xx.
    Taken {
        status: u16,
        said: String,
    },
    /// 410: it wants no more.
    Gone {
        said: String,
    },
    /// Any other status.
    Refused {
        status: u16,
        said: String,
        /// How long 429 and 503 ask not to be asked again.
        retry_after: Option<Duration>,
    },
    NoAnswer {
        why: String,
    },
}

impl Posted {
    pub fn status(&self) -> Option<u16> {
        match self {
            Posted::Taken { status, .. } | Posted::Refused { status, .. } => Some(*status),
            Posted::Gone { .. } => Some(StatusCode::GONE.as_u16()),
            Posted::NoAnswer { .. } => None,
        }
    }

    /// The beginning of the answer's body.
    pub fn said(&self) -> &str {
        match self {
            Posted::Taken { said, .. } | Posted::Gone { said } | Posted::Refused { said, .. } => said,
            Posted::NoAnswer { .. } => "",
        }
    }

    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Posted::Refused { retry_after, .. } => *retry_after,
            Posted::Taken { .. } | Posted::Gone { .. } | Posted::NoAnswer { .. } => None,
        }
    }

    /// In words; `None` where it was taken.
    pub fn error(&self) -> Option<String> {
        match self {
            Posted::Taken { .. } => None,
            Posted::Gone { .. } => Some(String::from("answered 410: it wants no more events")),
            Posted::Refused { status: 300..=399, .. } => {
                Some(format!("answered {}: redirects are not followed", self.status().unwrap_or_default()))
            }
            Posted::Refused { status, .. } => Some(format!("answered {status}")),
            Posted::NoAnswer { why } => Some(why.clone()),
        }
    }
}

/// Posts to one endpoint.
#[derive(Clone, Debug)]
pub struct Poster {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    uri: Uri,
    keys: Vec<SigningKey>,
    trust: Trust,
    clock: Clock,
}

impl Poster {
    /// # Errors
    /// What the configuration checked does not hold: the address is none.
    pub fn new(hook: &Webhook, clock: Clock) -> Result<Poster, io::Error> {
        let (config, trust) = tls::client(hook.authorities.as_ref(), clock.clone())?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(IDLE)
            .pool_idle_timeout(IDLE_FOR)
            .build(connector);
        let uri = hook.url.parse().map_err(io::Error::other)?;
        Ok(Poster { client, uri, keys: hook.keys.clone(), trust, clock })
    }

    /// Posts `body` under an id that is the same at every try.
    pub async fn post(&self, id: &str, body: Bytes) -> Posted {
        let now = self.clock.now().wall;
        let request = Request::post(self.uri.clone())
            .header("content-type", "application/json")
            .header("user-agent", USER_AGENT)
            .header("webhook-id", id)
            .header("webhook-timestamp", seconds(now))
            .header("webhook-signature", signatures(&self.keys, id, now, &body))
            .body(Full::new(body));
        let request = match request {
            Ok(request) => request,
            Err(error) => return Posted::NoAnswer { why: format!("no request: {error}") },
        };
        let why = match self.clock.within(WITHIN, self.client.request(request)).await {
            Some(Ok(response)) => return self.read(response).await,
            Some(Err(error)) => self.why(&error),
            None => format!("did not answer within {} s", WITHIN.as_secs()),
        };
        Posted::NoAnswer { why }
    }

    async fn read(&self, response: Response<Incoming>) -> Posted {
        let status = response.status();
        let retry_after = self.asked(&response);
        let (mut octets, mut body) = (Vec::new(), response.into_body());
        let read = async {
            while octets.len() < BODY_READ
                && let Some(Ok(frame)) = body.frame().await
            {
                let room = BODY_READ - octets.len();
                octets.extend(frame.data_ref().into_iter().flatten().take(room));
            }
        };
        if self.clock.within(BODY_WITHIN, read).await.is_none() {
            tracing::debug!(event = "webhook_body_cut", status = status.as_u16());
        }
        let said = String::from_utf8_lossy(&octets).into_owned();
        match status {
            StatusCode::GONE => Posted::Gone { said },
            status if status.is_success() => Posted::Taken { status: status.as_u16(), said },
            status => Posted::Refused { status: status.as_u16(), said, retry_after },
        }
    }

    fn asked(&self, response: &Response<Incoming>) -> Option<Duration> {
        let asks =
            matches!(response.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        let value = response.headers().get(RETRY_AFTER).filter(|_| asks)?;
        wait::asked(value.to_str().ok()?, self.clock.now().wall)
    }

    /// The client's own text leaves out what lies beneath.
    fn why(&self, error: &legacy::Error) -> String {
        let mut root: &(dyn Error + 'static) = error;
        while let Some(beneath) = beneath(root) {
            root = beneath;
        }
        let root = tls::fault(root, self.trust).unwrap_or_else(|| root.to_string());
        match error.is_connect() {
            true => format!("no connection: {root}"),
            false => format!("no answer: {root}"),
        }
    }
}

/// An `io::Error` passes by the error that it wraps.
fn beneath<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

fn seconds(at: Timestamp) -> u64 {
    at.as_millis() / 1000
}

/// One of each key, so that a receiver that knows one of them is content.
fn signatures(keys: &[SigningKey], id: &str, at: Timestamp, body: &[u8]) -> String {
    let signatures: Vec<String> = keys.iter().map(|key| sign(key, id, at, body)).collect();
    signatures.join(" ")
}

/// Standard Webhooks 1.0: `v1,` and the base64 of HMAC-SHA256 over id, time and body, joined by dots.
fn sign(key: &SigningKey, id: &str, at: Timestamp, body: &[u8]) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.expose()) else {
        // HMAC takes keys of any length.
        return String::new();
    };
    mac.update(format!("{id}.{}.", seconds(at)).as_bytes());
    mac.update(body);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_reference_implementation() {
        // The example that the libraries of standard-webhooks test with.
        let key = SigningKey::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let at = Timestamp::from_millis(1_614_265_330_999);
        let signature = sign(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", at, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn while_a_key_is_changed_both_sign_and_the_newest_stands_first() {
        let key = |octet: u8| SigningKey::parse(&format!("whsec_{}", STANDARD.encode([octet; 24]))).unwrap();
        let (new, old) = (key(1), key(2));
        let at = Timestamp::from_millis(1_614_265_330_999);
        let alone = [&new, &old].map(|key| sign(key, "evt_1", at, b"{}"));
        assert_eq!(signatures(&[new, old], "evt_1", at, b"{}"), alone.join(" "));
    }

    #[test]
    fn what_was_not_taken_says_why() {
        let refused = Posted::Refused { status: 302, said: String::new(), retry_after: None };
        assert_eq!(refused.error().unwrap(), "answered 302: redirects are not followed");
        assert_eq!(Posted::Taken { status: 204, said: String::new() }.error(), None);
    }
}
