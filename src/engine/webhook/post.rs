//! One post to an endpoint: signed as Standard Webhooks 1.0 says, and what came back.
//!
//! What an endpoint answers is hostile: a bounded piece of it is read, for people only. No redirect is followed
//! and no proxy of the environment is used, so that what is posted goes where the configuration says.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::{Client, StatusCode};
use sha2::Sha256;

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
    client: Client,
    url: String,
    key: SigningKey,
    clock: Clock,
}

impl Poster {
    /// # Errors
    /// The machine refuses something the client needs.
    pub fn new(hook: &Webhook, clock: Clock) -> Result<Poster, std::io::Error> {
        let client = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(IDLE)
            .user_agent(concat!("nudged/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(std::io::Error::other)?;
        Ok(Poster { client, url: hook.url.clone(), key: hook.key.clone(), clock })
    }

    /// Posts `body` under an id that is the same at every try.
    pub async fn post(&self, id: &str, body: Bytes) -> Posted {
        let now = self.clock.now().wall;
        let request = self
            .client
            .post(&self.url)
            .header("content-type", "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", seconds(now))
            .header("webhook-signature", sign(&self.key, id, now, &body))
            .body(body);
        let why = match self.clock.within(WITHIN, request.send()).await {
            Some(Ok(response)) => return self.read(response).await,
            Some(Err(error)) => root_of(&error),
            None => format!("did not answer within {} s", WITHIN.as_secs()),
        };
        Posted::NoAnswer { why }
    }

    async fn read(&self, mut response: reqwest::Response) -> Posted {
        let status = response.status();
        let mut octets = Vec::new();
        let read = async {
            while octets.len() < BODY_READ
                && let Ok(Some(more)) = response.chunk().await
            {
                octets.extend_from_slice(&more);
            }
        };
        if self.clock.within(BODY_WITHIN, read).await.is_none() {
            tracing::debug!(event = "webhook_body_cut", status = status.as_u16());
        }
        octets.truncate(BODY_READ);
        let said = String::from_utf8_lossy(&octets).into_owned();
        match status {
            StatusCode::GONE => Posted::Gone { said },
            status if status.is_success() => Posted::Taken { status: status.as_u16(), said },
            status => Posted::Refused { status: status.as_u16(), said },
        }
    }
}

/// reqwest's own text names the address and leaves out what lies beneath.
fn root_of(error: &reqwest::Error) -> String {
    let mut root: &dyn std::error::Error = error;
    while let Some(beneath) = root.source() {
        root = beneath;
    }
    let root = root.to_string();
    match error.is_connect() {
        true => format!("no connection: {root}"),
        false => format!("no answer: {root}"),
    }
}

fn seconds(at: Timestamp) -> u64 {
    at.as_millis() / 1000
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
    fn what_was_not_taken_says_why() {
        let refused = Posted::Refused { status: 302, said: String::new() };
        assert_eq!(refused.error().unwrap(), "answered 302: redirects are not followed");
        assert_eq!(Posted::Taken { status: 204, said: String::new() }.error(), None);
    }
}
