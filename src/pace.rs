//! Pace: how fast a link may submit, in segments, and how it learns a carrier's own limit. Pure.
//!
//! A token bucket with a burst of a few milliseconds. Without a configured rate it is unlimited until the
//! carrier refuses for the first time; from then on it looks for the carrier's limit:
//! * A refusal halves the pace, once per round trip: refusals of what was sent before the last cut do not count.
//! * Between two cuts the carrier's bucket went from empty to empty, so what it accepted in that time *is*
//!   its limit. That is the ceiling. Where the first cut says nothing, the pace doubles until the second.
//! * Below the ceiling the pace grows by a straight line, and stops just under it; from there it probes,
//!   the longer nothing is refused the bolder, so that a carrier that became faster is found again.
//!
//! A configured [`Rate`] is never exceeded.

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

/// The token bucket and what it has learnt.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Segments a second; `None` = unlimited.
    configured: Option<f64>,
    learnt: Learnt,
    tokens: f64,
    filled_at: Instant,
    measure: Measure,
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
        self.last = now;
        self.accepted = self.accepted.saturating_add(1);
    }

    /// Segments a second, where enough was seen.
    fn per_second(&self, now: Instant) -> Option<f64> {
        let time = now.saturating_duration_since(self.since);
        let enough = self.accepted >= MEASURE_SEGMENTS && time >= MEASURE_TIME;
        enough.then(|| f64::from(self.accepted) / time.as_secs_f64())
    }
}

impl Pace {
    pub fn new(configured: Option<Rate>, now: Instant) -> Pace {
        Pace {
            configured: configured.map(Rate::per_second),
            learnt: Learnt::Nothing,
            tokens: 1.0,
            filled_at: now,
            measure: Measure::new(now),
        }
    }

    /// Segments a second allowed now; `None` = unlimited.
    pub fn per_second(&self) -> Option<f64> {
        let learnt = match self.learnt {
            Learnt::Nothing => return self.configured,
            Learnt::Searching { pace, .. } | Learnt::Ceiling { pace, .. } => pace,
        };
        Some(self.configured.map_or(learnt, |limit| limit.min(learnt)))
    }

    /// Takes the token of one segment, if there is one.
    pub fn take(&mut self, now: Instant) -> bool {
        self.grow(now);
        let Some(pace) = self.per_second() else {
            self.filled_at = now;
            return true;
        };
        let passed = now.saturating_duration_since(self.filled_at).as_secs_f64();
        let burst = 1.0 + pace * BURST.as_secs_f64();
        self.tokens = (self.tokens + passed * pace).min(burst);
        self.filled_at = now;
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }

    /// When [`Pace::take`] will succeed, if the pace stays as it is.
    pub fn ready_at(&self) -> Instant {
        let wait = self.per_second().map_or(0.0, |pace| (1.0 - self.tokens).max(0.0) / pace);
        // A microsecond more, so that rounding never wakes a sleeper just too early.
        self.filled_at + Duration::from_secs_f64(wait) + Duration::from_micros(1)
    }

    /// A segment was accepted.
    pub fn accepted(&mut self, now: Instant) {
        self.measure.accept(now);
    }

    /// A segment written at `sent_at` was refused for coming too fast.
    pub fn throttled(&mut self, sent_at: Instant, now: Instant) {
        self.grow(now);
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
        self.tokens = 0.0;
        self.filled_at = now;
    }

