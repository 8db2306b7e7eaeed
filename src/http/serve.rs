//! The sockets: bind, accept, speak HTTP/1.1, and let go in order.
//!
//! axum's own server has no time-outs, so this loop drives hyper itself. A connection is accepted first
//! and counted then: when all places are taken it is closed at once, so slow clients cost newcomers
//! nothing but a refusal. Each listener has its own places, so an operator on the unix socket gets in
//! while the TCP one is under attack. An error of `accept` (no descriptors left) is waited out.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::MatchedPath;
use axum::http::header::ALLOW;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use hyper::body::Incoming;
use hyper::http::Request;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::guard::{self, Names};
use super::problem::{Code, Problem};
use super::wire::{Trace, Traced};
use super::{App, Peer, page};
use crate::clock::Clock;
use crate::config::{self, Listen};

/// Connections of one listener. Each costs at most a head buffer, a body and a descriptor.
const MAX_CONNECTIONS: usize = 1024;
/// Of these from one address, so that one client alone cannot take all. Not from loopback: there the address
/// tells nothing, and a limit on it would let one local program keep out the others the sooner.
const MAX_PER_ADDRESS: u32 = 512;
/// A head, or the pause before the next one on a kept connection.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
/// Request line and headers.
pub(super) const MAX_HEAD: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;
/// A peer that takes no bytes for this long is gone.
const WRITE_WITHIN: Duration = Duration::from_secs(30);
const REQUEST_WITHIN: Duration = Duration::from_secs(10);
/// A batch is up to 10,000 messages.
const BATCH_WITHIN: Duration = Duration::from_secs(60);
/// A test waits for the endpoint's answer, which has 12 s.
const HOOK_WITHIN: Duration = Duration::from_secs(20);
/// A file of a hundred thousand rows, on a slow line and a slow machine.
const IMPORT_WITHIN: Duration = Duration::from_secs(600);
const AFTER_ACCEPT_ERROR: Duration = Duration::from_millis(50);
const UNIX_SOCKET_MODE: u32 = 0o660;

/// A listener that is bound and not yet served; its `Display` is the address for people.
#[derive(Debug)]
pub struct Bound {
    socket: Socket,
    names: Names,
}

#[derive(Debug)]
enum Socket {
    Tcp(std::net::TcpListener, SocketAddr),
    Unix(std::os::unix::net::UnixListener, PathBuf),
}

