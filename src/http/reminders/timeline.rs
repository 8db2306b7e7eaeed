//! What became of an obligation, as JSON: a word for programs, a sentence for people, and what belongs to it.

use serde_json::{Map, Value, json};

use crate::engine::reminders::Happened;
use crate::engine::reminders::view::{Line, LineKind, Timeline};
use crate::http::inbound::ReplyJson;
use crate::id::ObligationId;
use crate::reminder::enrolment::{StepNote, StepOutcome};

pub fn shown(id: ObligationId, timeline: &Timeline) -> Value {
    let lines: Vec<Value> = timeline.lines.iter().map(line).collect();
    json!({"obligation": id.to_string(), "data": lines, "cut": timeline.cut, "next_cursor": null})
}

fn line(line: &Line) -> Value {
    let (what, sentence, more) = match &line.kind {
        LineKind::Happened(what) => happened(what),
        LineKind::Step { note, message } => {
            let (what, sentence, mut more) = step(note);
            if let (Value::Object(more), Some(message)) = (&mut more, message) {
                more.insert(String::from("status"), message.status.as_str().into());
                more.insert(String::from("text"), message.body.text.as_str().into());
            }
            (what, sentence, more)
        }
        LineKind::Reply { reply, what, .. } => {
            let (what, sentence, mut more) = happened(what);
            if let (Value::Object(more), Some(reply)) = (&mut more, reply) {
                let text = serde_json::to_value(ReplyJson::of(reply)).unwrap_or_default();
                more.insert(String::from("text"), text.get("text").cloned().unwrap_or_default());
            }
            (what, sentence, more)
        }
    };
    let mut shown = Map::new();
    shown.insert(String::from("at"), json!(line.at));
    shown.insert(String::from("what"), what.into());
    shown.insert(String::from("sentence"), sentence.into());
    shown.insert(String::from("by"), json!(Some(&line.by).filter(|by| !by.is_empty())));
    if let Value::Object(more) = more {
        shown.extend(more);
    }
    Value::Object(shown)
}

