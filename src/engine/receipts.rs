//! Receipts: finding the message a receipt speaks of, whenever and however it comes.
//!
//! An accepted segment that asked for a receipt has a key by account, day and reference; one lookup a day
//! back finds it, however many wait. A reference is only a hint (SMSCs repeat and reformat it), so the
//! recipient must fit as well. A receipt that fits nothing is kept: its submit_sm_resp may still come.
//! A segment that was given no reference has its key under [`Reference::ABSENT`], so that it too says in
//! the end that its receipt never came.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::core::{Core, LinkIndex, Work};
use super::intake::u64_digest;
use super::unknown::Doubt;
use crate::clock::Timestamp;
use crate::id::MessageId;
use crate::link::{Receipt, user_message_reference};
use crate::message::{
    Attempt, Body, Event, Head, LinkName, Msisdn, ReceiptState, ReceiptWait, Reference, SegmentState, State,
};
use crate::sms::receipt::canonical;
use crate::store::{Read, StoreError, keys, record};

/// Days back in which a receipt is looked for: the longest validity a network honours and a day of grace.
pub const RECEIPT_DAYS: u32 = 9;
/// The same as time.
const RECEIPTS_COME: Duration = Duration::from_secs(RECEIPT_DAYS as u64 * 86_400);
/// How long a receipt that fits nothing is kept.
pub const ORPHAN_KEPT: Duration = Duration::from_secs(72 * 3600);
/// Orphans held for matching; a carrier that sends more for strangers is not ours to remember.
const MAX_ORPHANS: usize = 50_000;
/// Final receipts remembered so that a repeat is known as one.
const RECENT: usize = 4096;
/// [`crate::link::LinkFacts::kind`] of links whose references are TP-MR.
const MODEM: &str = "modem";
/// Candidates of a day looked at under one reference: a carrier with a constant message_id has many.
const MAX_CANDIDATES: usize = 256;
/// The latest messages to a recipient looked at where its reference has more candidates than that.
const MAX_OF_RECIPIENT: usize = 64;

/// The value of a receipt key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Awaited {
    pub to: Msisdn,
    pub reference: Reference,
}

/// A receipt that fitted nothing yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orphan {
    pub account: LinkName,
    pub at: Timestamp,
    pub reference: Option<Reference>,
    pub state: ReceiptState,
    pub recipient: Option<Msisdn>,
    pub user_message_reference: Option<u16>,
}

impl Orphan {
    fn into_receipt(self) -> Receipt {
        Receipt {
            reference: self.reference,
            alternatives: Vec::new(),
            state: self.state,
            recipient: self.recipient,
            user_message_reference: self.user_message_reference,
            raw: None,
        }
    }
}

/// What a final receipt was about, as far as it said: account, reference and recipient.
type Told = (u32, u64, Option<Msisdn>);

/// Orphans by account and reference, oldest key first, and the final receipts of late.
#[derive(Debug, Default)]
pub struct Orphans {
    kept: BTreeMap<Vec<u8>, Orphan>,
    by_reference: HashMap<(u32, u64), Vec<Vec<u8>>>,
    by_recipient: HashMap<Msisdn, Vec<Vec<u8>>>,
    recent: VecDeque<Told>,
}

impl Orphans {
    pub fn load(state: &dyn Read) -> Result<Orphans, StoreError> {
        let (from, to) = keys::all(keys::family::ORPHAN);
        let mut orphans = Orphans::default();
        for (key, value) in state.scan(&from, &to, MAX_ORPHANS)? {
            orphans.insert(key, record::decode(&value)?);
        }
        Ok(orphans)
    }

    fn insert(&mut self, key: Vec<u8>, orphan: Orphan) {
        if let Some(reference) = &orphan.reference {
            let place = (account_hash(&orphan.account), reference_hash(reference));
            self.by_reference.entry(place).or_default().push(key.clone());
        }
        if let Some(recipient) = orphan.recipient {
            self.by_recipient.entry(recipient).or_default().push(key.clone());
        }
        self.kept.insert(key, orphan);
    }

    fn remove(&mut self, key: &[u8]) -> Option<Orphan> {
        let orphan = self.kept.remove(key)?;
        if let Some(reference) = &orphan.reference {
            let place = (account_hash(&orphan.account), reference_hash(reference));
            remove_from(&mut self.by_reference, place, key);
        }
        if let Some(recipient) = orphan.recipient {
            remove_from(&mut self.by_recipient, recipient, key);
        }
        Some(orphan)
    }

