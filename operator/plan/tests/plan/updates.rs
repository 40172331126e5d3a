//! Stories of what changes members that serve.

use operator_plan::{Fit, NodePhase, Pod, Reason, Role, Step, Template};

use crate::world::{World, position, ready};

/// Every member was made from, and runs from, such a template.
pub fn made_from(world: &mut World, template: Template) {
    for member in world.members.values_mut() {
        (member.template, member.runs) = (template, template);
    }
}

/// The spec's template changes.
fn outdate(world: &mut World) {
    made_from(world, Template::Outdated);
}

/// The spec's template changes to one from which nothing answers.
fn outdate_badly(world: &mut World) {
    outdate(world);
    for member in world.members.values_mut() {
        member.broken = true;
    }
}

/// The spec is put back: only member 2 was made from the bad template.
fn put_back(world: &mut World) {
    made_from(world, Template::Current);
    for member in world.members.values_mut() {
        member.broken = false;
    }
    let tried = world.members.get_mut(&2).unwrap();
    (tried.template, tried.runs) = (Template::Outdated, Template::Outdated);
}

fn pods_deleted(world: &World) -> Vec<u32> {
    let deleted = world.log.iter().filter_map(|step| match step {
        Step::DeletePod(n, _) => Some(*n),
        _ => None,
    });
    deleted.collect()
}

fn members(world: &World) -> Vec<u32> {
    world.members.keys().copied().collect()
}

#[test]
fn a_template_is_rolled_one_by_one_and_the_leader_last_after_a_transfer() {
    let mut world = ready(5);
    outdate(&mut world);
    assert_eq!(world.run(), Step::Done);
    assert_eq!(pods_deleted(&world), [2, 3, 4, 5, 1]);
    let transferred = position(&world, |s| *s == Step::Transfer(2));
    assert!(transferred < position(&world, |s| matches!(s, Step::DeletePod(1, _))));
    assert!(world.members.values().all(|m| m.runs == Template::Current));
}

#[test]
fn one_that_does_not_come_back_stops_the_roll_and_the_spec_put_back_mends_it() {
    let mut world = ready(3);
    outdate_badly(&mut world);
    assert_eq!(world.run(), Step::Wait(Reason::VoterDown(2)));
    assert_eq!(pods_deleted(&world), [2]);
    put_back(&mut world);
    assert_eq!(world.run(), Step::Done);
    assert_eq!(pods_deleted(&world), [2, 2]);
}

#[test]
fn the_only_member_is_mended_too() {
    let mut world = ready(1);
    outdate(&mut world);
    world.members.get_mut(&1).unwrap().up = false;
    assert_eq!(world.run(), Step::Done);
    assert_eq!(pods_deleted(&world), [1]);
}

#[test]
fn nothing_goes_down_while_a_voter_lacks_entries() {
    let mut world = ready(3);
    outdate(&mut world);
    world.members.get_mut(&3).unwrap().behind = true;
    world.run();
    assert_eq!(pods_deleted(&world), [3], "it may go itself");
    assert_eq!(world.run(), Step::Wait(Reason::UpdateHeld(3)));
    world.members.get_mut(&3).unwrap().behind = false;
    assert_eq!(world.run(), Step::Done);
}

#[test]
fn another_version_of_the_operator_restarts_nothing() {
    let mut world = ready(3);
    made_from(&mut world, Template::Older);
    let before = world.log.len();
    assert_eq!(world.run(), Step::Wait(Reason::UpdatePending(1)));
    assert_eq!(world.log.len(), before + 1);
}

#[test]
fn a_member_that_is_moved_leaves_when_the_next_one_votes() {
    let mut world = ready(3);
    let leader = world.leader.and_then(|id| world.number(id)).unwrap();
    world.members.get_mut(&leader).unwrap().unwanted = true;
    assert_eq!(world.run(), Step::Done);
    assert!(!world.members.contains_key(&leader));
    let promoted = position(&world, |s| *s == Step::Assign(4, Role::Voter));
    assert!(promoted < position(&world, |s| *s == Step::Remove(leader)));
}

#[test]
fn disks_that_cannot_become_what_the_spec_says_are_replaced_one_by_one() {
    let mut world = ready(3);
    for member in world.members.values_mut() {
        member.fit = Fit::Misfit;
    }
    assert_eq!(world.run(), Step::Done);
    assert_eq!(members(&world), [4, 5, 6]);
    for (old, next) in [(2, 3), (3, 1)] {
        let gone = position(&world, |s| *s == Step::Remove(old));
        let retired = position(&world, |s| *s == Step::Retire(next));
        assert!(gone < retired, "one at a time");
    }
}

#[test]
fn a_disk_that_is_too_small_is_never_made() {
    let mut world = ready(3);
    for member in world.members.values_mut() {
        member.fit = Fit::TooSmall;
    }
    assert_eq!(world.run(), Step::Stalled(Reason::DiskTooSmall(1)));
    assert_eq!(members(&world), [1, 2, 3]);
}

#[test]
fn a_disk_grows_in_place() {
    let mut world = ready(3);
    for member in world.members.values_mut() {
        member.fit = Fit::Grows;
    }
    assert_eq!(world.run(), Step::Done);
    assert!(pods_deleted(&world).is_empty());
    let grown = world.log.iter().filter(|s| matches!(s, Step::GrowDisk(..)));
    assert_eq!(grown.count(), 3);
}

