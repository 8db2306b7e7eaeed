//! Tasks: what a person must do, who does it, and what follows from what they made of it.

use std::time::Duration;

use super::change::{ChangeRefusal, Changed, How, Subject, Which};
use super::debts::{Debt, Made};
use super::errands::What;
use super::happened::Happened;
use super::records::Records;
use crate::clock::Timestamp;
use crate::engine::core::{Core, Work};
use crate::engine::notice::{Notice, NoticeKind};
use crate::id::{InboundId, ObligationId, TaskId};
use crate::reminder::enrolment::{EnrolmentState, ExitReason, TimerKind};
use crate::reminder::name::Key;
use crate::reminder::obligation::{Obligation, ObligationStatus};
use crate::reminder::suppression::{Party, Source, Suppression};
use crate::reminder::task::{Task, TaskOutcome, TaskState};
use crate::reminder::trigger::On;
use crate::store::{StoreError, keys, record};

/// How long a task may wait before it says so.
const DUE_WITHIN: Duration = Duration::from_secs(2 * 24 * 3600);
/// Tasks that are not done at most: beyond it nobody reads them, and new ones are only logged.
const OPEN_MAX: u64 = 1_000_000;
/// Octets of a note.
const NOTE_MAX: usize = 500;

impl Core {
    /// Opens a task, unless one of its kind is open for this obligation. `about`: what it is about.
    pub(super) fn open_task(
        &mut self,
        kind: &str,
        about: Option<(ObligationId, &Obligation)>,
        reply: Option<InboundId>,
        note: &str,
        work: &mut Work,
    ) -> Result<Option<TaskId>, StoreError> {
        let Ok(kind) = Key::parse(kind) else { return Ok(None) };
        let from = match reply {
            Some(reply) => self.sender_of(reply, work)?,
            None => None,
        };
        let draft = Draft { kind, about, reply, from, note, due: None };
        self.open(draft, work)
    }

    /// Who sent a reply, while it is kept.
    fn sender_of(&self, reply: InboundId, work: &Work) -> Result<Option<Party>, StoreError> {
        let stored = work.txn.get::<crate::engine::inbound::StoredReply>(&keys::inbound(reply))?;
        Ok(stored.and_then(|stored| stored.party()))
    }

    fn open(&mut self, draft: Draft, work: &mut Work) -> Result<Option<TaskId>, StoreError> {
        if self.counters.reminders.open_tasks >= OPEN_MAX {
            tracing::error!(event = "task_not_opened", kind = %draft.kind, open = OPEN_MAX);
            return Ok(None);
        }
        let now = work.wall();
        let task = Task {
            kind: draft.kind.clone(),
            obligation: draft.about.map(|(id, _)| id),
            contact: draft.about.map(|(_, obligation)| obligation.contact),
            reply: draft.reply,
            from: draft.from,
            opened_at: now,
            due: draft.due.unwrap_or(now.saturating_add(DUE_WITHIN)),
            assignee: match draft.about {
                Some((_, obligation)) => self.case_manager(obligation, work)?,
                None => None,
            },
            state: TaskState::Open,
            note: draft.note.chars().take(NOTE_MAX).collect(),
            version: 1,
            escalated: false,
        };
        if let Some(same) = self.same_open(&task, work)? {
            return Ok(Some(same));
        }
        let id = TaskId::from_u64(self.counters.ids.next(now));
        self.counters.reminders.open_tasks += 1;
        work.txn.put_new(keys::task(id), &task);
        work.txn.put_new(keys::open_task(id), &());
        work.txn.put_new(keys::timer(TimerKind::Task, task.due, id.as_u64()), &());
        self.reminders.expect(crate::reminder::enrolment::Timer { kind: TimerKind::Task, at: task.due });
        if let Some((obligation, _)) = draft.about {
            let what = Happened::TaskOpened { task: id, kind: task.kind.clone() };
            self.happen(obligation, what, "", work);
        }
        let notice = Notice { at: now, kind: NoticeKind::TaskOpened { id, kind: task.kind } };
        work.txn.batch.events.push(record::encode(&notice));
        Ok(Some(id))
    }

    fn case_manager(&self, obligation: &Obligation, work: &Work) -> Result<Option<String>, StoreError> {
        let account = work.txn.account(&obligation.account, &obligation.creditor)?;
        Ok(account.and_then(|account| account.case_manager))
    }

    /// The task of the same kind that is open for the obligation, so that a doubt is one task however often it comes.
    fn same_open(&self, task: &Task, work: &Work) -> Result<Option<TaskId>, StoreError> {
        let Some(obligation) = task.obligation else { return Ok(None) };
        let (from, to) = keys::under(keys::history_of(obligation));
        for (_, value) in work.txn.scan_back(&from, &to, SAME_DEPTH)? {
            let line: super::records::HistoryLine = record::decode(&value)?;
            if let Happened::TaskOpened { task: id, kind } = line.what
                && kind == task.kind
            {
                let open = work.txn.contains(&keys::open_task(id))?;
                let known: Option<Task> = work.txn.get(&keys::task(id))?;
                return Ok(known.filter(|known| open && known.reply == task.reply).map(|_| id));
            }
        }
        Ok(None)
    }

