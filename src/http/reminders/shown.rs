//! The records of the reminder side as JSON: the contract's names, ids with their prefix, times as RFC 3339.
//! Lists, single answers and exports show the same.

use serde_json::{Value, json};

use crate::clock::Timestamp;
use crate::engine::reminders::records::{Account, Phone, PhoneStatus, StoredContact};
use crate::engine::reminders::subscriptions::StoredSubscription;
use crate::id::{ContactId, ObligationId, TaskId};
use crate::message::Msisdn;
use crate::reminder::consent::{Actor, Basis, ConsentEvent, Standing};
use crate::reminder::enrolment::{Enrolment, EnrolmentState};
use crate::reminder::name::Key;
use crate::reminder::obligation::{Obligation, Origin, Payment};
use crate::reminder::task::{Task, TaskOutcome, TaskState};

/// A record's own fields with others beside them.
fn beside(own: impl serde::Serialize, more: Value) -> Value {
    let mut own = serde_json::to_value(own).unwrap_or_default();
    if let (Value::Object(own), Value::Object(more)) = (&mut own, more) {
        own.extend(more);
    }
    own
}

pub fn contact(id: ContactId, stored: &StoredContact) -> Value {
    let more = json!({
        "id": id.to_string(), "version": stored.version, "created_at": stored.created_at,
    });
    beside(&stored.contact, more)
}

pub fn account(account: &Account) -> Value {
    json!({
        "external_id": account.external_id,
        "creditor": account.creditor,
        "contact": account.contact.to_string(),
        "case_manager": account.case_manager,
        "tags": account.tags,
        "custom": account.custom,
        "version": account.version,
        "created_at": account.created_at,
    })
}

pub fn obligation(id: ObligationId, o: &Obligation) -> Value {
    let payments: Vec<Value> = o.payments.iter().map(payment).collect();
    json!({
        "id": id.to_string(),
        "external_id": o.external_id,
        "account": o.account,
        "creditor": o.creditor,
        "contact": o.contact.to_string(),
        "amount": o.amount,
        "min_due": o.min_due,
        "due_date": o.due_date,
        "description": o.description,
        "link": o.link,
        "sequence": o.sequence,
        "status": o.status.as_str(),
        "balance": o.balance(),
        "version": o.version,
        "created_at": o.created_at,
        "payments": payments,
        "promise": o.promise,
        "plan": o.plan,
        "origin": origin(&o.origin),
        "enrolment": o.enrolment.as_ref().map(enrolment_part),
    })
}

fn origin(origin: &Origin) -> Value {
    match origin {
        Origin::Firm => json!({"kind": "firm"}),
        Origin::Plan { obligation, n } => {
            json!({"kind": "plan", "obligation": obligation.to_string(), "n": n})
        }
        Origin::Subscription { external_id, period } => {
            json!({"kind": "subscription", "external_id": external_id, "period": period})
        }
    }
}

pub fn payment(payment: &Payment) -> Value {
    json!(payment)
}

fn enrolment_part(enrolment: &Enrolment) -> Value {
    let (reason, until) = match &enrolment.state {
        EnrolmentState::Paused { reason, until } => (Some(reason.as_str()), *until),
        EnrolmentState::Exited { reason, .. } => (Some(reason.as_str()), None),
        _ => (None, None),
    };
    let ended_at = match &enrolment.state {
        EnrolmentState::Completed { at } | EnrolmentState::Exited { at, .. } => Some(*at),
        _ => None,
    };
    json!({
        "sequence": enrolment.sequence,
        "version": enrolment.version,
        "since": enrolment.since,
        "state": enrolment.state.as_str(),
        "reason": reason,
        "until": until,
        "ended_at": ended_at,
        "next": enrolment.next,
        "reminders_accepted": enrolment.reminders_accepted,
        "refused": enrolment.refused,
    })
}

/// The enrolment alone, with the obligation it is of; `None` where there is none.
pub fn enrolment(id: ObligationId, obligation: &Obligation) -> Option<Value> {
    let part = enrolment_part(obligation.enrolment.as_ref()?);
    let of = json!({
        "obligation": id.to_string(), "external_id": obligation.external_id, "creditor": obligation.creditor,
    });
    Some(beside(of, part))
}

