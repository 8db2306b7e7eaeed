//! Conditions: the `when` of a step or trigger, as `balance > 0 and stage != "disputed" and reminders < 3`.
//!
//! ```text
//! or    = and { "or" and }                 value = number | "text" | 2026-03-01 | true | false
//! and   = not { "and" not }                op    = "=" | "!=" | "<" | "<=" | ">" | ">="
//! not   = "not" not | "(" or ")" | field op value | field [ "not" ] "in" "(" value { "," value } ")"
//! ```
//! A field is a name or `custom.NAME`. Text and truth values know only `=` and `!=`. What a field does not have makes
//! its comparison false, `!=` too; `not` turns that around. Amounts are compared without their currency, because a
//! creditor's sequence is for one. A text is read as the kind it is compared with: custom fields are texts.
//! Which fields there are is the caller's to say ([`Condition::check`]). Outside and in the store it is its text.

use std::cmp::Ordering;
use std::fmt;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::money::Money;

/// Bytes of a condition: several lines of a form.
const MAX_BYTES: usize = 1_000;
/// Comparisons in one condition.
const MAX_TERMS: usize = 32;
/// Parentheses and `not` within each other.
const MAX_DEPTH: usize = 16;
/// Values of one `in`.
const MAX_VALUES: usize = 32;
/// Characters of a field's name.
const MAX_NAME: usize = 64;
/// Digits before the point: an amount without minor units has as many.
const MAX_WHOLE_DIGITS: usize = 15;
/// Digits after the point, as many as the finest currency has.
const DIGITS: usize = 3;
const CUSTOM: &str = "custom.";

/// A parsed condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Condition(Expr);

/// `And` and `Or` have two or more.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Expr {
    Or(Vec<Expr>),
    And(Vec<Expr>),
    Not(Box<Expr>),
    Compare { field: String, op: Op, value: Value },
    In { field: String, values: Vec<Value> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Equal,
    NotEqual,
    Less,
    AtMost,
    More,
    AtLeast,
}

/// What a field has, and what it is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Number(Number),
    Text(String),
    Bool(bool),
    Date(Date),
}

/// A number in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number(i64);

/// What a field can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Number,
    Text,
    Bool,
    Date,
    /// Whatever it is compared with: a custom field.
    Any,
}

/// Why a text is no condition, or none for these fields. Columns count characters from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCondition {
    #[error("is longer than {MAX_BYTES} bytes")]
    TooLong,
    #[error("column {column}: {wanted} is expected")]
    Expected { column: usize, wanted: &'static str },
    #[error("column {column}: {what}")]
    Wrong { column: usize, what: &'static str },
    #[error("there is no field {0}")]
    UnknownField(String),
    #[error("{field} is {is} and is compared with {with}")]
    OtherKind { field: String, is: &'static str, with: &'static str },
}

impl Condition {
    /// # Errors
    /// [`BadCondition`], with the column.
    pub fn parse(text: &str) -> Result<Condition, BadCondition> {
        if text.len() > MAX_BYTES {
            return Err(BadCondition::TooLong);
        }
        let mut parser = Parser { chars: text.chars().collect(), at: 0, terms: 0 };
        let expr = parser.or(0)?;
        if parser.peek().is_some() {
            return Err(parser.expected("and, or, or the end"));
        }
        let condition = Condition(expr);
        // As it is kept and read again.
        if condition.to_string().len() > MAX_BYTES { Err(BadCondition::TooLong) } else { Ok(condition) }
    }

    /// Whether every field is known and compared with what it can have; `None` of a field: there is none.
    ///
    /// # Errors
    /// [`BadCondition::UnknownField`], [`BadCondition::OtherKind`]: the first that is wrong.
    pub fn check(&self, kind_of: impl Fn(&str) -> Option<Kind>) -> Result<(), BadCondition> {
        self.0.each(&mut |field, value| {
            let is = kind_of(field).ok_or_else(|| BadCondition::UnknownField(field.to_owned()))?;
            let with = value.kind();
            if is == with || is == Kind::Any {
                return Ok(());
            }
            Err(BadCondition::OtherKind { field: field.to_owned(), is: is.as_str(), with: with.as_str() })
        })
    }

    /// Whether it holds for these fields; `None` of a field: it has no value.
    pub fn holds(&self, value_of: impl Fn(&str) -> Option<Value>) -> bool {
        self.0.holds(&value_of)
    }
}

impl Expr {
    fn holds(&self, value_of: &dyn Fn(&str) -> Option<Value>) -> bool {
        match self {
            Expr::Or(any) => any.iter().any(|expr| expr.holds(value_of)),
            Expr::And(all) => all.iter().all(|expr| expr.holds(value_of)),
            Expr::Not(expr) => !expr.holds(value_of),
            Expr::Compare { field, op, value } => {
                let order = value_of(field).and_then(|has| has.against(value));
                order.is_some_and(|order| op.fits(order))
            }
            Expr::In { field, values } => value_of(field)
                .is_some_and(|has| values.iter().any(|value| has.against(value) == Some(Ordering::Equal))),
        }
    }

    /// Every field with each value it is compared with, in order, until one is refused.
    fn each(
        &self,
        look: &mut dyn FnMut(&str, &Value) -> Result<(), BadCondition>,
    ) -> Result<(), BadCondition> {
        match self {
            Expr::Or(exprs) | Expr::And(exprs) => exprs.iter().try_for_each(|expr| expr.each(look)),
            Expr::Not(expr) => expr.each(look),
            Expr::Compare { field, value, .. } => look(field, value),
            Expr::In { field, values } => values.iter().try_for_each(|value| look(field, value)),
        }
    }
}

impl Op {
    fn fits(self, order: Ordering) -> bool {
        match self {
            Op::Equal => order.is_eq(),
            Op::NotEqual => order.is_ne(),
            Op::Less => order.is_lt(),
            Op::AtMost => order.is_le(),
            Op::More => order.is_gt(),
            Op::AtLeast => order.is_ge(),
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Op::Equal => "=",
            Op::NotEqual => "!=",
            Op::Less => "<",
            Op::AtMost => "<=",
            Op::More => ">",
            Op::AtLeast => ">=",
        }
    }
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Kind::Number => "a number",
            Kind::Text => "a text",
            Kind::Bool => "true or false",
            Kind::Date => "a date",
            Kind::Any => "anything",
        }
    }
}

