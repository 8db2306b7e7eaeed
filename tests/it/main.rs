//! Behaviour tests in one binary, a file per behaviour.

mod config;
