//! MT940 statements (SWIFT Customer Statement Message), with the `:86:` fields that German banks structure.
//!
//! ```text
//! :20:reference   :25:account   :28C:statement/page   :60F:opening balance
//! :61:YYMMDD[MMDD](C|D|RC|RD)[funds code]amount,Nxxx customer's reference[//bank's reference]
//! :86:what it says, on up to six lines, or 166?00..?20 purpose ..?29?32 name?33 name
//! :62F:closing balance
//! ```
//! A statement must end with its closing balance: a file that was cut off is refused.

use jiff::civil::Date;

use super::super::money::{BadMoney, Currency, Money};
use super::{BankError, Direction, Draft, Entry, entries, joined, reference};

/// Lines of one field at most: `:86:` has six, and some banks write more.
const FIELD_LINES_MAX: usize = 64;
/// Business transaction codes of returned direct debits (DK, GVC 108 and 109).
const RETURN_CODES: [&str; 2] = ["108", "109"];
/// Stands before the number of a field within `:86:`; each bank has chosen one.
const FIELD_SIGNS: [char; 10] = ['?', '>', '<', '+', '|', '@', '#', '*', '~', '^'];
/// SWIFT's transaction type of a returned item.
const RETURNED_ITEM: &str = "RTI";

/// Reads the entries of all statements in a file.
///
/// # Errors
/// [`BankError::Line`]
pub fn read(text: &str) -> Result<Vec<Entry>, BankError> {
    let mut drafts = Vec::new();
    let mut statement = Statement::default();
    for field in fields(text)? {
        statement.take(&field, &mut drafts)?;
    }
    if statement.begun.is_some() {
        return Err(fault(text.lines().count(), "the statement does not end with :62F:"));
    }
    Ok(entries(drafts))
}

/// One field with the line it begins in.
struct Field<'t> {
    line: usize,
    tag: &'t str,
    lines: Vec<&'t str>,
}

impl<'t> Field<'t> {
    fn first(&self) -> &'t str {
        self.lines.first().copied().unwrap_or_default()
    }
}

/// The fields of a file; SWIFT's own blocks around them are passed over.
fn fields(text: &str) -> Result<Vec<Field<'_>>, BankError> {
    let mut fields: Vec<Field<'_>> = Vec::new();
    let mut open = false;
    for (at, line) in text.lines().enumerate() {
        let number = at + 1;
        let line = line.trim_end_matches('\r');
        if let Some((tag, rest)) = tag(line) {
            fields.push(Field { line: number, tag, lines: vec![rest] });
            open = true;
        } else if line.starts_with('{') || line.starts_with("-}") || line.trim() == "-" {
            open = false;
        } else if line.trim().is_empty() {
            // Neither begins nor ends anything.
        } else if let Some(field) = fields.last_mut().filter(|_| open) {
            if field.lines.len() == FIELD_LINES_MAX {
                return Err(fault(number, "the field has too many lines"));
            }
            field.lines.push(line);
        } else {
            return Err(fault(number, "must begin with a field as :61:"));
        }
    }
    Ok(fields)
}

/// `:61:rest` as tag and rest.
fn tag(line: &str) -> Option<(&str, &str)> {
    let (tag, rest) = line.strip_prefix(':')?.split_once(':')?;
    let digits = tag.get(..2)?.bytes().all(|b| b.is_ascii_digit());
    let letter = &tag[2..];
    let fits =
        digits && (letter.is_empty() || (letter.len() == 1 && letter.as_bytes()[0].is_ascii_uppercase()));
    fits.then_some((tag, rest))
}

fn fault(line: usize, why: impl Into<String>) -> BankError {
    BankError::Line { line, why: why.into() }
}

/// What the fields so far said of the statement that is open.
#[derive(Default)]
struct Statement {
    /// The line of the opening `:20:`.
    begun: Option<usize>,
    account: Option<String>,
    currency: Option<Currency>,
    /// The count of entries when the last `:61:` was read, for the `:86:` that belongs to it.
    last: Option<usize>,
}

impl Statement {
    fn take(&mut self, field: &Field<'_>, drafts: &mut Vec<Draft>) -> Result<(), BankError> {
        match field.tag {
            "20" => self.begin(field),
            "25" | "25P" => {
                self.account = reference(field.first());
                Ok(())
            }
            "60F" | "60M" => {
                self.currency = Some(balance_currency(field)?);
                Ok(())
            }
            "61" => {
                drafts.push(self.entry(field)?);
                self.last = Some(drafts.len() - 1);
                Ok(())
            }
            "86" => {
                let draft = self.last.take().and_then(|at| drafts.get_mut(at));
                // After the closing balance it speaks of the whole statement.
                if let Some(draft) = draft {
                    describe(draft, field);
                }
                Ok(())
            }
            "62F" | "62M" => {
                balance_currency(field)?;
                *self = Statement::default();
                Ok(())
            }
            // Numbers of statements and pages, other balances.
            _ => Ok(()),
        }
    }

