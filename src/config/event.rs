//! Names of published events and the patterns that choose among them. Names are the API's and stay.

use std::fmt;

use super::value::Bad;

macro_rules! events {
    ($($variant:ident $text:literal,)*) => {
        /// What an event is called.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum EventName {
            $($variant,)*
        }

        impl EventName {
            pub const ALL: &[EventName] = &[$(EventName::$variant,)*];

            pub const fn as_str(self) -> &'static str {
                match self {
                    $(EventName::$variant => $text,)*
                }
            }
        }
    };
}

events! {
    MessageAccepted "message.accepted",
    MessageSending "message.sending",
    MessageSent "message.sent",
    MessageDelivered "message.delivered",
    MessageUndelivered "message.undelivered",
    MessageFailed "message.failed",
    MessageExpired "message.expired",
    MessageCanceled "message.canceled",
    MessageBlocked "message.blocked",
    MessageUnknown "message.unknown",
    InboundReceived "inbound.received",
    OptOutAdded "optout.added",
    OptOutRemoved "optout.removed",
    HoldAdded "hold.added",
    HoldRemoved "hold.removed",
    TaskOpened "task.opened",
    TaskDone "task.done",
    TaskOverdue "task.overdue",
    PaymentReceived "payment.received",
    PaymentReversed "payment.reversed",
    PaymentRequested "payment.requested",
    PaymentCrossed "payment.crossed",
    ObligationCreated "obligation.created",
    ObligationChanged "obligation.changed",
    EnrolmentStarted "enrolment.started",
    EnrolmentPaused "enrolment.paused",
    EnrolmentResumed "enrolment.resumed",
    EnrolmentExited "enrolment.exited",
    EnrolmentCompleted "enrolment.completed",
    ReminderAccepted "reminder.accepted",
    ReminderRefused "reminder.refused",
    ReminderTakenBack "reminder.taken_back",
    ReminderSkipped "reminder.skipped",
    PromiseMade "promise.made",
    PromiseKept "promise.kept",
    PromiseBroken "promise.broken",
    PromiseWithdrawn "promise.withdrawn",
    MenuChosen "menu.chosen",
    MenuAsked "menu.asked",
    RuleActed "rule.acted",
    RuleAsked "rule.asked",
    RuleRefused "rule.refused",
    LinkClicked "payment_link.clicked",
    LinkUp "link.up",
    LinkDown "link.down",
    LinkPaused "link.paused",
    LinkResumed "link.resumed",
    LinkParked "link.parked",
    WebhookTest "webhook.test",
}

impl fmt::Display for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which events: one by its name, all of a subject (`message.*`), or all (`*`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// Refuses what no event fits.
    pub fn parse(text: &str) -> Result<Pattern, Bad> {
        let pattern = Pattern(text.to_owned());
        if EventName::ALL.iter().any(|name| pattern.fits(*name)) {
            return Ok(pattern);
        }
        let names: Vec<&str> = EventName::ALL.iter().map(|name| name.as_str()).collect();
        let remedy = format!("write \"*\", a subject such as \"message.*\", or one of {}", names.join(", "));
        Err(Bad::new(format!("no event fits {text:?}"), remedy))
    }

    pub fn fits(&self, name: EventName) -> bool {
        match self.0.strip_suffix('*') {
            Some("") => true,
            Some(subject) => subject.ends_with('.') && name.as_str().starts_with(subject),
            None => self.0 == name.as_str(),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_a_name_a_subject_or_everything() {
        let fits = |pattern: &str, name| Pattern::parse(pattern).unwrap().fits(name);
        assert!(fits("*", EventName::LinkUp) && fits("message.*", EventName::MessageSent));
        assert!(fits("message.sent", EventName::MessageSent));
        assert!(!fits("message.*", EventName::LinkUp) && !fits("message.sent", EventName::MessageSending));
        for none in ["", "mess*", "message", "message.", ".*", "message.sen", "messages.*", "*.sent", "**"] {
            assert!(Pattern::parse(none).is_err(), "{none}");
        }
    }
}
