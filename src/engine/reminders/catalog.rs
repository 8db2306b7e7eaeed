//! What a firm set up, in memory: read at start, changed by the core, shared with whoever previews or simulates.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::change::{ChangeRefusal, Changed, How, Subject};
use super::debts::Made;
use super::routes::RouteClasses;
use crate::engine::core::{Core, Work};
use crate::reminder::calendar::Calendar;
use crate::reminder::creditor::Creditor;
use crate::reminder::import::Mapping;
use crate::reminder::menu::Menu;
use crate::reminder::name::{Key, Language};
use crate::reminder::pack::Pack;
use crate::reminder::sequence::Sequence;
use crate::reminder::template::{Compiled, Template};
use crate::reminder::trigger::{Act, ON_ONE_EVENT_MAX, On, RULES_MAX, Trigger};
use crate::reminder::zone::Zone;
use crate::store::{Read, StoreError, keys, record};

/// Records of one kind at most: they are in memory, and a person looks after each.
pub const OF_A_KIND_MAX: usize = 5_000;

/// Languages of one template at most.
pub const LANGUAGES_MAX: usize = 64;
/// Versions of one sequence at most: each that was used is kept for what still runs by it.
pub const VERSIONS_MAX: usize = 1_000;
/// Records of one kind with all languages or versions.
pub const RECORDS_MAX: usize = 20_000;

/// Letters of the kinds in keys.
mod letter {
    pub const CREDITOR: u8 = b'c';
    pub const TEMPLATE: u8 = b't';
    pub const MENU: u8 = b'm';
    pub const SEQUENCE: u8 = b's';
    pub const PACK: u8 = b'p';
    pub const CALENDAR: u8 = b'k';
    pub const MAPPING: u8 = b'i';
    pub const RULE: u8 = b'r';
}

/// A version of something set up; versions begin at 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versioned<T> {
    pub version: u32,
    pub value: T,
}

/// A template with its version, ready to render.
#[derive(Clone, Debug)]
pub struct Saved {
    pub version: u32,
    pub compiled: Compiled,
}

/// All of it.
#[derive(Clone, Debug)]
pub struct Catalog {
    pub creditors: BTreeMap<Key, Arc<Creditor>>,
    pub templates: BTreeMap<Key, BTreeMap<Language, Saved>>,
    pub menus: BTreeMap<Key, Arc<Menu>>,
    /// By key, all versions that were ever used.
    pub sequences: BTreeMap<Key, BTreeMap<u32, Arc<Sequence>>>,
    pub packs: BTreeMap<Key, Arc<Pack>>,
    pub calendars: BTreeMap<Key, Arc<Calendar>>,
    /// Formats of the firm's files.
    pub mappings: BTreeMap<Key, Arc<Mapping>>,
    pub rules: BTreeMap<Key, Arc<Trigger>>,
    /// The firm's own zone.
    pub home: Zone,
    /// What links are called in packs.
    pub routes: Arc<RouteClasses>,
}

impl Catalog {
    /// What is there before a firm set anything up: the packs and calendars that are part of the program.
    pub fn shipped(home: Zone) -> Catalog {
        let packs = Pack::shipped().unwrap_or_default().into_iter();
        let calendars = Calendar::shipped().unwrap_or_default().into_iter();
        Catalog {
            creditors: BTreeMap::new(),
            templates: BTreeMap::new(),
            menus: BTreeMap::new(),
            sequences: BTreeMap::new(),
            packs: packs.map(|pack| (pack.key.clone(), Arc::new(pack))).collect(),
            calendars: calendars.map(|calendar| (calendar.key().clone(), Arc::new(calendar))).collect(),
            mappings: BTreeMap::new(),
            rules: BTreeMap::new(),
            home,
            routes: Arc::default(),
        }
    }

    pub fn creditor(&self, key: &Key) -> Option<&Arc<Creditor>> {
        self.creditors.get(key)
    }

    /// The latest version.
    pub fn sequence(&self, key: &Key) -> Option<Versioned<&Arc<Sequence>>> {
        let (version, value) = self.sequences.get(key)?.last_key_value()?;
        Some(Versioned { version: *version, value })
    }

    pub fn sequence_at(&self, key: &Key, version: u32) -> Option<&Arc<Sequence>> {
        self.sequences.get(key)?.get(&version)
    }

    /// The rules on an event, by key.
    pub fn rules_on(&self, on: On) -> impl Iterator<Item = &Arc<Trigger>> {
        self.rules.values().filter(move |rule| rule.on == on)
    }

