//! Quotas: what a link may send in a period, to how many numbers, and which link a number goes by. A core on a map,
//! with links that answer as the test says.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::civil::Date;
use nudged::clock::{Clock, Timestamp};
use nudged::config::{Policy, Route};
use nudged::engine::core::{Answer, Core, Input, Settings};
use nudged::engine::doubt::ClockDoubt;
use nudged::engine::memory::Memory;
use nudged::engine::reminders::change::{ObligationDraft, Owner};
use nudged::engine::reminders::{Change, Changed, ReminderSettings, Subject, seeds};
use nudged::engine::{BatchWish, Command, Draft};
use nudged::id::{MessageId, ObligationId};
use nudged::link::{LinkEvent, LinkFacts, Outcome, Submission};
use nudged::message::{LinkName, Msisdn, Reference};
use nudged::quota::{Limits, Quota};
use nudged::reminder::contact::Contact;
use nudged::reminder::enrolment::{StepNote, StepOutcome};
use nudged::reminder::money::{Currency, Money};
use nudged::reminder::name::{ExternalId, Key};
use nudged::reminder::obligation::Obligation;
use nudged::reminder::seed::{SeedFile, read};
use nudged::reminder::zone::Zone;
use nudged::store::{keys, record};
use proptest::prelude::*;
use serde_json::json;
use tokio::sync::oneshot;

use crate::support::{self, START, World, checked, link, silent};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
const MINUTE: Duration = Duration::from_secs(60);

/// A firm in Berlin with links `a`, `b`, ...; every lane balances but that of a route.
struct Firm {
    settings: Settings,
    limits: BTreeMap<LinkName, Limits>,
    core: Core,
    state: Memory,
    clock: Clock,
    wake_in: Option<Duration>,
    /// Not answered yet.
    open: Vec<(usize, Submission)>,
    /// All that was handed out: link, number, by the wall clock.
    gone: Vec<(usize, Msisdn, Timestamp)>,
    /// What the core must think of the clock.
    doubt: ClockDoubt,
    /// What went and was not handed back, by the firm's day; none where the clock was in doubt.
    days: BTreeMap<Option<Date>, i64>,
    day_of: BTreeMap<(MessageId, u8), Option<Date>>,
}

fn quota(text: &str) -> Quota {
    nudged::config::value::quota(text).unwrap()
}

fn segments(text: &str) -> Limits {
    Limits { segments: vec![quota(text)], ..Limits::default() }
}

fn recipients(text: &str) -> Limits {
    Limits { recipients: Some(quota(text)), ..Limits::default() }
}

fn sticky(sticky: Duration) -> Limits {
    Limits { sticky, ..Limits::default() }
}

