//! The wall clock in doubt: whether what is due by date may go, because the clock that says so can be believed.
//!
//! [`ClockDoubt`] compares the wall clock with the monotonic one at every step. A wall clock that moves against
//! the other by more than [`TOLERATED`] within ten minutes was set, or the machine slept; one behind the last time
//! the store knows, or before this program was made, has lost the date. Until a person accepts it, or it was
//! steady for [`STEADY_FOR`] and is past everything it said before, what goes by its date is held. The slow
//! steering of NTP stays far below the bound, however far it leads in the end.
//!
//! Held are entries with a date (`send_at`) that nothing was ever tried of. A retry has a date too, and a head on
//! the disk ([`LaneEntry::begun`]): it goes on, and so does all that is due at once.
//!
//! [`LaneEntry::begun`]: super::lanes::LaneEntry

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Refusal;
use super::core::{Core, Work};
use super::lanes::Waiting;
use crate::clock::{Now, Timestamp};
use crate::message::TokenName;
use crate::message::body::AT_ONCE;
use crate::store::StoreError;
use crate::store::keys::{self, LaneKey};

/// How far the wall clock may move against the monotonic one within [`WINDOW_MINUTES`]: far more than NTP steers,
/// far less than what makes a text go at the wrong hour.
pub const TOLERATED: Duration = Duration::from_secs(60);
/// A clock that was set is believed after this time without another jump, by the monotonic clock.
pub const STEADY_FOR: Duration = Duration::from_secs(600);
/// Minutes kept beside the running one: together never more than ten, so that less than [`TOLERATED`] in any ten
/// minutes is never a jump.
const WINDOW_MINUTES: u64 = 9;
/// The mark goes to the disk with a step that writes anyway, when it has moved by this much.
const KEEP_EVERY: Duration = Duration::from_secs(60);
/// Name under [`keys::core`] of the highest wall time that was believed.
const MARK: &str = "clock";

/// What makes the wall clock doubtful.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It was set forward, or the machine slept.
    Forward(Duration),
    /// It was set back.
    Backward(Duration),
    /// At the start it was so far behind the last time the store knows.
    Behind(Duration),
    /// It is so far before the day this program was made.
    BeforeBuild(Duration),
}

impl Why {
    /// The word of the API and the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Why::Forward(_) => "set_forward",
            Why::Backward(_) => "set_back",
            Why::Behind(_) => "behind_the_store",
            Why::BeforeBuild(_) => "before_build",
        }
    }

    pub const fn by(self) -> Duration {
        match self {
            Why::Forward(by) | Why::Backward(by) | Why::Behind(by) | Why::BeforeBuild(by) => by,
        }
    }
}

/// A doubt as people see it; both times by the clock that is doubted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doubt {
    pub why: Why,
    pub since: Timestamp,
    /// When it ends by itself, if the clock is left alone.
    pub until: Timestamp,
}

/// What [`ClockDoubt::see`] found new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A doubt began, or began anew.
    Doubted(Doubt),
    /// It was steady for long enough.
    Settled,
}

#[derive(Clone, Copy, Debug)]
struct Begun {
    why: Why,
    since: Timestamp,
    steady_from: Instant,
}

/// Whether the wall clock can be believed. Pure: it knows what it has seen.
#[derive(Debug)]
pub struct ClockDoubt {
    /// The wall clock cannot be before it.
    floor: Timestamp,
    /// The highest wall time that was believed.
    mark: Timestamp,
    /// `None` before the first look.
    offsets: Option<Offsets>,
    doubt: Option<Begun>,
}

impl ClockDoubt {
    /// `mark`: the highest wall time that was believed before this start.
    pub fn new(floor: Timestamp, mark: Timestamp) -> ClockDoubt {
        ClockDoubt { floor, mark, offsets: None, doubt: None }
    }

    /// To be called at every step, before anything goes by the wall time.
    pub fn see(&mut self, now: Now) -> Option<Change> {
        if let Some(why) = self.fault(now) {
            self.doubt = Some(Begun { why, since: now.wall, steady_from: now.mono });
        } else if self.doubt.is_some_and(|doubt| self.is_over(doubt, now)) {
            self.accept(now);
            return Some(Change::Settled);
        } else {
            if self.doubt.is_none() {
                self.mark = self.mark.max(now.wall);
            }
            return None;
        }
        self.in_doubt(now).map(Change::Doubted)
    }

