//! TCP to an SMSC: every resolved address tried within one deadline, small packets at once, a dead peer noticed.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

use super::session::SmppSession;
use crate::clock::Clock;
use crate::config::Smpp;
use crate::link::run::Connect;
use crate::pace::{Pace, Shared};

/// For resolving and for each address; kernels would try for two minutes.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Unacknowledged bytes for this long end the connection: keepalive alone does not see a peer that dies meanwhile.
const USER_TIMEOUT: Duration = Duration::from_secs(10);
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// Opens the bind of one configured link, as often as the driver asks.
#[derive(Debug)]
pub struct SmppConnect {
    config: Arc<Smpp>,
    /// Of the link and not of a session: a reconnect forgets nothing.
    pace: Pace,
    clock: Clock,
    sessions: u32,
}

impl SmppConnect {
    /// `account`: the pace of all links with this one's `account`.
    pub fn new(config: Smpp, account: &Shared, clock: Clock) -> SmppConnect {
        let pace = account.link(config.rate, clock.now().mono);
        SmppConnect { config: Arc::new(config), pace, clock, sessions: 0 }
    }
}

impl Connect for SmppConnect {
    type Stream = TcpStream;
    type Session = SmppSession;

    async fn connect(&mut self) -> io::Result<(TcpStream, SmppSession)> {
        let stream = open(&self.config.address, &self.clock).await?;
        self.sessions = self.sessions.wrapping_add(1);
        // Tokens of one session never equal those of another.
        let first_token = u64::from(self.sessions) << 32;
        let (config, pace) = (Arc::clone(&self.config), self.pace.clone());
        let session = SmppSession::new(config, pace, first_token, self.clock.now().mono);
        Ok((stream, session))
    }
}

async fn open(address: &str, clock: &Clock) -> io::Result<TcpStream> {
    let resolved = clock.within(CONNECT_LIMIT, tokio::net::lookup_host(address)).await;
    let addresses: Vec<SocketAddr> = resolved.unwrap_or_else(|| Err(timed_out()))?.collect();
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match clock.within(CONNECT_LIMIT, TcpStream::connect(address)).await {
            Some(Ok(stream)) => {
                tune(&stream)?;
                return Ok(stream);
            }
            Some(Err(error)) => failed = error,
            None => failed = timed_out(),
        }
    }
    Err(failed)
}

fn timed_out() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no answer in time")
}

fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))
}
