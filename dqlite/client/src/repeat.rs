//! Trying again: how long, how often, and what makes it safe.

use std::time::Duration;

use dqlite_wire::Value;
use tokio::time::{Instant, sleep};

use crate::{Database, Error, Outcome, Pooled, Transaction};

/// Between two tries, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(250));
const TABLE: &str = "CREATE TABLE IF NOT EXISTS dqlite_done (id TEXT PRIMARY KEY, at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP) WITHOUT ROWID";
const RECORD: &str = "INSERT OR IGNORE INTO dqlite_done (id) VALUES (?)";

/// Pauses that grow, until a deadline.
#[derive(Debug)]
pub(crate) struct Tries {
    until: Instant,
    pause: Duration,
}

impl Tries {
    pub(crate) fn within(deadline: Duration) -> Self {
        Self {
            until: Instant::now() + deadline,
            pause: PAUSE.0,
        }
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.until
    }

    /// Waits before the next try; `false`, at once, if that would come too late.
    pub(crate) async fn next(&mut self) -> bool {
        // Those who lost the same leader should not all come back at once.
        let pause = self.pause.mul_f64(rand::random_range(0.5..1.5));
        if Instant::now() + pause >= self.until {
            return false;
        }
        sleep(pause).await;
        self.pause = (self.pause * 2).min(PAUSE.1);
        true
    }
}

impl Database {
    /// Does idempotent work again until it succeeds or the deadline has come, also when nobody knows whether it was
    /// done. Errors that another try would bring again end it.
    ///
    /// # Errors
    /// The last try's.
    pub async fn with_retry<T>(
        &self,
        work: impl AsyncFn(&Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut tries = Tries::within(self.deadline());
        loop {
            match work(self).await {
                Err(e) if passes(&e) => {
                    if !tries.next().await {
                        return Err(e);
                    }
                }
                other => return other,
            }
        }
    }

    /// Writes exactly once, however often it is tried and whatever answers get lost: `id` names the write, and is
    /// stored in the same transaction, in the table `dqlite_done`. `None`: it was done before, by an earlier try or by
    /// an earlier call with this id.
    ///
    /// Ids are kept until somebody deletes them; `at` says when each was stored.
    ///
    /// # Errors
    /// Any of [`Error`]. After an unknown outcome, ask again with the same id.
    pub async fn once<T>(
        &self,
        id: &str,
        write: impl AsyncFn(&mut Transaction<Pooled>) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        let write = &write;
        self.with_retry(async |database| {
            // What another try has begun ends before this one gets the lock: its row is there, or never will be.
            let mut once = database.begin().await?;
            once.exec(TABLE, &[]).await?;
            let recorded = once.exec(RECORD, &[Value::from(id)]).await?;
            if recorded.rows_affected == 0 {
                return once.rollback().await.map(|()| None);
            }
            let written = write(&mut once).await?;
            once.commit().await?;
            Ok(Some(written))
        })
        .await
    }
}

/// Another try may fare better.
fn passes(e: &Error) -> bool {
    if let Error::Script(failed) = e {
        return passes(failed);
    }
    let in_doubt = matches!(e, Error::Server { .. }) && e.outcome() == Outcome::Unknown;
    in_doubt || e.is_retryable() || matches!(e, Error::Broken(_) | Error::Timeout(_))
}
