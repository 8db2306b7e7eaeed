//! The one way a message changes: a pure function from a head and an event to the next head.
//!
//! What it guarantees: a closed message stays closed; a segment that may be on the wire is never leased
//! again unless `Resolve(Resend)` or `Resend` says so; an unknown ends only by an answer, a receipt or a
//! decision. An event that does not fit the state is [`Stale`] and changes nothing: late and doubled
//! answers are normal.

use std::time::Duration;

use super::head::MAX_ATTEMPTS_KEPT;
use super::{
    Attempt, Body, Cause, Deferral, Final, Head, LinkName, OnUnknown, Reason, ReceiptState, ReceiptWait,
    Reference, SegmentState, State, UnknownWhy,
};
use crate::clock::Timestamp;
use crate::retry::{self, RetryClass};

/// A receipt may come this long after the message's validity has ended; networks report an expiry late.
const RECEIPT_GRACE: Duration = Duration::from_secs(24 * 3600);
/// Networks keep a message for at most a week, whatever validity was asked for.
const LONGEST_VALIDITY: Duration = Duration::from_secs(7 * 24 * 3600);

/// What may happen to a message; [`apply`] says what each does to which state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// These segments go to a link under this lease.
    Lease {
        link: LinkName,
        account: LinkName,
        lease: u64,
        segments: Vec<u8>,
    },
    /// A leased segment's answer, or a late one of an unknown segment.
    Outcome {
        index: u8,
        outcome: Outcome,
    },
    /// At start: all leases of it that have no end on the disk, oldest first, with their segments.
    Lost {
        leases: Vec<(u64, Vec<u8>)>,
        link: LinkName,
        account: LinkName,
        why: UnknownWhy,
    },
    /// Its link went away while none of its segments was outstanding.
    HandBack,
    Receipt {
        index: u8,
        reference: Option<Reference>,
        state: ReceiptState,
    },
    ReceiptNeverCame,
    Cancel,
    Expire,
    Block(Cause),
    Fail(Cause),
    Resolve(Resolution),
    /// The policy for unknowns sends it once more.
    Resend,
}

/// How one lease of one segment ended. Exactly one per submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Accepted {
        reference: Reference,
    },
    /// Definitely not sent.
    Refused {
        cause: Cause,
        retry: RetryClass,
    },
    /// No byte of it left: recalled, or the session ended first.
    Unwritten,
    /// It may have gone out.
    Unknown {
        why: UnknownWhy,
    },
}

/// What a person says of an unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    Resend,
    Sent,
    Failed,
}

/// The event does not fit the state; nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the event does not fit the state")]
pub struct Stale;

/// The next head. `body` and `plan` (the waits of the retry plan) are only read.
pub fn apply(
    mut head: Head,
    event: Event,
    body: &Body,
    plan: &[Duration],
    now: Timestamp,
) -> Result<Head, Stale> {
    match event {
        Event::Lease { link, account, lease, segments } => {
            begin(&mut head, body, link, account, lease, now)?;
            mark_written(&mut head, &segments)?;
        }
        Event::Outcome { index, outcome } => settle(&mut head, body, plan, index, outcome, now)?,
        Event::Lost { leases, link, account, why } => {
            lose(&mut head, body, leases, (link, account), why, now)?
        }
        Event::HandBack => unlease(&mut head, body, now)?,
        Event::Receipt { index, reference, state } => receive(&mut head, body, index, reference, state, now)?,
        Event::ReceiptNeverCame => match &mut head.state {
            State::Sent { receipt: receipt @ ReceiptWait::Until(_), .. } => *receipt = ReceiptWait::NeverCame,
            _ => return Err(Stale),
        },
        Event::Cancel => close_waiting(&mut head, body, Final::Canceled, now)?,
        Event::Expire => expire(&mut head, body, now)?,
        Event::Block(cause) => close_waiting(&mut head, body, Final::Blocked(cause), now)?,
        Event::Fail(cause) => close_waiting(&mut head, body, Final::Failed(cause), now)?,
        Event::Resolve(how) => resolve(&mut head, body, how, now)?,
        Event::Resend if head.resent => return Err(Stale),
        Event::Resend => {
            resolve(&mut head, body, Resolution::Resend, now)?;
            head.resent = true;
        }
    }
    Ok(head)
}

