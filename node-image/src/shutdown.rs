//! A friendly end: leadership moves first, so that the cluster is without a leader for milliseconds
//! and not for an election.

use std::time::Duration;

use node_api::{Role, View};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::{engine_link, member::Member, watcher};

/// After this the engine is stopped with or without a successor.
const BOUND: Duration = Duration::from_secs(8);
const ANSWER: Duration = Duration::from_secs(1);
/// Longer than a member that came back takes to be found.
const SETTLES: Duration = Duration::from_secs(3);

/// Hands leadership over if this member leads; returns when so many of the others follow the new leader that it
/// needs this member no more, or after a bounded time.
pub async fn hand_over(member: &Member) {
    let started = Instant::now();
    match timeout(BOUND, try_all(member)).await {
        Ok(Some(successor)) => {
            let ms = started.elapsed().as_millis();
            tracing::info!(successor, ms, "leadership handed over");
        }
        Ok(None) => {}
        Err(_) => tracing::warn!("nobody took the leadership over in {BOUND:?}"),
    }
}

async fn try_all(member: &Member) -> Option<u64> {
    let (me, started) = (member.settings.id, Instant::now());
    let engine = engine_link::client(&member.engine()?, &dqlite_client::Options::default()).ok()?;
    // Who followed this member while it led, and how many of them are a majority without it.
    let mut followers = None;
    loop {
        let view = watcher::view(&engine).await.ok()?;
        match view.leader {
            Some(leader) if leader == me => {}
            // An election is under way, and may need this member's vote.
            None if view.role_of(me) == Some(Role::Voter)
                && started.elapsed() < member.settings.election().min(BOUND / 2) =>
            {
                sleep(Duration::from_millis(10)).await;
                continue;
            }
            // Another leads: after a transfer, be it one that was answered with an error.
            moved => {
                let (live, needed) = followers.filter(|_| moved.is_some())?;
                return Some(wait_for_successor(member, live, needed).await);
            }
        }
        let voters = view
            .members
            .iter()
            .filter(|m| m.role == Role::Voter)
            .count();
        if voters < 2 {
            return None;
        }
        let live = live_voters(member, &view).await;
        let needed = live.len().min(voters / 2 + 1);
        followers = Some((live.clone(), needed));
        for candidate in &live {
            // With id 0 the library would pick one itself, perhaps a dead one.
            match engine.transfer(candidate.id).await {
                Ok(()) => return Some(wait_for_successor(member, live, needed).await),
                Err(e) => tracing::warn!(candidate = candidate.id, "transfer failed: {e}"),
            }
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// Voters that answer now and follow this leader.
async fn live_voters(member: &Member, view: &View) -> Vec<node_api::Member> {
    let me = member.settings.id;
    let mut live = Vec::new();
    for other in view
        .members
        .iter()
        .filter(|m| m.id != me && m.role == Role::Voter)
    {
        let follows = timeout(ANSWER, async {
            member
                .peers
                .ask(&other.address, other.id)
                .await?
                .leader()
                .await
        });
        if let Ok(Ok(Some(leader))) = follows.await
            && leader.id == me
        {
            live.push(other.clone());
        }
    }
    // The one that lacks least takes over soonest.
    live.sort_by_key(|other| std::cmp::Reverse(member.progress.last_of(other.id)));
    live
}

/// Waits until a majority without this member follows a new leader. It may reach one of them only after a while, one
/// that came back at another place just now; until then it needs this member to commit anything. One that died
/// meanwhile is not waited for without end.
async fn wait_for_successor(member: &Member, live: Vec<node_api::Member>, needed: usize) -> u64 {
    let until = Instant::now() + SETTLES;
    loop {
        let named = named_by(member, &live).await;
        let follow = |leader: u64| named.iter().filter(|id| **id == leader).count();
        let enough = |leader: &u64| follow(*leader) >= needed || Instant::now() > until;
        if let Some(leader) = named.iter().find(|leader| enough(leader)) {
            return *leader;
        }
        sleep(Duration::from_millis(10)).await;
    }
}

/// The leaders other than this member that these name now.
async fn named_by(member: &Member, others: &[node_api::Member]) -> Vec<u64> {
    let mut asked = JoinSet::new();
    for other in others.iter().cloned() {
        let peers = member.peers.clone();
        asked.spawn(async move {
            let connection = peers.ask(&other.address, other.id).await.ok()?;
            Some(connection.leader().await.ok()??.id)
        });
    }
    let named = asked.join_all().await.into_iter().flatten();
    named.filter(|id| *id != member.settings.id).collect()
}
