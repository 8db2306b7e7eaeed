//! The list of opt-outs beside the store, `STATE_DIR/suppressions.log`: what came and went, so that a state from an
//! old backup cannot lose one.
//!
//! ```text
//! AT added   PARTY SINCE SOURCE
//! AT removed PARTY SINCE SOURCE     SINCE: when that which ends here began
//! SOURCE: reply INBOUND_ID | reply - | token "NAME" "NOTE"
//! ```
//! Invariants: a step that adds or ends an opt-out has its lines on the disk before the journal has the step, and so
//! before anybody is answered. At a start what the list knows and the state does not goes through the core like any
//! other change, and what the state knows and the list does not is written down. In doubt a number stays silent: an
//! opt-out of the state is lifted only where the list, with no line of it damaged, says that this very one was.
//! The list is written anew at a start that finds it many times longer than what it says, or damaged.
//!
//! It leaves to others: the form of the file (`store/lines.rs`), and what an opt-out does.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::path::Path;
use std::str::FromStr as _;

use super::core::{Core, Work};
use super::notice::{Notice, NoticeKind};
use crate::clock::{Now, Timestamp};
use crate::id::InboundId;
use crate::message::TokenName;
use crate::reminder::suppression::{Party, Source, Suppression};
use crate::store::keys::{self, family};
use crate::store::lines::{Lines, Title};
use crate::store::{Batch, Entries, Read, StoreError, record};

/// Its name in the state directory.
pub const NAME: &str = "suppressions.log";
const TITLE: Title = Title {
    what: "suppressions",
    version: 1,
    note: "opt-outs as they came and went, numbers in clear as in the journal; leave it where it is when a backup \
           is put back",
};
/// What is added to the name of a list that was damaged.
const ASIDE: &str = ".damaged";
/// Characters of a note that a line keeps: all of it fits a line, however it is escaped.
const NOTE_MAX: usize = 500;
/// Opt-outs taken over in one batch.
const AT_ONCE: usize = 2_048;
/// Ended opt-outs that a list written anew still tells of: a backup that knows them as standing is older than these.
const ENDED_KEPT: usize = 20_000;
/// A list this many times longer than what it says is written anew,
const LONGER: u64 = 4;
/// where it has more lines than that: shorter ones cost nothing.
const SHORT: u64 = 1_000;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    /// When it was written down.
    at: Timestamp,
    what: What,
    party: Party,
    since: Timestamp,
    source: Source,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Added,
    Removed,
}

impl Entry {
    fn text(&self) -> String {
        let Entry { at, what, party, since, source } = self;
        let what = match what {
            What::Added => "added",
            What::Removed => "removed",
        };
        let source = match source {
            Source::Reply(None) => String::from("reply -"),
            Source::Reply(Some(id)) => format!("reply {id}"),
            Source::Token { by, note } => {
                let note: String = note.chars().take(NOTE_MAX).collect();
                let by: String = by.as_str().chars().take(NOTE_MAX).collect();
                format!("token {} {}", serde_json::Value::String(by), serde_json::Value::String(note))
            }
        };
        format!("{at} {what} {} {since} {source}", party.as_written())
    }

    fn parse(text: &str) -> Option<Entry> {
        let mut fields = text.splitn(5, ' ');
        let mut next = || fields.next();
        let at = Timestamp::parse_rfc3339(next()?)?;
        let what = match next()? {
            "added" => What::Added,
            "removed" => What::Removed,
            _ => return None,
        };
        let party = Party::parse(next()?).ok()?;
        let since = Timestamp::parse_rfc3339(next()?)?;
        let source = match next()?.split_once(' ')? {
            ("reply", "-") => Source::Reply(None),
            ("reply", id) => Source::Reply(Some(InboundId::from_str(id).ok()?)),
            ("token", rest) => {
                let mut names = serde_json::Deserializer::from_str(rest).into_iter::<String>();
                let (by, note) = (names.next()?.ok()?, names.next()?.ok()?);
                if names.next().is_some() {
                    return None;
                }
                Source::Token { by: TokenName::from(by), note }
            }
            _ => return None,
        };
        Some(Entry { at, what, party, since, source })
    }
}

/// The list, open for what comes.
#[derive(Debug)]
pub struct Suppressions(Lines);

