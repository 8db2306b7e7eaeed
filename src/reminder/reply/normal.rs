//! A reply as words that can be compared: one spelling for every width, case, accent, digit and quote.
//!
//! Invariants: what is looked at is bounded whatever came (the two ends of the text, [`HEAD`] and [`TAIL`]
//! characters, and at most [`WORDS`] words), and a word is never empty. Look-alikes of other scripts are
//! resolved apart ([`latin`]), as they would break words that are honestly Cyrillic or Greek.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Characters read from the beginning: ten segments of text. Who wants to stop says so early or last.
const HEAD: usize = 1_600;
/// Characters read from the end of a longer text.
const TAIL: usize = 400;
/// Words kept of what was read; each costs a look into every table.
pub(super) const WORDS: usize = 400;
/// Compatibility forms grow by up to eighteen times; beyond this they are no message.
const GROWN: usize = 4 * (HEAD + TAIL);

/// What may follow an apostrophe and still belongs to the word before it.
const SHORTENED: [&str; 7] = ["t", "s", "re", "ll", "m", "ve", "d"];

/// First digits of the blocks of ten whose values Unicode gives (general category Nd) and that phones write.
const ZEROS: [char; 20] = [
    '\u{660}', '\u{6F0}', '\u{7C0}', '\u{966}', '\u{9E6}', '\u{A66}', '\u{AE6}', '\u{B66}', '\u{BE6}',
    '\u{C66}', '\u{CE6}', '\u{D66}', '\u{DE6}', '\u{E50}', '\u{ED0}', '\u{F20}', '\u{1040}', '\u{17E0}',
    '\u{1810}', '\u{ABF0}',
];

/// Cyrillic and Greek letters that look like a Latin one in one of their cases.
const LOOKALIKES: [(char, char); 37] = [
    ('а', 'a'),
    ('в', 'b'),
    ('г', 'r'),
    ('е', 'e'),
    ('к', 'k'),
    ('м', 'm'),
    ('н', 'h'),
    ('о', 'o'),
    ('п', 'n'),
    ('р', 'p'),
    ('с', 'c'),
    ('т', 't'),
    ('у', 'y'),
    ('х', 'x'),
    ('ѕ', 's'),
    ('і', 'i'),
    ('ј', 'j'),
    ('һ', 'h'),
    ('ԁ', 'd'),
    ('ԛ', 'q'),
    ('ԝ', 'w'),
    ('ӏ', 'l'),
    ('α', 'a'),
    ('β', 'b'),
    ('ε', 'e'),
    ('η', 'n'),
    ('ι', 'i'),
    ('κ', 'k'),
    ('μ', 'm'),
    ('ν', 'n'),
    ('ο', 'o'),
    ('ρ', 'p'),
    ('τ', 't'),
    ('υ', 'u'),
    ('χ', 'x'),
    ('ζ', 'z'),
    ('ϲ', 'c'),
];

/// The two ends of a long text, the whole of a usual one.
pub(super) fn ends(text: &str) -> String {
    let Some((head_ends, _)) = text.char_indices().nth(HEAD) else { return text.to_owned() };
    let tail_begins = text.char_indices().rev().nth(TAIL - 1).map_or(0, |(at, _)| at).max(head_ends);
    format!("{} {}", &text[..head_ends], &text[tail_begins..])
}

/// One spelling: compatibility forms, digits, quotes and case folded, marks and invisible signs gone.
pub(super) fn folded(text: &str) -> String {
    // As a compatibility form the acute accent would become a space.
    let quoted = text.chars().map(|c| if c == '\u{B4}' { '\'' } else { c });
    let plain = quoted.nfkd().take(GROWN).filter(|c| !is_combining_mark(*c) && !invisible(*c));
    plain.flat_map(char::to_lowercase).filter(|c| !is_combining_mark(*c)).flat_map(spelling).nfc().collect()
}

/// Words of a folded text: letters and digits, what shortens a word kept on it.
pub(super) fn words(folded: &str) -> Vec<String> {
    let runs = folded.split(|c: char| !(c.is_alphanumeric() || c == '\'')).filter(|run| !run.is_empty());
    let mut words = Vec::new();
    for run in runs {
        for (at, piece) in run.split('\'').filter(|piece| !piece.is_empty()).enumerate() {
            match words.last_mut() {
                Some(last) if at > 0 && SHORTENED.contains(&piece) => String::push_str(last, piece),
                _ => words.push(piece.to_owned()),
            }
            if words.len() > WORDS {
                return words;
            }
        }
    }
    words
}

