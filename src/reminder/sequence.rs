//! A sequence: the steps before and after a due date, and what ends or escalates them. Immutable per version.

use serde::{Deserialize, Serialize};

use super::condition::Condition;
use super::name::Key;
use super::offset::{Offset, Slot, Term};

/// The step that goes once where a promise is broken; its offset counts from the last day for the promised money.
pub const BROKEN_PROMISE: &str = "broken_promise";
/// Steps of one sequence at most.
pub const STEPS_MAX: usize = 32;

/// A sequence as a firm writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sequence {
    pub key: Key,
    pub steps: Vec<Step>,
    /// What ends it early, besides payment, STOP and what closes the debt.
    #[serde(default)]
    pub exits: Vec<Exit>,
    #[serde(default)]
    pub escalate: Option<Escalate>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Names it for ever: a step that went is known by it. [`BROKEN_PROMISE`] goes only after one.
    pub id: Key,
    /// Days from the due date.
    pub offset: Offset,
    pub at: Slot,
    pub template: Key,
    /// It goes only where this holds when it is due.
    #[serde(default)]
    pub when: Option<Condition>,
    /// How long after its instant it may still go.
    #[serde(default = "grace")]
    pub grace: Term,
    /// Instead of the template's own.
    #[serde(default)]
    pub menu: Option<Key>,
    /// The task that its going opens.
    #[serde(default)]
    pub task_after: Option<Key>,
}

fn grace() -> Term {
    Term::TWO_DAYS
}

/// Events that end the enrolment where the firm wants it. Stored by position: append only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    PartialPayment,
    Promise,
    Dispute,
    /// Any reply that a person wrote.
    Reply,
    /// A person opened the payment link.
    Click,
}

/// A task once so many reminders were accepted without the money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Escalate {
    /// Reminders the network took.
    pub after: u32,
    pub task: Key,
    /// Nothing more goes until a person says so.
    #[serde(default)]
    pub pause: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSequence {
    #[error("must hold 1 to {STEPS_MAX} steps")]
    Steps,
    #[error("names the step {0} twice")]
    Twice(Key),
    #[error("escalate.after must be 1 or more")]
    Escalate,
}

impl Sequence {
    /// # Errors
    /// What the types cannot hold.
    pub fn check(&self) -> Result<(), BadSequence> {
        if self.steps.is_empty() || self.steps.len() > STEPS_MAX {
            return Err(BadSequence::Steps);
        }
        let mut seen = std::collections::BTreeSet::new();
        if let Some(twice) = self.steps.iter().find(|step| !seen.insert(&step.id)) {
            return Err(BadSequence::Twice(twice.id.clone()));
        }
        if self.escalate.as_ref().is_some_and(|escalate| escalate.after == 0) {
            return Err(BadSequence::Escalate);
        }
        Ok(())
    }

    pub fn step(&self, id: &Key) -> Option<&Step> {
        self.steps.iter().find(|step| step.id == *id)
    }
}
