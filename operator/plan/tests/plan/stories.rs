//! Stories told step by step: founding, joining, leaving, loss.

use operator_plan::{Change, NodePhase, Object, Pod, Reason, Remedy, Role, Step, Template};

use crate::{
    updates::made_from,
    world::{World, position, ready},
};

#[test]
fn a_cluster_is_founded_in_the_recorded_order() {
    let world = ready(3);
    let at = |step| position(&world, |s| *s == step);
    let intent = position(&world, |s| matches!(s, Step::RecordIntent(1, _)));
    assert!(intent < at(Step::Found(1)));
    assert!(at(Step::Found(1)) < at(Step::RecordFounded));
    assert!(at(Step::RecordFounded) < at(Step::Open(1)));
    assert!(at(Step::Open(1)) < at(Step::Add(2)));
    let join = position(&world, |s| matches!(s, Step::RecordJoin(2, _)));
    assert!(join < at(Step::Join(2)), "recorded before it is told");
    assert!(at(Step::Join(2)) < at(Step::Add(2)));
    assert!(at(Step::Assign(2, Role::Standby)) < at(Step::Assign(2, Role::Voter)));
    assert_eq!(world.voters().len(), 3);
}

#[test]
fn roles_follow_the_number_of_members() {
    for (members, voters, standbys) in [
        (1, 1, 0),
        (2, 1, 1),
        (3, 3, 0),
        (4, 3, 1),
        (5, 5, 0),
        (9, 5, 3),
    ] {
        let world = ready(members);
        let count = |role| world.config.iter().filter(|s| s.role == role).count();
        assert_eq!(
            (count(Role::Voter), count(Role::Standby)),
            (voters, standbys),
            "{members}"
        );
    }
}

#[test]
fn scaling_in_moves_the_leader_before_it_goes_and_keeps_no_object() {
    let mut world = ready(3);
    world.leader = Some(world.id(3));
    world.resize(1);
    assert_eq!(world.run(), Step::Done);
    let transfer = position(&world, |s| *s == Step::Transfer(1));
    assert!(
        position(&world, |s| *s == Step::Remove(2)) < transfer,
        "it goes last"
    );
    assert!(transfer < position(&world, |s| *s == Step::Remove(3)));
    assert_eq!(world.voters(), [world.id(1)]);
    assert_eq!(world.members.keys().collect::<Vec<_>>(), [&1]);
}

#[test]
fn numbers_and_ids_are_never_used_twice() {
    let mut world = ready(3);
    for members in [5, 3, 1, 3] {
        world.resize(members);
        assert_eq!(world.run(), Step::Done);
    }
    assert_eq!(world.members.keys().copied().collect::<Vec<_>>(), [1, 6, 7]);
}

#[test]
fn a_lost_voter_goes_only_when_its_replacement_has_caught_up() {
    let mut world = ready(3);
    world.lose_disk(2);
    assert_eq!(world.run(), Step::Done);
    let standby = position(&world, |s| *s == Step::Assign(4, Role::Standby));
    let remove = position(&world, |s| *s == Step::Remove(2));
    assert!(standby < remove && remove < position(&world, |s| *s == Step::Assign(4, Role::Voter)));
    assert_eq!(world.voters().len(), 3);
}

#[test]
fn a_replacement_that_lost_its_role_with_a_leader_gets_it_again() {
    let mut world = ready(3);
    world.lose_disk(2);
    while world.log.last() != Some(&Step::Assign(4, Role::Standby)) {
        assert!(world.step());
    }
    // It has the log; the next leader has never heard of its role.
    let id = world.id(4);
    let listed = world.config.iter_mut().find(|s| s.id == id);
    listed.unwrap().role = Role::Spare;
    assert_eq!(world.run(), Step::Done);
}

#[test]
fn a_spare_that_answers_replaces_a_voter_where_all_standbys_are_down() {
    let mut world = ready(9);
    for n in 6..=8 {
        world.members.get_mut(&n).unwrap().up = false;
    }
    world.newcomers_are_silent = true;
    world.lose_disk(5);
    world.run();
    let (voters, spare) = (world.voters(), world.id(9));
    assert!(voters.len() == 5 && voters.contains(&spare), "{voters:?}");
}

#[test]
fn a_lost_voter_stays_while_its_replacement_does_not_answer() {
    let mut world = ready(3);
    world.newcomers_are_silent = true;
    world.lose_disk(2);
    let voters = world.voters();
    assert_eq!(world.run(), Step::Wait(Reason::ReplacementCatchingUp));
    assert_eq!(world.voters(), voters);
    world.members.get_mut(&4).unwrap().up = true;
    assert_eq!(world.run(), Step::Done);
}

#[test]
fn a_disk_emptied_in_place_is_a_lost_disk() {
    for n in [1, 3] {
        let mut world = ready(3);
        world.empty_disk(n);
        assert_eq!(world.run(), Step::Done);
        assert!(!world.members.contains_key(&n), "never filled again");
        assert!(world.members.contains_key(&4));
    }
}

