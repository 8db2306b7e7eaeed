//! Pace: how fast links may submit, in segments, and how they learn a carrier's own limit. Pure but for two locks.
//!
//! A carrier limits an account, not a bind: [`Shared`] is what an account's links have learnt together, and it
//! outlives their sessions. [`Pace`] is one link's end of it, with the link's own configured [`Rate`], which is
//! never exceeded. Without one a link is unlimited until the carrier refuses for the first time; from then on
//! the links of the account look for the carrier's limit:
//! * A refusal halves the pace, once per round trip: refusals of what was sent before the last cut do not count.
//! * Between two cuts the carrier's bucket went from empty to empty, so what it accepted in that time *is*
//!   its limit. That is the ceiling. Where the first cut says nothing, the pace doubles until the second.
//! * Below the ceiling the pace grows by a straight line, and stops just under it; from there it probes,
//!   the longer nothing is refused the bolder, so that a carrier that became faster is found again. It grows
//!   only while a link waits for it: otherwise a quiet night would undo what was found.
//!
//! Each limit is a token bucket with a burst of a few milliseconds. A link that finds the account's bucket empty
//! draws a ticket: the next token is its own, and whoever asks later stands behind it. So links take turns,
//! however often each asks, and one that never comes back keeps one token from the others and no more.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// So many segments in so much time, `"50/s"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub segments: u32,
    pub per: Duration,
}

impl Rate {
    pub fn per_second(self) -> f64 {
        f64::from(self.segments) / self.per.as_secs_f64()
    }
}

/// Segments a second after a first refusal that tells nothing of the limit.
const FIRST_PACE: f64 = 20.0;
/// Never slower than this on the carrier's word alone: one segment in ten seconds.
const SLOWEST: f64 = 0.1;
/// Beyond one segment, a burst may be as long as this at the current pace: a timer that wakes late loses
/// nothing, and a carrier with no bucket at all sees hardly more than evenly spaced segments.
const BURST: Duration = Duration::from_millis(5);
/// While no ceiling is known the pace doubles in this time.
const DOUBLING: f64 = 0.2;
/// The share of a ceiling that is used without probing.
const BELOW_CEILING: f64 = 0.98;
/// From half the ceiling to all of it takes half of this many seconds.
const RECOVERY_SECONDS: f64 = 0.6;
/// The first second of probing adds this share of the pace; every further one twice as much. Of the pace and
/// not of the ceiling: after refusals that had nothing to do with speed the ceiling lies far too low.
const FIRST_PROBE: f64 = 0.01;
/// Where the search stopped short of measuring, probing begins as bold as after this many quiet seconds.
const UNMEASURED: f64 = 3.0;
/// The boldest probe, as a share of the pace a second.
const BOLDEST_PROBE: f64 = 0.5;
/// A measure of fewer accepted segments or less time is noise.
const MEASURE_SEGMENTS: u32 = 8;
const MEASURE_TIME: Duration = Duration::from_millis(200);
/// A pause of this length between two accepted segments means there was little to send: the measure begins anew.
const IDLE: Duration = Duration::from_millis(500);

/// What the links of one account share. A cheap clone.
#[derive(Clone, Debug)]
pub struct Shared(Arc<Mutex<Account>>);

/// One link's pace. A clone is the same link's: a new session goes on where the last one stopped.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Locked before `account`, never the other way round.
    own: Arc<Mutex<Own>>,
    account: Shared,
}

#[derive(Debug)]
struct Own {
    /// The configured rate and its bucket.
    limit: Option<(f64, Bucket)>,
    /// The number of the account's token that is this link's next.
    ticket: Option<u64>,
}

#[derive(Debug)]
struct Account {
    learnt: Learnt,
    /// Below zero: so many tokens are promised and not there yet.
    bucket: Bucket,
    /// The number of the last token that was given or promised.
    drawn: u64,
    /// Tickets up to this one are void: the bucket was full since, so nobody needs one.
    void: u64,
    measure: Measure,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled_at: Instant,
}

#[derive(Clone, Copy, Debug)]
enum Learnt {
    /// Never refused.
    Nothing,
    /// Refused, and the limit is not known yet.
    Searching { pace: f64, cut_at: Instant },
    /// The limit was `ceiling` when last met.
    Ceiling { pace: f64, ceiling: f64, cut_at: Instant, probing: f64 },
}