impl Value {
    fn kind(&self) -> Kind {
        match self {
            Value::Number(_) => Kind::Number,
            Value::Text(_) => Kind::Text,
            Value::Bool(_) => Kind::Bool,
            Value::Date(_) => Kind::Date,
        }
    }

    /// How it stands to a value of a condition; `None` where the kinds differ.
    fn against(&self, value: &Value) -> Option<Ordering> {
        match (self, value) {
            (Value::Number(a), Value::Number(b)) => Some(a.cmp(b)),
            (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
            (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
            (Value::Date(a), Value::Date(b)) => Some(a.cmp(b)),
            (Value::Text(text), _) => {
                Value::read(text.trim()).filter(|a| a.kind() == value.kind())?.against(value)
            }
            _ => None,
        }
    }

    /// A value that needs no quotes.
    fn read(text: &str) -> Option<Value> {
        match text {
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            _ => date(text).map(Value::Date).or_else(|| Number::parse(text).map(Value::Number)),
        }
    }
}

impl From<Money> for Value {
    fn from(money: Money) -> Value {
        // At most 10^14 minor units, so that this stays below 10^17.
        let more = DIGITS.saturating_sub(money.currency().digits() as usize);
        Value::Number(Number(money.minor() * 10_i64.pow(more as u32)))
    }
}

impl From<u32> for Value {
    fn from(count: u32) -> Value {
        Value::Number(Number(i64::from(count) * 1_000))
    }
}

impl Number {
    /// An optional minus, digits, and at most three after a point.
    pub fn parse(text: &str) -> Option<Number> {
        let (sign, rest) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
        let (whole, part) = rest.split_once('.').unwrap_or((rest, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(part) || whole.len() > MAX_WHOLE_DIGITS || part.len() > DIGITS {
            return None;
        }
        let thousandths: i64 = format!("{whole}{part:0<DIGITS$}").parse().ok()?;
        Some(Number(sign * thousandths))
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0.unsigned_abs() / 1_000, self.0.unsigned_abs() % 1_000);
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{whole}")?;
        if part == 0 { Ok(()) } else { write!(f, ".{}", format!("{part:03}").trim_end_matches('0')) }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Number(number) => number.fmt(f),
            Value::Text(text) => write!(f, "\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
            Value::Bool(value) => value.fmt(f),
            Value::Date(date) => date.fmt(f),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expr::Or(exprs) => joined(f, exprs, " or ", |expr| matches!(expr, Expr::Or(_))),
            Expr::And(exprs) => joined(f, exprs, " and ", |expr| matches!(expr, Expr::Or(_) | Expr::And(_))),
            Expr::Not(expr) => {
                f.write_str("not ")?;
                within(f, expr, matches!(**expr, Expr::Or(_) | Expr::And(_)))
            }
            Expr::Compare { field, op, value } => write!(f, "{field} {} {value}", op.as_str()),
            Expr::In { field, values } => {
                let values: Vec<String> = values.iter().map(Value::to_string).collect();
                write!(f, "{field} in ({})", values.join(", "))
            }
        }
    }
}

fn joined(
    f: &mut fmt::Formatter<'_>,
    exprs: &[Expr],
    by: &str,
    needs_parentheses: impl Fn(&Expr) -> bool,
) -> fmt::Result {
    for (n, expr) in exprs.iter().enumerate() {
        f.write_str(if n == 0 { "" } else { by })?;
        within(f, expr, needs_parentheses(expr))?;
    }
    Ok(())
}

fn within(f: &mut fmt::Formatter<'_>, expr: &Expr, parentheses: bool) -> fmt::Result {
    if parentheses { write!(f, "({expr})") } else { write!(f, "{expr}") }
}

impl TryFrom<String> for Condition {
    type Error = BadCondition;

    fn try_from(text: String) -> Result<Condition, BadCondition> {
        Condition::parse(&text)
    }
}

impl From<Condition> for String {
    fn from(condition: Condition) -> String {
        condition.to_string()
    }
}

/// `2026-03-01` and nothing else.
fn date(text: &str) -> Option<Date> {
    let form =
        text.len() == 10 && text.bytes().enumerate().all(|(at, b)| (b == b'-') == (at == 4 || at == 7));
    if form { text.parse().ok() } else { None }
}

struct Parser {
    chars: Vec<char>,
    at: usize,
    terms: usize,
}

impl Parser {
    fn or(&mut self, depth: usize) -> Result<Expr, BadCondition> {
        let first = self.and(depth)?;
        let mut exprs = vec![first];
        while self.take_word("or") {
            exprs.push(self.and(depth)?);
        }
        Ok(one_or(exprs, Expr::Or))
    }

    fn and(&mut self, depth: usize) -> Result<Expr, BadCondition> {
        let first = self.not(depth)?;
        let mut exprs = vec![first];
        while self.take_word("and") {
            exprs.push(self.not(depth)?);
        }
        Ok(one_or(exprs, Expr::And))
    }

    fn not(&mut self, depth: usize) -> Result<Expr, BadCondition> {
        if depth > MAX_DEPTH {
            return Err(self.too_deep());
        }
        if self.take_word("not") {
            return Ok(Expr::Not(Box::new(self.not(depth + 1)?)));
        }
        if !self.take("(") {
            return self.term(depth);
        }
        let expr = self.or(depth + 1)?;
        self.need(")", "a closing parenthesis")?;
        Ok(expr)
    }

    fn term(&mut self, depth: usize) -> Result<Expr, BadCondition> {
        self.terms += 1;
        if self.terms > MAX_TERMS {
            return Err(self.wrong("there are too many comparisons"));
        }
        let field = self.field()?;
        if self.take_word("not") {
            if !self.take_word("in") {
                return Err(self.expected("in"));
            }
            // It is shown with the not before it.
            if depth == MAX_DEPTH {
                return Err(self.too_deep());
            }
            return Ok(Expr::Not(Box::new(self.values(field)?)));
        }
        if self.take_word("in") {
            return self.values(field);
        }
        let op = self.op()?;
        self.peek();
        let before = self.at;
        let value = self.value()?;
        let ordered = matches!(value, Value::Number(_) | Value::Date(_));
        if !ordered && !matches!(op, Op::Equal | Op::NotEqual) {
            let what = "a text, true and false are compared by = and != alone";
            return Err(BadCondition::Wrong { column: before + 1, what });
        }
        Ok(Expr::Compare { field, op, value })
    }

    fn values(&mut self, field: String) -> Result<Expr, BadCondition> {
        self.need("(", "an opening parenthesis")?;
        let mut values = vec![self.value()?];
        while self.take(",") {
            if values.len() == MAX_VALUES {
                return Err(self.wrong("there are too many values"));
            }
            values.push(self.value()?);
        }
        self.need(")", "a comma or a closing parenthesis")?;
        Ok(Expr::In { field, values })
    }

    fn field(&mut self) -> Result<String, BadCondition> {
        let word = self.word();
        let name = word.strip_prefix(CUSTOM);
        let begins = |text: &str| text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        let fits = match name {
            Some(name) => begins(name) && !name.contains('.'),
            None => word.starts_with(|c: char| c.is_ascii_lowercase()) && !word.contains(['.', '-']),
        };
        if !fits || is_keyword(&word) || word.len() > MAX_NAME {
            return Err(self.expected("the name of a field"));
        }
        self.at += word.len();
        Ok(word)
    }

    fn op(&mut self) -> Result<Op, BadCondition> {
        // The longer ones first.
        let all = [Op::NotEqual, Op::AtMost, Op::AtLeast, Op::Equal, Op::Less, Op::More];
        let found = all.into_iter().find(|op| self.take(op.as_str()));
        found.ok_or_else(|| self.expected("=, !=, <, <=, >, >= or in"))
    }

    fn value(&mut self) -> Result<Value, BadCondition> {
        if self.take("\"") {
            return self.text().map(Value::Text);
        }
        let word = self.word();
        let value = Value::read(&word);
        let wanted = "a number with at most three digits after the point, a \"text\", a date as 2026-03-01, true or false";
        let value = value.ok_or_else(|| self.expected(wanted))?;
        self.at += word.len();
        Ok(value)
    }

    /// The rest of a text whose first quote is taken.
    fn text(&mut self) -> Result<String, BadCondition> {
        let mut text = String::new();
        loop {
            let next = self.chars.get(self.at).copied();
            self.at += usize::from(next.is_some());
            match next {
                Some('"') => return Ok(text),
                Some('\\') => match self.chars.get(self.at) {
                    Some(&escaped @ ('"' | '\\')) => {
                        self.at += 1;
                        text.push(escaped);
                    }
                    _ => return Err(self.expected("\" or \\ behind a \\")),
                },
                Some(c) if c.is_control() => return Err(self.wrong("a text has no control characters")),
                Some(c) => text.push(c),
                None => return Err(self.expected("a closing quote")),
            }
        }
    }

    /// The letters, digits and `_ . -` that come next, untaken.
    fn word(&mut self) -> String {
        self.peek();
        let rest = self.chars.get(self.at..).unwrap_or_default();
        let fits = |c: &&char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        rest.iter().take_while(fits).collect()
    }

    fn take_word(&mut self, wanted: &str) -> bool {
        let found = self.word() == wanted;
        self.at += if found { wanted.len() } else { 0 };
        found
    }

    fn take(&mut self, wanted: &str) -> bool {
        self.peek();
        let rest = self.chars.get(self.at..).unwrap_or_default();
        let found = wanted.chars().eq(rest.iter().copied().take(wanted.len()));
        self.at += if found { wanted.len() } else { 0 };
        found
    }

    fn need(&mut self, wanted: &str, said: &'static str) -> Result<(), BadCondition> {
        if self.take(wanted) { Ok(()) } else { Err(self.expected(said)) }
    }

    /// The next character that is no blank.
    fn peek(&mut self) -> Option<char> {
        while self.chars.get(self.at).is_some_and(|c| c.is_whitespace()) {
            self.at += 1;
        }
        self.chars.get(self.at).copied()
    }

    fn expected(&self, wanted: &'static str) -> BadCondition {
        BadCondition::Expected { column: self.at + 1, wanted }
    }

    fn too_deep(&self) -> BadCondition {
        self.wrong("there are too many parentheses and not within each other")
    }

    fn wrong(&self, what: &'static str) -> BadCondition {
        BadCondition::Wrong { column: self.at + 1, what }
    }
}

fn is_keyword(word: &str) -> bool {
    ["and", "or", "not", "in", "true", "false"].contains(&word)
}

fn one_or(mut exprs: Vec<Expr>, many: impl Fn(Vec<Expr>) -> Expr) -> Expr {
    match (exprs.pop(), exprs.is_empty()) {
        (Some(only), true) => only,
        (last, _) => {
            exprs.extend(last);
            many(exprs)
        }
    }
}

#[cfg(test)]
mod tests;
