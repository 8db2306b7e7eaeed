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
mod tests {
    use std::sync::Arc;

    use tempfile::TempDir;
    use tokio::sync::{Notify, oneshot};
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::clock::Clock;
    use crate::config;
    use crate::engine::core::{Input, Settings};
    use crate::engine::memory::Memory;
    use crate::engine::reminders::ReminderSettings;
    use crate::engine::run::{Parts, engine};
    use crate::engine::{Command, OptOutEntry};
    use crate::store::{self, Opened, Options};

    const AT: Timestamp = Timestamp::from_millis(1_795_269_900_000);
    const ANN: &str = "+447700900123";
    const BEN: &str = "+447700900124";

    fn party(text: &str) -> Party {
        Party::parse(text).unwrap()
    }

    fn by(note: &str) -> Source {
        Source::Token { by: "crm".into(), note: note.into() }
    }

    fn core(state: &dyn Read, now: Now) -> (Core, Batch) {
        let config = config::check("", &|_| Ok(config::Secret::unread())).unwrap();
        let settings = Settings {
            queue: config.queue,
            inbound: config.inbound,
            routes: Vec::new(),
            links: Vec::new(),
            clock_floor: Timestamp::MIN,
            reminders: ReminderSettings::for_tests(),
        };
        Core::recover(settings, state, now).unwrap()
    }

    /// A daemon's core, state and list, without its threads.
    struct Desk {
        dir: TempDir,
        clock: Clock,
        state: Memory,
        core: Core,
        list: Suppressions,
    }

    impl Desk {
        fn new() -> Desk {
            let (dir, clock, state) = (TempDir::new().unwrap(), Clock::manual(AT), Memory::default());
            let (core, _) = core(&state, clock.now());
            let list = Suppressions::open(dir.path(), &core).unwrap().0;
            Desk { dir, clock, state, core, list }
        }

        fn ask(&mut self, command: Command) {
            self.clock.advance(std::time::Duration::from_secs(1));
            let now = self.clock.now();
            let step = self.core.step(&self.state, vec![Input::Command(command)], now).unwrap();
            self.list.note(&step.batch, &self.state, now.wall).unwrap();
            self.state.apply(&step.batch);
        }

        fn add(&mut self, party_text: &str) {
            let entries = vec![OptOutEntry { party: party(party_text), at: None, note: "letter".into() }];
            self.ask(Command::OptOut { entries, by: "crm".into(), reply: oneshot::channel().0 });
        }

        fn lift(&mut self, text: &str) {
            let party = party(text);
            self.ask(Command::LiftOptOut { party, by: "crm".into(), reply: oneshot::channel().0 });
        }

        /// Starts anew on a state; what it says of opt-outs then.
        fn start_on(&mut self, state: Memory) -> Vec<(String, Source)> {
            self.state = state;
            let now = self.clock.now();
            let (mut core, batch) = core(&self.state, now);
            self.state.apply(&batch);
            let (mut list, mut told) = Suppressions::open(self.dir.path(), &core).unwrap();
            while let Some(batch) = core.catch_up(&mut told, &self.state, now).unwrap() {
                self.state.apply(&batch);
            }
            list.settle(&told, &core, &self.state, now).unwrap();
            (self.core, self.list) = (core, list);
            self.standing()
        }

        fn standing(&self) -> Vec<(String, Source)> {
            let entries = pages(&self.state).flat_map(Result::unwrap);
            let entries = entries.map(|(key, value)| standing_entry(&key, &value, AT).unwrap());
            entries.map(|entry| (entry.party.as_written(), entry.source)).collect()
        }

        fn path(&self) -> std::path::PathBuf {
            self.dir.path().join(NAME)
        }

        fn lines(&self) -> Vec<String> {
            let text = std::fs::read_to_string(self.path()).unwrap();
            text.lines().skip(1).map(|line| line[9..].to_owned()).collect()
        }
    }

