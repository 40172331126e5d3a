//! What the operator makes in Kubernetes: one builder per object, one file per kind. Pure.

mod disk;
mod record;
mod services;
mod set;
mod support;

pub use disk::disk;
pub use record::{Memory, record};
pub use services::{Service, service};
pub use set::{TEMPLATE_ANNOTATION, set};
pub use support::{budget, service_account, token};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use operator_api::{Names, Retain};

use crate::controller::Wanted;

/// Metadata of an object that goes when the DqliteCluster goes.
fn owned(wanted: &Wanted, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(wanted.names.namespace.clone()),
        labels: Some(wanted.names.labels()),
        owner_references: Some(vec![owner(wanted)]),
        ..ObjectMeta::default()
    }
}

/// Metadata of an object that stays unless the spec says Delete: disks, and the memory of them.
fn kept(wanted: &Wanted, name: String) -> ObjectMeta {
    let mut meta = owned(wanted, name);
    if wanted.spec.storage.retain == Retain::Retain {
        meta.owner_references = None;
    }
    meta
}

fn owner(wanted: &Wanted) -> OwnerReference {
    OwnerReference {
        api_version: "dqlite.io/v1alpha1".into(),
        kind: "DqliteCluster".into(),
        name: wanted.names.cluster.clone(),
        uid: wanted.uid.clone(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// Whether an object was made for this cluster: by label, and by owner where it has one.
pub fn is_ours(meta: &ObjectMeta, names: &Names, uid: &str) -> bool {
    let labels = meta.labels.clone().unwrap_or_default();
    let labelled = |key: &str, value: &str| labels.get(key).is_some_and(|v| v == value);
    let owners = meta.owner_references.as_deref().unwrap_or_default();
    labelled(operator_api::MANAGED_BY_LABEL, operator_api::MANAGED_BY)
        && labelled(operator_api::CLUSTER_LABEL, &names.cluster)
        && owners.iter().all(|owner| owner.uid == uid)
}
