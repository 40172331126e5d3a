//! Objects, disks and processes, and what an operator sees of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use operator_plan::{
    Facts, Node, NodePhase, NodeStatus, Number, Object, Pod, RaftId, Record, Role, Seen, Server,
    Spec, Step, Template, decide,
};

use crate::{
    model::Faults,
    mutant::Mutant,
    raft::{Config, Log, What, voters},
};

/// Indices are told in steps that are larger than what counts as caught up.
const STRIDE: u64 = 1000;

/// The id of a member: what is random in the operator follows from the number here.
pub fn id_of(n: Number) -> RaftId {
    1000 + RaftId::from(n)
}

pub fn number_of(id: RaftId) -> Number {
    (id - 1000) as Number
}

/// A PVC with its volume.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Disk {
    pub uid: u8,
    /// Somebody put it there; it is not ours to delete.
    pub by_hand: bool,
    pub marked: bool,
    pub phase: NodePhase,
    pub log: Arc<Log>,
}

impl Disk {
    pub fn empty(uid: u8) -> Self {
        Self {
            uid,
            by_hand: false,
            marked: false,
            phase: NodePhase::Empty,
            log: Arc::default(),
        }
    }
}

/// The objects under one member's name, and its process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Slot {
    pub set: Option<u8>,
    /// Version of the StatefulSet's template.
    pub template: u8,
    /// That of the template that its pod was made from.
    pub runs: u8,
    pub disk: Option<Disk>,
    /// Starts of the process; it runs while there are a set and a disk.
    pub starts: u8,
    /// It runs and does not answer.
    pub silent: bool,
    /// Its node takes no new pods; another will take the next.
    pub cordoned: bool,
    /// A person asks for another member in its place.
    pub unwanted: bool,
}

impl Slot {
    pub fn runs(&self) -> bool {
        self.set.is_some() && self.disk.as_ref().is_some_and(|d| !d.marked)
    }
}

/// What an operator means to do, by what it saw.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Intention {
    pub step: Step,
    pub record: Option<Arc<Record>>,
    /// Version of the template that the spec wanted.
    pub template: u8,
    pub leader: Option<RaftId>,
    /// The start of the process that is told to do it.
    pub start: Option<u8>,
}

/// How far an operator's pass is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Pass {
    #[default]
    Begins,
    /// It has read the objects; the nodes are asked later.
    Saw(Arc<World>),
    /// It has decided, and not acted yet.
    Means(Intention),
}

/// All there is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct World {
    pub(crate) spec: Spec,
    /// Version of the template that the spec wants.
    pub(crate) template: u8,
    /// From odd versions no process ever starts.
    pub(crate) odd_fail: bool,
    pub(crate) record: Option<Arc<Record>>,
    pub(crate) slots: BTreeMap<Number, Slot>,
    pub(crate) leader: Option<RaftId>,
    pub(crate) operators: Vec<Pass>,
    /// Clients are let in.
    pub(crate) open: bool,
    /// Rows that were acknowledged, and are not in every log for good.
    pub(crate) acknowledged: usize,
    /// What may still happen.
    pub(crate) faults: Faults,
    pub(crate) uids: u8,
    /// The rule that was broken, if one was.
    pub(crate) broken: Option<&'static str>,
}

impl World {
    pub(crate) fn disk(&self, id: RaftId) -> Option<&Disk> {
        self.slots.get(&number_of(id))?.disk.as_ref()
    }

    pub(crate) fn disk_mut(&mut self, id: RaftId) -> Option<&mut Disk> {
        self.slots.get_mut(&number_of(id))?.disk.as_mut()
    }

    pub(crate) fn log(&self, id: RaftId) -> Option<&Log> {
        self.shared_log(id).map(|log| &**log)
    }

    fn shared_log(&self, id: RaftId) -> Option<&Arc<Log>> {
        let disk = self.disk(id).filter(|d| !d.marked)?;
        Some(&disk.log).filter(|log| !log.entries.is_empty())
    }

    /// The configuration in force at the leader.
    pub(crate) fn config(&self) -> Config {
        let log = self.leader.and_then(|id| self.log(id));
        log.map(Log::config).unwrap_or_default()
    }

