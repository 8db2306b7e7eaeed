//! Outcomes: what became of a lease, and of a link. Each leased segment is settled exactly once.
//!
//! An answer that comes after its segment was settled as unknown still counts, as a late answer. When a
//! retry is due is [`crate::retry`]'s to say, what the message becomes [`crate::message::apply`]'s.

use std::time::Duration;

use super::core::{Answer, Core, LinkIndex, Work};
use super::lanes::{LaneEntry, Waiting};
use super::notice::{Notice, NoticeKind};
use super::optout::blocked;
use super::{Refusal, dispatch};
use crate::id::MessageId;
use crate::link::{Control, LinkEvent};
use crate::message::{Body, Event, Head, Msisdn, Outcome, State, Status, apply};
use crate::store::keys::{self, LaneKey};
use crate::store::{StoreError, record};

/// How long a link that handed something back unasked gets nothing new; it may be saying goodbye.
const REST: Duration = Duration::from_millis(50);

impl Core {
    pub(super) fn hear(
        &mut self,
        link: LinkIndex,
        event: LinkEvent,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        match event {
            LinkEvent::Up => self.link_is(link, true, |link| NoticeKind::LinkUp { link }, work),
            LinkEvent::Down { reason } => {
                self.link_is(link, false, |link| NoticeKind::LinkDown { link, reason }, work);
                self.hand_back_unfinished(link, work)?;
            }
            LinkEvent::Parked { reason } => {
                self.link_is_parked(link, reason, work);
                self.hand_back_unfinished(link, work)?;
            }
            LinkEvent::Outcome { id, index, outcome } => self.settle(link, id, index, outcome, work)?,
            LinkEvent::Late { id, index, lease, outcome } => {
                self.settle_late((id, index, lease), outcome, work)?
            }
            LinkEvent::Answered { token } => self.answered(link, token, work)?,
        }
        Ok(())
    }

    fn link_is(
        &mut self,
        link: LinkIndex,
        up: bool,
        kind: impl FnOnce(crate::message::LinkName) -> NoticeKind,
        work: &mut Work,
    ) {
        // What a session that is gone left unanswered stays so.
        self.unanswered.retain(|(of, _), _| *of != link);
        let Some(seat) = self.links.get_mut(link) else { return };
        if seat.up != up {
            seat.up = up;
            seat.parked &= !up;
            seat.came_up = if up { Some(work.now.mono) } else { seat.came_up };
            let notice = Notice { at: work.now.wall, kind: kind(seat.facts.name.clone()) };
            work.txn.batch.events.push(record::encode(&notice));
        }
    }

    /// Told once, whether it was up before or never: it tries by itself now and then and is parked again.
    fn link_is_parked(&mut self, link: LinkIndex, reason: String, work: &mut Work) {
        let Some(seat) = self.links.get_mut(link) else { return };
        if !std::mem::replace(&mut seat.parked, true) {
            // As if it had been up: then the one place that tells of links tells of this.
            seat.up = true;
        }
        self.link_is(link, false, |link| NoticeKind::LinkParked { link, reason }, work);
    }

    fn settle(
        &mut self,
        link: LinkIndex,
        id: MessageId,
        index: u8,
        outcome: Outcome,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        let Some(number) = self.lease_of.remove(&(id, index)) else {
            tracing::error!(event = "outcome_without_lease", %id, index);
            return Ok(());
        };
        let to = self.active.get(&id).map(|active| active.body.to);
        let asked_back = self.cancels.contains_key(&id) || to.is_some_and(|to| self.must_not_go(to, id));
        if let Some(seat) = self.links.get_mut(link) {
            seat.leased = seat.leased.saturating_sub(1);
            if outcome == Outcome::Unwritten {
                self.quotas.give_back(link, number);
            }
            if outcome == Outcome::Unwritten && !asked_back {
                // It did not want it: leased again at once, it would come back at once.
                seat.rests_until = Some(work.now.mono + REST);
            }
        }
        let Some(active) = self.active.get_mut(&id) else {
            self.end_lease(number, work);
            return Ok(());
        };
        active.held.push(number);
        let (body, before) = (active.body.clone(), active.head.clone());
        let accepted = match &outcome {
            Outcome::Accepted { reference } => Some(reference.clone()),
            _ => None,
        };
        let event = Event::Outcome { index, outcome };
        let Ok(after) = apply(before.clone(), event, &body, &self.settings.queue.retry, work.wall()) else {
            tracing::error!(event = "outcome_does_not_fit", %id, index);
            return Ok(());
        };
        self.replace_active(id, &body, &before, after, work)?;
        if let (Some(reference), Some(attempt)) = (accepted, before.attempts.last()) {
            self.await_receipt(id, index, &body, (attempt, &reference), work)?;
        }
        Ok(())
    }

