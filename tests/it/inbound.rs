//! Replies in the core: stored once, long ones joined, what they answer, what is shown of them.

use std::time::Duration;

use nudged::engine::core::Input;
use nudged::engine::{Entry, ReplyFilter};
use nudged::link::{Inbound, LinkEvent, Poison, RawReply, Repeat};
use nudged::reminder::suppression::Intent;
use nudged::store::keys::family;

use crate::alone::{Alone, number, reply, segment};

const ANN: &str = "+4915110000001";
const BEN: &str = "+4915110000002";
/// A network waits this long for an answer before it sends the same again.
const AGAIN: Duration = Duration::from_secs(5);
const DAY: Duration = Duration::from_secs(86_400);

fn texts(alone: &Alone) -> Vec<String> {
    alone.replies().into_iter().map(|reply| reply.text.unwrap_or_default()).collect()
}

#[test]
fn what_comes_again_before_its_answer_was_written_is_confirmed_and_not_stored_again() {
    let mut alone = Alone::new();
    alone.inbound(0, Inbound::Reply(reply(ANN, "1")));
    alone.step(vec![Input::Link { link: 0, event: LinkEvent::Down { reason: String::new() } }]);
    alone.inbound(0, Inbound::Reply(reply(ANN, "1")));
    assert_eq!(texts(&alone), ["1"]);
}

#[test]
fn it_is_known_after_a_restart_too() {
    let mut alone = Alone::new();
    alone.inbound(0, Inbound::Reply(reply(ANN, "1")));
    alone.restart();
    alone.inbound(0, Inbound::Reply(reply(ANN, "1")));
    assert_eq!(texts(&alone), ["1"]);
}

#[test]
fn a_second_honest_1_is_kept_once_the_first_was_answered() {
    let mut alone = Alone::new();
    alone.hear(reply(ANN, "1"));
    alone.hear(reply(ANN, "1"));
    assert_eq!(texts(&alone), ["1", "1"]);
}

#[test]
fn two_of_the_same_words_that_came_together_are_two() {
    let mut alone = Alone::new();
    let first = alone.inbound(0, Inbound::Reply(reply(ANN, "1")));
    let second = alone.inbound(0, Inbound::Reply(reply(ANN, "1")));
    assert_eq!(texts(&alone), ["1", "1"], "nothing was lost that the network would send again");
    alone.answered(0, first);
    alone.step(vec![Input::Link { link: 0, event: LinkEvent::Down { reason: String::new() } }]);
    alone.inbound(0, Inbound::Reply(reply(ANN, "1")));
    assert_eq!(texts(&alone), ["1", "1"], "the answer to the second was lost, so it comes again");
    alone.answered(0, second);
}

#[test]
fn an_answer_to_the_repeat_ends_the_wait_for_the_first_too() {
    let mut alone = Alone::new();
    alone.inbound(0, Inbound::Reply(reply(ANN, "1")));
    alone.pass(AGAIN);
    alone.hear(reply(ANN, "1"));
    assert_eq!(texts(&alone), ["1"]);
    alone.hear(reply(ANN, "1"));
    assert_eq!(texts(&alone), ["1", "1"]);
}

#[test]
fn an_answer_of_another_link_with_the_same_token_says_nothing() {
    let mut alone = Alone::with(&["a", "b"], "");
    let token = alone.inbound(0, Inbound::Reply(reply(ANN, "1")));
    alone.answered(1, token);
    alone.pass(AGAIN);
    alone.inbound(0, Inbound::Reply(reply(ANN, "1")));
    assert_eq!(texts(&alone), ["1"]);
}

#[test]
fn what_a_modem_keeps_is_the_same_for_a_week_whatever_was_answered() {
    let mut alone = Alone::new();
    let stored = || RawReply { repeat: Repeat::Stored([7; 16]), ..reply(ANN, "1") };
    alone.hear(stored());
    alone.restart();
    alone.pass(DAY * 6);
    alone.hear(stored());
    assert_eq!(texts(&alone), ["1"]);
    assert_eq!(alone.count(family::REPEAT), 1);
    alone.pass(DAY);
    assert_eq!(alone.count(family::REPEAT), 0, "swept");
}

#[test]
fn what_nobody_answered_is_forgotten_after_72_hours() {
    let mut alone = Alone::new();
    alone.inbound(0, Inbound::Reply(reply(ANN, "1")));
    alone.pass(DAY * 3 - Duration::from_secs(5));
    assert_eq!(alone.count(family::REPEAT), 1);
    alone.pass(Duration::from_secs(6));
    assert_eq!(alone.count(family::REPEAT), 0);
}

#[test]
fn what_nobody_can_read_is_kept_as_it_came_and_once() {
    let mut alone = Alone::new();
    let poison = || Poison { raw: vec![0xFF, 0], why: String::from("half"), repeat: Repeat::Stored([9; 16]) };
    alone.poison(poison());
    alone.restart();
    alone.poison(poison());
    let [shown] = &alone.replies()[..] else { panic!() };
    assert_eq!((shown.raw.clone(), shown.problem.as_deref()), (vec![vec![0xFF, 0]], Some("half")));
    assert_eq!(shown.intent, Intent::Unreadable);
}

