//! The core alone, on a map: what is too large or too rare for a whole daemon.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nudged::clock::{Clock, Timestamp};
use nudged::config::{Policy, Route};
use nudged::engine::core::{Answer, Core, Input, Settings};
use nudged::engine::memory::Memory;
use nudged::engine::order::MAX_PARKED;
use nudged::engine::{BatchWish, Command, Draft, Refusal};
use nudged::id::MessageId;
use nudged::link::{
    Control, Inbound, InboundToken, LinkEvent, LinkFacts, Outcome, Receipt, Submission,
    user_message_reference,
};
use nudged::message::{
    Cause, Final, Head, Msisdn, OnUnknown, Priority, Reason, ReceiptState, ReceiptWait, Reference,
    Resolution, State, Status, UnknownWhy,
};
use nudged::retry::RetryClass;
use nudged::route::Router;
use nudged::store::keys::{LaneKey, family};
use nudged::store::{keys, record};
use tokio::sync::oneshot;

use crate::support::{START, checked, draft};

/// Commands given to one step.
const PER_STEP: usize = 2_000;

struct Alone {
    settings: Settings,
    core: Core,
    state: Memory,
    clock: Clock,
    /// Submissions not answered yet, and all there were, by recipient.
    open: Vec<Submission>,
    texts: BTreeMap<Msisdn, Vec<String>>,
    /// Which link got them.
    by: BTreeMap<MessageId, usize>,
    /// The link of each submission there was.
    links: Vec<usize>,
    recalled: Vec<MessageId>,
}

impl Alone {
    /// A core with one link that is up.
    fn new(window: u16) -> Alone {
        Alone::with(&["a"], window)
    }

    /// A core with these links, all up.
    fn with(names: &[&str], window: u16) -> Alone {
        let settings = settings(names, window);
        let (state, clock) = (Memory::default(), Clock::manual(START));
        let (core, _) = Core::recover(settings.clone(), &state, clock.now()).unwrap();
        let (open, texts, by) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        let mut alone =
            Alone { settings, core, state, clock, open, texts, by, links: vec![], recalled: vec![] };
        alone.all_up();
        alone
    }

    fn all_up(&mut self) {
        let links = 0..self.settings.links.len();
        self.step(links.map(|link| Input::Link { link, event: LinkEvent::Up }).collect());
    }

    /// A crash, and a start with these links.
    fn start_again(&mut self, names: &[&str], window: u16) {
        self.settings = settings(names, window);
        self.start(&[], true);
    }

    /// A start by these routes. `false`: and a crash once the first of its moves is on the disk.
    fn start(&mut self, routes: &[Route], whole: bool) {
        self.settings.routes = routes.to_vec();
        let now = self.clock.now();
        let (core, batch) = Core::recover(self.settings.clone(), &self.state, now).unwrap();
        self.core = core;
        self.state.apply(&batch);
        loop {
            let batch = self.core.move_lanes(&self.state, now).unwrap();
            self.state.apply(&batch);
            if !whole {
                return;
            }
            if batch.is_empty() {
                return self.all_up();
            }
        }
    }

