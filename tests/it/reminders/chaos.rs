//! Whatever comes in which order, with crashes anywhere: what must hold holds, and what is counted is there.
//!
//! Two creditors, eight debts, four phones of which two are shared, and rules that text, begin and look later. The
//! links' own list of what left decides.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::tz::TimeZone;
use nudged::clock::Timestamp;
use nudged::engine::core::Input;
use nudged::engine::reminders::change::{ObligationDraft, Owner, Which};
use nudged::engine::reminders::triggers::{Firing, FiringState, RuleNote};
use nudged::engine::reminders::{Change, ChangeRefusal, ReminderCounters};
use nudged::id::{MessageId, ObligationId};
use nudged::link::{LinkEvent, Outcome, Submission};
use nudged::message::{Cause, Msisdn, Reason, UnknownWhy};
use nudged::reminder::enrolment::{EnrolmentState, PauseReason, StepNote, StepOutcome, TimerKind};
use nudged::reminder::obligation::ObligationStatus;
use nudged::reminder::task::{TaskOutcome, TaskState};
use nudged::retry::RetryClass;
use nudged::store::keys::family;
use nudged::store::{keys, record};
use proptest::prelude::*;

use super::firm::*;
use super::rules::{FIRM, THANKS};

const RULES: &str = r#"
[[rule]]
key = "went_back"
on = "payment.reversed"
after = "5h"
do = "task:went_back"

[[rule]]
key = "firm"
on = "promise.broken"
do = "enrol:firm"

[[rule]]
key = "rest"
on = "reply.review"
when = "balance < 120"
do = "pause:48h"
"#;
const DEBTS: u64 = 8;
const PHONES: u64 = 4;

/// Enrolled to and fro, no step of either goes twice.
const OTHER: &str = "[[sequence]]\nkey = \"other\"\n[[sequence.step]]\nid = \"another\"\noffset = \"+1d\"\nat = \"10:00\"\ntemplate = \"late\"\ngrace = \"9d\"\n";

/// One thing that happens; the numbers choose which debt, phone, or answer.
#[derive(Clone, Copy, Debug)]
enum Act {
    Wait(u16),
    Take,
    Refuse(u8),
    Lose,
    HandBack,
    Crash,
    CrashAtStep(u16),
    Down,
    Up,
    Pay(u8, bool),
    Reverse(u8),
    Move(u8, i8, bool),
    Reply(u8, u8),
    Pause(u8),
    Resume(u8),
    Promise(u8),
    Dispute(u8),
    Task(u8, u8),
    Owe(u8, u8),
    Enrol(u8, bool),
}

/// Obligation, cycle, step, number, and when it left.
type Left = (ObligationId, u32, String, Msisdn, Timestamp);

fn act() -> impl Strategy<Value = Act> {
    let byte = any::<u8>;
    prop_oneof![
        8 => (1u16..2_880).prop_map(Act::Wait),
        6 => Just(Act::Take),
        1 => byte().prop_map(Act::Refuse),
        1 => Just(Act::Lose),
        2 => Just(Act::HandBack),
        2 => Just(Act::Crash),
        2 => (1u16..2_880).prop_map(Act::CrashAtStep),
        1 => Just(Act::Down),
        2 => Just(Act::Up),
        2 => (byte(), any::<bool>()).prop_map(|(n, all)| Act::Pay(n, all)),
        1 => byte().prop_map(Act::Reverse),
        2 => (byte(), -12i8..12, any::<bool>()).prop_map(|(n, by, restart)| Act::Move(n, by, restart)),
        2 => (byte(), byte()).prop_map(|(n, what)| Act::Reply(n, what)),
        1 => byte().prop_map(Act::Pause),
        1 => byte().prop_map(Act::Resume),
        1 => byte().prop_map(Act::Promise),
        1 => byte().prop_map(Act::Dispute),
        2 => (byte(), byte()).prop_map(|(n, outcome)| Act::Task(n, outcome)),
        1 => (byte(), byte()).prop_map(|(n, amount)| Act::Owe(n, amount)),
        1 => (byte(), any::<bool>()).prop_map(|(n, other)| Act::Enrol(n, other)),
    ]
}

