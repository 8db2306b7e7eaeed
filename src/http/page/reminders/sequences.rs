//! `/sequences`: which text goes when, and what a due date or one obligation would come to.
//!
//! The forecast for a due date is of a person of whom nothing is known but a zone: the planner's arithmetic, an
//! ordinary case's text, and no gates. That of an obligation is the engine's own, gates and all.

use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::http::request::Parts;
use axum::response::Response;
use jiff::civil::Date;

use super::forms::day;
use super::obligations::{Choice, creditors};
use super::words::{When, plain};
use super::{Frame, Look, SHOWN, in_path, page};
use crate::clock::Timestamp;
use crate::engine::reminders::Catalog;
use crate::engine::reminders::simulate::{Forecast as Foreseen, Foreseen as Outcome, Stretch};
use crate::http::page::say::visible;
use crate::http::problem::Problem;
use crate::http::reminders::timeline::template_named;
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
/// How far ahead an obligation is foreseen: longer than any sequence that is shipped.
const FORESEEN: Duration = Duration::from_secs(400 * 24 * 3600);
/// Lines of one forecast: a sequence has 32 steps, and each may be refused a few times.
const FORECASTS: usize = 200;

#[derive(Template)]
#[template(path = "reminders/sequences.html", config = "src/http/page/askama.toml")]
struct List {
    frame: Frame,
    here: &'static str,
    rows: Vec<Row>,
    /// Key, where it is, and what its answers do.
    menus: Vec<(String, String, String)>,
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
    text: Option<String>,
    /// What it costs, or why there is none.
    figures: String,
    /// What became of it, where it is over.
    over: Option<String>,
}

impl Forecast {
    fn of(step: &Key) -> Forecast {
        let step = step.to_string();
        Forecast { step, from: None, until: None, text: None, figures: String::new(), over: None }
    }
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
        let menus = look.catalog.menus.values().map(|menu| {
            let answers = menu.options().iter().map(|option| match option.label.as_str() {
                "" => option.digit.to_string(),
                label => format!("{} = {label}", option.digit),
            });
            let answers = visible(&answers.collect::<Vec<_>>().join(", "), SHOWN);
            (menu.key().to_string(), format!("/menus/{}", in_path(menu.key().as_str())), answers)
        });
        Ok(List { here: "/sequences", rows: rows.collect(), menus: menus.collect(), frame: look.frame })
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
    let forecast = match &about {
        Some((id, obligation)) => foreseen(&look, *id, obligation, &person.zones)?,
        None => sequence.steps.iter().map(|step| person.forecast(&look, step)).collect(),
    };
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
        forecast,
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
    /// One of whom only what is asked for is known; of an obligation, where its contact may live.
    fn read(look: &Look, about: Option<&Obligation>) -> Result<Person, Problem> {
        let catalog = &look.catalog;
        let named = look.asked.parse("creditor", Key::parse)?.or_else(|| about.map(|o| o.creditor.clone()));
        let creditor = named.as_ref().and_then(|key| catalog.creditor(key)).cloned();
        if named.is_some() && creditor.is_none() && about.is_none() {
            return Err(Problem::field("creditor", "is not set up"));
        }
        let contact = about.map(|o| look.view.contact(o.contact)).transpose()?.flatten();
        let zone = look.asked.parse("timezone", Zone::parse)?;
        let zones = match zone {
            Some(zone) => ZoneSet::one(zone),
            None => super::words::zones(contact.as_ref(), creditor.as_deref(), &catalog.home).zones,
        };
        let asked = look.asked.parse("language", Language::parse)?;
        let fallback = creditor.as_ref().and_then(|creditor| creditor.language.clone());
        let english = Language::parse("en").map_err(|_| Problem::internal())?;
        let due = look.asked.parse("due", day)?.unwrap_or_else(|| today(&zones, look.now));
        let hours = creditor.as_ref().map_or(WeekHours::ALWAYS, |creditor| open_hours(catalog, creditor));
        let language = asked.or(fallback).unwrap_or(english);
        let fields = fields(due, creditor.as_deref());
        Ok(Person { due, creditor, language, zones, hours, fields })
    }

