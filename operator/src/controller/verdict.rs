//! What a decision, or a failure, means to people: one state, one reason, one sentence. Pure.

use k8s_openapi::api::core::v1::Pod;
use operator_api::{Names, conditions::reason};
use operator_plan::{Reason, Step};

use super::{
    observe::Observed,
    support::{Leaves, NameTaken},
};
use crate::wanted::Wanted;

/// Why a pass ended as it did, in words for people.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    pub state: State,
    pub reason: &'static str,
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Ready,
    /// As the user wants it, and no member serves.
    Resting,
    /// Not looked at yet.
    Unknown,
    Reconciling,
    Stalled,
}

/// The same, of an object whose operator only looks on.
pub fn paused(seen: Verdict) -> Verdict {
    let what = match seen.state {
        State::Ready => return seen,
        _ => seen.message,
    };
    verdict(
        State::Resting,
        reason::PAUSED,
        format!("spec.paused: the operator changes nothing. Without it: {what}"),
    )
}

fn verdict(state: State, reason: &'static str, message: impl Into<String>) -> Verdict {
    Verdict {
        state,
        reason,
        message: message.into(),
    }
}

/// A pass that could not even begin: the object breaks a rule, or a name is taken.
pub fn stalled(reason: &'static str, message: impl Into<String>) -> Verdict {
    verdict(State::Stalled, reason, message)
}

/// A new object.
pub fn unseen() -> Verdict {
    verdict(State::Unknown, reason::NOT_OBSERVED, "not looked at yet")
}

/// A step that failed, and will be tried again.
pub fn failed(error: &anyhow::Error) -> Verdict {
    if let Some(taken) = error.downcast_ref::<NameTaken>() {
        return stalled(reason::NAME_TAKEN, taken.to_string());
    }
    if let Some(leaves) = error.downcast_ref::<Leaves>() {
        let reason = reason::WAITING_FOR_DELETION;
        return verdict(State::Reconciling, reason, leaves.to_string());
    }
    verdict(
        State::Reconciling,
        reason::STEP_FAILED,
        format!("{error:#}"),
    )
}

/// What a decision means.
pub fn explain(step: &Step, wanted: &Wanted, observed: &Observed) -> Verdict {
    let name = |n: &u32| wanted.names.member(*n);
    // What Kubernetes says of a pod explains a wait better than the wait itself.
    let waits = |reason, m: String| {
        problem(observed, &wanted.names).unwrap_or_else(|| verdict(State::Reconciling, reason, m))
    };
    match step {
        Step::Done => ready(observed, &wanted.names),
        Step::Stalled(why) => match why {
            Reason::NameTaken(n) => stalled(
                reason::NAME_TAKEN,
                format!(
                    "StatefulSet or PVC {0} exists and is not this cluster's: kubectl -n {1} get sts,pvc {0} --show-labels",
                    name(n),
                    wanted.names.namespace
                ),
            ),
            Reason::RecordMissing => stalled(
                reason::RECORD_MISSING,
                format!(
                    "members exist that ConfigMap {} does not know, or it is gone. Put it back from a backup; or, if their \
                     data is not needed, {}",
                    wanted.names.record(),
                    begin_anew(wanted)
                ),
            ),
            Reason::FounderLost(n) => stalled(
                reason::FOUNDER_LOST,
                format!(
                    "the disk of {} was lost, and no other member has a copy of the data: {}",
                    name(n),
                    begin_anew(wanted)
                ),
            ),
            Reason::FounderRefused(n, why) => stalled(
                reason::FOUNDER_REFUSED,
                format!(
                    "{} cannot found the cluster: {why}. If what is on its disk is not needed: kubectl -n {} delete pvc {}",
                    name(n),
                    wanted.names.namespace,
                    name(n)
                ),
            ),
            Reason::QuorumLost(lost) => stalled(
                reason::QUORUM_LOST,
                format!(
                    "the disks of {} are lost or not theirs, and the rest is no majority; nothing is \
                     touched until a person decides. Put the PVCs back with their volumes; or, if the \
                     data is not needed, {}",
                    wanted.names.members(lost.iter().copied()),
                    begin_anew(wanted)
                ),
            ),
            Reason::DiskTooSmall(n) => stalled(
                reason::DISK_TOO_SMALL,
                format!(
                    "spec.storage.size of {} must be at least three times what {} uses: a disk needs room \
                     for three snapshots and the log. No member is replaced",
                    wanted.spec.storage.size,
                    name(n)
                ),
            ),
            Reason::UnknownMember(id) => stalled(
                reason::UNKNOWN_MEMBER,
                format!(
                    "the cluster lists a member with id {id} that the operator never made. If nobody \
                     else made it on purpose, add the id to the list \"retired\" of the record, and the operator \
                     removes it: kubectl -n {} edit cm {}. Until then no vote moves",
                    wanted.names.namespace,
                    wanted.names.record()
                ),
            ),
            Reason::ChangeStuck => stalled(
                reason::CHANGE_STUCK,
                format!(
                    "a change of the membership does not end: not by itself, not under another leader, \
                     not with a new start of the leader's process. The log of the leader says more: \
                     kubectl -n {} logs -l {}={}",
                    wanted.names.namespace,
                    operator_api::CLUSTER_LABEL,
                    wanted.names.cluster
                ),
            ),
            other => stalled(reason::STEP_FAILED, format!("{other:?}")),
        },
        Step::Wait(why) => match why {
            Reason::MemberStarting(n) => {
                let m = format!("{} has not answered yet", name(n));
                waits(reason::MEMBER_STARTING, m)
            }
            Reason::WaitingForDeletion(n) => verdict(
                State::Reconciling,
                reason::WAITING_FOR_DELETION,
                format!("StatefulSet or PVC {} is being deleted", name(n)),
            ),
            Reason::NoLeader => waits(reason::NO_LEADER, "no member leads now".to_owned()),
            Reason::VoterDown(n) => {
                let m = format!(
                    "voter {} does not answer; no vote moves until it does",
                    name(n)
                );
                waits(reason::VOTER_DOWN, m)
            }
            Reason::Hibernated => verdict(
                State::Resting,
                reason::HIBERNATED,
                "spec.hibernated: no pod runs, every disk is kept",
            ),
            Reason::UpdateHeld(n) => {
                let m = format!(
                    "no other member is updated or replaced before {} is well",
                    name(n)
                );
                waits(reason::UPDATE_HELD, m)
            }
            Reason::ChangeRunning => verdict(
                State::Reconciling,
                reason::CHANGE_RUNNING,
                "a change of the membership is under way",
            ),
            Reason::ReplacementCatchingUp => {
                let m = "a member that leaves waits for the one that replaces it";
                waits(reason::CATCHING_UP, m.to_owned())
            }
            Reason::MemberSilent(n) => verdict(
                State::Reconciling,
                reason::MEMBER_SILENT,
                format!("{} has sent the leader nothing for a minute", name(n)),
            ),
            Reason::CatchingUp(n) => {
                let m = format!("{} has not caught up yet", name(n));
                waits(reason::CATCHING_UP, m)
            }
            // What runs is as it should be; only a pod that starts anew takes the new template.
            Reason::UpdatePending(_) => ready(observed, &wanted.names),
            other => verdict(
                State::Reconciling,
                reason::PROGRESSING,
                format!("{other:?}"),
            ),
        },
        Step::DeletePod(n, _) | Step::GrowDisk(n, _) => verdict(
            State::Reconciling,
            reason::UPDATING,
            format!("{} is being updated, one member after the other", name(n)),
        ),
        Step::CreateRecord | Step::RecordIntent(..) | Step::Found(_) | Step::RecordFounded => {
            verdict(
                State::Reconciling,
                reason::FOUNDING,
                "the cluster is being founded",
            )
        }
        other => verdict(
            State::Reconciling,
            reason::PROGRESSING,
            format!("next: {other:?}"),
        ),
    }
}

