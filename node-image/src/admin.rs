//! The admin port: the operator tells this node what it is to do. See `node-api` for the requests.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Query, Request, State},
    http::{HeaderMap, StatusCode},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use node_api::{POD_HEADER, Status, TOKEN_HEADER};
use serde::Deserialize;
use tokio::time::timeout;

use crate::member::Member;

/// A request for a newer status is answered with the old one after this.
const LONG_POLL: Duration = Duration::from_secs(25);

#[derive(Clone)]
struct Admin {
    member: Arc<Member>,
    token: Arc<str>,
}

pub fn router(member: Arc<Member>, token: &str) -> Router {
    let admin = Admin {
        member,
        token: token.trim().into(),
    };
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/found", post(found))
        .route("/v1/join", post(join))
        .route("/v1/open", post(open))
        .layer(middleware::from_fn_with_state(admin.clone(), authorize))
        .with_state(admin)
}

/// The caller knows the token, and means this very pod.
async fn authorize(State(admin): State<Admin>, request: Request, next: Next) -> Response {
    let header = |headers: &HeaderMap, name: &str| {
        headers
            .get(name)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };
    let given = header(request.headers(), TOKEN_HEADER);
    let given = given.strip_prefix("Bearer ").unwrap_or_default();
    if admin.token.is_empty() || !same(given.as_bytes(), admin.token.as_bytes()) {
        return (StatusCode::UNAUTHORIZED, "wrong or missing token\n").into_response();
    }
    let pod = header(request.headers(), POD_HEADER);
    if pod != admin.member.settings.pod_uid {
        return (StatusCode::MISDIRECTED_REQUEST, "another pod is meant\n").into_response();
    }
    next.run(request).await
}

/// Takes the same time wherever the two differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

#[derive(Deserialize)]
struct After {
    after: Option<u64>,
}

async fn status(State(admin): State<Admin>, Query(query): Query<After>) -> Json<Status> {
    if let Some(after) = query.after {
        let mut changes = admin.member.watch();
        let newer = changes.wait_for(|s| s.revision != after);
        let _ = timeout(LONG_POLL, newer).await;
    }
    Json(admin.member.status())
}

fn answer(done: anyhow::Result<()>) -> Response {
    match done {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(e) => (StatusCode::CONFLICT, format!("{e:#}\n")).into_response(),
    }
}

async fn found(State(admin): State<Admin>) -> Response {
    answer(admin.member.found().await)
}

async fn join(State(admin): State<Admin>) -> Response {
    answer(admin.member.join().await)
}

async fn open(State(admin): State<Admin>) -> Response {
    answer(admin.member.open().await)
}
