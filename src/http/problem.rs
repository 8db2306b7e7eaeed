//! What a caller hears when something is not taken: RFC 9457 `application/problem+json`.
//!
//! Every answer that is no success is made here, so that none looks different. `code` is stable and for
//! programs, `detail` and `errors` are for people. A fault of a link or carrier never becomes a problem.

use axum::body::Body;
use axum::http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::engine::{ReadError, Refusal};

/// Seconds a caller is asked to wait when the daemon takes nothing for the moment.
const RETRY_AFTER_SECONDS: &str = "5";

/// One refused field: its name in the request and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldError {
    pub field: String,
    pub why: String,
}

impl FieldError {
    pub fn new(field: impl Into<String>, why: impl Into<String>) -> FieldError {
        FieldError { field: field.into(), why: why.into() }
    }
}

/// What has to be said beside the body.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Beside {
    Nothing,
    RetryAfter,
    Authenticate,
    Allow(HeaderValue),
    /// The request's bytes were not all read, so the connection cannot go on.
    Close,
}

/// One refusal: status, code and words. Made only here, so the code and its status always go together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    errors: Vec<FieldError>,
    beside: Beside,
}

/// Stands in a response's extensions, for the one log line.
#[derive(Clone, Copy, Debug)]
pub struct Code(pub &'static str);

#[derive(Serialize)]
struct Shown<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    code: &'static str,
    detail: &'a str,
    #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
    errors: &'a [FieldError],
}

impl Problem {
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Problem {
        let beside =
            if status == StatusCode::SERVICE_UNAVAILABLE { Beside::RetryAfter } else { Beside::Nothing };
        Problem { status, code, detail: detail.into(), errors: Vec::new(), beside }
    }

    pub fn bad_request(code: &'static str, detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// 422: the request was read and some fields cannot be taken.
    pub fn fields(errors: Vec<FieldError>) -> Problem {
        let names: Vec<&str> = errors.iter().map(|e| e.field.as_str()).collect();
        let detail = format!("refused: {}", names.join(", "));
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "fields_refused", detail).with_errors(errors)
    }

    pub fn field(name: &str, why: impl Into<String>) -> Problem {
        Problem::fields(vec![FieldError::new(name, why)])
    }

    pub fn with_errors(mut self, errors: Vec<FieldError>) -> Problem {
        self.errors = errors;
        self
    }

