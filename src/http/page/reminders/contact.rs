//! `/contacts/{id}`: one person or firm: what is known, what they owe, and a form to change it. What the form does not
//! show, such as custom fields, stays as it is.

use askama::Template;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;

use super::entries::Entries;
use super::forms::{FORM_MAX, SAID_MAX, make, meanwhile, number};
use super::obligations::Row as Owed;
use super::{Frame, Look, SHOWN, again, filled, name_of, page, told};
use crate::engine::reminders::change::Who;
use crate::engine::reminders::records::StoredContact;
use crate::engine::reminders::view::{ObligationFilter, Stretch};
use crate::engine::{Change, ReadError};
use crate::http::page::forms::see;
use crate::http::page::say::visible;
use crate::http::problem::Problem;
use crate::http::{App, Segment};
use crate::id::ContactId;
use crate::message::{Msisdn, TokenName};
use crate::reminder::contact::{Contact, ContactKind, ContactPhone, Day, DayTime, PHONES_MAX};
use crate::reminder::name::{Country, Language};
use crate::reminder::zone::Zone;

/// Obligations shown with a contact; the list has the others.
const OWED: usize = 20;
const DAYS: [(&str, &str); 7] = [
    ("mon", "Monday"),
    ("tue", "Tuesday"),
    ("wed", "Wednesday"),
    ("thu", "Thursday"),
    ("fri", "Friday"),
    ("sat", "Saturday"),
    ("sun", "Sunday"),
];

