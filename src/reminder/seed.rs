//! Seed files: what a firm sets up, as tables of TOML files (`config/reminders/*.toml`).
//!
//! ```text
//! [[calendar]] [[pack]] [[creditor]] [[menu]] [[template]] [[sequence]] with [[sequence.step]] [[rule]]
//! ```
//! The fields are those of the API. Any file may hold any table; what comes out stands in the order in which one
//! may name the other: calendars, packs, creditors, menus, templates, sequences, rules. Every fault is told with its
//! file, line and key, and none hides another. Files are read by others; this floor sees names and texts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeArray, DeValue, ValueDeserializer};

use super::calendar::Calendar;
use super::creditor::Creditor;
use super::menu::{Do, Menu};
use super::name::Key;
use super::pack::Pack;
use super::sequence::{Escalate, Exit, Sequence, Step};
use super::template::{Compiled, Template};
use super::trigger::{Act, Trigger};
use crate::config::Problem;
use crate::config::raw::{self, line_at};

/// Faults told of one file: who has more mends these first.
const PROBLEMS_MAX: usize = 200;

/// One file as it was read.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedFile {
    pub name: String,
    pub text: String,
}

/// One table, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Seed {
    /// Name of the file.
    pub file: String,
    /// From 1.
    pub line: usize,
    pub table: Table,
}

/// In the order in which they are to be made.
#[derive(Clone, Debug, PartialEq)]
pub enum Table {
    Calendar(Box<Calendar>),
    Pack(Box<Pack>),
    Creditor(Box<Creditor>),
    Menu(Box<Menu>),
    Template(Box<Template>),
    Sequence(Box<Sequence>),
    Rule(Box<Trigger>),
}

/// What is wrong in which file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeedProblem {
    pub file: String,
    pub problem: Problem,
}

impl fmt::Display for SeedProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.escape_debug(), self.problem)
    }
}

/// A sequence as a file writes it: its steps are tables `[[sequence.step]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SequenceTable {
    key: Key,
    step: Vec<Step>,
    #[serde(default)]
    exits: Vec<Exit>,
    #[serde(default)]
    escalate: Option<Escalate>,
}

impl Table {
    pub const fn kind(&self) -> &'static str {
        match self {
            Table::Calendar(_) => "calendar",
            Table::Pack(_) => "pack",
            Table::Creditor(_) => "creditor",
            Table::Menu(_) => "menu",
            Table::Template(_) => "template",
            Table::Sequence(_) => "sequence",
            Table::Rule(_) => "rule",
        }
    }

    /// What names it among its kind; a template's with its language, `due/de`.
    pub fn name(&self) -> String {
        match self {
            Table::Calendar(calendar) => calendar.key().to_string(),
            Table::Pack(pack) => pack.key.to_string(),
            Table::Creditor(creditor) => creditor.key.to_string(),
            Table::Menu(menu) => menu.key().to_string(),
            Table::Template(template) => format!("{}/{}", template.key, template.language),
            Table::Sequence(sequence) => sequence.key.to_string(),
            Table::Rule(rule) => rule.key.to_string(),
        }
    }

    const fn order(&self) -> u8 {
        match self {
            Table::Calendar(_) => 0,
            Table::Pack(_) => 1,
            Table::Creditor(_) => 2,
            Table::Menu(_) => 3,
            Table::Template(_) => 4,
            Table::Sequence(_) => 5,
            Table::Rule(_) => 6,
        }
    }
}

/// Reads all files. What they name and is not in them may be known elsewhere: [`check`] asks for that.
///
/// # Errors
/// Everything that is wrong, file by file; a table that stands twice too.
pub fn read(files: &[SeedFile]) -> Result<Vec<Seed>, Vec<SeedProblem>> {
    let (mut seeds, mut problems) = (Vec::new(), Vec::new());
    for file in files {
        let mut reading = Reading { file, seeds: Vec::new(), problems: Vec::new() };
        reading.file();
        seeds.append(&mut reading.seeds);
        let told = reading.problems.into_iter().take(PROBLEMS_MAX);
        problems.extend(told.map(|problem| SeedProblem { file: file.name.clone(), problem }));
    }
    seeds.sort_by_key(|seed| seed.table.order());
    problems.extend(doubles(&seeds));
    if problems.is_empty() { Ok(seeds) } else { Err(problems) }
}

struct Reading<'f> {
    file: &'f SeedFile,
    seeds: Vec<Seed>,
    problems: Vec<Problem>,
}

