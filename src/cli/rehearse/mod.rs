//! `nudged rehearse`: what a firm's sequences would do with its cases over some weeks, in seconds.
//!
//! The real core decides, on a real store in a directory of its own that goes afterwards; only the clock and the
//! links are not real. No text leaves. The tests tell their stories with it: [`rehearse`] is the whole of it
//! without files.

mod files;
mod lines;
mod script;
mod stage;
mod wire;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use files::{Args, run};
pub use lines::{
    Bank, Consent, Exited, Line, OptOut, Paused, Promised, Refused, RuleLine, Said, Sent, Summary, TaskLine,
    Webhook,
};
pub use script::{BadEvent, Event, Jump, What, instant, parse};
pub use wire::Fate;

use crate::clock::{Clock, Timestamp};
use crate::config::Config;
use crate::daemon;
use crate::engine::recover::RecoverError;
use crate::engine::reminders::change::Subject;
use crate::engine::reminders::simulate::{Simulation, Stretch};
use crate::engine::view::View;
use crate::engine::{CHANGE_GROUP, Change};
use crate::message::Msisdn;
use crate::reminder::import::case::Case;
use crate::store::{Options, StoreError};
use stage::Stage;
use wire::Wire;

/// What is rehearsed.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its links become simulated ones of the same pace and window.
    pub config: Config,
    /// Creditors, templates, sequences and the like, in an order in which they can be made.
    pub setup: Vec<Change>,
    /// Taken in at `from`.
    pub cases: Vec<Case>,
    /// In order of time.
    pub events: Vec<Event>,
    /// Numbers with which something is the matter.
    pub fates: BTreeMap<Msisdn, Fate>,
    pub from: Timestamp,
    pub to: Timestamp,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rehearsal {
    /// In order of true time.
    pub lines: Vec<Line>,
    pub summary: Summary,
}

/// Why a rehearsal cannot be.
#[derive(Debug, thiserror::Error)]
pub enum RehearseError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Recover(#[from] RecoverError),
    #[error("cannot use {0}: {1}")]
    Dir(String, io::Error),
    #[error("the rehearsal's own state is damaged: {0}")]
    Quarantined(String),
    #[error("{what}: {why}")]
    Setup { what: String, why: String },
    #[error("the event at {at}: {why}")]
    Event { at: Timestamp, why: String },
    #[error("the configuration has no link to rehearse with")]
    NoLink,
}

/// Plays a plan from its beginning to its end.
///
/// # Errors
/// A plan that cannot be played: a setting or an event that the core refuses. Rows that it refuses are told in the
/// summary.
pub fn rehearse(plan: Plan) -> Result<Rehearsal, RehearseError> {
    let scratch = Scratch::make()?;
    let rehearsal = play(plan, &scratch.0);
    drop(scratch);
    rehearsal
}

/// What `simulate` says of a plan before anything of it happens.
///
/// # Errors
/// As [`rehearse`].
pub fn foresee(plan: Plan) -> Result<Simulation, RehearseError> {
    let scratch = Scratch::make()?;
    let duplicate_window = plan.config.queue.duplicate_window;
    let stretch = Stretch { from: plan.from, to: plan.to, limit: usize::MAX, duplicate_window };
    let (stage, _) = prepare(plan, &scratch.0)?;
    let Some(reader) = stage.reader() else { return Ok(Simulation::default()) };
    Ok(View::new(Arc::new(reader)).simulate_due(None, stretch)?)
}

fn play(plan: Plan, dir: &Path) -> Result<Rehearsal, RehearseError> {
    let (to, home) = (plan.to, plan.config.timezone.clone());
    let (mut stage, mut summary) = prepare(plan, dir)?;
    stage.play(to)?;
    let lines = std::mem::take(&mut stage.notes).end();
    summary.count(&lines, |at| home.local(at).date());
    Ok(Rehearsal { lines, summary })
}

