//! The simulated GSM modem: AT commands in PDU mode for any client, on a pseudo terminal or a TCP port, with
//! storages, reports, replies, faults and a wire log.
//!
//! It follows 3GPP TS 27.005, 27.007 and 23.040 and ITU-T V.250, and not our driver. [`Modem`] is the same for the
//! command line, the demo and the tests.
//!
//! | file | holds |
//! |---|---|
//! | `device` | the modem without port and clock: what is typed, what is due, what is said |
//! | `command`, `answer` | command lines and result codes |
//! | `general`, `messages` | the commands |
//! | `settings`, `storage`, `vendor`, `stats` | what they set and show |
//! | `submit`, `inbound`, `network` | messages to and from the SMSC |
//! | `port` | the pseudo terminal, the TCP port |
//! | `calls` | what the control API asks of it |

mod answer;
mod calls;
mod command;
mod device;
mod general;
mod inbound;
mod messages;
mod network;
mod port;
mod run;
mod settings;
mod stats;
mod storage;
mod submit;
mod vendor;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::sim::chance::Delay;
use crate::sim::control;
use crate::sim::fault::Fault;
use crate::sim::smsc::Receipts;
use crate::sim::wire::WireLog;

pub use device::Amid;
pub use network::Unwritable;
pub use port::Place;
pub use stats::Stats;
pub use storage::Name as StorageName;
pub use vendor::Vendor;

use device::Device;
use run::{Plugged, Runner, Shared};

/// How the simulated modem behaves; the options of `nudged sim modem`.
#[derive(Debug, Clone)]
pub struct ModemOptions {
    pub place: Place,
    pub control: Option<SocketAddr>,
    pub vendor: Vendor,
    pub operator: String,
    /// Its own number.
    pub number: String,
    pub imei: String,
    pub imsi: String,
    pub iccid: String,
    /// Absent: the SIM asks for none.
    pub pin: Option<String>,
    /// From Ctrl-Z to +CMGS.
    pub service_time: Delay,
    /// Reports for messages that ask for one.
    pub receipts: Receipts,
    /// +CNMI ds=1: reports by +CDS. Without it they are stored only.
    pub routes_reports: bool,
    /// Each phone that gets a message answers with this.
    pub reply: Option<String>,
    pub faults: Vec<Fault>,
    pub wire: Option<PathBuf>,
    pub seed: u64,
}

impl Default for ModemOptions {
    /// A pseudo terminal without a link, no PIN, no delay, no reports.
    fn default() -> ModemOptions {
        ModemOptions {
            place: Place::Pty { link: None },
            control: None,
            vendor: Vendor::Generic,
            operator: String::from("Simulated"),
            number: String::from("+4915799912345"),
            imei: String::from("490154203237518"),
            imsi: String::from("262991234567890"),
            iccid: String::from("8949000000000000008"),
            pin: None,
            service_time: Delay::default(),
            receipts: Receipts::None,
            routes_reports: true,
            reply: None,
            faults: Vec::new(),
            wire: None,
            seed: 0,
        }
    }
}

/// A running modem; it ends with [`Modem::stop`] or when dropped.
#[derive(Debug)]
pub struct Modem {
    shared: Arc<Shared>,
    control_addr: Option<SocketAddr>,
    tasks: TaskTracker,
    plugged: watch::Receiver<Plugged>,
}

impl Modem {
    /// Opens its port and the wire log and serves in the background.
    ///
    /// Errors: a port, an address or a file that cannot be opened; `InvalidInput` for too many faults.
    pub async fn start(options: ModemOptions, clock: Clock) -> io::Result<Modem> {
        let control = match options.control {
            Some(address) => Some(TcpListener::bind(address).await?),
            None => None,
        };
        let control_addr = control.as_ref().map(TcpListener::local_addr).transpose()?;
        let log = match &options.wire {
            Some(path) => WireLog::open(path)?,
            None => WireLog::unnamed()?,
        };
        let port = port::Port::open(&options.place).await?;
        let device = Device::new(options, clock.now());
        let device = device.map_err(|bad| io::Error::new(io::ErrorKind::InvalidInput, bad))?;
        let shared = Arc::new(Shared::new(device, log, clock));
        let tasks = TaskTracker::new();
        let (runner, plugged) = Runner::new(Arc::clone(&shared), port)?;
        tasks.spawn(runner.run());
        if let Some(listener) = control {
            let subject: Arc<dyn control::Controlled> = Arc::clone(&shared) as _;
            let serving = control::serve(listener, subject, shared.stop.clone(), tasks.clone());
            tasks.spawn(shared.stop.clone().run_until_cancelled_owned(serving));
        }
        Ok(Modem { shared, control_addr, tasks, plugged })
    }

