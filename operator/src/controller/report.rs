//! report: the status of a cluster, from what was seen and decided. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use operator_api::{
    BlockedBy, ClusterStatus, DqliteClusterStatus, MemberStatus, RaftStatus,
    conditions::{self, reason},
};
use operator_plan::{Facts, Number, Record, Role, lost_disks};

use super::{
    conditions::{Conditions, LostDisk},
    observe::{Member, Observed},
    verdict::{State, Verdict},
};
use crate::wanted::Wanted;

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
    let set = Conditions {
        old: &old.conditions,
        generation: wanted.generation,
        now,
    };
    let mut all = set.all(
        verdict,
        leader.is_some() && up >= quorum,
        up == voters.len(),
        &wanted.names,
        &lost(wanted, observed, facts),
    );
    all.extend(set.spread(&wanted.names, facts, &observed.zones));
    all.extend(set.update(wanted, facts));
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
        conditions: all,
        raft: leader.and_then(|(n, _)| raft(wanted, n, observed, facts, old, now)),
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
    let kept = [
        conditions::AVAILABLE,
        conditions::QUORUM_HEALTHY,
        conditions::STORAGE_HEALTHY,
        conditions::VOTERS_SPREAD,
    ];
    let mut conditions: Vec<_> = old
        .conditions
        .iter()
        .filter(|c| kept.contains(&c.type_.as_str()))
        .cloned()
        .collect();
    conditions.push(set.ready(verdict));
    conditions.extend(set.state(verdict));
    DqliteClusterStatus {
        observed_generation: generation,
        conditions,
        ..old.clone()
    }
}

/// Indices move with every write of a client: no reason to write a status more often than that.
const INDICES_EVERY: i64 = 10;

fn raft(
    wanted: &Wanted,
    leader: Number,
    observed: &Observed,
    facts: &Facts,
    old: &DqliteClusterStatus,
    now: Timestamp,
) -> Option<RaftStatus> {
    let said = &observed.members.get(&leader)?.node.as_ref()?.raft;
    let index = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let record = facts.record.as_ref()?;
    let followers = said.peers.iter().filter_map(|peer| {
        let name = wanted.names.member(record.by_id(peer.id)?);
        (peer.last > 0).then_some((name, index(peer.last)))
    });
    let new = RaftStatus {
        term: index(said.term),
        commit: index(said.commit),
        followers: followers.collect(),
        observed_at: Time(now),
    };
    let lately = |before: &RaftStatus| {
        let age = now.as_second() - before.observed_at.0.as_second();
        before.term == new.term && age < INDICES_EVERY
    };
    let same = |before: &RaftStatus| {
        (before.term, before.commit, &before.followers) == (new.term, new.commit, &new.followers)
    };
    let before = old.raft.as_ref().filter(|old| lately(old) || same(old));
    // A leader alone sends nothing to anybody that would tell.
    before.cloned().or(Some(new)).filter(|raft| raft.commit > 0)
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
    // Services lead only to pods that Kubernetes calls ready.
    let ready = seen.is_served() && role.is_some() && seen.node.as_ref().is_some_and(|s| s.ready);
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
        role: role.map(|r| r.name().to_owned()),
        address: wanted.names.address(n),
        ready,
        reason,
        since: since.or(Some(Time(now))),
        name,
    }
}

fn lost(wanted: &Wanted, observed: &Observed, facts: &Facts) -> Vec<LostDisk> {
    let node = |n: &Number| observed.members.get(n)?.node.as_ref();
    let refused = |n: &Number| match &node(n)?.phase {
        node_api::Phase::Refused { reason } => Some(reason.clone()),
        _ => None,
    };
    let lost = lost_disks(facts).into_iter();
    lost.map(|n| LostDisk {
        member: wanted.names.member(n),
        refused: refused(&n),
    })
    .collect()
}

/// A wait is worth a line once it lasts.
const WORTH_A_LINE: i64 = 60;

fn blocked(
    wanted: &Wanted,
    verdict: &Verdict,
    old: &DqliteClusterStatus,
    now: Timestamp,
) -> Option<BlockedBy> {
    if !matches!(verdict.state, State::Reconciling | State::Stalled) {
        return None;
    }
    let since = ready_condition(old)
        .filter(|c| c.reason == verdict.reason)
        .map_or(now, |c| c.last_transition_time.0);
    if now.as_second() - since.as_second() < WORTH_A_LINE {
        return None;
    }
    let who_acts = match (verdict.state, verdict.reason) {
        (State::Stalled, _)
        | (_, reason::IMAGE_NOT_FOUND | reason::UNSCHEDULABLE | reason::DISK_UNREACHABLE) => "user",
        (_, reason::MEMBER_STARTING | reason::VOTER_DOWN | reason::WAITING_FOR_DELETION) => {
            "kubernetes"
        }
        _ => "operator",
    };
    let names = &wanted.names;
    let selector = format!("-l {}={}", operator_api::CLUSTER_LABEL, names.cluster);
    let next = match verdict.reason {
        reason::NAME_TAKEN | reason::WAITING_FOR_DELETION => {
            "get svc,sts,pvc,cm,secret,sa,pdb --show-labels".to_owned()
        }
        reason::RECORD_MISSING => format!("get cm {}", names.record()),
        reason::QUORUM_LOST | reason::FOUNDER_LOST | reason::DISK_TOO_SMALL => {
            format!("get pvc {selector} -o wide")
        }
        reason::NO_LEADER | reason::CHANGE_STUCK | reason::UNKNOWN_MEMBER => {
            format!("logs {selector} --prefix --tail=50")
        }
        _ => format!("describe pods {selector}"),
    };
    let next_command = format!("kubectl -n {} {next}", names.namespace);
    let what = verdict.message.clone();
    Some(BlockedBy {
        what,
        since: Time(since),
        who_acts: who_acts.into(),
        next_command,
    })
}

fn ready_condition(status: &DqliteClusterStatus) -> Option<&Condition> {
    let conditions = &status.conditions;
    conditions.iter().find(|c| c.type_ == conditions::READY)
}

/// Whether a status says Ready.
pub fn is_ready(status: Option<&DqliteClusterStatus>) -> bool {
    let ready = status.and_then(ready_condition);
    ready.is_some_and(|c| c.status == "True")
}

/// The reason of condition Ready.
pub fn reason_of(status: &DqliteClusterStatus) -> Option<&str> {
    ready_condition(status).map(|c| c.reason.as_str())
}
