//! All that decides about one obligation, read once: whose it is, which number, which rules, which hours.
//!
//! One reading serves the feed, the gates at the lease, `simulate` and previews, so that they cannot disagree.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::civil::Date;

use super::catalog::{Catalog, Saved};
use super::records::{Account, Phone, PhoneStatus, Records, StoredContact};
use super::reference::OURS;
use super::routes::RouteClasses;
use crate::clock::Timestamp;
use crate::message::{Class, Msisdn, Sender, TokenName};
use crate::reminder::calendar::{Calendar, business_days_from};
use crate::reminder::condition::{self, Value};
use crate::reminder::consent::Standing;
use crate::reminder::creditor::Creditor;
use crate::reminder::enrolment::{StepNote, StepOutcome};
use crate::reminder::gate::{self, Aim, Clearance, Facts, NumberState, Refusal, StepWindow};
use crate::reminder::hours::WeekHours;
use crate::reminder::link::{Target, Token};
use crate::reminder::money::Money;
use crate::reminder::name::{Country, Key, Language};
use crate::reminder::obligation::{Obligation, Origin};
use crate::reminder::pack::{Duty, Residence};
use crate::reminder::promise::PROMISE_GRACE_DAYS;
use crate::reminder::rules::Rules;
use crate::reminder::schedule::{self, NoWindow, StepTiming};
use crate::reminder::sequence::{BROKEN_PROMISE, Sequence, Step};
use crate::reminder::template::{self, Field, FieldName, Fields, Frame, pick};
use crate::reminder::zone::{self, Derived, ZoneSet};
use crate::route::Way;
use crate::store::StoreError;

/// The firm's own field that names a contact's attorney: any text does.
const ATTORNEY: &str = "attorney";

/// Rules by creditor and place: few, and asked for each step.
#[derive(Debug, Default)]
pub struct RulesCache(Mutex<HashMap<Place, Arc<Rules>>>);

/// Creditor, country, region.
type Place = (Key, Option<Country>, Option<String>);

/// Places remembered at most; a firm's contacts live in fewer.
const RULES_KEPT: usize = 10_000;

impl RulesCache {
    fn of(
        &self,
        catalog: &Catalog,
        creditor: &Creditor,
        country: Option<Country>,
        region: Option<&str>,
    ) -> Option<Arc<Rules>> {
        let place = (creditor.key.clone(), country.clone(), region.map(str::to_owned));
        let mut known = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(rules) = known.get(&place) {
            return Some(rules.clone());
        }
        let home = Residence { country: country.as_ref(), region };
        let rules = Rules::choose(&catalog.packs, &creditor.packs, creditor.sender_role, home).ok()?;
        let rules = Arc::new(rules);
        if known.len() >= RULES_KEPT {
            known.clear();
        }
        known.insert(place, rules.clone());
        Some(rules)
    }
}

/// What an obligation stands in.
#[derive(Debug)]
pub struct Situation {
    pub contact: StoredContact,
    pub account: Account,
    pub number: Msisdn,
    pub phone: Phone,
    pub creditor: Arc<Creditor>,
    pub sequence: Arc<Sequence>,
    pub rules: Arc<Rules>,
    pub zones: Derived,
    /// What packs and contact have in common, for planning.
    pub hours: WeekHours,
    pub wishes: WeekHours,
    pub calendar: Option<Arc<Calendar>>,
    routes: Arc<RouteClasses>,
}

/// Why there is none: something is missing that only a person can give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    Contact,
    Account,
    Creditor,
    Sequence,
    Rules,
    /// Every number of the contact is wrong or dead.
    Number,
}

impl Lack {
    pub const fn as_str(self) -> &'static str {
        match self {
            Lack::Contact => "its contact is not there",
            Lack::Account => "its account is not there",
            Lack::Creditor => "its creditor is not set up",
            Lack::Sequence => "it is in no sequence",
            Lack::Rules => "the packs of its creditor cannot be found",
            Lack::Number => "no number of the contact can be texted",
        }
    }
}

/// What the gates are told besides: it lives in the core's memory, or is imagined.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    pub now: Timestamp,
    pub is_suppressed: bool,
    pub is_held: bool,
    pub quota_until: Option<Timestamp>,
}

/// A payment link as a text has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayLink {
    pub text: String,
    /// The recipient's token is in it, so that visits can be told apart.
    pub has_token: bool,
}

