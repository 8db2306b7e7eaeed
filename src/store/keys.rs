//! Every key in the store, drawn byte by byte. Integers are big endian, so keys sort as what they mean.
//!
//! ```text
//! b | id 8                                             body of a message, written once
//! h | id 8                                             head; absent = as accepted
//! l | lane 4 | 9-priority 1 | due ms 8 | id 8          due index, 0 = at once; value: what dispatch needs (LaneEntry)
//! d | recipient 8 | id 8                               chain of a recipient; value: digest of the text
//! w | recipient 8 | id 8                               begun and waiting for a retry: later ones wait too
//! x | lease 8                                          one lease of a batch of segments
//! r | account hash 4 | day 4 | reference hash 8 | id 8 | index 1    receipts awaited, dropped by day
//! u | id 8                                             unknown, its own short list
//! k | token hash 8 | key hash 16                       idempotency
//! f | client_ref hash 16                               unique_ref
//! a | batch 8 | n 4                                    ids of a batch
//! i | id 8                                             replies, with their segments as they came
//! m | party 9 | id 8                                   replies of a party; value: nothing
//! y | group 8 | number 1                               segments of long replies that are not whole yet
//! j | digest 16                                        inbound PDUs that may come again; value: when it came
//! o | party 9                                          who wants no messages
//! q | party 9                                          who may not want any, until a person says so
//! t | recipient 8                                      who was told of an opt-out; value: when
//! e | time ms 8 | n 4                                  receipts that matched nothing yet
//! s | number 8 | link hash 8                           links that wrote to a number; value: the period it counts in
//! v | webhook hash 8 | 0                               how far a webhook is
//! v | webhook hash 8 | 1 | event 8                     events it did not take within a day
//! c | name                                             counters, allotter, pauses: one record each
//!
//! C | contact 8                                        a contact
//! X | external id hash 16                              contact of the firm's id
//! N | number 8                                         a phone: whose it is, what went to it, what it said
//! A | external id hash 16 | creditor hash 8            an account
//! O | obligation 8                                     an obligation with its enrolment and steps
//! E | external id hash 16 | creditor hash 8            obligation of the firm's id
//! B | contact 8 | obligation 8                         obligations of a contact; value: nothing
//! T | kind 1 | due ms 8 | id 8                         when the core must look at what; value: nothing
//! S | external id hash 16                              a subscription
//! K | number 8 | id 8                                  consent events of a phone
//! G | obligation 8 | id 8                              what became of an obligation, beside its steps
//! J | task 8                                           a task
//! U | task 8                                           tasks that are not done; value: nothing
//! P | kind 1 | key, and version 4 for sequences        what the firm set up
//! Z | token 8                                          the obligation behind a payment link
//! R | party 9                                          the task that a party's replies wait for
//! F | firing 8                                         a rule at work on one event, and the text it became
//! Q | obligation 8 | rule                              what a rule remembers of an obligation
//! L | what 1 | kind 1 | number or contact 8            what is still to be done along obligations, and where it goes on
//! ```
//! A party is a whole number (0, then its digits) or the tail of numbers (1, then the digits).

/// First byte of each family.
pub mod family {
    pub const BODY: u8 = b'b';
    pub const HEAD: u8 = b'h';
    pub const LANE: u8 = b'l';
    pub const CHAIN: u8 = b'd';
    pub const BEGUN: u8 = b'w';
    pub const LEASE: u8 = b'x';
    pub const RECEIPT: u8 = b'r';
    pub const UNKNOWN: u8 = b'u';
    pub const IDEMPOTENCY: u8 = b'k';
    pub const UNIQUE_REF: u8 = b'f';
    pub const BATCH: u8 = b'a';
    pub const INBOUND: u8 = b'i';
    pub const PARTY: u8 = b'm';
    pub const PENDING: u8 = b'y';
    pub const REPEAT: u8 = b'j';
    pub const OPT_OUT: u8 = b'o';
    pub const HOLD: u8 = b'q';
    pub const CONFIRMED: u8 = b't';
    pub const ORPHAN: u8 = b'e';
    pub const WROTE_TO: u8 = b's';
    pub const WEBHOOK: u8 = b'v';
    pub const CORE: u8 = b'c';

