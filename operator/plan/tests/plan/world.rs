//! A small world in which steps are taken: objects, disks, nodes, one Raft configuration. Everything
//! answers at once unless a test breaks it. It checks the safety rules at every step.

use std::collections::{BTreeMap, BTreeSet};

use operator_plan::{
    Change, Entry, Facts, Fit, Intent, Node, NodePhase, NodeStatus, Number, Object, Pod, RaftId,
    Record, Role, Seen, Server, Spec, Step, Template, decide,
};

#[derive(Clone, Debug, Default)]
pub struct Member {
    pub set: bool,
    pub disk: Option<String>,
    pub marked: bool,
    /// What is on the disk.
    pub phase: Option<NodePhase>,
    /// The node answers.
    pub up: bool,
    pub starts: u32,
    pub template: Template,
    pub runs: Template,
    pub asleep: bool,
    pub unwanted: bool,
    pub fit: Fit,
    pub cordoned: bool,
    pub zone: Option<String>,
    /// It lacks entries, by what the leader knows.
    pub behind: bool,
    /// It sends the leader nothing.
    pub silent: bool,
    /// What it runs from never answers.
    pub broken: bool,
    /// Overrides what is seen of its objects.
    pub set_seen: Option<Object>,
    pub disk_seen: Option<Object>,
    pub pod_seen: Option<Pod>,
}

#[derive(Clone, Debug, Default)]
pub struct World {
    pub spec: Spec,
    pub record: Option<Record>,
    pub members: BTreeMap<Number, Member>,
    pub config: Vec<Server>,
    pub leader: Option<RaftId>,
    /// Clusters that were ever founded.
    pub founded: u32,
    pub open: bool,
    pub ids: BTreeSet<RaftId>,
    pub log: Vec<Step>,
    /// What the operator knows of the last change.
    pub change: Change,
    /// New members' nodes do not answer.
    pub newcomers_are_silent: bool,
    uids: u32,
}

impl World {
    pub fn new(members: u32) -> Self {
        let voters = operator_plan::default_voters(members);
        Self {
            spec: Spec {
                members,
                voters,
                delete_disks: false,
                hibernated: false,
            },
            ..Self::default()
        }
    }

    pub fn resize(&mut self, members: u32) {
        self.spec.members = members;
        self.spec.voters = operator_plan::default_voters(members);
    }

    pub fn id(&self, n: Number) -> RaftId {
        self.record.as_ref().unwrap().members[&n].id
    }

    pub fn voters(&self) -> Vec<RaftId> {
        self.config
            .iter()
            .filter(|s| s.role == Role::Voter)
            .map(|s| s.id)
            .collect()
    }

    pub fn number(&self, id: RaftId) -> Option<Number> {
        self.record.as_ref()?.by_id(id)
    }

    fn serves(&self, id: RaftId) -> bool {
        let member = self.number(id).and_then(|n| self.members.get(&n));
        member.is_some_and(|m| {
            m.up && !m.asleep && matches!(m.phase, Some(NodePhase::Open | NodePhase::Seeded))
        })
    }

    /// Any member, by a number that may be too large.
    pub fn number_of(&self, i: usize) -> Number {
        let members: Vec<_> = self.members.keys().copied().collect();
        members[i % members.len()]
    }

    pub fn nth(&mut self, i: usize) -> &mut Member {
        let n = self.number_of(i);
        self.member(n)
    }

    pub fn has_quorum(&self) -> bool {
        let voters = self.voters();
        let up = voters.iter().filter(|id| self.serves(**id)).count();
        !voters.is_empty() && up > voters.len() / 2
    }

