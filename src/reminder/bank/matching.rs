//! Whose payment an entry is: by the reference the payer wrote and by the amount.
//!
//! Sure is only what a person would not look at twice. A wrong match texts nobody who owes and goes on texting
//! somebody who paid, so whatever is not sure is [`Match::Doubtful`] and a person's task; what has nothing to do
//! with us is [`Match::None`], for the account may serve other business too.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::money::Money;
use super::super::name::ExternalId;
use super::{Direction, Entry};

/// Words of a remittance that are looked at.
const WORDS_MAX: usize = 100;
/// Words that one reference may have been broken into by blanks, dashes and line ends.
const RUN_MAX: usize = 6;
/// Letters and digits of the longest reference that is looked for.
const REFERENCE_MAX: usize = 64;
/// Shorter references come up by chance: they need the exact amount.
const TELLING: usize = 5;
/// Obligations named to a person in one task.
const CANDIDATES_MAX: usize = 5;

/// An obligation that an entry may be about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub obligation: ExternalId,
    /// What is still owed; zero once paid.
    pub balance: Money,
    /// Payments that were not reversed, oldest first.
    pub payments: Vec<(ExternalId, Money)>,
}

/// What is known of obligations.
pub trait Lookup {
    /// The obligations that have this as the [`folded`] form of their external id or their account's.
    fn by_reference(&self, folded: &str) -> Vec<Candidate>;

    /// A few of the open obligations with exactly this balance.
    fn by_balance(&self, balance: Money) -> Vec<Candidate>;

    /// The obligation that has a payment with this id.
    fn by_payment(&self, payment: &str) -> Option<Candidate>;
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Match {
    /// A payment of this obligation, in full or of a part.
    Sure { obligation: ExternalId },
    /// This payment was taken back.
    Reversal { obligation: ExternalId, payment: ExternalId },
    /// Perhaps ours: for a person, with at most five obligations it may be about.
    Doubtful { why: Doubt, candidates: Vec<ExternalId> },
    /// Nothing of ours.
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    #[error("more was paid than is owed")]
    Overpaid,
    #[error("the obligation is paid already")]
    AlreadyPaid,
    #[error("several obligations are named")]
    Several,
    #[error("only the amount fits")]
    AmountOnly,
    #[error("the reference is too short to be sure of it")]
    ShortReference,
    #[error("the currency is another")]
    Currency,
    #[error("money went back, but which payment is not known")]
    UnknownReversal,
}

/// One spelling of a reference: capital letters and digits alone.
pub fn folded(reference: &str) -> String {
    reference.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_uppercase).collect()
}

/// Finds what an entry pays, or takes back.
pub fn find(entry: &Entry, lookup: &dyn Lookup) -> Match {
    match (entry.direction, entry.reversal) {
        (Direction::Credit, false) => payment(entry, lookup),
        (Direction::Debit, true) => reversal(entry, lookup),
        // What the firm pays, and what it gets back of that.
        (Direction::Debit, false) | (Direction::Credit, true) => Match::None,
    }
}

fn payment(entry: &Entry, lookup: &dyn Lookup) -> Match {
    let named = named(entry, lookup);
    let mut all = named.values().map(|(candidate, _)| candidate);
    let exact: Vec<&Candidate> = all.clone().filter(|candidate| candidate.balance == entry.amount).collect();
    match (named.len(), all.next()) {
        (0, _) => amount_alone(entry, lookup),
        (1, Some(candidate)) => {
            let length = named.values().map(|(_, length)| *length).max().unwrap_or_default();
            judge(candidate, length, entry.amount)
        }
        // An account was named, and one of its obligations has exactly this balance.
        _ => match (exact.as_slice(), one_reference(&named)) {
            ([only], true) => Match::Sure { obligation: only.obligation.clone() },
            _ => doubtful(Doubt::Several, named.values().map(|(candidate, _)| candidate)),
        },
    }
}

/// Obligations by what was found of them, with the letters and digits of the reference that named them.
type Named = BTreeMap<(String, ExternalId), (Candidate, usize)>;

fn one_reference(named: &Named) -> bool {
    let mut references = named.keys().map(|(reference, _)| reference);
    let first = references.next();
    references.all(|reference| Some(reference) == first)
}

