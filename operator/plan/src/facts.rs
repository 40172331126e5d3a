//! What goes into a decision.

use std::collections::{BTreeMap, BTreeSet};

/// Uid of a Kubernetes object.
pub type Uid = String;
/// Raft id of a member.
pub type RaftId = u64;
/// The `n` of member `<cluster>-<n>`; never used twice.
pub type Number = u32;
/// Random name of one start of a node's process.
pub type Instance = String;

/// Everything that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// What the user wants, valid.
    pub spec: Spec,
    /// The operator's memory; `None` before the first step.
    pub record: Option<Record>,
    /// Objects and nodes by member, for every number in the record and every object found.
    pub seen: BTreeMap<Number, Seen>,
    /// What became of the last change of the membership.
    pub change: Change,
}

/// A change of the membership that was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Change {
    /// It was answered, or has failed so lately that it is worth a repetition.
    #[default]
    Settled,
    /// Ours, under way at this leader. A promotion takes as long as the member needs to catch up.
    Running(RaftId),
    /// It is in doubt, or "in progress" with none of ours running, for longer than any change takes.
    Hangs(Remedy),
}

/// What helps against a change that hangs, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Another leader: the change is this one's memory.
    Transfer,
    /// A new start of the leader's process.
    Restart,
    /// Nothing that we know.
    Person,
}

/// What the user wants.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Spec {
    /// Members of the cluster, at least 1.
    pub members: u32,
    /// Voters among them, odd.
    pub voters: u32,
    /// Disks of members that left are deleted.
    pub delete_disks: bool,
    /// No pod runs; every disk stays.
    pub hibernated: bool,
}

/// The operator's memory, in ConfigMap `<cluster>-record`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Record {
    /// The one member that may found the cluster.
    pub intent: Option<Intent>,
    /// The cluster exists, for ever.
    pub founded: bool,
    /// Number of the next member.
    pub next: Number,
    /// Members that are, or that have not left without a trace.
    pub members: BTreeMap<Number, Entry>,
    /// Ids of members that are gone; none of them may come back.
    pub retired: BTreeSet<RaftId>,
}

/// Who founds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Intent {
    /// The member.
    pub member: Number,
    /// The disk on which it may.
    pub disk: Uid,
}

/// One member in the record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Its id, never another's.
    pub id: RaftId,
    /// Its disk, from before its StatefulSet is made.
    pub disk: Option<Uid>,
    /// The start of the process that was (perhaps) told to join.
    pub join: Option<Instance>,
    /// It is to leave, or is lost; it never stays after that.
    pub retired: bool,
    /// Its removal was answered with success: the cluster knows it no more.
    pub removed: bool,
}

/// What was found of one member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Its StatefulSet.
    pub set: Object,
    /// How its StatefulSet's template compares with what it should be.
    pub template: Template,
    /// Its StatefulSet is told to run no pod.
    pub asleep: bool,
    /// A person asked for another member in its place.
    pub unwanted: bool,
    /// Its PVC.
    pub disk: Object,
    /// How its PVC compares with the spec.
    pub fit: Fit,
    /// The PVC is marked as that of a member that left.
    pub disk_marked: bool,
    /// Its pod.
    pub pod: Pod,
    /// How what runs, or else the StatefulSet's template, compares with what it should be.
    pub runs: Template,
    /// Its pod's node takes no new pods: it is about to be drained.
    pub cordoned: bool,
    /// Zone of its pod's node, if both are known.
    pub zone: Option<String>,
    /// Its node.
    pub node: Node,
}

/// A Kubernetes object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Object {
    /// A read from the API server found none.
    #[default]
    Absent,
    /// Ours.
    Present(Uid),
    /// Ours, being deleted.
    Deleting(Uid),
    /// Another's, in our way.
    Foreign,
}

impl Object {
    /// Its uid, if it is ours and stays.
    #[must_use]
    pub fn uid(&self) -> Option<&Uid> {
        if let Self::Present(uid) = self {
            Some(uid)
        } else {
            None
        }
    }
}

/// How a template compares with the one that the spec and this operator make.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Template {
    /// It is that one.
    #[default]
    Current,
    /// The spec's part is the same; another version of the operator made it. No reason to restart.
    Older,
    /// The spec says otherwise.
    Outdated,
}

