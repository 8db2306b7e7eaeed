//! The one way a message changes: a pure function from a head and an event to the next head.
//!
//! What it guarantees: a closed message stays closed; a segment that may be on the wire is never leased
//! again unless `Resolve(Resend)` or `Resend` says so; an unknown ends only by an answer, a receipt or a
//! decision, and no later attempt's failure ends it ([`give_up`]). An event that does not fit the state is
//! [`Stale`] and changes nothing: late and doubled answers are normal.

use std::time::Duration;

use super::body::AT_ONCE;
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
    /// A leased segment's answer.
    Outcome {
        index: u8,
        outcome: Outcome,
    },
    /// The answer to one sending of a segment, named by its lease, that was given up as unknown.
    Late {
        lease: u64,
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
    /// Of the account that it came by.
    Receipt {
        account: LinkName,
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
        Event::Late { lease, index, outcome } => {
            answer_late(&mut head, body, plan, (lease, index), outcome, now)?
        }
        Event::Lost { leases, link, account, why } => {
            lose(&mut head, body, leases, (link, account), why, now)?
        }
        Event::HandBack => unlease(&mut head, body, now)?,
        Event::Receipt { account, index, reference, state } => {
            receive(&mut head, body, (&account, index, reference), state, now)?
        }
        Event::ReceiptNeverCame => match &mut head.state {
            State::Sent { receipt: receipt @ ReceiptWait::Until(_), .. } => *receipt = ReceiptWait::NeverCame,
            _ => return Err(Stale),
        },
        // A part of it at the network cannot be taken back: it goes on.
        Event::Cancel if head.bound_to().is_some() => return Err(Stale),
        Event::Cancel => close_waiting(&mut head, body, Final::Canceled, now)?,
        Event::Expire => stop(&mut head, body, Final::Expired, now)?,
        Event::Block(cause) => stop(&mut head, body, Final::Blocked(cause), now)?,
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
            let state = |at| head.taken(at).cloned().unwrap_or(SegmentState::Unwritten);
            let segments = (0..body.segment_count.max(1)).map(state).collect();
            if head.attempts.len() >= MAX_ATTEMPTS_KEPT {
                // That a segment is in doubt is forgotten last.
                let spent = head.attempts.iter().position(|a| !a.segments.contains(&SegmentState::Unknown));
                head.attempts.remove(spent.unwrap_or(0));
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
    let attempt = head.attempts.last_mut().ok_or(Stale)?;
    let segment = attempt.segments.get_mut(usize::from(index)).ok_or(Stale)?;
    if !matches!(head.state, State::Leased { .. }) || *segment != SegmentState::Written {
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
    conclude(head, body, plan, verdict, now);
    Ok(())
}

/// It speaks of its own sending only; what is still awaited of a later one decides as before.
fn answer_late(
    head: &mut Head,
    body: &Body,
    plan: &[Duration],
    (lease, index): (u64, u8),
    outcome: Outcome,
    now: Timestamp,
) -> Result<(), Stale> {
    if matches!(head.state, State::Sent { .. } | State::Closed { .. }) {
        return Err(Stale);
    }
    let attempt = head.attempts.iter_mut().find(|attempt| attempt.lease >= lease).ok_or(Stale)?;
    let segment = attempt.segments.get_mut(usize::from(index)).ok_or(Stale)?;
    if *segment != SegmentState::Unknown {
        return Err(Stale);
    }
    *segment = match outcome {
        Outcome::Accepted { reference } => SegmentState::Accepted { reference, at: now },
        Outcome::Refused { cause, retry } => SegmentState::Refused { cause, retry },
        Outcome::Unwritten | Outcome::Unknown { .. } => return Err(Stale),
    };
    settle_waiting(head, body, plan, now);
    Ok(())
}

/// Something became known of an earlier attempt. What waits goes on waiting, unless nothing of it is left to send.
fn settle_waiting(head: &mut Head, body: &Body, plan: &[Duration], now: Timestamp) {
    if !matches!(head.state, State::Waiting { .. }) || head.is_all_taken(body) {
        conclude(head, body, plan, Verdict::Fine, now);
    }
}

/// What the newest outcome says, beside what the segments show.
enum Verdict {
    Fine,
    HandedBack,
    Unknown(UnknownWhy),
}

/// The state that follows from the segments once nothing of the message is outstanding.
fn conclude(head: &mut Head, body: &Body, plan: &[Duration], verdict: Verdict, now: Timestamp) {
    let Some(attempt) = head.attempts.last() else { return };
    if attempt.segments.contains(&SegmentState::Written) {
        return;
    }
    let missing = (0u8..).zip(&attempt.segments).filter(|&(at, _)| head.taken(at).is_none());
    let missing: Vec<&SegmentState> = missing.map(|(_, segment)| segment).collect();
    let refused = missing.iter().filter_map(|s| match s {
        SegmentState::Refused { cause, retry } => Some((*retry, cause)),
        _ => None,
    });
    let refused = refused.max_by_key(|(retry, _)| *retry).map(|(retry, cause)| (retry, cause.clone()));
    if head.is_all_taken(body) {
        head.state = network_has_it(head, body, now);
    } else if missing.contains(&&SegmentState::Unknown) {
        let (since, why) = match (&head.state, &verdict) {
            (State::Unknown { since, why }, _) => (*since, *why),
            (_, Verdict::Unknown(why)) => (now, *why),
            _ => (now, UnknownWhy::NoAnswer),
        };
        head.state = State::Unknown { since, why };
    } else if let Some((retry, cause)) = refused {
        refuse(head, body, plan, (cause, retry), now);
    } else if matches!(verdict, Verdict::HandedBack) || matches!(head.state, State::Unknown { .. }) {
        hand_back(head, body);
    }
    // Else: more segments of a long message are still to be leased; it stays leased.
}

/// Back to where it stood before the lease: it lost no try, and what was sent again still is.
fn hand_back(head: &mut Head, body: &Body) {
    head.attempts.pop_if(|attempt| !attempt.segments.iter().any(SegmentState::is_out));
    let due = if head.attempts.is_empty() { body.due } else { AT_ONCE };
    let why = if head.in_doubt() { Deferral::Resend } else { Deferral::Scheduled };
    head.state = State::Waiting { due, why };
}

fn refuse(
    head: &mut Head,
    body: &Body,
    plan: &[Duration],
    (cause, class): (Cause, RetryClass),
    now: Timestamp,
) {
    head.tries = head.tries.saturating_add(1);
    // Given up already: the late refusal of what was in doubt only says that it may end so.
    let given_up = matches!(head.state, State::Unknown { why: UnknownWhy::Earlier, .. });
    let wait = match class {
        RetryClass::Temporary | RetryClass::Park if !given_up => retry::wait_after(plan, head.tries),
        _ => None,
    };
    match (wait, class) {
        (Some(wait), _) => {
            head.state = State::Waiting { due: now.saturating_add(wait), why: Deferral::Retry(cause) };
        }
        (None, RetryClass::OptedOut) => {
            let cause = Cause { reason: Reason::PolicyOptedOut, raw: cause.raw };
            give_up(head, body, Final::Blocked(cause), now);
        }
        (None, _) => give_up(head, body, Final::Failed(cause), now),
    }
}

/// The one way to an end that says it did not go out. While a segment is in doubt nobody knows that: then it is
/// unknown, and only a person may send it again or declare it failed.
fn give_up(head: &mut Head, body: &Body, how: Final, now: Timestamp) {
    if head.in_doubt() {
        head.resent |= body.on_unknown == OnUnknown::Resend;
        head.state = State::Unknown { since: now, why: UnknownWhy::Earlier };
    } else {
        head.state = State::Closed { how, at: now };
    }
}

/// All segments are with the network: sent, or already what the receipts say.
fn network_has_it(head: &Head, body: &Body, now: Timestamp) -> State {
    let taken = || (0..body.segment_count.max(1)).filter_map(|at| head.taken(at));
    let undelivered = taken().find_map(|s| match s {
        SegmentState::Undelivered { cause, .. } => Some(cause.clone()),
        _ => None,
    });
    if let Some(cause) = undelivered {
        return State::Closed { how: Final::Undelivered(cause), at: now };
    }
    if taken().all(|s| matches!(s, SegmentState::Delivered { .. })) {
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
    (account, index, reference): (&LinkName, u8, Option<Reference>),
    state: ReceiptState,
    now: Timestamp,
) -> Result<(), Stale> {
    if matches!(head.state, State::Closed { .. }) {
        return Err(Stale);
    }
    let fit = |segment: &SegmentState| match segment {
        SegmentState::Accepted { reference: own, .. } if Some(own) == reference.as_ref() => 3,
        SegmentState::Accepted { .. } => 2,
        SegmentState::Unknown | SegmentState::Written => 1,
        _ => 0,
    };
    // Of several sendings by one account the one that fits best, of equals the newest.
    let attempts = head.attempts.iter_mut().filter(|attempt| attempt.account == *account);
    let segments = attempts.filter_map(|attempt| attempt.segments.get_mut(usize::from(index)));
    let segment = segments.max_by_key(|segment| fit(segment)).ok_or(Stale)?;
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
    settle_waiting(head, body, &[], now);
    Ok(())
}

fn close_waiting(head: &mut Head, body: &Body, how: Final, now: Timestamp) -> Result<(), Stale> {
    if !matches!(head.state, State::Waiting { .. }) {
        return Err(Stale);
    }
    give_up(head, body, how, now);
    Ok(())
}

/// Waiting, or a long message of which no segment is outstanding: the rest is not sent any more.
fn stop(head: &mut Head, body: &Body, how: Final, now: Timestamp) -> Result<(), Stale> {
    let between = match (&head.state, head.attempts.last()) {
        (State::Leased { .. }, Some(attempt)) => !attempt.segments.contains(&SegmentState::Written),
        _ => false,
    };
    if between {
        give_up(head, body, how, now);
        return Ok(());
    }
    close_waiting(head, body, how, now)
}

fn resolve(head: &mut Head, body: &Body, how: Resolution, now: Timestamp) -> Result<(), Stale> {
    if !matches!(head.state, State::Unknown { .. }) {
        return Err(Stale);
    }
    head.state = match how {
        Resolution::Resend if body.valid_until <= now => return Err(Stale),
        Resolution::Resend => State::Waiting { due: AT_ONCE, why: Deferral::Resend },
        Resolution::Failed => {
            State::Closed { how: Final::Failed(Cause::plain(Reason::OperatorFailed)), at: now }
        }
        Resolution::Sent => {
            declare_sent(head, body, now);
            if head.is_all_taken(body) {
                network_has_it(head, body, now)
            } else {
                // The rest of a long message never went: it goes on from there.
                State::Waiting { due: AT_ONCE, why: Deferral::Scheduled }
            }
        }
    };
    Ok(())
}

/// Of each segment in doubt the newest sending counts as the one that went out.
fn declare_sent(head: &mut Head, body: &Body, now: Timestamp) {
    for at in 0..body.segment_count.max(1) {
        if head.taken(at).is_none() {
            let mut sendings = head.attempts.iter_mut().rev();
            let unanswered = sendings.find_map(|attempt| {
                attempt.segments.get_mut(usize::from(at)).filter(|s| **s == SegmentState::Unknown)
            });
            if let Some(segment) = unanswered {
                *segment = SegmentState::Accepted { reference: Reference::ABSENT, at: now };
            }
        }
    }
}

#[cfg(test)]
mod tests;
