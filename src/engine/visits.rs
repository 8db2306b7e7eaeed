//! Where a payment link leads, and what a visit to it counts as: read beside the core. Nothing is written here.

use std::time::Duration;

use super::reminders::happened::Happened;
use super::reminders::records::{Applied, HistoryLine, Records};
use super::{ReadError, View};
use crate::clock::Timestamp;
use crate::id::{MessageId, ObligationId};
use crate::message::Head;
use crate::reminder::enrolment::StepOutcome;
use crate::reminder::link::{Click, Target, Token, Visit};
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
    let last = last_text(&obligation);
    let since = last.map_or(obligation.created_at, |(_, at)| at);
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
        Some(Field::Link(target)) => Ok(Led::To { target, click: click(view, id, last, told)? }),
        _ => Ok(Led::Nowhere),
    }
}

/// What was sent last, and when it was queued.
fn last_text(obligation: &Obligation) -> Option<(MessageId, Timestamp)> {
    obligation.steps.iter().rev().find_map(|note| match note.how {
        StepOutcome::Gone { message, at, .. } => Some((message, at)),
        _ => None,
    })
}

fn click(
    view: &View,
    id: ObligationId,
    last: Option<(MessageId, Timestamp)>,
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
    let accepted = last.map(|(message, at)| accepted(view, message, at)).transpose()?;
    Ok(Some(Click::of(Visit {
        method: told.method,
        agent: told.agent,
        since_acceptance_seconds: accepted.map(|at| seconds(told.at, at)),
        since_human_seconds: human.map(|at| seconds(told.at, at)),
    })))
}

/// When the network took it: its last attempt, or when it was queued where none is known.
fn accepted(view: &View, message: MessageId, queued: Timestamp) -> Result<Timestamp, ReadError> {
    let head = view.state.get(&keys::head(message))?;
    let head: Option<Head> = head.map(|octets| record::decode(&octets)).transpose()?;
    let begun = head.and_then(|head| head.attempts.last().map(|attempt| attempt.begun));
    Ok(begun.unwrap_or(queued))
}

fn seconds(later: Timestamp, earlier: Timestamp) -> i64 {
    (later.as_millis() as i64 - earlier.as_millis() as i64) / 1_000
}
