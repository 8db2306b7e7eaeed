//! Who owes what until when, and what has become of it: the one record that a change of a debt rewrites.
//!
//! The enrolment in a sequence and the ledger of its steps are part of it, so that a payment, the end of the
//! reminders and what was taken back for it are one write. Whether it is overdue is derived, never stored.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::enrolment::{Enrolment, EnrolmentState, StepNote, StepOutcome};
use super::money::Money;
use super::name::{ExternalId, Key};
use super::plan::PlanPart;
use super::promise::{Promise, PromiseState};
use super::sequence::BROKEN_PROMISE;
use crate::clock::Timestamp;
use crate::id::ContactId;

/// Payments kept of one obligation: no honest debt has more.
pub const PAYMENTS_MAX: usize = 512;

/// Where the debt stands. Stored by position: append only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObligationStatus {
    Open,
    PartiallyPaid,
    Paid,
    Disputed,
    InPlan,
    HandedOver,
    Canceled,
    WrittenOff,
}

impl ObligationStatus {
    pub const ALL: [ObligationStatus; 8] = {
        use ObligationStatus::*;
        [Open, PartiallyPaid, Paid, Disputed, InPlan, HandedOver, Canceled, WrittenOff]
    };

    pub const fn as_str(self) -> &'static str {
        match self {
            ObligationStatus::Open => "open",
            ObligationStatus::PartiallyPaid => "partially_paid",
            ObligationStatus::Paid => "paid",
            ObligationStatus::Disputed => "disputed",
            ObligationStatus::InPlan => "in_plan",
            ObligationStatus::HandedOver => "handed_over",
            ObligationStatus::Canceled => "canceled",
            ObligationStatus::WrittenOff => "written_off",
        }
    }

    /// Somebody still owes, and may be reminded of it.
    pub const fn is_open(self) -> bool {
        matches!(self, ObligationStatus::Open | ObligationStatus::PartiallyPaid)
    }

    /// Whether a person or a program may set `to` from here; payments move it by themselves.
    pub const fn may_become(self, to: ObligationStatus) -> bool {
        use ObligationStatus::*;
        matches!(
            (self, to),
            (Open | PartiallyPaid, Disputed | InPlan | HandedOver | Canceled | WrittenOff)
                | (Disputed | InPlan, Open | HandedOver | Canceled | WrittenOff)
        )
    }
}

/// Money that came, or went back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payment {
    /// The same one twice is one payment.
    pub external_id: ExternalId,
    pub amount: Money,
    pub at: Timestamp,
    /// The money went back: a returned debit.
    #[serde(default)]
    pub reversed: bool,
}

/// A debt as kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Obligation {
    pub external_id: ExternalId,
    pub creditor: Key,
    /// External id of the account, one of the creditor's.
    pub account: ExternalId,
    pub contact: ContactId,
    pub amount: Money,
    pub min_due: Option<Money>,
    pub due_date: Date,
    pub description: Option<String>,
    pub link: Option<String>,
    /// The sequence it is to be reminded by; `None`: none.
    pub sequence: Option<Key>,
    pub status: ObligationStatus,
    /// Grows with each change of what the firm gave or of the balance.
    pub version: u64,
    pub created_at: Timestamp,
    pub payments: Vec<Payment>,
    pub promise: Option<Promise>,
    /// Instalments that replace it while they are kept.
    pub plan: Vec<PlanPart>,
    /// The obligation that this one is an instalment of, or the subscription that made it.
    pub origin: Origin,
    pub enrolment: Option<Enrolment>,
    /// What became of steps, of all cycles, oldest first.
    pub steps: Vec<StepNote>,
    /// From 1; grows with each new beginning: a returned debit, a restart. Another sequence is none.
    pub cycle: u32,
    /// When the core must look at it next; its key in the due index.
    pub timer: Option<super::enrolment::Timer>,
    /// What it was made from, where a file was: a row that is the same again changes nothing.
    pub row: Option<[u8; 16]>,
}

