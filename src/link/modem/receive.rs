//! Memories and messages: what is read, handed up, and deleted only then (3GPP TS 27.005 sections 3.2.2, 3.4; modem.md 3.7).
//!
//! Invariants:
//! * Nothing is deleted that was not handed up and confirmed, and only in the memory it was read from.
//! * A memory is selected shortly before it is used: a modem may start anew and say nothing of it.
//! * One message that cannot be read stops nothing: once it reads twice alike it goes up as it came, and its place
//!   is freed like any other. What reads otherwise each time was garbled on the way, and lies there unharmed.
//! * What the core refused stays where it is and is read again; what came without a place is kept here.
//! * A place that still holds what was deleted is deleted again, a few times, and never handed up twice by one session.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use super::command::{Answer, Command, Info, LISTING, SIM, fields};
use super::decode;
use super::errors::Fault;
use super::lines::Expect;
use super::session::{ModemSession, Purpose};
use super::urc::{Place, RoutedPdu};
use crate::link::session::SessionEvent;
use crate::link::{Inbound, InboundToken};

/// Announced places that wait to be read: a memory has 255. More are found by the sweep.
const MAX_READS: usize = 512;
/// Inbound without a place that the core had no room for.
const MAX_KEPT: usize = 256;
/// When the core had no room it is asked again after this.
const AGAIN: Duration = Duration::from_secs(5);
/// Deletions of one place; then it is left to people.
const DELETIONS: u8 = 3;
/// No memory has more places (TS 27.005 section 3.1).
const MOST_PLACES: u32 = 255;
/// A memory that cannot be listed is read place by place no more often.
const EACH_AGAIN: Duration = Duration::from_secs(50);
/// Without a command to it for so long the modem may have started anew and have another memory selected.
const SELECTED_FOR: Duration = Duration::from_secs(2);

/// A command that has to do with memories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Errand {
    /// AT+CPMS: from here on the memory that is read and deleted in.
    Select(String),
    List(String),
    Read(Place),
    Delete(Place),
    /// AT+CNMA, or its refusal.
    Acknowledge {
        stored: bool,
    },
}

/// Messages between the modem and the core.
#[derive(Debug, Default)]
pub struct Inbox {
    /// Memories that are swept.
    pub(super) memories: Vec<String>,
    /// With when it was used last.
    selected: Option<(String, Instant)>,
    sweep: VecDeque<String>,
    reads: VecDeque<Place>,
    deletes: VecDeque<Place>,
    acknowledge: VecDeque<bool>,
    handed: HashMap<InboundToken, Source>,
    /// What is known to be in a place.
    places: HashMap<Place, Known>,
    /// What nobody could read in a place, until it reads the same once more.
    unread: HashMap<Place, [u8; 16]>,
    kept: VecDeque<Inbound>,
    /// Memories that could not be listed, and when they were last read place by place.
    read_each: BTreeMap<String, Instant>,
    /// When what was refused is read again.
    again: Option<Instant>,
    /// Slots used and there, of each memory.
    storage: BTreeMap<String, (u32, u32)>,
    /// +CMT and +CDS are to be acknowledged (AT+CSMS=1).
    pub(super) acknowledges: bool,
}

#[derive(Debug)]
enum Source {
    Stored(Place, [u8; 16]),
    Routed { inbound: Box<Inbound>, acknowledge: bool },
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    key: [u8; 16],
    fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// The same lies in another place that is not free yet; it is read when that one is.
    Twin,
    Handed,
    /// Confirmed, and to be deleted; so many deletions were answered before.
    Deleting(u8),
    /// So many deletions were answered.
    Deleted(u8),
}

impl Fate {
    /// It is there, and about to be freed.
    fn holds(self) -> bool {
        matches!(self, Fate::Handed | Fate::Deleting(_))
    }
}

impl Inbox {
    /// The modem has restarted, perhaps with another SIM: places mean nothing any more.
    pub fn forget(&mut self) {
        let kept = std::mem::take(&mut self.kept);
        let mut handed = std::mem::take(&mut self.handed);
        handed.retain(|_, source| matches!(source, Source::Routed { acknowledge: false, .. }));
        *self = Inbox { kept, handed, ..Inbox::default() };
    }

    pub fn announced(&mut self, place: Place) {
        if self.reads.len() < MAX_READS && !self.reads.contains(&place) {
            self.reads.push_back(place);
        }
    }

    pub fn sweep_all(&mut self) {
        for memory in &self.memories {
            if !self.sweep.contains(memory) {
                self.sweep.push_back(memory.clone());
            }
        }
    }

