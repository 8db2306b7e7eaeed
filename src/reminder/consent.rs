//! What a person agreed to, and how it is known: the ledger's events and where they leave a number and a creditor.
//!
//! Events are kept for ever; [`Standing`] is their fold for one phone and one creditor, since consent does not pass
//! from one creditor to another (12 CFR 1006.6(d)(5)). The fold takes the latest instant of each kind, so it is the
//! same in whatever order the events come: an import may bring old ones. At the same instant a revocation wins.
//! What came by STOP and START stands in the ledger and in no standing: that is for the list of opt-outs.
//! Whether a standing is enough is for the packs to say ([`super::pack`]).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::message::TokenName;

/// More is no channel's name.
const CHANNEL_MAX: usize = 64;
/// A page of wording or evidence; longer ones are named by their hash.
const TEXT_MAX: usize = 2_000;
/// Clocks of two machines may differ by so much.
const SKEW: Duration = Duration::from_secs(5 * 60);

/// One entry of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsentEvent {
    pub kind: ConsentKind,
    /// When it happened, not when it was entered.
    pub at: Timestamp,
    /// How it came: `web form`, `paper`, `inbound text`, `agent`.
    pub channel: Option<String>,
    /// What the person agreed to, or the version and hash of it.
    pub wording: Option<String>,
    /// What shows it later: a form's address, a document, a reply's id.
    pub evidence: Option<String>,
    pub actor: Actor,
}

/// What happened. Append only: stored by position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsentKind {
    Given,
    /// Said again; alone it is no consent.
    Renewed,
    Revoked,
    /// A column of a file says yes.
    Imported,
    /// A data base of reassigned numbers says that the number still is the same person's.
    Checked,
}

/// Who made an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// The person, from the phone itself.
    Contact,
    Token(TokenName),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadConsent {
    #[error("at lies in the future")]
    Future,
    #[error("channel is longer than 64 characters")]
    Channel,
    #[error("wording is longer than 2000 characters; give its version and hash")]
    Wording,
    #[error("evidence is longer than 2000 characters; say where it is kept")]
    Evidence,
}

impl ConsentEvent {
    /// # Errors
    /// [`BadConsent`]: what cannot be true or is too long to keep.
    pub fn check(&self, now: Timestamp) -> Result<(), BadConsent> {
        let longer = |text: &Option<String>, max| text.as_ref().is_some_and(|t| t.chars().count() > max);
        if self.at > now.saturating_add(SKEW) {
            return Err(BadConsent::Future);
        }
        if longer(&self.channel, CHANNEL_MAX) {
            return Err(BadConsent::Channel);
        }
        if longer(&self.wording, TEXT_MAX) {
            return Err(BadConsent::Wording);
        }
        if longer(&self.evidence, TEXT_MAX) {
            return Err(BadConsent::Evidence);
        }
        Ok(())
    }

    /// It can be shown to somebody who doubts it.
    fn has_proof(&self) -> bool {
        self.evidence.as_ref().is_some_and(|text| !text.trim().is_empty())
    }
}

/// Where the events leave one phone and one creditor: the latest instant of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Given or imported, with or without proof.
    pub given_at: Option<Timestamp>,
    /// Given or imported with evidence.
    pub proven_at: Option<Timestamp>,
    pub renewed_at: Option<Timestamp>,
    pub checked_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

/// What a standing is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Basis {
    /// Never given, or revoked since.
    None,
    /// A yes that nobody can show.
    Word {
        since: Timestamp,
    },
    Proof {
        since: Timestamp,
    },
}