    /// One step, and those that it asks for at once.
    fn step(&mut self, mut inputs: Vec<Input>) {
        loop {
            self.clock.advance(Duration::from_millis(1));
            let step = self.core.step(&self.state, std::mem::take(&mut inputs), self.clock.now()).unwrap();
            self.state.apply(&step.batch);
            step.answers.into_iter().for_each(Answer::send);
            self.recalled.extend(step.controls.iter().filter_map(|(_, control)| match control {
                Control::Recall(id) => Some(*id),
                _ => None,
            }));
            for (link, submission) in step.submissions {
                self.by.insert(submission.id, link);
                self.links.push(link);
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
        let open = std::mem::take(&mut self.open);
        let events = open.into_iter().map(|Submission { id, index, .. }| Input::Link {
            link: self.by[&id],
            event: LinkEvent::Outcome { id, index, outcome: outcome.clone() },
        });
        let events = events.collect();
        self.step(events);
    }

    /// All links, or one of them.
    fn pause(&mut self, link: Option<&str>) {
        let (reply, _) = oneshot::channel();
        let link = link.map(Into::into);
        self.step(vec![Input::Command(Command::Pause { link, by: "crm".into(), reply })]);
    }

    fn is_canceled(&mut self, id: MessageId) -> bool {
        let (reply, mut answer) = oneshot::channel();
        self.step(vec![Input::Command(Command::Cancel { id, reply })]);
        matches!(answer.try_recv(), Ok(Ok(Status::Canceled)))
    }

    /// Which link got each of what waits, once all of it is sent; the bodies of the next to go are read ahead.
    fn let_go(&mut self) -> BTreeMap<MessageId, usize> {
        while self.core.look_ahead(&self.state).unwrap() {}
        self.resume(None);
        while !self.open.is_empty() {
            while self.core.look_ahead(&self.state).unwrap() {}
            self.answer(&accepted("x"));
        }
        std::mem::take(&mut self.by)
    }

    /// Ids and places of all that is in lanes.
    fn places(&self) -> BTreeMap<MessageId, LaneKey> {
        let keys = self.state.map.keys().filter_map(|key| LaneKey::decode(key));
        keys.map(|key| (key.id, key)).collect()
    }

    fn resume(&mut self, link: Option<&str>) {
        let (reply, _) = oneshot::channel();
        let link = link.map(Into::into);
        self.step(vec![Input::Command(Command::Resume { link, by: "crm".into(), reply })]);
    }

    fn resolve(&mut self, id: MessageId, how: Resolution) {
        let (reply, _) = oneshot::channel();
        self.step(vec![Input::Command(Command::Resolve { id, how, reply })]);
    }

    /// The sending that was just made is given up.
    fn give_up(&mut self) -> Submission {
        let given_up = self.open[0].clone();
        self.answer(&Outcome::Unknown { why: UnknownWhy::NoAnswer });
        given_up
    }

    /// One message that went out and was not answered: its first sending.
    fn lost(&mut self, draft: Draft) -> Submission {
        self.accept([draft].into_iter());
        self.give_up()
    }

    fn late(&mut self, link: usize, of: &Submission, outcome: Outcome) {
        let event = LinkEvent::Late { id: of.id, index: of.index, lease: of.lease, outcome };
        self.step(vec![Input::Link { link, event }]);
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

fn settings(names: &[&str], window: u16) -> Settings {
    let link = |&name: &&str| LinkFacts { name: name.into(), account: name.into(), kind: "smpp", window };
    Settings {
        queue: checked("").queue,
        inbound: checked("").inbound,
        routes: Vec::new(),
        links: names.iter().map(link).collect(),
        clock_floor: Timestamp::MIN,
    }
}

fn link_says(event: LinkEvent) -> Input {
    Input::Link { link: 0, event }
}

fn to(n: u64) -> Msisdn {
    Msisdn::from_u64(4_915_112_345_000 + n)
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

fn refused_for_good() -> Outcome {
    Outcome::Refused { cause: Cause::plain(Reason::SmscRejected), retry: RetryClass::Permanent }
}

#[test]
fn a_resend_that_is_refused_for_good_leaves_an_unknown_that_a_receipt_of_the_first_sending_proves() {
    let mut alone = Alone::with(&["a", "b"], 10);
    let again = Draft { on_unknown: Some(OnUnknown::Resend), ..draft(to(1), "x") };
    let first = alone.lost(again);
    alone.pause(Some("a"));
    alone.resolve(first.id, Resolution::Resend);
    alone.answer(&refused_for_good());
    assert!(matches!(alone.head(first.id).state, State::Unknown { why: UnknownWhy::Earlier, .. }));
    alone.resume(Some("a"));
    alone.pass(Duration::from_secs(3600));
    assert_eq!(alone.links, [0, 1], "from here on a person decides");
    alone.step(vec![came(Receipt { recipient: Some(to(1)), ..receipt(Some("r")) })]);
    assert!(alone.is_delivered(first.id), "it came by the account of the first");
}

#[test]
fn an_unknown_that_was_to_go_again_by_a_link_that_is_gone_stays_unknown() {
    let mut alone = Alone::with(&["a", "b"], 10);
    let first = alone.lost(Draft { link: Some("a".into()), ..draft(to(1), "x") });
    alone.pause(None);
    alone.resolve(first.id, Resolution::Resend);
    alone.start_again(&["b"], 10);
    assert!(matches!(alone.head(first.id).state, State::Unknown { why: UnknownWhy::Earlier, .. }));
    assert!(alone.state.map.contains_key(&keys::unknown(first.id)));
}

#[test]
fn a_late_answer_counts_for_the_account_it_was_sent_by_and_its_receipt_is_found_there() {
    let mut alone = Alone::with(&["a", "b"], 10);
    let first = alone.lost(draft(to(1), "x"));
    alone.pause(Some("a"));
    alone.resolve(first.id, Resolution::Resend);
    alone.give_up();
    assert_eq!(alone.links, [0, 1]);
    alone.late(0, &first, accepted("r"));
    assert!(matches!(alone.head(first.id).state, State::Sent { .. }));
    alone.step(vec![came(receipt(Some("r")))]);
    assert!(alone.is_delivered(first.id));
}

#[test]
fn a_late_refusal_of_the_only_sending_in_doubt_counts_whatever_was_refused_before() {
    let mut alone = Alone::new(10);
    alone.accept([draft(to(1), "x")].into_iter());
    let busy = Cause::plain(Reason::SmscTemporary);
    alone.answer(&Outcome::Refused { cause: busy, retry: RetryClass::Temporary });
    alone.pass(Duration::from_secs(31));
    let second = alone.give_up();
    alone.late(0, &second, refused_for_good());
    assert!(matches!(alone.head(second.id).state, State::Closed { how: Final::Failed(_), .. }));
    assert!(!alone.state.map.contains_key(&keys::unknown(second.id)));
}

#[test]
fn a_resend_that_is_handed_back_is_called_off_by_the_late_answer_to_the_first_sending() {
    let mut alone = Alone::new(10);
    let first = alone.lost(draft(to(1), "x"));
    alone.resolve(first.id, Resolution::Resend);
    alone.pause(None);
    alone.answer(&Outcome::Unwritten);
    alone.late(0, &first, accepted("r"));
    assert!(matches!(alone.head(first.id).state, State::Sent { .. }));
    alone.resume(None);
    alone.pass(Duration::from_secs(3600));
    assert_eq!(alone.links.len(), 2, "nothing more went to a link");
}

#[test]
fn a_resend_that_is_leased_and_not_yet_written_is_recalled_when_the_first_sending_is_answered() {
    let mut alone = Alone::new(10);
    let first = alone.lost(draft(to(1), "x"));
    alone.resolve(first.id, Resolution::Resend);
    alone.late(0, &first, accepted("r"));
    assert_eq!(alone.recalled, [first.id]);
    alone.answer(&Outcome::Unwritten);
    assert!(matches!(alone.head(first.id).state, State::Sent { .. }));
}

#[test]
fn the_rest_of_a_message_of_which_a_part_was_answered_late_goes_by_the_link_that_has_the_part() {
    let mut alone = Alone::with(&["a", "b"], 2);
    let long = Draft { segment_count: 2, ..draft(to(1), &"0123456789".repeat(20)) };
    let first = alone.lost(long);
    alone.pause(None);
    alone.resolve(first.id, Resolution::Resend);
    alone.late(0, &first, accepted("r"));
    alone.pause(Some("a"));
    alone.resume(None);
    assert_eq!(alone.links, [0, 0], "b has no part of it");
    alone.resume(Some("a"));
    assert_eq!((alone.links.clone(), alone.open[0].index), (vec![0, 0, 0], 1 - first.index));
    alone.answer(&accepted("s"));
    assert!(matches!(alone.head(first.id).state, State::Sent { .. }));
}

/// What the carrier kept for us while the link was down comes after it is up again.
#[test]
fn an_unknown_is_sent_again_only_once_its_link_was_up_for_as_long_as_a_receipt_may_take() {
    for (receipt, wait) in [(true, 660), (false, 60)] {
        let mut alone = Alone::new(10);
        alone.lost(Draft { on_unknown: Some(OnUnknown::Resend), receipt, ..draft(to(1), "x") });
        alone.step(vec![link_says(LinkEvent::Down { reason: String::from("lost") })]);
        alone.pass(Duration::from_secs(7200));
        alone.step(vec![link_says(LinkEvent::Up)]);
        alone.pass(Duration::from_secs(wait - 2));
        assert_eq!(alone.links.len(), 1, "receipt: {receipt}");
        alone.pass(Duration::from_secs(3));
        assert_eq!(alone.links.len(), 2, "receipt: {receipt}");
    }
}

/// A clock that is set says nothing of how long anybody was listened to.
#[test]
fn an_unknown_is_not_sent_again_because_the_wall_clock_jumped() {
    let mut alone = Alone::new(10);
    alone.lost(Draft { on_unknown: Some(OnUnknown::Resend), ..draft(to(1), "x") });
    let later = alone.clock.now().wall.saturating_add(Duration::from_secs(7200));
    alone.clock.jump(later);
    alone.pass(Duration::from_secs(30));
    assert_eq!(alone.links.len(), 1);
    alone.pass(Duration::from_secs(640));
    assert_eq!(alone.links.len(), 2);
}

#[test]
fn a_message_of_which_the_network_has_a_part_is_not_canceled_and_goes_on() {
    let mut alone = Alone::new(10);
    alone.accept([Draft { segment_count: 2, ..draft(to(1), &"0123456789".repeat(20)) }].into_iter());
    let second = alone.open.pop().unwrap();
    alone.answer(&accepted("x"));
    alone.open.push(second.clone());
    let busy = Cause::plain(Reason::SmscTemporary);
    alone.answer(&Outcome::Refused { cause: busy, retry: RetryClass::Temporary });
    let (reply, mut answer) = oneshot::channel();
    alone.step(vec![Input::Command(Command::Cancel { id: second.id, reply })]);
    assert_eq!(answer.try_recv(), Ok(Err(Refusal::State(Status::Queued))));
    alone.pass(Duration::from_secs(31));
    alone.answer(&accepted("y"));
    assert!(matches!(alone.head(second.id).state, State::Sent { .. }));
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

/// More than are moved in one batch.
const MANY: u64 = 1_300;

fn all_by(via: &[&str]) -> Vec<Route> {
    vec![Route {
        to: vec![String::from("+49")],
        class: vec![],
        sender: vec![],
        token: vec![],
        via: via.iter().map(|&link| link.into()).collect(),
        policy: Policy::Failover,
    }]
}

/// Messages that wait for link `a` while all is paused.
fn waiting_for_a(count: u64) -> (Alone, Vec<MessageId>) {
    let mut alone = Alone::with(&["a", "b"], 64);
    alone.start(&all_by(&["a"]), true);
    alone.pause(None);
    alone.accept((0..count).map(|n| draft(to(n), "x")));
    let ids = alone.places().into_keys().collect();
    (alone, ids)
}

#[test]
fn after_a_crash_between_two_moves_every_message_goes_by_the_routes_of_the_next_start_or_is_canceled() {
    for (via, link) in [(["a"].as_slice(), 0), (&["b"], 1), (&["a", "b"], 0)] {
        let (mut alone, ids) = waiting_for_a(MANY);
        alone.start(&all_by(&["b"]), false);
        let lanes: BTreeSet<u32> = alone.places().values().map(|key| key.lane).collect();
        assert_eq!(lanes.len(), 2, "the move was interrupted");
        alone.start(&all_by(via), true);
        let canceled = [ids[0], ids[600], ids[1_299]];
        assert!(canceled.iter().all(|&id| alone.is_canceled(id)));
        let sent = alone.let_go();
        assert_eq!(sent.len() as u64, MANY - 3);
        assert!(canceled.iter().all(|id| !sent.contains_key(id)));
        assert!(sent.values().all(|&by| by == link), "by {via:?} only");
    }
}

/// Puts the entry of a message into the lane of link `b` alone, which is not its own.
fn stray(alone: &mut Alone, id: MessageId) {
    let names = alone.settings.links.iter().map(|link| link.name.clone()).collect::<Vec<_>>();
    let router = Router::new(&alone.settings.routes, &names).unwrap();
    let (&lane, _) = router.lanes().iter().find(|(_, lane)| lane.via == ["b".into()]).unwrap();
    let key = alone.places()[&id];
    let entry = alone.state.map.remove(&key.encode()).unwrap();
    alone.state.map.insert(LaneKey { lane, ..key }.encode(), entry);
}

#[test]
fn a_cancel_takes_the_key_out_of_whatever_lane_it_is_in() {
    let (mut alone, ids) = waiting_for_a(3);
    stray(&mut alone, ids[1]);
    alone.start(&all_by(&["a"]), true);
    assert!(alone.is_canceled(ids[1]));
    assert!(!alone.places().contains_key(&ids[1]));
    assert_eq!(alone.let_go().into_keys().collect::<Vec<_>>(), [ids[0], ids[2]]);
}

#[test]
fn a_message_found_in_a_lane_that_is_not_its_own_goes_by_its_own_and_once() {
    let (mut alone, ids) = waiting_for_a(3);
    stray(&mut alone, ids[1]);
    alone.start(&all_by(&["a"]), true);
    assert_eq!(alone.let_go(), ids.iter().map(|&id| (id, 0)).collect());
    assert!(alone.texts.values().all(|texts| texts.len() == 1));
}

/// As an interrupted move followed by a cancel left it once.
#[test]
fn an_entry_of_what_has_ended_is_gone_after_the_first_start_by_other_routes() {
    for via in ["a", "b"] {
        let (mut alone, ids) = waiting_for_a(3);
        let key = alone.places()[&ids[1]].encode();
        let entry = alone.state.map[&key].clone();
        assert!(alone.is_canceled(ids[1]));
        alone.state.map.insert(key, entry);
        alone.state.map.remove(&keys::core("routing"));
        alone.start(&all_by(&[via]), true);
        assert_eq!(alone.let_go().into_keys().collect::<Vec<_>>(), [ids[0], ids[2]]);
    }
}
