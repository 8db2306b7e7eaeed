//! The file as it is written: tables, keys and lines, without meaning.
//!
//! A [`Section`] lends one table's values by key and remembers which keys were asked for. [`Section::end`]
//! refuses whatever nobody asked for, so a key is known exactly when something reads it, and there is no
//! second list of keys to keep in step. Every fault becomes a [`Problem`]; reading goes on with the
//! default, so that all problems come at once.
//!
//! The mirror is over the parsed TOML and not a derived struct, because a derived one ends at its first
//! fault and knows no lines.

use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::{DeArray, DeInteger, DeTable, DeValue};

use super::Problem;
use super::value::Bad;

/// A key this far from a known one, in single-letter edits, was probably meant to be it.
const LIKELY_SLIP: usize = 2;

/// Parses the text; syntax errors alone are reported then, for what follows one is guesswork.
pub fn parse(text: &str) -> Result<Spanned<DeTable<'_>>, Vec<Problem>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(table);
    }
    let problem = |error: toml::de::Error| Problem {
        line: error.span().map(|span| line_at(text, span.start)),
        key: String::new(),
        why: format!("not TOML: {}", error.message().replace('\n', ", ")),
        remedy: String::from("mend the syntax; text is quoted, a table begins with [name]"),
    };
    let mut problems: Vec<Problem> = errors.into_iter().map(problem).collect();
    // What comes second on a line is the parser finding its way back.
    problems.dedup_by_key(|problem| problem.line);
    Err(problems)
}

/// Lines count from 1.
pub(crate) fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|b| *b == b'\n').count() + 1
}

/// One table of the file, or one that is not there and so has only defaults.
#[derive(Debug)]
pub struct Section<'t> {
    text: &'t str,
    /// Empty for the top level, else with its dot: `queue.`.
    path: String,
    line: Option<usize>,
    table: Option<&'t DeTable<'t>>,
    asked: Vec<&'static str>,
    problems: Vec<Problem>,
}

/// One value where it stands.
#[derive(Clone, Copy, Debug)]
struct Entry<'t> {
    line: usize,
    value: &'t DeValue<'t>,
}

