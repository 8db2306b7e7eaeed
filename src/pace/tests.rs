//! One link and a simulated carrier; then the links of one account among themselves.

use std::collections::VecDeque;

use super::*;

/// The only link of its account.
fn alone(configured: Option<Rate>, now: Instant) -> Pace {
    Shared::new(now).link(configured, now)
}

fn per_second(segments: u32) -> Rate {
    Rate { segments, per: Duration::from_secs(1) }
}

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
    let pace = alone(None, start);
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
        while left > 0 && in_flight.len() < window && pace.take(now).is_ok() {
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
    let pace = alone(None, start);
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
        while in_flight.len() < 8 && pace.take(now).is_ok() {
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
    let pace = alone(Some(per_second(50)), start);
    let taken = (0..4_000).filter(|ms| pace.take(start + Duration::from_millis(*ms)).is_ok()).count();
    assert!((199..=201).contains(&taken), "{taken} in 4 s at 50/s");
}

#[test]
fn without_rate_and_refusal_nothing_waits() {
    let start = Instant::now();
    let pace = alone(None, start);
    assert!((0..10_000).all(|_| pace.take(start).is_ok()));
    assert_eq!(pace.per_second(), None);
}

#[test]
fn one_round_trip_of_refusals_is_one_cut() {
    let start = Instant::now();
    let pace = alone(Some(per_second(100)), start);
    let later = start + Duration::from_millis(20);
    pace.throttled(start, later);
    let once = pace.per_second();
    pace.throttled(start, later);
    assert_eq!(pace.per_second(), once);
}

#[test]
fn a_token_is_there_when_it_was_promised() {
    let start = Instant::now();
    let pace = alone(Some(Rate { segments: 7, per: Duration::from_secs(60) }), start);
    let ready = pace.take(start).unwrap_err();
    assert_eq!(pace.take(ready), Ok(()));
}

#[test]
fn a_program_that_starts_again_and_again_never_exceeds_a_configured_rate() {
    let start = Instant::now();
    let rate = Some(Rate { segments: 10, per: Duration::from_secs(60) });
    let sent = |life: u32| {
        let (begin, mut sent) = (start + life * Duration::from_secs(7), 0);
        let pace = alone(rate, begin);
        (0..7000).for_each(|at| sent += u32::from(pace.take(begin + ms(at)).is_ok()));
        sent
    };
    let sent: u32 = (0..60).map(sent).sum();
    assert!((1..=70).contains(&sent), "{sent} in 7 minutes at 10 a minute");
}

/// A link of an account whose limit was found to be `pace`, nothing being in the bucket.
fn paced(account: &Shared, pace: f64, now: Instant) -> Pace {
    account.lock().learnt = Learnt::Ceiling { pace, ceiling: pace, cut_at: now, probing: 0.0 };
    account.lock().bucket.tokens = 0.0;
    account.link(None, now)
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn links_take_turns_however_often_each_asks() {
    let start = Instant::now();
    let account = Shared::new(start);
    let (eager, modest) = (paced(&account, 100.0, start), account.link(None, start));
    let (mut eager_had, mut modest_had, mut ask_at) = (0, 0, start);
    for tenths in 0..100_000 {
        let now = start + Duration::from_micros(100 * tenths);
        eager_had += u32::from(eager.take(now).is_ok());
        if ask_at <= now {
            // Ten milliseconds late each time: a whole turn at this pace.
            match modest.take(now) {
                Ok(()) => modest_had += 1,
                Err(at) => ask_at = at + ms(10),
            }
        }
    }
    assert!(modest_had > 300 && eager_had > 300, "{eager_had} and {modest_had}");
}

#[test]
fn a_link_that_never_comes_back_costs_one_token() {
    let start = Instant::now();
    let account = Shared::new(start);
    let (gone, left) = (paced(&account, 100.0, start), account.link(None, start));
    let promised = gone.take(start).unwrap_err();
    let mut waits = Vec::new();
    let mut now = start;
    for _ in 0..3 {
        let at = left.take(now).unwrap_err();
        waits.push((at - now).as_secs_f64());
        now = at;
        assert_eq!(left.take(now), Ok(()));
    }
    assert!(promised < start + ms(11));
    assert!(waits[0] > 1.9 * waits[1] && waits[2] < 1.1 * waits[1], "{waits:?}");
}

#[test]
fn a_ticket_is_void_once_there_is_enough_for_all() {
    let start = Instant::now();
    let account = Shared::new(start);
    let links = [paced(&account, 100.0, start), account.link(None, start)];
    for link in &links {
        assert!(link.take(start).is_err());
    }
    let later = start + Duration::from_secs(60);
    let taken = links.iter().cycle().take(10).filter(|link| link.take(later).is_ok()).count();
    assert_eq!(taken, 1, "what a carrier sees after a pause is one burst, not one a link");
}

#[test]
fn a_cut_puts_off_what_was_promised() {
    let start = Instant::now();
    let account = Shared::new(start);
    let (one, two) = (paced(&account, 100.0, start), account.link(None, start));
    let promised = [one.take(start).unwrap_err(), two.take(start).unwrap_err()];
    one.throttled(start + ms(1), start + ms(5));
    for (link, before) in [&one, &two].into_iter().zip(promised) {
        let after = link.take(start + ms(5)).unwrap_err();
        assert!(after > before + ms(10), "{:?}", after - before);
        assert_eq!(link.take(after), Ok(()));
    }
}

#[test]
fn refusals_of_what_another_link_sent_before_the_cut_do_not_count() {
    let start = Instant::now();
    let account = Shared::new(start);
    let (one, two) = (paced(&account, 100.0, start), account.link(None, start));
    let sent_at = start + ms(20);
    assert_eq!(two.take(sent_at), Ok(()));
    // It read the clock before the other sent, and comes to the lock later.
    one.throttled(start + ms(10), start + ms(15));
    let once = one.per_second();
    two.throttled(sent_at, start + ms(40));
    assert!(two.per_second() >= once, "{:?} after {once:?}", two.per_second());
}

#[test]
fn a_pace_that_holds_nobody_back_does_not_grow() {
    let start = Instant::now();
    let pace = paced(&Shared::new(start), 100.0, start);
    for second in 1..3_600 {
        assert_eq!(pace.take(start + Duration::from_secs(second)), Ok(()));
    }
    assert_eq!(pace.per_second(), Some(100.0));
}

#[test]
fn a_rate_that_is_configured_binds_its_own_link_alone() {
    let start = Instant::now();
    let account = Shared::new(start);
    let (slow, free) = (account.link(Some(per_second(10)), start), account.link(None, start));
    assert!(slow.take(start).is_err());
    assert!((0..100).all(|_| free.take(start).is_ok()));
}

#[test]
fn a_link_that_waits_for_its_own_rate_keeps_no_token_of_the_account() {
    let start = Instant::now();
    let account = Shared::new(start);
    let (slow, free) = (account.link(Some(per_second(1)), start), paced(&account, 100.0, start));
    let first = slow.take(start).unwrap_err();
    assert_eq!(slow.take(first), Ok(()));
    assert!(slow.take(first).is_err());
    let next = free.take(first).unwrap_err();
    assert!(next - first < ms(11), "{:?}", next - first);
}
