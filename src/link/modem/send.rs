//! The send transaction (3GPP TS 27.005 section 4.3; modem.md 3.4).
//!
//! ```text
//! AwaitPrompt -- `>` --> Prompted -- PDU and Ctrl-Z taken --> AwaitReference -- +CMGS, OK, error --> outcome
//!     `-- error, recall, 5 s: ESC, not sent                       `-- 120 s: unknown, still listened for
//! ```
//! While an answer is awaited late, the next one may be that: it is believed when no second one has followed it
//! for [`SETTLE`], and as a refusal not even then.

use std::time::{Duration, Instant};

use super::carried::{Late, LateWhy};
use super::command::{Command, PROMPT, SUBMIT};
use super::errors::{self, Fault, Meaning, meaning, meaning_before};
use super::lines::{Expect, Heard};
use super::network::Standing;
use super::session::{DRAIN, ModemSession, Purpose, Wire};
use super::submit::Item;
use crate::id::MessageId;
use crate::link::session::SessionEvent;
use crate::link::{LinkEvent, Outcome};
use crate::message::{Cause, Reason, Reference, UnknownWhy};
use crate::retry::RetryClass;

/// Between +CMGS and its OK, and between an OK without +CMGS and the end of waiting for one.
const OK_LIMIT: Duration = Duration::from_secs(2);
/// The same of a modem that does name references: that of this one came damaged, or the OK is an earlier
/// command's and the answer still to come. It is unknown then.
const REFERENCE_LIMIT: Duration = Duration::from_secs(15);
/// See the head of the file.
const SETTLE: Duration = Duration::from_secs(5);
/// After ESC a modem says OK, ERROR or nothing.
const AFTER_ESC: Duration = Duration::from_millis(300);
/// A prompt that fails to come this often in a row is a stalled modem.
const NO_PROMPTS: u8 = 3;
/// The first wait of a busy modem, which doubles to the last, and how many there are.
const BUSY_FIRST: Duration = Duration::from_millis(200);
const BUSY_LONGEST: Duration = Duration::from_secs(2);
const BUSY_TRIES: u8 = 6;
/// Segments refused in a row that make a SIM suspect, and the wait between them.
const SUSPECTS: u8 = 3;
const SUSPECT_WAIT: Duration = Duration::from_secs(5);
/// Segments after which a held relay link is released, so that messages for us come through.
const BURST: u8 = 30;
/// Two segments within this are a burst.
const BURST_GAP: Duration = Duration::from_secs(1);
/// The relay link is held no longer when nothing was sent for this long.
const HOLD_IDLE: Duration = Duration::from_secs(5);
const CTRL_Z: u8 = 0x1A;

/// Where the segment on the wire stands.
#[derive(Debug)]
pub enum Sending {
    AwaitPrompt {
        item: Item,
        until: Instant,
    },
    /// The prompt is there; the PDU goes with the next output.
    Prompted {
        item: Item,
    },
    /// Past the point of no return.
    AwaitReference {
        item: Item,
        written: Instant,
        until: Instant,
        so_far: SoFar,
    },
    /// An answer came that may be an earlier segment's.
    Settling {
        item: Item,
        written: Instant,
        first: Verdict,
        until: Instant,
    },
}

/// What of the answer has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SoFar {
    Nothing,
    /// +CMGS; its OK is missing.
    Reference(Reference),
    /// OK; a modem that names no reference says no more.
    BareOk,
    /// OK of a modem that names references.
    NoReference,
}

/// An answer to a PDU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Accepted(Reference),
    Failed(Fault),
}

impl Sending {
    pub fn is_submitted(&self) -> bool {
        matches!(self, Sending::AwaitReference { .. } | Sending::Settling { .. })
    }

    pub fn expect(&self) -> Expect {
        match self {
            Sending::AwaitPrompt { .. } => Expect::Prompt,
            Sending::Prompted { .. } => Expect::Nothing,
            Sending::AwaitReference { .. } | Sending::Settling { .. } => Expect::Prefixed("+CMGS:"),
        }
    }

