//! Whether a reminder may go at this instant, and until when: the gates at the wire, in one order.
//!
//! Suppression, hold, paid, obligation, sequence, consent, hours, wishes, caps, quota, route. The first that refuses
//! is named, with the pack and the rule that say so and with what becomes of the step. [`judge`] is a function of
//! values: the engine asks it when a step is due and again at the lease, `simulate` and `rehearse` ask it of
//! instants to come. A clearance never reaches beyond the hours it was given in, so what is made of it expires
//! before the night. Who collects the facts, and the record of what was sent, are left to the engine.

use std::fmt;
use std::time::Duration;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::caps::Ledger;
use super::consent::Standing;
use super::enrolment::{EnrolmentState, ExitReason};
use super::hours::{Opening, WeekHours, next_opening_except};
use super::name::Key;
use super::obligation::ObligationStatus;
use super::pack::Duty;
use super::rules::{Breach, Rule, Rules};
use super::task::kind;
use super::zone::ZoneSet;
use crate::clock::Timestamp;

/// The least that a text needs before its window closes: TP-VP knows no shorter validity (3GPP TS 23.040,
/// 9.2.3.12.1), and one that cannot be bounded could arrive at night.
pub const SHORTEST: Duration = Duration::from_secs(5 * 60);
/// Stretches shorter than [`SHORTEST`] in a row, after which there is none.
const SHORT_STRETCHES_MAX: usize = 32;

/// All that is known of a text and of whom it is for, at one instant.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    pub now: Timestamp,
    pub aim: Aim,
    /// When its step may go.
    pub step: StepWindow,
    /// By any suppression that binds this number and creditor.
    pub is_suppressed: bool,
    /// A reply of this number waits for a person.
    pub is_held: bool,
    pub number: NumberState,
    /// The contact has an attorney in this matter.
    pub has_attorney: bool,
    pub status: ObligationStatus,
    /// Something is still owed beyond what is not worth a text.
    pub is_owed: bool,
    pub enrolment: &'a EnrolmentState,
    pub standing: &'a Standing,
    /// The last text from this number.
    pub last_inbound: Option<Timestamp>,
    /// When the letter or mail went that some laws want first.
    pub initial_notice: Option<Timestamp>,
    pub rules: &'a Rules,
    pub zones: &'a ZoneSet,
    /// Holidays of the creditor's calendar.
    pub is_holiday: &'a dyn Fn(Date) -> bool,
    /// The contact's own hours and days.
    pub wishes: Option<&'a WeekHours>,
    /// Of the phone, over all creditors.
    pub ledger: &'a Ledger,
    /// When quotas have room again, if they have none now.
    pub quota_until: Option<Timestamp>,
    /// Classes of every route that it may take: the creditor's, and those of each link of its lane, because any of
    /// them may get it once it is queued. One that is forbidden refuses it, however many others there are.
    pub route_classes: &'a [&'a str],
}

/// What a text is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    Reminder,
    /// It speaks of money that came: paid, and an enrolment over for it, do not stop it.
    Confirmation,
    /// The person has asked for it just now: where the sequence stands and how much was sent do not stop it.
    Answer,
}

/// From its planned instant until its grace ends, excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepWindow {
    pub from: Timestamp,
    pub until: Timestamp,
}

/// What is known of a number apart from its owner's will.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberState {
    Usable,
    /// Somebody else's.
    Wrong,
    /// Nobody's, or none that takes texts.
    Dead,
}

/// The gates in their order, as stable words of the API. Append only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    Suppression,
    Hold,
    Paid,
    Obligation,
    Sequence,
    Consent,
    Hours,
    Wishes,
    Caps,
    Quota,
    Route,
}

/// It may go, and must have arrived or expired by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clearance {
    pub until: Timestamp,
}

/// It may not go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub gate: Gate,
    /// Whose rule it is; `None`: it holds whatever packs there are.
    pub pack: Option<Key>,
    pub rule: Rule,
    pub then: Then,
}

/// What becomes of a step that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Not before this instant; this gate lets it by then.
    Wait(Timestamp),
    /// This step is over; the next one may go at its time.
    Skip,
    /// Nothing by itself: what stopped it moves it on.
    Stay,
    /// The enrolment is over.
    Exit(ExitReason),
    /// A task of this kind ([`kind`]); without one nothing goes.
    NeedsPerson(&'static str),
}