#[test]
fn all_sleep_the_leader_last_and_the_same_members_wake() {
    let mut world = ready(3);
    world.spec.hibernated = true;
    assert_eq!(world.run(), Step::Wait(Reason::Hibernated));
    let slept: Vec<_> = world.log.iter().rev().skip(1).take(3).collect();
    let steps = [Step::ApplySet(1), Step::ApplySet(3), Step::ApplySet(2)];
    assert_eq!(slept, steps.iter().collect::<Vec<_>>());
    assert!(world.members.values().all(|m| m.asleep && m.disk.is_some()));
    world.spec.hibernated = false;
    assert_eq!(world.run(), Step::Done);
    assert_eq!(members(&world), [1, 2, 3]);
}

#[test]
fn members_that_leave_sleep_too_and_have_their_votes_when_they_wake() {
    let mut world = ready(5);
    world.resize(3);
    while !world.log.contains(&Step::Retire(5)) {
        assert!(world.step());
    }
    world.spec.hibernated = true;
    assert_eq!(world.run(), Step::Wait(Reason::Hibernated));
    assert!(world.members[&5].asleep, "it votes still");
    world.spec.hibernated = false;
    assert_eq!(world.run(), Step::Done);
    assert_eq!(world.voters().len(), 3);
}

#[test]
fn leadership_leaves_a_node_that_is_about_to_be_drained() {
    let mut world = ready(3);
    world.members.get_mut(&1).unwrap().cordoned = true;
    world.members.get_mut(&2).unwrap().cordoned = true;
    assert_eq!(world.run(), Step::Done);
    assert_eq!(world.leader, Some(world.id(3)));
    world.members.get_mut(&3).unwrap().cordoned = true;
    let before = world.log.len();
    assert_eq!(world.run(), Step::Done);
    assert_eq!(world.log.len(), before + 1, "nowhere is better");
}

#[test]
fn two_lost_disks_of_five_are_replaced() {
    let mut world = ready(5);
    world.lose_disk(1);
    world.lose_disk(4);
    assert_eq!(world.run(), Step::Done);
    assert_eq!(world.voters().len(), 5);
    assert!(!world.members.contains_key(&1) && !world.members.contains_key(&4));
}

/// The object was deleted under `Retain` and is applied again: StatefulSets are gone, record and disks
/// are there, but for the lost ones.
fn applied_again(members: u32, lost: &[u32]) -> World {
    let mut world = ready(3);
    for (n, member) in &mut world.members {
        member.set = false;
        if lost.contains(n) {
            (member.disk, member.phase) = (None, None);
        }
    }
    world.resize(members);
    world
}

#[test]
fn an_object_that_is_applied_again_finds_its_members() {
    for (size, lost, kept) in [
        (3, &[][..], &[1, 2, 3][..]),
        (5, &[][..], &[1, 2, 3, 4, 5][..]),
        (1, &[][..], &[1][..]),
        (3, &[2][..], &[1, 3, 4][..]),
    ] {
        let mut world = applied_again(size, lost);
        assert_eq!(world.run(), Step::Done, "{size} {lost:?}");
        assert_eq!(members(&world), kept);
        assert_eq!(world.founded, 1);
    }
    let mut world = applied_again(3, &[1, 3]);
    assert_eq!(world.run(), Step::Stalled(Reason::QuorumLost(vec![1, 3])));
    assert_eq!(world.members[&2].phase, Some(NodePhase::Seeded));
}

/// A held update must not spread to a member whose pod goes for another reason.
#[test]
fn one_that_dies_while_an_update_is_held_brings_back_what_it_ran() {
    let mut world = ready(3);
    outdate_badly(&mut world);
    assert_eq!(world.run(), Step::Wait(Reason::VoterDown(2)));
    for pod in [Pod::Absent, Pod::Unstarted] {
        let member = world.members.get_mut(&3).unwrap();
        (member.up, member.pod_seen) = (false, Some(pod));
        world.run();
        let kept = world.members[&3].template;
        assert_eq!(kept, Template::Outdated, "nothing was applied");
    }
}

/// A voter that is to leave is mended like any other: the others need its vote.
#[test]
fn a_broken_voter_that_is_to_leave_is_mended() {
    let mut world = ready(3);
    outdate_badly(&mut world);
    world.run();
    world.resize(1);
    assert_eq!(world.run(), Step::Wait(Reason::VoterDown(2)));
    put_back(&mut world);
    assert_eq!(world.run(), Step::Done);
    assert_eq!(world.voters().len(), 1);
}

#[test]
fn leadership_does_not_go_to_and_fro_between_a_drain_and_an_update() {
    let mut world = ready(3);
    outdate(&mut world);
    for n in [2, 3] {
        let member = world.members.get_mut(&n).unwrap();
        (member.template, member.runs) = (Template::Current, Template::Current);
        member.cordoned = true;
    }
    assert_eq!(world.run(), Step::Done);
    assert_eq!(world.leader, Some(world.id(1)));
    let transfers = world.log.iter().filter(|s| matches!(s, Step::Transfer(_)));
    assert_eq!(transfers.count(), 2);
}

#[test]
fn a_sick_member_without_a_vote_can_be_moved() {
    let mut world = ready(4);
    let member = world.members.get_mut(&4).unwrap();
    (member.up, member.unwanted) = (false, true);
    assert_eq!(world.run(), Step::Done);
    assert!(!world.members.contains_key(&4));
}
