//! The reminder domain: pure rules about people, their wishes and their debts.
//!
//! Nothing here reads a clock, waits or stores; what it decides, the engine keeps.

pub mod reply;
pub mod suppression;
