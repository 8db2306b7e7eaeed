//! The packs that apply to one text, asked together: the strictest answer, and whose it is.
//!
//! A question is put to every pack and one refusal is enough, so a further pack can forbid and never allow. Packs
//! are asked in the order of their keys; the first that refuses is named, or for caps the one that refuses longest.
//! The order of the gates and what a refusal means for a step is left to [`super::gate`].

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::caps::{Cap, Ledger};
use super::consent::{Basis, Standing};
use super::creditor::SenderRole;
use super::enrolment::{ExitReason, PauseReason};
use super::hours::{WeekHours, open_at};
use super::name::{Key, Language};
use super::pack::{BASE, ConsentRule, Days, Duty, Pack, Residence, Until};
use super::zone::ZoneSet;
use crate::clock::Timestamp;

/// What stands against a text, as stable words of the API; some are rules of packs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    OptedOut,
    Held,
    WrongNumber,
    DeadNumber,
    Attorney,
    Paid,
    Disputed,
    InPlan,
    HandedOver,
    Canceled,
    WrittenOff,
    NotEnrolled,
    NotDue,
    Stale,
    Paused(PauseReason),
    Completed,
    Exited(ExitReason),
    Revoked,
    Consent,
    Proof,
    BasisAge,
    InitialNotice,
    Hours,
    ValidityEnds,
    Holiday,
    Wishes,
    /// Shown as the cap itself, `2/7d`.
    Cap(Cap),
    Quota,
    Route,
    Disclosure,
}

/// A rule that says no, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breach<'a> {
    pub pack: &'a Key,
    pub rule: Rule,
}

/// The packs that apply to a creditor's texts to one place, in the order of their keys.
#[derive(Clone, Debug)]
pub struct Rules {
    packs: Vec<Arc<Pack>>,
    /// All hours of all packs narrowed to what they have in common.
    hours: WeekHours,
    /// Each pack's own hours, to name the one that is closed.
    windows: Vec<(Key, Rule, WeekHours)>,
}

/// Why no packs can be chosen; until it is put right, nothing goes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRules {
    #[error("there is no pack {0}")]
    Unknown(Key),
    #[error("there is no pack base; load config/reminders/packs.toml")]
    NoBase,
}

impl Rules {
    /// Those the creditor names, those that apply by themselves, and always `base`.
    ///
    /// # Errors
    /// [`NoRules`]
    pub fn choose(
        catalog: &BTreeMap<Key, Arc<Pack>>,
        named: &[Key],
        role: SenderRole,
        home: Residence,
    ) -> Result<Rules, NoRules> {
        if let Some(unknown) = named.iter().find(|key| !catalog.contains_key(*key)) {
            return Err(NoRules::Unknown(unknown.clone()));
        }
        if !catalog.contains_key(BASE) {
            return Err(NoRules::NoBase);
        }
        let chosen = |pack: &&Arc<Pack>| {
            pack.key.as_str() == BASE || named.contains(&pack.key) || pack.applies_to(role, home)
        };
        Ok(Rules::of(catalog.values().filter(chosen).cloned().collect()))
    }

    pub(super) fn of(packs: Vec<Arc<Pack>>) -> Rules {
        let mut windows = Vec::new();
        for pack in &packs {
            windows.extend(pack.hours.iter().map(|hours| (pack.key.clone(), Rule::Hours, *hours)));
            let until = pack.validity_ends.map(Until::hours);
            windows.extend(until.map(|hours| (pack.key.clone(), Rule::ValidityEnds, hours)));
        }
        let hours = windows.iter().fold(WeekHours::ALWAYS, |all, (_, _, own)| all.narrow(*own));
        Rules { packs, hours, windows }
    }

    pub fn packs(&self) -> impl Iterator<Item = &Key> {
        self.packs.iter().map(|pack| &pack.key)
    }

    #[cfg(test)]
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Pack>> {
        self.packs.iter()
    }

    /// When all packs let texts go and arrive, holidays apart.
    pub const fn hours(&self) -> &WeekHours {
        &self.hours
    }

