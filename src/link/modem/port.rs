//! The port of a modem: a tty or a TCP connection, opened, watched and given up. tokio-serial stays in here.
//!
//! Invariants:
//! * A device is ours alone (TIOCEXCL and flock) or not open; who holds it otherwise is named.
//! * A device that went away is an error at the first byte read or written, never an end of input for ever.
//! * Closing waits for nothing: what the device does not take any more is thrown away.
//! * At least [`LOOK_EVERY`] lies between a port that was lost and the look that finds it again.
//!
//! What the bytes mean is the dialogue's affair; the driver puts a deadline to every write.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use rustix::termios::{ControlModes, OptionalActions};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_serial::{
    ClearBuffer, DataBits, ErrorKind, FlowControl, Parity, SerialPort as _, SerialStream, StopBits,
};

use super::holder::holders;
use crate::clock::Clock;
use crate::config::Port;
use crate::link::tcp;

/// A USB device whose firmware hangs keeps an open waiting for several seconds.
const OPEN_LIMIT: Duration = Duration::from_secs(10);
/// How often a missing device is looked for: found well within a second, for a system call each time.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A terminal server shows nothing before it is asked, and is asked this often at least.
const LONGEST_TCP_WAIT: Duration = Duration::from_secs(2);
/// As long as any link waits.
const LONGEST_DEVICE_WAIT: Duration = Duration::from_secs(60);

/// Why a device cannot be opened, and what helps.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    #[error("{0} is not there; plug the modem in, or correct port")]
    Missing(String),
    #[error("{0} may not be opened; the user of nudged needs its group, the unit its DeviceAllow")]
    Denied(String),
    #[error("{0} is not a serial device; name the tty of the modem")]
    NotATty(String),
    #[error("{path} is held by {by}; stop that program, or tell it to leave this modem alone")]
    Held { path: String, by: String },
    #[error("{0} is held by another program; `fuser -v` as root names it; is it ModemManager?")]
    HeldUnseen(String),
    #[error("{path} did not open within {OPEN_LIMIT:?}; power the modem off and on")]
    Stuck { path: String },
    #[error("{path} cannot be opened: {why}")]
    Other { path: String, why: String },
}

impl From<PortError> for io::Error {
    fn from(error: PortError) -> io::Error {
        io::Error::other(error)
    }
}

/// Opens one configured port, as often as asked, and sees when it is worth another try.
#[derive(Debug)]
pub struct Opener {
    port: Port,
    baud: u32,
    clock: Clock,
    /// What stood at the path at the last try.
    met: Option<Node>,
}

impl Opener {
    /// `baud` counts for a device alone.
    pub fn new(port: Port, baud: u32, clock: Clock) -> Opener {
        Opener { port, baud, clock, met: None }
    }

    /// Ends within a deadline of its own.
    pub async fn open(&mut self) -> io::Result<PortStream> {
        match &self.port {
            Port::Tcp(address) => Ok(PortStream(Stream::Tcp(tcp::open(address, &self.clock).await?))),
            Port::Device(path) => {
                self.met = node(path);
                let (opened, baud) = (path.clone(), self.baud);
                // Some drivers talk to the device at open, and a thread of the runtime must not wait for it.
                let opening = tokio::task::spawn_blocking(move || open_device(&opened, baud));
                match self.clock.within(OPEN_LIMIT, opening).await {
                    Some(Ok(opened)) => Ok(PortStream(Stream::Device(opened?))),
                    Some(Err(error)) => Err(io::Error::other(error)),
                    None => Err(PortError::Stuck { path: shown(path) }.into()),
                }
            }
        }
    }

    /// Ends when something stands at the path of the device that was not there at the last try: another node,
    /// or the same after it was missing, or with other rights. Never for TCP.
    pub async fn changed(&mut self) {
        let Port::Device(path) = &self.port else { return std::future::pending().await };
        loop {
            self.clock.sleep(LOOK_EVERY).await;
            let there = node(path);
            if there.is_some() && there != self.met {
                return;
            }
            self.met = there;
        }
    }

    /// What the wait between two tries grows to.
    pub fn longest_wait(&self) -> Duration {
        match self.port {
            Port::Tcp(_) => LONGEST_TCP_WAIT,
            Port::Device(_) => LONGEST_DEVICE_WAIT,
        }
    }
}

/// What tells one device at a path from the next. Numbers of nodes are used again, the time of the last change
/// hardly ever is. Owner and mode belong to it because udev sets them after the node is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Node {
    file: (u64, u64),
    device: u64,
    rights: (u32, u32, u32),
    changed: (i64, i64),
}

