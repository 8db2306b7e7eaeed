//! nudged: an SMS gateway appliance daemon for payment reminders.
//!
//! One deterministic core decides, a journal remembers, links and HTTP only carry.
//!
//! # Floors
//! A file may name lower floors and its own module only; `tests/tidy.rs` holds it.
//!
//! ```text
//! 5  main.rs  cli/  daemon.rs    arguments, exit codes, wiring, supervision
//! 4  http/                       JSON API, status page, metrics
//! 3  engine/                     the core: one state machine, its modules; workers that feed it
//! 2  link/  sim/                 the only floor that touches ports and sockets to the carrier; simulators
//! 1  store/                      journal and state; the only floor that names sled
//! 0  config  clock  id  sms/  message/  pace  retry  route  reminder/
//!                                pure: no sled, no files, no randomness; only clock.rs reads clocks
//! ```
//!
//! # Invariants
//! - sled's types never leave `store/state.rs`; rusmpp's never leave `link/smpp/` and `sim/smsc`; axum's
//!   never leave `http/`.
//! - Floor 2 knows no reminder; above floor 2 nobody knows whether a link is a modem or a bind.
//! - Only the core thread writes. A command reads, decides and writes within one step, so two commands can
//!   never overwrite each other.
//! - Only `clock.rs` reads clocks; time is a value passed in.
//! - Nothing is answered, and no byte leaves, before the journal record that says so is on the disk.

pub mod clock;
pub mod config;
pub mod id;
pub mod message;
pub mod pace;
pub mod quota;
pub mod reminder;
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
