//! What a template may say, checked once at save.
//!
//! ```text
//! {{ field }}   {{ field|filter|filter("..") }}
//! {% if field %}  {% if days_overdue > 3 and not link %}  {% elif .. %}  {% else %}  {% endif %}
//! ```
//!
//! Everything else the template engine knows is refused here with its line: loops, `set`, macros, calls,
//! includes, arithmetic, comments. What passes is written anew for the engine with fields as numbers (`p3` to
//! print, `c3` in a condition), so a name in a template never reaches it, and with literal text already
//! transliterated. Whether tags nest and conditions are whole is left to the engine's own parser.

use std::fmt::Write as _;

use super::fields::{FieldName, Kind};
use super::filters::{Argument, Filter};
use super::locale::Locale;
use super::transliterate::{Transliterate, transliterate};
use super::value;

/// Octets of one body: ten segments of UCS-2 are 1.4 kB, and tags take room.
pub const SOURCE_MAX: usize = 4096;
/// Different fields of one body.
const FIELDS_MAX: usize = 64;
/// Conditions in conditions: deeper ones no person reads.
const DEPTH_MAX: usize = 8;

/// Why a body is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("is empty")]
    Empty,
    #[error("is longer than {SOURCE_MAX} octets")]
    TooLarge,
    #[error("line {line}: `{tag}` is not allowed: only {{{{ field }}}} and {{% if %}}, elif, else, endif")]
    Refused { line: usize, tag: String },
    #[error("line {line}: there is no field `{name}`")]
    UnknownField { line: usize, name: String },
    #[error("line {line}: there is no filter `{name}`")]
    UnknownFilter { line: usize, name: String },
    #[error("line {line}: the filter `{filter}` does not take {field}")]
    WrongKind { line: usize, filter: &'static str, field: FieldName },
    #[error("line {line}: the filter `{filter}` takes {takes}")]
    WrongArgument { line: usize, filter: &'static str, takes: &'static str },
    #[error("line {line}: {field} cannot be compared with that")]
    WrongComparison { line: usize, field: FieldName },
    #[error("line {line}: no names of months and days are known for this language")]
    NoNames { line: usize },
    #[error("line {line}: the character U+{:04X} is not allowed", u32::from(*.character))]
    Character { line: usize, character: char },
    #[error("line {line}: {why}")]
    Syntax { line: usize, why: String },
    #[error("names more than {FIELDS_MAX} fields")]
    TooManyFields,
}

/// A body that may be given to the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// For the engine.
    pub source: String,
    /// Every field named, at its number.
    pub fields: Vec<FieldName>,
    /// Those that are printed somewhere.
    pub printed: Vec<FieldName>,
    /// Those that are compared with something: they must be there whichever way a condition goes.
    pub compared: Vec<FieldName>,
    /// The text between the tags as written, a blank for each tag.
    pub literal: String,
}

/// Checks one body. The work is linear in its length, which is bounded.
///
/// # Errors
/// [`Fault`], the first one.
pub fn check(body: &str, locale: Locale, level: Transliterate) -> Result<Checked, Fault> {
    if body.trim().is_empty() {
        return Err(Fault::Empty);
    }
    if body.len() > SOURCE_MAX {
        return Err(Fault::TooLarge);
    }
    let checked = Checked {
        source: String::new(),
        fields: Vec::new(),
        printed: Vec::new(),
        compared: Vec::new(),
        literal: String::new(),
    };
    let mut checker = Checker { locale, level, line: 1, depth: 0, checked };
    // As forms of browsers send it.
    checker.run(&body.replace("\r\n", "\n"))?;
    Ok(checker.checked)
}

