//! `/contacts`, `/subscriptions` and `/creditors`: lists that lead to the obligations, and a form for a creditor.

use askama::Template;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::response::Response;

use super::entries::Entries;
use super::forms::{FORM_MAX, SAID_MAX, make};
use super::words::When;
use super::{Frame, Look, ROWS, SHOWN, name_of, page};
use crate::engine::Change;
use crate::engine::reminders::view::{ContactFilter, Place, Stretch};
use crate::http::App;
use crate::http::auth::Scope;
use crate::http::page::forms::{admitted_with, answer};
use crate::http::page::say::visible;
use crate::http::problem::Problem;
use crate::message::Msisdn;
use crate::reminder::creditor::{Creditor, SenderRole};
use crate::reminder::link::LinkHost;
use crate::reminder::name::{ExternalId, Key, Language};
use crate::reminder::zone::{Zone, ZoneSet};

#[derive(Template)]
#[template(path = "reminders/contacts.html", config = "src/http/page/askama.toml")]
struct Contacts {
    frame: Frame,
    here: &'static str,
    sought: String,
    rows: Vec<Person>,
    older: Option<String>,
}

struct Person {
    id: String,
    external_id: String,
    name: String,
    numbers: Vec<String>,
    place: String,
}

pub async fn contacts(State(app): State<App>, parts: Parts) -> Response {
    page(app, parts, &["q", "before"], people).await
}

fn people(look: Look) -> Result<Contacts, Problem> {
    let before = look.asked.parse("before", |text| text.parse::<Place>())?;
    let sought = look.asked.get("q").unwrap_or_default().to_owned();
    let digits: String = sought.chars().filter(|c| !" -/().\u{a0}".contains(*c)).collect();
    let phone = Msisdn::parse_e164(&digits).ok();
    let external_id = match (sought.is_empty(), phone) {
        (false, None) => Some(look.asked.parse("q", ExternalId::parse)?).flatten(),
        _ => None,
    };
    let filter = ContactFilter { external_id, phone };
    let found = look.view.contacts(&filter, &Stretch { after: before, back: true, limit: ROWS })?;
    let rows = found.rows.iter().map(|(id, stored)| {
        let person = &stored.contact;
        let place = [
            person.country.as_ref().map(ToString::to_string),
            person.region.clone(),
            person.postcode.clone(),
        ];
        Person {
            id: id.to_string(),
            external_id: visible(person.external_id.as_str(), SHOWN),
            name: name_of(stored),
            numbers: person.numbers().map(Msisdn::to_e164).collect(),
            place: visible(&place.into_iter().flatten().collect::<Vec<_>>().join(" "), SHOWN),
        }
    });
    Ok(Contacts {
        here: "/contacts",
        rows: rows.collect(),
        older: found.next.map(|next| format!("/contacts?before={next}")),
        sought,
        frame: look.frame,
    })
}

#[derive(Template)]
#[template(path = "reminders/subscriptions.html", config = "src/http/page/askama.toml")]
struct Subscriptions {
    frame: Frame,
    here: &'static str,
    rows: Vec<Again>,
    older: Option<String>,
}

struct Again {
    external_id: String,
    account: String,
    creditor: Option<String>,
    amount: String,
    every: String,
    day: Option<String>,
    from: String,
    until: Option<String>,
    made_until: Option<String>,
    next: Option<When>,
}

pub async fn subscriptions(State(app): State<App>, parts: Parts) -> Response {
    page(app, parts, &["account", "before"], again).await
}

fn again(look: Look) -> Result<Subscriptions, Problem> {
    let before = look.asked.parse("before", |text| text.parse::<Place>())?;
    let account = look.asked.parse("account", ExternalId::parse)?;
    let stretch = Stretch { after: before, back: false, limit: ROWS };
    let found = look.view.subscriptions(account.as_ref(), &stretch)?;
    let home = ZoneSet::one(look.catalog.home.clone());
    let rows = found.rows.iter().map(|stored| {
        let s = &stored.subscription;
        Again {
            external_id: visible(s.external_id.as_str(), SHOWN),
            account: visible(s.account.as_str(), SHOWN),
            creditor: s.creditor.as_ref().map(ToString::to_string),
            amount: s.amount.to_string(),
            every: word(&s.every),
            day: s.day.as_ref().map(word),
            from: s.from.to_string(),
            until: s.until.map(|date| date.to_string()),
            made_until: stored.made_until.map(|date| date.to_string()),
            next: stored.timer.map(|at| When::of(at, &home, look.now)),
        }
    });
    let narrowed = account.as_ref().map(|account| {
        form_urlencoded::Serializer::new(String::from("&")).append_pair("account", account.as_str()).finish()
    });
    Ok(Subscriptions {
        here: "/subscriptions",
        rows: rows.collect(),
        older: found.next.map(|next| format!("/subscriptions?before={next}{}", narrowed.unwrap_or_default())),
        frame: look.frame,
    })
}