/// # Errors
/// The first gate that refuses.
pub fn judge(facts: &Facts) -> Result<Clearance, Refusal> {
    suppression(facts)?;
    hold(facts)?;
    paid(facts)?;
    obligation(facts)?;
    sequence(facts)?;
    consent(facts)?;
    hours(facts)?;
    let closes = wishes(facts)?;
    caps(facts)?;
    quota(facts)?;
    route(facts)?;
    Ok(Clearance { until: closes.min(facts.step.until) })
}

/// What an obligation without an enrolment gets: it has no step that may go.
pub const fn never() -> Refusal {
    plain(Gate::Sequence, Rule::NotEnrolled, Then::Stay)
}

/// A text that cannot say of its sender what a pack demands ([`Rules::disclosures`]).
pub fn disclosure(breach: &Breach) -> Refusal {
    by_pack(Gate::Consent, Some(*breach), breach.rule, Then::NeedsPerson(kind::RENDER))
}

fn suppression(facts: &Facts) -> Result<(), Refusal> {
    if facts.is_suppressed {
        return Err(plain(Gate::Suppression, Rule::OptedOut, Then::Exit(ExitReason::OptedOut)));
    }
    Ok(())
}

fn hold(facts: &Facts) -> Result<(), Refusal> {
    let refuse = |rule, then| Err(plain(Gate::Hold, rule, then));
    match facts.number {
        NumberState::Usable => {}
        NumberState::Wrong => return refuse(Rule::WrongNumber, Then::Exit(ExitReason::WrongNumber)),
        NumberState::Dead => return refuse(Rule::DeadNumber, Then::Exit(ExitReason::InvalidNumber)),
    }
    if facts.is_held {
        return refuse(Rule::Held, Then::NeedsPerson(kind::REVIEW));
    }
    match facts.rules.demands(Duty::AttorneyHalt).filter(|_| facts.has_attorney) {
        Some(pack) => {
            let breach = Breach { pack, rule: Rule::Attorney };
            Err(by_pack(Gate::Hold, Some(breach), Rule::Attorney, Then::Exit(ExitReason::Attorney)))
        }
        None => Ok(()),
    }
}

fn paid(facts: &Facts) -> Result<(), Refusal> {
    let settled = facts.status == ObligationStatus::Paid || !facts.is_owed;
    if settled && facts.aim != Aim::Confirmation {
        return Err(plain(Gate::Paid, Rule::Paid, Then::Exit(ExitReason::Paid)));
    }
    Ok(())
}

fn obligation(facts: &Facts) -> Result<(), Refusal> {
    let refuse = |rule, then| Err(plain(Gate::Obligation, rule, then));
    match facts.status {
        ObligationStatus::Open | ObligationStatus::PartiallyPaid | ObligationStatus::Paid => Ok(()),
        ObligationStatus::InPlan if facts.aim == Aim::Confirmation => Ok(()),
        ObligationStatus::InPlan => refuse(Rule::InPlan, Then::Stay),
        ObligationStatus::Disputed => refuse(Rule::Disputed, Then::NeedsPerson(kind::DISPUTE)),
        ObligationStatus::HandedOver => refuse(Rule::HandedOver, Then::Exit(ExitReason::HandedOver)),
        ObligationStatus::Canceled => refuse(Rule::Canceled, Then::Exit(ExitReason::Canceled)),
        ObligationStatus::WrittenOff => refuse(Rule::WrittenOff, Then::Exit(ExitReason::Canceled)),
    }
}

fn sequence(facts: &Facts) -> Result<(), Refusal> {
    let refuse = |rule, then| Err(plain(Gate::Sequence, rule, then));
    match *facts.enrolment {
        _ if facts.aim == Aim::Answer => {}
        EnrolmentState::Scheduled | EnrolmentState::Active => {}
        EnrolmentState::Exited { reason: ExitReason::Paid, .. }
        | EnrolmentState::Completed { .. }
        | EnrolmentState::Paused { .. }
            if facts.aim == Aim::Confirmation => {}
        EnrolmentState::Paused { until: Some(until), .. } if until <= facts.now => {}
        EnrolmentState::Paused { reason, until } => {
            return refuse(Rule::Paused(reason), until.map_or(Then::Stay, Then::Wait));
        }
        EnrolmentState::Completed { .. } => return refuse(Rule::Completed, Then::Skip),
        EnrolmentState::Exited { reason, .. } => return refuse(Rule::Exited(reason), Then::Exit(reason)),
    }
    if facts.now < facts.step.from {
        return refuse(Rule::NotDue, Then::Wait(facts.step.from));
    }
    let left = facts.step.until.since(facts.now);
    if left < SHORTEST { refuse(Rule::Stale, Then::Skip) } else { Ok(()) }
}

