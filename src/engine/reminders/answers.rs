//! Automatic answers: a template or a payment link to somebody who chose it from a menu, a few a day and no more.

use super::debts::Debt;
use super::situation::Situation;
use crate::engine::Draft;
use crate::engine::core::{Core, Work};
use crate::id::ObligationId;
use crate::message::{Class, Msisdn, OnUnknown, Priority};
use crate::reminder::link::{Target, Token};
use crate::reminder::name::Key;
use crate::reminder::task::kind;
use crate::reminder::template::{Field, Frame};
use crate::sms::segment;
use crate::store::{StoreError, keys};

/// Whose answers are; no token has a blank in its name.
const OURS: &str = "nudged answers";

impl Core {
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
        let Ok(situation) = read else { return Ok(()) };
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
            Ok(text) => self.answer_text(text, number, work),
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
        let Ok(situation) = read else { return Ok(()) };
        let (link, token) = self.link_of(debt, &situation);
        self.keep_token(token, debt.id, work)?;
        match link {
            Some(link) => self.answer_text(format!("{}: {link}", situation.creditor.short()), number, work),
            None => Ok(()),
        }
    }

    fn answer_text(&mut self, text: String, number: Msisdn, work: &mut Work) -> Result<(), StoreError> {
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
            valid_until: None,
            encoding,
            segment_count: measure.segment_count,
            on_unknown: Some(OnUnknown::Hold),
            flash: false,
            receipt: false,
            client_ref: None,
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

    /// The payment link of one recipient, and the token in it that visits are known by.
    pub(super) fn link_of(&self, debt: &Debt, situation: &Situation) -> (Option<String>, Option<Token>) {
        let hosts = &situation.creditor.link_hosts;
        let target = debt.obligation.link.as_deref().and_then(|link| Target::parse(link, hosts).ok());
        let Some(target) = target else { return (None, None) };
        let token = self.token_of(debt, situation.number);
        if let Some(base) = &self.settings.reminders.redirect {
            return (Some(format!("{base}/p/{token}")), Some(token));
        }
        let link = match target.for_recipient(token) {
            Field::Link(link) => Some(link),
            _ => None,
        };
        (link, Some(token).filter(|_| target.has_token()))
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
