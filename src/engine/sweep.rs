//! Slow sweeps: expiry, receipts that never came, keys and messages past their time.
//!
//! Each sweep walks its family a bounded stretch a tick from where it stopped, so a million messages cost a
//! tick no more than ten. Nothing here is on the way of a message that is sent in time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::core::{Core, LinkIndex, Work};
use super::inbound::{Came, StoredReply};
use super::intake::{IDEMPOTENCY_KEPT, KeyRecord, digest};
use super::lanes::LaneEntry;
use super::optout::CONFIRM_ONCE;
use super::receipts::{ORPHAN_KEPT, RECEIPT_DAYS};
use crate::clock::{Now, Timestamp};
use crate::id::{BatchId, InboundId, MessageId};
use crate::link::Control;
use crate::message::{Body, Event, Head, State};
use crate::store::keys::{self, LaneKey, family};
use crate::store::{Entries, StoreError, record};

/// Time between two ticks.
const TICK: Duration = Duration::from_secs(1);
/// Entries a sweep looks at in one tick.
const STRETCH: usize = 256;
/// A batch's list of ids outlives its messages' default validity and receipts by far; then it goes.
const BATCH_GRACE: Duration = Duration::from_secs(31 * 24 * 3600);

/// Where each sweep stopped.
#[derive(Debug, Default)]
pub struct Sweep {
    last: Option<Instant>,
    /// Longer than [`TICK`] where whole weeks pass in seconds.
    seldom: Option<Duration>,
    lanes: Cursor,
    receipts: Cursor,
    keys: Cursor,
    bodies: Cursor,
    replies: Cursor,
    repeats: Cursor,
    confirmed: Cursor,
    batches: Cursor,
}

impl Sweep {
    /// Until the next tick.
    pub fn wait(&self, now: Now) -> Duration {
        let tick = self.seldom.unwrap_or(TICK);
        self.last.map_or(Duration::ZERO, |last| (last + tick).saturating_duration_since(now.mono))
    }
}

/// A walk around one family of keys.
#[derive(Debug, Default)]
struct Cursor(Option<Vec<u8>>);

impl Cursor {
    /// The next stretch; the walk begins again after the last.
    fn stretch(&mut self, family: u8, work: &Work) -> Result<Entries, StoreError> {
        let (start, end) = keys::all(family);
        let from = self.0.take().unwrap_or(start);
        let entries = work.txn.scan(&from, &end, STRETCH)?;
        if entries.len() == STRETCH {
            self.0 = entries.last().map(|(key, _)| {
                let mut next = key.clone();
                next.push(0);
                next
            });
        }
        Ok(entries)
    }

    /// What follows is younger still: begin again.
    fn restart(&mut self) {
        self.0 = None;
    }
}

impl Core {
    /// Sweeps no more often than this: for rehearsals, whose weeks have a million ticks and few of them find
    /// anything.
    pub fn sweep_seldom(&mut self, tick: Duration) {
        self.sweep.seldom = Some(tick);
    }

    /// The next step sweeps, whatever the tick.
    pub fn sweep_now(&mut self) {
        self.sweep.last = None;
    }

    pub(super) fn sweep_due(&mut self, work: &mut Work) -> Result<(), StoreError> {
        self.end_cancels(work);
        if !self.sweep.wait(work.now).is_zero() {
            return Ok(());
        }
        self.sweep.last = Some(work.now.mono);
        self.expire_unfinished(work)?;
        self.recall_expired(work);
        self.sweep_lanes(work)?;
        self.resend_silent(work)?;
        self.close_overdue(STRETCH, work)?;
        if self.clock_in_doubt() {
            // How old a thing is nobody knows: nothing is forgotten for its age.
            return Ok(());
        }
        self.sweep_receipts(work)?;
        self.sweep_orphans(work);
        self.sweep_keys(work)?;
        self.sweep_bodies(work)?;
        self.sweep_replies(work)?;
        self.sweep_repeats(work)?;
        self.sweep_confirmed(work)?;
        self.sweep_batches(work)
    }