/// As it is written outside.
fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => text,
        Ok(other) => other.to_string(),
        Err(_) => String::from("not known"),
    }
}

#[derive(Template)]
#[template(path = "reminders/creditors.html", config = "src/http/page/askama.toml")]
struct Creditors {
    frame: Frame,
    here: &'static str,
    rows: Vec<Firm>,
    packs: Vec<String>,
    home: String,
}

struct Firm {
    key: String,
    name: String,
    role: &'static str,
    packs: String,
    zone: String,
    facts: String,
}

pub async fn creditors(State(app): State<App>, parts: Parts) -> Response {
    page(app, parts, &[], |look| {
        let rows = look.catalog.creditors.values().map(|creditor| firm(creditor, &look.catalog.home));
        Ok(Creditors {
            here: "/creditors",
            rows: rows.collect(),
            packs: look.catalog.packs.keys().map(ToString::to_string).collect(),
            home: look.catalog.home.name().to_owned(),
            frame: look.frame,
        })
    })
    .await
}

fn firm(creditor: &Creditor, home: &Zone) -> Firm {
    let packs: Vec<&str> = creditor.packs.iter().map(Key::as_str).collect();
    let facts = [
        creditor.language.as_ref().map(|language| format!("language {language}")),
        creditor.calendar.as_ref().map(|calendar| format!("calendar {calendar}")),
        creditor.phone.as_ref().map(|phone| format!("phone {phone}")),
        creditor.sender.as_ref().map(|sender| format!("sender {sender}")),
        creditor.route_class.as_ref().map(|class| format!("route class {class}")),
    ];
    Firm {
        key: creditor.key.to_string(),
        name: visible(&creditor.name, SHOWN),
        role: match creditor.sender_role {
            SenderRole::FirstParty => "asks for its own money",
            SenderRole::ThirdParty => "a collector",
        },
        packs: packs.join(", "),
        zone: creditor.timezone.as_ref().unwrap_or(home).name().to_owned(),
        facts: visible(&facts.into_iter().flatten().collect::<Vec<_>>().join(", "), SHOWN),
    }
}

/// `POST /page/creditors`: a new one; what is set up already is changed by its seed file or the API, whole.
pub async fn make_creditor(State(app): State<App>, request: Request) -> Response {
    let done = async {
        let (signed, form) = admitted_with(&app, request, Scope::Reminders, FORM_MAX).await?;
        let mut entries = Entries::of(form);
        let creditor = entered(&mut entries);
        if let Some(creditor) = &creditor
            && app.engine().view().catalog()?.creditor(&creditor.key).is_some()
        {
            entries.refuse("creditor_key", "is set up already: change it by its file or the API");
        }
        entries.check()?;
        let creditor = creditor.ok_or_else(Problem::not_found)?;
        make(&app, Change::Creditor(Box::new(creditor)), signed.name).await?;
        Ok(String::from("/creditors"))
    };
    answer(done.await)
}

fn entered(entries: &mut Entries) -> Option<Creditor> {
    let key = entries.required("creditor_key", Key::parse);
    let name = entries.required("name", |text| Ok::<_, String>(text.to_owned()));
    entries.short("name", SAID_MAX);
    let sender_role = entries.required("sender_role", |text| match text {
        "first_party" => Ok(SenderRole::FirstParty),
        "third_party" => Ok(SenderRole::ThirdParty),
        _ => Err("must be first_party or third_party"),
    });
    let words =
        |text: &str| text.split([',', ' ']).filter(|w| !w.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    let packs = entries.optional("packs", |text| words(text).iter().map(|word| Key::parse(word)).collect());
    let hosts =
        entries.optional("link_hosts", |text| words(text).into_iter().map(LinkHost::try_from).collect());
    Some(Creditor {
        short_name: entries.short("short_name", SAID_MAX),
        packs: packs.unwrap_or_default(),
        language: entries.optional("language", Language::parse),
        timezone: entries.optional("timezone", Zone::parse),
        calendar: entries.optional("calendar", Key::parse),
        phone: entries.short("phone", SAID_MAX),
        help_text: None,
        link_hosts: hosts.unwrap_or_default(),
        sender: entries.short("sender", SAID_MAX),
        route_class: None,
        key: key?,
        name: name?,
        sender_role: sender_role?,
    })
}
