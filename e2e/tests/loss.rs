//! Tests of lost disks: one at a time, each with a prober that asks every pod who it is.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "tests"
)]

use std::{collections::BTreeSet, time::Duration};

use dqlite_e2e::{
    World, Writer, prober::Prober, provider::Capability::*, report::Line, world::READY,
};
use kube::ResourceExt;
use serde_json::json;

/// How a disk is lost.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Loss {
    Deleted,
    EmptiedInPlace,
}

/// Rules S1 to S4: a lost member is replaced, and what is left of it speaks for nobody.
async fn lose(world: &World, member: &str, loss: Loss, writer: &Writer) {
    let status = world.status().await;
    let known: BTreeSet<u64> = status
        .member_list
        .iter()
        .map(|m| m.id.parse().unwrap())
        .collect();
    let names_before: BTreeSet<_> = status.member_list.iter().map(|m| m.name.clone()).collect();
    let lost = status
        .member_list
        .iter()
        .find(|m| m.name == member)
        .unwrap();
    let lost_id: u64 = lost.id.parse().unwrap();

    // The address stays the wiped member's until a pod of the same name has another.
    let address = async |name: &str| {
        let pod = world
            .pods()
            .await
            .into_iter()
            .find(|p| p.name_any() == format!("{name}-0"));
        pod.and_then(|p| p.status?.pod_ip)
            .map(|ip| format!("{ip}:9001"))
    };
    let prober = Prober::start(known.clone(), lost_id, address(member).await.unwrap());
    let watch = async || {
        let pods = world.fronts().await;
        prober.targets.lock().unwrap().pods = pods;
        if let Some(wiped) = address(member).await {
            prober.targets.lock().unwrap().wiped.insert(wiped);
        }
    };
    watch().await;
    match loss {
        Loss::Deleted => world.lose_disk(member).await,
        Loss::EmptiedInPlace => world.empty_disk(member).await,
    }
    let started = std::time::Instant::now();
    let status = loop {
        watch().await;
        let status = world.status().await;
        let voters: Vec<_> = status
            .member_list
            .iter()
            .filter(|m| m.role.as_deref() == Some("voter"))
            .collect();
        let replaced = voters.len() == 3 && voters.iter().all(|m| m.ready && m.name != member);
        if replaced && status.member_list.len() == 3 {
            break status;
        }
        assert!(
            started.elapsed() < READY,
            "{member} is not replaced: {status:?}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    writer.more(50).await;
    let heard = prober.stop().await;
    let ids: BTreeSet<u64> = status
        .member_list
        .iter()
        .map(|m| m.id.parse().unwrap())
        .collect();
    assert!(!ids.contains(&lost_id), "the id is used again");
    let new = status
        .member_list
        .iter()
        .find(|m| !names_before.contains(&m.name))
        .unwrap();
    println!(
        "{member} lost ({loss:?}), {} in its place after {:?}",
        new.name,
        started.elapsed()
    );
    assert!(heard.answers > 10, "the prober heard nothing: {heard:?}");
    assert!(heard.ended, "the wiped process never ended: {heard:?}");
    assert!(
        heard.from_the_dead.is_empty(),
        "the wiped pod speaks: {:?}",
        heard.from_the_dead
    );
    assert!(
        heard.second_clusters.is_empty(),
        "a second cluster: {:?}",
        heard.second_clusters
    );
    let strangers: Vec<_> = heard
        .leaders
        .iter()
        .filter(|id| !known.contains(id) && !ids.contains(id))
        .collect();
    assert!(strangers.is_empty(), "unknown leaders {strangers:?}");
}

/// The founder, of a new cluster each time: what is left of it must found nothing.
#[tokio::test]
async fn the_first_member_is_lost_five_times() {
    let test = "the_first_member_is_lost_five_times";
    let needs = [PodNetwork, NodeShell];
    let mut tallies = Vec::new();
    for (leads, loss) in [
        (true, Loss::Deleted),
        (false, Loss::Deleted),
        (true, Loss::EmptiedInPlace),
        (false, Loss::EmptiedInPlace),
        (true, Loss::Deleted),
    ] {
        let Some(world) = World::with(test, json!({}), &needs).await else {
            return;
        };
        let writer = world.writer().await;
        writer.more(50).await;
        world
            .make_leader(if leads { "demo-1" } else { "demo-2" })
            .await;
        lose(&world, "demo-1", loss, &writer).await;
        world.ready().await;
        writer.more(50).await;
        let tally = writer.stop(Duration::ZERO).await;
        tallies.push(tally.clone());
        world.finish(&[tally], "").await;
    }
    let note = "a new cluster each time; leads, follows; deleted, emptied in place".into();
    Line {
        note,
        ..Line::of(&tallies)
    }
    .write(test);
}

#[tokio::test]
async fn a_follower_is_lost() {
    let needs = [PodNetwork, NodeShell];
    let Some(world) = World::with("a_follower_is_lost", json!({}), &needs).await else {
        return;
    };
    let writer = world.writer().await;
    writer.more(50).await;
    for loss in [Loss::Deleted, Loss::EmptiedInPlace] {
        let follower = world.ready().await.member_list[2].name.clone();
        let first = world.status().await.member_list[0].name.clone();
        world.make_leader(&first).await;
        lose(&world, &follower, loss, &writer).await;
    }
    world.ready().await;
    let tally = writer.stop(Duration::ZERO).await;
    world
        .finish(&[tally], "deleted, then emptied in place")
        .await;
}
