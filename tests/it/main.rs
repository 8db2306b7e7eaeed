//! it
mod simulation;
mod store;
mod vectors_sms;
