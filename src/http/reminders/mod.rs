//! The reminder side over HTTP: every resource of it under `/v1`, one file a group.
//!
//! As everywhere on this floor nothing is decided here: bodies become [`crate::engine::Change`]s, the core says what
//! came of them, and what is shown is read from [`crate::engine::View`]. What a firm names by an external id or a
//! key may be sent again and again: 201 where it was made, else 200 with `result` `changed` or `unchanged`.

pub mod body;
mod debts;
mod enrolments;
mod exports;
mod holidays;
mod people;
pub mod setup;
pub mod shown;
mod simulate;
mod tasks;
mod templates;
pub mod timeline;

use axum::Router;

use super::App;

pub fn routes() -> Router<App> {
    Router::new()
        .merge(setup::routes())
        .merge(templates::routes())
        .merge(people::routes())
        .merge(debts::routes())
        .merge(enrolments::routes())
        .merge(tasks::routes())
        .merge(simulate::routes())
        .merge(exports::routes())
}
