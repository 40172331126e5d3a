//! The guard of membership changes, at the leader's own node.

use dqlite_client::Role;

use crate::{
    cut::Cut,
    nodes::{Cluster, until},
};

#[tokio::test]
async fn the_guard_refuses_what_would_cost_the_quorum_and_the_cluster_goes_on() {
    let mut cluster = Cluster::of_three(3).await;
    let leader = cluster.leader().await;
    let (down, up) = ((leader + 1) % 3, (leader + 2) % 3);
    let ids: Vec<u64> = cluster.nodes.iter().map(|n| n.id).collect();
    cluster.nodes[down].kill();

    let operator = cluster.nodes[leader].as_operator().await;
    for (what, refused) in [
        ("REMOVE", operator.remove(ids[up]).await),
        (
            "ASSIGN standby",
            operator.assign(ids[up], Role::Standby).await,
        ),
        ("ASSIGN spare", operator.assign(ids[up], Role::Spare).await),
        ("REMOVE itself", operator.remove(ids[leader]).await),
    ] {
        let reason = refused.unwrap_err().to_string();
        assert!(
            reason.contains("refused: 1 of the 2 voters"),
            "{what}: {reason}"
        );
    }
    let stranger = cluster.nodes[leader].front();
    let reason = stranger.remove(ids[up]).await.unwrap_err();
    assert_eq!(reason.server_code(), Some(23), "no header: {reason}");

    let mut session = cluster.nodes[up].session().await;
    session.exec("CREATE TABLE t (n)", &[]).await.unwrap();
    operator.remove(ids[down]).await.unwrap();
    assert_eq!(operator.cluster().await.unwrap().len(), 2);
    session.exec("INSERT INTO t VALUES (1)", &[]).await.unwrap();
}

/// A leader that has committed nothing in its term lets no change pass, though all voters follow it:
/// two leaders in turn could commit two configurations that share no majority.
#[tokio::test]
async fn no_change_passes_before_the_leader_has_committed_an_entry_of_its_term() {
    let cut = Cut::default();
    let cluster = Cluster::of_three_behind(11, cut.clone()).await;
    let old = cluster.leader().await;
    let new = (old + 1) % 3;
    until(
        "what the old leader sent is known as committed",
        async || {
            let raft = &cluster.nodes[new].status().await["raft"];
            raft["commit"] == raft["last"]
        },
    )
    .await;
    cut.entries(true);
    let transfer = cluster.nodes[old].as_operator().await;
    transfer.transfer(cluster.nodes[new].id).await.unwrap();
    until("all follow the new leader", async || {
        cluster.leader().await == new
    })
    .await;

    let operator = cluster.nodes[new].as_operator().await;
    let refused = operator.add(9, "127.9.11.9:9001").await.unwrap_err();
    let reason = refused.to_string();
    assert!(
        reason.contains("refused: nothing can be committed"),
        "{reason}"
    );
    assert_eq!(operator.cluster().await.unwrap().len(), 3);
    cut.entries(false);
    until("an entry is committed", async || {
        let leader = cluster.nodes[cluster.leader().await].as_operator().await;
        leader.add(9, "127.9.11.9:9001").await.is_ok()
    })
    .await;
}

/// What was checked for one change holds no more after another: they go one by one, and none of them
/// meets another in the engine.
#[tokio::test]
async fn changes_that_are_sent_together_are_made_one_after_the_other() {
    let cluster = Cluster::of_three(12).await;
    let leader = &cluster.nodes[cluster.leader().await];
    let mut adding = tokio::task::JoinSet::new();
    for n in 1..=8 {
        let operator = leader.as_operator().await;
        adding.spawn(async move { operator.add(9000 + n, &format!("127.9.12.{n}0:9001")).await });
    }
    for added in adding.join_all().await {
        added.unwrap();
    }
    let operator = leader.as_operator().await;
    assert_eq!(operator.cluster().await.unwrap().len(), 11);
}
