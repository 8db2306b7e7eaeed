//! Behaviour tests in one binary, a file per behaviour.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may end where it stands")]

mod browser;
mod budget;
mod cancel;
mod cli;
mod clocks;
mod config;
mod core;
mod demo;
mod http;
mod intake;
mod login;
mod order;
mod pace;
mod page;
mod pause;
mod process;
mod quarantine;
mod receipts;
mod replies;
mod restart;
mod retry;
mod routes;
mod sim_mail;
mod sim_pdus;
mod sim_smsc;
mod simulation;
mod smpp_link;
mod smpp_session;
mod smsc_client;
mod statuses;
mod store;
mod support;
mod unknown;
mod vectors_smpp;
mod vectors_sms;
