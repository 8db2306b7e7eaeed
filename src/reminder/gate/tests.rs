//! The gates by themselves: their order, their words, what becomes of a step; `law` goes through the shipped packs,
//! `properties` asks made-up ones.

mod law;
mod properties;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::{Time, Weekday, date};
use proptest::prelude::*;

use super::*;
use crate::reminder::caps::{Cap, Per};
use crate::reminder::consent::{Actor, ConsentEvent, ConsentKind};
use crate::reminder::creditor::SenderRole;
use crate::reminder::enrolment::PauseReason;
use crate::reminder::hours::DayHours;
use crate::reminder::name::{Country, Language};
use crate::reminder::pack::{ConsentRule, Footer, Pack, Residence};
use crate::reminder::rules::NoRules;
use crate::reminder::zone::Zone;

const DAY: Duration = Duration::from_secs(86_400);

/// Owned facts; a text that may go at noon of a Tuesday, unless a test says otherwise.
#[derive(Clone, Debug)]
struct World {
    now: Timestamp,
    aim: Aim,
    step: StepWindow,
    is_suppressed: bool,
    is_held: bool,
    number: NumberState,
    has_attorney: bool,
    status: ObligationStatus,
    is_owed: bool,
    enrolment: EnrolmentState,
    standing: Standing,
    last_inbound: Option<Timestamp>,
    initial_notice: Option<Timestamp>,
    rules: Rules,
    zones: ZoneSet,
    wishes: Option<WeekHours>,
    ledger: Ledger,
    quota_until: Option<Timestamp>,
    route_classes: Vec<&'static str>,
}

impl World {
    fn judge(&self) -> Result<Clearance, Refusal> {
        judge(&Facts {
            now: self.now,
            aim: self.aim,
            step: self.step,
            is_suppressed: self.is_suppressed,
            is_held: self.is_held,
            number: self.number,
            has_attorney: self.has_attorney,
            status: self.status,
            is_owed: self.is_owed,
            enrolment: &self.enrolment,
            standing: &self.standing,
            last_inbound: self.last_inbound,
            initial_notice: self.initial_notice,
            rules: &self.rules,
            zones: &self.zones,
            is_holiday: &is_holiday,
            wishes: self.wishes.as_ref(),
            ledger: &self.ledger,
            quota_until: self.quota_until,
            route_classes: &self.route_classes,
        })
    }

    fn at(&self, text: &str) -> World {
        World { now: at(text), ..self.clone() }
    }

    /// Gate, pack and rule of the refusal.
    fn refusal(&self) -> String {
        self.judge().unwrap_err().to_string()
    }

    fn then(&self) -> Then {
        self.judge().unwrap_err().then
    }

    fn until(&self) -> Timestamp {
        self.judge().unwrap().until
    }

    /// Consent with proof, checked at an instant.
    fn consented(mut self, when: &str) -> World {
        self.standing.add(&consent_event(ConsentKind::Given, when, Some("form 7")));
        self
    }

