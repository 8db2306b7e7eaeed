//! it
mod http;
mod vectors_sms;
mod store;
