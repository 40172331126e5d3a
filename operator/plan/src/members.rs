//! Who is wanted, who is lost, who leaves; and the objects of each.

use crate::{
    Entry, Facts, Fit, NodePhase, Number, Object, Pod, Reason, Record, Role, Seen, Spec, Step,
    Template, updates,
    votes::{Votes, serves},
    zones,
};

/// Something stands in the way that is not ours to move.
pub(crate) fn obstacle(facts: &Facts, record: &Record) -> Option<Step> {
    for n in record.members.keys() {
        let seen = facts.member(*n);
        if seen.set == Object::Foreign || seen.disk == Object::Foreign {
            return Some(Step::Stalled(Reason::NameTaken(*n)));
        }
    }
    for (n, _) in record.kept() {
        if matches!(facts.member(n).set, Object::Deleting(_)) {
            return Some(Step::Wait(Reason::WaitingForDeletion(n)));
        }
    }
    None
}

/// Whether the PVC that was recorded for a member exists no more.
pub(crate) fn disk_is_lost(facts: &Facts, record: &Record, n: Number) -> bool {
    let Some(recorded) = record.members.get(&n).and_then(|e| e.disk.as_ref()) else {
        return false;
    };
    match facts.member(n).disk {
        Object::Present(uid) | Object::Deleting(uid) => uid != *recorded,
        Object::Absent | Object::Foreign => true,
    }
}

/// Whether a member's disk is lost for good, or holds what is not the member's. Silence is neither.
pub(crate) fn is_lost(facts: &Facts, record: &Record, n: Number) -> bool {
    if disk_is_lost(facts, record, n) {
        return true;
    }
    let Some(entry) = record.members.get(&n) else {
        return false;
    };
    let Some(node) = facts.node(n) else {
        return false;
    };
    match &node.phase {
        NodePhase::Refused(_) => true,
        // Nothing is on the disk of a member that was told to put something there.
        NodePhase::Empty => {
            let founder = record.intent.as_ref().is_some_and(|i| i.member == n);
            let told_before = entry
                .join
                .as_ref()
                .is_some_and(|told| *told != node.instance);
            (record.founded && founder) || told_before
        }
        // The cluster was opened long ago: others joined it. This is another one, of nobody.
        NodePhase::Founding => record
            .members
            .iter()
            .any(|(m, e)| *m != n && e.join.is_some()),
        _ => false,
    }
}

/// Members of the cluster whose disks are lost or do not belong to them.
#[must_use]
pub fn lost_disks(facts: &Facts) -> Vec<Number> {
    let Some(record) = &facts.record else {
        return Vec::new();
    };
    let members = record.members.iter().filter(|(_, e)| !e.removed);
    let lost = members.filter(|(n, _)| is_lost(facts, record, **n));
    lost.map(|(n, _)| *n).collect()
}

/// The member's PVC is being deleted.
pub(crate) fn is_condemned(facts: &Facts, n: Number) -> bool {
    matches!(facts.member(n).disk, Object::Deleting(_))
}

/// Records that a member leaves whose disk is lost, or about to be: its PVC is being deleted. Only
/// while there is a leader, whose cluster goes on without it.
pub(crate) fn retire_lost(facts: &Facts, record: &Record) -> Option<Step> {
    facts.leader()?;
    let leaves = |n| is_lost(facts, record, n) || is_condemned(facts, n);
    record
        .kept()
        .find(|(n, _)| leaves(*n))
        .map(|(n, _)| Step::Retire(n))
}

