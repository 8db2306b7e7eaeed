//! A rule of the firm: `on EVENT when CONDITION do ACTION`, with one action, judged at once or a time later.
//!
//! What happened comes from obligations; days before and after a due date are steps of sequences, and no event here.
//! When rules are judged and what follows is the engine's; that what a rule names is set up, the catalog asks.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::condition::Condition;
use super::menu::{BadMenu, Do};
use super::name::{BadName, Key};
use crate::config::value::{duration, show_duration};

/// Rules of a firm at most: a person looks after each, and each event asks all of them.
pub const RULES_MAX: usize = 64;
/// Rules on one event at most, so that what an event does at once has an end.
pub const ON_ONE_EVENT_MAX: usize = 8;
/// A later look than this is what a sequence is for.
const AFTER_MAX: Duration = Duration::from_secs(90 * 86_400);
/// Nothing comes to an obligation in less.
const AFTER_MIN: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trigger {
    pub key: Key,
    pub on: On,
    /// It holds for everything where there is none.
    #[serde(default)]
    pub when: Option<Condition>,
    /// So long after the event `when` is judged, and not before.
    #[serde(default)]
    pub after: Option<After>,
    /// Only obligations of this one.
    #[serde(default)]
    pub creditor: Option<Key>,
    #[serde(rename = "do")]
    pub act: Act,
}

macro_rules! events {
    ($($(#[$doc:meta])* $variant:ident $text:literal,)*) => {
        /// What a rule waits for, by the names of the API. Outside and in the store it is its name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub enum On {
            $($(#[$doc])* $variant,)*
        }

        impl On {
            pub const ALL: &[On] = &[$(On::$variant,)*];

            pub const fn as_str(self) -> &'static str {
                match self {
                    $(On::$variant => $text,)*
                }
            }
        }
    };
}

events! {
    ObligationCreated "obligation.created",
    /// Amount, words, link or due date.
    ObligationChanged "obligation.changed",
    StatusChanged "status.changed",
    PaymentReceived "payment.received",
    /// Nothing is owed any more.
    ObligationPaid "obligation.paid",
    PaymentReversed "payment.reversed",
    PromiseMade "promise.made",
    PromiseKept "promise.kept",
    PromiseBroken "promise.broken",
    ReminderAccepted "reminder.accepted",
    /// A reminder was refused for good, or a receipt says that it did not arrive.
    MessageUndelivered "message.undelivered",
    /// By a person, as far as can be told.
    LinkClicked "payment_link.clicked",
    MenuChosen "menu.chosen",
    /// A reply waits for a person.
    ReplyReview "reply.review",
    ReplyOptIn "reply.opt_in",
    ReplyOptOut "reply.opt_out",
    TaskOverdue "task.overdue",
    /// Every step went or is over.
    EnrolmentCompleted "enrolment.completed",
}

/// What a rule does, written `enrol:SEQUENCE`, `exit`, `pause:72h`, `send:TEMPLATE`, `task:KIND`, `webhook:EVENT` or
/// `tag:NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Act {
    Enrol(Key),
    Exit,
    Pause(Duration),
    Send(Key),
    Task(Key),
    Webhook(Key),
    Tag(Key),
}

/// From a minute to 90 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct After(Duration);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTrigger {
    #[error("on must be one of {}", names())]
    On,
    #[error(
        "do must be enrol:SEQUENCE, exit, pause:DURATION, send:TEMPLATE, task:KIND, webhook:EVENT or tag:NAME"
    )]
    Act,
    #[error("after must be a duration from 1m to 90d, as 24h")]
    After,
    #[error("a pause must be from 1m to 366d")]
    Pause,
    #[error("what stands behind the colon {0}")]
    Name(#[from] BadName),
}

fn names() -> String {
    let names: Vec<&str> = On::ALL.iter().map(|on| on.as_str()).collect();
    names.join(", ")
}

impl Trigger {
    /// Whether it is for obligations of this creditor.
    pub fn is_for(&self, creditor: &Key) -> bool {
        self.creditor.as_ref().is_none_or(|own| own == creditor)
    }
}

impl After {
    pub const fn span(self) -> Duration {
        self.0
    }
}

impl TryFrom<String> for On {
    type Error = BadTrigger;

    fn try_from(text: String) -> Result<On, BadTrigger> {
        On::ALL.iter().copied().find(|on| on.as_str() == text).ok_or(BadTrigger::On)
    }
}

impl From<On> for String {
    fn from(on: On) -> String {
        on.as_str().to_owned()
    }
}

impl TryFrom<String> for After {
    type Error = BadTrigger;

    fn try_from(text: String) -> Result<After, BadTrigger> {
        let span = duration(&text).map_err(|_| BadTrigger::After)?;
        if (AFTER_MIN..=AFTER_MAX).contains(&span) { Ok(After(span)) } else { Err(BadTrigger::After) }
    }
}

impl From<After> for String {
    fn from(after: After) -> String {
        show_duration(after.0)
    }
}

impl TryFrom<String> for Act {
    type Error = BadTrigger;

