//! Clean-up by scope: a node that is dropped stops, and frees its port.
//!
//! `cargo run -p dqlite --features node --example scopes`

use std::net::TcpListener;

use dqlite::{Error, Node};

/// The whole program.
#[tokio::main]
pub async fn main() -> Result<(), Error> {
    let data = std::env::temp_dir().join(format!("dqlite-example-scopes-{}", std::process::id()));
    {
        let mut node = Node::new("127.0.0.1:19131", &data)?;
        node.start().await?;
        let app = node.open("app")?;
        app.exec("CREATE TABLE t (n INTEGER)", &[]).await?;
        let mut forgotten = app.begin().await?;
        forgotten.exec("INSERT INTO t VALUES (1)", &[]).await?;
        // Here the transaction is rolled back, and the node stops.
    }
    assert!(
        TcpListener::bind("127.0.0.1:19131").is_ok(),
        "the port is free"
    );
    let _ = std::fs::remove_dir_all(data);
    Ok(())
}
