//! Start: what the state says, and what a crash left open.
//!
//! A lease on disk whose segments have no outcome in a head is unknown: only the intent is known, not which
//! bytes went. A message whose key is still in its lane was handed back and is not. Then, where the
//! routes or links were changed, every waiting message moves to the lane it would go to now: whoever takes a
//! message out of its lane later finds the lane by asking the router. The record of what decided on lanes goes
//! before the first move and comes back with the last, so that a start which a crash cut short is done anew.

use std::collections::BTreeMap;

use super::assembly::Assembly;
use super::core::{COUNTERS, Core, Lease, LeasedSegments, PAUSES, REMINDERS, Settings, Work};
use super::intake::u64_digest;
use super::lanes::{LaneEntry, Waiting};
use super::receipts::Orphans;
use super::reminders::errands::Errands;
use super::unknown;
use crate::clock::Now;
use crate::id::MessageId;
use crate::message::{Body, Event, Head, LinkName, State, UnknownWhy, apply};
use crate::route::{LaneClash, LaneId};
use crate::store::keys::{self, LaneKey, family};
use crate::store::{Batch, Read, StoreError, record};

/// Leases read at start; a lease is deleted when its last segment is settled, so there are few.
const MAX_LEASES: usize = 1_000_000;
/// Messages looked at for one batch after the routes were changed.
const MOVES: usize = 512;
const MAX_BEGUN: usize = 10_000_000;

/// The record of what decided on lanes when all waiting messages were last put where they belong.
const ROUTING: &str = "routing";

/// The leases of one message that have no end on the disk, oldest first.
#[derive(Default)]
struct Open {
    leases: Vec<(u64, Vec<u8>)>,
    /// Link and account; all leases of one attempt have the same.
    by: Option<(LinkName, LinkName)>,
}

