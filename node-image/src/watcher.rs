//! Looks at the engine and the disk several times a second: keeps the status, and ends the process
//! when going on would do harm.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use dqlite_client::{Connection, Error, Options, Role};
use node_api::View;
use tokio::time::{MissedTickBehavior, interval};

use crate::{engine_link, member::Member};

const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A silent engine is dead after this; so is a voter that finds no leader where others have one.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// When the engine answered last; for `/livez`.
#[derive(Debug)]
pub struct Pulse {
    start: Instant,
    answered_ms: AtomicU64,
}

impl Pulse {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
            answered_ms: AtomicU64::new(0),
        })
    }

    fn beat(&self) {
        self.answered_ms
            .store(self.start.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    /// Time since the last answer, or since the start.
    pub fn silence(&self) -> Duration {
        let answered = Duration::from_millis(self.answered_ms.load(Ordering::Relaxed));
        self.start.elapsed().saturating_sub(answered)
    }
}

/// Waits until the disk was emptied under the process; gives the reason to end.
pub async fn watch_disk(member: Arc<Member>) -> anyhow::Error {
    let mut ticks = interval(LOOK_EVERY);
    loop {
        ticks.tick().await;
        if !member.identity_is_there() {
            return anyhow::anyhow!("the identity file is gone: the disk was emptied in place");
        }
    }
}

/// Runs until the process must end; gives the reason.
pub async fn run(member: Arc<Member>, pulse: Arc<Pulse>) -> anyhow::Error {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut connection = None;
    let mut leaderless_since: Option<Instant> = None;
    loop {
        ticks.tick().await;
        let Some(socket) = member.engine() else {
            if member.should_run() {
                return anyhow::anyhow!("the engine did not start");
            }
            pulse.beat();
            continue;
        };
        let view = look(&mut connection, &socket).await;
        if let Some(view) = &view {
            pulse.beat();
            member
                .peers
                .learn(view.members.iter().map(|m| (m.address.as_str(), m.id)));
        }
        let id = member.settings.id;
        let leaderless = view
            .as_ref()
            .is_some_and(|v| v.role_of(id) == Some(node_api::Role::Voter) && v.leader.is_none());
        member.observe(view.clone()).await;
        match (leaderless, leaderless_since, view) {
            (false, ..) => leaderless_since = None,
            (true, None, _) => leaderless_since = Some(Instant::now()),
            (true, Some(since), Some(view)) if since.elapsed() > PATIENCE => {
                if left_behind(&member, &view).await {
                    return anyhow::anyhow!("the others have a leader, this engine is dead");
                }
                leaderless_since = Some(Instant::now());
            }
            _ => {}
        }
    }
}

async fn look(connection: &mut Option<Connection>, socket: &str) -> Option<View> {
    if connection.as_ref().is_none_or(Connection::is_closed) {
        let options = Options {
            request_timeout: Duration::from_secs(2),
            ..Options::default()
        };
        *connection = engine_link::client(socket, &options).ok();
    }
    let view = view(connection.as_ref()?).await;
    if view.is_err() {
        *connection = None;
    }
    view.ok()
}

/// LEADER and CLUSTER of one server.
pub async fn view(connection: &Connection) -> Result<View, Error> {
    let leader = connection.leader().await?.map(|l| l.id);
    let members = connection.cluster().await?;
    let members = members.into_iter().map(|m| node_api::Member {
        id: m.id,
        address: m.address,
        role: match m.role {
            Some(Role::Voter) => node_api::Role::Voter,
            Some(Role::Standby) => node_api::Role::Standby,
            Some(Role::Spare) | None => node_api::Role::Spare,
        },
    });
    Ok(View {
        leader,
        members: members.collect(),
    })
}

/// Whether another voter names a leader that lists this member as voter. An engine can be dead
/// behind an open port, with no sign but this; no leader alone is no reason to end.
async fn left_behind(member: &Member, own: &View) -> bool {
    let id = member.settings.id;
    for other in own
        .members
        .iter()
        .filter(|m| m.id != id && m.role == node_api::Role::Voter)
    {
        let Ok(connection) = member.peers.ask(&other.address, other.id).await else {
            continue;
        };
        let Ok(Some(leader)) = connection.leader().await else {
            continue;
        };
        let Ok(connection) = member.peers.ask(&leader.address, leader.id).await else {
            continue;
        };
        let Ok(leaders) = view(&connection).await else {
            continue;
        };
        if leaders.leader == Some(leader.id) && leaders.role_of(id) == Some(node_api::Role::Voter) {
            return true;
        }
    }
    false
}
