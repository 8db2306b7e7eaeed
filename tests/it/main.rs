//! it
mod vectors_sms;
mod store;
