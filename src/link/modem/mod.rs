//! A GSM modem: the AT dialogue, the port it goes over, and how both are connected (3GPP TS 27.005, 27.007).
//!
//! ```text
//! session.rs   the state machine: what is asked next     lines.rs    bytes -> lines -> whose each line is
//! init.rs      setting a modem up, the PIN once          urc.rs      lines that come unasked
//! send.rs      AT+CMGS, its prompt and its answer        errors.rs   what an error answer means
//! receive.rs   memories: read, handed up, freed          decode.rs   a PDU -> Inbound
//! network.rs   registration, signal, what is due         submit.rs   Submission -> PDU
//! choose.rs    memories and announcements to use         profile.rs  what is different about a vendor
//! command.rs   a command, its limit, its answer          pin.rs      PINs that were entered
//! carried.rs   what outlives a session of the link       unasked.rs  what that does to the session
//! port.rs      a tty or TCP, opened, watched, given up   holder.rs   who has the device that we may not have
//! connect.rs   a port and a session on it
//! ```
//! Nothing in the session does I/O but the PIN ledger, which must be on the disk before the PIN is on the wire.

pub mod carried;
mod choose;
pub mod command;
pub mod connect;
mod decode;
pub mod errors;
mod holder;
mod init;
pub mod lines;
mod network;
pub mod pin;
pub mod port;
mod profile;
mod receive;
mod send;
pub mod session;
mod submit;
mod unasked;
pub mod urc;

pub use carried::Carried;
pub use session::ModemSession;
