//! The modem at its port: one task that reads, lets the device decide, logs, and writes.
//!
//! Invariant: only this task opens and closes the port; everybody else changes the device and wakes it.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::device::{Device, MOST_UNREAD, Plug};
use super::port::{Place, Port, Read};
use crate::clock::{Clock, Now};
use crate::sim::wire::WireLog;

/// Octets read at a time.
const READ: usize = 4 * 1024;
/// Pause after a port that could not be opened, or was refused a read.
const PAUSE: Duration = Duration::from_millis(200);

/// What the task, the control API and the owner of the modem share.
#[derive(Debug)]
pub struct Shared {
    device: Mutex<Device>,
    pub log: WireLog,
    pub clock: Clock,
    pub stop: CancellationToken,
    wake: Notify,
}

/// The port, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plugged {
    In(String),
    Out(String),
    /// It was to be in, and could not.
    Failed(String, String),
}

/// Why the modem ended by itself.
#[derive(Debug)]
enum Ended {
    Stopped,
    /// The wire log could not be written: nothing may be said any more.
    Log(io::Error),
}

#[derive(Debug)]
pub struct Runner {
    shared: Arc<Shared>,
    port: Option<Port>,
    place: Place,
    name: String,
    plugged: watch::Sender<Plugged>,
    unsent: Vec<u8>,
}

impl Shared {
    pub fn new(device: Device, log: WireLog, clock: Clock) -> Shared {
        Shared { device: Mutex::new(device), log, clock, stop: CancellationToken::new(), wake: Notify::new() }
    }

    pub fn lock(&self) -> MutexGuard<'_, Device> {
        self.device.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the device from outside and has its task look.
    pub fn change<T>(&self, change: impl FnOnce(&mut Device, Now) -> T) -> T {
        let changed = change(&mut self.lock(), self.clock.now());
        self.wake.notify_one();
        changed
    }
}

impl Runner {
    pub fn new(shared: Arc<Shared>, port: Port) -> io::Result<(Runner, watch::Receiver<Plugged>)> {
        let (place, name) = (port.place()?, port.name()?);
        let (plugged, watching) = watch::channel(Plugged::In(name.clone()));
        shared.lock().opened(shared.clock.now(), "plugged");
        let runner = Runner { shared, port: Some(port), place, name, plugged, unsent: Vec::new() };
        Ok((runner, watching))
    }

    /// Until it is stopped.
    pub async fn run(mut self) {
        let stop = self.shared.stop.clone();
        let why = match stop.run_until_cancelled(self.serve()).await {
            None => Ended::Stopped,
            Some(why) => why,
        };
        match why {
            Ended::Stopped => tracing::debug!(event = "sim_modem_stopped"),
            Ended::Log(error) => tracing::error!(event = "sim_log_not_written", %error),
        }
    }

    async fn serve(&mut self) -> Ended {
        loop {
            self.read();
            let wake_at = match self.turn() {
                Ok(wake_at) => wake_at,
                Err(error) => return Ended::Log(error),
            };
            self.write();
            let pause = self.follow().await;
            self.wait(pause.or(wake_at)).await;
        }
    }

    /// Everything the client wrote so far.
    fn read(&mut self) {
        let shared = Arc::clone(&self.shared);
        let mut buffer = [0; READ];
        while let Some(port) = self.port.as_mut().filter(|_| self.unsent.len() < MOST_UNREAD) {
            let now = shared.clock.now();
            match port.try_read(&mut buffer) {
                Ok(Read::OctetsOfNew(octets)) => {
                    let mut device = shared.lock();
                    device.stats.clients += 1;
                    device.handle_input(&buffer[..octets], now);
                }
                Ok(Read::Octets(octets)) => shared.lock().handle_input(&buffer[..octets], now),
                Ok(Read::Nothing) => return,
                Ok(Read::Came) => shared.lock().stats.clients += 1,
                Ok(Read::Gone) => {
                    let mut device = shared.lock();
                    device.stats.clients_gone += 1;
                    device.closed();
                    self.unsent.clear();
                }
                Err(e) => {
                    tracing::warn!(event = "sim_port_unreadable", error = %e);
                    return;
                }
            }
        }
    }

    /// Lets the device do what is due, and logs it.
    fn turn(&mut self) -> io::Result<Option<Instant>> {
        let turn = {
            let mut device = self.shared.lock();
            device.turn(self.unsent.len(), self.shared.clock.now())
        };
        self.shared.log.append(&turn.lines)?;
        self.unsent.extend_from_slice(&turn.out);
        Ok(turn.wake_at)
    }

    fn write(&mut self) {
        let Some(port) = self.port.as_ref().filter(|port| port.has_client()) else {
            self.unsent.clear();
            return;
        };
        let mut written = 0;
        while written < self.unsent.len() {
            match port.try_write(&self.unsent[written..]) {
                Ok(0) => break,
                Ok(octets) => written += octets,
                Err(e) => {
                    tracing::debug!(event = "sim_client_lost", error = %e);
                    written = self.unsent.len();
                }
            }
        }
        self.unsent.drain(..written);
    }

    /// Opens or closes the port as the device has it; an instant to try again at where that failed.
    async fn follow(&mut self) -> Option<Instant> {
        let plug = self.shared.lock().plug;
        match (plug, self.port.is_some()) {
            (Plug::Out, true) => {
                self.port = None;
                self.unsent.clear();
                self.plugged.send_replace(Plugged::Out(self.name.clone()));
                None
            }
            (Plug::In, false) => {
                let opened = Port::open(&self.place).await.and_then(|port| Ok((port.name()?, port)));
                match opened {
                    Ok((name, port)) => {
                        self.port = Some(port);
                        self.name.clone_from(&name);
                        self.shared.lock().opened(self.shared.clock.now(), "plugged");
                        self.plugged.send_replace(Plugged::In(name));
                        Some(self.shared.clock.now().mono)
                    }
                    Err(e) => {
                        tracing::warn!(event = "sim_port_not_opened", place = ?self.place, error = %e);
                        self.plugged.send_replace(Plugged::Failed(self.name.clone(), e.to_string()));
                        Some(self.shared.clock.now().mono + PAUSE)
                    }
                }
            }
            _ => None,
        }
    }

    /// Until there is something to read, to write or to do.
    async fn wait(&mut self, wake_at: Option<Instant>) {
        let shared = Arc::clone(&self.shared);
        let unsent = !self.unsent.is_empty();
        let port = async {
            match &mut self.port {
                Some(port) => port.ready(unsent).await,
                None => std::future::pending().await,
            }
        };
        let due = async {
            match wake_at {
                Some(at) => shared.clock.sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let failed = tokio::select! {
            ready = port => ready.err(),
            () = shared.wake.notified() => None,
            () = due => None,
        };
        if let Some(e) = failed {
            tracing::warn!(event = "sim_port_failed", error = %e);
            shared.clock.sleep(PAUSE).await;
        }
    }
}
