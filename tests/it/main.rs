//! it

mod http;
mod simulation;
mod store;
mod vectors_sms;
