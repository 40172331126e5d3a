//! What the operator reports. Never its memory: delete it, and the next pass rebuilds it (rule S13).

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// State of a cluster as last seen.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DqliteClusterStatus {
    /// Generation of the spec that this status belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The Raft cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterStatus>,
    /// Members that the cluster has.
    #[serde(default)]
    pub members: i32,
    /// Members that are ready.
    #[serde(default)]
    pub ready_members: i32,
    /// Members that vote.
    #[serde(default)]
    pub voters: i32,
    /// Name of the member that leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<String>,
    /// Voters that may be lost now without a loss of the quorum.
    #[serde(default)]
    pub can_lose: i32,
    /// How far Raft had come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raft: Option<RaftStatus>,
    /// Label selector of the members' pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// Every member.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub member_list: Vec<MemberStatus>,
    /// State in the form that tools understand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// What the operator waits for, and who can change it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked_by: Option<BlockedBy>,
}

/// The Raft cluster.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterStatus {
    /// Its id, made when the object was first seen.
    pub id: String,
    /// It exists; it is never founded again.
    pub founded: bool,
}

/// How far Raft had come, by the leader. Looked at once in a while: the members' metrics tell it live.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RaftStatus {
    /// Term of the leader.
    pub term: i64,
    /// Index of the last committed entry.
    pub commit: i64,
    /// Index of the last entry in the log of each member that follows, by the member's name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub followers: BTreeMap<String, i64>,
    /// When this was so.
    pub observed_at: Time,
}

/// One member.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemberStatus {
    /// Name of the member, of its StatefulSet and its PVC.
    pub name: String,
    /// Raft id, as text: it does not fit a JSON number.
    pub id: String,
    /// `voter`, `standby`, `spare`, or nothing while it is not a part of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Its address in the cluster.
    pub address: String,
    /// It does its part.
    pub ready: bool,
    /// Why it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when it is (or is not) ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
}

/// What the operator waits for.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct BlockedBy {
    /// What it is.
    pub what: String,
    /// Since when.
    pub since: Time,
    /// Who must act: `operator` (nobody else), `kubernetes`, or `user`.
    pub who_acts: String,
    /// A command that shows more, or helps.
    pub next_command: String,
}
