//! A database at the leader: statements, rows, transactions.

use std::ops::DerefMut;

use dqlite_wire::{Request, Value};

use crate::{
    Connection, Done, Error, Outcome, code,
    sql::{changes_the_connection, first_word, has_several, moves_a_transaction, statements},
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
    /// No statement is under way, and nothing is known that would keep another from using it. Several statements in one
    /// text may leave a transaction open.
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
        let before = std::mem::take(&mut self.fit);
        let done = closed_if_left(self.connection.exec_sql(sql, params).await);
        let several = has_several(sql);
        self.fit = before && leaves_it_fit(&done) && !several && !changes_the_connection(sql);
        match !several && changes_no_row(sql) {
            true => done.map(|_| Done::default()),
            false => done,
        }
    }

    /// Runs one statement and gathers its rows.
    ///
    /// # Errors
    /// Any of [`Error`].
    pub async fn query(&mut self, sql: &str, params: &[Value]) -> Result<Rows, Error> {
        let before = std::mem::take(&mut self.fit);
        let all = async {
            let mut stream = self.connection.query_sql(sql, params).await?;
            let mut all = Rows::default();
            while let Some(part) = stream.next().await? {
                all.columns = part.columns;
                all.rows.extend(part.rows);
            }
            Ok(all)
        };
        let all = closed_if_left(all.await);
        self.fit =
            before && leaves_it_fit(&all) && !has_several(sql) && !changes_the_connection(sql);
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

/// A server whose leadership moved has closed the database, also if it leads again. Nothing was done.
fn closed_if_left<T>(answer: Result<T, Error>) -> Result<T, Error> {
    match answer {
        Err(Error::Server { code: 12, message }) if message.contains("no database opened") => {
            Err(Error::Closed)
        }
        other => other,
    }
}

/// One statement that changes no row, which the server answers with the numbers of the one before.
fn changes_no_row(sql: &str) -> bool {
    const WORDS: [&str; 13] = [
        "", "ALTER", "ANALYZE", "ATTACH", "CREATE", "DETACH", "DROP", "EXPLAIN", "PRAGMA",
        "REINDEX", "SELECT", "VACUUM", "VALUES",
    ];
    moves_a_transaction(sql) || WORDS.contains(&first_word(sql).as_str())
}

/// A transaction of a session, its own or borrowed. Once a statement of it has failed it can only be rolled back: SQLite
/// may have ended it, and what came next would stand alone.
#[derive(Debug)]
pub struct Transaction<S: DerefMut<Target = Session>> {
    session: S,
    open: bool,
    failed: bool,
}

impl<S: DerefMut<Target = Session>> Transaction<S> {
    pub(crate) async fn begin(session: S) -> Result<Self, Error> {
        // Before the request: dropped while it waits, what may have begun is rolled back too.
        let mut begun = Self {
            session,
            open: true,
            failed: false,
        };
        match begun.session.exec("BEGIN IMMEDIATE", &[]).await {
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
    /// Any of [`Error`]; [`Error::Input`] for COMMIT and its like, and once a statement has failed.
    pub async fn exec(&mut self, sql: &str, params: &[Value]) -> Result<Done, Error> {
        self.goes_on(sql)?;
        let done = self.session.exec(sql, params).await;
        self.failed = done.is_err();
        done
    }

    /// As [`Session::query`].
    ///
    /// # Errors
    /// As [`Transaction::exec`].
    pub async fn query(&mut self, sql: &str, params: &[Value]) -> Result<Rows, Error> {
        self.goes_on(sql)?;
        let rows = self.session.query(sql, params).await;
        self.failed = rows.is_err();
        rows
    }

    /// Commits.
    ///
    /// # Errors
    /// See [`Error::outcome`]: a commit may have happened all the same. [`Error::Input`] once a statement has failed.
    pub async fn commit(mut self) -> Result<(), Error> {
        self.goes_on("")?;
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
        match self.session.exec("ROLLBACK", &[]).await {
            // It was rolled back by what failed.
            Err(Error::Server { code: 1, .. }) if self.failed => Ok(()),
            ended => ended.map(drop),
        }
    }

    fn goes_on(&self, sql: &str) -> Result<(), Error> {
        if self.failed {
            return Err(Error::Input(
                "a statement of the transaction has failed: roll it back",
            ));
        }
        no_transaction(sql)
    }
}

/// A transaction that a statement began or ended would be another than the one that is known.
pub(crate) fn no_transaction(sql: &str) -> Result<(), Error> {
    match statements(sql).any(moves_a_transaction) {
        true => Err(Error::Input(
            "BEGIN, COMMIT and their like are methods: see begin",
        )),
        false => Ok(()),
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
