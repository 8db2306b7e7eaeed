//! What the outside asks the reminder side to do: every door (HTTP, import, seed files, rehearsals) makes these,
//! and nothing else changes it.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::terms::Terms;
use crate::clock::Timestamp;
use crate::id::{ContactId, ObligationId, TaskId};
use crate::message::Msisdn;
use crate::reminder::calendar::Calendar;
use crate::reminder::consent::ConsentEvent;
use crate::reminder::contact::Contact;
use crate::reminder::creditor::Creditor;
use crate::reminder::enrolment::{ExitReason, PauseReason};
use crate::reminder::import::Mapping;
use crate::reminder::import::case::Case;
use crate::reminder::menu::Menu;
use crate::reminder::money::Money;
use crate::reminder::name::{ExternalId, Key};
use crate::reminder::obligation::{ObligationStatus, Payment};
use crate::reminder::pack::Pack;
use crate::reminder::plan::PlanPart;
use crate::reminder::sequence::Sequence;
use crate::reminder::subscription::Subscription;
use crate::reminder::task::TaskOutcome;
use crate::reminder::template::Template;
use crate::reminder::trigger::Trigger;

/// Which obligation is meant: ours or the firm's id of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    Id(ObligationId),
    /// Without a creditor it must be the only one of that id.
    External {
        id: ExternalId,
        creditor: Option<Key>,
    },
}

/// Which contact is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    Id(ContactId),
    External(ExternalId),
}

/// An account as the outside gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountDraft {
    pub external_id: ExternalId,
    pub creditor: Key,
    pub contact: Who,
    pub case_manager: Option<String>,
    pub tags: Vec<String>,
    pub custom: std::collections::BTreeMap<String, String>,
}

/// An obligation as the outside gives it; the same external id again changes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObligationDraft {
    pub external_id: ExternalId,
    pub owner: Owner,
    pub amount: Money,
    pub min_due: Option<Money>,
    pub due_date: Date,
    pub description: Option<String>,
    pub link: Option<String>,
    /// `None`: as it was; for a new one the sequence `standard`, where there is one.
    pub sequence: Option<Key>,
    /// A due date that moves begins a new cycle, and steps that went go again; one that does not changes nothing.
    pub restart: bool,
}

/// Whose debt it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Without a creditor it must be the only account of that id.
    Account { external_id: ExternalId, creditor: Option<Key> },
    /// The account is made where there is none: it has the contact's external id.
    Inline { creditor: Key, contact: Box<Contact> },
}

impl Owner {
    pub const fn creditor(&self) -> Option<&Key> {
        match self {
            Owner::Account { creditor, .. } => creditor.as_ref(),
            Owner::Inline { creditor, .. } => Some(creditor),
        }
    }
}

/// One change. Each is decided alone and is whole or not at all.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Creditor(Box<Creditor>),
    /// `expect`: the version it must have now.
    Template {
        template: Box<Template>,
        expect: Option<u32>,
    },
    Menu(Menu),
    /// Another text of a known key is its next version.
    Sequence(Box<Sequence>),
    Pack(Box<Pack>),
    Calendar(Box<Calendar>),
    /// What the firm's rule of this key says; `None` ends it.
    Rule {
        key: Key,
        rule: Option<Box<Trigger>>,
    },
    /// How files of a kind are read; `None` forgets it.
    Mapping {
        name: Key,
        mapping: Option<Box<Mapping>>,
    },
    Contact(Box<Contact>),
    Account(AccountDraft),
    Obligation(Box<ObligationDraft>),
    /// A row of a file of cases: contact, account, obligation and consent at once.
    Case {
        case: Box<Case>,
        row: [u8; 16],
    },
    Pay {
        which: Which,
        payment: Payment,
    },
    /// The money of a payment that is known went back.
    Reverse {
        which: Which,
        payment: Payment,
    },
    Status {
        which: Which,
        to: ObligationStatus,
        reason: String,
    },
    Promise {
        which: Which,
        date: Date,
        amount: Option<Money>,
    },
    Dispute {
        which: Which,
        reason: String,
    },
    DueDate {
        which: Which,
        date: Date,
        restart: bool,
    },
    Plan {
        which: Which,
        parts: Vec<PlanPart>,
    },
    Subscription(Box<Subscription>),
    Enrol {
        which: Which,
        sequence: Key,
    },
    PauseEnrolment {
        which: Which,
        reason: PauseReason,
        until: Option<Timestamp>,
    },
    ResumeEnrolment {
        which: Which,
    },
    ExitEnrolment {
        which: Which,
        reason: ExitReason,
    },
    /// `creditor`: `None` for all of them.
    Consent {
        phone: Msisdn,
        creditor: Option<Key>,
        event: ConsentEvent,
    },
    /// Something a person must do, asked for from outside.
    OpenTask {
        kind: Key,
        which: Option<Which>,
        note: String,
        due: Option<Timestamp>,
    },
    AssignTask {
        id: TaskId,
        assignee: Option<String>,
        expect: Option<u64>,
    },
    TaskDone {
        id: TaskId,
        outcome: TaskOutcome,
        expect: Option<u64>,
    },
    /// Somebody opened the payment link behind a token.
    Click {
        token: u64,
        human: bool,
    },
    /// Only where its terms are kept.
    OnTerms {
        terms: Terms,
        change: Box<Change>,
    },
}

