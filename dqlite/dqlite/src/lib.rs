//! dqlite for programs: SQLite, replicated by Raft.
//!
//! A [`Client`] speaks to a cluster that runs elsewhere:
//!
//! ```no_run
//! # async fn example() -> Result<(), dqlite::Error> {
//! use dqlite::{Client, params};
//!
//! let app = Client::new(["10.0.0.1:9001", "10.0.0.2:9001"]).database("app");
//! app.exec("CREATE TABLE IF NOT EXISTS users (name TEXT)", &[]).await?;
//! app.exec("INSERT INTO users VALUES (?)", &params!["Ada"]).await?;
//! # Ok(()) }
//! ```
//!
//! With the feature `node`, a [`Node`] is a member in this process:
//!
//! ```no_run
//! # #[cfg(feature = "node")]
//! # async fn example() -> Result<(), dqlite::Error> {
//! use dqlite::Node;
//!
//! let mut node = Node::new("127.0.0.1:9001", "/var/lib/app")?;
//! node.start().await?;
//! node.open("app")?.exec("CREATE TABLE IF NOT EXISTS users (name TEXT)", &[]).await?;
//! node.stop().await?;
//! # Ok(()) }
//! ```
//!
//! Everything of the client is [`dqlite_client`]'s; the rest:
//!
//! ```text
//! node.rs       a member in this process: start, open databases, hand over, stop
//! directory.rs  its files: whose they are, made whole or not at all
//! door.rs       its port: passes connections on to the engine, and can close them all
//! ```

#[cfg(feature = "node")]
mod directory;
#[cfg(feature = "node")]
mod door;
#[cfg(feature = "node")]
mod node;

pub use dqlite_client::*;
#[cfg(feature = "node")]
pub use node::{LEAVE_TO_EXIT, Node, StopPolicy};
