//! The link that is a modem, the network behind it, and the referee of both.
//!
//! A segment is written as a prompt asked for and a PDU ended by Ctrl-Z: before the Ctrl-Z nothing of it is out,
//! after it the dice say whether it went on the air. The modem names what it sent by a TP-MR of 0..=255 that
//! begins where it likes at each start of the modem, always near the end, so that MRs wrap and come again soon.
//! The network reports by MR and recipient: before the answer, late, twice, never, after wraps, and for messages
//! whose answer nobody heard. Each airing ends in one way, and a report repeats that.
//!
//! The referee knows what was on the air. It allows one ambiguity: several messages to one number that were on
//! the air under one MR are the same to everybody, for a report names nothing else; it may end any of them.
//! Whatever else a report is credited to is an error.

use nudged::link::{Inbound, LinkEvent, Outcome, Receipt, RetryClass, Submission};
use nudged::message::{
    Attempt, Cause, Head, Msisdn, RawCode, Reason, ReceiptState, Reference, SegmentState, State, UnknownWhy,
};

use super::{MessageId, World, recipient};

pub(super) const MODEM: usize = 3;
pub(super) const NAME: &str = "delta";
/// A stranger with the same SIM wrote to this number.
const STRANGER: u64 = 100;
/// Where MRs begin at a start of the modem: one of so many below 256.
const FIRST_MRS: u64 = 4;
/// Reports are mostly of so many latest airings.
const LATEST: usize = 4;

/// A segment that was on the air.
struct Airing {
    id: MessageId,
    index: u8,
    lease: u64,
    to: Msisdn,
    mr: u8,
    /// It asked for a report (TP-SRR).
    asks: bool,
    /// How it ends in the network, once that is rolled.
    end: Option<ReceiptState>,
    /// A report was handed up that says so, or that it is on its way.
    told: bool,
    told_pending: bool,
}

impl Airing {
    fn is_of(&self, id: MessageId, index: u8) -> bool {
        (self.id, self.index) == (id, index)
    }

    fn reference(&self) -> Reference {
        Reference(self.mr.to_string())
    }
}

pub(super) struct Modem {
    next_mr: u8,
    airings: Vec<Airing>,
    /// Its session lives but the network is gone.
    deaf: bool,
}

impl Default for Modem {
    fn default() -> Modem {
        Modem { next_mr: 254, airings: Vec::new(), deaf: false }
    }
}

impl World {
    pub(super) fn modem_event(&mut self) {
        match self.dice.below(24) {
            0 => self.modem_dies(true),
            1 => self.modem_dies(false),
            2 => self.lose_registration(),
            3..=8 if !self.links[MODEM].up => self.raise_modem(),
            3 | 4 => self.no_prompt(),
            _ => self.report(),
        }
    }

    /// Ctrl-Z is written: whether the modem sends it nobody here knows before its answer.
    pub(super) fn end_of_pdu(&mut self, s: &Submission) {
        if !self.calm && self.dice.chance(25) {
            return;
        }
        let mr = self.modem.next_mr;
        self.modem.next_mr = mr.wrapping_add(1);
        self.trace(|| format!("on the air {} {} as {mr} to {}", s.id, s.index, s.to));
        let (id, index) = (s.id, s.index);
        self.modem.airings.push(Airing {
            id,
            index,
            lease: s.lease,
            to: s.to,
            mr,
            asks: s.receipt,
            end: None,
            told: false,
            told_pending: false,
        });
        let times = self.modem.airings.iter().filter(|airing| airing.is_of(id, index)).count();
        let permitted = self.wire.get(&(id, index)).map_or(0, |wire| wire.decided);
        assert!(times <= 1 + permitted as usize, "{id} {index} was on the air {times} times");
    }

