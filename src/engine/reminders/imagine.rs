//! What a row of a file of cases would come to, with nothing written: the dry run's question to the engine's own
//! rules. Refusals are [`cases::refusal`]'s, times the planner's, texts the renderer's.

use serde::de::DeserializeOwned;

use super::cases::{self, Parts};
use super::catalog::Catalog;
use super::change::ChangeRefusal;
use super::debts::{standard, takes_sequence};
use super::decide::render;
use super::plan::{Next, plan};
use super::records::{Account, Applied, Phone, Records, StoredContact};
use super::situation::{Circumstances, Lack, RulesCache, Situation};
use crate::clock::Timestamp;
use crate::id::{ContactId, ObligationId};
use crate::message::Msisdn;
use crate::reminder::consent::Standing;
use crate::reminder::enrolment::EnrolmentState;
use crate::reminder::import::case::Case;
use crate::reminder::link::{Target, Token};
use crate::reminder::name::{ExternalId, Key};
use crate::reminder::obligation::{Obligation, ObligationStatus, Origin};
use crate::reminder::template::Field;
use crate::store::{Entries, Read, StoreError};

/// What would become of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    Refused(ChangeRefusal),
    Unchanged,
    New(Outlook),
    Changed(Outlook),
}

/// The next text of a case, as things are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// Nothing goes: paid, paused, no sequence, or all steps over.
    Nothing,
    Text {
        /// When its step opens.
        at: Timestamp,
        segment_count: u8,
        /// The gate that would refuse it then, and why, if one would.
        refused: Option<String>,
    },
    /// Why there would be no text.
    NoText(String),
}

/// What rows are held against.
pub struct Imagining<'a> {
    pub state: &'a dyn Read,
    pub catalog: &'a Catalog,
    pub rules: &'a RulesCache,
    pub now: Timestamp,
}

impl Imagining<'_> {
    /// # Errors
    /// The state cannot be read.
    pub fn fate(&self, case: Case) -> Result<Fate, StoreError> {
        let applied = Applied(self.state);
        let row = case.hash();
        let id = applied.obligation_of(&case.external_id, &case.creditor)?;
        let known = id.map(|id| applied.obligation(id)).transpose()?.flatten();
        if known.as_ref().is_some_and(|known| known.row == Some(row)) {
            return Ok(Fate::Unchanged);
        }
        let parts = cases::parts(&applied, case, "", self.now)?;
        if let Some(refusal) = cases::refusal(&applied, self.catalog, &parts, self.now)? {
            return Ok(Fate::Refused(refusal));
        }
        let is_new = known.is_none();
        let contact = applied.contact_id(&parts.contact.external_id)?.unwrap_or(NOBODY);
        let obligation = self.obligation(known, &parts, contact);
        let outlook = self.outlook(&Row::new(applied, parts, contact, self.now), &obligation)?;
        Ok(if is_new { Fate::New(outlook) } else { Fate::Changed(outlook) })
    }

    /// The obligation as the row would leave it.
    fn obligation(&self, known: Option<Obligation>, parts: &Parts, contact: ContactId) -> Obligation {
        let draft = &parts.obligation;
        let is_new = known.is_none();
        let mut obligation = known.unwrap_or_else(|| blank(parts, self.now));
        let other = draft.sequence.clone().filter(|wanted| obligation.sequence.as_ref() != Some(wanted));
        let named = if is_new { draft.sequence.clone().or_else(|| standard(self.catalog)) } else { other };
        obligation.contact = contact;
        obligation.account = parts.account.external_id.clone();
        obligation.amount = draft.amount;
        obligation.min_due = draft.min_due;
        obligation.due_date = draft.due_date;
        obligation.description = draft.description.clone();
        obligation.link = draft.link.clone();
        match named {
            Some(sequence) if takes_sequence(&obligation) => self.enrol(&mut obligation, sequence),
            _ => {}
        }
        obligation
    }

    fn enrol(&self, obligation: &mut Obligation, sequence: Key) {
        let Some(version) = self.catalog.sequence(&sequence).map(|s| s.version) else { return };
        obligation.sequence = Some(sequence.clone());
        obligation.enter(sequence, version, self.now);
    }

    fn outlook(&self, row: &Row<'_>, obligation: &Obligation) -> Result<Outlook, StoreError> {
        let state = obligation.enrolment.as_ref().map(|enrolment| &enrolment.state);
        let runs = matches!(state, Some(EnrolmentState::Scheduled | EnrolmentState::Active));
        if !runs || !obligation.status.is_open() || !obligation.balance().is_positive() {
            return Ok(Outlook::Nothing);
        }
        let situation = match Situation::read(row, self.catalog, self.rules, obligation)? {
            Ok(situation) => situation,
            Err(Lack::Number) => return Ok(Outlook::NoText(String::from("no number can be texted"))),
            Err(lack) => {
                return Ok(Outlook::NoText(format!("something is missing: {lack:?}").to_lowercase()));
            }
        };
        let Ok(planned) = plan(&situation, obligation, self.now) else {
            return Ok(Outlook::NoText(String::from("no hour is lawful in all zones it may be in")));
        };
        let Next::Step { step, window } = planned.next else { return Ok(Outlook::Nothing) };
        let link = link(&situation, obligation);
        let at = window.opens.max(self.now);
        let rendered = render(
            &situation,
            obligation,
            self.catalog,
            (&step.template, step.menu.as_ref()),
            (at, link.as_deref()),
        );
        let segment_count = match rendered {
            Ok((rendered, ..)) => rendered.segment_count,
            Err(why) => return Ok(Outlook::NoText(format!("{}: {why}", step.template))),
        };
        let around = Circumstances { now: at, is_suppressed: false, is_held: false, quota_until: None };
        let refused = situation.judge(obligation, window, around).err();
        let refused = refused.map(|refusal| refusal.to_string());
        Ok(Outlook::Text { at, segment_count, refused })
    }
}

