//! One value on its way through the template engine, and the marks it stands between in the engine's output.
//!
//! The engine hands values on as opaque objects and never reads them: what a value says cannot be parsed as
//! a template. [`spans`] takes the output apart again, so that whoever judges the text knows which characters
//! came from which field. The marks are private-use characters, which neither values nor bodies may hold.

use std::ops::Range;

use jiff::civil::Date;

use super::RenderError;
use super::fields::{Field, FieldName, Fields, Kind};
use super::locale::{DateForm, Locale, MoneyForm};
use super::transliterate::{Transliterate, transliterate};
use super::value::{self, Dirt};
use crate::reminder::money::Money;

const OPEN: char = '\u{E000}';
const CLOSE: char = '\u{E001}';
/// Field 0; a body names fewer fields than there are private-use characters behind it.
const FIRST: u32 = 0xE100;

/// What a field holds once it is looked at.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    Absent,
    /// Cleaned; empty counts as absent.
    Text(String),
    /// The template author's own words, from a `default`.
    Literal(String),
    Money(Money),
    /// Money, and how to write it.
    Amount(Money, MoneyForm),
    Date(Date),
    Link(String),
    Number(i64),
    WrongKind,
    Dirty(Dirt),
}

impl Content {
    /// What `fields` says under a name.
    pub fn of(name: &FieldName, fields: &Fields) -> Content {
        match fields.get(name) {
            None => Content::Absent,
            Some(value) if !value.fits(name) => Content::WrongKind,
            Some(Field::Text(raw)) => value::clean(raw).map_or_else(Content::Dirty, Content::Text),
            Some(Field::Money(amount)) => Content::Money(*amount),
            Some(Field::Date(date)) => Content::Date(*date),
            Some(Field::Link(link)) => Content::Link(link.clone()),
            Some(Field::Number(number)) => Content::Number(*number),
        }
    }

    pub fn is_absent(&self) -> bool {
        match self {
            Content::Absent => true,
            Content::Text(text) => text.is_empty(),
            _ => false,
        }
    }
}

/// How values are written in one text.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    pub locale: Locale,
    pub level: Transliterate,
    /// Leave names of persons as they are.
    pub spare_names: bool,
}

/// Writes a value between its marks; the words of a `default` stand without any.
///
/// # Errors
/// [`RenderError`] that names the field.
pub fn print(
    content: &Content,
    number: usize,
    name: &FieldName,
    manner: Manner,
) -> Result<String, RenderError> {
    let field = || name.clone();
    if content.is_absent() {
        return Err(RenderError::Missing { field: field() });
    }
    let text = match content {
        Content::Literal(text) => return Ok(text.clone()),
        Content::Text(text) => text_of(text, name, manner)?,
        Content::Money(amount) => amount_of(*amount, MoneyForm::Code, name, manner)?,
        Content::Amount(amount, form) => amount_of(*amount, *form, name, manner)?,
        Content::Date(date) => written(&manner.locale.date(*date, DateForm::Short), manner),
        Content::Number(number) => number.to_string(),
        Content::Link(link) if is_plain_link(link) => link.clone(),
        Content::Link(_) => return Err(RenderError::BadLink { field: field() }),
        Content::Dirty(Dirt::Bidi) => return Err(RenderError::Bidi { field: field() }),
        Content::Dirty(Dirt::TooLong) => return Err(RenderError::ValueTooLong { field: field() }),
        Content::WrongKind | Content::Absent => return Err(RenderError::WrongKind { field: field() }),
    };
    let mark = char::from_u32(FIRST + number as u32).unwrap_or(OPEN);
    Ok(format!("{OPEN}{mark}{text}{CLOSE}"))
}

fn text_of(text: &str, name: &FieldName, manner: Manner) -> Result<String, RenderError> {
    let is_name = name.kind() == Kind::Name;
    let spared = is_name && manner.spare_names;
    let text = if spared { text.to_owned() } else { written(text, manner) };
    if text.chars().count() > value::PRINTED_MAX {
        return Err(RenderError::ValueTooLong { field: name.clone() });
    }
    if value::is_link(&text, is_name) {
        return Err(RenderError::LinkInValue { field: name.clone() });
    }
    Ok(text)
}

