//! What may happen next, and what must always hold.

use std::sync::Arc;

use operator_plan::{NodePhase, Number, Role, Spec, Step, decide, default_voters};
use stateright::Property;

use crate::{
    mutant::Mutant,
    raft::{What, voters},
    rules,
    world::{Disk, Pass, Slot, World, id_of},
};

/// How often each thing may happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Faults {
    /// A process ends and starts anew, or a leader is deposed.
    pub ends: u8,
    /// A process does not answer, until it does.
    pub silences: u8,
    /// A disk is lost, emptied in place, or another under its name.
    pub losses: u8,
    /// A client writes a row.
    pub rows: u8,
    /// The user wants another number of members.
    pub resizes: u8,
    /// The user wants another template.
    pub updates: u8,
    /// A Kubernetes node is about to be drained.
    pub cordons: u8,
    /// A person asks for another member in one's place.
    pub moves: u8,
    /// The object is deleted, and applied again; its disks and its record are kept.
    pub deletions: u8,
}

/// What may happen to whom.
#[derive(Clone, Debug)]
pub struct Model {
    /// Operators that act at once; there should be one.
    pub operators: usize,
    /// Time passes between an operator's reading of the objects and its asking of the nodes.
    pub reads_take_time: bool,
    /// How often.
    pub faults: Faults,
    /// How many members the user wants, at first and later.
    pub sizes: Vec<u32>,
    /// The cluster is as the first of these sizes wants it; else there is nothing yet.
    pub begins_ready: bool,
    /// Disks of members that left are kept.
    pub retains: bool,
    /// Every second template is one from which no process starts.
    pub odd_templates_fail: bool,
    /// Of so many worlds one is followed until all is quiet: that takes as long as looking at many.
    pub settled: u64,
    /// What is wrong on purpose.
    pub mutant: Option<Mutant>,
}

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "they say what happens")]
pub enum Action {
    /// An operator reads the objects.
    Read(usize),
    /// It asks the nodes and decides.
    Decide(usize),
    /// It does what it decided, however long ago.
    Act(usize),
    /// It does so, and hears no answer.
    ActUnheard(usize),
    /// It ends before it does, or its request is lost.
    Forget(usize),
    Elect(Number),
    Replicate(Number),
    Write,
    End(Number),
    Silence(Number),
    Wake(Number),
    LoseDisk(Number),
    EmptyDisk(Number),
    ReplaceDisk(Number),
    Cordon(Number),
    Unwant(Number),
    DeleteObject,
    Update,
    Resize(u32),
}

impl Model {
    fn spec(&self, members: u32) -> Spec {
        let voters = default_voters(members);
        Spec {
            members,
            voters,
            delete_disks: !self.retains,
            hibernated: false,
        }
    }
}