struct Chaos {
    firm: Firm,
    /// Submissions that were given out, and not handed back: bytes of them may have left.
    left: BTreeMap<(MessageId, u64), Left>,
    seen: usize,
    stopped: BTreeSet<Msisdn>,
    payments: BTreeMap<ObligationId, u32>,
    count: u32,
}

impl Chaos {
    fn new() -> Chaos {
        let mut chaos = Chaos {
            firm: Firm::with(&format!("{SET_UP}{FIRM}{OTHER}{THANKS}{RULES}")),
            left: BTreeMap::new(),
            seen: 0,
            stopped: BTreeSet::new(),
            payments: BTreeMap::new(),
            count: 0,
        };
        (0..DEBTS).for_each(|n| chaos.owe(n, 12_000));
        chaos
    }

    fn owe(&mut self, n: u64, amount: i64) {
        let creditor = key(if n.is_multiple_of(2) { "acme" } else { "other" });
        let contact = Box::new(contact(&[1 + n % PHONES]));
        let draft = ObligationDraft {
            owner: Owner::Inline { creditor, contact },
            amount: eur(amount),
            ..draft(&format!("inv-{n}"), 1, november(24 + n as i8))
        };
        let made = self.firm.try_owe(draft);
        let is_paid =
            |refusal: &ChangeRefusal| matches!(refusal, ChangeRefusal::Field { field: "amount", .. });
        assert!(made.as_ref().err().is_none_or(is_paid), "{made:?}");
    }

    fn debt(&self, n: u8) -> ObligationId {
        let all: Vec<ObligationId> = self.firm.obligations().into_keys().collect();
        all[usize::from(n) % all.len()]
    }

    /// What was given to the link since the last look is judged as if it left.
    fn look(&mut self) {
        let fresh = self.firm.sent[self.seen..].to_vec();
        self.seen = self.firm.sent.len();
        for sent in fresh {
            if sent.reference.is_none() && sent.rule.is_none() {
                continue;
            }
            assert!(!self.stopped.contains(&sent.to), "a text after STOP: {sent:?}");
            let local = jiff::Timestamp::from_millisecond(sent.at.as_millis() as i64).unwrap();
            let local = local.to_zoned(TimeZone::get("Europe/Berlin").unwrap());
            assert!((8..20).contains(&local.hour()), "at {local}");
            let (id, cycle, step) = match (&sent.reference, sent.rule) {
                (Some(reference), _) => (reference.obligation, reference.cycle, reference.step.to_string()),
                (None, Some((id, firing))) => (id, 0, format!("rule {firing}")),
                (None, None) => continue,
            };
            let debt = self.firm.obligation(id);
            if sent.reference.is_some() {
                assert!(debt.status.is_open(), "a text for what is {}", debt.status.as_str());
                assert_eq!(cycle, debt.cycle, "of the cycle that runs");
            } else {
                assert!(
                    debt.payments.iter().any(|payment| !payment.reversed),
                    "thanks for nothing: {sent:?}"
                );
            }
            let went = (id, cycle, step, sent.to, sent.at);
            let place = self.left.keys().filter(|(id, _)| *id == sent.id).count() as u64;
            self.left.insert((sent.id, place), went);
        }
        let mut steps = BTreeSet::new();
        let mut days = BTreeSet::new();
        for (obligation, cycle, step, to, at) in self.left.values() {
            assert!(steps.insert((*obligation, *cycle, step)), "a step twice: {obligation} {cycle} {step}");
            let local = jiff::Timestamp::from_millisecond(at.as_millis() as i64).unwrap();
            let day = local.to_zoned(TimeZone::get("Europe/Berlin").unwrap()).date();
            assert!(days.insert((*to, day)), "two texts a day: {to} {day}");
        }
        self.count_all();
    }

