//! Registration, signal and the other things that are asked now and then (3GPP TS 27.007 sections 7.2, 7.3, 8.5).
//!
//! The link is up while one of the networks is usable; that it is not is believed only of an answer, never of an
//! announcement alone. Everything else here is asked while nothing is to be sent.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::command::{Answer, Command, SIM, fields};
use super::errors::Fault;
use super::session::{ModemSession, Purpose};
use super::urc::{Network, registration_answer};
use crate::link::{LinkEvent, Registration};

/// Signal, operator and registration; what people see is that old at most on a quiet link.
const POLL_EVERY: Duration = Duration::from_secs(60);
/// All memories are listed: an announcement that was lost costs a minute.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// Some modems drop the setting of the announcements by themselves.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(10 * 60);
/// On a link that is always busy one of these goes between two segments when it is this late.
const OVERDUE: Duration = Duration::from_secs(2 * 60);
/// Whether what was deleted is gone, and whether an announcement went by in what was not understood. While the
/// latter goes on the wait doubles each time, to that of an ordinary sweep.
const LOOK_AFTER: Duration = Duration::from_secs(2);
/// While there is no network it is asked for this often.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// A modem that finds no network for so long is set up anew.
const SEARCH_LIMIT: Duration = Duration::from_secs(180);
/// A refusal of the network is believed when it was said so often.
const DENIALS: u8 = 3;

/// Whether messages may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Not asked since the modem was set up.
    Unknown,
    Waiting {
        since: Instant,
        ask_at: Instant,
        denied: u8,
    },
    Up,
    /// Up, but something says otherwise.
    Doubted,
}

impl Standing {
    pub fn doubt(&mut self) {
        if *self == Standing::Up {
            *self = Standing::Doubted;
        }
    }

    /// A line of +CREG or +CEREG that came by itself.
    pub fn announced(&mut self, _network: Network, stat: Registration) {
        match self {
            Standing::Up if !is_usable(stat) => *self = Standing::Doubted,
            Standing::Waiting { since, ask_at, .. } if is_usable(stat) => *ask_at = *since,
            Standing::Unknown | Standing::Waiting { .. } | Standing::Up | Standing::Doubted => {}
        }
    }

    pub fn is_announced_up(self) -> bool {
        matches!(self, Standing::Up | Standing::Doubted)
    }
}

const fn is_usable(stat: Registration) -> bool {
    matches!(stat, Registration::Home | Registration::Roaming)
}

/// A question that is no part of the set-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// AT+CREG?
    Circuit,
    /// AT+CEREG?, after what AT+CREG? said.
    Packet(Option<Registration>),
    Signal,
    Operator,
    /// AT+CNMI?
    Announcements,
    /// AT+CNMI=...
    Announce(String),
}

/// What is due when.
#[derive(Debug)]
pub struct Chores {
    poll_at: Instant,
    sweep_at: Instant,
    announce_at: Instant,
    /// Something was not understood since the last sweep.
    odd: bool,
    /// How long after such a thing the memories are listed.
    odd_wait: Duration,
    pending: VecDeque<Query>,
    /// The setting of AT+CNMI that the modem took.
    pub(super) announcing: Option<String>,
}

impl Chores {
    pub fn new(now: Instant) -> Chores {
        Chores {
            poll_at: now,
            sweep_at: now + SWEEP_EVERY,
            announce_at: now + ANNOUNCE_EVERY,
            odd: false,
            odd_wait: LOOK_AFTER,
            pending: VecDeque::new(),
            announcing: None,
        }
    }

    pub fn is_overdue(&self, now: Instant) -> bool {
        now >= self.next_at() + OVERDUE || (self.odd && now >= self.sweep_at)
    }

    pub fn announce_now(&mut self, now: Instant) {
        self.announce_at = now;
    }

    pub fn look_soon(&mut self, now: Instant) {
        self.sweep_at = self.sweep_at.min(now + LOOK_AFTER);
    }

    /// Something came damaged, or did not come: an announcement may have been lost with it.
    pub fn odd(&mut self, now: Instant) {
        self.odd = true;
        self.sweep_at = self.sweep_at.min(now + self.odd_wait);
    }

    fn sweep_is_due(&mut self, now: Instant) -> bool {
        if now < self.sweep_at {
            return false;
        }
        self.sweep_at = now + SWEEP_EVERY;
        let odd = std::mem::take(&mut self.odd);
        self.odd_wait = if odd { (self.odd_wait * 2).min(SWEEP_EVERY) } else { LOOK_AFTER };
        true
    }

    fn next_at(&self) -> Instant {
        self.poll_at.min(self.sweep_at).min(self.announce_at)
    }

    fn next(&mut self, now: Instant) -> Option<Query> {
        if self.pending.is_empty() && now >= self.poll_at {
            self.poll_at = now + POLL_EVERY;
            self.pending.extend([Query::Signal, Query::Operator, Query::Circuit]);
        }
        if self.pending.is_empty() && now >= self.announce_at {
            self.announce_at = now + ANNOUNCE_EVERY;
            self.pending.push_back(Query::Announcements);
        }
        self.pending.pop_front()
    }
}

impl ModemSession {
    /// Asks for the network where that is to be known first; whether something was written.
    pub(super) fn stand(&mut self, now: Instant) -> bool {
        let asked = self.chores.pending.iter().position(|query| matches!(query, Query::Packet(_)));
        let query = match (asked.and_then(|at| self.chores.pending.remove(at)), self.standing) {
            (Some(query), _) => query,
            (None, Standing::Unknown | Standing::Doubted) => Query::Circuit,
            (None, Standing::Waiting { ask_at, .. }) if now >= ask_at => Query::Circuit,
            (None, Standing::Waiting { .. } | Standing::Up) => return false,
        };
        self.query(query, now);
        true
    }

