//! Behaviour tests: one binary, a file per behaviour.

mod smpp_link;
mod vectors_smpp;
mod vectors_sms;
