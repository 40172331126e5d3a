//! The guard of membership changes (rule S4). It stands at the leader's own node, so that nobody, an
//! operator that woke up late or a person with a tool, can cost the cluster its quorum.
//!
//! A change passes if a majority of the voters of the *new* configuration, this node included, say
//! now that this node leads and that they are voters. The leader first runs a barrier: in the term
//! of a leader that has committed nothing yet, two leaders in turn could commit two configurations
//! that share no majority.

use std::time::Duration;

use dqlite_client::{Connection, Error, Options};
use dqlite_wire::{Failure, Request, Role};
use node_api::View;
use tokio::{task::JoinSet, time::timeout};

use crate::{engine_link, member::Member, watcher};

/// How old an answer may be: all are asked now, and have this long.
const ANSWER: Duration = Duration::from_secs(1);
/// A barrier that takes longer means that there is no quorum now.
const BARRIER: Duration = Duration::from_secs(5);
/// Read by the barrier; always empty.
const BARRIER_DATABASE: &str = "dqlite-node.barrier";

const NOT_LEADER: u64 = dqlite_client::code::NOT_LEADER;
const BUSY: u64 = dqlite_client::code::BUSY;
const CONSTRAINT: u64 = 19;

fn failure(code: u64, message: impl Into<String>) -> Failure {
    Failure {
        code,
        message: message.into(),
    }
}

/// Lets the change pass or says why not. The caller holds the node's one lock of changes.
pub async fn check(member: &Member, change: &Request) -> Result<(), Failure> {
    // Nothing was sent to the engine: none of these leaves a doubt.
    let unable = |e: Error| match e.server_code() {
        Some(NOT_LEADER) => failure(NOT_LEADER, "not leader"),
        _ => failure(BUSY, format!("refused: nothing can be committed now: {e}")),
    };
    let socket = member
        .engine()
        .ok_or_else(|| failure(BUSY, "refused: the engine does not run"))?;
    let options = Options {
        request_timeout: BARRIER,
        ..Options::default()
    };
    let engine = engine_link::client(&socket, &options).map_err(unable)?;
    barrier(&engine).await.map_err(unable)?;
    let view = watcher::view(&engine).await.map_err(unable)?;
    let me = member.settings.id;
    if view.leader != Some(me) {
        return Err(failure(NOT_LEADER, "not leader"));
    }
    let next = after(&view, change);
    let confirmed = ask(member, &view, &next).await;
    let needed = next.len() / 2 + 1;
    if next.is_empty() {
        return Err(failure(CONSTRAINT, "refused: no voter would be left"));
    }
    if confirmed.len() >= needed {
        return Ok(());
    }
    let silent: Vec<_> = next.iter().filter(|id| !confirmed.contains(id)).collect();
    let silent: Vec<_> = view
        .members
        .iter()
        .filter(|m| silent.contains(&&m.id))
        .map(|m| m.address.as_str())
        .collect();
    Err(failure(
        CONSTRAINT,
        format!(
            "refused: {} of the {} voters after this change would confirm this leader, {needed} are \
             needed; no confirmation from {}",
            confirmed.len(),
            next.len(),
            silent.join(", ")
        ),
    ))
}

async fn barrier(engine: &Connection) -> Result<(), Error> {
    engine.open(BARRIER_DATABASE).await?;
    engine
        .query_sql("SELECT 1", &[])
        .await?
        .next()
        .await
        .map(|_| ())
}

/// Ids of the voters once the change is made.
fn after(view: &View, change: &Request) -> Vec<u64> {
    let (id, votes) = match change {
        Request::Assign { id, role } => (Some(*id), *role == Role::Voter),
        Request::Remove { id } => (Some(*id), false),
        _ => (None, false),
    };
    let voter = |m: &&node_api::Member| match id {
        Some(id) if id == m.id => votes,
        _ => m.role == node_api::Role::Voter,
    };
    view.members.iter().filter(voter).map(|m| m.id).collect()
}

/// Which of these confirm now. One that is being promoted has no vote yet and knows no leader: it
/// counts if it lists itself, which it does only when it gets this leader's log.
async fn ask(member: &Member, view: &View, voters: &[u64]) -> Vec<u64> {
    let me = member.settings.id;
    let mut asked = JoinSet::new();
    for other in view
        .members
        .iter()
        .filter(|m| voters.contains(&m.id) && m.id != me)
    {
        let (peers, other) = (member.peers.clone(), other.clone());
        asked.spawn(async move {
            let seen = timeout(ANSWER, async {
                watcher::view(&peers.ask_by_name(&other.address, other.id).await?).await
            });
            let view = seen.await.ok()?.ok()?;
            confirms(&other, &view, me).then_some(other.id)
        });
    }
    let mut confirmed: Vec<u64> = voters.iter().copied().filter(|id| *id == me).collect();
    while let Some(answer) = asked.join_next().await {
        confirmed.extend(answer.ok().flatten());
    }
    confirmed
}

fn confirms(other: &node_api::Member, seen: &View, leader: u64) -> bool {
    match other.role {
        node_api::Role::Voter => {
            seen.leader == Some(leader) && seen.role_of(other.id) == Some(node_api::Role::Voter)
        }
        _ => seen.role_of(other.id).is_some(),
    }
}

#[cfg(test)]
mod tests {
    use node_api::{Member, Role::*};

    use super::*;

    fn view(leader: Option<u64>, members: &[(u64, node_api::Role)]) -> View {
        let members = members.iter();
        let members = members.map(|(id, role)| Member {
            id: *id,
            address: id.to_string(),
            role: *role,
        });
        View {
            leader,
            members: members.collect(),
        }
    }

    #[test]
    fn the_new_configuration_counts_not_the_old() {
        let now = view(Some(1), &[(1, Voter), (2, Voter), (3, Standby)]);
        let assign = |id, role| after(&now, &Request::Assign { id, role });
        assert_eq!(assign(3, Role::Voter), [1, 2, 3]);
        assert_eq!(assign(2, Role::Spare), [1]);
        assert_eq!(after(&now, &Request::Remove { id: 2 }), [1]);
        assert_eq!(after(&now, &Request::Remove { id: 3 }), [1, 2]);
        assert_eq!(
            after(
                &now,
                &Request::Add {
                    id: 9,
                    address: "x".into()
                }
            ),
            [1, 2]
        );
    }

    #[test]
    fn a_voter_confirms_only_this_leader_and_only_as_voter() {
        let two = Member {
            id: 2,
            address: "2".into(),
            role: Voter,
        };
        let both = [(1, Voter), (2, Voter)];
        assert!(confirms(&two, &view(Some(1), &both), 1));
        assert!(!confirms(&two, &view(Some(2), &both), 1), "names another");
        assert!(!confirms(&two, &view(None, &both), 1), "names none");
        assert!(
            !confirms(&two, &view(Some(1), &[(1, Voter), (2, Standby)]), 1),
            "no voter"
        );
        assert!(
            !confirms(&two, &view(Some(1), &[(1, Voter)]), 1),
            "not listed"
        );
    }

    #[test]
    fn a_standby_confirms_when_it_gets_the_log() {
        let three = Member {
            id: 3,
            address: "3".into(),
            role: Standby,
        };
        assert!(confirms(
            &three,
            &view(None, &[(1, Voter), (3, Standby)]),
            1
        ));
        assert!(!confirms(&three, &view(None, &[]), 1));
    }
}
