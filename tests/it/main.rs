//! it
mod http;
mod store;
mod vectors_sms;
