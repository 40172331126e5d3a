//! What the user writes.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Affinity, ResourceRequirements, Toleration, TopologySpreadConstraint,
};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::DqliteClusterStatus;

/// A cluster of dqlite servers: SQLite, replicated by Raft.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, CustomResource, KubeSchema)]
#[kube(
    group = "dqlite.io",
    version = "v1alpha1",
    kind = "DqliteCluster",
    plural = "dqliteclusters",
    shortname = "dq",
    category = "dqlite",
    namespaced,
    status = "DqliteClusterStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "A cluster of dqlite servers: SQLite, replicated by Raft.",
    scale(
        spec_replicas_path = ".spec.members",
        status_replicas_path = ".status.members",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Members", type_ = "integer", json_path = ".spec.members"),
    printcolumn(name = "Ready", type_ = "integer", json_path = ".status.readyMembers"),
    printcolumn(name = "Leader", type_ = "string", json_path = ".status.leader"),
    printcolumn(name = "Can-Lose", type_ = "integer", json_path = ".status.canLose"),
    printcolumn(
        name = "Status",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("metadata.name must be of a-z, 0-9 and '-', starting with a letter"),
    validation = Rule::new("self.metadata.name.size() <= 40")
        .message("metadata.name must have at most 40 characters"),
    validation = Rule::new(
        "!self.metadata.name.endsWith('-leader') && !self.metadata.name.endsWith('-nodes')"
    )
    .message("metadata.name must not end in -leader or -nodes, which name the cluster's Services")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.voters) || self.voters <= self.members")
    .message("spec.voters must not be greater than spec.members"))]
pub struct DqliteClusterSpec {
    /// Number of members. The default of 3 survives the loss of one.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 9))]
    pub members: i32,

    /// Number of members that vote; odd. By default the largest odd number up to `members` and 5. The
    /// others replicate: up to three standbys, which are promoted when a voter is lost, then spares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 9))]
    #[x_kube(validation = Rule::new("self % 2 == 1")
        .message("spec.voters must be odd: an even number survives no more failures"))]
    pub voters: Option<i32>,

    /// Image of the members; by default the one that belongs to the operator's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,

    /// Disks of the members.
    #[serde(default)]
    pub storage: Storage,

    /// CPU and memory of a member. Databases are held in memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,

    /// Expected latency between members in milliseconds: heartbeats are sent every 1.5 times, a new
    /// leader is elected after 15 to 30 times this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub network_latency: Option<i32>,

    /// Snapshots of the Raft log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<Snapshot>,

    /// Where members run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduling: Option<Scheduling>,

    /// Labels and annotations for the members' pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_metadata: Option<PodMetadata>,

    /// The operator looks and reports, and changes nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,

    /// No pod runs, all disks stay. The same members return when this is taken back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hibernated: bool,
}

fn three() -> i32 {
    3
}

/// Disks of the members.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Storage {
    /// Size of each member's disk, as a Kubernetes quantity. A new disk needs 24 MiB, and one that is
    /// in use room for three snapshots and the log. Disks grow in place where their class can do that;
    /// otherwise, and to shrink, members are replaced one by one.
    #[serde(default = "one_gibibyte")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = Rule::new("isQuantity(self) && quantity(self).isGreaterThan(quantity('63Mi'))")
        .message("spec.storage.size must be a quantity of at least 64Mi"))]
    pub size: String,

    /// Storage class; by default the cluster's default class. When it changes, members are replaced one
    /// by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_name: Option<String>,

    /// What becomes of the disks of members that leave, and of all when the object is deleted.
    #[serde(default)]
    pub retain: Retain,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            size: one_gibibyte(),
            class_name: None,
            retain: Retain::Retain,
        }
    }
}

fn one_gibibyte() -> String {
    "1Gi".into()
}

/// What becomes of disks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Retain {
    /// They stay.
    #[default]
    Retain,
    /// They are deleted with what they belong to.
    Delete,
}

/// Snapshots of the Raft log.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.trailing >= self.threshold")
    .message("spec.snapshot.trailing must be at least spec.snapshot.threshold"))]
pub struct Snapshot {
    /// Log entries between two snapshots.
    #[serde(default = "default_threshold")]
    #[schemars(range(min = 4, max = 1_000_000))]
    pub threshold: i32,
    /// Log entries kept behind a snapshot. They stay in memory.
    #[serde(default = "default_trailing")]
    #[schemars(range(min = 4, max = 1_000_000))]
    pub trailing: i32,
}

fn default_threshold() -> i32 {
    1024
}

fn default_trailing() -> i32 {
    8192
}

/// Where members run; as in a pod's spec.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Scheduling {
    /// Replaces the default, which keeps members on different nodes where it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// Taints that members tolerate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Toleration>,
    /// Labels that a node must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// How members spread over zones or nodes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topology_spread: Vec<TopologySpreadConstraint>,
    /// Priority class of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority_class_name: Option<String>,
}

/// Labels and annotations for pods.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodMetadata {
    /// Labels; the operator's own win.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}
