//! `sweep NODE-ADDRESS FIRST-POD-ADDRESS`: see `sweep/mod.rs`. Run by `e2e/setup/sweep.sh`.
//!
//! `SWEEP_SECONDS` bounds how long new runs begin, 0 takes all cases; `SWEEP_SEED` draws the same cases again, and
//! `SWEEP_ONLY=Found/12/After` runs one.

#![allow(clippy::unwrap_used, reason = "a test that fails should panic")]

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
    net::Ipv4Addr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use dqlite_e2e::{
    flow::Flow,
    stand_in::StandIn,
    sweep::{
        fault::Fault,
        lane::{End, Lane},
        rights::{self, Right},
    },
};

/// Runs side by side: most of the time each waits.
const LANES: usize = 8;

/// Cases that found something come first.
const FOUND: [Case; 1] = [(Flow::Orphan, 0, Fault::Deaf)];
/// Calls from one that meets what lasts to the next.
const EACH: usize = 5;
/// Runs that end otherwise than they should, after which nothing new is begun.
const TOO_MANY: usize = 5;

/// A flow of which the `k`-th call meets a fault.
type Case = (Flow, usize, Fault);

#[derive(Default)]
struct Results {
    /// Of runs that met no fault.
    usual: BTreeMap<Flow, (usize, End)>,
    /// Cases to come, of each flow.
    cases: BTreeMap<Flow, Vec<(usize, Fault)>>,
    green: BTreeMap<(Flow, Fault), BTreeSet<usize>>,
    /// Whose call did not come.
    unmet: Vec<String>,
    red: Vec<String>,
    used: BTreeSet<Right>,
}

type Shared = Arc<Mutex<Results>>;

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |n| n.parse().unwrap())
}

fn only() -> anyhow::Result<Option<Case>> {
    let Ok(only) = std::env::var("SWEEP_ONLY") else {
        return Ok(None);
    };
    let case = |only: &str| -> Option<Case> {
        let mut parts = only.split('/');
        let (flow, k, fault) = (parts.next()?, parts.next()?, parts.next()?);
        let flow = Flow::ALL.into_iter().find(|f| format!("{f:?}") == flow)?;
        let fault = Fault::ALL.into_iter().find(|f| format!("{f:?}") == fault)?;
        Some((flow, k.parse().ok()?, fault))
    };
    case(&only).context("SWEEP_ONLY=Flow/k/Fault").map(Some)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut arguments = std::env::args().skip(1);
    let mut address = || -> anyhow::Result<Ipv4Addr> {
        let usage = "sweep NODE-ADDRESS FIRST-POD-ADDRESS";
        Ok(arguments.next().context(usage)?.parse()?)
    };
    let (node, first) = (address()?, address()?);
    let stand_in = Arc::new(StandIn::default());
    tokio::select! {
        ended = Arc::clone(&stand_in).play(node, first) => ended,
        ended = sweep(stand_in, first) => ended,
    }
}

async fn sweep(stand_in: Arc<StandIn>, first: Ipv4Addr) -> anyhow::Result<()> {
    let seed = number("SWEEP_SEED", rand::random::<u32>().into());
    let seconds = number("SWEEP_SECONDS", 180);
    println!("SWEEP_SEED={seed}");
    let shared = Shared::default();
    let only = only()?;
    let lanes = if only.is_some() { 1 } else { LANES };
    // The last lanes of two octets are no pods'.
    let [a, b, ..] = first.octets();
    let new = |n: usize| Lane::new(Arc::clone(&stand_in), n, Ipv4Addr::new(a, b, 255, n as u8));
    let mut ready = Vec::new();
    for n in 1..=lanes {
        ready.push(new(n).await);
    }
    let started = Instant::now();
    chain(&mut ready[0], &shared, None).await;
    draw(&shared, seed, only);
    let end = (seconds > 0).then(|| started + Duration::from_secs(seconds));
    let work = (1..).zip(ready).map(async |(n, mut lane)| {
        while more(&shared, end) {
            lane.finish().await;
            lane = new(n).await;
            chain(&mut lane, &shared, Some(end)).await;
        }
        lane.finish().await;
    });
    futures::future::join_all(work).await;
    tell(&shared, started.elapsed(), end.is_none()).await
}

