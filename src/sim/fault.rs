//! Faults a simulator commits on purpose, and the plan that says at which message.
//!
//! Written `KIND@N` (the N-th message from now), `KIND@N%` (that share) or `KIND@N+` (every N-th). Each
//! fault counts for itself every message it sees; where several fall on one message the first named wins.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::chance::Chance;

/// Faults that may stand in one plan: what a command line or a test writes by hand.
const MOST_FAULTS: usize = 256;
const PER_MILLION: u64 = 1_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    NoAnswer,
    DropAfterSubmit,
    Throttle,
    QueueFull,
    /// With this command_status or CMS error; where none is named, with the simulator's own.
    Reject(Option<u32>),
    Garbage,
    Hangup,
    Reboot,
    SimFull,
    Cms500,
    UrcFlood,
    Slow,
    /// Silence, and the answer when nobody waits for it any more: this long after the message.
    Late(Duration),
    /// The status report of the message is announced in a storage where it is not.
    CdsiTrap,
    /// No prompt: the modem waits for the PDU and does not say so.
    NoPrompt,
}

/// How late an answer is where nothing else is said.
const LATE: Duration = Duration::from_secs(10);
/// The latest: beyond, no answer is awaited by anybody.
const LATEST: Duration = Duration::from_secs(24 * 3600);

const NAMES: [(&str, Kind); 15] = [
    ("no-answer", Kind::NoAnswer),
    ("drop-after-submit", Kind::DropAfterSubmit),
    ("throttle", Kind::Throttle),
    ("queue-full", Kind::QueueFull),
    ("reject", Kind::Reject(None)),
    ("garbage", Kind::Garbage),
    ("hangup", Kind::Hangup),
    ("reboot", Kind::Reboot),
    ("sim-full", Kind::SimFull),
    ("cms-500", Kind::Cms500),
    ("urc-flood", Kind::UrcFlood),
    ("slow", Kind::Slow),
    ("late", Kind::Late(LATE)),
    ("cdsi-trap", Kind::CdsiTrap),
    ("no-prompt", Kind::NoPrompt),
];

impl Kind {
    /// Whether an SMSC can commit it; the others belong to modems.
    pub fn fits_smsc(self) -> bool {
        !matches!(
            self,
            Kind::Reboot
                | Kind::SimFull
                | Kind::Cms500
                | Kind::UrcFlood
                | Kind::Late(_)
                | Kind::CdsiTrap
                | Kind::NoPrompt
        )
    }

    /// The same fault with a delay of choice.
    pub fn with_delay(self, delay: Duration) -> Result<Kind, BadFault> {
        match self {
            Kind::Late(_) if delay <= LATEST => Ok(Kind::Late(delay)),
            Kind::Late(_) => Err(BadFault::TooLate),
            other => Err(BadFault::NoDelay(other)),
        }
    }

    /// The same fault with a command_status or CMS error of choice, in hexadecimal with 0x or in decimal.
    pub fn with_status(self, text: &str) -> Result<Kind, BadFault> {
        let Kind::Reject(_) = self else { return Err(BadFault::NoStatus(self)) };
        let parsed = match text.strip_prefix("0x") {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => text.parse(),
        };
        match parsed {
            Ok(0) | Err(_) => Err(BadFault::Status(text.to_owned())),
            Ok(status) => Ok(Kind::Reject(Some(status))),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let same = |kind| std::mem::discriminant(kind) == std::mem::discriminant(self);
        let name = NAMES.iter().find(|(_, kind)| same(kind)).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The N-th message, once.
    Nth(u64),
    /// This many in a million, by chance.
    Share(u64),
    /// Every N-th.
    Every(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    pub kind: Kind,
    pub when: When,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadFault {
    #[error("a fault is written KIND@N, KIND@N% or KIND@N+")]
    Form,
    #[error(
        "no fault is called {0:?}; there are no-answer, drop-after-submit, throttle, queue-full, reject, \
             garbage, hangup, slow and, for modems, reboot, sim-full, cms-500, urc-flood, late, cdsi-trap, no-prompt"
    )]
    Kind(String),
    #[error(
        "{0:?} is no place for a fault: a number from 1, a share such as 0.5% up to 100%, or a number and +"
    )]
    When(String),
    #[error("the fault {0} belongs to a modem, an SMSC cannot commit it")]
    OfModems(Kind),
    #[error("the fault {0} has no status of choice, only reject has")]
    NoStatus(Kind),
    #[error("the fault {0} has no delay of choice, only late has")]
    NoDelay(Kind),
    #[error("no answer is later than {} hours", LATEST.as_secs() / 3600)]
    TooLate,
    #[error("{0:?} is no status that refuses: \"0x45\" or 69, other than 0")]
    Status(String),
    #[error("more than {MOST_FAULTS} faults")]
    TooMany,
}

impl FromStr for Kind {
    type Err = BadFault;

    fn from_str(text: &str) -> Result<Kind, BadFault> {
        let found = NAMES.iter().find(|(name, _)| *name == text);
        found.map(|(_, kind)| *kind).ok_or_else(|| BadFault::Kind(text.to_owned()))
    }
}

impl FromStr for When {
    type Err = BadFault;

