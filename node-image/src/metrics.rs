//! What `/metrics` tells.

use std::sync::{Arc, atomic::AtomicU64};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::{front::limits::Limits, member::Member};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Peer {
    peer: String,
}

/// Counters that the tasks add to; gauges are read when somebody asks.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    refused: Family<Reason, Counter>,
    connections: Gauge,
    leader: Gauge,
    voter: Gauge,
    ready: Gauge,
    members: Gauge<u64, AtomicU64>,
    term: Gauge<u64, AtomicU64>,
    commit: Gauge<u64, AtomicU64>,
    last: Family<Peer, Gauge<u64, AtomicU64>>,
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Arc<Self> {
        let mut registry = Registry::with_prefix("dqlite_node");
        let (refused, connections) = (Family::default(), Gauge::default());
        let (leader, voter, ready) = (Gauge::default(), Gauge::default(), Gauge::default());
        let members = Gauge::default();
        registry.register("refused", "What the front refused", Family::clone(&refused));
        registry.register(
            "connections",
            "Open connections",
            Gauge::clone(&connections),
        );
        registry.register("leader", "1 while this member leads", Gauge::clone(&leader));
        registry.register(
            "voter",
            "1 while this member has a vote",
            Gauge::clone(&voter),
        );
        registry.register(
            "ready",
            "1 while this member is ready",
            Gauge::clone(&ready),
        );
        registry.register(
            "members",
            "Members in its configuration",
            Gauge::clone(&members),
        );
        let (term, commit, last) = (Gauge::default(), Gauge::default(), Family::default());
        registry.register("raft_term", "Highest term heard of", Gauge::clone(&term));
        registry.register(
            "raft_commit_index",
            "Last committed entry heard of",
            Gauge::clone(&commit),
        );
        registry.register(
            "raft_last_index",
            "Last entry of another member's log, as it told this one",
            Family::clone(&last),
        );
        Arc::new(Self {
            registry,
            refused,
            connections,
            leader,
            voter,
            ready,
            members,
            term,
            commit,
            last,
        })
    }

    pub(crate) fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&Reason { reason }).inc();
    }

    /// The text of `/metrics`.
    pub(crate) fn text(&self, member: &Member, limits: &Limits) -> String {
        let status = member.status();
        let view = status.engine.unwrap_or_default();
        self.connections.set(limits.count() as i64);
        self.leader.set(i64::from(view.leader == Some(status.id)));
        self.voter.set(i64::from(
            view.role_of(status.id) == Some(node_api::Role::Voter),
        ));
        self.ready.set(i64::from(status.ready));
        self.members.set(view.members.len() as u64);
        self.term.set(status.raft.term);
        self.commit.set(status.raft.commit);
        for peer in &status.raft.peers {
            let label = Peer {
                peer: peer.id.to_string(),
            };
            self.last.get_or_create(&label).set(peer.last);
        }
        let mut text = String::new();
        // Writing into a string cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