#[test]
fn two_lost_disks_of_five_are_replaced_one_by_one() {
    let mut world = ready(5);
    world.lose_disk(2);
    world.empty_disk(4);
    assert_eq!(world.run(), Step::Done);
    assert_eq!(world.voters().len(), 5);
    assert_eq!(world.founded, 1);
}

#[test]
fn no_vote_moves_while_a_voter_is_silent() {
    let mut world = ready(3);
    world.members.get_mut(&2).unwrap().up = false;
    world.resize(5);
    let before = world.voters();
    assert_eq!(world.run(), Step::Wait(Reason::VoterDown(2)));
    assert_eq!(
        world.voters(),
        before,
        "silence is no loss, and nothing follows from it"
    );
    assert_eq!(world.config.len(), 5, "standbys are made meanwhile");
    world.members.get_mut(&2).unwrap().up = true;
    assert_eq!(world.run(), Step::Done);
    assert_eq!(world.voters().len(), 5);
}

#[test]
fn a_lost_majority_is_left_alone() {
    let mut world = ready(3);
    world.lose_disk(1);
    world.lose_disk(2);
    let (config, members) = (world.config.clone(), world.members.len());
    assert_eq!(world.run(), Step::Stalled(Reason::QuorumLost(vec![1, 2])));
    assert_eq!(
        (world.config.clone(), world.members.len()),
        (config, members)
    );
    assert_eq!(world.founded, 1);
}

#[test]
fn a_founder_lost_before_anyone_has_a_copy_stalls() {
    let mut world = World::new(3);
    while world.log.last() != Some(&Step::RecordFounded) {
        assert!(world.step());
    }
    world.lose_disk(1);
    assert_eq!(world.run(), Step::Stalled(Reason::FounderLost(1)));
}

#[test]
fn before_it_is_founded_another_founds_only_when_the_disk_exists_no_more() {
    let mut world = World::new(3);
    while !matches!(world.log.last(), Some(Step::RecordIntent(..))) {
        assert!(world.step());
    }
    world.members.get_mut(&1).unwrap().up = false;
    assert_eq!(
        world.run(),
        Step::Wait(Reason::MemberStarting(1)),
        "silence lets nobody else found"
    );
    world.lose_disk(1);
    assert_eq!(world.run(), Step::Done);
    assert_eq!(world.founded, 1);
}

#[test]
fn an_unknown_id_stalls_and_a_retired_one_is_removed() {
    let mut world = ready(3);
    world.config.push(operator_plan::Server {
        id: 7,
        role: Role::Voter,
    });
    world.config.last_mut().unwrap().role = Role::Spare;
    assert_eq!(world.run(), Step::Stalled(Reason::UnknownMember(7)));
    world.record.as_mut().unwrap().retired.insert(7);
    assert_eq!(world.run(), Step::Done);
    assert_eq!(world.config.len(), 3);
}

#[test]
fn a_record_that_is_gone_founds_nothing() {
    let mut world = ready(3);
    world.record = None;
    assert_eq!(world.run(), Step::Stalled(Reason::RecordMissing));
}

#[test]
fn a_refused_disk_is_replaced() {
    let mut world = ready(3);
    world.members.get_mut(&3).unwrap().phase = Some(NodePhase::Refused("copied".into()));
    assert_eq!(world.run(), Step::Done);
    assert!(!world.members.contains_key(&3));
}

#[test]
fn a_foreign_object_stops_everything_and_one_that_goes_is_waited_for() {
    let mut world = ready(3);
    world.members.get_mut(&2).unwrap().disk_seen = Some(Object::Foreign);
    assert_eq!(world.run(), Step::Stalled(Reason::NameTaken(2)));
    world.members.get_mut(&2).unwrap().disk_seen = None;
    world.members.get_mut(&2).unwrap().set_seen = Some(Object::Deleting("old".into()));
    assert_eq!(world.run(), Step::Wait(Reason::WaitingForDeletion(2)));
}

#[test]
fn a_disk_that_is_being_deleted_is_replaced_while_it_still_serves() {
    let mut world = ready(3);
    let disk = world.members[&2].disk.clone().unwrap();
    world.members.get_mut(&2).unwrap().disk_seen = Some(Object::Deleting(disk));
    assert_eq!(world.run(), Step::Done);
    let promoted = position(&world, |s| *s == Step::Assign(4, Role::Voter));
    assert!(
        promoted < position(&world, |s| *s == Step::Remove(2)),
        "the new vote comes first"
    );
}

#[test]
fn what_runs_keeps_its_template_and_what_never_ran_takes_the_new_one() {
    let mut world = ready(3);
    made_from(&mut world, Template::Older);
    let before = world.log.len();
    assert_eq!(world.run(), Step::Wait(Reason::UpdatePending(1)));
    assert_eq!(world.log.len(), before + 1, "nothing is touched");
    let member = world.members.get_mut(&3).unwrap();
    (member.up, member.pod_seen) = (false, Some(Pod::Unstarted));
    (member.template, member.runs) = (Template::Outdated, Template::Outdated);
    world.step();
    assert_eq!(world.log.last(), Some(&Step::ApplySet(3)));
    world.members.get_mut(&3).unwrap().pod_seen = Some(Pod::Stuck("pod-3".into()));
    world.step();
    assert_eq!(world.log.last(), Some(&Step::DeletePod(3, "pod-3".into())));
}

