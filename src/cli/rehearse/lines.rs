//! What a rehearsal writes: one JSON object a line, in order of true time, and a summary as the last.
//!
//! `sent` comes from the links' own lists of what they wrote, the rest from the events that the core publishes: the
//! two can be held against each other.

use std::collections::{BTreeMap, HashMap};

use serde::{Serialize, Serializer};

use crate::clock::Timestamp;
use crate::engine::imports::payments::Booked;
use crate::engine::notice::{Notice, NoticeKind};
use crate::engine::reminders::Happened;
use crate::id::{MessageId, ObligationId, TaskId};
use crate::link::Submission;
use crate::message::{LinkName, Status};
use crate::reminder::money::Money;
use crate::reminder::suppression::Source;

/// One thing that happened, at an instant of true time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    #[serde(serialize_with = "rfc3339")]
    pub at: Timestamp,
    #[serde(flatten)]
    pub said: Said,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Said {
    Sent(Sent),
    Refused(Refused),
    Task(TaskLine),
    Optout(OptOut),
    Consent(Consent),
    Paused(Paused),
    Exited(Exited),
    Promise(Promised),
    Webhook(Webhook),
    Bank(Bank),
}

/// A text whose first byte a link wrote then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sent {
    pub to: String,
    pub text: String,
    /// External id; none of the three where it is no reminder.
    pub obligation: Option<String>,
    pub step: Option<String>,
    pub template: Option<String>,
    pub link: String,
    pub segments: usize,
    /// At the end of the rehearsal.
    pub status: &'static str,
}

/// A step that a gate held back, left out or found stale.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    pub obligation: String,
    pub step: String,
    pub gate: String,
    pub pack: Option<String>,
    pub rule: String,
    #[serde(serialize_with = "maybe_rfc3339")]
    pub next: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TaskLine {
    pub id: String,
    pub kind: String,
    pub obligation: Option<String>,
    /// `open`, `overdue` or `done`.
    pub state: &'static str,
    pub outcome: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OptOut {
    pub number: String,
    pub source: &'static str,
}

/// An opt-out was taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Consent {
    pub number: String,
    pub source: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Paused {
    pub obligation: String,
    pub reason: &'static str,
    #[serde(serialize_with = "maybe_rfc3339")]
    pub until: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Exited {
    pub obligation: String,
    /// `completed` where its sequence came to its end.
    pub reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Promised {
    pub obligation: String,
    /// `made`, `kept`, `broken` or `withdrawn`.
    pub state: &'static str,
    pub date: Option<jiff::civil::Date>,
    pub amount: Option<Money>,
}

/// What the firm's own systems are asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Webhook {
    pub event: String,
    pub obligation: String,
    pub amount: Option<Money>,
    pub key: Option<String>,
}

/// What a file of the bank came to, in entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Bank {
    pub path: String,
    pub entries: u64,
    pub booked: u64,
    pub reversed: u64,
    /// Each with a task.
    pub doubtful: u64,
    pub unchanged: u64,
    pub unmatched: u64,
    pub rejected: u64,
}

/// The last line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    pub obligations: u64,
    /// Rows that were not taken, with why.
    pub rows_refused: Vec<(String, String)>,
    pub texts: usize,
    pub segments: usize,
    pub by_template: BTreeMap<String, usize>,
    pub by_link: BTreeMap<String, usize>,
    pub by_status: BTreeMap<&'static str, usize>,
    /// By gate.
    pub refused: BTreeMap<String, usize>,
    /// Opened, by kind.
    pub tasks: BTreeMap<String, usize>,
    pub optouts: usize,
    pub exited: BTreeMap<String, usize>,
    /// Reminders to one number in one day of the firm's zone at most.
    pub most_a_day: usize,
    #[serde(serialize_with = "maybe_rfc3339")]
    pub first: Option<Timestamp>,
    #[serde(serialize_with = "maybe_rfc3339")]
    pub last: Option<Timestamp>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn rfc3339<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&at.to_rfc3339())
}

fn maybe_rfc3339<S: Serializer>(at: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
    at.map(Timestamp::to_rfc3339).serialize(to)
}

