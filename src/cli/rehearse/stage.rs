//! The stage of a rehearsal: the real core on a real store, a clock of its own, simulated links, and the script.
//!
//! Time does not pass here, it is skipped: straight to the next thing that matters. Two times must be told apart:
//! true time, in which the script and the lines are written, and the daemon's wall clock, which the script may set.
//! Every record is committed before anything of it happens, as in the daemon.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::RehearseError;
use super::lines::{Notes, Whose};
use super::script::{Event, Jump, What};
use super::wire::{Fate, Spoken, Wire};
use crate::clock::{Clock, Timestamp};
use crate::engine::core::{Answer, Core, Input, LinkIndex, Settings, Step};
use crate::engine::imports::payments::{EntryDigest, Matched};
use crate::engine::notice::{Notice, NoticeKind};
use crate::engine::reminders::records::{Applied, Records};
use crate::engine::suppressions::Suppressions;
use crate::engine::{CHANGE_GROUP, Change, ChangeAnswer, Command};
use crate::id::TaskId;
use crate::message::{Body, LinkName, Msisdn, TokenName};
use crate::quota::Limits;
use crate::reminder::bank::Entry;
use crate::reminder::task::Task;
use crate::store::{self, Opened, Options, Read, Reader, Store, keys, record};

/// With nothing to wait for, the core is asked all the same after this: its sweeps find what is past its time.
const IDLE: Duration = Duration::from_secs(600);
/// Until a supervisor has started a daemon that died.
const RESTARTS_AFTER: Duration = Duration::from_secs(10);
/// Steps at one instant before time goes on all the same: a core that always wants another is at fault, and seen.
const AT_ONE_INSTANT: u32 = 10_000;
/// Steps between two looks of the store at its own upkeep.
const UPKEEP_EVERY: u64 = 2_000;
/// Open tasks looked through for the one of an obligation.
const TASKS_MAX: usize = 1_000_000;

/// Who asks for what the script asks.
const BY: &str = "rehearsal";

/// One life of the daemon.
struct Life {
    core: Core,
    store: Store,
    /// The list of opt-outs beside the store; it outlives a restore.
    suppressions: Suppressions,
    /// What the core waits for.
    awaits: Option<Instant>,
    /// It wants to be asked again at once.
    at_once: bool,
}

pub(super) struct Stage {
    clock: Clock,
    began: Instant,
    from: Timestamp,
    dir: PathBuf,
    options: Options,
    settings: Settings,
    /// What links may send.
    pub limits: BTreeMap<LinkName, Limits>,
    life: Option<Life>,
    links: Vec<Wire>,
    fates: BTreeMap<Msisdn, Fate>,
    /// Who sent last to whom.
    sent_by: BTreeMap<Msisdn, LinkIndex>,
    script: VecDeque<Event>,
    /// States to be kept for a restore, first first.
    images: VecDeque<Timestamp>,
    /// Asked while the daemon was down.
    waiting: Vec<What>,
    /// Entries of bank files that were dealt with, as the daemon keeps them beside its store.
    seen: HashSet<EntryDigest>,
    starts_at: Option<Instant>,
    last_step: Instant,
    steps: u64,
    pub notes: Notes,
}

impl Stage {
    pub fn new(
        (settings, options): (Settings, Options),
        links: Vec<Wire>,
        script: Vec<Event>,
        fates: BTreeMap<Msisdn, Fate>,
        (clock, dir): (Clock, &Path),
    ) -> Stage {
        let mut images: Vec<Timestamp> = script.iter().filter_map(|event| event.what.restores()).collect();
        images.sort_unstable();
        images.dedup();
        let now = clock.now();
        Stage {
            began: now.mono,
            from: now.wall,
            last_step: now.mono,
            clock,
            dir: dir.to_owned(),
            options,
            settings,
            limits: BTreeMap::new(),
            life: None,
            links,
            fates,
            sent_by: BTreeMap::new(),
            script: script.into(),
            images: images.into(),
            waiting: Vec::new(),
            seen: HashSet::new(),
            starts_at: None,
            steps: 0,
            notes: Notes::default(),
        }
    }

    /// True time.
    pub fn at(&self) -> Timestamp {
        self.from.saturating_add(self.clock.now().mono - self.began)
    }

    fn mono_of(&self, at: Timestamp) -> Instant {
        self.began + at.since(self.from)
    }

    /// Opens the store and starts the core on it.
    pub fn start(&mut self) -> Result<(), RehearseError> {
        self.open(false)
    }

