//! Three members as processes on this machine, through our front and without it: commits, and the gap after
//! the leader is killed. `make bench` runs this and prints what it prints; `ONLY=commits` or `ONLY=failover`
//! picks one. What is compared takes turns.

#![allow(clippy::unwrap_used, reason = "a measurement that fails should panic")]

#[path = "../../tests/cluster/cut.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod cut;
#[path = "../../tests/cluster/nodes.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod nodes;

mod bare;
mod commits;
mod failover;

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let only = std::env::var("ONLY").unwrap_or_default();
        if only != "failover" {
            commits::measure().await;
        }
        if only != "commits" {
            failover::measure().await;
        }
    });
}

/// The middle one.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The value that this share of all is at most.
fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * share) as usize]
}
