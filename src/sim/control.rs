//! The simulators' control API over HTTP: what was received, what to do next.
//!
//! | call | does |
//! |---|---|
//! | `GET /received` | the wire log, NDJSON |
//! | `GET /stats` | counts, most in flight included |
//! | `POST /reply {from, to, text}` | a reply to whoever receives |
//! | `POST /receipt {message_id, stat, err?}` | a receipt for a message it took |
//! | `POST /fault {kind, at, status?}` | plans a fault at `N`, `"N%"` or `"N+"`, counted from now |
//! | `POST /hangup` | drops all connections |
//! | `POST /hold`, `POST /release` | leaves messages unanswered; answers them |
//!
//! It has no login: it is for the machine it runs on.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::fault::{BadFault, Fault, Kind};
use super::smsc::center::{BadRequest, Center};

/// Longest request body: a text and two numbers.
const LONGEST_BODY: usize = 64 * 1024;
/// Octets of the wire log read at a time.
const STRETCH: usize = 64 * 1024;

type Body = UnsyncBoxBody<Bytes, io::Error>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reply {
    from: String,
    to: String,
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Receipt {
    message_id: String,
    stat: String,
    #[serde(default = "no_error")]
    err: String,
}

fn no_error() -> String {
    String::from("000")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Planned {
    kind: String,
    at: Value,
    /// The command_status of a `reject`: 69 or "0x45".
    status: Option<Value>,
}

/// A number is as good as its digits in quotes.
fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl Planned {
    fn fault(&self) -> Result<Fault, BadFault> {
        let kind: Kind = self.kind.parse()?;
        let kind = self.status.as_ref().map_or(Ok(kind), |status| kind.with_status(&word(status)))?;
        Ok(Fault { kind, when: word(&self.at).parse()? })
    }
}

#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("no such call")]
    NotFound,
    #[error("body: {0}")]
    Json(#[from] serde_json::Error),
    #[error("body: longer than {LONGEST_BODY} octets, or cut off")]
    Body,
    #[error("{0}")]
    Fault(#[from] BadFault),
    #[error("{0}")]
    Request(#[from] BadRequest),
    #[error("a number has at most 20 characters, a stat and an err at most 16")]
    TooLong,
    #[error("wire log: {0}")]
    Log(#[from] io::Error),
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Refusal::NotFound => StatusCode::NOT_FOUND,
            Refusal::Json(_) | Refusal::Body => StatusCode::BAD_REQUEST,
            Refusal::Fault(_) | Refusal::TooLong => StatusCode::UNPROCESSABLE_ENTITY,
            Refusal::Request(BadRequest::UnknownMessage) => StatusCode::NOT_FOUND,
            Refusal::Request(BadRequest::NobodyToReceive) => StatusCode::CONFLICT,
            Refusal::Request(BadRequest::Text(_)) => StatusCode::UNPROCESSABLE_ENTITY,
            Refusal::Log(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// Serves the control API until the future is dropped; connections end with `stop`.
pub async fn serve(listener: TcpListener, center: Arc<Center>, stop: CancellationToken, tasks: TaskTracker) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let connection = converse(stream, Arc::clone(&center));
                tasks.spawn(stop.clone().run_until_cancelled_owned(connection));
            }
            Err(e) => {
                tracing::warn!(event = "sim_control_accept_failed", error = %e);
                center.clock.sleep(super::smsc::ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn converse(stream: TcpStream, center: Arc<Center>) {
    let service = service_fn(move |request| {
        let center = Arc::clone(&center);
        async move { Ok::<_, Infallible>(respond(request, &center).await) }
    });
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    if let Err(e) = connection.await {
        tracing::debug!(event = "sim_control_broken", error = %e);
    }
}

async fn respond(request: Request<Incoming>, center: &Arc<Center>) -> Response<Body> {
    let mut response = match answer(request, center).await {
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

async fn answer(request: Request<Incoming>, center: &Arc<Center>) -> Result<(&'static str, Body), Refusal> {
    const JSON: &str = "application/json";
    let (parts, body) = request.into_parts();
    let now = center.clock.now();
    let done = match (&parts.method, parts.uri.path()) {
        (&Method::GET, "/received") => return Ok(("application/x-ndjson", received(center)?)),
        (&Method::GET, "/stats") => return Ok((JSON, whole(center.stats()?))),
        (&Method::POST, "/reply") => {
            let reply: Reply = read(body).await?;
            short(&[&reply.from, &reply.to], 20)?;
            let segments = center.reply(&reply.from, &reply.to, &reply.text, now.mono)?;
            serde_json::json!({ "segments": segments })
        }
        (&Method::POST, "/receipt") => {
            let receipt: Receipt = read(body).await?;
            short(&[&receipt.stat, &receipt.err], 16)?;
            center.receipt(&receipt.message_id, &receipt.stat, &receipt.err, now)?;
            serde_json::json!({})
        }
        (&Method::POST, "/fault") => {
            let planned: Planned = read(body).await?;
            center.plan(planned.fault()?)?;
            serde_json::json!({})
        }
        (&Method::POST, "/hangup") => {
            center.hang_up();
            serde_json::json!({})
        }
        (&Method::POST, "/hold") => {
            center.hold();
            serde_json::json!({})
        }
        (&Method::POST, "/release") => {
            center.release();
            serde_json::json!({})
        }
        _ => return Err(Refusal::NotFound),
    };
    Ok((JSON, json(&done)))
}

async fn read<T: DeserializeOwned>(body: Incoming) -> Result<T, Refusal> {
    let body = Limited::new(body, LONGEST_BODY).collect().await.map_err(|_| Refusal::Body)?;
    Ok(serde_json::from_slice(&body.to_bytes())?)
}

fn short(texts: &[&str], most: usize) -> Result<(), Refusal> {
    if texts.iter().all(|text| text.len() <= most) { Ok(()) } else { Err(Refusal::TooLong) }
}

fn json(value: &serde_json::Value) -> Body {
    whole(value.to_string().into_bytes())
}

fn whole(octets: Vec<u8>) -> Body {
    Full::new(Bytes::from(octets)).map_err(|never| match never {}).boxed_unsync()
}

/// The wire log up to this moment, a stretch at a time.
fn received(center: &Arc<Center>) -> io::Result<Body> {
    let end = center.log.as_ref().map_or(Ok(0), |log| log.octets())?;
    let stretches = stream::try_unfold((Arc::clone(center), 0), move |(center, offset)| async move {
        let left = usize::try_from(end - offset).unwrap_or(STRETCH).min(STRETCH);
        let Some(log) = center.log.as_ref().filter(|_| left > 0) else { return Ok(None) };
        let mut stretch = vec![0; left];
        let octets = log.read_at(&mut stretch, offset)?;
        if octets == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        stretch.truncate(octets);
        Ok(Some((Frame::data(Bytes::from(stretch)), (center, offset + octets as u64))))
    });
    Ok(StreamBody::new(stretches).boxed_unsync())
}