#[derive(Template)]
#[template(path = "reminders/contact.html", config = "src/http/page/askama.toml")]
struct One {
    frame: Frame,
    here: &'static str,
    id: String,
    name: String,
    external_id: String,
    version: u64,
    numbers: Vec<String>,
    custom: Vec<(String, String)>,
    rows: Vec<Owed>,
    /// Accounts a subscription may be for: its id, and the address of the form.
    accounts: Vec<(String, String)>,
    phones: Vec<Phone>,
    days: Vec<(String, &'static str, bool)>,
    entries: Entries,
}

/// A line of the form for a number: the names of its fields.
struct Phone {
    n: usize,
    field: String,
    label: String,
    verified: String,
    is_first: bool,
    is_verified: bool,
}

impl Phone {
    fn of(n: usize, entries: &Entries) -> Phone {
        let verified = format!("verified_{n}");
        Phone {
            n,
            field: format!("phone_{n}"),
            label: format!("Number {n}"),
            is_first: entries.is("first", &n.to_string()),
            is_verified: entries.is(&verified, "yes"),
            verified,
        }
    }
}

pub async fn show(State(app): State<App>, id: Segment, parts: Parts) -> Response {
    page(app, parts, &[], move |look| {
        let id: ContactId = id.0.parse().map_err(|_| Problem::not_found())?;
        let stored = look.view.contact(id)?.ok_or_else(Problem::not_found)?;
        let entries = as_entered(&stored);
        one(id, stored, look, entries)
    })
    .await
}

fn one(id: ContactId, stored: StoredContact, look: Look, entries: Entries) -> Result<One, Problem> {
    let filter = ObligationFilter { contact: Some(Who::Id(id)), ..ObligationFilter::default() };
    let found = look.view.obligations(&filter, &Stretch { after: None, back: true, limit: OWED })?.rows;
    let rows = found.iter().map(|(id, o)| Owed::read(&look.view, &look.catalog, *id, o, look.now));
    let mut accounts: Vec<(String, String)> = Vec::new();
    for (_, o) in &found {
        let mut query = form_urlencoded::Serializer::new(String::from("/subscriptions/new?"));
        query.append_pair("account", o.account.as_str()).append_pair("creditor", o.creditor.as_str());
        let creditor = look.catalog.creditor(&o.creditor).map_or(o.creditor.as_str(), |c| c.short());
        let said = visible(&format!("{}, {creditor}", o.account), SHOWN);
        let row = (said, query.finish());
        if !accounts.contains(&row) {
            accounts.push(row);
        }
    }
    let shown = (1..=PHONES_MAX).filter(|n| entries.text(&format!("phone_{n}")).is_some()).max().unwrap_or(0);
    let day = |(word, name): (&str, &'static str)| {
        let field = format!("day_{word}");
        let is_chosen = entries.is(&field, "yes");
        (field, name, is_chosen)
    };
    let custom = stored.contact.custom.iter();
    Ok(One {
        here: "/contacts",
        id: id.to_string(),
        name: name_of(&stored),
        external_id: visible(stored.contact.external_id.as_str(), SHOWN),
        version: stored.version,
        numbers: stored.contact.numbers().map(Msisdn::to_e164).collect(),
        custom: custom.map(|(name, value)| (visible(name, SHOWN), visible(value, SHOWN))).collect(),
        rows: rows.collect::<Result<_, ReadError>>()?,
        accounts,
        phones: (1..=(shown + 1).min(PHONES_MAX)).map(|n| Phone::of(n, &entries)).collect(),
        days: DAYS.map(day).into(),
        entries,
        frame: look.frame,
    })
}

fn as_entered(stored: &StoredContact) -> Entries {
    let c = &stored.contact;
    let mut entries = Entries::default();
    let texts = [
        ("first_name", c.first_name.clone()),
        ("last_name", c.last_name.clone()),
        ("company", c.company.clone()),
        ("language", c.language.as_ref().map(ToString::to_string)),
        ("country", c.country.as_ref().map(ToString::to_string)),
        ("region", c.region.clone()),
        ("postcode", c.postcode.clone()),
        ("timezone", c.timezone.as_ref().map(|zone| zone.name().to_owned())),
        ("not_before", c.not_before.map(String::from)),
        ("not_after", c.not_after.map(String::from)),
    ];
    for (name, text) in texts {
        entries.set(name, text.unwrap_or_default());
    }
    entries.set("kind", if c.kind == ContactKind::B2b { "b2b" } else { "consumer" });
    for day in &c.days {
        entries.set(&format!("day_{}", String::from(*day)), "yes");
    }
    for (n, phone) in (1..).zip(&c.phones) {
        entries.set(&format!("phone_{n}"), phone.number.to_e164());
        if phone.verified {
            entries.set(&format!("verified_{n}"), "yes");
        }
        if Some(phone.number) == c.best_number() {
            entries.set("first", n.to_string());
        }
    }
    entries
}

/// `POST /page/contacts/{id}`
pub async fn save(State(app): State<App>, id: Segment, request: Request) -> Response {
    let (signed, mut entries) = match filled(&app, request, FORM_MAX).await {
        Ok(filled) => filled,
        Err(answer) => return answer,
    };
    let Ok(id) = id.0.parse::<ContactId>() else { return told(&app, &signed, Problem::not_found()) };
    match change(&app, id, &mut entries, signed.name.clone()).await {
        Ok(()) => see(&format!("/contacts/{id}")),
        Err(problem) if problem.status() == StatusCode::NOT_FOUND => told(&app, &signed, problem),
        Err(problem) => {
            let make = move |look: Look, entries: Entries| {
                let stored = look.view.contact(id)?.ok_or_else(Problem::not_found)?;
                one(id, stored, look, entries)
            };
            again(&app, &signed, problem, entries, make).await
        }
    }
}

async fn change(app: &App, id: ContactId, entries: &mut Entries, by: TokenName) -> Result<(), Problem> {
    let stored = app.read(move |view| view.contact(id)).await?.ok_or_else(Problem::not_found)?;
    if !entries.is("version", &stored.version.to_string()) {
        return Err(meanwhile());
    }
    let contact = entered(stored.contact, entries);
    if let Err((field, bad)) = contact.check() {
        let field = if field == "phones" { "phone_1" } else { field };
        entries.refuse(field, bad);
    }
    entries.check()?;
    make(app, Change::Contact(Box::new(contact)), by).await?;
    Ok(())
}

fn entered(known: Contact, entries: &mut Entries) -> Contact {
    let time = |text: &str| DayTime::try_from(text.to_owned());
    Contact {
        first_name: entries.short("first_name", SAID_MAX),
        last_name: entries.short("last_name", SAID_MAX),
        company: entries.short("company", SAID_MAX),
        kind: if entries.is("kind", "b2b") { ContactKind::B2b } else { ContactKind::Consumer },
        language: entries.optional("language", Language::parse),
        country: entries.optional("country", |text| Country::parse(&text.to_ascii_uppercase())),
        region: entries.short("region", SAID_MAX),
        postcode: entries.short("postcode", SAID_MAX),
        timezone: entries.optional("timezone", Zone::parse),
        not_before: entries.optional("not_before", time),
        not_after: entries.optional("not_after", time),
        days: days(&known, entries),
        phones: phones(entries),
        ..known
    }
}

/// In the order they stood in, so that the same days are no change.
fn days(known: &Contact, entries: &Entries) -> Vec<Day> {
    let chosen = DAYS.into_iter().filter(|(word, _)| entries.is(&format!("day_{word}"), "yes"));
    let chosen: Vec<Day> = chosen.filter_map(|(word, _)| Day::try_from(word.to_owned()).ok()).collect();
    let same = known.days.len() == chosen.len() && chosen.iter().all(|day| known.days.contains(day));
    if same { known.days.clone() } else { chosen }
}

fn phones(entries: &mut Entries) -> Vec<ContactPhone> {
    let mut phones = Vec::new();
    for n in 1..=PHONES_MAX {
        let phone = Phone::of(n, entries);
        let number = entries.optional(&phone.field, number);
        phones.extend(number.map(|number| ContactPhone {
            number,
            primary: phone.is_first,
            verified: phone.is_verified,
        }));
    }
    phones
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    fn stored() -> StoredContact {
        let json = r#"{"external_id":"c-1","last_name":"Muster","not_before":"10:00","days":["fri","mon"],
            "phones":[{"number":"+4915112345678","verified":true},{"number":"+4915112345679","primary":true}],
            "custom":{"tariff":"B"}}"#;
        let contact = serde_json::from_str(json).unwrap();
        StoredContact { contact, created_at: Timestamp::from_millis(0), version: 1 }
    }

    #[test]
    fn what_is_entered_again_as_it_was_shown_is_the_same_contact() {
        let mut entries = as_entered(&stored());
        assert_eq!(entered(stored().contact, &mut entries), stored().contact);
        assert!(entries.check().is_ok());
    }

    #[test]
    fn a_number_that_is_emptied_is_gone_and_a_bad_one_is_told_at_its_field() {
        let mut entries = as_entered(&stored());
        entries.set("phone_1", "");
        entries.set("phone_3", "0151");
        let contact = entered(stored().contact, &mut entries);
        assert_eq!(contact.phones.len(), 1);
        assert!(entries.fault("phone_3").is_some() && entries.fault("phone_1").is_none());
    }
}
