//! A row of a file of cases as the records it stands for.
//!
//! A row says what its columns say and no more: what is known besides (wishes, an attorney, numbers that were put
//! right, a revocation) stays as it is.

use std::collections::BTreeMap;

use super::catalog::Catalog;
use super::change::{AccountDraft, ChangeRefusal, ObligationDraft, Owner, Who};
use super::debts::{owed_again, unfit};
use super::records::{PhoneStatus, Records};
use crate::clock::Timestamp;
use crate::message::{Msisdn, TokenName};
use crate::reminder::consent::{Actor, ConsentEvent, ConsentKind, Standing};
use crate::reminder::contact::{Contact, ContactKind, ContactPhone, PHONES_MAX};
use crate::reminder::import::Case;
use crate::reminder::money::Money;
use crate::reminder::name::ExternalId;
use crate::store::StoreError;

/// What a row names.
pub struct Parts {
    pub contact: Contact,
    pub account: AccountDraft,
    pub obligation: ObligationDraft,
    pub consent: Option<(Msisdn, ConsentEvent)>,
}

/// Takes a row apart, and into what is known. The firm's own fields are the account's.
pub fn parts<R: Records>(records: &R, case: Case, by: &str, now: Timestamp) -> Result<Parts, StoreError> {
    let consent = consent(records, &case, by, now)?;
    let contact = contact(records, &case)?;
    let account = records.account(&case.account, &case.creditor)?;
    let (known_manager, tags, mut custom) =
        account.map_or_else(Default::default, |account| (account.case_manager, account.tags, account.custom));
    custom.extend(case.custom);
    let account = AccountDraft {
        external_id: case.account.clone(),
        creditor: case.creditor.clone(),
        contact: Who::External(case.contact),
        case_manager: case.case_manager.or(known_manager),
        tags,
        custom,
    };
    let known = records.obligation_of(&case.external_id, &case.creditor)?;
    let known = known.map(|id| records.obligation(id)).transpose()?.flatten();
    let (known_least, known_description, known_link) =
        known.map_or((None, None, None), |known| (known.min_due, known.description, known.link));
    let fits =
        |least: &Money| least.currency() == case.amount.currency() && least.minor() <= case.amount.minor();
    let obligation = ObligationDraft {
        external_id: case.external_id,
        owner: Owner::Account { external_id: case.account, creditor: Some(case.creditor) },
        amount: case.amount,
        min_due: case.min_due.or(known_least.filter(fits)),
        due_date: case.due_date,
        description: case.description.or(known_description),
        link: case.link.or(known_link),
        sequence: case.sequence,
        restart: false,
    };
    Ok(Parts { contact, account, obligation, consent })
}

/// The contact as the row leaves it.
fn contact<R: Records>(records: &R, case: &Case) -> Result<Contact, StoreError> {
    let known = records.contact_id(&case.contact)?.map(|id| records.contact(id)).transpose()?.flatten();
    let mut contact = known.map_or_else(|| nobody(case.contact.clone()), |stored| stored.contact);
    let given = case.clone();
    contact.first_name = given.first_name.or(contact.first_name);
    contact.last_name = given.last_name.or(contact.last_name);
    contact.company = given.company.or(contact.company);
    contact.kind = case.kind.unwrap_or(contact.kind);
    contact.language = given.language.or(contact.language);
    contact.country = given.country.or(contact.country);
    contact.region = given.region.or(contact.region);
    contact.postcode = given.postcode.or(contact.postcode);
    contact.timezone = given.timezone.or(contact.timezone);
    // The other number first, so that the row's own stands before it.
    for (number, primary) in case.phone2.map(|number| (number, false)).into_iter().chain([(case.phone, true)])
    {
        // Somebody said that it is not theirs; the file has only not heard of it.
        let is_wrong = records.phone(number)?.status == PhoneStatus::Wrong;
        if !is_wrong || (primary && contact.phones.is_empty()) {
            add_phone(&mut contact.phones, number, primary);
        }
    }
    Ok(contact)
}

/// Adds a number, or makes it the first to be tried; where there is no room it takes the last one's place.
fn add_phone(phones: &mut Vec<ContactPhone>, number: Msisdn, primary: bool) {
    if primary {
        phones.iter_mut().for_each(|phone| phone.primary = phone.number == number);
    }
    if phones.iter().any(|phone| phone.number == number) {
        return;
    }
    phones.truncate(PHONES_MAX - 1);
    let at = if primary { 0 } else { phones.len() };
    phones.insert(at, ContactPhone { number, primary, verified: false });
}

/// A contact of whom nothing is known.
fn nobody(external_id: ExternalId) -> Contact {
    Contact {
        external_id,
        first_name: None,
        last_name: None,
        company: None,
        kind: ContactKind::Consumer,
        language: None,
        country: None,
        region: None,
        postcode: None,
        timezone: None,
        phones: Vec::new(),
        not_before: None,
        not_after: None,
        days: Vec::new(),
        custom: BTreeMap::new(),
    }
}

/// The consent that a row tells of. A yes without a date may be older than anything: it lifts no revocation, and
/// makes no consent younger than it is.
fn consent<R: Records>(
    records: &R,
    case: &Case,
    by: &str,
    now: Timestamp,
) -> Result<Option<(Msisdn, ConsentEvent)>, StoreError> {
    let Some(consent) = case.consent.clone() else { return Ok(None) };
    let is_yes = matches!(consent.kind, ConsentKind::Given | ConsentKind::Imported);
    if is_yes && consent.at.is_none() {
        let said = records.phone(case.phone)?.consents;
        let said = said.iter().filter(|(of, _)| of.as_ref().is_none_or(|of| *of == case.creditor));
        let standing = said.fold(Standing::default(), |all, (_, own)| all.joined(*own));
        let is_better = standing.proven_at.is_none() && consent.source.is_some();
        if standing.revoked_at.is_some() || (standing.given_at.is_some() && !is_better) {
            return Ok(None);
        }
    }
    let event = ConsentEvent {
        kind: consent.kind,
        at: consent.at.unwrap_or(now),
        channel: Some(String::from("import")),
        wording: None,
        evidence: consent.source,
        actor: Actor::Token(TokenName::from(by)),
    };
    Ok(Some((case.phone, event)))
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
        Some(known) => Ok(owed_again(&known, obligation.amount)),
        None => Ok(None),
    }
}
