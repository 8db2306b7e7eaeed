//! Reading what people wrote and what they want: replies, conversations, opt-outs and holds.
//!
//! Like all of [`View`] it reads the applied state beside the core, a bounded number of rows a page. Messages
//! and replies have ids of one allotter, so a conversation is in order when its ids are.

use super::ReadError;
use super::inbound::StoredReply;
use super::view::{MessageView, ROWS_PER_PAGE, STRETCH, View};
use crate::clock::Timestamp;
use crate::id::{InboundId, MessageId};
use crate::message::{LinkName, Msisdn};
use crate::reminder::suppression::{Hold, Intent, Party, Suppression};
use crate::store::keys::{self, family};
use crate::store::{StoreError, record};

/// A reply as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyView {
    pub id: InboundId,
    /// As written on the wire; empty for a PDU that nobody could read.
    pub from: String,
    pub to: String,
    /// The sender where the wire says that it is an international number.
    pub number: Option<Msisdn>,
    /// Its sender as opt-outs and holds know it; `None` for names and short codes.
    pub party: Option<Party>,
    /// `None`: binary, in no known alphabet, or not readable.
    pub text: Option<String>,
    pub link: LinkName,
    pub received_at: Timestamp,
    /// When the SMSC got its first segment.
    pub sent_at: Option<Timestamp>,
    pub intent: Intent,
    /// The newest message to its sender by the same account, when the reply came.
    pub answers: Option<MessageId>,
    /// All its segments came.
    pub complete: bool,
    /// PDUs as they came, in the order of the text.
    pub raw: Vec<Vec<u8>>,
    /// Why it could not be read.
    pub problem: Option<String>,
    /// It is why its sender is held now.
    pub held: bool,
}

/// Which replies; all of it must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplyFilter {
    /// Replies from it, those from digits that it ends in included.
    pub number: Option<Msisdn>,
    pub link: Option<LinkName>,
    pub intent: Option<Intent>,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
}

/// A stretch of a list of replies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplyPage {
    pub replies: Vec<ReplyView>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<InboundId>,
}

/// One line of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    Message(MessageView),
    Reply(ReplyView),
}

/// A stretch of what went to a number and came from it, by time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conversation {
    pub entries: Vec<Entry>,
    /// Where the next page begins, of no other meaning; `None` at the end.
    pub next: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptOutView {
    pub party: Party,
    pub suppression: Suppression,
}

/// A stretch of the opt-outs, by party.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OptOutPage {
    pub opt_outs: Vec<OptOutView>,
    /// `after` of the next page; `None` at the end.
    pub next: Option<Party>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldView {
    pub party: Party,
    pub hold: Hold,
}

/// A stretch of the holds, by party.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HoldPage {
    pub holds: Vec<HoldView>,
    /// `after` of the next page; `None` at the end.
    pub next: Option<Party>,
}

/// Keys of one prefix that end in an id, from and to.
struct Range {
    prefix: Vec<u8>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Range {
    fn all(prefix: Vec<u8>) -> Range {
        Range { prefix, since: None, until: None }
    }
}

impl View {
    pub fn reply(&self, id: InboundId) -> Result<Option<ReplyView>, ReadError> {
        let Some(bytes) = self.state.get(&keys::inbound(id))? else { return Ok(None) };
        let stored: StoredReply = record::decode(&bytes)?;
        let party = stored.party();
        let hold = party.map(|party| self.hold(party)).transpose()?.flatten();
        Ok(Some(ReplyView {
            id,
            from: stored.from,
            to: stored.to,
            number: stored.number,
            party,
            text: stored.text,
            link: stored.link,
            received_at: stored.received_at,
            sent_at: stored.sent_at,
            intent: stored.intent,
            answers: stored.answers,
            complete: stored.complete,
            raw: stored.raw,
            problem: stored.problem,
            held: hold.is_some_and(|hold| hold.reply == id),
        }))
    }

    /// A page in order of arrival; a long reply arrives with its last segment. `after` is the last id of the
    /// page before.
    pub fn replies(
        &self,
        filter: &ReplyFilter,
        after: Option<InboundId>,
        newest_first: bool,
        limit: usize,
    ) -> Result<ReplyPage, ReadError> {
        let prefixes = match filter.number {
            Some(number) => Party::all_of(number).map(keys::replies_of).collect(),
            None => vec![vec![family::INBOUND]],
        };
        let until = filter.until.map(|at| Ok::<_, ReadError>(at.saturating_add(self.lead()?))).transpose()?;
        let range = |prefix| Range { prefix, since: filter.since, until };
        let ranges: Vec<Range> = prefixes.into_iter().map(range).collect();
        let mut page = ReplyPage::default();
        let (mut last, mut looked_at) = (after, 0);
        loop {
            let ids = self.merged(&ranges, last.map(InboundId::as_u64), newest_first, STRETCH)?;
            for &(id, _) in &ids {
                if looked_at >= ROWS_PER_PAGE || page.replies.len() >= limit {
                    page.next = last;
                    return Ok(page);
                }
                looked_at += 1;
                let id = InboundId::from_u64(id);
                last = Some(id);
                page.replies.extend(self.reply(id)?.filter(|reply| fits(filter, reply)));
            }
            if ids.len() < STRETCH {
                return Ok(page);
            }
        }
    }

