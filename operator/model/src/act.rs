//! A step, taken on the world as it is by then. What names an object or a process finds that one or nothing.

use std::sync::Arc;

use operator_plan::{Entry, Intent, NodePhase, Number, RaftId, Record, Role, Step};

use crate::{
    mutant::Mutant,
    raft::{Config, Log, What, voters},
    world::{Disk, Intention, World, id_of},
};

impl World {
    /// Takes the step; one that came too late changes nothing. What follows from an answer is left out where none
    /// came.
    pub fn act(&mut self, meant: &Intention, answered: bool, mutant: Option<Mutant>) {
        match meant.step.clone() {
            Step::CreateRecord if self.record.is_none() => {
                let next = 1;
                self.record = Some(Arc::new(Record {
                    next,
                    ..Record::default()
                }));
            }
            Step::NewMember => self.remember(meant, |record| {
                let n = record.next;
                record.next += 1;
                let id = id_of(n);
                record.members.insert(
                    n,
                    Entry {
                        id,
                        ..Entry::default()
                    },
                );
            }),
            Step::RecordDisk(n, uid) => self.entry(meant, n, |e| e.disk = Some(uid)),
            Step::RecordIntent(member, disk) => {
                self.remember(meant, |r| r.intent = Some(Intent { member, disk }));
            }
            Step::RecordFounded => self.remember(meant, |r| r.founded = true),
            Step::RecordJoin(n, start) => self.entry(meant, n, |e| e.join = Some(start)),
            Step::Retire(n) => self.entry(meant, n, |e| e.retired = true),
            Step::RecordRemoved(n) => {
                self.takes_away(n);
                self.entry(meant, n, |e| e.removed = true);
            }
            Step::Forget(n) => {
                self.takes_away(n);
                self.remember(meant, |record| {
                    let gone = record.members.remove(&n);
                    record.retired.extend(gone.map(|e| e.id));
                });
            }
            Step::CreateDisk(n) => self.create_disk(n),
            Step::ApplySet(n) => self.apply_set(n, meant.template),
            Step::DeletePod(n, uid) => {
                let slot = self.slots.get_mut(&n);
                if let Some(slot) = slot.filter(|s| format!("pod-{n}-{}", s.runs) == uid) {
                    slot.runs = slot.template;
                    self.restart(n);
                }
            }
            Step::DeleteSet(n, uid) => {
                self.takes_away(n);
                let slot = self.slots.get_mut(&n);
                if let Some(slot) =
                    slot.filter(|s| s.set.map(|s| format!("set-{s}")).as_ref() == Some(&uid))
                {
                    (slot.set, slot.unwanted) = (None, false);
                    slot.starts += 1;
                }
            }
            Step::MarkDisk(n, uid) => {
                self.takes_away(n);
                if let Some(disk) = self.disk_called(n, &uid) {
                    (disk.marked, disk.log) = (true, Arc::default());
                }
            }
            Step::DeleteDisk(n, uid) => self.delete_disk(n, &uid),
            Step::Found(n) => self.order(meant, n, "found"),
            Step::Open(n) => self.order(meant, n, "open"),
            Step::Join(n) => self.order(meant, n, "join"),
            Step::Add(n) => drop(self.change(meant, mutant, |c| {
                c.entry(id_of(n)).or_insert(Role::Spare);
            })),
            Step::Assign(n, role) => drop(self.change(meant, mutant, |c| {
                c.entry(id_of(n)).and_modify(|r| *r = role);
            })),
            Step::RemoveRetired(id) => drop(self.change(meant, mutant, |c| {
                c.remove(&id);
            })),
            Step::Remove(n) => {
                let gone = self.change(meant, mutant, |c| {
                    c.remove(&id_of(n));
                });
                if gone && answered {
                    self.entry(meant, n, |e| e.removed = true);
                }
            }
            Step::Transfer(n) => {
                let to = id_of(n);
                let leads = meant.leader.is_some() && meant.leader == self.leader;
                if leads && self.could_lead(to, |id| self.is_up(id)) {
                    self.elect(to);
                }
            }
            // Nothing here grows or hangs.
            Step::CreateRecord | Step::GrowDisk(..) | Step::Restart(_) => {}
            Step::Wait(_) | Step::Stalled(_) | Step::Done => {}
        }
    }

    /// A write of the record carries the version that was read.
    fn remember(&mut self, meant: &Intention, change: impl FnOnce(&mut Record)) {
        if self.record == meant.record
            && let Some(record) = &mut self.record
        {
            change(Arc::make_mut(record));
        }
    }

    fn entry(&mut self, meant: &Intention, n: Number, change: impl FnOnce(&mut Entry)) {
        self.remember(meant, |record| {
            if let Some(entry) = record.members.get_mut(&n) {
                change(entry);
            }
        });
    }

