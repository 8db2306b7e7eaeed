//! What outlives a session of a modem link: the PINs that were entered, messages whose answers may still come, and
//! how often the modem stalled and was started anew. A clone is the same link's.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::pin::PinLedger;
use crate::id::MessageId;
use crate::link::ModemStatus;

/// Answers that are awaited late at the same time; each takes two minutes to become one.
const MAX_LATE: usize = 16;
/// A modem that stalled twice within this time is started anew.
const STALLS_COUNT: Duration = Duration::from_secs(10 * 60);
const STALLS_TO_RESET: usize = 2;
/// Between two resets, and how many an hour: a modem that no reset mends is left to people.
const RESET_GAP: Duration = Duration::from_secs(5 * 60);
const HOUR: Duration = Duration::from_secs(3600);
const RESETS_AN_HOUR: usize = 3;

/// See the head of the file.
#[derive(Clone, Default)]
pub struct Carried(Arc<Mutex<Memory>>);

#[derive(Default)]
struct Memory {
    pins: PinLedger,
    late: VecDeque<Late>,
    /// ICCID and IMSI of the SIM as last read.
    sim: Option<(String, String)>,
    stalls: VecDeque<Instant>,
    resets: VecDeque<Instant>,
}

/// A segment that was given up as unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Late {
    pub id: MessageId,
    pub index: u8,
    pub lease: u64,
    pub until: Instant,
    pub why: LateWhy,
}

/// How its answer was missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LateWhy {
    /// The modem was silent: it may say it any time.
    Silence,
    /// The connection went away: it may be the first thing that the next one hears, and nothing later.
    Connection,
    /// The modem was silent, and an answer that may have been its own was taken for a later segment's: what comes
    /// now may be that one's, so a refusal proves nothing.
    Overtaken,
}

impl Carried {
    pub fn new(pins: PinLedger) -> Carried {
        Carried(Arc::new(Mutex::new(Memory { pins, ..Memory::default() })))
    }

    /// Does something with the ledger.
    pub fn pins<T>(&self, with: impl FnOnce(&mut PinLedger) -> T) -> T {
        with(&mut self.lock().pins)
    }

    pub(super) fn push_late(&self, late: Late) {
        let mut memory = self.lock();
        if memory.late.len() == MAX_LATE {
            memory.late.pop_front();
        }
        memory.late.push_back(late);
    }

    /// An answer may come that belongs to none that is awaited now.
    pub(super) fn awaits_late(&self, now: Instant) -> bool {
        let mut memory = self.lock();
        memory.late.retain(|late| now < late.until);
        !memory.late.is_empty()
    }

    /// Whose answer came: modems answer in order.
    pub(super) fn pop_late(&self, now: Instant) -> Option<Late> {
        let mut memory = self.lock();
        memory.late.retain(|late| now < late.until);
        memory.late.pop_front()
    }

    /// Names the IMSI where it could not be read now and was before, on the same card.
    pub(super) fn same_sim(&self, status: &mut ModemStatus) {
        let mut memory = self.lock();
        match (&status.iccid, &status.imsi) {
            (Some(iccid), Some(imsi)) => memory.sim = Some((iccid.clone(), imsi.clone())),
            (Some(iccid), None) => {
                let same = memory.sim.as_ref().filter(|(card, _)| card == iccid);
                status.imsi = same.map(|(_, imsi)| imsi.clone());
            }
            (None, _) => {}
        }
    }

    /// An answer was believed although one of these may have been meant.
    pub(super) fn overtaken(&self) {
        self.lock().late.iter_mut().for_each(|late| late.why = LateWhy::Overtaken);
    }

    /// The modem has answered a whole set-up since the connection was lost.
    pub(super) fn set_up(&self) {
        self.lock().late.retain(|late| late.why != LateWhy::Connection);
    }

    /// The modem has restarted: what it had not said it will not say.
    pub(super) fn restarted(&self) {
        self.lock().late.clear();
    }

    /// Records that the modem stopped answering; whether it is to be started anew now.
    pub(super) fn stalled(&self, now: Instant) -> bool {
        let mut memory = self.lock();
        memory.stalls.push_back(now);
        memory.stalls.retain(|at| now < *at + STALLS_COUNT);
        memory.resets.retain(|at| now < *at + HOUR);
        let rested = memory.resets.back().is_none_or(|last| now >= *last + RESET_GAP);
        let due = memory.stalls.len() >= STALLS_TO_RESET && rested && memory.resets.len() < RESETS_AN_HOUR;
        if due {
            memory.resets.push_back(now);
            memory.stalls.clear();
        }
        due
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Without the ledger: a digest of four digits is as good as the digits.
impl fmt::Debug for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let memory = self.lock();
        f.debug_struct("Carried").field("late", &memory.late.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, Timestamp};

    #[test]
    fn resets_are_few_and_far_between() {
        let begin = Clock::manual(Timestamp::MIN).now().mono;
        let carried = Carried::default();
        let mut resets = Vec::new();
        for second in 0..3600 {
            if carried.stalled(begin + Duration::from_secs(second)) {
                resets.push(second);
            }
        }
        assert_eq!(resets.len(), RESETS_AN_HOUR);
        assert!(resets.windows(2).all(|pair| pair[1] - pair[0] >= RESET_GAP.as_secs()));
        assert_eq!(resets[0], 1, "the first stall is only remembered");
    }
}
