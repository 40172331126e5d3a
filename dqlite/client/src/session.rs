//! A database at the leader: statements, rows, transactions.

use std::ops::DerefMut;

use dqlite_wire::{Request, Value};

use crate::{
    Connection, Done, Error, Outcome, code,
    sql::{first_word, has_several},
};

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
    /// Nothing is known that would keep another from using it.
    fit: bool,
}

impl Session {
    /// A session over a connection whose database is open.
    #[must_use]
    pub fn new(connection: Connection) -> Self {
        Self {
            connection,
            fit: true,
        }
    }

    /// Whether the next user would find it as a new one: no statement is under way, no transaction left behind, and
    /// the server still leads as far as it has said.
    pub(crate) fn is_fit(&self) -> bool {
        self.fit
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
        // Until it is answered; and several statements may leave a transaction open.
        self.fit = false;
        let done = self.connection.exec_sql(sql, params).await;
        self.fit = leaves_it_fit(&done) && !has_several(sql);
        match changes_no_row(sql) {
            true => done.map(|_| Done::default()),
            false => done,
        }
    }

    /// Runs one statement and gathers its rows.
    ///
    /// # Errors
    /// Any of [`Error`].
    pub async fn query(&mut self, sql: &str, params: &[Value]) -> Result<Rows, Error> {
        self.fit = false;
        let all = async {
            let mut stream = self.connection.query_sql(sql, params).await?;
            let mut all = Rows::default();
            while let Some(part) = stream.next().await? {
                all.columns = part.columns;
                all.rows.extend(part.rows);
            }
            Ok(all)
        };
        let all = all.await;
        self.fit = leaves_it_fit(&all);
        all
    }

    /// Begins a transaction, taking the write lock; it is rolled back when dropped.
    ///
    /// # Errors
    /// Any of [`Error`].
    pub async fn begin(&mut self) -> Result<Transaction<&mut Self>, Error> {
        Transaction::begin(self).await
    }
}

/// The server still leads as far as this answer tells, and the connection lives.
fn leaves_it_fit<T>(answer: &Result<T, Error>) -> bool {
    match answer {
        Ok(_) | Err(Error::Input(_)) => true,
        Err(e @ Error::Server { .. }) => {
            e.outcome() == Outcome::NotDone && e.server_code() != Some(code::NOT_LEADER)
        }
        Err(_) => false,
    }
}

/// Statements that change no row, which the server answers with the numbers of one before.
fn changes_no_row(sql: &str) -> bool {
    const WORDS: [&str; 19] = [
        "",
        "ALTER",
        "ANALYZE",
        "ATTACH",
        "BEGIN",
        "COMMIT",
        "CREATE",
        "DETACH",
        "DROP",
        "END",
        "EXPLAIN",
        "PRAGMA",
        "REINDEX",
        "RELEASE",
        "ROLLBACK",
        "SAVEPOINT",
        "SELECT",
        "VACUUM",
        "VALUES",
    ];
    !has_several(sql) && WORDS.contains(&first_word(sql).as_str())
}

/// A transaction of a session, its own or borrowed.
#[derive(Debug)]
pub struct Transaction<S: DerefMut<Target = Session>> {
    session: S,
    open: bool,
}

impl<S: DerefMut<Target = Session>> Transaction<S> {
    pub(crate) async fn begin(session: S) -> Result<Self, Error> {
        // Before the request: dropped while it waits, what may have begun is rolled back too.
        let mut begun = Self {
            session,
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

impl<S: DerefMut<Target = Session>> Drop for Transaction<S> {
    fn drop(&mut self) {
        if self.open {
            let (db, sql, params) = (0, "ROLLBACK".to_owned(), Vec::new());
            let rollback = Request::ExecSql { db, sql, params };
            self.session.fit &= self.session.connection.send_and_forget(rollback);
        }
    }
}
