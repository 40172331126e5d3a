//! What a `dqlite-node` says and is told on its admin port. The operator and the node share these
//! types and nothing else.
//!
//! ```text
//! GET  /v1/status?after=<revision>   Status; waits up to 25 s while nothing has changed
//! POST /v1/found                     makes the one member of a new cluster; repeatable until open
//! POST /v1/join                      makes an empty member that waits to be added; repeatable
//! POST /v1/open                      lets clients in after a founding
//! POST /v1/restart                   ends the process as if asked to stop; the kubelet starts it anew
//! ```
//! Every request carries [`TOKEN_HEADER`] and [`POD_HEADER`], every order [`INSTANCE_HEADER`] too. A
//! refused order answers 409 and its reason as text.

use serde::{Deserialize, Serialize};

/// Dqlite clients and Raft peers.
pub const FRONT_PORT: u16 = 9001;
/// Forwards to today's leader.
pub const LEADER_PORT: u16 = 9002;
/// This crate's requests.
pub const ADMIN_PORT: u16 = 9003;
/// `/livez`, `/readyz`, `/metrics`.
pub const HEALTH_PORT: u16 = 9004;

/// `Bearer <token>`, from the cluster's Secret.
pub const TOKEN_HEADER: &str = "authorization";
/// Uid of the pod that is meant: an address may belong to another pod by now.
pub const POD_HEADER: &str = "x-dqlite-pod-uid";
/// On orders: [`Status::instance`] as the caller saw it. A process that started since then may stand on
/// another disk, and what was decided for the old one is not for it.
pub const INSTANCE_HEADER: &str = "x-dqlite-instance";

/// Names of the environment variables by which a pod tells its node which member it is.
pub mod env {
    #![allow(missing_docs)]
    pub const CLUSTER: &str = "DQLITE_CLUSTER";
    pub const MEMBER: &str = "DQLITE_MEMBER";
    pub const ID: &str = "DQLITE_ID";
    pub const ADDRESS: &str = "DQLITE_ADDRESS";
    pub const PVC_UID: &str = "DQLITE_PVC_UID";
    pub const POD_UID: &str = "DQLITE_POD_UID";
    pub const LEADER_ADDRESS: &str = "DQLITE_LEADER_ADDRESS";
    pub const LATENCY_MS: &str = "DQLITE_LATENCY_MS";
    pub const SNAPSHOT_THRESHOLD: &str = "DQLITE_SNAPSHOT_THRESHOLD";
    pub const SNAPSHOT_TRAILING: &str = "DQLITE_SNAPSHOT_TRAILING";
    pub const DATA: &str = "DQLITE_DATA";
    pub const TOKEN_FILE: &str = "DQLITE_TOKEN_FILE";
}

/// What a node is, now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Grows with every change, from one start of the process to its end.
    pub revision: u64,
    /// Random for every start of the process.
    pub instance: String,
    /// Name of the member, `<cluster>-<n>`.
    pub member: String,
    /// Raft id.
    pub id: u64,
    /// Id of the cluster.
    pub cluster: String,
    /// Uid of the PVC that the pod was told it has.
    pub pvc_uid: String,
    /// Where the member is in its life.
    pub phase: Phase,
    /// What its engine says; `None` while none runs or it does not answer.
    pub engine: Option<View>,
    /// Whether the member does its part: see `/readyz`.
    pub ready: bool,
    /// Bytes on its disk.
    #[serde(default)]
    pub used_bytes: u64,
    /// How far Raft has come. Grows with every write, and is no news by itself: `revision` stays.
    #[serde(default)]
    pub raft: Raft,
}

/// What a member heard of Raft from the others. All zero where no message passes: in a cluster of one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Raft {
    /// The highest term in any message.
    pub term: u64,
    /// Index of the last committed entry: as a leader said, or on the leader what a majority has. 0 in a
    /// cluster of one.
    pub commit: u64,
    /// Index of the last entry that a leader sent.
    pub last: u64,
    /// The members that sent something.
    pub peers: Vec<Peer>,
}

/// Another member, by its own messages to this one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Peer {
    /// Raft id.
    pub id: u64,
    /// Index of the last entry in its log, as it answered to this member as leader; 0: it never did.
    pub last: u64,
    /// Milliseconds since its last message.
    pub silent_ms: u64,
}

/// Where a member is in its life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "camelCase")]
pub enum Phase {
    /// Nothing is on the disk; waits to be told.
    Empty,
    /// Founded, and lets no client in yet.
    Founding,
    /// Waits to be added, or for its first log.
    Joining,
    /// Joined: its own configuration listed it.
    Seeded,
    /// Founded and open.
    Open,
    /// What is on the disk does not belong to this member; starts nothing.
    Refused {
        /// Why.
        reason: String,
    },
}

/// What an engine says of its cluster. It may be old, or not committed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct View {
    /// Id of the leader; only voters know one.
    pub leader: Option<u64>,
    /// The configuration; empty on a member that got no log.
    pub members: Vec<Member>,
}

impl View {
    /// Ids of the members that vote.
    #[must_use]
    pub fn voters(&self) -> Vec<u64> {
        let voters = self.members.iter().filter(|m| m.role == Role::Voter);
        voters.map(|m| m.id).collect()
    }

    /// This member's role, if the configuration lists it.
    #[must_use]
    pub fn role_of(&self, id: u64) -> Option<Role> {
        self.members.iter().find(|m| m.id == id).map(|m| m.role)
    }
}

/// One server of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Raft id.
    pub id: u64,
    /// `host:port`.
    pub address: String,
    /// Its role.
    pub role: Role,
}

/// A server's part in Raft.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Votes and replicates.
    Voter,
    /// Replicates, has no vote.
    Standby,
    /// Is listed and gets no log.
    Spare,
}
