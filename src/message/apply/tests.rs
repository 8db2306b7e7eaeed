//! What [`apply`] guarantees, event by event, and for any order of events.

use proptest::prelude::*;

use super::*;
use crate::message::body::sample;
use crate::message::{RawCode, Reason};

const NOW: Timestamp = Timestamp::from_millis(10_000);
const PLAN: [Duration; 2] = [Duration::from_secs(30), Duration::from_secs(120)];

fn body(segment_count: u8) -> Body {
    Body { segment_count, ..sample() }
}

fn lease(lease: u64, segments: &[u8]) -> Event {
    Event::Lease { link: "a".into(), account: "a".into(), lease, segments: segments.to_vec() }
}

fn accepted(index: u8) -> Event {
    Event::Outcome { index, outcome: Outcome::Accepted { reference: Reference(format!("ref{index}")) } }
}

fn refused(index: u8, retry: RetryClass) -> Event {
    let cause = Cause::new(Reason::SmscTemporary, RawCode::CommandStatus(8));
    Event::Outcome { index, outcome: Outcome::Refused { cause, retry } }
}

fn unknown(index: u8) -> Event {
    Event::Outcome { index, outcome: Outcome::Unknown { why: UnknownWhy::NoAnswer } }
}

/// The head after these events, all of which fit.
fn after(body: &Body, events: Vec<Event>) -> Head {
    let step = |head, event: Event| {
        apply(head, event.clone(), body, &PLAN, NOW).unwrap_or_else(|_| panic!("{event:?}"))
    };
    events.into_iter().fold(Head::accepted(body), step)
}

#[test]
fn a_message_is_sent_when_all_its_segments_are_accepted() {
    let body = body(2);
    let half = after(&body, vec![lease(1, &[0, 1]), accepted(1)]);
    assert!(matches!(half.state, State::Leased { .. }));
    let whole = apply(half, accepted(0), &body, &PLAN, NOW).unwrap();
    assert!(matches!(whole.state, State::Sent { receipt: ReceiptWait::Until(_), .. }));
}

#[test]
fn a_temporary_refusal_waits_by_the_plan_and_fails_when_the_plan_ends() {
    let body = body(1);
    let mut events = vec![lease(1, &[0]), refused(0, RetryClass::Temporary)];
    let head = after(&body, events.clone());
    assert!(
        matches!(head.state, State::Waiting { due, why: Deferral::Retry(_) } if due == NOW.saturating_add(PLAN[0]))
    );
    for n in 2..=3 {
        events.extend([lease(n, &[0]), refused(0, RetryClass::Temporary)]);
    }
    assert!(matches!(after(&body, events).state, State::Closed { how: Final::Failed(_), .. }));
}

#[test]
fn the_weightiest_refusal_of_a_long_message_decides() {
    let events = |first, second| vec![lease(1, &[0, 1]), refused(0, first), refused(1, second)];
    for (first, second) in
        [(RetryClass::Permanent, RetryClass::Temporary), (RetryClass::Temporary, RetryClass::Permanent)]
    {
        let head = after(&body(2), events(first, second));
        assert!(matches!(head.state, State::Closed { how: Final::Failed(_), .. }), "{first:?} {second:?}");
    }
}

#[test]
fn a_long_message_goes_on_with_the_segments_still_missing_on_the_same_link() {
    let body = body(3);
    let head =
        after(&body, vec![lease(1, &[0]), accepted(0), lease(2, &[1]), refused(1, RetryClass::Temporary)]);
    assert_eq!(head.bound_to(), Some(&"a".into()));
    assert_eq!(head.unleased(&body), [1, 2]);
    let head = apply(head, lease(3, &[1, 2]), &body, &PLAN, NOW).unwrap();
    assert!(matches!(head.segment(0), Some(SegmentState::Accepted { .. })), "what the network has is kept");
}

#[test]
fn what_was_handed_back_unwritten_lost_no_try_and_keeps_its_place() {
    let body = body(1);
    let head = after(&body, vec![lease(1, &[0]), Event::Outcome { index: 0, outcome: Outcome::Unwritten }]);
    assert_eq!(head, Head::accepted(&body));
}

#[test]
fn a_late_answer_resolves_an_unknown_and_a_second_one_is_stale() {
    let body = body(1);
    let head = after(&body, vec![lease(1, &[0]), unknown(0), accepted(0)]);
    assert!(matches!(head.state, State::Sent { .. }));
    assert_eq!(apply(head, accepted(0), &body, &PLAN, NOW), Err(Stale));
}

#[test]
fn a_late_answer_calls_off_a_resend_that_has_not_begun() {
    let body = body(1);
    let head =
        after(&body, vec![lease(1, &[0]), unknown(0), Event::Resolve(Resolution::Resend), accepted(0)]);
    assert!(matches!(head.state, State::Sent { .. }));
}

