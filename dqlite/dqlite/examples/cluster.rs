//! Three nodes that become one cluster, and a client of it.
//!
//! `cargo run -p dqlite --features node --example cluster`

use dqlite::{Client, Error, Node, Role};

/// The whole program.
#[tokio::main]
pub async fn main() -> Result<(), Error> {
    let data = std::env::temp_dir().join(format!("dqlite-example-cluster-{}", std::process::id()));
    let mut first = Node::new("127.0.0.1:19111", data.join("1"))?;
    first.start().await?;

    // A program elsewhere needs no node: some addresses are enough, and one of them alive.
    let client = Client::new(["127.0.0.1:19111", "127.0.0.1:19112", "127.0.0.1:19113"]);
    let (leader, _) = client.leader().await?;
    println!("{} leads, at {}", leader.id, leader.address);

    // A node with an id waits to be added; as spare it has no log yet.
    let mut others = Vec::new();
    for (id, address) in [(2, "127.0.0.1:19112"), (3, "127.0.0.1:19113")] {
        let mut node = Node::new(address, data.join(id.to_string()))?.with_id(id);
        node.start().await?;
        client.add(id, address).await?;
        client.assign(id, Role::Voter).await?;
        others.push(node);
    }
    for member in client.cluster().await? {
        println!("{} at {}: {:?}", member.id, member.address, member.role);
    }

    client.remove(3).await?;
    assert_eq!(client.cluster().await?.len(), 2);
    client.close();

    // The leader last: the others stop without being missed.
    for mut node in others.into_iter().rev() {
        node.stop().await?;
    }
    first.stop().await?;
    let _ = std::fs::remove_dir_all(data);
    Ok(())
}
