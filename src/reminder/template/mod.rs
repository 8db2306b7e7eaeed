//! Templates: the firm's words, checked once at save, and the text that one recipient gets.
//!
//! Invariants
//! - What compiles renders in bounded time; nothing in it loops, calls or reads anything but the fields given.
//! - A value is data: it is never parsed, never breaks a line, never makes a link ([`RenderError::LinkInValue`]).
//! - Nothing is guessed: a missing or empty field without `default` refuses the text.
//! - The opt-out footer is whole or there is no text; over budget it is the body that gets shorter.
//!
//! It leaves to others: versions, who may save, which link a recipient gets (`reminder::link`), whether a footer
//! or a disclosure is due (packs), and sending.

mod cell;
pub mod fields;
mod filters;
#[cfg(test)]
mod library;
pub mod lint;
mod locale;
pub mod pick;
pub mod preview;
mod program;
mod syntax;
mod transliterate;
mod value;
mod words;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use self::cell::{Manner, Marked};
pub use self::fields::{Field, FieldName, Fields, Kind};
use self::locale::Locale;
use self::program::Program;
pub use self::syntax::{Fault, SOURCE_MAX};
pub use self::transliterate::Transliterate;
use crate::message::Encoding;
use crate::reminder::name::{Key, Language};
use crate::sms::segment;

/// Segments of one text, where the template sets no lower number.
pub const SEGMENTS_MAX: u8 = 10;

/// What a text is for. Append only: stored by position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    Reminder,
    Dunning,
    Confirmation,
    /// Asks whether the number is the right one, before any detail of a debt.
    Verify,
    Help,
    OptoutConfirm,
}

impl Class {
    /// Whether it asks for money: an amount must be open.
    pub const fn asks_for_money(self) -> bool {
        matches!(self, Class::Reminder | Class::Dunning)
    }
}

/// A template as a firm writes it, one language of one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    pub key: Key,
    pub language: Language,
    pub class: Class,
    pub body: String,
    /// Goes instead of `body` where that is over budget.
    #[serde(default)]
    pub body_short: Option<String>,
    #[serde(default)]
    pub menu: Option<Key>,
    #[serde(default)]
    pub transliterate: Transliterate,
    /// Segments, 1 to [`SEGMENTS_MAX`].
    #[serde(default = "segments_max")]
    pub max_segments: u8,
}

const fn segments_max() -> u8 {
    SEGMENTS_MAX
}

/// Which of a template's bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Variant {
    Body,
    BodyShort,
}

/// Why a template cannot be saved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTemplate {
    #[error("body: {0}")]
    Body(Fault),
    #[error("body_short: {0}")]
    BodyShort(Fault),
    #[error("max_segments must be 1 to {SEGMENTS_MAX}")]
    Segments,
}

/// Why a text is not made for one recipient. Nothing is queued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    #[error("{field} is missing or empty")]
    Missing { field: FieldName },
    #[error("{field} holds a value of another kind")]
    WrongKind { field: FieldName },
    #[error("{field} would make a link")]
    LinkInValue { field: FieldName },
    #[error("{field} is no link that may be sent")]
    BadLink { field: FieldName },
    #[error("{field} is not above zero")]
    NotPositive { field: FieldName },
    #[error("{field} holds characters that reorder the text")]
    Bidi { field: FieldName },
    #[error("{field} is too long")]
    ValueTooLong { field: FieldName },
    #[error("the text holds braces of a template")]
    Braces,
    #[error("the text is empty")]
    Empty,
    #[error("there is no opt-out footer in {language}")]
    NoFooter { language: Language },
    #[error("takes {segment_count} segments, at most {limit} may go")]
    TooLong { segment_count: u8, limit: u8 },
    #[error("cannot be rendered: {why}")]
    Engine { why: String },
}

