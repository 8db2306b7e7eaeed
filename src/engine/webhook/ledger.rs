//! How far each webhook is and what it did not take, kept by the core.
//!
//! Workers say it at most once a second, so after a crash some deliveries are made again: at least once is the
//! promise, and the id is the same. Dead letters hold the event itself, for the journal does not keep it for ever.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::engine::ReadError;
use crate::engine::core::{Core, Work};
use crate::engine::notice::Notice;
use crate::engine::view::View;
use crate::message::HookName;
use crate::store::{StoreError, keys, record};

/// Of one webhook. More would be an archive; a person looks at a few.
pub const DEAD_MOST: u64 = 10_000;

/// How far a webhook is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Number of the last event that is done with: delivered, given up, or not wanted.
    pub after: u64,
    /// No record before this one is needed.
    pub seq: u64,
    /// Since when it takes nothing.
    pub failing_since: Option<Timestamp>,
    /// Dead letters kept.
    pub dead: u64,
    /// Dead letters that were dropped because there were too many.
    pub dropped: u64,
    /// Events that the journal did not hold any more when the webhook came to them, wanted or not.
    pub lost: u64,
}

/// An event that was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    pub number: u64,
    pub given_up_at: Timestamp,
    /// How often it was posted; none where the endpoint took nothing in all its day.
    pub tries: u32,
    /// What was wrong last.
    pub error: String,
    pub notice: Notice,
}

/// Where a worker is, and what it has done since it last said so. To say it again changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    pub name: HookName,
    pub after: u64,
    pub seq: u64,
    pub failing_since: Option<Timestamp>,
    pub lost: u64,
    pub dead: Vec<DeadLetter>,
    /// Numbers of dead letters that were taken after all.
    pub replayed: Vec<u64>,
}

impl Core {
    /// How many dead letters are kept then.
    pub(in crate::engine) fn note_webhook(
        &mut self,
        progress: Progress,
        work: &mut Work,
    ) -> Result<u64, StoreError> {
        let hash = name_hash(&progress.name);
        let mut cursor: Cursor = work.txn.get(&keys::webhook(hash))?.unwrap_or_default();
        (cursor.after, cursor.seq) = (progress.after, progress.seq);
        (cursor.failing_since, cursor.lost) = (progress.failing_since, progress.lost);
        for number in progress.replayed {
            let key = keys::dead_letter(hash, number);
            if work.txn.contains(&key)? {
                work.txn.delete(key);
                cursor.dead = cursor.dead.saturating_sub(1);
            }
        }
        for letter in progress.dead {
            let key = keys::dead_letter(hash, letter.number);
            cursor.dead += u64::from(!work.txn.contains(&key)?);
            work.txn.put(key, &letter);
        }
        drop_oldest(hash, &progress.name, &mut cursor, work)?;
        work.txn.put(keys::webhook(hash), &cursor);
        Ok(cursor.dead)
    }
}

fn drop_oldest(hash: u64, name: &HookName, cursor: &mut Cursor, work: &mut Work) -> Result<(), StoreError> {
    let surplus = cursor.dead.saturating_sub(DEAD_MOST);
    if surplus == 0 {
        return Ok(());
    }
    let (from, to) = keys::under(keys::dead_letters_of(hash));
    for (key, _) in work.txn.scan(&from, &to, surplus as usize)? {
        work.txn.delete(key);
    }
    cursor.dead -= surplus;
    cursor.dropped += surplus;
    tracing::error!(event = "dead_letters_dropped", webhook = %name, count = surplus);
    Ok(())
}

impl View {
    /// `None`: it never said anything.
    pub fn webhook(&self, name: &HookName) -> Result<Option<Cursor>, ReadError> {
        let bytes = self.state.get(&keys::webhook(name_hash(name)))?;
        bytes.map(|bytes| record::decode(&bytes)).transpose()
    }

