//! Dispatch: which message goes to which link next. Leases, credits, order.
//!
//! A link with credits takes from the lanes that name it, the highest priority first and fair among
//! equals, one message at a time, so that links of one lane share it. A lease is written before its
//! submissions are handed out, one record a link and step.

use std::sync::Arc;

use super::core::{Active, Core, Lease, LeasedSegments, LinkIndex, Work, counted};
use super::lanes::Waiting;
use super::optout::blocked;
use super::quota::Choice;
use crate::config::Policy;
use crate::id::MessageId;
use crate::link::{Concat, Submission};
use crate::message::{Body, Cause, Event, Head, Reason, State, Status, apply};
use crate::route::{Lane, LaneId};
use crate::sms::segment;
use crate::store::StoreError;
use crate::store::keys::{self, LaneKey};

/// Messages looked at for one step at most, so that a step stays short whatever is expired or held back.
const MAX_LOOKED_AT: usize = 4096;

impl Core {
    pub(super) fn dispatch(&mut self, work: &mut Work) -> Result<(), StoreError> {
        let mut looked_at = 0;
        self.bring_back_aside(work.now);
        loop {
            let mut links: Vec<LinkIndex> = (0..self.links.len()).filter(|&l| self.credits(l) > 0).collect();
            links.sort_by_key(|&link| self.load_of(link));
            let mut progress = false;
            for link in links {
                progress |= self.serve(link, &mut looked_at, work)?;
            }
            self.cut_short = looked_at >= MAX_LOOKED_AT;
            if !progress || self.cut_short {
                break;
            }
        }
        for (_, (number, lease)) in std::mem::take(&mut work.leasing) {
            work.txn.put(keys::lease(number), &lease);
        }
        self.keep_ledgers(work);
        Ok(())
    }

    /// Share of the window in use, in thousandths.
    fn load_of(&self, link: LinkIndex) -> u32 {
        self.links
            .get(link)
            .map_or(u32::MAX, |s| u32::from(s.leased) * 1000 / u32::from(s.facts.window.max(1)))
    }