    pub fn in_doubt(&self, now: Now) -> Option<Doubt> {
        let Begun { why, since, steady_from } = self.doubt?;
        let steady_in = (steady_from + STEADY_FOR).saturating_duration_since(now.mono);
        let past_mark = self.mark.saturating_add(Duration::from_millis(1));
        let until = now.wall.saturating_add(steady_in).max(past_mark).max(self.floor);
        Some(Doubt { why, since, until })
    }

    /// A person says that the clock is right, whatever it said before.
    pub fn accept(&mut self, now: Now) {
        self.doubt = None;
        self.mark = now.wall;
        self.floor = self.floor.min(now.wall);
    }

    pub fn is_doubted(&self) -> bool {
        self.doubt.is_some()
    }

    /// The highest wall time that was believed.
    pub fn mark(&self) -> Timestamp {
        self.mark
    }

    /// What is newly wrong.
    fn fault(&mut self, now: Now) -> Option<Why> {
        let behind = self.mark.since(now.wall);
        let jumped = match &mut self.offsets {
            None => {
                self.offsets = Some(Offsets::new(now));
                (behind > TOLERATED).then_some(Why::Behind(behind))
            }
            Some(offsets) => offsets.jump(now),
        };
        let too_early = || {
            let by = self.floor.since(now.wall);
            (self.doubt.is_none() && !by.is_zero()).then_some(Why::BeforeBuild(by))
        };
        jumped.or_else(too_early)
    }

    fn is_over(&self, doubt: Begun, now: Now) -> bool {
        now.mono >= doubt.steady_from + STEADY_FOR && now.wall > self.mark && now.wall >= self.floor
    }
}

/// How far the wall clock was ahead of the monotonic one of late, in milliseconds, by the minute.
#[derive(Debug)]
struct Offsets {
    origin: Instant,
    /// In order; the last is there whatever its age, so that a jump across a long silence is seen.
    minutes: VecDeque<Minute>,
}

#[derive(Clone, Copy, Debug)]
struct Minute {
    number: u64,
    least: i64,
    most: i64,
}

impl Offsets {
    fn new(now: Now) -> Offsets {
        let mut offsets = Offsets { origin: now.mono, minutes: VecDeque::new() };
        offsets.minutes.push_back(offsets.of(now));
        offsets
    }

    fn of(&self, now: Now) -> Minute {
        let elapsed = now.mono.saturating_duration_since(self.origin);
        let offset = now.wall.as_millis() as i64 - elapsed.as_millis() as i64;
        Minute { number: elapsed.as_secs() / 60, least: offset, most: offset }
    }

    /// Takes one more look; after a jump it begins anew with it.
    fn jump(&mut self, now: Now) -> Option<Why> {
        let seen = self.of(now);
        while self.minutes.len() > 1
            && self.minutes.front().is_some_and(|first| first.number + WINDOW_MINUTES < seen.number)
        {
            self.minutes.pop_front();
        }
        let ahead = self.minutes.iter().map(|minute| seen.most - minute.least).max().and_then(too_far);
        let back = self.minutes.iter().map(|minute| minute.most - seen.least).max().and_then(too_far);
        let jumped = ahead.map(Why::Forward).or(back.map(Why::Backward));
        if jumped.is_some() {
            self.minutes.clear();
        }
        match self.minutes.back_mut().filter(|last| last.number == seen.number) {
            Some(last) => {
                last.least = last.least.min(seen.least);
                last.most = last.most.max(seen.most);
            }
            None => self.minutes.push_back(seen),
        }
        jumped
    }
}

fn too_far(millis: i64) -> Option<Duration> {
    let by = Duration::from_millis(u64::try_from(millis).ok()?);
    (by > TOLERATED).then_some(by)
}

impl Core {
    /// The clock's mark as the store has it, and what the clock says to it.
    pub(super) fn load_clock(&mut self, work: &Work) -> Result<(), StoreError> {
        let mark = work.txn.get(&keys::core(MARK))?.unwrap_or_default();
        self.clock = ClockDoubt::new(self.settings.clock_floor, mark);
        self.mark_kept = mark;
        Ok(())
    }

    /// Nothing that is due by the wall clock alone may go.
    pub(super) fn clock_in_doubt(&self) -> bool {
        self.clock.is_doubted()
    }