/// When one step may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub opens: Timestamp,
    /// It is stale from then on.
    pub stale_after: Timestamp,
}

impl Situation {
    pub fn read<R: Records>(
        records: &R,
        catalog: &Catalog,
        cache: &RulesCache,
        obligation: &Obligation,
    ) -> Result<Result<Situation, Lack>, StoreError> {
        let Some(enrolment) = &obligation.enrolment else { return Ok(Err(Lack::Sequence)) };
        let Some(contact) = records.contact(obligation.contact)? else { return Ok(Err(Lack::Contact)) };
        let account = records.account(&obligation.account, &obligation.creditor)?;
        let Some(account) = account else { return Ok(Err(Lack::Account)) };
        let Some(creditor) = catalog.creditor(&obligation.creditor) else { return Ok(Err(Lack::Creditor)) };
        let sequence = catalog.sequence_at(&enrolment.sequence, enrolment.version);
        let Some(sequence) = sequence else { return Ok(Err(Lack::Sequence)) };
        let Some((number, phone)) = usable(records, &contact)? else { return Ok(Err(Lack::Number)) };
        let person = &contact.contact;
        let country = person.country.clone().or_else(|| zone::country_of(number));
        let rules = cache.of(catalog, creditor, country, person.region.as_deref());
        let Some(rules) = rules else { return Ok(Err(Lack::Rules)) };
        let zones = zone::derive(&zone::Place {
            zone: person.timezone.as_ref(),
            country: person.country.as_ref(),
            region: person.region.as_deref(),
            postcode: person.postcode.as_deref(),
            number,
            home: creditor.timezone.as_ref().unwrap_or(&catalog.home),
        });
        let wishes = person.wishes().unwrap_or(WeekHours::ALWAYS);
        let calendar = creditor.calendar.as_ref().and_then(|key| catalog.calendars.get(key)).cloned();
        Ok(Ok(Situation {
            hours: rules.hours().narrow(wishes),
            account,
            number,
            phone,
            creditor: creditor.clone(),
            sequence: sequence.clone(),
            rules,
            zones,
            wishes,
            calendar,
            contact,
            routes: catalog.routes.clone(),
        }))
    }

    pub fn zones(&self) -> &ZoneSet {
        &self.zones.zones
    }

    /// The date where the contact lives; in several zones the earliest.
    pub fn today(&self, now: Timestamp) -> Date {
        schedule::today(self.zones(), now)
    }

    /// # Errors
    /// No hour of any day is lawful in all of its zones.
    pub fn window(&self, obligation: &Obligation, step: &Step) -> Result<Window, NoWindow> {
        let promised = obligation.promise.as_ref().filter(|_| step.id.as_str() == BROKEN_PROMISE);
        let anchor = match promised {
            Some(promise) => business_days_from(self.calendar.as_deref(), promise.date, PROMISE_GRACE_DAYS),
            None => obligation.enrolment.as_ref().and_then(|enrolment| enrolment.anchor),
        };
        let timing = StepTiming {
            due: anchor.unwrap_or(obligation.due_date),
            offset: step.offset,
            slot: step.at,
            grace: step.grace,
            calendar: self.calendar.as_deref(),
        };
        let key = dispatch_key(obligation, &step.id, self.number);
        let window = schedule::step_window(&timing, self.zones(), &self.hours, &key)?;
        Ok(Window { opens: window.opens, stale_after: window.stale_after })
    }

    /// What the gates say of a step.
    ///
    /// # Errors
    /// The first gate that refuses.
    pub fn judge(
        &self,
        obligation: &Obligation,
        window: Window,
        around: Circumstances,
    ) -> Result<Clearance, Refusal> {
        self.judge_as(Aim::Reminder, obligation, window, around)
    }

    /// What they say of an answer to somebody who has just asked for it, and who need not wait until a person has read
    /// what else they wrote.
    ///
    /// # Errors
    /// The first gate that refuses.
    pub fn judge_answer(
        &self,
        obligation: &Obligation,
        within: Duration,
        around: Circumstances,
    ) -> Result<Clearance, Refusal> {
        let window = Window { opens: around.now, stale_after: around.now.saturating_add(within) };
        self.judge_as(Aim::Answer, obligation, window, around)
    }