    pub fn storage(&self) -> Option<(u32, u32)> {
        let sum =
            |(used, all): (u32, u32), (u, a): &(u32, u32)| (used.saturating_add(*u), all.saturating_add(*a));
        (!self.storage.is_empty()).then(|| self.storage.values().fold((0, 0), sum))
    }

    pub fn again_at(&self) -> Option<Instant> {
        self.again
    }

    pub fn confirmed(&mut self, token: InboundToken) {
        match self.handed.remove(&token) {
            Some(Source::Stored(place, key)) => {
                // Another message may have taken its place meanwhile, which is not confirmed by this.
                if let Some(known) = self.places.get_mut(&place).filter(|known| known.key == key) {
                    known.fate = Fate::Deleting(0);
                    self.deletes.push_back(place);
                }
            }
            Some(Source::Routed { acknowledge: true, .. }) => self.acknowledge.push_back(true),
            Some(Source::Routed { .. }) | None => {}
        }
    }

    /// Whether it can be had again: what came by itself, and was not acknowledged, is kept here, so many of it.
    pub fn refused(&mut self, token: InboundToken, now: Instant) -> bool {
        let mut had = true;
        match self.handed.remove(&token) {
            Some(Source::Stored(place, key)) => {
                if self.places.get(&place).is_some_and(|known| known.key == key) {
                    self.places.remove(&place);
                }
            }
            // The network sends it again.
            Some(Source::Routed { acknowledge: true, .. }) => self.acknowledge.push_back(false),
            Some(Source::Routed { inbound, .. }) => {
                had = self.kept.len() < MAX_KEPT;
                if had {
                    self.kept.push_back(*inbound);
                }
            }
            None => return true,
        }
        self.again = Some(now + AGAIN);
        had
    }

    /// What is to be done next; a memory is selected before it is used.
    fn next(&mut self, now: Instant) -> Option<Errand> {
        self.selected.take_if(|(_, used)| now >= *used + SELECTED_FOR);
        if let Some(stored) = self.acknowledge.pop_front() {
            return Some(Errand::Acknowledge { stored });
        }
        if let Some(place) = self.reads.front().cloned() {
            return Some(self.select(&place.memory).unwrap_or_else(|| {
                self.reads.pop_front();
                Errand::Read(place)
            }));
        }
        if let Some(place) = self.deletes.front().cloned() {
            return Some(self.select(&place.memory).unwrap_or_else(|| {
                self.deletes.pop_front();
                Errand::Delete(place)
            }));
        }
        let memory = self.sweep.front()?.clone();
        Some(self.select(&memory).unwrap_or_else(|| {
            self.sweep.pop_front();
            Errand::List(memory)
        }))
    }

    fn select(&self, memory: &str) -> Option<Errand> {
        let selected = self.selected.as_ref().is_some_and(|(selected, _)| selected == memory);
        (!selected).then(|| Errand::Select(memory.to_owned()))
    }

    /// The memory cannot be selected: nothing in it can be read, and nothing in it is touched.
    fn give_up(&mut self, memory: &str) {
        self.reads.retain(|place| place.memory != memory);
        self.deletes.retain(|place| place.memory != memory);
        for (_, known) in self.places.iter_mut().filter(|(place, _)| place.memory == memory) {
            if let Fate::Deleting(times) = known.fate {
                known.fate = Fate::Deleted(times);
            }
        }
        self.sweep.retain(|swept| swept != memory);
        self.storage.remove(memory);
    }

    /// Whether what lies there is to be handed up.
    fn is_new(&mut self, place: &Place, key: [u8; 16]) -> bool {
        match self.places.get_mut(place) {
            Some(Known { key: known, fate }) if *known == key => match *fate {
                Fate::Handed | Fate::Deleting(_) => return false,
                Fate::Deleted(times) => {
                    if times < DELETIONS {
                        *fate = Fate::Deleting(times);
                        self.deletes.push_back(place.clone());
                    }
                    return false;
                }
                Fate::Twin => {}
            },
            // Another message has taken the place, which nobody has confirmed.
            Some(_) => self.deletes.retain(|deleted| deleted != place),
            None => {}
        }
        // A memory of two names shows the same message twice, and the network delivers one twice: freeing this
        // place now could free it of a message that comes in between.
        let elsewhere =
            self.places.iter().any(|(at, known)| at != place && known.key == key && known.fate.holds());
        if elsewhere {
            self.places.insert(place.clone(), Known { key, fate: Fate::Twin });
        }
        !elsewhere
    }

