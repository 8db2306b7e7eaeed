//! The few file operations whose order decides what survives: sync a directory, replace a file whole,
//! preallocate, lock. Every error says what was being done. It knows nothing of what the files hold.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{FallocateFlags, FlockOperation};

use super::StoreError;

/// A piece of a new file that is written and synced before the next.
const ZEROED_AT_ONCE: u64 = 1 << 20;

/// Puts what was being done beside an I/O error.
pub(super) trait Doing<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, StoreError>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, StoreError> {
        self.map_err(|e| StoreError::Io { doing: what(), source: e.into() })
    }
}

/// Makes names in a directory durable.
pub(super) fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    File::open(dir).and_then(|d| d.sync_all()).doing(|| format!("sync directory {}", dir.display()))
}

/// After return the file at `path` holds `bytes`, and at no instant did it hold anything between old and new.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let next = path.with_extension("tmp");
    let mut file = File::create(&next).doing(|| format!("create {}", next.display()))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).doing(|| format!("write {}", next.display()))?;
    rename(&next, path)
}

/// Renames within one directory, durably.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    fs::rename(from, to).doing(|| format!("rename {} to {}", from.display(), to.display()))?;
    to.parent().map_or(Ok(()), sync_dir)
}

/// Removes a file or a directory; that it is not there is fine.
pub(super) fn remove(path: &Path) -> Result<(), StoreError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(e) => Err(e),
    };
    match removed {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(e).doing(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// The whole file, or `None` when there is none.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    match fs::read(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some).doing(|| format!("read {}", path.display())),
    }
}

/// A new file of `bytes` real zeros, synced; its name is not yet.
///
/// Reserved blocks alone would not do: a write into them changes the file's block list, and then a sync of
/// what was written rests on that change. Where zeros lie already it rests on nothing.
pub(super) fn preallocate(path: &Path, bytes: u64) -> Result<File, StoreError> {
    let file = reserve(path, bytes)?;
    let mut at = 0;
    while at < bytes {
        // In pieces, so that no commit waits behind all of it.
        let to = (at + ZEROED_AT_ONCE).min(bytes);
        zero(&file, at, to)
            .and_then(|()| file.sync_data())
            .doing(|| format!("write zeros to {}", path.display()))?;
        at = to;
    }
    Ok(file)
}

/// A new file of `bytes` whose blocks are reserved, synced; its name is not yet.
pub(super) fn reserve(path: &Path, bytes: u64) -> Result<File, StoreError> {
    remove(path)?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    let file = options.open(path).doing(|| format!("create {}", path.display()))?;
    let reserved = match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, bytes) {
        Err(rustix::io::Errno::OPNOTSUPP) => zero(&file, 0, bytes),
        other => other.map_err(io::Error::from),
    };
    reserved
        .and_then(|()| file.sync_all())
        .doing(|| format!("reserve {bytes} bytes in {}", path.display()))?;
    Ok(file)
}

/// Writes zeros from `from` up to `to`.
pub(super) fn zero(file: &File, from: u64, to: u64) -> io::Result<()> {
    let zeros = [0; 64 * 1024];
    let mut at = from;
    while at < to {
        let n = (to - at).min(zeros.len() as u64) as usize;
        file.write_all_at(&zeros[..n], at)?;
        at += n as u64;
    }
    Ok(())
}

/// Takes the exclusive lock on a file, made if need be; it is held as long as the file is open.
pub(super) fn lock(path: &Path) -> Result<File, StoreError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let file = options.open(path).doing(|| format!("open {}", path.display()))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(StoreError::Locked(path.display().to_string())),
        Err(e) => Err(e).doing(|| format!("lock {}", path.display())),
    }
}

/// Bytes an unprivileged process can still write where `dir` lies.
pub(super) fn free_bytes(dir: &Path) -> Result<u64, StoreError> {
    let found = rustix::fs::statvfs(dir).doing(|| format!("ask for free space at {}", dir.display()))?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}
