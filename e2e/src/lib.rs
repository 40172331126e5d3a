//! The end-to-end suite: a real Kubernetes, the real operator, real nodes.
//!
//! ```text
//! provider.rs   where the Kubernetes comes from, and what it can do
//! world.rs      one test's namespace and cluster: make, wait, look
//! faults.rs     what tests do to it
//! operator.rs   what tests do to the operator
//! truth.rs      looks all the time whether what calls itself Ready is
//! writer.rs     numbers its rows, and knows what became of each
//! ledger.rs     compares the rows on every node
//! prober.rs     asks every pod all the time who leads and what the cluster is
//! stand_in/     members without machines, by the hundred
//! flow.rs       what operators do over and over
//! sweep/        the operator under every fault that a call may meet
//! report.rs     one line of figures per test; what one needs to see why one failed
//! ```
//! Tests are in `tests/`, and run one at a time: `clusters.rs` (made, scaled, wrong), `life.rs` (what becomes of a
//! cluster over the years), `loss.rs` (of disks), `nodes.rs` (drained, powered off, in zones), `operator.rs` (killed,
//! replaced), `alone.rs` (what only counts while nothing else runs).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that fails should panic"
)]
#![allow(missing_docs, reason = "a test suite is read, not linked")]

pub mod faults;
pub mod flow;
pub mod ledger;
pub mod operator;
pub mod prober;
pub mod provider;
pub mod report;
pub mod stand_in;
pub mod sweep;
pub mod truth;
pub mod world;
pub mod writer;

pub use provider::Provider;
pub use world::World;
pub use writer::Writer;
