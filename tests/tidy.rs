//! Style as a test: what clippy cannot hold. Each rule is a function over names and texts, and is shown
//! at the bottom to fail on a small sample.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may end where it stands")]

use std::fs;
use std::path::Path;

/// Larger than this, a file holds two things.
const FILE_MAX: usize = 24 * 1024;

/// Floors of the modules directly below `src/`. A file may name lower floors and its own module only.
const FLOORS: [(&str, u8); 19] = [
    ("config", 0),
    ("clock", 0),
    ("id", 0),
    ("sms", 0),
    ("message", 0),
    ("pace", 0),
    ("quota", 0),
    ("retry", 0),
    ("route", 0),
    ("reminder", 0),
    ("store", 1),
    ("link", 2),
    ("sim", 2),
    ("engine", 3),
    ("http", 4),
    ("cli", 5),
    ("daemon", 5),
    ("main", 5),
    ("lib", 5),
];

/// Floor 0 and floor 5 are one room each: their modules may name each other.
const ROOMS: [u8; 2] = [0, 5];

/// A crate and the paths below `src/` that may name it.
const GUARDED: [(&str, &[&str]); 4] = [
    ("sled", &["store/state.rs"]),
    ("rusmpp", &["link/smpp/", "sim/smsc"]),
    ("axum", &["http/"]),
    ("tokio_serial", &["link/modem/port.rs"]),
];

const TOP_LEVEL: [&str; 9] =
    ["Cargo.toml", "Cargo.lock", "src", "config", "systemd", "scripts", "tests", "README.md", "CHANGELOG.md"];

const FOREIGN_LOCKS: [&str; 6] =
    ["package-lock.json", "yarn.lock", "pnpm-lock.yaml", "poetry.lock", "uv.lock", "Pipfile.lock"];

/// Log calls that an operator sees without asking for more.
const LOUD: [&str; 3] = ["tracing::info!(", "tracing::warn!(", "tracing::error!("];

/// What logs here is no daemon.
const SIMULATED: [&str; 2] = ["src/sim/", "src/cli/demo"];

const INDEX: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// One file: its path below the root, with slashes, and its text.
type File = (String, String);

#[test]
fn floors_are_kept() {
    assert_clean(sources().iter().flat_map(|(path, text)| floor_faults(path, text)));
}

#[test]
fn guarded_crates_stay_in_their_rooms() {
    assert_clean(sources().iter().flat_map(|(path, text)| guard_faults(path, text)));
}

#[test]
fn every_source_file_opens_with_what_it_is() {
    assert_clean(sources().iter().filter_map(|(path, text)| header_fault(path, text)));
}

#[test]
fn no_file_is_too_large() {
    assert_clean(sources().iter().filter_map(|(path, text)| size_fault(path, text.len())));
}

#[test]
fn every_configured_field_has_a_reader() {
    let sources = sources();
    let (_, config) = sources.iter().find(|(path, _)| path == "src/config/mod.rs").expect("the config types");
    let readers: Vec<File> =
        sources.iter().filter(|(path, _)| !path.starts_with("src/config/")).cloned().collect();
    assert_clean(unread_fields(config, &readers).into_iter());
}

#[test]
fn every_log_line_is_an_event_with_a_name() {
    assert_clean(sources().iter().flat_map(|(path, text)| log_faults(path, text)));
}

#[test]
fn every_event_the_daemon_logs_is_explained_to_operators() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let sources = sources();
    let daemon = sources.iter().filter(|(path, _)| !SIMULATED.iter().any(|room| path.starts_with(room)));
    let unexplained = daemon.flat_map(|(path, text)| unexplained_events(path, text, &readme));
    assert_clean(unexplained);
}

#[test]
fn the_top_level_holds_only_what_it_may() {
    let names: Vec<String> = fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "target")
        .collect();
    assert_clean(names.iter().filter_map(|name| top_level_fault(name)));
}

