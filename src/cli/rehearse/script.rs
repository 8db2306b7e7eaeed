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
        let raw = raw(line).map_err(bad)?;
        events.push(event(raw, file).map_err(bad)?);
    }
    events.sort_by_key(|event| event.at);
    Ok(events)
}

/// A line, with the field that is wrong where one is.
fn raw(line: &str) -> Result<Raw, String> {
    let mut json = serde_json::Deserializer::from_str(line);
    let raw =
        serde_path_to_error::deserialize(&mut json).map_err(|error| match error.path().to_string() {
            path if path == "." => error.inner().to_string(),
            path => format!("{path}: {}", error.inner()),
        })?;
    json.end().map_err(|error| error.to_string())?;
    Ok(raw)
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const AT: &str = r#""at": "2026-03-09T10:00Z""#;
    const STATEMENT: &str = ":20:S\n:25:1/2\n:60F:C260309EUR1,00\n\
        :61:2603090309C120,50NTRFNONREF//BANKREF0001\n:86:166?20INV-1\n:62F:C260309EUR121,50\n-\n";

    fn files(name: &str) -> Result<Vec<u8>, String> {
        match name {
            "bank.sta" => Ok(STATEMENT.into()),
            "torn.sta" => Ok(STATEMENT[..60].into()),
            "notes.txt" => Ok(b"hello".to_vec()),
            _ => Err(format!("{name}: no such file")),
        }
    }

    /// The event of a line, the instant left out.
    fn one(event: &str) -> What {
        let mut events = parse(&format!("{{{AT}, {event}}}"), &files).unwrap_or_else(|bad| panic!("{bad}"));
        assert_eq!(events.len(), 1);
        events.remove(0).what
    }

    fn bad(line: &str) -> String {
        let text = format!("\n{{{AT}, \"crash\": {{}}}}\n{line}\n");
        let bad = parse(&text, &files).expect_err(line);
        assert_eq!(bad.line, 3, "blank lines count: {bad}");
        assert!(bad.to_string().starts_with("line 3: "), "{bad}");
        bad.why
    }

    #[test]
    fn every_event_of_the_contract_is_read() {
        let money =
            r#"{"obligation": "INV-1", "external_id": "P1", "amount": {"value": "1.00", "currency": "EUR"}}"#;
        let What::Changes(paid) = one(&format!(r#""payment": {money}"#)) else { panic!("no change") };
        assert!(matches!(&paid[..], [Change::Pay { payment, .. }] if !payment.reversed));
        let What::Changes(back) = one(&format!(r#""payment_reversed": {money}"#)) else {
            panic!("no change")
        };
        assert!(matches!(&back[..], [Change::Reverse { payment, .. }] if payment.reversed));
        let What::Changes(moved) = one(r#""due_date": {"obligation": "INV-1", "date": "2026-04-01"}"#) else {
            panic!("no change")
        };
        assert!(matches!(&moved[..], [Change::DueDate { .. }]));
        let reply = one(r#""reply": {"from": "+4915112345671", "text": "STOP"}"#);
        assert!(matches!(reply, What::Reply { text, .. } if text == "STOP"));
        let until = instant("until", "2026-03-10T00:00Z").unwrap();
        let outage = one(r#""outage": {"link": "carrier", "until": "2026-03-10T00:00Z"}"#);
        assert_eq!(outage, What::Outage { link: "carrier".into(), until });
        assert_eq!(one(r#""crash": {}"#), What::Crash);
        assert_eq!(one(r#""down": {"until": "2026-03-10T00:00Z"}"#), What::Down { until });
        assert_eq!(one(r#""restore": {"to": "2026-03-10T00:00Z"}"#), What::Restore { to: until });
        let jump = Jump::Back(Duration::from_secs(3_600));
        assert_eq!(one(r#""clock": {"jump": "-1h"}"#), What::Clock { jump });
        let done = one(r#""task_done": {"obligation": "INV-1", "outcome": "hand_over"}"#);
        assert!(matches!(done, What::TaskDone { outcome: TaskOutcome::HandOver, .. }));
        let bank = one(r#""bank_file": {"path": "bank.sta"}"#);
        assert!(
            matches!(bank, What::BankFile { path, entries } if path == "bank.sta" && entries.len() == 1),
            "read before anything begins"
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line_and_its_field() {
        for (event, names) in [
            (r#""reply": {"from": "0151", "text": "x"}"#, "reply.from: "),
            (r#""reply": {"from": "+4915112345671"}"#, "text"),
            (
                r#""payment": {"obligation": "I", "external_id": "P", "amount": {"value": "x", "currency": "EUR"}}"#,
                "payment.amount: must be digits",
            ),
            (r#""payment": {"obligation": "I", "external_id": "P"}"#, "amount"),
            (r#""due_date": {"obligation": "I", "date": "2026-02-30"}"#, "due_date.date: "),
            (r#""outage": {"link": "carrier", "until": "tomorrow"}"#, "until: must be an instant"),
            (r#""down": {"until": "2026-03-10T00:00"}"#, "until: must be an instant"),
            (r#""restore": {"to": ""}"#, "to: must be an instant"),
            (r#""clock": {"jump": "soon"}"#, "jump: "),
            (r#""crash": {"hard": true}"#, "hard"),
            (r#""task_done": {"obligation": "I", "outcome": "extend"}"#, "outcome \"extend\""),
            (r#""task_done": {"obligation": "I", "outcome": "correct_number", "number": "0"}"#, "number: "),
            (r#""bank_file": {"path": "none.sta"}"#, "none.sta: no such file"),
            (r#""bank_file": {"path": "notes.txt"}"#, "notes.txt: neither camt.053 nor MT940"),
            (r#""bank_file": {"path": "torn.sta"}"#, "torn.sta: line 4"),
            (r#""flood": {}"#, "flood"),
            (r#""crash": {}, "down": {"until": "2026-03-10T00:00Z"}"#, "two events"),
        ] {
            let why = bad(&format!("{{{AT}, {event}}}"));
            assert!(why.contains(names), "{event}: {why}");
        }
        assert!(bad(&format!("{{{AT}}}")).contains("names no event"));
        assert!(bad(r#"{"at": "noon", "crash": {}}"#).contains("at: must be an instant"));
        assert!(bad(r#"{"crash": {}}"#).contains("at"));
        assert!(bad("{").contains("EOF"));
        assert!(bad(&format!("{{{AT}, \"crash\": {{}}}} more")).contains("trailing"));
    }

    #[test]
    fn events_are_played_in_order_of_time_whatever_their_order_in_the_file() {
        let line = |at: &str, text: &str| {
            format!(r#"{{"at": "{at}", "reply": {{"from": "+4915112345671", "text": "{text}"}}}}"#)
        };
        let lines = [
            line("2026-03-09T10:00:00.5+01:00", "b"),
            line("2026-03-09T10:00Z", "c"),
            line("2026-03-09T09:00Z", "a"),
            line("2026-03-09T10:00Z", "d"),
        ];
        let events = parse(&lines.join("\n"), &files).unwrap();
        let texts = events.iter().map(|event| match &event.what {
            What::Reply { text, .. } => text.as_str(),
            other => panic!("{other:?}"),
        });
        assert_eq!(texts.collect::<String>(), "abcd", "what falls together stays in the file's order");
    }
}
