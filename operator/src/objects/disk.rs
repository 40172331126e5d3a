//! A member's PVC. Made by the operator and not by a claim template, so that it is there, with its
//! uid, before anything can run on it.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements},
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta},
};

use super::kept;
use crate::wanted::Wanted;

/// The PVC of member `n`.
pub fn disk(wanted: &Wanted, n: u32) -> PersistentVolumeClaim {
    let storage = &wanted.spec.storage;
    let size = BTreeMap::from([("storage".to_owned(), Quantity(storage.size.clone()))]);
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            labels: Some(wanted.names.member_labels(n)),
            ..kept(wanted, wanted.names.member(n))
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".into()]),
            storage_class_name: storage.class_name.clone(),
            resources: Some(VolumeResourceRequirements {
                requests: Some(size),
                limits: None,
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    }
}
