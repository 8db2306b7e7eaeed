//! The word tables made into one map, once: from a word or phrase to what it may be a sign of.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::Language;
use super::normal::one_slip;
use super::{signs, words};

/// Longest phrase of the tables, in words.
pub(super) const PHRASE: usize = 5;

/// What a word or phrase may be a sign of; one may be a sign of several things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    Stop(Language),
    /// Stop only when nothing else is said.
    Alone(Language),
    Start,
    Courtesy,
    About,
    Strong,
    Cease,
    Not,
    Message,
    Threat,
    If,
    Apart,
    Plain,
}

static SIGNS: LazyLock<HashMap<String, Vec<Sign>>> = LazyLock::new(|| {
    let mut signs: HashMap<String, Vec<Sign>> = HashMap::new();
    let mut add = |list: &str, sign: Sign| {
        for entry in list.split_whitespace() {
            signs.entry(entry.replace('_', " ")).or_default().push(sign);
        }
    };
    for words in &words::WORDS {
        add(words.stop, Sign::Stop(words.language));
        add(words.alone, Sign::Alone(words.language));
        add(words.start, Sign::Start);
        add(words.courtesy, Sign::Courtesy);
        add(words.about, Sign::About);
    }
    add(signs::STRONG, Sign::Strong);
    add(signs::CEASE, Sign::Cease);
    add(signs::NOT, Sign::Not);
    add(signs::MESSAGE, Sign::Message);
    add(signs::THREAT, Sign::Threat);
    add(signs::IF, Sign::If);
    add(signs::APART, Sign::Apart);
    add(signs::PLAIN, Sign::Plain);
    signs
});

/// Stop words that one slip may hide.
static SLIPPED: LazyLock<Vec<(String, Language)>> = LazyLock::new(|| {
    let all = words::WORDS.iter().flat_map(|words| words.stop.split(' ').map(|word| (word, words.language)));
    let told = all.filter(|(word, _)| {
        let long = word.chars().count() >= words::SLIP_FROM;
        !word.contains('_') && (long || words::SLIPPED.split(' ').any(|short| short == *word))
    });
    told.map(|(word, language)| (word.to_owned(), language)).collect()
});

/// Every sign of a word or phrase, words parted by one space.
pub(super) fn signs_of(phrase: &str) -> &'static [Sign] {
    SIGNS.get(phrase).map_or(&[], Vec::as_slice)
}

/// The language in which a word or phrase, said alone, is stop.
pub(super) fn stop(phrase: &str) -> Option<Language> {
    signs_of(phrase).iter().find_map(|sign| match sign {
        Sign::Stop(language) | Sign::Alone(language) => Some(*language),
        _ => None,
    })
}

/// The language of the stop word that `word` is but for one slip, and is no word of its own.
pub(super) fn slipped_stop(word: &str) -> Option<Language> {
    let own = !signs_of(word).is_empty() || words::NEIGHBOURS.split(' ').any(|real| real == word);
    // No stop word is longer, so neither is a slip of one.
    if own || word.len() > SLIP_OCTETS || word.chars().count() < SLIP_LETTERS {
        return None;
    }
    let like = |stop: &str| stop.len().abs_diff(word.len()) <= LETTER_OCTETS && one_slip(word, stop);
    SLIPPED.iter().find(|(stop, _)| like(stop)).map(|(_, language)| *language)
}

/// Fewest letters of a word that is read as a slip.
const SLIP_LETTERS: usize = 4;
/// Most octets of one letter, by which a slip may differ.
const LETTER_OCTETS: usize = 4;
/// Most octets of one.
const SLIP_OCTETS: usize = 48;

#[cfg(test)]
mod tests {
    use super::super::normal::{folded, words as parted};
    use super::*;

    fn lists() -> Vec<&'static str> {
        let languages = words::WORDS.iter().flat_map(|w| [w.stop, w.alone, w.start, w.courtesy, w.about]);
        let signs = [
            signs::STRONG,
            signs::CEASE,
            signs::NOT,
            signs::MESSAGE,
            signs::THREAT,
            signs::IF,
            signs::APART,
            signs::PLAIN,
        ];
        languages.chain(signs).chain([words::NEIGHBOURS, words::SLIPPED]).collect()
    }

    #[test]
    fn every_list_is_folded_sorted_without_repeats_and_of_short_phrases() {
        for list in lists() {
            let entries: Vec<&str> = list.split_whitespace().collect();
            assert!(entries.is_sorted_by(|a, b| a < b), "{list}");
            for entry in entries {
                let phrase = entry.replace('_', " ");
                assert_eq!(folded(&phrase), phrase, "folded");
                assert_eq!(parted(&phrase).join(" "), phrase, "words of their own");
                assert!(phrase.split(' ').count() <= PHRASE, "{phrase}");
            }
        }
    }

    #[test]
    fn every_language_has_words_and_no_word_is_both_stop_and_start() {
        for language in Language::ALL {
            assert!(words::WORDS.iter().any(|words| words.language == language), "{language:?}");
        }
        for (phrase, signs) in SIGNS.iter() {
            assert!(stop(phrase).is_none() || !signs.contains(&Sign::Start), "{phrase}");
        }
    }

    #[test]
    fn the_words_the_law_names_are_stop_words() {
        for word in ["stop", "quit", "end", "revoke", "opt out", "cancel", "unsubscribe"] {
            assert_eq!(stop(word), Some(Language::En), "{word}");
        }
    }

    #[test]
    fn real_words_are_no_slips() {
        for word in ["shop", "step", "send", "ends", "quite", "quiet", "suit", "spot", "cancer", "firma"] {
            assert_eq!(slipped_stop(word), None, "{word}");
        }
        assert_eq!(slipped_stop("stpo"), Some(Language::En));
    }
}