/// What made an obligation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    Firm,
    /// Instalment `n`, from 1, of a plan for another.
    Plan {
        obligation: crate::id::ObligationId,
        n: u16,
    },
    /// Of a subscription, for one of its periods.
    Subscription {
        external_id: ExternalId,
        period: String,
    },
}

impl Obligation {
    /// What is paid and not gone back.
    pub fn paid_minor(&self) -> i64 {
        self.payments.iter().filter(|p| !p.reversed).map(|p| p.amount.minor()).sum()
    }

    /// What is still owed; never negative.
    pub fn balance(&self) -> Money {
        let left = (self.amount.minor() - self.paid_minor()).max(0);
        Money::new(left, self.amount.currency()).unwrap_or(Money::zero(self.amount.currency()))
    }

    /// Where payments alone put it.
    pub fn status_by_payments(&self) -> ObligationStatus {
        match (self.balance().minor(), self.paid_minor()) {
            (0, _) => ObligationStatus::Paid,
            (_, 0) => ObligationStatus::Open,
            _ => ObligationStatus::PartiallyPaid,
        }
    }

    /// Whether a note is of the cycle that runs and of the sequence it is in.
    pub fn is_current(&self, note: &StepNote) -> bool {
        note.cycle == self.cycle && note.left.is_none()
    }

    /// What became of a step of its sequence in this cycle.
    pub fn note_of(&self, step: &Key) -> Option<&StepNote> {
        self.steps.iter().find(|note| note.step == *step && self.is_current(note))
    }

    /// Whether a step of its sequence has still to go in this cycle; one for a broken promise after one.
    pub fn is_left(&self, step: &Key) -> bool {
        let broken = self.promise.as_ref().is_some_and(|promise| promise.state == PromiseState::Broken);
        self.note_of(step).is_none() && (broken || step.as_str() != BROKEN_PROMISE)
    }

    /// Notes what became of a step of its sequence.
    pub fn note(&mut self, step: Key, how: StepOutcome) {
        self.steps.push(StepNote { cycle: self.cycle, left: None, step, how });
    }

    /// What was over for its time, or by a gate's word, in this cycle may go after all.
    pub fn reconsider(&mut self) {
        let cycle = self.cycle;
        self.steps.retain(|note| note.cycle != cycle || note.how.stays());
    }

    /// Puts it into a version of a sequence, in the cycle that runs: what went in it does not go again.
    pub fn enter(&mut self, sequence: Key, version: u32, now: Timestamp) {
        let mut anchor = None;
        match self.enrolment.take() {
            Some(old) if old.sequence == sequence => anchor = old.anchor,
            Some(old) => self.leave(&old.sequence, &sequence),
            None => {}
        }
        self.enrolment = Some(Enrolment {
            sequence,
            version,
            since: now,
            state: EnrolmentState::Scheduled,
            reminders_accepted: 0,
            next: None,
            refused: None,
            anchor,
            instead: None,
        });
        let accepted = |note: &&StepNote| matches!(note.how, StepOutcome::Gone { accepted: true, .. });
        let accepted = self.steps.iter().filter(|note| self.is_current(note)).filter(accepted).count();
        if let Some(enrolment) = &mut self.enrolment {
            enrolment.reminders_accepted = u32::try_from(accepted).unwrap_or(u32::MAX);
        }
        self.reconsider();
    }

    /// Says of the notes which sequence they are of, from the one that it leaves to the one that it enters.
    fn leave(&mut self, from: &Key, to: &Key) {
        for note in &mut self.steps {
            note.left = match note.left.take() {
                None => Some(from.clone()),
                Some(left) => Some(left).filter(|left| left != to),
            };
        }
    }

    /// Its due date has passed where the contact lives, and something is owed.
    pub fn is_overdue(&self, today: Date) -> bool {
        today > self.due_date && self.balance().is_positive()
    }
}