#[test]
fn no_foreign_lock_file_is_kept() {
    let mut paths = Vec::new();
    for directory in ["src", "tests", "scripts", "config", "systemd"] {
        walk(&root().join(directory), &mut paths);
    }
    assert_clean(paths.iter().filter_map(|path| lock_fault(path)));
}

#[test]
fn the_lock_file_names_only_the_standard_index() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    assert!(lock.contains(INDEX), "the lock file names an index at all");
    assert_clean(index_faults(&lock).into_iter());
}

#[test]
fn every_hostile_row_is_held_by_tests_that_exist() {
    let mut paths = Vec::new();
    walk(&root().join("tests/it"), &mut paths);
    paths.retain(|path| path.ends_with(".rs"));
    let read = |path: &String| fs::read_to_string(root().join(path)).unwrap();
    let tests: String = paths.iter().map(read).chain(sources().into_iter().map(|(_, text)| text)).collect();
    let table = fs::read_to_string(root().join("tests/hostile.tsv")).unwrap();
    assert!(table.lines().count() > 40, "the rows are found");
    assert_clean(hostile_faults(&table, &tests).into_iter());
}

#[test]
fn every_mutant_of_one_test_names_a_test_that_exists() {
    let mut paths = Vec::new();
    for directory in ["src", "tests/it"] {
        walk(&root().join(directory), &mut paths);
    }
    paths.retain(|path| path.ends_with(".rs"));
    let tests: String = paths.iter().map(|path| fs::read_to_string(root().join(path)).unwrap()).collect();
    let mut patches = Vec::new();
    walk(&root().join("tests/mutants"), &mut patches);
    let faults = patches.iter().filter_map(|path| {
        let patch = fs::read_to_string(root().join(path)).unwrap();
        mutant_fault(path, &patch, &tests)
    });
    assert_clean(faults);
}

fn floor_faults(path: &str, text: &str) -> Vec<String> {
    let own = module(path);
    let Some(floor) = floor_of(&own) else { return vec![format!("{path}: {own} has no floor")] };
    let mut faults = Vec::new();
    for (number, line) in statements(text) {
        for name in crate_names(&line) {
            let Some(used) = floor_of(&name) else {
                faults.push(format!("{path}:{number}: crate::{name} has no floor"));
                continue;
            };
            let same_room = used == floor && ROOMS.contains(&floor);
            if name != own && used >= floor && !same_room {
                faults.push(format!("{path}:{number}: floor {floor} names {name} of floor {used}"));
            }
        }
    }
    faults
}

/// The modules a line names by `crate::`, `nudged::` in the binary, and braces behind either.
fn crate_names(line: &str) -> Vec<String> {
    let mut names = Vec::new();
    for start in ["crate::", "nudged::"] {
        for (at, _) in line.match_indices(start) {
            let whole = !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
            // `$crate` and a metric's or target's text are no use of a module.
            if !whole || line[..at].matches('"').count() % 2 == 1 {
                continue;
            }
            let rest = &line[at + start.len()..];
            match rest.strip_prefix('{') {
                Some(list) => names.extend(listed(list)),
                None => names.push(word(rest)),
            }
        }
    }
    // A capital is a name that the root re-exports, and the root has none.
    names.retain(|name| name.starts_with(|c: char| c.is_ascii_lowercase()));
    names
}

/// The first words of the entries of `{a, b::{c, d}}`, the opening brace already taken.
fn listed(list: &str) -> Vec<String> {
    let (mut depth, mut entry, mut names) = (0, String::new(), Vec::new());
    for c in list.chars() {
        match c {
            '}' if depth == 0 => break,
            ',' if depth == 0 => names.push(std::mem::take(&mut entry)),
            _ => entry.push(c),
        }
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    names.push(entry);
    names.iter().map(|entry| word(entry.trim())).collect()
}

/// Lines of code with every `use` in one line, whatever rustfmt made of it.
fn statements(text: &str) -> Vec<(usize, String)> {
    let mut joined: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    for (number, line) in code(text) {
        match joined.last_mut() {
            Some((_, statement)) if open => statement.push_str(line.trim()),
            _ => joined.push((number, line.to_owned())),
        }
        let begins = line.trim_start().starts_with("use ") || line.trim_start().starts_with("pub use ");
        open = (open || begins) && !line.trim_end().ends_with(';');
    }
    joined
}

fn guard_faults(path: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for (number, line) in code(text) {
        for (name, rooms) in GUARDED {
            let allowed = rooms.iter().any(|room| path.starts_with(&format!("src/{room}")));
            if !allowed && names_crate(line, name) {
                faults.push(format!("{path}:{number}: {name} is named outside {}", rooms.join(", ")));
            }
        }
    }
    faults
}

fn names_crate(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = &line[at + name.len()..];
        let starts = !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | ':' | '"' | '.'));
        starts && (after.starts_with("::") || (line.contains("use ") && after.starts_with([';', ' '])))
    })
}

