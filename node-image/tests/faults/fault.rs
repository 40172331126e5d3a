//! What befalls a cluster, and how long it may keep writers waiting.

use std::time::Duration;

use crate::nodes::{Cluster, until};

/// Longer than an election takes, so that another leads before the paused one goes on.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    LeaderIsKilled,
    FollowerIsKilled,
    AllAreKilled,
    LeaderIsAskedToStop,
    LeaderIsPaused,
    FollowerIsPaused,
}

impl Fault {
    pub const ALL: [Self; 6] = [
        Self::LeaderIsKilled,
        Self::FollowerIsKilled,
        Self::AllAreKilled,
        Self::LeaderIsAskedToStop,
        Self::LeaderIsPaused,
        Self::FollowerIsPaused,
    ];

    /// Writers wait less than this. An election takes half a second here; whose connection leads through a paused member may
    /// hold the write lock until that goes on.
    pub fn bound(self) -> Duration {
        match self {
            Self::FollowerIsKilled | Self::LeaderIsAskedToStop => Duration::from_secs(1),
            Self::FollowerIsPaused => PAUSE + Duration::from_secs(1),
            Self::LeaderIsKilled | Self::LeaderIsPaused => Duration::from_secs(3),
            Self::AllAreKilled => Duration::from_secs(10),
        }
    }

    /// Happens, and is over when all members are ready again.
    pub async fn happen(self, cluster: &mut Cluster) {
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