impl stateright::Model for Model {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let mut world = World {
            spec: self.spec(self.sizes[0]),
            operators: vec![Pass::Begins; self.operators],
            faults: self.faults,
            odd_fail: self.odd_templates_fail,
            ..World::default()
        };
        assert!(!self.begins_ready || world.settles(None), "{world:?}");
        vec![world]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        if world.broken.is_some() {
            return;
        }
        for (i, pass) in world.operators.iter().enumerate() {
            match pass {
                Pass::Begins if self.reads_take_time => actions.push(Action::Read(i)),
                Pass::Begins => actions.push(Action::Decide(i)),
                Pass::Saw(_) => actions.extend([Action::Decide(i), Action::Forget(i)]),
                Pass::Means(meant) => {
                    actions.extend([Action::Act(i), Action::Forget(i)]);
                    if matches!(meant.step, Step::Remove(_)) {
                        actions.push(Action::ActUnheard(i));
                    }
                }
            }
        }
        let faults = world.faults;
        for (n, slot) in &world.slots {
            let id = id_of(*n);
            let may_lead = world.leader.is_none() || (faults.ends > 0 && world.leader != Some(id));
            if may_lead && world.could_lead(id, |v| world.is_up(v)) {
                actions.push(Action::Elect(*n));
            }
            if world.lacks(*n) {
                actions.push(Action::Replicate(*n));
            }
            if slot.silent {
                actions.push(Action::Wake(*n));
            } else if faults.silences > 0 && slot.runs() {
                actions.push(Action::Silence(*n));
            }
            if faults.ends > 0 && slot.runs() {
                actions.push(Action::End(*n));
            }
            if faults.cordons > 0 && slot.runs() && !slot.cordoned {
                actions.push(Action::Cordon(*n));
            }
            if faults.losses > 0 && slot.disk.is_some() {
                let losses = [Action::LoseDisk, Action::EmptyDisk, Action::ReplaceDisk];
                actions.extend(losses.map(|lose| lose(*n)));
            }
        }
        if faults.moves > 0 {
            let kept = world.record.iter().flat_map(|r| r.kept());
            let made = kept.filter(|(n, _)| world.slots.get(n).is_some_and(|s| s.set.is_some()));
            actions.extend(made.map(|(n, _)| Action::Unwant(n)));
        }
        if faults.updates > 0 {
            actions.push(Action::Update);
        }
        if faults.deletions > 0 && world.slots.values().any(|s| s.set.is_some()) {
            actions.push(Action::DeleteObject);
        }
        if faults.rows > 0 && world.open && world.leader.is_some() {
            actions.push(Action::Write);
        }
        if faults.resizes > 0 {
            let others = self.sizes.iter().filter(|n| **n != world.spec.members);
            actions.extend(others.map(|n| Action::Resize(*n)));
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        match action {
            Action::Read(i) => next.operators[i] = Pass::Saw(Arc::new(world.objects())),
            Action::Decide(i) => {
                let objects = match &world.operators[i] {
                    Pass::Saw(objects) => objects,
                    _ => world,
                };
                let meant = world.intend(objects, self.mutant);
                next.broken = rules::broken_by(world, objects, &meant.step);
                next.operators[i] = match meant.acts() {
                    true => Pass::Means(meant),
                    false => Pass::Begins,
                };
            }
            Action::Act(i) | Action::ActUnheard(i) => {
                if let Pass::Means(meant) = std::mem::take(&mut next.operators[i]) {
                    next.act(&meant, action == Action::Act(i), self.mutant);
                }
            }
            Action::Forget(i) => next.operators[i] = Pass::Begins,
            Action::Elect(n) => {
                if world.leader.is_some() {
                    next.faults.ends -= 1;
                }
                next.elect(id_of(n));
            }
            Action::Replicate(n) => next.replicate(id_of(n)),
            Action::Write => {
                next.faults.rows -= 1;
                let leader = next.disk_mut(world.leader?)?;
                Arc::make_mut(&mut leader.log).append(What::Row);
                next.commit();
            }
            Action::End(n) => {
                next.faults.ends -= 1;
                next.restart(n);
            }
            Action::Silence(n) => {
                next.faults.silences -= 1;
                next.slots.get_mut(&n)?.silent = true;
            }
            Action::Wake(n) => next.slots.get_mut(&n)?.silent = false,
            Action::LoseDisk(n) | Action::EmptyDisk(n) | Action::ReplaceDisk(n) => {
                next.faults.losses -= 1;
                next.restart(n);
                let disk = match action {
                    // The PVC is the same.
                    Action::EmptyDisk(_) => Some(Disk {
                        phase: NodePhase::Empty,
                        log: Arc::default(),
                        ..world.disk(id_of(n))?.clone()
                    }),
                    Action::ReplaceDisk(_) => Some(Disk {
                        by_hand: true,
                        ..Disk::empty(next.uid())
                    }),
                    _ => None,
                };
                next.slots.get_mut(&n)?.disk = disk;
                next.tidy();
                // That a majority of the voters' disks is lost is nobody's fault.
                if world.open && next.lost_a_majority_of(&world.configs()) {
                    return None;
                }
            }
            Action::Cordon(n) => {
                next.faults.cordons -= 1;
                next.slots.get_mut(&n)?.cordoned = true;
            }
            Action::Unwant(n) => {
                next.faults.moves -= 1;
                next.slots.get_mut(&n)?.unwanted = true;
            }
            Action::DeleteObject => {
                next.faults.deletions -= 1;
                for n in world.slots.keys() {
                    let slot = next.slots.get_mut(n)?;
                    (slot.set, slot.unwanted) = (None, false);
                    next.restart(*n);
                }
            }
            Action::Update => {
                next.faults.updates -= 1;
                next.template += 1;
            }
            Action::Resize(members) => {
                next.faults.resizes -= 1;
                next.spec = self.spec(members);
            }
        }
        next.tidy();
        (next != *world).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("the rules hold", |_, world: &World| world.broken.is_none()),
            Property::always(
                "a majority has every acknowledged row",
                |_, world: &World| !world.open || world.broken.is_some() || world.can_go_on(),
            ),
            Property::always(
                "the goal is reached once all is quiet",
                |model: &Model, world: &World| {
                    !world.is_one_of(model.settled)
                        || world.broken.is_some()
                        || world.clone().settles(model.mutant)
                },
            ),
            Property::always(
                "an update that fails stops at its first member",
                |model: &Model, world: &World| {
                    let others =
                        model.faults.losses + model.faults.resizes + model.faults.moves > 0;
                    let fails = |s: &&Slot| s.runs() && !world.starts(s);
                    others || !world.open || world.slots.values().filter(fails).count() <= 1
                },
            ),
            Property::sometimes(
                "all is done after an update",
                |model: &Model, world: &World| world.is_done_after(model, |faults| faults.updates),
            ),
            Property::sometimes(
                "all is done after a move",
                |model: &Model, world: &World| world.is_done_after(model, |faults| faults.moves),
            ),
            Property::sometimes("an update fails", |_, world: &World| {
                world.slots.values().any(|s| s.runs() && !world.starts(s))
            }),
            Property::sometimes("clients are let in", |_, world: &World| world.open),
            Property::sometimes("a member's disk is kept and marked", |_, world: &World| {
                let mut disks = world.slots.values().filter_map(|s| s.disk.as_ref());
                disks.any(|disk| disk.marked)
            }),
            Property::sometimes(
                "all is done after another size was asked for",
                |model: &Model, world: &World| world.is_done_after(model, |faults| faults.resizes),
            ),
            Property::sometimes(
                "all is done after a disk was lost",
                |model: &Model, world: &World| {
                    world.open && world.is_done_after(model, |faults| faults.losses)
                },
            ),
        ]
    }
}