    /// Raft elects; members that are listed get the log.
    fn settle(&mut self) {
        if !self.has_quorum() {
            self.leader = None;
            return;
        }
        if !self
            .leader
            .is_some_and(|id| self.serves(id) && self.voters().contains(&id))
        {
            self.leader = self.voters().into_iter().find(|id| self.serves(*id));
        }
        for server in self.config.clone() {
            let Some(n) = self.number(server.id) else {
                continue;
            };
            let Some(member) = self.members.get_mut(&n) else {
                continue;
            };
            if member.phase == Some(NodePhase::Joining) && server.role != Role::Spare {
                member.phase = Some(NodePhase::Seeded);
            }
        }
    }

    pub fn facts(&self) -> Facts {
        let seen = self
            .members
            .iter()
            .map(|(n, m)| (*n, self.seen(*n, m)))
            .collect();
        Facts {
            spec: self.spec.clone(),
            record: self.record.clone(),
            seen,
            change: self.change,
        }
    }

    fn seen(&self, n: Number, m: &Member) -> Seen {
        let uid = |there: bool, kind: &str| match there {
            true => Object::Present(format!("{kind}-{n}")),
            false => Object::Absent,
        };
        let runs = m.set && !m.asleep && m.disk.is_some() && m.up;
        let phase = m.phase.clone().unwrap_or(NodePhase::Empty);
        let id = self
            .record
            .as_ref()
            .and_then(|r| r.members.get(&n))
            .map_or(0, |e| e.id);
        let listed = self
            .config
            .iter()
            .any(|s| s.id == id && s.role != Role::Spare);
        let serves = listed && matches!(phase, NodePhase::Open | NodePhase::Seeded);
        let votes = self.voters().contains(&id);
        let status = NodeStatus {
            instance: format!("start-{}", m.starts),
            phase,
            leader: self.leader.filter(|_| serves && votes),
            servers: if serves {
                self.config.clone()
            } else {
                Vec::new()
            },
            commit: 1000,
            followers: self.followers(),
            silent: self
                .config
                .iter()
                .map(|s| s.id)
                .filter(|id| self.is_silent(*id))
                .collect(),
        };
        Seen {
            set: m.set_seen.clone().unwrap_or_else(|| uid(m.set, "set")),
            template: m.template,
            asleep: m.asleep,
            unwanted: m.unwanted,
            fit: m.fit,
            runs: m.runs,
            cordoned: m.cordoned,
            zone: m.zone.clone(),
            disk: m
                .disk_seen
                .clone()
                .unwrap_or_else(|| m.disk.clone().map_or(Object::Absent, Object::Present)),
            disk_marked: m.marked,
            pod: m.pod_seen.clone().unwrap_or(if m.set && !m.asleep {
                Pod::Started(pod_uid(n))
            } else {
                Pod::Absent
            }),
            node: if runs {
                Node::Says(status)
            } else {
                Node::Unknown
            },
        }
    }

    /// Decides and takes one step; whether there was one to take.
    pub fn step(&mut self) -> bool {
        self.settle();
        let step = decide(&self.facts());
        let waits = matches!(step, Step::Wait(_) | Step::Stalled(_) | Step::Done);
        self.log.push(step.clone());
        if !waits {
            self.take(&step);
            self.settle();
            self.check(&step);
        }
        !waits
    }

    /// Takes steps until none is left; the last decision.
    pub fn run(&mut self) -> Step {
        for _ in 0..400 {
            if !self.step() {
                return self.log.last().unwrap().clone();
            }
        }
        panic!("no rest after 400 steps: {:?}", &self.log[380..]);
    }

    fn record(&mut self) -> &mut Record {
        self.record.as_mut().unwrap()
    }

    fn entry(&mut self, n: Number) -> &mut Entry {
        self.record().members.get_mut(&n).unwrap()
    }

    fn member(&mut self, n: Number) -> &mut Member {
        self.members.get_mut(&n).unwrap()
    }

    fn assign(&mut self, id: RaftId, role: Role) {
        self.config.iter_mut().find(|s| s.id == id).unwrap().role = role;
    }