/// Segments accepted since `since`, without a long pause.
#[derive(Clone, Copy, Debug)]
struct Measure {
    since: Instant,
    last: Instant,
    accepted: u32,
}

impl Measure {
    fn new(now: Instant) -> Measure {
        Measure { since: now, last: now, accepted: 0 }
    }

    fn accept(&mut self, now: Instant) {
        if now.saturating_duration_since(self.last) > IDLE {
            *self = Measure::new(now);
        }
        self.last = self.last.max(now);
        self.accepted = self.accepted.saturating_add(1);
    }

    /// Segments a second, where enough was seen.
    fn per_second(&self, now: Instant) -> Option<f64> {
        let time = now.saturating_duration_since(self.since);
        let enough = self.accepted >= MEASURE_SEGMENTS && time >= MEASURE_TIME;
        enough.then(|| f64::from(self.accepted) / time.as_secs_f64())
    }
}

impl Shared {
    pub fn new(now: Instant) -> Shared {
        Shared(Arc::new(Mutex::new(Account {
            learnt: Learnt::Nothing,
            bucket: Bucket::new(1.0, now),
            drawn: 0,
            void: 0,
            measure: Measure::new(now),
        })))
    }

    /// One more link of this account; `configured` binds this link alone, `None` = unlimited. Its bucket
    /// begins empty: what a daemon that crashed had sent is not known here, and a restart must earn nothing.
    pub fn link(&self, configured: Option<Rate>, now: Instant) -> Pace {
        let limit = configured.map(|rate| (rate.per_second(), Bucket::new(0.0, now)));
        Pace { own: Arc::new(Mutex::new(Own { limit, ticket: None })), account: self.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, Account> {
        lock(&self.0)
    }
}

/// Nothing below panics halfway, so what a lock guards is whole whoever held it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pace {
    /// Segments a second allowed now, by the link's own rate and by what its account has learnt; `None` = unlimited.
    pub fn per_second(&self) -> Option<f64> {
        let configured = lock(&self.own).limit.as_ref().map(|(rate, _)| *rate);
        let learnt = self.account.lock().learnt.pace();
        configured.into_iter().chain(learnt).reduce(f64::min)
    }

    /// Takes the token of one segment. Error: there is none for this link, and when there will be, if the pace
    /// stays as it is.
    pub fn take(&self, now: Instant) -> Result<(), Instant> {
        let mut own = lock(&self.own);
        let Own { limit, ticket } = &mut *own;
        if let Some((rate, bucket)) = limit {
            bucket.fill(*rate, now);
            bucket.ready(bucket.tokens - 1.0, *rate)?;
        }
        self.account.lock().take(ticket, now)?;
        if let Some((_, bucket)) = limit {
            bucket.tokens -= 1.0;
        }
        Ok(())
    }

    /// A segment was accepted.
    pub fn accepted(&self, now: Instant) {
        self.account.lock().measure.accept(now);
    }

    /// A segment written at `sent_at` was refused for coming too fast.
    pub fn throttled(&self, sent_at: Instant, now: Instant) {
        self.account.lock().throttled(sent_at, now);
    }
}

impl Bucket {
    fn new(tokens: f64, now: Instant) -> Bucket {
        Bucket { tokens, filled_at: now }
    }

    /// Adds what has come since; whether the bucket ran over.
    fn fill(&mut self, pace: f64, now: Instant) -> bool {
        let room = 1.0 + pace * BURST.as_secs_f64();
        let tokens = self.tokens + self.seconds_since(now) * pace;
        self.tokens = tokens.min(room);
        self.pass(now);
        tokens > room
    }

    /// Two links read the clock one after the other and may come in the other order: time never goes back.
    fn pass(&mut self, now: Instant) {
        self.filled_at = self.filled_at.max(now);
    }

    fn seconds_since(&self, now: Instant) -> f64 {
        now.saturating_duration_since(self.filled_at).as_secs_f64()
    }