    fn count_all(&self) {
        let mut counted = ReminderCounters::default();
        let debts = self.firm.obligations();
        for (id, debt) in &debts {
            counted.obligations[debt.status as usize] += 1;
            if let Some(timer) = debt.timer {
                let place = keys::timer(timer.kind, timer.at, id.as_u64());
                assert!(self.firm.state.map.contains_key(&place), "{id} has no timer on the disk");
            }
            let enrolment = debt.enrolment.as_ref().unwrap();
            let runs = matches!(enrolment.state, EnrolmentState::Scheduled | EnrolmentState::Active);
            let pending = |note: &StepNote| matches!(note.how, StepOutcome::Gone { accepted: false, .. });
            let waits = enrolment.refused.is_some() || debt.steps.iter().any(pending);
            assert!(!runs || debt.timer.is_some() || waits, "{id} runs and nothing wakes it: {debt:?}");
            let over = matches!(debt.status, ObligationStatus::Paid);
            assert!(!over || enrolment.state.is_over(), "{id} is paid and goes on");
        }
        counted.contacts = self.firm.state.map.keys().filter(|key| key[0] == family::CONTACT).count() as u64;
        let open = |state: &TaskState| !matches!(state, TaskState::Done { .. });
        counted.open_tasks = self.firm.tasks().values().filter(|task| open(&task.state)).count() as u64;
        assert_eq!(self.firm.counters(), counted);
        let timers = [TimerKind::Step, TimerKind::Look].map(|kind| {
            let (from, to) = keys::under(keys::timers(kind));
            self.firm.state.map.range(from..to).count()
        });
        let held = debts.values().filter(|debt| debt.timer.is_some()).count();
        assert_eq!(timers.iter().sum::<usize>(), held + self.count_firings(), "a timer a debt, and a firing");
    }

    /// Firings that look or wait: each has its timer, and is the one that its rule remembers.
    fn count_firings(&self) -> usize {
        let all = |family| {
            let (from, to) = keys::all(family);
            self.firm.state.map.range(from..to)
        };
        let mut waiting = BTreeSet::new();
        for (key, value) in all(family::FIRING) {
            let id = keys::decode_id(key).unwrap();
            let firing: Firing = record::decode(value).unwrap();
            let (kind, at) = match firing.state {
                FiringState::Looks { at } => (TimerKind::Look, at),
                FiringState::Waits { at, .. } => (TimerKind::Step, at),
                FiringState::Gone { .. } => continue,
            };
            assert!(self.firm.state.map.contains_key(&keys::timer(kind, at, id)), "{id} has no timer");
            let note: RuleNote = self.firm.get(&keys::rule_note(firing.obligation, &firing.rule)).unwrap();
            assert_eq!(note.waiting, Some(id));
            waiting.insert(id);
        }
        for (_, value) in all(family::RULE_NOTE) {
            let note: RuleNote = record::decode(value).unwrap();
            assert!(note.waiting.is_none_or(|id| waiting.contains(&id)) && note != RuleNote::default());
        }
        waiting.len()
    }

    /// What is in hand goes back unwritten: no byte left.
    fn hand_back(&mut self) {
        for (_, Submission { id, .. }) in &self.firm.open {
            let last = self.left.keys().filter(|(of, _)| of == id).max().copied();
            last.and_then(|place| self.left.remove(&place));
        }
        self.firm.hand_back();
    }

