//! What became of an obligation, as JSON: the word and the fields that events have too, and a sentence for people.
//!
//! The sentences are said here alone: pages show the same, with instants as their readers know them. What strangers
//! wrote stands in them as it is; whoever shows them makes it harmless.

use serde_json::{Map, Value, json};

use crate::clock::Timestamp;
use crate::engine::reminders::view::{Line, LineKind, Timeline};
use crate::engine::reminders::{Happened, told};
use crate::id::ObligationId;
use crate::reminder::enrolment::{StepNote, StepOutcome};
use crate::reminder::gate::Gate;
use crate::reminder::name::Key;

pub fn shown(id: ObligationId, timeline: &Timeline) -> Value {
    let lines: Vec<Value> = timeline.lines.iter().map(line).collect();
    json!({"obligation": id.to_string(), "data": lines, "cut": timeline.cut, "next_cursor": null})
}

fn line(line: &Line) -> Value {
    let (what, sentence, mut fields) = match &line.kind {
        LineKind::Happened(what) => happened(what),
        LineKind::Step { note, message } => {
            let (what, sentence, mut fields) = step(note);
            if let Some(message) = message {
                fields.insert(String::from("status"), message.status.as_str().into());
                fields.insert(String::from("text"), message.body.text.as_str().into());
            }
            (what, sentence, fields)
        }
        LineKind::Reply { reply, what, .. } => {
            let (what, sentence, mut fields) = happened(what);
            let text = reply.as_ref().and_then(|reply| reply.text.clone());
            fields.insert(String::from("text"), json!(text));
            (what, sentence, fields)
        }
    };
    fields.insert(String::from("at"), json!(line.at));
    fields.insert(String::from("what"), what.into());
    fields.insert(String::from("sentence"), sentence.into());
    fields.insert(String::from("by"), json!(Some(&line.by).filter(|by| !by.is_empty())));
    Value::Object(fields)
}

