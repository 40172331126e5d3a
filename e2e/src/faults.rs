//! What tests do to a cluster, its members and the operator.

use std::time::{Duration, Instant};

use dqlite_client::{
    Connection, Options,
    proxy::{Caller, ProxyHeader},
};
use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{PersistentVolume, PersistentVolumeClaim, Pod},
};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PropagationPolicy},
};
use operator_api::DqliteCluster;
use serde_json::json;

use crate::{
    Provider, World,
    provider::Capability,
    world::{READY, env_of},
};

/// A connection with the operator's header.
pub async fn as_operator(pod: &Pod) -> Connection {
    let header = ProxyHeader {
        cluster: env_of(pod, "DQLITE_CLUSTER").unwrap(),
        target: env_of(pod, "DQLITE_ID").unwrap().parse().unwrap(),
        caller: Caller::Operator,
        found: None,
    };
    let ip = pod.status.as_ref().unwrap().pod_ip.clone().unwrap();
    let options = Options {
        proxy: Some(header),
        ..Options::default()
    };
    Connection::dial(&format!("{ip}:9001"), &options)
        .await
        .unwrap()
}

/// Undoes what a test of nodes that failed may have left; where nodes are ours to power off.
pub async fn mend_nodes() {
    let provider = Provider::from_env();
    if !provider.has(Capability::NodePower) {
        return;
    }
    for node in provider.nodes().await.unwrap() {
        provider.power_on(&node).await.unwrap();
        let node = format!("node/{node}");
        for what in ["--for=create", "--for=condition=Ready"] {
            kubectl(&["wait", what, "--timeout=90s", &node]).await;
        }
        kubectl(&["uncordon", &node]).await;
    }
}

/// Runs kubectl; its output, or a panic with what it said.
pub async fn kubectl(arguments: &[&str]) -> String {
    let mut command = tokio::process::Command::new("kubectl");
    let out = command
        .args(arguments)
        .output()
        .await
        .expect("kubectl runs");
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "kubectl {arguments:?}: {said}");
    String::from_utf8_lossy(&out.stdout).into_owned()
}

impl World {
    /// Makes a member lead, by handing leadership to it.
    pub async fn make_leader(&self, member: &str) {
        for _ in 0..20 {
            let leader = self.leader().await;
            if leader == member {
                return;
            }
            let from = self.pod(&format!("{leader}-0")).await;
            let to = self.pod(&format!("{member}-0")).await;
            let id = env_of(&to, "DQLITE_ID").unwrap().parse().unwrap();
            let _ = as_operator(&from).await.transfer(id).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("{member} does not take the leadership");
    }

    /// Kills a member's process with SIGKILL, from its node.
    pub async fn kill(&self, member: &str) {
        let pod = self.pod(&format!("{member}-0")).await;
        self.kill_container(&pod).await;
    }

    pub(crate) async fn kill_container(&self, pod: &Pod) {
        let statuses = pod
            .status
            .as_ref()
            .and_then(|s| s.container_statuses.as_ref());
        let id = statuses.unwrap()[0].container_id.as_ref().unwrap();
        let id = id.trim_start_matches("containerd://");
        let script = format!("ctr -n k8s.io tasks kill -s SIGKILL {id}");
        self.on_node_of(pod, &script).await;
    }

    /// Empties a member's volume in place, from its node.
    pub async fn empty_disk(&self, member: &str) {
        let claim = self
            .api::<PersistentVolumeClaim>()
            .get(member)
            .await
            .unwrap();
        let volumes: Api<PersistentVolume> = Api::all(self.client.clone());
        let volume = volumes
            .get(&claim.spec.unwrap().volume_name.unwrap())
            .await
            .unwrap();
        let path = volume.spec.unwrap().host_path.unwrap().path;
        let pod = self.pod(&format!("{member}-0")).await;
        self.on_node_of(&pod, &format!("find {path} -mindepth 1 -delete"))
            .await;
    }

    async fn on_node_of(&self, pod: &Pod, script: &str) {
        let node = pod.spec.as_ref().unwrap().node_name.as_ref().unwrap();
        self.provider.on_node(node, script).await.unwrap();
    }

    pub async fn delete_pod(&self, name: &str) {
        let _ = self
            .api::<Pod>()
            .delete(name, &DeleteParams::default())
            .await
            .unwrap();
    }

    /// Deletes a member's PVC and pod: its disk is lost.
    pub async fn lose_disk(&self, member: &str) {
        let claims = self.api::<PersistentVolumeClaim>();
        let _ = claims
            .delete(member, &DeleteParams::default())
            .await
            .unwrap();
        let now = DeleteParams::default().grace_period(0);
        let _ = self
            .api::<Pod>()
            .delete(&format!("{member}-0"), &now)
            .await
            .unwrap();
    }

    /// Sets an annotation on a member's StatefulSet, as `kubectl annotate` does.
    pub async fn annotate(&self, member: &str, key: &str, value: &str) {
        let patch = json!({"metadata": {"annotations": {key: value}}});
        let sets = self.api::<StatefulSet>();
        let params = PatchParams::default();
        let _ = sets
            .patch(member, &params, &Patch::Merge(patch))
            .await
            .unwrap();
    }

    /// Deletes the object and waits until its pods are gone.
    pub async fn delete(&self) {
        let clusters = self.api::<DqliteCluster>();
        let name = &self.names.cluster;
        let _ = clusters
            .delete(name, &DeleteParams::default())
            .await
            .unwrap();
        let started = Instant::now();
        while clusters.get_opt(name).await.unwrap().is_some() || !self.pods().await.is_empty() {
            assert!(started.elapsed() < READY, "the object's pods stay");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Deletes the object and nothing else.
    pub async fn orphan(&self) {
        let clusters = self.api::<DqliteCluster>();
        let alone = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Orphan),
            ..DeleteParams::default()
        };
        let name = &self.names.cluster;
        let _ = clusters.delete(name, &alone).await.unwrap();
        while clusters.get_opt(name).await.unwrap().is_some() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// As [`kubectl`].
    pub async fn kubectl(&self, arguments: &[&str]) -> String {
        kubectl(arguments).await
    }
}
