//! Characters that GSM 7-bit does not hold, written by ones that it does.
//!
//! Only what the alphabet lacks is touched: `ä` stays. What has no near relative stays as it is, so that a text
//! in another script is whole in UCS-2, never half of it in question marks.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::sms::alphabet;

/// How far a template's text may be changed to fit GSM 7-bit. Append only: stored by position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transliterate {
    #[default]
    Off,
    /// Quotes, dashes, blanks, ellipsis: nobody sees the difference.
    Safe,
    /// Also letters without their diacritics.
    Full,
}

/// The text as it goes out.
pub fn transliterate(text: &str, how: Transliterate) -> Cow<'_, str> {
    let held = |c: char| alphabet::septets(c).is_some();
    if how == Transliterate::Off || text.chars().all(held) {
        return Cow::Borrowed(text);
    }
    let mut written = String::with_capacity(text.len());
    for c in text.nfc() {
        if held(c) {
            written.push(c);
        } else if let Some(sign) = sign(c) {
            written.push_str(sign);
        } else if how == Transliterate::Full {
            push_letter(&mut written, c);
        } else {
            written.push(c);
        }
    }
    Cow::Owned(written)
}

fn sign(c: char) -> Option<&'static str> {
    Some(match c {
        '‘' | '’' | '‚' | '‛' | '′' | '`' | '´' | '‹' | '›' => "'",
        '“' | '”' | '„' | '‟' | '″' | '«' | '»' => "\"",
        '‐' | '‑' | '‒' | '–' | '—' | '―' | '−' => "-",
        '\u{A0}' | '\u{2000}'..='\u{200A}' | '\u{202F}' | '\u{205F}' | '\u{3000}' | '\t' => " ",
        '…' => "...",
        '•' | '·' => "-",
        '×' => "x",
        _ => return None,
    })
}

fn push_letter(written: &mut String, c: char) {
    if let Some(letters) = letters(c) {
        written.push_str(letters);
        return;
    }
    let bases = || std::iter::once(c).nfd().filter(|part| !is_combining_mark(*part));
    if bases().all(|base| alphabet::septets(base).is_some()) {
        written.extend(bases());
    } else {
        written.push(c);
    }
}

/// Letters that Unicode does not take apart.
const fn letters(c: char) -> Option<&'static str> {
    Some(match c {
        'ł' => "l",
        'Ł' => "L",
        'đ' | 'ð' => "d",
        'Đ' | 'Ð' => "D",
        'þ' => "th",
        'Þ' => "Th",
        'œ' => "oe",
        'Œ' => "OE",
        'ẞ' => "SS",
        'ı' => "i",
        'ħ' => "h",
        'Ħ' => "H",
        'ŋ' => "n",
        'º' => "o",
        'ª' => "a",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_alphabet_lacks_is_changed() {
        let text = "Ä ö ü ß é Ç ñ € – ’ … ç ł á";
        assert_eq!(transliterate(text, Transliterate::Off), text);
        assert_eq!(transliterate(text, Transliterate::Safe), "Ä ö ü ß é Ç ñ € - ' ... ç ł á");
        assert_eq!(transliterate(text, Transliterate::Full), "Ä ö ü ß é Ç ñ € - ' ... c l a");
    }

    #[test]
    fn other_scripts_stay_whole() {
        for text in ["счёт", "請", "😀", "Đỗ"] {
            let full = transliterate(text, Transliterate::Full);
            assert!(full == text || full == "Do", "{full}");
        }
    }

    #[test]
    fn the_polish_sample_fits_gsm() {
        let full = transliterate("Prosimy o wpłatę: ąćęłńóśźż ĄĆĘŁŃÓŚŹŻ", Transliterate::Full);
        assert_eq!(full, "Prosimy o wplate: acelnoszz ACELNOSZZ");
    }
}
