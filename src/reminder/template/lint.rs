//! What is wrong with a template though it can be rendered: said at save, for its author to judge.
//!
//! Most of it is advice. [`Code::refuses`] names what may not be saved: a text that asks for money and tells no
//! way to pay or to speak to somebody. Each body is judged by itself, since a recipient sees only one.

use serde::Serialize;

use super::fields::{FieldName, Fields};
use super::program::Program;
use super::transliterate::{Transliterate, transliterate};
use super::{Class, Compiled, Frame, RenderError, Variant, spells_digit, words};
use crate::message::Encoding;
use crate::sms::{alphabet, segment};

/// Characters that are named one by one; a text in another script would list its whole alphabet.
const LISTED_MAX: usize = 8;
/// Shorter words in capitals are abbreviations.
const SHOUT_MIN: usize = 5;
/// Capitals that are no shouting.
const CAPITALS: [&str; 2] = ["START", "UNSUBSCRIBE"];

/// A stable word for each finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    NoCreditor,
    NoReason,
    NoAmount,
    NoDate,
    /// Neither link nor menu nor telephone in a text that asks for money.
    NoWayToPay,
    /// A text to an unproven number tells of a debt.
    DebtDetail,
    Shouting,
    Threat,
    LegalThreat,
    Urgent,
    /// Turns the text into marketing, for which other laws hold.
    Promotion,
    Shortener,
    /// A link in the text is not the recipient's own, and not counted.
    LiteralLink,
    /// Some of a menu's digits are spelled and some are not.
    HalfMenu,
    /// One of few characters makes the text UCS-2.
    ForcesUcs2,
    /// An ordinary case cannot be rendered, or takes too much.
    DoesNotRender,
}

impl Code {
    /// Whether a template with this finding may not be saved.
    pub const fn refuses(self) -> bool {
        matches!(self, Code::NoWayToPay)
    }
}

/// One finding in one body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Warning {
    pub code: Code,
    pub variant: Variant,
    /// For people.
    pub why: String,
}

/// Everything there is to say about a template. Empty is well.
pub fn lint(compiled: &Compiled) -> Vec<Warning> {
    let inner = &compiled.0;
    let programs = [(Variant::Body, Some(&inner.body)), (Variant::BodyShort, inner.short.as_ref())];
    let mut warnings = Vec::new();
    for (variant, program) in programs {
        let Some(program) = program else { continue };
        let judge = Judge { compiled, program, variant, folded: words::fold(&program.checked.literal) };
        warnings.extend(judge.content());
        warnings.extend(judge.way_to_pay());
        warnings.extend(judge.tone());
        warnings.extend(judge.links());
        warnings.extend(judge.menu());
        warnings.extend(judge.characters());
        warnings.extend(judge.sample());
    }
    warnings
}

struct Judge<'a> {
    compiled: &'a Compiled,
    program: &'a Program,
    variant: Variant,
    folded: String,
}

