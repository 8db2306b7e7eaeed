//! The calls of the control API that a modem answers.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::device::BACK_AFTER;
use super::network::{self, Unwritable};
use super::run::Shared;
use super::storage::Name;
use crate::clock::Clock;
use crate::sim::control::{Controlled, Refusal};
use crate::sim::fault::{BadFault, Fault};
use crate::sim::wire::WireLog;

/// Digits of a number, its + included (3GPP TS 23.040 section 9.1.2.5).
const LONGEST_NUMBER: usize = 21;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reply {
    from: String,
    text: String,
    /// The modem's own number, where it is given.
    to: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Receipt {
    /// TP-MR.
    reference: u8,
    /// TP-ST; 0 is delivered.
    #[serde(default)]
    status: u8,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Deliver {
    pdu: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fill {
    storage: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Network {
    registration: Option<u8>,
    signal: Option<u8>,
}

impl From<Unwritable> for Refusal {
    fn from(bad: Unwritable) -> Refusal {
        match bad {
            Unwritable::UnknownReference => Refusal::Unknown(bad.to_string()),
            Unwritable::TooMany => Refusal::Conflict(bad.to_string()),
            Unwritable::Split(_) | Unwritable::Tpdu(_) | Unwritable::Length => {
                Refusal::Unwritable(bad.to_string())
            }
        }
    }
}

impl Controlled for Shared {
    fn clock(&self) -> &Clock {
        &self.clock
    }

    fn log(&self) -> Option<&WireLog> {
        Some(&self.log)
    }

    fn stats(&self) -> serde_json::Result<Vec<u8>> {
        let device = self.lock();
        let mut json = serde_json::to_value(&device.stats)?;
        json["waiting"] = device.held.len().into();
        json["unacknowledged_now"] = device.unacknowledged.is_some().into();
        for storage in device.storages.all() {
            json["stored"][storage.name().to_string()] = storage.used().into();
        }
        serde_json::to_vec(&json)
    }

    fn plan(&self, fault: Fault) -> Result<(), BadFault> {
        self.change(|device, _| device.plan(fault))
    }

    fn hang_up(&self) {
        self.change(|device, now| device.pull(now, false, None));
    }

    fn post(&self, call: &str, body: &[u8]) -> Result<Value, Refusal> {
        match call {
            "/reply" => {
                let reply: Reply = serde_json::from_slice(body)?;
                self.is_own(reply.to.as_deref())?;
                if reply.from.len() > LONGEST_NUMBER {
                    return Err(Refusal::Unwritable("a number has at most 20 digits".into()));
                }
                let sent =
                    self.change(|device, now| device.reply(&reply.from, &reply.text, Duration::ZERO, now));
                Ok(json!({ "segments": sent? }))
            }
            "/receipt" => {
                let Receipt { reference, status } = serde_json::from_slice(body)?;
                self.change(|device, now| device.report(reference, status, Duration::ZERO, false, now))?;
                Ok(json!({}))
            }
            "/deliver" => {
                let deliver: Deliver = serde_json::from_slice(body)?;
                let tpdu = crate::sms::hex::decode(&deliver.pdu);
                let tpdu = tpdu.map_err(|bad| Refusal::Unwritable(bad.to_string()))?;
                let inbound = network::raw(&tpdu)?;
                let id = self.change(|device, now| device.arrive(inbound, Duration::ZERO, now))?;
                Ok(json!({ "id": id }))
            }
            "/fill" => {
                let fill: Fill = serde_json::from_slice(body)?;
                let storage = Name::parse(&fill.storage);
                let storage = storage.ok_or_else(|| Refusal::Unknown("storages are SM, ME and SR".into()))?;
                self.change(|device, now| device.fill(storage, now));
                Ok(json!({}))
            }
            "/network" => {
                let network: Network = serde_json::from_slice(body)?;
                self.change(|device, _| {
                    network.signal.into_iter().for_each(|signal| device.settings.signal = signal);
                    network.registration.into_iter().for_each(|stat| device.register(stat));
                });
                Ok(json!({}))
            }
            "/reboot" => {
                self.change(|device, now| device.reboot(now));
                Ok(json!({}))
            }
            "/plug" => {
                self.change(|device, now| device.plug_in(now));
                Ok(json!({ "within_ms": BACK_AFTER.as_millis() as u64 }))
            }
            _ => Err(Refusal::NotFound),
        }
    }
}

impl Shared {
    /// Whoever writes to another number reaches another modem.
    fn is_own(&self, to: Option<&str>) -> Result<(), Refusal> {
        let own = self.lock().options.number.clone();
        match to {
            Some(to) if to != own => {
                Err(Refusal::Unknown(format!("{to} is not this modem's number, {own} is")))
            }
            _ => Ok(()),
        }
    }
}
