//! Stories of votes and zones.

use operator_plan::{Spread, Step, voters_spread};

use crate::world::{World, ready};

/// Members in these zones, in the order of their numbers.
fn place(world: &mut World, zones: &[&str]) {
    for (member, zone) in world.members.values_mut().zip(zones) {
        member.zone = Some((*zone).to_owned());
    }
}

/// Zones of the voters.
fn zones(world: &World) -> Vec<String> {
    let voters = world.voters().into_iter();
    let members = voters.map(|id| &world.members[&world.number(id).unwrap()]);
    let mut zones: Vec<_> = members.map(|m| m.zone.clone().unwrap()).collect();
    zones.sort();
    zones
}

/// Five members, of which three vote.
fn three_of_five(zones: &[&str]) -> World {
    let mut world = World::new(5);
    world.spec.voters = 3;
    assert_eq!(world.run(), Step::Done);
    place(&mut world, zones);
    world.log.clear();
    world
}

#[test]
fn votes_leave_a_zone_that_holds_a_majority() {
    let mut world = three_of_five(&["a", "a", "a", "b", "c"]);
    let spread = voters_spread(&world.facts());
    assert_eq!(spread, Spread::Majority("a".into(), vec![1, 2, 3]));
    assert_eq!(world.run(), Step::Done);
    assert_eq!(zones(&world), ["a", "b", "c"]);
    assert_eq!(voters_spread(&world.facts()), Spread::Even);
    assert_eq!(world.leader, Some(world.id(1)), "who may stay, stays");
}

#[test]
fn votes_that_are_spread_stay_where_they_are() {
    let mut world = three_of_five(&["a", "b", "c", "a", "b"]);
    assert_eq!(world.run(), Step::Done);
    assert_eq!(world.log, [Step::Done]);
}

#[test]
fn no_vote_moves_where_it_would_not_help() {
    for zones in [["a", "a", "b", "b", "a"], ["a", "a", "a", "a", "b"]] {
        let mut world = three_of_five(&zones);
        assert_eq!(world.run(), Step::Done);
        assert_eq!(world.log, [Step::Done], "{zones:?}");
    }
}

/// A pod that starts anew is nowhere for a while.
#[test]
fn no_vote_moves_while_a_zone_is_unknown() {
    let mut world = three_of_five(&["a", "a", "b", "b", "c"]);
    world.members.get_mut(&5).unwrap().zone = None;
    assert_eq!(world.run(), Step::Done);
    assert_eq!(world.log, [Step::Done]);
}

#[test]
fn who_is_needed_for_an_even_spread_does_not_leave() {
    let mut world = ready(5);
    place(&mut world, &["a", "a", "b", "c", "c"]);
    world.resize(3);
    assert_eq!(world.run(), Step::Done);
    assert_eq!(zones(&world), ["a", "b", "c"]);
}

#[test]
fn who_leaves_is_not_chosen_by_a_zone_that_is_unknown() {
    let mut world = ready(5);
    place(&mut world, &["a", "b", "c", "a", "b"]);
    world.members.get_mut(&1).unwrap().zone = None;
    world.resize(3);
    assert_eq!(world.run(), Step::Done);
    assert_eq!(world.members.keys().copied().collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn spares_get_the_log_where_the_votes_need_their_zones() {
    for places in [
        &["a", "a", "a", "b", "a", "a", "c"][..],
        &["a", "a", "a", "a", "a", "a", "b", "c", "a"],
    ] {
        let mut world = World::new(places.len() as u32);
        world.spec.voters = 3;
        assert_eq!(world.run(), Step::Done);
        place(&mut world, places);
        assert_eq!(world.run(), Step::Done);
        assert_eq!(zones(&world), ["a", "b", "c"], "{places:?}");
        world.log.clear();
        assert_eq!(world.run(), Step::Done);
        assert_eq!(world.log, [Step::Done], "and stays");
    }
}

/// A pod that starts anew is nowhere for a while.
#[test]
fn no_spare_gets_the_log_while_a_zone_is_unknown() {
    let mut world = World::new(7);
    world.spec.voters = 3;
    assert_eq!(world.run(), Step::Done);
    place(&mut world, &["a", "a", "a", "b", "a", "a", "c"]);
    world.members.get_mut(&5).unwrap().zone = None;
    world.log.clear();
    assert_eq!(world.run(), Step::Done);
    assert_eq!(world.log, [Step::Done]);
}

#[test]
fn the_leader_keeps_its_vote_if_another_can_go() {
    let mut world = three_of_five(&["a", "a", "a", "b", "c"]);
    world.leader = Some(world.id(3));
    assert_eq!(world.run(), Step::Done);
    assert_eq!(world.leader, Some(world.id(3)));
    assert_eq!(zones(&world), ["a", "b", "c"]);
}