    fn begin(&mut self, field: &Field<'_>) -> Result<(), BankError> {
        if let Some(line) = self.begun {
            return Err(fault(field.line, format!("the statement of line {line} does not end with :62F:")));
        }
        *self = Statement { begun: Some(field.line), ..Statement::default() };
        Ok(())
    }

    fn entry(&self, field: &Field<'_>) -> Result<Draft, BankError> {
        let wrong = |why: &str| fault(field.line, format!(":61: {why}"));
        let currency = self.currency.ok_or_else(|| wrong("stands before the opening balance :60F:"))?;
        let account = self.account.clone().ok_or_else(|| wrong("stands before the account :25:"))?;
        let line = parse_61(field.first(), currency).map_err(wrong)?;
        Ok(Draft {
            reference: None,
            account,
            booked: line.booked,
            amount: line.amount,
            direction: line.direction,
            reversal: line.reversal,
            // Kept for the digest, and told anew by the field that follows.
            remittance: joined(field.lines.iter().skip(1).copied()),
            end_to_end: line.customer,
            debtor_name: None,
        })
    }
}

fn balance_currency(field: &Field<'_>) -> Result<Currency, BankError> {
    let wrong = || fault(field.line, format!(":{}: must be a balance as C260309EUR1,00", field.tag));
    // A mark, six digits of a date, then the currency.
    let said = field.first();
    let marked = said.starts_with(['C', 'D']) && said.get(1..7).is_some_and(all_digits);
    let currency = said.get(7..10).filter(|_| marked).ok_or_else(wrong)?;
    Currency::parse(currency).map_err(|_| wrong())
}

fn all_digits(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

/// What the statement line `:61:` says.
struct Line {
    booked: Date,
    amount: Money,
    direction: Direction,
    reversal: bool,
    customer: Option<String>,
}

fn parse_61(text: &str, currency: Currency) -> Result<Line, &'static str> {
    let value = text.get(..6).filter(|day| all_digits(day)).ok_or("must begin with a date as 260309")?;
    let value = day(&format!("20{value}")).ok_or("has a date that no calendar has")?;
    let rest = &text[6..];
    let (booked, rest) = match rest.get(..4).filter(|day| all_digits(day)) {
        Some(booking) => (near(value, booking).ok_or("has a booking date that no calendar has")?, &rest[4..]),
        None => (value, rest),
    };
    let (direction, reversal, rest) = mark(rest).ok_or("must have C, D, RC or RD behind its dates")?;
    // The third letter of the currency may stand here.
    let rest = rest.strip_prefix(|c: char| c.is_ascii_uppercase()).unwrap_or(rest);
    let ends = rest.find(|c: char| !c.is_ascii_digit() && c != ',').unwrap_or(rest.len());
    let (amount, rest) = rest.split_at(ends);
    let amount = money(amount, currency)?;
    let kind =
        rest.get(..4).filter(|kind| kind.starts_with(['N', 'F', 'S'])).ok_or("has no transaction type")?;
    let customer = rest[4..].split("//").next().and_then(reference);
    let reversal = reversal || (direction == Direction::Debit && kind.ends_with(RETURNED_ITEM));
    Ok(Line { booked, amount, direction, reversal, customer })
}

/// `RC` takes a credit back, so money leaves; `RD` gives back what had left.
fn mark(text: &str) -> Option<(Direction, bool, &str)> {
    let marks = [
        ("RC", Direction::Debit, true),
        ("RD", Direction::Credit, true),
        ("C", Direction::Credit, false),
        ("D", Direction::Debit, false),
    ];
    marks.into_iter().find_map(|(mark, direction, reversal)| {
        text.strip_prefix(mark).map(|rest| (direction, reversal, rest))
    })
}

