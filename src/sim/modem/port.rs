//! Where the modem is plugged in: a pseudo terminal behind a link, or a TCP port as ser2net has it.
//!
//! Invariants: what a turn logs is in the wire log before anything it says is written; the slave stays open on our
//! side and raw, so that no client's coming or going breaks the line; nothing is written while no client has it.

use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, inotify};
use rustix::pty::OpenptFlags;
use rustix::termios::{self, OptionalActions, QueueSelector};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::{TcpListener, TcpStream};

/// Where a port is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A pseudo terminal, and a link to it where one is wanted.
    Pty {
        link: Option<PathBuf>,
    },
    Tcp(SocketAddr),
}

/// An open port.
#[derive(Debug)]
pub enum Port {
    Pty(Pty),
    Tcp(Tcp),
}

#[derive(Debug)]
pub struct Pty {
    master: AsyncFd<OwnedFd>,
    slave: OwnedFd,
    name: PathBuf,
    link: Option<PathBuf>,
    watch: Option<AsyncFd<OwnedFd>>,
    /// Clients that have it open, as far as can be told.
    clients: usize,
    /// One that writes and was not seen to come: openings in quick succession are told as one.
    unseen: bool,
    /// A client was told of since the last one went.
    told: bool,
    /// The last one went; what it wrote is still to be read.
    gone: bool,
}

#[derive(Debug)]
pub struct Tcp {
    listener: TcpListener,
    client: Option<TcpStream>,
}

/// What a look at the port found.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    Octets(usize),
    /// The first ones of a client that was not seen to come.
    OctetsOfNew(usize),
    Nothing,
    /// A client came; what the one before left is not for it.
    Came,
    /// The last client went.
    Gone,
}

impl Port {
    pub async fn open(place: &Place) -> io::Result<Port> {
        match place {
            Place::Pty { link } => Ok(Port::Pty(Pty::open(link.as_deref())?)),
            Place::Tcp(address) => {
                Ok(Port::Tcp(Tcp { listener: TcpListener::bind(address).await?, client: None }))
            }
        }
    }

    /// As a configuration names it: a path, or `tcp:HOST:PORT`.
    pub fn name(&self) -> io::Result<String> {
        match self {
            Port::Pty(pty) => Ok(pty.link.as_ref().unwrap_or(&pty.name).display().to_string()),
            Port::Tcp(tcp) => Ok(format!("tcp:{}", tcp.listener.local_addr()?)),
        }
    }

    /// The same place again after a hang-up: for TCP the port number that was given.
    pub fn place(&self) -> io::Result<Place> {
        match self {
            Port::Pty(pty) => Ok(Place::Pty { link: pty.link.clone() }),
            Port::Tcp(tcp) => Ok(Place::Tcp(tcp.listener.local_addr()?)),
        }
    }

    pub fn has_client(&self) -> bool {
        match self {
            Port::Pty(pty) => pty.watch.is_none() || pty.clients > 0 || pty.unseen,
            Port::Tcp(tcp) => tcp.client.is_some(),
        }
    }

    pub fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<Read> {
        match self {
            Port::Pty(pty) => pty.try_read(buffer),
            Port::Tcp(tcp) => tcp.try_read(buffer),
        }
    }

    /// 0 where it takes nothing now.
    pub fn try_write(&self, octets: &[u8]) -> io::Result<usize> {
        let written = match self {
            Port::Pty(pty) => pty.master.try_io(Interest::WRITABLE, |fd| Ok(rustix::io::write(fd, octets)?)),
            Port::Tcp(Tcp { client: Some(client), .. }) => client.try_write(octets),
            Port::Tcp(Tcp { client: None, .. }) => return Ok(octets.len()),
        };
        match written {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(0),
            written => written,
        }
    }

