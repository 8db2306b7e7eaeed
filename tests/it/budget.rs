//! What a message costs the store: sled key operations, which are the cost that counts, and journal bytes.
//!
//! The core runs on a map; what it writes is counted by the family of the key. Lease records and counters go
//! with a batch and not with a message, so they are counted apart.

use std::collections::BTreeMap;
use std::time::Duration;

use nudged::clock::{Clock, Now, Timestamp};
use nudged::engine::core::{Core, Input, Settings};
use nudged::engine::memory::Memory;
use nudged::engine::{BatchWish, Command, Draft, Idempotency};
use nudged::link::{Inbound, InboundToken, LinkEvent, LinkFacts, Outcome, Receipt, Submission};
use nudged::message::{Msisdn, ReceiptState, Reference};
use nudged::store::frame::encoded_len;
use nudged::store::keys::family;
use tokio::sync::oneshot;

use crate::support::{START, checked, draft};

const MESSAGES: usize = 64;

struct Bench {
    core: Core,
    state: Memory,
    clock: Clock,
    /// Operations by family.
    operations: BTreeMap<u8, usize>,
    journal_bytes: usize,
}

impl Bench {
    fn new() -> Bench {
        let carrier =
            LinkFacts { name: "a".into(), account: "a".into(), kind: "smpp", window: MESSAGES as u16 };
        let settings = Settings {
            queue: checked("").queue,
            inbound: checked("").inbound,
            routes: Vec::new(),
            links: vec![carrier],
            clock_floor: Timestamp::MIN,
        };
        let (state, clock) = (Memory::default(), Clock::manual(START));
        let (core, _) = Core::recover(settings, &state, clock.now()).unwrap();
        Bench { core, state, clock, operations: BTreeMap::new(), journal_bytes: 0 }
    }

    fn step(&mut self, inputs: Vec<Input>) -> Vec<Submission> {
        self.clock.advance(Duration::from_millis(5));
        let now: Now = self.clock.now();
        let step = self.core.step(&self.state, inputs, now).unwrap();
        for key in step.batch.writes.keys() {
            *self.operations.entry(key[0]).or_default() += 1;
        }
        if !step.batch.is_empty() {
            self.journal_bytes += encoded_len(&step.batch);
        }
        self.state.apply(&step.batch);
        step.submissions.into_iter().map(|(_, submission)| submission).collect()
    }

    fn up(&mut self) -> Vec<Submission> {
        self.step(vec![Input::Link { link: 0, event: LinkEvent::Up }])
    }

    fn accept(&mut self, drafts: Vec<Draft>) -> Vec<Submission> {
        let accept = |draft| {
            let (reply, _) = oneshot::channel();
            Input::Command(Command::Accept { drafts: vec![draft], batch: BatchWish::None, reply })
        };
        self.step(drafts.into_iter().map(accept).collect())
    }

    /// Each is answered, then its receipt comes.
    fn deliver(&mut self, submissions: &[Submission]) {
        let reference = |s: &Submission| Reference(format!("1234567{:03}", s.to.as_u64() % 1000));
        let sent = submissions.iter().map(|s| {
            let outcome = Outcome::Accepted { reference: reference(s) };
            Input::Link { link: 0, event: LinkEvent::Outcome { id: s.id, index: 0, outcome } }
        });
        self.step(sent.collect());
        let receipts = submissions.iter().enumerate().map(|(n, s)| {
            let receipt = Receipt {
                reference: Some(reference(s)),
                alternatives: Vec::new(),
                state: ReceiptState::Delivered,
                recipient: Some(s.to),
                user_message_reference: None,
                raw: None,
            };
            Input::Inbound { link: 0, token: InboundToken(n as u64), inbound: Inbound::Receipt(receipt) }
        });
        self.step(receipts.collect());
    }

    /// Operations on the keys of messages themselves.
    fn per_message(&self) -> f64 {
        let of_batches = [family::LEASE, family::CORE];
        let counted = self.operations.iter().filter(|(family, _)| !of_batches.contains(family));
        counted.map(|(_, count)| count).sum::<usize>() as f64 / MESSAGES as f64
    }

