//! What one cell says: texts, numbers, dates and amounts, each with an advice where it is refused.

use jiff::civil::Date;

use super::super::money::{BadMoney, Currency, Money};
use super::mapping::{Amounts, Dates, Mapping};
use super::national;
use crate::clock::Timestamp;
use crate::message::Msisdn;

/// Characters of a free text: longer than any text message that could hold it.
pub const TEXT_MAX: usize = 500;
/// Signs that people put into numbers to read them.
const NUMBER_SIGNS: [char; 8] = [' ', '-', '(', ')', '.', '/', '\u{A0}', '\u{202F}'];
/// What may part thousands besides point and comma: blanks and apostrophes.
const GROUP_SIGNS: [char; 5] = [' ', '\u{A0}', '\u{202F}', '\'', '\u{2019}'];
/// Due dates outside are typing errors.
const YEARS: std::ops::RangeInclusive<i16> = 1990..=2100;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadValue {
    #[error("is longer than {TEXT_MAX} characters")]
    TextLong,
    #[error("holds a control character")]
    Control,
    #[error("a spreadsheet rounded this number; make the column text there and write it anew")]
    Rounded,
    #[error("the plus before the country code is lost; make the column text and write +49…")]
    PlusLost,
    #[error("begins with 0; write it with plus and country code, as +49…, or give the mapping a country")]
    National,
    #[error("is no mobile number of {0}; write it with plus and country code")]
    NotMobile(String),
    #[error("must be + and 7 to 15 digits")]
    Number,
    #[error("holds a (0); write plus, country code and the rest without it")]
    TrunkZero,
    #[error("must be a date as {0}")]
    DateShape(&'static str),
    #[error("is a spreadsheet's count of days; give the column a date format, as {0}")]
    DateCount(&'static str),
    #[error("is no day of the calendar")]
    NoSuchDay,
    #[error("must lie in the years 1990 to 2100")]
    Year,
    #[error("must be an instant as 2026-03-01T10:00:00Z or a date as {0}")]
    Instant(&'static str),
    #[error("must be an amount as {0}")]
    AmountShape(&'static str),
    #[error("holds both a comma and a point; tell by a mapping which one parts thousands")]
    TwoSeparators,
    #[error("holds a comma; write a point, or tell by a mapping what the comma means")]
    Comma,
    #[error("must be more than zero")]
    NotPositive,
    #[error("{0}")]
    Money(#[from] BadMoney),
}

/// A text of one line, whatever blanks and line ends it had.
pub fn text(cell: &str) -> Result<String, BadValue> {
    let mut plain = String::with_capacity(cell.len());
    for word in cell.split_whitespace() {
        if !plain.is_empty() {
            plain.push(' ');
        }
        plain.push_str(word);
    }
    if plain.chars().any(char::is_control) {
        return Err(BadValue::Control);
    }
    if plain.len() > TEXT_MAX && plain.chars().count() > TEXT_MAX {
        Err(BadValue::TextLong)
    } else {
        Ok(plain)
    }
}

/// A number in the form people write it: with plus and country code, or as the mapping's country writes it.
pub fn number(cell: &str, mapping: &Mapping) -> Result<Msisdn, BadValue> {
    if is_rounded(cell) {
        return Err(BadValue::Rounded);
    }
    if cell.contains("(0)") {
        return Err(BadValue::TrunkZero);
    }
    let plain: String = cell.chars().filter(|c| !NUMBER_SIGNS.contains(c)).collect();
    if plain.starts_with('+') {
        return Msisdn::parse_e164(&plain).map_err(|_| BadValue::Number);
    }
    if plain.is_empty() || !plain.bytes().all(|b| b.is_ascii_digit()) {
        return Err(BadValue::Number);
    }
    match &mapping.country {
        Some(country) => {
            national::number(&plain, country).ok_or_else(|| BadValue::NotMobile(country.as_str().to_owned()))
        }
        None if plain.starts_with('0') => Err(BadValue::National),
        None => Err(BadValue::PlusLost),
    }
}

/// `4.47701E+11` and its kind: digits, an E and digits.
fn is_rounded(cell: &str) -> bool {
    let Some((mantissa, exponent)) = cell.split_once(['E', 'e']) else { return false };
    let digits = |text: &str, signs: &[char]| {
        text.contains(|c: char| c.is_ascii_digit())
            && text.chars().all(|c| c.is_ascii_digit() || signs.contains(&c))
    };
    digits(mantissa, &['.', ',', '+', '-', ' ']) && digits(exponent, &['+', '-'])
}

pub fn date(cell: &str, dates: Dates) -> Result<Date, BadValue> {
    let wrong = || BadValue::DateShape(dates.shape());
    if cell.len() == 5 && cell.bytes().all(|b| b.is_ascii_digit()) {
        return Err(BadValue::DateCount(dates.shape()));
    }
    let sign = match dates {
        Dates::Iso => '-',
        Dates::DayDotted => '.',
        Dates::DaySlashed | Dates::MonthSlashed => '/',
    };
    let mut parts = cell.split(sign);
    let (Some(a), Some(b), Some(c), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(wrong());
    };
    let (year, month, day) = match dates {
        Dates::Iso => (a, b, c),
        Dates::DayDotted | Dates::DaySlashed => (c, b, a),
        Dates::MonthSlashed => (c, a, b),
    };
    let short = if dates == Dates::Iso { 2..=2 } else { 1..=2 };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let shaped = year.len() == 4 && short.contains(&month.len()) && short.contains(&day.len());
    if !shaped || !digits(year) || !digits(month) || !digits(day) {
        return Err(wrong());
    }
    let (Ok(year), Ok(month), Ok(day)) = (year.parse(), month.parse(), day.parse()) else {
        return Err(wrong());
    };
    let date = Date::new(year, month, day).map_err(|_| BadValue::NoSuchDay)?;
    if YEARS.contains(&year) { Ok(date) } else { Err(BadValue::Year) }
}

/// An instant, or a date, which is its beginning in UTC.
pub fn instant(cell: &str, dates: Dates) -> Result<Timestamp, BadValue> {
    if let Some(at) = Timestamp::parse_rfc3339(cell) {
        return Ok(at);
    }
    let wrong = || BadValue::Instant(dates.shape());
    let date = date(cell, dates).map_err(|why| match why {
        BadValue::DateShape(_) => wrong(),
        why => why,
    })?;
    Timestamp::parse_rfc3339(&format!("{date}T00:00:00Z")).ok_or_else(wrong)
}

/// An amount above zero.
pub fn amount(cell: &str, amounts: Amounts, currency: Currency) -> Result<Money, BadValue> {
    if is_rounded(cell) {
        return Err(BadValue::Rounded);
    }
    if cell.starts_with(['-', '\u{2212}', '(']) {
        return Err(BadMoney::Negative.into());
    }
    let money = Money::parse(&plain_amount(cell, amounts)?, currency).map_err(|why| match why {
        BadMoney::Value => BadValue::AmountShape(amounts.shape()),
        why => BadValue::Money(why),
    })?;
    if money.is_positive() { Ok(money) } else { Err(BadValue::NotPositive) }
}

/// The amount with a point and no sign between thousands.
fn plain_amount(cell: &str, amounts: Amounts) -> Result<String, BadValue> {
    let (decimal, group) = match amounts {
        Amounts::Point if cell.contains(',') && cell.contains('.') => return Err(BadValue::TwoSeparators),
        Amounts::Point if cell.contains(',') => return Err(BadValue::Comma),
        Amounts::Point => return Ok(cell.to_owned()),
        Amounts::PointGrouped => ('.', ','),
        Amounts::CommaGrouped => (',', '.'),
    };
    let wrong = || BadValue::AmountShape(amounts.shape());
    let (whole, part) = cell.split_once(decimal).map_or((cell, None), |(whole, part)| (whole, Some(part)));
    let sign = whole.chars().find(|c| *c == group || GROUP_SIGNS.contains(c));
    let whole = match sign {
        Some(sign) => ungrouped(whole, sign).ok_or_else(wrong)?,
        None => whole.to_owned(),
    };
    match part {
        Some(part) if part.is_empty() || part.contains('.') => Err(wrong()),
        Some(part) => Ok(format!("{whole}.{part}")),
        None => Ok(whole),
    }
}

/// `1.234.567` without its signs; `None` where they do not stand before each three digits.
fn ungrouped(whole: &str, sign: char) -> Option<String> {
    let mut groups = whole.split(sign);
    let first = groups.next().filter(|first| (1..=3).contains(&first.len()))?;
    let mut plain = first.to_owned();
    for group in groups {
        if group.len() != 3 {
            return None;
        }
        plain.push_str(group);
    }
    plain.bytes().all(|b| b.is_ascii_digit()).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn eur(cell: &str, amounts: Amounts) -> Result<String, BadValue> {
        amount(cell, amounts, Currency::parse("EUR").unwrap()).map(Money::value)
    }

    #[test]
    fn an_amount_is_read_as_the_mapping_says_or_refused() {
        use Amounts::{CommaGrouped, Point, PointGrouped};
        for (cell, amounts, wanted) in [
            ("120.5", Point, "120.50"),
            ("1234,5", CommaGrouped, "1234.50"),
            ("1.234,50", CommaGrouped, "1234.50"),
            ("1.234.567,89", CommaGrouped, "1234567.89"),
            ("1 234,50", CommaGrouped, "1234.50"),
            ("1\u{202F}234,50", CommaGrouped, "1234.50"),
            ("1'234.50", PointGrouped, "1234.50"),
            ("1,234.50", PointGrouped, "1234.50"),
            ("1.234", CommaGrouped, "1234.00"),
        ] {
            assert_eq!(eur(cell, amounts), Ok(wanted.to_owned()), "{cell}");
        }
        for (cell, amounts, wanted) in [
            ("1,234.50", Point, BadValue::TwoSeparators),
            ("1.234,50", Point, BadValue::TwoSeparators),
            ("120,50", Point, BadValue::Comma),
            ("1.50", CommaGrouped, BadValue::AmountShape("1.234,50")),
            ("1,23,4.5", PointGrouped, BadValue::AmountShape("1,234.50")),
            ("1.234 567,00", CommaGrouped, BadValue::AmountShape("1.234,50")),
            ("1,2.3,4", CommaGrouped, BadValue::AmountShape("1.234,50")),
            ("12 €", Point, BadValue::AmountShape("1234.50")),
            ("1.2E+03", Point, BadValue::Rounded),
            ("1,2E+03", CommaGrouped, BadValue::Rounded),
            ("-5", Point, BadMoney::Negative.into()),
            ("(5.00)", Point, BadMoney::Negative.into()),
            ("0.00", Point, BadValue::NotPositive),
            ("1.005", Point, BadMoney::Digits.into()),
        ] {
            assert_eq!(eur(cell, amounts), Err(wanted), "{cell}");
        }
    }

    #[test]
    fn a_number_that_a_spreadsheet_spoiled_is_refused_and_never_mended() {
        let ours = Mapping::default();
        assert_eq!(number("+49 (151) 1234-5678", &ours).unwrap().to_e164(), "+4915112345678");
        for (cell, wanted) in [
            ("4.47701E+11", BadValue::Rounded),
            ("4,47701E+11", BadValue::Rounded),
            ("4E11", BadValue::Rounded),
            ("4915112345678", BadValue::PlusLost),
            ("015112345678", BadValue::National),
            ("+49(0)15112345678", BadValue::TrunkZero),
            ("+0151123", BadValue::Number),
            ("+", BadValue::Number),
            ("tel:+4915112345678", BadValue::Number),
            ("+٤٩١٥١١٢٣٤٥٦٧٨", BadValue::Number),
            ("ACME", BadValue::Number),
        ] {
            assert_eq!(number(cell, &ours), Err(wanted), "{cell}");
        }
        let german = Mapping { country: Some(crate::reminder::name::Country::parse("DE").unwrap()), ..ours };
        assert_eq!(number("0151/1234 5678", &german).unwrap().to_e164(), "+4915112345678");
        assert_eq!(number("15112345678", &german), Err(BadValue::NotMobile("DE".to_owned())));
    }

    #[test]
    fn a_date_is_a_day_of_the_calendar_in_the_shape_that_was_agreed() {
        for (cell, dates) in [
            ("2026-03-09", Dates::Iso),
            ("09.03.2026", Dates::DayDotted),
            ("9/3/2026", Dates::DaySlashed),
            ("3/9/2026", Dates::MonthSlashed),
        ] {
            assert_eq!(date(cell, dates).unwrap().to_string(), "2026-03-09", "{cell}");
        }
        for (cell, wanted) in [
            ("2026-02-30", BadValue::NoSuchDay),
            ("2026-13-01", BadValue::NoSuchDay),
            ("46090", BadValue::DateCount("YYYY-MM-DD")),
            ("09.03.2026", BadValue::DateShape("YYYY-MM-DD")),
            ("26-03-09", BadValue::DateShape("YYYY-MM-DD")),
            ("2026-3-9", BadValue::DateShape("YYYY-MM-DD")),
            ("1026-03-09", BadValue::Year),
        ] {
            assert_eq!(date(cell, Dates::Iso), Err(wanted), "{cell}");
        }
        assert_eq!(date("13/13/2026", Dates::MonthSlashed), Err(BadValue::NoSuchDay));
    }

    #[test]
    fn a_text_keeps_its_words_on_one_line() {
        assert_eq!(text(" a \n\tb ").unwrap(), "a b");
        assert_eq!(text("a\u{7}b"), Err(BadValue::Control));
        assert_eq!(text(&"ä".repeat(501)), Err(BadValue::TextLong));
    }

    proptest! {
        #[test]
        fn an_amount_written_with_grouping_is_the_same_amount(minor in 1i64..1_000_000_000_000) {
            let money = Money::new(minor, Currency::parse("EUR").unwrap()).unwrap();
            let value = money.value();
            let (whole, part) = value.split_once('.').unwrap();
            let mut grouped = String::new();
            for (at, digit) in whole.chars().enumerate() {
                if at > 0 && (whole.len() - at) % 3 == 0 { grouped.push('.'); }
                grouped.push(digit);
            }
            prop_assert_eq!(eur(&format!("{grouped},{part}"), Amounts::CommaGrouped), Ok(value.clone()));
        }

        #[test]
        fn any_cell_is_read_without_a_panic(cell in any::<String>()) {
            let mapping = Mapping::default();
            prop_assert!(number(&cell, &mapping).is_err() || cell.contains('+'));
            for dates in [Dates::Iso, Dates::DayDotted, Dates::DaySlashed, Dates::MonthSlashed] {
                prop_assert!(instant(&cell, dates).is_err() || cell.chars().any(|c| c.is_ascii_digit()));
            }
            for amounts in [Amounts::Point, Amounts::PointGrouped, Amounts::CommaGrouped] {
                prop_assert!(eur(&cell, amounts).is_err() || cell.chars().any(|c| c.is_ascii_digit()));
            }
        }
    }
}