    /// Rule S4: no vote moves while another voter is down, but for those that are lost.
    fn may_move_a_vote(&self, step: &Step) {
        let moved = match step {
            Step::Assign(n, Role::Voter) => *n,
            Step::Assign(n, _) | Step::Remove(n) if self.voters().contains(&self.id(*n)) => *n,
            _ => return,
        };
        for id in self.voters().into_iter().filter(|id| *id != self.id(moved)) {
            let member = self.number(id).and_then(|n| self.members.get(&n));
            let lost = member.is_none_or(|m| {
                let refused = matches!(m.phase, Some(NodePhase::Refused(_) | NodePhase::Founding));
                m.disk.is_none() || m.phase.is_none() || refused
            });
            assert!(
                lost || self.serves(id),
                "rule S4: {step:?} while {id} is down"
            );
        }
    }

    fn take(&mut self, step: &Step) {
        if self.open {
            self.may_move_a_vote(step);
        }
        match step.clone() {
            Step::CreateRecord => {
                self.record = Some(Record {
                    next: 1,
                    ..Record::default()
                })
            }
            Step::NewMember => {
                let n = self.record().next;
                self.record().next += 1;
                let id = 1000 + u64::from(n);
                assert!(self.ids.insert(id), "rule S3: id {id} is used again");
                let entry = Entry {
                    id,
                    ..Entry::default()
                };
                self.record().members.insert(n, entry);
                let up = !self.newcomers_are_silent;
                let member = Member {
                    up,
                    ..Member::default()
                };
                self.members.insert(n, member);
            }
            Step::CreateDisk(n) => {
                self.uids += 1;
                let uid = format!("disk-{}", self.uids);
                self.member(n).disk = Some(uid);
            }
            Step::RecordDisk(n, uid) => self.entry(n).disk = Some(uid),
            Step::ApplySet(n) => {
                let asleep = self.spec.hibernated;
                let member = self.member(n);
                if !member.set || (member.asleep && !asleep) {
                    member.runs = Template::Current;
                }
                (member.set, member.asleep, member.template) = (true, asleep, Template::Current);
            }
            Step::DeletePod(n, uid) => {
                assert_eq!(uid, pod_uid(n));
                self.may_take_down(n);
                let broken = self.member(n).broken;
                let member = self.member(n);
                (member.runs, member.up) = (member.template, !broken);
                member.starts += 1;
            }
            Step::GrowDisk(n, _) => self.member(n).fit = Fit::Fits,
            Step::RecordIntent(member, disk) => {
                self.record().intent = Some(Intent { member, disk });
            }
            Step::Found(n) => {
                assert_eq!(self.member(n).phase, None, "found only an empty disk");
                assert!(!self.open, "rule S1: founded after it was open");
                self.founded += 1;
                self.member(n).phase = Some(NodePhase::Founding);
                self.config = vec![Server {
                    id: self.id(n),
                    role: Role::Voter,
                }];
            }
            Step::RecordFounded => self.record().founded = true,
            Step::Open(n) => {
                assert!(
                    self.record().founded,
                    "rule S1: open before founded is recorded"
                );
                self.member(n).phase = Some(NodePhase::Open);
                self.open = true;
            }
            Step::RecordJoin(n, instance) => self.entry(n).join = Some(instance),
            Step::Join(n) => self.member(n).phase = Some(NodePhase::Joining),
            Step::Add(n) => {
                let id = self.id(n);
                self.config.push(Server {
                    id,
                    role: Role::Spare,
                });
            }
            Step::Assign(n, role) => {
                let id = self.id(n);
                self.assign(id, role);
            }
            Step::Transfer(n) => self.leader = Some(self.id(n)),
            Step::Restart(n) => {
                self.may_take_down(n);
                self.member(n).starts += 1;
                let mut others = self.voters();
                others.retain(|id| *id != self.id(n));
                self.leader = others.first().copied().or(self.leader);
            }
            Step::Retire(n) => self.entry(n).retired = true,
            Step::Remove(n) => {
                let id = self.id(n);
                self.config.retain(|s| s.id != id);
                self.entry(n).removed = true;
            }
            Step::RemoveRetired(id) => self.config.retain(|s| s.id != id),
            Step::RecordRemoved(n) => self.entry(n).removed = true,
            Step::MarkDisk(n, _) => self.member(n).marked = true,
            Step::DeleteSet(n, _) => {
                if !self.record().members.contains_key(&n) {
                    assert!(n < self.record().next, "rule S6: {n} was never forgotten");
                    self.members.remove(&n);
                    return;
                }
                self.gone(n);
                self.member(n).set = false;
            }
            Step::DeleteDisk(n, _) => {
                self.gone(n);
                self.member(n).disk = None;
            }
            Step::Forget(n) => {
                let id = self.record().members.remove(&n).unwrap().id;
                self.record().retired.insert(id);
                self.members.remove(&n);
            }
            Step::Wait(_) | Step::Stalled(_) | Step::Done => {}
        }
    }