    /// The same of a text that is no step.
    ///
    /// # Errors
    /// The first gate that refuses.
    pub fn judge_as(
        &self,
        aim: Aim,
        obligation: &Obligation,
        window: Window,
        around: Circumstances,
    ) -> Result<Clearance, Refusal> {
        let Some(enrolment) = &obligation.enrolment else {
            return Err(gate::never());
        };
        // What was said to one creditor and what was said to all count together.
        let said = |of: &Option<Key>| of.as_ref().is_none_or(|creditor| *creditor == obligation.creditor);
        let said = self.phone.consents.iter().filter(|(of, _)| said(of));
        let standing = said.fold(Standing::default(), |all, (_, own)| all.joined(*own));
        let holiday =
            |date: Date| self.calendar.as_ref().is_some_and(|calendar| calendar.holiday(date).is_some());
        let route_classes = match aim {
            Aim::Answer => self.route_classes(Class::Reply, None, super::answers::OURS),
            Aim::Reminder | Aim::Confirmation => {
                self.route_classes(Class::Reminder, self.sender().as_ref(), OURS)
            }
        };
        gate::judge(&Facts {
            now: around.now,
            aim,
            step: StepWindow { from: window.opens, until: window.stale_after },
            is_suppressed: around.is_suppressed,
            is_held: around.is_held || (aim != Aim::Answer && self.phone.review.is_some()),
            number: number_state(self.phone.status),
            has_attorney: self.has_attorney(),
            status: obligation.status,
            is_owed: obligation.balance().is_positive(),
            enrolment: &enrolment.state,
            standing: &standing,
            last_inbound: self.phone.last_inbound_at,
            initial_notice: self.initial_notice(),
            rules: &self.rules,
            zones: self.zones(),
            is_holiday: &holiday,
            wishes: Some(&self.wishes),
            ledger: &self.phone.ledger,
            quota_until: around.quota_until,
            route_classes: &route_classes,
        })
    }

    /// Sender address of its texts, where the creditor has one.
    pub fn sender(&self) -> Option<Sender> {
        self.creditor.sender.as_deref().and_then(|sender| Sender::parse(sender).ok())
    }

    /// Classes of every route that a text may take: the creditor's own, and those of all links that may carry it.
    pub fn route_classes(&self, class: Class, sender: Option<&Sender>, token: &str) -> Vec<&str> {
        let token = TokenName::from(token);
        let links = self.routes.met(Way { to: self.number, class, sender, token: &token });
        self.creditor.route_class.as_deref().into_iter().chain(links).collect()
    }

    /// The field `attorney` names one: the contact's own, or the account's, which a file's `custom.attorney` becomes.
    fn has_attorney(&self) -> bool {
        names_attorney(&self.contact.contact.custom) || names_attorney(&self.account.custom)
    }

    /// The payment link of one recipient: by the firm's own listener where there is one, else the obligation's own.
    pub fn link(&self, obligation: &Obligation, token: Token, catalog: &Catalog) -> Option<PayLink> {
        let target = Target::parse(obligation.link.as_deref()?, &self.creditor.link_hosts).ok()?;
        if let Some(base) = &catalog.redirect {
            return Some(PayLink { text: format!("{base}/p/{token}"), has_token: true });
        }
        match target.for_recipient(token) {
            Field::Link(text) => Some(PayLink { text, has_token: target.has_token() }),
            _ => None,
        }
    }

    /// As [`Situation::link`], as long as the recipient's own and with a token that nobody has.
    pub fn link_like(&self, obligation: &Obligation, catalog: &Catalog) -> Option<String> {
        self.link(obligation, Token::from_random([0; 8]), catalog).map(|link| link.text)
    }

    /// The account's own field `initial_notice_sent_at`, a date or an instant.
    fn initial_notice(&self) -> Option<Timestamp> {
        let text = self.account.custom.get("initial_notice_sent_at")?;
        Timestamp::parse_rfc3339(text).or_else(|| Timestamp::parse_rfc3339(&format!("{text}T00:00:00Z")))
    }