impl Change {
    /// It says what became of something known: money, consent, a stop, a person's decision. Little is stored for
    /// it, and reminders go on wrongly without it.
    pub const fn is_of_known(&self) -> bool {
        match self {
            Change::Pay { .. }
            | Change::Reverse { .. }
            | Change::Status { .. }
            | Change::Promise { .. }
            | Change::Dispute { .. }
            | Change::DueDate { .. }
            | Change::PauseEnrolment { .. }
            | Change::ResumeEnrolment { .. }
            | Change::ExitEnrolment { .. }
            | Change::Consent { .. }
            | Change::AssignTask { .. }
            | Change::TaskDone { .. } => true,
            Change::Creditor(_)
            | Change::Template { .. }
            | Change::Menu(_)
            | Change::Sequence(_)
            | Change::Pack(_)
            | Change::Calendar(_)
            | Change::Rule { .. }
            | Change::Mapping { .. }
            | Change::Contact(_)
            | Change::Account(_)
            | Change::Obligation(_)
            | Change::Case { .. }
            | Change::Plan { .. }
            | Change::Subscription(_)
            | Change::Enrol { .. }
            | Change::OpenTask { .. }
            | Change::Click { .. } => false,
            Change::OnTerms { change, .. } => change.is_of_known(),
        }
    }

    /// Which obligation it names.
    pub const fn which(&self) -> Option<&Which> {
        match self {
            Change::Pay { which, .. }
            | Change::Reverse { which, .. }
            | Change::Status { which, .. }
            | Change::Promise { which, .. }
            | Change::Dispute { which, .. }
            | Change::DueDate { which, .. }
            | Change::Plan { which, .. }
            | Change::Enrol { which, .. }
            | Change::PauseEnrolment { which, .. }
            | Change::ResumeEnrolment { which }
            | Change::ExitEnrolment { which, .. } => Some(which),
            _ => None,
        }
    }
}

/// What a change is about, once it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Subject {
    /// It is known by its own name.
    Named,
    Contact(ContactId),
    Obligation(ObligationId),
    Task(TaskId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Created,
    Changed,
    /// It was so before.
    Unchanged,
}

/// A change is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed {
    pub subject: Subject,
    pub how: How,
    /// Of the record; 0 where it has none.
    pub version: u64,
}

/// Why a change was not made. Nothing of it is stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeRefusal {
    /// `what`: `obligation`, `contact`, `template` and so on.
    #[error("no such {what}")]
    NotFound { what: &'static str },
    #[error("{field}: {why}")]
    Field { field: &'static str, why: String },
    #[error("it has changed meanwhile: its version is {version}")]
    Conflict { version: u64 },
    /// Only who may end holds may do it.
    #[error(
        "what its sender wrote may be a STOP, so this ends a hold: it needs the scope admin; suppress does not"
    )]
    Held,
    #[error("its state forbids it: {0}")]
    State(String),
    #[error("there are too many of them: at most {0}")]
    Full(usize),
    /// Nothing is taken at all.
    #[error(transparent)]
    Closed(#[from] crate::engine::Refusal),
}

/// One result a change, in order.
pub type ChangeAnswer = Vec<Result<Changed, ChangeRefusal>>;

/// Changes handed to the core in one command.
pub const CHANGE_GROUP: usize = 500;