fn to(n: u64) -> Msisdn {
    Msisdn::from_u64(4_915_112_345_000 + n)
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

fn accepted() -> Outcome {
    Outcome::Accepted { reference: Reference(String::from("x")) }
}

impl Firm {
    fn new(window: u16, limits: &[Limits]) -> Firm {
        Firm::routed(window, limits, Vec::new())
    }

    fn routed(window: u16, limits: &[Limits], routes: Vec<Route>) -> Firm {
        let name = |n: usize| LinkName::from(["a", "b", "c"][n]);
        let facts = |n| LinkFacts { name: name(n), account: name(n), kind: "modem", window };
        let settings = Settings {
            queue: checked("[queue]\nvalidity = '30d'\n").queue,
            inbound: checked("").inbound,
            routes,
            links: (0..limits.len()).map(facts).collect(),
            clock_floor: Timestamp::MIN,
            reminders: ReminderSettings {
                home: Zone::parse("Europe/Berlin").unwrap(),
                ..ReminderSettings::for_tests()
            },
        };
        let limits = limits.iter().enumerate().map(|(n, limits)| (name(n), limits.clone())).collect();
        let (state, clock) = (Memory::default(), Clock::manual(START));
        let (core, _) = Core::recover(settings.clone(), &state, clock.now()).unwrap();
        let mut firm = Firm {
            settings,
            limits,
            core,
            state,
            clock,
            wake_in: None,
            open: Vec::new(),
            gone: Vec::new(),
            doubt: ClockDoubt::new(Timestamp::MIN, Timestamp::MIN),
            days: BTreeMap::new(),
            day_of: BTreeMap::new(),
        };
        firm.restart();
        firm
    }

    /// A crash: what is on the wire is not answered any more.
    fn restart(&mut self) {
        self.open.clear();
        let now = self.clock.now();
        let (core, batch) = Core::recover(self.settings.clone(), &self.state, now).unwrap();
        self.state.apply(&batch);
        self.core = core.limit(self.limits.clone(), &self.state, now).unwrap();
        let mark = self.state.map.get(&keys::core("clock")).map(|mark| record::decode(mark).unwrap());
        self.doubt = ClockDoubt::new(Timestamp::MIN, mark.unwrap_or_default());
        let up = |link| Input::Link { link, event: LinkEvent::Up };
        self.step((0..self.settings.links.len()).map(up).collect());
    }

    fn step(&mut self, inputs: Vec<Input>) {
        let now = self.clock.now();
        self.doubt.see(now);
        let local = self.settings.reminders.home.local(now.wall).date();
        let day = (!self.doubt.is_doubted()).then_some(local);
        self.days.entry(day).or_default();
        let step = self.core.step(&self.state, inputs, now).unwrap();
        self.state.apply(&step.batch);
        self.wake_in = step.wake_at.map(|at| at.saturating_duration_since(now.mono));
        for (link, submission) in step.submissions {
            self.gone.push((link, submission.to, now.wall));
            *self.days.entry(day).or_default() += 1;
            self.day_of.insert((submission.id, submission.index), day);
            self.open.push((link, submission));
        }
    }

    fn send(&mut self, drafts: impl IntoIterator<Item = Draft>) {
        let drafts = drafts.into_iter().collect();
        let (reply, _) = oneshot::channel();
        self.step(vec![Input::Command(Command::Accept { drafts, batch: BatchWish::None, reply })]);
    }

    /// One segment to each of these numbers.
    fn send_to(&mut self, numbers: impl IntoIterator<Item = u64>) {
        self.send(numbers.into_iter().map(|n| support::draft(to(n), "x")));
    }

    /// Everything open is answered, until nothing more goes.
    fn drain(&mut self) {
        while !self.open.is_empty() {
            self.answer(|_| true, &accepted());
        }
    }

    fn answer(&mut self, which: impl Fn(usize) -> bool, outcome: &Outcome) {
        let (now, later) = std::mem::take(&mut self.open).into_iter().partition(|(link, _)| which(*link));
        self.open = later;
        let now: Vec<(usize, Submission)> = now;
        for (_, s) in now.iter().filter(|_| *outcome == Outcome::Unwritten) {
            *self.days.entry(self.day_of[&(s.id, s.index)]).or_default() -= 1;
        }
        let event = |(link, s): (usize, Submission)| {
            let event = LinkEvent::Outcome { id: s.id, index: s.index, outcome: outcome.clone() };
            Input::Link { link, event }
        };
        self.step(now.into_iter().map(event).collect());
    }

    fn down(&mut self, link: usize) {
        let event = LinkEvent::Down { reason: String::from("gone") };
        self.step(vec![Input::Link { link, event }]);
    }

    fn up(&mut self, link: usize) {
        self.step(vec![Input::Link { link, event: LinkEvent::Up }]);
    }

    /// Time passes in steps of a minute, so that no clock jumps.
    fn pass_to(&mut self, until: Timestamp) {
        while self.clock.now().wall < until {
            self.clock.advance(until.since(self.clock.now().wall).min(10 * MINUTE));
            self.step(Vec::new());
        }
        self.drain();
    }

    fn set(&mut self, to: Timestamp) {
        self.clock.jump(to);
        self.step(Vec::new());
    }

    fn accept_clock(&mut self) {
        let (reply, _) = oneshot::channel();
        self.doubt.accept(self.clock.now());
        self.step(vec![Input::Command(Command::AcceptClock { by: "crm".into(), reply })]);
        self.step(Vec::new());
    }

    fn count(&self) -> usize {
        self.gone.len()
    }

    fn numbers_by(&self, link: usize) -> Vec<u64> {
        let by = self.gone.iter().filter(|(of, ..)| *of == link);
        by.map(|(_, number, _)| number.as_u64() - to(0).as_u64()).collect()
    }
}

#[test]
fn what_is_beyond_the_quota_goes_on_the_firms_next_day() {
    let mut firm = Firm::new(10, &[segments("3/day")]);
    firm.send_to(0..7);
    firm.drain();
    assert_eq!(firm.count(), 3);
    firm.pass_to(at("2026-11-21T22:59:59.999Z"));
    assert_eq!(firm.count(), 3);
    assert_eq!(firm.wake_in, Some(Duration::from_millis(1)), "it wakes for the new day");
    firm.pass_to(at("2026-11-21T23:00:00Z"));
    assert_eq!(firm.count(), 6, "midnight in Berlin");
    firm.pass_to(at("2026-11-22T23:00:00Z"));
    assert_eq!(firm.count(), 7);
}

#[test]
fn each_of_several_quotas_is_kept() {
    let limits = Limits { segments: vec![quota("2/hour"), quota("3/day")], ..Limits::default() };
    let mut firm = Firm::new(10, &[limits]);
    firm.send_to(0..9);
    firm.drain();
    assert_eq!(firm.count(), 2);
    firm.pass_to(at("2026-11-21T15:00:00Z"));
    assert_eq!(firm.count(), 3);
    firm.pass_to(at("2026-11-21T22:00:00Z"));
    assert_eq!(firm.count(), 3);
    firm.pass_to(at("2026-11-21T23:00:00Z"));
    assert_eq!(firm.count(), 5);
}

#[test]
fn a_restart_finds_the_count_where_it_was() {
    let mut firm = Firm::new(10, &[segments("3/day")]);
    firm.send_to(0..2);
    firm.drain();
    firm.restart();
    firm.send_to(2..9);
    firm.restart();
    assert_eq!(firm.count(), 3);
    firm.pass_to(at("2026-11-21T23:00:00Z"));
    assert_eq!(firm.count(), 6);
}

#[test]
fn what_a_link_hands_back_unwritten_is_given_back_and_what_it_lost_is_not() {
    let mut firm = Firm::new(10, &[segments("3/day")]);
    firm.send_to(0..3);
    firm.answer(|_| true, &Outcome::Unwritten);
    firm.clock.advance(Duration::from_millis(100));
    firm.step(Vec::new());
    assert_eq!(firm.count(), 6, "the same three again");
    firm.drain();
    firm.send_to([9]);
    assert_eq!(firm.count(), 6);
    let mut firm = Firm::new(10, &[segments("3/day")]);
    firm.send_to(0..3);
    firm.down(0);
    firm.restart();
    firm.send_to([9]);
    assert_eq!(firm.count(), 3, "nobody knows whether those went");
}

#[test]
fn a_long_message_that_does_not_fit_waits_whole() {
    let mut firm = Firm::new(10, &[segments("4/day")]);
    let long = |n| Draft { segment_count: 3, text: "x".repeat(400), ..support::draft(to(n), "") };
    firm.send([long(1), long(2)]);
    firm.drain();
    assert_eq!(firm.numbers_by(0), [1, 1, 1]);
    firm.pass_to(at("2026-11-21T23:00:00Z"));
    assert_eq!(firm.numbers_by(0), [1, 1, 1, 2, 2, 2]);
}

#[test]
fn a_message_longer_than_the_whole_quota_takes_several_days() {
    let mut firm = Firm::new(10, &[segments("2/day")]);
    firm.send([Draft { segment_count: 3, text: "x".repeat(400), ..support::draft(to(1), "") }]);
    firm.drain();
    assert_eq!(firm.count(), 2);
    firm.pass_to(at("2026-11-21T23:00:00Z"));
    assert_eq!(firm.count(), 3);
}

/// On 28 March 2027 Berlin's day has 23 hours.
#[test]
fn a_day_on_which_the_clocks_change_is_as_long_as_it_is() {
    let mut firm = Firm::new(10, &[segments("1/day")]);
    firm.pass_to(at("2026-11-21T15:00:00Z"));
    firm.set(at("2027-03-27T22:00:00Z"));
    firm.accept_clock();
    firm.send_to(0..3);
    firm.drain();
    let mut days = Vec::new();
    for hour in 0..48 {
        let before = firm.count();
        firm.pass_to(at("2027-03-27T22:00:00Z").saturating_add(hour * HOUR));
        days.extend((firm.count() > before).then_some(hour));
    }
    assert_eq!((firm.gone[0].2, days), (at("2027-03-27T22:00:00Z"), vec![1, 24]));
}

#[test]
fn a_clock_set_forward_opens_no_day_before_it_is_believed() {
    let mut firm = Firm::new(10, &[segments("3/day")]);
    firm.send_to(0..9);
    firm.drain();
    firm.set(at("2026-11-23T10:00:00Z"));
    firm.drain();
    assert_eq!(firm.count(), 3);
    firm.pass_to(at("2026-11-23T10:11:00Z"));
    assert_eq!(firm.count(), 6);
}

#[test]
fn a_clock_set_back_over_midnight_and_forth_opens_no_second_day() {
    let mut firm = Firm::new(10, &[segments("3/day")]);
    firm.send_to(0..2);
    firm.drain();
    firm.pass_to(at("2026-11-21T23:00:30Z"));
    firm.send_to(2..20);
    firm.drain();
    assert_eq!(firm.count(), 5, "two and three");
    firm.set(at("2026-11-21T22:59:50Z"));
    firm.drain();
    firm.restart();
    firm.drain();
    firm.pass_to(at("2026-11-22T10:00:00Z"));
    assert_eq!(firm.count(), 5);
    firm.pass_to(at("2026-11-22T23:00:00Z"));
    assert_eq!(firm.count(), 8);
}

#[test]
fn where_one_links_quota_is_used_up_another_of_the_route_goes_on() {
    let route = Route {
        to: vec![String::from("+49")],
        class: Vec::new(),
        sender: Vec::new(),
        token: Vec::new(),
        via: vec!["a".into(), "b".into()],
        policy: Policy::Failover,
    };
    let mut firm = Firm::routed(10, &[segments("2/day"), Limits::default()], vec![route]);
    firm.send_to(0..5);
    firm.drain();
    assert_eq!((firm.numbers_by(0), firm.numbers_by(1)), (vec![0, 1], vec![2, 3, 4]));
}

#[test]
fn a_link_whose_recipients_are_used_up_still_takes_the_numbers_it_wrote_to() {
    let mut firm = Firm::new(1, &[recipients("2/month")]);
    firm.send_to([1, 2, 3, 4, 1, 2, 3]);
    firm.drain();
    assert_eq!(firm.numbers_by(0), [1, 2, 1, 2]);
    firm.restart();
    firm.send_to([2, 5]);
    firm.drain();
    assert_eq!(firm.numbers_by(0), [1, 2, 1, 2, 2]);
    firm.pass_to(at("2026-11-30T23:00:00Z"));
    assert_eq!(firm.numbers_by(0), [1, 2, 1, 2, 2, 3, 4, 3], "in December two others, one of them twice");
}

#[test]
fn a_number_that_one_link_may_not_take_goes_by_another() {
    let mut firm = Firm::new(1, &[recipients("1/month"), Limits::default()]);
    firm.down(1);
    firm.send_to([1, 2]);
    firm.drain();
    assert_eq!(firm.numbers_by(0), [1]);
    firm.up(1);
    firm.step(Vec::new());
    firm.drain();
    assert_eq!((firm.numbers_by(0), firm.numbers_by(1)), (vec![1], vec![2]));
}

#[test]
fn more_new_numbers_than_memory_holds_do_not_hide_a_known_one() {
    let mut firm = Firm::new(1, &[recipients("1/month")]);
    firm.send_to([1]);
    firm.drain();
    firm.send_to(1_000..3_500);
    firm.send_to([1]);
    for _ in 0..40 {
        firm.clock.advance(Duration::from_millis(10));
        firm.step(Vec::new());
    }
    assert_eq!(firm.numbers_by(0), [1, 1]);
}

/// Two links of one lane; `a` wrote to number 1 and is busy with another.
fn busy(limits: Limits) -> Firm {
    let mut firm = Firm::new(1, &[limits, Limits::default()]);
    firm.down(1);
    firm.send_to([1]);
    firm.drain();
    firm.send_to([2]);
    firm.up(1);
    firm
}

#[test]
fn a_number_waits_for_the_link_it_knows_while_others_go_by_another() {
    let mut firm = busy(sticky(30 * MINUTE));
    firm.send_to([1, 3]);
    assert_eq!((firm.numbers_by(0), firm.numbers_by(1)), (vec![1, 2], vec![3]));
    firm.answer(|link| link == 0, &accepted());
    assert_eq!((firm.numbers_by(0), firm.numbers_by(1)), (vec![1, 2, 1], vec![3]));
}

#[test]
fn a_number_waits_no_longer_than_it_may() {
    let mut firm = busy(sticky(30 * MINUTE));
    firm.send_to([1]);
    for _ in 0..29 {
        firm.clock.advance(MINUTE);
        firm.step(Vec::new());
    }
    assert_eq!((firm.numbers_by(1).len(), firm.wake_in <= Some(MINUTE)), (0, true));
    firm.clock.advance(MINUTE);
    firm.step(Vec::new());
    assert_eq!(firm.numbers_by(1), [1]);
}

#[test]
fn a_number_does_not_wait_for_a_link_that_is_down_or_has_no_quota() {
    let mut firm = busy(sticky(30 * MINUTE));
    firm.send_to([1]);
    assert!(firm.numbers_by(1).is_empty());
    firm.down(0);
    assert_eq!(firm.numbers_by(1), [1]);
    let mut firm = busy(Limits { segments: vec![quota("2/day")], ..sticky(30 * MINUTE) });
    firm.send_to([1]);
    assert_eq!(firm.numbers_by(1), [1]);
}

#[test]
fn a_restart_and_a_new_month_leave_a_number_its_link() {
    let limits = Limits { recipients: Some(quota("9/month")), ..sticky(DAY) };
    let mut firm = busy(limits);
    firm.pass_to(at("2026-12-02T10:00:00Z"));
    firm.restart();
    firm.send_to([2]);
    firm.send_to([1]);
    assert!(firm.numbers_by(1).is_empty());
    firm.drain();
    assert_eq!(firm.numbers_by(0), [1, 2, 2, 1]);
}

#[test]
fn what_waits_for_its_link_can_be_taken_back_and_keeps_its_order() {
    let mut firm = busy(sticky(30 * MINUTE));
    firm.send([support::draft(to(1), "first"), support::draft(to(1), "second")]);
    let mut texts = Vec::new();
    for _ in 0..3 {
        texts.extend(firm.open.iter().map(|(_, s)| s.text.clone()));
        firm.answer(|link| link == 0, &accepted());
    }
    assert_eq!(texts, ["x", "first", "second"]);
}

/// Hundreds that know a busy link are no reason for another to stand idle.
#[test]
fn where_too_many_wait_for_one_link_another_takes_them() {
    let mut firm = Firm::new(1_000, &[sticky(DAY), Limits::default()]);
    firm.down(1);
    firm.send_to(0..900);
    firm.drain();
    firm.send_to(1_000..2_000);
    firm.up(1);
    firm.send_to(0..900);
    let by_other = firm.numbers_by(1).len();
    assert!((600..900).contains(&by_other), "{by_other}");
    firm.drain();
    assert_eq!(firm.count(), 2_800);
}

#[test]
fn a_message_costs_no_key_for_its_quota_and_one_for_its_number() {
    let mut firm = Firm::new(100, &[Limits { segments: vec![quota("500/day")], ..recipients("250/month") }]);
    let before = firm.state.map.len();
    firm.send_to(0..50);
    let grown = |firm: &Firm, family: u8| firm.state.map.keys().filter(|key| key[0] == family).count();
    assert!(firm.state.map.len() > before);
    assert_eq!(grown(&firm, keys::family::WROTE_TO), 50);
    let core = grown(&firm, keys::family::CORE);
    firm.send_to(0..50);
    assert_eq!(grown(&firm, keys::family::CORE), core);
    assert_eq!(grown(&firm, keys::family::WROTE_TO), 50);
}

#[derive(Clone, Debug)]
enum Happening {
    Send(u64),
    /// Whether it was written.
    Answer(bool),
    Restart,
    Pass(u64),
    /// By so many seconds, forth or back.
    Jump(i64),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => (1u64..8).prop_map(Happening::Send),
        3 => any::<bool>().prop_map(Happening::Answer),
        1 => Just(Happening::Restart),
        3 => (1u64..30).prop_map(Happening::Pass),
        2 => (-200_000i64..200_000).prop_map(Happening::Jump),
    ]
}

