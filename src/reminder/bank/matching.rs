//! Whose payment an entry is: by the reference the payer wrote and by the amount.
//!
//! Sure is only what a person would not look at twice. A wrong match texts nobody who owes and goes on texting
//! somebody who paid, so whatever is not sure is [`Match::Doubtful`] and a person's task; what has nothing to do
//! with us is [`Match::None`], for the account may serve other business too.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::money::Money;
use super::super::name::ExternalId;
use super::{Direction, Entry, unmarked};

/// Words of a remittance that are looked at.
const WORDS_MAX: usize = 100;
/// Words that one reference may have been broken into by blanks, dashes and line ends.
const RUN_MAX: usize = 6;
/// Letters and digits of the longest reference that is looked for.
const REFERENCE_MAX: usize = 64;
/// Shorter references come up by chance: they need the exact amount.
const TELLING: usize = 5;
/// As [`TELLING`] for digits alone, which are postcodes and dates as well.
const TELLING_DIGITS: usize = 7;
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
    #[error("money went back, but not the amount that was paid")]
    OtherReversal,
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
    let mut all = named.values();
    let exact: Vec<&Candidate> = all.clone().filter(|candidate| candidate.balance == entry.amount).collect();
    match (named.len(), all.next()) {
        (0, _) => amount_alone(entry, lookup),
        (1, Some(candidate)) => {
            let telling = named.keys().any(|(reference, _)| is_telling(reference));
            judge(candidate, telling, entry.amount)
        }
        // An account was named, and one of its obligations has exactly this balance.
        _ => match (exact.as_slice(), one_reference(&named)) {
            ([only], true) => Match::Sure { obligation: only.obligation.clone() },
            _ => doubtful(Doubt::Several, named.values()),
        },
    }
}

/// Obligations by the reference that named them.
type Named = BTreeMap<(String, ExternalId), Candidate>;

fn is_telling(reference: &str) -> bool {
    let least = if reference.chars().all(char::is_numeric) { TELLING_DIGITS } else { TELLING };
    reference.chars().count() >= least
}

fn one_reference(named: &Named) -> bool {
    let mut references = named.keys().map(|(reference, _)| reference);
    let first = references.next();
    references.all(|reference| Some(reference) == first)
}