impl Standing {
    pub fn of<'a>(events: impl IntoIterator<Item = &'a ConsentEvent>) -> Standing {
        let mut standing = Standing::default();
        events.into_iter().for_each(|event| standing.add(event));
        standing
    }

    pub fn add(&mut self, event: &ConsentEvent) {
        let at = Some(event.at);
        match event.kind {
            ConsentKind::Given | ConsentKind::Imported => {
                self.given_at = self.given_at.max(at);
                if event.has_proof() {
                    self.proven_at = self.proven_at.max(at);
                }
            }
            ConsentKind::Renewed => self.renewed_at = self.renewed_at.max(at),
            ConsentKind::Revoked => self.revoked_at = self.revoked_at.max(at),
            ConsentKind::Checked => self.checked_at = self.checked_at.max(at),
        }
    }

    /// Of the events of both: what was said to this creditor, and what was said to all.
    pub fn joined(self, other: Standing) -> Standing {
        Standing {
            given_at: self.given_at.max(other.given_at),
            proven_at: self.proven_at.max(other.proven_at),
            renewed_at: self.renewed_at.max(other.renewed_at),
            checked_at: self.checked_at.max(other.checked_at),
            revoked_at: self.revoked_at.max(other.revoked_at),
        }
    }

    pub fn is_revoked(&self) -> bool {
        self.revoked_at.is_some() && self.revoked_at >= self.given_at
    }

    /// The best that stands; an instant that is still to come counts for nothing.
    pub fn basis(&self, now: Timestamp) -> Basis {
        let stands = |at: Option<Timestamp>| at.filter(|&at| at <= now && self.revoked_at < Some(at));
        match (stands(self.proven_at), stands(self.given_at)) {
            (Some(since), _) => Basis::Proof { since },
            (None, Some(since)) => Basis::Word { since },
            (None, None) => Basis::None,
        }
    }

    /// When it was last known that the number is the person's: by their consent, its renewal, a check of the number
    /// or a text from it. `None` without a basis: a check alone gives no right to text.
    pub fn fresh_at(&self, last_inbound: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
        let since = match self.basis(now) {
            Basis::None => return None,
            Basis::Word { since } | Basis::Proof { since } => since,
        };
        let renewals = [self.renewed_at, self.checked_at, last_inbound, self.given_at];
        renewals.into_iter().flatten().filter(|&at| at <= now).chain([since]).max()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KINDS: [ConsentKind; 5] = [
        ConsentKind::Given,
        ConsentKind::Renewed,
        ConsentKind::Revoked,
        ConsentKind::Imported,
        ConsentKind::Checked,
    ];

    fn at(day: u64) -> Timestamp {
        Timestamp::from_millis(day * 86_400_000)
    }

    fn event(kind: ConsentKind, day: u64, evidence: Option<&str>) -> ConsentEvent {
        ConsentEvent {
            kind,
            at: at(day),
            channel: Some("web form".to_owned()),
            wording: None,
            evidence: evidence.map(str::to_owned),
            actor: Actor::Contact,
        }
    }

    #[test]
    fn an_imported_bare_yes_has_no_proof() {
        let bare = Standing::of(&[event(ConsentKind::Imported, 1, None)]);
        assert_eq!(bare.basis(at(2)), Basis::Word { since: at(1) });
        let blank = Standing::of(&[event(ConsentKind::Imported, 1, Some(" "))]);
        assert_eq!(blank.basis(at(2)), Basis::Word { since: at(1) });
        let shown = Standing::of(&[event(ConsentKind::Imported, 1, Some("scan 4711"))]);
        assert_eq!(shown.basis(at(2)), Basis::Proof { since: at(1) });
    }

    #[test]
    fn a_later_bare_yes_does_not_lose_the_proof() {
        let both = [event(ConsentKind::Given, 1, Some("form")), event(ConsentKind::Imported, 5, None)];
        assert_eq!(Standing::of(&both).basis(at(9)), Basis::Proof { since: at(1) });
    }

    #[test]
    fn revoked_is_revoked_until_it_is_given_again() {
        let mut events =
            vec![event(ConsentKind::Given, 1, Some("form")), event(ConsentKind::Revoked, 3, None)];
        let revoked = Standing::of(&events);
        assert!(revoked.is_revoked());
        assert_eq!(revoked.basis(at(9)), Basis::None);
        events.push(event(ConsentKind::Renewed, 4, Some("form")));
        events.push(event(ConsentKind::Checked, 5, None));
        assert_eq!(
            Standing::of(&events).basis(at(9)),
            Basis::None,
            "a renewal or a check gives nothing back"
        );
        events.push(event(ConsentKind::Imported, 6, None));
        assert_eq!(Standing::of(&events).basis(at(9)), Basis::Word { since: at(6) }, "old proof is gone");
    }

    #[test]
    fn a_revocation_wins_at_the_same_instant() {
        let both = [event(ConsentKind::Revoked, 3, None), event(ConsentKind::Given, 3, Some("form"))];
        assert!(Standing::of(&both).is_revoked());
        assert_eq!(Standing::of(&both).basis(at(9)), Basis::None);
    }

    #[test]
    fn what_is_still_to_come_counts_for_nothing() {
        let future = Standing::of(&[event(ConsentKind::Given, 9, Some("form"))]);
        assert_eq!(future.basis(at(8)), Basis::None);
        assert_eq!(event(ConsentKind::Given, 9, None).check(at(8)), Err(BadConsent::Future));
        assert_eq!(event(ConsentKind::Given, 8, None).check(at(8)), Ok(()));
    }

    #[test]
    fn what_is_too_long_to_keep_is_refused() {
        let long = Some("ä".repeat(2_001));
        let good = event(ConsentKind::Given, 1, None);
        for (bad, why) in [
            (ConsentEvent { channel: long.clone(), ..good.clone() }, BadConsent::Channel),
            (ConsentEvent { wording: long.clone(), ..good.clone() }, BadConsent::Wording),
            (ConsentEvent { evidence: long, ..good }, BadConsent::Evidence),
        ] {
            assert_eq!(bad.check(at(2)), Err(why));
        }
    }

    #[test]
    fn inbound_texts_and_checks_keep_a_basis_fresh_and_make_none() {
        let given = Standing::of(&[event(ConsentKind::Given, 1, Some("form"))]);
        assert_eq!(given.fresh_at(None, at(90)), Some(at(1)));
        assert_eq!(given.fresh_at(Some(at(50)), at(90)), Some(at(50)));
        assert_eq!(given.fresh_at(Some(at(95)), at(90)), Some(at(1)), "a text of tomorrow");
        let checked = Standing::of(&[event(ConsentKind::Checked, 80, None)]);
        assert_eq!(checked.fresh_at(Some(at(85)), at(90)), None);
        let both = Standing::of(&[event(ConsentKind::Given, 1, None), event(ConsentKind::Checked, 80, None)]);
        assert_eq!(both.fresh_at(None, at(90)), Some(at(80)));
    }

    fn events() -> impl Strategy<Value = Vec<ConsentEvent>> {
        let one = (proptest::sample::select(KINDS.to_vec()), 0..20_u64, any::<bool>());
        proptest::collection::vec(
            one.prop_map(|(kind, day, proof)| event(kind, day, proof.then_some("x"))),
            0..9,
        )
    }

    proptest! {
        #[test]
        fn the_order_of_events_changes_nothing(events in events(), turn in 0..9_usize) {
            let mut other = events.clone();
            other.reverse();
            let turn = turn.min(other.len());
            other.rotate_left(turn);
            prop_assert_eq!(Standing::of(&events), Standing::of(&other));
        }

        #[test]
        fn two_ledgers_joined_are_one(events in events(), cut in 0..9_usize) {
            let (one, other) = events.split_at(cut.min(events.len()));
            prop_assert_eq!(Standing::of(one).joined(Standing::of(other)), Standing::of(&events));
        }

        #[test]
        fn a_revocation_never_helps(events in events(), day in 0..20_u64, now in 0..25_u64) {
            let before = Standing::of(&events).basis(at(now));
            let mut more = events;
            more.push(event(ConsentKind::Revoked, day, None));
            prop_assert!(Standing::of(&more).basis(at(now)) <= before);
        }
    }
}
