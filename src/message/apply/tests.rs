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

/// The answer to what went out in a lease and was given up.
fn late(lease: u64, answer: Event) -> Event {
    match answer {
        Event::Outcome { index, outcome } => Event::Late { lease, index, outcome },
        other => panic!("{other:?} is no answer"),
    }
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
    let head = after(&body, vec![lease(1, &[0]), unknown(0), late(1, accepted(0))]);
    assert!(matches!(head.state, State::Sent { .. }));
    assert_eq!(apply(head, late(1, accepted(0)), &body, &PLAN, NOW), Err(Stale));
}

#[test]
fn a_late_answer_calls_off_a_resend_that_has_not_begun() {
    let body = body(1);
    let again = Event::Resolve(Resolution::Resend);
    let head = after(&body, vec![lease(1, &[0]), unknown(0), again, late(1, accepted(0))]);
    assert!(matches!(head.state, State::Sent { .. }));
}

#[test]
fn a_receipt_proves_an_unknown_and_a_pending_one_makes_it_sent() {
    let body = body(1);
    let receipt = |state| Event::Receipt {
        account: "a".into(),
        index: 0,
        reference: Some(Reference("r".into())),
        state,
    };
    let pending = after(&body, vec![lease(1, &[0]), unknown(0), receipt(ReceiptState::Pending)]);
    assert!(matches!(pending.state, State::Sent { .. }));
    let delivered = apply(pending, receipt(ReceiptState::Delivered), &body, &PLAN, NOW).unwrap();
    assert!(matches!(delivered.state, State::Closed { how: Final::Delivered, .. }));
}

#[test]
fn an_unknown_word_in_a_receipt_is_never_a_failure() {
    let body = body(1);
    let sent = after(&body, vec![lease(1, &[0]), accepted(0)]);
    let event =
        Event::Receipt { account: "a".into(), index: 0, reference: None, state: ReceiptState::Unknown };
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
        let told = apply(head, late(1, accepted(0)), &body, &PLAN, NOW).unwrap();
        assert!(matches!(told.state, State::Sent { .. }));
    }
}

fn resent(events: Vec<Event>) -> Vec<Event> {
    let again = [lease(1, &[0]), unknown(0), Event::Resolve(Resolution::Resend), lease(2, &[0])];
    again.into_iter().chain(events).collect()
}

/// A refusal is of its own sending: what the one before it did is not known any better.
#[test]
fn an_unknown_whose_resend_is_refused_for_good_is_unknown_again_and_not_sent_by_itself() {
    let body = Body { on_unknown: OnUnknown::Resend, ..body(1) };
    for class in [RetryClass::Permanent, RetryClass::OptedOut] {
        let head = after(&body, resent(vec![refused(0, class)]));
        assert!(matches!(head.state, State::Unknown { why: UnknownWhy::Earlier, .. }), "{head:?}");
        let shown: Vec<&SegmentState> = head.attempts.iter().map(|a| &a.segments[0]).collect();
        assert!(matches!(shown[..], [SegmentState::Unknown, SegmentState::Refused { .. }]));
        assert_eq!(apply(head.clone(), Event::Resend, &body, &PLAN, NOW), Err(Stale));
        let told = apply(head.clone(), late(1, accepted(0)), &body, &PLAN, NOW).unwrap();
        assert!(matches!(told.state, State::Sent { .. }), "the first attempt's late answer still settles it");
        let failed = apply(head, Event::Resolve(Resolution::Failed), &body, &PLAN, NOW).unwrap();
        assert!(matches!(failed.state, State::Closed { how: Final::Failed(_), .. }), "a person may say so");
    }
}

