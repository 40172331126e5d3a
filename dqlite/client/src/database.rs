//! A database of the cluster, wherever its leader is: connections are kept, shared, and follow the leader.

use std::{
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use dqlite_wire::Value;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout, timeout_at},
};

use crate::{
    Client, Done, Error, Rows, Session, Transaction, code, repeat::Tries, session::no_transaction,
};

/// Connections that a database holds open at most.
const CONNECTIONS: usize = 16;
/// One that was not used for so long is asked whether it still works.
const STALE: Duration = Duration::from_secs(30);
const PROBE: Duration = Duration::from_secs(1);
const DEADLINE: Duration = Duration::from_secs(10);

/// A database of a cluster. Clones share its connections, 16 at most.
///
/// What failed and was surely not done (there is no leader, another leads, busy) is tried again until a deadline. What
/// has an unknown outcome never is: see [`Error::outcome`].
#[derive(Clone, Debug)]
pub struct Database {
    pool: Arc<Pool>,
    deadline: Duration,
}

impl Database {
    pub(crate) fn new(client: Client, name: String) -> Self {
        Self {
            pool: Arc::new(Pool {
                client,
                name,
                idle: Mutex::default(),
                places: Arc::new(Semaphore::new(CONNECTIONS)),
            }),
            deadline: DEADLINE,
        }
    }

    /// Tries again for so long; 10 s unless set.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    pub(crate) fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Runs the statements of `sql`; the result is the last one's.
    ///
    /// # Errors
    /// Any of [`Error`]; [`Error::Input`] for BEGIN and its like, see [`Database::begin`].
    pub async fn exec(&self, sql: &str, params: &[Value]) -> Result<Done, Error> {
        no_transaction(sql)?;
        let run = async |mut pooled: Pooled| pooled.exec(sql, params).await;
        self.tried(run).await
    }

    /// Runs one statement and gathers its rows.
    ///
    /// # Errors
    /// As [`Database::exec`].
    pub async fn query(&self, sql: &str, params: &[Value]) -> Result<Rows, Error> {
        no_transaction(sql)?;
        let run = async |mut pooled: Pooled| pooled.query(sql, params).await;
        self.tried(run).await
    }

    /// Begins a transaction, taking the write lock; it is rolled back when dropped. It does not follow the leader: if
    /// one of its statements fails for that, begin again.
    ///
    /// # Errors
    /// Any of [`Error`].
    pub async fn begin(&self) -> Result<Transaction<Pooled>, Error> {
        self.tried(Transaction::begin).await
    }

    async fn tried<T>(&self, run: impl AsyncFn(Pooled) -> Result<T, Error>) -> Result<T, Error> {
        let mut tries = Tries::within(self.deadline);
        loop {
            let once = match timeout_at(tries.deadline(), self.pool.take()).await {
                Ok(Ok(pooled)) => run(pooled).await,
                Ok(Err(e)) => Err(e),
                Err(_) => Err(Error::NoLeader {
                    tried: vec![format!("no connection within {:?}", self.deadline)],
                }),
            };
            // What one connection met, the others would meet too.
            let gone =
                |e: &Error| matches!(e, Error::Broken(_) | Error::Timeout(_) | Error::Closed);
            let gone = |e: &Error| gone(e) || e.server_code() == Some(code::NOT_LEADER);
            if once.as_ref().is_err_and(gone) {
                self.pool.idle().clear();
            }
            match once {
                Err(e) if e.is_retryable() => {
                    if !tries.next().await {
                        return Err(e);
                    }
                }
                other => return other,
            }
        }
    }
}

#[derive(Debug)]
struct Pool {
    client: Client,
    name: String,
    idle: Mutex<Vec<(Session, Instant)>>,
    places: Arc<Semaphore>,
}

impl Pool {
    /// A connection that idles, or a new one.
    async fn take(self: &Arc<Self>) -> Result<Pooled, Error> {
        self.client
            .ensure_open()
            .inspect_err(|_| self.idle().clear())?;
        let places = Arc::clone(&self.places);
        let place = places.acquire_owned().await.map_err(|_| Error::Closed)?;
        let session = match self.rested().await {
            Some(session) => session,
            None => self.client.open(&self.name).await?,
        };
        Ok(Pooled {
            session,
            pool: Arc::clone(self),
            _place: place,
        })
    }

    /// The one that was used last, if it still works.
    async fn rested(&self) -> Option<Session> {
        loop {
            let (session, since) = self.idle().pop()?;
            let connection = session.connection().clone();
            let works = since.elapsed() < STALE
                || matches!(timeout(PROBE, connection.leader()).await, Ok(Ok(_)));
            if works && !connection.is_closed() {
                return Some(session);
            }
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<(Session, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection of a [`Database`]; given back when dropped, unless something is wrong with it.
#[derive(Debug)]
pub struct Pooled {
    session: Session,
    pool: Arc<Pool>,
    _place: OwnedSemaphorePermit,
}

impl Deref for Pooled {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl DerefMut for Pooled {
    fn deref_mut(&mut self) -> &mut Session {
        &mut self.session
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        if self.session.is_fit() && self.pool.client.ensure_open().is_ok() {
            let again = Session::new(self.session.connection().clone());
            self.pool.idle().push((again, Instant::now()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_begins_or_ends_a_transaction_is_refused() {
        for sql in [
            "begin",
            " ;\nCOMMIT;",
            "Rollback to x",
            "END",
            "SAVEPOINT s",
            "release s",
        ] {
            assert!(matches!(no_transaction(sql), Err(Error::Input(_))), "{sql}");
        }
        for sql in [
            "SELECT 1",
            "INSERT INTO begins VALUES (1)",
            "beginning",
            "",
            "CREATE TABLE t (n)",
        ] {
            assert!(no_transaction(sql).is_ok(), "{sql}");
        }
    }
}
