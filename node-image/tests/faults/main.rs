//! Whatever ends or stops, what clients saw is what a database that does one thing at a time could have shown, and all copies
//! are the same in the end. Some faults here, more by `make soak`: `SOAK_FAULTS` is their number, `SOAK_SEED` their order.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

#[path = "../cluster/cut.rs"]
#[allow(dead_code, reason = "the nodes' tests use the rest")]
mod cut;
mod fault;
#[path = "../cluster/nodes.rs"]
#[allow(dead_code, reason = "the nodes' tests use the rest")]
mod nodes;
mod replicas;

use std::{collections::BTreeMap, time::Duration};

use cut::Cut;
use dqlite_history::workload::Workload;
use fault::Fault;
use nodes::Cluster;
use rand::{SeedableRng, rngs::StdRng, seq::IndexedRandom};

fn number(name: &str, usual: impl FnOnce() -> u64) -> u64 {
    std::env::var(name).map_or_else(|_| usual(), |n| n.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_clients_saw_is_explained_whatever_ends_or_stops() {
    let seed = number("SOAK_SEED", rand::random);
    let soon = Fault::ALL.into_iter().filter(|f| !f.takes_a_minute());
    let faults = number("SOAK_FAULTS", || soon.count() as u64);
    println!("SOAK_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let cut = Cut::default();
    let mut cluster = Cluster::of_three_on_small_disks(40, cut.clone()).await;
    let ports = cluster.nodes.iter().map(nodes::Node::leader_port);
    let workload = Workload::start(ports.collect(), seed).await.unwrap();
    let mut gaps: BTreeMap<Fault, Vec<Duration>> = BTreeMap::new();
    for n in 0..faults {
        // Each of them comes, and then any.
        let each = Fault::ALL.get(n as usize).copied();
        let fault = each.unwrap_or_else(|| *Fault::ALL.choose(&mut random).unwrap());
        workload.more(200).await;
        let _ = workload.take_gap();
        fault.happen(&mut cluster, &cut).await;
        workload.more(200).await;
        let gap = workload.take_gap();
        println!("{fault:?}: {gap:?}");
        assert!(gap < fault.bound(), "{fault:?}: {gap:?}, seed {seed}");
        gaps.entry(fault).or_default().push(gap);
    }
    let history = workload.stop().await.unwrap();
    let written: u64 = history.acknowledged.values().sum();
    if let Err(violation) = history.check() {
        panic!("seed {seed}: {violation}");
    }
    replicas::check(&cluster, &history).await;
    print!("{}", table(&gaps, written));
}

fn table(gaps: &BTreeMap<Fault, Vec<Duration>>, written: u64) -> String {
    let mut table = String::from(
        "| fault | times | gap p50 s | p99 s | longest s |\n| --- | --- | --- | --- | --- |\n",
    );
    for (fault, gaps) in gaps {
        let mut gaps = gaps.clone();
        gaps.sort_unstable();
        let at = |share: usize| gaps[(gaps.len() * share / 100).min(gaps.len() - 1)].as_secs_f64();
        let (n, p50, p99, longest) = (gaps.len(), at(50), at(99), at(100));
        table += &format!("| {fault:?} | {n} | {p50:.2} | {p99:.2} | {longest:.2} |\n");
    }
    table + &format!("{written} operations acknowledged, nothing lost\n")
}
