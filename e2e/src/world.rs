//! One test's world: a namespace of its own, with one cluster in it.

use std::{
    collections::BTreeSet,
    fmt::Debug,
    time::{Duration, Instant},
};

use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{Namespace, Pod, Service},
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams},
    core::NamespaceResourceScope,
};
use operator_api::{DqliteCluster, DqliteClusterStatus, Names, conditions};
use serde_json::{Value, json};

use crate::{
    Provider, ledger,
    provider::Capability,
    report::{self, Line},
    truth::{self, Truth},
    writer::{self, Tally, Writer},
};

/// Where the operator runs.
pub const OPERATOR_NAMESPACE: &str = "dqlite-system";
/// Three members are ready within this on two cores that do other things too.
pub const READY: Duration = Duration::from_secs(120);

/// A namespace with a cluster, gone when the test has passed.
pub struct World {
    pub client: Client,
    pub names: Names,
    pub provider: Provider,
    /// What every spec that is applied has in common.
    pub base: Value,
    test: String,
    truth: Option<Truth>,
}

impl World {
    /// A namespace for `test` that lets in restricted pods only, and no cluster yet. `None` when the
    /// provider lacks something that the test needs.
    pub async fn empty(test: &str, needs: &[Capability]) -> Option<Self> {
        let provider = Provider::from_env();
        let lacks: Vec<_> = needs.iter().filter(|need| !provider.has(**need)).collect();
        if !lacks.is_empty() {
            report::skip(test, &format!("{provider:?} lacks {lacks:?}"));
            return None;
        }
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = Client::try_default()
            .await
            .expect("KUBECONFIG leads to a Kubernetes");
        // Names of namespaces have at most 63 characters, those of tests may have more.
        let namespace: String = format!("e2e-{}", test.replace('_', "-"))
            .chars()
            .take(60)
            .collect();
        let namespace = namespace.trim_end_matches('-').to_owned();
        let mut world = Self {
            names: Names {
                cluster: "demo".into(),
                namespace,
            },
            base: json!({}),
            test: test.to_owned(),
            client,
            provider,
            truth: None,
        };
        world.delete_namespace().await;
        let namespaces: Api<Namespace> = Api::all(world.client.clone());
        let labels = [(
            "pod-security.kubernetes.io/enforce".to_owned(),
            "restricted".to_owned(),
        )];
        let namespace = Namespace {
            metadata: ObjectMeta {
                name: Some(world.names.namespace.clone()),
                labels: Some(labels.into()),
                ..ObjectMeta::default()
            },
            ..Namespace::default()
        };
        namespaces
            .create(&PostParams::default(), &namespace)
            .await
            .unwrap();
        let reached = needs.contains(&Capability::PodNetwork);
        world.truth = reached.then(|| Truth::watch(world.client.clone(), world.names.clone()));
        Some(world)
    }

    /// As [`World::empty`], with a cluster of this spec, ready.
    pub async fn with(test: &str, spec: Value, needs: &[Capability]) -> Option<Self> {
        let world = Self::empty(test, needs).await?;
        world.apply(spec).await.unwrap();
        world.ready().await;
        Some(world)
    }

