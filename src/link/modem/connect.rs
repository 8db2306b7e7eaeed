//! A modem as configured: its port, opened whenever it is there, and a session on it.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::carried::Carried;
use super::pin::PinLedger;
use super::port::{Opener, PortStream};
use super::session::ModemSession;
use crate::clock::Clock;
use crate::config::Modem;
use crate::link::run::Connect;
use crate::pace::{Pace, Shared};

/// Opens one configured modem, as often as the driver asks.
pub struct ModemConnect {
    config: Arc<Modem>,
    opener: Opener,
    /// Of the link and not of a session, as what is carried: a modem plugged in again earns nothing.
    pace: Pace,
    carried: Carried,
    clock: Clock,
    sessions: u32,
}

impl ModemConnect {
    /// Which PINs were entered is kept in `modem-NAME.pin` below `state_dir`.
    ///
    /// # Errors
    /// Those of reading that file: without it a PIN might be entered once too often.
    pub fn new(config: Modem, state_dir: &Path, clock: Clock) -> io::Result<ModemConnect> {
        let pins = PinLedger::open(Some(state_dir.join(format!("modem-{}.pin", config.name))))?;
        let now = clock.now().mono;
        let pace = Shared::new(now).link(config.rate, now);
        let opener = Opener::new(config.port.clone(), config.baud, clock.clone());
        let (config, carried) = (Arc::new(config), Carried::new(pins));
        Ok(ModemConnect { config, opener, pace, carried, clock, sessions: 0 })
    }
}

impl Connect for ModemConnect {
    type Stream = PortStream;
    type Session = ModemSession;

    async fn connect(&mut self) -> io::Result<(PortStream, ModemSession)> {
        let stream = self.opener.open().await?;
        self.sessions = self.sessions.wrapping_add(1);
        // Tokens of one session never equal those of another.
        let first_token = u64::from(self.sessions) << 32;
        let (config, pace, carried) = (Arc::clone(&self.config), self.pace.clone(), self.carried.clone());
        let session = ModemSession::new(config, pace, carried, first_token, self.clock.now().mono);
        Ok((stream, session))
    }

    async fn changed(&mut self) {
        self.opener.changed().await;
    }

    fn longest_wait(&self) -> Duration {
        self.opener.longest_wait()
    }
}