fn header_fault(path: &str, text: &str) -> Option<String> {
    (!text.starts_with("//! ")).then(|| format!("{path}: does not open with //!"))
}

fn size_fault(path: &str, octets: usize) -> Option<String> {
    (octets > FILE_MAX).then(|| format!("{path}: {octets} octets, at most {FILE_MAX}"))
}

/// Fields of the config structs that no reader takes by name.
fn unread_fields(config: &str, readers: &[File]) -> Vec<String> {
    let fields = config.lines().filter_map(|line| {
        let (name, _) = line.strip_prefix("    pub ")?.split_once(':')?;
        name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_').then(|| name.to_owned())
    });
    let read = |name: &str| {
        readers.iter().any(|(_, text)| {
            code(text).any(|(_, line)| {
                line.match_indices(name).any(|(at, _)| {
                    let dotted = line[..at].ends_with('.');
                    let ends =
                        !line[at + name.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_');
                    dotted && ends
                })
            })
        })
    };
    fields.filter(|name| !read(name)).map(|name| format!("config field {name} has no reader")).collect()
}

/// What stands between the parentheses of each log call that an operator sees, with its line.
fn log_calls(text: &str) -> Vec<(usize, String)> {
    let lines: Vec<(usize, &str)> = code(text).collect();
    let mut calls = Vec::new();
    for (at, (number, line)) in lines.iter().enumerate() {
        let Some((_, rest)) = LOUD.iter().find_map(|call| line.split_once(call)) else { continue };
        let mut call = rest.trim().to_owned();
        for (_, more) in &lines[at + 1..] {
            if call.matches(')').count() > call.matches('(').count() {
                break;
            }
            call.push_str(more.trim());
        }
        calls.push((*number, call));
    }
    calls
}

/// The name of the event a call begins with.
fn event_name(call: &str) -> Option<&str> {
    let (name, _) = call.strip_prefix("event = \"")?.split_once('"')?;
    name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_').then_some(name)
}

fn log_faults(path: &str, text: &str) -> Vec<String> {
    let calls = log_calls(text).into_iter();
    // Two quotes are those of the name; more are a message, which no filter can rest on.
    let faulty = calls.filter(|(_, call)| event_name(call).is_none() || call.matches('"').count() > 2);
    faulty.map(|(number, call)| format!("{path}:{number}: not an event with fields: {call}")).collect()
}

fn unexplained_events(path: &str, text: &str, readme: &str) -> Vec<String> {
    let calls = log_calls(text);
    let names = calls.iter().filter_map(|(_, call)| event_name(call));
    let unexplained = names.filter(|name| !readme.contains(&format!("`{name}`")));
    unexplained.map(|name| format!("{path}: README.md does not explain the event {name}")).collect()
}

/// Rows of the hostile table without tests, and names in it that no test has.
fn hostile_faults(table: &str, tests: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for (at, line) in table.lines().enumerate().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [_table, comes, does, names] = columns[..] else {
            faults.push(format!("hostile.tsv:{}: {} columns", at + 1, columns.len()));
            continue;
        };
        if comes.is_empty() || does.is_empty() || names.split_whitespace().next().is_none() {
            faults.push(format!("hostile.tsv:{}: a row without a test: {comes}", at + 1));
        }
        let missing = names.split_whitespace().filter(|name| !is_test(name, tests));
        faults.extend(missing.map(|name| format!("hostile.tsv:{}: there is no test {name}", at + 1)));
    }
    faults
}

