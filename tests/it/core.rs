//! The core alone, on a map: what is too large or too rare for a whole daemon.

use std::collections::BTreeMap;
use std::time::Duration;

use nudged::clock::Clock;
use nudged::engine::core::{Core, Input, Settings};
use nudged::engine::memory::Memory;
use nudged::engine::order::MAX_PARKED;
use nudged::engine::{BatchWish, Command, Draft};
use nudged::id::MessageId;
use nudged::link::{
    Inbound, InboundToken, LinkEvent, LinkFacts, Outcome, Receipt, Submission, user_message_reference,
};
use nudged::message::{
    Cause, Class, Encoding, Final, Head, Msisdn, OnUnknown, Priority, Reason, ReceiptState, ReceiptWait,
    Reference, Resolution, State, UnknownWhy,
};
use nudged::retry::RetryClass;
use nudged::store::keys::family;
use nudged::store::{keys, record};
use tokio::sync::oneshot;

use crate::support::{START, checked};

/// Commands given to one step.
const PER_STEP: usize = 2_000;

struct Alone {
    core: Core,
    state: Memory,
    clock: Clock,
    /// Submissions not answered yet, and all there were, by recipient.
    open: Vec<Submission>,
    texts: BTreeMap<Msisdn, Vec<String>>,
}

impl Alone {
    /// A core with one link that is up.
    fn new(window: u16) -> Alone {
        Alone::with(&["a"], window)
    }

    /// A core with these links, all up.
    fn with(names: &[&str], window: u16) -> Alone {
        let link = |&name: &&str| LinkFacts { name: name.into(), account: name.into(), kind: "smpp", window };
        let links: Vec<LinkFacts> = names.iter().map(link).collect();
        let up = (0..links.len()).map(|link| Input::Link { link, event: LinkEvent::Up }).collect();
        let settings = Settings { queue: checked("").queue, routes: Vec::new(), links };
        let (state, clock) = (Memory::default(), Clock::manual(START));
        let (core, _) = Core::recover(settings, &state, clock.now()).unwrap();
        let mut alone = Alone { core, state, clock, open: Vec::new(), texts: BTreeMap::new() };
        alone.step(up);
        alone
    }

    /// One step, and those that it asks for at once.
    fn step(&mut self, mut inputs: Vec<Input>) {
        loop {
            self.clock.advance(Duration::from_millis(1));
            let step = self.core.step(&self.state, std::mem::take(&mut inputs), self.clock.now()).unwrap();
            self.state.apply(&step.batch);
            for (_, submission) in step.submissions {
                self.texts.entry(submission.to).or_default().push(submission.text.clone());
                self.open.push(submission);
            }
            if step.wake_at.is_some() {
                return;
            }
        }
    }

    fn accept(&mut self, drafts: impl Iterator<Item = Draft>) {
        let drafts: Vec<Draft> = drafts.collect();
        for some in drafts.chunks(PER_STEP) {
            let accept = |draft: &Draft| {
                let (reply, _) = oneshot::channel();
                let drafts = vec![draft.clone()];
                Input::Command(Command::Accept { drafts, batch: BatchWish::None, reply })
            };
            self.step(some.iter().map(accept).collect());
        }
    }

    /// Every open submission is answered so.
    fn answer(&mut self, outcome: &Outcome) {
        let events = std::mem::take(&mut self.open).into_iter().map(|s| {
            let outcome = outcome.clone();
            link_says(LinkEvent::Outcome { id: s.id, index: s.index, outcome })
        });
        self.step(events.collect());
    }

    /// All links, or one of them.
    fn pause(&mut self, link: Option<&str>) {
        let (reply, _) = oneshot::channel();
        let link = link.map(Into::into);
        self.step(vec![Input::Command(Command::Pause { link, by: "crm".into(), reply })]);
    }

    fn pass(&mut self, time: Duration) {
        self.clock.advance(time);
        self.step(Vec::new());
    }

    /// Messages to these numbers, accepted by the carrier in this order under one reference.
    fn send_all(&mut self, to: impl Iterator<Item = Msisdn>, reference: &str) -> Vec<MessageId> {
        self.accept(to.map(|to| draft(to, "x")));
        let mut ids = Vec::new();
        while !self.open.is_empty() {
            ids.extend(self.open.iter().map(|s| s.id));
            self.answer(&accepted(reference));
        }
        ids
    }

