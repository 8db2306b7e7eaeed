//! What a reply wants of us, as far as the wish to stop goes.
//!
//! Certain is only a message that says nothing else; whatever may mean stop and is not certain is
//! [`Verdict::MayBeOptOut`], for a person to decide while sending to that number is held. Both errors hurt,
//! but not alike: a hold is looked at, a text after STOP is a breach. Work is bounded for any input.
//!
//! It leaves to others: suppression, the confirmation and the hold itself (engine), and every other intent.

mod language;
mod lexicon;
mod machine;
pub mod menu;
mod normal;
mod optout;
mod signs;
mod words;

use serde::{Deserialize, Serialize};

pub use language::Language;

/// What the strict stage and the hold rule make of one reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// Says stop and nothing else.
    OptOut { language: Language },
    /// May mean stop: sending is held until a person has read it.
    MayBeOptOut,
    /// Asks for messages again and says nothing else.
    OptIn,
    /// About something else.
    Other,
}

impl Verdict {
    /// The name of the intent in answers and metrics; `None` where nothing is certain.
    pub fn intent(self) -> Option<&'static str> {
        match self {
            Verdict::OptOut { .. } => Some("opt_out"),
            Verdict::OptIn => Some("opt_in"),
            Verdict::MayBeOptOut | Verdict::Other => None,
        }
    }
}

/// Reads one reply. `last_sent` is our own last text to that number: what the reply repeats of it is not the
/// person's word.
pub fn classify(text: &str, last_sent: Option<&str>) -> Verdict {
    let heard = machine::hear(&normal::ends(text), last_sent);
    if let Some(verdict) = optout::strict(&heard.said, &heard.folded) {
        return verdict;
    }
    if heard.automatic && !heard.words.iter().any(|word| lexicon::stop(word).is_some()) {
        return Verdict::Other;
    }
    let doubtful = heard.passage || optout::doubtful(&heard.words, &heard.folded);
    if doubtful { Verdict::MayBeOptOut } else { Verdict::Other }
}

/// Whether no person wrote it: an automatic answer, a reaction, or our own words again and nothing else.
pub fn is_machine(text: &str, last_sent: Option<&str>) -> bool {
    let heard = machine::hear(&normal::ends(text), last_sent);
    heard.automatic || heard.words.is_empty()
}

#[cfg(test)]
mod tests;