    pub const CONTACT: u8 = b'C';
    pub const CONTACT_ID: u8 = b'X';
    pub const PHONE: u8 = b'N';
    pub const ACCOUNT: u8 = b'A';
    pub const OBLIGATION: u8 = b'O';
    pub const OBLIGATION_ID: u8 = b'E';
    pub const OF_CONTACT: u8 = b'B';
    pub const TIMER: u8 = b'T';
    pub const SUBSCRIPTION: u8 = b'S';
    pub const CONSENT: u8 = b'K';
    pub const HISTORY: u8 = b'G';
    pub const TASK: u8 = b'J';
    pub const OPEN_TASK: u8 = b'U';
    pub const SET_UP: u8 = b'P';
    pub const TOKEN: u8 = b'Z';
    pub const REVIEW: u8 = b'R';
    pub const FIRING: u8 = b'F';
    pub const RULE_NOTE: u8 = b'Q';
    pub const ERRAND: u8 = b'L';
}

use crate::clock::Timestamp;
use crate::id::{BatchId, ContactId, InboundId, MessageId, ObligationId, TaskId};
use crate::message::body::AT_ONCE;
use crate::message::{Msisdn, Priority};
use crate::reminder::enrolment::TimerKind;
use crate::reminder::name::{ExternalId, Key};
use crate::reminder::suppression::{Party, Tail};

fn key(family: u8, fields: &[&[u8]]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + fields.iter().map(|f| f.len()).sum::<usize>());
    key.push(family);
    for field in fields {
        key.extend_from_slice(field);
    }
    key
}

/// The whole of a family, as a range for [`super::Read::scan`].
pub fn all(family: u8) -> (Vec<u8>, Vec<u8>) {
    (vec![family], vec![family + 1])
}

/// All keys that begin with `prefix`.
pub fn under(prefix: Vec<u8>) -> (Vec<u8>, Vec<u8>) {
    let mut end = prefix.clone();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            break;
        }
    }
    (prefix, end)
}

pub fn body(id: MessageId) -> Vec<u8> {
    key(family::BODY, &[&id.as_u64().to_be_bytes()])
}

pub fn head(id: MessageId) -> Vec<u8> {
    key(family::HEAD, &[&id.as_u64().to_be_bytes()])
}

/// Place of a message in its lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneKey {
    pub lane: u32,
    /// 9 minus the priority, so that 9 sorts first.
    pub rank: u8,
    pub due: Timestamp,
    pub id: MessageId,
}

impl LaneKey {
    pub fn new(lane: u32, priority: Priority, due: Timestamp, id: MessageId) -> LaneKey {
        LaneKey { lane, rank: Priority::LEVELS - 1 - priority.get(), due, id }
    }

    /// Since when it may go, as an order among those that may.
    pub fn due_since(&self) -> Timestamp {
        if self.due == AT_ONCE { self.id.allotted_at() } else { self.due }
    }

    pub fn encode(&self) -> Vec<u8> {
        let (due, id) = (self.due.as_millis().to_be_bytes(), self.id.as_u64().to_be_bytes());
        key(family::LANE, &[&self.lane.to_be_bytes(), &[self.rank], &due, &id])
    }

    pub fn decode(bytes: &[u8]) -> Option<LaneKey> {
        let (&first, rest) = bytes.split_first()?;
        let rest: &[u8; 21] = rest.try_into().ok()?;
        (first == family::LANE).then(|| LaneKey {
            lane: u32::from_be_bytes([rest[0], rest[1], rest[2], rest[3]]),
            rank: rest[4],
            due: Timestamp::from_millis(be64(&rest[5..13])),
            id: MessageId::from_u64(be64(&rest[13..21])),
        })
    }
}

/// Where a lane begins; also the prefix of all of it.
pub fn lane_start(lane: u32) -> Vec<u8> {
    key(family::LANE, &[&lane.to_be_bytes()])
}

/// Prefix of one lane and rank.
pub fn lane_rank(lane: u32, rank: u8) -> Vec<u8> {
    key(family::LANE, &[&lane.to_be_bytes(), &[rank]])
}

pub fn chain(recipient: Msisdn, id: MessageId) -> Vec<u8> {
    key(family::CHAIN, &[&recipient.as_u64().to_be_bytes(), &id.as_u64().to_be_bytes()])
}

/// Prefix of a recipient's chain.
pub fn chain_of(recipient: Msisdn) -> Vec<u8> {
    key(family::CHAIN, &[&recipient.as_u64().to_be_bytes()])
}

pub fn begun(recipient: Msisdn, id: MessageId) -> Vec<u8> {
    key(family::BEGUN, &[&recipient.as_u64().to_be_bytes(), &id.as_u64().to_be_bytes()])
}

