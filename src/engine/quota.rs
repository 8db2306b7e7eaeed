//! Quotas: how much a link may still send in the period that runs, and which number goes by which link.
//!
//! Segments are counted when they are leased, in the batch of the lease, one record a link and step, and given back
//! only where the link hands them back unwritten: so no fault lets more go than a quota allows ([`crate::quota`] says
//! what a clock that is set does). A link whose recipients are used up still takes the numbers it wrote to in the
//! period. In a lane that balances, a number that a link wrote to before waits for that link a while, as long as it
//! can send; in one that fails over the order of the route goes before that. What waits for a link that is busy is
//! set aside in memory, a bounded number; what no link may take is left to the disk ([`Lanes::hold`]) until a link
//! comes or goes or a period begins.
//!
//! [`Lanes::hold`]: super::lanes::Lanes::hold

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::QuotaUse;
use super::core::{Core, LinkIndex, Work};
use super::intake::u64_digest;
use super::lanes::Waiting;
use crate::clock::{Now, Timestamp};
use crate::config::Policy;
use crate::message::{LinkName, Msisdn};
use crate::quota::{Ledger, Limits, Meter, Period};
use crate::reminder::zone::Zone;
use crate::route::{Lane, LaneId};
use crate::store::keys::{self, LaneKey};
use crate::store::{Read, StoreError, record};

/// Messages that wait for one busy link at most; beyond, another takes them.
const ASIDE: usize = 256;
/// How often what was left to the disk is looked at again, where nothing that was seen changed.
const LOOK_AGAIN: Duration = Duration::from_secs(300);
/// Links that wrote to one number are at most as many as were ever configured.
const WROTE_TO: usize = 1_024;

/// The record of one link's ledgers, under [`keys::core`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    zone: Zone,
    segments: Vec<(Period, Ledger)>,
    recipients: Option<(Period, Ledger)>,
}

fn key(link: &LinkName) -> Vec<u8> {
    keys::core(&format!("quota {link}"))
}

/// One link's limits and what counts against them.
#[derive(Debug)]
struct Account {
    name: LinkName,
    /// The link in the keys of numbers.
    digest: u64,
    segments: Vec<Meter>,
    recipients: Option<Meter>,
    sticky: Duration,
    /// A message did not fit into so much: nothing goes before there is more.
    short: u32,
    /// Not yet in the batch.
    changed: bool,
}

impl Account {
    fn new(name: LinkName, limits: Limits, kept: Option<&Kept>) -> Account {
        let of = |per: Period| {
            let found = kept.and_then(|kept| kept.segments.iter().find(|(kept, _)| *kept == per));
            found.map(|(_, ledger)| *ledger).unwrap_or_default()
        };
        let recipients = |per: Period| {
            let found = kept.and_then(|kept| kept.recipients).filter(|(kept, _)| *kept == per);
            found.map(|(_, ledger)| ledger).unwrap_or_default()
        };
        Account {
            digest: u64_digest(name.as_str().as_bytes()),
            segments: limits.segments.iter().map(|&quota| Meter::new(quota, of(quota.per))).collect(),
            recipients: limits.recipients.map(|quota| Meter::new(quota, recipients(quota.per))),
            sticky: limits.sticky,
            short: 0,
            changed: false,
            name,
        }
    }

    fn meters(&mut self) -> impl Iterator<Item = &mut Meter> {
        self.segments.iter_mut().chain(&mut self.recipients)
    }

    fn left(&self) -> u32 {
        let left = self.segments.iter().map(Meter::left).min().unwrap_or(u32::MAX);
        if left > self.short { left } else { 0 }
    }

    fn minds_numbers(&self) -> bool {
        self.recipients.is_some() || !self.sticky.is_zero()
    }

    /// `counted`: where the period began in which it was counted last.
    fn takes(&self, counted: Option<Timestamp>) -> bool {
        let Some(meter) = &self.recipients else { return true };
        counted == Some(meter.ledger().from) || meter.left() > 0
    }

