//! Intake: accept, cancel, pause. The only way a message comes into being.
//!
//! Invariants: a draft is taken whole or not at all, with its key in its lane in the same batch; a repeat of
//! an idempotency key or of a unique reference gives the message that is there. Form is checked by `http`;
//! here only what needs the state: limits, duplicates, links that exist.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::core::{Answer, Core, LinkIndex, PAUSES, PendingCancel, Work, counted};
use super::lanes::{LaneEntry, Waiting};
use super::notice::{Notice, NoticeKind};
use super::optout::blocked;
use super::recover::lanes_on_disk;
use super::{AcceptAnswer, Accepted, BatchWish, Draft, Idempotency, Pause, Refusal};
use crate::clock::Timestamp;
use crate::id::{BatchId, MessageId};
use crate::link::Control;
use crate::message::body::AT_ONCE;
use crate::message::{Body, Event, Final, Head, LinkName, Msisdn, State, Status, TokenName, apply};
use crate::store::keys::{self, LaneKey};
use crate::store::{StoreError, record};

/// Messages of one recipient looked at for a duplicate; more than this within the window is no reminder.
const DUPLICATE_DEPTH: usize = 64;
/// How long a cancel waits for the link's word that nothing was written.
const CANCEL_WAIT: Duration = Duration::from_secs(2);
/// A year and a day: beyond it a date is a typing error.
const FARTHEST: Duration = Duration::from_secs(366 * 86_400);
/// How long an idempotency key is kept; messages are kept as long at least (`[queue] retention`).
pub const IDEMPOTENCY_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// The record of how far ids were ahead of the clock at most, under [`keys::core`]; absent: never.
pub(super) const LEAD: &str = "lead";

/// The value of an idempotency or unique_ref key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRecord {
    pub id: MessageId,
    /// Digest of the request body; a reference has none.
    pub body: [u8; 16],
    pub at: Timestamp,
}

/// The value of a chain key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    pub text: u64,
}

impl Draft {
    /// Why a message with these dates is not taken now, if so; a repeat of one that was is another matter.
    pub fn untimely(&self, now: Timestamp) -> Option<Refusal> {
        let dates = [("send_at", self.send_at), ("valid_until", self.valid_until)];
        let too_far = |at: Option<Timestamp>| at.is_some_and(|at| at > now.saturating_add(FARTHEST));
        if let Some((field, _)) = dates.into_iter().find(|(_, at)| too_far(*at)) {
            return Some(Refusal::TooFar { field });
        }
        let due = self.send_at.unwrap_or(now).max(now);
        self.valid_until.is_some_and(|until| until <= due).then_some(Refusal::NeverValid)
    }
}

impl Core {
    pub(super) fn accept(
        &mut self,
        drafts: Vec<Draft>,
        wish: BatchWish,
        reply: oneshot::Sender<AcceptAnswer>,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        let (batch, n) = match wish {
            BatchWish::None => (None, 0),
            BatchWish::New => (Some(BatchId::from_u64(self.counters.ids.next(work.wall()))), 0),
            BatchWish::Continue { batch, n } => (Some(batch), n),
        };
        let mut results = Vec::with_capacity(drafts.len());
        for draft in drafts {
            results.push(self.accept_one(draft, batch, work)?);
        }
        if let Some(batch) = batch {
            let ids: Vec<MessageId> = results.iter().flatten().map(|accepted| accepted.id).collect();
            work.txn.put(keys::batch(batch, n), &ids);
        }
        work.answers.push(Answer::Accept(reply, AcceptAnswer { batch, results }));
        Ok(())
    }

    fn accept_one(
        &mut self,
        draft: Draft,
        batch: Option<BatchId>,
        work: &mut Work,
    ) -> Result<Result<Accepted, Refusal>, StoreError> {
        let places = KeyPlaces::of(&draft);
        if let Some(before) = places.find(work)? {
            return match before {
                Ok(id) => self.repeat(id, work),
                Err(refusal) => Ok(Err(refusal)),
            };
        }
        let text = text_digest(&draft.text);
        if let Some(refusal) = self.refusal(&draft, text, work)? {
            return Ok(Err(refusal));
        }
        let accepted = self.enqueue(draft, batch, work)?;
        if let Ok(accepted) = &accepted {
            places.write(accepted.id, work);
        }
        Ok(accepted)
    }