const SET_UP: &str = r#"
[[creditor]]
key = "acme"
name = "Acme GmbH"
sender_role = "first_party"
language = "en"
timezone = "Europe/Berlin"

[[template]]
key = "due"
language = "en"
class = "reminder"
body = "Due: {{ amount }} for {{ reference }} of {{ creditor }}."

[[sequence]]
key = "standard"
[[sequence.step]]
id = "before"
offset = "-2d"
at = "10:00"
template = "due"
"#;

impl Firm {
    fn change(&mut self, change: Change) -> Changed {
        let (reply, mut answer) = oneshot::channel();
        let now = self.clock.now();
        let command = Input::Command(Command::Change { changes: vec![change], by: "crm".into(), reply });
        let mut step = self.core.step(&self.state, vec![command], now).unwrap();
        self.state.apply(&step.batch);
        std::mem::take(&mut step.answers).into_iter().for_each(Answer::send);
        answer.try_recv().unwrap().remove(0).unwrap()
    }

    /// An obligation due on this day of December.
    fn owe(&mut self, n: u64, day: i8) -> ObligationId {
        let contact: Contact = serde_json::from_value(json!({
            "external_id": format!("k-{n}"),
            "phones": [{"number": to(n).to_e164(), "primary": true, "verified": true}],
            "timezone": "Europe/Berlin",
            "country": "DE",
        }))
        .unwrap();
        let owner = Owner::Inline { creditor: Key::parse("acme").unwrap(), contact: Box::new(contact) };
        let draft = ObligationDraft {
            external_id: ExternalId::parse(&format!("inv-{n}")).unwrap(),
            owner,
            amount: Money::new(12_000, Currency::parse("EUR").unwrap()).unwrap(),
            min_due: None,
            due_date: Date::constant(2026, 12, day),
            description: None,
            link: None,
            sequence: None,
            restart: false,
        };
        match self.change(Change::Obligation(Box::new(draft))).subject {
            Subject::Obligation(id) => id,
            other => panic!("{other:?}"),
        }
    }

