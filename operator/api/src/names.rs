//! Names and labels. Every object's name follows from the cluster's name and the member's number.

use std::collections::BTreeMap;

/// Cluster that an object belongs to; on every object.
pub const CLUSTER_LABEL: &str = "dqlite.io/cluster";
/// Number of the member that an object belongs to.
pub const MEMBER_LABEL: &str = "dqlite.io/member";
/// `true` on the PVC of a member that left: it never starts again.
pub const REMOVED_LABEL: &str = "dqlite.io/removed";
/// On a member's StatefulSet: another member is to take its place.
pub const MOVE_ANNOTATION: &str = "dqlite.io/move";
/// Who made an object.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// Value of [`MANAGED_BY_LABEL`].
pub const MANAGED_BY: &str = "dqlite-operator";
/// Field manager of server-side apply.
pub const FIELD_MANAGER: &str = "dqlite-operator";

/// The names of one cluster's objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// Name of the DqliteCluster.
    pub cluster: String,
    /// Its namespace.
    pub namespace: String,
}

impl Names {
    /// Names of several members, for people.
    #[must_use]
    pub fn members(&self, numbers: impl IntoIterator<Item = u32>) -> String {
        let names = numbers.into_iter().map(|n| self.member(n));
        names.collect::<Vec<_>>().join(", ")
    }

    /// StatefulSet and PVC of a member, and its name.
    #[must_use]
    pub fn member(&self, n: u32) -> String {
        format!("{}-{n}", self.cluster)
    }

    /// Pod of a member.
    #[must_use]
    pub fn pod(&self, n: u32) -> String {
        format!("{}-0", self.member(n))
    }

    /// Headless Service that gives every pod a DNS name.
    #[must_use]
    pub fn nodes(&self) -> String {
        format!("{}-nodes", self.cluster)
    }

    /// Service that leads to the leader.
    #[must_use]
    pub fn leader(&self) -> String {
        format!("{}-leader", self.cluster)
    }

    /// ConfigMap with the operator's memory.
    #[must_use]
    pub fn record(&self) -> String {
        format!("{}-record", self.cluster)
    }

    /// Secret with the token of the admin port.
    #[must_use]
    pub fn token(&self) -> String {
        format!("{}-admin", self.cluster)
    }

    /// Host name of a member's pod.
    #[must_use]
    pub fn host(&self, n: u32) -> String {
        format!("{}.{}.{}.svc", self.pod(n), self.nodes(), self.namespace)
    }

    /// A member's address in the Raft configuration, the same for ever.
    #[must_use]
    pub fn address(&self, n: u32) -> String {
        format!("{}:9001", self.host(n))
    }

    /// The address at which clients find the leader.
    #[must_use]
    pub fn leader_address(&self) -> String {
        format!("{}.{}.svc:9002", self.leader(), self.namespace)
    }

    /// Labels of every object of the cluster. None has a version in it, since some end up in
    /// selectors and templates that cannot be changed.
    #[must_use]
    pub fn labels(&self) -> BTreeMap<String, String> {
        let pairs = [
            ("app.kubernetes.io/name", "dqlite"),
            ("app.kubernetes.io/instance", &self.cluster),
            (MANAGED_BY_LABEL, MANAGED_BY),
            (CLUSTER_LABEL, &self.cluster),
        ];
        pairs
            .into_iter()
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect()
    }

    /// Labels of a member's objects.
    #[must_use]
    pub fn member_labels(&self, n: u32) -> BTreeMap<String, String> {
        let mut labels = self.labels();
        labels.insert(MEMBER_LABEL.into(), n.to_string());
        labels
    }

    /// Label selector of everything that belongs to the cluster.
    #[must_use]
    pub fn selector(&self) -> String {
        format!(
            "{MANAGED_BY_LABEL}={MANAGED_BY},{CLUSTER_LABEL}={}",
            self.cluster
        )
    }
}
