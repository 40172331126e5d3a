//! What the operator makes in Kubernetes: one builder per object, one file per kind. Pure.

mod disk;
mod record;
mod services;
mod set;
mod support;

pub use disk::disk;
pub use record::{Memory, record};
pub use services::{Service, service};
pub use set::{SPEC_ANNOTATION, TEMPLATE_ANNOTATION, set};
pub use support::{budget, service_account, token};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use operator_api::{Names, Retain};

use crate::wanted::Wanted;

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
    let owners = owners_of_kept(wanted);
    ObjectMeta {
        owner_references: Some(owners).filter(|o| !o.is_empty()),
        ..owned(wanted, name)
    }
}

/// The owner that disks and record should have: none, unless they are to go with the object.
pub fn owners_of_kept(wanted: &Wanted) -> Vec<OwnerReference> {
    match wanted.spec.storage.retain {
        Retain::Retain => Vec::new(),
        Retain::Delete => vec![owner(wanted)],
    }
}

/// The DqliteCluster, as owner of what goes with it.
pub fn owner(wanted: &Wanted) -> OwnerReference {
    OwnerReference {
        api_version: "dqlite.io/v1alpha1".into(),
        kind: "DqliteCluster".into(),
        name: wanted.names.cluster.clone(),
        uid: wanted.uid.clone(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// Whether no other object owns this one: an earlier DqliteCluster of the same name, say.
pub fn is_ours(meta: &ObjectMeta, uid: &str) -> bool {
    meta.owner_references
        .iter()
        .flatten()
        .all(|owner| owner.uid == uid)
}

/// Whether an object is being deleted, or will be: an earlier DqliteCluster of the same name left it.
pub fn leaves(meta: &ObjectMeta, uid: &str) -> bool {
    meta.deletion_timestamp.is_some() || !is_ours(meta, uid)
}

/// Whether an object was made for a cluster of this name.
pub fn is_labelled(meta: &ObjectMeta, names: &Names) -> bool {
    let label = |key: &str| meta.labels.as_ref()?.get(key).map(String::as_str);
    label(operator_api::MANAGED_BY_LABEL) == Some(operator_api::MANAGED_BY)
        && label(operator_api::CLUSTER_LABEL) == Some(&names.cluster)
}

#[cfg(test)]
mod tests {
    //! Every object that is made, as YAML: a change of one shows in the review of its snapshot. The
    //! manifest goes through the real validation.

    use operator_api::DqliteCluster;
    use operator_plan::{Entry, Intent, Record};

    use super::*;

    fn wanted(spec: serde_json::Value) -> Wanted {
        let object: DqliteCluster = serde_json::from_value(serde_json::json!({
            "apiVersion": "dqlite.io/v1alpha1", "kind": "DqliteCluster",
            "metadata": {"name": "demo", "namespace": "ns", "uid": "0f0f", "generation": 1},
            "spec": spec,
        }))
        .unwrap();
        Wanted::check(&object, "docker.io/dqlite/dqlite-node:1").unwrap()
    }

    fn minimal() -> Wanted {
        wanted(serde_json::json!({}))
    }

    #[test]
    fn the_set_of_a_minimal_cluster() {
        insta::assert_yaml_snapshot!(set(&minimal(), "c1", 2, 77, "disk-uid"));
    }

    #[test]
    fn the_set_of_a_cluster_that_says_everything() {
        let all = wanted(serde_json::json!({
            "members": 5, "voters": 3, "image": "example.com/node:2", "networkLatency": 60,
            "snapshot": {"threshold": 8, "trailing": 16},
            "resources": {"limits": {"memory": "1Gi"}},
            "scheduling": {
                "affinity": {}, "nodeSelector": {"disk": "fast"}, "priorityClassName": "high",
                "tolerations": [{"operator": "Exists"}],
                "topologySpread": [{
                    "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
                }],
            },
            "podMetadata": {"labels": {"a": "b", "dqlite.io/member": "9"}, "annotations": {"c": "d"}},
        }));
        insta::assert_yaml_snapshot!(set(&all, "c1", 2, 77, "disk-uid"));
    }

    #[test]
    fn the_disk_follows_retain() {
        insta::assert_yaml_snapshot!("disk_retained", disk(&minimal(), 1));
        let delete = wanted(serde_json::json!({"storage": {
            "size": "2Gi", "className": "fast", "retain": "Delete",
        }}));
        insta::assert_yaml_snapshot!("disk_deleted", disk(&delete, 1));
    }

    #[test]
    fn the_small_objects() {
        for which in Service::ALL {
            insta::assert_yaml_snapshot!(format!("service_{which:?}"), service(&minimal(), which));
        }
        insta::assert_yaml_snapshot!("service_account", service_account(&minimal()));
        insta::assert_yaml_snapshot!("token", token(&minimal(), "secret"));
        insta::assert_yaml_snapshot!("budget", budget(&minimal(), 3, 3));
    }

    #[test]
    fn the_budget_spares_what_the_quorum_can() {
        let least = |pods, voters| {
            let budget = budget(&minimal(), pods, voters)?;
            budget.spec?.min_available
        };
        use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString::Int;
        assert_eq!(least(1, 1), None, "a budget of one would stop every drain");
        assert_eq!(least(3, 3), Some(Int(2)));
        assert_eq!(least(4, 3), Some(Int(3)));
        assert_eq!(least(5, 5), Some(Int(3)));
        assert_eq!(least(2, 2), None);
    }

    #[test]
    fn the_record_is_read_as_it_was_written() {
        let mut record = Record {
            founded: true,
            next: 4,
            ..Record::default()
        };
        record.intent = Some(Intent {
            member: 1,
            disk: "d1".into(),
        });
        let entry = |id| Entry {
            id,
            disk: Some("d".into()),
            ..Entry::default()
        };
        record.members.insert(1, entry(u64::MAX >> 11));
        record.members.insert(
            2,
            Entry {
                join: Some("i".into()),
                retired: true,
                ..entry(8)
            },
        );
        record.members.insert(
            3,
            Entry {
                removed: true,
                ..entry(9)
            },
        );
        record.retired.insert(10);
        let memory = Memory {
            cluster: "c1".into(),
            record,
        };
        let map = super::record(&minimal(), &memory).unwrap();
        assert_eq!(Memory::read(&map).unwrap(), memory);
        let empty = k8s_openapi::api::core::v1::ConfigMap::default();
        assert!(
            Memory::read(&empty).is_err(),
            "never taken for an empty record"
        );
    }
}
