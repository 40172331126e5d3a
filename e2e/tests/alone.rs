//! Tests that disturb others, or that others disturb.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "tests"
)]

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
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
use serde_json::json;

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
        let killed = Instant::now();
        while world.restarts(&leader).await == restarts {
            assert!(killed.elapsed() < READY, "{leader} does not start again");
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
    // Its connection may have led through the paused node: then it waited until its own timeout.
    let tally = writer.stop(Duration::from_secs(6)).await;
    world.finish(&[tally], "one voter of three paused").await;
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
    // The last pass but one may have seen a log that was still written to.
    tokio::time::sleep(Duration::from_secs(45)).await;
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