/// As many members as the spec wants: one more, or one that leaves.
pub(crate) fn size(facts: &Facts, record: &Record) -> Option<Step> {
    let Spec { members, .. } = facts.spec;
    let kept: Vec<_> = record.kept().collect();
    if kept.len() < members as usize {
        let mut kept = kept.iter().map(|(n, _)| *n);
        let small = kept.find(|n| facts.member(*n).fit == Fit::TooSmall);
        return Some(small.map_or(Step::NewMember, |n| Step::Stalled(Reason::DiskTooSmall(n))));
    }
    if kept.len() == members as usize {
        return None;
    }
    if record.founded && facts.leader().is_none() {
        return None;
    }
    // Those who never became part of the cluster leave first, then the highest numbers. The founder
    // of a cluster that does not exist yet stays.
    let founder = record
        .intent
        .as_ref()
        .filter(|_| !record.founded)
        .map(|i| i.member);
    let part = |entry: &Entry| {
        facts
            .leader()
            .and_then(|(_, node)| node.role_of(entry.id))
            .is_some_and(|r| r != Role::Spare)
    };
    // One without whom the votes could not be spread over zones stays, if another can leave.
    let splits = |n: Number| {
        let rest: Vec<_> = kept.iter().map(|(m, _)| *m).filter(|m| *m != n).collect();
        let all_known = kept.iter().all(|(m, _)| facts.member(*m).zone.is_some());
        all_known && !zones::can_be_even(facts, &rest, facts.spec.voters as usize)
    };
    let leaves = kept.iter().filter(|(n, _)| Some(*n) != founder);
    leaves
        .min_by_key(|(n, e)| (part(e), splits(*n), std::cmp::Reverse(*n)))
        .map(|(n, _)| Step::Retire(*n))
}

/// The PVC, its record and the StatefulSet of every member that stays, in this order.
pub(crate) fn objects(facts: &Facts, record: &Record) -> Option<Step> {
    // One that is to leave votes until it is removed, and the others may need its vote.
    let leaves = record
        .members
        .iter()
        .filter(|(_, e)| e.retired && !e.removed);
    for (n, entry) in leaves {
        let seen = facts.member(*n);
        let disk = entry.disk.is_some() && seen.disk.uid() == entry.disk.as_ref();
        if !disk || !record.took_part(*n) {
            continue;
        }
        if seen.set == Object::Absent {
            return Some(Step::ApplySet(*n));
        }
        if let Some(step) = renewed(facts, record, *n, seen) {
            return Some(step);
        }
    }
    for (n, entry) in record.kept() {
        let seen = facts.member(n);
        match (&entry.disk, &seen.disk) {
            (None, Object::Absent) => return Some(Step::CreateDisk(n)),
            (None, Object::Present(uid)) => return Some(Step::RecordDisk(n, uid.clone())),
            (None, _) => return Some(Step::Wait(Reason::WaitingForDeletion(n))),
            // A disk that was recorded and is gone is lost; it is never made again.
            (Some(uid), disk) if disk.uid() != Some(uid) => continue,
            (Some(_), _) => {}
        }
        if seen.set == Object::Absent {
            return Some(Step::ApplySet(n));
        }
        if let Some(step) = renewed(facts, record, n, seen) {
            return Some(step);
        }
    }
    None
}

/// A new template for what does not run. What runs keeps its template, and so does its StatefulSet,
/// until its turn comes; so does one that took part and is down for another reason: what it ran from
/// was good.
fn renewed(facts: &Facts, record: &Record, n: Number, seen: Seen) -> Option<Step> {
    let fresh = !record.took_part(n);
    match seen.pod {
        Pod::Stuck(uid) => Some(Step::DeletePod(n, uid)),
        Pod::Absent | Pod::Unstarted if fresh && seen.template != Template::Current => {
            Some(Step::ApplySet(n))
        }
        _ => updates::renew_broken(facts, record, n),
    }
}

/// Brings members that stay into the cluster: told to join → added as spare → standby.
pub(crate) fn join(facts: &Facts, record: &Record) -> Option<Step> {
    let (_, leader) = facts.leader()?;
    for (n, entry) in record.kept() {
        let Some(node) = facts.node(n) else { continue };
        let listed = leader.role_of(entry.id);
        match (&node.phase, listed) {
            (NodePhase::Empty, None) if entry.join.as_ref() == Some(&node.instance) => {
                return Some(Step::Join(n));
            }
            (NodePhase::Empty, None) => {
                return Some(Step::RecordJoin(n, node.instance.clone()));
            }
            // Also one that was listed before: its addition was rolled back, or somebody removed it.
            (NodePhase::Joining | NodePhase::Seeded, None) => return Some(Step::Add(n)),
            (NodePhase::Joining, Some(Role::Spare)) => return Some(Step::Assign(n, Role::Standby)),
            _ => {}
        }
    }
    None
}