impl Head {
    /// Positions of the segments that are to go next, in order; none while it must not go on.
    pub fn unleased(&self, body: &Body) -> Vec<u8> {
        let bound = self.bound_to().is_some();
        match (&self.state, self.attempts.last()) {
            (State::Waiting { .. }, Some(attempt)) if bound => positions(attempt, |s| !s.is_out()),
            (State::Waiting { .. }, _) => (0..body.segment_count.max(1)).collect(),
            (State::Leased { .. }, Some(attempt))
                if !attempt.segments.iter().any(SegmentState::is_trouble) =>
            {
                positions(attempt, |s| *s == SegmentState::Unwritten)
            }
            _ => Vec::new(),
        }
    }

    /// The link that has some segments of it already: only this one may send the rest.
    pub fn bound_to(&self) -> Option<&LinkName> {
        let attempt = self.attempts.last()?;
        attempt.segments.iter().any(SegmentState::is_out).then_some(&attempt.link)
    }

    pub fn segment(&self, index: u8) -> Option<&SegmentState> {
        self.attempts.last()?.segments.get(usize::from(index))
    }

    /// The newest lease this head knows of; 0 before the first.
    pub fn lease(&self) -> u64 {
        self.attempts.last().map_or(0, |attempt| attempt.lease)
    }
}

fn positions(attempt: &Attempt, wanted: impl Fn(&SegmentState) -> bool) -> Vec<u8> {
    (0u8..).zip(&attempt.segments).filter(|(_, s)| wanted(s)).map(|(at, _)| at).collect()
}

impl SegmentState {
    /// Refused or unknown: the rest of the message must not go on by itself.
    fn is_trouble(&self) -> bool {
        matches!(self, SegmentState::Refused { .. } | SegmentState::Unknown)
    }

    /// The network has it.
    pub fn is_out(&self) -> bool {
        matches!(
            self,
            SegmentState::Accepted { .. } | SegmentState::Delivered { .. } | SegmentState::Undelivered { .. }
        )
    }

    pub fn reference(&self) -> Option<&Reference> {
        match self {
            SegmentState::Accepted { reference, .. }
            | SegmentState::Delivered { reference, .. }
            | SegmentState::Undelivered { reference, .. } => Some(reference),
            _ => None,
        }
    }
}

/// Opens a new attempt, or goes on with the one that is leased.
fn begin(
    head: &mut Head,
    body: &Body,
    link: LinkName,
    account: LinkName,
    lease: u64,
    now: Timestamp,
) -> Result<(), Stale> {
    match &head.state {
        State::Waiting { .. } => {
            // What the network has already is not sent again.
            let segments = match head.attempts.last() {
                Some(before) if head.bound_to().is_some() => {
                    let keep =
                        |s: &SegmentState| if s.is_out() { s.clone() } else { SegmentState::Unwritten };
                    before.segments.iter().map(keep).collect()
                }
                _ => vec![SegmentState::Unwritten; usize::from(body.segment_count.max(1))],
            };
            if head.attempts.len() >= MAX_ATTEMPTS_KEPT {
                head.attempts.remove(0);
            }
            head.attempts.push(Attempt { link: link.clone(), account, begun: now, lease, segments });
        }
        State::Leased { link: current } if *current == link => {
            if let Some(attempt) = head.attempts.last_mut() {
                attempt.lease = lease;
            }
        }
        _ => return Err(Stale),
    }
    head.state = State::Leased { link };
    Ok(())
}

