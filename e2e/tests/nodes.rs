//! Tests of Kubernetes nodes: drained, cordoned, powered off, in zones.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "tests"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use dqlite_e2e::{World, faults::mend_nodes, provider::Capability::*, report, world::READY};
use kube::ResourceExt;
use operator_api::{DqliteCluster, conditions::reason};
use serde_json::json;

/// Names of the Kubernetes nodes that members run on.
async fn nodes_of(world: &World) -> BTreeSet<String> {
    let pods = world.pods().await;
    pods.into_iter().filter_map(|p| p.spec?.node_name).collect()
}

#[tokio::test]
async fn each_node_is_drained_in_turn_under_a_writer() {
    let test = "each_node_is_drained_in_turn_under_a_writer";
    mend_nodes().await;
    let Some(world) = World::with(test, json!({}), &[PodNetwork]).await else {
        return;
    };
    let writer = world.writer().await;
    writer.more(50).await;
    let mut gaps = Vec::new();
    for node in nodes_of(&world).await {
        world.ready().await;
        let namespace = format!("--pod-selector={}", world.names.selector());
        let drain = [
            "drain",
            &node,
            "--ignore-daemonsets",
            "--timeout=60s",
            &namespace,
        ];
        world.kubectl(&drain).await;
        writer.more(100).await;
        gaps.push(writer.take_gap());
        // Its disk is there and nowhere else.
        world.kubectl(&["uncordon", &node]).await;
    }
    world.ready().await;
    writer.more(100).await;
    gaps.push(writer.take_gap());
    println!("gaps {gaps:?}");
    let longest = *gaps.iter().max().unwrap();
    assert!(longest < Duration::from_secs(1), "{gaps:?}");
    let tally = writer.stop(Duration::ZERO).await;
    let note = format!("each node once, longest gap {:.2} s", longest.as_secs_f64());
    world.finish(&[tally], note).await;
}

/// Leadership leaves a node that takes no new pods, before anybody is evicted.
#[tokio::test]
async fn a_cordoned_node_loses_the_leadership() {
    let test = "a_cordoned_node_loses_the_leadership";
    mend_nodes().await;
    let Some(world) = World::with(test, json!({}), &[PodNetwork]).await else {
        return;
    };
    let node_of_the_leader = async || {
        let leader = world.pod(&format!("{}-0", world.leader().await)).await;
        leader.spec.unwrap().node_name.unwrap()
    };
    let node = node_of_the_leader().await;
    world.kubectl(&["cordon", &node]).await;
    let elsewhere = async |_: &DqliteCluster| (node_of_the_leader().await != node).then_some(());
    world.until("leadership elsewhere", READY, elsewhere).await;
    world.kubectl(&["uncordon", &node]).await;
    world.ready().await;
    world.note("").await;
}

/// A node that can be powered off without more than its members: the suite reaches Services through the
/// first, and what Kubernetes and the operator need is moved away. Its member leads.
async fn node_to_lose(world: &World) -> (String, String) {
    let mut pods = world.pods().await;
    pods.sort_by_key(|p| p.spec.as_ref().unwrap().node_name.clone());
    let pod = pods.last().unwrap();
    let node = pod.spec.as_ref().unwrap().node_name.clone().unwrap();
    let others = "--pod-selector=!dqlite.io/cluster";
    let drain = [
        "drain",
        &node,
        others,
        "--force",
        "--ignore-daemonsets",
        "--delete-emptydir-data",
        "--timeout=60s",
    ];
    world.kubectl(&drain).await;
    world.kubectl(&["uncordon", &node]).await;
    for (namespace, deployment) in [
        ("kube-system", "coredns"),
        ("local-path-storage", "local-path-provisioner"),
        ("dqlite-system", "dqlite-operator"),
    ] {
        let deployment = format!("deployment/{deployment}");
        world
            .kubectl(&["-n", namespace, "rollout", "status", &deployment])
            .await;
    }
    let member = pod.name_any().trim_end_matches("-0").to_owned();
    world.make_leader(&member).await;
    (node, member)
}