    fn act(&mut self, act: Act) {
        self.look();
        match act {
            Act::Wait(minutes) => self.wait(minutes),
            Act::Take => self.firm.accept(),
            Act::Refuse(n) => {
                let reasons = [Reason::SmscBadDestination, Reason::SmscRejected, Reason::SmscTemporary];
                let cause = Cause::plain(reasons[usize::from(n) % 3]);
                let retry = if n % 3 == 2 { RetryClass::Temporary } else { RetryClass::Permanent };
                for (_, Submission { id, .. }) in &self.firm.open {
                    let last = self.left.keys().filter(|(of, _)| of == id).max().copied();
                    last.and_then(|place| self.left.remove(&place));
                }
                self.firm.answer(&Outcome::Refused { cause, retry });
            }
            Act::Lose => self.firm.answer(&Outcome::Unknown { why: UnknownWhy::NoAnswer }),
            Act::HandBack => self.hand_back(),
            Act::Crash => self.firm.crash(),
            Act::CrashAtStep(minutes) => {
                self.wait(minutes);
                self.firm.crash();
            }
            Act::Down => {
                self.hand_back();
                self.firm.down();
            }
            Act::Up => self.firm.up(),
            Act::Pay(n, all) => self.pay(n, all),
            Act::Reverse(n) => {
                let id = self.debt(n);
                if let Some(payment) = self.firm.obligation(id).payments.last().cloned() {
                    self.firm.change(Change::Reverse { which: Which::Id(id), payment }).unwrap();
                }
            }
            Act::Move(n, by, restart) => {
                let id = self.debt(n);
                let today = november(23).checked_add(jiff::Span::new().days(i64::from(by))).unwrap();
                let days = self.firm.clock.now().wall.since(MONDAY).as_secs() / 86_400;
                let date = today.checked_add(jiff::Span::new().days(days as i64)).unwrap();
                self.firm.move_due(id, date, restart);
            }
            Act::Reply(n, what) => self.reply(n, what),
            Act::Pause(n) => {
                let until = Some(self.firm.clock.now().wall.saturating_add(DAY));
                let (which, reason) = (Which::Id(self.debt(n)), PauseReason::Manual);
                let _may_be_over = self.firm.change(Change::PauseEnrolment { which, reason, until });
            }
            Act::Resume(n) => {
                let which = Which::Id(self.debt(n));
                let _may_be_over = self.firm.change(Change::ResumeEnrolment { which });
            }
            Act::Promise(n) => {
                let days = self.firm.clock.now().wall.since(MONDAY).as_secs() / 86_400 + 2;
                let date = november(23).checked_add(jiff::Span::new().days(days as i64)).unwrap();
                let which = Which::Id(self.debt(n));
                let _may_be_closed = self.firm.change(Change::Promise { which, date, amount: None });
            }
            Act::Dispute(n) => {
                let which = Which::Id(self.debt(n));
                let _may_be_closed = self.firm.change(Change::Dispute { which, reason: String::from("no") });
            }
            Act::Task(n, outcome) => self.task(n, outcome),
            Act::Enrol(n, other) => {
                let (which, sequence) =
                    (Which::Id(self.debt(n)), key(if other { "other" } else { "standard" }));
                let _may_be_closed = self.firm.change(Change::Enrol { which, sequence });
            }
            Act::Owe(n, amount) => self.owe(u64::from(n) % DEBTS, 12_000 + i64::from(amount)),
        }
        self.look();
    }

    fn wait(&mut self, minutes: u16) {
        let until = self.firm.clock.now().wall.saturating_add(Duration::from_secs(60 * u64::from(minutes)));
        while self.firm.clock.now().wall < until {
            self.firm.pass(Duration::from_secs(1_800));
            self.look();
        }
    }

    fn pay(&mut self, n: u8, all: bool) {
        let id = self.debt(n);
        let balance = self.firm.obligation(id).balance();
        let part = if all { balance.minor() } else { 1_000.min(balance.minor()) };
        if part > 0 {
            self.count += 1;
            let name = format!("p{}", self.count);
            self.firm.pay(id, &name, part);
            *self.payments.entry(id).or_default() += 1;
        }
    }

    fn reply(&mut self, n: u8, what: u8) {
        let phone = 1 + u64::from(n) % PHONES;
        let text = ["STOP", "1", "2", "who is this?", "please do not stop by"][usize::from(what) % 5];
        self.firm.reply(phone, text);
        if text == "STOP" {
            // What the link was given before it was heard is judged before.
            self.look();
            self.stopped.insert(number(phone));
        }
    }

    fn task(&mut self, n: u8, outcome: u8) {
        let open = self.firm.tasks().into_iter().filter(|(_, t)| !matches!(t.state, TaskState::Done { .. }));
        let open: Vec<_> = open.map(|(id, _)| id).collect();
        let Some(&id) = open.get(usize::from(n) % open.len().max(1)) else { return };
        let outcome = match outcome % 6 {
            0 | 1 => TaskOutcome::Resume,
            2 => TaskOutcome::Final,
            3 => TaskOutcome::HandOver,
            4 => TaskOutcome::Paid,
            _ => TaskOutcome::Plan,
        };
        let _may_not_fit = self.firm.change(Change::TaskDone { id, outcome, expect: None });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, max_shrink_iters: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_step_goes_twice_none_after_stop_or_at_night_and_what_is_counted_is_there(
        acts in proptest::collection::vec(act(), 1..60)
    ) {
        let mut chaos = Chaos::new();
        chaos.firm.step(vec![Input::Link { link: 0, event: LinkEvent::Up }]);
        acts.into_iter().for_each(|act| chaos.act(act));
    }
}