    /// Gives a link its next segments; whether it got any, or a message left its lane otherwise.
    fn serve(&mut self, link: LinkIndex, looked_at: &mut usize, work: &mut Work) -> Result<bool, StoreError> {
        if let Some(id) = self.links.get(link).and_then(|seat| seat.unfinished.first().copied()) {
            if !self.expire_between(id, work)? && !self.stop_between(id, work)? {
                self.go_on(id, link, work)?;
            }
            return Ok(true);
        }
        while *looked_at < MAX_LOOKED_AT && self.credits(link) > 0 {
            let Some((lane, key)) = self.best(link, work) else { return Ok(false) };
            *looked_at += 1;
            self.turn += 1;
            self.served.insert(lane, self.turn);
            let Some(waiting) = self.lanes.remove(key) else { return Ok(false) };
            if self.quotas.is_aside(key) {
                continue;
            }
            if self.waits_for_clock(key, &waiting) {
                self.lanes.hold(key);
                continue;
            }
            let to = waiting.entry.to;
            if !self.order.may_start(to, key.id, key.rank) || self.is_held(to, key.id) {
                // It waits for another message now: the feed need not wait for it.
                self.reminders.feed.waiting.remove(&key.id);
                if self.order.is_full() {
                    self.order.skip(to, key);
                    self.lanes.skip(key);
                } else {
                    self.order.park(key, waiting);
                }
                continue;
            }
            let link = match self.taker(link, key, to, work)? {
                Choice::Start(link) => link,
                Choice::Aside(link) => {
                    self.quotas.set_aside(key, waiting, link);
                    continue;
                }
                Choice::Hold => {
                    self.lanes.hold(key);
                    self.quotas.held(work.now);
                    continue;
                }
            };
            if self.start(key, waiting, link, work)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The best entry that is due in any lane this link serves now.
    fn best(&self, link: LinkIndex, work: &Work) -> Option<(LaneId, LaneKey)> {
        let lanes = self.router.lanes().iter().filter(|(_, lane)| self.serves(link, lane));
        let firsts = lanes.filter_map(|(&id, _)| Some((id, self.lanes.first_due(id, work.wall())?)));
        firsts.min_by_key(|(id, key)| (key.rank, self.served.get(id).copied().unwrap_or(0), key.due_since()))
    }

    pub(super) fn serves(&self, link: LinkIndex, lane: &Lane) -> bool {
        let Some(seat) = self.links.get(link) else { return false };
        let name = &seat.facts.name;
        match lane.policy {
            Policy::Balance => lane.via.contains(name),
            // The first that can send at all; one that only has no credit just now keeps its lane.
            Policy::Failover => {
                let usable = |name: &crate::message::LinkName| {
                    self.links.iter().position(|s| s.facts.name == *name).filter(|&at| self.usable(at))
                };
                lane.via.iter().find_map(usable) == Some(link)
            }
        }
    }

    /// It can send at all: up, not paused, with quota left.
    pub(super) fn usable(&self, link: LinkIndex) -> bool {
        self.can_send(link) && self.quotas.left(link) > 0
    }

    /// The same, whatever its quota says.
    pub(super) fn can_send(&self, link: LinkIndex) -> bool {
        self.links.get(link).is_some_and(|seat| seat.up && !self.pauses.links.contains_key(&seat.facts.name))
    }

    /// Leases a message that left its lane; `false` when it ended instead.
    fn start(
        &mut self,
        key: LaneKey,
        waiting: Waiting,
        link: LinkIndex,
        work: &mut Work,
    ) -> Result<bool, StoreError> {
        let id = key.id;
        // The key on disk is the right to send, because whatever ends a message takes its key with it; memory
        // is only a hint of it.
        if !work.txn.contains(&key.encode())? {
            tracing::warn!(event = "lane_entry_without_key", %id);
            return Ok(false);
        }
        let (body, head) = match waiting.body {
            Some(body) if !waiting.entry.begun => {
                let head = Head::accepted(&body);
                (body, head)
            }
            _ => match self.load(id, work)? {
                Some((body, head)) => (Arc::new(body), head),
                None => {
                    return Err(StoreError::Damaged(format!("{id} is queued but has no body")));
                }
            },
        };
        if self.place_of(id, &body, &head) != Some(key) {
            tracing::error!(event = "lane_entry_misplaced", %id);
            self.put_right(key, waiting.entry, &body, &head, work)?;
            return Ok(false);
        }
        let late = body.valid_until <= work.wall();
        if late || self.is_opted_out(body.to, id) {
            let event = if late { Event::Expire } else { blocked() };
            self.close_waiting(id, &body, &head, event, work)?;
            return Ok(false);
        }
        if !self.quotas.fits(link, head.unleased(&body).len()) {
            self.lanes.insert(key, Waiting { body: Some(body), ..waiting });
            return Ok(false);
        }
        if !self.may_still_go(id, &body, work)? {
            // Nothing of a long text shows before its last segment: the rest of one that may not go stays here too.
            let bound = head.bound_to().is_some();
            let event =
                if bound { Event::Block(Cause::plain(Reason::PolicyCanceled)) } else { Event::Cancel };
            work.ours.insert(id);
            self.close_waiting(id, &body, &head, event, work)?;
            return Ok(false);
        }
        self.reminders.feed.waiting.remove(&id);
        work.txn.delete(key.encode());
        if Self::began(&head) {
            work.txn.delete(keys::begun(body.to, id));
        }
        self.order.unpark(body.to, key);
        self.order.leased(body.to, id);
        self.recount(Some(counted(&body, &head)), Some(Status::Sending));
        self.active.insert(id, Active { body, head, link, rank: key.rank, held: Vec::new() });
        work.leased.push((id, true));
        self.go_on(id, link, work)?;
        if let Some(active) = self.active.get(&id) {
            let head = active.head.clone();
            self.tell(id, Status::Sending, &head, work);
        }
        Ok(true)
    }

    /// A message that holds its place while it waits for a retry has a key that says so.
    pub(super) fn began(head: &Head) -> bool {
        matches!(head.state, State::Waiting { .. }) && !head.attempts.is_empty()
    }

    /// Ends a long message whose validity passed between two of its segments.
    pub(super) fn expire_between(&mut self, id: MessageId, work: &mut Work) -> Result<bool, StoreError> {
        let Some(active) = self.active.get(&id).filter(|active| active.body.valid_until <= work.wall())
        else {
            return Ok(false);
        };
        let (body, before) = (active.body.clone(), active.head.clone());
        match apply(before.clone(), Event::Expire, &body, &self.settings.queue.retry, work.wall()) {
            Ok(after) => self.replace_active(id, &body, &before, after, work)?,
            // Some of it is still unanswered: its outcome brings it here again.
            Err(_) => self.links.iter_mut().for_each(|seat| seat.unfinished.retain(|&other| other != id)),
        }
        Ok(true)
    }

    /// Leases the next segments of an active message, as many as there is credit for.
    pub(super) fn go_on(
        &mut self,
        id: MessageId,
        link: LinkIndex,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        let credits = usize::from(self.credits(link));
        let Some(active) = self.active.get_mut(&id) else { return Ok(()) };
        let mut next = active.head.unleased(&active.body);
        let rest = next.len() > credits;
        next.truncate(credits);
        let Some(seat) = self.links.get_mut(link) else { return Ok(()) };
        seat.unfinished.retain(|&other| other != id);
        if rest {
            seat.unfinished.push(id);
        }
        if next.is_empty() {
            return Ok(());
        }
        let at = work.wall();
        let (number, lease) = work.leasing.entry(link).or_insert_with(|| {
            self.counters.lease += 1;
            let (link, account) = (seat.facts.name.clone(), seat.facts.account.clone());
            (self.counters.lease, Lease { link, account, at, entries: Vec::new() })
        });
        let event = Event::Lease {
            link: lease.link.clone(),
            account: lease.account.clone(),
            lease: *number,
            segments: next.clone(),
        };
        let begins = matches!(active.head.state, State::Waiting { .. });
        match apply(active.head.clone(), event, &active.body, &self.settings.queue.retry, at) {
            Ok(head) => active.head = head,
            Err(stale) => {
                tracing::error!(event = "lease_refused", %id, error = %stale);
                return Ok(());
            }
        }
        lease.entries.push(LeasedSegments { id, segments: next.clone(), begins });
        seat.leased += next.len() as u16;
        *self.leases.entry(*number).or_default() += next.len() as u32;
        for &index in &next {
            self.lease_of.insert((id, index), *number);
            work.submissions.push((link, submission((id, index, *number), &active.body, at)));
        }
        let (to, number) = (active.body.to, *number);
        self.count_lease(link, to, (next.len(), number), work)
    }
}

/// The segment as a link gets it.
fn submission(
    (id, index, lease): (MessageId, u8, u64),
    body: &Body,
    now: crate::clock::Timestamp,
) -> Submission {
    let total = body.segment_count.max(1);
    let text = if total == 1 {
        body.text.clone()
    } else {
        let split = segment::split(&body.text, body.encoding).unwrap_or_default();
        split.into_iter().nth(usize::from(index)).map(|s| s.text).unwrap_or_default()
    };
    Submission {
        id,
        index,
        lease,
        to: body.to,
        sender: body.sender.clone(),
        text,
        encoding: body.encoding,
        concat: (total > 1).then(|| Concat { reference: body.concat_reference, total, number: index + 1 }),
        flash: body.flash,
        receipt: body.receipt,
        validity: body.valid_until.since(now),
    }
}

/// Why a message that must go by one link will never go: the link is no longer configured.
pub(super) fn link_gone() -> Event {
    Event::Fail(Cause::plain(Reason::InternalLinkGone))
}