    pub(super) fn ask_task(
        &mut self,
        kind: Key,
        which: Option<Which>,
        note: &str,
        due: Option<Timestamp>,
        work: &mut Work,
    ) -> Made {
        let debt = match which.map(|which| self.debt(&which, work)).transpose()? {
            None => None,
            Some(Ok(debt)) => Some(debt),
            Some(Err(refusal)) => return Ok(Err(refusal)),
        };
        let about = debt.as_ref().map(|debt| (debt.id, &debt.obligation));
        match self.open(Draft { kind, about, reply: None, from: None, note, due }, work)? {
            Some(id) => Ok(Ok(Changed { subject: Subject::Task(id), how: How::Created, version: 1 })),
            None => Ok(Err(ChangeRefusal::Full(OPEN_MAX as usize))),
        }
    }

    fn task(
        &self,
        id: TaskId,
        expect: Option<u64>,
        work: &Work,
    ) -> Result<Result<Task, ChangeRefusal>, StoreError> {
        let Some(task) = work.txn.get::<Task>(&keys::task(id))? else {
            return Ok(Err(ChangeRefusal::NotFound { what: "task" }));
        };
        if expect.is_some_and(|version| version != task.version) {
            return Ok(Err(ChangeRefusal::Conflict { version: task.version }));
        }
        if let TaskState::Done { outcome, .. } = &task.state {
            return Ok(Err(ChangeRefusal::State(format!("it is done: {}", outcome.as_str()))));
        }
        Ok(Ok(task))
    }

    pub(super) fn assign_task(
        &mut self,
        id: TaskId,
        assignee: Option<String>,
        expect: Option<u64>,
        work: &mut Work,
    ) -> Made {
        let mut task = match self.task(id, expect, work)? {
            Ok(task) => task,
            Err(refusal) => return Ok(Err(refusal)),
        };
        task.state = if assignee.is_some() { TaskState::Assigned } else { TaskState::Open };
        task.assignee = assignee;
        task.version += 1;
        work.txn.put(keys::task(id), &task);
        Ok(Ok(Changed { subject: Subject::Task(id), how: How::Changed, version: task.version }))
    }