    /// The template of a step in the contact's language.
    pub fn template<'a>(&self, catalog: &'a Catalog, key: &Key) -> Result<&'a Saved, pick::NoTemplate> {
        let languages = catalog.templates.get(key).ok_or(pick::NoTemplate::None)?;
        let has: Vec<Language> = languages.keys().cloned().collect();
        let wanted: Vec<Language> = self.contact.contact.language.iter().cloned().collect();
        let own = self.creditor.language.clone();
        let home = own.or_else(|| Language::parse("en").ok()).ok_or(pick::NoTemplate::None)?;
        let may_fall_back = self.rules.demands(Duty::OwnLanguage).is_none();
        let language = pick::pick(&has, &wanted, &home, may_fall_back)?;
        languages.get(language).ok_or(pick::NoTemplate::None)
    }

    /// What templates may say of an obligation.
    pub fn fields(&self, obligation: &Obligation, link: Option<&str>, now: Timestamp) -> Fields {
        let mut fields = Fields::new();
        let person = &self.contact.contact;
        let texts = [
            (FieldName::FirstName, person.first_name.as_deref()),
            (FieldName::LastName, person.last_name.as_deref()),
            (FieldName::Company, person.company.as_deref()),
            (FieldName::Creditor, Some(self.creditor.name.as_str())),
            (FieldName::CreditorShort, Some(self.creditor.short())),
            (FieldName::Phone, self.creditor.phone.as_deref()),
            (FieldName::Description, obligation.description.as_deref()),
            (FieldName::Reference, Some(obligation.external_id.as_str())),
            (FieldName::CaseManager, self.account.case_manager.as_deref()),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                fields.set(name, Field::Text(text.to_owned()));
            }
        }
        fields.set(FieldName::Amount, Field::Money(obligation.balance()));
        fields.set(FieldName::Total, Field::Money(obligation.amount));
        fields.set(FieldName::DueDate, Field::Date(obligation.due_date));
        let overdue = self.today(now).since(obligation.due_date).map_or(0, |span| i64::from(span.get_days()));
        fields.set(FieldName::DaysOverdue, Field::Number(overdue.max(0)));
        if let Some(least) = obligation.min_due {
            fields.set(FieldName::MinDue, Field::Money(least));
        }
        if let Some(paid) = obligation.payments.iter().rev().find(|payment| !payment.reversed) {
            fields.set(FieldName::Paid, Field::Money(paid.amount));
        }
        if let Some(link) = link {
            fields.set(FieldName::Link, Field::Link(link.to_owned()));
        }
        if let Some(promise) = &obligation.promise {
            fields.set(FieldName::PromiseDate, Field::Date(promise.date));
        }
        if let Origin::Plan { n, .. } = obligation.origin {
            fields.set(FieldName::InstalmentNumber, Field::Number(i64::from(n)));
        }
        for (name, text) in person.custom.iter().chain(&self.account.custom) {
            if let Some(name) = FieldName::parse(&format!("custom.{name}")) {
                fields.set(name, Field::Text(text.clone()));
            }
        }
        fields
    }

    /// What a step's `when` may ask.
    pub fn value(&self, obligation: &Obligation, name: &str, now: Timestamp) -> Option<Value> {
        let today = self.today(now);
        Asked { obligation, contact: &self.contact, account: &self.account, today }.value(name)
    }

    /// Which reminder the next one is, from 1: of its obligation, and of its creditor to this phone. What texts must
    /// say is owed to the person, who may have several debts, and for each debt, which may come to another phone: what
    /// either count makes due is said.
    pub fn numbers(&self, obligation: &Obligation) -> [u32; 2] {
        let gone = |note: &&StepNote| matches!(note.how, StepOutcome::Gone { .. });
        let of_debt = obligation.steps.iter().filter(gone).count() as u32;
        [of_debt + 1, self.phone.reminders_of(&obligation.creditor).saturating_add(1)]
    }

    /// What stands around the body; `numbers` as [`Situation::numbers`] has them.
    pub fn frame<'a>(
        &'a self,
        class: template::Class,
        numbers: [u32; 2],
        disclosure: Option<&'a str>,
        menu: &'a [(u8, &'a str)],
    ) -> Frame<'a> {
        let asks = class.asks_for_money();
        Frame {
            disclosure,
            menu,
            footer: asks && numbers.into_iter().any(|number| self.rules.needs_footer(number)),
            spare_names: self.rules.demands(Duty::KeepNames).is_some(),
        }
    }

    /// What packs want said of the sender, in one text that asks for money.
    ///
    /// # Errors
    /// A pack has nothing to say in that language.
    pub fn disclosure(
        &self,
        class: template::Class,
        language: &Language,
        numbers: [u32; 2],
    ) -> Result<Option<String>, Refusal> {
        if !class.asks_for_money() {
            return Ok(None);
        }
        let first = numbers.into_iter().fold(u32::MAX, u32::min);
        let texts = self.rules.disclosures(language, first).map_err(|breach| gate::disclosure(&breach))?;
        Ok(Some(texts.join(" ")).filter(|text| !text.is_empty()))
    }
}

