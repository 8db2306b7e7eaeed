//! Processes as the kernel counts them: processor time and memory from `/proc`, and children that do not
//! outlive the run.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Fallible;

/// utime and stime are told in these (USER_HZ is 100 on Linux whatever the kernel's own tick).
const TICK: Duration = Duration::from_millis(10);
/// How long a program may take to start or to stop.
pub const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

/// A child that is ended with us.
#[derive(Debug)]
pub struct Process {
    child: Child,
    pub pid: u32,
}

impl Process {
    pub fn start(command: &mut Command) -> Fallible<Process> {
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.stdin(Stdio::null()).spawn().map_err(|e| format!("{program}: {e}"))?;
        let pid = child.id();
        Ok(Process { child, pid })
    }

    /// Starts it and reads the first `count` lines of its standard output.
    pub fn start_and_read(command: &mut Command, count: usize) -> Fallible<(Process, Vec<String>)> {
        let mut process = Process::start(command.stdout(Stdio::piped()))?;
        let out = process.child.stdout.take().ok_or("no standard output")?;
        let lines: Vec<String> = BufReader::new(out).lines().take(count).collect::<Result<_, _>>()?;
        if lines.len() < count {
            return Err(format!("{} ended at its start", command.get_program().display()).into());
        }
        Ok((process, lines))
    }

    /// All its threads' processor time so far.
    pub fn cpu(&self) -> Fallible<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        let (_, fields) = stat.rsplit_once(')').ok_or("/proc/PID/stat without a name")?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        // utime and stime are fields 14 and 15 of proc(5); the state, field 3, is the first here.
        let ticks = fields[11].parse::<u32>()? + fields[12].parse::<u32>()?;
        Ok(TICK * ticks)
    }

    /// Waits until it has ended; whether well, and its processor time.
    pub fn ended(&mut self) -> Fallible<(bool, Duration)> {
        let stat = format!("/proc/{}/stat", self.pid);
        // Not reaped yet: what it used can still be read.
        while !fs::read_to_string(&stat)?.contains(") Z ") {
            std::thread::sleep(POLL);
        }
        let cpu = self.cpu()?;
        Ok((self.child.wait()?.success(), cpu))
    }

    /// Resident memory now and at most, in KiB.
    pub fn memory_kib(&self) -> Fallible<(u64, u64)> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let of = |name: &str| -> Fallible<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or("no such line")?;
            Ok(line.split_whitespace().next().ok_or("an empty line")?.parse()?)
        };
        Ok((of("VmRSS:")?, of("VmHWM:")?))
    }

    /// Octets it had written to storage so far.
    pub fn written(&self) -> Fallible<u64> {
        let io = fs::read_to_string(format!("/proc/{}/io", self.pid))?;
        let line = io.lines().find_map(|line| line.strip_prefix("write_bytes:")).ok_or("no write_bytes")?;
        Ok(line.trim().parse()?)
    }

    /// Asks it to end and waits for that.
    pub fn stop(&mut self) -> Fallible<()> {
        let kill = Command::new("kill").arg(self.pid.to_string()).status()?;
        if !kill.success() {
            return Err("kill failed".into());
        }
        until("a program to stop", || Ok(self.child.try_wait()?.is_some()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself, and then there is nothing to end.
        if matches!(self.child.try_wait(), Ok(None)) {
            self.child.kill().and_then(|()| self.child.wait()).map_or_else(|e| eprintln!("kill: {e}"), drop);
        }
    }
}

/// Asks again and again; an error when it takes too long.
pub fn until(what: &str, mut done: impl FnMut() -> Fallible<bool>) -> Fallible<()> {
    let deadline = Instant::now() + PATIENCE;
    while !done()? {
        if Instant::now() >= deadline {
            return Err(format!("waited in vain for {what}").into());
        }
        std::thread::sleep(POLL);
    }
    Ok(())
}
