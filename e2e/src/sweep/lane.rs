//! One namespace with one operator of its own, behind a proxy of its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use k8s_openapi::api::{
    coordination::v1::Lease,
    core::v1::{ConfigMap, PersistentVolumeClaim, Service, ServiceAccount},
    policy::v1::PodDisruptionBudget,
};
use kube::{
    Api, Resource, ResourceExt,
    api::{DeleteParams, ListParams},
    core::NamespaceResourceScope,
};
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::{net::TcpListener, process::Command, task::JoinHandle};

use super::{
    fault::Fault,
    meddler::Meddler,
    proxy::{LATE, Proxy},
    rights::Right,
};
use crate::{
    World,
    flow::{Before, Flow},
    provider::root,
    stand_in::{NAME, StandIn},
    world::READY,
};

const SETTLES: Duration = Duration::from_secs(15);

pub struct Lane {
    world: World,
    meddler: Arc<Meddler>,
    proxy: Arc<Proxy>,
    listening: JoinHandle<()>,
    stand_in: Arc<StandIn>,
    /// Of the operator, which leads to the proxy.
    kubeconfig: PathBuf,
    /// Of the cluster, once it is founded.
    id: Option<String>,
}

/// What a flow ends in, but for what is random. Of two runs of one flow both are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    members: BTreeMap<String, String>,
    sets: BTreeSet<String>,
    claims: BTreeSet<String>,
    /// Disks that the operator deleted, and those that are still the ones of before.
    deleted: BTreeSet<String>,
    kept: BTreeSet<String>,
    others: BTreeSet<String>,
    /// Clusters that were ever founded here.
    clusters: usize,
}

/// What became of one run of a flow.
pub struct Ran {
    pub calls: usize,
    /// The call that met the fault.
    pub met: Option<String>,
    pub end: End,
    pub took: Duration,
    pub harms: Vec<String>,
}