/// Whose reminder a message is, from its own metadata.
#[derive(Clone, Debug, Default)]
pub(super) struct Whose {
    pub obligation: Option<String>,
    pub step: Option<String>,
    pub template: Option<String>,
}

/// A text of which segments are written.
struct Writing {
    line: usize,
    id: MessageId,
    segments: BTreeMap<u8, String>,
}

/// The lines in the making.
#[derive(Default)]
pub(super) struct Notes {
    lines: Vec<Line>,
    writing: HashMap<MessageId, Writing>,
    /// Texts that are whole or were begun anew: message and line.
    written: Vec<(MessageId, usize)>,
    statuses: HashMap<MessageId, Status>,
    /// External ids.
    names: HashMap<ObligationId, String>,
    /// Tasks and what they are about, for the lines of their end.
    tasks: HashMap<TaskId, Option<String>>,
}

impl Notes {
    /// A link wrote a segment. A segment that is written again is a text of its own: nothing is hidden.
    pub fn wrote(
        &mut self,
        at: Timestamp,
        link: &LinkName,
        submission: &Submission,
        whose: impl FnOnce() -> Whose,
    ) {
        let (id, index) = (submission.id, submission.index);
        if self.writing.get(&id).is_some_and(|writing| writing.segments.contains_key(&index)) {
            self.end_writing(id);
        }
        let lines = &mut self.lines;
        let writing = self.writing.entry(id).or_insert_with(|| {
            let Whose { obligation, step, template } = whose();
            let (to, link) = (submission.to.to_e164(), link.as_str().to_owned());
            let (text, segments) = (String::new(), 0);
            let sent = Sent { to, text, obligation, step, template, link, segments, status: "" };
            lines.push(Line { at, said: Said::Sent(sent) });
            Writing { line: lines.len() - 1, id, segments: BTreeMap::new() }
        });
        writing.segments.insert(index, submission.text.clone());
        let whole = submission.concat.as_ref().map_or(1, |concat| usize::from(concat.total));
        if writing.segments.len() == whole {
            self.end_writing(id);
        }
    }

    fn end_writing(&mut self, id: MessageId) {
        let Some(Writing { line, id, segments }) = self.writing.remove(&id) else { return };
        self.written.push((id, line));
        if let Some(Line { said: Said::Sent(sent), .. }) = self.lines.get_mut(line) {
            sent.segments = segments.len();
            sent.text = segments.into_values().collect();
        }
    }

    pub fn knows(&self, id: ObligationId) -> bool {
        self.names.contains_key(&id)
    }

    pub fn name(&mut self, id: ObligationId, external: String) {
        self.names.insert(id, external);
    }

    fn named(&self, id: ObligationId) -> String {
        self.names.get(&id).cloned().unwrap_or_else(|| id.to_string())
    }

    /// Takes what the core published.
    pub fn heard(&mut self, at: Timestamp, notice: Notice) {
        let said = match notice.kind {
            NoticeKind::Message { id, status, .. } => {
                self.statuses.insert(id, status);
                return;
            }
            NoticeKind::OptOutAdded { party, source } => {
                Said::Optout(OptOut { number: party.as_written(), source: word(&source) })
            }
            NoticeKind::OptOutRemoved { party, source } => {
                Said::Consent(Consent { number: party.as_written(), source: word(&source) })
            }
            NoticeKind::TaskOpened { id, kind } => self.task(id, kind.as_str(), "open", None),
            NoticeKind::TaskOverdue { id, kind } => self.task(id, kind.as_str(), "overdue", None),
            NoticeKind::TaskDone { id, kind, outcome } => self.task(id, kind.as_str(), "done", Some(outcome)),
            NoticeKind::Obligation { id, what } => match self.happened(id, what) {
                Some(said) => said,
                None => return,
            },
            _ => return,
        };
        self.lines.push(Line { at, said });
    }

    pub fn booked(&mut self, at: Timestamp, path: String, booked: &Booked) {
        let Booked { entries, booked, reversed, doubtful, unchanged, unmatched, rejected, .. } = *booked;
        let bank = Bank { path, entries, booked, reversed, doubtful, unchanged, unmatched, rejected };
        self.lines.push(Line { at, said: Said::Bank(bank) });
    }