    /// Returns when there may be something to read, or to write where that is `wanted`.
    pub async fn ready(&mut self, wanted: bool) -> io::Result<()> {
        let interest = if wanted { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        match self {
            Port::Pty(pty) => {
                let watched = async {
                    match &pty.watch {
                        Some(watch) => watch.readable().await.map(drop),
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    ready = pty.master.ready(interest) => ready.map(drop),
                    watched = watched => watched,
                }
            }
            Port::Tcp(Tcp { client: Some(client), .. }) => client.ready(interest).await.map(drop),
            Port::Tcp(tcp) => {
                let (client, _) = tcp.listener.accept().await?;
                client.set_nodelay(true)?;
                tcp.client = Some(client);
                Ok(())
            }
        }
    }
}

impl Pty {
    fn open(link: Option<&Path>) -> io::Result<Pty> {
        let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        rustix::pty::grantpt(&master)?;
        rustix::pty::unlockpt(&master)?;
        let name = rustix::pty::ptsname(&master, Vec::new())?;
        let slave = rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
        let mut attributes = termios::tcgetattr(&slave)?;
        attributes.make_raw();
        termios::tcsetattr(&slave, OptionalActions::Now, &attributes)?;
        rustix::io::ioctl_fionbio(&master, true)?;
        let name = PathBuf::from(name.to_string_lossy().into_owned());
        let watch = watch(&name).map_err(|e| tracing::debug!(event = "sim_port_unwatched", error = %e)).ok();
        if let Some(link) = link {
            put_link(link, &name)?;
        }
        let (master, link) = (watched(master)?, link.map(Path::to_owned));
        Ok(Pty { master, slave, name, link, watch, clients: 0, unseen: false, told: false, gone: false })
    }

    fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<Read> {
        let before = self.clients;
        let seen = self.look()?;
        if before == 0 && self.clients > 0 {
            termios::tcflush(&self.slave, QueueSelector::IFlush)?;
            self.told = true;
            return Ok(Read::Came);
        }
        self.gone |= seen && self.clients == 0;
        match self.master.try_io(Interest::READABLE, |fd| Ok(rustix::io::read(fd, &mut *buffer)?)) {
            Ok(octets) => {
                self.unseen = self.clients == 0 && !self.gone;
                if self.unseen && !std::mem::replace(&mut self.told, true) {
                    return Ok(Read::OctetsOfNew(octets));
                }
                Ok(Read::Octets(octets))
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock && self.gone => {
                (self.gone, self.told) = (false, false);
                self.forget_client()?;
                Ok(Read::Gone)
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(Read::Nothing),
            Err(e) => Err(e),
        }
    }

    /// Counts who opened and closed the slave; whether anybody did.
    fn look(&mut self) -> io::Result<bool> {
        let Some(watch) = &self.watch else { return Ok(false) };
        let mut space = [MaybeUninit::uninit(); 1024];
        let mut seen = false;
        loop {
            let events = watch.try_io(Interest::READABLE, |fd| {
                let mut reader = inotify::Reader::new(fd, &mut space);
                let mut events = vec![reader.next()?.events()];
                while !reader.is_buffer_empty() {
                    events.push(reader.next()?.events());
                }
                Ok(events)
            });
            let events = match events {
                Ok(events) => events,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(seen),
                Err(e) => return Err(e),
            };
            for event in events {
                seen = true;
                self.unseen = false;
                if event.contains(inotify::ReadFlags::OPEN) {
                    self.clients += 1;
                } else {
                    self.clients = self.clients.saturating_sub(1);
                }
            }
        }
    }

    /// What was meant for the client that went, and its hold on the terminal.
    fn forget_client(&self) -> io::Result<()> {
        termios::tcflush(&self.slave, QueueSelector::IFlush)?;
        termios::ioctl_tiocnxcl(&self.slave)?;
        Ok(())
    }
}

impl Drop for Pty {
    /// Takes the link away where it still leads here.
    fn drop(&mut self) {
        let Some(link) = &self.link else { return };
        if std::fs::read_link(link).is_ok_and(|target| target == self.name)
            && let Err(e) = std::fs::remove_file(link)
        {
            tracing::warn!(event = "sim_link_left", link = %link.display(), error = %e);
        }
    }
}

impl Tcp {
    fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<Read> {
        let Some(client) = &self.client else { return Ok(Read::Nothing) };
        match client.try_read(buffer) {
            Ok(octets) if octets > 0 => Ok(Read::Octets(octets)),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(Read::Nothing),
            Ok(_) | Err(_) => {
                self.client = None;
                Ok(Read::Gone)
            }
        }
    }
}

/// Tells of every opening and closing of the terminal from now on.
fn watch(name: &Path) -> io::Result<AsyncFd<OwnedFd>> {
    let watch = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC)?;
    inotify::add_watch(
        &watch,
        name,
        inotify::WatchFlags::OPEN | inotify::WatchFlags::CLOSE_WRITE | inotify::WatchFlags::CLOSE_NOWRITE,
    )?;
    watched(watch)
}

#[expect(deprecated, reason = "unsound for types that change their descriptor; an OwnedFd keeps it for life")]
fn watched(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(fd)
}

/// In one step, so that nobody finds no link.
fn put_link(link: &Path, target: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(link) {
        Ok(there) if !there.file_type().is_symlink() => {
            let why = format!("{} is there and is no link", link.display());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
        }
        Ok(_) => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    let mut new = link.as_os_str().to_owned();
    new.push(format!(".new-{}", std::process::id()));
    let new = PathBuf::from(new);
    std::os::unix::fs::symlink(target, &new)?;
    std::fs::rename(&new, link).inspect_err(|_| drop(std::fs::remove_file(&new)))
}
