//! A simulated link: what the core leases to it is written at its configured pace, answered, and receipted.
//!
//! It knows what a network knows: which segments were written, by whom it was sent last, and that it is out of
//! order for a while. Deterministic: the same submissions at the same instants give the same events.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::link::{
    Control, Inbound, InboundToken, LinkEvent, LinkFacts, Outcome, RawReply, Receipt, RetryClass, Submission,
    user_message_reference,
};
use crate::message::{Cause, Msisdn, RawCode, Reason, ReceiptState, Reference, UnknownWhy};
use crate::pace::Rate;

/// From a segment's bytes to its answer: an SMSC in reach.
const BIND_ANSWERS: Duration = Duration::from_millis(50);
/// The same of a modem: the radio takes seconds.
const MODEM_ANSWERS: Duration = Duration::from_secs(3);
/// From the answer to the receipt at least.
const DELIVERED_AFTER: Duration = Duration::from_secs(7);
/// Receipts come in bundles, so that weeks of them take few steps.
const BUNDLE: Duration = Duration::from_secs(30);

/// What the network does with texts to a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nobody has this number: refused for good.
    Refused,
    /// Taken, and never delivered.
    Undelivered,
    /// Taken, and no receipt comes.
    Silent,
    /// Written, and nobody answers.
    Unanswered,
}

/// What a link has to say at an instant.
#[derive(Debug, Default)]
pub(super) struct Spoken {
    pub events: Vec<LinkEvent>,
    pub inbound: Vec<(InboundToken, Inbound)>,
    /// Segments written, in order.
    pub written: Vec<Submission>,
    /// Something is past its validity and not written: the core's sweep takes it back.
    pub expired: bool,
}

pub(super) struct Wire {
    pub facts: LinkFacts,
    pub up: bool,
    /// Between two segments.
    gap: Duration,
    answers_after: Duration,
    next_write: Instant,
    /// It comes back then by itself.
    back_at: Option<Instant>,
    /// With the end of their validity.
    unwritten: VecDeque<(Instant, Submission)>,
    unanswered: VecDeque<(Instant, Submission)>,
    receipts: VecDeque<(Instant, Receipt)>,
    /// What people wrote, kept by the network until it is taken.
    replies: VecDeque<RawReply>,
    events: Vec<LinkEvent>,
    references: u64,
    tokens: u64,
}

