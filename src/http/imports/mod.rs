//! `/v1/imports`: files of cases in two phases, payments, bank statements, and what a firm sets up.

pub mod seeds;

use axum::Router;
use axum::routing::post;

use super::App;

pub fn routes() -> Router<App> {
    Router::new().route("/v1/imports/seeds", post(seeds::create))
}
