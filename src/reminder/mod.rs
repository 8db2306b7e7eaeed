//! The reminder domain: pure rules about people, their wishes and their debts.
//!
//! Nothing here reads a clock, waits or stores; what it decides, the engine keeps. Types are checked where they
//! are made: whoever holds a [`money::Money`] or a [`name::Key`] need not look at it again. One form serves the
//! outside and the store: human-readable formats (JSON, TOML) see words, the store sees numbers.

pub mod bank;
pub mod calendar;
pub mod caps;
pub mod cell;
pub mod condition;
pub mod consent;
pub mod contact;
pub mod creditor;
pub mod enrolment;
pub mod gate;
pub mod holidays;
pub mod hours;
pub mod ics;
pub mod import;
pub mod link;
pub mod menu;
pub mod money;
pub mod name;
pub mod obligation;
pub mod offset;
pub mod pack;
pub mod plan;
pub mod promise;
pub mod recurrence;
pub mod reply;
pub mod rules;
pub mod schedule;
pub mod seed;
pub mod sequence;
pub mod subscription;
pub mod suppression;
pub mod task;
pub mod template;
pub mod trigger;
pub mod zone;
