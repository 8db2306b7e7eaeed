//! The wire log: one JSON object a line for what a simulator took, in the order it was taken.
//!
//! Invariant: a message's line is handed to the kernel by write(2) before its answer is; nothing is kept
//! back in a buffer of ours, so the log of a killed simulator is complete up to its last answer. A line is
//! added at the end of the file, one write for a batch of lines. Without a file named by the user the log
//! lives in an unlinked temporary file, so `GET /received` reads the same thing either way.
//!
//! A modem's messages are the lines of kind `sms_submit`, an SMSC's those of kind `submit_sm` and `data_sm`. `status` is the command_status the answer
//! carries, `null` when it is meant to stay unanswered; whether a decided answer was written is told by the
//! connection's `drop` line, which lists the sequence numbers that were still unanswered.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

/// One line. `at` is RFC 3339 in UTC, `conn` counts connections from 1, octets are lower-case hexadecimal.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Line<'a> {
    SubmitSm(Taken<'a>),
    DataSm(Taken<'a>),
    /// A bind request and what it was answered.
    Bind {
        at: &'a str,
        conn: u64,
        peer: &'a str,
        system_id: &'a str,
        bind: &'a str,
        status: u32,
    },
    Unbind {
        at: &'a str,
        conn: u64,
        seq: u32,
    },
    /// The connection ended. `not_taken` is the submit that a `hangup` fault fell on.
    Drop {
        at: &'a str,
        conn: u64,
        why: &'a str,
        unanswered: &'a [u32],
        not_taken: Option<u32>,
    },
    /// A PDU that was not taken: malformed, or not allowed in this state.
    Refused {
        at: &'a str,
        conn: u64,
        seq: u32,
        command: String,
        status: u32,
        body: String,
    },
    /// A deliver_sm of ours that the client answered. `message_id` and `stat` when it was a receipt.
    DeliverSm {
        at: &'a str,
        conn: u64,
        seq: u32,
        from: &'a str,
        to: &'a str,
        text: &'a str,
        message_id: Option<&'a str>,
        stat: Option<&'a str>,
        status: u32,
    },
    /// A message the client gave a modem: the TPDU was complete with its Ctrl-Z.
    SmsSubmit(Sent<'a>),
    /// A modem's port was plugged, unplugged, or the modem started anew. `not_taken` is set where the message on
    /// its way in is lost by that.
    Port {
        at: &'a str,
        conn: u64,
        what: &'a str,
        not_taken: bool,
    },
    /// An SMS-DELIVER or SMS-STATUS-REPORT came to a modem: `how` it was kept for the client or handed on.
    SmsDeliver(Came<'a>),
    /// The client deleted or acknowledged what came under `id`.
    SmsTaken {
        at: &'a str,
        conn: u64,
        id: u64,
        how: &'a str,
    },
}

/// A message taken by a modem. Numbers of TON 1 carry their +.
#[derive(Debug, Serialize)]
pub struct Sent<'a> {
    pub at: &'a str,
    pub conn: u64,
    /// Counts the modem's messages from 1.
    pub seq: u64,
    pub from: &'a str,
    pub to: &'a str,
    /// Without the user data header; U+FFFD where the octets mean no character.
    pub text: &'a str,
    pub dcs: u8,
    pub pid: u8,
    pub udh: Option<String>,
    pub segment: Option<Segment>,
    /// As the client wrote it, SCA included.
    pub pdu: String,
    /// TP-MR as the modem puts it.
    pub reference: u8,
    /// TP-SRR.
    pub status_report: bool,
    /// The CMS error of the answer, 0 for `+CMGS`, null when it gets none or none that can be read.
    pub status: Option<u32>,
    /// Whether the network has it, whatever the answer says.
    pub sent: bool,
}

#[derive(Debug, Serialize)]
pub struct Came<'a> {
    pub at: &'a str,
    pub conn: u64,
    pub id: u64,
    /// `stored SM 3` or `routed`.
    pub how: &'a str,
    pub from: &'a str,
    pub text: &'a str,
    /// TP-MR and TP-ST of a report.
    pub report: Option<(u8, u8)>,
    pub pdu: String,
}

/// A message taken from the client. Numbers of TON 1 carry their +.
#[derive(Debug, Serialize)]
pub struct Taken<'a> {
    pub at: &'a str,
    pub conn: u64,
    pub seq: u32,
    pub from: &'a str,
    pub to: &'a str,
    /// Without the user data header; U+FFFD where the octets mean no character.
    pub text: &'a str,
    pub data_coding: u8,
    pub esm_class: u8,
    pub udh: Option<String>,
    pub segment: Option<Segment>,
    /// As sent, header included; the message_payload TLV's value where that carries the text.
    pub short_message: String,
    pub message_id: Option<&'a str>,
    pub status: Option<u32>,
    pub registered_delivery: u8,
    pub validity_period: &'a str,
    pub user_message_reference: Option<u16>,
}