    /// By these objects the member's recorded disk is not there; or it is empty now, though the member took part.
    pub(crate) fn is_lost(&self, objects: &World, n: Number) -> bool {
        let Some(record) = &objects.record else {
            return false;
        };
        let recorded = record.members.get(&n).and_then(|e| e.disk.as_ref());
        let disk = objects.disk(id_of(n));
        let same = disk.is_some_and(|d| Some(&format!("disk-{}", d.uid)) == recorded);
        let now = self.slots.get(&n);
        let empty = now
            .and_then(|s| s.disk.as_ref())
            .is_some_and(|d| d.phase == NodePhase::Empty);
        let founder = record.founded && record.intent.as_ref().is_some_and(|i| i.member == n);
        let start = now.map(|slot| format!("{n}-{}", slot.starts));
        let told = record.members.get(&n).and_then(|e| e.join.clone());
        let filled = founder || (told.is_some() && told != start);
        recorded.is_some() && (!same || (empty && filled))
    }

    pub(crate) fn is_up(&self, id: RaftId) -> bool {
        let slot = self.slots.get(&number_of(id));
        slot.is_some_and(|s| self.starts(s) && !s.silent)
    }

    /// Its process runs, unless it ends at once.
    pub(crate) fn starts(&self, slot: &Slot) -> bool {
        slot.runs() && !(self.odd_fail && slot.runs % 2 == 1)
    }

    pub(crate) fn uid(&mut self) -> u8 {
        self.uids += 1;
        self.uids
    }

    /// Whether this member could be elected by those of whom `asked` is true.
    pub(crate) fn could_lead(&self, id: RaftId, asked: impl Fn(RaftId) -> bool) -> bool {
        let Some(log) = self.log(id).filter(|_| asked(id)) else {
            return false;
        };
        let voters = voters(&log.config());
        let grants = |v: &&RaftId| asked(**v) && self.log(**v).is_some_and(|l| log.is_as_new_as(l));
        voters.contains(&id) && voters.iter().filter(grants).count() * 2 > voters.len()
    }

    /// Who could be elected if every process ran.
    fn electable(&self) -> Vec<RaftId> {
        let could = |id: &RaftId| self.could_lead(*id, |_| true);
        self.ids().into_iter().filter(could).collect()
    }

    pub(crate) fn can_have_leader(&self) -> bool {
        !self.electable().is_empty()
    }

    /// Somebody could be elected, and whoever it is has every acknowledged row.
    pub(crate) fn can_go_on(&self) -> bool {
        let electable = self.electable();
        let has_all = |id: &RaftId| self.log(*id).is_some_and(|l| l.rows() >= self.acknowledged);
        !electable.is_empty() && electable.iter().all(has_all)
    }

    /// Configurations by which a leader could be elected.
    fn electable_configs(&self) -> Vec<Config> {
        let logs = self.electable().into_iter().filter_map(|id| self.log(id));
        logs.map(Log::config).collect()
    }

    /// Configurations that anybody goes by.
    pub(crate) fn configs(&self) -> Vec<Config> {
        let logs = self.ids().into_iter().filter_map(|id| self.log(id));
        logs.map(Log::config).collect()
    }

    /// Of the voters of any of these, half or more have no log any more.
    pub(crate) fn lost_a_majority_of(&self, configs: &[Config]) -> bool {
        configs.iter().any(|config| {
            let voters = voters(config);
            let lost = voters.iter().filter(|id| self.log(**id).is_none()).count();
            lost * 2 >= voters.len()
        })
    }

    /// The cluster knows this member, or may know it again.
    pub(crate) fn is_listed(&self, n: Number) -> bool {
        let lists = |c: &Config| c.contains_key(&id_of(n));
        // A new leader does not know yet how much is committed.
        let ids = self.ids();
        let logs = ids.iter().filter_map(|id| self.log(*id));
        let committed = logs.max_by_key(|log| log.commit);
        let committed = committed.map(|log| log.config_at(log.commit));
        committed.iter().any(lists) || self.electable_configs().iter().any(lists)
    }

    pub(crate) fn ids(&self) -> Vec<RaftId> {
        self.slots.keys().map(|n| id_of(*n)).collect()
    }