    /// Reads what the firm set up over what is shipped.
    pub fn load(home: Zone, state: &dyn Read) -> Result<Catalog, StoreError> {
        let mut catalog = Catalog::shipped(home);
        for creditor in stored::<Creditor>(state, letter::CREDITOR)? {
            catalog.creditors.insert(creditor.key.clone(), Arc::new(creditor));
        }
        for saved in stored::<Versioned<Template>>(state, letter::TEMPLATE)? {
            catalog.keep_template(saved)?;
        }
        for menu in stored::<Menu>(state, letter::MENU)? {
            catalog.menus.insert(menu.key().clone(), Arc::new(menu));
        }
        for Versioned { version, value } in stored::<Versioned<Sequence>>(state, letter::SEQUENCE)? {
            let versions = catalog.sequences.entry(value.key.clone()).or_default();
            versions.insert(version, Arc::new(value));
        }
        for pack in stored::<Pack>(state, letter::PACK)? {
            catalog.packs.insert(pack.key.clone(), Arc::new(pack));
        }
        for calendar in stored::<Calendar>(state, letter::CALENDAR)? {
            catalog.calendars.insert(calendar.key().clone(), Arc::new(calendar));
        }
        for (name, mapping) in stored::<(Key, Mapping)>(state, letter::MAPPING)? {
            catalog.mappings.insert(name, Arc::new(mapping));
        }
        for rule in stored::<Trigger>(state, letter::RULE)? {
            catalog.rules.insert(rule.key.clone(), Arc::new(rule));
        }
        Ok(catalog)
    }

    fn keep_template(&mut self, saved: Versioned<Template>) -> Result<(), StoreError> {
        let (key, language) = (saved.value.key.clone(), saved.value.language.clone());
        let compiled = Compiled::new(saved.value);
        let compiled = compiled.map_err(|bad| StoreError::Damaged(format!("the template {key}: {bad}")))?;
        let languages = self.templates.entry(key).or_default();
        languages.insert(language, Saved { version: saved.version, compiled });
        Ok(())
    }
}

fn stored<T: DeserializeOwned>(state: &dyn Read, kind: u8) -> Result<Vec<T>, StoreError> {
    let (from, to) = keys::under(keys::set_up(kind, ""));
    let entries = state.scan(&from, &to, RECORDS_MAX + 1)?;
    if entries.len() > RECORDS_MAX {
        // To go on without some of it would be to remind by other rules than the firm's.
        let kind = char::from(kind);
        return Err(StoreError::Damaged(format!(
            "more than {RECORDS_MAX} records of the kind {kind} are set up"
        )));
    }
    entries.iter().map(|(_, value)| record::decode(value)).collect()
}

/// The limit that one more record would break: of names, of records of one name (`own`: how many it has, `None` where
/// it is new), or of all records.
fn full(names: usize, (own, own_max): (Option<usize>, usize), all: impl Fn() -> usize) -> Option<usize> {
    match own {
        None if names >= OF_A_KIND_MAX => Some(OF_A_KIND_MAX),
        Some(own) if own >= own_max => Some(own_max),
        _ => (all() >= RECORDS_MAX).then_some(RECORDS_MAX),
    }
}

fn named(how: How, version: u32) -> Made {
    Ok(Ok(Changed { subject: Subject::Named, how, version: u64::from(version) }))
}

fn bad(field: &'static str, why: &dyn std::fmt::Display) -> Made {
    Ok(Err(ChangeRefusal::Field { field, why: why.to_string() }))
}

/// Which field of a rule names what is not there, or asks for too much.
fn unfit_rule(catalog: &Catalog, rule: &Trigger) -> Option<(&'static str, String)> {
    if let Some(Err(why)) = rule.when.as_ref().map(|when| when.check(super::situation::condition_kind)) {
        return Some(("when", why.to_string()));
    }
    if let Some(creditor) = rule.creditor.as_ref().filter(|key| catalog.creditor(key).is_none()) {
        return Some(("creditor", format!("there is no creditor {creditor}")));
    }
    match &rule.act {
        Act::Enrol(key) if catalog.sequence(key).is_none() => {
            return Some(("do", format!("there is no sequence {key}")));
        }
        Act::Send(key) => {
            let Some(languages) = catalog.templates.get(key) else {
                return Some(("do", format!("there is no template {key}")));
            };
            if languages.values().any(|saved| saved.compiled.template().menu.is_some()) {
                return Some(("do", format!("the template {key} has a menu, and answers belong to steps")));
            }
        }
        _ => {}
    }
    let others = catalog.rules_on(rule.on).filter(|other| other.key != rule.key).count();
    (others >= ON_ONE_EVENT_MAX)
        .then(|| ("on", format!("{ON_ONE_EVENT_MAX} rules wait for {} already", rule.on.as_str())))
}

impl Core {
    fn catalog(&mut self) -> &mut Catalog {
        Arc::make_mut(&mut self.reminders.catalog)
    }

