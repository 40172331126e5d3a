//! Who this member is and how it runs, from the pod's environment.

use std::{path::PathBuf, time::Duration};

use clap::Parser;
use node_api::env;

/// Runs one member of a dqlite cluster.
#[derive(Clone, Debug, Parser)]
#[command(name = "dqlite-node", version)]
pub struct Settings {
    /// Id of the cluster
    #[arg(long, env = env::CLUSTER)]
    pub cluster: String,
    /// Name of the member
    #[arg(long, env = env::MEMBER)]
    pub member: String,
    /// Raft id of the member; random, never 0 or 1
    #[arg(long, env = env::ID)]
    pub id: u64,
    /// `host:port` under which the members know this one, for ever
    #[arg(long, env = env::ADDRESS)]
    pub address: String,
    /// Uid of the PVC that holds the data directory
    #[arg(long, env = env::PVC_UID)]
    pub pvc_uid: String,
    /// Uid of the pod; admin requests must name it
    #[arg(long, env = env::POD_UID)]
    pub pod_uid: String,
    /// `host:port` that the leader port gives clients as the leader's address
    #[arg(long, env = env::LEADER_ADDRESS)]
    pub leader_address: String,
    /// Volume of the member
    #[arg(long, env = env::DATA, default_value = "/data")]
    pub data: PathBuf,
    /// File with the token that admin requests carry
    #[arg(long, env = env::TOKEN_FILE, default_value = "/etc/dqlite/token")]
    pub token_file: PathBuf,
    /// Expected network latency in ms: heartbeat 1.5 times, election timeout 15 times this
    #[arg(long, env = env::LATENCY_MS, default_value_t = 20)]
    pub latency_ms: u64,
    /// Log entries between two snapshots
    #[arg(long, env = env::SNAPSHOT_THRESHOLD, default_value_t = 1024)]
    pub snapshot_threshold: u32,
    /// Log entries kept behind the last snapshot
    #[arg(long, env = env::SNAPSHOT_TRAILING, default_value_t = 8192)]
    pub snapshot_trailing: u32,
    /// Address on which all ports listen
    #[arg(long, default_value = "[::]")]
    pub listen: String,
    /// First of the four ports: front, leader, admin, health
    #[arg(long, default_value_t = node_api::FRONT_PORT)]
    pub base_port: u16,
}

impl Settings {
    /// As the engine takes it.
    pub fn latency(&self) -> Duration {
        Duration::from_millis(self.latency_ms)
    }

    /// Two to three election timeouts: an election is over within this, most likely.
    pub fn election(&self) -> Duration {
        Duration::from_secs(1).max(self.latency() * 50)
    }

    /// Where one of the four ports listens; `default` is its usual number.
    pub fn listen_on(&self, default: u16) -> String {
        format!(
            "{}:{}",
            self.listen,
            self.base_port + (default - node_api::FRONT_PORT)
        )
    }
}
