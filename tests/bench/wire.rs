//! What went over the wire, read from the simulated SMSC's log: when, and every message exactly once.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::ops::Range;
use std::path::Path;

use crate::Fallible;
use crate::client::recipient_of;

#[derive(serde::Deserialize)]
struct Line {
    kind: String,
    at: String,
    #[serde(default)]
    to: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    message_id: Option<String>,
}

/// The messages of one run on the wire.
#[derive(Debug)]
pub struct Wire {
    /// Instants of the first and the last message, in milliseconds of Unix time.
    pub first_millis: u64,
    pub last_millis: u64,
    /// How often each number was taken.
    counts: HashMap<u32, u32>,
}

impl Wire {
    /// Reads the messages whose numbers are in `numbers`.
    pub fn read(path: &Path, numbers: &Range<u32>) -> Fallible<Wire> {
        let mut wire = Wire { first_millis: u64::MAX, last_millis: 0, counts: HashMap::new() };
        for line in BufReader::new(File::open(path)?).lines() {
            let line: Line = serde_json::from_str(&line?)?;
            let taken = line.kind == "submit_sm" && line.message_id.is_some();
            let number = line.text.get(..8).and_then(|digits| digits.parse().ok());
            let Some(number) = number.filter(|number| taken && numbers.contains(number)) else { continue };
            let at: jiff::Timestamp = line.at.parse()?;
            let millis = u64::try_from(at.as_millisecond())?;
            wire.first_millis = wire.first_millis.min(millis);
            wire.last_millis = wire.last_millis.max(millis);
            *wire.counts.entry(number).or_default() += 1;
        }
        Ok(wire)
    }

    /// An error unless every accepted number was taken exactly once, and nothing else was.
    pub fn check(&self, accepted: impl Iterator<Item = u32>) -> Fallible<()> {
        let (mut lost, mut count) = (Vec::new(), 0);
        for number in accepted {
            count += 1;
            if !self.counts.contains_key(&number) {
                lost.push(number);
            }
        }
        let doubled: Vec<u32> =
            self.counts.iter().filter(|(_, n)| **n > 1).map(|(number, _)| *number).collect();
        let strange = (self.counts.len() + lost.len()).saturating_sub(count);
        if lost.is_empty() && doubled.is_empty() && strange == 0 {
            return Ok(());
        }
        let some = |numbers: &[u32]| format!("{} ({:?}...)", numbers.len(), &numbers[..numbers.len().min(5)]);
        Err(format!(
            "of {count} accepted: lost {}, doubled {}, sent though not accepted {strange}",
            some(&lost),
            some(&doubled)
        )
        .into())
    }
}

/// Texts that reached their recipients by several simulators.
#[derive(Debug)]
pub struct Reached {
    pub last_millis: u64,
    pub segments: u64,
}

/// Reads the logs together; an error unless everybody in `numbers` was reached, nobody else was, and no segment
/// was taken twice.
pub fn reached(paths: &[&Path], numbers: &Range<u32>) -> Fallible<Reached> {
    let (mut reached, mut people, mut segments) =
        (Reached { last_millis: 0, segments: 0 }, HashSet::new(), HashSet::new());
    for path in paths {
        for line in BufReader::new(File::open(path)?).lines() {
            let line: Line = serde_json::from_str(&line?)?;
            if line.kind != "submit_sm" || line.message_id.is_none() {
                continue;
            }
            let at: jiff::Timestamp = line.at.parse()?;
            reached.last_millis = reached.last_millis.max(u64::try_from(at.as_millisecond())?);
            reached.segments += 1;
            people.insert(line.to.clone());
            if !segments.insert((line.to, line.text)) {
                return Err("a segment was taken twice".into());
            }
        }
    }
    let wanted: HashSet<String> =
        numbers.clone().map(|number| format!("+{}", recipient_of(number))).collect();
    let (lost, strange) = (wanted.difference(&people).count(), people.difference(&wanted).count());
    if lost + strange == 0 {
        return Ok(reached);
    }
    Err(format!("of {} recipients {lost} were not reached, {strange} others were", wanted.len()).into())
}
