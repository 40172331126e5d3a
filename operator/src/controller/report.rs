//! report: the status of a cluster, from what was seen and decided. Pure.

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::Pod,
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
};
use operator_api::{
    BlockedBy, ClusterStatus, DqliteClusterStatus, MemberStatus, Names,
    conditions::{self, reason},
};
use operator_plan::{Facts, Reason, Record, Role, Step};

use super::{
    act::role_name,
    observe::{Member, Observed},
    support::NameTaken,
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
    Reconciling,
    Stalled,
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

/// A step that failed, and will be tried again.
pub fn failed(error: &anyhow::Error) -> Verdict {
    if let Some(taken) = error.downcast_ref::<NameTaken>() {
        return stalled(reason::NAME_TAKEN, taken.to_string());
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
    let problem = || problem(observed, &wanted.names);
    match step {
        Step::Done => verdict(
            State::Ready,
            reason::ALL_MEMBERS_READY,
            "all members are ready",
        ),
        Step::Stalled(why) => match why {
            Reason::NameTaken(n) => stalled(
                reason::NAME_TAKEN,
                format!(
                    "StatefulSet or PVC {} exists and is not this cluster's",
                    name(n)
                ),
            ),
            Reason::RecordMissing => stalled(
                reason::RECORD_MISSING,
                format!(
                    "members exist, but ConfigMap {} does not. Put it back from a backup; or, if their \
                     data is not needed, delete the object and its PVCs and apply it again",
                    wanted.names.record()
                ),
            ),
            Reason::FounderLost(n) => stalled(
                reason::FOUNDER_LOST,
                format!(
                    "the disk of {} was lost, and no other member has a copy of the data. To begin \
                     anew with an empty cluster, delete the object, its PVCs and ConfigMap {}, and \
                     apply it again",
                    name(n),
                    wanted.names.record()
                ),
            ),
            Reason::FounderRefused(n, why) => stalled(
                reason::FOUNDER_REFUSED,
                format!(
                    "{} cannot found the cluster: {why}; delete its PVC",
                    name(n)
                ),
            ),
            Reason::QuorumLost => stalled(
                reason::QUORUM_LOST,
                "the disks of so many members are lost that the rest is no majority; no data is \
                 touched until a person decides",
            ),
            Reason::UnknownMember(id) => stalled(
                reason::UNKNOWN_MEMBER,
                format!("the cluster lists a member with id {id} that the operator never made"),
            ),
            other => stalled(reason::STEP_FAILED, format!("{other:?}")),
        },
        Step::Wait(why) => match why {
            Reason::MemberStarting(n) => problem().unwrap_or_else(|| {
                let m = format!("{} has not answered yet", name(n));
                verdict(State::Reconciling, reason::MEMBER_STARTING, m)
            }),
            Reason::WaitingForDeletion(n) => verdict(
                State::Reconciling,
                reason::WAITING_FOR_DELETION,
                format!("StatefulSet or PVC {} is being deleted", name(n)),
            ),
            Reason::NoLeader => problem().unwrap_or_else(|| {
                verdict(State::Reconciling, reason::NO_LEADER, "no member leads now")
            }),
            Reason::VoterDown(n) => problem().unwrap_or_else(|| {
                let m = format!(
                    "voter {} does not answer; no vote moves until it does",
                    name(n)
                );
                verdict(State::Reconciling, reason::VOTER_DOWN, m)
            }),
            Reason::ReplacementCatchingUp => problem().unwrap_or_else(|| {
                let m = "a member that leaves waits for the one that replaces it";
                verdict(State::Reconciling, reason::CATCHING_UP, m)
            }),
            Reason::CatchingUp(n) => problem().unwrap_or_else(|| {
                let m = format!("{} has not caught up yet", name(n));
                verdict(State::Reconciling, reason::CATCHING_UP, m)
            }),
            // What runs is as it should be; only a pod that starts anew takes the new template.
            Reason::UpdatePending(_) => verdict(
                State::Ready,
                reason::ALL_MEMBERS_READY,
                "all members are ready",
            ),
            other => verdict(
                State::Reconciling,
                reason::PROGRESSING,
                format!("{other:?}"),
            ),
        },
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

/// What Kubernetes says of a pod that does not start, in terms of the spec.
fn problem(observed: &Observed, names: &Names) -> Option<Verdict> {
    observed.members.iter().find_map(|(n, member)| {
        let (reason, message) = pod_problem(member.pod.as_ref()?)?;
        Some(verdict(
            State::Reconciling,
            reason,
            format!("{}: {message}", names.member(*n)),
        ))
    })
}

fn pod_problem(pod: &Pod) -> Option<(&'static str, String)> {
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
        return Some((
            reason::UNSCHEDULABLE,
            scheduled.message.clone().unwrap_or_default(),
        ));
    }
    None
}

/// The whole status. Times move only when what they belong to changes.
pub fn status(
    wanted: &Wanted,
    observed: &Observed,
    facts: &Facts,
    verdict: &Verdict,
    old: &DqliteClusterStatus,
    now: Timestamp,
) -> DqliteClusterStatus {
    let empty = Record::default();
    let record = facts.record.as_ref().unwrap_or(&empty);
    let leader = facts.leader();
    let member_list: Vec<_> = record
        .members
        .iter()
        .filter(|(_, entry)| !entry.removed)
        .map(|(n, entry)| {
            let role = leader.and_then(|(_, l)| l.role_of(entry.id));
            let seen = observed.members.get(n).cloned().unwrap_or_default();
            member(wanted, *n, entry.id, role, &seen, old, now)
        })
        .collect();
    let voters: Vec<_> = leader
        .map(|(_, l)| {
            l.servers
                .iter()
                .filter(|s| s.role == Role::Voter)
                .map(|s| s.id)
                .collect()
        })
        .unwrap_or_default();
    let up = member_list
        .iter()
        .filter(|m| m.role.as_deref() == Some("voter") && m.ready)
        .count();
    let quorum = voters.len() / 2 + 1;
    let ready = member_list.iter().filter(|m| m.ready).count();
    let updates = facts
        .seen
        .iter()
        .filter(|(_, seen)| seen.outdated)
        .map(|(n, _)| *n);
    let updates: Vec<_> = updates.map(|n| wanted.names.member(n)).collect();
    let set = Conditions {
        old: &old.conditions,
        generation: wanted.generation,
        now,
    };
    DqliteClusterStatus {
        observed_generation: wanted.generation,
        cluster: observed.record.as_ref().map(|(_, memory)| ClusterStatus {
            id: memory.cluster.clone(),
            founded: memory.record.founded,
        }),
        members: count(member_list.len()),
        ready_members: count(ready),
        voters: count(voters.len()),
        leader: leader.map(|(n, _)| wanted.names.member(n)),
        can_lose: if leader.is_some() {
            count(up.saturating_sub(quorum))
        } else {
            0
        },
        selector: Some(wanted.names.selector()),
        conditions: set.all(
            verdict,
            leader.is_some() && up >= quorum,
            up == voters.len(),
            &updates,
        ),
        blocked_by: blocked(wanted, verdict, old, now),
        member_list,
    }
}

/// The status of an object that breaks a rule: what runs is left as it was, and said to be so.
pub fn with_verdict(
    old: &DqliteClusterStatus,
    verdict: &Verdict,
    generation: Option<i64>,
    now: Timestamp,
) -> DqliteClusterStatus {
    let set = Conditions {
        old: &old.conditions,
        generation,
        now,
    };
    let kept = [conditions::AVAILABLE, conditions::QUORUM_HEALTHY];
    let mut conditions: Vec<_> = old
        .conditions
        .iter()
        .filter(|c| kept.contains(&c.type_.as_str()))
        .cloned()
        .collect();
    let Verdict {
        reason, message, ..
    } = verdict;
    conditions.push(set.one(conditions::READY, false, reason, message));
    conditions.push(set.one(conditions::STALLED, true, reason, message));
    DqliteClusterStatus {
        observed_generation: generation,
        conditions,
        ..old.clone()
    }
}

fn count(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

fn member(
    wanted: &Wanted,
    n: u32,
    id: u64,
    role: Option<Role>,
    seen: &Member,
    old: &DqliteClusterStatus,
    now: Timestamp,
) -> MemberStatus {
    let name = wanted.names.member(n);
    let ready = seen.node.as_ref().is_some_and(|s| s.ready) && role.is_some();
    let reason = match &seen.node {
        _ if ready => None,
        None => Some("Unknown".to_owned()),
        Some(status) => Some(match &status.phase {
            node_api::Phase::Refused { reason } => format!("Refused: {reason}"),
            other => format!("{other:?}"),
        }),
    };
    let before = old.member_list.iter().find(|m| m.name == name);
    let since = before
        .filter(|m| m.ready == ready)
        .and_then(|m| m.since.clone());
    MemberStatus {
        id: id.to_string(),
        role: role.map(|r| role_name(r).to_owned()),
        address: wanted.names.address(n),
        ready,
        reason,
        since: since.or(Some(Time(now))),
        name,
    }
}

/// A wait is worth a line once it lasts.
const WORTH_A_LINE: i64 = 60;

fn blocked(
    wanted: &Wanted,
    verdict: &Verdict,
    old: &DqliteClusterStatus,
    now: Timestamp,
) -> Option<BlockedBy> {
    if verdict.state == State::Ready {
        return None;
    }
    let since = old
        .conditions
        .iter()
        .find(|c| c.type_ == conditions::READY && c.reason == verdict.reason)
        .map_or(now, |c| c.last_transition_time.0);
    if now.as_second() - since.as_second() < WORTH_A_LINE {
        return None;
    }
    let who_acts = match (verdict.state, verdict.reason) {
        (State::Stalled, _) | (_, reason::IMAGE_NOT_FOUND | reason::UNSCHEDULABLE) => "user",
        (_, reason::MEMBER_STARTING | reason::VOTER_DOWN | reason::WAITING_FOR_DELETION) => {
            "kubernetes"
        }
        _ => "operator",
    };
    let names = &wanted.names;
    let next_command = format!(
        "kubectl -n {} describe pods -l {}={}",
        names.namespace,
        operator_api::CLUSTER_LABEL,
        names.cluster
    );
    let what = verdict.message.clone();
    Some(BlockedBy {
        what,
        since: Time(since),
        who_acts: who_acts.into(),
        next_command,
    })
}

struct Conditions<'a> {
    old: &'a [Condition],
    generation: Option<i64>,
    now: Timestamp,
}

impl Conditions<'_> {
    fn all(
        &self,
        verdict: &Verdict,
        available: bool,
        quorum_healthy: bool,
        updates: &[String],
    ) -> Vec<Condition> {
        let Verdict {
            state,
            reason,
            message,
        } = verdict;
        let ready = *state == State::Ready;
        let mut all = vec![
            self.one(conditions::READY, ready, reason, message),
            if available {
                self.one(
                    conditions::AVAILABLE,
                    true,
                    reason::LEADER_ELECTED,
                    "takes writes",
                )
            } else {
                let m = "no leader that a majority of the voters follows";
                self.one(conditions::AVAILABLE, false, reason::NO_LEADER, m)
            },
            if available && quorum_healthy {
                self.one(conditions::QUORUM_HEALTHY, true, reason::ALL_VOTERS_UP, "")
            } else {
                self.one(conditions::QUORUM_HEALTHY, false, reason::VOTER_DOWN, "")
            },
        ];
        match state {
            State::Ready => {}
            State::Reconciling => {
                all.push(self.one(conditions::RECONCILING, true, reason, message));
            }
            State::Stalled => all.push(self.one(conditions::STALLED, true, reason, message)),
        }
        if !updates.is_empty() {
            let m = format!("runs from an older template: {}", updates.join(", "));
            all.push(self.one(
                conditions::UPDATE_PENDING,
                true,
                reason::TEMPLATE_CHANGED,
                &m,
            ));
        }
        all
    }

    /// `lastTransitionTime` moves with the status; for Ready also with the reason, which people read
    /// as "since when".
    fn one(&self, type_: &str, is: bool, reason: &str, message: &str) -> Condition {
        let status = if is { "True" } else { "False" };
        let same = self
            .old
            .iter()
            .find(|c| c.type_ == type_ && c.status == status && (is || c.reason == reason));
        Condition {
            type_: type_.into(),
            status: status.into(),
            reason: reason.into(),
            message: message.chars().take(1024).collect(),
            observed_generation: self.generation,
            last_transition_time: same.map_or(Time(self.now), |c| c.last_transition_time.clone()),
        }
    }
}
