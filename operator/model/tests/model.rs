//! Every world that a few events lead to, breadth first, up to a number of worlds: `MODEL_WORLDS`, of which `make
//! model` takes more. Where fewer are there, all of them were seen.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use operator_model::{Faults, Model, Mutant, story};
use stateright::{Checker, Expectation, Model as _, Path};

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |n| n.parse().unwrap())
}

/// How much is looked at.
#[derive(Clone, Copy)]
enum Bound {
    /// All that can happen.
    Whole,
    /// So many worlds, some of which are the same.
    Worlds(u64),
}
use Bound::{Whole, Worlds};

/// Looks at so many worlds; those of `goals` must be among them.
fn check(model: &Model, bound: Bound, goals: &[&str]) {
    let worlds = match bound {
        Whole => u64::MAX >> 1,
        Worlds(n) => number("MODEL_WORLDS", n),
    };
    let seen = explore(model, worlds);
    println!(
        "{} of {} worlds differ: {model:?}",
        seen.different, seen.all
    );
    if let Worlds(n) = bound {
        assert!(seen.different as u64 >= n / 4, "most were the same");
    }
    for property in model.properties() {
        let found = seen.found.iter().find(|(name, _)| *name == property.name);
        match (property.expectation, found) {
            (Expectation::Sometimes, None) => {
                assert!(!goals.contains(&property.name), "never: {}", property.name);
            }
            (Expectation::Sometimes, Some(_)) | (_, None) => {}
            (_, Some((_, story))) => panic!("not {}, after\n{story}", property.name),
        }
    }
}

