//! Automatic answers: a template or a payment link to somebody who chose it from a menu, a few a day and no more.
//!
//! That somebody has just written opens no closed hour: an answer passes the gates that reminders pass but for the
//! sequence and the caps, goes within an hour, and while the obligation is as it was when it was made; where it may
//! not go, a person is asked for. It is judged when it is made and again at its lease.

use std::time::Duration;

use super::debts::Debt;
use super::happened::Happened;
use super::records::{HistoryLine, Records};
use super::situation::{PayLink, Situation};
use crate::clock::Timestamp;
use crate::engine::Draft;
use crate::engine::core::{Core, Work};
use crate::id::ObligationId;
use crate::message::{Body, Class, Msisdn, OnUnknown, Priority};
use crate::reminder::gate::Refusal;
use crate::reminder::link::Token;
use crate::reminder::name::Key;
use crate::reminder::obligation::Obligation;
use crate::reminder::task::kind;
use crate::reminder::template::Frame;
use crate::sms::segment;
use crate::store::{StoreError, keys, record};

/// Whose answers are; no token has a blank in its name.
pub(super) const OURS: &str = "nudged answers";
/// An answer that comes later is none.
const ANSWERS_WITHIN: Duration = Duration::from_secs(3_600);
/// A machine that looks at a link again and again within this is one visit: each is a record and an event.
const SCANNED_ONCE: Duration = Duration::from_secs(30 * 60);
/// Lines of an obligation's history looked at for a machine's earlier visit.
const SCANS_LOOKED_AT: usize = 32;

/// What an answer is about, as it stands in its message's `client_ref`.
struct About {
    obligation: ObligationId,
    version: u64,
}

impl About {
    fn of(debt: &Debt) -> About {
        About { obligation: debt.id, version: debt.obligation.version }
    }

    /// Of a message that is an answer.
    fn read(body: &Body) -> Option<About> {
        let ours = body.token.as_str() == OURS;
        let (obligation, version) = body.client_ref.as_deref().filter(|_| ours)?.split_once('/')?;
        Some(About { obligation: obligation.parse().ok()?, version: version.parse().ok()? })
    }
}

impl std::fmt::Display for About {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.obligation, self.version)
    }
}

/// An answer of ours, and nothing that anybody answers.
pub(in crate::engine) fn is_answer(body: &Body) -> bool {
    About::read(body).is_some()
}

impl Core {
    /// Until when an answer to this number may arrive.
    fn answer_until(
        &self,
        situation: &mut Situation,
        obligation: &Obligation,
        number: Msisdn,
        work: &Work,
    ) -> Result<Result<Timestamp, Refusal>, StoreError> {
        // It goes to the number that asked, which need not be the contact's first.
        situation.phone = work.txn.phone(number)?;
        let around = self.around(number, work.wall());
        let judged = situation.judge_answer(obligation, ANSWERS_WITHIN, around);
        Ok(judged.map(|clearance| clearance.until))
    }

    /// Sends a template of the firm's, in the recipient's language.
    pub(super) fn answer_by(
        &mut self,
        template: &Key,
        debt: &Debt,
        number: Msisdn,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        let read =
            Situation::read(&work.txn, &self.reminders.catalog, &self.reminders.rules, &debt.obligation)?;
        let Ok(mut situation) = read else { return Ok(()) };
        let until = match self.answer_until(&mut situation, &debt.obligation, number, work)? {
            Ok(until) => until,
            Err(refusal) => {
                let about = Some((debt.id, &debt.obligation));
                let note = format!("asked for an answer while no text may go: {refusal}");
                return self.open_task(kind::CALLBACK, about, None, &note, work).map(|_| ());
            }
        };
        let (link, token) = self.link_of(debt, &situation);
        self.keep_token(token, debt.id, work)?;
        let catalog = self.reminders.catalog.clone();
        let saved = situation.template(&catalog, template).map_err(|e| e.to_string());
        let text = saved.and_then(|saved| {
            let fields = situation.fields(&debt.obligation, link.as_deref(), work.wall());
            let rendered = saved.compiled.render(&fields, Frame::default());
            rendered.map(|rendered| rendered.text).map_err(|e| e.code().to_owned())
        });
        match text {
            Ok(text) => self.answer_text(text, debt, (number, until), work),
            Err(why) => {
                let about = Some((debt.id, &debt.obligation));
                self.open_task(kind::RENDER, about, None, &format!("{template}: {why}"), work).map(|_| ())
            }
        }
    }

