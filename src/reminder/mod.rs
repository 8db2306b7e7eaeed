//! The reminder domain: pure rules about people, their wishes and their debts.
//!
//! Nothing here reads a clock, waits or stores; what it decides, the engine keeps. Types are checked where they
//! are made: whoever holds a [`money::Money`] or a [`name::Key`] need not look at it again. One form serves the
//! outside and the store: human-readable formats (JSON, TOML) see words, the store sees numbers.

pub mod condition;
pub mod money;
pub mod name;
pub mod reply;
pub mod suppression;
