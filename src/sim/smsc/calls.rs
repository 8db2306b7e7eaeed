//! The calls of the control API that an SMSC answers.

use serde::Deserialize;
use serde_json::{Value, json};

use super::center::{BadRequest, Center};
use crate::clock::Clock;
use crate::sim::control::{Controlled, Refusal};
use crate::sim::fault::{BadFault, Fault};
use crate::sim::wire::WireLog;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reply {
    from: String,
    to: String,
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Receipt {
    message_id: String,
    stat: String,
    #[serde(default = "no_error")]
    err: String,
}

fn no_error() -> String {
    String::from("000")
}

impl From<BadRequest> for Refusal {
    fn from(bad: BadRequest) -> Refusal {
        match bad {
            BadRequest::UnknownMessage => Refusal::Unknown(bad.to_string()),
            BadRequest::NobodyToReceive => Refusal::Conflict(bad.to_string()),
            BadRequest::Text(_) => Refusal::Unwritable(bad.to_string()),
        }
    }
}

impl Controlled for Center {
    fn clock(&self) -> &Clock {
        &self.clock
    }

    fn log(&self) -> Option<&WireLog> {
        self.log.as_ref()
    }

    fn stats(&self) -> serde_json::Result<Vec<u8>> {
        Center::stats(self)
    }

    fn plan(&self, fault: Fault) -> Result<(), BadFault> {
        Center::plan(self, fault)
    }

    fn hang_up(&self) {
        Center::hang_up(self);
    }

    fn post(&self, call: &str, body: &[u8]) -> Result<Value, Refusal> {
        let now = self.clock.now();
        match call {
            "/reply" => {
                let reply: Reply = serde_json::from_slice(body)?;
                short(&[&reply.from, &reply.to], 20)?;
                let segments = self.reply(&reply.from, &reply.to, &reply.text, now.mono)?;
                Ok(json!({ "segments": segments }))
            }
            "/receipt" => {
                let receipt: Receipt = serde_json::from_slice(body)?;
                short(&[&receipt.stat, &receipt.err], 16)?;
                self.receipt(&receipt.message_id, &receipt.stat, &receipt.err, now)?;
                Ok(json!({}))
            }
            "/hold" => {
                self.hold();
                Ok(json!({}))
            }
            "/release" => {
                self.release();
                Ok(json!({}))
            }
            _ => Err(Refusal::NotFound),
        }
    }
}

fn short(texts: &[&str], most: usize) -> Result<(), Refusal> {
    if texts.iter().all(|text| text.len() <= most) {
        return Ok(());
    }
    Err(Refusal::Unwritable("a number has at most 20 characters, a stat and an err at most 16".into()))
}
