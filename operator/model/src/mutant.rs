//! What the model must find: deciding as if the shipped function believed something that is not so, or a front that
//! does not guard. A model that finds none of these would show nothing by finding nothing.

use operator_plan::{
    Entry, Facts, Node, NodePhase, NodeStatus, Number, Object, Pod, RaftId, Reason, Record, Role,
    Seen, Step, Template, decide,
};

/// One thing that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "they say what is wrong")]
pub enum Mutant {
    DeletesDisksBeforeTheRemoval,
    TakesWhatItSeesForCommitted,
    ActsOnSilence,
    TakesTheNameForTheDisk,
    TakesSilenceForHealth,
    TakesWhoJoinsForCaughtUp,
    ForgetsThatItFounded,
    OpensBeforeItIsRecorded,
    LeavesAnEvenNumberOfVoters,
    RemovesTheLeader,
    ForgetsWhoWasToldToJoin,
    TwoChangesAtOnce,
    ChangesBeforeTheTermHasBegun,
    NobodyConfirms,
    RemovesBeforeItPromotes,
    TakesEveryLogForWhole,
    DeletesTheLeadersPod,
    UpdatesWhileOneIsDown,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::DeletesDisksBeforeTheRemoval,
        Self::TakesWhatItSeesForCommitted,
        Self::ActsOnSilence,
        Self::TakesTheNameForTheDisk,
        Self::TakesSilenceForHealth,
        Self::TakesWhoJoinsForCaughtUp,
        Self::ForgetsThatItFounded,
        Self::OpensBeforeItIsRecorded,
        Self::LeavesAnEvenNumberOfVoters,
        Self::RemovesTheLeader,
        Self::ForgetsWhoWasToldToJoin,
        Self::TwoChangesAtOnce,
        Self::ChangesBeforeTheTermHasBegun,
        Self::NobodyConfirms,
        Self::RemovesBeforeItPromotes,
        Self::TakesEveryLogForWhole,
        Self::DeletesTheLeadersPod,
        Self::UpdatesWhileOneIsDown,
    ];

    /// What is decided on facts that are wrong in this way.
    pub(crate) fn decide(self, mut facts: Facts) -> Step {
        let leader = facts.leader().map(|(n, node)| (n, node.clone()));
        match self {
            Self::DeletesDisksBeforeTheRemoval => {
                each_entry(&mut facts, |e| e.removed |= e.retired);
            }
            Self::TakesWhatItSeesForCommitted => {
                let gone = |id| {
                    leader
                        .as_ref()
                        .is_some_and(|(_, l)| l.role_of(id).is_none())
                };
                each_entry(&mut facts, |e| e.removed |= e.retired && gone(e.id));
            }
            Self::ActsOnSilence => each_silent(&mut facts, |seen, _| seen.disk = Object::Absent),
            Self::TakesTheNameForTheDisk => {
                let record = facts.record.clone().unwrap_or_default();
                for (n, seen) in &mut facts.seen {
                    let recorded = record.members.get(n).and_then(|e| e.disk.clone());
                    if let (Object::Present(uid), Some(recorded)) = (&mut seen.disk, recorded) {
                        *uid = recorded;
                    }
                }
            }
            Self::TakesSilenceForHealth => {
                if let Some((_, leader)) = leader {
                    each_silent(&mut facts, |seen, id| {
                        seen.node = Node::Says(healthy(&leader, id));
                    });
                }
            }
            Self::TakesWhoJoinsForCaughtUp => each_node(&mut facts, |node| {
                if node.phase == NodePhase::Joining {
                    node.phase = NodePhase::Seeded;
                }
            }),
            Self::ForgetsThatItFounded => {
                facts.record.iter_mut().for_each(|r| r.founded = false);
                each_node(&mut facts, |node| node.phase = NodePhase::Empty);
            }
            Self::OpensBeforeItIsRecorded => {
                let mut nodes = facts.seen.values();
                let founding = |seen: &Seen| matches!(&seen.node, Node::Says(node) if node.phase == NodePhase::Founding);
                let founding = nodes.any(founding);
                facts.record.iter_mut().for_each(|r| r.founded |= founding);
            }
            Self::LeavesAnEvenNumberOfVoters => facts.spec.voters = facts.spec.members.min(2),
            Self::ForgetsWhoWasToldToJoin => each_entry(&mut facts, |e| e.join = None),
            Self::RemovesTheLeader => {
                return match (decide(&facts), leader) {
                    (Step::Transfer(_), Some((n, _))) => Step::Remove(n),
                    (step, _) => step,
                };
            }
            Self::RemovesBeforeItPromotes => {
                let leaves = facts.record.iter().flat_map(|r| &r.members);
                let mut leaves = leaves.filter(|(_, e)| e.retired && !e.removed);
                return match (decide(&facts), leaves.next(), leader) {
                    (Step::Assign(_, Role::Voter), Some((n, _)), Some((l, _))) if *n != l => {
                        Step::Remove(*n)
                    }
                    (step, ..) => step,
                };
            }
            Self::TakesEveryLogForWhole => each_node(&mut facts, |node| {
                node.followers
                    .values_mut()
                    .for_each(|last| *last = u64::MAX / 2);
            }),
            Self::DeletesTheLeadersPod => {
                return match (decide(&facts), leader) {
                    (Step::Transfer(_), Some((n, _))) if is_outdated(&facts, n) => {
                        delete_pod(&facts, n)
                    }
                    (step, _) => step,
                };
            }
            Self::UpdatesWhileOneIsDown => {
                let mut outdated = facts.seen.keys().filter(|n| is_outdated(&facts, **n));
                let next = outdated.find(|n| leader.as_ref().is_some_and(|(l, _)| l != *n));
                return match (decide(&facts), next) {
                    (Step::Wait(Reason::VoterDown(_) | Reason::UpdateHeld(_)), Some(n)) => {
                        delete_pod(&facts, *n)
                    }
                    (step, _) => step,
                };
            }
            Self::TwoChangesAtOnce | Self::ChangesBeforeTheTermHasBegun | Self::NobodyConfirms => {}
        }
        decide(&facts)
    }
}

