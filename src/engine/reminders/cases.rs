//! A row of a file of cases as the records it stands for.

use std::collections::BTreeMap;

use super::catalog::Catalog;
use super::change::{AccountDraft, ChangeRefusal, ObligationDraft, Owner, Who};
use super::debts::unfit;
use super::records::Records;
use crate::clock::Timestamp;
use crate::message::{Msisdn, TokenName};
use crate::reminder::consent::{Actor, ConsentEvent, ConsentKind};
use crate::reminder::contact::{Contact, ContactKind, ContactPhone};
use crate::reminder::import::case::{self, Case};
use crate::reminder::zone::Zone;
use crate::store::StoreError;

/// What a row names.
pub struct Parts {
    pub contact: Contact,
    pub account: AccountDraft,
    pub obligation: ObligationDraft,
    pub consent: Option<(Msisdn, ConsentEvent)>,
}

/// Takes a row apart. The firm's own fields are the account's.
pub fn parts(case: Case, by: &str, now: Timestamp) -> Parts {
    let phone = |number, primary| ContactPhone { number, primary, verified: false };
    let phones =
        std::iter::once(phone(case.phone, true)).chain(case.phone2.map(|number| phone(number, false)));
    let consent = case.consent.map(|consent| {
        let event = ConsentEvent {
            kind: kind(consent.kind),
            at: consent.at.unwrap_or(now),
            channel: Some(String::from("import")),
            wording: None,
            evidence: consent.source,
            actor: Actor::Token(TokenName::from(by)),
        };
        (case.phone, event)
    });
    let contact = Contact {
        external_id: case.contact.clone(),
        first_name: case.first_name,
        last_name: case.last_name,
        company: case.company,
        kind: match case.kind {
            Some(case::Kind::B2b) => ContactKind::B2b,
            Some(case::Kind::Consumer) | None => ContactKind::Consumer,
        },
        language: case.language,
        country: case.country,
        region: case.region,
        postcode: case.postcode,
        timezone: case.timezone.as_deref().and_then(|name| Zone::parse(name).ok()),
        phones: phones.collect(),
        not_before: None,
        not_after: None,
        days: Vec::new(),
        custom: BTreeMap::new(),
    };
    let account = AccountDraft {
        external_id: case.account.clone(),
        creditor: case.creditor.clone(),
        contact: Who::External(case.contact),
        case_manager: case.case_manager,
        tags: Vec::new(),
        custom: case.custom,
    };
    let obligation = ObligationDraft {
        external_id: case.external_id,
        owner: Owner::Account { external_id: case.account, creditor: Some(case.creditor) },
        amount: case.amount,
        min_due: case.min_due,
        due_date: case.due_date,
        description: case.description,
        link: case.link,
        sequence: case.sequence,
        restart: false,
    };
    Parts { contact, account, obligation, consent }
}

/// Why a row cannot be taken as things are; the core and dry runs ask the same.
pub fn refusal<R: Records>(
    records: &R,
    catalog: &Catalog,
    parts: &Parts,
    now: Timestamp,
) -> Result<Option<ChangeRefusal>, StoreError> {
    let bad = |field, why: String| Ok(Some(ChangeRefusal::Field { field, why }));
    let Parts { contact, account, obligation, consent } = parts;
    if let Err((field, why)) = contact.check() {
        return bad(field, why.to_string());
    }
    if catalog.creditor(&account.creditor).is_none() {
        return bad("creditor", String::from("is not set up"));
    }
    if let Some(Err(why)) = consent.as_ref().map(|(_, event)| event.check(now)) {
        return bad("consent", why.to_string());
    }
    if let Some(refusal) = unfit(catalog, obligation, &account.creditor) {
        return Ok(Some(refusal));
    }
    if let Some(known) = records.account(&account.external_id, &account.creditor)?
        && records.contact_id(&contact.external_id)? != Some(known.contact)
    {
        return bad("account", String::from("is another contact's"));
    }
    let Some(id) = records.obligation_of(&obligation.external_id, &account.creditor)? else {
        return Ok(None);
    };
    match records.obligation(id)? {
        Some(known) if known.amount.currency() != obligation.amount.currency() => {
            bad("currency", String::from("the currency of an obligation cannot change"))
        }
        _ => Ok(None),
    }
}

const fn kind(kind: case::ConsentKind) -> ConsentKind {
    match kind {
        case::ConsentKind::Given => ConsentKind::Given,
        case::ConsentKind::Renewed => ConsentKind::Renewed,
        case::ConsentKind::Revoked => ConsentKind::Revoked,
        case::ConsentKind::Imported => ConsentKind::Imported,
        case::ConsentKind::Checked => ConsentKind::Checked,
    }
}
