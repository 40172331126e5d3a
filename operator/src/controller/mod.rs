//! The controller: brings one DqliteCluster at a time a step further.
//!
//! ```text
//! mod.rs       reconcile: five steps on one screen (validate is `wanted.rs` above)
//! observe.rs   observe
//! facts.rs     what was observed, as `decide` takes it
//! disks.rs     how a PVC compares with the spec
//! act.rs       act
//! events.rs    tells of it
//! report.rs    report
//! conditions.rs  its conditions
//! verdict.rs   what a decision means to people
//! support.rs   the small objects beside the members
//! backoff.rs   how long a failing object waits
//! run.rs       watches, concurrency, panics
//! ```

mod act;
mod backoff;
mod conditions;
mod disks;
mod events;
mod facts;
mod observe;
mod report;
mod run;
mod support;
mod verdict;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use kube::{
    Api, Resource, ResourceExt,
    api::{Patch, PatchParams},
    runtime::events::Recorder,
};
use operator_api::{DqliteCluster, DqliteClusterStatus, FIELD_MANAGER, conditions::reason};
use operator_plan::{Facts, Reason, Step, decide};
use tokio::sync::Semaphore;

pub use backoff::Backoff;
pub use observe::Observed;
pub use run::run;
pub use support::Applied;

use crate::{
    changes::Changes, hints::Hints, kube_nodes::KubeNodes, lease::Lease, metrics::Metrics, nodes,
    wanted::Wanted,
};
use events::Events;
use verdict::{State, Verdict};

/// What every pass needs.
pub struct Context {
    pub client: kube::Client,
    pub http: reqwest::Client,
    /// Shared, so that repeated events are counted instead of repeated.
    pub recorder: Recorder,
    /// Nothing is done without it.
    pub lease: Arc<Lease>,
    pub node_image: String,
    pub applied: support::Applied,
    pub backoff: backoff::Backoff,
    pub hints: Hints,
    pub kube_nodes: Arc<KubeNodes>,
    pub changes: Arc<Changes>,
    pub introductions: Arc<Semaphore>,
    pub metrics: Arc<Metrics>,
}

/// When to look again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// There is more to do.
    Now,
    /// Something is awaited.
    Soon,
    /// All is well, or a person must act; watches and hints wake us before.
    Later,
}

impl Again {
    fn after(self) -> Duration {
        let jitter = f64::from(rand::random::<u8>()) / 256.0 * 0.4 + 0.8;
        match self {
            Self::Now => Duration::ZERO,
            Self::Soon => Duration::from_millis(500).mul_f64(jitter),
            Self::Later => Duration::from_secs(30).mul_f64(jitter),
        }
    }
}

/// Clusters whose members are introduced to each other at once, and the pause after each.
pub const INTRODUCTIONS: usize = 4;
const INTRODUCTIONS_PAUSE: Duration = Duration::from_secs(2);

/// One pass over one cluster.
async fn reconcile(cluster: &DqliteCluster, ctx: &Context) -> anyhow::Result<Again> {
    // The API server's own word, not the cache's: the object may be gone, or another by now. Nobody else may tell of that other
    // one: an event can be lost.
    let live = live(cluster, ctx).await?;
    if live.as_ref().is_none_or(|l| l.uid() != cluster.uid()) {
        ctx.hints.forget(cluster);
        ctx.changes.forget(&cluster.uid().unwrap_or_default());
        ctx.metrics.forget(cluster.namespace(), cluster.name_any());
    }
    let Some(cluster) = live else {
        return Ok(Again::Later);
    };
    if cluster.status.is_none() {
        publish_unseen(ctx, &cluster, &verdict::unseen()).await?;
    }
    let wanted = match Wanted::check(&cluster, &ctx.node_image) {
        Ok(wanted) => wanted,
        Err(invalid) => {
            let verdict = verdict::stalled(reason::INVALID_SPEC, invalid.to_string());
            publish_unseen(ctx, &cluster, &verdict).await?;
            return Ok(Again::Later);
        }
    };
    let observed = match observe::observe(ctx, &wanted).await {
        Ok(observed) => observed,
        Err(error) => {
            publish_unseen(ctx, &cluster, &verdict::failed(&error)).await?;
            return Err(error);
        }
    };
    ctx.hints.follow(&wanted.names, &observed, &ctx.http);

    let facts = facts::facts(&wanted, &observed, ctx.changes.state(&wanted.uid));
    let step = decide(&facts);
    tracing::debug!(cluster = %wanted.names.cluster, ?step, "decided");

    let explained = || verdict::explain(&step, &wanted, &observed);
    if wanted.spec.paused {
        let verdict = verdict::paused(explained());
        publish(ctx, &cluster, &wanted, &observed, &facts, &verdict).await?;
        return Ok(Again::Later);
    }
    introduce(ctx, &observed, &facts);
    let events = Events::about(&cluster, &ctx.recorder);
    let acted = match support::ensure(ctx, &wanted, &observed, &facts).await {
        Ok(()) => act::act(ctx, &wanted, &observed, &facts, &step, &events).await,
        Err(error) => Err(error),
    };
    if step == Step::Done {
        ctx.changes.forget(&wanted.uid);
    }
    let (mut verdict, mut again) = match &acted {
        Ok(()) => (explained(), again(&step)),
        Err(error) => (verdict::failed(error), Again::Soon),
    };
    // Ready is said only once a client would find it so, wherever it runs.
    let news = verdict.state == State::Ready && !report::is_ready(cluster.status.as_ref());
    let reached = async || {
        served_everywhere(&observed) && nodes::leads_through(&wanted.names.leader_address()).await
    };
    if news && !reached().await {
        (verdict, again) = (verdict::unreached(&wanted), Again::Soon);
    }
    events.wrong(&verdict, cluster.status.as_ref()).await;
    // Steps follow each other in milliseconds: the last one's status tells of all.
    let in_a_hurry = again == Again::Now && cluster.status.is_some();
    if !in_a_hurry {
        publish(ctx, &cluster, &wanted, &observed, &facts, &verdict).await?;
    }
    acted.map(|()| again)
}

