//! What a template would do to a whole audience, before anything is queued.
//!
//! Each recipient is rendered as they would be when a step is due, and in either body for its figures. Nothing is
//! kept of the audience but counts and a few samples, so an audience may be of any size.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::fields::Fields;
use super::{Compiled, Frame, Rendered, Variant};
use crate::message::Encoding;
use crate::sms::segment;

/// Texts shown in full.
const SAMPLES_MAX: usize = 5;
/// Different characters told of; further ones are counted together.
const CHARACTERS_MAX: usize = 100;

/// The figures of one template over one audience.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Preview {
    pub recipient_count: u32,
    /// Who would get a text.
    pub rendered_count: u32,
    /// Segments of all those texts.
    pub segment_count: u64,
    /// Who lacks which field.
    pub missing: BTreeMap<String, u32>,
    /// Who gets no text and why, by [`super::RenderError::code`].
    pub refused: BTreeMap<&'static str, u32>,
    /// One entry a body.
    pub variants: Vec<VariantFigures>,
    /// What keeps texts out of GSM 7-bit, the most frequent first.
    pub offending: Vec<Offending>,
    /// Texts with such characters beyond those named.
    pub more_offending: u32,
    pub samples: Vec<Sample>,
}

/// One body over the audience, as if every recipient got this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VariantFigures {
    pub variant: Variant,
    /// Who would get this one.
    pub chosen_count: u32,
    pub gsm7_count: u32,
    pub ucs2_count: u32,
    /// `None` while nobody could be rendered.
    pub characters: Option<Spread>,
    pub segments: Option<Spread>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Spread {
    pub min: u32,
    /// Of an even count the lower one.
    pub median: u32,
    pub max: u32,
}

/// A character outside GSM 7-bit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Offending {
    pub character: char,
    /// Texts that hold it.
    pub text_count: u32,
    /// Where it first stands in the first of them, in characters from 0.
    pub offset: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sample {
    pub text: String,
    pub encoding: &'static str,
    pub segment_count: u8,
    pub variant: Variant,
}

/// Renders everybody and counts.
pub fn preview<'a>(
    compiled: &Compiled,
    frame: Frame,
    audience: impl IntoIterator<Item = &'a Fields>,
) -> Preview {
    let mut counter = Counter::new(compiled);
    for fields in audience {
        counter.add(compiled, frame, fields);
    }
    counter.finish()
}

#[derive(Default)]
struct Tally {
    chosen: u32,
    gsm7: u32,
    ucs2: u32,
    characters: BTreeMap<u32, u32>,
    segments: BTreeMap<u32, u32>,
}

/// The figures in the making, where each recipient has a frame of its own.
pub struct Counter {
    preview: Preview,
    tallies: Vec<(Variant, Tally)>,
    /// Texts with the character, and its first place.
    offending: HashMap<char, (u32, u32)>,
}

impl Counter {
    pub fn new(compiled: &Compiled) -> Counter {
        let mut tallies = vec![(Variant::Body, Tally::default())];
        if compiled.template().body_short.is_some() {
            tallies.push((Variant::BodyShort, Tally::default()));
        }
        Counter { preview: Preview::default(), tallies, offending: HashMap::new() }
    }

    pub fn add(&mut self, compiled: &Compiled, frame: Frame, fields: &Fields) {
        self.preview.recipient_count += 1;
        for (variant, tally) in &mut self.tallies {
            if let Ok(rendered) = compiled.render_variant(*variant, fields, frame) {
                tally.add(&rendered);
            }
        }
        match compiled.render(fields, frame) {
            Ok(rendered) => self.goes(rendered),
            Err(error) => {
                *self.preview.refused.entry(error.code()).or_default() += 1;
                if let super::RenderError::Missing { field } = error {
                    *self.preview.missing.entry(field.to_string()).or_default() += 1;
                }
            }
        }
    }

    fn goes(&mut self, rendered: Rendered) {
        self.preview.rendered_count += 1;
        self.preview.segment_count += u64::from(rendered.segment_count);
        if let Some((_, tally)) = self.tallies.iter_mut().find(|(variant, _)| *variant == rendered.variant) {
            tally.chosen += 1;
        }
        if rendered.encoding == Encoding::Ucs2 {
            self.offends(&rendered.text);
        }
        if self.preview.samples.len() < SAMPLES_MAX {
            let Rendered { text, encoding, segment_count, variant } = rendered;
            self.preview.samples.push(Sample { text, encoding: encoding.as_str(), segment_count, variant });
        }
    }

    fn offends(&mut self, text: &str) {
        let mut has_more = false;
        for c in segment::forcing_ucs2(text) {
            if let Some((count, _)) = self.offending.get_mut(&c) {
                *count += 1;
            } else if self.offending.len() < CHARACTERS_MAX {
                let offset = text.chars().position(|other| other == c).unwrap_or(0) as u32;
                self.offending.insert(c, (1, offset));
            } else {
                has_more = true;
            }
        }
        self.preview.more_offending += u32::from(has_more);
    }

