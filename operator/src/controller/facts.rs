//! From what was read to what `decide` takes. Pure.

use k8s_openapi::{
    api::{apps::v1::StatefulSet, core::v1::Pod as KubePod},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use operator_api::{MOVE_ANNOTATION, REMOVED_LABEL};
use operator_plan::{
    Change, Entry, Facts, Node, NodePhase, NodeStatus, Object, Pod, Role, Seen, Server, Template,
};

use super::{
    disks,
    observe::{Member, Observed},
};
use crate::{
    objects::{self, SPEC_ANNOTATION, TEMPLATE_ANNOTATION},
    wanted::Wanted,
};

/// A member that should replicate and sends nothing for so long is silent.
const SILENT_MS: u64 = 60_000;

/// Everything that `decide` may know.
pub fn facts(wanted: &Wanted, observed: &Observed, change: Change) -> Facts {
    let record = observed.record.as_ref().map(|(_, memory)| memory);
    let seen = observed.members.iter().filter_map(|(n, member)| {
        let seen = seen(wanted, *n, member, observed, record);
        let marked_and_forgotten = record.is_some_and(|m| !m.record.members.contains_key(n))
            && seen.disk_marked
            && member.set.is_none();
        (!marked_and_forgotten).then_some((*n, seen))
    });
    Facts {
        spec: wanted.plan.clone(),
        record: record.map(|m| m.record.clone()),
        seen: seen.collect(),
        change,
    }
}

fn seen(
    wanted: &Wanted,
    n: u32,
    member: &Member,
    observed: &Observed,
    memory: Option<&objects::Memory>,
) -> Seen {
    let object = |meta: Option<&ObjectMeta>| {
        let Some(meta) = meta else {
            return Object::Absent;
        };
        let uid = meta.uid.clone().unwrap_or_default();
        if !objects::is_labelled(meta, &wanted.names) {
            Object::Foreign
        } else if objects::leaves(meta, &wanted.uid) {
            // What an earlier object of this name left is being deleted, and never adopted.
            Object::Deleting(uid)
        } else {
            Object::Present(uid)
        }
    };
    let cluster = memory.map(|m| m.cluster.as_str());
    let entry = memory.and_then(|m| m.record.members.get(&n));
    let desired = match (&member.set, entry, cluster) {
        (Some(_), Some(entry), Some(cluster)) => {
            let disk = entry.disk.clone().unwrap_or_default();
            Some(objects::set(wanted, cluster, n, entry.id, &disk))
        }
        _ => None,
    };
    let compared = |has: Option<&ObjectMeta>| {
        let (Some(has), Some(desired)) = (has, desired.as_ref().and_then(template)) else {
            return Template::Current;
        };
        compare(has, desired)
    };
    let set = member.set.as_ref();
    let told = |key: &str| {
        let annotations = set.and_then(|s| s.metadata.annotations.as_ref());
        annotations
            .and_then(|a| a.get(key))
            .is_some_and(|v| v != "false")
    };
    let marked = |meta: &ObjectMeta| {
        meta.labels
            .as_ref()
            .is_some_and(|l| l.get(REMOVED_LABEL).is_some_and(|v| v == "true"))
    };
    Seen {
        set: object(member.set.as_ref().map(|s| &s.metadata)),
        template: compared(set.and_then(template)),
        asleep: set.and_then(|s| s.spec.as_ref()?.replicas) == Some(0),
        unwanted: told(MOVE_ANNOTATION),
        disk: object(member.disk.as_ref().map(|d| &d.metadata)),
        disk_marked: member.disk.as_ref().is_some_and(|d| marked(&d.metadata)),
        fit: disks::fit(wanted, member, &observed.growing),
        pod: pod(member.pod.as_ref(), set),
        // What runs was made from the pod's template; that of its StatefulSet may be newer.
        runs: compared(
            member
                .pod
                .as_ref()
                .map(|p| &p.metadata)
                .or(set.and_then(template)),
        ),
        cordoned: member.on.cordoned,
        zone: member.on.zone.clone(),
        node: match (&member.node, entry) {
            (Some(said), Some(entry)) if speaks_for(said, cluster, entry) => Node::Says(node(said)),
            _ => Node::Unknown,
        },
    }
}

/// Whether a node is the member that is recorded. What another says, of an old pod say, is no news.
fn speaks_for(said: &node_api::Status, cluster: Option<&str>, entry: &Entry) -> bool {
    Some(said.cluster.as_str()) == cluster
        && said.id == entry.id
        && Some(&said.pvc_uid) == entry.disk.as_ref()
}

fn template(set: &StatefulSet) -> Option<&ObjectMeta> {
    set.spec.as_ref()?.template.metadata.as_ref()
}

fn annotation<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a String> {
    meta.annotations.as_ref()?.get(key)
}

/// One that does not say what it was made from is an older operator's.
fn compare(has: &ObjectMeta, desired: &ObjectMeta) -> Template {
    let differs = |key| annotation(has, key) != annotation(desired, key);
    if !differs(TEMPLATE_ANNOTATION) {
        Template::Current
    } else if differs(SPEC_ANNOTATION) && annotation(has, SPEC_ANNOTATION).is_some() {
        Template::Outdated
    } else {
        Template::Older
    }
}

/// A pod is stuck when nothing of it ever ran, and it was made from another template than its set has
/// now: a new one may do better.
fn pod(pod: Option<&KubePod>, set: Option<&StatefulSet>) -> Pod {
    let Some(pod) = pod else { return Pod::Absent };
    let statuses = pod
        .status
        .as_ref()
        .and_then(|s| s.container_statuses.as_deref());
    let unscheduled = pod.spec.as_ref().is_none_or(|s| s.node_name.is_none());
    // On a node, only the kubelet knows; before it has said so, it may be starting the process.
    let never_started = (unscheduled || statuses.is_some_and(|s| !s.is_empty()))
        && statuses.unwrap_or_default().iter().all(|c| {
            let state = c.state.as_ref();
            state.is_none_or(|s| s.running.is_none() && s.terminated.is_none())
                && c.last_state.as_ref().is_none_or(|s| s.terminated.is_none())
        });
    let uid = pod.metadata.uid.clone().unwrap_or_default();
    let made_from = |meta| annotation(meta, TEMPLATE_ANNOTATION);
    if pod.metadata.deletion_timestamp.is_some() {
        Pod::Ending
    } else if !never_started {
        Pod::Started(uid)
    } else if set.is_some_and(|set| template(set).and_then(made_from) != made_from(&pod.metadata)) {
        Pod::Stuck(uid)
    } else {
        Pod::Unstarted
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
        commit: status.raft.commit,
        followers: status.raft.peers.iter().map(|p| (p.id, p.last)).collect(),
        silent: status
            .raft
            .peers
            .iter()
            .filter(|p| p.silent_ms >= SILENT_MS)
            .map(|p| p.id)
            .collect(),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn pod_of(template: &str, state: serde_json::Value) -> KubePod {
        serde_json::from_value(serde_json::json!({
            "metadata": {"uid": "u", "annotations": {TEMPLATE_ANNOTATION: template}},
            "status": {"containerStatuses": [{
                "name": "dqlite", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                "state": state,
            }]},
        }))
        .unwrap()
    }

    fn set_of(template: &str) -> StatefulSet {
        serde_json::from_value(serde_json::json!({"spec": {
            "selector": {},
            "template": {"metadata": {"annotations": {TEMPLATE_ANNOTATION: template}}},
        }}))
        .unwrap()
    }

    /// Rule S8: what runs, or ever ran, is never deleted for its template's sake.
    #[test]
    fn only_a_pod_of_which_nothing_ever_ran_is_stuck() {
        let set = set_of("new");
        let see = |template, state| pod(Some(&pod_of(template, state)), Some(&set));
        let waiting = || serde_json::json!({"waiting": {"reason": "ErrImagePull"}});
        assert_eq!(see("old", waiting()), Pod::Stuck("u".into()));
        assert_eq!(see("new", waiting()), Pod::Unstarted);
        let started = || Pod::Started("u".into());
        assert_eq!(see("old", serde_json::json!({"running": {}})), started());
        let ended = serde_json::json!({"terminated": {"exitCode": 1}});
        assert_eq!(see("old", ended), started());
        let mut crashed = pod_of("old", serde_json::json!({"waiting": {}}));
        let status = &mut crashed
            .status
            .as_mut()
            .unwrap()
            .container_statuses
            .as_mut()
            .unwrap()[0];
        status.last_state =
            serde_json::from_value(serde_json::json!({"terminated": {"exitCode": 1}})).unwrap();
        assert_eq!(pod(Some(&crashed), Some(&set)), started());
        assert_eq!(pod(None, Some(&set)), Pod::Absent);
    }
}