fn mark_written(head: &mut Head, segments: &[u8]) -> Result<(), Stale> {
    let attempt = head.attempts.last_mut().ok_or(Stale)?;
    for &index in segments {
        match attempt.segments.get_mut(usize::from(index)) {
            Some(segment @ SegmentState::Unwritten) => *segment = SegmentState::Written,
            _ => return Err(Stale),
        }
    }
    Ok(())
}

fn settle(
    head: &mut Head,
    body: &Body,
    plan: &[Duration],
    index: u8,
    outcome: Outcome,
    now: Timestamp,
) -> Result<(), Stale> {
    let late = matches!(head.state, State::Unknown { .. });
    // Told to go once more, but its first attempt is answered after all: then it need not.
    let resend = matches!(head.state, State::Waiting { why: Deferral::Resend, .. });
    let attempt = head.attempts.last_mut().ok_or(Stale)?;
    let segment = attempt.segments.get_mut(usize::from(index)).ok_or(Stale)?;
    let open = match segment {
        SegmentState::Written => matches!(head.state, State::Leased { .. }),
        SegmentState::Unknown if resend => matches!(outcome, Outcome::Accepted { .. }),
        SegmentState::Unknown => late || matches!(head.state, State::Leased { .. }),
        _ => false,
    };
    if !open || (late && matches!(outcome, Outcome::Unwritten | Outcome::Unknown { .. })) {
        return Err(Stale);
    }
    let verdict = match outcome {
        Outcome::Accepted { reference } => {
            *segment = SegmentState::Accepted { reference, at: now };
            Verdict::Fine
        }
        Outcome::Unwritten | Outcome::Refused { retry: RetryClass::Park, .. } => {
            *segment = SegmentState::Unwritten;
            Verdict::HandedBack
        }
        Outcome::Refused { cause, retry } => {
            *segment = SegmentState::Refused { cause, retry };
            Verdict::Fine
        }
        Outcome::Unknown { why } => {
            *segment = SegmentState::Unknown;
            Verdict::Unknown(why)
        }
    };
    if resend && !attempt.segments.iter().all(SegmentState::is_out) {
        return Err(Stale);
    }
    conclude(head, body, plan, verdict, now);
    Ok(())
}

/// What the newest outcome says, beside what the segments show.
enum Verdict {
    Fine,
    HandedBack,
    Unknown(UnknownWhy),
}

/// The state that follows from the segments once nothing of the message is outstanding.
fn conclude(head: &mut Head, body: &Body, plan: &[Duration], verdict: Verdict, now: Timestamp) {
    let Some(attempt) = head.attempts.last_mut() else { return };
    let all_out = attempt.segments.iter().all(SegmentState::is_out);
    let some_out = attempt.segments.iter().any(SegmentState::is_out);
    let outstanding = attempt.segments.contains(&SegmentState::Written);
    let unknown = attempt.segments.contains(&SegmentState::Unknown);
    let refused = attempt.segments.iter().filter_map(|s| match s {
        SegmentState::Refused { cause, retry } => Some((*retry, cause)),
        _ => None,
    });
    let refused = refused.max_by_key(|(retry, _)| *retry).map(|(retry, cause)| (retry, cause.clone()));
    if outstanding {
        return;
    }
    if unknown {
        let (since, why) = match (&head.state, &verdict) {
            (State::Unknown { since, why }, _) => (*since, *why),
            (_, Verdict::Unknown(why)) => (now, *why),
            _ => (now, UnknownWhy::NoAnswer),
        };
        head.state = State::Unknown { since, why };
    } else if let Some((retry, cause)) = refused {
        refuse(head, plan, cause, retry, now);
    } else if all_out {
        head.state = network_has_it(attempt, body, now);
    } else if matches!(verdict, Verdict::HandedBack) || matches!(head.state, State::Unknown { .. }) {
        hand_back(head, body, some_out, now);
    }
    // Else: more segments of a long message are still to be leased; it stays leased.
}