fn consent(facts: &Facts) -> Result<(), Refusal> {
    if facts.standing.is_revoked() {
        return Err(plain(Gate::Consent, Rule::Revoked, Then::Exit(ExitReason::OptedOut)));
    }
    let needs_person = Then::NeedsPerson(kind::CONSENT);
    if let Some(breach) = facts.rules.lacks_consent(facts.standing, facts.last_inbound, facts.now) {
        return Err(by_pack(Gate::Consent, Some(breach), Rule::Consent, needs_person));
    }
    let noticed = facts.initial_notice.is_some_and(|at| at <= facts.now);
    match facts.rules.demands(Duty::InitialNotice).filter(|_| !noticed) {
        Some(pack) => {
            let breach = Breach { pack, rule: Rule::InitialNotice };
            Err(by_pack(Gate::Consent, Some(breach), Rule::InitialNotice, needs_person))
        }
        None => Ok(()),
    }
}

fn hours(facts: &Facts) -> Result<(), Refusal> {
    let own = *facts.rules.hours();
    let Some(open) = opening(facts, &own, facts.now) else {
        return Err(by_pack(Gate::Hours, closed(facts), Rule::Hours, Then::NeedsPerson(kind::NEEDS_ZONE)));
    };
    if open.opens == facts.now {
        return Ok(());
    }
    // Waking up for hours that the contact does not want is of no use.
    let next = opening(facts, &wished(facts), facts.now).unwrap_or(open);
    Err(by_pack(Gate::Hours, closed(facts), Rule::Hours, wait(facts, next.opens)))
}

/// When the hours close that packs and contact have in common.
fn wishes(facts: &Facts) -> Result<Timestamp, Refusal> {
    match opening(facts, &wished(facts), facts.now) {
        Some(open) if open.opens == facts.now => Ok(open.closes),
        Some(open) => Err(plain(Gate::Wishes, Rule::Wishes, wait(facts, open.opens))),
        None => Err(plain(Gate::Wishes, Rule::Wishes, Then::NeedsPerson(kind::NEEDS_ZONE))),
    }
}

fn caps(facts: &Facts) -> Result<(), Refusal> {
    if facts.aim == Aim::Answer {
        return Ok(());
    }
    let Some((breach, free)) = facts.rules.capped(facts.ledger, facts.zones, facts.now) else {
        return Ok(());
    };
    Err(by_pack(Gate::Caps, Some(breach), breach.rule, wait_open(facts, free)))
}

fn quota(facts: &Facts) -> Result<(), Refusal> {
    match facts.quota_until.filter(|&until| until > facts.now) {
        Some(until) => Err(plain(Gate::Quota, Rule::Quota, wait_open(facts, until))),
        None => Ok(()),
    }
}

fn route(facts: &Facts) -> Result<(), Refusal> {
    match facts.route_classes.iter().find_map(|class| facts.rules.forbids(class)) {
        Some(breach) => Err(by_pack(Gate::Route, Some(breach), Rule::Route, Then::NeedsPerson(kind::ROUTE))),
        None => Ok(()),
    }
}

/// What packs and contact have in common.
fn wished(facts: &Facts) -> WeekHours {
    facts.wishes.map_or(*facts.rules.hours(), |wishes| facts.rules.hours().narrow(*wishes))
}

/// The first stretch from `from` on that leaves a text [`SHORTEST`] or more.
fn opening(facts: &Facts, hours: &WeekHours, mut from: Timestamp) -> Option<Opening> {
    let keeps = facts.rules.demands(Duty::ClosedOnHolidays).is_some();
    let closed = |date| keeps && (facts.is_holiday)(date);
    for _ in 0..SHORT_STRETCHES_MAX {
        let open = next_opening_except(facts.zones, hours, &closed, from)?;
        if open.closes.since(open.opens) >= SHORTEST {
            return Some(open);
        }
        from = open.closes;
    }
    None
}

