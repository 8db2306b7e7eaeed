//! TCP to a peer: every resolved address tried within one deadline, small packets at once, a dead peer noticed.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

use crate::clock::Clock;

/// For resolving and for each address; kernels would try for two minutes.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Unacknowledged bytes for this long end the connection: keepalive alone does not see a peer that dies meanwhile.
const USER_TIMEOUT: Duration = Duration::from_secs(10);
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// Connects to `host:port`, resolved now.
pub async fn open(address: &str, clock: &Clock) -> io::Result<TcpStream> {
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