    fn open(&mut self, restored: bool) -> Result<(), RehearseError> {
        let now = self.clock.now();
        let mut store = match store::open(&self.dir.join("store"), self.options, now.wall)? {
            Opened::Ready { store, .. } => store,
            Opened::Quarantined { why, .. } => return Err(RehearseError::Quarantined(why)),
        };
        let (core, batch) = Core::recover(self.settings.clone(), &store.reader(), now)?;
        let mut told = batch.events.clone();
        store.commit(&batch, now.wall)?;
        let mut core = core.limit(self.limits.clone(), &store.reader(), now)?;
        if restored {
            let batch = core.restored(&store.reader(), now)?;
            store.commit(&batch, now.wall)?;
            told.extend(batch.events);
        }
        let (mut suppressions, mut list) = Suppressions::open(&self.dir, &core)?;
        while let Some(batch) = core.catch_up(&mut list, &store.reader(), now)? {
            store.commit(&batch, now.wall)?;
            told.extend(batch.events);
        }
        suppressions.settle(&list, &core, &store.reader(), now)?;
        // The routes are the same over all lives: the first start alone has anything to note.
        store.commit(&core.move_lanes(&store.reader(), now)?, now.wall)?;
        core.sweep_seldom(IDLE);
        self.life = Some(Life { core, store, suppressions, awaits: None, at_once: true });
        self.starts_at = None;
        for event in told {
            self.publish(self.at(), record::decode(&event)?)?;
        }
        self.links.iter_mut().for_each(Wire::connect);
        for what in std::mem::take(&mut self.waiting) {
            self.happen(what)?;
        }
        Ok(())
    }

    /// What is applied now.
    pub fn reader(&self) -> Option<Reader> {
        self.life.as_ref().map(|life| life.store.reader())
    }

    /// Everything up to `to`.
    pub fn play(&mut self, to: Timestamp) -> Result<(), RehearseError> {
        let end = self.mono_of(to);
        let mut at_once = 0;
        while self.clock.now().mono < end {
            let before = self.clock.now().mono;
            self.go_on()?;
            let next = self.next().min(end);
            at_once = if next <= before { at_once + 1 } else { 0 };
            let least = if at_once > AT_ONE_INSTANT { Duration::from_secs(1) } else { Duration::ZERO };
            self.clock.advance(next.saturating_duration_since(before).max(least));
        }
        Ok(())
    }

    /// What is due now.
    fn go_on(&mut self) -> Result<(), RehearseError> {
        let now = self.clock.now().mono;
        self.keep_images()?;
        if self.starts_at.is_some_and(|at| at <= now) {
            self.open(false)?;
        }
        while self.script.front().is_some_and(|event| self.mono_of(event.at) <= now) {
            let Some(event) = self.script.pop_front() else { break };
            self.happen(event.what)?;
        }
        let inputs = self.listen();
        let Some(life) = &self.life else { return Ok(()) };
        let due = life.at_once || life.awaits.is_some_and(|at| at <= now) || now >= self.last_step + IDLE;
        if due || !inputs.is_empty() {
            self.step(inputs)?;
        }
        Ok(())
    }

    /// When something is due next.
    fn next(&self) -> Instant {
        let now = self.clock.now().mono;
        let script = self.script.front().map(|event| self.mono_of(event.at));
        let image = self.images.front().map(|at| self.mono_of(*at));
        let outside = script.into_iter().chain(image).chain(self.starts_at);
        let Some(life) = &self.life else { return outside.min().unwrap_or(now + IDLE) };
        let core = if life.at_once { Some(now) } else { life.awaits };
        let links = self.links.iter().filter_map(|link| link.next(now));
        outside.chain(core).chain(links).chain([self.last_step + IDLE]).min().unwrap_or(now + IDLE)
    }

    /// What the links write and say now.
    fn listen(&mut self) -> Vec<Input> {
        if self.life.is_none() {
            return Vec::new();
        }
        let (now, at) = (self.clock.now().mono, self.at());
        let mut inputs = Vec::new();
        for link in 0..self.links.len() {
            let Some(wire) = self.links.get_mut(link) else { continue };
            let Spoken { events, inbound, written, expired } = wire.go_on(now, &self.fates);
            let name = wire.facts.name.clone();
            if let (true, Some(life)) = (expired, &mut self.life) {
                life.core.sweep_now();
                life.at_once = true;
            }
            for submission in written {
                self.sent_by.insert(submission.to, link);
                let reader = self.life.as_ref().map(|life| life.store.reader());
                let whose = || reader.and_then(|reader| whose(&reader, submission.id)).unwrap_or_default();
                self.notes.wrote(at, &name, &submission, whose);
            }
            inputs.extend(events.into_iter().map(|event| Input::Link { link, event }));
            let one = |(token, inbound)| Input::Inbound { link, token, inbound };
            inputs.extend(inbound.into_iter().map(one));
        }
        inputs
    }

