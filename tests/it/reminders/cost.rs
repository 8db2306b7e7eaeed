//! What a reminder costs the store, from its due step to the receipt: key operations by family, and journal bytes.
//! Beside the message's own 8 (it waited for its link, see `budget.rs`) stand those of the obligation and its phone.
//! And what a row of an imported file costs, the first time, again, and changed.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use nudged::engine::core::{Answer, Core, Input};
use nudged::engine::reminders::Change;
use nudged::engine::reminders::change::How;
use nudged::engine::{CHANGE_GROUP, Command};
use nudged::link::{Inbound, InboundToken, LinkEvent, Outcome};
use nudged::message::{ReceiptState, Reference};
use nudged::reminder::consent::ConsentKind;
use nudged::reminder::import::case::{self, Case};
use nudged::store::frame::encoded_len;
use nudged::store::keys::family;
use nudged::store::{Entries, Read, StoreError};

use super::firm::*;
use super::rows::row;
use nudged::engine::memory::Memory;
use tokio::sync::oneshot;

const REMINDERS: u64 = 64;

/// Keys that were asked for, and entries that were found.
struct Counting<'a>(&'a Memory, Cell<usize>);

impl Counting<'_> {
    fn count(&self, entries: Entries) -> Entries {
        self.1.set(self.1.get() + 1 + entries.len());
        entries
    }
}

impl Read for Counting<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.1.set(self.1.get() + 1);
        self.0.get(key)
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Entries, StoreError> {
        Ok(self.count(self.0.scan(from, to, limit)?))
    }

    fn scan_back(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Entries, StoreError> {
        Ok(self.count(self.0.scan_back(from, to, limit)?))
    }
}

/// Keys read by a start and its first step, before any link is up.
pub fn reads_at_start(firm: &Firm) -> usize {
    let counting = Counting(&firm.state, Cell::new(0));
    let (mut core, batch) = Core::recover(firm.settings.clone(), &counting, firm.clock.now()).unwrap();
    assert!(batch.writes.len() < 10);
    core.step(&counting, Vec::new(), firm.clock.now()).unwrap();
    counting.1.get()
}

#[derive(Default)]
struct Bill {
    operations: BTreeMap<u8, usize>,
    journal_bytes: usize,
    /// Operations of the step that queued and leased them.
    at_lease: usize,
    /// Keys asked for and entries found.
    reads: usize,
}

impl Bill {
    fn step(&mut self, firm: &mut Firm, inputs: Vec<Input>) {
        let counting = Counting(&firm.state, Cell::new(0));
        let step = firm.core.step(&counting, inputs, firm.clock.now()).unwrap();
        self.reads += counting.1.get();
        for key in step.batch.writes.keys() {
            *self.operations.entry(key[0]).or_default() += 1;
        }
        if !step.batch.is_empty() {
            self.journal_bytes += encoded_len(&step.batch);
        }
        firm.state.apply(&step.batch);
        step.answers.into_iter().for_each(Answer::send);
        firm.open.extend(step.submissions);
    }
}

impl Bill {
    /// Operations of one of `count`, all and by family; those of a batch are none of theirs.
    fn of_each(&self, count: usize) -> (f64, BTreeMap<char, f64>) {
        let of_batches = [family::LEASE, family::CORE];
        let counted = self.operations.iter().filter(|(family, _)| !of_batches.contains(family));
        let shown: BTreeMap<char, f64> =
            counted.map(|(family, all)| (char::from(*family), *all as f64 / count as f64)).collect();
        (shown.values().sum(), shown)
    }
}

/// All due at once, taken and delivered.
fn bill() -> Bill {
    let mut firm = Firm::make(SET_UP, REMINDERS as u16, MONDAY);
    for n in 1..=REMINDERS {
        firm.owe(&format!("inv-{n}"), n, november(25));
    }
    firm.pass(HOUR * 3);
    let mut bill = Bill::default();
    bill.step(&mut firm, vec![Input::Link { link: 0, event: LinkEvent::Up }]);
    bill.at_lease = bill.operations.values().sum();
    assert_eq!(firm.open.len(), REMINDERS as usize);
    let open = std::mem::take(&mut firm.open);
    firm.clock.advance(Duration::from_secs(1));
    let reference = |n: usize| Reference(format!("1234567{n:03}"));
    let sent = open.iter().enumerate().map(|(n, (link, s))| {
        let outcome = Outcome::Accepted { reference: reference(n) };
        Input::Link { link: *link, event: LinkEvent::Outcome { id: s.id, index: 0, outcome } }
    });
    bill.step(&mut firm, sent.collect());
    firm.clock.advance(Duration::from_secs(1));
    let receipts = open.iter().enumerate().map(|(n, (link, s))| Input::Inbound {
        link: *link,
        token: InboundToken(n as u64),
        inbound: Inbound::Receipt(receipt(reference(n), s.to, ReceiptState::Delivered)),
    });
    bill.step(&mut firm, receipts.collect());
    bill
}

