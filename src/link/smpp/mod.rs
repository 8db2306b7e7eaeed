//! The SMPP bind (SMPP 3.4): framing, PDUs, the session and how it connects.
//!
//! ```text
//! connect.rs  host:port -> TCP stream + Session      frame.rs  bytes -> frames
//! session.rs  the state machine                      pdu.rs    frames <-> fields, by rusmpp
//! traffic.rs  what each PDU of the SMSC does to it   oddities.rs how much of it reaches the log
//! window.rs   unanswered and late submits            submit.rs Submission -> submit_sm
//! status.rs   what a command_status means            deliver.rs deliver_sm -> Inbound
//! ```
//! rusmpp's types do not leave this directory and the simulated SMSC. rusmpp's `tracing` feature stays
//! off: it logs whole PDUs, so passwords, numbers and texts.

pub mod connect;
pub mod deliver;
pub mod describe;
pub mod frame;
mod oddities;
pub mod pdu;
pub mod session;
pub mod status;
pub mod submit;
mod traffic;
pub mod window;
