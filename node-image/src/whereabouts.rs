//! Where the other members are now, by their own word. The pod of a member that starts anew has another
//! address, and a name server may tell the old one for half a minute more: by then a new leader that
//! cannot reach this member may lack the majority. So a member that starts greets the others, and they
//! call back to see that it is there.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::member::Member;

/// As long as that, a member's word is better than a name server's.
const FRESH: Duration = Duration::from_secs(60);
const AGAIN: Duration = Duration::from_secs(1);

/// Addresses at which members answered, by raft id.
#[derive(Debug, Default)]
pub struct Whereabouts(Mutex<HashMap<u64, (IpAddr, Instant)>>);

impl Whereabouts {
    pub fn note(&self, id: u64, ip: IpAddr) {
        self.all().insert(id, (ip, Instant::now()));
    }

    pub fn forget(&self, id: u64) {
        self.all().remove(&id);
    }

    /// Where the member was a minute ago or less.
    pub fn of(&self, id: u64) -> Option<IpAddr> {
        let (ip, noted) = *self.all().get(&id)?;
        (noted.elapsed() < FRESH).then_some(ip)
    }

    fn all(&self) -> MutexGuard<'_, HashMap<u64, (IpAddr, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Greets every other member once, as soon as it can be reached. One that starts later greets this one.
pub async fn greet_all(member: Arc<Member>) {
    let started = Instant::now();
    let mut greeted = HashSet::from([member.settings.id]);
    while started.elapsed() < FRESH {
        let view = member.status().engine.unwrap_or_default();
        let mut greetings = JoinSet::new();
        for other in view.members {
            if !greeted.contains(&other.id) {
                let peers = Arc::clone(&member.peers);
                greetings.spawn(async move {
                    let answered = peers.greet(&other.address, other.id).await;
                    answered.is_ok().then_some(other.id)
                });
            }
        }
        greeted.extend(greetings.join_all().await.into_iter().flatten());
        sleep(AGAIN).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_a_member_said_is_believed_for_a_minute() {
        let (whereabouts, ip) = (Whereabouts::default(), "10.1.2.3".parse().unwrap());
        assert_eq!(whereabouts.of(7), None);
        whereabouts.note(7, ip);
        tokio::time::advance(FRESH / 2).await;
        assert_eq!(whereabouts.of(7), Some(ip));
        tokio::time::advance(FRESH / 2).await;
        assert_eq!(whereabouts.of(7), None);
    }
}