/// Back to where it stood before the lease: it lost no try.
fn hand_back(head: &mut Head, body: &Body, some_out: bool, now: Timestamp) {
    if !some_out {
        head.attempts.pop();
    }
    let due = if head.tries == 0 && !some_out { body.due } else { now };
    head.state = State::Waiting { due, why: Deferral::Scheduled };
}

fn refuse(head: &mut Head, plan: &[Duration], cause: Cause, class: RetryClass, now: Timestamp) {
    head.tries = head.tries.saturating_add(1);
    let wait = match class {
        RetryClass::Temporary | RetryClass::Park => retry::wait_after(plan, head.tries),
        RetryClass::Permanent | RetryClass::OptedOut => None,
    };
    head.state = match (wait, class) {
        (Some(wait), _) => State::Waiting { due: now.saturating_add(wait), why: Deferral::Retry(cause) },
        (None, RetryClass::OptedOut) => State::Closed {
            how: Final::Blocked(Cause { reason: Reason::PolicyOptedOut, raw: cause.raw }),
            at: now,
        },
        (None, _) => State::Closed { how: Final::Failed(cause), at: now },
    };
}

/// All segments are with the network: sent, or already what the receipts say.
fn network_has_it(attempt: &Attempt, body: &Body, now: Timestamp) -> State {
    let undelivered = attempt.segments.iter().find_map(|s| match s {
        SegmentState::Undelivered { cause, .. } => Some(cause.clone()),
        _ => None,
    });
    if let Some(cause) = undelivered {
        return State::Closed { how: Final::Undelivered(cause), at: now };
    }
    if attempt.segments.iter().all(|s| matches!(s, SegmentState::Delivered { .. })) {
        return State::Closed { how: Final::Delivered, at: now };
    }
    let receipt = if body.receipt {
        ReceiptWait::Until(
            body.valid_until.max(now).min(now.saturating_add(LONGEST_VALIDITY)).saturating_add(RECEIPT_GRACE),
        )
    } else {
        ReceiptWait::NotAsked
    };
    State::Sent { at: now, receipt }
}

fn lose(
    head: &mut Head,
    body: &Body,
    leases: Vec<(u64, Vec<u8>)>,
    (link, account): (LinkName, LinkName),
    why: UnknownWhy,
    now: Timestamp,
) -> Result<(), Stale> {
    for (lease, segments) in leases {
        // A lease newer than the head: its attempt is known only from it.
        if head.lease() < lease {
            begin(head, body, link.clone(), account.clone(), lease, now)?;
            let attempt = head.attempts.last_mut().ok_or(Stale)?;
            // Handed back and leased again within the attempt, a segment is in two of them.
            for index in segments {
                let segment = attempt.segments.get_mut(usize::from(index)).ok_or(Stale)?;
                if !segment.is_out() {
                    *segment = SegmentState::Written;
                }
            }
        }
    }
    if !matches!(head.state, State::Leased { .. }) {
        return Err(Stale);
    }
    let attempt = head.attempts.last_mut().ok_or(Stale)?;
    for segment in attempt.segments.iter_mut().filter(|s| **s == SegmentState::Written) {
        *segment = SegmentState::Unknown;
    }
    let unknown = attempt.segments.contains(&SegmentState::Unknown);
    let verdict = if unknown { Verdict::Unknown(why) } else { Verdict::HandedBack };
    conclude(head, body, &[], verdict, now);
    Ok(())
}

fn unlease(head: &mut Head, body: &Body, now: Timestamp) -> Result<(), Stale> {
    let outstanding = head.attempts.last().is_some_and(|a| a.segments.contains(&SegmentState::Written));
    if outstanding || !matches!(head.state, State::Leased { .. }) {
        return Err(Stale);
    }
    conclude(head, body, &[], Verdict::HandedBack, now);
    Ok(())
}