/// The message's own 6, as it is leased with its acceptance; of the obligation what went and what was accepted, its
/// timer moved, its phone's caps, and once for a new number that it takes texts.
#[test]
fn a_reminder_costs_12_key_operations_from_its_due_step_to_its_delivery() {
    let bill = bill();
    let (sum, shown) = bill.of_each(REMINDERS as usize);
    let expected = [('N', 2.0), ('O', 2.0), ('T', 2.0), ('b', 1.0), ('d', 1.0), ('h', 2.0), ('r', 2.0)];
    assert_eq!((sum, shown), (12.0, BTreeMap::from(expected)));
    assert!(
        bill.at_lease <= 6 * REMINDERS as usize + 3,
        "body, chain, timer, obligation, phone: {}",
        bill.at_lease
    );
}

/// In batches of 64; the text is 73 characters of it, and the obligation is written twice.
#[test]
fn the_journal_takes_less_than_1330_bytes_from_a_due_step_to_its_delivery() {
    let bytes = bill().journal_bytes / REMINDERS as usize;
    assert!(bytes < 1_330, "{bytes}");
    assert!(bytes > 700, "more than a plain message's: {bytes}");
}

/// A row as firms have them: names, a link, a consent that can be shown.
fn case(n: u64, minor: i64) -> Case {
    let own = external(&format!("R-{n:08}"));
    let source = Some(String::from("web form"));
    Case {
        external_id: own.clone(),
        account: own.clone(),
        contact: own,
        phone: number(n),
        first_name: Some("Anna".into()),
        last_name: Some("Beispiel".into()),
        description: Some(format!("Invoice {n:08}")),
        link: Some(format!("https://pay.acme.example/i/{n:08}")),
        consent: Some(case::Consent { kind: ConsentKind::Given, source, at: Some(MONDAY) }),
        ..row(minor)
    }
}

/// What a group of rows costs that all come to the same.
fn rows(firm: &mut Firm, minor: i64, how: How) -> Bill {
    let (mut bill, (reply, mut answer)) = (Bill::default(), oneshot::channel());
    let cases = (1..=CHANGE_GROUP as u64).map(|n| case(n, minor));
    let changes = cases.map(|case| Change::Case { row: case.hash(), case: Box::new(case) }).collect();
    bill.step(firm, vec![Input::Command(Command::Change { changes, by: "crm".into(), reply })]);
    assert!(answer.try_recv().unwrap().into_iter().all(|made| made.unwrap().how == how));
    bill
}

/// Contact, obligation with its timer, account and phone, each once; their places by external id and among the
/// contact's; the consent; and two lines of the timeline.
#[test]
fn a_new_row_costs_11_key_operations_and_less_than_820_bytes_of_journal() {
    let bill = rows(&mut Firm::new(), 12_000, How::Created);
    let each = ['A', 'B', 'C', 'E', 'K', 'N', 'O', 'T', 'X'].map(|family| (family, 1.0));
    let mut expected = BTreeMap::from(each);
    expected.insert('G', 2.0);
    assert_eq!(bill.of_each(CHANGE_GROUP), (11.0, expected));
    let bytes = bill.journal_bytes / CHANGE_GROUP;
    assert!(bytes < 820, "{bytes}");
    assert!(bytes > 400, "more than an obligation alone: {bytes}");
}

/// Most are asked for and not there.
#[test]
fn a_new_row_reads_at_most_13_keys_and_one_that_is_the_same_again_2() {
    let mut firm = Firm::new();
    let reads = [How::Created, How::Unchanged].map(|how| rows(&mut firm, 12_000, how).reads / CHANGE_GROUP);
    assert!((5..=13).contains(&reads[0]) && reads[1] == 2, "{reads:?}");
}

#[test]
fn a_row_that_is_the_same_again_costs_nothing() {
    let mut firm = Firm::new();
    rows(&mut firm, 12_000, How::Created);
    let bill = rows(&mut firm, 12_000, How::Unchanged);
    assert_eq!((bill.of_each(CHANGE_GROUP).0, bill.journal_bytes), (0.0, 0));
}

/// The obligation and a line of its timeline: what the row says of the contact is known.
#[test]
fn a_row_with_another_amount_costs_2_key_operations_and_less_than_300_bytes_of_journal() {
    let mut firm = Firm::new();
    rows(&mut firm, 12_000, How::Created);
    let bill = rows(&mut firm, 13_000, How::Changed);
    assert_eq!(bill.of_each(CHANGE_GROUP), (2.0, BTreeMap::from([('G', 1.0), ('O', 1.0)])));
    let bytes = bill.journal_bytes / CHANGE_GROUP;
    assert!(bytes < 300, "{bytes}");
}