impl Lane {
    /// The `n`-th; its leader Service is at `service`.
    pub async fn new(stand_in: Arc<StandIn>, n: usize, service: Ipv4Addr) -> Self {
        let mut world = World::empty(&format!("sweep_{n}"), &[]).await.unwrap();
        world.base = json!({
            "storage": {"className": NAME},
            "scheduling": {
                "nodeSelector": {"kubernetes.io/hostname": NAME},
                "tolerations": [{"key": NAME, "operator": "Exists"}],
            },
        });
        let namespace = world.names.namespace.clone();
        let meddler = Meddler::new();
        stand_in.meddle(&namespace, service.into(), Arc::clone(&meddler));
        let (players, here) = (Arc::clone(&stand_in), namespace.clone());
        let mut config = kube::Config::infer().await.unwrap();
        config.default_retry = false;
        let proxy = Arc::new(Proxy {
            client: kube::Client::try_from(config).unwrap(),
            namespace: namespace.clone(),
            meddler: Arc::clone(&meddler),
            is_needed: Box::new(move |member| players.is_member(&here, member)),
            used: Mutex::default(),
            lists: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        let listening = tokio::spawn(Arc::clone(&proxy).listen(listener));
        let kubeconfig = std::env::temp_dir().join(format!("{namespace}.kubeconfig"));
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": server}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        });
        std::fs::write(&kubeconfig, config.to_string()).unwrap();
        Self {
            world,
            meddler,
            proxy,
            listening,
            stand_in,
            kubeconfig,
            id: None,
        }
    }

    /// Runs a flow to its end; its `k`-th call meets a fault. Whenever the operator has ended, another starts.
    /// Gives what it ends in: `usual`, if it comes to that soon.
    pub async fn run(
        &mut self,
        flow: Flow,
        set: Option<(usize, Fault)>,
        usual: Option<&End>,
    ) -> Result<Ran, String> {
        let before = Before::look(&self.world, flow, self.id.clone()).await;
        let disks = self.disks().await;
        let started = Instant::now();
        self.meddler.begin(set);
        let is_over = async || {
            while !flow.is_over(&self.world, &before).await {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let over = async {
            flow.begin(&self.world).await;
            is_over().await;
            let met = || self.meddler.calls().1.is_some();
            if matches!(set, Some((_, Fault::Late))) && met() {
                tokio::time::sleep(LATE).await;
                is_over().await;
            }
        };
        let limit = READY + Duration::from_secs(60);
        let ended = tokio::select! {
            ended = tokio::time::timeout(limit, over) => ended.is_ok(),
            () = self.keep_running() => false,
        };
        let took = started.elapsed();
        if !ended {
            let status = serde_json::to_string(&self.world.status_if_any().await).unwrap();
            let met = self.meddler.calls().1;
            self.meddler.fair().await;
            return Err(format!("met {met:?}, not over after {took:?}: {status}"));
        }
        if flow == Flow::Found {
            self.id = self.world.status().await.cluster.map(|c| c.id);
        }
        let end = tokio::select! {
            end = self.settled(&disks, usual) => end,
            () = self.keep_running() => unreachable!("it never ends"),
        };
        self.meddler.fair().await;
        let (calls, met) = self.meddler.calls();
        let mut harms = self.meddler.harms();
        if end.clusters > 1 {
            harms.push("a second cluster was founded".to_owned());
        }
        harms.extend(self.stand_in.harms(&self.world.names.namespace));
        Ok(Ran {
            calls,
            met,
            end,
            took,
            harms,
        })
    }

    async fn keep_running(&self) {
        loop {
            if self.meddler.has_ended() {
                self.start_operator().await;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Nobody waits for the lease of one that is dead.
    async fn start_operator(&self) {
        let leases = self.world.api::<Lease>();
        let _ = leases
            .delete("dqlite-operator", &DeleteParams::default())
            .await;
        let namespace = &self.world.names.namespace;
        let logs = root().join("e2e/report/sweep");
        std::fs::create_dir_all(&logs).unwrap();
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(logs.join(format!("{namespace}.log")))
            .unwrap();
        let shipped = || root().join("target/image/dqlite-operator");
        let program = std::env::var_os("SWEEP_OPERATOR").map_or_else(shipped, PathBuf::from);
        let operator = Command::new(program)
            .arg("run")
            .env("KUBECONFIG", &self.kubeconfig)
            .env("NODE_IMAGE", "played")
            .env("POD_NAMESPACE", namespace)
            .env("POD_NAME", "operator")
            .env("LISTEN", "127.0.0.1:0")
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        self.meddler.runs(operator);
    }

    async fn disks(&self) -> BTreeMap<String, String> {
        let claims = self.all::<PersistentVolumeClaim>().await;
        let uid = |c: PersistentVolumeClaim| (c.name_any(), c.uid().unwrap());
        claims.into_iter().map(uid).collect()
    }

    /// The garbage collector and the last writes take a moment.
    async fn settled(&self, before: &BTreeMap<String, String>, usual: Option<&End>) -> End {
        let started = Instant::now();
        let mut last = None;
        loop {
            let end = self.end(before).await;
            let stays = last.as_ref() == Some(&end);
            let as_usual = stays && usual.is_none_or(|usual| *usual == end);
            if as_usual || started.elapsed() > SETTLES {
                return end;
            }
            last = Some(end);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    async fn end(&self, before: &BTreeMap<String, String>) -> End {
        let status = self.world.status_if_any().await.unwrap_or_default();
        let members = status.member_list.into_iter();
        let disks = self.disks().await;
        let kept = disks
            .iter()
            .filter(|(name, uid)| before.get(*name) == Some(uid));
        let mut others = self.names::<Service>("Service").await;
        others.extend(self.names::<ConfigMap>("ConfigMap").await);
        others.extend(self.names::<ServiceAccount>("ServiceAccount").await);
        others.extend(
            self.names::<PodDisruptionBudget>("PodDisruptionBudget")
                .await,
        );
        End {
            members: members
                .map(|m| (m.name, m.role.unwrap_or_default()))
                .collect(),
            sets: self.world.members().await,
            kept: kept.map(|(name, _)| name.clone()).collect(),
            claims: disks.into_keys().collect(),
            deleted: self.meddler.claims_deleted(),
            others,
            clusters: self.stand_in.founded(&self.world.names.namespace),
        }
    }

    async fn names<K>(&self, kind: &str) -> BTreeSet<String>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
        K: Clone + std::fmt::Debug + DeserializeOwned,
    {
        let named = |k: K| format!("{kind}/{}", k.name_any());
        self.all().await.into_iter().map(named).collect()
    }

    async fn all<K>(&self) -> Vec<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
        K: Clone + std::fmt::Debug + DeserializeOwned,
    {
        let ours = ListParams::default().labels(&self.world.names.selector());
        let all: Api<K> = self.world.api();
        all.list(&ours).await.unwrap().items
    }

    pub fn used(&self) -> BTreeSet<Right> {
        self.proxy.used.lock().unwrap().clone()
    }

    pub async fn finish(self) {
        self.meddler.stop();
        self.listening.abort();
        self.world.delete_namespace().await;
        let _ = std::fs::remove_file(&self.kubeconfig);
    }
}
