//! What is foreseen is what then goes: links go by the firm's own listener there as on the wire.

use nudged::engine::memory::Memory;
use nudged::engine::reminders::catalog::Catalog;
use nudged::engine::reminders::change::ObligationDraft;
use nudged::engine::reminders::imagine::{Fate, Imagining, Outlook};
use nudged::engine::reminders::records::Applied;
use nudged::engine::reminders::simulate::{Foreseen, Stretch, simulate};
use nudged::engine::reminders::situation::RulesCache;
use nudged::reminder::import::case::Case;

use super::firm::*;

/// Longer than two segments where it is not redirected.
fn target() -> String {
    format!("https://pay.acme.example/{}/{{token}}", "invoice-of-november/".repeat(6))
}

fn redirecting() -> Firm {
    let set_up = SET_UP.replace("on {{ due_date }}.", "on {{ due_date }}. {{ link }}");
    let mut firm = Firm::with(&set_up);
    firm.settings.reminders.redirect = Some("https://p.acme.example".into());
    firm.crash();
    firm
}

fn catalog(firm: &Firm, state: &Memory) -> Catalog {
    firm.settings.reminders.catalog(state).unwrap()
}

/// A text but for its token.
fn bare(text: &str) -> &str {
    let (before, token) = text.split_once("/p/").unwrap();
    assert_eq!(token.split_whitespace().next().unwrap().len(), 12);
    before
}

#[test]
fn simulate_has_the_link_that_goes() {
    let mut firm = redirecting();
    let owed = ObligationDraft { link: Some(target()), ..draft("inv-1", 1, november(25)) };
    let id = firm.try_owe(owed).unwrap();
    let (catalog, from) = (catalog(&firm, &firm.state), firm.clock.now().wall);
    let to = from.saturating_add(DAY);
    let stretch = Stretch { from, to, limit: 10, duplicate_window: std::time::Duration::ZERO };
    let cache = RulesCache::default();
    let foreseen = simulate(&Applied(&firm.state), (&catalog, &cache), &[id], stretch).unwrap();
    let texts = foreseen.forecasts.into_iter().filter_map(|forecast| match forecast.outcome {
        Foreseen::Goes { rendered, .. } => Some(rendered.text),
        _ => None,
    });
    let texts: Vec<String> = texts.collect();
    firm.live(DAY);
    assert_eq!(bare(&texts[0]), bare(firm.texts()[0]));
    assert_eq!(texts[0].len(), firm.texts()[0].len());
}

#[test]
fn a_dry_run_counts_the_segments_that_go() {
    let firm = redirecting();
    let (catalog, rules) = (catalog(&firm, &firm.state), RulesCache::default());
    let now = firm.clock.now().wall;
    let imagining = Imagining { state: &firm.state, catalog: &catalog, rules: &rules, now };
    let contact = external("con-1");
    let case = Case {
        external_id: external("inv-1"),
        creditor: key("acme"),
        account: contact.clone(),
        contact,
        phone: number(1),
        phone2: None,
        amount: eur(12_000),
        min_due: None,
        due_date: november(25),
        first_name: None,
        last_name: None,
        company: None,
        kind: None,
        language: None,
        country: None,
        region: None,
        postcode: None,
        timezone: None,
        description: None,
        link: Some(target()),
        sequence: None,
        case_manager: None,
        consent: None,
        custom: std::collections::BTreeMap::new(),
    };
    match imagining.fate(case).unwrap() {
        Fate::New(Outlook::Text { segment_count, .. }) => assert_eq!(segment_count, 1),
        other => panic!("{other:?}"),
    }
}
