//! it
mod vectors_sms;
