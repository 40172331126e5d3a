//! Tests that kill the operator or replace it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "tests"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use dqlite_e2e::{
    World, Writer,
    flow::{Before, Flow},
    provider::Capability::*,
    report::Line,
    world::READY,
};
use kube::ResourceExt;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

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
        let started = Instant::now();
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

async fn pod_uids(world: &World) -> BTreeSet<String> {
    world.pods().await.iter().filter_map(|p| p.uid()).collect()
}

/// Runs a flow to its end. The operator ends with its `k`-th answer, if there is a `k`, or right after the
/// flow if it takes fewer. Gives the number of its answers, and whether it ended with one.
async fn run(world: &World, flow: Flow, k: Option<u64>, id: Option<String>) -> (u64, bool) {
    let before = Before::look(world, flow, id).await;
    let answers = world.operators_answers().await;
    if let Some(k) = k {
        world.end_operator_after(k).await;
    }
    flow.begin(world).await;
    let over = async || flow.is_over(world, &before).await;
    let ended = k.is_some() && world.operator_ended(over).await;
    let started = Instant::now();
    while !flow.is_over(world, &before).await {
        let status = serde_json::to_string(&world.is_ready().await).unwrap();
        assert!(started.elapsed() < READY, "{flow:?} does not end: {status}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let now = world.operators_answers().await;
    (now.saturating_sub(answers), ended)
}

/// In each flow, the operator ends with an answer in its hands, of the API server or of a node, drawn anew
/// in each run: `E2E_SEED` repeats one.
#[tokio::test]
async fn the_operator_ends_with_any_answer_in_its_hands() {
    let test = "the_operator_ends_with_any_answer_in_its_hands";
    let Some(world) = World::empty(test, &[PodNetwork]).await else {
        return;
    };
    let seed = std::env::var("E2E_SEED").map_or_else(|_| rand::random(), |s| s.parse().unwrap());
    println!("E2E_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    world.let_operator_end(true).await;
    // Answers of an undisturbed run of each flow.
    let mut usual = BTreeMap::<Flow, u64>::new();
    let mut endings = BTreeMap::<Flow, u32>::new();
    let mut tallies = Vec::new();
    for _ in 0..4 {
        let world = World::empty(test, &[PodNetwork]).await.unwrap();
        let (mut writer, mut tally, mut id) = (None, None, None);
        for flow in Flow::FIRST.iter().copied() {
            if flow == Flow::Delete {
                let writer: Writer = writer.take().unwrap();
                writer.more(20).await;
                tally = Some(writer.stop(Duration::ZERO).await);
                id = world.status().await.cluster.map(|c| c.id);
            }
            let k = usual.get(&flow).map(|n| random.random_range(1..=*n));
            let (answers, ended) = run(&world, flow, k, id.clone()).await;
            let usual = usual.entry(flow).or_insert(answers.max(1));
            println!("{flow:?}: {k:?} of about {usual}; ended with an answer: {ended}");
            *endings.entry(flow).or_default() += u32::from(ended);
            if flow == Flow::Found {
                writer = Some(world.writer().await);
            }
        }
        world.ready().await;
        tallies.extend(tally.clone());
        world.finish(tally.as_slice(), "").await;
    }
    world.let_operator_end(false).await;
    // A deletion is the garbage collector's: the operator hardly asks. Of the others few may take fewer answers
    // than the undisturbed one did.
    let fewest = Flow::FIRST.iter().filter(|f| **f != Flow::Delete);
    let fewest = fewest.map(|f| endings[f]).min().unwrap();
    assert!(fewest >= 1, "a flow in which it never ended: {endings:?}");
    let note = format!("ended in the midst of {endings:?}, seed {seed}");
    Line {
        note,
        ..Line::of(&tallies)
    }
    .write(test);
}

/// Another version of the operator, with other node images: nothing restarts.
#[tokio::test]
async fn an_operator_upgrade_restarts_no_member() {
    let test = "an_operator_upgrade_restarts_no_member";
    let Some(world) = World::with(test, json!({}), &[PodNetwork]).await else {
        return;
    };
    let before = pod_uids(&world).await;
    let image = async |image: &str| {
        world
            .set_operators_env(&format!("NODE_IMAGE={image}"))
            .await
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
    assert_eq!(pod_uids(&world).await, before);
    image(&old).await;
    world.ready().await;
    assert_eq!(pod_uids(&world).await, before);
    world.note("pod uids before and after are the same").await;
}