/// Everything is set up, and the cases are taken in.
fn prepare(plan: Plan, dir: &Path) -> Result<(Stage, Summary), RehearseError> {
    let Plan { config, setup, cases, events, fates, from, .. } = plan;
    let clock = Clock::manual(from);
    let mut settings = daemon::settings(&config, SECRET);
    // Weeks of last year may be rehearsed.
    settings.clock_floor = Timestamp::MIN;
    let rates = config.modems.iter().map(|modem| modem.rate).chain(config.smpp.iter().map(|smpp| smpp.rate));
    let facts = settings.links.iter().cloned().zip(rates);
    let now = clock.now().mono;
    let links: Vec<Wire> =
        (0..).zip(facts).map(|(place, (facts, rate))| Wire::new(facts, rate, place, now)).collect();
    if links.is_empty() {
        return Err(RehearseError::NoLink);
    }
    let mut stage = Stage::new((settings, OPTIONS), links, events, fates, (clock, dir));
    stage.limits = daemon::limits(&config);
    stage.start()?;
    set_up(&mut stage, setup)?;
    let summary = take_in(&mut stage, cases)?;
    Ok((stage, summary))
}

/// Tokens of links are made from it; a rehearsal's go nowhere.
const SECRET: [u8; 32] = [0x5A; 32];

/// Of a store that lives for seconds.
const OPTIONS: Options = Options {
    segment_bytes: 8 << 20,
    snapshot_after: 64 << 20,
    checkpoint_after: 32 << 20,
    ballast_bytes: 4 << 10,
    cache_bytes: 64 << 20,
    compact_above: 1 << 40,
    history_bytes: 0,
    hold_bytes: 0,
    durable: false,
};

fn set_up(stage: &mut Stage, setup: Vec<Change>) -> Result<(), RehearseError> {
    for change in setup {
        let what = name_of(&change);
        for answer in stage.change(vec![change])? {
            answer
                .map_err(|refusal| RehearseError::Setup { what: what.clone(), why: refusal.to_string() })?;
        }
    }
    Ok(())
}

fn name_of(change: &Change) -> String {
    match change {
        Change::Creditor(creditor) => format!("creditor {}", creditor.key),
        Change::Template { template, .. } => format!("template {} {}", template.key, template.language),
        Change::Rule { key, .. } => format!("rule {key}"),
        Change::Menu(menu) => format!("menu {}", menu.key()),
        Change::Sequence(sequence) => format!("sequence {}", sequence.key),
        Change::Pack(pack) => format!("pack {}", pack.key),
        Change::Calendar(calendar) => format!("calendar {}", calendar.key()),
        _ => String::from("a setting"),
    }
}

fn take_in(stage: &mut Stage, cases: Vec<Case>) -> Result<Summary, RehearseError> {
    let mut summary = Summary::default();
    for group in cases.chunks(CHANGE_GROUP) {
        let changes =
            group.iter().map(|case| Change::Case { row: case.hash(), case: Box::new(case.clone()) });
        let answers = stage.change(changes.collect())?;
        for (case, answer) in group.iter().zip(answers) {
            match answer {
                Ok(made) => summary.obligations += u64::from(matches!(made.subject, Subject::Obligation(_))),
                Err(refusal) => {
                    summary.rows_refused.push((case.external_id.to_string(), refusal.to_string()));
                }
            }
        }
    }
    Ok(summary)
}

/// A directory of our own, gone when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn make() -> Result<Scratch, RehearseError> {
        use std::os::unix::fs::DirBuilderExt as _;
        let mut random = [0; 8];
        let dir = std::env::temp_dir();
        let failed = |error| RehearseError::Dir(dir.display().to_string(), error);
        getrandom::fill(&mut random).map_err(|error| failed(io::Error::other(error.to_string())))?;
        let own = dir.join(format!("nudged-rehearsal-{:016x}", u64::from_le_bytes(random)));
        std::fs::DirBuilder::new().mode(0o700).create(&own).map_err(failed)?;
        Ok(Scratch(own))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(event = "scratch_left", dir = %self.0.display(), %error);
        }
    }
}