/// Concatenation as the client wrote it, by user data header or by the `sar_*` TLVs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Segment {
    #[serde(rename = "ref")]
    pub reference: u16,
    pub total: u8,
    pub number: u8,
}

#[derive(Debug)]
pub struct WireLog(Mutex<File>);

impl WireLog {
    /// Opens or creates `path`; what it holds stays in front.
    pub fn open(path: &Path) -> io::Result<WireLog> {
        let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        Ok(WireLog(Mutex::new(file)))
    }

    /// A log without a name, gone with the process.
    pub fn unnamed() -> io::Result<WireLog> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("nudged-wire-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        let file = OpenOptions::new().read(true).append(true).create_new(true).open(&path)?;
        std::fs::remove_file(&path)?;
        Ok(WireLog(Mutex::new(file)))
    }

    /// Adds whole lines. Returns once the kernel has them.
    pub fn append(&self, lines: &[u8]) -> io::Result<()> {
        if lines.is_empty() { Ok(()) } else { self.file().write_all(lines) }
    }

    /// Octets in the log: whole lines, as every append is one.
    pub fn octets(&self) -> io::Result<u64> {
        Ok(self.file().metadata()?.len())
    }

    /// Fills `buffer` from `offset` and returns how many octets that were.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file().read_at(buffer, offset)
    }

    fn file(&self) -> MutexGuard<'_, File> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes `line` and its line feed at the end of `lines`.
pub fn encode(line: &Line<'_>, lines: &mut Vec<u8>) -> io::Result<()> {
    serde_json::to_writer(&mut *lines, line)?;
    lines.push(b'\n');
    Ok(())
}

pub fn hex(octets: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(octets.len() * 2);
    for octet in octets {
        text.push(char::from(DIGITS[usize::from(octet >> 4)]));
        text.push(char::from(DIGITS[usize::from(octet & 15)]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unbind(conn: u64) -> Vec<u8> {
        let mut lines = Vec::new();
        encode(&Line::Unbind { at: "2026-11-21T14:05:00.000Z", conn, seq: 2 }, &mut lines).unwrap();
        lines
    }

    #[test]
    fn lines_are_added_behind_those_of_an_earlier_run() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("wire");
        WireLog::open(&path).unwrap().append(&unbind(1)).unwrap();
        WireLog::open(&path).unwrap().append(&unbind(2)).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let conns: Vec<u64> = text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["conn"].as_u64().unwrap())
            .collect();
        assert_eq!(conns, [1, 2]);
    }

    #[test]
    fn an_unnamed_log_reads_back_what_it_was_given() {
        let log = WireLog::unnamed().unwrap();
        log.append(&unbind(7)).unwrap();
        let mut buffer = [0; 256];
        let read = log.read_at(&mut buffer, 0).unwrap();
        assert_eq!(buffer[..read], unbind(7)[..]);
        assert_eq!(log.octets().unwrap(), read as u64);
    }
}