fn node(path: &Path) -> Option<Node> {
    let seen = fs::metadata(path).ok()?;
    let rights = (seen.mode(), seen.uid(), seen.gid());
    let changed = (seen.ctime(), seen.ctime_nsec());
    Some(Node { file: (seen.dev(), seen.ino()), device: seen.rdev(), rights, changed })
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn open_device(path: &Path, baud: u32) -> Result<SerialStream, PortError> {
    // A failed exclusive open of tokio-serial takes TIOCEXCL from whoever has it, so it is asked for first.
    let probe = probe(path)?;
    let builder = tokio_serial::new(path.to_string_lossy(), baud)
        .data_bits(DataBits::Eight)
        .parity(Parity::None)
        .stop_bits(StopBits::One)
        .flow_control(FlowControl::None);
    let stream = SerialStream::open(&builder).map_err(|error| refused(path, error))?;
    // What the modem said while nobody listened is no answer to us.
    let cleared = stream.clear(ClearBuffer::Input);
    cleared.map_err(|error| refused(path, error))?;
    if let Err(error) = keep_lines(&probe) {
        tracing::debug!(event = "port_lines_not_kept", port = %path.display(), %error);
    }
    Ok(stream)
}

/// Whether it is a tty and free, found without taking it from anybody.
fn probe(path: &Path) -> Result<OwnedFd, PortError> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let probe = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| unopened(path, errno))?;
    if !rustix::termios::isatty(&probe) {
        return Err(PortError::NotATty(shown(path)));
    }
    let locked = rustix::fs::flock(&probe, FlockOperation::NonBlockingLockExclusive);
    match locked.and_then(|()| rustix::fs::flock(&probe, FlockOperation::Unlock)) {
        Ok(()) => Ok(probe),
        Err(errno) => {
            // Our own descriptor would count as a holder.
            drop(probe);
            Err(unopened(path, errno))
        }
    }
}

fn unopened(path: &Path, errno: Errno) -> PortError {
    match errno {
        Errno::NOENT | Errno::NODEV | Errno::NXIO => PortError::Missing(shown(path)),
        Errno::ACCESS | Errno::PERM => PortError::Denied(shown(path)),
        Errno::ISDIR => PortError::NotATty(shown(path)),
        Errno::BUSY | Errno::WOULDBLOCK => held(path),
        errno => PortError::Other { path: shown(path), why: errno.to_string() },
    }
}

fn refused(path: &Path, error: tokio_serial::Error) -> PortError {
    match error.kind {
        // Its word for EBUSY and for a lock of another's.
        ErrorKind::NoDevice => held(path),
        ErrorKind::Io(io::ErrorKind::NotFound) => PortError::Missing(shown(path)),
        ErrorKind::Io(io::ErrorKind::PermissionDenied) => PortError::Denied(shown(path)),
        _ => PortError::Other { path: shown(path), why: error.description },
    }
}

fn held(path: &Path) -> PortError {
    match holders(path) {
        Some(by) => PortError::Held { path: shown(path), by },
        None => PortError::HeldUnseen(shown(path)),
    }
}

/// Closing drops DTR otherwise, and some modems start anew at that. A pty has no lines.
fn keep_lines(device: &OwnedFd) -> rustix::io::Result<()> {
    let mut settings = rustix::termios::tcgetattr(device)?;
    settings.control_modes.remove(ControlModes::HUPCL);
    rustix::termios::tcsetattr(device, OptionalActions::Now, &settings)
}

/// An open port.
#[derive(Debug)]
pub struct PortStream(Stream);

#[derive(Debug)]
enum Stream {
    Device(SerialStream),
    Tcp(TcpStream),
}

impl Drop for PortStream {
    /// A driver waits up to 30 seconds at close for what a device does not take.
    fn drop(&mut self) {
        let Stream::Device(device) = &self.0 else { return };
        if device.bytes_to_write().is_ok_and(|waiting| waiting > 0)
            && let Err(error) = device.clear(ClearBuffer::Output)
        {
            tracing::debug!(event = "port_not_cleared", %error);
        }
    }
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the device went away")
}

/// What a device says that is not there any more.
fn named(error: io::Error) -> io::Error {
    match Errno::from_io_error(&error) {
        Some(Errno::IO | Errno::NODEV | Errno::NXIO) => gone(),
        _ => error,
    }
}

impl AsyncRead for PortStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let device = match &mut self.0 {
            Stream::Tcp(tcp) => return Pin::new(tcp).poll_read(cx, buf),
            Stream::Device(device) => device,
        };
        let before = buf.filled().len();
        let wanted = buf.remaining() > 0;
        let read = ready!(Pin::new(device).poll_read(cx, buf)).map_err(named);
        // A tty that hung up reads as nothing, for ever.
        Poll::Ready(if read.is_ok() && wanted && buf.filled().len() == before { Err(gone()) } else { read })
    }
}

impl AsyncWrite for PortStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Stream::Tcp(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Stream::Device(device) => Pin::new(device).poll_write(cx, bytes).map_err(named),
        }
    }

    /// A device is not waited for: tokio-serial would block the thread until all is sent.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Stream::Tcp(tcp) => Pin::new(tcp).poll_flush(cx),
            Stream::Device(_) => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Stream::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Stream::Device(_) => Poll::Ready(Ok(())),
        }
    }
}
