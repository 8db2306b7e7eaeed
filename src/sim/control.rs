//! The simulators' control API over HTTP: what was received, what to do next.
//!
//! | call | of | does |
//! |---|---|---|
//! | `GET /received` | both | the wire log, NDJSON |
//! | `GET /stats` | both | counts, most in flight included |
//! | `POST /reply {from, text, to?}` | both | a reply to whoever receives; `to` is the SMSC's |
//! | `POST /receipt` | SMSC `{message_id, stat, err?}`, modem `{reference, status?}` | a receipt for a message it took |
//! | `POST /fault {kind, at, status?, after?}` | both | plans a fault at `N`, `"N%"` or `"N+"`, counted from now |
//! | `POST /hangup` | both | drops all connections; a modem's port is gone until plugged |
//! | `POST /hold`, `POST /release` | SMSC | leaves messages unanswered; answers them |
//! | `POST /plug` | modem | the port comes back |
//! | `POST /deliver {pdu}` | modem | a TPDU of the network's, whatever it holds, in hexadecimal without its SCA |
//! | `POST /fill {storage}` | modem | old messages in every free slot |
//! | `POST /network {registration?, signal?}` | modem | what +CREG and +CSQ say from now on |
//!
//! It has no login: it is for the machine it runs on.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::fault::{BadFault, Fault, Kind};
use super::wire::WireLog;
use crate::clock::Clock;

/// Longest request body: a text and two numbers.
const LONGEST_BODY: usize = 64 * 1024;
/// Octets of the wire log read at a time.
const STRETCH: usize = 64 * 1024;
/// Pause after a failed accept, so that running out of file descriptors does not spin.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A simulator as the control API sees it.
pub trait Controlled: Send + Sync + 'static {
    fn clock(&self) -> &Clock;
    fn log(&self) -> Option<&WireLog>;
    /// The counts as JSON.
    fn stats(&self) -> serde_json::Result<Vec<u8>>;
    fn plan(&self, fault: Fault) -> Result<(), BadFault>;
    fn hang_up(&self);
    /// What only this simulator does: the answer's body, or [`Refusal::NotFound`].
    fn post(&self, call: &str, body: &[u8]) -> Result<Value, Refusal>;
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Planned {
    kind: String,
    at: Value,
    /// The command_status or CMS error of a `reject`: 69 or "0x45".
    status: Option<Value>,
    /// Seconds that a `late` answer is late.
    after: Option<f64>,
}

/// A number is as good as its digits in quotes.
fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl Planned {
    fn fault(&self) -> Result<Fault, BadFault> {
        let kind: Kind = self.kind.parse()?;
        let kind = self.status.as_ref().map_or(Ok(kind), |status| kind.with_status(&word(status)))?;
        let kind = self.after.map_or(Ok(kind), |seconds| {
            kind.with_delay(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
        })?;
        Ok(Fault { kind, when: word(&self.at).parse()? })
    }
}

/// Why a call is refused.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("no such call")]
    NotFound,
    #[error("body: {0}")]
    Json(#[from] serde_json::Error),
    #[error("body: longer than {LONGEST_BODY} octets, or cut off")]
    Body,
    #[error("{0}")]
    Fault(#[from] BadFault),
    /// What it names is not there.
    #[error("{0}")]
    Unknown(String),
    /// It cannot be done as things are.
    #[error("{0}")]
    Conflict(String),
    /// What it says cannot be written.
    #[error("{0}")]
    Unwritable(String),
    #[error("wire log: {0}")]
    Log(#[from] io::Error),
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Refusal::NotFound | Refusal::Unknown(_) => StatusCode::NOT_FOUND,
            Refusal::Json(_) | Refusal::Body => StatusCode::BAD_REQUEST,
            Refusal::Fault(_) | Refusal::Unwritable(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Refusal::Conflict(_) => StatusCode::CONFLICT,
            Refusal::Log(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// Serves the control API until the future is dropped; connections end with `stop`.
pub async fn serve(
    listener: TcpListener,
    subject: Arc<dyn Controlled>,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let connection = converse(stream, Arc::clone(&subject));
                tasks.spawn(stop.clone().run_until_cancelled_owned(connection));
            }
            Err(e) => {
                tracing::warn!(event = "sim_control_accept_failed", error = %e);
                subject.clock().sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn converse(stream: TcpStream, subject: Arc<dyn Controlled>) {
    let service = service_fn(move |request| {
        let subject = Arc::clone(&subject);
        async move { Ok::<_, Infallible>(respond(request, &subject).await) }
    });
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    if let Err(e) = connection.await {
        tracing::debug!(event = "sim_control_broken", error = %e);
    }
}

async fn respond(request: Request<Incoming>, subject: &Arc<dyn Controlled>) -> Response<Body> {
    let mut response = match answer(request, subject).await {
        Ok((kind, body)) => {
            let mut response = Response::new(body);
            response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
            response
        }
        Err(why) => {
            let mut response = Response::new(json(&serde_json::json!({ "error": why.to_string() })));
            *response.status_mut() = why.status();
            response
        }
    };
    let no_store = header::HeaderValue::from_static("no-store");
    response.headers_mut().insert(header::CACHE_CONTROL, no_store);
    response
}

async fn answer(
    request: Request<Incoming>,
    subject: &Arc<dyn Controlled>,
) -> Result<(&'static str, Body), Refusal> {
    const JSON: &str = "application/json";
    let (parts, body) = request.into_parts();
    match (&parts.method, parts.uri.path()) {
        (&Method::GET, "/received") => Ok(("application/x-ndjson", received(subject)?)),
        (&Method::GET, "/stats") => Ok((JSON, whole(subject.stats()?))),
        (&Method::POST, "/fault") => {
            let planned: Planned = serde_json::from_slice(&read(body).await?)?;
            subject.plan(planned.fault()?)?;
            Ok((JSON, json(&serde_json::json!({}))))
        }
        (&Method::POST, "/hangup") => {
            subject.hang_up();
            Ok((JSON, json(&serde_json::json!({}))))
        }
        (&Method::POST, call) => Ok((JSON, json(&subject.post(call, &read(body).await?)?))),
        _ => Err(Refusal::NotFound),
    }
}

async fn read(body: Incoming) -> Result<Bytes, Refusal> {
    let body = Limited::new(body, LONGEST_BODY).collect().await.map_err(|_| Refusal::Body)?;
    Ok(body.to_bytes())
}

fn json(value: &serde_json::Value) -> Body {
    whole(value.to_string().into_bytes())
}

fn whole(octets: Vec<u8>) -> Body {
    Full::new(Bytes::from(octets)).map_err(|never| match never {}).boxed_unsync()
}

/// The wire log up to this moment, a stretch at a time.
fn received(subject: &Arc<dyn Controlled>) -> io::Result<Body> {
    let end = subject.log().map_or(Ok(0), |log| log.octets())?;
    let stretches = stream::try_unfold((Arc::clone(subject), 0), move |(subject, offset)| async move {
        let left = usize::try_from(end - offset).unwrap_or(STRETCH).min(STRETCH);
        let Some(log) = subject.log().filter(|_| left > 0) else { return Ok(None) };
        let mut stretch = vec![0; left];
        let octets = log.read_at(&mut stretch, offset)?;
        if octets == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        stretch.truncate(octets);
        Ok(Some((Frame::data(Bytes::from(stretch)), (subject, offset + octets as u64))))
    });
    Ok(StreamBody::new(stretches).boxed_unsync())
}
