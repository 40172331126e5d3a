//! The longest time without a commit, after the leader's process is killed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use dqlite_client::{Client, Options, Session, params};

use crate::{bare::Bare, median, nodes::Cluster};

const KILLS: usize = 5;

/// What is compared.
struct Row {
    latency: &'static str,
    what: &'static str,
    cluster: Either,
    gaps: Vec<f64>,
}

enum Either {
    Ours(Cluster),
    Bare(Bare),
}

pub async fn measure() {
    println!("\n## Write gap after the leader is killed\n");
    println!(
        "One client that writes without a pause; {KILLS} kills with SIGKILL of each, in turns.\n"
    );
    println!("| network latency | what | median s | longest s |");
    println!("| --- | --- | --- | --- |");
    let mut rows = Vec::new();
    for (net, latency) in (50..).step_by(2).zip(["20", "50", "100"]) {
        let ours = Cluster::of_three_with(net, &[&format!("--latency-ms={latency}")]).await;
        rows.push(Row::new(latency, "through our front", Either::Ours(ours)));
        let bare = Bare::of_three(net + 1, &["nodelay", latency]).await;
        rows.push(Row::new(latency, "bare engine", Either::Bare(bare)));
    }
    let bare = Bare::of_three(60, &["nodelay"]).await;
    rows.push(Row::new(
        "the library's default",
        "bare engine",
        Either::Bare(bare),
    ));
    for _ in 0..KILLS {
        for row in &mut rows {
            row.kill().await;
        }
    }
    for row in rows {
        let longest = row.gaps.iter().copied().fold(0.0, f64::max);
        let middle = median(row.gaps);
        println!(
            "| {} | {} | {middle:.2} | {longest:.2} |",
            row.latency, row.what
        );
    }
}

impl Row {
    fn new(latency: &'static str, what: &'static str, cluster: Either) -> Self {
        let gaps = Vec::new();
        Self {
            latency,
            what,
            cluster,
            gaps,
        }
    }

    /// Kills the leader under a writer, waits for the next commit, and starts the old leader anew.
    async fn kill(&mut self) {
        let addresses: Vec<_> = match &self.cluster {
            Either::Ours(ours) => ours.nodes.iter().map(|n| n.real_address()).collect(),
            Either::Bare(bare) => bare.nodes.iter().map(|n| n.address.clone()).collect(),
        };
        let writer = Writer::start(Client::with_options(addresses, options()));
        writer.settle().await;
        let killed = match &mut self.cluster {
            Either::Ours(ours) => {
                let leader = ours.leader().await;
                ours.nodes[leader].kill();
                leader
            }
            Either::Bare(bare) => bare.kill_leader().await,
        };
        self.gaps.push(writer.gap().await);
        match &mut self.cluster {
            Either::Ours(ours) => ours.nodes[killed].start().await,
            Either::Bare(bare) => bare.restart(killed),
        }
        // It catches up before it may be needed.
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

fn options() -> Options {
    Options {
        connect_timeout: Duration::from_millis(200),
        request_timeout: Duration::from_secs(2),
        ..Options::default()
    }
}

/// Writes all the time, over a new session after each failure.
struct Writer {
    started: Instant,
    /// Microseconds from the start to the last commit.
    last: Arc<AtomicU64>,
    commits: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Writer {
    fn start(client: Client) -> Self {
        let (started, last, commits) = (Instant::now(), Arc::default(), Arc::default());
        let task = tokio::spawn(write(
            client,
            started,
            Arc::clone(&last),
            Arc::clone(&commits),
        ));
        Self {
            started,
            last,
            commits,
            task,
        }
    }

    async fn settle(&self) {
        let goal = self.commits.load(Ordering::SeqCst) + 100;
        while self.commits.load(Ordering::SeqCst) < goal {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Seconds from the last commit before now to the next that took longer than any usual one.
    async fn gap(&self) -> f64 {
        let now = || self.started.elapsed().as_micros() as u64;
        let called = now();
        loop {
            let last = self.last.load(Ordering::SeqCst);
            if now() - last > 50_000 {
                // It has begun; it ends with the next commit.
                while self.last.load(Ordering::SeqCst) == last {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                return (self.last.load(Ordering::SeqCst) - last) as f64 / 1e6;
            }
            assert!(now() - called < 5_000_000, "the leader's end was not felt");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn write(client: Client, started: Instant, last: Arc<AtomicU64>, commits: Arc<AtomicU64>) {
    let mut kept: Option<Session> = None;
    loop {
        let mut session = match kept.take() {
            Some(session) => session,
            None => match open(&client).await {
                Ok(session) => session,
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                }
            },
        };
        let row = params![1];
        let insert = session.exec("INSERT INTO t VALUES (?)", &row);
        if insert.await.is_ok() {
            last.store(started.elapsed().as_micros() as u64, Ordering::SeqCst);
            commits.fetch_add(1, Ordering::SeqCst);
            kept = Some(session);
        }
    }
}

async fn open(client: &Client) -> Result<Session, dqlite_client::Error> {
    let mut session = client.open("app").await?;
    let table = "CREATE TABLE IF NOT EXISTS t (n INTEGER)";
    session.exec(table, &[]).await?;
    Ok(session)
}
