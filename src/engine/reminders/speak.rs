//! The texts that rules send, by the way of the reminders: a text waits in the same index, is judged by the same gates
//! and made when a link has room, and counts under the same caps.
//!
//! A firing's text goes once for ever: what became a message never does again, unless it came back before a byte of it
//! went. Its rule's condition holds when it goes, not only when it was asked for. One of the class `confirmation` may
//! speak of money that came after all is paid; every other class is a reminder to the gates. It is never an answer to
//! a refusal: what may not go within three days is over, and told.

use std::time::Duration;

use super::debts::Debt;
use super::decide::render;
use super::feed::{Fed, LOOK_AGAIN};
use super::happened::Happened;
use super::records::Records;
use super::settle::Settled;
use super::situation::{Circumstances, Situation, Window};
use super::triggers::{Firing, FiringState};
use crate::clock::Timestamp;
use crate::engine::core::{Core, Work};
use crate::engine::{Draft, Refusal as QueueRefusal};
use crate::id::MessageId;
use crate::message::{Body, Status};
use crate::reminder::enrolment::Timer;
use crate::reminder::gate::{Aim, Refusal, Then};
use crate::reminder::name::Key;
use crate::reminder::obligation::Obligation;
use crate::reminder::schedule;
use crate::reminder::task::kind;
use crate::reminder::template::Class;
use crate::reminder::trigger::Act;
use crate::route::LaneId;
use crate::store::{StoreError, keys};

/// Whose the texts of rules are; no token has a blank in its name.
const OURS: &str = "nudged rules";
/// A text about something that happened longer ago says nothing new.
const SAYS_WITHIN: Duration = Duration::from_secs(72 * 3_600);

/// The firing of a message that is a rule's text.
pub(super) fn firing_of(body: &Body) -> Option<u64> {
    let ours = body.token.as_str() == OURS;
    body.client_ref.as_deref().filter(|_| ours)?.rsplit_once('/')?.1.parse().ok()
}

/// What one text is made of, read when it is to go.
struct Speech {
    debt: Debt,
    situation: Situation,
    template: Key,
    aim: Aim,
}