/// The Latin word that a word of another script, or of several, looks like.
pub(super) fn latin(word: &str) -> Option<String> {
    let seen: String =
        word.chars().map(|c| LOOKALIKES.iter().find(|(from, _)| *from == c).map_or(c, |l| l.1)).collect();
    (seen != word && seen.is_ascii()).then_some(seen)
}

/// A word with every run of one letter written once.
pub(super) fn squeezed(word: &str) -> String {
    let mut last = None;
    word.chars().filter(|c| last.replace(*c) != Some(*c)).collect()
}

/// Whether one letter more, less or other, or two neighbours swapped, makes one word of the other.
pub(super) fn one_slip(a: &str, b: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let head = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let tail = a[head..].iter().rev().zip(b[head..].iter().rev()).take_while(|(x, y)| x == y).count();
    let (a, b) = (&a[head..a.len() - tail], &b[head..b.len() - tail]);
    match (a, b) {
        ([], [_]) | ([_], []) | ([_], [_]) => true,
        ([x, y], [v, w]) => x == w && y == v,
        _ => false,
    }
}

fn invisible(c: char) -> bool {
    matches!(c, '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}'
        | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}'
        | '\u{E0000}'..='\u{E0FFF}' | '\u{640}')
}

/// Letters whose accent no decomposition takes off, digits of every script, quotes of every shape.
fn spelling(c: char) -> impl Iterator<Item = char> {
    let (first, second) = match c {
        'ł' => ('l', None),
        'ø' => ('o', None),
        'đ' => ('d', None),
        'ı' => ('i', None),
        'ß' => ('s', Some('s')),
        'æ' => ('a', Some('e')),
        'œ' => ('o', Some('e')),
        'ς' => ('σ', None),
        '\u{2018}'..='\u{201B}' | '\u{2BC}' | '\u{2032}' | '`' => ('\'', None),
        '\u{201C}'..='\u{201F}' | '«' | '»' => ('"', None),
        c => (digit(c).unwrap_or(c), None),
    };
    std::iter::once(first).chain(second)
}

fn digit(c: char) -> Option<char> {
    let zero = ZEROS
        .iter()
        .find(|zero| (**zero..=char::from_u32(**zero as u32 + 9).unwrap_or(**zero)).contains(&c))?;
    char::from_digit(c as u32 - *zero as u32, 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn width_case_accent_script_of_digits_and_invisible_signs_do_not_tell_words_apart() {
        for (text, wanted) in [
            ("ＳＴＯＰ", "stop"),
            ("Désabonner", "desabonner"),
            ("st\u{200B}op\u{FE0F}", "stop"),
            ("İPTAL", "iptal"),
            ("إلغاء", "الغاء"),
            ("hủy", "huy"),
            ("Größe ŁÓDŹ", "grosse lodz"),
            ("١٢٣ ۴ ५ ② 1\u{FE0F}\u{20E3}", "123 4 5 2 1"),
            ("don’t", "don't"),
            ("отписаться", "отписаться"),
        ] {
            assert_eq!(folded(text), folded(wanted), "{text}");
            assert_eq!(folded(wanted), wanted, "{wanted}");
        }
    }

    #[test]
    fn an_apostrophe_parts_words_and_keeps_what_shortens_one() {
        assert_eq!(words("don't d'envoyer, s.t.o.p"), ["dont", "d", "envoyer", "s", "t", "o", "p"]);
    }

    #[test]
    fn one_slip_is_one_letter_or_one_swap() {
        for word in ["stip", "sop", "stoop", "stpo", "tsop", "xstop", "sto"] {
            assert!(one_slip(word, "stop"), "{word}");
        }
        for word in ["stop", "spot", "st", "stoopp", "pots"] {
            assert!(!one_slip(word, "stop"), "{word}");
        }
    }

    #[test]
    fn a_long_text_is_read_at_both_ends_only() {
        let long = format!("first {} last", "x".repeat(40_000));
        let seen = ends(&long);
        assert!(seen.starts_with("first ") && seen.ends_with(" last"));
        assert!(seen.chars().count() <= HEAD + TAIL + 1);
        assert_eq!(ends("short"), "short");
    }

    #[test]
    fn lookalikes_give_the_latin_word_and_other_letters_none() {
        assert_eq!(latin("ѕтор").as_deref(), Some("stop"));
        assert_eq!(latin("stор").as_deref(), Some("stop"));
        assert_eq!(latin("stop"), None);
        assert_eq!(latin("жить"), None);
    }
}
