//! Conditions are read, refused, shown and evaluated.

use super::*;
use crate::reminder::money::Currency;
use proptest::prelude::*;

fn parse(text: &str) -> Condition {
    Condition::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn field(name: &str) -> Option<Value> {
    let euros = Money::parse("80.50", Currency::parse("EUR").unwrap()).unwrap();
    match name {
        "balance" => Some(euros.into()),
        "reminders" => Some(2_u32.into()),
        "stage" => Some(Value::Text(String::from("friendly"))),
        "due_date" => Some(Value::Date(jiff::civil::date(2026, 3, 1))),
        "disputed" => Some(Value::Bool(false)),
        "custom.score" => Some(Value::Text(String::from(" 12.5 "))),
        _ => None,
    }
}

fn holds(text: &str) -> bool {
    parse(text).holds(field)
}

#[test]
fn comparisons_hold_as_they_read() {
    for (text, expected) in [
        ("balance > 0 and stage != \"disputed\" and reminders < 3", true),
        ("balance = 80.5", true),
        ("balance >= 80.501", false),
        ("reminders <= 2", true),
        ("reminders < -1", false),
        ("due_date < 2026-03-02", true),
        ("due_date >= 2026-03-02", false),
        ("disputed = false", true),
        ("stage in (\"due\", \"friendly\")", true),
        ("stage not in (\"due\", \"friendly\")", false),
        ("reminders in (1, 3)", false),
        ("custom.score > 10 and custom.score < 13", true),
        ("custom.score > 2026-03-01", false),
    ] {
        assert_eq!(holds(text), expected, "{text}");
    }
}

#[test]
fn and_binds_closer_than_or_and_not_closest() {
    assert!(holds("reminders = 2 or reminders = 3 and balance < 0"));
    assert!(!holds("(reminders = 2 or reminders = 3) and balance < 0"));
    assert!(holds("not reminders = 3 and balance > 0"));
    assert!(!holds("not (reminders = 2 or balance < 0)"));
}

#[test]
fn what_a_field_does_not_have_makes_every_comparison_false() {
    for text in ["gone = 1", "gone != 1", "gone in (1)", "stage = 1", "reminders != \"x\"", "balance = true"]
    {
        assert!(!holds(text), "{text}");
        assert!(holds(&format!("not {text}")), "{text}");
    }
}

#[test]
fn a_fault_is_named_with_its_column() {
    for (text, expected) in [
        ("", "column 1: the name of a field is expected"),
        ("balance", "column 8: =, !=, <, <=, >, >= or in is expected"),
        ("balance == 1", "column 10: a number"),
        ("balance > 0 und x = 1", "column 13: and, or, or the end"),
        ("balance > 1.2345", "column 11: a number"),
        ("balance > 1234567890123456", "column 11: a number"),
        ("due = 2026-02-30", "column 7: a number"),
        ("stage = \"due", "column 13: a closing quote"),
        ("stage = \"d\\ue\"", "column 12: \" or \\"),
        ("stage < \"due\"", "column 9: a text, true and false"),
        ("(a = 1", "column 7: a closing parenthesis"),
        ("a in (1; 2)", "column 8: a comma"),
        ("a not 1", "column 7: in"),
        ("Stage = 1", "column 1: the name"),
        ("custom.a.b = 1", "column 1: the name"),
        ("not = 1", "column 5: the name"),
        ("ü = 1", "column 1: the name"),
    ] {
        let error = Condition::parse(text).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{text}: {error}");
    }
}

#[test]
fn size_and_depth_have_bounds() {
    let deep = |n: usize| format!("{}a = 1{}", "(".repeat(n), ")".repeat(n));
    assert!(Condition::parse(&deep(MAX_DEPTH)).is_ok());
    assert!(matches!(Condition::parse(&deep(MAX_DEPTH + 1)), Err(BadCondition::Wrong { column: 18, .. })));
    assert!(Condition::parse(&format!("{}a = 1", "not ".repeat(MAX_DEPTH + 1))).is_err());
    let deep = |n: usize| format!("{}a not in (1)", "not ".repeat(n));
    assert!(Condition::parse(&parse(&deep(MAX_DEPTH - 1)).to_string()).is_ok());
    assert!(Condition::parse(&deep(MAX_DEPTH)).is_err());
    let wide = format!("a in({})", vec!["\"ab\""; MAX_VALUES].join(","));
    let tight = |n: usize| vec![wide.as_str(); n].join("or ");
    assert!(Condition::parse(&parse(&tight(4)).to_string()).is_ok());
    assert!(tight(5).len() <= MAX_BYTES);
    assert_eq!(Condition::parse(&tight(5)), Err(BadCondition::TooLong), "as it is shown it is longer");
    let many = |n: usize| vec!["a = 1"; n].join(" or ");
    assert!(Condition::parse(&many(MAX_TERMS)).is_ok());
    assert!(Condition::parse(&many(MAX_TERMS + 1)).is_err());
    let values = |n: usize| format!("a in ({})", vec!["1"; n].join(","));
    assert!(Condition::parse(&values(MAX_VALUES)).is_ok());
    assert!(Condition::parse(&values(MAX_VALUES + 1)).is_err());
    assert_eq!(Condition::parse(&" ".repeat(MAX_BYTES + 1)), Err(BadCondition::TooLong));
}

#[test]
fn fields_that_are_not_there_and_kinds_that_do_not_fit_are_refused() {
    let kinds = |name: &str| match name {
        "balance" => Some(Kind::Number),
        "stage" => Some(Kind::Text),
        _ => name.starts_with(CUSTOM).then_some(Kind::Any),
    };
    let check = |text: &str| parse(text).check(kinds).map_err(|error| error.to_string());
    assert_eq!(check("balance > 0 and stage in (\"a\") and custom.x = 1 and custom.x = true"), Ok(()));
    assert_eq!(check("balance > 0 or not amont = 1"), Err(String::from("there is no field amont")));
    let why = "stage is a text and is compared with a number";
    assert_eq!(check("stage in (\"a\", 1)"), Err(String::from(why)));
}

#[test]
fn a_condition_is_stored_and_sent_as_its_text() {
    let condition = parse("  balance>0 and (stage=\"a\" or not x in(1,2)) ");
    let json = serde_json::to_string(&condition).unwrap();
    assert_eq!(json, r#""balance > 0 and (stage = \"a\" or not x in (1, 2))""#);
    assert_eq!(serde_json::from_str::<Condition>(&json).unwrap(), condition);
    let stored = postcard::to_stdvec(&condition).unwrap();
    assert_eq!(postcard::from_bytes::<Condition>(&stored).unwrap(), condition);
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        (-999_999_999_999_999_i64..=999_999_999_999_999).prop_map(|n| Value::Number(Number(n))),
        "[a-z\"\\\\ ü()]{0,6}".prop_map(Value::Text),
        any::<bool>().prop_map(Value::Bool),
        (0_i16..=9999, 1_i8..=12, 1_i8..=28).prop_map(|(y, m, d)| Value::Date(jiff::civil::date(y, m, d))),
    ]
}

fn term() -> impl Strategy<Value = Expr> {
    let field = prop_oneof![Just("balance"), Just("custom.a-B_1"), Just("order")].prop_map(String::from);
    let op =
        prop_oneof![Just(Op::Less), Just(Op::AtMost), Just(Op::More), Just(Op::AtLeast), Just(Op::Equal)];
    let compare = (field.clone(), op, value()).prop_map(|(field, op, value)| {
        let ordered = matches!(value, Value::Number(_) | Value::Date(_));
        Expr::Compare { field, op: if ordered { op } else { Op::NotEqual }, value }
    });
    let values = prop::collection::vec(value(), 1..4);
    prop_oneof![compare, (field, values).prop_map(|(field, values)| Expr::In { field, values })]
}

fn expr() -> impl Strategy<Value = Expr> {
    term().prop_recursive(4, 12, 3, |inner| {
        let some = prop::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            some.clone().prop_map(Expr::And),
            some.prop_map(Expr::Or),
            inner.prop_map(|expr| Expr::Not(Box::new(expr))),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_shown_reads_back_as_the_same(expr in expr()) {
        let condition = Condition(expr);
        let text = condition.to_string();
        if text.len() <= MAX_BYTES {
            prop_assert_eq!(Condition::parse(&text), Ok(condition), "{}", text);
        }
    }

    #[test]
    fn any_text_is_read_or_refused_and_what_is_read_is_shown_alike(
        text in "([a-z]{1,3}|[ ()\",<>=!.0-9ü-]|and|or|not|in|true){0,20}",
    ) {
        if let Ok(condition) = Condition::parse(&text) {
            prop_assert_eq!(Condition::parse(&condition.to_string()), Ok(condition));
        }
    }
}
