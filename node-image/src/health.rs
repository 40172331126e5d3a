//! The health port: plain HTTP, read-only, no secrets.

use std::sync::Arc;

use axum::{Router, extract::State, http::StatusCode, routing::get};

use crate::{
    front::limits::Limits,
    member::Member,
    metrics::Metrics,
    watcher::{PATIENCE, Pulse},
};

#[derive(Clone)]
pub struct Health {
    pub member: Arc<Member>,
    pub pulse: Arc<Pulse>,
    pub metrics: Arc<Metrics>,
    pub limits: Arc<Limits>,
}

pub fn router(health: Health) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(health)
}

/// The engine, if one runs, answered lately. No leader is no reason to end.
async fn livez(State(health): State<Health>) -> (StatusCode, &'static str) {
    if health.pulse.silence() < PATIENCE {
        (StatusCode::OK, "ok\n")
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "the engine does not answer\n",
        )
    }
}

/// A voter knows a leader; another member is listed. Never asks the leader.
async fn readyz(State(health): State<Health>) -> (StatusCode, &'static str) {
    if health.member.status().ready {
        (StatusCode::OK, "ok\n")
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "not part of a cluster with a leader\n",
        )
    }
}

async fn metrics(State(health): State<Health>) -> String {
    health.metrics.text(&health.member, &health.limits)
}