    /// The view of another cluster in the same namespace.
    pub fn beside(&self, cluster: &str) -> Self {
        Self {
            names: Names {
                cluster: cluster.into(),
                ..self.names.clone()
            },
            client: self.client.clone(),
            provider: self.provider.clone(),
            base: self.base.clone(),
            test: self.test.clone(),
            truth: None,
        }
    }

    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.names.namespace)
    }

    /// Applies the cluster with this spec, as `kubectl apply --server-side` does.
    pub async fn apply(&self, spec: Value) -> kube::Result<DqliteCluster> {
        self.apply_as(&self.names.cluster, spec).await
    }

    /// As [`World::apply`], under another name.
    pub async fn apply_as(&self, name: &str, mut spec: Value) -> kube::Result<DqliteCluster> {
        fill(&mut spec, &self.base);
        let object = json!({
            "apiVersion": "dqlite.io/v1alpha1", "kind": "DqliteCluster",
            "metadata": {"name": name}, "spec": spec,
        });
        let params = PatchParams::apply("e2e").force();
        self.api::<DqliteCluster>()
            .patch(name, &params, &Patch::Apply(object))
            .await
    }

    /// `kubectl scale`: through the scale subresource.
    pub async fn scale(&self, members: i32) {
        let patch = json!({"spec": {"replicas": members}});
        let clusters = self.api::<DqliteCluster>();
        let params = PatchParams::default();
        clusters
            .patch_scale(&self.names.cluster, &params, &Patch::Merge(patch))
            .await
            .unwrap();
    }

    pub async fn cluster(&self) -> DqliteCluster {
        self.api::<DqliteCluster>()
            .get(&self.names.cluster)
            .await
            .unwrap()
    }

    pub async fn status(&self) -> DqliteClusterStatus {
        self.cluster().await.status.unwrap_or_default()
    }

    /// Waits until a condition about the cluster holds; after `limit` panics with what was awaited.
    pub async fn until<T: Debug>(
        &self,
        what: &str,
        limit: Duration,
        look: impl AsyncFn(&DqliteCluster) -> Option<T>,
    ) -> T {
        let started = Instant::now();
        loop {
            let cluster = self.cluster().await;
            if let Some(found) = look(&cluster).await {
                return found;
            }
            let status = serde_json::to_string(&cluster.status).unwrap();
            assert!(
                started.elapsed() < limit,
                "waited {limit:?} for: {what}; status {status}"
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Waits until the cluster is as its spec wants it, and no pod says otherwise.
    pub async fn ready(&self) -> DqliteClusterStatus {
        let status = self.until("Ready", READY, async |cluster| whole(cluster));
        let status = status.await;
        self.ready_is_true().await;
        status
    }

    async fn cluster_if_any(&self) -> Option<DqliteCluster> {
        let clusters = self.api::<DqliteCluster>();
        clusters.get_opt(&self.names.cluster).await.unwrap()
    }

    /// The status, if there is a cluster that has one.
    pub async fn status_if_any(&self) -> Option<DqliteClusterStatus> {
        self.cluster_if_any().await?.status
    }

    /// The status, if the cluster is there and as its spec wants it now.
    pub async fn is_ready(&self) -> Option<DqliteClusterStatus> {
        whole(&self.cluster_if_any().await?)
    }

    /// Who says Ready takes a write and gives it back, through the Service, as soon as it says so.
    async fn ready_is_true(&self) {
        if !self.provider.has(Capability::PodNetwork) {
            return;
        }
        let address = self.leader_service().await;
        let asked = Instant::now();
        let works = writer::round_trip(&address, truth::WITHIN).await;
        println!("Ready; a write and a read took {:?}", asked.elapsed());
        let Err(why) = works else {
            return;
        };
        // What broke a moment ago is called Ready until the operator hears of it, or until it works again.
        while asked.elapsed() < truth::HEARS {
            let works = writer::round_trip(&address, truth::WITHIN).await;
            if works.is_ok() || !is_true(&self.status().await, conditions::READY) {
                println!("Ready, and for a moment it was not: {why}");
                return;
            }
        }
        panic!("Ready, but no write and read within 1 s: {why}");
    }

    /// Waits until the cluster has no such member any more.
    pub async fn without(&self, member: &str) {
        let gone = async |c: &DqliteCluster| {
            let members = &c.status.as_ref()?.member_list;
            members.iter().all(|m| m.name != member).then_some(())
        };
        self.until(&format!("no {member}"), READY, gone).await;
    }

    /// Waits for a reason of the Ready condition; its message.
    pub async fn reason(&self, reason: &str) -> String {
        self.until(reason, READY, async |cluster| {
            let status = cluster.status.as_ref()?;
            let ready = status
                .conditions
                .iter()
                .find(|c| c.type_ == conditions::READY)?;
            (ready.reason == reason).then(|| ready.message.clone())
        })
        .await
    }

    /// Waits until every member that the status lists is ready, whatever the operator does.
    pub async fn pods_ready(&self, count: usize) {
        let started = Instant::now();
        loop {
            let pods = self.pods().await;
            let ready = pods.iter().filter(|p| is_ready(p)).count();
            if ready == count {
                return;
            }
            assert!(
                started.elapsed() < READY,
                "waited for {count} ready pods, see {ready}"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub async fn pods(&self) -> Vec<Pod> {
        let ours = ListParams::default().labels(&self.names.selector());
        self.api::<Pod>().list(&ours).await.unwrap().items
    }

    pub async fn pod(&self, name: &str) -> Pod {
        self.api::<Pod>().get(name).await.unwrap()
    }

    /// Front addresses of all pods that have one.
    pub async fn fronts(&self) -> BTreeSet<String> {
        let ip = |p: &Pod| Some(format!("{}:9001", p.status.as_ref()?.pod_ip.as_ref()?));
        self.pods().await.iter().filter_map(ip).collect()
    }

    /// The address of the leader Service.
    pub async fn leader_service(&self) -> String {
        let service = self
            .api::<Service>()
            .get(&self.names.leader())
            .await
            .unwrap();
        format!("{}:9002", service.spec.unwrap().cluster_ip.unwrap())
    }

    /// Name of the member that leads by its own pod's word, asked directly.
    pub async fn leader(&self) -> String {
        let started = Instant::now();
        loop {
            for pod in self.pods().await {
                if self.leads(&pod).await {
                    return pod.name_any().trim_end_matches("-0").to_owned();
                }
            }
            assert!(
                started.elapsed() < Duration::from_secs(30),
                "no leader for 30 s"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn leads(&self, pod: &Pod) -> bool {
        let id = env_of(pod, "DQLITE_ID").and_then(|id| id.parse::<u64>().ok());
        let ip = pod.status.as_ref().and_then(|s| s.pod_ip.clone());
        let (Some(id), Some(ip)) = (id, ip) else {
            return false;
        };
        let options = dqlite_client::Options {
            request_timeout: Duration::from_millis(500),
            ..dqlite_client::Options::default()
        };
        let connection = dqlite_client::Connection::dial(&format!("{ip}:9001"), &options).await;
        match connection {
            Ok(c) => c.leader().await.ok().flatten().is_some_and(|l| l.id == id),
            Err(_) => false,
        }
    }

    /// How often a member's process was started again in its pod.
    pub async fn restarts(&self, member: &str) -> i32 {
        let pod = self.pod(&format!("{member}-0")).await;
        let statuses = pod
            .status
            .and_then(|s| s.container_statuses)
            .unwrap_or_default();
        statuses.first().map_or(0, |c| c.restart_count)
    }

    /// The names of all members' StatefulSets.
    pub async fn members(&self) -> BTreeSet<String> {
        let ours = ListParams::default().labels(&self.names.selector());
        let sets = self.api::<StatefulSet>().list(&ours).await.unwrap();
        sets.iter().map(|s| s.name_any()).collect()
    }

    /// Starts a writer through the leader Service, whose table is made first.
    pub async fn writer(&self) -> Writer {
        let address = self.leader_service().await;
        writer::create_table(&address).await.unwrap();
        Writer::start(&address, 0)
    }

    /// Compares the rows on every node; pods of members that left are gone first.
    pub async fn check_rows(&self, tallies: &[Tally]) {
        let members = self.cluster().await.spec.members as usize;
        let all = async |_: &DqliteCluster| {
            let fronts = self.fronts().await;
            (fronts.len() == members).then_some(fronts)
        };
        let fronts = self
            .until("a pod for every member and no other", READY, all)
            .await;
        for front in fronts {
            ledger::check(&front, tallies).await.unwrap();
        }
    }

    /// Compares the rows on every node, and writes the test's line of figures.
    pub async fn finish(self, tallies: &[Tally], note: impl Into<String>) {
        self.check_rows(tallies).await;
        Line {
            note: note.into(),
            ..Line::of(tallies)
        }
        .write(&self.test);
        self.end().await;
    }

    /// Ends a test that wrote no rows.
    pub async fn note(self, note: impl Into<String>) {
        let line = Line {
            note: note.into(),
            ..Line::default()
        };
        line.write(&self.test);
        self.end().await;
    }

    async fn end(self) {
        self.truth.iter().for_each(Truth::tell);
        let api: Api<Namespace> = Api::all(self.client.clone());
        let _ = api
            .delete(&self.names.namespace, &DeleteParams::default())
            .await;
    }

    pub async fn delete_namespace(&self) {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let name = &self.names.namespace;
        let _ = namespaces.delete(name, &DeleteParams::default()).await;
        let started = Instant::now();
        while namespaces.get_opt(name).await.unwrap().is_some() {
            assert!(started.elapsed() < READY, "namespace {name} stays");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            report::keep(&self.test, &self.names.namespace);
        }
    }
}

/// Adds what the spec does not say itself.
fn fill(spec: &mut Value, base: &Value) {
    for (key, value) in base.as_object().into_iter().flatten() {
        match &mut spec[key] {
            Value::Null => spec[key] = value.clone(),
            own => fill(own, value),
        }
    }
}

/// The status of a cluster that is as its spec wants it.
fn whole(cluster: &DqliteCluster) -> Option<DqliteClusterStatus> {
    let status = cluster.status.clone()?;
    let members = cluster.spec.members;
    let current = status.observed_generation == cluster.metadata.generation;
    let whole = status.members == members && status.ready_members == members;
    (current && whole && is_true(&status, conditions::READY)).then_some(status)
}

/// Whether a condition is True.
pub fn is_true(status: &DqliteClusterStatus, condition: &str) -> bool {
    status
        .conditions
        .iter()
        .any(|c| c.type_ == condition && c.status == "True")
}

/// Whether a pod is ready and stays.
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|s| s.conditions.as_ref());
    pod.metadata.deletion_timestamp.is_none()
        && conditions.is_some_and(|c| c.iter().any(|c| c.type_ == "Ready" && c.status == "True"))
}

/// A variable of a pod's only container.
pub fn env_of(pod: &Pod, name: &str) -> Option<String> {
    let container = pod.spec.as_ref()?.containers.first()?;
    container
        .env
        .as_ref()?
        .iter()
        .find(|v| v.name == name)?
        .value
        .clone()
}
