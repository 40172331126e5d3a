//! The Kubernetes nodes, as far as they matter to members: which are about to be drained.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Node;
use kube::{
    Api, ResourceExt,
    runtime::{WatchStreamExt, watcher},
};

/// By name. Empty where the operator may not read nodes: then nothing is known to be drained.
#[derive(Debug, Default)]
pub struct KubeNodes(Mutex<BTreeMap<String, bool>>);

impl KubeNodes {
    /// The node takes no new pods.
    pub fn is_cordoned(&self, name: &str) -> bool {
        let nodes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        nodes.get(name).copied().unwrap_or(false)
    }

    /// Watches the nodes; yields when one was cordoned or is free again.
    pub fn watch(self: Arc<Self>, client: &kube::Client) -> impl Stream<Item = ()> + Send + use<> {
        let nodes = watcher(Api::<Node>::all(client.clone()), watcher::Config::default());
        nodes
            .default_backoff()
            .touched_objects()
            .filter_map(move |node| {
                let changed = match node {
                    Ok(node) => self.note(&node),
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
        let cordoned = unschedulable.unwrap_or(false);
        let mut nodes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        nodes.insert(node.name_any(), cordoned).unwrap_or(false) != cordoned
    }
}