/// A word for programs, a sentence for people, and what belongs to it.
type Told = (&'static str, String, Map<String, Value>);

fn step(note: &StepNote) -> Told {
    let (what, more) = match &note.how {
        StepOutcome::Gone { message, to, template, accepted, menu, answer, .. } => (
            "reminder",
            json!({"message": message.to_string(), "to": to.to_e164(), "template": template,
                "accepted": accepted, "menu": menu.as_ref().map(|menu| &menu.key), "answer": answer}),
        ),
        StepOutcome::Stale { .. } => ("stale", json!({})),
        StepOutcome::Skipped { gate, rule, .. } => ("skipped", json!({"gate": gate, "rule": rule})),
        StepOutcome::Unknown { .. } => ("unknown", json!({})),
    };
    let mut fields = match more {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    fields.insert(String::from("cycle"), note.cycle.into());
    fields.insert(String::from("step"), json!(note.step));
    (what, of_step(note), fields)
}

fn happened(what: &Happened) -> Told {
    let (word, fields) = told::fields(what);
    (word, sentence(what, &Timestamp::to_rfc3339), fields)
}

/// A stable word as people read it.
pub fn plain(word: &str) -> String {
    word.replace('_', " ")
}

/// What a gate said, whose rule it is, and what it is called.
pub fn refusal(gate: &str, pack: Option<&Key>, rule: &str) -> String {
    let known = Gate::ALL.into_iter().find(|known| known.as_str() == gate);
    let words = known.map_or("A condition is not met", |known| known.sentence().trim_end_matches('.'));
    match pack {
        Some(pack) => format!("{words} (gate {gate}, rule {} of the pack {pack})", plain(rule)),
        None => format!("{words} (gate {gate}, {})", plain(rule)),
    }
}

/// What became of a step.
pub fn of_step(note: &StepNote) -> String {
    let step = &note.step;
    match &note.how {
        StepOutcome::Gone { to, template, .. } => became(step, &to.to_e164(), template),
        StepOutcome::Stale { .. } => too_late(step),
        StepOutcome::Skipped { gate, rule, .. } => left_out(step, gate, rule),
        StepOutcome::Unknown { .. } => format!("Step {step}: whether it went is not known"),
    }
}

fn became(step: &Key, to: &str, template: &str) -> String {
    format!("Step {step} became a message to {to} by the template {}", template_named(template))
}

/// `due@de@3` as people read it.
pub fn template_named(template: &str) -> String {
    let mut named = template.split('@');
    match (named.next(), named.next(), named.next()) {
        (Some(key), Some(language), Some(version)) => format!("{key} ({language}, version {version})"),
        _ => template.to_owned(),
    }
}

fn too_late(step: &Key) -> String {
    format!("Step {step}: its time passed")
}

fn left_out(step: &Key, gate: &str, rule: &str) -> String {
    format!("Step {step} was left out: {}", refusal(gate, None, rule))
}

/// What happened, in one sentence; `at` writes an instant.
pub fn sentence(what: &Happened, at: &dyn Fn(Timestamp) -> String) -> String {
    use Happened as H;
    match what {
        H::Created => String::from("Made"),
        H::Changed => String::from("Amount, words or link changed"),
        H::Moved { from, to } => format!("Due date moved from {from} to {to}"),
        H::Status { from, to, why } => {
            let why = if why.is_empty() { String::new() } else { format!(": {why}") };
            format!("{} became {}{why}", plain(from.as_str()), plain(to.as_str()))
        }
        H::Paid { external_id, amount, balance } => {
            format!("Paid {amount} ({external_id}); {balance} is left")
        }
        H::Reversed { external_id, amount, balance } => {
            format!("{amount} went back ({external_id}); {balance} is owed")
        }
        H::Promised { date, amount: None } => format!("Promised all of it by {date}"),
        H::Promised { date, amount: Some(amount) } => format!("Promised {amount} by {date}"),
        H::PromiseKept => String::from("The promise was kept"),
        H::PromiseBroken => String::from("The promise was broken"),
        H::PromiseWithdrawn => String::from("The promise was withdrawn"),
        H::Replied { option: Some(option), .. } => format!("Answered with {option}"),
        H::Replied { option: None, .. } => String::from("Replied"),
        H::PaymentRequested { amount, .. } => format!("Asked to pay {amount}"),
        H::Asked { event, .. } => format!("Asked for {event}"),
        H::Clicked { human: true } => String::from("The payment link was opened"),
        H::Clicked { human: false } => String::from("The payment link was opened by a scanner"),
        H::TaskOpened { kind, .. } => format!("Task: {}", plain(kind.as_str())),
        H::TaskDone { outcome, .. } => format!("Task done: {}", plain(outcome)),
        H::Enrolled { sequence, version, .. } => format!("Sequence {sequence}, version {version}, began"),
        H::Paused { reason, until: None } => format!("Paused: {}", plain(reason.as_str())),
        H::Paused { reason, until: Some(until) } => {
            format!("Paused: {} until {}", plain(reason.as_str()), at(*until))
        }
        H::Resumed => String::from("Reminders go on"),
        H::Exited { reason } => format!("Reminders ended: {}", plain(reason.as_str())),
        H::Completed => String::from("The sequence is over"),
        H::Gone { step, to, template, .. } => became(step, &to.to_e164(), template),
        H::Accepted { step, reminders, .. } => {
            format!("The network took step {step}: reminder {reminders} of this run")
        }
        H::Refused { step, gate, pack, rule, next } => {
            let again = next.map(|next| format!("; asked again {}", at(next))).unwrap_or_default();
            format!("Step {step} was refused: {}{again}", refusal(gate, pack.as_ref(), rule))
        }
        H::TakenBack { step, .. } => format!("Step {step} was taken back before a byte of it went"),
        H::CrossedPayment { step, .. } => format!("Step {step} had left when the payment came"),
        H::Stale { step } => too_late(step),
        H::Skipped { step, gate, rule } => left_out(step, gate, rule),
        H::Acted { rule, act } => format!("Rule {rule}: {act}"),
        H::Called { rule, event } => format!("Rule {rule}: asked for {event}"),
        H::Spoke { rule, to, template, .. } => {
            format!(
                "Rule {rule} became a message to {} by the template {}",
                to.to_e164(),
                template_named(template)
            )
        }
        H::Withheld { rule, gate, pack, why, .. } => {
            format!("Rule {rule}: not done: {}", refusal(gate, pack.as_ref(), why))
        }
    }
}