/// Whether a function of this name stands below a test attribute.
fn is_test(name: &str, tests: &str) -> bool {
    let called = format!("fn {name}(");
    tests.match_indices(&called).any(|(at, _)| {
        let before = tests[..at].lines().rev().take(3).collect::<Vec<_>>();
        before
            .iter()
            .any(|line| line.trim().starts_with("#[test]") || line.trim().starts_with("#[tokio::test"))
    })
}

/// A mutant that names a test, `test: module::name`, which is not there.
fn mutant_fault(path: &str, patch: &str, tests: &str) -> Option<String> {
    let test = patch.lines().find_map(|line| line.strip_prefix("test: "))?;
    let name = test.rsplit("::").next().unwrap_or(test);
    (!is_test(name, tests)).then(|| format!("{path}: there is no test {test}"))
}

fn top_level_fault(name: &str) -> Option<String> {
    let allowed = TOP_LEVEL.contains(&name) || name.starts_with('.') || name.starts_with("LICENSE");
    (!allowed).then(|| format!("{name} does not belong at the top level"))
}

fn lock_fault(path: &str) -> Option<String> {
    let name = path.rsplit('/').next().unwrap_or(path);
    FOREIGN_LOCKS.contains(&name).then(|| format!("{path} is another tool's lock file"))
}

fn index_faults(lock: &str) -> Vec<String> {
    let sources = lock.lines().filter_map(|line| line.strip_prefix("source = "));
    sources
        .filter(|source| source.trim_matches('"') != INDEX)
        .map(|source| format!("Cargo.lock: {source}"))
        .collect()
}

/// Lines of code with their numbers: comments are prose, and what follows `mod tests` may do more.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .take_while(|(_, line)| !line.starts_with("mod tests"))
        .map(|(at, line)| (at + 1, line))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn module(path: &str) -> String {
    let below = path.strip_prefix("src/").unwrap_or(path);
    let first = below.split('/').next().unwrap_or(below);
    first.strip_suffix(".rs").unwrap_or(first).to_owned()
}

fn floor_of(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn assert_clean(faults: impl Iterator<Item = String>) {
    let faults: Vec<String> = faults.collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<File> {
    let mut paths = Vec::new();
    walk(&root().join("src"), &mut paths);
    assert!(paths.len() > 10, "the sources are found");
    paths.retain(|path| path.ends_with(".rs"));
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read_to_string(root().join(path)).unwrap())).collect()
}

/// Every file below, as a path from the root.
fn walk(directory: &Path, paths: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, paths);
        } else {
            paths.push(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
        }
    }
}

mod each_rule_can_fail {
    use super::*;

    #[test]
    fn a_name_of_a_higher_floor_is_found() {
        assert_eq!(floor_faults("src/store/x.rs", "use crate::engine::Draft;\n").len(), 1);
        assert_eq!(floor_faults("src/link/x.rs", "use crate::{clock, http};\n").len(), 1);
        let spread = "use crate::{\n    clock::{Now, Clock},\n    http,\n};\n";
        assert_eq!(floor_faults("src/link/x.rs", spread).len(), 1);
        assert_eq!(floor_faults("src/link/x.rs", "    crate::sim::start();\n").len(), 1, "a room beside");
        assert_eq!(floor_faults("src/engine/x.rs", "use crate::nowhere::X;\n").len(), 1);
        assert_eq!(floor_faults("src/stray.rs", "").len(), 1);
        assert!(floor_faults("src/store/x.rs", "use crate::{clock::Now, store::keys};\n").is_empty());
        assert!(floor_faults("src/sms/x.rs", "use crate::message::Msisdn;\n// crate::http\n").is_empty());
    }