/// Its StatefulSet has the new template, its pod the old one.
fn is_outdated(facts: &Facts, n: Number) -> bool {
    let seen = facts.member(n);
    seen.template == Template::Current && seen.runs == Template::Outdated
}

fn delete_pod(facts: &Facts, n: Number) -> Step {
    match facts.member(n).pod {
        Pod::Started(uid) => Step::DeletePod(n, uid),
        _ => decide(facts),
    }
}

fn each_entry(facts: &mut Facts, change: impl Fn(&mut Entry)) {
    let record: Option<&mut Record> = facts.record.as_mut();
    record
        .into_iter()
        .for_each(|r| r.members.values_mut().for_each(&change));
}

fn each_node(facts: &mut Facts, change: impl Fn(&mut NodeStatus)) {
    for seen in facts.seen.values_mut() {
        if let Node::Says(node) = &mut seen.node {
            change(node);
        }
    }
}

/// Changes what is seen of members that took part and say nothing.
fn each_silent(facts: &mut Facts, change: impl Fn(&mut Seen, RaftId)) {
    let record = facts.record.clone().unwrap_or_default();
    for (n, seen) in &mut facts.seen {
        let entry = record.members.get(n).filter(|_| record.took_part(*n));
        if let (Some(entry), Node::Unknown) = (entry, &seen.node) {
            change(seen, entry.id);
        }
    }
}

fn healthy(leader: &NodeStatus, id: RaftId) -> NodeStatus {
    let phase = match leader.role_of(id) {
        Some(Role::Voter | Role::Standby) => NodePhase::Seeded,
        _ => NodePhase::Joining,
    };
    let silent = Default::default();
    NodeStatus {
        phase,
        silent,
        ..leader.clone()
    }
}
