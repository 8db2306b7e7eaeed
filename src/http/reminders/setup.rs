//! What a firm sets up by key and once: creditors, menus, sequences, packs, calendars, rules. All six have the same
//! calls; a sequence has its versions and its steps for a due date besides, and a rule can be deleted.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::get;
use jiff::civil::Date;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::body::{Caller, answer, change, key, only, page, tagged, written_by};
use super::holidays;
use crate::engine::Change;
use crate::engine::reminders::catalog::Catalog;
use crate::engine::reminders::terms;
use crate::http::auth::Scope;
use crate::http::listing::Wish;
use crate::http::problem::{FieldError, Problem};
use crate::http::{App, Segment, no_query, query};
use crate::reminder::calendar::Calendar;
use crate::reminder::creditor::Creditor;
use crate::reminder::hours::WeekHours;
use crate::reminder::menu::Menu;
use crate::reminder::name::Key;
use crate::reminder::pack::{Pack, Residence};
use crate::reminder::rules::Rules;
use crate::reminder::schedule::{self, StepTiming};
use crate::reminder::sequence::Sequence;
use crate::reminder::trigger::Trigger;
use crate::reminder::zone::{Zone, ZoneSet};

/// One kind of what is set up.
pub trait SetUp: Serialize + DeserializeOwned + Send + Sync + 'static {
    fn key(&self) -> &Key;
    fn find(catalog: &Catalog, key: &str) -> Option<Value>;
    fn keys(catalog: &Catalog) -> Vec<&Key>;
    /// What it must have now where a change names it.
    fn tag(catalog: &Catalog, key: &str) -> Option<u64>;
    fn change(self) -> Change;

    /// Who may change it.
    const SCOPE: Scope;
}

fn shown<T: Serialize>(of: &T) -> Value {
    serde_json::to_value(of).unwrap_or_default()
}

fn found<T: Serialize>(map: &BTreeMap<Key, Arc<T>>, key: &str) -> Option<Value> {
    map.get(key).map(|kept| shown(&**kept))
}

macro_rules! set_up {
    ($($kind:ty, $map:ident, $scope:ident, |$value:ident| $key:expr, $change:expr;)*) => {
        $(impl SetUp for $kind {
            fn key(&self) -> &Key {
                let $value = self;
                $key
            }

            fn find(catalog: &Catalog, key: &str) -> Option<Value> {
                found(&catalog.$map, key)
            }

            fn keys(catalog: &Catalog) -> Vec<&Key> {
                catalog.$map.keys().collect()
            }

            fn tag(catalog: &Catalog, key: &str) -> Option<u64> {
                catalog.$map.get(key).map(|kept| terms::tag(&**kept))
            }

            fn change(self) -> Change {
                $change(self)
            }

            const SCOPE: Scope = Scope::$scope;
        })*
    };
}

set_up! {
    Creditor, creditors, Reminders, |it| &it.key, |it| Change::Creditor(Box::new(it));
    Menu, menus, Reminders, |it| it.key(), Change::Menu;
    Pack, packs, Admin, |it| &it.key, |it| Change::Pack(Box::new(it));
    Calendar, calendars, Reminders, |it| it.key(), |it| Change::Calendar(Box::new(it));
    Trigger, rules, Reminders, |it| &it.key, |it: Trigger| {
        Change::Rule { key: it.key.clone(), rule: Some(Box::new(it)) }
    };
}

impl SetUp for Sequence {
    fn key(&self) -> &Key {
        &self.key
    }

    fn find(catalog: &Catalog, key: &str) -> Option<Value> {
        let (version, sequence) = catalog.sequences.get(key)?.last_key_value()?;
        Some(sequence_json(*version, sequence))
    }

    fn keys(catalog: &Catalog) -> Vec<&Key> {
        catalog.sequences.keys().collect()
    }

    fn tag(catalog: &Catalog, key: &str) -> Option<u64> {
        catalog.sequences.get(key)?.last_key_value().map(|(version, _)| u64::from(*version))
    }

    fn change(self) -> Change {
        Change::Sequence(Box::new(self))
    }

    const SCOPE: Scope = Scope::Reminders;
}

/// As it is written, with its version.
pub fn sequence_json(version: u32, sequence: &Sequence) -> Value {
    let mut json = shown(sequence);
    if let Value::Object(members) = &mut json {
        members.insert(String::from("version"), version.into());
    }
    json
}

pub fn routes() -> Router<App> {
    kind::<Creditor>("/v1/creditors").merge(kind::<Menu>("/v1/menus")).merge(kind::<Pack>("/v1/packs")).merge(
        Router::new()
            .route("/v1/calendars", get(list::<Calendar>).post(make::<Calendar>))
            .route("/v1/calendars/{key}", get(look::<Calendar>).put(put_calendar))
            .route("/v1/rules", get(list::<Trigger>).post(make::<Trigger>))
            .route("/v1/rules/{key}", get(look::<Trigger>).put(put::<Trigger>).delete(remove_rule))
            .route("/v1/sequences", get(list::<Sequence>).post(make::<Sequence>))
            .route("/v1/sequences/{key}", get(look_sequence).put(put::<Sequence>))
            .route("/v1/sequences/{key}/simulate", get(steps)),
    )
}