impl Reading<'_> {
    fn file(&mut self) {
        let text = &self.file.text;
        let table = match raw::parse(text) {
            Ok(table) => table.into_inner(),
            Err(problems) => return self.problems.extend(problems),
        };
        for (key, value) in table {
            let (line, key) = (line_at(text, key.span().start), key.into_inner());
            match value.into_inner() {
                DeValue::Array(list) if KINDS.contains(&&*key) => self.tables(&key, list),
                _ => self.problems.push(Problem {
                    line: Some(line),
                    key: key.to_string(),
                    why: String::from("is no list of tables of a seed file"),
                    remedy: format!("write [[NAME]] with one of: {}", KINDS.join(", ")),
                }),
            }
        }
    }

    fn tables(&mut self, kind: &str, list: DeArray<'_>) {
        for (index, value) in list.into_iter().enumerate() {
            let path = format!("{kind}[{}]", index + 1);
            let line = line_at(&self.file.text, value.span().start);
            match self.table(kind, &path, value) {
                Ok(table) => self.seeds.push(Seed { file: self.file.name.clone(), line, table }),
                Err(problem) => self.problems.push(problem),
            }
        }
    }

    fn table(&self, kind: &str, path: &str, value: Spanned<DeValue<'_>>) -> Result<Table, Problem> {
        let line = line_at(&self.file.text, value.span().start);
        let refuse = |field: &str, why: String| Problem {
            line: Some(line),
            key: format!("{path}{field}"),
            why,
            remedy: as_shipped(kind),
        };
        Ok(match kind {
            "calendar" => Table::Calendar(self.value(kind, path, value)?),
            "pack" => {
                let pack: Box<Pack> = self.value(kind, path, value)?;
                pack.check().map_err(|bad| refuse("", bad.to_string()))?;
                Table::Pack(pack)
            }
            "creditor" => Table::Creditor(self.value(kind, path, value)?),
            "menu" => Table::Menu(self.value(kind, path, value)?),
            "template" => {
                let template: Box<Template> = self.value(kind, path, value)?;
                let checked = Compiled::new((*template).clone());
                checked.map_err(|bad| refuse("", bad.to_string()))?;
                Table::Template(template)
            }
            "rule" => Table::Rule(self.value(kind, path, value)?),
            _ => {
                let SequenceTable { key, step, exits, escalate } = *self.value(kind, path, value)?;
                let sequence = Sequence { key, steps: step, exits, escalate };
                sequence.check().map_err(|bad| refuse("", bad.to_string()))?;
                Table::Sequence(Box::new(sequence))
            }
        })
    }

    fn value<T: DeserializeOwned>(
        &self,
        kind: &str,
        path: &str,
        value: Spanned<DeValue<'_>>,
    ) -> Result<Box<T>, Problem> {
        let start = value.span().start;
        let read = serde_path_to_error::deserialize(ValueDeserializer::from(value));
        read.map(Box::new).map_err(|error| {
            let at = error.inner().span().map_or(start, |span| span.start);
            let (why, remedy) = told(kind, error.inner().message());
            Problem { line: Some(line_at(&self.file.text, at)), key: key_of(path, error.path()), why, remedy }
        })
    }
}

/// The tables of seed files.
const KINDS: [&str; 7] = ["calendar", "pack", "creditor", "menu", "template", "sequence", "rule"];

fn as_shipped(kind: &str) -> String {
    format!("write it as config/reminders/{kind}s.toml shows")
}

/// Serde's words as a reason and a remedy.
fn told(kind: &str, message: &str) -> (String, String) {
    let message = message.trim().replace('\n', ", ");
    if let Some((why, known)) = message.split_once(", expected ") {
        return (why.to_owned(), format!("write {}", known.replace('`', "")));
    }
    match message.strip_prefix("missing field ") {
        Some(field) => (format!("{} is required", field.replace('`', "")), as_shipped(kind)),
        None => (message, as_shipped(kind)),
    }
}

/// `sequence[1].step[2].offset`, counted from 1.
fn key_of(path: &str, within: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    within.iter().fold(path.to_owned(), |key, segment| match segment {
        Segment::Seq { index } => format!("{key}[{}]", index + 1),
        Segment::Map { key: name } => format!("{key}.{name}"),
        Segment::Enum { .. } | Segment::Unknown => key,
    })
}

fn doubles(seeds: &[Seed]) -> Vec<SeedProblem> {
    let mut first: BTreeMap<(&str, String), &Seed> = BTreeMap::new();
    let mut problems = Vec::new();
    for seed in seeds {
        let (kind, name) = (seed.table.kind(), seed.table.name());
        match first.get(&(kind, name.clone())) {
            None => drop(first.insert((kind, name), seed)),
            Some(other) => {
                let why = format!("the {kind} {name} stands in {} line {} too", other.file, other.line);
                problems.push(problem(seed, "key", why, "remove one of them"));
            }
        }
    }
    problems
}

