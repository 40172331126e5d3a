//! Statements and commands, one after another.

use std::{io::Write, time::Instant};

use dqlite_client::{Client, Error, Session, sql};

use crate::{commands, print, print::Mode};

/// What the user wants after a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another.
    More,
    /// None.
    Exit,
}

/// One user's session with one database. Prints to `out`.
pub struct Shell {
    pub(crate) client: Client,
    database: String,
    /// Kept, so that a transaction goes on with the next statement.
    session: Option<Session>,
    /// A statement has begun a transaction, and none has ended it.
    in_transaction: bool,
    /// How rows are printed.
    pub mode: Mode,
    /// Whether to print how long a statement took.
    pub timer: bool,
    pub(crate) out: Box<dyn Write + Send>,
}

impl std::fmt::Debug for Shell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Shell").field(&self.database).finish()
    }
}

impl Shell {
    /// A shell for a database of the client's cluster; nothing is opened yet.
    pub fn new(client: Client, database: &str, out: Box<dyn Write + Send>) -> Self {
        Self {
            client,
            database: database.to_owned(),
            session: None,
            in_transaction: false,
            mode: Mode::Box,
            timer: false,
            out,
        }
    }

    /// Runs all statements and commands of a text; the first that fails ends it. A command has a line for itself.
    ///
    /// # Errors
    /// That of the statement or command.
    pub async fn run(&mut self, text: &str) -> anyhow::Result<Next> {
        let mut rest = text;
        loop {
            rest = rest.trim_start_matches(|c: char| c == ';' || c.is_whitespace());
            if rest.is_empty() {
                return Ok(Next::More);
            }
            if rest.starts_with('.') {
                let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
                if commands::run(self, line).await? == Next::Exit {
                    return Ok(Next::Exit);
                }
                rest = after;
                continue;
            }
            // One that does not end is the last; the server says what it makes of it.
            let end = sql::end_of_statement(rest).unwrap_or(rest.len());
            self.statement(&rest[..end]).await?;
            rest = &rest[end..];
        }
    }

    /// Whether a text is whole: nothing is to be added before it is run.
    #[must_use]
    pub fn is_whole(text: &str) -> bool {
        let mut rest = text.trim();
        while !rest.is_empty() && !rest.starts_with('.') {
            let Some(end) = sql::end_of_statement(rest) else {
                return false;
            };
            rest = rest[end..].trim_start();
        }
        true
    }

    pub(crate) async fn statement(&mut self, statement: &str) -> anyhow::Result<()> {
        let started = Instant::now();
        let mode = self.mode;
        let session = self.session().await?;
        let done = if sql::gives_rows(statement) {
            session.query(statement, &[]).await.map(Some)
        } else {
            session.exec(statement, &[]).await.map(|_| None)
        };
        match done {
            Ok(rows) => {
                match sql::first_word(statement).as_str() {
                    "BEGIN" => self.in_transaction = true,
                    "COMMIT" | "END" => self.in_transaction = false,
                    // Not one to a savepoint.
                    "ROLLBACK" => self.in_transaction = statement.to_uppercase().contains(" TO "),
                    _ => {}
                }
                if let Some(rows) = rows {
                    print::rows(&mut self.out, mode, &rows)?;
                }
                if self.timer {
                    writeln!(self.out, "{:.3} s", started.elapsed().as_secs_f64())?;
                }
                Ok(())
            }
            Err(e) => {
                // What SQLite has against a statement leaves the connection, and a transaction on it, as they were.
                if e.server_code().is_none_or(|code| code & 0xff == 10) {
                    self.session = None;
                }
                Err(e.into())
            }
        }
    }

    pub(crate) async fn session(&mut self) -> Result<&mut Session, Error> {
        if self
            .session
            .as_ref()
            .is_some_and(|s| s.connection().is_closed())
        {
            self.session = None;
        }
        // What comes next would stand alone.
        if self.session.is_none() && std::mem::take(&mut self.in_transaction) {
            let why = "the connection was lost, and the transaction with it";
            return Err(Error::Broken(std::io::Error::other(why)));
        }
        let session = match self.session.take() {
            Some(session) => session,
            None => self.client.open(&self.database).await?,
        };
        Ok(self.session.insert(session))
    }
}
