//! Watches, and passes started by them: bounded in number, each in a time of its own. One object that
//! fails, hangs or panics never stops the others.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt};
use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{ConfigMap, PersistentVolumeClaim, Pod},
};
use kube::{
    Api, Resource, ResourceExt,
    core::{DeserializeGuard, PartialObjectMeta},
    runtime::{
        Controller, PredicateConfig, WatchStreamExt,
        controller::{Action, Config},
        predicates,
        reflector::ObjectRef,
        watcher,
    },
};
use operator_api::{CLUSTER_LABEL, DqliteCluster, MANAGED_BY, MANAGED_BY_LABEL};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Context, reconcile};

/// Clusters that are worked on at once.
const CONCURRENCY: u16 = 16;
/// A pass that takes longer hangs.
const PASS: Duration = Duration::from_secs(60);
/// A watch that was cut without a word is noticed after this.
const WATCH_SECONDS: u32 = 60;

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct PassFailed(String);

type Guarded = DeserializeGuard<DqliteCluster>;

/// Watches and works until `stop`.
pub async fn run(ctx: Arc<Context>, stop: CancellationToken) {
    let client = ctx.client.clone();
    let clusters: Api<Guarded> = Api::all(client.clone());
    let config = watcher::Config::default().timeout(WATCH_SECONDS);
    // Our own writes of the status wake nobody.
    let (reader, writer) = kube::runtime::reflector::store();
    let triggers = watcher(clusters, config)
        .default_backoff()
        .reflect(writer)
        .applied_objects()
        .predicate_filter(predicates::generation, PredicateConfig::default());
    let ended = stop.clone();
    let controller = Controller::for_stream(triggers, reader)
        .with_config(Config::default().concurrency(CONCURRENCY))
        .watches_stream(children::<StatefulSet>(&client), of_cluster)
        .watches_stream(children::<PersistentVolumeClaim>(&client), of_cluster)
        .watches_stream(children::<ConfigMap>(&client), of_cluster)
        .watches_stream(children::<Pod>(&client), of_cluster)
        .reconcile_on(ctx.hints.wakes())
        .reconcile_all_on(ctx.kube_nodes.clone().watch(&client))
        .graceful_shutdown_on(async move { ended.cancelled().await });
    controller
        .run(
            pass,
            |_, error, _| {
                // `pass` handles its own failures; this is for those of the library.
                tracing::warn!("pass failed: {error}");
                Action::requeue(Duration::from_secs(5))
            },
            ctx,
        )
        .for_each(|ended| async move {
            if let Err(error) = ended {
                tracing::debug!("queue: {error}");
            }
        })
        .await;
}

fn children<K>(
    client: &kube::Client,
) -> impl futures::Stream<Item = Result<PartialObjectMeta<K>, watcher::Error>> + Send + use<K>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + Send + Sync + 'static,
    K: serde::de::DeserializeOwned,
{
    let config = watcher::Config::default()
        .labels(&format!("{MANAGED_BY_LABEL}={MANAGED_BY}"))
        .timeout(WATCH_SECONDS);
    let api = Api::<PartialObjectMeta<K>>::all(client.clone());
    watcher(api, config).default_backoff().touched_objects()
}

fn of_cluster<K: ResourceExt>(child: K) -> Option<ObjectRef<Guarded>> {
    let name = child.labels().get(CLUSTER_LABEL)?.clone();
    Some(ObjectRef::new(&name).within(&child.namespace()?))
}

async fn pass(object: Arc<Guarded>, ctx: Arc<Context>) -> Result<Action, PassFailed> {
    let cluster = match &object.0 {
        Ok(cluster) => cluster,
        Err(unreadable) => {
            tracing::error!(name = %object.name_any(), "unreadable object: {}", unreadable.error);
            return Ok(Action::await_change());
        }
    };
    if ctx.lease.check().is_err() {
        return Ok(Action::requeue(Duration::from_secs(2)));
    }
    let uid = cluster.uid().unwrap_or_default();
    let timer = ctx.metrics.pass();
    let work = AssertUnwindSafe(reconcile(cluster, &ctx)).catch_unwind();
    let failure = match timeout(PASS, work).await {
        Ok(Ok(Ok(again))) => {
            timer.done("ok");
            ctx.backoff.forget(&uid);
            return Ok(Action::requeue(again.after()));
        }
        Ok(Ok(Err(error))) => format!("{error:#}"),
        Ok(Err(_)) => "the pass panicked".into(),
        Err(_) => format!("the pass took over {PASS:?}"),
    };
    timer.done("failed");
    let wait = ctx.backoff.failed(&uid);
    tracing::warn!(cluster = %cluster.name_any(), ?wait, "{failure}");
    Ok(Action::requeue(wait))
}
