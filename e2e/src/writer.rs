//! A writer that numbers its rows and knows what became of each: acknowledged, failed, or unknown.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use dqlite_client::{Connection, Error, Options, Outcome, params};
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

/// Database and table of every writer.
pub const DATABASE: &str = "app";
/// Keeps the machine's two cores from being all writers.
const PACE: Duration = Duration::from_millis(1);
/// One that finds no leader must not take the time of those who elect one.
const RETRY: Duration = Duration::from_millis(10);
/// A gap that is longer is told with what failed meanwhile.
const TELLING: Duration = Duration::from_millis(300);
/// A writer that is slower than this outside the gaps it states does not test anything.
pub const FLOOR: f64 = 50.0;

/// What became of the rows so far.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub acknowledged: Vec<i64>,
    pub failed: Vec<i64>,
    pub unknown: Vec<i64>,
    /// Longest time between two acknowledged rows.
    pub longest_gap: Duration,
    /// Sum of the gaps of more than 100 ms.
    pub held_up: Duration,
    /// As `longest_gap`, since somebody asked last.
    pub recent_gap: Duration,
    pub elapsed: Duration,
    /// When a row was acknowledged last.
    pub last: Option<Instant>,
    /// What failed since, and after how long.
    pub failures: Vec<(Duration, String)>,
}

impl Tally {
    fn note(&mut self, n: i64, inserted: Result<(), Error>) {
        let Err(e) = inserted else {
            return self.acknowledge(n);
        };
        let since = self.last.map(|last| last.elapsed()).unwrap_or_default();
        let why = e.to_string();
        if self
            .failures
            .last()
            .is_none_or(|(_, before)| *before != why)
        {
            self.failures.push((since, why));
        }
        match e.outcome() {
            Outcome::Unknown => self.unknown.push(n),
            _ => self.failed.push(n),
        }
    }

    fn acknowledge(&mut self, n: i64) {
        let now = Instant::now();
        if let Some(last) = self.last.replace(now) {
            let gap = now - last;
            self.longest_gap = self.longest_gap.max(gap);
            self.recent_gap = self.recent_gap.max(gap);
            if gap > Duration::from_millis(100) {
                self.held_up += gap;
            }
            if gap > TELLING {
                println!("a gap of {gap:?}: {:?}", self.failures);
            }
        }
        self.failures.clear();
        self.acknowledged.push(n);
    }
}

/// A running writer.
pub struct Writer {
    tally: Arc<Mutex<Tally>>,
    stop: CancellationToken,
    task: JoinHandle<()>,
    started: Instant,
}

fn options() -> Options {
    Options {
        connect_timeout: Duration::from_millis(500),
        request_timeout: Duration::from_secs(5),
        ..Options::default()
    }
}

/// A connection through the leader port at `address`, with the database open.
pub async fn connect(address: &str) -> Result<Connection, Error> {
    let connection = Connection::dial(address, &options()).await?;
    connection.open(DATABASE).await?;
    Ok(connection)
}

/// Makes the table; waits up to 20 s for a leader to do it.
pub async fn create_table(address: &str) -> anyhow::Result<()> {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let made = async {
            let connection = connect(address).await?;
            connection
                .exec_sql("CREATE TABLE IF NOT EXISTS ledger (n INTEGER)", &[])
                .await
        };
        match made.await {
            Ok(_) => return Ok(()),
            Err(e) if Instant::now() > until => return Err(e.into()),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Writes a row of its own and reads it back, as others may do at the same time; tries until it works. What went
/// wrong, and when, if it does not within `limit`.
pub async fn round_trip(address: &str, limit: Duration) -> Result<(), String> {
    let (asked, mut wrong) = (Instant::now(), Vec::new());
    while let Some(left) = limit.checked_sub(asked.elapsed()) {
        match timeout(left, try_round_trip(address)).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(e)) => wrong.push((asked.elapsed(), e.to_string())),
            Err(_) => wrong.push((asked.elapsed(), "no answer".to_owned())),
        }
        tokio::time::sleep(RETRY).await;
    }
    Err(format!("{wrong:?}"))
}

/// As [`round_trip`], once.
async fn try_round_trip(address: &str) -> Result<(), Error> {
    let connection = connect(address).await?;
    let table = "CREATE TABLE IF NOT EXISTS probe (n INTEGER PRIMARY KEY)";
    connection.exec_sql(table, &[]).await?;
    let n = rand::random::<i64>();
    let insert = "INSERT INTO probe VALUES (?)";
    connection.exec_sql(insert, &params![n]).await?;
    let select = "SELECT n FROM probe WHERE n = ?";
    let mut rows = connection.query_sql(select, &params![n]).await?;
    let read = rows.next().await?.map(|part| part.rows).unwrap_or_default();
    assert_eq!(read, [[n.into()]]);
    Ok(())
}

impl Writer {
    /// Writes rows `from`, `from + 1`, … through the leader port at `address` until it is stopped.
    pub fn start(address: &str, from: i64) -> Self {
        let (tally, stop) = (
            Arc::new(Mutex::new(Tally::default())),
            CancellationToken::new(),
        );
        let task = tokio::spawn(write(address.to_owned(), from, tally.clone(), stop.clone()));
        Self {
            tally,
            stop,
            task,
            started: Instant::now(),
        }
    }

    /// Rows acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.tally.lock().unwrap().acknowledged.len()
    }

    /// Longest gap since this was asked last, the one that lasts included.
    pub fn take_gap(&self) -> Duration {
        let mut tally = self.tally.lock().unwrap();
        let open = tally.last.map(|last| last.elapsed()).unwrap_or_default();
        std::mem::take(&mut tally.recent_gap).max(open)
    }

    /// Waits until so many more rows are acknowledged.
    pub async fn more(&self, rows: usize) {
        let (goal, started) = (self.acknowledged() + rows, Instant::now());
        while self.acknowledged() < goal {
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "the writer is stuck for 60 s"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Ends the writer; what became of its rows. `stated` is the time that the test's own doing may
    /// have cost: in the rest the writer must have been busy.
    pub async fn stop(self, stated: Duration) -> Tally {
        self.stop.cancel();
        self.task.await.unwrap();
        let mut tally = self.tally.lock().unwrap().clone();
        tally.elapsed = self.started.elapsed();
        let rows = tally.acknowledged.len();
        let busy = tally.elapsed.saturating_sub(stated).as_secs_f64();
        let rate = rows as f64 / busy;
        println!(
            "{rows} rows in {:?}: {rate:.0}/s outside of {stated:?}",
            tally.elapsed
        );
        assert!(
            busy <= 0.0 || rate >= FLOOR,
            "{rate:.0} rows/s: under {FLOOR} tests nothing"
        );
        tally
    }
}

async fn write(address: String, from: i64, tally: Arc<Mutex<Tally>>, stop: CancellationToken) {
    let mut connection = None;
    for n in from.. {
        if stop.is_cancelled() {
            return;
        }
        let inserted = insert(&mut connection, &address, n).await;
        let pause = if inserted.is_ok() { PACE } else { RETRY };
        tally.lock().unwrap().note(n, inserted);
        tokio::time::sleep(pause).await;
    }
}

/// One row; after an error the next row goes over a new connection.
async fn insert(kept: &mut Option<Connection>, address: &str, n: i64) -> Result<(), Error> {
    let connection = match kept.take() {
        Some(connection) => connection,
        None => connect(address).await?,
    };
    connection
        .exec_sql("INSERT INTO ledger VALUES (?)", &params![n])
        .await?;
    *kept = Some(connection);
    Ok(())
}
