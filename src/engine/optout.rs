//! Opt-outs and holds: who gets nothing more, from the step on in which it became known.
//!
//! Invariants: a suppression is in the same batch as the reply that made it. From that step on nothing to the
//! party is leased but the one confirmation; what a link has and has not written is recalled, and blocked when
//! it comes back; what waits is blocked at its lease at the latest, and sooner by a walk along the recipient's
//! chain that looks at a bounded number of messages a step. A hold binds alike, but what waits stays queued.
//! What is past recall, and what is in doubt, stays what the link says.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::core::{Core, LinkIndex, Work};
use super::notice::{Notice, NoticeKind};
use super::reminders::errands::What;
use super::{Draft, OptOutEntry, Refusal};
use crate::clock::Timestamp;
use crate::id::{InboundId, MessageId};
use crate::link::Control;
use crate::message::{Cause, Class, Event, LinkName, Msisdn, Priority, Reason, Status, TokenName, apply};
use crate::reminder::reply::Language;
use crate::reminder::suppression::{Hold, Party, Source, Suppression, Tail};
use crate::sms::segment;
use crate::store::{Read, StoreError, keys, record};

/// Opt-outs that may be added from outside; a reply's is never refused. A few dozen octets of memory each.
pub const MAX_OPT_OUTS: usize = 2_000_000;
/// Holds at most: people release them one by one.
const MAX_HOLDS: usize = 200_000;
/// Opt-outs read at once at start.
const LOADED_AT_ONCE: usize = 4_096;
/// Messages of chains looked at in one step.
const WALKED: usize = 256;
/// Between two confirmations to one number, whatever it says meanwhile.
pub const CONFIRM_ONCE: Duration = Duration::from_secs(24 * 3600);
/// Whose the confirmation is; no token has a blank in its name.
const OURS: &str = "nudged itself";

/// Something known of parties, found by number.
#[derive(Debug)]
pub struct Parties<T> {
    numbers: HashMap<Msisdn, T>,
    tails: HashMap<Tail, T>,
    /// Tails of each length.
    lens: BTreeMap<usize, usize>,
}

impl<T> Default for Parties<T> {
    fn default() -> Parties<T> {
        Parties { numbers: HashMap::new(), tails: HashMap::new(), lens: BTreeMap::new() }
    }
}

impl<T> Parties<T> {
    pub fn insert(&mut self, party: Party, value: T) {
        match party {
            Party::Number(number) => {
                self.numbers.insert(number, value);
            }
            Party::Tail(tail) => {
                if self.tails.insert(tail, value).is_none() {
                    *self.lens.entry(tail.digit_count()).or_default() += 1;
                }
            }
        }
    }

    pub fn remove(&mut self, party: Party) -> Option<T> {
        match party {
            Party::Number(number) => self.numbers.remove(&number),
            Party::Tail(tail) => {
                let removed = self.tails.remove(&tail)?;
                if let Some(count) = self.lens.get_mut(&tail.digit_count()) {
                    *count -= 1;
                }
                self.lens.retain(|_, count| *count > 0);
                Some(removed)
            }
        }
    }

    pub fn contains(&self, party: Party) -> bool {
        match party {
            Party::Number(number) => self.numbers.contains_key(&number),
            Party::Tail(tail) => self.tails.contains_key(&tail),
        }
    }

    pub fn len(&self) -> usize {
        self.numbers.len() + self.tails.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is known of all parties that speak of a number.
    pub fn of(&self, number: Msisdn) -> impl Iterator<Item = &T> {
        let tails = self.lens.keys().filter_map(move |&len| self.tails.get(&Tail::of(number, len)?));
        self.numbers.get(&number).into_iter().chain(tails)
    }
}

/// A walk along a recipient's chain, newest first.
#[derive(Debug)]
pub struct Walk {
    to: Msisdn,
    /// Where it goes on.
    end: Vec<u8>,
}

impl Core {
    pub(super) fn load_parties(&mut self, state: &dyn Read) -> Result<(), StoreError> {
        let damaged = || StoreError::Damaged(String::from("a party's key of the wrong length"));
        let (mut from, to) = keys::all(keys::family::OPT_OUT);
        loop {
            let entries = state.scan(&from, &to, LOADED_AT_ONCE)?;
            for (key, value) in &entries {
                let suppression: Suppression = record::decode(value)?;
                self.opt_outs.insert(keys::decode_party(key).ok_or_else(damaged)?, suppression.confirmation);
            }
            match entries.last() {
                Some((last, _)) if entries.len() == LOADED_AT_ONCE => from = [last, &[0][..]].concat(),
                _ => break,
            }
        }
        let (from, to) = keys::all(keys::family::HOLD);
        for (key, _) in state.scan(&from, &to, MAX_HOLDS)? {
            self.holds.insert(keys::decode_party(&key).ok_or_else(damaged)?, ());
        }
        Ok(())
    }

