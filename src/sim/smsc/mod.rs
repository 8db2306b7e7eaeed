//! The simulated SMSC: SMPP 3.4 for any client, with faults, receipts, replies and a wire log.
//!
//! Messages are taken by submit_sm and data_sm, answered after a delay of choice and delivered at once: all
//! that is left of them is a line in the wire log and, where asked for, a receipt. [`Smsc`] is the same for
//! the command line, the demo and the tests.
//!
//! | file | holds |
//! |---|---|
//! | `pdu` | frames and bodies |
//! | `text` | alphabets |
//! | `conn`, `answers` | one connection, and what it owes |
//! | `center` | what connections share |
//! | `calls` | what the control API asks of it |
//! | `mail`, `receipt` | deliver_sm on their way, kept until they are taken |

mod answers;
mod calls;
mod center;
mod conn;
mod mail;
mod pdu;
mod receipt;
mod text;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::sim::control;
use crate::sim::fault::Fault;
use crate::sim::wire::WireLog;

pub use crate::sim::chance::Delay;
pub use receipt::Receipts;

use center::Center;
use conn::Conn;

/// Connections at a time; another is closed at once.
const MOST_CONNECTIONS: usize = 1_000;

/// Messages a second; more are throttled (0x58).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    pub per_second: f64,
}

/// The only account that may bind.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    pub system_id: String,
    pub password: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("system_id", &self.system_id).finish_non_exhaustive()
    }
}

/// A reply that comes again and again, from the first client on that receives; it is kept while none does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mo {
    pub text: String,
    pub interval: Duration,
}

/// Sabotage for the proof that a referee notices: every fifth message, the first included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cheat {
    /// Accepted, but neither in the wire log nor delivered.
    Lose,
    /// Once accepted, twice in the wire log and delivered twice.
    Double,
}

/// How the simulated SMSC behaves; the options of `nudged sim smsc`.
#[derive(Debug, Clone)]
pub struct SmscOptions {
    pub listen: SocketAddr,
    pub control: Option<SocketAddr>,
    /// The system_id it answers binds with.
    pub name: String,
    /// Absent: any account may bind.
    pub login: Option<Login>,
    pub delay: Delay,
    pub rate: Option<Rate>,
    pub receipts: Receipts,
    pub mo: Option<Mo>,
    pub faults: Vec<Fault>,
    pub wire: Option<PathBuf>,
    /// Leaves messages unanswered until released.
    pub hold: bool,
    pub cheat: Option<Cheat>,
    pub seed: u64,
}

impl Default for SmscOptions {
    /// A loopback port of the system's choice, anybody, no delay, receipts for those who ask.
    fn default() -> SmscOptions {
        SmscOptions {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            control: None,
            name: String::from("nudged-sim"),
            login: None,
            delay: Delay::default(),
            rate: None,
            receipts: Receipts::default(),
            mo: None,
            faults: Vec::new(),
            wire: None,
            hold: false,
            cheat: None,
            seed: 0,
        }
    }
}

/// A running SMSC; it ends with [`Smsc::stop`] or when dropped.
#[derive(Debug)]
pub struct Smsc {
    addr: SocketAddr,
    control_addr: Option<SocketAddr>,
    tasks: TaskTracker,
    center: Arc<Center>,
}

impl Smsc {
    /// Binds its addresses, opens the wire log and serves in the background.
    ///
    /// Errors: an address or file that cannot be opened; `InvalidInput` for a fault only modems have.
    pub async fn start(options: SmscOptions, clock: Clock) -> io::Result<Smsc> {
        let listener = TcpListener::bind(options.listen).await?;
        let addr = listener.local_addr()?;
        let control = match options.control {
            Some(address) => Some(TcpListener::bind(address).await?),
            None => None,
        };
        let control_addr = control.as_ref().map(TcpListener::local_addr).transpose()?;
        let log = match (&options.wire, &control) {
            (Some(path), _) => Some(WireLog::open(path)?),
            (None, Some(_)) => Some(WireLog::unnamed()?),
            (None, None) => None,
        };
        let center = Center::new(options, log, clock)
            .map_err(|bad| io::Error::new(io::ErrorKind::InvalidInput, bad))?;
        let center = Arc::new(center);
        let (stop, tasks) = (center.stop.clone(), TaskTracker::new());
        let accepting = accept(listener, Arc::clone(&center), tasks.clone());
        tasks.spawn(stop.clone().run_until_cancelled_owned(accepting));
        if let Some(listener) = control {
            let subject: Arc<dyn control::Controlled> = Arc::clone(&center) as _;
            let serving = control::serve(listener, subject, stop.clone(), tasks.clone());
            tasks.spawn(stop.clone().run_until_cancelled_owned(serving));
        }
        if let Some(mo) = center.options.mo.clone() {
            let replying = reply_for_ever(mo, Arc::clone(&center));
            tasks.spawn(stop.clone().run_until_cancelled_owned(replying));
        }
        Ok(Smsc { addr, control_addr, tasks, center })
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub fn control_addr(&self) -> Option<SocketAddr> {
        self.control_addr
    }

    /// Drops all connections and returns when nothing runs any more.
    pub async fn stop(self) {
        self.center.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Smsc {
    fn drop(&mut self) {
        self.center.stop.cancel();
    }
}

async fn accept(listener: TcpListener, center: Arc<Center>, tasks: TaskTracker) {
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(e) => {
                tracing::warn!(event = "sim_accept_failed", error = %e);
                center.clock.sleep(control::ACCEPT_PAUSE).await;
                continue;
            }
        };
        if center.lock().connections() >= MOST_CONNECTIONS {
            tracing::warn!(event = "sim_connection_refused", %peer, open = MOST_CONNECTIONS);
            continue;
        }
        if let Err(e) = stream.set_nodelay(true) {
            tracing::debug!(event = "sim_nodelay_failed", %peer, error = %e);
        }
        tasks.spawn(Conn::open(Arc::clone(&center), stream, peer.to_string()).serve());
    }
}

/// Sends the reply of `--mo` from one made-up number after another.
async fn reply_for_ever(mo: Mo, center: Arc<Center>) {
    let mut due = center.clock.now().mono;
    for count in 0u64.. {
        due += mo.interval;
        center.clock.sleep_until(due).await;
        let from = format!("+4915900{:06}", count % 1_000_000);
        if let Err(why) = center.reply(&from, MO_TO, &mo.text, due) {
            tracing::debug!(event = "sim_reply_not_sent", %why);
        }
    }
}

/// The number replies of `--mo` are sent to.
const MO_TO: &str = "+4915700000000";