impl<'t> Section<'t> {
    pub fn top(text: &'t str, table: &'t Spanned<DeTable<'t>>) -> Section<'t> {
        Section {
            text,
            path: String::new(),
            line: None,
            table: Some(table.get_ref()),
            asked: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// A text, or what `default` gives when the key is absent or its value refused.
    pub fn text<T>(&mut self, key: &'static str, default: T, read: impl Fn(&str) -> Result<T, Bad>) -> T {
        let Some(entry) = self.get(key) else { return default };
        let parsed = as_text(entry.value).and_then(read);
        self.keep(key, entry.line, parsed).unwrap_or(default)
    }

    /// A text without which the table means nothing; `None` was reported.
    pub fn required<T>(
        &mut self,
        key: &'static str,
        example: &str,
        read: impl Fn(&str) -> Result<T, Bad>,
    ) -> Option<T> {
        let Some(entry) = self.get(key) else {
            let line = self.line;
            self.refuse(key, line, Bad::new("is required", format!("add {key} = {example}")));
            return None;
        };
        let parsed = as_text(entry.value).and_then(read);
        self.keep(key, entry.line, parsed)
    }

    /// A list of texts; each bad entry is reported.
    pub fn texts<T>(
        &mut self,
        key: &'static str,
        default: Vec<T>,
        read: impl Fn(&str) -> Result<T, Bad>,
    ) -> Vec<T> {
        let Some(entry) = self.get(key) else { return default };
        let DeValue::Array(array) = entry.value else {
            self.refuse(key, Some(entry.line), wrong_type(entry.value, "a list of texts, [\"...\"]"));
            return default;
        };
        let mut list = Vec::new();
        for (line, value) in self.elements(array) {
            let parsed = as_text(value).and_then(&read);
            list.extend(self.keep(key, line, parsed));
        }
        list
    }

    /// A whole number within `range`.
    pub fn number(&mut self, key: &'static str, default: u64, range: RangeInclusive<u64>) -> u64 {
        let Some(entry) = self.get(key) else { return default };
        let parsed = as_number(entry.value, &range);
        self.keep(key, entry.line, parsed).unwrap_or(default)
    }

    /// `"auto"` (the default, `None`) or a whole number within `range`.
    pub fn auto_number(&mut self, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let entry = self.get(key)?;
        if entry.value.as_str() == Some("auto") {
            return None;
        }
        let parsed = as_number(entry.value, &range)
            .map_err(|bad| Bad { remedy: format!("{}, or \"auto\"", bad.remedy), ..bad });
        self.keep(key, entry.line, parsed)
    }

    pub fn switch(&mut self, key: &'static str, default: bool) -> bool {
        let Some(entry) = self.get(key) else { return default };
        let parsed = entry.value.as_bool().ok_or_else(|| wrong_type(entry.value, "true or false"));
        self.keep(key, entry.line, parsed).unwrap_or(default)
    }

    /// A table whose keys are values too: `status = { "0x45" = "temporary" }`.
    pub fn pairs<T>(&mut self, key: &'static str, read: impl Fn(&str, &str) -> Result<T, Bad>) -> Vec<T> {
        let Some(entry) = self.get(key) else { return Vec::new() };
        let DeValue::Table(table) = entry.value else {
            self.refuse(key, Some(entry.line), wrong_type(entry.value, "a table, { \"...\" = \"...\" }"));
            return Vec::new();
        };
        let mut pairs = Vec::new();
        for (left, right) in table {
            let line = line_at(self.text, left.span().start);
            let parsed = as_text(right.get_ref()).and_then(|right| read(left.get_ref(), right));
            pairs.extend(self.keep(key, line, parsed));
        }
        pairs
    }

    /// The table `[key]`; where it is absent, one with nothing but defaults.
    pub fn table(&mut self, key: &'static str) -> Section<'t> {
        let entry = self.get(key);
        let table = entry.and_then(|entry| match entry.value {
            DeValue::Table(table) => Some(table),
            _ => None,
        });
        if let (Some(entry), None) = (entry, table) {
            self.refuse(key, Some(entry.line), wrong_type(entry.value, &format!("a table, [{key}]")));
        }
        self.inner(format!("{key}."), entry.map(|entry| entry.line), table)
    }

    /// The tables `[[key]]`, in their order.
    pub fn tables(&mut self, key: &'static str) -> Vec<Section<'t>> {
        let Some(entry) = self.get(key) else { return Vec::new() };
        let wanted = format!("a list of tables, [[{key}]]");
        let DeValue::Array(array) = entry.value else {
            self.refuse(key, Some(entry.line), wrong_type(entry.value, &wanted));
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (index, (line, value)) in self.elements(array).into_iter().enumerate() {
            match value {
                DeValue::Table(table) => {
                    let path = format!("{key}[{}].", index + 1);
                    sections.push(self.inner(path, Some(line), Some(table)));
                }
                other => self.refuse(key, Some(line), wrong_type(other, &wanted)),
            }
        }
        sections
    }

    /// Reports what is wrong between values; `key` gives the line, its table's where it is absent.
    pub fn refuse_value(&mut self, key: &'static str, bad: Bad) {
        let line = self.peek(key).map(|entry| entry.line).or(self.line);
        self.refuse(key, line, bad);
    }

    pub fn is_absent(&self, key: &'static str) -> bool {
        self.peek(key).is_none()
    }

    /// It stands there as `[]`.
    pub fn is_empty_list(&self, key: &'static str) -> bool {
        self.peek(key).is_some_and(|entry| entry.value.as_array().is_some_and(|list| list.is_empty()))
    }

    /// Refuses every key nobody asked for, those of `later` as not supported by this version, and gives all
    /// problems of this table.
    pub fn end(mut self, later: &[&'static str]) -> Vec<Problem> {
        let known: Vec<&'static str> = self.asked.iter().copied().chain(later.iter().copied()).collect();
        for (key, _) in self.table.into_iter().flatten() {
            let name: &str = key.get_ref();
            if self.asked.contains(&name) {
                continue;
            }
            let bad = if later.contains(&name) {
                Bad::new("is not supported by this version", "remove it")
            } else {
                Bad::new("is not a key of this table", remedy_for_unknown(name, &known))
            };
            let line = line_at(self.text, key.span().start);
            self.problems.push(problem(Some(line), format!("{}{name}", self.path), bad));
        }
        self.problems
    }

    fn inner(&self, path: String, line: Option<usize>, table: Option<&'t DeTable<'t>>) -> Section<'t> {
        Section { text: self.text, path, line, table, asked: Vec::new(), problems: Vec::new() }
    }

    fn elements(&self, array: &'t DeArray<'t>) -> Vec<(usize, &'t DeValue<'t>)> {
        array.iter().map(|element| (line_at(self.text, element.span().start), element.get_ref())).collect()
    }

    fn get(&mut self, key: &'static str) -> Option<Entry<'t>> {
        self.asked.push(key);
        self.peek(key)
    }

    fn peek(&self, key: &str) -> Option<Entry<'t>> {
        let (name, value) = self.table?.get_key_value(key)?;
        Some(Entry { line: line_at(self.text, name.span().start), value: value.get_ref() })
    }

    fn keep<T>(&mut self, key: &str, line: usize, parsed: Result<T, Bad>) -> Option<T> {
        match parsed {
            Ok(value) => Some(value),
            Err(bad) => {
                self.refuse(key, Some(line), bad);
                None
            }
        }
    }

    fn refuse(&mut self, key: &str, line: Option<usize>, bad: Bad) {
        self.problems.push(problem(line, format!("{}{key}", self.path), bad));
    }
}

fn problem(line: Option<usize>, key: String, bad: Bad) -> Problem {
    Problem { line, key, why: bad.why, remedy: bad.remedy }
}

fn as_text<'t>(value: &'t DeValue<'_>) -> Result<&'t str, Bad> {
    value.as_str().ok_or_else(|| wrong_type(value, "a text in quotes"))
}

fn as_number(value: &DeValue<'_>, range: &RangeInclusive<u64>) -> Result<u64, Bad> {
    let parse = |n: &DeInteger<'_>| u64::from_str_radix(n.as_str(), n.radix()).ok();
    let number = value.as_integer().ok_or_else(|| wrong_type(value, "a whole number, without quotes"))?;
    parse(number).filter(|n| range.contains(n)).ok_or_else(|| {
        Bad::new(format!("{number} is out of range"), format!("write {} to {}", range.start(), range.end()))
    })
}

fn wrong_type(value: &DeValue<'_>, wanted: &str) -> Bad {
    Bad::new(format!("is of type {}", value.type_str()), format!("write {wanted}"))
}

fn remedy_for_unknown(key: &str, known: &[&'static str]) -> String {
    let nearest = known.iter().map(|name| (edits(key, name), name)).min();
    match nearest {
        Some((distance, name)) if distance <= LIKELY_SLIP && distance < name.len() => {
            format!("did you mean {name}?")
        }
        _ => String::from("remove it"),
    }
}

/// Levenshtein's distance in characters.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_count_single_letters() {
        assert_eq!(edits("validty", "validity"), 1);
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(edits("retyr", "retry"), 2);
        assert_eq!(edits("window", "window"), 0);
    }

    #[test]
    fn lines_count_from_one() {
        assert_eq!(line_at("a\nb\n", 0), 1);
        assert_eq!(line_at("a\nb\n", 2), 2);
        assert_eq!(line_at("a", 99), 1, "an offset beyond the text reads nothing");
    }
}
