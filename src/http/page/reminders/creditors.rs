//! `/creditors`: on whose behalf reminders go, and a form for a new one or for what is to be changed.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::response::Response;

use super::entries::Entries;
use super::forms::{FORM_MAX, SAID_MAX, make, meanwhile};
use super::written::mark;
use super::{Frame, Look, SHOWN, again, filled, in_path, page};
use crate::engine::Change;
use crate::engine::reminders::Catalog;
use crate::http::page::forms::see;
use crate::http::page::say::visible;
use crate::http::problem::Problem;
use crate::http::{App, Segment};
use crate::message::TokenName;
use crate::reminder::creditor::{Creditor, SenderRole};
use crate::reminder::link::LinkHost;
use crate::reminder::name::{Key, Language};
use crate::reminder::zone::Zone;

#[derive(Template)]
#[template(path = "reminders/creditors.html", config = "src/http/page/askama.toml")]
struct Creditors {
    frame: Frame,
    here: &'static str,
    rows: Vec<Firm>,
}

struct Firm {
    key: String,
    path: String,
    name: String,
    role: &'static str,
    packs: String,
    zone: String,
    facts: String,
}

pub async fn list(State(app): State<App>, parts: Parts) -> Response {
    page(app, parts, &[], |look| {
        let rows = look.catalog.creditors.values().map(|creditor| firm(creditor, &look.catalog.home));
        Ok(Creditors { here: "/creditors", rows: rows.collect(), frame: look.frame })
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
        path: in_path(creditor.key.as_str()),
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

#[derive(Template)]
#[template(path = "reminders/creditor.html", config = "src/http/page/askama.toml")]
struct One {
    frame: Frame,
    here: &'static str,
    /// `None`: it is new.
    name: Option<String>,
    /// What names it, where it is known.
    known_key: String,
    packs: String,
    calendars: String,
    home: String,
    entries: Entries,
}

pub async fn new(State(app): State<App>, parts: Parts) -> Response {
    page(app, parts, &[], |look| Ok(one(look, Entries::with(&[("sender_role", "first_party")])))).await
}

pub async fn show(State(app): State<App>, key: Segment, parts: Parts) -> Response {
    page(app, parts, &[], move |look| {
        let creditor = look.catalog.creditors.get(key.0.as_str()).ok_or_else(Problem::not_found)?;
        let entries = as_entered(creditor);
        Ok(one(look, entries))
    })
    .await
}

fn one(look: Look, entries: Entries) -> One {
    let is_change = entries.text("was").is_some();
    let known = look.catalog.creditors.get(entries.value("creditor_key")).filter(|_| is_change);
    let join = |keys: Vec<&Key>| keys.into_iter().map(Key::as_str).collect::<Vec<_>>().join(", ");
    One {
        here: "/creditors",
        name: known.map(|creditor| visible(&creditor.name, SHOWN)),
        known_key: known.map(|creditor| creditor.key.to_string()).unwrap_or_default(),
        packs: join(look.catalog.packs.keys().collect()),
        calendars: join(look.catalog.calendars.keys().collect()),
        home: look.catalog.home.name().to_owned(),
        entries,
        frame: look.frame,
    }
}

fn as_entered(creditor: &Creditor) -> Entries {
    let mut entries = Entries::default();
    let keys: Vec<&str> = creditor.packs.iter().map(Key::as_str).collect();
    let hosts: Vec<String> = creditor.link_hosts.iter().cloned().map(String::from).collect();
    let third = creditor.sender_role == SenderRole::ThirdParty;
    let texts = [
        ("was", Some(mark(creditor))),
        ("creditor_key", Some(creditor.key.to_string())),
        ("name", Some(creditor.name.clone())),
        ("short_name", creditor.short_name.clone()),
        ("sender_role", Some(String::from(if third { "third_party" } else { "first_party" }))),
        ("packs", Some(keys.join(", "))),
        ("language", creditor.language.as_ref().map(ToString::to_string)),
        ("timezone", creditor.timezone.as_ref().map(|zone| zone.name().to_owned())),
        ("calendar", creditor.calendar.as_ref().map(ToString::to_string)),
        ("phone", creditor.phone.clone()),
        ("help_text", creditor.help_text.clone()),
        ("link_hosts", Some(hosts.join(", "))),
        ("sender", creditor.sender.clone()),
        ("route_class", creditor.route_class.clone()),
    ];
    for (name, text) in texts {
        entries.set(name, text.unwrap_or_default());
    }
    entries
}

/// `POST /page/creditors`: with `was`, the mark of what was seen, a change; else a new one.
pub async fn save(State(app): State<App>, request: Request) -> Response {
    let (signed, mut entries) = match filled(&app, request, FORM_MAX).await {
        Ok(filled) => filled,
        Err(answer) => return answer,
    };
    match keep(&app, &mut entries, signed.name.clone()).await {
        Ok(()) => see("/creditors"),
        Err(problem) => again(&app, &signed, problem, entries, |look, entries| Ok(one(look, entries))).await,
    }
}

async fn keep(app: &App, entries: &mut Entries, by: TokenName) -> Result<(), Problem> {
    let creditor = entered(entries);
    let catalog = app.engine().view().catalog()?;
    if let Some(creditor) = &creditor {
        seen(&catalog, creditor, entries)?;
    }
    entries.check()?;
    let creditor = creditor.ok_or_else(Problem::internal)?;
    make(app, Change::Creditor(Box::new(creditor)), by).await?;
    Ok(())
}

/// Nobody writes over what he has not seen.
fn seen(catalog: &Arc<Catalog>, creditor: &Creditor, entries: &mut Entries) -> Result<(), Problem> {
    let known = catalog.creditor(&creditor.key).map(|known| mark(&**known));
    match (known, entries.text("was")) {
        (Some(_), None) => entries.refuse("creditor_key", "is set up already: change it on its own page"),
        (known, Some(was)) if known.as_deref() != Some(was) => {
            return Err(meanwhile());
        }
        _ => {}
    }
    Ok(())
}

fn entered(entries: &mut Entries) -> Option<Creditor> {
    let key = entries.required("creditor_key", Key::parse);
    let name = entries.words("name");
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
        help_text: entries.short("help_text", SAID_MAX),
        link_hosts: hosts.unwrap_or_default(),
        sender: entries.short("sender", SAID_MAX),
        route_class: entries.short("route_class", SAID_MAX),
        key: key?,
        name: name?,
        sender_role: sender_role?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_entered_again_as_it_was_shown_is_the_same_creditor() {
        let json = r#"{"key":"acme","name":"Acme","sender_role":"third_party","packs":["de","eu"],
            "language":"de","timezone":"Europe/Berlin","calendar":"de","phone":"030 1","help_text":"Call us",
            "link_hosts":["pay.example.com"],"sender":"ACME","route_class":"us_a2p"}"#;
        let creditor: Creditor = serde_json::from_str(json).unwrap();
        let mut entries = as_entered(&creditor);
        assert_eq!(entered(&mut entries), Some(creditor));
        assert!(entries.check().is_ok());
    }
}
