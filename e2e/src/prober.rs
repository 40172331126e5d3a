//! Asks every pod all the time who leads and what the cluster is, and sends statements to a pod that
//! must acknowledge nothing.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use dqlite_client::{Connection, Options, params};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_millis(50);

/// What was heard.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// Answers in all.
    pub answers: usize,
    /// Ids of all members that any pod ever named as leader.
    pub leaders: BTreeSet<u64>,
    /// Sets of voters that pods named without any of the known members in them.
    pub strange_clusters: Vec<BTreeSet<u64>>,
    /// INSERTs that a wiped pod acknowledged.
    pub acknowledged_by_wiped: usize,
}

/// Addresses that are asked; they change as pods come and go.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    /// Every pod's address.
    pub pods: BTreeSet<String>,
    /// The one that must acknowledge nothing.
    pub wiped: Option<String>,
}

/// A running prober.
pub struct Prober {
    pub targets: Arc<Mutex<Targets>>,
    heard: Arc<Mutex<Heard>>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Prober {
    /// Starts to ask; `known` are the ids of the members before anything is broken.
    pub fn start(known: BTreeSet<u64>) -> Self {
        let (targets, heard): (Arc<Mutex<Targets>>, Arc<Mutex<Heard>>) = Default::default();
        let stop = CancellationToken::new();
        let task = tokio::spawn(probe(targets.clone(), heard.clone(), known, stop.clone()));
        Self {
            targets,
            heard,
            stop,
            task,
        }
    }

    pub async fn stop(self) -> Heard {
        self.stop.cancel();
        self.task.await.unwrap();
        self.heard.lock().unwrap().clone()
    }
}

async fn probe(
    targets: Arc<Mutex<Targets>>,
    heard: Arc<Mutex<Heard>>,
    known: BTreeSet<u64>,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        let now = targets.lock().unwrap().clone();
        let mut asked = JoinSet::new();
        for pod in now.pods {
            let wiped = now.wiped.as_ref() == Some(&pod);
            asked.spawn(ask(pod, wiped, heard.clone(), known.clone()));
        }
        tokio::time::sleep(EVERY).await;
        asked.join_all().await;
    }
}

async fn ask(pod: String, wiped: bool, heard: Arc<Mutex<Heard>>, known: BTreeSet<u64>) {
    let options = Options {
        connect_timeout: Duration::from_millis(200),
        request_timeout: Duration::from_millis(500),
        ..Options::default()
    };
    let Ok(connection) = Connection::dial(&pod, &options).await else {
        return;
    };
    if let Ok(leader) = connection.leader().await {
        let mut heard = heard.lock().unwrap();
        heard.answers += 1;
        heard.leaders.extend(leader.map(|l| l.id));
    }
    if let Ok(members) = connection.cluster().await {
        let ids: BTreeSet<u64> = members.iter().map(|m| m.id).collect();
        if !ids.is_empty() && ids.is_disjoint(&known) {
            heard.lock().unwrap().strange_clusters.push(ids);
        }
    }
    if wiped
        && connection.open(crate::writer::DATABASE).await.is_ok()
        && connection
            .exec_sql("INSERT INTO ledger VALUES (?)", &params![-1])
            .await
            .is_ok()
    {
        heard.lock().unwrap().acknowledged_by_wiped += 1;
    }
}
