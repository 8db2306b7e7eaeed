//! The core's reminder side, alone on a map: one behaviour a test, and what must hold whatever comes in which order.

mod chaos;
mod cost;
pub mod firm;
mod foreseen;
mod money;
mod numbers;
mod recurring;
mod replies;
mod rows;
mod steps;
mod tasks;
mod wire;