fn amount_of(
    amount: Money,
    form: MoneyForm,
    name: &FieldName,
    manner: Manner,
) -> Result<String, RenderError> {
    if !amount.is_positive() {
        return Err(RenderError::NotPositive { field: name.clone() });
    }
    Ok(manner.locale.money(amount, form))
}

fn written(text: &str, manner: Manner) -> String {
    transliterate(text, manner.level).into_owned()
}

/// Checked by `reminder::link` against the creditor's hosts; here only that it is one unbroken word.
fn is_plain_link(link: &str) -> bool {
    let scheme = ["https://", "http://"].into_iter().find_map(|scheme| link.strip_prefix(scheme));
    scheme.is_some_and(|rest| !rest.is_empty())
        && link.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'{' | b'}' | b'<' | b'>' | b'"'))
}

/// A text without marks, and where the values in it stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marked {
    pub text: String,
    /// Octets of `text`, and the number of the field.
    pub values: Vec<(Range<usize>, usize)>,
}

/// Takes the engine's output apart. Runs of blanks, left by conditions that were false, are joined; blanks at
/// the ends of lines and of the text go.
pub fn spans(output: &str) -> Marked {
    let mut marked = Marked::default();
    let mut open: Option<(usize, usize)> = None;
    let mut rest = output.chars();
    while let Some(c) = rest.next() {
        let text = &mut marked.text;
        match c {
            OPEN => {
                let number = rest.next().map_or(0, |mark| u32::from(mark).saturating_sub(FIRST) as usize);
                open = Some((text.len(), number));
            }
            CLOSE => {
                if let Some((start, number)) = open.take() {
                    marked.values.push((start..text.len(), number));
                }
            }
            ' ' if text.is_empty() || text.ends_with([' ', '\n']) => {}
            '\n' => {
                text.truncate(text.trim_end_matches(' ').len());
                if !text.is_empty() {
                    text.push(c);
                }
            }
            other => text.push(other),
        }
    }
    marked.text.truncate(marked.text.trim_end().len());
    marked
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANNER: Manner = Manner { locale: Locale::De, level: Transliterate::Full, spare_names: true };

    fn printed(name: FieldName, value: Field) -> Result<String, RenderError> {
        let fields = Fields::new().with(name.clone(), value);
        print(&Content::of(&name, &fields), 0, &name, MANNER).map(|output| spans(&output).text)
    }

    #[test]
    fn names_are_spared_where_asked_and_other_text_is_not() {
        let polish = || Field::Text("Wałęsa".into());
        assert_eq!(printed(FieldName::LastName, polish()).unwrap(), "Wałęsa");
        assert_eq!(printed(FieldName::Company, polish()).unwrap(), "Walesa");
    }

    #[test]
    fn a_value_may_not_push_the_rest_out_of_sight() {
        let long = |n: usize| printed(FieldName::Description, Field::Text("x".repeat(n)));
        assert!(long(value::PRINTED_MAX).is_ok());
        assert_eq!(
            long(value::PRINTED_MAX + 1),
            Err(RenderError::ValueTooLong { field: FieldName::Description })
        );
        assert_eq!(long(10_240), Err(RenderError::ValueTooLong { field: FieldName::Description }));
    }

    #[test]
    fn a_link_is_one_unbroken_word_of_a_known_scheme() {
        for bad in
            ["https://", "ftp://a.b", "https://a.b/ c", "https://a.b/{token}", "https://a.b/ü", "a.b/c"]
        {
            let error = printed(FieldName::Link, Field::Link(bad.into())).unwrap_err();
            assert_eq!(error, RenderError::BadLink { field: FieldName::Link }, "{bad}");
        }
    }

    #[test]
    fn the_output_comes_apart_where_the_values_stand() {
        let output = format!("a  {OPEN}\u{E102}b c{CLOSE}  \n {OPEN}\u{E100}d{CLOSE} ");
        let marked = spans(&output);
        assert_eq!(marked.text, "a b c\nd");
        assert_eq!(marked.values, [(2..5, 2), (6..7, 0)]);
    }
}
