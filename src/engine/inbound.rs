//! Inbound: what a link handed up is stored first, and only then confirmed to the network.
//!
//! What is known to have come before is confirmed and not stored again ([`Repeat`]). A reply's segments, its
//! wish to stop and what follows from that are in one batch. Receipts go to [`super::receipts`], long replies in
//! the making to [`super::assembly`], wishes to [`super::optout`].

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::assembly::{Added, Group, PendingSegment, belongs};
use super::core::{Core, LinkIndex, Work};
use super::intake::keep_lead;
use super::notice::{Notice, NoticeKind};
use super::reminders::answers::is_answer;
use crate::clock::Timestamp;
use crate::id::{InboundId, MessageId};
use crate::link::{Control, Inbound, InboundToken, Poison, RawReply, Repeat};
use crate::message::{Head, LinkName, Msisdn, SegmentState};
use crate::reminder::consent::ConsentKind;
use crate::reminder::reply::{Language, Verdict, classify};
use crate::reminder::suppression::{Intent, Party, Source, Suppression};
use crate::store::{StoreError, keys, record};

/// How long it is remembered that a PDU came, where only the network's redelivery has its key.
pub const UNANSWERED_KEPT: Duration = Duration::from_secs(72 * 3600);
/// The same where its key names it for good; a modem's memory is swept far more often.
pub const STORED_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
/// A network that waits for our answer asks again after longer than this; what comes sooner on the same
/// connection is somebody who says the same twice.
const ASKS_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// A reply later than this answers nothing that was sent.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30 * 24 * 3600);
/// Messages of the sender looked at for the one that is answered.
const ANSWER_DEPTH: usize = 32;
/// Log lines of replies for one link in one [`LOG_PERIOD`]: a peer must not fill the log.
const LOG_LINES: u32 = 20;
const LOG_PERIOD: Duration = Duration::from_secs(60);

/// A reply, whole or as much of it as came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredReply {
    pub link: LinkName,
    pub received_at: Timestamp,
    /// Addresses as written on the wire.
    pub from: String,
    pub to: String,
    pub number: Option<Msisdn>,
    /// PDUs as they came, in the order of the text.
    pub raw: Vec<Vec<u8>>,
    pub text: Option<String>,
    pub sent_at: Option<Timestamp>,
    pub complete: bool,
    /// Why it could not be read.
    pub problem: Option<String>,
    pub intent: Intent,
    pub answers: Option<MessageId>,
}

impl StoredReply {
    pub fn party(&self) -> Option<Party> {
        Party::of(&self.from, self.number)
    }
}

/// What a reply answers.
struct Answered {
    message: MessageId,
    /// The text that came last, whoever wrote it: a machine may say it again.
    last_sent: String,
}

/// The value of a repeat key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Came {
    pub at: Timestamp,
    pub kept: Duration,
}

/// Log lines of replies, by link.
#[derive(Debug, Default)]
pub struct Heard(HashMap<LinkIndex, Lines>);

#[derive(Debug)]
struct Lines {
    since: Instant,
    written: u32,
    left_out: u32,
}

impl Heard {
    /// Whether a line may be written now, and how many were left out before it.
    fn line(&mut self, link: LinkIndex, now: Instant) -> Option<u32> {
        let lines = self.0.entry(link).or_insert(Lines { since: now, written: 0, left_out: 0 });
        if now.saturating_duration_since(lines.since) >= LOG_PERIOD {
            *lines = Lines { since: now, written: 0, left_out: lines.left_out };
        }
        if lines.written >= LOG_LINES {
            lines.left_out += 1;
            return None;
        }
        lines.written += 1;
        Some(std::mem::take(&mut lines.left_out))
    }
}

impl Core {
    pub(super) fn receive(
        &mut self,
        link: LinkIndex,
        token: InboundToken,
        inbound: Inbound,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        match inbound {
            Inbound::Receipt(receipt) => self.receive_receipt(link, receipt, work)?,
            Inbound::Reply(reply) => {
                if !self.came_before(link, token, reply.repeat, work)? {
                    self.receive_reply(link, reply, work)?;
                }
            }
            Inbound::Poison(poison) => {
                if !self.came_before(link, token, poison.repeat, work)? {
                    self.receive_poison(link, poison, work)?;
                }
            }
        }
        work.controls.push((link, Control::Confirm { token, stored: true }));
        Ok(())
    }