    #[test]
    fn a_guarded_crate_outside_its_room_is_found() {
        assert_eq!(guard_faults("src/store/open.rs", "use sled::Db;\n").len(), 1);
        assert_eq!(guard_faults("src/engine/x.rs", "fn f(x: rusmpp::Pdu) {}\n").len(), 1);
        assert_eq!(guard_faults("src/daemon.rs", "use axum;\n").len(), 1);
        assert_eq!(guard_faults("src/link/modem/x.rs", "tokio_serial::new();\n").len(), 1);
        assert!(guard_faults("src/store/state.rs", "use sled::Db;\n").is_empty());
        assert!(guard_faults("src/sim/smsc.rs", "use rusmpp::Pdu;\n").is_empty());
        assert!(guard_faults("src/daemon.rs", "// sled::Db stays below\nlet axumish = 1;\n").is_empty());
    }

    #[test]
    fn a_missing_header_and_a_large_file_are_found() {
        assert!(header_fault("x", "use a;\n").is_some());
        assert!(header_fault("x", "//! What it is.\n").is_none());
        assert!(size_fault("x", FILE_MAX + 1).is_some());
        assert!(size_fault("x", FILE_MAX).is_none());
    }

    #[test]
    fn a_hostile_row_without_a_test_that_exists_is_found() {
        let tests = "#[test]\nfn it_holds() {\n\n\n\nfn no_test() {";
        let faults = |rows: &str| hostile_faults(&format!("head\n{rows}"), tests).len();
        assert_eq!(faults("modem\tnoise\tdrained\tit_holds"), 0);
        assert_eq!(faults("modem\tnoise\tdrained\t"), 1);
        assert_eq!(faults("modem\tnoise\tdrained\tit_holds no_test it_hold"), 2);
        assert_eq!(faults("modem\tnoise\tit_holds"), 1);
    }

    #[test]
    fn a_mutant_of_a_test_that_is_not_there_is_found() {
        let fault = |patch: &str| mutant_fault("x", patch, "#[test]\nfn it_holds() {");
        assert!(fault("Why.\ntest: room::it_holds\n").is_none() && fault("Why.\n").is_none());
        assert!(fault("Why.\ntest: room::it_held\n").is_some());
    }

    #[test]
    fn a_field_nobody_reads_is_found() {
        let config = "pub struct A {\n    pub window: u16,\n    pub rate: u32,\n}\n";
        let reader = |text: &str| vec![(String::from("src/x.rs"), String::from(text))];
        assert_eq!(unread_fields(config, &reader("a.window + a.rates")).len(), 1);
        assert_eq!(unread_fields(config, &reader("// a.window\nlet rate = 1;")).len(), 2);
        assert!(unread_fields(config, &reader("a.window + a.rate")).is_empty());
    }

    #[test]
    fn a_log_line_of_prose_and_an_unexplained_event_are_found() {
        let faults = |text: &str| log_faults("src/x.rs", text).len();
        assert_eq!(faults("    tracing::warn!(%error, \"it broke\");\n"), 1);
        assert_eq!(faults("    tracing::warn!(event = \"Broke It\", %error);\n"), 1);
        assert_eq!(faults("    tracing::warn!(\n        event = \"broke\",\n        \"prose\"\n    );\n"), 1);
        assert_eq!(
            faults("    tracing::warn!(\n        event = \"broke\",\n        at = x.at()\n    );\n"),
            0
        );
        let line = "tracing::info!(event = \"link_up\", link = %name);\n";
        assert_eq!(unexplained_events("src/x.rs", line, "`link_down`").len(), 1);
        assert!(unexplained_events("src/x.rs", line, "- `link_up`: it is").is_empty());
    }

    #[test]
    fn strangers_at_the_top_level_and_in_lock_files_are_found() {
        assert!(top_level_fault("notes.md").is_some());
        assert!(top_level_fault("src").is_none() && top_level_fault(".ci").is_none());
        assert!(lock_fault("tests/x/package-lock.json").is_some());
        assert!(lock_fault("tests/x/package.json").is_none());
        assert_eq!(index_faults("source = \"registry+https://mirror.example/index\"\n").len(), 1);
        assert!(index_faults(&format!("source = \"{INDEX}\"\n")).is_empty());
    }
}
