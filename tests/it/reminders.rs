//! The core's reminder side, alone on a map: one behaviour a test, and what must hold whatever comes in which order.

mod chaos;
mod cost;
pub mod firm;
mod many;
mod money;
mod numbers;
mod recurring;
mod replies;
mod routes;
mod rows;
mod rules;
mod steps;
mod tasks;
mod wire;