struct Seen {
    different: usize,
    all: usize,
    /// Worlds that break a property or reach a goal, by its name, and how it came to them.
    found: Vec<(&'static str, String)>,
}

fn explore(model: &Model, worlds: u64) -> Seen {
    let checker = model.clone().checker();
    let checker = checker
        .threads(number("MODEL_THREADS", 1) as usize)
        .target_state_count(worlds as usize)
        .spawn_bfs()
        .join();
    let found = checker.discoveries().into_iter();
    Seen {
        different: checker.unique_state_count(),
        all: checker.state_count(),
        found: found
            .map(|(name, path): (_, Path<_, _>)| (name, story(path)))
            .collect(),
    }
}

const OPEN: &str = "clients are let in";
const KEPT: &str = "a member's disk is kept and marked";
const RESIZED: &str = "all is done after another size was asked for";
const MOVED: &str = "all is done after a move";
const UPDATED: &str = "all is done after an update";
const FAILED: &str = "an update fails";
const REPLACED: &str = "all is done after a disk was lost";

/// A cluster that is as it should be, one operator, and what may happen to them.
fn cluster(sizes: &[u32], faults: Faults) -> Model {
    Model {
        operators: 1,
        reads_take_time: false,
        faults,
        sizes: sizes.to_vec(),
        begins_ready: true,
        retains: false,
        odd_templates_fail: false,
        settled: number("MODEL_SETTLED", 64),
        mutant: None,
    }
}

const NONE: Faults = Faults {
    ends: 0,
    silences: 0,
    losses: 0,
    rows: 0,
    resizes: 0,
    updates: 0,
    cordons: 0,
    moves: 0,
    deletions: 0,
};

#[test]
fn a_cluster_loses_a_disk() {
    let faults = Faults {
        losses: 1,
        rows: 1,
        ..NONE
    };
    check(&cluster(&[3], faults), Whole, &[REPLACED]);
}

#[test]
fn a_cluster_loses_a_disk_while_processes_end() {
    let faults = Faults {
        losses: 1,
        ends: 1,
        rows: 1,
        ..NONE
    };
    check(&cluster(&[3], faults), Whole, &[REPLACED]);
}

#[test]
fn a_cluster_changes_while_an_operator_reads() {
    let faults = Faults {
        losses: 1,
        silences: 1,
        resizes: 1,
        ..NONE
    };
    let reads = Model {
        reads_take_time: true,
        ..cluster(&[3, 1], faults)
    };
    check(&reads, Worlds(2_000_000), &[RESIZED]);
}

#[test]
fn processes_end_and_fall_silent_while_a_cluster_shrinks() {
    let faults = Faults {
        ends: 1,
        silences: 1,
        rows: 1,
        resizes: 1,
        ..NONE
    };
    check(&cluster(&[3, 1], faults), Whole, &[RESIZED]);
}

#[test]
fn processes_end_while_a_cluster_of_two_grows_to_five() {
    let grows = Model {
        retains: true,
        ..cluster(
            &[2, 5],
            Faults {
                ends: 1,
                resizes: 1,
                ..NONE
            },
        )
    };
    check(&grows, Worlds(2_000_000), &[]);
}

#[test]
fn a_cluster_that_keeps_its_disks_shrinks_and_loses_one() {
    let keeps = Model {
        retains: true,
        ..cluster(
            &[3, 1],
            Faults {
                losses: 1,
                resizes: 1,
                ..NONE
            },
        )
    };
    check(&keeps, Whole, &[KEPT, RESIZED, REPLACED]);
}

#[test]
fn one_operator_founds_a_cluster_and_ends() {
    let founds = Model {
        begins_ready: false,
        ..cluster(&[2], Faults { ends: 1, ..NONE })
    };
    check(&founds, Whole, &[OPEN]);
}

#[test]
fn two_operators_found_a_cluster_and_disks_are_lost() {
    let faults = Faults {
        losses: 2,
        ends: 1,
        ..NONE
    };
    let founds = Model {
        operators: 2,
        begins_ready: false,
        ..cluster(&[2], faults)
    };
    check(&founds, Worlds(3_000_000), &[]);
}

#[test]
fn two_operators_and_one_of_each_fault() {
    let faults = Faults {
        ends: 1,
        silences: 1,
        losses: 1,
        rows: 1,
        resizes: 1,
        ..NONE
    };
    let two = Model {
        operators: 2,
        ..cluster(&[3, 1], faults)
    };
    check(&two, Worlds(3_500_000), &[]);
}

#[test]
fn a_cluster_is_updated_while_a_process_ends() {
    let faults = Faults {
        updates: 1,
        ends: 1,
        ..NONE
    };
    check(&cluster(&[3], faults), Whole, &[UPDATED]);
}

#[test]
fn a_cluster_is_updated_while_a_process_falls_silent() {
    let faults = Faults {
        updates: 1,
        silences: 1,
        rows: 1,
        ..NONE
    };
    check(&cluster(&[3], faults), Whole, &[UPDATED]);
}

#[test]
fn a_cluster_is_updated_while_nodes_are_drained() {
    let faults = Faults {
        updates: 1,
        cordons: 2,
        ..NONE
    };
    check(&cluster(&[3], faults), Whole, &[UPDATED]);
}

#[test]
fn a_member_is_moved_while_processes_end() {
    let faults = Faults {
        moves: 1,
        ends: 1,
        ..NONE
    };
    check(&cluster(&[3], faults), Whole, &[MOVED]);
}

#[test]
fn an_update_fails_and_is_taken_back() {
    let faults = Faults {
        updates: 2,
        ends: 1,
        ..NONE
    };
    let fails = Model {
        odd_templates_fail: true,
        ..cluster(&[3], faults)
    };
    check(&fails, Whole, &[FAILED, UPDATED]);
}

#[test]
fn the_object_is_deleted_and_applied_again_while_a_cluster_shrinks() {
    let faults = Faults {
        deletions: 1,
        resizes: 1,
        ..NONE
    };
    let again = Model {
        retains: true,
        ..cluster(&[3, 1], faults)
    };
    check(&again, Whole, &[RESIZED]);
}

#[test]
fn the_object_is_deleted_and_applied_again_and_a_disk_is_lost() {
    let faults = Faults {
        deletions: 1,
        losses: 1,
        rows: 1,
        ..NONE
    };
    let again = Model {
        retains: true,
        ..cluster(&[3], faults)
    };
    check(&again, Whole, &[REPLACED]);
}

/// Where something that is wrong shows soon.
fn home_of(mutant: Mutant) -> Model {
    use Mutant::*;
    let one = |losses, silences, ends, resizes| Faults {
        losses,
        silences,
        ends,
        resizes,
        ..NONE
    };
    let (sizes, faults): (&[u32], _) = match mutant {
        OpensBeforeItIsRecorded => (&[1], NONE),
        LeavesAnEvenNumberOfVoters => (&[3], NONE),
        ForgetsThatItFounded
        | TakesTheNameForTheDisk
        | TakesWhoJoinsForCaughtUp
        | ForgetsWhoWasToldToJoin => (&[3], one(1, 0, 0, 0)),
        TakesWhatItSeesForCommitted => (&[4, 3], one(0, 0, 0, 1)),
        ActsOnSilence | TakesSilenceForHealth | NobodyConfirms => (&[3, 1], one(0, 1, 0, 1)),
        RemovesBeforeItPromotes => (&[3], Faults { moves: 1, ..NONE }),
        TakesEveryLogForWhole | DeletesTheLeadersPod | UpdatesWhileOneIsDown => {
            let updates = Faults {
                updates: 1,
                rows: 1,
                ..one(0, 1, 0, 0)
            };
            (&[3], updates)
        }
        DeletesDisksBeforeTheRemoval
        | RemovesTheLeader
        | TwoChangesAtOnce
        | ChangesBeforeTheTermHasBegun => (&[3, 1], one(0, 0, 1, 1)),
    };
    Model {
        mutant: Some(mutant),
        begins_ready: !matches!(mutant, OpensBeforeItIsRecorded | LeavesAnEvenNumberOfVoters),
        ..cluster(sizes, faults)
    }
}

#[test]
fn whatever_is_wrong_on_purpose_is_found() {
    let found = Mutant::ALL.map(|mutant| {
        let home = home_of(mutant);
        let rules = home.properties().into_iter();
        let rules: Vec<_> = rules
            .filter(|p| p.expectation == Expectation::Always)
            .map(|p| p.name)
            .collect();
        let seen = explore(&home, 300_000);
        let broken = seen
            .found
            .into_iter()
            .find(|(name, _)| rules.contains(name));
        match &broken {
            Some((name, story)) => println!("{mutant:?}: not {name}, after\n{story}"),
            None => println!("{mutant:?}: not found in {} worlds", seen.different),
        }
        broken.is_some()
    });
    assert_eq!(found, [true; Mutant::ALL.len()]);
}