impl Wire {
    /// `place`: which of the links it is, so that no two give the same references.
    pub fn new(facts: LinkFacts, rate: Option<Rate>, place: u32, now: Instant) -> Wire {
        let gap = rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(1.0 / rate.per_second()));
        let answers_after = if facts.kind == "modem" { MODEM_ANSWERS } else { BIND_ANSWERS };
        Wire {
            facts,
            up: true,
            gap,
            answers_after,
            next_write: now,
            back_at: None,
            unwritten: VecDeque::new(),
            unanswered: VecDeque::new(),
            receipts: VecDeque::new(),
            replies: VecDeque::new(),
            events: Vec::new(),
            references: u64::from(place) << 32,
            tokens: 0,
        }
    }

    /// The daemon connects: after its start, and after an outage.
    pub fn connect(&mut self) {
        if self.up {
            self.events.push(LinkEvent::Up);
        }
    }

    pub fn take(&mut self, submission: Submission, now: Instant) {
        self.unwritten.push_back((now + submission.validity, submission));
    }

    pub fn tell(&mut self, control: &Control) {
        match control {
            Control::Recall(id) => self.hand_back(|submission| submission.id == *id),
            Control::RecallAll => self.hand_back(|_| true),
            Control::Confirm { token, stored: true } => {
                self.events.push(LinkEvent::Answered { token: *token });
            }
            Control::Confirm { .. } | Control::Restart | Control::Stop => {}
        }
    }

    fn hand_back(&mut self, which: impl Fn(&Submission) -> bool) {
        let (back, kept): (Vec<_>, Vec<_>) = self.unwritten.drain(..).partition(|(_, s)| which(s));
        self.unwritten = kept.into();
        self.events.extend(back.iter().map(|(_, submission)| outcome(submission, Outcome::Unwritten)));
    }

    /// No network until `until`.
    pub fn fail(&mut self, until: Instant) {
        self.back_at = Some(until);
        if !std::mem::replace(&mut self.up, false) {
            return;
        }
        self.hand_back(|_| true);
        let lost: Vec<Submission> = self.unanswered.drain(..).map(|(_, submission)| submission).collect();
        for submission in lost {
            self.events.push(outcome(&submission, Outcome::Unknown { why: UnknownWhy::LinkLost }));
        }
        self.events.push(LinkEvent::Down { reason: String::from("no network, as rehearsed") });
    }

    /// The daemon died: what it had handed over and was not written is gone with it, what was said is not heard.
    pub fn forget(&mut self, fates: &BTreeMap<Msisdn, Fate>) {
        self.unwritten.clear();
        self.events.clear();
        for (at, submission) in std::mem::take(&mut self.unanswered) {
            // The network has it all the same.
            let reference = self.reference();
            let fate = fates.get(&submission.to).copied();
            self.promise_receipt(&submission, &reference, at + DELIVERED_AFTER, fate);
        }
    }

    pub fn reply(&mut self, from: Msisdn, text: &str, at: crate::clock::Timestamp) {
        self.references += 1;
        let mut key = [0; 16];
        key[..8].copy_from_slice(&self.references.to_be_bytes());
        self.replies.push_back(RawReply {
            from: from.digits(),
            to: String::new(),
            number: Some(from),
            raw: text.as_bytes().to_vec(),
            text: Some(text.to_owned()),
            concat: None,
            sent_at: Some(at),
            repeat: crate::link::Repeat::Stored(key),
        });
    }

    /// When it has something to say or to write next, where the daemon listens.
    pub fn next(&self, now: Instant) -> Option<Instant> {
        if !self.events.is_empty() || (self.up && !self.replies.is_empty()) {
            return Some(now);
        }
        let write = self.unwritten.iter().map(|(until, _)| self.next_write.min(*until)).min();
        let answer = self.unanswered.front().map(|(at, _)| *at);
        let receipt = self.receipts.front().map(|(at, _)| *at);
        let up = write.into_iter().chain(answer).chain(receipt).filter(|_| self.up);
        up.chain(self.back_at).min()
    }

    /// Everything up to `now`.
    pub fn go_on(&mut self, now: Instant, fates: &BTreeMap<Msisdn, Fate>) -> Spoken {
        let mut spoken = Spoken::default();
        if self.back_at.is_some_and(|at| at <= now) {
            (self.back_at, self.up) = (None, true);
            self.next_write = self.next_write.max(now);
            self.events.push(LinkEvent::Up);
        }
        if self.up {
            self.answer(now, fates);
            self.write(now, &mut spoken);
            self.hand_up(now, &mut spoken);
        }
        spoken.events.append(&mut self.events);
        spoken
    }

    fn write(&mut self, now: Instant, spoken: &mut Spoken) {
        spoken.expired = self.unwritten.iter().any(|(until, _)| *until <= now);
        while !spoken.expired && self.next_write <= now {
            let Some((_, submission)) = self.unwritten.pop_front() else { return };
            self.next_write = self.next_write.max(now) + self.gap;
            self.unanswered.push_back((now + self.answers_after, submission.clone()));
            spoken.written.push(submission);
        }
    }

    fn answer(&mut self, now: Instant, fates: &BTreeMap<Msisdn, Fate>) {
        while self.unanswered.front().is_some_and(|(at, _)| *at <= now) {
            let Some((at, submission)) = self.unanswered.pop_front() else { return };
            let fate = fates.get(&submission.to).copied();
            let answer = match fate {
                Some(Fate::Refused) => Outcome::Refused {
                    cause: Cause::new(Reason::NetworkBadNumber, RawCode::CommandStatus(0x0B)),
                    retry: RetryClass::Permanent,
                },
                Some(Fate::Unanswered) => Outcome::Unknown { why: UnknownWhy::NoAnswer },
                Some(Fate::Undelivered | Fate::Silent) | None => {
                    let reference = self.reference();
                    self.promise_receipt(&submission, &reference, at + DELIVERED_AFTER, fate);
                    Outcome::Accepted { reference }
                }
            };
            self.events.push(outcome(&submission, answer));
        }
    }

    fn reference(&mut self) -> Reference {
        self.references += 1;
        Reference(format!("{:08X}", self.references))
    }

    fn promise_receipt(&mut self, s: &Submission, reference: &Reference, at: Instant, fate: Option<Fate>) {
        let state = match fate {
            Some(Fate::Undelivered) => {
                ReceiptState::Failed(Cause::new(Reason::NetworkUndeliverable, RawCode::CommandStatus(0)))
            }
            Some(Fate::Refused | Fate::Silent | Fate::Unanswered) => return,
            None => ReceiptState::Delivered,
        };
        if !s.receipt {
            return;
        }
        let receipt = Receipt {
            reference: Some(reference.clone()),
            alternatives: Vec::new(),
            state,
            recipient: Some(s.to),
            user_message_reference: Some(user_message_reference(s.id, s.index)),
            raw: None,
        };
        let bundle = self.receipts.back().map(|(last, _)| *last).filter(|last| *last >= at);
        self.receipts.push_back((bundle.unwrap_or(at + BUNDLE), receipt));
    }

    fn hand_up(&mut self, now: Instant, spoken: &mut Spoken) {
        let mut up = Vec::new();
        while self.receipts.front().is_some_and(|(at, _)| *at <= now) {
            up.extend(self.receipts.pop_front().map(|(_, receipt)| Inbound::Receipt(receipt)));
        }
        up.extend(self.replies.drain(..).map(Inbound::Reply));
        for inbound in up {
            self.tokens += 1;
            spoken.inbound.push((InboundToken(self.tokens), inbound));
        }
    }
}

