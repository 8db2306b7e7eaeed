//! `/sequences`: which text goes when, and what a due date or one obligation would come to.
//!
//! The forecast for a due date is of a person of whom nothing is known but a zone: the planner's arithmetic, an
//! ordinary case's text. Gates that depend on what happened until then are not asked.

use askama::Template;
use axum::extract::State;
use axum::http::request::Parts;
use axum::response::Response;
use jiff::civil::Date;

use super::forms::day;
use super::obligations::{Choice, creditors};
use super::words::{When, plain};
use super::{Frame, Look, SHOWN, in_path, page};
use crate::engine::reminders::Catalog;
use crate::http::page::say::visible;
use crate::http::problem::Problem;
use crate::http::{App, Segment};
use crate::id::ObligationId;
use crate::reminder::creditor::Creditor;
use crate::reminder::enrolment::{StepNote, StepOutcome};
use crate::reminder::hours::WeekHours;
use crate::reminder::name::{Key, Language};
use crate::reminder::obligation::Obligation;
use crate::reminder::pack::Residence;
use crate::reminder::rules::Rules;
use crate::reminder::schedule::{StepTiming, step_window, today};
use crate::reminder::sequence::{Sequence, Step};
use crate::reminder::template::fields::{Field, FieldName, Fields};
use crate::reminder::template::{Frame as Around, pick};
use crate::reminder::zone::{Zone, ZoneSet};

const WHOLE: usize = 4_000;

#[derive(Template)]
#[template(path = "reminders/sequences.html", config = "src/http/page/askama.toml")]
struct List {
    frame: Frame,
    here: &'static str,
    rows: Vec<Row>,
}

struct Row {
    key: String,
    path: String,
    version: u32,
    steps: String,
}

#[derive(Template)]
#[template(path = "reminders/sequence.html", config = "src/http/page/askama.toml")]
struct One {
    frame: Frame,
    here: &'static str,
    key: String,
    path: String,
    version: u32,
    steps: Vec<Written>,
    escalate: Option<String>,
    due: String,
    language: String,
    zone: String,
    creditors: Vec<Choice>,
    forecast: Vec<Forecast>,
    /// The obligation it is about, and where that is.
    about: Option<(String, String)>,
}

/// A step as it is written.
struct Written {
    id: String,
    offset: String,
    at: String,
    template: String,
    when: Option<String>,
    grace: String,
    more: String,
}

/// What a step would come to.
struct Forecast {
    step: String,
    /// Between which instants it goes.
    from: Option<When>,
    until: Option<When>,
    template: String,
    text: Option<String>,
    /// What it costs, or why there is none.
    figures: String,
    /// What became of it, where it is over.
    over: Option<String>,
}

pub async fn list(State(app): State<App>, parts: Parts) -> Response {
    page(app, parts, &[], |look| {
        let rows = look.catalog.sequences.iter().filter_map(|(key, versions)| {
            let (version, sequence) = versions.last_key_value()?;
            let steps = sequence.steps.iter().map(|step| step.offset.to_string()).collect::<Vec<_>>();
            Some(Row {
                key: key.to_string(),
                path: format!("/sequences/{}", in_path(key.as_str())),
                version: *version,
                steps: steps.join(", "),
            })
        });
        Ok(List { here: "/sequences", rows: rows.collect(), frame: look.frame })
    })
    .await
}

pub async fn show(State(app): State<App>, key: Segment, parts: Parts) -> Response {
    page(app, parts, &["due", "creditor", "language", "timezone", "obligation"], move |look| {
        made(&key.0, look)
    })
    .await
}

fn made(key: &str, look: Look) -> Result<One, Problem> {
    let key = Key::parse(key).map_err(|_| Problem::not_found())?;
    let about = look.asked.parse("obligation", |text| text.parse::<ObligationId>())?;
    let about = match about {
        None => None,
        Some(id) => Some((id, look.view.obligation(id)?.ok_or_else(Problem::not_found)?)),
    };
    let enrolled = about.as_ref().and_then(|(_, o)| o.enrolment.as_ref()).filter(|e| e.sequence == key);
    let versions = look.catalog.sequences.get(&key).ok_or_else(Problem::not_found)?;
    let found = match enrolled {
        Some(enrolment) => versions.get_key_value(&enrolment.version),
        None => versions.last_key_value(),
    };
    let (version, sequence) = found.ok_or_else(Problem::not_found)?;
    let person = Person::read(&look, about.as_ref().map(|(_, obligation)| obligation))?;
    let forecast = |step| person.forecast(&look, step, about.as_ref().map(|(_, obligation)| obligation));
    Ok(One {
        here: "/sequences",
        path: format!("/sequences/{}", in_path(key.as_str())),
        key: key.to_string(),
        version: *version,
        steps: sequence.steps.iter().map(written).collect(),
        escalate: escalate(sequence),
        due: person.due.to_string(),
        language: person.language.to_string(),
        zone: person.zones.zones().iter().map(Zone::name).collect::<Vec<_>>().join(", "),
        creditors: creditors(&look.catalog, person.creditor.as_ref().map(|creditor| creditor.key.as_str())),
        forecast: sequence.steps.iter().map(forecast).collect(),
        about: about.as_ref().map(|(id, o)| (id.to_string(), visible(o.external_id.as_str(), SHOWN))),
        frame: look.frame,
    })
}

