//! Behaviour tests in one binary, a file per behaviour.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may end where it stands")]

mod cli;
mod config;
mod http;
mod simulation;
mod store;
mod vectors_sms;