    /// An election that this member wins.
    pub(crate) fn elect(&mut self, id: RaftId) {
        let config = self.log(id).map(Log::config).unwrap_or_default();
        let term = self
            .ids()
            .iter()
            .filter_map(|v| self.log(*v))
            .map(|l| l.term)
            .max()
            .unwrap_or(0)
            + 1;
        for voter in voters(&config) {
            if self.is_up(voter)
                && let Some(disk) = self.disk_mut(voter)
            {
                Arc::make_mut(&mut disk.log).term = term;
            }
        }
        self.leader = Some(id);
        if let Some(disk) = self.disk_mut(id) {
            Arc::make_mut(&mut disk.log).append(What::Start);
        }
        if self
            .log(id)
            .is_some_and(|log| log.rows() < self.acknowledged)
        {
            self.broken = Some("an acknowledged row is lost");
        }
        self.commit();
    }

    /// The leader's log reaches a member that is to have it.
    pub(crate) fn replicate(&mut self, to: RaftId) {
        let Some(log) = self.leader.and_then(|id| self.shared_log(id)).cloned() else {
            return;
        };
        let Some(disk) = self.disk_mut(to) else {
            return;
        };
        disk.log = log;
        if disk.phase == NodePhase::Joining {
            disk.phase = NodePhase::Seeded;
        }
        self.commit();
    }

    /// What a majority holds is committed; a leader that was voted out goes.
    pub(crate) fn commit(&mut self) {
        let Some(leader) = self.leader else { return };
        let Some(log) = self.shared_log(leader).cloned() else {
            return;
        };
        let voters = voters(&log.config());
        let held = |n: usize| {
            let holds = |v: &&RaftId| self.log(**v).is_some_and(|l| l.holds(&log, n));
            voters.iter().filter(holds).count() * 2 > voters.len()
        };
        let ours = |n: &usize| log.entries[n - 1].term == log.term;
        let commit = (log.commit + 1..=log.entries.len())
            .rev()
            .filter(ours)
            .find(|n| held(*n));
        if let (Some(commit), Some(disk)) = (commit, self.disk_mut(leader)) {
            Arc::make_mut(&mut disk.log).commit = commit;
            self.acknowledged = self.acknowledged.max(log.rows_at(commit));
            if !voters.contains(&leader) {
                self.leader = None;
            }
        }
    }

    /// Takes out of the logs what every one of them has for good, so that equal worlds are equal.
    pub(crate) fn tidy(&mut self) {
        if self
            .leader
            .is_some_and(|id| !self.is_up(id) || self.log(id).is_none())
        {
            self.leader = None;
        }
        let logs = self
            .slots
            .values()
            .filter_map(|s| s.disk.as_ref())
            .filter(|d| !d.log.entries.is_empty());
        let Some(n) = logs.map(|d| d.log.commit).min().filter(|n| *n > 1) else {
            return;
        };
        let mut rows = 0;
        for disk in self.slots.values_mut().filter_map(|s| s.disk.as_mut()) {
            if !disk.log.entries.is_empty() {
                let before = disk.log.rows();
                Arc::make_mut(&mut disk.log).trim(n);
                rows = before - disk.log.rows();
            }
        }
        self.acknowledged = self.acknowledged.saturating_sub(rows);
    }

    /// What can be read from the API server.
    pub(crate) fn objects(&self) -> World {
        let slots = self.slots.iter().map(|(n, slot)| {
            let disk = slot.disk.as_ref().map(|disk| Disk {
                marked: disk.marked,
                ..Disk::empty(disk.uid)
            });
            let slot = Slot {
                disk,
                starts: 0,
                silent: false,
                ..slot.clone()
            };
            (*n, slot)
        });
        World {
            spec: self.spec.clone(),
            template: self.template,
            odd_fail: self.odd_fail,
            record: self.record.clone(),
            slots: slots.collect(),
            ..World::default()
        }
    }