    pub fn deadline(&self) -> Option<Instant> {
        match self {
            Sending::Prompted { .. } => None,
            Sending::AwaitPrompt { until, .. }
            | Sending::AwaitReference { until, .. }
            | Sending::Settling { until, .. } => Some(*until),
        }
    }
}

/// What the transaction remembers from one segment to the next.
#[derive(Debug, Default)]
pub struct Sender {
    hold: Hold,
    /// Segments since the relay link was released.
    burst: u8,
    paced_until: Option<Instant>,
    /// The modem was busy, or its SIM is suspect.
    rests_until: Option<Instant>,
    suspects: u8,
    /// The segment that was refused so last.
    suspected: Option<(MessageId, u8)>,
    no_prompts: u8,
    /// It has said +CMGS once, so an OK alone is none of its answers.
    names_references: bool,
    answered_at: Option<Instant>,
}

/// AT+CMMS: whether the relay link is kept between two segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Hold {
    #[default]
    Off,
    On,
    Refused,
}

impl Sender {
    /// The modem has restarted.
    pub fn forget(&mut self) {
        *self =
            Sender { names_references: self.names_references, suspects: self.suspects, ..Sender::default() };
    }

    pub fn is_holding(&self) -> bool {
        self.hold == Hold::On
    }

    pub fn held(&mut self, ok: bool) {
        self.hold = if ok { Hold::On } else { Hold::Refused };
        self.burst = 0;
    }

    pub fn released(&mut self) {
        self.hold = Hold::Off;
        self.burst = 0;
    }

    fn is_bursting(&self, now: Instant) -> bool {
        self.answered_at.is_some_and(|at| now < at + BURST_GAP)
    }

    /// When the held link is given up, where nothing waits.
    pub fn release_at(&self) -> Option<Instant> {
        self.answered_at.filter(|_| self.is_holding()).map(|at| at + HOLD_IDLE)
    }

    /// When a segment that waits may go.
    pub fn may_at(&self) -> Option<Instant> {
        self.paced_until.into_iter().chain(self.rests_until).max()
    }
}

impl ModemSession {
    /// Begins the next segment; whether something was written.
    pub(super) fn send_next(&mut self, now: Instant) -> bool {
        let up = self.standing == Standing::Up;
        self.sender.paced_until = None;
        self.sender.rests_until = self.sender.rests_until.filter(|until| now < *until);
        if !up || self.queue.is_empty() || self.sender.rests_until.is_some() || self.chores.is_overdue(now) {
            return false;
        }
        if self.sender.is_holding() && self.sender.burst >= BURST {
            self.ask(Command::plain("AT+CMMS=0"), Purpose::Release, now);
            return true;
        }
        let bursting = self.queue.len() > 1 || self.sender.is_bursting(now);
        if self.profile.keeps_link && self.sender.hold == Hold::Off && bursting {
            self.ask(Command::plain("AT+CMMS=2"), Purpose::Hold, now);
            return true;
        }
        self.sender.paced_until = self.pace.take(now).err();
        if self.sender.paced_until.is_some() {
            return false;
        }
        let Some(item) = self.queue.pop_front() else { return false };
        self.write_line(&format!("AT+CMGS={}", item.length));
        self.wire = Wire::Sending(Sending::AwaitPrompt { item, until: now + PROMPT });
        true
    }

    /// The point of no return.
    pub(super) fn write_pdu(&mut self, now: Instant) {
        match std::mem::replace(&mut self.wire, Wire::Quiet) {
            Wire::Sending(Sending::Prompted { item }) => {
                self.output.extend_from_slice(item.pdu.as_bytes());
                self.output.extend_from_slice(&[CTRL_Z]);
                self.expect_echo(&item.pdu.clone());
                self.sender.no_prompts = 0;
                self.wire = Wire::Sending(Sending::AwaitReference {
                    item,
                    written: now,
                    until: now + SUBMIT,
                    so_far: SoFar::Nothing,
                });
            }
            other => self.wire = other,
        }
    }