    fn is_delivered(&self, id: MessageId) -> bool {
        matches!(self.head(id).state, State::Closed { how: Final::Delivered, .. })
    }

    fn head(&self, id: MessageId) -> Head {
        record::decode(&self.state.map[&keys::head(id)]).unwrap()
    }
}

fn link_says(event: LinkEvent) -> Input {
    Input::Link { link: 0, event }
}

fn to(n: u64) -> Msisdn {
    Msisdn::from_u64(4_915_112_345_000 + n)
}

fn draft(to: Msisdn, text: &str) -> Draft {
    Draft {
        to,
        text: String::from(text),
        sender: None,
        link: None,
        class: Class::default(),
        priority: Priority::default(),
        send_at: None,
        valid_until: None,
        encoding: Encoding::Gsm7,
        segment_count: 1,
        on_unknown: None,
        flash: false,
        receipt: true,
        client_ref: None,
        unique_ref: false,
        allow_duplicate: true,
        metadata: None,
        token: "crm".into(),
        idempotency: None,
    }
}

fn accepted(reference: &str) -> Outcome {
    Outcome::Accepted { reference: Reference(reference.into()) }
}

/// A receipt that says delivered.
fn receipt(reference: Option<&str>) -> Receipt {
    Receipt {
        reference: reference.map(|reference| Reference(reference.into())),
        alternatives: Vec::new(),
        state: ReceiptState::Delivered,
        recipient: None,
        user_message_reference: None,
        raw: None,
    }
}

fn came(receipt: Receipt) -> Input {
    Input::Inbound { link: 0, token: InboundToken(1), inbound: Inbound::Receipt(receipt) }
}

/// More messages to one number than are held in memory, behind one that waits for its retry.
#[test]
fn a_number_with_more_messages_than_can_be_parked_stops_nobody_and_keeps_its_order() {
    let mut alone = Alone::new(10);
    alone.accept([draft(to(1), "0")].into_iter());
    let busy = Cause::plain(Reason::SmscTemporary);
    alone.answer(&Outcome::Refused { cause: busy, retry: RetryClass::Temporary });
    let count = MAX_PARKED + 500;
    alone.accept((1..count).map(|n| draft(to(1), &n.to_string())));
    alone.accept([draft(to(2), "another")].into_iter());
    assert_eq!(alone.texts[&to(2)], ["another"], "another number does not wait");
    alone.answer(&accepted("x"));
    assert_eq!(alone.texts[&to(1)].len(), 1);
    alone.pass(Duration::from_secs(31));
    for _ in 0..20 {
        alone.answer(&accepted("x"));
    }
    let expected = ["0"].into_iter().map(String::from).chain((0..=20).map(|n| n.to_string()));
    assert_eq!(alone.texts[&to(1)], expected.collect::<Vec<_>>());
}

/// More messages than memory holds at once, so that looking ahead also reads on in the lanes.
#[test]
fn what_is_sent_and_in_which_order_is_the_same_whether_the_core_looks_ahead_or_not() {
    let [looked, not] = [true, false].map(|looks| {
        let mut alone = Alone::new(64);
        let priority = |n| Priority::new(if n % 10 == 0 { 9 } else { 4 }).unwrap();
        alone.accept((0..1_500).map(|n| Draft { priority: priority(n), ..draft(to(n % 700), "x") }));
        let mut sent = Vec::new();
        while !alone.open.is_empty() {
            sent.extend(alone.open.iter().map(|s| s.id));
            while looks && alone.core.look_ahead(&alone.state).unwrap() {}
            alone.answer(&accepted("x"));
        }
        sent
    });
    assert_eq!(looked.len(), 1_500);
    assert!(looked == not);
}

/// Nobody said which: crediting either would be a guess.
#[test]
fn a_receipt_without_recipient_is_not_credited_where_two_messages_have_its_reference() {
    let mut alone = Alone::new(10);
    alone.accept([1, 2].map(|n| draft(to(n), "x")).into_iter());
    let ids: Vec<MessageId> = alone.open.iter().map(|s| s.id).collect();
    alone.answer(&accepted("same"));
    let came = |recipient| came(Receipt { recipient, ..receipt(Some("same")) });
    alone.step(vec![came(None)]);
    assert!(ids.iter().all(|&id| matches!(alone.head(id).state, State::Sent { .. })));
    alone.step(vec![came(Some(to(2)))]);
    assert!(matches!(alone.head(ids[1]).state, State::Closed { .. }));
}

