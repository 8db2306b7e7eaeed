//! Pace: how fast a link may submit, in segments, and how it learns a carrier's own limit.

use std::time::Duration;

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