    fn refused(&self, id: ObligationId) -> Option<(String, Option<Timestamp>)> {
        let obligation: Obligation = record::decode(&self.state.map[&keys::obligation(id)]).unwrap();
        let gate = obligation.enrolment?.refused?.gate;
        Some((gate, obligation.timer.map(|timer| timer.at)))
    }
}

/// A firm that reminds two days before what is due.
fn reminding(limits: &[Limits]) -> Firm {
    let mut firm = Firm::new(10, limits);
    let file = SeedFile { name: String::from("firm.toml"), text: String::from(SET_UP) };
    for seed in read(&[file]).unwrap() {
        firm.change(seeds::change(seed.table));
    }
    firm
}

#[test]
fn a_reminder_without_quota_waits_for_the_next_day_and_says_so() {
    let mut firm = reminding(&[segments("2/day")]);
    let [first, second, third] = [1, 2, 3].map(|n| firm.owe(n, 4));
    firm.pass_to(at("2026-12-02T11:00:00Z"));
    assert_eq!(firm.count(), 2);
    let waits: Vec<_> = [first, second, third].into_iter().filter_map(|id| firm.refused(id)).collect();
    let [(gate, next)] = &waits[..] else { panic!("{waits:?}") };
    assert_eq!(gate, "quota");
    assert!(*next >= Some(at("2026-12-02T23:00:00Z")), "{next:?}");
    let bodies = firm.state.map.keys().filter(|key| key[0] == keys::family::BODY).count();
    assert_eq!(bodies, 2, "nothing is rendered to wait");
    firm.pass_to(at("2026-12-03T11:00:00Z"));
    assert_eq!(firm.count(), 3);
}