fn written(step: &Step) -> Written {
    let more = [
        step.menu.as_ref().map(|menu| format!("menu {menu}")),
        step.task_after.as_ref().map(|task| format!("then the task {}", plain(task.as_str()))),
    ];
    Written {
        id: step.id.to_string(),
        offset: step.offset.to_string(),
        at: step.at.to_string(),
        template: step.template.to_string(),
        when: step.when.as_ref().map(|when| visible(&when.to_string(), SHOWN)),
        grace: step.grace.to_string(),
        more: more.into_iter().flatten().collect::<Vec<_>>().join(", "),
    }
}

fn escalate(sequence: &Sequence) -> Option<String> {
    let escalate = sequence.escalate.as_ref()?;
    let pause = if escalate.pause { ", and nothing more goes until a person says so" } else { "" };
    let task = plain(escalate.task.as_str());
    Some(format!("After {} reminders a task: {task}{pause}.", escalate.after))
}

/// Whom a forecast is for.
struct Person {
    due: Date,
    creditor: Option<std::sync::Arc<Creditor>>,
    language: Language,
    zones: ZoneSet,
    hours: WeekHours,
    fields: Fields,
}

impl Person {
    /// The one who owes this, or one of whom only what is asked for is known.
    fn read(look: &Look, about: Option<&Obligation>) -> Result<Person, Problem> {
        let catalog = &look.catalog;
        let named = look.asked.parse("creditor", Key::parse)?.or_else(|| about.map(|o| o.creditor.clone()));
        let creditor = named.as_ref().and_then(|key| catalog.creditor(key)).cloned();
        if named.is_some() && creditor.is_none() {
            return Err(Problem::field("creditor", "is not set up"));
        }
        let contact = about.map(|o| look.view.contact(o.contact)).transpose()?.flatten();
        let zone = look.asked.parse("timezone", Zone::parse)?;
        let zones = match zone {
            Some(zone) => ZoneSet::one(zone),
            None => super::words::zones(contact.as_ref(), creditor.as_deref(), &catalog.home).zones,
        };
        let asked = look.asked.parse("language", Language::parse)?;
        let own = contact.as_ref().and_then(|stored| stored.contact.language.clone());
        let fallback = creditor.as_ref().and_then(|creditor| creditor.language.clone());
        let english = Language::parse("en").map_err(|_| Problem::internal())?;
        let due = look.asked.parse("due", day)?.or(about.map(|o| o.due_date));
        let due = due.unwrap_or_else(|| today(&zones, look.now));
        let mut hours = creditor.as_ref().map_or(WeekHours::ALWAYS, |creditor| open_hours(catalog, creditor));
        if let Some(wishes) = contact.as_ref().and_then(|stored| stored.contact.wishes().ok()) {
            hours = hours.narrow(wishes);
        }
        let language = asked.or(own).or(fallback).unwrap_or(english);
        let fields = fields(due, creditor.as_deref(), about, contact.as_ref());
        Ok(Person { due, creditor, language, zones, hours, fields })
    }

    fn forecast(&self, look: &Look, step: &Step, about: Option<&Obligation>) -> Forecast {
        let calendar = self
            .creditor
            .as_ref()
            .and_then(|creditor| look.catalog.calendars.get(creditor.calendar.as_ref()?));
        let timing = StepTiming {
            due: self.due,
            offset: step.offset,
            slot: step.at,
            grace: step.grace,
            calendar: calendar.map(|calendar| &**calendar),
        };
        let noted =
            about.and_then(|o| o.steps.iter().rev().find(|n| n.cycle == o.cycle && n.step == step.id));
        let mut forecast = Forecast {
            step: step.id.to_string(),
            from: None,
            until: None,
            template: step.template.to_string(),
            text: None,
            figures: String::new(),
            over: noted.map(over),
        };
        // The beginning of its slot: within it the dispatch key chooses.
        match step_window(&timing, &self.zones, &self.hours, &[0; 16]) {
            Ok(window) => {
                forecast.from = Some(When::of(window.opens, &self.zones, look.now));
                let until = window.stale_after.min(window.closes);
                forecast.until = Some(When::of(until, &self.zones, look.now));
            }
            Err(why) => {
                forecast.figures = format!("It cannot go: {why}.");
                return forecast;
            }
        }
        (forecast.text, forecast.figures) = self.text(&look.catalog, step);
        forecast
    }