#[test]
fn an_unknown_that_could_not_be_sent_again_in_time_stays_unknown_and_counted_as_such() {
    let mut alone = Alone::new(10);
    let valid_until = Some(START.saturating_add(Duration::from_secs(900)));
    let again = Draft { on_unknown: Some(OnUnknown::Resend), valid_until, ..draft(to(1), "x") };
    alone.accept([again].into_iter());
    let id = alone.open[0].id;
    alone.answer(&Outcome::Unknown { why: UnknownWhy::LinkLost });
    // The policy puts it back into its lane, but nothing goes out any more.
    alone.pause(None);
    alone.pass(Duration::from_secs(700));
    assert!(matches!(alone.head(id).state, State::Waiting { .. }));
    for _ in 0..3 {
        alone.pass(Duration::from_secs(700));
        assert!(matches!(alone.head(id).state, State::Unknown { .. }));
    }
    assert!(alone.state.map.contains_key(&keys::unknown(id)));
    assert_eq!(alone.texts[&to(1)].len(), 1);
}

/// A long message to `to(1)` by link `a`, its first segment accepted and the second not leased when `link`
/// is paused; valid for a quarter of an hour.
fn paused_between_two_segments(link: Option<&str>) -> (Alone, MessageId) {
    let mut alone = Alone::with(&["a", "b"], 1);
    let valid_until = Some(START.saturating_add(Duration::from_secs(900)));
    let long = Draft {
        segment_count: 2,
        link: Some("a".into()),
        valid_until,
        ..draft(to(1), &"0123456789".repeat(20))
    };
    alone.accept([long].into_iter());
    let id = alone.open[0].id;
    alone.pause(link);
    alone.answer(&accepted("x"));
    assert!(matches!(alone.head(id).state, State::Leased { .. }), "the rest is still to go");
    (alone, id)
}

#[test]
fn a_long_message_whose_link_is_paused_between_two_segments_expires_at_its_validity() {
    for link in [None, Some("a")] {
        let (mut alone, id) = paused_between_two_segments(link);
        alone.pass(Duration::from_secs(890));
        assert!(matches!(alone.head(id).state, State::Leased { .. }), "it may still be resumed");
        alone.pass(Duration::from_secs(10));
        assert!(matches!(alone.head(id).state, State::Closed { how: Final::Expired, .. }));
        assert_eq!(alone.texts[&to(1)].len(), 1, "the rest never went");
        assert!(!alone.state.map.keys().any(|key| key[0] == family::LEASE), "its lease has ended");
    }
}

#[test]
fn a_long_message_that_expired_on_a_paused_link_holds_back_nobody() {
    let (mut alone, _) = paused_between_two_segments(Some("a"));
    alone.accept([draft(to(1), "later")].into_iter());
    assert_eq!(alone.texts[&to(1)].len(), 1, "one message to a number at a time");
    alone.pass(Duration::from_secs(900));
    assert_eq!(alone.texts[&to(1)][1..], ["later"]);
}

/// A pause must not end what the carrier may have: only its answer says so.
#[test]
fn a_segment_that_is_unanswered_at_the_validity_of_a_paused_message_still_counts() {
    let mut alone = Alone::new(2);
    let valid_until = Some(START.saturating_add(Duration::from_secs(900)));
    let long = Draft { segment_count: 3, valid_until, ..draft(to(1), &"0123456789".repeat(40)) };
    alone.accept([long].into_iter());
    let second = alone.open.pop().unwrap();
    alone.pause(None);
    alone.answer(&accepted("x"));
    alone.pass(Duration::from_secs(900));
    assert!(matches!(alone.head(second.id).state, State::Leased { .. }));
    alone.open.push(second.clone());
    alone.answer(&accepted("y"));
    alone.pass(Duration::from_secs(1));
    let head = alone.head(second.id);
    assert!(matches!(head.state, State::Closed { how: Final::Expired, .. }));
    assert_eq!(head.attempts[0].segments.iter().filter(|s| s.reference().is_some()).count(), 2);
}

/// Longer than any receipt is waited for, then some ticks of the sweep.
fn wait_for_receipts_in_vain(alone: &mut Alone) {
    alone.pass(Duration::from_secs(11 * 24 * 3600));
    alone.pass(Duration::from_secs(2));
}