fn kind<T: SetUp>(path: &str) -> Router<App> {
    Router::new()
        .route(path, get(list::<T>).post(make::<T>))
        .route(&format!("{path}/{{key}}"), get(look::<T>).put(put::<T>))
}

async fn list<T: SetUp>(State(app): State<App>, parts: Parts) -> Result<Response, Problem> {
    app.allow(&parts, Scope::Read).await?;
    let wish = Wish::parse(query(&parts.uri)?, false, |_, _| Ok(false))?;
    let after = wish.cursor(|text| Key::parse(text).ok())?;
    let catalog = app.engine().view().catalog()?;
    let (keys, next) = stretch_of(T::keys(&catalog), after.as_ref(), &wish);
    let rows = keys.iter().filter_map(|key| T::find(&catalog, key.as_str())).collect();
    Ok(page(rows, next.map(|key| key.to_string())))
}

/// Of names in order those of one page, and the last one where there are more.
pub fn stretch_of<'a, K: Ord>(
    names: Vec<&'a K>,
    after: Option<&K>,
    wish: &Wish,
) -> (Vec<&'a K>, Option<&'a K>) {
    let mut names = names;
    if wish.newest_first {
        names.reverse();
    }
    let passed = |name: &&K| match after {
        None => false,
        Some(after) if wish.newest_first => *name >= after,
        Some(after) => *name <= after,
    };
    let mut rest = names.into_iter().skip_while(passed);
    let page: Vec<&K> = rest.by_ref().take(wish.limit).collect();
    let next = rest.next().and_then(|_| page.last().copied());
    (page, next)
}

async fn look<T: SetUp>(State(app): State<App>, key: Segment, parts: Parts) -> Result<Response, Problem> {
    app.allow(&parts, Scope::Read).await?;
    no_query(&parts.uri)?;
    let catalog = app.engine().view().catalog()?;
    let found = T::find(&catalog, &key.0).ok_or_else(Problem::not_found)?;
    let tag = T::tag(&catalog, &key.0).unwrap_or_default();
    Ok(tagged(crate::http::json(StatusCode::OK, &found), tag))
}

async fn make<T: SetUp>(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let (parts, by, wanted) = written_by::<T>(&app, request, T::SCOPE).await?;
    no_query(&parts.uri)?;
    keep(&app, wanted, by).await
}

async fn put<T: SetUp>(State(app): State<App>, key: Segment, request: Request) -> Result<Response, Problem> {
    let (parts, by, wanted) = written_by::<T>(&app, request, T::SCOPE).await?;
    no_query(&parts.uri)?;
    if wanted.key().as_str() != key.0 {
        return Err(Problem::field("key", "is not the one in the address"));
    }
    keep(&app, wanted, by).await
}

/// As JSON the whole calendar; as a file of holidays those alone.
async fn put_calendar(State(app): State<App>, key: Segment, request: Request) -> Result<Response, Problem> {
    let Some(file) = holidays::kind_of(request.headers()) else {
        return put::<Calendar>(State(app), key, request).await;
    };
    let (parts, body) = request.into_parts();
    let name = app.allow(&parts, Scope::Reminders).await?;
    no_query(&parts.uri)?;
    let by = Caller::without_body(name, &parts)?;
    let holidays = holidays::read(&app, &parts.headers, body, file).await?;
    let name = Key::parse(&key.0).map_err(|why| Problem::field("key", why.to_string()))?;
    let catalog = app.engine().view().catalog()?;
    let known = catalog.calendars.get(&name).map(|calendar| Calendar::clone(calendar));
    let calendar = known.unwrap_or_else(|| Calendar::blank(name)).with_holidays(holidays);
    keep(&app, calendar.map_err(|why| Problem::field("holidays", why.to_string()))?, by).await
}

async fn keep<T: SetUp>(app: &App, wanted: T, by: Caller) -> Result<Response, Problem> {
    let key = wanted.key().clone();
    let changed = change(app, wanted.change(), by, "").await?;
    let catalog = app.engine().view().catalog()?;
    let tag = T::tag(&catalog, key.as_str()).unwrap_or_default();
    Ok(tagged(answer(changed.how, T::find(&catalog, key.as_str()).unwrap_or_default()), tag))
}

