//! nudged: an SMS gateway appliance daemon for payment reminders.
pub mod clock;
pub mod config;
pub mod id;
pub mod message;
pub mod pace;
pub mod retry;
pub mod route;
pub mod sms;

pub mod store;

pub mod link;
pub mod sim;

pub mod engine;

pub mod http;

pub mod cli;
pub mod daemon;
