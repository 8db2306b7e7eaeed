//! Windows of steps: slots in sets of zones, closed days, changes of clocks, grace, validity.

use jiff::civil::date;
use proptest::prelude::*;

use super::*;
use crate::reminder::hours::DayHours;
use crate::reminder::zone::Zone;

/// The digest that gives no jitter.
const FIRST: [u8; 16] = [0; 16];
/// The one that gives the most.
const LAST: [u8; 16] = [0xff; 16];

fn set(names: &[&str]) -> ZoneSet {
    ZoneSet::new(names.iter().map(|name| Zone::parse(name).unwrap())).unwrap()
}

fn daily(from: &str, to: &str) -> WeekHours {
    WeekHours::daily(DayHours::parse(from, to).unwrap())
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

fn step<'a>(due: Date, offset: &str, slot: &str) -> StepTiming<'a> {
    let grace = Term::parse("2d").unwrap();
    StepTiming {
        due,
        offset: Offset::parse(offset).unwrap(),
        slot: Slot::parse(slot).unwrap(),
        grace,
        calendar: None,
    }
}

fn opens(step: &StepTiming, zones: &[&str]) -> String {
    let window = step_window(step, &set(zones), &daily("08:00", "20:00"), &FIRST).unwrap();
    window.opens.to_rfc3339().replace(":00.000Z", "Z")
}

fn calendar(sends: &str) -> Calendar {
    let text = format!(
        "key = \"x\"\nsends = \"{sends}\"\nholidays = [{{ date = \"2026-04-03\", name = \"a\" }}, {{ date = \"2026-04-06\", name = \"b\" }}]"
    );
    toml::from_str(&text).unwrap()
}

#[test]
fn a_step_lies_at_its_local_slot_whatever_the_clocks_do() {
    let berlin = ["Europe/Berlin"];
    for (due, expected) in [
        (date(2026, 3, 28), "2026-03-28T09:00Z"),
        (date(2026, 3, 29), "2026-03-29T08:00Z"),
        (date(2026, 10, 24), "2026-10-24T08:00Z"),
        (date(2026, 10, 25), "2026-10-25T09:00Z"),
        (date(2027, 3, 28), "2027-03-28T08:00Z"),
    ] {
        assert_eq!(opens(&step(due, "0d", "10:00"), &berlin), expected);
    }
    let new_york = ["America/New_York"];
    assert_eq!(opens(&step(date(2026, 3, 15), "-7d", "10:00"), &new_york), "2026-03-08T14:00Z");
    assert_eq!(opens(&step(date(2026, 3, 5), "+3d", "evening"), &new_york), "2026-03-08T21:30Z");
    assert_eq!(opens(&step(date(2026, 11, 1), "0d", "10:00"), &new_york), "2026-11-01T15:00Z");
}

#[test]
fn a_slot_in_the_gap_is_the_first_instant_after_it_and_one_in_the_overlap_the_first() {
    for (due, slot, expected) in [
        (date(2026, 3, 8), "02:30", "2026-03-08T07:00:00.000Z"),
        (date(2026, 11, 1), "01:30", "2026-11-01T05:30:00.000Z"),
    ] {
        let found =
            step_window(&step(due, "0d", slot), &set(&["America/New_York"]), &WeekHours::ALWAYS, &FIRST)
                .unwrap();
        assert_eq!(found.opens.to_rfc3339(), expected);
    }
}

#[test]
fn the_slot_of_several_zones_is_the_latest_inside_the_common_opening() {
    let usa = ["America/New_York", "America/Los_Angeles"];
    let due = date(2026, 7, 15);
    assert_eq!(opens(&step(due, "0d", "10:00"), &usa), "2026-07-15T17:00Z", "ten in Los Angeles");
    assert_eq!(opens(&step(due, "0d", "08:00"), &usa), "2026-07-15T15:00Z");
    assert_eq!(
        opens(&step(due, "0d", "evening"), &usa),
        "2026-07-15T22:00Z",
        "two hours before New York closes"
    );
    let window =
        step_window(&step(due, "0d", "evening"), &set(&usa), &daily("08:00", "20:00"), &LAST).unwrap();
    assert_eq!(window.closes, at("2026-07-16T00:00:00Z"));
    assert!(window.opens < window.closes);
    assert_eq!(window.date, due);
}

#[test]
fn a_slot_outside_the_hours_moves_into_them() {
    let hours = daily("11:00", "12:00");
    let berlin = set(&["Europe/Berlin"]);
    for (slot, expected) in [
        ("morning", "10:00"),
        ("10:30", "10:00"),
        ("11:15", "10:15"),
        ("11:55", "10:40"),
        ("evening", "10:00"),
    ] {
        let found = step_window(&step(date(2026, 1, 15), "0d", slot), &berlin, &hours, &FIRST).unwrap();
        assert_eq!(found.opens, at(&format!("2026-01-15T{expected}:00Z")), "{slot}");
    }
}

#[test]
fn a_wide_set_keeps_the_date_of_its_last_zone() {
    let wide = set(&["Australia/Sydney", "America/Los_Angeles"]);
    let found = step_window(&step(date(2026, 1, 15), "0d", "08:00"), &wide, &daily("08:00", "20:00"), &FIRST)
        .unwrap();
    assert_eq!(
        found.opens,
        at("2026-01-15T21:00:00Z"),
        "13:00 of that day in Los Angeles, 8:00 of the next in Sydney"
    );
    assert_eq!(found.closes, at("2026-01-16T04:00:00Z"));
}

#[test]
fn a_step_moves_off_holidays_backwards_before_due_and_forwards_after() {
    let (holidays, business) = (calendar("no_holidays"), calendar("business_days"));
    let good_friday = date(2026, 4, 3);
    for (calendar, offset, expected) in [
        (&holidays, "-2d", date(2026, 4, 2)),
        (&holidays, "0d", date(2026, 4, 4)),
        (&business, "0d", date(2026, 4, 7)),
        (&business, "-1d", date(2026, 4, 2)),
        (&holidays, "+2d", date(2026, 4, 4)),
    ] {
        let days = Offset::parse(offset).unwrap();
        let Offset::Days(count) = days else { unreachable!() };
        let due = good_friday - jiff::Span::new().days(count);
        let timing = StepTiming { calendar: Some(calendar), ..step(due, offset, "10:00") };
        let found = step_window(&timing, &set(&["Europe/Berlin"]), &daily("08:00", "20:00"), &FIRST).unwrap();
        assert_eq!(found.date, expected, "{offset}");
    }
    let timing = StepTiming { calendar: Some(&business), ..step(date(2026, 4, 2), "+3bd", "10:00") };
    let found = step_window(&timing, &set(&["Europe/Berlin"]), &daily("08:00", "20:00"), &FIRST).unwrap();
    assert_eq!(found.date, date(2026, 4, 9));
}

#[test]
fn a_step_moves_off_days_without_hours_the_same_way() {
    let hours = daily("08:00", "20:00").with(jiff::civil::Weekday::Sunday, None);
    let sunday = date(2026, 6, 14);
    for (due, offset, expected) in
        [(sunday, "0d", date(2026, 6, 15)), (date(2026, 6, 16), "-2d", date(2026, 6, 13))]
    {
        let found =
            step_window(&step(due, offset, "10:00"), &set(&["Europe/Berlin"]), &hours, &FIRST).unwrap();
        assert_eq!(found.date, expected);
    }
}

#[test]
fn zones_without_a_common_hour_have_no_window() {
    let apart = set(&["Pacific/Auckland", "Europe/Lisbon"]);
    let found = step_window(&step(date(2026, 6, 1), "0d", "10:00"), &apart, &daily("09:00", "17:00"), &FIRST);
    assert_eq!(found, Err(NoWindow::NoCommonHour));
    let end = step_window(&step(Date::MAX, "+1d", "10:00"), &apart, &WeekHours::ALWAYS, &FIRST);
    assert_eq!(end, Err(NoWindow::NoDate));
}

#[test]
fn the_grace_counts_from_the_slot_and_bounds_the_jitter() {
    let berlin = set(&["Europe/Berlin"]);
    let hours = daily("08:00", "20:00");
    let timing = StepTiming { grace: Term::parse("30m").unwrap(), ..step(date(2026, 6, 1), "0d", "morning") };
    let found = step_window(&timing, &berlin, &hours, &LAST).unwrap();
    assert_eq!(found.stale_after, at("2026-06-01T07:30:00Z"));
    assert_eq!(found.opens, at("2026-06-01T07:19:59.999Z"), "and it leaves time to go");
    let two_days = step_window(&step(date(2026, 6, 1), "0d", "morning"), &berlin, &hours, &LAST).unwrap();
    assert_eq!(two_days.stale_after, at("2026-06-03T07:00:00Z"));
}

#[test]
fn validity_ends_with_whatever_ends_first() {
    let now = at("2026-06-01T10:00:00Z");
    let [window, next, stale] = ["18:00", "15:00", "20:00"].map(|t| at(&format!("2026-06-01T{t}:00Z")));
    assert_eq!(validity(now, window, None, stale), Some(window));
    assert_eq!(validity(now, window, Some(next), stale), Some(at("2026-06-01T14:00:00Z")));
    assert_eq!(validity(now, stale, None, window), Some(window));
    assert_eq!(validity(now, at("2026-06-01T10:05:00Z"), None, stale), Some(at("2026-06-01T10:05:00Z")));
    assert_eq!(validity(now, at("2026-06-01T10:04:59Z"), None, stale), None, "no network keeps to less");
    assert_eq!(validity(now, window, Some(now), stale), None);
}

#[test]
fn a_debt_is_overdue_when_its_day_is_over_everywhere() {
    let usa = set(&["America/New_York", "America/Los_Angeles"]);
    let due = date(2026, 7, 15);
    assert!(!is_overdue(&usa, due, at("2026-07-16T06:59:59Z")), "still the fifteenth in Los Angeles");
    assert!(is_overdue(&usa, due, at("2026-07-16T07:00:00Z")));
    assert_eq!(today(&usa, at("2026-07-16T06:00:00Z")), due);
}

#[test]
fn a_day_in_any_zone_is_one_day_for_caps() {
    let usa = set(&["America/New_York", "America/Los_Angeles"]);
    let (evening, later) = (at("2026-07-16T03:00:00Z"), at("2026-07-16T05:00:00Z"));
    assert!(is_same_day(&usa, evening, later), "both the fifteenth in Los Angeles");
    assert_eq!(next_day(&usa, evening), at("2026-07-16T07:00:00Z"));
    let new_york = set(&["America/New_York"]);
    assert!(!is_same_day(&new_york, evening, later));
    assert_eq!(next_day(&new_york, at("2026-11-01T12:00:00Z")), at("2026-11-02T05:00:00Z"));
}

proptest! {
    #[test]
    fn the_instant_stays_in_slot_and_opening_and_is_the_same_again(
        key in any::<[u8; 16]>(),
        due in 0i32..730,
        offset in -20i16..20,
        slot in prop_oneof!["morning", "evening", "[01][0-9]:[0-5][0-9]"],
        other in prop_oneof![Just("America/New_York"), Just("Europe/Berlin"), Just("Asia/Kolkata")],
    ) {
        let zones = set(&["Europe/Berlin", other]);
        let hours = daily("08:00", "20:00");
        let timing = StepTiming {
            offset: Offset::Days(offset),
            ..step(date(2026, 1, 1) + jiff::Span::new().days(due), "0d", &slot)
        };
        let found = step_window(&timing, &zones, &hours, &key).unwrap();
        prop_assert_eq!(step_window(&timing, &zones, &hours, &key), Ok(found));
        let begins = step_window(&timing, &zones, &hours, &FIRST).unwrap().opens;
        prop_assert!(begins <= found.opens && found.opens < begins.saturating_add(timing.slot.span()));
        prop_assert!(found.opens < found.closes && found.opens < found.stale_after);
        prop_assert!(found.closes.since(found.opens) >= VALIDITY_MIN, "time to go on its day");
        prop_assert_eq!(crate::reminder::hours::open_at(&zones, &hours, found.opens), Some(found.closes));
        prop_assert_eq!(today(&zones, found.opens), found.date);
    }

    #[test]
    fn the_next_day_is_no_longer_the_same(millis in 1_772_000_000_000u64..1_835_000_000_000) {
        let zones = set(&["America/New_York", "America/Havana", "Europe/Berlin", "Atlantic/Azores"]);
        let at = Timestamp::from_millis(millis);
        let next = next_day(&zones, at);
        prop_assert!(at < next && !is_same_day(&zones, at, next));
        prop_assert!(is_same_day(&zones, at, next.saturating_sub(Duration::from_millis(1))));
    }
}