/// Recipient and id out of a `d` or `w` key.
pub fn decode_recipient_id(bytes: &[u8]) -> Option<(Msisdn, MessageId)> {
    let rest: &[u8; 16] = bytes.get(1..)?.try_into().ok()?;
    Some((Msisdn::from_u64(be64(&rest[..8])), MessageId::from_u64(be64(&rest[8..]))))
}

pub fn lease(lease: u64) -> Vec<u8> {
    key(family::LEASE, &[&lease.to_be_bytes()])
}

pub fn receipt(account: u32, day: u32, reference: u64, id: MessageId, index: u8) -> Vec<u8> {
    let (reference, id) = (reference.to_be_bytes(), id.as_u64().to_be_bytes());
    key(family::RECEIPT, &[&account.to_be_bytes(), &day.to_be_bytes(), &reference, &id, &[index]])
}

/// Prefix of everything awaited under one reference on one day.
pub fn receipt_of(account: u32, day: u32, reference: u64) -> Vec<u8> {
    key(family::RECEIPT, &[&account.to_be_bytes(), &day.to_be_bytes(), &reference.to_be_bytes()])
}

/// The day in an `r` key.
pub fn receipt_day_of(bytes: &[u8]) -> Option<u32> {
    let day: &[u8; 4] = bytes.get(5..9)?.try_into().ok()?;
    Some(u32::from_be_bytes(*day))
}

/// Message and segment out of an `r` key.
pub fn decode_receipt(bytes: &[u8]) -> Option<(MessageId, u8)> {
    let rest: &[u8; 9] = bytes.get(17..)?.try_into().ok()?;
    Some((MessageId::from_u64(be64(&rest[..8])), rest[8]))
}

pub fn unknown(id: MessageId) -> Vec<u8> {
    key(family::UNKNOWN, &[&id.as_u64().to_be_bytes()])
}

pub fn idempotency(token: u64, digest: &[u8; 16]) -> Vec<u8> {
    key(family::IDEMPOTENCY, &[&token.to_be_bytes(), digest])
}

pub fn unique_ref(digest: &[u8; 16]) -> Vec<u8> {
    key(family::UNIQUE_REF, &[digest])
}

pub fn batch(batch: BatchId, n: u32) -> Vec<u8> {
    key(family::BATCH, &[&batch.as_u64().to_be_bytes(), &n.to_be_bytes()])
}

/// Prefix of a batch.
pub fn batch_of(batch: BatchId) -> Vec<u8> {
    key(family::BATCH, &[&batch.as_u64().to_be_bytes()])
}

pub fn inbound(id: InboundId) -> Vec<u8> {
    key(family::INBOUND, &[&id.as_u64().to_be_bytes()])
}

fn party_bytes(party: Party) -> [u8; 9] {
    let (kind, digits) = match party {
        Party::Number(number) => (0, number.as_u64()),
        Party::Tail(tail) => (1, tail.as_u64()),
    };
    let mut bytes = [kind; 9];
    bytes[1..].copy_from_slice(&digits.to_be_bytes());
    bytes
}

pub fn reply_of(party: Party, id: InboundId) -> Vec<u8> {
    key(family::PARTY, &[&party_bytes(party), &id.as_u64().to_be_bytes()])
}

/// Prefix of a party's replies.
pub fn replies_of(party: Party) -> Vec<u8> {
    key(family::PARTY, &[&party_bytes(party)])
}

pub fn pending(group: u64, number: u8) -> Vec<u8> {
    key(family::PENDING, &[&group.to_be_bytes(), &[number]])
}

/// Group and number in a `y` key.
pub fn decode_pending(bytes: &[u8]) -> Option<(u64, u8)> {
    let rest: &[u8; 9] = bytes.get(1..)?.try_into().ok()?;
    Some((be64(&rest[..8]), rest[8]))
}

pub fn repeat(digest: &[u8; 16]) -> Vec<u8> {
    key(family::REPEAT, &[digest])
}

pub fn opt_out(party: Party) -> Vec<u8> {
    key(family::OPT_OUT, &[&party_bytes(party)])
}

pub fn hold(party: Party) -> Vec<u8> {
    key(family::HOLD, &[&party_bytes(party)])
}

/// The task that replies of a party wait for.
pub fn review_of(party: Party) -> Vec<u8> {
    key(family::REVIEW, &[&party_bytes(party)])
}

/// The party in an `o` or `q` key.
pub fn decode_party(bytes: &[u8]) -> Option<Party> {
    let rest: &[u8; 9] = bytes.get(1..)?.try_into().ok()?;
    let digits = be64(&rest[1..]);
    match rest[0] {
        0 => Some(Party::Number(Msisdn::from_u64(digits))),
        1 => Some(Party::Tail(Tail::from_u64(digits))),
        _ => None,
    }
}

