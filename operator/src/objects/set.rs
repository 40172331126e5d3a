//! A member's StatefulSet: one replica, that names the PVC by uid.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        apps::v1::{StatefulSet, StatefulSetSpec, StatefulSetUpdateStrategy},
        core::v1::*,
    },
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{LabelSelector, ObjectMeta},
        util::intstr::IntOrString,
    },
};
use node_api::{ADMIN_PORT, FRONT_PORT, HEALTH_PORT, LEADER_PORT, env};

use sha2::{Digest, Sha256};

use super::owned;
use crate::wanted::Wanted;

/// Hash of the pod that the operator makes, on the template: tells whether it would make it so today.
pub const TEMPLATE_ANNOTATION: &str = "dqlite.io/template";
/// Hash of the spec's part in it: only when that changes are pods replaced, not when the operator does.
pub const SPEC_ANNOTATION: &str = "dqlite.io/spec";
/// The image's user; the volume is its group's.
const USER: i64 = 10001;

/// The StatefulSet of member `n`, whose id and disk are recorded.
pub fn set(wanted: &Wanted, cluster: &str, n: u32, id: u64, disk: &str) -> StatefulSet {
    let labels = wanted.names.member_labels(n);
    let template = template(wanted, cluster, n, id, disk);
    StatefulSet {
        metadata: ObjectMeta {
            labels: Some(labels.clone()),
            ..owned(wanted, wanted.names.member(n))
        },
        spec: Some(StatefulSetSpec {
            replicas: Some(i32::from(!wanted.spec.hibernated)),
            service_name: Some(wanted.names.nodes()),
            // The operator says when a pod goes, not the StatefulSet's controller.
            pod_management_policy: Some("Parallel".into()),
            update_strategy: Some(StatefulSetUpdateStrategy {
                type_: Some("OnDelete".into()),
                rolling_update: None,
            }),
            selector: LabelSelector {
                match_labels: Some(labels),
                match_expressions: None,
            },
            template,
            ..StatefulSetSpec::default()
        }),
        status: None,
    }
}

fn template(wanted: &Wanted, cluster: &str, n: u32, id: u64, disk: &str) -> PodTemplateSpec {
    let pod = pod(wanted, cluster, n, id, disk);
    let extra = wanted.spec.pod_metadata.clone().unwrap_or_default();
    let mut labels = extra.labels;
    labels.extend(wanted.names.member_labels(n));
    let mut annotations = extra.annotations;
    annotations.insert(
        TEMPLATE_ANNOTATION.into(),
        hash(&(&pod, &labels, &annotations)),
    );
    annotations.insert(SPEC_ANNOTATION.into(), hash(&said(wanted)));
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        }),
        spec: Some(pod),
    }
}

/// What the user says of a pod. An image that is not named is the operator's affair.
fn said(wanted: &Wanted) -> impl serde::Serialize {
    let spec = &wanted.spec;
    (
        spec.image.clone(),
        spec.resources.clone(),
        spec.network_latency,
        spec.snapshot.clone(),
        spec.scheduling.clone(),
        spec.pod_metadata.clone(),
    )
}

/// Equal for equal templates, whatever built them.
fn hash<T: serde::Serialize>(template: &T) -> String {
    let text = serde_json::to_vec(template).unwrap_or_default();
    Sha256::digest(text)
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn pod(wanted: &Wanted, cluster: &str, n: u32, id: u64, disk: &str) -> PodSpec {
    let names = &wanted.names;
    let scheduling = wanted.spec.scheduling.clone().unwrap_or_default();
    PodSpec {
        service_account_name: Some(names.nodes()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        // Longer than the node takes to hand leadership over.
        termination_grace_period_seconds: Some(30),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            fs_group: Some(USER),
            fs_group_change_policy: Some("OnRootMismatch".into()),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".into(),
                localhost_profile: None,
            }),
            ..PodSecurityContext::default()
        }),
        affinity: Some(scheduling.affinity.unwrap_or_else(|| apart(wanted))),
        tolerations: some(scheduling.tolerations),
        node_selector: Some(scheduling.node_selector).filter(|s| !s.is_empty()),
        topology_spread_constraints: some(scheduling.topology_spread),
        priority_class_name: scheduling.priority_class_name,
        containers: vec![container(wanted, cluster, n, id, disk)],
        volumes: Some(vec![
            Volume {
                name: "data".into(),
                persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                    claim_name: names.member(n),
                    read_only: None,
                }),
                ..Volume::default()
            },
            Volume {
                name: "token".into(),
                secret: Some(SecretVolumeSource {
                    secret_name: Some(names.token()),
                    default_mode: Some(0o440),
                    ..SecretVolumeSource::default()
                }),
                ..Volume::default()
            },
        ]),
        ..PodSpec::default()
    }
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    Some(list).filter(|l| !l.is_empty())
}