    fn kept(&self, zone: &Zone) -> Kept {
        let of = |meter: &Meter| (meter.quota.per, meter.ledger());
        Kept {
            zone: zone.clone(),
            segments: self.segments.iter().map(of).collect(),
            recipients: self.recipients.as_ref().map(of),
        }
    }
}

/// All links' quotas, and what waits for them.
#[derive(Debug, Default)]
pub struct Quotas {
    /// `None` before [`Core::limit`].
    zone: Option<Zone>,
    /// By [`LinkIndex`]; `None`: unlimited.
    accounts: Vec<Option<Account>>,
    /// Some link has limits that go by the number.
    mind_numbers: bool,
    /// With the link each waits for.
    aside: BTreeMap<LaneKey, (LinkIndex, Waiting)>,
    /// Something was left to the disk, then looked at last.
    held_at: Option<Instant>,
    /// What decides on that, as it was.
    seen: Vec<(bool, bool, Timestamp)>,
}

/// Who takes a message.
#[derive(Debug, PartialEq, Eq)]
pub enum Choice {
    Start(LinkIndex),
    /// It waits for this one.
    Aside(LinkIndex),
    /// Nobody may have it now.
    Hold,
}

impl Quotas {
    fn account(&self, link: LinkIndex) -> Option<&Account> {
        self.accounts.get(link)?.as_ref()
    }

    fn account_mut(&mut self, link: LinkIndex) -> Option<&mut Account> {
        self.accounts.get_mut(link)?.as_mut()
    }

    pub fn are_set(&self) -> bool {
        self.accounts.iter().any(Option::is_some)
    }

    /// Segments that the link may still lease in the periods that run.
    pub fn left(&self, link: LinkIndex) -> u32 {
        self.account(link).map_or(u32::MAX, Account::left)
    }

    /// Whether so many segments have room; where they have none, the link is left alone until there is more. More
    /// than a whole quota go a period's worth at a time.
    pub fn fits(&mut self, link: LinkIndex, segments: usize) -> bool {
        let Some(account) = self.account_mut(link) else { return true };
        let segments = u32::try_from(segments).unwrap_or(u32::MAX);
        let fits = |meter: &Meter| segments <= meter.left() || meter.used() == 0;
        let fits = account.segments.iter().all(fits);
        if !fits {
            account.short = account.left();
        }
        fits
    }

    /// One segment of this lease was not written.
    pub fn give_back(&mut self, link: LinkIndex, lease: u64) {
        let Some(account) = self.account_mut(link) else { return };
        account.segments.iter_mut().for_each(|meter| meter.give_back(1, lease));
        account.changed = true;
    }

    pub fn set_aside(&mut self, key: LaneKey, waiting: Waiting, link: LinkIndex) {
        self.aside.insert(key, (link, waiting));
    }

    pub fn is_aside(&self, key: LaneKey) -> bool {
        self.aside.contains_key(&key)
    }

    /// A message left its lane for good.
    pub fn forget(&mut self, key: LaneKey) {
        self.aside.remove(&key);
    }

    /// Something was left to the disk.
    pub fn held(&mut self, now: Now) {
        self.held_at.get_or_insert(now.mono);
    }
}

impl Core {
    /// Sets what links may send; those not named may send any number. Only before the first step.
    ///
    /// # Errors
    /// The ledgers cannot be read.
    pub fn limit(
        mut self,
        mut limits: BTreeMap<LinkName, Limits>,
        state: &dyn Read,
        now: Now,
    ) -> Result<Core, StoreError> {
        let zone = self.settings.reminders.home.clone();
        for seat in &self.links {
            let name = seat.facts.name.clone();
            let Some(limits) = limits.remove(&name).filter(|limits| *limits != Limits::default()) else {
                self.quotas.accounts.push(None);
                continue;
            };
            let kept = state.get(&key(&name))?.map(|bytes| record::decode::<Kept>(&bytes)).transpose()?;
            let mut account = Account::new(name, limits, kept.as_ref());
            if let Some(kept) = kept.filter(|kept| kept.zone != zone) {
                // Days begin elsewhere now; that is no reason for a second one.
                for meter in account.meters() {
                    meter.move_to(now.wall, &kept.zone, &zone);
                }
            }
            // The first step says whether a new period begins: the clock was not looked at yet.
            account.meters().for_each(|meter| meter.see(now.wall, &zone, true));
            self.quotas.accounts.push(Some(account));
        }
        self.quotas.zone = Some(zone);
        self.quotas.mind_numbers = self.quotas.accounts.iter().flatten().any(Account::minds_numbers);
        Ok(self)
    }

