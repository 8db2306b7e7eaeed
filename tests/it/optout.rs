//! Opt-outs in the core: nothing goes to a number from the step on in which it said stop.

use std::time::Duration;

use nudged::engine::core::Input;
use nudged::engine::notice::NoticeKind;
use nudged::engine::{Command, Refusal};
use nudged::link::{Inbound, LinkEvent, Outcome, RawReply};
use nudged::message::{Class, Final, Reason, Resolution, State, Status, UnknownWhy};
use nudged::reminder::suppression::{Intent, Party, Source};
use tokio::sync::oneshot;

use crate::alone::{Alone, number, reply, segment};
use crate::support::draft;

const ANN: &str = "+447700900123";
const BEN: &str = "+447700900124";
const DAY: Duration = Duration::from_secs(86_400);

fn stopped() -> Alone {
    let mut alone = Alone::new();
    alone.hear(reply(ANN, "STOP"));
    alone
}

fn is_blocked(alone: &Alone, id: nudged::id::MessageId) -> bool {
    let State::Closed { how: Final::Blocked(cause), .. } = alone.head(id).state else { return false };
    cause.reason == Reason::PolicyOptedOut
}

#[test]
fn what_is_accepted_for_a_number_that_opted_out_is_blocked_and_never_leased() {
    let mut alone = stopped();
    alone.texts.clear();
    let accepted = alone.try_accept(draft(number(ANN), "pay")).unwrap();
    assert_eq!(accepted.status, Status::Blocked);
    assert!(is_blocked(&alone, accepted.id));
    alone.accept(BEN, "pay, Ben");
    alone.restart();
    assert_eq!(alone.texts, ["pay, Ben"]);
}

#[test]
fn what_a_link_has_not_written_is_recalled_and_blocked_when_it_comes_back() {
    let mut alone = Alone::new();
    let (id, other) = (alone.accept(ANN, "pay"), alone.accept(BEN, "pay"));
    alone.hear(reply(ANN, "STOP"));
    assert_eq!(alone.recalled, [id]);
    alone.outcome(id, Outcome::Unwritten);
    assert!(is_blocked(&alone, id));
    alone.taken(other, "1");
    assert_eq!(alone.status(other), Status::Sent);
}

#[test]
fn what_was_written_before_stays_what_the_link_says() {
    let mut alone = Alone::new();
    let id = alone.accept(ANN, "pay");
    alone.hear(reply(ANN, "STOP"));
    alone.taken(id, "1");
    assert_eq!(alone.status(id), Status::Sent);
}

#[test]
fn what_is_in_doubt_stays_unknown_and_is_not_sent_again() {
    let mut alone = Alone::new();
    let id = alone.accept(ANN, "pay");
    alone.outcome(id, Outcome::Unknown { why: UnknownWhy::NoAnswer });
    alone.hear(reply(ANN, "STOP"));
    alone.texts.clear();
    let (reply, answer) = oneshot::channel();
    alone.step(vec![Input::Command(Command::Resolve { id, how: Resolution::Resend, reply })]);
    answer.blocking_recv().unwrap().ok();
    assert_eq!((alone.status(id), alone.texts.len()), (Status::Unknown, 0));
}

#[test]
fn no_further_segment_of_a_long_message_goes() {
    let mut alone = Alone::new();
    let long = nudged::engine::Draft { segment_count: 6, ..draft(number(ANN), &"x".repeat(153 * 6)) };
    let id = alone.try_accept(long).unwrap().id;
    assert_eq!(alone.open.len(), 4);
    alone.inbound(0, Inbound::Reply(reply(ANN, "STOP")));
    alone.texts.clear();
    for _ in 0..4 {
        alone.taken(id, "1");
    }
    assert!(is_blocked(&alone, id), "{:?}", alone.head(id).state);
    assert!(alone.open.iter().all(|(_, submission)| submission.id != id));
}

#[test]
fn everything_that_waits_is_blocked_a_bounded_number_a_step() {
    let mut alone = Alone::new();
    alone.step(vec![Input::Link { link: 0, event: LinkEvent::Down { reason: String::new() } }]);
    let ids: Vec<_> = (0..1_000).map(|n| alone.accept(ANN, &n.to_string())).collect();
    let scheduled = nudged::engine::Draft {
        send_at: Some(alone.clock.now().wall.saturating_add(DAY)),
        ..draft(number(ANN), "later")
    };
    let scheduled = alone.try_accept(scheduled).unwrap().id;
    let token = nudged::link::InboundToken(99);
    let mut again =
        alone.step_once(vec![Input::Inbound { link: 0, token, inbound: Inbound::Reply(reply(ANN, "STOP")) }]);
    let blocked = ids.iter().filter(|id| is_blocked(&alone, **id)).count();
    assert!((1..=300).contains(&blocked), "{blocked}");
    while again {
        again = alone.step_once(vec![]);
    }
    assert!(ids.iter().chain([&scheduled]).all(|id| is_blocked(&alone, *id)));
}