/// The payment link with some token: all are of one length.
fn link(situation: &Situation, obligation: &Obligation) -> Option<String> {
    let hosts = &situation.creditor.link_hosts;
    let target = Target::parse(obligation.link.as_deref()?, hosts).ok()?;
    match target.for_recipient(Token::from_random([0; 8])) {
        Field::Link(link) => Some(link),
        _ => None,
    }
}

/// Who is not known yet.
const NOBODY: ContactId = ContactId::from_u64(0);

fn blank(parts: &Parts, now: Timestamp) -> Obligation {
    let draft = &parts.obligation;
    Obligation {
        external_id: draft.external_id.clone(),
        creditor: parts.account.creditor.clone(),
        account: parts.account.external_id.clone(),
        contact: NOBODY,
        amount: draft.amount,
        min_due: None,
        due_date: draft.due_date,
        description: None,
        link: None,
        sequence: None,
        status: ObligationStatus::Open,
        version: 1,
        created_at: now,
        payments: Vec::new(),
        promise: None,
        plan: Vec::new(),
        origin: Origin::Firm,
        enrolment: None,
        steps: Vec::new(),
        cycle: 1,
        timer: None,
        row: None,
    }
}

/// The applied state with one row's contact, account and consent over it.
struct Row<'a> {
    applied: Applied<'a>,
    contact: StoredContact,
    account: Account,
    consent: Option<(Msisdn, Key, Standing)>,
}

impl<'a> Row<'a> {
    fn new(applied: Applied<'a>, parts: Parts, contact: ContactId, now: Timestamp) -> Row<'a> {
        let account = Account {
            external_id: parts.account.external_id,
            creditor: parts.account.creditor,
            contact,
            case_manager: parts.account.case_manager,
            tags: parts.account.tags,
            custom: parts.account.custom,
            created_at: now,
            version: 1,
        };
        let consent = parts.consent.map(|(number, event)| {
            let mut standing = Standing::default();
            standing.add(&event);
            (number, account.creditor.clone(), standing)
        });
        let contact = StoredContact { contact: parts.contact, created_at: now, version: 1 };
        Row { applied, contact, account, consent }
    }
}

impl Records for Row<'_> {
    fn fetch<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, StoreError> {
        self.applied.fetch(key)
    }

    fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Entries, StoreError> {
        self.applied.range(from, to, limit)
    }

    fn obligation(&self, id: ObligationId) -> Result<Option<Obligation>, StoreError> {
        self.applied.obligation(id)
    }

    fn contact(&self, _: ContactId) -> Result<Option<StoredContact>, StoreError> {
        Ok(Some(self.contact.clone()))
    }

    fn account(&self, _: &ExternalId, _: &Key) -> Result<Option<Account>, StoreError> {
        Ok(Some(self.account.clone()))
    }

    fn phone(&self, number: Msisdn) -> Result<Phone, StoreError> {
        let mut phone = self.applied.phone(number)?;
        if let Some((_, creditor, standing)) = self.consent.as_ref().filter(|(of, ..)| *of == number) {
            phone.consents.push((Some(creditor.clone()), *standing));
        }
        Ok(phone)
    }
}
