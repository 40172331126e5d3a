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
    collections::{BTreeSet, HashMap},
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex},
};

use tokio::sync::watch;

use raft::Cluster;

use crate::sweep::{fault::Fate, meddler::Meddler};

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
    /// Whether it is ready, as Kubernetes was told.
    told: Option<bool>,
}

/// What runs here.
#[derive(Default)]
pub struct StandIn {
    pods: Mutex<HashMap<IpAddr, Pod>>,
    clusters: Mutex<HashMap<String, Arc<watch::Sender<Cluster>>>>,
    /// What is known of a namespace beside its pods.
    namespaces: Mutex<HashMap<String, Namespace>>,
}

#[derive(Default)]
struct Namespace {
    /// Where the leader Service of its cluster is.
    service: Option<IpAddr>,
    /// Has its say in what is asked of members.
    meddler: Option<Arc<Meddler>>,
    /// Ids of clusters that had members here.
    clusters: BTreeSet<String>,
}

impl StandIn {
    /// Plays until something fails. Pods get the addresses from `first` on.
    ///
    /// # Errors
    /// When the API server does not answer, or a port cannot be had.
    pub async fn play(self: Arc<Self>, node: Ipv4Addr, first: Ipv4Addr) -> anyhow::Result<()> {
        let client = kube::Client::try_default().await?;
        tokio::select! {
            ended = members::serve(self.clone()) => ended,
            ended = kubelet::run(client, self, node, first) => ended,
        }
    }

    /// A namespace begins anew: its leader Service is at this address, and the meddler judges all calls.
    pub fn meddle(&self, namespace: &str, service: IpAddr, meddler: Arc<Meddler>) {
        let new = Namespace {
            service: Some(service),
            meddler: Some(meddler),
            clusters: BTreeSet::new(),
        };
        let mut namespaces = self.namespaces.lock().unwrap();
        namespaces.insert(namespace.to_owned(), new);
    }

    /// What becomes of an order or a change that a pod is asked for.
    fn fate(&self, pod: &Pod, what: &str) -> Fate {
        let namespaces = self.namespaces.lock().unwrap();
        let meddler = namespaces
            .get(&pod.namespace)
            .and_then(|n| n.meddler.clone());
        drop(namespaces);
        meddler.map_or(Fate::Pass, |m| m.comes(&format!("{what} {}", pod.name)))
    }

    /// The pod behind an address, which may be a leader Service's.
    fn behind(&self, ip: IpAddr) -> Option<Pod> {
        let namespaces = self.namespaces.lock().unwrap();
        let served = namespaces.iter().find(|(_, n)| n.service == Some(ip));
        let served = served.map(|(name, _)| name.clone());
        drop(namespaces);
        let Some(namespace) = served else {
            return self.pod(ip);
        };
        let pods = self.pods.lock().unwrap();
        let leads = |p: &&Pod| self.cluster(&p.cluster).borrow().view(p.id).leader == Some(p.id);
        let mut ours = pods.values().filter(|p| p.namespace == namespace);
        ours.find(leads).cloned()
    }

    fn clusters_of(&self, namespace: &str) -> Vec<Cluster> {
        let namespaces = self.namespaces.lock().unwrap();
        let ids = namespaces.get(namespace).map(|n| n.clusters.clone());
        drop(namespaces);
        let ids = ids.into_iter().flatten();
        ids.map(|id| self.cluster(&id).borrow().clone()).collect()
    }

    /// Whether the member of this name is in its cluster's configuration.
    pub fn is_member(&self, namespace: &str, member: &str) -> bool {
        self.clusters_of(namespace).iter().any(|c| c.has(member))
    }

    /// How many clusters were ever founded in the namespace.
    pub fn founded(&self, namespace: &str) -> usize {
        let clusters = self.clusters_of(namespace);
        clusters.iter().filter(|c| c.is_founded()).count()
    }

    /// Changes that left a cluster of the namespace without a quorum.
    pub fn harms(&self, namespace: &str) -> Vec<String> {
        let clusters = self.clusters_of(namespace);
        clusters.into_iter().flat_map(|c| c.harms).collect()
    }

    fn pod(&self, ip: IpAddr) -> Option<Pod> {
        self.pods.lock().unwrap().get(&ip).cloned()
    }

    fn cluster(&self, id: &str) -> Arc<watch::Sender<Cluster>> {
        let mut clusters = self.clusters.lock().unwrap();
        clusters.entry(id.to_owned()).or_default().clone()
    }

    /// Runs a pod, if it does not run yet: events tell of it more than once.
    fn start(&self, ip: IpAddr, pod: Pod) {
        let mut pods = self.pods.lock().unwrap();
        if pods.values().any(|p| p.uid == pod.uid) {
            return;
        }
        let cluster = self.cluster(&pod.cluster);
        cluster.send_modify(|c| c.starts(pod.id, &pod.disk));
        let mut namespaces = self.namespaces.lock().unwrap();
        let here = namespaces.entry(pod.namespace.clone()).or_default();
        here.clusters.insert(pod.cluster.clone());
        pods.insert(ip, pod);
    }

    fn end(&self, uid: &str) {
        let mut pods = self.pods.lock().unwrap();
        let found = pods.iter().find(|(_, p)| p.uid == uid).map(|(ip, _)| *ip);
        if let Some(pod) = found.and_then(|ip| pods.remove(&ip)) {
            let cluster = self.cluster(&pod.cluster);
            cluster.send_modify(|c| c.ends(pod.id));
        }
    }

    /// Pods of which Kubernetes is to be told that they are ready, or not.
    fn news(&self) -> Vec<(IpAddr, bool)> {
        let pods = self.pods.lock().unwrap();
        let news = |(ip, pod): (&IpAddr, &Pod)| {
            let cluster = self.cluster(&pod.cluster);
            let ready = cluster.borrow().is_ready(pod.id, &pod.disk);
            (pod.told != Some(ready)).then_some((*ip, ready))
        };
        pods.iter().filter_map(news).collect()
    }

    fn told(&self, ip: IpAddr, ready: bool) {
        if let Some(pod) = self.pods.lock().unwrap().get_mut(&ip) {
            pod.told = Some(ready);
        }
    }
}