    fn text(&self, catalog: &Catalog, step: &Step) -> (Option<String>, String) {
        let Some(languages) = catalog.templates.get(&step.template) else {
            return (None, String::from("No text: the template is not set up."));
        };
        let has: Vec<Language> = languages.keys().cloned().collect();
        let home = self.creditor.as_ref().and_then(|creditor| creditor.language.clone());
        let picked = pick::pick(
            &has,
            std::slice::from_ref(&self.language),
            &home.unwrap_or_else(|| self.language.clone()),
            true,
        );
        let saved = match picked {
            Ok(language) => languages.get(language),
            Err(_) => None,
        };
        let Some(saved) = saved else {
            return (None, format!("No text: the template is not there in {}.", self.language));
        };
        let template = saved.compiled.template();
        let menu = step.menu.as_ref().or(template.menu.as_ref()).and_then(|key| catalog.menus.get(key));
        let labels: Vec<(u8, &str)> =
            menu.map_or(&[][..], |menu| menu.options()).iter().map(|o| (o.digit, o.label.as_str())).collect();
        let around = Around { menu: &labels, footer: template.class.asks_for_money(), ..Around::default() };
        match saved.compiled.render(&self.fields, around) {
            Ok(rendered) => {
                let plural = if rendered.segment_count == 1 { "" } else { "s" };
                let figures = format!("{} segment{plural}, in {}", rendered.segment_count, template.language);
                (Some(visible(&rendered.text, WHOLE)), figures)
            }
            Err(why) => (None, format!("No text: {why}.")),
        }
    }
}

fn over(note: &StepNote) -> String {
    match &note.how {
        StepOutcome::Gone { .. } => String::from("It went."),
        StepOutcome::Stale { .. } => String::from("Its time passed."),
        StepOutcome::Skipped { gate, rule, .. } => {
            format!("It was left out: {}.", super::words::refusal(gate, None, rule))
        }
        StepOutcome::Unknown { .. } => String::from("Whether it went is not known."),
    }
}

/// What the packs leave open for somebody of whom nothing is known.
fn open_hours(catalog: &Catalog, creditor: &Creditor) -> WeekHours {
    let nowhere = Residence { country: None, region: None };
    let rules = Rules::choose(&catalog.packs, &creditor.packs, creditor.sender_role, nowhere);
    rules.map_or(WeekHours::ALWAYS, |rules| *rules.hours())
}

/// An ordinary case with what is known put in.
fn fields(
    due: Date,
    creditor: Option<&Creditor>,
    about: Option<&Obligation>,
    contact: Option<&crate::engine::reminders::records::StoredContact>,
) -> Fields {
    let mut fields = Fields::sample().with(FieldName::DueDate, Field::Date(due));
    if let Some(creditor) = creditor {
        fields =
            fields.text(FieldName::Creditor, &creditor.name).text(FieldName::CreditorShort, creditor.short());
        if let Some(phone) = &creditor.phone {
            fields = fields.text(FieldName::Phone, phone);
        }
    }
    let Some(o) = about else { return fields };
    fields.set(FieldName::Amount, Field::Money(o.balance()));
    fields.set(FieldName::Total, Field::Money(o.amount));
    fields.set(FieldName::Reference, Field::Text(o.external_id.to_string()));
    let person = contact.map(|stored| &stored.contact);
    let texts = [
        (FieldName::FirstName, person.and_then(|p| p.first_name.as_deref())),
        (FieldName::LastName, person.and_then(|p| p.last_name.as_deref())),
        (FieldName::Company, person.and_then(|p| p.company.as_deref())),
        (FieldName::Description, o.description.as_deref()),
    ];
    for (name, text) in texts {
        match text {
            Some(text) => fields.set(name, Field::Text(text.to_owned())),
            None => fields.remove(&name),
        }
    }
    if o.link.is_none() {
        fields.remove(&FieldName::Link);
    }
    fields
}
