//! `/healthz`, `/readyz`, `/metrics`.

use std::sync::Arc;

use axum::{Router, extract::State, routing::get};

use crate::{lease::Lease, metrics::Metrics};

#[derive(Clone)]
pub struct Server {
    pub lease: Arc<Lease>,
    pub metrics: Arc<Metrics>,
}

pub fn router(server: Server) -> Router {
    // An operator that waits for the lease is as ready as the one that has it.
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(async || "ok\n"))
        .route(
            "/metrics",
            get(async |State(server): State<Server>| server.metrics.text(server.lease.held())),
        )
        .with_state(server)
}
