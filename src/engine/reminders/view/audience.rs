//! What a template would come to for those it may go to: the obligations of a filter, each with its own fields,
//! disclosure and menu, as the step that sends it would have them.

use super::{ObligationFilter, Place, Stretch};
use crate::clock::Timestamp;
use crate::engine::ReadError;
use crate::engine::reminders::catalog::Catalog;
use crate::engine::reminders::records::Applied;
use crate::engine::reminders::situation::{RulesCache, Situation};
use crate::engine::view::View;
use crate::reminder::link::{Target, Token};
use crate::reminder::name::Language;
use crate::reminder::obligation::Obligation;
use crate::reminder::pack::Duty;
use crate::reminder::template::preview::{Counter, Preview};
use crate::reminder::template::{Compiled, Field, pick};

/// A preview over a stretch of the obligations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Previewed {
    pub preview: Preview,
    /// Obligations in no sequence, or lacking a contact, a number or rules.
    pub without_situation: u32,
    /// Recipients whose packs have nothing to say in this language.
    pub without_disclosure: u32,
    /// Where the rest of the audience begins.
    pub next: Option<Place>,
}

impl View {
    /// Open obligations that fit, in this template's language.
    pub fn preview(
        &self,
        compiled: &Compiled,
        filter: &ObligationFilter,
        stretch: &Stretch,
        now: Timestamp,
    ) -> Result<Previewed, ReadError> {
        let (catalog, rules) = (self.catalog()?, RulesCache::default());
        let audience = self.obligations(filter, stretch)?;
        let mut told = Told { counter: Counter::new(compiled), without_situation: 0, without_disclosure: 0 };
        for (_, obligation) in audience.rows.iter().filter(|(_, obligation)| obligation.status.is_open()) {
            match Situation::read(&Applied(&*self.state), &catalog, &rules, obligation)? {
                Ok(situation) => told.add(compiled, &catalog, &situation, obligation, now),
                Err(_) => told.without_situation += 1,
            }
        }
        Ok(Previewed {
            preview: told.counter.finish(),
            without_situation: told.without_situation,
            without_disclosure: told.without_disclosure,
            next: audience.next,
        })
    }
}

struct Told {
    counter: Counter,
    without_situation: u32,
    without_disclosure: u32,
}

impl Told {
    fn add(
        &mut self,
        compiled: &Compiled,
        catalog: &Catalog,
        situation: &Situation,
        obligation: &Obligation,
        now: Timestamp,
    ) {
        let template = compiled.template();
        if !gets(compiled, catalog, situation) {
            return;
        }
        let numbers = situation.numbers(obligation);
        let Ok(disclosure) = situation.disclosure(template.class, &template.language, numbers) else {
            self.without_disclosure += 1;
            return;
        };
        let menu = template.menu.as_ref().and_then(|key| catalog.menus.get(key));
        let options: Vec<(u8, &str)> = menu
            .map(|menu| menu.options().iter().map(|o| (o.digit, o.label.as_str())).collect())
            .unwrap_or_default();
        let frame = situation.frame(template.class, numbers, disclosure.as_deref(), &options);
        let link = link_like(situation, obligation);
        self.counter.add(compiled, frame, &situation.fields(obligation, link.as_deref(), now));
    }
}

/// Whether this recipient's text would be in the template's language.
fn gets(compiled: &Compiled, catalog: &Catalog, situation: &Situation) -> bool {
    let template = compiled.template();
    let mut has: Vec<Language> = catalog
        .templates
        .get(&template.key)
        .into_iter()
        .flatten()
        .map(|(language, _)| language.clone())
        .collect();
    if !has.contains(&template.language) {
        has.push(template.language.clone());
    }
    let wanted: Vec<Language> = situation.contact.contact.language.iter().cloned().collect();
    let Some(home) = situation.creditor.language.clone().or_else(|| Language::parse("en").ok()) else {
        return false;
    };
    let may_fall_back = situation.rules.demands(Duty::OwnLanguage).is_none();
    pick::pick(&has, &wanted, &home, may_fall_back).is_ok_and(|language| *language == template.language)
}

/// As long as the recipient's own link, which is nobody's to see before it goes.
fn link_like(situation: &Situation, obligation: &Obligation) -> Option<String> {
    let target = Target::parse(obligation.link.as_deref()?, &situation.creditor.link_hosts).ok()?;
    match target.for_recipient(Token::from_random([0; 8])) {
        Field::Link(link) => Some(link),
        _ => None,
    }
}
