//! Compares the rows that were acknowledged with those that are there, on every node: each must be
//! there once. One that failed for sure must not be there; an unknown one may, once.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use dqlite_client::{Connection, Options};

use crate::writer::{DATABASE, Tally};

/// A follower applies a little later than the leader acknowledges.
const CATCH_UP: Duration = Duration::from_secs(20);

/// Checks the rows on the node at `address`; its own copy, not the leader's.
pub async fn check(address: &str, tallies: &[Tally]) -> anyhow::Result<()> {
    let until = Instant::now() + CATCH_UP;
    loop {
        match look(address, tallies).await {
            Ok(()) => return Ok(()),
            Err(e) if Instant::now() > until => return Err(e.context(address.to_owned())),
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

async fn look(address: &str, tallies: &[Tally]) -> anyhow::Result<()> {
    let rows = rows(address).await?;
    let mut seen: HashMap<i64, usize> = HashMap::new();
    for n in rows {
        *seen.entry(n).or_default() += 1;
    }
    if let Some((n, times)) = seen.iter().find(|(_, times)| **times > 1) {
        bail!("row {n} is there {times} times");
    }
    let mut allowed = 0;
    for tally in tallies {
        let lost: Vec<_> = tally
            .acknowledged
            .iter()
            .filter(|n| !seen.contains_key(n))
            .take(10)
            .collect();
        ensure!(lost.is_empty(), "acknowledged rows are lost: {lost:?}");
        let ghosts: Vec<_> = tally
            .failed
            .iter()
            .filter(|n| seen.contains_key(n))
            .collect();
        ensure!(ghosts.is_empty(), "rows that failed are there: {ghosts:?}");
        let unknown = tally
            .unknown
            .iter()
            .filter(|n| seen.contains_key(n))
            .count();
        allowed += tally.acknowledged.len() + unknown;
    }
    ensure!(
        seen.len() == allowed,
        "{} rows that nobody wrote",
        seen.len() - allowed
    );
    Ok(())
}

/// All rows of a node's own copy.
async fn rows(address: &str) -> anyhow::Result<Vec<i64>> {
    let connection = Connection::dial(address, &Options::default()).await?;
    let files = connection.dump(DATABASE).await?;
    let dir = tempfile::tempdir()?;
    for file in &files {
        std::fs::write(dir.path().join(&file.name), &file.bytes)?;
    }
    let database = rusqlite::Connection::open(dir.path().join(DATABASE))?;
    let verdict: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    ensure!(verdict == "ok", "integrity_check: {verdict}");
    let mut statement = database
        .prepare("SELECT n FROM ledger")
        .context("no ledger yet")?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