    /// Takes note of the time, before anything is leased.
    pub(super) fn see_quotas(&mut self, now: Now) {
        let in_doubt = self.clock_in_doubt();
        let Quotas { zone: Some(zone), accounts, .. } = &mut self.quotas else { return };
        for account in accounts.iter_mut().flatten() {
            account.meters().for_each(|meter| meter.see(now.wall, zone, in_doubt));
            if account.segments.iter().all(|meter| meter.left() > account.short) {
                account.short = 0;
            }
        }
    }

    /// A person's word that the clock is right: the periods that run are those of now.
    pub(super) fn accept_periods(&mut self, now: Timestamp) {
        let Quotas { zone: Some(zone), accounts, .. } = &mut self.quotas else { return };
        for account in accounts.iter_mut().flatten() {
            account.meters().for_each(|meter| meter.accept(now, zone));
            account.changed = true;
        }
    }

    /// Counts a lease of `segments`.
    pub(super) fn count_lease(
        &mut self,
        link: LinkIndex,
        to: Msisdn,
        (segments, lease): (usize, u64),
        work: &mut Work,
    ) -> Result<(), StoreError> {
        let Some(account) = self.quotas.account_mut(link) else { return Ok(()) };
        let had = account.left();
        let count = u32::try_from(segments).unwrap_or(u32::MAX);
        account.segments.iter_mut().for_each(|meter| meter.count(count, lease));
        account.changed = true;
        if had > 0 && account.left() == 0 {
            tracing::info!(event = "quota_used_up", link = %account.name);
        }
        if !account.minds_numbers() {
            return Ok(());
        }
        let key = keys::wrote_to(to, account.digest);
        let counted = work.txn.get::<Timestamp>(&key)?;
        let period = account.recipients.as_ref().map(|meter| meter.ledger().from);
        if counted.is_none() || period.is_some_and(|period| counted != Some(period)) {
            if let Some(meter) = &mut account.recipients {
                meter.count(1, lease);
            }
            work.txn.put(key, &period.unwrap_or_default());
        }
        Ok(())
    }

    /// The ledgers that changed ride with what changed them.
    pub(super) fn keep_ledgers(&mut self, work: &mut Work) {
        let Quotas { zone: Some(zone), accounts, .. } = &mut self.quotas else { return };
        for account in accounts.iter_mut().flatten().filter(|account| account.changed) {
            account.changed = false;
            work.txn.put(key(&account.name), &account.kept(zone));
        }
    }

    /// Which link a message that may go now goes by; `link` has credit and asks for it.
    pub(super) fn taker(
        &self,
        link: LinkIndex,
        key: LaneKey,
        to: Msisdn,
        work: &Work,
    ) -> Result<Choice, StoreError> {
        if !self.quotas.mind_numbers {
            return Ok(Choice::Start(link));
        }
        let Some(lane) = self.router.lanes().get(&key.lane) else { return Ok(Choice::Start(link)) };
        let minds = |at: &LinkIndex| self.quotas.account(*at).is_some_and(Account::minds_numbers);
        let via = self.via(lane);
        if !via.iter().any(minds) {
            return Ok(Choice::Start(link));
        }
        let known = self.wrote_to(to, work)?;
        let usable = via.into_iter().filter(|&at| self.usable(at));
        let mut able: Vec<LinkIndex> = usable.filter(|&at| self.takes(at, &known)).collect();
        let patient = able.clone();
        match lane.policy {
            Policy::Failover => able.truncate(1),
            Policy::Balance => {
                let its = |at: &LinkIndex| self.waits_for(*at, key, &known, work.wall()).is_some();
                if able.iter().any(its) {
                    able.retain(its);
                }
            }
        }
        if able.contains(&link) {
            return Ok(Choice::Start(link));
        }
        if let Some(&other) = able.iter().find(|&&other| self.credits(other) > 0) {
            return Ok(Choice::Start(other));
        }
        let Some(&other) = able.first() else { return Ok(Choice::Hold) };
        Ok(self.aside_or(other, patient.contains(&link).then_some(link), to))
    }

