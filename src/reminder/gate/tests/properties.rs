//! What holds of any packs, zones, wishes and ledgers.

use super::*;

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