    /// Whether it is here already; if not it will be known from now on.
    fn came_before(
        &mut self,
        link: LinkIndex,
        token: InboundToken,
        repeat: Repeat,
        work: &mut Work,
    ) -> Result<bool, StoreError> {
        let (digest, kept) = match repeat {
            Repeat::Stored(digest) => (digest, STORED_KEPT),
            Repeat::UntilAnswered(digest) => {
                let mut awaiting = self.unanswered.iter().filter(|((of, _), _)| *of == link);
                let sooner = |at: Instant| work.now.mono.saturating_duration_since(at) < ASKS_AGAIN_AFTER;
                let at_once = awaiting.any(|(_, &(other, at))| other == digest && sooner(at));
                self.unanswered.insert((link, token), (digest, work.now.mono));
                if at_once {
                    return Ok(false);
                }
                (digest, UNANSWERED_KEPT)
            }
        };
        if work.txn.contains(&keys::repeat(&digest))? {
            self.counters.inbound_repeated += 1;
            // The answer to this one is the answer to all of them.
            self.unanswered.retain(|of, (other, _)| *other != digest || *of == (link, token));
            return Ok(true);
        }
        work.txn.put(keys::repeat(&digest), &Came { at: work.wall(), kept });
        Ok(false)
    }

    /// The network has our answer: what has the same key from now on is a message of its own.
    pub(super) fn answered(
        &mut self,
        link: LinkIndex,
        token: InboundToken,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        let Some((digest, _)) = self.unanswered.remove(&(link, token)) else { return Ok(()) };
        if self.unanswered.values().any(|&(other, _)| other == digest) {
            // The network waits for the answer to another one like it, and may send that again.
            return Ok(());
        }
        work.txn.delete_if_present(keys::repeat(&digest))
    }

    fn receive_reply(&mut self, link: LinkIndex, reply: RawReply, work: &mut Work) -> Result<(), StoreError> {
        let Some(seat) = self.links.get(link) else { return Ok(()) };
        let (name, account) = (seat.facts.name.clone(), seat.facts.account.clone());
        if let Some(concat) = reply.concat.filter(|&concat| belongs(concat)) {
            let segment = PendingSegment {
                link: name,
                account,
                received_at: work.wall(),
                from: reply.from,
                to: reply.to,
                number: reply.number,
                reference: concat.reference,
                total: concat.total,
                raw: reply.raw,
                text: reply.text,
                sent_at: reply.sent_at,
            };
            return self.receive_segment(concat.number, segment, work);
        }
        let intent = if reply.text.is_none() { Intent::Unreadable } else { Intent::Other };
        let stored = StoredReply {
            link: name,
            received_at: work.wall(),
            from: reply.from,
            to: reply.to,
            number: reply.number,
            raw: vec![reply.raw],
            text: reply.text,
            sent_at: reply.sent_at,
            // One of a long reply that does not say where in it belongs.
            complete: reply.concat.is_none_or(|concat| (concat.total, concat.number) == (1, 1)),
            problem: None,
            intent,
            answers: None,
        };
        self.keep_reply(stored, &account, false, work)
    }

    fn receive_poison(&mut self, link: LinkIndex, poison: Poison, work: &mut Work) -> Result<(), StoreError> {
        let Some(seat) = self.links.get(link) else { return Ok(()) };
        let (name, account) = (seat.facts.name.clone(), seat.facts.account.clone());
        let stored = StoredReply {
            link: name,
            received_at: work.wall(),
            from: String::new(),
            to: String::new(),
            number: None,
            raw: vec![poison.raw],
            text: None,
            sent_at: None,
            complete: true,
            problem: Some(poison.why),
            intent: Intent::Unreadable,
            answers: None,
        };
        self.keep_reply(stored, &account, false, work)
    }