/// Whose hours are closed, or about to be.
fn closed<'a>(facts: &Facts<'a>) -> Option<Breach<'a>> {
    let holiday = || {
        let local = facts.zones.zones().iter().map(|zone| zone.local(facts.now).date());
        let pack =
            facts.rules.demands(Duty::ClosedOnHolidays).filter(|_| local.into_iter().any(facts.is_holiday));
        pack.map(|pack| Breach { pack, rule: Rule::Holiday })
    };
    let now = facts.rules.closed(facts.zones, facts.now);
    now.or_else(holiday).or_else(|| facts.rules.closing(facts.zones, facts.now))
}

/// Waits for an opening at or after an instant.
fn wait_open(facts: &Facts, from: Timestamp) -> Then {
    wait(facts, opening(facts, &wished(facts), from).map_or(from, |open| open.opens))
}

/// Waits, unless the step is over by then.
fn wait(facts: &Facts, next: Timestamp) -> Then {
    if facts.step.until.since(next) < SHORTEST { Then::Skip } else { Then::Wait(next) }
}

const fn plain(gate: Gate, rule: Rule, then: Then) -> Refusal {
    Refusal { gate, pack: None, rule, then }
}

fn by_pack(gate: Gate, breach: Option<Breach>, otherwise: Rule, then: Then) -> Refusal {
    let pack = breach.as_ref().map(|breach| breach.pack.clone());
    Refusal { gate, pack, rule: breach.map_or(otherwise, |breach| breach.rule), then }
}

impl Gate {
    pub const ALL: [Gate; 11] = {
        use Gate::*;
        [Suppression, Hold, Paid, Obligation, Sequence, Consent, Hours, Wishes, Caps, Quota, Route]
    };

    pub const fn as_str(self) -> &'static str {
        match self {
            Gate::Suppression => "suppression",
            Gate::Hold => "hold",
            Gate::Paid => "paid",
            Gate::Obligation => "obligation",
            Gate::Sequence => "sequence",
            Gate::Consent => "consent",
            Gate::Hours => "hours",
            Gate::Wishes => "wishes",
            Gate::Caps => "caps",
            Gate::Quota => "quota",
            Gate::Route => "route",
        }
    }

    /// The stable code, of the same kind as [`crate::message::Reason::code`].
    pub const fn code(self) -> &'static str {
        match self {
            Gate::Suppression => "policy.opted_out",
            Gate::Hold => "policy.hold",
            Gate::Paid => "policy.paid",
            Gate::Obligation => "policy.obligation",
            Gate::Sequence => "policy.sequence",
            Gate::Consent => "policy.consent",
            Gate::Hours => "policy.hours",
            Gate::Wishes => "policy.wishes",
            Gate::Caps => "policy.caps",
            Gate::Quota => "policy.quota",
            Gate::Route => "policy.route",
        }
    }

    /// One sentence for people.
    pub const fn sentence(self) -> &'static str {
        match self {
            Gate::Suppression => "The recipient does not want messages.",
            Gate::Hold => "The number must not be texted until a person has looked.",
            Gate::Paid => "It is paid.",
            Gate::Obligation => "The obligation is not to be reminded of.",
            Gate::Sequence => "The sequence is not at this step.",
            Gate::Consent => "The consent, notice or disclosure that a pack asks for is missing or too old.",
            Gate::Hours => "It is not an hour for reminders where the recipient may be.",
            Gate::Wishes => "The recipient does not want reminders at this hour or day.",
            Gate::Caps => "The number had as many reminders as it may get.",
            Gate::Quota => "The quotas of the links are used up.",
            Gate::Route => "A pack forbids such texts on this class of route.",
        }
    }
}

impl Refusal {
    pub const fn code(&self) -> &'static str {
        self.gate.code()
    }

    /// When it is worth another try.
    pub const fn next(&self) -> Option<Timestamp> {
        match self.then {
            Then::Wait(next) => Some(next),
            Then::Skip | Then::Stay | Then::Exit(_) | Then::NeedsPerson(_) => None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.gate.as_str())?;
        match &self.pack {
            Some(pack) => write!(f, " {pack} {}", self.rule),
            None => write!(f, " {}", self.rule),
        }
    }
}

#[cfg(test)]
mod tests;
