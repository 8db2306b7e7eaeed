//! What a modem says that nobody asked for at that moment, and what it does to the session: announcements, boot
//! lines, our own bytes, and answers to what was given up.

use std::time::Instant;

use super::carried::{Late, LateWhy};
use super::errors::{Fault, Meaning, meaning, refusal};
use super::lines::Heard;
use super::send::reference_of;
use super::session::{ModemSession, Phase, Wire};
use super::urc::Urc;
use crate::link::{LinkEvent, Outcome};
use crate::message::{Cause, Reason, UnknownWhy};
use crate::retry::RetryClass;

impl ModemSession {
    /// Something came back that was written. A modem that was told not to do that has lost its settings.
    pub(super) fn echoed(&mut self, now: Instant) {
        match &mut self.phase {
            Phase::Init(init) if !init.has_obeyed() => self.echoes = init.is_past_echo(),
            Phase::Init(_) | Phase::Ready if !self.echoes => {
                self.output.clear();
                self.clear_line();
                let pending = self.output.split();
                self.restart("it echoes", now);
                self.output = pending;
            }
            Phase::Init(_) | Phase::Ready | Phase::Draining { .. } | Phase::Finished => {}
        }
    }

    pub(super) fn announced(&mut self, urc: Urc, now: Instant) {
        match urc {
            Urc::Stored(Some(place)) => self.inbox.announced(place),
            Urc::Stored(None) | Urc::Storage => self.inbox.sweep_all(),
            Urc::Routed(routed) => self.routed(&routed, now),
            Urc::Registration { network, stat } => self.standing.announced(network, stat),
            Urc::PowerDown(line) => {
                self.settle_all(UnknownWhy::LinkLost, None, now);
                self.finish(format!("the modem goes off: {line}"));
            }
            Urc::Boot(line) => self.booted(&line, now),
            Urc::Other => {}
        }
    }

    fn booted(&mut self, line: &str, now: Instant) {
        match &self.phase {
            Phase::Ready => self.restart(line, now),
            Phase::Init(init) if init.is_restarted_by(line) => self.restart(line, now),
            Phase::Draining { .. } => {
                self.settle_all(UnknownWhy::LinkLost, None, now);
                self.finish(String::from("stopped"));
            }
            Phase::Init(_) | Phase::Finished => {}
        }
    }

    /// +CMGS: while no segment awaits it.
    pub(super) fn late_reference(&mut self, line: &str, now: Instant) {
        // The OK behind it would end the command that is on the wire now.
        self.late_ok = matches!(self.wire, Wire::Asked { .. } | Wire::Probing { .. });
        if let Some(Late { id, index, lease, .. }) = self.carried.pop_late(now) {
            let outcome = Outcome::Accepted { reference: reference_of(line) };
            self.emit(LinkEvent::Late { id, index, lease, outcome });
        }
    }

    /// An error while no command is on the wire: it answers what was given up.
    pub(super) fn late_fault(&mut self, heard: Heard, now: Instant) {
        let Heard::Failed(fault @ (Fault::Cms(_) | Fault::Cme(_))) = heard else { return };
        let Some(Late { id, index, lease, why, .. }) = self.carried.pop_late(now) else { return };
        if why == LateWhy::Overtaken {
            return;
        }
        let what = meaning(&fault, self.profile.vendor);
        let (cause, retry) = match (refusal(what, &fault), what) {
            (Some(refusal), _) => refusal,
            (None, Meaning::Unknown) => return,
            (None, _) => (Cause { reason: Reason::ModemFault, raw: fault.raw() }, RetryClass::Temporary),
        };
        self.emit(LinkEvent::Late { id, index, lease, outcome: Outcome::Refused { cause, retry } });
    }
}