#[test]
fn the_walk_that_a_crash_cut_short_is_made_up_for() {
    let mut alone = Alone::new();
    alone.step(vec![Input::Link { link: 0, event: LinkEvent::Down { reason: String::new() } }]);
    let ids: Vec<_> = (0..1_000).map(|n| alone.accept(ANN, &n.to_string())).collect();
    let token = nudged::link::InboundToken(99);
    alone.step_once(vec![Input::Inbound { link: 0, token, inbound: Inbound::Reply(reply(ANN, "STOP")) }]);
    alone.restart();
    for _ in 0..6 {
        alone.pass(Duration::from_secs(1));
    }
    assert!(ids.iter().all(|id| is_blocked(&alone, *id)));
    let to_ann = alone.open.iter().filter(|(_, s)| ids.contains(&s.id)).count();
    assert_eq!(to_ann, 0);
}

#[test]
fn one_confirmation_goes_out_by_the_link_that_heard_it_before_all_else() {
    let mut alone = Alone::with(&["a", "b"], "");
    alone.hear_by(1, reply(ANN, "STOP"));
    let [(link, confirmation)] = &alone.open[..] else { panic!("{:?}", alone.open) };
    assert_eq!((*link, confirmation.to), (1, number(ANN)));
    let id = confirmation.id;
    let body = alone.body(id);
    assert_eq!((body.class, body.priority.get()), (Class::Reply, 9));
    assert_eq!(alone.view().opt_outs_of(number(ANN)).unwrap()[0].suppression.confirmation, Some(id));
    for text in ["STOP", "stop", "Stop!"] {
        alone.hear_by(1, reply(ANN, text));
    }
    assert_eq!(alone.open.len(), 1, "once");
    alone.taken(id, "1");
    assert_eq!(alone.status(id), Status::Sent);
}

#[test]
fn the_confirmation_goes_out_after_a_restart_and_a_retry_too() {
    let mut alone = stopped();
    let id = alone.open[0].1.id;
    alone.outcome(id, Outcome::Unwritten);
    alone.restart();
    alone.pass(Duration::from_secs(1));
    assert_eq!(alone.open.iter().map(|(_, s)| s.id).collect::<Vec<_>>(), [id]);
}

#[test]
fn stop_start_stop_within_a_day_confirms_once_and_the_next_day_again() {
    let mut alone = stopped();
    assert_eq!(alone.texts.len(), 1);
    alone.hear(reply(ANN, "START"));
    alone.hear(reply(ANN, "STOP"));
    assert_eq!(alone.texts.len(), 1);
    alone.hear(reply(ANN, "START"));
    alone.pass(DAY);
    let id = alone.open[0].1.id;
    alone.taken(id, "1");
    alone.hear(reply(ANN, "STOP"));
    assert_eq!(alone.texts.len(), 2);
}

#[test]
fn a_confirmation_that_start_overtook_is_not_sent_and_the_next_stop_has_its_own() {
    let mut alone = Alone::new();
    alone.step(vec![Input::Link { link: 0, event: LinkEvent::Down { reason: String::new() } }]);
    for text in ["STOP", "START"] {
        alone.hear(reply(ANN, text));
    }
    alone.step(vec![Input::Link { link: 0, event: LinkEvent::Up }]);
    assert_eq!(alone.texts, [""; 0], "it is not true any more");
    alone.step(vec![Input::Link { link: 0, event: LinkEvent::Down { reason: String::new() } }]);
    for text in ["STOP", "START", "STOP"] {
        alone.hear(reply(ANN, text));
    }
    alone.step(vec![Input::Link { link: 0, event: LinkEvent::Up }]);
    assert_eq!(alone.texts.len(), 1, "{:?}", alone.texts);
}

#[test]
fn the_configured_confirmation_goes_out_as_it_is() {
    let mut alone = Alone::with(&["a"], "[inbound]\nstop_reply = 'Done. Żegnaj.'");
    alone.hear(reply(ANN, "STOP"));
    assert_eq!(alone.texts, ["Done. Żegnaj."]);
}