    /// What an operator knows that read these objects, and asks the nodes now.
    pub(crate) fn facts(&self, objects: &World) -> Facts {
        let record = objects.record.as_deref();
        let known = record.into_iter().flat_map(|r| r.members.keys());
        let numbers: BTreeSet<Number> = known.chain(objects.slots.keys()).copied().collect();
        let forgotten = |n: &Number| {
            let known = record.is_none_or(|r| r.members.contains_key(n));
            let slot = objects.slots.get(n);
            !known
                && slot.is_none_or(|s| s.set.is_none() && s.disk.as_ref().is_none_or(|d| d.marked))
        };
        let seen = numbers.into_iter().filter(|n| !forgotten(n));
        Facts {
            spec: objects.spec.clone(),
            record: record.cloned(),
            seen: seen.map(|n| (n, self.seen(objects, n))).collect(),
            ..Facts::default()
        }
    }

    fn seen(&self, objects: &World, n: Number) -> Seen {
        let slot = objects.slots.get(&n).cloned().unwrap_or_default();
        let set = slot
            .set
            .map_or(Object::Absent, |uid| Object::Present(format!("set-{uid}")));
        let disk = slot.disk.as_ref();
        let node = self.slots.get(&n).filter(|_| self.is_up(id_of(n)));
        let node = node.and_then(|now| Some(self.says(n, now, now.disk.as_ref()?)));
        let compared = |version| match version == objects.template {
            true => Template::Current,
            false => Template::Outdated,
        };
        let pod = || format!("pod-{n}-{}", slot.runs);
        Seen {
            set,
            disk: disk.map_or(Object::Absent, |d| {
                Object::Present(format!("disk-{}", d.uid))
            }),
            disk_marked: disk.is_some_and(|d| d.marked),
            template: compared(slot.template),
            runs: compared(match slot.runs() {
                true => slot.runs,
                false => slot.template,
            }),
            pod: match slot.set {
                None => Pod::Absent,
                Some(_) if objects.starts(&slot) => Pod::Started(pod()),
                Some(_) if slot.runs() && slot.runs != slot.template => Pod::Stuck(pod()),
                Some(_) => Pod::Unstarted,
            },
            cordoned: slot.cordoned,
            unwanted: slot.unwanted && slot.set.is_some(),
            // Whoever has no pod is not asked.
            node: node
                .filter(|_| slot.runs())
                .map_or(Node::Unknown, Node::Says),
            ..Seen::default()
        }
    }

    fn says(&self, n: Number, slot: &Slot, disk: &Disk) -> NodeStatus {
        let id = id_of(n);
        let config = disk.log.config();
        let leads = self.leader.and_then(|l| self.log(l)).map(Log::config);
        let listed = leads.is_some_and(|c| c.get(&id) == Some(&Role::Voter));
        let servers = config.iter().map(|(id, role)| Server {
            id: *id,
            role: *role,
        });
        let last = |id: &RaftId| {
            let same = self.log(*id)?.agrees_with(&disk.log);
            Some((*id, same as u64 * STRIDE))
        };
        NodeStatus {
            instance: format!("{n}-{}", slot.starts),
            phase: disk.phase.clone(),
            leader: self
                .leader
                .filter(|_| listed && config.get(&id) == Some(&Role::Voter)),
            servers: servers.collect(),
            commit: disk.log.commit as u64 * STRIDE,
            followers: config.keys().filter_map(last).collect(),
            silent: Default::default(),
        }
    }

    /// What an operator decides now that read these objects, by the shipped function or by one that a mutant spoils.
    pub(crate) fn intend(&self, objects: &World, mutant: Option<Mutant>) -> Intention {
        let facts = self.facts(objects);
        let leader = facts.leader().map(|(n, _)| id_of(n));
        let step = match mutant {
            Some(mutant) => mutant.decide(facts),
            None => decide(&facts),
        };
        let told = match step {
            Step::Found(n) | Step::Open(n) | Step::Join(n) => Some(n),
            _ => None,
        };
        Intention {
            leader,
            start: told.and_then(|n| Some(self.slots.get(&n)?.starts)),
            record: objects.record.clone(),
            template: objects.template,
            step,
        }
    }
}

impl Intention {
    /// There is something to do.
    pub fn acts(&self) -> bool {
        !matches!(self.step, Step::Wait(_) | Step::Stalled(_) | Step::Done)
    }
}
