//! Random stories: whatever happens, the rules hold, and once all is quiet the goal is reached.

use operator_plan::{Change, Fit, Remedy, Step, Template};
use proptest::prelude::*;

use crate::{updates::made_from, world::World};

/// What may happen between two steps.
#[derive(Clone, Debug)]
enum Event {
    Steps(usize),
    Resize(u32),
    LoseDisk(usize),
    EmptyDisk(usize),
    Silence(usize),
    Lead(usize),
    Hang(Remedy),
    Outdate,
    Sleep(bool),
    Move(usize),
    Misfit,
    Lag(usize),
    LoseSet(usize),
    Place(usize, Option<String>),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (1usize..40).prop_map(Event::Steps),
        2 => (1u32..=9).prop_map(Event::Resize),
        1 => (0usize..9).prop_map(Event::LoseDisk),
        1 => (0usize..9).prop_map(Event::EmptyDisk),
        1 => (0usize..9).prop_map(Event::Silence),
        1 => (0usize..9).prop_map(Event::Lead),
        1 => prop_oneof![Just(Remedy::Transfer), Just(Remedy::Restart)].prop_map(Event::Hang),
        1 => Just(Event::Outdate),
        1 => any::<bool>().prop_map(Event::Sleep),
        1 => (0usize..9).prop_map(Event::Move),
        1 => Just(Event::Misfit),
        1 => (0usize..9).prop_map(Event::Lag),
        1 => (0usize..9).prop_map(Event::LoseSet),
        3 => (0usize..9, prop::option::of("[a-d]")).prop_map(|(i, zone)| Event::Place(i, zone)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// Whatever happens, as long as a majority of the voters' disks lives: the rules hold at every
    /// step (the world checks them), and once all is quiet the cluster becomes what the spec wants.
    #[test]
    fn the_rules_hold_and_the_goal_is_reached(events in prop::collection::vec(event(), 1..25)) {
        let mut world = World::new(3);
        world.run();
        for event in events {
            match event {
                Event::Steps(n) => { for _ in 0..n { if !world.step() { break } } }
                Event::Resize(members) => world.resize(members),
                Event::Silence(i) => world.nth(i).up ^= true,
                Event::Lead(i) => {
                    let voters = world.voters();
                    world.leader = Some(voters[i % voters.len()]);
                }
                Event::Hang(remedy) => {
                    world.change = Change::Hangs(remedy);
                    world.step();
                    world.change = Change::Settled;
                }
                Event::Outdate => made_from(&mut world, Template::Outdated),
                Event::Sleep(sleep) => world.spec.hibernated = sleep,
                Event::Misfit => for member in world.members.values_mut() { member.fit = Fit::Misfit },
                Event::Move(i) => world.nth(i).unwanted = true,
                Event::Lag(i) => world.nth(i).behind ^= true,
                Event::LoseSet(i) => world.nth(i).set = false,
                Event::Place(i, zone) => world.nth(i).zone = zone,
                Event::LoseDisk(i) | Event::EmptyDisk(i) => {
                    let n = world.number_of(i);
                    let mut after = world.clone();
                    after.lose_disk(n);
                    for member in after.members.values_mut() { (member.up, member.asleep) = (true, false); }
                    if after.has_quorum() {
                        if matches!(event, Event::LoseDisk(_)) { world.lose_disk(n) } else { world.empty_disk(n) }
                    }
                }
            }
        }
        for member in world.members.values_mut() { (member.up, member.behind) = (true, false); }
        world.spec.hibernated = false;
        let end = world.run();
        prop_assert_eq!(end, Step::Done, "{:?}", world);
        prop_assert_eq!(world.voters().len(), world.spec.voters as usize);
        prop_assert_eq!(world.members.len(), world.spec.members as usize);
        prop_assert_eq!(world.founded, 1);
    }
}
