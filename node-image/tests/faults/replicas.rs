//! The copies of a database, on every node its own.

use std::time::{Duration, Instant};

use dqlite_history::workload::{DATABASE, History};

use crate::nodes::{Cluster, Node};

/// A follower applies a little later than the leader acknowledges.
const CATCH_UP: Duration = Duration::from_secs(20);

/// What a copy holds: all tables, and the ledger's rows.
#[derive(PartialEq)]
struct Copy {
    tables: String,
    ledger: Vec<i64>,
}

/// All are whole and the same, and hold the ledger.
pub async fn check(cluster: &Cluster, history: &History) {
    let started = Instant::now();
    loop {
        let mut copies = Vec::new();
        for node in &cluster.nodes {
            copies.push(copy(node).await);
        }
        if copies.windows(2).all(|pair| pair[0] == pair[1]) {
            history.ledger.check(&copies[0].ledger).unwrap();
            return;
        }
        assert!(started.elapsed() < CATCH_UP, "the copies differ");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn copy(node: &Node) -> Copy {
    let dir = tempfile::tempdir().unwrap();
    for file in node.front().dump(DATABASE).await.unwrap() {
        std::fs::write(dir.path().join(&file.name), &file.bytes).unwrap();
    }
    let database = rusqlite::Connection::open(dir.path().join(DATABASE)).unwrap();
    let verdict: String = database
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(verdict, "ok", "{}", node.address());
    let tables = ["registers", "lists", "accounts", "ledger", "reads"];
    let tables = tables.map(|table| {
        let rows = rows(&database, &format!("SELECT * FROM {table}"));
        format!("{table}: {rows:?}\n")
    });
    let ledger = rows(&database, "SELECT n FROM ledger");
    Copy {
        tables: tables.concat(),
        ledger: ledger.into_iter().flatten().collect(),
    }
}

fn rows(database: &rusqlite::Connection, sql: &str) -> Vec<Vec<i64>> {
    let mut statement = database.prepare(sql).unwrap();
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| (0..columns).map(|i| row.get(i)).collect());
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}