#[test]
fn disks_of_members_that_left_are_deleted_only_under_delete() {
    for delete in [false, true] {
        let mut world = ready(3);
        world.spec.delete_disks = delete;
        world.resize(1);
        assert_eq!(world.run(), Step::Done);
        let deleted = |s: &&Step| matches!(s, Step::DeleteDisk(..));
        assert_eq!(
            world.log.iter().filter(deleted).count(),
            if delete { 2 } else { 0 }
        );
        let at = |step: fn(&Step) -> bool| position(&world, step);
        assert!(at(|s| matches!(s, Step::Remove(3))) < at(|s| matches!(s, Step::MarkDisk(3, _))));
        assert!(
            at(|s| matches!(s, Step::MarkDisk(3, _))) < at(|s| matches!(s, Step::DeleteSet(3, _)))
        );
    }
}

/// Found by the model: such a disk was marked, and stayed.
#[test]
fn a_disk_that_was_made_and_not_recorded_goes_with_its_member() {
    let mut world = ready(3);
    world.spec.delete_disks = true;
    world.resize(4);
    while world.log.last() != Some(&Step::CreateDisk(4)) {
        assert!(world.step());
    }
    world.resize(3);
    assert_eq!(world.run(), Step::Done);
    let deleted = |s: &&Step| matches!(s, Step::DeleteDisk(4, _));
    assert_eq!(world.log.iter().filter(deleted).count(), 1);
}

/// A late order founded a second cluster on the founder's emptied disk: nobody is ever let in.
#[test]
fn a_founder_that_founds_again_is_not_opened() {
    let mut world = ready(3);
    world.empty_disk(1);
    world.members.get_mut(&1).unwrap().phase = Some(NodePhase::Founding);
    let before = world.log.len();
    assert_eq!(world.run(), Step::Done);
    assert!(!world.log[before..].contains(&Step::Open(1)));
    assert!(!world.members.contains_key(&1), "it is replaced as lost");
}

#[test]
fn a_member_that_somebody_removed_is_added_again() {
    let mut world = ready(3);
    let id = world.id(3);
    world.config.retain(|s| s.id != id);
    assert_eq!(world.run(), Step::Done);
    assert_eq!(world.voters().len(), 3);
}

/// Rule S5: one change at a time; one that hangs is helped on by another leader, then by a new start
/// of the leader's process, never while another voter is down; then a person must act.
#[test]
fn a_change_that_hangs_is_helped_on_and_then_shown() {
    let mut world = ready(3);
    world.resize(5);
    while !world.log.contains(&Step::Add(4)) {
        assert!(world.step());
    }
    let next = |world: &World, change| {
        let mut world = world.clone();
        world.change = change;
        world.step();
        world.log.pop().unwrap()
    };
    assert_eq!(
        next(&world, Change::Running(world.id(1))),
        Step::Wait(Reason::ChangeRunning)
    );
    assert_eq!(
        next(&world, Change::Hangs(Remedy::Transfer)),
        Step::Transfer(2)
    );
    assert_eq!(
        next(&world, Change::Hangs(Remedy::Restart)),
        Step::Restart(1)
    );
    assert_eq!(
        next(&world, Change::Hangs(Remedy::Person)),
        Step::Stalled(Reason::ChangeStuck)
    );
    world.members.get_mut(&2).unwrap().up = false;
    for remedy in [Remedy::Transfer, Remedy::Restart, Remedy::Person] {
        let step = next(&world, Change::Hangs(remedy));
        assert!(
            !matches!(step, Step::Transfer(_) | Step::Restart(_)),
            "{step:?}"
        );
    }
    let one = ready(1);
    assert_eq!(
        next(&one, Change::Hangs(Remedy::Transfer)),
        Step::Restart(1)
    );
}

#[test]
fn a_standby_that_sends_nothing_gets_no_vote() {
    let mut world = ready(4);
    world.members.get_mut(&4).unwrap().silent = true;
    assert_eq!(world.run(), Step::Wait(Reason::MemberSilent(4)));
    world.lose_disk(3);
    let before = world.log.len();
    world.run();
    assert!(!world.log[before..].contains(&Step::Assign(4, Role::Voter)));
    assert!(world.log[before..].contains(&Step::Assign(5, Role::Voter)));
}

/// A StatefulSet that somebody puts back after its member left for good.
#[test]
fn what_comes_back_after_its_member_was_forgotten_goes_again() {
    let mut world = ready(3);
    let old = world.members[&3].clone();
    world.resize(1);
    assert_eq!(world.run(), Step::Done);
    world.members.insert(3, old.clone());
    assert_eq!(world.run(), Step::Done);
    assert!(!world.members.contains_key(&3));
    world.members.insert(9, old);
    assert_eq!(world.run(), Step::Stalled(Reason::RecordMissing));
}
