//! What tests do to the operator.

use std::time::{Duration, Instant};

use k8s_openapi::api::{apps::v1::Deployment, coordination::v1::Lease, core::v1::Pod};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde_json::json;

use crate::{
    World,
    world::{OPERATOR_NAMESPACE, READY, is_ready},
};

const OPERATOR: &str = "dqlite-operator";

impl World {
    /// Scales the operator, and waits until it is so.
    pub async fn scale_operator(&self, replicas: i32) {
        let api: Api<Deployment> = Api::namespaced(self.client.clone(), OPERATOR_NAMESPACE);
        let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        api.patch_scale(OPERATOR, &PatchParams::default(), &patch)
            .await
            .unwrap();
        let started = Instant::now();
        loop {
            assert!(
                started.elapsed() < READY,
                "the operator is not scaled to {replicas}"
            );
            let pods = self.operators().list(&ListParams::default()).await.unwrap();
            let ready = pods.iter().filter(|p| is_ready(p)).count();
            if pods.items.len() == replicas as usize && ready == pods.items.len() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    fn operators(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), OPERATOR_NAMESPACE)
    }

    async fn operator(&self, what: &str, is_it: impl Fn(&Pod) -> bool) -> Pod {
        let started = Instant::now();
        loop {
            let mut all = self.operators().list(&ListParams::default()).await.unwrap();
            all.items
                .retain(|p| p.metadata.deletion_timestamp.is_none() && is_it(p));
            if let Some(pod) = all.items.pop() {
                return pod;
            }
            assert!(started.elapsed() < READY, "no operator that {what}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Kills the operator's process with SIGKILL, so that its lease is not given back; a new pod takes its
    /// place, without the kubelet's growing pauses.
    pub async fn kill_operator(&self) {
        let runs = |p: &Pod| {
            let state = container(p).and_then(|c| c.state.as_ref());
            state.is_some_and(|s| s.running.is_some())
        };
        let pod = self.operator("runs", runs).await;
        self.kill_container(&pod).await;
        self.replace_operator(&pod).await;
    }

    async fn replace_operator(&self, pod: &Pod) {
        let now = DeleteParams::default().grace_period(0);
        let _ = self
            .operators()
            .delete(&pod.name_any(), &now)
            .await
            .unwrap();
    }

    /// Has the operator take orders of [`World::end_operator_after`], or no more.
    pub async fn let_operator_end(&self, on: bool) {
        let variable = if on {
            "DQLITE_FAULTS=true"
        } else {
            "DQLITE_FAULTS-"
        };
        self.set_operators_env(variable).await;
    }

    /// Sets an environment variable of the operator, as `kubectl set env` does, and waits until it runs so.
    pub async fn set_operators_env(&self, variable: &str) {
        let operator = format!("deployment/{OPERATOR}");
        let set = ["-n", OPERATOR_NAMESPACE, "set", "env", &operator, variable];
        self.kubectl(&set).await;
        let done = ["-n", OPERATOR_NAMESPACE, "rollout", "status", &operator];
        self.kubectl(&done).await;
    }

    /// Answers, of the API server and of nodes, that the operator had so far.
    pub async fn operators_answers(&self) -> u64 {
        self.ask_operator("GET", "faults/answers")
            .await
            .parse()
            .unwrap()
    }

    /// The operator ends with its `k`-th answer from now in its hands.
    pub async fn end_operator_after(&self, k: u64) {
        self.ask_operator("POST", &format!("faults/end-after/{k}"))
            .await;
    }

    /// The operator's answer on its own HTTP port.
    pub async fn ask_operator(&self, method: &str, path: &str) -> String {
        let pod = self.operator("is ready", is_ready).await.name_any();
        let path = format!("/api/v1/namespaces/{OPERATOR_NAMESPACE}/pods/{pod}:8080/proxy/{path}");
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .body(Vec::new())
            .unwrap();
        self.client.request_text(request).await.unwrap()
    }

    /// Waits until the operator has ended as told, or there is nothing left to do and it is ended then; whether
    /// it was the first. Nobody waits for the lease of one that is dead.
    pub async fn operator_ended(&self, nothing_left: impl AsyncFn() -> bool) -> bool {
        let runs = |p: &Pod| {
            container(p).is_some_and(|c| {
                let ended = c.state.as_ref().is_some_and(|s| s.terminated.is_some());
                c.restart_count == 0 && !ended
            })
        };
        let pod = self.operator("was told to end", |_| true).await;
        let started = Instant::now();
        let as_told = loop {
            if !runs(&self.operators().get(&pod.name_any()).await.unwrap()) {
                break true;
            }
            if nothing_left().await {
                break false;
            }
            assert!(started.elapsed() < READY, "the operator does not end");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        self.replace_operator(&pod).await;
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), OPERATOR_NAMESPACE);
        let _ = leases.delete(OPERATOR, &DeleteParams::default()).await;
        as_told
    }
}

fn container(pod: &Pod) -> Option<&k8s_openapi::api::core::v1::ContainerStatus> {
    pod.status.as_ref()?.container_statuses.as_ref()?.first()
}