    /// A pod that is there stays as it was made.
    fn apply_set(&mut self, n: Number, template: u8) {
        let made = match self.slots.get(&n).and_then(|s| s.set) {
            Some(_) => None,
            None => Some(self.uid()),
        };
        let slot = self.slots.entry(n).or_default();
        slot.template = template;
        if made.is_some() {
            (slot.set, slot.runs) = (made, template);
        }
    }

    fn create_disk(&mut self, n: Number) {
        if self.slots.get(&n).is_none_or(|s| s.disk.is_none()) {
            let uid = self.uid();
            let slot = self.slots.entry(n).or_default();
            slot.disk = Some(Disk::empty(uid));
            slot.starts += 1;
        }
    }

    fn disk_called(&mut self, n: Number, uid: &str) -> Option<&mut Disk> {
        let disk = self.slots.get_mut(&n)?.disk.as_mut()?;
        (format!("disk-{}", disk.uid) == uid).then_some(disk)
    }

    fn delete_disk(&mut self, n: Number, uid: &str) {
        if self.disk_called(n, uid).is_some() {
            self.takes_away(n);
            let slot = self.slots.get_mut(&n);
            slot.into_iter().for_each(|s| s.disk = None);
        }
    }

    /// Rule S6: what belongs to one that the cluster knows, or may know again, stays.
    fn takes_away(&mut self, n: Number) {
        if self.is_listed(n) {
            self.broken = Some("S6: something of a listed member is taken away");
        }
    }

    /// An order names the start of the process that was seen.
    fn order(&mut self, meant: &Intention, n: Number, order: &str) {
        let open = self.open;
        let recorded = self.record.clone().unwrap_or_default();
        let Some(slot) = self.slots.get_mut(&n) else {
            return;
        };
        if slot.silent || !slot.runs() || meant.start != Some(slot.starts) {
            return;
        }
        let Some(disk) = &mut slot.disk else { return };
        let own = recorded.members.get(&n).and_then(|e| e.disk.clone());
        match (order, &disk.phase) {
            ("found", NodePhase::Empty) => {
                // Until then nobody can have written anything.
                if open {
                    self.broken = Some("S1: founded again");
                }
                let named = |i: &Intent| i.member == n && own.as_ref() == Some(&i.disk);
                if !recorded.intent.as_ref().is_some_and(named) {
                    self.broken = Some("S1: founded without the intent to");
                }
                if own != Some(format!("disk-{}", disk.uid)) {
                    self.broken = Some("S3: founded on a disk that is not recorded");
                }
                (disk.phase, disk.log) = (NodePhase::Founding, Arc::new(Log::founded(id_of(n))));
            }
            ("open", NodePhase::Founding) => {
                if open || !recorded.founded {
                    self.broken = Some("S1: opened twice, or before it was recorded");
                }
                disk.phase = NodePhase::Open;
                self.open = true;
            }
            ("join", NodePhase::Empty) => {
                if own != Some(format!("disk-{}", disk.uid)) {
                    self.broken = Some("S3: joined on a disk that is not recorded");
                }
                disk.phase = NodePhase::Joining;
            }
            _ => {}
        }
    }

    /// A change of the membership at the leader that was seen; whether it is committed already. Raft refuses one
    /// beside another and one before an entry of the term is committed; the front's guard, one that a majority of the
    /// voters that are to be, the leader among them, does not confirm.
    fn change(
        &mut self,
        meant: &Intention,
        mutant: Option<Mutant>,
        change: impl FnOnce(&mut Config),
    ) -> bool {
        let Some(leader) = self.leader.filter(|id| meant.leader == Some(*id)) else {
            return false;
        };
        let Some(log) = self.log(leader).cloned() else {
            return false;
        };
        let busy = log.changes() && mutant != Some(Mutant::TwoChangesAtOnce);
        let early = !log.has_begun() && mutant != Some(Mutant::ChangesBeforeTheTermHasBegun);
        if busy || early {
            return false;
        }
        let mut config = log.config();
        change(&mut config);
        if config == log.config() {
            return true;
        }
        let confirmed = self.is_confirmed(leader, &config);
        if !confirmed && mutant != Some(Mutant::NobodyConfirms) {
            return false;
        }
        if !confirmed {
            self.broken = Some("S4: a change that those who are up cannot commit");
        }
        if !log.has_begun() {
            self.broken = Some("S4: a change before an entry of the term is committed");
        }
        if let Some(disk) = self.disk_mut(leader) {
            Arc::make_mut(&mut disk.log).append(What::Config(config));
            if disk.log.changes_under_way() > 1 {
                self.broken = Some("S5: two changes at once");
            }
            self.commit();
        }
        false
    }

    fn is_confirmed(&self, leader: RaftId, config: &Config) -> bool {
        let voters = voters(config);
        let confirms = |id: &&RaftId| {
            let lists = |log: &Log| log.config().contains_key(*id);
            self.is_up(**id) && self.log(**id).is_some_and(lists)
        };
        self.is_up(leader) && voters.iter().filter(confirms).count() * 2 > voters.len()
    }
}
