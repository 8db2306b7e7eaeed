//! Where time enters the program, and the only file that reads a clock.
//!
//! Everything else takes `now` as a value. Two clocks travel together in [`Now`]: the wall clock for
//! what people and carriers name by date (due, expiry, receipts), and the monotonic one for what we wait
//! for (deadlines, pace, back-off), so that an administrator who sets the clock breaks no time-out.
//!
//! It is also the one file on floor 0 that knows a runtime: waiting is part of time, and a test that owns
//! the clock must own the waiting too.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use tokio::sync::watch;

/// Wall time in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    pub const MIN: Timestamp = Timestamp(0);
    /// 9999-12-31T23:59:59.999Z, the last instant RFC 3339 can write.
    pub const MAX: Timestamp = Timestamp(253_402_300_799_999);

    pub const fn from_millis(millis: u64) -> Timestamp {
        Timestamp(if millis > Timestamp::MAX.0 { Timestamp::MAX.0 } else { millis })
    }

    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Whole days since 1970-01-01 UTC.
    pub const fn day(self) -> u32 {
        (self.0 / 86_400_000) as u32
    }

    pub fn saturating_add(self, by: Duration) -> Timestamp {
        Timestamp::from_millis(self.0.saturating_add(millis(by)))
    }

    pub fn saturating_sub(self, by: Duration) -> Timestamp {
        Timestamp(self.0.saturating_sub(millis(by)))
    }

    /// How long after `earlier` this is; zero when it is not after.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// RFC 3339 in UTC with milliseconds, `2026-11-21T14:05:00.000Z`.
    pub fn to_rfc3339(self) -> String {
        match jiff::Timestamp::from_millisecond(self.0 as i64) {
            Ok(t) => format!("{t:.3}"),
            Err(_) => String::from("9999-12-31T23:59:59.999Z"),
        }
    }

    /// Any RFC 3339 instant with an offset; `None` for what has none or lies before 1970.
    pub fn parse_rfc3339(text: &str) -> Option<Timestamp> {
        let t: jiff::Timestamp = text.parse().ok()?;
        u64::try_from(t.as_millisecond()).ok().map(Timestamp::from_millis)
    }
}

/// RFC 3339 for people and programs, milliseconds in the store.
impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.collect_str(self);
        }
        serializer.serialize_newtype_struct("Timestamp", &self.0)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            let why = "must be a time as RFC 3339 writes it, with an offset";
            return Timestamp::parse_rfc3339(&text).ok_or_else(|| de::Error::custom(why));
        }
        u64::deserialize(deserializer).map(Timestamp)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

fn millis(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

/// The first day of the month this program was made in: a wall clock before it has lost the date.
pub const BUILT: Timestamp = Timestamp::from_millis(1_793_491_200_000);

/// One reading of both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    pub wall: Timestamp,
    pub mono: Instant,
}

/// The source of [`Now`]: the machine's clocks, or one that a test moves.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Source>);

#[derive(Debug)]
enum Source {
    System,
    Manual(watch::Sender<Now>),
}

impl Clock {
    pub fn system() -> Clock {
        Clock(Arc::new(Source::System))
    }

    /// A clock that stands still until [`Clock::advance`] or [`Clock::jump`] moves it.
    pub fn manual(start: Timestamp) -> Clock {
        let now = Now { wall: start, mono: monotonic() };
        Clock(Arc::new(Source::Manual(watch::Sender::new(now))))
    }

    pub fn now(&self) -> Now {
        match &*self.0 {
            Source::System => Now { wall: wall(), mono: monotonic() },
            Source::Manual(now) => *now.borrow(),
        }
    }

    /// Returns once the monotonic clock has reached `deadline`.
    pub async fn sleep_until(&self, deadline: Instant) {
        match &*self.0 {
            Source::System => tokio::time::sleep_until(deadline.into()).await,
            Source::Manual(now) => {
                let mut changes = now.subscribe();
                // The sender lives in `self`, so the wait can only end by the condition.
                if changes.wait_for(|now| now.mono >= deadline).await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        }
    }

    pub async fn sleep(&self, duration: Duration) {
        self.sleep_until(self.now().mono + duration).await;
    }

    /// Runs `work` for at most `limit`; `None` when the limit came first.
    pub async fn within<F: Future>(&self, limit: Duration, work: F) -> Option<F::Output> {
        let deadline = self.now().mono + limit;
        tokio::select! {
            biased;
            output = work => Some(output),
            () = self.sleep_until(deadline) => None,
        }
    }

    /// Moves both clocks of a manual clock; the system's stays as it is.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(now) = &*self.0 {
            now.send_modify(|now| {
                now.wall = now.wall.saturating_add(by);
                now.mono += by;
            });
        }
    }

    /// Sets only the wall time of a manual clock, as an administrator or NTP does.
    pub fn jump(&self, to: Timestamp) {
        if let Source::Manual(now) = &*self.0 {
            now.send_modify(|now| now.wall = to);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place")]
fn monotonic() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "this is the one place")]
fn wall() -> Timestamp {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since_epoch.map_or(Timestamp::MIN, |d| Timestamp::from_millis(millis(d)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_round_trip_through_rfc3339() {
        let t = Timestamp::from_millis(1_795_269_900_123);
        assert_eq!(t.to_rfc3339(), "2026-11-21T14:05:00.123Z");
        assert_eq!(Timestamp::parse_rfc3339("2026-11-21T15:05:00.123+01:00"), Some(t));
        assert_eq!(Timestamp::parse_rfc3339("2026-11-21T15:05:00"), None, "no offset, no instant");
        assert_eq!(Timestamp::MAX.to_rfc3339(), "9999-12-31T23:59:59.999Z");
        assert_eq!(BUILT.to_rfc3339(), "2026-11-01T00:00:00.000Z");
    }

    #[tokio::test]
    async fn a_manual_clock_wakes_a_sleeper_when_it_is_advanced() {
        let clock = Clock::manual(Timestamp::from_millis(0));
        let sleeper = clock.clone();
        let task = tokio::spawn(async move { sleeper.sleep(Duration::from_secs(3600)).await });
        tokio::task::yield_now().await;
        assert!(!task.is_finished());
        clock.advance(Duration::from_secs(3600));
        task.await.unwrap();
    }

    #[test]
    fn a_jump_leaves_the_monotonic_clock_alone() {
        let clock = Clock::manual(Timestamp::from_millis(5_000));
        let before = clock.now();
        clock.jump(Timestamp::from_millis(1));
        assert_eq!(clock.now(), Now { wall: Timestamp::from_millis(1), mono: before.mono });
    }
}
