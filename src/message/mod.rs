//! A message on its way out: what it says ([`body`]), where it stands ([`head`]), and the one way its
//! standing may change ([`apply`]).
//!
//! The body never changes after acceptance. The head is small and is all that is rewritten. This room
//! knows nothing of queues, links' protocols or disks.

pub mod apply;
pub mod body;
pub mod head;

pub use apply::{Event, Outcome, Resolution, Stale, apply};
pub use body::{Body, Class, Encoding, HookName, LinkName, Msisdn, OnUnknown, Priority, Sender, TokenName};
pub use head::{
    Attempt, Cause, Deferral, Final, Head, RawCode, Reason, ReceiptState, ReceiptWait, Reference,
    SegmentState, State, Status, UnknownWhy,
};
