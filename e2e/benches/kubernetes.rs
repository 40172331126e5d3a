//! What the operator costs on a real Kubernetes: the time to a ready cluster, against as many StatefulSets of
//! the same image with nobody to look after them; and the writes that a rolled change of the template
//! holds up. `make bench` runs this and prints what it prints.

#![allow(clippy::unwrap_used, reason = "a measurement that fails should panic")]

use std::time::{Duration, Instant};

use dqlite_e2e::{
    World,
    world::{is_ready, is_true},
};
use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{PersistentVolumeClaim, Pod},
};
use kube::{
    Api, ResourceExt,
    api::{ListParams, ObjectMeta, PostParams},
};
use operator_api::{DqliteCluster, conditions::READY};
use serde_json::json;

const ROUNDS: usize = 5;

#[tokio::main]
async fn main() {
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (took, world) = apply_to_ready().await;
        ours.push(took);
        let model = model(&world).await;
        let names = world.names.clone();
        world.delete_namespace().await;
        println!("{names:?} ready after {took:.2} s");
        bare.push(bare_sets(&model).await);
    }
    println!("\n## From apply to ready, three members\n");
    println!("Median of {ROUNDS} turns, each in a namespace of its own.\n");
    println!("| what | median s | longest s | of the bare ones |");
    println!("| --- | --- | --- | --- |");
    let base = median(&bare);
    for (what, times) in [
        ("a DqliteCluster, until Ready is true", &ours),
        ("three bare StatefulSets, until their pods are ready", &bare),
    ] {
        let (middle, longest) = (median(times), times.iter().copied().fold(0.0, f64::max));
        println!(
            "| {what} | {middle:.2} | {longest:.2} | {:.2} |",
            middle / base
        );
    }
    rolled().await;
}

fn median(times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

async fn apply_to_ready() -> (f64, World) {
    let world = World::empty("bench", &[]).await.unwrap();
    let started = Instant::now();
    world.apply(json!({})).await.unwrap();
    loop {
        let clusters = world.api::<DqliteCluster>();
        let cluster = clusters.get(&world.names.cluster).await.unwrap();
        if cluster.status.is_some_and(|s| is_true(&s, READY)) {
            return (started.elapsed().as_secs_f64(), world);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The first member's StatefulSet and PVC, without what the operator put there for itself.
async fn model(world: &World) -> (StatefulSet, PersistentVolumeClaim) {
    let name = world.names.member(1);
    let mut set = world.api::<StatefulSet>().get(&name).await.unwrap();
    let mut disk = world
        .api::<PersistentVolumeClaim>()
        .get(&name)
        .await
        .unwrap();
    set.metadata = ObjectMeta::default();
    let pod = set.spec.as_mut().unwrap().template.spec.as_mut().unwrap();
    let keep = |name: &str| name == "data";
    pod.volumes.as_mut().unwrap().retain(|v| keep(&v.name));
    (pod.service_account_name, pod.service_account) = (None, None);
    let container = &mut pod.containers[0];
    container
        .volume_mounts
        .as_mut()
        .unwrap()
        .retain(|m| keep(&m.name));
    // A node that was told nothing waits, and never calls itself ready.
    container.readiness_probe = None;
    disk.metadata = ObjectMeta::default();
    disk.spec.as_mut().unwrap().volume_name = None;
    (set, disk)
}

/// Three of them at once, as `kubectl apply` makes them.
async fn bare_sets((set, disk): &(StatefulSet, PersistentVolumeClaim)) -> f64 {
    let world = World::empty("bench-bare", &[]).await.unwrap();
    let started = Instant::now();
    for n in 1..=3 {
        let name = format!("bare-{n}");
        let mut disk = disk.clone();
        disk.metadata.name = Some(name.clone());
        world
            .api()
            .create(&PostParams::default(), &disk)
            .await
            .unwrap();
        let mut set = set.clone();
        set.metadata.name = Some(name.clone());
        let spec = set.spec.as_mut().unwrap();
        let labels = Some([("app".to_owned(), name.clone())].into());
        spec.selector.match_labels.clone_from(&labels);
        spec.template.metadata = Some(ObjectMeta {
            labels,
            ..ObjectMeta::default()
        });
        let pod = spec.template.spec.as_mut().unwrap();
        let data = &mut pod.volumes.as_mut().unwrap()[0];
        data.persistent_volume_claim.as_mut().unwrap().claim_name = name;
        world
            .api()
            .create(&PostParams::default(), &set)
            .await
            .unwrap();
    }
    let pods: Api<Pod> = world.api();
    while pods
        .list(&ListParams::default())
        .await
        .unwrap()
        .iter()
        .filter(|p| is_ready(p))
        .count()
        < 3
    {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let took = started.elapsed().as_secs_f64();
    world.delete_namespace().await;
    took
}

async fn rolled() {
    let world = World::with("bench", json!({}), &[]).await.unwrap();
    let writer = world.writer().await;
    writer.more(100).await;
    let before: Vec<_> = world.pods().await.iter().map(|p| p.uid()).collect();
    let resources = json!({"requests": {"cpu": "60m", "memory": "64Mi"}});
    world.apply(json!({"resources": resources})).await.unwrap();
    let started = Instant::now();
    loop {
        let pods = world.pods().await;
        if pods.len() == 3
            && pods
                .iter()
                .all(|p| !before.contains(&p.uid()) && is_ready(p))
        {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    world.ready().await;
    let took = started.elapsed();
    writer.more(100).await;
    let tally = writer.stop(Duration::from_secs(20)).await;
    println!("\n## A change of the template, rolled over three members under a writer\n");
    println!("| took s | writes held up in all s | longest gap s | rows acknowledged |");
    println!("| --- | --- | --- | --- |");
    println!(
        "| {:.1} | {:.2} | {:.2} | {} |",
        took.as_secs_f64(),
        tally.held_up.as_secs_f64(),
        tally.longest_gap.as_secs_f64(),
        tally.acknowledged.len()
    );
    world.finish(&[tally], "").await;
}