/// Members on different nodes and in different zones, where there are enough.
fn apart(wanted: &Wanted) -> Affinity {
    let ours = BTreeMap::from([(
        operator_api::CLUSTER_LABEL.to_owned(),
        wanted.names.cluster.clone(),
    )]);
    let apart = |topology: &str| WeightedPodAffinityTerm {
        weight: 100,
        pod_affinity_term: PodAffinityTerm {
            label_selector: Some(LabelSelector {
                match_labels: Some(ours.clone()),
                match_expressions: None,
            }),
            topology_key: topology.into(),
            ..PodAffinityTerm::default()
        },
    };
    Affinity {
        pod_anti_affinity: Some(PodAntiAffinity {
            preferred_during_scheduling_ignored_during_execution: Some(vec![
                apart("kubernetes.io/hostname"),
                apart("topology.kubernetes.io/zone"),
            ]),
            ..PodAntiAffinity::default()
        }),
        ..Affinity::default()
    }
}

fn container(wanted: &Wanted, cluster: &str, n: u32, id: u64, disk: &str) -> Container {
    let port = |name: &str, port: u16| ContainerPort {
        name: Some(name.into()),
        container_port: port.into(),
        ..ContainerPort::default()
    };
    let mount = |name: &str, path: &str, read_only| VolumeMount {
        name: name.into(),
        mount_path: path.into(),
        read_only,
        ..VolumeMount::default()
    };
    Container {
        name: "dqlite".into(),
        image: Some(wanted.image.clone()),
        image_pull_policy: Some("IfNotPresent".into()),
        env: Some(environment(wanted, cluster, n, id, disk)),
        ports: Some(vec![
            port("dqlite", FRONT_PORT),
            port("leader", LEADER_PORT),
            port("admin", ADMIN_PORT),
            port("health", HEALTH_PORT),
        ]),
        volume_mounts: Some(vec![
            mount("data", "/data", None),
            mount("token", "/etc/dqlite", Some(true)),
        ]),
        resources: Some(
            wanted
                .spec
                .resources
                .clone()
                .unwrap_or_else(|| ResourceRequirements {
                    requests: Some(BTreeMap::from([
                        ("cpu".to_owned(), Quantity("50m".into())),
                        ("memory".to_owned(), Quantity("64Mi".into())),
                    ])),
                    ..ResourceRequirements::default()
                }),
        ),
        // Loading a large database takes a while; after that silence means death.
        startup_probe: Some(probe("/livez", 1, 600)),
        liveness_probe: Some(probe("/livez", 10, 3)),
        readiness_probe: Some(probe("/readyz", 1, 2)),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            run_as_non_root: Some(true),
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".into()]),
                add: None,
            }),
            ..SecurityContext::default()
        }),
        ..Container::default()
    }
}

fn probe(path: &str, period: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.into()),
            port: IntOrString::String("health".into()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period),
        failure_threshold: Some(failures),
        timeout_seconds: Some(2),
        ..Probe::default()
    }
}

fn environment(wanted: &Wanted, cluster: &str, n: u32, id: u64, disk: &str) -> Vec<EnvVar> {
    let names = &wanted.names;
    let var = |name: &str, value: String| EnvVar {
        name: name.into(),
        value: Some(value),
        value_from: None,
    };
    let mut vars = vec![
        var(env::CLUSTER, cluster.to_owned()),
        var(env::MEMBER, names.member(n)),
        var(env::ID, id.to_string()),
        var(env::ADDRESS, names.address(n)),
        var(env::PVC_UID, disk.to_owned()),
        var(env::LEADER_ADDRESS, names.leader_address()),
        // The engine's SQL, snapshots and connections share these threads.
        var("UV_THREADPOOL_SIZE", "16".into()),
        EnvVar {
            name: env::POD_UID.into(),
            value: None,
            value_from: Some(EnvVarSource {
                field_ref: Some(ObjectFieldSelector {
                    field_path: "metadata.uid".into(),
                    api_version: None,
                }),
                ..EnvVarSource::default()
            }),
        },
    ];
    if let Some(latency) = wanted.spec.network_latency {
        vars.push(var(env::LATENCY_MS, latency.to_string()));
    }
    if let Some(snapshot) = &wanted.spec.snapshot {
        vars.push(var(env::SNAPSHOT_THRESHOLD, snapshot.threshold.to_string()));
        vars.push(var(env::SNAPSHOT_TRAILING, snapshot.trailing.to_string()));
    }
    vars
}