pub fn confirmed(to: Msisdn) -> Vec<u8> {
    key(family::CONFIRMED, &[&to.as_u64().to_be_bytes()])
}

pub fn orphan(at: Timestamp, n: u32) -> Vec<u8> {
    key(family::ORPHAN, &[&at.as_millis().to_be_bytes(), &n.to_be_bytes()])
}

pub fn wrote_to(number: Msisdn, link: u64) -> Vec<u8> {
    key(family::WROTE_TO, &[&number.as_u64().to_be_bytes(), &link.to_be_bytes()])
}

/// Prefix of the links that wrote to a number.
pub fn wrote_to_of(number: Msisdn) -> Vec<u8> {
    key(family::WROTE_TO, &[&number.as_u64().to_be_bytes()])
}

pub fn webhook(hash: u64) -> Vec<u8> {
    key(family::WEBHOOK, &[&hash.to_be_bytes(), &[0]])
}

pub fn dead_letter(hash: u64, event: u64) -> Vec<u8> {
    key(family::WEBHOOK, &[&hash.to_be_bytes(), &[1], &event.to_be_bytes()])
}

/// Prefix of a webhook's dead letters.
pub fn dead_letters_of(hash: u64) -> Vec<u8> {
    key(family::WEBHOOK, &[&hash.to_be_bytes(), &[1]])
}

pub fn core(name: &str) -> Vec<u8> {
    key(family::CORE, &[name.as_bytes()])
}

pub fn contact(id: ContactId) -> Vec<u8> {
    key(family::CONTACT, &[&id.as_u64().to_be_bytes()])
}

pub fn contact_id(external: &ExternalId) -> Vec<u8> {
    key(family::CONTACT_ID, &[&hash16(external.as_str())])
}

pub fn phone(number: Msisdn) -> Vec<u8> {
    key(family::PHONE, &[&number.as_u64().to_be_bytes()])
}

pub fn account(external: &ExternalId, creditor: &Key) -> Vec<u8> {
    key(family::ACCOUNT, &[&hash16(external.as_str()), &hash8(creditor.as_str())])
}

/// Prefix of all accounts of this id, of whichever creditor.
pub fn accounts_of(external: &ExternalId) -> Vec<u8> {
    key(family::ACCOUNT, &[&hash16(external.as_str())])
}

pub fn obligation(id: ObligationId) -> Vec<u8> {
    key(family::OBLIGATION, &[&id.as_u64().to_be_bytes()])
}

pub fn obligation_id(external: &ExternalId, creditor: &Key) -> Vec<u8> {
    key(family::OBLIGATION_ID, &[&hash16(external.as_str()), &hash8(creditor.as_str())])
}

/// Prefix of all obligations of this id, of whichever creditor.
pub fn obligation_ids(external: &ExternalId) -> Vec<u8> {
    key(family::OBLIGATION_ID, &[&hash16(external.as_str())])
}

pub fn of_contact(contact: ContactId, id: ObligationId) -> Vec<u8> {
    key(family::OF_CONTACT, &[&contact.as_u64().to_be_bytes(), &id.as_u64().to_be_bytes()])
}

/// Prefix of a contact's obligations.
pub fn obligations_of(contact: ContactId) -> Vec<u8> {
    key(family::OF_CONTACT, &[&contact.as_u64().to_be_bytes()])
}

/// The second id in keys made of a family byte and two ids.
pub fn decode_second(bytes: &[u8]) -> Option<u64> {
    let rest: &[u8; 16] = bytes.get(1..)?.try_into().ok()?;
    Some(be64(&rest[8..]))
}

pub fn timer(kind: TimerKind, due: Timestamp, id: u64) -> Vec<u8> {
    key(family::TIMER, &[&[kind as u8], &due.as_millis().to_be_bytes(), &id.to_be_bytes()])
}

/// Prefix of all timers of a kind.
pub fn timers(kind: TimerKind) -> Vec<u8> {
    key(family::TIMER, &[&[kind as u8]])
}

/// Due time and id in a `T` key.
pub fn decode_timer(bytes: &[u8]) -> Option<(Timestamp, u64)> {
    let rest: &[u8; 16] = bytes.get(2..)?.try_into().ok()?;
    Some((Timestamp::from_millis(be64(&rest[..8])), be64(&rest[8..])))
}