impl RenderError {
    /// A stable word for reports and problems.
    pub const fn code(&self) -> &'static str {
        match self {
            RenderError::Missing { .. } => "render_missing",
            RenderError::WrongKind { .. } => "render_wrong_kind",
            RenderError::LinkInValue { .. } => "render_link_in_value",
            RenderError::BadLink { .. } => "render_bad_link",
            RenderError::NotPositive { .. } => "render_not_positive",
            RenderError::Bidi { .. } => "render_bidi",
            RenderError::ValueTooLong { .. } => "render_value_too_long",
            RenderError::Braces => "render_braces",
            RenderError::Empty => "render_empty",
            RenderError::NoFooter { .. } => "render_no_footer",
            RenderError::TooLong { .. } => "render_too_long",
            RenderError::Engine { .. } => "render_engine",
        }
    }

    /// The field at fault, where it is one.
    pub const fn field(&self) -> Option<&FieldName> {
        match self {
            RenderError::Missing { field }
            | RenderError::WrongKind { field }
            | RenderError::LinkInValue { field }
            | RenderError::BadLink { field }
            | RenderError::NotPositive { field }
            | RenderError::Bidi { field }
            | RenderError::ValueTooLong { field } => Some(field),
            _ => None,
        }
    }
}

/// What stands around the body, by pack and step.
#[derive(Clone, Copy, Debug, Default)]
pub struct Frame<'a> {
    /// The pack's text, in the template's language.
    pub disclosure: Option<&'a str>,
    /// Digits and labels; written out unless the body spells them.
    pub menu: &'a [(u8, &'a str)],
    /// Whether the text must say how to opt out.
    pub footer: bool,
    /// Whether names of persons keep letters that GSM 7-bit lacks.
    pub spare_names: bool,
}

/// The text that goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    pub text: String,
    pub encoding: Encoding,
    pub segment_count: u8,
    pub variant: Variant,
}

/// A checked template. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Compiled(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    template: Template,
    locale: Locale,
    body: Program,
    short: Option<Program>,
}

impl Compiled {
    /// Checks a template; whatever passes can be rendered.
    ///
    /// # Errors
    /// [`BadTemplate`]
    pub fn new(template: Template) -> Result<Compiled, BadTemplate> {
        if !(1..=SEGMENTS_MAX).contains(&template.max_segments) {
            return Err(BadTemplate::Segments);
        }
        let locale = Locale::of(&template.language);
        let level = template.transliterate;
        let program = |body: &str| syntax::check(body, locale, level).and_then(Program::new);
        let body = program(&template.body).map_err(BadTemplate::Body)?;
        let short =
            template.body_short.as_deref().map(program).transpose().map_err(BadTemplate::BodyShort)?;
        Ok(Compiled(Arc::new(Inner { template, locale, body, short })))
    }

    pub fn template(&self) -> &Template {
        &self.0.template
    }

    /// Whether either body names a field.
    pub fn names(&self, field: &FieldName) -> bool {
        let programs = std::iter::once(&self.0.body).chain(&self.0.short);
        programs.flat_map(|program| &program.checked.fields).any(|named| named == field)
    }

    /// The body, or where that is over budget the short one.
    ///
    /// # Errors
    /// [`RenderError`]; [`RenderError::TooLong`] speaks of the last body tried.
    pub fn render(&self, fields: &Fields, frame: Frame) -> Result<Rendered, RenderError> {
        let limit = self.0.template.max_segments;
        let mut rendered = self.render_variant(Variant::Body, fields, frame)?;
        if rendered.segment_count > limit && self.0.short.is_some() {
            rendered = self.render_variant(Variant::BodyShort, fields, frame)?;
        }
        if rendered.segment_count > limit {
            return Err(RenderError::TooLong { segment_count: rendered.segment_count, limit });
        }
        Ok(rendered)
    }

    /// One body, whatever it costs; the long one where there is no short one.
    ///
    /// # Errors
    /// [`RenderError`]
    pub fn render_variant(
        &self,
        variant: Variant,
        fields: &Fields,
        frame: Frame,
    ) -> Result<Rendered, RenderError> {
        let (program, variant) = match (variant, &self.0.short) {
            (Variant::BodyShort, Some(short)) => (short, Variant::BodyShort),
            _ => (&self.0.body, Variant::Body),
        };
        self.check_amount(fields)?;
        let manner = self.manner(frame);
        let menu = menu_text(frame.menu);
        let marked = if program.checked.printed.contains(&FieldName::Menu) && !menu.is_empty() {
            program.run(&fields.clone().text(FieldName::Menu, &menu), manner)?
        } else {
            program.run(fields, manner)?
        };
        check_values(&marked, &program.checked.fields)?;
        let text = self.composed(program, marked, &menu, frame)?;
        let encoding = segment::choose(&text);
        let measured = segment::measure(&text, encoding);
        let limit = self.0.template.max_segments;
        let measure = measured.map_err(|_| RenderError::TooLong { segment_count: u8::MAX, limit })?;
        Ok(Rendered { text, encoding, segment_count: measure.segment_count, variant })
    }

