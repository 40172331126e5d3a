//! The Kubernetes nodes, as far as they matter to members: which are about to be drained, and where they are.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Node;
use kube::{
    Api, ResourceExt,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};

/// Kubernetes' own label.
const ZONE_LABEL: &str = "topology.kubernetes.io/zone";

/// What matters of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KubeNode {
    /// It takes no new pods.
    pub cordoned: bool,
    pub zone: Option<String>,
}

/// By name. Empty where the operator may not read nodes: then nothing is known to be drained.
#[derive(Debug, Default)]
pub struct KubeNodes(Mutex<BTreeMap<String, KubeNode>>);

impl KubeNodes {
    pub fn get(&self, name: &str) -> KubeNode {
        self.all().get(name).cloned().unwrap_or_default()
    }

    /// Zones that have nodes.
    pub fn zones(&self) -> BTreeSet<String> {
        self.all().values().filter_map(|n| n.zone.clone()).collect()
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, KubeNode>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches the nodes; yields when one was cordoned, is free again, or is in another zone.
    pub fn watch(self: Arc<Self>, client: &kube::Client) -> impl Stream<Item = ()> + Send + use<> {
        let nodes = watcher(Api::<Node>::all(client.clone()), watcher::Config::default());
        nodes.default_backoff().filter_map(move |event| {
            let changed = match event {
                Ok(Event::Apply(node) | Event::InitApply(node)) => self.note(&node),
                Ok(Event::Delete(node)) => self.all().remove(&node.name_any()).is_some(),
                Ok(Event::Init | Event::InitDone) => false,
                Err(e) => {
                    tracing::debug!("nodes cannot be watched: {e}");
                    false
                }
            };
            async move { changed.then_some(()) }
        })
    }

    fn note(&self, node: &Node) -> bool {
        let unschedulable = node.spec.as_ref().and_then(|s| s.unschedulable);
        let now = KubeNode {
            cordoned: unschedulable.unwrap_or(false),
            zone: node.labels().get(ZONE_LABEL).cloned(),
        };
        let before = self.all().insert(node.name_any(), now.clone());
        before.unwrap_or_default() != now
    }
}