#[test]
fn a_receipt_proves_an_unknown_and_a_pending_one_makes_it_sent() {
    let body = body(1);
    let receipt = |state| Event::Receipt { index: 0, reference: Some(Reference("r".into())), state };
    let pending = after(&body, vec![lease(1, &[0]), unknown(0), receipt(ReceiptState::Pending)]);
    assert!(matches!(pending.state, State::Sent { .. }));
    let delivered = apply(pending, receipt(ReceiptState::Delivered), &body, &PLAN, NOW).unwrap();
    assert!(matches!(delivered.state, State::Closed { how: Final::Delivered, .. }));
}

#[test]
fn an_unknown_word_in_a_receipt_is_never_a_failure() {
    let body = body(1);
    let sent = after(&body, vec![lease(1, &[0]), accepted(0)]);
    let event = Event::Receipt { index: 0, reference: None, state: ReceiptState::Unknown };
    assert_eq!(apply(sent, event, &body, &PLAN, NOW), Err(Stale));
}

#[test]
fn the_policy_resends_an_unknown_once() {
    let body = body(1);
    let again = after(&body, vec![lease(1, &[0]), unknown(0), Event::Resend, lease(2, &[0]), unknown(0)]);
    assert_eq!(apply(again, Event::Resend, &body, &PLAN, NOW), Err(Stale));
}

/// What a first attempt did is not known any better because a second one is not made.
#[test]
fn an_unknown_whose_second_attempt_is_given_up_before_it_began_is_unknown_again() {
    let body = Body { on_unknown: OnUnknown::Resend, ..body(1) };
    let again = || after(&body, vec![lease(1, &[0]), unknown(0), Event::Resolve(Resolution::Resend)]);
    for event in [Event::Cancel, Event::Expire] {
        let head = apply(again(), event, &body, &PLAN, NOW).unwrap();
        assert!(matches!(head.state, State::Unknown { .. }), "{head:?}");
        assert_eq!(apply(head.clone(), Event::Resend, &body, &PLAN, NOW), Err(Stale));
        let late = apply(head, accepted(0), &body, &PLAN, NOW).unwrap();
        assert!(matches!(late.state, State::Sent { .. }));
    }
}

#[test]
fn what_is_not_valid_any_more_is_not_sent_again() {
    let body = body(1);
    let lost = after(&body, vec![lease(1, &[0]), unknown(0)]);
    let resend = Event::Resolve(Resolution::Resend);
    assert_eq!(apply(lost.clone(), resend, &body, &PLAN, body.valid_until), Err(Stale));
    let sent = Event::Resolve(Resolution::Sent);
    assert!(apply(lost, sent, &body, &PLAN, body.valid_until).is_ok());
}

#[test]
fn only_what_waits_can_be_canceled() {
    let body = body(1);
    let leased = after(&body, vec![lease(1, &[0])]);
    assert_eq!(apply(leased, Event::Cancel, &body, &PLAN, NOW), Err(Stale));
    assert!(matches!(after(&body, vec![Event::Cancel]).state, State::Closed { how: Final::Canceled, .. }));
}

fn any_event() -> impl Strategy<Value = Event> {
    let index = 0u8..3;
    let class = prop_oneof![
        Just(RetryClass::Park),
        Just(RetryClass::Temporary),
        Just(RetryClass::Permanent),
        Just(RetryClass::OptedOut)
    ];
    prop_oneof![
        (1u64..9, prop::collection::vec(0u8..3, 0..3)).prop_map(|(n, segments)| lease(n, &segments)),
        index.clone().prop_map(accepted),
        (index.clone(), class).prop_map(|(index, class)| refused(index, class)),
        index.clone().prop_map(unknown),
        index.clone().prop_map(|index| Event::Outcome { index, outcome: Outcome::Unwritten }),
        index.prop_map(|index| Event::Receipt { index, reference: None, state: ReceiptState::Delivered }),
        Just(Event::ReceiptNeverCame),
        Just(Event::Cancel),
        Just(Event::Expire),
        Just(Event::HandBack),
        Just(Event::Resend),
        Just(Event::Resolve(Resolution::Resend)),
        Just(Event::Resolve(Resolution::Sent)),
        Just(Event::Resolve(Resolution::Failed)),
    ]
}

proptest! {
    #[test]
    fn closed_stays_closed_and_what_is_out_is_not_leased_again(
        events in prop::collection::vec(any_event(), 0..60),
    ) {
        let body = body(3);
        let mut head = Head::accepted(&body);
        for event in events {
            let before = head.clone();
            if let Ok(next) = apply(head.clone(), event, &body, &PLAN, NOW) {
                prop_assert!(!matches!(before.state, State::Closed { .. }), "{before:?}");
                for index in 0..3 {
                    let out = |head: &Head| head.segment(index).is_some_and(SegmentState::is_out);
                    prop_assert!(!out(&before) || out(&next), "{before:?} then {next:?}");
                }
                prop_assert!(next.attempts.len() <= MAX_ATTEMPTS_KEPT);
                head = next;
            }
        }
    }
}