    /// Lets the pace grow by the time since it was last asked.
    fn grow(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.filled_at).as_secs_f64();
        match &mut self.learnt {
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
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// A carrier that allows `rate` a second with a bucket of `burst` and answers after `rtt`.
    struct Carrier {
        rate: f64,
        burst: f64,
        tokens: f64,
        at: Instant,
    }

    impl Carrier {
        fn takes(&mut self, now: Instant) -> bool {
            let passed = now.saturating_duration_since(self.at).as_secs_f64();
            self.tokens = (self.tokens + passed * self.rate).min(self.burst);
            self.at = now;
            let taken = self.tokens >= 1.0;
            if taken {
                self.tokens -= 1.0;
            }
            taken
        }
    }

    /// Sends `count` through a window; gives the seconds it took and the refusals.
    fn send(count: u32, window: usize, rtt: Duration, rate: f64, burst: f64) -> (f64, u32) {
        let start = Instant::now();
        let mut carrier = Carrier { rate, burst, tokens: burst, at: start };
        let mut pace = Pace::new(None, start);
        let (mut now, mut left, mut refused) = (start, count, 0);
        let mut in_flight: VecDeque<(Instant, Instant, bool)> = VecDeque::new();
        while left > 0 || !in_flight.is_empty() {
            while let Some(&(answer_at, sent_at, taken)) = in_flight.front().filter(|f| f.0 <= now) {
                in_flight.pop_front();
                assert!(answer_at <= now);
                if taken {
                    pace.accepted(now);
                } else {
                    pace.throttled(sent_at, now);
                    refused += 1;
                    left += 1;
                }
            }
            while left > 0 && in_flight.len() < window && pace.take(now) {
                left -= 1;
                in_flight.push_back((now + rtt, now, carrier.takes(now)));
            }
            now += Duration::from_micros(500);
        }
        ((now - start).as_secs_f64(), refused)
    }

    #[test]
    fn a_smooth_limit_is_found_without_configuration() {
        // A carrier without a bucket (burst 1) loses whatever comes a moment too late: 10 s are out of reach.
        for (burst, limit) in [(1.0, 14.0), (5.0, 11.0), (10.0, 11.0), (100.0, 10.0)] {
            for (window, rtt) in [(10, 1), (10, 20), (64, 5), (64, 100)] {
                let case = format!("burst {burst}, window {window}, {rtt} ms");
                let (seconds, refused) = send(1_000, window, Duration::from_millis(rtt), 100.0, burst);
                assert!(seconds < limit, "{case}: {seconds} s");
                assert!(refused < 30 + window as u32, "{case}: {refused} refused");
            }
        }
    }

    #[test]
    fn limits_of_other_sizes_are_found_too() {
        for rate in [5.0, 1_000.0] {
            let count = rate as u32 * 20;
            let (seconds, refused) = send(count, 50, Duration::from_millis(10), rate, rate / 10.0 + 1.0);
            assert!(seconds < 25.0, "{rate}/s took {seconds} s instead of 20");
            assert!(refused < 50 + count / 10, "{rate}/s: {refused} refused");
        }
    }

    #[test]
    fn a_carrier_that_was_closed_for_two_seconds_is_soon_used_in_full_again() {
        let (start, step, rtt) = (Instant::now(), Duration::from_micros(500), Duration::from_millis(20));
        let open_at = start + Duration::from_secs(2);
        let mut carrier = Carrier { rate: 100.0, burst: 10.0, tokens: 10.0, at: open_at };
        let mut pace = Pace::new(None, start);
        let (mut now, mut left) = (start, 1_000);
        let mut in_flight: VecDeque<(Instant, bool)> = VecDeque::new();
        while left > 0 {
            while let Some(&(sent_at, taken)) = in_flight.front().filter(|f| f.0 + rtt <= now) {
                in_flight.pop_front();
                if taken {
                    pace.accepted(now)
                } else {
                    pace.throttled(sent_at, now)
                }
                left -= u32::from(taken);
            }
            while in_flight.len() < 8 && pace.take(now) {
                let taken = now >= open_at && carrier.takes(now);
                in_flight.push_back((now, taken));
            }
            now += step;
        }
        // Ten seconds at the carrier's rate, and as many again to find it.
        let seconds = (now - open_at).as_secs_f64();
        assert!(seconds < 20.0, "{seconds} s");
    }

    #[test]
    fn a_configured_rate_is_never_exceeded() {
        let start = Instant::now();
        let mut pace = Pace::new(Some(Rate { segments: 50, per: Duration::from_secs(1) }), start);
        let taken = (0..4_000).filter(|ms| pace.take(start + Duration::from_millis(*ms))).count();
        assert!((199..=201).contains(&taken), "{taken} in 4 s at 50/s");
    }

    #[test]
    fn without_rate_and_refusal_nothing_waits() {
        let start = Instant::now();
        let mut pace = Pace::new(None, start);
        assert!((0..10_000).all(|_| pace.take(start)));
        assert_eq!(pace.per_second(), None);
    }

    #[test]
    fn one_round_trip_of_refusals_is_one_cut() {
        let start = Instant::now();
        let mut pace = Pace::new(Some(Rate { segments: 100, per: Duration::from_secs(1) }), start);
        let later = start + Duration::from_millis(20);
        pace.throttled(start, later);
        let once = pace.per_second();
        pace.throttled(start, later);
        assert_eq!(pace.per_second(), once);
    }

    #[test]
    fn a_token_is_there_when_it_was_promised() {
        let start = Instant::now();
        let mut pace = Pace::new(Some(Rate { segments: 7, per: Duration::from_secs(60) }), start);
        assert!(pace.take(start));
        assert!(!pace.take(start));
        let ready = pace.ready_at();
        assert!(pace.take(ready));
    }
}
