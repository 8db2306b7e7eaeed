//! The text of a message as networks carry it: alphabets, segments, receipts and addresses. Floor 0.
//!
//! Everything here is a function of its arguments: no clock, no I/O, no state. What a link writes and
//! reads goes through these functions, and so does `nudged debug`, so that both always say the same.
//! SMPP PDUs belong to the link.

pub mod address;
pub mod alphabet;
pub mod dcs;
pub mod hex;
pub mod national;
pub mod receipt;
pub mod segment;
pub mod septets;
pub mod tpdu;