    /// The memory holds something and cannot be listed: one bad entry may be why, and it stops no other.
    fn unlisted(&mut self, memory: &str, now: Instant) {
        let (used, all) = self.storage.get(memory).copied().unwrap_or_default();
        let lately = self.read_each.get(memory).is_some_and(|at| now < *at + EACH_AGAIN);
        if used == 0 || lately {
            return;
        }
        self.read_each.insert(memory.to_owned(), now);
        // Some count from 0, some from 1.
        for index in 0..=all.min(MOST_PLACES) {
            self.announced(Place { memory: memory.to_owned(), index });
        }
    }

    /// Whether what nobody could read in a place was read like this before; else it is to be read once more.
    fn reads_alike(&mut self, place: &Place, key: [u8; 16]) -> bool {
        match self.unread.insert(place.clone(), key) {
            Some(before) => before == key,
            None => {
                self.announced(place.clone());
                false
            }
        }
    }

    /// A place is free, or was to be: what waited for that is read.
    fn freed(&mut self, key: [u8; 16]) {
        let waits = |known: &Known| known.key == key && known.fate == Fate::Twin;
        let twins: Vec<Place> =
            self.places.iter().filter(|(_, known)| waits(known)).map(|(place, _)| place.clone()).collect();
        for place in twins {
            self.places.remove(&place);
            self.announced(place);
        }
    }

    /// A whole listing was read: what is not in it is not there.
    fn listed(&mut self, memory: &str, seen: &HashSet<u32>) {
        self.places.retain(|place, known| {
            place.memory != memory || seen.contains(&place.index) || known.fate.holds()
        });
        self.unread.retain(|place, _| place.memory != memory || seen.contains(&place.index));
    }
}

impl ModemSession {
    /// Does what memories need next; whether something was written.
    pub(super) fn errand(&mut self, now: Instant) -> bool {
        if self.inbox.again.is_some_and(|at| now >= at) {
            self.inbox.again = None;
            self.inbox.sweep_all();
            for inbound in std::mem::take(&mut self.inbox.kept) {
                self.hand_up(inbound, |inbound| Source::Routed {
                    inbound: Box::new(inbound.clone()),
                    acknowledge: false,
                });
            }
        }
        let Some(errand) = self.inbox.next(now) else { return false };
        let command = match &errand {
            Errand::Select(memory) => Command::query(format!("AT+CPMS=\"{memory}\""), "+CPMS:").within(SIM),
            Errand::List(_) => Command::new("AT+CMGL=4", Expect::Bodies("+CMGL:"), LISTING),
            Errand::Read(place) => {
                Command::new(format!("AT+CMGR={}", place.index), Expect::Bodies("+CMGR:"), SIM)
            }
            Errand::Delete(place) => Command::plain(format!("AT+CMGD={}", place.index)).within(SIM),
            Errand::Acknowledge { stored: true } => Command::plain("AT+CNMA"),
            Errand::Acknowledge { stored: false } => Command::plain("AT+CNMA=2"),
        };
        self.ask(command, Purpose::Errand(errand), now);
        true
    }

    pub(super) fn errand_answered(&mut self, errand: Errand, answer: Answer, now: Instant) {
        if let (Some((_, used)), Answer::Ok(_)) = (&mut self.inbox.selected, &answer) {
            *used = now;
        }
        match (errand, answer) {
            (Errand::Select(memory), Answer::Ok(lines)) => {
                let line = lines.first().map(|info| info.head.as_str()).unwrap_or_default();
                self.count_storage(&memory, line);
                self.inbox.selected = Some((memory, now));
            }
            // It has no such memory, or did not understand.
            (Errand::Select(memory), Answer::Failed(fault)) if !fault.is_busy(self.profile.vendor) => {
                self.inbox.selected = None;
                self.inbox.give_up(&memory);
                self.chores.odd(now);
            }
            // The place may be busy for now; the next sweep finds what is there.
            (Errand::Select(memory), _) => {
                self.inbox.selected = None;
                self.inbox.give_up(&memory);
                self.inbox.again = Some(now + AGAIN);
            }
            (Errand::List(memory), Answer::Ok(lines)) => self.listed(&memory, &lines),
            (Errand::List(memory), Answer::Failed(fault)) if !fault.is_busy(self.profile.vendor) => {
                self.inbox.unlisted(&memory, now);
                // In text mode it refuses that, and a restart may have been missed: its mode is asked.
                self.out_of_step = true;
                self.chores.odd(now);
            }
            (Errand::List(_), _) => self.chores.odd(now),
            (Errand::Read(place), Answer::Ok(lines)) => {
                // A bare OK is an empty place.
                if let Some(info) = lines.first() {
                    self.found(place, info);
                }
            }
            (Errand::Read(_), Answer::Failed(fault)) if fault.is_empty_place() => {}
            (Errand::Read(_), _) => self.inbox.again = Some(now + AGAIN),
            (Errand::Delete(place), answer) => self.deleted(&place, &answer, now),
            (Errand::Acknowledge { .. }, Answer::Failed(fault)) if fault != Fault::Cms(340) => {
                // The modem has given up waiting and switched its announcements off.
                self.chores.announce_now(now);
            }
            (Errand::Acknowledge { .. }, _) => {}
        }
    }

