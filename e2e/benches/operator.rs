//! What an operator needs for many clusters, whose members are played (`src/stand_in`): memory, processor
//! time and requests to the API server. `make bench` runs this and prints what it prints.

#![allow(clippy::unwrap_used, reason = "a measurement that fails should panic")]

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use dqlite_e2e::{
    World,
    faults::kubectl,
    provider::root,
    stand_in::NAME,
    world::{READY, is_true},
};
use futures::{StreamExt, stream};
use kube::api::ListParams;
use operator_api::{DqliteCluster, conditions};
use serde_json::json;

const COUNTS: [usize; 4] = [0, 1, 10, 100];
/// What follows the last step comes to rest, resyncs of all objects included.
const REST: Duration = Duration::from_secs(45);
const IDLE: Duration = Duration::from_secs(60);

/// The operator's own figures.
#[derive(Clone, Copy)]
struct Figures {
    requests: f64,
    writes: f64,
    cpu_seconds: f64,
    resident_bytes: f64,
}

#[tokio::main]
async fn main() {
    let world = World::empty("bench-operator", &[]).await.unwrap();
    let mut player = tokio::process::Command::new(root().join("e2e/local/cluster.sh"))
        .args(["test", "stand-in", env!("CARGO_BIN_EXE_stand-in")])
        // It ends with this process, whatever ends that.
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    // Anew, so that nothing is counted that others left.
    world.scale_operator(0).await;
    world.scale_operator(1).await;
    println!("\n## The operator's own needs\n");
    println!(
        "Clusters of three members that are played by a stand-in; idle figures over {IDLE:?}.\n"
    );
    println!(
        "| objects | all ready after s | requests, writes for each | resident MB | idle: requests/min | writes/min | processor % |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    let mut there = 0;
    for count in COUNTS {
        let (before, started) = (figures(&world).await, Instant::now());
        stream::iter(there..count)
            .for_each_concurrent(8, |i| apply(&world, i))
            .await;
        all_ready(&world, count).await;
        let took = started.elapsed().as_secs_f64();
        let made = figures(&world).await;
        tokio::time::sleep(REST).await;
        let idle = figures(&world).await;
        tokio::time::sleep(IDLE).await;
        let end = figures(&world).await;
        let new = (count - there).max(1) as f64;
        let minutes = IDLE.as_secs_f64() / 60.0;
        println!(
            "| {count} | {took:.1} | {:.0}, {:.0} | {:.1} | {:.0} | {:.1} | {:.2} |",
            (made.requests - before.requests) / new,
            (made.writes - before.writes) / new,
            end.resident_bytes / 1e6,
            (end.requests - idle.requests) / minutes,
            (end.writes - idle.writes) / minutes,
            (end.cpu_seconds - idle.cpu_seconds) / IDLE.as_secs_f64() * 100.0,
        );
        there = count;
    }
    kubectl(&[
        "delete",
        "namespace",
        &world.names.namespace,
        "--timeout=600s",
    ])
    .await;
    for what in ["persistentvolume", "node", "storageclass"] {
        let which: &[&str] = match what {
            "persistentvolume" => &["-l", NAME],
            _ => &[NAME],
        };
        kubectl(&[&["delete", what], which].concat()).await;
    }
    player.kill().await.unwrap();
}

async fn apply(world: &World, i: usize) {
    let spec = json!({
        "storage": {"className": NAME, "retain": "Delete"},
        "scheduling": {
            "nodeSelector": {"kubernetes.io/hostname": NAME},
            "tolerations": [{"key": NAME, "operator": "Exists"}],
        },
    });
    world.apply_as(&format!("c{i}"), spec).await.unwrap();
}

async fn all_ready(world: &World, count: usize) {
    let started = Instant::now();
    loop {
        let clusters = world.api::<DqliteCluster>();
        let all = clusters.list(&ListParams::default()).await.unwrap();
        let ready = |c: &&DqliteCluster| {
            let status = c.status.as_ref();
            status.is_some_and(|s| is_true(s, conditions::READY))
        };
        let ready = all.iter().filter(ready).count();
        if ready == count {
            return;
        }
        assert!(
            started.elapsed() < READY * 10,
            "{ready} of {count} are ready"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn figures(world: &World) -> Figures {
    let text = world.ask_operator("GET", "metrics").await;
    let sum = |name: &str, is: &dyn Fn(&str) -> bool| -> f64 {
        let lines = text.lines().filter(|l| l.starts_with(name) && is(l));
        let values = lines.map(|l| l.rsplit(' ').next().unwrap().parse::<f64>().unwrap());
        values.sum()
    };
    let requests = "dqlite_operator_api_requests_total{";
    Figures {
        requests: sum(requests, &|_| true),
        writes: sum(requests, &|line| !line.contains("GET")),
        cpu_seconds: sum("process_cpu_seconds_total ", &|_| true),
        resident_bytes: sum("process_resident_memory_bytes ", &|_| true),
    }
}
