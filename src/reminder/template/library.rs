//! The shipped library as tests see it: every template in `config/reminders/templates.toml` compiles, has no
//! finding, is written in GSM 7-bit and costs what its comment says.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::lint::lint;
use super::{Compiled, Field, FieldName, Fields, Frame, SEGMENTS_MAX, Template, Variant};
use crate::message::Encoding;

const LIBRARY: &str = include_str!("../../../config/reminders/templates.toml");
const MENUS: &str = include_str!("../../../config/reminders/menus.toml");
const SEQUENCES: &str = include_str!("../../../config/reminders/sequences.toml");

const LANGUAGES: [&str; 8] = ["en", "de", "fr", "es", "it", "nl", "pt", "pl"];
const KEYS: [&str; 10] = [
    "friendly",
    "due",
    "overdue",
    "final",
    "confirmation",
    "help",
    "verify",
    "optout_confirm",
    "returned_debit",
    "subscription",
];

#[derive(Deserialize)]
struct Library {
    template: Vec<Template>,
}

fn library() -> Vec<Compiled> {
    let library: Library = toml::from_str(LIBRARY).unwrap();
    library.template.into_iter().map(|template| Compiled::new(template).unwrap()).collect()
}

/// With the footer, as packs that ask for it have it.
fn framed() -> Frame<'static> {
    Frame { menu: &[(1, "a"), (2, "b"), (3, "c")], footer: true, ..Frame::default() }
}

fn frame_of(compiled: &Compiled) -> Frame<'static> {
    if compiled.template().menu.is_some() { framed() } else { Frame { menu: &[], ..framed() } }
}

#[test]
fn every_key_is_there_in_every_language_once() {
    let library = library();
    let name = |compiled: &Compiled| {
        let template = compiled.template();
        (template.key.to_string(), template.language.to_string())
    };
    let found: BTreeSet<_> = library.iter().map(name).collect();
    let wanted: BTreeSet<_> = KEYS
        .iter()
        .flat_map(|key| LANGUAGES.map(|language| ((*key).to_owned(), language.to_owned())))
        .collect();
    assert_eq!((found, library.len()), (wanted, KEYS.len() * LANGUAGES.len()));
}

#[test]
fn no_shipped_template_has_a_finding() {
    for compiled in library() {
        let template = compiled.template();
        assert_eq!(lint(&compiled), [], "{} {}", template.key, template.language);
        assert!(template.body_short.is_some(), "{} {}", template.key, template.language);
    }
}

#[test]
fn every_shipped_template_costs_what_its_comment_says() {
    let said: Vec<&str> = LIBRARY.lines().filter_map(|line| line.strip_prefix("# segments: ")).collect();
    let library = library();
    let costs = |compiled: &Compiled| {
        let count = |variant| {
            let rendered = compiled.render_variant(variant, &Fields::sample(), frame_of(compiled)).unwrap();
            assert_eq!(rendered.encoding, Encoding::Gsm7, "{}", rendered.text);
            rendered.segment_count
        };
        format!("{} and {}", count(Variant::Body), count(Variant::BodyShort))
    };
    let cost: Vec<String> = library.iter().map(costs).collect();
    let wrong = library.iter().zip(&cost).zip(&said).filter(|((_, cost), said)| cost != *said);
    let wrong: Vec<String> = wrong
        .map(|((compiled, cost), said)| {
            let template = compiled.template();
            format!("{} {}: {cost}, not {said}", template.key, template.language)
        })
        .collect();
    assert!(wrong.is_empty() && said.len() == library.len(), "{}", wrong.join("\n"));
}

#[test]
fn every_shipped_text_goes_without_a_link_a_name_or_a_description() {
    for compiled in library() {
        let mut fields = Fields::sample();
        fields.remove(&FieldName::Link);
        fields.remove(&FieldName::Description);
        if compiled.template().key.as_str() != "verify" {
            fields.remove(&FieldName::FirstName);
        }
        let rendered = compiled.render(&fields, frame_of(&compiled)).unwrap();
        let asks = compiled.template().class.asks_for_money();
        assert!(!asks || rendered.text.contains("+49 30 1234567"), "{}", rendered.text);
    }
}

#[test]
fn a_shipped_reminder_with_a_long_case_stays_within_three_segments() {
    let long = Fields::sample()
        .text(FieldName::FirstName, "Maximiliane-Alexandra")
        .text(FieldName::Description, "Rechnung RG-2026-00004712 vom 15.02.2026")
        .text(FieldName::Creditor, "Gemeinnützige Wohnungsbaugesellschaft Neustadt mbH")
        .with(FieldName::Link, Field::Link(format!("https://pay.neustadt.example/i/{}", "a".repeat(30))));
    for compiled in library() {
        let rendered = compiled.render(&long, frame_of(&compiled)).unwrap();
        assert!(rendered.segment_count <= 3 && SEGMENTS_MAX > 3, "{}", rendered.text);
    }
}

#[test]
fn every_menu_is_spelled_in_the_words_of_the_language() {
    for compiled in library() {
        for variant in [Variant::Body, Variant::BodyShort] {
            let text = compiled.render_variant(variant, &Fields::sample(), framed()).unwrap().text;
            let spelled = !text.contains("\n1 = a");
            assert_eq!(spelled, compiled.template().menu.is_some(), "{text}");
        }
    }
}

#[test]
fn sequences_name_templates_and_menus_that_are_shipped() {
    let sequences: toml::Table = toml::from_str(SEQUENCES).unwrap();
    let menus: toml::Table = toml::from_str(MENUS).unwrap();
    let menus: Vec<&str> =
        menus["menu"].as_array().unwrap().iter().filter_map(|menu| menu["key"].as_str()).collect();
    let sequences = sequences["sequence"].as_array().unwrap();
    let keys: Vec<&str> = sequences.iter().filter_map(|sequence| sequence["key"].as_str()).collect();
    assert_eq!(keys, ["standard", "subscription", "returned_debit"]);
    for step in sequences.iter().flat_map(|sequence| sequence["step"].as_array().unwrap()) {
        assert!(step["template"].as_str().is_some_and(|key| KEYS.contains(&key)), "{step}");
        assert!(
            step.get("menu").and_then(|menu| menu.as_str()).is_none_or(|key| menus.contains(&key)),
            "{step}"
        );
    }
    let offsets = sequences[0]["step"].as_array().unwrap().iter().filter_map(|step| step["offset"].as_str());
    assert!(offsets.eq(["-7d", "-2d", "0d", "+3d", "+10d", "+20d"]));
}
