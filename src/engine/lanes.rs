//! The near end of every lane in memory: a bounded horizon over the due index on disk.
//!
//! Per lane and rank (9 minus priority) there are two horizons: of what is due at once, in order of
//! acceptance, and of what has a date (`send_at`, a retry). The clock decides on the second only, and neither
//! starves the other: what has been due longer goes first. The earliest entries of each are kept; `edge` says
//! up to where memory knows the disk. An entry beyond it waits on disk only, so a million messages for a dead link cost a
//! live one nothing. Whatever takes an entry out of here is responsible for its key on disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::MessageId;
use crate::message::body::AT_ONCE;
use crate::message::{Body, Msisdn, Priority};
use crate::route::LaneId;
use crate::store::{Read, StoreError, keys, record};

/// Entries read at once, and below which a horizon is read on.
const REFILL: usize = 256;
/// Entries one horizon may hold; beyond it the farthest go back to being on disk only.
const HORIZON: usize = 1024;
/// Bodies read in one go while nothing else is to be done, so that what comes meanwhile hardly waits.
const WARM_AT_ONCE: usize = 8;
/// Horizons of a rank: due at once, and by date.
const KINDS: usize = 2;
const HORIZONS: usize = Priority::LEVELS as usize * KINDS;
/// The least due time that is a date.
const FIRST_DATE: Timestamp = Timestamp::from_millis(1);

/// What dispatch needs to know of a waiting message without reading its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneEntry {
    pub to: Msisdn,
    pub valid_until: Timestamp,
    /// It has a head on disk.
    pub begun: bool,
}

/// A waiting message in memory; the body where it was just accepted.
#[derive(Clone, Debug)]
pub struct Waiting {
    pub entry: LaneEntry,
    pub body: Option<Arc<Body>>,
}

type Place = (Timestamp, MessageId);

#[derive(Debug, Default)]
struct Horizon {
    near: BTreeMap<Place, Waiting>,
    /// The last place memory knows; `None`: it knows everything.
    edge: Option<Place>,
    /// The first place that was taken out unsent and is on the disk only.
    skipped: Option<Place>,
    /// The same of what a clock in doubt holds back.
    held: Option<Place>,
}

impl Horizon {
    /// Goes back to a place; the next refill reads on from there.
    fn back_to(&mut self, first: Place) {
        let before = (first.0, MessageId::from_u64(first.1.as_u64().saturating_sub(1)));
        self.near.split_off(&first);
        self.edge = Some(self.edge.map_or(before, |edge| edge.min(before)));
    }
}

/// The first of both.
fn mark(first: &mut Option<Place>, place: Place) {
    *first = Some(first.map_or(place, |first| first.min(place)));
}

/// Every lane's horizons, [`KINDS`] a rank, the highest priority first.
#[derive(Debug)]
pub struct Lanes {
    lanes: BTreeMap<LaneId, [Horizon; HORIZONS]>,
}

impl Lanes {
    /// All of these lanes, with nothing known of the disk yet.
    pub fn new(lanes: impl Iterator<Item = LaneId>) -> Lanes {
        let unread = |at: usize| {
            let first = if at.is_multiple_of(KINDS) { AT_ONCE } else { FIRST_DATE };
            Horizon {
                near: BTreeMap::new(),
                edge: Some((first, MessageId::from_u64(0))),
                skipped: None,
                held: None,
            }
        };
        Lanes { lanes: lanes.map(|lane| (lane, std::array::from_fn(unread))).collect() }
    }

