//! What the next step of an obligation comes to at an instant: one decision for the feed, `simulate` and rehearsals.

use super::catalog::Catalog;
use super::plan::{Next, plan};
use super::situation::{Circumstances, Situation};
use crate::clock::Timestamp;
use crate::reminder::enrolment::AskedMenu;
use crate::reminder::gate::Refusal;
use crate::reminder::menu::Menu;
use crate::reminder::name::Key;
use crate::reminder::obligation::Obligation;
use crate::reminder::schedule;
use crate::reminder::template::Rendered;

/// A text that may go now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    pub step: Key,
    pub rendered: Rendered,
    /// Key, language and version.
    pub template: String,
    pub menu: Option<AskedMenu>,
    /// Not delivered after this.
    pub until: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// No step is due.
    NotDue,
    Go(Box<Proposal>),
    /// The step is over without a gate: its own condition does not hold.
    Skip {
        step: Key,
        gate: String,
        rule: String,
    },
    Refused {
        step: Key,
        refusal: Refusal,
    },
    /// Its text cannot be made.
    NoText {
        step: Key,
        why: String,
    },
}

/// Decides on the next step. `link`: the payment link of this recipient.
pub fn decide(
    situation: &Situation,
    obligation: &Obligation,
    catalog: &Catalog,
    around: Circumstances,
    link: Option<&str>,
) -> Decision {
    let Ok(planned) = plan(situation, obligation, around.now) else { return Decision::NotDue };
    let Next::Step { step, window } = planned.next else { return Decision::NotDue };
    if window.opens > around.now {
        return Decision::NotDue;
    }
    let clearance = match situation.judge(obligation, window, around) {
        Ok(clearance) => clearance,
        Err(refusal) => return Decision::Refused { step: step.id.clone(), refusal },
    };
    let value = |name: &str| situation.value(obligation, name, around.now);
    if step.when.as_ref().is_some_and(|when| !when.holds(value)) {
        let (gate, rule) = (String::from("when"), String::from("condition"));
        return Decision::Skip { step: step.id.clone(), gate, rule };
    }
    let next = next_opening(situation, obligation, around.now);
    let Some(until) = schedule::validity(around.now, clearance.until, next, window.stale_after) else {
        let (gate, rule) = (String::from("hours"), String::from("validity"));
        return Decision::Skip { step: step.id.clone(), gate, rule };
    };
    match render(situation, obligation, catalog, (&step.template, step.menu.as_ref()), (around.now, link)) {
        Ok((rendered, template, menu)) => {
            Decision::Go(Box::new(Proposal { step: step.id.clone(), rendered, template, menu, until }))
        }
        Err(why) => Decision::NoText { step: step.id.clone(), why },
    }
}

/// When the next of the steps to come opens; one that is over makes room for none.
fn next_opening(situation: &Situation, obligation: &Obligation, now: Timestamp) -> Option<Timestamp> {
    let open = situation.sequence.steps.iter().filter(|step| obligation.is_left(&step.id));
    open.filter_map(|step| Some(situation.window(obligation, step).ok()?.opens)).filter(|at| *at > now).min()
}

/// A text, the template's key, language and version, and its menu: `own`, or what the template itself has.
pub fn render(
    situation: &Situation,
    obligation: &Obligation,
    catalog: &Catalog,
    (key, own): (&Key, Option<&Key>),
    (now, link): (Timestamp, Option<&str>),
) -> Result<(Rendered, String, Option<AskedMenu>), String> {
    let saved = situation.template(catalog, key).map_err(|e| format!("{key}: {e}"))?;
    let template = saved.compiled.template();
    let menu = own.or(template.menu.as_ref());
    let menu = menu.and_then(|key| catalog.menus.get(key));
    let options = menu.map_or_else(Vec::new, |menu| labels(menu));
    let numbers = situation.numbers(obligation);
    let disclosure = situation.disclosure(template.class, &template.language, numbers);
    let disclosure = disclosure.map_err(|refusal| refusal.to_string())?;
    let frame = situation.frame(template.class, numbers, disclosure.as_deref(), &options);
    let fields = situation.fields(obligation, link, now);
    let rendered = saved.compiled.render(&fields, frame).map_err(|e| format!("{}: {e}", e.code()))?;
    let name = format!("{}@{}@{}", template.key, template.language, saved.version);
    let asked = menu.map(|menu| AskedMenu { key: menu.key().clone(), digest: menu.digest() });
    Ok((rendered, name, asked))
}

fn labels(menu: &Menu) -> Vec<(u8, &str)> {
    menu.options().iter().map(|option| (option.digit, option.label.as_str())).collect()
}
