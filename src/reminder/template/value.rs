//! Values as data: what is taken out of a value, what is refused, and what a telephone would make a link.
//!
//! A value comes from strangers: a debtor may be named `http://...`. What comes out of [`clean`] has no line
//! break, no control and no invisible character and stands in NFC; [`links`] is asked again about the whole
//! text, since two harmless values side by side may make a link.

use std::borrow::Cow;
use std::ops::Range;

use unicode_normalization::UnicodeNormalization;

/// Longer input is refused before anything looks at it.
const INPUT_MAX: usize = 4096;
/// Characters of one printed value: a longer one is no name, and pushes the footer out of sight.
pub const PRINTED_MAX: usize = 160;

/// Why a value is not printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dirt {
    /// Embeddings, overrides and isolates reorder what a person reads.
    Bidi,
    TooLong,
}

/// Schemes that a telephone acts on without `//`.
const SCHEMES: [&str; 14] = [
    "mailto:",
    "tel:",
    "sms:",
    "smsto:",
    "javascript:",
    "data:",
    "intent:",
    "market:",
    "geo:",
    "file:",
    "upi:",
    "bitcoin:",
    "whatsapp:",
    "tg:",
];

/// Domains that telephones make a link of wherever they stand; judged so in names of persons only, because
/// a firm or an invoice may well be called after its domain.
const TOP_LEVELS: [&str; 44] = [
    "app", "at", "be", "biz", "br", "cc", "ch", "click", "cloud", "cn", "co", "com", "de", "dev", "es", "eu",
    "fr", "icu", "in", "info", "io", "it", "link", "live", "ly", "me", "net", "nl", "online", "org", "page",
    "pl", "pt", "pw", "ru", "shop", "site", "store", "to", "top", "tv", "uk", "us", "xyz",
];

/// Blanks for line breaks and controls, nothing for what cannot be seen, runs of blanks joined.
///
/// # Errors
/// [`Dirt`]
pub fn clean(raw: &str) -> Result<String, Dirt> {
    if raw.len() > INPUT_MAX {
        return Err(Dirt::TooLong);
    }
    if raw.chars().any(is_reordering) {
        return Err(Dirt::Bidi);
    }
    let composed: Cow<str> = if raw.is_ascii() { raw.into() } else { raw.nfc().collect::<String>().into() };
    let mut cleaned = String::with_capacity(raw.len());
    for c in composed.chars().filter(|c| !is_invisible(*c)) {
        let c = if c.is_control() || c.is_whitespace() { ' ' } else { c };
        if c != ' ' || !(cleaned.is_empty() || cleaned.ends_with(' ')) {
            cleaned.push(c);
        }
    }
    cleaned.truncate(cleaned.trim_end().len());
    Ok(cleaned)
}

/// Embeddings and overrides (U+202A-202E) and isolates (U+2066-2069).
pub const fn is_reordering(c: char) -> bool {
    matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Zero-width and other characters that hide where one word ends; private use, which the rendering keeps for
/// its own marks; tags, which carry text nobody sees.
pub const fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}' | '\u{180B}'..='\u{180F}'
        | '\u{200B}'..='\u{200F}' | '\u{2060}'..='\u{2065}' | '\u{206A}'..='\u{206F}' | '\u{3164}' | '\u{FEFF}'
        | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}' | '\u{E000}'..='\u{F8FF}' | '\u{E0000}'..='\u{10FFFF}')
}

/// Whether one value by itself makes a link; `person` as in [`links`].
pub fn is_link(text: &str, person: bool) -> bool {
    words(text).any(|range| makes_link(&text[range], person))
}

/// The words of a text of which a telephone may make a link; `person` tells of a word whether it names one.
pub fn links<'a>(
    text: &'a str,
    person: impl Fn(&Range<usize>) -> bool + 'a,
) -> impl Iterator<Item = Range<usize>> + 'a {
    words(text).filter(move |range| makes_link(&text[range.clone()], person(range)))
}

fn words(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    text.split(char::is_whitespace).filter(|word| !word.is_empty()).map(|word| {
        let start = word.as_ptr() as usize - text.as_ptr() as usize;
        start..start + word.len()
    })
}

fn makes_link(word: &str, person: bool) -> bool {
    // No sign of one: nearly every word ends here.
    if word.is_ascii() && !word.bytes().any(|b| matches!(b, b'.' | b':' | b'/')) {
        return false;
    }
    // Browsers take the full-width and ideographic forms for the signs themselves.
    let folded: String = if word.is_ascii() {
        word.to_ascii_lowercase()
    } else {
        word.nfkc().map(folded_sign).flat_map(char::to_lowercase).collect()
    };
    folded.contains("://")
        || folded.contains("www.")
        || SCHEMES.iter().any(|scheme| has_scheme(&folded, scheme))
        || domains(&folded).any(|(domain, next)| is_domain(domain, next, person))
}

