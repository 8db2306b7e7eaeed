//! The reminder side of the core: what a firm set up and what is owed to it, kept beside the queue in the same
//! journal, and the steps that follow from it.
//!
//! ```text
//! change.rs        what the outside asks for          obey.rs           which room does it
//! catalog.rs       what is set up, in memory          records.rs        reading and writing the records
//! people.rs        contacts, accounts, phones         cases.rs          a row of a file as records
//! debts.rs         obligations and money              instalments.rs    payment plans
//! payments.rs      money that comes and goes back     enrol.rs          pausing, resuming, taking back
//! situation.rs     all that decides about one
//! plan.rs          which step is next, and when       decide.rs         what that step comes to now
//! feed.rs          due steps become messages          settle.rs         what became of the messages
//! hear.rs          replies: menus, reviews            looks.rs          what is due without a link
//! tasks.rs         what a person must do              answers.rs        automatic answers, payment links
//! subscriptions.rs periods                            seeds.rs          seed tables as changes
//! triggers.rs      the firm's rules on what happens   speak.rs          the texts that rules send
//! happened.rs      what becomes of obligations        told.rs           the same as the outside reads it
//! imagine.rs       what a row would come to           simulate.rs       what would go when
//! reference.rs     the dispatch key                   view.rs           reading it all beside the core
//! restored.rs      after a backup came back           errands.rs         along all that a number owes
//! routes.rs        what links are called in packs     terms.rs           of which version, once, by whom
//! ```
//! Invariants: an obligation's record, the ledger of its steps and its timer change in one batch; a step with a note
//! of having gone is never queued again in its cycle; nothing is rendered before a link can take it; every decision
//! is made by [`decide::decide`], for the wire, for `simulate` and for rehearsals.

pub mod answers;
pub mod cases;
pub mod catalog;
pub mod change;
pub mod debts;
pub mod decide;
pub mod enrol;
pub mod errands;
pub mod feed;
pub mod happened;
pub mod hear;
pub mod imagine;
pub mod instalments;
pub mod looks;
pub mod obey;
pub mod payments;
pub mod people;
pub mod plan;
pub mod records;
pub mod reference;
pub mod restored;
pub mod routes;
pub mod seeds;
pub mod settle;
pub mod simulate;
pub mod situation;
pub mod speak;
pub mod subscriptions;
pub mod tasks;
pub mod terms;
pub mod told;
pub mod triggers;
pub mod view;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};

pub use catalog::Catalog;
pub use change::{Change, ChangeAnswer, ChangeRefusal, Changed, Subject};
pub use happened::Happened;

use crate::clock::{Now, Timestamp};
use crate::message::LinkName;
use crate::reminder::enrolment::{Timer, TimerKind};
use crate::reminder::name::Key;
use crate::reminder::obligation::ObligationStatus;
use crate::reminder::zone::Zone;
use crate::route::Router;
use crate::store::{Read, StoreError};
use errands::Errands;
use feed::Feed;
use routes::RouteClasses;
use situation::RulesCache;

/// What the reminder side needs of the configuration.
#[derive(Clone, Debug)]
pub struct ReminderSettings {
    /// The firm's own zone.
    pub home: Zone,
    /// What tokens of payment links are made from; kept outside the journal.
    pub link_secret: [u8; 32],
    /// What stands before `/p/TOKEN` in texts, where links go by our own listener.
    pub redirect: Option<String>,
    /// Some webhook takes `payment.requested`.
    pub takes_payments: bool,
    /// The class of carrier route that a link belongs to, where it has one.
    pub route_classes: BTreeMap<LinkName, Key>,
}

impl ReminderSettings {
    /// What is set up, with what the configuration adds to it.
    ///
    /// # Errors
    /// The state cannot be read.
    pub fn catalog(&self, state: &dyn Read) -> Result<Catalog, StoreError> {
        let catalog = Catalog::load(self.home.clone(), state)?;
        Ok(Catalog { redirect: self.redirect.clone(), ..catalog })
    }

    /// A firm in UTC that nobody takes payments for.
    pub fn for_tests() -> ReminderSettings {
        ReminderSettings {
            home: Zone::utc(),
            link_secret: [7; 32],
            redirect: None,
            takes_payments: false,
            route_classes: BTreeMap::new(),
        }
    }
}

/// Numbers that go with every step that writes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReminderCounters {
    pub contacts: u64,
    /// By status.
    pub obligations: [u64; ObligationStatus::ALL.len()],
    pub open_tasks: u64,
}

/// What the core remembers of the reminder side between steps; all of it can be read from the state.
#[derive(Debug)]
pub struct Reminders {
    pub catalog: Arc<Catalog>,
    pub rules: RulesCache,
    pub feed: Feed,
    pub errands: Errands,
    /// The counters as they were last written.
    pub counted: Option<ReminderCounters>,
    /// The first timer of each kind; [`Timestamp::MIN`] where it was not looked at yet.
    next: [Option<Timestamp>; TimerKind::COUNT],
}

impl Reminders {
    /// As before a state was read.
    pub fn new(settings: &ReminderSettings, router: &Router) -> Reminders {
        let routes = RouteClasses::new(settings.route_classes.clone(), router.clone());
        let catalog = Catalog { routes: Arc::new(routes), ..Catalog::shipped(settings.home.clone()) };
        Reminders {
            catalog: Arc::new(catalog),
            rules: RulesCache::default(),
            feed: Feed::default(),
            errands: Errands::default(),
            counted: None,
            next: [Some(Timestamp::MIN); TimerKind::COUNT],
        }
    }

    /// Reads what was set up.
    pub fn load(&mut self, settings: &ReminderSettings, state: &dyn Read) -> Result<(), StoreError> {
        let routes = self.catalog.routes.clone();
        self.catalog = Arc::new(Catalog { routes, ..settings.catalog(state)? });
        Ok(())
    }

    /// A timer was set.
    pub fn expect(&mut self, timer: Timer) {
        let next = &mut self.next[timer.kind as usize];
        *next = Some(next.map_or(timer.at, |known| known.min(timer.at)));
    }

    pub fn is_due(&self, kind: TimerKind, now: Timestamp) -> bool {
        self.next[kind as usize].is_some_and(|at| at <= now)
    }

    pub fn set_next(&mut self, kind: TimerKind, at: Option<Timestamp>) {
        self.next[kind as usize] = at;
    }

    /// Packs or creditors changed.
    pub fn forget_rules(&mut self) {
        self.rules = RulesCache::default();
    }

    /// When the core should look at this side again; steps count only where a link could take one.
    pub fn wakes(&self, may_feed: bool, now: Now) -> Option<Instant> {
        let looks = [TimerKind::Look, TimerKind::Period, TimerKind::Task];
        let looks = looks.into_iter().filter_map(|kind| self.next[kind as usize]);
        let feed = if may_feed { self.feed.wakes(self.next[TimerKind::Step as usize], now) } else { None };
        looks.map(|at| now.mono + at.since(now.wall)).chain(feed).min()
    }
}