fn never_came(head: &Head) -> bool {
    matches!(head.state, State::Sent { receipt: ReceiptWait::NeverCame, .. })
}

#[test]
fn a_message_accepted_without_a_reference_says_in_the_end_that_its_receipt_never_came() {
    let mut alone = Alone::new(10);
    alone.accept([draft(to(1), "x")].into_iter());
    let id = alone.open[0].id;
    alone.answer(&accepted(""));
    assert!(matches!(alone.head(id).state, State::Sent { receipt: ReceiptWait::Until(_), .. }));
    wait_for_receipts_in_vain(&mut alone);
    assert!(never_came(&alone.head(id)));
    assert!(!alone.state.map.keys().any(|key| key[0] == family::RECEIPT));
}

#[test]
fn a_message_that_a_person_declared_sent_says_in_the_end_that_its_receipt_never_came() {
    let mut alone = Alone::new(10);
    alone.accept([Draft { segment_count: 2, ..draft(to(1), &"0123456789".repeat(20)) }].into_iter());
    let second = alone.open.pop().unwrap();
    alone.answer(&accepted("first"));
    alone.open.push(second.clone());
    alone.answer(&Outcome::Unknown { why: UnknownWhy::LinkLost });
    let (reply, _) = oneshot::channel();
    alone.step(vec![Input::Command(Command::Resolve { id: second.id, how: Resolution::Sent, reply })]);
    alone.step(vec![came(receipt(Some("first")))]);
    assert!(matches!(alone.head(second.id).state, State::Sent { receipt: ReceiptWait::Until(_), .. }));
    wait_for_receipts_in_vain(&mut alone);
    assert!(never_came(&alone.head(second.id)), "of the second segment nothing came");
}

#[test]
fn a_message_known_to_be_out_by_a_receipt_without_reference_says_in_the_end_that_the_last_never_came() {
    let mut alone = Alone::new(10);
    alone.accept([draft(to(1), "x")].into_iter());
    let id = alone.open[0].id;
    alone.answer(&Outcome::Unknown { why: UnknownWhy::LinkLost });
    let pending = Receipt { recipient: Some(to(1)), state: ReceiptState::Pending, ..receipt(None) };
    alone.step(vec![came(pending)]);
    assert!(matches!(alone.head(id).state, State::Sent { receipt: ReceiptWait::Until(_), .. }));
    wait_for_receipts_in_vain(&mut alone);
    assert!(never_came(&alone.head(id)));
}

/// It can speak of nothing else; but without a recipient, or of somebody else, it says nothing.
#[test]
fn a_receipt_without_a_reference_is_for_the_oldest_to_its_recipient_that_was_given_none() {
    let mut alone = Alone::new(10);
    let named = alone.send_all([to(2)].into_iter(), "named")[0];
    let ids = alone.send_all([to(1), to(1)].into_iter(), "");
    let delivered = |alone: &Alone| {
        [ids[0], ids[1], named].into_iter().filter(|&id| alone.is_delivered(id)).collect::<Vec<_>>()
    };
    let strange = user_message_reference(named, 0);
    let none = [
        receipt(None),
        Receipt { recipient: Some(to(2)), ..receipt(None) },
        Receipt { recipient: Some(to(1)), ..receipt(Some("else")) },
        Receipt { recipient: Some(to(1)), user_message_reference: Some(strange), ..receipt(None) },
    ];
    for other in none {
        alone.step(vec![came(other)]);
        assert_eq!(delivered(&alone), []);
    }
    let its = || Receipt { recipient: Some(to(1)), ..receipt(None) };
    alone.step(vec![came(its())]);
    assert_eq!(delivered(&alone), ids[..1]);
    alone.step(vec![came(its())]);
    assert_eq!(delivered(&alone), ids);
}

#[test]
fn a_receipt_without_a_reference_that_echoes_ours_is_for_the_segment_it_names() {
    let mut alone = Alone::new(10);
    let ids = alone.send_all([to(1), to(1)].into_iter(), "");
    let (older, newer) = (ids[0], ids[1]);
    let echo = Some(user_message_reference(newer, 0));
    alone.step(vec![came(Receipt { recipient: Some(to(1)), user_message_reference: echo, ..receipt(None) })]);
    assert!(alone.is_delivered(newer) && !alone.is_delivered(older));
}