struct Checker {
    locale: Locale,
    level: Transliterate,
    line: usize,
    depth: usize,
    checked: Checked,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Token<'a> {
    /// A word with points in it: a field, a filter or a keyword.
    Word(&'a str),
    Text(&'a str),
    Number(&'a str),
    /// `==` and its like.
    Compare(&'a str),
    Sign(char),
}

impl Checker {
    fn run(&mut self, mut rest: &str) -> Result<(), Fault> {
        while let Some(at) = next_tag(rest) {
            self.literal(&rest[..at])?;
            let (open, inside) = rest[at..].split_at(2);
            rest = match open {
                "{{" => self.tag(inside, "}}")?,
                "{%" => self.tag(inside, "%}")?,
                _ => return Err(self.refused("{#")),
            };
        }
        self.literal(rest)
    }

    fn literal(&mut self, text: &str) -> Result<(), Fault> {
        for (at, c) in text.char_indices() {
            if c == '\n' {
                self.line += 1;
            } else if c.is_control() || value::is_reordering(c) || value::is_invisible(c) {
                return Err(Fault::Character { line: self.line, character: c });
            }
            if matches!(text.get(at..at + 2), Some("}}" | "%}" | "#}")) {
                return Err(self.syntax("a tag ends that did not begin"));
            }
        }
        self.checked.literal.push_str(text);
        self.checked.source.push_str(&transliterate(text, self.level));
        Ok(())
    }

    /// One tag, its opening taken; gives what follows it.
    fn tag<'a>(&mut self, inside: &'a str, close: &str) -> Result<&'a str, Fault> {
        if close == "%}" {
            self.keyword(inside)?;
        }
        let (tokens, rest) = self.tokens(inside, close)?;
        if close == "}}" {
            self.checked.source.push_str("{{");
            self.print(&tokens)?;
        } else {
            self.checked.source.push_str("{%");
            self.condition(&tokens)?;
        }
        self.checked.source.push_str(close);
        self.checked.literal.push(' ');
        Ok(rest)
    }

    /// Before the rest of a tag is read: a loop is refused as a loop, not for a sign in it.
    fn keyword(&self, inside: &str) -> Result<(), Fault> {
        let inside = inside.trim_start_matches(' ');
        let word = &inside[..inside.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(inside.len())];
        let known = word.is_empty() || ["if", "elif", "else", "endif"].contains(&word);
        if known { Ok(()) } else { Err(self.refused(word)) }
    }

    fn tokens<'a>(&self, inside: &'a str, close: &str) -> Result<(Vec<Token<'a>>, &'a str), Fault> {
        let mut tokens = Vec::new();
        let mut rest = inside.trim_start_matches(' ');
        loop {
            if let Some(after) = rest.strip_prefix(close) {
                return Ok((tokens, after));
            }
            let (token, after) = self.token(rest)?;
            tokens.push(token);
            rest = after.trim_start_matches(' ');
        }
    }

    fn token<'a>(&self, rest: &'a str) -> Result<(Token<'a>, &'a str), Fault> {
        let Some(first) = rest.chars().next() else { return Err(self.syntax("a tag does not end")) };
        if first == '"' || first == '\'' {
            return self.quoted(rest, first);
        }
        if first.is_ascii_alphanumeric() || first == '_' {
            let inside = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
            let (word, after) = rest.split_at(rest.find(|c| !inside(c)).unwrap_or(rest.len()));
            let number = first.is_ascii_digit();
            return Ok((if number { Token::Number(word) } else { Token::Word(word) }, after));
        }
        if let Some(compare) = ["==", "!=", "<=", ">=", "<", ">"].into_iter().find(|op| rest.starts_with(op))
        {
            let (op, after) = rest.split_at(compare.len());
            return Ok((Token::Compare(op), after));
        }
        match first {
            '|' | '(' | ')' | ',' => Ok((Token::Sign(first), &rest[1..])),
            other => Err(self.syntax(&format!("{other:?} is not allowed in a tag"))),
        }
    }

