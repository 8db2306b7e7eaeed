//! Behaviour tests: one binary, a file per behaviour.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where its premise fails")]

mod smpp_link;
mod smpp_session;
mod vectors_smpp;
mod vectors_sms;
