//! What `/metrics` tells. No object names in labels but those of clusters.

use std::{sync::Arc, time::Instant};

use operator_api::Names;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::process::Process;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Method {
    method: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Cluster {
    namespace: String,
    name: String,
}

/// The operator's own figures.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    passes: Family<Outcome, Counter>,
    seconds: Histogram,
    ready: Family<Cluster, Gauge>,
    leader: Gauge,
    requests: Family<Method, Counter>,
}

impl Metrics {
    pub fn new() -> Arc<Self> {
        let mut all = Registry::default();
        all.register_collector(Box::new(Process));
        let registry = all.sub_registry_with_prefix("dqlite_operator");
        let (passes, ready, leader) = (Family::default(), Family::default(), Gauge::default());
        let seconds = Histogram::new([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 60.0]);
        let requests = Family::default();
        registry.register(
            "api_requests",
            "Requests to the API server, watches too; the lease's are not counted",
            Family::clone(&requests),
        );
        registry.register("passes", "Passes over a cluster", Family::clone(&passes));
        registry.register("pass_seconds", "Duration of a pass", seconds.clone());
        registry.register(
            "cluster_ready",
            "1 while a cluster is ready",
            Family::clone(&ready),
        );
        registry.register(
            "leader",
            "1 while this operator acts",
            Gauge::clone(&leader),
        );
        Arc::new(Self {
            registry: all,
            passes,
            seconds,
            ready,
            leader,
            requests,
        })
    }

    /// The API server is asked.
    pub fn asks(&self, method: &str) {
        let method = method.to_owned();
        self.requests.get_or_create(&Method { method }).inc();
    }

    /// Begins to time a pass.
    pub fn pass(&self) -> Timer<'_> {
        Timer {
            metrics: self,
            started: Instant::now(),
        }
    }

    pub fn observed(&self, names: &Names, ready: bool) {
        let (namespace, name) = (names.namespace.clone(), names.cluster.clone());
        self.ready
            .get_or_create(&Cluster { namespace, name })
            .set(i64::from(ready));
    }

    /// The cluster is gone.
    pub fn forget(&self, namespace: Option<String>, name: String) {
        let namespace = namespace.unwrap_or_default();
        self.ready.remove(&Cluster { namespace, name });
    }

    pub fn text(&self, leader: bool) -> String {
        self.leader.set(i64::from(leader));
        let mut text = String::new();
        // Writing into a string cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

pub struct Timer<'a> {
    metrics: &'a Metrics,
    started: Instant,
}

impl Timer<'_> {
    pub fn done(self, outcome: &'static str) {
        self.metrics
            .passes
            .get_or_create(&Outcome { outcome })
            .inc();
        self.metrics
            .seconds
            .observe(self.started.elapsed().as_secs_f64());
    }
}