    fn of(&self, family: u8) -> usize {
        self.operations.get(&family).copied().unwrap_or(0)
    }
}

fn drafts(idempotent: bool) -> Vec<Draft> {
    let text = "Dear customer, invoice 4711 over 120.00 EUR is due on 24 November. Thank you.";
    let draft = |n: usize| Draft {
        allow_duplicate: false,
        idempotency: idempotent.then_some(Idempotency { key: [n as u8; 16], body: [0; 16] }),
        ..draft(Msisdn::from_u64(4_915_112_345_000 + n as u64), text)
    };
    (0..MESSAGES).map(draft).collect()
}

#[test]
fn a_message_leased_with_its_acceptance_costs_6_key_operations_to_its_delivery() {
    let mut bench = Bench::new();
    bench.up();
    let submissions = bench.accept(drafts(false));
    assert_eq!(submissions.len(), MESSAGES);
    bench.deliver(&submissions);
    assert_eq!(bench.per_message(), 6.0, "{:?}", bench.operations);
}

#[test]
fn a_message_that_waited_for_its_link_costs_8_key_operations_to_its_delivery() {
    let mut bench = Bench::new();
    assert!(bench.accept(drafts(false)).is_empty());
    let submissions = bench.up();
    assert_eq!(submissions.len(), MESSAGES);
    bench.deliver(&submissions);
    assert_eq!(bench.per_message(), 8.0, "{:?}", bench.operations);
}

#[test]
fn an_idempotency_key_costs_one_operation_more() {
    let mut bench = Bench::new();
    bench.up();
    let submissions = bench.accept(drafts(true));
    bench.deliver(&submissions);
    assert_eq!((bench.per_message(), bench.of(family::IDEMPOTENCY)), (7.0, MESSAGES));
}

#[test]
fn a_repeat_by_reference_costs_one_operation_with_a_key_of_its_own_and_none_without() {
    let mut bench = Bench::new();
    let referred = |idempotent| {
        let referred =
            |(n, draft): (usize, Draft)| Draft { client_ref: Some(n.to_string()), unique_ref: true, ..draft };
        drafts(idempotent).into_iter().enumerate().map(referred).collect()
    };
    bench.accept(referred(false));
    for (idempotent, expected) in [(false, 0), (true, MESSAGES), (true, 0)] {
        bench.operations.clear();
        bench.accept(referred(idempotent));
        bench.operations.remove(&family::CORE);
        assert_eq!(bench.operations.values().sum::<usize>(), expected, "{:?}", bench.operations);
    }
}

#[test]
fn a_lease_is_one_put_and_one_delete_however_many_messages_it_holds() {
    let mut bench = Bench::new();
    bench.accept(drafts(false));
    let submissions = bench.up();
    bench.deliver(&submissions);
    assert_eq!(bench.of(family::LEASE), 2);
}

#[test]
fn a_delivered_message_that_asks_for_nothing_unusual_leaves_body_head_and_chain_behind() {
    let mut bench = Bench::new();
    bench.accept(drafts(false));
    let submissions = bench.up();
    bench.deliver(&submissions);
    let mut left: BTreeMap<u8, usize> = BTreeMap::new();
    for key in bench.state.map.keys() {
        *left.entry(key[0]).or_default() += 1;
    }
    left.remove(&family::CORE);
    let expected = [family::BODY, family::HEAD, family::CHAIN].map(|family| (family, MESSAGES));
    assert_eq!(left, BTreeMap::from(expected));
}

/// The whole life in batches of 64; the text is 78 characters of it.
#[test]
fn the_journal_takes_less_than_700_bytes_for_a_messages_life() {
    let mut bench = Bench::new();
    bench.accept(drafts(false));
    let submissions = bench.up();
    bench.deliver(&submissions);
    let bytes = bench.journal_bytes / MESSAGES;
    assert!(bytes < 700, "{bytes}");
    assert!(bytes > 78, "the text at least: {bytes}");
}
