//! The list and a core on a state that may be older.

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
    desk.add(ANN);
    desk.add(BEN);
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
    desk.add(ANN);
    desk.add(BEN);
    desk.lift(BEN);
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
