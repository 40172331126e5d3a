//! For tests of what a lost answer does: when told so, the process ends as if killed, with the k-th answer
//! of the API server or of a node in its hands. Off unless the operator runs with `--faults`.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::{
    Router,
    extract::Path,
    routing::{get, post},
};

/// As a shell tells of a process that was killed.
const KILLED: i32 = 137;

static ANSWERS: AtomicU64 = AtomicU64::new(0);
static LAST: AtomicU64 = AtomicU64::new(u64::MAX);

/// An answer came.
pub fn answered() {
    if ANSWERS.fetch_add(1, Ordering::SeqCst) + 1 >= LAST.load(Ordering::SeqCst) {
        std::process::exit(KILLED);
    }
}

/// `GET /faults/answers` tells how many came, `POST /faults/end-after/<k>` ends the process with the k-th
/// from now.
pub fn router() -> Router {
    let answers = get(async || ANSWERS.load(Ordering::SeqCst).to_string());
    let end_after = post(async |Path(k): Path<u64>| {
        LAST.store(ANSWERS.load(Ordering::SeqCst) + k, Ordering::SeqCst);
    });
    Router::new()
        .route("/faults/answers", answers)
        .route("/faults/end-after/{k}", end_after)
}
