//! Subscriptions: each period becomes one obligation, early enough for the first step of its sequence.
//!
//! The first is the first that is due on the day the subscription was told of, or later: what was owed before is
//! not made up at once, since nobody knows which of it is paid. A firm tells of older periods as obligations.

use std::time::Duration;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::change::{ChangeRefusal, Changed, How, ObligationDraft, Owner, Subject};
use super::debts::Made;
use crate::clock::Timestamp;
use crate::engine::core::{Core, Work};
use crate::reminder::enrolment::{Timer, TimerKind};
use crate::reminder::name::{ExternalId, Key};
use crate::reminder::obligation::Origin;
use crate::reminder::recurrence::Recurrence;
use crate::reminder::subscription::Subscription;
use crate::reminder::task::kind;
use crate::store::{StoreError, keys, record};

/// A period's obligation is made this long before its due date: no shipped sequence begins earlier.
const LEAD: Duration = Duration::from_secs(31 * 24 * 3600);

/// Subscriptions of one external id: one a creditor.
const OF_ONE_ID: usize = 1_000;

/// A subscription as kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredSubscription {
    pub subscription: Subscription,
    /// Due date of the last period that became an obligation; before the first, the day before it was told of.
    pub made_until: Option<Date>,
    pub timer: Option<Timestamp>,
    pub version: u64,
}

