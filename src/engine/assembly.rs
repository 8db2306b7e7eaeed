//! Long replies in the making: their segments, until all are there or nobody waits any more.
//!
//! Every segment has its record on the disk before it is confirmed, so a restart goes on where it was. A group
//! is named by account, sender, reference and total, as nothing else names it; the reference's width is not
//! told. Memory is bounded for each sender and in all: where it is full, the oldest group is shown as it is.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::link::Concat;
use crate::message::{LinkName, Msisdn};
use crate::store::{Read, StoreError, keys, record};

/// Groups of one sender at a time; nobody types more long replies at once.
const MAX_OF_SENDER: usize = 8;
/// Groups in all.
const MAX_GROUPS: usize = 4_096;
/// Octets of PDUs and text in all groups of a sender, and in all: 255 segments of 140 octets fit, told twice.
const MAX_BYTES_OF_SENDER: usize = 256 << 10;
const MAX_BYTES: usize = 8 << 20;
/// Records read at once at start.
const STRETCH: usize = 1_024;

/// The value of a pending key: one segment of a reply that is not whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingSegment {
    pub link: LinkName,
    pub account: LinkName,
    pub received_at: Timestamp,
    /// Addresses as written on the wire.
    pub from: String,
    pub to: String,
    pub number: Option<Msisdn>,
    pub reference: u16,
    pub total: u8,
    pub raw: Vec<u8>,
    pub text: Option<String>,
    pub sent_at: Option<Timestamp>,
}

impl PendingSegment {
    fn bytes(&self) -> usize {
        self.raw.len() + self.text.as_ref().map_or(0, String::len)
    }

    fn name(&self) -> Name {
        (self.account.clone(), self.from.clone(), self.reference, self.total)
    }
}

/// Account, sender, reference, total.
type Name = (LinkName, String, u16, u8);

/// Segments of one reply by number; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub id: u64,
    pub segments: BTreeMap<u8, PendingSegment>,
}

impl Group {
    fn bytes(&self) -> usize {
        self.segments.values().map(PendingSegment::bytes).sum()
    }

    fn first(&self) -> Option<&PendingSegment> {
        self.segments.values().min_by_key(|segment| segment.received_at)
    }

    pub fn is_whole(&self) -> bool {
        self.segments.values().next().is_some_and(|any| self.segments.len() == usize::from(any.total))
    }

    /// The text of all that is there in order; `None` where any of it is none.
    pub fn text(&self) -> Option<String> {
        let mut joined = String::new();
        let mut before: Option<(u8, &PendingSegment)> = None;
        for (&number, segment) in &self.segments {
            let mut text = segment.text.as_deref()?;
            let beside = before.filter(|(last, _)| last + 1 == number);
            if let Some(whole) = beside.and_then(|(_, left)| cut_character(left, segment)) {
                joined.truncate(joined.len() - HALF.len());
                joined.push(whole);
                text = &text[HALF.len()..];
            }
            joined.push_str(text);
            before = Some((number, segment));
        }
        Some(joined)
    }
}

/// What a segment led to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Added {
    /// The group it is in now; `None`: the same segment was there already.
    pub group: Option<u64>,
    /// Groups that are over: whole, or pushed out, the pushed out first.
    pub over: Vec<Group>,
}

/// What the decoder of one segment makes of half a surrogate pair.
const HALF: &str = "\u{FFFD}";

/// The character that was cut between two UCS-2 segments: its halves stand in the octets beside the text that
/// could be read, whatever PDU they are in.
fn cut_character(left: &PendingSegment, right: &PendingSegment) -> Option<char> {
    let start = left.text.as_deref()?.strip_suffix(HALF)?;
    let end = right.text.as_deref()?.strip_prefix(HALF)?;
    let octets = |text: &str| text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<u8>>();
    let (start, end) = (octets(start), octets(end));
    let found = |raw: &[u8], text: &[u8]| {
        let all = raw.windows(text.len().max(1)).rposition(|window| window == text);
        all.filter(|_| !text.is_empty())
    };
    let after = found(&left.raw, &start)? + start.len();
    let at = found(&right.raw, &end)?.checked_sub(2)?;
    let unit = |octets: &[u8]| Some(u16::from_be_bytes(octets.try_into().ok()?));
    let pair = [unit(left.raw.get(after..after + 2)?)?, unit(right.raw.get(at..at + 2)?)?];
    let mut whole = char::decode_utf16(pair);
    whole.next()?.ok().filter(|_| whole.next().is_none())
}