fn money(text: &str, currency: Currency) -> Result<Money, &'static str> {
    let Some((whole, part)) = text.split_once(',') else { return Err("must have an amount with a comma") };
    let value = if part.is_empty() { whole.to_owned() } else { format!("{whole}.{part}") };
    match Money::parse(&value, currency) {
        Ok(money) if money.is_positive() => Ok(money),
        Ok(_) => Err("must have an amount above zero"),
        Err(BadMoney::Digits) => Err("has an amount with more digits than its currency"),
        Err(BadMoney::TooLarge) => Err("has an amount beyond what can be"),
        Err(_) => Err("must have an amount as 120,50"),
    }
}

/// `20260309` as a day.
fn day(text: &str) -> Option<Date> {
    let (year, month, day) = (text.get(..4)?, text.get(4..6)?, text.get(6..8)?);
    Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).ok()
}

/// The day `MMDD` that lies nearest to a value date: the year of a booking is not told.
fn near(value: Date, booking: &str) -> Option<Date> {
    let years = [value.year() - 1, value.year(), value.year() + 1];
    let days = years.into_iter().filter_map(|year| day(&format!("{year:04}{booking}")));
    days.min_by_key(|day| (value - *day).get_days().abs())
}

/// Puts what `:86:` says onto its entry.
fn describe(draft: &mut Draft, field: &Field<'_>) {
    let supplement = std::mem::take(&mut draft.remittance);
    match structured(field) {
        Some(fields) => fields.describe(draft),
        None => {
            draft.remittance = joined(field.lines.iter().copied());
            let end_to_end = slashed(&draft.remittance, "EREF").and_then(reference);
            draft.debtor_name = slashed(&draft.remittance, "NAME").map(str::to_owned);
            draft.end_to_end = end_to_end.or(draft.end_to_end.take());
        }
    }
    if draft.remittance.is_empty() {
        draft.remittance = supplement;
    }
}

/// The value behind `/TAG/`, up to the next slash.
fn slashed<'t>(text: &'t str, tag: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(&format!("/{tag}/"))?;
    let value = rest.split('/').next().unwrap_or(rest).trim();
    (!value.is_empty()).then_some(value)
}

/// The fields of a structured `:86:`: three digits, then a sign and two digits before each.
struct Fields {
    code: String,
    fields: Vec<(u8, String)>,
}

fn structured(field: &Field<'_>) -> Option<Fields> {
    // Lines break anywhere, within a field's number too.
    let whole: String = field.lines.concat();
    let code = whole.get(..3).filter(|code| all_digits(code))?.to_owned();
    let rest = &whole[3..];
    let sign = rest.chars().next().filter(|c| FIELD_SIGNS.contains(c))?;
    rest.get(sign.len_utf8()..sign.len_utf8() + 2).filter(|number| all_digits(number))?;
    let mut fields: Vec<(u8, String)> = Vec::new();
    for piece in rest.split(sign).skip(1) {
        let number =
            piece.get(..2).filter(|number| all_digits(number)).and_then(|number| number.parse().ok());
        match (number, fields.last_mut()) {
            (Some(number), _) => fields.push((number, piece[2..].to_owned())),
            // The sign itself stands in a text.
            (None, Some((_, text))) => {
                text.push(sign);
                text.push_str(piece);
            }
            (None, None) => return None,
        }
    }
    Some(Fields { code, fields })
}

impl Fields {
    fn text(&self, wanted: impl Fn(u8) -> bool) -> String {
        joined(self.fields.iter().filter(|(number, _)| wanted(*number)).map(|(_, text)| text.as_str()))
    }

    fn describe(&self, draft: &mut Draft) {
        let purpose = self.text(|number| matches!(number, 20..=29 | 60..=63));
        let end_to_end = tagged(&purpose, "EREF+").and_then(reference);
        draft.end_to_end = end_to_end.or(draft.end_to_end.take());
        draft.remittance = tagged(&purpose, "SVWZ+").map_or(purpose.clone(), str::to_owned);
        let name = self.text(|number| matches!(number, 32 | 33));
        draft.debtor_name = (!name.is_empty()).then_some(name);
        draft.reversal |= draft.direction == Direction::Debit && RETURN_CODES.contains(&self.code.as_str());
    }
}

/// Words that begin a value within the purpose of a SEPA payment.
const TAGS: [&str; 12] = [
    "ABWA+", "ABWE+", "BIC+", "COAM+", "CRED+", "DEBT+", "EREF+", "IBAN+", "KREF+", "MREF+", "OAMT+", "SVWZ+",
];

/// The value behind a tag, up to the next.
fn tagged<'t>(text: &'t str, tag: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(tag)?;
    let ends = TAGS.iter().filter_map(|tag| rest.find(tag)).min().unwrap_or(rest.len());
    Some(rest[..ends].trim())
}
