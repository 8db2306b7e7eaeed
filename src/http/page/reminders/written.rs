//! Sequences and menus as a firm writes them: the text of a seed file in one field, tried before it is saved. What is
//! wrong is told with its line. A changed sequence is its next version, and what runs stays with its own; answers to a
//! menu that has changed since go to a person.

use askama::Template;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use serde::Serialize;

use super::entries::Entries;
use super::forms::{make, meanwhile};
use super::{Frame, Look, again, filled, in_path, page};
use crate::engine::reminders::{Catalog, seeds};
use crate::http::page::forms::see;
use crate::http::page::html;
use crate::http::problem::Problem;
use crate::http::{App, Segment};
use crate::message::TokenName;
use crate::reminder::menu::Menu;
use crate::reminder::name::Key;
use crate::reminder::seed::{self, SeedFile, Table};
use crate::reminder::sequence::{Escalate, Exit, Sequence, Step};

/// A sequence of 32 steps, each character written by number at worst.
const TEXT_FORM: usize = 96 * 1024;
const NEW_SEQUENCE: &str = r#"[[sequence]]
key = "gentle"

[[sequence.step]]
id = "week_before"
offset = "-7d"
at = "10:00"
template = "friendly"
when = "balance > 0"
"#;
const NEW_MENU: &str = r#"[[menu]]
key = "short"
ttl = "72h"
options = [
  { digit = 1, label = "call me back", do = "task:callback" },
  { digit = 2, label = "pay now", do = "pay" },
]
"#;

/// Which kind of text a form is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Sequence,
    Menu,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Kind::Sequence => "sequence",
            Kind::Menu => "menu",
        }
    }

    const fn begin(self) -> &'static str {
        match self {
            Kind::Sequence => NEW_SEQUENCE,
            Kind::Menu => NEW_MENU,
        }
    }

    /// What is set up under a key: its text, its mark and, of a sequence, its version.
    fn known(self, catalog: &Catalog, key: &str) -> Option<(String, String, Option<u32>)> {
        match self {
            Kind::Sequence => {
                let (version, sequence) = catalog.sequences.get(key)?.last_key_value()?;
                Some((sequence_text(sequence), mark(&**sequence), Some(*version)))
            }
            Kind::Menu => {
                let menu = catalog.menus.get(key)?;
                Some((menu_text(menu), mark(&**menu), None))
            }
        }
    }

    fn is_of(self, table: &Table) -> bool {
        matches!((self, table), (Kind::Sequence, Table::Sequence(_)) | (Kind::Menu, Table::Menu(_)))
    }
}

/// Tells whether something set up is still what somebody saw.
pub fn mark(of: &impl Serialize) -> String {
    let json = serde_json::to_vec(of).unwrap_or_default();
    blake3::hash(&json).to_hex().chars().take(32).collect()
}

/// As a seed file holds it.
fn sequence_text(sequence: &Sequence) -> String {
    #[derive(Serialize)]
    struct File<'a> {
        sequence: [Written<'a>; 1],
    }
    #[derive(Serialize)]
    struct Written<'a> {
        key: &'a Key,
        exits: &'a [Exit],
        #[serde(skip_serializing_if = "Option::is_none")]
        escalate: Option<&'a Escalate>,
        step: &'a [Step],
    }
    let Sequence { key, steps, exits, escalate } = sequence;
    let written = Written { key, exits, escalate: escalate.as_ref(), step: steps };
    // Its parts are texts, numbers and lists of them, which TOML has.
    toml::to_string(&File { sequence: [written] }).unwrap_or_default()
}

fn menu_text(menu: &Menu) -> String {
    #[derive(Serialize)]
    struct File<'a> {
        menu: [&'a Menu; 1],
    }
    toml::to_string(&File { menu: [menu] }).unwrap_or_default()
}

