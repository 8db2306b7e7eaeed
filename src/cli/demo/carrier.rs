//! A simulated carrier or modem as a process of its own: started, told to misbehave or to let a phone answer,
//! and its wire log read.
//!
//! Invariant: it never outlives the demo. It is killed when dropped, and it ends by itself when its standard
//! input ends, which is when this process does, however that is.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::DemoError;
use super::compare::{CarrierLog, Receipt, Submit};
use crate::clock::Clock;

/// Time for a process to start and bind two ports, on a machine that is busy.
const START_WITHIN: Duration = Duration::from_secs(20);
/// The number that phones answer to.
const OWN_NUMBER: &str = "+4915100000000";
/// TP-ST of a message that reached its phone (3GPP TS 23.040 section 9.2.3.15).
const RECEIVED: u8 = 0;
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

pub struct Carrier {
    kind: Kind,
    pub name: &'static str,
    /// What it is like, for people.
    pub what: &'static str,
    /// An address for SMPP, or the path of a modem's port.
    pub address: String,
    control: SocketAddr,
    wire: PathBuf,
    child: Child,
    http: reqwest::Client,
}

/// What is simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Smsc,
    Modem,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Entry {
    SubmitSm(Submit),
    DataSm(Submit),
    DeliverSm {
        message_id: Option<String>,
        stat: Option<String>,
    },
    SmsSubmit {
        #[serde(flatten)]
        submit: Submit,
        /// TP-MR.
        reference: u8,
        sent: bool,
    },
    SmsDeliver {
        /// TP-MR and TP-ST of a status report.
        report: Option<(u8, u8)>,
    },
    #[serde(other)]
    Other,
}

impl Carrier {
    /// Starts `nudged sim smsc` or `sim modem` with `flags`, its wire log in `dir`.
    pub async fn start(
        kind: Kind,
        name: &'static str,
        what: &'static str,
        dir: &Path,
        flags: &[&str],
        clock: &Clock,
    ) -> Result<Carrier, DemoError> {
        let failed = |why: String| DemoError::Carrier(name, why);
        let program = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
        let wire = dir.join(format!("{name}.wire"));
        let mut child = Command::new(program)
            .args(place(kind, &dir.join(name)))
            .args(["--control", "127.0.0.1:0", "--quiet", "--until-stdin-ends"])
            .arg("--wire")
            .arg(&wire)
            .args(flags)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C in a terminal is for the demo, which still has to hear the carriers out.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(error.to_string()))?;
        let stdout = child.stdout.take().ok_or_else(|| failed(String::from("it has no output")))?;
        let mut lines = BufReader::new(stdout).lines();
        let named = async {
            let address = told(&mut lines, "listening on ").await?;
            Some((address, told(&mut lines, "control on ").await?.parse().ok()?))
        };
        let named = clock.within(START_WITHIN, named).await.flatten();
        let (address, control) = named.ok_or_else(|| failed(String::from("it named no address")))?;
        let http = reqwest::Client::builder().timeout(ANSWER_WITHIN).no_proxy().build();
        let http = http.map_err(|error| failed(error.to_string()))?;
        Ok(Carrier { kind, name, what, address, control, wire, child, http })
    }

    /// Drops all connections of this moment.
    pub async fn hang_up(&self) -> Result<(), DemoError> {
        let asked = self.http.post(format!("http://{}/hangup", self.control)).send().await;
        let answered = asked.and_then(reqwest::Response::error_for_status);
        answered.map(drop).map_err(|error| self.failed(error.to_string()))
    }

    /// A phone of this network writes to us.
    pub async fn answer(&self, from: &str, text: &str) -> Result<(), DemoError> {
        let mut body = json!({ "from": from, "text": text });
        if self.kind == Kind::Smsc {
            // A modem has its own number, which it knows.
            body["to"] = OWN_NUMBER.into();
        }
        let asked = self.http.post(format!("http://{}/reply", self.control)).json(&body).send().await;
        let answered = asked.and_then(reqwest::Response::error_for_status);
        answered.map(drop).map_err(|error| self.failed(error.to_string()))
    }

    /// Segments it ever had unanswered at the same time.
    pub async fn most_in_flight(&self) -> Result<u64, DemoError> {
        let asked = self.http.get(format!("http://{}/stats", self.control)).send().await;
        let stats: Value = match asked {
            Ok(response) => response.json().await.map_err(|error| self.failed(error.to_string()))?,
            Err(error) => return Err(self.failed(error.to_string())),
        };
        let most = stats["most_in_flight"].as_u64();
        most.ok_or_else(|| self.failed(String::from("its counts cannot be read")))
    }

    /// Ends the process and reads what it wrote down.
    pub async fn finish(mut self) -> Result<CarrierLog, DemoError> {
        if let Err(error) = self.child.kill().await {
            return Err(self.failed(error.to_string()));
        }
        let text = std::fs::read_to_string(&self.wire).map_err(|error| self.failed(error.to_string()))?;
        read_wire(self.name, &text).map_err(|error| self.failed(format!("wire log: {error}")))
    }

    fn failed(&self, why: String) -> DemoError {
        DemoError::Carrier(self.name, why)
    }
}