/// How an empty cluster takes the place of one that is lost.
fn begin_anew(wanted: &Wanted) -> String {
    let Names { cluster, namespace } = &wanted.names;
    let label = operator_api::CLUSTER_LABEL;
    format!(
        "begin anew with an empty cluster: kubectl -n {namespace} delete dq {cluster} && kubectl -n {namespace} delete pvc,cm \
         -l {label}={cluster}, then apply the object again"
    )
}

/// The members are well, and their Service does not lead to them yet.
pub fn unreached(wanted: &Wanted) -> Verdict {
    let service = wanted.names.leader();
    let m = format!("Service {service} does not lead to the leader yet");
    verdict(State::Reconciling, reason::SERVICE_STARTING, m)
}

/// The members say that all is well; Services lead to them once Kubernetes says so too.
fn ready(observed: &Observed, names: &Names) -> Verdict {
    let mut pods = observed.members.iter().filter(|(_, m)| m.pod.is_some());
    match pods.find(|(_, m)| !m.is_served()) {
        None => verdict(
            State::Ready,
            reason::ALL_MEMBERS_READY,
            "all members are ready",
        ),
        Some((n, _)) => verdict(
            State::Reconciling,
            reason::MEMBER_STARTING,
            format!(
                "Kubernetes does not call the pod of {} ready yet",
                names.member(*n)
            ),
        ),
    }
}

/// What Kubernetes says of a pod that does not start, in terms of the spec.
fn problem(observed: &Observed, names: &Names) -> Option<Verdict> {
    observed.members.iter().find_map(|(n, member)| {
        let name = names.member(*n);
        let (reason, message) = pod_problem(member.pod.as_ref()?, names, &name)?;
        let m = format!("{name}: {message}");
        Some(verdict(State::Reconciling, reason, m))
    })
}

fn pod_problem(pod: &Pod, names: &Names, member: &str) -> Option<(&'static str, String)> {
    let status = pod.status.as_ref()?;
    for container in status.container_statuses.iter().flatten() {
        let waiting = container.state.as_ref().and_then(|s| s.waiting.as_ref());
        let why = waiting
            .and_then(|w| w.reason.as_deref())
            .unwrap_or_default();
        let image = [
            "ErrImagePull",
            "ImagePullBackOff",
            "InvalidImageName",
            "ErrImageNeverPull",
        ];
        if image.contains(&why) {
            let image = pod
                .spec
                .as_ref()
                .and_then(|s| s.containers.first()?.image.clone());
            let image = image.unwrap_or_default();
            return Some((
                reason::IMAGE_NOT_FOUND,
                format!("spec.image {image} must be one that the nodes can pull ({why})"),
            ));
        }
    }
    let scheduled = status
        .conditions
        .iter()
        .flatten()
        .find(|c| c.type_ == "PodScheduled")?;
    if scheduled.status == "False" {
        let why = scheduled.message.clone().unwrap_or_default();
        // The volume is bound to a node that is gone, or cannot run pods.
        if why.contains("volume node affinity conflict")
            || why.contains("didn't match PersistentVolume")
        {
            let m = format!(
                "its disk is on a node that cannot run it now ({why}). If the node is gone for good, have \
                 another member take its place: kubectl -n {} delete pvc {member}",
                names.namespace
            );
            return Some((reason::DISK_UNREACHABLE, m));
        }
        return Some((reason::UNSCHEDULABLE, why));
    }
    None
}
