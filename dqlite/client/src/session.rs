//! A database at the leader: statements, rows, transactions.

use dqlite_wire::{Request, Value};

use crate::{Connection, Done, Error, Outcome};

/// All rows of a result.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// Column names.
    pub columns: Vec<String>,
    /// Rows, each as long as `columns`.
    pub rows: Vec<Vec<Value>>,
}

impl Rows {
    /// The only value of the only row, as with `SELECT count(*)`.
    #[must_use]
    pub fn single(&self) -> Option<&Value> {
        match self.rows.as_slice() {
            [row] if row.len() == 1 => row.first(),
            _ => None,
        }
    }
}

/// One connection with one open database. It does not follow a leader that moves: after an error
/// other than SQL's own, open another.
#[derive(Debug)]
pub struct Session {
    connection: Connection,
}

impl Session {
    /// A session over a connection whose database is open.
    #[must_use]
    pub fn new(connection: Connection) -> Self {
        Self { connection }
    }

    /// The connection underneath.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Runs the statements of `sql`; the result is the last one's.
    ///
    /// # Errors
    /// See [`Error::outcome`] before a statement is repeated.
    pub async fn exec(&mut self, sql: &str, params: &[Value]) -> Result<Done, Error> {
        self.connection.exec_sql(sql, params).await
    }

    /// Runs one statement and gathers its rows.
    ///
    /// # Errors
    /// Any of [`Error`].
    pub async fn query(&mut self, sql: &str, params: &[Value]) -> Result<Rows, Error> {
        let mut stream = self.connection.query_sql(sql, params).await?;
        let mut all = Rows::default();
        while let Some(part) = stream.next().await? {
            all.columns = part.columns;
            all.rows.extend(part.rows);
        }
        Ok(all)
    }

    /// Begins a transaction, taking the write lock; it is rolled back when dropped.
    ///
    /// # Errors
    /// Any of [`Error`].
    pub async fn begin(&mut self) -> Result<Transaction<'_>, Error> {
        // Before the request: dropped while it waits, what may have begun is rolled back too.
        let mut begun = Transaction {
            session: self,
            open: true,
        };
        match begun.exec("BEGIN IMMEDIATE", &[]).await {
            Ok(_) => Ok(begun),
            Err(e) => {
                begun.open = e.outcome() == Outcome::Unknown;
                Err(e)
            }
        }
    }
}

/// A transaction of a session.
#[derive(Debug)]
pub struct Transaction<'a> {
    session: &'a mut Session,
    open: bool,
}

impl Transaction<'_> {
    /// As [`Session::exec`].
    ///
    /// # Errors
    /// Any of [`Error`].
    pub async fn exec(&mut self, sql: &str, params: &[Value]) -> Result<Done, Error> {
        self.session.exec(sql, params).await
    }

    /// As [`Session::query`].
    ///
    /// # Errors
    /// Any of [`Error`].
    pub async fn query(&mut self, sql: &str, params: &[Value]) -> Result<Rows, Error> {
        self.session.query(sql, params).await
    }

    /// Commits.
    ///
    /// # Errors
    /// See [`Error::outcome`]: a commit may have happened all the same.
    pub async fn commit(mut self) -> Result<(), Error> {
        self.session.exec("COMMIT", &[]).await?;
        self.open = false;
        Ok(())
    }

    /// Rolls back and waits for it.
    ///
    /// # Errors
    /// Any of [`Error`].
    pub async fn rollback(mut self) -> Result<(), Error> {
        self.open = false;
        self.session.exec("ROLLBACK", &[]).await.map(|_| ())
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if self.open {
            let (db, sql, params) = (0, "ROLLBACK".to_owned(), Vec::new());
            self.session
                .connection
                .send_and_forget(Request::ExecSql { db, sql, params });
        }
    }
}
