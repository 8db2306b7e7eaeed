//! The strict stage and the hold rule over the words of one reply.
//!
//! Strict: take away courtesy and what a stop may be about; what is left says stop and nothing else. Hold: a
//! sign of stop anywhere, or nothing that tells what else the reply is about.

use super::lexicon::{PHRASE, Sign, signs_of, slipped_stop, stop};
use super::normal::{latin, squeezed};
use super::{Language, Verdict};

/// Signs that say stop without a word.
const STOP_SIGNS: [char; 3] = ['🛑', '⛔', '🚫'];
/// Signs that may.
const HARSH_SIGNS: [char; 10] = ['✋', '🤚', '🖐', '🖕', '🤬', '😡', '😠', '🙅', '❌', '✖'];

/// How far apart two words still speak of each other.
const NEAR: usize = 6;
/// Longest text in which a word that mostly means something else may still be a stop.
const TERSE: usize = 3;
/// Letters of a run that no language has as one word: ballast of a test or a key held down.
const NO_WORD: usize = 26;
/// Words that hold a stop word but are none.
const HOLDING_STOP: [&str; 4] = ["busstop", "nonstop", "pitstop", "stopover"];
/// What hides in a longer word and is looked at.
const HIDDEN: [&str; 5] = ["stop", "unsub", "optout", "abmeld", "стоп"];

/// The whole message read as stop or start, if it says nothing else.
pub(super) fn strict(words: &[String], folded: &str) -> Option<Verdict> {
    if words.is_empty() {
        let sign = folded.chars().any(|c| STOP_SIGNS.contains(&c));
        let harsh = folded.chars().any(|c| HARSH_SIGNS.contains(&c));
        return (sign && !harsh).then_some(Verdict::OptOut { language: Language::En });
    }
    if let Some(language) = spelled(words) {
        return Some(Verdict::OptOut { language });
    }
    let said = said_alone(words)?;
    Some(said.map_or(Verdict::OptIn, |language| Verdict::OptOut { language }))
}

/// Letter by letter, or the parts of one word: "s t o p", "un subscribe".
fn spelled(words: &[String]) -> Option<Language> {
    let kept: Vec<&str> =
        words.iter().map(String::as_str).filter(|word| !is(word, Sign::Courtesy)).take(PARTS + 1).collect();
    let letters = kept.iter().all(|word| word.chars().count() == 1);
    let joined = kept.concat();
    let joined = latin(&joined).filter(|seen| stop(seen).is_some()).unwrap_or(joined);
    let whole = letters || matches!(joined.as_str(), "unsubscribe" | "stop" | "stopall" | "optout");
    (kept.len() > 1 && kept.len() <= PARTS && whole).then(|| stop(&joined)).flatten()
}

/// Letters of the longest word that is spelled out.
const PARTS: usize = 16;

/// The language of the stop that is all the words say, `Some(None)` for a start; `None` if they say more, or
/// both.
fn said_alone(words: &[String]) -> Option<Option<Language>> {
    let (mut stops, mut starts, mut at) = (None, false, 0);
    let meant = words.iter().filter(|word| !is(word, Sign::Courtesy)).count();
    while at < words.len() {
        let (length, heard) = longest(&words[at..], meant)?;
        match heard {
            Heard::Stop(language) => stops = stops.or(Some(language)),
            Heard::Start => starts = true,
            Heard::Nothing => {}
        }
        at += length;
    }
    match (stops, starts) {
        (Some(language), false) => Some(Some(language)),
        (None, true) => Some(None),
        _ => None,
    }
}

enum Heard {
    Stop(Language),
    Start,
    Nothing,
}

/// The longest phrase at the front that a strict message may hold, with its count of words.
fn longest(words: &[String], meant: usize) -> Option<(usize, Heard)> {
    for length in (1..=PHRASE.min(words.len())).rev() {
        let phrase = words[..length].join(" ");
        if let Some(language) = stop(&phrase) {
            return Some((length, Heard::Stop(language)));
        }
        if is(&phrase, Sign::Start) {
            return Some((length, Heard::Start));
        }
        if is(&phrase, Sign::Courtesy) || is(&phrase, Sign::About) || phrase == "again" {
            return Some((length, Heard::Nothing));
        }
    }
    let word = words.first()?;
    let language = repeated_letters(word)
        .or_else(|| if meant == 1 || word.len() >= LONG { mistyped(word) } else { None });
    language.map(|language| (1, Heard::Stop(language)))
}

fn is(phrase: &str, sign: Sign) -> bool {
    signs_of(phrase).contains(&sign)
}

/// "stoppp": a stop word with a letter held down.
fn repeated_letters(word: &str) -> Option<Language> {
    let held =
        word.chars().zip(word.chars().skip(1)).zip(word.chars().skip(2)).any(|((a, b), c)| a == b && b == c);
    if held { stop(&squeezed(word)) } else { None }
}

