//! The service centre: what all connections share. Who is bound, what waits for whom, how the next message
//! fares, and the counts.
//!
//! Invariant: one lock, taken for a batch of PDUs, never across an await. The counts are the SMSC's own
//! view: in flight is a message received and not yet answered on the socket.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::mail::{Mail, Mailroom, Subject};
use super::pdu::{self, Address, Query, ReceiptTlvs, Submit, status};
use super::receipt::{self, Remembered};
use super::{Cheat, Rate, SmscOptions, text};
use crate::clock::{Clock, Now, Timestamp};
use crate::id::Allotter;
use crate::sim::chance::Chance;
use crate::sim::fault::{BadFault, Fault, Kind, Plan};
use crate::sim::wire::{Line, WireLog, encode};

/// Messages that query_sm and `POST /receipt` can still name.
const MOST_REMEMBERED: usize = 100_000;
/// Ended connections whose counts `GET /stats` still shows.
const MOST_ENDED: usize = 1_000;
/// Messages that may come at once before a rate limit bites.
const BURST: f64 = 10.0;
/// A slow answer takes this many times the delay, and at least [`SLOW_LEAST`].
const SLOW_FACTOR: u32 = 10;
const SLOW_LEAST: Duration = Duration::from_secs(1);
/// A cheating SMSC cheats on the first message of every so many.
const CHEAT_EVERY: u64 = 5;

/// What all connections of one simulated SMSC share.
#[derive(Debug)]
pub struct Center {
    state: Mutex<State>,
    pub log: Option<WireLog>,
    pub clock: Clock,
    pub options: SmscOptions,
    /// Ends everything; each connection's own end hangs on it.
    pub stop: CancellationToken,
}

/// What changes while it runs; locked for a moment at a time, never across an await.
#[derive(Debug)]
pub struct State {
    chance: Chance,
    plan: Plan,
    ids: Allotter,
    bucket: Option<Bucket>,
    pub holding: bool,
    hangup: CancellationToken,
    pub mail: Mailroom,
    /// The account that bound to receive last.
    receiver: Option<String>,
    sessions: BTreeMap<u64, Session>,
    remembered: HashMap<u64, Remembered>,
    remembered_order: VecDeque<u64>,
    stats: Stats,
}

#[derive(Debug)]
struct Session {
    wake: Arc<Notify>,
    /// The account whose mail it takes.
    receives: Option<String>,
}

/// How the next message fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Take { delay: Duration, ending: Ending, cheat: Option<Cheat> },
    Refuse { delay: Duration, status: u32 },
    HangUp,
}

/// What a taken message gets for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Answer,
    Silence,
    Garbage,
    Drop,
}

/// A message about to be remembered.
#[derive(Debug, Clone, Copy)]
pub struct Taking<'a> {
    pub submit: &'a Submit,
    pub text: &'a str,
    pub account: &'a str,
    /// From now until its answer is due.
    pub answered: Duration,
    /// How often each receipt is sent: twice by an SMSC that doubles.
    pub copies: usize,
}

#[derive(Debug, Default, Serialize)]
struct Stats {
    received: u64,
    answered: u64,
    in_flight: u64,
    most_in_flight: u64,
    /// By the status of the answer, `none` for no answer.
    per_status: BTreeMap<String, u64>,
    connections_total: u64,
    /// deliver_sm answered with status 0, and with another.
    delivered: u64,
    delivery_refused: u64,
    receipts_asked: u64,
    connections: BTreeMap<u64, ConnStats>,
}

