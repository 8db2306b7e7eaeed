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

/// Everything that can stand against a text, in the order of the gates; each only adds to the others.
fn obstacles() -> Vec<(Gate, fn(&mut World))> {
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
fn revoked_consent_stops_even_where_none_is_asked() {
    let mut world = berlin();
    world.standing.add(&consent_event(ConsentKind::Revoked, "2026-03-01T00:00:00Z", None));
    assert_eq!(world.refusal(), "consent revoked");
    assert_eq!(world.then(), Then::Exit(ExitReason::OptedOut));
}

#[test]
fn base_is_8_to_20_and_no_sunday() {
    let base = world(alone("base"), "Europe/Berlin");
    assert_eq!(base.at("2026-03-10T06:59:59Z").then(), Then::Wait(at("2026-03-10T07:00:00Z")));
    assert!(base.at("2026-03-10T07:00:00Z").judge().is_ok());
    assert!(base.at("2026-03-10T18:55:00Z").judge().is_ok());
    let evening = base.at("2026-03-10T19:00:00Z");
    assert_eq!(evening.refusal(), "hours base hours");
    assert_eq!(evening.then(), Then::Wait(at("2026-03-11T07:00:00Z")));
    let saturday = base.at("2026-03-14T19:00:00Z");
    assert_eq!(saturday.then(), Then::Wait(at("2026-03-16T07:00:00Z")));
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
fn base_is_1_a_day_2_in_7_days_and_6_in_30() {
    let base = world(alone("base"), "Europe/Berlin");
    let one = base.clone().sent(&["2026-03-10T09:00:00Z"]);
    assert_eq!(
        (one.refusal(), one.then()),
        ("caps base 1/1d".to_owned(), Then::Wait(at("2026-03-11T07:00:00Z")))
    );
    let two = base.clone().sent(&["2026-03-04T18:00:00Z", "2026-03-05T18:00:00Z"]);
    assert_eq!(two.refusal(), "caps base 2/7d");
    assert_eq!(two.then(), Then::Wait(at("2026-03-11T18:00:00Z")));
    let days = ["02-12", "02-13", "02-20", "02-21", "02-28", "03-02"];
    let six = base.sent(&days.map(|day| format!("2026-{day}T12:00:00Z")).each_ref().map(String::as_str));
    assert_eq!(six.refusal(), "caps base 6/30d");
    assert_eq!(six.then(), Then::Wait(at("2026-03-14T12:00:00Z")));
}

#[test]
fn base_says_how_to_opt_out_in_the_first_and_every_third() {
    let base = alone("base");
    assert_eq!((1..=6).filter(|&n| base.needs_footer(n)).collect::<Vec<_>>(), [1, 3, 6]);
}

#[test]
fn reg_f_1006_6_b_1_no_text_before_8_or_after_21_at_the_consumers_place() {
    let fdcpa = world(alone("us-fdcpa"), "America/New_York").consented("2026-03-01T00:00:00Z");
    assert_eq!(fdcpa.at("2026-03-10T11:59:00Z").refusal(), "hours us-fdcpa hours");
    assert!(fdcpa.at("2026-03-10T12:00:00Z").judge().is_ok());
    assert_eq!(fdcpa.at("2026-03-11T01:00:00Z").refusal(), "hours us-fdcpa hours");
    assert_eq!(fdcpa.at("2026-03-10T12:00:00Z").until(), at("2026-03-11T01:00:00Z"));
}

#[test]
fn reg_f_comment_6_b_1_i_only_times_good_in_all_places() {
    let mut both = world(alone("us-fdcpa"), "America/New_York").consented("2026-03-01T00:00:00Z");
    both.zones = zones(&["America/New_York", "America/Los_Angeles"]);
    assert_eq!(
        both.at("2026-03-10T14:59:00Z").then(),
        Then::Wait(at("2026-03-10T15:00:00Z")),
        "11:00 Eastern"
    );
    assert_eq!(both.at("2026-03-10T15:00:00Z").until(), at("2026-03-11T01:00:00Z"), "21:00 Eastern");
}

#[test]
fn reg_f_1006_6_b_2_no_text_to_whoever_has_an_attorney() {
    let world = World { has_attorney: true, ..collector().consented("2026-03-01T00:00:00Z") };
    assert_eq!(world.refusal(), "hold us-fdcpa attorney");
    assert!(World { has_attorney: true, ..berlin() }.judge().is_ok(), "no pack of the place says so");
}

#[test]
fn reg_f_1006_6_d_5_consent_is_proven_and_fresh_within_60_days() {
    assert_eq!(collector().refusal(), "consent us-fdcpa consent");
    let mut bare = collector();
    bare.standing.add(&consent_event(ConsentKind::Imported, "2026-03-01T00:00:00Z", None));
    assert_eq!(bare.refusal(), "consent us-fdcpa proof");
    let old = collector().consented("2026-01-09T15:59:59Z");
    assert_eq!(old.refusal(), "consent us-fdcpa basis_age");
    assert!(collector().consented("2026-01-09T16:00:00Z").judge().is_ok());
    let texted = World { last_inbound: Some(at("2026-02-01T00:00:00Z")), ..old.clone() };
    assert!(texted.judge().is_ok(), "a text from the person renews it");
    let mut checked = old;
    checked.standing.add(&consent_event(ConsentKind::Checked, "2026-02-01T00:00:00Z", None));
    assert!(checked.judge().is_ok(), "a check of the number renews it");
    let only_texted = World { last_inbound: Some(at("2026-03-09T00:00:00Z")), ..collector() };
    assert_eq!(only_texted.refusal(), "consent us-fdcpa consent");
}

#[test]
fn reg_f_1006_6_e_every_text_says_how_to_opt_out() {
    assert!((1..=9).all(|number| collector().rules.needs_footer(number)));
}

#[test]
fn reg_f_1006_14_a_no_more_than_1_a_day_and_2_in_7_days() {
    let caps: Vec<String> = alone("us-fdcpa").caps().map(|(_, cap)| cap.to_string()).collect();
    assert_eq!(caps, ["1/1d", "2/7d"]);
}

#[test]
fn reg_f_1006_18_e_the_first_text_discloses_more_than_later_ones_and_in_its_own_language() {
    let rules = collector().rules;
    let say = |language: &str, number| rules.disclosures(&Language::parse(language).unwrap(), number);
    let first = say("en-US", 1).unwrap().concat();
    assert!(first.contains("attempt to collect a debt") && first.contains("used for that purpose"));
    assert_eq!(say("en", 2).unwrap(), ["This is from a debt collector."]);
    assert!(say("es", 2).unwrap()[0].contains("cobrador"));
    let breach = say("pl", 2).unwrap_err();
    assert_eq!((breach.pack.as_str(), breach.rule.to_string().as_str()), ("us-fdcpa", "disclosure"));
    assert_eq!(rules.demands(Duty::OwnLanguage).map(Key::as_str), Some("us-fdcpa"));
    assert_eq!(berlin().rules.disclosures(&Language::parse("de").unwrap(), 1).unwrap(), [""; 0]);
}

#[test]
fn reg_f_1006_100_evidence_is_kept_3_years() {
    assert_eq!(collector().rules.retention().map(|days| days.get()), Some(1_096));
}

#[test]
fn a_text_without_its_disclosure_needs_a_person() {
    let world = collector();
    let breach = world.rules.disclosures(&Language::parse("pl").unwrap(), 1).unwrap_err();
    let refusal = disclosure(&breach);
    assert_eq!(refusal.to_string(), "consent us-fdcpa disclosure");
    assert_eq!(refusal.then, Then::NeedsPerson(kind::RENDER));
    assert_eq!((never().to_string(), never().then), ("sequence not_enrolled".to_owned(), Then::Stay));
}

#[test]
fn carriers_refuse_collectors_on_a2p_and_toll_free_routes() {
    let free = collector().consented("2026-03-01T00:00:00Z");
    for class in ["us_a2p", "us_toll_free"] {
        let world = World { route_classes: vec!["us_p2p", class], ..free.clone() };
        assert_eq!(world.refusal(), "route us-fdcpa route");
    }
    assert!(World { route_classes: vec!["us_p2p"], ..free }.judge().is_ok());
    let mut own = world(rules(SenderRole::FirstParty, "US", Some("NY")), "America/New_York");
    own.route_classes = vec!["us_a2p"];
    assert!(own.consented("2026-03-01T00:00:00Z").judge().is_ok(), "a firm's own claims may");
}

#[test]
fn us_first_party_wants_a_yes_and_the_opt_out_in_every_text() {
    let own = world(rules(SenderRole::FirstParty, "US", Some("NY")), "America/New_York");
    assert_eq!(own.refusal(), "consent us-first-party consent");
    let mut bare = own.clone();
    bare.standing.add(&consent_event(ConsentKind::Imported, "2020-03-01T00:00:00Z", None));
    assert!(bare.judge().is_ok(), "it asks for no proof and no age");
    assert!((1..=9).all(|number| own.rules.needs_footer(number)));
    let alone = world(alone("us-first-party"), "America/New_York").consented("2026-03-01T00:00:00Z");
    assert_eq!(alone.until(), at("2026-03-11T01:00:00Z"), "8-21 by itself");
}

#[test]
fn florida_559_72_17_none_from_21_to_8_and_nothing_arrives_later() {
    let florida = world(alone("us-fl"), "America/New_York");
    assert_eq!(florida.until(), at("2026-03-11T01:00:00Z"));
    assert_eq!(florida.at("2026-03-11T01:00:00Z").refusal(), "hours us-fl hours");
    let pack = Pack { hours: None, ..(*catalog()["us-fl"]).clone() };
    let arrival = world(Rules::of(vec![Arc::new(pack)]), "America/New_York");
    assert_eq!(arrival.until(), at("2026-03-11T01:00:00Z"), "validity ends at 21:00 whatever the hours are");
    assert_eq!(arrival.at("2026-03-11T01:00:00Z").refusal(), "hours us-fl validity_ends");
    let both = world(rules(SenderRole::FirstParty, "US", Some("FL")), "America/New_York");
    assert_eq!(
        both.consented("2026-03-01T00:00:00Z").until(),
        at("2026-03-11T00:00:00Z"),
        "base is narrower"
    );
}

#[test]
fn massachusetts_940_cmr_7_04_1_f_2_in_7_days_over_all_creditors_also_for_their_own_claims() {
    let own = world(rules(SenderRole::FirstParty, "US", Some("MA")), "America/New_York");
    assert!(own.rules.packs().any(|pack| pack.as_str() == "us-ma"));
    let alone = world(alone("us-ma"), "America/New_York");
    let two = alone.sent(&["2026-03-04T17:00:00Z", "2026-03-10T15:00:00Z"]);
    assert_eq!(
        (two.refusal(), two.then()),
        ("caps us-ma 2/7d".to_owned(), Then::Wait(at("2026-03-11T17:00:00Z")))
    );
}

#[test]
fn massachusetts_940_cmr_7_05_3_e_8_to_21() {
    let world = world(alone("us-ma"), "America/New_York");
    assert_eq!(world.at("2026-03-10T11:59:00Z").refusal(), "hours us-ma hours");
    assert_eq!(world.until(), at("2026-03-11T01:00:00Z"));
}

#[test]
fn washington_rcw_19_16_3_a_week_and_7_30_to_21() {
    let washington = world(alone("us-wa"), "America/Los_Angeles");
    assert_eq!(washington.at("2026-03-10T14:29:00Z").refusal(), "hours us-wa hours");
    assert_eq!(washington.at("2026-03-10T14:30:00Z").until(), at("2026-03-11T04:00:00Z"));
    let three = ["2026-03-04T17:00:00Z", "2026-03-06T17:00:00Z", "2026-03-08T17:00:00Z"];
    let three = washington.sent(&three);
    assert_eq!(
        (three.refusal(), three.then()),
        ("caps us-wa 3/7d".to_owned(), Then::Wait(at("2026-03-11T17:00:00Z")))
    );
}

#[test]
fn conc_7_9_no_unreasonable_times_and_wishes_are_heeded() {
    let mut london = world(rules(SenderRole::FirstParty, "GB", None), "Europe/London");
    assert!(london.rules.packs().any(|pack| pack.as_str() == "uk-conc"));
    assert_eq!(london.at("2026-04-03T12:00:00Z").refusal(), "hours uk-conc holiday");
    london.wishes = Some(WeekHours::wish(Some(Time::constant(18, 0, 0, 0)), None, &[]).unwrap());
    assert_eq!(
        (london.refusal(), london.then()),
        ("wishes wishes".to_owned(), Then::Wait(at("2026-03-10T18:00:00Z")))
    );
}

#[test]
fn germany_is_closed_on_sundays_and_holidays_and_keeps_names() {
    let good_friday = berlin().at("2026-04-03T10:00:00Z");
    assert_eq!(good_friday.refusal(), "hours de holiday");
    assert_eq!(good_friday.then(), Then::Wait(at("2026-04-04T06:00:00Z")));
    let saturday = berlin().at("2026-04-04T18:30:00Z");
    assert_eq!(saturday.then(), Then::Wait(at("2026-04-07T06:00:00Z")), "over Sunday and Easter Monday");
    assert_eq!(berlin().rules.demands(Duty::KeepNames).map(Key::as_str), Some("de"));
    let vietnam = world(rules(SenderRole::FirstParty, "VN", None), "Asia/Ho_Chi_Minh");
    assert!(vietnam.at("2026-04-03T05:00:00Z").judge().is_ok(), "base knows no holidays");
}

#[test]
fn rdg_13a_collectors_write_a_letter_first() {
    let collector = world(rules(SenderRole::ThirdParty, "DE", None), "Europe/Berlin");
    assert_eq!(collector.refusal(), "consent de-inkasso initial_notice");
    assert_eq!(collector.then(), Then::NeedsPerson(kind::CONSENT));
    let noticed = World { initial_notice: Some(at("2026-03-01T00:00:00Z")), ..collector.clone() };
    assert!(noticed.judge().is_ok());
    let announced = World { initial_notice: Some(at("2026-03-11T00:00:00Z")), ..collector };
    assert_eq!(announced.refusal(), "consent de-inkasso initial_notice", "a letter of tomorrow");
}

#[test]
fn gdpr_6_1_b_and_f_european_reminders_need_no_consent() {
    for (country, zone, pack) in
        [("FR", "Europe/Paris", "eu"), ("IT", "Europe/Rome", "it"), ("DE", "Europe/Berlin", "de")]
    {
        let world = world(rules(SenderRole::FirstParty, country, None), zone);
        assert!(world.rules.packs().any(|own| own.as_str() == pack));
        assert!(world.rules.packs().any(|own| own.as_str() == "eu"));
        assert!(world.judge().is_ok(), "{country}");
    }
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

const ZONES: [&str; 6] = [
    "Europe/Berlin",
    "America/New_York",
    "America/Los_Angeles",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
];

/// Mostly wide, so that some hours are left when several meet.
fn any_hours() -> impl Strategy<Value = WeekHours> {
    let day = (0..12_i8, 14..24_i8, 0..6_u8).prop_map(|(from, to, open)| {
        let (from, to) = (Time::constant(from, 0, 0, 0), Time::constant(to, 30, 0, 0));
        DayHours::new(from, to).ok().filter(|_| open > 0)
    });
    proptest::collection::vec(day, 7).prop_map(|days| {
        let week = Weekday::Monday.cycle_forward().take(7).zip(days);
        week.fold(WeekHours::CLOSED, |week, (day, hours)| week.with(day, hours))
    })
}

fn seldom() -> impl Strategy<Value = bool> {
    proptest::bool::weighted(0.1)
}

fn any_pack() -> impl Strategy<Value = Pack> {
    use ConsentRule::{Any, None, Proof};
    let base = (*catalog()["base"]).clone();
    let consent = proptest::sample::select(vec![None, None, None, Any, Proof]);
    let caps = proptest::collection::vec((1..4_u8, 1..31_u8), 0..3);
    let ends = proptest::option::weighted(0.3, 16..24_i8);
    let rest = (proptest::option::weighted(0.1, 1..90_u16), [any::<bool>(); 1], [(); 3].map(|()| seldom()));
    (proptest::option::of(any_hours()), consent, caps, (1..6_u8, ends), rest).prop_map(
        move |(hours, consent, caps, (every, ends), (age, [holidays], [attorney, notice, route]))| {
            let duties = [
                (holidays, Duty::ClosedOnHolidays),
                (attorney, Duty::AttorneyHalt),
                (notice, Duty::InitialNotice),
            ];
            let cap =
                |(max, days)| Cap::new(max, if days == 1 { Per::Day } else { Per::Days(days) }).unwrap();
            Pack {
                key: Key::parse("made").unwrap(),
                hours,
                validity_ends: ends.map(|hour| format!("{hour}:15").try_into().unwrap()),
                caps: caps.into_iter().map(cap).collect(),
                footer: Some(if every == 1 { Footer::Always } else { Footer::FirstAndEvery(every) }),
                consent,
                basis_max_age: age.map(|days| format!("{days}d").try_into().unwrap()),
                duties: duties.into_iter().filter(|(is, _)| *is).map(|(_, duty)| duty).collect(),
                forbidden_routes: if route { vec![Key::parse("us_a2p").unwrap()] } else { Vec::new() },
                ..base.clone()
            }
        },
    )
}

fn any_world() -> impl Strategy<Value = World> {
    let places = proptest::sample::subsequence(ZONES.to_vec(), 1..=2);
    let packs = proptest::collection::vec(any_pack(), 1..3);
    let minutes = (0..60 * 24 * 90_u64, proptest::collection::vec(0..60 * 24 * 90_u64, 0..4));
    let known = (any::<bool>(), any::<bool>(), any::<bool>(), proptest::bool::weighted(0.9));
    let more =
        (proptest::option::weighted(0.3, any_hours()), known, 0..20_u64, proptest::option::of(0..9_u64));
    (places, packs, minutes, more).prop_map(|(places, packs, (now, sent), (wishes, known, grace, quota))| {
        let zero = at("2026-02-10T00:00:00Z");
        let minute = |n: u64| zero.saturating_add(Duration::from_secs(60 * n));
        let mut world = world(Rules::of(packs.into_iter().map(Arc::new).collect()), places[0]);
        let (attorney, notice, route, consent) = known;
        world.zones = zones(&places);
        world.now = minute(now);
        world.step = StepWindow { from: zero, until: world.now.saturating_add(DAY * grace as u32) };
        world.wishes = wishes;
        world.has_attorney = attorney;
        world.initial_notice = notice.then_some(zero);
        world.route_classes = if route { vec!["us_a2p"] } else { Vec::new() };
        world.quota_until = quota.map(|days| zero.saturating_add(DAY * (10 * days) as u32));
        sent.into_iter().for_each(|n| world.ledger.add(minute(n)));
        if consent { world.consented("2026-02-01T00:00:00Z") } else { world }
    })
}

/// All of a stretch lies in one day's hours of each zone.
fn lies_in(hours: &WeekHours, zones: &ZoneSet, from: Timestamp, until: Timestamp) -> bool {
    zones.zones().iter().all(|zone| {
        let (first, last) = (zone.local(from), zone.local(until.saturating_sub(Duration::from_millis(1))));
        let day = hours.on(first.weekday());
        first.date() == last.date()
            && day.is_some_and(|day| day.holds(first.time()) && day.holds(last.time()))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn nothing_is_cleared_outside_the_hours_of_any_pack_or_zone_or_wish(world in any_world()) {
        let Ok(clear) = world.judge() else { return Ok(()) };
        prop_assert!(clear.until > world.now && clear.until <= world.step.until);
        for pack in world.rules.all() {
            for hours in pack.hours.iter().copied().chain(pack.validity_ends.map(|ends| ends.hours())) {
                prop_assert!(lies_in(&hours, &world.zones, world.now, clear.until), "{hours:?}");
            }
            for zone in world.zones.zones().iter().filter(|_| pack.has(Duty::ClosedOnHolidays)) {
                prop_assert!(!is_holiday(zone.local(world.now).date()));
            }
        }
        if let Some(wishes) = &world.wishes {
            prop_assert!(lies_in(wishes, &world.zones, world.now, clear.until));
        }
    }

    #[test]
    fn a_further_pack_never_allows_what_was_refused(world in any_world(), pack in any_pack(), number in 1..20_u32) {
        let packs = world.rules.all().cloned().chain([Arc::new(pack)]).collect();
        let tighter = World { rules: Rules::of(packs), ..world.clone() };
        if let Ok(clear) = tighter.judge() {
            let wider = world.judge();
            prop_assert!(wider.as_ref().is_ok_and(|wider| wider.until >= clear.until), "{wider:?}");
        }
        prop_assert!(tighter.rules.needs_footer(number) >= world.rules.needs_footer(number));
        for duty in [Duty::ClosedOnHolidays, Duty::AttorneyHalt, Duty::InitialNotice] {
            prop_assert!(tighter.rules.demands(duty).is_some() >= world.rules.demands(duty).is_some());
        }
    }

    #[test]
    fn when_a_gate_says_when_it_is_right(world in any_world()) {
        let Err(refusal) = world.judge() else { return Ok(()) };
        let Then::Wait(next) = refusal.then else { return Ok(()) };
        prop_assert!(next > world.now);
        if let Err(again) = (World { now: next, ..world }).judge() {
            prop_assert!(again.gate != refusal.gate, "{again}");
            let hours = matches!(again.gate, Gate::Hours | Gate::Wishes);
            let never = again.then == Then::NeedsPerson(kind::NEEDS_ZONE);
            prop_assert!(!hours || never || refusal.gate < Gate::Hours, "{refusal}, then {again}");
        }
    }
}