    /// Orphans about this number, oldest first.
    fn about(&self, to: Msisdn) -> Vec<Vec<u8>> {
        self.by_recipient.get(&to).cloned().unwrap_or_default()
    }

    /// Orphans that speak of a segment of this attempt, oldest first: what came before it began does not, nor
    /// does one that names nobody where references wrap.
    fn of(&self, attempt: &Attempt, reference: &Reference, to: Msisdn, wraps: bool) -> Vec<Vec<u8>> {
        let found = self.by_reference.get(&(account_hash(&attempt.account), reference_hash(reference)));
        let speaks = |o: &Orphan| o.at >= attempt.begun && o.recipient.map_or(!wraps, |r| is_same(r, to));
        let fits = |key: &&Vec<u8>| self.kept.get(*key).is_some_and(speaks);
        found.into_iter().flatten().filter(fits).cloned().collect()
    }

    /// Keys of those kept long enough.
    pub fn expired(&self, before: Timestamp, limit: usize) -> Vec<Vec<u8>> {
        self.kept.iter().take_while(|(_, o)| o.at < before).take(limit).map(|(key, _)| key.clone()).collect()
    }

    pub fn forget(&mut self, key: &[u8]) {
        self.remove(key);
    }

    fn remember_final(&mut self, told: Told) {
        if self.recent.len() >= RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(told);
    }

    fn is_repeat(&self, told: Told) -> bool {
        self.recent.contains(&told)
    }
}

/// Of candidates with several numbers only those of the recipient as written; none where that is not clear.
fn keep_one_number(found: &mut Vec<(Vec<u8>, Awaited)>, recipient: Option<Msisdn>) {
    let Some(recipient) = recipient else { return };
    if found.iter().any(|(_, awaited)| awaited.to == recipient) {
        found.retain(|(_, awaited)| awaited.to == recipient);
    } else if found.windows(2).any(|pair| pair[0].1.to != pair[1].1.to) {
        found.clear();
    }
}

fn remove_from<K: std::hash::Hash + Eq>(index: &mut HashMap<K, Vec<Vec<u8>>>, place: K, key: &[u8]) {
    if let Some(keys) = index.get_mut(&place) {
        keys.retain(|other| other != key);
        if keys.is_empty() {
            index.remove(&place);
        }
    }
}

pub fn account_hash(account: &LinkName) -> u32 {
    crc32c::crc32c(account.as_str().as_bytes())
}

fn reference_hash(reference: &Reference) -> u64 {
    u64_digest(canonical(&reference.0).as_bytes())
}

/// The same number, or one of them written without its country: digits that end the other, and enough of them.
fn is_same(a: Msisdn, b: Msisdn) -> bool {
    const LEAST: u64 = 10_000_000;
    let (short, long) = (a.as_u64().min(b.as_u64()), a.as_u64().max(b.as_u64()));
    let digits = short.checked_ilog10().and_then(|log| 10u64.checked_pow(log + 1));
    a == b || short >= LEAST && digits.is_some_and(|digits| long % digits == short)
}

fn is_final(state: &ReceiptState) -> bool {
    matches!(state, ReceiptState::Delivered | ReceiptState::Failed(_))
}

impl Core {
    /// A segment was accepted: its receipt may come, or has come already.
    pub(super) fn await_receipt(
        &mut self,
        id: MessageId,
        index: u8,
        body: &Body,
        (attempt, reference): (&Attempt, &Reference),
        work: &mut Work,
    ) -> Result<(), StoreError> {
        if !body.receipt {
            return Ok(());
        }
        let hash = account_hash(&attempt.account);
        let mut heard = false;
        for key in self.orphans.of(attempt, reference, body.to, self.wraps(&attempt.account)) {
            if let Some(orphan) = self.orphans.remove(&key) {
                work.txn.delete(key);
                if is_final(&orphan.state) {
                    heard = true;
                    self.orphans.remember_final((hash, reference_hash(reference), orphan.recipient));
                }
                let Orphan { account, reference, state, .. } = orphan;
                let event = Event::Receipt { account, index, reference, state };
                self.change(id, event, work)?;
            }
        }
        if !heard {
            let key = keys::receipt(hash, work.wall().day(), reference_hash(reference), id, index);
            work.txn.put(key, &Awaited { to: body.to, reference: reference.clone() });
        }
        Ok(())
    }

