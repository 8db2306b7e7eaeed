//! Where a payment link leads, and what a visit to it counts as: read beside the core. Nothing is written here.

use std::time::Duration;

use super::reminders::happened::Happened;
use super::reminders::records::{Applied, HistoryLine, Records};
use super::{ReadError, View};
use crate::clock::Timestamp;
use crate::id::{MessageId, ObligationId};
use crate::message::State;
use crate::reminder::enrolment::StepOutcome;
use crate::reminder::link::{Click, REPEAT_SECONDS, Target, Token, Visit};
use crate::reminder::obligation::{Obligation, ObligationStatus};
use crate::reminder::template::Field;
use crate::store::{keys, record};

/// Lines of an obligation's history looked at for earlier visits.
const LINES: usize = 100;
/// Visits of one link counted in an hour: more are a machine's, and each is a record.
const AN_HOUR: usize = 20;
const HOUR: Duration = Duration::from_secs(3_600);

/// A visit as it is told.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    pub token: Token,
    pub agent: &'a str,
    pub method: &'a str,
    pub at: Timestamp,
    /// The last visit of a person that is not in the books yet.
    pub last_human: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Led {
    /// `click`: what to count it as; `None` where enough were counted.
    To { target: String, click: Option<Click> },
    /// Nothing is to be paid any more.
    Settled,
    /// No such token, or one that expired.
    Nowhere,
}

/// Looks a visit up. `expires`: since the last text that carried the link.
pub fn lead(view: &View, told: Told<'_>, expires: Duration) -> Result<Led, ReadError> {
    let records = Applied(&*view.state);
    let Some(id) = records.fetch::<ObligationId>(&keys::token(told.token.as_u64()))? else {
        return Ok(Led::Nowhere);
    };
    let Some(obligation) = records.obligation(id)? else { return Ok(Led::Nowhere) };
    let since = gone(&obligation).next().map_or(obligation.created_at, |text| text.queued);
    if told.at.since(since) > expires {
        return Ok(Led::Nowhere);
    }
    let over = [ObligationStatus::Paid, ObligationStatus::Canceled, ObligationStatus::WrittenOff];
    if over.contains(&obligation.status) || !obligation.balance().is_positive() {
        return Ok(Led::Settled);
    }
    let catalog = view.catalog()?;
    let hosts = catalog.creditor(&obligation.creditor).map(|creditor| &creditor.link_hosts[..]);
    let target = obligation.link.as_deref().and_then(|link| Target::parse(link, hosts?).ok());
    match target.map(|target| target.for_recipient(told.token)) {
        Some(Field::Link(target)) => Ok(Led::To { target, click: click(view, (id, &obligation), told)? }),
        _ => Ok(Led::Nowhere),
    }
}

/// A text that went, as its step has it.
#[derive(Clone, Copy)]
struct Text {
    message: MessageId,
    queued: Timestamp,
    is_accepted: bool,
}

/// Newest first.
fn gone(obligation: &Obligation) -> impl Iterator<Item = Text> {
    obligation.steps.iter().rev().filter_map(|note| match note.how {
        StepOutcome::Gone { message, at, accepted, .. } => {
            Some(Text { message, queued: at, is_accepted: accepted })
        }
        _ => None,
    })
}

fn click(
    view: &View,
    (id, obligation): (ObligationId, &Obligation),
    told: Told<'_>,
) -> Result<Option<Click>, ReadError> {
    let (from, to) = keys::under(keys::history_of(id));
    let (mut visits, mut human) = (0, told.last_human);
    for (_, value) in view.state.scan_back(&from, &to, LINES)? {
        let line: HistoryLine = record::decode(&value)?;
        let Happened::Clicked { human: is_human } = line.what else { continue };
        visits += usize::from(told.at.since(line.at) < HOUR);
        if is_human {
            human = human.max(Some(line.at));
        }
    }
    if visits >= AN_HOUR {
        return Ok(None);
    }
    let accepted = accepted(view, obligation, told.at)?;
    Ok(Some(Click::of(Visit {
        method: told.method,
        agent: told.agent,
        since_acceptance_seconds: accepted.map(|at| seconds(told.at, at)),
        since_human_seconds: human.map(|at| seconds(told.at, at)),
    })))
}

/// When the network took the last text that it has. `None`: it has none yet.
fn accepted(view: &View, obligation: &Obligation, at: Timestamp) -> Result<Option<Timestamp>, ReadError> {
    // While a newer one is on its way, whoever comes has an older one.
    let Some(text) = gone(obligation).find(|text| text.is_accepted).or_else(|| gone(obligation).next())
    else {
        return Ok(None);
    };
    // One that is not kept any more went long ago.
    let Some(message) = view.message(text.message, at)? else { return Ok(Some(text.queued)) };
    let begun = message.head.attempts.last().map_or(text.queued, |attempt| attempt.begun);
    Ok(match message.head.state {
        State::Waiting { .. } | State::Leased { .. } => None,
        State::Sent { at, .. } => Some(at),
        // Which moment it was is not kept, or nobody knows.
        State::Unknown { .. } | State::Closed { .. } => Some(begun),
    })
}

/// Whether a person who came by one link at both moments is counted once.
pub fn is_repeat(later: Timestamp, earlier: Timestamp) -> bool {
    seconds(later, earlier) < REPEAT_SECONDS
}

fn seconds(later: Timestamp, earlier: Timestamp) -> i64 {
    (later.as_millis() as i64 - earlier.as_millis() as i64) / 1_000
}
