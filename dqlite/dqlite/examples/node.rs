//! A node of one's own: start, several databases, rows, a transaction, stop.
//!
//! `cargo run -p dqlite --features node --example node`

use dqlite::{Error, Node, Value, params};

/// The whole program.
#[tokio::main]
pub async fn main() -> Result<(), Error> {
    let data = std::env::temp_dir().join(format!("dqlite-example-node-{}", std::process::id()));
    let mut node = Node::new("127.0.0.1:19101", &data)?;
    node.start().await?;
    println!("node {:?} runs: {}", node.id(), node.is_running());

    let app = node.open("app")?;
    let log = node.open("log")?;
    app.exec(
        "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT)",
        &[],
    )
    .await?;
    log.exec("CREATE TABLE events (what TEXT)", &[]).await?;

    let done = app
        .exec("INSERT INTO users (name) VALUES (?)", &params!["Ada"])
        .await?;
    println!(
        "row {}, {} affected",
        done.last_insert_id, done.rows_affected
    );

    // Both rows, or none. Dropped before the commit, it is rolled back.
    let mut both = app.begin().await?;
    both.exec("INSERT INTO users (name) VALUES ('Grace')", &[])
        .await?;
    both.exec("INSERT INTO users (name) VALUES ('Edsger')", &[])
        .await?;
    both.commit().await?;

    let users = app
        .query("SELECT id, name FROM users ORDER BY id", &[])
        .await?;
    println!("{:?}", users.columns);
    for row in &users.rows {
        println!("{row:?}");
    }
    let total = app
        .query("SELECT count(*) AS total FROM users", &[])
        .await?;
    assert_eq!(total.single(), Some(&Value::Integer(3)));

    node.stop().await?;
    let _ = std::fs::remove_dir_all(data);
    Ok(())
}
