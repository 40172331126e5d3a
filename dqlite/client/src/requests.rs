//! Every request of the protocol as a method of the connection.

use std::time::Duration;

use dqlite_wire::{File, Member, Request, Response, Role, Value};

use crate::{Connection, Error, connection::Answers, sql};

/// The server gives a member up to 100 rounds of 50 s to catch up, and gives up after one without an
/// answer from it.
const PROMOTION_TIMEOUT: Duration = Duration::from_secs(100 * 50 + 60);
/// A transfer fails at the server after one election timeout, 3 s at the slowest default.
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(5);

/// A server by id and address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Raft id, never 0.
    pub id: u64,
    /// `host:port` as the cluster has it.
    pub address: String,
}

/// What a statement did; zeros for one that inserts, updates and deletes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Row id of the last row inserted on this connection.
    pub last_insert_id: u64,
    /// Rows changed by the statement.
    pub rows_affected: u64,
}

/// A prepared statement of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prepared {
    db: u32,
    id: u32,
    /// Number of parameters that the statement takes.
    pub params: u64,
    /// Its rows must be asked for.
    returning: bool,
}

/// Answers `value` where the pattern fits, else an [`Error::Unexpected`] that names the request.
macro_rules! expect {
    ($answer:expr, $what:literal, $pattern:pat => $value:expr) => {
        match $answer {
            $pattern => Ok($value),
            _ => Err(Error::Unexpected($what)),
        }
    };
}

impl Connection {
    async fn ask(&self, request: Request) -> Result<Response, Error> {
        self.call(request, self.timeout).await
    }

    /// The leader as this server sees it; only voters know.
    ///
    /// # Errors
    /// Any of [`Error`]; so for every method here.
    pub async fn leader(&self) -> Result<Option<Server>, Error> {
        expect!(self.ask(Request::Leader).await?, "LEADER",
            Response::Leader { id, address } => (id != 0).then_some(Server { id, address }))
    }

    /// The configuration as this server has it: it may be old, or not committed.
    pub async fn cluster(&self) -> Result<Vec<Member>, Error> {
        expect!(self.ask(Request::Cluster { format: 1 }).await?, "CLUSTER",
            Response::Servers(members) => members)
    }

    /// Adds a server as spare. `busy` and `already in use` come back as [`Error::Server`].
    pub async fn add(&self, id: u64, address: &str) -> Result<(), Error> {
        no_zero(id)?;
        let address = address.to_owned();
        expect!(self.ask(Request::Add { id, address }).await?, "ADD", Response::Empty => ())
    }

    /// Changes a server's role. To voter: returns once the server has caught up, which takes as long as
    /// it takes. Drop the future to wait no longer; the promotion goes on.
    pub async fn assign(&self, id: u64, role: Role) -> Result<(), Error> {
        no_zero(id)?;
        let limit = if role == Role::Voter {
            PROMOTION_TIMEOUT
        } else {
            self.timeout
        };
        expect!(self.call(Request::Assign { id, role }, limit).await?, "ASSIGN",
            Response::Empty => ())
    }

    /// Removes a server from the configuration. The server itself is not told.
    pub async fn remove(&self, id: u64) -> Result<(), Error> {
        no_zero(id)?;
        expect!(self.ask(Request::Remove { id }).await?, "REMOVE", Response::Empty => ())
    }

    /// Hands leadership to this voter.
    pub async fn transfer(&self, id: u64) -> Result<(), Error> {
        no_zero(id)?;
        expect!(self.call(Request::Transfer { id }, TRANSFER_TIMEOUT).await?, "TRANSFER",
            Response::Empty => ())
    }

    /// Failure domain and weight of this server.
    pub async fn describe(&self) -> Result<(u64, u64), Error> {
        expect!(self.ask(Request::Describe { format: 0 }).await?, "DESCRIBE",
            Response::Metadata { failure_domain, weight } => (failure_domain, weight))
    }

    /// Sets this server's weight until its next restart.
    pub async fn set_weight(&self, weight: u64) -> Result<(), Error> {
        expect!(self.ask(Request::Weight { weight }).await?, "WEIGHT", Response::Empty => ())
    }

    /// The database's files as this server has them; a follower's may lag.
    pub async fn dump(&self, name: &str) -> Result<Vec<File>, Error> {
        let name = name.to_owned();
        expect!(self.ask(Request::Dump { name }).await?, "DUMP", Response::Files(files) => files)
    }

    /// Opens the connection's one database; only the leader does.
    pub async fn open(&self, name: &str) -> Result<(), Error> {
        let request = Request::Open {
            name: no_nul(name)?,
            flags: 0,
            vfs: String::new(),
        };
        expect!(self.ask(request).await?, "OPEN", Response::Database { .. } => ())
    }

    /// Runs every statement of `sql`; the parameters are for the first.
    pub async fn exec_sql(&self, sql: &str, params: &[Value]) -> Result<Done, Error> {
        self.guard(sql)?;
        self.guard_exec(sql::returns_rows_of_a_write(sql))?;
        let request = Request::ExecSql {
            db: 0,
            sql: no_nul(sql)?,
            params: checked(params)?,
        };
        let answer = self.ask(request).await;
        match answer.and_then(done) {
            Err(failed @ Error::Server { .. }) if sql::has_several(sql) => {
                Err(Error::Script(Box::new(failed)))
            }
            other => other,
        }
    }