#[test]
fn names_and_short_codes_are_stored_but_neither_suppressed_nor_answered() {
    let mut alone = Alone::new();
    for from in ["PayCo", "12345", "0", "", "77009001 3"] {
        alone.hear(RawReply { from: from.into(), number: None, ..reply(ANN, "STOP") });
    }
    assert_eq!(alone.replies().len(), 5);
    assert!(alone.view().opt_outs(None, 10).unwrap().opt_outs.is_empty());
    assert!(alone.texts.is_empty());
}

#[test]
fn national_digits_silence_every_number_that_ends_in_them_and_get_no_answer() {
    let mut alone = Alone::new();
    alone.hear(RawReply { from: "07700900123".into(), number: None, ..reply(ANN, "STOP") });
    assert!(alone.texts.is_empty());
    let status = |alone: &mut Alone, to: &str| alone.try_accept(draft(number(to), "x")).unwrap().status;
    assert_eq!(status(&mut alone, ANN), Status::Blocked);
    assert_eq!(status(&mut alone, BEN), Status::Queued);
    alone.restart();
    assert_eq!(status(&mut alone, ANN), Status::Blocked);
    let party = Party::parse("07700900123").unwrap();
    assert_eq!(alone.view().opt_outs_of(number(ANN)).unwrap()[0].party, party);
    alone.hear(RawReply { from: "07700900123".into(), number: None, ..reply(ANN, "START") });
    assert_eq!(status(&mut alone, ANN), Status::Queued);
}

#[test]
fn what_waits_for_a_number_that_ends_in_them_is_blocked_too() {
    let mut alone = Alone::new();
    alone.step(vec![Input::Link { link: 0, event: LinkEvent::Down { reason: String::new() } }]);
    let id = alone.accept(ANN, "pay");
    alone.hear(RawReply { from: "07700900123".into(), number: None, ..reply(ANN, "STOP") });
    alone.pass(Duration::from_secs(1));
    assert!(is_blocked(&alone, id));
}

#[test]
fn what_waited_is_asked_again_when_it_is_leased() {
    let mut alone = Alone::new();
    alone.step(vec![Input::Link { link: 0, event: LinkEvent::Down { reason: String::new() } }]);
    let id = alone.accept(ANN, "pay");
    let stop = RawReply { from: "07700900123".into(), number: None, ..reply(ANN, "STOP") };
    let token = nudged::link::InboundToken(99);
    // Nobody has walked through what waits before the link asks for more.
    alone.step(vec![
        Input::Inbound { link: 0, token, inbound: Inbound::Reply(stop) },
        Input::Link { link: 0, event: LinkEvent::Up },
    ]);
    assert!(is_blocked(&alone, id));
    assert!(alone.texts.is_empty(), "{:?}", alone.texts);
}

#[test]
fn two_zeros_before_the_country_are_a_plus() {
    let mut alone = Alone::new();
    alone.hear(RawReply { from: "00447700900123".into(), number: None, ..reply(ANN, "STOP") });
    assert_eq!(alone.view().opt_outs_of(number(ANN)).unwrap()[0].party, Party::Number(number(ANN)));
    assert_eq!(alone.texts.len(), 1, "confirmed");
}

#[test]
fn start_lifts_it_and_both_are_told() {
    let mut alone = stopped();
    alone.hear(reply(ANN, "START"));
    let accepted = alone.try_accept(draft(number(ANN), "pay")).unwrap();
    assert_eq!(accepted.status, Status::Queued);
    let [stop, start] = &alone.replies()[..] else { panic!() };
    assert_eq!((stop.intent, start.intent), (Intent::OptOut, Intent::OptIn));
    let party = Party::Number(number(ANN));
    let (added, removed) = (Source::Reply(Some(stop.id)), Source::Reply(Some(start.id)));
    assert!(alone.notices.contains(&NoticeKind::OptOutAdded { party, source: added }));
    assert!(alone.notices.contains(&NoticeKind::OptOutRemoved { party, source: removed }));
}

#[test]
fn a_lone_segment_that_says_stop_counts_at_once_and_is_named_when_the_reply_is_shown() {
    let mut alone = Alone::new();
    let id = alone.accept(ANN, "pay");
    alone.hear(segment(ANN, "STOP", (1, 2, 2)));
    assert_eq!((alone.recalled.as_slice(), alone.replies().len()), (&[id][..], 0));
    assert_eq!(alone.try_accept(draft(number(ANN), "x")).unwrap().status, Status::Blocked);
    alone.restart();
    alone.pass(Duration::from_secs(2 * 3600));
    let [shown] = &alone.replies()[..] else { panic!() };
    assert_eq!((shown.intent, shown.complete), (Intent::OptOut, false));
    let source = &alone.view().opt_outs_of(number(ANN)).unwrap()[0].suppression.source;
    assert_eq!(*source, Source::Reply(Some(shown.id)));
}