/// What a list says that a state need not know, and how the two meet.
#[derive(Debug, Default)]
pub struct Told {
    /// Opt-outs that the list has as standing and the state does not.
    missing: BTreeMap<Party, (Timestamp, Source)>,
    /// Opt-outs that ended, of parties that the state has as opted out.
    ended: BTreeMap<Party, Ended>,
    /// Opt-outs that both have.
    both: HashSet<Party>,
    /// The last lines of opt-outs that ended, for a list written anew.
    removals: VecDeque<(Party, String)>,
    lines: u64,
    damaged: u64,
    added: u64,
    lifted: u64,
}

#[derive(Debug)]
struct Ended {
    since: Vec<Timestamp>,
    source: Source,
}

impl Ended {
    const fn by(source: Source) -> Ended {
        Ended { since: Vec::new(), source }
    }
}

impl Told {
    /// Whether it is a line of ours.
    fn take(&mut self, text: &str, core: &Core) -> bool {
        let Some(Entry { what, party, since, source, .. }) = Entry::parse(text) else { return false };
        let stands = core.opt_outs.contains(party);
        match what {
            What::Added if stands => {
                self.both.insert(party);
            }
            What::Added => {
                self.missing.insert(party, (since, source));
            }
            What::Removed => {
                self.missing.remove(&party);
                self.both.remove(&party);
                if stands {
                    let ended = self.ended.entry(party).or_insert_with(|| Ended::by(source.clone()));
                    ended.since.push(since);
                    ended.source = source;
                }
                if self.removals.len() == ENDED_KEPT {
                    self.removals.pop_front();
                }
                self.removals.push_back((party, text.to_owned()));
            }
        }
        true
    }

    /// Whether the list says that this very opt-out ended.
    fn has_ended(&self, ended: &Ended, standing: &Suppression) -> bool {
        self.damaged == 0 && ended.since.contains(&standing.at)
    }
}

impl Suppressions {
    /// Opens the list, making it where there is none. What it says is to be given to [`Core::catch_up`] until that has
    /// nothing more to write, and then to [`Suppressions::settle`].
    ///
    /// # Errors
    /// I/O, and a list that a newer nudged wrote.
    pub fn open(state_dir: &Path, core: &Core) -> Result<(Suppressions, Told), StoreError> {
        let mut told = Told::default();
        let mut take = |text: &str| told.take(text, core);
        let (lines, found) = Lines::open(&state_dir.join(NAME), TITLE, &mut take)?;
        (told.lines, told.damaged) = (found.lines, found.damaged);
        if found.damaged > 0 {
            tracing::error!(event = "suppressions_damaged", lines = found.lines, damaged = found.damaged);
        }
        Ok((Suppressions(lines), told))
    }

    /// Writes what the state knows and the list does not, or all of it anew.
    ///
    /// # Errors
    /// I/O, and a state that is damaged.
    pub fn settle(&mut self, told: &Told, core: &Core, state: &dyn Read, now: Now) -> Result<(), StoreError> {
        let Told { added, lifted, .. } = told;
        if *added + *lifted > 0 {
            tracing::warn!(event = "suppressions_caught_up", added, lifted);
        }
        let standing = told.both.len() + told.removals.len();
        let long = told.lines > SHORT && told.lines > LONGER * standing as u64;
        if long || told.damaged > 0 {
            return self.write_anew(told, state, now);
        }
        if told.both.len() == core.opt_outs.len() {
            return Ok(());
        }
        for page in pages(state) {
            let news: Vec<String> = page?
                .iter()
                .map(|(key, value)| standing_entry(key, value, now.wall))
                .filter(|entry| entry.as_ref().map_or(true, |entry| !told.both.contains(&entry.party)))
                .map(|entry| Ok(entry?.text()))
                .collect::<Result<_, StoreError>>()?;
            self.0.append(&news)?;
        }
        Ok(())
    }

    fn write_anew(&mut self, told: &Told, state: &dyn Read, now: Now) -> Result<(), StoreError> {
        let aside = (told.damaged > 0).then_some(ASIDE);
        let ended = told.removals.iter().map(|(_, text)| Ok(text.clone()));
        let standing = pages(state).flat_map(|page| match page {
            Ok(page) => page
                .iter()
                .map(|(key, value)| Ok(standing_entry(key, value, now.wall)?.text()))
                .collect::<Vec<_>>(),
            Err(error) => vec![Err(error)],
        });
        self.0.replace(aside, &mut ended.chain(standing))
    }

