//! Asks every pod all the time who leads and what the cluster is, and sends a statement to the wiped
//! one, which must not say a word once its process has ended.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use dqlite_client::{Connection, Error, Options, Role};
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
    /// Configurations whose voters are no majority of the members known before, nor any of a newer
    /// cluster: somebody founded another one.
    pub second_clusters: Vec<BTreeSet<u64>>,
    /// The wiped process was heard to end: its address refused or closed a connection.
    pub ended: bool,
    /// What the wiped member said after that.
    pub from_the_dead: Vec<String>,
}

/// Addresses that are asked; they change as pods come and go.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    /// Every pod's address.
    pub pods: BTreeSet<String>,
    /// All addresses that the wiped member's pod has had.
    pub wiped: BTreeSet<String>,
}

/// A running prober.
pub struct Prober {
    pub targets: Arc<Mutex<Targets>>,
    heard: Arc<Mutex<Heard>>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

#[derive(Clone)]
struct Ears {
    heard: Arc<Mutex<Heard>>,
    known: BTreeSet<u64>,
    lost: u64,
}

impl Prober {
    /// Starts to ask; `known` are the ids of the members before anything is broken, `lost` the id and
    /// `wiped` the address of the one that is about to lose its disk.
    pub fn start(known: BTreeSet<u64>, lost: u64, wiped: String) -> Self {
        let targets = Targets {
            wiped: [wiped].into(),
            ..Targets::default()
        };
        let targets = Arc::new(Mutex::new(targets));
        let heard: Arc<Mutex<Heard>> = Arc::default();
        let (stop, ears) = (
            CancellationToken::new(),
            Ears {
                heard: heard.clone(),
                known,
                lost,
            },
        );
        let task = tokio::spawn(probe(targets.clone(), ears, stop.clone()));
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

async fn probe(targets: Arc<Mutex<Targets>>, ears: Ears, stop: CancellationToken) {
    let mut asked = JoinSet::new();
    let mut ticks = tokio::time::interval(EVERY);
    while !stop.is_cancelled() {
        ticks.tick().await;
        let now = targets.lock().unwrap().clone();
        for pod in now.pods.union(&now.wiped) {
            if now.wiped.contains(pod) {
                asked.spawn(listen_to_the_wiped(pod.clone(), ears.clone()));
            } else {
                asked.spawn(listen(pod.clone(), ears.clone()));
            }
        }
        // An address that nobody has takes its time; the others do not wait for it.
        while asked.try_join_next().is_some() {}
    }
    asked.join_all().await;
}

fn options() -> Options {
    Options {
        connect_timeout: Duration::from_millis(500),
        request_timeout: Duration::from_millis(500),
        ..Options::default()
    }
}

async fn listen(pod: String, ears: Ears) {
    let Ok(connection) = Connection::dial(&pod, &options()).await else {
        return;
    };
    if let Ok(leader) = connection.leader().await {
        let mut heard = ears.heard.lock().unwrap();
        heard.answers += 1;
        heard.leaders.extend(leader.map(|l| l.id));
    }
    let Ok(members) = connection.cluster().await else {
        return;
    };
    let voter = |m: &&dqlite_client::Member| m.role == Some(Role::Voter);
    let voters: BTreeSet<u64> = members.iter().filter(voter).map(|m| m.id).collect();
    // One lost, one new: of three known members at least two stay voters at every moment.
    if !voters.is_empty() && voters.intersection(&ears.known).count() * 2 <= ears.known.len() {
        ears.heard.lock().unwrap().second_clusters.push(voters);
    }
}

/// The member is what it was until its process ends. From then on every answer is one too many.
async fn listen_to_the_wiped(pod: String, ears: Ears) {
    let was_dead = ears.heard.lock().unwrap().ended;
    let said = match Connection::dial(&pod, &options()).await {
        Ok(connection) => speak(&connection, ears.lost).await,
        Err(e) => Err(e),
    };
    let mut heard = ears.heard.lock().unwrap();
    match said {
        Ok(words) if was_dead => heard.from_the_dead.push(words),
        // Another pod may have the address by now, a member that names the living.
        Ok(_) | Err(Error::Timeout(_) | Error::Server { .. }) => {}
        Err(_) => heard.ended = true,
    }
}

/// What the wiped pod says, if it says anything: who leads, what the cluster is, and whether it takes
/// a write.
async fn speak(connection: &Connection, lost: u64) -> Result<String, Error> {
    let leader = connection.leader().await?;
    let mut words = format!("LEADER {leader:?} (lost: {lost})");
    if let Ok(members) = connection.cluster().await {
        words.push_str(&format!(", CLUSTER {members:?}"));
    }
    if connection.open("probe").await.is_ok() {
        let write = "CREATE TABLE IF NOT EXISTS probe (n); INSERT INTO probe VALUES (1)";
        if connection.exec_sql(write, &[]).await.is_ok() {
            words.push_str(", and it acknowledged a write");
        }
    }
    Ok(words)
}