    #[test]
    fn a_line_reads_back_whatever_its_source_and_however_odd_its_note() {
        let long = "\u{1}".repeat(NOTE_MAX);
        let sources = [
            Source::Reply(None),
            Source::Reply(Some(InboundId::from_u64(7))),
            by(""),
            by("a \"letter\"\n\tof 3 May \u{1F600} added \\ removed"),
            Source::Token { by: "nudged itself".into(), note: long },
        ];
        for source in sources {
            for (what, number) in [(What::Added, ANN), (What::Removed, "1701234567")] {
                let since = Timestamp::from_millis(1);
                let entry = Entry { at: AT, what, party: party(number), since, source: source.clone() };
                let text = entry.text();
                assert_eq!(Entry::parse(&text), Some(entry), "{text}");
                assert!(!text.contains('\n') && text.len() < crate::store::lines::LINE_MAX - 16, "{text}");
            }
        }
    }

    #[test]
    fn what_is_no_line_of_ours_is_none() {
        let good = "2026-11-21T14:05:00.000Z added +447700900123 2026-11-21T14:05:00.000Z reply -";
        assert!(Entry::parse(good).is_some());
        for (from, to) in [
            ("2026-11-21T14:05:00.000Z added", "yesterday added"),
            ("added", "put"),
            ("+447700900123", "+1"),
            ("+447700900123 2026-11-21T14:05:00.000Z", "+447700900123 now"),
            ("reply -", "reply"),
            ("reply -", "reply 7"),
            ("reply -", "token crm"),
            ("reply -", "token \"crm\""),
            ("reply -", "token \"crm\" \"a\" \"b\""),
            ("reply -", "letter -"),
        ] {
            let bad = good.replace(from, to);
            assert_ne!(bad, good);
            assert_eq!(Entry::parse(&bad), None, "{bad}");
        }
    }

    #[test]
    fn a_step_writes_a_line_for_what_came_and_went_and_no_other_step_does() {
        let mut desk = Desk::new();
        desk.add(ANN);
        desk.add(ANN);
        desk.lift(BEN);
        desk.lift(ANN);
        let lines = desk.lines();
        assert_eq!(lines.len(), 2, "{lines:?}");
        let since = "2026-11-21T14:05:01.000Z";
        assert_eq!(lines[0], format!("{since} added {ANN} {since} token \"crm\" \"letter\""));
        assert_eq!(lines[1], format!("2026-11-21T14:05:04.000Z removed {ANN} {since} token \"crm\" \"\""));
    }

    #[test]
    fn an_opt_out_that_an_older_state_does_not_know_comes_back_with_its_source() {
        let mut desk = Desk::new();
        let backup = desk.state.clone();
        desk.add(ANN);
        desk.add("1701234567");
        let known = desk.standing();
        let lines = desk.lines();
        assert_eq!(desk.start_on(backup), known);
        assert_eq!(desk.lines(), lines, "the list knew it all");
    }

    #[test]
    fn a_lift_later_than_the_backup_holds_and_an_opt_out_after_it_too() {
        let mut desk = Desk::new();
        desk.add(ANN);
        desk.add(BEN);
        let backup = desk.state.clone();
        desk.lift(ANN);
        desk.lift(BEN);
        desk.add(BEN);
        let standing = desk.start_on(backup);
        assert_eq!(standing.len(), 1, "{standing:?}");
        assert_eq!(standing[0].0, BEN);
    }

    #[test]
    fn an_opt_out_that_the_list_did_not_see_lifted_stays() {
        let mut desk = Desk::new();
        desk.add(ANN);
        desk.lift(ANN);
        let list = std::fs::read(desk.path()).unwrap();
        desk.add(ANN);
        std::fs::write(desk.path(), list).unwrap();
        let state = desk.state.clone();
        assert_eq!(desk.start_on(state).len(), 1, "a list older than the state ends nothing that is newer");
        assert_eq!(desk.lines().len(), 3, "and learns of it");
    }

