//! What comes out of a decision.

use crate::facts::{Instance, Number, RaftId, Role, Uid};

/// One thing to do. Each is safe to repeat, and safe to lose half-way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Make the record, with a new cluster id.
    CreateRecord,
    /// Record one member more, under the next number and a new random id.
    NewMember,
    /// Make the member's PVC.
    CreateDisk(Number),
    /// Record the uid of the member's PVC.
    RecordDisk(Number, Uid),
    /// Make the member's StatefulSet, or bring its template up to date.
    ApplySet(Number),
    /// Delete a pod, so that a new one takes its place.
    DeletePod(Number, Uid),
    /// Ask for the size of the spec in the member's PVC.
    GrowDisk(Number, Uid),
    /// Record who founds, and on which disk.
    RecordIntent(Number, Uid),
    /// Tell the node to found the cluster.
    Found(Number),
    /// Record that the cluster exists.
    RecordFounded,
    /// Tell the founder to let clients in.
    Open(Number),
    /// Record that this start of the node's process is told to join.
    RecordJoin(Number, Instance),
    /// Tell the node to join.
    Join(Number),
    /// Add the member to the cluster, as spare.
    Add(Number),
    /// Give the member this role.
    Assign(Number, Role),
    /// Hand leadership to this member.
    Transfer(Number),
    /// End the member's process in a friendly way, so that it starts anew.
    Restart(Number),
    /// Record that the member leaves.
    Retire(Number),
    /// Remove the member from the cluster, and record that once it is answered.
    Remove(Number),
    /// Remove a member that left long ago and is listed again.
    RemoveRetired(RaftId),
    /// Record as removed a member that was never added.
    RecordRemoved(Number),
    /// Mark the PVC of a removed member.
    MarkDisk(Number, Uid),
    /// Delete the StatefulSet of a removed member.
    DeleteSet(Number, Uid),
    /// Delete the PVC of a removed member.
    DeleteDisk(Number, Uid),
    /// Keep of the member nothing but its retired id.
    Forget(Number),
    /// Nothing can be done now; something will change by itself.
    Wait(Reason),
    /// Nothing can be done until a person acts.
    Stalled(Reason),
    /// All is as it should be.
    Done,
}

/// Why there is nothing to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// An object of this member is another's.
    NameTaken(Number),
    /// An object of this member is being deleted.
    WaitingForDeletion(Number),
    /// Members exist, the record does not.
    RecordMissing,
    /// The member's pod or node has not answered yet.
    MemberStarting(Number),
    /// The disk that was to hold the new cluster belongs to another.
    FounderRefused(Number, String),
    /// The founder's disk was lost before any other member had a copy.
    FounderLost(Number),
    /// The disks of so many members are lost that the rest is no majority.
    QuorumLost(Vec<Number>),
    /// No member leads now.
    NoLeader,
    /// The configuration lists an id that no record knows.
    UnknownMember(RaftId),
    /// A change of the membership is under way.
    ChangeRunning,
    /// A change of the membership does not end, whoever leads.
    ChangeStuck,
    /// A voter is down, so no vote moves.
    VoterDown(Number),
    /// A lost voter stays until the members that replace it have caught up.
    ReplacementCatchingUp,
    /// A member that should replicate has sent the leader nothing for a minute.
    MemberSilent(Number),
    /// A member has not caught up yet.
    CatchingUp(Number),
    /// A member runs from the template of another version of the operator; no reason to restart it.
    UpdatePending(Number),
    /// The next member is updated or replaced when this one is well.
    UpdateHeld(Number),
    /// The spec's disk is too small for what this member holds.
    DiskTooSmall(Number),
    /// The spec says that nothing runs.
    Hibernated,
}