    fn quoted<'a>(&self, rest: &'a str, quote: char) -> Result<(Token<'a>, &'a str), Fault> {
        let Some((text, after)) = rest[1..].split_once(quote) else {
            return Err(self.syntax("a quoted text does not end"));
        };
        for c in text.chars() {
            if c.is_control() || value::is_reordering(c) || value::is_invisible(c) {
                return Err(Fault::Character { line: self.line, character: c });
            }
        }
        if text.contains(['\\', '"', '{', '}']) {
            return Err(self.syntax("a quoted text holds no \\, \", { or }"));
        }
        Ok((Token::Text(text), after))
    }

    /// `field|filter|filter(argument)`.
    fn print(&mut self, tokens: &[Token]) -> Result<(), Fault> {
        let Some((Token::Word(name), mut rest)) = tokens.split_first().map(|(first, rest)| (*first, rest))
        else {
            return Err(self.syntax("a tag names no field"));
        };
        let field = self.field(name)?;
        self.write('p', &field)?;
        if !self.checked.printed.contains(&field) {
            self.checked.printed.push(field.clone());
        }
        let mut kind = field.kind();
        while let Some((first, after)) = rest.split_first() {
            let (Token::Sign('|'), Some((Token::Word(name), after))) = (*first, after.split_first()) else {
                return Err(self.refused(&described(first)));
            };
            let filter = Filter::parse(name)
                .ok_or_else(|| Fault::UnknownFilter { line: self.line, name: (*name).to_owned() })?;
            let (argument, after) = self.argument(after)?;
            kind = self.filter(filter, argument, kind, &field)?;
            rest = after;
        }
        Ok(())
    }

    /// What stands in parentheses behind a filter: nothing, or one text or number.
    fn argument<'a, 'b>(&self, tokens: &'b [Token<'a>]) -> Result<(Argument<'a>, &'b [Token<'a>]), Fault> {
        match tokens {
            [Token::Sign('('), Token::Text(text), Token::Sign(')'), after @ ..] => {
                Ok((Argument::Text(text), after))
            }
            [Token::Sign('('), Token::Number(digits), Token::Sign(')'), after @ ..] => {
                let number = digits.parse().map_err(|_| self.syntax("that is no whole number"))?;
                Ok((Argument::Number(number), after))
            }
            [Token::Sign('('), ..] => Err(self.syntax("a filter takes one text or number at most")),
            after => Ok((Argument::None, after)),
        }
    }

    fn filter(
        &mut self,
        filter: Filter,
        argument: Argument,
        kind: Kind,
        field: &FieldName,
    ) -> Result<Kind, Fault> {
        let line = self.line;
        let name = filter.as_str();
        let gives = filter.gives(kind).ok_or_else(|| Fault::WrongKind {
            line,
            filter: name,
            field: field.clone(),
        })?;
        if !filter.takes(argument) {
            return Err(Fault::WrongArgument { line, filter: name, takes: filter.usage() });
        }
        if filter.needs_names(argument) && !self.locale.has_names() {
            return Err(Fault::NoNames { line });
        }
        let source = &mut self.checked.source;
        // Writing to a String never fails.
        let written = match argument {
            Argument::None => write!(source, "|{name}"),
            Argument::Number(number) => write!(source, "|{name}({number})"),
            // Curly quotes become straight ones, which would end the text.
            Argument::Text(text) => {
                write!(source, "|{name}(\"{}\")", transliterate(text, self.level).replace('"', "'"))
            }
        };
        written.map_err(|_| Fault::TooLarge)?;
        Ok(gives)
    }

    fn condition(&mut self, tokens: &[Token]) -> Result<(), Fault> {
        let Some((Token::Word(keyword), rest)) = tokens.split_first().map(|(first, rest)| (*first, rest))
        else {
            return Err(self.syntax("a tag says nothing"));
        };
        match keyword {
            "if" => self.depth += 1,
            "endif" => self.depth = self.depth.saturating_sub(1),
            "elif" | "else" => {}
            other => return Err(self.refused(other)),
        }
        if self.depth > DEPTH_MAX {
            return Err(self.syntax("too many conditions in each other"));
        }
        self.checked.source.push_str(keyword);
        if matches!(keyword, "else" | "endif") && !rest.is_empty() {
            return Err(self.syntax(&format!("`{keyword}` stands alone")));
        }
        self.comparisons(rest)?;
        for (at, token) in rest.iter().enumerate() {
            self.checked.source.push(' ');
            self.operand(token, at.checked_sub(1).map(|before| rest[before]))?;
        }
        Ok(())
    }

    fn operand(&mut self, token: &Token, before: Option<Token>) -> Result<(), Fault> {
        match token {
            Token::Word(word @ ("and" | "or" | "not")) | Token::Compare(word) => {
                self.checked.source.push_str(word)
            }
            Token::Word(name) => {
                let field = self.field(name)?;
                self.write('c', &field)?;
            }
            Token::Text(text) => {
                self.checked.source.push('"');
                self.checked.source.push_str(text);
                self.checked.source.push('"');
            }
            Token::Number(number) => self.checked.source.push_str(number),
            // Behind a word that is no operator this would be a call.
            Token::Sign('(') if matches!(before, Some(Token::Word(word)) if !matches!(word, "and" | "or" | "not")) =>
            {
                return Err(self.refused("a call"));
            }
            Token::Sign(sign @ ('(' | ')')) => self.checked.source.push(*sign),
            Token::Sign(other) => return Err(self.refused(&other.to_string())),
        }
        Ok(())
    }

    /// Both sides of each comparison must be of one kind, else its answer would mean nothing.
    fn comparisons(&mut self, tokens: &[Token]) -> Result<(), Fault> {
        for window in tokens.windows(3) {
            let [left, Token::Compare(_), right] = window else { continue };
            let sides = [self.side(left)?, self.side(right)?];
            let [(left, left_field), (right, right_field)] = sides;
            let fits = left == Side::Any || right == Side::Any || left == right;
            for field in [left_field, right_field].into_iter().flatten() {
                if !fits {
                    return Err(Fault::WrongComparison { line: self.line, field });
                }
                if !self.checked.compared.contains(&field) {
                    self.checked.compared.push(field);
                }
            }
        }
        Ok(())
    }

    fn side(&self, token: &Token) -> Result<(Side, Option<FieldName>), Fault> {
        Ok(match token {
            Token::Number(_) => (Side::Number, None),
            Token::Text(_) => (Side::Text, None),
            Token::Word(name) => {
                let field = self.field(name)?;
                let side = match field.kind() {
                    Kind::Money | Kind::Number => Side::Number,
                    Kind::Text | Kind::Name | Kind::Date | Kind::Link => Side::Text,
                    Kind::Custom => Side::Any,
                };
                (side, Some(field))
            }
            _ => return Err(self.syntax("a comparison needs a field or a value on each side")),
        })
    }

    fn field(&self, name: &str) -> Result<FieldName, Fault> {
        let unknown = || Fault::UnknownField { line: self.line, name: name.to_owned() };
        FieldName::parse(name).ok_or_else(unknown)
    }

    fn write(&mut self, way: char, field: &FieldName) -> Result<(), Fault> {
        let fields = &mut self.checked.fields;
        let number = fields.iter().position(|known| known == field).unwrap_or_else(|| {
            fields.push(field.clone());
            fields.len() - 1
        });
        if number >= FIELDS_MAX {
            return Err(Fault::TooManyFields);
        }
        write!(self.checked.source, "{way}{number}").map_err(|_| Fault::TooLarge)
    }

    fn refused(&self, tag: &str) -> Fault {
        Fault::Refused { line: self.line, tag: tag.to_owned() }
    }

    fn syntax(&self, why: &str) -> Fault {
        Fault::Syntax { line: self.line, why: why.to_owned() }
    }
}

