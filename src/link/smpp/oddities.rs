//! How often a session may say in the log that its peer did something odd.
//!
//! A peer must not be able to fill the disk with our log: the first few of a session have a line each, the
//! rest are counted, and the count is told at most once a minute while more come, and once at the end. What
//! is odd, and what is answered to it, is `traffic.rs`.

use std::time::{Duration, Instant};

use crate::message::LinkName;

/// Lines a session may write one by one: enough to see what is wrong.
const TOLD: u32 = 10;
/// Between two counts.
const SUM_UP: Duration = Duration::from_secs(60);

/// What one session has told and left out.
#[derive(Debug, Default)]
pub struct Oddities {
    told: u32,
    left_out: Option<LeftOut>,
}

#[derive(Debug)]
struct LeftOut {
    count: u64,
    since: Instant,
}

impl Oddities {
    /// Whether this one has a line of its own; otherwise it is counted.
    pub fn tell(&mut self, link: &LinkName, now: Instant) -> bool {
        if self.told < TOLD {
            self.told += 1;
            return true;
        }
        let left_out = self.left_out.get_or_insert(LeftOut { count: 0, since: now });
        left_out.count += 1;
        if now >= left_out.since + SUM_UP {
            self.sum_up(link);
        }
        false
    }

    /// One line for all that had none since the last.
    pub fn sum_up(&mut self, link: &LinkName) {
        if let Some(LeftOut { count, .. }) = self.left_out.take() {
            tracing::warn!(event = "lines_left_out", link = %link, count);
        }
    }
}
