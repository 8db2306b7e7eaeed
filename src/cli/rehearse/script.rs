//! What happens in a rehearsal besides time: the events file, a JSON object a line, as reminder-contract.md has it.
//!
//! Strict: an unknown event, an unknown field or two events in one line is an error with its line. Files that
//! events name are read by the caller; this file sees texts.

use jiff::civil::Date;
use serde::Deserialize;

use crate::clock::Timestamp;
use crate::engine::Change;
use crate::engine::reminders::change::Which;
use crate::message::{LinkName, Msisdn};
use crate::reminder::bank::{self, Entry};
use crate::reminder::contact::e164;
use crate::reminder::money::Money;
use crate::reminder::name::{ExternalId, Key};
use crate::reminder::obligation::Payment;
use crate::reminder::task::TaskOutcome;

/// Lines of an events file at most.
const EVENTS_MAX: usize = 1_000_000;

/// Something that happens at an instant of true time, whatever the daemon's clock shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub at: Timestamp,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// What a person or a program asks of the daemon; it waits while the daemon is down.
    Changes(Vec<Change>),
    /// By the link that sent last to this number.
    Reply { from: Msisdn, text: String },
    /// The link has no network; what was on its way is in doubt.
    Outage { link: LinkName, until: Timestamp },
    /// The daemon is killed, and started again by its supervisor.
    Crash,
    /// The daemon is stopped in order, and started at `until`.
    Down { until: Timestamp },
    /// The daemon's wall clock is set.
    Clock { jump: Jump },
    /// The entries of a file of the bank.
    BankFile { path: String, entries: Vec<Entry> },
    /// The newest open task of an obligation is done.
    TaskDone { which: Which, outcome: TaskOutcome },
    /// The state becomes what it was at `to`, as from a backup.
    Restore { to: Timestamp },
}

/// How far a clock is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jump {
    Forward(std::time::Duration),
    Back(std::time::Duration),
}