    /// Reads on where a horizon has run low. Only between steps, when the disk shows every write.
    pub fn refill(&mut self, state: &dyn Read) -> Result<bool, StoreError> {
        let mut grew = false;
        for (&lane, horizons) in &mut self.lanes {
            for (at, horizon) in horizons.iter_mut().enumerate() {
                if let Some((due, id)) = horizon.edge.filter(|_| horizon.near.len() < REFILL) {
                    let key = keys::LaneKey { lane, rank: (at / KINDS) as u8, due, id };
                    let mut from = key.encode();
                    from.push(0);
                    let to = if due == AT_ONCE {
                        keys::LaneKey { due: FIRST_DATE, id: MessageId::from_u64(0), ..key }.encode()
                    } else {
                        keys::under(keys::lane_rank(lane, key.rank)).1
                    };
                    let entries = state.scan(&from, &to, REFILL)?;
                    horizon.edge = None;
                    let full = entries.len() == REFILL;
                    for (key, value) in entries {
                        let key = keys::LaneKey::decode(&key).ok_or_else(|| {
                            StoreError::Damaged(String::from("a lane key of the wrong length"))
                        })?;
                        let waiting = Waiting { entry: record::decode(&value)?, body: None };
                        horizon.near.insert((key.due, key.id), waiting);
                        horizon.edge = full.then_some((key.due, key.id));
                    }
                    grew = true;
                }
            }
        }
        Ok(grew)
    }

    /// Whether a horizon has run low and the disk may have more.
    pub fn wants_refill(&self) -> bool {
        self.lanes.values().flatten().any(|h| h.edge.is_some() && h.near.len() < REFILL)
    }

    /// Reads the bodies of the next to go, a few at a call: the first `ahead` of each lane. Whether there
    /// was one to read. One that cannot be found is left for the step that wants it.
    pub fn warm(&mut self, state: &dyn Read, ahead: usize) -> Result<bool, StoreError> {
        let mut read = false;
        for horizons in self.lanes.values_mut() {
            let next = horizons.iter_mut().flat_map(|horizon| horizon.near.iter_mut()).take(ahead);
            let cold = next.filter(|(_, waiting)| waiting.body.is_none() && !waiting.entry.begun);
            for ((_, id), waiting) in cold.take(WARM_AT_ONCE) {
                let body = state.get(&keys::body(*id))?;
                waiting.body = body.map(|bytes| record::decode(&bytes)).transpose()?.map(Arc::new);
                read |= waiting.body.is_some();
            }
        }
        Ok(read)
    }

    /// Puts an entry where it belongs; beyond the edge it stays on disk only.
    pub fn insert(&mut self, key: keys::LaneKey, waiting: Waiting) {
        let Some(horizon) = self.horizon(key) else { return };
        let place = (key.due, key.id);
        if horizon.edge.is_some_and(|edge| place > edge) {
            return;
        }
        horizon.near.insert(place, waiting);
        if horizon.near.len() > HORIZON {
            horizon.near.pop_last();
            horizon.edge = horizon.near.last_key_value().map(|(place, _)| *place);
        }
    }

    /// Leaves an entry that was taken out to the disk, until [`Lanes::rewind`].
    pub fn skip(&mut self, key: keys::LaneKey) {
        let Some(horizon) = self.horizon(key) else { return };
        mark(&mut horizon.skipped, (key.due, key.id));
    }

    /// Leaves an entry that was taken out to the disk, until [`Lanes::let_go`].
    pub fn hold(&mut self, key: keys::LaneKey) {
        let Some(horizon) = self.horizon(key) else { return };
        mark(&mut horizon.held, (key.due, key.id));
    }

    pub fn has_skipped(&self) -> bool {
        self.lanes.values().flatten().any(|horizon| horizon.skipped.is_some())
    }

    /// Goes back to the first entry that was skipped; the next refill reads on from there.
    pub fn rewind(&mut self) {
        for horizon in self.lanes.values_mut().flatten() {
            if let Some(first) = horizon.skipped.take() {
                horizon.back_to(first);
            }
        }
    }

    /// Goes back to the first entry that was held, likewise.
    pub fn let_go(&mut self) {
        for horizon in self.lanes.values_mut().flatten() {
            if let Some(first) = horizon.held.take() {
                horizon.back_to(first);
            }
        }
    }

    pub fn remove(&mut self, key: keys::LaneKey) -> Option<Waiting> {
        self.horizon(key)?.near.remove(&(key.due, key.id))
    }

