//! What to do next for one DqliteCluster: [`decide`], a pure function.
//!
//! No Kubernetes, no I/O, no clock: what was seen goes in, one [`Step`] comes out. The operator takes
//! the step and looks again. What nothing answered is [`Node::Unknown`], and nothing that cannot be
//! undone follows from it (rule S11).
//!
//! ```text
//! facts.rs      what goes in: the spec, the record, what was seen
//! step.rs       what comes out
//! found.rs      until the cluster is founded
//! members.rs    who is wanted, who is lost, who leaves
//! votes.rs      who votes, who is up
//! zones.rs      where the voters are
//! roles.rs      votes: one change at a time, never below a quorum
//! updates.rs    sleep, templates, disks, moves: one member at a time
//! ```

mod facts;
mod found;
mod members;
mod roles;
mod step;
mod updates;
mod votes;
mod zones;

pub use facts::{
    Change, Entry, Facts, Fit, Instance, Intent, Node, NodePhase, NodeStatus, Number, Object, Pod,
    RaftId, Record, Remedy, Role, Seen, Server, Spec, Template, Uid,
};
pub use members::lost_disks;
pub use step::{Reason, Step};
pub use votes::voters_spread;
pub use zones::Spread;

/// The one thing to do next. Total and deterministic.
#[must_use]
pub fn decide(facts: &Facts) -> Step {
    let Some(record) = &facts.record else {
        return if facts.seen.is_empty() {
            Step::CreateRecord
        } else {
            // Members without a record: who was founded, and which ids were used, is not known.
            Step::Stalled(Reason::RecordMissing)
        };
    };
    if facts.seen.keys().any(|n| *n >= record.next) {
        // An older record than the one that these members were made by.
        return Step::Stalled(Reason::RecordMissing);
    }
    let none = || None;
    none()
        .or_else(|| members::obstacle(facts, record))
        .or_else(|| found::step(facts, record))
        .or_else(|| found::founder_lost(facts, record))
        .or_else(|| updates::sleep(facts, record))
        .or_else(|| members::retire_lost(facts, record))
        .or_else(|| members::size(facts, record))
        .or_else(|| members::objects(facts, record))
        .or_else(|| found::open(facts, record))
        .or_else(|| roles::change_under_way(facts, record))
        .or_else(|| members::join(facts, record))
        .or_else(|| roles::step(facts, record))
        .or_else(|| members::clean_up(facts, record))
        .or_else(|| updates::step(facts, record))
        .unwrap_or_else(|| members::rest(facts, record))
}

/// Voters that a cluster of this many members has unless the spec says otherwise: the largest odd
/// number that is at most `members` and 5.
#[must_use]
pub fn default_voters(members: u32) -> u32 {
    let most = members.clamp(1, 5);
    if most.is_multiple_of(2) {
        most - 1
    } else {
        most
    }
}
