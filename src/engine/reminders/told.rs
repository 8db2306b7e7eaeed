//! What became of obligations as the outside reads it: the name of the event and its fields.

use serde_json::{Map, Value, json};

use super::happened::Happened;
use crate::clock::Timestamp;
use crate::config::EventName;
use crate::reminder::name::Key;

/// What it is called outside; `None`: the message's own events tell it.
pub fn event(what: &Happened) -> Option<EventName> {
    Some(match what {
        Happened::Gone { .. } | Happened::Spoke { .. } => return None,
        Happened::Created => EventName::ObligationCreated,
        Happened::Changed | Happened::Moved { .. } | Happened::Status { .. } => EventName::ObligationChanged,
        Happened::Paid { .. } => EventName::PaymentReceived,
        Happened::Reversed { .. } => EventName::PaymentReversed,
        Happened::PaymentRequested { .. } => EventName::PaymentRequested,
        Happened::CrossedPayment { .. } => EventName::PaymentCrossed,
        Happened::Enrolled { .. } => EventName::EnrolmentStarted,
        Happened::Paused { .. } => EventName::EnrolmentPaused,
        Happened::Resumed => EventName::EnrolmentResumed,
        Happened::Exited { .. } => EventName::EnrolmentExited,
        Happened::Completed => EventName::EnrolmentCompleted,
        Happened::Accepted { .. } => EventName::ReminderAccepted,
        Happened::Refused { .. } => EventName::ReminderRefused,
        Happened::TakenBack { .. } => EventName::ReminderTakenBack,
        Happened::Stale { .. } | Happened::Skipped { .. } => EventName::ReminderSkipped,
        Happened::Promised { .. } => EventName::PromiseMade,
        Happened::PromiseKept => EventName::PromiseKept,
        Happened::PromiseBroken => EventName::PromiseBroken,
        Happened::PromiseWithdrawn => EventName::PromiseWithdrawn,
        Happened::Replied { .. } => EventName::MenuChosen,
        Happened::Asked { .. } => EventName::MenuAsked,
        Happened::Clicked { .. } => EventName::LinkClicked,
        Happened::Acted { .. } => EventName::RuleActed,
        Happened::Called { .. } => EventName::RuleAsked,
        Happened::Withheld { .. } => EventName::RuleRefused,
        // Tasks have events of their own.
        Happened::TaskOpened { .. } | Happened::TaskDone { .. } => return None,
    })
}

/// The stable word and the fields of it, for the timeline.
pub fn fields(what: &Happened) -> (&'static str, Map<String, Value>) {
    let (word, value) = money_or_state(what).or_else(|| step(what)).unwrap_or_else(|| rest(what));
    match value {
        Value::Object(fields) => (word, fields),
        _ => (word, Map::new()),
    }
}

fn money_or_state(what: &Happened) -> Option<(&'static str, Value)> {
    let payment = |external_id: &crate::reminder::name::ExternalId, amount, balance| json!({"payment": external_id.as_str(), "amount": amount, "balance": balance});
    Some(match what {
        Happened::Created => ("created", json!({})),
        Happened::Changed => ("changed", json!({})),
        Happened::Moved { from, to } => ("moved", json!({"from": from, "to": to})),
        Happened::Status { from, to, why } => {
            ("status", json!({"from": from.as_str(), "to": to.as_str(), "reason": why}))
        }
        Happened::Paid { external_id, amount, balance } => ("paid", payment(external_id, amount, balance)),
        Happened::Reversed { external_id, amount, balance } => {
            ("reversed", payment(external_id, amount, balance))
        }
        Happened::PaymentRequested { amount, reply, key } => (
            "payment_requested",
            json!({"amount": amount, "reply": reply.to_string(), "idempotency_key": key}),
        ),
        Happened::Promised { date, amount } => ("promised", json!({"date": date, "amount": amount})),
        Happened::PromiseKept => ("promise_kept", json!({})),
        Happened::PromiseBroken => ("promise_broken", json!({})),
        Happened::PromiseWithdrawn => ("promise_withdrawn", json!({})),
        _ => return None,
    })
}

fn step(what: &Happened) -> Option<(&'static str, Value)> {
    Some(match what {
        Happened::Gone { step, message, template, .. } => {
            ("queued", json!({"step": step.as_str(), "message": message.to_string(), "template": template}))
        }
        Happened::Accepted { step, message, reminders } => (
            "accepted",
            json!({"step": step.as_str(), "message": message.to_string(), "reminders_accepted": reminders}),
        ),
        Happened::Refused { step, gate, pack, rule, next } => (
            "refused",
            json!({"step": step.as_str(), "gate": gate, "pack": key(pack), "rule": rule, "next": at(next)}),
        ),
        Happened::TakenBack { step, message } => {
            ("taken_back", json!({"step": step.as_str(), "message": message.to_string()}))
        }
        Happened::CrossedPayment { step, message } => {
            ("crossed_payment", json!({"step": step.as_str(), "message": message.to_string()}))
        }
        Happened::Stale { step } => ("stale", json!({"step": step.as_str()})),
        Happened::Skipped { step, gate, rule } => {
            ("skipped", json!({"step": step.as_str(), "gate": gate, "rule": rule}))
        }
        _ => return None,
    })
}

fn rest(what: &Happened) -> (&'static str, Value) {
    match what {
        Happened::Enrolled { sequence, version, cycle } => {
            ("enrolled", json!({"sequence": sequence.as_str(), "version": version, "cycle": cycle}))
        }
        Happened::Paused { reason, until } => {
            ("paused", json!({"reason": reason.as_str(), "until": at(until)}))
        }
        Happened::Resumed => ("resumed", json!({})),
        Happened::Exited { reason } => ("exited", json!({"reason": reason.as_str()})),
        Happened::Completed => ("completed", json!({})),
        Happened::Replied { reply, option } => {
            ("replied", json!({"reply": reply.to_string(), "option": option}))
        }
        Happened::Asked { event, reply } => {
            ("asked", json!({"event": event.as_str(), "reply": reply.to_string()}))
        }
        Happened::Clicked { human } => ("clicked", json!({"human": human})),
        Happened::TaskOpened { task, kind } => {
            ("task_opened", json!({"task": task.to_string(), "kind": kind.as_str()}))
        }
        Happened::TaskDone { task, outcome } => {
            ("task_done", json!({"task": task.to_string(), "outcome": outcome}))
        }
        Happened::Acted { rule, act } => ("rule_acted", json!({"rule": rule.as_str(), "do": act})),
        Happened::Called { rule, event } => {
            ("rule_asked", json!({"rule": rule.as_str(), "event": event.as_str()}))
        }
        Happened::Spoke { rule, message, template, .. } => (
            "rule_text",
            json!({"rule": rule.as_str(), "message": message.to_string(), "template": template}),
        ),
        Happened::Withheld { rule, gate, pack, why, next } => (
            "rule_refused",
            json!({"rule": rule.as_str(), "gate": gate, "pack": key(pack), "why": why, "next": at(next)}),
        ),
        _ => ("happened", json!({})),
    }
}

fn at(at: &Option<Timestamp>) -> Option<String> {
    at.map(Timestamp::to_rfc3339)
}

fn key(key: &Option<Key>) -> Option<&str> {
    key.as_ref().map(Key::as_str)
}