/// One line of the events file that is not right.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct BadEvent {
    /// From 1.
    pub line: usize,
    pub why: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    at: String,
    payment: Option<RawPayment>,
    payment_reversed: Option<RawPayment>,
    reply: Option<RawReply>,
    due_date: Option<RawDueDate>,
    outage: Option<RawOutage>,
    crash: Option<Nothing>,
    down: Option<RawDown>,
    clock: Option<RawClock>,
    bank_file: Option<RawFile>,
    task_done: Option<RawTask>,
    restore: Option<RawRestore>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPayment {
    obligation: ExternalId,
    creditor: Option<Key>,
    external_id: ExternalId,
    amount: Money,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawReply {
    #[serde(with = "e164")]
    from: Msisdn,
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDueDate {
    obligation: ExternalId,
    creditor: Option<Key>,
    date: Date,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOutage {
    link: String,
    until: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDown {
    until: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawClock {
    jump: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    path: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTask {
    obligation: ExternalId,
    creditor: Option<Key>,
    outcome: String,
    /// Of `extend`.
    due_date: Option<Date>,
    /// Of `correct_number`.
    number: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRestore {
    to: String,
}

/// Reads the events in order of time; `file` reads what a `bank_file` names, and says the path where it cannot.
///
/// # Errors
/// The first line that is not right.
pub fn parse(text: &str, file: &dyn Fn(&str) -> Result<Vec<u8>, String>) -> Result<Vec<Event>, BadEvent> {
    let mut events = Vec::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let bad = |why: String| BadEvent { line: at + 1, why };
        if events.len() == EVENTS_MAX {
            return Err(bad(format!("there are more than {EVENTS_MAX} events")));
        }
        let raw: Raw = serde_json::from_str(line).map_err(|error| bad(error.to_string()))?;
        events.push(event(raw, file).map_err(bad)?);
    }
    events.sort_by_key(|event| event.at);
    Ok(events)
}

fn event(raw: Raw, file: &dyn Fn(&str) -> Result<Vec<u8>, String>) -> Result<Event, String> {
    let at = instant("at", &raw.at)?;
    let paid = |raw: RawPayment, reversed| {
        let RawPayment { obligation, creditor, external_id, amount } = raw;
        let which = Which::External { id: obligation, creditor };
        let payment = Payment { external_id, amount, at, reversed };
        if reversed { Change::Reverse { which, payment } } else { Change::Pay { which, payment } }
    };
    let named: Vec<Option<Result<What, String>>> = vec![
        raw.payment.map(|raw| Ok(What::Changes(vec![paid(raw, false)]))),
        raw.payment_reversed.map(|raw| Ok(What::Changes(vec![paid(raw, true)]))),
        raw.reply.map(|raw| Ok(What::Reply { from: raw.from, text: raw.text })),
        raw.due_date.map(|raw| {
            let which = Which::External { id: raw.obligation, creditor: raw.creditor };
            Ok(What::Changes(vec![Change::DueDate { which, date: raw.date, restart: false }]))
        }),
        raw.outage.map(|raw| {
            Ok(What::Outage { link: raw.link.as_str().into(), until: instant("until", &raw.until)? })
        }),
        raw.crash.map(|_| Ok(What::Crash)),
        raw.down.map(|raw| Ok(What::Down { until: instant("until", &raw.until)? })),
        raw.clock.map(|raw| Ok(What::Clock { jump: Jump::parse(&raw.jump)? })),
        raw.bank_file.map(|raw| bank_file(raw.path, file)),
        raw.task_done.map(task_done),
        raw.restore.map(|raw| Ok(What::Restore { to: instant("to", &raw.to)? })),
    ];
    let mut named = named.into_iter().flatten();
    match (named.next(), named.next()) {
        (Some(what), None) => Ok(Event { at, what: what? }),
        (None, _) => Err(String::from("names no event")),
        (Some(_), Some(_)) => Err(String::from("names two events: write a line for each")),
    }
}

fn bank_file(path: String, file: &dyn Fn(&str) -> Result<Vec<u8>, String>) -> Result<What, String> {
    let entries = bank::read(&file(&path)?).map_err(|bad| format!("{path}: {bad}"))?;
    Ok(What::BankFile { path, entries })
}

fn task_done(raw: RawTask) -> Result<What, String> {
    let outcome = match (raw.outcome.as_str(), raw.due_date, raw.number) {
        ("extend", Some(due_date), None) => TaskOutcome::Extend { due_date },
        ("correct_number", None, Some(number)) => {
            let number = Msisdn::parse_e164(&number).map_err(|bad| format!("number: {bad}"))?;
            TaskOutcome::CorrectNumber { number }
        }
        ("resume", None, None) => TaskOutcome::Resume,
        ("plan", None, None) => TaskOutcome::Plan,
        ("final", None, None) => TaskOutcome::Final,
        ("hand_over", None, None) => TaskOutcome::HandOver,
        ("suppress", None, None) => TaskOutcome::Suppress,
        ("paid", None, None) => TaskOutcome::Paid,
        (other, ..) => {
            return Err(format!(
                "outcome {other:?}: must be resume, extend with due_date, plan, final, hand_over, suppress, paid, \
                 or correct_number with number"
            ));
        }
    };
    Ok(What::TaskDone { which: Which::External { id: raw.obligation, creditor: raw.creditor }, outcome })
}

/// An instant with an offset; seconds may be left out.
///
/// # Errors
/// What is wrong, with the field's name.
pub fn instant(field: &str, text: &str) -> Result<Timestamp, String> {
    let short = || {
        let (head, zone) = text.split_at_checked(16)?;
        let zone = if zone.is_empty() { return None } else { zone };
        Timestamp::parse_rfc3339(&format!("{head}:00{zone}"))
    };
    Timestamp::parse_rfc3339(text)
        .or_else(short)
        .ok_or_else(|| format!("{field}: must be an instant with an offset, as 2026-03-01T00:00Z"))
}

impl Jump {
    /// `-1h`, `+90m`.
    ///
    /// # Errors
    /// What is wrong.
    pub fn parse(text: &str) -> Result<Jump, String> {
        let of =
            |text: &str| crate::config::value::duration(text).map_err(|bad| format!("jump: {}", bad.why));
        match text.strip_prefix('-') {
            Some(back) => Ok(Jump::Back(of(back)?)),
            None => Ok(Jump::Forward(of(text.strip_prefix('+').unwrap_or(text))?)),
        }
    }
}