impl Bound {
    /// The TCP address, with the port the system chose where the configured one was 0.
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.socket {
            Socket::Tcp(_, address) => Some(*address),
            Socket::Unix(..) => None,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.socket {
            Socket::Tcp(_, address) => write!(f, "http://{address}"),
            Socket::Unix(_, path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Binds every configured listener, or none.
pub fn bind(http: &config::Http) -> io::Result<Vec<Bound>> {
    http.listen.iter().map(|listen| bind_one(listen, http.trusted_proxy)).collect()
}

/// Binds the listeners of payment links; a proxy in front minds the names.
pub fn bind_redirect(redirect: &config::Redirect) -> io::Result<Vec<Bound>> {
    redirect.listen.iter().map(|listen| bind_one(listen, true)).collect()
}

fn bind_one(listen: &Listen, trusted_proxy: bool) -> io::Result<Bound> {
    let named = |e: io::Error, at: &dyn fmt::Display| io::Error::new(e.kind(), format!("{at}: {e}"));
    match listen {
        Listen::Tcp(address) => {
            let listener = std::net::TcpListener::bind(address).map_err(|e| named(e, address))?;
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            let names = match address.ip().is_loopback() && !trusted_proxy {
                true => Names::Loopback,
                false => Names::Any,
            };
            Ok(Bound { socket: Socket::Tcp(listener, address), names })
        }
        Listen::Unix(path) => {
            let listener = bind_unix(path).map_err(|e| named(e, &path.display()))?;
            Ok(Bound { socket: Socket::Unix(listener, path.clone()), names: Names::Any })
        }
    }
}

/// A socket file nobody listens on is left from a crash and is replaced.
fn bind_unix(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    use std::os::unix::net::{UnixListener, UnixStream};
    if let Err(e) = UnixStream::connect(path)
        && e.kind() == io::ErrorKind::ConnectionRefused
    {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(UNIX_SOCKET_MODE))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Serves until `stop`, then takes no new connections, lets requests in flight end within `grace`, and
/// returns. An error means that a bound socket could not be registered with the runtime.
pub async fn serve(bound: Vec<Bound>, app: App, stop: CancellationToken, grace: Duration) -> io::Result<()> {
    let sampled = stop.clone().run_until_cancelled_owned(page::traffic::watch(app.clone()));
    let served = listen(bound, app.clone(), app.router(), stop, grace);
    tokio::join!(served, sampled).0
}

/// The same for the listener of payment links.
pub async fn serve_redirect(
    bound: Vec<Bound>,
    app: App,
    redirect: config::Redirect,
    stop: CancellationToken,
    grace: Duration,
) -> io::Result<()> {
    let router = super::redirect::router(&app, &redirect);
    listen(bound, app, router, stop, grace).await
}

async fn listen(
    bound: Vec<Bound>,
    app: App,
    router: Router,
    stop: CancellationToken,
    grace: Duration,
) -> io::Result<()> {
    let (connections, cut) = (TaskTracker::new(), CancellationToken::new());
    let loops = TaskTracker::new();
    for Bound { socket, names } in bound {
        let door = Door {
            names,
            service: Service { router: router.clone().route_layer(from_fn(note_pattern)), app: app.clone() },
            places: Places::default(),
            stop: stop.clone(),
            cut: cut.clone(),
            connections: connections.clone(),
        };
        match socket {
            Socket::Tcp(listener, _) => {
                loops.spawn(accept_tcp(TcpListener::from_std(listener)?, door));
            }
            Socket::Unix(listener, path) => {
                loops.spawn(accept_unix(UnixListener::from_std(listener)?, path, door));
            }
        }
    }
    loops.close();
    loops.wait().await;
    connections.close();
    if app.clock().within(grace, connections.wait()).await.is_none() {
        tracing::warn!(event = "connections_cut", connections = connections.len());
        cut.cancel();
        connections.wait().await;
    }
    Ok(())
}

/// What every connection of one listener gets.
#[derive(Clone)]
struct Door {
    names: Names,
    service: Service,
    places: Places,
    stop: CancellationToken,
    cut: CancellationToken,
    connections: TaskTracker,
}

async fn accept_tcp(listener: TcpListener, door: Door) {
    while let Some(accepted) = door.stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, from)) => door.admit(stream, Some(from.ip())),
            Err(error) => wait_out(&error, &door).await,
        }
    }
}

async fn accept_unix(listener: UnixListener, path: PathBuf, door: Door) {
    while let Some(accepted) = door.stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, _)) => door.admit(stream, None),
            Err(error) => wait_out(&error, &door).await,
        }
    }
    if let Err(error) = std::fs::remove_file(&path) {
        tracing::warn!(event = "socket_file_left", %error);
    }
}

async fn wait_out(error: &io::Error, door: &Door) {
    tracing::warn!(event = "accept_failed", %error);
    door.service.app.clock().sleep(AFTER_ACCEPT_ERROR).await;
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    fn prepare(&self) -> io::Result<()>;
}

impl Stream for TcpStream {
    fn prepare(&self) -> io::Result<()> {
        self.set_nodelay(true)?;
        socket2::SockRef::from(self).set_tcp_user_timeout(Some(WRITE_WITHIN))
    }
}

impl Stream for tokio::net::UnixStream {
    fn prepare(&self) -> io::Result<()> {
        Ok(())
    }
}