fn judge(candidate: &Candidate, length: usize, amount: Money) -> Match {
    let doubt = match (candidate.balance, amount) {
        (balance, amount) if balance.currency() != amount.currency() => Doubt::Currency,
        (balance, amount) if balance == amount => {
            return Match::Sure { obligation: candidate.obligation.clone() };
        }
        (balance, _) if !balance.is_positive() => Doubt::AlreadyPaid,
        (balance, amount) if amount.minor() > balance.minor() => Doubt::Overpaid,
        _ if length < TELLING => Doubt::ShortReference,
        _ => return Match::Sure { obligation: candidate.obligation.clone() },
    };
    doubtful(doubt, std::iter::once(candidate))
}

fn amount_alone(entry: &Entry, lookup: &dyn Lookup) -> Match {
    let candidates = lookup.by_balance(entry.amount);
    if candidates.is_empty() { Match::None } else { doubtful(Doubt::AmountOnly, candidates.iter()) }
}

fn doubtful<'a>(why: Doubt, candidates: impl Iterator<Item = &'a Candidate>) -> Match {
    let candidates = candidates.map(|candidate| candidate.obligation.clone()).take(CANDIDATES_MAX).collect();
    Match::Doubtful { why, candidates }
}

/// What was taken back: the bank may give it the reference of the payment, else the payer's text tells.
fn reversal(entry: &Entry, lookup: &dyn Lookup) -> Match {
    let id = entry.external_id.as_str().split("/debit").next().unwrap_or_default();
    let by_id = lookup.by_payment(id).and_then(|candidate| {
        let payment = candidate.payments.iter().find(|(payment, _)| payment.as_str() == id)?.0.clone();
        Some(Match::Reversal { obligation: candidate.obligation, payment })
    });
    if let Some(found) = by_id {
        return found;
    }
    let named = named(entry, lookup);
    let candidates: Vec<&Candidate> = named.values().map(|(candidate, _)| candidate).collect();
    let paid: Vec<(&Candidate, &ExternalId)> = candidates
        .iter()
        .filter_map(|candidate| {
            let same = candidate.payments.iter().rfind(|(_, amount)| *amount == entry.amount);
            same.map(|(payment, _)| (*candidate, payment))
        })
        .collect();
    match (paid.as_slice(), candidates.is_empty()) {
        ([(candidate, payment)], _) => Match::Reversal {
            obligation: candidate.obligation.clone(),
            payment: (*payment).clone(),
        },
        (_, true) => Match::None,
        _ => doubtful(Doubt::UnknownReversal, candidates.into_iter()),
    }
}

/// All obligations that the entry names as a whole reference; of references within others only the longest.
fn named(entry: &Entry, lookup: &dyn Lookup) -> Named {
    let mut named = Named::new();
    let texts = [entry.end_to_end.as_deref(), Some(entry.remittance.as_str())];
    for text in texts.into_iter().flatten() {
        for (reference, candidate) in references(text, lookup) {
            let length = reference.chars().count();
            let known = named.keys().any(|(_, obligation)| *obligation == candidate.obligation);
            if !known {
                named.insert((reference, candidate.obligation.clone()), (candidate, length));
            }
        }
    }
    named
}

fn references(text: &str, lookup: &dyn Lookup) -> Vec<(String, Candidate)> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let words: Vec<String> = words.take(WORDS_MAX).map(folded).collect();
    let mut found: Vec<(usize, usize, String, Vec<Candidate>)> = Vec::new();
    for begin in 0..words.len() {
        for end in (begin + 1..=words.len().min(begin + RUN_MAX)).rev() {
            let within = found.iter().any(|(from, to, ..)| *from <= begin && end <= *to);
            let reference = words[begin..end].concat();
            if within || reference.len() > REFERENCE_MAX {
                continue;
            }
            let candidates = lookup.by_reference(&reference);
            if !candidates.is_empty() {
                found.push((begin, end, reference, candidates));
            }
        }
    }
    let outer = |from: usize, to: usize| {
        found.iter().any(|(f, t, ..)| *f <= from && to <= *t && (*f, *t) != (from, to))
    };
    let kept = found.iter().filter(|(from, to, ..)| !outer(*from, *to));
    kept.flat_map(|(_, _, reference, all)| all.iter().map(|one| (reference.clone(), one.clone()))).collect()
}