    /// What the modem answers, which is true of that sending.
    pub(super) fn modem_verdict(&mut self, s: &Submission) -> Outcome {
        let sent = self.modem.airings.iter().find(|a| a.is_of(s.id, s.index) && a.lease == s.lease);
        if let Some(airing) = sent {
            let reference = airing.reference();
            let unnamed = !self.calm && self.dice.chance(5);
            return Outcome::Accepted { reference: if unnamed { Reference::ABSENT } else { reference } };
        }
        self.wire.entry((s.id, s.index)).or_default().refused = true;
        let (reason, code, retry) = match self.dice.below(10) {
            _ if self.calm => (Reason::NetworkTemporary, 41, RetryClass::Temporary),
            0..=6 => (Reason::NetworkTemporary, 41, RetryClass::Temporary),
            7 | 8 => (Reason::NetworkBadNumber, 1, RetryClass::Permanent),
            _ => (Reason::ModemNoServiceCentre, 330, RetryClass::Park),
        };
        Outcome::Refused { cause: Cause::new(reason, RawCode::Cms(code)), retry }
    }

    /// It does not ask for the PDU: ESC, and nothing of it is with the modem.
    fn no_prompt(&mut self) {
        let link = &mut self.links[MODEM];
        if !link.unwritten.is_empty() {
            let s = link.unwritten.remove(0);
            link.events.push(LinkEvent::Outcome { id: s.id, index: s.index, outcome: Outcome::Unwritten });
        }
    }

    /// It starts anew, or its device is gone and what it was asked it may still answer when it is back.
    fn modem_dies(&mut self, anew: bool) {
        self.trace(|| format!("the modem dies, anew: {anew}"));
        let link = &mut self.links[MODEM];
        let was_up = std::mem::replace(&mut link.up, false);
        for s in link.unwritten.drain(..) {
            link.events.push(LinkEvent::Outcome { id: s.id, index: s.index, outcome: Outcome::Unwritten });
        }
        if anew {
            link.late.clear();
        }
        for s in link.written.drain(..) {
            let (id, index) = (s.id, s.index);
            let outcome = Outcome::Unknown { why: UnknownWhy::LinkLost };
            link.events.push(LinkEvent::Outcome { id, index, outcome });
            let sending = self.wire.get(&(id, index)).map_or(0, |wire| wire.writes);
            if !anew {
                link.late.push((s, sending));
            }
        }
        if was_up || self.modem.deaf {
            link.events.push(LinkEvent::Down { reason: String::from("device gone") });
        }
        self.modem.deaf = false;
        self.people.link_dropped(MODEM);
        if anew {
            let back = self.dice.below(FIRST_MRS) as u8;
            self.modem.next_mr = 255 - back;
        }
    }

    /// It can send nothing for now; what it was asked it still answers.
    fn lose_registration(&mut self) {
        let link = &mut self.links[MODEM];
        if !std::mem::replace(&mut link.up, false) {
            return;
        }
        self.modem.deaf = true;
        for s in link.unwritten.drain(..) {
            link.events.push(LinkEvent::Outcome { id: s.id, index: s.index, outcome: Outcome::Unwritten });
        }
        link.events.push(LinkEvent::Down { reason: String::from("no network") });
    }

    pub(super) fn raise_modem(&mut self) {
        self.modem.deaf = false;
        self.links[MODEM].up = true;
        self.links[MODEM].events.push(LinkEvent::Up);
    }

    /// The network reports on something that was on the air, whatever the modem said of it.
    fn report(&mut self) {
        if !self.links[MODEM].up {
            return;
        }
        if self.dice.chance(4) {
            let reference = Reference((255 - self.dice.below(FIRST_MRS)).to_string());
            let receipt = status_report(reference, ReceiptState::Delivered, Some(recipient(STRANGER)));
            self.inbound(MODEM, Inbound::Receipt(receipt));
            return;
        }
        let asks: Vec<usize> =
            (0..self.modem.airings.len()).filter(|&at| self.modem.airings[at].asks).collect();
        let from = if self.dice.chance(70) { asks.len().saturating_sub(LATEST) } else { 0 };
        let Some(at) = self.dice.pick(&asks[from..]).map(|at| asks[from + at]) else { return };
        let (pending, fails) = (self.dice.chance(15), self.dice.chance(25));
        let form = self.dice.below(20);
        let airing = &mut self.modem.airings[at];
        let (reference, to) = (airing.reference(), airing.to);
        let state = if pending && airing.end.is_none() {
            airing.told_pending = true;
            ReceiptState::Pending
        } else {
            let failed = ReceiptState::Failed(Cause::new(Reason::NetworkExpired, RawCode::TpStatus(0x46)));
            airing.told = true;
            airing.end.get_or_insert(if fails { failed } else { ReceiptState::Delivered }).clone()
        };
        let recipient = match form {
            0 => None,
            // Without its country.
            1 | 2 => Some(Msisdn::from_u64(to.as_u64() % 1_000_000_000)),
            _ => Some(to),
        };
        self.inbound(MODEM, Inbound::Receipt(status_report(reference, state, recipient)));
    }