    pub(super) fn hear_sending(&mut self, heard: Heard, now: Instant) {
        let Wire::Sending(sending) = std::mem::replace(&mut self.wire, Wire::Quiet) else { return };
        match (sending, heard) {
            (Sending::AwaitPrompt { item, .. }, Heard::Prompt) => {
                self.wire = Wire::Sending(Sending::Prompted { item });
            }
            (Sending::AwaitPrompt { item, .. }, Heard::Failed(fault)) => {
                let what = meaning_before(&fault, self.profile.vendor);
                self.refuse(item, &fault, what, now);
            }
            // It was no prompt after all.
            (Sending::Prompted { item }, Heard::Failed(_)) => self.abort(&item, now),
            (Sending::AwaitReference { item, written, until, so_far }, heard) => {
                self.hear_reference(item, (written, until), so_far, heard, now);
            }
            (Sending::Settling { item, written, first, until }, heard) => match heard {
                Heard::Info { head, .. } => {
                    self.give_late(first, now);
                    let so_far = SoFar::Reference(reference_of(&head));
                    self.await_reference(item, (written, now + OK_LIMIT), so_far);
                }
                Heard::Failed(fault) => {
                    self.give_late(first, now);
                    self.settle(item, written, Verdict::Failed(fault), now);
                }
                _ => self.wire = Wire::Sending(Sending::Settling { item, written, first, until }),
            },
            // An OK before the prompt belongs to something earlier.
            (sending, _) => self.wire = Wire::Sending(sending),
        }
    }

    fn hear_reference(
        &mut self,
        item: Item,
        (written, until): (Instant, Instant),
        so_far: SoFar,
        heard: Heard,
        now: Instant,
    ) {
        match (so_far, heard) {
            (SoFar::Nothing, Heard::Info { head, .. }) => {
                self.sender.names_references = true;
                let so_far = SoFar::Reference(reference_of(&head));
                self.await_reference(item, (written, until.min(now + OK_LIMIT)), so_far);
            }
            (SoFar::BareOk | SoFar::NoReference, Heard::Info { head, .. }) => {
                self.sender.names_references = true;
                self.settle(item, written, Verdict::Accepted(reference_of(&head)), now);
            }
            // A second one although the first has had no OK: an earlier segment's came first.
            (SoFar::Reference(first), Heard::Info { head, .. }) if self.carried.awaits_late(now) => {
                self.give_late(Verdict::Accepted(first), now);
                let so_far = SoFar::Reference(reference_of(&head));
                self.await_reference(item, (written, until), so_far);
            }
            (SoFar::Reference(reference), Heard::Ok | Heard::Failed(_)) => {
                self.settle(item, written, Verdict::Accepted(reference), now);
            }
            (SoFar::Nothing, Heard::Ok) if !self.sender.names_references => {
                self.await_reference(item, (written, now + OK_LIMIT), SoFar::BareOk);
            }
            (SoFar::Nothing, Heard::Ok) => {
                self.await_reference(item, (written, now + REFERENCE_LIMIT), SoFar::NoReference);
            }
            (SoFar::Nothing | SoFar::BareOk | SoFar::NoReference, Heard::Failed(fault)) => {
                self.settle(item, written, Verdict::Failed(fault), now);
            }
            (so_far, _) => self.await_reference(item, (written, until), so_far),
        }
    }

    fn await_reference(&mut self, item: Item, (written, until): (Instant, Instant), so_far: SoFar) {
        self.wire = Wire::Sending(Sending::AwaitReference { item, written, until, so_far });
    }

    /// The answer is complete; it may still be an earlier segment's.
    fn settle(&mut self, item: Item, written: Instant, verdict: Verdict, now: Instant) {
        if self.carried.awaits_late(now) {
            let until = now + SETTLE;
            self.wire = Wire::Sending(Sending::Settling { item, written, first: verdict, until });
        } else {
            self.conclude(item, written, verdict, now);
        }
    }