#[derive(Template)]
#[template(path = "reminders/written.html", config = "src/http/page/askama.toml")]
struct Text {
    frame: Frame,
    here: &'static str,
    kind: &'static str,
    /// `None`: it is new.
    name: Option<String>,
    version: Option<u32>,
    entries: Entries,
    /// What would be saved, where it was only tried.
    tried: Option<String>,
}

pub async fn new_sequence(State(app): State<App>, parts: Parts) -> Response {
    begun(app, parts, Kind::Sequence).await
}

pub async fn new_menu(State(app): State<App>, parts: Parts) -> Response {
    begun(app, parts, Kind::Menu).await
}

async fn begun(app: App, parts: Parts, kind: Kind) -> Response {
    page(app, parts, &[], move |look| Ok(text(look, kind, Entries::with(&[("text", kind.begin())]), None)))
        .await
}

pub async fn sequence(State(app): State<App>, key: Segment, parts: Parts) -> Response {
    shown(app, parts, Kind::Sequence, key.0).await
}

pub async fn menu(State(app): State<App>, key: Segment, parts: Parts) -> Response {
    shown(app, parts, Kind::Menu, key.0).await
}

async fn shown(app: App, parts: Parts, kind: Kind, key: String) -> Response {
    page(app, parts, &[], move |look| {
        let (written, mark, _) = kind.known(&look.catalog, &key).ok_or_else(Problem::not_found)?;
        let entries = Entries::with(&[("name", &key), ("was", &mark), ("text", &written)]);
        Ok(text(look, kind, entries, None))
    })
    .await
}

fn text(look: Look, kind: Kind, entries: Entries, tried: Option<String>) -> Text {
    let name = entries.text("name").map(str::to_owned);
    let known = name.as_ref().and_then(|name| kind.known(&look.catalog, name));
    Text {
        here: "/sequences",
        kind: kind.word(),
        version: known.as_ref().and_then(|(_, _, version)| *version),
        name: name.filter(|_| known.is_some()),
        tried,
        entries,
        frame: look.frame,
    }
}

/// `POST /page/sequences`
pub async fn save_sequence(State(app): State<App>, request: Request) -> Response {
    save(app, request, Kind::Sequence).await
}

/// `POST /page/menus`
pub async fn save_menu(State(app): State<App>, request: Request) -> Response {
    save(app, request, Kind::Menu).await
}

async fn save(app: App, request: Request, kind: Kind) -> Response {
    let (signed, mut entries) = match filled(&app, request, TEXT_FORM).await {
        Ok(filled) => filled,
        Err(answer) => return answer,
    };
    match kept(&app, kind, &mut entries, signed.name.clone()).await {
        Ok(Kept::Saved(key)) => match kind {
            Kind::Sequence => see(&format!("/sequences/{}", in_path(key.as_str()))),
            Kind::Menu => see("/sequences#menus"),
        },
        Ok(Kept::Tried(said)) => {
            let make = move |look| Ok(text(look, kind, entries, Some(said)));
            match super::look(&app, &signed, super::Asked::none(), make).await {
                Ok(page) => html(StatusCode::OK, &page),
                Err(problem) => super::told(&app, &signed, problem),
            }
        }
        Err(problem) => {
            let make = move |look, entries| Ok(text(look, kind, entries, None));
            again(&app, &signed, problem, entries, make).await
        }
    }
}

enum Kept {
    Saved(Key),
    /// It can be read; nothing was saved.
    Tried(String),
}