    /// One step of the core; the answer to the changes in it.
    fn step(&mut self, inputs: Vec<Input>) -> Result<ChangeAnswer, RehearseError> {
        let (now, at) = (self.clock.now(), self.at());
        let Some(life) = &mut self.life else { return Ok(ChangeAnswer::new()) };
        let step = life.core.step(&life.store.reader(), inputs, now)?;
        life.suppressions.note(&step.batch, &life.store.reader(), now.wall)?;
        life.store.commit(&step.batch, now.wall)?;
        self.steps += 1;
        self.last_step = now.mono;
        if self.steps.is_multiple_of(UPKEEP_EVERY) {
            life.store.maintain(now.wall)?;
        }
        (life.awaits, life.at_once) = (step.awaits, step.wake_at.is_none());
        let Step { batch, submissions, controls, answers, .. } = step;
        for event in &batch.events {
            self.publish(at, record::decode(event)?)?;
        }
        for (link, submission) in submissions {
            if let Some(wire) = self.links.get_mut(link) {
                wire.take(submission, now.mono);
            }
        }
        for (link, control) in controls {
            if let Some(wire) = self.links.get_mut(link) {
                wire.tell(&control);
            }
        }
        let mut changes = ChangeAnswer::new();
        for answer in answers {
            match answer {
                Answer::Changes(_, answer) => changes.extend(answer),
                other => other.send(),
            }
        }
        Ok(changes)
    }

    fn publish(&mut self, at: Timestamp, notice: Notice) -> Result<(), RehearseError> {
        if let (NoticeKind::Obligation { id, .. }, Some(life)) = (&notice.kind, &self.life)
            && !self.notes.knows(*id)
            && let Some(obligation) = Applied(&life.store.reader()).obligation(*id)?
        {
            self.notes.name(*id, obligation.external_id.to_string());
        }
        self.notes.heard(at, notice);
        Ok(())
    }

    /// Asks for changes in one step; nothing comes back while the daemon is down.
    pub fn change(&mut self, changes: Vec<Change>) -> Result<ChangeAnswer, RehearseError> {
        let (reply, _) = oneshot::channel();
        let by = TokenName::from(BY);
        self.step(vec![Input::Command(Command::Change { changes, by, reply })])
    }

    fn happen(&mut self, what: What) -> Result<(), RehearseError> {
        let asks = matches!(what, What::Changes(_) | What::TaskDone { .. } | What::BankFile { .. });
        if asks && self.life.is_none() {
            self.waiting.push(what);
            return Ok(());
        }
        match what {
            What::Changes(changes) => self.must(changes),
            What::TaskDone { which, outcome } => {
                let id = self.task_of(&which)?;
                self.must(vec![Change::TaskDone { id, outcome, expect: None }])
            }
            What::BankFile { path, entries } => self.bank_file(path, &entries),
            What::Reply { from, text } => {
                let link = self.sent_by.get(&from).copied().unwrap_or(0);
                let at = self.at();
                if let Some(wire) = self.links.get_mut(link) {
                    wire.reply(from, &text, at);
                }
                Ok(())
            }
            What::Outage { link, until } => self.outage(&link, until),
            What::Crash => self.crash(),
            What::Down { until } => self.stop(until),
            What::Clock { jump } => {
                let wall = self.clock.now().wall;
                self.clock.jump(match jump {
                    Jump::Forward(by) => wall.saturating_add(by),
                    Jump::Back(by) => wall.saturating_sub(by),
                });
                Ok(())
            }
            What::Restore { to } => self.restore(to),
        }
    }

    /// Changes of the script must be possible: one that is not is a slip in the script.
    fn must(&mut self, changes: Vec<Change>) -> Result<(), RehearseError> {
        let at = self.at();
        let answer = self.change(changes)?;
        match answer.into_iter().find_map(Result::err) {
            Some(refusal) => Err(RehearseError::Event { at, why: refusal.to_string() }),
            None => Ok(()),
        }
    }

    /// The newest open task of an obligation.
    fn task_of(&self, which: &crate::engine::reminders::change::Which) -> Result<TaskId, RehearseError> {
        let none = |why: String| RehearseError::Event { at: self.at(), why };
        let Some(life) = &self.life else { return Err(none(String::from("the daemon is down"))) };
        let reader = life.store.reader();
        let records = Applied(&reader);
        let id = records.which(which)?.map_err(|refusal| none(refusal.to_string()))?;
        let (from, to) = keys::all(keys::family::OPEN_TASK);
        for (key, _) in reader.scan_back(&from, &to, TASKS_MAX)? {
            let Some(task) = keys::decode_id(&key).map(TaskId::from_u64) else { continue };
            let known: Option<Task> = records.fetch(&keys::task(task))?;
            if known.is_some_and(|known| known.obligation == Some(id)) {
                return Ok(task);
            }
        }
        Err(none(String::from("the obligation has no open task")))
    }