    /// Dead letters behind number `after`, in order, at most `limit`.
    pub fn dead_letters(
        &self,
        name: &HookName,
        after: u64,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, ReadError> {
        let hash = name_hash(name);
        let (_, to) = keys::under(keys::dead_letters_of(hash));
        let from = keys::dead_letter(hash, after.saturating_add(1));
        let entries = self.state.scan(&from, &to, limit)?;
        entries.iter().map(|(_, value)| record::decode(value)).collect()
    }
}

fn name_hash(name: &HookName) -> u64 {
    let hash = blake3::hash(name.as_str().as_bytes());
    hash.as_bytes().first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::reminders::ReminderSettings;
    use std::sync::Arc;

    use crate::clock::{Clock, Now};
    use crate::config;
    use crate::engine::core::Settings;
    use crate::engine::memory::Memory;
    use crate::engine::notice::NoticeKind;

    const AT: Timestamp = Timestamp::from_millis(1_795_269_900_000);

    fn core(now: Now, memory: &Memory) -> Core {
        let config = config::check("", &|_| Ok(config::Secret::unread())).unwrap();
        let settings = Settings {
            queue: config.queue,
            inbound: config.inbound,
            routes: Vec::new(),
            links: Vec::new(),
            clock_floor: Timestamp::MIN,
            reminders: ReminderSettings::for_tests(),
        };
        Core::recover(settings, memory, now).unwrap().0
    }

    fn letter(number: u64) -> DeadLetter {
        let notice = Notice { at: AT, kind: NoticeKind::LinkUp { link: "a".into() } };
        DeadLetter { number, given_up_at: AT, tries: 12, error: String::from("answered 500"), notice }
    }

    fn progress(after: u64, dead: Vec<DeadLetter>, replayed: Vec<u64>) -> Progress {
        let (name, failing_since) = ("crm".into(), Some(AT));
        Progress { name, after, seq: after, failing_since, lost: 1, dead, replayed }
    }

    fn note(core: &mut Core, memory: &mut Memory, now: Now, progress: Progress) -> u64 {
        let mut work = Work::new(memory, now);
        let dead = core.note_webhook(progress, &mut work).unwrap();
        let batch = work.txn.batch;
        memory.apply(&batch);
        dead
    }

    #[test]
    fn dead_letters_are_kept_in_order_counted_once_and_go_when_they_are_taken() {
        let (now, mut memory) = (Clock::manual(AT).now(), Memory::default());
        let mut core = core(now, &memory);
        assert_eq!(note(&mut core, &mut memory, now, progress(9, vec![letter(8), letter(5)], vec![])), 2);
        assert_eq!(note(&mut core, &mut memory, now, progress(9, vec![letter(8)], vec![5, 6])), 1);
        let view = View::new(Arc::new(memory));
        let numbers: Vec<u64> =
            view.dead_letters(&"crm".into(), 0, 9).unwrap().iter().map(|l| l.number).collect();
        assert_eq!(numbers, [8]);
        assert_eq!(view.dead_letters(&"other".into(), 0, 9).unwrap(), []);
        let cursor = view.webhook(&"crm".into()).unwrap().unwrap();
        assert_eq!((cursor.after, cursor.dead, cursor.lost), (9, 1, 1));
    }

    #[test]
    fn beyond_the_bound_the_oldest_are_dropped_and_counted() {
        let (now, mut memory) = (Clock::manual(AT).now(), Memory::default());
        let mut core = core(now, &memory);
        let all = (1..=DEAD_MOST + 3).map(letter).collect();
        assert_eq!(note(&mut core, &mut memory, now, progress(9, all, vec![])), DEAD_MOST);
        let view = View::new(Arc::new(memory));
        assert_eq!(view.dead_letters(&"crm".into(), 0, 1).unwrap()[0].number, 4);
        assert_eq!(view.webhook(&"crm".into()).unwrap().unwrap().dropped, 3);
    }
}
