//! The dispatch key: what a reminder's message carries so that its obligation and step are found again.
//!
//! It stands in the message's `client_ref`, under a token name that no API token can have: one message a key, because
//! the ledger in the obligation's record is written in the same step.

use std::fmt;
use std::str::FromStr;

use crate::id::ObligationId;
use crate::message::Body;
use crate::reminder::name::Key;

/// Whose the reminders are; no token has a blank in its name.
pub const OURS: &str = "nudged reminders";

/// A step of a cycle of an obligation, as its text was made from version `version` of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    pub obligation: ObligationId,
    pub cycle: u32,
    pub step: Key,
    pub version: u64,
}

impl Reference {
    /// Of a message that is a reminder.
    pub fn of(body: &Body) -> Option<Reference> {
        let ours = body.token.as_str() == OURS;
        body.client_ref.as_deref().filter(|_| ours)?.parse().ok()
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.obligation, self.cycle, self.step, self.version)
    }
}

/// The text is no dispatch key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a dispatch key")]
pub struct BadReference;

impl FromStr for Reference {
    type Err = BadReference;

    fn from_str(text: &str) -> Result<Reference, BadReference> {
        let mut fields = text.split('/');
        let mut next = || fields.next().ok_or(BadReference);
        let reference = Reference {
            obligation: next()?.parse().map_err(|_| BadReference)?,
            cycle: next()?.parse().map_err(|_| BadReference)?,
            step: Key::parse(next()?).map_err(|_| BadReference)?,
            version: next()?.parse().map_err(|_| BadReference)?,
        };
        if fields.next().is_some() { Err(BadReference) } else { Ok(reference) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::body::sample;

    #[test]
    fn a_key_reads_back_and_only_of_our_own_messages() {
        let step = Key::parse("d-7").unwrap();
        let key = Reference { obligation: ObligationId::from_u64(7), cycle: 2, step, version: 3 };
        assert_eq!(key.to_string().parse(), Ok(key.clone()));
        let mut body = sample();
        body.client_ref = Some(key.to_string());
        assert_eq!(Reference::of(&body), None, "a caller's reference is a caller's");
        body.token = OURS.into();
        assert_eq!(Reference::of(&body), Some(key));
        assert!("obl_0000000000007/1/d-7".parse::<Reference>().is_err());
    }
}
