//! Reminders.md 3.3: what follows from each event.

use nudged::cli::rehearse::Fate;
use nudged::reminder::task::TaskOutcome;

use super::{Story, minutes};

const ONE: &str = "+4915112345671";

/// A case that is due on Thursday 12 March 2026.
fn march() -> Story {
    Story::new("2026-03-02T00:00Z", "2026-04-01T00:00Z").case("A", ONE, "2026-03-12")
}

#[test]
fn a_case_that_is_never_paid_gets_each_step_once_and_then_a_person() {
    let told = march().tell();
    let reminders = told.reminders();
    assert_eq!(
        reminders,
        ["A before 2026-03-09", "A due 2026-03-12", "A after 2026-03-17", "A last 2026-03-21"]
    );
    assert_eq!(told.tasks(), ["final_review", "escalation"]);
    assert_eq!(told.fates("A"), ["exited completed"]);
    assert!(told.sent().iter().all(|(_, sent)| sent.status == "delivered"), "{:?}", told.sent());
}

#[test]
fn paid_in_full_ends_it() {
    let told = march().paid("2026-03-10T12:00Z", "A", "120.50").tell();
    assert_eq!(told.reminders(), ["A before 2026-03-09"]);
    assert_eq!(told.fates("A"), ["exited paid"]);
    assert!(told.tasks().is_empty());
}
