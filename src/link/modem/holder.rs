//! Who holds a device that we may not have: what /proc says of it, as far as we may read there.
//!
//! It answers for an error text alone: whatever cannot be read is passed over, and it ends after a bounded look.

use std::fs::{self, Metadata};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

/// Descriptors looked at, over all processes: a busy machine has some ten thousand, and each is a system call.
const MAX_LOOKS: usize = 50_000;
/// Holders named: the first is mostly the only one.
const MAX_NAMED: usize = 3;
/// Locks read; each is a line.
const MAX_LOCKS: usize = 10_000;

/// `pid 812 (ModemManager)`, several with commas; `None` where nobody can be seen.
pub fn holders(device: &Path) -> Option<String> {
    let device = fs::metadata(device).ok()?;
    let mut pids = openers(&device);
    for pid in lockers(&device) {
        if !pids.contains(&pid) {
            pids.push(pid);
        }
    }
    let named: Vec<String> = pids.into_iter().take(MAX_NAMED).map(name).collect();
    (!named.is_empty()).then(|| named.join(", "))
}

/// Processes that have it open, where we may look into them: our own, or all of them for root.
fn openers(device: &Metadata) -> Vec<u32> {
    let mut looks = 0;
    let mut pids = Vec::new();
    for pid in entries(Path::new("/proc")).filter_map(|name| name.parse::<u32>().ok()) {
        let dir = format!("/proc/{pid}/fd");
        for descriptor in entries(Path::new(&dir)) {
            looks += 1;
            if looks > MAX_LOOKS || pids.len() >= MAX_NAMED {
                return pids;
            }
            let open = fs::metadata(format!("{dir}/{descriptor}"));
            if open.is_ok_and(|open| open.file_type().is_char_device() && open.rdev() == device.rdev()) {
                pids.push(pid);
                break;
            }
        }
    }
    pids
}

/// Processes that locked it by flock(2), which /proc/locks tells of everybody's.
fn lockers(device: &Metadata) -> Vec<u32> {
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    let (major, minor) = (rustix::fs::major(device.dev()), rustix::fs::minor(device.dev()));
    let place = format!("{major:02x}:{minor:02x}:{}", device.ino());
    locks.lines().take(MAX_LOCKS).filter_map(|line| locker(line, &place)).collect()
}

/// `1: FLOCK  ADVISORY  WRITE 812 00:06:411 0 EOF` (proc_locks(5)).
fn locker(line: &str, place: &str) -> Option<u32> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    match fields[..] {
        [_, "FLOCK", _, _, pid, at, ..] if at == place => pid.parse().ok(),
        _ => None,
    }
}

fn entries(directory: &Path) -> impl Iterator<Item = String> {
    let found = fs::read_dir(directory).into_iter().flatten().flatten();
    found.filter_map(|entry| entry.file_name().into_string().ok())
}

fn name(pid: u32) -> String {
    if pid == std::process::id() {
        return format!("pid {pid} (this program, by another link)");
    }
    match fs::read_to_string(format!("/proc/{pid}/comm")) {
        Ok(command) => format!("pid {pid} ({})", command.trim_end().escape_debug()),
        Err(_) => format!("pid {pid}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lock_of_this_very_file_names_its_process() {
        let place = "00:06:411";
        assert_eq!(locker("1: FLOCK  ADVISORY  WRITE 812 00:06:411 0 EOF", place), Some(812));
        assert_eq!(locker("1: FLOCK  ADVISORY  WRITE 812 00:06:412 0 EOF", place), None);
        assert_eq!(locker("1: POSIX  ADVISORY  WRITE 812 00:06:411 0 EOF", place), None);
        assert_eq!(locker("1: -> FLOCK ADVISORY WRITE 812 00:06:411 0 EOF", place), None, "it only waits");
        assert_eq!(locker("1: FLOCK", place), None);
        assert_eq!(locker("", place), None);
    }

    #[test]
    fn what_is_not_there_is_held_by_nobody() {
        assert_eq!(holders(Path::new("/dev/no-such-modem")), None);
    }
}