/// How a disk compares with the spec.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fit {
    /// It is as it should be.
    #[default]
    Fits,
    /// It is to grow, and its class can do that.
    Grows,
    /// It is to be what it cannot become: smaller, of another class, or larger where nothing grows.
    Misfit,
    /// It is to be so small that the data would not fit.
    TooSmall,
}

/// A member's pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Pod {
    /// None.
    #[default]
    Absent,
    /// Its process runs, or ran.
    Started(Uid),
    /// It is being deleted.
    Ending,
    /// Nothing of it ever ran; it was made from the StatefulSet's template.
    Unstarted,
    /// Nothing of it ever ran, and it was made from a template that is not the StatefulSet's any more.
    Stuck(Uid),
}

/// What a node said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Node {
    /// Nothing: it may be dead, slow or cut off.
    #[default]
    Unknown,
    /// This, just now.
    Says(NodeStatus),
}

/// A node's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeStatus {
    /// Which start of the process speaks.
    pub instance: Instance,
    /// Where the member is in its life.
    pub phase: NodePhase,
    /// The leader that its engine names.
    pub leader: Option<RaftId>,
    /// The configuration that its engine has.
    pub servers: Vec<Server>,
    /// Index of the last entry that it knows as committed.
    pub commit: u64,
    /// On a leader: index of the last entry in each follower's log, as far as it heard.
    pub followers: BTreeMap<RaftId, u64>,
    /// On a leader: members that sent something once, and nothing for a minute.
    pub silent: BTreeSet<RaftId>,
}

/// Where a member is in its life.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum NodePhase {
    /// An empty disk.
    Empty,
    /// Founded, closed to clients.
    Founding,
    /// Waits to be added or seeded.
    Joining,
    /// Joined.
    Seeded,
    /// Founded and open.
    Open,
    /// A disk that does not belong to this member.
    Refused(String),
}

/// One server of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Raft id.
    pub id: RaftId,
    /// Its role.
    pub role: Role,
}

/// A server's part in Raft.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Votes.
    Voter,
    /// Replicates.
    Standby,
    /// Is listed.
    Spare,
}

impl Role {
    /// As people read it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Voter => "voter",
            Self::Standby => "standby",
            Self::Spare => "spare",
        }
    }
}

impl Facts {
    /// What was seen of a member; nothing, if its objects were not found.
    #[must_use]
    pub fn member(&self, n: Number) -> Seen {
        self.seen.get(&n).cloned().unwrap_or_default()
    }

    /// What a node said, if it said anything.
    #[must_use]
    pub fn node(&self, n: Number) -> Option<&NodeStatus> {
        match &self.seen.get(&n)?.node {
            Node::Says(status) => Some(status),
            Node::Unknown => None,
        }
    }

    /// The member that leads: the one that names itself, if only one does.
    #[must_use]
    pub fn leader(&self) -> Option<(Number, &NodeStatus)> {
        let record = self.record.as_ref()?;
        let mut leaders = record.members.iter().filter_map(|(n, entry)| {
            let node = self.node(*n)?;
            (node.leader == Some(entry.id)).then_some((*n, node))
        });
        let leader = leaders.next()?;
        leaders.next().is_none().then_some(leader)
    }
}

impl Record {
    /// Members that are to stay.
    pub fn kept(&self) -> impl Iterator<Item = (Number, &Entry)> {
        self.members
            .iter()
            .filter(|(_, e)| !e.retired)
            .map(|(n, e)| (*n, e))
    }

    /// It founded the cluster, or was (perhaps) told to join: the cluster may know it.
    #[must_use]
    pub fn took_part(&self, n: Number) -> bool {
        let founder = self.intent.as_ref().is_some_and(|i| i.member == n);
        founder || self.members.get(&n).is_some_and(|e| e.join.is_some())
    }

    /// The member with this id.
    #[must_use]
    pub fn by_id(&self, id: RaftId) -> Option<Number> {
        self.members
            .iter()
            .find(|(_, e)| e.id == id)
            .map(|(n, _)| *n)
    }
}

impl NodeStatus {
    /// A server's role in this node's configuration.
    #[must_use]
    pub fn role_of(&self, id: RaftId) -> Option<Role> {
        self.servers.iter().find(|s| s.id == id).map(|s| s.role)
    }
}
