//! How the reminder side is said to people: when something is, what an obligation waits for and why. What happened is
//! said by [`timeline`], for pages and the API alike; here it is only made harmless to read.

use crate::clock::Timestamp;
use crate::engine::reminders::Happened;
use crate::engine::reminders::records::StoredContact;
use crate::http::page::say::{spoken, visible};
use crate::http::reminders::timeline;
use crate::reminder::creditor::Creditor;
use crate::reminder::enrolment::{Enrolment, EnrolmentState, Refused, StepNote};
use crate::reminder::money::{Currency, Money};
use crate::reminder::name::Key;
use crate::reminder::obligation::{Obligation, Origin};
use crate::reminder::zone::{self, Derived, Place, Zone, ZoneBasis, ZoneSet};

/// Zones that are written out; more are counted.
const ZONES_SHOWN: usize = 3;
/// Characters of a name in a sentence.
const SAID: usize = 160;
/// Characters of a sentence: what people say of an obligation is at most 500.
const SENTENCE: usize = 1_000;

pub use crate::http::reminders::timeline::plain;

/// An instant as people read it, where they are meant to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct When {
    pub time: String,
    /// Date and time to the minute in each zone.
    pub read: String,
    /// How far from now.
    pub away: String,
}

impl When {
    pub fn of(at: Timestamp, zones: &ZoneSet, now: Timestamp) -> When {
        let local = |zone: &Zone| {
            let local = zone.local(at);
            format!("{} {} {}", local.date(), local.time().strftime("%H:%M"), zone.name())
        };
        let mut read = zones.zones().iter().take(ZONES_SHOWN).map(local).collect::<Vec<_>>().join(", ");
        if let Some(more @ 1..) = zones.zones().len().checked_sub(ZONES_SHOWN) {
            read.push_str(&format!(" and {more} zones more"));
        }
        let away = match at > now {
            true => format!("in {}", spoken(at.since(now))),
            false => format!("{} ago", spoken(now.since(at))),
        };
        When { time: at.to_rfc3339(), read, away }
    }
}

/// Where a contact may live, as planning sees it.
pub fn zones(contact: Option<&StoredContact>, creditor: Option<&Creditor>, home: &Zone) -> Derived {
    let home = creditor.and_then(|creditor| creditor.timezone.as_ref()).unwrap_or(home);
    let number = contact.and_then(|stored| Some((stored, stored.contact.best_number()?)));
    let Some((stored, number)) = number else {
        return Derived { zones: ZoneSet::one(home.clone()), basis: ZoneBasis::Home };
    };
    let person = &stored.contact;
    zone::derive(&Place {
        zone: person.timezone.as_ref(),
        country: person.country.as_ref(),
        region: person.region.as_deref(),
        postcode: person.postcode.as_deref(),
        number,
        home,
    })
}

/// What waits, why, and when next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    pub head: String,
    /// When it is, where that is known.
    pub at: Option<When>,
    /// What the gates said when it was tried.
    pub refused: Option<String>,
    pub more: Option<&'static str>,
}

/// What an obligation waits for.
pub fn waits(obligation: &Obligation, zones: &ZoneSet, now: Timestamp) -> Waits {
    let head = |head: &str| Waits { head: head.to_owned(), ..Waits::default() };
    let Some(enrolment) = &obligation.enrolment else {
        return head("No sequence reminds of it: nothing goes by itself.");
    };
    match &enrolment.state {
        EnrolmentState::Paused { reason, until } => Waits {
            head: format!("Paused: {}.", plain(reason.as_str())),
            at: until.map(|at| When::of(at, zones, now)),
            refused: None,
            more: Some(match until {
                Some(_) => "It goes on by itself then.",
                None => "It goes on when a person says so.",
            }),
        },
        EnrolmentState::Completed { .. } => head("The sequence is over: every step went or its time passed."),
        EnrolmentState::Exited { reason, .. } => {
            head(&format!("Ended: {}. Nothing more goes.", plain(reason.as_str())))
        }
        EnrolmentState::Scheduled | EnrolmentState::Active => next_step(obligation, enrolment, zones, now),
    }
}