    pub(super) fn set_creditor(&mut self, creditor: Creditor, work: &mut Work) -> Made {
        let catalog = &self.reminders.catalog;
        if let Some(pack) = creditor.packs.iter().find(|pack| !catalog.packs.contains_key(*pack)) {
            return bad("packs", &format!("there is no pack {pack}"));
        }
        if let Some(calendar) = creditor.calendar.as_ref().filter(|key| !catalog.calendars.contains_key(*key))
        {
            return bad("calendar", &format!("there is no calendar {calendar}"));
        }
        if creditor.name.trim().is_empty() {
            return bad("name", &"must not be empty");
        }
        if creditor.sender.as_deref().is_some_and(|sender| crate::message::Sender::parse(sender).is_err()) {
            return bad("sender", &crate::message::body::BadSender);
        }
        let known = catalog.creditors.get(&creditor.key);
        if known.is_some_and(|known| **known == creditor) {
            return named(How::Unchanged, 1);
        }
        let how = if known.is_some() { How::Changed } else { How::Created };
        if known.is_none() && catalog.creditors.len() >= OF_A_KIND_MAX {
            return Ok(Err(ChangeRefusal::Full(OF_A_KIND_MAX)));
        }
        work.txn.put(keys::set_up(letter::CREDITOR, creditor.key.as_str()), &creditor);
        self.catalog().creditors.insert(creditor.key.clone(), Arc::new(creditor));
        self.reminders.forget_rules();
        // What is planned by it is not planned anew here, nor for a pack or calendar: each obligation meets the change
        // when its step is due, and is judged and made by what holds then.
        named(how, 1)
    }

    pub(super) fn set_template(&mut self, template: Template, expect: Option<u32>, work: &mut Work) -> Made {
        let known =
            self.reminders.catalog.templates.get(&template.key).and_then(|l| l.get(&template.language));
        let version = known.map_or(0, |saved| saved.version);
        if expect.is_some_and(|expected| expected != version) {
            return Ok(Err(ChangeRefusal::Conflict { version: u64::from(version) }));
        }
        if known.is_some_and(|saved| *saved.compiled.template() == template) {
            return named(How::Unchanged, version);
        }
        if let Some(menu) =
            template.menu.as_ref().filter(|key| !self.reminders.catalog.menus.contains_key(*key))
        {
            return bad("menu", &format!("there is no menu {menu}"));
        }
        if let Err(fault) = Compiled::new(template.clone()) {
            return bad("body", &fault);
        }
        let how = if version == 0 { How::Created } else { How::Changed };
        let templates = &self.reminders.catalog.templates;
        let languages = templates.get(&template.key).map(BTreeMap::len);
        let all = || templates.values().map(BTreeMap::len).sum();
        if version == 0
            && let Some(most) = full(templates.len(), (languages, LANGUAGES_MAX), all)
        {
            return Ok(Err(ChangeRefusal::Full(most)));
        }
        let saved = Versioned { version: version + 1, value: template };
        let name = format!("{}/{}", saved.value.key, saved.value.language);
        work.txn.put(keys::set_up(letter::TEMPLATE, &name), &saved);
        self.catalog().keep_template(saved)?;
        named(how, version + 1)
    }

    pub(super) fn set_menu(&mut self, menu: Menu, work: &mut Work) -> Made {
        let known = self.reminders.catalog.menus.get(menu.key());
        if known.is_some_and(|known| **known == menu) {
            return named(How::Unchanged, 1);
        }
        let how = if known.is_some() { How::Changed } else { How::Created };
        if known.is_none() && self.reminders.catalog.menus.len() >= OF_A_KIND_MAX {
            return Ok(Err(ChangeRefusal::Full(OF_A_KIND_MAX)));
        }
        work.txn.put(keys::set_up(letter::MENU, menu.key().as_str()), &menu);
        self.catalog().menus.insert(menu.key().clone(), Arc::new(menu));
        named(how, 1)
    }

    /// Another text of a known key is its next version; what runs stays with the one it began with.
    pub(super) fn set_sequence(&mut self, sequence: Sequence, work: &mut Work) -> Made {
        if let Err(fault) = sequence.check() {
            return bad("steps", &fault);
        }
        let catalog = &self.reminders.catalog;
        for step in &sequence.steps {
            if !catalog.templates.contains_key(&step.template) {
                return bad(
                    "template",
                    &format!("there is no template {} for step {}", step.template, step.id),
                );
            }
            if let Some(Err(why)) =
                step.when.as_ref().map(|when| when.check(super::situation::condition_kind))
            {
                return bad("when", &format!("of step {}: {why}", step.id));
            }
            if let Some(menu) = step.menu.as_ref().filter(|key| !catalog.menus.contains_key(*key)) {
                return bad("menu", &format!("there is no menu {menu} for step {}", step.id));
            }
        }
        let known = catalog.sequence(&sequence.key);
        let version = known.as_ref().map_or(0, |known| known.version);
        if known.is_some_and(|known| **known.value == sequence) {
            return named(How::Unchanged, version);
        }
        let versions = catalog.sequences.get(&sequence.key).map(BTreeMap::len);
        let all = || catalog.sequences.values().map(BTreeMap::len).sum();
        if let Some(most) = full(catalog.sequences.len(), (versions, VERSIONS_MAX), all) {
            return Ok(Err(ChangeRefusal::Full(most)));
        }
        let how = if version == 0 { How::Created } else { How::Changed };
        let saved = Versioned { version: version + 1, value: sequence };
        let name = format!("{}/{:010}", saved.value.key, saved.version);
        work.txn.put(keys::set_up(letter::SEQUENCE, &name), &saved);
        let versions = self.catalog().sequences.entry(saved.value.key.clone()).or_default();
        versions.insert(saved.version, Arc::new(saved.value));
        named(how, version + 1)
    }