/// Takes away what is left of members that the cluster knows no more (rule S6).
pub(crate) fn clean_up(facts: &Facts, record: &Record) -> Option<Step> {
    // Made again by a late request, or put back by hand, long after the member was forgotten.
    let forgotten = facts.seen.iter().find_map(|(n, seen)| {
        let known = record.members.contains_key(n) || *n >= record.next;
        seen.set.uid().filter(|_| !known).map(|uid| (*n, uid))
    });
    if let Some((n, uid)) = forgotten {
        return Some(Step::DeleteSet(n, uid.clone()));
    }
    for (n, entry) in record.members.iter().filter(|(_, e)| e.removed) {
        let seen = facts.member(*n);
        if let (Object::Present(uid), false) = (&seen.disk, seen.disk_marked) {
            return Some(Step::MarkDisk(*n, uid.clone()));
        }
        match &seen.set {
            Object::Present(uid) => return Some(Step::DeleteSet(*n, uid.clone())),
            Object::Deleting(_) => continue,
            Object::Absent | Object::Foreign => {}
        }
        match &seen.disk {
            // One that was not recorded yet never held anything. Another in the recorded one's place is somebody's.
            Object::Present(uid)
                if facts.spec.delete_disks && entry.disk.as_ref().is_none_or(|d| d == uid) =>
            {
                return Some(Step::DeleteDisk(*n, uid.clone()));
            }
            _ if seen.pod == Pod::Absent => return Some(Step::Forget(*n)),
            _ => {}
        }
    }
    None
}

/// Nothing is left to do: all is well, or something is awaited.
pub(crate) fn rest(facts: &Facts, record: &Record) -> Step {
    let Some((_, leader)) = facts.leader() else {
        return if quorum_is_lost(facts, record) {
            Step::Stalled(Reason::QuorumLost(lost_disks(facts)))
        } else {
            Step::Wait(Reason::NoLeader)
        };
    };
    for (n, entry) in record.kept() {
        let Some(node) = facts.node(n) else {
            return Step::Wait(match leader.role_of(entry.id) {
                Some(Role::Voter) => Reason::VoterDown(n),
                _ => Reason::MemberStarting(n),
            });
        };
        if !serves(node) {
            return Step::Wait(Reason::CatchingUp(n));
        }
    }
    let silent = Votes::of(facts, record)
        .and_then(|votes| record.kept().map(|(n, _)| n).find(|n| votes.is_silent(*n)));
    if let Some(n) = silent {
        return Step::Wait(Reason::MemberSilent(n));
    }
    let voters = leader
        .servers
        .iter()
        .filter(|s| s.role == Role::Voter)
        .count();
    let leaving = record.members.values().any(|e| e.retired && !e.removed);
    if leaving || voters != facts.spec.voters as usize {
        return Step::Wait(Reason::ReplacementCatchingUp);
    }
    let mut older = record
        .kept()
        .filter(|(n, _)| facts.member(*n).runs != Template::Current);
    older
        .next()
        .map_or(Step::Done, |(n, _)| Step::Wait(Reason::UpdatePending(n)))
}

/// Whether so many voters' disks are lost that the rest is no majority, by the configuration that a
/// member which still answers has; where none does, every member counts.
fn quorum_is_lost(facts: &Facts, record: &Record) -> bool {
    let told = record.members.keys().filter_map(|n| facts.node(*n));
    let configuration = told
        .map(|node| &node.servers)
        .find(|servers| !servers.is_empty());
    let votes = |id| {
        configuration
            .is_none_or(|servers| servers.iter().any(|s| s.id == id && s.role == Role::Voter))
    };
    let voters = record
        .members
        .iter()
        .filter(|(_, e)| !e.removed && votes(e.id));
    let (lost, all) = voters.fold((0, 0), |(lost, all), (n, _)| {
        (lost + usize::from(is_lost(facts, record, *n)), all + 1)
    });
    lost > 0 && lost * 2 >= all
}
