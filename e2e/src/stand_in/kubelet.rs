//! A Kubernetes node that is not there: its pods run at once, and disks of its class are bound when they are
//! asked for.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::{
    api::core::v1::{PersistentVolumeClaim, Pod as KubePod},
    jiff::Timestamp,
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, Patch, PatchParams},
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};
use serde_json::{Value, json};

use super::{NAME, Pod, StandIn};
use crate::world::env_of;

const HEARTBEAT: Duration = Duration::from_secs(5);
/// How soon a pod's readiness follows its member's.
const PROBE: Duration = Duration::from_millis(250);
/// Requests to the API server at once.
const AT_ONCE: usize = 16;

pub async fn run(
    client: Client,
    stand_in: Arc<StandIn>,
    node: Ipv4Addr,
    first: Ipv4Addr,
) -> anyhow::Result<()> {
    let kubelet = Kubelet {
        client,
        stand_in,
        node,
        next: AtomicU32::new(first.into()),
    };
    kubelet.register().await?;
    tokio::try_join!(
        kubelet.beat(),
        kubelet.bind_disks(),
        kubelet.run_pods(),
        kubelet.probe()
    )?;
    Ok(())
}

struct Kubelet {
    client: Client,
    stand_in: Arc<StandIn>,
    node: Ipv4Addr,
    next: AtomicU32,
}

fn now() -> String {
    Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%S.%6fZ")
        .to_string()
}

impl Kubelet {
    async fn apply(&self, path: &str, object: Value) -> kube::Result<()> {
        let uri = format!("{path}?fieldManager={NAME}&force=true");
        let request = http::Request::patch(uri)
            .header("content-type", "application/apply-patch+yaml")
            .body(serde_json::to_vec(&object).unwrap())
            .unwrap();
        self.client.request_text(request).await.map(|_| ())
    }

