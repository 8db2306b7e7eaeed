//! What became of an obligation, as JSON: the word and the fields that events have too, and a sentence for people.

use serde_json::{Map, Value, json};

use crate::engine::reminders::view::{Line, LineKind, Timeline};
use crate::engine::reminders::{Happened, told};
use crate::id::ObligationId;
use crate::reminder::enrolment::{StepNote, StepOutcome};

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
    let step = &note.step;
    let (what, sentence, more) = match &note.how {
        StepOutcome::Gone { message, to, template, accepted, menu, answer, .. } => (
            "reminder",
            format!("step {step} became a message to {}", to.to_e164()),
            json!({"message": message.to_string(), "to": to.to_e164(), "template": template,
                "accepted": accepted, "menu": menu.as_ref().map(|menu| &menu.key), "answer": answer}),
        ),
        StepOutcome::Stale { .. } => ("stale", format!("step {step} was too late to go"), json!({})),
        StepOutcome::Skipped { gate, rule, .. } => {
            let sentence = format!("step {step} was left out: {gate} {rule}");
            ("skipped", sentence, json!({"gate": gate, "rule": rule}))
        }
        StepOutcome::Unknown { .. } => {
            ("unknown", format!("whether step {step} went is not known"), json!({}))
        }
    };
    let mut fields = match more {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    fields.insert(String::from("cycle"), note.cycle.into());
    fields.insert(String::from("step"), json!(step));
    (what, sentence, fields)
}

fn happened(what: &Happened) -> Told {
    let (word, fields) = told::fields(what);
    (word, sentence(what), fields)
}

/// For people; pages show it too.
pub fn sentence(what: &Happened) -> String {
    use Happened as H;
    match what {
        H::Created => String::from("it was made"),
        H::Changed => String::from("what is owed was worded anew"),
        H::Moved { from, to } => format!("the due date moved from {from} to {to}"),
        H::Status { from, to, .. } => format!("it was {} and is {}", from.as_str(), to.as_str()),
        H::Paid { amount, balance, .. } => format!("{amount} was paid, {balance} is left"),
        H::Reversed { amount, balance, .. } => {
            format!("a payment of {amount} went back, {balance} is owed")
        }
        H::Enrolled { sequence, .. } => format!("the sequence {sequence} began"),
        H::Gone { step, to, .. } => format!("step {step} became a message to {}", to.to_e164()),
        H::Accepted { step, .. } => format!("the network took step {step}"),
        H::Refused { step, gate, rule, .. } => format!("step {step} did not go: {gate} {rule}"),
        H::TakenBack { step, .. } => format!("step {step} was taken back before a byte of it went"),
        H::CrossedPayment { step, .. } => format!("step {step} had left when the payment came"),
        H::Stale { step } => format!("step {step} was too late to go"),
        H::Skipped { step, gate, rule } => format!("step {step} was left out: {gate} {rule}"),
        H::Paused { reason, .. } => format!("the reminders wait: {}", reason.as_str()),
        H::Resumed => String::from("the reminders go on"),
        H::Exited { reason } => format!("the reminders ended: {}", reason.as_str()),
        H::Completed => String::from("the sequence is over"),
        H::Promised { date, .. } => format!("payment was promised for {date}"),
        H::PromiseKept => String::from("the promise was kept"),
        H::PromiseBroken => String::from("the promise was broken"),
        H::PromiseWithdrawn => String::from("the promise holds no more"),
        H::Replied { option: Some(digit), .. } => format!("the contact chose {digit}"),
        H::Replied { option: None, .. } => String::from("the contact replied"),
        H::PaymentRequested { amount, .. } => format!("the contact asked to pay {amount}"),
        H::Asked { event, .. } => format!("a menu asked for {event}"),
        H::Clicked { .. } => String::from("the link was opened"),
        H::TaskOpened { kind, .. } => format!("a task was opened: {kind}"),
        H::TaskDone { outcome, .. } => format!("a task was done: {outcome}"),
        H::Acted { rule, act } => format!("the rule {rule} did {act}"),
        H::Called { rule, event } => format!("the rule {rule} asked for {event}"),
        H::Spoke { rule, to, .. } => {
            format!("the text of the rule {rule} became a message to {}", to.to_e164())
        }
        H::Withheld { rule, gate, why, .. } => {
            format!("what the rule {rule} wanted was not done: {gate} {why}")
        }
    }
}