    /// One segment of a lease less; the record goes with the last.
    fn end_lease(&mut self, number: u64, work: &mut Work) {
        if let Some(open) = self.leases.get_mut(&number) {
            *open -= 1;
            if *open == 0 {
                self.leases.remove(&number);
                work.txn.delete(keys::lease(number));
            }
        }
    }

    /// The new head of a leased message, which may end its lease.
    pub(super) fn replace_active(
        &mut self,
        id: MessageId,
        body: &Body,
        before: &Head,
        after: Head,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        if matches!(after.state, State::Leased { .. }) {
            // What the network has must be on the disk before more of the message goes.
            if after.attempts.last().is_some_and(|a| a.segments.iter().any(|s| s.is_out())) {
                work.txn.put(keys::head(id), &after);
            }
            let more = !after.unleased(body).is_empty();
            if let Some(active) = self.active.get_mut(&id) {
                let link = active.link;
                active.head = after;
                if let (true, Some(seat)) = (more, self.links.get_mut(link))
                    && !seat.unfinished.contains(&id)
                {
                    seat.unfinished.push(id);
                }
            }
            return self.hand_back_if_stuck(id, work);
        }
        let after = self.unless_opted_out(id, after, body, work);
        let (rank, held) =
            self.active.remove(&id).map_or((0, Vec::new()), |active| (active.rank, active.held));
        held.into_iter().for_each(|number| self.end_lease(number, work));
        work.leased.push((id, false));
        for seat in &mut self.links {
            seat.unfinished.retain(|&other| other != id);
        }
        if let State::Waiting { .. } = after.state {
            self.wait_again(id, body, &after, rank, work)?;
        } else {
            self.settled(body.to, id, before, work);
        }
        self.store_head(id, body, before, &after, work)?;
        self.answer_cancels(id, work)
    }

    /// The head, or its end where it would wait for a recipient who opted out.
    fn unless_opted_out(&self, id: MessageId, head: Head, body: &Body, work: &Work) -> Head {
        if !matches!(head.state, State::Waiting { .. }) || !self.is_opted_out(body.to, id) {
            return head;
        }
        apply(head.clone(), blocked(), body, &[], work.wall()).unwrap_or(head)
    }

    /// A long message whose link went away between two of its segments waits again.
    fn hand_back_if_stuck(&mut self, id: MessageId, work: &mut Work) -> Result<(), StoreError> {
        let Some(active) = self.active.get(&id) else { return Ok(()) };
        let up = self.links.get(active.link).is_some_and(|seat| seat.up);
        let outstanding =
            (0..active.body.segment_count).any(|index| self.lease_of.contains_key(&(id, index)));
        if up || outstanding {
            return Ok(());
        }
        let (body, before) = (active.body.clone(), active.head.clone());
        match apply(before.clone(), Event::HandBack, &body, &self.settings.queue.retry, work.wall()) {
            Ok(after) => self.replace_active(id, &body, &before, after, work),
            Err(_) => Ok(()),
        }
    }

    /// Every long message that has nothing outstanding on a link that went down.
    pub(super) fn hand_back_unfinished(
        &mut self,
        link: LinkIndex,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        let unfinished = self.links.get(link).map(|seat| seat.unfinished.clone()).unwrap_or_default();
        unfinished.into_iter().try_for_each(|id| self.hand_back_if_stuck(id, work))
    }

    /// Back into its lane, or failed when the only link it may use is gone.
    pub(super) fn wait_again(
        &mut self,
        id: MessageId,
        body: &Body,
        head: &Head,
        rank: u8,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        let State::Waiting { due, .. } = head.state else { return Ok(()) };
        let Some(lane) = self.router.lane(body, head.bound_to()) else { return Ok(()) };
        let begun = Self::began(head);
        let entry =
            LaneEntry { to: body.to, valid_until: body.valid_until, begun: *head != Head::accepted(body) };
        let key = LaneKey::new(lane, body.priority, due, id);
        work.txn.put(key.encode(), &entry);
        if begun {
            work.txn.put(keys::begun(body.to, id), &rank);
            self.order.begun(body.to, id, rank);
        }
        self.lanes.insert(key, Waiting { entry, body: None });
        let next = if begun { self.order.unlease(body.to, id) } else { self.order.settled(body.to, id) };
        self.release(next);
        Ok(())
    }

    /// This message holds nobody back any more.
    pub(super) fn settled(&mut self, to: Msisdn, id: MessageId, before: &Head, work: &mut Work) {
        if Self::began(before) {
            work.txn.delete(keys::begun(to, id));
        }
        let next = self.order.settled(to, id);
        self.release(next);
    }