    /// Long messages between two segments: while their link gets nothing new, dispatch does not come by.
    fn expire_unfinished(&mut self, work: &mut Work) -> Result<(), StoreError> {
        let unfinished: Vec<MessageId> =
            self.links.iter().flat_map(|seat| &seat.unfinished).copied().collect();
        unfinished.into_iter().try_for_each(|id| self.expire_between(id, work).map(drop))
    }

    /// Leased and past its validity: back, if nothing of it is out; the lanes' sweep or dispatch ends it.
    fn recall_expired(&self, work: &mut Work) {
        let now = work.wall();
        let late = self.active.iter().filter(|(_, active)| active.body.valid_until <= now);
        // In order: the same inputs give the same step.
        let late: BTreeMap<MessageId, LinkIndex> = late.map(|(&id, active)| (id, active.link)).collect();
        work.controls.extend(late.into_iter().map(|(id, link)| (link, Control::Recall(id))));
    }

    fn sweep_lanes(&mut self, work: &mut Work) -> Result<(), StoreError> {
        for (key, value) in self.sweep.lanes.stretch(family::LANE, work)? {
            let Some(id) = LaneKey::decode(&key).map(|key| key.id) else { continue };
            let entry: LaneEntry = record::decode(&value)?;
            if entry.valid_until <= work.wall()
                && let Some((body, head)) = self.load(id, work)?
            {
                self.close_waiting(id, &body, &head, Event::Expire, work)?;
            } else {
                // By the tail of its number, or since before a restart.
                self.block_waiting(entry.to, id, work)?;
            }
        }
        Ok(())
    }

    /// Receipt keys of days too long ago: it never came.
    fn sweep_receipts(&mut self, work: &mut Work) -> Result<(), StoreError> {
        let today = work.wall().day();
        for (key, _) in self.sweep.receipts.stretch(family::RECEIPT, work)? {
            let day = keys::receipt_day_of(&key);
            let (Some(day), Some((id, _))) = (day, keys::decode_receipt(&key)) else { continue };
            if day + RECEIPT_DAYS < today {
                work.txn.delete(key);
                self.change(id, Event::ReceiptNeverCame, work)?;
            }
        }
        Ok(())
    }

    fn sweep_orphans(&mut self, work: &mut Work) {
        for key in self.orphans.expired(work.wall().saturating_sub(ORPHAN_KEPT), STRETCH) {
            self.orphans.forget(&key);
            work.txn.delete(key);
        }
    }

    fn sweep_keys(&mut self, work: &mut Work) -> Result<(), StoreError> {
        for (key, value) in self.sweep.keys.stretch(family::IDEMPOTENCY, work)? {
            if work.wall().since(record::decode::<KeyRecord>(&value)?.at) >= IDEMPOTENCY_KEPT {
                work.txn.delete(key);
            }
        }
        Ok(())
    }

    /// Messages closed longer than the retention, oldest first, until one that was accepted within it.
    ///
    /// What came while the clock was ahead bears dates ahead of now: it stays until they have passed, and
    /// the walk goes on behind it, [`STRETCH`] a tick like every walk.
    fn sweep_bodies(&mut self, work: &mut Work) -> Result<(), StoreError> {
        let before = work.wall().saturating_sub(self.settings.queue.retention);
        let within = before..=work.wall();
        for (key, value) in self.sweep.bodies.stretch(family::BODY, work)? {
            let Some(id) = keys::decode_id(&key).map(MessageId::from_u64) else { continue };
            if within.contains(&id.allotted_at()) {
                self.sweep.bodies.restart();
                break;
            }
            let body: Body = record::decode(&value)?;
            if within.contains(&body.accepted_at) {
                self.sweep.bodies.restart();
                break;
            }
            let head: Head = work.txn.get(&keys::head(id))?.unwrap_or_else(|| Head::accepted(&body));
            if ended_at(&head).is_some_and(|at| at < before) {
                self.forget_message(id, &body, &head, work)?;
            }
        }
        Ok(())
    }