    /// It waits for a link, or where too many do, goes by `instead`; never before another of its number.
    fn aside_or(&self, link: LinkIndex, instead: Option<LinkIndex>, to: Msisdn) -> Choice {
        let aside = self.quotas.aside.values();
        if aside.clone().filter(|(other, _)| *other == link).count() < ASIDE {
            return Choice::Aside(link);
        }
        let before = aside.clone().any(|(_, waiting)| waiting.entry.to == to);
        instead.filter(|_| !before).map_or(Choice::Hold, Choice::Start)
    }

    /// Until when a number waits for this link, if it does.
    fn waits_for(
        &self,
        link: LinkIndex,
        key: LaneKey,
        known: &[(u64, Timestamp)],
        now: Timestamp,
    ) -> Option<Timestamp> {
        let account = self.quotas.account(link)?;
        known.iter().find(|(digest, _)| *digest == account.digest)?;
        let since = key.due_since();
        // Where the clock went back since, it has waited long enough.
        let until = since.saturating_add(account.sticky);
        (since <= now && now < until).then_some(until)
    }

    /// Whether the link may write to a number that these links wrote to.
    fn takes(&self, link: LinkIndex, known: &[(u64, Timestamp)]) -> bool {
        let Some(account) = self.quotas.account(link) else { return true };
        let counted = known.iter().find(|(digest, _)| *digest == account.digest);
        account.takes(counted.map(|(_, period)| *period))
    }

    /// The links that wrote to a number, by digest, with the period it counts in.
    fn wrote_to(&self, to: Msisdn, work: &Work) -> Result<Vec<(u64, Timestamp)>, StoreError> {
        let (from, end) = keys::under(keys::wrote_to_of(to));
        let known = work.txn.scan(&from, &end, WROTE_TO)?;
        let known = known.iter().filter_map(|(key, value)| Some((keys::decode_second(key)?, value)));
        known.map(|(digest, value)| Ok((digest, record::decode(value)?))).collect()
    }

    fn via(&self, lane: &Lane) -> Vec<LinkIndex> {
        let at = |name: &LinkName| self.links.iter().position(|seat| seat.facts.name == *name);
        lane.via.iter().filter_map(at).collect()
    }

    /// Back into their lanes: what can go by its link now, or needs to wait for it no more; and what was left to the
    /// disk where that may go again.
    pub(super) fn bring_back_aside(&mut self, now: Now) {
        if !self.quotas.mind_numbers {
            return;
        }
        let over = |core: &Core, key: &LaneKey, link: LinkIndex| {
            core.credits(link) > 0 || !core.usable(link) || core.patience(*key, link) <= now.wall
        };
        let aside = self.quotas.aside.iter().filter(|(key, (link, _))| over(self, key, *link));
        let back: Vec<LaneKey> = aside.map(|(key, _)| *key).collect();
        for key in back {
            if let Some((_, waiting)) = self.quotas.aside.remove(&key) {
                self.lanes.insert(key, waiting);
            }
        }
        let seen: Vec<_> = (0..self.quotas.accounts.len()).map(|link| self.deciding(link)).collect();
        let waited = self.quotas.held_at.is_some_and(|at| now.mono >= at + LOOK_AGAIN);
        let changed = self.quotas.held_at.is_some() && seen != self.quotas.seen;
        self.quotas.seen = seen;
        if waited || changed {
            self.quotas.held_at = None;
            self.lanes.let_go();
        }
    }

