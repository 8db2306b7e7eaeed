//! Start: what the state says, and what a crash left open.
//!
//! A lease on disk whose segments have no outcome in a head is unknown: only the intent is known, not which
//! bytes went. A message whose key is still in its lane was handed back and is not. Then messages of lanes
//! that are no longer configured move to the lanes they would go to now.

use std::collections::BTreeMap;

use super::core::{COUNTERS, Core, Lease, LeasedSegments, PAUSES, Settings, Work};
use super::lanes::LaneEntry;
use super::receipts::Orphans;
use super::{dispatch, unknown};
use crate::clock::Now;
use crate::id::MessageId;
use crate::message::{Body, Event, Head, LinkName, State, UnknownWhy, apply};
use crate::route::{LaneClash, LaneId};
use crate::store::keys::{self, LaneKey, family};
use crate::store::{Batch, Read, StoreError, record};

/// Leases read at start; a lease is deleted when its last segment is settled, so there are few.
const MAX_LEASES: usize = 1_000_000;
/// Messages moved between lanes in one batch after the routes were changed.
const MOVES: usize = 512;
const MAX_BEGUN: usize = 10_000_000;

/// The leases of one message that have no end on the disk, oldest first.
#[derive(Default)]
struct Open {
    leases: Vec<(u64, Vec<u8>)>,
    /// Link and account; all leases of one attempt have the same.
    by: Option<(LinkName, LinkName)>,
}

#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Lanes(#[from] LaneClash),
}

impl Core {
    /// The core as the state left it. The batch must be on the disk before the first step.
    pub fn recover(settings: Settings, state: &dyn Read, now: Now) -> Result<(Core, Batch), RecoverError> {
        let mut core = Core::empty(settings)?;
        let mut work = Work::new(state, now);
        core.counters = work.txn.get(&keys::core(COUNTERS))?.unwrap_or_default();
        core.pauses = work.txn.get(&keys::core(PAUSES))?.unwrap_or_default();
        core.unknowns = unknown::load(state)?.into_iter().collect();
        core.orphans = Orphans::load(state)?;
        core.load_begun(state)?;
        core.end_open_leases(&mut work)?;
        core.seal(&mut work);
        Ok((core, work.txn.batch))
    }

    fn load_begun(&mut self, state: &dyn Read) -> Result<(), StoreError> {
        let (from, to) = keys::all(family::BEGUN);
        for (key, value) in state.scan(&from, &to, MAX_BEGUN)? {
            if let Some((recipient, id)) = keys::decode_recipient_id(&key) {
                self.order.begun(recipient, id, record::decode(&value)?);
            }
        }
        Ok(())
    }

    fn end_open_leases(&mut self, work: &mut Work) -> Result<(), StoreError> {
        let (from, to) = keys::all(family::LEASE);
        let mut open: BTreeMap<MessageId, Open> = BTreeMap::new();
        for (key, value) in work.txn.scan(&from, &to, MAX_LEASES)? {
            let number = keys::decode_id(&key)
                .ok_or_else(|| StoreError::Damaged(String::from("a lease key of the wrong length")))?;
            let lease: Lease = record::decode(&value)?;
            for LeasedSegments { id, segments, begins } in lease.entries {
                let open = open.entry(id).or_default();
                if begins {
                    open.leases.clear();
                }
                open.leases.push((number, segments));
                open.by = Some((lease.link.clone(), lease.account.clone()));
            }
            work.txn.delete(key);
        }
        open.into_iter().try_for_each(|(id, open)| self.lose(id, open, work))
    }

    fn lose(&mut self, id: MessageId, open: Open, work: &mut Work) -> Result<(), StoreError> {
        let (Some((body, before)), Some((link, account))) = (self.load(id, work)?, open.by) else {
            return Ok(());
        };
        if self.is_in_lane(id, &body, &before, work)? {
            return Ok(());
        }
        let event = Event::Lost { leases: open.leases, link: link.clone(), account, why: UnknownWhy::Crash };
        let Ok(after) = apply(before.clone(), event, &body, &self.settings.queue.retry, work.wall()) else {
            return Ok(());
        };
        // Its head on disk is the one before the lease; the counters have it as sending since.
        let shown = Head { state: State::Leased { link }, ..after.clone() };
        if let State::Waiting { .. } = after.state {
            let rank = LaneKey::new(0, body.priority, crate::clock::Timestamp::MIN, id).rank;
            self.wait_again(id, &body, &after, rank, work)?;
        }
        self.store_head(id, &body, &shown, &after, work)
    }

    /// Waiting, with its place in a lane on disk.
    fn is_in_lane(&self, id: MessageId, body: &Body, head: &Head, work: &Work) -> Result<bool, StoreError> {
        let State::Waiting { due, .. } = head.state else { return Ok(false) };
        let lanes = self.router.lane(body, head.bound_to()).into_iter();
        for lane in lanes {
            if work.txn.contains(&LaneKey::new(lane, body.priority, due, id).encode())? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Moves some messages out of lanes that are no longer configured; an empty batch: all are moved.
    /// Called until then, before the first step.
    pub fn move_lanes(&mut self, state: &dyn Read, now: Now) -> Result<Batch, StoreError> {
        let mut work = Work::new(state, now);
        let mut from = keys::all(family::LANE).0;
        let end = keys::all(family::LANE).1;
        while let Some((key, _)) = work.txn.scan(&from, &end, 1)?.into_iter().next() {
            let Some(first) = LaneKey::decode(&key) else { break };
            if !self.router.lanes().contains_key(&first.lane) {
                self.move_lane(first.lane, &mut work)?;
                break;
            }
            match first.lane.checked_add(1) {
                Some(next) => from = keys::lane_start(next),
                None => break,
            }
        }
        self.seal(&mut work);
        Ok(work.txn.batch)
    }

    fn move_lane(&mut self, lane: LaneId, work: &mut Work) -> Result<(), StoreError> {
        let (from, to) = keys::under(keys::lane_start(lane));
        for (bytes, value) in work.txn.scan(&from, &to, MOVES)? {
            let Some(key) = LaneKey::decode(&bytes) else { continue };
            work.txn.delete(bytes);
            let Some((body, head)) = self.load(key.id, work)? else { continue };
            match self.router.lane(&body, head.bound_to()) {
                Some(lane) => {
                    let entry: LaneEntry = record::decode(&value)?;
                    work.txn.put(LaneKey { lane, ..key }.encode(), &entry);
                }
                None => {
                    self.close_waiting(key.id, &body, &head, dispatch::link_gone(), work)?;
                }
            }
        }
        tracing::info!(event = "lane_moved", lane);
        Ok(())
    }
}