    /// Runs one statement and gives its rows as they come.
    pub async fn query_sql(&self, sql: &str, params: &[Value]) -> Result<RowStream, Error> {
        self.guard(sql)?;
        let request = Request::QuerySql {
            db: 0,
            sql: no_nul(sql)?,
            params: checked(params)?,
        };
        Ok(RowStream {
            answers: Some(self.start(request).await?),
            timeout: self.timeout,
        })
    }

    /// Prepares one statement.
    pub async fn prepare(&self, sql: &str) -> Result<Prepared, Error> {
        self.guard(sql)?;
        let returning = sql::returns_rows_of_a_write(sql);
        let request = Request::Prepare {
            db: 0,
            sql: no_nul(sql)?,
            tail: false,
        };
        expect!(self.ask(request).await?, "PREPARE",
            Response::Statement { db, id, params, .. } => Prepared { db, id, params, returning })
    }

    /// Runs a prepared statement.
    pub async fn exec(&self, stmt: Prepared, params: &[Value]) -> Result<Done, Error> {
        self.guard_exec(stmt.returning)?;
        let params = checked(params)?;
        done(
            self.ask(Request::Exec {
                db: stmt.db,
                stmt: stmt.id,
                params,
            })
            .await?,
        )
    }

    /// Runs a prepared statement and gives its rows as they come.
    pub async fn query(&self, stmt: Prepared, params: &[Value]) -> Result<RowStream, Error> {
        let params = checked(params)?;
        let answers = self
            .start(Request::Query {
                db: stmt.db,
                stmt: stmt.id,
                params,
            })
            .await?;
        Ok(RowStream {
            answers: Some(answers),
            timeout: self.timeout,
        })
    }

    /// Forgets a prepared statement.
    pub async fn finalize(&self, stmt: Prepared) -> Result<(), Error> {
        expect!(self.ask(Request::Finalize { db: stmt.db, stmt: stmt.id }).await?, "FINALIZE",
            Response::Empty => ())
    }

    fn guard(&self, sql: &str) -> Result<(), Error> {
        match sql::refusal(sql).filter(|_| self.guards) {
            Some(why) => Err(Error::Guarded(why)),
            None => Ok(()),
        }
    }

    fn guard_exec(&self, returning: bool) -> Result<(), Error> {
        if returning && self.guards {
            let why = "a statement with RETURNING gives rows: send it as a query";
            return Err(Error::Guarded(why.into()));
        }
        Ok(())
    }
}

/// Rows as the server sends them, some at a time.
#[derive(Debug)]
pub struct RowStream {
    answers: Option<Answers>,
    timeout: Duration,
}

impl RowStream {
    /// The next part; `None` after the last.
    ///
    /// # Errors
    /// A statement may fail after some of its rows.
    pub async fn next(&mut self) -> Result<Option<dqlite_wire::Rows>, Error> {
        let Some(answers) = &mut self.answers else {
            return Ok(None);
        };
        let rows =
            expect!(answers.next(self.timeout).await?, "QUERY", Response::Rows(rows) => rows)?;
        if !rows.more {
            self.answers = None;
        }
        Ok(Some(rows))
    }
}

fn done(answer: Response) -> Result<Done, Error> {
    expect!(answer, "EXEC", Response::Result { last_insert_id, rows_affected } =>
        Done { last_insert_id, rows_affected })
}

fn no_zero(id: u64) -> Result<(), Error> {
    if id == 0 {
        Err(Error::Input("server id must not be 0"))
    } else {
        Ok(())
    }
}

/// The protocol ends a text at its first NUL, so the rest would be lost in silence.
fn no_nul(text: &str) -> Result<String, Error> {
    if text.contains('\0') {
        return Err(Error::Input("text must not contain NUL; bind it as a blob"));
    }
    Ok(text.to_owned())
}

fn checked(params: &[Value]) -> Result<Vec<Value>, Error> {
    for param in params {
        if let Value::Text(text) | Value::Iso8601(text) = param {
            no_nul(text)?;
        }
    }
    Ok(params.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, Outcome, code};

    /// A server that does not lead answers so, whatever it is asked.
    async fn not_leader(sql: &'static str) -> Error {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (ours, mut server) = tokio::io::duplex(4096);
        let connection = Connection::over(ours, &Options::default());
        let asked = tokio::spawn(async move { connection.exec_sql(sql, &[]).await.unwrap_err() });
        let mut bytes = [0; 16];
        server.read_exact(&mut bytes).await.unwrap();
        let mut answer = Vec::new();
        let failure = dqlite_wire::Failure {
            code: code::NOT_LEADER,
            message: "not leader".into(),
        };
        Response::Failure(failure).encode(&mut answer);
        server.write_all(&answer).await.unwrap();
        asked.await.unwrap()
    }

    /// The first statement may be committed when the second fails.
    #[tokio::test]
    async fn a_script_that_fails_is_never_called_undone() {
        let one = not_leader("INSERT INTO t VALUES (1); ").await;
        assert_eq!(
            (one.outcome(), one.is_retryable()),
            (Outcome::NotDone, true)
        );
        let several = not_leader("INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)").await;
        assert_eq!(
            (several.outcome(), several.is_retryable()),
            (Outcome::Unknown, false)
        );
        assert_eq!(several.server_code(), Some(code::NOT_LEADER));
    }
}