    /// Everything to and from a number in order. `after` is [`Conversation::next`] of the page before.
    pub fn conversation(
        &self,
        number: Msisdn,
        after: Option<u64>,
        newest_first: bool,
        limit: usize,
        now: Timestamp,
    ) -> Result<Conversation, ReadError> {
        let replies = Party::all_of(number).map(keys::replies_of);
        let ranges: Vec<Range> =
            std::iter::once(keys::chain_of(number)).chain(replies).map(Range::all).collect();
        let ids = self.merged(&ranges, after, newest_first, limit)?;
        let mut page = Conversation::default();
        for &(id, of) in &ids {
            page.entries.extend(match of {
                0 => self.message(MessageId::from_u64(id), now)?.map(Entry::Message),
                _ => self.reply(InboundId::from_u64(id))?.map(Entry::Reply),
            });
        }
        page.next = ids.last().filter(|_| ids.len() == limit).map(|&(id, _)| id);
        Ok(page)
    }

    pub fn opt_out(&self, party: Party) -> Result<Option<Suppression>, ReadError> {
        self.state.get(&keys::opt_out(party))?.map(|bytes| record::decode(&bytes)).transpose()
    }

    /// All opt-outs that bind this number.
    pub fn opt_outs_of(&self, number: Msisdn) -> Result<Vec<OptOutView>, ReadError> {
        let view = |party| Ok(self.opt_out(party)?.map(|suppression| OptOutView { party, suppression }));
        Party::all_of(number).filter_map(|party| view(party).transpose()).collect()
    }

    pub fn opt_outs(&self, after: Option<Party>, limit: usize) -> Result<OptOutPage, ReadError> {
        let entries = self.parties(family::OPT_OUT, after.map(keys::opt_out), limit)?;
        let opt_outs: Vec<OptOutView> =
            entries.into_iter().map(|(party, suppression)| OptOutView { party, suppression }).collect();
        let next = opt_outs.last().filter(|_| opt_outs.len() == limit).map(|last| last.party);
        Ok(OptOutPage { opt_outs, next })
    }

    pub fn hold(&self, party: Party) -> Result<Option<Hold>, ReadError> {
        self.state.get(&keys::hold(party))?.map(|bytes| record::decode(&bytes)).transpose()
    }

    /// All holds that bind this number.
    pub fn holds_of(&self, number: Msisdn) -> Result<Vec<HoldView>, ReadError> {
        let view = |party| Ok(self.hold(party)?.map(|hold| HoldView { party, hold }));
        Party::all_of(number).filter_map(|party| view(party).transpose()).collect()
    }

    pub fn holds(&self, after: Option<Party>, limit: usize) -> Result<HoldPage, ReadError> {
        let entries = self.parties(family::HOLD, after.map(keys::hold), limit)?;
        let holds: Vec<HoldView> =
            entries.into_iter().map(|(party, hold)| HoldView { party, hold }).collect();
        let next = holds.last().filter(|_| holds.len() == limit).map(|last| last.party);
        Ok(HoldPage { holds, next })
    }

    /// The next records of a family whose keys are parties.
    fn parties<T: serde::de::DeserializeOwned>(
        &self,
        family: u8,
        after: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<Vec<(Party, T)>, ReadError> {
        let (start, end) = keys::all(family);
        let from = after.map_or(start, |after| [after, vec![0]].concat());
        let party = |key: &[u8]| {
            let damaged = || StoreError::Damaged(String::from("a party's key of the wrong length"));
            keys::decode_party(key).ok_or_else(damaged)
        };
        let entries = self.state.scan(&from, &end, limit)?;
        entries.into_iter().map(|(key, value)| Ok((party(&key)?, record::decode(&value)?))).collect()
    }

    /// The next ids of several ranges in one order, each with the position of its range.
    fn merged(
        &self,
        ranges: &[Range],
        after: Option<u64>,
        back: bool,
        limit: usize,
    ) -> Result<Vec<(u64, usize)>, ReadError> {
        let mut ids = Vec::new();
        for (of, range) in ranges.iter().enumerate() {
            ids.extend(self.ids_in(range, after, back, limit)?.into_iter().map(|id| (id, of)));
        }
        ids.sort_unstable();
        if back {
            ids.reverse();
        }
        ids.truncate(limit);
        Ok(ids)
    }

    fn ids_in(
        &self,
        range: &Range,
        after: Option<u64>,
        back: bool,
        limit: usize,
    ) -> Result<Vec<u64>, ReadError> {
        let place = |id: u64| [range.prefix.as_slice(), &id.to_be_bytes()].concat();
        let (mut from, mut to) = keys::under(range.prefix.clone());
        if let Some(since) = range.since {
            from = place(MessageId::earliest(since).as_u64());
        }
        if let Some(until) = range.until {
            to = place(MessageId::earliest(until).as_u64());
        }
        match (after, back) {
            (Some(id), false) => from = from.max([place(id), vec![0]].concat()),
            (Some(id), true) => to = to.min(place(id)),
            (None, _) => {}
        }
        let entries = if back {
            self.state.scan_back(&from, &to, limit)?
        } else {
            self.state.scan(&from, &to, limit)?
        };
        let id = |key: &[u8]| {
            let bytes: [u8; 8] = key.get(range.prefix.len()..)?.try_into().ok()?;
            Some(u64::from_be_bytes(bytes))
        };
        Ok(entries.iter().filter_map(|(key, _)| id(key)).collect())
    }
}

fn fits(filter: &ReplyFilter, reply: &ReplyView) -> bool {
    filter.link.as_ref().is_none_or(|link| reply.link == *link)
        && filter.intent.is_none_or(|intent| reply.intent == intent)
        && filter.since.is_none_or(|since| reply.received_at >= since)
        && filter.until.is_none_or(|until| reply.received_at < until)
}
