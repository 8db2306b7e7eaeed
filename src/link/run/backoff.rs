//! How long a link waits before it connects again.

use std::time::Duration;

/// Back-off after a failed or short session; doubles to the ceiling.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The ceiling where a link names no lower one: a carrier is not hammered.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Exponential with jitter between half and all of each step, so that many links do not come back at once.
pub(super) struct Backoff {
    seed: u64,
    step: Duration,
    longest: Duration,
}

impl Backoff {
    pub(super) fn new(seed: u64, longest: Duration) -> Backoff {
        Backoff { seed, step: FIRST_WAIT, longest }
    }

    pub(super) fn reset(&mut self) {
        self.step = FIRST_WAIT;
    }

    pub(super) fn next(&mut self) -> Duration {
        // The step of splitmix64, enough to tell links apart.
        self.seed = self.seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.seed ^ (self.seed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let share = f64::from((mixed >> 40) as u32) / f64::from(1u32 << 24);
        let wait = self.step.mul_f64(0.5 + share / 2.0);
        self.step = (self.step * 2).min(self.longest);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_off_grows_to_its_ceiling_with_jitter_and_begins_anew() {
        let mut backoff = Backoff::new(7, LONGEST_WAIT);
        let waits: Vec<Duration> = (0..12).map(|_| backoff.next()).collect();
        assert!(waits[0] >= FIRST_WAIT / 2 && waits[0] <= FIRST_WAIT);
        assert!(waits[8..].iter().all(|wait| *wait >= LONGEST_WAIT / 2 && *wait <= LONGEST_WAIT));
        assert_ne!(waits[10], waits[11]);
        assert_ne!(Backoff::new(8, LONGEST_WAIT).next(), waits[0], "two links differ");
        backoff.reset();
        assert!(backoff.next() <= FIRST_WAIT);
    }
}