    /// Rule S8: every other voter is up and has caught up.
    fn may_take_down(&self, n: Number) {
        for id in self.voters().into_iter().filter(|id| *id != self.id(n)) {
            assert!(self.serves(id), "rule S8: {n} is ended while {id} is down");
            let other = &self.members[&self.number(id).unwrap()];
            let lacks = other.behind && self.leader != Some(id);
            assert!(!lacks, "rule S8: {n} is ended while {id} lacks entries");
        }
    }

    fn is_silent(&self, id: RaftId) -> bool {
        let member = self.number(id).and_then(|n| self.members.get(&n));
        member.is_some_and(|m| m.silent)
    }

    fn followers(&self) -> BTreeMap<RaftId, u64> {
        let listed = self
            .config
            .iter()
            .filter_map(|s| Some((s.id, self.number(s.id)?)));
        let last = |n| if self.members[&n].behind { 0 } else { 1000 };
        listed
            .filter(|(_, n)| self.members.contains_key(n))
            .map(|(id, n)| (id, last(n)))
            .collect()
    }

    /// Rule S6: what the cluster still knows keeps its disk and its set.
    fn gone(&mut self, n: Number) {
        let id = self.id(n);
        assert!(
            self.entry(n).removed,
            "rule S6: {n} is not recorded as removed"
        );
        assert!(
            !self.config.iter().any(|s| s.id == id),
            "rule S6: {n} is still listed"
        );
    }

    fn check(&self, step: &Step) {
        assert!(self.founded <= 1 || !self.open, "rule S1: a second cluster");
        if self.open
            && matches!(
                step,
                Step::Assign(..) | Step::Remove(_) | Step::RemoveRetired(_)
            )
        {
            assert!(
                !self.voters().is_empty(),
                "rule S4: no voter is left after {step:?}"
            );
            assert!(
                self.has_quorum(),
                "rule S4: {step:?} cost the quorum: {:?}",
                self.config
            );
        }
    }

    /// The disk of a member is lost, with its pod's process.
    pub fn lose_disk(&mut self, n: Number) {
        let member = self.member(n);
        (member.disk, member.phase) = (None, None);
        member.starts += 1;
    }

    /// The disk is emptied in place: the PVC stays, the process starts anew.
    pub fn empty_disk(&mut self, n: Number) {
        let member = self.member(n);
        member.phase = None;
        member.starts += 1;
    }
}

/// The uid of a member's pod.
fn pod_uid(n: Number) -> String {
    format!("pod-{n}")
}

/// A cluster that has become what its spec wants.
pub fn ready(members: u32) -> World {
    let mut world = World::new(members);
    assert_eq!(world.run(), Step::Done);
    world
}

/// Where the first such step stands in the log.
pub fn position(world: &World, wanted: impl Fn(&Step) -> bool) -> usize {
    world
        .log
        .iter()
        .position(wanted)
        .unwrap_or_else(|| panic!("not in {:?}", world.log))
}
