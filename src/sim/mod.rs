//! Simulated carriers: part of the product, and the referee of its tests. Floor 2.
//!
//! A simulator follows the specification of its protocol and not our driver, so any client may be tried
//! with it. It reads PDUs by itself, so an error of the driver cannot hide behind the same error here; the
//! alphabets are shared.
//! What it took stands in the wire log ([`wire`]) before it is answered: that log decides whether a
//! message was lost or doubled. Faults ([`fault`]) are chosen by message number or by share, and the same
//! seed ([`chance`]) chooses the same ones again.

pub mod chance;
mod control;
pub mod fault;
pub mod modem;
pub mod smsc;
pub mod wire;
