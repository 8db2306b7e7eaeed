//! The proof that a 202 means durable, by the system calls of a daemon under strace: between the end of the
//! read that brought a request and the write of its 202, a whole `fdatasync` has begun and returned 0.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::Command;
use std::time::Duration;

use crate::Fallible;
use crate::cells::{CONNECTIONS, fresh_dir};
use crate::client;
use crate::peers::{Nudged, Sim, program};

const COUNT: u32 = 500;
const CALLS: &str = "trace=fdatasync,read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg";

#[derive(Debug, Default)]
pub struct Seen {
    pub answers: u64,
    pub syncs: u64,
    pub uncovered: u64,
}

pub fn prove() -> Fallible<Seen> {
    let dir = fresh_dir("synced")?;
    let trace = dir.join("trace");
    let sim = Sim::start(&dir, Duration::ZERO)?;
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-s", "32", "-e", "signal=none", "-e", CALLS, "-o"]).arg(&trace);
    strace.arg(program());
    let nudged = Nudged::start_under(strace, &dir, sim.address, 100)?;
    let sent = client::load(&nudged, 0..COUNT, CONNECTIONS)?;
    if sent.accepted.len() != COUNT as usize {
        return Err(format!("{} of {COUNT} accepted", sent.accepted.len()).into());
    }
    sim.settled(COUNT.into())?;
    // The tracer ends with its tracee, and its file is whole then.
    let child = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", nudged.process.pid))?;
    Command::new("kill").arg(child.trim()).status()?;
    let pid = nudged.process.pid;
    crate::process::until("strace to end", || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        Ok(stat.contains(") Z "))
    })?;
    read(&trace)
}

/// Lines stand in the order in which things happened; a call that another one interrupts has two.
fn read(trace: &std::path::Path) -> Fallible<Seen> {
    let mut seen = Seen::default();
    // The line at which a request came on a socket, the thread's sync now running, the last that was whole.
    let mut asked: HashMap<String, usize> = HashMap::new();
    let mut reading: HashMap<String, String> = HashMap::new();
    let mut syncing: HashMap<String, usize> = HashMap::new();
    let mut covered_from = 0;
    for (at, line) in BufReader::new(File::open(trace)?).lines().enumerate() {
        let line = line?;
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let (thread, call) = (thread.to_owned(), call.trim_start());
        let ended_well = call.ends_with("= 0");
        if call.starts_with("fdatasync(") {
            syncing.insert(thread.clone(), at);
        }
        if call.contains("fdatasync") && !call.contains("<unfinished") && ended_well {
            covered_from = covered_from.max(syncing.remove(&thread).unwrap_or(0));
            seen.syncs += 1;
        }
        let socket =
            call.split_once('(').map(|(_, rest)| rest.split([',', ')']).next().unwrap_or("").to_owned());
        if call.contains("\"POST /v1/messages") {
            let socket = match (call.contains("resumed>"), socket) {
                (false, Some(socket)) => socket,
                _ => reading.get(&thread).cloned().ok_or("a request on no socket")?,
            };
            asked.insert(socket, at);
        } else if call.contains("<unfinished") && (call.starts_with("read") || call.starts_with("recv")) {
            reading.insert(thread, socket.unwrap_or_default());
        } else if call.contains("\"HTTP/1.1 202") {
            let began = asked.remove(&socket.unwrap_or_default()).ok_or("a 202 without its request")?;
            seen.answers += 1;
            seen.uncovered += u64::from(covered_from <= began);
        }
    }
    Ok(seen)
}