    /// Whether `tokens` are not below zero. Error: when what is missing will have come.
    fn ready(&self, tokens: f64, pace: f64) -> Result<(), Instant> {
        if tokens >= 0.0 {
            return Ok(());
        }
        // A microsecond more, so that rounding never wakes a sleeper just too early.
        Err(self.filled_at + Duration::from_secs_f64(-tokens / pace) + Duration::from_micros(1))
    }
}

impl Account {
    fn take(&mut self, ticket: &mut Option<u64>, now: Instant) -> Result<(), Instant> {
        self.pass(now);
        let Some(pace) = self.learnt.pace() else { return Ok(()) };
        let valid = ticket.take().filter(|number| *number > self.void);
        let number = valid.unwrap_or_else(|| {
            self.bucket.tokens -= 1.0;
            self.drawn += 1;
            self.drawn
        });
        let behind_it = (self.drawn - number) as f64;
        let ready = self.bucket.ready(self.bucket.tokens + behind_it, pace);
        *ticket = ready.is_err().then_some(number);
        ready
    }

    fn throttled(&mut self, sent_at: Instant, now: Instant) {
        self.pass(now);
        let now = self.bucket.filled_at;
        let measured = self.measure.per_second(now);
        self.learnt = match self.learnt {
            Learnt::Searching { cut_at, .. } | Learnt::Ceiling { cut_at, .. } if sent_at <= cut_at => return,
            Learnt::Nothing => first_cut(measured, now),
            // While doubling the carrier's bucket stood full for a time, so the measure is too low: the
            // limit lies between the last pace and half of it.
            Learnt::Searching { pace, .. } => {
                cut(pace, pace * std::f64::consts::FRAC_1_SQRT_2, UNMEASURED, now)
            }
            Learnt::Ceiling { pace, ceiling, .. } => {
                let found = measured.unwrap_or(pace.min(ceiling) * std::f64::consts::FRAC_1_SQRT_2);
                cut(pace, found, if measured.is_some() { 0.0 } else { UNMEASURED }, now)
            }
        };
        self.measure = Measure::new(now);
        // What was promised stays so, and the first of it waits for a whole token.
        self.bucket.tokens = self.bucket.tokens.min(0.0).floor();
    }

    /// Lets the bucket fill by the time since it was last asked, and the pace grow where a link waited for it: a
    /// pace that holds nobody back is not tried, and that nothing was refused then says nothing of the limit.
    fn pass(&mut self, now: Instant) {
        if self.bucket.tokens < 0.0 {
            self.learnt.grow(self.bucket.seconds_since(now));
        }
        match self.learnt.pace() {
            None => self.bucket.pass(now),
            Some(pace) => {
                if self.bucket.fill(pace, now) {
                    self.void = self.drawn;
                }
            }
        }
    }
}

impl Learnt {
    fn pace(&self) -> Option<f64> {
        match *self {
            Learnt::Nothing => None,
            Learnt::Searching { pace, .. } | Learnt::Ceiling { pace, .. } => Some(pace),
        }
    }

    /// By so many seconds, as the head of this file says.
    fn grow(&mut self, seconds: f64) {
        match self {
            Learnt::Nothing => {}
            Learnt::Searching { pace, .. } => *pace *= (seconds / DOUBLING).min(1.0).exp2(),
            Learnt::Ceiling { pace, ceiling, probing, .. } => {
                let comfortable = *ceiling * BELOW_CEILING;
                if *pace < comfortable {
                    *pace = (*pace + seconds * *ceiling / RECOVERY_SECONDS).min(comfortable);
                } else {
                    *probing += seconds.min(1.0);
                    let share = (FIRST_PROBE * probing.exp2()).min(BOLDEST_PROBE);
                    *pace += seconds.min(1.0) * share * *pace;
                }
            }
        }
    }
}

fn first_cut(measured: Option<f64>, now: Instant) -> Learnt {
    match measured {
        Some(ceiling) => cut(ceiling, ceiling, 0.0, now),
        None => Learnt::Searching { pace: FIRST_PACE, cut_at: now },
    }
}

/// Halves `pace`. What was found must lie near the pace that was refused: less means that there was little to send.
fn cut(pace: f64, found: f64, probing: f64, now: Instant) -> Learnt {
    let ceiling = found.clamp((pace / 2.0).max(SLOWEST), pace.max(SLOWEST));
    Learnt::Ceiling { pace: (ceiling / 2.0).max(SLOWEST), ceiling, cut_at: now, probing }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs some instant to begin with")]
mod tests;