/// All groups, the oldest first.
#[derive(Debug, Default)]
pub struct Assembly {
    groups: BTreeMap<u64, Group>,
    by_name: HashMap<Name, u64>,
    /// By account and sender, in order.
    by_sender: HashMap<(LinkName, String), Vec<u64>>,
    bytes: usize,
}

/// Whether it says where in a long reply it belongs, as can be believed.
pub fn belongs(concat: Concat) -> bool {
    concat.total > 1 && (1..=concat.total).contains(&concat.number)
}

impl Assembly {
    pub fn load(state: &dyn Read) -> Result<Assembly, StoreError> {
        let (mut from, end) = keys::all(keys::family::PENDING);
        let mut assembly = Assembly::default();
        loop {
            let entries = state.scan(&from, &end, STRETCH)?;
            for (key, value) in &entries {
                let damaged =
                    || StoreError::Damaged(String::from("a pending segment's key of the wrong length"));
                let (group, number) = keys::decode_pending(key).ok_or_else(damaged)?;
                assembly.put(group, number, record::decode(value)?);
            }
            match entries.last() {
                Some((last, _)) if entries.len() == STRETCH => from = [last, &[0][..]].concat(),
                _ => return Ok(assembly),
            }
        }
    }

    /// Takes a segment into its group, or into a new one of this id.
    pub fn add(&mut self, new_id: u64, number: u8, segment: PendingSegment) -> Added {
        let mut over = Vec::new();
        if let Some(&id) = self.by_name.get(&segment.name()) {
            match self.groups.get(&id).and_then(|group| group.segments.get(&number)) {
                Some(there)
                    if there.text == segment.text && (there.text.is_some() || there.raw == segment.raw) =>
                {
                    return Added::default();
                }
                // The reference was used anew: what was there will not be completed any more.
                Some(_) => over.extend(self.take(id)),
                None => {}
            }
        }
        over.extend(self.make_room(&segment));
        let id = self.by_name.get(&segment.name()).copied().unwrap_or(new_id);
        self.put(id, number, segment);
        if self.groups.get(&id).is_some_and(Group::is_whole) {
            over.extend(self.take(id));
        }
        Added { group: Some(id), over }
    }

    /// Groups whose first segment came before this.
    pub fn overdue(&mut self, timeout: Duration, now: Timestamp, limit: usize) -> Vec<Group> {
        let late = |group: &Group| group.first().is_some_and(|first| now.since(first.received_at) >= timeout);
        let ids: Vec<u64> =
            self.groups.values().filter(|group| late(group)).take(limit).map(|group| group.id).collect();
        ids.into_iter().filter_map(|id| self.take(id)).collect()
    }

    fn put(&mut self, id: u64, number: u8, segment: PendingSegment) {
        self.bytes += segment.bytes();
        let group = self.groups.entry(id).or_insert_with(|| Group { id, segments: BTreeMap::new() });
        if group.segments.is_empty() {
            self.by_name.insert(segment.name(), id);
            let sender = (segment.account.clone(), segment.from.clone());
            self.by_sender.entry(sender).or_default().push(id);
        }
        group.segments.insert(number, segment);
    }

    fn take(&mut self, id: u64) -> Option<Group> {
        let group = self.groups.remove(&id)?;
        self.bytes -= group.bytes();
        if let Some(any) = group.segments.values().next() {
            self.by_name.remove(&any.name());
            let sender = (any.account.clone(), any.from.clone());
            if let Some(ids) = self.by_sender.get_mut(&sender) {
                ids.retain(|&other| other != id);
                if ids.is_empty() {
                    self.by_sender.remove(&sender);
                }
            }
        }
        Some(group)
    }

    /// Pushes out the oldest until this segment fits.
    fn make_room(&mut self, segment: &PendingSegment) -> Vec<Group> {
        let sender = (segment.account.clone(), segment.from.clone());
        let mut out = Vec::new();
        loop {
            let own: &[u64] = self.by_sender.get(&sender).map_or(&[], Vec::as_slice);
            let bytes: usize =
                own.iter().filter_map(|id| self.groups.get(id)).map(Group::bytes).sum::<usize>();
            let grows = usize::from(!self.by_name.contains_key(&segment.name()));
            let oldest = if own.len() + grows > MAX_OF_SENDER || bytes + segment.bytes() > MAX_BYTES_OF_SENDER
            {
                own.first().copied()
            } else if self.groups.len() + grows > MAX_GROUPS || self.bytes + segment.bytes() > MAX_BYTES {
                self.groups.keys().next().copied()
            } else {
                None
            };
            match oldest.and_then(|id| self.take(id)) {
                Some(group) => out.push(group),
                None => return out,
            }
        }
    }
}