    /// What decides whether a link takes a number at all.
    fn deciding(&self, link: LinkIndex) -> (bool, bool, Timestamp) {
        let recipients = self.quotas.account(link).and_then(|account| account.recipients.as_ref());
        let has_room = recipients.is_none_or(|meter| meter.left() > 0);
        (self.usable(link), has_room, recipients.map(|meter| meter.ledger().from).unwrap_or_default())
    }

    /// Until when a message that is set aside waits for its link.
    fn patience(&self, key: LaneKey, link: LinkIndex) -> Timestamp {
        let sticky = self.quotas.account(link).map_or(Duration::ZERO, |account| account.sticky);
        key.due_since().saturating_add(sticky)
    }

    /// When what waits for a quota or a link may go.
    pub(super) fn quotas_wake(&self, now: Now) -> Option<Instant> {
        let zone = self.quotas.zone.as_ref()?;
        let in_wall = |at: Timestamp| now.mono + at.since(now.wall);
        let room = (0..self.links.len()).filter(|&link| self.can_send(link));
        let room = room.filter_map(|link| self.quotas.account(link)).flat_map(|account| {
            let segments = account.segments.iter().filter(|meter| meter.left() <= account.short);
            segments.chain(account.recipients.iter().filter(|meter| meter.left() == 0))
        });
        let room = room.map(|meter| in_wall(meter.until(zone)));
        let aside = self.quotas.aside.iter().map(|(key, (link, _))| self.patience(*key, *link));
        let aside = aside.filter(|until| *until > now.wall).map(in_wall);
        let held = self.quotas.held_at.map(|at| at + LOOK_AGAIN);
        room.chain(aside).chain(held).min()
    }

    /// When a link that has no room for a number has some again.
    fn room_at(&self, link: LinkIndex, takes: bool, zone: &Zone) -> Option<Timestamp> {
        let account = self.quotas.account(link)?;
        let segments = account.segments.iter().filter(|meter| meter.left() <= account.short);
        let recipients = account.recipients.iter().filter(|_| !takes);
        segments.chain(recipients).map(|meter| meter.until(zone)).max()
    }

    /// Until when no link of a lane has quota for this number. `None`: one has; or none can send at all, which is
    /// not for a quota to say.
    pub(in crate::engine) fn quota_until(
        &self,
        lane: LaneId,
        to: Msisdn,
        work: &Work,
    ) -> Result<Option<Timestamp>, StoreError> {
        let (Some(zone), Some(lane)) = (&self.quotas.zone, self.router.lanes().get(&lane)) else {
            return Ok(None);
        };
        let known = self.wrote_to(to, work)?;
        let mut first: Option<Timestamp> = None;
        for link in self.via(lane).into_iter().filter(|&link| self.can_send(link)) {
            let takes = self.takes(link, &known);
            if self.quotas.left(link) > 0 && takes {
                return Ok(None);
            }
            first = first.into_iter().chain(self.room_at(link, takes, zone)).min();
        }
        Ok(first)
    }

    pub(super) fn quotas_of(&self, link: LinkIndex) -> Vec<QuotaUse> {
        let segments = self.quotas.account(link).map(|account| account.segments.iter());
        segments.into_iter().flatten().filter_map(|meter| self.shown(meter)).collect()
    }

    pub(super) fn recipients_of(&self, link: LinkIndex) -> Option<QuotaUse> {
        self.shown(self.quotas.account(link)?.recipients.as_ref()?)
    }

    fn shown(&self, meter: &Meter) -> Option<QuotaUse> {
        let zone = self.quotas.zone.as_ref()?;
        let used = meter.used().min(meter.quota.count);
        Some(QuotaUse { quota: meter.quota, used, until: meter.until(zone) })
    }
}