impl Judge<'_> {
    fn warning(&self, code: Code, why: impl Into<String>) -> Warning {
        Warning { code, variant: self.variant, why: why.into() }
    }

    fn class(&self) -> Class {
        self.compiled.template().class
    }

    fn names_one_of(&self, fields: &[FieldName]) -> bool {
        fields.iter().any(|field| self.program.checked.printed.contains(field))
    }

    /// Why somebody writes, and about what.
    fn content(&self) -> Vec<Warning> {
        const CREDITOR: &[FieldName] = &[FieldName::Creditor, FieldName::CreditorShort];
        const REASON: &[FieldName] = &[FieldName::Description, FieldName::Reference];
        const AMOUNT: &[FieldName] =
            &[FieldName::Amount, FieldName::Total, FieldName::MinDue, FieldName::Instalment, FieldName::Paid];
        const DATE: &[FieldName] =
            &[FieldName::DueDate, FieldName::InstalmentDate, FieldName::DaysOverdue, FieldName::PromiseDate];
        let reason = self.names_one_of(REASON)
            || self.program.checked.printed.iter().any(|field| matches!(field, FieldName::Custom(_)));
        let wanted = [
            (Code::NoCreditor, self.names_one_of(CREDITOR), "does not say who writes: {{ creditor }}"),
            (
                Code::NoReason,
                reason,
                "does not say what the payment is for: {{ description }} or {{ reference }}",
            ),
            (Code::NoAmount, self.names_one_of(AMOUNT), "does not say how much: {{ amount }}"),
            (Code::NoDate, self.names_one_of(DATE), "does not say when it is due: {{ due_date }}"),
        ];
        let asked: &[Code] = match self.class() {
            Class::Reminder | Class::Dunning => {
                &[Code::NoCreditor, Code::NoReason, Code::NoAmount, Code::NoDate]
            }
            Class::Confirmation => &[Code::NoCreditor, Code::NoAmount],
            Class::Verify | Class::Help | Class::OptoutConfirm => &[Code::NoCreditor],
        };
        let lacking = wanted.into_iter().filter(|(code, is_there, _)| asked.contains(code) && !is_there);
        let mut warnings: Vec<Warning> = lacking.map(|(code, _, why)| self.warning(code, why)).collect();
        let detail = self.names_one_of(&[REASON, AMOUNT, DATE, &[FieldName::Link]].concat());
        if self.class() == Class::Verify && detail {
            warnings.push(
                self.warning(
                    Code::DebtDetail,
                    "tells of a debt before the number is known to be the right one",
                ),
            );
        }
        warnings
    }

    fn way_to_pay(&self) -> Option<Warning> {
        let has_menu = self.compiled.template().menu.is_some();
        let way = has_menu || self.names_one_of(&[FieldName::Link, FieldName::Menu, FieldName::Phone]);
        let lacks = self.class().asks_for_money() && !way;
        lacks.then(|| self.warning(Code::NoWayToPay, "names neither {{ link }} nor a menu nor {{ phone }}"))
    }

    fn tone(&self) -> Vec<Warning> {
        let language = self.compiled.template().language.base().to_owned();
        let found = words::found(&self.folded, &language).into_iter();
        let mut warnings: Vec<Warning> =
            found.map(|(code, phrase)| self.warning(code, format!("says \"{phrase}\""))).collect();
        if let Some(word) =
            self.program.checked.literal.split(|c: char| !c.is_alphabetic()).find(|word| is_shouted(word))
        {
            warnings.push(self.warning(Code::Shouting, format!("shouts: {word}")));
        }
        warnings
    }

    fn links(&self) -> Vec<Warning> {
        let shortener = words::shortener(&self.folded)
            .map(|host| self.warning(Code::Shortener, format!("names the public shortener {host}")));
        let literal = super::value::is_link(&self.program.checked.literal, false).then(|| {
            self.warning(Code::LiteralLink, "holds a link of its own; {{ link }} is the recipient's")
        });
        shortener.into_iter().chain(literal).collect()
    }

    fn menu(&self) -> Option<Warning> {
        let has_menu = self.compiled.template().menu.is_some();
        let spelled: Vec<u8> =
            (1..=9).filter(|digit| spells_digit(&self.program.checked.literal, *digit)).collect();
        let half = !spelled.is_empty()
            && (!has_menu || spelled.iter().zip(1..).any(|(digit, place)| *digit != place));
        half.then(|| self.warning(Code::HalfMenu, "spells answers that no menu here gives from 1 on"))
    }

    /// What keeps the author's own words out of GSM 7-bit, and what transliteration would save.
    fn characters(&self) -> Vec<Warning> {
        let template = self.compiled.template();
        let source = match self.variant {
            Variant::Body => &template.body,
            Variant::BodyShort => template.body_short.as_ref().unwrap_or(&template.body),
        };
        let mut seen = Vec::new();
        for (offset, c) in source.chars().enumerate() {
            let written = transliterate(c.encode_utf8(&mut [0; 4]), template.transliterate).into_owned();
            let held = written.chars().all(|c| alphabet::septets(c).is_some());
            if !held && !seen.iter().any(|(known, _)| *known == c) {
                seen.push((c, offset));
            }
        }
        if seen.is_empty() {
            return Vec::new();
        }
        let saving = self.saving();
        let named = seen.iter().take(LISTED_MAX);
        named
            .map(|(c, offset)| {
                let code = u32::from(*c);
                self.warning(
                    Code::ForcesUcs2,
                    format!("{c:?} (U+{code:04X}) at character {} is not in GSM 7-bit{saving}", offset + 1),
                )
            })
            .collect()
    }

    /// `: 3 segments, 2 with transliterate = "safe"`, of an ordinary case.
    fn saving(&self) -> String {
        let frame = Frame { footer: true, ..Frame::default() };
        let Ok(rendered) = self.compiled.render_variant(self.variant, &Fields::sample(), frame) else {
            return String::new();
        };
        let now = rendered.segment_count;
        let with = |level| {
            let text = transliterate(&rendered.text, level);
            let encoding = segment::choose(&text);
            let count = segment::measure(&text, encoding).ok()?.segment_count;
            (encoding == Encoding::Gsm7).then_some(count)
        };
        let ways = [("safe", with(Transliterate::Safe)), ("full", with(Transliterate::Full))];
        let best = ways.into_iter().find_map(|(name, count)| count.map(|count| (name, count)));
        match best {
            Some((name, count)) => format!(": {now} segments, {count} with transliterate = \"{name}\""),
            None => format!(": {now} segments, and no transliteration changes that"),
        }
    }

    /// Whether an ordinary case goes at all.
    fn sample(&self) -> Option<Warning> {
        let mut fields = Fields::sample().text(FieldName::Menu, "1 = a, 2 = b, 3 = c");
        for field in &self.program.checked.fields {
            if let FieldName::Custom(_) = field {
                fields.set(field.clone(), super::Field::Text("x".to_owned()));
            }
        }
        let rendered = self.compiled.render_variant(self.variant, &fields, Frame::default());
        let limit = self.compiled.template().max_segments;
        let why = match rendered {
            // The firm's own fields may be of any kind.
            Err(RenderError::WrongKind { field: FieldName::Custom(_) }) => return None,
            Err(error) => error.to_string(),
            Ok(rendered) if rendered.segment_count > limit => {
                RenderError::TooLong { segment_count: rendered.segment_count, limit }.to_string()
            }
            Ok(_) => return None,
        };
        Some(self.warning(Code::DoesNotRender, format!("in an ordinary case: {why}")))
    }
}

