//! What a refusal means for the next try, and when that try is. Pure.
//!
//! Which refusal is of which class, the link says that knows its protocol.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a refusal means for the next try; the later in this list, the more it weighs when the segments of
/// one message differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RetryClass {
    /// Ours to mend (account, settings): the link parks, the message waits and loses no try.
    Park,
    /// Later, by the retry plan.
    Temporary,
    /// Never: this message will not pass.
    Permanent,
    /// The network keeps its own opt-out list and the number is on it.
    OptedOut,
}

/// The wait after the `tries`-th temporary refusal (1 is the first); `None` when tries are used up.
pub fn wait_after(plan: &[Duration], tries: u8) -> Option<Duration> {
    plan.get(usize::from(tries).checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_gives_one_wait_a_try_and_then_ends() {
        let plan = [Duration::from_secs(30), Duration::from_secs(120)];
        assert_eq!(wait_after(&plan, 1), Some(plan[0]));
        assert_eq!(wait_after(&plan, 2), Some(plan[1]));
        assert_eq!(wait_after(&plan, 3), None);
        assert_eq!(wait_after(&plan, 0), None);
    }
}