    /// The first pack whose own hours are closed at this instant in one of the zones.
    pub fn closed(&self, zones: &ZoneSet, at: Timestamp) -> Option<Breach<'_>> {
        let closed = self.windows.iter().find(|(_, _, hours)| open_at(zones, hours, at).is_none());
        closed.map(|(pack, rule, _)| Breach { pack, rule: *rule })
    }

    /// The pack that ends first of those that are open, for texts too late to be bounded by it.
    pub fn closing(&self, zones: &ZoneSet, at: Timestamp) -> Option<Breach<'_>> {
        let ends = self.windows.iter().filter_map(|w| Some((w, open_at(zones, &w.2, at)?)));
        let first = ends.min_by_key(|(_, closes)| *closes);
        first.map(|((pack, rule, _), _)| Breach { pack, rule: *rule })
    }

    /// The first pack that demands it.
    pub fn demands(&self, duty: Duty) -> Option<&Key> {
        self.packs.iter().find(|pack| pack.has(duty)).map(|pack| &pack.key)
    }

    /// The first pack that this consent is not enough for.
    pub fn lacks_consent(
        &self,
        standing: &Standing,
        last_inbound: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<Breach<'_>> {
        let basis = standing.basis(now);
        let fresh = standing.fresh_at(last_inbound, now);
        let lacks = |pack: &Pack| match (pack.consent, basis) {
            (ConsentRule::Any | ConsentRule::Proof, Basis::None) => Some(Rule::Consent),
            (ConsentRule::Proof, Basis::Word { .. }) => Some(Rule::Proof),
            _ => pack
                .basis_max_age
                .filter(|max| fresh.is_none_or(|at| now.since(at) > max.as_duration()))
                .map(|_| Rule::BasisAge),
        };
        self.packs.iter().find_map(|pack| Some(Breach { pack: &pack.key, rule: lacks(pack)? }))
    }

    pub fn caps(&self) -> impl Iterator<Item = (&Key, Cap)> {
        self.packs.iter().flat_map(|pack| pack.caps.iter().map(|&cap| (&pack.key, cap)))
    }

    /// The cap that refuses one more now for longest, and until when it does.
    pub fn capped(
        &self,
        ledger: &Ledger,
        zones: &ZoneSet,
        now: Timestamp,
    ) -> Option<(Breach<'_>, Timestamp)> {
        let mut longest: Option<(Breach, Timestamp)> = None;
        for (pack, cap) in self.caps() {
            let Some(until) = ledger.wait(cap, now, zones) else { continue };
            if longest.as_ref().is_none_or(|&(_, known)| until > known) {
                longest = Some((Breach { pack, rule: Rule::Cap(cap) }, until));
            }
        }
        longest
    }

    /// The first pack whose texts no route of this class carries.
    pub fn forbids(&self, route_class: &str) -> Option<Breach<'_>> {
        let forbids = |pack: &&Arc<Pack>| pack.forbidden_routes.iter().any(|own| own.as_str() == route_class);
        self.packs.iter().find(forbids).map(|pack| Breach { pack: &pack.key, rule: Rule::Route })
    }

    /// The text must say how to opt out. `number` from 1: which reminder of this contact and creditor it is.
    pub fn needs_footer(&self, number: u32) -> bool {
        self.packs.iter().filter_map(|pack| pack.footer).any(|footer| footer.is_due(number))
    }

    /// All that the text must say of its sender, in its own language or that without its region.
    ///
    /// # Errors
    /// The pack that has nothing to say in that language: such a text cannot go.
    pub fn disclosures(&self, language: &Language, number: u32) -> Result<Vec<&str>, Breach<'_>> {
        let mut texts = Vec::new();
        for pack in self.packs.iter().filter(|pack| !pack.disclosure.is_empty()) {
            let own = pack.disclosure.get(language).or_else(|| pack.disclosure.get(language.base()));
            let Some(own) = own else { return Err(Breach { pack: &pack.key, rule: Rule::Disclosure }) };
            let text = if number <= 1 { &own.initial } else { &own.subsequent };
            if !texts.contains(&text.as_str()) {
                texts.push(text.as_str());
            }
        }
        Ok(texts)
    }

    /// The longest that any of them wants evidence kept.
    pub fn retention(&self) -> Option<Days> {
        self.packs.iter().filter_map(|pack| pack.retention).max()
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rule::Cap(cap) => return cap.fmt(f),
            Rule::Paused(reason) => reason.as_str(),
            Rule::Exited(reason) => reason.as_str(),
            Rule::OptedOut => "opted_out",
            Rule::Held => "held",
            Rule::WrongNumber => "wrong_number",
            Rule::DeadNumber => "dead_number",
            Rule::Attorney => "attorney",
            Rule::Paid => "paid",
            Rule::Disputed => "disputed",
            Rule::InPlan => "in_plan",
            Rule::HandedOver => "handed_over",
            Rule::Canceled => "canceled",
            Rule::WrittenOff => "written_off",
            Rule::NotEnrolled => "not_enrolled",
            Rule::NotDue => "not_due",
            Rule::Stale => "stale",
            Rule::Completed => "completed",
            Rule::Revoked => "revoked",
            Rule::Consent => "consent",
            Rule::Proof => "proof",
            Rule::BasisAge => "basis_age",
            Rule::InitialNotice => "initial_notice",
            Rule::Hours => "hours",
            Rule::ValidityEnds => "validity_ends",
            Rule::Holiday => "holiday",
            Rule::Wishes => "wishes",
            Rule::Quota => "quota",
            Rule::Route => "route",
            Rule::Disclosure => "disclosure",
        })
    }
}