/// A word, a sentence, and what belongs to it.
pub type Told = (&'static str, String, Value);

fn step(note: &StepNote) -> Told {
    let step = &note.step;
    match &note.how {
        StepOutcome::Gone { message, to, template, accepted, menu, answer, .. } => (
            "reminder",
            format!("step {step} became a message to {}", to.to_e164()),
            json!({"cycle": note.cycle, "step": step, "message": message.to_string(), "to": to.to_e164(),
                "template": template, "accepted": accepted,
                "menu": menu.as_ref().map(|menu| &menu.key), "answer": answer}),
        ),
        StepOutcome::Stale { .. } => {
            ("stale", format!("step {step} was too late to go"), json!({"cycle": note.cycle, "step": step}))
        }
        StepOutcome::Skipped { gate, rule, .. } => (
            "skipped",
            format!("step {step} was left out: {gate} {rule}"),
            json!({"cycle": note.cycle, "step": step, "gate": gate, "rule": rule}),
        ),
        StepOutcome::Unknown { .. } => (
            "unknown",
            format!("whether step {step} went is not known"),
            json!({"cycle": note.cycle, "step": step}),
        ),
    }
}

/// What the history says; the words are those of events.
pub fn happened(what: &Happened) -> Told {
    use Happened as H;
    match what {
        H::Created => ("created", String::from("it was made"), json!({})),
        H::Changed => ("changed", String::from("what is owed was worded anew"), json!({})),
        H::Moved { from, to } => {
            ("moved", format!("the due date moved from {from} to {to}"), json!({"from": from, "to": to}))
        }
        H::Status { from, to } => (
            "status",
            format!("it was {} and is {}", from.as_str(), to.as_str()),
            json!({"from": from.as_str(), "to": to.as_str()}),
        ),
        H::Paid { external_id, amount, balance } => (
            "paid",
            format!("{amount} was paid, {balance} is left"),
            json!({"external_id": external_id, "amount": amount, "balance": balance}),
        ),
        H::Reversed { external_id, amount, balance } => (
            "reversed",
            format!("a payment of {amount} went back, {balance} is owed"),
            json!({"external_id": external_id, "amount": amount, "balance": balance}),
        ),
        H::Enrolled { sequence, version, cycle } => (
            "enrolled",
            format!("the sequence {sequence} began"),
            json!({"sequence": sequence, "version": version, "cycle": cycle}),
        ),
        _ => reminded(what),
    }
}

/// What happened to steps and their messages.
fn reminded(what: &Happened) -> Told {
    use Happened as H;
    match what {
        H::Gone { step, message, to, template } => (
            "reminder",
            format!("step {step} became a message to {}", to.to_e164()),
            json!({"step": step, "message": message.to_string(), "to": to.to_e164(), "template": template}),
        ),
        H::Accepted { step, message, reminders } => (
            "accepted",
            format!("the network took step {step}"),
            json!({"step": step, "message": message.to_string(), "reminders": reminders}),
        ),
        H::Refused { step, gate, pack, rule, next } => (
            "refused",
            format!("step {step} did not go: {gate} {rule}"),
            json!({"step": step, "gate": gate, "pack": pack, "rule": rule, "next": next}),
        ),
        H::TakenBack { step, message } => (
            "taken_back",
            format!("step {step} was taken back before a byte of it went"),
            json!({"step": step, "message": message.to_string()}),
        ),
        H::CrossedPayment { step, message } => (
            "crossed_payment",
            format!("step {step} had left when the payment came"),
            json!({"step": step, "message": message.to_string()}),
        ),
        H::Stale { step } => ("stale", format!("step {step} was too late to go"), json!({"step": step})),
        H::Skipped { step, gate, rule } => (
            "skipped",
            format!("step {step} was left out: {gate} {rule}"),
            json!({"step": step, "gate": gate, "rule": rule}),
        ),
        _ => followed(what),
    }
}

/// What followed for the enrolment, and what people said.
fn followed(what: &Happened) -> Told {
    use Happened as H;
    match what {
        H::Paused { reason, until } => (
            "paused",
            format!("the reminders wait: {}", reason.as_str()),
            json!({"reason": reason.as_str(), "until": until}),
        ),
        H::Resumed => ("resumed", String::from("the reminders go on"), json!({})),
        H::Exited { reason } => (
            "exited",
            format!("the reminders ended: {}", reason.as_str()),
            json!({"reason": reason.as_str()}),
        ),
        H::Completed => ("completed", String::from("the sequence is over"), json!({})),
        H::Promised { date, amount } => {
            ("promised", format!("payment was promised for {date}"), json!({"date": date, "amount": amount}))
        }
        H::PromiseKept => ("promise_kept", String::from("the promise was kept"), json!({})),
        H::PromiseBroken => ("promise_broken", String::from("the promise was broken"), json!({})),
        H::PromiseWithdrawn => ("promise_withdrawn", String::from("the promise holds no more"), json!({})),
        H::Replied { reply, option } => (
            "reply",
            match option {
                Some(digit) => format!("the contact chose {digit}"),
                None => String::from("the contact replied"),
            },
            json!({"reply": reply.to_string(), "option": option}),
        ),
        H::PaymentRequested { amount, reply, key } => (
            "payment_requested",
            format!("the contact asked to pay {amount}"),
            json!({"amount": amount, "reply": reply.to_string(), "key": key}),
        ),
        H::Asked { event, reply } => (
            "asked",
            format!("a menu asked for {event}"),
            json!({"event": event, "reply": reply.to_string()}),
        ),
        H::Clicked { human } => ("clicked", String::from("the link was opened"), json!({"human": human})),
        H::TaskOpened { task, kind } => (
            "task_opened",
            format!("a task was opened: {kind}"),
            json!({"task": task.to_string(), "kind": kind}),
        ),
        H::TaskDone { task, outcome } => (
            "task_done",
            format!("a task was done: {outcome}"),
            json!({"task": task.to_string(), "outcome": outcome}),
        ),
        // Everything else has its words in the two tables before.
        _ => ("changed", String::new(), json!({})),
    }
}
