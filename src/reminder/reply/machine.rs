//! What in a reply is no person's word: reactions of phones, answering machines, signatures, and our own last
//! text come back.
//!
//! Removed, never judged: our texts say "Reply STOP", so whatever repeats them would else stop itself. What a
//! person wrote around it stays.

use super::normal::{ends, folded, words};

/// How a phone tells a reaction in plain text, before the quoted message.
const REACTIONS: [&str; 47] = [
    "a adore",
    "a aime",
    "a ri de",
    "a reagi",
    "a reagi avec",
    "a mis en evidence",
    "a questionne",
    "adorou",
    "amou",
    "curtiu",
    "destacou",
    "disliked",
    "emphasised",
    "emphasized",
    "fand",
    "gefallt",
    "ha apprezzato",
    "ha messo in evidenza",
    "ha reagito",
    "ha riso per",
    "hat",
    "hat gelacht uber",
    "haha",
    "hearted",
    "laughed at",
    "le encanto",
    "le gusto",
    "le hizo gracia a",
    "leuk gevonden",
    "liked",
    "loved",
    "me encanta",
    "me gusta",
    "n a pas aime",
    "no le gusto",
    "polubiono",
    "questioned",
    "reacciono",
    "reacted",
    "reaction",
    "reagiu",
    "removed a heart from",
    "removed a like from",
    "thumbs up",
    "vond",
    "vond leuk",
    "zareagowano",
];

/// Most words between a reaction's verb and the quote: "Reacted 👍 to".
const REACTION_GAP: usize = 4;

/// Verbs that stand behind the quoted message.
const REACTION_ENDS: [&str; 3] = ["gelacht", "markiert", "reagiert"];

/// Openings of the lines that a mail program or a phone adds below.
const SIGNATURES: [&str; 16] = [
    "envoye de mon",
    "envoye depuis",
    "enviado desde mi",
    "enviado do meu",
    "gesendet mit der",
    "gesendet von",
    "get outlook for",
    "inviato da",
    "sendt fra",
    "sent from",
    "sent via",
    "skickat fran",
    "trimis de pe",
    "verzonden vanaf",
    "von meinem",
    "wyslane z",
];

/// What an answering machine says of itself, folded.
const AUTOMATIC: [&str; 22] = [
    "abwesenheitsnotiz",
    "auto reply",
    "auto response",
    "automatic reply",
    "automatische antwort",
    "automatisch antwoord",
    "away from my phone",
    "currently driving",
    "do not disturb while driving",
    "im driving",
    "je conduis",
    "message automatique",
    "nicht gelesen da ich fahre",
    "odpowiedz automatyczna",
    "out of office",
    "out of the office",
    "reponse automatique",
    "respuesta automatica",
    "resposta automatica",
    "risposta automatica",
    "sto guidando",
    "with do not disturb",
];

/// Shortest run of words that is taken for our text come back: fewer are a person's own.
const ECHO: usize = 4;

/// What is left of a reply once machines have been heard.
pub(super) struct Heard {
    /// The words of the reply but for reactions and signatures.
    pub said: Vec<String>,
    /// Of these, the person's own.
    pub words: Vec<String>,
    /// The folded text they stand in, for signs that are no letters.
    pub folded: String,
    /// Whether an answering machine wrote it.
    pub automatic: bool,
    /// Whether the reply repeats a passage of ours and leaves nothing, though it is not our whole text.
    pub passage: bool,
}

/// `text` is bounded by the caller.
pub(super) fn hear(text: &str, last_sent: Option<&str>) -> Heard {
    let folded = folded(&without_quoted_lines(text));
    let own = without_reaction(&folded);
    let mut kept = words(own);
    drop_signature(&mut kept);
    let spaced = kept.join(" ");
    let automatic = AUTOMATIC.iter().any(|phrase| spaced.contains(phrase));
    let said = kept.clone();
    let passage = last_sent.is_some_and(|sent| drop_echo(&mut kept, &words(&folded_ends(sent))));
    Heard { said, words: kept, folded: own.to_owned(), automatic, passage }
}

fn folded_ends(text: &str) -> String {
    folded(&ends(text))
}

/// Lines of a mail answer that quote, and the line that announces them.
fn without_quoted_lines(text: &str) -> String {
    let kept: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with('>')).collect();
    kept.join("\n")
}

/// What stands behind a reaction's quoted message, or the text itself.
fn without_reaction(folded: &str) -> &str {
    let Some(open) = folded.find('"') else { return folded };
    let before = words(&folded[..open]).join(" ");
    let named = REACTIONS.iter().any(|verb| {
        before.strip_prefix(verb).is_some_and(|rest| {
            (rest.is_empty() || rest.starts_with(' ')) && rest.split_whitespace().count() <= REACTION_GAP
        })
    });
    match folded.rfind('"') {
        Some(close) if named && close > open => {
            let behind = &folded[close + 1..];
            if REACTION_ENDS.contains(&behind.trim()) { "" } else { behind }
        }
        // Cut off by the phone: the rest is quoted to the end.
        Some(_) if named => "",
        _ => folded,
    }
}

/// Cuts the signature below a text; a text that begins like one is no signature.
fn drop_signature(words: &mut Vec<String>) {
    let begins = |at: usize| {
        SIGNATURES.iter().any(|line| {
            let mut rest = words[at..].iter();
            line.split(' ').all(|wanted| rest.next().is_some_and(|word| word == wanted))
        })
    };
    // A signature is short, so only the end of the text can hold one.
    let first = words.len().saturating_sub(SIGNATURE).max(1);
    if let Some(at) = (first..words.len()).find(|at| begins(*at)) {
        words.truncate(at);
    }
}

/// Most words of a signature.
const SIGNATURE: usize = 9;

/// Takes the longest run of words that is also in our text out of the reply. True if that leaves nothing of a
/// reply that is much shorter than our text: a person may have copied "STOP to opt out" from it.
fn drop_echo(reply: &mut Vec<String>, sent: &[String]) -> bool {
    let (mut longest, mut ends_at) = (0, 0);
    let mut runs = vec![0; sent.len() + 1];
    for (at, word) in reply.iter().enumerate() {
        let mut diagonal = 0;
        for (other, ours) in sent.iter().enumerate() {
            let run = if word == ours { diagonal + 1 } else { 0 };
            diagonal = std::mem::replace(&mut runs[other + 1], run);
            if run > longest {
                (longest, ends_at) = (run, at + 1);
            }
        }
    }
    if longest < ECHO {
        return false;
    }
    reply.drain(ends_at - longest..ends_at);
    reply.is_empty() && longest * 2 < sent.len()
}