impl Door {
    /// Dropping the stream closes it: that is what a newcomer without a place hears.
    fn admit<S: Stream>(&self, stream: S, from: Option<IpAddr>) {
        let Some(place) = self.places.take(from) else {
            tracing::debug!(event = "connection_refused", ?from);
            return;
        };
        if let Err(error) = stream.prepare() {
            tracing::debug!(event = "connection_not_served", %error);
            return;
        }
        let door = self.clone();
        self.connections.spawn(async move {
            door.converse(stream, Peer { address: from }).await;
            drop(place);
        });
    }

    async fn converse<S: Stream>(self, stream: S, peer: Peer) {
        let (stream, trace) = Traced::new(stream);
        let (service, names) = (self.service, self.names);
        let answer = service_fn(move |request| {
            let (service, trace) = (service.clone(), trace.clone());
            async move { Ok::<_, Infallible>(service.answer(request, peer, names, &trace).await) }
        });
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_WITHIN)
            .max_buf_size(MAX_HEAD)
            .max_headers(MAX_HEADERS)
            // No pipeline_flush: with bytes left over, it closes before the last answer is written.
            .keep_alive(true);
        let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), answer));
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = connection.as_mut() => ended,
                    () = self.cut.cancelled() => Ok(()),
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(event = "connection_broken", %error);
        }
    }
}

/// Counts connections, in all and by address.
#[derive(Clone, Debug, Default)]
struct Places(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_address: HashMap<IpAddr, u32>,
}

/// Given back when dropped.
#[derive(Debug)]
struct Place {
    places: Places,
    /// The address it counts for, where one has a limit.
    from: Option<IpAddr>,
}

impl Places {
    fn take(&self, from: Option<IpAddr>) -> Option<Place> {
        let from = from.filter(|address| !address.to_canonical().is_loopback());
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.all >= MAX_CONNECTIONS {
            return None;
        }
        if let Some(address) = from {
            let count = taken.by_address.entry(address).or_default();
            if *count >= MAX_PER_ADDRESS {
                return None;
            }
            *count += 1;
        }
        taken.all += 1;
        Some(Place { places: self.clone(), from })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= 1;
        let Some(address) = self.from else { return };
        if let Some(count) = taken.by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                taken.by_address.remove(&address);
            }
        }
    }
}

#[derive(Clone)]
struct Service {
    router: Router,
    app: App,
}

impl Service {
    /// One request to one answer, whatever happens inside.
    async fn answer(&self, request: Request<Incoming>, peer: Peer, names: Names, trace: &Trace) -> Response {
        let clock = self.app.clock();
        let began = clock.now().mono;
        let (method, pattern) = (request.method().clone(), Pattern::default());
        let mut response = match guard::check(&request, names, trace) {
            Ok(()) => self.call(request, peer, pattern.clone(), clock).await,
            Err(problem) => problem.into_response(),
        };
        let id = next_request_id();
        // A probe that hears "not ready" is no refused request.
        if let Some(Code(code)) = response.extensions().get().copied() {
            let took = clock.now().mono.saturating_duration_since(began);
            log_refused(code, response.status(), &id, &method, &pattern, took);
        }
        guard::finish(&mut response, id);
        response
    }

    async fn call(
        &self,
        request: Request<Incoming>,
        peer: Peer,
        pattern: Pattern,
        clock: &Clock,
    ) -> Response {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(pattern);
        let limit = match request.uri().path() {
            "/v1/messages/batch" | "/v1/simulate" => BATCH_WITHIN,
            path if path.starts_with("/v1/templates/") => BATCH_WITHIN,
            "/v1/events" => super::events::WAIT_MOST + REQUEST_WITHIN,
            path if path.starts_with("/v1/webhooks/") => HOOK_WITHIN,
            path if path.starts_with("/v1/imports") || path == "/page/imports" => IMPORT_WITHIN,
            _ => REQUEST_WITHIN,
        };
        let called = AssertUnwindSafe(self.router.clone().oneshot(request)).catch_unwind();
        match clock.within(limit, called).await {
            Some(Ok(Ok(response))) => shape(response),
            Some(Ok(Err(never))) => match never {},
            Some(Err(_)) => Problem::internal().into_response(),
            None => Problem::not_known("deadline").into_response(),
        }
    }
}