    pub fn finish(self) -> Preview {
        let Counter { mut preview, tallies, offending } = self;
        preview.variants = tallies.into_iter().map(|(variant, tally)| tally.finish(variant)).collect();
        let told = |(character, (text_count, offset))| Offending { character, text_count, offset };
        preview.offending = offending.into_iter().map(told).collect();
        preview.offending.sort_by_key(|told| (std::cmp::Reverse(told.text_count), told.character));
        preview
    }
}

impl Tally {
    fn add(&mut self, rendered: &Rendered) {
        match rendered.encoding {
            Encoding::Ucs2 => self.ucs2 += 1,
            Encoding::Gsm7 | Encoding::National(_) => self.gsm7 += 1,
        }
        *self.characters.entry(rendered.text.chars().count() as u32).or_default() += 1;
        *self.segments.entry(u32::from(rendered.segment_count)).or_default() += 1;
    }

    fn finish(self, variant: Variant) -> VariantFigures {
        VariantFigures {
            variant,
            chosen_count: self.chosen,
            gsm7_count: self.gsm7,
            ucs2_count: self.ucs2,
            characters: spread(&self.characters),
            segments: spread(&self.segments),
        }
    }
}

fn spread(counts: &BTreeMap<u32, u32>) -> Option<Spread> {
    let (min, max) = (*counts.first_key_value()?.0, *counts.last_key_value()?.0);
    let all: u32 = counts.values().sum();
    let mut passed = 0;
    for (value, count) in counts {
        passed += count;
        if passed * 2 >= all {
            return Some(Spread { min, median: *value, max });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reminder::name::{Key, Language};
    use crate::reminder::template::{Class, FieldName, Template, Transliterate};

    fn compiled(body: &str, short: Option<&str>, max_segments: u8) -> Compiled {
        let template = Template {
            key: Key::parse("due").unwrap(),
            language: Language::parse("en").unwrap(),
            class: Class::Reminder,
            body: body.to_owned(),
            body_short: short.map(str::to_owned),
            menu: None,
            transliterate: Transliterate::Off,
            max_segments,
        };
        Compiled::new(template).unwrap()
    }

    fn named(names: &[&str]) -> Vec<Fields> {
        names.iter().map(|name| Fields::sample().text(FieldName::FirstName, name)).collect()
    }

    #[test]
    fn who_lacks_what_and_what_is_refused_is_counted() {
        let audience = named(&["Anna", "", "Bo", " ", "evil.com/x"]);
        let preview = preview(&compiled("Hi {{ first_name }}", None, 10), Frame::default(), &audience);
        assert_eq!((preview.recipient_count, preview.rendered_count, preview.segment_count), (5, 2, 2));
        assert_eq!(preview.missing, BTreeMap::from([("first_name".to_owned(), 2)]));
        assert_eq!(preview.refused, BTreeMap::from([("render_missing", 2), ("render_link_in_value", 1)]));
        assert_eq!(preview.samples[1].text, "Hi Bo");
    }

    #[test]
    fn offending_characters_come_with_their_place_and_the_most_frequent_first() {
        let audience = named(&["Zoë", "Łucja", "Łoś", "Anna"]);
        let preview = preview(&compiled("Hi {{ first_name }}", None, 10), Frame::default(), &audience);
        let told = |character, text_count, offset| Offending { character, text_count, offset };
        assert_eq!(preview.offending, [told('Ł', 2, 3), told('ë', 1, 5), told('ś', 1, 5)]);
        assert_eq!((preview.variants[0].gsm7_count, preview.variants[0].ucs2_count), (1, 3));
    }

    #[test]
    fn each_body_has_its_figures_and_says_who_would_get_it() {
        let long = "x".repeat(150);
        let audience = named(&["Anna", "Annabella Maria", "Bo"]);
        let preview = preview(
            &compiled(&format!("{long} {{{{ first_name }}}}"), Some("Hi"), 1),
            Frame::default(),
            &audience,
        );
        let [body, short] = preview.variants.as_slice() else { panic!("two bodies") };
        assert_eq!((body.chosen_count, short.chosen_count), (2, 1));
        assert_eq!(body.characters, Some(Spread { min: 153, median: 155, max: 166 }));
        assert_eq!(body.segments, Some(Spread { min: 1, median: 1, max: 2 }));
        assert_eq!(short.segments, Some(Spread { min: 1, median: 1, max: 1 }));
    }

    #[test]
    fn nobody_gives_no_figures() {
        let preview = preview(&compiled("Hi {{ first_name }}", None, 10), Frame::default(), &[]);
        assert_eq!((preview.variants[0].segments, preview.samples.len()), (None, 0));
    }

    #[test]
    fn a_script_of_many_characters_does_not_grow_the_answer_without_end() {
        let names: Vec<String> = (0..300).map(|n| char::from_u32(0x4E00 + n).unwrap().to_string()).collect();
        let audience = named(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let preview = preview(&compiled("Hi {{ first_name }}", None, 10), Frame::default(), &audience);
        assert_eq!((preview.offending.len(), preview.more_offending), (CHARACTERS_MAX, 200));
    }
}
