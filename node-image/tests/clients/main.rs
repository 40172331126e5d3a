//! Clients that others made. `setup.sh` beside this gets them; `make unit` and `make test` run it.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../cluster/cut.rs"]
#[allow(dead_code, reason = "the other tests use the rest")]
mod cut;
#[path = "../cluster/nodes.rs"]
#[allow(dead_code, reason = "the other tests use the rest")]
mod nodes;

use std::{path::PathBuf, process::Command};

use nodes::Cluster;

/// What `tests/clients/NAME` prints about a node.
fn ask(name: &str, address: &str) -> String {
    let setup = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/setup.sh");
    let at = Command::new(setup).arg("--path").output().unwrap();
    let at = PathBuf::from(String::from_utf8(at.stdout).unwrap().trim());
    let client = at.join(name);
    assert!(client.exists(), "{name} is missing: run {setup}");
    // They try for ever where nobody answers.
    let mut command = Command::new("timeout");
    let out = command.arg("60").arg(client).arg(address).output();
    let out = out.unwrap();
    let error = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{name}: {error}");
    String::from_utf8_lossy(&out.stdout).trim().to_owned()
}

/// The library as released sends `false` and `""` for NULL in columns that are declared so.
#[tokio::test]
async fn clients_of_others_see_null_in_typed_columns() {
    let cluster = Cluster::of_three(60).await;
    let leader = cluster.leader().await;
    let address = cluster.nodes[leader].real_address();
    for (client, sees) in [
        ("shell", "<nil>|<nil>|<nil>"),
        ("go", "<nil> <nil> <nil> NULL NULL NULL"),
        ("python", "[[None, None, None]]"),
    ] {
        let (address, name) = (address.clone(), client.to_owned());
        let said = tokio::task::spawn_blocking(move || ask(&name, &address));
        assert_eq!(said.await.unwrap(), sees, "{client}");
    }
}