#[cfg(test)]
pub fn sample() -> Obligation {
    use super::money::Currency;
    let eur = Currency::parse("EUR").unwrap();
    Obligation {
        external_id: ExternalId::parse("inv-1").unwrap(),
        creditor: Key::parse("acme").unwrap(),
        account: ExternalId::parse("acc-1").unwrap(),
        contact: ContactId::from_u64(1),
        amount: Money::new(12_050, eur).unwrap(),
        min_due: None,
        due_date: jiff::civil::date(2026, 3, 10),
        description: None,
        link: None,
        sequence: Some(Key::parse("standard").unwrap()),
        status: ObligationStatus::Open,
        version: 1,
        created_at: Timestamp::from_millis(1_000),
        payments: Vec::new(),
        promise: None,
        plan: Vec::new(),
        origin: Origin::Firm,
        enrolment: None,
        steps: Vec::new(),
        cycle: 1,
        timer: None,
        row: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payment(id: &str, minor: i64) -> Payment {
        let amount = Money::new(minor, sample().amount.currency()).unwrap();
        Payment { external_id: ExternalId::parse(id).unwrap(), amount, at: Timestamp::MIN, reversed: false }
    }

    #[test]
    fn payments_move_the_balance_and_a_reversed_one_counts_no_more() {
        let mut debt = sample();
        debt.payments.push(payment("p1", 2_050));
        assert_eq!(
            (debt.balance().value(), debt.status_by_payments()),
            ("100.00".into(), ObligationStatus::PartiallyPaid)
        );
        debt.payments.push(payment("p2", 11_000));
        assert_eq!((debt.balance().minor(), debt.status_by_payments()), (0, ObligationStatus::Paid));
        debt.payments[1].reversed = true;
        assert_eq!(debt.balance().value(), "100.00");
    }

    #[test]
    fn overdue_begins_the_day_after_the_due_date_and_ends_with_the_balance() {
        let mut debt = sample();
        assert!(!debt.is_overdue(debt.due_date) && debt.is_overdue(debt.due_date.tomorrow().unwrap()));
        debt.payments.push(payment("p", 12_050));
        assert!(!debt.is_overdue(debt.due_date.tomorrow().unwrap()));
    }

    #[test]
    fn a_closed_debt_is_moved_by_nothing_but_money() {
        use ObligationStatus::{Canceled, HandedOver, Open, Paid, WrittenOff};
        for from in [Paid, HandedOver, Canceled, WrittenOff] {
            assert!(ObligationStatus::ALL.into_iter().all(|to| !from.may_become(to)), "{from:?}");
        }
        assert!(ObligationStatus::Disputed.may_become(Open));
    }

    #[test]
    fn a_sequence_that_is_entered_again_knows_what_went_in_its_cycle() {
        let mut debt = sample();
        let [one, other, step] = ["one", "other", "before"].map(|key| Key::parse(key).unwrap());
        let unknown = || StepOutcome::Unknown { at: Timestamp::MIN };
        debt.enter(one.clone(), 1, Timestamp::MIN);
        debt.note(step.clone(), unknown());
        debt.enter(other, 1, Timestamp::MIN);
        assert!(debt.is_left(&step), "of that id, in another sequence");
        debt.note(step.clone(), StepOutcome::Stale { at: Timestamp::MIN });
        debt.enter(one.clone(), 2, Timestamp::MIN);
        assert_eq!(debt.note_of(&step).map(|note| &note.how), Some(&unknown()));
        debt.cycle += 1;
        debt.enter(one, 2, Timestamp::MIN);
        assert!(debt.is_left(&step));
    }

    #[test]
    fn a_debt_is_stored_and_read_back() {
        let debt = sample();
        let bytes = postcard::to_stdvec(&debt).unwrap();
        assert_eq!(postcard::from_bytes::<Obligation>(&bytes).unwrap(), debt);
    }
}