/// Why a core cannot start: the state is unreadable, or the configuration's routes clash.
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
        core.counters.reminders = work.txn.get(&keys::core(REMINDERS))?.unwrap_or_default();
        core.load_clock(&work)?;
        core.reminders.load(state)?;
        core.pauses = work.txn.get(&keys::core(PAUSES))?.unwrap_or_default();
        core.unknowns = unknown::load(state)?.into_iter().collect();
        core.orphans = Orphans::load(state)?;
        core.load_begun(state)?;
        core.load_parties(state)?;
        core.reminders.errands = Errands::load(state)?;
        core.assembly = Assembly::load(state)?;
        core.end_open_leases(&mut work)?;
        core.hear_orphans(&mut work)?;
        core.settle_reminders(&mut work)?;
        if work.txn.get(&keys::core(ROUTING))? != Some(core.routing()) {
            core.misplaced = Some(keys::all(family::LANE).0);
            work.txn.delete_if_present(keys::core(ROUTING))?;
        }
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
        let lanes = lanes_on_disk(work)?;
        open.into_iter().try_for_each(|(id, open)| self.lose(&lanes, id, open, work))
    }

    fn lose(
        &mut self,
        lanes: &[LaneId],
        id: MessageId,
        open: Open,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        let (Some((body, before)), Some((link, account))) = (self.load(id, work)?, open.by) else {
            return Ok(());
        };
        if Core::is_in_lane(lanes, id, &body, &before, work)? {
            return Ok(());
        }
        let event = Event::Lost { leases: open.leases, link: link.clone(), account, why: UnknownWhy::Crash };
        let Ok(after) = apply(before.clone(), event, &body, &self.settings.queue.retry, work.wall()) else {
            return Ok(());
        };
        let after = self.unless_link_gone(after, &body, work);
        // Its head on disk is the one before the lease; the counters have it as sending since.
        let shown = Head { state: State::Leased { link }, ..after.clone() };
        if let State::Waiting { .. } = after.state {
            let rank = LaneKey::new(0, body.priority, crate::clock::Timestamp::MIN, id).rank;
            self.wait_again(id, &body, &after, rank, work)?;
        }
        self.store_head(id, &body, &shown, &after, work)
    }

    /// Waiting, with its place in a lane on disk, which need not be the lane it would go to now.
    fn is_in_lane(
        lanes: &[LaneId],
        id: MessageId,
        body: &Body,
        head: &Head,
        work: &Work,
    ) -> Result<bool, StoreError> {
        let State::Waiting { due, .. } = head.state else { return Ok(false) };
        for &lane in lanes {
            if work.txn.contains(&LaneKey::new(lane, body.priority, due, id).encode())? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Moves some messages to the lanes they would go to now, where the routes or links were changed since
    /// they were accepted; an empty batch: all are where they belong. Called until then, before the first step.
    pub fn move_lanes(&mut self, state: &dyn Read, now: Now) -> Result<Batch, StoreError> {
        self.move_some(MOVES, state, now)
    }

    /// [`Core::move_lanes`], looking at `most` messages at a time.
    pub fn move_some(&mut self, most: usize, state: &dyn Read, now: Now) -> Result<Batch, StoreError> {
        let mut work = Work::new(state, now);
        while work.txn.batch.is_empty()
            && let Some(from) = self.misplaced.take()
        {
            let entries = work.txn.scan(&from, &keys::all(family::LANE).1, most)?;
            match entries.last() {
                Some((last, _)) => self.misplaced = Some([last, &[0][..]].concat()),
                None => work.txn.put(keys::core(ROUTING), &self.routing()),
            }
            for (bytes, value) in entries {
                self.place(&bytes, &value, &mut work)?;
            }
        }
        self.settle_reminders(&mut work)?;
        self.seal(&mut work);
        Ok(work.txn.batch)
    }

    /// Puts one waiting message where it belongs now.
    fn place(&mut self, bytes: &[u8], value: &[u8], work: &mut Work) -> Result<(), StoreError> {
        let Some(key) = LaneKey::decode(bytes) else { return Ok(()) };
        let Some((body, head)) = self.load(key.id, work)? else {
            work.txn.delete(bytes.to_vec());
            return Ok(());
        };
        if self.place_of(key.id, &body, &head) != Some(key) {
            self.put_right(key, record::decode(value)?, &body, &head, work)?;
        }
        Ok(())
    }

    /// Where a message waits by what is configured now. `None`: it does not, or for a link that is gone.
    pub(super) fn place_of(&self, id: MessageId, body: &Body, head: &Head) -> Option<LaneKey> {
        let State::Waiting { due, .. } = head.state else { return None };
        self.router.lane(body, head.bound_to()).map(|lane| LaneKey::new(lane, body.priority, due, id))
    }

    /// Moves an entry that is not where its message waits: there; or out, and the message ends if the only
    /// link it may use is gone.
    pub(super) fn put_right(
        &mut self,
        key: LaneKey,
        entry: LaneEntry,
        body: &Body,
        head: &Head,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        work.txn.delete(key.encode());
        if let Some(place) = self.place_of(key.id, body, head) {
            work.txn.put(place.encode(), &entry);
            self.lanes.insert(place, Waiting { entry, body: None });
            return Ok(());
        }
        let after = self.unless_link_gone(head.clone(), body, work);
        if after != *head {
            self.store_head(key.id, body, head, &after, work)?;
            self.settled(body.to, key.id, head, work);
        }
        Ok(())
    }

    /// A digest of all that decides on lanes. Over the values: what is shown of a number is not all of it.
    fn routing(&self) -> u64 {
        let links: Vec<&LinkName> = self.links.iter().map(|seat| &seat.facts.name).collect();
        u64_digest(&record::encode(&(&self.settings.routes, links)))
    }
}

/// The lanes that hold anything on disk.
pub(super) fn lanes_on_disk(work: &Work) -> Result<Vec<LaneId>, StoreError> {
    let (mut from, end) = keys::all(family::LANE);
    let mut lanes = Vec::new();
    while let Some((key, _)) = work.txn.scan(&from, &end, 1)?.into_iter().next() {
        let Some(LaneKey { lane, .. }) = LaneKey::decode(&key) else { break };
        lanes.push(lane);
        match lane.checked_add(1) {
            Some(next) => from = keys::lane_start(next),
            None => break,
        }
    }
    Ok(lanes)
}
