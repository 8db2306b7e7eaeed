//! A bind of a configured link: a TCP connection and a session on it.

use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;

use super::session::SmppSession;
use crate::clock::Clock;
use crate::config::Smpp;
use crate::link::run::Connect;
use crate::link::tcp;
use crate::pace::{Pace, Shared};

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
        let stream = tcp::open(&self.config.address, &self.clock).await?;
        self.sessions = self.sessions.wrapping_add(1);
        // Tokens of one session never equal those of another.
        let first_token = u64::from(self.sessions) << 32;
        let (config, pace) = (Arc::clone(&self.config), self.pace.clone());
        let session = SmppSession::new(config, pace, first_token, self.clock.now().mono);
        Ok((stream, session))
    }
}