fn outcome(submission: &Submission, outcome: Outcome) -> LinkEvent {
    LinkEvent::Outcome { id: submission.id, index: submission.index, outcome }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::id::MessageId;
    use crate::message::Encoding;

    const TO: &str = "+4915112345671";

    const A_SECOND: Option<Rate> = Some(Rate { segments: 1, per: Duration::from_secs(1) });

    fn wire(rate: Option<Rate>, now: Instant) -> Wire {
        let facts = LinkFacts { name: "a".into(), account: "a".into(), kind: "smpp", window: 10 };
        let mut wire = Wire::new(facts, rate, 1, now);
        wire.connect();
        wire.go_on(now, &BTreeMap::new());
        wire
    }

    fn submission(id: u64) -> Submission {
        Submission {
            id: MessageId::from_u64(id),
            index: 0,
            lease: id,
            to: Msisdn::parse_e164(TO).unwrap(),
            sender: None,
            text: id.to_string(),
            encoding: Encoding::Gsm7,
            concat: None,
            flash: false,
            receipt: true,
            validity: Duration::from_secs(3_600),
        }
    }

    fn outcomes(spoken: &Spoken) -> Vec<&Outcome> {
        let outcomes = spoken.events.iter().filter_map(|event| match event {
            LinkEvent::Outcome { outcome, .. } => Some(outcome),
            _ => None,
        });
        outcomes.collect()
    }

    fn fates(fate: Fate) -> BTreeMap<Msisdn, Fate> {
        BTreeMap::from([(Msisdn::parse_e164(TO).unwrap(), fate)])
    }

    #[test]
    fn segments_are_written_at_the_pace_answered_and_receipted() {
        let (now, none) = (Clock::system().now().mono, BTreeMap::new());
        let mut wire = wire(A_SECOND, now);
        (1..=3).for_each(|id| wire.take(submission(id), now));
        let written = |spoken: &Spoken| spoken.written.iter().map(|s| s.text.clone()).collect::<Vec<_>>();
        assert_eq!(written(&wire.go_on(now, &none)), ["1"]);
        let later: Vec<Spoken> = [999, 1_000, 1_999, 2_000, 3_000]
            .map(|millis| wire.go_on(now + Duration::from_millis(millis), &none))
            .into();
        let counts: Vec<usize> = later.iter().map(|spoken| spoken.written.len()).collect();
        assert_eq!(counts, [0, 1, 0, 1, 0], "one a second");
        assert_eq!(later.iter().flat_map(written).collect::<Vec<_>>(), ["2", "3"]);
        let references: Vec<_> = later
            .iter()
            .flat_map(outcomes)
            .map(|outcome| match outcome {
                Outcome::Accepted { reference } => reference.0.clone(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(references, ["100000001", "100000002", "100000003"], "of no other link");
        let receipts = wire.go_on(now + Duration::from_secs(60), &none).inbound;
        assert_eq!(receipts.len(), 3);
        assert_eq!(wire.next(now + Duration::from_secs(60)), None, "then it has nothing to say");
    }

    #[test]
    fn each_fate_is_its_own_answer() {
        let now = Clock::system().now().mono;
        let end = now + Duration::from_secs(600);
        for (fate, receipts) in
            [(Fate::Refused, 0), (Fate::Undelivered, 1), (Fate::Silent, 0), (Fate::Unanswered, 0)]
        {
            let (mut wire, fates) = (wire(None, now), fates(fate));
            wire.take(submission(1), now);
            wire.go_on(now, &fates);
            let spoken = wire.go_on(end, &fates);
            let fits = match outcomes(&spoken).as_slice() {
                [Outcome::Refused { retry: RetryClass::Permanent, .. }] => fate == Fate::Refused,
                [Outcome::Unknown { why: UnknownWhy::NoAnswer }] => fate == Fate::Unanswered,
                [Outcome::Accepted { .. }] => matches!(fate, Fate::Undelivered | Fate::Silent),
                _ => false,
            };
            assert!(fits, "{fate:?}: {spoken:?}");
            assert_eq!(spoken.inbound.len(), receipts, "{fate:?}");
        }
    }

    #[test]
    fn an_outage_hands_back_what_is_unwritten_and_leaves_the_rest_in_doubt() {
        let (now, none) = (Clock::system().now().mono, BTreeMap::new());
        let mut wire = wire(A_SECOND, now);
        (1..=2).for_each(|id| wire.take(submission(id), now));
        wire.go_on(now, &none);
        let back = now + Duration::from_secs(100);
        wire.fail(back);
        wire.reply(Msisdn::parse_e164(TO).unwrap(), "STOP", crate::clock::Timestamp::MIN);
        assert_eq!(wire.next(now), Some(now), "it says that it is down");
        let spoken = wire.go_on(now, &none);
        let answers = outcomes(&spoken);
        assert!(
            matches!(answers[..], [Outcome::Unwritten, Outcome::Unknown { why: UnknownWhy::LinkLost }]),
            "{answers:?}"
        );
        assert!(spoken.inbound.is_empty() && wire.next(now) == Some(back));
        let spoken = wire.go_on(back, &none);
        assert!(matches!(spoken.events[..], [LinkEvent::Up]), "{:?}", spoken.events);
        assert_eq!(spoken.inbound.len(), 1, "what people wrote meanwhile was kept");
    }

    #[test]
    fn what_a_dead_daemon_had_out_is_with_the_network_all_the_same() {
        let (now, none) = (Clock::system().now().mono, BTreeMap::new());
        let mut wire = wire(A_SECOND, now);
        (1..=2).for_each(|id| wire.take(submission(id), now));
        wire.go_on(now, &none);
        wire.forget(&none);
        let spoken = wire.go_on(now + Duration::from_secs(60), &none);
        assert!(spoken.written.is_empty() && spoken.events.is_empty(), "{spoken:?}");
        assert_eq!(spoken.inbound.len(), 1, "the receipt of the one that was written");
    }

    #[test]
    fn what_is_past_its_validity_is_not_written() {
        let (now, none) = (Clock::system().now().mono, BTreeMap::new());
        let mut wire = wire(None, now);
        wire.take(submission(1), now);
        let spoken = wire.go_on(now + Duration::from_secs(3_600), &none);
        assert!(spoken.expired && spoken.written.is_empty(), "{spoken:?}");
    }
}