#[test]
fn an_unknown_whose_resend_is_refused_for_now_and_then_given_up_is_unknown_again() {
    let body = body(1);
    let waits = after(&body, resent(vec![refused(0, RetryClass::Temporary)]));
    assert!(matches!(waits.state, State::Waiting { why: Deferral::Retry(_), .. }), "it did not go out");
    let gone = Event::Fail(Cause::plain(Reason::InternalLinkGone));
    let blocked = Event::Block(Cause::plain(Reason::PolicyOptedOut));
    for event in [Event::Cancel, Event::Expire, gone, blocked] {
        let head = apply(waits.clone(), event, &body, &PLAN, NOW).unwrap();
        assert!(matches!(head.state, State::Unknown { why: UnknownWhy::Earlier, .. }), "{head:?}");
    }
}

#[test]
fn once_every_sending_is_known_to_be_refused_it_has_failed_and_is_not_tried_again() {
    let body = body(1);
    for first in [RetryClass::Temporary, RetryClass::Permanent, RetryClass::Park] {
        let events = resent(vec![refused(0, RetryClass::Permanent), late(1, refused(0, first))]);
        let head = after(&body, events);
        assert!(matches!(head.state, State::Closed { how: Final::Failed(_), .. }), "{head:?}");
    }
}

#[test]
fn a_doubt_outlives_the_attempts_that_are_not_kept() {
    let body = body(1);
    let mut head = after(&body, resent(vec![refused(0, RetryClass::Temporary)]));
    let patient = [Duration::from_secs(1); 40];
    for n in 3..30 {
        head = apply(head, lease(n, &[0]), &body, &patient, NOW).unwrap();
        head = apply(head, refused(0, RetryClass::Temporary), &body, &patient, NOW).unwrap();
    }
    assert_eq!(head.attempts.len(), MAX_ATTEMPTS_KEPT);
    let head = apply(head, Event::Cancel, &body, &patient, NOW).unwrap();
    assert!(matches!(head.state, State::Unknown { .. }), "{head:?}");
}

#[test]
fn a_resend_that_comes_back_unwritten_is_still_one_and_the_first_answer_calls_it_off() {
    let body = body(1);
    let unwritten = Event::Outcome { index: 0, outcome: Outcome::Unwritten };
    for back in [unwritten, refused(0, RetryClass::Park)] {
        let head = after(&body, resent(vec![back]));
        assert!(matches!(head.state, State::Waiting { why: Deferral::Resend, .. }), "{head:?}");
        assert_eq!(head.attempts.len(), 1, "it lost no attempt");
        let head = apply(head, late(1, accepted(0)), &body, &PLAN, NOW).unwrap();
        assert!(matches!(head.state, State::Sent { .. }));
    }
}

#[test]
fn a_late_refusal_counts_for_its_own_sending_whatever_became_of_the_others() {
    let body = body(1);
    let before = vec![lease(1, &[0]), refused(0, RetryClass::Temporary), lease(2, &[0]), unknown(0)];
    let head = after(&body, [before, vec![late(2, refused(0, RetryClass::Permanent))]].concat());
    assert!(matches!(head.state, State::Closed { how: Final::Failed(_), .. }), "no other is in doubt");

    for (first, second) in [(1, 2), (2, 1)] {
        let one = after(&body, resent(vec![unknown(0), late(first, refused(0, RetryClass::Permanent))]));
        assert!(matches!(one.state, State::Unknown { .. }), "the other is in doubt: {one:?}");
        let both = apply(one, late(second, refused(0, RetryClass::Permanent)), &body, &PLAN, NOW).unwrap();
        assert!(matches!(both.state, State::Closed { how: Final::Failed(_), .. }), "{both:?}");
    }
}

#[test]
fn a_late_answer_to_the_first_sending_counts_while_the_second_is_on_the_wire() {
    let body = body(1);
    let head = after(&body, resent(vec![late(1, accepted(0))]));
    assert!(matches!(head.state, State::Leased { .. }), "the second is awaited all the same");
    let sent = apply(head, refused(0, RetryClass::Permanent), &body, &PLAN, NOW).unwrap();
    assert!(matches!(sent.state, State::Sent { .. }));
}