/// More of a day than are looked at under one reference.
const CROWD: u64 = 600;

/// A receipt of a carrier that calls everything the same.
fn same(recipient: u64) -> Input {
    came(Receipt { recipient: Some(to(recipient)), ..receipt(Some("same")) })
}

#[test]
fn a_constant_message_id_finds_every_message_by_its_recipient_however_many_wait() {
    let mut alone = Alone::new(64);
    let ids = alone.send_all((0..CROWD).map(to), "same");
    for n in (0..CROWD).rev() {
        alone.step(vec![same(n)]);
        let id = ids.iter().copied().find(|&id| alone.is_delivered(id) == (id < ids[n as usize]));
        assert_eq!(id, None, "those from {n} on are delivered and no other");
    }
    assert!(!alone.state.map.keys().any(|key| key[0] == family::RECEIPT));
}

#[test]
fn of_two_messages_to_one_number_under_a_constant_message_id_the_older_gets_the_first_receipt() {
    let mut alone = Alone::new(64);
    alone.send_all((0..CROWD).map(to), "same");
    let twice = alone.send_all([to(900), to(900)].into_iter(), "same");
    alone.step(vec![same(900)]);
    assert_eq!([0, 1].map(|n| alone.is_delivered(twice[n])), [true, false]);
    alone.step(vec![same(900)]);
    assert!(alone.is_delivered(twice[1]));
}

#[test]
fn a_receipt_under_a_constant_message_id_is_not_for_a_message_that_has_another_or_awaits_none() {
    let mut alone = Alone::new(64);
    alone.send_all((0..CROWD).map(to), "same");
    let other = alone.send_all([to(900)].into_iter(), "other")[0];
    alone.accept([Draft { receipt: false, ..draft(to(901), "x") }].into_iter());
    let unasked = alone.open[0].id;
    alone.answer(&accepted("same"));
    alone.step(vec![same(900), same(901), same(902)]);
    assert!(matches!(alone.head(other).state, State::Sent { receipt: ReceiptWait::Until(_), .. }));
    assert!(matches!(alone.head(unasked).state, State::Sent { receipt: ReceiptWait::NotAsked, .. }));
    alone.step(vec![came(Receipt { recipient: Some(to(900)), ..receipt(Some("other")) })]);
    assert!(alone.is_delivered(other));
}

#[test]
fn a_long_message_under_a_constant_message_id_is_delivered_once_all_its_segments_are() {
    let mut alone = Alone::new(64);
    alone.send_all((0..CROWD).map(to), "same");
    alone.accept([Draft { segment_count: 2, ..draft(to(900), &"0123456789".repeat(20)) }].into_iter());
    let id = alone.open[0].id;
    alone.answer(&accepted("same"));
    alone.step(vec![same(900)]);
    assert!(!alone.is_delivered(id));
    alone.step(vec![same(900)]);
    assert!(alone.is_delivered(id));
}

/// The carrier's answer is still on its way, and another message has its reference already.
#[test]
fn a_receipt_before_its_answer_is_kept_although_another_of_its_reference_was_delivered() {
    let mut alone = Alone::new(64);
    alone.send_all([to(1)].into_iter(), "same");
    alone.step(vec![same(1)]);
    alone.accept([draft(to(2), "x")].into_iter());
    let id = alone.open[0].id;
    alone.step(vec![same(2)]);
    alone.answer(&accepted("same"));
    assert!(alone.is_delivered(id));
}

#[test]
fn a_final_receipt_that_comes_twice_is_kept_for_nobody() {
    let mut alone = Alone::new(64);
    alone.send_all([to(1)].into_iter(), "same");
    alone.step(vec![same(1), same(1)]);
    alone.step(vec![same(1)]);
    assert!(!alone.state.map.keys().any(|key| key[0] == family::ORPHAN));
}

/// Somebody else sends by the same account, or a receipt came once more after long.
#[test]
fn a_receipt_from_before_a_message_was_begun_is_not_for_it_whatever_its_reference() {
    let mut alone = Alone::new(64);
    alone.step(vec![same(1)]);
    alone.pass(Duration::from_secs(60));
    let id = alone.send_all([to(1)].into_iter(), "same")[0];
    assert!(!alone.is_delivered(id));
    alone.step(vec![same(1)]);
    assert!(alone.is_delivered(id));
}
