//! Unknowns: messages that went out and were never answered. A short list of its own, always in memory.
//!
//! An unknown ends by a late answer ([`super::outcomes`]), a receipt ([`super::receipts`]), a person
//! ([`Core::resolve`]), or, where the message says so, by one more attempt when nothing was heard for long enough.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::core::{Core, Work};
use super::{Refusal, UnknownFilter};
use crate::clock::Timestamp;
use crate::id::MessageId;
use crate::message::{
    Attempt, Body, Event, Head, LinkName, Msisdn, OnUnknown, Reference, Resolution, State, Status,
};
use crate::store::{Read, StoreError, keys, record};

/// A late answer or the echo of a re-bound SMSC comes within this.
const LATE_ANSWER: Duration = Duration::from_secs(60);
/// A receipt that would prove the first attempt comes within this, on a phone that is on.
const WITNESS: Duration = Duration::from_secs(600);
/// Unknowns read at start; each crash leaves at most one window.
const MAX_LOADED: usize = 1_000_000;

/// The value of an unknown key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnknownNote {
    pub to: Msisdn,
    pub since: Timestamp,
    /// What was sent and never answered, oldest first.
    pub doubts: Vec<Doubt>,
    /// The policy sends it once more when nothing was heard for so long; `None`: never.
    pub resend_after: Option<Duration>,
    /// When this life of the daemon learnt of it; `None`: it was there at the start.
    #[serde(skip)]
    pub noted: Option<Instant>,
}

/// One attempt and its segments that are unknown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doubt {
    pub link: LinkName,
    pub account: LinkName,
    /// When the attempt began: a receipt from before it speaks of something else.
    pub begun: Timestamp,
    pub segments: Vec<u8>,
}

pub fn load(state: &dyn Read) -> Result<Vec<(MessageId, UnknownNote)>, StoreError> {
    let (from, to) = keys::all(keys::family::UNKNOWN);
    let entries = state.scan(&from, &to, MAX_LOADED)?;
    let id = |key: &[u8]| {
        keys::decode_id(key)
            .map(MessageId::from_u64)
            .ok_or_else(|| StoreError::Damaged(String::from("an unknown's key of the wrong length")))
    };
    entries.into_iter().map(|(key, value)| Ok((id(&key)?, record::decode(&value)?))).collect()
}

impl Core {
    pub(super) fn note_unknown(&mut self, id: MessageId, body: &Body, head: &Head, work: &mut Work) {
        let State::Unknown { since, why } = &head.state else { return };
        let again = body.on_unknown == OnUnknown::Resend && !head.resent;
        let wait = if body.receipt { LATE_ANSWER + WITNESS } else { LATE_ANSWER };
        let doubt = |(attempt, segments): (&Attempt, Vec<u8>)| Doubt {
            link: attempt.link.clone(),
            account: attempt.account.clone(),
            begun: attempt.begun,
            segments,
        };
        let before = self.unknowns.get(&id);
        if before.is_none() {
            let link = head.attempts.last().map_or("", |attempt| attempt.link.as_str());
            tracing::warn!(event = "message_unknown", %id, link, why = ?why);
        }
        let noted = before.map_or(Some(work.now.mono), |before| before.noted);
        let note = UnknownNote {
            to: body.to,
            since: *since,
            doubts: head.doubts().map(doubt).collect(),
            resend_after: again.then_some(wait),
            noted,
        };
        work.txn.put(keys::unknown(id), &note);
        work.new_unknowns.push(id);
        self.unknowns.insert(id, note);
    }

    /// How many there are by the link of their last attempt.
    pub(super) fn unknown_by_link(&self) -> BTreeMap<LinkName, u64> {
        let mut counts = BTreeMap::new();
        for doubt in self.unknowns.values().filter_map(|note| note.doubts.last()) {
            match counts.get_mut(&doubt.link) {
                Some(count) => *count += 1,
                None => {
                    counts.insert(doubt.link.clone(), 1);
                }
            }
        }
        counts
    }

    pub(super) fn resolve(
        &mut self,
        id: MessageId,
        how: Resolution,
        work: &mut Work,
    ) -> Result<Result<Status, Refusal>, StoreError> {
        let before = self.load(id, work)?;
        if self.change(id, Event::Resolve(how), work)?.is_none() {
            let status = self.status_of(id, work)?;
            let known = self.active.contains_key(&id) || self.load(id, work)?.is_some();
            return Ok(Err(if known { Refusal::State(status) } else { Refusal::NotFound }));
        }
        if let (Resolution::Sent, Some((body, head))) = (how, before) {
            self.await_unnamed(id, &body, &head, work)?;
        }
        let status = self.status_of(id, work)?;
        if status == Status::Unknown {
            // No link is left that may send it again.
            return Ok(Err(Refusal::State(status)));
        }
        tracing::info!(event = "unknown_resolved", %id, how = ?how);
        Ok(Ok(status))
    }

    /// What a person declared sent: the network never said what it calls those segments.
    fn await_unnamed(
        &mut self,
        id: MessageId,
        body: &Body,
        before: &Head,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        let mut declared = BTreeSet::new();
        for (attempt, segments) in before.doubts().rev() {
            for index in segments {
                if declared.insert(index) {
                    self.await_receipt(id, index, body, (attempt, &Reference::ABSENT), work)?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn resolve_many(
        &mut self,
        which: &UnknownFilter,
        how: Resolution,
        work: &mut Work,
    ) -> Result<u64, StoreError> {
        let fits = |note: &UnknownNote| {
            which.link.as_ref().is_none_or(|link| note.doubts.iter().any(|doubt| doubt.link == *link))
                && which.since.is_none_or(|since| note.since >= since)
                && which.until.is_none_or(|until| note.since < until)
        };
        let ids: Vec<MessageId> = self.unknowns.iter().filter(|(_, n)| fits(n)).map(|(&id, _)| id).collect();
        let mut resolved = 0;
        for id in ids {
            resolved += u64::from(self.resolve(id, how, work)?.is_ok());
        }
        Ok(resolved)
    }

    /// One more attempt for those whose policy says so and of which nothing was heard.
    pub(super) fn resend_silent(&mut self, work: &mut Work) -> Result<(), StoreError> {
        let silent = self.unknowns.iter().filter(|(_, note)| self.is_silent(note, work.now.mono));
        let ids: Vec<MessageId> = silent.map(|(&id, _)| id).collect();
        for id in ids {
            if self.change(id, Event::Resend, work)?.is_some() {
                tracing::warn!(event = "unknown_resent", %id);
            }
        }
        Ok(())
    }

    /// For as long as its note says, every link that may have taken it was up and could have told: what the
    /// carrier holds back for us comes after the re-bind, not while the link is down.
    fn is_silent(&self, note: &UnknownNote, now: Instant) -> bool {
        let Some(wait) = note.resend_after else { return false };
        let listened = |since: Option<Instant>| since.is_some_and(|since| now >= since + wait);
        let could_tell = |doubt: &Doubt| {
            let mut seats = self.links.iter().filter(|seat| seat.facts.name == doubt.link);
            seats.any(|seat| seat.up && listened(seat.came_up))
        };
        note.noted.is_none_or(|noted| listened(Some(noted))) && note.doubts.iter().all(could_tell)
    }
}