fn receive(
    head: &mut Head,
    body: &Body,
    index: u8,
    reference: Option<Reference>,
    state: ReceiptState,
    now: Timestamp,
) -> Result<(), Stale> {
    if matches!(head.state, State::Closed { .. }) {
        return Err(Stale);
    }
    let attempt = head.attempts.last_mut().ok_or(Stale)?;
    let segment = attempt.segments.get_mut(usize::from(index)).ok_or(Stale)?;
    let known = match (&*segment, reference) {
        (SegmentState::Accepted { reference, .. }, _) => reference.clone(),
        (SegmentState::Unknown | SegmentState::Written, reference) => reference.unwrap_or(Reference::ABSENT),
        _ => return Err(Stale),
    };
    *segment = match (state, &*segment) {
        (ReceiptState::Delivered, _) => SegmentState::Delivered { reference: known, at: now },
        (ReceiptState::Failed(cause), _) => SegmentState::Undelivered { reference: known, cause, at: now },
        // A receipt of any kind proves that the network took it.
        (ReceiptState::Pending | ReceiptState::Unknown, SegmentState::Unknown) => {
            SegmentState::Accepted { reference: known, at: now }
        }
        (ReceiptState::Pending | ReceiptState::Unknown, _) => return Err(Stale),
    };
    let written =
        matches!(head.state, State::Leased { .. }) && attempt.segments.contains(&SegmentState::Written);
    if written || matches!(head.state, State::Waiting { .. }) {
        return Ok(());
    }
    conclude(head, body, &[], Verdict::Fine, now);
    Ok(())
}

/// A message that waits to be sent once more after an unknown is unknown again: that it will not be sent a
/// second time says nothing of the first.
fn close_waiting(head: &mut Head, body: &Body, how: Final, now: Timestamp) -> Result<(), Stale> {
    if !matches!(head.state, State::Waiting { .. }) {
        return Err(Stale);
    }
    let given_up = matches!(how, Final::Canceled | Final::Expired);
    let in_doubt = head.attempts.last().filter(|a| given_up && a.segments.contains(&SegmentState::Unknown));
    head.state = match in_doubt {
        Some(attempt) => State::Unknown { since: attempt.begun, why: UnknownWhy::NoAnswer },
        None => State::Closed { how, at: now },
    };
    // From now on a person decides, no policy.
    head.resent |= matches!(head.state, State::Unknown { .. }) && body.on_unknown == OnUnknown::Resend;
    Ok(())
}

/// Waiting, or a long message of which no segment is outstanding: the rest is not sent any more.
fn expire(head: &mut Head, body: &Body, now: Timestamp) -> Result<(), Stale> {
    let between = match (&head.state, head.attempts.last()) {
        (State::Leased { .. }, Some(attempt)) => !attempt.segments.contains(&SegmentState::Written),
        _ => false,
    };
    if between {
        head.state = State::Closed { how: Final::Expired, at: now };
        return Ok(());
    }
    close_waiting(head, body, Final::Expired, now)
}

fn resolve(head: &mut Head, body: &Body, how: Resolution, now: Timestamp) -> Result<(), Stale> {
    if !matches!(head.state, State::Unknown { .. }) {
        return Err(Stale);
    }
    head.state = match how {
        Resolution::Resend if body.valid_until <= now => return Err(Stale),
        Resolution::Resend => State::Waiting { due: now, why: Deferral::Resend },
        Resolution::Failed => {
            State::Closed { how: Final::Failed(Cause::plain(Reason::OperatorFailed)), at: now }
        }
        Resolution::Sent => {
            let attempt = head.attempts.last_mut().ok_or(Stale)?;
            for segment in attempt.segments.iter_mut().filter(|s| **s == SegmentState::Unknown) {
                *segment = SegmentState::Accepted { reference: Reference::ABSENT, at: now };
            }
            if attempt.segments.iter().all(SegmentState::is_out) {
                network_has_it(attempt, body, now)
            } else {
                // The rest of a long message never went: it goes on from there.
                State::Waiting { due: now, why: Deferral::Scheduled }
            }
        }
    };
    Ok(())
}

#[cfg(test)]
mod tests;
