//! What each fuzz target does with its bytes, and what must hold whatever they are.
//!
//! ```text
//! decoders.rs  frames, requests, responses, rows: what is read is written and read again as the same
//! identity.rs  the identity file of a disk: only the pod's own member is taken
//! front.rs     the front as a whole, between a client that sends anything and an engine that is played
//! engine.rs    that engine: takes nothing that the front should have kept from it
//! ```
//!
//! A target panics where a rule is broken; `../run.sh` runs them.

mod decoders;
mod engine;
mod front;
mod identity;

pub use decoders::{frames, requests, responses, rows};
pub use front::front;
pub use identity::identity;

use clap::Parser;
use dqlite_node::Settings;

/// Id of the cluster and Raft id of the one member in all targets.
const CLUSTER: &str = "c1";
const ID: u64 = 7;

fn settings(data: &str) -> Settings {
    let id = ID.to_string();
    Settings::parse_from([
        "dqlite-node",
        "--cluster",
        CLUSTER,
        "--member",
        "demo-1",
        "--id",
        &id,
        "--address",
        "demo-1.demo:9001",
        "--pvc-uid",
        "p1",
        "--pod-uid",
        "u1",
        "--leader-address",
        "demo-leader:9002",
        "--data",
        data,
    ])
}
