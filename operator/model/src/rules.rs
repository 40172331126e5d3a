//! The rules of the design that a decision can break, asked about the objects that were read and the nodes as they are when
//! the decision is made: what an operator knows is at most less than that.

use operator_plan::{NodePhase, Number, RaftId, Record, Role, Step};

use crate::{
    raft::voters,
    world::{World, id_of, number_of},
};

/// The rule that this step breaks, if it does.
pub fn broken_by(world: &World, objects: &World, step: &Step) -> Option<&'static str> {
    let record = objects.record.as_deref()?;
    let votes = |n: &Number| world.config().get(&id_of(*n)) == Some(&Role::Voter);
    match step {
        Step::Retire(n) => {
            let too_many = record.kept().count() > objects.spec.members as usize;
            let lost = world.is_lost(objects, *n);
            let unwanted = objects.slots.get(n).is_some_and(|slot| slot.unwanted);
            (!too_many && !lost && !unwanted)
                .then_some("S11: a member is retired that is not lost, unwanted or one too many")
        }
        Step::DeletePod(n, _) if votes(n) && world.is_up(id_of(*n)) => takes_down(world, *n),
        Step::Assign(n, Role::Voter) => another_is_down(world, objects, *n),
        Step::Remove(n) | Step::Assign(n, _) if votes(n) => {
            if world.leader == Some(id_of(*n)) {
                return Some("S4: the leader loses its vote before it hands over");
            }
            another_is_down(world, objects, *n)
                .or_else(|| replacements_lack(world, objects, record, *n))
                .or_else(|| leaves_too_early(world, objects, *n))
        }
        _ => None,
    }
}

/// A voter that is lost stands in nobody's way.
fn another_is_down(world: &World, objects: &World, n: Number) -> Option<&'static str> {
    let others = voters(&world.config()).into_iter();
    let mut others = others.filter(|id| *id != id_of(n) && !world.is_lost(objects, number_of(*id)));
    others
        .any(|id| !world.is_up(id))
        .then_some("S4: a vote moves while another voter is down")
}

/// A voter that serves is taken down by us.
fn takes_down(world: &World, n: Number) -> Option<&'static str> {
    let others: Vec<_> = voters(&world.config());
    let others: Vec<_> = others.into_iter().filter(|id| *id != id_of(n)).collect();
    if world.leader == Some(id_of(n)) && !others.is_empty() {
        return Some("S8: the leader's pod goes before it hands over");
    }
    let leader = world.leader.and_then(|id| world.log(id))?;
    let well = |id: &RaftId| {
        let log = world.log(*id).filter(|_| world.is_up(*id));
        log.is_some_and(|log| log.holds(leader, leader.commit))
    };
    (!others.iter().all(well)).then_some("S8: a voter's pod goes while another is not well")
}

/// Those who are wanted have their votes before another's goes, but for one that is lost.
fn leaves_too_early(world: &World, objects: &World, n: Number) -> Option<&'static str> {
    let left = voters(&world.config()).len() - 1;
    (left < objects.spec.voters as usize && !world.is_lost(objects, n))
        .then_some("S4: a voter leaves before another has its vote")
}

fn replacements_lack(
    world: &World,
    objects: &World,
    record: &Record,
    n: Number,
) -> Option<&'static str> {
    let config = world.config();
    let able = |m: &Number| match config.get(&id_of(*m)) {
        Some(Role::Voter) => !world.is_lost(objects, *m),
        Some(Role::Standby) => world
            .disk(id_of(*m))
            .is_some_and(|d| d.phase == NodePhase::Seeded),
        _ => false,
    };
    let others = record.kept().map(|(m, _)| m).filter(|m| *m != n);
    (others.filter(able).count() < objects.spec.voters as usize)
        .then_some("S4: a voter leaves before those who replace it have caught up")
}
