//! The reminder side of the core: what a firm set up and what is owed to it, kept beside the queue in the same
//! journal, and the steps that follow from it.
//!
//! ```text
//! change.rs    what the outside asks for: set up, contacts, obligations, payments, tasks
//! records.rs   reading and writing the records; every put of an obligation keeps its timer
//! catalog.rs   what is set up, in memory
//! plan.rs      which step of an obligation is next, and when
//! feed.rs      steps that are due: gates, text, message; and the gates again at the lease
//! settle.rs    what became of a reminder's message
//! hear.rs      replies: menus, reviews, tasks
//! looks.rs     what becomes due without a link: pauses, promises, subscriptions, overdue tasks
//! view.rs      reading it from outside
//! ```
//! Invariants: an obligation's record, the ledger of its steps and its timer change in one batch; a step with a note
//! of having gone is never queued again in its cycle; nothing is rendered before a link can take it.

pub mod catalog;
pub mod change;
pub mod happened;
pub mod records;

pub use catalog::Catalog;
pub use change::{Change, ChangeAnswer, ChangeRefusal, Changed, Subject};
pub use happened::Happened;