    fn conclude(&mut self, item: Item, written: Instant, verdict: Verdict, now: Instant) {
        self.push_event(SessionEvent::Answered { after: now.saturating_duration_since(written) });
        self.sender.answered_at = Some(now);
        self.sender.burst = self.sender.burst.saturating_add(1);
        self.answered_a_submit();
        match verdict {
            Verdict::Accepted(reference) => {
                self.sender.suspects = 0;
                self.pace.accepted(now);
                self.outcome(&item, Outcome::Accepted { reference });
            }
            Verdict::Failed(fault) => {
                let what = meaning(&fault, self.profile.vendor);
                self.refuse(item, &fault, what, now);
            }
        }
    }

    /// The first of two answers was that of a segment given up before.
    fn give_late(&mut self, verdict: Verdict, now: Instant) {
        let Some(Late { id, index, lease, why, .. }) = self.carried.pop_late(now) else { return };
        let outcome = match verdict {
            Verdict::Accepted(reference) => Outcome::Accepted { reference },
            Verdict::Failed(_) if why == LateWhy::Overtaken => return,
            Verdict::Failed(fault) => {
                let what = meaning(&fault, self.profile.vendor);
                match errors::refusal(what, &fault) {
                    Some((cause, retry)) => Outcome::Refused { cause, retry },
                    None => return,
                }
            }
        };
        self.emit(LinkEvent::Late { id, index, lease, outcome });
    }

    fn refuse(&mut self, mut item: Item, fault: &Fault, what: Meaning, now: Instant) {
        self.status.last_error = Some(format!("AT+CMGS: {fault}"));
        if fault.disputes_octets() && !item.disputed && !item.recalled {
            item.disputed = true;
            return self.queue.push_front(item);
        }
        if let Some((cause, retry)) = errors::refusal(what, fault) {
            let reason = cause.reason;
            self.outcome(&item, Outcome::Refused { cause, retry });
            match (reason, retry) {
                (Reason::ModemNoNetwork, _) => self.standing.doubt(),
                (Reason::ModemStorage, _) => self.inbox.sweep_all(),
                (_, RetryClass::Park) => self.park(format!("{} ({fault})", reason.sentence())),
                _ => {}
            }
            return;
        }
        match what {
            Meaning::Busy if item.recalled => self.outcome(&item, Outcome::Unwritten),
            Meaning::Busy if item.busy < BUSY_TRIES => {
                let wait = BUSY_FIRST * (1 << item.busy.min(4));
                self.sender.rests_until = Some(now + wait.min(BUSY_LONGEST));
                item.busy += 1;
                self.queue.push_front(item);
            }
            Meaning::Busy => {
                let cause = Cause { reason: Reason::ModemBusy, raw: fault.raw() };
                self.outcome(&item, Outcome::Refused { cause, retry: RetryClass::Temporary });
            }
            Meaning::Suspect => self.suspect(&item, fault, now),
            Meaning::SimState => {
                self.outcome(&item, Outcome::Unwritten);
                self.restart(&format!("the SIM is not usable ({fault})"), now);
            }
            _ => self.outcome(&item, Outcome::Unknown { why: UnknownWhy::NoAnswer }),
        }
    }

    /// The SIM or the number. One segment alone says nothing of the SIM, and must not hold the others up.
    fn suspect(&mut self, item: &Item, fault: &Fault, now: Instant) {
        self.sender.rests_until = Some(now + SUSPECT_WAIT);
        if self.sender.suspected.replace((item.id, item.index)) == Some((item.id, item.index)) {
            let cause = Cause { reason: Reason::NetworkRefused, raw: fault.raw() };
            return self.outcome(item, Outcome::Refused { cause, retry: RetryClass::Temporary });
        }
        self.outcome(item, Outcome::Unwritten);
        self.sender.suspects += 1;
        if self.sender.suspects >= SUSPECTS {
            let fault = fault.to_string();
            self.park(format!(
                "the network refuses the SIM: barred, without credit or without SMS ({fault})"
            ));
        }
    }

    /// Leaves the prompt stage: nothing of the segment is with the modem.
    fn abort(&mut self, item: &Item, now: Instant) {
        self.outcome(item, Outcome::Unwritten);
        self.clear_line();
        self.out_of_step = true;
        self.wire = Wire::Resting { until: now + AFTER_ESC.max(DRAIN) };
    }

