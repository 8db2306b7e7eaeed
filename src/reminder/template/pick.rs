//! Which language of a template a person gets.
//!
//! A language the person did not name is only taken where that is allowed: a text nobody can read reminds
//! nobody, and some packs forbid it.

use crate::reminder::name::Language;

/// Why there is no template to take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoTemplate {
    #[error("there is no template of this key")]
    None,
    #[error("there is no template in {}", list(.wanted))]
    Language { wanted: Vec<Language> },
}

/// Takes one of the languages that a template has: for each language of the contact the same, then its base, then
/// the base in another region; then, where it may fall back or the contact names none, the creditor's likewise.
///
/// # Errors
/// [`NoTemplate`]
pub fn pick<'a>(
    has: &'a [Language],
    contact: &[Language],
    creditor: &Language,
    may_fall_back: bool,
) -> Result<&'a Language, NoTemplate> {
    if has.is_empty() {
        return Err(NoTemplate::None);
    }
    if let Some(language) = contact.iter().find_map(|wanted| nearest(has, wanted)) {
        return Ok(language);
    }
    let may = may_fall_back || contact.is_empty();
    let fallen = if may { nearest(has, creditor) } else { None };
    fallen.ok_or_else(|| {
        let wanted = if contact.is_empty() { vec![creditor.clone()] } else { contact.to_vec() };
        NoTemplate::Language { wanted }
    })
}

fn nearest<'a>(has: &'a [Language], wanted: &Language) -> Option<&'a Language> {
    let exact = has.iter().find(|language| *language == wanted);
    let base = || has.iter().find(|language| language.as_str() == wanted.base());
    let other_region = || has.iter().filter(|language| language.base() == wanted.base()).min();
    exact.or_else(base).or_else(other_region)
}

fn list(languages: &[Language]) -> String {
    let names: Vec<&str> = languages.iter().map(Language::as_str).collect();
    names.join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(codes: &[&str]) -> Vec<Language> {
        codes.iter().map(|code| Language::parse(code).unwrap()).collect()
    }

    fn picked(has: &[&str], contact: &[&str], may_fall_back: bool) -> Result<String, NoTemplate> {
        let creditor = Language::parse("de").unwrap();
        pick(&all(has), &all(contact), &creditor, may_fall_back).map(ToString::to_string)
    }

    #[test]
    fn the_nearest_language_wins_and_the_creditors_comes_last() {
        assert_eq!(picked(&["de", "pt", "pt-BR"], &["pt-BR"], false).unwrap(), "pt-BR");
        assert_eq!(picked(&["de", "pt"], &["pt-BR"], false).unwrap(), "pt");
        assert_eq!(picked(&["de", "pt-PT"], &["pt-BR"], false).unwrap(), "pt-PT");
        assert_eq!(picked(&["de", "fr", "en"], &["sv", "en"], true).unwrap(), "en");
        assert_eq!(picked(&["de", "en"], &["sv"], true).unwrap(), "de");
    }

    #[test]
    fn nobody_gets_another_language_unless_that_is_allowed() {
        assert_eq!(picked(&["de"], &["pl"], false), Err(NoTemplate::Language { wanted: all(&["pl"]) }));
        assert_eq!(picked(&["en"], &["pl"], true), Err(NoTemplate::Language { wanted: all(&["pl"]) }));
        assert_eq!(picked(&[], &["pl"], true), Err(NoTemplate::None));
    }

    #[test]
    fn who_names_no_language_gets_the_creditors() {
        assert_eq!(picked(&["de", "en"], &[], false).unwrap(), "de");
        assert_eq!(picked(&["en"], &[], false), Err(NoTemplate::Language { wanted: all(&["de"]) }));
    }
}