    #[test]
    fn a_damaged_list_lifts_nothing_is_kept_aside_and_written_anew() {
        let mut desk = Desk::new();
        desk.add(ANN);
        let backup = desk.state.clone();
        desk.add(BEN);
        desk.lift(ANN);
        let mut octets = std::fs::read(desk.path()).unwrap();
        let ben = octets.windows(BEN.len()).position(|at| at == BEN.as_bytes()).unwrap();
        octets[ben] ^= 1;
        std::fs::write(desk.path(), &octets).unwrap();
        let standing = desk.start_on(backup);
        assert_eq!(standing.iter().map(|(number, _)| number.as_str()).collect::<Vec<_>>(), [ANN]);
        assert_eq!(std::fs::read(desk.dir.path().join("suppressions.log.damaged")).unwrap(), octets);
        let told = Suppressions::open(desk.dir.path(), &desk.core).unwrap().1;
        assert_eq!((told.damaged, told.both.len()), (0, 1));
    }

    #[test]
    fn a_list_that_is_gone_is_written_from_the_state_and_nothing_is_lost() {
        let mut desk = Desk::new();
        (desk.add(ANN), desk.add(BEN));
        std::fs::remove_file(desk.path()).unwrap();
        let state = desk.state.clone();
        assert_eq!(desk.start_on(state).len(), 2);
        assert_eq!(desk.lines().len(), 2);
        assert_eq!(desk.start_on(Memory::default()).len(), 2, "and stands without it from then on");
    }

    #[test]
    fn a_list_many_times_longer_than_what_it_says_is_written_anew_and_says_the_same() {
        let mut desk = Desk::new();
        let backup = desk.state.clone();
        (desk.add(ANN), desk.add(BEN), desk.lift(BEN));
        let again = vec![desk.lines()[0].clone(); SHORT as usize];
        desk.list.0.append(&again).unwrap();
        let state = desk.state.clone();
        desk.start_on(state);
        assert_eq!(desk.lines().len(), 2, "one stands, one ended");
        desk.add(BEN);
        let standing = desk.start_on(backup);
        assert_eq!(standing.len(), 2, "{standing:?}");
    }

    #[test]
    fn more_than_one_batch_holds_comes_back_whole() {
        let mut desk = Desk::new();
        let entries = (0..AT_ONCE + 10).map(|n| OptOutEntry {
            party: party(&format!("+4477{n:08}")),
            at: None,
            note: String::new(),
        });
        let entries = entries.collect();
        desk.ask(Command::OptOut { entries, by: "crm".into(), reply: oneshot::channel().0 });
        assert_eq!(desk.start_on(Memory::default()).len(), AT_ONCE + 10);
        std::fs::remove_file(desk.path()).unwrap();
        let state = desk.state.clone();
        desk.start_on(state);
        assert_eq!(desk.lines().len(), AT_ONCE + 10);
    }

    #[test]
    fn where_the_list_cannot_be_written_the_core_ends_with_nothing_answered_and_nothing_stored() {
        let (dir, clock) = (TempDir::new().unwrap(), Clock::manual(AT));
        let open = || match store::open(&dir.path().join("store"), Options::for_tests(), AT).unwrap() {
            Opened::Ready { store, .. } => store,
            Opened::Quarantined { why, .. } => panic!("{why}"),
        };
        let store = open();
        let (core, _) = core(&store.reader(), clock.now());
        let mut suppressions = Suppressions::open(dir.path(), &core).unwrap().0;
        suppressions.break_writing();
        let stop = CancellationToken::new();
        let (bell, ports) = (Arc::new(Notify::new()), Vec::new());
        let parts = Parts { store, core, suppressions, ports, bell, clock, min_free: 0, stop };
        let (engine, runner) = engine(parts);
        let thread = std::thread::spawn(|| runner.run());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let entries = vec![OptOutEntry { party: party(ANN), at: None, note: String::new() }];
        let answer = runtime.block_on(engine.opt_out(entries, "crm".into()));
        assert!(answer.is_err(), "{answer:?}");
        assert!(matches!(thread.join().unwrap(), Err(StoreError::Io { .. })));
        drop(engine);
        let store = open();
        assert_eq!(pages(&store.reader()).flat_map(Result::unwrap).count(), 0);
    }
}