    /// Makes it a message: in its lane, or blocked where its recipient opted out.
    pub(super) fn enqueue(
        &mut self,
        draft: Draft,
        batch: Option<BatchId>,
        work: &mut Work,
    ) -> Result<Result<Accepted, Refusal>, StoreError> {
        let (now, text) = (work.wall(), text_digest(&draft.text));
        let id = MessageId::from_u64(self.counters.ids.next(now));
        keep_lead(id, work)?;
        let body = self.body(draft, batch, now);
        let Some(lane) = self.router.lane(&body, None) else { return Ok(Err(Refusal::NoSuchLink)) };
        work.txn.put(keys::body(id), &body);
        work.txn.put(keys::chain(body.to, id), &Link { text });
        let mut head = Head::accepted(&body);
        let suppressed = self.is_opted_out(body.to, id);
        if suppressed && let Ok(blocked) = apply(head.clone(), blocked(), &body, &[], now) {
            work.txn.put(keys::head(id), &blocked);
            head = blocked;
        }
        let status = counted(&body, &head);
        self.recount(None, Some(status));
        self.tell(id, status, &head, work);
        if suppressed {
            return Ok(Ok(Accepted { id, status, repeated: false }));
        }
        let entry = LaneEntry { to: body.to, valid_until: body.valid_until, begun: false };
        let key = LaneKey::new(lane, body.priority, body.due, id);
        work.txn.put_new(key.encode(), &entry);
        self.lanes.insert(key, Waiting { entry, body: Some(Arc::new(body)) });
        Ok(Ok(Accepted { id, status, repeated: false }))
    }

    /// The message that is there. A key that came late to a known reference, or before the clock went back,
    /// may outlive it: that is no reason to send a second one, and what became of the first is not known.
    fn repeat(&self, id: MessageId, work: &Work) -> Result<Result<Accepted, Refusal>, StoreError> {
        if !work.txn.contains(&keys::body(id))? {
            return Ok(Err(Refusal::Forgotten));
        }
        Ok(Ok(Accepted { id, status: self.status_of(id, work)?, repeated: true }))
    }

    /// Why this draft cannot be taken, if so.
    pub(super) fn refusal(
        &self,
        draft: &Draft,
        text: u64,
        work: &Work,
    ) -> Result<Option<Refusal>, StoreError> {
        if let Some(closed) = &self.intake {
            return Ok(Some(closed.why.clone()));
        }
        let waiting = self.waiting();
        if waiting >= self.settings.queue.max_queued {
            return Ok(Some(Refusal::QueueFull));
        }
        if let Some(link) = &draft.link
            && !self.links.iter().any(|seat| seat.facts.name == *link)
        {
            return Ok(Some(Refusal::NoSuchLink));
        }
        if let Some(refusal) = draft.untimely(work.wall()) {
            return Ok(Some(refusal));
        }
        if draft.allow_duplicate || self.settings.queue.duplicate_window.is_zero() {
            return Ok(None);
        }
        Ok(self.duplicate(draft.to, text, work)?.map(|of| Refusal::Duplicate { of }))
    }

    fn waiting(&self) -> u64 {
        self.counters.by_status[Status::Queued as usize] + self.counters.by_status[Status::Scheduled as usize]
    }