    /// What is shown of a segment that the modem sent is what became of it on the air.
    pub(super) fn check_modem(&self) {
        for (id, head) in self.heads() {
            for (at, attempt) in head.attempts.iter().enumerate().filter(|(_, a)| a.link.as_str() == NAME) {
                for (index, segment) in (0u8..).zip(&attempt.segments) {
                    self.check_segment((id, index), segment, &head, at);
                }
            }
        }
    }

    fn check_segment(&self, (id, index): (MessageId, u8), segment: &SegmentState, head: &Head, at: usize) {
        let own = || self.modem.airings.iter().filter(|a| a.is_of(id, index));
        // Which attempt was that sending of.
        let of = |a: &Airing| head.attempts.iter().position(|attempt| attempt.lease >= a.lease);
        let alike = |a: &Airing, b: &Airing| (b.mr, b.to) == (a.mr, a.to) && b.asks;
        let reported = |fits: &dyn Fn(&Airing) -> bool| {
            own().any(|a| self.modem.airings.iter().any(|b| alike(a, b) && fits(b)))
        };
        match segment {
            SegmentState::Delivered { .. } => {
                let fits = |b: &Airing| b.told && b.end == Some(ReceiptState::Delivered);
                assert!(reported(&fits), "{id} {index} is delivered and no report says so: {head:?}");
            }
            SegmentState::Undelivered { .. } => {
                let fits = |b: &Airing| b.told && matches!(b.end, Some(ReceiptState::Failed(_)));
                assert!(reported(&fits), "{id} {index} is undelivered and no report says so: {head:?}");
            }
            SegmentState::Accepted { reference, .. } if *reference != Reference::ABSENT => {
                // Shown where it was sent, and in every attempt after that.
                let out = |attempt: &Attempt| attempt.segments[usize::from(index)].is_out();
                let shown = |from: usize| from <= at && head.attempts[from..at].iter().all(out);
                let answered = own().any(|a| a.reference() == *reference && of(a).is_some_and(shown));
                let fits = |b: &Airing| b.told_pending && b.reference() == *reference;
                assert!(answered || reported(&fits), "{id} {index} was never {reference:?}: {head:?}");
            }
            SegmentState::Refused { .. } => {
                assert!(
                    own().all(|a| of(a) != Some(at)),
                    "{id} {index} was on the air and is refused: {head:?}"
                );
            }
            _ => {}
        }
    }

    /// What was on the air never ends as not sent, unless a person said so.
    pub(super) fn check_airings(&self) {
        for airing in &self.modem.airings {
            let head = self.head(airing.id);
            let State::Closed { how, .. } = &head.state else { continue };
            let by_person = how.cause().is_some_and(|cause| cause.reason == Reason::OperatorFailed);
            let mut states = head.attempts.iter().filter_map(|a| a.segments.get(usize::from(airing.index)));
            let out = states.any(SegmentState::is_out);
            assert!(by_person || out, "{} {} was on the air, but {head:?}", airing.id, airing.index);
        }
    }
}

fn status_report(reference: Reference, state: ReceiptState, recipient: Option<Msisdn>) -> Receipt {
    Receipt {
        reference: Some(reference),
        alternatives: vec![],
        state,
        recipient,
        user_message_reference: None,
        raw: None,
    }
}