fn problem(seed: &Seed, field: &str, why: String, remedy: &str) -> SeedProblem {
    let key = format!("{} {}: {field}", seed.table.kind(), seed.table.name());
    let problem = Problem { line: Some(seed.line), key, why, remedy: remedy.to_owned() };
    SeedProblem { file: seed.file.clone(), problem }
}

/// What files name must be in them or be part of the program: then a daemon that knows nothing takes them.
pub fn check(seeds: &[Seed]) -> Vec<SeedProblem> {
    let mut known = Known::shipped();
    seeds.iter().for_each(|seed| known.add(&seed.table));
    let mut problems = Vec::new();
    for seed in seeds {
        for (field, kind, key) in named(&seed.table) {
            if !known.has(kind, key) {
                let why = format!("there is no {kind} {key}");
                problems.push(problem(seed, field, why, &format!("add a [[{kind}]] of that key")));
            }
        }
    }
    problems
}

/// Keys by kind.
struct Known(BTreeSet<(&'static str, Key)>);

impl Known {
    fn shipped() -> Known {
        // A test holds that the shipped ones can be read.
        let packs = Pack::shipped().unwrap_or_default().into_iter().map(|pack| ("pack", pack.key));
        let calendars = Calendar::shipped().unwrap_or_default();
        let calendars = calendars.iter().map(|calendar| ("calendar", calendar.key().clone()));
        Known(packs.chain(calendars).collect())
    }

    fn add(&mut self, table: &Table) {
        let key = match table {
            Table::Calendar(calendar) => calendar.key(),
            Table::Pack(pack) => &pack.key,
            Table::Creditor(creditor) => &creditor.key,
            Table::Menu(menu) => menu.key(),
            Table::Template(template) => &template.key,
            Table::Sequence(sequence) => &sequence.key,
            Table::Rule(rule) => &rule.key,
        };
        self.0.insert((table.kind(), key.clone()));
    }

    fn has(&self, kind: &'static str, key: &Key) -> bool {
        self.0.contains(&(kind, key.clone()))
    }
}

/// What a table names: in which field, of which kind, which key.
fn named(table: &Table) -> Vec<(&'static str, &'static str, &Key)> {
    match table {
        Table::Calendar(_) | Table::Pack(_) => Vec::new(),
        Table::Creditor(creditor) => {
            let packs = creditor.packs.iter().map(|key| ("packs", "pack", key));
            packs.chain(creditor.calendar.iter().map(|key| ("calendar", "calendar", key))).collect()
        }
        Table::Menu(menu) => {
            let replies = menu.options().iter().filter_map(|option| match &option.act {
                Do::Reply(template) => Some(("options", "template", template)),
                Do::Task(_) | Do::Pay | Do::Plan | Do::Webhook(_) | Do::Pause(_) => None,
            });
            replies.collect()
        }
        Table::Template(template) => template.menu.iter().map(|key| ("menu", "menu", key)).collect(),
        Table::Sequence(sequence) => {
            let steps = sequence.steps.iter();
            let templates = steps.clone().map(|step| ("step.template", "template", &step.template));
            let menus = steps.filter_map(|step| Some(("step.menu", "menu", step.menu.as_ref()?)));
            templates.chain(menus).collect()
        }
        Table::Rule(rule) => {
            let named = match &rule.act {
                Act::Enrol(sequence) => Some(("do", "sequence", sequence)),
                Act::Send(template) => Some(("do", "template", template)),
                Act::Exit | Act::Pause(_) | Act::Task(_) | Act::Webhook(_) | Act::Tag(_) => None,
            };
            named.into_iter().chain(rule.creditor.iter().map(|key| ("creditor", "creditor", key))).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(texts: &[&str]) -> Vec<SeedFile> {
        let file = |(at, text): (usize, &&str)| SeedFile {
            name: format!("{}.toml", at + 1),
            text: (*text).to_owned(),
        };
        texts.iter().enumerate().map(file).collect()
    }

    fn shipped() -> Vec<SeedFile> {
        files(&[
            include_str!("../../config/reminders/sequences.toml"),
            include_str!("../../config/reminders/templates.toml"),
            include_str!("../../config/reminders/menus.toml"),
            include_str!("../../config/reminders/creditors.toml"),
            include_str!("../../config/reminders/packs.toml"),
            include_str!("../../config/reminders/calendars.toml"),
            include_str!("../../config/reminders/rules.toml"),
        ])
    }

    #[test]
    fn the_shipped_files_are_right_and_name_only_each_other() {
        let seeds = read(&shipped()).unwrap();
        assert_eq!(check(&seeds), []);
        let kinds: BTreeSet<&str> = seeds.iter().map(|seed| seed.table.kind()).collect();
        assert_eq!(kinds, KINDS.into_iter().collect());
    }

    #[test]
    fn what_is_named_comes_before_what_names_it_whatever_the_order_of_files() {
        let orders: Vec<u8> = read(&shipped()).unwrap().iter().map(|seed| seed.table.order()).collect();
        assert!(orders.is_sorted());
        assert_eq!((orders.first(), orders.last()), (Some(&0), Some(&6)));
    }

    fn told(texts: &[&str]) -> String {
        let lines: Vec<String> = read(&files(texts)).unwrap_err().iter().map(ToString::to_string).collect();
        lines.join("\n")
    }

    const STEP: &str = "[[sequence.step]]\nid = \"a\"\noffset = \"0d\"\nat = \"10:00\"\ntemplate = \"due\"\n";

    #[test]
    fn every_fault_is_told_with_file_line_and_key() {
        let sequence = format!("[[sequence]]\nkey = \"s\"\n{STEP}{}", STEP.replace("0d", "soon"));
        let menu = "\n[[menu]]\nkey = \"m\"\noptions = [{ digit = 1, do = \"pay\", lable = \"x\" }]\n[[menu]]\nkey = \"n\"\n";
        let told = told(&[&sequence, menu]);
        for wanted in [
            "1.toml: line 10: sequence[1].step[2].offset: ",
            "2.toml: line 4: menu[1].options[1].lable: unknown field `lable`; write one of digit, label, do",
            "2.toml: line 5: menu[2]: options is required; write it as config/reminders/menus.toml shows",
        ] {
            assert!(told.contains(wanted), "{wanted}\n{told}");
        }
    }

    #[test]
    fn what_is_no_table_of_a_seed_file_is_refused() {
        for (text, wanted) in [
            ("[[obligation]]\nkey = \"x\"\n", "line 1: obligation: is no list of tables"),
            ("[menu]\nkey = \"x\"\n", "line 1: menu: is no list of tables"),
            ("menu = 1\n", "line 1: menu: is no list of tables"),
            ("[[menu]\n", "line 1: not TOML"),
            ("menu = [1]\n", "line 1: menu[1]: invalid type"),
            ("[[sequence]]\nkey = \"s\"\nsteps = []\n", "sequence[1].steps: unknown field"),
            ("[[sequence]]\nkey = \"s\"\nstep = []\n", "sequence[1]: must hold 1 to 32 steps"),
            (
                "[[template]]\nkey=\"t\"\nlanguage=\"en\"\nclass=\"help\"\nbody=\"{{ nonsense }}\"\n",
                "template[1]: body: ",
            ),
        ] {
            let told = told(&[text]);
            assert!(told.contains(wanted), "{wanted}\n{told}");
        }
    }

    #[test]
    fn what_stands_twice_is_told_with_both_places() {
        let menu = "[[menu]]\nkey = \"m\"\noptions = [{ digit = 1, do = \"pay\" }]\n";
        let told = told(&[menu, &format!("\n{menu}")]);
        assert_eq!(
            told,
            "2.toml: line 2: menu m: key: the menu m stands in 1.toml line 1 too; remove one of them"
        );
    }

    #[test]
    fn what_is_named_and_nowhere_is_told() {
        let sequence = format!("[[sequence]]\nkey = \"s\"\n{STEP}menu = \"m\"\n");
        let creditor = "[[creditor]]\nkey = \"c\"\nname = \"C\"\nsender_role = \"first_party\"\npacks = [\"de\", \"xx\"]\n";
        let seeds = read(&files(&[&sequence, creditor])).unwrap();
        let told: Vec<String> = check(&seeds).iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "2.toml: line 1: creditor c: packs: there is no pack xx; add a [[pack]] of that key",
                "1.toml: line 1: sequence s: step.template: there is no template due; add a [[template]] of that key",
                "1.toml: line 1: sequence s: step.menu: there is no menu m; add a [[menu]] of that key",
            ]
        );
    }

    #[test]
    fn a_sequence_has_steps_in_json_and_comes_back_from_the_store() {
        let seeds = read(&files(&[&format!("[[sequence]]\nkey = \"s\"\n{STEP}")])).unwrap();
        let Table::Sequence(sequence) = &seeds[0].table else { panic!("a sequence") };
        let json = serde_json::to_value(sequence).unwrap();
        assert_eq!(json["steps"][0]["id"], "a");
        assert_eq!(serde_json::from_value::<Sequence>(json).unwrap(), **sequence);
        let stored = postcard::to_stdvec(sequence).unwrap();
        assert_eq!(postcard::from_bytes::<Sequence>(&stored).unwrap(), **sequence);
        assert!(serde_json::from_str::<Sequence>(r#"{"key":"s","step":[]}"#).is_err());
    }
}