    fn sent(mut self, times: &[&str]) -> World {
        times.iter().for_each(|time| self.ledger.add(at(time)));
        self
    }
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

/// Good Friday and Easter Monday.
fn is_holiday(day: Date) -> bool {
    [date(2026, 4, 3), date(2026, 4, 6)].contains(&day)
}

fn zones(names: &[&str]) -> ZoneSet {
    ZoneSet::new(names.iter().map(|name| Zone::parse(name).unwrap())).unwrap()
}

fn consent_event(kind: ConsentKind, when: &str, evidence: Option<&str>) -> ConsentEvent {
    ConsentEvent {
        kind,
        at: at(when),
        channel: None,
        wording: None,
        evidence: evidence.map(str::to_owned),
        actor: Actor::Contact,
    }
}

fn catalog() -> BTreeMap<Key, Arc<Pack>> {
    Pack::shipped().unwrap().into_iter().map(|pack| (pack.key.clone(), Arc::new(pack))).collect()
}

fn rules(role: SenderRole, country: &str, region: Option<&str>) -> Rules {
    let country = Country::parse(country).unwrap();
    Rules::choose(&catalog(), &[], role, Residence { country: Some(&country), region }).unwrap()
}

/// One shipped pack without base, to see what it says itself.
fn alone(key: &str) -> Rules {
    Rules::of(vec![catalog()[key].clone()])
}

fn world(rules: Rules, zone: &str) -> World {
    let from = at("2026-03-01T00:00:00Z");
    World {
        now: at("2026-03-10T16:00:00Z"),
        aim: Aim::Reminder,
        step: StepWindow { from, until: from.saturating_add(DAY * 60) },
        is_suppressed: false,
        is_held: false,
        number: NumberState::Usable,
        has_attorney: false,
        status: ObligationStatus::Open,
        is_owed: true,
        enrolment: EnrolmentState::Active,
        standing: Standing::default(),
        last_inbound: None,
        initial_notice: None,
        rules,
        zones: zones(&[zone]),
        wishes: None,
        ledger: Ledger::default(),
        quota_until: None,
        route_classes: Vec::new(),
    }
}

fn berlin() -> World {
    world(rules(SenderRole::FirstParty, "DE", None), "Europe/Berlin")
}

fn collector() -> World {
    world(rules(SenderRole::ThirdParty, "US", Some("NY")), "America/New_York")
}

#[test]
fn what_nothing_stands_against_may_go_until_the_hours_close() {
    assert_eq!(berlin().until(), at("2026-03-10T19:00:00Z"));
    let mut brief = berlin();
    brief.step.until = at("2026-03-10T17:00:00Z");
    assert_eq!(brief.until(), at("2026-03-10T17:00:00Z"), "or the step is over");
}

type Change = fn(&mut World);

/// Everything that can stand against a text, in the order of the gates; each only adds to the others.
fn obstacles() -> Vec<(Gate, Change)> {
    vec![
        (Gate::Suppression, |w| w.is_suppressed = true),
        (Gate::Hold, |w| w.is_held = true),
        (Gate::Paid, |w| w.is_owed = false),
        (Gate::Obligation, |w| w.status = ObligationStatus::Disputed),
        (Gate::Sequence, |w| {
            w.enrolment = EnrolmentState::Paused { reason: PauseReason::Manual, until: None };
        }),
        (Gate::Consent, |w| w.standing = Standing::default()),
        (Gate::Hours, |w| w.now = at("2026-03-11T02:00:00Z")),
        (Gate::Wishes, |w| w.wishes = Some(WeekHours::of(&[Weekday::Friday], DayHours::ALL_DAY))),
        (Gate::Caps, |w| w.ledger.add(at("2026-03-10T20:00:00Z"))),
        (Gate::Quota, |w| w.quota_until = Some(at("2026-04-20T00:00:00Z"))),
        (Gate::Route, |w| w.route_classes = vec!["us_a2p"]),
    ]
}

#[test]
fn of_two_reasons_the_earlier_gate_is_named() {
    let free = collector().consented("2026-03-01T00:00:00Z");
    assert!(free.judge().is_ok());
    let obstacles = obstacles();
    assert_eq!(obstacles.iter().map(|(gate, _)| *gate).collect::<Vec<_>>(), Gate::ALL);
    for (i, (first, one)) in obstacles.iter().enumerate() {
        for (_, other) in &obstacles[i..] {
            let mut world = free.clone();
            one(&mut world);
            other(&mut world);
            assert_eq!(world.judge().unwrap_err().gate, *first);
        }
    }
}

#[test]
fn words_and_codes_are_stable_and_each_their_own() {
    for gate in Gate::ALL {
        assert_eq!(serde_json::to_string(&gate).unwrap(), format!("\"{}\"", gate.as_str()));
        assert!(gate.code().starts_with("policy.") && gate.sentence().ends_with('.'));
    }
    let codes: std::collections::BTreeSet<_> = Gate::ALL.iter().map(|gate| gate.code()).collect();
    assert_eq!(codes.len(), Gate::ALL.len());
    let suppressed = World { is_suppressed: true, ..berlin() }.judge().unwrap_err();
    assert_eq!(suppressed.code(), crate::message::Reason::PolicyOptedOut.code());
}

#[test]
fn what_stops_a_text_says_what_becomes_of_its_step() {
    use ExitReason::{Attorney, Canceled, HandedOver, InvalidNumber, OptedOut, Paid, WrongNumber};
    let on = |change: fn(&mut World)| {
        let mut world = collector().consented("2026-03-01T00:00:00Z");
        change(&mut world);
        world.then()
    };
    assert_eq!(on(|w| w.is_suppressed = true), Then::Exit(OptedOut));
    assert_eq!(on(|w| w.is_held = true), Then::NeedsPerson(kind::REVIEW));
    assert_eq!(on(|w| w.number = NumberState::Wrong), Then::Exit(WrongNumber));
    assert_eq!(on(|w| w.number = NumberState::Dead), Then::Exit(InvalidNumber));
    assert_eq!(on(|w| w.has_attorney = true), Then::Exit(Attorney));
    assert_eq!(on(|w| w.is_owed = false), Then::Exit(Paid));
    assert_eq!(on(|w| w.status = ObligationStatus::Paid), Then::Exit(Paid));
    assert_eq!(on(|w| w.status = ObligationStatus::Disputed), Then::NeedsPerson(kind::DISPUTE));
    assert_eq!(on(|w| w.status = ObligationStatus::InPlan), Then::Stay);
    assert_eq!(on(|w| w.status = ObligationStatus::HandedOver), Then::Exit(HandedOver));
    assert_eq!(on(|w| w.status = ObligationStatus::Canceled), Then::Exit(Canceled));
    assert_eq!(on(|w| w.status = ObligationStatus::WrittenOff), Then::Exit(Canceled));
    assert_eq!(on(|w| w.standing = Standing::default()), Then::NeedsPerson(kind::CONSENT));
    assert_eq!(on(|w| w.route_classes = vec!["us_a2p"]), Then::NeedsPerson(kind::ROUTE));
}

#[test]
fn a_sequence_lets_by_what_is_due_and_not_over() {
    let state = |enrolment| World { enrolment, ..berlin() };
    let now = berlin().now;
    let later = now.saturating_add(DAY);
    let pause = |until| EnrolmentState::Paused { reason: PauseReason::Promise, until };
    assert_eq!(state(pause(Some(later))).then(), Then::Wait(later));
    assert!(state(pause(Some(now))).judge().is_ok(), "at its end a pause is over");
    assert_eq!(state(pause(None)).then(), Then::Stay);
    assert_eq!(state(pause(None)).refusal(), "sequence promise");
    assert_eq!(state(EnrolmentState::Completed { at: now }).then(), Then::Skip);
    let exited = EnrolmentState::Exited { reason: ExitReason::Deceased, at: now };
    assert_eq!(state(exited).then(), Then::Exit(ExitReason::Deceased));
    let mut early = berlin();
    early.step.from = later;
    assert_eq!((early.refusal(), early.then()), ("sequence not_due".to_owned(), Then::Wait(later)));
    let mut late = berlin();
    late.step.until = late.now.saturating_add(SHORTEST);
    assert!(late.judge().is_ok());
    late.step.until = late.step.until.saturating_sub(Duration::from_millis(1));
    assert_eq!((late.refusal(), late.then()), ("sequence stale".to_owned(), Then::Skip));
}

#[test]
fn a_confirmation_passes_what_is_over_because_it_is_paid_and_nothing_else() {
    let paid = World {
        aim: Aim::Confirmation,
        status: ObligationStatus::Paid,
        is_owed: false,
        enrolment: EnrolmentState::Exited { reason: ExitReason::Paid, at: berlin().now },
        ..berlin()
    };
    assert!(paid.judge().is_ok());
    let reminder = World { aim: Aim::Reminder, ..paid.clone() };
    assert_eq!(reminder.refusal(), "paid paid");
    let wrong = EnrolmentState::Exited { reason: ExitReason::WrongNumber, at: berlin().now };
    assert_eq!(World { enrolment: wrong, ..paid.clone() }.refusal(), "sequence wrong_number");
    assert_eq!(World { is_suppressed: true, ..paid.clone() }.refusal(), "suppression opted_out");
    assert_eq!(paid.at("2026-03-10T23:00:00Z").refusal(), "hours base hours");
}

#[test]
fn an_answer_passes_sequence_and_caps_and_no_other_gate() {
    let over = EnrolmentState::Exited { reason: ExitReason::Canceled, at: berlin().now };
    let mut answer = World { aim: Aim::Answer, enrolment: over, ..berlin() };
    for hour in 8..12 {
        answer.ledger.add(at(&format!("2026-03-10T{hour:02}:00:00Z")));
    }
    assert!(answer.judge().is_ok());
    assert_eq!(World { aim: Aim::Reminder, ..answer.clone() }.refusal(), "sequence canceled");
    assert_eq!(World { is_owed: false, ..answer.clone() }.refusal(), "paid paid");
    assert_eq!(World { is_held: true, ..answer.clone() }.refusal(), "hold held");
    assert_eq!(
        World { status: ObligationStatus::Disputed, ..answer.clone() }.refusal(),
        "obligation disputed"
    );
    assert_eq!(answer.at("2026-03-10T23:00:00Z").refusal(), "hours base hours");
}

#[test]
fn revoked_consent_stops_even_where_none_is_asked() {
    let mut world = berlin();
    world.standing.add(&consent_event(ConsentKind::Revoked, "2026-03-01T00:00:00Z", None));
    assert_eq!(world.refusal(), "consent revoked");
    assert_eq!(world.then(), Then::Exit(ExitReason::OptedOut));
}

#[test]
fn a_text_that_could_not_be_bounded_waits_for_the_morning() {
    let late = berlin().at("2026-03-10T18:55:00.001Z");
    assert_eq!(
        (late.refusal(), late.then()),
        ("hours base hours".to_owned(), Then::Wait(at("2026-03-11T07:00:00Z")))
    );
}

#[test]
fn packs_are_those_named_those_that_fit_and_always_base() {
    let named = |keys: &[&str]| {
        let keys: Vec<Key> = keys.iter().map(|key| Key::parse(key).unwrap()).collect();
        let country = Country::parse("FR").unwrap();
        let home = Residence { country: Some(&country), region: None };
        let rules = Rules::choose(&catalog(), &keys, SenderRole::FirstParty, home)?;
        Ok::<_, NoRules>(rules.packs().map(Key::to_string).collect::<Vec<_>>())
    };
    assert_eq!(named(&[]).unwrap(), ["base", "eu"]);
    assert_eq!(named(&["us-ma", "eu"]).unwrap(), ["base", "eu", "us-ma"]);
    assert_eq!(named(&["us-xy"]), Err(NoRules::Unknown(Key::parse("us-xy").unwrap())));
    let mut catalog = catalog();
    catalog.remove("base");
    let none = Rules::choose(&catalog, &[], SenderRole::FirstParty, Residence::default());
    assert_eq!(none.unwrap_err(), NoRules::NoBase);
}

#[test]
fn no_common_hour_is_a_task_and_never_a_text() {
    let mut apart = berlin();
    apart.zones = zones(&["Europe/Berlin", "Pacific/Auckland"]);
    assert_eq!(apart.then(), Then::NeedsPerson(kind::NEEDS_ZONE));
    assert_eq!(apart.refusal(), "hours base hours");
    let mut sundays = berlin();
    sundays.wishes = Some(WeekHours::of(&[Weekday::Sunday], DayHours::ALL_DAY));
    assert_eq!(
        (sundays.refusal(), sundays.then()),
        ("wishes wishes".to_owned(), Then::NeedsPerson(kind::NEEDS_ZONE))
    );
}

#[test]
fn a_step_whose_grace_ends_before_the_next_chance_is_over() {
    let mut night = berlin().at("2026-03-10T22:00:00Z");
    night.step.until = at("2026-03-11T06:00:00Z");
    assert_eq!((night.refusal(), night.then()), ("hours base hours".to_owned(), Then::Skip));
    let mut capped = berlin().sent(&["2026-03-10T09:00:00Z"]);
    capped.step.until = at("2026-03-10T22:00:00Z");
    assert_eq!((capped.refusal(), capped.then()), ("caps base 1/1d".to_owned(), Then::Skip));
}

#[test]
fn full_quotas_wait_for_an_open_hour() {
    let until = at("2026-03-10T23:00:00Z");
    let full = World { quota_until: Some(until), ..berlin() };
    assert_eq!(
        (full.refusal(), full.then()),
        ("quota quota".to_owned(), Then::Wait(at("2026-03-11T07:00:00Z")))
    );
    assert!(World { quota_until: Some(full.now), ..full }.judge().is_ok());
}