fn next_step(obligation: &Obligation, enrolment: &Enrolment, zones: &ZoneSet, now: Timestamp) -> Waits {
    let Some(next) = &enrolment.next else {
        let head = String::from("Its next step is not known.");
        return Waits { head, more: Some("Nothing is planned."), ..Waits::default() };
    };
    let refused = enrolment.refused.as_ref().filter(|refused| refused.step == next.step);
    if next.at > now {
        let head = format!("Step {} goes next.", next.step);
        return Waits { head, at: Some(When::of(next.at, zones, now)), ..Waits::default() };
    }
    let asked_again = obligation.timer.map(|timer| timer.at).filter(|at| *at > now);
    match refused {
        Some(refused) => Waits {
            head: format!("Step {} is due and was refused.", next.step),
            at: asked_again.map(|at| When::of(at, zones, now)),
            refused: Some(gate(refused, zones, now)),
            more: Some(match asked_again {
                Some(_) => "It is asked again then.",
                None => "When it is asked again is not known: a person may have to do something first.",
            }),
        },
        None => Waits {
            head: format!("Step {} is due and waits for a link.", next.step),
            at: Some(When::of(next.at, zones, now)),
            refused: None,
            more: Some("It is written and judged when a link can take it."),
        },
    }
}

fn gate(refused: &Refused, zones: &ZoneSet, now: Timestamp) -> String {
    let said = refusal(&refused.gate, refused.pack.as_ref(), &refused.rule);
    let at = When::of(refused.at, zones, now);
    format!("{said}. Asked {}, {}.", at.read, at.away)
}

/// The same in a list.
pub fn in_short(obligation: &Obligation, home: &ZoneSet, now: Timestamp) -> String {
    let Some(enrolment) = &obligation.enrolment else { return String::from("no sequence") };
    match &enrolment.state {
        EnrolmentState::Paused { reason, .. } => format!("paused: {}", plain(reason.as_str())),
        EnrolmentState::Completed { .. } => String::from("sequence over"),
        EnrolmentState::Exited { reason, .. } => format!("ended: {}", plain(reason.as_str())),
        EnrolmentState::Scheduled | EnrolmentState::Active => match (&enrolment.next, &enrolment.refused) {
            (None, _) => String::from("next step not known"),
            (Some(next), _) if next.at > now => {
                format!("{} {}", next.step, When::of(next.at, home, now).away)
            }
            (Some(next), Some(refused)) if refused.step == next.step => {
                format!("{} refused by {}", next.step, refused.gate)
            }
            (Some(next), _) => format!("{} waits for a link", next.step),
        },
    }
}

/// The sums of amounts, each currency by itself, in the order of their names. A sum beyond what an amount can be
/// says so.
pub fn sums(amounts: impl IntoIterator<Item = Money>) -> Vec<String> {
    let mut sums: std::collections::BTreeMap<Currency, Option<Money>> = std::collections::BTreeMap::new();
    for amount in amounts {
        let sum = sums.entry(amount.currency()).or_insert(Some(Money::zero(amount.currency())));
        *sum = sum.and_then(|sum| sum.plus(amount));
    }
    let said = |(currency, sum): (Currency, Option<Money>)| match sum {
        Some(sum) => sum.to_string(),
        None => format!("{}: more than can be added up", currency.as_str()),
    };
    sums.into_iter().map(said).collect()
}

pub fn basis(basis: ZoneBasis) -> &'static str {
    match basis {
        ZoneBasis::Explicit => "named in its record",
        ZoneBasis::Address => "by its address",
        ZoneBasis::AddressAndAreaCode => "by its address and its number, which differ",
        ZoneBasis::Country => "by its country",
        ZoneBasis::AreaCode => "by its number",
        ZoneBasis::CountrySet => "every zone of its country",
        ZoneBasis::Home => "not known: the firm's own",
    }
}

pub fn origin(origin: &Origin) -> Option<String> {
    match origin {
        Origin::Firm => None,
        Origin::Plan { n, .. } => Some(format!("instalment {n} of a plan")),
        Origin::Subscription { external_id, period } => {
            Some(format!("subscription {}, period {period}", visible(external_id.as_str(), SAID)))
        }
    }
}