    pub(super) fn do_chore(&mut self, now: Instant) {
        if self.sender.release_at().is_some_and(|at| now >= at) {
            return self.ask(Command::plain("AT+CMMS=0"), Purpose::Release, now);
        }
        if self.chores.sweep_is_due(now) {
            self.inbox.sweep_all();
            if self.errand(now) {
                return;
            }
        }
        if let Some(query) = self.chores.next(now) {
            self.query(query, now);
        }
    }

    pub(super) fn idle_deadline(&self) -> Option<Instant> {
        let ask_at = match self.standing {
            Standing::Waiting { ask_at, .. } => Some(ask_at),
            Standing::Unknown | Standing::Up | Standing::Doubted => None,
        };
        let send_at = self.sender.may_at().filter(|_| !self.queue.is_empty());
        let others =
            [Some(self.chores.next_at()), ask_at, send_at, self.sender.release_at(), self.inbox.again_at()];
        others.into_iter().flatten().min()
    }

    fn query(&mut self, query: Query, now: Instant) {
        let command = match &query {
            Query::Circuit => Command::query("AT+CREG?", "+CREG:"),
            Query::Packet(_) => Command::query("AT+CEREG?", "+CEREG:"),
            Query::Signal => Command::query("AT+CSQ", "+CSQ:"),
            Query::Operator => Command::query("AT+COPS?", "+COPS:").within(SIM),
            Query::Announcements => Command::query("AT+CNMI?", "+CNMI:"),
            Query::Announce(setting) => Command::plain(format!("AT+CNMI={setting}")),
        };
        self.ask(command, Purpose::Query(query), now);
    }

    pub(super) fn query_answered(&mut self, query: Query, answer: Answer, now: Instant) {
        match query {
            Query::Circuit | Query::Packet(_) if answer == Answer::Silent => {}
            Query::Circuit => match stat_of(&answer) {
                Some(stat) if is_usable(stat) => self.registered(stat),
                stat => self.chores.pending.push_front(Query::Packet(stat)),
            },
            Query::Packet(circuit) => match (circuit, stat_of(&answer)) {
                (_, Some(stat)) if is_usable(stat) => self.registered(stat),
                // It knows neither question, as old modems do.
                (None, None) => self.registered(Registration::Unknown),
                (Some(Registration::Denied), _) | (_, Some(Registration::Denied)) => {
                    self.unregistered(Registration::Denied, now);
                }
                (Some(stat), _) | (None, Some(stat)) => self.unregistered(stat, now),
            },
            Query::Signal => self.status.signal_dbm = signal_dbm(answer.value("+CSQ:").unwrap_or_default()),
            Query::Operator => {
                let name = answer.value("+COPS:").and_then(|value| fields(value).nth(2));
                self.status.operator = name.filter(|name| !name.is_empty()).map(str::to_owned);
            }
            Query::Announcements => {
                let wanted = self.chores.announcing.clone();
                let is = answer.value("+CNMI:").map(|value| value.replace(' ', ""));
                if let (Some(wanted), Some(is)) = (wanted, is)
                    && wanted != is
                {
                    self.chores.pending.push_back(Query::Announce(wanted));
                }
            }
            Query::Announce(_) => {}
        }
    }

    fn registered(&mut self, stat: Registration) {
        self.status.registration = Some(stat);
        if !self.standing.is_announced_up() {
            self.emit(LinkEvent::Up);
        }
        self.standing = Standing::Up;
    }

    fn unregistered(&mut self, stat: Registration, now: Instant) {
        self.status.registration = Some(stat);
        self.go_down(format!("no network: {}", words(stat)));
        let (since, denied) = match self.standing {
            Standing::Waiting { since, denied, .. } => (since, denied),
            Standing::Unknown | Standing::Up | Standing::Doubted => (now, 0),
        };
        let denied = if stat == Registration::Denied { denied + 1 } else { 0 };
        self.standing = Standing::Waiting { since, ask_at: now + ASK_EVERY, denied };
        if denied >= DENIALS {
            self.park(String::from("the network denies the SIM"));
        } else if now >= since + SEARCH_LIMIT {
            self.finish(format!("no network: {}", words(stat)));
        }
    }

    /// Nothing can be sent for now; all outcomes are given before that is said.
    pub(super) fn go_down(&mut self, reason: String) {
        self.unwrite(|_| true);
        if self.standing.is_announced_up() {
            self.standing = Standing::Unknown;
            self.emit(LinkEvent::Down { reason });
        }
    }
}

fn stat_of(answer: &Answer) -> Option<Registration> {
    match answer {
        Answer::Ok(lines) => lines.iter().find_map(|info| registration_answer(&info.head)),
        Answer::Failed(Fault::Cms(_) | Fault::Cme(_) | Fault::Plain) | Answer::Silent => None,
    }
}

fn words(stat: Registration) -> &'static str {
    match stat {
        Registration::Idle => "not searching",
        Registration::Home | Registration::Roaming => "registered",
        Registration::Searching => "searching",
        Registration::Denied => "denied",
        Registration::Unknown => "the modem cannot tell",
        Registration::EmergencyOnly => "emergency calls only",
    }
}

/// `<rssi>` of +CSQ (27.007 section 8.5); 99 is not known.
fn signal_dbm(value: &str) -> Option<i16> {
    let rssi: i16 = fields(value).next()?.parse().ok()?;
    (0..=31).contains(&rssi).then(|| 2 * rssi - 113)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signal_is_in_dbm_where_it_is_known() {
        for (value, dbm) in
            [("0,0", Some(-113)), ("21,99", Some(-71)), ("31", Some(-51)), ("99,99", None), ("", None)]
        {
            assert_eq!(signal_dbm(value), dbm, "{value}");
        }
    }
}