#[test]
fn a_reminder_to_a_number_beyond_the_recipients_does_not_hold_up_one_to_a_known_number() {
    let mut firm = reminding(&[recipients("1/month")]);
    firm.pass_to(at("2026-12-01T10:00:00Z"));
    firm.send_to([5]);
    firm.drain();
    let unknown = firm.owe(1, 4);
    firm.owe(5, 4);
    firm.pass_to(at("2026-12-02T11:00:00Z"));
    assert_eq!(firm.numbers_by(0), [5, 5]);
    let obligation: Obligation = record::decode(&firm.state.map[&keys::obligation(unknown)]).unwrap();
    let [StepNote { how: StepOutcome::Skipped { gate, .. }, .. }] = &obligation.steps[..] else {
        panic!("{:?}", obligation.steps)
    };
    assert_eq!(gate, "quota", "next month is too late for it");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn no_day_has_more_than_the_quota_whatever_restarts_and_jumps(
        happenings in prop::collection::vec(happening(), 1..80),
    ) {
        const QUOTA: i64 = 6;
        let mut firm = Firm::new(4, &[segments("6/day")]);
        for (n, happening) in (0u64..).zip(happenings) {
            match happening {
                Happening::Send(count) => firm.send_to((0..count).map(|i| 10 * n + i)),
                Happening::Answer(true) => firm.answer(|_| true, &accepted()),
                Happening::Answer(false) => firm.answer(|_| true, &Outcome::Unwritten),
                Happening::Restart => firm.restart(),
                Happening::Pass(halves) => {
                    for _ in 0..halves {
                        firm.clock.advance(HOUR / 2);
                        firm.step(Vec::new());
                    }
                }
                Happening::Jump(by) => {
                    let millis = firm.clock.now().wall.as_millis().saturating_add_signed(by * 1_000);
                    firm.set(Timestamp::from_millis(millis));
                }
            }
        }
        let believed = || firm.days.iter().filter(|(day, _)| day.is_some());
        prop_assert!(believed().all(|(_, count)| *count <= QUOTA), "{:?}", firm.days);
        let all: i64 = firm.days.values().sum();
        prop_assert!(all <= QUOTA * believed().count() as i64, "{:?}", firm.days);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_up_quota_leaves_messages_queued_and_the_outside_says_until_when() {
    let carrier = support::Carrier::start(silent()).await;
    let world = World::start_still(&link("carrier", carrier.addr(), "quota = ['2/day']")).await;
    let ids = world.send_many(3).await;
    for id in &ids[..2] {
        world.await_status(id, "sent").await;
    }
    let used = |link: &serde_json::Value| link["quotas"][0]["used"] == 2;
    let looks = async || Some(world.get("/v1/links/carrier").await).filter(used);
    let shown = support::until(&world.clock, "two are counted", looks).await;
    let expected = json!([{"per": "day", "limit": 2, "used": 2, "until": "2026-11-22T00:00:00.000Z"}]);
    assert_eq!((&shown["quotas"], &shown["recipients"]), (&expected, &json!(null)));
    assert_eq!(world.status(&ids[2]).await, "queued");
    let metrics = world.get("/metrics").await;
    let metrics = metrics.as_str().unwrap();
    assert!(metrics.contains("nudged_link_quota_used{link=\"carrier\",period=\"day\"} 2\n"), "{metrics}");
    assert!(metrics.contains("nudged_link_quota_limit{link=\"carrier\",period=\"day\"} 2\n"), "{metrics}");
    assert_eq!(carrier.submits().len(), 2);
}