/// The other half is sent by the link that took the first, whichever attempt that was.
#[test]
fn a_late_acceptance_of_a_part_binds_the_rest_that_waits_to_its_link() {
    let body = body(2);
    let again = Event::Resolve(Resolution::Resend);
    let head = after(&body, vec![lease(1, &[0, 1]), unknown(0), unknown(1), again, late(1, accepted(1))]);
    assert!(matches!(head.state, State::Waiting { why: Deferral::Resend, .. }));
    assert_eq!((head.bound_to(), head.unleased(&body)), (Some(&"a".into()), vec![0]));
}

#[test]
fn a_message_of_which_the_network_has_a_part_is_not_canceled() {
    let body = body(2);
    let half = vec![lease(1, &[0, 1]), accepted(0), refused(1, RetryClass::Temporary)];
    assert_eq!(apply(after(&body, half), Event::Cancel, &body, &PLAN, NOW), Err(Stale));
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
        (index.clone(), class.clone()).prop_map(|(index, class)| refused(index, class)),
        index.clone().prop_map(unknown),
        index.clone().prop_map(|index| Event::Outcome { index, outcome: Outcome::Unwritten }),
        index.clone().prop_map(|index| Event::Receipt {
            account: "a".into(),
            index,
            reference: None,
            state: ReceiptState::Delivered
        }),
        (1u64..40, index.clone()).prop_map(|(lease, index)| late(lease, accepted(index))),
        (1u64..40, index, class).prop_map(|(lease, index, class)| late(lease, refused(index, class))),
        Just(Event::Fail(Cause::plain(Reason::InternalLinkGone))),
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

/// Told of segments apart from [`Head::in_doubt`]: written once, never answered, accepted by no attempt.
fn is_doubtful(head: &Head, index: usize) -> bool {
    let mut states = head.attempts.iter().filter_map(|attempt| attempt.segments.get(index));
    states.clone().any(|s| *s == SegmentState::Unknown) && !states.any(|s| s.reference().is_some())
}

proptest! {
    #[test]
    fn no_end_but_a_persons_says_of_a_segment_in_doubt_that_it_did_not_go_out(
        events in prop::collection::vec(any_event(), 0..80),
    ) {
        let body = Body { on_unknown: OnUnknown::Resend, ..body(3) };
        let mut head = Head::accepted(&body);
        for (n, mut event) in (1u64..).zip(events) {
            if let Event::Lease { lease, segments, .. } = &mut event {
                // As dispatch does: numbers rise, and only what is missing goes.
                *lease = n;
                *segments = head.unleased(&body);
            }
            let by_person = event == Event::Resolve(Resolution::Failed);
            let resends = event == Event::Resend;
            let before = head.clone();
            let Ok(next) = apply(head.clone(), event, &body, &PLAN, NOW) else { continue };
            prop_assert!(!resends || !before.resent, "sent again by itself twice");
            let doubtful = (0..3).any(|index| is_doubtful(&next, index));
            if doubtful && !by_person {
                prop_assert!(!matches!(next.state, State::Closed { .. } | State::Sent { .. }), "{next:?}");
            }
            if let State::Unknown { .. } = next.state {
                prop_assert!(doubtful, "unknown, and nothing of it is in doubt: {next:?}");
            }
            if let State::Closed { how: Final::Canceled, .. } = next.state {
                let out = |s: &SegmentState| s.reference().is_some();
                prop_assert!(!next.attempts.iter().any(|a| a.segments.iter().any(out)), "{next:?}");
            }
            head = next;
        }
    }

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

#[test]
fn what_comes_back_or_is_sent_again_is_due_at_once_whatever_the_clock_does() {
    let body = body(2);
    let back = after(&body, vec![lease(1, &[0]), accepted(0), Event::HandBack]);
    let again =
        after(&body, vec![lease(1, &[0, 1]), accepted(0), unknown(1), Event::Resolve(Resolution::Resend)]);
    for head in [back, again] {
        assert!(matches!(head.state, State::Waiting { due: AT_ONCE, .. }), "{:?}", head.state);
    }
}