impl Core {
    pub(super) fn change_subscription(&mut self, mut subscription: Subscription, work: &mut Work) -> Made {
        let recurrence = match subscription.recurrence() {
            Ok(recurrence) => recurrence,
            Err(bad) => return Ok(Err(ChangeRefusal::Field { field: "every", why: bad.to_string() })),
        };
        if !subscription.amount.is_positive() {
            let why = String::from("must be more than nothing");
            return Ok(Err(ChangeRefusal::Field { field: "amount", why }));
        }
        if let Some(sequence) =
            subscription.sequence.as_ref().filter(|key| self.reminders.catalog.sequence(key).is_none())
        {
            let why = format!("there is no sequence {sequence}");
            return Ok(Err(ChangeRefusal::Field { field: "sequence", why }));
        }
        let creditor = match subscription.creditor.take() {
            Some(creditor) => Some(creditor),
            None => creditor_it_has(&subscription, work)?,
        };
        let owner = Owner::Account { external_id: subscription.account.clone(), creditor };
        let creditor = match self.owner(owner, "", work)? {
            Ok(account) => account.creditor,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let place = keys::subscription(&subscription.external_id, &creditor);
        subscription.creditor = Some(creditor);
        let known = work.txn.get::<StoredSubscription>(&place)?;
        if let Some(known) = known.as_ref().filter(|known| known.subscription == subscription) {
            return Ok(Ok(Changed { subject: Subject::Named, how: How::Unchanged, version: known.version }));
        }
        let how = if known.is_some() { How::Changed } else { How::Created };
        let version = known.as_ref().map_or(1, |known| known.version + 1);
        let yesterday = self.reminders.catalog.home.local(work.wall()).date().yesterday().ok();
        let (made_until, timer) = known.map_or((yesterday, None), |known| (known.made_until, known.timer));
        let mut stored = StoredSubscription { subscription, made_until, timer, version };
        self.time_period(&mut stored, &recurrence, work)?;
        work.txn.put(place, &stored);
        Ok(Ok(Changed { subject: Subject::Named, how, version }))
    }

    /// When the next period must be made; the timer's id is the beginning of the subscription's own key, which those
    /// of other creditors share.
    fn time_period(
        &mut self,
        stored: &mut StoredSubscription,
        recurrence: &Recurrence,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        let id = timer_id(&stored.subscription.external_id);
        if let Some(at) = stored.timer.take()
            && !others_wait(stored, (id, at), work)?
        {
            work.txn.delete(keys::timer(TimerKind::Period, at, id));
        }
        let before = stored.subscription.from.yesterday().unwrap_or(Date::MIN);
        let after = stored.made_until.unwrap_or(before).max(before);
        if let Some(period) = recurrence.next_after(after) {
            let home = &self.reminders.catalog.home;
            let zones = crate::reminder::zone::ZoneSet::one(home.clone());
            let at = crate::reminder::schedule::end_of(&zones, period.due).saturating_sub(LEAD);
            work.txn.put(keys::timer(TimerKind::Period, at, id), &());
            self.reminders.expect(Timer { kind: TimerKind::Period, at });
            stored.timer = Some(at);
        }
        Ok(())
    }

    /// A period is to be made: once, whatever was made before.
    pub(super) fn next_period(&mut self, id: u64, at: Timestamp, work: &mut Work) -> Result<(), StoreError> {
        work.txn.delete(keys::timer(TimerKind::Period, at, id));
        let (from, to) = keys::under(keys::subscriptions_from(id));
        for (key, value) in work.txn.scan(&from, &to, OF_ONE_ID)? {
            let mut stored: StoredSubscription = record::decode(&value)?;
            if stored.timer != Some(at) {
                continue;
            }
            stored.timer = None;
            let Ok(recurrence) = stored.subscription.recurrence() else { continue };
            self.make_period(&mut stored, &recurrence, work)?;
            self.time_period(&mut stored, &recurrence, work)?;
            work.txn.put(key, &stored);
        }
        Ok(())
    }

    fn make_period(
        &mut self,
        stored: &mut StoredSubscription,
        recurrence: &Recurrence,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        let subscription = stored.subscription.clone();
        let before = subscription.from.yesterday().unwrap_or(Date::MIN);
        let after = stored.made_until.unwrap_or(before).max(before);
        let Some(period) = recurrence.next_after(after) else { return Ok(()) };
        stored.made_until = Some(period.due);
        let external_id = ExternalId::parse(&format!("{}/{}", subscription.external_id, period.key));
        let owner =
            Owner::Account { external_id: subscription.account.clone(), creditor: subscription.creditor };
        let (Ok(external_id), Ok(account)) = (external_id, self.owner(owner.clone(), "", work)?) else {
            tracing::error!(event = "period_not_made", subscription = %subscription.external_id, period = %period.key);
            let note = format!("{}: no obligation for {}", subscription.external_id, period.key);
            self.open_task(kind::REVIEW, None, None, &note, work)?;
            return Ok(());
        };
        if work.txn.contains(&keys::obligation_id(&external_id, &account.creditor))? {
            return Ok(());
        }
        let calendar = self.reminders.catalog.creditor(&account.creditor).and_then(|c| c.calendar.clone());
        let calendar = calendar.and_then(|key| self.reminders.catalog.calendars.get(&key).cloned());
        let draft = ObligationDraft {
            external_id,
            owner,
            amount: subscription.amount,
            min_due: None,
            due_date: recurrence.due_date(&period, calendar.as_deref()),
            description: subscription.description,
            link: subscription.link,
            sequence: subscription.sequence,
            restart: false,
        };
        let named = draft.external_id.clone();
        let origin = Origin::Subscription { external_id: subscription.external_id, period: period.key };
        // The checks were passed when the subscription was made.
        if let Err(refusal) = self.make_obligation(draft, &account, origin, None, "", work)? {
            tracing::error!(event = "period_refused", error = %refusal);
            self.open_task(kind::REVIEW, None, None, &format!("{named}: {refusal}"), work)?;
        }
        Ok(())
    }
}

/// The creditor that a subscription of this id and account was found to be of: it stays so, whoever else has an
/// account of that id later.
fn creditor_it_has(wanted: &Subscription, work: &Work) -> Result<Option<Key>, StoreError> {
    let (from, to) = keys::under(keys::subscriptions_of(&wanted.external_id));
    let mut creditors = Vec::new();
    for (_, value) in work.txn.scan(&from, &to, OF_ONE_ID)? {
        let known: StoredSubscription = record::decode(&value)?;
        creditors
            .extend(known.subscription.creditor.filter(|_| known.subscription.account == wanted.account));
    }
    Ok(if creditors.len() == 1 { creditors.pop() } else { None })
}

/// Whether another subscription waits for the same timer.
fn others_wait(
    stored: &StoredSubscription,
    (id, at): (u64, Timestamp),
    work: &Work,
) -> Result<bool, StoreError> {
    let Subscription { external_id, creditor, .. } = &stored.subscription;
    let (from, to) = keys::under(keys::subscriptions_from(id));
    for (_, value) in work.txn.scan(&from, &to, OF_ONE_ID)? {
        let other: StoredSubscription = record::decode(&value)?;
        let same = other.subscription.external_id == *external_id && other.subscription.creditor == *creditor;
        if !same && other.timer == Some(at) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The first half of the hash in the subscription's key.
fn timer_id(external: &ExternalId) -> u64 {
    let key = keys::subscriptions_of(external);
    key.iter().skip(1).take(8).fold(0, |id, &octet| (id << 8) | u64::from(octet))
}
