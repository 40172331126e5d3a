//! A client of dqlite servers, on tokio.
//!
//! ```no_run
//! # async fn example() -> Result<(), dqlite_client::Error> {
//! use dqlite_client::{Client, params};
//!
//! let app = Client::new(["10.0.0.1:9001", "10.0.0.2:9001"]).database("app");
//! app.exec("CREATE TABLE IF NOT EXISTS t (n INTEGER)", &[]).await?;
//! let done = app.exec("INSERT INTO t VALUES (?)", &params![7]).await?;
//! assert_eq!(done.rows_affected, 1);
//! # Ok(()) }
//! ```
//!
//! ```text
//! connection.rs  one connection: an actor task owns the socket, callers send it requests
//! requests.rs    every request of the protocol as a method of the connection
//! client.rs      several addresses: finds the leader
//! store.rs       where the addresses come from
//! session.rs     a database at the leader: statements, rows, transactions
//! database.rs    a database wherever the leader is: connections that are kept, and tries that are repeated
//! repeat.rs      trying again, and writing exactly once
//! typed.rs       rows as types of one's own
//! sql.rs         a statement's bare words: what must not be sent, and how
//! error.rs       what went wrong, and whether the outcome is known
//! ```

mod client;
mod connection;
mod database;
mod error;
mod repeat;
mod requests;
mod session;
pub mod sql;
mod store;
mod typed;

pub use client::Client;
pub use connection::{Connection, Options};
pub use database::{Database, Pooled};
pub use dqlite_wire::{File, Member, Role, Value, proxy};
pub use error::{Error, Outcome, code};
pub use requests::{Done, Prepared, RowStream, Server};
pub use session::{Rows, Session, Transaction};

/// Parameters of a statement from values of different types: `params![1, "a", None::<i64>]`.
#[macro_export]
macro_rules! params {
    ($($value:expr),* $(,)?) => { [$($crate::Value::from($value)),*] };
}