/// All cases, in an order that the seed gives, or only one.
fn draw(shared: &Shared, seed: u64, only: Option<Case>) {
    let mut results = shared.lock().unwrap();
    for (flow, (calls, _)) in results.usual.clone() {
        let all = (0..=calls).flat_map(|k| Fault::ALL.map(|fault| (k, fault)));
        let mut cases: Vec<_> = all.filter(|(k, f)| is_case(*k, *f)).collect();
        cases.sort_by_key(|case| {
            let mut hasher = DefaultHasher::new();
            (seed, flow, case).hash(&mut hasher);
            // The last comes first.
            (FOUND.contains(&(flow, case.0, case.1)), hasher.finish())
        });
        if let Some((_, k, fault)) = only {
            let here = only.filter(|o| o.0 == flow);
            cases = here.map(|_| (k, fault)).into_iter().collect();
        }
        results.cases.insert(flow, cases);
    }
}

/// What lasts comes with a flow's begin, too, and meets a few of the calls: the next ones are in the midst of it.
fn is_case(k: usize, fault: Fault) -> bool {
    if fault.weather().is_some() {
        k.is_multiple_of(EACH)
    } else {
        k > 0
    }
}

/// Whether another run is to begin.
fn more(shared: &Shared, end: Option<Instant>) -> bool {
    let results = shared.lock().unwrap();
    let cases = results.cases.values().any(|c| !c.is_empty());
    let time = end.is_none_or(|end| Instant::now() < end);
    cases && time && results.red.len() < TOO_MANY
}

/// All flows, one after the other. With faults, each has a call that meets one, until the end.
async fn chain(lane: &mut Lane, shared: &Shared, faults: Option<Option<Instant>>) {
    for flow in Flow::ALL {
        if faults.is_some_and(|end| !more(shared, end)) {
            return;
        }
        let case = || shared.lock().unwrap().cases.get_mut(&flow)?.pop();
        let set = faults.and_then(|_| case());
        let name = match set {
            Some((k, fault)) => format!("{flow:?}/{k}/{fault:?}"),
            None => format!("{flow:?}"),
        };
        let usual = shared.lock().unwrap().usual.get(&flow).cloned();
        let ran = lane
            .run(flow, set, usual.as_ref().map(|(_, end)| end))
            .await;
        let mut results = shared.lock().unwrap();
        results.used.extend(lane.used());
        let ran = match ran {
            Ok(ran) => ran,
            Err(why) => {
                println!("{name}: RED: {why}");
                results.red.push(format!("{name}: {why}"));
                return;
            }
        };
        println!("{name}: {:?}, {} calls, {:?}", ran.took, ran.calls, ran.met);
        let usual = results
            .usual
            .entry(flow)
            .or_insert((ran.calls, ran.end.clone()));
        let mut wrong = ran.harms;
        if usual.1 != ran.end {
            wrong.push(format!("ends in {:?}\ninstead of {:?}", ran.end, usual.1));
        }
        if !wrong.is_empty() {
            println!("{name}: RED: {wrong:#?}");
            results.red.push(format!("{name}: {wrong:?}"));
            return;
        }
        if let Some((k, fault)) = set {
            match ran.met {
                Some(_) => drop(results.green.entry((flow, fault)).or_default().insert(k)),
                None => results.unmet.push(name),
            }
        }
    }
}

async fn tell(shared: &Shared, took: Duration, full: bool) -> anyhow::Result<()> {
    let granted = rights::granted(kube::Client::try_default().await?).await?;
    let results = shared.lock().unwrap();
    let head: Vec<_> = Fault::ALL.iter().map(|f| format!("{f:?}")).collect();
    println!("\n| flow | calls | {} |", head.join(" | "));
    println!("| --- |{}", " --- |".repeat(1 + head.len()));
    for (flow, (calls, _)) in &results.usual {
        let met = |fault| results.green.get(&(*flow, fault)).map_or(0, BTreeSet::len);
        let met = Fault::ALL.map(|fault| met(fault).to_string());
        println!("| {flow:?} | {calls} | {} |", met.join(" | "));
    }
    let green: usize = results.green.values().map(BTreeSet::len).sum();
    let (unmet, red) = (&results.unmet, &results.red);
    println!(
        "\n{green} faults met in {took:.0?}, {} runs red; not met: {unmet:?}",
        red.len()
    );
    ensure!(red.is_empty(), "red: {red:#?}");
    ensure!(green > 0, "no fault was met");
    let unused = granted.difference(&results.used);
    // An Event that comes again soon is patched, but not in each short run.
    let unused: Vec<_> = unused.filter(|r| full || r.resource != "events").collect();
    ensure!(unused.is_empty(), "granted, not used: {unused:#?}");
    Ok(())
}