    /// One segment of a long reply. Where it says stop by itself, that counts now.
    fn receive_segment(
        &mut self,
        number: u8,
        segment: PendingSegment,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        let new_id = self.counters.ids.next(work.wall());
        let Added { group, over } = self.assembly.add(new_id, number, segment.clone());
        let Some(group) = group else { return Ok(()) };
        work.txn.put(keys::pending(group, number), &segment);
        if let (Some(Verdict::OptOut { language }), Some(party)) = (
            segment.text.as_deref().map(|text| classify(text, None)),
            Party::of(&segment.from, segment.number),
        ) {
            self.obey_stop(party, (segment.link.clone(), language), None, work)?;
        }
        over.into_iter().try_for_each(|group| self.close_group(group, work))
    }

    /// Long replies that nobody waits for any more, some of them.
    pub(super) fn close_overdue(&mut self, limit: usize, work: &mut Work) -> Result<(), StoreError> {
        let timeout = self.settings.inbound.concat_timeout;
        let overdue = self.assembly.overdue(timeout, work.wall(), limit);
        overdue.into_iter().try_for_each(|group| self.close_group(group, work))
    }

    /// A long reply becomes one, whole or not.
    fn close_group(&mut self, group: Group, work: &mut Work) -> Result<(), StoreError> {
        for &number in group.segments.keys() {
            work.txn.delete(keys::pending(group.id, number));
        }
        let (complete, text) = (group.is_whole(), group.text());
        let Some((_, first)) = group.segments.first_key_value() else { return Ok(()) };
        let stops = group.segments.values().any(|segment| {
            let verdict = segment.text.as_deref().map(|text| classify(text, None));
            matches!(verdict, Some(Verdict::OptOut { .. }))
        });
        let account = first.account.clone();
        let stored = StoredReply {
            link: first.link.clone(),
            received_at: work.wall(),
            from: first.from.clone(),
            to: first.to.clone(),
            number: first.number,
            sent_at: group.segments.values().filter_map(|segment| segment.sent_at).min(),
            raw: group.segments.into_values().map(|segment| segment.raw).collect(),
            intent: if text.is_none() { Intent::Unreadable } else { Intent::Other },
            text,
            complete,
            problem: None,
            answers: None,
        };
        self.keep_reply(stored, &account, stops, work)
    }

    /// Stores a reply with what it means, and does what it asks. `stopped`: a segment of it said stop, which
    /// was done when it came.
    fn keep_reply(
        &mut self,
        mut reply: StoredReply,
        account: &LinkName,
        stopped: bool,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        let id = InboundId::from_u64(self.counters.ids.next(work.wall()));
        keep_lead(MessageId::from_u64(id.as_u64()), work)?;
        let answered = match reply.number {
            Some(number) => self.answered_by(number, account, work)?,
            None => None,
        };
        reply.answers = answered.as_ref().map(|answered| answered.message);
        let last_sent = answered.as_ref().map(|answered| answered.last_sent.as_str());
        let verdict = reply.text.as_deref().map(|text| classify(text, last_sent));
        // What names an option of our own question is no riddle.
        let chosen = match verdict {
            Some(Verdict::MayBeOptOut | Verdict::Other) if !stopped => {
                self.chosen(reply.answers, reply.text.as_deref(), work)?
            }
            _ => None,
        };
        let verdict = if chosen.is_some() { Some(Verdict::Other) } else { verdict };
        reply.intent = match verdict {
            _ if stopped => Intent::OptOut,
            None => Intent::Unreadable,
            Some(Verdict::OptOut { .. }) => Intent::OptOut,
            Some(Verdict::MayBeOptOut) => Intent::MayBeOptOut,
            Some(Verdict::OptIn) => Intent::OptIn,
            Some(Verdict::Other) => Intent::Other,
        };
        self.counters.inbound_by_intent[reply.intent as usize] += 1;
        work.txn.put(keys::inbound(id), &reply);
        let party = reply.party();
        if let Some(party) = party {
            work.txn.put(keys::reply_of(party, id), &());
        }
        self.tell_reply(id, &reply, work);
        match (party, verdict) {
            (Some(party), _) if stopped => self.name_stop(party, id, work)?,
            (Some(party), Some(Verdict::OptOut { language })) => {
                self.obey_stop(party, (reply.link.clone(), language), Some(id), work)?;
            }
            (Some(party), Some(Verdict::MayBeOptOut)) => self.hold(party, id, work),
            (Some(party), Some(Verdict::OptIn)) => {
                if self.lift_opt_out(party, Source::Reply(Some(id)), work)? {
                    self.note_word(party, ConsentKind::Given, id, work);
                }
                self.release_hold(party, Source::Reply(Some(id)), work);
            }
            _ => {}
        }
        if stopped {
            return Ok(());
        }
        self.hear_reply(id, &reply, (verdict, chosen), last_sent, work)
    }