    fn task(&self, id: TaskId, kind: &str, state: &'static str, outcome: Option<String>) -> Said {
        let obligation = self.tasks.get(&id).cloned().flatten();
        Said::Task(TaskLine { id: id.to_string(), kind: kind.to_owned(), obligation, state, outcome })
    }

    fn happened(&mut self, id: ObligationId, what: Happened) -> Option<Said> {
        let obligation = self.named(id);
        let refused = |step: String, gate: String, pack, rule, next| {
            let obligation = obligation.clone();
            Said::Refused(Refused { obligation, step, gate, pack, rule, next })
        };
        let promised = |state, date, amount| {
            Said::Promise(Promised { obligation: obligation.clone(), state, date, amount })
        };
        Some(match what {
            Happened::Refused { step, gate, pack, rule, next } => {
                refused(step.to_string(), gate, pack.map(|pack| pack.to_string()), rule, next)
            }
            Happened::Skipped { step, gate, rule } => refused(step.to_string(), gate, None, rule, None),
            Happened::Stale { step } => {
                refused(step.to_string(), String::from("stale"), None, String::from("passed"), None)
            }
            Happened::Paused { reason, until } => {
                Said::Paused(Paused { obligation, reason: reason.as_str(), until })
            }
            Happened::Exited { reason } => Said::Exited(Exited { obligation, reason: reason.as_str() }),
            Happened::Completed => Said::Exited(Exited { obligation, reason: "completed" }),
            Happened::Promised { date, amount } => promised("made", Some(date), amount),
            Happened::PromiseKept => promised("kept", None, None),
            Happened::PromiseBroken => promised("broken", None, None),
            Happened::PromiseWithdrawn => promised("withdrawn", None, None),
            Happened::PaymentRequested { amount, key, .. } => {
                let (event, amount, key) = (String::from("payment.requested"), Some(amount), Some(key));
                Said::Webhook(Webhook { event, obligation, amount, key })
            }
            Happened::Asked { event, .. } => {
                Said::Webhook(Webhook { event: event.to_string(), obligation, amount: None, key: None })
            }
            Happened::TaskOpened { task, .. } => {
                self.tasks.insert(task, Some(obligation));
                return None;
            }
            _ => return None,
        })
    }

    /// All lines, with what became of each text.
    pub fn end(mut self) -> Vec<Line> {
        let begun: Vec<MessageId> = self.writing.keys().copied().collect();
        begun.into_iter().for_each(|id| self.end_writing(id));
        for (id, line) in &self.written {
            let status = self.statuses.get(id).map_or("unknown", |status| status.as_str());
            if let Some(Line { said: Said::Sent(sent), .. }) = self.lines.get_mut(*line) {
                sent.status = status;
            }
        }
        self.lines
    }
}

const fn word(source: &Source) -> &'static str {
    match source {
        Source::Reply(_) => "reply",
        Source::Token { .. } => "person",
    }
}

impl Summary {
    /// Counts the lines; days are those of `day`.
    pub fn count(&mut self, lines: &[Line], day: impl Fn(Timestamp) -> jiff::civil::Date) {
        let mut days: HashMap<(&str, jiff::civil::Date), usize> = HashMap::new();
        for line in lines {
            match &line.said {
                Said::Sent(sent) => {
                    self.texts += 1;
                    self.segments += sent.segments;
                    self.first = self.first.or(Some(line.at));
                    self.last = Some(line.at);
                    *self.by_link.entry(sent.link.clone()).or_default() += 1;
                    *self.by_status.entry(sent.status).or_default() += 1;
                    if let Some(template) = &sent.template {
                        *self.by_template.entry(template.clone()).or_default() += 1;
                        *days.entry((&sent.to, day(line.at))).or_default() += 1;
                    }
                }
                Said::Refused(refused) => *self.refused.entry(refused.gate.clone()).or_default() += 1,
                Said::Task(task) if task.state == "open" => {
                    *self.tasks.entry(task.kind.clone()).or_default() += 1;
                }
                Said::Optout(_) => self.optouts += 1,
                Said::Exited(exited) => *self.exited.entry(exited.reason.to_owned()).or_default() += 1,
                _ => {}
            }
        }
        self.most_a_day = days.into_values().max().unwrap_or(0);
    }
}
