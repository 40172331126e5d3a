//! What can go wrong, by class, and what may be tried again.
//!
//! `cargo run -p dqlite --features node --example errors`

use std::time::Duration;

use dqlite::{Client, Error, Node, Outcome};

/// The whole program.
#[tokio::main]
pub async fn main() -> Result<(), Error> {
    match Node::new("0.0.0.0:9001", "/nowhere") {
        Err(e @ Error::NodeStart { .. }) => println!("{e}"),
        other => panic!("{other:?}"),
    }

    let data = std::env::temp_dir().join(format!("dqlite-example-errors-{}", std::process::id()));
    let mut node = Node::new("127.0.0.1:19121", &data)?;
    node.start().await?;
    let app = node.open("app")?;
    match app.query("SELECT * FROM missing", &[]).await {
        Err(e @ Error::Server { .. }) => println!("{e}; again? {}", e.is_retryable()),
        other => panic!("{other:?}"),
    }
    match node.client()?.remove(99).await {
        Err(e @ Error::Cluster(_)) => println!("{e}"),
        other => panic!("{other:?}"),
    }
    node.stop().await?;
    match node.open("app") {
        Err(e @ Error::Node(_)) => println!("{e}"),
        other => panic!("{other:?}"),
    }

    // Nobody is there: tried again until the deadline, and surely not done.
    let nobody = Client::new(["127.0.0.1:19122"]).database("app");
    let nobody = nobody.with_deadline(Duration::from_millis(300));
    match nobody.exec("CREATE TABLE t (n INTEGER)", &[]).await {
        Err(e @ Error::NoLeader { .. }) => {
            println!("{e}");
            assert_eq!(e.outcome(), Outcome::NotDone);
        }
        other => panic!("{other:?}"),
    }
    let _ = std::fs::remove_dir_all(data);
    Ok(())
}