async fn kept(app: &App, kind: Kind, entries: &mut Entries, by: TokenName) -> Result<Kept, Problem> {
    let table = read(kind, entries);
    entries.check()?;
    let table = table.ok_or_else(Problem::internal)?;
    let catalog = app.engine().view().catalog()?;
    let key = Key::parse(&table.name()).map_err(|bad| Problem::field("text", bad.to_string()))?;
    let known = kind.known(&catalog, key.as_str()).map(|(_, mark, _)| mark);
    match (known, entries.text("was"), entries.text("name")) {
        (_, _, Some(name)) if name != key.as_str() => {
            return Err(Problem::field("text", format!("its key must stay {name}")));
        }
        (Some(_), None, _) => {
            return Err(Problem::field(
                "text",
                format!("{key} is set up already: change it on its own page"),
            ));
        }
        (known, Some(was), _) if known.as_deref() != Some(was) => {
            return Err(meanwhile());
        }
        _ => {}
    }
    if !entries.is("do", "save") {
        return Ok(Kept::Tried(said(&table)));
    }
    // What the engine refuses is a word of the text, wherever it stands.
    let saved = make(app, seeds::change(table), by).await;
    saved.map_err(|problem| match problem.errors() {
        [] => problem,
        [error, ..] => Problem::field("text", format!("{} {}", error.field, error.why)),
    })?;
    Ok(Kept::Saved(key))
}

/// The one table of the text; what is wrong stands at the field, a line each.
fn read(kind: Kind, entries: &mut Entries) -> Option<Table> {
    let text = entries.words("text")?.replace("\r\n", "\n");
    let file = SeedFile { name: String::new(), text };
    let seeds = match seed::read(&[file]) {
        Ok(seeds) => seeds,
        Err(problems) => {
            for problem in problems {
                entries.refuse("text", problem.problem);
            }
            return None;
        }
    };
    let mut tables = seeds.into_iter().map(|seed| seed.table);
    match (tables.next(), tables.next()) {
        (Some(table), None) if kind.is_of(&table) => Some(table),
        _ => {
            entries.refuse("text", format!("must hold one [[{}]] and nothing else", kind.word()));
            None
        }
    }
}

/// What would be saved.
fn said(table: &Table) -> String {
    match table {
        Table::Sequence(sequence) => {
            let steps: Vec<String> =
                sequence.steps.iter().map(|step| format!("{} {}", step.id, step.offset)).collect();
            format!("{} steps: {}", steps.len(), steps.join(", "))
        }
        Table::Menu(menu) => {
            let options = menu.options().iter();
            let options: Vec<String> = options.map(|o| format!("{} = {}", o.digit, o.label)).collect();
            format!("{} answers: {}", options.len(), options.join(", "))
        }
        other => other.name(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entered(text: &str) -> Entries {
        // A browser sends the ends of lines as CR LF.
        Entries::with(&[("text", &text.replace('\n', "\r\n"))])
    }

    #[test]
    fn what_is_shown_of_a_sequence_or_menu_reads_as_the_same() {
        let full = format!(
            "{NEW_SEQUENCE}grace = \"3d\"\nmenu = \"m\"\ntask_after = \"call\"\n[sequence.escalate]\nafter = 2\n\
             task = \"call\"\npause = true\n"
        );
        for text in [NEW_SEQUENCE, &full] {
            let Some(Table::Sequence(sequence)) = read(Kind::Sequence, &mut entered(text)) else {
                panic!("{text}")
            };
            let shown = read(Kind::Sequence, &mut entered(&sequence_text(&sequence)));
            assert_eq!(shown, Some(Table::Sequence(sequence)));
        }
        let Some(Table::Menu(menu)) = read(Kind::Menu, &mut entered(NEW_MENU)) else { panic!("{NEW_MENU}") };
        assert_eq!(read(Kind::Menu, &mut entered(&menu_text(&menu))), Some(Table::Menu(menu)));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let mut entries = entered(&NEW_SEQUENCE.replace("offset = \"-7d\"", "offset = \"soon\""));
        assert!(read(Kind::Sequence, &mut entries).is_none());
        let why = entries.fault("text").unwrap();
        assert!(why.contains("line 6") && why.contains("offset"), "{why}");
        let two = format!("{NEW_MENU}{}", NEW_MENU.replace("short", "long"));
        for text in [two.as_str(), NEW_SEQUENCE, "", "x ="] {
            let mut entries = entered(text);
            assert!(read(Kind::Menu, &mut entries).is_none() && entries.fault("text").is_some(), "{text}");
        }
    }
}