    async fn register(&self) -> kube::Result<()> {
        let class = json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
            "metadata": {"name": NAME}, "provisioner": "kubernetes.io/no-provisioner",
        });
        self.apply(
            &format!("/apis/storage.k8s.io/v1/storageclasses/{NAME}"),
            class,
        )
        .await?;
        let node = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": NAME, "labels": {"kubernetes.io/hostname": NAME}},
            "spec": {"taints": [{"key": NAME, "effect": "NoSchedule"}]},
        });
        self.apply(&format!("/api/v1/nodes/{NAME}"), node).await?;
        let room = json!({"cpu": "1000", "memory": "1000Gi", "pods": "10000"});
        let ready = json!({
            "type": "Ready", "status": "True", "reason": "Played", "message": "nothing runs here",
            "lastHeartbeatTime": now(), "lastTransitionTime": now(),
        });
        let status = json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": NAME},
            "status": {
                "capacity": room, "allocatable": room, "conditions": [ready],
                "addresses": [{"type": "InternalIP", "address": self.node}],
            },
        });
        self.apply(&format!("/api/v1/nodes/{NAME}/status"), status)
            .await
    }

    /// Says that the node is well, as often as kubelets do.
    async fn beat(&self) -> anyhow::Result<()> {
        loop {
            let lease = json!({
                "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": {"name": NAME},
                "spec": {"holderIdentity": NAME, "leaseDurationSeconds": 40, "renewTime": now()},
            });
            let path = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
            self.apply(&format!("{path}/{NAME}"), lease).await?;
            tokio::time::sleep(HEARTBEAT).await;
        }
    }

    async fn bind_disks(&self) -> anyhow::Result<()> {
        let claims: Api<PersistentVolumeClaim> = Api::all(self.client.clone());
        let mut seen = watcher(claims, watcher::Config::default())
            .default_backoff()
            .applied_objects()
            .boxed();
        while let Some(claim) = seen.try_next().await? {
            let spec = claim.spec.as_ref();
            let ours = spec.and_then(|s| s.storage_class_name.as_deref()) == Some(NAME);
            if ours && spec.is_some_and(|s| s.volume_name.is_none()) {
                self.bind(&claim).await?;
            }
        }
        Ok(())
    }

    /// A volume for this claim and no other; whoever played takes it away.
    async fn bind(&self, claim: &PersistentVolumeClaim) -> kube::Result<()> {
        let name = format!("{NAME}-{}", claim.uid().unwrap());
        let spec = claim.spec.as_ref().unwrap();
        let size = &spec.resources.as_ref().unwrap().requests.as_ref().unwrap()["storage"];
        let volume = json!({
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name, "labels": {NAME: "true"}},
            "spec": {
                "capacity": {"storage": size}, "accessModes": spec.access_modes,
                "storageClassName": NAME, "persistentVolumeReclaimPolicy": "Retain",
                "hostPath": {"path": "/nowhere"},
                "claimRef": {
                    "kind": "PersistentVolumeClaim", "apiVersion": "v1", "uid": claim.uid(),
                    "namespace": claim.namespace(), "name": claim.name_any(),
                },
            },
        });
        self.apply(&format!("/api/v1/persistentvolumes/{name}"), volume)
            .await
    }

    async fn run_pods(&self) -> anyhow::Result<()> {
        let pods: Api<KubePod> = Api::all(self.client.clone());
        let here = watcher::Config::default().fields(&format!("spec.nodeName={NAME}"));
        let watched = watcher(pods, here).default_backoff();
        let run = async |event: Event<KubePod>| {
            match event {
                Event::Apply(pod) | Event::InitApply(pod) => say(self.run_pod(&pod).await),
                // By force, without asking the kubelet.
                Event::Delete(pod) => self.stand_in.end(&pod.uid().unwrap()),
                Event::Init | Event::InitDone => {}
            }
            Ok(())
        };
        Ok(watched.try_for_each_concurrent(AT_ONCE, run).await?)
    }

    async fn run_pod(&self, pod: &KubePod) -> anyhow::Result<()> {
        if pod.metadata.deletion_timestamp.is_some() {
            self.stand_in.end(&pod.uid().unwrap());
            let now = DeleteParams::default().grace_period(0);
            let pods = self.pods(&pod.namespace().unwrap());
            let _ = pods.delete(&pod.name_any(), &now).await?;
        } else {
            // One that another stand-in played keeps its address.
            let has = pod.status.as_ref().and_then(|s| s.pod_ip.as_ref());
            let next = || Ipv4Addr::from(self.next.fetch_add(1, Ordering::SeqCst)).into();
            let ip = has.and_then(|ip| ip.parse().ok()).unwrap_or_else(next);
            self.stand_in.start(ip, played(pod));
        }
        Ok(())
    }

    /// Tells of new pods, and of those whose readiness has changed; again, until it was heard.
    async fn probe(&self) -> anyhow::Result<()> {
        loop {
            tokio::time::sleep(PROBE).await;
            let news = self.stand_in.news();
            let reports = news.into_iter().map(|(ip, ready)| self.report(ip, ready));
            futures::stream::iter(reports)
                .buffer_unordered(AT_ONCE)
                .for_each(async |reported| say(reported))
                .await;
        }
    }

    fn pods(&self, namespace: &str) -> Api<KubePod> {
        Api::namespaced(self.client.clone(), namespace)
    }

    async fn report(&self, ip: IpAddr, ready: bool) -> anyhow::Result<()> {
        let Some(pod) = self.stand_in.pod(ip) else {
            return Ok(());
        };
        let yes = |is: bool| if is { "True" } else { "False" };
        let condition = |what: &str, is: bool| json!({"type": what, "status": yes(is), "lastTransitionTime": now()});
        let status = json!({"metadata": {"uid": pod.uid}, "status": {
            "phase": "Running", "hostIP": self.node, "podIP": ip, "podIPs": [{"ip": ip}], "startTime": now(),
            "conditions": [condition("Ready", ready), condition("ContainersReady", ready),
                condition("Initialized", true)],
            "containerStatuses": [{
                "name": "dqlite", "image": "played", "imageID": "", "ready": ready, "started": true,
                "restartCount": 0, "state": {"running": {"startedAt": now()}},
            }],
        }});
        let (params, patch) = (PatchParams::default(), Patch::Strategic(status));
        self.pods(&pod.namespace)
            .patch_status(&pod.name, &params, &patch)
            .await?;
        self.stand_in.told(ip, ready);
        Ok(())
    }
}

/// A pod that is gone meanwhile, or another by now, is no failure.
fn say(done: anyhow::Result<()>) {
    let Err(error) = done else { return };
    let api = error.downcast_ref::<kube::Error>();
    if !api
        .is_some_and(|e| matches!(e, kube::Error::Api(status) if matches!(status.code, 404 | 409)))
    {
        println!("{error}");
    }
}

fn played(pod: &KubePod) -> Pod {
    let env = |name: &str| env_of(pod, name).unwrap_or_default();
    Pod {
        namespace: pod.namespace().unwrap_or_default(),
        name: pod.name_any(),
        uid: pod.uid().unwrap_or_default(),
        cluster: env(node_api::env::CLUSTER),
        member: env(node_api::env::MEMBER),
        id: env(node_api::env::ID).parse().unwrap_or(0),
        address: env(node_api::env::ADDRESS),
        disk: env(node_api::env::PVC_UID),
        told: None,
    }
}
