//! Which memories are read and how messages are announced, out of what the modem says it can (modem.md 3.7).

use std::collections::BTreeSet;

use crate::config::Vendor;

/// Memories that hold messages for us, by preference; MT is the two before it together.
const READ: [&str; 3] = ["SM", "ME", "SR"];
const BOTH: &str = "MT";

/// One step towards being told of new messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Announcing {
    /// AT+CSMS: with 1, what is routed to us is to be acknowledged.
    Service(u8),
    /// AT+CNMI.
    Set(String),
}

/// The memories to read, of the answer to AT+CPMS=?. Without one the usual two, and what cannot be selected is left.
pub fn memories(value: Option<&str>) -> Vec<String> {
    let Some(value) = value else { return READ[..2].iter().map(ToString::to_string).collect() };
    let first = groups(value).into_iter().next().unwrap_or_default();
    let names: BTreeSet<&str> = first.split(',').map(|name| name.trim().trim_matches('"')).collect();
    let mut read: Vec<String> =
        READ.iter().filter(|name| names.contains(*name)).map(ToString::to_string).collect();
    let neither = !names.contains(READ[0]) && !names.contains(READ[1]);
    if neither && names.contains(BOTH) {
        read.insert(0, BOTH.to_owned());
    }
    read
}

/// What to try in turn, of the answer to AT+CNMI=?: stored messages before routed ones, because a stored one
/// survives us; reports by +CDS before +CDSI, because some modems name a wrong place for those.
pub fn announcing(value: Option<&str>, vendor: Vendor) -> Vec<Announcing> {
    let groups = value.map(groups).unwrap_or_default();
    let group = |at: usize| groups.get(at).map(|group| numbers(group)).filter(|set| !set.is_empty());
    let pick = |at: usize, wanted: &[u8]| match group(at) {
        Some(set) => wanted.iter().copied().find(|n| set.contains(n)).or_else(|| set.first().copied()),
        None => wanted.first().copied(),
    };
    // Huawei's mode 2 is listed by some and refused by all of them that are old (MU509).
    let modes: &[u8] = if vendor == Vendor::Huawei { &[2, 1] } else { &[2, 1, 3] };
    let mode = pick(0, modes).unwrap_or_default();
    let stored = pick(1, &[1, 2]).unwrap_or_default();
    let clear = pick(4, &[0]).unwrap_or_default();
    let reports = group(3).unwrap_or_else(|| BTreeSet::from([0, 1, 2]));
    let set = |mode: u8, report: u8| Announcing::Set(format!("{mode},{stored},0,{report},{clear}"));

    let mut plan = Vec::new();
    if stored == 2 {
        plan.push(Announcing::Service(1));
    }
    if reports.contains(&1) {
        plan.extend([set(mode, 1), Announcing::Service(1), set(mode, 1), Announcing::Service(0)]);
    }
    plan.extend([2, 0].into_iter().filter(|report| reports.contains(report)).map(|report| set(mode, report)));
    if mode != 1 {
        plan.extend(
            [1, 2, 0].into_iter().filter(|report| reports.contains(report)).map(|report| set(1, report)),
        );
    }
    plan
}

/// What stands in each pair of outer parentheses; some write them doubled.
fn groups(value: &str) -> Vec<String> {
    let (mut depth, mut found, mut group) = (0_u32, Vec::new(), String::new());
    let doubled = value.trim_start().starts_with("((");
    let outer = if doubled { 2 } else { 1 };
    for c in value.chars() {
        match c {
            '(' => depth += 1,
            ')' => {
                if depth == outer {
                    found.push(std::mem::take(&mut group));
                }
                depth = depth.saturating_sub(1);
            }
            other if depth >= outer => group.push(other),
            _ => {}
        }
    }
    found
}

/// `0-2,5` as numbers.
fn numbers(group: &str) -> BTreeSet<u8> {
    let mut numbers = BTreeSet::new();
    for part in group.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(from), Ok(to)) = (from.trim().parse::<u8>(), to.trim().parse::<u8>()) {
            numbers.extend(from..=to.min(15));
        }
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> Announcing {
        Announcing::Set(text.into())
    }

    #[test]
    fn memories_are_read_out_of_every_form() {
        for (value, wanted) in [
            ("(\"SM\",\"ME\"),(\"SM\"),(\"SM\")", vec!["SM", "ME"]),
            ("((\"SM\",\"BM\",\"SR\"),(\"SM\"))", vec!["SM", "SR"]),
            ("(\"MT\",\"SM\",\"ME\"),(\"MT\")", vec!["SM", "ME"]),
            ("(\"MT\"),(\"MT\")", vec!["MT"]),
            ("(),(),()", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(memories(Some(value)), wanted, "{value}");
        }
        assert_eq!(memories(None), ["SM", "ME"]);
    }

    #[test]
    fn stored_messages_and_inline_reports_come_first() {
        let plan = announcing(Some("(0-2),(0-3),(0,2),(0-2),(0,1)"), Vendor::Generic);
        assert_eq!(plan[..2], [set("2,1,0,1,0"), Announcing::Service(1)]);
        assert_eq!(plan[4], set("2,1,0,2,0"));
        assert_eq!(announcing(Some("(1),(0,1),(0),(0,2),(1)"), Vendor::Generic)[0], set("1,1,0,2,1"));
        assert_eq!(announcing(Some("(2),(0,1,2),(0),(0),(0)"), Vendor::Generic)[0], set("2,1,0,0,0"));
        let routed = announcing(Some("(2),(0,2),(0),(0,1),(0)"), Vendor::Generic);
        assert_eq!(routed[..2], [Announcing::Service(1), set("2,2,0,1,0")]);
        assert_eq!(announcing(None, Vendor::Generic)[0], set("2,1,0,1,0"));
    }

    #[test]
    fn nonsense_makes_no_long_plan() {
        for value in ["((((", "(0-255),(0-255),(0-255),(0-255),(0-255)", ")(,-,)(", "(9-1)"] {
            assert!(announcing(Some(value), Vendor::Generic).len() < 12, "{value}");
        }
    }
}