/// Where it is to be found.
fn place(kind: Kind, link: &Path) -> Vec<OsString> {
    match kind {
        Kind::Smsc => ["sim", "smsc", "--listen", "127.0.0.1:0"].map(OsString::from).into(),
        Kind::Modem => vec!["sim".into(), "modem".into(), "--link".into(), link.into()],
    }
}

async fn told(lines: &mut Lines<BufReader<ChildStdout>>, before: &str) -> Option<String> {
    let line = lines.next_line().await.ok()??;
    line.strip_prefix(before).map(str::to_owned)
}

/// The lines of a wire log that the comparison is about.
fn read_wire(name: &str, text: &str) -> serde_json::Result<CarrierLog> {
    let mut log = CarrierLog { name: name.to_owned(), ..CarrierLog::default() };
    for line in text.lines() {
        match serde_json::from_str(line)? {
            Entry::SubmitSm(submit) | Entry::DataSm(submit) => log.submits.push(submit),
            Entry::DeliverSm { message_id: Some(message_id), stat: Some(stat) } => {
                log.receipts.push(Receipt { message_id, stat });
            }
            Entry::SmsSubmit { submit, reference, sent } => {
                let message_id = sent.then(|| reference.to_string());
                log.submits.push(Submit { message_id, ..submit });
            }
            Entry::SmsDeliver { report: Some((reference, status)) } => {
                // Words of SMPP, so that the comparison knows one kind of receipt.
                let stat = if status == RECEIVED { "DELIVRD" } else { "UNDELIV" };
                log.receipts.push(Receipt { message_id: reference.to_string(), stat: stat.into() });
            }
            Entry::DeliverSm { .. } | Entry::SmsDeliver { report: None } | Entry::Other => {}
        }
    }
    Ok(log)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn submits_and_receipts_are_read_from_a_wire_log_and_the_rest_is_passed_over() {
        let text = concat!(
            r#"{"kind":"bind","at":"","conn":1,"peer":"","system_id":"","bind":"","status":0}"#,
            "\n",
            r#"{"kind":"submit_sm","at":"","to":"+49","text":"a","segment":{"ref":1,"total":2,"number":1},"#,
            r#""message_id":null,"status":88,"udh":"00"}"#,
            "\n",
            r#"{"kind":"deliver_sm","message_id":"7","stat":"DELIVRD","status":0}"#,
            "\n",
            r#"{"kind":"deliver_sm","message_id":null,"stat":null,"status":0}"#,
            "\n",
        );
        let log = read_wire("c", text).unwrap();
        assert_eq!((log.submits.len(), log.receipts.len()), (1, 1));
        assert_eq!((log.submits[0].status, log.submits[0].segment.unwrap().total), (Some(88), 2));
        assert_eq!(log.receipts[0].message_id, "7");
    }

    #[test]
    fn a_wire_log_that_is_cut_off_is_refused() {
        assert!(read_wire("c", r#"{"kind":"submit_sm","to":"#).is_err());
    }
}