    /// The entry of a lane that has been due longest, highest priority first.
    pub fn first_due(&self, lane: LaneId, now: Timestamp) -> Option<keys::LaneKey> {
        let ranks = self.lanes.get(&lane)?.chunks(KINDS);
        (0u8..).zip(ranks).find_map(|(rank, kinds)| {
            let firsts = kinds.iter().filter_map(|horizon| horizon.near.first_key_value());
            let due = firsts.filter(|((due, _), _)| *due <= now);
            due.map(|(&(due, id), _)| keys::LaneKey { lane, rank, due, id })
                .min_by_key(|key| (key.due_since(), key.id))
        })
    }

    /// When the next entry that is not yet due will be.
    pub fn next_due(&self, now: Timestamp) -> Option<Timestamp> {
        let from = (now.saturating_add(std::time::Duration::from_millis(1)), MessageId::from_u64(0));
        let horizons = self.lanes.values().flatten();
        horizons.filter_map(|h| h.near.range(from..).next().map(|((due, _), _)| *due)).min()
    }

    /// Acceptance time of the oldest entry that is due, as far as memory sees: without the body, the time of
    /// its id, which is later only where the clock had gone back.
    pub fn oldest_due(&self, now: Timestamp) -> Option<Timestamp> {
        let firsts = self.lanes.values().flatten().filter_map(|h| h.near.first_key_value());
        let due = firsts.filter(|((due, _), _)| *due <= now);
        due.map(|((_, id), waiting)| {
            waiting.body.as_ref().map_or_else(|| id.allotted_at(), |body| body.accepted_at)
        })
        .min()
    }