const fn folded_sign(c: char) -> char {
    match c {
        '\u{3002}' | '\u{FF61}' | '\u{2024}' => '.',
        '\u{2044}' | '\u{2215}' | '\u{29F8}' | '\u{FF0F}' => '/',
        '\u{2236}' | '\u{A789}' | '\u{FE55}' | '\u{FF1A}' => ':',
        other => other,
    }
}

fn has_scheme(word: &str, scheme: &str) -> bool {
    word.match_indices(scheme).any(|(at, _)| {
        let begins = !word[..at].ends_with(char::is_alphanumeric);
        begins && word.len() > at + scheme.len()
    })
}

/// Runs of letters, digits, hyphens and points, each with the character behind it.
fn domains(word: &str) -> impl Iterator<Item = (&str, Option<char>)> {
    let outside = |c: char| !(c.is_alphanumeric() || c == '-' || c == '.');
    word.split(outside).map(move |run| {
        let end = run.as_ptr() as usize - word.as_ptr() as usize + run.len();
        (run, word[end..].chars().next())
    })
}

fn is_domain(run: &str, next: Option<char>, person: bool) -> bool {
    let Some((host, top)) = run.trim_matches('.').rsplit_once('.') else { return false };
    if host.is_empty() || host.ends_with('.') {
        return false;
    }
    let lettered =
        top.chars().count() >= 2 && top.chars().all(char::is_alphabetic) || top.starts_with("xn--");
    let address = run.split('.').count() == 4 && run.split('.').all(|octet| octet.parse::<u8>().is_ok());
    let leads_on = matches!(next, Some('/' | '?' | '#' | ':' | '\\')) && !run.ends_with('.');
    (leads_on && (lettered || address)) || (person && TOP_LEVELS.contains(&top))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_goes_and_what_breaks_lines_is_a_blank() {
        assert_eq!(clean(" An\u{200B}na\r\n\tMey\u{0}er \u{2028}x\u{E001} ").unwrap(), "Anna Mey er x");
        assert_eq!(clean("Mu\u{308}ller").unwrap(), "Müller");
        assert_eq!(clean("\u{200B}\n"), Ok(String::new()));
    }

    #[test]
    fn reordering_and_endless_values_are_refused() {
        for c in ['\u{202E}', '\u{202A}', '\u{2066}', '\u{2069}'] {
            assert_eq!(clean(&format!("Anna{c}")), Err(Dirt::Bidi));
        }
        assert_eq!(clean(&"a".repeat(10_240)), Err(Dirt::TooLong));
    }

    #[test]
    fn whatever_a_telephone_makes_a_link_of_is_found() {
        for link in [
            "http://evil.example",
            "HTTPS://x",
            "see www.evil.example",
            "Www.x",
            "evil.com/x",
            "x evil.co.uk/?a",
            "ftp://a",
            "evil。com/x",
            "evil．com／x",
            "mailto:a@b",
            "tel:0900",
            "(evil.com/x)",
            "1.2.3.4/x",
            "evil.com:8080",
            "evil.com?x",
            "xn--a.xn--p1ai/x",
            "javascript:alert",
            "ｈｔｔｐ：//a",
            "a@evil.com/x",
            "evil.рф/x",
        ] {
            assert!(is_link(link, false), "{link}");
        }
    }

    #[test]
    fn names_of_firms_and_invoices_are_no_links() {
        for fine in [
            "Booking.com",
            "Invoice 2026/04",
            "RE-12.3/4",
            "Dr. Anna Meyer",
            "St. John/Smith",
            "c/o Meyer",
            "Note: x",
            "12:30",
            "Nr.4711",
            "hotel:",
            "...",
            "a.b",
            "1.234,50",
            "hotel: Meyer",
            "Hotels: x",
        ] {
            assert!(!is_link(fine, false), "{fine}");
        }
    }

    #[test]
    fn a_person_is_not_called_after_a_domain() {
        for link in ["evil.com", "x@evil.com", "Evil.COM.", "pay.me"] {
            assert!(is_link(link, true), "{link}");
        }
        for fine in ["J.R. Meyer", "St.John", "Meyer-Lüdenscheidt", "O.K."] {
            assert!(!is_link(fine, true), "{fine}");
        }
    }
}