    pub(super) fn receive_receipt(
        &mut self,
        link: LinkIndex,
        receipt: Receipt,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        let Some(account) = self.links.get(link).map(|seat| seat.facts.account.clone()) else {
            return Ok(());
        };
        let hash = account_hash(&account);
        let found = self.find_awaited(&account, &receipt, work)?;
        if let Some((key, id, index)) = found {
            return self.credit(account, Some(key), (id, index), receipt, work);
        }
        if let Some((id, index)) = self.find_unknown(&account, &receipt, work)? {
            return self.credit(account, None, (id, index), receipt, work);
        }
        let told = receipt.reference.as_ref().map(|r| (hash, reference_hash(r), receipt.recipient));
        let early = self.wraps(&account) && receipt.recipient.is_some_and(|to| self.is_sending(to));
        if told.is_some_and(|told| self.orphans.is_repeat(told)) && !early {
            tracing::debug!(event = "receipt_repeated", link = %account);
            return Ok(());
        }
        self.keep_orphan(account, receipt, work);
        Ok(())
    }

    /// Receipts may have come while these were still awaited; now that they are unknown, they are proof.
    pub(super) fn hear_orphans(&mut self, work: &mut Work) -> Result<(), StoreError> {
        for id in std::mem::take(&mut work.new_unknowns) {
            let Some(note) = self.unknowns.get(&id).cloned() else { continue };
            for key in self.orphans.about(note.to) {
                let speaks = |o: &Orphan, doubt: &Doubt| o.account == doubt.account && o.at >= doubt.begun;
                let fits = |o: &&Orphan| note.doubts.iter().any(|doubt| speaks(o, doubt));
                let Some(orphan) = self.orphans.kept.get(&key).filter(fits).cloned() else { continue };
                let account = orphan.account.clone();
                let receipt = orphan.into_receipt();
                if let Some(found) = self.find_unknown(&account, &receipt, work)? {
                    self.orphans.remove(&key);
                    work.txn.delete(key);
                    self.credit(account, None, found, receipt, work)?;
                }
            }
        }
        Ok(())
    }

    fn credit(
        &mut self,
        account: LinkName,
        key: Option<Vec<u8>>,
        (id, index): (MessageId, u8),
        receipt: Receipt,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        let ended = is_final(&receipt.state);
        let hash = account_hash(&account);
        let reference = receipt.reference.clone();
        let event = Event::Receipt { account, index, reference: receipt.reference, state: receipt.state };
        let changed = self.change(id, event, work)?;
        match (key, ended) {
            (Some(key), true) => work.txn.delete(key),
            (None, false) => {
                // It was unknown and is known to be with the network now: the final receipt comes by this reference.
                if let Some(body) = &changed {
                    let reference = reference.clone().unwrap_or(Reference::ABSENT);
                    let day = work.wall().day();
                    let key = keys::receipt(hash, day, reference_hash(&reference), id, index);
                    work.txn.put(key, &Awaited { to: body.to, reference });
                }
            }
            _ => {}
        }
        if let (true, Some(reference)) = (ended, &reference) {
            self.orphans.remember_final((hash, reference_hash(reference), receipt.recipient));
        }
        Ok(())
    }

    /// The awaited segment a receipt speaks of: as written first, then by its alternatives if just one fits.
    fn find_awaited(
        &self,
        account: &LinkName,
        receipt: &Receipt,
        work: &Work,
    ) -> Result<Option<(Vec<u8>, MessageId, u8)>, StoreError> {
        let (wraps, account) = (self.wraps(account), account_hash(account));
        if let Some(reference) = &receipt.reference {
            let mut found = self.candidates(account, reference, receipt.recipient, work)?;
            let exact = |(_, awaited): &(Vec<u8>, Awaited)| awaited.reference == *reference;
            if found.iter().any(exact) {
                found.retain(exact);
            }
            // Without a recipient nothing tells several of one reference apart, and TP-MR alone names nothing.
            if receipt.recipient.is_none() && (wraps || found.len() > 1) {
                return Ok(None);
            }
            if wraps {
                return self.newest_open(found, work);
            }
            if !found.is_empty() {
                let (key, _) = found.swap_remove(0);
                return Ok(keys::decode_receipt(&key).map(|(id, index)| (key, id, index)));
            }
        } else if let Some(to) = receipt.recipient {
            return self.find_unnamed(account, to, receipt.user_message_reference, work);
        }
        let mut found = Vec::new();
        for alternative in &receipt.alternatives {
            found.extend(self.candidates(account, alternative, receipt.recipient, work)?);
        }
        match (found.pop(), found.is_empty()) {
            (Some((key, _)), true) => Ok(keys::decode_receipt(&key).map(|(id, index)| (key, id, index))),
            _ => Ok(None),
        }
    }