/// The instalments of a plan are obligations of their own.
pub fn plan(id: ObligationId, obligation: &Obligation) -> Value {
    let part = |(at, part): (usize, &crate::reminder::plan::PlanPart)| {
        let external_id = obligation.instalment_id(at + 1);
        json!({"due_date": part.due_date, "amount": part.amount, "external_id": external_id})
    };
    let parts: Vec<Value> = obligation.plan.iter().enumerate().map(part).collect();
    json!({
        "obligation": id.to_string(),
        "external_id": obligation.external_id,
        "creditor": obligation.creditor,
        "status": obligation.status.as_str(),
        "balance": obligation.balance(),
        "instalments": parts,
    })
}

pub fn subscription(stored: &StoredSubscription) -> Value {
    let more = json!({
        "version": stored.version, "made_until": stored.made_until, "next_made_at": stored.timer,
    });
    beside(&stored.subscription, more)
}

pub fn consent(phone: Msisdn, creditor: Option<&Key>, event: &ConsentEvent) -> Value {
    let actor = match &event.actor {
        Actor::Contact => json!({"kind": "contact"}),
        Actor::Token(name) => json!({"kind": "token", "name": name.as_str()}),
    };
    json!({
        "phone": phone.to_e164(),
        "creditor": creditor,
        "kind": event.kind,
        "at": event.at,
        "channel": event.channel,
        "wording": event.wording,
        "evidence": event.evidence,
        "actor": actor,
    })
}

/// What the events of one phone and creditor come to.
pub fn standing(creditor: Option<&Key>, standing: &Standing, now: Timestamp) -> Value {
    let (basis, since) = match standing.basis(now) {
        Basis::None => ("none", None),
        Basis::Word { since } => ("word", Some(since)),
        Basis::Proof { since } => ("proof", Some(since)),
    };
    json!({
        "creditor": creditor,
        "basis": basis,
        "since": since,
        "given_at": standing.given_at,
        "proven_at": standing.proven_at,
        "renewed_at": standing.renewed_at,
        "checked_at": standing.checked_at,
        "revoked_at": standing.revoked_at,
    })
}

pub fn phone(number: Msisdn, phone: &Phone) -> Value {
    let contacts: Vec<String> = phone.contacts.iter().map(ToString::to_string).collect();
    let failures = match phone.status {
        PhoneStatus::Suspect { failures } => failures,
        _ => 0,
    };
    json!({
        "number": phone_number(number),
        "status": phone.status.as_str(),
        "failures": failures,
        "contacts": contacts,
        "last_inbound_at": phone.last_inbound_at,
        "review": phone.review.map(|id| id.to_string()),
        "reminded_at": phone.ledger.times(),
    })
}

fn phone_number(number: Msisdn) -> String {
    number.to_e164()
}

pub fn task(id: TaskId, task: &Task) -> Value {
    let (outcome, done_at, done_by) = match &task.state {
        TaskState::Done { outcome, at, by } => (Some(outcome), Some(*at), Some(by)),
        _ => (None, None, None),
    };
    let due_date = match outcome {
        Some(TaskOutcome::Extend { due_date }) => Some(*due_date),
        _ => None,
    };
    let number = match outcome {
        Some(TaskOutcome::CorrectNumber { number }) => Some(number.to_e164()),
        _ => None,
    };
    json!({
        "id": id.to_string(),
        "kind": task.kind,
        "obligation": task.obligation.map(|id| id.to_string()),
        "contact": task.contact.map(|id| id.to_string()),
        "reply": task.reply.map(|id| id.to_string()),
        "assignee": task.assignee,
        "opened_at": task.opened_at,
        "due": task.due,
        "overdue": task.escalated,
        "state": task.state.as_str(),
        "outcome": outcome.map(TaskOutcome::as_str),
        "due_date": due_date,
        "number": number,
        "done_at": done_at,
        "done_by": done_by,
        "note": task.note,
        "version": task.version,
    })
}
