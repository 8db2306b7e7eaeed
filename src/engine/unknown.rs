//! Unknowns: messages that went out and were never answered. A short list of its own, always in memory.
//!
//! An unknown ends by a late answer ([`super::outcomes`]), a receipt ([`super::receipts`]), a person
//! ([`Core::resolve`]), or, where the message says so, by one more attempt when nothing was heard for long enough.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::core::{Core, Work};
use super::{Refusal, UnknownFilter};
use crate::clock::Timestamp;
use crate::id::MessageId;
use crate::message::{
    Body, Event, Head, LinkName, Msisdn, OnUnknown, Reference, Resolution, SegmentState, State, Status,
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
    pub link: LinkName,
    pub account: LinkName,
    pub since: Timestamp,
    /// When the attempt began: a receipt from before it speaks of something else.
    pub begun: Timestamp,
    /// Segments that are unknown.
    pub segments: Vec<u8>,
    /// When the policy sends it once more; `None`: never.
    pub resend_at: Option<Timestamp>,
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
        let (State::Unknown { since, why }, Some(attempt)) = (&head.state, head.attempts.last()) else {
            return;
        };
        let again = body.on_unknown == OnUnknown::Resend && !head.resent;
        let wait = if body.receipt { LATE_ANSWER + WITNESS } else { LATE_ANSWER };
        let unknown = |(index, s): (u8, &SegmentState)| (*s == SegmentState::Unknown).then_some(index);
        let note = UnknownNote {
            to: body.to,
            link: attempt.link.clone(),
            account: attempt.account.clone(),
            since: *since,
            begun: attempt.begun,
            segments: (0u8..).zip(&attempt.segments).filter_map(unknown).collect(),
            resend_at: again.then(|| since.saturating_add(wait)),
        };
        tracing::warn!(event = "message_unknown", %id, link = %note.link, why = ?why);
        work.txn.put(keys::unknown(id), &note);
        work.new_unknowns.push(id);
        self.unknowns.insert(id, note);
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
        tracing::info!(event = "unknown_resolved", %id, how = ?how);
        Ok(Ok(self.status_of(id, work)?))
    }

    /// What a person declared sent: the network never said what it calls those segments.
    fn await_unnamed(
        &mut self,
        id: MessageId,
        body: &Body,
        before: &Head,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        let Some(attempt) = before.attempts.last() else { return Ok(()) };
        let unknown = (0u8..).zip(&attempt.segments).filter(|(_, s)| **s == SegmentState::Unknown);
        let mut declared = unknown.map(|(index, _)| index);
        let sent = (attempt, &Reference::ABSENT);
        declared.try_for_each(|index| self.await_receipt(id, index, body, sent, work))
    }

    pub(super) fn resolve_many(
        &mut self,
        which: &UnknownFilter,
        how: Resolution,
        work: &mut Work,
    ) -> Result<u64, StoreError> {
        let fits = |note: &UnknownNote| {
            which.link.as_ref().is_none_or(|link| note.link == *link)
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
        let now = work.wall();
        let link_up = |note: &UnknownNote| self.links.iter().any(|s| s.up && s.facts.name == note.link);
        let silent =
            self.unknowns.iter().filter(|(_, n)| n.resend_at.is_some_and(|at| at <= now) && link_up(n));
        let ids: Vec<MessageId> = silent.map(|(&id, _)| id).collect();
        for id in ids {
            if self.change(id, Event::Resend, work)?.is_some() {
                tracing::warn!(event = "unknown_resent", %id);
            }
        }
        Ok(())
    }
}
