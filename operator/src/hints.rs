//! Hints: every node is asked to answer when something about it changes, and its cluster is looked at
//! again then. Only a hint: the passes that come by themselves do not depend on it.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures::{Stream, channel::mpsc};
use kube::{ResourceExt, core::DeserializeGuard, runtime::reflector::ObjectRef};
use operator_api::{DqliteCluster, Names};
use tokio::task::JoinHandle;

use crate::{
    controller::Observed,
    nodes::{Nodes, Target},
};

type Wake = ObjectRef<DeserializeGuard<DqliteCluster>>;

/// The tasks that wait for the nodes' answers.
#[derive(Debug)]
pub struct Hints {
    wake: mpsc::UnboundedSender<Wake>,
    wakes: Mutex<Option<mpsc::UnboundedReceiver<Wake>>>,
    /// By namespace and name of the cluster, then by uid of the pod.
    tasks: Mutex<HashMap<String, HashMap<String, Task>>>,
}

#[derive(Debug)]
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Hints {
    pub fn new() -> Self {
        let (wake, wakes) = mpsc::unbounded();
        Self {
            wake,
            wakes: Mutex::new(Some(wakes)),
            tasks: Mutex::default(),
        }
    }

    /// Clusters to look at. Only the first call gets them.
    pub fn wakes(&self) -> impl Stream<Item = Wake> + Send + use<> {
        let taken = self
            .wakes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        taken.unwrap_or_else(|| mpsc::unbounded().1)
    }

    /// Waits for the nodes that were just seen, and for no other of this cluster.
    pub fn follow(&self, names: &Names, observed: &Observed, http: &reqwest::Client) {
        let Some(token) = &observed.token else { return };
        let wake = Wake::new(&names.cluster).within(&names.namespace);
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let tasks = tasks.entry(wake.to_string()).or_default();
        let seen: HashMap<_, _> = observed
            .members
            .values()
            .filter_map(|m| Some((m.target()?, m.node.as_ref()?.revision)))
            .map(|(target, revision)| (target.pod_uid.clone(), (target, revision)))
            .collect();
        tasks.retain(|pod, task| seen.contains_key(pod) && !task.0.is_finished());
        for (pod, (target, revision)) in seen {
            tasks.entry(pod).or_insert_with(|| {
                let nodes = Nodes::new(http.clone(), token.clone());
                let (to, wake) = (self.wake.clone(), wake.clone());
                Task(tokio::spawn(listen(nodes, target, revision, to, wake)))
            });
        }
    }

    /// The cluster is gone.
    pub fn forget(&self, cluster: &DqliteCluster) {
        let wake = Wake::new(&cluster.name_any())
            .within(&cluster.namespace().unwrap_or_else(|| "default".into()));
        self.tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&wake.to_string());
    }
}

async fn listen(
    nodes: Nodes,
    target: Target,
    mut revision: u64,
    to: mpsc::UnboundedSender<Wake>,
    wake: Wake,
) {
    loop {
        match nodes.status(&target, Some(revision)).await {
            Ok(status) if status.revision == revision => {}
            Ok(status) => {
                revision = status.revision;
                let _ = to.unbounded_send(wake.clone());
                // A node in an election changes its mind often.
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Err(_) => {
                // It ended or went silent, which is news too.
                let _ = to.unbounded_send(wake.clone());
                return;
            }
        }
    }
}
