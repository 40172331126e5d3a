//! The resource `DqliteCluster`: its types, and the names of everything that is made for it. No client
//! and no runtime: the operator, the suite and other programs can all depend on it.

pub mod conditions;
mod names;
mod spec;
mod status;

pub use names::{
    CLUSTER_LABEL, FIELD_MANAGER, MANAGED_BY, MANAGED_BY_LABEL, MEMBER_LABEL, MOVE_ANNOTATION,
    Names, REMOVED_LABEL,
};
pub use spec::{
    DqliteCluster, DqliteClusterSpec, PodMetadata, Retain, Scheduling, Snapshot, Storage,
};
pub use status::{BlockedBy, ClusterStatus, DqliteClusterStatus, MemberStatus, RaftStatus};