/// What became of a step.
pub fn step(note: &StepNote) -> String {
    visible(&timeline::of_step(note), SENTENCE)
}

/// What happened, in one sentence.
pub fn happened(what: &Happened, zones: &ZoneSet, now: Timestamp) -> String {
    visible(&timeline::sentence(what, &|at| When::of(at, zones, now).read), SENTENCE)
}

/// Which gate said no, and by which rule of whose.
pub fn refusal(gate: &str, pack: Option<&Key>, rule: &str) -> String {
    visible(&timeline::refusal(gate, pack, rule), SENTENCE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reminder::enrolment::{NextStep, PauseReason};
    use crate::reminder::obligation::sample;

    const NOW: Timestamp = Timestamp::from_millis(1_795_269_900_000);

    fn utc() -> ZoneSet {
        ZoneSet::one(Zone::utc())
    }

    fn key(text: &str) -> Key {
        Key::parse(text).unwrap()
    }

    fn enrolled(state: EnrolmentState, next: Option<u64>, refused: bool) -> Obligation {
        let at = |hours: u64| Timestamp::from_millis(NOW.as_millis() - 3_600_000 + hours * 3_600_000);
        let mut obligation = sample();
        obligation.enrolment = Some(Enrolment {
            sequence: key("standard"),
            version: 1,
            since: NOW,
            state,
            reminders_accepted: 0,
            next: next.map(|hours| NextStep { step: key("due"), at: at(hours) }),
            refused: refused.then(|| Refused {
                step: key("due"),
                gate: String::from("hours"),
                pack: Some(key("de")),
                rule: String::from("hours"),
                at: NOW,
            }),
            anchor: None,
            instead: None,
        });
        obligation
    }

    #[test]
    fn what_it_waits_for_is_said_and_what_is_unknown_is_said_to_be() {
        let said = |obligation: &Obligation| waits(obligation, &utc(), NOW).head;
        assert_eq!(said(&sample()), "No sequence reminds of it: nothing goes by itself.");
        let running = |next, refused| said(&enrolled(EnrolmentState::Active, next, refused));
        assert_eq!(running(None, false), "Its next step is not known.");
        assert_eq!(running(Some(3), false), "Step due goes next.");
        assert_eq!(running(Some(0), false), "Step due is due and waits for a link.");
        assert_eq!(running(Some(0), true), "Step due is due and was refused.");
        let paused = EnrolmentState::Paused { reason: PauseReason::PaidClaim, until: None };
        assert_eq!(said(&enrolled(paused, None, false)), "Paused: paid claim.");
    }

    #[test]
    fn a_refusal_names_gate_rule_and_pack() {
        let waits = waits(&enrolled(EnrolmentState::Active, Some(0), true), &utc(), NOW);
        let said = waits.refused.unwrap();
        assert!(said.starts_with("It is not an hour for reminders"), "{said}");
        assert!(said.contains("(gate hours, rule hours of the pack de)"), "{said}");
    }

    #[test]
    fn sums_never_mix_currencies_and_never_lie() {
        let money =
            |text: &str, currency: &str| Money::parse(text, Currency::parse(currency).unwrap()).unwrap();
        let all = [money("1.10", "EUR"), money("500", "JPY"), money("2.20", "EUR")];
        assert_eq!(sums(all), ["3.30 EUR", "500 JPY"]);
        let most = money("1000000000000.00", "EUR");
        assert_eq!(sums([most, most]), ["EUR: more than can be added up"]);
        assert!(sums([]).is_empty());
    }

    #[test]
    fn an_instant_is_read_in_each_zone_it_may_be_in() {
        let zones = ["America/New_York", "America/Chicago"].map(|name| Zone::parse(name).unwrap());
        let at = Timestamp::parse_rfc3339("2026-11-22T10:00:00Z").unwrap();
        let when = When::of(
            at,
            &ZoneSet::new(zones).unwrap(),
            at.saturating_add(std::time::Duration::from_secs(7200)),
        );
        assert_eq!(when.read, "2026-11-22 04:00 America/Chicago, 2026-11-22 05:00 America/New_York");
        assert_eq!(when.away, "2 hours ago");
    }
}