    fn deleted(&mut self, place: &Place, answer: &Answer, now: Instant) {
        let Some(known) = self.inbox.places.get_mut(place) else { return };
        let key = known.key;
        if matches!(answer, Answer::Failed(fault) if fault.is_empty_place()) {
            self.inbox.places.remove(place);
        } else if let Fate::Deleting(times) = known.fate {
            known.fate = Fate::Deleted(times + 1);
            if times + 1 == DELETIONS {
                tracing::warn!(event = "place_not_freed", link = %self.config.name, memory = place.memory, index = place.index);
            }
            // Some say OK and delete nothing: the next listing shows it.
            self.chores.look_soon(now);
        }
        self.inbox.freed(key);
    }

    fn listed(&mut self, memory: &str, lines: &[Info]) {
        let mut seen = HashSet::new();
        for info in lines {
            let value = info.head.trim_start_matches("+CMGL:").trim();
            let mut fields = fields(value);
            let Some(index) = fields.next().and_then(|index| index.parse().ok()) else { continue };
            seen.insert(index);
            self.found(Place { memory: memory.to_owned(), index }, info);
        }
        self.inbox.listed(memory, &seen);
    }

    /// Something lies in a place.
    fn found(&mut self, place: Place, info: &Info) {
        let stated = info.head.rsplit(',').next().and_then(|length| length.trim().parse().ok());
        let line = match (&info.body, stated) {
            (Some(body), _) => body.as_str(),
            // `+CMGR: 0,,0` is how some say that nothing is there; there is nothing to lose in it.
            (None, Some(0)) if !info.head.starts_with("+CMGL:") => return,
            (None, _) => "",
        };
        let read = decode::read(line, stated, &self.sim());
        let Some(inbound) = read.inbound else { return };
        let known = self.inbox.places.get(&place).is_some_and(|known| known.key == read.key);
        // An entry that says itself that it is empty has nothing to lose.
        let settled = known || (line.is_empty() && stated == Some(0));
        if !matches!(inbound, Inbound::Poison(_)) || settled {
            self.inbox.unread.remove(&place);
        } else if !self.inbox.reads_alike(&place, read.key) {
            return;
        }
        if self.inbox.is_new(&place, read.key) {
            self.inbox.places.insert(place.clone(), Known { key: read.key, fate: Fate::Handed });
            self.hand_up(inbound, |_| Source::Stored(place, read.key));
        }
    }

    /// +CMT, +CDS: the PDU came by itself and lies nowhere.
    pub(super) fn routed(&mut self, routed: &RoutedPdu, now: Instant) {
        let acknowledge = routed.acknowledged && self.inbox.acknowledges;
        match decode::read(&routed.pdu, routed.length, &self.sim()).inbound {
            // Nobody's reply, and only a piece of a report.
            Some(Inbound::Poison(_)) if routed.short_report => {
                tracing::warn!(event = "report_cut", link = %self.config.name);
                self.chores.odd(now);
                if acknowledge {
                    self.inbox.acknowledge.push_back(false);
                }
            }
            Some(inbound) => {
                self.hand_up(inbound, |inbound| Source::Routed {
                    inbound: Box::new(inbound.clone()),
                    acknowledge,
                });
            }
            None if acknowledge => self.inbox.acknowledge.push_back(true),
            None => {}
        }
    }

    fn hand_up(&mut self, inbound: Inbound, source: impl FnOnce(&Inbound) -> Source) {
        let token = InboundToken(self.next_token);
        self.next_token += 1;
        self.inbox.handed.insert(token, source(&inbound));
        self.push_event(SessionEvent::Inbound { token, inbound });
    }

    /// What names the SIM: a message is the same only if it is on the same one.
    fn sim(&self) -> String {
        let status = &self.status;
        let named = status.imsi.as_ref().or(status.iccid.as_ref()).or(status.imei.as_ref());
        named.cloned().unwrap_or_else(|| self.config.name.to_string())
    }

    /// `+CPMS: used,total,...` of the memory just selected.
    fn count_storage(&mut self, memory: &str, line: &str) {
        let mut numbers = fields(line.trim_start_matches("+CPMS:")).filter_map(|n| n.parse().ok());
        if let (Some(used), Some(total)) = (numbers.next(), numbers.next()) {
            self.inbox.storage.insert(memory.to_owned(), (used, total));
        }
    }
}
