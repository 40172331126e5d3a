//! Members without machines: one process plays a Kubernetes node and every dqlite node on it, so that an
//! operator can be seen with hundreds of members on two cores. Kubernetes and the operator are real.
//!
//! ```text
//! kubelet.rs   a node whose pods run at once, and disks that are there when they are asked for
//! members.rs   the ports of every pod: admin protocol, dqlite protocol
//! raft.rs      a cluster, as its members would agree on it (pure)
//! ```

mod kubelet;
mod members;
mod raft;

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex},
};

use tokio::sync::watch;

use raft::Cluster;

/// Name of the Kubernetes node, of its taint, and of the storage class that it serves.
pub const NAME: &str = "stand-in";

/// A pod that runs, by its own environment.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pod {
    namespace: String,
    name: String,
    uid: String,
    cluster: String,
    member: String,
    id: u64,
    address: String,
    disk: String,
    /// As Kubernetes was told.
    ready: bool,
}

/// What runs here.
#[derive(Default)]
pub struct StandIn {
    pods: Mutex<HashMap<IpAddr, Pod>>,
    clusters: Mutex<HashMap<String, Arc<watch::Sender<Cluster>>>>,
}

impl StandIn {
    /// Plays until something fails. Pods get the addresses from `first` on.
    ///
    /// # Errors
    /// When the API server does not answer, or a port cannot be had.
    pub async fn play(node: Ipv4Addr, first: Ipv4Addr) -> anyhow::Result<()> {
        let stand_in = Arc::new(Self::default());
        let client = kube::Client::try_default().await?;
        tokio::select! {
            ended = members::serve(stand_in.clone()) => ended,
            ended = kubelet::run(client, stand_in, node, first) => ended,
        }
    }

    fn pod(&self, ip: IpAddr) -> Option<Pod> {
        self.pods.lock().unwrap().get(&ip).cloned()
    }

    fn cluster(&self, id: &str) -> Arc<watch::Sender<Cluster>> {
        let mut clusters = self.clusters.lock().unwrap();
        clusters.entry(id.to_owned()).or_default().clone()
    }

    fn start(&self, ip: IpAddr, pod: Pod) {
        let cluster = self.cluster(&pod.cluster);
        cluster.send_modify(|c| c.starts(pod.id, &pod.disk));
        self.pods.lock().unwrap().insert(ip, pod);
    }

    fn end(&self, ip: IpAddr) {
        if let Some(pod) = self.pods.lock().unwrap().remove(&ip) {
            let cluster = self.cluster(&pod.cluster);
            cluster.send_modify(|c| c.ends(pod.id));
        }
    }

    /// Pods that are ready and were not, or the other way round; each is told once.
    fn turned(&self) -> Vec<(IpAddr, bool)> {
        let mut pods = self.pods.lock().unwrap();
        let turn = |(ip, pod): (&IpAddr, &mut Pod)| {
            let cluster = self.cluster(&pod.cluster);
            let ready = cluster.borrow().is_ready(pod.id, &pod.disk);
            (std::mem::replace(&mut pod.ready, ready) != ready).then_some((*ip, ready))
        };
        pods.iter_mut().filter_map(turn).collect()
    }
}