    /// As a configuration names the port: the link, the terminal's own path, or `tcp:HOST:PORT`. Where the port is
    /// pulled, what it was.
    pub fn path(&self) -> String {
        match &*self.plugged.borrow() {
            Plugged::In(name) | Plugged::Out(name) | Plugged::Failed(name, _) => name.clone(),
        }
    }

    pub fn control_addr(&self) -> Option<SocketAddr> {
        self.control_addr
    }

    /// The lines of the wire log.
    pub fn received(&self) -> io::Result<Vec<Value>> {
        let log = &self.shared.log;
        let mut octets = vec![0; usize::try_from(log.octets()?).unwrap_or(usize::MAX)];
        let mut read = 0;
        while read < octets.len() {
            match log.read_at(&mut octets[read..], read as u64)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                more => read += more,
            }
        }
        octets
            .split(|octet| *octet == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).map_err(io::Error::from))
            .collect()
    }

    pub fn stats(&self) -> Stats {
        self.shared.lock().stats.clone()
    }

    /// A text from a phone, now. How many segments it takes.
    pub fn reply(&self, from: &str, text: &str) -> Result<usize, Unwritable> {
        self.shared.change(|device, now| device.reply(from, text, Duration::ZERO, now))
    }

    /// A report with this TP-ST, now, for the last message with this TP-MR.
    pub fn report(&self, reference: u8, status: u8) -> Result<(), Unwritable> {
        self.shared.change(|device, now| device.report(reference, status, Duration::ZERO, false, now))
    }

    /// A TPDU of the network's without its SCA, whatever it holds. The id of its lines in the wire log.
    pub fn deliver(&self, tpdu: &[u8]) -> Result<u64, Unwritable> {
        self.shared.change(|device, now| device.arrive(network::raw(tpdu)?, Duration::ZERO, now))
    }

    /// Old messages, already read, in every free slot.
    pub fn fill(&self, storage: StorageName) {
        self.shared.change(|device, now| device.fill(storage, now));
    }

    /// A TPDU without its SCA that was there before, unread and unannounced; false where there is no room.
    pub fn keep(&self, storage: StorageName, tpdu: &[u8]) -> Result<bool, Unwritable> {
        let inbound = network::raw(tpdu)?;
        Ok(self.shared.change(|device, now| device.keep(storage, inbound, now)))
    }

    /// Any unsolicited line, now.
    pub fn say(&self, line: &str) {
        self.shared.change(|device, _| device.urc(line.to_owned()));
    }

    /// Any unsolicited line, once the place comes.
    pub fn say_amid(&self, amid: Amid, line: &str) {
        self.shared.change(|device, _| device.plan_line(amid, line));
    }

    /// What +CREG says from now on (27.007 section 7.2).
    pub fn register(&self, stat: u8) {
        self.shared.change(|device, _| device.register(stat));
    }

    /// Plans a fault, counted from the next message on.
    pub fn plan(&self, fault: Fault) -> Result<(), crate::sim::fault::BadFault> {
        self.shared.change(|device, _| device.plan(fault))
    }

    /// Starts anew, as by a dip of the voltage.
    pub fn reboot(&self) {
        self.shared.change(|device, now| device.reboot(now));
    }

    /// Pulls the port: returns when it is closed and the link gone.
    pub async fn hangup(&self) {
        let mut plugged = self.plugged.clone();
        self.shared.change(|device, now| device.pull(now, false, None));
        if plugged.wait_for(|plugged| matches!(plugged, Plugged::Out(_))).await.is_err() {
            tracing::debug!(event = "sim_modem_ended");
        }
    }

    /// Plugs the port in again: a new terminal under the same link, the same TCP port. Returns when it is there.
    ///
    /// Errors: the port cannot be opened.
    pub async fn plug(&self) -> io::Result<()> {
        let mut plugged = self.plugged.clone();
        self.shared.change(|device, now| device.plug_in(now));
        match plugged.wait_for(|plugged| !matches!(plugged, Plugged::Out(_))).await.as_deref() {
            Ok(Plugged::Failed(_, why)) => Err(io::Error::other(why.clone())),
            Ok(_) => Ok(()),
            Err(_) => Err(io::Error::other("the modem has ended")),
        }
    }

    /// Closes the port and returns when nothing runs any more.
    pub async fn stop(self) {
        self.shared.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Modem {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}