    /// This message must not go to this number.
    pub(super) fn is_opted_out(&self, to: Msisdn, id: MessageId) -> bool {
        let mut confirmations = self.opt_outs.of(to).peekable();
        confirmations.peek().is_some() && confirmations.all(|confirmation| *confirmation != Some(id))
    }

    /// This message must wait until a person has read what this number wrote.
    pub(super) fn is_held(&self, to: Msisdn, id: MessageId) -> bool {
        let confirms = || self.opt_outs.of(to).any(|confirmation| *confirmation == Some(id));
        self.holds.of(to).next().is_some() && !confirms()
    }

    pub(super) fn opt_out_many(
        &mut self,
        entries: Vec<OptOutEntry>,
        by: TokenName,
        work: &mut Work,
    ) -> Result<Result<u64, Refusal>, StoreError> {
        if self.opt_outs.len() + entries.len() > MAX_OPT_OUTS {
            return Ok(Err(Refusal::OptOutsFull));
        }
        let mut added = 0;
        for OptOutEntry { party, at, note } in entries {
            let source = Source::Token { by: by.clone(), note };
            let at = at.unwrap_or(work.wall());
            let suppression = Suppression { at, source, confirmation: None };
            added += u64::from(self.opt_out(party, suppression, work));
        }
        tracing::info!(event = "opt_outs_added", added, by = %by);
        Ok(Ok(added))
    }

    /// From here on nothing goes to this party. Whether it is new.
    pub(super) fn opt_out(&mut self, party: Party, suppression: Suppression, work: &mut Work) -> bool {
        if self.holds.remove(party).is_some() {
            work.txn.delete(keys::hold(party));
            self.let_out(party);
        }
        if self.opt_outs.contains(party) {
            return false;
        }
        self.opt_outs.insert(party, suppression.confirmation);
        work.txn.put(keys::opt_out(party), &suppression);
        publish(NoticeKind::OptOutAdded { party, source: suppression.source }, work);
        self.recall_party(party, work);
        work.along(What::Exit, party, "");
        if let Party::Number(to) = party {
            let (_, end) = keys::under(keys::chain_of(to));
            self.walks.push_back(Walk { to, end });
        }
        true
    }

    /// Whether there was one to lift.
    pub(super) fn lift_opt_out(
        &mut self,
        party: Party,
        source: Source,
        work: &mut Work,
    ) -> Result<bool, StoreError> {
        let Some(confirmation) = self.opt_outs.remove(party) else { return Ok(false) };
        work.txn.delete(keys::opt_out(party));
        publish(NoticeKind::OptOutRemoved { party, source }, work);
        if let Some(id) = confirmation {
            self.withdraw_confirmation(id, work)?;
        }
        Ok(true)
    }

    /// What still waits to confirm an opt-out that is none any more says nothing true. The next one has its own.
    fn withdraw_confirmation(&mut self, id: MessageId, work: &mut Work) -> Result<(), StoreError> {
        if self.active.contains_key(&id) {
            return Ok(());
        }
        let Some((body, head)) = self.load(id, work)? else { return Ok(()) };
        if self.close_waiting(id, &body, &head, Event::Cancel, work)? == Some(Status::Canceled) {
            work.txn.delete_if_present(keys::confirmed(body.to))?;
        }
        Ok(())
    }

    /// A reply may mean stop: nothing goes to its party until a person decides.
    pub(super) fn hold(&mut self, party: Party, reply: InboundId, work: &mut Work) {
        if self.opt_outs.contains(party) || self.holds.contains(party) {
            return;
        }
        if self.holds.len() >= MAX_HOLDS {
            tracing::error!(event = "hold_refused", party = %party, held = MAX_HOLDS);
            return;
        }
        self.holds.insert(party, ());
        work.txn.put(keys::hold(party), &Hold { since: work.wall(), reply });
        publish(NoticeKind::HoldAdded { party, reply }, work);
        self.recall_party(party, work);
    }

    /// Whether there was one to release.
    pub(super) fn release_hold(&mut self, party: Party, source: Source, work: &mut Work) -> bool {
        if self.holds.remove(party).is_none() {
            return false;
        }
        work.txn.delete(keys::hold(party));
        publish(NoticeKind::HoldRemoved { party, source }, work);
        work.along(What::Replan, party, "");
        self.let_out(party);
        true
    }

    /// What a hold kept aside goes back to its lanes.
    fn let_out(&mut self, party: Party) {
        let out = self.order.let_out(|to| party.speaks_of(to));
        out.into_iter().for_each(|(key, waiting)| self.lanes.insert(key, waiting));
        // What was skipped for want of room may be among it.
        self.rewound_at = None;
    }