    fn try_from(text: String) -> Result<Act, BadTrigger> {
        match text.split_once(':') {
            None if text == "exit" => Ok(Act::Exit),
            Some(("enrol", sequence)) => Ok(Act::Enrol(Key::parse(sequence)?)),
            Some(("send", template)) => Ok(Act::Send(Key::parse(template)?)),
            Some(("tag", name)) => Ok(Act::Tag(Key::parse(name)?)),
            // The rest is what menus do too.
            _ => match Do::try_from(text) {
                Ok(Do::Task(kind)) => Ok(Act::Task(kind)),
                Ok(Do::Webhook(event)) => Ok(Act::Webhook(event)),
                Ok(Do::Pause(span)) => Ok(Act::Pause(span)),
                Err(BadMenu::Name(name)) => Err(BadTrigger::Name(name)),
                Err(BadMenu::Pause) => Err(BadTrigger::Pause),
                Ok(Do::Pay | Do::Plan | Do::Reply(_)) | Err(_) => Err(BadTrigger::Act),
            },
        }
    }
}

impl From<Act> for String {
    fn from(act: Act) -> String {
        act.to_string()
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Act::Enrol(sequence) => write!(f, "enrol:{sequence}"),
            Act::Exit => f.write_str("exit"),
            Act::Pause(span) => write!(f, "pause:{}", show_duration(*span)),
            Act::Send(template) => write!(f, "send:{template}"),
            Act::Task(kind) => write!(f, "task:{kind}"),
            Act::Webhook(event) => write!(f, "webhook:{event}"),
            Act::Tag(name) => write!(f, "tag:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trigger(json: &str) -> Result<Trigger, String> {
        serde_json::from_str(json).map_err(|why| why.to_string())
    }

    #[test]
    fn a_rule_is_shown_and_stored_as_it_was_read() {
        for act in ["enrol:s", "exit", "pause:3d", "send:t", "task:call", "webhook:crm.sync", "tag:vip"] {
            let json = format!(
                r#"{{"key":"r","on":"payment_link.clicked","when":"balance > 0","after":"24h","creditor":"acme","do":"{act}"}}"#
            );
            let read = trigger(&json).unwrap();
            assert_eq!(read.act.to_string(), act);
            assert_eq!(read.after.map(After::span), Some(Duration::from_secs(86_400)));
            assert_eq!(trigger(&serde_json::to_string(&read).unwrap()).unwrap(), read);
            let stored = postcard::to_stdvec(&read).unwrap();
            assert_eq!(postcard::from_bytes::<Trigger>(&stored).unwrap(), read);
        }
        let least = trigger(r#"{"key":"r","on":"promise.broken","do":"exit"}"#).unwrap();
        assert_eq!((least.when, least.after, least.creditor), (None, None, None));
    }

    #[test]
    fn every_event_has_a_name_of_its_own_that_reads_back() {
        let mut names: Vec<&str> = On::ALL.iter().map(|on| on.as_str()).collect();
        for on in On::ALL {
            assert_eq!(On::try_from(on.as_str().to_owned()), Ok(*on));
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), On::ALL.len());
    }

    #[test]
    fn a_rule_without_a_creditor_is_for_all_of_them() {
        let any = trigger(r#"{"key":"r","on":"promise.broken","do":"exit"}"#).unwrap();
        let own = trigger(r#"{"key":"r","on":"promise.broken","creditor":"acme","do":"exit"}"#).unwrap();
        let (acme, other) = (Key::parse("acme").unwrap(), Key::parse("other").unwrap());
        assert_eq!([any.is_for(&acme), any.is_for(&other)], [true, true]);
        assert_eq!([own.is_for(&acme), own.is_for(&other)], [true, false]);
    }

    #[test]
    fn what_is_no_rule_says_why() {
        for (fields, wanted) in [
            (r#""on":"payment","do":"exit""#, "on must be one of obligation.created, "),
            (r#""on":"promise.broken","do":"pay""#, "do must be"),
            (r#""on":"promise.broken","do":"exit:now""#, "do must be"),
            (r#""on":"promise.broken","do":"reply:help""#, "do must be"),
            (r#""on":"promise.broken","do":"task""#, "do must be"),
            (r#""on":"promise.broken","do":"send:""#, "must be 1-64"),
            (r#""on":"promise.broken","do":"webhook:a b""#, "must be 1-64"),
            (r#""on":"promise.broken","do":"pause:0s""#, "a pause must be"),
            (r#""on":"promise.broken","do":"exit","after":"30s""#, "after must be"),
            (r#""on":"promise.broken","do":"exit","after":"91d""#, "after must be"),
            (r#""on":"promise.broken","do":"exit","after":"soon""#, "after must be"),
            (r#""on":"promise.broken","do":"exit","when":"balance >""#, "column 10"),
            (r#""on":"promise.broken","do":"exit","if":"x""#, "unknown field"),
            (r#""on":"promise.broken""#, "missing field `do`"),
        ] {
            let told = trigger(&format!(r#"{{"key":"r",{fields}}}"#)).unwrap_err();
            assert!(told.contains(wanted), "{wanted}: {told}");
        }
    }
}
