//! Nodes as processes on addresses of the loopback network: founding, joining, the leader port, the
//! guard, the hand-over. No Kubernetes: the test plays the operator.

#![allow(clippy::unwrap_used, reason = "tests")]

#[allow(dead_code, reason = "the faults' test uses the rest")]
mod cut;
mod guard;
#[allow(dead_code, reason = "the faults' test uses the rest")]
mod nodes;

use std::time::{Duration, Instant};

use cut::Cut;
use dqlite_client::{Role, Session};
use nodes::{Cluster, until};

#[tokio::test]
async fn a_cluster_is_founded_joined_and_served_through_every_leader_port() {
    let cluster = Cluster::of_three(1).await;
    for node in &cluster.nodes {
        let mut session = node.session().await;
        session
            .exec("CREATE TABLE IF NOT EXISTS t (n)", &[])
            .await
            .unwrap();
        session.exec("INSERT INTO t VALUES (1)", &[]).await.unwrap();
    }
    let mut session = cluster.nodes[1].session().await;
    let rows = session.query("SELECT count(*) FROM t", &[]).await.unwrap();
    assert_eq!(rows.single(), Some(&3.into()));
}

#[tokio::test]
async fn no_client_is_let_in_before_the_founding_is_recorded() {
    let mut cluster = Cluster::new(2);
    let node = cluster.start("demo-1").await;
    assert_eq!(node.status().await["phase"]["name"], "empty");
    assert!(
        node.front().leader().await.is_err(),
        "an empty member serves nobody"
    );
    assert!(node.order("open").await.is_err(), "nothing to open");
    node.order("found").await.unwrap();
    node.order("found").await.unwrap();
    assert!(node.front().leader().await.is_err(), "founding, not open");
    assert!(node.order("join").await.is_err(), "not over what is there");
    node.order("open").await.unwrap();
    until("it leads", async || node.leads().await).await;
}

#[tokio::test]
async fn a_node_that_is_asked_to_stop_hands_leadership_over() {
    let mut cluster = Cluster::of_three(4).await;
    let leader = cluster.leader().await;
    let follower = (leader + 1) % 3;
    let mut session = cluster.nodes[follower].session().await;
    session.exec("CREATE TABLE t (n)", &[]).await.unwrap();

    let stopped = tokio::spawn(cluster.nodes[leader].terminate());
    let (mut gap, mut acknowledged) = (Duration::ZERO, Instant::now());
    while !stopped.is_finished() || acknowledged.elapsed() > Duration::from_millis(100) {
        match write(&mut session).await {
            Ok(()) => {
                gap = gap.max(acknowledged.elapsed());
                acknowledged = Instant::now();
            }
            Err(_) => {
                if let Ok(new) = cluster.nodes[follower].try_session().await {
                    session = new;
                }
            }
        }
        assert!(
            acknowledged.elapsed() < Duration::from_secs(5),
            "writes go on"
        );
    }
    assert!(stopped.await.unwrap().success());
    println!("longest write gap {gap:?}");
    let other = cluster.leader().await;
    assert_ne!(other, leader);
}

/// Rule S2 and S3: the disk is lost in place, and nothing of it may speak for the member again.
#[tokio::test]
async fn a_member_whose_disk_is_emptied_ends_and_comes_back_empty() {
    let mut cluster = Cluster::of_three(5).await;
    let leader = cluster.leader().await;
    let node = &mut cluster.nodes[leader];
    std::fs::remove_dir_all(node.data.path().join("dqlite")).unwrap();
    let asked = Instant::now();
    assert!(!node.ended().await.success());
    assert!(
        asked.elapsed() < Duration::from_secs(1),
        "{:?}",
        asked.elapsed()
    );
    node.start().await;
    assert_eq!(node.status().await["phase"]["name"], "empty");
    assert!(node.try_session().await.is_err());
}

/// The others know the next leader before the old one's process is gone: no election was needed.
#[tokio::test]
async fn leadership_has_moved_when_the_process_ends() {
    let mut cluster = Cluster::of_three(9).await;
    for _ in 0..3 {
        let leader = cluster.leader().await;
        let old = cluster.nodes[leader].id;
        assert!(cluster.nodes[leader].terminate().await.success());
        for node in cluster.nodes.iter().filter(|n| n.id != old) {
            let named = node.as_operator().await.leader().await.unwrap();
            assert!(
                named.is_some_and(|l| l.id != old),
                "{} is in an election",
                node.id
            );
        }
        cluster.nodes[leader].start().await;
        let node = &cluster.nodes[leader];
        until("ready again", async || node.status().await["ready"] == true).await;
    }
}