fn judge(candidate: &Candidate, telling: bool, amount: Money) -> Match {
    let doubt = match (candidate.balance, amount) {
        (balance, amount) if balance.currency() != amount.currency() => Doubt::Currency,
        (balance, amount) if balance == amount => {
            return Match::Sure { obligation: candidate.obligation.clone() };
        }
        (balance, _) if !balance.is_positive() => Doubt::AlreadyPaid,
        (balance, amount) if amount.minor() > balance.minor() => Doubt::Overpaid,
        _ if !telling => Doubt::ShortReference,
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

/// The id of the payment that an entry is, or that it takes back where the bank gives both one reference.
pub fn payment_of(entry: &Entry) -> &str {
    let id = entry.external_id.as_str();
    match entry.direction {
        Direction::Credit => id,
        Direction::Debit => id.split(super::DEBIT).next().unwrap_or_default(),
    }
}

/// Whether a payment is the one of this id. One that a program of the firm booked has the bank's reference alone.
pub fn is_of(payment: &ExternalId, id: &str) -> bool {
    payment.as_str() == id || payment.as_str() == unmarked(id)
}

/// What was taken back: the bank may give it the reference of the payment, else the payer's text tells.
fn reversal(entry: &Entry, lookup: &dyn Lookup) -> Match {
    let id = payment_of(entry);
    let by_id = lookup.by_payment(id).and_then(|candidate| {
        let (payment, amount) = candidate.payments.iter().find(|(payment, _)| is_of(payment, id))?;
        if *amount != entry.amount {
            return Some(doubtful(Doubt::OtherReversal, std::iter::once(&candidate)));
        }
        let payment = payment.clone();
        Some(Match::Reversal { obligation: candidate.obligation, payment })
    });
    if let Some(found) = by_id {
        return found;
    }
    let named = named(entry, lookup);
    let candidates: Vec<&Candidate> = named.values().collect();
    let paid: Vec<(&Candidate, &ExternalId)> = candidates
        .iter()
        .filter_map(|candidate| {
            let same = candidate.payments.iter().rfind(|(_, amount)| *amount == entry.amount);
            same.map(|(payment, _)| (*candidate, payment))
        })
        .collect();
    match (paid.as_slice(), candidates.is_empty()) {
        ([(candidate, payment)], _) => {
            Match::Reversal { obligation: candidate.obligation.clone(), payment: (*payment).clone() }
        }
        (_, true) => Match::None,
        _ => doubtful(Doubt::UnknownReversal, candidates.into_iter()),
    }
}

/// All obligations that the entry names as a whole reference; of references within others only the longest.
fn named(entry: &Entry, lookup: &dyn Lookup) -> Named {
    let texts = [entry.end_to_end.as_deref(), Some(entry.remittance.as_str())];
    let mut all: Vec<(String, Candidate)> =
        texts.into_iter().flatten().flat_map(|text| references(text, lookup)).collect();
    // Who names the obligation itself means it, whatever else its account owes.
    let direct = |(reference, one): &(String, Candidate)| folded(one.obligation.as_str()) == *reference;
    if all.iter().any(direct) {
        all.retain(direct);
    }
    let mut named = Named::new();
    for (reference, candidate) in all {
        if !named.keys().any(|(_, obligation)| *obligation == candidate.obligation) {
            named.insert((reference, candidate.obligation.clone()), candidate);
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

#[cfg(test)]
mod tests {
    use super::super::super::money::Currency;
    use super::*;
    use proptest::prelude::*;

    fn eur(value: &str) -> Money {
        Money::parse(value, Currency::parse("EUR").unwrap()).unwrap()
    }

    fn id(text: &str) -> ExternalId {
        ExternalId::parse(text).unwrap()
    }

    /// Obligations with their account and balance; each was paid 10.00 once, by payment `P-` and its id.
    struct Books(Vec<(&'static str, &'static str, &'static str)>);

    impl Books {
        fn all(&self) -> impl Iterator<Item = (&'static str, Candidate)> {
            self.0.iter().map(|(obligation, account, balance)| {
                let payments = vec![(id(&format!("P-{obligation}")), eur("10.00"))];
                (*account, Candidate { obligation: id(obligation), balance: eur(balance), payments })
            })
        }
    }

    impl Lookup for Books {
        fn by_reference(&self, wanted: &str) -> Vec<Candidate> {
            let fits = |(account, candidate): &(&str, Candidate)| {
                folded(account) == wanted || folded(candidate.obligation.as_str()) == wanted
            };
            self.all().filter(fits).map(|(_, candidate)| candidate).collect()
        }

        fn by_balance(&self, balance: Money) -> Vec<Candidate> {
            self.all().map(|(_, candidate)| candidate).filter(|one| one.balance == balance).collect()
        }

        fn by_payment(&self, payment: &str) -> Option<Candidate> {
            let has = |one: &Candidate| one.payments.iter().any(|(id, _)| id.as_str() == payment);
            self.all().map(|(_, candidate)| candidate).find(has)
        }
    }

    fn books() -> Books {
        Books(vec![
            ("R-2026-4711", "A-77-1", "120.50"),
            ("R-2026-4712", "A-77-1", "80.00"),
            ("4711", "B-5-1", "33.00"),
            ("R-2026-4800", "C-1-1", "0.00"),
        ])
    }

    fn entry(remittance: &str, amount: &str) -> Entry {
        Entry {
            external_id: id("BANK-0001"),
            account: "DE00".into(),
            booked: "2026-03-09".parse().unwrap(),
            amount: eur(amount),
            direction: Direction::Credit,
            reversal: false,
            remittance: remittance.into(),
            end_to_end: None,
            debtor_name: None,
        }
    }

    fn sure(obligation: &str) -> Match {
        Match::Sure { obligation: id(obligation) }
    }

    fn doubt(found: Match) -> Doubt {
        match found {
            Match::Doubtful { why, candidates } => {
                assert!((1..=CANDIDATES_MAX).contains(&candidates.len()));
                why
            }
            other => panic!("{other:?} is not doubtful"),
        }
    }

    #[test]
    fn a_reference_is_found_however_it_was_written() {
        for text in [
            "R-2026-4711",
            "Invoice r 2026 4711 thank you",
            "RG.NR: R20264711/Doe",
            "R-2026-47 11",
            "Rechnung R\u{2013}2026\u{2013}4711, Mai",
        ] {
            assert_eq!(find(&entry(text, "120.50"), &books()), sure("R-2026-4711"), "{text}");
        }
        let by_id = Entry { end_to_end: Some("R-2026-4711".into()), ..entry("thanks", "120.50") };
        assert_eq!(find(&by_id, &books()), sure("R-2026-4711"));
    }

    #[test]
    fn a_reference_within_a_longer_word_is_none() {
        for text in ["XR20264711", "R-2026-47113", "R20264711A"] {
            assert_eq!(find(&entry(text, "1.00"), &books()), Match::None, "{text}");
        }
    }

    #[test]
    fn the_longest_reference_is_meant() {
        assert_eq!(find(&entry("R-2026-4711", "120.50"), &books()), sure("R-2026-4711"));
        assert_eq!(find(&entry("4711", "33.00"), &books()), sure("4711"));
    }

    #[test]
    fn less_than_the_balance_is_a_part_of_it_unless_the_reference_may_be_chance() {
        assert_eq!(find(&entry("R-2026-4711", "20.00"), &books()), sure("R-2026-4711"));
        assert_eq!(doubt(find(&entry("order 4711", "20.00"), &books())), Doubt::ShortReference);
        let numbered = Books(vec![("80331", "D-1-1", "50.00"), ("8033100", "E-1-1", "50.00")]);
        assert_eq!(doubt(find(&entry("80331 Munich", "20.00"), &numbered)), Doubt::ShortReference);
        assert_eq!(find(&entry("8033100", "20.00"), &numbered), sure("8033100"));
    }

    #[test]
    fn what_a_person_would_look_at_twice_is_doubtful() {
        for (text, amount, why) in [
            ("R-2026-4711", "120.51", Doubt::Overpaid),
            ("R-2026-4800", "5.00", Doubt::AlreadyPaid),
            ("R-2026-4711 R-2026-4712", "200.50", Doubt::Several),
            ("R-2026-4711 R-2026-4712", "120.50", Doubt::Several),
            ("A-77-1", "20.00", Doubt::Several),
            ("for the invoice", "80.00", Doubt::AmountOnly),
        ] {
            assert_eq!(doubt(find(&entry(text, amount), &books())), why, "{text}");
        }
        let usd = Money::parse("120.50", Currency::parse("USD").unwrap()).unwrap();
        let dollars = Entry { amount: usd, ..entry("R-2026-4711", "1") };
        assert_eq!(doubt(find(&dollars, &books())), Doubt::Currency);
    }

    #[test]
    fn an_account_stands_for_the_obligation_with_exactly_this_balance() {
        assert_eq!(find(&entry("A-77-1", "80.00"), &books()), sure("R-2026-4712"));
        assert_eq!(find(&entry("B 5 1", "20.00"), &books()), doubtful_of("4711"));
        assert_eq!(find(&entry("A-77-1 R-2026-4711", "20.00"), &books()), sure("R-2026-4711"));
    }

    /// `B-5-1` folds to three characters, too few for a part.
    fn doubtful_of(obligation: &str) -> Match {
        Match::Doubtful { why: Doubt::ShortReference, candidates: vec![id(obligation)] }
    }

    #[test]
    fn what_is_not_ours_is_none() {
        assert_eq!(find(&entry("salary", "17.00"), &books()), Match::None);
        let debit = Entry { direction: Direction::Debit, ..entry("R-2026-4711", "120.50") };
        assert_eq!(find(&debit, &books()), Match::None, "the firm pays somebody");
        let back = Entry { reversal: true, ..entry("R-2026-4711", "120.50") };
        assert_eq!(find(&back, &books()), Match::None, "what the firm paid came back");
    }

    #[test]
    fn a_payment_that_is_taken_back_is_named() {
        let back = |text: &str, amount: &str| Entry {
            direction: Direction::Debit,
            reversal: true,
            ..entry(text, amount)
        };
        let undone = Match::Reversal { obligation: id("R-2026-4711"), payment: id("P-R-2026-4711") };
        assert_eq!(find(&back("R-2026-4711", "10.00"), &books()), undone);
        let by_id = Entry { external_id: id("P-R-2026-4711/debit"), ..back("returned", "10.00") };
        assert_eq!(find(&by_id, &books()), undone);
        let part = Entry { external_id: id("P-R-2026-4711/debit"), ..back("returned", "9.00") };
        assert_eq!(doubt(find(&part, &books())), Doubt::OtherReversal);
        assert_eq!(doubt(find(&back("R-2026-4711", "11.00"), &books())), Doubt::UnknownReversal);
        assert_eq!(doubt(find(&back("A-77-1", "10.00"), &books())), Doubt::UnknownReversal);
        assert_eq!(find(&back("other", "10.00"), &books()), Match::None);
    }

    proptest! {
        #[test]
        fn any_text_is_matched_without_a_panic(text in any::<String>(), minor in 1i64..100_000) {
            let amount = Money::new(minor, Currency::parse("EUR").unwrap()).unwrap();
            let found = find(&Entry { amount, ..entry(&text, "1") }, &books());
            let undone = matches!(found, Match::Reversal { .. });
            prop_assert!(!undone);
        }
    }
}