#[test]
fn a_stop_that_two_segments_share_counts_when_it_is_whole() {
    let mut alone = Alone::new();
    alone.hear(segment(ANN, "ST", (1, 2, 1)));
    alone.hear(segment(ANN, "OP", (1, 2, 2)));
    assert_eq!(alone.try_accept(draft(number(ANN), "x")).unwrap().status, Status::Blocked);
}

#[test]
fn a_person_adds_and_lifts_them_and_the_list_comes_in_pages() {
    let mut alone = Alone::new();
    for (party, new) in [(ANN, 1), (BEN, 1), (ANN, 0), ("7700900", 1)] {
        assert_eq!(alone.opt_out(party), new);
    }
    assert!(alone.texts.is_empty(), "nobody asked for a confirmation");
    let view = alone.view();
    let first = view.opt_outs(None, 2).unwrap();
    let second = view.opt_outs(first.next, 2).unwrap();
    let parties = [first.opt_outs, second.opt_outs].concat().into_iter().map(|o| o.party.as_written());
    assert_eq!(parties.collect::<Vec<_>>(), [ANN, BEN, "7700900"]);
    assert_eq!(second.next, None);
    alone.lift(ANN).unwrap();
    assert_eq!(alone.lift(ANN), Err(Refusal::NotFound));
    assert_eq!(alone.try_accept(draft(number(ANN), "x")).unwrap().status, Status::Queued);
}

#[test]
fn the_sum_by_status_holds_with_what_is_blocked() {
    let mut alone = stopped();
    for _ in 0..3 {
        alone.accept(ANN, "x");
    }
    let counters: nudged::engine::core::Counters =
        nudged::store::record::decode(&alone.state.map[&nudged::store::keys::core("counters")]).unwrap();
    assert_eq!(counters.by_status[Status::Blocked as usize], 3);
}

#[test]
fn no_confirmation_is_handed_out_before_its_opt_out_is_stored() {
    let mut alone = Alone::new();
    let token = nudged::link::InboundToken(99);
    let mut inputs = vec![Input::Inbound { link: 0, token, inbound: Inbound::Reply(reply(ANN, "STOP")) }];
    while alone.step_once(std::mem::take(&mut inputs)) {
        let stored = !alone.view().opt_outs_of(number(ANN)).unwrap().is_empty();
        assert!(stored || alone.texts.is_empty(), "{:?}", alone.texts);
    }
    assert_eq!(alone.texts.len(), 1);
    alone.restart();
    assert_eq!(alone.view().opt_outs_of(number(ANN)).unwrap().len(), 1);
}

#[test]
fn paid_and_then_stop_are_two_replies_and_one_opt_out() {
    let mut alone = Alone::new();
    for text in ["PAID", "STOP"] {
        alone.hear(reply(ANN, text));
    }
    let intents: Vec<Intent> = alone.replies().iter().map(|reply| reply.intent).collect();
    assert_eq!((intents.len(), intents[1]), (2, Intent::OptOut));
    assert_eq!(alone.view().opt_outs_of(number(ANN)).unwrap().len(), 1);
    assert_eq!(alone.texts.len(), 1, "its confirmation");
}

#[test]
fn a_1_is_kept_and_decides_nothing_whatever_is_open() {
    let mut alone = Alone::new();
    alone.hear(reply(ANN, "1"));
    for (n, text) in ["invoice 17: 1 for yes", "invoice 18: 1 for yes"].into_iter().enumerate() {
        alone.send(ANN, text, &n.to_string());
    }
    alone.hear(reply(ANN, "1"));
    alone.pass(DAY * 30);
    alone.hear(reply(ANN, "paid?"));
    assert_eq!(alone.replies().len(), 3);
    assert!(alone.view().opt_outs(None, 10).unwrap().opt_outs.is_empty());
    assert_eq!(alone.texts.len(), 2, "nothing goes out but what was sent");
    let next = alone.accept(ANN, "next");
    assert!(alone.open.iter().any(|(_, submission)| submission.id == next), "and nothing is held");
}

#[test]
fn a_robot_that_answers_whatever_it_gets_gets_one_text_a_day() {
    let mut alone = stopped();
    for round in 0..40 {
        let echo = alone.texts.last().unwrap().clone();
        for said in [echo.as_str(), "START", "We are closed until Monday.", "STOP"] {
            alone.hear(reply(ANN, said));
        }
        assert_eq!(alone.texts.len(), 1, "round {round}: {:?}", alone.texts);
    }
}
