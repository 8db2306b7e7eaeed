//! Periods: month ends, weeks, days, skips, and that no key comes twice.

use jiff::civil::date;
use proptest::prelude::*;

use super::*;

fn recurrence(json: &str) -> Recurrence {
    serde_json::from_str(json).unwrap()
}

fn dues(recurrence: &Recurrence, count: usize) -> Vec<String> {
    let start = recurrence.next_after(date(2020, 1, 1));
    let periods = std::iter::successors(start, |period| recurrence.next_after(period.due));
    periods.take(count).map(|period| period.due.to_string()).collect()
}

#[test]
fn day_31_is_the_end_of_a_short_month_and_31_again_after_it() {
    let monthly = recurrence(r#"{"every":"monthly","day":31,"from":"2026-01-31"}"#);
    assert_eq!(dues(&monthly, 5), ["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31"]);
    let leap = recurrence(r#"{"every":"monthly","day":31,"from":"2028-02-01"}"#);
    assert_eq!(dues(&leap, 2), ["2028-02-29", "2028-03-31"]);
}

#[test]
fn the_last_day_is_the_last_of_each_month() {
    let monthly = recurrence(r#"{"every":"monthly","day":"last","from":"2026-04-30"}"#);
    assert_eq!(dues(&monthly, 3), ["2026-04-30", "2026-05-31", "2026-06-30"]);
}

#[test]
fn a_month_whose_day_lies_before_the_begin_has_no_period() {
    let monthly = recurrence(r#"{"every":"monthly","day":5,"from":"2026-01-06"}"#);
    assert_eq!(monthly.period(0), Some(Period { key: "2026-02".to_owned(), due: date(2026, 2, 5) }));
    let without = recurrence(r#"{"every":"monthly","from":"2026-01-06"}"#);
    assert_eq!(without.period(1), Some(Period { key: "2026-02".to_owned(), due: date(2026, 2, 6) }));
}

#[test]
fn weeks_and_days_count_from_the_begin() {
    let weekly = recurrence(r#"{"every":"weekly","from":"2026-12-25"}"#);
    let keys: Vec<String> = (0..3).map(|number| weekly.period(number).unwrap().key).collect();
    assert_eq!(keys, ["2026-W52", "2026-W53", "2027-W01"]);
    assert_eq!(dues(&weekly, 2), ["2026-12-25", "2027-01-01"]);
    let days = recurrence(r#"{"every":"10 days","from":"2026-02-25"}"#);
    assert_eq!(days.period(1), Some(Period { key: "2026-03-07".to_owned(), due: date(2026, 3, 7) }));
}

#[test]
fn a_later_begin_or_another_day_makes_no_second_key_for_a_month() {
    let before = recurrence(r#"{"every":"monthly","day":3,"from":"2026-01-01"}"#);
    let after = recurrence(r#"{"every":"monthly","day":20,"from":"2026-03-10"}"#);
    assert_eq!(before.next_after(date(2026, 3, 1)).unwrap().key, after.period(0).unwrap().key);
}

#[test]
fn until_is_the_last_day_that_counts() {
    let monthly = recurrence(r#"{"every":"monthly","day":15,"from":"2026-01-15","until":"2026-03-15"}"#);
    assert_eq!(dues(&monthly, 9), ["2026-01-15", "2026-02-15", "2026-03-15"]);
    assert_eq!(monthly.next_after(date(2026, 3, 15)), None);
    assert_eq!(monthly.period(3), None);
}

#[test]
fn a_skipped_date_is_left_out_and_the_rhythm_stays() {
    let monthly = recurrence(
        r#"{"every":"monthly","day":31,"from":"2026-01-31","skip":["2026-03-31","2026-02-28"],"until":"2026-05-31"}"#,
    );
    assert_eq!(dues(&monthly, 9), ["2026-01-31", "2026-04-30", "2026-05-31"]);
}

#[test]
fn a_due_date_on_a_holiday_stays_unless_the_firm_wishes_otherwise() {
    let calendar: Calendar = toml::from_str(
        "key = \"x\"\nholidays = [{ date = \"2026-05-01\", name = \"a\" }, { date = \"2026-04-30\", name = \"b\" }]",
    )
    .unwrap();
    for (wish, due) in
        [("keep", date(2026, 5, 1)), ("before", date(2026, 4, 29)), ("after", date(2026, 5, 4))]
    {
        let text = format!(r#"{{"every":"monthly","day":1,"from":"2026-05-01","on_holiday":"{wish}"}}"#);
        let monthly = recurrence(&text);
        let period = monthly.period(0).unwrap();
        assert_eq!(
            (period.key.as_str(), monthly.due_date(&period, Some(&calendar))),
            ("2026-05", due),
            "{wish}"
        );
        assert_eq!(monthly.due_date(&period, None), date(2026, 5, 1), "no calendar, no holiday");
    }
}

#[test]
fn a_far_date_is_found_without_walking_there() {
    let daily = recurrence(r#"{"every":"1 days","from":"2026-01-01"}"#);
    assert_eq!(daily.next_after(date(9998, 12, 30)).unwrap().due, date(9998, 12, 31));
    assert_eq!(daily.next_after(Date::MAX), None);
    assert_eq!(daily.period(u32::MAX), None);
    let monthly = recurrence(r#"{"every":"monthly","day":"last","from":"2026-01-01"}"#);
    assert_eq!(monthly.period(u32::MAX), None);
}

#[test]
fn a_recurrence_reads_back_from_json_and_the_store() {
    for text in [
        r#"{"every":"monthly","day":"last","from":"2026-01-31","until":null,"skip":[],"on_holiday":"keep"}"#,
        r#"{"every":"14 days","day":null,"from":"2026-01-31","until":"2027-01-31","skip":["2026-02-14"],"on_holiday":"after"}"#,
    ] {
        let read = recurrence(text);
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        assert_eq!(postcard::from_bytes::<Recurrence>(&postcard::to_stdvec(&read).unwrap()).unwrap(), read);
    }
}

#[test]
fn what_is_no_recurrence_says_why() {
    for (bad, why) in [
        (r#"{"every":"yearly","from":"2026-01-31"}"#, "must be monthly"),
        (r#"{"every":"0 days","from":"2026-01-31"}"#, "from 1 to 366"),
        (r#"{"every":"367 days","from":"2026-01-31"}"#, "from 1 to 366"),
        (r#"{"every":"monthly","day":0,"from":"2026-01-31"}"#, "from 1 to 31"),
        (r#"{"every":"monthly","day":32,"from":"2026-01-31"}"#, "from 1 to 31"),
        (r#"{"every":"monthly","day":-1,"from":"2026-01-31"}"#, "from 1 to 31"),
        (r#"{"every":"monthly","day":"first","from":"2026-01-31"}"#, "\"last\""),
        (r#"{"every":"weekly","day":3,"from":"2026-01-31"}"#, "for monthly only"),
        (r#"{"every":"weekly","from":"2026-01-31","until":"2026-01-30"}"#, "before from"),
        (r#"{"every":"weekly","from":"2026-02-30"}"#, "not valid"),
    ] {
        let error = serde_json::from_str::<Recurrence>(bad).unwrap_err().to_string();
        assert!(error.contains(why), "{bad}: {error}");
    }
}

fn any_every() -> impl Strategy<Value = (Every, Option<MonthDay>)> {
    prop_oneof![
        (1u8..32).prop_map(|day| (Every::Monthly, Some(MonthDay::Day(day)))),
        Just((Every::Monthly, Some(MonthDay::Last))),
        Just((Every::Weekly, None)),
        (1u16..367).prop_map(|days| (Every::Days(days), None)),
    ]
}

proptest! {
    #[test]
    fn keys_and_due_dates_ascend_and_the_next_is_the_next(
        (every, day) in any_every(),
        start in 0i32..4000,
        number in 0u32..2000,
    ) {
        let from = date(2024, 1, 1) + jiff::Span::new().days(start);
        let all = Recurrence::new(every, day, from, None, Vec::new(), OnHoliday::Keep).unwrap();
        let (one, next) = (all.period(number).unwrap(), all.period(number + 1).unwrap());
        prop_assert!(from <= one.due && one.due < next.due);
        prop_assert!(one.key < next.key);
        prop_assert_eq!(all.next_after(one.due), Some(next));
        prop_assert_eq!(all.next_after(one.due.yesterday().unwrap()), Some(one));
    }
}
