//! Commits in a second, through the front and without it.

use std::time::{Duration, Instant};

use dqlite_client::{Session, params};
use tokio::task::JoinSet;

use crate::{
    bare::{Bare, Library},
    median,
    nodes::Cluster,
    quantile,
};

const ROUNDS: usize = 25;
const TURN: Duration = Duration::from_secs(1);
const INSERT: &str = "INSERT OR REPLACE INTO model (key, value) VALUES (?, ?)";

/// What is compared, with sessions at each one's leader.
struct Variant {
    name: &'static str,
    sessions: Vec<Session>,
    /// Commits in a second, of each turn.
    rates: Vec<f64>,
    latencies: Vec<f64>,
}

pub async fn measure() {
    println!("\n## Commits of three members\n");
    println!(
        "One row by each INSERT, with a key of 32 bytes and a value of 1 KiB as in go-dqlite's own benchmark;"
    );
    println!("one machine, median of {ROUNDS} turns of {TURN:?}.\n");
    println!("| clients | what | commits/s | of the bare engine | p50 ms | p99 ms |");
    println!("| --- | --- | --- | --- | --- | --- |");
    let front = Cluster::of_three(41).await;
    let nodelay = Bare::of_three(42, &["nodelay", "20"]).await;
    let own = Bare::of_three(43, &["20"]).await;
    let released = Bare::of_three_of(Library::Released, 44, &["20"]).await;
    for clients in [1, 8] {
        let mut variants = [
            Variant::new("through our front"),
            Variant::new("bare engine, TCP_NODELAY"),
            Variant::new("bare engine, its own connect"),
            Variant::new("libdqlite as released, its own connect"),
        ];
        for _ in 0..clients {
            let leader = front.leader().await;
            variants[0]
                .sessions
                .push(front.nodes[leader].session().await);
            variants[1]
                .sessions
                .push(nodelay.client().open("app").await.unwrap());
            variants[2]
                .sessions
                .push(own.client().open("app").await.unwrap());
            variants[3]
                .sessions
                .push(released.client().open("app").await.unwrap());
        }
        for variant in &mut variants {
            let table = "CREATE TABLE IF NOT EXISTS model (key TEXT, value TEXT, UNIQUE(key))";
            variant.sessions[0].exec(table, &[]).await.unwrap();
        }
        for _ in 0..ROUNDS {
            for variant in &mut variants {
                variant.turn().await;
            }
        }
        let bare = median(variants[1].rates.clone());
        for variant in &mut variants {
            variant.print(clients, bare);
        }
    }
}

impl Variant {
    fn new(name: &'static str) -> Self {
        let (sessions, rates, latencies) = Default::default();
        Self {
            name,
            sessions,
            rates,
            latencies,
        }
    }

    /// Every session commits one row after the other.
    async fn turn(&mut self) {
        let started = Instant::now();
        let mut clients = JoinSet::new();
        for mut session in self.sessions.drain(..) {
            clients.spawn(async move {
                let mut latencies = Vec::new();
                while started.elapsed() < TURN {
                    let row = params![format!("{:032x}", rand::random::<u128>()), "v".repeat(1024)];
                    let began = Instant::now();
                    match session.exec(INSERT, &row).await {
                        Ok(_) => latencies.push(began.elapsed().as_secs_f64() * 1000.0),
                        // Eight writers may find a checkpoint in their way.
                        Err(e) => assert!(e.is_retryable(), "{e}"),
                    }
                }
                (session, latencies)
            });
        }
        let mut commits = 0;
        for (session, latencies) in clients.join_all().await {
            commits += latencies.len();
            self.latencies.extend(latencies);
            self.sessions.push(session);
        }
        self.rates
            .push(commits as f64 / started.elapsed().as_secs_f64());
    }

    fn print(&mut self, clients: usize, bare: f64) {
        let rate = median(self.rates.clone());
        let (p50, p99) = (
            quantile(&mut self.latencies, 0.5),
            quantile(&mut self.latencies, 0.99),
        );
        let share = rate / bare * 100.0;
        println!(
            "| {clients} | {} | {rate:.0} | {share:.0} % | {p50:.2} | {p99:.2} |",
            self.name
        );
    }
}