    fn release(&mut self, next: Vec<(LaneKey, Waiting)>) {
        for (key, waiting) in next {
            self.lanes.insert(key, waiting);
        }
    }

    /// An answer to a segment that was already given up as unknown.
    fn settle_late(
        &mut self,
        (id, index, lease): (MessageId, u8, u64),
        outcome: Outcome,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        let accepted = match &outcome {
            Outcome::Accepted { reference } => Some(reference.clone()),
            _ => None,
        };
        let head = match self.active.get(&id) {
            Some(active) => Some(active.head.clone()),
            None => self.load(id, work)?.map(|(_, head)| head),
        };
        let asked = head.and_then(|head| head.attempt_of(lease).cloned());
        let Some(body) = self.change(id, Event::Late { lease, index, outcome }, work)? else {
            tracing::info!(event = "late_answer_ignored", %id, index);
            return Ok(());
        };
        let (Some(reference), Some(attempt)) = (accepted, asked) else { return Ok(()) };
        if let Some(active) = self.active.get(&id) {
            // It was to be sent again and need not: what is not yet written of that comes back.
            work.controls.push((active.link, Control::Recall(id)));
        }
        self.await_receipt(id, index, &body, (&attempt, &reference), work)
    }

    /// Applies an event to a message wherever it stands. `None` when it does not fit.
    pub(super) fn change(
        &mut self,
        id: MessageId,
        event: Event,
        work: &mut Work,
    ) -> Result<Option<Body>, StoreError> {
        let plan = self.settings.queue.retry.clone();
        if let Some(active) = self.active.get(&id) {
            let (body, before) = (active.body.clone(), active.head.clone());
            let Ok(after) = apply(before.clone(), event, &body, &plan, work.wall()) else { return Ok(None) };
            self.replace_active(id, &body, &before, after, work)?;
            return Ok(Some(body.as_ref().clone()));
        }
        let Some((body, before)) = self.load(id, work)? else { return Ok(None) };
        let Ok(after) = apply(before.clone(), event, &body, &plan, work.wall()) else { return Ok(None) };
        let after = self.unless_link_gone(after, &body, work);
        let after = self.unless_opted_out(id, after, &body, work);
        let waits = |head: &Head| matches!(head.state, State::Waiting { .. });
        if let State::Waiting { due, .. } = before.state {
            // Its lane may be another now, even where it waits on.
            self.leave_lane(id, &body, &before, due, work)?;
        }
        if waits(&after) {
            let rank = LaneKey::new(0, body.priority, crate::clock::Timestamp::MIN, id).rank;
            self.wait_again(id, &body, &after, rank, work)?;
        } else if waits(&before) {
            self.settled(body.to, id, &before, work);
        }
        self.store_head(id, &body, &before, &after, work)?;
        Ok(Some(body))
    }

    /// The head, or a failure where it would wait for a link that is not configured any more.
    pub(super) fn unless_link_gone(&self, head: Head, body: &Body, work: &Work) -> Head {
        let waits = matches!(head.state, State::Waiting { .. });
        if !waits || self.router.lane(body, head.bound_to()).is_some() {
            return head;
        }
        apply(head.clone(), dispatch::link_gone(), body, &self.settings.queue.retry, work.wall())
            .unwrap_or(head)
    }

    /// Cancels that waited for this message to come back, or to be gone for good.
    fn answer_cancels(&mut self, id: MessageId, work: &mut Work) -> Result<(), StoreError> {
        let Some(pending) = self.cancels.remove(&id) else { return Ok(()) };
        let answer = match self.load(id, work)? {
            None => Err(Refusal::NotFound),
            Some((body, head)) => match self.close_waiting(id, &body, &head, Event::Cancel, work)? {
                Some(Status::Unknown) => Err(Refusal::State(Status::Unknown)),
                Some(status) => Ok(status),
                None => Err(Refusal::State(head.state.status(work.wall()))),
            },
        };
        work.answers.extend(pending.into_iter().map(|cancel| Answer::Status(cancel.reply, answer.clone())));
        Ok(())
    }

    /// Cancels whose link said nothing: some of it is on the wire.
    pub(super) fn end_cancels(&mut self, work: &mut Work) {
        let mono = work.now.mono;
        let answers = &mut work.answers;
        self.cancels.retain(|_, pending| {
            for cancel in pending.extract_if(.., |cancel| cancel.deadline <= mono) {
                answers.push(Answer::Status(cancel.reply, Err(Refusal::State(Status::Sending))));
            }
            !pending.is_empty()
        });
    }
}