    /// Sends the payment link alone, behind the creditor's name.
    pub(super) fn answer_with_link(
        &mut self,
        debt: &Debt,
        number: Msisdn,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        let read =
            Situation::read(&work.txn, &self.reminders.catalog, &self.reminders.rules, &debt.obligation)?;
        let Ok(mut situation) = read else { return Ok(()) };
        // The task that is open already says that somebody wants to pay.
        let Ok(until) = self.answer_until(&mut situation, &debt.obligation, number, work)? else {
            return Ok(());
        };
        let (link, token) = self.link_of(debt, &situation);
        self.keep_token(token, debt.id, work)?;
        let Some(link) = link else { return Ok(()) };
        let text = format!("{}: {link}", situation.creditor.short());
        self.answer_text(text, debt, (number, until), work)
    }

    fn answer_text(
        &mut self,
        text: String,
        debt: &Debt,
        (number, until): (Msisdn, Timestamp),
        work: &mut Work,
    ) -> Result<(), StoreError> {
        if !self.may_answer(number, work)? {
            return Ok(());
        }
        let encoding = segment::choose(&text);
        let Ok(measure) = segment::measure(&text, encoding) else { return Ok(()) };
        let draft = Draft {
            to: number,
            text,
            sender: None,
            link: None,
            class: Class::Reply,
            priority: Priority::HIGHEST,
            send_at: None,
            valid_until: Some(until),
            encoding,
            segment_count: measure.segment_count,
            on_unknown: Some(OnUnknown::Hold),
            flash: false,
            receipt: false,
            client_ref: Some(About::of(debt).to_string()),
            unique_ref: false,
            allow_duplicate: true,
            metadata: None,
            token: OURS.into(),
            idempotency: None,
        };
        if let Err(refusal) = self.enqueue(draft, None, work)? {
            tracing::warn!(event = "answer_refused", to = %number, error = %refusal);
        }
        Ok(())
    }

    /// Whether a queued answer may still go: its obligation is open and as it was, and the gates say what they said.
    pub(super) fn may_still_answer(&self, body: &Body, work: &Work) -> Result<bool, StoreError> {
        let Some(About { obligation: id, version }) = About::read(body) else { return Ok(true) };
        let Some(obligation) = work.txn.obligation(id)? else { return Ok(false) };
        let same = obligation.version == version && obligation.status.is_open();
        if !same || !obligation.balance().is_positive() || self.clock_in_doubt() {
            return Ok(false);
        }
        let read = Situation::read(&work.txn, &self.reminders.catalog, &self.reminders.rules, &obligation)?;
        let Ok(mut situation) = read else { return Ok(false) };
        let until = self.answer_until(&mut situation, &obligation, body.to, work)?;
        Ok(until.is_ok_and(|until| body.valid_until <= until))
    }

    /// Whether a machine's visit to an obligation's link was counted of late.
    pub(super) fn was_scanned(&self, id: ObligationId, work: &Work) -> Result<bool, StoreError> {
        let (from, to) = keys::under(keys::history_of(id));
        for (_, value) in work.txn.scan_back(&from, &to, SCANS_LOOKED_AT)? {
            let line: HistoryLine = record::decode(&value)?;
            if work.wall().since(line.at) >= SCANNED_ONCE {
                return Ok(false);
            }
            if line.what == (Happened::Clicked { human: false }) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The payment link of one recipient, and the token in it that visits are known by.
    pub(super) fn link_of(&self, debt: &Debt, situation: &Situation) -> (Option<String>, Option<Token>) {
        let token = self.token_of(debt, situation.number);
        match situation.link(&debt.obligation, token, &self.reminders.catalog) {
            Some(PayLink { text, has_token }) => (Some(text), Some(token).filter(|_| has_token)),
            None => (None, None),
        }
    }

    /// The same for the same obligation and number, and nobody's to guess.
    pub(super) fn token_of(&self, debt: &Debt, number: Msisdn) -> Token {
        let mut hasher = blake3::Hasher::new_keyed(&self.settings.reminders.link_secret);
        hasher.update(&debt.id.as_u64().to_be_bytes()).update(&number.as_u64().to_be_bytes());
        let mut octets = [0; 8];
        octets.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        Token::from_random(octets)
    }

    /// A token that a text carries is known from then on.
    pub(super) fn keep_token(
        &mut self,
        token: Option<Token>,
        id: ObligationId,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        let Some(place) = token.map(|token| keys::token(token.as_u64())) else { return Ok(()) };
        if !work.txn.contains(&place)? {
            work.txn.put(place, &id);
        }
        Ok(())
    }
}