/// One word that is a stop word but for a slip or letters of another script.
fn mistyped(word: &str) -> Option<Language> {
    let seen = latin(word);
    let looks = seen.as_deref().and_then(stop);
    looks.or_else(|| slipped_stop(word)).or_else(|| seen.as_deref().and_then(slipped_stop))
}

/// Whether a sign stands in the text that says stop, or may.
pub(super) fn warns(folded: &str) -> bool {
    folded.chars().any(|c| STOP_SIGNS.contains(&c) || HARSH_SIGNS.contains(&c))
}

/// Whether a person should read the reply before anything more goes out.
pub(super) fn doubtful(words: &[String], folded: &str) -> bool {
    if warns(folded) {
        return true;
    }
    let Found { signs, plain, rest } = Found::of(words);
    let near = |a: Sign, b: Sign| {
        signs.iter().filter(|(_, sign)| *sign == a).any(|(at, _)| {
            signs.iter().any(|(other, sign)| *sign == b && other.abs_diff(*at) <= NEAR && other != at)
        })
    };
    let has = |wanted: Sign| signs.iter().any(|(_, sign)| *sign == wanted);
    let stop = signs.iter().any(|(_, sign)| matches!(sign, Sign::Stop(_)));
    let alone = signs.iter().any(|(_, sign)| matches!(sign, Sign::Alone(_)));
    stop || has(Sign::Strong)
        || (alone && (has(Sign::Message) || (rest.len() <= TERSE && !plain)))
        || near(Sign::Cease, Sign::Message)
        || near(Sign::Not, Sign::Message)
        || (has(Sign::Threat) && (has(Sign::If) || has(Sign::Message)))
        || rest.iter().any(|word| hides_a_stop(word))
        || spelled_within(&rest)
        || (!plain && has(Sign::Not))
        || (!plain && rest.iter().any(|word| speaks(word)))
}

/// Digits of a word that is a phone's number rather than a sum.
const PHONE: usize = 6;

/// The signs of a reply with the place of their first word.
struct Found<'a> {
    signs: Vec<(usize, Sign)>,
    /// Whether something tells what the reply is about.
    plain: bool,
    /// Words outside the phrases that are plainly about something else.
    rest: Vec<&'a str>,
}

impl<'a> Found<'a> {
    fn of(words: &'a [String]) -> Found<'a> {
        let mut found = Found { signs: Vec::new(), plain: false, rest: Vec::new() };
        let mut at = 0;
        while at < words.len() {
            let phrases = (1..=PHRASE.min(words.len() - at)).rev();
            let phrases: Vec<(usize, String)> = phrases.map(|n| (n, words[at..at + n].join(" "))).collect();
            if let Some((length, _)) = phrases.iter().find(|(_, phrase)| is(phrase, Sign::Apart)) {
                found.plain = true;
                at += length;
                continue;
            }
            for (_, phrase) in &phrases {
                found.signs.extend(signs_of(phrase).iter().map(|sign| (at, *sign)));
                found.plain |= is(phrase, Sign::Plain);
            }
            let digits = words[at].bytes().filter(u8::is_ascii_digit).count();
            found.plain |= digits > 0;
            if digits >= PHONE {
                found.signs.push((at, Sign::Message));
            }
            found.rest.push(&words[at]);
            at += 1;
        }
        found
    }
}

/// "pleasestop", "stoptexting", "STOOOP", "unsubscribed", with letters of another script too.
fn hides_a_stop(word: &str) -> bool {
    let seen = latin(word);
    let seen = seen.as_deref().unwrap_or(word);
    let hidden = |text: &str| HIDDEN.iter().any(|stop| text.contains(stop));
    !HOLDING_STOP.contains(&seen)
        && (hidden(seen) || hidden(word) || repeated_letters(seen).is_some() || long_slip(seen))
}

/// Slips in long words are slips in a longer text too.
fn long_slip(word: &str) -> bool {
    word.len() >= LONG && slipped_stop(word).is_some()
}

/// From this many octets a stop word with a slip is nothing else, whatever stands around it.
const LONG: usize = 8;

/// "pls s t o p now": the letters of a stop word one by one.
fn spelled_within(words: &[&str]) -> bool {
    let runs = words.split(|word| word.chars().count() > 1);
    runs.filter(|run| run.len() > 2).any(|run| hides_a_stop(&run.concat()))
}

/// Whether a word belongs to a language at all and is long enough to mean something.
fn speaks(word: &str) -> bool {
    let letters = word.chars().count();
    let alphabetic = word.chars().all(char::is_alphabetic);
    let short = letters < 3 && word.is_ascii();
    alphabetic && !short && letters < NO_WORD
}
