//! The admin port: the operator tells this node what it is to do. See `node-api` for the requests.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Query, Request, State},
    http::{Method, StatusCode},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use node_api::{INSTANCE_HEADER, POD_HEADER, Status, TOKEN_HEADER};
use serde::Deserialize;
use tokio::time::timeout;

use crate::member::Member;

/// A request for a newer status is answered with the old one after this.
const LONG_POLL: Duration = Duration::from_secs(25);

#[derive(Clone)]
struct Admin {
    member: Arc<Member>,
}

pub fn router(member: Arc<Member>) -> Router {
    let admin = Admin { member };
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/found", post(found))
        .route("/v1/join", post(join))
        .route("/v1/open", post(open))
        .route("/v1/restart", post(restart))
        .layer(middleware::from_fn_with_state(admin.clone(), authorize))
        .with_state(admin)
}

/// The caller knows the token, and means this very pod; an order also this very start of the process.
async fn authorize(State(admin): State<Admin>, request: Request, next: Next) -> Response {
    let headers = request.headers().clone();
    let header = |name: &str| {
        let value = headers.get(name).and_then(|v| v.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    // Read anew each time: the Secret may be another by now.
    let token = tokio::fs::read_to_string(&admin.member.settings.token_file).await;
    let token = token.unwrap_or_default();
    let given = header(TOKEN_HEADER);
    let given = given.strip_prefix("Bearer ").unwrap_or_default();
    if token.trim().is_empty() || !same(given.as_bytes(), token.trim().as_bytes()) {
        return (StatusCode::UNAUTHORIZED, "wrong or missing token\n").into_response();
    }
    if header(POD_HEADER) != admin.member.settings.pod_uid {
        return (StatusCode::MISDIRECTED_REQUEST, "another pod is meant\n").into_response();
    }
    let order = request.method() == Method::POST;
    if order && header(INSTANCE_HEADER) != admin.member.status().instance {
        let reason = "another start of this process is meant\n";
        return (StatusCode::MISDIRECTED_REQUEST, reason).into_response();
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
    Json(Status {
        used_bytes: admin.member.used_bytes(),
        ..admin.member.status()
    })
}

/// Carries an order out, also when the caller goes away meanwhile: half an order would be left.
async fn carry_out(order: impl Future<Output = anyhow::Result<()>> + Send + 'static) -> Response {
    let done = tokio::spawn(order).await.unwrap_or_else(|e| Err(e.into()));
    match done {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(e) => (StatusCode::CONFLICT, format!("{e:#}\n")).into_response(),
    }
}

async fn found(State(Admin { member }): State<Admin>) -> Response {
    carry_out(async move { member.found().await }).await
}

async fn join(State(Admin { member }): State<Admin>) -> Response {
    carry_out(async move { member.join().await }).await
}

async fn open(State(Admin { member }): State<Admin>) -> Response {
    carry_out(async move { member.open().await }).await
}

async fn restart(State(Admin { member }): State<Admin>) -> StatusCode {
    member.restart.cancel();
    StatusCode::NO_CONTENT
}