/// The others write on, nothing of the member is touched, and it is back with its node.
#[tokio::test]
async fn a_node_is_powered_off_and_on() {
    let test = "a_node_is_powered_off_and_on";
    mend_nodes().await;
    let Some(world) = World::with(test, json!({}), &[PodNetwork, NodePower]).await else {
        return;
    };
    let (node, member) = node_to_lose(&world).await;
    let before = world.ready().await.member_list;
    let writer = world.writer().await;
    writer.more(50).await;
    writer.take_gap();
    world.provider.power_off(&node).await.unwrap();
    writer.more(50).await;
    let gap = writer.take_gap();
    let said = world.reason(reason::VOTER_DOWN).await;
    assert!(said.contains(&member), "{said}");
    // Long enough for Kubernetes to give the node up, and its pod.
    tokio::time::sleep(Duration::from_secs(45)).await;
    let status = world.status().await;
    assert_eq!((status.can_lose, status.voters), (0, 3), "{status:?}");
    world.provider.power_on(&node).await.unwrap();
    let after = world.ready().await.member_list;
    let who = |list: &[operator_api::MemberStatus]| -> Vec<_> {
        list.iter()
            .map(|m| (m.name.clone(), m.id.clone()))
            .collect()
    };
    assert_eq!(who(&before), who(&after));
    println!("gap {gap:?}");
    // A connection to a pod that says nothing any more waits for its own time-out, here 5 s.
    assert!(gap < Duration::from_secs(10), "{gap:?}");
    let tally = writer.stop(Duration::from_secs(20)).await;
    let note = format!("the leader's node; gap {:.2} s", gap.as_secs_f64());
    world.finish(&[tally], note).await;
}

/// Only a person knows that a node does not come back: the condition says what to do then, and that helps.
#[tokio::test]
async fn a_node_is_off_for_good_with_its_disk() {
    let test = "a_node_is_off_for_good_with_its_disk";
    mend_nodes().await;
    let Some(world) = World::with(test, json!({}), &[PodNetwork, NodePower]).await else {
        return;
    };
    let (node, member) = node_to_lose(&world).await;
    let writer = world.writer().await;
    writer.more(50).await;
    world.provider.power_off(&node).await.unwrap();
    writer.more(50).await;
    world.kubectl(&["delete", "node", &node]).await;
    let said = world.reason(reason::DISK_UNREACHABLE).await;
    let command = format!("kubectl -n {} delete pvc {member}", world.names.namespace);
    assert!(said.contains(&command), "{said}");
    assert_eq!(
        world.status().await.member_list.len(),
        3,
        "nothing happens by itself"
    );
    let delete = [
        "-n",
        &world.names.namespace,
        "delete",
        "pvc",
        &member,
        "--wait=false",
    ];
    world.kubectl(&delete).await;
    world.without(&member).await;
    world.ready().await;
    writer.more(50).await;
    let tally = writer.stop(Duration::from_secs(20)).await;
    mend_nodes().await;
    world
        .finish(&[tally], "PVC deleted as the condition says")
        .await;
}

/// Three zones, and all votes in one: they move once other zones have members.
#[tokio::test]
async fn votes_leave_a_zone_that_holds_a_majority() {
    let test = "votes_leave_a_zone_that_holds_a_majority";
    mend_nodes().await;
    let Some(world) = World::empty(test, &[PodNetwork]).await else {
        return;
    };
    let zones = "jsonpath={range .items[*]}{.metadata.name} {.metadata.labels.topology\\.kubernetes\\.io/zone}{\"\\n\"}{end}";
    let zones = world.kubectl(&["get", "nodes", "-o", zones]).await;
    let zones: BTreeMap<&str, &str> = zones
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter(|(_, zone)| !zone.is_empty())
        .map(|(node, zone)| (zone, node))
        .collect();
    if zones.len() < 3 {
        return report::skip(test, "this Kubernetes has no three zones");
    }
    let node = zones.values().next().unwrap();
    let spread = async |expected: &str| {
        world
            .until(expected, READY, async |cluster| {
                let conditions = &cluster.status.as_ref()?.conditions;
                let spread = conditions.iter().find(|c| c.type_ == "VotersSpread")?;
                (spread.reason == expected).then(|| spread.message.clone())
            })
            .await
    };
    let selector = json!({"kubernetes.io/hostname": node});
    let scheduling = json!({"nodeSelector": selector});
    world
        .apply(json!({"scheduling": scheduling}))
        .await
        .unwrap();
    world.ready().await;
    let said = spread(reason::ZONE_HOLDS_MAJORITY).await;
    assert!(said.contains("dqlite.io/move="), "{said}");
    let writer = world.writer().await;
    writer.more(20).await;
    world
        .apply(json!({"members": 5, "voters": 3}))
        .await
        .unwrap();
    spread(reason::NO_ZONE_DECIDES).await;
    let status = world.ready().await;
    assert_eq!((status.voters, status.members), (3, 5));
    writer.more(20).await;
    let tally = writer.stop(Duration::ZERO).await;
    world.finish(&[tally], "from 3-0-0 to 1-1-1").await;
}