    fn tell_reply(&mut self, id: InboundId, reply: &StoredReply, work: &mut Work) {
        let (link, intent) = (reply.link.clone(), reply.intent);
        let seat = self.links.iter().position(|seat| seat.facts.name == link).unwrap_or_default();
        if let Some(left_out) = self.heard.line(seat, work.now.mono) {
            let intent = intent.as_str();
            match &reply.problem {
                None => tracing::info!(event = "inbound_received", %id, link = %link, intent, left_out),
                Some(why) => tracing::warn!(event = "inbound_unreadable", %id, link = %link, why, left_out),
            }
        }
        let notice = Notice { at: work.wall(), kind: NoticeKind::ReplyReceived { id, link, intent } };
        work.txn.batch.events.push(record::encode(&notice));
    }

    /// A certain stop: nothing more to this party, and one confirmation where it can be had.
    fn obey_stop(
        &mut self,
        party: Party,
        (link, language): (LinkName, Language),
        reply: Option<InboundId>,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        if self.opt_outs.contains(party) {
            return Ok(());
        }
        // Before the suppression, which would block it.
        let silent = |to| self.opt_outs.of(to).next().is_some();
        let confirmation = match party.number().filter(|&to| !silent(to)) {
            Some(to) => self.confirm(to, link, language, work)?,
            None => None,
        };
        let suppression = Suppression { at: work.wall(), source: Source::Reply(reply), confirmation };
        self.opt_out(party, suppression, work);
        if let Some(reply) = reply {
            self.note_word(party, ConsentKind::Revoked, reply, work);
        }
        Ok(())
    }

    /// The reply whose lone segment made a suppression is there now.
    fn name_stop(&mut self, party: Party, id: InboundId, work: &mut Work) -> Result<(), StoreError> {
        let key = keys::opt_out(party);
        if let Some(mut suppression) = work.txn.get::<Suppression>(&key)?
            && suppression.source == Source::Reply(None)
        {
            suppression.source = Source::Reply(Some(id));
            work.txn.put(key, &suppression);
            self.note_word(party, ConsentKind::Revoked, id, work);
        }
        Ok(())
    }

    /// The newest message that went to a number by this account of late. What we answered by ourselves asked nothing:
    /// the question before it is still the one that is answered.
    fn answered_by(
        &self,
        number: Msisdn,
        account: &LinkName,
        work: &Work,
    ) -> Result<Option<Answered>, StoreError> {
        let mut newest: Option<Answered> = None;
        let since = work.wall().saturating_sub(ANSWERS_WITHIN);
        let (from, end) = keys::under(keys::chain_of(number));
        for (key, _) in work.txn.scan_back(&from, &end, ANSWER_DEPTH)? {
            let Some((_, id)) = keys::decode_recipient_id(&key) else { continue };
            let found = match self.active.get(&id) {
                Some(active) => Some((active.body.as_ref().clone(), active.head.clone())),
                None => self.load(id, work)?,
            };
            if let Some((body, head)) = found
                && went_by(&head, account, since)
            {
                let asked = !is_answer(&body);
                let answered = newest.get_or_insert(Answered { message: id, last_sent: body.text });
                if asked {
                    answered.message = id;
                    break;
                }
            }
        }
        Ok(newest)
    }
}

/// Some of it went out by this account since then, as far as is known.
fn went_by(head: &Head, account: &LinkName, since: Timestamp) -> bool {
    let went =
        |segment: &SegmentState| !matches!(segment, SegmentState::Unwritten | SegmentState::Refused { .. });
    head.attempts.iter().any(|attempt| {
        attempt.account == *account && attempt.begun >= since && attempt.segments.iter().any(went)
    })
}