/// Why nothing is said: a gate's word, and the reason.
type Silence = (&'static str, String);

impl Firing {
    fn until(&self) -> Timestamp {
        self.since.saturating_add(SAYS_WITHIN)
    }

    fn window(&self) -> Window {
        Window { opens: self.since, stale_after: self.until() }
    }
}

fn has_money(obligation: &Obligation) -> bool {
    obligation.payments.iter().any(|payment| !payment.reversed)
}

impl Core {
    /// A rule's text is due: it goes, waits, or is over.
    pub(super) fn feed_firing(
        &mut self,
        id: u64,
        timer: Timer,
        key: &[u8],
        work: &mut Work,
    ) -> Result<Fed, StoreError> {
        let firing = work.txn.get::<Firing>(&keys::firing(id))?;
        let Some(firing) = firing.filter(|firing| firing.timer() == Some(timer)) else {
            work.txn.delete_if_present(key.to_vec())?;
            return Ok(Fed::Done);
        };
        let speech = match self.speech(&firing, work)? {
            Ok(speech) => speech,
            Err((gate, why)) => return self.say_nothing(id, &firing, (gate, &why), work),
        };
        let draft = self.blank(&speech.debt, &speech.situation);
        let (lane, quota_until) = match self.place_for(&draft, key, work)? {
            Ok(place) => place,
            Err(fed) => return Ok(fed),
        };
        let around = Circumstances { quota_until, ..self.around(speech.situation.number, work.wall()) };
        let obligation = &speech.debt.obligation;
        match speech.situation.judge_as(speech.aim, obligation, firing.window(), around) {
            Err(refusal) => self.hold_speech(id, firing, &refusal, work),
            Ok(clearance) => {
                let until = schedule::validity(work.wall(), clearance.until, None, firing.until());
                match until {
                    Some(until) => self.speak(id, firing, speech, (draft, lane, until), work),
                    None => self.say_nothing(id, &firing, ("hours", "validity"), work),
                }
            }
        }
    }

    /// Whether there is still something to say, and to whom.
    fn speech(&self, firing: &Firing, work: &Work) -> Result<Result<Speech, Silence>, StoreError> {
        let silent = |gate, why: &str| Ok(Err((gate, why.to_owned())));
        let catalog = &self.reminders.catalog;
        let Some(rule) = catalog.rules.get(&firing.rule) else {
            return silent("rule", "it is not set up any more");
        };
        let Act::Send(template) = &rule.act else { return silent("rule", "it sends nothing any more") };
        let Some(obligation) = work.txn.obligation(firing.obligation)? else {
            return silent("obligation", "it is not there");
        };
        let debt = Debt { id: firing.obligation, obligation };
        if !self.holds(rule, &debt, work)? {
            return silent("when", "condition");
        }
        let read = Situation::read(&work.txn, catalog, &self.reminders.rules, &debt.obligation)?;
        let situation = match read {
            Ok(situation) => situation,
            Err(lack) => return silent("sequence", lack.as_str()),
        };
        let saved = match situation.template(catalog, template) {
            Ok(saved) => saved.compiled.template(),
            Err(why) => return Ok(Err(("text", why.to_string()))),
        };
        let aim = if saved.class == Class::Confirmation { Aim::Confirmation } else { Aim::Reminder };
        if aim == Aim::Confirmation && !has_money(&debt.obligation) {
            return silent("paid", "the money went back");
        }
        if saved.menu.is_some() {
            return silent("text", "its template has a menu, and answers belong to steps");
        }
        Ok(Ok(Speech { debt, situation, template: template.clone(), aim }))
    }

    /// Makes the text and queues it.
    fn speak(
        &mut self,
        id: u64,
        mut firing: Firing,
        speech: Speech,
        (blank, lane, until): (Draft, LaneId, Timestamp),
        work: &mut Work,
    ) -> Result<Fed, StoreError> {
        let now = work.wall();
        let Speech { debt, mut situation, template, .. } = speech;
        let catalog = self.reminders.catalog.clone();
        let (link, token) = self.link_of(&debt, &situation);
        let made = render(&situation, &debt.obligation, &catalog, (&template, None), (now, link.as_deref()));
        let (rendered, template, _) = match made {
            Ok(made) => made,
            Err(why) => {
                let about = Some((debt.id, &debt.obligation));
                self.open_task(kind::RENDER, about, None, &why, work)?;
                return self.say_nothing(id, &firing, ("text", &why), work);
            }
        };
        let draft = Draft {
            text: rendered.text,
            encoding: rendered.encoding,
            segment_count: rendered.segment_count,
            valid_until: Some(until),
            client_ref: Some(format!("{}/{id}", debt.id)),
            metadata: Some(metadata(&debt, &firing.rule, &template)),
            token: OURS.into(),
            ..blank
        };
        let message = match self.queue_text(draft, work)? {
            Ok(message) => message,
            Err(QueueRefusal::Duplicate { .. }) => {
                return self.say_nothing(id, &firing, ("duplicate", "the same text went of late"), work);
            }
            Err(_) => return Ok(Fed::Full),
        };
        self.keep_token(token, debt.id, work)?;
        self.reminders.feed.waiting.insert(message, lane);
        situation.phone.ledger.add(now);
        work.txn.put(keys::phone(situation.number), &situation.phone);
        self.wait_no_more(id, &firing, work)?;
        let (to, version, before) = (situation.number, debt.obligation.version, firing.timer());
        firing.state = FiringState::Gone { message, to, at: now, version, accepted: false };
        self.put_firing(id, before, &firing, work);
        let what = Happened::Spoke { rule: firing.rule, message, to, template };
        self.happen(debt.id, what, "", work);
        Ok(Fed::Done)
    }

    /// A gate said no: the text waits as far as it may, or is over. Nothing else follows: what a refusal means for the
    /// enrolment, its steps find by themselves.
    fn hold_speech(
        &mut self,
        id: u64,
        mut firing: Firing,
        refusal: &Refusal,
        work: &mut Work,
    ) -> Result<Fed, StoreError> {
        let next = match refusal.then {
            Then::Wait(next) => Some(next),
            Then::NeedsPerson(kind::REVIEW) => Some(work.wall().saturating_add(LOOK_AGAIN)),
            Then::Skip | Then::Stay | Then::Exit(_) | Then::NeedsPerson(_) => None,
        };
        let next = next.filter(|next| *next < firing.until());
        let (gate, why) = (refusal.gate.as_str(), refusal.rule.to_string());
        let told = format!("{gate} {why}");
        let known = matches!(&firing.state, FiringState::Waits { told: before, .. } if *before == told);
        if !known || next.is_none() {
            let (rule, gate, pack) = (firing.rule.clone(), gate.to_owned(), refusal.pack.clone());
            let what = Happened::Withheld { rule, gate, pack, why, next };
            self.happen(firing.obligation, what, "", work);
        }
        match next {
            Some(at) => {
                let before = firing.timer();
                firing.state = FiringState::Waits { at, told };
                self.put_firing(id, before, &firing, work);
            }
            None => self.end_firing(id, &firing, work)?,
        }
        Ok(Fed::Done)
    }

    fn say_nothing(
        &mut self,
        id: u64,
        firing: &Firing,
        why: (&str, &str),
        work: &mut Work,
    ) -> Result<Fed, StoreError> {
        self.withhold(&firing.rule, firing.obligation, why, work);
        self.end_firing(id, firing, work)?;
        Ok(Fed::Done)
    }

    /// Whether a queued text of a rule may still go; asked at its lease, like a reminder.
    pub(super) fn may_still_speak(
        &self,
        message: MessageId,
        id: u64,
        body: &Body,
        work: &Work,
    ) -> Result<bool, StoreError> {
        let Some(firing) = work.txn.get::<Firing>(&keys::firing(id))? else { return Ok(false) };
        let FiringState::Gone { message: own, at, version, .. } = firing.state else { return Ok(false) };
        if own != message || self.clock_in_doubt() {
            return Ok(false);
        }
        let Some(obligation) = work.txn.obligation(firing.obligation)? else { return Ok(false) };
        if obligation.version != version || at == work.wall() {
            return Ok(obligation.version == version);
        }
        let Ok(Speech { debt, mut situation, aim, .. }) = self.speech(&firing, work)? else {
            return Ok(false);
        };
        if situation.number != body.to {
            return Ok(false);
        }
        // Its own place under the caps is not against it.
        situation.phone.ledger.take_back(at);
        let around = self.around(situation.number, work.wall());
        let clearance = situation.judge_as(aim, &debt.obligation, firing.window(), around);
        Ok(clearance.is_ok_and(|clearance| body.valid_until <= clearance.until))
    }

    /// What became of a rule's message. It never makes a reminder more, and wakes no rule.
    pub(super) fn settle_speech(
        &mut self,
        id: u64,
        settled: &Settled,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        let Some(firing) = work.txn.get::<Firing>(&keys::firing(id))? else { return Ok(()) };
        let FiringState::Gone { message, at, accepted, .. } = firing.state else { return Ok(()) };
        if message != settled.id {
            return Ok(());
        }
        match settled.status {
            Status::Sent | Status::Delivered => {
                self.delivered(settled, work)?;
                if !accepted {
                    self.speech_accepted(id, firing, work);
                }
            }
            Status::Undelivered => self.speech_failed(&firing, settled, work)?,
            Status::Failed | Status::Expired | Status::Canceled | Status::Blocked if !settled.went => {
                let mut phone = work.txn.phone(settled.to)?;
                phone.ledger.take_back(at);
                work.txn.put(keys::phone(settled.to), &phone);
                let again = match settled.status {
                    Status::Canceled => work.ours.contains(&settled.id),
                    Status::Expired => true,
                    _ => false,
                };
                if settled.status == Status::Failed {
                    self.speech_failed(&firing, settled, work)?;
                }
                self.speak_again(id, firing, again, work)?;
            }
            Status::Failed => self.speech_failed(&firing, settled, work)?,
            // It counts as gone: what is not known, or begun, is not sent again.
            _ => {}
        }
        Ok(())
    }

    fn speech_accepted(&mut self, id: u64, mut firing: Firing, work: &mut Work) {
        if let FiringState::Gone { accepted, .. } = &mut firing.state {
            *accepted = true;
            self.put_firing(id, None, &firing, work);
        }
    }

    fn speech_failed(
        &mut self,
        firing: &Firing,
        settled: &Settled,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        let Some(obligation) = work.txn.obligation(firing.obligation)? else { return Ok(()) };
        let mut debt = Debt { id: firing.obligation, obligation };
        work.ruling = true;
        let failed = self.delivery_failed(&mut debt, settled, work);
        let kept = failed.and_then(|()| self.keep(debt, work));
        work.ruling = false;
        kept
    }

    /// No byte of it went: it is judged anew, unless its time is over or a later firing of its rule waits by now.
    fn speak_again(
        &mut self,
        id: u64,
        mut firing: Firing,
        again: bool,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        let mut note = self.rule_note(firing.obligation, &firing.rule, work)?;
        let at = work.wall();
        if !again || note.waiting.is_some() || at >= firing.until() {
            return self.end_firing(id, &firing, work);
        }
        note.waiting = Some(id);
        self.put_rule_note(firing.obligation, &firing.rule, &note, work)?;
        firing.state = FiringState::Waits { at, told: String::new() };
        self.put_firing(id, None, &firing, work);
        Ok(())
    }

    /// After a restored backup: a text that was to go by now may have gone.
    pub(super) fn doubt_firing(&mut self, id: u64, work: &mut Work) -> Result<(), StoreError> {
        let Some(firing) = work.txn.get::<Firing>(&keys::firing(id))? else { return Ok(()) };
        let rule = self.reminders.catalog.rules.get(&firing.rule);
        let sends = rule.is_none_or(|rule| matches!(rule.act, Act::Send(_)));
        if !sends || firing.timer().is_none_or(|timer| timer.at > work.wall()) {
            return Ok(());
        }
        self.say_nothing(id, &firing, ("restored", "whether it went is not known"), work).map(|_| ())
    }

    /// After a restored backup: a text that waited for a link may have gone.
    pub(super) fn forget_speech(&mut self, id: u64, work: &mut Work) -> Result<(), StoreError> {
        let Some(firing) = work.txn.get::<Firing>(&keys::firing(id))? else { return Ok(()) };
        self.say_nothing(id, &firing, ("restored", "whether it went is not known"), work).map(|_| ())
    }
}

/// What programs read with the message: whose text it is.
fn metadata(debt: &Debt, rule: &Key, template: &str) -> String {
    serde_json::json!({
        "obligation": debt.id.to_string(),
        "external_id": debt.obligation.external_id.as_str(),
        "rule": rule.as_str(),
        "template": template,
    })
    .to_string()
}
