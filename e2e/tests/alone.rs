//! Tests that stop or kill the operator, or count requests: one at a time.

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

use dqlite_client::{Connection, Options, Role};
use dqlite_e2e::{
    World,
    faults::as_operator,
    provider::Capability::*,
    world::{READY, env_of},
};
use k8s_openapi::api::core::v1::{PersistentVolume, Pod};
use kube::{Api, ResourceExt};
use operator_api::DqliteCluster;
use serde_json::{Value, json};

#[tokio::test]
async fn the_leaders_process_is_killed_ten_times_without_an_operator() {
    let test = "the_leaders_process_is_killed_ten_times_without_an_operator";
    let needs = [PodNetwork, NodeShell];
    let Some(world) = World::with(test, json!({}), &needs).await else {
        return;
    };
    world.scale_operator(0).await;
    let writer = world.writer().await;
    let mut gaps = Vec::new();
    for _ in 0..10 {
        writer.more(20).await;
        world.pods_ready(3).await;
        writer.take_gap();
        let leader = world.leader().await;
        let restarts = world.restarts(&leader).await;
        world.kill(&leader).await;
        writer.more(50).await;
        gaps.push(writer.take_gap());
        // The kubelet may take a while to see the death of a pod that it calls ready.
        while world.restarts(&leader).await == restarts {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    world.pods_ready(3).await;
    writer.more(20).await;
    let tally = writer.stop(Duration::from_secs(20)).await;
    world.scale_operator(1).await;
    world.ready().await;
    println!("gaps {gaps:?}");
    let longest = gaps.iter().max().unwrap();
    assert!(*longest < Duration::from_secs(2), "{gaps:?}");
    let note = format!("10 kills, longest gap {:.2} s", longest.as_secs_f64());
    world.finish(&[tally], note).await;
}

#[tokio::test]
async fn the_guard_refuses_what_would_cost_the_quorum() {
    let test = "the_guard_refuses_what_would_cost_the_quorum";
    let needs = [PodNetwork, NodeShell];
    let Some(world) = World::with(test, json!({}), &needs).await else {
        return;
    };
    let writer = world.writer().await;
    world.scale_operator(0).await;
    world.make_leader("demo-1").await;
    let pods: Vec<Pod> = world.pods().await;
    let pod = |name: &str| pods.iter().find(|p| p.name_any() == name).unwrap();
    let id = |name: &str| {
        env_of(pod(name), "DQLITE_ID")
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    let (own, other) = (id("demo-1-0"), id("demo-2-0"));
    // A node that is off comes back by itself nowhere; a pod would be back in a second.
    let down = world.pod("demo-3-0").await;
    let sandbox = down
        .status
        .as_ref()
        .unwrap()
        .container_statuses
        .as_ref()
        .unwrap()[0]
        .clone();
    let container = sandbox.container_id.unwrap().replace("containerd://", "");
    let node = down.spec.as_ref().unwrap().node_name.clone().unwrap();
    let freeze = format!("ctr -n k8s.io tasks pause {container}");
    world.provider.on_node(&node, &freeze).await.unwrap();

    let haste = as_operator(pod("demo-1-0")).await;
    for (what, answer) in [
        ("REMOVE of a live voter", haste.remove(other).await),
        (
            "ASSIGN spare to a live voter",
            haste.assign(other, Role::Spare).await,
        ),
        (
            "ASSIGN standby to a live voter",
            haste.assign(other, Role::Standby).await,
        ),
        ("REMOVE of the leader", haste.remove(own).await),
    ] {
        let reason = answer.unwrap_err().to_string();
        assert!(
            reason.contains("refused: 1 of the 2 voters"),
            "{what}: {reason}"
        );
    }
    let ip = pod("demo-1-0")
        .status
        .as_ref()
        .unwrap()
        .pod_ip
        .clone()
        .unwrap();
    let stranger = Connection::dial(&format!("{ip}:9001"), &Options::default())
        .await
        .unwrap();
    let reason = stranger.remove(other).await.unwrap_err().to_string();
    assert!(reason.contains("membership is the operator's"), "{reason}");

    writer.more(50).await;
    let resume = format!("ctr -n k8s.io tasks resume {container}");
    world.provider.on_node(&node, &resume).await.unwrap();
    world.scale_operator(1).await;
    world.ready().await;
    let tally = writer.stop(Duration::ZERO).await;
    world.finish(&[tally], "one voter of three paused").await;
}

/// What a flow ends in, but for what is random: names, roles, phase.
async fn outcome(world: &World) -> BTreeMap<String, String> {
    let status = world.ready().await;
    let roles = status
        .member_list
        .iter()
        .map(|m| (m.name.clone(), m.role.clone().unwrap()));
    roles.collect()
}

#[tokio::test]
async fn the_operator_is_killed_while_it_founds_joins_and_scales_in() {
    let test = "the_operator_is_killed_while_it_founds_joins_and_scales_in";
    let Some(world) = World::empty(test, &[PodNetwork, NodeShell]).await else {
        return;
    };
    // Kills it between the two: after the record holds `seen`, and before the flow's `last` step.
    let kill_after = async |what: &str, seen: &str, last: &dyn Fn(&Value) -> bool| {
        let record = || async {
            let maps = world.api::<k8s_openapi::api::core::v1::ConfigMap>();
            let map = maps.get_opt(&world.names.record()).await.unwrap();
            map.and_then(|r| r.data?.remove("record.json"))
                .unwrap_or_default()
        };
        let started = std::time::Instant::now();
        while !record().await.contains(seen) {
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "{what}: never saw {seen}"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        world.kill_operator().await;
        let left: Value = serde_json::from_str(&record().await).unwrap();
        assert!(
            !last(&left),
            "{what} was over when the operator was killed: {left}"
        );
        println!("operator killed while {what}");
    };
    let status = async || world.status().await;
    let voters = |names: &[&str]| -> BTreeMap<String, String> {
        names
            .iter()
            .map(|n| ((*n).to_owned(), "voter".to_owned()))
            .collect()
    };
    world.apply(json!({})).await.unwrap();
    kill_after("making the founder", "\"cluster\"", &|r| {
        r["founded"] == true
    })
    .await;
    kill_after("founding", "\"intent\"", &|r| {
        r["members"]["2"]["join"] != Value::Null
    })
    .await;
    kill_after("joining", "\"join\"", &|r| {
        r["members"]["3"]["join"] != Value::Null
    })
    .await;
    assert!(status().await.voters < 3, "joining was over");
    assert_eq!(
        outcome(&world).await,
        voters(&["demo-1", "demo-2", "demo-3"])
    );
    let writer = world.writer().await;
    writer.more(20).await;
    world.scale(5).await;
    kill_after("scaling out", "\"5\": {", &|r| {
        r["members"]["5"]["join"] != Value::Null
    })
    .await;
    let five = outcome(&world).await;
    assert_eq!(five.len(), 5, "{five:?}");
    world.scale(3).await;
    kill_after("scaling in", "\"retired\": true", &|r| {
        r["retired"].as_array().is_some_and(|l| l.len() > 1)
    })
    .await;
    assert_eq!(
        outcome(&world).await,
        voters(&["demo-1", "demo-2", "demo-3"])
    );
    writer.more(20).await;
    let tally = writer.stop(Duration::ZERO).await;
    world.finish(&[tally], "killed 5 times").await;
}

#[tokio::test]
async fn an_idle_cluster_causes_no_write() {
    let test = "an_idle_cluster_causes_no_write";
    let Some(world) = World::with(test, json!({}), &[]).await else {
        return;
    };
    // What follows the last step, and what other tests left behind, comes to rest.
    world.pods_ready(3).await;
    let volumes: Api<PersistentVolume> = Api::all(world.client.clone());
    for _ in 0..120 {
        if volumes.list(&Default::default()).await.unwrap().items.len() <= 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    tokio::time::sleep(Duration::from_secs(15)).await;
    let before = writes(&world).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let after = writes(&world).await;
    let made: BTreeMap<_, _> = after
        .iter()
        .map(|(what, n)| (what, n - before.get(what).copied().unwrap_or(0.0)))
        .filter(|(_, n)| *n > 0.0)
        .collect();
    println!("writes in 60 s: {made:?}");
    // Nodes, control plane and operator renew leases; kubelets report their nodes.
    let rest: Vec<_> = made
        .keys()
        .filter(|what| !what.contains("leases") && !what.starts_with("nodes"))
        .collect();
    assert!(rest.is_empty(), "{rest:?}");
    world
        .note("0 writes in 60 s but leases and node status")
        .await;
}

/// Mutating requests so far, by resource and verb, from the API server's own metrics.
async fn writes(world: &World) -> BTreeMap<String, f64> {
    let request = http_get("/metrics");
    let text = world.client.request_text(request).await.unwrap();
    let mut writes = BTreeMap::new();
    for line in text
        .lines()
        .filter(|l| l.starts_with("apiserver_request_total{"))
    {
        let label = |name: &str| {
            let start = line
                .find(&format!("{name}=\""))
                .map(|at| at + name.len() + 2);
            start
                .map(|at| line[at..].split('"').next().unwrap_or_default())
                .unwrap_or_default()
        };
        if ["POST", "PUT", "PATCH", "DELETE", "APPLY"].contains(&label("verb")) {
            let what = format!(
                "{}/{} {}",
                label("resource"),
                label("subresource"),
                label("verb")
            );
            let n: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
            *writes.entry(what).or_default() += n;
        }
    }
    assert!(!writes.is_empty(), "no metrics");
    // Access reviews and tokens are questions, though they are posted.
    writes.retain(|what, _| !what.contains("reviews") && !what.contains("token"));
    writes
}

fn http_get(path: &str) -> http::Request<Vec<u8>> {
    http::Request::get(path).body(Vec::new()).unwrap()
}

/// Names of the Kubernetes nodes that members run on.
async fn nodes_of(world: &World) -> BTreeSet<String> {
    let pods = world.pods().await;
    pods.into_iter().filter_map(|p| p.spec?.node_name).collect()
}

#[tokio::test]
async fn each_node_is_drained_in_turn_under_a_writer() {
    let test = "each_node_is_drained_in_turn_under_a_writer";
    let Some(world) = World::with(test, json!({}), &[PodNetwork]).await else {
        return;
    };
    let writer = world.writer().await;
    writer.more(50).await;
    let mut gaps = Vec::new();
    for node in nodes_of(&world).await {
        world.ready().await;
        writer.take_gap();
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
    println!("gaps {gaps:?}");
    let longest = *gaps.iter().max().unwrap();
    assert!(longest < Duration::from_secs(1), "{gaps:?}");
    let tally = writer.stop(Duration::ZERO).await;
    let note = format!(
        "{} nodes, longest gap {:.2} s",
        gaps.len(),
        longest.as_secs_f64()
    );
    world.finish(&[tally], note).await;
}

/// Leadership leaves a node that takes no new pods, before anybody is evicted.
#[tokio::test]
async fn a_cordoned_node_loses_the_leadership() {
    let test = "a_cordoned_node_loses_the_leadership";
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

/// Another version of the operator, with other node images: nothing restarts.
#[tokio::test]
async fn an_operator_upgrade_restarts_no_member() {
    let test = "an_operator_upgrade_restarts_no_member";
    let Some(world) = World::with(test, json!({}), &[PodNetwork]).await else {
        return;
    };
    let uids = async || -> BTreeSet<String> {
        world
            .pods()
            .await
            .iter()
            .map(|p| p.uid().unwrap())
            .collect()
    };
    let before = uids().await;
    let image = async |image: &str| {
        let variable = format!("NODE_IMAGE={image}");
        let operator = [
            "-n",
            "dqlite-system",
            "set",
            "env",
            "deployment/dqlite-operator",
        ];
        world.kubectl(&[&operator[..], &[&variable]].concat()).await;
        let done = [
            "-n",
            "dqlite-system",
            "rollout",
            "status",
            "deployment/dqlite-operator",
        ];
        world.kubectl(&done).await;
    };
    let path = "jsonpath={.spec.template.spec.containers[0].env[?(@.name==\"NODE_IMAGE\")].value}";
    let get = [
        "-n",
        "dqlite-system",
        "get",
        "deployment/dqlite-operator",
        "-o",
        path,
    ];
    let old = world.kubectl(&get).await;
    image("docker.io/dqlite/dqlite-node:next").await;
    let said = world
        .until("UpdatePending", READY, async |cluster| {
            let conditions = &cluster.status.as_ref()?.conditions;
            let pending = conditions.iter().find(|c| c.type_ == "UpdatePending")?;
            (pending.reason == "OperatorChanged").then(|| pending.message.clone())
        })
        .await;
    assert!(said.contains("dqlite-node:next"), "{said}");
    assert_eq!(uids().await, before);
    image(&old).await;
    world.ready().await;
    assert_eq!(uids().await, before);
    world.note("pod uids before and after are the same").await;
}
