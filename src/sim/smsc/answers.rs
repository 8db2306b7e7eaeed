//! What one connection still owes its client: answers by the time they are due, and octets on their way out.
//!
//! Invariant: a message counts as answered only when the last octet of its answer has been taken by the
//! kernel; until then its sequence number is in [`Answers::unanswered`].

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Instant;

/// A PDU to send. `message` is the sequence number of the submit it answers, none for other PDUs.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Answer {
    pub due: Instant,
    /// Keeps answers due at the same instant in the order they came.
    order: u64,
    pub message: Option<u32>,
    pub pdu: Vec<u8>,
}

#[derive(Debug, Default)]
pub struct Answers {
    waiting: BinaryHeap<Reverse<Answer>>,
    held: Vec<Answer>,
    /// Messages that get no answer ever.
    silent: Vec<u32>,
    count: u64,
    out: Vec<u8>,
    /// Octets of `out` already written.
    sent: usize,
    /// Where in `out` each message's answer ends.
    ends: VecDeque<(usize, u32)>,
}

impl Answers {
    pub fn put(&mut self, due: Instant, message: Option<u32>, pdu: Vec<u8>) {
        self.count += 1;
        self.waiting.push(Reverse(Answer { due, order: self.count, message, pdu }));
    }

    pub fn never(&mut self, message: u32) {
        self.silent.push(message);
    }

    /// How many messages wait for an answer, those that never get one included.
    pub fn owed(&self) -> usize {
        self.waiting.len() + self.held.len() + self.silent.len() + self.ends.len()
    }

    /// When the last of the waiting answers is due.
    pub fn last_due(&self) -> Option<Instant> {
        self.waiting.iter().map(|Reverse(answer)| answer.due).max()
    }

    pub fn next_due(&self) -> Option<Instant> {
        self.waiting.peek().map(|Reverse(answer)| answer.due)
    }

    /// Moves what is due to the octets going out; answers to messages are kept back while `holding`.
    pub fn pump(&mut self, now: Instant, holding: bool) {
        if !holding {
            for answer in std::mem::take(&mut self.held) {
                self.send(answer.message, &answer.pdu);
            }
        }
        while self.next_due().is_some_and(|due| due <= now) {
            let Some(Reverse(answer)) = self.waiting.pop() else { break };
            if holding && answer.message.is_some() {
                self.held.push(answer);
            } else {
                self.send(answer.message, &answer.pdu);
            }
        }
    }

    pub fn send(&mut self, message: Option<u32>, pdu: &[u8]) {
        self.out.extend_from_slice(pdu);
        if let Some(seq) = message {
            self.ends.push_back((self.out.len(), seq));
        }
    }

    pub fn unsent(&self) -> &[u8] {
        &self.out[self.sent..]
    }

    /// The kernel took `octets` more; returns how many messages are answered by that.
    pub fn wrote(&mut self, octets: usize) -> u64 {
        self.sent += octets;
        let mut answered = 0;
        while self.ends.front().is_some_and(|(end, _)| *end <= self.sent) {
            self.ends.pop_front();
            answered += 1;
        }
        if self.sent == self.out.len() {
            self.out.clear();
            self.sent = 0;
        }
        answered
    }

    /// Sequence numbers of the messages whose answers were not written, in ascending order.
    pub fn unanswered(&self) -> Vec<u32> {
        let waiting = self.waiting.iter().filter_map(|Reverse(answer)| answer.message);
        let held = self.held.iter().filter_map(|answer| answer.message);
        let sending = self.ends.iter().map(|(_, seq)| *seq);
        let mut all: Vec<u32> =
            waiting.chain(held).chain(sending).chain(self.silent.iter().copied()).collect();
        all.sort_unstable();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn a_message_is_answered_with_the_last_octet_of_its_answer() {
        let now = Clock::system().now().mono;
        let mut answers = Answers::default();
        answers.put(now, Some(1), vec![0; 16]);
        answers.put(now, Some(2), vec![0; 16]);
        answers.never(9);
        answers.pump(now, false);
        assert_eq!(answers.wrote(31), 1);
        assert_eq!(answers.unanswered(), [2, 9]);
        assert_eq!(answers.wrote(1), 1);
        assert_eq!((answers.unanswered(), answers.unsent().len()), (vec![9], 0));
    }

    #[test]
    fn what_is_held_goes_out_in_order_once_released() {
        let now = Clock::system().now().mono;
        let mut answers = Answers::default();
        for seq in 1..=3 {
            answers.put(now, Some(seq), vec![seq as u8]);
        }
        answers.put(now, None, vec![99]);
        answers.pump(now, true);
        assert_eq!(answers.unsent(), [99]);
        answers.pump(now, false);
        assert_eq!(answers.unsent(), [99, 1, 2, 3]);
    }
}