#[derive(Debug, Default, Serialize)]
struct ConnStats {
    conn: u64,
    open: bool,
    peer: String,
    system_id: Option<String>,
    bind: Option<String>,
    received: u64,
    answered: u64,
    in_flight: u64,
    most_in_flight: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum BadRequest {
    #[error("no client has bound to receive yet")]
    NobodyToReceive,
    #[error("no message of the last {MOST_REMEMBERED} has this message_id")]
    UnknownMessage,
    #[error("text: {0}")]
    Text(#[from] text::Unwritable),
}

impl Center {
    pub fn new(options: SmscOptions, log: Option<WireLog>, clock: Clock) -> Result<Center, BadFault> {
        let mut plan = Plan::default();
        for fault in &options.faults {
            plan.add_for_smsc(*fault)?;
        }
        let (now, stop) = (clock.now(), CancellationToken::new());
        let state = State {
            chance: Chance::seeded(options.seed),
            plan,
            ids: Allotter::default(),
            bucket: options.rate.map(|rate| Bucket::full(rate, now.mono)),
            holding: options.hold,
            hangup: stop.child_token(),
            mail: Mailroom::default(),
            receiver: None,
            sessions: BTreeMap::new(),
            remembered: HashMap::new(),
            remembered_order: VecDeque::new(),
            stats: Stats::default(),
        };
        Ok(Center { state: Mutex::new(state), log, clock, options, stop })
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands lines to the kernel; after it a message may be answered.
    pub fn write_log(&self, lines: &[u8]) -> io::Result<()> {
        self.log.as_ref().map_or(Ok(()), |log| log.append(lines))
    }

    /// Adds a line to a batch, where there is a log.
    pub fn line(&self, lines: &mut Vec<u8>, line: &Line<'_>) -> io::Result<()> {
        if self.log.is_some() { encode(line, lines) } else { Ok(()) }
    }

    /// How the next message fares: faults first, then the rate.
    pub fn judge(&self, state: &mut State, now: Instant) -> Verdict {
        let count = state.stats.received;
        let delay = state.chance.within(self.options.delay);
        let refuse = |status| Verdict::Refuse { delay, status };
        let take = |delay, ending| Verdict::Take { delay, ending, cheat: None };
        match state.plan.next(&mut state.chance) {
            Some(Kind::Throttle) => return refuse(status::THROTTLED),
            Some(Kind::QueueFull) => return refuse(status::QUEUE_FULL),
            Some(Kind::Reject(chosen)) => return refuse(chosen.unwrap_or(status::INVALID_DESTINATION)),
            Some(Kind::Hangup) => return Verdict::HangUp,
            Some(Kind::NoAnswer) => return take(delay, Ending::Silence),
            Some(Kind::Garbage) => return take(delay, Ending::Garbage),
            Some(Kind::DropAfterSubmit) => return take(delay, Ending::Drop),
            Some(Kind::Slow) => return take((delay * SLOW_FACTOR).max(SLOW_LEAST), Ending::Answer),
            // The plan holds no fault that only modems commit.
            Some(
                Kind::Reboot
                | Kind::SimFull
                | Kind::Cms500
                | Kind::UrcFlood
                | Kind::Late(_)
                | Kind::CdsiTrap
                | Kind::NoPrompt,
            )
            | None => {}
        }
        if state.bucket.as_mut().is_some_and(|bucket| !bucket.take(now)) {
            return refuse(status::THROTTLED);
        }
        let cheat = self.options.cheat.filter(|_| count % CHEAT_EVERY == 1);
        Verdict::Take { delay, ending: Ending::Answer, cheat }
    }

    /// Remembers a message that was taken and plans its receipts.
    pub fn remember(&self, state: &mut State, taken: &Taking<'_>, now: Now) -> u64 {
        let Taking { submit, text, account, answered, copies } = *taken;
        let id = state.ids.next(now.wall);
        let asked = submit.registered_delivery & 0x03 != 0;
        let notices = self.options.receipts.notices(state.stats.receipts_asked);
        state.stats.receipts_asked += u64::from(asked);
        let message = Remembered {
            id,
            account: account.to_owned(),
            source: submit.source.clone(),
            dest: submit.dest.clone(),
            user_message_reference: submit.user_message_reference,
            registered_delivery: submit.registered_delivery,
            beginning: receipt::beginning(text),
            at: now.wall,
            state: receipt::final_state(notices),
            done: now.wall.saturating_add(answered + receipt::last_after(notices)),
        };
        if asked {
            for (after, mail) in message.receipts(notices, answered, now.wall) {
                for _ in 0..copies {
                    state.mail.post(account, now.mono + after, mail.clone());
                }
            }
        }
        state.keep(message);
        id
    }

    /// Queues a reply for the account that bound to receive last, of those still bound if there are any;
    /// returns its segments.
    pub fn reply(&self, from: &str, to: &str, text: &str, now: Instant) -> Result<u8, BadRequest> {
        let mut state = self.lock();
        let bound = state.sessions.values().rev().find_map(|session| session.receives.clone());
        let only = || self.options.login.as_ref().map(|login| login.system_id.clone());
        let account = bound.or_else(|| state.receiver.clone()).or_else(only);
        let account = account.ok_or(BadRequest::NobodyToReceive)?;
        let (from, to) = (Address::from_text(from), Address::from_text(to));
        let written = text::encode(text)?;
        // The segmenter gives at most 255.
        let total = written.segments.len() as u8;
        let reference = state.chance.below(256) as u8;
        for (place, octets) in written.segments.iter().enumerate() {
            let (esm_class, message) = if total == 1 {
                (0, octets.clone())
            } else {
                let udh = [5, 0, 3, reference, total, place as u8 + 1];
                (0x40, [&udh[..], octets].concat())
            };
            let tlvs = ReceiptTlvs::default();
            let body = pdu::deliver_body(&from, &to, esm_class, written.data_coding, &message, &tlvs);
            let mail = Mail::new(&from, &to, text.to_owned(), body, Subject::Reply);
            state.mail.post(&account, now, mail);
        }
        state.wake(&account);
        Ok(total)
    }

    /// Queues one more receipt for a message this SMSC took; from now on query_sm says the same.
    pub fn receipt(&self, message_id: &str, stat: &str, err: &str, now: Now) -> Result<(), BadRequest> {
        let mut state = self.lock();
        let message = message_id.parse().ok().and_then(|id: u64| state.remembered.get_mut(&id));
        let message = message.ok_or(BadRequest::UnknownMessage)?;
        message.is_told(stat, now.wall);
        let (account, mail) = (message.account.clone(), message.receipt_of(stat, err, now.wall));
        state.mail.post(&account, now.mono, mail);
        state.wake(&account);
        Ok(())
    }

    pub fn plan(&self, fault: Fault) -> Result<(), BadFault> {
        self.lock().plan.add_for_smsc(fault)
    }

    pub fn hold(&self) {
        self.lock().holding = true;
    }

    /// Lets go what was held, and holds no more.
    pub fn release(&self) {
        let mut state = self.lock();
        state.holding = false;
        for session in state.sessions.values() {
            session.wake.notify_one();
        }
    }

    /// Ends every connection of this moment.
    pub fn hang_up(&self) {
        std::mem::replace(&mut self.lock().hangup, self.stop.child_token()).cancel();
    }

    /// The counts as JSON.
    pub fn stats(&self) -> serde_json::Result<Vec<u8>> {
        let state = self.lock();
        let mut json = serde_json::to_value(&state.stats)?;
        json["connections"] =
            state.stats.connections.values().map(serde_json::to_value).collect::<Result<_, _>>()?;
        json["mail_waiting"] = state.mail.waiting().into();
        json["mail_lost"] = state.mail.lost().into();
        json["holding"] = state.holding.into();
        serde_json::to_vec(&json)
    }
}

impl State {
    /// A new connection: its number, and what ends it.
    pub fn open(&mut self, peer: String, wake: Arc<Notify>) -> (u64, CancellationToken) {
        self.stats.connections_total += 1;
        let conn = self.stats.connections_total;
        self.sessions.insert(conn, Session { wake, receives: None });
        self.stats.connections.insert(conn, ConnStats { conn, open: true, peer, ..ConnStats::default() });
        (conn, self.hangup.clone())
    }

    pub fn connections(&self) -> usize {
        self.sessions.len()
    }

    pub fn bound(&mut self, conn: u64, system_id: &str, bind: &str, receives: bool) {
        if let Some(stats) = self.stats.connections.get_mut(&conn) {
            stats.system_id = Some(system_id.to_owned());
            stats.bind = Some(bind.to_owned());
        }
        if receives {
            self.receiver = Some(system_id.to_owned());
            if let Some(session) = self.sessions.get_mut(&conn) {
                session.receives = Some(system_id.to_owned());
            }
        }
    }

    /// The session takes no more mail.
    pub fn unbound(&mut self, conn: u64) {
        if let Some(session) = self.sessions.get_mut(&conn) {
            session.receives = None;
        }
    }

    /// The connection is gone; its unanswered messages are in flight no more.
    pub fn close(&mut self, conn: u64) {
        self.sessions.remove(&conn);
        if let Some(stats) = self.stats.connections.get_mut(&conn) {
            self.stats.in_flight -= std::mem::take(&mut stats.in_flight);
            stats.open = false;
        }
        if self.stats.connections.len() - self.sessions.len() > MOST_ENDED {
            let oldest = self.stats.connections.values().find(|stats| !stats.open).map(|stats| stats.conn);
            if let Some(conn) = oldest {
                self.stats.connections.remove(&conn);
            }
        }
    }

    pub fn received(&mut self, conn: u64) {
        self.stats.received += 1;
        self.stats.in_flight += 1;
        self.stats.most_in_flight = self.stats.most_in_flight.max(self.stats.in_flight);
        if let Some(stats) = self.stats.connections.get_mut(&conn) {
            stats.received += 1;
            stats.in_flight += 1;
            stats.most_in_flight = stats.most_in_flight.max(stats.in_flight);
        }
    }

    /// Counts the status decided for a message, `None` for silence.
    pub fn decided(&mut self, status: Option<u32>) {
        let name = status.map_or_else(|| "none".to_owned(), |status| format!("{status:#010x}"));
        *self.stats.per_status.entry(name).or_default() += 1;
    }

    /// `count` answers of `conn` have been written to its socket.
    pub fn answered(&mut self, conn: u64, count: u64) {
        self.stats.answered += count;
        self.stats.in_flight -= count;
        if let Some(stats) = self.stats.connections.get_mut(&conn) {
            stats.answered += count;
            stats.in_flight -= count;
        }
    }

    pub fn mail_answered(&mut self, status: u32) {
        if status == status::OK { self.stats.delivered += 1 } else { self.stats.delivery_refused += 1 }
    }

    /// Wakes every session that takes mail of `account`.
    pub fn wake(&self, account: &str) {
        for session in self.sessions.values().filter(|s| s.receives.as_deref() == Some(account)) {
            session.wake.notify_one();
        }
    }

    /// The body of a query_sm_resp, for a message of this account and sender.
    pub fn query(&self, account: &str, query: &Query, now: Timestamp) -> Option<Vec<u8>> {
        let message = self.remembered.get(&query.message_id.parse().ok()?)?;
        let own = message.account == account && message.source.digits == query.source.digits;
        let (state, final_date) = message.state_at(now);
        own.then(|| pdu::query_body(&query.message_id, &final_date, state))
    }

    fn keep(&mut self, message: Remembered) {
        if self.remembered_order.len() >= MOST_REMEMBERED
            && let Some(oldest) = self.remembered_order.pop_front()
        {
            self.remembered.remove(&oldest);
        }
        self.remembered_order.push_back(message.id);
        self.remembered.insert(message.id, message);
    }

    /// Octets no client can take for a PDU: the length they begin with is beyond any limit.
    pub fn garbage(&mut self) -> Vec<u8> {
        let mut octets: Vec<u8> = (0..4).flat_map(|_| self.chance.draw().to_be_bytes()).collect();
        octets[0] |= 0x80;
        octets
    }
}

/// A token bucket: `rate` in the long run, [`BURST`] at once.
#[derive(Debug)]
struct Bucket {
    rate: Rate,
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    fn full(rate: Rate, now: Instant) -> Bucket {
        Bucket { rate, tokens: BURST, filled: now }
    }

    fn take(&mut self, now: Instant) -> bool {
        let gained = now.saturating_duration_since(self.filled).as_secs_f64() * self.rate.per_second;
        self.tokens = (self.tokens + gained).min(BURST);
        self.filled = self.filled.max(now);
        let enough = self.tokens >= 1.0;
        if enough {
            self.tokens -= 1.0;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let start = Clock::system().now().mono;
        let mut bucket = Bucket::full(Rate { per_second: 100.0 }, start);
        let mut taken =
            |after: u64| (0..50).filter(|_| bucket.take(start + Duration::from_millis(after))).count();
        assert_eq!(taken(0), 10);
        assert_eq!(taken(5), 0);
        assert_eq!(taken(50), 5);
        assert_eq!(taken(10_000), 10);
    }
}
