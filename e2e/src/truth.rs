//! Looks all the time whether a cluster that calls itself Ready is: takes a write and gives it back within a
//! second, through the Service.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::Service;
use kube::{Api, Client};
use operator_api::{DqliteCluster, Names, conditions};
use tokio::task::JoinHandle;

use crate::{world::is_true, writer};

const PAUSE: Duration = Duration::from_millis(500);
/// What Ready promises.
pub const WITHIN: Duration = Duration::from_secs(1);
/// What fails may be called Ready until the operator has heard of it, and so may what a test's own long statement
/// holds up.
pub const HEARS: Duration = Duration::from_secs(10);

/// A watch over one cluster, until it is dropped.
pub struct Truth {
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    kept: usize,
    broken: Vec<String>,
}

impl Truth {
    pub fn watch(client: Client, names: Names) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let looker = Looker {
            clusters: Api::namespaced(client.clone(), &names.namespace),
            services: Api::namespaced(client, &names.namespace),
            names,
        };
        let task = tokio::spawn(looker.look(seen.clone()));
        Self { seen, task }
    }

    /// Panics if the cluster ever called itself Ready and was not.
    pub fn tell(&self) {
        let seen = self.seen.lock().unwrap();
        println!("Ready kept its promise {} times", seen.kept);
        assert!(seen.broken.is_empty(), "called Ready: {:?}", seen.broken);
    }
}

impl Drop for Truth {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Looker {
    clusters: Api<DqliteCluster>,
    services: Api<Service>,
    names: Names,
}

impl Looker {
    async fn look(self, seen: Arc<Mutex<Seen>>) {
        let mut fails_since = None;
        loop {
            tokio::time::sleep(PAUSE).await;
            let address = match self.says_ready().await {
                true => self.leader_service().await,
                false => None,
            };
            let Some(address) = address else {
                fails_since = None;
                continue;
            };
            let asked = Instant::now();
            let Err(why) = writer::round_trip(&address, WITHIN).await else {
                seen.lock().unwrap().kept += 1;
                fails_since = None;
                continue;
            };
            let since = *fails_since.get_or_insert(asked);
            if self.says_ready().await && since.elapsed() > HEARS {
                let broken = format!("{:?}, and for {:?}: {why}", self.names, since.elapsed());
                seen.lock().unwrap().broken.push(broken);
                fails_since = None;
            }
        }
    }

    /// `false` also where it cannot be asked.
    async fn says_ready(&self) -> bool {
        let cluster = self.clusters.get_opt(&self.names.cluster).await;
        let status = cluster.ok().flatten().and_then(|c| c.status);
        status.is_some_and(|s| is_true(&s, conditions::READY))
    }

    async fn leader_service(&self) -> Option<String> {
        let service = self.services.get_opt(&self.names.leader()).await.ok()??;
        Some(format!("{}:9002", service.spec?.cluster_ip?))
    }
}
