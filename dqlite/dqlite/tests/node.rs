//! What the Python package promises of a node (rows of `docs/from-dqlitepy.md`), on real ones.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use std::{net::TcpListener, path::Path, time::Duration};

use dqlite::{Client, Error, Node, Role, StopPolicy, Value, params};

/// An address that nobody else has.
fn address() -> String {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().to_string()
}

fn node(address: &str, data: &Path) -> Node {
    Node::new(address, data)
        .unwrap()
        .with_latency(Duration::from_millis(10))
}

async fn started(address: &str, data: &Path) -> Node {
    let mut node = node(address, data);
    node.start().await.unwrap();
    node
}

#[tokio::test]
async fn a_node_leads_alone_and_keeps_its_id_and_its_rows() {
    let data = tempfile::tempdir().unwrap();
    let (address, data) = (address(), data.path().join("made/with/parents"));
    let mut node = node(&address, &data);
    assert!(
        !node.is_running() && !data.exists(),
        "nothing before the start"
    );
    assert!(matches!(node.open("app"), Err(Error::Node(_))));
    node.start().await.unwrap();
    let id = node.id().unwrap();
    assert!(node.is_running());
    let leader = node.client().unwrap().leader().await.unwrap().0;
    assert_eq!((leader.id, leader.address.as_str()), (id, address.as_str()));

    let app = node.open("app").unwrap();
    let made = app
        .exec("CREATE TABLE t (n INTEGER, s TEXT)", &[])
        .await
        .unwrap();
    assert_eq!((made.last_insert_id, made.rows_affected), (0, 0));
    let two = app
        .exec("INSERT INTO t VALUES (?, ?), (2, 'b')", &params![1, "a"])
        .await
        .unwrap();
    assert_eq!((two.last_insert_id, two.rows_affected), (2, 2));
    let made = app.exec("CREATE INDEX i ON t (n)", &[]).await.unwrap();
    assert_eq!(made.rows_affected, 0, "not those of the statement before");

    node.stop().await.unwrap();
    node.stop().await.unwrap();
    assert!(!node.is_running());
    drop(TcpListener::bind(&address).expect("the port is free"));
    let mut again = started(&address, &data).await;
    assert_eq!(again.id(), Some(id));
    let rows = again
        .open("app")
        .unwrap()
        .query("SELECT n AS number, s FROM t", &[])
        .await
        .unwrap();
    assert_eq!(rows.columns, ["number", "s"]);
    assert_eq!(rows.rows[1], [Value::Integer(2), Value::Text("b".into())]);
    again.stop().await.unwrap();
}

#[tokio::test]
async fn databases_are_apart_and_transactions_whole() {
    let data = tempfile::tempdir().unwrap();
    let node = started(&address(), data.path()).await;
    let (one, two) = (node.open("one").unwrap(), node.open("two").unwrap());
    one.exec("CREATE TABLE t (n INTEGER)", &[]).await.unwrap();
    assert!(two.query("SELECT * FROM t", &[]).await.is_err());
    let count = async || {
        let rows = one.query("SELECT count(*) FROM t", &[]).await.unwrap();
        rows.single().cloned()
    };
    let mut dropped = one.begin().await.unwrap();
    dropped.exec("INSERT INTO t VALUES (1)", &[]).await.unwrap();
    assert_eq!(count().await, Some(Value::Integer(0)), "nobody sees it yet");
    drop(dropped);
    let mut rolled_back = one.begin().await.unwrap();
    rolled_back
        .exec("INSERT INTO t VALUES (1)", &[])
        .await
        .unwrap();
    rolled_back.rollback().await.unwrap();
    assert_eq!(count().await, Some(Value::Integer(0)));
    let mut committed = one.begin().await.unwrap();
    for n in [1, 2] {
        committed
            .exec("INSERT INTO t VALUES (?)", &params![n])
            .await
            .unwrap();
    }
    committed.commit().await.unwrap();
    assert_eq!(count().await, Some(Value::Integer(2)));
    assert!(matches!(one.exec("BEGIN", &[]).await, Err(Error::Input(_))));
}

