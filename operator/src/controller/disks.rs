//! How a member's PVC compares with the spec.

use std::collections::BTreeSet;

use k8s_openapi::api::{core::v1::PersistentVolumeClaim, storage::v1::StorageClass};
use kube::Api;
use kube_quantity::ParsedQuantity;
use operator_plan::Fit;

use super::observe::{Member, Observed};
use crate::wanted::Wanted;

/// A disk in use needs room for three snapshots and the log.
const ROOM: u64 = 3;

/// Pure; `growing` are the classes that can make a disk larger.
pub fn fit(wanted: &Wanted, member: &Member, growing: &BTreeSet<String>) -> Fit {
    let Some(disk) = &member.disk else {
        return Fit::Fits;
    };
    let storage = &wanted.spec.storage;
    let (Some(has), Some(wants)) = (asked(disk), bytes(&storage.size)) else {
        return Fit::Fits;
    };
    let grows = class(disk).is_some_and(|class| growing.contains(class));
    let moves = storage.class_name.is_some() && storage.class_name.as_deref() != class(disk);
    let used = member.node.as_ref().map_or(0, |node| node.used_bytes);
    if (wants < has || moves) && wants < used * ROOM {
        Fit::TooSmall
    } else if moves || wants < has || (wants > has && !grows) {
        Fit::Misfit
    } else if wants > has {
        Fit::Grows
    } else {
        Fit::Fits
    }
}

/// The classes that can make the disks larger which should be. Where the operator may not read classes,
/// none can.
pub async fn growing(
    client: &kube::Client,
    wanted: &Wanted,
    observed: &Observed,
) -> BTreeSet<String> {
    let wants = bytes(&wanted.spec.storage.size);
    let record = observed.record.as_ref().map(|(_, memory)| &memory.record);
    let stays = |n: &u32| record.is_some_and(|r| r.members.get(n).is_some_and(|e| !e.removed));
    let members = observed.members.iter().filter(|(n, _)| stays(n));
    let disks = members.filter_map(|(_, m)| m.disk.as_ref());
    let small = disks.filter(|disk| asked(disk) < wants);
    let named: BTreeSet<&str> = small.filter_map(class).collect();
    let classes: Api<StorageClass> = Api::all(client.clone());
    let mut growing = BTreeSet::new();
    for name in named {
        let class = classes.get_opt(name).await;
        let class = class.inspect_err(|e| tracing::warn!("cannot read the storage class: {e}"));
        if class.ok().flatten().and_then(|c| c.allow_volume_expansion) == Some(true) {
            growing.insert(name.to_owned());
        }
    }
    growing
}

fn class(disk: &PersistentVolumeClaim) -> Option<&str> {
    disk.spec.as_ref()?.storage_class_name.as_deref()
}

fn asked(disk: &PersistentVolumeClaim) -> Option<u64> {
    let requests = disk.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?;
    bytes(&requests.get("storage")?.0)
}

fn bytes(quantity: &str) -> Option<u64> {
    let parsed = ParsedQuantity::try_from(quantity).ok()?;
    parsed.to_bytes_f64().map(|bytes| bytes as u64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fit_of(spec: serde_json::Value, used: u64, grows: bool) -> Fit {
        let object = serde_json::from_value(json!({
            "apiVersion": "dqlite.io/v1alpha1", "kind": "DqliteCluster",
            "metadata": {"name": "demo", "namespace": "ns", "uid": "u"},
            "spec": {"storage": spec},
        }))
        .unwrap();
        let disk = serde_json::from_value(json!({"spec": {
            "storageClassName": "local",
            "resources": {"requests": {"storage": "1Gi"}},
        }}))
        .unwrap();
        let node = serde_json::from_value(json!({
            "revision": 1, "instance": "i", "member": "demo-1", "id": 7, "cluster": "c", "pvcUid": "p",
            "phase": {"name": "open"}, "engine": null, "ready": true, "usedBytes": used,
        }))
        .unwrap();
        let member = Member {
            disk: Some(disk),
            node: Some(node),
            ..Member::default()
        };
        let growing = grows.then(|| "local".to_owned()).into_iter().collect();
        fit(
            &Wanted::check(&object, "node:1").unwrap(),
            &member,
            &growing,
        )
    }

    #[test]
    fn a_disk_fits_grows_or_is_replaced() {
        for (spec, grows, expected) in [
            (json!({"size": "1Gi"}), false, Fit::Fits),
            (
                json!({"size": "1024Mi", "className": "local"}),
                false,
                Fit::Fits,
            ),
            (json!({"size": "2Gi"}), true, Fit::Grows),
            (json!({"size": "2Gi"}), false, Fit::Misfit),
            (json!({"size": "512Mi"}), true, Fit::Misfit),
            (
                json!({"size": "1Gi", "className": "fast"}),
                true,
                Fit::Misfit,
            ),
        ] {
            assert_eq!(fit_of(spec.clone(), 1 << 20, grows), expected, "{spec}");
        }
    }

    #[test]
    fn a_disk_that_could_not_hold_the_data_is_never_made() {
        let used = 200 << 20;
        assert_eq!(fit_of(json!({"size": "512Mi"}), used, true), Fit::TooSmall);
        assert_eq!(fit_of(json!({"size": "700Mi"}), used, true), Fit::Misfit);
        assert_eq!(
            fit_of(json!({"size": "1Gi"}), 900 << 20, true),
            Fit::Fits,
            "as it is"
        );
    }
}