    /// The newest whose receipt may still come.
    fn newest_open(
        &self,
        found: Vec<(Vec<u8>, Awaited)>,
        work: &Work,
    ) -> Result<Option<(Vec<u8>, MessageId, u8)>, StoreError> {
        for (key, _) in found.into_iter().rev() {
            let Some((id, index)) = keys::decode_receipt(&key) else { continue };
            let over = match self.load(id, work)? {
                Some((_, Head { state: State::Sent { receipt, .. }, .. })) => match receipt {
                    ReceiptWait::Until(until) => until < work.wall(),
                    ReceiptWait::NotAsked | ReceiptWait::NeverCame => true,
                },
                _ => false,
            };
            if !over {
                return Ok(Some((key, id, index)));
            }
        }
        Ok(None)
    }

    /// References of this account come again soon.
    fn wraps(&self, account: &LinkName) -> bool {
        self.links.iter().any(|seat| seat.facts.account == *account && seat.facts.kind == MODEM)
    }

    /// Something to this number is with a link.
    fn is_sending(&self, to: Msisdn) -> bool {
        self.active.values().any(|active| is_same(active.body.to, to))
    }

    /// A receipt without a reference can only speak of a segment that was given none: of several to its
    /// recipient the oldest of the newest day, unless it echoes our user_message_reference.
    fn find_unnamed(
        &self,
        account: u32,
        to: Msisdn,
        echo: Option<u16>,
        work: &Work,
    ) -> Result<Option<(Vec<u8>, MessageId, u8)>, StoreError> {
        let found = self.candidates(account, &Reference::ABSENT, Some(to), work)?;
        let mut segments =
            found.into_iter().filter_map(|(key, _)| keys::decode_receipt(&key).map(|(id, at)| (key, id, at)));
        Ok(segments.find(|&(_, id, index)| echo.is_none_or(|echo| echo == user_message_reference(id, index))))
    }

