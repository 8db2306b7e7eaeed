//! Order per recipient: the next message starts when the one before is settled.
//!
//! "Settled" is accepted, refused for good or unknown; a receipt or a person is never waited for. A
//! message that was begun and waits for its retry holds back later ones of the same or lower priority.
//! Only recipients with something begun or leased are here; those held back are parked, and come out one
//! a lane at a time: the first of each lane keeps the rest of it from being overtaken. Where too many are
//! held back, the rest stays on the disk only ([`Order::skip`]) until the lanes are read anew.

use std::collections::{BTreeMap, HashMap};

use crate::clock::Timestamp;
use crate::id::MessageId;
use crate::message::Msisdn;
use crate::route::LaneId;
use crate::store::keys::LaneKey;

use super::lanes::Waiting;

/// Messages parked at most, over all recipients; those beyond are skipped.
pub const MAX_PARKED: usize = 65_536;

/// Lane, rank, due, id: the first of a lane is found without looking at the others.
type Place = (LaneId, u8, Timestamp, MessageId);

fn place(key: LaneKey) -> Place {
    (key.lane, key.rank, key.due, key.id)
}

#[derive(Debug, Default)]
struct Turn {
    leased: Option<MessageId>,
    /// Begun and waiting for a retry, with their rank.
    begun: BTreeMap<MessageId, u8>,
    parked: BTreeMap<Place, (LaneKey, Waiting)>,
    /// The highest rank and the earliest id of those left on the disk: what comes after may not overtake.
    skipped: Option<(u8, MessageId)>,
}

impl Turn {
    fn is_idle(&self) -> bool {
        self.leased.is_none() && self.begun.is_empty() && self.parked.is_empty() && self.skipped.is_none()
    }
}

/// Recipients with something begun, leased or parked, at most [`MAX_PARKED`] of the last.
#[derive(Debug, Default)]
pub struct Order {
    turns: HashMap<Msisdn, Turn>,
    parked: usize,
}

impl Order {
    /// Whether this message may start now.
    pub fn may_start(&self, to: Msisdn, id: MessageId, rank: u8) -> bool {
        let Some(turn) = self.turns.get(&to) else { return true };
        let held = turn.begun.iter().any(|(&other, &its_rank)| other < id && its_rank <= rank);
        let overtakes = turn.skipped.is_some_and(|(its_rank, first)| first < id && its_rank <= rank);
        turn.leased.is_none() && !held && !overtakes
    }

    pub fn leased(&mut self, to: Msisdn, id: MessageId) {
        let turn = self.turns.entry(to).or_default();
        turn.leased = Some(id);
        turn.begun.remove(&id);
    }

    /// It waits for a retry and holds its place.
    pub fn begun(&mut self, to: Msisdn, id: MessageId, rank: u8) {
        self.turns.entry(to).or_default().begun.insert(id, rank);
    }

    pub fn is_full(&self) -> bool {
        self.parked >= MAX_PARKED
    }

    /// There is room for many again.
    pub fn has_room(&self) -> bool {
        self.parked <= MAX_PARKED / 2
    }

    /// A message that may not start stays on the disk only.
    pub fn skip(&mut self, to: Msisdn, key: LaneKey) {
        let skipped = &mut self.turns.entry(to).or_default().skipped;
        let (rank, first) = skipped.unwrap_or((key.rank, key.id));
        *skipped = Some((rank.min(key.rank), first.min(key.id)));
    }

    /// The lanes are read anew: nothing is skipped any more.
    pub fn forget_skipped(&mut self) {
        self.turns.retain(|_, turn| {
            turn.skipped = None;
            !turn.is_idle()
        });
    }

    pub fn park(&mut self, key: LaneKey, waiting: Waiting) {
        let turn = self.turns.entry(waiting.entry.to).or_default();
        if turn.parked.insert(place(key), (key, waiting)).is_none() {
            self.parked += 1;
        }
    }

    /// Takes a parked message out for good (canceled, expired).
    pub fn unpark(&mut self, to: Msisdn, key: LaneKey) -> Option<Waiting> {
        let turn = self.turns.get_mut(&to)?;
        let (_, waiting) = turn.parked.remove(&place(key))?;
        self.parked -= 1;
        self.forget_if_idle(to);
        Some(waiting)
    }

    /// This message holds nobody back any more. What may start comes out.
    pub fn settled(&mut self, to: Msisdn, id: MessageId) -> Vec<(LaneKey, Waiting)> {
        if let Some(turn) = self.turns.get_mut(&to) {
            turn.begun.remove(&id);
        }
        self.unlease(to, id)
    }

    /// It went back to waiting but holds its place; what may overtake it comes out.
    pub fn unlease(&mut self, to: Msisdn, id: MessageId) -> Vec<(LaneKey, Waiting)> {
        let Some(turn) = self.turns.get_mut(&to) else { return Vec::new() };
        if turn.leased == Some(id) {
            turn.leased = None;
        }
        self.release(to)
    }

