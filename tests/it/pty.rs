//! Pseudo terminals as modems: the test holds the master, a link in a directory stands for /dev/serial/by-id.

use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use tempfile::TempDir;
use tokio::io::unix::AsyncFd;

/// The modem's side of a pty. To drop it is to unplug the modem.
pub struct Pty {
    master: AsyncFd<OwnedFd>,
    slave: PathBuf,
}

impl Pty {
    pub fn new() -> Pty {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let flags = fcntl_getfl(&master).unwrap();
        fcntl_setfl(&master, flags | OFlags::NONBLOCK).unwrap();
        let slave = ptsname(&master, Vec::new()).unwrap().into_string().unwrap().into();
        #[expect(
            deprecated,
            reason = "the new way is unsafe code, and what owns the descriptor here keeps it"
        )]
        let master = AsyncFd::new(master).unwrap();
        Pty { master, slave }
    }

    /// The device that the daemon opens.
    pub fn slave(&self) -> &Path {
        &self.slave
    }

    pub async fn write(&self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let mut ready = self.master.writable().await.unwrap();
            match rustix::io::write(&self.master, bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(Errno::WOULDBLOCK) => ready.clear_ready(),
                Err(errno) => panic!("{errno}"),
            }
        }
    }

    /// What has come, at least one octet.
    pub async fn read(&self) -> Vec<u8> {
        loop {
            let mut ready = self.master.readable().await.unwrap();
            let mut buffer = [0; 4096];
            match rustix::io::read(&self.master, &mut buffer) {
                Ok(count) => return buffer[..count].to_vec(),
                Err(Errno::WOULDBLOCK) => ready.clear_ready(),
                Err(errno) => panic!("{errno}"),
            }
        }
    }

    /// Exactly these octets.
    pub async fn expect(&self, wanted: &[u8]) {
        let mut got = Vec::new();
        while got.len() < wanted.len() {
            got.extend(self.read().await);
        }
        assert_eq!(got, wanted);
    }
}

/// A place where a modem can be plugged in, always under the same name.
pub struct Socket {
    dir: TempDir,
}

impl Socket {
    pub fn new() -> Socket {
        Socket { dir: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().join("modem")
    }

    pub fn plug(&self) -> Pty {
        let pty = Pty::new();
        self.name(&pty);
        pty
    }

    /// Gives the name to a device that is there.
    pub fn name(&self, pty: &Pty) {
        symlink(pty.slave(), self.path()).unwrap();
    }

    /// The device goes, and its name with it.
    pub fn unplug(&self, pty: Pty) {
        std::fs::remove_file(self.path()).unwrap();
        drop(pty);
    }
}
