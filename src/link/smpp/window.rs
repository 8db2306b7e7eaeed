//! Submits that were written and not answered: those still awaited, and those given up as unknown whose
//! answer may yet come. Also the sequence numbers, because one in use here must not be used again.
//!
//! Invariant: outstanding and late together never exceed the window, so both tables are bounded by it.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::time::Instant;

use bytes::Bytes;

use crate::id::MessageId;

/// sequence_number is 1 to this (SMPP 3.4 section 3.2).
const MAX_SEQUENCE: u32 = 0x7FFF_FFFF;

/// One segment with its submit_sm, as encoded, sequence number left open.
#[derive(Clone, PartialEq, Eq)]
pub struct Segment {
    pub id: MessageId,
    pub index: u8,
    /// The lease it is sent in.
    pub lease: u64,
    /// Its place among all segments of the session: a throttled one goes back to it.
    pub place: u64,
    pub throttles: u8,
    /// It was asked back while it was on its way: it is not written again.
    pub recalled: bool,
    pub pdu: Bytes,
}

/// Without the PDU: it holds a text and a number.
impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} at {}", self.id, self.index, self.place)
    }
}

#[derive(Debug)]
struct Awaited {
    segment: Segment,
    sent_at: Instant,
}

/// What an answer's sequence number stands for.
#[derive(Debug)]
pub enum Answered {
    InTime { segment: Segment, sent_at: Instant },
    Late { id: MessageId, index: u8, lease: u64 },
    Nothing,
}

/// The submits of one session that are unanswered, at most `size`, and those whose answer is late.
#[derive(Debug)]
pub struct Window {
    size: usize,
    awaited: HashMap<u32, Awaited>,
    /// Id, index and lease.
    late: HashMap<u32, (MessageId, u8, u64)>,
    /// Sequence numbers in the order of writing; holds answered ones until they reach the front.
    written: VecDeque<u32>,
    last_sequence: u32,
}

impl Window {
    pub fn new(size: u16) -> Window {
        let size = usize::from(size.max(1));
        Window {
            size,
            awaited: HashMap::with_capacity(size),
            late: HashMap::new(),
            written: VecDeque::with_capacity(size),
            last_sequence: 0,
        }
    }

    pub fn has_room(&self) -> bool {
        self.awaited.len() + self.late.len() < self.size
    }

    /// Segments written and awaited.
    pub fn in_flight(&self) -> usize {
        self.awaited.len()
    }

    /// So many answers are missing that the peer must have lost them.
    pub fn is_clogged(&self) -> bool {
        self.late.len() >= (self.size / 2).max(1)
    }

    /// A sequence number that nothing unanswered uses.
    pub fn next_sequence(&mut self) -> u32 {
        loop {
            self.last_sequence = if self.last_sequence >= MAX_SEQUENCE { 1 } else { self.last_sequence + 1 };
            let used =
                self.awaited.contains_key(&self.last_sequence) || self.late.contains_key(&self.last_sequence);
            if !used {
                return self.last_sequence;
            }
        }
    }

    /// `segment` is written at `now`; the answer will carry the sequence number returned.
    pub fn write(&mut self, segment: Segment, now: Instant) -> u32 {
        let sequence = self.next_sequence();
        self.awaited.insert(sequence, Awaited { segment, sent_at: now });
        // Answered ones gather behind an old unanswered one; without this they would for its whole deadline.
        if self.written.len() > 2 * self.size + 64 {
            self.written.retain(|sequence| self.awaited.contains_key(sequence));
        }
        self.written.push_back(sequence);
        sequence
    }

    /// Takes what an answer stands for; the same answer again stands for nothing.
    pub fn answer(&mut self, sequence: u32) -> Answered {
        if let Some(Awaited { segment, sent_at }) = self.awaited.remove(&sequence) {
            self.drop_answered();
            return Answered::InTime { segment, sent_at };
        }
        match self.late.remove(&sequence) {
            Some((id, index, lease)) => Answered::Late { id, index, lease },
            None => Answered::Nothing,
        }
    }

    /// Those on their way are not to be written again.
    pub fn recall(&mut self, which: impl Fn(&Segment) -> bool) {
        self.awaited.values_mut().for_each(|awaited| awaited.segment.recalled |= which(&awaited.segment));
    }

    /// When the oldest awaited segment was written.
    pub fn oldest(&self) -> Option<Instant> {
        self.written.front().and_then(|sequence| self.awaited.get(sequence)).map(|awaited| awaited.sent_at)
    }

    /// Gives up the oldest awaited segment; its answer will be [`Answered::Late`].
    pub fn give_up_oldest(&mut self) -> Option<(MessageId, u8)> {
        let sequence = self.written.pop_front()?;
        let Awaited { segment, .. } = self.awaited.remove(&sequence)?;
        self.late.insert(sequence, (segment.id, segment.index, segment.lease));
        self.drop_answered();
        Some((segment.id, segment.index))
    }

    /// Ends the session: everything still awaited, in the order of writing.
    pub fn drain(&mut self) -> Vec<Segment> {
        let written = std::mem::take(&mut self.written);
        self.late.clear();
        written.into_iter().filter_map(|sequence| self.awaited.remove(&sequence)).map(|a| a.segment).collect()
    }

    fn drop_answered(&mut self) {
        while self.written.front().is_some_and(|sequence| !self.awaited.contains_key(sequence)) {
            self.written.pop_front();
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs some instant to begin with")]
mod tests {
    use super::*;

    fn segment(id: u64) -> Segment {
        let pdu = Bytes::new();
        Segment {
            id: MessageId::from_u64(id),
            index: 0,
            lease: id,
            place: id,
            throttles: 0,
            recalled: false,
            pdu,
        }
    }

    #[test]
    fn sequence_numbers_wrap_to_1_and_pass_over_those_in_use() {
        let now = Instant::now();
        let mut window = Window::new(4);
        assert_eq!(window.write(segment(1), now), 1);
        window.last_sequence = MAX_SEQUENCE - 1;
        assert_eq!(window.write(segment(2), now), MAX_SEQUENCE);
        assert_eq!(window.write(segment(3), now), 2, "1 is still unanswered");
        assert!(window.give_up_oldest().is_some());
        window.last_sequence = MAX_SEQUENCE;
        assert_eq!(window.next_sequence(), 3, "1 is late, 2 awaited");
    }

    #[test]
    fn the_first_answer_counts_and_a_second_stands_for_nothing() {
        let now = Instant::now();
        let mut window = Window::new(2);
        let sequence = window.write(segment(1), now);
        assert!(matches!(window.answer(sequence), Answered::InTime { .. }));
        assert!(matches!(window.answer(sequence), Answered::Nothing));
    }

    #[test]
    fn late_ones_keep_their_room_until_answered() {
        let now = Instant::now();
        let mut window = Window::new(2);
        let sequence = window.write(segment(1), now);
        window.write(segment(2), now);
        assert!(!window.has_room());
        assert_eq!(window.give_up_oldest(), Some((MessageId::from_u64(1), 0)));
        assert!(!window.has_room() && window.is_clogged());
        assert!(matches!(window.answer(sequence), Answered::Late { .. }));
        assert!(window.has_room() && !window.is_clogged());
    }

    #[test]
    fn the_order_of_writing_stays_bounded_behind_one_that_is_never_answered() {
        let now = Instant::now();
        let mut window = Window::new(2);
        window.write(segment(0), now);
        for id in 1..10_000 {
            let sequence = window.write(segment(id), now);
            window.answer(sequence);
        }
        assert!(window.written.len() <= 2 * 2 + 65);
        assert_eq!(window.drain(), [segment(0)]);
    }
}