    /// Everything awaited under a reference whose recipient fits, on the newest day that has any, oldest first:
    /// of several messages to one recipient nothing says which is meant, and networks report in order.
    fn candidates(
        &self,
        account: u32,
        reference: &Reference,
        recipient: Option<Msisdn>,
        work: &Work,
    ) -> Result<Vec<(Vec<u8>, Awaited)>, StoreError> {
        let today = work.wall().day();
        let mut to_ask = recipient;
        for day in (today.saturating_sub(RECEIPT_DAYS)..=today + 1).rev() {
            let (from, to) = keys::under(keys::receipt_of(account, day, reference_hash(reference)));
            let entries = work.txn.scan(&from, &to, MAX_CANDIDATES)?;
            let crowded = entries.len() == MAX_CANDIDATES;
            let mut found = Vec::new();
            for (key, value) in entries {
                let awaited: Awaited = record::decode(&value)?;
                if recipient.is_none_or(|r| is_same(r, awaited.to)) {
                    found.push((key, awaited));
                }
            }
            keep_one_number(&mut found, recipient);
            if found.is_empty()
                && crowded
                && let Some(to) = to_ask.take()
            {
                found = self.candidates_to(to, account, reference, work)?;
            }
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Ok(Vec::new())
    }

    /// The same by the recipient's latest messages: where a reference has too many candidates to look at, a
    /// recipient has few.
    fn candidates_to(
        &self,
        to: Msisdn,
        account: u32,
        reference: &Reference,
        work: &Work,
    ) -> Result<Vec<(Vec<u8>, Awaited)>, StoreError> {
        let hash = reference_hash(reference);
        let (from, end) = keys::under(keys::chain_of(to));
        let mut found = BTreeMap::new();
        for (key, _) in work.txn.scan_back(&from, &end, MAX_OF_RECIPIENT)? {
            let Some((_, id)) = keys::decode_recipient_id(&key) else { continue };
            let head = match self.active.get(&id) {
                Some(active) => Some(active.head.clone()),
                None => work.txn.get::<Head>(&keys::head(id))?,
            };
            let attempts = head.into_iter().flat_map(|head| head.attempts);
            for (index, segment) in attempts.flat_map(|attempt| (0u8..).zip(attempt.segments)) {
                // Its key is of the account it was sent by and of the day it was accepted.
                if let SegmentState::Accepted { at, .. } = segment {
                    let key = keys::receipt(account, at.day(), hash, id, index);
                    found.extend(work.txn.get::<Awaited>(&key)?.map(|awaited| (key, awaited)));
                }
            }
        }
        let newest = found.keys().filter_map(|key| keys::receipt_day_of(key)).max();
        found.retain(|key, _| keys::receipt_day_of(key) == newest);
        Ok(found.into_iter().collect())
    }

    /// The unknown segment a receipt proves: by the echoed user_message_reference, or because it is the only
    /// one to this number on this account and nothing else of that number waits for a receipt.
    fn find_unknown(
        &self,
        account: &LinkName,
        receipt: &Receipt,
        work: &Work,
    ) -> Result<Option<(MessageId, u8)>, StoreError> {
        let Some(to) = receipt.recipient else { return Ok(None) };
        let mut fitting = BTreeSet::new();
        for (&id, note) in self.unknowns.iter().filter(|(_, note)| is_same(note.to, to)) {
            let of_account = note.doubts.iter().filter(|doubt| doubt.account == *account);
            fitting.extend(of_account.flat_map(|doubt| doubt.segments.iter().map(|&index| (id, index))));
        }
        if let Some(echo) = receipt.user_message_reference {
            return Ok(fitting.into_iter().find(|&(id, index)| user_message_reference(id, index) == echo));
        }
        match fitting.pop_first() {
            Some(_) if !fitting.is_empty() => Ok(None),
            Some(only) if self.wraps(account) => {
                let open = self.is_sending(to) || self.may_be_of_another(account, receipt, only, work)?;
                Ok((!open).then_some(only))
            }
            Some(only) if !self.awaits_others(to, work)? => Ok(Some(only)),
            _ => Ok(None),
        }
    }

    /// Whether a status report may speak of another segment than this unknown one: of one to its number that was
    /// accepted under the same TP-MR, whose report comes twice, or of one whose TP-MR nobody knows.
    fn may_be_of_another(
        &self,
        account: &LinkName,
        receipt: &Receipt,
        only: (MessageId, u8),
        work: &Work,
    ) -> Result<bool, StoreError> {
        let Some(note) = self.unknowns.get(&only.0) else { return Ok(true) };
        let since = work.wall().saturating_sub(RECEIPTS_COME);
        let is_named_so = |segment: &SegmentState| match segment.reference() {
            Some(reference) => {
                *reference == Reference::ABSENT || Some(reference) == receipt.reference.as_ref()
            }
            None => matches!(segment, SegmentState::Unknown | SegmentState::Written),
        };
        let (from, end) = keys::under(keys::chain_of(note.to));
        for (key, _) in work.txn.scan_back(&from, &end, MAX_OF_RECIPIENT)? {
            let Some((_, id)) = keys::decode_recipient_id(&key) else { continue };
            let Some((body, head)) = self.load(id, work)? else { continue };
            if !body.receipt {
                // No report of it was asked for; none proves it either.
                if id == only.0 {
                    return Ok(true);
                }
                continue;
            }
            let sent = head.attempts.iter().filter(|a| a.account == *account && a.begun >= since);
            let mut others = sent.flat_map(|a| (0u8..).zip(&a.segments)).filter(|&(at, _)| (id, at) != only);
            if others.any(|(_, segment)| is_named_so(segment)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether any of the latest messages to a number still waits for its receipt.
    fn awaits_others(&self, to: Msisdn, work: &Work) -> Result<bool, StoreError> {
        const DEPTH: usize = 32;
        let (from, end) = keys::under(keys::chain_of(to));
        for (key, _) in work.txn.scan_back(&from, &end, DEPTH)? {
            let Some((_, id)) = keys::decode_recipient_id(&key) else { continue };
            let loaded = self.load(id, work)?;
            let waits = |head: &Head| matches!(head.state, State::Sent { .. });
            if self.active.contains_key(&id)
                || loaded.is_some_and(|(body, head)| body.receipt && waits(&head))
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn keep_orphan(&mut self, account: LinkName, receipt: Receipt, work: &mut Work) {
        self.counters.receipts_unmatched += 1;
        if self.orphans.kept.len() >= MAX_ORPHANS {
            tracing::warn!(event = "receipt_dropped", link = %account, kept = MAX_ORPHANS);
            return;
        }
        tracing::info!(event = "receipt_unmatched", link = %account);
        self.counters.orphans = self.counters.orphans.wrapping_add(1);
        let key = keys::orphan(work.wall(), self.counters.orphans);
        let orphan = Orphan {
            account,
            at: work.wall(),
            reference: receipt.reference,
            state: receipt.state,
            recipient: receipt.recipient,
            user_message_reference: receipt.user_message_reference,
        };
        work.txn.put(key.clone(), &orphan);
        self.orphans.insert(key, orphan);
    }
}