pub fn subscription(external: &ExternalId) -> Vec<u8> {
    key(family::SUBSCRIPTION, &[&hash16(external.as_str())])
}

/// The subscription of a timer, whose id is the first half of the hash.
pub fn subscriptions_from(id: u64) -> Vec<u8> {
    key(family::SUBSCRIPTION, &[&id.to_be_bytes()])
}

pub fn consent(number: Msisdn, id: u64) -> Vec<u8> {
    key(family::CONSENT, &[&number.as_u64().to_be_bytes(), &id.to_be_bytes()])
}

/// Prefix of a phone's consent events.
pub fn consents_of(number: Msisdn) -> Vec<u8> {
    key(family::CONSENT, &[&number.as_u64().to_be_bytes()])
}

pub fn history(obligation: ObligationId, id: u64) -> Vec<u8> {
    key(family::HISTORY, &[&obligation.as_u64().to_be_bytes(), &id.to_be_bytes()])
}

/// Prefix of what became of an obligation.
pub fn history_of(obligation: ObligationId) -> Vec<u8> {
    key(family::HISTORY, &[&obligation.as_u64().to_be_bytes()])
}

pub fn task(id: TaskId) -> Vec<u8> {
    key(family::TASK, &[&id.as_u64().to_be_bytes()])
}

pub fn open_task(id: TaskId) -> Vec<u8> {
    key(family::OPEN_TASK, &[&id.as_u64().to_be_bytes()])
}

/// What the firm set up: `kind` is a letter, `name` unique among its kind.
pub fn set_up(kind: u8, name: &str) -> Vec<u8> {
    key(family::SET_UP, &[&[kind], name.as_bytes()])
}

pub fn firing(id: u64) -> Vec<u8> {
    key(family::FIRING, &[&id.to_be_bytes()])
}

pub fn rule_note(obligation: ObligationId, rule: &Key) -> Vec<u8> {
    key(family::RULE_NOTE, &[&obligation.as_u64().to_be_bytes(), rule.as_str().as_bytes()])
}

pub fn token(token: u64) -> Vec<u8> {
    key(family::TOKEN, &[&token.to_be_bytes()])
}

/// What is to be done along the obligations of a number (`kind` 0) or a contact (1).
pub fn errand(what: u8, kind: u8, id: u64) -> Vec<u8> {
    key(family::ERRAND, &[&[what, kind], &id.to_be_bytes()])
}

fn hash16(text: &str) -> [u8; 16] {
    let mut hash = [0; 16];
    hash.copy_from_slice(&blake3::hash(text.as_bytes()).as_bytes()[..16]);
    hash
}

fn hash8(text: &str) -> [u8; 8] {
    let mut hash = [0; 8];
    hash.copy_from_slice(&blake3::hash(text.as_bytes()).as_bytes()[..8]);
    hash
}

/// The id in keys made of a family byte and an id.
pub fn decode_id(bytes: &[u8]) -> Option<u64> {
    let rest: &[u8; 8] = bytes.get(1..)?.try_into().ok()?;
    Some(u64::from_be_bytes(*rest))
}

fn be64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum, &b| (sum << 8) | u64::from(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lane_keys_sort_by_priority_then_due_then_id() {
        let at = |p, due, id| {
            LaneKey::new(7, Priority::new(p).unwrap(), Timestamp::from_millis(due), MessageId::from_u64(id))
        };
        let order = [at(9, 500, 1), at(4, 10, 3), at(4, 10, 4), at(4, 11, 2), at(0, 0, 0)];
        for pair in order.windows(2) {
            assert!(pair[0].encode() < pair[1].encode(), "{pair:?}");
            assert!(pair[0] < pair[1]);
        }
        assert_eq!(LaneKey::decode(&order[0].encode()), Some(order[0]));
    }

    #[test]
    fn a_prefix_range_ends_before_the_next_prefix() {
        let (from, to) = under(vec![b'r', 0xFF, 0xFF]);
        assert_eq!((from, to), (vec![b'r', 0xFF, 0xFF], vec![b's']));
    }

    #[test]
    fn ids_come_back_out_of_keys() {
        let id = MessageId::from_u64(0x0102_0304_0506_0708);
        let to = Msisdn::parse_e164("+4915112345678").unwrap();
        assert_eq!(decode_receipt(&receipt(1, 2, 3, id, 4)), Some((id, 4)));
        assert_eq!(decode_recipient_id(&chain(to, id)), Some((to, id)));
        assert_eq!(decode_id(&head(id)), Some(id.as_u64()));
    }
}