    /// Matched and booked as the daemon does it; what came of it is a line.
    fn bank_file(&mut self, path: String, entries: &[Entry]) -> Result<(), RehearseError> {
        let at = self.at();
        let Some(reader) = self.reader() else { return Ok(()) };
        let mut matched = Matched::read(entries, &reader, &self.seen)?;
        drop(reader);
        let changes = matched.changes();
        let mut answers = ChangeAnswer::new();
        for group in changes.chunks(CHANGE_GROUP) {
            answers.extend(self.change(group.to_vec())?);
        }
        let settled = matched.settle(answers);
        let (booked, noted) =
            settled.map_err(|refusal| RehearseError::Event { at, why: format!("{path}: {refusal}") })?;
        self.seen.extend(noted);
        self.notes.booked(at, path, &booked);
        Ok(())
    }

    fn outage(&mut self, link: &LinkName, until: Timestamp) -> Result<(), RehearseError> {
        let (at, until) = (self.at(), self.mono_of(until));
        let wire = self.links.iter_mut().find(|wire| wire.facts.name == *link);
        match wire {
            Some(wire) => wire.fail(until),
            None => return Err(RehearseError::Event { at, why: format!("there is no link {link}") }),
        }
        Ok(())
    }

    /// Nothing is closed, nothing more is said.
    fn crash(&mut self) -> Result<(), RehearseError> {
        self.life = None;
        self.links.iter_mut().for_each(|wire| wire.forget(&self.fates));
        self.starts_at = Some(self.clock.now().mono + RESTARTS_AFTER);
        Ok(())
    }

    /// What the links have not written comes back, what is on its way is waited for, and the store is closed.
    fn stop(&mut self, until: Timestamp) -> Result<(), RehearseError> {
        self.step(vec![Input::Stop])?;
        for wire in &mut self.links {
            wire.tell(&crate::link::Control::RecallAll);
        }
        for _ in 0..self.links.len() {
            let inputs = self.listen();
            self.step(inputs)?;
        }
        if let Some(life) = self.life.take() {
            life.store.close(self.clock.now().wall)?;
        }
        self.links.iter_mut().for_each(|wire| wire.forget(&self.fates));
        self.starts_at = Some(self.mono_of(until));
        Ok(())
    }

    fn image(&self, at: Timestamp) -> PathBuf {
        self.dir.join(format!("image-{}", at.as_millis()))
    }

    /// What a backup of now would hold.
    fn keep_images(&mut self) -> Result<(), RehearseError> {
        let now = self.clock.now().mono;
        while self.images.front().is_some_and(|at| self.mono_of(*at) <= now) {
            let Some(at) = self.images.pop_front() else { break };
            let (from, to) = (self.dir.join("store"), self.image(at));
            copy(&from, &to).map_err(|error| RehearseError::Dir(to.display().to_string(), error))?;
        }
        Ok(())
    }

    /// The state is put back to what it was, and the daemon is told so.
    fn restore(&mut self, to: Timestamp) -> Result<(), RehearseError> {
        self.crash()?;
        let (from, place) = (self.image(to), self.dir.join("store"));
        let failed = |error| RehearseError::Dir(place.display().to_string(), error);
        fs::remove_dir_all(&place).map_err(failed)?;
        copy(&from, &place).map_err(failed)?;
        self.open(true)
    }
}

/// Journal, snapshot and marks; the state beside them is made anew from these.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (name, kind) = (entry.file_name(), entry.file_type()?);
        if name == "state" || name == "lock" {
            continue;
        }
        let target = to.join(&name);
        if kind.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Whose reminder a message is, as its metadata tells.
fn whose(state: &dyn Read, id: crate::id::MessageId) -> Option<Whose> {
    let octets = state.get(&keys::body(id)).ok()??;
    let body: Body = record::decode(&octets).ok()?;
    let metadata: serde_json::Value = serde_json::from_str(body.metadata.as_deref()?).ok()?;
    let text = |name: &str| metadata.get(name).and_then(|value| value.as_str()).map(str::to_owned);
    let (obligation, template) = (text("external_id"), text("template"));
    Some(Whose { obligation, step: text("step"), rule: text("rule"), template })
}

impl What {
    fn restores(&self) -> Option<Timestamp> {
        match self {
            What::Restore { to } => Some(*to),
            _ => None,
        }
    }
}