    /// Looks at both clocks; whether the doubt changed.
    pub(super) fn see_clock(&mut self, now: Now) -> bool {
        let Some(change) = self.clock.see(now) else { return false };
        match change {
            Change::Doubted(Doubt { why, until, .. }) => {
                let by_seconds = why.by().as_secs();
                tracing::warn!(event = "clock_in_doubt", why = why.as_str(), by_seconds, %until);
            }
            Change::Settled => {
                tracing::info!(event = "clock_settled", steady_seconds = STEADY_FOR.as_secs());
                self.lanes.let_go();
            }
        }
        true
    }

    /// A person's word that the clock is right; without a doubt there is nothing to say.
    pub(super) fn accept_clock(&mut self, by: &TokenName, work: &mut Work) -> Result<(), Refusal> {
        if !self.clock_in_doubt() {
            return Ok(());
        }
        tracing::info!(event = "clock_accepted", %by, at = %work.wall());
        self.clock.accept(work.now);
        self.accept_periods(work.wall());
        self.lanes.let_go();
        self.put_mark(work);
        Ok(())
    }

    /// Whether this entry goes by its date, and the clock is not believed.
    pub(super) fn waits_for_clock(&self, key: LaneKey, waiting: &Waiting) -> bool {
        self.clock_in_doubt() && key.due != AT_ONCE && !waiting.entry.begun
    }

    /// The mark rides with a step that writes.
    pub(super) fn keep_mark(&mut self, work: &mut Work) {
        if self.clock.mark().since(self.mark_kept) >= KEEP_EVERY {
            self.put_mark(work);
        }
    }

