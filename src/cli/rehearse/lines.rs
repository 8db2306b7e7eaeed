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
    Rule(RuleLine),
    Bank(Bank),
}

/// A text whose first byte a link wrote then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sent {
    pub to: String,
    pub text: String,
    /// External id; none of the four where it is no text about one.
    pub obligation: Option<String>,
    pub step: Option<String>,
    /// The rule that sent it, where it is no step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
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

/// What a rule did, or wanted and did not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleLine {
    pub obligation: String,
    pub rule: String,
    /// As the rule writes it; none where it was refused.
    #[serde(rename = "do")]
    pub act: Option<String>,
    /// Gate and reason, where it was refused.
    pub refused: Option<String>,
    #[serde(serialize_with = "maybe_rfc3339")]
    pub next: Option<Timestamp>,
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
    pub rule: Option<String>,
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
            let Whose { obligation, step, rule, template } = whose();
            let (to, link) = (submission.to.to_e164(), link.as_str().to_owned());
            let (text, segments) = (String::new(), 0);
            let sent = Sent { to, text, obligation, step, rule, template, link, segments, status: "" };
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
            Happened::Acted { rule, act } => {
                let rule = rule.to_string();
                Said::Rule(RuleLine { obligation, rule, act: Some(act), refused: None, next: None })
            }
            Happened::Called { event, .. } => {
                Said::Webhook(Webhook { event: event.to_string(), obligation, amount: None, key: None })
            }
            Happened::Withheld { rule, gate, why, next, .. } => {
                let (rule, refused) = (rule.to_string(), Some(format!("{gate} {why}")));
                Said::Rule(RuleLine { obligation, rule, act: None, refused, next })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::Concat;
    use crate::message::{Encoding, Msisdn};
    use crate::reminder::enrolment::PauseReason;
    use crate::reminder::name::Key;
    use crate::reminder::suppression::Party;
    use std::time::Duration;

    const AT: Timestamp = Timestamp::from_millis(1_795_269_900_000);

    fn segment(id: u64, index: u8, total: u8) -> Submission {
        Submission {
            id: MessageId::from_u64(id),
            index,
            lease: 1,
            to: Msisdn::parse_e164("+4915112345671").unwrap(),
            sender: None,
            text: format!("{index};"),
            encoding: Encoding::Gsm7,
            concat: (total > 1).then_some(Concat { reference: 1, total, number: index + 1 }),
            flash: false,
            receipt: true,
            validity: Duration::from_secs(60),
        }
    }

    fn whose() -> Whose {
        Whose {
            obligation: Some("INV-1".into()),
            step: Some("due".into()),
            rule: None,
            template: Some("text en 1".into()),
        }
    }

    fn notice(kind: NoticeKind) -> Notice {
        Notice { at: AT, kind }
    }

    fn status(id: u64, status: Status) -> Notice {
        notice(NoticeKind::Message { id: MessageId::from_u64(id), status, link: None })
    }

    fn json(line: &Line) -> serde_json::Value {
        serde_json::to_value(line).unwrap()
    }

    #[test]
    fn a_text_of_several_segments_is_one_line_with_its_last_status() {
        let mut notes = Notes::default();
        for index in [1, 0, 2] {
            notes.wrote(AT, &"carrier".into(), &segment(7, index, 3), whose);
        }
        notes.heard(AT, status(7, Status::Sent));
        notes.heard(AT, status(7, Status::Delivered));
        let lines = notes.end();
        assert_eq!(lines.len(), 1);
        assert_eq!(
            json(&lines[0]),
            serde_json::json!({"at": "2026-11-21T14:05:00.000Z", "sent": {
                "to": "+4915112345671", "text": "0;1;2;", "obligation": "INV-1", "step": "due",
                "template": "text en 1", "link": "carrier", "segments": 3, "status": "delivered"}})
        );
    }

    #[test]
    fn a_segment_that_is_written_again_is_a_line_of_its_own_and_one_that_is_cut_off_is_shown() {
        let mut notes = Notes::default();
        let carrier = LinkName::from("carrier");
        notes.wrote(AT, &carrier, &segment(7, 0, 1), whose);
        notes.wrote(AT, &carrier, &segment(7, 0, 1), whose);
        notes.wrote(AT, &carrier, &segment(8, 0, 2), whose);
        let lines = notes.end();
        let texts: Vec<(usize, &str)> = lines
            .iter()
            .map(|line| match &line.said {
                Said::Sent(sent) => (sent.segments, sent.status),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(texts, [(1, "unknown"), (1, "unknown"), (1, "unknown")], "nothing is hidden");
    }

    #[test]
    fn what_the_core_publishes_becomes_the_lines_of_the_contract() {
        let (id, mut notes) = (ObligationId::from_u64(1), Notes::default());
        notes.name(id, String::from("INV-1"));
        let party = Party::parse("+4915112345671").unwrap();
        let source = Source::Reply(None);
        let obligation = |what| NoticeKind::Obligation { id, what };
        let next = Some(AT);
        let due = Key::parse("due").unwrap();
        for kind in [
            NoticeKind::OptOutAdded { party, source: source.clone() },
            NoticeKind::OptOutRemoved {
                party,
                source: Source::Token { by: "crm".into(), note: String::new() },
            },
            obligation(Happened::Refused {
                step: due.clone(),
                gate: "hours".into(),
                pack: Some(Key::parse("base").unwrap()),
                rule: "night".into(),
                next,
            }),
            obligation(Happened::Stale { step: due }),
            obligation(Happened::Paused { reason: PauseReason::Review, until: None }),
            obligation(Happened::Completed),
            obligation(Happened::PromiseKept),
        ] {
            notes.heard(AT, notice(kind));
        }
        let lines: Vec<String> = notes
            .end()
            .iter()
            .map(|line| {
                let mut line = json(line);
                line.as_object_mut().unwrap().remove("at").expect("each has its instant");
                line.to_string()
            })
            .collect();
        assert_eq!(
            lines,
            [
                r#"{"optout":{"number":"+4915112345671","source":"reply"}}"#,
                r#"{"consent":{"number":"+4915112345671","source":"person"}}"#,
                r#"{"refused":{"gate":"hours","next":"2026-11-21T14:05:00.000Z","obligation":"INV-1","pack":"base","rule":"night","step":"due"}}"#,
                r#"{"refused":{"gate":"stale","next":null,"obligation":"INV-1","pack":null,"rule":"passed","step":"due"}}"#,
                r#"{"paused":{"obligation":"INV-1","reason":"review","until":null}}"#,
                r#"{"exited":{"obligation":"INV-1","reason":"completed"}}"#,
                r#"{"promise":{"amount":null,"date":null,"obligation":"INV-1","state":"kept"}}"#,
            ]
        );
    }

    #[test]
    fn the_summary_counts_reminders_a_day_by_number_and_what_else_was_said() {
        let mut notes = Notes::default();
        let carrier = LinkName::from("carrier");
        for id in 1..=3 {
            notes.wrote(AT, &carrier, &segment(id, 0, 1), whose);
        }
        notes.wrote(AT, &carrier, &segment(4, 0, 1), Whose::default);
        let booked = Booked { entries: 2, booked: 1, unmatched: 1, ..Booked::default() };
        notes.booked(AT, String::from("bank.sta"), &booked);
        let lines = notes.end();
        let said = json(lines.last().unwrap());
        assert_eq!(
            (&said["bank"]["path"], &said["bank"]["booked"]),
            (&"bank.sta".into(), &1.into()),
            "{said}"
        );
        let mut summary = Summary::default();
        summary.count(&lines, |_| jiff::civil::date(2026, 11, 21));
        assert_eq!(
            (summary.texts, summary.segments, summary.most_a_day),
            (4, 4, 3),
            "a confirmation is no reminder"
        );
        assert_eq!((summary.first, summary.last), (Some(AT), Some(AT)));
        assert_eq!(summary.by_template["text en 1"], 3);
    }
}
