//! (being written)
mod holder;
pub mod port;
