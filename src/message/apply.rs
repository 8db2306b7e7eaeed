//! (being written)
use super::Head;
use crate::clock::Timestamp;
pub enum Event {}
pub struct Effects;
pub struct Stale;
pub fn apply(_head: Head, event: Event, _now: Timestamp) -> Result<(Head, Effects), Stale> {
    match event {}
}