    pub fn not_found() -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "not_found", "There is nothing under this address.")
    }

    pub fn method(allow: HeaderValue) -> Problem {
        let detail = "This address does not know the method; Allow names those it knows.";
        let mut problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail);
        problem.beside = Beside::Allow(allow);
        problem
    }

    pub fn unauthorized(code: &'static str, detail: &str) -> Problem {
        let mut problem = Problem::new(StatusCode::UNAUTHORIZED, code, detail);
        problem.beside = Beside::Authenticate;
        problem
    }

    /// Like [`Problem::new`], and the connection ends with it.
    pub fn closing(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Problem {
        let mut problem = Problem::new(status, code, detail);
        problem.beside = Beside::Close;
        problem
    }

    /// 503 for a call that may have been taken all the same.
    pub fn not_known(code: &'static str) -> Problem {
        let detail = "No answer came. Whether it was taken is not known: \
             the same request with the same Idempotency-Key tells.";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail)
    }

    pub fn internal() -> Problem {
        let detail = "The daemon made a mistake; its log has more under this X-Request-Id.";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    pub fn status(&self) -> StatusCode {
        self.status
    }

    pub fn title(&self) -> &'static str {
        self.status.canonical_reason().unwrap_or("Problem")
    }

    pub fn detail(&self) -> &str {
        &self.detail
    }

    pub fn errors(&self) -> &[FieldError] {
        &self.errors
    }

    /// The body, as it also stands in a row of a batch.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self.shown()).unwrap_or_default()
    }

    fn shown(&self) -> Shown<'_> {
        Shown {
            r#type: format!("urn:nudged:problem:{}", self.code),
            title: self.title(),
            status: self.status.as_u16(),
            code: self.code,
            detail: &self.detail,
            errors: &self.errors,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self.shown()).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        response.extensions_mut().insert(Code(self.code));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        let (name, value) = match self.beside {
            Beside::Nothing => return response,
            Beside::RetryAfter => (RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS)),
            Beside::Authenticate => (WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"nudged\"")),
            Beside::Allow(methods) => (ALLOW, methods),
            Beside::Close => (CONNECTION, HeaderValue::from_static("close")),
        };
        headers.insert(name, value);
        response
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Problem {
        let detail = refusal.to_string();
        match refusal {
            Refusal::QueueFull => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "queue_full", detail),
            Refusal::DiskLow => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "disk_low", detail),
            Refusal::Stopping => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", detail),
            Refusal::Unanswered => Problem::not_known("unanswered"),
            Refusal::Quarantined(_) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "quarantined", detail),
            Refusal::Duplicate { of } => Problem::new(
                StatusCode::CONFLICT,
                "duplicate",
                format!("{detail}: {of}; allow_duplicate sends it again"),
            ),
            Refusal::KeyReused => {
                let error = FieldError::new("Idempotency-Key", detail.clone());
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "key_reused", detail).with_errors(vec![error])
            }
            Refusal::NoSuchLink => Problem::field("link", detail),
            Refusal::Forgotten => Problem::new(StatusCode::CONFLICT, "forgotten", detail),
            Refusal::NeverValid => Problem::field("valid_until", detail),
            Refusal::TooFar { field } => Problem::field(field, detail),
            Refusal::NotFound => Problem::not_found(),
            Refusal::OptOutsFull => Problem::new(StatusCode::CONFLICT, "opt_outs_full", detail),
            Refusal::State(status) => Problem::new(
                StatusCode::CONFLICT,
                "state_forbids",
                format!("The message is {}.", status.as_str()),
            ),
        }
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Problem {
        tracing::error!(event = "state_unreadable", %error);
        let detail = "The state cannot be read.";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "state_unreadable", detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::MessageId;
    use crate::message::Status;

    #[test]
    fn every_refusal_has_its_status_and_code() {
        for (refusal, status, code) in [
            (Refusal::QueueFull, 503, "queue_full"),
            (Refusal::DiskLow, 503, "disk_low"),
            (Refusal::Stopping, 503, "stopping"),
            (Refusal::Unanswered, 503, "unanswered"),
            (Refusal::Quarantined(String::from("x")), 503, "quarantined"),
            (Refusal::Duplicate { of: MessageId::from_u64(1) }, 409, "duplicate"),
            (Refusal::KeyReused, 422, "key_reused"),
            (Refusal::NoSuchLink, 422, "fields_refused"),
            (Refusal::Forgotten, 409, "forgotten"),
            (Refusal::NeverValid, 422, "fields_refused"),
            (Refusal::TooFar { field: "send_at" }, 422, "fields_refused"),
            (Refusal::NotFound, 404, "not_found"),
            (Refusal::OptOutsFull, 409, "opt_outs_full"),
            (Refusal::State(Status::Sent), 409, "state_forbids"),
        ] {
            let problem = Problem::from(refusal);
            assert_eq!((problem.status.as_u16(), problem.code), (status, code));
            let retry = problem.into_response().headers().contains_key(RETRY_AFTER);
            assert_eq!(retry, status == 503, "{code}");
        }
    }

    #[test]
    fn a_problem_has_the_members_of_rfc_9457_and_ours() {
        let json = Problem::field("to", "must begin with +").to_json();
        assert_eq!(json["type"], "urn:nudged:problem:fields_refused");
        assert_eq!((&json["status"], &json["code"]), (&422.into(), &"fields_refused".into()));
        assert_eq!(json["errors"][0]["field"], "to");
        assert_eq!(json["title"], "Unprocessable Entity");
    }
}