    fn from_str(text: &str) -> Result<When, BadFault> {
        let bad = || BadFault::When(text.to_owned());
        if let Some(share) = text.strip_suffix('%') {
            let percent: f64 = share.parse().map_err(|_| bad())?;
            let per_million = (percent * 1e4).round();
            let in_range = (1.0..=1e6).contains(&per_million);
            return if in_range { Ok(When::Share(per_million as u64)) } else { Err(bad()) };
        }
        let (digits, every) = match text.strip_suffix('+') {
            Some(digits) => (digits, true),
            None => (text, false),
        };
        match digits.parse() {
            Ok(0) | Err(_) => Err(bad()),
            Ok(n) if every => Ok(When::Every(n)),
            Ok(n) => Ok(When::Nth(n)),
        }
    }
}

impl FromStr for Fault {
    type Err = BadFault;

    fn from_str(text: &str) -> Result<Fault, BadFault> {
        let (kind, when) = text.split_once('@').ok_or(BadFault::Form)?;
        Ok(Fault { kind: kind.parse()?, when: when.parse()? })
    }
}

/// The faults still to come.
#[derive(Debug, Clone, Default)]
pub struct Plan(Vec<Planned>);

#[derive(Debug, Clone)]
struct Planned {
    fault: Fault,
    seen: u64,
}

impl Plan {
    /// Plans `fault` where an SMSC can commit it.
    pub fn add_for_smsc(&mut self, fault: Fault) -> Result<(), BadFault> {
        if !fault.kind.fits_smsc() {
            return Err(BadFault::OfModems(fault.kind));
        }
        self.add(fault)
    }

    /// Plans `fault`; its count starts with the next message.
    pub fn add(&mut self, fault: Fault) -> Result<(), BadFault> {
        if self.0.len() >= MOST_FAULTS {
            return Err(BadFault::TooMany);
        }
        self.0.push(Planned { fault, seen: 0 });
        Ok(())
    }

    /// The fault of the next message, if it has one.
    pub fn next(&mut self, chance: &mut Chance) -> Option<Kind> {
        let mut chosen = None;
        for planned in &mut self.0 {
            planned.seen += 1;
            let hit = match planned.fault.when {
                When::Nth(n) => planned.seen == n,
                When::Every(n) => planned.seen.is_multiple_of(n),
                When::Share(share) => chance.below(PER_MILLION) < share,
            };
            if hit && chosen.is_none() {
                chosen = Some(planned.fault.kind);
            }
        }
        self.0.retain(|p| !matches!(p.fault.when, When::Nth(n) if p.seen >= n));
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(faults: &[&str]) -> Plan {
        let mut plan = Plan::default();
        for fault in faults {
            plan.add_for_smsc(fault.parse().unwrap()).unwrap();
        }
        plan
    }

    fn hits(plan: &mut Plan, messages: usize) -> Vec<Option<Kind>> {
        let mut chance = Chance::seeded(1);
        (0..messages).map(|_| plan.next(&mut chance)).collect()
    }

    #[test]
    fn the_nth_message_is_hit_once_and_every_nth_again_and_again() {
        let mut plan = plan(&["reject@2", "throttle@3+"]);
        let (reject, throttle) = (Some(Kind::Reject(None)), Some(Kind::Throttle));
        assert_eq!(hits(&mut plan, 6), [None, reject, throttle, None, None, throttle]);
    }

    #[test]
    fn a_share_is_hit_about_that_often() {
        let hit = hits(&mut plan(&["slow@5%"]), 10_000).iter().flatten().count();
        assert!((400..600).contains(&hit), "{hit} of 10000");
        assert_eq!(hits(&mut plan(&["slow@100%"]), 50).iter().flatten().count(), 50);
    }

    #[test]
    fn the_first_named_fault_wins_and_the_others_still_count() {
        let mut plan = plan(&["reject@1", "throttle@1", "garbage@2"]);
        assert_eq!(hits(&mut plan, 3), [Some(Kind::Reject(None)), Some(Kind::Garbage), None]);
    }

    #[test]
    fn a_refusal_has_the_status_of_choice_and_its_name() {
        let reject: Kind = "reject".parse().unwrap();
        for (text, status) in [("69", 0x45), ("0x45", 0x45), ("0x000004FF", 0x4FF)] {
            assert_eq!(reject.with_status(text), Ok(Kind::Reject(Some(status))));
        }
        assert_eq!(Kind::Reject(Some(0x45)).to_string(), "reject");
    }

    #[test]
    fn only_a_late_answer_has_a_delay_and_it_ends_some_day() {
        let late: Kind = "late".parse().unwrap();
        let minute = Duration::from_secs(60);
        assert_eq!(late.with_delay(minute), Ok(Kind::Late(minute)));
        assert_eq!(late.with_delay(LATEST + minute), Err(BadFault::TooLate));
        assert_eq!(Kind::Slow.with_delay(minute), Err(BadFault::NoDelay(Kind::Slow)));
    }

    #[test]
    fn what_is_no_fault_is_refused_with_its_reason() {
        assert_eq!("reject".parse::<Fault>(), Err(BadFault::Form));
        assert_eq!("explode@1".parse::<Fault>(), Err(BadFault::Kind("explode".into())));
        for when in ["0", "0%", "101%", "-1", "", "+", "%", "1x", "NaN%", "0.00001%"] {
            assert_eq!(format!("reject@{when}").parse::<Fault>(), Err(BadFault::When(when.into())));
        }
        assert_eq!(Kind::Slow.with_status("8"), Err(BadFault::NoStatus(Kind::Slow)));
        for status in ["0", "0x", "-1", "0x1ffffffff", "null"] {
            assert_eq!(Kind::Reject(None).with_status(status), Err(BadFault::Status(status.into())));
        }
        let modem = "sim-full@1".parse().unwrap();
        assert_eq!(Plan::default().add_for_smsc(modem), Err(BadFault::OfModems(Kind::SimFull)));
    }
}