    pub(super) fn recall_sending(&mut self, which: impl Fn(&Item) -> bool, now: Instant) {
        match std::mem::replace(&mut self.wire, Wire::Quiet) {
            Wire::Sending(Sending::AwaitPrompt { item, .. } | Sending::Prompted { item }) if which(&item) => {
                self.abort(&item, now);
            }
            Wire::Sending(mut sending) => {
                if let Sending::AwaitReference { item, .. } | Sending::Settling { item, .. } = &mut sending {
                    item.recalled |= which(item);
                }
                self.wire = Wire::Sending(sending);
            }
            other => self.wire = other,
        }
    }

    pub(super) fn sending_timed_out(&mut self, now: Instant) {
        let due = |sending: &Sending| sending.deadline().is_some_and(|until| now >= until);
        let Wire::Sending(sending) = std::mem::replace(&mut self.wire, Wire::Quiet) else { return };
        match sending {
            sending if !due(&sending) => self.wire = Wire::Sending(sending),
            Sending::AwaitPrompt { item, .. } => {
                tracing::warn!(event = "prompt_missing", link = %self.config.name, id = %item.id);
                self.status.last_error = Some(String::from("AT+CMGS: no prompt"));
                self.sender.no_prompts += 1;
                self.abort(&item, now);
                if self.sender.no_prompts >= NO_PROMPTS {
                    self.stall("the modem gives no prompt", now);
                }
            }
            Sending::AwaitReference { item, written, so_far, .. } => match so_far {
                SoFar::Nothing | SoFar::NoReference => {
                    self.outcome(&item, Outcome::Unknown { why: UnknownWhy::NoAnswer });
                    self.await_late(&item, LateWhy::Silence, now);
                    self.submit_unanswered(now);
                }
                SoFar::Reference(reference) => {
                    self.out_of_step = true;
                    self.settle(item, written, Verdict::Accepted(reference), now);
                }
                SoFar::BareOk => self.settle(item, written, Verdict::Accepted(Reference::ABSENT), now),
            },
            // Nobody knows whose refusal it was; of two acceptances the order is sure enough.
            Sending::Settling { item, first: Verdict::Failed(_), .. } => {
                self.outcome(&item, Outcome::Unknown { why: UnknownWhy::NoAnswer });
            }
            Sending::Settling { item, written, first, .. } => {
                self.carried.overtaken();
                self.conclude(item, written, first, now);
            }
            Sending::Prompted { item } => self.wire = Wire::Sending(Sending::Prompted { item }),
        }
    }

    /// The session ends, or the modem has restarted.
    pub(super) fn settle_sending(
        &mut self,
        sending: Sending,
        why: UnknownWhy,
        late: Option<LateWhy>,
        now: Instant,
    ) {
        match sending {
            Sending::AwaitPrompt { item, .. } | Sending::Prompted { item } => {
                self.outcome(&item, Outcome::Unwritten);
            }
            Sending::AwaitReference { item, so_far: SoFar::Reference(reference), .. }
                if !self.carried.awaits_late(now) =>
            {
                self.outcome(&item, Outcome::Accepted { reference });
            }
            Sending::AwaitReference { item, .. } | Sending::Settling { item, .. } => {
                self.outcome(&item, Outcome::Unknown { why });
                if let Some(late) = late {
                    self.await_late(&item, late, now);
                }
            }
        }
    }
}

/// TP-MR of `+CMGS: 5` or `+CMGS: 5,"26/11/22,05:44:13+00"`; absent where it is no number of one octet.
pub fn reference_of(line: &str) -> Reference {
    let value = line.trim_start_matches("+CMGS:").split(',').next().unwrap_or_default().trim();
    value.parse::<u8>().map_or(Reference::ABSENT, |mr| Reference(mr.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_one_octet_or_none() {
        for (line, wanted) in [
            ("+CMGS: 5", "5"),
            ("+CMGS:0", "0"),
            ("+CMGS: 255,\"26/11/22\"", "255"),
            ("+CMGS: -1", ""),
            ("+CMGS: 256", ""),
            ("+CMGS:", ""),
        ] {
            assert_eq!(reference_of(line).0, wanted, "{line}");
        }
    }
}