    /// The same text to the same number within the window, unless it never went and never will.
    ///
    /// At most [`DUPLICATE_DEPTH`] of the newest are looked at. The window goes by the time of acceptance: an
    /// id is never from before it, but ahead of it where the clock had gone back. One accepted later than now
    /// counts if the clock was set back by no more than the window; else its date is worth nothing.
    fn duplicate(&self, to: Msisdn, text: u64, work: &Work) -> Result<Option<MessageId>, StoreError> {
        let (from, end) = keys::under(keys::chain_of(to));
        let window = self.settings.queue.duplicate_window;
        let (since, until) = (work.wall().saturating_sub(window), work.wall().saturating_add(window));
        for (key, value) in work.txn.scan_back(&from, &end, DUPLICATE_DEPTH)? {
            let Some((_, id)) = keys::decode_recipient_id(&key) else { continue };
            if id.allotted_at() < since {
                break;
            }
            if record::decode::<Link>(&value)?.text != text {
                continue;
            }
            // Of one that is leased this is how it was before, which is not gone either.
            let Some((body, head)) = self.load(id, work)? else { continue };
            if body.accepted_at < since {
                break;
            }
            if body.accepted_at <= until && !never_went(head.state.status(work.wall())) {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    pub(super) fn body(&mut self, draft: Draft, batch: Option<BatchId>, now: Timestamp) -> Body {
        let due = draft.send_at.filter(|&at| at > now || self.clock_in_doubt());
        let valid_until =
            draft.valid_until.unwrap_or(due.unwrap_or(now).saturating_add(self.settings.queue.validity));
        if draft.segment_count > 1 {
            self.counters.concat = self.counters.concat.wrapping_add(1);
        }
        Body {
            to: draft.to,
            text: draft.text,
            sender: draft.sender,
            link: draft.link,
            class: draft.class,
            priority: draft.priority,
            accepted_at: now,
            due: due.unwrap_or(AT_ONCE),
            valid_until,
            encoding: draft.encoding,
            segment_count: draft.segment_count,
            concat_reference: self.counters.concat,
            on_unknown: draft.on_unknown.unwrap_or(self.settings.queue.on_unknown),
            flash: draft.flash,
            receipt: draft.receipt,
            client_ref: draft.client_ref,
            metadata: draft.metadata,
            token: draft.token,
            batch,
        }
    }

    /// Status now, leased messages included.
    pub(super) fn status_of(&self, id: MessageId, work: &Work) -> Result<Status, StoreError> {
        if self.active.contains_key(&id) {
            return Ok(Status::Sending);
        }
        let loaded = self.load(id, work)?;
        Ok(loaded.map_or(Status::Unknown, |(_, head)| head.state.status(work.wall())))
    }

    pub(super) fn cancel(
        &mut self,
        id: MessageId,
        reply: oneshot::Sender<Result<Status, Refusal>>,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        if let Some(active) = self.active.get(&id) {
            // Only the link knows whether a byte of it is out; it hands back what is not.
            work.controls.push((active.link, Control::Recall(id)));
            let deadline = work.now.mono + CANCEL_WAIT;
            self.cancels.entry(id).or_default().push(PendingCancel { reply, deadline });
            return Ok(());
        }
        let answer = match self.load(id, work)? {
            None => Err(Refusal::NotFound),
            Some((body, head)) => match self.close_waiting(id, &body, &head, Event::Cancel, work)? {
                Some(Status::Unknown) => Err(Refusal::State(Status::Unknown)),
                Some(status) => Ok(status),
                None if matches!(head.state, State::Closed { how: Final::Canceled, .. }) => {
                    Ok(Status::Canceled)
                }
                None => Err(Refusal::State(head.state.status(work.wall()))),
            },
        };
        work.answers.push(Answer::Status(reply, answer));
        Ok(())
    }

    /// Ends a waiting message: out of its lane, out of the order, closed, or unknown if it was before.
    /// `None` when it is not waiting.
    pub(super) fn close_waiting(
        &mut self,
        id: MessageId,
        body: &Body,
        head: &Head,
        event: Event,
        work: &mut Work,
    ) -> Result<Option<Status>, StoreError> {
        let State::Waiting { due, .. } = head.state else { return Ok(None) };
        let Ok(after) = apply(head.clone(), event, body, &self.settings.queue.retry, work.wall()) else {
            return Ok(None);
        };
        self.leave_lane(id, body, head, due, work)?;
        self.store_head(id, body, head, &after, work)?;
        self.settled(body.to, id, head, work);
        Ok(Some(after.state.status(work.wall())))
    }

    /// Takes the key out of the lane where it is. A key that stayed behind would send what has ended, so
    /// where it is not in the lane of now it is looked for.
    pub(super) fn leave_lane(
        &mut self,
        id: MessageId,
        body: &Body,
        head: &Head,
        due: Timestamp,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        let at = |lane| LaneKey::new(lane, body.priority, due, id);
        let lanes = match self.router.lane(body, head.bound_to()) {
            Some(own) if work.txn.contains(&at(own).encode())? => vec![own],
            _ => lanes_on_disk(work)?,
        };
        for key in lanes.into_iter().map(at) {
            self.lanes.remove(key);
            self.quotas.forget(key);
            self.order.unpark(body.to, key);
            work.txn.delete_if_present(key.encode())?;
        }
        Ok(())
    }

    pub(super) fn pause(
        &mut self,
        link: Option<LinkName>,
        by: TokenName,
        work: &mut Work,
    ) -> Result<(), Refusal> {
        let targets = self.targets(link.as_ref())?;
        let pause = Pause { since: work.wall(), by };
        match &link {
            None => {
                self.pauses.all.get_or_insert(pause.clone());
            }
            Some(name) => {
                self.pauses.links.entry(name.clone()).or_insert(pause.clone());
            }
        }
        work.controls.extend(targets.into_iter().map(|link| (link, Control::RecallAll)));
        self.keep_pauses(NoticeKind::Paused { link, pause }, work);
        Ok(())
    }

    pub(super) fn resume(&mut self, link: Option<LinkName>, work: &mut Work) -> Result<(), Refusal> {
        let targets = self.targets(link.as_ref())?;
        match &link {
            None => self.pauses.all = None,
            Some(name) => {
                self.pauses.links.remove(name);
                // Resuming one link is also a person's word that what parked it is mended.
                let down = targets.into_iter().filter(|&at| self.links.get(at).is_some_and(|seat| !seat.up));
                work.controls.extend(down.map(|at| (at, Control::Restart)));
            }
        }
        self.keep_pauses(NoticeKind::Resumed { link }, work);
        Ok(())
    }

    pub(super) fn restart_link(&self, link: &LinkName, work: &mut Work) -> Result<(), Refusal> {
        let targets = self.targets(Some(link))?;
        work.controls.extend(targets.into_iter().map(|at| (at, Control::Restart)));
        Ok(())
    }

    fn keep_pauses(&self, kind: NoticeKind, work: &mut Work) {
        work.txn.put(keys::core(PAUSES), &self.pauses);
        work.txn.batch.events.push(record::encode(&Notice { at: work.wall(), kind }));
    }

    fn targets(&self, link: Option<&LinkName>) -> Result<Vec<LinkIndex>, Refusal> {
        let fits = |name: &LinkName| link.is_none_or(|wanted| wanted == name);
        let found: Vec<LinkIndex> = (0..self.links.len())
            .filter(|&at| self.links.get(at).is_some_and(|s| fits(&s.facts.name)))
            .collect();
        if found.is_empty() && link.is_some() { Err(Refusal::NoSuchLink) } else { Ok(found) }
    }
}

fn never_went(status: Status) -> bool {
    use Status::{Blocked, Canceled, Expired, Failed, Undelivered};
    matches!(status, Canceled | Failed | Expired | Blocked | Undelivered)
}

/// Where a draft's idempotency key and unique reference are kept.
struct KeyPlaces {
    key: Option<(Vec<u8>, Idempotency)>,
    reference: Option<Vec<u8>>,
}

impl KeyPlaces {
    fn of(draft: &Draft) -> KeyPlaces {
        let token = u64_digest(draft.token.as_str().as_bytes());
        let reference = draft.client_ref.as_ref().filter(|_| draft.unique_ref);
        KeyPlaces {
            key: draft.idempotency.map(|i| (keys::idempotency(token, &i.key), i)),
            reference: reference.map(|r| keys::unique_ref(&digest(&[draft.token.as_str(), r]))),
        }
    }

    /// The message accepted under either before, or why the key may not be used again. A key that comes with
    /// a known reference for the first time is kept from now on.
    fn find(&self, work: &mut Work) -> Result<Option<Result<MessageId, Refusal>>, StoreError> {
        if let Some((place, idempotency)) = &self.key
            && let Some(before) = work.txn.get::<KeyRecord>(place)?
            && work.wall().since(before.at) < IDEMPOTENCY_KEPT
        {
            let same = before.body == idempotency.body;
            return Ok(Some(if same { Ok(before.id) } else { Err(Refusal::KeyReused) }));
        }
        if let Some(place) = &self.reference
            && let Some(before) = work.txn.get::<KeyRecord>(place)?
        {
            if let Some((place, idempotency)) = &self.key {
                let record = KeyRecord { id: before.id, body: idempotency.body, at: work.wall() };
                work.txn.put(place.clone(), &record);
            }
            return Ok(Some(Ok(before.id)));
        }
        Ok(None)
    }

    fn write(self, id: MessageId, work: &mut Work) {
        let at = work.wall();
        if let Some((place, idempotency)) = self.key {
            work.txn.put(place, &KeyRecord { id, body: idempotency.body, at });
        }
        if let Some(place) = self.reference {
            work.txn.put(place, &KeyRecord { id, body: [0; 16], at });
        }
    }
}

/// Keeps the most by which an id was ever ahead of the clock, for lists by time: a write at each step back
/// of the clock that is larger than those before, no more than a look otherwise.
pub(super) fn keep_lead(id: MessageId, work: &mut Work) -> Result<(), StoreError> {
    let lead = id.allotted_at().since(work.wall());
    if !lead.is_zero() && lead > work.txn.get::<Duration>(&keys::core(LEAD))?.unwrap_or_default() {
        work.txn.put(keys::core(LEAD), &lead);
    }
    Ok(())
}

pub(super) fn text_digest(text: &str) -> u64 {
    u64_digest(text.as_bytes())
}

pub(super) fn u64_digest(bytes: &[u8]) -> u64 {
    let hash = blake3::hash(bytes);
    hash.as_bytes()[..8].iter().fold(0, |sum, &b| (sum << 8) | u64::from(b))
}

pub(super) fn digest(fields: &[&str]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    for field in fields {
        hasher.update(&(field.len() as u64).to_be_bytes());
        hasher.update(field.as_bytes());
    }
    let mut digest = [0; 16];
    digest.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    digest
}