fn long(total: u8, number: u8, text: &str) -> RawReply {
    segment(ANN, text, (7, total, number))
}

#[test]
fn a_long_reply_is_one_once_all_its_segments_came_in_any_order_over_a_restart() {
    let mut alone = Alone::new();
    alone.hear(long(3, 3, "c"));
    alone.hear(long(3, 1, "a"));
    alone.restart();
    assert!(alone.replies().is_empty(), "nothing is shown as done before");
    alone.hear(long(3, 2, "b"));
    let [shown] = &alone.replies()[..] else { panic!() };
    assert_eq!((shown.text.as_deref(), shown.complete), (Some("abc"), true));
    assert_eq!(shown.raw, [b"a", b"b", b"c"]);
    assert_eq!(alone.count(family::PENDING), 0);
}

#[test]
fn segments_of_two_senders_two_references_and_two_accounts_are_not_mixed() {
    let mut alone = Alone::with(&["a", "b"], "");
    alone.hear(long(2, 1, "ann "));
    alone.hear(segment(BEN, "ben ", (7, 2, 1)));
    alone.hear(segment(ANN, "else ", (8, 2, 1)));
    alone.hear(segment(ANN, "other ", (7, 3, 1)));
    alone.hear_by(1, long(2, 1, "b "));
    alone.hear(long(2, 2, "1"));
    alone.hear(segment(BEN, "2", (7, 2, 2)));
    alone.hear(segment(ANN, "3", (8, 2, 2)));
    alone.hear_by(1, long(2, 2, "4"));
    assert_eq!(texts(&alone), ["ann 1", "ben 2", "else 3", "b 4"]);
}

#[test]
fn an_incomplete_reply_is_shown_as_such_after_the_timeout() {
    let mut alone = Alone::new();
    alone.hear(long(3, 1, "I will "));
    alone.pass(Duration::from_secs(3600));
    alone.restart();
    alone.hear(long(3, 3, "Friday"));
    alone.pass(Duration::from_secs(3500));
    assert!(alone.replies().is_empty());
    alone.pass(Duration::from_secs(200));
    let [shown] = &alone.replies()[..] else { panic!() };
    assert_eq!((shown.text.as_deref(), shown.complete), (Some("I will Friday"), false));
    assert_eq!(alone.count(family::PENDING), 0);
}

#[test]
fn the_same_segment_again_changes_nothing_and_with_other_text_it_begins_a_new_reply() {
    let mut alone = Alone::new();
    alone.hear(long(2, 1, "one "));
    alone.hear(long(2, 1, "one "));
    alone.hear(long(2, 1, "two "));
    alone.hear(long(2, 2, "end"));
    let shown: Vec<_> = alone.replies().into_iter().map(|r| (r.text.unwrap(), r.complete)).collect();
    assert_eq!(shown, [("one ".into(), false), ("two end".into(), true)]);
}

#[test]
fn a_segment_that_says_no_possible_place_is_shown_at_once_as_a_part() {
    let mut alone = Alone::new();
    for (total, number) in [(0, 1), (2, 0), (2, 3), (1, 2)] {
        alone.hear(segment(ANN, "x", (1, total, number)));
    }
    alone.hear(segment(ANN, "whole", (1, 1, 1)));
    let complete: Vec<bool> = alone.replies().iter().map(|reply| reply.complete).collect();
    assert_eq!(complete, [false, false, false, false, true]);
}

#[test]
fn a_reply_of_255_segments_is_joined() {
    let mut alone = Alone::new();
    for n in (1..=255).rev() {
        alone.hear(segment(ANN, &format!("{n} "), (1, 255, n)));
    }
    let [shown] = &alone.replies()[..] else { panic!() };
    let text: String = (1..=255).map(|n| format!("{n} ")).collect();
    assert_eq!(shown.text.as_ref(), Some(&text));
}

#[test]
fn a_sender_with_too_many_unfinished_replies_sees_the_oldest_shown_and_nobody_else_is_hurt() {
    let mut alone = Alone::new();
    alone.hear(segment(BEN, "ben ", (1, 2, 1)));
    for reference in 0..20 {
        alone.hear(segment(ANN, &reference.to_string(), (reference, 2, 1)));
    }
    assert_eq!(texts(&alone), (0..12).map(|n| n.to_string()).collect::<Vec<_>>());
    alone.hear(segment(BEN, "2", (1, 2, 2)));
    assert_eq!(texts(&alone).last().unwrap(), "ben 2");
}

#[test]
fn a_long_reply_with_a_binary_segment_has_no_text_and_all_its_octets() {
    let mut alone = Alone::new();
    alone.hear(long(2, 1, "a"));
    alone.hear(RawReply { text: None, ..long(2, 2, "b") });
    let [shown] = &alone.replies()[..] else { panic!() };
    assert_eq!((shown.text.clone(), shown.intent, shown.raw.len()), (None, Intent::Unreadable, 2));
}