fn is_shouted(word: &str) -> bool {
    word.chars().count() >= SHOUT_MIN && word.chars().all(char::is_uppercase) && !CAPITALS.contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reminder::name::{Key, Language};
    use crate::reminder::template::{SEGMENTS_MAX, Template};

    const WELL: &str = "{{ creditor }}: {{ amount }} for {{ description }} due {{ due_date }}. {{ link }}";

    fn template(class: Class, language: &str, body: &str) -> Template {
        Template {
            key: Key::parse("due").unwrap(),
            language: Language::parse(language).unwrap(),
            class,
            body: body.to_owned(),
            body_short: None,
            menu: None,
            transliterate: Transliterate::Off,
            max_segments: SEGMENTS_MAX,
        }
    }

    fn codes_of(template: Template) -> Vec<Code> {
        lint(&Compiled::new(template).unwrap()).into_iter().map(|warning| warning.code).collect()
    }

    fn codes(body: &str) -> Vec<Code> {
        codes_of(template(Class::Reminder, "en", body))
    }

    #[test]
    fn a_text_that_says_all_it_should_has_no_findings() {
        assert_eq!(codes(WELL), []);
    }

    #[test]
    fn what_a_reminder_does_not_say_is_named() {
        let all = [Code::NoCreditor, Code::NoReason, Code::NoAmount, Code::NoDate, Code::NoWayToPay];
        assert_eq!(codes("Please pay"), all);
        assert_eq!(codes(&WELL.replace(" {{ link }}", "")), [Code::NoWayToPay]);
        assert_eq!(codes(&WELL.replace("{{ link }}", "{{ phone }}")), []);
        let hidden = WELL.replace("{{ amount }}", "{% if amount > 3 %}it{% endif %}");
        assert_eq!(codes(&hidden), [Code::NoAmount], "a condition does not say it");
        assert!(Code::NoWayToPay.refuses() && !Code::Threat.refuses());
    }

    #[test]
    fn each_body_is_judged_by_itself() {
        let both =
            Template { body_short: Some("Pay {{ link }}".into()), ..template(Class::Dunning, "en", WELL) };
        let warnings = lint(&Compiled::new(both).unwrap());
        assert_eq!(warnings.len(), 4);
        assert!(warnings.iter().all(|warning| warning.variant == Variant::BodyShort));
    }

    #[test]
    fn tone_is_judged_in_the_language_of_the_template() {
        assert_eq!(
            codes(&format!("{WELL} URGENT: pay or face jail. 20% off")),
            [Code::LegalThreat, Code::Urgent, Code::Promotion, Code::Shouting]
        );
        let german = |text: &str| codes_of(template(Class::Reminder, "de", &format!("{WELL} {text}")));
        assert_eq!(
            german("Sonst Pfändung. Sofort zahlen, 5 EUR Rabatt"),
            [Code::LegalThreat, Code::Urgent, Code::Promotion]
        );
        assert_eq!(german("Reply STOP. IBAN folgt. START"), []);
        assert_eq!(german("BITTE zahlen"), [Code::Shouting]);
    }

    #[test]
    fn a_text_to_an_unproven_number_tells_of_no_debt() {
        let verify = |body: &str| codes_of(template(Class::Verify, "en", body));
        assert_eq!(verify("{{ creditor }}: is this {{ first_name }}? Reply YES."), []);
        assert_eq!(
            verify("{{ creditor }}: is this {{ first_name }}? You owe {{ amount }}."),
            [Code::DebtDetail]
        );
    }

    #[test]
    fn one_character_that_costs_a_segment_is_named_with_its_place_and_the_saving() {
        let long = format!("{WELL} Thank you very much for being our customer, we’re glad to have you.");
        let warnings = lint(&Compiled::new(template(Class::Reminder, "en", &long)).unwrap());
        let [warning] = warnings.as_slice() else { panic!("{warnings:?}") };
        let place = long.chars().position(|c| c == '’').unwrap() + 1;
        let why = format!(
            "'’' (U+2019) at character {place} is not in GSM 7-bit: 3 segments, 2 with transliterate = \"safe\""
        );
        assert_eq!((warning.code, warning.why.as_str()), (Code::ForcesUcs2, why.as_str()));
        let safe = Template { transliterate: Transliterate::Safe, ..template(Class::Reminder, "en", &long) };
        assert_eq!(codes_of(safe), []);
    }

    #[test]
    fn links_of_the_text_itself_and_shorteners_are_named() {
        assert_eq!(codes(&format!("{WELL} or bit.ly/abc")), [Code::Shortener, Code::LiteralLink]);
        assert_eq!(
            codes(&format!("{WELL} https://a.example/{{{{ reference }}}}")),
            [Code::LiteralLink, Code::DoesNotRender]
        );
    }

    #[test]
    fn answers_without_a_menu_are_named() {
        assert_eq!(codes(&format!("{WELL} 1 = call")), [Code::HalfMenu]);
        let menu = |text: &str| {
            let menu = Key::parse("standard").ok();
            codes_of(Template { menu, ..template(Class::Reminder, "en", &format!("{WELL} {text}")) })
        };
        assert_eq!(menu("1 = call, 2 = pay"), []);
        assert_eq!(menu("1 = call, 3 = pay"), [Code::HalfMenu]);
    }

    #[test]
    fn a_template_that_no_ordinary_case_fits_is_named() {
        let tight =
            Template { max_segments: 1, ..template(Class::Reminder, "en", &format!("{WELL} {WELL}")) };
        assert_eq!(codes_of(tight), [Code::DoesNotRender]);
    }
}
