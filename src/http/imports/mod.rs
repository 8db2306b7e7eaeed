//! `/v1/imports`: files of cases in two phases, payments, bank statements, and what a firm sets up.

mod cases;
mod mappings;
mod payments;
mod seeds;

use axum::Router;
use axum::routing::{get, post};

use super::App;

pub fn routes() -> Router<App> {
    Router::new()
        .route("/v1/imports", post(cases::create).get(cases::list))
        .route("/v1/imports/{id}", get(cases::look))
        .route("/v1/imports/{id}/commit", post(cases::commit))
        .route("/v1/imports/mappings", get(mappings::list))
        .route("/v1/imports/mappings/{name}", get(mappings::look).put(mappings::put).delete(mappings::remove))
        .route("/v1/imports/payments", post(payments::payments))
        .route("/v1/imports/bank", post(payments::bank))
        .route("/v1/imports/seeds", post(seeds::create))
}