/// What conditions are asked of; steps' and rules' alike.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub obligation: &'a Obligation,
    pub contact: &'a StoredContact,
    pub account: &'a Account,
    /// Where the contact lives.
    pub today: Date,
}

impl Asked<'_> {
    pub fn value(&self, name: &str) -> Option<Value> {
        let Asked { obligation, contact, account, today } = *self;
        let money = |money: Money| Some(Value::from(money));
        let text = |text: &str| Some(Value::Text(text.to_owned()));
        let person = &contact.contact;
        match name {
            "balance" => money(obligation.balance()),
            "amount" => money(obligation.amount),
            "paid" => money(Money::new(obligation.paid_minor(), obligation.amount.currency()).ok()?),
            "min_due" => obligation.min_due.and_then(money),
            "reminders" => obligation.enrolment.as_ref().map(|e| Value::from(e.reminders_accepted)),
            "stage" | "status" => text(obligation.status.as_str()),
            "overdue" => Some(Value::Bool(obligation.is_overdue(today))),
            "days_overdue" => {
                let days = today.since(obligation.due_date).map_or(0, |span| span.get_days());
                Some(Value::from(days.max(0).unsigned_abs()))
            }
            "due_date" => Some(Value::Date(obligation.due_date)),
            "creditor" => text(obligation.creditor.as_str()),
            "currency" => text(obligation.amount.currency().as_str()),
            "language" => person.language.as_ref().and_then(|language| text(language.as_str())),
            "country" => person.country.as_ref().and_then(|country| text(country.as_str())),
            "kind" => text(match person.kind {
                crate::reminder::contact::ContactKind::Consumer => "consumer",
                crate::reminder::contact::ContactKind::B2b => "b2b",
            }),
            "has_link" => Some(Value::Bool(obligation.link.is_some())),
            "case_manager" => account.case_manager.as_deref().and_then(text),
            _ => {
                let own = name.strip_prefix("custom.")?;
                let custom = account.custom.get(own).or_else(|| person.custom.get(own))?;
                text(custom)
            }
        }
    }
}

/// What a step's `when` may ask for, besides what the firm itself adds.
pub fn condition_kind(name: &str) -> Option<condition::Kind> {
    use condition::Kind;
    match name {
        "balance" | "amount" | "paid" | "min_due" | "reminders" | "days_overdue" => Some(Kind::Number),
        "stage" | "status" | "creditor" | "currency" | "language" | "country" | "kind" | "case_manager" => {
            Some(Kind::Text)
        }
        "overdue" | "has_link" => Some(Kind::Bool),
        "due_date" => Some(Kind::Date),
        _ => name.starts_with("custom.").then_some(Kind::Any),
    }
}

/// Whether a contact's or an account's own fields name an attorney.
pub(super) fn names_attorney(custom: &BTreeMap<String, String>) -> bool {
    custom.get(ATTORNEY).is_some_and(|named| !named.trim().is_empty())
}

/// The first number of a contact that may be texted at all.
fn usable<R: Records>(records: &R, contact: &StoredContact) -> Result<Option<(Msisdn, Phone)>, StoreError> {
    for number in contact.contact.numbers() {
        let phone = records.phone(number)?;
        if number_state(phone.status) == NumberState::Usable {
            return Ok(Some((number, phone)));
        }
    }
    Ok(None)
}

fn number_state(status: PhoneStatus) -> NumberState {
    match status {
        PhoneStatus::Unverified | PhoneStatus::Active | PhoneStatus::Suspect { .. } => NumberState::Usable,
        PhoneStatus::Dead => NumberState::Dead,
        PhoneStatus::Wrong => NumberState::Wrong,
    }
}

/// The dispatch key of a step to a number: names it for ever, and places it within its slot.
pub fn dispatch_key(obligation: &Obligation, step: &Key, number: Msisdn) -> [u8; 16] {
    let sequence = obligation.enrolment.as_ref().map_or("", |enrolment| enrolment.sequence.as_str());
    crate::engine::intake::digest(&[
        obligation.creditor.as_str(),
        obligation.external_id.as_str(),
        &obligation.cycle.to_string(),
        sequence,
        step.as_str(),
        &number.digits(),
    ])
}
