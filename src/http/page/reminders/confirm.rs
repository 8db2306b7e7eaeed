//! What cannot be taken back is asked twice: the second time on a page of its own that says what follows, and with
//! what one was looking at. Nothing is changed before.

use askama::Template;

use super::Frame;
use super::entries::Entries;
use super::words::plain;

/// The field that says that the question was answered.
pub const SURE: &str = "sure";

#[derive(Template)]
#[template(path = "reminders/confirm.html", config = "src/http/page/askama.toml")]
pub struct Confirm {
    pub frame: Frame,
    pub here: &'static str,
    /// What is asked.
    pub question: String,
    /// What follows, a sentence each.
    pub follows: Vec<&'static str>,
    /// What it is about, name and value.
    pub facts: Vec<(&'static str, String)>,
    pub action: String,
    /// What the form holds besides the answer.
    pub held: Vec<(&'static str, String)>,
    pub button: &'static str,
    pub back: String,
    /// Whether the words of whoever answers are asked for.
    pub asks_why: bool,
    pub entries: Entries,
}

/// What follows when an obligation is closed so; `None`: it can be opened again, and nothing is asked.
pub fn closing(status: &str) -> Option<(&'static str, &'static str, Vec<&'static str>)> {
    const ENDS: &str = "Reminders end for good, and what waits to go is taken back.";
    Some(match status {
        "handed_over" => (
            "Hand it over to collection or court?",
            "Hand it over",
            vec![ENDS, "It stays handed over: the page cannot open it again."],
        ),
        "canceled" => (
            "Cancel it: was it never owed?",
            "Cancel it",
            vec![ENDS, "It stays canceled: the page cannot open it again."],
        ),
        "written_off" => (
            "Write it off?",
            "Write it off",
            vec![ENDS, "It stays written off: the page cannot open it again."],
        ),
        _ => return None,
    })
}

/// A field's name and value as a line of facts.
pub fn fact(name: &'static str, value: impl Into<String>) -> (&'static str, String) {
    (name, value.into())
}

/// The word of a status.
pub fn status(word: &str) -> (&'static str, String) {
    ("Status", plain(word))
}