/// axum answers a wrong method without a body; ours says so like everything else.
fn shape(response: Response) -> Response {
    let plain = response.extensions().get::<Code>().is_none();
    if response.status() != StatusCode::METHOD_NOT_ALLOWED || !plain {
        return response;
    }
    let allow = response.headers().get(ALLOW).cloned();
    Problem::method(allow.unwrap_or(HeaderValue::from_static(""))).into_response()
}

/// The route a request met, as the router has it (`/v1/messages/{id}`); empty while it has met none. It is
/// kept beside the request, so that a call that never answers has one too.
#[derive(Clone, Default)]
struct Pattern(Arc<OnceLock<MatchedPath>>);

async fn note_pattern(request: axum::extract::Request, next: Next) -> Response {
    let (pattern, matched) =
        (request.extensions().get::<Pattern>(), request.extensions().get::<MatchedPath>());
    if let (Some(Pattern(pattern)), Some(matched)) = (pattern, matched) {
        pattern.get_or_init(|| matched.clone());
    }
    next.run(request).await
}

/// One line a refused request. Of its address only the pattern: what the caller wrote may hold a number.
fn log_refused(
    code: &str,
    status: StatusCode,
    id: &HeaderValue,
    method: &Method,
    pattern: &Pattern,
    took: Duration,
) {
    let path = pattern.0.get().map_or("", MatchedPath::as_str);
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let (status, id) = (status.as_u16(), id.to_str().unwrap_or_default());
    if status >= 500 {
        tracing::warn!(event = "request_failed", id, %method, ?path, status, code, took_ms);
    } else {
        tracing::info!(event = "request_refused", id, %method, ?path, status, code, took_ms);
    }
}

/// Unique while the daemon runs, and unlikely to meet one of an earlier run.
fn next_request_id() -> HeaderValue {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    static RUN: OnceLock<u32> = OnceLock::new();
    let run = RUN.get_or_init(|| getrandom::u32().unwrap_or(std::process::id()));
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    HeaderValue::from_str(&format!("req_{run:08x}{n:08x}")).unwrap_or(HeaderValue::from_static("req_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_all_places_and_gives_back_what_it_took() {
        let places = Places::default();
        let one = Some(IpAddr::from([10, 0, 0, 1]));
        let mut held: Vec<Place> = (0..MAX_PER_ADDRESS).map(|_| places.take(one).unwrap()).collect();
        assert!(places.take(one).is_none());
        assert!(places.take(Some(IpAddr::from([10, 0, 0, 2]))).is_some());
        held.pop();
        assert!(places.take(one).is_some());
        drop(held);
        let taken = places.0.lock().unwrap();
        assert_eq!((taken.all, taken.by_address.len()), (0, 0));
    }

    #[test]
    fn the_programs_of_this_machine_share_one_address_and_all_places() {
        let local = Some(IpAddr::from([127, 0, 0, 1]));
        let mapped = Some("::ffff:127.0.0.1".parse().unwrap());
        let places = Places::default();
        let mut held: Vec<Place> = (1..MAX_CONNECTIONS).map(|_| places.take(local).unwrap()).collect();
        held.push(places.take(mapped).unwrap());
        assert!(places.take(local).is_none(), "all are bounded all the same");
        drop(held);
        assert_eq!(places.0.lock().unwrap().all, 0);
    }

    #[test]
    fn all_places_are_bounded() {
        let places = Places::default();
        let held: Vec<Place> = (0..MAX_CONNECTIONS).map(|_| places.take(None).unwrap()).collect();
        assert!(places.take(None).is_none());
        drop(held);
        assert!(places.take(None).is_some());
    }

    #[tokio::test]
    async fn a_socket_file_left_by_a_crash_is_replaced_and_a_live_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("http.sock");
        drop(bind_unix(&path).unwrap());
        let live = bind_unix(&path).unwrap();
        assert_eq!(bind_unix(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, UNIX_SOCKET_MODE);
        drop(live);
    }
}
