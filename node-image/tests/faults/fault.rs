//! What befalls a cluster, and how long it may keep writers waiting.

use std::time::Duration;

use crate::{
    cut::Cut,
    nodes::{Cluster, until},
};

/// Longer than an election takes, so that another leads before the first one goes on.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    LeaderIsKilled,
    FollowerIsKilled,
    AllAreKilled,
    LeaderIsAskedToStop,
    LeaderIsPaused,
    FollowerIsPaused,
    LeaderIsCutOff,
    LeaderIsNotHeard,
    LeaderHearsNobody,
    FollowerIsCutOff,
    EachHearsOneOther,
}

impl Fault {
    pub const ALL: [Self; 11] = [
        Self::LeaderIsKilled,
        Self::FollowerIsKilled,
        Self::AllAreKilled,
        Self::LeaderIsAskedToStop,
        Self::LeaderIsPaused,
        Self::FollowerIsPaused,
        Self::LeaderIsCutOff,
        Self::LeaderIsNotHeard,
        Self::LeaderHearsNobody,
        Self::FollowerIsCutOff,
        Self::EachHearsOneOther,
    ];

    /// Writers wait less than this. An election takes half a second here; whose connection leads through a paused member may
    /// hold the write lock until that goes on.
    pub fn bound(self) -> Duration {
        match self {
            Self::FollowerIsKilled | Self::LeaderIsAskedToStop | Self::FollowerIsCutOff => {
                Duration::from_secs(1)
            }
            Self::FollowerIsPaused => PAUSE + Duration::from_secs(1),
            Self::LeaderIsKilled
            | Self::LeaderIsPaused
            | Self::LeaderIsCutOff
            | Self::LeaderIsNotHeard
            | Self::LeaderHearsNobody => Duration::from_secs(3),
            // Nobody can lead until it is over.
            Self::EachHearsOneOther => PAUSE + Duration::from_secs(3),
            Self::AllAreKilled => Duration::from_secs(10),
        }
    }

    /// Happens, and is over when all members are ready again.
    pub async fn happen(self, cluster: &mut Cluster, cut: &Cut) {
        let leader = cluster.leader().await;
        let follower = (leader + 1) % cluster.nodes.len();
        match self {
            Self::LeaderIsKilled => restart(cluster, &[leader]).await,
            Self::FollowerIsKilled => restart(cluster, &[follower]).await,
            Self::AllAreKilled => restart(cluster, &[0, 1, 2]).await,
            Self::LeaderIsAskedToStop => {
                let stopped = cluster.nodes[leader].terminate().await;
                assert!(stopped.success(), "{stopped:?}");
                cluster.nodes[leader].start().await;
            }
            Self::LeaderIsPaused => pause(cluster, leader).await,
            Self::FollowerIsPaused => pause(cluster, follower).await,
            Self::LeaderIsCutOff => {
                lose(cluster, cut, |from, to| from == leader || to == leader).await;
            }
            Self::LeaderIsNotHeard => lose(cluster, cut, |from, _| from == leader).await,
            Self::LeaderHearsNobody => lose(cluster, cut, |_, to| to == leader).await,
            Self::FollowerIsCutOff => {
                lose(cluster, cut, |from, to| from == follower || to == follower).await;
            }
            Self::EachHearsOneOther => lose(cluster, cut, |from, to| to != (from + 1) % 3).await,
        }
        for node in &cluster.nodes {
            until("ready", async || node.status().await["ready"] == true).await;
        }
    }
}

async fn restart(cluster: &mut Cluster, which: &[usize]) {
    for n in which {
        cluster.nodes[*n].kill();
    }
    for n in which {
        cluster.nodes[*n].start().await;
    }
}

async fn pause(cluster: &Cluster, n: usize) {
    cluster.nodes[n].signal("STOP");
    tokio::time::sleep(PAUSE).await;
    cluster.nodes[n].signal("CONT");
}

/// Messages of Raft are lost for a while on these ways.
async fn lose(cluster: &Cluster, cut: &Cut, way: impl Fn(usize, usize) -> bool) {
    let ways = (0..3).flat_map(|from| (0..3).map(move |to| (from, to)));
    let lost = ways.filter(|(from, to)| from != to && way(*from, *to));
    let nodes = &cluster.nodes;
    cut.lose(lost.map(|(from, to)| (nodes[from].id, nodes[to].real_address())));
    tokio::time::sleep(PAUSE).await;
    cut.lose([]);
}