    /// What a person made of it, and what follows.
    pub(super) fn task_done(
        &mut self,
        id: TaskId,
        outcome: TaskOutcome,
        expect: Option<u64>,
        by: &str,
        work: &mut Work,
    ) -> Made {
        let mut task = match self.task(id, expect, work)? {
            Ok(task) => task,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let debt = match task.obligation.map(|id| self.debt(&Which::Id(id), work)).transpose()? {
            Some(Ok(debt)) => Some(debt),
            _ => None,
        };
        let about = (debt, task.contact, task.from);
        if let Err(refusal) = self.follow(&outcome, about, by, work)? {
            return Ok(Err(refusal));
        }
        let word = outcome.as_str();
        task.state = TaskState::Done { outcome, at: work.wall(), by: by.to_owned() };
        task.version += 1;
        self.counters.reminders.open_tasks = self.counters.reminders.open_tasks.saturating_sub(1);
        work.txn.put(keys::task(id), &task);
        work.txn.delete(keys::open_task(id));
        work.txn.delete_if_present(keys::timer(TimerKind::Task, task.due, id.as_u64()))?;
        if let Some(obligation) = task.obligation {
            let what = Happened::TaskDone { task: id, outcome: word.to_owned() };
            self.happen(obligation, what, by, work);
        }
        let kind = NoticeKind::TaskDone { id, kind: task.kind, outcome: word.to_owned() };
        work.txn.batch.events.push(record::encode(&Notice { at: work.wall(), kind }));
        Ok(Ok(Changed { subject: Subject::Task(id), how: How::Changed, version: task.version }))
    }

    /// Brings the outcome of a task to its obligation and number.
    fn follow(
        &mut self,
        outcome: &TaskOutcome,
        (debt, contact, from): (Option<Debt>, Option<crate::id::ContactId>, Option<Party>),
        by: &str,
        work: &mut Work,
    ) -> Result<Result<(), ChangeRefusal>, StoreError> {
        let needs = |what: &str| Ok(Err(ChangeRefusal::State(format!("the task has no {what}"))));
        match outcome {
            TaskOutcome::Suppress => {
                let Some(party) = self.party_of(contact, from, work)? else { return needs("number") };
                let source = Source::Token { by: by.into(), note: String::from("a task") };
                self.opt_out(party, Suppression { at: work.wall(), source, confirmation: None }, work);
                work.along(What::Exit, party, by);
                // It was read: what is held up after it opted in again would be held up for ever.
                self.let_go_on(party, by, work)?;
                return Ok(Ok(()));
            }
            TaskOutcome::CorrectNumber { number } => {
                let Some(contact) = contact else { return needs("contact") };
                self.correct_number(contact, *number, work)?;
            }
            _ => {}
        }
        match debt.map(|debt| debt.id) {
            Some(id) => {
                // As it is now: another number may have planned it anew.
                if let Ok(debt) = self.debt(&Which::Id(id), work)?
                    && let Err(refusal) = self.follow_debt(outcome, debt, by, work)?
                {
                    return Ok(Err(refusal));
                }
            }
            None if matches!(outcome, TaskOutcome::Resume | TaskOutcome::CorrectNumber { .. }) => {}
            None => return needs("obligation"),
        }
        // Whatever was decided, the reply was read, and the number's other reminders go on.
        if from.is_some() || matches!(outcome, TaskOutcome::Resume | TaskOutcome::CorrectNumber { .. }) {
            self.clear_review(contact, from, by, work)?;
        }
        Ok(Ok(()))
    }

    fn follow_debt(
        &mut self,
        outcome: &TaskOutcome,
        mut debt: Debt,
        by: &str,
        work: &mut Work,
    ) -> Result<Result<(), ChangeRefusal>, StoreError> {
        match outcome {
            TaskOutcome::Resume | TaskOutcome::CorrectNumber { .. } => {
                if debt.obligation.status == ObligationStatus::Disputed {
                    return Ok(self
                        .state_status(debt, ObligationStatus::Open, "a task", by, work)?
                        .map(|_| ()));
                }
                self.resume_debt(&mut debt, by, work);
            }
            TaskOutcome::Extend { due_date } => {
                self.resume_debt(&mut debt, by, work);
                if *due_date != debt.obligation.due_date {
                    return Ok(self.move_due_date(debt, *due_date, false, by, work)?.map(|_| ()));
                }
            }
            TaskOutcome::Plan => {
                return Ok(self
                    .state_status(debt, ObligationStatus::InPlan, "a task", by, work)?
                    .map(|_| ()));
            }
            TaskOutcome::Final => self.only_final(&mut debt, by, work),
            TaskOutcome::HandOver => {
                return Ok(self
                    .state_status(debt, ObligationStatus::HandedOver, "a task", by, work)?
                    .map(|_| ()));
            }
            // What the books say comes by itself; until then nobody is reminded.
            TaskOutcome::Paid => self.exit(&mut debt, ExitReason::Paid, by, work),
            TaskOutcome::Suppress => {}
        }
        self.keep(debt, work)?;
        Ok(Ok(()))
    }

    /// Who is meant by a task: the sender of its reply, else the contact's first number.
    fn party_of(
        &self,
        contact: Option<crate::id::ContactId>,
        from: Option<Party>,
        work: &Work,
    ) -> Result<Option<Party>, StoreError> {
        if from.is_some() {
            return Ok(from);
        }
        let contact = contact.map(|id| work.txn.contact(id)).transpose()?.flatten();
        Ok(contact.and_then(|stored| stored.contact.best_number()).map(Party::Number))
    }

    /// The tasks that became overdue: each says so once.
    pub(super) fn escalate_task(&mut self, id: TaskId, work: &mut Work) -> Result<(), StoreError> {
        let Some(mut task) = work.txn.get::<Task>(&keys::task(id))? else { return Ok(()) };
        if matches!(task.state, TaskState::Done { .. }) || task.escalated {
            return Ok(());
        }
        task.escalated = true;
        task.version += 1;
        work.txn.put(keys::task(id), &task);
        if let Some(obligation) = task.obligation {
            self.raise(obligation, On::TaskOverdue, work);
        }
        let notice = Notice { at: work.wall(), kind: NoticeKind::TaskOverdue { id, kind: task.kind } };
        work.txn.batch.events.push(record::encode(&notice));
        Ok(())
    }

    /// An enrolment that is over goes on for a person's word: only the last step is left.
    fn only_final(&mut self, debt: &mut Debt, by: &str, work: &mut Work) {
        let Some(last) = self.last_step(&debt.obligation) else { return };
        for step in self.steps_besides(&debt.obligation, &last) {
            debt.skip(step, work.wall());
        }
        if let Some(enrolment) = &mut debt.obligation.enrolment
            && !matches!(enrolment.state, EnrolmentState::Exited { .. })
        {
            enrolment.state = EnrolmentState::Active;
        }
        self.happen(debt.id, Happened::Resumed, by, work);
    }
}

/// How far back a task of the same kind is looked for.
const SAME_DEPTH: usize = 64;

/// A task in the making.
struct Draft<'a> {
    kind: Key,
    about: Option<(ObligationId, &'a Obligation)>,
    reply: Option<InboundId>,
    from: Option<Party>,
    note: &'a str,
    due: Option<Timestamp>,
}
