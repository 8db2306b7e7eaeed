//! (being written)
pub mod debug;
