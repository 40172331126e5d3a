//! From what was read to what `decide` takes. Pure.

use k8s_openapi::{
    api::{apps::v1::StatefulSet, core::v1::Pod as KubePod},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use operator_api::REMOVED_LABEL;
use operator_plan::{Facts, Node, NodePhase, NodeStatus, Object, Pod, Role, Seen, Server};

use super::{
    Wanted,
    observe::{Member, Observed},
};
use crate::objects::{self, TEMPLATE_ANNOTATION};

/// Everything that `decide` may know.
pub fn facts(wanted: &Wanted, observed: &Observed) -> Facts {
    let record = observed.record.as_ref().map(|(_, memory)| memory);
    let seen = observed.members.iter().filter_map(|(n, member)| {
        let seen = seen(
            wanted,
            record.map(|m| m.cluster.as_str()),
            *n,
            member,
            record,
        );
        let marked_and_forgotten =
            record.is_some_and(|m| !m.record.members.contains_key(n)) && seen.disk_marked;
        (!marked_and_forgotten).then_some((*n, seen))
    });
    Facts {
        spec: wanted.plan.clone(),
        record: record.map(|m| m.record.clone()),
        seen: seen.collect(),
    }
}

fn seen(
    wanted: &Wanted,
    cluster: Option<&str>,
    n: u32,
    member: &Member,
    memory: Option<&objects::Memory>,
) -> Seen {
    let object = |meta: Option<&ObjectMeta>| {
        let Some(meta) = meta else {
            return Object::Absent;
        };
        let uid = meta.uid.clone().unwrap_or_default();
        let deleting = meta.deletion_timestamp.is_some();
        if objects::is_labelled(meta, &wanted.names) && deleting {
            // Perhaps what an earlier object of this name left: it goes, and is never adopted.
            Object::Deleting(uid)
        } else if objects::is_ours(meta, &wanted.names, &wanted.uid) {
            Object::Present(uid)
        } else {
            Object::Foreign
        }
    };
    let entry = memory.and_then(|m| m.record.members.get(&n));
    let set_outdated = match (&member.set, entry, cluster) {
        (Some(set), Some(entry), Some(cluster)) => {
            let disk = entry.disk.clone().unwrap_or_default();
            let desired = objects::set(wanted, cluster, n, entry.id, &disk);
            template(&desired) != template(set)
        }
        _ => false,
    };
    let marked = |meta: &ObjectMeta| {
        meta.labels
            .as_ref()
            .is_some_and(|l| l.get(REMOVED_LABEL).is_some_and(|v| v == "true"))
    };
    Seen {
        set: object(member.set.as_ref().map(|s| &s.metadata)),
        set_outdated,
        disk: object(member.disk.as_ref().map(|d| &d.metadata)),
        disk_marked: member.disk.as_ref().is_some_and(|d| marked(&d.metadata)),
        pod: pod(member.pod.as_ref(), member.set.as_ref()),
        node: member
            .node
            .as_ref()
            .filter(|s| Some(s.cluster.as_str()) == cluster)
            .map_or(Node::Unknown, |status| Node::Says(node(status))),
    }
}

fn template(set: &StatefulSet) -> Option<&String> {
    set.spec
        .as_ref()?
        .template
        .metadata
        .as_ref()?
        .annotations
        .as_ref()?
        .get(TEMPLATE_ANNOTATION)
}

/// A pod is stuck when it cannot start, and was made from another template than its set has now: a
/// new one may do better, and this one has never run anything.
fn pod(pod: Option<&KubePod>, set: Option<&StatefulSet>) -> Pod {
    let Some(pod) = pod else { return Pod::Absent };
    let annotations = pod.metadata.annotations.as_ref();
    let made_from = annotations.and_then(|a| a.get(TEMPLATE_ANNOTATION));
    let outdated = set.is_some_and(|set| template(set) != made_from);
    let statuses = pod
        .status
        .as_ref()
        .and_then(|s| s.container_statuses.as_deref());
    let never_started = statuses.unwrap_or_default().iter().all(|c| {
        let state = c.state.as_ref();
        state.is_none_or(|s| s.running.is_none() && s.terminated.is_none())
            && c.last_state.as_ref().is_none_or(|s| s.terminated.is_none())
    });
    if outdated && never_started && pod.metadata.deletion_timestamp.is_none() {
        Pod::Stuck(pod.metadata.uid.clone().unwrap_or_default())
    } else {
        Pod::Present
    }
}

fn node(status: &node_api::Status) -> NodeStatus {
    let view = status.engine.clone().unwrap_or_default();
    NodeStatus {
        instance: status.instance.clone(),
        phase: match &status.phase {
            node_api::Phase::Empty => NodePhase::Empty,
            node_api::Phase::Founding => NodePhase::Founding,
            node_api::Phase::Joining => NodePhase::Joining,
            node_api::Phase::Seeded => NodePhase::Seeded,
            node_api::Phase::Open => NodePhase::Open,
            node_api::Phase::Refused { reason } => NodePhase::Refused(reason.clone()),
        },
        leader: view.leader,
        servers: view
            .members
            .iter()
            .map(|m| Server {
                id: m.id,
                role: match m.role {
                    node_api::Role::Voter => Role::Voter,
                    node_api::Role::Standby => Role::Standby,
                    node_api::Role::Spare => Role::Spare,
                },
            })
            .collect(),
    }
}