/// Rules alone can be deleted: nothing else names them.
async fn remove_rule(State(app): State<App>, wanted: Segment, parts: Parts) -> Result<Response, Problem> {
    let name = app.allow(&parts, Scope::Reminders).await?;
    no_query(&parts.uri)?;
    let by = Caller::without_body(name, &parts)?;
    let key = Key::parse(&wanted.0).map_err(|_| Problem::not_found())?;
    change(&app, Change::Rule { key, rule: None }, by, "rule").await?;
    Ok(crate::http::json(StatusCode::OK, &json!({})))
}

/// The latest version, or the one that the query names.
async fn look_sequence(State(app): State<App>, key: Segment, parts: Parts) -> Result<Response, Problem> {
    app.allow(&parts, Scope::Read).await?;
    let number = |text: &str| text.parse::<u32>().map_err(|_| String::from("must be a whole number"));
    let version = only(&parts, "version", number)?;
    let catalog = app.engine().view().catalog()?;
    let versions = catalog.sequences.get(key.0.as_str()).ok_or_else(Problem::not_found)?;
    let upto = version.map_or(Bound::Unbounded, Bound::Included);
    let found = versions.range((Bound::Unbounded, upto)).next_back();
    let found = found.filter(|(found, _)| version.is_none_or(|wanted| wanted == **found));
    let (version, sequence) = found.ok_or_else(Problem::not_found)?;
    Ok(tagged(crate::http::json(StatusCode::OK, &sequence_json(*version, sequence)), u64::from(*version)))
}

/// What is known of the recipients of a sequence that is tried out.
#[derive(Default)]
struct Trial {
    date: Option<Date>,
    creditor: Option<Key>,
    timezone: Option<Zone>,
}

impl Trial {
    fn parse(parts: &Parts) -> Result<Trial, Problem> {
        let mut trial = Trial::default();
        let mut errors = Vec::new();
        for (name, value) in query(&parts.uri)? {
            if let Err(why) = trial.set(&name, &value) {
                errors.push(FieldError::new(name.chars().take(40).collect::<String>(), why));
            }
        }
        if errors.is_empty() { Ok(trial) } else { Err(Problem::fields(errors)) }
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "date" => {
                let date = value.parse().map_err(|_| "must be a date as 2026-03-10");
                self.date = Some(date?);
            }
            "creditor" => self.creditor = Some(key(value)?),
            "timezone" => self.timezone = Some(Zone::parse(value).map_err(|e| e.to_string())?),
            _ => return Err(String::from("is not a parameter of this call")),
        }
        Ok(())
    }
}

/// When its steps would go for one due date, in one zone: a person without wishes of their own, nothing paid.
async fn steps(State(app): State<App>, key: Segment, parts: Parts) -> Result<Response, Problem> {
    app.allow(&parts, Scope::Read).await?;
    let trial = Trial::parse(&parts)?;
    let due = trial.date.ok_or_else(|| Problem::field("date", "is required: the due date"))?;
    let catalog = app.engine().view().catalog()?;
    let (version, sequence) = catalog
        .sequences
        .get(key.0.as_str())
        .and_then(|versions| versions.last_key_value())
        .ok_or_else(Problem::not_found)?;
    let creditor = match &trial.creditor {
        None => None,
        Some(key) => Some(catalog.creditor(key).ok_or_else(|| Problem::field("creditor", "is not set up"))?),
    };
    let zone = trial.timezone.or_else(|| creditor.and_then(|creditor| creditor.timezone.clone()));
    let zone = zone.unwrap_or_else(|| catalog.home.clone());
    let hours = creditor.map_or(WeekHours::ALWAYS, |creditor| hours_of(&catalog, creditor));
    let calendar = creditor.and_then(|creditor| catalog.calendars.get(creditor.calendar.as_ref()?));
    let zones = ZoneSet::one(zone.clone());
    let steps: Vec<Value> = sequence
        .steps
        .iter()
        .map(|step| {
            let timing = StepTiming {
                due,
                offset: step.offset,
                slot: step.at,
                grace: step.grace,
                calendar: calendar.map(|calendar| &**calendar),
            };
            match schedule::step_window(&timing, &zones, &hours, &[0; 16]) {
                Ok(window) => json!({
                    "step": step.id, "template": step.template, "date": window.date,
                    "opens_at": window.opens, "closes_at": window.closes, "stale_after": window.stale_after,
                }),
                Err(why) => json!({"step": step.id, "template": step.template, "refused": why.to_string()}),
            }
        })
        .collect();
    Ok(crate::http::json(
        StatusCode::OK,
        &json!({"sequence": sequence.key, "version": version, "due_date": due,
            "timezone": zone.name(), "steps": steps}),
    ))
}

/// What the packs leave open for somebody of whom nothing is known.
fn hours_of(catalog: &Catalog, creditor: &Creditor) -> WeekHours {
    let home = Residence { country: None, region: None };
    let rules = Rules::choose(&catalog.packs, &creditor.packs, creditor.sender_role, home);
    rules.map_or(WeekHours::ALWAYS, |rules| *rules.hours())
}
