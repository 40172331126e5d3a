//! What befalls a cluster, and how long it may keep writers waiting.

use std::{
    fs::File,
    io::Write,
    path::PathBuf,
    time::{Duration, Instant},
};

use crate::{
    cut::Cut,
    nodes::{Cluster, Node},
};

/// Longer than an election takes, so that another leads before the first one goes on.
const PAUSE: Duration = Duration::from_secs(1);
/// Until the log has used up the room that it had taken before.
const FULL: Duration = Duration::from_secs(12);

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
    FollowersDiskIsFull,
    LeadersDiskIsFull,
    AllDisksAreFull,
    FollowersLogIsDamaged,
}

impl Fault {
    pub const ALL: [Self; 15] = [
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
        Self::FollowersLogIsDamaged,
        Self::FollowersDiskIsFull,
        Self::LeadersDiskIsFull,
        Self::AllDisksAreFull,
    ];

    /// An engine whose disk was full can be dead behind an open port; its node ends when it has known no leader for a minute
    /// while others did.
    pub fn takes_a_minute(self) -> bool {
        matches!(
            self,
            Self::FollowersDiskIsFull | Self::LeadersDiskIsFull | Self::AllDisksAreFull
        )
    }

    /// Writers wait less than this. An election takes half a second here, and more when two stand at once (2.6 s
    /// were seen); whose connection leads through a paused member may hold the write lock until that goes on.
    pub fn bound(self) -> Duration {
        match self {
            Self::FollowerIsKilled
            | Self::LeaderIsAskedToStop
            | Self::FollowerIsCutOff
            | Self::FollowersDiskIsFull
            | Self::FollowersLogIsDamaged => Duration::from_secs(1),
            Self::FollowerIsPaused => PAUSE + Duration::from_secs(1),
            Self::LeaderIsKilled
            | Self::LeaderIsPaused
            | Self::LeaderIsCutOff
            | Self::LeaderIsNotHeard
            | Self::LeaderHearsNobody
            | Self::LeadersDiskIsFull => Duration::from_secs(5),
            // Nothing can be written until it is over.
            Self::AllDisksAreFull => FULL + Duration::from_secs(5),
            Self::EachHearsOneOther => PAUSE + Duration::from_secs(5),
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
            Self::FollowersDiskIsFull => fill(&cluster.nodes[follower..=follower]).await,
            Self::LeadersDiskIsFull => fill(&cluster.nodes[leader..=leader]).await,
            Self::AllDisksAreFull => fill(&cluster.nodes).await,
            Self::FollowersLogIsDamaged => damage(&mut cluster.nodes[follower]).await,
        }
        for node in &mut cluster.nodes {
            node.is_kept_running(self.takes_a_minute()).await;
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

/// There is no room left on these disks for a while, whatever the engine frees.
async fn fill(nodes: &[Node]) {
    let fillers: Vec<_> = nodes.iter().map(|n| n.data.path().join("filler")).collect();
    let mut files: Vec<_> = fillers.iter().map(|f| File::create(f).unwrap()).collect();
    let started = Instant::now();
    while started.elapsed() < FULL {
        for file in &mut files {
            for size in [1 << 20, 4 << 10] {
                while file.write_all(&vec![0; size]).is_ok() {}
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for filler in fillers {
        std::fs::remove_file(filler).unwrap();
    }
}

/// A bit of the log is another than was written: the member does not serve, until its disk is as it was.
async fn damage(node: &mut Node) {
    node.kill();
    let engine = node.data.path().join("dqlite");
    let files = std::fs::read_dir(engine)
        .unwrap()
        .map(|f| f.unwrap().path());
    let is_closed = |f: &PathBuf| {
        let name = f.file_name().unwrap().to_str().unwrap();
        name.len() == 33 && name.as_bytes()[16] == b'-'
    };
    let segment = files.filter(is_closed).max().unwrap();
    let good = std::fs::read(&segment).unwrap();
    let mut bad = good.clone();
    let middle = bad.len() / 2;
    bad[middle] ^= 1;
    std::fs::write(&segment, bad).unwrap();
    assert!(!node.start_in_vain().await.success());
    std::fs::write(&segment, good).unwrap();
    node.start().await;
}

/// Messages of Raft are lost for a while on these ways.
async fn lose(cluster: &Cluster, cut: &Cut, way: impl Fn(usize, usize) -> bool) {
    let ways = (0..3).flat_map(|from| (0..3).map(move |to| (from, to)));
    let lost = ways.filter(|(from, to)| from != to && way(*from, *to));
    let nodes = &cluster.nodes;
    cut.lose(lost.map(|(from, to)| (nodes[from].id, nodes[to].real_address())));
    tokio::time::sleep(PAUSE).await;
    cut.lose([]);
    assert!(cut.take_lost() > 0, "nothing was lost");
}