    /// Back, whatever of it is not written yet.
    fn recall_party(&self, party: Party, work: &mut Work) {
        let to_party = self.active.iter().filter(|(_, active)| party.speaks_of(active.body.to));
        // In order: the same inputs give the same step.
        let recalled: BTreeMap<MessageId, LinkIndex> = to_party
            .filter(|(id, active)| self.must_not_go(active.body.to, **id))
            .map(|(&id, active)| (id, active.link))
            .collect();
        work.controls.extend(recalled.into_iter().map(|(id, link)| (link, Control::Recall(id))));
    }

    pub(super) fn must_not_go(&self, to: Msisdn, id: MessageId) -> bool {
        self.is_opted_out(to, id) || self.is_held(to, id)
    }

    /// Blocks some of what waits for numbers that opted out.
    pub(super) fn walk_chains(&mut self, work: &mut Work) -> Result<(), StoreError> {
        let mut left = WALKED;
        while left > 0
            && let Some(walk) = self.walks.pop_front()
        {
            let from = keys::chain_of(walk.to);
            let entries = work.txn.scan_back(&from, &walk.end, left)?;
            let more = entries.len() == left;
            // A walk of nothing is work too.
            left -= entries.len().max(1).min(left);
            let last = entries.last().map(|(key, _)| key.clone());
            for (key, _) in entries {
                if let Some((to, id)) = keys::decode_recipient_id(&key) {
                    self.block_waiting(to, id, work)?;
                }
            }
            if let (true, Some(end)) = (more, last) {
                self.walks.push_front(Walk { to: walk.to, end });
            }
        }
        Ok(())
    }

    /// Blocks a message that waits, where its recipient opted out.
    pub(super) fn block_waiting(
        &mut self,
        to: Msisdn,
        id: MessageId,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        if !self.is_opted_out(to, id) || self.active.contains_key(&id) {
            return Ok(());
        }
        if let Some((body, head)) = self.load(id, work)? {
            self.close_waiting(id, &body, &head, blocked(), work)?;
        }
        Ok(())
    }

    /// A long message that must not go on: nothing more of it is leased. Whether that is so.
    pub(super) fn stop_between(&mut self, id: MessageId, work: &mut Work) -> Result<bool, StoreError> {
        let Some(active) = self.active.get(&id) else { return Ok(false) };
        let (body, before) = (active.body.clone(), active.head.clone());
        let withdrawn = !self.may_still_go(id, &body, work)?;
        if !withdrawn && !self.must_not_go(body.to, id) {
            return Ok(false);
        }
        let event = match (self.is_opted_out(body.to, id), withdrawn) {
            (true, _) => blocked(),
            (false, true) => Event::Block(Cause::plain(Reason::PolicyCanceled)),
            (false, false) => Event::HandBack,
        };
        match apply(before.clone(), event, &body, &self.settings.queue.retry, work.wall()) {
            Ok(after) => self.replace_active(id, &body, &before, after, work)?,
            // Some of it is still unanswered: its outcome brings it here again.
            Err(_) => self.links.iter_mut().for_each(|seat| seat.unfinished.retain(|&other| other != id)),
        }
        Ok(true)
    }

    /// The one answer to an opt-out, by the link it came from; none where one was sent of late.
    pub(super) fn confirm(
        &mut self,
        to: Msisdn,
        link: LinkName,
        language: Language,
        work: &mut Work,
    ) -> Result<Option<MessageId>, StoreError> {
        let place = keys::confirmed(to);
        let before = work.txn.get::<Timestamp>(&place)?;
        if before.is_some_and(|at| work.wall().since(at) < CONFIRM_ONCE) {
            return Ok(None);
        }
        let own = &self.settings.inbound.stop_reply;
        let text = if own.is_empty() { language.stop_confirmation().to_owned() } else { own.clone() };
        let encoding = segment::choose(&text);
        let Ok(measure) = segment::measure(&text, encoding) else { return Ok(None) };
        work.txn.put(place, &work.wall());
        let draft = Draft {
            to,
            text,
            sender: None,
            link: Some(link),
            class: Class::Reply,
            priority: Priority::HIGHEST,
            send_at: None,
            valid_until: None,
            encoding,
            segment_count: measure.segment_count,
            on_unknown: None,
            flash: false,
            receipt: false,
            client_ref: None,
            unique_ref: false,
            allow_duplicate: true,
            metadata: None,
            token: OURS.into(),
            idempotency: None,
        };
        let accepted = self.enqueue(draft, None, work)?;
        Ok(accepted.ok().map(|accepted| accepted.id))
    }
}

/// The end of a message to somebody who wants none.
pub(super) fn blocked() -> Event {
    Event::Block(Cause::plain(Reason::PolicyOptedOut))
}

fn publish(kind: NoticeKind, work: &mut Work) {
    work.txn.batch.events.push(record::encode(&Notice { at: work.wall(), kind }));
}