#[test]
fn a_character_that_was_cut_between_two_segments_is_whole_again() {
    let units: Vec<u16> = "ja \u{1F44D} gut".encode_utf16().collect();
    let halves = units.split_at(4);
    let piece = |number: u8, units: &[u16]| {
        let octets = units.iter().flat_map(|unit| unit.to_be_bytes());
        let raw = [5, 0, 3, 7, 2, number].into_iter().chain(octets).collect();
        RawReply { raw, ..long(2, number, &String::from_utf16_lossy(units)) }
    };
    let mut alone = Alone::new();
    alone.hear(piece(1, halves.0));
    alone.hear(piece(2, halves.1));
    alone.hear(RawReply { raw: vec![1], ..long(2, 1, "a\u{FFFD}") });
    alone.hear(RawReply { raw: vec![2], ..long(2, 2, "\u{FFFD}b") });
    assert_eq!(texts(&alone), ["ja \u{1F44D} gut", "a\u{FFFD}\u{FFFD}b"]);
}

#[test]
fn a_reply_answers_the_newest_message_that_went_to_its_sender_by_the_same_account() {
    let mut alone = Alone::with(&["a", "b"], "");
    let by = |link: &str, text: &str| nudged::engine::Draft {
        link: Some(link.into()),
        ..crate::support::draft(number(ANN), text)
    };
    let first = alone.try_accept(by("a", "one")).unwrap().id;
    alone.taken(first, "1");
    let second = alone.try_accept(by("a", "two")).unwrap().id;
    alone.taken(second, "2");
    let other = alone.try_accept(by("b", "three")).unwrap().id;
    alone.taken(other, "3");
    alone.send(BEN, "four", "4");
    alone.hear(reply(ANN, "paid"));
    alone.pass(DAY * 31);
    alone.hear(reply(ANN, "late"));
    let answers: Vec<_> = alone.replies().into_iter().map(|reply| reply.answers).collect();
    assert_eq!(answers, [Some(second), None]);
}

#[test]
fn replies_are_listed_by_sender_link_intent_and_time_in_pages() {
    let mut alone = Alone::with(&["a", "b"], "");
    alone.hear(reply(ANN, "one"));
    alone.hear(reply(BEN, "two"));
    alone.pass(DAY);
    let later = alone.clock.now().wall;
    alone.hear_by(1, reply(ANN, "three"));
    alone.hear(RawReply { number: None, from: String::from("015110000001"), ..reply(ANN, "STOP") });
    let view = alone.view();
    let list = |filter: ReplyFilter| -> Vec<String> {
        let page = view.replies(&filter, None, false, 50).unwrap();
        page.replies.into_iter().map(|reply| reply.text.unwrap()).collect()
    };
    let all = ReplyFilter::default;
    assert_eq!(list(ReplyFilter { number: Some(number(ANN)), ..all() }), ["one", "three", "STOP"]);
    assert_eq!(list(ReplyFilter { link: Some("b".into()), ..all() }), ["three"]);
    assert_eq!(list(ReplyFilter { intent: Some(Intent::OptOut), ..all() }), ["STOP"]);
    assert_eq!(list(ReplyFilter { since: Some(later), ..all() }), ["three", "STOP"]);
    assert_eq!(list(ReplyFilter { until: Some(later), ..all() }), ["one", "two"]);
    let mut paged = Vec::new();
    let mut after = None;
    loop {
        let page = view.replies(&ReplyFilter { number: Some(number(ANN)), ..all() }, after, true, 1).unwrap();
        paged.extend(page.replies.into_iter().map(|reply| reply.text.unwrap()));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(paged, ["STOP", "three", "one"]);
}

#[test]
fn a_conversation_has_messages_and_replies_in_order_in_pages() {
    let mut alone = Alone::new();
    alone.send(ANN, "pay", "1");
    alone.hear(reply(ANN, "who?"));
    alone.send(BEN, "not hers", "2");
    alone.hear(reply(BEN, "not hers"));
    alone.send(ANN, "we", "3");
    alone.hear(reply(ANN, "ah"));
    let view = alone.view();
    for newest_first in [false, true] {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let now = alone.clock.now().wall;
            let page = view.conversation(number(ANN), after, newest_first, 3, now).unwrap();
            seen.extend(page.entries.into_iter().map(|entry| match entry {
                Entry::Message(message) => message.body.text,
                Entry::Reply(reply) => reply.text.unwrap(),
            }));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        if newest_first {
            seen.reverse();
        }
        assert_eq!(seen, ["pay", "who?", "we", "ah"]);
    }
}

#[test]
fn replies_go_after_the_retention_with_all_that_leads_to_them() {
    let mut alone = Alone::new();
    alone.hear(reply(ANN, "one"));
    alone.pass(DAY * 179);
    assert_eq!(alone.replies().len(), 1);
    alone.pass(DAY * 2);
    assert_eq!((alone.count(family::INBOUND), alone.count(family::PARTY)), (0, 0));
}