    /// Writes down what a step does to opt-outs; to be called before its batch is committed. Most steps do nothing to
    /// them, and cost nothing here.
    ///
    /// # Errors
    /// I/O: end the daemon, nothing of the step may happen.
    pub fn note(&mut self, batch: &Batch, state: &dyn Read, at: Timestamp) -> Result<(), StoreError> {
        self.0.append(&entries(batch, state, at)?)
    }

    /// From here on every write fails.
    #[cfg(test)]
    fn break_writing(&mut self) {
        self.0.break_writing();
    }
}

/// What a batch does to opt-outs.
fn entries(batch: &Batch, state: &dyn Read, at: Timestamp) -> Result<Vec<String>, StoreError> {
    let (from, to) = keys::all(family::OPT_OUT);
    let mut texts = Vec::new();
    for (key, value) in batch.writes.range(from..to) {
        if let Some(value) = value {
            texts.push(standing_entry(key, value, at)?.text());
            continue;
        }
        // One that began and ended within the step is nobody's.
        let Some(was) = state.get(key)? else { continue };
        let Entry { party, since, source, .. } = standing_entry(key, &was, at)?;
        let source = lifted_by(party, batch)?.unwrap_or(source);
        texts.push(Entry { at, what: What::Removed, party, since, source }.text());
    }
    Ok(texts)
}

fn lifted_by(party: Party, batch: &Batch) -> Result<Option<Source>, StoreError> {
    for event in batch.events.iter().rev() {
        if let NoticeKind::OptOutRemoved { party: of, source } = record::decode::<Notice>(event)?.kind
            && of == party
        {
            return Ok(Some(source));
        }
    }
    Ok(None)
}

/// A record of an opt-out as a line.
fn standing_entry(key: &[u8], value: &[u8], at: Timestamp) -> Result<Entry, StoreError> {
    let damaged = || StoreError::Damaged(String::from("a party's key of the wrong length"));
    let party = keys::decode_party(key).ok_or_else(damaged)?;
    let Suppression { at: since, source, .. } = record::decode(value)?;
    Ok(Entry { at, what: What::Added, party, since, source })
}

/// All opt-outs of a state, some at a time.
fn pages(state: &dyn Read) -> impl Iterator<Item = Result<Entries, StoreError>> {
    let (from, to) = keys::all(family::OPT_OUT);
    let mut next = Some(from);
    std::iter::from_fn(move || {
        let page = match state.scan(&next.take()?, &to, AT_ONCE) {
            Ok(page) => page,
            Err(error) => return Some(Err(error)),
        };
        let last = page.last().filter(|_| page.len() == AT_ONCE);
        next = last.map(|(last, _)| [last.as_slice(), &[0]].concat());
        Some(Ok(page))
    })
}

impl Core {
    /// Some of what the list beside the store knows and the state does not; `None`: all of it is done. To be called
    /// before the first step; each batch must be on the disk before the next call.
    pub fn catch_up(
        &mut self,
        told: &mut Told,
        state: &dyn Read,
        now: Now,
    ) -> Result<Option<Batch>, StoreError> {
        let mut work = Work::new(state, now);
        for _ in 0..AT_ONCE {
            let Some((party, (at, source))) = told.missing.pop_first() else { break };
            self.opt_out(party, Suppression { at, source, confirmation: None }, &mut work);
            told.both.insert(party);
            told.added += 1;
        }
        let mut left = AT_ONCE;
        while left > 0
            && let Some((party, ended)) = told.ended.pop_first()
        {
            let standing = work.txn.get::<Suppression>(&keys::opt_out(party))?;
            let lifts = standing.is_some_and(|standing| told.has_ended(&ended, &standing));
            if lifts && !told.both.contains(&party) {
                self.lift_opt_out(party, ended.source, &mut work)?;
                told.lifted += 1;
                left -= 1;
            }
        }
        self.settle_reminders(&mut work)?;
        self.seal(&mut work);
        Ok(Some(work.txn.batch).filter(|batch| !batch.is_empty()))
    }
}

#[cfg(test)]
mod tests;