/// Each Kubernetes node takes changes of Services together for a second, and needs a moment for them; and times of
/// pods are whole seconds, the next lower.
const SERVICES_FOLLOW: Duration = Duration::from_secs(3);

/// Services lead to one of the members on every Kubernetes node by now, not on the operator's alone. Which one
/// does not matter: it leads on to the leader.
fn served_everywhere(observed: &Observed) -> bool {
    let latest = Timestamp::now() - SERVICES_FOLLOW;
    let mut served = observed.members.values().filter_map(|m| m.served_since());
    served.any(|since| since <= latest)
}

/// Members that know no leader may not know where the others are either: they are told, now and then.
fn introduce(ctx: &Context, observed: &Observed, facts: &Facts) {
    let memory = observed.record.as_ref().map(|(_, memory)| memory);
    let Some(memory) = memory.filter(|m| m.record.founded && facts.leader().is_none()) else {
        return;
    };
    let Ok(one_of_few) = Arc::clone(&ctx.introductions).try_acquire_owned() else {
        return;
    };
    let place = |n: &u32| {
        let id = memory.record.members.get(n)?.id;
        // Who does not answer here has no engine that could ask for another.
        facts.node(*n)?;
        let ip = observed.members.get(n)?.target()?.ip.parse().ok()?;
        Some((id, ip))
    };
    let members: Vec<_> = observed.members.keys().filter_map(place).collect();
    let cluster = memory.cluster.clone();
    tokio::spawn(async move {
        nodes::introduce(&cluster, &members).await;
        tokio::time::sleep(INTRODUCTIONS_PAUSE).await;
        drop(one_of_few);
    });
}

/// Writes the status if it is another than before.
async fn publish(
    ctx: &Context,
    cluster: &DqliteCluster,
    wanted: &Wanted,
    observed: &Observed,
    facts: &Facts,
    verdict: &Verdict,
) -> anyhow::Result<()> {
    let old = cluster.status.clone().unwrap_or_default();
    let now = Timestamp::now();
    let status = report::status(wanted, observed, facts, verdict, &old, now);
    ctx.metrics
        .observed(&wanted.names, verdict.state == State::Ready);
    if status != old {
        write(ctx, cluster, &status).await?;
    }
    Ok(())
}

fn again(step: &Step) -> Again {
    match step {
        Step::Wait(Reason::UpdatePending(_) | Reason::Hibernated)
        | Step::Done
        | Step::Stalled(_) => Again::Later,
        // The next look must see the new leader, or the old one is asked again.
        Step::Wait(_) | Step::Transfer(_) => Again::Soon,
        _ => Again::Now,
    }
}

/// The object of this name as it is now, be it another by now; `None` when it is gone or going.
async fn live(cached: &DqliteCluster, ctx: &Context) -> kube::Result<Option<DqliteCluster>> {
    let namespace = cached.namespace().unwrap_or_else(|| "default".into());
    let api: Api<DqliteCluster> = Api::namespaced(ctx.client.clone(), &namespace);
    let live = api.get_opt(&cached.name_any()).await?;
    Ok(live.filter(|c| c.meta().deletion_timestamp.is_none()))
}

/// The status of an object of which nothing was seen: it breaks a rule, or could not be looked at.
async fn publish_unseen(
    ctx: &Context,
    cluster: &DqliteCluster,
    verdict: &Verdict,
) -> anyhow::Result<()> {
    let old = cluster.status.clone().unwrap_or_default();
    let events = Events::about(cluster, &ctx.recorder);
    events.wrong(verdict, Some(&old)).await;
    let status = report::with_verdict(&old, verdict, cluster.meta().generation, Timestamp::now());
    if status != old {
        write(ctx, cluster, &status).await?;
    }
    Ok(())
}

async fn write(
    ctx: &Context,
    cluster: &DqliteCluster,
    status: &DqliteClusterStatus,
) -> anyhow::Result<()> {
    ctx.lease.check()?;
    let namespace = cluster.namespace().unwrap_or_else(|| "default".into());
    let api: Api<DqliteCluster> = Api::namespaced(ctx.client.clone(), &namespace);
    let patch = serde_json::json!({
        "apiVersion": DqliteCluster::api_version(&()),
        "kind": DqliteCluster::kind(&()),
        "metadata": { "uid": cluster.uid() },
        "status": status,
    });
    let params = PatchParams::apply(FIELD_MANAGER).force();
    api.patch_status(&cluster.name_any(), &params, &Patch::Apply(patch))
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::json;

    use super::*;

    fn ready_for(ages: &[i64]) -> Observed {
        let mut observed = Observed::default();
        for (n, age) in (1..).zip(ages) {
            let since = Timestamp::now() - Duration::from_secs(*age as u64);
            let condition = json!({"type": "Ready", "status": "True", "lastTransitionTime": since});
            let pod = json!({"status": {"conditions": [condition]}});
            let pod: Pod = serde_json::from_value(pod).unwrap();
            observed.members.entry(n).or_default().pod = Some(pod);
        }
        observed
    }

    #[test]
    fn services_lead_everywhere_once_one_pod_has_been_ready_for_a_while() {
        assert!(!served_everywhere(&ready_for(&[])));
        assert!(!served_everywhere(&ready_for(&[0, 2])));
        assert!(served_everywhere(&ready_for(&[0, 4])));
    }
}