/// What a side of a comparison is.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    Number,
    Text,
    Any,
}

fn next_tag(text: &str) -> Option<usize> {
    ["{{", "{%", "{#"].into_iter().filter_map(|open| text.find(open)).min()
}

fn described(token: &Token) -> String {
    match token {
        Token::Word(text) | Token::Text(text) | Token::Number(text) | Token::Compare(text) => {
            (*text).to_owned()
        }
        Token::Sign(sign) => sign.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(body: &str) -> Result<Checked, Fault> {
        check(body, Locale::En, Transliterate::Off)
    }

    #[test]
    fn fields_reach_the_engine_as_numbers() {
        let checked = checked("Hi {{ first_name|default('you')|upper }}, {{amount}} {% if amount > 5 and not link %}x{% endif %}").unwrap();
        assert_eq!(
            checked.source,
            "Hi {{p0|default(\"you\")|upper}}, {{p1}} {%if c1 > 5 and not c2%}x{%endif%}"
        );
        assert_eq!(checked.fields, [FieldName::FirstName, FieldName::Amount, FieldName::Link]);
        assert_eq!(checked.printed, [FieldName::FirstName, FieldName::Amount]);
        assert_eq!(checked.compared, [FieldName::Amount]);
    }

    #[test]
    fn whatever_is_more_than_fields_and_conditions_is_refused_with_its_line() {
        for (body, tag) in [
            ("{% for x in link %}a{% endfor %}", "for"),
            ("{% set x = 1 %}", "set"),
            ("{% macro m() %}{% endmacro %}", "macro"),
            ("{% include 'x' %}", "include"),
            ("{% raw %}", "raw"),
            ("{# hidden #}", "{#"),
            ("{{ phone() }}", "("),
            ("{{ phone phone }}", "phone"),
            ("{% if phone(1) %}{% endif %}", "a call"),
            ("{% if phone|upper %}{% endif %}", "|"),
        ] {
            let fault = checked(&format!("a\nb {body}")).unwrap_err();
            assert_eq!(fault, Fault::Refused { line: 2, tag: tag.into() }, "{body}");
        }
        for body in [
            "{{ 1 }}",
            "{{ phone + 1 }}",
            "{{ phone[0] }}",
            "{{ phone",
            "{{ 'a",
            "a }} b",
            "{{}}",
            "{%%}",
            "{{- phone }}",
            "{{ phone\n}}",
        ] {
            assert!(
                matches!(checked(body), Err(Fault::Syntax { line: 1, .. })),
                "{body}: {:?}",
                checked(body)
            );
        }
    }

    #[test]
    fn unknown_names_are_named() {
        assert_eq!(checked("{{ ammount }}"), Err(Fault::UnknownField { line: 1, name: "ammount".into() }));
        assert_eq!(checked("{{ phone.x }}"), Err(Fault::UnknownField { line: 1, name: "phone.x".into() }));
        assert_eq!(checked("{{ phone|shout }}"), Err(Fault::UnknownFilter { line: 1, name: "shout".into() }));
        assert!(checked("{% if phone is defined %}{% endif %}").is_err());
        assert!(checked("{{ custom.contract }}").is_ok());
    }

    #[test]
    fn filters_take_their_own_kinds_and_arguments() {
        assert!(
            checked("{{ amount|money('symbol') }} {{ due_date|date(\"long\") }} {{ reference|last4 }}")
                .is_ok()
        );
        assert!(matches!(checked("{{ due_date|money }}"), Err(Fault::WrongKind { filter: "money", .. })));
        assert!(matches!(checked("{{ link|upper }}"), Err(Fault::WrongKind { filter: "upper", .. })));
        assert!(matches!(
            checked("{{ due_date|date('brief') }}"),
            Err(Fault::WrongArgument { filter: "date", .. })
        ));
        assert!(matches!(checked("{{ company|truncate }}"), Err(Fault::WrongArgument { .. })));
        assert!(checked("{{ company|truncate(1, 2) }}").is_err());
        let swedish = check("{{ due_date|date('long') }}", Locale::Neutral, Transliterate::Off);
        assert_eq!(swedish, Err(Fault::NoNames { line: 1 }));
    }

    #[test]
    fn only_like_is_compared_with_like() {
        assert!(
            checked("{% if amount > 100 or first_name == 'Anna' or min_due < amount %}x{% endif %}").is_ok()
        );
        for body in ["{% if amount > '5' %}", "{% if first_name == 5 %}", "{% if due_date < 3 %}"] {
            assert!(matches!(checked(body), Err(Fault::WrongComparison { .. })), "{body}");
        }
    }

    #[test]
    fn hidden_characters_and_endless_sources_are_refused() {
        for c in ['\u{202E}', '\u{200B}', '\u{E000}', '\u{7}', '\r'] {
            assert_eq!(checked(&format!("a{c}")), Err(Fault::Character { line: 1, character: c }));
        }
        assert_eq!(checked("a\r\nb").unwrap().source, "a\nb");
        assert_eq!(checked(&"a".repeat(SOURCE_MAX + 1)), Err(Fault::TooLarge));
        assert_eq!(checked(" \n "), Err(Fault::Empty));
        assert!(checked(&"{% if link %}".repeat(DEPTH_MAX + 1)).is_err());
    }
}
