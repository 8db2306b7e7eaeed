//! Hours over zone sets: the windows that were measured, the days on which clocks change, and properties.

use proptest::prelude::*;

use super::*;

fn set(names: &[&str]) -> ZoneSet {
    ZoneSet::new(names.iter().map(|name| Zone::parse(name).unwrap())).unwrap()
}

fn daily(from: &str, to: &str) -> WeekHours {
    WeekHours::daily(DayHours::parse(from, to).unwrap())
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

/// The opening after `from`, as clocks show it in `zone`.
fn opening(zones: &ZoneSet, hours: &WeekHours, from: &str, zone: &str) -> Option<(String, String)> {
    let zone = Zone::parse(zone).unwrap();
    let show = |at| zone.local(at).strftime("%d %H:%M").to_string();
    next_opening(zones, hours, at(from)).map(|open| (show(open.opens), show(open.closes)))
}

fn some(opens: &str, closes: &str) -> Option<(String, String)> {
    Some((opens.to_owned(), closes.to_owned()))
}

const LOWER_48: [&str; 5] =
    ["America/New_York", "America/Chicago", "America/Denver", "America/Phoenix", "America/Los_Angeles"];
const AUSTRALIA: [&str; 4] =
    ["Australia/Perth", "Australia/Darwin", "Australia/Adelaide", "Australia/Sydney"];

#[test]
fn the_measured_windows_of_whole_countries_come_out() {
    let day = daily("08:00", "20:00");
    let usa = set(&LOWER_48);
    for month in ["2026-01-15", "2026-07-15"] {
        let from = format!("{month}T06:00:00Z");
        assert_eq!(opening(&usa, &day, &from, "America/New_York"), some("15 11:00", "15 20:00"), "{month}");
    }
    let hawaii = set(&[&LOWER_48[..], &["Pacific/Honolulu"]].concat());
    assert_eq!(
        opening(&hawaii, &day, "2026-01-15T06:00:00Z", "America/New_York"),
        some("15 13:00", "15 20:00")
    );
    assert_eq!(
        opening(&hawaii, &day, "2026-07-15T06:00:00Z", "America/New_York"),
        some("15 14:00", "15 20:00")
    );
    let australia = set(&AUSTRALIA);
    assert_eq!(
        opening(&australia, &day, "2026-01-14T14:00:00Z", "Australia/Sydney"),
        some("15 11:00", "15 20:00")
    );
    assert_eq!(
        opening(&australia, &day, "2026-07-14T14:00:00Z", "Australia/Sydney"),
        some("15 10:00", "15 20:00")
    );
    let russia = set(&["Europe/Kaliningrad", "Europe/Moscow", "Asia/Vladivostok", "Asia/Kamchatka"]);
    assert_eq!(
        opening(&russia, &day, "2026-01-15T00:00:00Z", "Europe/Kaliningrad"),
        some("15 08:00", "15 10:00")
    );
}

#[test]
fn an_eastern_area_code_with_a_pacific_address_opens_at_eleven_eastern() {
    let both = set(&["America/New_York", "America/Los_Angeles"]);
    let day = daily("08:00", "21:00");
    assert_eq!(
        opening(&both, &day, "2026-03-03T00:00:00Z", "America/New_York"),
        some("02 19:00", "02 21:00")
    );
    assert_eq!(
        opening(&both, &day, "2026-03-03T02:00:00Z", "America/New_York"),
        some("03 11:00", "03 21:00")
    );
    assert_eq!(
        open_at(&both, &day, at("2026-03-03T15:59:59.999Z")),
        None,
        "10:59 in New York, 7:59 in Los Angeles"
    );
    assert_eq!(open_at(&both, &day, at("2026-03-03T16:00:00Z")), Some(at("2026-03-04T02:00:00Z")));
    assert_eq!(open_at(&both, &day, at("2026-03-04T02:00:00Z")), None, "closed at nine in New York");
}

#[test]
fn hours_follow_the_clocks_of_new_york_and_berlin() {
    for (zone, date, opens) in [
        ("America/New_York", "2026-03-07", "13:00"),
        ("America/New_York", "2026-03-08", "12:00"),
        ("America/New_York", "2026-10-31", "12:00"),
        ("America/New_York", "2026-11-01", "13:00"),
        ("America/New_York", "2027-03-14", "12:00"),
        ("Europe/Berlin", "2026-03-28", "07:00"),
        ("Europe/Berlin", "2026-03-29", "06:00"),
        ("Europe/Berlin", "2026-10-24", "06:00"),
        ("Europe/Berlin", "2026-10-25", "07:00"),
        ("Europe/Berlin", "2027-03-28", "06:00"),
    ] {
        let found = next_opening(&set(&[zone]), &daily("08:00", "20:00"), at(&format!("{date}T05:30:00Z")));
        assert_eq!(found.unwrap().opens, at(&format!("{date}T{opens}:00Z")), "{zone} {date}");
    }
}

#[test]
fn an_opening_in_the_gap_is_the_first_instant_after_it() {
    let new_york = set(&["America/New_York"]);
    let night = next_opening(&new_york, &daily("02:30", "04:00"), at("2026-03-08T05:00:00Z")).unwrap();
    assert_eq!((night.opens, night.closes), (at("2026-03-08T07:00:00Z"), at("2026-03-08T08:00:00Z")));
    let lost = next_opening(&new_york, &daily("02:10", "02:50"), at("2026-03-08T05:00:00Z")).unwrap();
    assert_eq!(lost.opens, at("2026-03-09T06:10:00Z"), "hours that the gap swallows are closed");
}

#[test]
fn hours_in_the_overlap_never_widen() {
    let berlin = set(&["Europe/Berlin"]);
    let late = next_opening(&berlin, &daily("02:30", "04:00"), at("2026-10-24T22:00:00Z")).unwrap();
    assert_eq!(late.opens, at("2026-10-25T01:30:00Z"), "the second half past two");
    let early = next_opening(&berlin, &daily("01:00", "02:30"), at("2026-10-24T22:00:00Z")).unwrap();
    assert_eq!(early.closes, at("2026-10-25T00:30:00Z"), "the first half past two");
    let inside = next_opening(&berlin, &daily("02:10", "02:50"), at("2026-10-24T22:00:00Z")).unwrap();
    assert_eq!(inside.opens.to_rfc3339(), "2026-10-26T01:10:00.000Z");
}

#[test]
fn zones_that_share_no_hour_have_no_opening() {
    let apart = set(&["Pacific/Auckland", "Europe/Lisbon"]);
    assert_eq!(next_opening(&apart, &daily("09:00", "17:00"), at("2026-06-01T00:00:00Z")), None);
    assert_eq!(next_opening(&set(&["Europe/Berlin"]), &WeekHours::CLOSED, at("2026-06-01T00:00:00Z")), None);
}

#[test]
fn closed_days_and_closed_dates_are_passed_over() {
    let berlin = set(&["Europe/Berlin"]);
    let week = daily("08:00", "20:00").with(Weekday::Sunday, None);
    let saturday_evening = "2026-04-04T19:00:00Z";
    assert_eq!(opening(&berlin, &week, saturday_evening, "Europe/Berlin"), some("06 08:00", "06 20:00"));
    let easter_monday = |date: Date| date == jiff::civil::date(2026, 4, 6);
    let open = next_opening_except(&berlin, &week, &easter_monday, at(saturday_evening)).unwrap();
    assert_eq!(open.opens, at("2026-04-07T06:00:00Z"));
    assert_eq!(open_at_except(&berlin, &week, &easter_monday, at("2026-04-06T10:00:00Z")), None);
    assert_eq!(next_opening_except(&berlin, &week, &|_| true, at(saturday_evening)), None);
}

#[test]
fn a_day_to_midnight_closes_when_the_next_one_begins() {
    let berlin = set(&["Europe/Berlin"]);
    assert_eq!(
        open_at(&berlin, &WeekHours::ALWAYS, at("2026-03-29T12:00:00Z")),
        Some(at("2026-03-29T22:00:00Z"))
    );
    assert_eq!(open_at(&berlin, &WeekHours::ALWAYS, Timestamp::MAX), None, "and time has an end");
}

#[test]
fn narrowing_keeps_what_both_allow() {
    let pack = daily("08:00", "20:00").with(Weekday::Sunday, None);
    let days = [Weekday::Monday, Weekday::Sunday];
    let wish = WeekHours::wish(Some(parse_time("10:00").unwrap()), None, &days).unwrap();
    let both = pack.narrow(wish);
    assert_eq!(both, WeekHours::of(&[Weekday::Monday], DayHours::parse("10:00", "20:00").unwrap()));
    let night = WeekHours::wish(Some(parse_time("20:00").unwrap()), None, &[]).unwrap();
    assert!(pack.narrow(night).is_closed());
    assert_eq!(WeekHours::wish(Some(Time::MAX), None, &[]), Err(BadHours::Order));
}

#[test]
fn hours_are_written_as_rows_of_days() {
    let week: WeekHours = serde_json::from_str(
        r#"[{"from":"08:00","to":"20:00","days":["mon","tue"]},{"from":"09:00","to":"24:00","days":["sat"]}]"#,
    )
    .unwrap();
    assert_eq!(week.on(Weekday::Saturday).unwrap().to(), Time::MAX);
    assert_eq!(week.on(Weekday::Sunday), None);
    let text = serde_json::to_string(&week).unwrap();
    assert_eq!(serde_json::from_str::<WeekHours>(&text).unwrap(), week);
    assert_eq!(postcard::from_bytes::<WeekHours>(&postcard::to_stdvec(&week).unwrap()).unwrap(), week);
    let all: WeekHours = serde_json::from_str(r#"{"from":"08:00","to":"20:00"}"#).unwrap();
    assert_eq!(all, daily("08:00", "20:00"));
}

#[test]
fn what_are_no_hours_says_why() {
    for (bad, why) in [
        (r#"{"from":"8:00","to":"20:00"}"#, BadHours::Time),
        (r#"{"from":"08:00","to":"24:30"}"#, BadHours::Time),
        (r#"{"from":"20:00","to":"08:00"}"#, BadHours::Order),
        (r#"{"from":"08:00","to":"20:00","days":["monday"]}"#, BadHours::Weekday),
        (r#"{"from":"08:00","to":"20:00","days":["mon","mon"]}"#, BadHours::Twice),
        (r#"[{"from":"08:00","to":"20:00"},{"from":"08:00","to":"20:00","days":["mon"]}]"#, BadHours::Twice),
    ] {
        let error = serde_json::from_str::<WeekHours>(bad).unwrap_err().to_string();
        assert!(error.contains(&why.to_string()), "{bad}: {error}");
    }
    for bad in ["", ":", "08:0", "+8:00", "08:60", "24:00", "ä8:00", "08:00:00"] {
        assert_eq!(parse_time(bad), Err(BadHours::Time), "{bad}");
    }
}

const ZONES: [&str; 10] = [
    "America/New_York",
    "America/Los_Angeles",
    "America/St_Johns",
    "America/Santiago",
    "Europe/Berlin",
    "Europe/London",
    "Africa/Casablanca",
    "Asia/Kolkata",
    "Australia/Sydney",
    "Australia/Lord_Howe",
];

prop_compose! {
    fn any_set()(picks in prop::collection::vec(0..ZONES.len(), 1..4)) -> ZoneSet {
        set(&picks.iter().map(|i| ZONES[*i]).collect::<Vec<_>>())
    }
}

prop_compose! {
    fn any_week()(from in 0u32..1380, length in 30u32..1440, days in 1u8..128) -> WeekHours {
        let time = |minute: u32| from_seconds(minute.min(1440) * 60).unwrap();
        let hours = DayHours::new(time(from), time(from + length)).unwrap();
        let days: Vec<Weekday> = DAYS.iter().enumerate().filter(|(i, _)| days >> i & 1 == 1).map(|(_, d)| d.1).collect();
        WeekHours::of(&days, hours)
    }
}

fn is_open_everywhere(zones: &ZoneSet, week: &WeekHours, at: Timestamp) -> bool {
    zones.zones().iter().all(|zone| {
        let local = zone.local(at);
        week.on(local.date().weekday()).is_some_and(|hours| hours.holds(local.time()))
    })
}

proptest! {
    #[test]
    fn every_instant_of_an_opening_is_open_by_every_clock(
        zones in any_set(),
        week in any_week(),
        from in 1_772_000_000_000u64..1_835_000_000_000,
        within in 0.0f64..1.0,
    ) {
        let from = Timestamp::from_millis(from);
        if let Some(open) = next_opening(&zones, &week, from) {
            prop_assert!(from <= open.opens && open.opens < open.closes);
            let length = open.closes.since(open.opens);
            let inside = open.opens.saturating_add(length.mul_f64(within * 0.999_999));
            for at in [open.opens, inside, open.closes.saturating_sub(Duration::from_millis(1))] {
                prop_assert!(is_open_everywhere(&zones, &week, at), "{at}");
                prop_assert_eq!(open_at(&zones, &week, at), Some(open.closes));
            }
        }
    }

    #[test]
    fn nothing_before_an_opening_is_open(
        zones in any_set(),
        week in any_week(),
        from in 1_772_000_000_000u64..1_835_000_000_000,
        within in 0.0f64..1.0,
    ) {
        let from = Timestamp::from_millis(from);
        let until = next_opening(&zones, &week, from).map_or(from.saturating_add(Duration::from_hours(360)), |o| o.opens);
        let before = from.saturating_add(until.since(from).mul_f64(within * 0.999_999));
        prop_assert_eq!(open_at(&zones, &week, before).is_some(), before == until);
    }
}