#[tokio::test]
async fn what_cannot_start_says_why_and_leaves_nothing() {
    let data = tempfile::tempdir().unwrap();
    for bad in [
        "0.0.0.0:9001",
        "[::]:9001",
        "localhost:9001",
        "127.0.0.1",
        "127.0.0.1:0",
    ] {
        assert!(
            matches!(Node::new(bad, data.path()), Err(Error::NodeStart { .. })),
            "{bad}"
        );
    }
    let why = |e: Result<(), Error>| e.unwrap_err().to_string();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap().to_string();
    let mut node = node(&at, data.path());
    assert!(why(node.start().await).contains("in use"));
    assert!(!node.is_running());
    drop(taken);
    node.start().await.unwrap();
    assert!(why(node.start().await).contains("runs already"));
    let mut lost = self::node(&address(), &data.path().join("none")).with_existing();
    assert!(why(lost.start().await).contains("holds no node"));
    let mut reserved = self::node(&address(), &data.path().join("one")).with_id(1);
    assert!(why(reserved.start().await).contains("reserved"));
    let mut corrected = reserved.with_id(2);
    corrected.start().await.unwrap();
    let mut second = self::node(&address(), data.path());
    assert!(why(second.start().await).contains("another node has the directory"));
    node.stop().await.unwrap();
    assert!(
        why(second.start().await).contains(&at),
        "the directory is another's"
    );
    let mut other = self::node(&at, data.path()).with_id(5);
    assert!(why(other.start().await).contains("is that of node"));
}

#[tokio::test]
async fn three_nodes_make_a_cluster_and_hand_over() {
    let data = tempfile::tempdir().unwrap();
    let mut first = started(&address(), &data.path().join("1")).await;
    let client = first.client().unwrap().clone();
    let mut others = Vec::new();
    for id in [2, 3] {
        let at = address();
        let mut node = node(&at, &data.path().join(id.to_string())).with_id(id);
        node.start().await.unwrap();
        client.add(id, &at).await.unwrap();
        client.assign(id, Role::Voter).await.unwrap();
        others.push((node, at));
    }
    let roles: Vec<_> = client
        .cluster()
        .await
        .unwrap()
        .into_iter()
        .map(|m| m.role)
        .collect();
    assert_eq!(roles, [Some(Role::Voter); 3]);
    assert!(matches!(client.remove(77).await, Err(Error::Cluster(_))));

    let at = address();
    let mut standby = node(&at, &data.path().join("4")).with_id(4);
    standby.start().await.unwrap();
    client.add(4, &at).await.unwrap();
    client.assign(4, Role::Standby).await.unwrap();
    let none = standby
        .open("app")
        .unwrap()
        .query("SELECT 1", &[])
        .await
        .unwrap();
    assert_eq!(
        none.rows.len(),
        1,
        "a standby does not know the leader, and finds it"
    );
    client.remove(4).await.unwrap();

    let app = Client::new(others.iter().map(|(_, at)| at)).database("app");
    app.exec("CREATE TABLE t (n INTEGER)", &[]).await.unwrap();
    first.handover().await.unwrap();
    first.stop().await.unwrap();
    for n in 0..20 {
        app.exec("INSERT INTO t VALUES (?)", &params![n])
            .await
            .unwrap();
    }
    let rows = others[1]
        .0
        .open("app")
        .unwrap()
        .query("SELECT n FROM t", &[])
        .await
        .unwrap();
    assert_eq!(rows.rows.len(), 20);
}

#[tokio::test]
async fn one_that_is_left_to_the_exit_serves_on() {
    let data = tempfile::tempdir().unwrap();
    let at = address();
    let mut node = node(&at, data.path()).with_stop_policy(StopPolicy::LeaveToExit);
    node.start().await.unwrap();
    node.stop().await.unwrap();
    assert!(!node.is_running());
    Client::new([at])
        .database("app")
        .exec("CREATE TABLE t (n INTEGER)", &[])
        .await
        .unwrap();
}