    /// What may start of those that a hold kept aside, for all recipients that fit.
    pub fn let_out(&mut self, fits: impl Fn(Msisdn) -> bool) -> Vec<(LaneKey, Waiting)> {
        let mut fitting: Vec<Msisdn> = self.turns.keys().copied().filter(|&to| fits(to)).collect();
        // In order: the same inputs give the same step.
        fitting.sort_unstable();
        fitting.into_iter().flat_map(|to| self.release(to)).collect()
    }

    /// The first parked message of each lane that may start.
    fn release(&mut self, to: Msisdn) -> Vec<(LaneKey, Waiting)> {
        let Some(turn) = self.turns.get(&to).filter(|turn| turn.leased.is_none()) else { return Vec::new() };
        let mut keys = Vec::new();
        let mut from = Some(0);
        while let Some(lane) = from {
            let begin = (lane, 0, Timestamp::MIN, MessageId::from_u64(0));
            let Some((&(lane, ..), _)) = turn.parked.range(begin..).next() else { break };
            let rest =
                turn.parked.range(begin..).map(|(_, (key, _))| *key).take_while(|key| key.lane <= lane);
            keys.extend(rest.into_iter().find(|key| self.may_start(to, key.id, key.rank)));
            from = lane.checked_add(1);
        }
        let out: Vec<_> = match self.turns.get_mut(&to) {
            Some(turn) => keys.into_iter().filter_map(|key| turn.parked.remove(&place(key))).collect(),
            None => Vec::new(),
        };
        self.parked -= out.len();
        self.forget_if_idle(to);
        out
    }

    fn forget_if_idle(&mut self, to: Msisdn) {
        if self.turns.get(&to).is_some_and(Turn::is_idle) {
            self.turns.remove(&to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::lanes::LaneEntry;
    use crate::message::Priority;

    const TO: Msisdn = Msisdn::from_u64(4_915_112_345_678);

    fn id(n: u64) -> MessageId {
        MessageId::from_u64(n)
    }

    fn key(priority: u8, n: u64) -> LaneKey {
        LaneKey::new(1, Priority::new(priority).unwrap(), Timestamp::from_millis(n), id(n))
    }

    fn waiting() -> Waiting {
        Waiting { entry: LaneEntry { to: TO, valid_until: Timestamp::MAX, begun: false }, body: None }
    }

    #[test]
    fn the_next_message_comes_out_when_the_one_before_is_settled() {
        let mut order = Order::default();
        order.leased(TO, id(1));
        assert!(!order.may_start(TO, id(2), 5));
        order.park(key(4, 3), waiting());
        order.park(key(4, 2), waiting());
        let out = |out: Vec<(LaneKey, Waiting)>| out.into_iter().map(|(key, _)| key).collect::<Vec<_>>();
        assert_eq!(out(order.settled(TO, id(1))), [key(4, 2)], "the earlier one, whichever was parked first");
        order.leased(TO, id(2));
        assert_eq!(out(order.settled(TO, id(2))), [key(4, 3)]);
        assert_eq!(out(order.settled(TO, id(3))), []);
        assert!(order.turns.is_empty(), "nothing is remembered of an idle recipient");
    }

    #[test]
    fn a_message_of_another_lane_leaves_nobody_behind() {
        let mut order = Order::default();
        order.leased(TO, id(1));
        let other_lane = LaneKey { lane: 2, ..key(9, 5) };
        order.park(other_lane, waiting());
        order.park(key(4, 2), waiting());
        let out: Vec<LaneKey> = order.settled(TO, id(1)).into_iter().map(|(key, _)| key).collect();
        assert_eq!(out, [key(4, 2), other_lane]);
    }

    #[test]
    fn what_was_skipped_is_not_overtaken_until_it_is_looked_for_again() {
        let mut order = Order::default();
        order.leased(TO, id(1));
        order.skip(TO, key(4, 2));
        order.settled(TO, id(1));
        let rank = key(4, 3).rank;
        assert!(order.may_start(TO, id(2), rank) && !order.may_start(TO, id(3), rank));
        order.forget_skipped();
        assert!(order.may_start(TO, id(3), rank));
        assert!(order.turns.is_empty());
    }

    #[test]
    fn a_retry_holds_back_equals_but_not_a_higher_priority() {
        let mut order = Order::default();
        let (rank4, rank9) = (key(4, 2).rank, key(9, 2).rank);
        order.begun(TO, id(1), rank4);
        assert!(!order.may_start(TO, id(2), rank4));
        assert!(order.may_start(TO, id(2), rank9));
        assert!(order.may_start(TO, id(1), rank4), "the retry itself may");
    }
}