#[tokio::test]
async fn a_leader_that_is_told_to_restart_hands_over_and_ends_well() {
    let mut cluster = Cluster::of_three(13).await;
    let leader = cluster.leader().await;
    let node = &mut cluster.nodes[leader];
    node.order("restart").await.unwrap();
    assert!(node.ended().await.success());
    assert_ne!(cluster.leader().await, leader);
    let node = &mut cluster.nodes[leader];
    node.start().await;
    until("ready again", async || node.status().await["ready"] == true).await;
}

/// An order that was decided before the process started anew may mean another disk.
#[tokio::test]
async fn a_late_order_is_refused() {
    let mut cluster = Cluster::new(10);
    cluster.start("demo-1").await;
    let node = &mut cluster.nodes[0];
    let seen = node.status().await["instance"].as_str().unwrap().to_owned();
    node.kill();
    node.start().await;
    for order in ["found", "join", "open", "restart"] {
        let refused = node.order_to(&seen, order).await.unwrap_err();
        assert!(refused.contains("another start"), "{order}: {refused}");
    }
    assert_eq!(node.status().await["phase"]["name"], "empty");
}

/// A pod that starts anew has another address, and name servers may be behind.
#[tokio::test]
async fn a_member_that_moved_is_found_before_its_name_is() {
    let cut = Cut::default();
    let mut cluster = Cluster::of_three_behind(14, cut.clone()).await;
    let leader = cluster.leader().await;
    let moved = (leader + 1) % 3;
    cut.name_is_stale(&cluster.nodes[moved].real_address());
    cluster.nodes[moved].kill();
    cluster.nodes[moved].start().await;
    let moved = &cluster.nodes[moved];
    let ready = async || moved.status().await["ready"] == true;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!ready().await, "the leader reached it by its name");
    let stays = &cluster.nodes[leader];
    moved.greets_from("127.9.14.77", stays).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!ready().await, "nobody is at that address");
    moved.greets(stays).await;
    until("ready", ready).await;
    // What decides over votes asks by name.
    let other = cluster.nodes[(leader + 2) % 3].id;
    let refused = stays.as_operator().await.assign(other, Role::Spare).await;
    let reason = refused.unwrap_err().to_string();
    assert!(reason.contains("refused: 1 of the 2 voters"), "{reason}");
}

#[tokio::test]
async fn a_connection_meant_for_another_member_is_closed() {
    let cluster = Cluster::of_three(6).await;
    let [a, b, _] = &cluster.nodes[..] else {
        panic!()
    };
    let wrong_target = b.as_operator_for(a.address(), &cluster.id, b.id).await;
    assert!(wrong_target.leader().await.is_err());
    let wrong_cluster = a.as_operator_for(a.address(), "another", a.id).await;
    assert!(wrong_cluster.leader().await.is_err());
    assert!(a.as_operator().await.leader().await.unwrap().is_some());
}

#[tokio::test]
async fn a_slow_statement_does_not_depose_the_leader() {
    let cluster = Cluster::of_three(7).await;
    let leader = cluster.leader().await;
    let mut session = cluster.nodes[leader].session().await;
    session.exec("CREATE TABLE t (n)", &[]).await.unwrap();
    let started = Instant::now();
    let slow = "INSERT INTO t WITH RECURSIVE c(n) AS \
                (SELECT 1 UNION ALL SELECT n+1 FROM c WHERE n < 12000000) SELECT max(n) FROM c";
    session.exec(slow, &[]).await.unwrap();
    println!("the statement ran {:?}", started.elapsed());
    assert_eq!(cluster.leader().await, leader);
}

/// The guard's barrier opens a database of its own, which snapshots then carry: a member that is seeded
/// by one must take it.
#[tokio::test]
async fn a_member_is_seeded_by_a_snapshot() {
    let args = ["--snapshot-threshold=16", "--snapshot-trailing=16"];
    let mut cluster = Cluster::of_three_with(8, &args).await;
    let leader = cluster.leader().await;
    let mut session = cluster.nodes[leader].session().await;
    session.exec("CREATE TABLE t (n)", &[]).await.unwrap();
    for _ in 0..100 {
        write(&mut session).await.unwrap();
    }
    cluster.start("demo-4").await;
    let operator = cluster.nodes[leader].as_operator().await;
    let joined = &cluster.nodes[3];
    joined.bring_in(&operator).await;
    let copy = joined.front().dump("app").await.unwrap();
    assert!(copy[0].bytes.len() >= 4096, "{} bytes", copy[0].bytes.len());
    let snapshots = std::fs::read_dir(joined.data.path().join("dqlite")).unwrap();
    let names = snapshots.map(|e| e.unwrap().file_name().into_string().unwrap());
    assert!(
        names.collect::<String>().contains("snapshot-"),
        "it came as a snapshot"
    );
}

async fn write(session: &mut Session) -> Result<(), dqlite_client::Error> {
    session
        .exec("INSERT INTO t VALUES (1)", &[])
        .await
        .map(|_| ())
}
