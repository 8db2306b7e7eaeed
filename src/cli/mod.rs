//! (being written)
pub mod config_file;