    fn forget_message(
        &mut self,
        id: MessageId,
        body: &Body,
        head: &Head,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        if let Some(reference) = &body.client_ref {
            let key = keys::unique_ref(&digest(&[body.token.as_str(), reference]));
            if work.txn.get::<KeyRecord>(&key)?.is_some_and(|record| record.id == id) {
                work.txn.delete(key);
            }
        }
        self.recount(Some(super::core::counted(body, head)), None);
        work.txn.delete(keys::body(id));
        work.txn.delete_if_present(keys::head(id))?;
        work.txn.delete(keys::chain(body.to, id));
        Ok(())
    }

    fn sweep_replies(&mut self, work: &mut Work) -> Result<(), StoreError> {
        let before = work.wall().saturating_sub(self.settings.queue.retention);
        for (key, value) in self.sweep.replies.stretch(family::INBOUND, work)? {
            let Some(id) = keys::decode_id(&key).map(InboundId::from_u64) else { continue };
            let reply: StoredReply = record::decode(&value)?;
            let received_at = reply.received_at;
            if (before..=work.wall()).contains(&received_at) {
                self.sweep.replies.restart();
                break;
            }
            if received_at < before {
                work.txn.delete(key);
                if let Some(party) = reply.party() {
                    work.txn.delete(keys::reply_of(party, id));
                }
            }
        }
        Ok(())
    }

    fn sweep_repeats(&mut self, work: &mut Work) -> Result<(), StoreError> {
        for (key, value) in self.sweep.repeats.stretch(family::REPEAT, work)? {
            let came: Came = record::decode(&value)?;
            if work.wall().since(came.at) >= came.kept {
                work.txn.delete(key);
            }
        }
        Ok(())
    }

    fn sweep_confirmed(&mut self, work: &mut Work) -> Result<(), StoreError> {
        for (key, value) in self.sweep.confirmed.stretch(family::CONFIRMED, work)? {
            if work.wall().since(record::decode::<Timestamp>(&value)?) >= CONFIRM_ONCE {
                work.txn.delete(key);
            }
        }
        Ok(())
    }

    fn sweep_batches(&mut self, work: &mut Work) -> Result<(), StoreError> {
        let before = work.wall().saturating_sub(self.settings.queue.retention.saturating_add(BATCH_GRACE));
        for (key, value) in self.sweep.batches.stretch(family::BATCH, work)? {
            let Some(batch) = key.get(..9).and_then(keys::decode_id).map(BatchId::from_u64) else { continue };
            let mut at = batch.allotted_at();
            if at > work.wall() {
                at = accepted_at(&record::decode::<Vec<MessageId>>(&value)?, work)?;
            }
            if (before..=work.wall()).contains(&at) {
                self.sweep.batches.restart();
                break;
            }
            if at < before {
                work.txn.delete(key);
            }
        }
        Ok(())
    }
}

/// When these were accepted, by the newest of them; long ago, if that is not kept any more.
fn accepted_at(batch: &[MessageId], work: &Work) -> Result<Timestamp, StoreError> {
    let newest = batch.iter().max().map(|&id| work.txn.get::<Body>(&keys::body(id))).transpose()?;
    Ok(newest.flatten().map_or(Timestamp::MIN, |body| body.accepted_at))
}

/// When a message came to rest for good; `None` while it may still change by itself or by a person.
fn ended_at(head: &Head) -> Option<Timestamp> {
    match head.state {
        State::Closed { at, .. } | State::Sent { at, .. } => Some(at),
        State::Waiting { .. } | State::Leased { .. } | State::Unknown { .. } => None,
    }
}
