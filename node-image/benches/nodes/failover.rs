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

pub async fn measure() {
    println!("\n## Write gap after the leader is killed\n");
    println!("One client that writes without a pause, {KILLS} kills with SIGKILL.\n");
    println!("| network latency | what | median s | longest s |");
    println!("| --- | --- | --- | --- |");
    for (net, latency) in (50..).zip([20, 50, 100]) {
        let argument = format!("--latency-ms={latency}");
        let mut cluster = Cluster::of_three_with(net, &[&argument]).await;
        let addresses: Vec<_> = cluster.nodes.iter().map(|n| n.real_address()).collect();
        let writer = Writer::start(Client::with_options(addresses, options()));
        let mut gaps = Vec::new();
        for _ in 0..KILLS {
            writer.settle().await;
            let leader = cluster.leader().await;
            cluster.nodes[leader].kill();
            gaps.push(writer.gap().await);
            cluster.nodes[leader].start().await;
            let node = &cluster.nodes[leader];
            crate::nodes::until("ready again", async || node.status().await["ready"] == true).await;
        }
        print(&format!("{latency} ms"), "through our front", gaps);
    }
    let mut bare = Bare::of_three(55, &[]).await;
    let writer = Writer::start(Client::with_options(
        bare.nodes.iter().map(|n| n.address.clone()),
        options(),
    ));
    let mut gaps = Vec::new();
    for _ in 0..KILLS {
        writer.settle().await;
        let killed = bare.kill_leader().await;
        gaps.push(writer.gap().await);
        bare.restart(killed);
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    print("the library's default", "bare engine", gaps);
}

fn options() -> Options {
    Options {
        connect_timeout: Duration::from_millis(200),
        request_timeout: Duration::from_secs(2),
        ..Options::default()
    }
}

fn print(latency: &str, what: &str, gaps: Vec<f64>) {
    let longest = gaps.iter().copied().fold(0.0, f64::max);
    println!(
        "| {latency} | {what} | {:.2} | {longest:.2} |",
        median(gaps)
    );
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