    fn put_mark(&mut self, work: &mut Work) {
        self.mark_kept = self.clock.mark();
        work.txn.put(keys::core(MARK), &self.mark_kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use proptest::prelude::*;

    const START: Timestamp = Timestamp::from_millis(1_795_269_900_000);
    const HOUR: Duration = Duration::from_secs(3600);
    const MINUTE: Duration = Duration::from_secs(60);

    /// A doubter that has looked once, and its clock.
    fn seen(mark: Timestamp) -> (ClockDoubt, Clock) {
        let (mut doubt, clock) = (ClockDoubt::new(Timestamp::MIN, mark), Clock::manual(START));
        doubt.see(clock.now());
        (doubt, clock)
    }

    fn set(clock: &Clock, by_millis: i64) {
        let wall = clock.now().wall.as_millis().saturating_add_signed(by_millis);
        clock.jump(Timestamp::from_millis(wall));
    }

    fn why(doubt: &ClockDoubt, clock: &Clock) -> Option<Why> {
        doubt.in_doubt(clock.now()).map(|doubt| doubt.why)
    }

    #[test]
    fn a_jump_forward_is_doubted_until_the_clock_was_steady_for_ten_minutes() {
        let (mut doubt, clock) = seen(Timestamp::MIN);
        set(&clock, 3_600_000);
        let until = clock.now().wall.saturating_add(STEADY_FOR);
        let expected = Doubt { why: Why::Forward(HOUR), since: clock.now().wall, until };
        assert_eq!(doubt.see(clock.now()), Some(Change::Doubted(expected)));
        clock.advance(STEADY_FOR - Duration::from_millis(1));
        assert_eq!((doubt.see(clock.now()), doubt.is_doubted()), (None, true));
        clock.advance(Duration::from_millis(1));
        assert_eq!((doubt.see(clock.now()), doubt.is_doubted()), (Some(Change::Settled), false));
        assert_eq!(doubt.mark(), clock.now().wall);
    }

    #[test]
    fn a_second_jump_begins_the_ten_minutes_anew() {
        let (mut doubt, clock) = seen(Timestamp::MIN);
        set(&clock, 3_600_000);
        doubt.see(clock.now());
        clock.advance(9 * MINUTE);
        set(&clock, -3_600_000);
        doubt.see(clock.now());
        assert_eq!(why(&doubt, &clock), Some(Why::Backward(HOUR)));
        clock.advance(9 * MINUTE);
        assert_eq!(doubt.see(clock.now()), None);
        clock.advance(MINUTE);
        assert_eq!(doubt.see(clock.now()), Some(Change::Settled), "it is past all that was believed");
    }

    #[test]
    fn a_clock_that_was_set_back_is_doubted_until_it_is_past_what_it_said_before() {
        let (mut doubt, clock) = seen(Timestamp::MIN);
        set(&clock, -3_600_000);
        assert!(
            matches!(doubt.see(clock.now()), Some(Change::Doubted(Doubt { until, .. })) if until > START)
        );
        clock.advance(HOUR);
        assert_eq!(doubt.see(clock.now()), None);
        clock.advance(Duration::from_millis(1));
        assert_eq!(doubt.see(clock.now()), Some(Change::Settled));
    }

    #[test]
    fn an_accepted_clock_is_believed_whatever_it_said_before() {
        let mut doubt = ClockDoubt::new(START.saturating_add(HOUR), START.saturating_add(2 * HOUR));
        let clock = Clock::manual(START);
        doubt.see(clock.now());
        assert_eq!(why(&doubt, &clock), Some(Why::Behind(2 * HOUR)));
        doubt.accept(clock.now());
        clock.advance(MINUTE);
        assert_eq!(doubt.see(clock.now()), None);
        assert_eq!((doubt.is_doubted(), doubt.mark()), (false, clock.now().wall));
    }

    #[test]
    fn a_start_behind_the_mark_is_doubted_and_one_within_the_bound_or_ahead_is_not() {
        for (behind, expected) in [(0, None), (60, None), (61, Some(Why::Behind(Duration::from_secs(61))))] {
            let (doubt, clock) = seen(START.saturating_add(Duration::from_secs(behind)));
            assert_eq!(why(&doubt, &clock), expected);
        }
        let (doubt, clock) = seen(START.saturating_sub(1_000 * HOUR));
        assert_eq!(why(&doubt, &clock), None);
    }

    #[test]
    fn a_clock_before_the_build_is_doubted_for_as_long_as_it_is() {
        let mut doubt = ClockDoubt::new(START, Timestamp::MIN);
        let clock = Clock::manual(START.saturating_sub(HOUR));
        doubt.see(clock.now());
        assert_eq!(why(&doubt, &clock), Some(Why::BeforeBuild(HOUR)));
        clock.advance(HOUR - Duration::from_millis(1));
        assert_eq!(doubt.see(clock.now()), None);
        clock.advance(Duration::from_millis(1));
        assert_eq!(doubt.see(clock.now()), Some(Change::Settled));
    }

    #[test]
    fn many_small_steps_within_ten_minutes_are_a_jump_and_over_a_day_are_none() {
        for (pause, doubted) in [(MINUTE, true), (4 * MINUTE, false)] {
            let (mut doubt, clock) = seen(Timestamp::MIN);
            for _ in 0..8 {
                clock.advance(pause);
                set(&clock, 19_000);
                doubt.see(clock.now());
            }
            assert_eq!(doubt.is_doubted(), doubted, "{pause:?}");
        }
    }

    /// Looks with the time between them and how far the clock was steered meanwhile, always below a tenth.
    fn steered() -> impl Strategy<Value = Vec<(u64, i64)>> {
        let look = (1u64..60_000).prop_flat_map(|pause| {
            let most = pause as i64 / 10 - 1;
            (Just(pause), -most.max(0)..=most.max(0))
        });
        prop::collection::vec(look, 0..200)
    }

    fn steer(doubt: &mut ClockDoubt, clock: &Clock, looks: &[(u64, i64)]) {
        for &(pause, by) in looks {
            clock.advance(Duration::from_millis(pause));
            set(clock, by);
            doubt.see(clock.now());
        }
    }

    proptest! {
        #[test]
        fn steering_below_a_minute_in_ten_is_never_doubted(looks in steered()) {
            let (mut doubt, clock) = seen(Timestamp::MIN);
            steer(&mut doubt, &clock, &looks);
            prop_assert_eq!(doubt.in_doubt(clock.now()), None);
        }

        #[test]
        fn a_jump_is_always_doubted_however_long_nobody_looked(
            before in steered(),
            silence in 0u64..10_000_000,
            by in 60_001i64..1_000_000_000_000,
            back: bool,
        ) {
            let (mut doubt, clock) = seen(Timestamp::MIN);
            steer(&mut doubt, &clock, &before);
            clock.advance(Duration::from_millis(silence));
            set(&clock, if back { -by } else { by });
            doubt.see(clock.now());
            prop_assert!(doubt.is_doubted());
        }
    }
}
