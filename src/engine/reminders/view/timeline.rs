//! What became of one obligation, in order: its history, its steps with their messages, and what was replied.

use crate::clock::Timestamp;
use crate::engine::ReadError;
use crate::engine::correspondence::ReplyView;
use crate::engine::reminders::happened::Happened;
use crate::engine::reminders::records::HistoryLine;
use crate::engine::view::{MessageView, View};
use crate::id::{ObligationId, TaskId};
use crate::reminder::enrolment::{StepNote, StepOutcome};
use crate::reminder::task::Task;
use crate::store::{keys, record};

use super::{Rows, Stretch, TaskFilter};

/// Lines of one history that are shown; the first ones go where there are more.
const LINES_MAX: usize = 1_000;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub at: Timestamp,
    /// Who asked for it; empty where it followed by itself.
    pub by: String,
    pub kind: LineKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineKind {
    Happened(Happened),
    /// A step that is over; with the message it became, where that is still kept.
    Step {
        note: StepNote,
        message: Option<Box<MessageView>>,
    },
    /// With the reply, where it is still kept.
    Reply {
        option: Option<u8>,
        reply: Option<Box<ReplyView>>,
        what: Happened,
    },
}

/// The lines in order of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    pub lines: Vec<Line>,
    /// Earlier lines are left out.
    pub cut: bool,
}

impl View {
    /// `None`: there is no such obligation.
    pub fn timeline(&self, id: ObligationId, now: Timestamp) -> Result<Option<Timeline>, ReadError> {
        let Some(obligation) = self.obligation(id)? else { return Ok(None) };
        let (from, to) = keys::under(keys::history_of(id));
        let entries = self.state.scan_back(&from, &to, LINES_MAX)?;
        let cut = entries.len() == LINES_MAX;
        let mut lines = Vec::with_capacity(entries.len() + obligation.steps.len());
        for (_, value) in entries.iter().rev() {
            lines.push(self.line(record::decode(value)?)?);
        }
        for note in obligation.steps {
            lines.push(self.step_line(note, now)?);
        }
        // Stable: what one step wrote at one instant stays in its order.
        lines.sort_by_key(|line| line.at);
        Ok(Some(Timeline { lines, cut }))
    }

    fn line(&self, line: HistoryLine) -> Result<Line, ReadError> {
        let HistoryLine { at, what, by } = line;
        let kind = match what {
            Happened::Replied { reply, option } => {
                let read = self.reply(reply)?.map(Box::new);
                LineKind::Reply { option, reply: read, what }
            }
            what => LineKind::Happened(what),
        };
        Ok(Line { at, by, kind })
    }

    fn step_line(&self, note: StepNote, now: Timestamp) -> Result<Line, ReadError> {
        let (at, message) = match &note.how {
            StepOutcome::Gone { at, message, .. } => (*at, self.message(*message, now)?.map(Box::new)),
            StepOutcome::Stale { at } | StepOutcome::Skipped { at, .. } | StepOutcome::Unknown { at } => {
                (*at, None)
            }
        };
        Ok(Line { at, by: String::new(), kind: LineKind::Step { note, message } })
    }

    /// Tasks of one obligation: its history names them.
    pub(super) fn tasks_of(
        &self,
        id: ObligationId,
        filter: &TaskFilter,
        stretch: &Stretch,
    ) -> Result<Rows<(TaskId, Task)>, ReadError> {
        self.walk(keys::history_of(id), stretch, |_, value| {
            let line: HistoryLine = record::decode(value)?;
            let Happened::TaskOpened { task: id, .. } = line.what else { return Ok(None) };
            Ok(self.task(id)?.filter(|task| filter.fits(task)).map(|task| (id, task)))
        })
    }
}
