//! A client of dqlite servers, on tokio.
//!
//! ```no_run
//! # async fn example() -> Result<(), dqlite_client::Error> {
//! use dqlite_client::{Client, params};
//!
//! let client = Client::new(["10.0.0.1:9001", "10.0.0.2:9001"]);
//! let mut session = client.open("app").await?;
//! session.exec("CREATE TABLE IF NOT EXISTS t (n INTEGER)", &[]).await?;
//! let done = session.exec("INSERT INTO t VALUES (?)", &params![7]).await?;
//! assert_eq!(done.rows_affected, 1);
//! # Ok(()) }
//! ```
//!
//! ```text
//! connection.rs  one connection: an actor task owns the socket, callers send it requests
//! requests.rs    every request of the protocol as a method of the connection
//! client.rs      several addresses: finds the leader
//! session.rs     a database at the leader: statements, rows, transactions
//! error.rs       what went wrong, and whether the outcome is known
//! ```

mod client;
mod connection;
mod error;
mod requests;
mod session;

pub use client::Client;
pub use connection::{Connection, Options};
pub use dqlite_wire::{File, Member, Role, Value, proxy};
pub use error::{Error, Outcome, code};
pub use requests::{Done, Prepared, RowStream, Server};
pub use session::{Rows, Session, Transaction};

/// Parameters of a statement from values of different types: `params![1, "a", None::<i64>]`.
#[macro_export]
macro_rules! params {
    ($($value:expr),* $(,)?) => { [$($crate::Value::from($value)),*] };
}