impl World {
    /// What runs ends, and what comes next starts on a node that takes it.
    pub(crate) fn restart(&mut self, n: Number) {
        if let Some(slot) = self.slots.get_mut(&n) {
            slot.starts += 1;
            slot.cordoned = false;
        }
        if self.leader == Some(id_of(n)) {
            self.leader = None;
        }
    }

    /// All is as wanted after something of this kind has happened.
    fn is_done_after(&self, model: &Model, left: fn(&Faults) -> u8) -> bool {
        left(&self.faults) < left(&model.faults) && self.is_as_wanted()
    }

    /// The leader has something for this member.
    fn lacks(&self, n: Number) -> bool {
        let Some(log) = self.leader.and_then(|id| self.log(id)) else {
            return false;
        };
        let id = id_of(n);
        let gets = log
            .config()
            .get(&id)
            .is_some_and(|role| *role != Role::Spare);
        let takes = self.disk(id).is_some_and(|d| {
            matches!(
                d.phase,
                NodePhase::Joining | NodePhase::Seeded | NodePhase::Open
            ) && *d.log != *log
        });
        self.leader != Some(id) && gets && takes && self.is_up(id)
    }

    fn is_one_of(&self, many: u64) -> bool {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish().is_multiple_of(many)
    }

    /// Whether the goal is reached, or what only a person can lift, once nothing breaks any more.
    fn settles(&mut self, mutant: Option<Mutant>) -> bool {
        self.slots.values_mut().for_each(|s| s.silent = false);
        // Whoever wanted a template from which nothing starts wants another by then.
        self.template += u8::from(self.odd_fail && self.template % 2 == 1);
        self.operators
            .iter_mut()
            .for_each(|pass| *pass = Pass::Begins);
        for _ in 0..200 {
            if self.leader.is_none()
                && let Some(id) = self
                    .ids()
                    .into_iter()
                    .find(|id| self.could_lead(*id, |v| self.is_up(v)))
            {
                self.elect(id);
            }
            for n in self.slots.keys().copied().collect::<Vec<_>>() {
                if self.lacks(n) {
                    self.replicate(id_of(n));
                }
            }
            self.tidy();
            let meant = self.intend(self, mutant);
            self.broken = rules::broken_by(self, self, &meant.step);
            match &meant.step {
                Step::Done => return self.is_as_wanted(),
                // Only a person can lift it.
                Step::Stalled(_) => return !self.open || !self.can_have_leader(),
                _ => self.act(&meant, true, mutant),
            }
            if self.broken.is_some() {
                return false;
            }
        }
        false
    }

    /// Done, and so it is: as many members and voters as the spec wants, and nothing left of others but what it keeps.
    fn is_as_wanted(&self) -> bool {
        let kept: Vec<_> = self
            .record
            .iter()
            .flat_map(|r| r.kept())
            .map(|(n, _)| n)
            .collect();
        // An operator too many may make an empty one late, which nobody misses.
        let left = self.slots.iter().any(|(n, slot)| {
            let late = self.operators.len() > 1;
            let stays = |d: &Disk| {
                let others = d.by_hand || (late && d.phase == NodePhase::Empty);
                !others && (self.spec.delete_disks || !d.marked)
            };
            let disk = slot.disk.as_ref().is_some_and(stays);
            !kept.contains(n) && (slot.set.is_some() || disk)
        });
        let config = self.config();
        decide(&self.facts(self)) == Step::Done
            && kept.len() == self.spec.members as usize
            && config.len() == kept.len()
            && voters(&config).len() == self.spec.voters as usize
            && !left
    }
}