    fn horizon(&mut self, key: keys::LaneKey) -> Option<&mut Horizon> {
        let kind = usize::from(key.due != AT_ONCE);
        self.lanes.get_mut(&key.lane)?.get_mut(usize::from(key.rank) * KINDS + kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::memory::Memory;
    use crate::message::body::sample;
    use keys::LaneKey;

    fn key(priority: u8, due: u64, id: u64) -> LaneKey {
        let priority = Priority::new(priority).unwrap();
        LaneKey::new(1, priority, Timestamp::from_millis(due), MessageId::from_u64(id))
    }

    fn waiting() -> Waiting {
        let to = Msisdn::parse_e164("+4915112345678").unwrap();
        Waiting { entry: LaneEntry { to, valid_until: Timestamp::MAX, begun: false }, body: None }
    }

    fn on_disk(keys: impl Iterator<Item = LaneKey>) -> Memory {
        let mut memory = Memory::default();
        memory.map.extend(keys.map(|key| (key.encode(), record::encode(&waiting().entry))));
        memory
    }

    #[test]
    fn a_higher_priority_that_is_due_goes_before_an_older_lower_one() {
        let mut lanes = Lanes::new([1].into_iter());
        lanes.refill(&Memory::default()).unwrap();
        for key in [key(4, 10, 1), key(9, 20, 2)] {
            lanes.insert(key, waiting());
        }
        let at = |ms| Timestamp::from_millis(ms);
        assert_eq!(lanes.first_due(1, at(15)), Some(key(4, 10, 1)));
        assert_eq!(lanes.first_due(1, at(20)), Some(key(9, 20, 2)));
        assert_eq!(lanes.next_due(at(15)), Some(at(20)));
    }

    /// Else a retry would wait for an end of what is accepted meanwhile.
    #[test]
    fn what_has_a_date_and_what_is_due_at_once_go_by_how_long_they_have_been_due() {
        let at = |ms| Timestamp::from_millis(ms);
        let accepted = |ms| LaneKey { due: AT_ONCE, id: MessageId::earliest(at(ms)), ..key(4, 1, 1) };
        let (old, young, retry, ahead) = (accepted(10), accepted(30), key(4, 20, 1), key(4, 90, 2));
        let disk = on_disk([old, young, retry, ahead].into_iter());
        let mut lanes = Lanes::new([1].into_iter());
        lanes.refill(&disk).unwrap();
        for next in [old, retry, young] {
            assert_eq!(lanes.first_due(1, at(50)), Some(next));
            lanes.remove(next).unwrap();
        }
        assert_eq!((lanes.first_due(1, at(50)), lanes.next_due(at(50))), (None, Some(at(90))));
    }

    #[test]
    fn what_is_due_at_once_is_so_at_any_time_and_not_hidden_by_what_has_a_date() {
        let plain = LaneKey { due: AT_ONCE, id: MessageId::earliest(Timestamp::MAX), ..key(4, 1, 1) };
        let dates = (1..=HORIZON as u64 + 50).map(|n| key(4, 1_000 + n, n));
        let mut lanes = Lanes::new([1].into_iter());
        lanes.refill(&on_disk(dates.chain([plain]))).unwrap();
        assert_eq!(lanes.first_due(1, Timestamp::from_millis(1)), Some(plain));
    }

    #[test]
    fn everything_on_disk_is_met_in_order_whatever_is_inserted_meanwhile() {
        let memory = on_disk((1..=3000).map(|n| key(4, n * 2, n)));
        let mut lanes = Lanes::new([1].into_iter());
        let mut seen = Vec::new();
        lanes.refill(&memory).unwrap();
        let mut disk = memory;
        for late in [1u64, 1001, 5001] {
            let key = key(4, late, late);
            disk.map.insert(key.encode(), record::encode(&waiting().entry));
            lanes.insert(key, waiting());
        }
        loop {
            while let Some(first) = lanes.first_due(1, Timestamp::MAX) {
                lanes.remove(first).unwrap();
                disk.map.remove(&first.encode());
                seen.push(first.due);
            }
            if !lanes.refill(&disk).unwrap() {
                break;
            }
        }
        assert_eq!(seen.len(), 3003);
        assert!(seen.is_sorted());
    }

    #[test]
    fn what_was_skipped_is_met_again_in_its_place_after_a_rewind() {
        let disk = on_disk((1..=600).map(|n| key(4, n, n)));
        let mut lanes = Lanes::new([1].into_iter());
        let walk = |lanes: &mut Lanes, skip: bool| {
            let mut met = Vec::new();
            while lanes.refill(&disk).unwrap() || lanes.first_due(1, Timestamp::MAX).is_some() {
                while let Some(first) = lanes.first_due(1, Timestamp::MAX) {
                    lanes.remove(first).unwrap();
                    met.push(first.id.as_u64());
                    if skip && first.id.as_u64() > 100 {
                        lanes.skip(first);
                    }
                }
            }
            met
        };
        assert_eq!(walk(&mut lanes, true), (1..=600).collect::<Vec<_>>());
        assert!(lanes.has_skipped());
        lanes.rewind();
        assert!(!lanes.has_skipped());
        assert_eq!(walk(&mut lanes, false), (101..=600).collect::<Vec<_>>());
    }

    /// As [`on_disk`], with the body of each.
    fn with_bodies(keys: &[LaneKey]) -> Memory {
        let mut memory = on_disk(keys.iter().copied());
        memory.map.extend(keys.iter().map(|key| (keys::body(key.id), record::encode(&body(key.due)))));
        memory
    }

    fn body(due: Timestamp) -> Body {
        Body { due, ..sample() }
    }

    /// Everything in memory, in the order in which it would go, with whether its body is there.
    fn shown(lanes: &Lanes) -> Vec<(Place, bool)> {
        let near = lanes.lanes.values().flatten().flat_map(|horizon| &horizon.near);
        near.map(|(&place, waiting)| (place, waiting.body.is_some())).collect()
    }

    fn warmed(lanes: &Lanes) -> Vec<u64> {
        shown(lanes).into_iter().filter(|(_, warm)| *warm).map(|((_, id), _)| id.as_u64()).collect()
    }

    #[test]
    fn the_next_to_go_are_warmed_a_few_at_a_call_up_to_as_many_as_are_asked_for() {
        let keys: Vec<LaneKey> = (1..=40).map(|n| key(4, n, n)).collect();
        let disk = with_bodies(&keys);
        let mut lanes = Lanes::new([1].into_iter());
        lanes.refill(&disk).unwrap();
        for count in [WARM_AT_ONCE as u64, 2 * WARM_AT_ONCE as u64, 20] {
            assert!(lanes.warm(&disk, 20).unwrap());
            assert_eq!(warmed(&lanes), (1..=count).collect::<Vec<_>>());
        }
        assert!(!lanes.warm(&disk, 20).unwrap(), "the first 20 are there");
        assert_eq!(warmed(&lanes).len(), 20);
        let first = lanes.remove(keys[0]).unwrap();
        assert_eq!(*first.body.unwrap(), body(keys[0].due), "its own body");
        assert!(lanes.warm(&disk, 20).unwrap(), "one has moved up");
        assert_eq!(warmed(&lanes), (2..=21).collect::<Vec<_>>());
    }

    #[test]
    fn each_lane_is_warmed_from_its_highest_priority_on() {
        let other = LaneKey { lane: 2, ..key(4, 1, 9) };
        let keys = [key(4, 1, 1), key(9, 500, 2), key(9, 600, 3), other];
        let disk = with_bodies(&keys);
        let mut lanes = Lanes::new([1, 2].into_iter());
        lanes.refill(&disk).unwrap();
        assert!(lanes.warm(&disk, 2).unwrap());
        assert_eq!(warmed(&lanes), [2, 3, 9]);
    }

    #[test]
    fn warming_changes_neither_what_is_there_nor_its_order() {
        let keys: Vec<LaneKey> = (1..=300).map(|n| key((n % 3) as u8, 1000 - n, n)).collect();
        let disk = with_bodies(&keys);
        let mut lanes = Lanes::new([1].into_iter());
        lanes.refill(&disk).unwrap();
        let places = |lanes: &Lanes| shown(lanes).into_iter().map(|(place, _)| place).collect::<Vec<_>>();
        let before = places(&lanes);
        while lanes.warm(&disk, 50).unwrap() {}
        assert_eq!((places(&lanes), warmed(&lanes).len()), (before, 50));
    }

    #[test]
    fn an_entry_that_was_begun_or_has_no_body_is_left_for_the_step() {
        let keys: Vec<LaneKey> = (1..=3).map(|n| key(4, n, n)).collect();
        let mut disk = with_bodies(&keys);
        let begun = LaneEntry { begun: true, ..waiting().entry };
        disk.map.insert(keys[0].encode(), record::encode(&begun));
        disk.map.remove(&keys::body(keys[1].id));
        let mut lanes = Lanes::new([1].into_iter());
        lanes.refill(&disk).unwrap();
        assert!(lanes.warm(&disk, 3).unwrap());
        assert_eq!(warmed(&lanes), [3]);
        assert!(!lanes.warm(&disk, 3).unwrap(), "what cannot be read is no reason to come again");
        assert_eq!(lanes.first_due(1, Timestamp::MAX), Some(keys[0]));
        assert_eq!(shown(&lanes).len(), 3);
    }

    #[test]
    fn a_full_horizon_gives_its_far_end_back_to_the_disk_and_finds_it_again() {
        let mut lanes = Lanes::new([1].into_iter());
        lanes.refill(&Memory::default()).unwrap();
        let keys: Vec<LaneKey> = (1..=HORIZON as u64 + 50).map(|n| key(4, n, n)).collect();
        for &key in &keys {
            lanes.insert(key, waiting());
        }
        let mut disk = on_disk(keys.iter().copied());
        let mut met = 0;
        loop {
            while let Some(first) = lanes.first_due(1, Timestamp::MAX) {
                assert_eq!(first, keys[met]);
                lanes.remove(first).unwrap();
                disk.map.remove(&first.encode());
                met += 1;
            }
            if !lanes.refill(&disk).unwrap() {
                break;
            }
        }
        assert_eq!(met, keys.len());
    }
}