    fn manner(&self, frame: Frame) -> Manner {
        let Inner { template, locale, .. } = &*self.0;
        Manner { locale: *locale, level: template.transliterate, spare_names: frame.spare_names }
    }

    /// Nobody is reminded of nothing, whether or not the text says the amount.
    fn check_amount(&self, fields: &Fields) -> Result<(), RenderError> {
        let field = FieldName::Amount;
        match fields.get(&field) {
            Some(Field::Money(amount)) if self.0.template.class.asks_for_money() && !amount.is_positive() => {
                Err(RenderError::NotPositive { field })
            }
            _ => Ok(()),
        }
    }

    /// Body, disclosure, menu, footer: a line each.
    fn composed(
        &self,
        program: &Program,
        marked: Marked,
        menu: &str,
        frame: Frame,
    ) -> Result<String, RenderError> {
        let Inner { template, locale, .. } = &*self.0;
        let says_stop = says_stop(&marked);
        let mut text = marked.text;
        if let Some(disclosure) = frame.disclosure {
            add_line(&mut text, &transliterate::transliterate(disclosure.trim(), template.transliterate));
        }
        let placed = program.checked.printed.contains(&FieldName::Menu);
        if !placed && !spells(&program.checked.literal, frame.menu) {
            add_line(&mut text, &transliterate::transliterate(menu, template.transliterate));
        }
        // Who has just opted out is not told how.
        let asks = frame.footer && template.class != Class::OptoutConfirm;
        if asks && !says_stop {
            let language = || template.language.clone();
            let footer = locale.footer().ok_or_else(|| RenderError::NoFooter { language: language() })?;
            add_line(&mut text, footer);
        }
        Ok(text)
    }
}

fn add_line(text: &mut String, line: &str) {
    if !line.is_empty() {
        text.push('\n');
        text.push_str(line);
    }
}

fn menu_text(menu: &[(u8, &str)]) -> String {
    let lines: Vec<String> = menu.iter().map(|(digit, label)| format!("{digit} = {label}")).collect();
    lines.join(", ")
}

/// Whether the author wrote every digit of a menu with a sign behind it: `1 =`, `2:`, `3)`.
fn spells(literal: &str, menu: &[(u8, &str)]) -> bool {
    menu.iter().all(|(digit, _)| spells_digit(literal, *digit))
}

fn spells_digit(literal: &str, digit: u8) -> bool {
    let digit = digit.to_string();
    literal.match_indices(&digit).any(|(at, _)| {
        let begins = !literal[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '.' | ','));
        begins && literal[at + digit.len()..].trim_start_matches(' ').starts_with(['=', ':', ')'])
    })
}

/// Whether the author's own words name STOP: then a footer would say it twice.
fn says_stop(marked: &Marked) -> bool {
    let text = &marked.text;
    text.match_indices("STOP").any(|(at, word)| {
        let end = at + word.len();
        let whole =
            !text[..at].ends_with(char::is_alphanumeric) && !text[end..].starts_with(char::is_alphanumeric);
        whole && !marked.values.iter().any(|(value, _)| value.start < end && at < value.end)
    })
}

/// What no value may do to the text as a whole: make a link with its neighbours, or look like a tag.
fn check_values(marked: &Marked, names: &[FieldName]) -> Result<(), RenderError> {
    let Marked { text, values } = marked;
    if text.is_empty() {
        return Err(RenderError::Empty);
    }
    if ["{{", "}}", "{%", "%}"].iter().any(|braces| text.contains(braces)) {
        return Err(RenderError::Braces);
    }
    let kind = |number: usize| names.get(number).map(FieldName::kind);
    let within = |word: &std::ops::Range<usize>| {
        let word = word.clone();
        values.iter().filter(move |(value, _)| value.start < word.end && word.start < value.end)
    };
    let person = |word: &std::ops::Range<usize>| within(word).any(|(_, at)| kind(*at) == Some(Kind::Name));
    for word in value::links(text, person) {
        let strange = within(&word).find(|(_, at)| kind(*at) != Some(Kind::Link));
        if let Some(field) = strange.and_then(|(_, at)| names.get(*at)) {
            return Err(RenderError::LinkInValue { field: field.clone() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