    fn forecast(&self, look: &Look, step: &Step) -> Forecast {
        let calendar =
            self.creditor.as_ref().and_then(|own| look.catalog.calendars.get(own.calendar.as_ref()?));
        let timing = StepTiming {
            due: self.due,
            offset: step.offset,
            slot: step.at,
            grace: step.grace,
            calendar: calendar.map(|calendar| &**calendar),
        };
        let mut forecast = Forecast::of(&step.id);
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
                let figures = format!(
                    "Template {}, {}: {} segment{plural}.",
                    template.key, template.language, rendered.segment_count
                );
                (Some(visible(&rendered.text, WHOLE)), figures)
            }
            Err(why) => (None, format!("No text: {why}.")),
        }
    }
}

fn over(note: &StepNote, zones: &ZoneSet, now: Timestamp) -> Forecast {
    let (said, at) = match &note.how {
        StepOutcome::Gone { at, .. } => (String::from("It went."), at),
        StepOutcome::Stale { at } => (String::from("Its time passed."), at),
        StepOutcome::Skipped { gate, rule, at } => {
            (format!("It was left out: {}.", super::words::refusal(gate, None, rule)), at)
        }
        StepOutcome::Unknown { at } => (String::from("Whether it went is not known."), at),
    };
    Forecast { over: Some(said), from: Some(When::of(*at, zones, now)), ..Forecast::of(&note.step) }
}

/// What the packs leave open for somebody of whom nothing is known.
fn open_hours(catalog: &Catalog, creditor: &Creditor) -> WeekHours {
    let nowhere = Residence { country: None, region: None };
    let rules = Rules::choose(&catalog.packs, &creditor.packs, creditor.sender_role, nowhere);
    rules.map_or(WeekHours::ALWAYS, |rules| *rules.hours())
}

/// An ordinary case with what is known put in.
fn fields(due: Date, creditor: Option<&Creditor>) -> Fields {
    let mut fields = Fields::sample().with(FieldName::DueDate, Field::Date(due));
    if let Some(creditor) = creditor {
        fields = fields.text(FieldName::Creditor, &creditor.name);
        fields = fields.text(FieldName::CreditorShort, creditor.short());
        if let Some(phone) = &creditor.phone {
            fields = fields.text(FieldName::Phone, phone);
        }
    }
    fields
}

/// What became of the steps of one obligation, and what its engine foresees of the others.
fn foreseen(
    look: &Look,
    id: ObligationId,
    obligation: &Obligation,
    zones: &ZoneSet,
) -> Result<Vec<Forecast>, Problem> {
    let of_cycle = obligation.steps.iter().filter(|note| note.cycle == obligation.cycle);
    let mut lines: Vec<Forecast> = of_cycle.map(|note| over(note, zones, look.now)).collect();
    let to = look.now.saturating_add(FORESEEN);
    let duplicate_window = look.duplicate_window;
    let stretch = Stretch { from: look.now, to, limit: FORECASTS, duplicate_window };
    let simulation = look.view.simulate(&[id], stretch)?;
    lines.extend(simulation.forecasts.iter().map(|one| ahead(one, zones, look.now)));
    Ok(lines)
}

fn ahead(one: &Foreseen, zones: &ZoneSet, now: Timestamp) -> Forecast {
    let mut line = Forecast { from: Some(When::of(one.at, zones, now)), ..Forecast::of(&one.step) };
    match &one.outcome {
        Outcome::Goes { to, template, rendered, .. } => {
            let plural = if rendered.segment_count == 1 { "" } else { "s" };
            let cost = format!("{} segment{plural}", rendered.segment_count);
            let template = visible(&template_named(template), SHOWN);
            line.figures = format!("It goes to {} by the template {template}: {cost}.", to.to_e164());
            line.text = Some(visible(&rendered.text, WHOLE));
        }
        Outcome::Refused { gate, pack, rule, next } => {
            let said = super::words::refusal(gate, pack.as_ref(), rule);
            let again = next.map(|at| format!("asked again {}", When::of(at, zones, now).read));
            let again = again.unwrap_or_else(|| String::from("nothing goes by itself then"));
            line.figures = format!("Refused: {said}; {again}.");
        }
        Outcome::Skipped { gate, rule } => {
            line.figures = format!("Left out: {}.", super::words::refusal(gate, None, rule));
        }
        Outcome::Stale => line.figures = String::from("Its time passes before it can go."),
        Outcome::NoText { why } => line.figures = format!("No text: {}.", visible(why, SHOWN)),
    }
    line
}