    pub(super) fn set_pack(&mut self, pack: Pack, work: &mut Work) -> Made {
        if let Err(fault) = pack.check() {
            return bad("pack", &fault);
        }
        let known = self.reminders.catalog.packs.get(&pack.key);
        if known.is_some_and(|known| **known == pack) {
            return named(How::Unchanged, 1);
        }
        let how = if known.is_some() { How::Changed } else { How::Created };
        if known.is_none() && self.reminders.catalog.packs.len() >= OF_A_KIND_MAX {
            return Ok(Err(ChangeRefusal::Full(OF_A_KIND_MAX)));
        }
        work.txn.put(keys::set_up(letter::PACK, pack.key.as_str()), &pack);
        self.catalog().packs.insert(pack.key.clone(), Arc::new(pack));
        self.reminders.forget_rules();
        named(how, 1)
    }

    pub(super) fn set_mapping(&mut self, name: Key, mapping: Option<Mapping>, work: &mut Work) -> Made {
        let known = self.reminders.catalog.mappings.get(&name);
        let place = keys::set_up(letter::MAPPING, name.as_str());
        let Some(mapping) = mapping else {
            if known.is_none() {
                return Ok(Err(ChangeRefusal::NotFound { what: "mapping" }));
            }
            work.txn.delete(place);
            self.catalog().mappings.remove(&name);
            return named(How::Changed, 0);
        };
        if let Err(fault) = mapping.check() {
            return bad("mapping", &fault);
        }
        if known.is_some_and(|known| **known == mapping) {
            return named(How::Unchanged, 1);
        }
        let how = if known.is_some() { How::Changed } else { How::Created };
        if known.is_none() && self.reminders.catalog.mappings.len() >= OF_A_KIND_MAX {
            return Ok(Err(ChangeRefusal::Full(OF_A_KIND_MAX)));
        }
        work.txn.put(place, &(&name, &mapping));
        self.catalog().mappings.insert(name, Arc::new(mapping));
        named(how, 1)
    }

    /// `None`: it ends; what it left to be done later is not done.
    pub(super) fn set_rule(&mut self, key: Key, rule: Option<Trigger>, work: &mut Work) -> Made {
        let catalog = &self.reminders.catalog;
        let known = catalog.rules.get(&key);
        let place = keys::set_up(letter::RULE, key.as_str());
        let Some(rule) = rule else {
            if known.is_none() {
                return Ok(Err(ChangeRefusal::NotFound { what: "rule" }));
            }
            work.txn.delete(place);
            self.catalog().rules.remove(&key);
            return named(How::Changed, 0);
        };
        if let Some((field, why)) = unfit_rule(catalog, &rule) {
            return bad(field, &why);
        }
        if known.is_some_and(|known| **known == rule) {
            return named(How::Unchanged, 1);
        }
        let how = if known.is_some() { How::Changed } else { How::Created };
        if known.is_none() && catalog.rules.len() >= RULES_MAX {
            return Ok(Err(ChangeRefusal::Full(RULES_MAX)));
        }
        work.txn.put(place, &rule);
        self.catalog().rules.insert(key, Arc::new(rule));
        named(how, 1)
    }

    pub(super) fn set_calendar(&mut self, calendar: Calendar, work: &mut Work) -> Made {
        let known = self.reminders.catalog.calendars.get(calendar.key());
        if known.is_some_and(|known| **known == calendar) {
            return named(How::Unchanged, 1);
        }
        let how = if known.is_some() { How::Changed } else { How::Created };
        if known.is_none() && self.reminders.catalog.calendars.len() >= OF_A_KIND_MAX {
            return Ok(Err(ChangeRefusal::Full(OF_A_KIND_MAX)));
        }
        work.txn.put(keys::set_up(letter::CALENDAR, calendar.key().as_str()), &calendar);
        self.catalog().calendars.insert(calendar.key().clone(), Arc::new(calendar));
        named(how, 1)
    }
}
